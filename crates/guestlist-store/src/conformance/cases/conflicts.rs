//! Two decisions on one snapshot, two commits: the second has to be refused, and to change nothing.

use core::time::Duration;

use guestlist_access::{AccessCommand, PresetGrant, Sharing};
use guestlist_membership::link::{LinkCommand, LinkDraft};
use guestlist_membership::member::{ActingRule, MemberCommand, Status};
use guestlist_membership::organization::{OrganizationCommand, Pause, Settings};
use guestlist_membership::{Actor, Command, Joins};
use guestlist_types::{GroupName, Member, OrgId, RoleName};

use crate::conformance::harness::{Issued, must, name, neighbour, org, person, user};
use crate::conformance::observe::{assert_consistent, assert_folds, observe_with};
use crate::conformance::world::{limited, pattern, read, seats};
use crate::conformance::{Fixture, Harness, Order};

/// Decides both, stores the first, and sees the second refused without a trace.
async fn conflict<F: Fixture>(
    fixture: &F,
    h: &Harness<'_, F::Store>,
    first: &Order,
    second: &Order,
) {
    let first = h.prepared(first).await;
    let refused = h.prepared(second).await;
    h.applies(&first).await;
    let before = observe_with(fixture, h, &refused.writes).await;
    h.conflicts(&refused).await;
    h.conflicts(&refused).await;
    let after = observe_with(fixture, h, &refused.writes).await;
    before.assert_same(&after, "a conflict");
    // Decided again it comes to an end, whichever.
    let _ = h.run(second).await;
    assert_consistent(fixture, h).await;
}

/// A host with a founder, a link for review, and one request.
async fn host<F: Fixture>(h: &Harness<'_, F::Store>) -> (OrgId, Issued, Member) {
    let host = org("org_1");
    h.register_with(&host, &name("one"), Some(user("ann")), Settings::default())
        .await;
    let issued = h.new_link(&host, LinkDraft::review()).await;
    let bob = person("bob");
    h.done(&h.claim(issued.token, &bob)).await;
    (host, issued, bob)
}

/// Two refreshes of one link.
pub async fn the_second_refresh_conflicts<F: Fixture>(fixture: &F) {
    for overlap in [Duration::ZERO, Duration::from_secs(60)] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let (host, issued, _) = host::<F>(&h).await;
        let first = h.refresh(&host, issued.link, overlap);
        let second = h.refresh(&host, issued.link, Duration::ZERO);
        conflict(fixture, &h, &first, &second).await;
    }
}

/// Two approvals of one request.
pub async fn the_second_approval_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, _, bob) = host::<F>(&h).await;
    conflict(
        fixture,
        &h,
        &h.approve(&host, &bob),
        &h.approve(&host, &bob),
    )
    .await;
    let found = h.membership(&host, &bob).await;
    assert_eq!(found.and_then(|found| found.status), Some(Status::Approved));
}

/// Approval and rejection of one request, either first.
pub async fn approval_and_rejection_conflict<F: Fixture>(fixture: &F) {
    for approved in [true, false] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let (host, _, bob) = host::<F>(&h).await;
        let (approve, reject) = (h.approve(&host, &bob), Order::reject(&host, &bob));
        if approved {
            conflict(fixture, &h, &approve, &reject).await;
        } else {
            conflict(fixture, &h, &reject, &approve).await;
        }
        let found = h.membership(&host, &bob).await;
        let first = if approved {
            Status::Approved
        } else {
            Status::Rejected
        };
        assert_eq!(found.and_then(|found| found.status), Some(first));
    }
}

/// Approval and withdrawal of one request, either first.
pub async fn approval_and_withdrawal_conflict<F: Fixture>(fixture: &F) {
    for approved in [true, false] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let (host, _, bob) = host::<F>(&h).await;
        let cancel = Order::cancel(&host, &bob).by(Actor::user(user("bob")));
        let approve = h.approve(&host, &bob);
        if approved {
            conflict(fixture, &h, &approve, &cancel).await;
        } else {
            conflict(fixture, &h, &cancel, &approve).await;
        }
        let found = h.membership(&host, &bob).await;
        let first = if approved {
            Status::Approved
        } else {
            Status::Cancelled
        };
        assert_eq!(found.and_then(|found| found.status), Some(first));
    }
}

