//! Who somebody is in an organization: the facts behind every check of authority.

use guestlist_access::{
    AccessBook, ActionSet, Capability, Episodes, Hand, MemberPrincipal, Pattern, PresetGrant,
    Principal,
};
use guestlist_types::{Member, MemberKind, OrgId, RoleName, UserId};

use crate::actor::Actor;
use crate::command::{Env, Stated};
use crate::error::CommandError;
use crate::link::Preset;
use crate::member::Phase;
use crate::record::Records;

/// What a person, or the host application itself, is in one organization.
#[derive(Debug, Clone)]
pub(crate) struct InOrg {
    user: Option<UserId>,
    is_system: bool,
    is_member: bool,
    role: Option<RoleName>,
    principal: Principal,
}

impl InOrg {
    /// The host application itself, which is like an owner everywhere.
    pub(crate) fn system(env: &Env<'_>) -> Self {
        Self {
            user: None,
            is_system: true,
            is_member: true,
            role: Some(env.roles.owner().clone()),
            principal: host_application(),
        }
    }

    /// What the actor is in `org`. A membership that guestlist keeps rules over what the host
    /// application states; once it has ended, nothing stated counts.
    pub(crate) fn actor(records: &Records, actor: &Actor, org: &OrgId, env: &Env<'_>) -> Self {
        let Some(user) = actor.user_id() else {
            return Self::system(env);
        };
        let stated = if actor.is_vouched_for() && actor.organization() == Some(org) {
            Stated {
                is_member: true,
                role: actor.stated_role().cloned(),
            }
        } else {
            Stated::NOBODY
        };
        Self::user(records, user, org, &stated, env)
    }

    /// What a user is in `org`, with what the host application states of somebody that guestlist
    /// keeps no membership of.
    pub(crate) fn user(
        records: &Records,
        user: &UserId,
        org: &OrgId,
        stated: &Stated,
        env: &Env<'_>,
    ) -> Self {
        let member = Member::User(user.clone());
        let record = records
            .membership(org, &member)
            .filter(|record| record.status.is_some());
        let (is_member, role, held) = match record {
            Some(record) if record.phase(env.now) == Phase::Approved => (
                true,
                record.role.clone(),
                record.principal(env.roles, env.now),
            ),
            None if stated.is_member => (
                true,
                stated.role.clone(),
                Some(host_kept(member, stated.role.as_ref(), env)),
            ),
            Some(_) | None => (false, None, None),
        };
        Self {
            user: Some(user.clone()),
            is_system: false,
            is_member,
            role,
            principal: held.map_or(Principal::Anonymous, Principal::Member),
        }
    }

    pub(crate) const fn is_system(&self) -> bool {
        self.is_system
    }

    pub(crate) const fn is_member(&self) -> bool {
        self.is_member
    }

    pub(crate) const fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(crate) fn can(&self, capability: Capability, env: &Env<'_>) -> bool {
        self.is_system || env.roles.holds(self.role.as_ref(), capability)
    }

    /// Refuses whoever is no member at all, with the answer that unknown things get.
    pub(crate) const fn need_member(&self, what: &'static str) -> Result<(), CommandError> {
        if self.is_member {
            Ok(())
        } else {
            Err(CommandError::NotFound { what })
        }
    }

    /// Refuses unless this person holds the capability. Whoever is no member at all is told that
    /// nothing is there, so that ids of other organizations can't be tried out.
    pub(crate) fn need(
        &self,
        capability: Capability,
        what: &'static str,
        env: &Env<'_>,
    ) -> Result<(), CommandError> {
        if self.can(capability, env) {
            Ok(())
        } else if self.is_member {
            Err(CommandError::NotAllowed { capability })
        } else {
            Err(CommandError::NotFound { what })
        }
    }

