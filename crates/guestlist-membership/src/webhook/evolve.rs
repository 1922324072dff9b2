//! How a webhook endpoint's events change its record. No rule is here.

use guestlist_types::{EndpointId, OrgId};

use super::event::WebhookEvent;
use super::state::{Endpoint, EndpointStatus};
use crate::event::Stamp;
use crate::record::{Records, Row, RowKey};

pub(crate) fn evolve(records: &mut Records, host: &OrgId, stamp: &Stamp, event: &WebhookEvent) {
    match event {
        WebhookEvent::Created(endpoint) => records.put(
            RowKey::Endpoint(host.clone(), endpoint.id),
            Row::Endpoint(endpoint.clone()),
        ),
        WebhookEvent::Edited {
            endpoint,
            url,
            label,
            events,
        } => update(records, host, stamp, *endpoint, |endpoint| {
            endpoint.url = url.clone();
            endpoint.label.clone_from(label);
            endpoint.events.clone_from(events);
        }),
        WebhookEvent::SecretRotated {
            endpoint,
            secret,
            until,
        } => update(records, host, stamp, *endpoint, |endpoint| {
            endpoint.older_secret = Some((endpoint.secret, *until));
            endpoint.secret = *secret;
        }),
        WebhookEvent::Enabled { endpoint } => update(records, host, stamp, *endpoint, |endpoint| {
            endpoint.status = EndpointStatus::Enabled;
        }),
        WebhookEvent::Disabled { endpoint, reason } => {
            update(records, host, stamp, *endpoint, |endpoint| {
                endpoint.status = EndpointStatus::Disabled(*reason);
            });
        }
        WebhookEvent::Deleted { endpoint } => update(records, host, stamp, *endpoint, |endpoint| {
            endpoint.deleted_at = Some(stamp.at);
        }),
    }
}

fn update(
    records: &mut Records,
    host: &OrgId,
    stamp: &Stamp,
    id: EndpointId,
    change: impl FnOnce(&mut Endpoint),
) {
    if let Some(endpoint) = records.endpoint(host, id) {
        let mut endpoint = endpoint.clone();
        change(&mut endpoint);
        endpoint.updated_at = stamp.at;
        records.put(
            RowKey::Endpoint(host.clone(), id),
            Row::Endpoint(Box::new(endpoint)),
        );
    }
}
