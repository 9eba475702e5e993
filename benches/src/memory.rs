//! What sessions take: the memory of a whole dataplane while subscribers come, or pretend to.

use std::fmt;

use balance::{Balancer, ClusterKey, Group, Member, Mode};
use batch::{Batch, Frame, FramePool, Meta, NoPort, RxQueue, Sink};
use pipeline::{Plan, SessionAccount, Source, Target, wire_up};
use testkit::{Generator, Options};
use types::{DropReason, LinkType, PortId, ProbeId, SessionEvent, Teid, TrafficClass};

/// Who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// Subscribers, each with one PDN connection of four tunnels, seen on S11 and S5/S8.
    Subscribers(u32),
    /// So many Create Session Requests from as many made-up sources, none of them answered, after one
    /// real subscriber.
    Strangers(u32),
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// Resident memory before the first message, tables made, and after the last: bytes.
    pub resident: [u64; 2],
    /// The sessions.
    pub sessions: SessionAccount,
    /// Packets received, and packets delivered.
    pub packets: [u64; 2],
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.resident.map(|bytes| bytes as f64 / 1e6);
        let SessionAccount { created, active, transactions_full, sessions_full, tunnels_full, .. } =
            self.sessions;
        let [received, delivered] = self.packets;
        write!(
            f,
            "{created} sessions made, {active} active; refused for want of room: {sessions_full} sessions, \
             {tunnels_full} tunnels, {transactions_full} transactions\n{received} messages received, \
             {delivered} delivered; resident {before:.0} MB before, {after:.0} MB after"
        )?;
        if active > 1 {
            write!(f, ", {:.0} bytes a session", (after - before) * 1e6 / active as f64)?;
        }
        Ok(())
    }
}

/// Makes a dataplane for these limits, and sends the crowd through it.
#[must_use]
pub fn footprint(crowd: Crowd, sessions_max: u32, tunnels_max: u32) -> Footprint {
    let cluster = ClusterKey::new("");
    let member = Member::new(&cluster, ProbeId(0), "probe-1", 1);
    let plan = Plan {
        balancer: Balancer::new(vec![Group::new(Mode::Session, vec![member])], 0),
        probes: 1,
        cluster,
        seed: 1,
        sessions: session::Limits { sessions_max, tunnels_max, ..session::Limits::default() },
        keep_ended: false,
        ..Plan::default()
    };
    let source = Source { queue: Lives::new(crowd), port: PortId(0), decap: wire::Decap::default() };
    let wired = wire_up::<_, NoPort<Small>, _>(
        &plan,
        vec![vec![source]],
        vec![vec![Target::Writer]],
        vec![Some(Nowhere)],
        || Nothing,
    );
    let mut dataplane = wired.expect("there is memory");
    let before = resident();
    while dataplane.poll() > 0 {}
    while !dataplane.finish() || dataplane.poll() > 0 {}
    let accounts = dataplane.board.accounts();
    let packets = [accounts.received, accounts.delivered];
    Footprint { resident: [before, resident()], sessions: accounts.sessions, packets }
}

/// Resident memory of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux system");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it says so");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
}

/// Writes nowhere.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, _meta: &Meta, _frame: &impl Frame) -> Result<(), DropReason> {
        Ok(())
    }

    fn flush(&mut self) {}
}

/// A frame: as in a mempool, its bytes are elsewhere.
#[derive(Clone)]
struct Small {
    bytes: Box<[u8; 512]>,
    len: u16,
}

/// Its pool: has nothing to give.
struct Nothing;

impl FramePool for Nothing {
    type Frame = Small;
}

impl Frame for Small {
    type Pool = Nothing;

    fn head(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize {
        let there = self.head().get(offset..).unwrap_or_default();
        let count = there.len().min(out.len());
        out[..count].copy_from_slice(&there[..count]);
        count
    }

    fn share(&self) -> Self {
        self.clone()
    }

    fn make_private(self, _pool: &mut Nothing) -> Result<Self, Self> {
        Ok(self)
    }

    fn head_mut(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.bytes[..usize::from(self.len)])
    }

    fn trim_front(&mut self, _bytes: usize) -> bool {
        false
    }

    fn truncate(&mut self, _bytes: usize) -> bool {
        false
    }
}

/// What of a message is another subscriber's.
#[derive(Clone, Copy)]
enum Part {
    /// The TEID of this number, at this offset.
    Teid(u16, u8),
    Sequence(u16),
    Imsi(u16),
    UeAddress(u16),
}

/// The messages of one attach, and where they differ from another's.
struct Template {
    frames: Vec<(Small, Vec<Part>)>,
}

/// TEIDs of one subscriber at most.
const TEIDS: u32 = 16;

