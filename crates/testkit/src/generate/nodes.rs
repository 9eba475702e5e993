//! The network that the generated traffic runs over: its nodes and their addresses, and servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mix;
use crate::packet::Packet;

/// Base stations of each kind.
pub(super) const RADIO_NODES: u8 = 12;
/// Gateways of each kind between radio and core: SGW, UPF.
pub(super) const GATEWAYS: u8 = 3;
/// Nodes of each other kind that come in several: MME, PGW, SGSN, GGSN.
pub(super) const PAIRS: u8 = 2;
/// Addresses for the user plane of each gateway.
pub(super) const PLANES: u8 = 2;
/// Radio network controllers with a direct tunnel to the GGSN.
pub(super) const CONTROLLERS: u8 = 4;

/// A network node, or that part of a gateway that has an address of its own. Parts of the user plane
/// count `PLANES` for each gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Enb(u8),
    Gnb(u8),
    Rnc(u8),
    Mme(u8),
    /// SGW towards MMEs.
    SgwS11(u8),
    /// SGW towards PGWs.
    SgwS5(u8),
    SgwS1u(u8),
    SgwS5u(u8),
    PgwC(u8),
    PgwU(u8),
    SgsnC(u8),
    SgsnU(u8),
    GgsnC(u8),
    GgsnU(u8),
    Smf,
    UpfN4(u8),
    UpfN3(u8),
    /// Collects charging records.
    Charging,
    Dns,
}

impl Node {
    /// One more than the largest [`Node::number`].
    pub(super) const COUNT: usize = 80;

    /// A number of its own, and its host number in the network that the first number names.
    const fn place(self) -> (u8, usize, u8) {
        match self {
            Self::Enb(index) => (0, index as usize, 10 + index),
            Self::Gnb(index) => (0, 12 + index as usize, 110 + index),
            Self::Rnc(index) => (0, 24 + index as usize, 210 + index),
            Self::Mme(index) => (1, 28 + index as usize, 100 + index),
            Self::SgwS11(index) => (1, 30 + index as usize, 1 + index),
            Self::SgwS5(index) => (1, 33 + index as usize, 11 + index),
            Self::SgwS1u(index) => (1, 36 + index as usize, 21 + index),
            Self::SgwS5u(index) => (1, 42 + index as usize, 31 + index),
            Self::PgwC(index) => (2, 48 + index as usize, 31 + index),
            Self::PgwU(index) => (2, 50 + index as usize, 41 + index),
            Self::SgsnC(index) => (1, 54 + index as usize, 110 + index),
            Self::SgsnU(index) => (1, 56 + index as usize, 112 + index),
            Self::GgsnC(index) => (1, 58 + index as usize, 120 + index),
            Self::GgsnU(index) => (1, 60 + index as usize, 122 + index),
            Self::Smf => (2, 64, 100),
            Self::UpfN4(index) => (2, 65 + index as usize, 1 + index),
            Self::UpfN3(index) => (2, 68 + index as usize, 11 + index),
            Self::Charging => (1, 74, 130),
            Self::Dns => (1, 75, 53),
        }
    }

    /// A small number of its own.
    pub(super) const fn number(self) -> usize {
        self.place().1
    }

    /// The SGW's address towards PGWs. The last SGW has one address for all: its TEIDs count together.
    pub(super) const fn sgw_s5(gateway: u8) -> Self {
        if gateway + 1 == GATEWAYS { Self::SgwS11(gateway) } else { Self::SgwS5(gateway) }
    }

    /// One of the SGW's addresses for the user plane towards PGWs.
    pub(super) const fn sgw_s5u(gateway: u8, plane: u8) -> Self {
        let index = gateway * PLANES + plane;
        if gateway + 1 == GATEWAYS { Self::SgwS1u(index) } else { Self::SgwS5u(index) }
    }

