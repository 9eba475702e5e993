//! What goes in and out of [`crate::Sessions`] besides events.

use std::net::IpAddr;

use cpu::Pages;
use types::{Apn, Imsi, Plmn, Signalling, Toward, TunnelKey, UeAddress};

/// A session: a number from 1 to `sessions_max`. It is given out again after [`crate::Sessions::free`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// A user-plane tunnel: a number from 1 to `tunnels_max`. A tunnel keeps it when its session is merged
/// into another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId(pub u32);

/// How much is kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions, ended ones that were not freed included.
    pub sessions_max: u32,
    /// User-plane tunnels, past ones included.
    pub tunnels_max: u32,
    /// Requests that wait for their answer, and answered ones for 30 s: 32 bytes each, and 1.3 KB
    /// more while it waits.
    pub transactions_max: u32,
    /// A session without a packet for so long has ended.
    pub idle_secs: u32,
    /// The same for a session whose control plane was never seen.
    pub unknown_idle_secs: u32,
    /// Networks that are home besides the serving one.
    pub home_plmns: Vec<Plmn>,
    /// What the tables lie on. Either way they take memory as they are used.
    pub pages: Pages,
    /// Whether a [`View`] tells of another session of its subscriber.
    pub tells_kin: bool,
}

impl Default for Limits {
    /// The defaults of the configuration.
    fn default() -> Self {
        Self {
            sessions_max: 1_000_000,
            tunnels_max: 4_000_000,
            transactions_max: 65_536,
            idle_secs: 86_400,
            unknown_idle_secs: 300,
            home_plmns: Vec::new(),
            pages: Pages::Small,
            tells_kin: false,
        }
    }
}

/// What a session is pinned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    /// The subscriber.
    Imsi(Imsi),
    /// An address of the UE: IPv4, else the prefix of IPv6.
    Ue {
        /// The address.
        address: IpAddr,
        /// The network instance or APN that it is an address of, where that is known.
        network: Option<Apn>,
    },
    /// Nothing is known of the subscriber.
    None,
}

/// A session as far as a verdict on its packets depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Which it is.
    pub session: SessionId,
    /// What it is pinned by.
    pub pin: Pin,
    /// Keyed hash over IMSI and anchor.
    pub correlation_id: u64,
    /// The UE's addresses.
    pub ue: UeAddress,
    /// Which way the packets of the tunnel go that this is told of.
    pub toward: Option<Toward>,
    /// Whether its control plane was seen.
    pub known: bool,
    /// When it was made.
    pub created_ns: u64,
    /// Another live session of its subscriber that was told of before; see [`Limits::tells_kin`].
    pub kin: Option<SessionId>,
}

/// What the keeper of the tables has to do. Called while an event is handled.
pub trait Effects {
    /// This tunnel will be bound or unbound soon: what is needed for that may be asked for.
    fn prefetch(&self, key: TunnelKey) {
        let _ = key;
    }

    /// Packets to `key` belong to this session from now on. Called again for a tunnel when something
    /// changes that a verdict depends on, and when it goes to another session without being unbound.
    fn bind(&mut self, tunnel: TunnelId, key: TunnelKey, view: &View);

    /// The tunnel was replaced. Packets that are on their way are still the session's, but its receiver
    /// may hand the number out again: a packet that is not surely the session's may be of one that is not
    /// known yet.
    fn retire(&mut self, tunnel: TunnelId);

    /// Packets to `key` belong to nobody known from now on.
    fn unbind(&mut self, tunnel: TunnelId, key: TunnelKey);

    /// A UE address (IPv6: the prefix) is of this live session now: the one known session that has it, or,
    /// where none has, an unknown one that was seen with it. `None`: of none, or of several known ones.
    fn place_ue(&mut self, address: IpAddr, view: Option<&View>);

    /// The session has ended: [`crate::Sessions::record`] tells of it until it is freed. Its tunnels
    /// were unbound before.
    fn ended(&mut self, session: SessionId);

    /// The session that was `from` is gone: all that it had is in `into` now, which is told of anew next. Its
    /// number may be given out again when its epoch is over.
    fn merged(&mut self, from: &View, into: &View);

    /// Signalling has told of an unknown session: it is a known one from now on, which was called `from` until
    /// now.
    fn learned(&mut self, session: SessionId, from: u64) {
        let _ = (session, from);
    }

    /// A node has lost its sessions: they end in the next moments.
    fn lost(&mut self, loss: &Loss) {
        let _ = loss;
    }

    /// A tunnel of long ago leaves the session's record; its number may be given out again when its
    /// epoch is over. What was counted in it is still to be in the sums of the session.
    fn folded(&mut self, session: SessionId, tunnel: TunnelId, toward: Option<Toward>);
}

/// A node that has lost its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It has started anew, and says so by this protocol.
    Restart {
        /// Its address.
        node: IpAddr,
        /// The protocol.
        protocol: Signalling,
    },
    /// The PFCP association between two nodes was released.
    Release {
        /// Their addresses; first the one that says so.
        nodes: [IpAddr; 2],
    },
}

/// Why there is no unknown session for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Full {
    /// `sessions_max` are there.
    Sessions,
    /// `tunnels_max` are there, or the addresses of nodes are too many.
    Tunnels,
}

/// What did not fit, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Sessions that were not made.
    pub sessions_full: u64,
    /// Endpoints that were not learned.
    pub tunnels_full: u64,
    /// Requests that were forgotten before their time was over.
    pub transactions_full: u64,
    /// Endpoints that were not learned because of too many addresses of nodes.
    pub nodes_full: u64,
    /// APNs and network instances that were not learned.
    pub names_full: u64,
}

/// How many there were: `created = active + deleted + expired`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions made; one that was merged into another is none.
    pub created: u64,
    /// Of them, up now.
    pub active: u64,
    /// Ended by signalling.
    pub deleted: u64,
    /// Ended by time.
    pub expired: u64,
    /// Past endpoints that were more than a session keeps.
    pub folded: u64,
    /// Answers that came from or went to another address or port than their request.
    pub astray: u64,
    /// Tunnels that packets showed to be another session's.
    pub relearned: u64,
    /// Restarts of nodes, and PFCP associations that were released.
    pub restarts: u64,
    /// What did not fit.
    pub refused: Refused,
}
