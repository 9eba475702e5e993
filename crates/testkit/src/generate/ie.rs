//! Information elements of GTP-C and PFCP, written as the clauses say.

use std::net::IpAddr;

use super::nodes::UeAddress;
use super::state::{End, Interface};
use crate::packet::Packet;
use crate::truth::Digits;

/// Telephone digits, the first in the low half of the first byte, filled up with ones. TS 29.274 8.3.
pub(super) fn tbcd(digits: Digits) -> Vec<u8> {
    let mut out = Vec::with_capacity(10);
    for (place, digit) in digits.each().enumerate() {
        match out.last_mut() {
            Some(last) if place % 2 == 1 => *last = *last & 0x0f | digit << 4,
            _ => out.push(0xf0 | digit),
        }
    }
    out
}

/// Labels, each behind its length. TS 23.003 9.1.
pub(super) fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 1);
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out
}

/// The serving network of everybody: MCC 001, MNC 01. TS 29.274 8.18.
pub(super) const PLMN: [u8; 3] = [0x00, 0xf1, 0x10];

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Elements of GTPv2-C, TS 29.274 8.
pub(super) mod v2 {
    use super::{Digits, End, Interface, PLMN, Packet, UeAddress, labels, octets, tbcd};

    pub(in super::super) const ACCEPTED: u8 = 16;
    /// New PDN type due to network preference.
    pub(in super::super) const NEW_PDN_TYPE: u8 = 18;

    pub(in super::super) fn imsi(packet: &mut Packet<'_>, digits: Digits) {
        packet.gtpv2_ie(1, 0, &tbcd(digits));
    }

    pub(in super::super) fn cause(packet: &mut Packet<'_>, cause: u8) {
        packet.gtpv2_ie(2, 0, &[cause, 0]);
    }

    /// The restart counter that all nodes have.
    pub(in super::super) fn recovery(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(3, 0, &[7]);
    }

    pub(in super::super) fn apn(packet: &mut Packet<'_>, name: &str) {
        packet.gtpv2_ie(71, 0, &labels(name));
    }

    pub(in super::super) fn ambr(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(72, 0, &[0, 0, 0xc3, 0x50, 0, 1, 0x86, 0xa0]);
    }

    pub(in super::super) fn ebi(packet: &mut Packet<'_>, instance: u8, ebi: u8) {
        packet.gtpv2_ie(73, instance, &[ebi]);
    }

    pub(in super::super) fn mei(packet: &mut Packet<'_>, digits: Digits) {
        packet.gtpv2_ie(75, 0, &tbcd(digits));
    }

    pub(in super::super) fn msisdn(packet: &mut Packet<'_>, digits: Digits) {
        packet.gtpv2_ie(76, 0, &tbcd(digits));
    }

    pub(in super::super) fn indication(packet: &mut Packet<'_>, flags: [u8; 2]) {
        packet.gtpv2_ie(77, 0, &flags);
    }

    /// Protocol configuration: the UE asks for a DNS server, and gets one. TS 24.008 10.5.6.3.
    pub(in super::super) fn pco(packet: &mut Packet<'_>, answer: bool) {
        let content: &[u8] =
            if answer { &[0x80, 0x00, 0x0d, 4, 198, 18, 0, 53] } else { &[0x80, 0x00, 0x0d, 0] };
        packet.gtpv2_ie(78, 0, content);
    }

    /// PDN Address Allocation.
    pub(in super::super) fn paa(packet: &mut Packet<'_>, ue: UeAddress) {
        let mut content = vec![pdn_type_of(ue.v4.is_some(), ue.v6.is_some())];
        if let Some(address) = ue.v6 {
            content.push(64);
            content.extend_from_slice(&address.octets());
        }
        if let Some(address) = ue.v4 {
            content.extend_from_slice(&address.octets());
        }
        packet.gtpv2_ie(79, 0, &content);
    }

    /// Bearer QoS: priority level and class; rates for a class that guarantees one.
    pub(in super::super) fn bearer_qos(packet: &mut Packet<'_>, qci: u8) {
        let mut content = [0; 22];
        content[0] = if qci <= 4 { 0x08 } else { 0x24 };
        content[1] = qci;
        if qci <= 4 {
            // Guaranteed and greatest rate both ways: 64 kbit/s.
            for last in content.iter_mut().skip(6).step_by(5) {
                *last = 64;
            }
        }
        packet.gtpv2_ie(80, 0, &content);
    }

    pub(in super::super) fn rat(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(82, 0, &[6]);
    }

    pub(in super::super) fn serving_network(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(83, 0, &PLMN);
    }

    /// A template with one filter both ways: UDP from one remote port. TS 24.008 10.5.6.12.
    pub(in super::super) fn tft(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(84, 0, &super::TFT);
    }

