//! Which sessions are asked for: the query of `GET /sessions`, and the flags of `snipe sessions list`.

use std::net::{IpAddr, Ipv6Addr};

use session::{Filter, Record};
use types::{Digits, Imsi, Teid};

use crate::identities::{Identities, Identity, Pseudonym};

/// A subscriber as users name one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscriber {
    /// By the identity itself.
    Imsi(Imsi),
    /// By what stands for it in records.
    Pseudonym(Pseudonym),
}

/// What `GET /sessions` can be asked; what is `None` does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionQuery {
    /// Of this subscriber.
    pub imsi: Option<Subscriber>,
    /// With this UE address; an IPv6 address by its prefix of 64 bits.
    pub ue_ip: Option<IpAddr>,
    /// With this TEID at any receiver, now or before.
    pub teid: Option<Teid>,
    /// So many at most; never 0.
    pub limit: Option<usize>,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A parameter that does not exist.
    #[error("unknown parameter `{0}`; there are imsi, ue_ip, teid, limit")]
    Unknown(String),
    /// The same parameter again.
    #[error("`{0}` is there twice")]
    Twice(&'static str),
    /// A value that cannot be read.
    #[error("{name}={value}: {wanted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What can be given.
        wanted: &'static str,
    },
}

/// Reads an IMSI, or the pseudonym of one.
///
/// # Errors
/// What can be given.
pub fn parse_imsi(text: &str) -> Result<Subscriber, &'static str> {
    // TS 23.003 2.2: at most 15 digits, of which at least MCC, MNC and one more.
    let imsi = Digits::from_text(text.as_bytes()).filter(|digits| (6..=15).contains(&digits.len()));
    imsi.map(|digits| Subscriber::Imsi(Imsi(digits)))
        .or_else(|| Pseudonym::from_text(text).map(Subscriber::Pseudonym))
        .ok_or("give an IMSI of 6 to 15 digits, or its pseudonym (p- and 16 hex digits)")
}

/// Reads a UE address; of IPv6 also with the `/64` that records have.
///
/// # Errors
/// What can be given.
pub fn parse_ue_ip(text: &str) -> Result<IpAddr, &'static str> {
    let prefix = text.strip_suffix("/64").and_then(|prefix| prefix.parse::<Ipv6Addr>().ok());
    prefix
        .map(IpAddr::V6)
        .or_else(|| text.parse().ok())
        .ok_or("give an address like 10.0.1.0, 2001:db8:1::1 or 2001:db8:1::/64")
}

/// Reads a TEID in decimal, or in hex with `0x` in front.
///
/// # Errors
/// What can be given.
pub fn parse_teid(text: &str) -> Result<Teid, &'static str> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((text, 10), |hex| (hex, 16));
    // `from_str_radix` would take a sign.
    let plain = digits.chars().all(|digit| digit.is_digit(radix));
    let number = plain.then(|| u32::from_str_radix(digits, radix).ok()).flatten();
    number.map(Teid).ok_or("give a number of 32 bits like 256 or 0x100")
}

/// Reads a number of sessions.
///
/// # Errors
/// What can be given.
pub fn parse_limit(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|&limit| limit > 0).ok_or("give a number from 1 on")
}

fn set<T>(
    place: &mut Option<T>,
    name: &'static str,
    value: &str,
    parse: fn(&str) -> Result<T, &'static str>,
) -> Result<(), QueryError> {
    if place.is_some() {
        return Err(QueryError::Twice(name));
    }
    match parse(value) {
        Ok(parsed) => *place = Some(parsed),
        Err(wanted) => return Err(QueryError::Value { name, value: shortened(value), wanted }),
    }
    Ok(())
}

