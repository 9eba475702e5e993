//! The accounting: the object in `stats.json`, its audit, and a table for people.

mod rates;
mod table;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use types::{DropReason, Malformed, TrafficClass};

pub(crate) use table::{si_bytes, thousands};

/// What `stats.json`, `run --json`, `stats --json` and `GET /stats` give. Fields and their order are
/// part of the product's outside.
///
/// ```
/// use control::{ByClass, ProbeStats, Stats};
/// use types::TrafficClass;
///
/// let mut stats = Stats::new("0.1.0");
/// stats.rx.packets = 2;
/// stats.rx.by_class.add(TrafficClass::GtpU, 2);
/// stats.delivered = 2;
/// stats.probes.insert("probe-1".into(), ProbeStats { packets: 2, user_packets: 2, ..Default::default() });
/// assert!(stats.check().is_ok());
///
/// stats.delivered = 1;
/// assert_eq!(
///     stats.check().unwrap_err().to_string(),
///     "received 2 packets, but delivered 1 + dropped 0 + in flight 0 = 1: 1 too few",
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Of the program.
    pub version: String,
    /// What came in.
    pub rx: RxStats,
    /// Packets that left to at least one probe; one that went to several is one.
    pub delivered: u64,
    /// Packets that left to none, by [`DropReason`].
    pub dropped: Reasons,
    /// Packets in rings and held; 0 at exit.
    pub in_flight: u64,
    /// By name, in the order of the configuration.
    pub probes: IndexMap<String, ProbeStats>,
    /// Subscriber sessions.
    pub sessions: SessionStats,
    /// The rule set.
    pub rules: RuleStats,
}

/// What came in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RxStats {
    /// Packets that reached the program.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// What NIC or kernel lost before us; not in `packets`.
    pub missed: u64,
    /// The packets by class.
    pub by_class: ByClass,
    /// Packets that could not be read to their end, by [`Malformed`]; delivered like any other.
    pub malformed: Reasons,
}

/// Packets by [`TrafficClass`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByClass {
    /// UDP port 2152.
    pub gtp_u: u64,
    /// UDP port 2123.
    pub gtp_c: u64,
    /// UDP port 8805.
    pub pfcp: u64,
    /// UDP port 3386.
    pub gtp_prime: u64,
    /// All else.
    pub other: u64,
}

impl ByClass {
    /// The count of one class.
    #[must_use]
    pub fn get(&self, class: TrafficClass) -> u64 {
        match class {
            TrafficClass::GtpU => self.gtp_u,
            TrafficClass::GtpC => self.gtp_c,
            TrafficClass::Pfcp => self.pfcp,
            TrafficClass::GtpPrime => self.gtp_prime,
            TrafficClass::Other => self.other,
        }
    }

    /// Adds packets to one class.
    pub fn add(&mut self, class: TrafficClass, packets: u64) {
        let count = match class {
            TrafficClass::GtpU => &mut self.gtp_u,
            TrafficClass::GtpC => &mut self.gtp_c,
            TrafficClass::Pfcp => &mut self.pfcp,
            TrafficClass::GtpPrime => &mut self.gtp_prime,
            TrafficClass::Other => &mut self.other,
        };
        *count = count.saturating_add(packets);
    }

    /// All classes together.
    #[must_use]
    pub fn total(&self) -> u64 {
        sum(TrafficClass::ALL.iter().map(|&class| self.get(class)))
    }
}

/// Counts by the name of a reason; one that did not happen is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reasons(IndexMap<String, u64>);

impl Reasons {
    /// Adds to a reason's count; adding 0 does not make it appear.
    pub fn add(&mut self, reason: &str, count: u64) {
        if count > 0 {
            let total = self.0.entry(reason.to_owned()).or_default();
            *total = total.saturating_add(count);
        }
    }

