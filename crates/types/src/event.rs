//! What a control-plane message says of sessions, in values: `wire` fills it, `session` acts on it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;

use crate::{Apn, Imei, Imsi, Interface, Location, Msisdn, Plmn, Qfi, Rat, Seid, Snssai, Teid, UeAddress};

/// The protocol of a control-plane message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signalling {
    /// GTP-C version 1. TS 29.060.
    Gtpv1,
    /// GTP-C version 2. TS 29.274.
    #[default]
    Gtpv2,
    /// PFCP. TS 29.244.
    Pfcp,
}

/// A tunnel endpoint as a message tells it. It may have an address of each family: then it is two
/// tunnels with one TEID. TS 29.274 8.22.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FTeid {
    /// What it is.
    pub interface: Interface,
    /// Its number.
    pub teid: Teid,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

impl FTeid {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// EPS bearer identity, 5 to 15 (TS 24.301 9.3.2), or NSAPI in GTPv1 (TS 29.060 7.7.17), which are the
/// same numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ebi(pub u8);

/// One bearer context of GTPv2-C, or the one PDP context that a GTPv1-C message is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// Which bearer; 0 or `None` where it is still to be assigned (Create Bearer Request).
    pub ebi: Option<Ebi>,
    /// The instance of the bearer context IE: 0 or 1. TS 29.274 tables 7.2.*: "created", "modified" and
    /// "to be created" are 0, "removed" and "marked for removal" are 1.
    pub instance: u8,
    /// What the answer says of this bearer.
    pub cause: Option<u8>,
    /// QoS class.
    pub qci: Option<u8>,
    /// Its endpoints.
    pub f_teids: ArrayVec<FTeid, 8>,
}

/// A PDN connection that one mobility node tells another of. TS 29.274 7.3.6-3, 7.3.1-2; in GTPv1 a PDP
/// context of SGSN Context Response and Forward Relocation Request (TS 29.060 7.7.29).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PdnConnection {
    /// Its access point.
    pub apn: Option<Apn>,
    /// Its default bearer.
    pub linked_ebi: Option<Ebi>,
    /// The UE's addresses in it.
    pub ue: UeAddress,
    /// The control-plane endpoint of its PGW or GGSN.
    pub anchor: Option<FTeid>,
    /// Its bearers, with the user-plane endpoints of SGW and PGW.
    pub bearers: ArrayVec<Bearer, 11>,
}

/// What is done with a rule of PFCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleAction {
    /// It is made (request).
    Create,
    /// The answer tells what was made: the F-TEID that the UPF chose.
    Created,
    /// It is changed.
    Update,
    /// It is removed.
    Remove,
}

/// A side of a UPF: Source Interface and Destination Interface. TS 29.244 8.2.2, 8.2.24.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Towards the radio network: 0.
    Access,
    /// Towards the data network or the next UPF: 1.
    Core,
    /// N6-LAN, SGi: 2.
    SgiLan,
    /// Towards the control function: 3.
    ControlPlane,
    /// Within the 5G VN group: 4.
    FiveGVn,
    /// Not assigned.
    Other(u8),
}

/// A packet detection rule: what packets it is for. TS 29.244 7.5.2.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdr {
    /// What is done with it.
    pub action: RuleAction,
    /// Its number in the session.
    pub id: u16,
    /// Where its packets come from.
    pub source: Option<Side>,
    /// The endpoint that the UPF receives them at. `None` with `choose` where the answer will tell.
    pub local: Option<FTeid>,
    /// CHOOSE was set: the UPF takes a TEID. PDRs of one `choose_id` share it.
    pub choose: bool,
    /// CHOOSE ID.
    pub choose_id: Option<u8>,
    /// The UE's addresses in it.
    pub ue: UeAddress,
    /// Its flows.
    pub qfi: Option<Qfi>,
    /// The rule that its packets are forwarded by.
    pub far: Option<u32>,
}

/// A forwarding action rule: where packets go. TS 29.244 7.5.2.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Far {
    /// What is done with it.
    pub action: RuleAction,
    /// Its number in the session.
    pub id: u32,
    /// The side that they leave by.
    pub destination: Option<Side>,
    /// Outer Header Creation with GTP-U: the endpoint of the peer (gNB, next UPF).
    pub peer: Option<FTeid>,
}

/// A PFCP session endpoint with its address. TS 29.244 8.2.37.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FSeid {
    /// Its number.
    pub seid: Seid,
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

/// The header of a control-plane message: enough to know where it will look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Its protocol.
    pub protocol: Signalling,
    /// Message type.
    pub message: u8,
    /// Who sent it, with the UDP port.
    pub source: SocketAddr,
    /// Who it was sent to.
    pub destination: SocketAddr,
    /// Sequence number.
    pub sequence: Option<u32>,
    /// GTP: the TEID of the header, which is the receiver's.
    pub teid: Option<Teid>,
}

