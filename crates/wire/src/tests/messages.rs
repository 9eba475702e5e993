//! Whole messages, each with all that it says.

use std::vec::Vec;

use types::{
    Apn, Bearer, Digits, Ebi, FSeid, FTeid, Far, Imei, Imsi, Interface, Location, Msisdn, PdnConnection, Pdr,
    Plmn, Qfi, Rat, RuleAction, Seid, SessionEvent, Side, Signalling, Snssai, Teid, TrafficClass, UeAddress,
};

use super::cat;
use super::elements::{IMSI, good, ie, n4, pie, tlv, told, v1, v2};

const C: TrafficClass = TrafficClass::GtpC;
const N4: TrafficClass = TrafficClass::Pfcp;

fn digits(text: &[u8]) -> Digits {
    Digits::from_text(text).unwrap()
}

fn name(text: &[u8]) -> Option<Apn> {
    Some(Apn::from_text(text).unwrap())
}

fn end(interface: Interface, teid: u32, address: [u8; 4]) -> FTeid {
    FTeid { interface, teid: Teid(teid), v4: Some(address.into()), v6: None }
}

/// The value of an F-TEID of GTPv2-C, IPv4.
fn end2(interface: u8, teid: u32, address: [u8; 4]) -> Vec<u8> {
    cat(&[&[0x80 | interface], &teid.to_be_bytes(), &address])
}

/// An event of this protocol and message, with the sequence number of the builders and the caller's values.
fn event(protocol: Signalling, message: u8) -> SessionEvent {
    let mut event = SessionEvent::new();
    event.time_ns = 7;
    event.source = (core::net::IpAddr::from([10, 1, 0, 1]), 2123).into();
    event.protocol = protocol;
    event.message = message;
    event.sequence = Some(5);
    event
}

fn v2_event(message: u8, teid: u32) -> SessionEvent {
    let mut event = event(Signalling::Gtpv2, message);
    event.teid = Some(Teid(teid));
    event
}

fn v1_event(message: u8, teid: u32) -> SessionEvent {
    let mut event = event(Signalling::Gtpv1, message);
    event.teid = Some(Teid(teid));
    event
}

fn bearer(ebi: u8, instance: u8) -> Bearer {
    Bearer { ebi: Some(Ebi(ebi)), instance, ..Bearer::default() }
}

const MME: [u8; 4] = [192, 0, 2, 1];
const SGW: [u8; 4] = [192, 0, 2, 2];
const PGW: [u8; 4] = [192, 0, 2, 3];
const ENB: [u8; 4] = [192, 0, 2, 4];

pub(super) fn create_session_request() -> Vec<u8> {
    let qos = cat(&[&[0x7c, 9], &[0; 20]]);
    let context = cat(&[&ie(73, 0, &[5]), &ie(80, 0, &qos)]);
    v2(
        32,
        Some(0),
        &[
            &ie(1, 0, &IMSI),
            &ie(76, 0, &[0x64, 0x07, 0x21, 0x43, 0x65, 0xf7]),
            &ie(75, 0, &[0x53, 0x86, 0x19, 0x01, 0x02, 0x03, 0x04, 0x05]),
            &ie(86, 0, &[0x18, 0, 0xf1, 0x10, 0, 1, 0, 0xf1, 0x10, 0, 0, 1, 2]),
            &ie(83, 0, &[0, 0xf1, 0x10]),
            &ie(82, 0, &[6]),
            &ie(77, 0, &[0x08, 0x02]),
            &ie(87, 0, &end2(10, 1, MME)),
            &ie(87, 1, &end2(7, 0, PGW)),
            &ie(71, 0, b"\x08internet\x06mnc001\x06mcc001\x04gprs"),
            &ie(128, 0, &[0]),
            &ie(99, 0, &[1]),
            &ie(79, 0, &[1, 0, 0, 0, 0]),
            &ie(127, 0, &[0]),
            &ie(72, 0, &[0, 0, 1, 0, 0, 0, 1, 0]),
            &ie(78, 0, &[0x80; 30]),
            &ie(93, 0, &context),
            &ie(3, 0, &[9]),
            &ie(114, 0, &[0x40, 0]),
            &ie(95, 0, &[8, 0]),
        ],
    )
}

