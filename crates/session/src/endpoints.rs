//! Tunnel endpoints, 20 bytes each: those of the user plane, which are the tunnels, and those of the
//! control plane.

use types::{Interface, Toward};

use crate::arena::{Arena, Slot};
use crate::index::{HashKey, Index};

/// The interface of an endpoint in six bits, with the direction where the interface does not tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(u8);

impl Code {
    /// Of a tunnel whose control plane was never seen.
    pub(crate) const UNKNOWN: Self = Self(60);
    const UNKNOWN_UP: u8 = 61;
    const UNKNOWN_DOWN: u8 = 62;
    const N9_UP: u8 = 58;
    const N9_DOWN: u8 = 59;
    /// 128 becomes 40.
    const SHIFT: u8 = 88;

    pub(crate) const fn new(interface: Interface, toward: Option<Toward>) -> Self {
        match (interface, toward) {
            (Interface::N9_UPF, Some(Toward::Uplink)) => Self(Self::N9_UP),
            (Interface::N9_UPF, Some(Toward::Downlink)) => Self(Self::N9_DOWN),
            (Interface(number @ 0..=39), _) => Self(number),
            (Interface(number @ 128..=145), _) => Self(number - Self::SHIFT),
            _ => Self::unknown(toward),
        }
    }

    pub(crate) const fn unknown(toward: Option<Toward>) -> Self {
        match toward {
            None => Self::UNKNOWN,
            Some(Toward::Uplink) => Self(Self::UNKNOWN_UP),
            Some(Toward::Downlink) => Self(Self::UNKNOWN_DOWN),
        }
    }

    pub(crate) const fn interface(self) -> Option<Interface> {
        match self.0 {
            number @ 0..=39 => Some(Interface(number)),
            Self::N9_UP | Self::N9_DOWN => Some(Interface::N9_UPF),
            number @ 40..=57 => Some(Interface(number + Self::SHIFT)),
            _ => None,
        }
    }

    pub(crate) const fn toward(self) -> Option<Toward> {
        match self.0 {
            Self::N9_UP | Self::UNKNOWN_UP => Some(Toward::Uplink),
            Self::N9_DOWN | Self::UNKNOWN_DOWN => Some(Toward::Downlink),
            _ => match self.interface() {
                Some(interface) => interface.toward(),
                None => None,
            },
        }
    }

    /// The [`Self::rank`] of a name of GTP-C.
    const TOLD: u8 = 3;

    /// Whether both can be names of one endpoint at the same time: not two different ones of GTP-C.
    pub(crate) const fn may_be(self, other: Self) -> bool {
        self.0 == other.0 || self.rank() < Self::TOLD || other.rank() < Self::TOLD
    }

    /// Which of two names for one endpoint is kept: one of GTP-C before one of PFCP, N9 before N3
    /// (the N9 end of a UPF looks like N3 from its own session), any before none.
    pub(crate) const fn rank(self) -> u8 {
        match self.interface() {
            None => 0,
            Some(Interface::N3_GNB | Interface::N3_UPF) => 1,
            Some(Interface::N9_UPF) => 2,
            Some(_) => Self::TOLD,
        }
    }
}

/// One endpoint. Its address is the number of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    pub(crate) session: u32,
    pub(crate) teid: u32,
    /// Next of the session; free list.
    pub(crate) next: u32,
    /// Next in the index.
    pub(crate) chain: u32,
    /// Node 17 bits, interface 6, EBI 4, flags 5.
    word: u32,
}

const _: () = assert!(size_of::<Endpoint>() == 20);

/// How many addresses of nodes there can be: what the word has bits for.
pub(crate) const NODES_MAX: u32 = (1 << 17) - 1;

impl Endpoint {
    /// It is in the index: packets to it belong to its session.
    pub(crate) const LIVE: u32 = 1 << 27;
    /// GTP-C told of it.
    pub(crate) const GTP: u32 = 1 << 28;
    /// It belongs to an SGW or SGSN that the UE has left; a Delete Session Request there ends it.
    pub(crate) const LEAVING: u32 = 1 << 29;
    /// Replaced or removed; it stays a moment longer, for packets that are on their way.
    pub(crate) const RETIRING: u32 = 1 << 30;

