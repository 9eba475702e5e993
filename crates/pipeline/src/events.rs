//! What happens to sessions, for whoever wants to know. The tracker tells it over a ring and never waits:
//! what finds no room is counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cpu::{Consumer, Producer};
use session::{Loss, Pin, View};
use types::{Imsi, ProbeId, Signalling, TunnelKey};

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in the engine's time: nanoseconds since 1970.
    pub time_ns: u64,
    /// What.
    pub what: What,
}

/// What can happen. Sessions are told by their correlation ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Signalling has told of an unknown session, which was called `from` until then: it is this one, or
    /// part of it.
    SessionLearned {
        /// What the unknown session was called.
        from: u64,
        /// What it is called now.
        session: Named,
        /// Where it went; `None`: by the addresses of each packet.
        before: Option<ProbeId>,
        /// Where it goes now.
        after: Option<ProbeId>,
    },
    /// A session goes to another probe: what `moved` counts.
    SessionMoved {
        /// Which.
        session: Named,
        /// Where it went.
        before: ProbeId,
        /// Where it goes now.
        after: ProbeId,
    },
    /// Packets have shown that a tunnel is another session's.
    TunnelRelearned {
        /// The tunnel.
        tunnel: TunnelKey,
        /// Whose it was.
        from: u64,
        /// Whose it is; `None` where there is no room for it.
        session: Option<Named>,
    },
    /// A node has started anew.
    PathRestart {
        /// Its address.
        peer: IpAddr,
        /// How it says so.
        protocol: Signalling,
    },
    /// A PFCP association was released.
    AssociationReleased {
        /// The nodes; first the one that has released it.
        peers: [IpAddr; 2],
    },
}

/// A session, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Keyed hash over IMSI and anchor.
    pub correlation_id: u64,
    /// Subscriber.
    pub imsi: Option<Imsi>,
}

impl From<&View> for Named {
    fn from(view: &View) -> Self {
        let imsi = if let Pin::Imsi(imsi) = view.pin { Some(imsi) } else { None };
        Self { correlation_id: view.correlation_id, imsi }
    }
}

impl From<&Loss> for What {
    fn from(loss: &Loss) -> Self {
        match *loss {
            Loss::Restart { node, protocol } => Self::PathRestart { peer: node, protocol },
            Loss::Release { nodes } => Self::AssociationReleased { peers: nodes },
        }
    }
}

/// Events that wait at a time.
const WAITING_MAX: usize = 16_384;

/// The side that listens.
#[derive(Debug)]
pub struct Listener {
    told: Consumer<Event>,
    lost: Arc<AtomicU64>,
    heard_lost: u64,
}

/// The side that tells.
#[derive(Debug)]
pub(crate) struct Herald {
    told: Producer<Event>,
    lost: Arc<AtomicU64>,
}

pub(crate) fn herald() -> (Listener, Herald) {
    let (producer, consumer) = cpu::ring(WAITING_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let listener = Listener { told: consumer, lost: Arc::clone(&lost), heard_lost: 0 };
    (listener, Herald { told: producer, lost })
}

impl Listener {
    /// The next event, where there is one.
    pub fn next_event(&mut self) -> Option<Event> {
        self.told.pop()
    }

    /// How many events found no room since this was asked last.
    pub fn lost(&mut self) -> u64 {
        // Relaxed: a number to show.
        let lost = self.lost.load(Ordering::Relaxed);
        lost.wrapping_sub(std::mem::replace(&mut self.heard_lost, lost))
    }
}

impl Herald {
    /// Tells, or counts that it could not.
    pub(crate) fn tell(&mut self, time_ns: u64, what: What) {
        if self.told.push(Event { time_ns, what }).is_err() {
            self.lose();
        }
    }

    /// Something happened that cannot be told.
    pub(crate) fn lose(&self) {
        // There is one writer.
        self.lost.store(self.lost.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let (mut listener, mut herald) = herald();
        let what = What::PathRestart { peer: [192, 0, 2, 1].into(), protocol: Signalling::Pfcp };
        for time_ns in 0..WAITING_MAX as u64 + 3 {
            herald.tell(time_ns, what);
        }
        assert_eq!((listener.lost(), listener.lost()), (3, 0));
        assert_eq!(listener.next_event(), Some(Event { time_ns: 0, what }));
        herald.tell(9, what);
        herald.tell(9, what);
        assert_eq!(listener.lost(), 1);
        let mut left = 0;
        while listener.next_event().is_some() {
            left += 1;
        }
        assert_eq!(left, WAITING_MAX);
    }
}
