//! The sentences of the specification about the machine, links, authority and proxy users, one
//! test each. The organization 0 is the host, user 0 its founder.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_access::{
    AccessCommand, Action, ActionSet, Capability, Decision, Episode, Episodes, Grantee, Pattern,
    PresetGrant, Principal, Role, RoleCatalog,
};
use guestlist_membership::link::{
    Approval, Expiry, Generation, JoinedBy, Lasting, LinkCommand, LinkCondition, LinkDraft,
    LinkEvent, LinkStatus, MAX_OVERLAP, Preset, TokenRecord, UseState, Uses, preview, problem,
};
use guestlist_membership::member::{
    ActingRule, Cause, Changes, Door, MemberCommand, MemberEvent, Membership, Phase, Presented,
    Profile, Status,
};
use guestlist_membership::organization::{OrganizationCommand, OrganizationEvent, Pause, Settings};
use guestlist_membership::testing::{
    START, World, founder, grant_id, group_id, link_id, org, org_member, org_name, presented, role,
    user, user_member,
};
use guestlist_membership::{
    Actor, AfterRejection, By, Command, CommandError, Env, Event, Fact, Joins, LinkRef, Metadata,
    Reading, Records, Row, RowKey, Scope, Seats, Standing, Stated, TokenProblem, Unreachable,
    active_named, capabilities, decide, evolve, may_read, principal_of, reach_host, reach_own,
};
use guestlist_token::{SEALED_BYTES, SealedToken, Selector};
use guestlist_types::{
    DisplayName, EmailAddress, EmailDomain, GroupName, Key, LinkId, Member, ProxyUserId, Reason,
    Timestamp,
};

type Outcome = Result<Vec<Event>, CommandError>;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const ALMOST_AN_HOUR: Duration = Duration::from_micros(3_599_999_999);

fn person(number: u8) -> Actor {
    Actor::user(user(number))
}

fn claim(world: &mut World, number: u8, token: Selector) -> Outcome {
    world.claim(&person(number), user_member(number), token)
}

fn claim_org(world: &mut World, number: u8, token: Selector) -> Outcome {
    world.claim(&founder(number), org_member(number), token)
}

/// The active token of a link of the host.
fn token(world: &World, link: u8) -> Selector {
    let link = world.records().link(&org(0), link_id(link));
    link.and_then(|link| link.token).expect("an active link")
}

fn review(world: &World) -> Selector {
    token(world, 1)
}

fn auto(world: &World) -> Selector {
    token(world, 2)
}

fn refresh(world: &mut World, link: u8, overlap: Duration) -> Result<Selector, CommandError> {
    refresh_by(world, &founder(0), link, overlap)
}

fn refresh_by(
    world: &mut World,
    actor: &Actor,
    link: u8,
    overlap: Duration,
) -> Result<Selector, CommandError> {
    let token = world.draw(&org(0));
    let selector = token.selector;
    let command = LinkCommand::Refresh {
        link: link_id(link),
        token,
        overlap,
    };
    world.link(0, actor, command).map(|_| selector)
}

fn enable(world: &mut World, link: u8) -> Result<Selector, CommandError> {
    let token = world.draw(&org(0));
    let selector = token.selector;
    let command = LinkCommand::Enable {
        link: link_id(link),
        token,
    };
    world.link(0, &founder(0), command).map(|_| selector)
}

fn disable(world: &mut World, link: u8) {
    let link = link_id(link);
    world
        .link(0, &founder(0), LinkCommand::Disable { link })
        .unwrap();
}

fn edit_by(world: &mut World, actor: &Actor, link: u8, draft: LinkDraft) -> Outcome {
    let command = LinkCommand::Edit {
        link: link_id(link),
        draft: Box::new(draft),
    };
    world.link(0, actor, command)
}

fn edit(world: &mut World, link: u8, draft: LinkDraft) -> Outcome {
    edit_by(world, &founder(0), link, draft)
}

fn create(world: &mut World, link: u8, draft: LinkDraft) -> Selector {
    world.create(0, &founder(0), link, draft).unwrap()
}

fn approve_with(world: &mut World, by: &Actor, member: Member, changes: Changes) -> Outcome {
    let command = MemberCommand::Approve {
        member,
        changes: Box::new(changes),
        proxy: world.draw_proxy(),
    };
    world.member(0, by, command)
}

fn approve(world: &mut World, member: Member) -> Outcome {
    approve_with(world, &founder(0), member, Changes::default())
}

fn reject(world: &mut World, member: Member) -> Outcome {
    let reason = None;
    world.member(0, &founder(0), MemberCommand::Reject { member, reason })
}

fn remove_by(world: &mut World, by: &Actor, member: Member) -> Outcome {
    let reason = None;
    world.member(0, by, MemberCommand::Remove { member, reason })
}

fn remove(world: &mut World, member: Member) -> Outcome {
    remove_by(world, &founder(0), member)
}

fn leave(world: &mut World, number: u8) -> Outcome {
    let member = user_member(number);
    world.member(0, &person(number), MemberCommand::Leave { member })
}

fn cancel(world: &mut World, number: u8) -> Outcome {
    let member = user_member(number);
    world.member(0, &person(number), MemberCommand::Cancel { member })
}

fn block(world: &mut World, member: Member) -> Outcome {
    let reason = None;
    world.member(0, &founder(0), MemberCommand::Block { member, reason })
}

fn add_until(
    world: &mut World,
    by: &Actor,
    member: Member,
    gift: Preset,
    expires_at: Option<Timestamp>,
) -> Outcome {
    let command = MemberCommand::Add {
        member,
        profile: Profile::default(),
        gift: Box::new(gift),
        expires_at,
        proxy: world.draw_proxy(),
    };
    world.member(0, by, command)
}

fn add_by(world: &mut World, by: &Actor, member: Member, gift: Preset) -> Outcome {
    add_until(world, by, member, gift, None)
}

fn add(world: &mut World, member: Member, gift: Preset) -> Outcome {
    add_by(world, &founder(0), member, gift)
}

fn with_role(name: &str) -> Preset {
    Preset {
        role: Some(role(name)),
        ..Preset::default()
    }
}

fn with_group(number: u8) -> Preset {
    Preset {
        groups: BTreeSet::from([group_id(number)]),
        ..Preset::default()
    }
}

fn with_grant(actions: &[Action], pattern: &str) -> Preset {
    Preset {
        grants: vec![preset_grant(actions, pattern)],
        ..Preset::default()
    }
}

fn preset_grant(actions: &[Action], pattern: &str) -> PresetGrant {
    PresetGrant {
        actions: ActionSet::of(actions),
        pattern: Pattern::parse(pattern).unwrap(),
    }
}

fn change_role_by(world: &mut World, by: &Actor, number: u8, name: &str) -> Outcome {
    let command = MemberCommand::ChangeRole {
        member: user_member(number),
        role: role(name),
    };
    world.member(0, by, command)
}

/// Makes a user a member of the host with this role.
fn join(world: &mut World, number: u8, name: &str) -> Actor {
    add(world, user_member(number), with_role(name)).unwrap();
    person(number).in_organization(org(0))
}

fn set(world: &mut World, change: impl FnOnce(&mut Settings)) -> Outcome {
    let organization = world.records().organization(&org(0)).unwrap();
    let mut settings = organization.settings.clone();
    change(&mut settings);
    let settings = Box::new(settings);
    let command = OrganizationCommand::ChangeSettings { settings };
    world.organization(0, &founder(0), command)
}

fn places(limit: u64, count_pending: bool) -> Seats {
    let limit = NonZeroU64::new(limit).unwrap();
    Seats {
        limit,
        count_pending,
    }
}

fn membership(world: &World, member: &Member) -> Membership {
    let record = world.records().membership(&org(0), member);
    record.expect("a membership").clone()
}

fn phase(world: &World, number: u8) -> Phase {
    world.phase(0, &user_member(number))
}

fn code(outcome: &Outcome) -> &'static str {
    match outcome {
        Ok(events) if events.is_empty() => "unchanged",
        Ok(_) => "done",
        Err(error) => error.code(),
    }
}

#[track_caller]
fn refused(outcome: &Outcome, expected: &str) {
    assert_eq!(code(outcome), expected, "{outcome:?}");
}

#[track_caller]
fn unchanged(outcome: &Outcome) {
    refused(outcome, "unchanged");
}

fn uses(world: &World, link: u8) -> u64 {
    world.uses(&org(0), link_id(link))
}

fn exhausted(outcome: &Outcome) -> bool {
    outcome
        .as_ref()
        .unwrap()
        .iter()
        .any(|event| matches!(event, Event::Link(LinkEvent::Exhausted { .. })))
}

fn reads(world: &World, member: &Member, key: &str) -> bool {
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let Some(principal) = principal_of(world.records(), &org(0), member, &env) else {
        return false;
    };
    let decision = guestlist_access::decide(
        &world.book(&org(0)),
        &Principal::Member(principal),
        Action::Read,
        &Key::parse(key).unwrap(),
        world.now,
    );
    matches!(decision, Decision::Allow(_))
}

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

// Section 2: the machine beyond its table.

#[test]
fn an_ended_membership_says_how_it_ended() {
    let mut world = World::populated();
    let reason = Reason::parse("not now").unwrap();
    let link = review(&world);
    claim(&mut world, 4, link).unwrap();
    world.pass(HOUR);
    let command = MemberCommand::Reject {
        member: user_member(4),
        reason: Some(reason.clone()),
    };
    world.member(0, &founder(0), command).unwrap();
    let ended = membership(&world, &user_member(4)).ended.unwrap();
    assert_eq!((ended.cause, ended.at), (Cause::Rejected, START + HOUR));
    assert_eq!((ended.by, ended.reason), (founder(0).by(), Some(reason)));
    assert_eq!(
        membership(&world, &user_member(4)).status,
        Some(Status::Rejected)
    );

    for (link, way, cause, status) in [
        (1, "cancel", Cause::Withdrew, Status::Cancelled),
        (1, "leave", Cause::Withdrew, Status::Cancelled),
        (2, "leave", Cause::Left, Status::Cancelled),
        (2, "remove", Cause::Removed, Status::Removed),
    ] {
        let mut world = World::populated();
        let selector = token(&world, link);
        claim(&mut world, 4, selector).unwrap();
        match way {
            "cancel" => cancel(&mut world, 4),
            "leave" => leave(&mut world, 4),
            _ => remove(&mut world, user_member(4)),
        }
        .unwrap();
        let record = membership(&world, &user_member(4));
        assert_eq!(record.ended.unwrap().cause, cause, "{way}");
        assert_eq!(record.status, Some(status));
        assert_eq!(cause.status(), status);
    }
}

#[test]
fn a_request_and_a_membership_expire_by_the_clock_alone() {
    let mut world = World::populated();
    set(&mut world, |settings| settings.request_ttl = Some(HOUR)).unwrap();
    let short = create(
        &mut world,
        3,
        LinkDraft::auto().membership_ttl(Lasting::For(MINUTE)),
    );
    let link = review(&world);
    claim(&mut world, 3, link).unwrap();
    claim(&mut world, 4, short).unwrap();
    let member = join(&mut world, 1, "admin");
    world.now = Timestamp::from_micros((START + MINUTE).as_micros() - 1);
    assert_eq!(phase(&world, 4), Phase::Approved);
    world.now = START + MINUTE;
    assert_eq!(
        phase(&world, 4),
        Phase::Expired,
        "half-open: gone at its end"
    );
    let record = membership(&world, &user_member(4));
    assert_eq!(record.status_at(world.now), Some(Status::Cancelled));
    assert_eq!(record.cause_at(world.now), Some(Cause::Expired));
    assert!(record.principal(&world.roles, world.now).is_none());
    world.now = START + HOUR;
    assert_eq!(phase(&world, 3), Phase::RequestExpired);
    refused(&approve(&mut world, user_member(3)), "wrong-state");
    // The sweep writes the ending and its event.
    let expire = |number| MemberCommand::Expire {
        member: user_member(number),
    };
    for number in [3, 4] {
        let events = world.member(0, &Actor::system(), expire(number)).unwrap();
        assert_eq!(events[0].name(), "membership-expired");
        let ended = membership(&world, &user_member(number)).ended.unwrap();
        assert_eq!((ended.cause, ended.by), (Cause::Expired, By::Clock));
        unchanged(&world.member(0, &member, expire(number)));
        unchanged(&world.member(0, &person(number), expire(number)));
    }
    let outsider = person(2).in_organization(org(2));
    refused(&world.member(0, &outsider, expire(3)), "not-found");
    // After an ending by time: again, always.
    let (a, b) = (auto(&world), review(&world));
    refused(&claim(&mut world, 4, a), "done");
    refused(&claim(&mut world, 3, b), "done");
    assert_eq!(membership(&world, &user_member(4)).episode, Episode::new(2));
}

#[test]
fn what_a_membership_is_at_a_time() {
    let mut world = World::populated();
    set(&mut world, |s| s.request_ttl = Some(HOUR)).unwrap();
    let link = review(&world);
    let shown = |world: &World, number: u8| {
        let record = membership(world, &user_member(number));
        let now = world.now;
        (record.status_at(now), record.cause_at(now))
    };
    block(&mut world, user_member(9)).unwrap();
    assert_eq!(shown(&world, 9), (None, None), "a block opens nothing");
    for number in [2, 3, 4, 5, 6] {
        claim(&mut world, number, link).unwrap();
        assert_eq!(shown(&world, number), (Some(Status::Pending), None));
    }
    reject(&mut world, user_member(2)).unwrap();
    cancel(&mut world, 3).unwrap();
    for number in [4, 5] {
        approve(&mut world, user_member(number)).unwrap();
        assert_eq!(shown(&world, number), (Some(Status::Approved), None));
    }
    remove(&mut world, user_member(4)).unwrap();
    leave(&mut world, 5).unwrap();
    world.pass(HOUR);
    for (number, status, cause) in [
        (2, Status::Rejected, Cause::Rejected),
        (3, Status::Cancelled, Cause::Withdrew),
        (4, Status::Removed, Cause::Removed),
        (5, Status::Cancelled, Cause::Left),
        (6, Status::Cancelled, Cause::Expired),
    ] {
        assert_eq!(shown(&world, number), (Some(status), Some(cause)));
    }
}

#[test]
fn a_request_has_waited_for_so_many_whole_days() {
    let mut world = World::populated();
    let link = review(&world);
    claim(&mut world, 4, link).unwrap();
    let record = membership(&world, &user_member(4));
    let day = HOUR * 24;
    for (waited, days) in [
        (Duration::ZERO, 0),
        (day.saturating_sub(Duration::from_micros(1)), 0),
        (day, 1),
        (day * 3 + HOUR, 3),
    ] {
        assert_eq!(record.days_waiting(START + waited), days);
    }
    // A clock that steps back shows nobody as waiting from the future.
    assert_eq!(record.days_waiting(Timestamp::from_micros(0)), 0);
}

#[test]
fn an_administrator_expires_like_everybody() {
    let mut world = World::populated();
    let until = Some(world.now + MINUTE);
    add_until(
        &mut world,
        &founder(0),
        user_member(3),
        with_role("admin"),
        until,
    )
    .unwrap();
    let admin = person(3).in_organization(org(0)).with_role(role("owner"));
    refused(
        &add_by(&mut world, &admin, user_member(4), Preset::default()),
        "done",
    );
    world.pass(MINUTE);
    refused(
        &add_by(&mut world, &admin, user_member(2), Preset::default()),
        "not-found",
    );
}

#[test]
fn an_organization_cant_join_itself() {
    let mut world = World::populated();
    let link = auto(&world);
    refused(&claim_org(&mut world, 0, link), "own-organization");
    refused(
        &add(&mut world, org_member(0), Preset::default()),
        "own-organization",
    );
    refused(&block(&mut world, org_member(0)), "own-organization");
}

#[test]
fn suspended_and_deleted_hosts_refuse_every_door() {
    let mut world = World::populated();
    let (link, waits) = (auto(&world), review(&world));
    claim(&mut world, 4, waits).unwrap();
    let system = Actor::system();
    world
        .organization(0, &system, OrganizationCommand::Suspend)
        .unwrap();
    unchanged(&world.organization(0, &system, OrganizationCommand::Suspend));
    refused(&claim(&mut world, 3, link), "invalid-token");
    refused(&claim(&mut world, 0, link), "host-not-active");
    refused(
        &approve(&mut world, user_member(4)),
        "organization-not-active",
    );
    refused(
        &add(&mut world, user_member(3), Preset::default()),
        "organization-not-active",
    );
    // Going out stays possible.
    refused(&cancel(&mut world, 4), "done");
    world
        .organization(0, &system, OrganizationCommand::Resume)
        .unwrap();
    refused(&claim(&mut world, 3, link), "done");

    let delete = OrganizationCommand::Delete;
    let admin = join(&mut world, 2, "admin");
    refused(
        &world.organization(0, &admin, delete.clone()),
        "not-allowed",
    );
    refused(&world.organization(0, &founder(0), delete.clone()), "done");
    refused(&claim(&mut world, 4, link), "invalid-token");
    refused(&claim(&mut world, 0, link), "host-not-active");
    refused(
        &world.organization(0, &system, OrganizationCommand::Resume),
        "organization-not-active",
    );
    refused(
        &world.organization(0, &founder(0), delete),
        "organization-not-active",
    );
    refused(
        &world
            .create(0, &founder(0), 9, LinkDraft::auto())
            .map(|_| Vec::new()),
        "organization-not-active",
    );
    refused(&leave(&mut world, 3), "done");
}

#[test]
fn a_suspended_or_unknown_member_organization_joins_nowhere() {
    let mut world = World::populated();
    world
        .organization(1, &Actor::system(), OrganizationCommand::Suspend)
        .unwrap();
    let link = auto(&world);
    refused(&claim_org(&mut world, 1, link), "organization-not-active");
    refused(
        &add(&mut world, org_member(1), Preset::default()),
        "organization-not-active",
    );
    refused(
        &add(&mut world, org_member(7), Preset::default()),
        "not-found",
    );
}

