//! Who may do what to which key of a host: groups, grants, decisions.
//!
//! [`decide`] answers for one key, and names the grant that allows it. [`readable`], [`who`],
//! [`actions`] and [`explain`] answer the questions around it, and agree with it always.
//! [`decide_change`] says who may change groups and grants, and [`evolve`] applies what it answers
//! to the [`AccessBook`], which is the state.
//!
//! | question | answer |
//! |---|---|
//! | may this principal do this to this key? | [`decide`] → [`Decision`] |
//! | why (not)? | [`explain`] → [`Explanation`] |
//! | which keys can be listed for it? | [`readable`] → [`Coverage`] |
//! | what may it do to this key? | [`actions`] → [`ActionSet`] |
//! | who may do this to this key? | [`who`] → [`Who`] |
//! | may it change groups or grants this way? | [`decide_change`] → [`AccessEvent`]s |
//! | may it give this, by a link or an approval? | [`may_give_group`], [`may_give_grant`] |
//!
//! Two forms of the state answer alike. The [`AccessBook`] holds everything, and the functions over
//! it are the definition. The [`AccessIndex`] holds what decisions need, compiled: look up a
//! [`Principal`] with [`AccessIndex::principal`] and ask the [`Resolved`] one the same questions, in
//! some hundred nanoseconds. Both are kept by the same [`AccessChange`]s.
//!
//! Access is the union of grants; nothing denies. Facts that are missing resolve to deny: a group
//! that is not there, a role that the catalog doesn't know, an episode that has ended.
//!
//! Everything is pure: `now` and ids are arguments, and nothing is read or kept elsewhere.
//!
//! Not here: memberships and who is live (`guestlist-membership` makes the [`Principal`]), storage,
//! and `@name/key` routing.

#![warn(clippy::wildcard_enum_match_arm)]

mod action;
mod book;
mod change;
mod closure;
mod command;
mod coverage;
mod decide;
mod event;
mod index;
mod pattern;
mod principal;
mod role;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use action::{Action, ActionSet, UnknownAction};
pub use book::{
    AccessBook, AccessChange, AccessHead, Audience, Episode, Giver, Grant, Group, GroupMember,
    PresetGrant, Sharing, Subject,
};
pub use change::{AccessError, Hand, Target, decide_change, may_give_grant, may_give_group};
pub use closure::groups_of;
pub use command::{AccessCommand, Grantee};
pub use coverage::{ColumnError, Coverage};
pub use decide::{
    Decision, Denial, Explanation, MAX_NEAR_MISSES, Miss, NearMiss, Who, Witness, WitnessGrant,
    actions, decide, explain, readable, who,
};
pub use event::{AccessEvent, evolve};
pub use index::{AccessIndex, Compiled, Resolved};
pub use pattern::{Pattern, PatternError, PatternKind};
pub use principal::{Episodes, MemberPrincipal, Principal};
pub use role::{Capability, MAX_ROLES, Role, RoleCatalog, RoleCatalogError, UnknownCapability};
