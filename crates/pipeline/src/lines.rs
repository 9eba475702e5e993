//! What a receiver keeps of each tunnel: half a cache line that it looks at for every packet.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytemuck::Zeroable;
use cpu::{Array, Pages};
use session::TunnelId;
use types::{Toward, UeAddress, Verdict};
use wire::Addresses;

/// How far it is known whose a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its control plane was seen.
    Known,
    /// Only its packets were seen; they tell the UE's address.
    Told,
    /// Only its packets were seen, and the UE's address is not clear yet.
    Unclear,
}

/// What was decided for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) verdict: Verdict,
    pub(crate) standing: Standing,
    pub(crate) toward: Option<Toward>,
    /// It was replaced, and its number may be another session's any moment.
    pub(crate) retiring: bool,
}

impl Binding {
    const RETIRING: u32 = 1 << 27;
    const STANDING: u32 = 28;
    const TOWARD: u32 = 30;

    const fn bits(self) -> u32 {
        let standing = match self.standing {
            Standing::Known => 0,
            Standing::Told => 1,
            Standing::Unclear => 2,
        };
        let toward = match self.toward {
            None => 0,
            Some(Toward::Uplink) => 1,
            Some(Toward::Downlink) => 2,
        };
        let retiring = if self.retiring { Self::RETIRING } else { 0 };
        self.verdict.bits() | retiring | standing << Self::STANDING | toward << Self::TOWARD
    }

    #[inline(always)]
    const fn from_bits(bits: u32) -> Self {
        let standing = match bits >> Self::STANDING & 3 {
            0 => Standing::Known,
            1 => Standing::Told,
            _ => Standing::Unclear,
        };
        let toward = match bits >> Self::TOWARD & 3 {
            1 => Some(Toward::Uplink),
            2 => Some(Toward::Downlink),
            _ => None,
        };
        let retiring = bits & Self::RETIRING != 0;
        Self { verdict: Verdict::from_bits(bits), standing, toward, retiring }
    }
}

/// One tunnel. The tracker writes binding and addresses, the receiver the counters: each field has one
/// writer, and none guards another, so that every access is relaxed. The tunnel table, which leads
/// here, publishes what was written before.
#[derive(Debug, Zeroable)]
#[repr(C, align(32))]
pub(crate) struct Line {
    binding: AtomicU32,
    /// The UE's IPv4 address; 0: none.
    ue_v4: AtomicU32,
    /// A hash of the UE's IPv6 prefix; 0: none.
    ue_v6: AtomicU32,
    /// The last packet, in milliseconds of the engine's time, modulo 2³².
    last_ms: AtomicU32,
    packets: AtomicU64,
    bytes: AtomicU64,
}
const _: () = assert!(size_of::<Line>() == 32);

/// Whether a packet is its session's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It has the UE's address, or nothing speaks against it.
    Own,
    /// The address that should be the UE's is another one.
    Other(IpAddr),
}

impl Line {
    #[inline(always)]
    pub(crate) fn binding(&self) -> Binding {
        Binding::from_bits(self.binding.load(Ordering::Relaxed))
    }

    pub(crate) fn bind(&self, binding: Binding, ue: UeAddress) {
        self.ue_v4.store(ue.v4.map_or(0, |address| address.to_bits()), Ordering::Relaxed);
        self.ue_v6.store(ue.v6.map_or(0, |prefix| hash_of(prefix.to_bits())), Ordering::Relaxed);
        self.binding.store(binding.bits(), Ordering::Relaxed);
    }

    /// Its tunnel was replaced.
    pub(crate) fn retire(&self) {
        self.binding.store(self.binding.load(Ordering::Relaxed) | Binding::RETIRING, Ordering::Relaxed);
    }

