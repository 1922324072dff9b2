//! Invite links: configuration, tokens, uses.

mod command;
pub(crate) mod decide;
mod event;
pub(crate) mod evolve;
mod state;

pub use command::{LinkCommand, NewToken};
pub use decide::{LinkCondition, LinkPreview, MAX_OVERLAP, preview, problem};
pub use event::{LinkEvent, TokenEnd};
pub use state::{
    Approval, Expiry, Generation, JoinedBy, Lasting, Link, LinkConfig, LinkDraft, LinkStatus,
    LinkUse, Preset, TokenRecord, TokenSubject, UseState, Uses,
};
