//! The decision, in its plain form: the definition that everything else has to agree with.

use guestlist_types::{GrantId, GroupId, Key, Member, Timestamp};
use serde::{Deserialize, Serialize};

use crate::action::{Action, ActionSet};
use crate::book::{AccessBook, Audience, Grant, PresetGrant, Subject};
use crate::closure::Closure;
use crate::coverage::Coverage;
use crate::pattern::Pattern;
use crate::principal::{MemberPrincipal, Principal};

/// The answer to whether a principal may do something to a key.
///
/// There is no third answer: facts that could not be read are an error long before this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
#[expect(
    clippy::exhaustive_enums,
    reason = "a decision is one or the other, and callers must handle both"
)]
pub enum Decision {
    /// Yes, because of this.
    Allow(Witness),
    /// No, for this reason.
    Deny(Denial),
}

impl Decision {
    /// Whether the answer is yes.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// What allows it.
    #[must_use]
    pub const fn witness(&self) -> Option<&Witness> {
        match self {
            Self::Allow(witness) => Some(witness),
            Self::Deny(_) => None,
        }
    }
}

/// One live grant that allows what was asked for, all by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// Which grant.
    pub source: WitnessGrant,
    /// From a group that the principal is directly in to the group that the grant is for; empty if
    /// the grant is for the principal itself or for the organization.
    pub groups: Vec<GroupId>,
}

/// Names a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third place of grants must break every match"
)]
pub enum WitnessGrant {
    /// A grant of the book.
    Grant(GrantId),
    /// A grant that the membership carries: its index in [`MemberPrincipal::grants`].
    Preset(usize),
}

/// Why the answer is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Denial {
    /// No live grant that reaches the principal has the action on a pattern that covers the key.
    NoGrant,
    /// Nobody is signed in, and something else than a public read was asked for.
    Anonymous,
    /// Outsiders never share, whatever is granted.
    OutsiderCeiling,
}

impl Denial {
    /// The stable code of this reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoGrant => "no-grant",
            Self::Anonymous => "anonymous",
            Self::OutsiderCeiling => "outsider-ceiling",
        }
    }
}

/// Whether `principal` may do `action` to `key` now.
///
/// Yes iff some live grant has the action, its pattern covers the key, and its subject is the
/// principal, a group that it is in by any path, or an audience that it belongs to. Grants add up
/// and nothing takes away. Outsiders and people who are not signed in are held to a fixed ceiling
/// first. It costs the groups and grants of the principal, never all those of the host.
///
/// ```
/// # use guestlist_access::*;
/// # use guestlist_types::*;
/// let user = Member::User(UserId::parse("ada").unwrap());
/// let mut ada = MemberPrincipal::new(user, Episodes::none());
/// ada.grants.push(PresetGrant {
///     actions: ActionSet::of(&[Action::Read]),
///     pattern: Pattern::parse("shared/").unwrap(),
/// });
/// let (book, ada, now) = (AccessBook::new(), Principal::from(ada), Timestamp::from_micros(0));
/// let key = Key::parse("shared/plan").unwrap();
/// assert!(decide(&book, &ada, Action::Read, &key, now).is_allowed());
/// assert!(!decide(&book, &ada, Action::Update, &key, now).is_allowed());
/// assert!(!decide(&book, &Principal::Anonymous, Action::Read, &key, now).is_allowed());
/// ```
pub fn decide(
    book: &AccessBook,
    principal: &Principal,
    action: Action,
    key: &Key,
    now: Timestamp,
) -> Decision {
    decide_for(book, principal.member(), action, key, now)
}

fn decide_for(
    book: &AccessBook,
    principal: Option<&MemberPrincipal>,
    action: Action,
    key: &Key,
    now: Timestamp,
) -> Decision {
    if let Some(denial) = ceiling(principal, action) {
        return Decision::Deny(denial);
    }
    let closure = closure_of(book, principal);
    gifts(book, principal, &closure)
        .find(|gift| gift.has(action) && gift.is_live(now) && gift.pattern.covers(key))
        .map_or(Decision::Deny(Denial::NoGrant), |gift| {
            Decision::Allow(gift.witness(&closure))
        })
}

/// What is refused before any grant is looked at.
pub(crate) fn ceiling(principal: Option<&MemberPrincipal>, action: Action) -> Option<Denial> {
    match (principal, action) {
        (None, Action::Read | Action::Create | Action::Update | Action::Delete | Action::Share) => {
            Some(Denial::Anonymous)
        }
        // "Fixed ceiling, checked when granting and when deciding: ... never shares".
        (Some(member), Action::Share) => member.is_outsider().then_some(Denial::OutsiderCeiling),
        (None, Action::PublicRead)
        | (
            Some(_),
            Action::Read | Action::Create | Action::Update | Action::Delete | Action::PublicRead,
        ) => None,
    }
}

fn closure_of(book: &AccessBook, principal: Option<&MemberPrincipal>) -> Closure {
    principal.map_or_else(Closure::default, |member| Closure::of(book, member))
}

