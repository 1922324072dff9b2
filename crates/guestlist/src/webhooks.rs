//! Webhook endpoints, and sending to them.

use core::time::Duration;
use std::collections::BTreeSet;

use async_trait::async_trait;
use guestlist_membership::webhook::{
    DisabledFor, Endpoint, EndpointStatus, SecretVersion as KeptVersion, WebhookCommand,
};
use guestlist_membership::{Actor, Command, Fact, Reading, Row, Scope, Sequence};
use guestlist_store::{Cursor, EventFilter, Listed, Page, Query, Recorded, Store};
use guestlist_types::{ConsumerName, EndpointId, EndpointUrl, Label, OrgId};
use guestlist_webhooks::{
    EndpointKey, Outcome, RetrySchedule, SecretVersion, WebhookKeyId, WebhookKeyRing,
    WebhookSecret, WebhookTransport, sign,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facade::{Ask, Guestlist, Outcome as Decided, rows_of};
use crate::organizations::not_found;
use crate::outgoing::{Carried, Courier, DeadLetter, Delivered};

/// What webhooks are sent with.
pub(crate) struct Webhooks {
    keys: WebhookKeyRing,
    transport: Box<dyn WebhookTransport>,
    schedule: RetrySchedule,
}

impl Webhooks {
    pub(crate) fn new(keys: WebhookKeyRing, transport: impl WebhookTransport + 'static) -> Self {
        Self {
            keys,
            transport: Box::new(transport),
            schedule: RetrySchedule::default(),
        }
    }

    pub(crate) fn set_schedule(&mut self, schedule: RetrySchedule) {
        self.schedule = schedule;
    }

    fn secret(
        &self,
        organization: &OrgId,
        endpoint: EndpointId,
        version: KeptVersion,
    ) -> Option<WebhookSecret> {
        let key = EndpointKey {
            organization,
            endpoint: *endpoint.as_bytes(),
        };
        self.keys.secret(&key, unkept(version))
    }
}

const fn kept(version: SecretVersion) -> KeptVersion {
    KeptVersion {
        key: version.key().get(),
        generation: version.generation(),
    }
}

const fn unkept(version: KeptVersion) -> SecretVersion {
    SecretVersion::new(WebhookKeyId::new(version.key), version.generation)
}

/// Where an organization wants its events sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointDraft {
    url: EndpointUrl,
    label: Option<Label>,
    events: BTreeSet<String>,
}

impl EndpointDraft {
    /// All events, to this URL.
    #[must_use]
    pub const fn new(url: EndpointUrl) -> Self {
        Self {
            url,
            label: None,
            events: BTreeSet::new(),
        }
    }

    /// With this label.
    #[must_use]
    pub fn label(mut self, label: Label) -> Self {
        self.label = Some(label);
        self
    }

    /// Only events of this name, and of those named before. Names are those of
    /// [`Event::name`](crate::membership::Event::name), for example `membership-approved`.
    #[must_use]
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.events.insert(name.into());
        self
    }
}

/// An endpoint with the secret that its owner verifies messages with.
#[derive(Debug)]
#[non_exhaustive]
pub struct EndpointWithSecret {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The secret, `whsec_...`. It can be had again: [`Guestlist::endpoint_secret`].
    pub secret: WebhookSecret,
}

impl<S: Store> Guestlist<S> {
    fn webhooks(&self) -> Result<&Webhooks, Error> {
        self.config.webhooks.as_ref().ok_or(Error::NoWebhooks)
    }

    /// Sends an organization's events to this endpoint from now on. Needs `settings.manage`.
    ///
    /// Events are sent as they are in the log: never with a token, but with the address that an
    /// invite is for, and with the names and the verified address that somebody joins with.
    ///
    /// # Errors
    ///
    /// `no-webhooks`, `endpoint-not-encrypted`, `too-many`, `not-allowed`, `not-found`.
    pub async fn create_endpoint(
        &self,
        actor: &Actor,
        organization: &OrgId,
        draft: EndpointDraft,
    ) -> Result<EndpointWithSecret, Error> {
        let version = kept(self.webhooks()?.keys.first_version());
        let endpoint = self.draw(EndpointId::generate)?;
        let arguments = draft.clone();
        let command = WebhookCommand::Create {
            endpoint,
            url: draft.url,
            label: draft.label,
            events: draft.events,
            secret: version,
        };
        let command = Command::Webhook(command);
        let ask = Ask::new(organization, actor, command, "create-endpoint", &arguments);
        let endpoint = self
            .execute(ask, |outcome| endpoint_in(outcome, endpoint))
            .await?;
        self.with_secret(endpoint)
    }

    /// Changes where an endpoint is, what it is called and what it gets. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// As [`Guestlist::create_endpoint`].
    pub async fn edit_endpoint(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
        draft: EndpointDraft,
    ) -> Result<Endpoint, Error> {
        let command = WebhookCommand::Edit {
            endpoint,
            url: draft.url,
            label: draft.label,
            events: draft.events,
        };
        self.endpoint_command(actor, organization, command, "edit-endpoint")
            .await
    }