#[test]
fn create_session_request_says_who_and_where() {
    let mut wanted = v2_event(32, 0);
    wanted.imsi = Some(Imsi(digits(b"001010123456789")));
    wanted.msisdn = Some(Msisdn(digits(b"46701234567")));
    wanted.imei = Some(Imei(digits(b"3568911020304050")));
    wanted.location = Location { area: Some(1), cell: Some(0x0102) };
    wanted.serving = Some(Plmn { mcc: 1, mnc: 1, mnc_digits: 2 });
    wanted.rat = Some(Rat(6));
    wanted.apn = name(b"internet.mnc001.mcc001.gprs");
    wanted.recovery = Some(9);
    wanted.f_teids.push((0, end(Interface::S11_MME, 1, MME)));
    wanted.f_teids.push((1, end(Interface::S5S8_PGW_C, 0, PGW)));
    let mut context = bearer(5, 0);
    context.qci = Some(9);
    wanted.bearers.push(context);
    // The flags of Indication mean other things than in Delete Session Request.
    assert_eq!(good(C, &create_session_request()), wanted);
}

fn create_session_response() -> Vec<u8> {
    let paa = [3, 64, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 10, 45, 0, 2];
    let created = cat(&[
        &ie(73, 0, &[5]),
        &ie(2, 0, &[16, 0]),
        &ie(87, 0, &end2(1, 0x100, SGW)),
        &ie(87, 2, &end2(5, 0x101, PGW)),
    ]);
    let refused = cat(&[&ie(73, 0, &[6]), &ie(2, 0, &[73, 0])]);
    v2(
        33,
        Some(1),
        &[
            &ie(2, 0, &[16, 0]),
            &ie(87, 0, &end2(11, 2, SGW)),
            &ie(87, 1, &end2(7, 3, PGW)),
            &ie(79, 0, &paa),
            &ie(73, 0, &[5]),
            &ie(93, 0, &created),
            &ie(93, 1, &refused),
        ],
    )
}

#[test]
fn create_session_response_says_what_was_made() {
    let mut wanted = v2_event(33, 1);
    wanted.cause = Some(16);
    wanted.f_teids.push((0, end(Interface::S11_SGW, 2, SGW)));
    wanted.f_teids.push((1, end(Interface::S5S8_PGW_C, 3, PGW)));
    wanted.ue = UeAddress { v4: Some([10, 45, 0, 2].into()), v6: "2001:db8:1:2::".parse().ok() };
    wanted.linked_ebi = Some(Ebi(5));
    let mut created = bearer(5, 0);
    created.cause = Some(16);
    created.f_teids.push(end(Interface::S1U_SGW, 0x100, SGW));
    created.f_teids.push(end(Interface::S5S8_PGW_U, 0x101, PGW));
    let mut refused = bearer(6, 1);
    refused.cause = Some(73);
    wanted.bearers.extend([created, refused]);
    assert_eq!(good(C, &create_session_response()), wanted);
}

/// TS 29.274: in which messages the EBI of instance 0 is the Linked EPS Bearer ID.
#[test]
fn the_linked_bearer_stands_in_these_messages() {
    let linked = [32, 33, 35, 36, 38, 68, 69, 95, 99, 100, 162, 164];
    for kind in 1..=u8::MAX {
        let message = v2(kind, Some(1), &[&ie(73, 0, &[5]), &ie(73, 1, &[6]), &ie(73, 1, &[7])]);
        let event = good(C, &message);
        let mut ebis: Vec<_> = event.ebis.iter().map(|ebi| ebi.0).collect();
        if linked.contains(&kind) {
            assert_eq!(event.linked_ebi, Some(Ebi(5)), "{kind}");
        } else {
            assert_eq!((event.linked_ebi, ebis.remove(0)), (None, 5), "{kind}");
        }
        assert_eq!(ebis, [6, 7], "{kind}");
        assert_eq!(event.message, kind);
    }
}

