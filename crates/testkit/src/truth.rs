//! What a generated capture holds, known without reading it.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use serde::ser::Serializer;

/// One tunnel endpoint of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FTeid {
    /// Name of TS 29.274 clause 8.22 without " interface", or one of Gn, N3, N4 (`N3 gNB`).
    pub interface: &'static str,
    /// The address that handed the TEID out.
    pub ip: IpAddr,
    /// The TEID; on N4 the SEID.
    pub teid: u64,
    /// T-PDUs sent to it.
    pub packets: u64,
    /// The bytes of their inner IP packets.
    pub bytes: u64,
}

/// A number that is written with all its digits: an IMSI, MSISDN, IMEI, MCC, MNC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digits {
    value: u64,
    count: u8,
}

impl Digits {
    /// A number with so many digits, zeros in front where it is shorter; at most 19.
    #[must_use]
    pub const fn new(value: u64, count: u8) -> Self {
        Self { value, count }
    }

    /// The digits from first to last.
    pub(crate) fn each(self) -> impl Iterator<Item = u8> {
        (0..u32::from(self.count)).rev().map(move |place| (self.value / 10_u64.pow(place) % 10) as u8)
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0count$}", self.value, count = usize::from(self.count))
    }
}

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One session, with the fields of a line in `sessions.jsonl`: one PDN connection or PDU session.
///
/// It is what happened in the network. Where the tap lost, delayed or doubled messages
/// ([`Options::loss`](crate::Options), `reorder`, `dup`), the truth does not change: it has sessions
/// that no message in the capture tells of, and times of answers that came later or not at all.
///
/// A T-PDU counts once at each tap point: also when its outer packet came in fragments (with the first
/// of them), and once for each fragment of a packet that was fragmented before it entered the tunnel.
/// Bytes are those of the inner IP packet as its own header tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Not known: it depends on the broker's key.
    pub correlation_id: Option<String>,
    /// IMSI, where signalling tells it.
    pub imsi: Option<Digits>,
    /// MSISDN, where signalling tells it.
    pub msisdn: Option<Digits>,
    /// IMEI (15 digits) or IMEISV (16), where signalling tells it.
    pub imei: Option<Digits>,
    /// APN or DNN, where signalling tells it.
    pub apn: Option<&'static str>,
    /// Radio access type, where signalling tells it.
    pub rat: Option<&'static str>,
    /// Serving network, where signalling tells it.
    pub mcc: Option<Digits>,
    /// Serving network, where signalling tells it.
    pub mnc: Option<Digits>,
    /// Tracking or location area code, where signalling tells it: the last one.
    pub tac: Option<u32>,
    /// Cell or service area, where signalling tells it: the last one.
    pub cell: Option<u64>,
    /// IPv4 address of the UE.
    pub ue_ipv4: Option<Ipv4Addr>,
    /// The /64 prefix of the UE.
    #[serde(serialize_with = "prefix")]
    pub ue_ipv6: Option<Ipv6Addr>,
    /// `active` or `deleted`.
    pub state: &'static str,
    /// Not known: it depends on the broker.
    pub probe: Option<String>,
    /// Every endpoint it ever had, of signalling too, sorted by interface, address, TEID. An endpoint
    /// counts once a procedure that told it was accepted. Without signalling those that received a
    /// T-PDU.
    pub fteids: Vec<FTeid>,
    /// T-PDUs from the UE, on all tap points.
    pub packets_ul: u64,
    /// T-PDUs to the UE, on all tap points.
    pub packets_dl: u64,
    /// Inner IP bytes from the UE, on all tap points.
    pub bytes_ul: u64,
    /// Inner IP bytes to the UE, on all tap points.
    pub bytes_dl: u64,
    /// Time of the first answer that accepted it; without signalling, of its first packet.
    #[serde(rename = "created", serialize_with = "time")]
    pub created_ns: u64,
    /// Time of the first answer that accepted its end, for sessions that ended.
    #[serde(rename = "ended", serialize_with = "time_or_null")]
    pub ended_ns: Option<u64>,
}

/// The sessions of a capture, and which session each frame belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroundTruth {
    /// The sessions in the order in which they were made.
    pub sessions: Vec<Session>,
    packets: Vec<u32>,
}

/// In `packets`: a frame that belongs to no session.
const NO_SESSION: u32 = u32::MAX;

impl GroundTruth {
    pub(crate) fn push(&mut self, session: Option<u32>) {
        self.packets.push(session.unwrap_or(NO_SESSION));
    }

    /// The session of each frame, in the order of the capture: an index into `sessions`, or `None`.
    pub fn packets(&self) -> impl ExactSizeIterator<Item = Option<u32>> {
        self.packets.iter().map(|&index| (index != NO_SESSION).then_some(index))
    }

    /// Writes `{ "sessions": [...], "packets": [...] }`.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{\"sessions\":[")?;
        for (index, session) in self.sessions.iter().enumerate() {
            out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *out, session)?;
        }
        out.write_all(b"\n],\n\"packets\":[")?;
        for (index, packet) in self.packets().enumerate() {
            if index > 0 {
                out.write_all(b",")?;
            }
            match packet {
                Some(session) => write!(out, "{session}")?,
                None => out.write_all(b"null")?,
            }
        }
        out.write_all(b"]}\n")
    }
}

fn prefix<S: Serializer>(address: &Option<Ipv6Addr>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(&format_args!("{address}/64")),
        None => serializer.serialize_none(),
    }
}

fn time<S: Serializer>(ns: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*ns))
}

fn time_or_null<S: Serializer>(ns: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match ns {
        Some(ns) => time(ns, serializer),
        None => serializer.serialize_none(),
    }
}

/// UTC in milliseconds; what is below one is cut off.
fn rfc3339(ns: u64) -> String {
    let (seconds, millis) = (ns / 1_000_000_000, ns / 1_000_000 % 1_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the Gregorian calendar, counted in eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_008_000_000, "2023-11-14T22:13:20.008Z"),
            (1_709_210_096_000_001_000, "2024-02-29T12:34:56.000Z"),
            (1_735_689_599_999_999_999, "2024-12-31T23:59:59.999Z"),
        ];
        for (ns, text) in cases {
            assert_eq!(rfc3339(ns), text);
        }
    }

    #[test]
    fn digits_keep_their_zeros() {
        let imsi = Digits::new(1_010_000_000_001, 15);
        assert_eq!(imsi.to_string(), "001010000000001");
        assert!(imsi.each().eq([0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(serde_json::to_string(&Digits::new(1, 2)).unwrap(), "\"01\"");
    }

    #[test]
    fn json_has_a_null_for_a_frame_of_no_session() {
        let mut truth = GroundTruth::default();
        truth.push(None);
        truth.push(Some(3));
        let mut out = Vec::new();
        truth.write_json(&mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value, serde_json::json!({ "sessions": [], "packets": [null, 3] }));
    }
}
