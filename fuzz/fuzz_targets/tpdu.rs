//! The short way says what the long way says, or nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::{Key, LinkType, TrafficClass};
use wire::Fragment;

fuzz_target!(|frame: &[u8]| {
    let Some(short) = wire::tpdu::<true>(frame) else { return };
    let long = wire::dissect(LinkType::Ethernet, frame);
    assert_eq!((long.class, long.malformed, long.fragment), (TrafficClass::GtpU, None, Fragment::None));
    assert_eq!((long.key, long.ports), (Key::Inner(short.addresses.pair()), short.ports));
    let user = wire::User { addresses: short.addresses, bytes: short.bytes };
    assert_eq!((long.layers.user, long.layers.t_pdu), (Some(user), true));
    assert_eq!(long.layers.tunnel.map(|tunnel| tunnel.teid), Some(short.teid));
});
