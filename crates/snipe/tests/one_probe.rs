//! All packets of a session in the captures are at one probe, by golden files made by another program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;

use common::{all_hold, name, read_capture, replay, whereabouts};
use testkit::{captures, frame_numbers, golden};

/// The probes of a session's packets by how they are known to be its own: (first frame there, probe).
type ByHow<'a> = BTreeMap<&'a str, Vec<(u64, usize)>>;

/// Replays every capture with users to so many probes that two sessions are rarely at one by chance;
/// fails for the sessions that `check` does not hold for.
fn on_captures(check: impl Fn(&ByHow<'_>) -> bool + Sync) {
    let ue = golden("ue").unwrap();
    let mut captures = captures();
    captures.retain(|path| ue.of_capture(name(path)).next().is_some());
    if captures.is_empty() {
        println!("skipped: no captures");
        return;
    }
    all_hold(&captures, |path| {
        let capture = name(path);
        let folder = tempfile::tempdir().unwrap();
        let (_, probes) = replay(path, &folder.path().join("out"), &["--probes", "16"]);
        let places = whereabouts(&read_capture(path).records, &probes, capture);
        let mut sessions: BTreeMap<u64, ByHow<'_>> = BTreeMap::new();
        for row in ue.of_capture(capture) {
            let of_session = sessions.entry(row.number("session").unwrap()).or_default();
            let at = of_session.entry(row.text("how")).or_default();
            for frame in frame_numbers(row.text("frames")) {
                let place = &places[frame as usize - 1];
                assert_eq!(place.len(), 1, "{capture}: frame {frame} is at {place:?}");
                if at.iter().all(|(_, probe)| *probe != place[0]) {
                    at.push((frame, place[0]));
                }
            }
        }
        let wrong: Vec<_> = sessions.iter().filter(|(_, how)| !check(how)).collect();
        match wrong.first() {
            Some(_) => Err(format!("{capture}: session: frames and their probes: {wrong:?}")),
            None => Ok(()),
        }
    });
}

#[test]
fn the_tunnels_of_a_session_are_at_one_probe() {
    on_captures(|how| how.get("tunnel").is_none_or(|at| at.len() <= 1));
}

#[test]
fn what_has_the_address_of_its_user_is_there_too() {
    on_captures(|how| {
        let mut probes: Vec<_> = how.values().flatten().map(|(_, probe)| probe).collect();
        probes.sort();
        probes.dedup();
        probes.len() <= 1
    });
}
