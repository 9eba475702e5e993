//! An operator's feed: whose UE addresses are, as `POST /identities` takes it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value};
use types::{Apn, Digits, Imei, Imsi, Msisdn};

use crate::config::parse_duration;

/// How long an entry holds that does not say it.
pub(crate) const TTL: Duration = Duration::from_secs(86_400);
/// The longest that one can hold.
const TTL_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Whose a UE address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// The UE's address; of IPv6 its prefix of 64 bits counts.
    pub ue_ip: IpAddr,
    /// The network instance or APN that it is an address of; `None`: any.
    pub network_instance: Option<Apn>,
    /// Subscriber.
    pub imsi: Option<Imsi>,
    /// Subscriber's number.
    pub msisdn: Option<Msisdn>,
    /// Equipment.
    pub imei: Option<Imei>,
    /// How long it holds from now on.
    pub ttl: Duration,
}

/// What came of a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// Entries that were taken, from the first on.
    pub accepted: usize,
    /// Sessions, up now, that have got something of them.
    pub sessions: u64,
}

/// Why not all entries were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The dataplane did not answer in time.
    #[error("the dataplane does not answer in time: send the entries from number {} on again", .0.accepted + 1)]
    Busy(Fed),
    /// There are as many as there can be.
    #[error(
        "the table of identities is full after {} entries of these: wait until others end, or raise sessions_max \
         in [tracker]: it is the number of both",
        .0.accepted
    )]
    Full(Fed),
}

/// What is wrong with the text of a feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedTextError {
    /// It is no JSON.
    #[error("no JSON: {0}")]
    Json(String),
    /// It is no list.
    #[error("give a list of entries: [{{ \"ue_ip\": \"10.0.1.0\", \"imsi\": \"001010000000001\" }}]")]
    NoList,
    /// An entry is wrong; the first is number 1.
    #[error("entry {number}: {what}")]
    Entry {
        /// Which.
        number: usize,
        /// What is wrong with it.
        what: String,
    },
}

const KEYS: [&str; 6] = ["ue_ip", "network_instance", "imsi", "msisdn", "imei", "ttl"];

impl FeedEntry {
    /// Reads the body of `POST /identities`.
    ///
    /// # Errors
    /// Which entry is wrong, and what about it. It does not repeat what identifies a subscriber.
    pub fn parse_list(text: &[u8]) -> Result<Vec<Self>, FeedTextError> {
        let list: Value =
            serde_json::from_slice(text).map_err(|error| FeedTextError::Json(error.to_string()))?;
        let Value::Array(list) = list else { return Err(FeedTextError::NoList) };
        let entry = |(place, value): (usize, &Value)| {
            Self::parse(value).map_err(|what| FeedTextError::Entry { number: place + 1, what })
        };
        list.iter().enumerate().map(entry).collect()
    }

    fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(fields) = value else { return Err("must be an object".to_owned()) };
        if let Some(unknown) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let shown: String = unknown.chars().take(32).collect();
            return Err(format!("unknown key `{shown}`; there are {}", KEYS.join(", ")));
        }
        let ue_ip = text(fields, "ue_ip")?.ok_or("ue_ip is missing")?;
        let ue_ip = crate::parse_ue_ip(ue_ip).map_err(|wanted| format!("ue_ip: {wanted}"))?;
        if !can_be_ue(ue_ip) {
            return Err("ue_ip: is no address that a UE can have".to_owned());
        }
        let network_instance =
            match text(fields, "network_instance")? {
                None => None,
                Some(name) => Some(Apn::from_text(name.as_bytes()).ok_or(
                    "network_instance: must be 1 to 100 visible ASCII characters, like \"internet\"",
                )?),
            };
        let entry = Self {
            ue_ip,
            network_instance,
            imsi: digits(fields, "imsi", 6, 15)?.map(Imsi),
            msisdn: digits(fields, "msisdn", 3, 15)?.map(Msisdn),
            imei: digits(fields, "imei", 14, 16)?.map(Imei),
            ttl: ttl(fields)?,
        };
        if entry.imsi.is_none() && entry.msisdn.is_none() && entry.imei.is_none() {
            return Err("says nothing: give imsi, msisdn or imei".to_owned());
        }
        Ok(entry)
    }

    /// As [`Self::parse_list`] reads it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                fields.insert(key.to_owned(), Value::String(value));
            }
        };
        put("ue_ip", Some(self.ue_ip.to_string()));
        put("network_instance", self.network_instance.as_ref().map(|name| name.as_str().to_owned()));
        put("imsi", self.imsi.map(|imsi| imsi.0.to_string()));
        put("msisdn", self.msisdn.map(|msisdn| msisdn.0.to_string()));
        put("imei", self.imei.map(|imei| imei.0.to_string()));
        put("ttl", Some(format!("{}ms", self.ttl.as_millis())));
        Value::Object(fields)
    }
}

/// Reads digits of an identity.
///
/// # Errors
/// What can be given.
pub fn parse_digits(text: &str, least: usize, most: usize) -> Result<Digits, String> {
    Digits::from_text(text.as_bytes())
        .filter(|_| (least..=most).contains(&text.len()))
        .ok_or_else(|| format!("must be {least} to {most} digits"))
}