#[test]
fn after_a_rejection_the_host_decides() {
    let cases: [(AfterRejection, [&str; 3]); 4] = [
        // At once through the same link, then another one, then after an hour.
        (AfterRejection::Again, ["done", "done", "done"]),
        (
            AfterRejection::CoolDown(HOUR),
            ["cooling-down", "cooling-down", "done"],
        ),
        (
            AfterRejection::NotThisLink,
            ["rejected-link", "done", "rejected-link"],
        ),
        (AfterRejection::InviteOnly, ["invite-only"; 3]),
    ];
    for (policy, expected) in cases {
        for (try_, expected) in expected.into_iter().enumerate() {
            let mut world = World::populated();
            set(&mut world, |settings| settings.after_rejection = policy).unwrap();
            let first = review(&world);
            claim(&mut world, 4, first).unwrap();
            reject(&mut world, user_member(4)).unwrap();
            let through = match try_ {
                1 => auto(&world),
                _ => first,
            };
            if try_ == 2 {
                world.pass(HOUR);
            }
            refused(&claim(&mut world, 4, through), expected);
            // The host itself may always let it in, which wipes the slate.
            if expected != "done" {
                refused(&add(&mut world, user_member(4), Preset::default()), "done");
                leave(&mut world, 4).unwrap();
                refused(&claim(&mut world, 4, through), "done");
            }
        }
    }
}

#[test]
fn a_cool_down_ends_at_its_end() {
    let mut world = World::populated();
    set(&mut world, |s| {
        s.after_rejection = AfterRejection::CoolDown(HOUR);
    })
    .unwrap();
    let link = review(&world);
    claim(&mut world, 4, link).unwrap();
    reject(&mut world, user_member(4)).unwrap();
    world.pass(ALMOST_AN_HOUR);
    let until = START + HOUR;
    assert_eq!(
        claim(&mut world, 4, link),
        Err(CommandError::CoolingDown { until })
    );
    world.pass(Duration::from_micros(1));
    refused(&claim(&mut world, 4, link), "done");
}

#[test]
fn a_removal_is_an_epoch() {
    let mut world = World::populated();
    let (first, reviewed) = (auto(&world), review(&world));
    claim(&mut world, 4, first).unwrap();
    world.pass(HOUR);
    remove(&mut world, user_member(4)).unwrap();
    // Older tokens are dead for this member, by every link, and for nobody else.
    for old in [first, reviewed] {
        refused(&claim(&mut world, 4, old), "invalid-token");
        assert!(claim(&mut world, 3, old).is_ok());
    }
    // A newer one goes to review where it would approve itself.
    world.pass(MINUTE);
    let newer = refresh(&mut world, 2, Duration::ZERO).unwrap();
    refused(&claim(&mut world, 4, newer), "done");
    assert_eq!(phase(&world, 4), Phase::Pending);
    unchanged(&claim(&mut world, 4, newer));
    cancel(&mut world, 4).unwrap();
    refused(&claim(&mut world, 4, newer), "done");
    assert_eq!(
        phase(&world, 4),
        Phase::Pending,
        "withdrawing doesn't lift it"
    );
    approve(&mut world, user_member(4)).unwrap();
    leave(&mut world, 4).unwrap();
    // A person has let it in since, so newer tokens approve again; older ones stay dead.
    refused(&claim(&mut world, 4, reviewed), "invalid-token");
    refused(&claim(&mut world, 4, newer), "done");
    assert_eq!(phase(&world, 4), Phase::Approved);
}

#[test]
fn a_token_of_the_moment_of_removal_is_not_newer() {
    let mut world = World::populated();
    let link = auto(&world);
    claim(&mut world, 4, link).unwrap();
    remove(&mut world, user_member(4)).unwrap();
    let same_moment = refresh(&mut world, 2, Duration::ZERO).unwrap();
    refused(&claim(&mut world, 4, same_moment), "invalid-token");
    world.pass(Duration::from_micros(1));
    let newer = refresh(&mut world, 2, Duration::ZERO).unwrap();
    refused(&claim(&mut world, 4, newer), "done");
}

#[test]
fn a_removal_wins_over_always_auto_and_can_be_lifted() {
    let mut world = World::populated();
    set(&mut world, |settings| settings.joins = Joins::AlwaysAuto).unwrap();
    let old = auto(&world);
    claim(&mut world, 4, old).unwrap();
    world.pass(MINUTE);
    remove(&mut world, user_member(4)).unwrap();
    world.pass(MINUTE);
    let newer = create(&mut world, 3, LinkDraft::auto());
    claim(&mut world, 4, newer).unwrap();
    assert_eq!(phase(&world, 4), Phase::Pending);
    let lift = MemberCommand::LiftRemoval {
        member: user_member(4),
    };
    refused(&world.member(0, &founder(0), lift.clone()), "done");
    unchanged(&world.member(0, &founder(0), lift));
    refused(&claim(&mut world, 4, old), "done");
    assert_eq!(phase(&world, 4), Phase::Approved);
}

#[test]
fn an_epoch_outlives_the_membership_that_follows_it() {
    let mut world = World::populated();
    let old = auto(&world);
    claim(&mut world, 4, old).unwrap();
    world.pass(MINUTE);
    remove(&mut world, user_member(4)).unwrap();
    add(&mut world, user_member(4), Preset::default()).unwrap();
    leave(&mut world, 4).unwrap();
    refused(&claim(&mut world, 4, old), "invalid-token");
    let lift = MemberCommand::LiftRemoval {
        member: user_member(4),
    };
    refused(&world.member(0, &founder(0), lift.clone()), "done");
    unchanged(&world.member(0, &founder(0), lift));
    refused(&claim(&mut world, 4, old), "done");
    assert_eq!(phase(&world, 4), Phase::Approved);
}

#[test]
fn after_cancelling_and_leaving_again_always() {
    let mut world = World::populated();
    set(&mut world, |s| {
        s.after_rejection = AfterRejection::InviteOnly;
    })
    .unwrap();
    let (reviewed, own) = (review(&world), auto(&world));
    for _ in 0..3 {
        claim(&mut world, 4, reviewed).unwrap();
        cancel(&mut world, 4).unwrap();
        claim(&mut world, 4, own).unwrap();
        leave(&mut world, 4).unwrap();
    }
    assert_eq!(membership(&world, &user_member(4)).episode, Episode::new(6));
}

#[test]
fn a_block_refuses_every_door() {
    let mut world = World::populated();
    let (reviewed, own) = (review(&world), auto(&world));
    for member in [user_member(4), org_member(1)] {
        refused(&block(&mut world, member.clone()), "done");
        unchanged(&block(&mut world, member.clone()));
        refused(
            &add(&mut world, member.clone(), Preset::default()),
            "blocked",
        );
        let unblock = MemberCommand::Unblock { member };
        for link in [reviewed, own] {
            refused(&claim(&mut world, 4, link), "blocked");
        }
        refused(&world.member(0, &person(4), unblock.clone()), "not-found");
        if unblock.member() == Some(&org_member(1)) {
            refused(&claim_org(&mut world, 1, own), "blocked");
            refused(&world.member(0, &founder(0), unblock), "done");
        }
    }
    let unblock = MemberCommand::Unblock {
        member: user_member(4),
    };
    refused(&world.member(0, &founder(0), unblock.clone()), "done");
    unchanged(&world.member(0, &founder(0), unblock));
    refused(&claim(&mut world, 4, reviewed), "done");
    block(&mut world, user_member(4)).unwrap();
    refused(&approve(&mut world, user_member(4)), "blocked");
}

#[test]
fn the_ways_of_one_member_belong_to_it_alone() {
    let mut world = World::populated();
    let link = review(&world);
    refused(
        &world.claim(&person(3), user_member(4), link),
        "not-the-member",
    );
    refused(
        &world.claim(&founder(2), org_member(1), link),
        "not-the-member",
    );
    // Somebody of the organization, without the capability.
    let plain = person(4).in_organization(org(1)).with_role(role("member"));
    refused(&world.claim(&plain, org_member(1), link), "not-allowed");
    let admin = person(4).in_organization(org(1)).with_role(role("admin"));
    refused(&world.claim(&admin, org_member(1), link), "done");
    for command in [
        MemberCommand::Cancel {
            member: org_member(1),
        },
        MemberCommand::Leave {
            member: org_member(1),
        },
    ] {
        refused(
            &world.member(0, &founder(0), command.clone()),
            "not-the-member",
        );
        refused(&world.member(0, &plain, command), "not-allowed");
    }
    // "m's people can never approve m."
    let people_of_m = [founder(1), admin, plain];
    for actor in people_of_m {
        let outcome = approve_with(&mut world, &actor, org_member(1), Changes::default());
        refused(&outcome, "not-found");
    }
}

#[test]
fn nobody_approves_themselves_by_what_the_application_says() {
    let mut world = World::populated();
    let link = review(&world);
    let claimer = person(4).in_organization(org(0)).with_role(role("owner"));
    // Whom the application keeps itself is in already, and keeps the stated role.
    let outcome = world.claim(&claimer, user_member(4), link);
    refused(&outcome, "already-member");
    // Once there is a record, that one rules, whatever is stated from then on.
    world.claim(&person(4), user_member(4), link).unwrap();
    let outcome = approve_with(&mut world, &claimer, user_member(4), Changes::default());
    refused(&outcome, "not-found");
}

#[test]
fn add_raises_and_never_lowers() {
    let mut world = World::populated();
    join(&mut world, 4, "admin");
    unchanged(&add(&mut world, user_member(4), with_role("member")));
    unchanged(&add(&mut world, user_member(4), Preset::default()));
    let events = add(&mut world, user_member(4), with_group(1)).unwrap();
    assert_eq!(events[0].name(), "membership-gift-added");
    let held = membership(&world, &user_member(4));
    assert_eq!(held.role, Some(role("admin")));
    assert_eq!(held.groups, BTreeSet::from([group_id(1)]));
    unchanged(&add(&mut world, user_member(4), with_group(1)));
    add(
        &mut world,
        user_member(4),
        with_grant(&[Action::Read], "a/"),
    )
    .unwrap();
    let events = add(&mut world, user_member(4), with_role("owner")).unwrap();
    assert_eq!(events[1].name(), "owner-added");
    let held = membership(&world, &user_member(4));
    assert_eq!(held.role, Some(role("owner")));
    assert_eq!(held.groups, BTreeSet::from([group_id(1)]));
    assert_eq!(held.grants, [preset_grant(&[Action::Read], "a/")]);
    assert_eq!(held.episode, Episode::new(1), "the same membership");
    world.check();
}

#[test]
fn an_owner_is_not_limited_in_time() {
    let mut world = World::populated();
    let until = Some(world.now + HOUR);
    let owner = || with_role("owner");
    refused(
        &add_until(&mut world, &founder(0), user_member(4), owner(), until),
        "owner-can-not-expire",
    );
    add_until(
        &mut world,
        &founder(0),
        user_member(4),
        Preset::default(),
        until,
    )
    .unwrap();
    refused(
        &add(&mut world, user_member(4), owner()),
        "owner-can-not-expire",
    );
    refused(
        &change_role_by(&mut world, &founder(0), 4, "owner"),
        "owner-can-not-expire",
    );
    let short = LinkDraft::auto()
        .role(role("owner"))
        .membership_ttl(Lasting::For(HOUR));
    let outcome = world.create(0, &founder(0), 9, short).map(|_| Vec::new());
    refused(&outcome, "owner-can-not-expire");
    let link = review(&world);
    claim(&mut world, 3, link).unwrap();
    let changes = Changes {
        gift: Some(owner()),
        expires_at: until,
        reinstate: false,
    };
    refused(
        &approve_with(&mut world, &founder(0), user_member(3), changes),
        "owner-can-not-expire",
    );
    let now = Some(world.now);
    refused(
        &add_until(
            &mut world,
            &founder(0),
            user_member(2),
            Preset::default(),
            now,
        ),
        "in-the-past",
    );
}

#[test]
fn a_role_that_became_the_owners_has_no_end() {
    let mut world = World::populated();
    let draft = LinkDraft::auto()
        .role(role("admin"))
        .membership_ttl(Lasting::For(HOUR));
    let link = world.create(0, &Actor::system(), 9, draft).unwrap();
    world.roles = RoleCatalog::new(vec![
        Role::new(role("member"), []),
        Role::new(role("admin"), Capability::ALL),
    ])
    .unwrap();
    refused(&claim(&mut world, 4, link), "owner-can-not-expire");
}

#[test]
fn approve_can_give_something_else() {
    let mut world = World::populated();
    let link = create(
        &mut world,
        3,
        LinkDraft::review()
            .group(group_id(1))
            .membership_ttl(Lasting::For(HOUR)),
    );
    claim(&mut world, 3, link).unwrap();
    claim(&mut world, 4, link).unwrap();
    world.pass(MINUTE);
    approve(&mut world, user_member(3)).unwrap();
    let held = membership(&world, &user_member(3));
    assert_eq!(held.groups, BTreeSet::from([group_id(1)]));
    assert_eq!(held.role, Some(role("member")), "the lowest one");
    assert_eq!(
        held.expires_at,
        Some(START + MINUTE + HOUR),
        "from the approval on"
    );
    assert_eq!(held.approved_by, Some(founder(0).by()));
    let changes = Changes {
        gift: Some(with_role("admin")),
        expires_at: Some(START + HOUR * 9),
        reinstate: false,
    };
    approve_with(&mut world, &founder(0), user_member(4), changes.clone()).unwrap();
    let held = membership(&world, &user_member(4));
    assert_eq!((held.role, held.groups.len()), (Some(role("admin")), 0));
    assert_eq!(held.expires_at, Some(START + HOUR * 9));
    // Approving an approved one is unchanged, whatever is said.
    unchanged(&approve_with(
        &mut world,
        &founder(0),
        user_member(3),
        changes,
    ));
}

#[test]
fn a_reviewers_gift_without_a_role_gives_the_lowest() {
    let mut world = World::populated();
    let link = create(&mut world, 9, LinkDraft::review().role(role("admin")));
    claim(&mut world, 4, link).unwrap();
    let changes = Changes {
        gift: Some(Preset::default()),
        ..Changes::default()
    };
    approve_with(&mut world, &founder(0), user_member(4), changes).unwrap();
    let record = membership(&world, &user_member(4));
    assert_eq!(record.role, Some(role("member")), "and not the link's");
    // Nor does a proxy user get one by whatever a reviewer says.
    claim_org(&mut world, 1, link).unwrap();
    let changes = Changes {
        gift: Some(with_role("owner")),
        ..Changes::default()
    };
    approve_with(&mut world, &founder(0), org_member(1), changes).unwrap();
    assert_eq!(membership(&world, &org_member(1)).role, None);
}

#[test]
fn a_request_keeps_what_it_was_promised() {
    let mut world = World::populated();
    let link = create(&mut world, 3, LinkDraft::review().group(group_id(1)));
    claim(&mut world, 4, link).unwrap();
    let nothing = LinkDraft {
        preset: Some(Preset::default()),
        ..LinkDraft::default()
    };
    edit(&mut world, 3, nothing).unwrap();
    // The scope of the approval still brings the access rules.
    approve(&mut world, user_member(4)).unwrap();
    assert_eq!(membership(&world, &user_member(4)).groups.len(), 1);
}

#[test]
fn another_link_lets_a_waiting_request_in() {
    let mut world = World::populated();
    let reviewed = create(&mut world, 3, LinkDraft::review().max_uses(Uses::AtMost(1)));
    let own = create(&mut world, 4, LinkDraft::auto().max_uses(Uses::AtMost(1)));
    claim(&mut world, 4, reviewed).unwrap();
    assert_eq!((uses(&world, 3), uses(&world, 4)), (1, 0));
    let outcome = claim(&mut world, 4, own);
    assert!(exhausted(&outcome));
    assert_eq!(phase(&world, 4), Phase::Approved);
    assert_eq!(
        (uses(&world, 3), uses(&world, 4)),
        (0, 1),
        "the first is given back"
    );
    let record = membership(&world, &user_member(4));
    assert_eq!(record.door.link(), Some(link_id(4)));
    assert_eq!(record.episode, Episode::new(1));
    assert_eq!(record.approved_by, Some(By::Policy));
    world.check();
}

#[test]
fn its_own_link_lets_a_waiting_request_in_once_it_approves_itself() {
    let mut world = World::populated();
    let link = create(&mut world, 3, LinkDraft::review().max_uses(Uses::AtMost(1)));
    claim(&mut world, 4, link).unwrap();
    edit(&mut world, 3, LinkDraft::auto()).unwrap();
    let events = claim(&mut world, 4, link).unwrap();
    let Event::Member(MemberEvent::Approved { link_uses, .. }) = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(link_uses.len(), 1, "the use that it held is settled");
    assert_eq!(
        (link_uses[0].state, link_uses[0].counted),
        (UseState::Settled, 0)
    );
    assert_eq!(uses(&world, 3), 1);
    world.check();
}

#[test]
fn add_settles_a_waiting_request() {
    let mut world = World::populated();
    let link = create(&mut world, 3, LinkDraft::review().max_uses(Uses::AtMost(1)));
    claim(&mut world, 4, link).unwrap();
    add(&mut world, user_member(4), Preset::default()).unwrap();
    let record = membership(&world, &user_member(4));
    assert_eq!(
        (record.episode, record.door),
        (Episode::new(1), Door::Added)
    );
    assert_eq!(uses(&world, 3), 0);
}

// Section 3: links.

