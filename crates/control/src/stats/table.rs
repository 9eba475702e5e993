//! The accounting for people, in 80 columns.

use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent};
use types::TrafficClass;

use super::{ProbeStats, Reasons, Refused, SessionStats, Stats, sum};

/// Characters of the bar that shows a probe's share.
const BAR: u64 = 6;
/// Characters of a name that are shown.
const NAME: usize = 14;
/// What a plain terminal is wide.
const WIDTH: usize = 80;

pub(super) fn render(stats: &Stats) -> String {
    let blocks = [
        totals(stats),
        classes(stats),
        reasons("malformed (and delivered)", &stats.rx.malformed),
        sessions(&stats.sessions),
        probes(stats),
        closing(stats),
    ];
    let blocks: Vec<String> = blocks.into_iter().flatten().collect();
    blocks.join("\n\n") + "\n"
}

/// No frame, a thin line below the header.
pub(super) fn table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_style(TableComponent::HeaderLines, '─');
    table.set_style(TableComponent::MiddleHeaderIntersections, '─');
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.into_iter().collect::<Vec<_>>());
    table
}

/// The first column holds names, all others numbers.
pub(super) fn finish(mut table: Table) -> Option<String> {
    let mut lines: Vec<String> = Vec::new();
    // Two spaces between columns; one where numbers are so large that two are too wide.
    for gap in [1, 0] {
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((if index > 0 { gap } else { 0 }, 0));
            if index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        lines = table.lines().map(|line| line.trim_end().to_owned()).collect();
        if lines.iter().all(|line| is_narrow(line)) {
            break;
        }
    }
    Some(lines.join("\n"))
}

fn totals(stats: &Stats) -> Option<String> {
    let rx = &stats.rx;
    let share = |packets| percent(packets, rx.packets);
    let mut table = table(["", "packets", "share", "bytes"]);
    let row = |name: &str, packets, share, bytes: Option<u64>| {
        [name.to_owned(), thousands(packets), share, bytes.map(si_bytes).unwrap_or_default()]
    };
    table.add_row(row("received", rx.packets, share(rx.packets), Some(rx.bytes)));
    table.add_row(row("delivered", stats.delivered, share(stats.delivered), None));
    table.add_row(row("dropped", stats.dropped.total(), share(stats.dropped.total()), None));
    for (reason, packets) in stats.dropped.iter() {
        table.add_row(row(&format!("  {reason}"), packets, share(packets), None));
    }
    table.add_row(row("in flight", stats.in_flight, share(stats.in_flight), None));
    if rx.missed > 0 {
        table.add_row(row("missed before us", rx.missed, "not ours".to_owned(), None));
    }
    finish(table)
}

fn classes(stats: &Stats) -> Option<String> {
    let mut table = table(["class", "packets", "share"]);
    for class in TrafficClass::ALL {
        let packets = stats.rx.by_class.get(class);
        table.add_row([class.name().to_owned(), thousands(packets), percent(packets, stats.rx.packets)]);
    }
    finish(table)
}

fn reasons(title: &str, reasons: &Reasons) -> Option<String> {
    if reasons.is_empty() {
        return None;
    }
    let mut table = table([title, "packets"]);
    for (reason, packets) in reasons.iter() {
        table.add_row([reason.to_owned(), thousands(packets)]);
    }
    finish(table)
}

/// Who the packets were of, and what did not go as it should.
fn sessions(sessions: &SessionStats) -> Option<String> {
    if *sessions == SessionStats::default() {
        return None;
    }
    let mut table = table(["sessions", "count"]);
    let always = [
        ("created", sessions.created),
        ("  active", sessions.active),
        ("  deleted", sessions.deleted),
        ("  expired", sessions.expired),
    ];
    let Refused { sessions_full, tunnels_full, transactions_full } = sessions.refused;
    let where_any = [
        ("moved to another probe", sessions.moved),
        ("refused, sessions_full", sessions_full),
        ("refused, tunnels_full", tunnels_full),
        ("refused, transactions_full", transactions_full),
        ("packets held until known", sessions.held),
        ("packets without room to wait", sessions.hold_full),
        ("packets with inner_mismatch", sessions.inner_mismatch),
    ];
    for (name, count) in always.into_iter().chain(where_any.into_iter().filter(|&(_, count)| count > 0)) {
        table.add_row([name.to_owned(), thousands(count)]);
    }
    finish(table)
}

fn probes(stats: &Stats) -> Option<String> {
    if stats.probes.is_empty() {
        return None;
    }
    let all = sum(stats.probes.values().map(|probe| probe.packets));
    let busiest = stats.probes.values().map(|probe| probe.packets).max().unwrap_or_default();
    let with_sessions = stats.sessions.created > 0;
    // Numbers before bars and shares, where there is no room for all.
    (0..=2)
        .filter_map(|left_out| {
            let mut header = vec!["probe", "packets", "bytes", "control", "user", "dropped", "share", ""];
            header.truncate(header.len() - left_out);
            if with_sessions {
                header.insert(1, "sessions");
            }
            let mut table = table(header);
            for (name, probe) in &stats.probes {
                let mut row = vec![
                    short(name),
                    thousands(probe.packets),
                    si_bytes(probe.bytes),
                    thousands(probe.control_packets),
                    thousands(probe.user_packets),
                    thousands(probe.dropped.total()),
                    percent(probe.packets, all),
                    bar(probe, busiest),
                ];
                row.truncate(row.len() - left_out);
                if with_sessions {
                    row.insert(1, thousands(probe.sessions));
                }
                table.add_row(row);
            }
            finish(table)
        })
        .reduce(|fits, next| if is_narrow(&fits) { fits } else { next })
}

fn is_narrow(text: &str) -> bool {
    text.lines().all(|line| line.chars().count() <= WIDTH)
}

fn closing(stats: &Stats) -> Option<String> {
    let verdict = match stats.check() {
        Ok(()) => format!("every packet accounted for{}", in_flight(stats.in_flight)),
        Err(error) => format!("THE ACCOUNTS DO NOT CLOSE: {error}"),
    };
    let balance = stats.imbalance().filter(|_| stats.probes.len() > 1);
    let balance = balance.map_or_else(String::new, |ratio| {
        format!("busiest probe: {ratio:.2} times the mean of user packets\n")
    });
    Some(balance + &verdict)
}

fn in_flight(packets: u64) -> String {
    if packets == 0 { String::new() } else { format!(", {} on the way", thousands(packets)) }
}

pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn si_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    for unit in ["kB", "MB", "GB", "TB"] {
        value /= 1_000.0;
        // 999.95 would print as 1000.0.
        if value < 999.95 {
            return format!("{value:.1} {unit}");
        }
    }
    format!("{:.1} PB", value / 1_000.0)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    // Neither a loss nor a gap is rounded away.
    if part > 0 && percent < 0.01 {
        return "<0.01 %".to_owned();
    }
    if part < whole && percent > 99.99 {
        return ">99.99 %".to_owned();
    }
    format!("{percent:.2} %")
}

fn bar(probe: &ProbeStats, busiest: u64) -> String {
    let eighths = u128::from(probe.packets) * u128::from(BAR) * 8 / u128::from(busiest.max(1));
    let eighths = usize::try_from(eighths).unwrap_or_default();
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied().unwrap_or_default();
    let filled = "█".repeat(eighths / 8) + part;
    // The column is aligned to the right like all numbers.
    format!("{filled:<width$}", width = usize::try_from(BAR).unwrap_or_default())
}

pub(super) fn short(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}
