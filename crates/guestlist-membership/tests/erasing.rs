//! What erasing a member leaves: the words and addresses of a person go, what happened stays. The
//! organization 0 is the host, user 0 its founder, and user 4 is Ada.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

use guestlist_membership::invite::{EmailInvite, InviteDraft};
use guestlist_membership::link::{LinkDraft, Preset};
use guestlist_membership::member::{MemberCommand, Membership, Phase, Profile};
use guestlist_membership::organization::OrganizationCommand;
use guestlist_membership::testing::{
    World, founder, invite_id, link_id, org, org_member, org_name, presented, role, user,
    user_member,
};
use guestlist_membership::{Actor, CommandError, Event};
use guestlist_types::{DisplayName, EmailAddress, InviteId, Member, Message, Reason};

type Outcome = Result<Vec<Event>, CommandError>;

const ADA: &str = "ada@corp.example";

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn ada() -> Actor {
    Actor::user(user(4)).with_verified_email(email(ADA))
}

fn as_ada() -> Member {
    user_member(4)
}

fn profile() -> Profile {
    Profile {
        name: None,
        display_name: Some(DisplayName::parse("Ada L.").unwrap()),
        email: Some(email(ADA)),
    }
}

fn send(world: &mut World, invite: u8, address: &str) -> Result<(), CommandError> {
    let draft = InviteDraft::default().message(Message::parse("Dear friend").unwrap());
    let sent = world.send(0, &founder(0), invite, email(address), draft);
    sent.map(|_| ())
}

fn invite(world: &World, number: u8) -> EmailInvite {
    let invite = world.records().invite(&org(0), invite_id(number));
    invite.expect("an invite").clone()
}

/// Somebody accepts the invite of this number.
fn accept(world: &mut World, number: u8, actor: &Actor, member: Member, profile: Profile) {
    let command = MemberCommand::Accept {
        token: presented(invite(world, number).token.unwrap()),
        member,
        profile,
        proxy: world.draw_proxy(),
    };
    world.member(0, actor, command).unwrap();
}

fn erase_by(
    world: &mut World,
    actor: &Actor,
    member: Member,
    invites: &[InviteId],
    logged: bool,
) -> Outcome {
    let command = MemberCommand::Erase {
        member,
        invites: invites.to_vec(),
        logged,
    };
    world.member(0, actor, command)
}

fn erase(world: &mut World, member: Member, invites: &[InviteId]) -> Outcome {
    erase_by(world, &founder(0), member, invites, false)
}

fn membership(world: &World, member: &Member) -> Membership {
    let record = world.records().membership(&org(0), member);
    record.expect("a membership").clone()
}

fn names(outcome: &Outcome) -> Vec<&'static str> {
    let events = outcome.as_ref().expect("it is done");
    events.iter().map(Event::name).collect()
}

#[track_caller]
fn refused(outcome: &Outcome, expected: &str) {
    let code = outcome.as_ref().map_or_else(CommandError::code, |_| "ok");
    assert_eq!(code, expected, "{outcome:?}");
}

/// Ada is in by an invite.
fn joined() -> World {
    let mut world = World::populated();
    send(&mut world, 1, ADA).unwrap();
    accept(&mut world, 1, &ada(), as_ada(), profile());
    world
}

#[test]
fn a_member_goes_on_without_name_and_address() {
    let mut world = joined();
    let before = membership(&world, &as_ada());
    assert_eq!(before.profile, profile());
    let outcome = erase(&mut world, as_ada(), &[invite_id(1)]);
    assert_eq!(names(&outcome), ["invite-erased", "member-erased"]);
    let expected = Membership {
        profile: Profile::default(),
        ..before
    };
    assert_eq!(membership(&world, &as_ada()), expected);
    assert_eq!(world.phase(0, &as_ada()), Phase::Approved);
    world.check();
}

#[test]
fn an_accepted_invite_keeps_everything_but_address_and_message() {
    let mut world = joined();
    let before = invite(&world, 1);
    erase(&mut world, as_ada(), &[invite_id(1)]).unwrap();
    assert!(before.config.message.is_some());
    let mut expected = before.clone();
    expected.address = invite(&world, 1).address;
    expected.config.message = None;
    assert_eq!(invite(&world, 1), expected);
    // No mail can ever reach what stands there now.
    assert!(expected.address.to_string().ends_with(".invalid"));
}

#[test]
fn nobody_is_known_by_an_erased_address() {
    let mut world = joined();
    let again = send(&mut world, 2, ADA);
    assert_eq!(again, Err(CommandError::AlreadyMember));
    erase(&mut world, as_ada(), &[invite_id(1)]).unwrap();
    assert!(world.records().address(&org(0), &email(ADA)).is_none());
    send(&mut world, 2, ADA).unwrap();
    world.check();
}

#[test]
fn invites_of_others_are_left_alone() {
    let mut world = joined();
    let bob = Actor::user(user(5)).with_verified_email(email("bob@corp.example"));
    for (number, address) in [(2, "bob@corp.example"), (3, "eve@corp.example")] {
        send(&mut world, number, address).unwrap();
    }
    accept(&mut world, 2, &bob, user_member(5), Profile::default());
    let before = [2, 3].map(|number| invite(&world, number));
    let outcome = erase(&mut world, as_ada(), &[1, 2, 3, 9].map(invite_id));
    assert_eq!(names(&outcome), ["invite-erased", "member-erased"]);
    assert_eq!([2, 3].map(|number| invite(&world, number)), before);
}

