//! GTP-U messages, their extension headers and information elements.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::gtpu::{Gtpu, error_indication};

fuzz_target!(|bytes: &[u8]| {
    let _ = error_indication(bytes);
    if let Ok(gtp) = Gtpu::parse(bytes) {
        if let Ok(opened) = gtp.open() {
            assert!(opened.payload().len() <= usize::from(gtp.length()));
        }
    }
});
