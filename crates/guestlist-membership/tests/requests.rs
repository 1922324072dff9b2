//! The sentences of the specification about asking to join without any invite, one test each.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

mod common;

use core::num::NonZeroU64;

use common::{
    ADA, HOUR, MICRO, MINUTE, Outcome, ada, approve, approve_with, as_ada, block, change_role,
    claim, done, email, join, leave, membership, names, person, phase, refused, reject, remove,
    set, set_by, token, unchanged, with_email, with_role, world,
};
use guestlist_access::{AccessCommand, Episode};
use guestlist_membership::invite::{InviteDraft, InviteStatus};
use guestlist_membership::link::{Expiry, Generation, JoinedBy, LinkDraft, Preset, Uses};
use guestlist_membership::member::{Door, MemberCommand, Phase, Profile, Status};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::testing::{
    World, founder, group_id, invite_id, link_id, org, org_member, role, user_member,
};
use guestlist_membership::{
    Actor, AddressCheck, AfterRejection, By, CommandError, Joins, Metadata, Requests, Seats,
    Standing,
};
use guestlist_token::Selector;
use guestlist_types::{Message, ProxyUserId};

const BEA: &str = "bea@corp.example";

/// The small world, with a host that can be found and asked.
fn open() -> World {
    let mut world = world();
    set(&mut world, |settings| {
        settings.discoverable = true;
        settings.requests.open = true;
    });
    world
}

fn ask(world: &mut World) -> Outcome {
    world.ask(0, &ada(), as_ada())
}

fn message() -> Message {
    Message::parse("Let me in.").unwrap()
}

fn ask_saying(world: &mut World, answers: &[&str]) -> Outcome {
    let command = MemberCommand::Request {
        member: as_ada(),
        profile: Profile::default(),
        message: Some(message()),
        answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
        proxy: ProxyUserId::from_bytes([1; 16]),
    };
    world.member(0, &ada(), command)
}

fn send(world: &mut World, invite: u8, text: &str, draft: InviteDraft) -> Selector {
    world
        .send(0, &founder(0), invite, email(text), draft)
        .unwrap()
}

fn status(world: &World, number: u8) -> InviteStatus {
    let record = world.records().invite(&org(0), invite_id(number));
    record.expect("an invite").status
}

fn gives(preset: Preset) -> impl FnOnce(&mut Settings) {
    |settings| settings.requests.preset = preset
}

fn with_group() -> Preset {
    Preset {
        role: Some(role("host")),
        groups: [group_id(1)].into(),
        ..Preset::default()
    }
}

fn delete_group(world: &mut World) {
    let delete = AccessCommand::DeleteGroup { group: group_id(1) };
    world.access(0, &founder(0), delete).unwrap();
}

#[test]
fn an_organization_that_cant_be_found_is_not_there() {
    // "Off = incognito: hidden from discovery, links and invites work as before" (spec 5).
    let nowhere = Err(CommandError::NotFound {
        what: "organization",
    });
    let mut hidden = open();
    set(&mut hidden, |settings| settings.discoverable = false);
    let mut suspended = open();
    let system = Actor::system();
    suspended
        .organization(0, &system, OrganizationCommand::Suspend)
        .unwrap();
    let mut deleted = open();
    deleted
        .organization(0, &founder(0), OrganizationCommand::Delete)
        .unwrap();
    for mut world in [world(), hidden.clone(), suspended, deleted] {
        for actor in [ada(), person(4)] {
            assert_eq!(world.ask(0, &actor, as_ada()), nowhere);
        }
        assert_eq!(world.ask(0, &founder(1), org_member(1)), nowhere);
        // Nor does it tell who may not ask from who may.
        assert_eq!(world.ask(0, &ada(), user_member(5)), nowhere);
        assert_eq!(world.ask(7, &ada(), as_ada()), nowhere);
        assert_eq!(phase(&world), Phase::Never);
    }
    let link = send(&mut hidden, 1, ADA, InviteDraft::new());
    block(&mut hidden, user_member(5));
    assert_eq!(hidden.ask(0, &ada(), as_ada()), nowhere);
    assert_eq!(hidden.ask(0, &person(5), user_member(5)), nowhere);
    done(&hidden.accept(&ada(), as_ada(), link));
    let link = token(&hidden, 2);
    done(&hidden.claim(&person(6), user_member(6), link));
}

