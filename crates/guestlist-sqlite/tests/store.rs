//! Loading, committing, listing and following the log, on a file and in memory.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use common::*;
use guestlist_membership::invite::InvitePhase;
use guestlist_membership::link::{LinkStatus, UseState};
use guestlist_membership::member::Status;
use guestlist_membership::organization::{OrgStatus, Organization, Settings};
use guestlist_membership::{
    Fact, Home, LinkRef, ParkedRecord, Row, RowKey, Scope, SeatCount, Sequence,
};
use guestlist_sqlite::SqliteStore;
use guestlist_store::{
    Check, Commit, Committed, EventFilter, FoundBook, InviteFilter, KnownBooks, Load, MemberFilter,
    MemoryStore, Page, Query, Revision, Snapshot, Store, StoreError, Write,
};
use guestlist_types::{ConsumerName, EmailAddress, Member, OrgName, Timestamp, UserId};
use rusqlite::Connection;

fn stores() -> (tempfile::TempDir, [SqliteStore; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteStore::open(folder.path().join("app.db")).unwrap();
    let memory = SqliteStore::builder().in_memory().open().unwrap();
    (folder, [file, memory])
}

fn send(store: &dyn Store, commit: Commit) -> Committed {
    block_on(store.commit(&[commit])).unwrap().pop().unwrap()
}

fn load(store: &dyn Store, scope: &Scope) -> Snapshot {
    block_on(store.load(&Load::of(scope))).unwrap()
}

fn revision(snapshot: &Snapshot, key: &RowKey) -> Option<u64> {
    snapshot.revision(key).map(Revision::get)
}

#[test]
fn what_is_committed_is_loaded() {
    let (_folder, stores) = stores();
    for store in &stores {
        let (host, ada) = (org("org_1"), user("ada"));
        let scope = Scope::of(
            host.clone(),
            vec![
                Fact::Membership(ada.clone()),
                Fact::SeatCount,
                Fact::Link(LinkRef::Id(link_id(1))),
                Fact::Tally(LinkRef::Id(link_id(1))),
                Fact::UseCount(LinkRef::Id(link_id(1))),
                Fact::Book,
            ],
        );
        let before = load(store, &scope);
        assert_eq!(revision(&before, &membership_key(&host, &ada)), Some(0));
        assert_eq!(
            before.records().seat_count(&host),
            Some(SeatCount::default())
        );
        assert_eq!(before.records().use_count(&host, link_id(1)), Some(0));
        assert_eq!(before.books().count(), 1);

        let mut limited = link(&host, 1, LinkStatus::Active);
        limited.config.max_uses = Some(5.try_into().unwrap());
        let limited = Row::Link(Box::new(limited));
        let mut first = joining(1, &host, &ada);
        first.writes.extend([
            put(RowKey::Link(host.clone(), link_id(1)), limited.clone(), 1),
            put(
                RowKey::LinkTally(host.clone(), link_id(1)),
                Row::Tally(0),
                1,
            ),
            put(
                RowKey::LinkUse(host.clone(), link_id(1), ada.clone()),
                Row::LinkUse(link_use(UseState::Settled)),
                1,
            ),
        ]);
        assert_eq!(send(store, first), Committed::Applied);

        let after = load(store, &scope);
        assert_eq!(revision(&after, &membership_key(&host, &ada)), Some(1));
        assert_eq!(
            after.records().membership(&host, &ada),
            Some(&membership(&host, &ada, Status::Approved))
        );
        assert_eq!(
            after.records().get(&RowKey::Link(host.clone(), link_id(1))),
            Some(&limited)
        );
        assert_eq!(after.records().link_tally(&host, link_id(1)), Some(0));
        assert_eq!(after.records().use_count(&host, link_id(1)), Some(1));
        let seats = SeatCount {
            pending: 0,
            approved: 1,
        };
        assert_eq!(after.records().seat_count(&host), Some(seats));
    }
}

#[test]
fn a_check_that_misses_refuses_everything() {
    let (_folder, stores) = stores();
    for store in &stores {
        let (host, ada, bob) = (org("org_1"), user("ada"), user("bob"));
        assert_eq!(send(store, joining(1, &host, &ada)), Committed::Applied);
        let mut second = joining(2, &host, &bob);
        let key = membership_key(&host, &ada);
        second.checks.push(is_at(key.clone(), 0));
        let refused = Committed::Conflict { key };
        assert_eq!(send(store, second), refused);
        let scope = Scope::of(host.clone(), vec![Fact::Membership(bob.clone())]);
        assert_eq!(load(store, &scope).records().membership(&host, &bob), None);

        let count = Check::SeatCount {
            key: RowKey::SeatCount(host.clone()),
            count: SeatCount {
                pending: 0,
                approved: 2,
            },
        };
        let counted = commit(3, &host, vec![count], vec![]);
        assert!(matches!(send(store, counted), Committed::Conflict { .. }));
        let key = RowKey::UseCount(host.clone(), link_id(1));
        let count = Check::UseCount { key, count: 0 };
        let counted = commit(4, &host, vec![count], vec![]);
        assert_eq!(send(store, counted), Committed::Applied);
    }
}

#[test]
fn a_commit_is_applied_once() {
    let (_folder, stores) = stores();
    for store in &stores {
        let (host, ada) = (org("org_1"), user("ada"));
        let sent = joining(1, &host, &ada);
        let kept = Committed::AlreadyApplied(sent.receipt.clone().unwrap());
        assert_eq!(send(store, sent.clone()), Committed::Applied);
        assert_eq!(send(store, sent.clone()), kept);
        let twice = [commit(2, &host, vec![], vec![]), sent.clone()];
        let outcomes = block_on(store.commit(&twice)).unwrap();
        assert_eq!(outcomes, [Committed::Applied, kept]);
        let scope = Scope::of(host.clone(), vec![]);
        let mut load = Load::of(&scope);
        load.receipt = Some(sent.id);
        let snapshot = block_on(store.load(&load)).unwrap();
        assert_eq!(snapshot.receipt(), sent.receipt.as_ref());
        let page = block_on(store.events(&EventFilter::default(), None, 10)).unwrap();
        assert_eq!(page.events.len(), 1);
    }
}

#[test]
fn counters_stay_within_their_bounds() {
    let (_folder, stores) = stores();
    for store in &stores {
        let host = org("org_1");
        let key = RowKey::LinkTally(host.clone(), link_id(1));
        let take = |below| Write::Take {
            key: key.clone(),
            below,
        };
        let give = || Write::Give { key: key.clone() };
        let conflict = Committed::Conflict { key: key.clone() };
        let again = |count| put(key.clone(), Row::Tally(count), 1);
        for (id, writes, expected) in [
            (1, vec![again(0)], Committed::Applied),
            (2, vec![take(2), take(2)], Committed::Applied),
            (3, vec![take(2)], conflict.clone()),
            (4, vec![take(3), take(3)], conflict.clone()),
            (5, vec![give(), give(), give()], Committed::Applied),
            (6, vec![take(u64::MAX)], Committed::Applied),
            (7, vec![take(0)], conflict.clone()),
            // Each bound as the writes before it leave the count: it is 1 here.
            (8, vec![take(2), give(), take(2)], Committed::Applied),
            (9, vec![take(3), take(3)], conflict.clone()),
            (10, vec![again(7), take(7)], conflict),
            (11, vec![take(9), again(0), take(1)], Committed::Applied),
        ] {
            assert_eq!(
                send(store, commit(id, &host, vec![], writes)),
                expected,
                "{id}"
            );
        }
    }
}

#[test]
fn rows_that_no_decision_makes_are_errors_and_take_nothing_down() {
    let (_folder, stores) = stores();
    for store in &stores {
        let (host, ada) = (org("org_1"), user("ada"));
        let own = Member::Org(host.clone());
        let bad = commit(
            1,
            &host,
            vec![],
            vec![put_membership(membership(&host, &own, Status::Pending), 1)],
        );
        let key = membership_key(&host, &ada);
        let counted = put(key.clone(), Row::Tally(1), 1);
        let zero = put_membership(membership(&host, &ada, Status::Pending), 0);
        for (id, writes) in [
            (2, bad.writes.clone()),
            (3, vec![counted]),
            (4, vec![zero]),
            (5, vec![Write::Take { key, below: 1 }]),
        ] {
            // Together with a good one: none of a call is applied if the call is an error.
            let both = [
                joining(100 + id, &host, &ada),
                commit(id, &host, vec![], writes),
            ];
            let error = block_on(store.commit(&both)).unwrap_err();
            assert!(matches!(error, StoreError::Malformed { .. }), "{error:?}");
        }
        assert_eq!(send(store, joining(9, &host, &ada)), Committed::Applied);
    }
}

/// Many threads at once: each call has its own outcome, also beside calls that conflict and calls
/// that the schema refuses.
#[test]
fn each_call_has_its_own_outcome() {
    let (_folder, stores) = stores();
    for store in stores {
        let host = org("org_1");
        let tally = RowKey::LinkTally(host.clone(), link_id(1));
        let start = put(tally.clone(), Row::Tally(0), 1);
        assert_eq!(
            send(&store, commit(9_000, &host, vec![], vec![start])),
            Committed::Applied
        );
        let gate = Arc::new(Barrier::new(24));
        let threads: Vec<_> = (0..24_u64)
            .map(|number| {
                let (store, host, gate) = (store.clone(), host.clone(), Arc::clone(&gate));
                let tally = tally.clone();
                thread::spawn(move || {
                    gate.wait();
                    for round in 0..20_u64 {
                        let id = number * 100 + round;
                        let member = user(&format!("user_{id}"));
                        let mut good = joining(id, &host, &member);
                        good.writes.push(Write::Take {
                            key: tally.clone(),
                            below: 1_000,
                        });
                        match number % 3 {
                            0 => assert_eq!(send(&store, good), Committed::Applied),
                            1 => {
                                let key = membership_key(&host, &member);
                                good.checks = vec![is_at(key.clone(), 7)];
                                assert_eq!(send(&store, good), Committed::Conflict { key });
                            }
                            _ => {
                                let own = Member::Org(host.clone());
                                let bad = membership(&host, &own, Status::Pending);
                                good.writes.push(put_membership(bad, 1));
                                let error = block_on(store.commit(&[good])).unwrap_err();
                                assert!(matches!(error, StoreError::Malformed { .. }));
                            }
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let filter = EventFilter::default();
        let page = block_on(store.events(&filter, None, 1_000)).unwrap();
        let positions: Vec<u64> = page.events.iter().map(|e| e.sequence.commit).collect();
        assert_eq!(positions, (1..=8 * 20).collect::<Vec<_>>());
        let count = Check::Revision {
            key: tally,
            revision: Revision::new(8 * 20),
        };
        assert_eq!(
            send(&store, commit(9_001, &host, vec![count], vec![])),
            Committed::Applied
        );
    }
}

#[test]
fn a_dropped_call_is_applied_or_not_and_can_be_sent_again() {
    let (_folder, stores) = stores();
    for store in stores {
        let host = org("org_1");
        let commits: Vec<Commit> = (0..50)
            .map(|id| joining(id, &host, &user(&format!("user_{id}"))))
            .collect();
        for commit in &commits {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let commits = [commit.clone()];
            let mut future = store.commit(&commits);
            let _ = future.as_mut().poll(&mut context);
        }
        // Never polled: never sent.
        drop(store.commit(&commits));
        for commit in commits {
            let kept = Committed::AlreadyApplied(commit.receipt.clone().unwrap());
            assert_eq!(send(&store, commit), kept);
        }
    }
}

#[test]
fn everything_that_was_sent_is_there_after_the_last_clone_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let host = org("org_1");
    let store = SqliteStore::open(&path).unwrap();
    for id in 0..100 {
        let commits = [joining(id, &host, &user(&format!("user_{id}")))];
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = store.clone().commit(&commits).as_mut().poll(&mut context);
    }
    drop(store);
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["app.db"], "the log was folded into the file");
    let store = SqliteStore::open(&path).unwrap();
    let page = block_on(store.events(&EventFilter::of(host), None, 1_000)).unwrap();
    assert_eq!(page.events.len(), 100);
}

#[test]
fn a_file_that_stays_locked_is_worth_another_try() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let store = SqliteStore::builder()
        .path(&path)
        .busy_timeout(Duration::from_millis(10))
        .open()
        .unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let (host, ada) = (org("org_1"), user("ada"));
    let sent = joining(1, &host, &ada);
    let error = block_on(store.commit(std::slice::from_ref(&sent))).unwrap_err();
    assert!(matches!(error, StoreError::Retryable(_)), "{error:?}");
    assert!(error.is_transient());
    // Reads go on meanwhile.
    let scope = Scope::of(host.clone(), vec![Fact::Membership(ada.clone())]);
    assert!(
        load(&store, &scope)
            .records()
            .membership(&host, &ada)
            .is_none()
    );
    other.execute_batch("rollback").unwrap();
    assert_eq!(send(&store, sent), Committed::Applied);
}

#[test]
fn a_full_disk_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    drop(SqliteStore::open(&path).unwrap());
    let full = Connection::open(&path).unwrap();
    full.pragma_update(None, "max_page_count", 1).unwrap();
    full.set_prepared_statement_cache_capacity(64);
    full.execute_batch("begin").unwrap();
    let host = org("org_1");
    let error = guestlist_sqlite::enlist(&full, |store| async move {
        for id in 0..2_000 {
            let mut large = joining(id, &host, &user(&format!("user_{id}")));
            large.receipt.as_mut().unwrap().reply = "x".repeat(10_000);
            if let Err(error) = store.commit(&[large]).await {
                return error;
            }
        }
        panic!("there was space");
    });
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    // SQLite has ended the transaction, or it can still be.
    let _ = full.execute_batch("rollback");
    let store = SqliteStore::open(&path).unwrap();
    let page = block_on(store.events(&EventFilter::default(), None, 1_000)).unwrap();
    assert!(page.events.is_empty());
}

#[test]
fn books_are_read_when_they_changed() {
    use guestlist_access::{AccessHead, Episode, Group, GroupMember};
    use guestlist_types::{GroupId, GroupName};
    let (_folder, stores) = stores();
    for store in &stores {
        let (host, ada) = (org("org_1"), user("ada"));
        let (outer, inner) = (GroupId::from_bytes(bytes(1)), GroupId::from_bytes(bytes(2)));
        let group = |id, name: &str| {
            Row::Group(Group {
                id,
                name: GroupName::parse(name).unwrap(),
                internal: false,
                created_at: time(1),
            })
        };
        let member = GroupMember::Member {
            member: ada.clone(),
            episode: Episode::new(3),
        };
        let head = AccessHead {
            external_group: Some(inner),
            ..AccessHead::default()
        };
        let in_group = |member: &GroupMember| {
            put(
                RowKey::GroupMember(host.clone(), outer, member.clone()),
                Row::GroupMember,
                1,
            )
        };
        let written = commit(
            1,
            &host,
            vec![],
            vec![
                put(RowKey::AccessHead(host.clone()), Row::AccessHead(head), 1),
                put(RowKey::Group(host.clone(), outer), group(outer, "outer"), 1),
                put(RowKey::Group(host.clone(), inner), group(inner, "inner"), 1),
                in_group(&member),
                in_group(&GroupMember::Group(inner)),
            ],
        );
        assert_eq!(send(store, written), Committed::Applied);
        let scope = Scope::of(host.clone(), vec![Fact::Book]);
        let snapshot = load(store, &scope);
        let book = snapshot.books().next().unwrap().1.whole().unwrap();
        assert_eq!(book.revision(), 1);
        assert_eq!(
            book.members_of(outer).collect::<Vec<_>>(),
            [&GroupMember::Group(inner), &member]
        );
        assert_eq!(book.groups().count(), 2);

        let known: Arc<dyn KnownBooks> =
            Arc::new(BTreeMap::from([(host.clone(), Revision::new(1))]));
        let mut again = Load::of(&scope);
        again.known_books = Some(&known);
        let snapshot = block_on(store.load(&again)).unwrap();
        assert_eq!(snapshot.books().next(), Some((&host, &FoundBook::Known)));
    }
}

fn sequence(commit: u64, ordinal: usize) -> Sequence {
    Sequence {
        commit,
        ordinal: u64::try_from(ordinal).unwrap(),
    }
}

fn parked() -> ParkedRecord {
    ParkedRecord {
        attempts: 1,
        next_at: None,
        error: "timeout".to_owned(),
        reached: vec![2, 1],
        parked_at: time(1),
        tried_at: time(1),
    }
}

/// The same rows in the reference store and in both of ours: the same lists, page by page.
#[test]
fn lists_are_those_of_the_reference() {
    let (_folder, [file, memory]) = stores();
    let reference = MemoryStore::in_memory();
    let stores: [&dyn Store; 3] = [&reference, &file, &memory];
    let hosts = [org("org_1"), org("org_2"), org("Org-3")];
    let reader = ConsumerName::parse("reader").unwrap();
    let mut id = 0;
    for (h, host) in hosts.iter().enumerate() {
        for n in 0..30_u64 {
            id += 1;
            let member = if n % 3 == 0 {
                Member::Org(org(&format!("m{}", n * 7 % 31)))
            } else {
                user(&format!(
                    "{}u{}",
                    if n % 2 == 0 { "U" } else { "" },
                    n * 7 % 31
                ))
            };
            let mut row = membership(
                host,
                &member,
                Status::ALL[(usize::try_from(n).unwrap() + h) % 5],
            );
            if let Some(proxy) = &mut row.proxy {
                proxy.id = guestlist_types::ProxyUserId::from_bytes(bytes(n));
            }
            row.opened_at = time(i64::try_from(n % 4).unwrap() - 2);
            if row.ended.is_none() {
                row.expires_at = (n % 2 == 0).then(|| time(i64::try_from(n % 5).unwrap() * 100));
            }
            row.door = if n % 4 == 0 { door(n % 3) } else { row.door };
            if n == 29 {
                row.status = None;
                row.ended = None;
                row.approved_at = None;
            }
            let links = link(
                host,
                100 - n,
                if n % 3 == 0 {
                    LinkStatus::Disabled
                } else {
                    LinkStatus::Active
                },
            );
            let mut links = links;
            if n % 7 == 0 {
                links.deleted_at = Some(time(9));
                links.token = None;
            }
            if n % 5 == 0 {
                links.creator = None;
            }
            if n % 6 == 1 {
                links.config.expires_at = Some(time(i64::try_from(n % 5).unwrap() * 100));
                links.expired_at = (n % 4 == 3).then(|| time(500));
            }
            let invite = invite(host, n, i64::try_from(n % 4).unwrap() * 100);
            let mut found = Organization {
                id: host.clone(),
                name: OrgName::parse(&format!("name-{}", 3 - h)).unwrap(),
                display_name: None,
                status: OrgStatus::Active,
                settings: Settings::default(),
                pause: None,
                default_link: None,
                created_at: time(1),
                updated_at: time(1),
            };
            found.settings.discoverable = n % 2 == 1;
            let selector = i64::try_from(n * 62_u64.pow(8) * 100 + h as u64).unwrap();
            let token = token(host, selector, (n % 3 != 0).then_some((n % 2) as u16));
            let state = [UseState::Reserved, UseState::Settled, UseState::Released][h];
            let first = commit(
                id,
                host,
                vec![],
                vec![
                    put_membership(row, 1),
                    put(
                        RowKey::Link(host.clone(), links.id),
                        Row::Link(Box::new(links)),
                        1,
                    ),
                    put(RowKey::Token(token.selector), Row::Token(token), 1),
                    put(
                        RowKey::LinkUse(host.clone(), link_id(n % 2), member.clone()),
                        Row::LinkUse(link_use(state)),
                        1,
                    ),
                    replace(
                        RowKey::Organization(host.clone()),
                        Row::Organization(Box::new(found.clone())),
                        n + 1,
                        (n > 0).then(|| {
                            found.settings.discoverable = n % 2 == 0;
                            Row::Organization(Box::new(found.clone()))
                        }),
                    ),
                    put(
                        RowKey::Invite(host.clone(), invite.id),
                        Row::Invite(Box::new(invite)),
                        1,
                    ),
                ],
            );
            let mut reading = commit(
                id + 1_000,
                host,
                vec![],
                vec![put(
                    RowKey::Parked(reader.clone(), sequence(n * 7 % 31 + 1, h)),
                    Row::Parked(parked()),
                    1,
                )],
            );
            reading.home = Home::Consumer(reader.clone());
            reading.receipt = None;
            for store in stores {
                assert_eq!(send(store, reading.clone()), Committed::Applied);
                assert_eq!(send(store, first.clone()), Committed::Applied);
            }
        }
    }
    let mut queries = vec![
        Query::RunOut { host: None },
        Query::RunOutLinks { host: None },
        Query::RunOutInvites { host: None },
        Query::Discover { text: None },
        Query::Discover {
            text: Some("-2".to_owned()),
        },
        Query::Parked { consumer: reader },
        Query::Tokens { pepper: None },
        Query::Tokens {
            pepper: Some(guestlist_token::PepperId::new(1)),
        },
    ];
    for host in &hosts {
        let host = || host.clone();
        queries.extend([
            Query::RunOut { host: Some(host()) },
            Query::Links {
                host: host(),
                status: None,
                creator: None,
            },
            Query::Links {
                host: host(),
                status: Some(LinkStatus::Active),
                creator: Some(UserId::parse("ada").unwrap()),
            },
            Query::Pending {
                host: host(),
                link: None,
            },
            Query::Pending {
                host: host(),
                link: Some(link_id(1)),
            },
            Query::Uses {
                host: host(),
                link: link_id(1),
            },
            Query::Groups {
                organization: host(),
            },
            Query::Grants {
                organization: host(),
            },
        ]);
        queries.extend([
            Query::RunOutLinks { host: Some(host()) },
            Query::RunOutInvites { host: Some(host()) },
            Query::Invites {
                host: host(),
                filter: InviteFilter::default(),
            },
            Query::Invites {
                host: host(),
                filter: InviteFilter {
                    phase: Some(InvitePhase::Expired),
                    creator: Some(UserId::parse("ada").unwrap()),
                    ..InviteFilter::default()
                },
            },
            Query::Invites {
                host: host(),
                filter: InviteFilter {
                    address: Some("user_1@example.com".parse().unwrap()),
                    ..InviteFilter::default()
                },
            },
        ]);
        let filters = [
            MemberFilter::default(),
            MemberFilter {
                link: Some(link_id(0)),
                ..MemberFilter::default()
            },
            MemberFilter {
                text: Some("U1".to_owned()),
                ..MemberFilter::default()
            },
            MemberFilter {
                kind: Some(guestlist_types::MemberKind::User),
                status: Some(Status::Approved),
                ..MemberFilter::default()
            },
        ];
        let by_status = Status::ALL.map(|status| MemberFilter {
            status: Some(status),
            ..MemberFilter::default()
        });
        queries.extend(
            filters
                .into_iter()
                .chain(by_status)
                .map(|filter| Query::Members {
                    host: host(),
                    filter,
                }),
        );
    }
    for n in 0..31 {
        for member in [Member::Org(org(&format!("m{n}"))), user(&format!("Uu{n}"))] {
            queries.extend(
                [None, Some(Status::Approved), Some(Status::Cancelled)].map(|status| {
                    Query::MembershipsOf {
                        member: member.clone(),
                        status,
                    }
                }),
            );
        }
    }
    for n in 0..3 {
        let address: EmailAddress = format!("user_{n}@example.com").parse().unwrap();
        queries.extend(
            [None, Some(InvitePhase::Pending)].map(|phase| Query::InvitesTo {
                address: address.clone(),
                phase,
            }),
        );
    }
    let mut rows = 0;
    for query in &queries {
        for now in [time(-5), time(0), time(200), time(301), Timestamp::MAX] {
            for limit in [1, 2, 7, 1000] {
                let mut page = Page::first(limit).unwrap();
                loop {
                    let listed =
                        stores.map(|store| block_on(store.list(query, &page, now)).unwrap());
                    assert_eq!(listed[0], listed[1], "{query:?} {page:?} {now:?}");
                    assert_eq!(listed[0], listed[2], "{query:?} {page:?} {now:?}");
                    rows += listed[0].rows.len();
                    match &listed[0].next {
                        Some(next) => page = page.after(next.clone()),
                        None => break,
                    }
                }
            }
        }
    }
    assert!(rows > 10_000, "{rows}");
    // A cursor of another list.
    let page = Page::first(1).unwrap();
    let listed = block_on(file.list(&queries[0], &page, Timestamp::MAX)).unwrap();
    let page = page.after(listed.next.unwrap());
    let error = block_on(file.list(&queries[1], &page, Timestamp::MAX)).unwrap_err();
    assert!(matches!(error, StoreError::Malformed { .. }));
}

#[test]
fn the_log_is_read_in_order_without_gaps() {
    let (_folder, stores) = stores();
    for store in &stores {
        let hosts = [org("org_1"), org("org_2")];
        let all = EventFilter::default();
        let empty = block_on(store.events(&all, None, 10)).unwrap();
        assert_eq!((empty.events.len(), empty.next), (0, None));
        let mut expected = Vec::new();
        for id in 0..40_u64 {
            let host = &hosts[usize::from(id % 4 == 0)];
            let member = user(&format!("user_{id}"));
            let mut sent = joining(id, host, &member);
            sent.stamp.at = time(i64::try_from(id).unwrap());
            if id % 5 == 0 {
                sent.events.clear();
            } else {
                sent.events.push(blocked(&user("twin")));
                expected.push((host.clone(), id));
            }
            assert_eq!(send(store, sent), Committed::Applied);
        }
        let filters = [
            (all.clone(), 64),
            (EventFilter::of(hosts[1].clone()), 16),
            (
                EventFilter {
                    member: Some(user("user_7")),
                    ..all.clone()
                },
                1,
            ),
            (
                EventFilter {
                    member: Some(user("twin")),
                    from: Some(time(10)),
                    until: Some(time(20)),
                    ..EventFilter::of(hosts[0].clone())
                },
                6,
            ),
            (
                EventFilter {
                    by: Some(UserId::parse("bob").unwrap()),
                    ..all.clone()
                },
                0,
            ),
            (
                EventFilter {
                    name: Some("member-unblocked".to_owned()),
                    ..all.clone()
                },
                64,
            ),
            (
                EventFilter {
                    link: Some(link_id(1)),
                    ..all
                },
                0,
            ),
        ];
        for (filter, number) in filters {
            for limit in [1, 3, 64, 1_000] {
                let mut seen = Vec::new();
                let mut after = None;
                loop {
                    let page = block_on(store.events(&filter, after.as_ref(), limit)).unwrap();
                    assert!(page.events.len() <= limit as usize);
                    after = page.next;
                    assert!(after.is_some());
                    if page.events.is_empty() {
                        break;
                    }
                    seen.extend(page.events);
                }
                assert_eq!(seen.len(), number, "{filter:?}");
                assert!(seen.is_sorted_by(|a, b| a.sequence < b.sequence));
                assert!(seen.iter().all(|event| filter.matches(event)));
            }
        }
        let error = block_on(
            store.events(
                &EventFilter::of(hosts[0].clone()),
                block_on(store.events(&EventFilter::default(), None, 1))
                    .unwrap()
                    .next
                    .as_ref(),
                1,
            ),
        );
        assert!(matches!(error, Err(StoreError::Malformed { .. })));
    }
}

#[test]
fn stores_can_be_shared_between_threads() {
    const fn check<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    check::<SqliteStore>();
    check::<guestlist_sqlite::Enlisted>();
    let (_folder, [file, memory]) = stores();
    assert!(file.capabilities().durable && file.capabilities().shared);
    assert!(!memory.capabilities().durable);
    let store: Arc<dyn Store> = Arc::new(file);
    assert!(store.capabilities().durable);
}
