use std::sync::Mutex;

use guestlist_membership::link::{Generation, LinkDraft};
use guestlist_membership::organization::Settings;
use guestlist_membership::{ConsumerRecord, Fact, InviteRef, LinkRef, ParkedRecord, Scope};
use guestlist_types::{ConsumerName, Member, UserId};
use proptest::prelude::*;

use super::*;
use crate::conformance::{Harness, Order, block_on};
use crate::{MemoryKv, MemoryStore};

fn person(id: &str) -> Member {
    Member::User(UserId::parse(id).unwrap())
}

fn host() -> OrgId {
    OrgId::parse("org_1").unwrap()
}

fn reader() -> ConsumerName {
    ConsumerName::parse("reader").unwrap()
}

const PARKED_AT: Sequence = Sequence {
    commit: 1,
    ordinal: 0,
};

/// A consumer that has read a little, with one event put aside, and a preview.
fn consuming(h: &Harness<'_, MemoryStore>) -> Commit {
    let put = |key, row| Write::Put {
        key,
        row,
        revision: Revision::new(1),
        before: None,
    };
    let read = Row::Consumer(ConsumerRecord {
        acknowledged: PARKED_AT,
        chain: None,
        leased_until: None,
        updated_at: h.now(),
    });
    let parked = Row::Parked(ParkedRecord {
        attempts: 1,
        next_at: None,
        error: "timeout".to_owned(),
        reached: Vec::new(),
        parked_at: h.now(),
        tried_at: h.now(),
    });
    let writes = vec![
        put(RowKey::Consumer(reader()), read),
        put(RowKey::Parked(reader(), PARKED_AT), parked),
    ];
    h.plain_commit(Home::Consumer(reader()), Vec::new(), writes)
}

/// A host with a limited link, a group, a pending and an approved member, an e-mail invite, and a
/// consumer that has parked an event.
fn filled(store: &MemoryStore) -> (Vec<Scope>, Vec<Query>) {
    let h = Harness::new(store);
    let host = host();
    let settings = Settings {
        discoverable: true,
        ..Settings::default()
    };
    let (link, invited) = block_on(async {
        h.register_with(&host, &"one".parse().unwrap(), None, settings)
            .await;
        let uses = guestlist_membership::link::Uses::AtMost(5);
        let draft = LinkDraft::review().max_uses(uses);
        let issued = h.new_link(&host, draft).await;
        let group = h.new_group(&host, "Group", false).await;
        h.done(&h.claim(issued.token, &person("ann"))).await;
        h.done(&h.add(&host, &person("bob"), Some("owner"))).await;
        let command = guestlist_access::AccessCommand::AddToGroup {
            group,
            member: person("bob"),
        };
        h.done(&Order::access(&host, command)).await;
        let invited = h.new_invite(&host, "cid@example.com").await;
        h.applies(&consuming(&h)).await;
        (issued.link, invited)
    });
    let id = || LinkRef::Id(link);
    let facts = vec![
        Fact::Name("one".parse().unwrap()),
        Fact::Organization,
        Fact::Owners,
        Fact::SeatCount,
        Fact::Book,
        Fact::Link(id()),
        Fact::Tokens(id()),
        Fact::Tally(id()),
        Fact::UseCount(id()),
        Fact::Use(id(), person("ann")),
        Fact::Membership(person("ann")),
        Fact::Membership(person("bob")),
        Fact::Known("cid@example.com".parse().unwrap()),
        Fact::Invite(InviteRef::Id(invited.invite)),
        Fact::InviteToken(InviteRef::Id(invited.invite)),
        Fact::Consumer(reader()),
        Fact::Parked(reader(), PARKED_AT),
        Fact::PreviewTally(link, Generation::FIRST),
    ];
    let queries = vec![
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
            filter: crate::MemberFilter::default(),
        },
        Query::MembershipsOf {
            member: person("ann"),
            status: None,
        },
        Query::MembershipsOf {
            member: person("bob"),
            status: None,
        },
        Query::Uses {
            host: host.clone(),
            link,
        },
        Query::Groups {
            organization: host.clone(),
        },
        Query::RunOut { host: None },
        Query::Invites {
            host: host.clone(),
            filter: crate::InviteFilter::default(),
        },
        Query::InvitesTo {
            address: "cid@example.com".parse().unwrap(),
            phase: None,
        },
        Query::Discover { text: None },
        Query::RunOutLinks { host: None },
        Query::RunOutInvites { host: None },
        Query::Parked { consumer: reader() },
        Query::Tokens { pepper: None },
    ];
    (vec![Scope::of(host, facts)], queries)
}

