//! tshark reads what `snipe gen` writes, finds nothing wrong in it, and reads what the truth says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::{GroundTruth, Options, write_capture};

/// The lines that tshark prints about a capture, or `None`, and a word about it, where there is none.
fn tshark(capture: &Path, args: &[&str]) -> Option<Vec<String>> {
    let output = Command::new("tshark").arg("-r").arg(capture).args(args).stdin(Stdio::null()).output();
    let Ok(output) = output else {
        println!("skipped: tshark is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn generate(path: &Path, options: Options) -> GroundTruth {
    let mut out = BufWriter::new(File::create(path).unwrap());
    let truth = write_capture(options, &mut out).unwrap();
    out.flush().unwrap();
    truth
}

fn options(seed: u64) -> Options {
    Options {
        subscribers: 300,
        seconds: 4.0,
        pps: 8_000,
        seed,
        ipv6: 0.5,
        transport_ipv6: 0.2,
        other: 0.03,
        ..Options::default()
    }
}

#[test]
fn nothing_is_malformed() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("core.pcap");
    let changes: [fn(Options) -> Options; 4] = [
        |options| options,
        |options| Options { vlan: Some(7), fragments: 0.1, inner_fragments: 0.05, ..options },
        |options| Options { loss: 0.05, reorder: 0.05, dup: 0.05, ..options },
        |options| Options { signalling: false, ..options },
    ];
    for (seed, change) in (1..).zip(changes) {
        generate(&capture, change(options(seed)));
        let filter = ["-Y", "_ws.malformed || _ws.expert.severity == error"];
        let Some(found) = tshark(&capture, &filter) else { return };
        assert_eq!(found, Vec::<String>::new(), "seed {seed}");
    }
}

/// Fields of the frames that a filter lets pass: of each field all values.
fn fields(capture: &Path, filter: &str, names: &[&str]) -> Option<Vec<Vec<Vec<String>>>> {
    let mut args = vec!["-Y", filter, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"];
    args.extend(names.iter().flat_map(|name| ["-e", name]));
    let split = |values: &str| values.split(',').filter(|v| !v.is_empty()).map(str::to_owned).collect();
    Some(tshark(capture, &args)?.iter().map(|line| line.split('\t').map(split).collect()).collect())
}

fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

#[test]
fn fields_say_what_the_truth_says() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("core.pcap");
    let truth = generate(&capture, options(9));
    let mut endpoints: HashSet<(String, IpAddr, u64)> = HashSet::new();
    let mut identities: HashSet<[String; 4]> = HashSet::new();
    let mut places: HashSet<(String, u64, u64)> = HashSet::new();
    let mut addresses: HashSet<IpAddr> = HashSet::new();

    // An endpoint has one address, of either family.
    let mut take = |name: &str, teid: &str, address: &str| {
        endpoints.insert((name.to_owned(), address.parse().unwrap(), number(teid)));
    };
    let Some(lines) = fields(
        &capture,
        "gtpv2",
        &[
            "gtpv2.f_teid_interface_type",
            "gtpv2.f_teid_gre_key",
            "gtpv2.f_teid_ipv4",
            "gtpv2.f_teid_ipv6",
            "e212.imsi",
            "e164.msisdn",
            "gtpv2.mei",
            "gtpv2.apn",
            "gtpv2.tai_tac",
            "gtpv2.ecgi_eci",
            "gtpv2.pdn_addr_and_prefix.ipv4",
            "gtpv2.pdn_addr_and_prefix.ipv6",
        ],
    ) else {
        return;
    };
    for line in lines {
        for ((kind, teid), address) in line[0].iter().zip(&line[1]).zip(line[2].iter().chain(&line[3])) {
            let name = match number(kind) {
                0 => "S1-U eNodeB GTP-U",
                1 => "S1-U SGW GTP-U",
                4 => "S5/S8 SGW GTP-U",
                5 => "S5/S8 PGW GTP-U",
                6 => "S5/S8 SGW GTP-C",
                7 => "S5/S8 PGW GTP-C",
                10 => "S11 MME GTP-C",
                11 => "S11/S4 SGW GTP-C",
                other => panic!("interface {other}"),
            };
            take(name, teid, address);
        }
        if let ([imsi], [msisdn], [imei], [apn]) = (&line[4][..], &line[5][..], &line[6][..], &line[7][..]) {
            identities.insert([imsi, msisdn, imei, apn].map(Clone::clone));
        }
        if let ([tac], [cell]) = (&line[8][..], &line[9][..]) {
            places.insert(("EUTRAN".to_owned(), number(tac), number(cell)));
        }
        addresses.extend(line[10].iter().chain(&line[11]).map(|address| address.parse::<IpAddr>().unwrap()));
    }

    let names = [
        "gtp.message",
        "gtp.teid_data",
        "gtp.teid_cp",
        "gtp.gsn_ipv4",
        "gtp.gsn_ipv6",
        "e212.imsi",
        "e164.msisdn",
        "gtp.ext_imeisv",
        "gtp.apn",
        "gtp.user_ipv4",
        "gtp.user_ipv6",
    ];
    for line in fields(&capture, "gtp.message >= 16 && gtp.message <= 21", &names).unwrap() {
        let peer = if number(&line[0][0]) % 2 == 1 { "GGSN" } else { "SGSN" };
        let nodes: Vec<_> = line[3].iter().chain(&line[4]).collect();
        if let ([teid], [_, address]) = (&line[1][..], &nodes[..]) {
            take(&format!("Gn {peer} GTP-U"), teid, address);
        }
        if let ([teid], [address, _]) = (&line[2][..], &nodes[..]) {
            take(&format!("Gn {peer} GTP-C"), teid, address);
        }
        if let ([imsi], [msisdn], [imei], [apn]) = (&line[5][..], &line[6][..], &line[7][..], &line[8][..]) {
            identities.insert([imsi, msisdn, imei, apn].map(Clone::clone));
        }
        addresses.extend(line[9].iter().chain(&line[10]).map(|address| address.parse::<IpAddr>().unwrap()));
    }

    let names = [
        "pfcp.msg_type",
        "pfcp.seid",
        "pfcp.f_seid.ipv4",
        "pfcp.f_seid.ipv6",
        "pfcp.f_teid.teid",
        "pfcp.f_teid.ipv4_addr",
        "pfcp.f_teid.ipv6_addr",
        "pfcp.outer_hdr_creation.teid",
        "pfcp.outer_hdr_creation.ipv4",
        "pfcp.outer_hdr_creation.ipv6",
        "e212.imsi",
        "pfcp.apn_dnn",
        "pfcp.ue_ip_addr_ipv4",
        "pfcp.ue_ip_addr_ipv6",
    ];
    let mut told = HashSet::new();
    for line in fields(&capture, "pfcp.msg_type >= 50", &names).unwrap() {
        // The first SEID is that of the header.
        let name = if number(&line[0][0]) == 51 { "N4 UPF" } else { "N4 SMF" };
        if let ([_, seid], Some(address)) = (&line[1][..], line[2].iter().chain(&line[3]).next()) {
            take(name, seid, address);
        }
        for (teid, address) in line[4].iter().zip(line[5].iter().chain(&line[6])) {
            take("N3 UPF", teid, address);
        }
        for (teid, address) in line[7].iter().zip(line[8].iter().chain(&line[9])) {
            take("N3 gNB", teid, address);
        }
        if let ([imsi], [dnn]) = (&line[10][..], &line[11][..]) {
            told.insert((imsi.clone(), dnn.clone()));
        }
        addresses.extend(line[12].iter().chain(&line[13]).map(|address| address.parse::<IpAddr>().unwrap()));
    }

    let text = |digits: Option<testkit::Digits>| digits.map(|d| d.to_string()).unwrap_or_default();
    for session in &truth.sessions {
        for fteid in &session.fteids {
            let key = (fteid.interface.to_owned(), fteid.ip, fteid.teid);
            assert!(endpoints.contains(&key), "{key:?}");
        }
        let apn = session.apn.unwrap().to_owned();
        match session.rat {
            Some(rat) => {
                let imei = text(session.imei);
                let identity = [text(session.imsi), text(session.msisdn), imei, apn];
                assert!(identities.contains(&identity), "{identity:?}");
                let place = (rat.to_owned(), session.tac.unwrap().into(), session.cell.unwrap());
                assert!(rat != "EUTRAN" || places.contains(&place), "{place:?}");
            }
            None => assert!(session.imsi.is_none() || told.contains(&(text(session.imsi), apn))),
        }
        if let Some(address) = session.ue_ipv4 {
            assert!(addresses.contains(&address.into()), "{address}");
        }
        if let Some(prefix) = session.ue_ipv6 {
            let same = |address: &IpAddr| match address {
                IpAddr::V6(address) => address.segments()[..4] == prefix.segments()[..4],
                IpAddr::V4(_) => false,
            };
            assert!(addresses.iter().any(same), "{prefix}");
        }
    }
    assert!(truth.sessions.len() > 250, "{}", truth.sessions.len());
}
