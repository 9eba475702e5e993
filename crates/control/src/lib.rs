//! The configuration file, the accounting and the sessions as a user sees them, and the API.
//!
//! [`Config`] is one TOML file, wholly checked before anything starts: an unknown key, a wrong type or
//! a value out of range is a message with file, line, column and the line itself. [`Stats`] is the
//! object in `stats.json`, its own audit ([`Stats::check`]) and a table for people. [`SessionJson`] is a
//! line of `sessions.jsonl`. [`serve`] answers on the control socket what a [`Backend`] knows, and
//! [`Client`] asks.
//!
//! This crate never touches a packet, a device or DPDK; it opens no file but those it is told to, and
//! the socket.
//!
//! ```
//! use control::{Config, Target};
//!
//! let (config, warnings) = Config::parse("snipe.toml", "[[probe]]\nname = \"a\"\nto = \"null\"")?;
//! assert_eq!(config.probes[0].to, Target::Null);
//! assert_eq!(config.groups[0].name, "default");
//! assert!(warnings.is_empty());
//!
//! let error = Config::parse("snipe.toml", "[lcore]").unwrap_err();
//! assert!(error.to_string().starts_with("snipe.toml:1:2: unknown table `[lcore]`"));
//! # Ok::<(), control::ConfigError>(())
//! ```
#![forbid(unsafe_code)]

mod api;
mod client;
mod config;
mod events;
mod feed;
mod identities;
mod message;
mod rule_files;
mod session_json;
mod session_table;
mod state;
mod stats;
#[cfg(any(test, fuzzing))]
mod testing;

#[cfg(any(test, fuzzing))]
pub use api::converse;
pub use api::{
    Backend, Busy, Cursor, Limits, Page, QueryError, ServeError, Server, ServerSettings, SessionQuery,
    Subscriber, TokenError, parse_imsi, parse_limit, parse_teid, parse_ue_ip, serve,
};
pub use client::{Client, ClientError};
pub use config::{
    Api, BroadcastAlso, Clock, ClusterKey, Config, Control, Decap, Eal, Group, Lcores, Mode, Network,
    OnReturn, Port, Probe, Role, Rotation, Rules, State, SubscriberIds, Target, Tcp, Tdb, TooManyProbes,
    Tracker, Unknown, parse_duration,
};
pub use events::{EVENT_NAMES, Event, Events};
pub use feed::{Fed, FeedEntry, FeedError, FeedTextError, check_ttl, parse_digits};
pub use identities::{Identities, Identity, Pseudonym, PseudonymKey};
pub use message::{ConfigError, Look, Problem, Warning};
pub use rule_files::{ListCost, RuleCost, load_rules, rule_fields};
pub use session_json::{SESSION_FIELDS, SessionJson};
pub use session_table::SessionTable;
pub use state::{Checkpoint, Damage, Loaded, Origin, StateError, Store};
pub use stats::{
    AccountingError, ByClass, ProbeStats, Reasons, Refused, RuleStats, RxStats, SessionStats, Stats,
};