    pub(crate) fn new(session: u32, node: u32, teid: u32, code: Code, ebi: u8, flags: u32) -> Self {
        let word = node | u32::from(code.0) << 17 | u32::from(ebi & 15) << 23 | flags;
        Self { session, teid, next: 0, chain: 0, word }
    }

    /// One that was saved: it is in no index yet.
    pub(crate) fn restored(session: u32, node: u32, teid: u32, word: u32) -> Self {
        let word = word & !(NODES_MAX | Self::LIVE) | node;
        Self { session, teid, next: 0, chain: 0, word }
    }

    /// All that is packed, but for the node, whose number means something in one run only.
    pub(crate) const fn word_without_node(&self) -> u32 {
        self.word & !NODES_MAX
    }

    /// Whether it was live when this was its word.
    pub(crate) const fn is_live(word: u32) -> bool {
        word & Self::LIVE != 0
    }

    pub(crate) const fn node(&self) -> u32 {
        self.word & NODES_MAX
    }

    pub(crate) const fn code(&self) -> Code {
        Code((self.word >> 17 & 63) as u8)
    }

    pub(crate) fn set_code(&mut self, code: Code) {
        self.word = self.word & !(63 << 17) | u32::from(code.0) << 17;
    }

    pub(crate) const fn ebi(&self) -> u8 {
        (self.word >> 23 & 15) as u8
    }

    pub(crate) fn set_ebi(&mut self, ebi: u8) {
        self.word = self.word & !(15 << 23) | u32::from(ebi & 15) << 23;
    }

    pub(crate) const fn has(&self, flags: u32) -> bool {
        self.word & flags == flags
    }

    pub(crate) fn set(&mut self, flags: u32) {
        self.word |= flags;
    }

    pub(crate) fn unset(&mut self, flags: u32) {
        self.word &= !flags;
    }

    pub(crate) const fn is(&self, node: u32, teid: u32) -> bool {
        self.node() == node && self.teid == teid
    }

    pub(crate) const fn interface(&self) -> Option<Interface> {
        self.code().interface()
    }
}

impl Slot for Endpoint {
    const EMPTY: Self = Self { session: 0, teid: 0, next: 0, chain: 0, word: 0 };
    fn link(&self) -> u32 {
        self.next
    }
    fn set_link(&mut self, next: u32) {
        self.next = next;
    }
    fn epoch(&self) -> u64 {
        u64::from(self.session) << 32 | u64::from(self.teid)
    }
    fn set_epoch(&mut self, epoch: u64) {
        self.session = (epoch >> 32) as u32;
        self.teid = epoch as u32;
    }
    fn session(&self, _slot: u32) -> u32 {
        self.session
    }
}

/// All endpoints of one plane, and the live ones by address and TEID.
pub(crate) struct Endpoints {
    pub(crate) arena: Arena<Endpoint>,
    index: Index,
    key: HashKey,
}

impl Endpoints {
    pub(crate) fn new(endpoints_max: u32, key: HashKey) -> Self {
        Self { arena: Arena::new(endpoints_max), index: Index::new(endpoints_max), key }
    }

    /// Asks for huge pages.
    pub(crate) fn prefer_huge(&mut self) {
        self.arena.prefer_huge();
        self.index.prefer_huge();
    }

    fn hash(&self, node: u32, teid: u32) -> u64 {
        self.key.word(u64::from(node) << 32 | u64::from(teid))
    }

    fn hash_of(key: HashKey) -> impl Fn(&Endpoint) -> u64 {
        move |endpoint| key.word(u64::from(endpoint.node()) << 32 | u64::from(endpoint.teid))
    }

    #[inline(always)]
    pub(crate) fn at(&self, slot: u32) -> &Endpoint {
        self.arena.at(slot)
    }

    #[inline(always)]
    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Endpoint {
        self.arena.at_mut(slot)
    }

    /// Asks for the head of the chain of a key.
    #[inline(always)]
    pub(crate) fn prefetch_head(&self, node: u32, teid: u32) {
        self.index.prefetch(self.hash(node, teid));
    }

    /// The first record of that chain, which may be another one, or 0; asks for it.
    #[inline(always)]
    pub(crate) fn prefetch_first(&self, node: u32, teid: u32) -> u32 {
        let slot = self.index.first(self.hash(node, teid));
        self.arena.prefetch(slot);
        slot
    }