/// A grant that reaches the principal, live or not, whatever it is about.
#[derive(Debug, Clone, Copy)]
struct Gift<'a> {
    source: WitnessGrant,
    group: Option<GroupId>,
    /// Whether everybody has it, so that a public read in it is told to whoever asks.
    to_everyone: bool,
    actions: ActionSet,
    pattern: &'a Pattern,
    expires_at: Option<Timestamp>,
}

impl<'a> Gift<'a> {
    fn granted(grant: &'a Grant) -> Self {
        let (group, to_everyone) = match grant.subject {
            Subject::Organization(Audience::Everyone) => (None, true),
            Subject::Organization(Audience::InternalUsers) | Subject::Member { .. } => {
                (None, false)
            }
            Subject::Group(group) => (Some(group), false),
        };
        Self {
            source: WitnessGrant::Grant(grant.id),
            group,
            to_everyone,
            actions: grant.actions,
            pattern: &grant.pattern,
            expires_at: grant.expires_at,
        }
    }

    const fn preset((index, grant): (usize, &'a PresetGrant)) -> Self {
        Self {
            source: WitnessGrant::Preset(index),
            group: None,
            to_everyone: false,
            actions: grant.actions,
            pattern: &grant.pattern,
            expires_at: None,
        }
    }

    /// "No action implies another, except that whoever may be told anonymously (`public_read`) may
    /// be told when signed in."
    fn has(&self, action: Action) -> bool {
        self.actions.contains(action)
            || (action == Action::Read
                && self.to_everyone
                && self.actions.contains(Action::PublicRead))
    }

    fn is_live(&self, now: Timestamp) -> bool {
        now.is_before_end(self.expires_at)
    }

    fn witness(&self, closure: &Closure) -> Witness {
        Witness {
            source: self.source,
            groups: self
                .group
                .map_or_else(Vec::new, |group| closure.path(group)),
        }
    }
}

/// Everything whose subject the principal is: its audiences, itself, what its membership carries,
/// its groups.
fn gifts<'a>(
    book: &'a AccessBook,
    principal: Option<&'a MemberPrincipal>,
    closure: &'a Closure,
) -> impl Iterator<Item = Gift<'a>> {
    let internal = principal.filter(|member| !member.is_outsider());
    let audiences = [Audience::Everyone]
        .into_iter()
        .chain(internal.map(|_| Audience::InternalUsers));
    let own = principal.into_iter().flat_map(|principal| {
        book.grants_to_member(&principal.member)
            .filter(|(episode, _)| principal.episodes.contains(*episode))
            .map(|(_, grant)| grant)
    });
    let presets = principal
        .into_iter()
        .flat_map(|principal| principal.grants.iter().enumerate().map(Gift::preset));
    audiences
        .flat_map(|audience| book.grants_to_audience(audience))
        .chain(own)
        .map(Gift::granted)
        .chain(presets)
        .chain(
            closure
                .groups()
                .flat_map(|group| book.grants_to_group(group))
                .map(Gift::granted),
        )
}

/// What `principal` may do to `key` now: the actions that [`decide`] allows.
#[must_use]
pub fn actions(book: &AccessBook, principal: &Principal, key: &Key, now: Timestamp) -> ActionSet {
    Action::ALL
        .into_iter()
        .filter(|action| decide(book, principal, *action, key, now).is_allowed())
        .collect()
}

/// The keys for which [`decide`] allows `action` now, without enumerating keys.
///
/// It is the unique smallest set of patterns: no pattern in it includes another.
#[must_use]
pub fn readable(
    book: &AccessBook,
    principal: &Principal,
    action: Action,
    now: Timestamp,
) -> Coverage {
    let principal = principal.member();
    if ceiling(principal, action).is_some() {
        return Coverage::default();
    }
    let closure = closure_of(book, principal);
    gifts(book, principal, &closure)
        .filter(|gift| gift.has(action) && gift.is_live(now))
        .map(|gift| gift.pattern.clone())
        .collect()
}

/// Whether all that a pattern covers is among [`readable`]: only a pattern that is held includes it,
/// never several together.
pub(crate) fn includes(
    book: &AccessBook,
    principal: &Principal,
    action: Action,
    pattern: &Pattern,
    now: Timestamp,
) -> bool {
    let principal = principal.member();
    if ceiling(principal, action).is_some() {
        return false;
    }
    let closure = closure_of(book, principal);
    gifts(book, principal, &closure)
        .any(|gift| gift.has(action) && gift.is_live(now) && gift.pattern.includes(pattern))
}

/// Who may do something to a key; see [`who`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// A grant by which everybody with a standing in the host may.
    pub everyone: Option<GrantId>,
    /// A grant by which every user may, though not every proxy user.
    pub internal_users: Option<GrantId>,
    /// A grant by which people may who are not signed in.
    pub anonymous: Option<GrantId>,
    /// Those of the given principals who may, in the order given, each with its witness.
    pub members: Vec<(Member, Witness)>,
}

