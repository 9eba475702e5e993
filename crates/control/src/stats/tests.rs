use super::*;

/// The object as the manual shows it, what was added since behind it, with a reason, a probe and a rule in it.
const SHAPE: &str = r#"{ "version": "0.1.0",
  "rx": { "packets": 0, "bytes": 0, "missed": 0,
          "by_class": { "gtp_u": 0, "gtp_c": 0, "pfcp": 0, "gtp_prime": 0, "other": 0 },
          "malformed": { "gtp_short": 1 } },
  "delivered": 0,
  "dropped": { "ring_full": 1 },
  "in_flight": 0,
  "probes": { "probe-1": { "packets": 0, "bytes": 0, "control_packets": 0, "user_packets": 0, "sessions": 0, "dropped": { "probe_full": 1 } } },
  "sessions": { "created": 0, "active": 0, "deleted": 0, "expired": 0, "moved": 0, "inner_mismatch": 0,
                "refused": { "sessions_full": 0, "tunnels_full": 0, "transactions_full": 0 },
                "held": 0, "hold_full": 0 },
  "rules": { "version": 1, "hits": { "vip": 2 } } }"#;

#[test]
fn json_has_the_shape_of_the_manual() {
    let mut stats = Stats::new("0.1.0");
    stats.rx.malformed.add(Malformed::GtpShort.name(), 1);
    stats.dropped.add(DropReason::RingFull.name(), 1);
    let probe =
        ProbeStats { dropped: [(DropReason::ProbeFull, 1)].into_iter().collect(), ..Default::default() };
    stats.probes.insert("probe-1".to_owned(), probe);
    stats.rules.hits.insert("vip".to_owned(), 2);

    let manual: serde_json::Value = serde_json::from_str(SHAPE).unwrap();
    let ours: serde_json::Value = serde_json::from_str(&stats.to_json().unwrap()).unwrap();
    assert_eq!(ours, manual);
    // `Value` compares maps without their order; the text does not.
    assert_eq!(stats.to_json().unwrap(), serde_json::to_string_pretty(&manual).unwrap() + "\n");
    assert_eq!(serde_json::from_str::<Stats>(SHAPE).unwrap(), stats);
}

#[test]
fn what_did_not_happen_is_not_there_and_what_must_be_is() {
    let mut stats = Stats::new("0.1.0");
    stats.rx.malformed = Malformed::ALL.iter().map(|&reason| (reason, 0)).collect();
    assert!(stats.rx.malformed.is_empty());
    insta::assert_snapshot!(stats.to_json().unwrap());
}

#[test]
fn probes_keep_the_order_of_the_configuration() {
    let mut stats = Stats::new("0.1.0");
    for name in ["west", "east", "a"] {
        stats.probes.insert(name.to_owned(), ProbeStats::default());
    }
    let json = stats.to_json().unwrap();
    let at = |name: &str| json.find(&format!("\"{name}\"")).unwrap();
    assert!(at("west") < at("east") && at("east") < at("a"));
}

fn busy() -> Stats {
    let mut stats = Stats::new("0.1.0");
    stats.rx.packets = 1_234_567_890;
    stats.rx.bytes = 1_049_382_706_500;
    stats.rx.by_class =
        ByClass { gtp_u: 1_200_000_000, gtp_c: 1_000_000, pfcp: 234_567, gtp_prime: 0, other: 33_333_323 };
    stats.rx.malformed =
        [(Malformed::GtpExtLenZero, 12), (Malformed::TooManyLayers, 3_456)].into_iter().collect();
    stats.rx.missed = 17;
    stats.dropped = [(DropReason::RingFull, 1_000), (DropReason::PoolEmpty, 1)].into_iter().collect();
    stats.in_flight = 64;
    stats.delivered = stats.rx.packets - 1_001 - 64;
    let control = 1_234_567;
    for (name, user) in [
        ("probe-1", 300_000_000),
        ("probe-2", 310_000_000),
        ("probe-3", 299_999_935),
        ("a-name-that-is-much-too-long", 290_000_000),
    ] {
        let other = 8_333_331;
        let dropped = if name == "probe-3" { 1_001 } else { 0 };
        stats.probes.insert(
            name.to_owned(),
            ProbeStats {
                packets: user + control + other,
                bytes: 260_000_000_000 + user,
                control_packets: control,
                user_packets: user,
                sessions: 0,
                dropped: [(DropReason::ProbeFull, dropped)].into_iter().collect(),
            },
        );
    }
    stats
}

