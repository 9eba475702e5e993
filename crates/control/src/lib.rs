//! The configuration file, and the accounting as a user sees it.
//!
//! [`Config`] is one TOML file, wholly checked before anything starts: an unknown key, a wrong type or
//! a value out of range is a message with file, line, column and the line itself. [`Stats`] is the
//! object in `stats.json`, its own audit ([`Stats::check`]) and a table for people.
//!
//! This crate never touches a packet, a device or DPDK; it opens no file but the one it is told to load.
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

mod config;
mod message;
mod stats;

pub use config::{
    Api, BroadcastAlso, Clock, ClusterKey, Config, Control, Decap, Eal, Group, Lcores, Mode, Network,
    OnReturn, Port, Probe, Role, Rotation, Rules, State, SubscriberIds, Target, Tcp, Tdb, TooManyProbes,
    Tracker, Unknown,
};
pub use message::{ConfigError, Look, Problem, Warning};
pub use stats::{
    AccountingError, ByClass, ProbeStats, Reasons, Refused, RuleStats, RxStats, SessionStats, Stats,
};
