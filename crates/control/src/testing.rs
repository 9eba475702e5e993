//! What the tests of several modules share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use session::{BearerRecord, FTeidRecord, Record, State};
use types::{Apn, Digits, Imei, Imsi, Location, Msisdn, Plmn, ProbeId, Qfi, Rat, Snssai};

/// A session with a value in every field.
pub(crate) fn full_session() -> Record {
    Record {
        correlation_id: 0x00c0_ffee_00c0_ffee,
        imsi: Digits::from_text(b"001010000000001").map(Imsi),
        msisdn: Digits::from_text(b"46700000001").map(Msisdn),
        imei: Digits::from_text(b"3569380356438091").map(Imei),
        apn: Apn::from_text(b"internet"),
        rat: Some(Rat(6)),
        serving: Plmn::from_text("00101"),
        location: Location { area: Some(1), cell: Some(256) },
        snssai: Some(Snssai { sst: 1, sd: Some(255) }),
        roaming: Some(false),
        ue_ipv4: Some(Ipv4Addr::new(10, 0, 1, 0)),
        ue_ipv6: Some(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0)),
        known: true,
        state: State::Deleted,
        probe: Some(ProbeId(0)),
        fteids: vec![
            FTeidRecord {
                interface: Some("N4 SMF"),
                ip: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9)),
                teid: u64::MAX,
                packets: 0,
                bytes: 0,
            },
            FTeidRecord {
                interface: Some("S1-U SGW GTP-U"),
                ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
                teid: 256,
                packets: 3,
                bytes: 300,
            },
        ],
        bearers: vec![
            BearerRecord { ebi: 5, qci: Some(9), qfi: None },
            BearerRecord { ebi: 0, qci: None, qfi: Some(Qfi(1)) },
        ],
        packets_ul: 3,
        packets_dl: 4,
        bytes_ul: 300,
        bytes_dl: 4_000,
        created_ns: 1_700_000_000_008_765_432,
        ended_ns: Some(1_700_000_001_999_999_999),
    }
}
