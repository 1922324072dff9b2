//! How often somebody may try, and what is shown of every command.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::net::IpAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use common::log::Log;
use common::postbox::Postbox;
use common::{builder, link, on_every_store, org, org_member, over, owner, register, to_all, user};
use common::{register_with, user_member};
use guestlist::membership::{Requests, RowKey};
use guestlist::store::{
    Capabilities, Commit, Committed, EventPage, Listed, Load, Query, Snapshot, StoreError,
};
use guestlist::{
    Action, Actor, Attempt, Builder, Claim, CommandRecord, Cursor, DecisionRecord, EndpointDraft,
    EndpointUrl, Error, EventFilter, Expiry, Grantee, Guestlist, InProcessRateLimit, Invitations,
    InviteToken, LinkDraft, ManualClock, MemoryStore, NoRateLimit, Observer, OrgId, Page, Pattern,
    Pause, Preset, Quota, Rate, RateLimit, RoleName, Settings, Store, Timestamp, Tried, UserId,
};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(1_000_000);

on_every_store! {
    so_many_at_once_and_more_as_time_goes_by,
    everybody_has_a_quota_of_their_own,
    a_network_has_one_quota_whoever_comes_from_it,
    tokens_that_nobody_issued_count_like_others,
    whoever_is_limited_reaches_no_store,
    addresses_are_counted_and_a_refused_call_invites_nobody,
    a_limit_that_fails_lets_nobody_through,
    nothing_is_limited_where_nothing_is_to_be,
    a_port_is_told_who_tries_what,
    an_observer_sees_who_is_limited,
    every_command_is_shown_with_its_outcome,
    retries_are_counted,
}

/// Counts what reaches a store, and has the next commits fail.
struct Watched<S> {
    store: S,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    calls: AtomicUsize,
    conflicts: AtomicUsize,
    down: AtomicUsize,
}

impl<S: Store> Watched<S> {
    fn new(store: S) -> (Self, Arc<Watch>) {
        let watch = Arc::<Watch>::default();
        let watched = Self {
            store,
            watch: Arc::clone(&watch),
        };
        (watched, watch)
    }
}

impl Watch {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn called(&self) -> Result<(), StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if take(&self.down) {
            return Err(StoreError::Unavailable("nobody is there".into()));
        }
        Ok(())
    }
}

/// Takes one, if there is one.
fn take(counter: &AtomicUsize) -> bool {
    let less = |count: usize| count.checked_sub(1);
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

#[async_trait]
impl<S: Store> Store for Watched<S> {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        self.watch.called()?;
        self.store.load(load).await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        self.watch.called()?;
        if take(&self.watch.conflicts) {
            let key = RowKey::Organization(org("host"));
            let conflict = |_: &Commit| Committed::Conflict { key: key.clone() };
            return Ok(commits.iter().map(conflict).collect());
        }
        self.store.commit(commits).await
    }

    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        self.watch.called()?;
        self.store.list(query, page, now).await
    }

    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        self.watch.called()?;
        self.store.events(filter, after, limit).await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

fn wait_of<T: core::fmt::Debug>(result: Result<T, Error>) -> Duration {
    match result.unwrap_err() {
        Error::RateLimited { wait } => wait,
        other => panic!("{other:?}"),
    }
}

/// Quotas of which only the named one can run out.
fn per_actor(quota: Quota) -> InProcessRateLimit {
    InProcessRateLimit::new(quota, plenty(), plenty())
}

fn per_address(quota: Quota) -> InProcessRateLimit {
    InProcessRateLimit::new(plenty(), quota, plenty())
}

fn invites(quota: Quota) -> InProcessRateLimit {
    InProcessRateLimit::new(plenty(), plenty(), quota)
}

fn plenty() -> Quota {
    Quota::new(1_000_000, Duration::from_micros(1))
}

