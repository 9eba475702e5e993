//! A session as users see it: one line of `sessions.jsonl`, one object of `GET /sessions`.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use session::{BearerRecord, FTeidRecord, Record};
use types::Snssai;

use crate::identities::Identities;

/// The fields of a session in their order, which is part of the product's outside.
pub const SESSION_FIELDS: &[&str] = &[
    "correlation_id",
    "imsi",
    "msisdn",
    "imei",
    "apn",
    "rat",
    "mcc",
    "mnc",
    "tac",
    "cell",
    "ue_ipv4",
    "ue_ipv6",
    "state",
    "probe",
    "fteids",
    "packets_ul",
    "packets_dl",
    "bytes_ul",
    "bytes_dl",
    "created",
    "ended",
    "snssai",
    "roaming",
    "known",
    "bearers",
];

/// A session with all that is needed to write it down.
///
/// ```
/// use control::{Identities, SessionJson};
/// use session::Record;
///
/// let record = Record { correlation_id: 7, created_ns: 1_700_000_000_008_000_000, ..Record::default() };
/// let mut line = Vec::new();
/// SessionJson::new(&record, Some("probe-1"), &Identities::Clear).write_line(&mut line)?;
/// let line = String::from_utf8(line).unwrap();
/// assert!(line.starts_with(r#"{"correlation_id":"0000000000000007","imsi":null,"#));
/// assert!(line.contains(r#""created":"2023-11-14T22:13:20.008Z","ended":null"#));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SessionJson<'a> {
    record: &'a Record,
    probe: Option<&'a str>,
    identities: &'a Identities,
}

impl<'a> SessionJson<'a> {
    /// `probe` is the name of the record's probe.
    #[must_use]
    pub const fn new(record: &'a Record, probe: Option<&'a str>, identities: &'a Identities) -> Self {
        Self { record, probe, identities }
    }

    /// Writes it, without a line break.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(out, self).map_err(io::Error::from)
    }

    /// Writes it as one line.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        self.write(out)?;
        out.write_all(b"\n")
    }
}

impl Serialize for SessionJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { record, probe, identities } = *self;
        let mut line = serializer.serialize_struct("session", SESSION_FIELDS.len())?;
        let correlation_id = record.correlation_id;
        line.serialize_field("correlation_id", &Text(format_args!("{correlation_id:016x}")))?;
        line.serialize_field("imsi", &record.imsi.map(|imsi| Text(identities.imsi(imsi))))?;
        line.serialize_field("msisdn", &record.msisdn.map(|msisdn| Text(identities.msisdn(msisdn))))?;
        line.serialize_field("imei", &record.imei.map(|imei| Text(identities.imei(imei))))?;
        line.serialize_field("apn", &record.apn.as_ref().map(|apn| apn.as_str()))?;
        line.serialize_field("rat", &record.rat.and_then(|rat| rat.name()))?;
        let serving = record.serving;
        let digits = |code, width| Text(Digits { code, width });
        line.serialize_field("mcc", &serving.map(|plmn| digits(plmn.mcc, 3)))?;
        line.serialize_field("mnc", &serving.map(|plmn| digits(plmn.mnc, plmn.mnc_digits)))?;
        line.serialize_field("tac", &record.location.area)?;
        line.serialize_field("cell", &record.location.cell)?;
        line.serialize_field("ue_ipv4", &record.ue_ipv4)?;
        line.serialize_field("ue_ipv6", &record.ue_ipv6.map(|prefix| Text(Prefix(prefix))))?;
        line.serialize_field("state", record.state.name())?;
        line.serialize_field("probe", &probe)?;
        line.serialize_field("fteids", &List(&record.fteids))?;
        line.serialize_field("packets_ul", &record.packets_ul)?;
        line.serialize_field("packets_dl", &record.packets_dl)?;
        line.serialize_field("bytes_ul", &record.bytes_ul)?;
        line.serialize_field("bytes_dl", &record.bytes_dl)?;
        line.serialize_field("created", &Text(Time(record.created_ns)))?;
        line.serialize_field("ended", &record.ended_ns.map(|ended| Text(Time(ended))))?;
        line.serialize_field("snssai", &record.snssai.as_ref().map(Wrapped))?;
        line.serialize_field("roaming", &record.roaming)?;
        line.serialize_field("known", &record.known)?;
        line.serialize_field("bearers", &List(&record.bearers))?;
        line.end()
    }
}

/// A string of JSON that is written in place.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A network code with its leading zeros.
struct Digits {
    code: u16,
    width: u8,
}

impl Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.code, width = usize::from(self.width))
    }
}

struct Prefix(std::net::Ipv6Addr);

impl Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/64", self.0)
    }
}

/// Nanoseconds since 1970 as RFC 3339, UTC. What is below a millisecond is cut off.
pub(crate) struct Time(pub(crate) u64);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(self.0)).fmt(f)
    }
}

/// A value of another crate, with its form in JSON.
struct Wrapped<'a, T>(&'a T);

struct List<'a, T>(&'a [T]);

impl<'a, T> Serialize for List<'a, T>
where
    Wrapped<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Wrapped))
    }
}

