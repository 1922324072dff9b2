//! Organizations: names, status, settings, owners.

mod command;
pub(crate) mod decide;
mod event;
pub(crate) mod evolve;
mod state;

pub use command::OrganizationCommand;
pub use event::OrganizationEvent;
pub use state::{NameRecord, OrgStatus, Organization, Pause, Settings};
