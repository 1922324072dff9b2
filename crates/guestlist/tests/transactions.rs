//! Commands inside the host application's own SQLite transaction: both or nothing.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::{link, org, over, owner, register, user, user_member};
use guestlist::{
    Action, ActionSet, Address, Claim, Grantee, Guestlist, LinkDraft, Pattern, Status,
};
use guestlist_sqlite::{SqliteStore, enlist};
use rusqlite::{Connection, TransactionBehavior};

struct App {
    guestlist: Guestlist<SqliteStore>,
    connection: Connection,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl App {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let guestlist = over(SqliteStore::open(&path).unwrap(), &common::clock(), 2);
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("create table invoices (member text primary key)")
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(register(&guestlist, &["host", "bravo"]));
        Self {
            guestlist,
            connection,
            runtime,
            _folder: folder,
        }
    }

    fn invoices(&self) -> i64 {
        self.connection
            .query_row("select count(*) from invoices", [], |row| row.get(0))
            .unwrap()
    }

    fn members(&self) -> usize {
        let filter = guestlist::MemberFilter::default();
        let page = guestlist::Page::default();
        let (alice, host) = (owner("host"), org("host"));
        let members = self.guestlist.members(&alice, &host, filter, &page);
        self.runtime.block_on(members).unwrap().members.len() - 1
    }

    fn events(&self) -> usize {
        self.runtime
            .block_on(self.guestlist.feed(None, 1000))
            .unwrap()
            .events
            .len()
    }
}

#[test]
fn a_claim_and_an_invoice_are_kept_together_or_not_at_all() {
    let mut app = App::new();
    let (_, token) = app
        .runtime
        .block_on(link(&app.guestlist, "host", LinkDraft::auto()));
    let before = app.events();
    for keep in [false, true] {
        let transaction = app
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        transaction
            .execute("insert into invoices values ('dave')", [])
            .unwrap();
        let claimed = enlist(&transaction, |store| {
            let guestlist = app.guestlist.on(store);
            let token = &token;
            async move {
                guestlist
                    .claim(&user("dave"), token, Claim::for_myself())
                    .await
            }
        })
        .unwrap();
        assert_eq!(claimed.membership.status, Some(Status::Approved));
        if keep {
            transaction.commit().unwrap();
        } else {
            transaction.rollback().unwrap();
        }
        assert_eq!(app.invoices(), i64::from(keep));
        assert_eq!(app.members(), usize::from(keep));
        assert_eq!(app.events() > before, keep);
    }
}

#[test]
fn a_refused_command_leaves_the_transaction_as_it_was() {
    let mut app = App::new();
    let (id, token) = app
        .runtime
        .block_on(link(&app.guestlist, "host", LinkDraft::auto()));
    app.runtime
        .block_on(app.guestlist.disable_link(&owner("host"), &org("host"), id))
        .unwrap();
    let transaction = app
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    transaction
        .execute("insert into invoices values ('dave')", [])
        .unwrap();
    let refused = enlist(&transaction, |store| {
        let guestlist = app.guestlist.on(store);
        let token = &token;
        async move {
            guestlist
                .claim(&user("dave"), token, Claim::for_myself())
                .await
        }
    });
    assert_eq!(refused.unwrap_err().code(), "invalid-token");
    transaction
        .execute("insert into invoices values ('erin')", [])
        .unwrap();
    transaction.commit().unwrap();
    assert_eq!((app.invoices(), app.members()), (2, 0));
}

#[test]
fn several_commands_see_each_other_and_nothing_of_a_rollback_is_remembered() {
    let mut app = App::new();
    let (_, token) = app
        .runtime
        .block_on(link(&app.guestlist, "host", LinkDraft::auto()));
    let (alice, host) = (owner("host"), org("host"));
    let member = user_member("dave");
    let dave = user("dave").in_organization(host.clone());
    let read = ActionSet::of(&[Action::Read]);
    let key = Address::parse("a/b").unwrap();
    let pattern = || Pattern::parse("a/").unwrap();
    let transaction = app
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    enlist(&transaction, |store| {
        let guestlist = app.guestlist.on(store);
        let (alice, host, member, dave, key, token) = (&alice, &host, &member, &dave, &key, &token);
        async move {
            guestlist
                .claim(dave, token, Claim::for_myself())
                .await
                .unwrap();
            let to = Grantee::Member(member.clone());
            guestlist
                .grant(alice, host, to, read, pattern(), None)
                .await
                .unwrap();
            assert!(
                guestlist
                    .decide(dave, Action::Read, key)
                    .await
                    .unwrap()
                    .is_allowed()
            );
        }
    });
    transaction.rollback().unwrap();
    // The same revision comes to be again, with other access rules.
    let decide = || app.guestlist.decide(&dave, Action::Read, &key);
    let claim = app.guestlist.claim(&dave, &token, Claim::for_myself());
    app.runtime.block_on(claim).unwrap();
    let to = Grantee::Member(member.clone());
    let other = Pattern::parse("z/").unwrap();
    app.runtime
        .block_on(app.guestlist.grant(&alice, &host, to, read, other, None))
        .unwrap();
    assert!(!app.runtime.block_on(decide()).unwrap().is_allowed());
}

#[test]
fn without_a_transaction_of_ones_own_there_is_nothing_to_enlist_in() {
    let app = App::new();
    let refused = enlist(&app.connection, |store| {
        let guestlist = app.guestlist.on(store);
        async move { guestlist.sweep(1).await }
    });
    assert_eq!(refused.unwrap_err().code(), "store-misuse");
}
