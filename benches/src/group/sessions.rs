//! Messages of the control plane: decoding them, and keeping the sessions that they tell of.

use std::hint::black_box;
use std::net::SocketAddr;

use ::session::{
    Ahead, Effects, Limits, SessionId, Sessions, TunnelId, TunnelLimits, TunnelWriter, View, tunnels,
};
use cpu::{Epochs, Pages};
use testkit::{Generator, Options};
use types::{LinkType, SessionEvent, Signalling, TrafficClass, TunnelKey};

use crate::{Outcome, Rival, Scale, measure};

/// Messages that are handled before the counter is read again.
const BURST: usize = 64;
/// Messages that are looked at ahead of the one that is handled.
const AHEAD: usize = 4;
/// How long a pass lies behind the one before: nothing in it is a retransmission.
const PAUSE_NS: u64 = 120_000_000_000;

/// GTPv2-C messages as they pass a tap.
struct Tape {
    bytes: Vec<u8>,
    messages: Vec<Datagram>,
    length_ns: u64,
}

#[derive(Clone, Copy)]
struct Datagram {
    time_ns: u64,
    start: u32,
    end: u32,
    source: SocketAddr,
    destination: SocketAddr,
}

impl Tape {
    /// Whole lives of so many subscribers.
    fn new(subscribers: u32) -> Self {
        let seconds = 20.0;
        let options = Options {
            subscribers,
            seconds,
            pps: u64::from(subscribers) * 3,
            umts: 0.0,
            nr: 0.0,
            other: 0.0,
            ..Options::default()
        };
        let mut generator = Generator::new(options).expect("these options are good");
        let (mut bytes, mut messages) = (Vec::new(), Vec::new());
        while let Some(frame) = generator.next_frame() {
            let found = wire::dissect(LinkType::Ethernet, frame.bytes);
            let (Some(ends), Some(at)) = (found.layers.ends, found.layers.datagram) else { continue };
            let datagram = &frame.bytes[at as usize..][..found.layers.datagram_bytes as usize];
            // GTPv2-C alone. TS 29.274 5.1.
            if found.class != TrafficClass::GtpC || datagram[0] >> 5 != 2 {
                continue;
            }
            let start = bytes.len() as u32;
            bytes.extend_from_slice(datagram);
            messages.push(Datagram {
                time_ns: frame.time_ns,
                start,
                end: bytes.len() as u32,
                source: ends.source(),
                destination: ends.destination(),
            });
        }
        Self { bytes, messages, length_ns: (seconds * 1e9) as u64 }
    }

    fn bytes_of(&self, datagram: &Datagram) -> &[u8] {
        &self.bytes[datagram.start as usize..datagram.end as usize]
    }
}

/// Plays a tape again and again, later each time.
struct Player<'a> {
    tape: &'a Tape,
    next: usize,
    shift_ns: u64,
    event: Box<SessionEvent>,
    /// Of the next message and those behind it.
    ahead: [Ahead; AHEAD],
}

impl<'a> Player<'a> {
    fn new(tape: &'a Tape) -> Self {
        let event = Box::new(SessionEvent::new());
        Self { tape, next: 0, shift_ns: 0, event, ahead: [Ahead::default(); AHEAD] }
    }

    /// What the tracker does for the messages of a batch that come next.
    #[inline(always)]
    fn look_ahead(&mut self, sessions: &Sessions, table: &Table) {
        let place = self.next + AHEAD;
        let far = place.checked_sub(self.tape.messages.len()).unwrap_or(place);
        let datagram = &self.tape.messages[far];
        let bytes = self.tape.bytes_of(datagram);
        let heading = wire::heading(TrafficClass::GtpC, bytes, datagram.source, datagram.destination);
        let [now, next, third, fourth] = &mut self.ahead;
        sessions.now(now);
        sessions.next(next, table);
        sessions.nearer(fourth);
        (*now, *next, *third) = (*next, *third, *fourth);
        *fourth = heading.map_or(Ahead::default(), |heading| sessions.ahead(&heading));
    }

    #[inline(always)]
    fn decode(&mut self, each: &mut impl FnMut(&SessionEvent)) {
        let datagram = match self.tape.messages.get(self.next) {
            Some(datagram) => datagram,
            None => {
                self.next = 0;
                self.shift_ns += self.tape.length_ns + PAUSE_NS;
                &self.tape.messages[0]
            }
        };
        self.next += 1;
        self.event.time_ns = datagram.time_ns + self.shift_ns;
        self.event.source = datagram.source;
        self.event.destination = datagram.destination;
        let reason = wire::signalling(
            TrafficClass::GtpC,
            self.tape.bytes_of(datagram),
            &mut self.event,
            &mut |event| each(event),
        );
        assert_eq!(reason, None);
    }
}

/// What the tracker does for an effect: the table of tunnels is written.
struct Table {
    tunnels: TunnelWriter,
    binds: u64,
    refused: u64,
}

