//! The rules about webhook endpoints.

use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_access::Capability;
use guestlist_types::{EndpointUrl, OrgId};

use super::command::WebhookCommand;
use super::event::WebhookEvent;
use super::state::{DisabledFor, Endpoint, EndpointStatus};
use crate::actor::Actor;
use crate::command::Env;
use crate::error::CommandError;
use crate::event::Event;
use crate::organization::decide::existing;
use crate::record::Records;
use crate::standing::InOrg;

/// The longest time that an old secret signs beside the new one.
pub const MAX_SECRET_OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many event names an endpoint may ask for.
pub const MAX_EVENT_NAMES: usize = 100;

const MAX_NAME_CHARS: usize = 64;

pub(crate) fn decide(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    command: &WebhookCommand,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let standing = InOrg::actor(records, actor, host, env);
    standing.need(Capability::SettingsManage, "endpoint", env)?;
    existing(records, host)?;
    let found = || {
        records
            .endpoint(host, command.endpoint())
            .filter(|endpoint| endpoint.deleted_at.is_none())
            .ok_or(CommandError::NotFound { what: "endpoint" })
    };
    let id = command.endpoint();
    let event = match command {
        WebhookCommand::Create {
            url,
            label,
            events,
            secret,
            ..
        } => {
            check(actor, url, events)?;
            if records.endpoint(host, id).is_some() {
                return Err(CommandError::AlreadyRegistered);
            }
            let created = Endpoint {
                id,
                organization: host.clone(),
                url: url.clone(),
                label: label.clone(),
                events: events.clone(),
                secret: *secret,
                older_secret: None,
                status: EndpointStatus::Enabled,
                created_at: env.now,
                updated_at: env.now,
                deleted_at: None,
            };
            Some(WebhookEvent::Created(Box::new(created)))
        }
        WebhookCommand::Edit {
            url, label, events, ..
        } => {
            let endpoint = found()?;
            check(actor, url, events)?;
            let same =
                endpoint.url == *url && endpoint.label == *label && endpoint.events == *events;
            (!same).then(|| WebhookEvent::Edited {
                endpoint: id,
                url: url.clone(),
                label: label.clone(),
                events: events.clone(),
            })
        }
        WebhookCommand::Rotate {
            secret, overlap, ..
        } => {
            let endpoint = found()?;
            if *overlap > MAX_SECRET_OVERLAP {
                return Err(CommandError::OverlapTooLong);
            }
            (endpoint.secret != *secret).then_some(WebhookEvent::SecretRotated {
                endpoint: id,
                secret: *secret,
                until: env.now + *overlap,
            })
        }
        WebhookCommand::Enable { .. } => match found()?.status {
            EndpointStatus::Enabled => None,
            EndpointStatus::Disabled(_) => Some(WebhookEvent::Enabled { endpoint: id }),
        },
        WebhookCommand::Disable { reason, .. } => match found()?.status {
            EndpointStatus::Enabled => Some(WebhookEvent::Disabled {
                endpoint: id,
                reason: *reason,
            }),
            // Somebody's wish outlasts what the endpoint says of itself.
            EndpointStatus::Disabled(DisabledFor::Gone) if *reason == DisabledFor::Asked => {
                Some(WebhookEvent::Disabled {
                    endpoint: id,
                    reason: *reason,
                })
            }
            EndpointStatus::Disabled(_) => None,
        },
        WebhookCommand::Delete { .. } => {
            found()?;
            Some(WebhookEvent::Deleted { endpoint: id })
        }
    };
    Ok(event.map(Event::Webhook).into_iter().collect())
}

/// Everybody on the way reads what is sent without encryption, so only the host application
/// itself may ask for that.
fn check(actor: &Actor, url: &EndpointUrl, events: &BTreeSet<String>) -> Result<(), CommandError> {
    if !url.is_https() && !actor.is_system() {
        return Err(CommandError::EndpointNotEncrypted);
    }
    if events.len() > MAX_EVENT_NAMES {
        return Err(CommandError::TooMany {
            what: "events of an endpoint",
            max: MAX_EVENT_NAMES,
        });
    }
    if events.iter().any(|name| name.len() > MAX_NAME_CHARS) {
        return Err(CommandError::TooMany {
            what: "characters in the name of an event",
            max: MAX_NAME_CHARS,
        });
    }
    Ok(())
}
