//! What is told of a session: one line of `sessions.jsonl`, one row of `snipe sessions list`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use types::{Apn, Imei, Imsi, Location, Msisdn, Plmn, ProbeId, Qfi, Rat, Snssai, Teid};

/// How a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Up.
    #[default]
    Active,
    /// Ended by signalling.
    Deleted,
    /// Ended by time.
    Expired,
}

impl State {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
        }
    }
}

/// One tunnel endpoint that a session has or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FTeidRecord {
    /// Name of the interface, see [`types::Interface::name`]; `None` for a tunnel whose control plane
    /// was never seen.
    pub interface: Option<&'static str>,
    /// The address that handed the TEID out.
    pub ip: IpAddr,
    /// The number it handed out; of N4 the lower 32 bits are not enough, so this is wide.
    pub teid: u64,
    /// T-PDUs sent to it.
    pub packets: u64,
    /// Bytes of their inner IP packets.
    pub bytes: u64,
}

/// One bearer or QoS flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BearerRecord {
    /// EPS bearer identity or NSAPI; 0 where there is none (5G).
    pub ebi: u8,
    /// QoS class.
    pub qci: Option<u8>,
    /// QoS flow.
    pub qfi: Option<Qfi>,
}

/// A session with everything that is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Keyed hash over IMSI and anchor.
    pub correlation_id: u64,
    /// Subscriber.
    pub imsi: Option<Imsi>,
    /// Subscriber's number.
    pub msisdn: Option<Msisdn>,
    /// Equipment.
    pub imei: Option<Imei>,
    /// APN or DNN.
    pub apn: Option<Apn>,
    /// Radio access.
    pub rat: Option<Rat>,
    /// Serving network.
    pub serving: Option<Plmn>,
    /// Place.
    pub location: Location,
    /// Slice.
    pub snssai: Option<Snssai>,
    /// Whether the subscriber is away from home; `None` where that cannot be told.
    pub roaming: Option<bool>,
    /// The UE's IPv4 address.
    pub ue_ipv4: Option<Ipv4Addr>,
    /// The UE's IPv6 prefix, 64 bits.
    pub ue_ipv6: Option<Ipv6Addr>,
    /// Whether its control plane was seen.
    pub known: bool,
    /// How it is.
    pub state: State,
    /// Where its packets go: known to who keeps the verdicts, `None` here.
    pub probe: Option<ProbeId>,
    /// Every endpoint it ever had, sorted by interface name, address, TEID.
    pub fteids: Vec<FTeidRecord>,
    /// Its bearers.
    pub bearers: Vec<BearerRecord>,
    /// T-PDUs from the UE.
    pub packets_ul: u64,
    /// T-PDUs to the UE.
    pub packets_dl: u64,
    /// Inner IP bytes from the UE.
    pub bytes_ul: u64,
    /// Inner IP bytes to the UE.
    pub bytes_dl: u64,
    /// When the answer came that accepted it, nanoseconds since 1970; of a session never learned, its
    /// first packet.
    pub created_ns: u64,
    /// When it ended.
    pub ended_ns: Option<u64>,
}

/// Which sessions are asked for; what is `None` does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this subscriber.
    pub imsi: Option<Imsi>,
    /// With this UE address; an IPv6 address by its prefix of 64 bits.
    pub ue_ip: Option<IpAddr>,
    /// With this TEID at any receiver, now or before.
    pub teid: Option<Teid>,
    /// So many at most.
    pub limit: Option<usize>,
}
