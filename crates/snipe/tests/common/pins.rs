//! Where replay takes what is pinned by a subscriber, an address or a pair: a number that depends on
//! nothing that was seen before.

use std::net::IpAddr;

use balance::{Balancer, ClusterKey, Group, Member, Mode};
use types::{Digits, Imsi, Key, Pair, ProbeId, Teid, TunnelKey};

/// Probes `probe-1` and on of one weight, without a `cluster_key`.
pub struct Pins {
    cluster: ClusterKey,
    balancer: Balancer,
}

impl Pins {
    pub fn new(probes: usize) -> Self {
        let cluster = ClusterKey::new("");
        let member = |n: u8| Member::new(&cluster, ProbeId(n), &format!("probe-{}", n + 1), 1);
        let group = Group::new(Mode::Session, (0..probes as u8).map(member).collect());
        Self { balancer: Balancer::new(vec![group], 0), cluster }
    }

    fn probe(&self, pin: u64) -> usize {
        usize::from(self.balancer.session(pin).unwrap().first.0)
    }

    pub fn of_subscriber(&self, imsi: &str) -> usize {
        let imsi = Imsi(Digits::from_text(imsi.as_bytes()).unwrap());
        self.probe(self.cluster.pin_subscriber(imsi))
    }

    pub fn of_user(&self, address: IpAddr) -> usize {
        self.of_user_in(address, None)
    }

    /// The same where signalling tells the network that it is an address of.
    pub fn of_user_in(&self, address: IpAddr, network: Option<&str>) -> usize {
        self.probe(self.cluster.pin_ue(address, network))
    }

    pub fn of_tunnel(&self, receiver: IpAddr, teid: u32) -> usize {
        self.probe(self.cluster.pin(&Key::Tunnel(TunnelKey { receiver, teid: Teid(teid) })))
    }

    pub fn of_pair(&self, pair: [IpAddr; 2]) -> usize {
        let pair = match pair {
            [IpAddr::V4(a), IpAddr::V4(b)] => Pair::v4(a.to_bits(), b.to_bits()),
            [IpAddr::V6(a), IpAddr::V6(b)] => Pair::v6(a.to_bits(), b.to_bits()),
            _ => panic!("{pair:?}"),
        };
        self.probe(self.cluster.pin(&Key::Inner(pair)))
    }
}
