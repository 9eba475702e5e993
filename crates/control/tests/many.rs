//! A million sessions are listed in the memory of a few thousand. In a process of its own, so that
//! what it needs can be measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use common::{Instance, Served};
use control::{Client, SessionQuery, SessionTable};

/// A number of kB in `/proc/self/status`.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_million_sessions() {
    const SESSIONS: u64 = 1_000_000;
    let served = Served::new(Instance { sessions: SESSIONS, ..Instance::default() });
    let client = Client::new(served.socket()).unwrap();
    client.stats().unwrap();
    let before = memory("VmRSS:");

    // Clients that ask for everything and read nothing, besides.
    let stuck: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = served.connect();
            stream.write_all(b"GET /sessions HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    let (mut bytes, mut count) = (0, 0);
    let mut table = SessionTable::default();
    let listed = client.sessions(&SessionQuery::default(), |line| {
        bytes += line.len();
        // The table holds a bounded part of it too.
        if count % 10 == 0 {
            table.push(line)?;
        }
        count += 1;
        Ok(())
    });
    listed.unwrap();
    let took = start.elapsed();
    assert_eq!(count, SESSIONS);
    assert!(table.finish().ends_with("\n100,000 sessions\n"));
    let grown = memory("VmHWM:").saturating_sub(before) / 1024;
    println!("{SESSIONS} sessions, {} MB, in {took:.1?}; memory grew by {grown} MB", bytes / 1_000_000);
    assert!(grown < 64, "memory grew by {grown} MB for {} MB of sessions", bytes / 1_000_000);
    assert!(took < Duration::from_secs(300));
    drop(stuck);
}