/// Reads everything; whatever is stored, this answers or reports damage.
fn read_all(store: &MemoryStore, scopes: &[Scope], queries: &[Query]) -> Vec<StoreError> {
    let page = Page::first(1000).unwrap();
    block_on(async {
        let mut errors = Vec::new();
        for scope in scopes {
            errors.extend(store.load(&Load::of(scope)).await.err());
        }
        for query in queries {
            errors.extend(store.list(query, &page, Timestamp::MAX).await.err());
        }
        let events = store.events(&EventFilter::default(), None, 1000).await;
        errors.extend(events.err());
        errors
    })
}

async fn put(kv: &MemoryKv, key: Vec<u8>, value: Vec<u8>) {
    let done = kv.commit(&[], &[KvOp::Put { key, value }]).await;
    assert_eq!(done.unwrap(), KvCommitted::Applied);
}

fn is_damage(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Corrupt { .. } | StoreError::NewerSchema { .. }
    )
}

#[test]
fn every_entry_that_is_damaged_is_reported() {
    let store = MemoryStore::in_memory();
    let (scopes, queries) = filled(&store);
    assert!(read_all(&store, &scopes, &queries).is_empty());
    for (key, value) in store.kv().dump() {
        let is_receipt = key.get(2) == Some(&17) && key[0] != 0xff;
        for cut in [0, 4, 7, 8, 9, value.len() - 1] {
            // A counter is a number and nothing else; a longer value may do without its end.
            if is_receipt || cut >= value.len() {
                continue;
            }
            block_on(put(store.kv(), key.clone(), value[..cut].to_vec()));
            let errors = read_all(&store, &scopes, &queries);
            assert!(
                errors.iter().all(is_damage),
                "{key:?} cut at {cut}: {errors:?}"
            );
            assert!(!errors.is_empty(), "{key:?} cut at {cut} is not noticed");
        }
        block_on(put(store.kv(), key, value));
    }
    assert!(
        read_all(&store, &scopes, &queries).is_empty(),
        "all is mended"
    );
}

#[test]
fn a_row_in_the_place_of_another_is_reported() {
    let store = MemoryStore::in_memory();
    let (scopes, queries) = filled(&store);
    let ann = keys::row(&RowKey::Membership(host(), person("ann")));
    let bob = keys::row(&RowKey::Membership(host(), person("bob")));
    let organization = keys::row(&RowKey::Organization(host()));
    let values = block_on(store.kv().get(&[ann.clone(), bob, organization])).unwrap();
    for value in values.into_iter().skip(1).flatten() {
        block_on(put(store.kv(), ann.clone(), value));
        let errors = read_all(&store, &scopes, &queries);
        assert!(errors.len() >= 3, "a load and two lists: {errors:?}");
        assert!(errors.iter().all(is_damage), "{errors:?}");
    }
}

