//! What control-plane messages say of sessions, against tshark, over all captures there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use batch::Frame;
use replay::CaptureReader;
use testkit::{captures, golden};
use types::{
    Bearer, FTeid, Far, Malformed, Pdr, RuleAction, SessionEvent, Side, Signalling, TrafficClass, UeAddress,
};
use wire::{dissect, signalling};

const COLUMNS: [&str; 25] = [
    "frame", "protocol", "type", "teid", "seid", "sequence", "cause", "recovery", "imsi", "msisdn", "imei",
    "apn", "rat", "serving", "area", "cell", "ue", "ebis", "f_teids", "bearers", "f_seid", "pdrs", "fars",
    "instance", "slice",
];

fn shown(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_string(), |value| value.to_string())
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "-".to_string() } else { items.join(" ") }
}

fn addresses(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> String {
    format!("{}:{}", shown(v4), shown(v6.map(|address| format!("[{address}]"))))
}

fn endpoint(end: &FTeid) -> String {
    format!("{}:{}:{}", end.interface.0, end.teid, addresses(end.v4, end.v6))
}

fn ue(ue: UeAddress) -> String {
    format!("{}/{}", shown(ue.v4), shown(ue.v6))
}

fn bearer(bearer: &Bearer) -> String {
    let ends: Vec<_> = bearer.f_teids.iter().map(endpoint).collect();
    let ends = if ends.is_empty() { "-".to_string() } else { ends.join(",") };
    let ebi = shown(bearer.ebi.map(|ebi| ebi.0));
    format!("{}/{ebi}/{}/{}/{ends}", bearer.instance, shown(bearer.cause), shown(bearer.qci))
}

const fn action(action: RuleAction) -> &'static str {
    match action {
        RuleAction::Create => "create",
        RuleAction::Created => "created",
        RuleAction::Update => "update",
        RuleAction::Remove => "remove",
    }
}

/// As it stands in the message; `vn` is the number of the 5G VN in this element.
fn side(side: Option<Side>, vn: u8) -> String {
    shown(side.map(|side| match side {
        Side::Access => 0,
        Side::Core => 1,
        Side::SgiLan => 2,
        Side::ControlPlane => 3,
        Side::FiveGVn => vn,
        Side::Other(number) => number,
    }))
}

fn pdr(rule: &Pdr) -> String {
    let local = match rule.local {
        Some(end) => format!("{}:{}", end.teid, addresses(end.v4, end.v6)),
        None if rule.choose => format!("choose{}", shown(rule.choose_id.map(|id| format!("{id:02x}")))),
        None => "-".to_string(),
    };
    let (what, source, ue) = (action(rule.action), side(rule.source, 4), ue(rule.ue));
    format!("{what}|{}|{source}|{local}|{ue}|{}|{}", rule.id, shown(rule.qfi), shown(rule.far))
}

fn far(rule: &Far) -> String {
    let peer = shown(rule.peer.map(|end| format!("{}:{}", end.teid, addresses(end.v4, end.v6))));
    format!("{}|{}|{}|{peer}", action(rule.action), rule.id, side(rule.destination, 5))
}

/// An event as the golden file writes a message.
fn line(frame: u64, event: &SessionEvent) -> Vec<String> {
    let protocol = match event.protocol {
        Signalling::Gtpv1 => "gtp",
        Signalling::Gtpv2 => "gtpv2",
        Signalling::Pfcp => "pfcp",
    };
    let serving = event
        .serving
        .map(|plmn| format!("{:03}-{:0width$}", plmn.mcc, plmn.mnc, width = usize::from(plmn.mnc_digits)));
    let seid = event.f_seid.map(|end| format!("{}:{}", end.seid, addresses(end.v4, end.v6)));
    let slice = event.snssai.map(|slice| format!("{}-{}", slice.sst, shown(slice.sd)));
    let ebis = event.linked_ebi.iter().chain(&event.ebis);
    vec![
        frame.to_string(),
        protocol.to_string(),
        event.message.to_string(),
        shown(event.teid),
        shown(event.seid),
        shown(event.sequence),
        shown(event.cause),
        shown(event.recovery),
        shown(event.imsi),
        shown(event.msisdn),
        shown(event.imei),
        shown(event.apn),
        shown(event.rat.map(|rat| rat.0)),
        shown(serving),
        shown(event.location.area),
        shown(event.location.cell),
        ue(event.ue),
        listed(ebis.map(|ebi| ebi.0.to_string())),
        listed(event.f_teids.iter().map(|(instance, end)| format!("{instance}:{}", endpoint(end)))),
        listed(event.bearers.iter().map(bearer)),
        shown(seid),
        listed(event.pdrs.iter().map(pdr)),
        listed(event.fars.iter().map(far)),
        shown(event.network_instance),
        shown(slice),
    ]
}

