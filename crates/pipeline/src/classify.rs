//! Class, key and pin of every packet.

use std::sync::Arc;

use balance::ClusterKey;
use batch::{Batch, Frame, ProbeSet, RxCounters, Slot};
use types::{Key, LinkType, TrafficClass};
use wire::{Dissection, Fragment, protocol};

use crate::fragments::{Fragments, Origin};
use crate::linear::Linear;
use crate::readings::{Reading, Readings};

/// Packets whose first two lines, which the headers end in, are asked for before they are read. Asked
/// for all at once they would wait for each other, and nothing be done meanwhile; those asked for first
/// would be gone again.
const AHEAD: usize = 16;

/// Signalling besides GTP-C and PFCP that every probe gets, where it is not in a user's tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForAll {
    /// Whatever is over SCTP: S1-AP, NGAP, Diameter, and the association itself.
    pub sctp: bool,
    /// Diameter by its ports, over TCP and SCTP. RFC 6733 11.4.
    pub diameter: bool,
}

impl ForAll {
    /// Diameter, and Diameter over TLS or DTLS.
    const DIAMETER_PORTS: [u16; 2] = [3868, 5868];

    fn has(self, found: &Dissection) -> bool {
        if found.class != TrafficClass::Other || found.layers.quoted {
            return false;
        }
        // Protocol and ports are those of the key: of a packet inside a tunnel there is another class, and
        // where not even the addresses could be read there are none.
        let ports = found.ports;
        let is_diameters = |port| Self::DIAMETER_PORTS.contains(&port);
        match ports.protocol {
            protocol::SCTP if self.sctp => true,
            protocol::SCTP | protocol::TCP if self.diameter => {
                is_diameters(ports.first) || is_diameters(ports.second)
            }
            _ => false,
        }
    }
}

/// Reads the headers and sets class, pin and flow, and what a session can be found by. Later fragments
/// follow the first.
#[derive(Debug)]
pub struct Classify {
    link: LinkType,
    cluster: ClusterKey,
    wants_flows: bool,
    fragments: Fragments,
    for_all: ForAll,
    all: ProbeSet,
    counters: Arc<RxCounters>,
    linear: Linear,
}

impl Classify {
    /// The stage for packets of this link type. Flow hashes are only made where they are wanted.
    #[must_use]
    pub fn new(
        link: LinkType,
        cluster: ClusterKey,
        wants_flows: bool,
        fragments: Fragments,
        counters: Arc<RxCounters>,
    ) -> Self {
        Self {
            link,
            cluster,
            wants_flows,
            fragments,
            for_all: ForAll::default(),
            all: ProbeSet::EMPTY,
            counters,
            linear: Linear::new(),
        }
    }

    /// What else goes to `all` probes. Nothing does where this is not called.
    #[must_use]
    pub const fn with_for_all(mut self, for_all: ForAll, all: ProbeSet) -> Self {
        self.for_all = for_all;
        self.all = all;
        self
    }

    /// First fragments that the table had to forget too early.
    #[must_use]
    pub const fn fragments_evicted(&self) -> u64 {
        self.fragments.evicted()
    }

    /// Works on the live packets of `batch`, and tells what it has read of each in `readings`.
    #[inline]
    pub fn run<F: Frame>(&mut self, batch: &mut Batch<F>, readings: &mut Readings) {
        if self.wants_flows {
            self.classify::<F, true>(batch, readings);
        } else {
            self.classify::<F, false>(batch, readings);
        }
    }

    #[inline(always)]
    fn classify<F: Frame, const FLOWS: bool>(&mut self, batch: &mut Batch<F>, readings: &mut Readings) {
        let mut others = 0;
        let all = batch.len() as u64;
        let mut malformed = false;
        let ethernet = self.link == LinkType::Ethernet;
        let mut ahead = batch.live();
        for slot in ahead.by_ref().take(AHEAD) {
            cpu::prefetch_two(batch.head(slot));
        }
        for slot in batch.live() {
            if let Some(slot) = ahead.next() {
                cpu::prefetch_two(batch.head(slot));
            }
            let head = batch.head(slot);
            // A frame of several segments may end its headers beyond the first one.
            let whole = batch.frame(slot).is_some_and(|frame| frame.len() == head.len());
            if let Some(tpdu) = if ethernet && whole { wire::tpdu::<FLOWS>(head) } else { None } {
                let pin = self.cluster.pin_pair(tpdu.addresses.pair());
                batch.pin.set(slot, pin);
                // Where no flow is wanted, the column has never been anything but 0.
                if FLOWS {
                    batch.flow.set(slot, self.cluster.flow(pin, tpdu.ports));
                }
                batch.class.set(slot, TrafficClass::GtpU);
                readings.set_tpdu(slot, &tpdu);
                continue;
            }
            let class = self.walk(batch, readings, slot);
            batch.class.set(slot, class);
            malformed |= batch.malformed.get(slot).is_some();
            self.counters.class(class, 1);
            others += 1;
        }
        self.counters.class(TrafficClass::GtpU, all - others);
        if malformed {
            self.count_malformed(batch);
        }
    }

