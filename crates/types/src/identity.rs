//! Who a subscriber is, and where: identities, networks, names.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Up to 16 decimal digits as they stand in TBCD (TS 29.002 17.7.8): the first digit in the lowest
/// four bits, 0xf from the end on. One word, compared and hashed as one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digits(u64);

impl Digits {
    /// No digit.
    pub const NONE: Self = Self(u64::MAX);

    /// Reads TBCD: two digits a byte, the first in the low half, 0xf for the end. `None` where there
    /// is no digit, more than 16, or a half byte that is no decimal digit.
    #[must_use]
    pub fn from_tbcd(bytes: &[u8]) -> Option<Self> {
        /// The highest bit of every half byte.
        const HIGHEST: u64 = 0x8888_8888_8888_8888;
        let (bytes, rest) = bytes.split_at_checked(8).unwrap_or((bytes, &[]));
        let word = bytes.iter().rev().fold(u64::MAX, |word, &byte| word << 8 | u64::from(byte));
        // All from the first half byte on that is above 9 must be 0xf.
        let above_nine = word & (word << 1 | word << 2) & HIGHEST;
        let digits = above_nine.trailing_zeros() / 4;
        let end = u64::MAX.checked_shl(digits * 4).unwrap_or(0);
        let ends = word & end == end && rest.iter().all(|&byte| byte == 0xff);
        (ends && digits > 0).then_some(Self(word))
    }

    /// Reads decimal digits. `None` where there is none, more than 16, or anything else.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > 16 {
            return None;
        }
        let mut word = u64::MAX;
        for (place, &digit) in text.iter().enumerate() {
            if !digit.is_ascii_digit() {
                return None;
            }
            word &= !(0xf << (place * 4));
            word |= u64::from(digit - b'0') << (place * 4);
        }
        Some(Self(word))
    }

    /// The word itself: a key for tables.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The digits of such a word.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The digits in order, each 0 to 9.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..16).map(move |place| ((self.0 >> (place * 4)) & 0xf) as u8).take_while(|&digit| digit <= 9)
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 & 0xf == 0xf
    }
}

impl fmt::Debug for Digits {
    /// The number of digits: whose they are does not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digits({})", self.len())
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for digit in self.iter() {
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

macro_rules! subscriber_number {
    ($(#[$doc:meta])* $name:ident, $shown:literal) => {
        $(#[$doc])*
        ///
        /// `Debug` shows it masked; `Display` shows it whole, for records and alerts.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Digits);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                for (place, digit) in self.0.iter().enumerate() {
                    if place < $shown { write!(f, "{digit}")? } else { f.write_str("*")? }
                }
                f.write_str(")")
            }
        }
    };
}

subscriber_number!(
    /// International Mobile Subscriber Identity, up to 15 digits. TS 23.003 2.2.
    Imsi, 5
);
subscriber_number!(
    /// Subscriber's directory number, up to 15 digits, without the type-of-number byte. TS 23.003 3.3.
    Msisdn, 4
);
subscriber_number!(
    /// Equipment identity: 15 digits (IMEI) or 16 (IMEISV). The first 8 are the type allocation code.
    /// TS 23.003 6.2.
    Imei, 8
);

/// A mobile network: country and network code. TS 23.003 12.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plmn {
    /// Mobile country code, 0 to 999: three digits.
    pub mcc: u16,
    /// Mobile network code, 0 to 999.
    pub mnc: u16,
    /// Digits of the network code: 2 or 3.
    pub mnc_digits: u8,
}

impl Plmn {
    /// Reads the three bytes of TS 24.008 10.5.1.13. `None` where a half byte is no digit.
    #[must_use]
    pub const fn from_bytes([a, b, c]: [u8; 3]) -> Option<Self> {
        let (m1, m2, m3) = ((a & 15) as u16, (a >> 4) as u16, (b & 15) as u16);
        let (n1, n2, n3) = ((c & 15) as u16, (c >> 4) as u16, (b >> 4) as u16);
        if m1 > 9 || m2 > 9 || m3 > 9 || n1 > 9 || n2 > 9 || (n3 > 9 && n3 != 15) {
            return None;
        }
        let mcc = m1 * 100 + m2 * 10 + m3;
        if n3 == 15 {
            return Some(Self { mcc, mnc: n1 * 10 + n2, mnc_digits: 2 });
        }
        Some(Self { mcc, mnc: n1 * 100 + n2 * 10 + n3, mnc_digits: 3 })
    }

    /// Reads five or six decimal digits: what `home_plmns` holds.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if !matches!(digits.len(), 5 | 6) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |digits: &[u8]| digits.iter().fold(0_u16, |n, d| n * 10 + u16::from(d - b'0'));
        let (mcc, mnc) = digits.split_at(3);
        Some(Self { mcc: number(mcc), mnc: number(mnc), mnc_digits: mnc.len() as u8 })
    }

    /// Whether an IMSI begins with this network's codes.
    #[must_use]
    pub fn is_home_of(self, imsi: Imsi) -> bool {
        let mut digits = imsi.0.iter().map(u16::from);
        let mut number = |count: u8| {
            let mut value = 0;
            for _ in 0..count {
                value = value * 10 + digits.next()?;
            }
            Some(value)
        };
        number(3) == Some(self.mcc) && number(self.mnc_digits) == Some(self.mnc)
    }
}

