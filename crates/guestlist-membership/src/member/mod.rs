//! Memberships: the machine.

mod command;
pub(crate) mod decide;
mod event;
pub(crate) mod evolve;
mod state;

pub use command::{Changes, MemberCommand, Presented};
pub use event::{MemberEvent, Opening, Seat, UseChange};
pub use state::{
    ActingRule, Block, Cause, Door, Ended, Membership, Phase, Profile, ProxyUser, Status,
};
