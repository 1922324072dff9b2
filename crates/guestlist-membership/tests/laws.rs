//! Laws that hold whatever is done, in whatever order, also when the clock steps back.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

use std::collections::{BTreeMap, BTreeSet};

use guestlist_access::Episodes;
use guestlist_membership::invite::InviteEvent;
use guestlist_membership::link::{LinkCommand, LinkEvent, TokenSubject, UseState};
use guestlist_membership::member::{MemberCommand, MemberEvent, Phase, Status};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::testing::{Step, Stepped, World, arb_settings, arb_step};
use guestlist_membership::{Actor, Command, CommandError, Event, Records, Row, RowKey, evolve};
use guestlist_token::Selector;
use guestlist_types::{InviteId, LinkId, Member, OrgId, Timestamp};
use proptest::prelude::*;

type Rows = BTreeMap<RowKey, Row>;

fn rows(records: &Records) -> Rows {
    records
        .iter()
        .map(|(key, row)| (key.clone(), row.clone()))
        .collect()
}

fn without_tags(mut rows: Rows) -> Rows {
    for row in rows.values_mut() {
        if let Row::Token(token) = row {
            token.tag = None;
        }
    }
    rows
}

/// What is remembered from step to step.
#[derive(Default)]
struct History {
    dead: BTreeSet<Selector>,
    issued: BTreeSet<Selector>,
    log: usize,
}

impl History {
    fn follow(&mut self, world: &World, before: &World, step: &Stepped) {
        world.check();
        self.tokens(world, before);
        memberships(world, before);
        self.events(world);
        if let Ok(events) = &step.outcome {
            limits(world, before, step, events);
            coming_back(before, step, events);
            for event in events {
                nothing_comes_back_to_life(world, &step.host, event);
            }
        }
    }

    fn tokens(&mut self, world: &World, before: &World) {
        for (key, row) in world.records().iter() {
            let (RowKey::Token(selector), Row::Token(token)) = (key, row) else {
                continue;
            };
            if let Some(earlier) = before.records().token(*selector) {
                assert_eq!(
                    (&earlier.host, earlier.subject, earlier.generation),
                    (&token.host, token.subject, token.generation),
                    "a token is never moved"
                );
                assert_eq!(earlier.issued_at, token.issued_at);
                assert_eq!(earlier.tag, token.tag);
                if let Some(end) = earlier.valid_until {
                    let now = token.valid_until.expect("an end is never taken back");
                    assert!(now <= end, "an end is only moved earlier");
                }
            } else {
                assert!(self.issued.insert(*selector), "no selector is issued twice");
            }
            let (known, updated_at) = match token.subject {
                TokenSubject::Link(link) => {
                    let link = world.records().link(&token.host, link);
                    let link = link.expect("tokens have links");
                    let current = link.token == Some(*selector);
                    let known = current || link.overlapping.contains(selector);
                    (known, link.updated_at)
                }
                TokenSubject::Invite(invite) => {
                    let invite = world.records().invite(&token.host, invite);
                    let invite = invite.expect("tokens have invites");
                    (invite.token == Some(*selector), invite.updated_at)
                }
            };
            if token
                .valid_until
                .is_some_and(|end| !updated_at.is_before_end(Some(end)))
            {
                self.dead.insert(*selector);
            } else {
                assert!(known, "a token that may be valid is known to what it opens");
            }
        }
        for selector in &self.dead {
            assert!(world.opens(*selector).is_err(), "retired means retired");
        }
    }

