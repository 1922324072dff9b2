//! Real commands on a store: load, decide, evolve, commit, with a manual clock and ids that are
//! drawn from a counter.

use core::convert::Infallible;
use core::fmt::Debug;
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use guestlist_access::{AccessBook, RoleCatalog};
use guestlist_access::{AccessCommand, ActionSet, Audience, Giver, Grant, Pattern, Subject};
use guestlist_membership::invite::{InviteCommand, InviteDraft, Mode, NewInvite, SignOn};
use guestlist_membership::link::{LinkCommand, LinkDraft, NewToken, TokenSubject};
use guestlist_membership::member::{Changes, MemberCommand, Membership, Presented, Profile};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::webhook::WebhookCommand;
use guestlist_membership::{
    Actor, By, Command, CommandError, Env, Fact, Home, Records, Row, RowKey, Scope, Stamp, Stated,
    decide, evolve,
};
use guestlist_token::{
    Binding, InviteToken, Pepper, PepperId, PepperRing, Selector, TokenKind, Verification,
};
use guestlist_types::{
    Bucket, CommitId, ConsumerName, EmailAddress, GrantId, GroupId, GroupName, InviteId, LinkId,
    Member, OrgId, OrgName, ProxyUserId, Timestamp, UserId,
};
use rand_core::{TryCryptoRng, TryRng};

use crate::commit::{Check, CommandDigest, Commit, Committed, Draft, Receipt, TokenSecret, Write};
use crate::cursor::Cursor;
use crate::event::{EventFilter, Recorded};
use crate::query::{Page, Query};
use crate::snapshot::{Load, Revision, Snapshot};
use crate::store::Store;

/// How often a command is tried again after a conflict.
const TRIES: u32 = 1000;

/// 2026-01-01, 00:00 UTC.
const START: i64 = 1_767_225_600_000_000;

/// A command, on which organization, and by whom.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a test may change any part of it"
)]
pub struct Order {
    /// The organization. A claim finds its own.
    pub host: OrgId,
    /// Who asks for it.
    pub actor: Actor,
    /// What.
    pub command: Command,
}

impl Order {
    /// Reserves a name.
    #[must_use]
    pub fn reserve_name(host: &OrgId, name: &OrgName) -> Self {
        let name = name.clone();
        Self::organization(host, OrganizationCommand::ReserveName { name })
    }

    /// Changes settings.
    #[must_use]
    pub fn settings(host: &OrgId, settings: Settings) -> Self {
        let settings = Box::new(settings);
        Self::organization(host, OrganizationCommand::ChangeSettings { settings })
    }

    /// A command about an organization.
    #[must_use]
    pub fn organization(host: &OrgId, command: OrganizationCommand) -> Self {
        Self::system(host, Command::Organization(command))
    }

    /// A command about groups and grants.
    #[must_use]
    pub fn access(host: &OrgId, command: AccessCommand) -> Self {
        Self::system(host, Command::Access(command))
    }

    /// A command about a membership.
    #[must_use]
    pub fn member(host: &OrgId, command: MemberCommand) -> Self {
        Self::system(host, Command::Member(command))
    }

    /// A command about a link.
    #[must_use]
    pub fn link(host: &OrgId, command: LinkCommand) -> Self {
        Self::system(host, Command::Link(command))
    }

    /// A command about e-mail invites.
    #[must_use]
    pub fn invite(host: &OrgId, command: InviteCommand) -> Self {
        Self::system(host, Command::Invite(command))
    }

    /// A command about webhook endpoints.
    #[must_use]
    pub fn webhook(host: &OrgId, command: WebhookCommand) -> Self {
        Self::system(host, Command::Webhook(command))
    }

    fn system(host: &OrgId, command: Command) -> Self {
        Self {
            host: host.clone(),
            actor: Actor::system(),
            command,
        }
    }