    /// Everything that is not a plain T-PDU.
    #[inline(never)]
    fn walk<F: Frame>(&mut self, batch: &mut Batch<F>, readings: &mut Readings, slot: Slot) -> TrafficClass {
        let Some(frame) = batch.frame(slot) else { return TrafficClass::Other };
        let found = wire::dissect(self.link, self.linear.bytes(frame));
        let Dissection { class, key, malformed, fragment, ports, .. } = found;
        let pin = self.cluster.pin(&key);
        let flow = if self.wants_flows { self.cluster.flow(pin, ports) } else { 0 };
        let mut origin =
            Origin { class, pin, flow, reading: of_dissection(&found), for_all: self.for_all.has(&found) };
        match fragment {
            Fragment::None => {}
            Fragment::First(id) => {
                // What follows the first one belongs to the same packet and counts no second time.
                let follows = Reading { counts: false, not_found: false, ..origin.reading };
                let time_ns = batch.time_ns.get(slot);
                self.fragments.remember(id, Origin { reading: follows, ..origin }, time_ns);
            }
            Fragment::Later(id) => {
                origin = self.fragments.recall(&id, batch.time_ns.get(slot)).unwrap_or(origin);
            }
        }
        batch.pin.set(slot, origin.pin);
        batch.flow.set(slot, origin.flow);
        batch.probes.set(slot, if origin.for_all { self.all } else { ProbeSet::EMPTY });
        if batch.malformed.get(slot).is_none() {
            batch.malformed.set(slot, malformed);
        }
        readings.set(slot, origin.reading);
        origin.class
    }

    #[cold]
    fn count_malformed<F: Frame>(&self, batch: &Batch<F>) {
        for reason in batch.live().filter_map(|slot| batch.malformed.get(slot)) {
            self.counters.malformed(reason);
        }
    }
}