#[test]
fn erasing_again_is_for_what_came_since() {
    let mut world = joined();
    erase(&mut world, as_ada(), &[invite_id(1)]).unwrap();
    let again = erase(&mut world, as_ada(), &[invite_id(1)]);
    assert_eq!(names(&again), [""; 0]);
    // The log can hold what the rows don't: an earlier episode, say.
    let logged = erase_by(&mut world, &founder(0), as_ada(), &[], true);
    assert_eq!(names(&logged), ["member-erased"]);
    // An invite alone is reason enough to say so.
    let mut world = joined();
    erase(&mut world, as_ada(), &[]).unwrap();
    let rest = erase(&mut world, as_ada(), &[invite_id(1)]);
    assert_eq!(names(&rest), ["invite-erased", "member-erased"]);
}

#[test]
fn words_go_and_what_they_were_about_stays() {
    let mut world = World::populated();
    let draft = LinkDraft::review().question("Why?").question("Who?");
    let token = world.create(0, &founder(0), 9, draft).unwrap();
    let claim = MemberCommand::Claim {
        token: presented(token),
        member: as_ada(),
        profile: profile(),
        answers: vec!["I am Ada".to_owned(), "Ada".to_owned()],
        proxy: world.draw_proxy(),
    };
    world.member(0, &ada(), claim).unwrap();
    let reason = Some(Reason::parse("Ada was rude").unwrap());
    let member = as_ada();
    for command in [
        MemberCommand::Reject {
            member: member.clone(),
            reason: reason.clone(),
        },
        MemberCommand::Block { member, reason },
    ] {
        world.member(0, &founder(0), command).unwrap();
    }
    let before = membership(&world, &as_ada());
    assert!(before.ended.as_ref().unwrap().reason.is_some());
    assert!(before.block.as_ref().unwrap().reason.is_some());
    let outcome = erase(&mut world, as_ada(), &[]);
    assert_eq!(names(&outcome), ["member-erased"]);
    let mut expected = Membership {
        profile: Profile::default(),
        answers: vec![String::new(); 2],
        ..before
    };
    expected.ended.as_mut().unwrap().reason = None;
    expected.block.as_mut().unwrap().reason = None;
    assert_eq!(membership(&world, &as_ada()), expected);
    assert_eq!(expected.rejected_links, [link_id(9)].into());
    // The rules about coming back outlive the words.
    let again = world.claim(&ada(), as_ada(), token);
    refused(&again, "blocked");
    world.check();
}

#[test]
fn what_was_said_with_a_request_goes() {
    let mut world = World::populated();
    let mut settings = world
        .records()
        .organization(&org(0))
        .unwrap()
        .settings
        .clone();
    settings.discoverable = true;
    settings.requests.open = true;
    let settings = Box::new(settings);
    let command = OrganizationCommand::ChangeSettings { settings };
    world.organization(0, &founder(0), command).unwrap();
    let request = MemberCommand::Request {
        member: as_ada(),
        profile: Profile::default(),
        message: Some(Message::parse("It's me, Ada").unwrap()),
        answers: Vec::new(),
        proxy: world.draw_proxy(),
    };
    world.member(0, &ada(), request).unwrap();
    let before = membership(&world, &as_ada());
    assert!(before.message.is_some());
    erase(&mut world, as_ada(), &[]).unwrap();
    let expected = Membership {
        message: None,
        ..before
    };
    assert_eq!(membership(&world, &as_ada()), expected);
    assert_eq!(world.phase(0, &as_ada()), Phase::Pending, "it waits on");
}

#[test]
fn the_handle_of_an_organization_is_nobodys_name() {
    let mut world = World::populated();
    let name = DisplayName::parse("One Ltd").unwrap();
    let command = OrganizationCommand::SetDisplayName {
        display_name: Some(name.clone()),
    };
    world.organization(1, &founder(1), command).unwrap();
    let add = MemberCommand::Add {
        member: org_member(1),
        profile: Profile {
            email: Some(email(ADA)),
            ..Profile::default()
        },
        gift: Box::default(),
        expires_at: None,
        proxy: world.draw_proxy(),
    };
    world.member(0, &founder(0), add).unwrap();
    erase(&mut world, org_member(1), &[]).unwrap();
    let left = membership(&world, &org_member(1));
    let expected = Profile {
        name: Some(org_name(1)),
        display_name: Some(name),
        email: None,
    };
    assert_eq!(left.profile, expected);
    assert!(left.proxy.is_some());
}

#[test]
fn only_who_manages_settings_erases() {
    let mut world = joined();
    let admin = MemberCommand::Add {
        member: user_member(5),
        profile: Profile::default(),
        gift: Box::new(Preset {
            role: Some(role("admin")),
            ..Preset::default()
        }),
        expires_at: None,
        proxy: world.draw_proxy(),
    };
    world.member(0, &founder(0), admin).unwrap();
    for (actor, expected) in [
        (Actor::user(user(5)).in_organization(org(0)), "not-allowed"),
        (ada().in_organization(org(0)), "not-allowed"),
        (founder(1), "not-found"),
    ] {
        refused(
            &erase_by(&mut world, &actor, as_ada(), &[], false),
            expected,
        );
    }
    refused(&erase(&mut world, user_member(9), &[]), "not-found");
    assert_eq!(membership(&world, &as_ada()).profile, profile());
}