#[test]
fn a_host_can_be_found_and_not_be_asked() {
    let mut world = open();
    set(&mut world, |settings| settings.requests.open = false);
    refused(&ask(&mut world), "requests-closed");
    assert_eq!(phase(&world), Phase::Never);
}

#[test]
fn the_host_says_which_kinds_may_ask() {
    for (kinds, user, organization) in [
        (JoinedBy::Both, "done", "done"),
        (JoinedBy::Users, "done", "wrong-kind-of-member"),
        (JoinedBy::Organizations, "wrong-kind-of-member", "done"),
    ] {
        let mut world = open();
        set(&mut world, |settings| settings.requests.joined_by = kinds);
        refused(&ask(&mut world), user);
        refused(&world.ask(0, &founder(1), org_member(1)), organization);
    }
}

#[test]
fn everybody_asks_for_themselves() {
    let mut world = open();
    refused(&world.ask(0, &ada(), user_member(5)), "not-the-member");
    refused(&world.ask(0, &ada(), org_member(1)), "not-the-member");
    let clerk = person(5).in_organization(org(1)).with_role(role("member"));
    refused(&world.ask(0, &clerk, org_member(1)), "not-allowed");
    refused(
        &world.ask(0, &founder(0), org_member(0)),
        "own-organization",
    );
    let kept = ada().in_organization(org(0)).with_role(role("member"));
    refused(&world.ask(0, &kept, as_ada()), "already-member");
    let command = MemberCommand::Request {
        member: as_ada(),
        profile: Profile {
            email: Some(email("ceo@corp.example")),
            ..Profile::default()
        },
        message: None,
        answers: Vec::new(),
        proxy: ProxyUserId::from_bytes([1; 16]),
    };
    refused(&world.member(0, &ada(), command), "email-not-verified");
    done(&world.ask(0, &Actor::system(), as_ada()));
}

#[test]
fn message_and_answers_travel_with_the_request() {
    let mut world = open();
    set(&mut world, |settings| {
        settings.requests.questions = vec!["Who?".to_owned(), "Why?".to_owned()];
    });
    let long = "x".repeat(2001);
    for (answers, expected) in [
        (vec![], "answers-missing"),
        (vec!["Ada"], "answers-missing"),
        (vec!["Ada", "So", "more"], "answers-missing"),
        (vec!["Ada", &long], "too-many"),
    ] {
        refused(&ask_saying(&mut world, &answers), expected);
    }
    let outcome = ask_saying(&mut world, &["Ada", "So"]);
    assert_eq!(names(&outcome), ["membership-requested"]);
    let record = membership(&world, &as_ada());
    assert_eq!(record.answers, ["Ada", "So"]);
    assert_eq!(record.message, Some(message()));
    assert_eq!(record.door, Door::Request);
    assert_eq!(record.metadata, Metadata::EMPTY);
    // They stay with it, and the next episode begins with its own.
    approve(&mut world, &founder(0), as_ada()).unwrap();
    assert_eq!(membership(&world, &as_ada()).message, Some(message()));
    leave(&mut world, 4);
    claim(&mut world, 1).unwrap();
    let record = membership(&world, &as_ada());
    assert_eq!((record.message, record.answers), (None, vec![]));
}

