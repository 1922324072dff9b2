//! The pure core of guestlist: how organizations and people are let into an organization.
//!
//! [`decide`] answers a [`Command`] with events or a typed refusal; [`evolve`] folds events into
//! [`Records`]. Both are pure: time, ids and digests come in as arguments, and every rule of the
//! domain is in a `decide` and nowhere else.
//!
//! Not here: storing (`guestlist-store`), clocks and randomness (`guestlist`), drawing and
//! checking secrets (`guestlist-token`), deciding on keys (`guestlist-access`).
//!
//! # The membership machine
//!
//! What a command does to the membership of a member, by the phase that it is in. `-` is a
//! refusal with [`CommandError::WrongState`] or, where there is no record, `NotFound`; `=` is a
//! success that changes nothing. A test derives this table from [`decide`].
//!
#![doc = include_str!("machine.md")]
#![warn(clippy::wildcard_enum_match_arm)]

mod actor;
mod command;
mod decide;
mod erase;
mod error;
mod event;
mod feed;
pub mod invite;
pub mod link;
pub mod member;
mod metadata;
pub mod organization;
mod policy;
pub mod presets;
mod read;
mod record;
mod route;
mod scope;
mod standing;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod webhook;

pub use actor::{Actor, By};
pub use command::{Command, Env, Stated};
pub use decide::{Decided, decide, evolve};
pub use error::{CommandError, TokenProblem, TokenRefusal};
pub use event::{Event, Stamp};
pub use feed::{ConsumerRecord, ParkedRecord, Sequence};
pub use metadata::{MAX_METADATA_BYTES, Metadata, MetadataError};
pub use policy::{AddressCheck, AfterRejection, Joins, Requests, Seats, SecondInvite, Standing};
pub use read::{Reading, capabilities, may_read};
pub use record::{Home, Records, Row, RowKey, SeatCount};
pub use route::{Reached, Unreachable, active_named, principal_of, reach_host, reach_own};
pub use scope::{Fact, InviteRef, LinkRef, Loaded, Root, Scope};
