//! Subscriber sessions: who a user packet belongs to, learned from control-plane events.
#![forbid(unsafe_code)]

mod record;

pub use record::{BearerRecord, FTeidRecord, Filter, Record, State};
