//! Two decisions on one snapshot, two commits: the second has to be refused, and to change nothing.

use core::time::Duration;

use guestlist_access::{AccessCommand, Audience, Grantee, PresetGrant, Sharing};
use guestlist_membership::invite::{InviteCommand, InviteDraft, InvitePhase};
use guestlist_membership::link::{Expiry, LinkCommand, LinkDraft};
use guestlist_membership::member::{ActingRule, MemberCommand, Status};
use guestlist_membership::organization::{OrganizationCommand, Pause, Settings};
use guestlist_membership::{Actor, AddressCheck, Command, Joins, Row, SecondInvite};
use guestlist_types::{GroupName, Member, OrgId, RoleName};

use crate::conformance::harness::{
    Invited, Issued, email, must, name, neighbour, org, person, user,
};
use crate::conformance::observe::{assert_consistent, assert_folds, observe_with};
use crate::conformance::world::{grant, limited, pattern, read, seats};
use crate::conformance::{Fixture, Harness, Order};
use crate::query::Query;
use crate::store::Store;

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

/// The same member, link settings, names and access rules in two organizations, of one bucket even,
/// have nothing to do with each other.
pub async fn organizations_do_not_collide<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let one = org("org_1");
    let two = neighbour(&one);
    h.register(&one, &name("one")).await;
    h.register(&two, &name("two")).await;
    let (ann, bob) = (person("ann"), person("bob"));
    let mut orders = Vec::new();
    let mut then = Vec::new();
    for host in [&one, &two] {
        orders.push(h.add(host, &ann, Some("owner")));
        orders.push(
            h.create_link(host, LinkDraft::auto().max_uses(limited(1)))
                .0,
        );
        let group = h.group_id();
        let command = AccessCommand::CreateGroup {
            id: group,
            name: must(GroupName::parse("Same"), "a group's name"),
            internal: false,
        };
        orders.push(Order::access(host, command));
        let member = ann.clone();
        then.push(Order::access(
            host,
            AccessCommand::AddToGroup { group, member },
        ));
        let everyone = Grantee::Organization(Audience::Everyone);
        then.push(grant(&h, host, everyone, "same/"));
        let (review, issued) = h.create_link(host, LinkDraft::review());
        then.push(review);
        then.push(h.claim(issued.token, &bob));
        then.push(h.invite_order(host, "cid@example.com").0);
    }
    for commit in h.prepared_all(&orders).await {
        h.applies(&commit).await;
    }
    h.all_done(&then).await;
    assert_consistent(fixture, &h).await;
}

/// A host without a founder, whose settings say nothing about whom an invite is for.
async fn inviting<S: Store + ?Sized>(h: &Harness<'_, S>, second_invite: SecondInvite) -> OrgId {
    let host = org("org_1");
    let settings = Settings {
        second_invite,
        address_check: AddressCheck::Bearer,
        ..Settings::default()
    };
    h.register_with(&host, &name("one"), None, settings).await;
    host
}

/// What has become of the invites to an address, oldest first.
async fn phases<F: Fixture>(
    fixture: &F,
    h: &Harness<'_, F::Store>,
    address: &str,
) -> Vec<InvitePhase> {
    fixture.settle(h.store()).await;
    let query = Query::InvitesTo {
        address: email(address),
        phase: None,
    };
    let phase = |(_, row)| match row {
        Row::Invite(invite) => invite.phase(h.now()),
        row => panic!("{row:?} among invites"),
    };
    h.list(&query, 10).await.into_iter().map(phase).collect()
}

