//! Who may read what. Reads are authorized like commands are.

use std::collections::BTreeSet;

use guestlist_access::Capability;
use guestlist_types::{Member, OrgId};

use crate::actor::Actor;
use crate::command::Env;
use crate::error::CommandError;
use crate::record::Records;
use crate::standing::{InOrg, not_before};

/// What somebody wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new reading must be placed in the rule"
)]
pub enum Reading<'a> {
    /// Links, with their configuration and uses.
    Links,
    /// E-mail invites.
    Invites,
    /// Requests that wait for review.
    Requests,
    /// The members of the organization.
    Members,
    /// One membership.
    Membership(&'a Member),
    /// Which organizations a member has joined.
    MembershipsOf(&'a Member),
    /// Groups and who is in them.
    Groups,
    /// The groups that one member is in.
    GroupsOf(&'a Member),
    /// Grants; `explain` and `who`.
    Grants,
    /// The audit trail.
    Audit,
    /// Webhook endpoints and what they got.
    Webhooks,
    /// The organization's settings.
    Settings,
}

/// Whether an actor may see something of an organization. "A plain member doesn't read the invite
/// ledger, a member sees its own rows" (spec 6).
///
/// # Errors
///
/// [`CommandError::NotFound`] for outsiders, [`CommandError::NotAllowed`] for members.
pub fn may_read(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    reading: &Reading<'_>,
    env: &Env<'_>,
) -> Result<(), CommandError> {
    let env = &not_before(env, records);
    let standing = InOrg::actor(records, actor, host, env);
    if standing.is_system() {
        return Ok(());
    }
    let any_of = |what, capabilities: &[Capability]| {
        if capabilities
            .iter()
            .any(|capability| standing.can(*capability, env))
        {
            Ok(())
        } else if standing.is_member() {
            Err(CommandError::NotAllowed {
                capability: capabilities[0],
            })
        } else {
            Err(CommandError::NotFound { what })
        }
    };
    match reading {
        Reading::Links => any_of("link", &[Capability::LinksManage, Capability::LinksCreate]),
        Reading::Invites => any_of("invite", &[Capability::InvitesSend]),
        Reading::Requests => any_of("membership", &[Capability::RequestsReview]),
        Reading::Members if standing.is_member() => Ok(()),
        Reading::Members => Err(CommandError::NotFound {
            what: "organization",
        }),
        Reading::Membership(member) => {
            if is_own(records, actor, member, env) {
                return Ok(());
            }
            any_of(
                "membership",
                &[Capability::RequestsReview, Capability::MembersRemove],
            )
        }
        Reading::MembershipsOf(member) if is_own(records, actor, member, env) => Ok(()),
        Reading::MembershipsOf(_) => Err(CommandError::NotTheMember),
        Reading::GroupsOf(member) if is_own(records, actor, member, env) => Ok(()),
        Reading::Groups | Reading::GroupsOf(_) => any_of(
            "group",
            &[Capability::GroupsManage, Capability::GrantsManage],
        ),
        Reading::Grants => any_of("grant", &[Capability::GrantsManage]),
        Reading::Audit | Reading::Settings | Reading::Webhooks => {
            any_of("organization", &[Capability::SettingsManage])
        }
    }
}

/// All that an actor may do in an organization by its role: what a page shows buttons for. The host
/// application itself holds everything, and whoever is no member nothing. Each command asks for
/// itself again, and may refuse for other reasons.
#[must_use]
pub fn capabilities(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    env: &Env<'_>,
) -> BTreeSet<Capability> {
    let env = &not_before(env, records);
    let standing = InOrg::actor(records, actor, host, env);
    let held = |capability: &Capability| standing.can(*capability, env);
    Capability::ALL.into_iter().filter(held).collect()
}

/// Everybody of an organization sees the organization's own rows.
fn is_own(records: &Records, actor: &Actor, member: &Member, env: &Env<'_>) -> bool {
    match member {
        Member::User(user) => actor.user_id() == Some(user),
        Member::Org(org) => InOrg::actor(records, actor, org, env).is_member(),
    }
}
