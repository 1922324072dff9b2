//! Memberships: the machine.

mod accept;
mod command;
pub(crate) mod decide;
mod enter;
mod event;
pub(crate) mod evolve;
mod request;
mod state;

pub use command::{Changes, MemberCommand, Presented};
pub use event::{MemberEvent, Opening, Seat, UseChange};
pub use state::{
    ActingRule, Block, Cause, Door, Ended, Membership, Phase, Profile, ProxyUser, Status,
};