#[test]
fn flags_of_delete_session_request() {
    let event = |kind, flags: &[u8]| {
        let event = good(C, &v2(kind, Some(1), &[&ie(77, 0, flags)]));
        (event.teardown, event.scope)
    };
    assert_eq!(event(36, &[0x08, 0x02]), (true, true));
    assert_eq!(event(36, &[0x08]), (true, false));
    assert_eq!(event(36, &[0xf7, 0xfd]), (false, false));
    assert_eq!(event(34, &[0x08, 0x02]), (false, false));
}

#[test]
fn the_first_of_two_counts_and_other_instances_have_no_place() {
    let message = v2(
        32,
        None,
        &[&ie(71, 1, b"\x01x"), &ie(71, 0, b"\x04\x00"), &ie(71, 0, b"\x03ims"), &ie(71, 0, b"\x01y")],
    );
    let (events, reason) = told(C, &message);
    assert_eq!(events[0].apn, name(b"ims"), "the first that can be read");
    assert_eq!(reason, Some(types::Malformed::GtpcBadIe));
    assert_eq!(events[0].teid, None);
}

fn pdn_connection() -> Vec<u8> {
    let context = cat(&[
        &ie(73, 0, &[5]),
        &ie(87, 0, &end2(1, 0x100, SGW)),
        &ie(87, 1, &end2(5, 0x101, PGW)),
        &ie(80, 0, &[0, 8]),
    ]);
    let mut prefix = [0; 16];
    prefix[..8].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]);
    cat(&[
        &ie(71, 0, b"\x03ims"),
        &ie(74, 0, &[10, 45, 0, 2]),
        &ie(74, 1, &prefix),
        &ie(73, 0, &[5]),
        &ie(87, 0, &end2(7, 3, PGW)),
        &ie(93, 0, &context),
    ])
}

fn context_response() -> Vec<u8> {
    let paa = ie(109, 0, &cat(&[&ie(79, 0, &[1, 10, 45, 0, 3]), &ie(73, 0, &[6])]));
    let connection = ie(109, 0, &pdn_connection());
    v2(
        131,
        Some(1),
        &[
            &ie(2, 0, &[16, 0]),
            &ie(1, 0, &IMSI),
            &ie(107, 0, &[0; 40]),
            &connection,
            &paa,
            &ie(87, 0, &end2(12, 4, MME)),
            &ie(87, 1, &end2(11, 2, SGW)),
        ],
    )
}

#[test]
fn context_response_hands_connections_over() {
    let mut wanted = v2_event(131, 1);
    wanted.cause = Some(16);
    wanted.imsi = Some(Imsi(digits(b"001010123456789")));
    wanted.f_teids.push((0, end(Interface::S10_MME, 4, MME)));
    wanted.f_teids.push((1, end(Interface::S11_SGW, 2, SGW)));
    let mut context = bearer(5, 0);
    context.qci = Some(8);
    context.f_teids.push(end(Interface::S1U_SGW, 0x100, SGW));
    context.f_teids.push(end(Interface::S5S8_PGW_U, 0x101, PGW));
    let mut connection = PdnConnection {
        apn: name(b"ims"),
        linked_ebi: Some(Ebi(5)),
        ue: UeAddress { v4: Some([10, 45, 0, 2].into()), v6: "2001:db8:1:2::".parse().ok() },
        anchor: Some(end(Interface::S5S8_PGW_C, 3, PGW)),
        ..PdnConnection::default()
    };
    connection.bearers.push(context);
    wanted.pdn_connections.push(connection);
    wanted.pdn_connections.push(PdnConnection {
        linked_ebi: Some(Ebi(6)),
        ue: UeAddress { v4: Some([10, 45, 0, 3].into()), v6: None },
        ..PdnConnection::default()
    });
    assert_eq!(good(C, &context_response()), wanted);
}

