//! Builders of control-plane messages, and the cases of `docs/HOSTILE.md` about their elements. The
//! builders share nothing with the readers.

use core::net::IpAddr;
use std::vec::Vec;

use Malformed::*;
use types::{Malformed, SessionEvent, TrafficClass};

use super::cat;
use crate::{has_every_header, signalling};

/// Every event of a datagram, and the reason.
pub(super) fn told(class: TrafficClass, datagram: &[u8]) -> (Vec<SessionEvent>, Option<Malformed>) {
    let mut events = Vec::new();
    let mut event = SessionEvent::new();
    event.time_ns = 7;
    event.source = (IpAddr::from([10, 1, 0, 1]), 2123).into();
    let (time_ns, source, destination) = (event.time_ns, event.source, event.destination);
    let reason = signalling(class, datagram, &mut event, &mut |event| {
        assert_eq!((event.time_ns, event.source, event.destination), (time_ns, source, destination));
        events.push(event.clone());
    });
    (events, reason)
}

/// The one event of a datagram, and the reason.
#[track_caller]
pub(super) fn one(class: TrafficClass, datagram: &[u8]) -> (SessionEvent, Option<Malformed>) {
    let (mut events, reason) = told(class, datagram);
    assert_eq!(events.len(), 1, "{datagram:02x?}");
    (events.remove(0), reason)
}

/// The one event of a datagram that is right and complete.
#[track_caller]
pub(super) fn good(class: TrafficClass, datagram: &[u8]) -> SessionEvent {
    let (event, reason) = one(class, datagram);
    assert_eq!((reason, event.incomplete), (None, false), "{datagram:02x?}");
    event
}

/// A GTPv2-C message with sequence number 5; without a TEID where there is none.
pub(super) fn v2(kind: u8, teid: Option<u32>, elements: &[&[u8]]) -> Vec<u8> {
    let elements = cat(elements);
    let teid = teid.map(u32::to_be_bytes);
    let (flags, head): (u8, &[u8]) = match &teid {
        Some(teid) => (0x48, teid),
        None => (0x40, &[]),
    };
    let length = (head.len() + 4 + elements.len()) as u16;
    cat(&[&[flags, kind], &length.to_be_bytes(), head, &[0, 0, 5, 0], &elements])
}

/// An element of GTPv2-C.
pub(super) fn ie(kind: u8, instance: u8, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u16).to_be_bytes();
    cat(&[&[kind], &length, &[instance], value])
}

/// A GTPv1-C message with sequence number 5.
pub(super) fn v1(kind: u8, teid: u32, elements: &[&[u8]]) -> Vec<u8> {
    let elements = cat(elements);
    let length = (4 + elements.len()) as u16;
    cat(&[&[0x32, kind], &length.to_be_bytes(), &teid.to_be_bytes(), &[0, 5, 0, 0], &elements])
}

/// An element of GTPv1-C with a length.
pub(super) fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    cat(&[&[kind], &(value.len() as u16).to_be_bytes(), value])
}

/// A PFCP message with sequence number 5; of a node where there is no SEID.
pub(super) fn n4(kind: u8, seid: Option<u64>, elements: &[&[u8]]) -> Vec<u8> {
    let elements = cat(elements);
    let seid = seid.map(u64::to_be_bytes);
    let (flags, head): (u8, &[u8]) = match &seid {
        Some(seid) => (0x21, seid),
        None => (0x20, &[]),
    };
    let length = (head.len() + 4 + elements.len()) as u16;
    cat(&[&[flags, kind], &length.to_be_bytes(), head, &[0, 0, 5, 0], &elements])
}

/// An element of PFCP.
pub(super) fn pie(kind: u16, value: &[u8]) -> Vec<u8> {
    cat(&[&kind.to_be_bytes(), &(value.len() as u16).to_be_bytes(), value])
}

pub(super) const IMSI: [u8; 8] = [0x00, 0x01, 0x01, 0x21, 0x43, 0x65, 0x87, 0xf9];
const F_TEID: [u8; 9] = [0x8a, 0, 0, 0, 9, 192, 0, 2, 1];
const C: TrafficClass = TrafficClass::GtpC;
const N4: TrafficClass = TrafficClass::Pfcp;

