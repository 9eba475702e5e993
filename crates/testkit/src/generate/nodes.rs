//! The network that the generated traffic runs over: nodes, tunnels, subscribers, servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{DOWNLINK, Options, UPLINK, mix};
use crate::packet::Packet;

/// Base stations of each kind.
pub(super) const RADIO_NODES: u32 = 12;
/// Gateways of each kind.
pub(super) const GATEWAYS: u32 = 3;

/// Where the tap stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tap {
    S1U,
    N3,
}

/// The tunnel pair of one subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tunnel {
    pub(super) user: u32,
    pub(super) ue: IpAddr,
    pub(super) tap: Tap,
    pub(super) qfi: u8,
    /// Whether GTP-U numbers its packets.
    pub(super) numbered: bool,
    pub(super) source_port: u16,
    radio: u32,
    gateway: u32,
    over_ipv6: bool,
    teids: [u32; 2],
}

impl Tunnel {
    /// The tunnel of a subscriber; always the same for the same seed and options.
    pub(super) fn of(salt: u64, options: &Options, user: u32) -> Self {
        let draw = |what: u64| mix(salt ^ mix(u64::from(user) << 8 | what));
        let share =
            |what: u64, share: f64| (draw(what) >> 11) as f64 / (1_u64 << 53) as f64 <= share && share > 0.0;
        let tap = if share(1, options.nr) { Tap::N3 } else { Tap::S1U };
        let ue = if share(2, options.ipv6) {
            let (high, low) = ((user >> 16) as u16, user as u16);
            let id = draw(3);
            let [a, b, c, d] = [48, 32, 16, 0].map(|shift| (id >> shift) as u16);
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, high, low, a & !0x0200, b, c, d))
        } else {
            IpAddr::V4(Ipv4Addr::from(0x0a00_0002 + user))
        };
        Self {
            user,
            ue,
            tap,
            qfi: if tap == Tap::N3 { 1 + 4 * (draw(4) % 3) as u8 } else { 0 },
            numbered: tap == Tap::S1U && share(5, 0.25),
            // TS 29.281 4.4.2.3: the source port is the sender's own choice.
            source_port: if share(6, 0.1) { 49_152 + (draw(7) % 16_000) as u16 } else { 2152 },
            radio: user % RADIO_NODES,
            gateway: (draw(8) % u64::from(GATEWAYS)) as u32,
            over_ipv6: share(9, options.transport_ipv6),
            // Every receiver counts for itself: base stations from 1, so that the same TEID occurs
            // at many of them; gateways in no visible order. An odd factor keeps them apart.
            teids: [(user + 1).wrapping_mul(0x9e37_79b1), 1 + user / RADIO_NODES],
        }
    }

    /// The TEID that packets of this direction carry.
    pub(super) fn teid(&self, direction: usize) -> u32 {
        let [up, down] = self.teids;
        if direction == UPLINK { up } else { down }
    }

    /// The node that receives packets of this direction.
    pub(super) fn receiver(&self, direction: usize) -> IpAddr {
        let node = match (self.tap, direction) {
            (Tap::S1U, DOWNLINK) => Node::Enb(self.radio),
            (Tap::N3, DOWNLINK) => Node::Gnb(self.radio),
            (Tap::S1U, _) => Node::Sgw(self.gateway),
            (Tap::N3, _) => Node::Upf(self.gateway),
        };
        node.address(self.over_ipv6)
    }

    /// The name of the interface that receives packets of this direction.
    pub(super) fn interface(&self, direction: usize) -> &'static str {
        match (self.tap, direction) {
            (Tap::S1U, DOWNLINK) => "S1-U eNodeB GTP-U",
            (Tap::N3, DOWNLINK) => "N3 gNB",
            (Tap::S1U, _) => "S1-U SGW GTP-U",
            (Tap::N3, _) => "N3 UPF",
        }
    }

    /// Bytes in front of the inner packet, from the outer IP header on.
    pub(super) fn overhead(&self) -> usize {
        let ip = if self.over_ipv6 { 40 } else { 20 };
        let optional = match (self.tap, self.numbered) {
            (Tap::N3, _) => 8,
            (Tap::S1U, true) => 4,
            (Tap::S1U, false) => 0,
        };
        ip + 8 + 8 + optional
    }
}

/// A network node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Enb(u32),
    Sgw(u32),
    Gnb(u32),
    Upf(u32),
    Mme,
    Smf,
    Sgsn,
    Ggsn,
    /// Collects charging records.
    Charging,
    Dns,
}

impl Node {
    /// Addresses for documentation only, RFC 5737 and RFC 3849.
    pub(super) fn address(self, v6: bool) -> IpAddr {
        let (network, host) = match self {
            Self::Enb(index) => ([192, 0, 2], 10 + index),
            Self::Gnb(index) => ([192, 0, 2], 110 + index),
            Self::Sgw(index) => ([198, 51, 100], 1 + index),
            Self::Mme => ([198, 51, 100], 100),
            Self::Sgsn => ([198, 51, 100], 110),
            Self::Ggsn => ([198, 51, 100], 120),
            Self::Charging => ([198, 51, 100], 130),
            Self::Dns => ([198, 51, 100], 53),
            Self::Upf(index) => ([203, 0, 113], 1 + index),
            Self::Smf => ([203, 0, 113], 100),
        };
        let [a, b, c] = network;
        if v6 {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, 0, 0, c.into(), host as u16))
        } else {
            IpAddr::V4(Ipv4Addr::new(a, b, c, host as u8))
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

/// A server for a subscriber of that address family. 198.18.0.0/15 is set apart for tests, RFC 2544.
pub(super) fn server(ue: IpAddr, dns: bool, index: u16) -> IpAddr {
    let index = u32::from(index);
    match (ue, dns) {
        (IpAddr::V4(_), true) => IpAddr::V4(Ipv4Addr::from(0xc612_0035)),
        (IpAddr::V4(_), false) => IpAddr::V4(Ipv4Addr::from(0xc613_0000 + index)),
        (IpAddr::V6(_), true) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x35)),
        (IpAddr::V6(_), false) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 1, 0, 0, 0, index as u16)),
    }
}

/// The /64 prefix of an address.
pub(super) fn prefix_of(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))
}