    /// User location: tracking area and cell.
    pub(in super::super) fn uli(packet: &mut Packet<'_>, area: u16, cell: u32) {
        let mut content = vec![0x18];
        content.extend_from_slice(&PLMN);
        content.extend_from_slice(&area.to_be_bytes());
        content.extend_from_slice(&PLMN);
        content.extend_from_slice(&(cell & 0x0fff_ffff).to_be_bytes());
        packet.gtpv2_ie(86, 0, &content);
    }

    pub(in super::super) fn f_teid(packet: &mut Packet<'_>, instance: u8, interface: Interface, end: End) {
        let mut content = vec![if end.v6 { 0x40 } else { 0x80 } | interface.number()];
        content.extend_from_slice(&end.teid.to_be_bytes());
        content.extend_from_slice(&octets(end.node.address(end.v6)));
        packet.gtpv2_ie(87, instance, &content);
    }

    pub(in super::super) fn charging_id(packet: &mut Packet<'_>, id: u32) {
        packet.gtpv2_ie(94, 0, &id.to_be_bytes());
    }

    pub(in super::super) fn charging_characteristics(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(95, 0, &[0x08, 0]);
    }

    fn pdn_type_of(v4: bool, v6: bool) -> u8 {
        u8::from(v4) | u8::from(v6) << 1
    }

    pub(in super::super) fn pdn_type(packet: &mut Packet<'_>, v4: bool, v6: bool) {
        packet.gtpv2_ie(99, 0, &[pdn_type_of(v4, v6)]);
    }

    /// One hour east of Greenwich. TS 24.008 10.5.3.8.
    pub(in super::super) fn time_zone(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(114, 0, &[0x40, 0]);
    }

    pub(in super::super) fn apn_restriction(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(127, 0, &[0]);
    }

    pub(in super::super) fn selection_mode(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(128, 0, &[0]);
    }

    /// Allocation and retention priority.
    pub(in super::super) fn priority(packet: &mut Packet<'_>) {
        packet.gtpv2_ie(155, 0, &[0x24]);
    }
}

/// A template with one filter both ways: UDP from one remote port. TS 24.008 10.5.6.12.
const TFT: [u8; 9] = [0x21, 0x30, 10, 5, 0x30, 17, 0x50, 0xc0, 0x12];

/// Elements of GTPv1-C, TS 29.060 7.7.
pub(super) mod v1 {
    use super::{Digits, End, PLMN, Packet, UeAddress, labels, octets, tbcd};

    pub(in super::super) const ACCEPTED: u8 = 128;

    pub(in super::super) fn cause(packet: &mut Packet<'_>, cause: u8) {
        packet.gtpv1_tv(1, &[cause]);
    }

    pub(in super::super) fn imsi(packet: &mut Packet<'_>, digits: Digits) {
        packet.gtpv1_tv(2, &tbcd(digits));
    }

    pub(in super::super) fn rai(packet: &mut Packet<'_>, area: u16) {
        let [high, low] = area.to_be_bytes();
        let [a, b, c] = PLMN;
        packet.gtpv1_tv(3, &[a, b, c, high, low, 1]);
    }

    pub(in super::super) fn reordering(packet: &mut Packet<'_>) {
        packet.gtpv1_tv(8, &[0xfe]);
    }

    pub(in super::super) fn recovery(packet: &mut Packet<'_>) {
        packet.gtpv1_tv(14, &[7]);
    }

    pub(in super::super) fn selection_mode(packet: &mut Packet<'_>) {
        packet.gtpv1_tv(15, &[0xfc]);
    }

    pub(in super::super) fn teid_data(packet: &mut Packet<'_>, end: End) {
        packet.gtpv1_tv(16, &end.teid.to_be_bytes());
    }

    pub(in super::super) fn teid_control(packet: &mut Packet<'_>, end: End) {
        packet.gtpv1_tv(17, &end.teid.to_be_bytes());
    }

    pub(in super::super) fn teardown(packet: &mut Packet<'_>, all: bool) {
        packet.gtpv1_tv(19, &[0xfe | u8::from(all)]);
    }

    pub(in super::super) fn nsapi(packet: &mut Packet<'_>, nsapi: u8) {
        packet.gtpv1_tv(20, &[nsapi]);
    }

    pub(in super::super) fn charging_characteristics(packet: &mut Packet<'_>) {
        packet.gtpv1_tv(26, &[0x08, 0]);
    }

    pub(in super::super) fn charging_id(packet: &mut Packet<'_>, id: u32) {
        packet.gtpv1_tv(127, &id.to_be_bytes());
    }

