//! GTP-U, GTP-C of both versions, PFCP and GTP′ of the packet builder.

use super::{Layer, Packet};

/// An extension header of GTP-U, TS 29.281 5.2.1.
#[derive(Clone, Copy, Debug)]
pub struct Extension<'a> {
    /// Its type, as the field before it says.
    pub kind: u8,
    /// Content: 4n - 2 bytes; filled up with zeros.
    pub content: &'a [u8],
}

/// Type of the PDU Session Container, TS 29.281 5.2.2.7.
pub const PDU_SESSION_CONTAINER: u8 = 0x85;

/// Content of a PDU Session Container, TS 38.415 5.5.2: downlink is PDU type 0, uplink 1.
#[must_use]
pub const fn pdu_session_container(uplink: bool, qfi: u8) -> [u8; 2] {
    [if uplink { 0x10 } else { 0x00 }, qfi & 0x3f]
}

/// What a GTP-U header says. TS 29.281 5.1.
#[derive(Clone, Copy, Debug)]
pub struct Gtpu<'a> {
    /// Message type.
    pub message: u8,
    /// TEID.
    pub teid: u32,
    /// Sequence number: sets S.
    pub sequence: Option<u16>,
    /// N-PDU number: sets PN.
    pub n_pdu: Option<u8>,
    /// Extension headers: sets E if there are any.
    pub extensions: &'a [Extension<'a>],
}

impl Gtpu<'_> {
    /// Echo Request.
    pub const ECHO_REQUEST: u8 = 1;
    /// Echo Response.
    pub const ECHO_RESPONSE: u8 = 2;
    /// Error Indication.
    pub const ERROR_INDICATION: u8 = 26;
    /// End Marker.
    pub const END_MARKER: u8 = 254;
    /// T-PDU.
    pub const T_PDU: u8 = 255;

    /// The 8-byte header of a T-PDU.
    #[must_use]
    pub fn t_pdu(teid: u32) -> Self {
        Self { message: Self::T_PDU, teid, sequence: None, n_pdu: None, extensions: &[] }
    }
}

impl Packet<'_> {
    /// GTP-U. TS 29.281 5.1.
    pub fn gtpu(&mut self, header: &Gtpu<'_>) -> &mut Self {
        self.push(Layer::Gtpu);
        let extended = !header.extensions.is_empty();
        let flags = u8::from(extended) << 2
            | u8::from(header.sequence.is_some()) << 1
            | u8::from(header.n_pdu.is_some());
        self.put(&[0x30 | flags, header.message]).put16(0).put32(header.teid);
        if flags == 0 {
            return self;
        }
        self.put16(header.sequence.unwrap_or(0)).put(&[header.n_pdu.unwrap_or(0)]);
        for extension in header.extensions {
            let units = (2 + extension.content.len()).div_ceil(4);
            self.put(&[extension.kind, units as u8]).put(extension.content);
            self.zeros(units * 4 - 2 - extension.content.len());
        }
        // The last "next type": none.
        self.put(&[0])
    }

    /// GTPv1-C with a sequence number. TS 29.060 6.
    pub fn gtpv1c(&mut self, message: u8, teid: u32, sequence: u16) -> &mut Self {
        self.push(Layer::Gtpv1c);
        self.put(&[0x32, message]).put16(0).put32(teid).put16(sequence).put16(0)
    }

    /// GTPv2-C; without a TEID the T flag is not set. TS 29.274 5.1.
    pub fn gtpv2c(&mut self, message: u8, teid: Option<u32>, sequence: u32) -> &mut Self {
        self.push(Layer::Gtpv2c);
        self.put(&[0x40 | u8::from(teid.is_some()) << 3, message]).put16(0);
        if let Some(teid) = teid {
            self.put32(teid);
        }
        self.put32(sequence << 8)
    }

    /// PFCP; without a SEID the S flag is not set. TS 29.244 7.2.2.
    pub fn pfcp(&mut self, message: u8, seid: Option<u64>, sequence: u32) -> &mut Self {
        self.push(Layer::Pfcp);
        self.put(&[0x20 | u8::from(seid.is_some()), message]).put16(0);
        if let Some(seid) = seid {
            self.put(&seid.to_be_bytes());
        }
        self.put32(sequence << 8)
    }

    /// GTP′ version 2 with its 6-byte header. TS 32.295 6.1.1.
    pub fn gtp_prime(&mut self, message: u8, sequence: u16) -> &mut Self {
        self.push(Layer::GtpPrime);
        self.put(&[0x4e, message]).put16(0).put16(sequence)
    }

    /// An information element of GTPv1 in TLV form. TS 29.060 7.7.
    pub fn gtpv1_tlv(&mut self, kind: u8, value: &[u8]) -> &mut Self {
        self.put(&[kind]).put16(value.len() as u16).put(value)
    }

    /// An information element of GTPv2. TS 29.274 8.2.1.
    pub fn gtpv2_ie(&mut self, kind: u8, instance: u8, value: &[u8]) -> &mut Self {
        self.put(&[kind]).put16(value.len() as u16).put(&[instance & 0x0f]).put(value)
    }

    /// An information element of PFCP. TS 29.244 8.1.1.
    pub fn pfcp_ie(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.put16(kind).put16(value.len() as u16).put(value)
    }

    /// An information element of GTPv1 without a length: a type below 128, a value of the length that
    /// the type has. TS 29.060 7.7.
    pub fn gtpv1_tv(&mut self, kind: u8, value: &[u8]) -> &mut Self {
        self.put(&[kind & 0x7f]).put(value)
    }

    /// A grouped information element of GTPv2: `content` writes what is in it. TS 29.274 8.2.1.
    pub fn gtpv2_group(&mut self, kind: u8, instance: u8, content: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.out.len() - self.start;
        self.gtpv2_ie(kind, instance, &[]);
        content(self);
        let length = self.out.len() - self.start - at - 4;
        self.set16(at + 1, length as u16);
        self
    }

    /// A grouped information element of PFCP: `content` writes what is in it. TS 29.244 8.1.1.
    pub fn pfcp_group(&mut self, kind: u16, content: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.out.len() - self.start;
        self.pfcp_ie(kind, &[]);
        content(self);
        let length = self.out.len() - self.start - at - 4;
        self.set16(at + 2, length as u16);
        self
    }
}
