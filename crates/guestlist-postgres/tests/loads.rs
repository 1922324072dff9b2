//! What loading costs the server.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use common::{pool, schema};
use guestlist_membership::{Fact, InviteRef, LinkRef, Scope};
use guestlist_postgres::{PgOptions, PgStore};
use guestlist_store::conformance::Harness;
use guestlist_types::{EmailAddress, Member, OrgId, UserId};
use sqlx::Row as _;

/// A page of so many links, invites, members and addresses.
fn page(h: &Harness<'_, PgStore>, number: usize) -> Scope {
    let host = OrgId::parse("org_1").unwrap();
    let mut facts = vec![Fact::Organization];
    for number in 0..number {
        let (link, invite) = (LinkRef::Id(h.link_id()), InviteRef::Id(h.invite_id()));
        let token = h.draw(&host, h.link_id()).selector;
        let user = UserId::parse(&format!("user_{number}")).unwrap();
        let address = EmailAddress::parse(&format!("user_{number}@example.com")).unwrap();
        facts.extend([
            Fact::Tally(link.clone()),
            Fact::Link(link),
            Fact::Invite(invite),
            Fact::Membership(Member::User(user)),
            Fact::Known(address),
            Fact::Token(token),
        ]);
    }
    Scope::of(host, facts)
}

/// Pages of any length are asked for, as they are in a service that shows lists while these grow: a
/// connection keeps what it has prepared.
#[tokio::test]
async fn pages_of_any_length_cost_a_connection_little() {
    let options = PgOptions::new().schema(schema());
    let store = PgStore::open(pool(1).await, options).await.unwrap();
    let h = Harness::new(&store);
    let memory = async || -> i64 {
        let statement = "select sum(total_bytes)::int8 from pg_backend_memory_contexts";
        let row = sqlx::query(statement).fetch_one(store.pool()).await;
        row.unwrap().get(0)
    };
    let before = memory().await;
    for number in (1..=150).chain([1_000]) {
        h.load(&page(&h, number)).await;
    }
    let more = memory().await - before;
    println!("{before} bytes before, {more} more");
    assert!(more < 16 << 20, "{before} bytes before, {more} more");
}
