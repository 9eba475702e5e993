//! The link layer that a port or a capture file speaks.

/// Link types that can be read. Numbers are those of capture files (`LINKTYPE_…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// Ethernet, with or without tags (1).
    #[default]
    Ethernet,
    /// An IPv4 or IPv6 header comes first (101; 12 and 14 in old files).
    RawIp,
    /// An IPv4 header comes first (228).
    RawIpv4,
    /// An IPv6 header comes first (229).
    RawIpv6,
    /// BSD loopback: the address family in the byte order of the machine that wrote it (0).
    Null,
    /// OpenBSD loopback: the address family in network byte order (108).
    Loop,
    /// Linux "cooked" capture (113).
    LinuxSll,
    /// Linux "cooked" capture, second version (276).
    LinuxSll2,
}

impl LinkType {
    /// The link type with this number in a capture file, if it can be read.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::RawIpv4,
            229 => Self::RawIpv6,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }

    /// The number that capture files carry.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::RawIp => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::RawIpv4 => 228,
            Self::RawIpv6 => 229,
            Self::LinuxSll2 => 276,
        }
    }
}
