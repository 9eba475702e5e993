//! The named reasons of the accounting. A new reason is one line here.

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// Every reason, in the order of the accounting.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the accounting.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons!(
    /// Why a packet could not be read to its end. It is not lost: it goes on by the innermost key
    /// that could be read, and is counted under the first reason met from outside in.
    Malformed {
        /// The frame ends inside its link-layer header.
        LinkTruncated => "link_truncated",
        /// The frame ends inside a VLAN tag.
        VlanTruncated => "vlan_truncated",
        /// The frame ends inside an MPLS label stack.
        MplsTruncated => "mpls_truncated",
        /// More layers than a packet may have: 8 VLAN tags, 8 MPLS labels, 2 IP headers outside a
        /// tunnel, 16 IPv6 extension headers.
        TooManyLayers => "too_many_layers",
        /// The data ends inside an IP header.
        IpTruncated => "ip_truncated",
        /// The version nibble is not the one that was announced.
        IpBadVersion => "ip_bad_version",
        /// An IPv4 header length below 5 words. RFC 791 3.1.
        IpBadIhl => "ip_bad_ihl",
        /// An IPv4 total length that is shorter than the header.
        IpBadLength => "ip_bad_length",
        /// The data ends inside an IPv6 extension header. RFC 8200 4.
        Ipv6ExtTruncated => "ipv6_ext_truncated",
        /// The data ends inside a UDP header.
        UdpTruncated => "udp_truncated",
        /// A UDP length of 1 to 7, or longer than the IP packet that is wholly there.
        UdpBadLength => "udp_bad_length",
        /// The data ends inside a TCP header.
        TcpTruncated => "tcp_truncated",
        /// A TCP data offset below 5 words, or beyond the segment. RFC 9293 3.1.
        TcpBadOffset => "tcp_bad_offset",
        /// The data ends inside an SCTP common header. RFC 9260 3.1.
        SctpTruncated => "sctp_truncated",
        /// The data ends inside a GRE header, or its version is not known. RFC 2784, RFC 2890.
        GreBad => "gre_bad",
        /// The data ends inside an ERSPAN header, or its version does not fit.
        ErspanBad => "erspan_bad",
        /// A VXLAN header is cut, or its I flag is not set. RFC 7348 5.
        VxlanBad => "vxlan_bad",
        /// A tunnelled tap's packet is a fragment: it cannot be unpacked and goes on as it is.
        DecapFragment => "decap_fragment",
        /// Fewer than 8 bytes on a GTP-U port. TS 29.281 5.1.
        GtpShort => "gtp_short",
        /// A GTP version other than 1 on a GTP-U port.
        GtpVersion => "gtp_version",
        /// The PT bit says GTP′ on a GTP-U port.
        GtpProtocolType => "gtp_protocol_type",
        /// A T-PDU whose length says that nothing is inside.
        GtpLenZero => "gtp_len_zero",
        /// The four optional bytes that E, S or PN announce are not there.
        GtpOptTruncated => "gtp_opt_truncated",
        /// An extension header of length 0. TS 29.281 5.2.1, TS 29.060 6.1.
        GtpExtLenZero => "gtp_ext_len_zero",
        /// An extension header of either plane that ends beyond the packet.
        GtpExtTruncated => "gtp_ext_truncated",
        /// More than 8 extension headers.
        GtpExtTooMany => "gtp_ext_too_many",
        /// An information element of a GTP-U message that ends beyond it, or is missing.
        GtpBadIe => "gtp_bad_ie",
        /// A T-PDU that holds neither IPv4 nor IPv6.
        InnerUnknown => "inner_unknown",
        /// A GTP-U port inside a GTP-U tunnel: counted, not followed.
        GtpNested => "gtp_nested",
        /// A GTP-C header that does not fit its message. TS 29.274 5.1, TS 29.060 6.
        GtpcShort => "gtpc_short",
        /// A GTP-C version other than 1 and 2.
        GtpcVersion => "gtpc_version",
        /// A GTP-C length that cannot hold its own header, or runs beyond the datagram.
        GtpcLength => "gtpc_length",
        /// An information element of GTP-C that ends beyond its message or group, whose value is not one
        /// of its type, or whose length cannot be known; or more of them than are read.
        GtpcBadIe => "gtpc_bad_ie",
        /// A PFCP header that does not fit its message. TS 29.244 7.2.2.
        PfcpShort => "pfcp_short",
        /// A PFCP version other than 1.
        PfcpVersion => "pfcp_version",
        /// A PFCP length that cannot hold its own header, or runs beyond the datagram.
        PfcpLength => "pfcp_length",
        /// An information element of PFCP that ends beyond its message or group, or whose value is not
        /// one of its type; or more of them, or of bundled messages, than are read.
        PfcpBadIe => "pfcp_bad_ie",
        /// A GTP′ header that does not fit its message. TS 32.295 6.1.
        GtpPrimeShort => "gtp_prime_short",
        /// A GTP′ message whose protocol-type bit says GTP.
        GtpPrimeProtocolType => "gtp_prime_protocol_type",
        /// A GTP′ length that runs beyond the datagram.
        GtpPrimeLength => "gtp_prime_length",
    }
);

reasons!(
    /// Why a packet, or one copy of it, left without being delivered.
    DropReason {
        /// A worker was too slow and its ring was full.
        RingFull => "ring_full",
        /// The buffer pool was empty when a copy had to be made.
        PoolEmpty => "pool_empty",
        /// The probe's port or ring took no more.
        ProbeFull => "probe_full",
        /// The probe's file could not be written.
        ProbeWrite => "probe_write",
        /// The frame is longer than the probe's port can send.
        ProbeMtu => "probe_mtu",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_snake_case() {
        for names in [
            Malformed::ALL.iter().map(|r| r.name()).collect::<std::vec::Vec<_>>(),
            DropReason::ALL.iter().map(|r| r.name()).collect(),
        ] {
            let set: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(set.len(), names.len());
            let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(names.iter().all(|name| name.chars().all(snake)));
        }
    }

    extern crate std;
}