/// What a message says that begins with an IMSI, then has this, then an APN: the element between costs
/// itself at most.
#[track_caller]
fn between(element: &[u8], reason: impl Into<Option<Malformed>>) -> SessionEvent {
    let reason = reason.into();
    let message = v2(32, Some(0), &[&ie(1, 0, &IMSI), element, &ie(71, 0, b"\x03ims")]);
    let (event, got) = one(C, &message);
    assert_eq!((got, event.incomplete), (reason, reason.is_some()), "{element:02x?}");
    assert!(event.imsi.is_some() && event.apn.is_some(), "what stands around it is read");
    event
}

/// The same of PFCP, between User ID and APN.
#[track_caller]
fn between_n4(element: &[u8], reason: impl Into<Option<Malformed>>) -> SessionEvent {
    let reason = reason.into();
    let user = cat(&[&[1, 8], &IMSI]);
    let message = n4(50, Some(0), &[&pie(141, &user), element, &pie(159, b"\x03ims")]);
    let (event, got) = one(N4, &message);
    assert_eq!((got, event.incomplete), (reason, reason.is_some()), "{element:02x?}");
    assert!(event.imsi.is_some() && event.apn.is_some(), "what stands around it is read");
    event
}

// GTP-C.

#[test]
fn hostile_67_68_headers_have_their_own_reasons_and_no_event() {
    let message = v2(32, Some(0), &[&ie(1, 0, &IMSI)]);
    for cut in 0..12 {
        assert_eq!(told(C, &message[..cut]), (Vec::new(), Some(GtpcShort)), "{cut}");
    }
    let with = |flags: u8, length: u16| {
        let [a, b] = length.to_be_bytes();
        let mut message = message.clone();
        (message[0], message[2], message[3]) = (flags, a, b);
        told(C, &message)
    };
    for length in 0..8 {
        assert_eq!(with(0x48, length), (Vec::new(), Some(GtpcLength)));
    }
    assert_eq!(with(0x68, 20), (Vec::new(), Some(GtpcVersion)));
    // More than there is: whether that is a lie depends on who cut it.
    let (events, reason) = with(0x48, 0xffff);
    assert_eq!((events.len(), reason, events[0].incomplete), (1, None, true));
    assert!(events[0].imsi.is_some());
}

#[test]
fn hostile_69_piggybacked_message_of_length_zero_ends_the_reading() {
    let mut first = v2(33, Some(1), &[&ie(2, 0, &[16, 0])]);
    first[0] |= 0x10;
    let second = v2(95, Some(1), &[&ie(73, 0, &[5])]);
    let (events, reason) = told(C, &cat(&[&first, &second]));
    assert_eq!((events[0].message, events[1].message, reason), (33, 95, None));
    assert_eq!((events[1].cause, events[1].linked_ebi.map(|ebi| ebi.0)), (None, Some(5)), "cleared between");
    let (events, reason) = told(C, &cat(&[&first, &[0x48, 95, 0, 0, 0, 0, 0, 1, 0, 0, 5, 0]]));
    assert_eq!((events.len(), reason), (1, Some(GtpcLength)));
    assert_eq!(told(C, &first).1, Some(GtpcShort), "nothing follows");
    // A third one is not read. TS 29.274 5.5.1.
    let mut second = second;
    second[0] |= 0x10;
    let (events, reason) = told(C, &cat(&[&first, &second, &first]));
    assert_eq!((events.len(), reason), (2, None));
    assert!(!has_every_header(C, &cat(&[&first, &second, &first])));
    second[0] &= !0x10;
    assert!(has_every_header(C, &cat(&[&first, &second])) && has_every_header(C, &second));
    assert!(!has_every_header(C, &first), "nothing follows");
    assert!(!has_every_header(N4, &second) && !has_every_header(TrafficClass::GtpU, &second));
}

