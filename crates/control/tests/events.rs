//! `GET /events` from outside: who listens hears what is told, and bounds hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::{Instance, Served};
use control::{Event, Limits};

/// A client that follows, and what it has read.
struct Follower {
    stream: UnixStream,
    text: String,
}

impl Follower {
    fn new(served: &Served) -> Self {
        let mut stream = served.connect();
        stream.write_all(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut follower = Self { stream, text: String::new() };
        follower.read_until(": what happens");
        follower
    }

    /// Reads until this is there, or the end. Returns whether it is there.
    fn read_until(&mut self, part: &str) -> bool {
        let mut bytes = [0; 65_536];
        while !self.text.contains(part) {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.text.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("{error}: {}", self.text),
            }
        }
        true
    }
}

fn restart(n: u8) -> Event<'static> {
    Event::PathRestart { peer: [192, 0, 2, n].into(), protocol: types::Signalling::Gtpv2 }
}

#[test]
fn everybody_who_listens_is_told() {
    let served = Served::new(Instance::default());
    let events = &served.instance.events;
    events.tell(0, restart(1));
    let mut both = [Follower::new(&served), Follower::new(&served)];
    assert_eq!(events.listeners(), 2);
    for follower in &both {
        let head = follower.text.to_lowercase();
        assert!(head.starts_with("http/1.1 200 ok"), "{head}");
        assert!(head.contains("content-type: text/event-stream") && head.contains("no-store"), "{head}");
    }
    events.tell(1_700_000_000_008_000_000, restart(2));
    let expected = "event: path-restart\nid: 2\ndata: {\"time\":\"2023-11-14T22:13:20.008Z\",\
                    \"event\":\"path-restart\",\"peer\":\"192.0.2.2\",\"protocol\":\"gtpv2\"}\n\n";
    for follower in &mut both {
        assert!(follower.read_until(expected), "{}", follower.text);
        assert!(!follower.text.contains("192.0.2.1"), "what was before is not told");
    }
    // Other questions are answered meanwhile.
    assert_eq!(served.get("/version").status, 200);
    let [one, other] = both;
    drop(one);
    events.tell(0, restart(3));
    let mut other = other;
    assert!(other.read_until("192.0.2.3"));
}

#[test]
fn a_listener_who_hears_nothing_is_not_gone() {
    let limits = Limits {
        idle: Duration::from_millis(300),
        heartbeat: Duration::from_millis(100),
        ..Limits::default()
    };
    let served = Served::with(Instance::default(), limits);
    let mut follower = Follower::new(&served);
    let began = Instant::now();
    assert!(follower.read_until("\n:\n\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n"), "{:?}", follower.text);
    while began.elapsed() < Duration::from_secs(1) {
        follower.text.clear();
        assert!(follower.read_until(":\n\n"), "after {:?}", began.elapsed());
    }
    served.instance.events.tell(0, restart(1));
    assert!(follower.read_until("192.0.2.1"));
}

#[test]
fn the_end_of_the_server_is_the_end_of_the_answer() {
    let served = Served::new(Instance::default());
    let mut follower = Follower::new(&served);
    served.instance.events.tell(0, restart(1));
    let began = Instant::now();
    served.server.stop();
    assert!(!follower.read_until("never"));
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    assert!(follower.text.contains("192.0.2.1"), "what was told before");
    assert!(follower.text.ends_with("\r\n0\r\n\r\n"), "a whole answer: {:?}", follower.text);
}

#[test]
fn listeners_leave_room_for_others() {
    let limits = Limits { connections: 5, listeners: 3, ..Limits::default() };
    let served = Served::with(Instance::default(), limits);
    let followers: Vec<_> = (0..3).map(|_| Follower::new(&served)).collect();
    let refused = served.get("/events");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("3 clients follow the events"), "{refused:?}");
    assert_eq!(served.get("/stats").status, 200);
    drop(followers);
    // One that has gone is noticed when there is something to tell.
    let began = Instant::now();
    while served.instance.events.listeners() > 0 {
        served.instance.events.tell(0, restart(1));
        assert!(began.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(10));
    }
    Follower::new(&served);
}

#[test]
fn a_slow_listener_loses_events_and_is_told_how_many() {
    let served = Served::new(Instance::default());
    let mut slow = Follower::new(&served);
    let events = &served.instance.events;
    let began = Instant::now();
    // More than the socket and the server hold.
    let told = 50_000;
    for n in 0..told {
        events.tell(n, restart((n % 250) as u8));
    }
    assert!(began.elapsed() < Duration::from_secs(10), "nobody waits for it");
    events.tell(0, Event::State { ok: true, message: None });
    assert!(slow.read_until("event: state"), "it goes on");
    let lost: u64 = slow
        .text
        .split("\"event\":\"lost\",\"count\":")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap().parse::<u64>().unwrap())
        .sum();
    let heard = slow.text.matches("event: path-restart").count() as u64;
    assert!(lost > 10_000, "{lost}");
    assert_eq!(heard + lost, told);
}
