//! Roles of the host application and what they may do.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;

use guestlist_types::RoleName;
use serde::{Deserialize, Serialize};

/// Something that a role may do in guestlist; what it may do to keys is up to grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new capability must break every match"
)]
pub enum Capability {
    /// Make invite links.
    #[serde(rename = "links.create")]
    LinksCreate,
    /// Make links that approve by themselves.
    #[serde(rename = "links.auto_approve")]
    LinksAutoApprove,
    /// Edit, refresh, disable, enable and delete links, other people's too.
    #[serde(rename = "links.manage")]
    LinksManage,
    /// Send, resend and revoke e-mail invites.
    #[serde(rename = "invites.send")]
    InvitesSend,
    /// Approve and reject requests.
    #[serde(rename = "requests.review")]
    RequestsReview,
    /// Remove members.
    #[serde(rename = "members.remove")]
    MembersRemove,
    /// Change the role of members.
    #[serde(rename = "members.change_role")]
    MembersChangeRole,
    /// Make, rename and delete groups, and change who is in them.
    #[serde(rename = "groups.manage")]
    GroupsManage,
    /// See every grant, and ask for explanations and for who may do what. It gives nothing away:
    /// the authority to grant is [`Action::Share`](crate::Action::Share) over the pattern.
    #[serde(rename = "grants.manage")]
    GrantsManage,
    /// Change the settings and the life of the organization: sharing, external group, discovery,
    /// suspension, deletion.
    #[serde(rename = "settings.manage")]
    SettingsManage,
    /// Join, cancel and leave other organizations on behalf of one's own, and restrict who acts
    /// through its proxy users there.
    #[serde(rename = "memberships.manage")]
    MembershipsManage,
}

/// A name that belongs to no capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a capability: expected a name like `links.create`")]
pub struct UnknownCapability;

impl UnknownCapability {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "capability-unknown"
    }
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 11] = [
        Self::LinksCreate,
        Self::LinksAutoApprove,
        Self::LinksManage,
        Self::InvitesSend,
        Self::RequestsReview,
        Self::MembersRemove,
        Self::MembersChangeRole,
        Self::GroupsManage,
        Self::GrantsManage,
        Self::SettingsManage,
        Self::MembershipsManage,
    ];

    /// The stable name of this capability.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinksCreate => "links.create",
            Self::LinksAutoApprove => "links.auto_approve",
            Self::LinksManage => "links.manage",
            Self::InvitesSend => "invites.send",
            Self::RequestsReview => "requests.review",
            Self::MembersRemove => "members.remove",
            Self::MembersChangeRole => "members.change_role",
            Self::GroupsManage => "groups.manage",
            Self::GrantsManage => "grants.manage",
            Self::SettingsManage => "settings.manage",
            Self::MembershipsManage => "memberships.manage",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Capability {
    type Err = UnknownCapability;
    fn from_str(text: &str) -> Result<Self, UnknownCapability> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.as_str() == text)
            .ok_or(UnknownCapability)
    }
}

/// A role of the host application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// What the host application calls it.
    pub name: RoleName,
    /// What it may do.
    pub capabilities: BTreeSet<Capability>,
}

impl Role {
    /// A role of this name with these capabilities.
    #[must_use]
    pub fn new(name: RoleName, capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self {
            name,
            capabilities: capabilities.into_iter().collect(),
        }
    }
}

/// Why a list of roles is no catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoleCatalogError {
    /// No role was given.
    #[error("a role catalog needs at least one role")]
    Empty,
    /// More than [`MAX_ROLES`] roles.
    #[error("a role catalog has at most {MAX_ROLES} roles")]
    TooMany,
    /// The same name twice.
    #[error("the role `{name}` is in the catalog twice")]
    Duplicate {
        /// The name in question.
        name: RoleName,
    },
    /// The highest role is the owner's and must be able to do everything.
    #[error("the highest role `{name}` is the owner's and lacks `{missing}`")]
    OwnerLacks {
        /// The highest role.
        name: RoleName,
        /// The first capability that it lacks.
        missing: Capability,
    },
}