#[test]
fn joins_and_approval() {
    let cases = [
        (Joins::LinkDecides, Phase::Pending, Phase::Approved),
        (Joins::AlwaysReview, Phase::Pending, Phase::Pending),
        (Joins::AlwaysAuto, Phase::Approved, Phase::Approved),
    ];
    for (joins, with_review, with_auto) in cases {
        let mut world = World::populated();
        set(&mut world, |settings| settings.joins = joins).unwrap();
        let (reviewed, own) = (review(&world), auto(&world));
        claim(&mut world, 3, reviewed).unwrap();
        claim(&mut world, 4, own).unwrap();
        claim_org(&mut world, 1, reviewed).unwrap();
        claim_org(&mut world, 2, own).unwrap();
        assert_eq!(
            (phase(&world, 3), phase(&world, 4)),
            (with_review, with_auto)
        );
        assert_eq!(world.phase(0, &org_member(1)), with_review);
        assert_eq!(world.phase(0, &org_member(2)), with_auto);
    }
}

fn auditor_roles() -> RoleCatalog {
    RoleCatalog::new(vec![
        Role::new(role("member"), []),
        Role::new(role("linker"), [Capability::LinksCreate]),
        Role::new(
            role("host"),
            [Capability::LinksCreate, Capability::LinksAutoApprove],
        ),
        Role::new(role("owner"), Capability::ALL),
    ])
    .unwrap()
}

#[test]
fn a_link_by_somebody_who_may_not_approve_never_approves_by_itself() {
    let mut world = World::new();
    world.roles = auditor_roles();
    world.register(0, Settings::default());
    let linker = join(&mut world, 4, "linker");
    let asked = world.create(0, &linker, 3, LinkDraft::auto());
    refused(&asked.map(|_| Vec::new()), "not-allowed");
    // As the host's default it becomes a link that needs review.
    set(&mut world, |settings| {
        settings.link_defaults = LinkDraft::auto();
    })
    .unwrap();
    let link = world.create(0, &linker, 3, LinkDraft::default()).unwrap();
    let config = |world: &World| {
        world
            .records()
            .link(&org(0), link_id(3))
            .unwrap()
            .config
            .clone()
    };
    assert_eq!(config(&world).approval, Approval::Review);
    refused(
        &edit_by(&mut world, &linker, 3, LinkDraft::auto()),
        "not-allowed",
    );
    claim(&mut world, 3, link).unwrap();
    assert_eq!(phase(&world, 3), Phase::Pending);
    // Where the host reviews nothing, it is the host that approves, and not the link.
    set(&mut world, |settings| settings.joins = Joins::AlwaysAuto).unwrap();
    for number in [2, 3] {
        refused(&claim(&mut world, number, link), "done");
        assert_eq!(phase(&world, number), Phase::Approved);
    }
}

#[test]
fn a_host_that_reviews_nothing_gives_no_more_than_the_links_creator_may() {
    for (standing, expected) in [
        (Standing::MustHoldRight, Phase::Pending),
        (Standing::MustBeMember, Phase::Pending),
        (Standing::Keep, Phase::Approved),
    ] {
        let mut world = World::new();
        world.roles = auditor_roles();
        world.register(0, Settings::default());
        set(&mut world, |settings| {
            settings.joins = Joins::AlwaysAuto;
            settings.standing = standing;
        })
        .unwrap();
        let host = join(&mut world, 4, "host");
        let high = LinkDraft::review().role(role("host"));
        let high = world.create(0, &host, 3, high).unwrap();
        let low = world.create(0, &host, 4, LinkDraft::review()).unwrap();
        change_role_by(&mut world, &founder(0), 4, "linker").unwrap();
        claim(&mut world, 2, low).unwrap();
        assert_eq!(phase(&world, 2), Phase::Approved);
        claim(&mut world, 3, high).unwrap();
        assert_eq!(phase(&world, 3), expected, "{standing:?}");
    }
}

#[test]
fn a_creator_who_may_not_approve_any_more_sends_to_review() {
    for (standing, expected) in [
        (Standing::MustHoldRight, Phase::Pending),
        (Standing::MustBeMember, Phase::Pending),
        (Standing::Keep, Phase::Approved),
    ] {
        let mut world = World::new();
        world.roles = auditor_roles();
        world.register(0, Settings::default());
        set(&mut world, |settings| settings.standing = standing).unwrap();
        let host = join(&mut world, 4, "host");
        let link = world.create(0, &host, 3, LinkDraft::auto()).unwrap();
        change_role_by(&mut world, &founder(0), 4, "linker").unwrap();
        claim(&mut world, 3, link).unwrap();
        assert_eq!(phase(&world, 3), expected, "{standing:?}");
    }
}

#[test]
fn standing_at_claim_and_at_approval() {
    // Whether the link works when its creator has lost the right, and when it has left.
    for (standing, demoted, left) in [
        (Standing::Keep, true, true),
        (Standing::MustBeMember, true, false),
        (Standing::MustHoldRight, false, false),
    ] {
        for (way, works) in [("demoted", demoted), ("left", left)] {
            let mut world = World::populated();
            set(&mut world, |settings| settings.standing = standing).unwrap();
            let creator = join(&mut world, 4, "admin");
            let link = world.create(0, &creator, 3, LinkDraft::review()).unwrap();
            claim(&mut world, 3, link).unwrap();
            if way == "left" {
                leave(&mut world, 4).unwrap();
            } else {
                change_role_by(&mut world, &founder(0), 4, "member").unwrap();
            }
            let at_claim = claim(&mut world, 2, link);
            let at_approval = approve(&mut world, user_member(3));
            if works {
                refused(&at_claim, "done");
                refused(&at_approval, "done");
            } else {
                refused(&at_claim, "invalid-token");
                refused(&at_approval, "creator-not-standing");
                refused(&claim(&mut world, 0, link), "creator-not-standing");
                // The reviewer can give in their own name.
                let changes = Changes {
                    gift: Some(Preset::default()),
                    ..Changes::default()
                };
                let own = approve_with(&mut world, &founder(0), user_member(3), changes);
                refused(&own, "done");
            }
        }
    }
}

#[test]
fn the_application_says_who_stands_where_guestlist_keeps_no_membership() {
    let mut world = World::populated();
    let kept = person(9).in_organization(org(0)).with_role(role("admin"));
    let link = world.create(0, &kept, 3, LinkDraft::auto()).unwrap();
    refused(&claim(&mut world, 3, link), "invalid-token");
    world.stated.insert((org(0), user(9)), role("member"));
    refused(&claim(&mut world, 3, link), "invalid-token");
    world.stated.insert((org(0), user(9)), role("admin"));
    refused(&claim(&mut world, 3, link), "done");
    assert_eq!(phase(&world, 3), Phase::Approved);
    // A link of the host application itself has no creator to stand for it.
    let link = world
        .create(0, &Actor::system(), 4, LinkDraft::auto())
        .unwrap();
    refused(&claim(&mut world, 4, link), "done");
}

#[test]
fn restrictions_combine() {
    let mut world = World::populated();
    let domain = EmailDomain::parse("corp.example").unwrap();
    let draft = LinkDraft::auto()
        .joined_by(JoinedBy::Users)
        .allow_domain(domain)
        .allow_member(user_member(4))
        .question("Who sent you?");
    let link = create(&mut world, 3, draft);
    let at = |number: u8, text: &str| person(number).with_verified_email(email(text));
    let claim = |world: &mut World, actor: &Actor, member: Member, answers: &[&str]| {
        let command = MemberCommand::Claim {
            token: presented(link),
            member,
            profile: Profile::default(),
            answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
            proxy: ProxyUserId::from_bytes([1; 16]),
        };
        world.member(0, actor, command)
    };
    let good = at(4, "ada@corp.example");
    refused(
        &claim(&mut world, &founder(1), org_member(1), &["x"]),
        "wrong-kind-of-member",
    );
    refused(
        &claim(
            &mut world,
            &at(3, "ada@corp.example"),
            user_member(3),
            &["x"],
        ),
        "member-not-allowed",
    );
    for text in [
        "ada@notcorp.example",
        "ada@corp.example.org",
        "ada@example.corp",
    ] {
        refused(
            &claim(&mut world, &at(4, text), user_member(4), &["x"]),
            "domain-not-allowed",
        );
    }
    refused(
        &claim(&mut world, &person(4), user_member(4), &["x"]),
        "domain-not-allowed",
    );
    refused(
        &claim(&mut world, &good, user_member(4), &[]),
        "answers-missing",
    );
    refused(
        &claim(&mut world, &good, user_member(4), &["x", "y"]),
        "answers-missing",
    );
    let long = "x".repeat(2001);
    refused(
        &claim(&mut world, &good, user_member(4), &[&long]),
        "too-many",
    );
    assert_eq!(uses(&world, 3), 0, "nothing is used up by refusals");
    let below = at(4, "ada@mail.corp.example");
    refused(&claim(&mut world, &below, user_member(4), &["Bob"]), "done");
    assert_eq!(membership(&world, &user_member(4)).answers, ["Bob"]);
}

#[test]
fn organizations_only() {
    let mut world = World::populated();
    let link = create(
        &mut world,
        3,
        LinkDraft::auto().joined_by(JoinedBy::Organizations),
    );
    refused(&claim(&mut world, 4, link), "wrong-kind-of-member");
    refused(&claim_org(&mut world, 1, link), "done");
}

#[test]
fn an_address_that_is_shown_is_verified() {
    let mut world = World::populated();
    let token = presented(review(&world));
    let profile = Profile {
        email: Some(email("ceo@corp.example")),
        ..Profile::default()
    };
    let command = MemberCommand::Claim {
        token,
        member: user_member(4),
        profile,
        answers: Vec::new(),
        proxy: ProxyUserId::from_bytes([1; 16]),
    };
    refused(
        &world.member(0, &person(4), command.clone()),
        "email-not-verified",
    );
    let actor = person(4).with_verified_email(email("ceo@corp.example"));
    refused(&world.member(0, &actor, command), "done");
}

/// "A user whose membership the host application keeps itself is in already": only that user, only
/// there, and only with a role that counts.
#[test]
fn who_is_in_already_by_what_the_application_says() {
    let of = |organization: u8, name: &str| {
        let actor = person(4).in_organization(org(organization));
        actor.with_role(role(name))
    };
    for (actor, member, expected) in [
        (of(0, "member"), user_member(4), "already-member"),
        (of(1, "member"), user_member(4), "done"),
        (of(0, "nothing"), user_member(4), "done"),
        (person(4).in_organization(org(0)), user_member(4), "done"),
        (
            person(4).acting_in(org(0)).with_role(role("member")),
            user_member(4),
            "done",
        ),
        (
            person(4).in_organization(org(1)).with_role(role("owner")),
            org_member(1),
            "done",
        ),
    ] {
        let mut world = World::populated();
        let link = review(&world);
        refused(&world.claim(&actor, member, link), expected);
    }
    // A block leaves a record without a membership, which rules over nothing.
    let mut world = World::populated();
    let link = review(&world);
    block(&mut world, user_member(4)).unwrap();
    let outcome = world.claim(&of(0, "member"), user_member(4), link);
    refused(&outcome, "already-member");
    // Whom the application keeps can be given something in the host, blocked or not.
    let grant = AccessCommand::Grant {
        id: grant_id(1),
        to: Grantee::Member(user_member(4)),
        actions: ActionSet::of(&[Action::Read]),
        pattern: Pattern::parse("a/").unwrap(),
        expires_at: None,
    };
    world.access(0, &founder(0), grant).unwrap();
    assert!(reads(&world, &user_member(4), "a/key"));
    assert!(!reads(&world, &user_member(4), "b/key"));
    // Organizations are in by their membership alone.
    assert!(!reads(&world, &org_member(1), "a/key"));
    block(&mut world, org_member(1)).unwrap();
    let grant = AccessCommand::Grant {
        id: grant_id(2),
        to: Grantee::Member(org_member(1)),
        actions: ActionSet::of(&[Action::Read]),
        pattern: Pattern::parse("a/").unwrap(),
        expires_at: None,
    };
    assert!(world.access(0, &founder(0), grant).is_err());
    assert!(!reads(&world, &org_member(1), "a/key"));
}

#[test]
fn a_person_has_no_handle_and_an_organization_has_its_own() {
    let mut world = World::populated();
    let link = auto(&world);
    let display: DisplayName = "Org Zero".parse().unwrap();
    for (actor, member, expected) in [
        (person(4), user_member(4), (None, Some(display.clone()))),
        (founder(1), org_member(1), (Some(org_name(1)), None)),
    ] {
        let command = MemberCommand::Claim {
            token: presented(link),
            member: member.clone(),
            profile: Profile {
                name: Some(org_name(0)),
                display_name: Some(display.clone()),
                email: None,
            },
            answers: Vec::new(),
            proxy: world.draw_proxy(),
        };
        world.member(0, &actor, command).unwrap();
        let profile = membership(&world, &member).profile;
        assert_eq!((profile.name, profile.display_name), expected);
    }
}

/// "The host application authenticates; guestlist authorizes" (spec 1): which organization a
/// request names makes nobody a member of it.
#[test]
fn nobody_belongs_where_they_only_want_to_act() {
    let mut world = World::populated();
    let claims_to_be = person(9).acting_in(org(0)).with_role(role("owner"));
    assert_eq!(claims_to_be.as_member_organization(), Some(org_member(0)));
    assert_eq!(person(9).as_member_organization(), None);
    let outcome = world.create(0, &claims_to_be, 9, LinkDraft::review());
    refused(&outcome.map(|_| Vec::new()), "not-found");
    let link = review(&world);
    let for_org = person(9).acting_in(org(1)).with_role(role("owner"));
    refused(
        &world.claim(&for_org, org_member(1), link),
        "not-the-member",
    );
    // Vouched for once and asked about another organization later: nobody vouches for that.
    let elsewhere = person(9).in_organization(org(0)).acting_in(org(0));
    assert!(!elsewhere.is_vouched_for());
    assert!(
        person(9)
            .acting_in(org(0))
            .in_organization(org(0))
            .is_vouched_for()
    );
    // Whoever is a member by what guestlist keeps is one without being vouched for.
    join(&mut world, 4, "admin");
    let kept = person(4).acting_in(org(0));
    world.create(0, &kept, 9, LinkDraft::review()).unwrap();
    // What people are shown is no right, and is not recorded as who did it.
    let shown = kept.clone().with_display_name("Ada".parse().unwrap());
    assert_eq!(
        shown.display_name().map(ToString::to_string),
        Some("Ada".to_owned())
    );
    assert_eq!(kept.display_name(), None);
    assert_eq!(shown.by(), kept.by());
}

#[test]
fn what_a_new_link_must_not_be() {
    let mut world = World::populated();
    let at = |micros| Expiry::At(Timestamp::from_micros(micros));
    for (draft, expected) in [
        (LinkDraft::auto().max_uses(Uses::AtMost(0)), "zero-uses"),
        (
            LinkDraft::auto().expiry(at(START.as_micros())),
            "in-the-past",
        ),
        (LinkDraft::auto().expiry(at(0)), "in-the-past"),
        (
            LinkDraft::auto().expiry(Expiry::After(Duration::ZERO)),
            "in-the-past",
        ),
        (
            LinkDraft::auto().membership_ttl(Lasting::For(Duration::ZERO)),
            "in-the-past",
        ),
        (LinkDraft::auto().role(role("nobody")), "unknown-role"),
        (LinkDraft::auto().group(group_id(99)), "not-found"),
        (
            (0..21).fold(LinkDraft::auto(), |d, n| d.question(n.to_string())),
            "too-many",
        ),
        (LinkDraft::auto().question("?".repeat(501)), "too-many"),
        (
            LinkDraft::auto()
                .joined_by(JoinedBy::Users)
                .grant(PresetGrant {
                    actions: ActionSet::EMPTY,
                    pattern: Pattern::all(),
                }),
            "grant-without-actions",
        ),
    ] {
        let outcome = world
            .create(0, &founder(0), 9, draft.clone())
            .map(|_| Vec::new());
        refused(&outcome, expected);
        // Created small and edited, it is refused the same.
        refused(&edit(&mut world, 1, draft), expected);
    }
    refused(
        &world
            .create(0, &founder(0), 1, LinkDraft::auto())
            .map(|_| Vec::new()),
        "wrong-link-state",
    );
    // Exactly as much as is allowed is allowed.
    let questions = (0..20).fold(LinkDraft::auto(), |d, _| d.question("?".repeat(500)));
    let link = create(&mut world, 9, questions);
    let answer = |world: &mut World, answers: Vec<String>| {
        let command = MemberCommand::Claim {
            token: presented(link),
            member: user_member(4),
            profile: Profile::default(),
            answers,
            proxy: world.draw_proxy(),
        };
        world.member(0, &person(4), command)
    };
    let long = |chars: usize| vec!["é".repeat(chars); 20];
    refused(&answer(&mut world, long(2001)), "too-many");
    refused(
        &answer(&mut world, vec![String::new(); 19]),
        "answers-missing",
    );
    refused(
        &answer(&mut world, vec![String::new(); 21]),
        "answers-missing",
    );
    refused(&answer(&mut world, long(2000)), "done");
}

#[test]
fn there_is_a_limit_to_what_a_link_gives_and_to_whom() {
    let mut world = World::populated();
    for number in 3..=103 {
        let command = AccessCommand::CreateGroup {
            id: group_id(number),
            name: GroupName::parse(&format!("group {number}")).unwrap(),
            internal: false,
        };
        world.access(0, &founder(0), command).unwrap();
    }
    let groups = |count: u8| {
        let groups = (3..3 + count).map(group_id);
        groups.fold(LinkDraft::auto(), LinkDraft::group)
    };
    let grants = |count: u8| {
        let grants = (0..count).map(|n| preset_grant(&[Action::Read], &format!("key{n}")));
        grants.fold(LinkDraft::auto(), LinkDraft::grant)
    };
    let domains = |count: u32| {
        let domains = (0..count).map(|n| EmailDomain::parse(&format!("d{n}.example")).unwrap());
        domains.fold(LinkDraft::auto(), LinkDraft::allow_domain)
    };
    let members = |count: u32| {
        let members = (0..count).map(|n| Member::User(format!("u{n}").parse().unwrap()));
        members.fold(LinkDraft::auto(), LinkDraft::allow_member)
    };
    for (link, most, more) in [
        (10, groups(100), groups(101)),
        (11, grants(100), grants(101)),
        (12, domains(1000), domains(1001)),
        (13, members(1000), members(1001)),
    ] {
        let outcome = world.create(0, &founder(0), link, more.clone());
        refused(&outcome.map(|_| Vec::new()), "too-many");
        refused(&edit(&mut world, 1, more), "too-many");
        create(&mut world, link, most.clone());
        refused(&edit(&mut world, 1, most), "done");
    }
}