#[test]
fn a_request_waits_and_is_one() {
    let mut world = open();
    set(&mut world, |settings| settings.request_ttl = Some(HOUR));
    done(&ask(&mut world));
    let record = membership(&world, &as_ada());
    assert_eq!(record.status, Some(Status::Pending));
    world.pass(MINUTE);
    unchanged(&ask(&mut world));
    unchanged(&ask_saying(&mut world, &["unasked"]));
    unchanged(&claim(&mut world, 1));
    assert_eq!(membership(&world, &as_ada()), record);
    world.pass(HOUR);
    assert_eq!(phase(&world), Phase::RequestExpired);
    assert_eq!(
        names(&ask(&mut world)),
        ["membership-expired", "membership-requested"]
    );
    assert_eq!(membership(&world, &as_ada()).episode, Episode::new(2));
    world.check();
}

#[test]
fn a_member_who_asks_is_in_already() {
    let mut world = open();
    join(&mut world, 4, "member");
    let before = membership(&world, &as_ada());
    set(&mut world, |settings| {
        settings.joins = Joins::AlwaysAuto;
        settings.requests.preset = with_group();
    });
    send(&mut world, 1, ADA, InviteDraft::new().role(role("admin")));
    unchanged(&ask(&mut world));
    assert_eq!(membership(&world, &as_ada()), before);
    assert_eq!(status(&world, 1), InviteStatus::Pending);
}

#[test]
fn an_approval_gives_what_the_settings_said_within_the_reviewers_ceiling() {
    let mut world = open();
    set(&mut world, gives(with_group()));
    let admin = join(&mut world, 9, "admin");
    let member = join(&mut world, 8, "member");
    done(&ask(&mut world));
    refused(&approve(&mut world, &member, as_ada()), "not-allowed");
    done(&approve(&mut world, &admin, as_ada()));
    let record = membership(&world, &as_ada());
    assert_eq!(record.role, Some(role("host")));
    assert_eq!(record.groups, [group_id(1)].into());
    assert_eq!(record.approved_by, Some(admin.by()));

    // "Re-checked when the gift is made" (spec 6), also against who was there before.
    set(&mut world, gives(with_role("owner")));
    world.ask(0, &person(5), user_member(5)).unwrap();
    set(&mut world, gives(Preset::default()));
    refused(
        &approve(&mut world, &admin, user_member(5)),
        "role-above-own",
    );
    let mut own = world.clone();
    let changes = Some(with_role("host"));
    done(&approve_with(&mut own, &admin, user_member(5), changes));
    let outcome = approve(&mut world, &founder(0), user_member(5));
    assert_eq!(names(&outcome), ["membership-approved", "owner-added"]);
    world.check();
}

#[test]
fn a_request_for_a_group_that_is_gone_waits_for_another_gift() {
    for joins in [Joins::LinkDecides, Joins::AlwaysAuto] {
        let mut world = open();
        set(&mut world, |settings| {
            settings.joins = joins;
            settings.requests.preset = with_group();
        });
        delete_group(&mut world);
        done(&ask(&mut world));
        assert_eq!(phase(&world), Phase::Pending);
        refused(&approve(&mut world, &founder(0), as_ada()), "not-found");
        let own = Some(with_role("member"));
        done(&approve_with(&mut world, &founder(0), as_ada(), own));
    }
}

#[test]
fn only_a_host_that_reviews_nothing_lets_in_who_asks() {
    for (joins, expected) in [
        (Joins::LinkDecides, Phase::Pending),
        (Joins::AlwaysReview, Phase::Pending),
        (Joins::AlwaysAuto, Phase::Approved),
    ] {
        let mut world = open();
        set(&mut world, |settings| {
            settings.joins = joins;
            settings.requests.preset = with_group();
        });
        done(&ask(&mut world));
        done(&world.ask(0, &founder(1), org_member(1)));
        assert_eq!(phase(&world), expected);
        assert_eq!(world.phase(0, &org_member(1)), expected);
        let record = membership(&world, &as_ada());
        let by = (expected == Phase::Approved).then_some(By::Policy);
        assert_eq!(record.approved_by, by);
        assert_eq!(record.role, Some(role("host")));
        let proxy = membership(&world, &org_member(1)).proxy;
        assert_eq!(proxy.is_some(), expected == Phase::Approved);
        world.check();
    }
}