    /// Addresses for documentation only, RFC 5737 and RFC 3849.
    pub(super) fn address(self, v6: bool) -> IpAddr {
        let (network, _, host) = self.place();
        let [a, b, c] = match network {
            0 => [192, 0, 2],
            1 => [198, 51, 100],
            _ => [203, 0, 113],
        };
        if v6 {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, 0, 0, c.into(), host.into()))
        } else {
            IpAddr::V4(Ipv4Addr::new(a, b, c, host))
        }
    }

    pub(super) fn ipv4(self) -> Ipv4Addr {
        match self.address(false) {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }
}

/// The locally administered MAC address of a node.
pub(super) fn mac(address: IpAddr) -> [u8; 6] {
    let [.., a, b, c, d] = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    [2, u8::from(address.is_ipv6()), a, b, c, d]
}

/// The link layer between two nodes.
pub(super) fn ethernet_between(packet: &mut Packet<'_>, from: IpAddr, to: IpAddr, vlan: Option<u16>) {
    packet.ethernet(mac(to), mac(from));
    if let Some(vlan) = vlan {
        packet.vlan(0x8100, vlan);
    }
}

/// The addresses of a subscriber in one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UeAddress {
    pub(super) v4: Option<Ipv4Addr>,
    pub(super) v6: Option<Ipv6Addr>,
}

/// The subscriber's IPv4 address of this number.
pub(super) fn ue_ipv4(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0002_u32.wrapping_add(number))
}

/// The subscriber's IPv6 address in the prefix of this number.
pub(super) fn ue_ipv6(number: u32, salt: u64) -> Ipv6Addr {
    let id = mix(salt ^ mix(u64::from(number) << 8 | 3));
    let [a, b, c, d] = [48, 32, 16, 0].map(|shift| (id >> shift) as u16);
    Ipv6Addr::new(0x2001, 0xdb8, (number >> 16) as u16, number as u16, a & !0x0200, b, c, d)
}

/// A server for a subscriber of that address family. 198.18.0.0/15 is set apart for tests, RFC 2544.
pub(super) fn server(v6: bool, dns: bool, index: u16) -> IpAddr {
    match (v6, dns) {
        (false, true) => IpAddr::V4(Ipv4Addr::from(0xc612_0035)),
        (false, false) => IpAddr::V4(Ipv4Addr::from(0xc613_0000 + u32::from(index))),
        (true, true) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x35)),
        (true, false) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 1, 0, 0, 0, index)),
    }
}

/// The /64 prefix of an address.
pub(super) fn prefix_of(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_node_has_a_number_and_addresses_of_its_own() {
        let of = |count: u8, node: fn(u8) -> Node| (0..count).map(node).collect::<Vec<_>>();
        let nodes = [
            of(RADIO_NODES, Node::Enb),
            of(RADIO_NODES, Node::Gnb),
            of(CONTROLLERS, Node::Rnc),
            of(PAIRS, Node::Mme),
            of(GATEWAYS, Node::SgwS11),
            of(GATEWAYS, Node::SgwS5),
            of(GATEWAYS * PLANES, Node::SgwS1u),
            of(GATEWAYS * PLANES, Node::SgwS5u),
            of(PAIRS, Node::PgwC),
            of(PAIRS * PLANES, Node::PgwU),
            of(PAIRS, Node::SgsnC),
            of(PAIRS, Node::SgsnU),
            of(PAIRS, Node::GgsnC),
            of(PAIRS * PLANES, Node::GgsnU),
            of(GATEWAYS, Node::UpfN4),
            of(GATEWAYS * PLANES, Node::UpfN3),
            vec![Node::Smf, Node::Charging, Node::Dns],
        ]
        .concat();
        let numbers: HashSet<_> = nodes.iter().map(|node| node.number()).collect();
        assert_eq!(numbers.len(), nodes.len());
        assert!(numbers.iter().all(|&number| number < Node::COUNT));
        for v6 in [false, true] {
            let addresses: HashSet<_> = nodes.iter().map(|node| node.address(v6)).collect();
            assert_eq!(addresses.len(), nodes.len());
        }
    }
}