    /// The count of a reason.
    #[must_use]
    pub fn get(&self, reason: &str) -> u64 {
        self.0.get(reason).copied().unwrap_or_default()
    }

    /// Reasons and counts, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(reason, count)| (reason.as_str(), *count))
    }

    /// All reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        sum(self.0.values().copied())
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Malformed, u64)> for Reasons {
    fn from_iter<I: IntoIterator<Item = (Malformed, u64)>>(counts: I) -> Self {
        let mut reasons = Self::default();
        counts.into_iter().for_each(|(reason, count)| reasons.add(reason.name(), count));
        reasons
    }
}

impl FromIterator<(DropReason, u64)> for Reasons {
    fn from_iter<I: IntoIterator<Item = (DropReason, u64)>>(counts: I) -> Self {
        let mut reasons = Self::default();
        counts.into_iter().for_each(|(reason, count)| reasons.add(reason.name(), count));
        reasons
    }
}

/// What one probe was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeStats {
    /// Packets sent to it, of every class.
    pub packets: u64,
    /// Bytes as sent.
    pub bytes: u64,
    /// Of `packets`: classes gtp_c and pfcp.
    pub control_packets: u64,
    /// Of `packets`: class gtp_u.
    pub user_packets: u64,
    /// Sessions, active or ended, whose last probe it is.
    pub sessions: u64,
    /// Copies that it lost, by [`DropReason`].
    pub dropped: Reasons,
}

/// Subscriber sessions: `created = active + deleted + expired`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStats {
    /// All ever.
    pub created: u64,
    /// Up now.
    pub active: u64,
    /// Ended by signalling.
    pub deleted: u64,
    /// Ended by time.
    pub expired: u64,
    /// Changed their probe.
    pub moved: u64,
    /// Packets whose inner address contradicts their session.
    pub inner_mismatch: u64,
    /// What did not fit.
    pub refused: Refused,
    /// Packets that waited until it was known whose they are.
    #[serde(default)]
    pub held: u64,
    /// Packets that found no room where they should have waited: they went as if nobody had told of
    /// their session.
    #[serde(default)]
    pub hold_full: u64,
}

/// Tables that were full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Sessions.
    pub sessions_full: u64,
    /// Tunnels.
    pub tunnels_full: u64,
    /// Requests that wait for their answer.
    pub transactions_full: u64,
}

/// The rule set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStats {
    /// 1 at start, one more with every load.
    pub version: u64,
    /// Matches by rule.
    pub hits: IndexMap<String, u64>,
}

impl Default for RuleStats {
    fn default() -> Self {
        Self { version: 1, hits: IndexMap::new() }
    }
}

/// The books do not close: a mistake of the program, never of its input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountingError {
    /// `rx.packets = delivered + sum(dropped) + in_flight`
    #[error(
        "received {received} packets, but delivered {delivered} + dropped {dropped} + in flight {in_flight} = {}: {}",
        u128::from(*delivered) + u128::from(*dropped) + u128::from(*in_flight),
        difference(u128::from(*received), u128::from(*delivered) + u128::from(*dropped) + u128::from(*in_flight))
    )]
    Packets {
        /// `rx.packets`
        received: u64,
        /// `delivered`
        delivered: u64,
        /// Sum of `dropped`.
        dropped: u64,
        /// `in_flight`
        in_flight: u64,
    },
    /// Every packet has one class.
    #[error(
        "received {received} packets, but the classes add up to {classes}: {}",
        difference(u128::from(*received), u128::from(*classes))
    )]
    Classes {
        /// `rx.packets`
        received: u64,
        /// Sum of `rx.by_class`.
        classes: u64,
    },
    /// A packet is malformed for one reason, the first met.
    #[error("received {received} packets, but {malformed} of them were malformed")]
    Malformed {
        /// `rx.packets`
        received: u64,
        /// Sum of `rx.malformed`.
        malformed: u64,
    },
    /// A probe's packets are control, user, or neither; never both.
    #[error("probe {probe}: sent {packets} packets, but {control} control + {user} user packets")]
    ProbeClasses {
        /// Its name.
        probe: String,
        /// `packets`
        packets: u64,
        /// `control_packets`
        control: u64,
        /// `user_packets`
        user: u64,
    },
    /// A packet is delivered when at least one probe was sent it.
    #[error("delivered {delivered} packets, but all probes together were sent {sent}")]
    Sent {
        /// `delivered`
        delivered: u64,
        /// Sum of the probes' `packets`.
        sent: u64,
    },
    /// `created = active + deleted + expired`
    #[error("created {created} sessions, but active {active} + deleted {deleted} + expired {expired}")]
    Sessions {
        /// `created`
        created: u64,
        /// `active`
        active: u64,
        /// `deleted`
        deleted: u64,
        /// `expired`
        expired: u64,
    },
}

