//! An operator's feed: whose UE addresses are. Another thread tells it, a page at a time; the tracker keeps
//! it for sessions that come later. How long an entry holds is that thread's affair: it takes it back.

use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{IpAddr, Ipv6Addr};

use cpu::{Consumer, Producer};
use hashbrown::{DefaultHashBuilder, HashMap};
use session::Identity;
use types::Apn;

/// An entry of the feed, or the end of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// The UE's address; of IPv6 its prefix of 64 bits counts.
    pub ue: IpAddr,
    /// The network instance or APN that it is an address of; `None`: any.
    pub network: Option<Apn>,
    /// Whose it is; `None`: it is not told any more.
    pub identity: Option<Identity>,
}

/// Some entries on their way to the tracker, and back.
#[derive(Debug, Default)]
pub struct FeedPage {
    /// Of whoever tells: an answer that comes too late is told by it.
    pub ticket: u64,
    /// The entries; [`FeedPage::ENTRIES_MAX`] at most, so that packets do not wait for them.
    pub entries: Vec<FeedEntry>,
    /// How many sessions have got something of them.
    pub sessions: u64,
}

impl FeedPage {
    /// Entries of a page.
    pub const ENTRIES_MAX: usize = 64;
}

/// The side that tells.
#[derive(Debug)]
pub struct Feeder {
    pages: Producer<Box<FeedPage>>,
    taken: Consumer<Box<FeedPage>>,
}

/// Pages that wait at a time.
const WAITING_MAX: usize = 16;

impl Feeder {
    /// Tells a page.
    ///
    /// # Errors
    /// The page itself, where too many wait.
    pub fn tell(&mut self, page: Box<FeedPage>) -> Result<(), Box<FeedPage>> {
        self.pages.push(page)
    }

    /// A page that was taken over, where there is one: in the order in which they were told.
    pub fn taken(&mut self) -> Option<Box<FeedPage>> {
        self.taken.pop()
    }
}

/// The side that is told, and keeps it.
pub(crate) struct Feed {
    pages: Consumer<Box<FeedPage>>,
    taken: Producer<Box<FeedPage>>,
    /// By the address, and a hash of the network's name: 0 where it does not matter.
    entries: HashMap<(IpAddr, u64), Identity>,
    entries_max: usize,
    /// Keys the hashes; it shows nowhere.
    names: DefaultHashBuilder,
}

pub(crate) fn feed(entries_max: usize) -> (Feeder, Feed) {
    let (pages_in, pages) = cpu::ring(WAITING_MAX);
    let (taken_in, taken) = cpu::ring(WAITING_MAX);
    // It is as large as it gets from the start: memory is taken as it is used.
    let entries = HashMap::with_capacity(entries_max);
    let names = DefaultHashBuilder::default();
    (Feeder { pages: pages_in, taken }, Feed { pages, taken: taken_in, entries, entries_max, names })
}

impl Feed {
    /// A page that waits, if what comes of it finds room.
    #[inline]
    pub(crate) fn next_page(&mut self) -> Option<Box<FeedPage>> {
        if self.pages.available(1) == 0 || self.taken.room(1) == 0 {
            return None;
        }
        self.pages.pop()
    }

    pub(crate) fn give_back(&mut self, page: Box<FeedPage>) {
        // There was room, and only we fill it.
        let _ = self.taken.push(page);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps an entry in the place of the one before, or forgets it.
    pub(crate) fn put(&mut self, entry: &FeedEntry) {
        let key = (prefix(entry.ue), self.name_of(entry.network.as_ref()));
        match entry.identity {
            None => {
                self.entries.remove(&key);
            }
            Some(identity) => {
                if self.entries.len() < self.entries_max || self.entries.contains_key(&key) {
                    self.entries.insert(key, identity);
                }
            }
        }
    }

    /// What is told of an address in one of these networks; what is told of one of them counts more than
    /// what is told of any.
    pub(crate) fn find(&self, ue: IpAddr, networks: &[Option<Apn>]) -> Option<&Identity> {
        let named = networks.iter().flatten().map(|network| self.name_of(Some(network)));
        named.chain([0]).find_map(|name| self.entries.get(&(prefix(ue), name)))
    }

    /// Names of networks are compared as those of DNS: whatever their case. TS 23.003 9.1.
    fn name_of(&self, network: Option<&Apn>) -> u64 {
        let Some(network) = network else { return 0 };
        let mut hasher = self.names.build_hasher();
        network.as_str().bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
        hasher.finish().max(1)
    }
}

/// What of an address counts.
fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}
