//! Who may change groups and grants, and what a change comes to.

use core::cell::LazyCell;

use guestlist_types::{
    GrantId, GroupId, GroupName, Member, MemberKind, RoleName, Timestamp, UserId,
};

use crate::action::{Action, ActionSet};
use crate::book::{AccessBook, Episode, Giver, Grant, Group, GroupMember, Sharing, Subject};
use crate::closure::{Closure, has_outsiders};
use crate::command::{AccessCommand, Grantee};
use crate::coverage::Coverage;
use crate::decide::{includes, readable};
use crate::event::AccessEvent;
use crate::pattern::Pattern;
use crate::principal::{MemberPrincipal, Principal};
use crate::role::{Capability, RoleCatalog};

/// Whoever performs a change: its standing in the host and what it holds itself.
#[derive(Debug, Clone, Copy)]
pub struct Hand<'a> {
    /// The user that is recorded as the giver; the host application itself if `None`. It is no
    /// authority.
    pub user: Option<&'a UserId>,
    /// The role in the host; none can nothing.
    pub role: Option<&'a RoleName>,
    /// What the hand holds, for the sharing rule.
    pub principal: &'a Principal,
}

/// The member that a command names, as far as memberships know it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Who it is.
    pub member: &'a Member,
    /// Its live standing; `None` if its membership is not live, or there is none.
    pub live: Option<&'a MemberPrincipal>,
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// An outsider, or somebody who is not signed in, never changes or gives anything.
    #[error("outsiders change and give nothing")]
    Outsider,
    /// The role lacks what this command needs.
    #[error("this needs the capability `{capability}`")]
    MissingCapability {
        /// What it lacks.
        capability: Capability,
    },
    /// Only the owner role gives, and takes back, in this organization.
    #[error("only owners share in this organization")]
    OwnersOnly,
    /// The hand doesn't hold `share` over the whole pattern.
    #[error("this needs `share` over the whole pattern")]
    ShareNotHeld {
        /// The pattern in question; of a grant that a group reaches, if a group is given.
        pattern: Pattern,
    },
    /// The hand doesn't hold an action, that it would give, over the whole pattern.
    #[error("`{action}` can only be given by somebody who holds it over the whole pattern")]
    ActionNotHeld {
        /// What it lacks.
        action: Action,
        /// The pattern in question; of a grant that a group reaches, if a group is given.
        pattern: Pattern,
    },
    /// There is no such group.
    #[error("there is no group `{group}`")]
    GroupNotFound {
        /// The id in question.
        group: GroupId,
    },
    /// The id is another group's, or was one's.
    #[error("the id `{group}` belongs to another group")]
    GroupExists {
        /// The id in question.
        group: GroupId,
    },
    /// The name is another group's.
    #[error("the group name `{name}` is taken")]
    GroupNameTaken {
        /// The name in question.
        name: GroupName,
    },
    /// The inner group contains the outer one already, or is the same.
    #[error("group `{inner}` can't be in `{outer}`, which is in it")]
    GroupCycle {
        /// The group that should contain.
        outer: GroupId,
        /// The group that should be contained.
        inner: GroupId,
    },
    /// An outsider would come into an internal group.
    #[error("group `{group}` is internal: no outsider can be in it")]
    InternalGroup {
        /// The internal group, which may be further out than the one in the command.
        group: GroupId,
    },
    /// A group with outsiders in it can't be marked internal.
    #[error("there are outsiders in group `{group}`")]
    OutsiderInGroup {
        /// The group in question.
        group: GroupId,
    },
    /// The member is in the group through its membership, or because it is an outsider and this is
    /// the external group. That is not changed here.
    #[error("the member is in group `{group}` through its membership or as an outsider")]
    HeldOtherwise {
        /// The group in question.
        group: GroupId,
    },
    /// The member has no live standing in the host, so nothing can be given to it.
    #[error("the {member} is not a member now")]
    MemberNotLive {
        /// Who.
        member: Member,
    },
    /// There is no such grant.
    #[error("there is no grant `{grant}`")]
    GrantNotFound {
        /// The id in question.
        grant: GrantId,
    },
    /// The id is another grant's.
    #[error("the id `{grant}` belongs to another grant")]
    GrantExists {
        /// The id in question.
        grant: GrantId,
    },
    /// A grant of no action.
    #[error("a grant needs at least one action")]
    NoActions,
    /// A grant that has ended before it was made.
    #[error("a grant must end in the future")]
    AlreadyExpired,
    /// An outsider can't be given these actions.
    #[error("outsiders can't be given `{actions}`")]
    OutsiderCeiling {
        /// Those of the actions that it can't be given.
        actions: ActionSet,
    },
}