/// Which of `principals` may do `action` to `key` now, and whether a whole audience may.
///
/// It says of each principal what [`decide`] says. The principals are the live memberships of the
/// host: the book doesn't know who is live.
#[must_use]
pub fn who<'a>(
    book: &AccessBook,
    principals: impl IntoIterator<Item = &'a MemberPrincipal>,
    action: Action,
    key: &Key,
    now: Timestamp,
) -> Who {
    let granted_to = |audience| {
        let gift = book.grants_to_audience(audience).find(|grant| {
            let gift = Gift::granted(grant);
            gift.has(action) && gift.is_live(now) && gift.pattern.covers(key)
        });
        gift.map(|grant| grant.id)
    };
    let members = principals.into_iter().filter_map(|principal| {
        match decide_for(book, Some(principal), action, key, now) {
            Decision::Allow(witness) => Some((principal.member.clone(), witness)),
            Decision::Deny(_) => None,
        }
    });
    Who::of(
        action,
        granted_to(Audience::Everyone),
        granted_to(Audience::InternalUsers),
        members.collect(),
    )
}

impl Who {
    pub(crate) fn of(
        action: Action,
        everyone: Option<GrantId>,
        internal: Option<GrantId>,
        members: Vec<(Member, Witness)>,
    ) -> Self {
        // Outsiders never share: what everybody was granted then reaches users only.
        let (everyone, internal_users) = match action {
            Action::Share => (None, everyone.or(internal)),
            Action::Read
            | Action::Create
            | Action::Update
            | Action::Delete
            | Action::PublicRead => (everyone, internal),
        };
        Self {
            everyone,
            internal_users,
            anonymous: everyone.filter(|_| ceiling(None, action).is_none()),
            members,
        }
    }
}

/// The most near misses that an explanation lists.
pub const MAX_NEAR_MISSES: usize = 100;

/// A decision with everything that speaks for it, and what nearly did. For managers only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What [`decide`] answers.
    pub decision: Decision,
    /// The groups that the principal is in, nearest first, each with the path to it: from a group
    /// that it is directly in to the group itself.
    pub groups: Vec<(GroupId, Vec<GroupId>)>,
    /// Every grant that allows it; each would do alone.
    pub matching: Vec<Witness>,
    /// Grants that fail in exactly one respect, at most [`MAX_NEAR_MISSES`] of them. None where a
    /// fixed ceiling denies: no grant would change that.
    pub near_misses: Vec<NearMiss>,
}

/// A grant that fails in exactly one respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMiss {
    /// Which grant.
    pub grant: WitnessGrant,
    /// What is wrong with it.
    pub why: Miss,
}

/// In which respect a grant fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "these are the four respects in which a grant can fail"
)]
pub enum Miss {
    /// It has other actions.
    OtherAction,
    /// Its pattern doesn't cover the key.
    OtherKey,
    /// It is for somebody else.
    OtherSubject,
    /// It has ended.
    Expired,
}

/// What [`decide`] answers, with every reason for it and the near misses.
///
/// It looks at every grant of the host, so it costs more than a decision.
#[must_use]
pub fn explain(
    book: &AccessBook,
    principal: &Principal,
    action: Action,
    key: &Key,
    now: Timestamp,
) -> Explanation {
    let decision = decide(book, principal, action, key, now);
    let principal = principal.member();
    let closure = closure_of(book, principal);
    let paths = closure.groups().map(|group| (group, closure.path(group)));
    let mut explanation = Explanation {
        decision,
        groups: paths.collect(),
        matching: Vec::new(),
        near_misses: Vec::new(),
    };
    if ceiling(principal, action).is_some() {
        return explanation;
    }
    let reached: Vec<Gift<'_>> = gifts(book, principal, &closure).collect();
    let sources: std::collections::BTreeSet<WitnessGrant> =
        reached.iter().map(|gift| gift.source).collect();
    let others = book
        .grants()
        .map(Gift::granted)
        .filter(|gift| !sources.contains(&gift.source));
    for gift in reached.iter().copied().chain(others) {
        let respects = [
            (gift.has(action), Miss::OtherAction),
            (gift.pattern.covers(key), Miss::OtherKey),
            (sources.contains(&gift.source), Miss::OtherSubject),
            (gift.is_live(now), Miss::Expired),
        ];
        let mut missed = respects.into_iter().filter(|(holds, _)| !holds);
        match (missed.next(), missed.next()) {
            (None, _) => explanation.matching.push(gift.witness(&closure)),
            (Some((_, why)), None) => {
                if explanation.near_misses.len() < MAX_NEAR_MISSES {
                    explanation.near_misses.push(NearMiss {
                        grant: gift.source,
                        why,
                    });
                }
            }
            (Some(_), Some(_)) => {}
        }
    }
    explanation
}

#[cfg(test)]
mod tests;
