//! The engine of `snipe gen`: a tapped mobile core in packets, the same for the same options.
//!
//! Time goes on in slots, one for each frame that the rate allows. A slot is for a packet of a busy
//! flow of a subscriber (`traffic`), or now and then for the nodes themselves (`other`). What follows
//! from something — the same packet on the next stretch, a fragment, an answer, a message of a
//! procedure (`procedure`, `lte`, `umts`, `nr`) — waits in a queue for its own time, and a slot is left
//! out for it. Procedures change the state of the network as their messages pass the tap, so that a
//! packet never has a tunnel that is not there. What the tap itself does wrong (`tapped`) changes
//! nothing but what is seen of signalling.

mod ie;
mod lte;
mod nodes;
mod nr;
mod options;
mod other;
mod procedure;
mod state;
mod subscriber;
mod traffic;
mod tunnel;
mod umts;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, Write};

use rand::{Rng, RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::truth::{Digits, FTeid, GroundTruth, Session as SessionTruth};
use nodes::Node;
pub use options::{Options, OptionsError};
use procedure::{Procedure, Schedule};
use state::{Core, Interface, NONE, Numbers, Session, UNHELD, Ue};
use subscriber::{Access, Profile};
use traffic::Busy;

/// One frame of the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated<'a> {
    /// Nanoseconds since 1970, whole microseconds, never smaller than the time before.
    pub time_ns: u64,
    /// The Ethernet frame.
    pub bytes: &'a [u8],
    /// Index into [`GroundTruth::sessions`] for a frame of the user plane; `None` for signalling and
    /// for what belongs to no subscriber.
    pub session: Option<u32>,
}

/// MTU of the transport network.
const TRANSPORT_MTU: usize = 1_500;
/// Longest inner packet that the core sends when it knows the MTU of the transport network; room
/// for an IPv6 header, UDP, GTP-U with a container, a VLAN tag.
const INNER_MTU: usize = 1_420;

/// Directions, as indices.
const UPLINK: usize = 0;
const DOWNLINK: usize = 1;

/// One millisecond in nanoseconds.
const MS: u64 = 1_000_000;
/// So long a number that a node handed out rests before it is used again.
const TEID_REST_NS: u64 = 80 * MS;

/// Whose frame it is, and what it counts for when it leaves.
#[derive(Clone, Copy, Debug)]
struct Owner {
    session: u32,
    /// The endpoint that it counts at: of the first frame of a T-PDU.
    end: u16,
    bytes: u32,
}

impl Owner {
    const NOBODY: Self = Self { session: NONE, end: UNHELD, bytes: 0 };
}

/// What the frame that is ready to leave is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Nothing,
    /// Not signalling: it leaves as it is.
    Frame,
    /// The tap may lose it.
    Signalling,
    /// Signalling that the tap has kept back or has seen before.
    Late,
}

/// Something that happens at its own time.
#[derive(Debug)]
enum What {
    Frame {
        owner: Owner,
        bytes: Vec<u8>,
        signalling: bool,
    },
    Late(Vec<u8>),
    /// A subscriber sends on its own in this session.
    Uplink(u32),
    /// The next message of a procedure.
    Step(usize),
    /// Time to attach a subscriber.
    Attach,
    /// Time for something to happen to one that is attached.
    Change,
    /// The SMF gets to know a UPF.
    Start(u8),
}

#[derive(Debug)]
struct Event {
    time_ns: u64,
    /// Of two at the same time the first made is first.
    order: u64,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time_ns, self.order).cmp(&(other.time_ns, other.order))
    }
}

