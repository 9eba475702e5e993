//! Values of fields, and what they are compared with.

use core::fmt;
use core::net::IpAddr;

/// A value that a packet or session has in a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Of [`crate::Kind::Number`] and [`crate::Kind::Seconds`].
    Number(u64),
    /// Of [`crate::Kind::Text`] and [`crate::Kind::Bytes`].
    Bytes(Vec<u8>),
    /// Of [`crate::Kind::Address`].
    Address(IpAddr),
    /// Of [`crate::Kind::Truth`].
    Truth(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// All addresses with these first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The network of an address; its other bits are cleared. `None` where the family has fewer bits.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if bits <= 32 => IpAddr::from(
                (v4.to_bits() & u32::MAX.checked_shl(u32::from(32 - bits)).unwrap_or(0)).to_be_bytes(),
            ),
            IpAddr::V6(v6) if bits <= 128 => IpAddr::from(
                (v6.to_bits() & u128::MAX.checked_shl(u32::from(128 - bits)).unwrap_or(0)).to_be_bytes(),
            ),
            _ => return None,
        };
        Some(Self { address, bits })
    }

    /// The first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits are fixed.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// Whether an address is in it. One of the other family is not.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self::new(address, self.bits) == Some(self)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses() {
        let network = |text: &str, bits| Network::new(text.parse().unwrap(), bits).unwrap();
        let ten = network("10.1.2.3", 8);
        assert_eq!(ten.to_string(), "10.0.0.0/8");
        assert!(ten.contains([10, 255, 0, 1].into()) && !ten.contains([11, 0, 0, 0].into()));
        assert!(!ten.contains("a00::".parse().unwrap()), "the other family");
        assert!(network("::", 0).contains("ff02::1".parse().unwrap()));
        assert!(network("0.0.0.0", 0).contains([255, 255, 255, 255].into()));
        assert!(!network("2001:db8::", 128).contains("2001:db8::1".parse().unwrap()));
        assert_eq!(Network::new([10, 0, 0, 1].into(), 33), None);
    }
}