/// Whether a datagram stands in an ICMP error of IPv4, behind headers of 20, 8, 20 and 8 bytes.
fn is_quoted(frame: &[u8], start: usize) -> bool {
    const ICMP: u8 = 1;
    const UNREACHABLE: u8 = 3;
    start >= 56 && frame[start - 56] == 0x45 && frame[start - 47] == ICMP && frame[start - 36] == UNREACHABLE
}

/// The lines of one capture. Quoted messages are nobody's.
fn lines(capture: &Path, broken: &mut Vec<(u64, Malformed)>) -> Vec<Vec<String>> {
    let mut reader = CaptureReader::open(capture).unwrap();
    let mut lines = vec![];
    let mut number = 0;
    let mut event = SessionEvent::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        number += 1;
        let frame = packet.frame.head();
        let found = dissect(packet.link, frame);
        let Some(start) = found.layers.datagram else { continue };
        if !matches!(found.class, TrafficClass::GtpC | TrafficClass::Pfcp) {
            continue;
        }
        let start = start as usize;
        if is_quoted(frame, start) {
            continue;
        }
        let length = usize::from(u16::from_be_bytes([frame[start - 4], frame[start - 3]])) - 8;
        let datagram = &frame[start..frame.len().min(start + length)];
        event.source = (IpAddr::V4(Ipv4Addr::LOCALHOST), 1).into();
        let mut incomplete = false;
        let before = (event.time_ns, event.source, event.destination);
        let reason = signalling(found.class, datagram, &mut event, &mut |event| {
            assert_eq!((event.time_ns, event.source, event.destination), before, "the caller's");
            incomplete |= event.incomplete;
            lines.push(line(number, event));
        });
        if found.malformed.is_some() {
            assert_eq!(reason, found.malformed, "{}: {number}", capture.display());
        } else {
            broken.extend(reason.map(|why| (number, why)));
            assert_eq!(incomplete, reason.is_some(), "{}: {number}", capture.display());
        }
    }
    lines
}

#[test]
fn every_message_of_every_capture_says_what_tshark_says() {
    let captures = captures();
    if captures.is_empty() {
        println!("skipped: no captures");
        return;
    }
    let golden = golden("signalling").unwrap();
    let mut messages = 0;
    for capture in captures {
        let name = capture.file_name().unwrap().to_str().unwrap();
        let mut broken = vec![];
        let ours = lines(&capture, &mut broken);
        // It was made by hand: a type 0, whose length nobody knows, is all that it holds.
        let wanted: &[_] = if name.starts_with("pcap4j__Gtp") { &[(1, Malformed::GtpcBadIe)] } else { &[] };
        assert_eq!(broken, wanted, "{name}");
        let mut ours = ours.iter();
        for row in golden.of_capture(name) {
            let wanted: Vec<_> = COLUMNS.iter().map(|column| row.text(column).to_string()).collect();
            let Some(ours) = ours.next() else { panic!("{name}: no message for {wanted:?}") };
            for (column, (ours, wanted)) in COLUMNS.iter().zip(ours.iter().zip(&wanted)) {
                assert_eq!(ours, wanted, "{name}: frame {}, {column}", row.text("frame"));
            }
            messages += 1;
        }
        assert_eq!(ours.next(), None, "{name}");
    }
    assert_eq!(messages, golden.rows().count());
}
