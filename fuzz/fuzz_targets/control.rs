//! Headers of GTP-C, PFCP and GTP′.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{gtp_prime::GtpPrime, gtpc::Gtpc, pfcp::Pfcp};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(gtp) = Gtpc::parse(bytes) {
        assert!(gtp.piggybacked().is_none_or(|second| second.len() < bytes.len()));
    }
    let _ = Pfcp::parse(bytes);
    let _ = GtpPrime::parse(bytes);
});
