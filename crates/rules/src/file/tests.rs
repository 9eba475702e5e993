use std::fmt::Write as _;

use super::*;
use crate::expression::{Comparison, Relation, Set};

fn read(path: &str) -> Result<String, String> {
    match path {
        "premium.csv" => Ok("# numbers\n\n46900123456\n 46900123457 \n".to_owned()),
        _ => Err("No such file or directory".to_owned()),
    }
}

fn parse_one(text: &str) -> Result<RuleSet, Vec<Problem>> {
    RuleSet::parse(&[SourceFile::new("rules.toml", text)], read)
}

#[test]
fn all_that_the_interface_shows() {
    let set = parse_one(
        r#"
[lists]
vip = ["001010000000001", "001010000000002"]
premium = { file = "premium.csv" }

[[rule]]
name = "vip-voice"
when = 'session.imsi in @vip and session.apn == "ims"'
then = ["forward:voice", "alert:high", "capture:2s:10s"]

[[rule]]
name = "dns-flood"
when = 'inner.udp.dstport == 53'
threshold = { count = 200, per = "session.imsi", within = "1s" }
then = ["alert:high", "list-add:troubled:session.imsi:10m"]

[[rule]]
name = "troubled-in-detail"
when = 'session.imsi in @troubled'
then = ["forward:analysis"]
priority = 10
every = "5s"
description = "what the flood rule has found"

[[rule]]
name = "bulk-video"
when = 'tls.sni contains "video" and not session.imsi in @vip'
scope = "flow"
enabled = false
then = ["sample:1/10", "slice:128"]

[[rule]]
name = "port-sweep"
when = 'inner.tcp.flags == 2'
threshold = { distinct = "inner.tcp.dstport", over = 100, per = "session.ue_ip", within = "10s" }
then = ["alert:medium"]
"#,
    )
    .unwrap();
    let names: Vec<_> = set.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["troubled-in-detail", "vip-voice", "dns-flood", "bulk-video", "port-sweep"]);
    let lists: Vec<_> = set.lists.iter().map(|list| (list.name.as_str(), list.entries.len())).collect();
    assert_eq!(lists, [("premium", 2), ("troubled", 0), ("vip", 2)]);
    let classes: Vec<_> = set.rules.iter().map(Rule::class).collect();
    assert_eq!(classes, [Class::Session, Class::Session, Class::Header, Class::Payload, Class::Header]);
    let [detail, _, flood, video, sweep] = &set.rules[..] else { panic!("five rules") };
    let troubled = set.list("troubled").unwrap();
    let listed = Comparison { field: Field::SessionImsi, relation: Relation::In(Set::List(troubled)) };
    assert_eq!(detail.when, Expression::Compare(listed));
    assert_eq!((detail.every, flood.every), (Duration::from_secs(5), Duration::from_secs(1)));
    assert_eq!(flood.threshold.as_ref().unwrap().per, Some(Field::SessionImsi));
    assert_eq!((video.scope, video.enabled), (Scope::Flow, false));
    assert_eq!(sweep.threshold.as_ref().unwrap().distinct, Some(Field::InnerTcpDstport));
}

#[test]
fn rules_of_several_files_are_one_set() {
    let rule = |name: &str, priority: i32| {
        format!(
            "[[rule]]\nname = \"{name}\"\nwhen = 'vlan.id == 5'\nthen = [\"drop\"]\npriority = {priority}\n"
        )
    };
    let (a, b) = (rule("a", 0) + &rule("b", 1), rule("c", 1) + &rule("d", 0));
    let set = RuleSet::parse(&[SourceFile::new("1", &a), SourceFile::new("2", &b)], read).unwrap();
    let names: Vec<_> = set.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["b", "c", "a", "d"]);
    let problems = RuleSet::parse(&[SourceFile::new("1", &a), SourceFile::new("2", &a)], read).unwrap_err();
    assert_eq!((problems.len(), problems[0].file), (2, 1));
}

/// Twenty ways to write a rule file wrongly: what is marked, and what is said.
#[test]
fn wrong_files_are_told_where_and_why() {
    let good = "[lists]\nvip = [\"1\"]\n[[rule]]\nname = \"a\"\nwhen = 'pkt.len > 9'\nthen = [\"drop\"]\n";
    let instead = |old: &str, new: &str| good.replace(old, new);
    let files = [
        instead("[[rule]]", "[[rules]]"),
        instead("[[rule]]", "[rule]"),
        instead("name =", "nmae ="),
        instead("\"a\"", "\"\""),
        good.to_owned() + &good[good.find("[[rule]]").unwrap()..],
        instead("'pkt.len > 9'", "'pkt.length > 9'"),
        instead("'pkt.len > 9'", "'pkt.len > big'"),
        instead("'pkt.len > 9'", "'pkt.len > 9 and'"),
        instead("'pkt.len > 9'", "'session.imsi in @vop'"),
        instead("'pkt.len > 9'", "'ip.src in @vip'"),
        instead("'pkt.len > 9'", "'session.imsi == 001010000000001'"),
        instead("'pkt.len > 9'", "'http.uri matches \"[a-\"'"),
        instead("'pkt.len > 9'", "\"tls.sni == \\\"a\\\" or x\""),
        instead("[\"drop\"]", "[]"),
        instead("[\"drop\"]", "\"drop\""),
        instead("[\"drop\"]", "[\"drop\", \"forward:a\"]"),
        instead("[\"drop\"]", "[\"alarm:high\"]"),
        instead("[\"drop\"]", "[\"drop\"]\nscope = \"flows\""),
        instead("[\"drop\"]", "[\"drop\"]\nthreshold = { count = 0, within = \"1s\" }"),
        instead(
            "[\"drop\"]",
            "[\"drop\"]\nthreshold = { distinct = \"gtp.teid\", count = 5, within = \"1s\" }",
        ),
        instead("[\"drop\"]", "[\"drop\"]\nevery = 5"),
        instead("[\"1\"]", "{ file = \"nowhere.csv\" }"),
        instead("[\"drop\"]", "[\"drop\"\n"),
    ];
    let mut told = String::new();
    for text in &files {
        let problems = parse_one(text).expect_err(text);
        for Problem { span, what, label, help, .. } in problems {
            let marked = text.get(span).unwrap_or("(not in the file)").lines().next().unwrap_or_default();
            let _ = writeln!(told, "`{marked}` ({label}): {what}");
            if let Some(help) = help {
                let _ = writeln!(told, "    {help}");
            }
        }
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}
