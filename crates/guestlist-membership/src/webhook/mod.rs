//! Webhook endpoints: where an organization wants its events sent. Signing and sending are not
//! here.

mod command;
pub(crate) mod decide;
mod event;
pub(crate) mod evolve;
mod state;

pub use command::WebhookCommand;
pub use decide::{MAX_EVENT_NAMES, MAX_SECRET_OVERLAP};
pub use event::WebhookEvent;
pub use state::{DisabledFor, Endpoint, EndpointStatus, SecretVersion};
