//! Compiles the C twin: always optimised, for the same processors as the Rust beside it.

fn main() {
    println!("cargo::rerun-if-changed=twin/twin.c");
    cc::Build::new().file("twin/twin.c").opt_level(3).std("c11").warnings_into_errors(true).compile("twin");
}
