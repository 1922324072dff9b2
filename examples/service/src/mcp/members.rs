//! Memberships of organizations, from both sides.

use guestlist::types::MemberKind;
use guestlist::{Changed, Member, MemberFilter, Membership, Status};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Caller, all};
use super::error::{Answer, Refusal};
use super::share::proxy_name;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Joining {
    /// The name of the organization that joins yours
    member_org_name: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    /// The name of the organization that yours has joined
    host_org_name: String,
}

impl Joining {
    async fn member(&self, caller: &Caller) -> Result<Member, Refusal> {
        Ok(Member::Org(caller.named(&self.member_org_name).await?))
    }

    fn answer(&self, changed: &Changed) -> Result<Value, Refusal> {
        let status = news(changed)?;
        Ok(json!({ "member_org_name": self.member_org_name, "status": status }))
    }
}

/// The status after a step. A step that was taken before is no step.
fn news(changed: &Changed) -> Result<&'static str, Refusal> {
    let status = changed.membership.status.map_or("", Status::as_str);
    if changed.changed {
        Ok(status)
    } else {
        Err(Refusal::state(format!(
            "this membership is {status} already"
        )))
    }
}

pub(super) async fn pending(caller: &Caller) -> Answer {
    let requests = all(|page| async move {
        let (actor, host) = (&caller.actor, &caller.organization);
        let listed = caller.guests().pending(actor, host, None, &page).await?;
        Ok((listed.requests, listed.next))
    })
    .await?;
    let mut invites = Vec::new();
    for request in requests {
        if let Member::Org(organization) = &request.membership.member {
            invites.push(json!({
                "member_org_name": caller.name_of(organization).await?.as_str(),
                "status": "pending",
                "requested_at": request.membership.opened_at.as_micros() / 1_000_000,
            }));
        }
    }
    Ok(json!({ "invites": invites }))
}

/// The organizations that have joined the caller's or have asked to, whatever came of it.
pub(super) async fn joined(caller: &Caller) -> Result<Vec<Membership>, Refusal> {
    all(|page| async move {
        let filter = MemberFilter {
            kind: Some(MemberKind::Org),
            ..MemberFilter::default()
        };
        let (actor, host) = (&caller.actor, &caller.organization);
        let listed = caller.guests().members(actor, host, filter, &page).await?;
        Ok((listed.members, listed.next))
    })
    .await
}

pub(super) async fn list(caller: &Caller) -> Answer {
    let mut members = Vec::new();
    for membership in joined(caller).await? {
        if let Member::Org(organization) = &membership.member {
            members.push(json!({
                "member_org_name": caller.name_of(organization).await?.as_str(),
                "status": membership.status.map(Status::as_str),
                "proxy_username": proxy_name(caller, &membership).await?,
            }));
        }
    }
    Ok(json!({ "members": members }))
}

pub(super) async fn approve(caller: &Caller, joining: &Joining) -> Answer {
    let member = joining.member(caller).await?;
    let changed = caller
        .guests()
        .approve(&caller.actor, &caller.organization, &member)
        .await?;
    let mut answer = joining.answer(&changed)?;
    answer["proxy_username"] = proxy_name(caller, &changed.membership).await?.into();
    Ok(answer)
}

pub(super) async fn reject(caller: &Caller, joining: &Joining) -> Answer {
    let member = joining.member(caller).await?;
    let changed = caller
        .guests()
        .reject(&caller.actor, &caller.organization, &member, None)
        .await?;
    joining.answer(&changed)
}

pub(super) async fn remove(caller: &Caller, joining: &Joining) -> Answer {
    let member = joining.member(caller).await?;
    let changed = caller
        .guests()
        .remove(&caller.actor, &caller.organization, &member, None)
        .await?;
    joining.answer(&changed)
}

pub(super) async fn external(caller: &Caller) -> Answer {
    let memberships = all(|page| async move {
        let (actor, member) = (&caller.actor, caller.as_member());
        let listed = caller
            .guests()
            .memberships_of(actor, &member, None, &page)
            .await?;
        Ok((listed.members, listed.next))
    })
    .await?;
    let mut orgs = Vec::new();
    for membership in memberships {
        orgs.push(json!({
            "host_org_name": caller.name_of(&membership.host).await?.as_str(),
            "status": membership.status.map(Status::as_str),
        }));
    }
    Ok(json!({ "orgs": orgs }))
}

pub(super) async fn leave(caller: &Caller, host: &Host) -> Answer {
    let organization = caller.named(&host.host_org_name).await?;
    let changed = caller
        .guests()
        .leave(&caller.actor, &organization, &caller.as_member())
        .await?;
    let status = news(&changed)?;
    Ok(json!({ "host_org_name": host.host_org_name, "status": status }))
}