/// Removal by the host and leaving of one member, either first.
pub async fn removal_and_leaving_conflict<F: Fixture>(fixture: &F) {
    for removed in [true, false] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let (host, _, bob) = host::<F>(&h).await;
        h.done(&h.approve(&host, &bob)).await;
        let leave = Order::leave(&host, &bob);
        let command = MemberCommand::Remove {
            member: bob,
            reason: None,
        };
        let remove = Order::member(&host, command);
        if removed {
            conflict(fixture, &h, &remove, &leave).await;
        } else {
            conflict(fixture, &h, &leave, &remove).await;
        }
    }
}

/// Two claims by one member, through one link and through two.
pub async fn the_second_claim_of_a_member_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, issued, _) = host::<F>(&h).await;
    let other = h
        .new_link(&host, LinkDraft::auto().max_uses(limited(5)))
        .await;
    let (cid, dot) = (person("cid"), person("dot"));
    let claims = [h.claim(issued.token, &cid), h.claim(issued.token, &cid)];
    conflict(fixture, &h, &claims[0], &claims[1]).await;
    let claims = [h.claim(issued.token, &dot), h.claim(other.token, &dot)];
    conflict(fixture, &h, &claims[0], &claims[1]).await;
    let eve = person("eve");
    let claims = [h.claim(other.token, &eve), h.claim(issued.token, &eve)];
    conflict(fixture, &h, &claims[0], &claims[1]).await;
}

/// After a refresh no claim with the old token is stored, whatever it was decided on.
pub async fn a_claim_with_a_refreshed_token_conflicts<F: Fixture>(fixture: &F) {
    for draft in [LinkDraft::review(), LinkDraft::auto().max_uses(limited(5))] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let (host, ..) = host::<F>(&h).await;
        let issued = h.new_link(&host, draft).await;
        let refresh = h.refresh(&host, issued.link, Duration::ZERO);
        let claim = h.claim(issued.token, &person("cid"));
        conflict(fixture, &h, &refresh, &claim).await;
        let late = h.run(&claim).await;
        assert!(late.is_err(), "the old token is dead: {late:?}");
        // The other way round both are stored.
        let issued = h.new_link(&host, LinkDraft::review()).await;
        let claim = h.prepared(&h.claim(issued.token, &person("dot"))).await;
        let refresh = h.refresh(&host, issued.link, Duration::ZERO);
        let refresh = h.prepared(&refresh).await;
        h.applies(&claim).await;
        h.applies(&refresh).await;
    }
}

/// What ends a link's work ends it for claims that were decided before.
pub async fn a_claim_through_a_link_that_ended_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ..) = host::<F>(&h).await;
    for number in 0..4 {
        let issued = h.new_link(&host, LinkDraft::auto()).await;
        let link = issued.link;
        let draft = Box::new(LinkDraft::review());
        let first = match number {
            0 => LinkCommand::Disable { link },
            1 => LinkCommand::Delete { link },
            2 => LinkCommand::Edit { link, draft },
            _ => LinkCommand::Edit {
                link,
                draft: Box::new(LinkDraft::default().max_uses(limited(1))),
            },
        };
        let claim = h.claim(issued.token, &person(&format!("user_{number}")));
        conflict(fixture, &h, &Order::link(&host, first), &claim).await;
    }
}

/// What a host decides for itself holds for claims and approvals that were decided before.
pub async fn a_claim_conflicts_with_a_change_of_its_host<F: Fixture>(fixture: &F) {
    for number in 0..5 {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let (host, issued, bob) = host::<F>(&h).await;
        let until = Pause::UntilResumed;
        let settings = Settings {
            joins: Joins::AlwaysAuto,
            ..Settings::default()
        };
        let first = match number {
            0 => Order::settings(&host, settings),
            1 => Order::settings(&host, seats(2, true)),
            2 => Order::organization(&host, OrganizationCommand::PauseLinks { until }),
            3 => Order::organization(&host, OrganizationCommand::Suspend),
            _ => Order::organization(&host, OrganizationCommand::Delete),
        };
        let claim = h.claim(issued.token, &person("cid"));
        let approve = h.prepared(&h.approve(&host, &bob)).await;
        conflict(fixture, &h, &first, &claim).await;
        h.conflicts(&approve).await;
    }
}