fn create_pdp_request() -> Vec<u8> {
    v1(
        16,
        0,
        &[
            &[2],
            &IMSI,
            &[3, 0x64, 0xf0, 0x60, 0, 9, 0xff],
            &[14, 3],
            &[15, 0xfc],
            &[16, 0, 0, 0, 1],
            &[17, 0, 0, 0, 2],
            &[20, 5],
            &[20, 6],
            &[26, 8, 0],
            &tlv(128, &[0xf1, 0x21]),
            &tlv(131, b"\x03ims"),
            &tlv(132, &[0x80; 20]),
            &tlv(133, &MME),
            &tlv(133, &SGW),
            &tlv(133, &[0xfd; 16]),
            &tlv(133, &[0xfe; 16]),
            &tlv(134, &[0x91, 0x64, 0x07, 0x21, 0x43, 0x65, 0xf7]),
            &tlv(135, &[1, 2, 3, 4]),
            &tlv(151, &[1]),
            &tlv(152, &[1, 0x64, 0xf0, 0x60, 0, 8, 1, 2]),
            &tlv(154, &[0x53, 0x86, 0x19, 0x01, 0x02, 0x03, 0x04, 0x05]),
        ],
    )
}

#[test]
fn create_pdp_context_request_is_the_sgsn_s() {
    let mut wanted = v1_event(16, 0);
    wanted.imsi = Some(Imsi(digits(b"001010123456789")));
    wanted.msisdn = Some(Msisdn(digits(b"46701234567")));
    wanted.imei = Some(Imei(digits(b"3568911020304050")));
    wanted.recovery = Some(3);
    wanted.apn = name(b"ims");
    wanted.rat = Some(Rat(1));
    wanted.serving = Some(Plmn { mcc: 460, mnc: 6, mnc_digits: 2 });
    wanted.location = Location { area: Some(8), cell: Some(0x0102) };
    wanted.linked_ebi = Some(Ebi(6));
    let mut control = end(Interface::GN_SGSN_C, 2, MME);
    control.v6 = Some([0xfd; 16].into());
    let mut user = end(Interface::GN_SGSN_U, 1, SGW);
    user.v6 = Some([0xfe; 16].into());
    wanted.f_teids.push((0, control));
    let mut context = bearer(5, 0);
    context.f_teids.push(user);
    wanted.bearers.push(context);
    assert_eq!(good(C, &create_pdp_request()), wanted);
}

/// The NSAPI of each context, and its endpoints.
type Contexts = Vec<(Option<u8>, Vec<FTeid>)>;

/// Endpoints of a message: those of the control plane, those of each context with its NSAPI.
fn endpoints(message: &[u8]) -> (Vec<FTeid>, Contexts) {
    let event = good(C, message);
    let contexts = event.bearers.iter().map(|b| (b.ebi.map(|ebi| ebi.0), b.f_teids.to_vec()));
    (event.f_teids.iter().map(|(_, end)| *end).collect(), contexts.collect())
}

