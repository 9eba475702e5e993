//! Taking a tap's own tunnel off: VXLAN, GRE and ERSPAN.

use core::ops::Range;

use types::{LinkType, Malformed};

use crate::erspan::{self, Mirrored};
use crate::ethernet::{EthernetHeader, ether_type};
use crate::gre::Gre;
use crate::layer2::Layer2;
use crate::network::{self, Network, Part, protocol};
use crate::udp::Udp;
use crate::vxlan::Vxlan;

/// The tunnels that a port takes off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decap {
    /// VXLAN: UDP to port 4789.
    pub vxlan: bool,
    /// GRE that holds Ethernet, IP or MPLS.
    pub gre: bool,
    /// ERSPAN types I, II and III.
    pub erspan: bool,
}

/// What is to be done with a frame from a tunnelled tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpack {
    /// It is in none of the tunnels to take off: it goes on as it is.
    None,
    /// An Ethernet frame is inside. Whatever the outer link type is.
    Inner {
        /// Where it stands.
        range: Range<usize>,
        /// Where the tunnel held IP or MPLS without a link layer: the header to put in front. Its
        /// addresses are those of the outer frame, or 0 where that has none.
        header: Option<[u8; EthernetHeader::LEN]>,
    },
    /// It is in such a tunnel and cannot be unpacked: it goes on as it is, counted.
    Bad(Malformed),
}

/// What a tunnel held.
enum Held<'a> {
    Ethernet(&'a [u8]),
    Bare(u16, &'a [u8]),
}

/// Finds the frame inside a tap's tunnel. Only the outermost tunnel is taken off, and only behind
/// the outermost IP header.
#[must_use]
pub fn unpack(link: LinkType, frame: &[u8], allow: Decap) -> Unpack {
    let mut layer2 = Layer2::default();
    // What is wrong outside the tunnel is found again, and counted, by the dissection.
    let Ok(Some(ip)) = layer2.link(link, frame) else { return Unpack::None };
    let Ok(network) = network::parse(ip) else { return Unpack::None };
    let held = match held(&network, allow) {
        Ok(None) => return Unpack::None,
        Ok(Some(_)) if network.part != Part::Whole => Err(Malformed::DecapFragment),
        Err(_) if network.part != Part::Whole => Err(Malformed::DecapFragment),
        Ok(Some(held)) => Ok(held),
        Err(why) => Err(why),
    };
    match held {
        Ok(Held::Ethernet(inner)) if inner.len() < EthernetHeader::LEN => {
            Unpack::Bad(Malformed::LinkTruncated)
        }
        Ok(Held::Ethernet(inner)) => Unpack::Inner { range: range(frame, inner), header: None },
        Ok(Held::Bare(ether_type, inner)) => {
            let (destination, source) = layer2.macs().unwrap_or_default();
            let header = EthernetHeader { destination, source, ether_type }.emit();
            Unpack::Inner { range: range(frame, inner), header: Some(header) }
        }
        Err(why) => Unpack::Bad(why),
    }
}

fn range(frame: &[u8], part: &[u8]) -> Range<usize> {
    let start = crate::position(frame, part);
    start..start.saturating_add(part.len())
}

fn held<'a>(network: &Network<'a>, allow: Decap) -> Result<Option<Held<'a>>, Malformed> {
    if network.broken.is_some() {
        return Ok(None);
    }
    let later = network.part == Part::Later;
    match network.protocol {
        protocol::GRE if allow.gre || allow.erspan => {
            if later {
                Err(Malformed::DecapFragment)
            } else {
                gre(network.payload, allow)
            }
        }
        // Whether a later fragment is VXLAN only its first one knows.
        protocol::UDP if allow.vxlan && !later => vxlan(network.payload),
        _ => Ok(None),
    }
}

fn vxlan(bytes: &[u8]) -> Result<Option<Held<'_>>, Malformed> {
    match Udp::parse(bytes) {
        Ok(udp) if udp.ports().destination == Vxlan::PORT => {
            Ok(Some(Held::Ethernet(Vxlan::parse(udp.payload())?.frame())))
        }
        _ => Ok(None),
    }
}

fn gre(bytes: &[u8], allow: Decap) -> Result<Option<Held<'_>>, Malformed> {
    let gre = match Gre::parse(bytes) {
        Ok(gre) => gre,
        Err(why) => return why.reason().map_or(Ok(None), Err),
    };
    let payload = gre.payload();
    Ok(match gre.protocol() {
        kind if erspan::is_erspan(kind) => {
            if !allow.erspan {
                return Ok(None);
            }
            match erspan::parse(&gre)? {
                Mirrored::Ethernet(frame) => Some(Held::Ethernet(frame)),
                Mirrored::Ip(bytes) => match bytes.first().map(|first| first >> 4) {
                    Some(4) => Some(Held::Bare(ether_type::IPV4, bytes)),
                    Some(6) => Some(Held::Bare(ether_type::IPV6, bytes)),
                    _ => return Err(Malformed::ErspanBad),
                },
                Mirrored::Unknown => None,
            }
        }
        _ if !allow.gre => None,
        ether_type::BRIDGING => Some(Held::Ethernet(payload)),
        kind @ (ether_type::IPV4 | ether_type::IPV6 | ether_type::MPLS | ether_type::MPLS_UPSTREAM) => {
            Some(Held::Bare(kind, payload))
        }
        _ => None,
    })
}
