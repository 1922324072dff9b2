//! Who performs a command, and how that is remembered.

use std::collections::BTreeSet;

use guestlist_types::{DisplayName, EmailAddress, Member, OrgId, RoleName, UserId};
use serde::{Deserialize, Serialize};

/// Who performs a command: a person that the host application has authenticated, or the host
/// application itself.
///
/// guestlist trusts what is said here and authorizes on it. Where it keeps a membership of this
/// user in the host concerned, that membership rules: its role counts, and once it has ended the
/// role stated here counts no more.
///
/// ```
/// # use guestlist_membership::Actor;
/// let alice = Actor::user("alice".parse()?)
///     .in_organization("org_widgets".parse()?)
///     .with_role("owner".parse().unwrap());
/// assert!(!alice.is_system());
/// # Ok::<(), guestlist_types::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    user: Option<UserId>,
    organization: Option<OrgId>,
    /// Whether the host application says that this person belongs to that organization.
    vouched: bool,
    role: Option<RoleName>,
    emails: BTreeSet<EmailAddress>,
    display_name: Option<DisplayName>,
}

impl Actor {
    /// A signed-in person.
    #[must_use]
    pub const fn user(user: UserId) -> Self {
        Self {
            user: Some(user),
            organization: None,
            vouched: false,
            role: None,
            emails: BTreeSet::new(),
            display_name: None,
        }
    }

    /// The host application itself, which may do everything: provisioning, support tools, tests.
    #[must_use]
    pub const fn system() -> Self {
        Self {
            user: None,
            organization: None,
            vouched: false,
            role: None,
            emails: BTreeSet::new(),
            display_name: None,
        }
    }

    /// The organization that this person acts in now, and belongs to: the host application says so,
    /// and it counts where guestlist keeps no membership of this user there.
    ///
    /// Where the organization comes out of a request, and guestlist keeps all memberships, say
    /// [`acting_in`](Self::acting_in) instead: this here would make a member of whoever asks.
    #[must_use]
    pub fn in_organization(mut self, organization: OrgId) -> Self {
        self.organization = Some(organization);
        self.vouched = true;
        self
    }

    /// The organization that this person wants to act in. Whether it belongs to it is for guestlist
    /// to know: without a membership that guestlist keeps, it is nobody there.
    ///
    /// ```
    /// # use guestlist_membership::Actor;
    /// // From the path of a request: anybody can write anything there.
    /// let actor = Actor::user("mallory".parse()?).acting_in("org_widgets".parse()?);
    /// assert_eq!(actor.organization(), Some(&"org_widgets".parse()?));
    /// assert!(!actor.is_vouched_for());
    /// # Ok::<(), guestlist_types::IdError>(())
    /// ```
    #[must_use]
    pub fn acting_in(mut self, organization: OrgId) -> Self {
        self.organization = Some(organization);
        self.vouched = false;
        self
    }

    /// The role that the host application gives this person in that organization. It counts where
    /// guestlist keeps no membership of this user there, and the host application
    /// [says](Self::in_organization) that there is one.
    #[must_use]
    pub fn with_role(mut self, role: RoleName) -> Self {
        self.role = Some(role);
        self
    }

    /// An address of which the host application knows that it belongs to this person.
    #[must_use]
    pub fn with_verified_email(mut self, address: EmailAddress) -> Self {
        self.emails.insert(address);
        self
    }

    /// What people are shown for this person.
    #[must_use]
    pub fn with_display_name(mut self, name: DisplayName) -> Self {
        self.display_name = Some(name);
        self
    }

    /// Whether this is the host application itself.
    #[must_use]
    pub const fn is_system(&self) -> bool {
        self.user.is_none()
    }

    /// The user, unless this is the host application itself.
    #[must_use]
    pub const fn user_id(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// The organization that this person acts in.
    #[must_use]
    pub const fn organization(&self) -> Option<&OrgId> {
        self.organization.as_ref()
    }

    /// Whether the host application says that this person belongs to that organization.
    #[must_use]
    pub const fn is_vouched_for(&self) -> bool {
        self.vouched
    }

    /// The role as the host application states it.
    #[must_use]
    pub const fn stated_role(&self) -> Option<&RoleName> {
        self.role.as_ref()
    }

    /// The verified addresses.
    #[must_use]
    pub const fn emails(&self) -> &BTreeSet<EmailAddress> {
        &self.emails
    }

    /// What people are shown for this person.
    #[must_use]
    pub const fn display_name(&self) -> Option<&DisplayName> {
        self.display_name.as_ref()
    }

    /// This actor as events remember it.
    #[must_use]
    pub fn by(&self) -> By {
        match &self.user {
            Some(user) => By::User {
                user: user.clone(),
                organization: self.organization.clone(),
            },
            None => By::System,
        }
    }

    /// This person as a member that joins by itself.
    #[must_use]
    pub fn as_member(&self) -> Option<Member> {
        self.user.clone().map(Member::User)
    }

    /// The organization that this person acts for, as a member.
    #[must_use]
    pub fn as_member_organization(&self) -> Option<Member> {
        self.organization.clone().map(Member::Org)
    }
}

/// Who did something, as events and records remember it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "audit code must tell every kind of author"
)]
pub enum By {
    /// A person, in the organization that they acted in.
    User {
        /// The person.
        user: UserId,
        /// The organization that they acted in.
        organization: Option<OrgId>,
    },
    /// A link or a setting that approves by itself.
    Policy,
    /// Time: something reached its end.
    Clock,
    /// The host application itself.
    System,
}