#[test]
fn whose_endpoints_a_pdp_context_message_tells() {
    let (data, control) = ([16, 0, 0, 0, 1], [17, 0, 0, 0, 2]);
    let charging = [127, 0, 0, 0, 9];
    let (first, second) = (tlv(133, &SGW), tlv(133, &PGW));
    let both = |c, u| (std::vec![end(c, 2, SGW)], std::vec![(Some(5), std::vec![end(u, 1, PGW)])]);
    let whole: [&[u8]; 5] = [&data, &control, &[20, 5], &first, &second];
    assert_eq!(endpoints(&v1(16, 0, &whole)), both(Interface::GN_SGSN_C, Interface::GN_SGSN_U));
    assert_eq!(endpoints(&v1(17, 1, &whole)), both(Interface::GN_GGSN_C, Interface::GN_GGSN_U));
    assert_eq!(endpoints(&v1(18, 1, &whole)), both(Interface::GN_SGSN_C, Interface::GN_SGSN_U));
    assert_eq!(endpoints(&v1(19, 1, &whole)), both(Interface::GN_GGSN_C, Interface::GN_GGSN_U));
    // A secondary context has its control plane already. TS 29.060 7.3.1.
    let user = |interface| (std::vec![], std::vec![(Some(5), std::vec![end(interface, 1, PGW)])]);
    let secondary: [&[u8]; 4] = [&data, &[20, 5], &first, &second];
    assert_eq!(endpoints(&v1(16, 1, &secondary)), user(Interface::GN_SGSN_U));
    assert_eq!(endpoints(&v1(19, 1, &secondary)), user(Interface::GN_GGSN_U));
    // The answer of an SGSN has the user plane alone. TS 29.060 table 10.
    let alone: [&[u8]; 3] = [&data, &[20, 5], &second];
    assert_eq!(endpoints(&v1(19, 1, &alone)), user(Interface::GN_SGSN_U));
    let charged: [&[u8]; 4] = [&data, &[20, 5], &charging, &second];
    assert_eq!(endpoints(&v1(19, 1, &charged)), user(Interface::GN_GGSN_U));
    // A GGSN's update has none; a context is named.
    assert_eq!(endpoints(&v1(18, 1, &[&[20, 5]])), (std::vec![], std::vec![(Some(5), std::vec![])]));
    // The address of one plane alone.
    let one: [&[u8]; 3] = [&control, &[20, 5], &first];
    let (ends, contexts) = endpoints(&v1(18, 1, &one));
    assert_eq!(
        (ends, contexts),
        (std::vec![end(Interface::GN_SGSN_C, 2, SGW)], std::vec![(Some(5), std::vec![])])
    );
}

#[test]
fn deletion_and_changes_of_a_pdp_context() {
    let event = good(C, &v1(20, 1, &[&[19, 0xff], &[20, 5]]));
    assert_eq!((event.teardown, event.bearers[0].ebi), (true, Some(Ebi(5))));
    let event = good(C, &v1(21, 1, &[&[1, 128]]));
    assert_eq!((event.cause, event.teardown, event.bearers.len()), (Some(128), false, 0));
    // The linked NSAPI alone: tables 7.3.12.1, 7.5B.1.1.1, 7.5B.1.2.1.
    for kind in [22, 128, 129] {
        let event = good(C, &v1(kind, 1, &[&[20, 5]]));
        assert_eq!((event.linked_ebi, event.bearers.len()), (Some(Ebi(5)), 0), "{kind}");
    }
}

#[test]
fn the_network_of_a_request_between_sgsns_is_the_old_one() {
    let rai = [3, 0x64, 0xf0, 0x60, 0, 9, 0xff];
    for kind in [48, 50] {
        let event = good(C, &v1(kind, 0, &[&rai]));
        assert_eq!((event.serving, event.location), (None, Location::default()), "{kind}");
    }
    let event = good(C, &v1(18, 0, &[&rai]));
    assert_eq!((event.serving.unwrap().mcc, event.location.area), (460, Some(9)));
}

/// NSAPI 5, IPv4 10.45.0.2, GGSN of this address and TEIDs 7 and 8, APN "ims". TS 29.060 7.7.29.
fn pdp_context(nsapi: u8) -> Vec<u8> {
    cat(&[
        &[nsapi, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 7, 0, 0, 0, 8, 1, 0xf1, 0x21, 4, 10, 45, 0, nsapi],
        &[&[4], &PGW[..], &[4], &PGW, b"\x04\x03ims\0\0"].concat(),
    ])
}

