//! What is saved of sessions brings them back.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::saved::{NotRestored, Saved};

/// What a checkpoint and a journal have together: the last of every session.
#[derive(Default)]
pub(crate) struct Disk(BTreeMap<u32, Vec<u8>>);

fn save(sessions: &Sessions, id: SessionId) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 65_536];
    let length = sessions.save(id, &mut bytes)?;
    bytes.truncate(length);
    Some(bytes)
}

impl Disk {
    /// Takes what has changed.
    pub(crate) fn take(&mut self, net: &mut Net) {
        while let Some(id) = net.sessions.next_changed(SessionId(0)) {
            net.sessions.take_changed(id);
            match save(&net.sessions, id) {
                Some(bytes) => self.0.insert(id.0, bytes),
                None => self.0.remove(&id.0),
            };
        }
    }

    /// No change was missed.
    pub(crate) fn is_all(&self, net: &Net) {
        let all: BTreeMap<_, _> = (1..net.sessions.numbers())
            .filter_map(|n| Some((n, save(&net.sessions, SessionId(n))?)))
            .collect();
        assert_eq!(self.0.keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>());
        for (number, bytes) in &all {
            assert_eq!(self.0.get(number), Some(bytes), "session {number} has changed");
        }
    }

    /// Starts again from it.
    pub(crate) fn restore(&self, old: &Net, limits: Limits) -> Net {
        let mut net = Net::with(limits);
        (net.now, net.sequence) = (old.now, old.sequence);
        net.sessions.track_changes();
        let mut saved: Vec<_> = self.0.iter().map(|(&n, bytes)| (n, Saved::decode(bytes).unwrap())).collect();
        saved.sort_by_key(|(_, saved)| saved.created_ns());
        for (number, saved) in &saved {
            net.sessions.restore(SessionId(*number), saved, net.now, &mut net.keeper).unwrap();
        }
        net.sessions.restored();
        assert_eq!(net.sessions.next_changed(SessionId(0)), None);
        net.check();
        net
    }
}

/// Both tell the same of all sessions, and lead to them in the same way.
pub(crate) fn same(one: &Net, two: &Net) {
    assert_eq!(one.ids(&Filter::default()), two.ids(&Filter::default()));
    assert_eq!(one.active(), two.active());
    let bound = |net: &Net| {
        let of = |(&key, (_, view)): (&TunnelKey, &(TunnelId, View))| (key, *view);
        net.keeper.bound.iter().map(of).collect::<HashMap<_, _>>()
    };
    assert_eq!(bound(one), bound(two));
    let placed = |net: &Net| {
        // Of several unknown sessions that were seen with an address, any one.
        let whose = |session| net.sessions.view(session).filter(|view| view.known).map(|view| view.session);
        let placed = net.keeper.placed.iter().filter_map(|(&a, &session)| Some((a, whose(session?))));
        placed.collect::<HashMap<_, _>>()
    };
    assert_eq!(placed(one), placed(two));
    let led = |net: &Net| -> BTreeSet<IpAddr> {
        let placed = net.keeper.placed.iter().filter(|(_, session)| session.is_some());
        placed.map(|(&address, _)| address).collect()
    };
    assert_eq!(led(one), led(two), "the same addresses lead anywhere");
}

#[test]
fn restored_sessions_go_on() {
    let mut net = Net::new();
    net.sessions.track_changes();
    let mut disk = Disk::default();
    for n in 1..=20 {
        let ue = Ue { base: 100 * n, s11: (100 * n + 50, 100 * n + 51), ..Ue::new(n) };
        let events = ue.attach(&mut net);
        net.send_all(events);
    }
    disk.take(&mut net);
    disk.is_all(&net);
    let mut restored = disk.restore(&net, limits());
    same(&net, &restored);
    for n in 1..=10 {
        let ue = Ue { base: 100 * n, s11: (100 * n + 50, 100 * n + 51), ..Ue::new(n) };
        for net in [&mut net, &mut restored] {
            let (request, answer) = ue.modify(ENB2, ue.base + 1_000_000);
            net.pair(request, answer);
            if n % 2 == 0 {
                let events = ue.detach(net);
                net.send_all(events);
            }
            net.ended();
            net.check();
        }
        same(&net, &restored);
    }
    assert_eq!(restored.sessions.counters().active, 15);
}

#[test]
fn what_was_idle_for_too_long_stays_away() {
    let mut net = Net::new();
    net.sessions.track_changes();
    let key = TunnelKey { receiver: SGW, teid: Teid(7) };
    let (id, _) = net.sessions.unknown(key, ENB, net.now, &mut net.keeper).unwrap();
    let saved = Saved::decode(&save(&net.sessions, id).unwrap()).unwrap();
    for (seconds, expected) in [(0, Ok(())), (599, Ok(())), (600, Err(NotRestored::Idle))] {
        let mut other = Net::new();
        let now = net.now + seconds * SECOND;
        assert_eq!(other.sessions.restore(id, &saved, now, &mut other.keeper), expected);
    }
    let mut small = Net::with(Limits { sessions_max: 1, ..limits() });
    let beyond = SessionId(2);
    let restored = small.sessions.restore(beyond, &saved, net.now, &mut small.keeper);
    assert_eq!(restored, Err(NotRestored::NoRoom));
}

#[test]
fn no_bytes_are_too_wrong_to_be_read() {
    let mut net = Net::new();
    let ue = Ue::new(1);
    let events = ue.attach(&mut net);
    net.send_all(events);
    let bytes = save(&net.sessions, net.ids(&Filter::default())[0]).unwrap();
    assert!(Saved::decode(&bytes).is_some());
    for end in 0..bytes.len() {
        assert!(Saved::decode(&bytes[..end]).is_none(), "cut at {end}");
    }
    for place in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut wrong = bytes.clone();
            wrong[place] ^= flip;
            let Some(saved) = Saved::decode(&wrong) else { continue };
            let mut other = Net::new();
            let _ = other.sessions.restore(SessionId(1), &saved, net.now, &mut other.keeper);
            other.sessions.restored();
        }
    }
}
