//! The sentences of the specification about e-mail invites, one test each.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

mod common;

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeSet;

use common::{
    ADA, HOUR, MICRO, MINUTE, Outcome, ada, approve, approve_with, as_ada, block, change_role,
    claim, done, email, join, leave, membership, names, person, phase, refused, reject, remove,
    set, token, unchanged, with_email, with_role, world,
};
use guestlist_access::{AccessCommand, Action, ActionSet, Episode, Pattern, PresetGrant};
use guestlist_membership::invite::{
    Closing, Delivery, DeliveryReport, EmailInvite, InviteCommand, InviteDraft, InvitePhase,
    InvitePreview, InviteStatus, MAX_INVITES, Mode, NewInvite, SignOn, preview, problem,
};
use guestlist_membership::link::{
    Expiry, Generation, JoinedBy, Lasting, LinkCommand, LinkDraft, Uses,
};
use guestlist_membership::member::{Door, MemberCommand, Phase, Presented, Profile, Status};
use guestlist_membership::organization::OrganizationCommand;
use guestlist_membership::testing::{
    START, World, founder, group_id, invite_id, link_id, org, org_member, presented, role, user,
    user_member,
};
use guestlist_membership::{
    Actor, AddressCheck, AfterRejection, Command, CommandError, Env, Joins, Metadata, Row, Seats,
    SecondInvite, Standing, Stated, TokenProblem, decide,
};
use guestlist_token::Selector;
use guestlist_types::{Member, ProxyUserId};

const BEA: &str = "bea@corp.example";
const CEM: &str = "cem@corp.example";

type Sent = Result<Selector, CommandError>;

fn send_by(world: &mut World, by: &Actor, invite: u8, text: &str, draft: InviteDraft) -> Sent {
    world.send(0, by, invite, email(text), draft)
}

fn send(world: &mut World, invite: u8, text: &str, draft: InviteDraft) -> Selector {
    send_by(world, &founder(0), invite, text, draft).unwrap()
}

/// Invites Ada, who is invited to nothing in particular.
fn invite_ada(world: &mut World) -> Selector {
    send(world, 1, ADA, InviteDraft::new())
}

#[track_caller]
fn not_sent(outcome: &Sent, expected: &str) {
    let code = outcome.as_ref().map_or_else(CommandError::code, |_| "sent");
    assert_eq!(code, expected, "{outcome:?}");
}

fn accept(world: &mut World, token: Selector) -> Outcome {
    world.accept(&ada(), as_ada(), token)
}

fn new(world: &mut World, id: u8, text: &str, draft: InviteDraft) -> NewInvite {
    NewInvite {
        id: invite_id(id),
        address: email(text),
        draft,
        sign_on: SignOn::Usual,
        is_member: false,
        token: world.draw(&org(0)),
    }
}

/// What came of each item, and what happened.
fn batch(
    world: &mut World,
    by: &Actor,
    mode: Mode,
    invites: Vec<NewInvite>,
) -> (Vec<&'static str>, Vec<&'static str>) {
    let command = Command::Invite(InviteCommand::Send { invites, mode });
    let (_, _, decided) = world.decide(&org(0), by, &command).unwrap();
    let outcome = world.run(&org(0), by, &command);
    assert_eq!(outcome.as_ref(), Ok(&decided.events));
    let item = |item: &Result<(), CommandError>| match item {
        Ok(()) => "invited",
        Err(error) => error.code(),
    };
    (decided.items.iter().map(item).collect(), names(&outcome))
}

fn resend_by(world: &mut World, by: &Actor, invite: u8) -> Sent {
    let token = world.draw(&org(0));
    let selector = token.selector;
    let command = InviteCommand::Resend {
        invite: invite_id(invite),
        token,
    };
    world.invite(0, by, command).map(|_| selector)
}

fn resend(world: &mut World, invite: u8) -> Selector {
    resend_by(world, &founder(0), invite).unwrap()
}

fn revoke(world: &mut World, invite: u8) -> Outcome {
    let invite = invite_id(invite);
    world.invite(0, &founder(0), InviteCommand::Revoke { invite })
}

fn expire(world: &mut World, invite: u8) -> Outcome {
    let invite = invite_id(invite);
    world.invite(0, &founder(0), InviteCommand::Expire { invite })
}

fn decline(world: &mut World, by: &Actor, token: Selector) -> Outcome {
    let token = presented(token);
    world.invite(0, by, InviteCommand::Decline { token })
}

fn report(world: &mut World, by: &Actor, invite: u8, generation: u32, sent: bool) -> Outcome {
    let reports = vec![DeliveryReport {
        invite: invite_id(invite),
        generation: Generation::new(generation),
        sent,
    }];
    world.invite(0, by, InviteCommand::ReportDelivery { reports })
}

fn invite(world: &World, number: u8) -> EmailInvite {
    let record = world.records().invite(&org(0), invite_id(number));
    record.expect("an invite").clone()
}

fn status(world: &World, number: u8) -> InviteStatus {
    invite(world, number).status
}

fn closing(world: &World, number: u8) -> Option<Closing> {
    invite(world, number).closed.map(|closed| closed.closing)
}

fn suspend(world: &mut World) {
    let command = OrganizationCommand::Suspend;
    world.organization(0, &Actor::system(), command).unwrap();
}

fn read(pattern: &str) -> PresetGrant {
    PresetGrant {
        actions: ActionSet::of(&[Action::Read]),
        pattern: Pattern::parse(pattern).unwrap(),
    }
}

fn seats(limit: u64) -> Seats {
    Seats {
        limit: NonZeroU64::new(limit).unwrap(),
        count_pending: false,
    }
}

/// How many memberships a user has in the host.
fn rows_of(world: &World, member: &Member) -> usize {
    let rows = world.records().iter();
    rows.filter(|(_, row)| {
        matches!(row, Row::Membership(row) if row.host == org(0) && row.member == *member)
    })
    .count()
}

// Sending.

#[test]
fn only_who_may_invite_sends() {
    let mut world = world();
    let inviter = join(&mut world, 3, "inviter");
    let member = join(&mut world, 9, "member");
    let outsiders = [founder(1), person(8), ada()];
    let draft = InviteDraft::new;
    not_sent(&send_by(&mut world, &inviter, 1, ADA, draft()), "sent");
    let system = Actor::system();
    not_sent(&send_by(&mut world, &system, 2, BEA, draft()), "sent");
    assert_eq!(invite(&world, 1).creator, Some(user(3)));
    assert_eq!(invite(&world, 2).creator, None);
    not_sent(
        &send_by(&mut world, &member, 3, CEM, draft()),
        "not-allowed",
    );
    let id = invite_id(1);
    for command in [
        InviteCommand::Revoke { invite: id },
        InviteCommand::ReportDelivery {
            reports: Vec::new(),
        },
    ] {
        refused(&world.invite(0, &member, command), "not-allowed");
    }
    not_sent(&resend_by(&mut world, &member, 1), "not-allowed");
    // Outsiders can't tell the ids that there are from others.
    for outsider in outsiders {
        not_sent(
            &send_by(&mut world, &outsider, 3, CEM, draft()),
            "not-found",
        );
        for number in [1, 77] {
            not_sent(&resend_by(&mut world, &outsider, number), "not-found");
            let invite = invite_id(number);
            for command in [
                InviteCommand::Revoke { invite },
                InviteCommand::Expire { invite },
            ] {
                assert_eq!(
                    world.invite(0, &outsider, command),
                    Err(CommandError::NotFound { what: "invite" })
                );
            }
        }
        refused(&report(&mut world, &outsider, 1, 1, true), "not-found");
    }
    // What the application says of somebody who was removed counts no more.
    remove(&mut world, user_member(3));
    let removed = inviter.with_role(role("owner"));
    not_sent(&send_by(&mut world, &removed, 3, CEM, draft()), "not-found");
    refused(&revoke(&mut world, 77), "not-found");
    not_sent(&resend_by(&mut world, &founder(0), 77), "not-found");
}