fn sgsn_context_response() -> Vec<u8> {
    v1(
        51,
        1,
        &[
            &[1, 128],
            &[2],
            &IMSI,
            &[17, 0, 0, 0, 2],
            &tlv(129, &[0; 30]),
            &tlv(130, &pdp_context(5)),
            &tlv(130, &pdp_context(6)),
            &tlv(133, &MME),
            &tlv(133, &[0xfd; 16]),
            &tlv(133, &[0xfe; 16]),
        ],
    )
}

#[test]
fn sgsn_context_response_hands_contexts_over() {
    let event = good(C, &sgsn_context_response());
    assert_eq!(event.f_teids.to_vec(), [(0, end(Interface::GN_SGSN_C, 2, MME))]);
    let connection = |nsapi: u8| {
        let mut connection = PdnConnection {
            apn: name(b"ims"),
            linked_ebi: Some(Ebi(nsapi)),
            ue: UeAddress { v4: Some([10, 45, 0, nsapi].into()), v6: None },
            anchor: Some(end(Interface::GN_GGSN_C, 7, PGW)),
            ..PdnConnection::default()
        };
        let mut context = bearer(nsapi, 0);
        context.f_teids.push(end(Interface::GN_GGSN_U, 8, PGW));
        connection.bearers.push(context);
        connection
    };
    // The alternative addresses are those of the first context.
    let mut first = connection(5);
    first.anchor.as_mut().unwrap().v6 = Some([0xfd; 16].into());
    first.bearers[0].f_teids[0].v6 = Some([0xfe; 16].into());
    assert_eq!(event.pdn_connections.to_vec(), [first, connection(6)]);
}

#[test]
fn endpoints_between_sgsns() {
    let control = [17, 0, 0, 0, 2];
    let (first, second) = (tlv(133, &SGW), tlv(133, &PGW));
    let six = tlv(133, &[0xfd; 16]);
    let (ends, _) = endpoints(&v1(50, 0, &[&control, &first, &six]));
    assert_eq!(ends, [FTeid { v6: Some([0xfd; 16].into()), ..end(Interface::GN_SGSN_C, 2, SGW) }]);
    let (ends, _) = endpoints(&v1(27, 0, &[&control, &first]));
    assert_eq!(ends, [end(Interface::GN_GGSN_C, 2, SGW)]);
    // Where what still comes is to be forwarded to: TS 29.060 tables 28, 30.
    let forwarding: [&[u8]; 2] = [&[18, 5, 0, 0, 0, 1], &[18, 6, 0, 0, 0, 3]];
    let wanted = |address| {
        let to = |teid| std::vec![end(Interface::SGSN_FORWARDING, teid, address)];
        std::vec![(Some(5), to(1)), (Some(6), to(3))]
    };
    let [a, b] = forwarding;
    assert_eq!(endpoints(&v1(52, 1, &[&[1, 128], a, b, &first])), (std::vec![], wanted(SGW)));
    let (ends, contexts) = endpoints(&v1(54, 1, &[&control, a, b, &first, &second]));
    assert_eq!((ends, contexts), (std::vec![end(Interface::GN_SGSN_C, 2, SGW)], wanted(PGW)));
    // Of messages without endpoints none is made up.
    assert_eq!(endpoints(&v1(70, 1, &[&control, &first])), (std::vec![], std::vec![]));
}

const UPF: [u8; 4] = [192, 0, 2, 5];
const GNB: [u8; 4] = [192, 0, 2, 6];

