//! What GTPv1-C messages say of sessions. TS 29.060.

pub mod ie;
mod message;
mod pdp_context;

pub(crate) use message::fill;
