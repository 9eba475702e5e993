//! What GTPv2-C messages say of sessions. TS 29.274.

pub mod ie;
mod message;

pub(crate) use message::fill;
