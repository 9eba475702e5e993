//! `snipe run`

use crate::cli::Run;
use crate::command::plan;
use crate::failure::Failure;

pub(crate) fn run(args: &Run) -> Result<(), Failure> {
    let config = plan::load(&args.config, |_| true)?;
    config.for_run().map_err(|error| Failure::config(&error))?;
    #[cfg(feature = "dpdk")]
    return crate::command::live::run(&config, args.json);
    #[cfg(not(feature = "dpdk"))]
    Err(Failure::work(
        "this snipe was built without DPDK: install libdpdk-dev and libclang-dev, and build with \
         `cargo build --release --features dpdk`",
    ))
}