#[test]
fn nobody_invites_to_more_than_they_may_give() {
    let mut world = world();
    let inviter = join(&mut world, 3, "inviter");
    let admin = join(&mut world, 9, "admin");
    let draft = InviteDraft::new;
    for (by, draft, expected) in [
        (&inviter, draft().role(role("host")), "role-above-own"),
        (&admin, draft().role(role("owner")), "role-above-own"),
        (&inviter, draft().group(group_id(1)), "missing-capability"),
        (&admin, draft().grant(read("a/")), "share-not-held"),
        // A proxy user is in no internal group, so an invite for both kinds must not name one.
        (
            &founder(0),
            draft().group(group_id(2)).joined_by(JoinedBy::Both),
            "internal-group",
        ),
        (
            &founder(0),
            draft()
                .joined_by(JoinedBy::Organizations)
                .grant(PresetGrant {
                    actions: ActionSet::of(&[Action::Share]),
                    pattern: Pattern::all(),
                }),
            "outsider-ceiling",
        ),
    ] {
        not_sent(&send_by(&mut world, by, 1, ADA, draft), expected);
    }
    for (id, by, draft) in [
        (1, &inviter, draft().role(role("inviter"))),
        (2, &admin, draft().role(role("admin")).group(group_id(1))),
        (3, &founder(0), draft().group(group_id(2)).grant(read("a/"))),
        // An organization gets no role, so none is above one's own.
        (4, &inviter, draft().joined_by(JoinedBy::Organizations)),
    ] {
        let text = format!("someone{id}@corp.example");
        not_sent(&send_by(&mut world, by, id, &text, draft), "sent");
    }
}

#[test]
fn what_an_invite_must_not_be() {
    let mut world = world();
    let draft = InviteDraft::new;
    let ttl = |draft: InviteDraft, ttl| draft.membership_ttl(Lasting::For(ttl));
    let grants = |count: u8| {
        let grants = (0..count).map(|n| read(&format!("key{n}")));
        grants.fold(draft(), InviteDraft::grant)
    };
    for (draft, expected) in [
        (draft().role(role("nobody")), "unknown-role"),
        (draft().group(group_id(99)), "not-found"),
        (draft().expiry(Expiry::At(START)), "in-the-past"),
        (draft().expiry(Expiry::After(Duration::ZERO)), "in-the-past"),
        (ttl(draft(), Duration::ZERO), "in-the-past"),
        (
            ttl(draft().role(role("owner")), HOUR),
            "owner-can-not-expire",
        ),
        (grants(101), "too-many"),
    ] {
        not_sent(&send_by(&mut world, &founder(0), 1, ADA, draft), expected);
    }
    let owner = draft().role(role("owner"));
    let owner = owner.membership_ttl(Lasting::Always);
    send(&mut world, 1, ADA, owner);
    send(&mut world, 2, BEA, ttl(draft(), HOUR));
    send(&mut world, 3, CEM, grants(100));
}

#[test]
fn an_invite_lasts_as_long_as_the_settings_say() {
    let mut world = world();
    let fortnight = Duration::from_secs(14 * 24 * 3600);
    invite_ada(&mut world);
    assert_eq!(invite(&world, 1).expires_at, Some(START + fortnight));
    set(&mut world, |settings| {
        settings.invites_last = Lasting::Always;
    });
    send(&mut world, 2, BEA, InviteDraft::new());
    assert_eq!(invite(&world, 2).expires_at, None);
    set(&mut world, |settings| {
        settings.invites_last = Lasting::For(HOUR);
    });
    let never = InviteDraft::new().expiry(Expiry::Never);
    send(&mut world, 3, CEM, never);
    assert_eq!(invite(&world, 3).expires_at, None);
    // One that has been sent keeps its time.
    assert_eq!(invite(&world, 1).expires_at, Some(START + fortnight));
}

#[test]
fn a_host_that_is_not_active_invites_nobody() {
    let mut world = world();
    let link = invite_ada(&mut world);
    suspend(&mut world);
    let draft = InviteDraft::new();
    not_sent(
        &send_by(&mut world, &founder(0), 2, BEA, draft.clone()),
        "organization-not-active",
    );
    not_sent(
        &resend_by(&mut world, &founder(0), 1),
        "organization-not-active",
    );
    refused(&accept(&mut world, link), "invalid-token");
    refused(
        &world.accept(&founder(0), user_member(0), link),
        "host-not-active",
    );
    refused(&decline(&mut world, &ada(), link), "invalid-token");
    let mut revoked = world.clone();
    done(&revoke(&mut revoked, 1));
    let system = Actor::system();
    world
        .organization(0, &system, OrganizationCommand::Resume)
        .unwrap();
    let mut resumed = world.clone();
    done(&accept(&mut resumed, link));
    // "A deleted one never comes back through an old link" (spec 2).
    world
        .organization(0, &founder(0), OrganizationCommand::Delete)
        .unwrap();
    refused(&accept(&mut world, link), "invalid-token");
    not_sent(
        &send_by(&mut world, &founder(0), 2, BEA, draft),
        "organization-not-active",
    );
    not_sent(
        &resend_by(&mut world, &founder(0), 1),
        "organization-not-active",
    );
}

#[test]
fn who_is_a_member_already_is_not_invited() {
    let mut world = world();
    let link = invite_ada(&mut world);
    accept(&mut world, link).unwrap();
    let draft = InviteDraft::new;
    for text in [ADA, "Ada@CORP.Example", " ada@corp.example "] {
        not_sent(
            &send_by(&mut world, &founder(0), 2, text, draft()),
            "already-member",
        );
    }
    // Whoever came by a link showed their address there.
    let command = MemberCommand::Claim {
        token: presented(token(&world, 2)),
        member: user_member(5),
        profile: Profile {
            email: Some(email(BEA)),
            ..Profile::default()
        },
        answers: Vec::new(),
        proxy: ProxyUserId::from_bytes([1; 16]),
    };
    done(&world.member(0, &with_email(5, BEA), command));
    not_sent(
        &send_by(&mut world, &founder(0), 2, BEA, draft()),
        "already-member",
    );
    // Where guestlist doesn't know the member, the host application does.
    let known = NewInvite {
        is_member: true,
        ..new(&mut world, 2, CEM, draft())
    };
    let (items, events) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, vec![known]);
    assert_eq!((items, events), (vec!["already-member"], vec![]));
    // Another host knows nothing of that, and who has left can be invited again.
    not_sent(&world.send(1, &founder(1), 2, email(ADA), draft()), "sent");
    leave(&mut world, 4);
    not_sent(&send_by(&mut world, &founder(0), 2, ADA, draft()), "sent");
    world.check();
}

#[test]
fn a_second_invite_for_a_live_one_is_refused() {
    // GitLab: addresses in another case gave two invites for one person.
    let mut world = world();
    let draft = InviteDraft::new;
    let first = send(&mut world, 1, "Ada@Corp.Example", draft());
    assert_eq!(invite(&world, 1).address, email(ADA));
    for text in [ADA, "ADA@CORP.EXAMPLE"] {
        not_sent(
            &send_by(&mut world, &founder(0), 2, text, draft()),
            "already-invited",
        );
    }
    // "Plus-tags and dots stay distinct" (spec 4).
    send(&mut world, 3, "ada+a@corp.example", draft());
    send(&mut world, 4, "a.da@corp.example", draft());
    not_sent(&world.send(1, &founder(1), 1, email(ADA), draft()), "sent");
    done(&accept(&mut world, first));
    world.check();
}

#[test]
fn a_second_invite_replaces_the_first_where_the_host_wants_that() {
    let mut world = world();
    set(&mut world, |s| s.second_invite = SecondInvite::Replace);
    let first = send(&mut world, 1, ADA, InviteDraft::new().role(role("admin")));
    let second = new(&mut world, 2, ADA, InviteDraft::new());
    let live = second.token.selector;
    let (items, events) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, vec![second]);
    assert_eq!(items, ["invited"]);
    assert_eq!(events, ["invite-replaced", "invite-sent"]);
    assert_eq!(status(&world, 1), InviteStatus::Revoked);
    assert_eq!(closing(&world, 1), Some(Closing::Replaced));
    assert_eq!(invite(&world, 1).closed.unwrap().by, founder(0).by());
    world.check();
    refused(&accept(&mut world, first), "invalid-token");
    assert_eq!(world.opens(first), Err(TokenProblem::InviteClosed));
    not_sent(&resend_by(&mut world, &founder(0), 1), "wrong-invite-state");
    done(&accept(&mut world, live));
    assert_eq!(membership(&world, &as_ada()).role, Some(role("member")));
}

#[test]
fn replacing_an_invite_is_sending_one() {
    // capgo: who might not make administrators rewrote a waiting invite to make one.
    let mut world = world();
    set(&mut world, |s| s.second_invite = SecondInvite::Replace);
    let inviter = join(&mut world, 3, "inviter");
    let first = invite_ada(&mut world);
    let before = invite(&world, 1);
    let higher = InviteDraft::new().role(role("admin"));
    not_sent(
        &send_by(&mut world, &inviter, 2, ADA, higher.clone()),
        "role-above-own",
    );
    // Nor by the id of the first.
    not_sent(
        &send_by(&mut world, &founder(0), 1, ADA, higher),
        "wrong-invite-state",
    );
    assert_eq!(invite(&world, 1), before);
    done(&accept(&mut world, first));
    assert_eq!(membership(&world, &as_ada()).role, Some(role("member")));
}

