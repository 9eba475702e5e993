//! What GTPv2-C messages say of sessions. TS 29.274.

mod event;
pub mod ie;

pub(crate) use event::fill;
