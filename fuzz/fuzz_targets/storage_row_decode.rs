//! A key-value store whose values were changed behind guestlist's back: everything is answered
//! with rows of the kind that was asked for or with a typed error, and what was not read through a
//! changed value is answered as before.

#![no_main]

use core::num::NonZeroU64;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use arbitrary::Arbitrary;
use async_trait::async_trait;
use guestlist::{
    Action, ActionSet, Actor, Audience, Claim, Entropy, Grantee, Guestlist, LinkDraft, ManualClock,
    Member, MemberFilter, MemoryStore, NewOrganization, OrgId, Page, Pattern, Pepper, PepperId,
    PepperRing, Timestamp, Uses,
};
use guestlist_fuzz::{Few, ready};
use guestlist_membership::invite::{
    Delivery, EmailInvite, InviteConfig, InviteEvent, InviteStatus,
};
use guestlist_membership::link::Generation;
use guestlist_membership::member::ActingRule;
use guestlist_membership::organization::Settings;
use guestlist_membership::{
    By, ConsumerRecord, Event, Fact, Home, InviteRef, LinkRef, ParkedRecord, Root, Row, RowKey,
    Scope, Seats, Sequence, Stamp, evolve,
};
use guestlist_store::{
    Capabilities, CommandDigest, Commit, Committed, Draft, EventFilter, InviteFilter, Kv, KvCheck,
    KvCommitted, KvOp, KvRange, KvStore, Load, MemoryKv, Query, Receipt, Revision, Store,
    StoreError, Write,
};
use guestlist_token::Selector;
use guestlist_types::{Bucket, CommitId, ConsumerName, EmailAddress, InviteId, LinkId};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Edit<'a> {
    /// Which entry, in the order of keys.
    entry: u8,
    how: How<'a>,
}