fn difference(wanted: u128, found: u128) -> String {
    if found < wanted {
        format!("{} too few", wanted - found)
    } else {
        format!("{} too many", found - wanted)
    }
}

fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

impl Stats {
    /// Nothing received yet.
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self { version: version.to_owned(), ..Self::default() }
    }

    /// Audits the accounts. They close for any one instant: take all counters of one core together.
    ///
    /// # Errors
    /// The first rule that does not hold, with the numbers.
    pub fn check(&self) -> Result<(), AccountingError> {
        let (received, dropped) = (self.rx.packets, self.dropped.total());
        let accounted = u128::from(self.delivered) + u128::from(dropped) + u128::from(self.in_flight);
        if u128::from(received) != accounted {
            let (delivered, in_flight) = (self.delivered, self.in_flight);
            return Err(AccountingError::Packets { received, delivered, dropped, in_flight });
        }
        let classes = self.rx.by_class.total();
        if received != classes {
            return Err(AccountingError::Classes { received, classes });
        }
        let malformed = self.rx.malformed.total();
        if malformed > received {
            return Err(AccountingError::Malformed { received, malformed });
        }
        for (name, probe) in &self.probes {
            let (packets, control, user) = (probe.packets, probe.control_packets, probe.user_packets);
            if u128::from(control) + u128::from(user) > u128::from(packets) {
                return Err(AccountingError::ProbeClasses { probe: name.clone(), packets, control, user });
            }
        }
        let sent = sum(self.probes.values().map(|probe| probe.packets));
        if self.delivered > sent {
            return Err(AccountingError::Sent { delivered: self.delivered, sent });
        }
        let SessionStats { created, active, deleted, expired, .. } = self.sessions;
        if u128::from(created) != u128::from(active) + u128::from(deleted) + u128::from(expired) {
            return Err(AccountingError::Sessions { created, active, deleted, expired });
        }
        Ok(())
    }

    /// The busiest probe's user packets relative to the mean: 1 is even. `None` without a probe or a
    /// user packet.
    #[must_use]
    pub fn imbalance(&self) -> Option<f64> {
        let total = sum(self.probes.values().map(|probe| probe.user_packets));
        let busiest = self.probes.values().map(|probe| probe.user_packets).max()?;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let ratio = busiest as f64 * self.probes.len() as f64 / total as f64;
        (total > 0).then_some(ratio)
    }

    /// The text of `stats.json`, with a newline at its end.
    ///
    /// # Errors
    /// None is known: every field is a number, a text or a map of them.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// What happened since an earlier account of the same instance, so many seconds ago, as a table for
    /// people, at most 80 columns wide. `None` where the earlier account is of another run.
    #[must_use]
    pub fn rates(&self, earlier: &Self, seconds: f64) -> Option<String> {
        rates::render(self, earlier, seconds)
    }

    /// A table for people, at most 80 columns wide, without colours.
    #[must_use]
    pub fn table(&self) -> String {
        table::render(self)
    }
}

#[cfg(test)]
mod tests;