    /// Gives an endpoint another secret; messages carry both signatures for a while, at most seven
    /// days. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `no-webhooks`, `overlap-too-long`, `not-allowed`, `not-found`.
    pub async fn rotate_endpoint_secret(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
        overlap: Duration,
    ) -> Result<EndpointWithSecret, Error> {
        let held = self.endpoint(actor, organization, endpoint).await?;
        let version = self
            .webhooks()?
            .keys
            .next_version(unkept(held.secret))
            .ok_or(Error::WebhookKeyMissing)?;
        let command = WebhookCommand::Rotate {
            endpoint,
            secret: kept(version),
            overlap,
        };
        let endpoint = self
            .endpoint_command(actor, organization, command, "rotate-endpoint-secret")
            .await?;
        self.with_secret(endpoint)
    }

    /// Sends to an endpoint again, beginning with what it missed. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn enable_endpoint(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
    ) -> Result<Endpoint, Error> {
        let command = WebhookCommand::Enable { endpoint };
        self.endpoint_command(actor, organization, command, "enable-endpoint")
            .await
    }

    /// Sends nothing to an endpoint until it is enabled again. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn disable_endpoint(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
    ) -> Result<Endpoint, Error> {
        let command = WebhookCommand::Disable {
            endpoint,
            reason: DisabledFor::Asked,
        };
        self.endpoint_command(actor, organization, command, "disable-endpoint")
            .await
    }

    /// Deletes an endpoint. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn delete_endpoint(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
    ) -> Result<Endpoint, Error> {
        let command = WebhookCommand::Delete { endpoint };
        self.endpoint_command(actor, organization, command, "delete-endpoint")
            .await
    }

    async fn endpoint_command(
        &self,
        actor: &Actor,
        organization: &OrgId,
        command: WebhookCommand,
        operation: &'static str,
    ) -> Result<Endpoint, Error> {
        let endpoint = command.endpoint();
        let command = Command::Webhook(command);
        let arguments = command.clone();
        let ask = Ask::new(organization, actor, command, operation, &arguments);
        self.execute(ask, |outcome| endpoint_in(outcome, endpoint))
            .await
    }

    fn with_secret(&self, endpoint: Endpoint) -> Result<EndpointWithSecret, Error> {
        let secret = self
            .webhooks()?
            .secret(&endpoint.organization, endpoint.id, endpoint.secret)
            .ok_or(Error::WebhookKeyMissing)?;
        Ok(EndpointWithSecret { endpoint, secret })
    }

    /// One endpoint. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn endpoint(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
    ) -> Result<Endpoint, Error> {
        self.check_read(actor, organization, &Reading::Webhooks)
            .await?;
        let scope = Scope::of(organization.clone(), vec![Fact::Endpoint(endpoint)]);
        let records = self.records(&scope).await?;
        records
            .endpoint(organization, endpoint)
            .filter(|endpoint| endpoint.deleted_at.is_none())
            .cloned()
            .ok_or_else(|| not_found("endpoint"))
    }

    /// The secret of an endpoint, for its owner to verify messages with. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `no-webhooks`, `webhook-key-missing`, `not-allowed`, `not-found`.
    pub async fn endpoint_secret(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
    ) -> Result<EndpointWithSecret, Error> {
        let endpoint = self.endpoint(actor, organization, endpoint).await?;
        self.with_secret(endpoint)
    }

    /// The endpoints of an organization. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `cursor-invalid`.
    pub async fn endpoints(
        &self,
        actor: &Actor,
        organization: &OrgId,
        page: &Page,
    ) -> Result<(Vec<Endpoint>, Option<Cursor>), Error> {
        self.check_read(actor, organization, &Reading::Webhooks)
            .await?;
        self.endpoint_page(Some(organization.clone()), page).await
    }

    async fn endpoint_page(
        &self,
        organization: Option<OrgId>,
        page: &Page,
    ) -> Result<(Vec<Endpoint>, Option<Cursor>), Error> {
        let query = Query::Endpoints { organization };
        let Listed { rows, next } = self.list(&query, page).await?;
        let endpoints = rows_of(rows, |_, row| match row {
            Row::Endpoint(endpoint) => Some(*endpoint),
            _ => None,
        });
        Ok((endpoints, next))
    }

    /// What could not be delivered to an endpoint, oldest first: what is tried again, and what
    /// isn't any more. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn dead_letters(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
    ) -> Result<Vec<DeadLetter>, Error> {
        let endpoint = self.endpoint(actor, organization, endpoint).await?;
        self.dead_letters_of(&consumer_of(endpoint.id)).await
    }

    /// Has an event that could not be delivered tried again with the next round; all that are not
    /// tried any more, if none is named. Tells how many. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn replay(
        &self,
        actor: &Actor,
        organization: &OrgId,
        endpoint: EndpointId,
        event: Option<Sequence>,
    ) -> Result<usize, Error> {
        let endpoint = self.endpoint(actor, organization, endpoint).await?;
        self.try_again(&consumer_of(endpoint.id), event).await
    }

    /// Delivers what is due to every endpoint of every organization, at most `limit` new events to
    /// each, and tells what came of it. Call it again and again, from as many processes as you
    /// like: one endpoint is only ever served by one of them at a time.
    ///
    /// Events go out in their order, each until it arrives at least once. An endpoint that doesn't
    /// answer costs one attempt a round; what did not arrive is parked and tried again on its own
    /// after growing pauses, while newer events go on. After the last attempt it is a dead letter,
    /// for somebody to [replay](Guestlist::replay). One that answers `410` is disabled.
    ///
    /// # Errors
    ///
    /// `no-webhooks`, and those of the store.
    pub async fn deliver_webhooks(&self, limit: u32) -> Result<Delivered, Error> {
        let webhooks = self.webhooks()?;
        let mut done = Delivered::default();
        let mut page = Page::first(1000)?;
        loop {
            let (endpoints, next) = self.endpoint_page(None, &page).await?;
            for endpoint in endpoints {
                if endpoint.status == EndpointStatus::Enabled {
                    done += self.serve(webhooks, &endpoint, limit).await?;
                }
            }
            match next {
                Some(next) => page = page.after(next),
                None => return Ok(done),
            }
        }
    }

    async fn serve(
        &self,
        webhooks: &Webhooks,
        endpoint: &Endpoint,
        limit: u32,
    ) -> Result<Delivered, Error> {
        let filter = EventFilter {
            from: Some(endpoint.created_at),
            ..EventFilter::of(endpoint.organization.clone())
        };
        let now = self.now();
        let mut secrets = Vec::new();
        for version in endpoint.secrets(now) {
            let secret = webhooks.secret(&endpoint.organization, endpoint.id, version);
            let Some(secret) = secret else {
                tracing::error!(
                    endpoint = %endpoint.id,
                    "the master key of an endpoint's secret is not at hand"
                );
                return Ok(Delivered::default());
            };
            secrets.push(secret);
        }
        let courier = ToEndpoint {
            webhooks,
            endpoint,
            secrets,
            clock: self,
        };
        let name = consumer_of(endpoint.id);
        let done = match self
            .pump(&name, filter, &courier, &webhooks.schedule, limit)
            .await
        {
            // Somebody else goes on with it.
            Err(Error::ConsumerTaken) => Delivered {
                busy: 1,
                ..Delivered::default()
            },
            done => done?,
        };
        if done.gone > 0 {
            let command = WebhookCommand::Disable {
                endpoint: endpoint.id,
                reason: DisabledFor::Gone,
            };
            self.without_key()
                .endpoint_command(
                    &Actor::system(),
                    &endpoint.organization,
                    command,
                    "disable-endpoint",
                )
                .await?;
        }
        Ok(done)
    }
}

