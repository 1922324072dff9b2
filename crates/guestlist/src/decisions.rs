//! Decisions on keys: one's own and `@org/key`.

use std::sync::Arc;

use guestlist_access::{
    Action, ActionSet, Coverage, Decision, Denial, Explanation, MemberPrincipal, Principal, Who,
};
use guestlist_membership::{
    Actor, Fact, Reached, Reading, Root, Row, RowKey, Scope, Stated, Unreachable, principal_of,
    reach_host, reach_own,
};
use guestlist_store::{MemberFilter, Page, Query, Revision, Store};
use guestlist_types::{Address, Key, Member, OrgId, OrgName, Timestamp, UserId};

use crate::error::Error;
use crate::facade::Guestlist;
use crate::organizations::not_found;
use crate::ports::DecisionRecord;
use crate::rules::Rules;

/// About whom something is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "somebody is signed in or is not")]
pub enum Subject {
    /// Somebody who is not signed in.
    Anonymous,
    /// A user of the organization, or the proxy user of a member organization.
    Member(Member),
}

/// An actor's way into an organization, followed to whoever acts there.
pub(crate) struct Followed {
    user: Option<UserId>,
    caller: Option<OrgId>,
    /// The name that the keys are addressed by; `None`: the caller's own.
    name: Option<OrgName>,
    host: Option<OrgId>,
    reached: Result<Reached, Unreachable>,
    rules: Option<Arc<Rules>>,
    revision: u64,
    pub(crate) now: Timestamp,
}

impl Followed {
    /// What the answer is in, and who asks, while what was found still holds.
    pub(crate) fn reached_at(&self, now: Timestamp) -> Option<(&Arc<Rules>, &Principal)> {
        let reached = self.reached.as_ref().ok()?;
        let rules = self.rules.as_ref()?;
        now.is_before_end(reached.until)
            .then_some((rules, &reached.principal))
    }

    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the keys are addressed as another organization's.
    pub(crate) const fn is_abroad(&self) -> bool {
        self.name.is_some()
    }

    pub(crate) fn record(&self, action: Action, key: &Key, decision: Decision) -> DecisionRecord {
        DecisionRecord {
            user: self.user.clone(),
            caller: self.caller.clone(),
            host: self.host.clone(),
            proxy: self.reached.as_ref().ok().and_then(|reached| reached.proxy),
            action,
            address: match &self.name {
                Some(name) => Address::of(name.clone(), key.clone()),
                None => Address::own(key.clone()),
            },
            decision,
            unreachable: self.reached.as_ref().err().copied(),
            revision: self.revision,
        }
    }
}

impl<S: Store> Guestlist<S> {
    /// Whether the actor may do this with a key: of its own organization, or of another one that
    /// its organization has joined (`@name/key`), where only what the proxy user holds counts.
    ///
    /// Strong: it sees every change that returned before it began, by any process on the store.
    /// For another organization every reason to deny (unknown, no member, pending, removed, no
    /// right) is one and the same answer; the [observer](crate::Observer) is shown which.
    ///
    /// # Errors
    ///
    /// Those of the store. A store that can't answer is an error, never a deny.
    pub async fn decide(
        &self,
        actor: &Actor,
        action: Action,
        address: &Address,
    ) -> Result<Decision, Error> {
        let rights = self.rights(actor, address.organization()).await?;
        Ok(rights.decide(action, address.key()))
    }

