//! An instance made up, and a client that knows no more HTTP than it must.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control::{
    Backend, Busy, Cursor, Events, Fed, FeedEntry, FeedError, Identities, Limits, Page, Server,
    ServerSettings, Stats, serve,
};
use session::{FTeidRecord, Filter, Record};
use tempfile::TempDir;
use types::{Apn, Digits, Imsi, ProbeId, Rat};

/// Sessions in a slice.
pub const SLICE: u64 = 300;

/// So many sessions, made when they are asked for.
pub struct Instance {
    pub sessions: u64,
    pub identities: Identities,
    pub events: Events,
    /// What it was asked.
    pub filters: Mutex<Vec<Filter>>,
    /// From this slice on it is busy.
    pub busy_from: Option<u64>,
    /// How often it was asked while busy.
    pub refusals: AtomicUsize,
    /// How long it takes.
    pub pause: Duration,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            sessions: 1_000,
            identities: Identities::Clear,
            events: Events::new(&Identities::Clear),
            filters: Mutex::default(),
            busy_from: None,
            refusals: AtomicUsize::new(0),
            pause: Duration::ZERO,
        }
    }
}

/// A session like those of a network: two bearers' worth of endpoints.
pub fn record(n: u64) -> Record {
    let endpoint = |interface, teid| FTeidRecord {
        interface: Some(interface),
        ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        teid,
        packets: n,
        bytes: n * 850,
    };
    Record {
        correlation_id: n,
        imsi: Digits::from_text(format!("{:015}", 1_010_000_000_000 + n).as_bytes()).map(Imsi),
        apn: Apn::from_text(b"internet"),
        rat: Some(Rat(6)),
        ue_ipv4: Some(Ipv4Addr::from(0x0a00_0000 + n as u32)),
        known: true,
        probe: Some(ProbeId((n % 2) as u8)),
        fteids: vec![endpoint("S1-U SGW GTP-U", 4 * n + 1), endpoint("S1-U eNodeB GTP-U", 4 * n + 2)],
        packets_ul: n,
        bytes_ul: n * 850,
        created_ns: 1_700_000_000_000_000_000 + n * 1_000_000,
        ..Record::default()
    }
}

impl Instance {
    pub fn account(&self) -> Stats {
        let mut stats = Stats::new("0.1.0");
        stats.sessions.created = self.sessions;
        stats.sessions.active = self.sessions;
        stats
    }
}

impl Backend for Instance {
    fn stats(&self) -> Stats {
        assert!(self.sessions != u64::MAX, "an instance that fails");
        std::thread::sleep(self.pause);
        self.account()
    }

    fn sessions(&self, filter: &Filter, from: Cursor) -> Result<Page, Busy> {
        std::thread::sleep(self.pause);
        self.filters.lock().unwrap().push(*filter);
        if self.busy_from.is_some_and(|slice| from.0 >= slice * SLICE) {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(Busy);
        }
        let end = (from.0 + SLICE).min(self.sessions);
        let wanted = |record: &Record| filter.imsi.is_none_or(|imsi| record.imsi == Some(imsi));
        let records = (from.0..end).map(record).filter(wanted).collect();
        Ok(Page { records, next: (end < self.sessions).then_some(Cursor(end)) })
    }

    fn probe_name(&self, probe: ProbeId) -> Option<&str> {
        ["probe-1", "probe-2"].get(usize::from(probe.0)).copied()
    }

    fn identities(&self) -> &Identities {
        &self.identities
    }

    fn events(&self) -> &Events {
        &self.events
    }

    fn identify(&self, entries: Vec<FeedEntry>) -> Result<Fed, FeedError> {
        let fed = Fed { accepted: entries.len().min(1_500), sessions: 1 };
        if entries.len() > 1_500 { Err(FeedError::Full(fed)) } else { Ok(fed) }
    }
}

/// A server in a folder of its own.
pub struct Served {
    pub server: Server,
    pub instance: Arc<Instance>,
    pub folder: TempDir,
}

pub fn settings(socket: PathBuf) -> ServerSettings {
    ServerSettings { socket, group: None, tcp: None, limits: Limits::default() }
}

impl Served {
    pub fn new(instance: Instance) -> Self {
        Self::with(instance, Limits::default())
    }

    pub fn with(instance: Instance, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let instance = Arc::new(instance);
        let backend = Arc::clone(&instance) as Arc<dyn Backend>;
        let settings = ServerSettings { limits, ..settings(folder.path().join("snipe.sock")) };
        Self { server: serve(&settings, backend).unwrap(), instance, folder }
    }

    pub fn socket(&self) -> &Path {
        self.server.socket()
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends bytes, and reads until the other side closes.
    pub fn say(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // Refused where the answer does not wait for all of it.
        let _ = stream.write_all(bytes);
        Answer::read(stream)
    }

    /// With HTTP/1.0 the answer comes in one piece.
    pub fn get(&self, path: &str) -> Answer {
        self.say(format!("GET {path} HTTP/1.0\r\nhost: snipe\r\n\r\n").as_bytes())
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        // Bytes of ours that were not read become an error at the end.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).map_or(0, |status| status.parse().unwrap());
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of an error in its form.
    #[track_caller]
    pub fn error(&self) -> String {
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        let json = self.json();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), 1, "{self:?}");
        object["error"].as_str().unwrap().to_owned()
    }
}
