//! From a frame to its class and key.

use core::net::SocketAddr;

use types::{FlowPorts, Key, LinkType, Malformed, PortPair, TrafficClass, TunnelKey};

use crate::erspan::{self, Mirrored};
use crate::ethernet::ether_type;
use crate::gre::{Gre, protocol as gre_protocol};
use crate::gtp_prime::GtpPrime;
use crate::gtpc::Gtpc;
use crate::gtpu::{Gtpu, PduSession, error_indication, message};
use crate::icmp::{Icmp, IcmpVersion};
use crate::layer2::{Ip, Layer2};
use crate::network::{self, Addresses, Fragment, Network, Part, protocol};
use crate::pfcp::Pfcp;
use crate::sctp::Sctp;
use crate::tcp::{Tcp, TcpError};
use crate::udp::Udp;

/// IP headers outside a GTP-U tunnel at most; more are not read.
pub const IP_LAYERS_MAX: u8 = 2;

/// What a frame is to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dissection {
    /// By the ports of the first UDP header from outside.
    pub class: TrafficClass,
    /// The innermost key that could be read.
    pub key: Key,
    /// The first thing from outside in that is wrong with it.
    pub malformed: Option<Malformed>,
    /// The outermost fragment outside a GTP-U tunnel.
    pub fragment: Fragment,
    /// Protocol and ports that belong to the key; all 0 under [`Key::Tunnel`] and [`Key::Frame`].
    pub ports: FlowPorts,
    /// Where things are, for those who read on.
    pub layers: Layers,
}

/// What was passed on the way, with positions in the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The GTP-U header's tunnel, by the destination of the packet it came in.
    pub tunnel: Option<TunnelKey>,
    /// The first PDU session container of the GTP-U header.
    pub pdu_session: Option<PduSession>,
    /// Where the payload of the UDP datagram begins that gave the class.
    pub datagram: Option<u32>,
    /// How long it is, as far as it is there.
    pub datagram_bytes: u32,
    /// Where the IP packet inside GTP-U begins.
    pub inner: Option<u32>,
    /// That packet's addresses and length.
    pub user: Option<User>,
    /// The ends of the UDP datagram that gave the class.
    pub ends: Option<Ends>,
    /// That datagram is quoted by an ICMP error: it is told of, not sent.
    pub quoted: bool,
    /// The GTP-U message is a T-PDU: it carries a user's packet, whether that can be read or not.
    pub t_pdu: bool,
    /// It is an Error Indication: its sender does not know the tunnel of the key. TS 29.281 7.3.1.
    pub not_found: bool,
}

/// A user's packet inside a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its addresses.
    pub addresses: Addresses,
    /// Its length as its header tells, at most what the GTP-U length leaves.
    pub bytes: u16,
}

/// Both ends of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Its addresses.
    pub addresses: Addresses,
    /// Its ports.
    pub ports: PortPair,
}

impl Ends {
    /// Who sent it.
    #[must_use]
    pub const fn source(&self) -> SocketAddr {
        SocketAddr::new(self.addresses.source(), self.ports.source)
    }

    /// Who it was sent to.
    #[must_use]
    pub const fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.addresses.destination(), self.ports.destination)
    }
}

/// Reads a frame as far as its class and key need. Total: any bytes give an answer, within the
/// limits of each layer.
#[must_use]
#[inline]
pub fn dissect(link: LinkType, frame: &[u8]) -> Dissection {
    let mut walk = Walk {
        frame,
        layer2: Layer2::default(),
        ip_layers: 0,
        quoted: false,
        out: Dissection {
            class: TrafficClass::Other,
            key: Key::Frame(0),
            malformed: None,
            fragment: Fragment::None,
            ports: FlowPorts::default(),
            layers: Layers::default(),
        },
    };
    let mut next = match walk.layer2.link(link, frame) {
        Ok(next) => next,
        Err(why) => {
            walk.bad(why);
            None
        }
    };
    // Each round is one IP layer, and they are counted.
    while let Some(ip) = next {
        next = walk.ip(ip);
    }
    if matches!(walk.out.key, Key::Frame(_)) {
        walk.out.key = Key::Frame(walk.layer2.name());
    }
    walk.out
}

struct Walk<'a> {
    frame: &'a [u8],
    layer2: Layer2,
    ip_layers: u8,
    /// Inside the packet that an ICMP error message is about. It is cut by nature, and whatever is
    /// wrong with it is not wrong with the message.
    quoted: bool,
    out: Dissection,
}

impl<'a> Walk<'a> {
    /// Keeps the first reason.
    #[inline(always)]
    fn bad(&mut self, why: Malformed) {
        if !self.quoted && self.out.malformed.is_none() {
            self.out.malformed = Some(why);
        }
    }

    fn position(&self, part: &[u8]) -> Option<u32> {
        crate::position(self.frame, part).try_into().ok()
    }

