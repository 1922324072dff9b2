//! The shell: retries, idempotency, lost answers, secrets, reads.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use common::{
    link, memory, org, org_member, over, owner, pepper, register, register_with, ring, user,
    user_member,
};
use guestlist::membership::Seats;
use guestlist::membership::link::LinkCondition;
use guestlist::store::{
    Capabilities, Commit, Committed, EventPage, Listed, Load, Query, Snapshot, StoreError,
};
use guestlist::token::InviteToken;
use guestlist::{
    Action, ActionSet, Address, Claim, Cursor, Error, EventFilter, Expiry, Grantee, Guestlist,
    IdempotencyKey, LinkDraft, Member, MemberFilter, MemoryStore, OrgName, Page, Pattern, PepperId,
    PepperRing, Preset, Settings, Status, Store, Timestamp, Uses,
};

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[tokio::test]
async fn the_same_key_gives_the_same_result() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let bob = owner("bravo");
    let claim = || Claim::for_organization();
    let first = guestlist
        .with_key(key("a"))
        .claim(&bob, &token, claim())
        .await
        .unwrap();
    assert!(first.changed);
    guestlist
        .approve(&owner("host"), &org("host"), &org_member("bravo"))
        .await
        .unwrap();
    // What was answered then, not what is so now.
    let again = guestlist
        .with_key(key("a"))
        .claim(&bob, &token, claim())
        .await
        .unwrap();
    assert_eq!(again, first);
    let other = guestlist
        .with_key(key("b"))
        .claim(&bob, &token, claim())
        .await
        .unwrap();
    assert_eq!(other.membership.status, Some(Status::Approved));
    assert!(!other.changed);
    // An unchanged answer is remembered as well.
    guestlist
        .remove(&owner("host"), &org("host"), &org_member("bravo"), None)
        .await
        .unwrap();
    let again = guestlist
        .with_key(key("b"))
        .claim(&bob, &token, claim())
        .await
        .unwrap();
    assert_eq!(again, other);
}

#[tokio::test]
async fn the_same_key_with_other_arguments_is_an_error() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo", "charlie"]).await;
    let (first, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let (second, _) = link(&guestlist, "host", LinkDraft::review()).await;
    let (alice, host) = (owner("host"), org("host"));
    guestlist
        .with_key(key("a"))
        .disable_link(&alice, &host, first)
        .await
        .unwrap();
    let reused = guestlist
        .with_key(key("a"))
        .disable_link(&alice, &host, second)
        .await;
    assert_eq!(code(reused), "idempotency-key-reused");
    // The keys of an actor are its own.
    let (_, other) = link(&guestlist, "host", LinkDraft::review()).await;
    let claim = Claim::for_organization;
    guestlist
        .with_key(key("k"))
        .claim(&owner("bravo"), &other, claim())
        .await
        .unwrap();
    let own = guestlist
        .with_key(key("k"))
        .claim(&owner("charlie"), &other, claim())
        .await;
    assert!(own.unwrap().changed);
    // A refusal is not remembered: it changed nothing.
    let failed = guestlist
        .with_key(key("r"))
        .claim(&owner("bravo"), &token, claim())
        .await;
    assert_eq!(code(failed), "invalid-token");
    for text in ["", "\u{e9}", &"x".repeat(256), "a\nb"] {
        assert!(text.parse::<IdempotencyKey>().is_err(), "{text:?}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_also_with_a_key() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host"]).await;
    let create = || async {
        let keyed = guestlist.with_key(key("create"));
        keyed
            .create_link(&owner("host"), &org("host"), LinkDraft::review())
            .await
            .unwrap()
    };
    let first = create().await;
    let again = create().await;
    assert_eq!(first.link, again.link);
    assert!(first.token.is_some() && first.url.is_some());
    assert!(again.token.is_none() && again.url.is_none());
    let default = || async {
        guestlist
            .default_link(&owner("host"), &org("host"), LinkDraft::auto())
            .await
            .unwrap()
    };
    let made = default().await;
    let same = default().await;
    assert_eq!(made.link.id, same.link.id);
    assert!(made.token.is_some() && same.token.is_none());
}

/// Does to commits what networks and others do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The answer is lost after the commit was applied.
    LoseAnswer,
    /// The commit is lost before it was applied, and nobody knows.
    LoseCommit,
    /// The store is busy.
    Busy,
    /// Somebody else was faster.
    Conflict,
    /// The store is gone.
    Gone,
}

struct Faulty {
    store: MemoryStore,
    faults: Mutex<Vec<Fault>>,
    fail_loads: bool,
}

impl Faulty {
    fn new(faults: &[Fault]) -> Self {
        let mut faults = faults.to_vec();
        faults.reverse();
        Self {
            store: MemoryStore::default(),
            faults: Mutex::new(faults),
            fail_loads: false,
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        if self.fail_loads {
            return Err(StoreError::Unavailable("gone".into()));
        }
        self.store.load(load).await
    }
    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        let fault = self.faults.lock().unwrap().pop();
        match fault {
            None => self.store.commit(commits).await,
            Some(Fault::LoseAnswer) => {
                let _ = self.store.commit(commits).await?;
                Err(StoreError::Unknown("the answer was lost".into()))
            }
            Some(Fault::LoseCommit) => Err(StoreError::Unknown("the commit was lost".into())),
            Some(Fault::Busy) => Err(StoreError::Retryable("busy".into())),
            Some(Fault::Gone) => Err(StoreError::Unavailable("gone".into())),
            Some(Fault::Conflict) => Ok(commits
                .iter()
                .map(|commit| Committed::Conflict {
                    key: commit.checks[0].key().clone(),
                })
                .collect()),
        }
    }
    async fn list(&self, query: &Query, page: &Page, now: Timestamp) -> Result<Listed, StoreError> {
        self.store.list(query, page, now).await
    }
    async fn events(
        &self,
        filter: &EventFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        self.store.events(filter, after, limit).await
    }
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}

