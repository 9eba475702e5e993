//! Link headers to Ethernet, in place.
//!
//! An Ethernet header is no longer than a cooked header, and no longer than a record header and a
//! NULL header together. So the frame can grow to the front over bytes that were already read, and
//! no packet is copied.

use types::LinkType;

/// Destination and source MAC and an EtherType.
pub(crate) const ETHERNET_BYTES: usize = 14;

/// Where a packet lies in its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: usize,
    pub(crate) len: usize,
    /// Length on the wire.
    pub(crate) wire: u32,
}

/// Replaces the link header of a packet by an Ethernet header.
///
/// Cooked captures keep the source address and the protocol; all other addresses are zero. A packet
/// that is shorter than its link header keeps its bytes behind an Ethernet header of zeros, so that
/// it stays accounted for.
///
/// The [`ETHERNET_BYTES`] in front of the packet are overwritten; the caller has read them.
pub(crate) fn to_ethernet(chunk: &mut [u8], window: Window, link: LinkType) -> Window {
    let packet = chunk.get(window.start..window.start + window.len).unwrap_or_default();
    let Some((link_bytes, source, ether_type)) = link_header(packet, link) else { return window };
    let body = window.start + link_bytes;
    let Some(start) = body.checked_sub(ETHERNET_BYTES) else { return window };
    if let Some(header) = chunk.get_mut(start..body) {
        let (addresses, kind) = header.split_at_mut(12);
        let (destination, from) = addresses.split_at_mut(6);
        destination.fill(0);
        from.copy_from_slice(&source);
        kind.copy_from_slice(&ether_type.to_be_bytes());
    }
    let wire = window.wire.saturating_sub(link_bytes as u32).saturating_add(ETHERNET_BYTES as u32);
    Window { start, len: window.len - link_bytes + ETHERNET_BYTES, wire }
}

/// Length of the link header, source address and EtherType; `None` for Ethernet itself.
fn link_header(packet: &[u8], link: LinkType) -> Option<(usize, [u8; 6], u16)> {
    const UNREADABLE: (usize, [u8; 6], u16) = (0, [0; 6], 0);
    Some(match link {
        LinkType::Ethernet => return None,
        LinkType::RawIp => (0, [0; 6], by_version(packet)),
        LinkType::RawIpv4 => (0, [0; 6], 0x0800),
        LinkType::RawIpv6 => (0, [0; 6], 0x86dd),
        LinkType::Null | LinkType::Loop => match packet.split_first_chunk::<4>() {
            None => UNREADABLE,
            Some((family, _)) => (4, [0; 6], by_family(*family, link)),
        },
        // Packet type, ARPHRD type, address length, address (8 bytes), protocol.
        LinkType::LinuxSll => match packet.first_chunk::<16>() {
            None => UNREADABLE,
            Some(&[_, _, _, _, n0, n1, a, b, c, d, e, f, _, _, p0, p1]) => {
                let source = address([a, b, c, d, e, f], u16::from_be_bytes([n0, n1]).into());
                (16, source, ether_type(u16::from_be_bytes([p0, p1]), packet.len() - 16))
            }
        },
        // Protocol, reserved, interface, ARPHRD type, packet type, address length, address.
        LinkType::LinuxSll2 => match packet.first_chunk::<20>() {
            None => UNREADABLE,
            Some(&[p0, p1, _, _, _, _, _, _, _, _, _, n, a, b, c, d, e, f, _, _]) => {
                let source = address([a, b, c, d, e, f], n.into());
                (20, source, ether_type(u16::from_be_bytes([p0, p1]), packet.len() - 20))
            }
        },
    })
}

/// The first six bytes of a cooked address, of which `len` are meant.
fn address(mut bytes: [u8; 6], len: usize) -> [u8; 6] {
    for byte in bytes.iter_mut().skip(len) {
        *byte = 0;
    }
    bytes
}

/// Cooked captures write 1 for Novell's raw 802.3 and 4 for 802.2 LLC: both are what Ethernet says
/// by a length in this place.
fn ether_type(protocol: u16, body_bytes: usize) -> u16 {
    match protocol {
        1 | 4 => u16::try_from(body_bytes).unwrap_or(u16::MAX).min(1500),
        // Other numbers of Linux's own would be lengths there. IEEE 802: reserved, read by nobody.
        0..=0x05ff => u16::MAX,
        other => other,
    }
}