#[derive(Arbitrary, Debug)]
enum How<'a> {
    Flip {
        at: u16,
        bit: u8,
    },
    Byte {
        at: u16,
        with: u8,
    },
    Cut(u16),
    Append(&'a [u8]),
    /// Behind the revision and the format.
    Body(&'a [u8]),
    Replace(&'a [u8]),
    /// The value of another entry.
    From(u8),
    Gone,
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Counts up: nothing here has to be secret.
struct Counting(Mutex<u64>);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), guestlist::EntropyError> {
        let mut state = self.0.lock().expect("nobody panics");
        for byte in bytes {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (*state >> 33) as u8;
        }
        Ok(())
    }
}

/// What a store was asked, and how it was asked.
struct Asked {
    entries: Entries,
    host: OrgId,
    guest: OrgId,
    selectors: Vec<Selector>,
    links: Vec<LinkId>,
    /// The answers of the unchanged store, with the keys that they were read from.
    answers: Vec<(String, BTreeSet<Vec<u8>>)>,
}

/// Remembers which keys were read.
struct Watched {
    entries: Entries,
    read: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

#[async_trait]
impl Kv for Watched {
    async fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.read
            .lock()
            .expect("nobody panics")
            .extend(keys.iter().cloned());
        Ok(keys
            .iter()
            .map(|key| self.entries.get(key).cloned())
            .collect())
    }

    async fn scan(
        &self,
        range: &KvRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let found = self
            .entries
            .range(range.start.clone()..range.end.clone())
            .take(limit);
        let found: Vec<_> = found
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let mut read = self.read.lock().expect("nobody panics");
        // All of the range: an entry that is gone was read as well.
        read.extend(found.iter().map(|(key, _)| key.clone()));
        let base = &asked_entries().entries;
        let all = base.range(range.start.clone()..range.end.clone());
        read.extend(all.map(|(key, _)| key.clone()));
        Ok(found)
    }

    async fn commit(&self, _: &[KvCheck], _: &[KvOp]) -> Result<KvCommitted, StoreError> {
        unreachable!("nothing is written here")
    }
}

async fn fill() -> Asked {
    let kv = MemoryKv::default();
    let store = MemoryStore::new(kv.clone(), Capabilities::immediate(false, false));
    let pepper = Pepper::from_bytes(&[7; 32]).expect("long enough");
    let guestlist = Guestlist::builder(store.clone(), PepperRing::new(PepperId::new(1), pepper))
        .clock(ManualClock::at(Timestamp::from_micros(1_000_000_000)))
        .entropy(Counting(Mutex::new(1)))
        .build();
    let (host, guest) = (
        OrgId::parse("host").expect("plain"),
        OrgId::parse("guest").expect("plain"),
    );
    let (alice, bob) = (
        "alice".parse().expect("plain"),
        "bob".parse().expect("plain"),
    );
    let new = NewOrganization::new(host.clone(), "host".parse().expect("plain"))
        .founder(alice)
        .settings(Settings {
            seats: Some(Seats {
                limit: NonZeroU64::new(20).expect("not zero"),
                count_pending: true,
            }),
            discoverable: true,
            ..Settings::default()
        });
    guestlist.register(new).await.expect("free");
    let new = NewOrganization::new(guest.clone(), "guest".parse().expect("plain")).founder(bob);
    guestlist.register(new).await.expect("free");
    let alice = Actor::user("alice".parse().expect("plain")).in_organization(host.clone());
    let bob = Actor::user("bob".parse().expect("plain")).in_organization(guest.clone());
    let group = guestlist
        .create_group(&alice, &host, "group".parse().expect("plain"), false)
        .await
        .expect("allowed");
    let pattern = Pattern::parse("shared/").expect("a prefix");
    let read = ActionSet::of(&[Action::Read]);
    for to in [
        Grantee::Organization(Audience::Everyone),
        Grantee::Group(group.id),
    ] {
        let grant = guestlist.grant(&alice, &host, to, read, pattern.clone(), None);
        grant.await.expect("allowed");
    }
    let limited = LinkDraft::review()
        .max_uses(Uses::AtMost(5))
        .group(group.id);
    let mut tokens = Vec::new();
    let mut links = Vec::new();
    for draft in [limited, LinkDraft::auto()] {
        let issued = guestlist
            .create_link(&alice, &host, draft)
            .await
            .expect("allowed");
        links.push(issued.link.id);
        tokens.push(issued.token.expect("new"));
    }
    guestlist
        .claim(&bob, &tokens[0], Claim::for_organization())
        .await
        .expect("open");
    let member = Member::Org(guest.clone());
    guestlist
        .approve(&alice, &host, &member)
        .await
        .expect("pending");
    for user in ["carol", "dan"] {
        let actor = Actor::user(user.parse().expect("plain"));
        guestlist
            .claim(&actor, &tokens[0], Claim::for_myself())
            .await
            .expect("open");
    }
    let rule = ActingRule {
        groups: BTreeSet::from([group.id]),
        ..ActingRule::default()
    };
    guestlist
        .restrict_acting(&bob, &guest, &host, Some(rule))
        .await
        .expect("allowed");
    let mut selectors: Vec<_> = tokens
        .iter()
        .map(guestlist::InviteToken::selector)
        .collect();
    selectors.push(invite(&store, &host).await);
    for commit in beside_the_log(&host, links[0]) {
        apply(&store, commit).await;
    }
    Asked {
        entries: kv.dump().into_iter().collect(),
        host,
        guest,
        selectors,
        links,
        answers: Vec::new(),
    }
}

fn address() -> EmailAddress {
    EmailAddress::parse("erin@example.com").expect("an address")
}

fn reader() -> ConsumerName {
    ConsumerName::parse("reader").expect("plain")
}

const INVITE: InviteId = InviteId::from_bytes([3; 16]);

const READ: Sequence = Sequence {
    commit: 1,
    ordinal: 0,
};

const THEN: Timestamp = Timestamp::from_micros(1_000_000_000);

fn stamp() -> Stamp {
    Stamp {
        at: THEN,
        by: By::System,
    }
}

async fn apply(store: &MemoryStore, commit: Commit) {
    let outcomes = store.commit(&[commit]).await.expect("well formed");
    assert_eq!(outcomes, [Committed::Applied]);
}

/// Sends an e-mail invite, and tells where its token is found.
async fn invite(store: &MemoryStore, host: &OrgId) -> Selector {
    let first = i64::from(Bucket::of(host).get()) * 62_i64.pow(8);
    let selector = Selector::from_i64(first + 5).expect("in range");
    let event = Event::Invite(InviteEvent::Sent(Box::new(EmailInvite {
        id: INVITE,
        host: host.clone(),
        address: address(),
        config: InviteConfig::default(),
        status: InviteStatus::Pending,
        generation: Generation::FIRST,
        token: Some(selector),
        creator: Some("alice".parse().expect("plain")),
        delivery: Delivery::Unknown,
        expires_at: Some(Timestamp::from_micros(1_500_000_000)),
        expired_at: None,
        closed: None,
        created_at: THEN,
        sent_at: THEN,
        updated_at: THEN,
    })));
    let facts = vec![
        Fact::Invite(InviteRef::Id(INVITE)),
        Fact::Known(address()),
        Fact::Token(selector),
    ];
    let scope = Scope::of(host.clone(), facts);
    let snapshot = store.load(&Load::of(&scope)).await.expect("undamaged");
    let mut after = snapshot.to_records();
    evolve(&mut after, host, &stamp(), &event);
    let draft = Draft {
        id: CommitId::from_bytes([1; 16]),
        home: Home::Organization(host.clone()),
        snapshot: &snapshot,
        after: &after,
        stamp: stamp(),
        events: vec![event],
        secrets: &[],
        erasures: Vec::new(),
        receipt: Receipt {
            digest: CommandDigest([0; 32]),
            reply: String::new(),
        },
    };
    apply(store, draft.into_commit()).await;
    selector
}

/// A preview, and what a consumer of the feed keeps.
fn beside_the_log(host: &OrgId, link: LinkId) -> [Commit; 2] {
    let commit = |home, writes| Commit {
        id: CommitId::from_bytes([2; 16]),
        home,
        checks: Vec::new(),
        writes,
        stamp: stamp(),
        events: Vec::new(),
        receipt: None,
    };
    let put = |key, row| Write::Put {
        key,
        row,
        revision: Revision::new(1),
        before: None,
    };
    let read = Row::Consumer(ConsumerRecord {
        acknowledged: READ,
        chain: Some([9; 32]),
        leased_until: None,
        updated_at: THEN,
    });
    let parked = Row::Parked(ParkedRecord {
        attempts: 2,
        next_at: Some(THEN),
        error: "timeout".to_owned(),
        reached: Vec::new(),
        parked_at: THEN,
        tried_at: THEN,
    });
    let take = Write::Take {
        key: RowKey::PreviewTally(host.clone(), link, Generation::FIRST),
        below: 9,
    };
    [
        commit(Home::Organization(host.clone()), vec![take]),
        commit(
            Home::Consumer(reader()),
            vec![
                put(RowKey::Consumer(reader()), read),
                put(RowKey::Parked(reader(), READ), parked),
            ],
        ),
    ]
}

fn asked_entries() -> &'static Asked {
    static FILLED: OnceLock<Asked> = OnceLock::new();
    FILLED.get_or_init(|| ready(fill()))
}