#[test]
fn an_expired_invite_gives_way_and_its_expiry_is_written_once() {
    let mut world = world();
    let short = || InviteDraft::new().expiry(Expiry::After(HOUR));
    send(&mut world, 1, ADA, short());
    send(&mut world, 2, BEA, short());
    world.now = START + Duration::from_micros(3_599_999_999);
    unchanged(&expire(&mut world, 1));
    not_sent(
        &send_by(&mut world, &founder(0), 3, ADA, short()),
        "already-invited",
    );
    world.now = START + HOUR;
    assert_eq!(invite(&world, 1).phase(world.now), InvitePhase::Expired);
    let next = new(&mut world, 3, ADA, short());
    let (_, events) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, vec![next]);
    assert_eq!(events, ["invite-expired", "invite-sent"]);
    unchanged(&expire(&mut world, 1));
    assert_eq!(invite(&world, 1).expired_at, Some(START + HOUR));

    let member = join(&mut world, 9, "member");
    let command = InviteCommand::Expire {
        invite: invite_id(2),
    };
    let swept = world.invite(0, &member, command);
    assert_eq!(names(&swept), ["invite-expired"]);
    unchanged(&expire(&mut world, 2));
    let next = new(&mut world, 4, BEA, short());
    let (_, events) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, vec![next]);
    assert_eq!(events, ["invite-sent"]);
    world.check();
}

#[test]
fn one_outcome_for_each_item_in_order() {
    let mut world = world();
    let admin = join(&mut world, 9, "admin");
    let items = |world: &mut World| {
        vec![
            new(world, 1, ADA, InviteDraft::new().role(role("admin"))),
            new(world, 2, BEA, InviteDraft::new().role(role("owner"))),
            new(world, 3, CEM, InviteDraft::new()),
        ]
    };
    let expected = ["invited", "role-above-own", "invited"];
    let invites = items(&mut world);
    let (came, events) = batch(&mut world, &admin, Mode::AllOrNothing, invites);
    assert_eq!(came, expected, "which one stops the others is said");
    assert_eq!(events, [""; 0]);
    let any = |(_, row): (_, &Row)| matches!(row, Row::Invite(_) | Row::Address(_));
    assert!(!world.records().iter().any(any), "none is sent");

    let invites = items(&mut world);
    let (came, events) = batch(&mut world, &admin, Mode::EachOnItsOwn, invites);
    assert_eq!(came, expected);
    assert_eq!(events, ["invite-sent"; 2]);
    assert!(world.records().invite(&org(0), invite_id(2)).is_none());
    let config = |number| invite(&world, number).config.preset.role;
    assert_eq!((config(1), config(3)), (Some(role("admin")), None));
    let (came, events) = batch(&mut world, &admin, Mode::AllOrNothing, Vec::new());
    assert!(came.is_empty() && events.is_empty(), "nothing is nothing");
    world.check();
}

#[test]
fn who_needs_no_invite_stops_nobody_elses() {
    let mut world = world();
    invite_ada(&mut world);
    let known = NewInvite {
        is_member: true,
        ..new(&mut world, 2, BEA, InviteDraft::new())
    };
    let invites = vec![
        new(&mut world, 3, ADA, InviteDraft::new()),
        known,
        new(&mut world, 4, CEM, InviteDraft::new()),
    ];
    let (items, events) = batch(&mut world, &founder(0), Mode::AllOrNothing, invites);
    assert_eq!(items, ["already-invited", "already-member", "invited"]);
    assert_eq!(events, ["invite-sent"]);
}

#[test]
fn nothing_is_replaced_when_nothing_is_sent() {
    let mut world = world();
    set(&mut world, |s| s.second_invite = SecondInvite::Replace);
    let first = invite_ada(&mut world);
    let invites = vec![
        new(&mut world, 2, ADA, InviteDraft::new()),
        new(&mut world, 3, BEA, InviteDraft::new().role(role("nobody"))),
    ];
    let (items, events) = batch(&mut world, &founder(0), Mode::AllOrNothing, invites);
    assert_eq!(items, ["invited", "unknown-role"]);
    assert!(events.is_empty());
    done(&accept(&mut world, first));
}

#[test]
fn each_item_is_decided_on_what_the_earlier_ones_did() {
    let draft = InviteDraft::new;
    let mut world = world();
    let twice = vec![
        new(&mut world, 1, ADA, draft()),
        new(&mut world, 2, ADA, draft()),
    ];
    let mut replacing = world.clone();
    let (items, events) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, twice.clone());
    assert_eq!(items, ["invited", "already-invited"]);
    assert_eq!(events, ["invite-sent"]);

    set(&mut replacing, |s| s.second_invite = SecondInvite::Replace);
    let (items, events) = batch(&mut replacing, &founder(0), Mode::EachOnItsOwn, twice);
    assert_eq!(items, ["invited", "invited"]);
    assert_eq!(events, ["invite-sent", "invite-replaced", "invite-sent"]);
    replacing.check();

    let same_id = vec![
        new(&mut world, 3, BEA, draft()),
        new(&mut world, 3, CEM, draft()),
    ];
    let (items, _) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, same_id);
    assert_eq!(items, ["invited", "wrong-invite-state"]);
    let other = new(&mut world, 5, CEM, draft());
    let same_token = vec![
        NewInvite {
            id: invite_id(4),
            address: email("dee@corp.example"),
            ..other.clone()
        },
        other,
    ];
    let (items, _) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, same_token);
    assert_eq!(items, ["invited", "selector-taken"]);
    world.check();
}

#[test]
fn there_is_a_limit_to_the_invites_of_one_command() {
    let mut world = world();
    let many = |world: &mut World, count: usize| {
        let one = |number: usize| NewInvite {
            id: guestlist_types::InviteId::from_bytes((number as u128).to_be_bytes()),
            ..new(
                world,
                0,
                &format!("a{number}@corp.example"),
                InviteDraft::new(),
            )
        };
        let invites = (0..count).map(one).collect();
        let mode = Mode::EachOnItsOwn;
        Command::Invite(InviteCommand::Send { invites, mode })
    };
    let command = many(&mut world, MAX_INVITES);
    let (_, _, decided) = world.decide(&org(0), &founder(0), &command).unwrap();
    assert_eq!(decided.events.len(), MAX_INVITES);
    let command = many(&mut world, MAX_INVITES + 1);
    refused(&world.run(&org(0), &founder(0), &command), "too-many");
}

#[test]
fn an_address_may_have_several_members() {
    let mut world = world();
    let link = invite_ada(&mut world);
    accept(&mut world, link).unwrap();
    let command = MemberCommand::Claim {
        token: presented(token(&world, 2)),
        member: user_member(5),
        profile: Profile {
            email: Some(email(ADA)),
            ..Profile::default()
        },
        answers: Vec::new(),
        proxy: ProxyUserId::from_bytes([1; 16]),
    };
    done(&world.member(0, &with_email(5, ADA), command));
    // Whichever of them leaves, the other is still a member with it.
    for left in [5, 4] {
        not_sent(
            &send_by(&mut world, &founder(0), 2, ADA, InviteDraft::new()),
            "already-member",
        );
        leave(&mut world, left);
    }
    let again = send_by(&mut world, &founder(0), 2, ADA, InviteDraft::new());
    not_sent(&again, "sent");
    world.check();
}

#[test]
fn no_invite_goes_to_an_address_whose_member_is_blocked() {
    let mut world = world();
    let draft = InviteDraft::new().membership_ttl(Lasting::For(HOUR));
    let link = send(&mut world, 1, ADA, draft);
    accept(&mut world, link).unwrap();
    block(&mut world, as_ada());
    world.pass(HOUR);
    assert_eq!(phase(&world), Phase::Expired);
    not_sent(
        &send_by(&mut world, &founder(0), 2, ADA, InviteDraft::new()),
        "blocked",
    );
}

// Accepting.

#[test]
fn an_invite_is_for_whoever_has_its_address_verified() {
    // Keycloak took an address for verified that was not; Discourse compared ends of domains.
    let others = [
        "ada@corp.example.org",
        "xada@corp.example",
        "ada@acorp.example",
    ];
    for (check, other, nobody) in [
        (AddressCheck::Exact, "wrong-account", "wrong-account"),
        (AddressCheck::AnyVerified, "done", "wrong-account"),
        (AddressCheck::Bearer, "done", "done"),
    ] {
        let mut world = world();
        set(&mut world, |settings| settings.address_check = check);
        let link = invite_ada(&mut world);
        let before = invite(&world, 1);
        let cases = others.map(|text| (with_email(5, text), other));
        for (actor, expected) in cases.into_iter().chain([(person(5), nobody)]) {
            let mut world = world.clone();
            let outcome = world.accept(&actor, user_member(5), link);
            refused(&outcome, expected);
            if let Err(CommandError::WrongAccount { hint }) = outcome {
                assert_eq!(hint, "a***@corp.example", "masked");
                assert_eq!(invite(&world, 1), before, "nothing is used up");
                assert_eq!(world.phase(0, &user_member(5)), Phase::Never);
                done(&accept(&mut world, link));
            }
        }
        done(&accept(&mut world, link));
        // One of several verified addresses is enough.
        let link = send(&mut world, 2, BEA, InviteDraft::new());
        let actor = with_email(6, "z@z.example").with_verified_email(email(BEA));
        done(&world.accept(&actor, user_member(6), link));
        assert_eq!(
            membership(&world, &user_member(6)).profile.email,
            Some(email(BEA)),
            "the host is shown the address that it invited"
        );
    }
}