#[test]
fn there_is_a_limit_to_what_is_given_by_hand() {
    let mut world = World::populated();
    let groups = Preset {
        groups: (0..101).map(group_id).collect(),
        ..Preset::default()
    };
    let grants = |count: usize| Preset {
        grants: vec![preset_grant(&[Action::Read], "key"); count],
        ..Preset::default()
    };
    let review = review(&world);
    claim(&mut world, 4, review).unwrap();
    let approve = |world: &mut World, gift: Preset| {
        let own = Changes {
            gift: Some(gift),
            ..Changes::default()
        };
        approve_with(world, &founder(0), user_member(4), own)
    };
    for gift in [groups, grants(101)] {
        refused(&add(&mut world, user_member(3), gift.clone()), "too-many");
        refused(&approve(&mut world, gift), "too-many");
    }
    refused(&add(&mut world, user_member(3), grants(100)), "done");
    refused(&approve(&mut world, grants(100)), "done");
}

#[test]
fn a_link_says_itself_whether_it_needs_review() {
    let mut world = World::populated();
    set(&mut world, |s| s.link_defaults = LinkDraft::auto()).unwrap();
    create(&mut world, 8, LinkDraft::default());
    create(&mut world, 9, LinkDraft::review());
    let approval = |link| {
        let link = world.records().link(&org(0), link_id(link)).unwrap();
        link.config.approval
    };
    assert_eq!(approval(8), Approval::Auto, "as the settings have it");
    assert_eq!(approval(9), Approval::Review);
}

/// "Expired and exhausted are computed and shown beside the status" (spec 3); what is for good
/// comes before what may pass.
#[test]
fn the_condition_of_a_link() {
    use LinkCondition::{Disabled, Exhausted, Expired, Open, Paused};
    let mut world = World::populated();
    let draft = LinkDraft::auto()
        .max_uses(Uses::AtMost(2))
        .expiry(Expiry::After(HOUR));
    create(&mut world, 9, draft);
    let condition = |world: &World, link: u8, uses: Option<u64>, after: Duration| {
        let host = world.records().organization(&org(0)).unwrap();
        let link = world.records().link(&org(0), link_id(link)).unwrap();
        link.condition(uses, host, START + after)
    };
    let soon = ALMOST_AN_HOUR;
    let rests = |world: &World, expected| {
        assert_eq!(condition(world, 1, None, HOUR), expected);
        assert_eq!(condition(world, 9, Some(1), soon), expected);
    };
    rests(&world, Open);
    assert_eq!(
        condition(&world, 9, None, soon),
        Open,
        "not counted: not used up"
    );
    let until = Pause::Until(START + HOUR * 2);
    let pause = OrganizationCommand::PauseLinks { until };
    world.organization(0, &founder(0), pause).unwrap();
    rests(&world, Paused);
    assert_eq!(condition(&world, 1, None, HOUR * 2), Open);
    for (uses, after, expected) in [
        (2, soon, Exhausted),
        (3, soon, Exhausted),
        (2, HOUR, Expired),
        (0, HOUR, Expired),
    ] {
        assert_eq!(condition(&world, 9, Some(uses), after), expected);
    }
    disable(&mut world, 1);
    disable(&mut world, 9);
    rests(&world, Disabled);
    assert_eq!(condition(&world, 9, Some(2), HOUR), Disabled);
}

#[test]
fn links_end_at_their_end() {
    let mut world = World::populated();
    let link = create(&mut world, 3, LinkDraft::auto().expiry(Expiry::After(HOUR)));
    world.pass(ALMOST_AN_HOUR);
    refused(&claim(&mut world, 3, link), "done");
    world.pass(Duration::from_micros(1));
    refused(&claim(&mut world, 4, link), "invalid-token");
    // Same link, same configuration: a new token doesn't make it longer.
    let link = refresh(&mut world, 3, Duration::ZERO).unwrap();
    refused(&claim(&mut world, 4, link), "invalid-token");
    edit(&mut world, 3, LinkDraft::default().expiry(Expiry::Never)).unwrap();
    refused(&claim(&mut world, 4, link), "done");
}

#[test]
fn the_expiry_of_a_link_is_written_once_and_a_new_end_opens_it_again() {
    let mut world = World::populated();
    let an_hour = || LinkDraft::auto().expiry(Expiry::After(HOUR));
    let token = create(&mut world, 3, an_hour());
    let expire = |world: &mut World, by: &Actor| {
        let link = link_id(3);
        world.link(0, by, LinkCommand::Expire { link })
    };
    unchanged(&expire(&mut world, &founder(0)));
    for _ in 0..2 {
        world.pass(HOUR);
        refused(&expire(&mut world, &person(9)), "not-found");
        let events = expire(&mut world, &Actor::system()).unwrap();
        assert_eq!(events[0].name(), "link-expired");
        unchanged(&expire(&mut world, &founder(0)));
        edit(&mut world, 3, LinkDraft::review()).unwrap();
        unchanged(&expire(&mut world, &founder(0)));
        refused(&claim(&mut world, 4, token), "invalid-token");
        edit(&mut world, 3, an_hour()).unwrap();
        unchanged(&expire(&mut world, &founder(0)));
    }
    refused(&claim(&mut world, 4, token), "done");
}

#[test]
fn a_cap_on_the_lifetime_of_links() {
    let mut world = World::populated();
    set(&mut world, |settings| {
        settings.max_link_lifetime = Some(HOUR);
    })
    .unwrap();
    let create = |world: &mut World, link, draft: LinkDraft| {
        world
            .create(0, &founder(0), link, draft)
            .map(|_| Vec::new())
    };
    refused(
        &create(&mut world, 3, LinkDraft::auto()),
        "lifetime-too-long",
    );
    for expiry in [Expiry::Never, Expiry::After(HOUR * 2)] {
        refused(
            &create(&mut world, 3, LinkDraft::auto().expiry(expiry)),
            "lifetime-too-long",
        );
        refused(
            &edit(&mut world, 1, LinkDraft::default().expiry(expiry)),
            "lifetime-too-long",
        );
    }
    refused(
        &create(&mut world, 3, LinkDraft::auto().expiry(Expiry::After(HOUR))),
        "unchanged",
    );
    // Links from before the cap can still be given another label.
    let label = LinkDraft::default().label("older".parse().unwrap());
    refused(&edit(&mut world, 1, label), "done");
    // A default does it for all; it must itself keep within the cap.
    let default = |after| {
        move |s: &mut Settings| {
            s.link_defaults = LinkDraft::default().expiry(Expiry::After(after));
        }
    };
    refused(&set(&mut world, default(HOUR * 2)), "lifetime-too-long");
    refused(&set(&mut world, default(MINUTE)), "done");
    refused(&create(&mut world, 4, LinkDraft::auto()), "unchanged");
    let link = world.records().link(&org(0), link_id(4)).unwrap();
    assert_eq!(link.config.expires_at, Some(START + MINUTE));
}

#[test]
fn defaults_of_a_new_link_come_from_the_settings() {
    let mut world = World::populated();
    let end = Expiry::At(START + HOUR);
    set(&mut world, |settings| {
        settings.link_defaults = LinkDraft::auto()
            .max_uses(Uses::AtMost(5))
            .expiry(end)
            .question("Why?");
    })
    .unwrap();
    create(
        &mut world,
        3,
        LinkDraft::default().max_uses(Uses::Unlimited),
    );
    let config = world
        .records()
        .link(&org(0), link_id(3))
        .unwrap()
        .config
        .clone();
    assert_eq!((config.approval, config.max_uses), (Approval::Auto, None));
    assert_eq!(config.expires_at, Some(START + HOUR));
    assert_eq!(config.questions, ["Why?"]);
    // A default that has passed hinders nobody who says an end.
    world.pass(HOUR);
    create(&mut world, 4, LinkDraft::default().expiry(Expiry::Never));
    let outcome = world.create(0, &founder(0), 5, LinkDraft::default());
    refused(&outcome.map(|_| Vec::new()), "in-the-past");
}

