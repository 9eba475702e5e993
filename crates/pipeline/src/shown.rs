//! Addresses that are known to be a UE's, while no session has them: packets in tunnels of others have shown
//! them.

use std::collections::VecDeque;
use std::net::IpAddr;

use hashbrown::HashMap;

/// So many at a time; what finds no room goes on by its pairs.
pub(crate) const SHOWN_MAX: usize = 16_384;
/// How long each is remembered after it was shown last.
const SHOWN_NS: u64 = 300_000_000_000;

/// When each was shown last.
#[derive(Debug)]
pub(crate) struct Shown {
    last_ns: HashMap<IpAddr, u64>,
    /// The same addresses, in the order in which they are looked at.
    turns: VecDeque<IpAddr>,
}

impl Shown {
    pub(crate) fn new() -> Self {
        // Half full the map never grows.
        Self { last_ns: HashMap::with_capacity(2 * SHOWN_MAX), turns: VecDeque::with_capacity(SHOWN_MAX) }
    }

    /// An address was shown. Returns whether it is remembered.
    pub(crate) fn put(&mut self, address: IpAddr, time_ns: u64) -> bool {
        if let Some(last_ns) = self.last_ns.get_mut(&address) {
            *last_ns = time_ns.max(*last_ns);
            return true;
        }
        if self.turns.len() >= SHOWN_MAX {
            return false;
        }
        self.last_ns.insert(address, time_ns);
        self.turns.push_back(address);
        true
    }

    /// Looks at one of them, and forgets it where its time is over or (`is_alone`) a session has it. Returns
    /// it where no session does.
    pub(crate) fn over(&mut self, now_ns: u64, is_alone: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let address = self.turns.pop_front()?;
        let last_ns = self.last_ns.get(&address).copied().unwrap_or_default();
        let is_alone = is_alone(address);
        if is_alone && last_ns.saturating_add(SHOWN_NS) > now_ns {
            self.turns.push_back(address);
            return None;
        }
        self.last_ns.remove(&address);
        is_alone.then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn each_is_remembered_for_its_time() {
        let alone = |_: IpAddr| true;
        let mut shown = Shown::new();
        assert!(shown.put(address(1), 5) && shown.put(address(2), 6) && shown.put(address(1), 7));
        assert_eq!(shown.over(SHOWN_NS + 5, alone), None, "1 was shown again");
        assert_eq!(shown.over(SHOWN_NS + 6, alone), Some(address(2)));
        assert_eq!(shown.over(SHOWN_NS + 6, alone), None);
        assert_eq!(shown.over(SHOWN_NS + 7, alone), Some(address(1)));
        assert_eq!(shown.over(u64::MAX, alone), None);
    }

    #[test]
    fn what_a_session_has_is_forgotten() {
        let mut shown = Shown::new();
        assert!(shown.put(address(1), 5));
        assert_eq!(shown.over(6, |_| false), None);
        assert_eq!((shown.last_ns.len(), shown.turns.len()), (0, 0));
    }

    #[test]
    fn it_does_not_grow() {
        let mut shown = Shown::new();
        let capacity = (shown.last_ns.capacity(), shown.turns.capacity());
        for n in 0..3 * SHOWN_MAX {
            assert_eq!(shown.put(address(n as u32), 0), n < SHOWN_MAX);
        }
        assert!(shown.put(address(3), 1), "what is there stays");
        assert_eq!((shown.last_ns.capacity(), shown.turns.capacity()), capacity);
        for _ in 0..SHOWN_MAX {
            assert!(shown.over(2 * SHOWN_NS, |_| true).is_some());
        }
        assert!(shown.put(address(u32::MAX), 0));
    }
}