impl AccessError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Outsider => "outsider",
            Self::MissingCapability { .. } => "missing-capability",
            Self::OwnersOnly => "owners-only",
            Self::ShareNotHeld { .. } => "share-not-held",
            Self::ActionNotHeld { .. } => "action-not-held",
            Self::GroupNotFound { .. } => "group-not-found",
            Self::GroupExists { .. } => "group-exists",
            Self::GroupNameTaken { .. } => "group-name-taken",
            Self::GroupCycle { .. } => "group-cycle",
            Self::InternalGroup { .. } => "internal-group",
            Self::OutsiderInGroup { .. } => "outsider-in-group",
            Self::HeldOtherwise { .. } => "group-held-otherwise",
            Self::MemberNotLive { .. } => "member-not-live",
            Self::GrantNotFound { .. } => "grant-not-found",
            Self::GrantExists { .. } => "grant-exists",
            Self::NoActions => "grant-without-actions",
            Self::AlreadyExpired => "grant-already-expired",
            Self::OutsiderCeiling { .. } => "outsider-ceiling",
        }
    }
}

/// What `command` comes to if `hand` may give it: the events, or none where everything is so
/// already.
///
/// `target` is the member that the command names; without it, or without a live standing, nothing
/// can be given to that member, and things can still be taken away.
///
/// # Errors
///
/// Says which rule refuses. Nothing is revealed to a hand without the capability that the command
/// needs: that is checked before anything is looked up.
///
/// ```
/// # use guestlist_access::*;
/// # use guestlist_types::*;
/// # let (now, group) = (Timestamp::from_micros(0), GroupId::from_bytes([1; 16]));
/// let user = UserId::parse("ada").unwrap();
/// let roles = RoleCatalog::owner_admin_member();
/// let ada = MemberPrincipal::new(Member::User(user.clone()), Episodes::none());
/// let hand = Hand {
///     user: Some(&user),
///     role: Some(roles.owner()),
///     principal: &ada.into(),
/// };
/// let command = AccessCommand::CreateGroup {
///     id: group,
///     name: GroupName::parse("Design").unwrap(),
///     internal: false,
/// };
/// let mut book = AccessBook::new();
/// for event in decide_change(&book, &command, &hand, None, &roles, now)? {
///     evolve(&mut book, &event);
/// }
/// assert!(book.group(group).is_some());
/// assert_eq!(decide_change(&book, &command, &hand, None, &roles, now)?, []);
/// # Ok::<(), AccessError>(())
/// ```
pub fn decide_change(
    book: &AccessBook,
    command: &AccessCommand,
    hand: &Hand<'_>,
    target: Option<Target<'_>>,
    roles: &RoleCatalog,
    now: Timestamp,
) -> Result<Vec<AccessEvent>, AccessError> {
    let case = Case {
        book,
        hand,
        roles,
        now,
    };
    case.insider()?;
    match command {
        AccessCommand::CreateGroup { id, name, internal } => {
            case.capability(Capability::GroupsManage)?;
            if let Some(group) = book.group(*id) {
                return if group.name == *name && group.internal == *internal {
                    Ok(Vec::new())
                } else {
                    Err(AccessError::GroupExists { group: *id })
                };
            }
            // "A new group ... inherits nothing", also not what stored rows left behind.
            if case.has_left_rows(*id) {
                return Err(AccessError::GroupExists { group: *id });
            }
            case.name_is_free(name)?;
            Ok(vec![AccessEvent::GroupCreated(Group {
                id: *id,
                name: name.clone(),
                internal: *internal,
                created_at: now,
            })])
        }
        AccessCommand::RenameGroup { group, name } => {
            case.capability(Capability::GroupsManage)?;
            let group = case.group(*group)?;
            if group.name == *name {
                return Ok(Vec::new());
            }
            case.name_is_free(name)?;
            Ok(vec![AccessEvent::GroupRenamed(Group {
                name: name.clone(),
                ..group.clone()
            })])
        }
        AccessCommand::DeleteGroup { group } => case.delete_group(*group),
        AccessCommand::MarkInternal { group, internal } => {
            case.capability(Capability::GroupsManage)?;
            let group = case.group(*group)?;
            if group.internal == *internal {
                return Ok(Vec::new());
            }
            // "Groups can be marked internal (no outsider can be in them, by any path)."
            if *internal && has_outsiders(book, group.id) {
                return Err(AccessError::OutsiderInGroup { group: group.id });
            }
            Ok(vec![AccessEvent::GroupMarkedInternal(Group {
                internal: *internal,
                ..group.clone()
            })])
        }
        AccessCommand::AddToGroup { group, member } => {
            case.give_group(*group, member.kind())?;
            case.add_member(*group, member, target)
        }
        AccessCommand::RemoveFromGroup { group, member } => {
            // An outsider that got into an internal group can be taken out.
            case.give_group(*group, MemberKind::User)?;
            case.remove_member(*group, member, target)
        }
        AccessCommand::NestGroup { outer, inner } => case.nest(*outer, *inner),
        AccessCommand::UnnestGroup { outer, inner } => {
            case.give_group(*outer, MemberKind::User)?;
            let inner = GroupMember::Group(case.group(*inner)?.id);
            let is_nested = book.members_of(*outer).any(|member| *member == inner);
            let event = AccessEvent::RemovedFromGroup {
                group: *outer,
                member: inner,
            };
            Ok(changed(is_nested, event))
        }
        AccessCommand::SetExternalGroup(group) => case.set_external_group(*group),
        AccessCommand::SetSharing(sharing) => {
            case.capability(Capability::SettingsManage)?;
            let event = AccessEvent::SharingSet(*sharing);
            Ok(changed(book.head().sharing != *sharing, event))
        }
        AccessCommand::Grant {
            id,
            to,
            actions,
            pattern,
            expires_at,
        } => {
            if !now.is_before_end(*expires_at) {
                return Err(AccessError::AlreadyExpired);
            }
            let kind = match to {
                Grantee::Organization(_) | Grantee::Group(_) => MemberKind::User,
                Grantee::Member(member) => member.kind(),
            };
            case.give_grant(*actions, pattern, kind)?;
            case.grant(Grant {
                id: *id,
                giver: match hand.user {
                    Some(user) => Giver::User(user.clone()),
                    None => Giver::System,
                },
                at: now,
                expires_at: *expires_at,
                subject: case.subject(to, target)?,
                actions: *actions,
                pattern: pattern.clone(),
            })
        }
        AccessCommand::Revoke { grant } => {
            let found = book
                .grant(*grant)
                .ok_or(AccessError::GrantNotFound { grant: *grant })?;
            case.may_revoke(&found.pattern)?;
            Ok(vec![AccessEvent::GrantRevoked { grant: *grant }])
        }
    }
}

