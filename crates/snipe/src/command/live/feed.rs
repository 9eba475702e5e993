//! `POST /identities`: whose UE addresses are, as an operator's feed says it. The entries are kept here, with
//! their ends; the tracker has a copy of what holds, and the folder of `[state]` another.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control::{Fed, FeedEntry, FeedError};
use pipeline::{FeedPage, Feeder, Tracker};
use session::Identity;
use types::{Apn, Digits, Imei, Imsi, Msisdn};

/// The tracker answers between two rounds of its core. If it has not after so long, it is stuck.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to sleep between two looks.
const PAUSE: Duration = Duration::from_micros(100);
/// Version of the encoding, in the first byte of a record.
const VERSION: u8 = 1;

/// An entry, and when it ends: nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    ue: IpAddr,
    network: Option<Apn>,
    identity: Identity,
    until_ns: u64,
}

/// What an entry takes the place of another by.
type Key = (IpAddr, String);

impl Kept {
    fn new(entry: &FeedEntry, now_ns: u64) -> Self {
        let ue = match entry.ue_ip {
            IpAddr::V4(_) => entry.ue_ip,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        };
        let ttl_ns = u64::try_from(entry.ttl.as_nanos()).unwrap_or(u64::MAX);
        let identity = Identity { imsi: entry.imsi, msisdn: entry.msisdn, imei: entry.imei };
        Self { ue, network: entry.network_instance, identity, until_ns: now_ns.saturating_add(ttl_ns) }
    }

    fn key(&self) -> Key {
        (self.ue, self.network.as_ref().map_or("", Apn::as_str).to_ascii_lowercase())
    }

    fn told(&self, holds: bool) -> pipeline::FeedEntry {
        let identity = holds.then_some(self.identity);
        pipeline::FeedEntry { ue: self.ue, network: self.network, identity }
    }

    /// As a record of the folder of `[state]`. Integers are little-endian.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.until_ns.to_le_bytes());
        let word = |digits: Option<Digits>| digits.unwrap_or(Digits::NONE).bits().to_le_bytes();
        bytes.extend(word(self.identity.imsi.map(|imsi| imsi.0)));
        bytes.extend(word(self.identity.msisdn.map(|msisdn| msisdn.0)));
        bytes.extend(word(self.identity.imei.map(|imei| imei.0)));
        match self.ue {
            IpAddr::V4(v4) => {
                bytes.push(4);
                bytes.extend(v4.octets());
            }
            IpAddr::V6(v6) => {
                bytes.push(6);
                bytes.extend(v6.octets());
            }
        }
        bytes.extend(self.network.as_ref().map_or("", Apn::as_str).as_bytes());
        bytes
    }

    /// `None` where it is none, or of a version that is not known.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (words, rest) = rest.split_first_chunk::<24>()?;
        let digits = |place: usize| -> Option<Digits> {
            let word = words.get(place * 8..)?.first_chunk::<8>()?;
            Some(Digits::from_bits(u64::from_le_bytes(*word))).filter(|digits| !digits.is_empty())
        };
        let identity =
            Identity { imsi: digits(0).map(Imsi), msisdn: digits(1).map(Msisdn), imei: digits(2).map(Imei) };
        let (&family, rest) = rest.split_first()?;
        let (ue, name) = match family {
            4 => rest.split_first_chunk::<4>().map(|(octets, rest)| (IpAddr::from(*octets), rest))?,
            6 => rest.split_first_chunk::<16>().map(|(octets, rest)| (IpAddr::from(*octets), rest))?,
            _ => return None,
        };
        let network = if name.is_empty() { None } else { Some(Apn::from_text(name)?) };
        Some(Self { ue, network, identity, until_ns: u64::from_le_bytes(*until) })
    }
}

/// A change that is to be kept: the number of an entry, and its record; empty where it has ended.
pub(super) type Change = (u32, Vec<u8>);

/// All entries that hold.
pub(super) struct Feed(Mutex<Ledger>);