#[test]
fn hostile_70_element_length_past_the_end() {
    for length in [9, 0x100, 0xffff_u16] {
        let [a, b] = length.to_be_bytes();
        let element = cat(&[&[76, a, b, 0], &IMSI]);
        let (event, reason) = one(C, &v2(32, Some(0), &[&ie(1, 0, &IMSI), &element]));
        assert_eq!((reason, event.incomplete, event.msisdn), (Some(GtpcBadIe), true, None));
        assert!(event.imsi.is_some(), "what stands before it");
    }
}

#[test]
fn hostile_70_element_length_zero() {
    for kind in [1, 2, 3, 73, 75, 76, 79, 82, 83, 86, 87, 93, 109] {
        let message = v2(32, Some(0), &[&ie(kind, 0, &[]), &ie(71, 0, b"\x03ims")]);
        let (event, reason) = one(C, &message);
        assert_eq!((reason, event.incomplete), (Some(GtpcBadIe), true), "{kind}");
        assert!(event.apn.is_some(), "{kind}: what stands behind it");
        assert_eq!((event.bearers.len(), event.pdn_connections.len()), (0, 0), "{kind}");
    }
    // Unknown types may be empty, and so may a name.
    between(&ie(200, 0, &[]), None);
    assert_eq!(good(C, &v2(32, Some(0), &[&ie(71, 0, &[])])).apn, None);
}

#[test]
fn hostile_71_groups_100_deep() {
    let mut bearer = ie(73, 0, &[5]);
    for _ in 0..100 {
        bearer = ie(93, 0, &bearer);
    }
    let event = between(&bearer, None);
    assert_eq!(event.bearers.len(), 1, "a group within itself is an element that is not known there");
    assert_eq!(event.bearers[0].ebi, None);
}

#[test]
fn hostile_72_f_teid_with_less_than_its_flags_say() {
    for (flags, length) in [(0xc0, 5), (0xc0, 9), (0xc0, 24), (0x80, 8), (0x40, 20), (0x00, 25)] {
        let value = cat(&[&[flags | 10], &[1; 24]]);
        let event = between(&ie(87, 0, &value[..length]), GtpcBadIe);
        assert!(event.f_teids.is_empty());
    }
}

#[test]
fn hostile_73_two_bearer_contexts_of_one_ebi() {
    let bearer = |teid: u8| {
        let mut end = F_TEID;
        end[4] = teid;
        ie(93, 0, &cat(&[&ie(73, 0, &[5]), &ie(87, 0, &end)]))
    };
    let event = good(C, &v2(33, Some(1), &[&bearer(1), &bearer(2)]));
    let found: Vec<_> = event.bearers.iter().map(|b| (b.ebi.unwrap().0, b.f_teids[0].teid.0)).collect();
    assert_eq!(found, [(5, 1), (5, 2)]);
}

#[test]
fn hostile_74_v1_type_of_unknown_length() {
    for kind in [0, 6, 7, 10, 30, 116, 117, 126] {
        let message = v1(16, 0, &[&[2], &IMSI, &[kind, 0, 0, 0, 0], &tlv(131, b"\x03ims")]);
        let (event, reason) = one(C, &message);
        assert_eq!((reason, event.incomplete), (Some(GtpcBadIe), true), "{kind}");
        assert!(event.imsi.is_some() && event.apn.is_none(), "{kind}");
    }
}

#[test]
fn hostile_75_templates_and_contexts_that_are_not_read() {
    // TFT with 15 filters whose components are too long; MM contexts: stepped over by their length.
    between(&ie(84, 0, &[0x2f, 0x31, 9, 0xff, 0x10]), None);
    for kind in 103..=108 {
        between(&ie(kind, 0, &[0xff; 9]), None);
    }
    let message = v1(51, 1, &[&[2], &IMSI, &tlv(129, &[0xff; 9]), &tlv(137, &[0xff; 3])]);
    assert!(good(C, &message).imsi.is_some());
}

