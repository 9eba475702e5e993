//! What happens in a running instance, for those who follow it: `GET /events`.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use tokio::sync::broadcast;
use types::{Imsi, Signalling};

use crate::identities::Identities;
use crate::session_json::Time;

/// Events that a slow client may be behind; of more it loses the oldest.
const BEHIND_MAX: usize = 4_096;

/// The names of the events, in the order of their description.
pub const EVENT_NAMES: &[&str] = &[
    "session-learned",
    "session-moved",
    "tunnel-relearned",
    "path-restart",
    "association-released",
    "state",
    "lost",
];

/// Something that has happened. Probes are told by name.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Signalling has told of an unknown session: it is, or is part of, a known one now.
    SessionLearned {
        /// Correlation id of the unknown session.
        from: u64,
        /// Correlation id from now on.
        correlation_id: u64,
        /// Subscriber.
        imsi: Option<Imsi>,
        /// Where it went.
        before: Option<&'a str>,
        /// Where it goes.
        after: Option<&'a str>,
    },
    /// A session goes to another probe: what `moved` of the accounting counts.
    SessionMoved {
        /// Which.
        correlation_id: u64,
        /// Subscriber.
        imsi: Option<Imsi>,
        /// Where it went.
        before: Option<&'a str>,
        /// Where it goes.
        after: Option<&'a str>,
    },
    /// Packets have shown that a tunnel is another session's.
    TunnelRelearned {
        /// Address that handed out the TEID.
        receiver: IpAddr,
        /// TEID.
        teid: u32,
        /// Correlation id of the session that had it.
        from: u64,
        /// Of the one that has it; `None` where there is no room for it.
        correlation_id: Option<u64>,
        /// Its subscriber.
        imsi: Option<Imsi>,
    },
    /// A node has started anew: its sessions end.
    PathRestart {
        /// Its address.
        peer: IpAddr,
        /// By what it says so.
        protocol: Signalling,
    },
    /// A PFCP association was released: its sessions end.
    AssociationReleased {
        /// Both nodes; first the one that has released it.
        peers: [IpAddr; 2],
    },
    /// The folder of `[state]` is written, or not any more.
    State {
        /// Whether it is.
        ok: bool,
        /// Why not.
        message: Option<&'a str>,
    },
    /// Events that were not told.
    Lost {
        /// How many.
        count: u64,
    },
}

/// As it is written.
#[derive(Serialize)]
struct Line<'a> {
    time: Shown<Time>,
    #[serde(flatten)]
    event: Written<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Written<'a> {
    SessionLearned {
        from: Shown<Hex>,
        correlation_id: Shown<Hex>,
        imsi: Option<Shown<crate::Identity>>,
        probe_before: Option<&'a str>,
        probe: Option<&'a str>,
    },
    SessionMoved {
        correlation_id: Shown<Hex>,
        imsi: Option<Shown<crate::Identity>>,
        probe_before: Option<&'a str>,
        probe: Option<&'a str>,
    },
    TunnelRelearned {
        receiver: IpAddr,
        teid: u32,
        from: Shown<Hex>,
        correlation_id: Option<Shown<Hex>>,
        imsi: Option<Shown<crate::Identity>>,
    },
    PathRestart {
        peer: IpAddr,
        protocol: &'static str,
    },
    AssociationReleased {
        peers: [IpAddr; 2],
    },
    State {
        ok: bool,
        message: Option<&'a str>,
    },
    Lost {
        count: u64,
    },
}

/// Written as it is shown.
struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Hex(u64);

impl Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

const fn name_of(protocol: Signalling) -> &'static str {
    match protocol {
        Signalling::Gtpv1 => "gtpv1",
        Signalling::Gtpv2 => "gtpv2",
        Signalling::Pfcp => "pfcp",
    }
}

