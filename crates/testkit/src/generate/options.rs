//! What to generate.

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Number of subscribers.
    pub subscribers: u32,
    /// Length of the capture.
    pub seconds: f64,
    /// Frames for each second, signalling and users together.
    pub pps: u64,
    /// The same seed and options give the same bytes.
    pub seed: u64,
    /// Share of the sessions with IPv6, 0 to 1, some of them with IPv4 too; the others have IPv4 alone.
    pub ipv6: f64,
    /// Share of the subscribers in 5G, seen on N4 and N3, 0 to 1.
    pub nr: f64,
    /// Share of the subscribers in 2G and 3G, seen on Gn, 0 to 1; those in neither are in 4G.
    pub umts: f64,
    /// Share of the subscribers whose tunnels and signalling run over IPv6, 0 to 1.
    pub transport_ipv6: f64,
    /// VLAN of the tap; `None`: untagged.
    pub vlan: Option<u16>,
    /// Share of full-size packets that are too long for the transport network, 0 to 1: they come in
    /// two outer fragments.
    pub fragments: f64,
    /// Share of packets that were fragmented before they entered the tunnel, 0 to 1.
    pub inner_fragments: f64,
    /// Share of frames between the nodes themselves, 0 to 1: echo and heartbeat of every protocol,
    /// ARP, DNS, SCTP, BGP.
    pub other: f64,
    /// Whether sessions are set up, changed and ended by GTP-C and PFCP. Without it all sessions are up
    /// from the beginning and the tap sees S1-U, Gn and N3 alone: nothing tells whose they are.
    pub signalling: bool,
    /// Share of the GTP-C and PFCP messages that the tap does not see, 0 to 1.
    pub loss: f64,
    /// Share of the GTP-C and PFCP messages that the tap sees 1 to 20 ms late, 0 to 1.
    pub reorder: f64,
    /// Share of the GTP-C and PFCP messages that the tap sees twice, 0 to 1.
    pub dup: f64,
    /// Time of the first frame, nanoseconds since 1970.
    pub start_ns: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            subscribers: 1_000,
            seconds: 10.0,
            pps: 10_000,
            seed: 1,
            ipv6: 0.3,
            nr: 0.3,
            umts: 0.2,
            transport_ipv6: 0.05,
            vlan: None,
            fragments: 0.005,
            inner_fragments: 0.002,
            other: 0.01,
            signalling: true,
            loss: 0.0,
            reorder: 0.0,
            dup: 0.0,
            start_ns: 1_700_000_000_000_000_000,
        }
    }
}

/// Options that make no capture.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionsError {
    /// There must be 1 to [`Options::SUBSCRIBERS_MAX`] subscribers.
    Subscribers(u32),
    /// The length must be above 0 and at most [`Options::SECONDS_MAX`].
    Seconds(f64),
    /// There must be 1 to [`Options::PPS_MAX`] frames a second.
    Pps(u64),
    /// A share is not between 0 and 1.
    Share(&'static str, f64),
    /// Two shares of one whole are more than the whole.
    Shares(&'static str, &'static str, f64),
    /// A VLAN is 1 to 4094.
    Vlan(u16),
}

impl std::fmt::Display for OptionsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subscribers(got) => {
                write!(f, "subscribers: {got} is not 1 to {}", Options::SUBSCRIBERS_MAX)
            }
            Self::Seconds(got) => {
                write!(f, "seconds: {got} is not above 0 and at most {}", Options::SECONDS_MAX)
            }
            Self::Pps(got) => write!(f, "pps: {got} is not 1 to {}", Options::PPS_MAX),
            Self::Share(name, got) => write!(f, "{name}: {got} is not a share between 0 and 1"),
            Self::Shares(one, other, sum) => {
                write!(f, "{one} and {other}: together {sum}, which is more than 1")
            }
            Self::Vlan(got) => write!(f, "vlan: {got} is not 1 to 4094"),
        }
    }
}

impl std::error::Error for OptionsError {}

impl Options {
    /// As many as 10.0.0.0/8 has room for, in round figures.
    pub const SUBSCRIBERS_MAX: u32 = 10_000_000;
    /// A week.
    pub const SECONDS_MAX: f64 = 604_800.0;
    /// More than any link carries.
    pub const PPS_MAX: u64 = 1_000_000_000;

    /// Whether these options make a capture.
    ///
    /// # Errors
    /// The first option that is out of range.
    pub fn validate(&self) -> Result<(), OptionsError> {
        if !(1..=Self::SUBSCRIBERS_MAX).contains(&self.subscribers) {
            return Err(OptionsError::Subscribers(self.subscribers));
        }
        if !(self.seconds > 0.0 && self.seconds <= Self::SECONDS_MAX) {
            return Err(OptionsError::Seconds(self.seconds));
        }
        if !(1..=Self::PPS_MAX).contains(&self.pps) {
            return Err(OptionsError::Pps(self.pps));
        }
        if let Some(vlan) = self.vlan.filter(|vlan| !(1..=4094).contains(vlan)) {
            return Err(OptionsError::Vlan(vlan));
        }
        for (name, share) in [
            ("ipv6", self.ipv6),
            ("nr", self.nr),
            ("umts", self.umts),
            ("transport-ipv6", self.transport_ipv6),
            ("fragments", self.fragments),
            ("inner-fragments", self.inner_fragments),
            ("other", self.other),
            ("loss", self.loss),
            ("reorder", self.reorder),
            ("dup", self.dup),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(OptionsError::Share(name, share));
            }
        }
        if self.nr + self.umts > 1.0 {
            return Err(OptionsError::Shares("nr", "umts", self.nr + self.umts));
        }
        Ok(())
    }

    /// The number of frames of the capture, before the tap loses any or sees any twice.
    #[must_use]
    pub fn frames(&self) -> u64 {
        (self.seconds * self.pps as f64).round().max(1.0) as u64
    }
}