impl Template {
    fn new() -> Self {
        let options = Options {
            subscribers: 1,
            seconds: 5.0,
            pps: 500,
            ipv6: 0.0,
            nr: 0.0,
            umts: 0.0,
            transport_ipv6: 0.0,
            other: 0.0,
            ..Options::default()
        };
        let mut generator = Generator::new(options).expect("these options are good");
        let (mut frames, mut teids) = (Vec::new(), Vec::new());
        let mut event = Box::new(SessionEvent::new());
        while let Some(frame) = generator.next_frame() {
            let found = wire::dissect(LinkType::Ethernet, frame.bytes);
            let Some(at) = found.layers.datagram.filter(|_| found.class == TrafficClass::GtpC) else {
                continue;
            };
            let mut bytes = Box::new([0; 512]);
            bytes[..frame.bytes.len()].copy_from_slice(frame.bytes);
            let mut parts = vec![Part::Sequence(at as u16 + 8)];
            let mut kind = 0;
            let _ = wire::signalling(found.class, &frame.bytes[at as usize..], &mut event, &mut |event| {
                kind = event.message;
                let mut place = |at: usize, Teid(teid): Teid| {
                    let known = teids.iter().position(|&known| known == teid);
                    let number = known.unwrap_or_else(|| {
                        teids.push(teid);
                        teids.len() - 1
                    });
                    parts.push(Part::Teid(at as u16, number as u8));
                };
                if let Some(teid) = event.teid.filter(|teid| teid.0 != 0) {
                    place(at as usize + 4, teid);
                }
                let of_bearers = event.bearers.iter().flat_map(|bearer| &bearer.f_teids);
                for f_teid in event.f_teids.iter().map(|(_, f_teid)| f_teid).chain(of_bearers) {
                    let address = f_teid.v4.expect("the transport is IPv4").to_bits();
                    let word = u64::from(f_teid.teid.0) << 32 | u64::from(address);
                    place(position(frame.bytes, &word.to_be_bytes()), f_teid.teid);
                }
                if event.imsi.is_some() {
                    // Type, length, instance. TS 29.274 8.3.
                    parts.push(Part::Imsi(position(frame.bytes, &[1, 0, 8, 0]) as u16 + 4));
                }
                if event.ue.v4.is_some_and(|address| !address.is_unspecified()) {
                    // Type, length, instance, IPv4. TS 29.274 8.14.
                    parts.push(Part::UeAddress(position(frame.bytes, &[79, 0, 5, 0, 1]) as u16 + 5));
                }
            });
            frames.push((Small { bytes, len: frame.bytes.len() as u16 }, parts));
            // Modify Bearer Response: the base station's tunnel is there, too. TS 29.274 6.1.
            if kind == 35 {
                assert!(teids.len() <= TEIDS as usize);
                return Self { frames };
            }
        }
        panic!("a subscriber attaches in five seconds");
    }

    fn frame(&self, number: usize, subscriber: u32) -> Small {
        let (mut frame, parts) = (self.frames[number].0.clone(), &self.frames[number].1);
        let mut put =
            |at: u16, bytes: &[u8]| frame.bytes[usize::from(at)..][..bytes.len()].copy_from_slice(bytes);
        for &part in parts {
            match part {
                Part::Teid(at, number) => {
                    put(at, &(subscriber * TEIDS + u32::from(number) + 1).to_be_bytes());
                }
                Part::Sequence(at) => put(at, &(subscriber << 8 | number as u32).to_be_bytes()[..3]),
                Part::Imsi(at) => put(at, &imsi(subscriber)),
                Part::UeAddress(at) => put(at, &(0x0a00_0000 + subscriber).to_be_bytes()),
            }
        }
        frame
    }
}

fn position(bytes: &[u8], wanted: &[u8]) -> usize {
    let mut found = bytes.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
    let place = found.next().expect("it was read there").0;
    assert!(found.next().is_none(), "only there");
    place
}

/// 00101 and ten digits, the lower half of each byte first. TS 29.274 8.3.
fn imsi(subscriber: u32) -> [u8; 8] {
    let digits = format!("00101{subscriber:010}F");
    let digit = |place: usize| (digits.as_bytes()[place] as char).to_digit(16).unwrap_or(15) as u8;
    std::array::from_fn(|byte| digit(2 * byte) | digit(2 * byte + 1) << 4)
}

/// Brings them, a message every ten microseconds.
struct Lives {
    template: Template,
    crowd: Crowd,
    subscriber: u32,
    number: usize,
    time_ns: u64,
}

impl Lives {
    fn new(crowd: Crowd) -> Self {
        Self {
            template: Template::new(),
            crowd,
            subscriber: 0,
            number: 0,
            time_ns: 1_700_000_000_000_000_000,
        }
    }

    fn next(&mut self) -> Option<Small> {
        let whole = self.template.frames.len();
        let (subscribers, messages) = match self.crowd {
            Crowd::Subscribers(count) => (count, whole),
            Crowd::Strangers(count) => (count + 1, if self.subscriber == 0 { whole } else { 1 }),
        };
        if self.subscriber >= subscribers {
            return None;
        }
        let mut frame = self.template.frame(self.number, self.subscriber);
        if matches!(self.crowd, Crowd::Strangers(_)) && self.subscriber > 0 {
            // The source address of IPv4 in Ethernet.
            frame.bytes[14 + 12..][..4].copy_from_slice(&(0x2000_0000 + self.subscriber).to_be_bytes());
        }
        self.number += 1;
        if self.number == messages {
            self.number = 0;
            self.subscriber += 1;
        }
        self.time_ns += 10_000;
        Some(frame)
    }
}

impl RxQueue for Lives {
    type Frame = Small;

    fn receive(&mut self, batch: &mut Batch<Small>) -> usize {
        let room = batch.room();
        let frames: Vec<_> = std::iter::from_fn(|| {
            let frame = self.next()?;
            let wire_bytes = u32::from(frame.len);
            Some((frame, self.time_ns, wire_bytes))
        })
        .take(room)
        .collect();
        batch.extend_received(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subscriber_has_a_session() {
        let seen = footprint(Crowd::Subscribers(2_000), 2_000, 8_000);
        assert_eq!((seen.sessions.created, seen.sessions.active), (2_000, 2_000), "{seen}");
        assert_eq!((seen.sessions.sessions_full, seen.sessions.tunnels_full), (0, 0), "{seen}");
        assert_eq!(seen.packets[0], seen.packets[1], "{seen}");
    }

    #[test]
    fn strangers_leave_no_session_and_are_counted() {
        let seen = footprint(Crowd::Strangers(100_000), 1_000, 4_000);
        assert_eq!((seen.sessions.created, seen.sessions.active), (1, 1), "{seen}");
        assert_eq!(seen.sessions.transactions_full, 100_000 - 65_536, "{seen}");
    }
}
