//! What the host application can plug in besides a store.

use core::error::Error;

use async_trait::async_trait;
use guestlist_access::{Action, Decision};
use guestlist_membership::{Stated, Unreachable};
use guestlist_types::{Address, EmailAddress, OrgId, ProxyUserId, UserId};

/// What the host application knows of people that guestlist keeps no membership of.
///
/// It is asked for the creator of a link, when the link is claimed or changed and when a request
/// that came through it is approved: "the host application says through a port who still stands".
#[async_trait]
pub trait Directory: Send + Sync {
    /// What this user is in this organization now.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; the command is refused then, never decided without the answer.
    async fn standing(
        &self,
        organization: &OrgId,
        user: &UserId,
    ) -> Result<Stated, Box<dyn Error + Send + Sync>>;

    /// What is known of these addresses, in their order, when somebody invites them to this
    /// organization. `single_sign_on` tells whether that is asked for. By default nothing is.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; nobody is invited then.
    async fn addresses(
        &self,
        organization: &OrgId,
        addresses: &[EmailAddress],
        single_sign_on: bool,
    ) -> Result<Vec<AddressFacts>, Box<dyn Error + Send + Sync>> {
        let _ = (organization, single_sign_on);
        Ok(vec![AddressFacts::default(); addresses.len()])
    }

    /// Whom to write to about requests to join this organization, and about memberships of a
    /// member organization: see [`Addressee`]. By default nobody.
    ///
    /// # Errors
    ///
    /// Whatever went wrong; it is asked again later.
    async fn addressees(
        &self,
        addressee: &Addressee<'_>,
    ) -> Result<Vec<EmailAddress>, Box<dyn Error + Send + Sync>> {
        let _ = addressee;
        Ok(Vec::new())
    }
}

/// What the host application knows of an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AddressFacts {
    /// A member of the inviting organization has it, whose membership guestlist doesn't keep.
    pub is_member: bool,
    /// It belongs to another organization's identity provider.
    pub signs_on_elsewhere: bool,
}

impl AddressFacts {
    /// Of an address that a member of the organization has.
    #[must_use]
    pub const fn member() -> Self {
        Self {
            is_member: true,
            signs_on_elsewhere: false,
        }
    }

    /// Of an address that belongs to another organization's identity provider.
    #[must_use]
    pub const fn elsewhere() -> Self {
        Self {
            is_member: false,
            signs_on_elsewhere: true,
        }
    }
}

/// Whom a notice is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a host application must know whom to write to"
)]
pub enum Addressee<'a> {
    /// Those who review the requests of this organization.
    Reviewers(&'a OrgId),
    /// Those who manage the memberships of this member organization.
    Organization(&'a OrgId),
    /// A user who joined without a verified address.
    User(&'a UserId),
}

/// The directory of a host application whose people are all memberships of guestlist's: it knows
/// nobody else.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDirectory;

#[async_trait]
impl Directory for NoDirectory {
    async fn standing(
        &self,
        _: &OrgId,
        _: &UserId,
    ) -> Result<Stated, Box<dyn Error + Send + Sync>> {
        Ok(Stated::NOBODY)
    }
}

/// Is shown every decision on a key, with the reason that the caller is not told.
pub trait Observer: Send + Sync {
    /// A decision was made. Called in line: hand slow work to somebody else.
    fn decided(&self, record: &DecisionRecord);

    /// A command came to its end, one way or the other. Called in line, like the other.
    fn commanded(&self, record: &CommandRecord<'_>) {
        let _ = record;
    }
}

/// A command as it went, for metrics. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandRecord<'a> {
    /// What was asked, for example `claim`.
    pub operation: &'static str,
    /// The organization, as far as it is known.
    pub host: Option<&'a OrgId>,
    /// `changed`, `unchanged`, `replayed`, or the stable code of the error.
    pub outcome: &'static str,
    /// How often it was decided: more than once if others changed the same records meanwhile, and
    /// not at all if a [rate limit](crate::RateLimit) refused it.
    pub tries: u32,
    /// How long it took, by the [clock](crate::Clock) that guestlist was given.
    pub took: core::time::Duration,
}

/// Looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn decided(&self, _: &DecisionRecord) {}
}

/// A decision as it is audited: the acting person, the organization that they act for, the proxy
/// user that they act through, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecisionRecord {
    /// The person.
    pub user: Option<UserId>,
    /// The organization that the person acts for.
    pub caller: Option<OrgId>,
    /// The organization whose key it is, if there is one.
    pub host: Option<OrgId>,
    /// The proxy user, if the key is another organization's.
    pub proxy: Option<ProxyUserId>,
    /// What was to be done.
    pub action: Action,
    /// With what.
    pub address: Address,
    /// The answer.
    pub decision: Decision,
    /// Why the address leads nowhere, if it doesn't.
    pub unreachable: Option<Unreachable>,
    /// The revision of the host's access rules that it was made on.
    pub revision: u64,
}