#[test]
fn what_can_not_be_given_is_reviewed_where_nothing_else_is() {
    let mut world = open();
    set(&mut world, |settings| {
        settings.joins = Joins::AlwaysAuto;
        settings.requests.preset = with_group();
    });
    delete_group(&mut world);
    done(&ask(&mut world));
    assert_eq!(phase(&world), Phase::Pending);
}

#[test]
fn asking_lets_a_waiting_request_in_where_nothing_is_reviewed() {
    let mut world = open();
    let once = LinkDraft::review().max_uses(Uses::AtMost(1));
    world.create(0, &founder(0), 3, once).unwrap();
    claim(&mut world, 3).unwrap();
    world.ask(0, &person(5), user_member(5)).unwrap();
    set(&mut world, |settings| settings.joins = Joins::AlwaysAuto);
    assert_eq!(names(&ask(&mut world)), ["membership-approved"]);
    let record = membership(&world, &as_ada());
    assert_eq!(record.door, Door::Request);
    assert_eq!(record.episode, Episode::new(1));
    assert_eq!(world.uses(&org(0), link_id(3)), 0, "the link's use is back");
    let other = world.ask(0, &person(5), user_member(5));
    assert_eq!(names(&other), ["membership-approved"]);
    world.check();
}

#[test]
fn a_request_takes_a_seat_like_any_other_door() {
    let seats = |count_pending| {
        Some(Seats {
            limit: NonZeroU64::new(1).unwrap(),
            count_pending,
        })
    };
    let mut world = open();
    set(&mut world, |settings| settings.seats = seats(true));
    refused(&ask(&mut world), "seats-full");
    set(&mut world, |settings| settings.seats = seats(false));
    done(&ask(&mut world));
    refused(&approve(&mut world, &founder(0), as_ada()), "seats-full");
    set(&mut world, |settings| settings.joins = Joins::AlwaysAuto);
    refused(&ask(&mut world), "seats-full");
    assert_eq!(phase(&world), Phase::Pending);
    world.check();
}

#[test]
fn after_a_removal_a_request_goes_to_review() {
    let mut world = open();
    set(&mut world, |settings| settings.joins = Joins::AlwaysAuto);
    done(&ask(&mut world));
    assert_eq!(phase(&world), Phase::Approved);
    world.pass(MINUTE);
    remove(&mut world, as_ada());
    let mut lifted = world.clone();
    done(&ask(&mut world));
    assert_eq!(phase(&world), Phase::Pending);
    unchanged(&ask(&mut world));
    done(&approve(&mut world, &founder(0), as_ada()));
    leave(&mut world, 4);
    done(&ask(&mut world));
    assert_eq!(phase(&world), Phase::Approved, "a person has let it in");

    let command = MemberCommand::LiftRemoval { member: as_ada() };
    lifted.member(0, &founder(0), command).unwrap();
    done(&ask(&mut lifted));
    assert_eq!(phase(&lifted), Phase::Approved);
}

#[test]
fn after_a_rejection_the_host_decides_who_asks_again() {
    for (policy, at_once, later) in [
        (AfterRejection::Again, "done", "done"),
        (AfterRejection::CoolDown(HOUR), "cooling-down", "done"),
        (AfterRejection::NotThisLink, "done", "done"),
        (AfterRejection::InviteOnly, "invite-only", "invite-only"),
    ] {
        for joins in [Joins::LinkDecides, Joins::AlwaysAuto] {
            let mut world = open();
            set(&mut world, |settings| settings.after_rejection = policy);
            done(&ask(&mut world));
            reject(&mut world, as_ada());
            set(&mut world, |settings| settings.joins = joins);
            let mut tried = world.clone();
            refused(&ask(&mut tried), at_once);
            world.pass(HOUR);
            refused(&ask(&mut world), later);
            // A newer invite is the host's answer to its own rejection.
            if later == "invite-only" {
                send(&mut world, 1, ADA, InviteDraft::new());
                done(&ask(&mut world));
                assert_eq!(phase(&world), Phase::Approved);
            }
        }
    }
}