#[test]
fn other_layouts_are_told_apart() {
    let store = MemoryStore::in_memory();
    let (scopes, queries) = filled(&store);
    let key = keys::row(&RowKey::Organization(host()));
    let value = block_on(store.kv().get(std::slice::from_ref(&key))).unwrap();
    let value = value.into_iter().next().flatten().unwrap();
    assert_eq!(value[8], FORMAT);
    let errors_with = |format: u8| {
        let mut value = value.clone();
        value[8] = format;
        block_on(put(store.kv(), key.clone(), value));
        read_all(&store, &scopes, &queries)
    };
    for error in errors_with(FORMAT + 1) {
        let StoreError::NewerSchema { found, known } = error else {
            panic!("{error:?}");
        };
        assert_eq!((found, known), (i64::from(FORMAT) + 1, i64::from(FORMAT)));
    }
    for format in [0, FORMAT - 1] {
        let errors = errors_with(format);
        assert_eq!(errors.len(), 2, "a load and a list: {errors:?}");
        for error in errors {
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_stored_bytes_panic(
        which: prop::sample::Index,
        value in prop::collection::vec(any::<u8>(), 0..80),
        keep in 0_usize..40,
    ) {
        let store = MemoryStore::in_memory();
        let (scopes, queries) = filled(&store);
        let entries = store.kv().dump();
        let (key, old) = which.get(&entries);
        let mut new = old[..keep.min(old.len())].to_vec();
        new.extend(value);
        block_on(put(store.kv(), key.clone(), new));
        let errors = read_all(&store, &scopes, &queries);
        for error in &errors {
            // What changes a revision only is seen as a change while it is loaded, never a panic.
            prop_assert!(is_damage(error), "{:?}", error);
        }
    }

    #[test]
    fn forged_positions_find_no_other_list(bytes: [u8; 16], limit in 1_u32..5) {
        let store = MemoryStore::in_memory();
        let (_, queries) = filled(&store);
        let positions = [
            Position::Link(guestlist_types::LinkId::from_bytes(bytes)),
            Position::Group(guestlist_types::GroupId::from_bytes(bytes)),
            Position::Member(person("b")),
            Position::Host(OrgId::parse("a").unwrap()),
            Position::Pending(Timestamp::MIN, person("a")),
            Position::RunOut(Timestamp::MIN, host(), person("a")),
            Position::Event(Sequence::default()),
            Position::Invite(host(), guestlist_types::InviteId::from_bytes(bytes)),
            Position::Invite(OrgId::parse("a").unwrap(), guestlist_types::InviteId::from_bytes(bytes)),
            Position::Name("a".parse().unwrap()),
            Position::RunOutLink(Timestamp::MIN, host(), guestlist_types::LinkId::from_bytes(bytes)),
            Position::RunOutInvite(
                Timestamp::MIN,
                host(),
                guestlist_types::InviteId::from_bytes(bytes),
            ),
        ];
        for query in &queries {
            let whole = block_on(store.list(query, &Page::default(), Timestamp::MAX)).unwrap();
            for position in &positions {
                let cursor = Cursor::new(query.fingerprint(), position);
                let page = Page::first(limit).unwrap().after(cursor);
                match block_on(store.list(query, &page, Timestamp::MAX)) {
                    Ok(listed) => {
                        for row in listed.rows {
                            prop_assert!(whole.rows.contains(&row));
                        }
                    }
                    Err(StoreError::Malformed { .. }) => {}
                    Err(error) => prop_assert!(false, "{:?}", error),
                }
            }
        }
    }
}

/// Changes its records behind the first scan, as somebody else's commits do.
struct Meddled {
    kv: MemoryKv,
    then: Mutex<Vec<KvOp>>,
}

#[async_trait]
impl Kv for Meddled {
    async fn get(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.kv.get(keys).await
    }

    async fn scan(
        &self,
        range: &KvRange,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let found = self.kv.scan(range, limit).await?;
        let ops = std::mem::take(&mut *self.then.lock().unwrap());
        let _ = self.kv.commit(&[], &ops).await?;
        Ok(found)
    }

    async fn commit(&self, checks: &[KvCheck], ops: &[KvOp]) -> Result<KvCommitted, StoreError> {
        self.kv.commit(checks, ops).await
    }
}

fn copy_of(kv: &MemoryKv) -> MemoryKv {
    let copy = MemoryKv::default();
    for (key, value) in kv.dump() {
        block_on(put(&copy, key, value));
    }
    copy
}

/// What makes one state of an engine out of another.
fn changes(from: &MemoryKv, to: &MemoryKv) -> Vec<KvOp> {
    let puts = to
        .dump()
        .into_iter()
        .map(|(key, value)| KvOp::Put { key, value });
    let deletes = from.dump().into_iter().map(|(key, _)| KvOp::Delete { key });
    deletes.chain(puts).collect()
}

#[test]
fn a_request_that_moves_while_it_is_listed_skips_nobody() {
    let store = MemoryStore::in_memory();
    let h = Harness::new(&store);
    let host = host();
    let issued = block_on(async {
        h.register(&host, &"one".parse().unwrap()).await;
        let issued = h.new_link(&host, LinkDraft::review()).await;
        for id in ["a", "b", "c"] {
            h.advance(core::time::Duration::from_millis(1));
            h.done(&h.claim(issued.token, &person(id))).await;
        }
        issued
    });
    let before = copy_of(store.kv());
    block_on(async {
        h.done(&Order::cancel(&host, &person("a"))).await;
        h.advance(core::time::Duration::from_millis(1));
        h.done(&h.claim(issued.token, &person("a"))).await;
    });
    let then = Mutex::new(changes(&before, store.kv()));
    let meddled = KvStore::new(Meddled { kv: before, then }, store.capabilities());
    let pending = Query::Pending { host, link: None };
    let mut page = Page::first(1).unwrap();
    let mut found = Vec::new();
    loop {
        let listed = block_on(meddled.list(&pending, &page, h.now())).unwrap();
        found.extend(listed.rows.into_iter().map(|(key, _)| key));
        match listed.next {
            Some(next) => page = page.after(next),
            None => break,
        }
    }
    let wanted = ["b", "c", "a"].map(|id| RowKey::Membership(host_of(&pending), person(id)));
    assert_eq!(found, wanted, "each once, where it is now");
}

fn host_of(query: &Query) -> OrgId {
    match query {
        Query::Pending { host, .. } => host.clone(),
        query => panic!("{query:?}"),
    }
}

#[test]
fn access_rules_that_change_while_they_are_read_are_read_again() {
    let store = MemoryStore::in_memory();
    let h = Harness::new(&store);
    let host = host();
    block_on(async {
        h.register(&host, &"one".parse().unwrap()).await;
        h.new_group(&host, "One", false).await;
    });
    let before = copy_of(store.kv());
    block_on(h.new_group(&host, "Two", false));
    let then = Mutex::new(changes(&before, store.kv()));
    let meddled = KvStore::new(Meddled { kv: before, then }, store.capabilities());
    let book = block_on(Harness::new(&meddled).book(&host));
    assert_eq!((book.revision(), book.groups().count()), (2, 2));
}
