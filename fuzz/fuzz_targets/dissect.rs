//! Any bytes under any link type have an answer, and its positions lie in the frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::LinkType;

const LINKS: [LinkType; 8] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::RawIpv4,
    LinkType::RawIpv6,
    LinkType::Null,
    LinkType::Loop,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
];

fuzz_target!(|input: (u8, &[u8])| {
    let (link, frame) = input;
    let found = wire::dissect(LINKS[usize::from(link) % LINKS.len()], frame);
    for position in [found.layers.datagram, found.layers.inner].into_iter().flatten() {
        assert!(position as usize <= frame.len());
    }
});
