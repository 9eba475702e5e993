//! What a tunnel endpoint is: the interface it stands on and whose it is.

/// Which way the packets go that are sent to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Toward {
    /// To the network: its receiver is a gateway.
    Uplink,
    /// To the subscriber: its receiver is on the radio side.
    Downlink,
}

impl Toward {
    /// The other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Uplink => Self::Downlink,
            Self::Downlink => Self::Uplink,
        }
    }
}

/// The interface of an endpoint: the numbers of TS 29.274 8.22, and from 128 on those of Gn/Gp
/// (TS 29.060), N3, N9 and N4 (TS 29.244, TS 38.415), which have no number of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface(pub u8);

macro_rules! interfaces {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal, $toward:expr;)*) => {
        impl Interface {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// Every interface with a name.
            pub const ALL: &'static [Self] = &[$(Self($number),)*];

            /// The name of TS 29.274 8.22 without " interface"; `None` for a number that is not
            /// assigned.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                Some(match self.0 { $($number => $name,)* _ => return None })
            }

            /// Which way packets of users go to such an endpoint; `None` for the control plane, and
            /// where both ways are possible.
            #[must_use]
            pub const fn toward(self) -> Option<Toward> {
                match self.0 { $($number => $toward,)* _ => None }
            }
        }
    };
}

const UP: Option<Toward> = Some(Toward::Uplink);
const DOWN: Option<Toward> = Some(Toward::Downlink);