/// Creates a link over a store with these faults: what came of it, and how many links there are.
async fn create_with(faults: &[Fault]) -> (Result<(), Error>, usize) {
    let store = Faulty::new(&[]);
    let clock = common::clock();
    let guestlist = over(&store, &clock, 3);
    register(&guestlist, &["host"]).await;
    store.faults.lock().unwrap().extend(faults.iter().rev());
    let result = guestlist
        .create_link(&owner("host"), &org("host"), LinkDraft::review())
        .await
        .map(drop);
    store.faults.lock().unwrap().clear();
    let links = guestlist
        .links(
            &owner("host"),
            &org("host"),
            guestlist::LinkFilter::default(),
            &Page::default(),
        )
        .await
        .unwrap();
    (result, links.links.len())
}

#[tokio::test]
async fn lost_answers_busy_stores_and_conflicts_are_mended() {
    for faults in [
        &[Fault::LoseAnswer][..],
        &[Fault::LoseCommit],
        &[Fault::LoseCommit, Fault::LoseAnswer],
        &[Fault::Busy, Fault::Busy],
        &[Fault::Conflict; 20],
        &[Fault::Conflict, Fault::Busy, Fault::LoseCommit],
    ] {
        let (result, links) = create_with(faults).await;
        assert!(result.is_ok(), "{faults:?}: {result:?}");
        assert_eq!(links, 1, "{faults:?}");
    }
}

#[tokio::test]
async fn what_can_not_be_mended_is_told_apart() {
    let (result, links) = create_with(&[Fault::Conflict; 1000]).await;
    let error = result.unwrap_err();
    assert_eq!(
        (error.code(), error.is_transient(), links),
        ("contended", true, 0)
    );
    let (result, links) = create_with(&[Fault::LoseCommit; 1000]).await;
    let error = result.unwrap_err();
    assert_eq!(
        (error.code(), error.is_unknown(), links),
        ("store-outcome-unknown", true, 0)
    );
    let (result, links) = create_with(&[Fault::Gone]).await;
    let error = result.unwrap_err();
    assert_eq!(
        (error.code(), error.is_transient(), links),
        ("store-unavailable", false, 0)
    );
}

#[tokio::test]
async fn a_store_that_can_not_answer_is_an_error_never_a_deny() {
    let store = Faulty {
        fail_loads: true,
        ..Faulty::new(&[])
    };
    let guestlist = over(&store, &common::clock(), 3);
    let address = Address::parse("@host/shared/x").unwrap();
    let decision = guestlist
        .decide(&owner("bravo"), Action::Read, &address)
        .await;
    assert_eq!(code(decision), "store-unavailable");
}

#[tokio::test]
async fn towards_claimers_every_dead_token_looks_the_same() {
    let (guestlist, clock) = memory();
    register(&guestlist, &["host", "bravo", "charlie", "delta"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (refreshed, old) = link(&guestlist, "host", LinkDraft::review()).await;
    guestlist
        .refresh_link(&alice, &host, refreshed, Duration::ZERO)
        .await
        .unwrap();
    let (disabled, dead) = link(&guestlist, "host", LinkDraft::review()).await;
    guestlist
        .disable_link(&alice, &host, disabled)
        .await
        .unwrap();
    let (deleted, gone) = link(&guestlist, "host", LinkDraft::review()).await;
    guestlist.delete_link(&alice, &host, deleted).await.unwrap();
    let soon = Expiry::After(Duration::from_secs(60));
    let (_, expired) = link(&guestlist, "host", LinkDraft::review().expiry(soon)).await;
    let (_, full) = link(
        &guestlist,
        "host",
        LinkDraft::auto().max_uses(Uses::AtMost(1)),
    )
    .await;
    guestlist
        .claim(&owner("charlie"), &full, Claim::for_organization())
        .await
        .unwrap();
    clock.advance(Duration::from_secs(61));
    // The same token with another verifier, made by another guestlist: never issued here.
    let stranger = over(MemoryStore::default(), &clock, 99);
    register(&stranger, &["host"]).await;
    let (_, unknown) = link(&stranger, "host", LinkDraft::review()).await;

    let mut seen = BTreeSet::new();
    for token in [&old, &dead, &gone, &expired, &full, &unknown] {
        let error = guestlist
            .claim(&owner("bravo"), token, Claim::for_organization())
            .await
            .unwrap_err();
        seen.insert(format!("{} / {error} / {error:?}", error.code()));
    }
    let malformed = Error::from(InviteToken::parse("glj_nonsense").unwrap_err());
    assert_eq!(malformed.code(), "invalid-token");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen.first().unwrap().contains(&malformed.to_string()));

    // Managers of the host are told which.
    for (token, expected) in [
        (&old, "token-retired"),
        (&dead, "link-disabled"),
        (&gone, "link-deleted"),
        (&expired, "link-expired"),
        (&full, "link-exhausted"),
    ] {
        let report = guestlist.inspect(&alice, &host, token).await.unwrap();
        assert_eq!(
            report
                .problem
                .map(guestlist::membership::TokenProblem::code),
            Some(expected)
        );
        let other = guestlist
            .inspect(&owner("bravo"), &org("bravo"), token)
            .await;
        assert_eq!(code(other), "not-found");
    }
    assert_eq!(
        code(guestlist.inspect(&alice, &host, &unknown).await),
        "not-found"
    );
}

#[tokio::test]
async fn a_preview_changes_nothing_and_uses_nothing_up() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let draft = LinkDraft::auto()
        .max_uses(Uses::AtMost(1))
        .label("party".parse().unwrap());
    let (_, token) = link(&guestlist, "host", draft).await;
    let before = guestlist.store().kv().dump();
    for _ in 0..3 {
        let preview = guestlist.preview(&token).await.unwrap();
        assert_eq!(preview.host_name.as_str(), "host");
        assert_eq!(preview.condition, LinkCondition::Open);
        assert!(!preview.needs_review);
    }
    assert_eq!(guestlist.store().kv().dump(), before);
    guestlist
        .claim(&owner("bravo"), &token, Claim::for_organization())
        .await
        .unwrap();
    let preview = guestlist.preview(&token).await.unwrap();
    assert_eq!(preview.condition, LinkCondition::Exhausted);
}