/// Two invites to one address, whose host refuses or replaces a second one: never two live ones.
pub async fn the_second_invite_to_an_address_conflicts<F: Fixture>(fixture: &F) {
    for second_invite in [SecondInvite::Refuse, SecondInvite::Replace] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let host = inviting(&h, second_invite).await;
        let (first, _) = h.invite_order(&host, "ann@example.com");
        let (second, _) = h.invite_order(&host, "ANN@example.com");
        conflict(fixture, &h, &first, &second).await;
        let wanted: &[_] = match second_invite {
            SecondInvite::Refuse => &[InvitePhase::Pending],
            SecondInvite::Replace => &[InvitePhase::Revoked, InvitePhase::Pending],
        };
        assert_eq!(phases(fixture, &h, "ann@example.com").await, wanted);
        // The same where one has ended before.
        h.advance(Duration::from_secs(30 * 24 * 3600));
        let (first, _) = h.invite_order(&host, "ann@example.com");
        let (second, _) = h.invite_order(&host, "ann@example.com");
        conflict(fixture, &h, &first, &second).await;
        let phases = phases(fixture, &h, "ann@example.com").await;
        let live = phases
            .iter()
            .filter(|phase| **phase == InvitePhase::Pending);
        assert_eq!(live.count(), 1, "never two live ones: {phases:?}");
    }
}

/// Invites to several addresses of one host, and to one address of several hosts.
pub async fn invites_to_other_addresses_do_not_collide<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let one = inviting(&h, SecondInvite::Refuse).await;
    let two = neighbour(&one);
    h.register(&two, &name("two")).await;
    let orders = [
        h.invite_order(&one, "ann@example.com").0,
        h.invite_order(&one, "ann@example.co").0,
        h.invite_order(&two, "ann@example.com").0,
        h.invite_order(&one, "an@example.com").0,
    ];
    for commit in h.prepared_all(&orders).await {
        h.applies(&commit).await;
    }
    assert_eq!(phases(fixture, &h, "ann@example.com").await.len(), 2);
    assert_consistent(fixture, &h).await;
}

async fn invited<S: Store + ?Sized>(h: &Harness<'_, S>) -> (OrgId, Invited) {
    let host = inviting(h, SecondInvite::Refuse).await;
    let invited = h.new_invite(&host, "ann@example.com").await;
    (host, invited)
}

/// Two members who accept one invite.
pub async fn the_second_acceptance_conflicts<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, invited) = invited(&h).await;
    let first = h.accept(invited.token, &person("ann"));
    let second = h.accept(invited.token, &person("bob"));
    conflict(fixture, &h, &first, &second).await;
    assert!(h.run(&second).await.is_err(), "it can be used once");
    assert_eq!(h.membership(&host, &person("bob")).await, None);
    let found = h.membership(&host, &person("ann")).await;
    assert_eq!(found.and_then(|found| found.status), Some(Status::Approved));
}

/// Acceptance of an invite and what the host does to it, either first. Answers whether somebody is
/// in then.
async fn accepted_or<F: Fixture>(
    fixture: &F,
    accepted_first: bool,
    other: impl AsyncFn(&Harness<'_, F::Store>, &OrgId, Invited) -> Order,
) -> bool {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, invited) = invited(&h).await;
    let accept = h.accept(invited.token, &person("ann"));
    let other = other(&h, &host, invited).await;
    if accepted_first {
        conflict(fixture, &h, &accept, &other).await;
    } else {
        conflict(fixture, &h, &other, &accept).await;
    }
    let found = h.membership(&host, &person("ann")).await;
    found.and_then(|found| found.status) == Some(Status::Approved)
}

/// Acceptance and revocation of one invite, either first.
pub async fn acceptance_and_revocation_conflict<F: Fixture>(fixture: &F) {
    for accepted in [true, false] {
        let is_in = accepted_or(fixture, accepted, async |_, host, invited| {
            Order::revoke(host, invited.invite)
        })
        .await;
        assert_eq!(is_in, accepted);
    }
}

/// Acceptance and resending of one invite, either first: the old token is dead, or there is
/// nothing left to send.
pub async fn acceptance_and_resending_conflict<F: Fixture>(fixture: &F) {
    for accepted in [true, false] {
        let is_in = accepted_or(fixture, accepted, async |h, host, invited| {
            h.resend(host, invited.invite).0
        })
        .await;
        assert_eq!(is_in, accepted);
    }
}

/// Acceptance and refusal of one invite, either first.
pub async fn acceptance_and_refusal_conflict<F: Fixture>(fixture: &F) {
    for accepted in [true, false] {
        let is_in = accepted_or(fixture, accepted, async |h, host, invited| {
            h.decline(host, invited.token)
        })
        .await;
        assert_eq!(is_in, accepted);
    }
}