/// A member that is blocked gets in by no commit that was decided before.
pub async fn a_claim_of_a_member_blocked_meanwhile_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, issued, _) = host::<F>(&h).await;
    let mallory = person("mallory");
    let command = MemberCommand::Block {
        member: mallory.clone(),
        reason: None,
    };
    let claim = h.claim(issued.token, &mallory);
    conflict(fixture, &h, &Order::member(&host, command), &claim).await;
    assert!(
        h.run(&claim).await.is_err(),
        "a blocked member gets in by no door"
    );
}

/// A link's creator who loses the role meanwhile gives nothing.
pub async fn a_claim_conflicts_with_a_change_of_the_links_creator<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ..) = host::<F>(&h).await;
    let cid = person("cid");
    h.done(&h.add(&host, &cid, Some("admin"))).await;
    let (create, issued) = h.create_link(&host, LinkDraft::auto());
    let by = Actor::user(user("cid")).in_organization(host.clone());
    h.done(&create.by(by)).await;
    let command = MemberCommand::ChangeRole {
        member: cid,
        role: must(RoleName::parse("member"), "a role"),
    };
    let claim = h.claim(issued.token, &person("dot"));
    conflict(fixture, &h, &Order::member(&host, command), &claim).await;
    assert_eq!(
        h.membership(&host, &person("dot")).await,
        None,
        "nobody stands for the link"
    );
}

/// A person who acts and loses the role meanwhile does nothing.
pub async fn a_command_conflicts_with_the_removal_of_its_actor<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, issued, bob) = host::<F>(&h).await;
    let cid = person("cid");
    h.done(&h.add(&host, &cid, Some("admin"))).await;
    let by = || Actor::user(user("cid")).in_organization(host.clone());
    let command = MemberCommand::Remove {
        member: cid,
        reason: None,
    };
    let link = issued.link;
    let late = [
        h.approve(&host, &bob).by(by()),
        Order::link(&host, LinkCommand::Disable { link }).by(by()),
    ];
    let late = h.prepared_all(&late).await;
    let create = h.create_link(&host, LinkDraft::review()).0.by(by());
    conflict(fixture, &h, &Order::member(&host, command), &create).await;
    for commit in late {
        h.conflicts(&commit).await;
    }
}

/// Two owners can't both leave: the second would be the last one.
pub async fn two_owners_can_not_both_leave<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ..) = host::<F>(&h).await;
    let (ann, cid) = (person("ann"), person("cid"));
    h.done(&h.add(&host, &cid, Some("owner"))).await;
    let second = Order::leave(&host, &cid);
    conflict(fixture, &h, &Order::leave(&host, &ann), &second).await;
    assert!(h.run(&second).await.is_err(), "the last owner can't leave");
}

/// What gives groups or grants conflicts with any change of groups and grants.
pub async fn a_gift_conflicts_with_a_change_of_access_rules<F: Fixture>(fixture: &F) {
    for number in 0..4 {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let (host, ..) = host::<F>(&h).await;
        let group = h.new_group(&host, "Design", false).await;
        let gift = PresetGrant {
            actions: read(),
            pattern: pattern("a/"),
        };
        let draft = match number {
            0 | 1 => LinkDraft::review().group(group),
            2 => LinkDraft::auto().group(group),
            _ => LinkDraft::auto().grant(gift),
        };
        let issued = h.new_link(&host, draft).await;
        let cid = person("cid");
        let claim = h.claim(issued.token, &cid);
        let gift = if number < 2 {
            h.done(&claim).await;
            h.approve(&host, &cid)
        } else {
            claim
        };
        let change = match number {
            0 => AccessCommand::DeleteGroup { group },
            1 => AccessCommand::MarkInternal {
                group,
                internal: true,
            },
            _ => AccessCommand::SetSharing(Sharing::OwnersOnly),
        };
        conflict(fixture, &h, &Order::access(&host, change), &gift).await;
    }
}