#[test]
fn metadata_travels_to_the_membership() {
    let mut world = World::populated();
    let metadata = Metadata::from_json(r#"{"campaign":"spring"}"#).unwrap();
    let link = create(
        &mut world,
        3,
        LinkDraft::review().metadata(metadata.clone()),
    );
    claim(&mut world, 4, link).unwrap();
    approve(&mut world, user_member(4)).unwrap();
    assert_eq!(membership(&world, &user_member(4)).metadata, metadata);
}

#[test]
fn refresh_replaces_the_token_and_nothing_else() {
    let mut world = World::populated();
    let draft = LinkDraft::auto()
        .max_uses(Uses::AtMost(3))
        .group(group_id(1));
    let old = create(&mut world, 3, draft);
    claim(&mut world, 3, old).unwrap();
    let before = world.records().link(&org(0), link_id(3)).unwrap().clone();
    world.pass(MINUTE);
    let new = refresh(&mut world, 3, Duration::ZERO).unwrap();
    let after = world.records().link(&org(0), link_id(3)).unwrap().clone();
    assert_eq!(after.generation, before.generation.next());
    assert_eq!((after.config, after.status), (before.config, before.status));
    assert_eq!(
        (after.creator, after.created_at),
        (before.creator, before.created_at)
    );
    assert_eq!(uses(&world, 3), 1);
    assert_eq!(phase(&world, 3), Phase::Approved, "memberships stay");
    refused(&claim(&mut world, 4, old), "invalid-token");
    refused(&claim(&mut world, 4, new), "done");
    let held = world
        .records()
        .link_use(&org(0), link_id(3), &user_member(4));
    assert_eq!(held.unwrap().generation, Generation::new(2));
}

/// "Retired tokens can't be revealed" (spec 3): nothing is left to open.
#[test]
fn a_retired_token_is_sealed_no_more() {
    for ends in ["refresh", "refresh with an overlap", "disable", "delete"] {
        let mut world = World::populated();
        let token = review(&world);
        let key = RowKey::Token(token);
        let mut records = Records::new();
        for (key, row) in world.records().iter() {
            records.insert(key.clone(), row.clone());
        }
        let sealed = TokenRecord {
            sealed: Some(SealedToken::from_bytes([7; SEALED_BYTES])),
            ..records.token(token).unwrap().clone()
        };
        records.insert(key, Row::Token(sealed));
        let done = world.log().len();
        let link = link_id(1);
        match ends {
            "refresh" => refresh(&mut world, 1, Duration::ZERO).map(|_| Vec::new()),
            "disable" => world.link(0, &founder(0), LinkCommand::Disable { link }),
            "delete" => world.link(0, &founder(0), LinkCommand::Delete { link }),
            _ => refresh(&mut world, 1, HOUR).map(|_| Vec::new()),
        }
        .unwrap();
        for (host, stamp, event) in &world.log()[done..] {
            evolve(&mut records, host, stamp, event);
        }
        assert_eq!(records.token(token).unwrap().sealed, None, "{ends}");
    }
}

#[test]
fn every_token_of_a_link_is_a_generation_of_its_own() {
    let mut world = World::populated();
    let generation = |world: &World| {
        let link = world.records().link(&org(0), link_id(1)).unwrap();
        link.generation.get()
    };
    assert_eq!(generation(&world), 1);
    for expected in 2..4 {
        refresh(&mut world, 1, Duration::ZERO).unwrap();
        assert_eq!(generation(&world), expected);
    }
    disable(&mut world, 1);
    assert_eq!(generation(&world), 3, "it has no token now");
    enable(&mut world, 1).unwrap();
    assert_eq!(generation(&world), 4);
    let link = review(&world);
    claim(&mut world, 4, link).unwrap();
    let door = membership(&world, &user_member(4)).door;
    let through = Door::Link {
        link: link_id(1),
        generation: Generation::new(4),
    };
    assert_eq!(door, through, "attribution is per generation");
}

#[test]
fn an_overlap_is_at_most_a_day_and_only_gets_shorter() {
    let mut world = World::populated();
    assert_eq!(MAX_OVERLAP, HOUR * 24);
    let too_long = MAX_OVERLAP + Duration::from_micros(1);
    assert_eq!(
        refresh(&mut world, 2, too_long),
        Err(CommandError::OverlapTooLong)
    );
    let first = auto(&world);
    let second = refresh(&mut world, 2, MAX_OVERLAP).unwrap();
    assert!(world.opens(first).is_ok() && world.opens(second).is_ok());
    let until = |world: &World, token| world.records().token(token).unwrap().valid_until;
    assert_eq!(until(&world, first), Some(START + MAX_OVERLAP));
    world.pass(HOUR);
    // Another day for the second one; the first keeps its end.
    let third = refresh(&mut world, 2, MAX_OVERLAP).unwrap();
    assert_eq!(until(&world, first), Some(START + MAX_OVERLAP));
    assert_eq!(until(&world, second), Some(START + HOUR + MAX_OVERLAP));
    // A shorter one shortens all.
    let fourth = refresh(&mut world, 2, MINUTE).unwrap();
    for token in [first, second, third] {
        assert_eq!(until(&world, token), Some(START + HOUR + MINUTE));
        assert!(world.opens(token).is_ok());
    }
    world.pass(MINUTE);
    refused(&claim(&mut world, 4, first), "invalid-token");
    refused(&claim(&mut world, 4, third), "invalid-token");
    refused(&claim(&mut world, 4, fourth), "done");
    // However many refreshes there are, only a few old tokens work.
    for _ in 0..20 {
        refresh(&mut world, 2, HOUR).unwrap();
    }
    let link = world.records().link(&org(0), link_id(2)).unwrap();
    assert_eq!(link.overlapping.len(), 8);
    world.check();
}

#[test]
fn no_selector_is_issued_twice() {
    let mut world = World::populated();
    let old = world.draw(&org(0));
    let refresh = |link: u8| LinkCommand::Refresh {
        link: link_id(link),
        token: old.clone(),
        overlap: Duration::ZERO,
    };
    world.link(0, &founder(0), refresh(1)).unwrap();
    refused(&world.link(0, &founder(0), refresh(1)), "selector-taken");
    refused(&world.link(0, &founder(0), refresh(2)), "selector-taken");
    disable(&mut world, 1);
    let link = link_id(1);
    let token = old.clone();
    refused(
        &world.link(0, &founder(0), LinkCommand::Enable { link, token }),
        "selector-taken",
    );
}

#[test]
fn disabling_and_enabling() {
    let mut world = World::populated();
    let (own, waits) = (auto(&world), review(&world));
    claim(&mut world, 3, own).unwrap();
    claim(&mut world, 4, waits).unwrap();
    let overlapping = own;
    let own = refresh(&mut world, 2, HOUR).unwrap();
    disable(&mut world, 2);
    disable(&mut world, 1);
    unchanged(&world.link(0, &founder(0), LinkCommand::Disable { link: link_id(2) }));
    for token in [own, overlapping] {
        refused(&claim(&mut world, 2, token), "invalid-token");
    }
    let link = world.records().link(&org(0), link_id(2)).unwrap();
    assert_eq!((link.token, link.overlapping.len()), (None, 0));
    // Who is in stays in, who waits goes on waiting and can be let in.
    assert_eq!(
        (phase(&world, 3), phase(&world, 4)),
        (Phase::Approved, Phase::Pending)
    );
    approve(&mut world, user_member(4)).unwrap();
    assert_eq!(
        refresh(&mut world, 2, HOUR),
        Err(CommandError::WrongLinkState { status: "disabled" })
    );
    let fresh = enable(&mut world, 2).unwrap();
    let link = world.records().link(&org(0), link_id(2)).unwrap();
    assert_eq!(
        (link.status, link.generation),
        (LinkStatus::Active, Generation::new(3))
    );
    // No earlier token ever works again, whatever comes.
    refresh(&mut world, 2, HOUR).unwrap();
    disable(&mut world, 2);
    let last = enable(&mut world, 2).unwrap();
    for token in [own, overlapping, fresh] {
        refused(&claim(&mut world, 2, token), "invalid-token");
        refused(&claim(&mut world, 0, token), "token-retired");
    }
    refused(&claim(&mut world, 2, last), "done");
    let link = link_id(2);
    let token = world.draw(&org(0));
    unchanged(&world.link(0, &founder(0), LinkCommand::Enable { link, token }));
}

#[test]
fn deleting() {
    let mut world = World::populated();
    let (own, waits) = (auto(&world), review(&world));
    claim(&mut world, 3, own).unwrap();
    claim(&mut world, 4, waits).unwrap();
    for link in [1, 2] {
        let delete = LinkCommand::Delete {
            link: link_id(link),
        };
        refused(&world.link(0, &founder(0), delete.clone()), "done");
        refused(&world.link(0, &founder(0), delete), "not-found");
        refused(&edit(&mut world, link, LinkDraft::auto()), "not-found");
        assert_eq!(
            enable(&mut world, link),
            Err(CommandError::NotFound { what: "link" })
        );
    }
    refused(&claim(&mut world, 2, own), "invalid-token");
    refused(&claim(&mut world, 0, own), "link-deleted");
    // Attribution stays, and so do members.
    assert_eq!(uses(&world, 2), 1);
    assert_eq!(phase(&world, 3), Phase::Approved);
    refused(&approve(&mut world, user_member(4)), "done");
    let again = world.create(0, &founder(0), 1, LinkDraft::auto());
    refused(&again.map(|_| Vec::new()), "wrong-link-state");
}

#[test]
fn pausing_all_links() {
    let mut world = World::populated();
    let link = auto(&world);
    let pause = |until| OrganizationCommand::PauseLinks { until };
    refused(
        &world.organization(0, &founder(0), pause(Pause::Until(START))),
        "in-the-past",
    );
    let hour = Pause::Until(START + HOUR);
    refused(&world.organization(0, &founder(0), pause(hour)), "done");
    unchanged(&world.organization(0, &founder(0), pause(hour)));
    refused(&claim(&mut world, 3, link), "invalid-token");
    refused(&claim(&mut world, 0, link), "links-paused");
    world.pass(HOUR);
    refused(&claim(&mut world, 3, link), "done");
    refused(
        &world.organization(0, &founder(0), pause(Pause::UntilResumed)),
        "done",
    );
    world.pass(HOUR * 1000);
    refused(&claim(&mut world, 4, link), "invalid-token");
    refused(
        &world.organization(0, &founder(0), OrganizationCommand::ResumeLinks),
        "done",
    );
    unchanged(&world.organization(0, &founder(0), OrganizationCommand::ResumeLinks));
    refused(&claim(&mut world, 4, link), "done");
    let plain = person(4).in_organization(org(0));
    refused(
        &world.organization(0, &plain, pause(Pause::UntilResumed)),
        "not-allowed",
    );
}

#[test]
fn the_default_link_is_made_once() {
    let mut world = World::populated();
    let make = |world: &mut World, actor: &Actor, link: u8| {
        let token = world.draw(&org(0));
        let command = LinkCommand::Create {
            link: link_id(link),
            draft: Box::new(LinkDraft::default()),
            token,
            as_default: true,
        };
        world.link(0, actor, command)
    };
    let default = |world: &World| world.records().organization(&org(0)).unwrap().default_link;
    refused(&make(&mut world, &founder(0), 3), "done");
    assert_eq!(default(&world), Some(link_id(3)));
    unchanged(&make(&mut world, &founder(0), 4));
    let plain = join(&mut world, 4, "member");
    refused(&make(&mut world, &plain, 4), "not-allowed");
    disable(&mut world, 3);
    unchanged(&make(&mut world, &founder(0), 4));
    let delete = LinkCommand::Delete { link: link_id(3) };
    world.link(0, &founder(0), delete).unwrap();
    refused(&make(&mut world, &founder(0), 4), "done");
    assert_eq!(default(&world), Some(link_id(4)));
}

#[test]
fn an_edit_never_changes_the_token() {
    let mut world = World::populated();
    let before = world.records().link(&org(0), link_id(2)).unwrap().clone();
    let draft = LinkDraft::review()
        .max_uses(Uses::AtMost(7))
        .group(group_id(1))
        .expiry(Expiry::After(HOUR));
    refused(&edit(&mut world, 2, draft), "done");
    let after = world.records().link(&org(0), link_id(2)).unwrap().clone();
    assert_eq!(
        (after.token, after.generation),
        (before.token, before.generation)
    );
    unchanged(&edit(
        &mut world,
        2,
        LinkDraft::review().max_uses(Uses::AtMost(7)),
    ));
}

#[test]
fn uses_are_distinct_members_and_the_limit_holds() {
    let mut world = World::populated();
    let link = create(&mut world, 3, LinkDraft::auto().max_uses(Uses::AtMost(2)));
    assert!(!exhausted(&claim(&mut world, 3, link)));
    unchanged(&claim(&mut world, 3, link));
    assert_eq!(uses(&world, 3), 1);
    assert!(
        exhausted(&claim(&mut world, 4, link)),
        "exactly at the last use"
    );
    refused(&claim(&mut world, 2, link), "invalid-token");
    refused(&claim(&mut world, 0, link), "unchanged");
    let admin = person(9).in_organization(org(0)).with_role(role("admin"));
    refused(&world.claim(&admin, user_member(9), link), "link-exhausted");
    // Members repeat their claim, and come back, without using anything.
    unchanged(&claim(&mut world, 3, link));
    leave(&mut world, 3).unwrap();
    assert_eq!(uses(&world, 3), 2, "not given back on leaving");
    refused(&claim(&mut world, 2, link), "invalid-token");
    refused(&claim(&mut world, 3, link), "done");
    remove(&mut world, user_member(4)).unwrap();
    assert_eq!(uses(&world, 3), 2, "nor on removal");
    world.check();
}

#[test]
fn a_reserved_use_is_released_when_the_request_ends() {
    for way in ["reject", "cancel", "leave", "expire", "claim"] {
        let mut world = World::populated();
        set(&mut world, |settings| settings.request_ttl = Some(HOUR)).unwrap();
        let link = create(&mut world, 3, LinkDraft::review().max_uses(Uses::AtMost(1)));
        assert!(
            exhausted(&claim(&mut world, 4, link)),
            "reserved by the claim"
        );
        refused(&claim(&mut world, 3, link), "invalid-token");
        match way {
            "reject" => reject(&mut world, user_member(4)),
            "cancel" => cancel(&mut world, 4),
            "leave" => leave(&mut world, 4),
            "expire" => {
                world.pass(HOUR);
                let member = user_member(4);
                world.member(0, &Actor::system(), MemberCommand::Expire { member })
            }
            _ => {
                // Its own next claim ends the expired request first.
                world.pass(HOUR);
                let events = claim(&mut world, 4, link).unwrap();
                let names: Vec<_> = events.iter().map(Event::name).collect();
                let expected = [
                    "membership-expired",
                    "membership-requested",
                    "link-exhausted",
                ];
                assert_eq!(names, expected);
                reject(&mut world, user_member(4))
            }
        }
        .unwrap();
        assert_eq!(uses(&world, 3), 0, "{way}");
        let held = world
            .records()
            .link_use(&org(0), link_id(3), &user_member(4));
        assert_eq!(held.unwrap().state, UseState::Released);
        refused(&claim(&mut world, 3, link), "done");
        world.check();
    }
}

#[test]
fn approval_settles_a_use() {
    let mut world = World::populated();
    let link = create(&mut world, 3, LinkDraft::review().max_uses(Uses::AtMost(1)));
    claim(&mut world, 4, link).unwrap();
    approve(&mut world, user_member(4)).unwrap();
    let held = |world: &World| {
        let held = world
            .records()
            .link_use(&org(0), link_id(3), &user_member(4));
        held.unwrap().state
    };
    assert_eq!(held(&world), UseState::Settled);
    leave(&mut world, 4).unwrap();
    assert_eq!((held(&world), uses(&world, 3)), (UseState::Settled, 1));
    // Back for review, and rejected: it had its use already.
    claim(&mut world, 4, link).unwrap();
    reject(&mut world, user_member(4)).unwrap();
    assert_eq!((held(&world), uses(&world, 3)), (UseState::Settled, 1));
}

#[test]
fn limits_set_later_count_what_was_used() {
    let mut world = World::populated();
    let link = auto(&world);
    claim(&mut world, 3, link).unwrap();
    claim(&mut world, 4, link).unwrap();
    assert_eq!(world.records().link_tally(&org(0), link_id(2)), None);
    let limit = |n| LinkDraft::default().max_uses(Uses::AtMost(n));
    refused(&edit(&mut world, 2, limit(3)), "done");
    assert_eq!(world.records().link_tally(&org(0), link_id(2)), Some(2));
    assert!(exhausted(&claim_org(&mut world, 1, link)));
    refused(&claim_org(&mut world, 2, link), "invalid-token");
    refused(&edit(&mut world, 2, limit(4)), "done");
    refused(&claim_org(&mut world, 2, link), "done");
    // Below what was used already: nobody else gets in, nobody is thrown out.
    refused(&edit(&mut world, 2, limit(1)), "done");
    refused(&claim(&mut world, 2, link), "invalid-token");
    unchanged(&claim(&mut world, 4, link));
    refused(
        &edit(
            &mut world,
            2,
            LinkDraft::default().max_uses(Uses::Unlimited),
        ),
        "done",
    );
    assert_eq!(world.records().link_tally(&org(0), link_id(2)), None);
    refused(&claim(&mut world, 2, link), "done");
    world.check();
}

#[test]
fn one_error_for_every_dead_token() {
    let mut world = World::populated();
    let mut dead: Vec<(&str, Selector)> = vec![];
    let unknown = world.draw(&org(0)).selector;
    dead.push(("token-unknown", unknown));
    let retired = review(&world);
    refresh(&mut world, 1, Duration::ZERO).unwrap();
    dead.push(("token-retired", retired));
    dead.push(("link-disabled", create(&mut world, 10, LinkDraft::auto())));
    disable(&mut world, 10);
    dead.push(("link-deleted", create(&mut world, 11, LinkDraft::auto())));
    let delete = LinkCommand::Delete { link: link_id(11) };
    world.link(0, &founder(0), delete).unwrap();
    let short = LinkDraft::auto().expiry(Expiry::After(MINUTE));
    dead.push(("link-expired", create(&mut world, 12, short)));
    // Exhausted comes before whatever else its link would ask.
    let draft = LinkDraft::auto()
        .max_uses(Uses::AtMost(1))
        .allow_domain(EmailDomain::parse("corp.example").unwrap());
    let once = create(&mut world, 13, draft);
    let first = founder(1).with_verified_email(email("ada@corp.example"));
    world.claim(&first, org_member(1), once).unwrap();
    dead.push(("link-exhausted", once));
    let creator = join(&mut world, 2, "admin");
    let orphan = world.create(0, &creator, 14, LinkDraft::auto()).unwrap();
    leave(&mut world, 2).unwrap();
    dead.push(("creator-not-standing", orphan));
    world.pass(HOUR);
    let foreign = world.create(1, &founder(1), 15, LinkDraft::auto()).unwrap();

    let manager = person(9).in_organization(org(0)).with_role(role("admin"));
    let plain = person(4).in_organization(org(0)).with_role(role("member"));
    let outsiders = [
        (person(3), user_member(3)),
        (plain, user_member(4)),
        (founder(2), org_member(2)),
        // Somebody who may not even claim for this member learns nothing else either.
        (person(3), org_member(2)),
        (
            person(3).with_verified_email(email("a@b.example")),
            user_member(3),
        ),
    ];
    let mut answers = BTreeSet::new();
    for (precise, token) in &dead {
        for (actor, member) in &outsiders {
            let error = world.claim(actor, member.clone(), *token).unwrap_err();
            answers.insert((error.code(), error.to_string(), format!("{error:?}")));
        }
        let error = world.claim(&manager, user_member(9), *token).unwrap_err();
        // An unknown token has no host whose manager somebody could be.
        let expected = if *precise == "token-unknown" {
            "invalid-token"
        } else {
            precise
        };
        assert_eq!(error.code(), expected);
        let precisely = expected != "invalid-token";
        assert_eq!(error.to_string().contains(precise), precisely, "{error}");
    }
    // Not this verifier: the same again.
    for token in [auto(&world), retired, once] {
        let command = MemberCommand::Claim {
            token: Presented {
                selector: token,
                genuine: false,
            },
            member: user_member(3),
            profile: Profile::default(),
            answers: Vec::new(),
            proxy: ProxyUserId::from_bytes([1; 16]),
        };
        let error = world.member(0, &person(3), command).unwrap_err();
        answers.insert((error.code(), error.to_string(), format!("{error:?}")));
    }
    // Another host than the token's, by a shell that doesn't look where the token belongs.
    let command = Command::Member(MemberCommand::Claim {
        token: presented(foreign),
        member: user_member(3),
        profile: Profile::default(),
        answers: Vec::new(),
        proxy: ProxyUserId::from_bytes([1; 16]),
    });
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let error = decide(world.records(), &org(0), &person(3), &command, &env).unwrap_err();
    answers.insert((error.code(), error.to_string(), format!("{error:?}")));
    assert!(decide(world.records(), &org(1), &person(3), &command, &env).is_ok());
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers.first().unwrap().0, "invalid-token");
}

/// Exhausted comes first for everybody but those who used the link up.
#[test]
fn whoever_has_a_use_of_an_exhausted_link_is_told_what_else_is_wrong() {
    let mut world = World::populated();
    let draft = || LinkDraft::auto().max_uses(Uses::AtMost(1));
    let once = create(&mut world, 9, draft());
    claim(&mut world, 4, once).unwrap();
    leave(&mut world, 4).unwrap();
    for number in [3, 4] {
        block(&mut world, user_member(number)).unwrap();
    }
    refused(&claim(&mut world, 4, once), "blocked");
    refused(&claim(&mut world, 3, once), "invalid-token");
    // A use that was given back is none.
    let again = create(
        &mut world,
        10,
        LinkDraft::review().max_uses(Uses::AtMost(1)),
    );
    claim(&mut world, 5, again).unwrap();
    reject(&mut world, user_member(5)).unwrap();
    claim(&mut world, 6, again).unwrap();
    block(&mut world, user_member(5)).unwrap();
    refused(&claim(&mut world, 5, again), "invalid-token");
}