    /// Reads one IP packet outside GTP-U; what it returns is the next one, inside it.
    #[inline]
    fn ip(&mut self, ip: Ip<'a>) -> Option<Ip<'a>> {
        if self.ip_layers == IP_LAYERS_MAX {
            self.bad(Malformed::TooManyLayers);
            return None;
        }
        self.ip_layers = self.ip_layers.wrapping_add(1);
        let network = match network::parse(ip) {
            Ok(network) => network,
            Err(why) => {
                self.bad(why);
                return None;
            }
        };
        self.out.key = Key::Outer(network.addresses.pair());
        self.out.ports = FlowPorts { protocol: network.protocol, ..FlowPorts::default() };
        if network.part != Part::Whole && self.out.fragment == Fragment::None && !self.quoted {
            self.out.fragment = network.fragment();
        }
        if let Some(why) = network.broken {
            self.bad(why);
        }
        if network.has_transport() { self.transport(&network) } else { None }
    }

    #[inline]
    fn transport(&mut self, network: &Network<'a>) -> Option<Ip<'a>> {
        if matches!(network.protocol, protocol::UDP | protocol::TCP | protocol::SCTP) {
            let ports = network::ports(network.payload);
            if let Some(ports) = ports {
                self.out.ports = network.addresses.flow(network.protocol, ports);
            }
            match network.protocol {
                protocol::UDP => self.udp(network, ports),
                protocol::TCP => self.tcp(network),
                _ => {
                    if let Err(why) = Sctp::parse(network.payload) {
                        self.bad(why.into());
                    }
                }
            }
            return None;
        }
        let inside = match network.protocol {
            protocol::IPV4 => return Some(Ip { bytes: network.payload, announced: Some(4) }),
            protocol::IPV6 => return Some(Ip { bytes: network.payload, announced: Some(6) }),
            protocol::ICMP | protocol::ICMPV6 => return self.icmp(network),
            protocol::GRE => self.gre(network.payload),
            protocol::MPLS => self.layer2.mpls(network.payload),
            _ => return None,
        };
        match inside {
            Ok(next) => next,
            Err(why) => {
                self.bad(why);
                None
            }
        }
    }

    fn icmp(&mut self, network: &Network<'a>) -> Option<Ip<'a>> {
        let (version, announced) = match (network.protocol, network.addresses) {
            (protocol::ICMP, Addresses::V4 { .. }) => (IcmpVersion::V4, 4),
            (protocol::ICMPV6, Addresses::V6 { .. }) => (IcmpVersion::V6, 6),
            _ => return None,
        };
        let quote = Icmp::parse(version, network.payload).ok()?.quote()?;
        // A cut quote is no quote: the message then goes by its own addresses.
        self.quoted = true;
        Some(Ip { bytes: quote, announced: Some(announced) })
    }

    fn gre(&mut self, bytes: &'a [u8]) -> Result<Option<Ip<'a>>, Malformed> {
        let gre = match Gre::parse(bytes) {
            Ok(gre) => gre,
            Err(why) => return why.reason().map_or(Ok(None), Err),
        };
        match gre.protocol() {
            ether_type::IPV4 => Ok(Some(Ip { bytes: gre.payload(), announced: Some(4) })),
            ether_type::IPV6 => Ok(Some(Ip { bytes: gre.payload(), announced: Some(6) })),
            ether_type::MPLS | ether_type::MPLS_UPSTREAM => self.layer2.mpls(gre.payload()),
            ether_type::BRIDGING => self.layer2.ethernet(gre.payload()),
            gre_protocol::ERSPAN | gre_protocol::ERSPAN_III => match erspan::parse(&gre)? {
                Mirrored::Ethernet(frame) => self.layer2.ethernet(frame),
                Mirrored::Ip(bytes) => Ok(Some(Ip { bytes, announced: None })),
                Mirrored::Unknown => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn tcp(&mut self, network: &Network<'_>) {
        match Tcp::parse(network.payload) {
            Ok(_) => {}
            // Options that the capture or a fragment cut off are not a lie.
            Err(TcpError::Offset(5..)) if !network.whole => self.bad(Malformed::TcpTruncated),
            Err(why) => self.bad(why.into()),
        }
    }

    #[inline]
    fn udp(&mut self, network: &Network<'_>, ports: Option<PortPair>) {
        if let Some(ports) = ports {
            self.out.class = TrafficClass::of_udp(ports);
            self.out.layers.ends = Some(Ends { addresses: network.addresses, ports });
            self.out.layers.quoted = self.quoted;
        }
        let udp = match Udp::parse(network.payload) {
            Ok(udp) => udp,
            Err(why) => {
                self.bad(why.into());
                return;
            }
        };
        if udp.claims_too_little() || network.whole && udp.claims_more() {
            self.bad(Malformed::UdpBadLength);
        }
        let payload = udp.payload();
        self.out.layers.datagram = self.position(payload);
        self.out.layers.datagram_bytes = payload.len().try_into().unwrap_or(u32::MAX);
        match self.out.class {
            TrafficClass::GtpU => self.gtpu(network.addresses, payload),
            TrafficClass::GtpC => self.gtpc(network.whole, payload),
            TrafficClass::Pfcp => match Pfcp::parse(payload) {
                Ok(pfcp) if pfcp.claims_more() && network.whole => self.bad(Malformed::PfcpLength),
                Ok(_) => {}
                Err(why) => self.bad(why.into()),
            },
            TrafficClass::GtpPrime => match GtpPrime::parse(payload) {
                Ok(gtp) if gtp.claims_more() && network.whole => self.bad(Malformed::GtpPrimeLength),
                Ok(_) => {}
                Err(why) => self.bad(why.into()),
            },
            TrafficClass::Other => {}
        }
    }

    /// The header, and that of one piggybacked message. TS 29.274 5.5.1 allows no third.
    fn gtpc(&mut self, whole: bool, bytes: &[u8]) {
        let mut message = Some(bytes);
        for _ in 0..2 {
            let Some(bytes) = message else { return };
            message = match Gtpc::parse(bytes) {
                Ok(gtp) => {
                    if gtp.claims_more() && whole {
                        self.bad(Malformed::GtpcLength);
                    }
                    gtp.piggybacked()
                }
                Err(why) => {
                    self.bad(why.into());
                    None
                }
            };
        }
    }

    #[inline]
    fn gtpu(&mut self, addresses: Addresses, bytes: &[u8]) {
        let gtp = match Gtpu::parse(bytes) {
            Ok(gtp) => gtp,
            Err(why) => {
                self.bad(why.into());
                return;
            }
        };
        let tunnel = TunnelKey { receiver: addresses.destination(), teid: gtp.teid() };
        self.out.layers.tunnel = Some(tunnel);
        let kind = gtp.message_type();
        self.out.layers.t_pdu = kind == message::T_PDU;
        let follows_tunnel = match kind {
            message::T_PDU => true,
            message::ECHO_REQUEST
            | message::ECHO_RESPONSE
            | message::ERROR_INDICATION
            | message::SUPPORTED_EXTENSIONS => false,
            // End Marker, tunnel status, and types not known: signalling of the path has TEID 0.
            _ => gtp.teid().0 != 0,
        };
        if follows_tunnel {
            self.tunnel(tunnel);
        }
        if kind == message::T_PDU && gtp.length() == 0 {
            self.bad(Malformed::GtpLenZero);
            return;
        }
        let opened = match gtp.open() {
            Ok(opened) => opened,
            Err(why) => {
                self.bad(why.into());
                return;
            }
        };
        self.out.layers.pdu_session = opened.pdu_session();
        match kind {
            message::T_PDU => self.inner(opened.payload(), opened.payload_length()),
            message::ERROR_INDICATION => match error_indication(opened.payload()) {
                Ok(tunnel) => {
                    self.out.layers.not_found = true;
                    self.tunnel(tunnel);
                }
                Err(why) => self.bad(why.into()),
            },
            _ => {}
        }
    }

    #[inline(always)]
    fn tunnel(&mut self, tunnel: TunnelKey) {
        self.out.key = Key::Tunnel(tunnel);
        self.out.ports = FlowPorts::default();
    }

    /// A user's packet. Its addresses are all that the key needs; its transport header is the
    /// user's own affair and never judged.
    #[inline]
    fn inner(&mut self, bytes: &[u8], stated: u16) {
        if !bytes.first().is_some_and(|first| matches!(first >> 4, 4 | 6)) {
            self.bad(Malformed::InnerUnknown);
            return;
        }
        let network = match network::parse(Ip { bytes, announced: None }) {
            Ok(network) => network,
            Err(why) => {
                self.bad(why);
                return;
            }
        };
        self.out.layers.inner = self.position(bytes);
        let length = match network.states {
            0 => stated,
            length => u16::try_from(length).unwrap_or(u16::MAX).min(stated),
        };
        self.out.layers.user = Some(User { addresses: network.addresses, bytes: length });
        self.out.key = Key::Inner(network.addresses.pair());
        self.out.ports = FlowPorts { protocol: network.protocol, ..FlowPorts::default() };
        if let Some(why) = network.broken {
            self.bad(why);
        }
        if !network.has_transport()
            || !matches!(network.protocol, protocol::UDP | protocol::TCP | protocol::SCTP)
        {
            return;
        }
        let Some(ports) = network::ports(network.payload) else { return };
        self.out.ports = network.addresses.flow(network.protocol, ports);
        if network.protocol == protocol::UDP && names_gtpu(ports) {
            self.bad(Malformed::GtpNested);
        }
    }
}

/// Whether either port is that of GTP-U.
#[inline(always)]
pub(crate) const fn names_gtpu(ports: PortPair) -> bool {
    ports.source == TrafficClass::GTP_U_PORT || ports.destination == TrafficClass::GTP_U_PORT
}