#[test]
fn after_withdrawing_and_leaving_one_asks_again_always() {
    let mut world = open();
    set(&mut world, |settings| {
        settings.after_rejection = AfterRejection::InviteOnly;
    });
    for _ in 0..2 {
        done(&ask(&mut world));
        let command = MemberCommand::Cancel { member: as_ada() };
        done(&world.member(0, &ada(), command));
        done(&ask(&mut world));
        done(&approve(&mut world, &founder(0), as_ada()));
        leave(&mut world, 4);
    }
    assert_eq!(membership(&world, &as_ada()).episode, Episode::new(4));
}

#[test]
fn a_block_refuses_requests() {
    for joins in [Joins::LinkDecides, Joins::AlwaysAuto] {
        let mut world = open();
        set(&mut world, |settings| settings.joins = joins);
        block(&mut world, as_ada());
        refused(&ask(&mut world), "blocked");
        let command = MemberCommand::Unblock { member: as_ada() };
        world.member(0, &founder(0), command).unwrap();
        done(&ask(&mut world));
        // Also one that waits, or leads nowhere new.
        block(&mut world, as_ada());
        refused(&ask(&mut world), "blocked");
    }
}

// Crossing: "a request that is pending when an invite is accepted, or the reverse, resolves to the
// membership, never to already exists" (spec 2).

#[test]
fn who_is_invited_and_asks_is_answered_with_the_invite() {
    for is_open in [true, false] {
        let mut world = open();
        set(&mut world, |settings| settings.requests.open = is_open);
        let draft = InviteDraft::new().role(role("host")).group(group_id(1));
        let token = send(&mut world, 1, ADA, draft);
        assert_eq!(
            names(&ask(&mut world)),
            ["invite-accepted", "membership-joined"]
        );
        let record = membership(&world, &as_ada());
        assert_eq!(
            record.door,
            Door::Invite {
                invite: invite_id(1),
                generation: Generation::FIRST
            }
        );
        assert_eq!(record.role, Some(role("host")));
        assert_eq!(record.groups, [group_id(1)].into());
        assert_eq!(status(&world, 1), InviteStatus::Accepted);
        // The mail that arrives afterwards changes nothing.
        unchanged(&world.accept(&ada(), as_ada(), token));
        refused(
            &world.accept(&with_email(5, ADA), user_member(5), token),
            "invalid-token",
        );
        world.check();
    }
}

#[test]
fn a_request_that_waits_when_the_invite_comes_resolves_to_the_membership() {
    let mut world = open();
    done(&ask(&mut world));
    send(&mut world, 1, ADA, InviteDraft::new().role(role("host")));
    assert_eq!(
        names(&ask(&mut world)),
        ["invite-accepted", "membership-approved"]
    );
    let record = membership(&world, &as_ada());
    assert_eq!(
        (record.episode, record.role),
        (Episode::new(1), Some(role("host")))
    );
    world.check();
}

#[test]
fn asking_closes_the_other_invites_of_the_same_person() {
    let mut world = open();
    send(&mut world, 1, ADA, InviteDraft::new());
    send(&mut world, 2, BEA, InviteDraft::new());
    let both = ada().with_verified_email(email(BEA));
    let outcome = world.ask(0, &both, as_ada());
    assert_eq!(
        names(&outcome),
        [
            "invite-accepted",
            "invite-joined-otherwise",
            "membership-joined"
        ]
    );
    world.check();
}

