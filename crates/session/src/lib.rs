//! Subscriber sessions: who a user packet belongs to, learned from control-plane events.
#![forbid(unsafe_code)]

mod record;
mod table;

mod arena;
mod effects;
mod endpoints;
mod gtpv1;
mod gtpv2;
mod index;
mod install;
mod intern;
mod life;
mod message;
mod pfcp;
mod report;
mod sessions;
mod slots;
mod state;
#[cfg(test)]
mod tests;
mod transactions;
mod unknown;

pub use effects::{Counters, Effects, Full, Limits, Pin, Refused, SessionId, TunnelId, View};
pub use record::{BearerRecord, FTeidRecord, Filter, Record, State};
pub use report::Cursor;
pub use sessions::Sessions;
