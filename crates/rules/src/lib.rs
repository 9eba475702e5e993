//! The language of rules, in the style of Wireshark's display filters: from text to a checked tree, and the
//! slow, obvious evaluator that says what a tree means.
//!
//! ```
//! use rules::{Class, RuleSet, SourceFile};
//!
//! let text = r#"
//! [lists]
//! vip = ["001010000000001"]
//!
//! [[rule]]
//! name = "vip-voice"
//! when = 'session.imsi in @vip and session.apn == "ims"'
//! then = ["forward:voice", "alert:high"]
//! "#;
//! let set = RuleSet::parse(&[SourceFile::new("vip.toml", text)], |_| Ok(String::new())).unwrap();
//! assert_eq!(set.rules[0].class(), Class::Session);
//!
//! let wrong = text.replace("session.apn", "session.apm");
//! let problems = RuleSet::parse(&[SourceFile::new("vip.toml", &wrong)], |_| Ok(String::new())).unwrap_err();
//! assert_eq!(problems[0].what, "there is no field `session.apm`");
//! assert_eq!(problems[0].help.as_deref(), Some("did you mean `session.apn`?"));
//! ```
//!
//! This crate opens no file (who calls it reads them) and never sees a packet: what a field has is asked
//! through [`Facts`].
#![forbid(unsafe_code)]

mod action;
mod eval;
mod expression;
mod field;
mod file;
mod lex;
mod value;

pub use action::{Action, Header, Severity};
pub use eval::{Facts, holds};
pub use expression::{Comparison, Expression, Pattern, Relation, Set};
pub use field::{Class, Field, Kind};
pub use file::{List, ListId, Problem, Rule, RuleSet, Scope, SourceFile, Threshold};
pub use value::{Network, Value};