/// Radio access type: the values of TS 29.274 8.17, which TS 29.060 7.7.50 shares as far as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rat(pub u8);

impl Rat {
    /// The name in records and rules; `None` for a value that is not assigned.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "UTRAN",
            2 => "GERAN",
            3 => "WLAN",
            4 => "GAN",
            5 => "HSPA-Evolution",
            6 => "EUTRAN",
            7 => "Virtual",
            8 => "EUTRAN-NB-IoT",
            9 => "LTE-M",
            10 => "NR",
            _ => return None,
        })
    }
}

/// Access point name or data network name, or a network instance: at most 100 bytes, labels joined by
/// dots, as sent (case kept). TS 23.003 9.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Apn {
    length: u8,
    bytes: [u8; Self::MAX],
}

impl Apn {
    /// Bytes of a name at most.
    pub const MAX: usize = 100;

    /// A name of these bytes; `None` where there is none, more than [`Self::MAX`], or a byte that is no
    /// printable ASCII.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        let place = bytes.get_mut(..text.len())?;
        if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        place.copy_from_slice(text);
        Some(Self { length: text.len() as u8, bytes })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Apn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Apn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a subscriber is, as far as it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// Tracking area code (16 bits in 4G, 24 in 5G), or location area code.
    pub area: Option<u32>,
    /// E-UTRAN or NR cell identity, or the cell or service area of 2G and 3G.
    pub cell: Option<u64>,
}

/// Network slice. TS 23.003 28.4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Snssai {
    /// Slice/service type.
    pub sst: u8,
    /// Slice differentiator, 24 bits.
    pub sd: Option<u32>,
}

/// The addresses of a UE in one session. A prefix is the upper 64 bits; what was sent beyond them is
/// cut off. All zeros (assigned later by DHCP) is no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UeAddress {
    /// IPv4.
    pub v4: Option<Ipv4Addr>,
    /// IPv6, its lower 64 bits 0.
    pub v6: Option<Ipv6Addr>,
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn digits_keep_their_zeros_and_their_length() {
        let imsi = Digits::from_tbcd(&[0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xf1]).unwrap();
        assert_eq!(imsi.to_string(), "001010000000001");
        assert_eq!(Digits::from_text(b"001010000000001"), Some(imsi));
        assert_eq!(imsi.len(), 15);
        assert_ne!(Digits::from_text(b"1010000000001"), Some(imsi));
        assert_eq!(Digits::from_tbcd(&[]), None);
        assert_eq!(Digits::from_tbcd(&[0xff]), None);
        assert_eq!(Digits::from_tbcd(&[0x1a]), None);
        assert_eq!(Digits::from_tbcd(&[0xf1, 0x22]), None, "digits behind the end");
        assert_eq!(Digits::from_tbcd(&[0x11; 9]), None);
        assert_eq!(Digits::from_tbcd(&[0x21; 8]).unwrap().to_string(), "1212121212121212");
        assert_eq!(Digits::from_tbcd(&[0x21; 8]), Digits::from_tbcd(&[&[0x21; 8][..], &[0xff; 3]].concat()));
        assert_eq!(Digits::from_tbcd(&[&[0x21; 8][..], &[0xff, 0x21]].concat()), None);
    }

    #[test]
    fn every_half_byte_is_a_digit_or_the_end() {
        for (first, second) in (0..=255_u8).flat_map(|first| (0..=255_u8).map(move |second| (first, second)))
        {
            let halves = [first & 15, first >> 4, second & 15, second >> 4];
            let length = halves.iter().position(|&half| half > 9).unwrap_or(4);
            let good = length > 0 && halves[length..].iter().all(|&half| half == 15);
            let digits = Digits::from_tbcd(&[first, second]);
            assert_eq!(digits.is_some(), good, "{first:02x} {second:02x}");
            assert!(digits.is_none_or(|digits| digits.iter().eq(halves[..length].iter().copied())));
        }
    }

    #[test]
    fn subscriber_numbers_are_masked_where_people_debug() {
        let imsi = Imsi(Digits::from_text(b"001010000000001").unwrap());
        assert_eq!(std::format!("{imsi:?}"), "Imsi(00101**********)");
        assert_eq!(imsi.to_string(), "001010000000001");
    }

    #[test]
    fn networks() {
        assert_eq!(Plmn::from_bytes([0x00, 0xf1, 0x10]), Some(Plmn { mcc: 1, mnc: 1, mnc_digits: 2 }));
        assert_eq!(Plmn::from_bytes([0x13, 0x00, 0x62]), Some(Plmn { mcc: 310, mnc: 260, mnc_digits: 3 }));
        assert_eq!(Plmn::from_bytes([0x1a, 0, 0]), None);
        let imsi = Imsi(Digits::from_text(b"310260123456789").unwrap());
        assert!(Plmn::from_text("310260").unwrap().is_home_of(imsi));
        assert!(Plmn::from_text("31026").unwrap().is_home_of(imsi));
        assert!(!Plmn::from_text("310261").unwrap().is_home_of(imsi));
        assert_eq!(Plmn::from_text("1234"), None);
    }

    #[test]
    fn names() {
        assert_eq!(Apn::from_text(b"internet").unwrap().as_str(), "internet");
        assert_eq!(Apn::from_text(&[b'a'; 101]), None);
        assert_eq!(Apn::from_text(b"a\n"), None);
        assert_eq!(Apn::from_text(b""), None);
    }
}