/// Makes the frames of a capture one by one. It never looks at a clock; memory grows with the number
/// of subscribers and sessions and, for the truth, by four bytes a frame.
#[derive(Debug)]
pub struct Generator {
    options: Options,
    rng: Pcg64Mcg,
    /// Of the tap alone, so that what it does wrong changes nothing else.
    tap: Pcg64Mcg,
    salt: u64,
    /// Since the beginning of the capture.
    now_ns: u64,
    /// The next slot, and when it is.
    slot: u64,
    slot_ns: u64,
    /// Slots that are left out for what came from the queue.
    owed: u64,
    /// Frames that the network made.
    frames: u64,
    queue: BinaryHeap<Reverse<Event>>,
    events: u64,
    schedule: Schedule,
    ues: Vec<Ue>,
    sessions: Vec<Session>,
    procedures: Vec<Option<Box<Procedure>>>,
    /// Places in `procedures` that are free.
    resting: Vec<usize>,
    /// TEIDs and SEIDs: two places for each node, one for each address family.
    teids: Vec<Numbers>,
    ue_ipv4: Numbers,
    ue_ipv6: Numbers,
    /// Sequence numbers of the requests of each node.
    sequences: Vec<u32>,
    /// Sessions that have traffic.
    up: Vec<u32>,
    /// Subscribers that are attached, and those that were, with the time of their detach.
    attached: Vec<u32>,
    detached: VecDeque<(u64, u32)>,
    busy: Vec<Busy>,
    /// The session whose turn it is, so that all get one.
    turn: u32,
    turn_step: u32,
    /// The frame that is ready to leave.
    frame: Vec<u8>,
    owner: Owner,
    ready: Ready,
    /// Memory of frames that have left.
    spare: Vec<Vec<u8>>,
    truth: GroundTruth,
    noise: Vec<u8>,
    inner: Vec<u8>,
    scratch: Vec<u8>,
    datagram_id: u32,
    fragmented_id: u32,
    keepalives: u32,
}

