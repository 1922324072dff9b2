//! What the preset of each product does that the default settings don't, and what it refuses. The
//! organization 0 is the host, user 0 its founder, and user 1 founds the organization 1.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

#[path = "common/outcome.rs"]
mod outcome;

use guestlist_access::{Capability, Role, RoleCatalog};
use guestlist_membership::invite::InviteDraft;
use guestlist_membership::link::{Approval, JoinedBy, LinkDraft, Preset};
use guestlist_membership::member::{MemberCommand, Phase, Profile};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::presets::{ProductPreset, ejento, ensue, gitbook, teamwins};
use guestlist_membership::testing::{
    World, founder, link_id, org, org_member, role, user, user_member,
};
use guestlist_membership::{Actor, Joins};
use guestlist_token::Selector;
use guestlist_types::{EmailAddress, Member, RoleName};

use outcome::{done, refused};

const ADA: &str = "ada@corp.example";

/// Two organizations of a product.
fn product(preset: ProductPreset) -> World {
    let mut world = World::default();
    world.roles = preset.roles;
    for number in 0..2 {
        world.register(number, preset.settings.clone());
    }
    world
}

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn person(number: u8) -> Actor {
    Actor::user(user(number))
}

/// Somebody who belongs to no organization.
fn ada() -> Actor {
    person(4)
}

fn as_ada() -> Member {
    user_member(4)
}

fn set(world: &mut World, change: impl FnOnce(&mut Settings)) {
    let organization = world.records().organization(&org(0)).unwrap();
    let mut settings = Box::new(organization.settings.clone());
    change(&mut settings);
    let command = OrganizationCommand::ChangeSettings { settings };
    world.organization(0, &founder(0), command).unwrap();
}

/// Makes a user a member of the host with this role.
fn join(world: &mut World, number: u8, name: &str) -> Actor {
    let command = MemberCommand::Add {
        member: user_member(number),
        profile: Profile::default(),
        gift: Box::new(Preset {
            role: Some(role(name)),
            ..Preset::default()
        }),
        expires_at: None,
        proxy: world.draw_proxy(),
    };
    world.member(0, &founder(0), command).unwrap();
    person(number).in_organization(org(0))
}

fn reject(world: &mut World, member: Member) {
    let reason = None;
    let command = MemberCommand::Reject { member, reason };
    world.member(0, &founder(0), command).unwrap();
}

fn role_of(world: &World, member: &Member) -> Option<RoleName> {
    let record = world.records().membership(&org(0), member);
    record.expect("a membership").role.clone()
}

/// A link with nothing but what the settings say.
fn plain_link(world: &mut World, by: &Actor) -> Selector {
    world.create(0, by, 1, LinkDraft::default()).unwrap()
}

fn approval(world: &World) -> Approval {
    let link = world.records().link(&org(0), link_id(1)).unwrap();
    link.config.approval
}

/// The roles of a product that hold this capability.
fn who_may(preset: &ProductPreset, capability: Capability) -> Vec<&str> {
    let roles = preset.roles.roles().iter();
    roles
        .filter(|role| role.capabilities.contains(&capability))
        .map(|role| role.name.as_str())
        .collect()
}

#[test]
fn the_roles_of_each_product() {
    use Capability::{InvitesSend, LinksAutoApprove, RequestsReview, SettingsManage};
    for (preset, lowest, inviting, reviewing, approving, setting) in [
        (
            ensue(),
            "member",
            &["admin", "owner"][..],
            &["admin", "owner"][..],
            &["admin", "owner"][..],
            &["owner"][..],
        ),
        (
            teamwins(),
            "member",
            &["admin", "owner"],
            &["reviewer", "admin", "owner"],
            &["admin", "owner"],
            &["admin", "owner"],
        ),
        (
            gitbook(),
            "guest",
            &["admin"],
            &["admin"],
            &["admin"],
            &["admin"],
        ),
        (
            ejento(),
            "user",
            &["global-admin"],
            &["global-admin"],
            &["global-admin"],
            &["global-admin"],
        ),
    ] {
        assert_eq!(preset.roles.default_role(), &role(lowest));
        assert_eq!(who_may(&preset, InvitesSend), inviting);
        assert_eq!(who_may(&preset, RequestsReview), reviewing);
        assert_eq!(who_may(&preset, LinksAutoApprove), approving);
        assert_eq!(who_may(&preset, SettingsManage), setting);
    }
}

