//! The fields that an expression can name.

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A whole number.
    Number,
    /// A whole number of seconds; it may be written with a unit: `10m`.
    Seconds,
    /// Text.
    Text,
    /// An IPv4 or IPv6 address.
    Address,
    /// True or false.
    Truth,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// What it is called in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Seconds => "a number of seconds",
            Self::Text => "text",
            Self::Address => "an address",
            Self::Truth => "true or false",
            Self::Bytes => "bytes",
        }
    }
}

/// What has to be looked at to tell a value, the cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The session: told when it changes, and costs a packet nothing.
    Session,
    /// Headers of the packet.
    Header,
    /// What the packet carries for an application.
    Payload,
}

macro_rules! fields {
    ($($class:ident { $($variant:ident $name:literal $kind:ident $doc:literal)* })*) => {
        /// A field of a packet or of its session.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field {
            $($(#[doc = $doc] $variant,)*)*
        }

        impl Field {
            /// All there are.
            pub const ALL: &'static [Self] = &[$($(Self::$variant,)*)*];

            /// As it is written.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$variant => $name,)*)* }
            }

            /// What its values are.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $($(Self::$variant => Kind::$kind,)*)* }
            }

            /// Where its values come from.
            #[must_use]
            pub const fn class(self) -> Class {
                match self { $($(Self::$variant => Class::$class,)*)* }
            }

            /// What it is, for help texts.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $($(Self::$variant => $doc,)*)* }
            }
        }
    };
}

fields! {
    Header {
        PktLen "pkt.len" Number "Length of the frame on the wire, bytes."
        PktPort "pkt.port" Text "Name of the port it came from."
        VlanId "vlan.id" Number "VLAN identifiers, all tags of the frame."
        MplsLabel "mpls.label" Number "MPLS labels, all of the stack."
        IpSrc "ip.src" Address "Source of the outer IP header."
        IpDst "ip.dst" Address "Destination of the outer IP header."
        IpProto "ip.proto" Number "Protocol of the outer IP header."
        UdpSrcport "udp.srcport" Number "UDP source port, outside the tunnel."
        UdpDstport "udp.dstport" Number "UDP destination port, outside the tunnel."
        UdpPort "udp.port" Number "Both UDP ports, outside the tunnel."
        TcpSrcport "tcp.srcport" Number "TCP source port, outside any tunnel."
        TcpDstport "tcp.dstport" Number "TCP destination port, outside any tunnel."
        TcpPort "tcp.port" Number "Both TCP ports, outside any tunnel."
        GtpVersion "gtp.version" Number "Version of a GTP message: 1 or 2."
        GtpType "gtp.type" Number "Message type of a GTP message."
        GtpTeid "gtp.teid" Number "TEID in the header of a GTP message."
        GtpCause "gtp.cause" Number "Cause that a GTP-C answer gives."
        GtpQfi "gtp.qfi" Number "QoS flow in the PDU Session Container."
        PfcpType "pfcp.type" Number "Message type of a PFCP message."
        PfcpSeid "pfcp.seid" Number "SEID in the header of a PFCP message."
        PfcpCause "pfcp.cause" Number "Cause that a PFCP answer gives."
        InnerIpSrc "inner.ip.src" Address "Source of the IP header in the tunnel."
        InnerIpDst "inner.ip.dst" Address "Destination of the IP header in the tunnel."
        InnerIpProto "inner.ip.proto" Number "Protocol of the IP header in the tunnel."
        InnerIpDscp "inner.ip.dscp" Number "DSCP of the IP header in the tunnel."
        InnerUdpSrcport "inner.udp.srcport" Number "UDP source port in the tunnel."
        InnerUdpDstport "inner.udp.dstport" Number "UDP destination port in the tunnel."
        InnerUdpPort "inner.udp.port" Number "Both UDP ports in the tunnel."
        InnerTcpSrcport "inner.tcp.srcport" Number "TCP source port in the tunnel."
        InnerTcpDstport "inner.tcp.dstport" Number "TCP destination port in the tunnel."
        InnerTcpPort "inner.tcp.port" Number "Both TCP ports in the tunnel."
        InnerTcpFlags "inner.tcp.flags" Number "TCP flags in the tunnel, 12 bits: SYN is 2."
        InnerIcmpType "inner.icmp.type" Number "ICMP or ICMPv6 type in the tunnel."
    }
    Session {
        SessionImsi "session.imsi" Text "IMSI."
        SessionMsisdn "session.msisdn" Text "MSISDN."
        SessionImei "session.imei" Text "IMEI or IMEISV."
        SessionImeiTac "session.imei_tac" Text "Type allocation code: the first 8 digits of the IMEI."
        SessionApn "session.apn" Text "APN or DNN."
        SessionRat "session.rat" Text "Radio access, as in sessions.jsonl: \"EUTRAN\"."
        SessionMcc "session.mcc" Text "Mobile country code of the serving network."
        SessionMnc "session.mnc" Text "Mobile network code of the serving network."
        SessionArea "session.area" Number "Tracking or location area code."
        SessionCell "session.cell" Number "Cell identity."
        SessionQci "session.qci" Number "QCI or 5QI of its bearers."
        SessionUeIp "session.ue_ip" Address "Addresses of the UE; of IPv6 the prefix."
        SessionRoaming "session.roaming" Truth "Whether the subscriber is away from home."
        SessionKnown "session.known" Truth "Whether its control plane was seen."
        SessionAge "session.age" Seconds "Seconds since it was made."
    }
    Payload {
        DnsQname "dns.qname" Text "Names that a DNS query asks for."
        TlsSni "tls.sni" Text "Server name of a TLS ClientHello."
        HttpHost "http.host" Text "Host of an HTTP request."
        HttpUri "http.uri" Text "Target of an HTTP request."
        SipMethod "sip.method" Text "Method of a SIP request."
        SipFrom "sip.from" Text "From of a SIP message."
        SipTo "sip.to" Text "To of a SIP message."
        Payload "payload" Bytes "What the inner UDP or TCP carries."
    }
}

impl Field {
    /// The field of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_fields() {
        for &field in Field::ALL {
            assert_eq!(Field::named(field.name()), Some(field));
        }
        assert_eq!(Field::named("session.imsi "), None);
        assert_eq!(Field::SessionAge.class(), Class::Session);
        assert!(Class::Session < Class::Header && Class::Header < Class::Payload);
    }
}