fn asked() -> &'static Asked {
    static ASKED: OnceLock<Asked> = OnceLock::new();
    ASKED.get_or_init(|| {
        let filled = asked_entries();
        Asked {
            entries: filled.entries.clone(),
            host: filled.host.clone(),
            guest: filled.guest.clone(),
            selectors: filled.selectors.clone(),
            links: filled.links.clone(),
            answers: answers(filled, filled.entries.clone()),
        }
    })
}

fn scopes(asked: &Asked) -> Vec<Scope> {
    let member = Member::Org(asked.guest.clone());
    let carol = Member::User("carol".parse().expect("plain"));
    let link = LinkRef::Id(asked.links[0]);
    let mut all = vec![
        Fact::Organization,
        Fact::Owners,
        Fact::Seats,
        Fact::SeatCount,
        Fact::Link(link.clone()),
        Fact::Tokens(link.clone()),
        Fact::Tally(link.clone()),
        Fact::UseCount(link.clone()),
        Fact::Use(link.clone(), member.clone()),
        Fact::Creator(link.clone()),
        Fact::Membership(member.clone()),
        Fact::Membership(carol),
        Fact::Acting(asked.guest.clone()),
        Fact::BookForActing(asked.guest.clone()),
        Fact::BookForLink(link),
        Fact::Book,
        Fact::Link(LinkRef::OfMembership(member)),
        Fact::OrganizationOf(asked.guest.clone()),
        Fact::Invite(InviteRef::Id(INVITE)),
        Fact::InviteToken(InviteRef::Id(INVITE)),
        Fact::InviteCreator(InviteRef::Id(INVITE)),
        Fact::KnownOf(InviteRef::Id(INVITE)),
        Fact::BookForInvite(InviteRef::Id(INVITE)),
        Fact::BookForRequests,
        Fact::Known(address()),
        Fact::PreviewTally(asked.links[0], Generation::FIRST),
        Fact::Consumer(reader()),
        Fact::Parked(reader(), READ),
    ];
    let mut scopes: Vec<Scope> = all
        .iter()
        .map(|fact| Scope::of(asked.host.clone(), vec![fact.clone()]))
        .collect();
    scopes.push(Scope::of(asked.host.clone(), all.clone()));
    all.extend([Fact::Link(LinkRef::OfToken), Fact::Tally(LinkRef::OfToken)]);
    all.extend([
        Fact::Invite(InviteRef::OfToken),
        Fact::InviteToken(InviteRef::OfToken),
    ]);
    for selector in &asked.selectors {
        scopes.push(Scope {
            root: Root::Token(*selector),
            facts: all.clone(),
        });
    }
    for name in ["host", "guest"] {
        let root = Root::Name(name.parse().expect("plain"));
        scopes.push(Scope {
            root,
            facts: vec![Fact::Organization, Fact::Book],
        });
    }
    scopes
}

