//! Committing: all or nothing, once.

use core::time::Duration;

use guestlist_access::AccessCommand;
use guestlist_membership::link::{Generation, LinkCommand, LinkDraft};
use guestlist_membership::{Fact, Home, LinkRef, Row, RowKey, Scope};
use guestlist_types::{CommitId, OrgId};

use crate::commit::{Check, Commit, Committed, Receipt, Write};
use crate::conformance::harness::{must, name, org, person};
use crate::conformance::observe::{assert_consistent, observe_with};
use crate::conformance::world::{build, limited};
use crate::conformance::{Fixture, Harness, Order};
use crate::event::EventFilter;
use crate::query::Query;
use crate::snapshot::{Load, Revision};
use crate::store::Store;

/// What is kept of a commit that a command made.
fn kept(commit: &Commit) -> &Receipt {
    let receipt = commit.receipt.as_ref();
    receipt.unwrap_or_else(|| panic!("a command's commit without a receipt: {commit:?}"))
}

async fn receipt<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    host: &OrgId,
    id: CommitId,
) -> Option<Receipt> {
    let scope = Scope::of(host.clone(), vec![Fact::Organization]);
    let load = Load {
        receipt: Some(id),
        ..Load::of(&scope)
    };
    let snapshot = must(h.store().load(&load).await, "loading with a receipt");
    snapshot.receipt().cloned()
}

/// Sends a commit that has been applied once more; nothing may come of it but its receipt.
async fn sent_again<F: Fixture>(
    fixture: &F,
    h: &Harness<'_, F::Store>,
    commit: &Commit,
    first: &Receipt,
) {
    let before = observe_with(fixture, h, &commit.writes).await;
    let outcome = h.commit(commit).await;
    assert_eq!(
        outcome,
        Committed::AlreadyApplied(first.clone()),
        "a commit sent again"
    );
    let after = observe_with(fixture, h, &commit.writes).await;
    before.assert_same(&after, "a commit sent again");
}

/// A commit is applied once, however often it is sent, and what was kept of it the first time is
/// the answer; also when its preconditions hold no more, and when something else comes with its id.
pub async fn a_commit_is_applied_once<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let world = build(&h).await;
    let commit = h
        .prepared(&h.claim(world.open.token, &person("late")))
        .await;
    assert_ne!(commit.writes, [], "a claim writes rows");
    assert_eq!(
        receipt(&h, &world.acme, commit.id).await,
        None,
        "not applied yet"
    );
    h.applies(&commit).await;
    sent_again(fixture, &h, &commit, kept(&commit)).await;

    // Everything that it relied on, and wrote, has changed since.
    h.all_done(&[
        h.refresh(&world.acme, world.open.link, Duration::ZERO),
        Order::reject(&world.acme, &person("late")),
    ])
    .await;
    sent_again(fixture, &h, &commit, kept(&commit)).await;

    // Another command with the same id is not performed.
    let other = h
        .prepared(&h.add(&world.acme, &person("other"), None))
        .await;
    let other = Commit {
        id: commit.id,
        ..other
    };
    sent_again(fixture, &h, &other, kept(&commit)).await;
    assert_eq!(receipt(&h, &world.acme, commit.id).await, commit.receipt);
    assert_consistent(fixture, &h).await;
}

/// The same for the reservation of a name, which lives in a home of its own.
pub async fn a_reservation_is_applied_once<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, wanted) = (org("org_1"), name("wanted"));
    let commit = h.prepared(&Order::reserve_name(&host, &wanted)).await;
    h.applies(&commit).await;
    sent_again(fixture, &h, &commit, kept(&commit)).await;
    // Nothing is left to do, and that is kept as well.
    let again = h.prepared(&Order::reserve_name(&host, &wanted)).await;
    assert_eq!(again.events, []);
    h.applies(&again).await;
    sent_again(fixture, &h, &again, kept(&again)).await;
    assert_consistent(fixture, &h).await;
}