/// What a link does on which nothing was said but what the product's settings say.
#[test]
fn a_link_of_each_product_lets_in_whom_the_product_lets_in() {
    for (name, preset, kinds, review) in [
        ("ensue", ensue(), JoinedBy::Organizations, true),
        ("teamwins", teamwins(), JoinedBy::Users, false),
        ("gitbook", gitbook(), JoinedBy::Users, false),
        ("ejento", ejento(), JoinedBy::Users, false),
    ] {
        let mut world = product(preset);
        let token = plain_link(&mut world, &founder(0));
        let link = world.records().link(&org(0), link_id(1)).unwrap();
        assert_eq!((link.config.expires_at, link.config.max_uses), (None, None));
        let of_ada = world.claim(&ada(), as_ada(), token);
        let of_organization = world.claim(&founder(1), org_member(1), token);
        let (let_in, turned_away, member) = match kinds {
            JoinedBy::Organizations => (of_organization, of_ada, org_member(1)),
            JoinedBy::Users | JoinedBy::Both => (of_ada, of_organization, as_ada()),
        };
        done(&let_in);
        refused(&turned_away, "wrong-kind-of-member");
        let expected = if review {
            Phase::Pending
        } else {
            Phase::Approved
        };
        assert_eq!(world.phase(0, &member), expected, "{name}");
        world.check();
    }
    // By default both kinds may come, and wait.
    let mut world = product(ensue());
    set(&mut world, |settings| *settings = Settings::default());
    let token = plain_link(&mut world, &founder(0));
    done(&world.claim(&ada(), as_ada(), token));
    done(&world.claim(&founder(1), org_member(1), token));
    assert_eq!(world.phase(0, &as_ada()), Phase::Pending);
}

#[test]
fn whoever_comes_without_a_role_gets_the_lowest_of_the_product() {
    for (preset, lowest) in [
        (teamwins(), "member"),
        (gitbook(), "guest"),
        (ejento(), "user"),
    ] {
        let mut world = product(preset);
        let token = plain_link(&mut world, &founder(0));
        done(&world.claim(&ada(), as_ada(), token));
        assert_eq!(role_of(&world, &as_ada()), Some(role(lowest)));
    }
}

#[test]
fn an_organization_that_ensue_rejected_claims_again_by_the_same_link() {
    let mut world = product(ensue());
    let token = plain_link(&mut world, &founder(0));
    done(&world.claim(&founder(1), org_member(1), token));
    reject(&mut world, org_member(1));
    done(&world.claim(&founder(1), org_member(1), token));
    assert_eq!(world.phase(0, &org_member(1)), Phase::Pending);
}

#[test]
fn whom_teamwins_declined_needs_another_link() {
    let mut world = product(teamwins());
    let host = join(&mut world, 3, "admin");
    set(&mut world, |settings| settings.joins = Joins::AlwaysReview);
    let token = plain_link(&mut world, &host);
    done(&world.claim(&ada(), as_ada(), token));
    reject(&mut world, as_ada());
    refused(&world.claim(&ada(), as_ada(), token), "rejected-link");
    let other = world.create(0, &host, 2, LinkDraft::default()).unwrap();
    done(&world.claim(&ada(), as_ada(), other));
}

/// "Admin-created invites always auto-approve"; those of others wait unless the workspace approves
/// everybody.
#[test]
fn links_of_teamwins_approve_by_themselves_where_an_administrator_made_them() {
    let with_links = || {
        let mut preset = teamwins();
        let roles = preset.roles.roles().iter().cloned().map(|role| {
            if role.name.as_str() == "reviewer" {
                Role::new(
                    role.name.clone(),
                    [Capability::RequestsReview, Capability::LinksCreate],
                )
            } else {
                role
            }
        });
        preset.roles = RoleCatalog::new(roles.collect()).unwrap();
        product(preset)
    };
    for (maker, everybody, expected) in [
        ("admin", false, Phase::Approved),
        ("admin", true, Phase::Approved),
        ("reviewer", false, Phase::Pending),
        ("reviewer", true, Phase::Approved),
    ] {
        let mut world = with_links();
        let maker = join(&mut world, 3, maker);
        if everybody {
            set(&mut world, |settings| settings.joins = Joins::AlwaysAuto);
        }
        let token = plain_link(&mut world, &maker);
        done(&world.claim(&ada(), as_ada(), token));
        assert_eq!(world.phase(0, &as_ada()), expected, "{maker:?} {everybody}");
    }
    // What is refused where it is asked for becomes a link with review where it is the default.
    let mut world = with_links();
    let reviewer = join(&mut world, 3, "reviewer");
    plain_link(&mut world, &reviewer);
    assert_eq!(approval(&world), Approval::Review);
    let asked = world.create(0, &reviewer, 2, LinkDraft::auto());
    assert_eq!(asked.unwrap_err().code(), "not-allowed");
}