    /// Forgets what was counted: the tunnel is a new one.
    pub(crate) fn reset(&self) {
        self.packets.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.last_ms.store(0, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn count(&self, bytes: u16, time_ns: u64) {
        self.packets.store(self.packets.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let bytes = self.bytes.load(Ordering::Relaxed).wrapping_add(u64::from(bytes));
        self.bytes.store(bytes, Ordering::Relaxed);
        self.last_ms.store((time_ns / NS_PER_MS) as u32, Ordering::Relaxed);
    }

    /// Packets and bytes.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (self.packets.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// When its last packet came, as seen at `now_ns`; 0 where none came. Right for 49 days.
    pub(crate) fn last_ns(&self, now_ns: u64) -> u64 {
        if self.packets.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let now_ms = now_ns / NS_PER_MS;
        let ago = (now_ms as u32).wrapping_sub(self.last_ms.load(Ordering::Relaxed));
        now_ms.saturating_sub(u64::from(ago)).saturating_mul(NS_PER_MS)
    }

    /// Compares the address that should be the UE's. Where the way is not known, either may be. An
    /// address of a family of which the session has none, while it has one of the other, is not its own.
    #[inline(always)]
    pub(crate) fn compare(&self, addresses: Addresses, toward: Option<Toward>) -> Match {
        let (v4, v6) = (self.ue_v4.load(Ordering::Relaxed), self.ue_v6.load(Ordering::Relaxed));
        match addresses {
            Addresses::V4 { source, destination } => {
                let own = match toward {
                    Some(Toward::Uplink) => source,
                    Some(Toward::Downlink) => destination,
                    None if v4 == 0 || source == v4 => return Match::Own,
                    None => destination,
                };
                if own == v4 || v4 == 0 && v6 == 0 || !is_unicast_v4(own) {
                    return Match::Own;
                }
                Match::Other(IpAddr::V4(own.into()))
            }
            Addresses::V6 { source, destination } => {
                let own = match toward {
                    Some(Toward::Uplink) => source,
                    Some(Toward::Downlink) => destination,
                    None if v6 == 0 || hash_of(source) == v6 => return Match::Own,
                    None => destination,
                };
                // In a session without IPv6 not even a router advertisement is its own.
                if hash_of(own) == v6 || v4 == 0 && v6 == 0 || v6 != 0 && !is_global_v6(own) {
                    return Match::Own;
                }
                Match::Other(IpAddr::V6(own.into()))
            }
        }
    }
}

impl Line {
    /// Whether an address of the UE is known that is of the family of this one.
    pub(crate) fn has_one_like(&self, address: IpAddr) -> bool {
        let own = if address.is_ipv4() { &self.ue_v4 } else { &self.ue_v6 };
        own.load(Ordering::Relaxed) != 0
    }

    /// Whether a packet has the UE's address, at the UE's end. What cannot be told (no address of the
    /// UE is known) is so.
    pub(crate) fn is_surely_own(&self, addresses: Addresses, toward: Option<Toward>) -> bool {
        let (v4, v6) = (self.ue_v4.load(Ordering::Relaxed), self.ue_v6.load(Ordering::Relaxed));
        let (source, destination) = match addresses {
            Addresses::V4 { source, destination } => (source == v4, destination == v4),
            Addresses::V6 { source, destination } => (hash_of(source) == v6, hash_of(destination) == v6),
        };
        let own = match toward {
            Some(Toward::Uplink) => source,
            Some(Toward::Downlink) => destination,
            None => source || destination,
        };
        own || v4 == 0 && v6 == 0
    }
}

const NS_PER_MS: u64 = 1_000_000;

/// 32 bits for the upper 64 of an IPv6 address, never 0.
#[inline(always)]
fn hash_of(address: u128) -> u32 {
    let prefix = (address >> 64) as u64;
    ((prefix.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32) | 1
}

/// Neither unspecified, link-local nor multicast: what can be a subscriber's address at all.
pub(crate) const fn is_unicast_v4(address: u32) -> bool {
    // 0.0.0.0/8, 169.254.0.0/16, 224.0.0.0/4 and what is above it.
    address >> 24 != 0 && address >> 16 != 0xa9fe && address >> 28 < 0xe
}

/// The same for IPv6: ::, fe80::/10, ff00::/8.
pub(crate) const fn is_global_v6(address: u128) -> bool {
    address >> 64 != 0 && address >> 118 != 0x3fa && address >> 120 != 0xff
}

/// Whether an address can be a subscriber's.
pub(crate) const fn can_be_ue(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_unicast_v4(address.to_bits()),
        IpAddr::V6(address) => is_global_v6(address.to_bits()),
    }
}

/// The lines of all tunnels, by their number. Memory is taken as it is used.
#[derive(Debug)]
pub(crate) struct Lines(Array<Line>);

impl Lines {
    pub(crate) fn new(tunnels: usize, pages: Pages) -> std::io::Result<Self> {
        Array::zeroed(tunnels, pages).map(Self)
    }

    #[inline(always)]
    pub(crate) fn get(&self, tunnel: TunnelId) -> Option<&Line> {
        self.0.get(tunnel.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;
    use types::ProbeId;

    #[test]
    fn a_binding_survives_its_word() {
        for standing in [Standing::Known, Standing::Told, Standing::Unclear] {
            for toward in [None, Some(Toward::Uplink), Some(Toward::Downlink)] {
                for verdict in [Verdict::NONE, Verdict::new(63, ProbeId(63), ProbeId(63))] {
                    for retiring in [false, true] {
                        let binding = Binding { verdict, standing, toward, retiring };
                        assert_eq!(Binding::from_bits(binding.bits()), binding);
                    }
                }
            }
        }
    }

    fn line(ue: UeAddress) -> Line {
        let line = Line::zeroed();
        let binding =
            Binding { verdict: Verdict::NONE, standing: Standing::Known, toward: None, retiring: false };
        line.bind(binding, ue);
        line
    }

    #[test]
    fn the_ues_address_is_at_the_ues_end() {
        let ue = UeAddress { v4: Some([10, 0, 0, 1].into()), v6: None };
        let line = self::line(ue);
        let (own, other, server) = (0x0a00_0001, 0x0a00_0002, 0x0808_0808);
        let up = |source| Addresses::V4 { source, destination: server };
        let down = |destination| Addresses::V4 { source: server, destination };
        assert_eq!(line.compare(up(own), Some(Toward::Uplink)), Match::Own);
        assert_eq!(line.compare(down(own), Some(Toward::Downlink)), Match::Own);
        let liar = Match::Other(IpAddr::from([10, 0, 0, 2]));
        assert_eq!(line.compare(up(other), Some(Toward::Uplink)), liar);
        assert_eq!(line.compare(down(other), Some(Toward::Downlink)), liar);
        assert_eq!(line.compare(up(own), None), Match::Own);
        assert_eq!(line.compare(down(own), None), Match::Own);
        // Addresses that are nobody's say nothing.
        for nobody in [0, 0xa9fe_0101, 0xe000_0001, 0xffff_ffff] {
            assert_eq!(line.compare(up(nobody), Some(Toward::Uplink)), Match::Own);
        }
        // The session has no IPv6 address at all.
        let v6 = Addresses::V6 { source: 1 << 120, destination: 1 << 121 };
        assert_eq!(line.compare(v6, Some(Toward::Uplink)), Match::Other(IpAddr::V6((1 << 120).into())));
        let link_local = 0xfe80 << 112 | 1;
        let advertisement = Addresses::V6 { source: link_local, destination: link_local + 1 };
        let foreign = Match::Other(IpAddr::V6((link_local + 1).into()));
        assert_eq!(line.compare(advertisement, Some(Toward::Downlink)), foreign);
        assert_eq!(line.compare(v6, None), Match::Own);
        let nothing_known = self::line(UeAddress::default());
        assert_eq!(nothing_known.compare(v6, Some(Toward::Uplink)), Match::Own);
        assert!(!line.is_surely_own(v6, Some(Toward::Uplink)) && !line.is_surely_own(up(other), None));
        assert!(line.is_surely_own(up(own), None) && !line.is_surely_own(up(own), Some(Toward::Downlink)));
    }

    #[test]
    fn of_ipv6_the_prefix_counts() {
        let prefix: Ipv6Addr = "2001:db8:1:2::".parse().unwrap();
        let line = line(UeAddress { v4: None, v6: Some(prefix) });
        let up = |text: &str| Addresses::V6 {
            source: text.parse::<Ipv6Addr>().unwrap().to_bits(),
            destination: 1 << 120,
        };
        assert_eq!(line.compare(up("2001:db8:1:2:3:4:5:6"), Some(Toward::Uplink)), Match::Own);
        assert_eq!(line.compare(up("fe80::1"), Some(Toward::Uplink)), Match::Own);
        let other = "2001:db8:1:3::1";
        assert_eq!(line.compare(up(other), Some(Toward::Uplink)), Match::Other(other.parse().unwrap()));
    }

    #[test]
    fn the_last_packet_is_remembered_over_a_turn_of_the_counter() {
        let line = line(UeAddress::default());
        assert_eq!(line.last_ns(5), 0);
        let turn = (1_u64 << 32) * NS_PER_MS;
        line.count(100, turn - 7 * NS_PER_MS);
        assert_eq!(line.last_ns(turn + 9 * NS_PER_MS), turn - 7 * NS_PER_MS);
        assert_eq!(line.counted(), (1, 100));
    }
}