fn by_version(packet: &[u8]) -> u16 {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => 0x0800,
        Some(6) => 0x86dd,
        _ => 0,
    }
}

/// AF_INET is 2 everywhere; AF_INET6 is 10, 24, 28 or 30.
fn by_family(family: [u8; 4], link: LinkType) -> u16 {
    let mut family =
        if link == LinkType::Loop { u32::from_be_bytes(family) } else { u32::from_le_bytes(family) };
    // The other byte order: no family needs its upper half.
    if family > 0xffff {
        family = family.swap_bytes();
    }
    match family {
        2 => 0x0800,
        10 | 24 | 28 | 30 => 0x86dd,
        // As it is read in its own link type: nothing that is known.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(packet: &[u8], link: LinkType) -> (Vec<u8>, u32) {
        let mut chunk = vec![0xee; 16];
        chunk.extend_from_slice(packet);
        chunk.extend_from_slice(&[0xdd; 4]);
        let wire = packet.len() as u32 + 5;
        let window = to_ethernet(&mut chunk, Window { start: 16, len: packet.len(), wire }, link);
        (chunk[window.start..window.start + window.len].to_vec(), window.wire)
    }

    const ZERO: [u8; 12] = [0; 12];

    #[test]
    fn raw_ip_gets_a_header_of_zeros() {
        let (bytes, wire) = converted(&[0x45, 1, 2], LinkType::RawIp);
        assert_eq!(bytes, [&ZERO[..], &[8, 0, 0x45, 1, 2]].concat());
        assert_eq!(wire, 3 + 5 + 14);
        assert_eq!(converted(&[0x60], LinkType::RawIp).0, [&ZERO[..], &[0x86, 0xdd, 0x60]].concat());
        assert_eq!(converted(&[0x60], LinkType::RawIpv4).0, [&ZERO[..], &[8, 0, 0x60]].concat());
        assert_eq!(converted(&[], LinkType::RawIp), ([&ZERO[..], &[0, 0]].concat(), 19));
    }

    #[test]
    fn null_and_loop_know_both_byte_orders() {
        let v4 = [&ZERO[..], &[8, 0, 0x45]].concat();
        let v6 = [&ZERO[..], &[0x86, 0xdd, 0x60]].concat();
        assert_eq!(converted(&[2, 0, 0, 0, 0x45], LinkType::Null), (v4.clone(), 1 + 5 + 14));
        assert_eq!(converted(&[0, 0, 0, 2, 0x45], LinkType::Null).0, v4);
        assert_eq!(converted(&[0, 0, 0, 2, 0x45], LinkType::Loop).0, v4);
        assert_eq!(converted(&[30, 0, 0, 0, 0x60], LinkType::Null).0, v6);
        assert_eq!(converted(&[0, 0, 0, 24, 0x60], LinkType::Loop).0, v6);
        // An unknown family is no IP, as it is without conversion.
        assert_eq!(converted(&[99, 0, 0, 0, 0x60], LinkType::Null).0, [&ZERO[..], &[0, 0, 0x60]].concat());
    }

    #[test]
    fn cooked_keeps_source_and_protocol() {
        let mut sll = vec![0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0, 0x45, 7];
        let ethernet = vec![0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 8, 0, 0x45, 7];
        assert_eq!(converted(&sll, LinkType::LinuxSll), (ethernet.clone(), 18 + 5 - 2));
        // 802.2 LLC: the type is the length of what follows.
        sll[15] = 4;
        sll[14] = 0;
        assert_eq!(converted(&sll, LinkType::LinuxSll).0[12..14], [0, 2]);
        // A short address.
        sll[5] = 2;
        assert_eq!(converted(&sll, LinkType::LinuxSll).0[6..12], [1, 2, 0, 0, 0, 0]);
        let sll2 = [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x45, 7];
        assert_eq!(converted(&sll2, LinkType::LinuxSll2), (ethernet, 22 + 5 - 6));
    }

    #[test]
    fn a_packet_cut_inside_its_link_header_is_kept() {
        let cut = [9, 9, 9];
        for link in [LinkType::LinuxSll, LinkType::LinuxSll2, LinkType::Null, LinkType::Loop] {
            let (bytes, wire) = converted(&cut, link);
            assert_eq!(bytes, [&ZERO[..], &[0, 0, 9, 9, 9]].concat(), "{link:?}");
            assert_eq!(wire, 3 + 5 + 14);
        }
    }
}
