//! The extension headers of IPv6 end, and stay ended.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ipv6::{Extensions, Ipv6};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ip) = Ipv6::parse(bytes) {
        let mut extensions = ip.extensions();
        // One more than the limit: the error itself.
        assert!(extensions.by_ref().count() <= usize::from(Extensions::MAX) + 1);
        assert!(extensions.next().is_none());
    }
});
