//! What GTPv1-C messages say of sessions. TS 29.060.

mod event;
pub mod ie;
mod pdp_context;

pub(crate) use event::fill;