/// One control-plane message, as far as sessions need it. Lists hold what real messages have; where one
/// has more, `incomplete` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEvent {
    /// Time of the packet, nanoseconds since 1970.
    pub time_ns: u64,
    /// Its protocol: says what `message` and `cause` mean.
    pub protocol: Signalling,
    /// Message type.
    pub message: u8,
    /// Who sent it, with the UDP port.
    pub source: SocketAddr,
    /// Who it was sent to.
    pub destination: SocketAddr,
    /// Sequence number.
    pub sequence: Option<u32>,
    /// GTP: the TEID of the header, which is the receiver's.
    pub teid: Option<Teid>,
    /// PFCP: the SEID of the header, which is the receiver's.
    pub seid: Option<Seid>,
    /// Cause of the message.
    pub cause: Option<u8>,
    /// Recovery: the restart counter of GTP, or the Recovery Time Stamp of PFCP.
    pub recovery: Option<u32>,
    /// Subscriber.
    pub imsi: Option<Imsi>,
    /// Subscriber's number.
    pub msisdn: Option<Msisdn>,
    /// Equipment.
    pub imei: Option<Imei>,
    /// APN or DNN.
    pub apn: Option<Apn>,
    /// Network Instance of PFCP, the first one of a PDR from the core side, else the first.
    pub network_instance: Option<Apn>,
    /// Radio access.
    pub rat: Option<Rat>,
    /// Serving network.
    pub serving: Option<Plmn>,
    /// Place.
    pub location: Location,
    /// Slice.
    pub snssai: Option<Snssai>,
    /// The UE's addresses: PAA, End User Address, UE IP Address.
    pub ue: UeAddress,
    /// Linked EBI (GTPv1: Linked NSAPI): the default bearer.
    pub linked_ebi: Option<Ebi>,
    /// EBIs that stand outside of bearer contexts.
    pub ebis: ArrayVec<Ebi, 11>,
    /// Endpoints outside of bearer contexts, with the instance of their IE. In GTPv1 the
    /// control-plane endpoint.
    pub f_teids: ArrayVec<(u8, FTeid), 8>,
    /// Bearer contexts; in GTPv1 the PDP context.
    pub bearers: ArrayVec<Bearer, 15>,
    /// PDN connections that are handed over.
    pub pdn_connections: ArrayVec<PdnConnection, 11>,
    /// PFCP: the F-SEID that the sender has for the session.
    pub f_seid: Option<FSeid>,
    /// PFCP: packet detection rules.
    pub pdrs: ArrayVec<Pdr, 32>,
    /// PFCP: forwarding action rules.
    pub fars: ArrayVec<Far, 32>,
    /// GTPv1: Teardown Ind. GTPv2: the Operation Indication flag of Delete Session Request.
    pub teardown: bool,
    /// GTPv2: the Scope Indication flag.
    pub scope: bool,
    /// A list did not hold all, or an element could not be read: what is here is right, not complete.
    pub incomplete: bool,
}

impl SessionEvent {
    /// An event that says nothing yet. Made once and used again.
    #[must_use]
    pub const fn new() -> Self {
        const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self {
            time_ns: 0,
            protocol: Signalling::Gtpv2,
            message: 0,
            source: NOWHERE,
            destination: NOWHERE,
            sequence: None,
            teid: None,
            seid: None,
            cause: None,
            recovery: None,
            imsi: None,
            msisdn: None,
            imei: None,
            apn: None,
            network_instance: None,
            rat: None,
            serving: None,
            location: Location { area: None, cell: None },
            snssai: None,
            ue: UeAddress { v4: None, v6: None },
            linked_ebi: None,
            ebis: ArrayVec::new_const(),
            f_teids: ArrayVec::new_const(),
            bearers: ArrayVec::new_const(),
            pdn_connections: ArrayVec::new_const(),
            f_seid: None,
            pdrs: ArrayVec::new_const(),
            fars: ArrayVec::new_const(),
            teardown: false,
            scope: false,
            incomplete: false,
        }
    }

    /// Forgets what the last message said; time, source and destination stay.
    pub fn clear(&mut self) {
        self.protocol = Signalling::Gtpv2;
        self.message = 0;
        self.sequence = None;
        self.teid = None;
        self.seid = None;
        self.cause = None;
        self.recovery = None;
        self.imsi = None;
        self.msisdn = None;
        self.imei = None;
        self.apn = None;
        self.network_instance = None;
        self.rat = None;
        self.serving = None;
        self.location = Location::default();
        self.snssai = None;
        self.ue = UeAddress::default();
        self.linked_ebi = None;
        self.ebis.clear();
        self.f_teids.clear();
        self.bearers.clear();
        self.pdn_connections.clear();
        self.f_seid = None;
        self.pdrs.clear();
        self.fars.clear();
        self.teardown = false;
        self.scope = false;
        self.incomplete = false;
    }
}

impl Default for SessionEvent {
    fn default() -> Self {
        Self::new()
    }
}
