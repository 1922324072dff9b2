//! Roles, people and members as they are on the wire.

use guestlist::{Member, Membership, RoleCatalog, RoleName};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::Failure;
use super::roster::Roster;
use crate::app::App;
use crate::host::User;

/// A role as it is sent: the lowest one, `guest`, is `null`.
pub(super) type WireRole = Option<String>;

/// Tells `null` from a field that is missing.
pub(super) fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<WireRole>, D::Error> {
    WireRole::deserialize(deserializer).map(Some)
}

pub(super) fn role_on_wire(roles: &RoleCatalog, role: Option<&RoleName>) -> WireRole {
    role.filter(|role| *role != roles.default_role())
        .map(ToString::to_string)
}

/// The role of the catalog that is meant. The lowest one has no name on the wire.
pub(super) fn role_meant(roles: &RoleCatalog, role: Option<&str>) -> Result<RoleName, Failure> {
    let Some(text) = role else {
        return Ok(roles.default_role().clone());
    };
    RoleName::parse(text)
        .ok()
        .filter(|role| roles.contains(role) && role != roles.default_role())
        .ok_or_else(|| Failure::bad("there is no such role"))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserShape {
    object: &'static str,
    id: String,
    display_name: String,
    email: String,
    urls: Urls,
}

#[derive(Debug, Serialize)]
struct Urls {
    location: String,
}

impl UserShape {
    fn of(app: &App, user: &User) -> Self {
        Self {
            object: "user",
            id: user.id.to_string(),
            display_name: user.display_name.to_string(),
            email: user.email.to_string(),
            urls: Urls {
                location: format!("{}/v1/users/{}", app.public_url, user.id),
            },
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberShape {
    object: &'static str,
    id: String,
    role: WireRole,
    user: UserShape,
    disabled: bool,
    joined_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_at: Option<String>,
    sso: bool,
    spaces: usize,
    teams: usize,
    sites: usize,
}

impl MemberShape {
    pub(super) fn of(app: &App, roster: &Roster, membership: &Membership, user: &User) -> Self {
        let joined_at = membership.approved_at.unwrap_or(membership.opened_at);
        Self {
            object: "member",
            id: user.id.to_string(),
            role: role_on_wire(app.guests.roles(), membership.role.as_ref()),
            user: UserShape::of(app, user),
            disabled: false,
            joined_at: joined_at.to_string(),
            last_seen_at: user.last_seen_at.map(|seen| seen.to_string()),
            sso: user.single_sign_on.as_ref() == Some(&membership.host),
            spaces: roster.spaces_of(membership),
            teams: roster.teams_of(membership).count(),
            sites: 0,
        }
    }
}

/// The user that a membership is of; `None` for organizations.
pub(super) const fn user_of(membership: &Membership) -> Option<&guestlist::UserId> {
    match &membership.member {
        Member::User(user) => Some(user),
        Member::Org(_) => None,
    }
}