#[test]
fn an_address_that_is_shown_is_verified_whatever_the_policy() {
    let mut world = world();
    set(&mut world, |s| s.address_check = AddressCheck::Bearer);
    let link = invite_ada(&mut world);
    let command = MemberCommand::Accept {
        token: presented(link),
        member: user_member(5),
        profile: Profile {
            email: Some(email("ceo@corp.example")),
            ..Profile::default()
        },
        proxy: ProxyUserId::from_bytes([1; 16]),
    };
    refused(&world.member(0, &person(5), command), "email-not-verified");
    assert_eq!(status(&world, 1), InviteStatus::Pending);
}

#[test]
fn nobody_accepts_for_somebody_else() {
    let mut world = world();
    let link = invite_ada(&mut world);
    refused(
        &world.accept(&ada(), user_member(5), link),
        "not-the-member",
    );
    done(&world.accept(&Actor::system(), as_ada(), link));
}

#[test]
fn an_invite_is_accepted_once() {
    // Better Auth made a second row of a second acceptance.
    let mut world = world();
    let link = invite_ada(&mut world);
    let outcome = accept(&mut world, link);
    assert_eq!(names(&outcome), ["invite-accepted", "membership-joined"]);
    let closed = invite(&world, 1).closed.unwrap();
    assert_eq!((closed.member, closed.by), (Some(as_ada()), ada().by()));
    let record = membership(&world, &as_ada());
    assert_eq!(
        record.door,
        Door::Invite {
            invite: invite_id(1),
            generation: Generation::FIRST
        }
    );
    unchanged(&accept(&mut world, link));
    assert_eq!(membership(&world, &as_ada()), record);
    assert_eq!(rows_of(&world, &as_ada()), 1);
    // Another person with the same address, and one who only has the token.
    for actor in [with_email(5, ADA), person(5)] {
        refused(&world.accept(&actor, user_member(5), link), "invalid-token");
    }
    refused(&world.accept(&person(5), as_ada(), link), "invalid-token");
    // It doesn't open again when the membership is over.
    leave(&mut world, 4);
    unchanged(&accept(&mut world, link));
    assert_eq!(phase(&world), Phase::Cancelled);
    world.check();
}

#[test]
fn a_token_opens_what_it_was_made_for_and_nothing_else() {
    let mut world = world();
    let invited = invite_ada(&mut world);
    let link = token(&world, 2);
    let unknown = world.draw(&org(0)).selector;
    for token in [link, unknown] {
        refused(&accept(&mut world, token), "invalid-token");
        refused(&decline(&mut world, &ada(), token), "invalid-token");
    }
    refused(&world.claim(&ada(), as_ada(), invited), "invalid-token");
    let token = Presented {
        selector: invited,
        genuine: false,
    };
    let forged = MemberCommand::Accept {
        token: token.clone(),
        member: as_ada(),
        profile: Profile::default(),
        proxy: ProxyUserId::from_bytes([1; 16]),
    };
    refused(&world.member(0, &ada(), forged.clone()), "invalid-token");
    let refusal = InviteCommand::Decline { token };
    refused(&world.invite(0, &ada(), refusal), "invalid-token");
    done(&accept(&mut world, invited));
    // Not even "unchanged" for who guesses the selector of an accepted one.
    refused(&world.member(0, &ada(), forged), "invalid-token");
}

#[test]
fn a_token_of_another_host_opens_nothing() {
    // Zulip: the link of one organization let people join another one.
    let mut world = world();
    let link = invite_ada(&mut world);
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    for command in [
        Command::Member(MemberCommand::Accept {
            token: presented(link),
            member: as_ada(),
            profile: Profile::default(),
            proxy: ProxyUserId::from_bytes([1; 16]),
        }),
        Command::Invite(InviteCommand::Decline {
            token: presented(link),
        }),
    ] {
        let code = |host: u8| {
            let outcome = decide(world.records(), &org(host), &ada(), &command, &env);
            outcome.map_or_else(|error| error.code(), |_| "done")
        };
        assert_eq!((code(0), code(1)), ("done", "invalid-token"));
    }
    let mut declined = world.clone();
    decline(&mut declined, &ada(), link).unwrap();
    let token = presented(link);
    let again = Command::Invite(InviteCommand::Decline { token });
    let code = |host: u8| {
        let outcome = decide(declined.records(), &org(host), &ada(), &again, &env);
        outcome.map_or_else(|error| error.code(), |_| "unchanged")
    };
    assert_eq!((code(0), code(1)), ("unchanged", "invalid-token"));
    // The same id in another host is another invite.
    let other = world.send(1, &founder(1), 1, email(ADA), InviteDraft::new());
    done(&world.accept(&ada(), as_ada(), other.unwrap()));
    assert_eq!(world.phase(1, &as_ada()), Phase::Approved);
    assert_eq!(phase(&world), Phase::Never);
    assert_eq!(status(&world, 1), InviteStatus::Pending);
}

#[test]
fn an_invite_ends_at_its_end() {
    // Zulip looked at the expiry when it showed the page and not when it was sent off.
    let mut world = world();
    let draft = InviteDraft::new().expiry(Expiry::At(START + HOUR));
    let link = send(&mut world, 1, ADA, draft);
    world.now = START + Duration::from_micros(3_599_999_999);
    let mut in_time = world.clone();
    done(&accept(&mut in_time, link));
    world.pass(MICRO);
    refused(&accept(&mut world, link), "invalid-token");
    refused(&decline(&mut world, &ada(), link), "invalid-token");
    assert_eq!(world.opens(link), Err(TokenProblem::InviteExpired));
    assert_eq!(phase(&world), Phase::Never);
    // Once it is resent, the new token works.
    let link = resend(&mut world, 1);
    done(&accept(&mut world, link));
}

#[test]
fn a_closed_invite_opens_nothing() {
    for way in [
        Closing::Declined,
        Closing::Revoked,
        Closing::Replaced,
        Closing::Joined,
    ] {
        let mut world = world();
        set(&mut world, |s| s.second_invite = SecondInvite::Replace);
        let link = invite_ada(&mut world);
        let both = ada().with_verified_email(email(BEA));
        match way {
            Closing::Declined => decline(&mut world, &ada(), link).map(|_| ()),
            Closing::Revoked => revoke(&mut world, 1).map(|_| ()),
            Closing::Replaced => {
                send_by(&mut world, &founder(0), 2, ADA, InviteDraft::new()).map(|_| ())
            }
            Closing::Joined | Closing::Accepted => {
                let other = send(&mut world, 2, BEA, InviteDraft::new());
                world.accept(&both, as_ada(), other).map(|_| ())
            }
        }
        .unwrap();
        assert_eq!(closing(&world, 1), Some(way));
        refused(
            &world.accept(&with_email(5, ADA), user_member(5), link),
            "invalid-token",
        );
        refused(&accept(&mut world, link), "invalid-token");
        // Who may invite is told why.
        refused(
            &world.accept(&founder(0), user_member(0), link),
            "invite-closed",
        );
        world.check();
    }
}

#[test]
fn a_refusal_tells_nobody_else_why() {
    let mut world = world();
    let (first, second) = (invite_ada(&mut world), resend(&mut world, 1));
    revoke(&mut world, 1).unwrap();
    let mut texts = BTreeSet::new();
    let unknown = world.draw(&org(0)).selector;
    for token in [first, second, unknown, world.draw(&org(0)).selector] {
        let refusal = accept(&mut world, token).unwrap_err();
        texts.insert((refusal.to_string(), format!("{refusal:?}")));
    }
    assert_eq!(texts.len(), 1);
    let member = join(&mut world, 9, "member");
    refused(
        &world.accept(&member, user_member(9), second),
        "invalid-token",
    );
}