#[test]
fn hostile_76_truncated_location() {
    let whole = [0x18, 0, 0xf1, 0x10, 0, 1, 0, 0xf1, 0x10, 0, 0, 1, 2];
    assert_eq!(between(&ie(86, 0, &whole), None).location.cell, Some(0x0102));
    for cut in 0..whole.len() {
        let event = between(&ie(86, 0, &whole[..cut]), GtpcBadIe);
        assert_eq!((event.location.area, event.location.cell), (None, None), "{cut}");
    }
    let whole = [0, 0, 0xf1, 0x10, 0, 1, 0, 2];
    for cut in 0..whole.len() {
        let message = v1(16, 0, &[&tlv(152, &whole[..cut]), &tlv(131, b"\x03ims")]);
        let (event, reason) = one(C, &message);
        assert_eq!((reason, event.location.area), (Some(GtpcBadIe), None), "{cut}");
        assert!(event.apn.is_some());
    }
}

#[test]
fn hostile_77_label_lengths_of_names() {
    for length in 64..=u8::MAX {
        let name = cat(&[&[length], &[b'a'; 255]]);
        let name = &name[..usize::from(length) + 1];
        let (event, reason) = one(C, &v2(32, Some(0), &[&ie(71, 0, name), &ie(1, 0, &IMSI)]));
        assert_eq!((event.apn, reason), (None, Some(GtpcBadIe)), "{length}");
        assert!(event.imsi.is_some());
    }
    for name in [&b"\x04ims"[..], b"\x02ims", b"internet", b"\x03ims\0\x03abc"] {
        let (event, reason) = one(C, &v1(16, 0, &[&tlv(131, name), &[20, 5]]));
        assert_eq!((event.apn, reason), (None, Some(GtpcBadIe)), "{name:?}");
        assert_eq!(event.bearers.len(), 1);
    }
    // Without a terminator it is complete, with one too.
    for name in [&b"\x03ims"[..], b"\x03ims\0"] {
        let event = good(C, &v2(32, Some(0), &[&ie(71, 0, name)]));
        assert_eq!(event.apn.unwrap().as_str(), "ims");
    }
}

#[test]
fn more_elements_than_are_read() {
    let many = ie(200, 0, &[]).repeat(1_024);
    assert!(!good(C, &v2(32, Some(0), &[&many])).incomplete);
    let (event, reason) = one(C, &v2(32, Some(0), &[&many, &ie(1, 0, &IMSI)]));
    assert_eq!((event.imsi, reason, event.incomplete), (None, Some(GtpcBadIe), true));
    // Those of groups count, too.
    let groups = ie(93, 0, &ie(200, 0, &[]).repeat(100)).repeat(11);
    let (event, reason) = one(C, &v2(32, Some(0), &[&groups]));
    assert_eq!((event.bearers.len(), reason, event.incomplete), (11, Some(GtpcBadIe), true));
    let (_, reason) = one(C, &v1(16, 0, &[&[14, 7].repeat(1_025)]));
    assert_eq!(reason, Some(GtpcBadIe));
    // A list that is full is no reason.
    let bearers = ie(93, 0, &ie(73, 0, &[5])).repeat(16);
    let (event, reason) = one(C, &v2(32, Some(0), &[&bearers]));
    assert_eq!((event.bearers.len(), reason, event.incomplete), (15, None, true));
}

#[test]
fn extension_headers_of_version_1() {
    let message = |chain: &[u8], first: u8| {
        let mut message = v1(52, 1, &[chain, &[1, 128]]);
        (message[0], message[11]) = (0x36, first);
        one(C, &message)
    };
    let (event, reason) = message(&[1, 0, 7, 0xc2, 1, 0, 0, 0], 0xc0);
    assert_eq!((event.cause, reason), (Some(128), None));
    // The header's own values are told whatever follows it.
    for (chain, wanted) in [
        (&[0, 0, 7, 0][..], GtpExtLenZero),
        (&[200, 0, 7, 0], GtpExtTruncated),
        (&[1, 0, 0, 1].repeat(9), GtpExtTooMany),
    ] {
        let (event, reason) = message(chain, 0xc0);
        assert_eq!((event.cause, reason, event.incomplete), (None, Some(wanted), true));
        assert_eq!((event.message, event.teid.map(|teid| teid.0), event.sequence), (52, Some(1), Some(5)));
    }
}

// PFCP.

