//! Subscriber sessions: who a user packet belongs to, learned from control-plane events.
#![forbid(unsafe_code)]

mod record;
mod table;

pub use record::{BearerRecord, FTeidRecord, Filter, Record, State};
pub use table::{
    InsertError, PackedKey, Reader, TableLimits, TunnelLimits, TunnelReader, TunnelWriter, VALUE_MAX, Writer,
    table, tunnels,
};