#[test]
fn standing_of_the_inviter_at_accept_at_approval_and_at_resend() {
    // Better Auth: the invite of a removed administrator still made administrators.
    for (standing, demoted, left) in [
        (Standing::Keep, true, true),
        (Standing::MustBeMember, true, false),
        (Standing::MustHoldRight, false, false),
    ] {
        for (way, works) in [("demoted", demoted), ("left", left), ("removed", left)] {
            let mut world = world();
            set(&mut world, |settings| {
                settings.standing = standing;
                settings.joins = Joins::AlwaysReview;
            });
            let admin = join(&mut world, 9, "admin");
            let draft = || InviteDraft::new().role(role("admin"));
            let waits = send_by(&mut world, &admin, 1, BEA, draft()).unwrap();
            let link = send_by(&mut world, &admin, 2, ADA, draft()).unwrap();
            world
                .accept(&with_email(5, BEA), user_member(5), waits)
                .unwrap();
            match way {
                "demoted" => change_role(&mut world, 9, "member"),
                "left" => leave(&mut world, 9),
                _ => remove(&mut world, user_member(9)),
            }
            let mut resent = world.clone();
            let at_resend = resend_by(&mut resent, &founder(0), 2);
            let at_approval = approve(&mut world, &founder(0), user_member(5));
            if works {
                done(&at_approval);
                not_sent(&at_resend, "sent");
                done(&accept(&mut world, link));
            } else {
                refused(&at_approval, "inviter-not-standing");
                not_sent(&at_resend, "inviter-not-standing");
                refused(
                    &world.accept(&founder(0), user_member(0), link),
                    "creator-not-standing",
                );
                refused(&accept(&mut world, link), "invalid-token");
                assert_eq!(phase(&world), Phase::Never);
                // The reviewer can give in their own name.
                let own = Some(with_role("member"));
                done(&approve_with(&mut world, &founder(0), user_member(5), own));
            }
        }
    }
}

#[test]
fn the_application_says_who_stands_for_an_invite_where_guestlist_keeps_no_membership() {
    let mut world = world();
    let kept = person(9).in_organization(org(0)).with_role(role("host"));
    let link = send_by(&mut world, &kept, 1, ADA, InviteDraft::new()).unwrap();
    refused(&accept(&mut world, link), "invalid-token");
    not_sent(
        &resend_by(&mut world, &founder(0), 1),
        "inviter-not-standing",
    );
    world.stated.insert((org(0), user(9)), role("member"));
    refused(&accept(&mut world, link), "invalid-token");
    world.stated.insert((org(0), user(9)), role("host"));
    done(&accept(&mut world, link));
    assert_eq!(phase(&world), Phase::Approved);
}

#[test]
fn who_decides_whether_an_accepted_invite_is_reviewed() {
    for (joins, by_inviter, by_host) in [
        (Joins::LinkDecides, Phase::Pending, Phase::Approved),
        (Joins::AlwaysReview, Phase::Pending, Phase::Pending),
        (Joins::AlwaysAuto, Phase::Approved, Phase::Approved),
    ] {
        for standing in [
            Standing::Keep,
            Standing::MustBeMember,
            Standing::MustHoldRight,
        ] {
            for (name, expected) in [("inviter", by_inviter), ("host", by_host)] {
                let mut world = world();
                set(&mut world, |settings| {
                    settings.joins = joins;
                    settings.standing = standing;
                });
                let sender = join(&mut world, 9, name);
                let link = send_by(&mut world, &sender, 1, ADA, InviteDraft::new()).unwrap();
                done(&accept(&mut world, link));
                assert_eq!(phase(&world), expected, "{joins:?} {standing:?} {name}");
                if expected == Phase::Pending {
                    unchanged(&accept(&mut world, link));
                    done(&approve(&mut world, &founder(0), as_ada()));
                    assert_eq!(phase(&world), Phase::Approved);
                }
                world.check();
            }
        }
    }
}

#[test]
fn an_inviter_who_may_not_approve_any_more_sends_to_review() {
    for (standing, expected) in [
        (Standing::MustHoldRight, Phase::Pending),
        (Standing::MustBeMember, Phase::Pending),
        (Standing::Keep, Phase::Approved),
    ] {
        let mut world = world();
        set(&mut world, |settings| settings.standing = standing);
        let sender = join(&mut world, 9, "host");
        let link = send_by(&mut world, &sender, 1, ADA, InviteDraft::new()).unwrap();
        change_role(&mut world, 9, "inviter");
        done(&accept(&mut world, link));
        assert_eq!(phase(&world), expected, "{standing:?}");
    }
}

#[test]
fn a_gift_that_the_inviter_may_not_make_any_more_goes_to_review_whole() {
    for joins in [Joins::LinkDecides, Joins::AlwaysAuto] {
        let mut world = world();
        set(&mut world, |settings| settings.joins = joins);
        let admin = join(&mut world, 9, "admin");
        let draft = InviteDraft::new().role(role("admin")).group(group_id(1));
        let link = send_by(&mut world, &admin, 1, ADA, draft).unwrap();
        change_role(&mut world, 9, "host");
        done(&accept(&mut world, link));
        let record = membership(&world, &as_ada());
        assert_eq!(record.status, Some(Status::Pending));
        assert_eq!(record.role, Some(role("admin")), "never to less in silence");
        assert_eq!(record.groups, [group_id(1)].into());
        done(&approve(&mut world, &founder(0), as_ada()));
        assert_eq!(membership(&world, &as_ada()).role, Some(role("admin")));
    }
}

#[test]
fn under_keep_an_invite_gives_what_its_sender_could_give_then() {
    let mut world = world();
    set(&mut world, |settings| settings.standing = Standing::Keep);
    let admin = join(&mut world, 9, "admin");
    let draft = InviteDraft::new().role(role("admin"));
    let link = send_by(&mut world, &admin, 1, ADA, draft).unwrap();
    change_role(&mut world, 9, "member");
    done(&accept(&mut world, link));
    let record = membership(&world, &as_ada());
    assert_eq!(record.status, Some(Status::Approved));
    assert_eq!(record.role, Some(role("admin")));
}

#[test]
fn an_invite_to_a_group_that_is_gone_goes_to_review() {
    for standing in [Standing::Keep, Standing::MustHoldRight] {
        let mut world = world();
        set(&mut world, |settings| settings.standing = standing);
        let draft = InviteDraft::new().group(group_id(1));
        let link = send(&mut world, 1, ADA, draft);
        let delete = AccessCommand::DeleteGroup { group: group_id(1) };
        world.access(0, &founder(0), delete).unwrap();
        done(&accept(&mut world, link));
        assert_eq!(phase(&world), Phase::Pending);
        refused(&approve(&mut world, &founder(0), as_ada()), "not-found");
        let own = Some(with_role("member"));
        done(&approve_with(&mut world, &founder(0), as_ada(), own));
    }
}

#[test]
fn an_invite_to_a_role_that_is_gone_gives_no_other() {
    // Keycloak: presets that named removed roles.
    let mut world = world();
    let link = send(&mut world, 1, ADA, InviteDraft::new().role(role("host")));
    world.roles = guestlist_access::RoleCatalog::owner_admin_member();
    refused(&accept(&mut world, link), "unknown-role");
    assert_eq!(status(&world, 1), InviteStatus::Pending);
    not_sent(&resend_by(&mut world, &founder(0), 1), "unknown-role");
}

#[test]
fn an_invite_gives_a_member_more_and_never_less() {
    let mut world = world();
    join(&mut world, 4, "inviter");
    let episode = membership(&world, &as_ada()).episode;
    let draft = InviteDraft::new().role(role("admin")).group(group_id(1));
    let link = send(&mut world, 1, ADA, draft.grant(read("a/")));
    let outcome = accept(&mut world, link);
    assert_eq!(
        names(&outcome),
        ["invite-accepted", "membership-gift-added"]
    );
    let record = membership(&world, &as_ada());
    assert_eq!((record.episode, record.door), (episode, Door::Added));
    assert_eq!(record.role, Some(role("admin")));
    assert_eq!(record.groups, [group_id(1)].into());
    assert_eq!(record.grants, [read("a/")]);
    unchanged(&accept(&mut world, link));

    let draft = InviteDraft::new().role(role("member")).group(group_id(2));
    let link = send(&mut world, 2, ADA, draft);
    done(&accept(&mut world, link));
    let record = membership(&world, &as_ada());
    assert_eq!(record.role, Some(role("admin")), "never lower");
    assert_eq!(record.groups, [group_id(1), group_id(2)].into());

    // One that gives nothing new is over all the same.
    let link = send(&mut world, 3, ADA, InviteDraft::new());
    assert_eq!(names(&accept(&mut world, link)), ["invite-accepted"]);
    assert_eq!(membership(&world, &as_ada()), record);
    assert_eq!(rows_of(&world, &as_ada()), 1);
    world.check();
}