#[test]
fn hostile_79_headers_have_their_own_reasons_and_no_event() {
    let message = n4(50, Some(9), &[&pie(19, &[1])]);
    for cut in 0..16 {
        assert_eq!(told(N4, &message[..cut]), (Vec::new(), Some(PfcpShort)), "{cut}");
    }
    let with = |flags: u8, length: u16| {
        let [a, b] = length.to_be_bytes();
        let mut message = message.clone();
        (message[0], message[2], message[3]) = (flags, a, b);
        told(N4, &message)
    };
    for version in [0, 2] {
        assert_eq!(with(version << 5 | 1, 17), (Vec::new(), Some(PfcpVersion)));
    }
    for length in 0..12 {
        assert_eq!(with(0x21, length), (Vec::new(), Some(PfcpLength)));
    }
    let (events, reason) = with(0x21, 0xffff);
    assert_eq!((events[0].cause, events[0].incomplete, reason), (Some(1), true, None));
}

#[test]
fn hostile_80_recovery_time_stamp_of_length_zero() {
    for length in 0..4 {
        assert_eq!(between_n4(&pie(96, &[1; 4][..length]), PfcpBadIe).recovery, None, "{length}");
    }
    assert_eq!(between_n4(&pie(96, &[1, 2, 3, 4]), None).recovery, Some(0x0102_0304));
}

#[test]
fn hostile_81_vendor_element_without_its_enterprise() {
    for kind in [0x8000, 0x8013, 0xffff] {
        for length in 0..2 {
            between_n4(&pie(kind, &[1; 2][..length]), PfcpBadIe);
        }
        between_n4(&pie(kind, &[0x28, 0xaf]), None);
    }
    // A vendor's type is never one of the standard's.
    assert_eq!(between_n4(&pie(0x8000 | 19, &[0x28, 0xaf, 1]), None).cause, None);
    for length in 0..2 {
        between(&ie(254, 0, &[1; 2][..length]), GtpcBadIe);
    }
    between(&ie(254, 0, &[1, 0]), None);
}

#[test]
fn hostile_82_outer_header_creation_cut() {
    let far = |value: &[u8]| pie(3, &cat(&[&pie(108, &[0, 0, 0, 1]), &pie(4, &pie(84, value))]));
    let whole = [1, 0, 0, 0, 0, 9, 192, 0, 2, 1];
    for cut in 0..whole.len() {
        let event = between_n4(&far(&whole[..cut]), PfcpBadIe);
        assert_eq!((event.fars[0].id, event.fars[0].peer), (1, None), "{cut}");
    }
    assert!(between_n4(&far(&whole), None).fars[0].peer.is_some());
}

#[test]
fn hostile_83_f_teid_of_no_family() {
    let pdr = |value: &[u8]| pie(1, &cat(&[&pie(56, &[0, 1]), &pie(2, &pie(21, value))]));
    for value in [&[][..], &[4], &[0x0c, 1], &[0, 0, 0, 0, 9], &[3, 0, 0, 0, 9, 192, 0, 2, 1], &[0x0d]] {
        let event = between_n4(&pdr(value), PfcpBadIe);
        assert_eq!((event.pdrs[0].local, event.pdrs[0].choose), (None, false), "{value:?}");
    }
    for teid in [0, 1, u32::MAX] {
        let value = cat(&[&[1], &teid.to_be_bytes(), &[192, 0, 2, 1]]);
        let event = between_n4(&pdr(&value), None);
        assert_eq!(event.pdrs[0].local.unwrap().teid.0, teid);
    }
}

#[test]
fn hostile_84_rules_without_what_they_need() {
    // Without a FAR, without a source interface; an interface that is not assigned.
    let pdr = &between_n4(&pie(1, &pie(56, &[0, 1])), None).pdrs[0];
    assert_eq!((pdr.id, pdr.far, pdr.source, pdr.local), (1, None, None, None));
    let far = cat(&[&pie(108, &[0, 0, 0, 1]), &pie(4, &pie(42, &[0x99]))]);
    let event = between_n4(&pie(3, &far), None);
    assert_eq!(event.fars[0].destination, Some(types::Side::Other(9)));
    // Without a number there is no rule.
    for kind in [1, 3, 8, 9, 10, 15, 16] {
        for value in [&[][..], &pie(29, &[0; 4])] {
            let event = between_n4(&pie(kind, value), PfcpBadIe);
            assert_eq!((event.pdrs.len(), event.fars.len()), (0, 0), "{kind}");
        }
    }
}