    /// Rejects a request.
    #[must_use]
    pub fn reject(host: &OrgId, member: &Member) -> Self {
        let member = member.clone();
        let reason = None;
        Self::member(host, MemberCommand::Reject { member, reason })
    }

    /// Withdraws a request.
    #[must_use]
    pub fn cancel(host: &OrgId, member: &Member) -> Self {
        let member = member.clone();
        Self::member(host, MemberCommand::Cancel { member })
    }

    /// Leaves.
    #[must_use]
    pub fn leave(host: &OrgId, member: &Member) -> Self {
        let member = member.clone();
        Self::member(host, MemberCommand::Leave { member })
    }

    /// Takes an e-mail invite back.
    #[must_use]
    pub fn revoke(host: &OrgId, invite: InviteId) -> Self {
        Self::invite(host, InviteCommand::Revoke { invite })
    }

    /// The same, asked for by somebody else.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }
}

/// A link that was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a link and its token")]
pub struct Issued {
    /// The link.
    pub link: LinkId,
    /// Where its first token is found. The harness keeps the token itself.
    pub token: Selector,
}

/// An e-mail invite that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an invite and its token")]
pub struct Invited {
    /// The invite.
    pub invite: InviteId,
    /// Where its first token is found. The harness keeps the token itself.
    pub token: Selector,
}

/// Performs real commands on a store as the facade does, but with a clock that is set by hand and
/// without randomness, and in two steps where a test wants that: [`prepare`](Self::prepare)
/// decides on what it finds, and the commit is sent when the test likes.
///
/// Threads may share one. Whatever goes wrong in the store panics.
pub struct Harness<'a, S: ?Sized> {
    store: &'a S,
    ring: PepperRing,
    roles: RoleCatalog,
    now: AtomicI64,
    drawn: AtomicU64,
    tokens: Mutex<BTreeMap<Selector, Arc<InviteToken>>>,
    applied: Mutex<Vec<Commit>>,
}

impl<S: ?Sized> Debug for Harness<'_, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Harness")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Deterministic and well spread, and nothing else: splitmix64 over the harness's counter.
struct Counter<'a>(&'a AtomicU64);

impl TryRng for Counter<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| (word >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let step = self.0.fetch_add(1, Ordering::Relaxed);
        let mut word = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(word ^ (word >> 31))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_be_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter<'_> {}

/// Panics with what was being done and the error's own text.
pub(super) fn must<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what} failed: {error:?}"))
}

pub(super) fn org(id: &str) -> OrgId {
    must(OrgId::parse(id), "an organization id")
}

pub(super) fn user(id: &str) -> UserId {
    must(UserId::parse(id), "a user id")
}

pub(super) fn name(text: &str) -> OrgName {
    must(OrgName::parse(text), "an organization's name")
}

pub(super) fn email(text: &str) -> EmailAddress {
    must(EmailAddress::parse(text), "an e-mail address")
}

pub(super) fn consumer(text: &str) -> ConsumerName {
    must(ConsumerName::parse(text), "a consumer's name")
}

pub(super) fn person(id: &str) -> Member {
    Member::User(user(id))
}

pub(super) fn company(id: &str) -> Member {
    Member::Org(org(id))
}

/// Another organization whose rows live in the same bucket.
pub(super) fn neighbour(of: &OrgId) -> OrgId {
    let others = (0_u32..).map(|number| org(&format!("neighbour_{number}")));
    let mut same = others.filter(|other| Bucket::of(other) == Bucket::of(of));
    same.next()
        .unwrap_or_else(|| panic!("no organization in the bucket of {of}"))
}

fn pepper(number: u16) -> (PepperId, Pepper) {
    let secret = [u8::try_from(number).unwrap_or(u8::MAX); 32];
    let pepper = must(Pepper::from_bytes(&secret), "a pepper");
    (PepperId::new(number), pepper)
}

