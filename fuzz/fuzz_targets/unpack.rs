//! What is unpacked lies in the frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::LinkType;
use wire::{Decap, Unpack};

fuzz_target!(|frame: &[u8]| {
    let allow = Decap { vxlan: true, gre: true, erspan: true };
    for link in [LinkType::Ethernet, LinkType::RawIp] {
        if let Unpack::Inner { range, .. } = wire::unpack(link, frame, allow) {
            assert!(frame.get(range).is_some());
        }
    }
});