#[test]
fn a_link_outlives_its_creator_in_teamwins_alone() {
    for (preset, kept) in [(teamwins(), true), (gitbook(), false), (ejento(), false)] {
        let mut world = product(preset);
        let owner = world.roles.owner().clone();
        let maker = join(&mut world, 3, owner.as_str());
        let token = plain_link(&mut world, &maker);
        let member = user_member(3);
        let leaves = MemberCommand::Leave { member };
        done(&world.member(0, &person(3), leaves));
        let claimed = world.claim(&ada(), as_ada(), token);
        if kept {
            done(&claimed);
            assert_eq!(world.phase(0, &as_ada()), Phase::Approved);
        } else {
            refused(&claimed, "invalid-token");
        }
    }
}

#[test]
fn only_a_workspace_of_teamwins_can_be_asked_and_incognito_it_can_not() {
    for (preset, expected) in [
        (ensue(), "not-found"),
        (teamwins(), "done"),
        (gitbook(), "not-found"),
        (ejento(), "not-found"),
    ] {
        let mut world = product(preset);
        refused(&world.ask(0, &ada(), as_ada()), expected);
    }
    let mut world = product(teamwins());
    refused(
        &world.ask(0, &founder(1), org_member(1)),
        "wrong-kind-of-member",
    );
    done(&world.ask(0, &ada(), as_ada()));
    assert_eq!(world.phase(0, &as_ada()), Phase::Pending);
    set(&mut world, |settings| settings.discoverable = false);
    refused(&world.ask(0, &person(5), user_member(5)), "not-found");
    // "Incognito: links and invites work as before" (spec 5).
    let token = plain_link(&mut world, &founder(0));
    done(&world.claim(&person(5), user_member(5), token));
}

#[test]
fn only_global_administrators_of_ejento_invite() {
    let mut world = product(ejento());
    let draft = InviteDraft::default;
    for (number, name) in [(3, "user"), (5, "application-admin")] {
        let actor = join(&mut world, number, name);
        let link = world.create(0, &actor, 1, LinkDraft::default());
        assert_eq!(link.unwrap_err().code(), "not-allowed");
        let sent = world.send(0, &actor, 1, email(ADA), draft());
        assert_eq!(sent.unwrap_err().code(), "not-allowed");
        let settings = OrganizationCommand::ChangeSettings {
            settings: Box::default(),
        };
        refused(&world.organization(0, &actor, settings), "not-allowed");
    }
    let admin = join(&mut world, 6, "global-admin");
    let token = world.send(0, &admin, 1, email(ADA), draft()).unwrap();
    let invited = ada().with_verified_email(email(ADA));
    done(&world.accept(&invited, as_ada(), token));
    assert_eq!(role_of(&world, &as_ada()), Some(role("user")));
}

#[test]
fn an_invite_of_gitbook_gives_its_role_without_review() {
    let mut world = product(gitbook());
    for (number, name) in (1..).zip(["read", "comment", "edit", "review", "create", "admin"]) {
        let address = email(&format!("{name}@corp.example"));
        let draft = InviteDraft::default().role(role(name));
        let token = world
            .send(0, &founder(0), number, address.clone(), draft)
            .unwrap();
        let invited = person(10 + number).with_verified_email(address);
        let member = user_member(10 + number);
        done(&world.accept(&invited, member.clone(), token));
        assert_eq!(role_of(&world, &member), Some(role(name)));
        refused(&world.accept(&invited, member, token), "unchanged");
    }
    let draft = InviteDraft::default().role(role("writer"));
    let unknown = world.send(0, &founder(0), 9, email(ADA), draft);
    assert_eq!(unknown.unwrap_err().code(), "unknown-role");
}