/// Whether `hand` may put a member of this kind into `group`, by any door.
///
/// It needs `groups.manage`, and every live grant that the group reaches, also through the groups
/// that contain it, must be one that the hand may give. Outsiders come into no internal group.
///
/// # Errors
///
/// Says which rule refuses.
pub fn may_give_group(
    book: &AccessBook,
    hand: &Hand<'_>,
    roles: &RoleCatalog,
    group: GroupId,
    to: MemberKind,
    now: Timestamp,
) -> Result<(), AccessError> {
    let case = Case {
        book,
        hand,
        roles,
        now,
    };
    case.insider()?;
    case.give_group(group, to)
}

/// Whether `hand` may give these actions on `pattern` to a member of this kind, by any door.
///
/// What it must hold is said by [`Sharing`]; no capability is needed. Outsiders are given neither
/// `share` nor `public_read`.
///
/// # Errors
///
/// Says which rule refuses.
pub fn may_give_grant(
    book: &AccessBook,
    hand: &Hand<'_>,
    roles: &RoleCatalog,
    actions: ActionSet,
    pattern: &Pattern,
    to: MemberKind,
    now: Timestamp,
) -> Result<(), AccessError> {
    let case = Case {
        book,
        hand,
        roles,
        now,
    };
    case.insider()?;
    case.give_grant(actions, pattern, to)
}