    /// Whether anybody at all, without signing in, may be told a key of this organization.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn decide_public(&self, name: &OrgName, key: &Key) -> Result<Decision, Error> {
        let scope = Scope {
            root: Root::Name(name.clone()),
            facts: vec![Fact::Organization, Fact::Book],
        };
        let loaded = self.load(&scope).await?;
        let active = loaded
            .records()
            .host()
            .and_then(|host| guestlist_membership::active_named(loaded.records(), host, name));
        let rules = loaded
            .records()
            .host()
            .and_then(|host| loaded.rules.get(host));
        Ok(match (active, rules) {
            (Some(_), Some(rules)) => {
                rules.decide(&Principal::Anonymous, Action::PublicRead, key, self.now())
            }
            _ => Decision::Deny(Denial::NoGrant),
        })
    }

    /// All that the actor may do with a key.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn actions(&self, actor: &Actor, address: &Address) -> Result<ActionSet, Error> {
        let rights = self.rights(actor, address.organization()).await?;
        Ok(rights.actions(address.key()))
    }

    /// The keys that the actor may do this with, as the unique minimal set of prefixes and exact
    /// keys: in its own organization (`None`), or in another one by its name. Filters lists and
    /// searches without asking for each key.
    ///
    /// # Errors
    ///
    /// Those of the store. An organization that can't be reached covers nothing.
    pub async fn readable(
        &self,
        actor: &Actor,
        action: Action,
        organization: Option<&OrgName>,
    ) -> Result<Coverage, Error> {
        Ok(self.rights(actor, organization).await?.readable(action))
    }

    /// The same everywhere: the actor's own organization (`None`), then each one that it has
    /// joined, with the name that its keys are addressed by. For a search without a prefix.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn readable_everywhere(
        &self,
        actor: &Actor,
        action: Action,
    ) -> Result<Vec<(Option<OrgName>, Coverage)>, Error> {
        let mut all = vec![(None, self.readable(actor, action, None).await?)];
        let Some(member) = actor.as_member_organization() else {
            return Ok(all);
        };
        let status = Some(guestlist_membership::member::Status::Approved);
        let query = Query::MembershipsOf { member, status };
        let mut page = Page::first(1000)?;
        loop {
            let listed = self.list(&query, &page).await?;
            for (key, _) in listed.rows {
                let RowKey::Membership(host, _) = key else {
                    continue;
                };
                let scope = Scope::of(host.clone(), vec![Fact::Organization]);
                let records = self.records(&scope).await?;
                let Some(name) = records.organization(&host).map(|host| host.name.clone()) else {
                    continue;
                };
                let coverage = self.readable(actor, action, Some(&name)).await?;
                if !coverage.is_empty() {
                    all.push((Some(name), coverage));
                }
            }
            match listed.next {
                Some(next) => page = page.after(next),
                None => return Ok(all),
            }
        }
    }

    /// Why a subject may or may not do this with a key of an organization, in full, with the
    /// grants that nearly allow it. Needs `grants.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn explain(
        &self,
        actor: &Actor,
        organization: &OrgId,
        subject: &Subject,
        action: Action,
        key: &Key,
    ) -> Result<Explanation, Error> {
        self.check_read(actor, organization, &Reading::Grants)
            .await?;
        let mut facts = vec![Fact::Organization, Fact::Book];
        if let Subject::Member(member) = subject {
            facts.push(Fact::Membership(member.clone()));
        }
        let loaded = self.load(&Scope::of(organization.clone(), facts)).await?;
        let now = self.now();
        let env = self.env(now, &Stated::NOBODY);
        let principal = match subject {
            Subject::Anonymous => Principal::Anonymous,
            Subject::Member(member) => principal_of(loaded.records(), organization, member, &env)
                .map(Principal::Member)
                .ok_or_else(|| not_found("membership"))?,
        };
        let book = loaded
            .records()
            .book()
            .ok_or_else(|| not_found("organization"))?;
        Ok(guestlist_access::explain(
            book, &principal, action, key, now,
        ))
    }

    /// Who may do this with a key of an organization. Needs `grants.manage`. Reads all members.
    ///
    /// An organization that is a member is named by what this one gave to its proxy user. Which of its
    /// people may use that is decided there: nobody, once it is suspended or deleted.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn who(
        &self,
        actor: &Actor,
        organization: &OrgId,
        action: Action,
        key: &Key,
    ) -> Result<Who, Error> {
        self.check_read(actor, organization, &Reading::Grants)
            .await?;
        let loaded = self
            .load(&Scope::of(
                organization.clone(),
                vec![Fact::Organization, Fact::Book],
            ))
            .await?;
        let book = loaded
            .records()
            .book()
            .ok_or_else(|| not_found("organization"))?;
        let now = self.now();
        let env = self.env(now, &Stated::NOBODY);
        let mut principals: Vec<MemberPrincipal> = Vec::new();
        let filter = MemberFilter::default();
        let query = Query::Members {
            host: organization.clone(),
            filter,
        };
        let mut known = std::collections::BTreeSet::new();
        let mut page = Page::first(1000)?;
        loop {
            let listed = self.list(&query, &page).await?;
            for (_, row) in &listed.rows {
                if let Row::Membership(membership) = row {
                    known.insert(membership.member.clone());
                    principals.extend(membership.principal(env.roles, now));
                }
            }
            match listed.next {
                Some(next) => page = page.after(next),
                None => break,
            }
        }
        // Users whose memberships the host application keeps itself, as far as the access rules
        // name them.
        let named: std::collections::BTreeSet<Member> = book.members_named().collect();
        for member in named.difference(&known) {
            principals.extend(principal_of(loaded.records(), organization, member, &env));
        }
        Ok(guestlist_access::who(book, &principals, action, key, now))
    }

    pub(crate) async fn follow(
        &self,
        actor: &Actor,
        name: Option<&OrgName>,
    ) -> Result<Followed, Error> {
        let (user, named) = (actor.user_id().cloned(), name.cloned());
        let caller = actor.organization();
        let mut facts = vec![Fact::Organization, Fact::Book];
        let (root, own) = match (name, caller) {
            (None, Some(caller)) => {
                facts.extend(actor.as_member().map(Fact::Membership));
                (Root::Organization(caller.clone()), true)
            }
            (Some(name), _) => {
                if let Some(caller) = caller {
                    facts.extend([
                        Fact::Membership(Member::Org(caller.clone())),
                        Fact::Acting(caller.clone()),
                        Fact::OrganizationOf(caller.clone()),
                        Fact::BookForActing(caller.clone()),
                    ]);
                    facts.extend(
                        actor
                            .as_member()
                            .map(|user| Fact::MembershipIn(caller.clone(), user)),
                    );
                }
                (Root::Name(name.clone()), false)
            }
            (None, None) => {
                return Ok(Followed {
                    user,
                    caller: None,
                    name: named,
                    host: None,
                    reached: Err(Unreachable::CallerNotInOrganization),
                    rules: None,
                    revision: 0,
                    now: self.now(),
                });
            }
        };
        let loaded = self.load(&Scope { root, facts }).await?;
        let now = self.now();
        let env = self.env(now, &Stated::NOBODY);
        let records = loaded.records();
        // A name leads to the organization that has it now, not to one that had it once.
        let host = records.host().filter(|host| {
            own || records
                .organization(host)
                .is_some_and(|organization| Some(&organization.name) == name)
        });
        let reached = match (own, host, caller) {
            (true, Some(host), _) => reach_own(records, host, actor, &env),
            // `@own/key` is the caller's own key.
            (false, Some(host), Some(caller)) if host == caller => {
                reach_own(records, host, actor, &env)
            }
            // Where a name leads nowhere, nothing was read of the caller either.
            (false, None, Some(_)) if records.host().is_none() => {
                Err(Unreachable::UnknownOrganization)
            }
            (_, host, caller) => {
                let rules = caller.and_then(|caller| loaded.rules.get(caller));
                reach_host(
                    records,
                    host,
                    actor,
                    rules.map(|rules| &**rules.book()),
                    &env,
                )
            }
        };
        let head = host.map(|host| RowKey::AccessHead(host.clone()));
        let revision = head.and_then(|head| loaded.snapshot.revision(&head));
        Ok(Followed {
            user,
            caller: caller.cloned(),
            name: named,
            rules: host.and_then(|host| loaded.rules.get(host)).cloned(),
            host: host.cloned(),
            reached,
            revision: revision.map_or(0, Revision::get),
            now,
        })
    }
}
