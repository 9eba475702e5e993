//! `POST /identities` from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Answer, Instance, Served};

fn post(served: &Served, body: &str) -> Answer {
    let head = format!(
        "POST /identities HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    served.say(format!("{head}{body}").as_bytes())
}

const ENTRY: &str = r#"{"ue_ip":"10.0.1.0","imsi":"001010000000001"}"#;

#[test]
fn a_feed_is_taken_and_told_what_came_of_it() {
    let served = Served::new(Instance::default());
    let answer = post(&served, &format!("[{ENTRY}, {ENTRY}]"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"accepted\":2,\"sessions\":1}\n"));
    assert_eq!(post(&served, "[]").json()["accepted"], 0);
    let full = post(&served, &format!("[{}{ENTRY}]", format!("{ENTRY},").repeat(1_500)));
    assert_eq!((full.status, full.json()["accepted"].as_u64()), (507, Some(1_500)));
    assert!(full.body.contains("raise sessions_max"), "{full:?}");
}

#[test]
fn what_is_wrong_is_said() {
    let served = Served::new(Instance::default());
    for (body, status, part) in [
        ("", 400, "no JSON"),
        ("{}", 400, "give a list"),
        (
            &format!("[{ENTRY}, {{\"ue_ip\":\"10.0.1.1\",\"imsi\":\"x\"}}]"),
            400,
            "entry 2: imsi: must be 6 to 15 digits",
        ),
        (&format!("[{ENTRY}, {{\"ue-ip\":\"10.0.1.1\"}}]"), 400, "entry 2: unknown key `ue-ip`"),
        (&"x".repeat((1 << 20) + 1), 413, "send fewer entries"),
    ] {
        let answer = post(&served, body);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.json()["error"].as_str().unwrap().contains(part), "{answer:?}");
    }
    assert_eq!(served.get("/identities").status, 405);
}
