//! The keyed hashes that pin packets.

use core::net::IpAddr;

use types::{FlowPorts, Imsi, Key, Pair};

/// Keys all hashes that choose probes. Boxes that share it, and their probes' names, agree.
///
/// The hash is made for speed and spread, with a secret so that nobody outside can aim at one probe;
/// it is no cryptographic one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterKey {
    words: [u64; 4],
}

/// Half the golden ratio in 64 bits, and three more odd constants without structure: the first 64-bit
/// digits of the square roots of 2, 3 and 5.
const CONSTANTS: [u64; 4] =
    [0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b];

/// Both halves of the 128-bit product, folded together.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

impl ClusterKey {
    /// The key of this text; the empty text is the key that a run without one uses.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let [mut a, b, c, d] = CONSTANTS;
        for byte in text.bytes() {
            a = fold(a ^ u64::from(byte), CONSTANTS[1]).wrapping_add(a.rotate_left(23));
        }
        let length = text.len() as u64;
        let words = [a, fold(a ^ b, c ^ length), fold(a ^ c, d ^ length), fold(a ^ d, b ^ length)];
        // Multipliers must not be even: the low bit would never count.
        Self { words: words.map(|word| word | 1) }
    }

    /// The pin of two addresses: what [`ClusterKey::pin`] gives for them.
    #[inline(always)]
    #[must_use]
    pub const fn pin_pair(&self, pair: Pair) -> u64 {
        match pair {
            Pair::V4(low, high) => self.pin_v4(low, high),
            Pair::V6(low, high) => self.pin_v6(low, high),
        }
    }

    /// The pin of two IPv4 addresses, the smaller first.
    #[inline(always)]
    #[must_use]
    pub const fn pin_v4(&self, low: u32, high: u32) -> u64 {
        let [k0, k1, ..] = self.words;
        fold(((low as u64) << 32 | high as u64) ^ k0, k1)
    }

    #[inline(always)]
    const fn pin_v6(&self, low: u128, high: u128) -> u64 {
        let [k0, k1, k2, k3] = self.words;
        let first = fold((low >> 64) as u64 ^ k2, low as u64 ^ k3);
        let second = fold((high >> 64) as u64 ^ k1, high as u64 ^ k0);
        fold(first ^ k3, second.rotate_left(32) ^ k1)
    }

    /// The hash that pins every packet with this key. Addresses inside a tunnel and the same
    /// addresses on the open network (N6, SGi) have one pin, so a tap of both sees one subscriber at
    /// one probe. The address family is part of it.
    #[inline]
    #[must_use]
    pub fn pin(&self, key: &Key) -> u64 {
        match *key {
            Key::Inner(pair) | Key::Outer(pair) => self.pin_pair(pair),
            Key::Tunnel(tunnel) => {
                let [_, _, k2, k3] = self.words;
                let receiver = match tunnel.receiver {
                    core::net::IpAddr::V4(address) => fold(u64::from(address.to_bits()) ^ k3, k2),
                    core::net::IpAddr::V6(address) => self.pin_v6(address.to_bits(), 0),
                };
                fold(receiver ^ u64::from(tunnel.teid.0), k3)
            }
            Key::Frame(link) => self.pin_v6(link, u128::MAX),
        }
    }

    /// The pin of a subscriber: all its sessions are at one probe.
    #[must_use]
    pub const fn pin_subscriber(&self, imsi: Imsi) -> u64 {
        let [k0, k1, k2, _] = self.words;
        fold(fold(imsi.0.bits() ^ k2, k0) ^ k1, k2)
    }

    /// The pin of a session whose subscriber is not known: the UE's address (of IPv6 its upper 64
    /// bits), in the network instance where one is known.
    #[must_use]
    pub fn pin_ue(&self, address: IpAddr, network_instance: Option<&str>) -> u64 {
        let [_, k1, k2, k3] = self.words;
        let pin = match address {
            IpAddr::V4(address) => fold(u64::from(address.to_bits()) ^ k1, k3),
            IpAddr::V6(address) => fold((address.to_bits() >> 64) as u64 ^ k3, k2),
        };
        let named = network_instance.map_or(0, |name| {
            name.bytes().fold(k2, |hash, byte| fold(hash ^ u64::from(byte.to_ascii_lowercase()), k1))
        });
        fold(pin ^ named, k2)
    }

    /// A key for what boxes that share this one call their sessions.
    #[must_use]
    pub fn session_key(&self) -> [u64; 4] {
        let [k0, k1, k2, k3] = self.words;
        [fold(k0 ^ k3, k2), fold(k1 ^ k0, k3), fold(k2 ^ k1, k0), fold(k3 ^ k2, k1)]
    }

    /// A number that tells this key from others, and tells nothing of it that its pins do not.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let [a, b, ..] = self.probe("fingerprint");
        fold(a, b)
    }

    /// The hash of one flow of a pinned packet.
    #[inline(always)]
    #[must_use]
    pub fn flow(&self, pin: u64, ports: FlowPorts) -> u64 {
        let ports = u64::from(ports.protocol) << 32 | u64::from(ports.first) << 16 | u64::from(ports.second);
        fold(pin ^ ports, self.words[2])
    }

    /// Two words that stand for a probe of this name.
    pub(crate) fn probe(&self, name: &str) -> [u64; 2] {
        let named = Self::new(name);
        [
            fold(named.words[0] ^ self.words[2], self.words[3]),
            fold(named.words[1] ^ self.words[3], self.words[1]) | 1,
        ]
    }
}