/// A 64-bit mixing function (SplitMix64): properties of a subscriber are drawn from its number, so
/// that they need no memory.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Generator {
    /// A generator at its first frame.
    ///
    /// # Errors
    /// If the options make no capture.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        options.validate()?;
        let mut rng = Pcg64Mcg::seed_from_u64(options.seed);
        let salt = rng.next_u64();
        let mut noise = vec![0; 8_192];
        rng.fill_bytes(&mut noise);
        // Steps that share no factor with the number of subscribers visit all of them.
        let count = options.subscribers;
        let near = (f64::from(count) * 0.618) as u32;
        let turn_step = (near.max(1)..).find(|&step| greatest_common_divisor(step, count) == 1).unwrap_or(1);
        let mut generator = Self {
            schedule: Schedule::new(&options),
            tap: Pcg64Mcg::seed_from_u64(mix(options.seed ^ 0x7461_7000)),
            ues: vec![Ue::NEW; count as usize],
            options,
            rng,
            salt,
            now_ns: 0,
            slot: 0,
            slot_ns: 0,
            owed: 0,
            frames: 0,
            queue: BinaryHeap::new(),
            events: 0,
            sessions: Vec::new(),
            procedures: Vec::new(),
            resting: Vec::new(),
            teids: vec![Numbers::default(); 2 * Node::COUNT],
            ue_ipv4: Numbers::default(),
            ue_ipv6: Numbers::default(),
            sequences: vec![0; Node::COUNT],
            up: Vec::new(),
            attached: Vec::new(),
            detached: VecDeque::new(),
            busy: Vec::new(),
            turn: 0,
            turn_step,
            frame: Vec::new(),
            owner: Owner::NOBODY,
            ready: Ready::Nothing,
            spare: Vec::new(),
            truth: GroundTruth::default(),
            noise,
            inner: Vec::with_capacity(4_096),
            scratch: Vec::with_capacity(4_096),
            datagram_id: 0,
            fragmented_id: 0,
            keepalives: 0,
        };
        for sequence in &mut generator.sequences {
            *sequence = generator.rng.random_range(0..0x40_0000);
        }
        generator.next_slot();
        if generator.options.signalling {
            generator.begin();
        }
        Ok(generator)
    }

    /// The next frame, or `None` at the end of the capture.
    pub fn next_frame(&mut self) -> Option<Generated<'_>> {
        loop {
            if self.frames >= self.options.frames() {
                return None;
            }
            let left = std::mem::take(&mut self.frame);
            if left.capacity() > 0 && self.spare.len() < 256 {
                self.spare.push(left);
                if let Some(left) = self.spare.last_mut() {
                    left.clear();
                }
            }
            self.owner = Owner::NOBODY;
            self.ready = Ready::Nothing;

            let is_due = self.queue.peek().is_some_and(|Reverse(event)| event.time_ns <= self.slot_ns);
            if let Some(Reverse(event)) = is_due.then(|| self.queue.pop()).flatten() {
                self.now_ns = event.time_ns;
                self.happen(event.what);
                self.owed += u64::from(matches!(self.ready, Ready::Frame | Ready::Signalling));
            } else {
                self.now_ns = self.slot_ns;
                self.slot += 1;
                self.next_slot();
                if self.owed > 0 {
                    self.owed -= 1;
                    continue;
                }
                if self.rng.random_bool(self.options.other) {
                    self.plan_other();
                } else {
                    self.plan();
                }
            }
            match self.ready {
                Ready::Nothing => continue,
                Ready::Frame => self.frames += 1,
                Ready::Signalling => {
                    self.frames += 1;
                    if !self.tapped() {
                        continue;
                    }
                }
                Ready::Late => {}
            }
            break;
        }
        let session = self.leave();
        let time_ns = self.options.start_ns + self.now_ns / 1_000 * 1_000;
        Some(Generated { time_ns, bytes: &self.frame, session })
    }

    fn next_slot(&mut self) {
        let period_ns = 1e9 / self.options.pps as f64;
        self.slot_ns = ((self.slot as f64 + self.rng.random::<f64>()) * period_ns) as u64;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Frame { owner, bytes, signalling } => {
                (self.frame, self.owner) = (bytes, owner);
                self.ready = if signalling { Ready::Signalling } else { Ready::Frame };
            }
            What::Late(bytes) => {
                self.frame = bytes;
                self.ready = Ready::Late;
            }
            What::Uplink(session) => self.plan_uplink(session),
            What::Step(index) => self.step(index),
            What::Attach => self.attach_one(),
            What::Change => self.change_one(),
            What::Start(gateway) => self.associate(gateway),
        }
    }

    /// Something happens after a while.
    fn later(&mut self, delay_ns: u64, what: What) {
        self.events += 1;
        self.queue.push(Reverse(Event { time_ns: self.now_ns + delay_ns, order: self.events, what }));
    }

    /// A frame that is not signalling becomes the ready frame, or leaves later.
    fn put(&mut self, delay_ns: u64, owner: Owner, bytes: Vec<u8>) {
        if delay_ns == 0 && self.ready == Ready::Nothing {
            (self.frame, self.owner, self.ready) = (bytes, owner, Ready::Frame);
        } else {
            self.later(delay_ns, What::Frame { owner, bytes, signalling: false });
        }
    }

    /// Whether the tap sees the ready message now. It may also see it later, or once more.
    fn tapped(&mut self) -> bool {
        let Options { loss, reorder, dup, .. } = self.options;
        if loss > 0.0 && self.tap.random_bool(loss) {
            return false;
        }
        if dup > 0.0 && self.tap.random_bool(dup) {
            let delay_ns = self.tap.random_range(10_000..3 * MS);
            self.later(delay_ns, What::Late(self.frame.clone()));
        }
        if reorder > 0.0 && self.tap.random_bool(reorder) {
            let delay_ns = self.tap.random_range(MS..20 * MS);
            let frame = std::mem::take(&mut self.frame);
            self.later(delay_ns, What::Late(frame));
            return false;
        }
        true
    }

    /// Counts the frame that leaves now; returns its session.
    fn leave(&mut self) -> Option<u32> {
        let Owner { session, end, bytes } = self.owner;
        let found = self.sessions.get_mut(session as usize);
        let is_user = found.is_some();
        if let Some(found) = found {
            if !self.options.signalling {
                found.created_ns.get_or_insert(self.now_ns);
            }
            if let Some(held) = found.held.get_mut(usize::from(end)) {
                held.packets += 1;
                held.bytes += u64::from(bytes);
            }
        }
        let session = is_user.then_some(session);
        self.truth.push(session);
        session
    }

    fn profile(&self, ue: u32) -> Profile {
        Profile::of(self.salt, &self.options, ue)
    }

    fn core(&self, session: u32) -> Core {
        self.sessions.get(session as usize).map_or(Core::NONE, |session| session.core)
    }

    /// The session of a busy flow, which is made now where nothing signals it.
    fn session_of(&mut self, who: u32) -> u32 {
        if self.options.signalling {
            return who;
        }
        match self.ues.get(who as usize) {
            Some(ue) if ue.session(0) == NONE => self.unsignalled(who),
            Some(ue) => ue.session(0),
            None => NONE,
        }
    }

    /// Whether a busy flow may go on: its session has traffic, or nothing signals that it has not.
    fn may_send_as(&self, who: u32) -> bool {
        if self.options.signalling {
            self.sessions.get(who as usize).is_some_and(|session| session.position != NONE)
        } else {
            who != NONE
        }
    }

    /// The truth about the frames so far.
    #[must_use]
    pub fn into_truth(mut self) -> GroundTruth {
        let mut sessions = std::mem::take(&mut self.sessions);
        for session in &mut sessions {
            session.flows = Box::default();
        }
        let mut truth = std::mem::take(&mut self.truth);
        truth.sessions.reserve_exact(sessions.len());
        for session in sessions {
            let told = self.session_truth(&session);
            truth.sessions.push(told);
        }
        truth
    }

    fn session_truth(&self, session: &Session) -> SessionTruth {
        let (core, profile) = (session.core, self.profile(session.core.ue));
        let signalling = self.options.signalling;
        let (mut packets, mut bytes) = ([0; 2], [0; 2]);
        let mut fteids = Vec::with_capacity(session.held.len());
        for held in &session.held {
            let control = matches!(held.interface, Interface::N4Smf | Interface::N4Upf);
            if let Some(direction) = held.interface.direction() {
                if let (Some(packets), Some(bytes)) = (packets.get_mut(direction), bytes.get_mut(direction)) {
                    *packets += u64::from(held.packets);
                    *bytes += held.bytes;
                }
            }
            if signalling || held.packets > 0 {
                fteids.push(FTeid {
                    interface: held.interface.name(),
                    ip: held.end.node.address(held.end.v6),
                    teid: if control { held.end.seid() } else { held.end.teid.into() },
                    packets: held.packets.into(),
                    bytes: held.bytes,
                });
            }
        }
        fteids.sort_by_key(|fteid| (fteid.interface, fteid.ip, fteid.teid));
        let nr = profile.access == Access::Nr;
        let told = signalling && (!nr || profile.told);
        let located = signalling && !nr;
        let address = core.address(self.salt);
        let absolute = |ns: u64| self.options.start_ns + ns / 1_000 * 1_000;
        SessionTruth {
            correlation_id: None,
            imsi: told.then_some(profile.imsi),
            msisdn: told.then_some(profile.msisdn),
            imei: told.then_some(profile.imei),
            apn: signalling.then_some(profile.wish(core.connection).apn),
            rat: located.then_some(match (profile.access, profile.geran) {
                (Access::Umts, true) => "GERAN",
                (Access::Umts, false) => "UTRAN",
                _ => "EUTRAN",
            }),
            mcc: located.then_some(Digits::new(1, 3)),
            mnc: located.then_some(Digits::new(1, 2)),
            tac: located.then_some(core.area.into()),
            cell: located.then_some(core.cell.into()),
            ue_ipv4: address.v4,
            ue_ipv6: address.v6.map(nodes::prefix_of),
            state: if session.ended_ns.is_some() { "deleted" } else { "active" },
            probe: None,
            fteids,
            packets_ul: packets[UPLINK],
            packets_dl: packets[DOWNLINK],
            bytes_ul: bytes[UPLINK],
            bytes_dl: bytes[DOWNLINK],
            created_ns: absolute(session.created_ns.unwrap_or(self.now_ns)),
            ended_ns: session.ended_ns.map(absolute),
        }
    }
}

/// Writes a whole capture (pcap with microseconds, Ethernet) and returns the truth about it.
///
/// # Errors
/// Options that make no capture (`InvalidInput`), and what the writer reports.
pub fn write_capture(options: Options, out: &mut impl Write) -> io::Result<GroundTruth> {
    let mut generator =
        Generator::new(options).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let mut out = io::BufWriter::with_capacity(1 << 20, out);
    let mut header = [0; 24];
    let words = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 0x4_0000, 1_u32];
    for (place, word) in header.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    out.write_all(&header)?;
    while let Some(frame) = generator.next_frame() {
        let length = frame.bytes.len() as u32;
        let seconds = (frame.time_ns / 1_000_000_000) as u32;
        let micros = (frame.time_ns % 1_000_000_000 / 1_000) as u32;
        let mut record = [0; 16];
        for (place, word) in record.chunks_exact_mut(4).zip([seconds, micros, length, length]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out.write_all(&record)?;
        out.write_all(frame.bytes)?;
    }
    out.flush()?;
    Ok(generator.into_truth())
}
