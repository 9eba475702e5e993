//! Which probe a packet goes to: keyed hashes of what pins it, and weighted rendezvous hashing over
//! the probes of a group.
//!
//! The choice needs no memory: it depends on the cluster key, the names and weights of the probes and
//! the key of the packet, and on nothing else. So it is the same after a restart and on a second box,
//! and a probe that leaves moves only its own packets. Only integers are used: every machine gives the
//! same answer. Nothing here reads a packet.
//!
//! ```
//! use balance::{Balancer, ClusterKey, Group, Member, Mode};
//! use types::{Key, Pair, ProbeId};
//!
//! let cluster = ClusterKey::new("change me");
//! let members = [0, 1, 2].map(|i| Member::new(&cluster, ProbeId(i), &format!("probe-{i}"), 1));
//! let balancer = Balancer::new(vec![Group::new(Mode::Session, members.to_vec())], 0);
//! let up = cluster.pin(&Key::Inner(Pair::v4(0x0a00_0001, 0x0808_0808)));
//! let down = cluster.pin(&Key::Inner(Pair::v4(0x0808_0808, 0x0a00_0001)));
//! assert_eq!(balancer.user(up, 0), balancer.user(down, 0));
//! assert_eq!(balancer.user(up, 0).len(), 1);
//! ```
#![forbid(unsafe_code)]

mod group;
mod hash;
mod log;

pub use group::{Balancer, Choice, Group, Member, Mode};
pub use hash::ClusterKey;
