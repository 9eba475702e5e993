//! The traffic class: by UDP port alone.

/// The ports of a UDP, TCP or SCTP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortPair {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

/// What a packet is to a broker. The order is that of `rx.by_class` in the accounting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TrafficClass {
    /// User plane of GTPv1, UDP port 2152. TS 29.281.
    GtpU,
    /// Control plane of GTPv1 and GTPv2, UDP port 2123. TS 29.060, TS 29.274.
    GtpC,
    /// Packet Forwarding Control Protocol, UDP port 8805. TS 29.244.
    Pfcp,
    /// GTP′, charging, UDP port 3386. TS 32.295.
    GtpPrime,
    /// Everything else.
    #[default]
    Other,
}

impl TrafficClass {
    /// Every class, in order.
    pub const ALL: [Self; 5] = [Self::GtpU, Self::GtpC, Self::Pfcp, Self::GtpPrime, Self::Other];

    /// UDP port of GTP-U, TS 29.281 4.4.2.
    pub const GTP_U_PORT: u16 = 2152;
    /// UDP port of GTP-C, TS 29.274 4.2.1.
    pub const GTP_C_PORT: u16 = 2123;
    /// UDP port of PFCP, TS 29.244 6.1.
    pub const PFCP_PORT: u16 = 8805;
    /// UDP port of GTP′, TS 32.295 6.1.
    pub const GTP_PRIME_PORT: u16 = 3386;

    /// The class of a UDP datagram: its destination port decides, else its source port.
    #[inline(always)]
    #[must_use]
    pub const fn of_udp(ports: PortPair) -> Self {
        match Self::of_port(ports.destination) {
            Self::Other => Self::of_port(ports.source),
            class => class,
        }
    }

    #[inline(always)]
    const fn of_port(port: u16) -> Self {
        match port {
            Self::GTP_U_PORT => Self::GtpU,
            Self::GTP_C_PORT => Self::GtpC,
            Self::PFCP_PORT => Self::Pfcp,
            Self::GTP_PRIME_PORT => Self::GtpPrime,
            _ => Self::Other,
        }
    }

    /// The name in the accounting.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GtpU => "gtp_u",
            Self::GtpC => "gtp_c",
            Self::Pfcp => "pfcp",
            Self::GtpPrime => "gtp_prime",
            Self::Other => "other",
        }
    }

    /// Whether these messages set up and end sessions: they go to every probe while
    /// `control = "broadcast"`, else to those of the sessions they concern.
    #[inline(always)]
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::GtpC | Self::Pfcp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destination_decides_before_source() {
        let class = |source, destination| TrafficClass::of_udp(PortPair { source, destination });
        assert_eq!(class(2152, 2123), TrafficClass::GtpC);
        assert_eq!(class(2123, 2152), TrafficClass::GtpU);
        assert_eq!(class(2152, 53), TrafficClass::GtpU);
        assert_eq!(class(53, 8805), TrafficClass::Pfcp);
        assert_eq!(class(3386, 53), TrafficClass::GtpPrime);
        assert_eq!(class(53, 5353), TrafficClass::Other);
    }
}