/// As it is for people: in 80 columns, without colours.
fn table_of(stats: &Stats) -> String {
    stats.check().unwrap();
    let table = stats.table();
    for line in table.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!table.contains('\x1b'));
    table
}

#[test]
fn table_for_people() {
    insta::assert_snapshot!(table_of(&busy()));
}

#[test]
fn table_with_sessions() {
    let mut stats = busy();
    stats.sessions = SessionStats {
        created: 12_345_678,
        active: 10_000_000,
        deleted: 2_345_670,
        expired: 8,
        moved: 3,
        inner_mismatch: 17,
        refused: Refused { tunnels_full: 5, ..Refused::default() },
        held: 41,
        hold_full: 0,
    };
    for probe in stats.probes.values_mut() {
        probe.sessions = 3_086_419;
    }
    let wide = table_of(&stats);
    stats.probes.shift_remove("a-name-that-is-much-too-long");
    for (name, probe) in &mut stats.probes {
        *probe = ProbeStats { packets: 100, user_packets: 90, control_packets: 10, ..probe.clone() };
        probe.sessions = name.len() as u64;
    }
    insta::assert_snapshot!(wide + "\n----\n\n" + &stats.table());
}

#[test]
fn table_of_nothing() {
    insta::assert_snapshot!(Stats::new("0.1.0").table());
}

#[test]
fn table_says_when_the_accounts_do_not_close() {
    let mut stats = busy();
    stats.delivered -= 1;
    let table = stats.table();
    assert!(table.contains("THE ACCOUNTS DO NOT CLOSE: received 1234567890 packets"), "{table}");
    assert!(table.contains("1 too few"), "{table}");
}

#[test]
fn check_finds_a_difference_of_one() {
    type Mistake = fn(&mut Stats);
    let mistakes: [(Mistake, &str); 9] = [
        (|s| s.delivered -= 1, "1 too few"),
        (|s| s.delivered += 1, "1 too many"),
        (|s| s.in_flight += 1, "1 too many"),
        (|s| s.dropped.add("ring_full", 1), "1 too many"),
        (|s| s.rx.packets += 1, "1 too few"),
        (|s| s.rx.by_class.gtp_u += 1, "classes add up to 1234567891: 1 too many"),
        (|s| s.rx.malformed.add("gtp_short", u64::MAX), "were malformed"),
        (
            |s| s.probes[0].control_packets = s.probes[0].packets - s.probes[0].user_packets + 1,
            "probe probe-1: sent",
        ),
        (|s| s.sessions.created += 1, "created 1 sessions, but active 0"),
    ];
    for (mistake, words) in mistakes {
        let mut stats = busy();
        assert_eq!(stats.check(), Ok(()));
        mistake(&mut stats);
        let said = stats.check().unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
    let mut stats = busy();
    stats.probes.shift_remove("probe-1");
    stats.probes.shift_remove("probe-2");
    let said = stats.check().unwrap_err().to_string();
    assert!(said.starts_with("delivered 1234566825 packets, but all probes together were sent "), "{said}");
}

#[test]
fn check_survives_absurd_numbers() {
    let mut stats = busy();
    stats.delivered = u64::MAX;
    stats.in_flight = u64::MAX;
    stats.dropped.add("ring_full", u64::MAX);
    assert!(stats.check().is_err());
    stats.probes[0].packets = u64::MAX;
    stats.probes[1].bytes = u64::MAX;
    assert!(!stats.table().is_empty());
}

#[test]
fn imbalance() {
    let mut stats = Stats::new("0.1.0");
    assert_eq!(stats.imbalance(), None);
    for (name, user_packets) in [("a", 30), ("b", 10)] {
        stats.probes.insert(name.to_owned(), ProbeStats { user_packets, ..Default::default() });
    }
    assert_eq!(stats.imbalance(), Some(1.5));
}

#[test]
fn classes_by_name() {
    let mut classes = ByClass::default();
    for (index, class) in TrafficClass::ALL.into_iter().enumerate() {
        classes.add(class, 1 << index);
    }
    let json = serde_json::to_value(classes).unwrap();
    for (index, class) in TrafficClass::ALL.into_iter().enumerate() {
        assert_eq!(classes.get(class), 1 << index);
        assert_eq!(json[class.name()], 1 << index);
    }
    assert_eq!(classes.total(), 31);
}
