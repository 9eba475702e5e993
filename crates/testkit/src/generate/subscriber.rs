//! Who the subscribers are. All of it follows from the number of the subscriber, so that it needs no
//! memory.

use super::mix;
use super::options::Options;
use crate::truth::Digits;

/// The generation of the network that a subscriber is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Lte,
    Umts,
    Nr,
}

/// What a PDN connection is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) apn: &'static str,
    pub(super) v4: bool,
    pub(super) v6: bool,
    /// Asked for both families, and the network gives IPv4 only. TS 23.401 5.3.1.1.
    pub(super) downgraded: bool,
}

/// One subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    pub(super) access: Access,
    pub(super) imsi: Digits,
    pub(super) msisdn: Digits,
    pub(super) imei: Digits,
    /// Signalling and tunnels over IPv6.
    pub(super) over_ipv6: bool,
    /// In 2G rather than 3G.
    pub(super) geran: bool,
    /// The SMF tells the UPF who it is.
    pub(super) told: bool,
    /// The UPF chooses the TEID.
    pub(super) choose: bool,
    /// The MME uses Modify Access Bearers. TS 29.274 7.2.24.
    pub(super) access_bearers: bool,
    /// PDN connections that it makes at attach.
    pub(super) connections: u8,
    pub(super) qfi: u8,
    /// Whether GTP-U numbers its packets.
    pub(super) numbered: bool,
    /// UDP source port of GTP-U.
    pub(super) source_port: u16,
    /// UDP source port of requests.
    pub(super) control_port: u16,
    draws: u64,
    ipv6: f64,
}

/// Type allocation codes, of devices that do not exist.
const TACS: [u64; 6] = [35_000_101, 35_209_900, 35_332_811, 35_698_404, 86_072_103, 99_000_210];

impl Profile {
    /// The subscriber of this number; always the same for the same seed and options.
    pub(super) fn of(salt: u64, options: &Options, number: u32) -> Self {
        let draws = salt ^ mix(u64::from(number));
        let draw = |what: u64| mix(draws ^ what << 48);
        let share = |what: u64, share: f64| unit(draw(what)) < share;
        let of_access = unit(draw(1));
        let access = if of_access < options.nr {
            Access::Nr
        } else if of_access < options.nr + options.umts {
            Access::Umts
        } else {
            Access::Lte
        };
        let n = u64::from(number);
        // Most are at home, some visit from networks with two and with three digits.
        let (imsi, msisdn) = match draw(2) % 100 {
            0..6 => (Digits::new(262_010_000_000_001 + n, 15), Digits::new(4_915_110_000_001 + n, 13)),
            6..8 => (Digits::new(310_410_000_000_001 + n, 15), Digits::new(12_125_000_001 + n, 11)),
            _ => (Digits::new(1_010_000_000_001 + n, 15), Digits::new(46_700_000_001 + n, 11)),
        };
        let tac = TACS.get((draw(3) % TACS.len() as u64) as usize).copied().unwrap_or(35_000_101);
        let serial = tac * 1_000_000 + n % 1_000_000;
        // TS 23.003 6.2.1, 6.2.2.
        let imei = if share(4, 0.1) {
            Digits::new(serial * 10 + luhn(serial), 15)
        } else {
            Digits::new(serial * 100 + draw(5) % 20, 16)
        };
        let connections = match access {
            Access::Lte if share(6, 0.3) => 2,
            Access::Nr if share(6, 0.15) => 2,
            _ => 1,
        };
        Self {
            access,
            imsi,
            msisdn,
            imei,
            over_ipv6: share(7, options.transport_ipv6),
            geran: access == Access::Umts && share(8, 0.3),
            told: share(9, 0.25),
            choose: share(10, 0.6),
            access_bearers: share(11, 0.3),
            connections,
            qfi: if access == Access::Nr { 1 + 4 * (draw(12) % 3) as u8 } else { 0 },
            numbered: access != Access::Nr && share(13, 0.25),
            // TS 29.281 4.4.2.3, TS 29.274 4.2.2.1: the source port is the sender's own choice.
            source_port: if share(14, 0.1) { 49_152 + (draw(15) % 16_000) as u16 } else { 2152 },
            control_port: if share(16, 0.1) { 49_152 + (draw(17) % 16_000) as u16 } else { 2123 },
            draws,
            ipv6: options.ipv6,
        }
    }

    /// What it asks for in its PDN connection of this number.
    pub(super) fn wish(&self, connection: u8) -> Wish {
        let draw = |what: u64| mix(self.draws ^ what << 48 ^ u64::from(connection) << 40);
        let apn = match (connection, draw(20) % 100) {
            (1.., _) => "ims",
            (0, 0..8) => "corp.example",
            (0, 8..15) => "iot",
            (0, _) => "internet",
        };
        let v6 = unit(draw(21)) < self.ipv6;
        let both = v6 && draw(22) % 100 < 40;
        Wish { apn, v4: !v6 || both, v6, downgraded: !v6 && draw(23) % 100 < 5 }
    }
}

/// A draw as a number from 0 to below 1.
fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

/// The check digit of a number without it. ISO/IEC 7812-1 annex B.
fn luhn(mut number: u64) -> u64 {
    let (mut sum, mut double) = (0, true);
    while number > 0 {
        let digit = number % 10;
        let value = if double { digit * 2 } else { digit };
        sum += value / 10 + value % 10;
        double = !double;
        number /= 10;
    }
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_of_an_imei() {
        // The example of TS 23.003 annex B.
        assert_eq!(luhn(26_053_179_311_383), 7);
        assert_eq!(luhn(49_015_420_323_751), 8);
    }

    #[test]
    fn subscribers_are_spread_as_asked() {
        let options = Options { ipv6: 0.4, ..Options::default() };
        let all: Vec<_> = (0..20_000).map(|number| Profile::of(7, &options, number)).collect();
        let share = |is: fn(&Profile) -> bool| all.iter().filter(|one| is(one)).count() / 200;
        assert!((48..=52).contains(&share(|one| one.access == Access::Lte)));
        assert!((18..=22).contains(&share(|one| one.access == Access::Umts)));
        assert!((38..=42).contains(&share(|one| one.wish(0).v6)));
        assert!((14..=18).contains(&share(|one| one.wish(0).v6 && one.wish(0).v4)));
        assert_eq!(share(|one| !one.wish(1).v4 && !one.wish(1).v6), 0);
        let first = Profile::of(7, &options, 0);
        assert_eq!((first.imsi.to_string().len(), first.msisdn.to_string().len()), (15, 11));
    }
}
