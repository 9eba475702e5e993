//! `snipe stats`

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use control::{Client, Stats};

use crate::cli::Stats as Args;
use crate::failure::Failure;
use crate::{output, signals};

/// How often a signal is looked for.
const TICK: Duration = Duration::from_millis(20);

pub(crate) fn stats(args: &Args) -> Result<(), Failure> {
    let client = Client::new(&args.instance.socket).map_err(|error| Failure::client(&error))?;
    match args.watch {
        None => output::report(&ask(&client)?, args.json),
        Some(interval) => watch(&client, interval, args.json),
    }
}

fn ask(client: &Client) -> Result<Stats, Failure> {
    client.stats().map_err(|error| Failure::client(&error))
}

/// Asks until a signal comes.
fn watch(client: &Client, interval: Duration, json: bool) -> Result<(), Failure> {
    let stop = signals::stop_flag()?;
    let screen = !json && io::stdout().is_terminal();
    let mut earlier: Option<(Instant, Stats)> = None;
    let mut next = Instant::now();
    loop {
        let now = (Instant::now(), ask(client)?);
        let text = if json { line(&now.1)? } else { block(&now, earlier.as_ref()) };
        let printed = output::print_all(&if screen { redrawn(&text) } else { text })?;
        if !printed {
            return Ok(());
        }
        earlier = Some(now);
        next = (next + interval).max(Instant::now());
        if !wait(next, &stop) {
            return Ok(());
        }
    }
}

/// Whether it came to that without a signal.
fn wait(until: Instant, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(TICK));
    }
    false
}

fn line(stats: &Stats) -> Result<String, Failure> {
    serde_json::to_string(stats).map(|line| line + "\n").map_err(Failure::work)
}

/// The table, with the rates since the one before.
fn block((at, stats): &(Instant, Stats), earlier: Option<&(Instant, Stats)>) -> String {
    let seconds = |before: &Instant| at.duration_since(*before).as_secs_f64();
    let rates = earlier.and_then(|(before, earlier)| stats.rates(earlier, seconds(before)));
    match rates {
        Some(rates) => format!("{rates}\n\n{}\n", stats.table()),
        None => format!("{}\n", stats.table()),
    }
}

/// Text that is put over what the terminal shows, without a moment at which it shows nothing.
fn redrawn(text: &str) -> String {
    let height = terminal_size::terminal_size().map_or(usize::MAX, |(_, height)| usize::from(height.0));
    let lines = text.trim_end().lines().take(height.saturating_sub(1).max(1));
    // From the corner; each line cleared to its end, then all below.
    let mut out = "\x1b[H".to_owned();
    lines.for_each(|line| out.extend([line, "\x1b[K\n"]));
    out + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(packets: u64) -> Stats {
        let mut stats = Stats::new("0.1.0");
        stats.rx.packets = packets;
        stats.rx.by_class.gtp_u = packets;
        stats.dropped.add("ring_full", packets);
        stats
    }

    #[test]
    fn rates_come_with_the_second_block() {
        let start = Instant::now();
        let first = (start, stats(100));
        assert!(block(&first, None).starts_with("  "));
        let second = (start + Duration::from_secs(2), stats(300));
        let text = block(&second, Some(&first));
        let received = text.lines().nth(2).unwrap();
        assert_eq!(received.split_whitespace().collect::<Vec<_>>(), ["received", "100", "0.0", "bit", "100"]);
        assert!(text.ends_with(&format!("{}\n", second.1.table())));
        // An instance that was started anew.
        assert_eq!(
            block(&(start + Duration::from_secs(4), stats(5)), Some(&second)),
            format!("{}\n", stats(5).table())
        );
    }

    #[test]
    fn a_redrawn_screen_has_nothing_of_the_one_before() {
        let drawn = redrawn("a\nb\n\n");
        assert!(drawn.starts_with("\x1b[Ha\x1b[K\n"), "{drawn:?}");
        assert!(drawn.ends_with("\x1b[K\n\x1b[J"), "{drawn:?}");
    }

    #[test]
    fn a_signal_ends_the_wait() {
        assert!(wait(Instant::now(), &AtomicBool::new(false)));
        assert!(!wait(Instant::now() + Duration::from_secs(3_600), &AtomicBool::new(true)));
    }
}