/// A commit that changes nothing still has a receipt, and leaves nothing in the log.
pub async fn a_commit_without_events_has_a_receipt<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let world = build(&h).await;
    let link = world.full.link;
    let disable = Order::link(&world.acme, LinkCommand::Disable { link });
    h.done(&disable).await;
    let commit = h.prepared(&disable).await;
    assert_eq!(
        (commit.events.len(), commit.writes.len()),
        (0, 0),
        "it is disabled"
    );
    let before = observe_with(fixture, &h, &[]).await;
    h.applies(&commit).await;
    let after = observe_with(fixture, &h, &[]).await;
    before.assert_same(&after, "a commit that changes nothing");
    assert_eq!(receipt(&h, &world.acme, commit.id).await, commit.receipt);
    sent_again(fixture, &h, &commit, kept(&commit)).await;
}

/// A receipt is found in its own organization, by its own id.
pub async fn a_receipt_is_found_by_its_commit<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (one, two) = (org("org_1"), org("org_2"));
    h.register(&one, &name("one")).await;
    h.register(&two, &name("two")).await;
    let first = h.prepared(&h.add(&one, &person("ann"), None)).await;
    let second = h.prepared(&h.add(&two, &person("ann"), None)).await;
    h.applies(&first).await;
    h.applies(&second).await;
    assert_ne!(first.receipt, second.receipt);
    assert_eq!(receipt(&h, &one, first.id).await, first.receipt);
    assert_eq!(receipt(&h, &two, second.id).await, second.receipt);
    assert_eq!(
        receipt(&h, &two, first.id).await,
        None,
        "another organization's"
    );
    assert_eq!(
        receipt(&h, &one, h.commit_id()).await,
        None,
        "never applied"
    );
    assert_eq!(
        receipt(&h, &org("org_3"), first.id).await,
        None,
        "of nobody"
    );
    // A scope that is rooted in a token finds the receipts of the token's host.
    let issued = h.new_link(&one, LinkDraft::review()).await;
    let claim = h.prepared(&h.claim(issued.token, &person("bob"))).await;
    h.applies(&claim).await;
    let scope = Scope {
        root: guestlist_membership::Root::Token(issued.token),
        facts: Vec::new(),
    };
    let load = Load {
        receipt: Some(claim.id),
        ..Load::of(&scope)
    };
    let snapshot = must(store.load(&load).await, "loading with a receipt");
    assert_eq!(snapshot.receipt(), claim.receipt.as_ref());
}

/// Several commits in one call: each has its own outcome, and one that is refused takes no other
/// down.
pub async fn commits_in_one_call_have_their_own_outcomes<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    assert_eq!(h.commit_all(&[]).await, [], "no commits, no outcomes");
    let (one, two) = (org("org_1"), org("org_2"));
    h.register(&one, &name("one")).await;
    h.register(&two, &name("two")).await;
    let issued = h.new_link(&one, LinkDraft::auto()).await;
    let ann = person("ann");
    h.done(&h.claim(h.new_link(&one, LinkDraft::review()).await.token, &ann))
        .await;
    let stale = h.prepared(&h.approve(&one, &ann)).await;
    h.done(&Order::cancel(&one, &ann)).await;
    let applied = h.prepared(&h.add(&two, &ann, None)).await;
    h.applies(&applied).await;
    let commits = [
        h.prepared(&h.claim(issued.token, &person("u1"))).await,
        stale,
        h.prepared(&h.add(&two, &person("u2"), None)).await,
        applied.clone(),
        h.prepared(&Order::reserve_name(&two, &name("free"))).await,
        h.prepared(&h.claim(issued.token, &person("u3"))).await,
    ];
    let outcomes = h.commit_all(&commits).await;
    let [first, stale, second, again, third, last] = &outcomes[..] else {
        panic!("six commits, and {outcomes:?}");
    };
    for outcome in [first, second, third, last] {
        assert_eq!(*outcome, Committed::Applied, "in {outcomes:?}");
    }
    assert!(
        matches!(stale, Committed::Conflict { .. }),
        "in {outcomes:?}"
    );
    assert_eq!(
        *again,
        Committed::AlreadyApplied(kept(&applied).clone()),
        "in {outcomes:?}"
    );
    crate::conformance::observe::assert_folds(fixture, &h).await;
    for (host, member) in [(&one, "u1"), (&two, "u2"), (&one, "u3")] {
        let found = h.membership(host, &person(member)).await;
        assert!(found.is_some(), "{member} of {host}");
    }
}

