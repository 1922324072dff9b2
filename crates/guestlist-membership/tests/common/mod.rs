//! What the tests of several doors have in common. The organization 0 is the host, user 0 its
//! founder, and user 4 is Ada.

mod outcome;

use core::time::Duration;

use guestlist_access::{Capability, Role, RoleCatalog};
use guestlist_membership::link::Preset;
use guestlist_membership::member::{Changes, MemberCommand, Membership, Phase, Profile};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::testing::{World, founder, link_id, org, role, user, user_member};
use guestlist_membership::{Actor, Event};
use guestlist_token::Selector;
use guestlist_types::{EmailAddress, Member};

pub(crate) use outcome::{Outcome, done, refused};

pub(crate) const MICRO: Duration = Duration::from_micros(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) const ADA: &str = "ada@corp.example";

/// The small world, with roles that hold less than an administrator's.
pub(crate) fn world() -> World {
    use Capability::{GroupsManage, InvitesSend, LinksAutoApprove, LinksCreate, RequestsReview};
    let mut world = World::populated();
    let host = [InvitesSend, LinksCreate, LinksAutoApprove];
    let admin = host.into_iter().chain([RequestsReview, GroupsManage]);
    let settings = [Capability::SettingsManage, GroupsManage];
    world.roles = RoleCatalog::new(vec![
        Role::new(role("member"), []),
        Role::new(role("inviter"), [InvitesSend, LinksCreate]),
        Role::new(role("host"), host),
        Role::new(role("admin"), admin.chain(settings)),
        Role::new(role("owner"), Capability::ALL),
    ])
    .unwrap();
    world
}

pub(crate) fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub(crate) fn person(number: u8) -> Actor {
    Actor::user(user(number))
}

/// A person with a verified address.
pub(crate) fn with_email(number: u8, text: &str) -> Actor {
    person(number).with_verified_email(email(text))
}

pub(crate) fn ada() -> Actor {
    with_email(4, ADA)
}

pub(crate) fn as_ada() -> Member {
    user_member(4)
}

pub(crate) fn set(world: &mut World, change: impl FnOnce(&mut Settings)) {
    set_by(world, &founder(0), change).unwrap();
}

pub(crate) fn set_by(world: &mut World, by: &Actor, change: impl FnOnce(&mut Settings)) -> Outcome {
    let organization = world.records().organization(&org(0)).unwrap();
    let mut settings = organization.settings.clone();
    change(&mut settings);
    let settings = Box::new(settings);
    let command = OrganizationCommand::ChangeSettings { settings };
    world.organization(0, by, command)
}

pub(crate) fn with_role(name: &str) -> Preset {
    Preset {
        role: Some(role(name)),
        ..Preset::default()
    }
}

/// Makes a user a member of the host with this role.
pub(crate) fn join(world: &mut World, number: u8, name: &str) -> Actor {
    let command = MemberCommand::Add {
        member: user_member(number),
        profile: Profile::default(),
        gift: Box::new(with_role(name)),
        expires_at: None,
        proxy: world.draw_proxy(),
    };
    world.member(0, &founder(0), command).unwrap();
    person(number).in_organization(org(0))
}

pub(crate) fn change_role(world: &mut World, number: u8, name: &str) {
    let command = MemberCommand::ChangeRole {
        member: user_member(number),
        role: role(name),
    };
    world.member(0, &founder(0), command).unwrap();
}

/// The active token of a link of the host: the first needs review, the second doesn't.
pub(crate) fn token(world: &World, link: u8) -> Selector {
    let link = world.records().link(&org(0), link_id(link));
    link.and_then(|link| link.token).expect("an active link")
}

/// Ada comes by a link of the host.
pub(crate) fn claim(world: &mut World, link: u8) -> Outcome {
    let token = token(world, link);
    world.claim(&ada(), as_ada(), token)
}

pub(crate) fn approve(world: &mut World, by: &Actor, member: Member) -> Outcome {
    approve_with(world, by, member, None)
}

/// Approves, with the reviewer's own gift if there is one.
pub(crate) fn approve_with(
    world: &mut World,
    by: &Actor,
    member: Member,
    gift: Option<Preset>,
) -> Outcome {
    let command = MemberCommand::Approve {
        member,
        changes: Box::new(Changes {
            gift,
            ..Changes::default()
        }),
        proxy: world.draw_proxy(),
    };
    world.member(0, by, command)
}

pub(crate) fn reject(world: &mut World, member: Member) {
    let reason = None;
    world
        .member(0, &founder(0), MemberCommand::Reject { member, reason })
        .unwrap();
}

pub(crate) fn remove(world: &mut World, member: Member) {
    let reason = None;
    world
        .member(0, &founder(0), MemberCommand::Remove { member, reason })
        .unwrap();
}

pub(crate) fn leave(world: &mut World, number: u8) {
    let member = user_member(number);
    world
        .member(0, &person(number), MemberCommand::Leave { member })
        .unwrap();
}

pub(crate) fn block(world: &mut World, member: Member) {
    let reason = None;
    world
        .member(0, &founder(0), MemberCommand::Block { member, reason })
        .unwrap();
}

pub(crate) fn membership(world: &World, member: &Member) -> Membership {
    let record = world.records().membership(&org(0), member);
    record.expect("a membership").clone()
}

pub(crate) fn phase(world: &World) -> Phase {
    world.phase(0, &as_ada())
}

pub(crate) fn names(outcome: &Outcome) -> Vec<&'static str> {
    let events = outcome.as_ref().expect("it is done");
    events.iter().map(Event::name).collect()
}

#[track_caller]
pub(crate) fn unchanged(outcome: &Outcome) {
    refused(outcome, "unchanged");
}
