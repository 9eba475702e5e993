//! Subscriber sessions: who a user packet belongs to, learned from control-plane events.
//!
//! [`Sessions`] is a state machine over [`types::SessionEvent`]: it keeps one object for each PDN
//! connection or PDU session with its identity and every F-TEID, and tells the keeper of the tunnel table
//! by [`Effects`] what to enter there. It never sees bytes, reads no clock, and allocates nothing after
//! the start but what a [`Record`] holds. A full table is an outcome that is counted.
//!
//! ```
//! use session::{Effects, Limits, SessionId, Sessions, TunnelId, View};
//! use types::{SessionEvent, Toward, TunnelKey, UeAddress};
//!
//! #[derive(Default)]
//! struct Table(std::collections::BTreeMap<TunnelKey, SessionId>);
//! impl Effects for Table {
//!     fn bind(&mut self, _: TunnelId, key: TunnelKey, view: &View) {
//!         self.0.insert(key, view.session);
//!     }
//!     fn retire(&mut self, _: TunnelId) {}
//!     fn unbind(&mut self, _: TunnelId, key: TunnelKey) {
//!         self.0.remove(&key);
//!     }
//!     fn place_ue(&mut self, _: std::net::IpAddr, _: Option<&View>) {}
//!     fn ended(&mut self, _: SessionId) {}
//!     fn merged(&mut self, _: &View, _: &View) {}
//!     fn folded(&mut self, _: SessionId, _: TunnelId, _: Option<Toward>) {}
//! }
//!
//! let (mut table, seed, cluster) = (Table::default(), 1, [1, 2, 3, 4]);
//! let limits = Limits { sessions_max: 100, tunnels_max: 400, ..Limits::default() };
//! let mut sessions = Sessions::new(limits, seed, cluster);
//! sessions.handle(&SessionEvent::new(), &mut table);   // as decoded from a packet
//! assert_eq!(sessions.counters().active, table.0.len() as u64);
//! ```
#![forbid(unsafe_code)]

mod record;
mod table;

mod arena;
mod changed;
mod effects;
mod endpoints;
mod fed;
mod gtpv1;
mod gtpv2;
mod index;
mod install;
mod intern;
mod life;
mod message;
mod parked;
mod peers;
mod pfcp;
mod relearn;
mod report;
mod saved;
mod sessions;
mod slots;
mod state;
#[cfg(test)]
mod tests;
mod transactions;
mod unknown;

pub use effects::{Counters, Effects, Full, Limits, Loss, Pin, Refused, SessionId, TunnelId, View};
pub use fed::Identity;
pub use record::{BearerRecord, FTeidRecord, Filter, Record, State};
pub use relearn::Contradiction;
pub use report::Cursor;
pub use saved::{NotRestored, Saved};
pub use sessions::{Ahead, Sessions};
pub use table::{
    Fill, InsertError, PackedKey, Reader, TableLimits, TunnelLimits, TunnelReader, TunnelWriter, VALUE_MAX,
    Writer, table, tunnels,
};