    /// Times never go back per membership and per link, and no event holds a digest.
    fn events(&mut self, world: &World) {
        for (_, _, event) in &world.log()[self.log..] {
            let json = serde_json::to_string(event).unwrap();
            for word in ["a5a5a5", "\"mac\"", "\"tag\"", "pepper"] {
                assert!(!json.contains(word), "{json}");
            }
        }
        self.log = world.log().len();
        let mut members: BTreeMap<(&OrgId, &Member), Timestamp> = BTreeMap::new();
        let mut links: BTreeMap<(&OrgId, LinkId), Timestamp> = BTreeMap::new();
        let mut invites: BTreeMap<(&OrgId, InviteId), Timestamp> = BTreeMap::new();
        for (host, stamp, event) in world.log() {
            let last = match event {
                Event::Member(event) => event
                    .member()
                    .map(|member| members.entry((host, member)).or_insert(stamp.at)),
                Event::Link(event) => Some(links.entry((host, event.link())).or_insert(stamp.at)),
                Event::Invite(event) => {
                    Some(invites.entry((host, event.invite())).or_insert(stamp.at))
                }
                Event::Organization(_) | Event::Access(_) | Event::Webhook(_) => None,
            };
            if let Some(last) = last {
                assert!(*last <= stamp.at, "{event:?} goes back in time");
                *last = stamp.at;
            }
        }
    }
}

/// One record for ever, with episodes that only grow, and only the known transitions.
fn memberships(world: &World, before: &World) {
    for (key, row) in before.records().iter() {
        let (RowKey::Membership(host, member), Row::Membership(old)) = (key, row) else {
            continue;
        };
        let new = world
            .records()
            .membership(host, member)
            .expect("records of memberships stay");
        assert!(old.episode <= new.episode, "episodes only grow");
        assert!(old.updated_at <= new.updated_at);
        if let Some(proxy) = &old.proxy {
            assert_eq!(new.proxy.as_ref(), Some(proxy), "a proxy user is for ever");
        }
        let opened = new.episode.get() - old.episode.get();
        // M1: the only transitions. An ending that had not been written is written first.
        let allowed = match (old.status, new.status, opened) {
            (from, to, 0) => {
                from == to
                    || matches!(
                        (from, to),
                        (Some(Status::Pending | Status::Approved), Some(_))
                    ) && to != Some(Status::Pending)
                        && !(from == Some(Status::Approved) && to == Some(Status::Rejected))
                        && !(from == Some(Status::Pending) && to == Some(Status::Removed))
            }
            (from, Some(Status::Pending | Status::Approved), 1) => {
                let written = !matches!(from, Some(Status::Pending | Status::Approved));
                written || old.expires_at.is_some_and(|end| end <= new.updated_at)
            }
            _ => false,
        };
        assert!(allowed, "{:?} to {:?}", old.status, new.status);
    }
}

/// No claim gets past a limit, and every use belongs to a distinct member.
fn limits(world: &World, before: &World, step: &Stepped, events: &[Event]) {
    let Command::Member(MemberCommand::Claim { token, .. }) = &step.command else {
        return;
    };
    let Some(token) = world.records().token(token.selector) else {
        panic!("a claim with an unknown token succeeded");
    };
    let (host, id) = (&token.host, token.subject.link().expect("a link's token"));
    let link = world.records().link(host, id).expect("tokens have links");
    let (uses, had) = (world.uses(host, id), before.uses(host, id));
    let ended = events
        .iter()
        .any(|event| matches!(event, Event::Member(MemberEvent::Ended { .. })));
    if let Some(limit) = link.config.max_uses {
        if uses > had {
            assert!(uses <= limit.get(), "uses <= max_uses");
        }
        let exhausted = events
            .iter()
            .any(|event| matches!(event, Event::Link(LinkEvent::Exhausted { .. })));
        if !ended {
            assert_eq!(exhausted, uses > had && uses == limit.get(), "exactly then");
        }
    }
    assert!(uses <= had + 1);
    let organization = world.records().organization(host).expect("the host");
    if let Some(seats) = organization.settings.seats
        && !events.is_empty()
    {
        let count = |world: &World| {
            let seats_now = world.seats(host);
            seats_now.approved
                + if seats.count_pending {
                    seats_now.pending
                } else {
                    0
                }
        };
        if count(world) > count(before) {
            assert!(
                count(world) <= seats.limit.get(),
                "no join past the last seat"
            );
        }
    }
}