interfaces!(
    /// S1-U, the eNodeB's.
    S1U_ENODEB = 0, "S1-U eNodeB GTP-U", DOWN;
    /// S1-U, the SGW's.
    S1U_SGW = 1, "S1-U SGW GTP-U", UP;
    /// S12, the RNC's.
    S12_RNC = 2, "S12 RNC GTP-U", DOWN;
    /// S12, the SGW's.
    S12_SGW = 3, "S12 SGW GTP-U", UP;
    /// S5/S8 user plane, the SGW's.
    S5S8_SGW_U = 4, "S5/S8 SGW GTP-U", DOWN;
    /// S5/S8 user plane, the PGW's.
    S5S8_PGW_U = 5, "S5/S8 PGW GTP-U", UP;
    /// S5/S8 control plane, the SGW's.
    S5S8_SGW_C = 6, "S5/S8 SGW GTP-C", None;
    /// S5/S8 control plane, the PGW's.
    S5S8_PGW_C = 7, "S5/S8 PGW GTP-C", None;
    /// S5/S8 with PMIP, the SGW's.
    S5S8_SGW_PMIP = 8, "S5/S8 SGW PMIPv6", None;
    /// S5/S8 with PMIP, the PGW's.
    S5S8_PGW_PMIP = 9, "S5/S8 PGW PMIPv6", None;
    /// S11, the MME's.
    S11_MME = 10, "S11 MME GTP-C", None;
    /// S11 and S4, the SGW's.
    S11_SGW = 11, "S11/S4 SGW GTP-C", None;
    /// S10 and N26, the MME's.
    S10_MME = 12, "S10/N26 MME GTP-C", None;
    /// S3, the MME's.
    S3_MME = 13, "S3 MME GTP-C", None;
    /// S3, the SGSN's.
    S3_SGSN = 14, "S3 SGSN GTP-C", None;
    /// S4 user plane, the SGSN's.
    S4_SGSN_U = 15, "S4 SGSN GTP-U", DOWN;
    /// S4 user plane, the SGW's.
    S4_SGW_U = 16, "S4 SGW GTP-U", UP;
    /// S4 control plane, the SGSN's.
    S4_SGSN_C = 17, "S4 SGSN GTP-C", None;
    /// S16, the SGSN's.
    S16_SGSN = 18, "S16 SGSN GTP-C", None;
    /// Forwarding of downlink data at handover, the eNodeB's or gNB's.
    ENODEB_FORWARDING_DL = 19, "eNodeB/gNodeB GTP-U for DL data forwarding", DOWN;
    /// Forwarding of uplink data at handover, the eNodeB's.
    ENODEB_FORWARDING_UL = 20, "eNodeB GTP-U for UL data forwarding", UP;
    /// Forwarding of data at handover, the RNC's.
    RNC_FORWARDING = 21, "RNC GTP-U for data forwarding", DOWN;
    /// Forwarding of data at handover, the SGSN's.
    SGSN_FORWARDING = 22, "SGSN GTP-U for data forwarding", DOWN;
    /// Forwarding of downlink data at handover, the SGW's or UPF's.
    SGW_FORWARDING_DL = 23, "SGW/UPF GTP-U for DL data forwarding", DOWN;
    /// Sm, the MBMS gateway's.
    SM_MBMS_GW = 24, "Sm MBMS GW GTP-C", None;
    /// Sn, the MBMS gateway's.
    SN_MBMS_GW = 25, "Sn MBMS GW GTP-C", None;
    /// Sm, the MME's.
    SM_MME = 26, "Sm MME GTP-C", None;
    /// Sn, the SGSN's.
    SN_SGSN = 27, "Sn SGSN GTP-C", None;
    /// Forwarding of uplink data at handover, the SGW's.
    SGW_FORWARDING_UL = 28, "SGW GTP-U for UL data forwarding", UP;
    /// Sn user plane, the SGSN's.
    SN_SGSN_U = 29, "Sn SGSN GTP-U", DOWN;
    /// S2b control plane, the ePDG's.
    S2B_EPDG_C = 30, "S2b ePDG GTP-C", None;
    /// S2b user plane, the ePDG's.
    S2B_EPDG_U = 31, "S2b-U ePDG GTP-U", DOWN;
    /// S2b control plane, the PGW's.
    S2B_PGW_C = 32, "S2b PGW GTP-C", None;
    /// S2b user plane, the PGW's.
    S2B_PGW_U = 33, "S2b-U PGW GTP-U", UP;
    /// S2a user plane, the TWAN's.
    S2A_TWAN_U = 34, "S2a TWAN GTP-U", DOWN;
    /// S2a control plane, the TWAN's.
    S2A_TWAN_C = 35, "S2a TWAN GTP-C", None;
    /// S2a control plane, the PGW's.
    S2A_PGW_C = 36, "S2a PGW GTP-C", None;
    /// S2a user plane, the PGW's.
    S2A_PGW_U = 37, "S2a PGW GTP-U", UP;
    /// S11 user plane, the MME's.
    S11_MME_U = 38, "S11 MME GTP-U", DOWN;
    /// S11 user plane, the SGW's.
    S11_SGW_U = 39, "S11 SGW GTP-U", UP;
    /// Gn/Gp control plane, the SGSN's.
    GN_SGSN_C = 128, "Gn SGSN GTP-C", None;
    /// Gn/Gp control plane, the GGSN's.
    GN_GGSN_C = 129, "Gn GGSN GTP-C", None;
    /// Gn/Gp user plane, the SGSN's, or the RNC's with a direct tunnel.
    GN_SGSN_U = 130, "Gn SGSN GTP-U", DOWN;
    /// Gn/Gp user plane, the GGSN's.
    GN_GGSN_U = 131, "Gn GGSN GTP-U", UP;
    /// N3, the gNB's.
    N3_GNB = 132, "N3 gNB", DOWN;
    /// N3, the UPF's.
    N3_UPF = 133, "N3 UPF", UP;
    /// N9, a UPF's: both ways have one name.
    N9_UPF = 134, "N9 UPF", None;
    /// N4, the SMF's F-SEID.
    N4_SMF = 135, "N4 SMF", None;
    /// N4, the UPF's F-SEID.
    N4_UPF = 136, "N4 UPF", None;
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_has_a_name_of_its_own() {
        for (place, interface) in Interface::ALL.iter().enumerate() {
            let name = interface.name().unwrap();
            assert!(Interface::ALL.iter().skip(place + 1).all(|other| other.name() != Some(name)), "{name}");
        }
        assert_eq!(Interface(99).name(), None);
    }

    #[test]
    fn gateways_receive_uplink() {
        assert_eq!(Interface::S1U_SGW.toward(), Some(Toward::Uplink));
        assert_eq!(Interface::S5S8_SGW_U.toward(), Some(Toward::Downlink));
        assert_eq!(Interface::S11_MME.toward(), None);
    }
}