    /// The first live endpoint with this key, or 0. Node 0 has none.
    #[inline]
    pub(crate) fn find(&self, node: u32, teid: u32) -> u32 {
        if node == 0 { 0 } else { self.matching(self.index.first(self.hash(node, teid)), node, teid) }
    }

    /// The next one with the same key.
    #[inline]
    pub(crate) fn find_next(&self, slot: u32) -> u32 {
        let Endpoint { teid, chain, .. } = *self.at(slot);
        self.matching(chain, self.at(slot).node(), teid)
    }

    fn matching(&self, mut slot: u32, node: u32, teid: u32) -> u32 {
        while slot != 0 && !self.at(slot).is(node, teid) {
            slot = self.at(slot).chain;
        }
        slot
    }

    /// Puts an endpoint into the index.
    pub(crate) fn enliven(&mut self, slot: u32) {
        let endpoint = *self.at(slot);
        if endpoint.has(Endpoint::LIVE) || slot == 0 {
            return;
        }
        let hash = Self::hash_of(self.key);
        self.index.put(slot, &mut self.arena, |endpoint| &mut endpoint.chain, hash);
        self.at_mut(slot).set(Endpoint::LIVE);
    }

    /// Takes it out; it is a past one of its session from now on.
    pub(crate) fn bury(&mut self, slot: u32) {
        let endpoint = *self.at(slot);
        if !endpoint.has(Endpoint::LIVE) {
            return;
        }
        let hash = Self::hash_of(self.key);
        self.index.remove(slot, &mut self.arena, |endpoint| &mut endpoint.chain, hash);
        self.at_mut(slot).unset(Endpoint::LIVE | Endpoint::LEAVING | Endpoint::RETIRING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_has_a_code() {
        for &interface in Interface::ALL {
            let code = Code::new(interface, None);
            assert_eq!(code.interface(), Some(interface));
            assert_eq!(code.toward(), interface.toward());
        }
        for toward in [Toward::Uplink, Toward::Downlink] {
            assert_eq!(Code::new(Interface::N9_UPF, Some(toward)).toward(), Some(toward));
            assert_eq!(Code::new(Interface::N9_UPF, Some(toward)).interface(), Some(Interface::N9_UPF));
            assert_eq!(Code::unknown(Some(toward)).toward(), Some(toward));
            assert_eq!(Code::unknown(Some(toward)).interface(), None);
        }
        assert_eq!(Code::new(Interface(99), None), Code::UNKNOWN);
        assert_eq!(Code::new(Interface(200), None), Code::UNKNOWN);
    }

    #[test]
    fn the_word_keeps_its_parts_apart() {
        let code = Code::new(Interface::N4_UPF, None);
        let mut endpoint = Endpoint::new(3, NODES_MAX, 9, code, 15, Endpoint::GTP);
        assert_eq!((endpoint.node(), endpoint.code(), endpoint.ebi()), (NODES_MAX, code, 15));
        endpoint.set_code(Code::UNKNOWN);
        endpoint.set_ebi(5);
        endpoint.set(Endpoint::RETIRING);
        assert_eq!((endpoint.node(), endpoint.code(), endpoint.ebi()), (NODES_MAX, Code::UNKNOWN, 5));
        assert!(endpoint.has(Endpoint::GTP | Endpoint::RETIRING));
        assert!(!endpoint.has(Endpoint::LIVE));
    }

    #[test]
    fn live_ones_are_found_and_past_ones_not() {
        let mut endpoints = Endpoints::new(4, HashKey::new(1));
        let mut make = |session| {
            let endpoint = Endpoint::new(session, 1, 7, Code::UNKNOWN, 0, 0);
            let slot = endpoints.arena.take(0, endpoint).unwrap();
            endpoints.enliven(slot);
            slot
        };
        let (one, two) = (make(1), make(2));
        assert_eq!(endpoints.find(1, 7), two);
        assert_eq!(endpoints.find_next(two), one);
        assert_eq!(endpoints.find_next(one), 0);
        endpoints.bury(two);
        assert_eq!(endpoints.find(1, 7), one);
        assert_eq!(endpoints.find(1, 8), 0);
        assert_eq!(endpoints.find(0, 7), 0);
    }
}