/// A removed member's old token opens nothing, and a newer one goes to review.
fn coming_back(before: &World, step: &Stepped, events: &[Event]) {
    let Command::Member(
        MemberCommand::Claim { token, member, .. } | MemberCommand::Accept { token, member, .. },
    ) = &step.command
    else {
        return;
    };
    let Some(token) = before.records().token(token.selector) else {
        return;
    };
    let Some(record) = before.records().membership(&token.host, member) else {
        return;
    };
    if events.is_empty() {
        return;
    }
    if let Some(removed) = record.removed_at {
        assert!(token.issued_at.is_after(removed), "older tokens are dead");
    }
    let joins = events.iter().any(|event| {
        matches!(
            event,
            Event::Member(MemberEvent::Joined { .. } | MemberEvent::Approved { .. })
        )
    });
    assert!(!(record.review_required && joins), "review comes first");
    assert!(
        record.block.is_none(),
        "blocked members come through no door"
    );
}

/// Right after it was let in a member holds what it was given now and nothing older.
fn nothing_comes_back_to_life(world: &World, host: &OrgId, event: &Event) {
    let (member, gift) = match event {
        Event::Member(MemberEvent::Joined { opening, .. }) => (&opening.member, &opening.gift),
        Event::Member(MemberEvent::Approved {
            member,
            gift,
            reinstated: false,
            ..
        }) => (member, &**gift),
        _ => return,
    };
    let record = world
        .records()
        .membership(host, member)
        .expect("the member has a record");
    assert_eq!(record.status, Some(Status::Approved));
    assert_eq!(record.groups, gift.groups);
    assert_eq!(record.grants, gift.grants);
    assert_eq!(record.role, gift.role);
    if let Some(principal) = record.principal(&world.roles, record.updated_at) {
        assert_eq!(principal.episodes, Episodes::only(record.episode));
    }
    if let (Event::Member(MemberEvent::Joined { .. }), Some(link)) = (event, record.door.link()) {
        let link = world.records().link(&record.host, link).expect("its link");
        assert_eq!(record.groups, link.config.preset.groups);
        assert_eq!(record.grants, link.config.preset.grants);
        let held = world
            .records()
            .link_use(&record.host, link.id, member)
            .expect("attribution");
        assert_eq!(held.state, UseState::Settled);
    }
}

/// The small world, with these settings in the organization where most of it happens.
fn world_with(settings: Settings) -> World {
    let mut world = World::populated();
    let command = OrganizationCommand::ChangeSettings {
        settings: Box::new(settings),
    };
    // Refused settings leave the usual ones.
    let _ = world.organization(0, &Actor::system(), command);
    world
}