/// The same commit twice in one call is applied once.
pub async fn a_commit_twice_in_one_call_is_applied_once<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let issued = h
        .new_link(&host, LinkDraft::auto().max_uses(limited(9)))
        .await;
    let commit = h.prepared(&h.claim(issued.token, &person("ann"))).await;
    let outcomes = h
        .commit_all(&[commit.clone(), commit.clone(), commit.clone()])
        .await;
    let applied = outcomes
        .iter()
        .filter(|outcome| **outcome == Committed::Applied);
    assert_eq!(applied.count(), 1, "in {outcomes:?}");
    let again = Committed::AlreadyApplied(kept(&commit).clone());
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == again).count(),
        2,
        "in {outcomes:?}"
    );
    assert_consistent(fixture, &h).await;
}

/// Deleting a group takes its members, its places in other groups and its grants along.
pub async fn deleting_a_group_deletes_all_of_its_rows<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let world = build(&h).await;
    let (host, group) = (world.acme, world.design);
    let outer = h.new_group(&host, "Around it", false).await;
    let nest = AccessCommand::NestGroup {
        outer,
        inner: group,
    };
    h.done(&Order::access(&host, nest)).await;
    let before = h.book(&host).await;
    assert!(
        before.members_of(group).count() >= 2,
        "the group has members"
    );
    assert!(
        before.grants_to_group(group).count() >= 1,
        "the group has grants"
    );
    assert_eq!(before.outer_groups(group).collect::<Vec<_>>(), [outer]);
    h.done(&Order::access(&host, AccessCommand::DeleteGroup { group }))
        .await;
    let after = h.book(&host).await;
    assert!(after.group(group).is_none());
    assert_eq!(after.members_of(group).count(), 0);
    assert_eq!(after.members_of(outer).count(), 0);
    assert_eq!(after.grants_to_group(group).count(), 0);
    let listed = h
        .list(
            &Query::Groups {
                organization: host.clone(),
            },
            10,
        )
        .await;
    assert_eq!(listed.len(), after.groups().count());
    let listed = h
        .list(
            &Query::Grants {
                organization: host.clone(),
            },
            10,
        )
        .await;
    assert_eq!(listed.len(), after.grants().count());
    assert_consistent(fixture, &h).await;
}

/// Each write moves a row's revision by one, and nothing else does.
pub async fn revisions_grow_by_one<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ann) = (org("org_1"), person("ann"));
    h.register(&host, &name("one")).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let link = RowKey::Link(host.clone(), issued.link);
    let membership = RowKey::Membership(host.clone(), ann.clone());
    let facts = vec![
        Fact::Link(LinkRef::Id(issued.link)),
        Fact::Membership(ann.clone()),
    ];
    let scope = Scope::of(host.clone(), facts);
    let draft = Box::new(LinkDraft::default().question("Why?"));
    let edit = LinkCommand::Edit {
        link: issued.link,
        draft,
    };
    let steps = [
        (h.claim(issued.token, &ann), 1, 1),
        (h.claim(issued.token, &ann), 1, 1),
        (h.approve(&host, &ann), 1, 2),
        (h.approve(&host, &ann), 1, 2),
        (h.refresh(&host, issued.link, Duration::ZERO), 2, 2),
        (Order::link(&host, edit.clone()), 3, 2),
        (Order::link(&host, edit), 3, 2),
        (Order::leave(&host, &ann), 3, 3),
    ];
    for (order, of_link, of_membership) in steps {
        h.done(&order).await;
        let link = h.row(&scope, &link).await;
        assert!(matches!(link.1, Some(Row::Link(_))), "{link:?}");
        let membership = h.row(&scope, &membership).await;
        assert!(
            matches!(membership.1, Some(Row::Membership(_))),
            "{membership:?}"
        );
        let found = (link.0.get(), membership.0.get());
        assert_eq!(found, (of_link, of_membership), "after {:?}", order.command);
    }
    assert_consistent(fixture, &h).await;
}

