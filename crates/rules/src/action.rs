//! What a rule does.

use core::time::Duration;

use crate::field::Field;
use crate::lex::nearest;

/// How serious an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `critical`
    Critical,
}

impl Severity {
    const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What is taken off a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Header {
    /// Everything up to the inner IP packet.
    Gtp,
    /// VLAN tags.
    Vlan,
    /// MPLS labels.
    Mpls,
}

/// One thing that a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The primary delivery goes to this group.
    Forward(String),
    /// One more delivery goes to this group.
    Copy(String),
    /// There is no primary delivery.
    Drop,
    /// A header is removed.
    Strip(Header),
    /// The inner payload is overwritten.
    Mask,
    /// The packet is shortened to so many bytes.
    Slice(u32),
    /// One session in so many is kept.
    Sample(u32),
    /// What is the same within this time is kept once.
    Dedup(Duration),
    /// The correlation id goes along.
    Tag,
    /// Matches are counted, which they are anyway.
    Count,
    /// An alert is written.
    Alert(Severity),
    /// Packets of the session are written from so long before the match to so long after it.
    Capture(Duration, Duration),
    /// A list gets the value of a field, for so long.
    ListAdd(String, Field, Duration),
    /// A list loses the value of a field.
    ListRemove(String, Field),
}

/// All forms, for messages.
const FORMS: [&str; 14] = [
    "forward:GROUP",
    "copy:GROUP",
    "drop",
    "strip:gtp|vlan|mpls",
    "mask",
    "slice:BYTES",
    "sample:1/N",
    "dedup:WINDOW",
    "tag",
    "count",
    "alert:low|medium|high|critical",
    "capture:BEFORE:AFTER",
    "list-add:LIST:FIELD:TTL",
    "list-remove:LIST:FIELD",
];

/// The name in front of the colon.
fn verb(text: &str) -> &str {
    text.split_once(':').map_or(text, |(verb, _)| verb)
}

/// A duration with its unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

impl Action {
    /// Reads an action.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, String)> {
        let name = verb(text);
        let form = FORMS.iter().copied().find(|form| verb(form) == name);
        let Some(form) = form else {
            let near =
                nearest(name, FORMS.map(verb)).and_then(|near| FORMS.iter().find(|form| verb(form) == near));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", FORMS.join(", ")),
            };
            return Err((format!("there is no action `{name}`"), help));
        };
        let parts: Vec<&str> = text.split(':').skip(1).collect();
        Self::of(name, &parts).map_err(|why| (format!("`{text}`: {why}"), format!("the form is `{form}`")))
    }

    fn of(name: &str, parts: &[&str]) -> Result<Self, String> {
        let group = |group: &str| match group {
            "" => Err("the group has no name".to_owned()),
            name => Ok(name.to_owned()),
        };
        let time = |text: &str| {
            duration(text)
                .ok_or_else(|| format!("`{text}` is no time with its unit, such as 500ms, 10s or 1h"))
        };
        let number = |text: &str, least: u32| {
            let plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
            let number = text.parse().ok().filter(|number| plain && *number >= least);
            number.ok_or_else(|| format!("`{text}` is no whole number from {least} on"))
        };
        let field = |name: &str| Field::named(name).ok_or_else(|| format!("there is no field `{name}`"));
        Ok(match (name, parts) {
            ("forward", [name]) => Self::Forward(group(name)?),
            ("copy", [name]) => Self::Copy(group(name)?),
            ("drop", []) => Self::Drop,
            ("strip", [what]) => Self::Strip(match *what {
                "gtp" => Header::Gtp,
                "vlan" => Header::Vlan,
                "mpls" => Header::Mpls,
                other => return Err(format!("`{other}` cannot be removed")),
            }),
            ("mask", []) => Self::Mask,
            ("slice", [bytes]) => Self::Slice(number(bytes, 14)?),
            ("sample", [share]) => {
                let n =
                    share.strip_prefix("1/").ok_or_else(|| format!("`{share}` is no share such as 1/10"))?;
                Self::Sample(number(n, 1)?)
            }
            ("dedup", [window]) => Self::Dedup(time(window)?),
            ("tag", []) => Self::Tag,
            ("count", []) => Self::Count,
            ("alert", [severity]) => {
                let found = Severity::ALL.into_iter().find(|known| known.name() == *severity);
                Self::Alert(found.ok_or_else(|| format!("there is no severity `{severity}`"))?)
            }
            ("capture", [before, after]) => Self::Capture(time(before)?, time(after)?),
            ("list-add", [list, name, ttl]) => Self::ListAdd(group(list)?, field(name)?, time(ttl)?),
            ("list-remove", [list, name]) => Self::ListRemove(group(list)?, field(name)?),
            (_, parts) => return Err(format!("{} parts behind the name do not fit", parts.len())),
        })
    }

    /// Whether it decides the primary delivery.
    #[must_use]
    pub const fn decides(&self) -> bool {
        matches!(self, Self::Forward(_) | Self::Drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action() {
        let second = Duration::from_secs(1);
        for (text, expected) in [
            ("forward:voice", Action::Forward("voice".into())),
            ("copy:analysis", Action::Copy("analysis".into())),
            ("drop", Action::Drop),
            ("strip:gtp", Action::Strip(Header::Gtp)),
            ("mask", Action::Mask),
            ("slice:128", Action::Slice(128)),
            ("sample:1/10", Action::Sample(10)),
            ("dedup:5ms", Action::Dedup(Duration::from_millis(5))),
            ("tag", Action::Tag),
            ("count", Action::Count),
            ("alert:critical", Action::Alert(Severity::Critical)),
            ("capture:2s:10s", Action::Capture(2 * second, 10 * second)),
            (
                "list-add:hot:session.imsi:10m",
                Action::ListAdd("hot".into(), Field::SessionImsi, 600 * second),
            ),
            ("list-remove:hot:session.imsi", Action::ListRemove("hot".into(), Field::SessionImsi)),
        ] {
            assert_eq!(Action::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_form() {
        for (text, what) in [
            ("forwrad:voice", "there is no action `forwrad`"),
            ("forward", "`forward`: 0 parts behind the name do not fit"),
            ("forward:", "`forward:`: the group has no name"),
            ("sample:2/10", "`sample:2/10`: `2/10` is no share such as 1/10"),
            ("sample:1/0", "`sample:1/0`: `0` is no whole number from 1 on"),
            ("slice:+64", "`slice:+64`: `+64` is no whole number from 14 on"),
            ("alert:hihg", "`alert:hihg`: there is no severity `hihg`"),
            ("capture:5:5", "`capture:5:5`: `5` is no time with its unit, such as 500ms, 10s or 1h"),
            (
                "list-add:hot:session.imsj:1m",
                "`list-add:hot:session.imsj:1m`: there is no field `session.imsj`",
            ),
        ] {
            assert_eq!(Action::parse(text).unwrap_err().0, what);
        }
        assert_eq!(Action::parse("forwrad:x").unwrap_err().1, "did you mean `forward:GROUP`?");
        assert_eq!(Action::parse("alert:x").unwrap_err().1, "the form is `alert:low|medium|high|critical`");
    }
}