fn queries(asked: &Asked) -> Vec<Query> {
    let (host, link) = (asked.host.clone(), asked.links[0]);
    vec![
        Query::Links {
            host: host.clone(),
            status: None,
            creator: None,
        },
        Query::Pending {
            host: host.clone(),
            link: None,
        },
        Query::Members {
            host: host.clone(),
            filter: MemberFilter::default(),
        },
        Query::MembershipsOf {
            member: Member::Org(asked.guest.clone()),
            status: None,
        },
        Query::Uses {
            host: host.clone(),
            link,
        },
        Query::Groups {
            organization: host.clone(),
        },
        Query::Grants {
            organization: host.clone(),
        },
        Query::Invites {
            host: host.clone(),
            filter: InviteFilter::default(),
        },
        Query::InvitesTo {
            address: address(),
            phase: None,
        },
        Query::Discover { text: None },
        Query::Parked { consumer: reader() },
        Query::RunOutLinks {
            host: Some(host.clone()),
        },
        Query::RunOutInvites {
            host: Some(host.clone()),
        },
        Query::RunOut { host: Some(host) },
    ]
}

/// Only what says that the store is damaged or newer.
fn told<T: core::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => {
            assert!(
                matches!(
                    error,
                    StoreError::Corrupt { .. } | StoreError::NewerSchema { .. }
                ),
                "another error: {error:?}"
            );
            format!("! {}", error.code())
        }
    }
}

/// Whether a row is of the kind that its key names.
fn fits(key: &RowKey, row: &Row) -> bool {
    match (key, row) {
        (RowKey::Name(_), Row::Name(_))
        | (RowKey::Owners(_), Row::Owners(_))
        | (
            RowKey::SeatTally(_) | RowKey::LinkTally(..) | RowKey::PreviewTally(..),
            Row::Tally(_),
        )
        | (RowKey::Address(..), Row::Address(_))
        | (RowKey::Consumer(_), Row::Consumer(_))
        | (RowKey::Parked(..), Row::Parked(_))
        | (RowKey::AccessHead(_), Row::AccessHead(_))
        | (RowKey::LinkUse(..), Row::LinkUse(_))
        | (RowKey::Acting(..), Row::Acting(_))
        | (RowKey::GroupMember(..), Row::GroupMember)
        | (RowKey::UseCount(..), Row::UseCount(_))
        | (RowKey::SeatCount(_), Row::SeatCount(_)) => true,
        (RowKey::Organization(id), Row::Organization(row)) => *id == row.id,
        (RowKey::Link(host, id), Row::Link(row)) => *host == row.host && *id == row.id,
        (RowKey::Token(selector), Row::Token(row)) => *selector == row.selector,
        (RowKey::Invite(host, id), Row::Invite(row)) => *host == row.host && *id == row.id,
        (RowKey::Membership(host, member), Row::Membership(row)) => {
            *host == row.host && *member == row.member
        }
        (RowKey::Group(_, id), Row::Group(row)) => *id == row.id,
        (RowKey::Grant(_, id), Row::Grant(row)) => *id == row.id,
        _ => false,
    }
}