#[tokio::test]
async fn a_refused_command_leaves_every_byte_as_it_was() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let (id, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let before = guestlist.store().kv().dump();
    let (bob, host) = (owner("bravo"), org("host"));
    let member = org_member("bravo");
    let refusals = [
        code(guestlist.create_link(&bob, &host, LinkDraft::auto()).await),
        code(
            guestlist
                .refresh_link(&bob, &host, id, Duration::ZERO)
                .await,
        ),
        code(guestlist.disable_link(&bob, &host, id).await),
        code(
            guestlist
                .edit_link(&bob, &host, id, LinkDraft::auto())
                .await,
        ),
        code(guestlist.delete_link(&bob, &host, id).await),
        code(guestlist.approve(&bob, &host, &member).await),
        code(guestlist.remove(&owner("host"), &host, &member, None).await),
        code(guestlist.leave(&bob, &host, &member).await),
        code(
            guestlist
                .claim(&owner("host"), &token, Claim::for_organization())
                .await,
        ),
        code(
            guestlist
                .claim(&user("mallory"), &token, Claim::for_organization())
                .await,
        ),
        code(
            guestlist
                .add_member(&bob, &host, &member, Preset::default(), None)
                .await,
        ),
        code(
            guestlist
                .create_group(&bob, &host, "g".parse().unwrap(), false)
                .await,
        ),
        code(
            guestlist
                .change_settings(&bob, &host, Settings::default())
                .await,
        ),
        code(guestlist.suspend(&owner("host"), &host).await),
        code(guestlist.delete(&bob, &host).await),
        code(
            guestlist
                .rename(&bob, &host, "bravo2".parse().unwrap())
                .await,
        ),
        code(
            guestlist
                .audit(&bob, &host, EventFilter::default(), &Page::default())
                .await,
        ),
    ];
    assert_eq!(
        refusals,
        [
            "not-found",
            "not-found",
            "not-found",
            "not-found",
            "not-found",
            "not-found",
            "not-found",
            "not-found",
            "own-organization",
            "not-the-member",
            "not-found",
            "not-found",
            "not-found",
            "system-only",
            "not-found",
            "not-found",
            "not-found",
        ]
    );
    assert_eq!(guestlist.store().kv().dump(), before);
}

#[tokio::test]
async fn no_secret_is_kept_or_shown_in_memory() {
    let (guestlist, _) = memory();
    let (secrets, shown) = use_tokens(&guestlist).await;
    let kept = guestlist.store().kv().dump();
    scan(
        &secrets,
        &shown,
        kept.into_iter()
            .flat_map(|(key, value)| [key, value])
            .collect(),
    );
}

#[tokio::test]
async fn no_secret_is_kept_or_shown_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = guestlist_sqlite::SqliteStore::open(folder.path().join("app.db")).unwrap();
    let guestlist = over(store, &common::clock(), 8);
    let (secrets, shown) = use_tokens(&guestlist).await;
    // The database and its log, as they are on the disk.
    let files: Vec<Vec<u8>> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(files.len() >= 2, "a database and its write-ahead log");
    scan(&secrets, &shown, files);
}