    /// This person as the giver of grants and groups.
    pub(crate) fn hand(&self) -> Hand<'_> {
        Hand {
            user: self.user.as_ref(),
            role: self.role.as_ref(),
            principal: &self.principal,
        }
    }

    /// Nobody gives, takes or acts on a role above their own.
    pub(crate) fn need_rank(&self, role: &RoleName, env: &Env<'_>) -> Result<(), CommandError> {
        if !env.roles.contains(role) {
            return Err(CommandError::UnknownRole);
        }
        if self.is_system || env.roles.within(role, self.role.as_ref()) {
            Ok(())
        } else {
            Err(CommandError::RoleAboveOwn)
        }
    }

    /// The same ceiling for a role that is taken from somebody. A role that the catalog no longer
    /// knows holds nothing, so it protects nobody from being removed.
    pub(crate) fn may_take(
        &self,
        role: Option<&RoleName>,
        env: &Env<'_>,
    ) -> Result<(), CommandError> {
        match role {
            Some(role) if env.roles.contains(role) => self.need_rank(role, env),
            Some(_) | None => Ok(()),
        }
    }

    /// The ceiling of every gift: role, groups and grants that this person may give to such a
    /// member now. A gift that names no role gives a user the lowest one.
    pub(crate) fn may_give(
        &self,
        gift: &Preset,
        kind: MemberKind,
        book: Option<&AccessBook>,
        env: &Env<'_>,
    ) -> Result<(), CommandError> {
        match kind {
            MemberKind::Org => {}
            MemberKind::User => {
                let lowest = || env.roles.default_role();
                self.need_rank(gift.role.as_ref().unwrap_or_else(lowest), env)?;
            }
        }
        self.may_give_keys(gift, kind, book, env)
    }

    /// The part of the ceiling that is about groups and grants. The host application holds
    /// everything, and is held to the fixed ceiling of proxy users all the same.
    pub(crate) fn may_give_keys(
        &self,
        gift: &Preset,
        kind: MemberKind,
        book: Option<&AccessBook>,
        env: &Env<'_>,
    ) -> Result<(), CommandError> {
        if !gift.reaches_keys() {
            return Ok(());
        }
        let book = book.ok_or(CommandError::FactMissing {
            fact: "access rules",
        })?;
        check_exists(gift, book)?;
        for group in &gift.groups {
            guestlist_access::may_give_group(book, &self.hand(), env.roles, *group, kind, env.now)?;
        }
        for grant in &gift.grants {
            guestlist_access::may_give_grant(
                book,
                &self.hand(),
                env.roles,
                grant.actions,
                &grant.pattern,
                kind,
                env.now,
            )?;
        }
        Ok(())
    }
}

/// A preset that names a group deleted meanwhile gives nothing, and says so: it never falls back
/// to less or more in silence.
fn check_exists(gift: &Preset, book: &AccessBook) -> Result<(), CommandError> {
    if gift.groups.iter().all(|group| book.group(*group).is_some()) {
        Ok(())
    } else {
        Err(CommandError::NotFound { what: "group" })
    }
}

/// A user whose membership the host application keeps itself: it holds what the access rules give
/// such users, and carries no preset.
pub(crate) fn host_kept(member: Member, role: Option<&RoleName>, env: &Env<'_>) -> MemberPrincipal {
    let mut principal = MemberPrincipal::new(member, Episodes::none());
    principal.role_is_owner = role.is_some_and(|role| env.roles.is_owner(role));
    principal
}

/// The host application itself holds everything, so that what it gives is never above its own.
fn host_application() -> Principal {
    let user = UserId::parse("host-application").expect("a plain word is a user id");
    let mut principal = MemberPrincipal::new(Member::User(user), Episodes::none());
    principal.grants.push(PresetGrant {
        actions: ActionSet::ALL,
        pattern: Pattern::all(),
    });
    principal.role_is_owner = true;
    Principal::Member(principal)
}

/// The same, at a time that is never earlier than what the records concerned hold, so that a clock
/// stepping back revives nothing.
pub(crate) fn not_before<'a>(env: &Env<'a>, records: &Records) -> Env<'a> {
    use crate::record::Row;
    let now = records.iter().fold(env.now, |now, (_, row)| match row {
        Row::Link(link) => now.max(link.updated_at),
        Row::Invite(invite) => now.max(invite.updated_at),
        Row::Membership(membership) => now.max(membership.updated_at),
        Row::Endpoint(endpoint) => now.max(endpoint.updated_at),
        Row::Organization(organization) => now.max(organization.updated_at),
        Row::Name(_)
        | Row::Owners(_)
        | Row::Tally(_)
        | Row::AccessHead(_)
        | Row::LinkUse(_)
        | Row::Token(_)
        | Row::Address(_)
        | Row::Consumer(_)
        | Row::Parked(_)
        | Row::Acting(_)
        | Row::Group(_)
        | Row::GroupMember
        | Row::Grant(_)
        | Row::UseCount(_)
        | Row::SeatCount(_) => now,
    });
    Env { now, ..*env }
}