fn of_dissection(found: &Dissection) -> Reading {
    let layers = &found.layers;
    let tunnel = match found.key {
        Key::Tunnel(tunnel) => Some(tunnel),
        Key::Inner(_) => layers.tunnel,
        Key::Outer(_) | Key::Frame(_) => None,
    };
    Reading {
        tunnel,
        sender: layers.ends.map_or(Reading::NONE.sender, |ends| ends.addresses.source()),
        user: layers.user,
        toward: layers.pdu_session.and_then(|session| session.toward),
        counts: layers.t_pdu && !layers.quoted,
        not_found: layers.not_found && !layers.quoted,
        plain: match found.key {
            Key::Outer(pair) if found.class == TrafficClass::Other => Some(pair),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replay::HeapFrame;
    use testkit::{Extension, Gtpu, Ipv4, Ipv6, PDU_SESSION_CONTAINER, Packet, pdu_session_container};

    /// A user's packet of the common shape.
    fn frame(vlan: bool, uplink: Option<bool>, v6: bool) -> Vec<u8> {
        let content = pdu_session_container(uplink.unwrap_or_default(), 9);
        let container = [Extension { kind: PDU_SESSION_CONTAINER, content: &content }];
        let extensions: &[_] = if uplink.is_some() { &container } else { &[] };
        let mut bytes = Vec::new();
        let mut packet = Packet::new(&mut bytes);
        packet.ethernet([2; 6], [4; 6]);
        if vlan {
            packet.vlan(0x8100, 100);
        }
        packet.ipv4(&Ipv4::new([192, 0, 2, 1].into(), [198, 51, 100, 2].into()));
        packet.udp(2152, 2152).gtpu(&Gtpu { extensions, ..Gtpu::t_pdu(0xdead_beef) });
        if v6 {
            packet.ipv6(&Ipv6::new("2001:db8::1".parse().unwrap(), "2001:db8:ffff::2".parse().unwrap()));
        } else {
            packet.ipv4(&Ipv4::new([10, 0, 0, 1].into(), [203, 0, 113, 2].into()));
        }
        packet.udp(1, 2).payload(&[7; 33]).finish();
        bytes
    }

    /// What is kept of the common shape, and what is read again of it, is what the long way finds; a
    /// slot keeps nothing of the packet that it had before.
    #[test]
    fn both_ways_tell_the_same() {
        let counters = Arc::new(RxCounters::default());
        let mut classify =
            Classify::new(LinkType::Ethernet, ClusterKey::new("x"), false, Fragments::new(4, 1), counters);
        let mut readings = Readings::new();
        let mut batch = Batch::new();
        for (vlan, v6) in [(false, false), (true, true), (true, false), (false, true)] {
            for uplink in [None, Some(true), Some(false)] {
                let bytes = frame(vlan, uplink, v6);
                let slot = batch.push_received(HeapFrame::from_vec(bytes.clone()), 0, 0).unwrap();
                classify.run(&mut batch, &mut readings);
                let expected = of_dissection(&wire::dissect(LinkType::Ethernet, &bytes));
                assert!(expected.tunnel.is_some() && expected.user.is_some() && expected.counts);
                assert_eq!(readings.user(slot), expected.user);
                assert_eq!(readings.tunnel(slot), expected.tunnel);
                assert_eq!(readings.get(slot, batch.head(slot)), expected);
                batch.clear();

                // The same, cut short: only the long way reads it.
                let cut = bytes[..bytes.len() - 40].to_vec();
                let slot = batch.push_received(HeapFrame::from_vec(cut.clone()), 0, 0).unwrap();
                classify.run(&mut batch, &mut readings);
                let expected = of_dissection(&wire::dissect(LinkType::Ethernet, &cut));
                assert_eq!(readings.user(slot), None);
                assert_eq!(readings.tunnel(slot), expected.tunnel);
                assert_eq!(readings.get(slot, batch.head(slot)), expected);
                batch.clear();
            }
        }
    }

    /// By protocol and port outside of any tunnel; a later fragment like its first.
    #[test]
    fn other_signalling_is_for_all_where_that_is_asked_for() {
        let frame = |protocol: u8, ports: [u16; 2], fragment: u16| {
            let mut bytes = Vec::new();
            let mut packet = Packet::new(&mut bytes);
            packet.ethernet([2; 6], [4; 6]);
            let ip = Ipv4::new([192, 0, 2, 1].into(), [198, 51, 100, 2].into());
            packet.ipv4(&ip).udp(ports[0], ports[1]).payload(&[7; 40]).finish();
            bytes[23] = protocol;
            bytes[20..22].copy_from_slice(&fragment.to_be_bytes());
            bytes
        };
        let (sctp, diameter) =
            (ForAll { sctp: true, diameter: false }, ForAll { sctp: false, diameter: true });
        let all = ProbeSet(0b111);
        let run = |for_all: ForAll, frames: &[Vec<u8>]| -> Vec<bool> {
            let fragments = Fragments::new(4, 1);
            let counters = Arc::new(RxCounters::default());
            let classify =
                Classify::new(LinkType::Ethernet, ClusterKey::new("x"), false, fragments, counters);
            let mut classify = classify.with_for_all(for_all, all);
            let (mut batch, mut readings) = (Batch::new(), Readings::new());
            for frame in frames {
                batch.push_received(HeapFrame::from_vec(frame.clone()), 0, 0).unwrap();
            }
            classify.run(&mut batch, &mut readings);
            let told: Vec<_> = batch.live().map(|slot| batch.probes.get(slot)).collect();
            assert!(told.iter().all(|probes| [all, ProbeSet::EMPTY].contains(probes)));
            told.into_iter().map(|probes| !probes.is_empty()).collect()
        };
        for (protocol, ports, is_sctp, is_diameter) in [
            (132, [36_412, 36_412], true, false),
            (132, [5_000, 3_868], true, true),
            (132, [5_868, 5_000], true, true),
            (6, [3_868, 5_000], false, true),
            (6, [5_000, 5_868], false, true),
            (6, [5_000, 3_869], false, false),
            (17, [3_868, 3_868], false, false),
            (17, [2_123, 3_868], false, false),
        ] {
            // Whole, and in fragments of which the later ones seem to have other ports.
            let first = frame(protocol, ports, 0x2000);
            let frames = [frame(protocol, ports, 0), first, frame(protocol, [0x0707; 2], 1)];
            assert_eq!(run(ForAll::default(), &frames), [false; 3]);
            assert_eq!(run(sctp, &frames), [is_sctp; 3], "{protocol} {ports:?}");
            assert_eq!(run(diameter, &frames), [is_diameter; 3], "{protocol} {ports:?}");
        }
        // Inside of a tunnel it is a user's.
        let mut inside = frame(17, [2_152, 2_152], 0);
        let inner = frame(132, [3_868, 3_868], 0);
        inside.truncate(42);
        inside.extend([0x30, 255, 0, 68, 0, 0, 0, 9]);
        inside.extend(&inner[14..]);
        let udp_bytes = (inside.len() - 34) as u16;
        inside[38..40].copy_from_slice(&udp_bytes.to_be_bytes());
        inside[16..18].copy_from_slice(&(udp_bytes + 20).to_be_bytes());
        assert_eq!(run(ForAll { sctp: true, diameter: true }, &[inside]), [false]);
    }
}