impl Effects for Table {
    fn prefetch(&self, key: TunnelKey) {
        self.tunnels.prefetch(key);
    }
    fn bind(&mut self, tunnel: TunnelId, key: TunnelKey, _: &View) {
        self.binds += 1;
        self.refused += u64::from(self.tunnels.insert(key, tunnel.0).is_err());
    }
    fn retire(&mut self, _: TunnelId) {}
    fn unbind(&mut self, _: TunnelId, key: TunnelKey) {
        self.tunnels.remove(key);
    }
    fn place_ue(&mut self, _: std::net::IpAddr, _: Option<&View>) {}
    fn ended(&mut self, _: SessionId) {}
    fn merged(&mut self, _: &View, _: &View) {}
    fn folded(&mut self, _: SessionId, _: TunnelId, _: Option<types::Toward>) {}
}

/// Sessions and their table.
struct State {
    sessions: Sessions,
    table: Table,
    messages: u64,
}

impl State {
    fn new(sessions_max: u32) -> Self {
        let limits = Limits {
            sessions_max: sessions_max * 2,
            tunnels_max: sessions_max * 16,
            pages: Pages::Huge,
            ..Limits::default()
        };
        let epochs = Epochs::new();
        let of_tunnels =
            TunnelLimits { tunnels: limits.tunnels_max, nodes: 1_024, pages: Pages::Huge, seed: 3 };
        let (tunnels, _) = tunnels(of_tunnels, &epochs).expect("there is memory");
        let table = Table { tunnels, binds: 0, refused: 0 };
        Self { sessions: Sessions::new(limits, 7, [1; 4]), table, messages: 0 }
    }

    #[inline(always)]
    fn play<const LOOKS: bool>(&mut self, player: &mut Player<'_>, messages: usize) {
        let Self { sessions, table, .. } = self;
        for _ in 0..messages {
            if LOOKS {
                player.look_ahead(sessions, table);
            }
            player.decode(&mut |event| sessions.handle(event, table));
            while let Some(ended) = sessions.next_ended() {
                sessions.free(ended, |_| {});
            }
        }
        self.messages += messages as u64;
        // Once a millisecond at a million messages a second.
        if self.messages % 1_024 < messages as u64 {
            let now_ns = player.event.time_ns;
            table.tunnels.reclaim();
            sessions.expire(now_ns, |_| now_ns, table);
        }
    }
}

pub(super) fn run(scale: &Scale) -> Vec<Outcome> {
    scale.subscribers.iter().map(|&subscribers| case(scale, subscribers)).collect()
}

fn case(scale: &Scale, subscribers: u32) -> Outcome {
    let tape = Tape::new(subscribers);
    let (mut state, mut other) = (State::new(subscribers * 3), State::new(subscribers * 3));
    let (mut ours, mut blind) = (Player::new(&tape), Player::new(&tape));
    let (mut decoder, mut touched) = (Player::new(&tape), 0_usize);
    // A whole pass: from then on every life follows one that was seen to its end, or was cut off by it.
    let (mut active, mut seen) = (0, 0);
    while seen < tape.messages.len() {
        state.play::<true>(&mut ours, BURST);
        other.play::<false>(&mut blind, BURST);
        seen += BURST;
        active = active.max(state.sessions.counters().active);
    }
    assert_eq!(state.sessions.counters(), other.sessions.counters());
    check(&tape);
    let mut samples = measure(
        scale,
        vec![
            Rival::new("floor", BURST as u64, |n| {
                for _ in 0..n as usize * BURST {
                    touched = if touched + 1 < tape.messages.len() { touched + 1 } else { 0 };
                    black_box(tape.bytes_of(&tape.messages[touched])[0]);
                }
            }),
            Rival::new("decode", BURST as u64, |n| {
                for _ in 0..n as usize * BURST {
                    decoder.decode(&mut |event| {
                        black_box(event.sequence);
                    });
                }
            }),
            Rival::new("ours", BURST as u64, |n| {
                for _ in 0..n {
                    state.play::<true>(&mut ours, BURST);
                }
            }),
            Rival::new("blind", BURST as u64, |n| {
                for _ in 0..n {
                    other.play::<false>(&mut blind, BURST);
                }
            }),
        ],
    );
    // In turns each begins a window with what the others left in the core's caches, and a window is a
    // thousand messages. A tracker has them for itself: that is told beside it, without a bar.
    let alone = |n| {
        for _ in 0..n {
            state.play::<true>(&mut ours, BURST);
        }
    };
    samples.extend(measure(scale, vec![Rival::new("alone", BURST as u64, alone)]));
    let counters = state.sessions.counters();
    assert_eq!((counters.refused, state.table.refused), (::session::Refused::default(), 0));
    assert!(counters.created > 0 && state.table.binds > 0);
    // A million messages a second.
    let bar = crate::measure::cycles(std::time::Duration::from_micros(1)) as f64;
    let messages = tape.messages.len();
    Outcome::new(format!("sessions/gtpv2/{subscribers}"), samples, &[("ours", "decode"), ("blind", "ours")])
        .with_cycles_bar("ours", bar)
        .with_note(format!(
            "{messages} GTPv2-C messages a pass, {active} sessions at once; the bar is a microsecond"
        ))
}

/// What is played makes the sessions that the same tape makes with nothing but itself.
fn check(tape: &Tape) {
    let mut player = Player::new(tape);
    let mut requests = 0;
    for _ in 0..tape.messages.len().min(10_000) {
        player.decode(&mut |event| {
            assert_eq!(event.protocol, Signalling::Gtpv2);
            assert!(event.sequence.is_some());
            requests += u64::from(event.cause.is_none());
        });
    }
    assert!(requests > 0);
}