/// What a manager is told of a token without claiming with it, and what an audit record holds of a
/// refusal that says nothing.
#[test]
fn why_a_token_opens_nothing() {
    let mut world = World::populated();
    let why = |world: &World, token: Selector| {
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        problem(world.records(), &presented(token), &env)
    };
    let recorded = |world: &World, token: Selector| {
        let outcome = world.clone().claim(&person(9), user_member(9), token);
        match outcome.unwrap_err() {
            CommandError::InvalidToken(refusal) => {
                assert_eq!(refusal.code(), "invalid-token");
                assert_eq!(format!("{refusal:?}"), r#"TokenRefusal("invalid-token")"#);
                assert_eq!(refusal.to_string(), "this invite is not valid");
                refusal.problem()
            }
            other => panic!("{other:?}"),
        }
    };
    let creator = join(&mut world, 4, "admin");
    let once = LinkDraft::auto().max_uses(Uses::AtMost(1));
    let short = LinkDraft::auto().expiry(Expiry::After(HOUR));
    let used = create(&mut world, 3, once.clone());
    let unused = create(&mut world, 4, once);
    let expired = create(&mut world, 5, short);
    let orphan = world.create(0, &creator, 6, LinkDraft::auto()).unwrap();
    let retired = review(&world);
    let disabled = create(&mut world, 7, LinkDraft::auto());
    let deleted = create(&mut world, 8, LinkDraft::auto());
    for token in [used, unused, expired, orphan, retired, disabled, deleted] {
        assert_eq!(why(&world, token), None, "they all work");
    }
    claim(&mut world, 3, used).unwrap();
    leave(&mut world, 4).unwrap();
    refresh(&mut world, 1, Duration::ZERO).unwrap();
    disable(&mut world, 7);
    let delete = LinkCommand::Delete { link: link_id(8) };
    world.link(0, &founder(0), delete).unwrap();
    world.pass(HOUR);
    let unknown = world.draw(&org(0)).selector;
    for (token, expected) in [
        (unknown, TokenProblem::Unknown),
        (used, TokenProblem::Exhausted),
        (expired, TokenProblem::Expired),
        (orphan, TokenProblem::CreatorNotStanding),
        (retired, TokenProblem::Retired),
        (disabled, TokenProblem::Disabled),
        (deleted, TokenProblem::Deleted),
    ] {
        assert_eq!(why(&world, token), Some(expected));
        assert_eq!(recorded(&world, token), expected);
    }
    assert_eq!(why(&world, unused), None);
    for (command, expected) in [
        (
            OrganizationCommand::PauseLinks {
                until: Pause::UntilResumed,
            },
            TokenProblem::Paused,
        ),
        (OrganizationCommand::Suspend, TokenProblem::HostNotActive),
    ] {
        world.organization(0, &Actor::system(), command).unwrap();
        assert_eq!(why(&world, unused), Some(expected));
        assert_eq!(recorded(&world, unused), expected);
    }
    // A manager's refusal says in every form what it is.
    let manager = person(9).in_organization(org(0)).with_role(role("admin"));
    let told = world.claim(&manager, user_member(9), retired).unwrap_err();
    assert_eq!(
        format!("{told:?}"),
        r#"InvalidToken(TokenRefusal("token-retired"))"#
    );
}

#[test]
fn managers_who_act_for_another_organization_are_told_why() {
    let mut world = World::populated();
    // User 1 founded organization 1 and is an administrator of the host, too.
    join(&mut world, 1, "admin");
    disable(&mut world, 2);
    let retired = review(&world);
    refresh(&mut world, 1, Duration::ZERO).unwrap();
    refused(&claim_org(&mut world, 1, retired), "token-retired");
    // Once removed, what the application says of them counts no more.
    remove(&mut world, user_member(1)).unwrap();
    let stated = person(1).in_organization(org(0)).with_role(role("admin"));
    refused(
        &world.claim(&stated, org_member(1), retired),
        "invalid-token",
    );
}

#[test]
fn a_preview_changes_nothing_and_shows_what_the_link_is() {
    let mut world = World::populated();
    let draft = LinkDraft::auto()
        .label("Partners".parse().unwrap())
        .max_uses(Uses::AtMost(1))
        .expiry(Expiry::After(HOUR));
    let link = create(&mut world, 3, draft);
    let show = |world: &World, token: Selector| {
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        preview(world.records(), &presented(token), &env)
    };
    let shown = show(&world, link).unwrap();
    assert_eq!(shown.host_name, org_name(0));
    assert_eq!(shown.label.unwrap().as_str(), "Partners");
    assert_eq!(
        shown.role,
        Some(role("member")),
        "the role that it comes to"
    );
    assert!(!shown.needs_review);
    assert_eq!(shown.expires_at, Some(START + HOUR));
    assert_eq!(shown.condition, LinkCondition::Open);
    assert!(show(&world, review(&world)).unwrap().needs_review);
    claim(&mut world, 4, link).unwrap();
    assert_eq!(
        show(&world, link).unwrap().condition,
        LinkCondition::Exhausted
    );
    let unknown = world.draw(&org(0)).selector;
    assert_eq!(show(&world, unknown).unwrap_err().code(), "invalid-token");
    // A link is not shown whose creator no longer stands for it.
    let creator = join(&mut world, 5, "admin");
    let orphan = world.create(0, &creator, 9, LinkDraft::auto()).unwrap();
    assert!(show(&world, orphan).is_ok());
    leave(&mut world, 5).unwrap();
    assert_eq!(show(&world, orphan).unwrap_err().code(), "invalid-token");
    world.pass(HOUR);
    assert_eq!(
        show(&world, link).unwrap().condition,
        LinkCondition::Expired
    );
    let pause = OrganizationCommand::PauseLinks {
        until: Pause::UntilResumed,
    };
    world.organization(0, &founder(0), pause).unwrap();
    assert_eq!(
        show(&world, auto(&world)).unwrap().condition,
        LinkCondition::Paused
    );
    // Nor while it rests for another reason, too.
    assert_eq!(show(&world, orphan).unwrap_err().code(), "invalid-token");
    let retired = auto(&world);
    refresh(&mut world, 2, Duration::ZERO).unwrap();
    assert_eq!(show(&world, retired).unwrap_err().code(), "invalid-token");
    // A clock that steps back revives nothing.
    world.now = START;
    assert_eq!(show(&world, retired).unwrap_err().code(), "invalid-token");
    refused(&claim(&mut world, 3, retired), "invalid-token");
}

// Section 6: who may do what.

#[test]
fn the_last_owner_stays() {
    let mut world = World::populated();
    refused(&leave(&mut world, 0), "last-owner");
    refused(&remove(&mut world, user_member(0)), "last-owner");
    refused(
        &change_role_by(&mut world, &founder(0), 0, "admin"),
        "last-owner",
    );
    let second = join(&mut world, 4, "owner");
    refused(&change_role_by(&mut world, &second, 0, "member"), "done");
    refused(&leave(&mut world, 4), "last-owner");
    change_role_by(&mut world, &second, 0, "owner").unwrap();
    refused(&remove_by(&mut world, &second, user_member(0)), "done");
    refused(
        &remove_by(&mut world, &second, user_member(4)),
        "last-owner",
    );
    refused(
        &remove_by(&mut world, &Actor::system(), user_member(4)),
        "last-owner",
    );
    world.check();
}

#[test]
fn no_role_above_ones_own_is_given_or_taken() {
    let mut world = World::populated();
    let admin = join(&mut world, 4, "admin");
    refused(
        &add_by(&mut world, &admin, user_member(3), with_role("owner")),
        "role-above-own",
    );
    refused(
        &add_by(&mut world, &admin, user_member(3), with_role("admin")),
        "done",
    );
    refused(
        &change_role_by(&mut world, &admin, 3, "owner"),
        "role-above-own",
    );
    refused(
        &change_role_by(&mut world, &admin, 0, "member"),
        "role-above-own",
    );
    refused(
        &remove_by(&mut world, &admin, user_member(0)),
        "role-above-own",
    );
    refused(&change_role_by(&mut world, &admin, 3, "member"), "done");
    let promise = LinkDraft::auto().role(role("owner"));
    let outcome = world
        .create(0, &admin, 9, promise.clone())
        .map(|_| Vec::new());
    refused(&outcome, "role-above-own");
    refused(&edit_by(&mut world, &admin, 1, promise), "role-above-own");

    // By refresh, enabling and approval, too.
    let link = create(&mut world, 9, LinkDraft::review().role(role("owner")));
    claim(&mut world, 2, link).unwrap();
    let refreshed = refresh_by(&mut world, &admin, 9, Duration::ZERO);
    assert_eq!(refreshed, Err(CommandError::RoleAboveOwn));
    let outcome = approve_with(&mut world, &admin, user_member(2), Changes::default());
    refused(&outcome, "role-above-own");
    // An edit that only lets it go on is a gift as well; words are not.
    let longer = LinkDraft::default().max_uses(Uses::AtMost(9));
    refused(&edit_by(&mut world, &admin, 9, longer), "role-above-own");
    let label = LinkDraft::default().label("x".parse().unwrap());
    refused(&edit_by(&mut world, &admin, 9, label), "done");
    let link = link_id(9);
    refused(
        &world.link(0, &admin, LinkCommand::Disable { link }),
        "done",
    );
    let token = world.draw(&org(0));
    let command = LinkCommand::Enable { link, token };
    refused(&world.link(0, &admin, command), "role-above-own");
}

#[test]
fn only_owners_delete_their_organization() {
    let mut world = World::new();
    world.roles = RoleCatalog::owner_admin_reviewer_member();
    world.register(0, Settings::default());
    // Administrators of this catalog may change settings.
    let admin = join(&mut world, 4, "admin");
    let delete = OrganizationCommand::Delete;
    refused(
        &world.organization(0, &admin, delete.clone()),
        "role-above-own",
    );
    refused(&world.organization(0, &founder(0), delete), "done");
}

#[test]
fn the_lowest_role_is_a_gift_like_any_other() {
    // The lowest role can something that the second one can't.
    let mut world = World::new();
    world.roles = RoleCatalog::new(vec![
        Role::new(role("auditor"), [Capability::GrantsManage]),
        Role::new(
            role("linker"),
            [Capability::LinksCreate, Capability::RequestsReview],
        ),
        Role::new(role("owner"), Capability::ALL),
    ])
    .unwrap();
    world.register(0, Settings::default());
    let linker = join(&mut world, 4, "linker");
    let outcome = world.create(0, &linker, 3, LinkDraft::review());
    refused(&outcome.map(|_| Vec::new()), "role-above-own");
    let outcome = add_by(&mut world, &linker, user_member(3), Preset::default());
    refused(&outcome, "role-above-own");
    let outcome = world.create(0, &linker, 3, LinkDraft::review().role(role("linker")));
    refused(&outcome.map(|_| Vec::new()), "unchanged");
    // Proxy users have no role, so a link for organizations gives none.
    let draft = LinkDraft::review().joined_by(JoinedBy::Organizations);
    let outcome = world.create(0, &linker, 5, draft);
    refused(&outcome.map(|_| Vec::new()), "unchanged");
}

#[test]
fn the_only_role_is_the_owners_and_has_no_end() {
    let mut world = World::new();
    world.roles = RoleCatalog::new(vec![Role::new(role("owner"), Capability::ALL)]).unwrap();
    world.register(0, Settings::default());
    let short = LinkDraft::auto().membership_ttl(Lasting::For(HOUR));
    let outcome = world
        .create(0, &founder(0), 3, short.clone())
        .map(|_| Vec::new());
    refused(&outcome, "owner-can-not-expire");
    create(&mut world, 3, short.joined_by(JoinedBy::Organizations));
}

#[test]
fn a_role_that_is_gone_protects_nobody() {
    let mut world = World::populated();
    join(&mut world, 4, "admin");
    join(&mut world, 3, "admin");
    world.roles = RoleCatalog::new(vec![
        Role::new(role("member"), []),
        Role::new(role("owner"), Capability::ALL),
    ])
    .unwrap();
    refused(
        &change_role_by(&mut world, &founder(0), 4, "member"),
        "done",
    );
    refused(&remove(&mut world, user_member(3)), "done");
    refused(
        &change_role_by(&mut world, &founder(0), 4, "admin"),
        "unknown-role",
    );
}

#[test]
fn groups_and_grants_within_what_one_may_give() {
    let mut world = World::populated();
    let admin = join(&mut world, 4, "admin");
    // Group 1 reaches something that the administrator doesn't hold.
    let grant = AccessCommand::Grant {
        id: grant_id(1),
        to: Grantee::Group(group_id(1)),
        actions: ActionSet::of(&[Action::Read]),
        pattern: Pattern::parse("a/").unwrap(),
        expires_at: None,
    };
    world.access(0, &founder(0), grant).unwrap();
    refused(
        &add_by(&mut world, &admin, user_member(3), with_group(1)),
        "share-not-held",
    );
    let gift = with_grant(&[Action::Read], "b/");
    refused(
        &add_by(&mut world, &admin, user_member(3), gift.clone()),
        "share-not-held",
    );
    let draft = LinkDraft::review().group(group_id(1));
    let outcome = world
        .create(0, &admin, 9, draft.clone())
        .map(|_| Vec::new());
    refused(&outcome, "share-not-held");
    let link = create(&mut world, 9, draft);
    claim(&mut world, 3, link).unwrap();
    let outcome = approve_with(&mut world, &admin, user_member(3), Changes::default());
    refused(&outcome, "share-not-held");
    let own = Changes {
        gift: Some(gift),
        ..Changes::default()
    };
    refused(
        &approve_with(&mut world, &admin, user_member(3), own),
        "share-not-held",
    );
    let share = with_grant(&[Action::Read, Action::Share], "a/");
    add(&mut world, user_member(4), share).unwrap();
    refused(
        &approve_with(&mut world, &admin, user_member(3), Changes::default()),
        "done",
    );
    assert!(reads(&world, &user_member(3), "a/key"));
}

#[test]
fn what_was_promised_is_checked_again_when_it_is_given() {
    for (standing, expected) in [
        (Standing::MustHoldRight, Phase::Pending),
        (Standing::MustBeMember, Phase::Pending),
        (Standing::Keep, Phase::Approved),
    ] {
        let mut world = World::populated();
        set(&mut world, |settings| settings.standing = standing).unwrap();
        let admin = join(&mut world, 4, "admin");
        let share = with_grant(&[Action::Read, Action::Share], "a/");
        add(&mut world, user_member(4), share).unwrap();
        let draft = LinkDraft::auto()
            .joined_by(JoinedBy::Users)
            .grant(preset_grant(&[Action::Read], "a/"));
        let link = world.create(0, &admin, 9, draft).unwrap();
        claim(&mut world, 3, link).unwrap();
        assert_eq!(phase(&world, 3), Phase::Approved);
        // The creator comes back without what it shared: its link doesn't approve by itself now.
        leave(&mut world, 4).unwrap();
        join(&mut world, 4, "admin");
        claim(&mut world, 2, link).unwrap();
        assert_eq!(phase(&world, 2), expected, "{standing:?}");
    }
}

#[test]
fn a_group_that_is_gone_sends_to_review() {
    for standing in [Standing::MustHoldRight, Standing::Keep] {
        let mut world = World::populated();
        set(&mut world, |settings| settings.standing = standing).unwrap();
        let link = create(&mut world, 9, LinkDraft::auto().group(group_id(1)));
        claim(&mut world, 3, link).unwrap();
        let delete = AccessCommand::DeleteGroup { group: group_id(1) };
        world.access(0, &founder(0), delete).unwrap();
        unchanged(&claim(&mut world, 3, link));
        claim(&mut world, 4, link).unwrap();
        assert_eq!(phase(&world, 4), Phase::Pending);
        refused(&approve(&mut world, user_member(4)), "not-found");
        let changes = Changes {
            gift: Some(Preset::default()),
            ..Changes::default()
        };
        refused(
            &approve_with(&mut world, &founder(0), user_member(4), changes),
            "done",
        );
    }
}

#[test]
fn editing_somebody_elses_link_needs_both_ceilings() {
    let mut world = World::populated();
    let admin = join(&mut world, 4, "admin");
    let other = join(&mut world, 3, "admin");
    world.create(0, &admin, 9, LinkDraft::review()).unwrap();
    refused(
        &edit(&mut world, 9, LinkDraft::default().role(role("owner"))),
        "role-above-own",
    );
    let grant = LinkDraft::default()
        .joined_by(JoinedBy::Users)
        .grant(preset_grant(&[Action::Read], "a/"));
    refused(&edit(&mut world, 9, grant), "share-not-held");
    refused(
        &edit_by(
            &mut world,
            &other,
            9,
            LinkDraft::default().role(role("admin")),
        ),
        "done",
    );
    // A creator who is gone gives nothing more; the rest can be changed.
    leave(&mut world, 4).unwrap();
    let member = LinkDraft::default().role(role("member"));
    refused(&edit(&mut world, 9, member), "creator-not-standing");
    refused(
        &edit(
            &mut world,
            9,
            LinkDraft::default().max_uses(Uses::AtMost(1)),
        ),
        "done",
    );
}

/// "Nobody can give, by link, ... edit" (spec 6): whoever changes only the words of a link gives
/// nothing.
#[test]
fn the_words_of_a_link_are_no_gift() {
    let mut world = World::populated();
    let admin = join(&mut world, 4, "admin");
    let draft = LinkDraft::review()
        .joined_by(JoinedBy::Users)
        .grant(preset_grant(&[Action::Read], "a/"));
    create(&mut world, 9, draft);
    let edit = LinkDraft::default;
    for (change, expected) in [
        (edit().label("x".parse().unwrap()), "done"),
        (edit().question("Why?"), "done"),
        (
            edit().metadata(Metadata::from_json(r#"{"a":1}"#).unwrap()),
            "done",
        ),
        (edit().expiry(Expiry::After(HOUR)), "share-not-held"),
        (edit().max_uses(Uses::AtMost(9)), "share-not-held"),
        (edit().joined_by(JoinedBy::Both), "share-not-held"),
        (edit().allow_member(user_member(4)), "share-not-held"),
        (
            edit().allow_domain(EmailDomain::parse("corp.example").unwrap()),
            "share-not-held",
        ),
        (edit().membership_ttl(Lasting::For(HOUR)), "share-not-held"),
        (LinkDraft::auto(), "share-not-held"),
    ] {
        let outcome = edit_by(&mut world, &admin, 9, change.clone());
        refused(&outcome, expected);
        if expected != "done" {
            refused(&edit_by(&mut world, &founder(0), 9, change), "done");
        }
    }
}

#[test]
fn who_may_manage_links() {
    let mut world = World::new();
    world.roles = auditor_roles();
    world.register(0, Settings::default());
    let linker = join(&mut world, 4, "linker");
    let plain = join(&mut world, 3, "member");
    world.create(0, &linker, 1, LinkDraft::review()).unwrap();
    world
        .create(0, &founder(0), 2, LinkDraft::review())
        .unwrap();
    let label = || LinkDraft::default().label("x".parse().unwrap());
    refused(&edit_by(&mut world, &linker, 1, label()), "done");
    refused(&edit_by(&mut world, &linker, 2, label()), "not-allowed");
    refused(&edit_by(&mut world, &plain, 1, label()), "not-allowed");
    let outcome = world.create(0, &plain, 5, LinkDraft::review());
    refused(&outcome.map(|_| Vec::new()), "not-allowed");
    // One's own only while one may make links.
    change_role_by(&mut world, &founder(0), 4, "member").unwrap();
    refused(&edit_by(&mut world, &linker, 1, label()), "not-allowed");
}

#[test]
fn ids_of_other_organizations_are_not_found() {
    let mut world = World::populated();
    world.create(1, &founder(1), 50, LinkDraft::auto()).unwrap();
    let there = world
        .records()
        .link(&org(1), link_id(50))
        .unwrap()
        .token
        .unwrap();
    world.claim(&person(4), user_member(4), there).unwrap();
    world
        .organization(2, &founder(2), OrganizationCommand::Delete)
        .unwrap();
    // An owner of the host with ids of organization 1, and its people everywhere else.
    let not_mine = |link| LinkCommand::Disable { link };
    let none = LinkId::from_bytes([77; 16]);
    for host in [0, 1, 2, 9] {
        let mut answers = BTreeSet::new();
        for link in [link_id(50), none] {
            let error = world.link(host, &founder(0), not_mine(link)).unwrap_err();
            answers.insert(format!("{error:?} {error}"));
        }
        assert_eq!(answers.len(), 1);
        assert!(answers.first().unwrap().contains("no such link"));
        for member in [user_member(4), user_member(8)] {
            for command in [
                MemberCommand::Remove {
                    member: member.clone(),
                    reason: None,
                },
                MemberCommand::Reject {
                    member: member.clone(),
                    reason: None,
                },
                MemberCommand::Expire {
                    member: member.clone(),
                },
                MemberCommand::ChangeRole {
                    member: member.clone(),
                    role: role("member"),
                },
            ] {
                let error = world.member(host, &founder(0), command).unwrap_err();
                assert_eq!(error, CommandError::NotFound { what: "membership" });
            }
        }
        if host > 0 {
            for command in [
                OrganizationCommand::Delete,
                OrganizationCommand::Suspend,
                OrganizationCommand::ResumeLinks,
            ] {
                let error = world.organization(host, &founder(0), command).unwrap_err();
                assert_eq!(
                    error,
                    CommandError::NotFound {
                        what: "organization"
                    }
                );
            }
            let group = group_id(1);
            let error = world
                .access(host, &founder(0), AccessCommand::DeleteGroup { group })
                .unwrap_err();
            assert_eq!(
                error,
                CommandError::NotFound {
                    what: "organization"
                }
            );
        }
    }
}

/// The seats that the latest change of settings has counted.
fn counted_seats(world: &World) -> Option<u64> {
    let (_, _, event) = world.log().last().unwrap();
    match event {
        Event::Organization(OrganizationEvent::SettingsChanged { seats_taken, .. }) => *seats_taken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn seats_are_counted_where_a_limit_begins_or_counts_otherwise() {
    let mut world = World::populated();
    let link = review(&world);
    claim(&mut world, 3, link).unwrap();
    claim(&mut world, 4, link).unwrap();
    for (seats, expected) in [
        (Some(places(9, true)), Some(3)),
        (Some(places(8, true)), None),
        (Some(places(8, false)), Some(1)),
        (Some(places(8, true)), Some(3)),
        (None, None),
        (Some(places(8, false)), Some(1)),
    ] {
        set(&mut world, |s| s.seats = seats).unwrap();
        assert_eq!(counted_seats(&world), expected, "{seats:?}");
        world.check();
    }
}

#[test]
fn seats_are_limited() {
    for (count_pending, third) in [(false, "done"), (true, "seats-full")] {
        let mut world = World::populated();
        set(&mut world, |s| s.seats = Some(places(2, count_pending))).unwrap();
        assert_eq!(world.records().seat_tally(&org(0)), Some(1), "the founder");
        let (reviewed, own) = (review(&world), auto(&world));
        refused(&claim(&mut world, 3, reviewed), "done");
        refused(&claim(&mut world, 4, reviewed), third);
        refused(&claim_org(&mut world, 1, own), third);
        if count_pending {
            // The request holds the seat already.
            refused(&approve(&mut world, user_member(3)), "done");
        } else {
            refused(&approve(&mut world, user_member(3)), "seats-full");
            refused(
                &add(&mut world, user_member(3), Preset::default()),
                "seats-full",
            );
            refused(&claim(&mut world, 3, own), "seats-full");
            let member = org_member(1);
            world
                .member(0, &founder(1), MemberCommand::Leave { member })
                .unwrap();
            refused(&approve(&mut world, user_member(3)), "done");
        }
        refused(
            &add(&mut world, user_member(4), Preset::default()),
            "seats-full",
        );
        // Another gift for a member takes no seat.
        refused(&add(&mut world, user_member(3), with_role("admin")), "done");
        remove(&mut world, user_member(3)).unwrap();
        refused(&add(&mut world, user_member(2), Preset::default()), "done");
        world.check();
        // Fewer seats than members: nobody is thrown out, nobody comes in.
        set(&mut world, |s| s.seats = Some(places(1, count_pending))).unwrap();
        // Another limit doesn't count anew: those who come at the same time are counted, too.
        assert_eq!(counted_seats(&world), None);
        world.check();
        refused(&claim(&mut world, 3, own), "invalid-token");
        refused(
            &add(&mut world, user_member(3), Preset::default()),
            "seats-full",
        );
        set(&mut world, |s| s.seats = None).unwrap();
        assert_eq!(world.records().seat_tally(&org(0)), None);
        refused(&add(&mut world, user_member(3), Preset::default()), "done");
    }
}

#[test]
fn an_expired_request_frees_its_seat_on_the_next_claim() {
    let mut world = World::populated();
    set(&mut world, |s| {
        s.seats = Some(places(2, true));
        s.request_ttl = Some(HOUR);
    })
    .unwrap();
    let link = review(&world);
    claim(&mut world, 4, link).unwrap();
    refused(&claim(&mut world, 3, link), "seats-full");
    world.pass(HOUR);
    refused(&claim(&mut world, 4, link), "done");
    assert_eq!(world.records().seat_tally(&org(0)), Some(2));
    world.pass(HOUR);
    let member = user_member(4);
    world
        .member(0, &Actor::system(), MemberCommand::Expire { member })
        .unwrap();
    refused(&claim(&mut world, 3, link), "done");
    // A membership that has run out, too.
    let until = Some(world.now + MINUTE);
    reject(&mut world, user_member(3)).unwrap();
    add_until(
        &mut world,
        &founder(0),
        user_member(4),
        Preset::default(),
        until,
    )
    .unwrap();
    world.pass(MINUTE);
    refused(&add(&mut world, user_member(4), Preset::default()), "done");
    world.check();
}

#[test]
fn reads_are_authorized() {
    let mut world = World::populated();
    let admin = join(&mut world, 3, "admin");
    let plain = join(&mut world, 4, "member");
    let link = review(&world);
    claim_org(&mut world, 1, link).unwrap();
    let outsider = person(9).in_organization(org(2)).with_role(role("owner"));
    let of_m = founder(1);
    let own = user_member(4);
    let org_row = org_member(1);
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let read = |actor: &Actor, reading: &Reading<'_>| match may_read(
        world.records(),
        &org(0),
        actor,
        reading,
        &env,
    ) {
        Ok(()) => "yes",
        Err(error) => error.code(),
    };
    for (reading, admin_may, plain_may, outsider_may) in [
        (Reading::Links, "yes", "not-allowed", "not-found"),
        (Reading::Invites, "yes", "not-allowed", "not-found"),
        (Reading::Webhooks, "not-allowed", "not-allowed", "not-found"),
        (Reading::Requests, "yes", "not-allowed", "not-found"),
        (Reading::Members, "yes", "yes", "not-found"),
        (Reading::Membership(&own), "yes", "yes", "not-found"),
        (
            Reading::Membership(&org_row),
            "yes",
            "not-allowed",
            "not-found",
        ),
        (
            Reading::MembershipsOf(&own),
            "not-the-member",
            "yes",
            "not-the-member",
        ),
        (Reading::Groups, "yes", "not-allowed", "not-found"),
        (Reading::GroupsOf(&own), "yes", "yes", "not-found"),
        (
            Reading::GroupsOf(&org_row),
            "yes",
            "not-allowed",
            "not-found",
        ),
        (Reading::Grants, "yes", "not-allowed", "not-found"),
        (Reading::Audit, "not-allowed", "not-allowed", "not-found"),
        (Reading::Settings, "not-allowed", "not-allowed", "not-found"),
    ] {
        assert_eq!(read(&admin, &reading), admin_may, "{reading:?}");
        assert_eq!(read(&plain, &reading), plain_may, "{reading:?}");
        assert_eq!(read(&outsider, &reading), outsider_may, "{reading:?}");
        assert_eq!(read(&Actor::system(), &reading), "yes");
        assert_eq!(
            read(&founder(0), &reading) == "yes",
            reading != Reading::MembershipsOf(&own)
        );
    }
    assert_eq!(read(&of_m, &Reading::Membership(&org_row)), "yes");
    assert_eq!(read(&of_m, &Reading::MembershipsOf(&org_row)), "yes");
    assert_eq!(read(&of_m, &Reading::GroupsOf(&org_row)), "yes");
    let may = |actor: &Actor| capabilities(world.records(), &org(0), actor, &env);
    for all in [&founder(0), &Actor::system()] {
        assert!(may(all).into_iter().eq(Capability::ALL), "{all:?}");
    }
    for (actor, reading, capability) in [
        (&admin, Reading::Requests, Capability::RequestsReview),
        (&plain, Reading::Requests, Capability::RequestsReview),
        (&admin, Reading::Settings, Capability::SettingsManage),
    ] {
        let may = may(actor).contains(&capability);
        assert_eq!(may, read(actor, &reading) == "yes", "{actor:?}");
    }
    assert!(may(&outsider).is_empty() && may(&of_m).is_empty());
    assert_eq!(read(&of_m, &Reading::Requests), "not-found");
}

#[test]
fn whoever_left_reads_nothing_of_its_organization() {
    let mut world = World::populated();
    let former = person(4).in_organization(org(0)).with_role(role("admin"));
    join(&mut world, 4, "admin");
    leave(&mut world, 4).unwrap();
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let own = org_member(0);
    for reading in [Reading::Members, Reading::MembershipsOf(&own)] {
        assert!(may_read(world.records(), &org(0), &former, &reading, &env).is_err());
    }
}

#[test]
fn reading_knows_the_latest_time_that_was_written() {
    let mut world = World::populated();
    let until = Some(world.now + HOUR);
    add_until(
        &mut world,
        &founder(0),
        user_member(4),
        with_role("admin"),
        until,
    )
    .unwrap();
    world.pass(HOUR);
    block(&mut world, user_member(4)).unwrap();
    world.now = START;
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let admin = person(4).in_organization(org(0));
    let answer = may_read(world.records(), &org(0), &admin, &Reading::Links, &env);
    assert_eq!(answer, Err(CommandError::NotFound { what: "link" }));
}

// Section 7: proxy users.

#[test]
fn approving_an_organization_makes_its_one_proxy_user() {
    let mut world = World::populated();
    let link = create(&mut world, 9, LinkDraft::review().group(group_id(1)));
    claim_org(&mut world, 1, link).unwrap();
    let member = org_member(1);
    assert_eq!(membership(&world, &member).proxy, None, "not before");
    approve(&mut world, member.clone()).unwrap();
    let first = membership(&world, &member).proxy.unwrap();
    assert_eq!(first.user_name, org_name(1));
    assert_eq!(membership(&world, &member).role, None);
    assert_eq!(
        membership(&world, &member).groups,
        BTreeSet::from([group_id(1)])
    );
    remove(&mut world, member.clone()).unwrap();
    assert_eq!(
        membership(&world, &member).proxy.as_ref(),
        Some(&first),
        "kept"
    );
    add(&mut world, member.clone(), Preset::default()).unwrap();
    assert_eq!(
        membership(&world, &member).proxy.as_ref(),
        Some(&first),
        "reused"
    );
    claim(&mut world, 4, link).unwrap();
    approve(&mut world, user_member(4)).unwrap();
    assert_eq!(
        membership(&world, &user_member(4)).proxy,
        None,
        "users have none"
    );
}

#[test]
fn coming_back_starts_from_the_current_preset() {
    for (reinstate, old) in [(false, false), (true, true)] {
        let mut world = World::populated();
        let member = org_member(1);
        let new = AccessCommand::CreateGroup {
            id: group_id(3),
            name: GroupName::parse("group 3").unwrap(),
            internal: false,
        };
        world.access(0, &founder(0), new).unwrap();
        let draft = LinkDraft::review()
            .group(group_id(1))
            .grant(preset_grant(&[Action::Read], "preset/"));
        let link = create(&mut world, 9, draft);
        claim_org(&mut world, 1, link).unwrap();
        approve(&mut world, member.clone()).unwrap();
        let grant = |id: u8| AccessCommand::Grant {
            id: grant_id(id),
            to: Grantee::Member(org_member(1)),
            actions: ActionSet::of(&[Action::Read]),
            pattern: Pattern::parse("direct/").unwrap(),
            expires_at: None,
        };
        world.access(0, &founder(0), grant(1)).unwrap();
        assert!(reads(&world, &member, "direct/key") && reads(&world, &member, "preset/key"));
        let leave = MemberCommand::Leave {
            member: member.clone(),
        };
        world.member(0, &founder(1), leave).unwrap();
        // At once, and no later grant opens anything while it is inactive.
        assert!(!reads(&world, &member, "direct/key") && !reads(&world, &member, "preset/key"));
        refused(&world.access(0, &founder(0), grant(2)), "member-not-live");
        edit(&mut world, 9, LinkDraft::default().group(group_id(3))).unwrap();
        claim_org(&mut world, 1, link).unwrap();
        let changes = Changes {
            reinstate,
            ..Changes::default()
        };
        approve_with(&mut world, &founder(0), member.clone(), changes).unwrap();
        assert_eq!(reads(&world, &member, "direct/key"), old);
        assert!(
            !reads(&world, &member, "preset/key"),
            "the preset is the current one"
        );
        let record = membership(&world, &member);
        assert_eq!(record.groups, BTreeSet::from([group_id(3)]));
        let principal = record.principal(&world.roles, world.now).unwrap();
        let since = Episode::new(if reinstate { 1 } else { 2 });
        let current = Episode::new(2);
        assert_eq!(principal.episodes, Episodes { since, current });
    }
}

#[test]
fn reinstating_is_giving() {
    let mut world = World::populated();
    let admin = join(&mut world, 4, "admin");
    let link = review(&world);
    claim(&mut world, 3, link).unwrap();
    approve(&mut world, user_member(3)).unwrap();
    let grant = AccessCommand::Grant {
        id: grant_id(1),
        to: Grantee::Member(user_member(3)),
        actions: ActionSet::of(&[Action::Read]),
        pattern: Pattern::parse("a/").unwrap(),
        expires_at: Some(world.now + HOUR),
    };
    world.access(0, &founder(0), grant).unwrap();
    leave(&mut world, 3).unwrap();
    claim(&mut world, 3, link).unwrap();
    let changes = || Changes {
        reinstate: true,
        ..Changes::default()
    };
    let outcome = approve_with(&mut world, &admin, user_member(3), changes());
    refused(&outcome, "share-not-held");
    // What has ended meanwhile gives nothing back.
    world.pass(HOUR);
    refused(
        &approve_with(&mut world, &admin, user_member(3), changes()),
        "done",
    );
}

#[test]
fn reinstating_brings_groups_back_for_those_who_may_give_them() {
    let mut world = World::populated();
    let admin = join(&mut world, 4, "admin");
    let link = review(&world);
    add(&mut world, user_member(3), Preset::default()).unwrap();
    add(&mut world, user_member(5), Preset::default()).unwrap();
    let read = |to| AccessCommand::Grant {
        id: grant_id(1),
        to,
        actions: ActionSet::of(&[Action::Read]),
        pattern: Pattern::parse("a/").unwrap(),
        expires_at: None,
    };
    let put = |member| AccessCommand::AddToGroup {
        group: group_id(1),
        member,
    };
    for command in [
        read(Grantee::Group(group_id(1))),
        put(user_member(3)),
        put(user_member(5)),
    ] {
        world.access(0, &founder(0), command).unwrap();
    }
    assert!(reads(&world, &user_member(3), "a/key"));
    leave(&mut world, 3).unwrap();
    assert!(!reads(&world, &user_member(3), "a/key"));
    claim(&mut world, 3, link).unwrap();
    let reinstate = || Changes {
        reinstate: true,
        ..Changes::default()
    };
    let by_admin = approve_with(&mut world, &admin, user_member(3), reinstate());
    refused(&by_admin, "share-not-held");
    // Without that they come back to what the preset gives, which is nothing.
    let mut plainly = world.clone();
    approve_with(&mut plainly, &admin, user_member(3), Changes::default()).unwrap();
    assert!(!reads(&plainly, &user_member(3), "a/key"));
    approve_with(&mut world, &founder(0), user_member(3), reinstate()).unwrap();
    assert!(reads(&world, &user_member(3), "a/key"));
    // What others hold, and what this member held before it came back without, is not given.
    leave(&mut plainly, 3).unwrap();
    claim(&mut plainly, 3, link).unwrap();
    approve_with(&mut plainly, &admin, user_member(3), reinstate()).unwrap();
    assert!(!reads(&plainly, &user_member(3), "a/key"));
    assert!(reads(&plainly, &user_member(5), "a/key"));
}

#[test]
fn the_fixed_ceiling_of_proxy_users() {
    for giver in [founder(0), Actor::system()] {
        let mut world = World::populated();
        let share = with_grant(&[Action::Share], "a/");
        refused(
            &add_by(&mut world, &giver, org_member(1), share),
            "outsider-ceiling",
        );
        refused(
            &add_by(&mut world, &giver, org_member(1), with_group(2)),
            "internal-group",
        );
        refused(
            &add_by(&mut world, &giver, org_member(1), with_role("owner")),
            "done",
        );
        assert_eq!(membership(&world, &org_member(1)).role, None, "never owner");
        let change = MemberCommand::ChangeRole {
            member: org_member(1),
            role: role("admin"),
        };
        refused(&world.member(0, &giver, change), "proxy-has-no-role");
        let draft = LinkDraft::auto().group(group_id(2));
        let both = world
            .create(0, &giver, 9, draft.clone())
            .map(|_| Vec::new());
        refused(&both, "internal-group");
        world
            .create(0, &giver, 9, draft.joined_by(JoinedBy::Users))
            .unwrap();
    }
}

#[test]
fn a_group_marked_internal_later_takes_in_no_proxy_user() {
    let mut world = World::populated();
    set(&mut world, |settings| settings.standing = Standing::Keep).unwrap();
    let link = create(&mut world, 9, LinkDraft::auto().group(group_id(1)));
    let mark = AccessCommand::MarkInternal {
        group: group_id(1),
        internal: true,
    };
    world.access(0, &founder(0), mark).unwrap();
    claim_org(&mut world, 1, link).unwrap();
    assert_eq!(world.phase(0, &org_member(1)), Phase::Pending);
    claim(&mut world, 4, link).unwrap();
    assert_eq!(phase(&world, 4), Phase::Approved, "users may be in it");
}

#[test]
fn people_behind_a_proxy_user_manage_nothing() {
    let mut world = World::populated();
    add(&mut world, org_member(1), Preset::default()).unwrap();
    let acting = founder(1);
    let outcome = world.create(0, &acting, 9, LinkDraft::auto());
    refused(&outcome.map(|_| Vec::new()), "not-found");
    refused(
        &add_by(&mut world, &acting, user_member(4), Preset::default()),
        "not-found",
    );
    refused(&remove_by(&mut world, &acting, org_member(1)), "not-found");
    let group = AccessCommand::AddToGroup {
        group: group_id(1),
        member: org_member(1),
    };
    refused(&world.access(0, &acting, group), "not-found");
}

#[test]
fn the_member_organization_says_who_acts() {
    let mut world = World::populated();
    let rule = ActingRule {
        users: BTreeSet::from([user(4)]),
        groups: BTreeSet::from([group_id(1)]),
    };
    let restrict = |rule: Option<ActingRule>| MemberCommand::RestrictActing { host: org(0), rule };
    let some = restrict(Some(rule.clone()));
    refused(&world.member(1, &founder(0), some.clone()), "not-found");
    let plain = person(4).in_organization(org(1)).with_role(role("member"));
    refused(&world.member(1, &plain, some.clone()), "not-allowed");
    refused(&world.member(1, &founder(1), some.clone()), "done");
    unchanged(&world.member(1, &founder(1), some));
    assert_eq!(world.records().acting(&org(1), &org(0)), Some(&rule));
    assert_eq!(
        world.records().acting(&org(0), &org(1)),
        None,
        "one way only"
    );
    let many = |groups: usize| ActingRule {
        users: (0..1000)
            .map(|n| format!("u{n}").parse().unwrap())
            .collect(),
        groups: [group_id(1)].into_iter().take(groups).collect(),
    };
    refused(
        &world.member(1, &founder(1), restrict(Some(many(1)))),
        "too-many",
    );
    let most = world.member(1, &founder(1), restrict(Some(many(0))));
    refused(&most, "done");
    let own = MemberCommand::RestrictActing {
        host: org(1),
        rule: Some(rule),
    };
    refused(&world.member(1, &founder(1), own), "own-organization");
    refused(&world.member(1, &founder(1), restrict(None)), "done");
    unchanged(&world.member(1, &founder(1), restrict(None)));
    // Strangers don't learn that an organization was deleted.
    let deletion = OrganizationCommand::Delete;
    world.organization(1, &Actor::system(), deletion).unwrap();
    let gone = "organization-not-active";
    refused(&world.member(1, &founder(1), restrict(None)), gone);
    refused(&world.member(1, &founder(0), restrict(None)), "not-found");
}

#[test]
fn the_way_to_another_organization_is_through_the_proxy_user() {
    let mut world = World::populated();
    let reach = |world: &World, actor: &Actor| {
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        let book = world.book(&org(1));
        reach_host(world.records(), Some(&org(0)), actor, Some(&book), &env)
            .map(|reached| (reached.principal, reached.proxy))
            .map_err(Unreachable::code)
    };
    let somebody = person(4).in_organization(org(1)).with_role(role("member"));
    assert_eq!(reach(&world, &somebody), Err("not-a-member"));
    let until = Some(world.now + HOUR);
    add_until(
        &mut world,
        &founder(0),
        org_member(1),
        Preset::default(),
        until,
    )
    .unwrap();
    let (principal, proxy) = reach(&world, &somebody).unwrap();
    assert_eq!(principal.member().unwrap().member, org_member(1));
    assert_eq!(
        proxy,
        membership(&world, &org_member(1))
            .proxy
            .map(|proxy| proxy.id)
    );
    assert_eq!(reach(&world, &person(4)), Err("caller-not-in-organization"));

    // Only the members of a group, also through a group inside it.
    let restrict = MemberCommand::RestrictActing {
        host: org(0),
        rule: Some(ActingRule {
            users: BTreeSet::from([user(3)]),
            groups: BTreeSet::from([group_id(2)]),
        }),
    };
    world.member(1, &founder(1), restrict).unwrap();
    assert_eq!(reach(&world, &somebody), Err("acting-not-allowed"));
    let listed = person(3).in_organization(org(1)).with_role(role("member"));
    assert!(reach(&world, &listed).is_ok());
    for command in [
        AccessCommand::NestGroup {
            outer: group_id(2),
            inner: group_id(1),
        },
        AccessCommand::AddToGroup {
            group: group_id(1),
            member: user_member(4),
        },
    ] {
        world.access(1, &founder(1), command).unwrap();
    }
    assert!(reach(&world, &somebody).is_ok());

    world.pass(HOUR);
    assert_eq!(reach(&world, &somebody), Err("not-a-member"));
    let member = org_member(1);
    world
        .member(0, &Actor::system(), MemberCommand::Expire { member })
        .unwrap();
    world.now = START;
    assert_eq!(
        reach(&world, &somebody),
        Err("not-a-member"),
        "nor when the clock steps back"
    );
    add(&mut world, org_member(1), Preset::default()).unwrap();
    for (organization, expected) in [(1, "caller-not-active"), (0, "organization-not-active")] {
        for command in [OrganizationCommand::Suspend, OrganizationCommand::Delete] {
            let mut world = world.clone();
            world
                .organization(organization, &Actor::system(), command)
                .unwrap();
            assert_eq!(reach(&world, &somebody), Err(expected));
        }
    }
}

#[test]
fn what_an_actor_holds_in_its_own_organization() {
    let mut world = World::populated();
    let until = world.now + HOUR;
    add_until(
        &mut world,
        &founder(0),
        user_member(4),
        with_role("member"),
        Some(until),
    )
    .unwrap();
    let reach = |world: &World, actor: &Actor| {
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        reach_own(world.records(), &org(0), actor, &env).map_err(Unreachable::code)
    };
    let kept = reach(&world, &person(4)).unwrap();
    assert_eq!(kept.principal.member().unwrap().member, user_member(4));
    assert_eq!((kept.proxy, kept.until), (None, Some(until)));
    let stated = person(9).in_organization(org(0)).with_role(role("owner"));
    let stated = reach(&world, &stated).unwrap();
    assert!(stated.principal.member().unwrap().role_is_owner);
    assert_eq!(stated.until, None);
    assert_eq!(
        reach(&world, &person(9).acting_in(org(0))).err(),
        Some("caller-not-in-organization")
    );
    world.pass(HOUR);
    assert_eq!(
        reach(&world, &person(4)).err(),
        Some("caller-not-in-organization")
    );
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let nowhere = reach_own(world.records(), &org(9), &founder(0), &env);
    assert_eq!(nowhere, Err(Unreachable::UnknownOrganization));
    // A caller from nowhere learns nothing about where it wants to go.
    let homeless = person(9).in_organization(org(9));
    for (host, expected) in [
        (Some(org(0)), "caller-not-in-organization"),
        (Some(org(8)), "unknown-organization"),
        (None, "unknown-organization"),
    ] {
        let outcome = reach_host(world.records(), host.as_ref(), &homeless, None, &env);
        assert_eq!(outcome.map_err(Unreachable::code).err(), Some(expected));
    }
    for (command, expected) in [
        (OrganizationCommand::Suspend, "caller-not-active"),
        (OrganizationCommand::Delete, "caller-not-active"),
    ] {
        world.organization(0, &Actor::system(), command).unwrap();
        assert_eq!(reach(&world, &founder(0)).err(), Some(expected));
    }
}

/// The way through a proxy user is open no longer than what it rests on, at either end.
#[test]
fn the_way_through_a_proxy_user_ends_with_the_first_membership_that_ends() {
    for (in_own, in_host, expected) in [
        (None, None, None),
        (Some(2), None, Some(2)),
        (None, Some(3), Some(3)),
        (Some(2), Some(3), Some(2)),
        (Some(3), Some(2), Some(2)),
    ] {
        let mut world = World::populated();
        let at = |hours: Option<u32>| hours.map(|hours| START + HOUR * hours);
        add_until(
            &mut world,
            &founder(0),
            org_member(1),
            Preset::default(),
            at(in_host),
        )
        .unwrap();
        let add = MemberCommand::Add {
            member: user_member(4),
            profile: Profile::default(),
            gift: Box::default(),
            expires_at: at(in_own),
            proxy: world.draw_proxy(),
        };
        world.member(1, &founder(1), add).unwrap();
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        let actor = person(4).acting_in(org(1));
        let reached = reach_host(world.records(), Some(&org(0)), &actor, None, &env);
        assert_eq!(reached.unwrap().until, at(expected));
    }
}

#[test]
fn the_host_application_acts_for_an_organization_whatever_it_restricts() {
    let mut world = World::populated();
    add(&mut world, org_member(1), Preset::default()).unwrap();
    let nobody = MemberCommand::RestrictActing {
        host: org(0),
        rule: Some(ActingRule::default()),
    };
    world.member(1, &founder(1), nobody).unwrap();
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let book = world.book(&org(1));
    for (actor, expected) in [
        (founder(1), Err("acting-not-allowed")),
        (Actor::system().acting_in(org(1)), Ok(())),
    ] {
        let reached = reach_host(world.records(), Some(&org(0)), &actor, Some(&book), &env);
        assert_eq!(reached.map(|_| ()).map_err(Unreachable::code), expected);
    }
}

#[test]
fn a_name_leads_to_the_organization_that_has_it_now() {
    let mut world = World::populated();
    let found = |world: &World, name: u8| {
        let found = active_named(world.records(), &org(0), &org_name(name));
        found.map(|organization| organization.id.clone())
    };
    assert_eq!(found(&world, 0), Some(org(0)));
    assert_eq!(found(&world, 1), None, "the name of another");
    let system = Actor::system();
    for command in [
        OrganizationCommand::ReserveName { name: org_name(7) },
        OrganizationCommand::Rename { name: org_name(7) },
    ] {
        world.organization(0, &system, command).unwrap();
    }
    assert_eq!(found(&world, 0), None, "a former name leads nowhere");
    assert_eq!(found(&world, 7), Some(org(0)));
    for (command, expected) in [
        (OrganizationCommand::Suspend, None),
        (OrganizationCommand::Resume, Some(org(0))),
        (OrganizationCommand::Delete, None),
    ] {
        world.organization(0, &system, command).unwrap();
        assert_eq!(found(&world, 7), expected);
    }
}

#[test]
fn groups_that_are_reached_by_several_ways_are_looked_at_once() {
    let mut world = World::populated();
    add(&mut world, org_member(1), Preset::default()).unwrap();
    for (id, name) in [(3, "three"), (4, "four"), (5, "apart")] {
        let create = AccessCommand::CreateGroup {
            id: group_id(id),
            name: GroupName::parse(name).unwrap(),
            internal: false,
        };
        world.access(1, &founder(1), create).unwrap();
    }
    // 1 is in 2 and 3, which are both in 4.
    for (outer, inner) in [(2, 1), (3, 1), (4, 2), (4, 3)] {
        let nest = AccessCommand::NestGroup {
            outer: group_id(outer),
            inner: group_id(inner),
        };
        world.access(1, &founder(1), nest).unwrap();
    }
    let actor = person(4).in_organization(org(1)).with_role(role("member"));
    let put = AccessCommand::AddToGroup {
        group: group_id(1),
        member: user_member(4),
    };
    world.access(1, &founder(1), put).unwrap();
    for (group, expected) in [
        (1, None),
        (2, None),
        (3, None),
        (4, None),
        (5, Some("acting-not-allowed")),
    ] {
        let restrict = MemberCommand::RestrictActing {
            host: org(0),
            rule: Some(ActingRule {
                users: BTreeSet::new(),
                groups: BTreeSet::from([group_id(group)]),
            }),
        };
        world.member(1, &founder(1), restrict).unwrap();
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        let book = world.book(&org(1));
        let reach = |book| reach_host(world.records(), Some(&org(0)), &actor, book, &env);
        assert_eq!(
            reach(Some(&book)).map_err(Unreachable::code).err(),
            expected
        );
        // Without the groups nobody is known to be in one.
        assert_eq!(reach(None).err(), Some(Unreachable::ActingNotAllowed));
    }
}

#[test]
fn a_group_that_is_gone_lets_nobody_act() {
    let mut world = World::populated();
    add(&mut world, org_member(1), Preset::default()).unwrap();
    // Somebody of the member organization who carries a group in their membership.
    let add = MemberCommand::Add {
        member: user_member(4),
        profile: Profile::default(),
        gift: Box::new(with_group(1)),
        expires_at: None,
        proxy: world.draw_proxy(),
    };
    world.member(1, &founder(1), add).unwrap();
    let restrict = MemberCommand::RestrictActing {
        host: org(0),
        rule: Some(ActingRule {
            users: BTreeSet::new(),
            groups: BTreeSet::from([group_id(1)]),
        }),
    };
    world.member(1, &founder(1), restrict).unwrap();
    let reach = |world: &World| {
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        let actor = person(4).in_organization(org(1));
        let book = world.book(&org(1));
        reach_host(world.records(), Some(&org(0)), &actor, Some(&book), &env)
            .map(|_| ())
            .map_err(Unreachable::code)
    };
    assert_eq!(reach(&world), Ok(()));
    let delete = AccessCommand::DeleteGroup { group: group_id(1) };
    world.access(1, &founder(1), delete).unwrap();
    assert_eq!(reach(&world), Err("acting-not-allowed"));
}

// Section 1: names.

#[test]
fn a_name_is_never_given_away_again() {
    let mut world = World::populated();
    let system = Actor::system();
    let reserve = |number| OrganizationCommand::ReserveName {
        name: org_name(number),
    };
    let rename = |number| OrganizationCommand::Rename {
        name: org_name(number),
    };
    refused(&world.organization(0, &founder(0), rename(7)), "name-taken");
    refused(
        &world.organization(0, &founder(0), reserve(7)),
        "system-only",
    );
    refused(&world.organization(0, &system, reserve(7)), "done");
    unchanged(&world.organization(0, &system, reserve(7)));
    refused(&world.organization(0, &founder(0), rename(7)), "done");
    unchanged(&world.organization(0, &founder(0), rename(7)));
    // The old name stays its own.
    refused(&world.organization(1, &system, reserve(0)), "name-taken");
    refused(&world.organization(1, &founder(1), rename(0)), "name-taken");
    refused(&world.organization(0, &founder(0), rename(0)), "done");
    world
        .organization(0, &founder(0), OrganizationCommand::Delete)
        .unwrap();
    for name in [0, 7] {
        refused(&world.organization(1, &system, reserve(name)), "name-taken");
    }
}

#[test]
fn an_organization_is_shown_as_it_says() {
    let mut world = World::populated();
    let show = |name: Option<&str>| OrganizationCommand::SetDisplayName {
        display_name: name.map(|name| name.parse().unwrap()),
    };
    let shown = |world: &World| {
        let organization = world.records().organization(&org(0)).unwrap();
        organization.display_name.as_ref().map(ToString::to_string)
    };
    unchanged(&world.organization(0, &founder(0), show(None)));
    refused(
        &world.organization(0, &founder(0), show(Some("Zero"))),
        "done",
    );
    unchanged(&world.organization(0, &founder(0), show(Some("Zero"))));
    assert_eq!(shown(&world), Some("Zero".to_owned()));
    refused(&world.organization(0, &founder(0), show(None)), "done");
    assert_eq!(shown(&world), None);
    let admin = join(&mut world, 4, "admin");
    refused(
        &world.organization(0, &admin, show(Some("A"))),
        "not-allowed",
    );
    refused(
        &world.organization(0, &founder(1), show(Some("A"))),
        "not-found",
    );
}

#[test]
fn registering_twice() {
    let mut world = World::populated();
    let register = |number: u8| OrganizationCommand::Register {
        name: org_name(number),
        display_name: None,
        founder: None,
        founder_grant: None,
        settings: Box::default(),
    };
    let system = Actor::system();
    unchanged(&world.organization(0, &system, register(0)));
    refused(
        &world.organization(0, &system, register(1)),
        "already-registered",
    );
    refused(
        &world.organization(0, &founder(0), register(0)),
        "system-only",
    );
    refused(&world.organization(8, &system, register(8)), "name-taken");
    refused(&world.organization(8, &system, register(0)), "name-taken");
    // A deleted organization is not registered again, under its own name either.
    world
        .organization(0, &founder(0), OrganizationCommand::Delete)
        .unwrap();
    refused(
        &world.organization(0, &system, register(0)),
        "already-registered",
    );
}

#[test]
fn requests_that_could_not_wait_are_refused_as_a_setting() {
    let mut world = World::populated();
    let outcome = set(&mut world, |s| s.request_ttl = Some(Duration::ZERO));
    refused(&outcome, "in-the-past");
    let outcome = set(&mut world, |s| {
        s.link_defaults = LinkDraft::auto().max_uses(Uses::AtMost(0));
    });
    refused(&outcome, "zero-uses");
    let admin = join(&mut world, 4, "admin");
    let settings = Box::new(Settings::default());
    let command = OrganizationCommand::ChangeSettings { settings };
    refused(&world.organization(0, &admin, command), "not-allowed");
}

// The clock and the scope.

#[test]
fn a_clock_that_steps_back_revives_nothing() {
    let mut world = World::populated();
    let link = auto(&world);
    world.pass(HOUR * 2);
    disable(&mut world, 2);
    let newer = enable(&mut world, 2).unwrap();
    claim(&mut world, 4, newer).unwrap();
    world.now = START;
    refused(&claim(&mut world, 3, link), "invalid-token");
    leave(&mut world, 4).unwrap();
    let record = membership(&world, &user_member(4));
    assert_eq!(
        record.ended.unwrap().at,
        START + HOUR * 2,
        "never before it began"
    );
}

#[test]
fn events_of_a_link_stay_in_order_after_its_last_use() {
    let mut world = World::populated();
    let link = create(&mut world, 3, LinkDraft::auto().max_uses(Uses::AtMost(1)));
    world.pass(HOUR);
    assert!(exhausted(&claim(&mut world, 4, link)));
    world.now = START;
    disable(&mut world, 3);
    let (_, stamp, event) = world.log().last().unwrap();
    assert_eq!((event.name(), stamp.at), ("link-disabled", START + HOUR));
}

#[test]
fn a_scope_names_what_a_decision_needs_and_no_secret() {
    let world = World::populated();
    let command = Command::Member(MemberCommand::Claim {
        token: presented(auto(&world)),
        member: user_member(4),
        profile: Profile::default(),
        answers: Vec::new(),
        proxy: ProxyUserId::from_bytes([1; 16]),
    });
    let scope = command.scope(&org(9), &person(4));
    assert!(scope.facts.contains(&Fact::Membership(user_member(4))));
    assert!(scope.facts.contains(&Fact::Creator(LinkRef::OfToken)));
    let loaded = world.load(&scope);
    assert_eq!(loaded.host(), Some(&org(0)), "found by the token");
    // A link without a limit and a host without seats keep no counter on this path.
    assert!(loaded.iter().all(|(key, _)| !key.is_counter()));
    // A scope that leaves facts out denies, and says that it is the shell's defect.
    let command = Command::Link(LinkCommand::Edit {
        link: link_id(2),
        draft: Box::new(LinkDraft::default().max_uses(Uses::AtMost(1))),
    });
    let poor = Scope::of(
        org(0),
        vec![
            Fact::Organization,
            Fact::Link(LinkRef::Id(link_id(2))),
            Fact::Membership(user_member(0)),
        ],
    );
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let error = decide(&world.load(&poor), &org(0), &founder(0), &command, &env).unwrap_err();
    assert_eq!(error.code(), "fact-missing");
}

#[test]
fn events_name_their_link() {
    let mut world = World::populated();
    let (reviewed, own) = (review(&world), auto(&world));
    let link = |outcome: &Outcome| outcome.as_ref().unwrap()[0].link();
    assert_eq!(link(&claim(&mut world, 4, reviewed)), Some(link_id(1)));
    assert_eq!(link(&approve(&mut world, user_member(4))), Some(link_id(1)));
    assert_eq!(link(&claim(&mut world, 3, reviewed)), Some(link_id(1)));
    assert_eq!(link(&claim(&mut world, 3, own)), Some(link_id(2)));
    assert_eq!(link(&claim_org(&mut world, 1, reviewed)), Some(link_id(1)));
    assert_eq!(link(&reject(&mut world, org_member(1))), Some(link_id(1)));
    assert_eq!(link(&leave(&mut world, 3)), None);
    let joined = add(&mut world, user_member(2), Preset::default());
    assert!(matches!(
        joined.as_ref().unwrap()[0],
        Event::Member(MemberEvent::Joined { .. })
    ));
    assert_eq!(link(&joined), None);
}
