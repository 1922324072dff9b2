mod common;
use common::*;
use guestlist_membership::link::*;
use guestlist_membership::member::Status;
use guestlist_membership::*;
use guestlist_sqlite::SqliteStore;
use guestlist_store::*;
use std::time::Instant;

#[test]
#[allow(clippy::disallowed_methods)]
fn speed() {
    let folder = tempfile::tempdir().unwrap();
    for store in [
        SqliteStore::builder().in_memory().open().unwrap(),
        SqliteStore::open(folder.path().join("a.db")).unwrap(),
        SqliteStore::open("/dev/shm/guestlist_speed.db").unwrap(),
    ] {
        let host = org("org_1");
        let l = link(&host, 1, LinkStatus::Active);
        block_on(store.commit(&[commit(0, &host, vec![], vec![
            put(RowKey::Link(host.clone(), l.id), Row::Link(Box::new(l.clone())), 1),
            put(RowKey::LinkTally(host.clone(), l.id), Row::Tally(0), 1),
            put(RowKey::Token(l.token.unwrap()), Row::Token(token(&host, 1, Some(1))), 1),
        ])])).unwrap();
        let n = 5000u64;
        let mut commits = vec![];
        for id in 1..=n {
            let m = user(&format!("user_{id}"));
            let mut row = membership(&host, &m, Status::Approved);
            row.door = door(1);
            let mut c = joining(id, &host, &m);
            c.writes = vec![
                put_membership(row, 1),
                put(RowKey::LinkUse(host.clone(), l.id, m.clone()), Row::LinkUse(link_use(UseState::Settled)), 1),
                Write::Take { key: RowKey::LinkTally(host.clone(), l.id), below: 1_000_000 },
            ];
            c.checks.extend([
                is_at(RowKey::Link(host.clone(), l.id), 1),
                is_at(RowKey::Token(l.token.unwrap()), 1),
                is_at(RowKey::Organization(host.clone()), 0),
                is_at(RowKey::Owners(host.clone()), 0),
                is_at(RowKey::AccessHead(host.clone()), 0),
                is_at(RowKey::LinkUse(host.clone(), l.id, m.clone()), 0),
            ]);
            c.events.push(blocked(&m));
            commits.push([c]);
        }
        let t = Instant::now();
        for c in &commits {
            assert_eq!(block_on(store.commit(c)).unwrap()[0], Committed::Applied);
        }
        eprintln!("{store:?} one by one: {:?}", t.elapsed() / n as u32);
        let t = Instant::now();
        let scope = Scope { root: Root::Token(l.token.unwrap()), facts: vec![
            Fact::Organization, Fact::Link(LinkRef::OfToken), Fact::Membership(user("user_77")), Fact::Use(LinkRef::OfToken, user("user_77")), Fact::Owners, Fact::Tally(LinkRef::OfToken)] };
        for _ in 0..5000 { block_on(store.load(&Load::of(&scope))).unwrap(); }
        eprintln!("load: {:?}", t.elapsed() / 5000);
        let many: Vec<Commit> = commits.into_iter().flatten().map(|mut c| {
            let m = user(&format!("x{:?}", c.id).replace(['(', ')', ' '], ""));
            let mut row = membership(&host, &m, Status::Approved); row.door = door(1);
            c.checks[0] = is_at(membership_key(&host, &m), 0);
            c.writes[0] = put_membership(row, 1);
            c.writes[1] = put(RowKey::LinkUse(host.clone(), l.id, m.clone()), Row::LinkUse(link_use(UseState::Settled)), 1);
            c.checks.pop();
            let mut b = *c.id.as_bytes(); b[0] = 1; c.id = guestlist_types::CommitId::from_bytes(b); c }).collect();
        let t = Instant::now();
        for part in many.chunks(100) { block_on(store.commit(part)).unwrap(); }
        eprintln!("100 at once: {:?} each", t.elapsed() / n as u32);
    }
    for f in ["", "-wal", "-shm"] { let _ = std::fs::remove_file(format!("/dev/shm/guestlist_speed.db{f}")); }
}
