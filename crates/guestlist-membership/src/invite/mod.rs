//! E-mail invites: one address each, usable once.

mod command;
pub(crate) mod decide;
mod event;
pub(crate) mod evolve;
mod state;

pub use command::{DeliveryReport, InviteCommand, Mode, NewInvite};
pub use decide::{InvitePreview, MAX_INVITES, preview, problem};
pub use event::{Closing, InviteEvent};
pub use state::{
    AddressRecord, Closed, Delivery, EmailInvite, InviteConfig, InviteDraft, InvitePhase,
    InviteStatus, SignOn,
};