/// Issues, shows, claims and refreshes: the tokens, and all that was shown meanwhile.
async fn use_tokens<S: Store>(guestlist: &Guestlist<S>) -> (Vec<InviteToken>, String) {
    register(guestlist, &["host", "bravo"]).await;
    let mut secrets = Vec::new();
    let mut shown = Vec::new();
    for number in 0..200 {
        let keyed = guestlist.with_key(key(&format!("key {number}")));
        let draft = LinkDraft::review();
        let issued = keyed
            .create_link(&owner("host"), &org("host"), draft)
            .await
            .unwrap();
        shown.push(format!(
            "{issued:?} {:?}",
            serde_json::to_string(&issued.link)
        ));
        let token = issued.token.unwrap();
        shown.push(format!("{:?}", guestlist.preview(&token).await));
        let claimed = guestlist
            .claim(&owner("bravo"), &token, Claim::for_organization())
            .await;
        shown.push(format!("{claimed:?}"));
        let refreshed = guestlist
            .refresh_link(&owner("host"), &org("host"), issued.link.id, Duration::ZERO)
            .await
            .unwrap();
        let refused = guestlist
            .claim(&owner("bravo"), &token, Claim::for_organization())
            .await;
        shown.push(format!(
            "{refreshed:?} {refused:?} {}",
            refused.as_ref().unwrap_err()
        ));
        secrets.push(token);
        secrets.push(refreshed.token.unwrap());
    }
    let feed = guestlist.feed(None, 10_000).await.unwrap();
    shown.push(serde_json::to_string(&feed.events).unwrap());
    (secrets, shown.concat())
}

/// No stretch of as many bytes as a verifier has is the verifier of a token.
fn scan(secrets: &[InviteToken], shown: &str, kept: Vec<Vec<u8>>) {
    let mut bytes = shown.as_bytes().to_vec();
    bytes.extend(kept.into_iter().flatten());
    let verifiers: BTreeSet<&[u8]> = secrets
        .iter()
        .map(|token| &token.expose_secret().as_bytes()[14..36])
        .collect();
    let found = |bytes: &[u8]| bytes.windows(22).any(|window| verifiers.contains(window));
    assert!(
        bytes.len() > 100_000 && !found(&bytes),
        "a verifier was kept or shown"
    );
    // The scan finds what it looks for.
    assert!(found(
        format!("...{}...", secrets[0].expose_secret()).as_bytes()
    ));
}

#[tokio::test]
async fn peppers_are_rotated_by_claims() {
    let store = MemoryStore::default();
    let clock = common::clock();
    let old = over(&store, &clock, 1);
    register(&old, &["host", "bravo", "charlie"]).await;
    let (_, token) = link(&old, "host", LinkDraft::review()).await;
    let (_, idle) = link(&old, "host", LinkDraft::review()).await;
    let rotated = PepperRing::new(PepperId::new(2), pepper(2))
        .with_older(PepperId::new(1), pepper(1))
        .unwrap();
    let new = Guestlist::builder(&store, rotated)
        .clock(clock.clone())
        .build();
    let usage = new.pepper_usage().await.unwrap();
    assert_eq!(
        usage.into_iter().collect::<Vec<_>>(),
        [(PepperId::new(1), 2)]
    );
    new.claim(&owner("bravo"), &token, Claim::for_organization())
        .await
        .unwrap();
    let usage = new.pepper_usage().await.unwrap();
    let expected = [(PepperId::new(1), 1), (PepperId::new(2), 1)];
    assert_eq!(usage.into_iter().collect::<Vec<_>>(), expected);
    // Without the old pepper, only what was renewed is known; the rest fails closed.
    let later = Guestlist::new(&store, PepperRing::new(PepperId::new(2), pepper(2)));
    assert!(later.preview(&token).await.is_ok());
    assert_eq!(code(later.preview(&idle).await), "invalid-token");
    // Another pepper under the same id verifies nothing.
    let wrong = Guestlist::new(&store, PepperRing::new(PepperId::new(2), pepper(9)));
    assert_eq!(code(wrong.preview(&token).await), "invalid-token");
}

#[tokio::test]
async fn what_has_run_out_gives_its_use_and_seat_back_in_time() {
    let (guestlist, clock) = memory();
    let hour = Duration::from_secs(3600);
    let settings = Settings {
        request_ttl: Some(hour),
        seats: Some(Seats {
            limit: 2.try_into().unwrap(),
            count_pending: true,
        }),
        ..Settings::default()
    };
    register_with(&guestlist, "host", settings).await;
    register(&guestlist, &["bravo", "charlie"]).await;
    let draft = LinkDraft::review().max_uses(Uses::AtMost(1));
    let (_, token) = link(&guestlist, "host", draft).await;
    let claim = Claim::for_organization;
    guestlist
        .claim(&owner("bravo"), &token, claim())
        .await
        .unwrap();
    let full = guestlist.claim(&owner("charlie"), &token, claim()).await;
    assert_eq!(code(full), "invalid-token");
    clock.advance(2 * hour);
    let waiting = guestlist
        .pending(&owner("host"), &org("host"), None, &Page::default())
        .await;
    assert_eq!(waiting.unwrap().requests.len(), 0);
    let claimed = guestlist
        .claim(&owner("charlie"), &token, claim())
        .await
        .unwrap();
    assert_eq!(claimed.membership.status, Some(Status::Pending));
    let expired = guestlist
        .membership(&owner("host"), &org("host"), &org_member("bravo"))
        .await
        .unwrap();
    assert_eq!(expired.status, Some(Status::Cancelled));
    // The sweep writes what nobody came across.
    clock.advance(2 * hour);
    assert_eq!(guestlist.sweep(100).await.unwrap(), 1);
    assert_eq!(guestlist.sweep(100).await.unwrap(), 0);
}

