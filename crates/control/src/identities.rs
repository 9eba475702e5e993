//! How records and alerts name subscribers: as on the wire, or by pseudonyms.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use types::{Digits, Imei, Imsi, Msisdn};

use crate::config::{Config, SubscriberIds};

/// Turns identities into pseudonyms: HMAC-SHA-256 under the cluster key, cut to 64 bits.
///
/// The same identity has the same pseudonym for as long as the key stays, also on another box that has
/// it. Without the key a pseudonym cannot be turned back; with it, anybody can try all identities.
#[derive(Clone)]
pub struct PseudonymKey(Hmac<Sha256>);

impl PseudonymKey {
    /// The key of this text, which is the `cluster_key`.
    #[must_use]
    pub fn new(cluster_key: &str) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length, RFC 2104 section 2")]
        let keyed = Hmac::new_from_slice(cluster_key.as_bytes()).expect("any length is right");
        Self(keyed)
    }

    /// The kind is part of it: an IMSI and an IMEI of the same digits have nothing in common.
    fn of(&self, kind: &str, digits: Digits) -> Pseudonym {
        let mut mac = self.0.clone();
        // Apart from whatever else the cluster key keys.
        mac.update(b"snipe pseudonym ");
        mac.update(kind.as_bytes());
        mac.update(&digits.bits().to_le_bytes());
        let tag = mac.finalize().into_bytes();
        Pseudonym(tag.iter().take(8).fold(0, |word, &byte| word << 8 | u64::from(byte)))
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(…)")
    }
}

/// What stands for an identity: `p-` and 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pseudonym(pub u64);

impl Pseudonym {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("p-")?;
        let plain = hex.len() == 16 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        plain.then(|| u64::from_str_radix(hex, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p-{:016x}", self.0)
    }
}

/// How identities are written: the configuration's `subscriber_ids`.
///
/// ```
/// use control::{Identities, PseudonymKey};
/// use types::{Digits, Imsi};
///
/// let imsi = Imsi(Digits::from_text(b"001010000000001").unwrap());
/// assert_eq!(Identities::Clear.imsi(imsi).to_string(), "001010000000001");
/// let hidden = Identities::Pseudonym(PseudonymKey::new("change me"));
/// assert_eq!(hidden.imsi(imsi).to_string(), "p-a9e49c6efafd3621");
/// ```
#[derive(Clone, Debug, Default)]
pub enum Identities {
    /// As on the wire.
    #[default]
    Clear,
    /// As pseudonyms.
    Pseudonym(PseudonymKey),
}

impl Identities {
    /// As the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        match config.subscriber_ids {
            SubscriberIds::Clear => Self::Clear,
            SubscriberIds::Pseudonym => {
                let key = config.cluster_key.as_ref().map_or("", |key| key.as_str());
                Self::Pseudonym(PseudonymKey::new(key))
            }
        }
    }

    /// A subscriber's identity as it is written.
    #[must_use]
    pub fn imsi(&self, imsi: Imsi) -> Identity {
        self.shown("imsi", imsi.0)
    }

    /// A subscriber's number as it is written.
    #[must_use]
    pub fn msisdn(&self, msisdn: Msisdn) -> Identity {
        self.shown("msisdn", msisdn.0)
    }

    /// An equipment's identity as it is written.
    #[must_use]
    pub fn imei(&self, imei: Imei) -> Identity {
        self.shown("imei", imei.0)
    }

    fn shown(&self, kind: &str, digits: Digits) -> Identity {
        match self {
            Self::Clear => Identity::Clear(digits),
            Self::Pseudonym(key) => Identity::Pseudonym(key.of(kind, digits)),
        }
    }
}

/// An identity as it is written: see [`Identities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its digits.
    Clear(Digits),
    /// What stands for it.
    Pseudonym(Pseudonym),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear(digits) => digits.fmt(f),
            Self::Pseudonym(pseudonym) => pseudonym.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &[u8] = b"001010000000001";

    fn digits(text: &[u8]) -> Digits {
        Digits::from_text(text).unwrap()
    }

    #[test]
    fn pseudonyms_are_stable_and_differ_by_identity_kind_and_key() {
        let hidden = Identities::Pseudonym(PseudonymKey::new("change me"));
        let same = Identities::Pseudonym(PseudonymKey::new("change me"));
        let other = Identities::Pseudonym(PseudonymKey::new("another"));
        let shown = |identities: &Identities, text: &[u8]| identities.imsi(Imsi(digits(text))).to_string();
        assert_eq!(shown(&hidden, DIGITS), shown(&same, DIGITS));
        assert_ne!(shown(&hidden, DIGITS), shown(&other, DIGITS));
        assert_ne!(shown(&hidden, DIGITS), shown(&hidden, b"001010000000002"));
        // A leading zero counts.
        assert_ne!(shown(&hidden, b"1"), shown(&hidden, b"01"));
        assert_ne!(shown(&hidden, DIGITS), hidden.msisdn(Msisdn(digits(DIGITS))).to_string());
        assert_ne!(shown(&hidden, DIGITS), hidden.imei(Imei(digits(DIGITS))).to_string());
    }

    #[test]
    fn the_configuration_says_which() {
        let parse = |text: &str| Config::parse("snipe.toml", text).unwrap().0;
        let imsi = Imsi(digits(DIGITS));
        assert_eq!(Identities::of(&parse("")).imsi(imsi), Identity::Clear(imsi.0));
        let config = parse("cluster_key = \"change me\"\nsubscriber_ids = \"pseudonym\"");
        let wanted = Identities::Pseudonym(PseudonymKey::new("change me")).imsi(imsi);
        assert_eq!(Identities::of(&config).imsi(imsi), wanted);
        assert!(matches!(wanted, Identity::Pseudonym(_)));
    }

    #[test]
    fn the_key_does_not_show() {
        assert_eq!(format!("{:?}", PseudonymKey::new("change me")), "PseudonymKey(…)");
    }

    #[test]
    fn pseudonyms_as_text() {
        assert_eq!(Pseudonym(0x1f).to_string(), "p-000000000000001f");
        assert_eq!(Pseudonym::from_text("p-000000000000001f"), Some(Pseudonym(0x1f)));
        assert_eq!(Pseudonym::from_text("p-000000000000001F"), Some(Pseudonym(0x1f)));
        for wrong in ["", "p-", "p-1f", "p-000000000000001g", "p-+00000000000001f", "p-00000000000000001f"] {
            assert_eq!(Pseudonym::from_text(wrong), None, "{wrong}");
        }
    }
}
