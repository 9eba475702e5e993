//! Finds DPDK, makes the bindings and compiles the shim.

use std::env;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// First release whose names this crate uses: they were renamed in 21.11, and this is the first LTS after.
const OLDEST: &str = "22.11";

const FUNCTIONS: &[&str] = &[
    "snipe_.*",
    // EAL, lcores, threads
    "rte_eal_init",
    "rte_eal_cleanup",
    "rte_eal_has_hugepages",
    "rte_strerror",
    "rte_get_main_lcore",
    "rte_get_next_lcore",
    "rte_lcore_to_cpu_id",
    "rte_eal_remote_launch",
    "rte_eal_get_lcore_state",
    "rte_eal_wait_lcore",
    "rte_thread_register",
    "rte_thread_unregister",
    // memory
    "rte_malloc_get_socket_stats",
    "rte_socket_count",
    "rte_socket_id_by_idx",
    "rte_mempool_calc_obj_size",
    "rte_mempool_avail_count",
    "rte_mempool_in_use_count",
    "rte_pktmbuf_pool_create",
    "rte_pktmbuf_free_bulk",
    "rte_mbuf_dyn_rx_timestamp_register",
    "rte_ring_create",
    "rte_ring_free",
    "rte_ring_get_memsize",
    // ports
    "rte_dev_probe",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_info_get",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_configure",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_get_mtu",
    "rte_eth_dev_set_mtu",
    "rte_eth_rx_queue_setup",
    "rte_eth_tx_queue_setup",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_dev_close",
    "rte_eth_promiscuous_enable",
    "rte_eth_stats_get",
    "rte_eth_iterator_init",
    "rte_eth_iterator_next",
    "rte_eth_iterator_cleanup",
];

const TYPES: &[&str] = &["snipe_.*", "rte_dev_iterator", "rte_malloc_socket_stats"];

const VALUES: &[&str] = &[
    "SNIPE_.*",
    "LCORE_ID_ANY",
    "RTE_MAX_LCORE",
    "RTE_MAX_ETHPORTS",
    "RTE_PKTMBUF_HEADROOM",
    "RING_F_SP_ENQ",
    "RING_F_SC_DEQ",
    "RTE_RING_SZ_MASK",
];

/// Types that are only ever pointed to, or whose layout changes between releases.
const OPAQUE: &[&str] = &["rte_mbuf", "rte_mempool", "rte_ring", "rte_device", "rte_bus", "rte_class"];

fn main() {
    for file in ["src/shim.h", "src/shim.c", "build.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    println!("cargo::rerun-if-env-changed=SNIPE_MARCH");

    // Link flags of the shared libraries go to cargo here. Drivers are plugins that EAL loads.
    let dpdk = match pkg_config::Config::new().atleast_version(OLDEST).probe("libdpdk") {
        Ok(found) => found,
        Err(error) => fail(&[
            &format!("DPDK {OLDEST} or later was not found."),
            "On Debian and Ubuntu: apt install libdpdk-dev pkg-config",
            "For a DPDK of your own: set PKG_CONFIG_PATH to the directory of its libdpdk.pc.",
            "The rest of the workspace builds without it: leave out -p dpdk-sys, -p dpdk and --workspace.",
            &format!("pkg-config says: {}", first_lines(&error.to_string())),
        ]),
    };
    println!("cargo::rustc-env=SNIPE_DPDK_VERSION={}", dpdk.version);

    let mut flags = vec!["-include".to_owned(), "rte_config.h".to_owned()];
    flags.extend(machine());
    compile_shim(&dpdk.include_paths, &flags);
    write_bindings(&dpdk.include_paths, &flags);
}

/// The processor that the shim is compiled for. pkg-config's flags end in `-march=corei7` (Debian), which
/// every x86-64-v2 machine runs and DPDK's headers need at least; a build for a certain machine
/// asks for it by SNIPE_MARCH or by `-C target-cpu`, and then C and Rust agree.
fn machine() -> Option<String> {
    if let Ok(march) = env::var("SNIPE_MARCH") {
        return Some(format!("-march={march}"));
    }
    let rust_flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let asked = rust_flags.split('\x1f').filter_map(|flag| flag.split_once("target-cpu=")).next_back();
    if let Some((_, cpu)) = asked {
        return Some(format!("-march={cpu}"));
    }
    let pkg_config = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let output = Command::new(pkg_config).args(["--cflags", "libdpdk"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().rfind(|flag| flag.starts_with("-march=")).map(str::to_owned)
}

fn compile_shim(includes: &[PathBuf], flags: &[String]) {
    let mut cc = cc::Build::new();
    cc.file("src/shim.c").includes(includes).define("ALLOW_EXPERIMENTAL_API", None);
    // Complaints are about DPDK's own headers; what they point at is not ours to mend.
    cc.warnings(false).opt_level(3);
    for flag in flags {
        cc.flag(flag);
    }
    if let Err(error) = cc.try_compile("snipe_dpdk_shim") {
        fail(&[
            "the C shim for DPDK's inline functions did not compile.",
            "A C compiler is needed; on Debian and Ubuntu: apt install gcc libc6-dev",
            &format!("cc says: {error}"),
        ]);
    }
}

fn write_bindings(includes: &[PathBuf], flags: &[String]) {
    let mut builder = bindgen::Builder::default()
        .header("src/shim.h")
        .clang_args(includes.iter().map(|path| format!("-I{}", path.display())))
        .clang_args(flags)
        .clang_arg("-DALLOW_EXPERIMENTAL_API")
        .use_core()
        .derive_default(true)
        .derive_copy(false)
        .generate_comments(false)
        .prepend_enum_name(false)
        .default_enum_style(bindgen::EnumVariation::NewType { is_bitfield: false, is_global: false })
        .rust_target(
            bindgen::RustTarget::stable(85, 0).unwrap_or_else(|_| fail(&["bindgen does not know Rust 1.85"])),
        )
        .rust_edition(bindgen::RustEdition::Edition2024)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new().rerun_on_header_files(false)));
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in VALUES {
        builder = builder.allowlist_var(name);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    // bindgen panics where libclang cannot be loaded.
    panic::set_hook(Box::new(|_| {}));
    let bindings = match panic::catch_unwind(panic::AssertUnwindSafe(|| builder.generate())) {
        Ok(Ok(bindings)) => bindings,
        Ok(Err(error)) => fail(&[
            "the bindings to DPDK could not be made from its headers.",
            "On Debian and Ubuntu: apt install libdpdk-dev libclang-dev",
            &format!("bindgen says: {}", first_lines(&error.to_string())),
        ]),
        Err(payload) => fail(&[
            "bindgen could not load libclang, which reads DPDK's headers.",
            "On Debian and Ubuntu: apt install libclang-dev",
            "Elsewhere: set LIBCLANG_PATH to the directory of libclang.so.",
            &format!(
                "bindgen says: {}",
                payload.downcast_ref::<String>().map_or("nothing".to_owned(), |text| first_lines(text))
            ),
        ]),
    };
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    if let Err(error) = bindings.write_to_file(Path::new(&out).join("bindings.rs")) {
        fail(&[&format!("bindings.rs could not be written: {error}")]);
    }
}

fn first_lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" / ")
}

fn fail(lines: &[&str]) -> ! {
    for line in lines {
        println!("cargo::error={line}");
    }
    // `cargo::error` has failed the build already; another status would have cargo print all of the above
    // once more, raw.
    process::exit(0);
}
