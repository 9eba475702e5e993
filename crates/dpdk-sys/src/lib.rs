//! The installed DPDK as Rust sees it: its functions and constants, made by bindgen when this crate is
//! built, and a C shim (`src/shim.c`) for those of its functions that are inline.
//!
//! There is no logic here and nothing safe: the crate `dpdk` is what the rest of the program uses.
//! `struct rte_mbuf`, whose layout is partly unnamed unions, is opaque; its fields are read at the
//! `SNIPE_MBUF_…` offsets, which the C compiler works out from the installed headers. Functions of the
//! shim take bursts, so that no packet costs a call.
//!
//! ```
//! // The release that the headers are of: 22.11 or later.
//! let mut parts = dpdk_sys::DPDK_VERSION.split('.').map(str::parse::<u32>);
//! let year = parts.next().unwrap().unwrap();
//! assert!(year >= 22);
//! // Nothing is called here: almost no function may be before `rte_eal_init`.
//! assert_eq!(dpdk_sys::SNIPE_MBUF_BUF_ADDR, 0);
//! ```

/// Release of the DPDK that this was built against, as pkg-config gives it.
pub const DPDK_VERSION: &str = env!("SNIPE_DPDK_VERSION");

#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::missing_safety_doc,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    reason = "generated from C headers"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;