#[test]
fn hostile_85_86_elements_that_are_not_read() {
    // SDF filter whose inner length is too great; Node ID of a name too long; QER IDs, MBR, URR ID and
    // thresholds of any length: stepped over by their own.
    let pdi = pie(2, &pie(23, &[1, 0, 0xff, 0xff, b'p']));
    let pdr = pie(1, &cat(&[&pie(56, &[0, 1]), &pdi, &pie(109, &[0; 4]).repeat(6)]));
    assert_eq!(between_n4(&pdr, None).pdrs.len(), 1);
    for element in [pie(60, &cat(&[&[2], &[255; 300]])), pie(26, &[0; 9]), pie(81, &[1]), pie(31, &[])] {
        between_n4(&element, None);
    }
}

#[test]
fn hostile_87_empty_session_establishment() {
    let event = good(N4, &n4(50, Some(0), &[]));
    assert_eq!((event.message, event.seid.map(|seid| seid.0), event.f_seid), (50, Some(0), None));
    assert!(event.pdrs.is_empty() && event.fars.is_empty());
}

#[test]
fn hostile_88_groups_within_themselves() {
    let mut group = cat(&[&pie(56, &[0, 1])]);
    for _ in 0..100 {
        group = pie(1, &pie(2, &group));
    }
    let event = between_n4(&cat(&[&pie(1, &cat(&[&pie(56, &[0, 7]), &group]))]), None);
    assert_eq!((event.pdrs.len(), event.pdrs[0].id), (1, 7), "only the levels of the standard");
}

#[test]
fn hostile_89_bundled_messages() {
    let mut first = n4(52, Some(9), &[&pie(19, &[1])]);
    first[0] |= 0x04;
    let last = n4(54, Some(9), &[]);
    let (events, reason) = told(N4, &cat(&[&first, &first, &last]));
    let kinds: Vec<_> = events.iter().map(|event| (event.message, event.cause)).collect();
    assert_eq!((&kinds[..], reason), (&[(52, Some(1)), (52, Some(1)), (54, None)][..], None));
    let (events, reason) = told(N4, &cat(&[&first, &[0x21, 52, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 5, 0]]));
    assert_eq!((events.len(), reason), (1, Some(PfcpLength)));
    assert_eq!(told(N4, &first).1, Some(PfcpShort), "nothing follows");
    let (events, reason) = told(N4, &cat(&[&first.repeat(63), &last]));
    assert_eq!((events.len(), reason), (64, None));
    let (events, reason) = told(N4, &cat(&[&first.repeat(64), &last]));
    assert_eq!((events.len(), reason), (64, Some(PfcpBadIe)));
    assert!(has_every_header(N4, &cat(&[&first.repeat(63), &last])));
    assert!(!has_every_header(N4, &cat(&[&first.repeat(64), &last])) && !has_every_header(N4, &first));
    // A message that is cut has none behind it.
    first[3] += 1;
    let (events, reason) = told(N4, &first);
    assert_eq!((events.len(), events[0].incomplete, reason), (1, true, None));
}

#[test]
fn hostile_90_heartbeats_are_read_alike() {
    for time in [0, 1, u32::MAX] {
        let event = good(N4, &n4(1, None, &[&pie(96, &time.to_be_bytes())]));
        assert_eq!((event.message, event.seid, event.recovery), (1, None, Some(time)));
    }
}

#[test]
fn classes_without_sessions_have_no_message() {
    let message = v2(32, Some(0), &[&ie(1, 0, &IMSI)]);
    for class in [TrafficClass::GtpU, TrafficClass::GtpPrime, TrafficClass::Other] {
        assert_eq!(told(class, &message), (Vec::new(), None));
    }
}
