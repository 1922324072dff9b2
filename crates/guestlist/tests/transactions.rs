//! Commands inside the host application's own transaction, in SQLite and in PostgreSQL: both or
//! nothing.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::pg::Settle as _;
use common::{link, org, over, owner, register, user, user_member};
use guestlist::{
    Action, ActionSet, Address, Changed, Claim, Grantee, Guestlist, InviteToken, LinkDraft,
    Pattern, Status,
};
use guestlist_postgres::{PgOptions, PgStore, PgTransaction};
use guestlist_sqlite::{SqliteStore, enlist};
use rusqlite::{Connection, TransactionBehavior};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Postgres, Transaction};

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

/// A service that bills whoever joins, in a table beside guestlist's.
struct Service {
    guestlist: Guestlist<PgStore>,
    token: InviteToken,
    link: guestlist::LinkId,
    bills: String,
}

impl Service {
    async fn new() -> Self {
        let (store, schema) = common::pg::store_with(PgOptions::new()).await;
        let bills = format!("{schema}.bills");
        sqlx::query(AssertSqlSafe(format!(
            "create table {bills} (customer text primary key)"
        )))
        .execute(store.pool())
        .await
        .unwrap();
        let guestlist = over(store, &common::clock(), 2);
        register(&guestlist, &["host", "bravo"]).await;
        let (link, token) = link(&guestlist, "host", LinkDraft::auto()).await;
        Self {
            guestlist,
            token,
            link,
            bills,
        }
    }

    async fn begin(&self) -> Transaction<'static, Postgres> {
        self.guestlist.store().pool().begin().await.unwrap()
    }

    async fn bill(&self, connection: &mut PgConnection, customer: &str) -> Result<(), sqlx::Error> {
        let statement = format!("insert into {} values ($1)", self.bills);
        sqlx::query(AssertSqlSafe(statement))
            .bind(customer)
            .execute(connection)
            .await
            .map(drop)
    }

    async fn claim(
        &self,
        connection: &mut PgConnection,
        customer: &str,
    ) -> Result<Changed, guestlist::Error> {
        let inside = self.guestlist.store().transaction(connection);
        let guestlist = self.guestlist.on(inside);
        let claim = Claim::for_myself();
        guestlist.claim(&user(customer), &self.token, claim).await
    }

    /// Bills, members beside the founder, and events in the log, with no transaction open.
    async fn counts(&self) -> (i64, usize, usize) {
        self.guestlist.store().settle().await;
        self.seen().await
    }

    async fn seen(&self) -> (i64, usize, usize) {
        let statement = format!("select count(*) from {}", self.bills);
        let bills = sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(self.guestlist.store().pool())
            .await
            .unwrap();
        let filter = guestlist::MemberFilter::default();
        let page = guestlist::Page::default();
        let (alice, host) = (owner("host"), org("host"));
        let members = self.guestlist.members(&alice, &host, filter, &page).await;
        let log = self.guestlist.feed(None, 1000).await.unwrap();
        (bills, members.unwrap().members.len() - 1, log.events.len())
    }
}

#[tokio::test]
async fn a_claim_and_a_bill_are_kept_together_or_not_at_all() {
    for bill_first in [false, true] {
        let service = Service::new().await;
        let before = service.counts().await;
        for keep in [false, true] {
            let mut tx = service.begin().await;
            if bill_first {
                service.bill(&mut tx, "dave").await.unwrap();
            }
            let claimed = service.claim(&mut tx, "dave").await.unwrap();
            assert_eq!(claimed.membership.status, Some(Status::Approved));
            if !bill_first {
                service.bill(&mut tx, "dave").await.unwrap();
            }
            assert_eq!(service.seen().await, before, "nobody else sees it yet");
            if !keep {
                tx.rollback().await.unwrap();
                assert_eq!(service.counts().await, before);
                continue;
            }
            tx.commit().await.unwrap();
            let (bills, members, events) = service.counts().await;
            assert_eq!((bills, members), (1, 1));
            assert!(events > before.2);
        }
        // A bill that can't be written takes the claim with it.
        let kept = service.counts().await;
        let mut tx = service.begin().await;
        service.claim(&mut tx, "erin").await.unwrap();
        assert!(service.bill(&mut tx, "dave").await.is_err());
        let failed = service.claim(&mut tx, "frank").await.unwrap_err();
        assert_eq!(failed.code(), "store-misuse");
        drop(tx);
        assert_eq!(service.counts().await, kept);
    }
}

#[tokio::test]
async fn a_refused_claim_leaves_the_transaction_and_the_bill_as_they_were() {
    let service = Service::new().await;
    let (alice, host) = (owner("host"), org("host"));
    let disabled = service.guestlist.disable_link(&alice, &host, service.link);
    disabled.await.unwrap();
    let (_, _, events) = service.counts().await;
    let mut tx = service.begin().await;
    service.bill(&mut tx, "dave").await.unwrap();
    let refused = service.claim(&mut tx, "dave").await.unwrap_err();
    assert_eq!(refused.code(), "invalid-token");
    service.bill(&mut tx, "erin").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(service.counts().await, (2, 0, events));
}

/// Somebody else disables the link while the application's transaction is open and has not
/// claimed yet, and claims the last use while it has.
#[tokio::test]
async fn what_others_commit_meanwhile_counts() {
    let service = Service::new().await;
    let (alice, host) = (owner("host"), org("host"));
    let last = LinkDraft::auto().max_uses(guestlist::Uses::AtMost(1));
    let edited = service
        .guestlist
        .edit_link(&alice, &host, service.link, last);
    edited.await.unwrap();
    let mut tx = service.begin().await;
    service.claim(&mut tx, "dave").await.unwrap();
    // Waits for the transaction, which has taken the last use.
    let other = service.guestlist.clone();
    let token = InviteToken::parse(service.token.expose_secret()).unwrap();
    let waiting = tokio::spawn(async move {
        let claim = Claim::for_myself();
        other.claim(&user("erin"), &token, claim).await
    });
    waits(&service, &mut tx).await;
    tx.commit().await.unwrap();
    let refused = waiting.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), "invalid-token");

    let mut tx = service.begin().await;
    service.bill(&mut tx, "frank").await.unwrap();
    let disabled = service.guestlist.disable_link(&alice, &host, service.link);
    disabled.await.unwrap();
    let refused = service.claim(&mut tx, "frank").await.unwrap_err();
    assert_eq!(refused.code(), "invalid-token");
    tx.commit().await.unwrap();
    let (bills, members, _) = service.counts().await;
    assert_eq!((bills, members), (1, 1));
}

/// Until somebody waits for what a transaction has locked.
async fn waits(service: &Service, transaction: &mut PgConnection) {
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(transaction)
        .await
        .unwrap();
    let waiting =
        "select exists (select 1 from pg_stat_activity where $1 = any (pg_blocking_pids(pid)))";
    loop {
        let found: bool = sqlx::query_scalar(waiting)
            .bind(pid)
            .fetch_one(service.guestlist.store().pool())
            .await
            .unwrap();
        if found {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_a_transaction_there_is_nothing_to_be_on_in_postgres() {
    let service = Service::new().await;
    let pool = service.guestlist.store().pool();
    let mut connection = pool.acquire().await.unwrap();
    let refused = service.guestlist.on(PgTransaction::new(&mut connection));
    assert_eq!(refused.sweep(1).await.unwrap_err().code(), "store-misuse");
}