fn establishment_request() -> Vec<u8> {
    let pdr = |id: u8, pdi: &[&[u8]]| {
        pie(1, &cat(&[&pie(56, &[0, id]), &pie(29, &[0; 4]), &pie(2, &cat(pdi)), &pie(108, &[0, 0, 0, id])]))
    };
    let ue = pie(93, &[6, 10, 45, 0, 2]);
    let end = pie(21, &cat(&[&[1, 0, 0, 0, 9], &UPF]));
    let uplink = [pie(20, &[0]), end, pie(22, b"\x06access"), pie(93, &[2, 10, 45, 0, 9]), pie(124, &[1])];
    let uplink: Vec<&[u8]> = uplink.iter().map(Vec::as_slice).collect();
    let far = |id: u8, parameters: &[u8]| pie(3, &cat(&[&pie(108, &[0, 0, 0, id]), &pie(4, parameters)]));
    let to_gnb = cat(&[&pie(42, &[0]), &pie(84, &cat(&[&[1, 0, 0, 0, 0, 7], &GNB]))]);
    let to_upf = cat(&[&pie(42, &[1]), &pie(84, &cat(&[&[1, 0, 0, 0, 0, 8], &UPF]))]);
    let user = cat(&[&[5, 8], &IMSI, &[6, 0x64, 0x07, 0x21, 0x43, 0x65, 0xf7]]);
    n4(
        50,
        Some(0),
        &[
            &pie(60, &[0, 192, 0, 2, 9]),
            &pie(57, &cat(&[&[2, 0, 0, 0, 0, 0, 0, 0, 3], &MME])),
            &pdr(1, &uplink),
            &pdr(2, &[&pie(20, &[1]), &pie(22, b"internet"), &ue]),
            &pdr(3, &[&pie(21, &[0x0d, 7]), &pie(20, &[3])]),
            &far(1, &to_upf),
            &far(2, &to_gnb),
            &far(3, &[]),
            &pie(7, &pie(109, &[0, 0, 0, 1])),
            &pie(141, &user),
            &pie(159, b"\x08internet"),
            &pie(257, &[1, 0, 0, 7]),
        ],
    )
}

fn session_event(message: u8, seid: u64) -> SessionEvent {
    let mut event = event(Signalling::Pfcp, message);
    event.seid = Some(Seid(seid));
    event
}

fn pdr(action: RuleAction, id: u16) -> Pdr {
    let ue = UeAddress::default();
    Pdr { action, id, source: None, local: None, choose: false, choose_id: None, ue, qfi: None, far: None }
}

fn far(action: RuleAction, id: u32) -> Far {
    Far { action, id, destination: None, peer: None }
}

#[test]
fn establishment_request_has_rules() {
    let mut wanted = session_event(50, 0);
    wanted.f_seid = Some(FSeid { seid: Seid(3), v4: Some(MME.into()), v6: None });
    wanted.imsi = Some(Imsi(digits(b"001010123456789")));
    wanted.msisdn = Some(Msisdn(digits(b"46701234567")));
    wanted.apn = name(b"internet");
    wanted.network_instance = name(b"internet");
    wanted.snssai = Some(Snssai { sst: 1, sd: Some(7) });
    // From the core side, though another rule was first.
    let ue = UeAddress { v4: Some([10, 45, 0, 2].into()), v6: None };
    wanted.ue = ue;
    wanted.pdrs.push(Pdr {
        source: Some(Side::Access),
        local: Some(end(Interface::N3_UPF, 9, UPF)),
        ue: UeAddress { v4: Some([10, 45, 0, 9].into()), v6: None },
        qfi: Some(Qfi(1)),
        far: Some(1),
        ..pdr(RuleAction::Create, 1)
    });
    wanted.pdrs.push(Pdr { source: Some(Side::Core), ue, far: Some(2), ..pdr(RuleAction::Create, 2) });
    wanted.pdrs.push(Pdr {
        source: Some(Side::ControlPlane),
        choose: true,
        choose_id: Some(7),
        far: Some(3),
        ..pdr(RuleAction::Create, 3)
    });
    let peer = Some(end(Interface::N9_UPF, 8, UPF));
    wanted.fars.push(Far { destination: Some(Side::Core), peer, ..far(RuleAction::Create, 1) });
    let peer = Some(end(Interface::N3_GNB, 7, GNB));
    wanted.fars.push(Far { destination: Some(Side::Access), peer, ..far(RuleAction::Create, 2) });
    wanted.fars.push(far(RuleAction::Create, 3));
    assert_eq!(good(N4, &establishment_request()), wanted);
}

