//! What the host application can plug in besides a store.

use core::error::Error;

use async_trait::async_trait;
use guestlist_access::{Action, Decision};
use guestlist_membership::{Stated, Unreachable};
use guestlist_types::{Address, OrgId, ProxyUserId, UserId};

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