/// One person, invited at two addresses, who accepts both: one of them closes with the other.
pub async fn acceptances_of_one_persons_invites_conflict<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = inviting(&h, SecondInvite::Refuse).await;
    let (home, work) = ("ann@home.example", "ann@work.example");
    let first = h.new_invite(&host, home).await;
    let second = h.new_invite(&host, work).await;
    let ann = || {
        Actor::user(user("ann"))
            .with_verified_email(email(home))
            .with_verified_email(email(work))
    };
    let first = h.accept(first.token, &person("ann")).by(ann());
    let second = h.accept(second.token, &person("ann")).by(ann());
    conflict(fixture, &h, &first, &second).await;
    assert_eq!(phases(fixture, &h, home).await, [InvitePhase::Accepted]);
    assert_eq!(phases(fixture, &h, work).await, [InvitePhase::Revoked]);
}

/// Who sent an invite and loses the role meanwhile lets nobody in without review.
pub async fn an_acceptance_conflicts_with_a_change_of_its_sender<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let (host, ..) = host::<F>(&h).await;
    let cid = person("cid");
    h.done(&h.add(&host, &cid, Some("admin"))).await;
    let by = Actor::user(user("cid")).in_organization(host.clone());
    let (send, invited) = h.invite_order(&host, "dot@example.com");
    h.done(&send.by(by)).await;
    let command = MemberCommand::Remove {
        member: cid,
        reason: None,
    };
    let accept = h.accept_as(invited.token, "dot", "dot@example.com");
    conflict(fixture, &h, &Order::member(&host, command), &accept).await;
    assert_eq!(
        h.membership(&host, &person("dot")).await,
        None,
        "nobody stands for the invite"
    );
}

/// A request of somebody who is invited meanwhile is decided again, and answered with the invite.
pub async fn a_request_conflicts_with_an_invite_sent_meanwhile<F: Fixture>(fixture: &F) {
    let store = fixture.store().await;
    let h = Harness::new(&store);
    let host = org("org_1");
    let mut settings = Settings {
        discoverable: true,
        ..Settings::default()
    };
    settings.requests.open = true;
    h.register_with(&host, &name("one"), None, settings).await;
    let (send, _) = h.invite_order(&host, "ann@example.com");
    let request = h.request(&host, "ann", "ann@example.com");
    conflict(fixture, &h, &send, &request).await;
    let phases = phases(fixture, &h, "ann@example.com").await;
    assert_eq!(phases, [InvitePhase::Accepted]);
    let found = h.membership(&host, &person("ann")).await;
    assert_eq!(found.and_then(|found| found.status), Some(Status::Approved));
}

/// That the time of a link or an invite is over is written once, and not if it was given more time
/// meanwhile.
pub async fn the_end_of_an_expiry_conflicts<F: Fixture>(fixture: &F) {
    const HOUR: Duration = Duration::from_secs(3600);
    for again in [true, false] {
        let store = fixture.store().await;
        let h = Harness::new(&store);
        let host = inviting(&h, SecondInvite::Refuse).await;
        let draft = LinkDraft::auto().expiry(Expiry::After(HOUR));
        let link = h.new_link(&host, draft).await.link;
        let draft = InviteDraft::new().expiry(Expiry::After(HOUR));
        let (send, all) = h.invite_all(&host, &["ann@example.com"], &draft);
        h.done(&send).await;
        let invite = all[0].invite;
        h.advance(HOUR);
        let expire = || Order::link(&host, LinkCommand::Expire { link });
        let draft = Box::new(LinkDraft::default().expiry(Expiry::Never));
        let edit = Order::link(&host, LinkCommand::Edit { link, draft });
        let first = if again { expire() } else { edit };
        conflict(fixture, &h, &first, &expire()).await;
        let expire = || Order::invite(&host, InviteCommand::Expire { invite });
        let first = if again {
            expire()
        } else {
            h.resend(&host, invite).0
        };
        conflict(fixture, &h, &first, &expire()).await;
        fixture.settle(&store).await;
        for query in [
            Query::RunOutLinks { host: None },
            Query::RunOutInvites { host: None },
        ] {
            assert_eq!(h.list(&query, 10).await, [], "{query:?}");
        }
    }
}
