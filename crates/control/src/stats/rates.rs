//! What happens in a second, for people.

use super::table::{finish, short, table, thousands};
use super::{Stats, sum};

/// The rates between two accounts; `None` where they are not of one run.
pub(super) fn render(now: &Stats, earlier: &Stats, seconds: f64) -> Option<String> {
    if seconds <= 0.0 || !now.follows(earlier) {
        return None;
    }
    let per_second = |now: u64, earlier: u64| rounded(since(now, earlier) / seconds);
    let bits = |now: u64, earlier: u64| si_bits(since(now, earlier) * 8.0 / seconds);
    let mut table = table(["a second", "packets", "bits", "dropped"]);
    let dropped = per_second(now.dropped.total(), earlier.dropped.total());
    table.add_row([
        "received".to_owned(),
        per_second(now.rx.packets, earlier.rx.packets),
        bits(now.rx.bytes, earlier.rx.bytes),
        dropped,
    ]);
    table.add_row(["delivered".to_owned(), per_second(now.delivered, earlier.delivered)]);
    if now.rx.missed > 0 {
        table.add_row(["missed before us".to_owned(), per_second(now.rx.missed, earlier.rx.missed)]);
    }
    for (name, probe) in &now.probes {
        let before = earlier.probes.get(name).cloned().unwrap_or_default();
        table.add_row([
            short(name),
            per_second(probe.packets, before.packets),
            bits(probe.bytes, before.bytes),
            per_second(probe.dropped.total(), before.dropped.total()),
        ]);
    }
    table.add_row(["new sessions".to_owned(), per_second(now.sessions.created, earlier.sessions.created)]);
    finish(table)
}

impl Stats {
    /// Whether no counter went back.
    fn follows(&self, earlier: &Self) -> bool {
        let sent = |stats: &Self| sum(stats.probes.values().map(|probe| probe.packets));
        self.rx.packets >= earlier.rx.packets
            && self.delivered >= earlier.delivered
            && self.sessions.created >= earlier.sessions.created
            && sent(self) >= sent(earlier)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn since(now: u64, earlier: u64) -> f64 {
    now.saturating_sub(earlier) as f64
}

/// Whole numbers, but a few in a long while are not none.
fn rounded(rate: f64) -> String {
    if rate > 0.0 && rate < 10.0 {
        return format!("{rate:.1}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is not negative"
    )]
    thousands(rate.round() as u64)
}

fn si_bits(mut rate: f64) -> String {
    for unit in ["bit", "kbit", "Mbit", "Gbit"] {
        if rate < 999.95 {
            return format!("{rate:.1} {unit}");
        }
        rate /= 1_000.0;
    }
    format!("{rate:.1} Tbit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::ProbeStats;

    fn stats(packets: u64) -> Stats {
        let mut stats = Stats::new("0.1.0");
        stats.rx.packets = packets;
        stats.rx.bytes = packets * 850;
        stats.delivered = packets;
        stats.sessions.created = packets / 1_000;
        let probe = ProbeStats { packets, bytes: packets * 850, ..ProbeStats::default() };
        stats.probes.insert("probe-1".to_owned(), probe);
        stats
    }

    #[test]
    fn rates_of_two_seconds() {
        let mut now = stats(2_002_000);
        now.dropped.add("ring_full", 3);
        now.rx.missed = 40;
        insta::assert_snapshot!(now.rates(&stats(2_000), 2.0).unwrap());
    }

    #[test]
    fn a_new_run_or_no_time_has_no_rates() {
        assert_eq!(stats(10).rates(&stats(11), 1.0), None);
        assert_eq!(stats(11).rates(&stats(10), 0.0), None);
        assert!(stats(10).rates(&stats(10), 1.0).is_some());
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(rounded(0.0), "0");
        assert_eq!(rounded(0.25), "0.2");
        assert_eq!(rounded(12_345.6), "12,346");
        assert_eq!(rounded(f64::MAX), thousands(u64::MAX));
        assert_eq!(si_bits(0.0), "0.0 bit");
        assert_eq!(si_bits(999.96), "1.0 kbit");
        assert_eq!(si_bits(1e11), "100.0 Gbit");
        assert_eq!(si_bits(1e15), "1000.0 Tbit");
    }
}