fn establishment_response() -> Vec<u8> {
    let created =
        cat(&[&pie(56, &[0, 3]), &pie(21, &cat(&[&[1, 0, 0, 0, 4], &UPF])), &pie(93, &[2, 10, 45, 0, 8])]);
    n4(
        51,
        Some(3),
        &[
            &pie(60, &[0, 192, 0, 2, 5]),
            &pie(19, &[1]),
            &pie(57, &cat(&[&[2, 0, 0, 0, 0, 0, 0, 0, 6], &UPF])),
            &pie(8, &created),
        ],
    )
}

#[test]
fn establishment_response_says_what_the_upf_chose() {
    let mut wanted = session_event(51, 3);
    wanted.cause = Some(1);
    wanted.f_seid = Some(FSeid { seid: Seid(6), v4: Some(UPF.into()), v6: None });
    let ue = UeAddress { v4: Some([10, 45, 0, 8].into()), v6: None };
    wanted.ue = ue;
    let local = Some(end(Interface::N9_UPF, 4, UPF));
    wanted.pdrs.push(Pdr { local, ue, ..pdr(RuleAction::Created, 3) });
    assert_eq!(good(N4, &establishment_response()), wanted);
}

fn modification_request() -> Vec<u8> {
    let parameters = cat(&[&pie(84, &cat(&[&[1, 0, 0, 0, 0, 8], &GNB])), &pie(42, &[0])]);
    n4(
        52,
        Some(6),
        &[
            &pie(9, &cat(&[&pie(56, &[0, 1]), &pie(2, &pie(20, &[0]))])),
            &pie(15, &pie(56, &[0, 2])),
            &pie(10, &cat(&[&pie(108, &[0, 0, 0, 1]), &pie(11, &parameters)])),
            &pie(16, &pie(108, &[0, 0, 0, 2])),
        ],
    )
}

#[test]
fn modification_request_updates_and_removes() {
    let mut wanted = session_event(52, 6);
    wanted.pdrs.push(Pdr { source: Some(Side::Access), ..pdr(RuleAction::Update, 1) });
    wanted.pdrs.push(pdr(RuleAction::Remove, 2));
    let peer = Some(end(Interface::N3_GNB, 8, GNB));
    wanted.fars.push(Far { destination: Some(Side::Access), peer, ..far(RuleAction::Update, 1) });
    wanted.fars.push(far(RuleAction::Remove, 2));
    assert_eq!(good(N4, &modification_request()), wanted);
}

/// Good datagrams of every kind that is read.
pub(super) fn seeds() -> Vec<(TrafficClass, Vec<u8>)> {
    let mut piggybacked = create_session_response();
    piggybacked[0] |= 0x10;
    piggybacked.extend(v2(95, Some(1), &[&ie(73, 0, &[5]), &ie(93, 0, &ie(87, 0, &end2(1, 9, ENB)))]));
    let mut extended = v1(52, 1, &[&[1, 0, 7, 0], &[18, 5, 0, 0, 0, 1], &tlv(133, &SGW)]);
    (extended[0], extended[11]) = (0x36, 0xc0);
    let mut bundled = modification_request();
    bundled[0] |= 0x04;
    bundled.extend(n4(54, Some(6), &[]));
    let mut seeds = Vec::from([
        (C, create_session_request()),
        (C, create_session_response()),
        (C, context_response()),
        (C, create_pdp_request()),
        (C, sgsn_context_response()),
        (C, v2(1, None, &[&ie(3, 0, &[1])])),
        (C, piggybacked),
        (C, extended),
    ]);
    seeds.extend([
        (N4, establishment_request()),
        (N4, establishment_response()),
        (N4, bundled),
        (N4, n4(1, None, &[&pie(96, &[1, 2, 3, 4])])),
    ]);
    seeds
}