/// The draw of a probe for a pin: 64 bits, each as likely.
#[inline(always)]
pub(crate) const fn draw(pin: u64, probe: [u64; 2]) -> u64 {
    let [seed, factor] = probe;
    fold(pin ^ seed, factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};
    use types::{Teid, TunnelKey};

    #[test]
    fn the_family_is_in_the_key() {
        let key = ClusterKey::new("");
        assert_ne!(key.pin(&Key::Inner(Pair::v4(1, 2))), key.pin(&Key::Inner(Pair::v6(1, 2))));
    }

    #[test]
    fn a_tunnel_is_both_its_halves() {
        let key = ClusterKey::new("");
        let pin = |a: [u8; 4], teid| {
            key.pin(&Key::Tunnel(TunnelKey { receiver: IpAddr::V4(Ipv4Addr::from(a)), teid: Teid(teid) }))
        };
        assert_ne!(pin([10, 0, 0, 1], 1), pin([10, 0, 0, 2], 1));
        assert_ne!(pin([10, 0, 0, 1], 1), pin([10, 0, 0, 1], 2));
    }

    #[test]
    fn the_cluster_key_moves_everything() {
        let (a, b) = (ClusterKey::new("a"), ClusterKey::new("b"));
        assert_ne!(a, b);
        assert_ne!(a.pin_v4(1, 2), b.pin_v4(1, 2));
        assert_ne!(ClusterKey::new("ab"), ClusterKey::new("ba"));
    }

    /// Fixed for ever: another value would move every subscriber at the next upgrade.
    #[test]
    fn values_of_this_version() {
        let key = ClusterKey::new("change me");
        assert_eq!(key.pin(&Key::Inner(Pair::v4(0x0a00_0001, 0x0808_0808))), V4_PIN);
        assert_eq!(key.pin(&Key::Inner(Pair::v6(1 << 120, 7))), V6_PIN);
        assert_eq!(draw(1, key.probe("probe-1")), DRAW);
    }
    /// The same for sessions.
    #[test]
    fn values_of_sessions() {
        let key = ClusterKey::new("change me");
        let imsi = Imsi(types::Digits::from_text(b"001010000000001").unwrap());
        let (v4, v6) = (IpAddr::from([10, 45, 0, 2]), IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, 9]));
        assert_eq!(key.pin_subscriber(imsi), SUBSCRIBER);
        assert_eq!(key.pin_ue(v4, None), UE_V4);
        assert_eq!(key.pin_ue(v6, Some("internet")), UE_V6);
        assert_eq!(key.pin_ue(IpAddr::from([0x2001, 0xdb8, 1, 2, 7, 7, 7, 7]), Some("Internet")), UE_V6);
        assert_ne!(key.pin_ue(v4, Some("internet")), UE_V4);
        assert_eq!(key.session_key()[0], SESSIONS);
        assert_ne!(key.session_key(), ClusterKey::new("other").session_key());
    }
    const SUBSCRIBER: u64 = 0x6d12_cf99_454f_3c7a;
    const UE_V4: u64 = 0x44f8_3e64_25f3_3c39;
    const UE_V6: u64 = 0xd677_f836_f332_a0a8;
    const SESSIONS: u64 = 0xc29a_3731_ae30_6ef2;

    const V4_PIN: u64 = 0x1f88_5c44_9384_f6af;
    const V6_PIN: u64 = 0xab77_b2de_9f4f_3b09;
    const DRAW: u64 = 0x7517_d332_1498_5f33;

    proptest! {
        #[test]
        fn both_directions_have_one_pin(a: u32, b: u32, c: u128, d: u128) {
            let key = ClusterKey::new("x");
            prop_assert_eq!(key.pin(&Key::Inner(Pair::v4(a, b))), key.pin(&Key::Outer(Pair::v4(b, a))));
            prop_assert_eq!(key.pin(&Key::Inner(Pair::v6(c, d))), key.pin(&Key::Outer(Pair::v6(d, c))));
        }
    }
}