/// Tries again while the store is busy, as the contract asks of callers.
macro_rules! patiently {
    ($call:expr, $what:expr) => {{
        let mut tries = 0;
        loop {
            match $call.await {
                Err(error) if error.is_transient() && tries < TRIES => {
                    tries += 1;
                    thread::yield_now();
                }
                answer => break must(answer, $what),
            }
        }
    }};
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a, S: Store + ?Sized> Harness<'a, S> {
    /// On this store, at the beginning of 2026.
    #[must_use]
    pub fn new(store: &'a S) -> Self {
        let (id, secret) = pepper(1);
        Self {
            store,
            ring: PepperRing::new(id, secret),
            roles: RoleCatalog::owner_admin_member(),
            now: AtomicI64::new(START),
            drawn: AtomicU64::new(1),
            tokens: Mutex::default(),
            applied: Mutex::default(),
        }
    }

    /// With another pepper, so that tokens get a new digest when they are claimed.
    #[must_use]
    pub fn with_new_pepper(mut self) -> Self {
        let (new, secret) = pepper(self.ring.current_id().get() + 1);
        self.ring = self
            .ring
            .ids()
            .fold(PepperRing::new(new, secret), |ring, id| {
                let (id, older) = pepper(id.get());
                must(ring.with_older(id, older), "a second pepper")
            });
        self
    }

    /// On the same records, opened again: goes on at this time, and behind this many drawn ids.
    #[must_use]
    pub fn resume(store: &'a S, now: Timestamp, drawn: u64) -> Self {
        let harness = Self::new(store);
        harness.set_now(now);
        harness.drawn.store(drawn, Ordering::Relaxed);
        harness
    }

    /// How far ids have been drawn, for [`resume`](Self::resume).
    #[must_use]
    pub fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &'a S {
        self.store
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::Relaxed))
    }

    /// Sets the time.
    pub fn set_now(&self, now: Timestamp) {
        self.now.store(now.as_micros(), Ordering::Relaxed);
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.set_now(self.now() + by);
    }

    /// The commits that were applied through this harness, in that order unless threads share it.
    #[must_use]
    pub fn applied(&self) -> Vec<Commit> {
        lock(&self.applied).clone()
    }

    fn counter(&self) -> Counter<'_> {
        Counter(&self.drawn)
    }

    /// Every id is a millisecond later than the one before, so that the order of ids is that in
    /// which they were drawn.
    fn id_time(&self) -> Timestamp {
        let step = Duration::from_millis(self.drawn.load(Ordering::Relaxed));
        Timestamp::from_micros(START) + step
    }

    /// A new link's id.
    #[must_use]
    pub fn link_id(&self) -> LinkId {
        must(
            LinkId::generate(self.id_time(), &mut self.counter()),
            "an id",
        )
    }

    /// A new e-mail invite's id.
    #[must_use]
    pub fn invite_id(&self) -> InviteId {
        must(
            InviteId::generate(self.id_time(), &mut self.counter()),
            "an id",
        )
    }

    /// A new group's id.
    #[must_use]
    pub fn group_id(&self) -> GroupId {
        must(
            GroupId::generate(self.id_time(), &mut self.counter()),
            "an id",
        )
    }

    /// A new grant's id.
    #[must_use]
    pub fn grant_id(&self) -> GrantId {
        must(
            GrantId::generate(self.id_time(), &mut self.counter()),
            "an id",
        )
    }

    /// A new commit's id.
    #[must_use]
    pub fn commit_id(&self) -> CommitId {
        must(
            CommitId::generate(self.id_time(), &mut self.counter()),
            "an id",
        )
    }

    fn proxy_id(&self) -> ProxyUserId {
        must(
            ProxyUserId::generate(self.id_time(), &mut self.counter()),
            "an id",
        )
    }

    /// Draws a token of this link, and keeps it.
    #[must_use]
    pub fn draw(&self, host: &OrgId, link: LinkId) -> NewToken {
        self.draw_for(host, TokenSubject::Link(link))
    }

    /// Draws a token of this link or e-mail invite, and keeps it.
    #[must_use]
    pub fn draw_for(&self, host: &OrgId, subject: TokenSubject) -> NewToken {
        let kind = match subject {
            TokenSubject::Link(_) => TokenKind::Link,
            TokenSubject::Invite(_) => TokenKind::EmailInvite,
        };
        let token = InviteToken::generate(kind, Bucket::of(host), &mut self.counter());
        let token = must(token, "a token");
        let selector = token.selector();
        let tag = self.ring.tag(
            &token,
            &Binding {
                host,
                subject: *subject.as_bytes(),
            },
        );
        lock(&self.tokens).insert(selector, Arc::new(token));
        NewToken { selector, tag }
    }

    /// Reads the facts of a scope.
    pub async fn load(&self, scope: &Scope) -> Snapshot {
        let snapshot = patiently!(self.store.load(&Load::of(scope)), "loading a scope");
        let missing = scope.missing(&snapshot);
        assert!(missing.is_empty(), "a load left out {missing:?}");
        snapshot
    }

    /// One membership, as it is stored.
    pub async fn membership(&self, host: &OrgId, member: &Member) -> Option<Membership> {
        let scope = Scope::of(host.clone(), vec![Fact::Membership(member.clone())]);
        let snapshot = self.load(&scope).await;
        snapshot.records().membership(host, member).cloned()
    }

    /// An organization's access rules.
    pub async fn book(&self, host: &OrgId) -> Arc<AccessBook> {
        let snapshot = self.load(&Scope::of(host.clone(), vec![Fact::Book])).await;
        let book = snapshot
            .books()
            .find(|(organization, _)| *organization == host);
        let book = book.and_then(|(_, book)| book.whole().cloned());
        book.unwrap_or_else(|| panic!("a load left out the access rules of {host}"))
    }

    /// Decides a command on what the store holds now, and makes the commit that stores it.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if the rules refuse it.
    pub async fn prepare(&self, order: &Order) -> Result<Commit, CommandError> {
        let scope = order.command.scope(&order.host, &order.actor);
        let snapshot = self.load(&scope).await;
        self.decide(order, &scope, &snapshot)
    }

    /// Decides a command on a snapshot that was taken before.
    fn decide(
        &self,
        order: &Order,
        scope: &Scope,
        snapshot: &Snapshot,
    ) -> Result<Commit, CommandError> {
        let mut records = snapshot.to_records();
        let host = scope.host(&records);
        assert_eq!(records.host(), host.as_ref(), "the host that a load tells");
        let host = host.unwrap_or_else(|| order.host.clone());
        for (organization, book) in snapshot.books() {
            if let Some(book) = book.whole().filter(|_| *organization == host) {
                records.set_book(Arc::clone(book));
            }
        }
        let mut command = order.command.clone();
        let secrets = self.secrets(&mut command, &records);
        let env = Env {
            now: self.now(),
            roles: &self.roles,
            creator: &Stated::NOBODY,
        };
        let decided = decide(&records, &host, &order.actor, &command, &env)?;
        for event in &decided.events {
            evolve(&mut records, &host, &decided.stamp, event);
        }
        let home = match command {
            Command::Organization(OrganizationCommand::ReserveName { name }) => Home::Name(name),
            _ => Home::Organization(host),
        };
        let id = self.commit_id();
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(id.as_bytes());
        Ok(Draft {
            id,
            home,
            snapshot,
            after: &records,
            stamp: decided.stamp,
            events: decided.events,
            secrets: &secrets,
            erasures: Vec::new(),
            receipt: Receipt {
                digest: CommandDigest(digest),
                reply: format!("{{\"reply\":\"{id}\"}}"),
            },
        }
        .into_commit())
    }

    /// What the shell knows of tokens and the core doesn't: their digests.
    fn secrets(&self, command: &mut Command, records: &Records) -> Vec<TokenSecret> {
        let secret = |selector, tag| TokenSecret {
            selector,
            tag,
            sealed: None,
        };
        let new = command.new_tokens();
        let mut secrets: Vec<_> = new.map(|token| secret(token.selector, token.tag)).collect();
        if let Some(presented) = command.presented_mut() {
            let held = lock(&self.tokens).get(&presented.selector).cloned();
            let row = records.token(presented.selector);
            let (Some(held), Some(row)) = (held, row) else {
                return secrets;
            };
            let binding = Binding {
                host: &row.host,
                subject: *row.subject.as_bytes(),
            };
            let verification = row.tag.as_ref().map_or(Verification::Invalid, |tag| {
                self.ring.verify(&held, &binding, tag)
            });
            presented.genuine = verification.is_valid();
            if verification == Verification::ValidOlder {
                secrets.push(secret(presented.selector, self.ring.tag(&held, &binding)));
            }
        }
        secrets
    }

    /// Prepares a command that the rules allow.
    pub async fn prepared(&self, order: &Order) -> Commit {
        let prepared = self.prepare(order).await;
        prepared.unwrap_or_else(|error| panic!("{order:?} was refused: {error:?}"))
    }

    /// Prepares several commands on what the store holds now.
    pub async fn prepared_all(&self, orders: &[Order]) -> Vec<Commit> {
        let mut commits = Vec::with_capacity(orders.len());
        for order in orders {
            commits.push(self.prepared(order).await);
        }
        commits
    }

    /// Sends a commit, once.
    pub async fn commit(&self, commit: &Commit) -> Committed {
        let outcomes = self.commit_all(core::slice::from_ref(commit)).await;
        let [outcome] = <[_; 1]>::try_from(outcomes)
            .unwrap_or_else(|outcomes| panic!("one commit, and the answer was {outcomes:?}"));
        outcome
    }

    /// Sends several commits in one call; again, if it is not known what became of them, unless
    /// they would be applied again then.
    pub async fn commit_all(&self, commits: &[Commit]) -> Vec<Committed> {
        let mut outcomes = self.store.commit(commits).await;
        let mut unknown = false;
        let repeatable = commits.iter().all(|commit| commit.receipt.is_some());
        for _ in 0..TRIES {
            match &outcomes {
                Err(error) if error.is_transient() || (error.is_unknown() && repeatable) => {
                    unknown |= error.is_unknown();
                    thread::yield_now();
                    outcomes = self.store.commit(commits).await;
                }
                Ok(_) | Err(_) => break,
            }
        }
        let mut outcomes = must(outcomes, "committing");
        for (commit, outcome) in commits.iter().zip(&mut outcomes) {
            // It was this very call, the first time.
            let first = commit.receipt.clone().map(Committed::AlreadyApplied);
            if unknown && Some(&*outcome) == first.as_ref() {
                *outcome = Committed::Applied;
            }
        }
        assert_eq!(outcomes.len(), commits.len(), "one outcome per commit");
        for (commit, outcome) in commits.iter().zip(&outcomes) {
            match outcome {
                Committed::Applied => lock(&self.applied).push(commit.clone()),
                Committed::AlreadyApplied(_) => {}
                Committed::Conflict { key } => {
                    let checked = commit.checks.iter().any(|check| check.key() == key);
                    let written = commit.writes.iter().any(|write| write.key() == key);
                    assert!(
                        checked || written,
                        "a conflict about {key:?}, which is not in it"
                    );
                }
            }
        }
        outcomes
    }

    /// Performs a command; after a conflict from the beginning.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if the rules refuse it.
    pub async fn run(&self, order: &Order) -> Result<Commit, CommandError> {
        for _ in 0..TRIES {
            let commit = self.prepare(order).await?;
            // Lets other threads in between, over stores that never yield by themselves, too.
            thread::yield_now();
            match self.commit(&commit).await {
                Committed::Applied => return Ok(commit),
                Committed::AlreadyApplied(receipt) => {
                    panic!("a new commit had been applied before, as {receipt:?}")
                }
                Committed::Conflict { .. } => {}
            }
        }
        panic!("{order:?} met a conflict {TRIES} times")
    }

    /// Performs a command that the rules allow.
    pub async fn done(&self, order: &Order) {
        if let Err(error) = self.run(order).await {
            panic!("{order:?} was refused: {error:?}");
        }
    }

    /// Performs commands that the rules allow, one after the other.
    pub async fn all_done(&self, orders: &[Order]) {
        for order in orders {
            self.done(order).await;
        }
    }

    /// Asserts that the commit applies.
    pub async fn applies(&self, commit: &Commit) {
        let outcome = self.commit(commit).await;
        assert_eq!(outcome, Committed::Applied, "{:?}", commit.events);
    }

    /// Asserts that the commit is a conflict.
    pub async fn conflicts(&self, commit: &Commit) {
        let outcome = self.commit(commit).await;
        assert!(
            matches!(outcome, Committed::Conflict { .. }),
            "a decision that is no longer true was stored ({outcome:?}): {:?}",
            commit.events
        );
    }

    /// The revision of a row, and the row.
    pub async fn row(&self, scope: &Scope, key: &RowKey) -> (Revision, Option<Row>) {
        let snapshot = self.load(scope).await;
        let revision = snapshot.revision(key);
        let revision = revision.unwrap_or_else(|| panic!("a load left out {key:?}"));
        (revision, snapshot.records().get(key).cloned())
    }

    /// All events that match, read in pages of this size.
    pub async fn events(&self, filter: &EventFilter, page: u32) -> Vec<Recorded> {
        self.events_after(filter, None, page).await.0
    }

    /// All events behind a cursor, and the cursor behind them.
    pub async fn events_after(
        &self,
        filter: &EventFilter,
        after: Option<Cursor>,
        page: u32,
    ) -> (Vec<Recorded>, Option<Cursor>) {
        let mut all: Vec<Recorded> = Vec::new();
        let mut after = after;
        loop {
            let read = patiently!(
                self.store.events(filter, after.as_ref(), page),
                "reading events"
            );
            let limit = page as usize;
            assert!(
                read.events.len() <= limit,
                "more events than the {limit} asked for"
            );
            let more = !read.events.is_empty();
            assert!(
                read.next.is_some() || !more,
                "events without a cursor behind them"
            );
            if let Some(next) = &read.next {
                assert_eq!(
                    next.as_str().parse().as_ref(),
                    Ok(next),
                    "a cursor is its text"
                );
            }
            for recorded in read.events {
                let last = all.last().map(|recorded| recorded.sequence);
                let sequence = recorded.sequence;
                assert!(
                    Some(sequence) > last,
                    "events go back from {last:?} to {sequence:?}"
                );
                all.push(recorded);
            }
            after = read.next;
            if !more {
                return (all, after);
            }
        }
    }

    /// A whole list, read in pages of this size.
    pub async fn list(&self, query: &Query, page: u32) -> Vec<(RowKey, Row)> {
        let mut all: Vec<(RowKey, Row)> = Vec::new();
        let mut keys = BTreeSet::new();
        let mut wanted = must(Page::first(page), "a page's size");
        loop {
            let listed = patiently!(self.store.list(query, &wanted, self.now()), "listing");
            let limit = page as usize;
            assert!(
                listed.rows.len() <= limit,
                "{query:?}: more rows than {limit}"
            );
            let full = listed.rows.len() == limit;
            assert!(
                full || listed.next.is_none(),
                "{query:?}: a short page before the last"
            );
            for (key, _) in &listed.rows {
                let new = keys.insert(key.clone());
                assert!(new, "{query:?}: {key:?} is listed twice");
            }
            all.extend(listed.rows);
            match listed.next {
                Some(next) => wanted = wanted.after(next),
                None => return all,
            }
        }
    }
}

