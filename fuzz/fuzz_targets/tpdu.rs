//! The short way says what the long way says, or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::{Key, LinkType, TrafficClass};
use wire::Fragment;

fuzz_target!(|frame: &[u8]| {
    let Some(short) = wire::tpdu::<true>(frame) else { return };
    let long = wire::dissect(LinkType::Ethernet, frame);
    assert_eq!((long.class, long.malformed, long.fragment), (TrafficClass::GtpU, None, Fragment::None));
    assert_eq!((long.key, long.ports), (Key::Inner(short.pair), short.ports));
});