#[test]
fn an_invite_for_somebody_else_is_no_answer_to_a_request() {
    // Whoever only asks has no token, so that no policy takes another address for theirs.
    for check in [
        AddressCheck::Exact,
        AddressCheck::AnyVerified,
        AddressCheck::Bearer,
    ] {
        let mut world = open();
        set(&mut world, |settings| settings.address_check = check);
        send(&mut world, 1, BEA, InviteDraft::new().role(role("admin")));
        send(
            &mut world,
            2,
            ADA,
            InviteDraft::new().joined_by(JoinedBy::Organizations),
        );
        world
            .send(
                1,
                &founder(1),
                3,
                email("ada@home.example"),
                InviteDraft::new(),
            )
            .unwrap();
        let at_home = ada().with_verified_email(email("ada@home.example"));
        done(&world.ask(0, &at_home, as_ada()));
        done(&world.ask(0, &person(5), user_member(5)));
        assert_eq!(phase(&world), Phase::Pending);
        assert_eq!(membership(&world, &as_ada()).door, Door::Request);
        assert_eq!(status(&world, 1), InviteStatus::Pending);
        assert_eq!(status(&world, 2), InviteStatus::Pending);
        // The one for organizations answers an organization.
        let binds = founder(1).with_verified_email(email(ADA));
        done(&world.ask(0, &binds, org_member(1)));
        assert_eq!(status(&world, 2), InviteStatus::Accepted);
        assert_eq!(world.phase(0, &org_member(1)), Phase::Approved);
    }
}

#[test]
fn an_invite_that_is_over_is_no_answer_to_a_request() {
    let mut world = open();
    let short = InviteDraft::new().expiry(Expiry::After(MINUTE));
    send(&mut world, 1, ADA, short);
    world.pass(MINUTE);
    assert_eq!(names(&ask(&mut world)), ["membership-requested"]);
    assert_eq!(status(&world, 1), InviteStatus::Pending);

    // One whose sender stands for it no more.
    let mut world = open();
    let host = join(&mut world, 9, "host");
    world
        .send(0, &host, 1, email(ADA), InviteDraft::new())
        .unwrap();
    change_role(&mut world, 9, "member");
    let mut kept = world.clone();
    assert_eq!(names(&ask(&mut world)), ["membership-requested"]);
    set(&mut kept, |settings| settings.standing = Standing::Keep);
    assert_eq!(
        names(&ask(&mut kept)),
        ["invite-accepted", "membership-joined"]
    );
}

#[test]
fn an_invite_from_before_a_removal_is_no_answer_to_a_request() {
    let mut world = open();
    claim(&mut world, 2).unwrap();
    send(&mut world, 1, ADA, InviteDraft::new());
    world.pass(MINUTE);
    remove(&mut world, as_ada());
    let mut again = world.clone();
    assert_eq!(names(&ask(&mut world)), ["membership-requested"]);
    assert_eq!(status(&world, 1), InviteStatus::Pending);
    assert_eq!(phase(&world), Phase::Pending);
    // A newer one is, and goes to review.
    let invite = invite_id(1);
    let revoke = guestlist_membership::invite::InviteCommand::Revoke { invite };
    again.invite(0, &founder(0), revoke).unwrap();
    again.pass(MICRO);
    send(&mut again, 2, ADA, InviteDraft::new());
    assert_eq!(
        names(&ask(&mut again)),
        ["invite-accepted", "membership-requested"]
    );
    assert_eq!(phase(&again), Phase::Pending);
    again.check();
}

#[test]
fn what_was_said_travels_with_a_request_that_an_invite_answers() {
    let mut world = open();
    set(&mut world, |settings| {
        settings.requests.questions = vec!["Why?".to_owned()];
    });
    let inviter = join(&mut world, 9, "inviter");
    world
        .send(0, &inviter, 1, email(ADA), InviteDraft::new())
        .unwrap();
    let mut wordless = world.clone();
    assert_eq!(
        names(&ask_saying(&mut world, &["So"])),
        ["invite-accepted", "membership-requested"]
    );
    let record = membership(&world, &as_ada());
    assert_eq!(record.message, Some(message()));
    assert_eq!(record.answers, ["So"]);
    // An invited person need not answer what others are asked, but there are no other answers.
    refused(
        &ask_saying(&mut wordless, &["So", "more"]),
        "answers-missing",
    );
    done(&ask(&mut wordless));
    assert_eq!(phase(&wordless), Phase::Pending);
    assert_eq!(membership(&wordless, &as_ada()).answers, [""; 0]);
}

