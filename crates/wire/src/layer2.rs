//! The way from a frame's first byte down to its IP header.

use types::{LinkType, Malformed};

use crate::cooked::{Cooked, Loopback};
use crate::ethernet::{Ethernet, EthernetHeader, LENGTH_MAX, ether_type, parse_llc};
use crate::mpls::{Mpls, MplsPayload};
use crate::vlan::Vlan;

/// An IP packet, and its version where what stands before it names one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ip<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) announced: Option<u8>,
}

/// What was met on the way down. One for a whole frame, so that its limits hold for all of it, also
/// where a tunnel holds Ethernet again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layer2 {
    tags: u8,
    labels: u8,
    name: u128,
    outermost: Option<Macs>,
    innermost: Option<Macs>,
}

/// Destination and source.
type Macs = ([u8; 6], [u8; 6]);

/// Where the way down has come to.
enum At<'a> {
    Ethernet(&'a [u8]),
    Type(u16, &'a [u8]),
    Mpls(&'a [u8]),
}

impl Layer2 {
    /// What the link layer says of who talks with whom, for packets that say nothing else:
    ///
    /// - Ethernet: both addresses, the smaller first; tags are left out, so that a tap's own tag
    ///   changes nothing. Of a frame that ends before its type: the bytes there are.
    /// - Linux "cooked": the sender's address, the only one there is.
    /// - Raw IP and loopback: 0, they name nobody.
    #[cold]
    pub(crate) fn name(&self) -> u128 {
        match self.innermost {
            Some((destination, source)) => {
                number(&destination.min(source)) << 48 | number(&destination.max(source))
            }
            None => self.name,
        }
    }

    /// Destination and source of the outermost Ethernet header.
    pub(crate) const fn macs(&self) -> Option<Macs> {
        self.outermost
    }

    /// From the link-layer header on.
    ///
    /// # Errors
    /// Why the way ended; [`Self::name`] is then what could be read.
    #[inline(always)]
    pub(crate) fn link<'a>(&mut self, link: LinkType, frame: &'a [u8]) -> Result<Option<Ip<'a>>, Malformed> {
        match link {
            LinkType::Ethernet => self.ethernet(frame),
            other => self.other_link(other, frame),
        }
    }

    #[cold]
    fn other_link<'a>(&mut self, link: LinkType, frame: &'a [u8]) -> Result<Option<Ip<'a>>, Malformed> {
        let cooked = match link {
            LinkType::Ethernet => return self.ethernet(frame),
            LinkType::RawIp => return Ok(Some(Ip { bytes: frame, announced: None })),
            LinkType::RawIpv4 => return Ok(Some(Ip { bytes: frame, announced: Some(4) })),
            LinkType::RawIpv6 => return Ok(Some(Ip { bytes: frame, announced: Some(6) })),
            LinkType::Null => return Ok(loopback(Loopback::parse_null(frame)?)),
            LinkType::Loop => return Ok(loopback(Loopback::parse(frame)?)),
            LinkType::LinuxSll => Cooked::parse_v1(frame)?,
            LinkType::LinuxSll2 => Cooked::parse_v2(frame)?,
        };
        self.name = u128::from(cooked.address());
        match cooked.protocol() {
            Cooked::LLC => match parse_llc(cooked.payload(), cooked.payload().len())? {
                (Some(kind), payload) => self.descend(At::Type(kind, payload)),
                (None, _) => Ok(None),
            },
            kind => self.descend(At::Type(kind, cooked.payload())),
        }
    }

    /// From an Ethernet header on.
    ///
    /// # Errors
    /// As [`Self::link`].
    #[inline(always)]
    pub(crate) fn ethernet<'a>(&mut self, frame: &'a [u8]) -> Result<Option<Ip<'a>>, Malformed> {
        self.descend(At::Ethernet(frame))
    }

    /// From a label on.
    ///
    /// # Errors
    /// As [`Self::link`].
    pub(crate) fn mpls<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Ip<'a>>, Malformed> {
        self.descend(At::Mpls(bytes))
    }

    /// Every round takes a tag or a label off its limit, or ends; an Ethernet header is only ever
    /// met first or under a label.
    #[inline]
    fn descend<'a>(&mut self, mut at: At<'a>) -> Result<Option<Ip<'a>>, Malformed> {
        loop {
            at = match at {
                At::Ethernet(frame) => {
                    let eth = self.header(frame)?;
                    match eth.ether_type() {
                        Some(kind) => At::Type(kind, eth.payload()),
                        None => return Ok(None),
                    }
                }
                At::Type(ether_type::IPV4, bytes) => return Ok(Some(Ip { bytes, announced: Some(4) })),
                At::Type(ether_type::IPV6, bytes) => return Ok(Some(Ip { bytes, announced: Some(6) })),
                At::Type(ether_type::MPLS | ether_type::MPLS_UPSTREAM, bytes) => At::Mpls(bytes),
                At::Type(kind, bytes) if Vlan::announced_by(kind) => {
                    self.tags = one_more(self.tags, Vlan::MAX)?;
                    let vlan = Vlan::parse(bytes)?;
                    // A length instead of a type, as in the header itself: IEEE 802.3 3.2.6.
                    match vlan.ether_type() {
                        length @ 0..=LENGTH_MAX => match parse_llc(vlan.payload(), usize::from(length))? {
                            (Some(kind), payload) => At::Type(kind, payload),
                            (None, _) => return Ok(None),
                        },
                        kind => At::Type(kind, vlan.payload()),
                    }
                }
                At::Type(..) => return Ok(None),
                At::Mpls(bytes) => {
                    self.labels = one_more(self.labels, Mpls::MAX)?;
                    let mpls = Mpls::parse(bytes)?;
                    if mpls.is_bottom() {
                        match mpls.contents() {
                            MplsPayload::Ip(bytes) => return Ok(Some(Ip { bytes, announced: None })),
                            MplsPayload::Ethernet(frame) => At::Ethernet(frame),
                            MplsPayload::Unknown => return Ok(None),
                        }
                    } else {
                        At::Mpls(mpls.payload())
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn header<'a>(&mut self, frame: &'a [u8]) -> Result<Ethernet<'a>, Malformed> {
        let Some(addresses) = frame.first_chunk::<{ EthernetHeader::LEN }>() else {
            self.name = number(frame);
            return Err(Malformed::LinkTruncated);
        };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *addresses;
        let (destination, source) = ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]);
        self.innermost = Some((destination, source));
        self.outermost = self.outermost.or(self.innermost);
        Ok(Ethernet::parse(frame)?)
    }
}

fn loopback(header: Loopback<'_>) -> Option<Ip<'_>> {
    header.version().map(|version| Ip { bytes: header.payload(), announced: Some(version) })
}

/// The bytes as one number, the last 16 where there are more.
fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[inline(always)]
fn one_more(count: u8, limit: u8) -> Result<u8, Malformed> {
    if count < limit { Ok(count.wrapping_add(1)) } else { Err(Malformed::TooManyLayers) }
}
