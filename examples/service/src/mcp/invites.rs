//! Invite links for organizations, and claiming one.

use std::time::Duration;

use guestlist::membership::link::{Approval, Link};
use guestlist::token::token_from_url;
use guestlist::{Error, Issued, JoinedBy, LinkDraft, LinkFilter, LinkId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Caller, all};
use super::error::{Answer, Refusal};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    /// Approve whoever claims it, without a review
    #[serde(default)]
    auto_approve: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// The invite's id
    invite_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// The invite's token, or its whole URL
    token: String,
}

impl Which {
    fn id(&self) -> Result<LinkId, Refusal> {
        LinkId::parse(&self.invite_id).map_err(|_| Refusal::not_found("no such link"))
    }
}

pub(super) async fn create(caller: &Caller, new: New) -> Answer {
    let draft = if new.auto_approve {
        LinkDraft::auto()
    } else {
        LinkDraft::review()
    };
    let draft = draft.joined_by(JoinedBy::Organizations);
    let issued = caller
        .guests()
        .create_link(&caller.actor, &caller.organization, draft)
        .await?;
    Ok(with_token(&issued))
}

pub(super) async fn list(caller: &Caller) -> Answer {
    let links = all(|page| async move {
        let filter = LinkFilter::default();
        let (actor, host) = (&caller.actor, &caller.organization);
        let listed = caller.guests().links(actor, host, filter, &page).await?;
        Ok((listed.links, listed.next))
    })
    .await?;
    let mut invites = Vec::new();
    for listing in links {
        // Links for people are shown where people are invited.
        if listing.link.config.joined_by == JoinedBy::Users {
            continue;
        }
        let id = listing.link.id;
        let revealed = caller
            .guests()
            .reveal_link(&caller.actor, &caller.organization, id)
            .await;
        invites.push(match revealed {
            Ok(issued) => with_token(&issued),
            // A disabled link has no token.
            Err(Error::NotSealed | Error::Command(_)) => without_token(&listing.link),
            Err(error) => return Err(error.into()),
        });
    }
    Ok(json!({ "invites": invites }))
}

pub(super) async fn refresh(caller: &Caller, which: &Which) -> Answer {
    let issued = caller
        .guests()
        .refresh_link(
            &caller.actor,
            &caller.organization,
            which.id()?,
            Duration::ZERO,
        )
        .await?;
    Ok(with_token(&issued))
}

pub(super) async fn disable(caller: &Caller, which: &Which) -> Answer {
    let link = caller
        .guests()
        .disable_link(&caller.actor, &caller.organization, which.id()?)
        .await?;
    Ok(without_token(&link))
}

pub(super) async fn enable(caller: &Caller, which: &Which) -> Answer {
    let issued = caller
        .guests()
        .enable_link(&caller.actor, &caller.organization, which.id()?)
        .await?;
    Ok(with_token(&issued))
}

pub(super) async fn claim(caller: &Caller, claim: &Claim) -> Answer {
    let token = token_from_url(&claim.token).map_err(Error::from)?;
    let claimed = caller
        .guests()
        .claim(&caller.actor, &token, guestlist::Claim::for_organization())
        .await?
        .membership;
    Ok(json!({
        "host_org_name": caller.name_of(&claimed.host).await?.as_str(),
        "status": claimed.status.map(guestlist::Status::as_str),
    }))
}

fn without_token(link: &Link) -> Value {
    json!({
        "invite_id": link.id.to_string(),
        "token": null,
        "url": null,
        "auto_approve": link.config.approval == Approval::Auto,
        "status": link.status.as_str(),
    })
}

fn with_token(issued: &Issued) -> Value {
    let mut invite = without_token(&issued.link);
    if let Some(token) = &issued.token {
        invite["token"] = token.expose_secret().into();
    }
    if let Some(url) = &issued.url {
        invite["url"] = url.expose_secret().into();
    }
    invite
}
