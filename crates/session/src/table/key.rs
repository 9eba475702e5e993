//! Keys of 64 bits and a family, and how they are hashed.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use types::Teid;

/// A key of a table: 64 bits and the address family, which is part of it: words of one family that are
/// also words of the other are another key.
///
/// What the bits mean is the same for all keys of one table.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackedKey {
    bits: u64,
    v6: bool,
}

impl PackedKey {
    /// A key that no table has: the node of a tunnel that is not one.
    pub const NONE: Self = Self { bits: u64::MAX, v6: true };

    /// A tunnel to this IPv4 address. TS 29.281 5.1.
    #[inline(always)]
    #[must_use]
    pub const fn tunnel_v4(receiver: Ipv4Addr, teid: Teid) -> Self {
        Self { bits: (receiver.to_bits() as u64) << 32 | teid.0 as u64, v6: false }
    }

    /// A tunnel to the node of this number: an IPv6 address does not fit.
    #[inline(always)]
    pub(crate) const fn tunnel_node(node: u32, teid: Teid) -> Self {
        Self { bits: (node as u64) << 32 | teid.0 as u64, v6: true }
    }

    /// A UE's IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn ue_v4(address: Ipv4Addr) -> Self {
        Self { bits: address.to_bits() as u64, v6: false }
    }

    /// A UE's IPv6 prefix: the upper 64 bits. TS 23.401 5.3.1.2.2.
    #[inline(always)]
    #[must_use]
    pub const fn ue_v6(address: Ipv6Addr) -> Self {
        Self { bits: (address.to_bits() >> 64) as u64, v6: true }
    }

    /// Any 64 bits of a family.
    #[inline(always)]
    pub(crate) const fn new(bits: u64, v6: bool) -> Self {
        Self { bits, v6 }
    }

    #[inline(always)]
    pub(crate) const fn bits(self) -> u64 {
        self.bits
    }

    #[inline(always)]
    pub(crate) const fn is_v6(self) -> bool {
        self.v6
    }
}

impl fmt::Debug for PackedKey {
    /// The family: whose address it is does not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.v6 { "PackedKey(v6)" } else { "PackedKey(v4)" })
    }
}

/// Odd and without structure: digits of the golden ratio and of the square roots of 2, 3 and 5.
const CONSTANTS: [u64; 4] =
    [0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b];

/// Both halves of the 128-bit product, folded together.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of one table.
#[derive(Clone)]
pub(crate) struct Hash {
    v4: u64,
    v6: u64,
    factors: [u64; 2],
}

impl Hash {
    pub(crate) const fn new(seed: u64) -> Self {
        let [a, b, c, d] = CONSTANTS;
        let once = fold(seed ^ a, b);
        let twice = fold(once ^ seed ^ c, d);
        let thrice = fold(twice ^ once ^ b, a);
        let last = fold(thrice ^ twice ^ d, c);
        // An even factor would lose a bit of every key.
        Self { v4: once, v6: twice, factors: [thrice | 1, last | 1] }
    }

    #[inline(always)]
    pub(crate) const fn of(&self, key: PackedKey) -> u64 {
        let [first, second] = self.factors;
        // One product would do against strangers, but numbers in a row would lie in clumps under about
        // every tenth seed, as the multiples of any number do whose ratio to 2^64 is almost a simple one.
        fold(fold(key.bits ^ if key.v6 { self.v6 } else { self.v4 }, first), second)
    }

    /// The hash of 128 bits.
    #[inline(always)]
    pub(crate) const fn of_address(&self, address: Ipv6Addr) -> u64 {
        let bits = address.to_bits();
        let [first, second] = self.factors;
        let upper = fold((bits >> 64) as u64 ^ self.v6, first);
        fold(upper ^ bits as u64 ^ self.v4, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_bits() {
        let tunnel = PackedKey::tunnel_v4(Ipv4Addr::new(192, 0, 2, 1), Teid(0xdead_beef));
        assert_eq!((tunnel.bits, tunnel.v6), (0xc000_0201_dead_beef, false));
        let tunnel = PackedKey::tunnel_node(7, Teid(0xdead_beef));
        assert_eq!((tunnel.bits, tunnel.v6), (0x0000_0007_dead_beef, true));
        let ue = PackedKey::ue_v4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!((ue.bits, ue.v6), (0x0a00_0001, false));
        let ue = PackedKey::ue_v6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6));
        assert_eq!((ue.bits, ue.v6), (0x2001_0db8_0001_0002, true));
    }

    #[test]
    fn addresses_do_not_show() {
        let ue = PackedKey::ue_v4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(format!("{ue:?}"), "PackedKey(v4)");
        assert_eq!(format!("{:?}", PackedKey::NONE), "PackedKey(v6)");
    }

    #[test]
    fn every_bit_of_a_key_and_of_the_seed_moves_about_half_of_the_hash() {
        let key = PackedKey::new(0x1234_5678_9abc_def0, false);
        let hash = Hash::new(1).of(key);
        let mut flipped = 0;
        for bit in 0..64 {
            let other = Hash::new(1).of(PackedKey::new(key.bits ^ 1 << bit, false));
            let seeded = Hash::new(1 ^ 1 << bit).of(key);
            assert_ne!(other, hash);
            flipped += (other ^ hash).count_ones() + (seeded ^ hash).count_ones();
        }
        assert_ne!(Hash::new(1).of(PackedKey::new(key.bits, true)), hash);
        let mean = f64::from(flipped) / 128.0;
        assert!((28.0..36.0).contains(&mean), "{mean} bits of 64");
    }
}
