//! Tunnels whose packets contradict their session: how many in a row, and with which address.

use std::net::IpAddr;

use hashbrown::HashMap;
use session::TunnelId;

/// So many in a row with one address, and the tunnel may be another's.
const ENOUGH: u8 = 8;
/// Tunnels that are counted at a time. One more, and all are counted anew.
const TUNNELS_MAX: usize = 16_384;

#[derive(Clone, Copy, Debug)]
struct Stranger {
    address: IpAddr,
    in_a_row: u8,
    /// The tunnel's own packets at the last of them: more of them, and it is a row no longer.
    own: u64,
}

/// What is counted. Only packets that contradict come here: those that do not leave their mark in the
/// counter of their tunnel, which they touch anyway.
#[derive(Debug)]
pub(crate) struct Strangers(HashMap<TunnelId, Stranger>);

impl Strangers {
    pub(crate) fn new() -> Self {
        // Half full it never grows.
        Self(HashMap::with_capacity(2 * TUNNELS_MAX))
    }

    /// A packet with the address of another UE; `own` is how many the tunnel has had of its own. Returns
    /// whether that is enough now; then it is counted from the start again.
    pub(crate) fn came(&mut self, tunnel: TunnelId, address: IpAddr, own: u64) -> bool {
        if self.0.len() >= TUNNELS_MAX && !self.0.contains_key(&tunnel) {
            self.0.clear();
        }
        let stranger = self.0.entry(tunnel).or_insert(Stranger { address, in_a_row: 0, own });
        if (stranger.address, stranger.own) != (address, own) {
            *stranger = Stranger { address, in_a_row: 0, own };
        }
        stranger.in_a_row += 1;
        let enough = stranger.in_a_row >= ENOUGH;
        if enough {
            self.0.remove(&tunnel);
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNNEL: TunnelId = TunnelId(7);

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn eight_in_a_row_with_one_address() {
        let mut strangers = Strangers::new();
        for _ in 0..3 {
            for n in 1..=8 {
                assert_eq!(strangers.came(TUNNEL, address(1), 5), n == 8, "{n}");
            }
        }
    }

    #[test]
    fn a_row_is_broken_by_another_address_and_by_a_packet_of_its_own() {
        let mut strangers = Strangers::new();
        let mut seven = |address, own| {
            for _ in 0..7 {
                assert!(!strangers.came(TUNNEL, address, own));
            }
        };
        seven(address(1), 5);
        seven(address(2), 5);
        seven(address(2), 6);
        seven(address(1), 6);
        assert!(!strangers.came(TunnelId(8), address(1), 6), "each tunnel has its own row");
        assert!(strangers.came(TUNNEL, address(1), 6));
    }

    #[test]
    fn it_does_not_grow() {
        let mut strangers = Strangers::new();
        let capacity = strangers.0.capacity();
        for n in 0..3 * TUNNELS_MAX as u32 {
            assert!(!strangers.came(TunnelId(n), address(1), 0));
        }
        assert!(strangers.0.len() <= TUNNELS_MAX);
        assert_eq!(strangers.0.capacity(), capacity);
    }
}