impl<'a> Event<'a> {
    const fn name(&self) -> &'static str {
        match self {
            Self::SessionLearned { .. } => "session-learned",
            Self::SessionMoved { .. } => "session-moved",
            Self::TunnelRelearned { .. } => "tunnel-relearned",
            Self::PathRestart { .. } => "path-restart",
            Self::AssociationReleased { .. } => "association-released",
            Self::State { .. } => "state",
            Self::Lost { .. } => "lost",
        }
    }

    fn written(&self, identities: &Identities) -> Written<'a> {
        let shown = |imsi: Option<Imsi>| imsi.map(|imsi| Shown(identities.imsi(imsi)));
        let hex = |id| Shown(Hex(id));
        match *self {
            Self::SessionLearned { from, correlation_id, imsi, before, after } => Written::SessionLearned {
                from: hex(from),
                correlation_id: hex(correlation_id),
                imsi: shown(imsi),
                probe_before: before,
                probe: after,
            },
            Self::SessionMoved { correlation_id, imsi, before, after } => Written::SessionMoved {
                correlation_id: hex(correlation_id),
                imsi: shown(imsi),
                probe_before: before,
                probe: after,
            },
            Self::TunnelRelearned { receiver, teid, from, correlation_id, imsi } => {
                Written::TunnelRelearned {
                    receiver,
                    teid,
                    from: hex(from),
                    correlation_id: correlation_id.map(hex),
                    imsi: shown(imsi),
                }
            }
            Self::PathRestart { peer, protocol } => {
                Written::PathRestart { peer, protocol: name_of(protocol) }
            }
            Self::AssociationReleased { peers } => Written::AssociationReleased { peers },
            Self::State { ok, message } => Written::State { ok, message },
            Self::Lost { count } => Written::Lost { count },
        }
    }

    /// One JSON object on one line.
    pub(crate) fn to_json(self, time_ns: u64, identities: &Identities) -> String {
        let line = Line { time: Shown(Time(time_ns)), event: self.written(identities) };
        // It has no key that is no string and no value that fails.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// An event as it goes over the wire: the form of server-sent events, HTML 9.2.
pub(crate) type Frame = Arc<str>;

/// Tells every client of `GET /events` what happens. A client that is too slow loses the oldest and is told
/// how many; nobody waits for it.
///
/// ```
/// use control::{Event, Events, Identities};
///
/// let events = Events::new(&Identities::Clear);
/// events.tell(1_700_000_000_008_000_000, Event::State { ok: true, message: None });
/// assert_eq!(events.listeners(), 0);
/// ```
#[derive(Debug)]
pub struct Events {
    frames: broadcast::Sender<Frame>,
    identities: Identities,
    /// The number of the last one.
    last: AtomicU64,
}

impl Events {
    /// Nobody listens yet. `identities`: how subscribers are named.
    #[must_use]
    pub fn new(identities: &Identities) -> Self {
        let (frames, _) = broadcast::channel(BEHIND_MAX);
        Self { frames, identities: identities.clone(), last: AtomicU64::new(0) }
    }

    /// Tells what has happened at `time_ns`, nanoseconds since 1970.
    pub fn tell(&self, time_ns: u64, event: Event<'_>) {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        // Written for all at once, and for nobody not at all.
        if self.frames.receiver_count() > 0 {
            let json = event.to_json(time_ns, &self.identities);
            let frame = format!("event: {}\nid: {id}\ndata: {json}\n\n", event.name());
            // Refused where the last one has just gone.
            let _ = self.frames.send(frame.into());
        }
    }

    /// The same, now.
    pub fn tell_now(&self, event: Event<'_>) {
        self.tell(now_ns(), event);
    }

    /// How many clients listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.frames.receiver_count()
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Frame> {
        self.frames.subscribe()
    }
}

/// What a client is told that has lost some. It has no number: it is this client's alone.
pub(crate) fn lost(count: u64) -> String {
    let event = Event::Lost { count };
    let json = event.to_json(now_ns(), &Identities::Clear);
    format!("event: {}\ndata: {json}\n\n", event.name())
}

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use types::Digits;

    use super::*;
    use crate::identities::PseudonymKey;

    /// One of each.
    pub(crate) fn samples() -> Vec<Event<'static>> {
        let imsi = Digits::from_text(b"001010000000001").map(Imsi);
        let (before, after) = (Some("probe-1"), Some("probe-2"));
        let (receiver, peer) = ([192, 0, 2, 1].into(), "2001:db8::1".parse().unwrap());
        vec![
            Event::SessionLearned { from: 1, correlation_id: 2, imsi, before, after },
            Event::SessionMoved { correlation_id: 2, imsi: None, before, after },
            Event::TunnelRelearned { receiver, teid: 256, from: 1, correlation_id: Some(2), imsi },
            Event::PathRestart { peer, protocol: Signalling::Gtpv2 },
            Event::AssociationReleased { peers: [receiver, peer] },
            Event::State { ok: false, message: Some("no space left on device") },
            Event::Lost { count: 7 },
        ]
    }

    #[test]
    fn every_event_as_json() {
        let hidden = Identities::Pseudonym(PseudonymKey::new("change me"));
        let lines = samples().into_iter().map(|event| event.to_json(1_700_000_000_008_000_000, &hidden));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
        let clear = samples()[0].to_json(0, &Identities::Clear);
        assert!(clear.contains("\"imsi\":\"001010000000001\""), "{clear}");
        let names: Vec<_> = samples().iter().map(Event::name).collect();
        assert_eq!(names, EVENT_NAMES);
    }

    #[test]
    fn all_listeners_are_told_and_a_slow_one_what_it_has_lost() {
        let events = Events::new(&Identities::Clear);
        events.tell(0, Event::Lost { count: 1 });
        let (mut one, mut slow) = (events.listen(), events.listen());
        for count in 0..BEHIND_MAX as u64 + 5 {
            events.tell(0, Event::Lost { count });
            let frame = one.try_recv().unwrap();
            let expected = format!(
                "event: lost\nid: {}\ndata: {{\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"lost\",\"count\":{count}}}\n\n",
                count + 2
            );
            assert_eq!(&*frame, expected);
        }
        assert_eq!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(5)));
        assert!(slow.try_recv().unwrap().contains("\"count\":5}"));
    }
}
