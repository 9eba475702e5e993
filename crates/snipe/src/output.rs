//! What commands print and write beside packets.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use control::{Config, Identities, ProbeStats, Refused, SessionJson, SessionStats, Stats};
use pipeline::Accounts;
use session::Record;

use crate::failure::Failure;

/// Prints on stdout. A reader that has gone away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_all(text).map(|_| ())
}

/// Prints on stdout; returns whether somebody still reads there.
pub(crate) fn print_all(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::work(format_args!("cannot write to stdout: {error}"))),
    }
}

/// Writes a whole file.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::work(format_args!("{}: cannot write: {error}", path.display())))
}

/// The accounting as users see it. `names` are those of the probes, in order.
pub(crate) fn stats<'a>(accounts: &Accounts, missed: u64, names: impl Iterator<Item = &'a str>) -> Stats {
    let mut stats = Stats::new(env!("CARGO_PKG_VERSION"));
    stats.rx.packets = accounts.received;
    stats.rx.bytes = accounts.bytes;
    stats.rx.missed = missed;
    for &(class, packets) in &accounts.by_class {
        stats.rx.by_class.add(class, packets);
    }
    stats.rx.malformed = accounts.malformed.iter().copied().collect();
    stats.delivered = accounts.delivered;
    stats.dropped = accounts.dropped.iter().copied().collect();
    stats.in_flight = accounts.in_flight;
    let sessions = &accounts.sessions;
    stats.sessions = SessionStats {
        created: sessions.created,
        active: sessions.active,
        deleted: sessions.deleted,
        expired: sessions.expired,
        moved: sessions.moved,
        inner_mismatch: sessions.inner_mismatch,
        held: sessions.held,
        hold_full: sessions.hold_full,
        refused: Refused {
            sessions_full: sessions.sessions_full,
            tunnels_full: sessions.tunnels_full,
            transactions_full: sessions.transactions_full,
        },
    };
    for ((name, probe), sessions) in names.zip(&accounts.probes).zip(sessions.by_probe) {
        let sent = ProbeStats {
            packets: probe.packets,
            bytes: probe.bytes,
            control_packets: probe.control_packets,
            user_packets: probe.user_packets,
            sessions,
            dropped: probe.dropped.iter().copied().collect(),
        };
        stats.probes.insert(name.to_owned(), sent);
    }
    stats
}

/// Writes a line of `sessions.jsonl`.
pub(crate) fn session_line(
    record: &Record,
    config: &Config,
    identities: &Identities,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let probe = record.probe.and_then(|probe| config.probe(probe)).map(|probe| probe.name.as_str());
    SessionJson::new(record, probe, identities).write_line(out)
}

/// Prints the accounting, as JSON or as a table, and fails where the books do not close.
pub(crate) fn report(stats: &Stats, json: bool) -> Result<(), Failure> {
    let text = if json { to_json(stats)? } else { stats.table() };
    print(&text)?;
    stats.check().map_err(|error| Failure::work(format_args!("the accounting does not close: {error}")))
}

/// An object as JSON for people and programs.
pub(crate) fn pretty(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::work)?;
    Ok(text + "\n")
}

/// The text of `stats.json`.
pub(crate) fn to_json(stats: &Stats) -> Result<String, Failure> {
    stats.to_json().map_err(Failure::work)
}