#[test]
fn an_invite_can_make_a_member_an_owner_who_has_no_end() {
    let mut world = world();
    let owner = || InviteDraft::new().role(role("owner"));
    let short = InviteDraft::new().membership_ttl(Lasting::For(HOUR));
    let link = send(&mut world, 1, ADA, short);
    accept(&mut world, link).unwrap();
    let both = ada().with_verified_email(email(BEA));
    let link = send(&mut world, 2, BEA, owner());
    refused(&world.accept(&both, as_ada(), link), "owner-can-not-expire");
    assert_eq!(status(&world, 2), InviteStatus::Pending);

    join(&mut world, 6, "member");
    let link = send(&mut world, 3, CEM, owner());
    let outcome = world.accept(&with_email(6, CEM), user_member(6), link);
    assert_eq!(
        names(&outcome),
        ["invite-accepted", "membership-gift-added", "owner-added"]
    );
    world.check();
}

#[test]
fn a_member_gets_nothing_more_from_who_may_not_give_it() {
    let mut world = world();
    join(&mut world, 4, "member");
    let before = membership(&world, &as_ada());
    let admin = join(&mut world, 9, "admin");
    let draft = InviteDraft::new().role(role("admin"));
    let link = send_by(&mut world, &admin, 1, ADA, draft).unwrap();
    change_role(&mut world, 9, "host");
    assert_eq!(names(&accept(&mut world, link)), ["invite-accepted"]);
    assert_eq!(membership(&world, &as_ada()), before);
}

#[test]
fn a_waiting_request_resolves_to_the_membership_and_its_link_gets_the_use_back() {
    // "A request that is pending when an invite is accepted resolves to the membership, never to
    // already exists" (spec 2).
    let mut world = world();
    let once = LinkDraft::review().max_uses(Uses::AtMost(1));
    world.create(0, &founder(0), 3, once).unwrap();
    claim(&mut world, 3).unwrap();
    let once = token(&world, 3);
    refused(
        &world.claim(&person(5), user_member(5), once),
        "invalid-token",
    );
    let draft = InviteDraft::new().role(role("host")).group(group_id(1));
    let link = send(&mut world, 1, ADA, draft);
    let outcome = accept(&mut world, link);
    assert_eq!(names(&outcome), ["invite-accepted", "membership-approved"]);
    let record = membership(&world, &as_ada());
    assert_eq!(record.status, Some(Status::Approved));
    assert_eq!(record.episode, Episode::new(1), "the same membership");
    assert_eq!(record.door.invite(), Some(invite_id(1)));
    assert_eq!(record.role, Some(role("host")));
    assert_eq!(world.uses(&org(0), link_id(3)), 0);
    world.check();
    done(&world.claim(&person(5), user_member(5), once));
}

#[test]
fn a_waiting_request_waits_on_where_the_invite_needs_review() {
    let mut world = world();
    let inviter = join(&mut world, 9, "inviter");
    claim(&mut world, 1).unwrap();
    let before = membership(&world, &as_ada());
    let link = send_by(&mut world, &inviter, 1, ADA, InviteDraft::new()).unwrap();
    assert_eq!(names(&accept(&mut world, link)), ["invite-accepted"]);
    assert_eq!(membership(&world, &as_ada()), before);
    assert_eq!(world.uses(&org(0), link_id(1)), 1);
    world.check();
}

#[test]
fn an_invite_takes_a_seat() {
    let mut world = world();
    set(&mut world, |settings| settings.seats = Some(seats(1)));
    let link = invite_ada(&mut world);
    let before = invite(&world, 1);
    refused(&accept(&mut world, link), "seats-full");
    assert_eq!(invite(&world, 1), before);
    set(&mut world, |settings| settings.seats = Some(seats(2)));
    done(&accept(&mut world, link));
    assert_eq!(world.records().seat_tally(&org(0)), Some(2));
    // Who has a seat needs none.
    let both = ada().with_verified_email(email(BEA));
    let link = send(&mut world, 2, BEA, InviteDraft::new().role(role("host")));
    done(&world.accept(&both, as_ada(), link));
    assert_eq!(world.records().seat_tally(&org(0)), Some(2));
    world.check();
}

#[test]
fn what_an_invite_carries_travels_to_the_membership() {
    let mut world = world();
    let metadata = Metadata::from_json(r#"{"campaign":"spring"}"#).unwrap();
    let draft = InviteDraft::new()
        .metadata(metadata.clone())
        .membership_ttl(Lasting::For(HOUR));
    let link = send(&mut world, 1, ADA, draft);
    world.pass(MINUTE);
    accept(&mut world, link).unwrap();
    let record = membership(&world, &as_ada());
    assert_eq!(record.metadata, metadata);
    assert_eq!(record.expires_at, Some(START + MINUTE + HOUR));
    world.pass(HOUR);
    assert_eq!(phase(&world), Phase::Expired);
    // A membership that has run out ends before the next one begins.
    let next = send(&mut world, 2, ADA, InviteDraft::new());
    assert_eq!(
        names(&accept(&mut world, next)),
        ["membership-expired", "invite-accepted", "membership-joined"]
    );
    world.check();
}

/// "A single sign-on flag per call" (spec 4): how somebody is to sign in is said with each item.
#[test]
fn an_invite_says_how_to_sign_in() {
    let mut world = world();
    for (number, sign_on) in [
        (1, SignOn::Usual),
        (2, SignOn::Single),
        (3, SignOn::Elsewhere),
    ] {
        let text = format!("a{number}@corp.example");
        let mut new = new(&mut world, number, &text, InviteDraft::new());
        new.sign_on = sign_on;
        let (items, _) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, vec![new]);
        assert_eq!(items, ["invited"]);
        let row = world.records().invite(&org(0), invite_id(number));
        assert_eq!(row.unwrap().config.sign_on, sign_on);
    }
}

#[test]
fn a_block_refuses_an_invite() {
    let mut world = world();
    let link = invite_ada(&mut world);
    block(&mut world, as_ada());
    refused(&accept(&mut world, link), "blocked");
    assert_eq!(status(&world, 1), InviteStatus::Pending);
    let command = MemberCommand::Unblock { member: as_ada() };
    world.member(0, &founder(0), command).unwrap();
    done(&accept(&mut world, link));
    // Also for who is in.
    block(&mut world, as_ada());
    let both = ada().with_verified_email(email(BEA));
    let link = send(&mut world, 2, BEA, InviteDraft::new().role(role("admin")));
    refused(&world.accept(&both, as_ada(), link), "blocked");
}

#[test]
fn whom_the_application_keeps_itself_is_a_member_already() {
    let mut world = world();
    let link = invite_ada(&mut world);
    let kept = ada().in_organization(org(0)).with_role(role("member"));
    refused(&world.accept(&kept, as_ada(), link), "already-member");
    assert_eq!(status(&world, 1), InviteStatus::Pending);
}

#[test]
fn an_invite_from_before_a_removal_is_dead_and_a_newer_one_goes_to_review() {
    for joins in [Joins::LinkDecides, Joins::AlwaysAuto] {
        let mut world = world();
        set(&mut world, |settings| settings.joins = joins);
        claim(&mut world, 2).unwrap();
        let old = invite_ada(&mut world);
        world.pass(HOUR);
        remove(&mut world, as_ada());
        refused(&accept(&mut world, old), "invalid-token");
        // One of the same moment is not newer.
        let same = resend(&mut world, 1);
        refused(&accept(&mut world, same), "invalid-token");
        assert_eq!(status(&world, 1), InviteStatus::Pending);
        world.pass(MICRO);
        let mut lifted = world.clone();
        let newer = resend(&mut world, 1);
        done(&accept(&mut world, newer));
        assert_eq!(phase(&world), Phase::Pending);
        done(&approve(&mut world, &founder(0), as_ada()));

        let command = MemberCommand::LiftRemoval { member: as_ada() };
        lifted.member(0, &founder(0), command).unwrap();
        done(&accept(&mut lifted, same));
        assert_eq!(phase(&lifted), Phase::Approved);
    }
}

#[test]
fn after_a_rejection_an_invite_is_the_hosts_answer_if_it_is_newer() {
    let cases = [
        (AfterRejection::Again, "done"),
        (AfterRejection::CoolDown(HOUR), "cooling-down"),
        (AfterRejection::NotThisLink, "done"),
        (AfterRejection::InviteOnly, "invite-only"),
    ];
    for (policy, older) in cases {
        let mut world = world();
        set(&mut world, |settings| settings.after_rejection = policy);
        let first = invite_ada(&mut world);
        claim(&mut world, 1).unwrap();
        world.pass(MINUTE);
        reject(&mut world, as_ada());
        let mut tried = world.clone();
        refused(&accept(&mut tried, first), older);
        // One of the same moment is not newer.
        let same = resend(&mut world, 1);
        let mut tried = world.clone();
        refused(&accept(&mut tried, same), older);
        world.pass(MICRO);
        let newer = resend(&mut world, 1);
        done(&accept(&mut world, newer));
        assert_eq!(phase(&world), Phase::Approved, "{policy:?}");
        let record = membership(&world, &as_ada());
        assert_eq!(record.rejected_at, None);
        world.check();
    }
}

