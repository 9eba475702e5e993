//! What a value of an information element holds, taken off its front; and the values that several
//! protocols write alike.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{Apn, Digits, Imei, Imsi, Msisdn, UeAddress};

/// The rest of a value. Every taking is `None` where the value ends before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    #[inline(always)]
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn v4(&mut self) -> Option<Ipv4Addr> {
        self.array::<4>().map(Ipv4Addr::from)
    }

    #[inline(always)]
    pub(crate) fn v6(&mut self) -> Option<Ipv6Addr> {
        self.array::<16>().map(Ipv6Addr::from)
    }

    /// An IPv4 address where it is there by a flag.
    #[inline(always)]
    pub(crate) fn v4_if(&mut self, flag: bool) -> Option<Option<Ipv4Addr>> {
        if flag { self.v4().map(Some) } else { Some(None) }
    }

    /// An IPv6 address where it is there by a flag.
    #[inline(always)]
    pub(crate) fn v6_if(&mut self, flag: bool) -> Option<Option<Ipv6Addr>> {
        if flag { self.v6().map(Some) } else { Some(None) }
    }

    /// A part that begins with its length in one byte.
    #[inline(always)]
    pub(crate) fn counted(&mut self) -> Option<&'a [u8]> {
        let count = self.u8()?;
        self.bytes(usize::from(count))
    }
}

/// An address by its length: 4 or 16 bytes, nothing else.
pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    <[u8; 16]>::try_from(value).ok().map(|sixteen| IpAddr::V6(Ipv6Addr::from(sixteen)))
}