/// What a stranger sent comes back in a message only so far.
fn shortened(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

impl SessionQuery {
    /// Reads the part of a URL behind the question mark.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "imsi" => set(&mut parsed.imsi, "imsi", &value, parse_imsi)?,
                "ue_ip" => set(&mut parsed.ue_ip, "ue_ip", &value, parse_ue_ip)?,
                "teid" => set(&mut parsed.teid, "teid", &value, parse_teid)?,
                "limit" => set(&mut parsed.limit, "limit", &value, parse_limit)?,
                _ => return Err(QueryError::Unknown(shortened(&name))),
            }
        }
        Ok(parsed)
    }

    /// Writes what [`SessionQuery::parse`] reads; empty where nothing is asked.
    #[must_use]
    pub fn to_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        match self.imsi {
            Some(Subscriber::Imsi(imsi)) => {
                query.append_pair("imsi", &imsi.to_string());
            }
            Some(Subscriber::Pseudonym(pseudonym)) => {
                query.append_pair("imsi", &pseudonym.to_string());
            }
            None => {}
        }
        if let Some(ue_ip) = self.ue_ip {
            query.append_pair("ue_ip", &ue_ip.to_string());
        }
        if let Some(teid) = self.teid {
            query.append_pair("teid", &teid.to_string());
        }
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        query.finish()
    }

    /// What the dataplane is asked. A pseudonym says nothing to it: [`SessionQuery::admits`] does the
    /// rest.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let (imsi, hidden) = match self.imsi {
            Some(Subscriber::Imsi(imsi)) => (Some(imsi), false),
            Some(Subscriber::Pseudonym(_)) => (None, true),
            None => (None, false),
        };
        let limit = self.limit.filter(|_| !hidden);
        Filter { imsi, ue_ip: self.ue_ip, teid: self.teid, limit }
    }

    /// Whether a session that the dataplane gave is one that was asked for.
    #[must_use]
    pub fn admits(&self, record: &Record, identities: &Identities) -> bool {
        let Some(Subscriber::Pseudonym(wanted)) = self.imsi else { return true };
        record.imsi.is_some_and(|imsi| identities.imsi(imsi) == Identity::Pseudonym(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::PseudonymKey;
    use crate::testing;

    fn imsi(text: &[u8]) -> Imsi {
        Imsi(Digits::from_text(text).unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        let queries = [
            SessionQuery::default(),
            SessionQuery {
                imsi: Some(Subscriber::Imsi(imsi(b"001010000000001"))),
                ue_ip: Some("2001:db8::1".parse().unwrap()),
                teid: Some(Teid(u32::MAX)),
                limit: Some(3),
            },
            SessionQuery {
                imsi: Some(Subscriber::Pseudonym(Pseudonym(7))),
                ue_ip: Some("10.0.1.0".parse().unwrap()),
                ..SessionQuery::default()
            },
        ];
        for query in queries {
            assert_eq!(SessionQuery::parse(&query.to_query()), Ok(query));
        }
        assert_eq!(queries[0].to_query(), "");
        assert_eq!(
            queries[1].to_query(),
            "imsi=001010000000001&ue_ip=2001%3Adb8%3A%3A1&teid=4294967295&limit=3"
        );
    }

    #[test]
    fn values_in_every_form() {
        assert_eq!(parse_teid("256"), Ok(Teid(256)));
        assert_eq!(parse_teid("0x100"), Ok(Teid(256)));
        assert_eq!(parse_teid("0XfFfFfFfF"), Ok(Teid(u32::MAX)));
        for wrong in ["", "0x", "-1", "+1", "0x+1", "4294967296", "0x100000000", "abc", " 1"] {
            assert!(parse_teid(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_ue_ip("2001:db8:1::/64"), Ok("2001:db8:1::".parse().unwrap()));
        for wrong in ["", "10.0.0", "10.0.0.0/64", "10.0.0.0/8", "2001:db8::/48", "nonsense"] {
            assert!(parse_ue_ip(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_imsi("001010000000001"), Ok(Subscriber::Imsi(imsi(b"001010000000001"))));
        assert_eq!(parse_imsi("p-0000000000000007"), Ok(Subscriber::Pseudonym(Pseudonym(7))));
        for wrong in ["", "12345", "0010100000000012", "00101000000000x", "p-7"] {
            assert!(parse_imsi(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_limit("1"), Ok(1));
        for wrong in ["", "0", "-1", "1e3", "99999999999999999999999"] {
            assert!(parse_limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_query_says_what_is_possible() {
        let said = |query: &str| SessionQuery::parse(query).unwrap_err().to_string();
        assert_eq!(said("imssi=1"), "unknown parameter `imssi`; there are imsi, ue_ip, teid, limit");
        assert_eq!(said("teid=1&teid=2"), "`teid` is there twice");
        assert_eq!(said("teid=x%0Ay"), "teid=x\\ny: give a number of 32 bits like 256 or 0x100");
        assert_eq!(said("limit=0"), "limit=0: give a number from 1 on");
        assert_eq!(said("limit"), "limit=: give a number from 1 on");
        assert!(said(&format!("teid={}", "9".repeat(10_000))).len() < 150);
        assert!(said(&"x".repeat(10_000)).len() < 150);
        assert_eq!(SessionQuery::parse("&&"), Ok(SessionQuery::default()));
    }

    #[test]
    fn a_pseudonym_is_looked_for_after_the_dataplane() {
        let identities = Identities::Pseudonym(PseudonymKey::new("change me"));
        let record = testing::full_session();
        let Identity::Pseudonym(pseudonym) = identities.imsi(record.imsi.unwrap()) else { panic!() };
        let query = |pseudonym| SessionQuery {
            imsi: Some(Subscriber::Pseudonym(pseudonym)),
            limit: Some(1),
            ..SessionQuery::default()
        };
        // A limit before the search would hide what is wanted.
        assert_eq!(query(pseudonym).filter(), Filter::default());
        assert!(query(pseudonym).admits(&record, &identities));
        assert!(!query(Pseudonym(pseudonym.0 ^ 1)).admits(&record, &identities));
        assert!(!query(pseudonym).admits(&record, &Identities::Clear));
        assert!(!query(pseudonym).admits(&Record::default(), &identities));
        assert!(SessionQuery::default().admits(&record, &identities));
    }
}