#[test]
fn accepting_closes_the_other_invites_of_the_same_person_in_that_host() {
    let mut world = world();
    let draft = InviteDraft::new;
    let link = invite_ada(&mut world);
    send(&mut world, 2, BEA, draft());
    send(&mut world, 3, CEM, draft());
    let short = draft().expiry(Expiry::After(MINUTE));
    send(&mut world, 4, "ada@home.example", short);
    let elsewhere = world.send(1, &founder(1), 5, email(ADA), draft()).unwrap();
    world.pass(MINUTE);
    let both = ada()
        .with_verified_email(email(BEA))
        .with_verified_email(email("ada@home.example"));
    assert_eq!(
        names(&world.accept(&both, as_ada(), link)),
        [
            "invite-accepted",
            "invite-joined-otherwise",
            "membership-joined"
        ]
    );
    assert_eq!(closing(&world, 2), Some(Closing::Joined));
    assert_eq!(status(&world, 3), InviteStatus::Pending, "somebody else's");
    assert_eq!(closing(&world, 4), None, "its time was over");
    done(&world.accept(&both, as_ada(), elsewhere));
    assert_eq!(world.phase(1, &as_ada()), Phase::Approved);
    world.check();
}

#[test]
fn organizations_accept_what_is_for_organizations() {
    let mut world = world();
    let draft = InviteDraft::new;
    let binds = founder(1).with_verified_email(email(ADA));
    let link = invite_ada(&mut world);
    refused(
        &world.accept(&binds, org_member(1), link),
        "wrong-kind-of-member",
    );
    let for_orgs = draft().joined_by(JoinedBy::Organizations);
    let link = send(&mut world, 2, BEA, for_orgs.group(group_id(1)));
    let ada = ada().with_verified_email(email(BEA));
    refused(&world.accept(&ada, as_ada(), link), "wrong-kind-of-member");
    // Somebody of the organization who may not bind it, and somebody from elsewhere.
    let clerk = ada
        .clone()
        .in_organization(org(1))
        .with_role(role("member"));
    refused(&world.accept(&clerk, org_member(1), link), "not-allowed");
    refused(&world.accept(&ada, org_member(1), link), "not-the-member");
    assert_eq!(status(&world, 2), InviteStatus::Pending);
    let binds = binds.with_verified_email(email(BEA));
    done(&world.accept(&binds, org_member(1), link));
    let record = membership(&world, &org_member(1));
    assert_eq!(record.status, Some(Status::Approved));
    assert_eq!((record.role, record.profile.email), (None, None));
    assert!(record.proxy.is_some());
    assert_eq!(record.groups, [group_id(1)].into());
    world.check();
}

#[test]
fn an_organization_accepts_no_invite_of_its_own() {
    let mut world = world();
    let draft = InviteDraft::new().joined_by(JoinedBy::Both);
    let link = send(&mut world, 1, ADA, draft);
    let actor = founder(0).with_verified_email(email(ADA));
    refused(
        &world.accept(&actor, org_member(0), link),
        "own-organization",
    );
    assert_eq!(status(&world, 1), InviteStatus::Pending);
}

#[test]
fn a_clock_that_steps_back_revives_no_invite() {
    let mut world = world();
    let short = InviteDraft::new().expiry(Expiry::After(HOUR));
    let over = send(&mut world, 1, ADA, short);
    let taken_back = send(&mut world, 2, BEA, InviteDraft::new());
    let replaced = send(&mut world, 3, CEM, InviteDraft::new());
    world.pass(HOUR);
    expire(&mut world, 1).unwrap();
    revoke(&mut world, 2).unwrap();
    let newer = resend(&mut world, 3);
    world.now = START;
    for (number, text, token) in [(4, ADA, over), (5, BEA, taken_back), (6, CEM, replaced)] {
        let actor = with_email(number, text);
        refused(
            &world.accept(&actor, user_member(number), token),
            "invalid-token",
        );
    }
    done(&world.accept(&with_email(6, CEM), user_member(6), newer));
    let record = membership(&world, &user_member(6));
    assert_eq!(record.opened_at, START + HOUR, "not before its token");
    world.check();
}

// Resending, revoking, declining.

#[test]
fn resending_makes_a_new_token_and_changes_nothing_else() {
    // Better Auth changed the role or kept an old one in silence.
    let mut world = world();
    let draft = InviteDraft::new()
        .role(role("host"))
        .group(group_id(1))
        .expiry(Expiry::At(START + HOUR));
    let first = send(&mut world, 1, ADA, draft);
    report(&mut world, &founder(0), 1, 1, false).unwrap();
    let admin = join(&mut world, 9, "admin");
    for (pass, generation) in [(MINUTE, 2), (HOUR, 3)] {
        let before = invite(&world, 1);
        let old = before.token.unwrap();
        world.pass(pass);
        if generation == 3 {
            expire(&mut world, 1).unwrap();
        }
        let now = world.now;
        let token = resend_by(&mut world, &admin, 1).unwrap();
        let expected = EmailInvite {
            generation: Generation::new(generation),
            token: Some(token),
            delivery: Delivery::Unknown,
            expires_at: Some(now + HOUR),
            expired_at: None,
            sent_at: now,
            updated_at: now,
            ..before
        };
        assert_eq!(invite(&world, 1), expected);
        assert_eq!(expected.creator, Some(user(0)));
        refused(&accept(&mut world, old), "invalid-token");
        assert_eq!(world.opens(old), Err(TokenProblem::Retired));
        refused(
            &world.accept(&founder(0), user_member(0), old),
            "token-retired",
        );
        world.check();
    }
    refused(&accept(&mut world, first), "invalid-token");
    let live = invite(&world, 1).token.unwrap();
    done(&accept(&mut world, live));
    let record = membership(&world, &as_ada());
    assert_eq!(record.role, Some(role("host")));
    assert_eq!(
        record.door,
        Door::Invite {
            invite: invite_id(1),
            generation: Generation::new(3)
        }
    );
}

#[test]
fn an_invite_without_an_end_has_none_when_it_is_resent() {
    let mut world = world();
    send(&mut world, 1, ADA, InviteDraft::new().expiry(Expiry::Never));
    resend(&mut world, 1);
    assert_eq!(invite(&world, 1).expires_at, None);
}

#[test]
fn only_a_pending_invite_is_resent() {
    for (way, found) in [
        (Closing::Accepted, InvitePhase::Accepted),
        (Closing::Declined, InvitePhase::Declined),
        (Closing::Revoked, InvitePhase::Revoked),
    ] {
        let mut world = world();
        let link = invite_ada(&mut world);
        match way {
            Closing::Accepted => accept(&mut world, link),
            Closing::Declined => decline(&mut world, &ada(), link),
            Closing::Revoked | Closing::Replaced | Closing::Joined => revoke(&mut world, 1),
        }
        .unwrap();
        let before = invite(&world, 1);
        assert_eq!(
            resend_by(&mut world, &founder(0), 1),
            Err(CommandError::WrongInviteState {
                command: "resend",
                found
            })
        );
        assert_eq!(invite(&world, 1), before);
    }
}

#[test]
fn an_invite_whose_address_was_taken_by_another_is_not_resent() {
    let mut world = world();
    let short = InviteDraft::new().expiry(Expiry::After(MINUTE));
    send(&mut world, 1, ADA, short);
    world.pass(MINUTE);
    let second = send(&mut world, 2, ADA, InviteDraft::new());
    not_sent(&resend_by(&mut world, &founder(0), 1), "already-invited");
    revoke(&mut world, 2).unwrap();
    refused(&accept(&mut world, second), "invalid-token");
    not_sent(&resend_by(&mut world, &founder(0), 1), "sent");
    world.check();
}

#[test]
fn who_resends_must_be_able_to_give_it() {
    let mut world = world();
    let inviter = join(&mut world, 3, "inviter");
    send(&mut world, 1, ADA, InviteDraft::new().role(role("host")));
    send(&mut world, 2, BEA, InviteDraft::new().grant(read("a/")));
    send(&mut world, 3, CEM, InviteDraft::new());
    not_sent(&resend_by(&mut world, &inviter, 1), "role-above-own");
    not_sent(&resend_by(&mut world, &inviter, 2), "share-not-held");
    not_sent(&resend_by(&mut world, &inviter, 3), "sent");
    // Once the group is gone, nobody gives it.
    let draft = InviteDraft::new().group(group_id(1));
    send(&mut world, 4, "dee@corp.example", draft);
    let delete = AccessCommand::DeleteGroup { group: group_id(1) };
    world.access(0, &founder(0), delete).unwrap();
    not_sent(&resend_by(&mut world, &founder(0), 4), "not-found");
}