#[tokio::test]
async fn batches_give_one_outcome_per_item_and_nothing_for_nothing() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo", "charlie"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    for name in ["bravo", "charlie"] {
        guestlist
            .claim(&owner(name), &token, Claim::for_organization())
            .await
            .unwrap();
    }
    let (alice, host) = (owner("host"), org("host"));
    assert!(guestlist.approve_all(&alice, &host, &[]).await.is_empty());
    let waiting = guestlist
        .pending(&alice, &host, None, &Page::default())
        .await
        .unwrap();
    assert_eq!(waiting.requests.len(), 2);
    let members = [
        org_member("bravo"),
        org_member("nobody"),
        org_member("charlie"),
    ];
    let outcomes = guestlist.approve_all(&alice, &host, &members).await;
    let codes: Vec<_> = outcomes.into_iter().map(code).collect();
    assert_eq!(codes, ["ok", "not-found", "ok"]);
    let outcomes = guestlist.reject_all(&alice, &host, &members, None).await;
    let codes: Vec<_> = outcomes.into_iter().map(code).collect();
    assert_eq!(codes, ["wrong-state", "not-found", "wrong-state"]);
    let outcomes = guestlist.remove_all(&alice, &host, &members, None).await;
    let codes: Vec<_> = outcomes.into_iter().map(code).collect();
    assert_eq!(codes, ["ok", "not-found", "ok"]);
}

#[tokio::test]
async fn reads_are_authorized_like_commands() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let dave = user("dave");
    guestlist
        .claim(&dave, &token, Claim::for_myself())
        .await
        .unwrap();
    let page = Page::default();
    let approved = || MemberFilter {
        status: Some(Status::Approved),
        ..MemberFilter::default()
    };
    let filter = guestlist::LinkFilter::default;
    for (actor, expected) in [
        (&alice, ["ok"; 7]),
        (
            &dave,
            [
                "not-allowed",
                "not-allowed",
                "ok",
                "not-allowed",
                "not-allowed",
                "not-allowed",
                "ok",
            ],
        ),
        (
            &owner("bravo"),
            [
                "not-found",
                "not-found",
                "not-found",
                "not-found",
                "not-found",
                "not-found",
                "not-found",
            ],
        ),
    ] {
        let found = [
            code(guestlist.links(actor, &host, filter(), &page).await),
            code(guestlist.pending(actor, &host, None, &page).await),
            code(guestlist.members(actor, &host, approved(), &page).await),
            code(
                guestlist
                    .members(actor, &host, MemberFilter::default(), &page)
                    .await,
            ),
            code(guestlist.grants(actor, &host, &page).await),
            code(
                guestlist
                    .audit(actor, &host, EventFilter::default(), &page)
                    .await,
            ),
            code(
                guestlist
                    .membership(actor, &host, &user_member("dave"))
                    .await,
            ),
        ];
        assert_eq!(found, expected, "{actor:?}");
    }
    let own = guestlist
        .memberships_of(&dave, &user_member("dave"), None, &page)
        .await
        .unwrap();
    assert_eq!(own.members.len(), 1);
    let others = guestlist
        .memberships_of(&dave, &user_member("erin"), None, &page)
        .await;
    assert_eq!(code(others), "not-the-member");
    let foreign = Page::default().after("00112233445566778899".parse().unwrap());
    let listed = guestlist.links(&alice, &host, filter(), &foreign).await;
    assert_eq!(code(listed), "cursor-invalid");
    assert!(Page::first(0).is_err() && Page::first(1001).is_err());
}

#[tokio::test]
async fn a_name_leads_to_one_organization_for_ever() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let read = ActionSet::of(&[Action::Read]);
    let everyone = Grantee::Organization(guestlist::Audience::Everyone);
    guestlist
        .grant(&alice, &host, everyone, read, Pattern::all(), None)
        .await
        .unwrap();
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let bob = owner("bravo");
    guestlist
        .claim(&bob, &token, Claim::for_organization())
        .await
        .unwrap();
    let may = |text: &str| {
        let (guestlist, bob) = (guestlist.clone(), bob.clone());
        let address = Address::parse(text).unwrap();
        async move {
            guestlist
                .decide(&bob, Action::Read, &address)
                .await
                .unwrap()
                .is_allowed()
        }
    };
    assert!(may("@host/k").await);
    guestlist
        .rename(&alice, &host, "renamed".parse().unwrap())
        .await
        .unwrap();
    assert!(may("@renamed/k").await);
    assert!(!may("@host/k").await, "the old name leads nowhere");
    let new = guestlist::NewOrganization::new(org("thief"), "host".parse().unwrap());
    assert_eq!(code(guestlist.register(new).await), "name-taken");
    guestlist
        .rename(&alice, &host, "host".parse().unwrap())
        .await
        .unwrap();
    assert!(may("@host/k").await, "its own old name it may take again");
    guestlist
        .suspend(&guestlist::Actor::system(), &host)
        .await
        .unwrap();
    assert!(!may("@host/k").await);
    guestlist
        .resume(&guestlist::Actor::system(), &host)
        .await
        .unwrap();
    assert!(may("@host/k").await);
    guestlist.delete(&alice, &host).await.unwrap();
    assert!(!may("@host/k").await);
    let new = guestlist::NewOrganization::new(org("thief"), "host".parse().unwrap());
    assert_eq!(code(guestlist.register(new).await), "name-taken");
}