/// Two changes of groups and grants, of different groups.
pub async fn the_second_change_of_access_rules_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ..) = host::<F>(&h).await;
    let (one, two) = (
        h.new_group(&host, "One", false).await,
        h.new_group(&host, "Two", false).await,
    );
    let nest = |outer, inner| Order::access(&host, AccessCommand::NestGroup { outer, inner });
    conflict(fixture, &h, &nest(one, two), &nest(two, one)).await;
    let create = || {
        let command = AccessCommand::CreateGroup {
            id: h.group_id(),
            name: must(GroupName::parse("Same"), "a group's name"),
            internal: false,
        };
        Order::access(&host, command)
    };
    conflict(fixture, &h, &create(), &create()).await;
}

/// Two organizations that want one name.
pub async fn the_second_reservation_of_a_name_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let wanted = name("wanted");
    let first = Order::reserve_name(&org("org_1"), &wanted);
    let second = Order::reserve_name(&org("org_2"), &wanted);
    conflict(fixture, &h, &first, &second).await;
    assert!(h.run(&second).await.is_err(), "the name is taken");
}

/// Two registrations of one organization.
pub async fn the_second_registration_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, name) = (org("org_1"), name("one"));
    h.done(&Order::reserve_name(&host, &name)).await;
    let first = h.register_order(&host, &name, Some(user("ann")), Settings::default());
    let second = h.register_order(&host, &name, Some(user("bob")), seats(3, true));
    conflict(fixture, &h, &first, &second).await;
    assert_eq!(
        h.membership(&host, &person("bob")).await,
        None,
        "bob founded nothing"
    );
}

/// Two tokens of one selector; the row of the first is never written over.
pub async fn the_second_token_of_a_selector_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, issued, _) = host::<F>(&h).await;
    let (first, _) = h.create_link(&host, LinkDraft::review());
    let Command::Link(LinkCommand::Create { token, .. }) = &first.command else {
        panic!("not a creation: {first:?}");
    };
    let command = LinkCommand::Refresh {
        link: issued.link,
        token: token.clone(),
        overlap: Duration::ZERO,
    };
    conflict(fixture, &h, &first, &Order::link(&host, command)).await;
}

/// Two default links.
pub async fn the_second_default_link_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ..) = host::<F>(&h).await;
    let default = || {
        let mut order = h.create_link(&host, LinkDraft::review()).0;
        if let Command::Link(LinkCommand::Create { as_default, .. }) = &mut order.command {
            *as_default = true;
        }
        order
    };
    conflict(fixture, &h, &default(), &default()).await;
}

/// Two rules about who may act, the first of its kind and a later one.
pub async fn the_second_acting_rule_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ..) = host::<F>(&h).await;
    let restrict = |users: &[&str]| {
        let rule = ActingRule {
            users: users.iter().map(|id| user(id)).collect(),
            ..ActingRule::default()
        };
        let command = MemberCommand::RestrictActing {
            host: org("org_2"),
            rule: Some(rule),
        };
        Order::member(&host, command)
    };
    conflict(fixture, &h, &restrict(&["ann"]), &restrict(&["bob"])).await;
    conflict(fixture, &h, &restrict(&["cid"]), &restrict(&[])).await;
    assert_folds(fixture, &h).await;
}

/// The same member, link settings and names in two organizations, of one bucket even, have nothing
/// to do with each other.
pub async fn organizations_do_not_collide<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let one = org("org_1");
    let two = neighbour(&one);
    h.register(&one, &name("one")).await;
    h.register(&two, &name("two")).await;
    let ann = person("ann");
    let mut orders = Vec::new();
    for host in [&one, &two] {
        orders.push(h.add(host, &ann, Some("owner")));
        orders.push(
            h.create_link(host, LinkDraft::auto().max_uses(limited(1)))
                .0,
        );
        let command = AccessCommand::CreateGroup {
            id: h.group_id(),
            name: must(GroupName::parse("Same"), "a group's name"),
            internal: false,
        };
        orders.push(Order::access(host, command));
    }
    for commit in h.prepared_all(&orders).await {
        h.applies(&commit).await;
    }
    assert_consistent(fixture, &h).await;
}