fn play(settings: Settings, steps: &[Step]) -> World {
    let mut world = world_with(settings);
    let mut history = History::default();
    let mut is_over = false;
    for step in steps {
        let before = world.clone();
        let stepped = world.step(step);
        if let Err(error) = &stepped.outcome {
            assert_eq!(
                rows(world.records()),
                rows(before.records()),
                "a refused command changes nothing"
            );
            assert!(!matches!(error, CommandError::FactMissing { .. }));
        }
        history.follow(&world, &before, &stepped);
        // The same once more: nothing, or a refusal. But whoever looks at a token again is on record
        // each time. And at the end of time a request that lasts some days has ended at once, so
        // the next one is another, also when the clock is set back: a link's time never goes back.
        let is_look = matches!(stepped.command, Command::Link(LinkCommand::Reveal { .. }));
        is_over |= world.now == Timestamp::MAX;
        if stepped.outcome.is_ok() && !is_look && !is_over {
            let mut again = world.clone();
            let second = again.run(&stepped.host, &stepped.actor, &stepped.command);
            assert!(
                second.as_ref().map_or(true, Vec::is_empty),
                "{:?} has a second effect: {second:?}",
                stepped.command
            );
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_law_holds(settings in arb_settings(), steps in proptest::collection::vec(arb_step(), 1..40)) {
        let world = play(settings, &steps);
        // The log replayed gives the stored rows; the digests are not in it.
        prop_assert_eq!(
            without_tags(rows(&world.refold())),
            without_tags(rows(world.records()))
        );
        // So it does when what was to be forgotten is gone from it.
        prop_assert_eq!(
            without_tags(rows(&forgotten(&world))),
            without_tags(rows(world.records()))
        );
    }
}

/// The log folded as it is kept where erased data is really gone from it: an event that an erasure
/// follows is the one without personal data.
fn forgotten(world: &World) -> Records {
    let mut records = Records::new();
    for (number, (host, stamp, event)) in world.log().iter().enumerate() {
        let is_forgotten = world.log()[number..].iter().any(|(at, _, later)| {
            at == host
                && match later {
                    Event::Member(MemberEvent::Erased { member }) => {
                        matches!(event, Event::Member(of) if of.member() == Some(member))
                    }
                    Event::Invite(InviteEvent::Erased { invite }) => {
                        matches!(event, Event::Invite(of) if of.invite() == *invite)
                    }
                    _ => false,
                }
        });
        let event = if is_forgotten {
            event.erased()
        } else {
            event.clone()
        };
        evolve(&mut records, host, stamp, &event);
    }
    records
}

/// The laws say nothing about steps that are all refused.
#[test]
fn steps_get_somewhere() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, TestRunner};

    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let steps = (arb_settings(), proptest::collection::vec(arb_step(), 40));
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..1024 {
        let (settings, steps) = steps.new_tree(&mut runner).unwrap().current();
        let mut world = world_with(settings);
        for step in &steps {
            let stepped = world.step(step);
            match &stepped.outcome {
                Ok(events) => {
                    for event in events {
                        *seen.entry(event.name().to_owned()).or_default() += 1;
                    }
                }
                Err(error) => *seen.entry(format!("! {}", error.code())).or_default() += 1,
            }
        }
        for member in [0_u8, 1, 2].map(guestlist_membership::testing::org_member) {
            if world.phase(0, &member) == Phase::Expired {
                *seen.entry("expired unwritten".to_owned()).or_default() += 1;
            }
        }
    }
    for name in [
        "membership-requested",
        "membership-joined",
        "membership-approved",
        "membership-withdrawn",
        "membership-left",
        "membership-rejected",
        "membership-removed",
        "membership-expired",
        "membership-role-changed",
        "membership-gift-added",
        "member-blocked",
        "member-unblocked",
        "member-removal-lifted",
        "acting-restricted",
        "member-erased",
        "invite-erased",
        "endpoint-created",
        "endpoint-edited",
        "endpoint-secret-rotated",
        "endpoint-enabled",
        "endpoint-disabled",
        "endpoint-deleted",
        "! endpoint-not-encrypted",
        "link-revealed",
        "link-created",
        "link-made-default",
        "link-refreshed",
        "link-disabled",
        "link-enabled",
        "link-edited",
        "link-deleted",
        "link-exhausted",
        "link-expired",
        "invite-sent",
        "invite-resent",
        "invite-accepted",
        "invite-declined",
        "invite-revoked",
        "invite-replaced",
        "invite-joined-otherwise",
        "invite-expired",
        "invite-delivered",
        "invite-undelivered",
        "! wrong-account",
        "! requests-closed",
        "! answers-missing",
        "owner-added",
        "owner-removed",
        "settings-changed",
        "links-paused",
        "links-resumed",
        "organization-suspended",
        "organization-resumed",
        "organization-renamed",
        "group-deleted",
        "grant-made",
        "added-to-group",
        "! last-owner",
        "! seats-full",
        "! invalid-token",
        "! blocked",
        "! wrong-state",
        "! not-the-member",
        "! domain-not-allowed",
    ] {
        assert!(
            seen.contains_key(name),
            "no step ever came to {name}: {seen:#?}"
        );
    }
}