#[tokio::test]
async fn the_way_through_another_organization_is_one_way_and_one_hop() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let bob = owner("bravo");
    guestlist
        .claim(&bob, &token, Claim::for_organization())
        .await
        .unwrap();
    assert!(Address::parse("@host/@bravo/k").is_err());
    let decide = |actor: guestlist::Actor, text: &str| {
        let (guestlist, address) = (guestlist.clone(), Address::parse(text).unwrap());
        async move {
            guestlist
                .decide(&actor, Action::Read, &address)
                .await
                .unwrap()
        }
    };
    // A host has no access to its members, and bravo none but what was granted.
    assert!(!decide(owner("host"), "@bravo/k").await.is_allowed());
    let nothing = decide(bob.clone(), "@host/k").await;
    let unknown = decide(bob.clone(), "@nobody/k").await;
    assert_eq!(nothing, unknown, "one and the same public answer");
    assert!(
        decide(bob.clone(), "@bravo/k").await.is_allowed(),
        "its own by its own name"
    );
    // The member organization says who may act.
    let (alice, host) = (owner("host"), org("host"));
    let to = Grantee::Member(org_member("bravo"));
    let read = ActionSet::of(&[Action::Read]);
    guestlist
        .grant(&alice, &host, to, read, Pattern::parse("k").unwrap(), None)
        .await
        .unwrap();
    assert!(decide(bob.clone(), "@host/k").await.is_allowed());
    let rule = guestlist::membership::member::ActingRule::default();
    guestlist
        .restrict_acting(&bob, &org("bravo"), &host, Some(rule))
        .await
        .unwrap();
    assert_eq!(decide(bob.clone(), "@host/k").await, unknown);
    guestlist
        .restrict_acting(&bob, &org("bravo"), &host, None)
        .await
        .unwrap();
    assert!(decide(bob, "@host/k").await.is_allowed());
}

/// Lets an organization into a host that lets it read one key, `k`.
async fn let_in(guestlist: &Guestlist<MemoryStore>, host: &str, member: &str) {
    let (_, token) = link(guestlist, host, LinkDraft::auto()).await;
    guestlist
        .claim(&owner(member), &token, Claim::for_organization())
        .await
        .unwrap();
    let to = Grantee::Member(org_member(member));
    let read = ActionSet::of(&[Action::Read]);
    let only = Pattern::parse("k").unwrap();
    guestlist
        .grant(&owner(host), &org(host), to, read, only, None)
        .await
        .unwrap();
}

/// What is answered to whoever wants to read what this address names.
async fn answer(
    guestlist: &Guestlist<MemoryStore>,
    actor: &guestlist::Actor,
    address: &str,
) -> guestlist::Decision {
    let address = Address::parse(address).unwrap();
    guestlist
        .decide(actor, Action::Read, &address)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_proxy_user_goes_no_further_than_its_host() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo", "third"]).await;
    let_in(&guestlist, "host", "bravo").await;
    let_in(&guestlist, "third", "host").await;
    let (alice, bob) = (owner("host"), owner("bravo"));
    assert!(answer(&guestlist, &alice, "@third/k").await.is_allowed());
    assert!(answer(&guestlist, &bob, "@host/k").await.is_allowed());
    // Nor by saying that he acts in the host, where only his organization is known.
    let in_host = user("bravo-owner").acting_in(org("host"));
    for actor in [&bob, &in_host] {
        let unknown = answer(&guestlist, actor, "@nobody/k").await;
        assert!(!unknown.is_allowed());
        assert_eq!(answer(&guestlist, actor, "@third/k").await, unknown);
    }
    assert!(Address::parse("@host/@third/k").is_err());
    let everywhere = guestlist.readable_everywhere(&bob, Action::Read).await;
    let everywhere = everywhere.unwrap();
    let names = everywhere.iter().map(|(name, _)| name.as_ref());
    let names: Vec<_> = names.map(|name| name.map(OrgName::as_str)).collect();
    assert_eq!(names, [None, Some("host")]);
}

#[tokio::test]
async fn the_rules_of_a_member_organization_decide_nothing_in_its_host() {
    let (guestlist, _) = memory();
    // One id before that of the host, and one behind it.
    register(&guestlist, &["host", "bravo", "zulu"]).await;
    for name in ["bravo", "zulu"] {
        let (founder, member) = (owner(name), org(name));
        let_in(&guestlist, "host", name).await;
        // A group says who acts, so that the rules of both organizations are read.
        let staff = guestlist
            .create_group(&founder, &member, "Staff".parse().unwrap(), false)
            .await
            .unwrap();
        guestlist
            .add_to_group(
                &founder,
                &member,
                staff.id,
                &user_member(&format!("{name}-owner")),
            )
            .await
            .unwrap();
        let rule = guestlist::ActingRule {
            groups: [staff.id].into(),
            ..guestlist::ActingRule::default()
        };
        guestlist
            .restrict_acting(&founder, &member, &org("host"), Some(rule))
            .await
            .unwrap();
        let granted = answer(&guestlist, &founder, "@host/k").await;
        assert!(granted.is_allowed(), "{name}");
        let everyone = Grantee::Organization(guestlist::Audience::Everyone);
        let read = ActionSet::of(&[Action::Read]);
        let own = Pattern::parse("x").unwrap();
        guestlist
            .grant(&founder, &member, everyone, read, own, None)
            .await
            .unwrap();
        let given_by_itself = answer(&guestlist, &founder, "@host/x").await;
        assert!(!given_by_itself.is_allowed(), "{name}");
    }
}