/// A host with a link, and a limit on who tries it.
async fn limited<S: Store>(
    store: S,
    clock: &Arc<ManualClock>,
    limit: impl RateLimit + 'static,
) -> (Guestlist<S>, InviteToken) {
    let guestlist = builder(store, clock, 51).rate_limit(limit).build();
    register(&guestlist, &["host"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    (guestlist, token)
}

async fn claim<S: Store>(
    guestlist: &Guestlist<S>,
    actor: &str,
    token: &InviteToken,
) -> Result<(), Error> {
    let actor = user(actor);
    let claimed = guestlist.claim(&actor, token, Claim::for_myself());
    claimed.await.map(|_| ())
}

async fn so_many_at_once_and_more_as_time_goes_by<S: Store>(store: S) {
    let clock = common::clock();
    let (guestlist, token) = limited(store, &clock, per_actor(Quota::new(3, 10 * SECOND))).await;
    for _ in 0..3 {
        claim(&guestlist, "ann", &token).await.unwrap();
    }
    // Trying while one has to wait makes the wait no longer.
    for _ in 0..20 {
        let wait = wait_of(claim(&guestlist, "ann", &token).await);
        assert!(wait <= 10 * SECOND && wait > 9 * SECOND, "{wait:?}");
    }
    let error = claim(&guestlist, "ann", &token).await.unwrap_err();
    assert_eq!(error.code(), "rate-limited");
    assert_eq!(error.to_string(), "too many attempts: wait 10 seconds");
    assert!(error.is_transient() && !error.is_unknown());
    // Almost long enough is not long enough; the wait that was told is.
    clock.advance(9 * SECOND);
    let wait = wait_of(claim(&guestlist, "ann", &token).await);
    clock.advance(wait);
    claim(&guestlist, "ann", &token).await.unwrap();
    wait_of(claim(&guestlist, "ann", &token).await);
    // Two at once after the time of two.
    clock.advance(20 * SECOND);
    for _ in 0..2 {
        claim(&guestlist, "ann", &token).await.unwrap();
    }
    wait_of(claim(&guestlist, "ann", &token).await);
    // However long one stays away, no more than the burst gathers.
    clock.advance(LONG);
    for _ in 0..3 {
        claim(&guestlist, "ann", &token).await.unwrap();
    }
    wait_of(claim(&guestlist, "ann", &token).await);
    // A clock that steps back lets nobody through, and locks nobody out for good.
    clock.set(common::START);
    wait_of(claim(&guestlist, "ann", &token).await);
    clock.advance(2 * LONG);
    claim(&guestlist, "ann", &token).await.unwrap();
}

async fn everybody_has_a_quota_of_their_own<S: Store>(store: S) {
    let clock = common::clock();
    let (guestlist, token) = limited(store, &clock, per_actor(Quota::new(2, LONG))).await;
    for name in ["ann", "bob", "cat"] {
        for _ in 0..2 {
            claim(&guestlist, name, &token).await.unwrap();
        }
        wait_of(claim(&guestlist, name, &token).await);
    }
    // It is the person who is counted, in whatever role they come.
    let ann = user("ann").in_organization(org("host"));
    let asked = guestlist.claim(&ann, &token, Claim::for_organization());
    wait_of(asked.await);
    // All doors have one quota.
    let asked = guestlist
        .request(&user("ann"), &org("host"), Claim::for_myself(), None)
        .await;
    wait_of(asked);
    // Idempotency is no way around it.
    let keyed = guestlist.with_key("a key".parse().unwrap());
    wait_of(claim(&keyed, "ann", &token).await);
    claim(&keyed, "dan", &token).await.unwrap();
    claim(&keyed, "dan", &token).await.unwrap();
    wait_of(claim(&keyed, "dan", &token).await);
}

async fn a_network_has_one_quota_whoever_comes_from_it<S: Store>(store: S) {
    let clock = common::clock();
    let (guestlist, token) = limited(store, &clock, per_address(Quota::new(3, LONG))).await;
    let from = async |who: &str, address: &str| {
        let address: IpAddr = address.parse().unwrap();
        code(claim(&guestlist.from_address(address), who, &token).await)
    };
    let full = "rate-limited";
    // Anybody of one address, however it is written.
    assert_eq!(from("a1", "192.0.2.1").await, "ok");
    assert_eq!(from("a2", "::ffff:192.0.2.1").await, "ok");
    assert_eq!(from("a3", "192.0.2.1").await, "ok");
    assert_eq!(from("a4", "192.0.2.1").await, full);
    assert_eq!(from("a4", "::ffff:192.0.2.1").await, full);
    assert_eq!(from("a4", "192.0.2.2").await, "ok");
    // A /64 is one customer's; the next one is another's.
    assert_eq!(from("b1", "2001:db8:1:2::1").await, "ok");
    assert_eq!(from("b2", "2001:db8:1:2:ffff:ffff:ffff:ffff").await, "ok");
    assert_eq!(from("b3", "2001:db8:1:2:0:1::").await, "ok");
    assert_eq!(from("b4", "2001:db8:1:2:3:4:5:6").await, full);
    assert_eq!(from("b4", "2001:db8:1:3::1").await, "ok");
    assert_eq!(from("b5", "2001:db8:1:1:ffff::1").await, "ok");
    // The same bits are another network in the other family.
    assert_eq!(from("c1", "::c000:201").await, "ok");
    // Whoever comes from nowhere in particular is not counted by address.
    for _ in 0..5 {
        claim(&guestlist, "d1", &token).await.unwrap();
    }
    // It is of the handle, and goes along with its idempotency key.
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let one = guestlist.from_address(address);
    let both = one.with_key("a key".parse().unwrap());
    assert_eq!(code(claim(&both, "e1", &token).await), full);

    // What the address refuses costs the actor nothing.
    let quota = Quota::new(1, LONG);
    let strict = InProcessRateLimit::new(quota, quota, plenty());
    let strict = builder(guestlist.store(), &clock, 52)
        .rate_limit(strict)
        .build();
    let here = strict.from_address(address);
    assert_eq!(code(claim(&here, "f1", &token).await), "ok");
    assert_eq!(code(claim(&here, "f2", &token).await), full);
    assert_eq!(code(claim(&strict, "f2", &token).await), "ok");
}

/// Tokens of which the host has never heard, and of another kind.
async fn foreign_tokens() -> [InviteToken; 2] {
    let stranger = over(MemoryStore::default(), &common::clock(), 99);
    register(&stranger, &["host"]).await;
    let (_, unknown) = link(&stranger, "host", LinkDraft::review()).await;
    let one = Invitations::new().to("ann@corp.example");
    let mut outcomes = stranger
        .invite(&owner("host"), &org("host"), one)
        .await
        .unwrap();
    match outcomes.remove(0) {
        guestlist::InviteOutcome::Invited(invited) => [unknown, invited.token.unwrap()],
        other => panic!("{other:?}"),
    }
}

async fn tokens_that_nobody_issued_count_like_others<S: Store>(store: S) {
    let clock = common::clock();
    let (guestlist, genuine) = limited(store, &clock, per_actor(Quota::new(4, LONG))).await;
    let [of_link, of_invite] = foreign_tokens().await;
    let (mal, myself) = (user("mal"), Claim::for_myself);
    let guesses = [
        code(guestlist.claim(&mal, &of_link, myself()).await),
        code(guestlist.accept(&mal, &of_invite, myself()).await),
        code(guestlist.decline(&mal, &of_invite).await),
        code(guestlist.claim(&mal, &of_link, myself()).await),
    ];
    assert_eq!(guesses, ["invalid-token"; 4]);
    let limited = [
        code(guestlist.claim(&mal, &of_link, myself()).await),
        code(guestlist.accept(&mal, &of_invite, myself()).await),
        code(guestlist.decline(&mal, &of_invite).await),
        // Whether the next guess is right can't be learnt either.
        code(guestlist.claim(&mal, &genuine, myself()).await),
    ];
    assert_eq!(limited, ["rate-limited"; 4]);
}

async fn whoever_is_limited_reaches_no_store<S: Store>(store: S) {
    let clock = common::clock();
    let (watched, watch) = Watched::new(store);
    let none = Quota::new(0, SECOND);
    let limit = InProcessRateLimit::new(none, none, none);
    let (guestlist, token) = limited(watched, &clock, limit).await;
    refused_at_the_door(&guestlist, &watch, &token, "rate-limited").await;
}

/// Every call that is limited gives this answer, without a look into the store.
async fn refused_at_the_door<S: Store>(
    guestlist: &Guestlist<S>,
    watch: &Watch,
    token: &InviteToken,
    expected: &str,
) {
    let [_, of_invite] = foreign_tokens().await;
    let (host, alice, mal) = (org("host"), owner("host"), user("mal"));
    let (myself, before) = (Claim::for_myself, watch.calls());
    let one = Invitations::new().to("ann@corp.example");
    let id = guestlist::InviteId::from_bytes([5; 16]);
    let codes = [
        code(guestlist.claim(&mal, token, myself()).await),
        code(guestlist.accept(&mal, &of_invite, myself()).await),
        code(guestlist.decline(&mal, &of_invite).await),
        code(guestlist.request(&mal, &host, myself(), None).await),
        code(guestlist.invite(&alice, &host, one.clone()).await),
        code(
            guestlist
                .invite(&alice, &host, one.clone().all_or_nothing())
                .await,
        ),
        code(guestlist.resend_invite(&alice, &host, id).await),
    ];
    assert_eq!(codes, [expected; 7]);
    assert_eq!(watch.calls(), before, "nothing was looked up");
    // What is not limited still works, and is seen by the watch.
    guestlist.preview(token).await.unwrap();
    assert!(watch.calls() > before);
}

async fn addresses_are_counted_and_a_refused_call_invites_nobody<S: Store>(store: S) {
    let clock = common::clock();
    let postbox = Postbox::default();
    let guestlist = builder(store, &clock, 51)
        .mailer(postbox.clone())
        .rate_limit(invites(Quota::new(250, SECOND)))
        .build();
    register(&guestlist, &["host"]).await;
    let (host, alice) = (org("host"), owner("host"));
    let list = |from: usize, count: usize| {
        let at = |i| format!("p{i}@corp.example");
        (from..from + count).map(at).collect::<Invitations>()
    };
    // More than fit, also where they are more than one commit: no part of them goes out.
    let refused = guestlist.invite(&alice, &host, list(0, 300)).await;
    assert_eq!(wait_of(refused), 50 * SECOND);
    let page = Page::first(1000).unwrap();
    let filter = guestlist::InviteFilter::default;
    let sent = guestlist.invites(&alice, &host, filter(), &page).await;
    assert_eq!((sent.unwrap().invites.len(), postbox.tried()), (0, 0));
    let done = guestlist.invite(&alice, &host, list(0, 240)).await;
    assert_eq!(done.unwrap().len(), 240);
    assert_eq!(
        code(guestlist.invite(&alice, &host, list(240, 11)).await),
        "rate-limited"
    );
    // What is no address, or is the same one again, is not counted.
    let ten = list(240, 10).to("P240@corp.example").to("nobody");
    let done = guestlist.invite(&alice, &host, ten).await.unwrap();
    let id = done[0].invited().unwrap().invite.id;
    assert_eq!(
        code(guestlist.resend_invite(&alice, &host, id).await),
        "rate-limited"
    );
    // Nothing is left, and nothing is asked for.
    let nobody = guestlist.invite(&alice, &host, Invitations::new()).await;
    assert!(nobody.unwrap().is_empty());
    clock.advance(2 * SECOND);
    assert_eq!(code(guestlist.resend_invite(&alice, &host, id).await), "ok");
    assert_eq!(postbox.tried(), 251);
    // Claims have their own.
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    claim(&guestlist, "host-owner", &token).await.unwrap();
}

struct Failing;

#[async_trait]
impl RateLimit for Failing {
    async fn check(
        &self,
        _: &Tried<'_>,
        _: Timestamp,
    ) -> Result<Rate, Box<dyn core::error::Error + Send + Sync>> {
        Err("the cache is down".into())
    }
}

async fn a_limit_that_fails_lets_nobody_through<S: Store>(store: S) {
    let clock = common::clock();
    let (watched, watch) = Watched::new(store);
    let (guestlist, token) = limited(watched, &clock, Failing).await;
    refused_at_the_door(&guestlist, &watch, &token, "rate-limit-unavailable").await;
    let error = claim(&guestlist, "ann", &token).await.unwrap_err();
    let source = core::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the cache is down");
    assert_eq!(error.to_string(), "the rate limit could not be asked");
}

async fn nothing_is_limited_where_nothing_is_to_be<S: Store + Clone>(store: S) {
    let clock = common::clock();
    let (free, token) = limited(store.clone(), &clock, NoRateLimit).await;
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    // More than the default allows one person at once.
    for _ in 0..150 {
        claim(&free.from_address(address), "ann", &token)
            .await
            .unwrap();
    }
    let usual = builder(store.clone(), &clock, 52)
        .rate_limit(InProcessRateLimit::default())
        .build();
    for _ in 0..100 {
        claim(&usual, "bob", &token).await.unwrap();
    }
    assert!(wait_of(claim(&usual, "bob", &token).await) <= SECOND);
    // A guestlist that says nothing about limits has these.
    let silent = Guestlist::builder(store.clone(), common::ring())
        .clock(Arc::clone(&clock))
        .entropy(Mutex::new(ChaCha20Rng::from_seed([54; 32])))
        .build();
    for _ in 0..100 {
        claim(&silent, "cat", &token).await.unwrap();
    }
    wait_of(claim(&silent, "cat", &token).await);
    // The host application itself is not limited.
    let none = Quota::new(0, SECOND);
    let closed = InProcessRateLimit::new(none, none, none);
    let closed = builder(store, &clock, 53).rate_limit(closed).build();
    let one = Invitations::new().to("ann@corp.example");
    let sent = closed.invite(&Actor::system(), &org("host"), one).await;
    assert_eq!(sent.unwrap()[0].code(), "invited");
}

type Asked = (Attempt, Option<UserId>, bool, Option<OrgId>);

#[derive(Clone, Default)]
struct Asking(Arc<Mutex<Vec<Asked>>>);

#[async_trait]
impl RateLimit for Asking {
    async fn check(
        &self,
        tried: &Tried<'_>,
        _: Timestamp,
    ) -> Result<Rate, Box<dyn core::error::Error + Send + Sync>> {
        self.0.lock().unwrap().push((
            tried.attempt,
            tried.user.cloned(),
            tried.address.is_some(),
            tried.host.cloned(),
        ));
        Ok(Rate::Wait(SECOND))
    }
}

async fn a_port_is_told_who_tries_what<S: Store>(store: S) {
    let clock = common::clock();
    let asking = Asking::default();
    let (watched, watch) = Watched::new(store);
    let (guestlist, token) = limited(watched, &clock, asking.clone()).await;
    refused_at_the_door(&guestlist, &watch, &token, "rate-limited").await;
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let here = guestlist.from_address(address);
    let three = ["a@corp.example", "A@corp.example", "b@corp.example", "-"];
    let (system, host) = (Actor::system(), org("host"));
    let sent = here.invite(&system, &host, to_all(three));
    assert_eq!(wait_of(sent.await), SECOND);
    let (mal, alice) = (
        Some("mal".parse().unwrap()),
        owner("host").user_id().cloned(),
    );
    let host = Some(org("host"));
    let expected = [
        (Attempt::Claim, mal.clone(), false, None),
        (Attempt::Accept, mal.clone(), false, None),
        (Attempt::Accept, mal.clone(), false, None),
        (Attempt::Request, mal, false, host.clone()),
        (Attempt::Invite(1), alice.clone(), false, host.clone()),
        (Attempt::Invite(1), alice.clone(), false, host.clone()),
        (Attempt::Invite(1), alice, false, host.clone()),
        (Attempt::Invite(2), None, true, host),
    ];
    assert_eq!(*asking.0.lock().unwrap(), expected);
}

/// A command as it was shown to the observer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    operation: &'static str,
    host: Option<OrgId>,
    outcome: &'static str,
    tries: u32,
}

#[derive(Clone, Default)]
struct Observing(Arc<Mutex<Vec<Shown>>>);

impl Observing {
    fn all(&self) -> Vec<Shown> {
        self.0.lock().unwrap().clone()
    }

    /// Operation and outcome of the last one.
    fn last(&self) -> (&'static str, &'static str) {
        let last = self.all().pop().unwrap();
        (last.operation, last.outcome)
    }
}

impl Observer for Observing {
    fn decided(&self, _: &DecisionRecord) {}

    fn commanded(&self, record: &CommandRecord<'_>) {
        self.0.lock().unwrap().push(Shown {
            operation: record.operation,
            host: record.host.cloned(),
            outcome: record.outcome,
            tries: record.tries,
        });
    }
}

async fn an_observer_sees_who_is_limited<S: Store>(store: S) {
    let (clock, observing) = (common::clock(), Observing::default());
    let guestlist = builder(store, &clock, 53)
        .rate_limit(Asking::default())
        .observer(observing.clone())
        .build();
    register(&guestlist, &["host"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    assert_eq!(observing.last(), ("create-link", "changed"));
    let refused = claim(&guestlist, "mal", &token).await;
    assert_eq!(wait_of(refused), SECOND);
    assert_eq!(observing.last(), ("claim", "rate-limited"));
    assert_eq!(observing.all().pop().unwrap().tries, 0);
    let (mal, host) = (user("mal"), org("host"));
    let asked = guestlist.request(&mal, &host, Claim::for_myself(), None);
    assert_eq!(wait_of(asked.await), SECOND);
    assert_eq!(observing.last(), ("request", "rate-limited"));
}

/// Every kind of command there is.
const OPERATIONS: &[&str] = &[
    "accept",
    "add-member",
    "approve",
    "block",
    "cancel",
    "change-access",
    "change-role",
    "change-settings",
    "claim",
    "create-endpoint",
    "create-group",
    "create-link",
    "decline",
    "delete",
    "delete-endpoint",
    "delete-link",
    "disable-endpoint",
    "disable-link",
    "edit-endpoint",
    "edit-link",
    "enable-endpoint",
    "enable-link",
    "erase",
    "expire",
    "grant",
    "invite",
    "leave",
    "lift-removal",
    "pause-links",
    "refresh-link",
    "register",
    "reject",
    "remove",
    "rename",
    "report-delivery",
    "request",
    "resend-invite",
    "reserve-name",
    "restrict-acting",
    "resume",
    "resume-links",
    #[cfg(feature = "seal")]
    "reveal-link",
    "revoke-invite",
    "rotate-endpoint-secret",
    "set-display-name",
    "suspend",
    "unblock",
];

async fn every_command_is_shown_with_its_outcome<S: Store>(store: S) {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let clock = common::clock();
    let (observing, postbox) = (Observing::default(), Postbox::default());
    let guestlist = builder(store, &clock, 51)
        .observer(observing.clone())
        .mailer(postbox.clone())
        .build();
    let seen = Everything {
        guestlist: &guestlist,
        observing: &observing,
        host: org("host"),
        alice: owner("host"),
    };
    seen.links().await;
    seen.invites(&postbox).await;
    seen.members(&clock).await;
    seen.rest().await;
    drop(guard);

    let shown = observing.all();
    let operations: BTreeSet<&str> = shown.iter().map(|shown| shown.operation).collect();
    assert!(operations.iter().eq(OPERATIONS), "{operations:?}");
    assert!(shown.iter().all(|shown| shown.tries > 0));
    // Each has a span of its own that says the same.
    let spans: Vec<_> = log
        .spans()
        .into_iter()
        .filter(|span| span.name == "guestlist.command")
        .collect();
    assert_eq!(spans.len(), shown.len());
    let told: BTreeSet<String> = spans
        .iter()
        .map(|span| {
            assert_eq!(span.declared, ["operation", "host", "outcome", "tries"]);
            format!("{:?}", span.fields)
        })
        .collect();
    let expected: BTreeSet<String> = shown
        .iter()
        .map(|shown| {
            let mut fields = std::collections::BTreeMap::from([
                ("operation", shown.operation.to_owned()),
                ("outcome", shown.outcome.to_owned()),
                ("tries", shown.tries.to_string()),
            ]);
            fields.extend(shown.host.as_ref().map(|host| ("host", host.to_string())));
            format!("{fields:?}")
        })
        .collect();
    assert_eq!(told, expected);
}

/// Gives every command, in parts.
struct Everything<'a, S> {
    guestlist: &'a Guestlist<S>,
    observing: &'a Observing,
    host: OrgId,
    alice: Actor,
}

impl<S: Store> Everything<'_, S> {
    /// What the last command was shown as.
    fn was(&self, operation: &str, outcome: &str) {
        assert_eq!(self.observing.last(), (operation, outcome));
    }

    async fn links(&self) {
        let (guestlist, host, alice) = (self.guestlist, &self.host, &self.alice);
        let settings = Settings {
            discoverable: true,
            requests: Requests {
                open: true,
                ..Requests::default()
            },
            ..Settings::default()
        };
        register_with(guestlist, "host", settings.clone()).await;
        self.was("register", "changed");
        register_with(guestlist, "host", settings.clone()).await;
        self.was("register", "unchanged");
        register(guestlist, &["bravo", "gone"]).await;
        let (id, token) = link(guestlist, "host", LinkDraft::review()).await;
        self.was("create-link", "changed");
        let stranger = owner("bravo");
        let refused = guestlist
            .create_link(&stranger, host, LinkDraft::review())
            .await;
        assert_eq!(code(refused), "not-found");
        self.was("create-link", "not-found");
        let draft = LinkDraft::review().label("party".parse().unwrap());
        guestlist.edit_link(alice, host, id, draft).await.unwrap();
        #[cfg(feature = "seal")]
        guestlist.reveal_link(alice, host, id).await.unwrap();
        let keyed = guestlist.with_key("claim".parse().unwrap());
        for outcome in ["changed", "replayed"] {
            let claimed = keyed.claim(&stranger, &token, Claim::for_organization());
            claimed.await.unwrap();
            self.was("claim", outcome);
        }
        let other = keyed.claim(&stranger, &token, Claim::for_myself()).await;
        assert_eq!(code(other), "idempotency-key-reused");
        self.was("claim", "idempotency-key-reused");
        let again = guestlist.claim(&stranger, &token, Claim::for_organization());
        again.await.unwrap();
        self.was("claim", "unchanged");
        // The host of a token is known once it is found, also to no member of it; the host of an
        // unknown one is not.
        let last = self.observing.all().pop().unwrap();
        assert_eq!(last.host.as_ref(), Some(host));
        let [unknown, _] = foreign_tokens_here().await;
        let refused = guestlist.claim(&stranger, &unknown, Claim::for_myself());
        assert_eq!(code(refused.await), "invalid-token");
        self.was("claim", "invalid-token");
        assert_eq!(self.observing.all().pop().unwrap().host, None);
        guestlist
            .refresh_link(alice, host, id, Duration::ZERO)
            .await
            .unwrap();
        guestlist.disable_link(alice, host, id).await.unwrap();
        guestlist.enable_link(alice, host, id).await.unwrap();
        guestlist
            .pause_links(alice, host, Pause::UntilResumed)
            .await
            .unwrap();
        guestlist.resume_links(alice, host).await.unwrap();
        guestlist.delete_link(alice, host, id).await.unwrap();
        self.was("delete-link", "changed");
    }

    async fn invites(&self, postbox: &Postbox) {
        let (guestlist, host, alice) = (self.guestlist, &self.host, &self.alice);
        let list = ["ann", "bob", "cat"].map(|name| format!("{name}@corp.example"));
        let outcomes = guestlist.invite(alice, host, to_all(list)).await.unwrap();
        self.was("report-delivery", "changed");
        let mails = postbox.invites();
        let person = |name: &str| {
            user(name).with_verified_email(format!("{name}@corp.example").parse().unwrap())
        };
        let myself = Claim::for_myself;
        let (ann, bob) = (person("ann"), person("bob"));
        let of_ann = mails[0].token();
        let wrong = guestlist.accept(&bob, &of_ann, myself()).await;
        assert_eq!(code(wrong), "wrong-account");
        self.was("accept", "wrong-account");
        guestlist.accept(&ann, &of_ann, myself()).await.unwrap();
        guestlist.decline(&bob, &mails[1].token()).await.unwrap();
        let cat = outcomes[2].invited().unwrap().invite.id;
        guestlist.resend_invite(alice, host, cat).await.unwrap();
        guestlist.revoke_invite(alice, host, cat).await.unwrap();
        self.was("revoke-invite", "changed");
    }

    async fn members(&self, clock: &ManualClock) {
        let (guestlist, host, alice) = (self.guestlist, &self.host, &self.alice);
        let (bravo, ann, dan) = (org_member("bravo"), user_member("ann"), user_member("dan"));
        let plain = guestlist.approve(&user("ann"), host, &bravo).await;
        assert_eq!(code(plain), "not-allowed");
        self.was("approve", "not-allowed");
        guestlist.approve(alice, host, &bravo).await.unwrap();
        self.was("approve", "changed");
        guestlist
            .restrict_acting(&owner("bravo"), &org("bravo"), host, None)
            .await
            .unwrap();
        let granted = guestlist
            .grant(
                alice,
                host,
                Grantee::Member(bravo.clone()),
                Action::Read.into(),
                Pattern::parse("shared/").unwrap(),
                None,
            )
            .await
            .unwrap();
        guestlist.revoke(alice, host, granted.id).await.unwrap();
        self.was("change-access", "changed");
        let name = "crew".parse().unwrap();
        guestlist
            .create_group(alice, host, name, false)
            .await
            .unwrap();
        let admin = RoleName::parse("admin").unwrap();
        guestlist
            .change_role(alice, host, &ann, admin)
            .await
            .unwrap();
        self.was("change-role", "changed");
        guestlist.remove(alice, host, &ann, None).await.unwrap();
        guestlist.lift_removal(alice, host, &ann).await.unwrap();
        guestlist.block(alice, host, &ann, None).await.unwrap();
        guestlist.unblock(alice, host, &ann).await.unwrap();
        let asks = async || {
            let asked = guestlist
                .request(&user("dan"), host, Claim::for_myself(), None)
                .await;
            asked.unwrap();
        };
        asks().await;
        guestlist.reject(alice, host, &dan, None).await.unwrap();
        asks().await;
        guestlist.cancel(&user("dan"), host, &dan).await.unwrap();
        self.was("cancel", "changed");
        let until = Some(guestlist::Clock::now(clock) + 60 * SECOND);
        guestlist
            .add_member(alice, host, &dan, Preset::default(), None)
            .await
            .unwrap();
        guestlist.leave(&user("dan"), host, &dan).await.unwrap();
        guestlist
            .add_member(alice, host, &user_member("eve"), Preset::default(), until)
            .await
            .unwrap();
        let soon = LinkDraft::review().expiry(Expiry::After(60 * SECOND));
        link(guestlist, "host", soon).await;
        clock.advance(61 * SECOND);
        assert_eq!(guestlist.sweep(10).await.unwrap(), 2);
        self.was("expire", "changed");
        guestlist.erase(alice, host, &ann).await.unwrap();
        self.was("erase", "unchanged");
    }

    async fn rest(&self) {
        let (guestlist, host, alice) = (self.guestlist, &self.host, &self.alice);
        let url = || EndpointUrl::parse("https://hooks.example/x").unwrap();
        let made = guestlist
            .create_endpoint(alice, host, EndpointDraft::new(url()))
            .await
            .unwrap();
        let id = made.endpoint.id;
        let draft = EndpointDraft::new(url()).event("link-created");
        guestlist
            .edit_endpoint(alice, host, id, draft)
            .await
            .unwrap();
        guestlist
            .rotate_endpoint_secret(alice, host, id, SECOND)
            .await
            .unwrap();
        guestlist.disable_endpoint(alice, host, id).await.unwrap();
        guestlist.enable_endpoint(alice, host, id).await.unwrap();
        guestlist.delete_endpoint(alice, host, id).await.unwrap();
        self.was("delete-endpoint", "changed");
        let refused = guestlist.suspend(alice, host).await;
        assert_eq!(code(refused), "system-only");
        self.was("suspend", "system-only");
        let system = Actor::system();
        guestlist.suspend(&system, host).await.unwrap();
        guestlist.resume(&system, host).await.unwrap();
        guestlist
            .set_display_name(alice, host, Some("Hosts".parse().unwrap()))
            .await
            .unwrap();
        guestlist
            .change_settings(alice, host, Settings::default())
            .await
            .unwrap();
        guestlist
            .rename(alice, host, "hosts".parse().unwrap())
            .await
            .unwrap();
        self.was("rename", "changed");
        guestlist.delete(&system, &org("gone")).await.unwrap();
        self.was("delete", "changed");
    }
}

/// As [`foreign_tokens`], but traced nowhere.
async fn foreign_tokens_here() -> [InviteToken; 2] {
    use tracing::instrument::WithSubscriber as _;
    foreign_tokens()
        .with_subscriber(tracing::subscriber::NoSubscriber::default())
        .await
}

async fn retries_are_counted<S: Store>(store: S) {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let clock = common::clock();
    let observing = Observing::default();
    let (watched, watch) = Watched::new(store);
    let build = |builder: Builder<_>| builder.observer(observing.clone()).build();
    let guestlist = build(builder(watched, &clock, 51));
    register(&guestlist, &["host", "bravo"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let bravo = owner("bravo");
    let claim = || guestlist.claim(&bravo, &token, Claim::for_organization());
    let last = || observing.all().pop().unwrap();

    watch.down.store(1, Ordering::SeqCst);
    assert_eq!(code(claim().await), "store-unavailable");
    assert_eq!((last().outcome, last().tries), ("store-unavailable", 0));
    watch.conflicts.store(5, Ordering::SeqCst);
    assert!(claim().await.unwrap().changed);
    assert_eq!((last().outcome, last().tries), ("changed", 6));
    // A repeated one has nothing to commit, and nothing to try again.
    watch.conflicts.store(5, Ordering::SeqCst);
    assert!(!claim().await.unwrap().changed);
    assert_eq!((last().outcome, last().tries), ("unchanged", 1));
    watch.conflicts.store(1_000_000, Ordering::SeqCst);
    let approved = guestlist
        .approve(&owner("host"), &org("host"), &org_member("bravo"))
        .await;
    assert_eq!(code(approved), "contended");
    assert_eq!((last().outcome, last().tries), ("contended", 64));
    let span = log.spans().pop().unwrap();
    assert_eq!(span.fields["tries"], "64");
    assert_eq!(span.fields["outcome"], "contended");
}