struct Ledger {
    feeder: Option<Feeder>,
    tickets: u64,
    numbers: HashMap<Key, u32>,
    entries: HashMap<u32, Kept>,
    ends: BTreeSet<(u64, u32)>,
    /// Numbers below it that are free, and the first that was never used.
    free: Vec<u32>,
    next: u32,
    entries_max: usize,
    journal: Option<Sender<Change>>,
}

pub(super) fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Feed {
    /// `kept` are those of an earlier run by number; what of them still holds is told to the tracker at once.
    pub(super) fn new(
        entries_max: u32,
        feeder: Option<Feeder>,
        journal: Option<Sender<Change>>,
        mut kept: Vec<(u32, Kept)>,
        mut tracker: Option<&mut Tracker>,
    ) -> Self {
        let mut ledger = Ledger {
            feeder,
            tickets: 0,
            numbers: HashMap::new(),
            entries: HashMap::new(),
            ends: BTreeSet::new(),
            free: Vec::new(),
            next: 0,
            entries_max: entries_max as usize,
            journal,
        };
        let now_ns = now_ns();
        kept.sort_by_key(|(number, _)| *number);
        for (number, entry) in kept {
            ledger.free.extend(ledger.next..number);
            ledger.next = number + 1;
            if entry.until_ns <= now_ns || ledger.numbers.contains_key(&entry.key()) {
                ledger.forget(number);
                continue;
            }
            if let Some(tracker) = &mut tracker {
                tracker.feed(&entry.told(true));
            }
            ledger.enter(number, entry);
        }
        Self(Mutex::new(ledger))
    }

    /// Takes over entries, and waits until the tracker has them.
    pub(super) fn identify(&self, entries: &[FeedEntry]) -> Result<Fed, FeedError> {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fed = Fed::default();
        for part in entries.chunks(FeedPage::ENTRIES_MAX) {
            let now_ns = now_ns();
            let taken: Vec<_> = part.iter().map_while(|entry| ledger.put(Kept::new(entry, now_ns))).collect();
            let count = taken.len();
            // What the tracker may have is here with its end, whether it answers or not.
            let Some(sessions) = ledger.tell(taken) else { return Err(FeedError::Busy(fed)) };
            fed.accepted += count;
            fed.sessions += sessions;
            if count < part.len() {
                return Err(FeedError::Full(fed));
            }
        }
        Ok(fed)
    }

    /// Takes back what has ended. Does not wait.
    pub(super) fn expire(&self) {
        let Ok(mut ledger) = self.0.try_lock() else { return };
        let now_ns = now_ns();
        if ledger.ends.first().is_none_or(|(until_ns, _)| *until_ns > now_ns) {
            return;
        }
        let over = ledger.ends.range(..=(now_ns, u32::MAX)).take(FeedPage::ENTRIES_MAX);
        let over: Vec<u32> = over.map(|(_, number)| *number).collect();
        let entries =
            over.iter().filter_map(|number| ledger.entries.get(number)).map(|kept| kept.told(false));
        let page = Box::new(FeedPage { entries: entries.collect(), ..FeedPage::default() });
        let Some(feeder) = &mut ledger.feeder else { return };
        while feeder.taken().is_some() {}
        // Where too many wait, it is taken back a little later.
        if feeder.tell(page).is_ok() {
            over.into_iter().for_each(|number| ledger.forget(number));
        }
    }

    /// The records of all entries.
    pub(super) fn all(&self) -> Vec<Change> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.entries.iter().map(|(number, kept)| (*number, kept.encode())).collect()
    }
}

impl Ledger {
    /// Keeps an entry in the place of the one before. `None` where there is no room.
    fn put(&mut self, entry: Kept) -> Option<pipeline::FeedEntry> {
        let told = entry.told(true);
        let known = self.numbers.get(&entry.key()).copied();
        if known.is_none() && self.entries.len() >= self.entries_max {
            return None;
        }
        let number = known.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        if let Some(before) = self.entries.get(&number) {
            self.ends.remove(&(before.until_ns, number));
        }
        self.keep(number, entry.encode());
        self.enter(number, entry);
        Some(told)
    }