#[tokio::test]
async fn nobody_gets_anywhere_through_an_organization_that_was_deleted() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let_in(&guestlist, "host", "bravo").await;
    let people = [
        owner("bravo"),
        user("clerk").in_organization(org("bravo")),
        guestlist::Actor::system().acting_in(org("bravo")),
    ];
    for actor in &people {
        let before = answer(&guestlist, actor, "@host/k").await;
        assert!(before.is_allowed(), "{actor:?}");
    }
    guestlist
        .delete(&owner("bravo"), &org("bravo"))
        .await
        .unwrap();
    for actor in &people {
        let unknown = answer(&guestlist, actor, "@nobody/k").await;
        assert!(!unknown.is_allowed());
        assert_eq!(answer(&guestlist, actor, "@host/k").await, unknown);
        let everywhere = guestlist.readable_everywhere(actor, Action::Read).await;
        let mut found = everywhere.unwrap().into_iter();
        assert!(found.all(|(_, keys)| keys.is_empty()), "{actor:?}");
    }
    let own = answer(&guestlist, &owner("host"), "k").await;
    assert!(own.is_allowed(), "the host goes on");
}

#[tokio::test]
async fn a_proxy_gives_nothing_and_a_grant_to_an_inactive_one_opens_nothing() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let (alice, host, bob) = (owner("host"), org("host"), owner("bravo"));
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let to = || Grantee::Member(org_member("bravo"));
    let read = ActionSet::of(&[Action::Read]);
    let grant = |actions| guestlist.grant(&alice, &host, to(), actions, Pattern::all(), None);
    assert_eq!(code(grant(read).await), "member-not-live");
    guestlist
        .claim(&bob, &token, Claim::for_organization())
        .await
        .unwrap();
    let share = ActionSet::of(&[Action::Share]);
    assert_eq!(code(grant(share).await), "outsider-ceiling");
    grant(read).await.unwrap();
    let address = Address::parse("@host/k").unwrap();
    let may = || guestlist.decide(&bob, Action::Read, &address);
    assert!(may().await.unwrap().is_allowed());
    guestlist
        .remove(&alice, &host, &org_member("bravo"), None)
        .await
        .unwrap();
    assert!(!may().await.unwrap().is_allowed());
    assert_eq!(code(grant(read).await), "member-not-live");
    // Coming back begins with the current preset, not with the old grants.
    let (_, newer) = link(&guestlist, "host", LinkDraft::auto()).await;
    guestlist
        .claim(&bob, &newer, Claim::for_organization())
        .await
        .unwrap();
    guestlist
        .approve(&alice, &host, &org_member("bravo"))
        .await
        .unwrap();
    assert!(!may().await.unwrap().is_allowed());
    let bob_in_host = bob.clone().in_organization(host.clone());
    assert_eq!(
        code(
            guestlist
                .create_link(&bob_in_host, &host, LinkDraft::review())
                .await
        ),
        "not-allowed"
    );
}

#[tokio::test]
async fn with_peoples_standing_known_to_the_host_application_only() {
    use guestlist::membership::Stated;
    struct Staff(Mutex<bool>);
    #[async_trait]
    impl guestlist::Directory for Staff {
        async fn standing(
            &self,
            _: &guestlist::OrgId,
            user: &guestlist::UserId,
        ) -> Result<Stated, Box<dyn std::error::Error + Send + Sync>> {
            if user.as_str() == "broken" {
                return Err("the directory is down".into());
            }
            let is_member = *self.0.lock().unwrap();
            Ok(Stated {
                is_member,
                role: is_member.then(|| "admin".parse().unwrap()),
            })
        }
    }
    static STAFF: Staff = Staff(Mutex::new(true));
    struct Here;
    #[async_trait]
    impl guestlist::Directory for Here {
        async fn standing(
            &self,
            org: &guestlist::OrgId,
            user: &guestlist::UserId,
        ) -> Result<Stated, Box<dyn std::error::Error + Send + Sync>> {
            STAFF.standing(org, user).await
        }
    }
    let guestlist = Guestlist::builder(MemoryStore::default(), ring())
        .directory(Here)
        .build();
    guestlist
        .register(guestlist::NewOrganization::new(
            org("host"),
            "host".parse().unwrap(),
        ))
        .await
        .unwrap();
    let admin = |name: &str| {
        user(name)
            .in_organization(org("host"))
            .with_role("admin".parse().unwrap())
    };
    let issue = |actor: guestlist::Actor| {
        let guestlist = guestlist.clone();
        async move {
            let draft = LinkDraft::auto();
            guestlist
                .create_link(&actor, &org("host"), draft)
                .await
                .unwrap()
                .token
                .unwrap()
        }
    };
    let token = issue(admin("erin")).await;
    let unsure = issue(admin("broken")).await;
    let claim = Claim::for_myself;
    let joined = guestlist.claim(&user("u1"), &token, claim()).await.unwrap();
    assert_eq!(joined.membership.status, Some(Status::Approved));
    // Whom the host application keeps itself is in already.
    let own = guestlist.claim(&admin("erin"), &token, claim()).await;
    assert_eq!(code(own), "already-member");
    *STAFF.0.lock().unwrap() = false;
    assert_eq!(
        code(guestlist.claim(&user("u2"), &token, claim()).await),
        "invalid-token"
    );
    let asked = guestlist.claim(&user("u2"), &unsure, claim()).await;
    assert_eq!(code(asked), "directory-unavailable");
}