    /// End User Address: what is asked for, with the addresses where they are given.
    pub(in super::super) fn end_user(packet: &mut Packet<'_>, (v4, v6): (bool, bool), ue: UeAddress) {
        let number = match (v4, v6) {
            (true, true) => 0x8d,
            (_, true) => 0x57,
            _ => 0x21,
        };
        let mut content = vec![0xf1, number];
        content.extend(ue.v4.into_iter().flat_map(|address| address.octets()));
        content.extend(ue.v6.into_iter().flat_map(|address| address.octets()));
        packet.gtpv1_tlv(128, &content);
    }

    pub(in super::super) fn apn(packet: &mut Packet<'_>, name: &str) {
        packet.gtpv1_tlv(131, &labels(name));
    }

    pub(in super::super) fn pco(packet: &mut Packet<'_>) {
        packet.gtpv1_tlv(132, &[0x80, 0x00, 0x0d, 0]);
    }

    pub(in super::super) fn address(packet: &mut Packet<'_>, end: End) {
        packet.gtpv1_tlv(133, &octets(end.node.address(end.v6)));
    }

    pub(in super::super) fn msisdn(packet: &mut Packet<'_>, digits: Digits) {
        let mut content = vec![0x91];
        content.extend_from_slice(&tbcd(digits));
        packet.gtpv1_tlv(134, &content);
    }

    /// Priority, then the profile of TS 24.008 10.5.6.5.
    pub(in super::super) fn qos(packet: &mut Packet<'_>) {
        let profile = [2, 0x1b, 0x92, 0x1f, 0x73, 0x96, 0xfe, 0xfe, 0x74, 0xf9, 0xff, 0xff];
        packet.gtpv1_tlv(135, &profile);
    }

    pub(in super::super) fn tft(packet: &mut Packet<'_>) {
        packet.gtpv1_tlv(137, &super::TFT);
    }

    pub(in super::super) fn rat(packet: &mut Packet<'_>, geran: bool) {
        packet.gtpv1_tlv(151, &[if geran { 2 } else { 1 }]);
    }

    /// User location: cell in 2G, service area in 3G.
    pub(in super::super) fn uli(packet: &mut Packet<'_>, geran: bool, area: u16, cell: u32) {
        let mut content = vec![u8::from(!geran)];
        content.extend_from_slice(&PLMN);
        content.extend_from_slice(&area.to_be_bytes());
        content.extend_from_slice(&(cell as u16).to_be_bytes());
        packet.gtpv1_tlv(152, &content);
    }

    pub(in super::super) fn time_zone(packet: &mut Packet<'_>) {
        packet.gtpv1_tlv(153, &[0x40, 0]);
    }

    pub(in super::super) fn imei(packet: &mut Packet<'_>, digits: Digits) {
        packet.gtpv1_tlv(154, &tbcd(digits));
    }

    /// Direct Tunnel Flags: the tunnel goes to the RNC.
    pub(in super::super) fn direct_tunnel(packet: &mut Packet<'_>) {
        packet.gtpv1_tlv(182, &[1]);
    }
}

/// Elements of PFCP, TS 29.244 8.
pub(super) mod pfcp {
    use super::super::nodes::Node;
    use super::super::subscriber::Profile;
    use super::{End, IpAddr, Packet, UeAddress, labels, octets, tbcd};

    pub(in super::super) const ACCEPTED: u8 = 1;
    pub(in super::super) const ACCESS: u8 = 0;
    pub(in super::super) const CORE: u8 = 1;

    pub(in super::super) fn cause(packet: &mut Packet<'_>, cause: u8) {
        packet.pfcp_ie(19, &[cause]);
    }

    pub(in super::super) fn source(packet: &mut Packet<'_>, side: u8) {
        packet.pfcp_ie(20, &[side]);
    }

    pub(in super::super) fn f_teid(packet: &mut Packet<'_>, end: End) {
        let mut content = vec![if end.v6 { 2 } else { 1 }];
        content.extend_from_slice(&end.teid.to_be_bytes());
        content.extend_from_slice(&octets(end.node.address(end.v6)));
        packet.pfcp_ie(21, &content);
    }

    /// The UPF shall choose, once for all that have this identifier.
    pub(in super::super) fn f_teid_choose(packet: &mut Packet<'_>, v6: bool, id: Option<u8>) {
        let family = if v6 { 2 } else { 1 };
        match id {
            Some(id) => packet.pfcp_ie(21, &[0x0c | family, id]),
            None => packet.pfcp_ie(21, &[0x04 | family]),
        };
    }

    pub(in super::super) fn network_instance(packet: &mut Packet<'_>, name: &str) {
        packet.pfcp_ie(22, &labels(name));
    }

    pub(in super::super) fn gate_open(packet: &mut Packet<'_>) {
        packet.pfcp_ie(25, &[0]);
    }

    pub(in super::super) fn precedence(packet: &mut Packet<'_>, value: u32) {
        packet.pfcp_ie(29, &value.to_be_bytes());
    }

