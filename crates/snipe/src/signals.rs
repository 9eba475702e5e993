//! SIGINT, SIGTERM and SIGXFSZ.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

use crate::failure::{Failure, WORK_FAILED};

/// A flag that the first SIGINT or SIGTERM sets, so that what is in flight can flow out. The second one
/// ends the program at once.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(WORK_FAILED), Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::work(format_args!("cannot handle signals: {error}")))?;
    }
    // With a handler, a file that grows beyond `ulimit -f` is an error like a full disk and no death.
    signal_hook::flag::register(SIGXFSZ, Arc::default())
        .map_err(|error| Failure::work(format_args!("cannot handle signals: {error}")))?;
    Ok(stop)
}