fn answers(asked: &Asked, entries: Entries) -> Vec<(String, BTreeSet<Vec<u8>>)> {
    let read = Arc::new(Mutex::new(BTreeSet::new()));
    let kv = Watched {
        entries,
        read: Arc::clone(&read),
    };
    let store = KvStore::new(kv, Capabilities::immediate(false, false));
    let now = Timestamp::from_micros(2_000_000_000);
    let taken = || core::mem::take(&mut *read.lock().expect("nobody panics"));
    let mut answers = Vec::new();
    for scope in scopes(asked) {
        let loaded = ready(store.load(&Load::of(&scope)));
        if let Ok(snapshot) = &loaded {
            for (key, row) in snapshot.records().iter() {
                assert!(fits(key, row), "another kind of row: {key:?} {row:?}");
            }
        }
        answers.push((told(loaded), taken()));
    }
    for query in queries(asked) {
        for limit in [1, 100] {
            let page = Page::first(limit).expect("a size");
            let first = ready(store.list(&query, &page, now));
            let next = first.as_ref().ok().and_then(|listed| listed.next.clone());
            let first = told(first);
            let second = next.map(|next| told(ready(store.list(&query, &page.after(next), now))));
            answers.push((format!("{first} {second:?}"), taken()));
        }
    }
    let filter = EventFilter::default();
    let events = told(ready(store.events(&filter, None, 1_000)));
    answers.push((events, taken()));
    answers
}

fuzz_target!(|edits: Few<Edit<'_>>| {
    let asked = asked();
    let mut entries = asked.entries.clone();
    let keys: Vec<Vec<u8>> = entries.keys().cloned().collect();
    for edit in &edits.0 {
        let key = &keys[usize::from(edit.entry) % keys.len()];
        let old = entries.get(key).cloned().unwrap_or_default();
        if let Some(value) = change(old, &edit.how, &asked.entries, &keys) {
            entries.insert(key.clone(), value);
        } else {
            entries.remove(key);
        }
    }
    let changed: BTreeSet<&Vec<u8>> = keys
        .iter()
        .filter(|key| entries.get(*key) != asked.entries.get(*key))
        .collect();
    for ((answer, read), (before, _)) in answers(asked, entries).iter().zip(&asked.answers) {
        if !read.iter().any(|key| changed.contains(key)) {
            assert_eq!(answer, before, "nothing that was read has changed");
        }
    }
});

fn change(mut value: Vec<u8>, how: &How<'_>, base: &Entries, keys: &[Vec<u8>]) -> Option<Vec<u8>> {
    let len = value.len().max(1);
    let index = |at: &u16| usize::from(*at) % len;
    match how {
        How::Flip { at, bit } => {
            if let Some(byte) = value.get_mut(index(at)) {
                *byte ^= 1 << (bit % 8);
            }
        }
        How::Byte { at, with } => {
            if let Some(byte) = value.get_mut(index(at)) {
                *byte = *with;
            }
        }
        How::Cut(to) => value.truncate(index(to)),
        How::Append(more) => value.extend(*more),
        How::Body(body) => {
            value.truncate(9);
            value.extend(*body);
        }
        How::Replace(all) => value = all.to_vec(),
        How::From(other) => value = base[&keys[usize::from(*other) % keys.len()]].clone(),
        How::Gone => return None,
    }
    Some(value)
}