impl Serialize for Wrapped<'_, FTeidRecord> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut endpoint = serializer.serialize_struct("fteid", 5)?;
        endpoint.serialize_field("interface", &self.0.interface)?;
        endpoint.serialize_field("ip", &self.0.ip)?;
        endpoint.serialize_field("teid", &self.0.teid)?;
        endpoint.serialize_field("packets", &self.0.packets)?;
        endpoint.serialize_field("bytes", &self.0.bytes)?;
        endpoint.end()
    }
}

impl Serialize for Wrapped<'_, BearerRecord> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let BearerRecord { ebi, qci, qfi } = *self.0;
        let mut bearer = serializer.serialize_struct("bearer", 3)?;
        bearer.serialize_field("ebi", &Some(ebi).filter(|&ebi| ebi > 0))?;
        bearer.serialize_field("qci", &qci)?;
        bearer.serialize_field("qfi", &qfi.map(|qfi| qfi.0))?;
        bearer.end()
    }
}

impl Serialize for Wrapped<'_, Snssai> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut slice = serializer.serialize_struct("snssai", 2)?;
        slice.serialize_field("sst", &self.0.sst)?;
        // As in TS 29.571 5.4.4.2: six hex digits.
        slice.serialize_field("sd", &self.0.sd.map(|sd| Text(format!("{sd:06x}"))))?;
        slice.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::PseudonymKey;
    use crate::testing;

    fn line(record: &Record, probe: Option<&str>, identities: &Identities) -> String {
        let mut line = Vec::new();
        SessionJson::new(record, probe, identities).write_line(&mut line).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_session_with_everything() {
        let line = line(&testing::full_session(), Some("probe-1"), &Identities::Clear);
        let wanted = concat!(
            r#"{"correlation_id":"00c0ffee00c0ffee","imsi":"001010000000001","msisdn":"46700000001","#,
            r#""imei":"3569380356438091","apn":"internet","rat":"EUTRAN","mcc":"001","mnc":"01","#,
            r#""tac":1,"cell":256,"ue_ipv4":"10.0.1.0","ue_ipv6":"2001:db8:1::/64","#,
            r#""state":"deleted","probe":"probe-1","fteids":["#,
            r#"{"interface":"N4 SMF","ip":"2001:db8::9","teid":18446744073709551615,"packets":0,"bytes":0},"#,
            r#"{"interface":"S1-U SGW GTP-U","ip":"198.51.100.1","teid":256,"packets":3,"bytes":300}],"#,
            r#""packets_ul":3,"packets_dl":4,"bytes_ul":300,"bytes_dl":4000,"#,
            r#""created":"2023-11-14T22:13:20.008Z","ended":"2023-11-14T22:13:21.999Z","#,
            r#""snssai":{"sst":1,"sd":"0000ff"},"roaming":false,"known":true,"#,
            r#""bearers":[{"ebi":5,"qci":9,"qfi":null},{"ebi":null,"qci":null,"qfi":1}]}"#,
            "\n"
        );
        assert_eq!(line, wanted);
    }

    #[test]
    fn a_session_of_which_nothing_is_known() {
        let line = line(&Record::default(), None, &Identities::Clear);
        let wanted = concat!(
            r#"{"correlation_id":"0000000000000000","imsi":null,"msisdn":null,"imei":null,"apn":null,"#,
            r#""rat":null,"mcc":null,"mnc":null,"tac":null,"cell":null,"ue_ipv4":null,"ue_ipv6":null,"#,
            r#""state":"active","probe":null,"fteids":[],"packets_ul":0,"packets_dl":0,"bytes_ul":0,"#,
            r#""bytes_dl":0,"created":"1970-01-01T00:00:00.000Z","ended":null,"snssai":null,"#,
            r#""roaming":null,"known":false,"bearers":[]}"#,
            "\n"
        );
        assert_eq!(line, wanted);
    }

    #[test]
    fn the_fields_are_those_of_the_manual_in_its_order() {
        let line = line(&testing::full_session(), None, &Identities::Clear);
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
        assert!(object.keys().eq(SESSION_FIELDS), "{line}");
    }

    #[test]
    fn pseudonyms_hide_identities_and_nothing_else() {
        let record = testing::full_session();
        let clear = line(&record, None, &Identities::Clear);
        let identities = Identities::Pseudonym(PseudonymKey::new("change me"));
        let hidden = line(&record, None, &identities);
        let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let (clear, hidden) = (parse(&clear), parse(&hidden));
        for &field in SESSION_FIELDS {
            if ["imsi", "msisdn", "imei"].contains(&field) {
                assert!(hidden[field].as_str().unwrap().starts_with("p-"), "{field}: {hidden}");
            } else {
                assert_eq!(clear[field], hidden[field], "{field}");
            }
        }
        assert!(line(&Record::default(), None, &identities).contains(r#""imsi":null,"msisdn":null"#));
    }

    #[test]
    fn network_codes_keep_their_length() {
        let serving = types::Plmn::from_text("310026");
        let line = line(&Record { serving, ..Record::default() }, None, &Identities::Clear);
        assert!(line.contains(r#""mcc":"310","mnc":"026""#), "{line}");
    }

    #[test]
    fn the_last_moment_there_is() {
        let record = Record { created_ns: u64::MAX, ..Record::default() };
        let line = line(&record, None, &Identities::Clear);
        assert!(line.contains(r#""created":"2554-07-21T23:34:33.709Z""#), "{line}");
    }
}