    /// Downlink data has arrived.
    pub(in super::super) fn report_type(packet: &mut Packet<'_>) {
        packet.pfcp_ie(39, &[1]);
    }

    pub(in super::super) fn destination(packet: &mut Packet<'_>, side: u8) {
        packet.pfcp_ie(42, &[side]);
    }

    /// 2 forwards, 12 keeps and tells.
    pub(in super::super) fn apply_action(packet: &mut Packet<'_>, flags: u8) {
        packet.pfcp_ie(44, &[flags, 0]);
    }

    /// Send an End Marker.
    pub(in super::super) fn send_end_marker(packet: &mut Packet<'_>) {
        packet.pfcp_ie(49, &[2]);
    }

    pub(in super::super) fn pdr_id(packet: &mut Packet<'_>, id: u16) {
        packet.pfcp_ie(56, &id.to_be_bytes());
    }

    pub(in super::super) fn f_seid(packet: &mut Packet<'_>, end: End) {
        let mut content = vec![if end.v6 { 1 } else { 2 }];
        content.extend_from_slice(&end.seid().to_be_bytes());
        content.extend_from_slice(&octets(end.node.address(end.v6)));
        packet.pfcp_ie(57, &content);
    }

    pub(in super::super) fn node_id(packet: &mut Packet<'_>, node: Node, v6: bool) {
        let address = node.address(v6);
        let mut content = vec![u8::from(matches!(address, IpAddr::V6(_)))];
        content.extend_from_slice(&octets(address));
        packet.pfcp_ie(60, &content);
    }

    /// Outer Header Creation with GTP-U.
    pub(in super::super) fn outer_header(packet: &mut Packet<'_>, end: End) {
        let mut content = vec![if end.v6 { 2 } else { 1 }, 0];
        content.extend_from_slice(&end.teid.to_be_bytes());
        content.extend_from_slice(&octets(end.node.address(end.v6)));
        packet.pfcp_ie(84, &content);
    }

    pub(in super::super) fn outer_header_removal(packet: &mut Packet<'_>, v6: bool) {
        packet.pfcp_ie(95, &[u8::from(v6)]);
    }

    /// The UE's addresses, as source or as destination of the packets.
    pub(in super::super) fn ue_address(packet: &mut Packet<'_>, ue: UeAddress, destination: bool) {
        let flags = u8::from(ue.v6.is_some()) | u8::from(ue.v4.is_some()) << 1 | u8::from(destination) << 2;
        let mut content = vec![flags];
        content.extend(ue.v4.into_iter().flat_map(|address| address.octets()));
        content.extend(ue.v6.into_iter().flat_map(|address| address.octets()));
        packet.pfcp_ie(93, &content);
    }

    /// When all nodes started: seconds since 1900.
    pub(in super::super) fn recovery(packet: &mut Packet<'_>) {
        packet.pfcp_ie(96, &3_900_000_000_u32.to_be_bytes());
    }

    pub(in super::super) fn far_id(packet: &mut Packet<'_>, id: u32) {
        packet.pfcp_ie(108, &id.to_be_bytes());
    }

    pub(in super::super) fn qer_id(packet: &mut Packet<'_>, id: u32) {
        packet.pfcp_ie(109, &id.to_be_bytes());
    }

    pub(in super::super) fn pdn_type(packet: &mut Packet<'_>, ue: UeAddress) {
        packet.pfcp_ie(113, &[u8::from(ue.v4.is_some()) | u8::from(ue.v6.is_some()) << 1]);
    }

    pub(in super::super) fn qfi(packet: &mut Packet<'_>, qfi: u8) {
        packet.pfcp_ie(124, &[qfi]);
    }

    pub(in super::super) fn user_id(packet: &mut Packet<'_>, profile: &Profile) {
        let mut content = vec![0x07];
        for digits in [profile.imsi, profile.imei, profile.msisdn] {
            let digits = tbcd(digits);
            content.push(digits.len() as u8);
            content.extend_from_slice(&digits);
        }
        packet.pfcp_ie(141, &content);
    }

    pub(in super::super) fn dnn(packet: &mut Packet<'_>, name: &str) {
        packet.pfcp_ie(159, &labels(name));
    }

    /// Slice: type 1, without a differentiator.
    pub(in super::super) fn slice(packet: &mut Packet<'_>) {
        packet.pfcp_ie(257, &[1, 0xff, 0xff, 0xff]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_swapped_and_filled() {
        assert_eq!(tbcd(Digits::new(1_010_000_000_001, 15)), [0x00, 0x01, 0x01, 0, 0, 0, 0, 0xf1]);
        assert_eq!(tbcd(Digits::new(4_670, 4)), [0x64, 0x07]);
        assert_eq!(labels("corp.example"), *b"\x04corp\x07example");
    }
}
