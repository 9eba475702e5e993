//! What the API asks of a running dataplane.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use control::{
    Backend, Busy, Config, Cursor, Event, Events, Fed, FeedEntry, FeedError, Identities, Page, Stats,
};
use pipeline::{Accounts, Board, Desk, Inquiry, Listener, What};
use session::Filter;
use types::ProbeId;

use super::Losses;
use super::feed::Feed;
use super::ports::Counts;
use crate::output;

/// The running dataplane, seen from outside its cores.
pub(super) struct Live {
    board: Arc<Board>,
    counts: Counts,
    losses: Losses,
    probes: Vec<String>,
    identities: Identities,
    desk: Mutex<Counter>,
    events: Events,
    feed: Arc<Feed>,
}

/// Where sessions are asked for, one question at a time.
struct Counter {
    desk: Desk,
    tickets: u64,
}

/// The tracker answers between two rounds of its core. If it has not after so long, it is stuck.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to sleep between two looks.
const PAUSE: Duration = Duration::from_micros(100);
/// Looks at the counters until all of one moment are there.
const LOOKS: u32 = 500;

impl Live {
    pub(super) fn new(
        config: &Config,
        board: &Arc<Board>,
        counts: Counts,
        losses: Losses,
        desk: Desk,
        feed: Arc<Feed>,
    ) -> Self {
        Self {
            board: Arc::clone(board),
            counts,
            losses,
            probes: config.probes.iter().map(|probe| probe.name.clone()).collect(),
            feed,
            events: Events::new(&Identities::of(config)),
            identities: Identities::of(config),
            desk: Mutex::new(Counter { desk, tickets: 0 }),
        }
    }

    /// Tells those who follow what the tracker has told.
    pub(super) fn pass_on(&self, listener: &mut Listener) {
        while let Some(event) = listener.next_event() {
            let name = |probe: Option<ProbeId>| probe.and_then(|probe| self.probe_name(probe));
            let told = match event.what {
                What::SessionLearned { from, session, before, after } => Event::SessionLearned {
                    from,
                    correlation_id: session.correlation_id,
                    imsi: session.imsi,
                    before: name(before),
                    after: name(after),
                },
                What::SessionMoved { session, before, after } => Event::SessionMoved {
                    correlation_id: session.correlation_id,
                    imsi: session.imsi,
                    before: name(Some(before)),
                    after: name(Some(after)),
                },
                What::TunnelRelearned { tunnel, from, session } => Event::TunnelRelearned {
                    receiver: tunnel.receiver,
                    teid: tunnel.teid.0,
                    from,
                    correlation_id: session.map(|session| session.correlation_id),
                    imsi: session.and_then(|session| session.imsi),
                },
                What::PathRestart { peer, protocol } => Event::PathRestart { peer, protocol },
                What::AssociationReleased { peers } => Event::AssociationReleased { peers },
            };
            self.events.tell(event.time_ns, told);
        }
        let count = listener.lost();
        if count > 0 {
            self.events.tell_now(Event::Lost { count });
        }
    }

    /// The accounting once the cores have stopped and kept nothing back: what is not in a ring has had
    /// its outcome.
    pub(super) fn final_stats(&self, interrupted: bool) -> Stats {
        let mut accounts = self.board.accounts();
        accounts.in_flight = self.board.in_rings();
        self.stats_of(accounts, interrupted)
    }

    fn stats_of(&self, mut accounts: Accounts, interrupted: bool) -> Stats {
        for (probe, lost) in &self.losses {
            lost.correct(*probe, &mut accounts);
        }
        output::stats(&accounts, self.counts.missed(interrupted), self.probes.iter().map(String::as_str))
    }
}

impl Backend for Live {
    fn stats(&self) -> Stats {
        let mut accounts = self.board.accounts();
        for _ in 0..LOOKS {
            if accounts.all_have_class() {
                break;
            }
            // A receiver is at the headers of a batch: a moment later it is not.
            thread::sleep(PAUSE);
            accounts = self.board.accounts();
        }
        // What a file still holds is not missed while it is being read.
        self.stats_of(accounts, true)
    }

    fn sessions(&self, filter: &Filter, from: Cursor) -> Result<Page, Busy> {
        let mut counter = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        counter.tickets += 1;
        let ticket = counter.tickets;
        let cursor = session::Cursor(u32::try_from(from.0).unwrap_or(u32::MAX));
        let inquiry = Inquiry { ticket, filter: *filter, cursor, ..Inquiry::default() };
        counter.desk.ask(Box::new(inquiry)).map_err(|_| Busy)?;
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            match counter.desk.answer() {
                Some(answer) if answer.ticket == ticket => {
                    let next = answer.next.map(|cursor| Cursor(u64::from(cursor.0)));
                    return Ok(Page { records: answer.found, next });
                }
                // Of a question whose asker has gone.
                Some(_) => {}
                None => thread::sleep(PAUSE),
            }
        }
        Err(Busy)
    }

    fn probe_name(&self, probe: ProbeId) -> Option<&str> {
        self.probes.get(usize::from(probe.0)).map(String::as_str)
    }

    fn identities(&self) -> &Identities {
        &self.identities
    }

    fn events(&self) -> &Events {
        &self.events
    }

    fn identify(&self, entries: Vec<FeedEntry>) -> Result<Fed, FeedError> {
        self.feed.identify(&entries)
    }
}