// Settings.

#[test]
fn who_says_what_is_given_to_those_who_ask_must_be_able_to_give_it() {
    let mut world = open();
    let admin = join(&mut world, 9, "admin");
    let host = join(&mut world, 8, "host");
    let preset = |name: &str| gives(with_role(name));
    refused(&set_by(&mut world, &host, preset("member")), "not-allowed");
    refused(
        &set_by(&mut world, &admin, preset("owner")),
        "role-above-own",
    );
    for by in [&admin, &founder(0)] {
        refused(&set_by(&mut world, by, preset("nobody")), "unknown-role");
        let gone = Preset {
            groups: [group_id(99)].into(),
            ..Preset::default()
        };
        refused(&set_by(&mut world, by, gives(gone)), "not-found");
    }
    let internal = Preset {
        groups: [group_id(2)].into(),
        ..Preset::default()
    };
    refused(
        &set_by(&mut world, &founder(0), gives(internal.clone())),
        "internal-group",
    );
    set(&mut world, |settings| {
        settings.requests.joined_by = JoinedBy::Users;
        settings.requests.preset = internal;
    });
    done(&set_by(&mut world, &admin, preset("admin")));
    // What somebody higher has said can stay.
    set(&mut world, preset("owner"));
    let asks = |settings: &mut Settings| settings.requests.questions = vec!["Why?".to_owned()];
    done(&set_by(&mut world, &admin, asks));
    unchanged(&set_by(&mut world, &admin, |_| {}));
}

#[test]
fn letting_others_have_it_and_letting_it_go_unreviewed_is_giving_it() {
    // "An edit is a gift, also one that only lets the same gift reach others": else an
    // administrator would make owners of those who ask.
    let mut world = open();
    let admin = join(&mut world, 9, "admin");
    set(&mut world, |settings| {
        settings.requests.joined_by = JoinedBy::Organizations;
        settings.requests.preset = with_role("owner");
    });
    let everybody = |settings: &mut Settings| settings.requests.joined_by = JoinedBy::Both;
    refused(&set_by(&mut world, &admin, everybody), "role-above-own");
    set(&mut world, everybody);
    let unreviewed = |settings: &mut Settings| settings.joins = Joins::AlwaysAuto;
    refused(&set_by(&mut world, &admin, unreviewed), "role-above-own");

    // In whatever order.
    let closed = |settings: &mut Settings| settings.requests.open = false;
    let opened = |settings: &mut Settings| settings.requests.open = true;
    let hidden = |settings: &mut Settings| settings.discoverable = false;
    let shown = |settings: &mut Settings| settings.discoverable = true;
    done(&set_by(&mut world, &admin, closed));
    done(&set_by(&mut world, &admin, unreviewed));
    refused(&set_by(&mut world, &admin, opened), "role-above-own");
    done(&set_by(&mut world, &admin, hidden));
    done(&set_by(&mut world, &admin, opened));
    refused(&set_by(&mut world, &admin, shown), "role-above-own");
    // Whoever may give it may say so, and then others may change the rest.
    set(&mut world, shown);
    done(&set_by(&mut world, &admin, |settings| {
        settings.request_ttl = Some(HOUR);
    }));
    done(&ask(&mut world));
    assert_eq!(membership(&world, &as_ada()).role, Some(role("owner")));
}

#[test]
fn questions_to_those_who_ask_are_limited_like_a_links() {
    let mut world = open();
    for questions in [vec!["?".to_owned(); 21], vec!["?".repeat(501)]] {
        let asks = |settings: &mut Settings| settings.requests.questions = questions;
        refused(&set_by(&mut world, &founder(0), asks), "too-many");
    }
    let reset = |settings: &mut Settings| settings.requests = Requests::default();
    done(&set_by(&mut world, &founder(0), reset));
    refused(&ask(&mut world), "requests-closed");
}