#[test]
fn no_selector_of_an_invite_is_issued_twice() {
    let mut world = world();
    invite_ada(&mut world);
    let token = world.draw(&org(0));
    let selector = token.selector;
    let resend = InviteCommand::Resend {
        invite: invite_id(1),
        token: token.clone(),
    };
    world.invite(0, &founder(0), resend.clone()).unwrap();
    refused(&world.invite(0, &founder(0), resend), "selector-taken");
    let used = NewInvite {
        token: token.clone(),
        ..new(&mut world, 2, BEA, InviteDraft::new())
    };
    let (items, _) = batch(&mut world, &founder(0), Mode::EachOnItsOwn, vec![used]);
    assert_eq!(items, ["selector-taken"]);
    // A link's token and an invite's are of one kind.
    let create = LinkCommand::Create {
        link: link_id(9),
        draft: Box::new(LinkDraft::auto()),
        token,
        as_default: false,
    };
    refused(&world.link(0, &founder(0), create), "selector-taken");
    done(&accept(&mut world, selector));
}

#[test]
fn an_invite_is_revoked_while_it_waits_and_never_afterwards() {
    // Better Auth: cancelling an accepted invite turned its record over.
    let mut world = world();
    let link = invite_ada(&mut world);
    let mut accepted = world.clone();
    assert_eq!(names(&revoke(&mut world, 1)), ["invite-revoked"]);
    let closed = invite(&world, 1).closed.unwrap();
    assert_eq!((closed.by, closed.member), (founder(0).by(), None));
    unchanged(&revoke(&mut world, 1));
    refused(&accept(&mut world, link), "invalid-token");
    // The address is free again.
    send(&mut world, 2, ADA, InviteDraft::new());
    world.check();

    accept(&mut accepted, link).unwrap();
    let (before, record) = (invite(&accepted, 1), membership(&accepted, &as_ada()));
    refused(&revoke(&mut accepted, 1), "wrong-invite-state");
    assert_eq!(invite(&accepted, 1), before);
    assert_eq!(membership(&accepted, &as_ada()), record);
}

#[test]
fn an_invite_that_has_expired_can_be_revoked() {
    let mut world = world();
    let short = || InviteDraft::new().expiry(Expiry::After(MINUTE));
    send(&mut world, 1, ADA, short());
    send(&mut world, 2, BEA, short());
    world.pass(MINUTE);
    expire(&mut world, 2).unwrap();
    // It does not take the address from the one that came after it.
    let second = send(&mut world, 3, BEA, InviteDraft::new());
    for number in [1, 2] {
        done(&revoke(&mut world, number));
        unchanged(&revoke(&mut world, number));
        unchanged(&expire(&mut world, number));
    }
    world.check();
    done(&world.accept(&with_email(5, BEA), user_member(5), second));
}

#[test]
fn declining_needs_the_address() {
    let mut world = world();
    let link = invite_ada(&mut world);
    for actor in [person(5), with_email(5, BEA)] {
        let outcome = decline(&mut world, &actor, link);
        let hint = "a***@corp.example".to_owned();
        assert_eq!(outcome, Err(CommandError::WrongAccount { hint }));
    }
    assert_eq!(status(&world, 1), InviteStatus::Pending);
    assert_eq!(
        names(&decline(&mut world, &ada(), link)),
        ["invite-declined"]
    );
    assert_eq!(invite(&world, 1).closed.unwrap().by, ada().by());
    unchanged(&decline(&mut world, &ada(), link));
    refused(&revoke(&mut world, 1), "wrong-invite-state");
    assert_eq!(phase(&world), Phase::Never);
    // Declining is no rejection: the host may ask again.
    let again = send(&mut world, 2, ADA, InviteDraft::new());
    done(&accept(&mut world, again));
    refused(&decline(&mut world, &ada(), again), "invalid-token");
    world.check();
}

#[test]
fn a_token_that_was_replaced_declines_nothing() {
    let mut world = world();
    let first = invite_ada(&mut world);
    let second = resend(&mut world, 1);
    refused(&decline(&mut world, &ada(), first), "invalid-token");
    done(&decline(&mut world, &ada(), second));
}

// Delivery and preview.

#[test]
fn a_report_is_about_the_token_that_was_mailed() {
    let mut world = world();
    let founder = founder(0);
    invite_ada(&mut world);
    let delivery = |world: &World| invite(world, 1).delivery;
    assert_eq!(delivery(&world), Delivery::Unknown);
    let outcome = report(&mut world, &founder, 1, 1, false);
    assert_eq!(names(&outcome), ["invite-undelivered"]);
    assert_eq!(delivery(&world), Delivery::Undelivered);
    unchanged(&report(&mut world, &founder, 1, 1, false));
    let outcome = report(&mut world, &founder, 1, 1, true);
    assert_eq!(names(&outcome), ["invite-delivered"]);
    assert_eq!(delivery(&world), Delivery::Sent);
    // A late one about a token that was replaced says nothing, nor one about a token to come.
    resend(&mut world, 1);
    for generation in [1, 3] {
        unchanged(&report(&mut world, &founder, 1, generation, false));
    }
    assert_eq!(delivery(&world), Delivery::Unknown);
    done(&report(&mut world, &founder, 1, 2, true));
    // An undelivered invite can be accepted: mail systems are wrong at times.
    done(&report(&mut world, &founder, 1, 2, false));
    let live = invite(&world, 1).token.unwrap();
    done(&accept(&mut world, live));
    unchanged(&report(&mut world, &founder, 1, 2, true));
    unchanged(&report(&mut world, &founder, 77, 1, true));
    world.check();
}

#[test]
fn several_reports_in_one_command() {
    let mut world = world();
    invite_ada(&mut world);
    send(&mut world, 2, BEA, InviteDraft::new());
    send(&mut world, 3, CEM, InviteDraft::new());
    revoke(&mut world, 3).unwrap();
    let one = |invite, sent| DeliveryReport {
        invite: invite_id(invite),
        generation: Generation::FIRST,
        sent,
    };
    let reports = vec![one(1, true), one(2, false), one(3, true), one(77, true)];
    let command = InviteCommand::ReportDelivery { reports };
    let outcome = world.invite(0, &Actor::system(), command);
    assert_eq!(names(&outcome), ["invite-delivered", "invite-undelivered"]);
}

#[test]
fn a_preview_shows_an_invite_and_changes_nothing() {
    let mut world = world();
    let draft = InviteDraft::new()
        .role(role("host"))
        .expiry(Expiry::After(HOUR));
    let link = send(&mut world, 1, ADA, draft);
    let inviter = join(&mut world, 3, "inviter");
    let reviewed = send_by(&mut world, &inviter, 2, BEA, InviteDraft::new()).unwrap();
    let for_orgs = InviteDraft::new().joined_by(JoinedBy::Organizations);
    let for_orgs = send(&mut world, 3, CEM, for_orgs);
    let look = |world: &World, token: Selector| {
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        let seen = preview(world.records(), &presented(token), &env);
        (seen, problem(world.records(), &presented(token), &env))
    };
    let host = world.records().organization(&org(0)).unwrap();
    let expected = InvitePreview {
        host_name: host.name.clone(),
        host_display_name: None,
        address_hint: "a***@corp.example".to_owned(),
        role: Some(role("host")),
        message: None,
        needs_review: false,
        expires_at: Some(START + HOUR),
        expired: false,
    };
    assert_eq!(look(&world, link), (Ok(expected.clone()), None));
    let seen = look(&world, reviewed).0.unwrap();
    assert!(seen.needs_review);
    assert_eq!(seen.role, Some(role("member")), "the lowest");
    assert_eq!(look(&world, for_orgs).0.unwrap().role, None);
    world.pass(HOUR);
    let expired = InvitePreview {
        expired: true,
        ..expected
    };
    assert_eq!(
        look(&world, link),
        (Ok(expired), Some(TokenProblem::InviteExpired))
    );
    revoke(&mut world, 1).unwrap();
    let (seen, why) = look(&world, link);
    assert_eq!(seen.unwrap_err().code(), "invalid-token");
    assert_eq!(why, Some(TokenProblem::InviteClosed));
    let (seen, why) = look(&world, token(&world, 1));
    assert_eq!(seen.unwrap_err().code(), "invalid-token");
    assert_eq!(why, Some(TokenProblem::Unknown));
}