/// Carries events to one endpoint.
struct ToEndpoint<'a, S> {
    webhooks: &'a Webhooks,
    endpoint: &'a Endpoint,
    secrets: Vec<WebhookSecret>,
    clock: &'a Guestlist<S>,
}

/// What is sent.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    timestamp: guestlist_types::Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    organization: &'a OrgId,
    by: &'a guestlist_membership::By,
    event: &'a guestlist_membership::Event,
}

#[async_trait]
impl<S: Store> Courier for ToEndpoint<'_, S> {
    async fn carry(&self, recorded: &Recorded, _: &mut Vec<u32>) -> Result<Carried, Error> {
        let name = recorded.event.name();
        if !self.endpoint.wants(name) {
            return Ok(Carried::Unwanted);
        }
        let message = Message {
            name,
            timestamp: recorded.stamp.at,
            data: Data {
                organization: &recorded.organization,
                by: &recorded.stamp.by,
                event: &recorded.event,
            },
        };
        let failed = |code: &str| Carried::Failed {
            code: code.to_owned(),
            outcome: Outcome::Failed { retry_after: None },
        };
        let Ok(body) = serde_json::to_vec(&message) else {
            return Ok(failed("message-unprintable"));
        };
        let secrets: Vec<&WebhookSecret> = self.secrets.iter().collect();
        let id = format!("evt_{}_{}", recorded.commit, recorded.sequence.ordinal);
        let headers = match sign(&secrets, &id, self.clock.now(), &body) {
            Ok(headers) => headers,
            Err(error) => return Ok(failed(error.code())),
        };
        let attempt = self
            .webhooks
            .transport
            .post(&self.endpoint.url, &headers, &body)
            .await;
        let code = match &attempt {
            Ok(reply) => format!("http-{}", reply.status),
            Err(error) => error.code().to_owned(),
        };
        Ok(match Outcome::of(&attempt) {
            Outcome::Delivered => Carried::Delivered,
            outcome => Carried::Failed { code, outcome },
        })
    }
}

/// Every endpoint is a consumer of the feed.
fn consumer_of(endpoint: EndpointId) -> ConsumerName {
    ConsumerName::parse(&format!("webhook/{endpoint}")).expect("an id has hexadecimal digits")
}

fn endpoint_in(outcome: &Decided<'_>, endpoint: EndpointId) -> Result<Endpoint, Error> {
    outcome
        .records
        .endpoint(outcome.host, endpoint)
        .cloned()
        .ok_or_else(|| not_found("endpoint"))
}