/// Commands, as the host application itself gives them.
impl<S: Store + ?Sized> Harness<'_, S> {
    /// Registers an organization of this id with a name and without founder or settings.
    pub async fn register(&self, host: &OrgId, name: &OrgName) {
        self.register_with(host, name, None, Settings::default())
            .await;
    }

    /// Registers an organization.
    pub async fn register_with(
        &self,
        host: &OrgId,
        name: &OrgName,
        founder: Option<UserId>,
        settings: Settings,
    ) {
        self.done(&Order::reserve_name(host, name)).await;
        self.done(&self.register_order(host, name, founder, settings))
            .await;
    }

    /// Registers an organization whose name has been reserved.
    #[must_use]
    pub fn register_order(
        &self,
        host: &OrgId,
        name: &OrgName,
        founder: Option<UserId>,
        settings: Settings,
    ) -> Order {
        let founder_grant = founder.clone().map(|_| {
            Box::new(Grant {
                id: self.grant_id(),
                giver: Giver::System,
                at: self.now(),
                expires_at: None,
                subject: Subject::Organization(Audience::InternalUsers),
                actions: ActionSet::ALL,
                pattern: Pattern::all(),
            })
        });
        Order::organization(
            host,
            OrganizationCommand::Register {
                name: name.clone(),
                display_name: None,
                founder,
                founder_grant,
                settings: Box::new(settings),
            },
        )
    }

    /// Makes a group, and tells its id.
    pub async fn new_group(&self, host: &OrgId, name: &str, internal: bool) -> GroupId {
        let id = self.group_id();
        let name = must(GroupName::parse(name), "a group's name");
        let command = AccessCommand::CreateGroup { id, name, internal };
        self.done(&Order::access(host, command)).await;
        id
    }

    /// Creates a link, and tells where it is.
    #[must_use]
    pub fn create_link(&self, host: &OrgId, draft: LinkDraft) -> (Order, Issued) {
        let link = self.link_id();
        let token = self.draw(host, link);
        let issued = Issued {
            link,
            token: token.selector,
        };
        let command = LinkCommand::Create {
            link,
            draft: Box::new(draft),
            token,
            as_default: false,
        };
        (Order::link(host, command), issued)
    }

    /// Creates a link.
    pub async fn new_link(&self, host: &OrgId, draft: LinkDraft) -> Issued {
        let (order, issued) = self.create_link(host, draft);
        self.done(&order).await;
        issued
    }

    /// Refreshes a link.
    #[must_use]
    pub fn refresh(&self, host: &OrgId, link: LinkId, overlap: Duration) -> Order {
        let token = self.draw(host, link);
        Order::link(
            host,
            LinkCommand::Refresh {
                link,
                token,
                overlap,
            },
        )
    }

    /// Presents a token for a member.
    #[must_use]
    pub fn claim(&self, token: Selector, member: &Member) -> Order {
        let command = MemberCommand::Claim {
            token: Presented {
                selector: token,
                genuine: false,
            },
            member: member.clone(),
            profile: Profile::default(),
            answers: Vec::new(),
            proxy: self.proxy_id(),
        };
        Order::member(&org("found-by-the-token"), command)
    }

    /// Sends e-mail invites of this draft, each on its own, and tells where they are.
    #[must_use]
    pub fn invite_all(
        &self,
        host: &OrgId,
        addresses: &[&str],
        draft: &InviteDraft,
    ) -> (Order, Vec<Invited>) {
        let new = |address: &&str| {
            let id = self.invite_id();
            NewInvite {
                id,
                address: email(address),
                draft: draft.clone(),
                sign_on: SignOn::Usual,
                is_member: false,
                token: self.draw_for(host, TokenSubject::Invite(id)),
            }
        };
        let invites: Vec<_> = addresses.iter().map(new).collect();
        let place = |new: &NewInvite| Invited {
            invite: new.id,
            token: new.token.selector,
        };
        let all = invites.iter().map(place).collect();
        let mode = Mode::EachOnItsOwn;
        (
            Order::invite(host, InviteCommand::Send { invites, mode }),
            all,
        )
    }

    /// Sends one e-mail invite, and tells where it is.
    #[must_use]
    pub fn invite_order(&self, host: &OrgId, address: &str) -> (Order, Invited) {
        let (order, mut all) = self.invite_all(host, &[address], &InviteDraft::new());
        let invited = all.pop().unwrap_or_else(|| panic!("one was asked for"));
        (order, invited)
    }

    /// Sends an e-mail invite.
    pub async fn new_invite(&self, host: &OrgId, address: &str) -> Invited {
        let (order, invited) = self.invite_order(host, address);
        self.done(&order).await;
        invited
    }

    /// Sends an e-mail invite again.
    #[must_use]
    pub fn resend(&self, host: &OrgId, invite: InviteId) -> (Order, Invited) {
        let token = self.draw_for(host, TokenSubject::Invite(invite));
        let invited = Invited {
            invite,
            token: token.selector,
        };
        let command = InviteCommand::Resend { invite, token };
        (Order::invite(host, command), invited)
    }

    /// Accepts an e-mail invite for a member.
    #[must_use]
    pub fn accept(&self, token: Selector, member: &Member) -> Order {
        let command = MemberCommand::Accept {
            token: Presented {
                selector: token,
                genuine: false,
            },
            member: member.clone(),
            profile: Profile::default(),
            proxy: self.proxy_id(),
        };
        Order::member(&org("found-by-the-token"), command)
    }

    /// Accepts an e-mail invite as a user whose only verified address is this one.
    #[must_use]
    pub fn accept_as(&self, token: Selector, id: &str, address: &str) -> Order {
        let actor = Actor::user(user(id)).with_verified_email(email(address));
        self.accept(token, &person(id)).by(actor)
    }

    /// Declines an e-mail invite of this organization.
    #[must_use]
    pub fn decline(&self, host: &OrgId, token: Selector) -> Order {
        let token = Presented {
            selector: token,
            genuine: false,
        };
        Order::invite(host, InviteCommand::Decline { token })
    }

    /// Asks to join, as a user whose only verified address is this one.
    #[must_use]
    pub fn request(&self, host: &OrgId, id: &str, address: &str) -> Order {
        let address = email(address);
        let command = MemberCommand::Request {
            member: person(id),
            profile: Profile {
                email: Some(address.clone()),
                ..Profile::default()
            },
            message: None,
            answers: Vec::new(),
            proxy: self.proxy_id(),
        };
        Order::member(host, command).by(Actor::user(user(id)).with_verified_email(address))
    }

    /// A commit that no command makes: of counters, or of a consumer of the feed. Nothing is kept
    /// of it, and nothing is in the log.
    pub fn plain_commit(&self, home: Home, checks: Vec<Check>, writes: Vec<Write>) -> Commit {
        Commit {
            id: self.commit_id(),
            home,
            checks,
            writes,
            stamp: Stamp {
                at: self.now(),
                by: By::System,
            },
            events: Vec::new(),
            receipt: None,
        }
    }

    /// Approves a request.
    #[must_use]
    pub fn approve(&self, host: &OrgId, member: &Member) -> Order {
        let command = MemberCommand::Approve {
            member: member.clone(),
            changes: Box::new(Changes::default()),
            proxy: self.proxy_id(),
        };
        Order::member(host, command)
    }

    /// Adds a member directly.
    #[must_use]
    pub fn add(&self, host: &OrgId, member: &Member, role: Option<&str>) -> Order {
        let role = role.map(|role| must(guestlist_types::RoleName::parse(role), "a role"));
        let command = MemberCommand::Add {
            member: member.clone(),
            profile: Profile::default(),
            gift: Box::new(guestlist_membership::link::Preset {
                role,
                ..Default::default()
            }),
            expires_at: None,
            proxy: self.proxy_id(),
        };
        Order::member(host, command)
    }
}
