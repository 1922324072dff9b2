//! Loading: what a snapshot holds.

use guestlist_membership::{Fact, LinkRef, RowKey, Scope};

use crate::conformance::harness::{company, org, person};
use crate::conformance::{Fixture, Harness};
use crate::conformance::observe::assert_consistent;
use crate::conformance::world::build;
use crate::snapshot::Revision;

/// Every kind of row that is not there is entered as absent, in an empty store.
pub async fn absent_rows_read_as_absent<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    let (ann, link) = (person("ann"), h.link_id());
    let token = h.draw(&host, link).selector;
    let id = || LinkRef::Id(link);
    let facts = vec![
        Fact::Name(crate::conformance::harness::name("widgets")),
        Fact::Token(token),
        Fact::Organization,
        Fact::OrganizationOf(org("org_2")),
        Fact::Owners,
        Fact::Seats,
        Fact::SeatCount,
        Fact::Link(id()),
        Fact::Link(LinkRef::Default),
        Fact::Link(LinkRef::OfMembership(ann.clone())),
        Fact::Tokens(id()),
        Fact::Tally(id()),
        Fact::Use(id(), ann.clone()),
        Fact::UseCount(id()),
        Fact::Creator(id()),
        Fact::Membership(ann.clone()),
        Fact::Membership(company("org_2")),
        Fact::MembershipIn(org("org_2"), ann.clone()),
        Fact::Acting(org("org_2")),
        Fact::ActingIn(org("org_2")),
        Fact::Book,
        Fact::BookForLink(id()),
    ];
    let snapshot = h.load(&Scope::of(host.clone(), facts)).await;
    for (key, revision) in snapshot.revisions() {
        assert_eq!(revision, Revision::ABSENT, "{key:?} is in an empty store");
        let counted = matches!(key, RowKey::UseCount(..) | RowKey::SeatCount(_));
        let row = snapshot.records().get(key);
        assert_eq!(row.is_some(), counted, "{key:?} is {row:?} in an empty store");
    }
}

/// Rows of every kind come back as they were written, by load and in lists.
pub async fn rows_of_every_kind_come_back<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    build(&h).await;
    assert_consistent(fixture, &h).await;
}