impl RoleCatalogError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "roles-empty",
            Self::TooMany => "roles-too-many",
            Self::Duplicate { .. } => "roles-duplicate",
            Self::OwnerLacks { .. } => "roles-owner-lacks-capability",
        }
    }
}

/// The most roles that a catalog can have.
pub const MAX_ROLES: usize = 32;

/// The roles of the host application, lowest first; the highest is the owner role.
///
/// A role that the catalog doesn't know, and no role at all, may do nothing.
///
/// ```
/// # use guestlist_access::{Capability, RoleCatalog};
/// # use guestlist_types::RoleName;
/// let roles = RoleCatalog::owner_admin_member();
/// let admin = RoleName::parse("admin").unwrap();
/// assert!(roles.holds(Some(&admin), Capability::LinksCreate));
/// assert!(!roles.holds(None, Capability::LinksCreate));
/// assert!(!roles.within(roles.owner(), Some(&admin)), "no role above one's own");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Role>", into = "Vec<Role>")]
pub struct RoleCatalog {
    roles: Vec<Role>,
    // Names of the last and the first role, kept apart so that both always exist.
    owner: RoleName,
    lowest: RoleName,
}

impl RoleCatalog {
    /// The catalog of these roles, lowest first.
    ///
    /// # Errors
    ///
    /// Refused are no roles, more than [`MAX_ROLES`], a name that comes twice, and a highest role
    /// that lacks a capability.
    pub fn new(roles: Vec<Role>) -> Result<Self, RoleCatalogError> {
        if roles.len() > MAX_ROLES {
            return Err(RoleCatalogError::TooMany);
        }
        let (Some(lowest), Some(highest)) = (roles.first(), roles.last()) else {
            return Err(RoleCatalogError::Empty);
        };
        let (lowest, owner) = (lowest.name.clone(), highest.name.clone());
        let mut names = BTreeSet::new();
        if let Some(twice) = roles.iter().find(|role| !names.insert(&role.name)) {
            return Err(RoleCatalogError::Duplicate {
                name: twice.name.clone(),
            });
        }
        if let Some(missing) = Capability::ALL
            .into_iter()
            .find(|capability| !highest.capabilities.contains(capability))
        {
            return Err(RoleCatalogError::OwnerLacks {
                name: owner,
                missing,
            });
        }
        Ok(Self {
            roles,
            owner,
            lowest,
        })
    }

    /// Every role, lowest first.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// Whether this role has this capability; an unknown role, or none, has nothing.
    #[must_use]
    pub fn holds(&self, role: Option<&RoleName>, capability: Capability) -> bool {
        role.and_then(|name| self.ranked(name))
            .is_some_and(|(_, role)| role.capabilities.contains(&capability))
    }

    /// Whether there is a role of this name.
    #[must_use]
    pub fn contains(&self, role: &RoleName) -> bool {
        self.ranked(role).is_some()
    }

    /// The highest role.
    #[must_use]
    pub const fn owner(&self) -> &RoleName {
        &self.owner
    }

    /// Whether this is the highest role.
    #[must_use]
    pub fn is_owner(&self, role: &RoleName) -> bool {
        self.owner == *role
    }

    /// The lowest role, which is given where nothing else is said.
    #[must_use]
    pub const fn default_role(&self) -> &RoleName {
        &self.lowest
    }

    /// Whether somebody whose own role is `ceiling` may give `role`: both are known, `role` is not
    /// above, and has no capability that `ceiling` lacks. Rank alone would not do: a role further
    /// down may hold something that the giver doesn't.
    #[must_use]
    pub fn within(&self, role: &RoleName, ceiling: Option<&RoleName>) -> bool {
        let ceiling = ceiling.and_then(|name| self.ranked(name));
        match (self.ranked(role), ceiling) {
            (Some((rank, role)), Some((highest, ceiling))) => {
                rank <= highest && role.capabilities.is_subset(&ceiling.capabilities)
            }
            (None, _) | (_, None) => false,
        }
    }