/// What an outsider can't be given directly; what reaches it through groups, the decision holds to
/// the same ceiling.
const NEVER_TO_OUTSIDERS: ActionSet = ActionSet::of(&[Action::Share, Action::PublicRead]);

/// All that the rules look at.
struct Case<'a> {
    book: &'a AccessBook,
    hand: &'a Hand<'a>,
    roles: &'a RoleCatalog,
    now: Timestamp,
}

impl<'a> Case<'a> {
    /// "A proxy user never gives anything."
    fn insider(&self) -> Result<(), AccessError> {
        match self.hand.principal {
            Principal::Member(member) if !member.is_outsider() => Ok(()),
            Principal::Member(_) | Principal::Anonymous => Err(AccessError::Outsider),
        }
    }

    fn capability(&self, capability: Capability) -> Result<(), AccessError> {
        if self.roles.holds(self.hand.role, capability) {
            Ok(())
        } else {
            Err(AccessError::MissingCapability { capability })
        }
    }

    fn is_owner(&self) -> bool {
        self.hand.role.is_some_and(|role| self.roles.is_owner(role))
    }

    fn group(&self, group: GroupId) -> Result<&'a Group, AccessError> {
        self.book
            .group(group)
            .ok_or(AccessError::GroupNotFound { group })
    }

    fn name_is_free(&self, name: &GroupName) -> Result<(), AccessError> {
        match self.book.group_named(name) {
            Some(_) => Err(AccessError::GroupNameTaken { name: name.clone() }),
            None => Ok(()),
        }
    }

    fn has_left_rows(&self, group: GroupId) -> bool {
        self.book.head().external_group == Some(group)
            || self.book.members_of(group).next().is_some()
            || self.book.outer_groups(group).next().is_some()
            || self.book.grants_to_group(group).next().is_some()
    }

    fn give_grant(
        &self,
        actions: ActionSet,
        pattern: &Pattern,
        to: MemberKind,
    ) -> Result<(), AccessError> {
        if actions.is_empty() {
            return Err(AccessError::NoActions);
        }
        let refused = match to {
            MemberKind::Org => actions.intersection(NEVER_TO_OUTSIDERS),
            MemberKind::User => ActionSet::EMPTY,
        };
        if !refused.is_empty() {
            return Err(AccessError::OutsiderCeiling { actions: refused });
        }
        self.gives(actions, pattern, |action, pattern| {
            self.holds(action, pattern)
        })
    }

    /// The most that this hand may give. "By default a giver must hold `share` over the pattern and
    /// every action given there."
    fn gives(
        &self,
        actions: ActionSet,
        pattern: &Pattern,
        holds: impl Fn(Action, &Pattern) -> bool,
    ) -> Result<(), AccessError> {
        let lacks = |action: &Action| !holds(*action, pattern);
        let needed = match self.book.head().sharing {
            Sharing::OwnersOnly if self.is_owner() => return Ok(()),
            Sharing::OwnersOnly => return Err(AccessError::OwnersOnly),
            Sharing::WithinNamespace => ActionSet::EMPTY,
            Sharing::WithinOwn => actions,
        };
        if lacks(&Action::Share) {
            return Err(share_not_held(pattern));
        }
        match needed.iter().find(lacks) {
            Some(action) => Err(AccessError::ActionNotHeld {
                action,
                pattern: pattern.clone(),
            }),
            None => Ok(()),
        }
    }

    fn give_group(&self, group: GroupId, to: MemberKind) -> Result<(), AccessError> {
        self.capability(Capability::GroupsManage)?;
        self.group(group)?;
        let closure = Closure::of_group(self.book, group);
        match to {
            MemberKind::Org => self.reaches_no_internal(&closure)?,
            MemberKind::User => {}
        }
        self.gives_all(&closure)
    }

    fn reaches_no_internal(&self, closure: &Closure) -> Result<(), AccessError> {
        let is_internal = |group: &GroupId| self.book.group(*group).is_some_and(|g| g.internal);
        match closure.groups().find(is_internal) {
            Some(group) => Err(AccessError::InternalGroup { group }),
            None => Ok(()),
        }
    }

    /// "Adding to a group, nesting groups and naming the external group are gifts of everything
    /// that the group reaches, and need the same check."
    fn gives_all(&self, closure: &Closure) -> Result<(), AccessError> {
        // Found out once for many grants.
        let held = Action::ALL.map(|action| (action, LazyCell::new(move || self.held(action))));
        let holds = |wanted: Action, pattern: &Pattern| {
            let mut held = held.iter().filter(|(action, _)| *action == wanted);
            held.any(|(_, coverage)| coverage.includes(pattern))
        };
        closure
            .groups()
            .flat_map(|group| self.book.grants_to_group(group))
            .filter(|grant| self.now.is_before_end(grant.expires_at))
            .try_for_each(|grant| self.gives(grant.actions, &grant.pattern, holds))
    }

    /// "Revoking needs `share` over the pattern"; owners may always.
    fn may_revoke(&self, pattern: &Pattern) -> Result<(), AccessError> {
        if self.is_owner() {
            return Ok(());
        }
        match self.book.head().sharing {
            Sharing::WithinOwn | Sharing::WithinNamespace => {
                if self.holds(Action::Share, pattern) {
                    Ok(())
                } else {
                    Err(share_not_held(pattern))
                }
            }
            Sharing::OwnersOnly => Err(AccessError::OwnersOnly),
        }
    }

    fn holds(&self, action: Action, pattern: &Pattern) -> bool {
        includes(self.book, self.hand.principal, action, pattern, self.now)
    }

    fn held(&self, action: Action) -> Coverage {
        readable(self.book, self.hand.principal, action, self.now)
    }

    fn delete_group(&self, group: GroupId) -> Result<Vec<AccessEvent>, AccessError> {
        self.capability(Capability::GroupsManage)?;
        self.group(group)?;
        // It takes from everybody inside what the group reaches, as removing each of them would,
        // so it needs the same authority; an owner could revoke all of it anyway.
        if !self.is_owner() {
            self.gives_all(&Closure::of_group(self.book, group))?;
        }
        let grants = self.book.grants_to_group(group).map(|grant| grant.id);
        Ok(vec![AccessEvent::GroupDeleted {
            group,
            members: self.book.members_of(group).cloned().collect(),
            outer: self.book.outer_groups(group).collect(),
            grants: grants.collect(),
            was_external: self.book.head().external_group == Some(group),
        }])
    }

    /// The rows of this member in the group, of every episode.
    fn rows_in(&self, group: GroupId, member: &Member) -> impl Iterator<Item = Episode> {
        self.book
            .groups_of(member)
            .filter(move |(_, found)| *found == group)
            .map(|(episode, _)| episode)
    }

    fn live(
        member: &Member,
        target: Option<Target<'a>>,
    ) -> Result<&'a MemberPrincipal, AccessError> {
        target
            .filter(|target| target.member == member)
            .and_then(|target| target.live)
            .filter(|live| live.member == *member)
            .ok_or_else(|| AccessError::MemberNotLive {
                member: member.clone(),
            })
    }

    fn add_member(
        &self,
        group: GroupId,
        member: &Member,
        target: Option<Target<'a>>,
    ) -> Result<Vec<AccessEvent>, AccessError> {
        let live = Self::live(member, target)?;
        let is_in = live.groups.contains(&group)
            || self
                .rows_in(group, member)
                .any(|episode| live.episodes.contains(episode));
        let event = AccessEvent::AddedToGroup {
            group,
            member: GroupMember::Member {
                member: member.clone(),
                episode: live.episodes.current,
            },
        };
        Ok(changed(!is_in, event))
    }

    fn remove_member(
        &self,
        group: GroupId,
        member: &Member,
        target: Option<Target<'a>>,
    ) -> Result<Vec<AccessEvent>, AccessError> {
        // Rows of ended episodes go as well: a reinstated membership would count them again.
        let events: Vec<AccessEvent> = self
            .rows_in(group, member)
            .map(|episode| AccessEvent::RemovedFromGroup {
                group,
                member: GroupMember::Member {
                    member: member.clone(),
                    episode,
                },
            })
            .collect();
        if events.is_empty() {
            let otherwise = Self::live(member, target).is_ok_and(|live| {
                let external = live
                    .is_outsider()
                    .then_some(self.book.head().external_group);
                live.groups.contains(&group) || external == Some(Some(group))
            });
            if otherwise {
                return Err(AccessError::HeldOtherwise { group });
            }
        }
        Ok(events)
    }

    fn nest(&self, outer: GroupId, inner: GroupId) -> Result<Vec<AccessEvent>, AccessError> {
        self.give_group(outer, MemberKind::User)?;
        self.group(inner)?;
        let event = AccessEvent::AddedToGroup {
            group: outer,
            member: GroupMember::Group(inner),
        };
        if self.book.outer_groups(inner).any(|found| found == outer) {
            return Ok(Vec::new());
        }
        let closure = Closure::of_group(self.book, outer);
        if closure.contains(inner) {
            return Err(AccessError::GroupCycle { outer, inner });
        }
        if has_outsiders(self.book, inner) {
            self.reaches_no_internal(&closure)?;
        }
        Ok(vec![event])
    }

    fn set_external_group(&self, group: Option<GroupId>) -> Result<Vec<AccessEvent>, AccessError> {
        self.capability(Capability::SettingsManage)?;
        let current = self.book.head().external_group;
        if let Some(group) = group {
            self.group(group)?;
            let closure = Closure::of_group(self.book, group);
            self.reaches_no_internal(&closure)?;
            self.gives_all(&closure)?;
        }
        // Unset, or set to another, it is taken from every outsider.
        if let Some(current) = current.filter(|current| Some(*current) != group) {
            self.gives_all(&Closure::of_group(self.book, current))?;
        }
        let event = AccessEvent::ExternalGroupSet(group);
        Ok(changed(current != group, event))
    }

    fn subject(&self, to: &Grantee, target: Option<Target<'a>>) -> Result<Subject, AccessError> {
        Ok(match to {
            Grantee::Organization(audience) => Subject::Organization(*audience),
            Grantee::Group(group) => Subject::Group(self.group(*group)?.id),
            Grantee::Member(member) => Subject::Member {
                member: member.clone(),
                episode: Self::live(member, target)?.episodes.current,
            },
        })
    }

    fn grant(&self, grant: Grant) -> Result<Vec<AccessEvent>, AccessError> {
        let Some(found) = self.book.grant(grant.id) else {
            return Ok(vec![AccessEvent::GrantMade(grant)]);
        };
        let again = Grant {
            at: found.at,
            ..grant
        };
        if again == *found {
            Ok(Vec::new())
        } else {
            Err(AccessError::GrantExists { grant: found.id })
        }
    }
}

fn changed(is_new: bool, event: AccessEvent) -> Vec<AccessEvent> {
    is_new.then_some(event).into_iter().collect()
}

fn share_not_held(pattern: &Pattern) -> AccessError {
    AccessError::ShareNotHeld {
        pattern: pattern.clone(),
    }
}

#[cfg(test)]
mod tests;
