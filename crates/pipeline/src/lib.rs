//! The stages of the dataplane and their order, from a port to the probes:
//!
//! ```text
//! Receiver: port → Decap → Classify → Resolve → ring ─► Worker: Balance → Deliver → port of a probe
//!                                     Tracker, Hold                              └──► ring ─► Writer → file
//! ```
//!
//! A [`Receiver`], a [`Worker`] and a [`Writer`] each have a `poll` that does one round of work and
//! never waits, so that one thread can run all of them in turn, or each can have a core. Generic over
//! ports and frames: the same code runs on live ports, on capture files and in tests. It reads no
//! clock and opens no device. Packets are accounted for by the cores' counters on a [`Board`].
//!
//! ```
//! use balance::{Balancer, ClusterKey, Group, Member, Mode};
//! use pipeline::{Board, Plan};
//! use types::ProbeId;
//!
//! let cluster = ClusterKey::new("change me");
//! let probe = Member::new(&cluster, ProbeId(0), "probe-1", 1);
//! let plan = Plan {
//!     balancer: Balancer::new(vec![Group::new(Mode::Session, vec![probe])], 0),
//!     probes: 1,
//!     cluster,
//!     ..Plan::default()
//! };
//! let board = Board::new(plan.probes);
//! assert_eq!(board.accounts().received, 0);
//! # let _ = plan;
//! ```
#![forbid(unsafe_code)]

mod accounts;
mod balance_stage;
mod classify;
mod decap;
mod deliver;
mod dispatch;
mod events;
mod feed;
mod follow;
mod fragments;
mod inquiry;
mod linear;
mod lines;
mod outbox;
mod plan;
mod readings;
mod receiver;
mod resolve;
mod scribe;
mod shown;
mod stay;
mod strangers;
mod tracker;
mod worker;
mod writer;

pub use accounts::{Accounts, Board, HoldCounters, ProbeAccount, SessionAccount};
pub use balance_stage::Balance;
pub use classify::{Classify, ForAll};
pub use decap::Decap;
pub use deliver::{Deliver, Target};
pub use dispatch::{Dispatch, Overflow};
pub use events::{Event, Listener, Named, What};
pub use feed::{FeedEntry, FeedPage, Feeder};
pub use fragments::{Fragments, Origin};
pub use inquiry::{Desk, Inquiry};
pub use plan::{Plan, PlanError, Source, Wiring, wire_up};
pub use readings::{Reading, Readings};
pub use receiver::{Intake, Receiver};
pub use scribe::{Archive, Chunk, Part, Restored, SavedSession};
pub use tracker::Tracker;
pub use worker::Worker;
pub use writer::{Handover, Writer};
