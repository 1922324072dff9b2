//! `@org/key`: how a caller's keys and those of its hosts are reached.

use std::collections::BTreeSet;

use guestlist_access::{AccessBook, MemberPrincipal, Principal};
use guestlist_types::{GroupId, Member, OrgId, OrgName, ProxyUserId, Timestamp};

use crate::actor::Actor;
use crate::command::Env;
use crate::member::{ActingRule, Phase};
use crate::organization::{OrgStatus, Organization};
use crate::record::Records;
use crate::standing::{InOrg, host_kept, not_before};

/// Why an address leads nowhere. For the audit record only: towards the caller every reason is
/// one and the same answer (spec 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unreachable {
    /// No organization has this name now.
    UnknownOrganization,
    /// The organization is suspended or deleted.
    OrganizationNotActive,
    /// The caller acts in no organization, or doesn't belong to it.
    CallerNotInOrganization,
    /// The caller's organization is suspended or deleted.
    CallerNotActive,
    /// The caller's organization is no member; this is where its membership is.
    NotAMember(Phase),
    /// The caller's organization lets only others act through its proxy user.
    ActingNotAllowed,
}

impl Unreachable {
    /// The stable code of this reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownOrganization => "unknown-organization",
            Self::OrganizationNotActive => "organization-not-active",
            Self::CallerNotInOrganization => "caller-not-in-organization",
            Self::CallerNotActive => "caller-not-active",
            Self::NotAMember(_) => "not-a-member",
            Self::ActingNotAllowed => "acting-not-allowed",
        }
    }
}

/// Somebody who may be decided about: what they hold, and the proxy user that they act through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// What is held.
    pub principal: Principal,
    /// The proxy user, in another organization.
    pub proxy: Option<ProxyUserId>,
    /// From when on nothing is held any more, by time alone: a membership that this rests on ends
    /// then.
    pub until: Option<Timestamp>,
}

/// What an actor holds in the organization that it acts in.
///
/// # Errors
///
/// [`Unreachable`] if it doesn't belong to it, or the organization is not active.
pub fn reach_own(
    records: &Records,
    org: &OrgId,
    actor: &Actor,
    env: &Env<'_>,
) -> Result<Reached, Unreachable> {
    let env = &not_before(env, records);
    match records
        .organization(org)
        .map(|organization| organization.status)
    {
        Some(OrgStatus::Active) => {}
        Some(OrgStatus::Suspended | OrgStatus::Deleted) => {
            return Err(Unreachable::CallerNotActive);
        }
        None => return Err(Unreachable::UnknownOrganization),
    }
    let standing = InOrg::actor(records, actor, org, env);
    if !standing.is_member() {
        return Err(Unreachable::CallerNotInOrganization);
    }
    Ok(Reached {
        principal: standing.principal().clone(),
        proxy: None,
        until: actor
            .as_member()
            .and_then(|user| records.membership(org, &user))
            .and_then(|membership| membership.expires_at),
    })
}

/// What an actor holds in another organization: that of its own organization's proxy user there,
/// and nothing else. `book` is the access rules of the caller's organization, which its rule of
/// who may act can refer to.
///
/// # Errors
///
/// [`Unreachable`], which only the audit record may tell.
pub fn reach_host(
    records: &Records,
    host: Option<&OrgId>,
    actor: &Actor,
    book: Option<&AccessBook>,
    env: &Env<'_>,
) -> Result<Reached, Unreachable> {
    let env = &not_before(env, records);
    let caller = actor
        .organization()
        .ok_or(Unreachable::CallerNotInOrganization)?;
    // A name that leads nowhere has no home to load the caller's records from either.
    let host = host
        .and_then(|host| records.organization(host))
        .ok_or(Unreachable::UnknownOrganization)?;
    let own = reach_own(records, caller, actor, env).map_err(|error| match error {
        Unreachable::UnknownOrganization => Unreachable::CallerNotInOrganization,
        error @ (Unreachable::OrganizationNotActive
        | Unreachable::CallerNotInOrganization
        | Unreachable::CallerNotActive
        | Unreachable::NotAMember(_)
        | Unreachable::ActingNotAllowed) => error,
    })?;
    match host.status {
        OrgStatus::Active => {}
        OrgStatus::Suspended | OrgStatus::Deleted => {
            return Err(Unreachable::OrganizationNotActive);
        }
    }
    let membership = records
        .membership(&host.id, &Member::Org(caller.clone()))
        .ok_or(Unreachable::NotAMember(Phase::Never))?;
    let principal = membership
        .principal(env.roles, env.now)
        .ok_or_else(|| Unreachable::NotAMember(membership.phase(env.now)))?;
    if let Some(rule) = records.acting(caller, &host.id)
        && !may_act(rule, actor, &own.principal, book)
    {
        return Err(Unreachable::ActingNotAllowed);
    }
    Ok(Reached {
        principal: Principal::Member(principal),
        proxy: membership.proxy.as_ref().map(|proxy| proxy.id),
        until: [own.until, membership.expires_at]
            .into_iter()
            .flatten()
            .min(),
    })
}

/// "The member organization can restrict which of its users and groups may act through it"
/// (spec 7).
fn may_act(rule: &ActingRule, actor: &Actor, held: &Principal, book: Option<&AccessBook>) -> bool {
    if actor.is_system()
        || actor
            .user_id()
            .is_some_and(|user| rule.users.contains(user))
    {
        return true;
    }
    // "Membership follows the shape" (spec 8): the groups around one's own count, too.
    let around = |member: &MemberPrincipal| {
        let own = book.into_iter().flat_map(|book| {
            book.groups_of(&member.member)
                .filter(|(episode, _)| member.episodes.contains(*episode))
                .map(|(_, group)| group)
        });
        member.groups.iter().copied().chain(own).collect()
    };
    let mut next: Vec<GroupId> = held.member().map(around).unwrap_or_default();
    let mut seen = BTreeSet::new();
    while let Some(group) = next.pop() {
        // One that was deleted is nobody's any more, whatever rules and memberships still name.
        if book.is_none_or(|book| book.group(group).is_none()) {
            continue;
        }
        if rule.groups.contains(&group) {
            return true;
        }
        if seen.insert(group) {
            next.extend(book.into_iter().flat_map(|book| book.outer_groups(group)));
        }
    }
    false
}

/// What a member holds in an organization, to be explained to its managers; `None` if it is not
/// in. A user that guestlist keeps no membership of is taken for one of the host application's.
#[must_use]
pub fn principal_of(
    records: &Records,
    org: &OrgId,
    member: &Member,
    env: &Env<'_>,
) -> Option<MemberPrincipal> {
    match records
        .membership(org, member)
        .filter(|record| record.status.is_some())
    {
        Some(record) => record.principal(env.roles, env.now),
        None => match member {
            Member::User(_) => Some(host_kept(member.clone(), None, env)),
            Member::Org(_) => None,
        },
    }
}

/// The organization, if it is active and has this name now.
#[must_use]
pub fn active_named<'a>(
    records: &'a Records,
    org: &OrgId,
    name: &OrgName,
) -> Option<&'a Organization> {
    records
        .organization(org)
        .filter(|found| found.status == OrgStatus::Active && found.name == *name)
}