    fn enter(&mut self, number: u32, entry: Kept) {
        self.ends.insert((entry.until_ns, number));
        self.numbers.insert(entry.key(), number);
        self.entries.insert(number, entry);
    }

    fn forget(&mut self, number: u32) {
        if let Some(entry) = self.entries.remove(&number) {
            self.ends.remove(&(entry.until_ns, number));
            self.numbers.remove(&entry.key());
        }
        self.free.push(number);
        self.keep(number, Vec::new());
    }

    fn keep(&self, number: u32, record: Vec<u8>) {
        if let Some(journal) = &self.journal {
            // Refused at the end of the run alone.
            let _ = journal.send((number, record));
        }
    }

    /// Tells the tracker, and waits for its answer: how many sessions got something.
    fn tell(&mut self, entries: Vec<pipeline::FeedEntry>) -> Option<u64> {
        if entries.is_empty() {
            return Some(0);
        }
        self.tickets += 1;
        let ticket = self.tickets;
        let feeder = self.feeder.as_mut()?;
        while feeder.taken().is_some() {}
        feeder.tell(Box::new(FeedPage { ticket, entries, sessions: 0 })).ok()?;
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            match feeder.taken() {
                Some(page) if page.ticket == ticket => return Some(page.sessions),
                // What was taken back, or comes too late.
                Some(_) => {}
                None => thread::sleep(PAUSE),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u8, network: Option<&str>, ttl: Duration) -> FeedEntry {
        FeedEntry {
            ue_ip: [10, 0, 0, n].into(),
            network_instance: network.and_then(|name| Apn::from_text(name.as_bytes())),
            imsi: Digits::from_text(format!("0010100000000{n:02}").as_bytes()).map(Imsi),
            msisdn: None,
            imei: None,
            ttl,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for network in [None, Some("internet")] {
            let kept = Kept::new(&entry(1, network, Duration::from_secs(9)), 7);
            let bytes = kept.encode();
            assert_eq!(Kept::decode(&bytes), Some(kept));
            let least = bytes.len() - network.map_or(0, str::len);
            for end in 0..least {
                assert_eq!(Kept::decode(&bytes[..end]), None);
            }
            let other = [&[VERSION + 1], &bytes[1..]].concat();
            assert_eq!(Kept::decode(&other), None, "of another version");
        }
    }

    #[test]
    fn an_entry_takes_the_place_of_its_kind_and_a_full_table_takes_none() {
        let (journal, changes) = std::sync::mpsc::channel();
        let feed = Feed::new(2, None, Some(journal), Vec::new(), None);
        let mut ledger = feed.0.lock().unwrap();
        let hour = Duration::from_secs(3_600);
        let mut put = |entry: &FeedEntry| ledger.put(Kept::new(entry, now_ns())).is_some();
        assert!(put(&entry(1, None, hour)) && put(&entry(1, Some("IMS"), hour)));
        assert!(put(&entry(1, Some("ims"), hour)), "in the place of the second");
        assert!(!put(&entry(2, None, hour)));
        let numbers: Vec<_> = changes.try_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [0, 1, 1]);
        ledger.forget(0);
        assert_eq!(changes.try_iter().collect::<Vec<_>>(), [(0, Vec::new())]);
        assert!(ledger.put(Kept::new(&entry(2, None, hour), now_ns())).is_some());
        drop(ledger);
        let kept: Vec<_> =
            feed.all().into_iter().map(|(n, bytes)| (n, Kept::decode(&bytes).unwrap())).collect();
        assert_eq!(kept.len(), 2);
        // Another run: what has ended is not there, and its number is free.
        let mut kept = kept;
        kept.iter_mut().filter(|(n, _)| *n == 0).for_each(|(_, kept)| kept.until_ns = 1);
        let next = Feed::new(2, None, None, kept, None);
        assert_eq!(next.all().len(), 1);
        assert_eq!(next.0.lock().unwrap().free, [0]);
    }
}