/// A commit of which nothing is kept is applied as often as it is sent, in one call and in several,
/// and no receipt is found.
pub async fn a_commit_without_receipt_is_applied_each_time<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let link = h.new_link(&host, LinkDraft::review()).await.link;
    let of = (&host, link, 1);
    let take = super::counters::preview(&h, of, u64::MAX);
    for count in 1..=3 {
        h.applies(&take).await;
        assert_eq!(super::counters::previews(&h, of).await, Some(count));
    }
    let outcomes = h
        .commit_all(&[take.clone(), take.clone(), take.clone()])
        .await;
    assert_eq!(outcomes, [const { Committed::Applied }; 3]);
    assert_eq!(super::counters::previews(&h, of).await, Some(6));
    assert_eq!(receipt(&h, &host, take.id).await, None, "nothing is kept");
    // Its id is still free for a commit that keeps something, and the other way round.
    let add = h.prepared(&h.add(&host, &person("ann"), None)).await;
    let add = Commit { id: take.id, ..add };
    h.applies(&add).await;
    h.applies(&take).await;
    assert_eq!(super::counters::previews(&h, of).await, Some(7));
    assert_eq!(receipt(&h, &host, take.id).await, add.receipt);
    sent_again(fixture, &h, &add, kept(&add)).await;
    assert_consistent(fixture, &h).await;
}

/// Its checks hold all the same, and tell whether it was applied; its events are in the log once.
pub async fn a_commit_without_receipt_keeps_its_checks<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    h.register(&host, &name("one")).await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let claim = h.prepared(&h.claim(issued.token, &person("ann"))).await;
    let claim = Commit {
        receipt: None,
        ..claim
    };
    h.applies(&claim).await;
    let before = observe_with(fixture, &h, &claim.writes).await;
    for _ in 0..2 {
        h.conflicts(&claim).await;
    }
    let outcomes = h.commit_all(&[claim.clone(), claim.clone()]).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Committed::Conflict { .. })),
        "{outcomes:?}"
    );
    let after = observe_with(fixture, &h, &claim.writes).await;
    before.assert_same(&after, "a commit without receipt, sent again");
    assert_eq!(receipt(&h, &host, claim.id).await, None);
    let filter = EventFilter {
        member: Some(person("ann")),
        ..EventFilter::default()
    };
    let events = h.events(&filter, 10).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].commit, claim.id);
    // One that fails halfway leaves nothing of itself.
    let key = RowKey::PreviewTally(host.clone(), issued.link, Generation::FIRST);
    let home = Home::Organization(host.clone());
    let check = Check::Revision {
        key: RowKey::Link(host.clone(), issued.link),
        revision: Revision::ABSENT,
    };
    let take = |below| Write::Take {
        key: key.clone(),
        below,
    };
    let of = (&host, issued.link, 1);
    h.conflicts(&h.plain_commit(home.clone(), vec![check], vec![take(9)]))
        .await;
    h.conflicts(&h.plain_commit(home, Vec::new(), vec![take(9), take(1)]))
        .await;
    assert_eq!(super::counters::previews(&h, of).await, None);
    assert_consistent(fixture, &h).await;
}