fn can_be_ue(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_loopback())
        }
        IpAddr::V6(v6) => v6.to_bits() >> 64 != 0 && !v6.is_multicast() && !v6.is_unicast_link_local(),
    }
}

/// `null` is as if it were not there.
fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key}: must be a string")),
    }
}

fn digits(
    fields: &Map<String, Value>,
    key: &str,
    least: usize,
    most: usize,
) -> Result<Option<Digits>, String> {
    let read = |text| parse_digits(text, least, most).map_err(|wanted| format!("{key}: {wanted}"));
    text(fields, key)?.map(read).transpose()
}

fn ttl(fields: &Map<String, Value>) -> Result<Duration, String> {
    let ttl = match fields.get("ttl") {
        None | Some(Value::Null) => return Ok(TTL),
        Some(Value::String(text)) => parse_duration(text).map_err(|wanted| format!("ttl: {wanted}"))?,
        Some(Value::Number(secs)) => {
            let secs = secs.as_f64().unwrap_or(-1.0);
            Duration::try_from_secs_f64(secs).map_err(|_| "ttl: must be seconds, or like \"10m\"")?
        }
        Some(_) => return Err("ttl: must be seconds, or like \"10m\"".to_owned()),
    };
    check_ttl(ttl).map_err(|wanted| format!("ttl: {wanted}"))
}

/// Whether an entry can hold so long.
///
/// # Errors
/// What can be given.
pub fn check_ttl(ttl: Duration) -> Result<Duration, String> {
    if ttl < Duration::from_millis(1) || ttl > TTL_MAX {
        return Err("must be from \"1ms\" to \"366d\"".to_owned());
    }
    Ok(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        FeedEntry::parse_list(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_read_is_what_is_written() {
        let text = r#"[{"ue_ip":"10.0.1.0","network_instance":"internet","imsi":"001010000000001",
            "msisdn":"46700000001","imei":"3500000000000012","ttl":"10m"},
            {"ue_ip":"2001:db8:1::/64","imei":"35000000000000","imsi":null,"ttl":1.5}, {"ue_ip":"10.0.1.1","msisdn":"467"}]"#;
        let entries = FeedEntry::parse_list(text.as_bytes()).unwrap();
        assert_eq!(entries.len(), 3);
        let ttls: Vec<_> = entries.iter().map(|entry| entry.ttl).collect();
        assert_eq!(ttls, [Duration::from_secs(600), Duration::from_millis(1_500), TTL]);
        assert_eq!(entries[1].ue_ip, "2001:db8:1::".parse::<IpAddr>().unwrap());
        let written = Value::Array(entries.iter().map(FeedEntry::to_json).collect()).to_string();
        assert_eq!(FeedEntry::parse_list(written.as_bytes()).unwrap(), entries);
        assert_eq!(FeedEntry::parse_list(b"[]").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_said_by_entry_and_field() {
        assert!(said("[{").starts_with("no JSON: "));
        assert!(said("{}").starts_with("give a list of entries"));
        let good = r#"{"ue_ip":"10.0.1.0","imsi":"001010000000001"}"#;
        for (entry, expected) in [
            ("7", "must be an object"),
            (r#"{"imsi":"001010000000001"}"#, "ue_ip is missing"),
            (r#"{"ue_ip":"10.0.1","imsi":"001010000000001"}"#, "ue_ip: "),
            (r#"{"ue_ip":"224.0.0.1","imsi":"001010000000001"}"#, "ue_ip: is no address that a UE can have"),
            (r#"{"ue_ip":"fe80::1","imsi":"001010000000001"}"#, "ue_ip: is no address that a UE can have"),
            (r#"{"ue_ip":"10.0.1.0"}"#, "says nothing: give imsi, msisdn or imei"),
            (r#"{"ue_ip":"10.0.1.0","imsi":"00101000000000x"}"#, "imsi: must be 6 to 15 digits"),
            (r#"{"ue_ip":"10.0.1.0","imsi":1010000000001}"#, "imsi: must be a string"),
            (r#"{"ue_ip":"10.0.1.0","imei":"35"}"#, "imei: must be 14 to 16 digits"),
            (r#"{"ue_ip":"10.0.1.0","msisdn":""}"#, "msisdn: must be 3 to 15 digits"),
            (r#"{"ue_ip":"10.0.1.0","imsi":"001010000000001","ttl":"10"}"#, "ttl: give "),
            (r#"{"ue_ip":"10.0.1.0","imsi":"001010000000001","ttl":0}"#, "ttl: must be from \"1ms\""),
            (r#"{"ue_ip":"10.0.1.0","imsi":"001010000000001","ttl":-1}"#, "ttl: must be seconds"),
            (
                r#"{"ue_ip":"10.0.1.0","imsi":"001010000000001","apn":"x"}"#,
                "unknown key `apn`; there are ue_ip",
            ),
            (
                r#"{"ue_ip":"10.0.1.0","imsi":"001010000000001","network_instance":"a b"}"#,
                "network_instance: must",
            ),
        ] {
            let said = said(&format!("[{good},{entry}]"));
            assert!(said.starts_with(&format!("entry 2: {expected}")), "{said}");
            assert!(!said.contains("00101000000000"), "{said}");
        }
    }
}
