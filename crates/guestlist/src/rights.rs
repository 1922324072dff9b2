//! What somebody may do, read once and asked often.

use core::fmt;
use std::sync::Arc;

use guestlist_access::{Action, ActionSet, Coverage, Decision, Denial};
use guestlist_membership::Actor;
use guestlist_store::Store;
use guestlist_types::{Address, Key, OrgName, Timestamp};

use crate::decisions::Followed;
use crate::error::Error;
use crate::facade::{Config, Guestlist};

/// What an actor may do in one organization, as it was when it was read: decisions without the
/// store, for whoever decides on each row of a list.
///
/// Made by [`Guestlist::rights`], with one read. It sees every change that had returned by then,
/// and none that came later: **make one for each request, and drop it with the request.** What runs
/// out by itself (grants, memberships) runs out here as well, by the
/// [clock](crate::Builder::clock).
///
/// Cheap to clone. Nothing in it blocks, and [`allows`](Self::allows) doesn't allocate once the
/// organization's rules are compiled, which happens by itself when they are asked often.
#[derive(Clone)]
pub struct Rights {
    followed: Arc<Followed>,
    config: Arc<Config>,
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rights")
            .field("revision", &self.revision())
            .field("read_at", &self.read_at())
            .finish_non_exhaustive()
    }
}

impl Rights {
    pub(crate) const fn new(followed: Arc<Followed>, config: Arc<Config>) -> Self {
        Self { followed, config }
    }

    /// Whether the actor may do this with a key of the organization.
    ///
    /// Not shown to the [observer](crate::Observer), which would be told of each row of each list:
    /// where each decision is to be on record, use [`decide`](Self::decide).
    #[must_use]
    pub fn allows(&self, action: Action, key: &Key) -> bool {
        let now = self.now();
        self.followed
            .reached_at(now)
            .is_some_and(|(rules, principal)| rules.allows(principal, action, key, now))
    }

    /// The same with the reason, shown to the observer: what [`Guestlist::decide`] answered when
    /// this was read.
    pub fn decide(&self, action: Action, key: &Key) -> Decision {
        let now = self.now();
        let decision = match self.followed.reached_at(now) {
            Some((rules, principal)) => rules.decide(principal, action, key, now),
            None => Decision::Deny(Denial::NoGrant),
        };
        let record = self.followed.record(action, key, decision.clone());
        self.config.observer.decided(&record);
        // Whether somebody is an outsider somewhere is nobody else's business.
        match decision {
            Decision::Deny(_) if self.followed.is_abroad() => Decision::Deny(Denial::NoGrant),
            decision => decision,
        }
    }

    /// All that the actor may do with a key.
    #[must_use]
    pub fn actions(&self, key: &Key) -> ActionSet {
        let now = self.now();
        match self.followed.reached_at(now) {
            Some((rules, principal)) => rules.actions(principal, key, now),
            None => ActionSet::EMPTY,
        }
    }

    /// The keys that the actor may do this with, as [`Guestlist::readable`] says.
    #[must_use]
    pub fn readable(&self, action: Action) -> Coverage {
        let now = self.now();
        match self.followed.reached_at(now) {
            Some((rules, principal)) => rules.readable(principal, action, now),
            None => Coverage::from_iter([]),
        }
    }

    /// When it was read.
    #[must_use]
    pub fn read_at(&self) -> Timestamp {
        self.followed.now
    }

    /// The revision of the organization's access rules that it was read at: it grows with each
    /// change of them. Memberships have none of their own here.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.followed.revision()
    }

    fn now(&self) -> Timestamp {
        // A clock that is set back brings nothing back.
        self.config.clock.now().max(self.followed.now)
    }
}

impl<S: Store> Guestlist<S> {
    /// What the actor may do in its own organization (`None`), or in another one by its name: one
    /// read, for any number of decisions.
    ///
    /// ```
    /// # use guestlist::*;
    /// # async fn rows<S: Store>(guestlist: Guestlist<S>, actor: Actor, keys: Vec<Key>) -> Result<(), Error> {
    /// let rights = guestlist.rights(&actor, None).await?;
    /// let shown: Vec<Key> = keys.into_iter().filter(|key| rights.allows(Action::Read, key)).collect();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the store. In an organization that can't be reached nothing is allowed.
    pub async fn rights(
        &self,
        actor: &Actor,
        organization: Option<&OrgName>,
    ) -> Result<Rights, Error> {
        let followed = self.follow(actor, organization).await?;
        Ok(Rights::new(Arc::new(followed), Arc::clone(&self.config)))
    }

    /// Many decisions, in their order, as [`decide`](Self::decide) answers each: with one read for
    /// each organization that is named.
    ///
    /// Strong, like `decide`; addresses in one organization are decided on one state of it.
    ///
    /// # Errors
    ///
    /// Those of the store; nothing is decided then.
    pub async fn decide_all<'a>(
        &self,
        actor: &Actor,
        asked: impl IntoIterator<Item = (Action, &'a Address)> + Send,
    ) -> Result<Vec<Decision>, Error> {
        let asked: Vec<(Action, &Address)> = asked.into_iter().collect();
        let mut read: Vec<(Option<&OrgName>, Rights)> = Vec::new();
        let mut decisions = Vec::with_capacity(asked.len());
        for (action, address) in asked {
            let name = address.organization();
            let known = read.iter().position(|(of, _)| *of == name);
            if known.is_none() {
                read.push((name, self.rights(actor, name).await?));
            }
            let rights = known.map_or_else(|| read.last(), |place| read.get(place));
            decisions.extend(rights.map(|(_, rights)| rights.decide(action, address.key())));
        }
        Ok(decisions)
    }
}