/// The addresses of a UE: of IPv6 the upper 64 bits, and nothing where all is zero.
#[inline]
pub(crate) fn ue(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> UeAddress {
    const INTERFACE_ID: u128 = u64::MAX as u128;
    let v6 = v6.map(|address| Ipv6Addr::from_bits(address.to_bits() & !INTERFACE_ID));
    UeAddress {
        v4: v4.filter(|address| !address.is_unspecified()),
        v6: v6.filter(|prefix| !prefix.is_unspecified()),
    }
}

/// At most 15 digits: an IMSI or an MSISDN has no more. TS 23.003 2.2, 3.3.
fn fifteen(digits: Digits) -> Option<Digits> {
    (digits.bits() >> 60 == 0xf).then_some(digits)
}

/// An IMSI in TBCD.
#[inline]
pub(crate) fn imsi(value: &[u8]) -> Option<Imsi> {
    Digits::from_tbcd(value).and_then(fifteen).map(Imsi)
}

/// An MSISDN in TBCD, without a byte for the type of number.
#[inline]
pub(crate) fn msisdn(value: &[u8]) -> Option<Msisdn> {
    Digits::from_tbcd(value).and_then(fifteen).map(Msisdn)
}

/// An IMEI (15 digits) or IMEISV (16) in TBCD.
#[inline]
pub(crate) fn imei(value: &[u8]) -> Option<Imei> {
    Digits::from_tbcd(value).map(Imei)
}

/// Labels, each behind its length (TS 23.003 9.1, RFC 1035 3.1), as one name with dots. A label of
/// length 0 may end them; without any other label there is no name, which is sent and is not wrong.
pub(crate) fn apn(value: &[u8]) -> Option<Option<Apn>> {
    let mut text = [0_u8; Apn::MAX];
    let mut rest = Cursor(value.strip_suffix(&[0]).unwrap_or(value));
    let mut end = 0_usize;
    while let Some(length) = rest.u8() {
        if !(1..=LABEL_MAX).contains(&length) {
            return None;
        }
        let label = rest.bytes(usize::from(length))?;
        if end > 0 {
            *text.get_mut(end)? = b'.';
            end = end.checked_add(1)?;
        }
        let place = text.get_mut(end..)?.get_mut(..label.len())?;
        place.copy_from_slice(label);
        end = end.checked_add(label.len())?;
    }
    if end == 0 { Some(None) } else { Apn::from_text(text.get(..end)?).map(Some) }
}

const LABEL_MAX: u8 = 63;

/// A name as labels where its bytes are whole labels, else as text: both are sent. TS 29.244 8.2.4.
pub(crate) fn name(value: &[u8]) -> Option<Option<Apn>> {
    apn(value).or_else(|| Apn::from_text(value).map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    /// What is read of labels: `None` where they are wrong, empty where there is no name.
    fn labels(value: &[u8]) -> Option<std::string::String> {
        apn(value).map(|name| name.map(|name| name.to_string()).unwrap_or_default())
    }

    #[test]
    fn labels_become_a_name() {
        let value = b"\x08internet\x06mnc001\x06mcc001\x04gprs";
        assert_eq!(labels(value).as_deref(), Some("internet.mnc001.mcc001.gprs"));
        for cut in 0..value.len() {
            let whole = match cut {
                0 => Some(""),
                9 => Some("internet"),
                16 => Some("internet.mnc001"),
                23 => Some("internet.mnc001.mcc001"),
                _ => None,
            };
            assert_eq!(labels(&value[..cut]).as_deref(), whole, "{cut}");
        }
    }

    #[test]
    fn labels_end_with_the_value_or_with_an_empty_one() {
        assert_eq!(labels(b"\x03ims\x00").as_deref(), Some("ims"));
        assert_eq!(labels(b"\x03ims\x00\x01a"), None, "bytes behind the end");
        assert_eq!(labels(b"\x02ims"), None, "the length too small");
        assert_eq!(labels(b"\x04ims"), None, "the length too great");
        assert_eq!(labels(b"").as_deref(), Some(""));
        assert_eq!(labels(b"\x00").as_deref(), Some(""));
        assert_eq!(labels(b"\x00\x00"), None);
        assert_eq!(labels(b"\x03i\ns"), None, "not printable");
        for length in 64..=255_u8 {
            let mut value: Vec<u8> = std::vec![b'a'; 256];
            value[0] = length;
            assert_eq!(labels(&value[..usize::from(length) + 1]), None, "{length}");
        }
        let longest = [&[63][..], &[b'a'; 63], &[36], &[b'b'; 36]].concat();
        assert_eq!(labels(&longest).unwrap().len(), 100);
        let longer = [&[63][..], &[b'a'; 63], &[37], &[b'b'; 37]].concat();
        assert_eq!(labels(&longer), None);
    }

    #[test]
    fn names_of_both_kinds() {
        assert_eq!(name(b"\x08internet").unwrap().unwrap().as_str(), "internet");
        assert_eq!(name(b"internet").unwrap().unwrap().as_str(), "internet");
        assert_eq!(name(b"\x09internet"), None);
        assert_eq!(name(b""), Some(None));
    }

    #[test]
    fn numbers_have_15_digits_at_most_and_equipment_16() {
        let fifteen = [0x21, 0x43, 0x65, 0x87, 0x09, 0x21, 0x43, 0xf5];
        let sixteen = [0x21, 0x43, 0x65, 0x87, 0x09, 0x21, 0x43, 0x65];
        assert_eq!(imsi(&fifteen).unwrap().to_string(), "123456789012345");
        assert_eq!(msisdn(&fifteen).unwrap().to_string(), "123456789012345");
        assert_eq!((imsi(&sixteen), msisdn(&sixteen)), (None, None));
        assert_eq!(imei(&fifteen).unwrap().to_string(), "123456789012345");
        assert_eq!(imei(&sixteen).unwrap().to_string(), "1234567890123456");
        assert_eq!((imsi(&[]), msisdn(&[]), imei(&[])), (None, None, None));
    }

    #[test]
    fn addresses_by_their_length() {
        assert_eq!(address(&[10, 0, 0, 1]), Some(IpAddr::from([10, 0, 0, 1])));
        let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(address(&six), Some(IpAddr::from(six)));
        for count in (0..16).filter(|&count| count != 4) {
            assert_eq!(address(&six[..count]), None, "{count}");
        }
    }

    #[test]
    fn ue_addresses_are_prefixes_and_never_zero() {
        let v6 = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let both = ue(Some(Ipv4Addr::new(10, 0, 0, 1)), Some(v6));
        assert_eq!(both.v4, Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(both.v6, Some("2001:db8:1:2::".parse().unwrap()));
        let none = ue(Some(Ipv4Addr::UNSPECIFIED), Some("::5".parse().unwrap()));
        assert_eq!(none, UeAddress::default());
    }
}