#[tokio::test]
async fn lists_are_paged_without_gaps() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    for number in 0..25 {
        let actor = user(&format!("u{number:02}"));
        guestlist
            .claim(&actor, &token, Claim::for_myself())
            .await
            .unwrap();
    }
    let approved = MemberFilter {
        status: Some(Status::Approved),
        ..MemberFilter::default()
    };
    let mut page = Page::first(4).unwrap();
    let mut seen = Vec::new();
    loop {
        let part = guestlist
            .members(&owner("host"), &org("host"), approved.clone(), &page)
            .await
            .unwrap();
        seen.extend(part.members.into_iter().map(|row| row.member));
        // Inserted behind the cursor and before it: neither is seen twice.
        let late = user(&format!("a{}", seen.len()));
        guestlist
            .claim(&late, &token, Claim::for_myself())
            .await
            .unwrap();
        match part.next {
            Some(next) => page = Page::first(4).unwrap().after(next),
            None => break,
        }
    }
    let distinct: BTreeSet<&Member> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len());
    assert!((0..25).all(|number| seen.contains(&user_member(&format!("u{number:02}")))));
    // Text is matched literally.
    let text = |text: &str| MemberFilter {
        text: Some(text.to_owned()),
        ..MemberFilter::default()
    };
    for (wanted, count) in [("u1", 10), ("U1", 10), ("%", 0), ("_", 0)] {
        let found = guestlist
            .members(&owner("host"), &org("host"), text(wanted), &Page::default())
            .await
            .unwrap();
        assert_eq!(found.members.len(), count, "{wanted}");
    }
}

#[tokio::test]
async fn a_links_funnel_and_attribution() {
    use guestlist::membership::By;
    let (guestlist, _) = memory();
    register(&guestlist, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, first) = link(&guestlist, "host", LinkDraft::review()).await;
    for name in ["a", "b", "c"] {
        guestlist
            .claim(&user(name), &first, Claim::for_myself())
            .await
            .unwrap();
    }
    guestlist
        .approve(&alice, &host, &user_member("a"))
        .await
        .unwrap();
    guestlist
        .approve(&alice, &host, &user_member("b"))
        .await
        .unwrap();
    guestlist
        .reject(&alice, &host, &user_member("c"), None)
        .await
        .unwrap();
    guestlist
        .leave(&user("b"), &host, &user_member("b"))
        .await
        .unwrap();
    let issued = guestlist
        .refresh_link(&alice, &host, id, Duration::ZERO)
        .await
        .unwrap();
    let second = issued.token.unwrap();
    guestlist
        .edit_link(&alice, &host, id, LinkDraft::auto())
        .await
        .unwrap();
    guestlist
        .claim(&user("d"), &second, Claim::for_myself())
        .await
        .unwrap();
    let funnel: Vec<_> = guestlist
        .funnel(&alice, &host, id)
        .await
        .unwrap()
        .into_iter()
        .map(|f| {
            (
                f.generation.get(),
                f.claims,
                f.approvals,
                f.rejections,
                f.still_members,
            )
        })
        .collect();
    assert_eq!(funnel, [(1, 3, 2, 1, 1), (2, 1, 1, 0, 1)]);
    let (users, _) = guestlist
        .link_users(&alice, &host, id, &Page::default())
        .await
        .unwrap();
    let by: Vec<_> = users
        .iter()
        .map(|user| {
            (
                user.member.id(),
                user.still_member,
                user.approved_by.clone(),
            )
        })
        .collect();
    let reviewer = Some(alice.by());
    assert_eq!(
        by,
        [
            ("a", true, reviewer.clone()),
            ("b", false, reviewer),
            ("c", false, None),
            ("d", true, Some(By::Policy)),
        ]
    );
    assert_eq!(
        code(guestlist.funnel(&user("a"), &host, id).await),
        "not-allowed"
    );
}

#[tokio::test]
async fn members_of_a_group_are_found_however_they_came_into_it() {
    let (guestlist, _) = memory();
    register(&guestlist, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let group = guestlist
        .create_group(&alice, &host, "g".parse().unwrap(), false)
        .await
        .unwrap();
    let (_, with) = link(&guestlist, "host", LinkDraft::auto().group(group.id)).await;
    let (_, without) = link(&guestlist, "host", LinkDraft::auto()).await;
    guestlist
        .claim(&user("a"), &with, Claim::for_myself())
        .await
        .unwrap();
    guestlist
        .claim(&user("b"), &without, Claim::for_myself())
        .await
        .unwrap();
    guestlist
        .claim(&owner("bravo"), &without, Claim::for_organization())
        .await
        .unwrap();
    let found = || async {
        let filter = MemberFilter {
            group: Some(group.id),
            status: Some(Status::Approved),
            ..MemberFilter::default()
        };
        let page = guestlist
            .members(&alice, &host, filter, &Page::default())
            .await
            .unwrap();
        page.members
            .iter()
            .map(|row| row.member.id().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found().await, ["a"]);
    guestlist
        .add_to_group(&alice, &host, group.id, &org_member("bravo"))
        .await
        .unwrap();
    assert_eq!(found().await, ["org-bravo", "a"]);
    guestlist
        .remove(&alice, &host, &org_member("bravo"), None)
        .await
        .unwrap();
    assert_eq!(found().await, ["a"]);
}