    fn ranked(&self, name: &RoleName) -> Option<(usize, &Role)> {
        self.roles
            .iter()
            .enumerate()
            .find(|(_, role)| role.name == *name)
    }

    /// `member`, `admin`, `owner`. Members do nothing; admins do everything but settings.
    #[must_use]
    pub fn owner_admin_member() -> Self {
        Self::ready_made(&[
            ("member", &[]),
            ("admin", &EXCEPT_SETTINGS),
            ("owner", &Capability::ALL),
        ])
    }

    /// GitBook's six roles below which a guest sees only what it was added to: `guest`, `read`,
    /// `comment`, `edit`, `review`, `create`, `admin`. Only the last manages people; what the
    /// others may do to content is up to grants.
    #[must_use]
    pub fn gitbook() -> Self {
        Self::ready_made(&[
            ("guest", &[]),
            ("read", &[]),
            ("comment", &[]),
            ("edit", &[]),
            ("review", &[]),
            ("create", &[]),
            ("admin", &Capability::ALL),
        ])
    }

    /// `member`, `reviewer`, `admin`, `owner`. Reviewers decide requests; admins also change
    /// settings, as the ones of `TeamWins` do.
    #[must_use]
    pub fn owner_admin_reviewer_member() -> Self {
        Self::ready_made(&[
            ("member", &[]),
            ("reviewer", &[Capability::RequestsReview]),
            ("admin", &Capability::ALL),
            ("owner", &Capability::ALL),
        ])
    }

    /// `user`, `application-admin`, `global-admin`. Only the last invites; application admins
    /// keep groups, look at grants and change roles up to their own.
    #[must_use]
    pub fn global_admin() -> Self {
        Self::ready_made(&[
            ("user", &[]),
            (
                "application-admin",
                &[
                    Capability::MembersChangeRole,
                    Capability::GroupsManage,
                    Capability::GrantsManage,
                ],
            ),
            ("global-admin", &Capability::ALL),
        ])
    }

    fn ready_made(roles: &[(&str, &[Capability])]) -> Self {
        roles
            .iter()
            .map(|(name, capabilities)| {
                RoleName::parse(name).map(|name| Role::new(name, capabilities.iter().copied()))
            })
            .collect::<Result<_, _>>()
            .ok()
            .and_then(|roles| Self::new(roles).ok())
            .expect("ready-made catalogs are constants that follow the rules")
    }
}

const EXCEPT_SETTINGS: [Capability; 10] = [
    Capability::LinksCreate,
    Capability::LinksAutoApprove,
    Capability::LinksManage,
    Capability::InvitesSend,
    Capability::RequestsReview,
    Capability::MembersRemove,
    Capability::MembersChangeRole,
    Capability::GroupsManage,
    Capability::GrantsManage,
    Capability::MembershipsManage,
];

impl TryFrom<Vec<Role>> for RoleCatalog {
    type Error = RoleCatalogError;
    fn try_from(roles: Vec<Role>) -> Result<Self, RoleCatalogError> {
        Self::new(roles)
    }
}

