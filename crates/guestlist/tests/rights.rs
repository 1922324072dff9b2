//! What is read once and asked often answers as `decide` does, and no longer than it may.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng};
use common::{builder, clock, on_every_store, org, org_member, over, owner, register, user_member};
use guestlist::store::{
    Capabilities, Commit, Committed, EventPage, FoundBook, Listed, Load, Query, Snapshot,
    StoreError,
};
use guestlist::{
    Action, ActionSet, Actor, Address, Audience, Cursor, Decision, DecisionRecord, EventFilter,
    Grantee, Guestlist, Key, LinkFilter, MemoryStore, Observer, Page, Pattern, Preset, Store,
    Timestamp,
};

const HOUR: Duration = Duration::from_secs(3600);

on_every_store! {
    rights_answer_as_decisions_do,
    rights_are_of_the_moment_when_they_were_read,
    rights_end_with_the_membership_by_time_alone,
    many_decisions_are_one_read_for_each_organization,
    a_budget_of_nothing_changes_no_answer,
    decisions_of_rights_are_on_record,
    naming_an_organization_makes_nobody_a_member_of_it,
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn member_of(name: &str, organization: &str) -> Actor {
    Actor::user(name.parse().unwrap()).in_organization(org(organization))
}

async fn give<S: Store>(guestlist: &Guestlist<S>, to: Grantee, actions: &[Action], pattern: &str) {
    guestlist
        .grant(
            &owner("host"),
            &org("host"),
            to,
            ActionSet::of(actions),
            Pattern::parse(pattern).unwrap(),
            None,
        )
        .await
        .unwrap();
}

async fn add<S: Store>(
    guestlist: &Guestlist<S>,
    member: &guestlist::Member,
    expires_at: Option<Timestamp>,
) {
    let gift = Preset::default();
    guestlist
        .add_member(&owner("host"), &org("host"), member, gift, expires_at)
        .await
        .unwrap();
}

/// A host with a user and a member organization, whose rights are many small ones.
async fn world<S: Store>(guestlist: &Guestlist<S>, seed: u64) -> Vec<Key> {
    register(guestlist, &["host", "guest"]).await;
    add(guestlist, &user_member("ann"), None).await;
    add(guestlist, &org_member("guest"), None).await;
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    let folder = |number: u64| format!("f{}/{}", number % 7, number % 3);
    for _ in 0..25 {
        let to = match random.next_u32() % 3 {
            0 => Grantee::Member(user_member("ann")),
            1 => Grantee::Member(org_member("guest")),
            _ => Grantee::Organization(Audience::Everyone),
        };
        let actions = [Action::Read, Action::Update, Action::Delete];
        let action = actions[random.next_u32() as usize % 3];
        let end = if random.next_u32().is_multiple_of(2) {
            "/"
        } else {
            ""
        };
        let pattern = format!("{}{end}", folder(random.next_u64()));
        give(guestlist, to, &[action], &pattern).await;
    }
    (0..21)
        .flat_map(|number| {
            let folder = folder(number);
            [
                key(&folder),
                key(&format!("{folder}/x")),
                key(&format!("{folder}x")),
            ]
        })
        .collect()
}

async fn rights_answer_as_decisions_do<S: Store>(store: S) {
    let guestlist = over(store, &clock(), 7);
    let keys = world(&guestlist, 11).await;
    let name = "host".parse().unwrap();
    for (actor, abroad) in [
        (member_of("ann", "host"), None),
        (owner("host"), None),
        (owner("guest"), Some(&name)),
        (owner("guest"), None),
        (common::user("nobody"), None),
    ] {
        let rights = guestlist.rights(&actor, abroad).await.unwrap();
        let mut allowed = 0;
        // Several times over: at first by the plain definition, later by what was compiled.
        for round in 0..3 {
            for key in &keys {
                let address = match abroad {
                    Some(name) => Address::of(name.clone(), key.clone()),
                    None => Address::own(key.clone()),
                };
                for action in [Action::Read, Action::Update, Action::Delete] {
                    let decision = guestlist.decide(&actor, action, &address).await.unwrap();
                    assert_eq!(rights.decide(action, key), decision, "{round} {address}");
                    assert_eq!(rights.allows(action, key), decision.is_allowed());
                    assert_eq!(rights.actions(key).contains(action), decision.is_allowed());
                    let readable = rights.readable(action).contains(key);
                    assert_eq!(readable, decision.is_allowed());
                    allowed += usize::from(decision.is_allowed());
                }
            }
        }
        let all = keys.len() * 9;
        let expected = match (actor.user_id().unwrap().as_str(), abroad) {
            ("nobody", _) => 0..=0,
            ("host-owner", _) | ("guest-owner", None) => all..=all,
            _ => 1..=all - 1,
        };
        assert!(expected.contains(&allowed), "{actor:?}: {allowed} of {all}");
    }
}

async fn rights_are_of_the_moment_when_they_were_read<S: Store>(store: S) {
    let guestlist = over(store, &clock(), 7);
    register(&guestlist, &["host"]).await;
    add(&guestlist, &user_member("ann"), None).await;
    let ann = member_of("ann", "host");
    let before = guestlist.rights(&ann, None).await.unwrap();
    give(
        &guestlist,
        Grantee::Member(user_member("ann")),
        &[Action::Read],
        "a/",
    )
    .await;
    let after = guestlist.rights(&ann, None).await.unwrap();
    assert!(!before.allows(Action::Read, &key("a/b")));
    assert!(after.allows(Action::Read, &key("a/b")));
    assert!(after.revision() > before.revision());
    assert!(after.read_at() > before.read_at());

    guestlist
        .remove(&owner("host"), &org("host"), &user_member("ann"), None)
        .await
        .unwrap();
    let removed = guestlist.rights(&ann, None).await.unwrap();
    assert!(!removed.allows(Action::Read, &key("a/b")));
    assert!(
        after.allows(Action::Read, &key("a/b")),
        "it was, when it was read"
    );
}

async fn rights_end_with_the_membership_by_time_alone<S: Store>(store: S) {
    let clock = clock();
    let guestlist = over(store, &clock, 7);
    register(&guestlist, &["host", "guest", "other"]).await;
    let in_an_hour = common::START + HOUR;
    add(&guestlist, &user_member("ann"), Some(in_an_hour)).await;
    add(&guestlist, &user_member("ben"), None).await;
    add(&guestlist, &org_member("guest"), Some(in_an_hour)).await;
    add(&guestlist, &org_member("other"), None).await;
    // A person whose own membership ends, in an organization whose membership goes on.
    guestlist
        .add_member(
            &owner("other"),
            &org("other"),
            &user_member("cat"),
            Preset::default(),
            Some(in_an_hour),
        )
        .await
        .unwrap();
    give(
        &guestlist,
        Grantee::Organization(Audience::Everyone),
        &[Action::Read],
        "a/",
    )
    .await;
    let name = "host".parse().unwrap();
    let mut all = Vec::new();
    for (actor, abroad, ends) in [
        (member_of("ann", "host"), None, true),
        (member_of("ben", "host"), None, false),
        (owner("guest"), Some(&name), true),
        (owner("other"), Some(&name), false),
        (member_of("cat", "other"), Some(&name), true),
    ] {
        all.push((guestlist.rights(&actor, abroad).await.unwrap(), ends, actor));
    }
    for (rights, _, actor) in &all {
        assert!(rights.allows(Action::Read, &key("a/b")), "{actor:?}");
    }
    clock.set(in_an_hour);
    for (rights, ends, actor) in &all {
        assert_eq!(rights.allows(Action::Read, &key("a/b")), !ends, "{actor:?}");
        assert_eq!(rights.decide(Action::Read, &key("a/b")).is_allowed(), !ends);
        assert_eq!(rights.readable(Action::Read).is_empty(), *ends);
        assert_eq!(rights.actions(&key("a/b")).contains(Action::Read), !ends);
    }
    // Setting the clock back brings nothing back that had ended when it was read.
    let late = guestlist
        .rights(&member_of("ann", "host"), None)
        .await
        .unwrap();
    clock.set(common::START);
    assert!(!late.allows(Action::Read, &key("a/b")));
}

/// Counts loads, and those that tell what has changed in access rules.
struct Counting<S> {
    store: S,
    loads: Arc<AtomicUsize>,
    changes: Arc<AtomicUsize>,
}

impl<S> Counting<S> {
    fn of(store: S) -> Self {
        Self {
            store,
            loads: Arc::default(),
            changes: Arc::default(),
        }
    }
}

#[async_trait]
impl<S: Store> Store for Counting<S> {
    async fn load(&self, load: &Load<'_>) -> Result<Snapshot, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let snapshot = self.store.load(load).await?;
        let is_told = |book: &FoundBook| matches!(book, FoundBook::Changed { .. });
        let changes = snapshot.books().filter(|(_, book)| is_told(book)).count();
        self.changes.fetch_add(changes, Ordering::SeqCst);
        Ok(snapshot)
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        self.store.commit(commits).await
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

async fn many_decisions_are_one_read_for_each_organization<S: Store>(store: S) {
    let store = Counting::of(store);
    let loads = Arc::clone(&store.loads);
    let guestlist = over(store, &clock(), 7);
    register(&guestlist, &["host", "guest", "third"]).await;
    add(&guestlist, &org_member("guest"), None).await;
    give(
        &guestlist,
        Grantee::Member(org_member("guest")),
        &[Action::Read],
        "a/",
    )
    .await;
    let asked: Vec<(Action, Address)> = [
        (Action::Read, "@host/a/b"),
        (Action::Read, "@host/b"),
        (Action::Update, "mine"),
        (Action::Update, "@host/a/b"),
        (Action::Read, "@third/a/b"),
        (Action::Read, "@nobody/a/b"),
        (Action::Read, "@host/a/c"),
    ]
    .map(|(action, address)| (action, Address::parse(address).unwrap()))
    .to_vec();
    let mut one_by_one = Vec::new();
    for (action, address) in &asked {
        one_by_one.push(
            guestlist
                .decide(&owner("guest"), *action, address)
                .await
                .unwrap(),
        );
    }
    let before = loads.load(Ordering::SeqCst);
    let pairs = asked.iter().map(|(action, address)| (*action, address));
    let at_once = guestlist.decide_all(&owner("guest"), pairs).await.unwrap();
    assert_eq!(
        loads.load(Ordering::SeqCst) - before,
        4,
        "four organizations are named"
    );
    assert_eq!(at_once, one_by_one);
    let allowed: Vec<bool> = at_once.iter().map(Decision::is_allowed).collect();
    assert_eq!(allowed, [true, false, true, false, false, false, true]);
    assert_eq!(guestlist.decide_all(&owner("guest"), []).await.unwrap(), []);
}

/// Rules in memory, brought up to date change by change, answer as those that are read anew.
async fn rules_follow_their_changes<S: Store>(store: &S, tells_changes: bool) {
    let clock = clock();
    let store = Counting::of(store);
    let changes = Arc::clone(&store.changes);
    let following = over(&store, &clock, 7);
    let reading = builder(&store, &clock, 8).rules_in_memory(0).build();
    let keys = world(&following, 13).await;
    let (alice, host) = (owner("host"), org("host"));
    let mut random = ChaCha20Rng::seed_from_u64(14);
    let (mut groups, mut grants) = (Vec::new(), Vec::new());
    let members = [user_member("ann"), org_member("guest")];
    let (mut told, mut allowed) = (0, 0);
    for turn in 0..80 {
        // By this process, or by another one, and more than one change between two reads.
        let by = if turn % 3 == 0 { &following } else { &reading };
        let member = &members[random.next_u32() as usize % 2];
        let draw = random.next_u32() as usize;
        match (draw % 6, groups.len()) {
            (0, _) | (_, 0) => {
                let name = format!("Group {turn}").parse().unwrap();
                let made = by.create_group(&alice, &host, name, false).await;
                groups.push(made.unwrap().id);
            }
            (1, number) if draw.is_multiple_of(4) => {
                let group = groups.swap_remove(draw % number);
                by.delete_group(&alice, &host, group).await.unwrap();
            }
            (1 | 2, number) => {
                let group = groups[draw % number];
                by.add_to_group(&alice, &host, group, member).await.unwrap();
            }
            (3, number) => {
                let group = groups[draw % number];
                // Who isn't in it can't be taken out of it.
                let _ = by.remove_from_group(&alice, &host, group, member).await;
            }
            (4, _) if !grants.is_empty() => {
                let grant = grants.swap_remove(draw % grants.len());
                // It may have gone with its group.
                let _ = by.revoke(&alice, &host, grant).await;
            }
            (_, number) => {
                let to = Grantee::Group(groups[draw % number]);
                let pattern = format!("f{}/", draw % 7).parse().unwrap();
                let actions = ActionSet::of(&[Action::Read]);
                let made = by.grant(&alice, &host, to, actions, pattern, None).await;
                grants.push(made.unwrap().id);
            }
        }
        if draw.is_multiple_of(3) {
            continue;
        }
        for (actor, name) in [
            (member_of("ann", "host"), None),
            (owner("guest"), Some("host")),
        ] {
            let name = name.map(|name| name.parse().unwrap());
            let read = reading.rights(&actor, name.as_ref()).await.unwrap();
            let before = changes.load(Ordering::SeqCst);
            let followed = following.rights(&actor, name.as_ref()).await.unwrap();
            told += changes.load(Ordering::SeqCst) - before;
            assert_eq!(followed.revision(), read.revision(), "turn {turn}");
            for key in &keys {
                let decision = followed.decide(Action::Read, key);
                assert_eq!(
                    decision,
                    read.decide(Action::Read, key),
                    "{key}, turn {turn}"
                );
                allowed += usize::from(decision.is_allowed());
            }
            let covered = followed.readable(Action::Read);
            assert_eq!(covered, read.readable(Action::Read), "turn {turn}");
        }
    }
    assert!(allowed > 100, "{allowed}");
    if tells_changes {
        assert!(told > 30, "only {told} changes were told");
    }
}

#[tokio::test]
async fn rules_follow_their_changes_in_memory() {
    rules_follow_their_changes(&MemoryStore::default(), false).await;
}

#[tokio::test]
async fn rules_follow_their_changes_on_sqlite() {
    let store = guestlist_sqlite::SqliteStore::builder().in_memory();
    rules_follow_their_changes(&store.open().unwrap(), true).await;
}

#[tokio::test]
async fn rules_follow_their_changes_on_postgres() {
    rules_follow_their_changes(&common::pg::store().await, true).await;
}

async fn a_budget_of_nothing_changes_no_answer<S: Store>(store: S) {
    let clock = clock();
    let guestlist = builder(store, &clock, 7).rules_in_memory(0).build();
    let keys = world(&guestlist, 12).await;
    let ann = member_of("ann", "host");
    let rights = guestlist.rights(&ann, None).await.unwrap();
    let mut allowed = 0;
    for key in &keys {
        let address = Address::own(key.clone());
        let decision = guestlist
            .decide(&ann, Action::Read, &address)
            .await
            .unwrap();
        assert_eq!(decision, rights.decide(Action::Read, key));
        allowed += usize::from(decision.is_allowed());
    }
    assert!((1..keys.len()).contains(&allowed), "{allowed}");
}

async fn naming_an_organization_makes_nobody_a_member_of_it<S: Store>(store: S) {
    let guestlist = over(store, &clock(), 7);
    register(&guestlist, &["host"]).await;
    add(&guestlist, &user_member("ann"), None).await;
    give(
        &guestlist,
        Grantee::Organization(Audience::Everyone),
        &[Action::Read],
        "a/",
    )
    .await;
    let (host, address) = (org("host"), Address::parse("a/b").unwrap());
    for (actor, is_member) in [
        (common::user("ann").acting_in(host.clone()), true),
        (common::user("ann").in_organization(host.clone()), true),
        (common::user("host-owner").acting_in(host.clone()), true),
        (common::user("eve").acting_in(host.clone()), false),
        // A role that is stated needs an organization that is stated.
        (
            common::user("eve")
                .acting_in(host.clone())
                .with_role("owner".parse().unwrap()),
            false,
        ),
        // What is said last counts.
        (
            common::user("eve")
                .in_organization(host.clone())
                .acting_in(host.clone()),
            false,
        ),
        (common::user("eve").in_organization(host.clone()), true),
    ] {
        let decision = guestlist
            .decide(&actor, Action::Read, &address)
            .await
            .unwrap();
        assert_eq!(decision.is_allowed(), is_member, "{actor:?}");
    }
    let eve = common::user("eve")
        .acting_in(host.clone())
        .with_role("owner".parse().unwrap());
    let refused = guestlist
        .links(&eve, &host, LinkFilter::default(), &Page::default())
        .await;
    assert_eq!(
        refused.unwrap_err().code(),
        "not-found",
        "as to any outsider"
    );
    let head = common::user("host-owner").acting_in(host.clone());
    guestlist
        .links(&head, &host, LinkFilter::default(), &Page::default())
        .await
        .unwrap();

    // The people of a member organization see its membership; those who were, and others, don't.
    register(&guestlist, &["guest"]).await;
    add(&guestlist, &org_member("guest"), None).await;
    let (guest, gift) = (org("guest"), Preset::default());
    let bob = user_member("bob");
    guestlist
        .add_member(&owner("guest"), &guest, &bob, gift, None)
        .await
        .unwrap();
    let seen = async |actor: Actor| {
        let read = guestlist
            .membership(&actor, &host, &org_member("guest"))
            .await;
        read.map_or_else(|error| error.code(), |_| "seen")
    };
    assert_eq!(
        seen(common::user("bob").acting_in(guest.clone())).await,
        "seen"
    );
    assert_eq!(
        seen(common::user("guest-owner").acting_in(guest.clone())).await,
        "seen"
    );
    assert_eq!(
        seen(common::user("eve").acting_in(guest.clone())).await,
        "not-found"
    );
    guestlist
        .remove(&owner("guest"), &guest, &bob, None)
        .await
        .unwrap();
    assert_eq!(
        seen(common::user("bob").acting_in(guest.clone())).await,
        "not-found"
    );
    assert_eq!(
        seen(common::user("bob").in_organization(guest.clone())).await,
        "not-found"
    );

    // Whoever was one, and is no more, is nobody in either way.
    guestlist
        .remove(&head, &host, &user_member("ann"), None)
        .await
        .unwrap();
    for actor in [
        common::user("ann").acting_in(host.clone()),
        common::user("ann").in_organization(host.clone()),
    ] {
        let decision = guestlist
            .decide(&actor, Action::Read, &address)
            .await
            .unwrap();
        assert!(!decision.is_allowed(), "{actor:?}");
    }
}

#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<DecisionRecord>>>);

impl Observer for Records {
    fn decided(&self, record: &DecisionRecord) {
        self.0.lock().unwrap().push(record.clone());
    }
}

async fn decisions_of_rights_are_on_record<S: Store>(store: S) {
    let records = Records::default();
    let guestlist = builder(store, &clock(), 7)
        .observer(records.clone())
        .build();
    register(&guestlist, &["host", "guest"]).await;
    add(&guestlist, &org_member("guest"), None).await;
    let name = "host".parse().unwrap();
    let rights = guestlist
        .rights(&owner("guest"), Some(&name))
        .await
        .unwrap();
    let _ = rights.allows(Action::Read, &key("a"));
    let _ = rights.readable(Action::Read);
    assert_eq!(records.0.lock().unwrap().len(), 0);
    let _ = rights.decide(Action::Read, &key("a"));
    let address = Address::parse("@host/a").unwrap();
    let _ = guestlist
        .decide(&owner("guest"), Action::Read, &address)
        .await
        .unwrap();
    let records = records.0.lock().unwrap();
    let [one, other] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(one, other);
    assert_eq!(one.caller, Some(org("guest")));
    assert_eq!(one.host, Some(org("host")));
    assert!(one.proxy.is_some() && one.user.is_some());
    assert_eq!(one.address, address);
}
