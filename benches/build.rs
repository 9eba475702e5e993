//! Compiles the C twin: always optimised, for the same processors as the Rust beside it. With the
//! feature `dpdk` also DPDK's hash table, as the peer of the tunnel table.

fn main() {
    println!("cargo::rerun-if-changed=twin");
    cc::Build::new().file("twin/twin.c").opt_level(3).std("c11").warnings_into_errors(true).compile("twin");
    #[cfg(feature = "dpdk")]
    peer();
}

#[cfg(feature = "dpdk")]
fn peer() {
    let dpdk = match pkg_config::Config::new().atleast_version("22.11").probe("libdpdk") {
        Ok(found) => found,
        Err(error) => {
            println!("cargo::error=the feature dpdk of benches needs DPDK 22.11 or later: {error}");
            return;
        }
    };
    let mut cc = cc::Build::new();
    cc.file("twin/hash.c").includes(&dpdk.include_paths).opt_level(3);
    // What is complained about is in DPDK's headers. On x86 they need SSE 4.2, which it is built for.
    cc.warnings(false).flag("-include").flag("rte_config.h");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        cc.flag("-march=corei7");
    }
    cc.compile("peer");
}