impl From<RoleCatalog> for Vec<Role> {
    fn from(catalog: RoleCatalog) -> Self {
        catalog.roles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RoleName {
        RoleName::parse(text).unwrap()
    }

    #[test]
    fn capability_names_are_pinned() {
        assert_eq!(
            Capability::ALL.map(Capability::as_str),
            [
                "links.create",
                "links.auto_approve",
                "links.manage",
                "invites.send",
                "requests.review",
                "members.remove",
                "members.change_role",
                "groups.manage",
                "grants.manage",
                "settings.manage",
                "memberships.manage",
            ]
        );
        for capability in Capability::ALL {
            assert_eq!(capability.as_str().parse(), Ok(capability));
            assert_eq!(
                serde_json::to_string(&capability).unwrap(),
                format!("\"{capability}\"")
            );
        }
        assert_eq!("links".parse::<Capability>(), Err(UnknownCapability));
        assert_eq!(UnknownCapability.code(), "capability-unknown");
    }

    #[test]
    fn ready_made_catalogs_are_valid_and_ordered() {
        for (catalog, names) in [
            (
                RoleCatalog::owner_admin_member(),
                &["member", "admin", "owner"][..],
            ),
            (
                RoleCatalog::gitbook(),
                &[
                    "guest", "read", "comment", "edit", "review", "create", "admin",
                ],
            ),
            (
                RoleCatalog::owner_admin_reviewer_member(),
                &["member", "reviewer", "admin", "owner"],
            ),
            (
                RoleCatalog::global_admin(),
                &["user", "application-admin", "global-admin"],
            ),
        ] {
            let found: Vec<&str> = catalog.roles().iter().map(|r| r.name.as_str()).collect();
            assert_eq!(found, names);
            assert_eq!(Some(catalog.owner().as_str()), names.last().copied());
            assert_eq!(
                Some(catalog.default_role().as_str()),
                names.first().copied()
            );
            assert!(catalog.is_owner(catalog.owner()));
            assert!(catalog.contains(catalog.default_role()));
            let json = serde_json::to_string(&catalog).unwrap();
            assert_eq!(serde_json::from_str::<RoleCatalog>(&json).unwrap(), catalog);
            let bytes = postcard::to_allocvec(&catalog).unwrap();
            assert_eq!(
                postcard::from_bytes::<RoleCatalog>(&bytes).unwrap(),
                catalog
            );
        }
    }

    #[test]
    fn a_catalog_has_rules() {
        let owner = || Role::new(name("owner"), Capability::ALL);
        let plain = |text: &str| Role::new(name(text), []);
        let many = |count: usize| {
            let roles = (1..count).map(|n| plain(&format!("r{n}")));
            roles.chain([owner()]).collect::<Vec<_>>()
        };
        for (roles, code) in [
            (vec![], "roles-empty"),
            (many(MAX_ROLES + 1), "roles-too-many"),
            (vec![plain("a"), plain("a"), owner()], "roles-duplicate"),
            (vec![owner(), plain("a")], "roles-owner-lacks-capability"),
        ] {
            assert_eq!(RoleCatalog::new(roles).map_err(|e| e.code()), Err(code));
        }
        assert!(RoleCatalog::new(many(MAX_ROLES)).is_ok());
        assert!(serde_json::from_str::<RoleCatalog>("[]").is_err());
    }

    #[test]
    fn unknown_roles_hold_nothing() {
        let catalog = RoleCatalog::owner_admin_member();
        for capability in Capability::ALL {
            assert!(catalog.holds(Some(&name("owner")), capability));
            assert!(!catalog.holds(Some(&name("member")), capability));
            assert!(!catalog.holds(Some(&name("root")), capability));
            assert!(!catalog.holds(None, capability));
        }
        assert!(!catalog.holds(Some(&name("admin")), Capability::SettingsManage));
        assert!(!catalog.contains(&name("root")));
    }

    #[test]
    fn no_role_above_ones_own_and_none_that_can_more() {
        let catalog = RoleCatalog::new(vec![
            Role::new(name("auditor"), [Capability::GrantsManage]),
            Role::new(name("inviter"), [Capability::InvitesSend]),
            Role::new(name("honorary"), []),
            Role::new(name("owner"), Capability::ALL),
        ])
        .unwrap();
        let within = |role, ceiling| catalog.within(&name(role), Some(&name(ceiling)));
        assert!(within("inviter", "inviter") && within("auditor", "owner"));
        assert!(!within("owner", "inviter"), "above");
        assert!(!within("honorary", "inviter"), "above, though it can less");
        assert!(!within("auditor", "inviter"), "below, but it can more");
        assert!(!within("root", "owner") && !within("auditor", "root"));
        assert!(!catalog.within(&name("auditor"), None));
    }
}
