//! Nobody gives or takes more than they hold, with any roles, and however the people who promised
//! something were demoted or removed before it was given.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

use std::collections::BTreeMap;

use guestlist_access::{Capability, Role, RoleCatalog};
use guestlist_membership::link::{Approval, LinkCommand, LinkConfig, LinkDraft, LinkEvent, Preset};
use guestlist_membership::member::{
    Cause, Changes, Door, MemberCommand, MemberEvent, Phase, Profile,
};
use guestlist_membership::organization::OrganizationCommand;
use guestlist_membership::testing::{
    World, founder, link_id, org, presented, role, user, user_member,
};
use guestlist_membership::{Actor, Command, Event, Joins, Standing};
use guestlist_types::{Member, RoleName, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// The host's people, who promise and give; the others come by links.
const PEOPLE: core::ops::Range<u8> = 1..5;
const NEWCOMERS: core::ops::Range<u8> = 5..9;
const ROLES: [&str; 5] = ["guest", "helper", "host", "admin", "owner"];

/// How many worlds every run has.
const USUAL: u32 = 1_000;

/// So many, or as many as `GUESTLIST_ROUNDS` says.
fn rounds(usual: u32) -> u32 {
    std::env::var("GUESTLIST_ROUNDS").map_or(usual, |rounds| rounds.parse().unwrap())
}

#[derive(Debug, Clone)]
enum Step {
    Create {
        by: u8,
        role: usize,
        auto: bool,
    },
    Refresh {
        by: u8,
        link: u8,
    },
    Edit {
        by: u8,
        link: u8,
        role: usize,
        auto: bool,
    },
    Claim {
        who: u8,
        link: u8,
    },
    Approve {
        by: u8,
        who: u8,
        gift: Option<usize>,
    },
    Add {
        by: u8,
        who: u8,
        role: usize,
    },
    ChangeRole {
        by: u8,
        who: u8,
        role: usize,
    },
    Remove {
        by: u8,
        who: u8,
    },
    /// By the founder, who can.
    Put {
        who: u8,
        role: usize,
    },
    Settings {
        standing: Standing,
        joins: Joins,
    },
}

fn arb_step() -> impl Strategy<Value = Step> {
    let (by, anybody, link) = (|| PEOPLE, || PEOPLE.start..NEWCOMERS.end, || 1_u8..6);
    let role = || 0..ROLES.len();
    prop_oneof![
        4 => (by(), role(), any::<bool>()).prop_map(|(by, role, auto)| Step::Create { by, role, auto }),
        1 => (by(), link()).prop_map(|(by, link)| Step::Refresh { by, link }),
        2 => (by(), link(), role(), any::<bool>())
            .prop_map(|(by, link, role, auto)| Step::Edit { by, link, role, auto }),
        8 => (NEWCOMERS, link()).prop_map(|(who, link)| Step::Claim { who, link }),
        6 => (by(), NEWCOMERS, proptest::option::of(role()))
            .prop_map(|(by, who, gift)| Step::Approve { by, who, gift }),
        2 => (by(), anybody(), role()).prop_map(|(by, who, role)| Step::Add { by, who, role }),
        3 => (by(), anybody(), role()).prop_map(|(by, who, role)| Step::ChangeRole { by, who, role }),
        3 => (by(), anybody()).prop_map(|(by, who)| Step::Remove { by, who }),
        4 => (by(), role()).prop_map(|(who, role)| Step::Put { who, role }),
        1 => (
            prop_oneof![Just(Standing::Keep), Just(Standing::MustBeMember), Just(Standing::MustHoldRight)],
            prop_oneof![Just(Joins::LinkDecides), Just(Joins::AlwaysReview), Just(Joins::AlwaysAuto)],
        )
            .prop_map(|(standing, joins)| Step::Settings { standing, joins }),
    ]
}

/// Any of the capabilities for each role below the owner's: a higher one need not have those of a
/// lower one.
fn arb_roles() -> impl Strategy<Value = RoleCatalog> {
    let every = proptest::bits::u16::masked((1 << Capability::ALL.len()) - 1);
    proptest::collection::vec(every, ROLES.len() - 1).prop_map(|held| {
        let lower = held.into_iter().zip(ROLES).map(|(bits, name)| {
            let held = Capability::ALL
                .into_iter()
                .enumerate()
                .filter(move |(place, _)| bits & (1 << place) != 0);
            Role::new(role(name), held.map(|(_, capability)| capability))
        });
        let owner = Role::new(role("owner"), Capability::ALL);
        RoleCatalog::new(lower.chain([owner]).collect()).unwrap()
    })
}

fn actor(number: u8) -> Actor {
    Actor::user(user(number)).in_organization(org(0))
}

fn named(place: usize) -> RoleName {
    role(ROLES[place])
}

fn with_role(place: usize) -> Preset {
    Preset {
        role: Some(named(place)),
        ..Preset::default()
    }
}

fn draft(role: usize, auto: bool) -> LinkDraft {
    let mut draft = if auto {
        LinkDraft::auto()
    } else {
        LinkDraft::review()
    };
    draft.preset = Some(with_role(role));
    draft
}

struct Case {
    world: World,
    links: u8,
    seen: BTreeMap<&'static str, u32>,
}

impl Case {
    fn new(roles: RoleCatalog, held: &[usize]) -> Self {
        let mut world = World::populated();
        world.roles = roles;
        for (number, role) in PEOPLE.zip(held) {
            put(&mut world, number, *role);
        }
        Self {
            world,
            // Two are there already.
            links: 2,
            seen: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        let host = org(0);
        let (by, command) = match *step {
            Step::Create { by, role, auto } => {
                self.links += 1;
                let command = LinkCommand::Create {
                    link: link_id(self.links),
                    draft: Box::new(draft(role, auto)),
                    token: self.world.draw(&host),
                    as_default: false,
                };
                (by, Command::Link(command))
            }
            Step::Refresh { by, link } => {
                let command = LinkCommand::Refresh {
                    link: link_id(link),
                    token: self.world.draw(&host),
                    overlap: core::time::Duration::ZERO,
                };
                (by, Command::Link(command))
            }
            Step::Edit {
                by,
                link,
                role,
                auto,
            } => {
                let command = LinkCommand::Edit {
                    link: link_id(link),
                    draft: Box::new(draft(role, auto)),
                };
                (by, Command::Link(command))
            }
            Step::Claim { who, link } => {
                let link = self.world.records().link(&host, link_id(link));
                let Some(token) = link.and_then(|link| link.token) else {
                    return;
                };
                let command = MemberCommand::Claim {
                    token: presented(token),
                    member: user_member(who),
                    profile: Profile::default(),
                    answers: Vec::new(),
                    proxy: self.world.draw_proxy(),
                };
                (who, Command::Member(command))
            }
            Step::Approve { by, who, gift } => {
                let command = MemberCommand::Approve {
                    member: user_member(who),
                    changes: Box::new(Changes {
                        gift: gift.map(with_role),
                        ..Changes::default()
                    }),
                    proxy: self.world.draw_proxy(),
                };
                (by, Command::Member(command))
            }
            Step::Add { by, who, role } => {
                let command = MemberCommand::Add {
                    member: user_member(who),
                    profile: Profile::default(),
                    gift: Box::new(with_role(role)),
                    expires_at: None,
                    proxy: self.world.draw_proxy(),
                };
                (by, Command::Member(command))
            }
            Step::ChangeRole { by, who, role } => {
                let command = MemberCommand::ChangeRole {
                    member: user_member(who),
                    role: named(role),
                };
                (by, Command::Member(command))
            }
            Step::Remove { by, who } => {
                let command = MemberCommand::Remove {
                    member: user_member(who),
                    reason: None,
                };
                (by, Command::Member(command))
            }
            Step::Put { who, role } => {
                put(&mut self.world, who, role);
                return;
            }
            Step::Settings { standing, joins } => {
                let organization = self.world.records().organization(&host).unwrap();
                let mut settings = organization.settings.clone();
                (settings.standing, settings.joins) = (standing, joins);
                let settings = Box::new(settings);
                let command = OrganizationCommand::ChangeSettings { settings };
                self.world.organization(0, &founder(0), command).unwrap();
                return;
            }
        };
        let before = self.world.clone();
        let Ok(events) = self.world.run(&host, &actor(by), &command) else {
            return;
        };
        let Some((_, stamp, _)) = self.world.log().last() else {
            return;
        };
        let held = Held {
            world: &before,
            now: stamp.at,
        };
        for event in &events {
            *self.seen.entry(event.name()).or_default() += 1;
            held.allows(by, event);
        }
    }
}

/// Makes somebody of the host's people hold a role, whatever they were before.
fn put(world: &mut World, number: u8, place: usize) {
    let member = user_member(number);
    let (gift, proxy) = (Box::new(with_role(place)), world.draw_proxy());
    let add = MemberCommand::Add {
        member: member.clone(),
        profile: Profile::default(),
        gift,
        expires_at: None,
        proxy,
    };
    world.member(0, &founder(0), add).unwrap();
    let change = MemberCommand::ChangeRole {
        member,
        role: named(place),
    };
    world.member(0, &founder(0), change).unwrap();
}

/// What everybody held before a command: said here once more, without asking the code under test.
struct Held<'a> {
    world: &'a World,
    now: Timestamp,
}

impl Held<'_> {
    fn role(&self, member: &Member) -> Option<&RoleName> {
        let record = self.world.records().membership(&org(0), member)?;
        (record.phase(self.now) == Phase::Approved)
            .then_some(record.role.as_ref())
            .flatten()
    }

    fn place(&self, role: &RoleName) -> usize {
        let roles = self.world.roles.roles();
        roles.iter().position(|known| known.name == *role).unwrap()
    }

    /// At least as high, with every capability that the role has.
    fn is_within(&self, given: &RoleName, by: u8) -> bool {
        let Some(own) = self.role(&user_member(by)) else {
            return false;
        };
        let roles = &self.world.roles;
        self.place(given) <= self.place(own)
            && Capability::ALL.into_iter().all(|capability| {
                !roles.holds(Some(given), capability) || roles.holds(Some(own), capability)
            })
    }

    fn can(&self, who: u8, capability: Capability) -> bool {
        let role = self.role(&user_member(who));
        self.world.roles.holds(role, capability)
    }

    fn allows(&self, by: u8, event: &Event) {
        match event {
            Event::Link(LinkEvent::Created(link)) => {
                assert!(self.can(by, Capability::LinksCreate));
                self.promises(by, &link.config);
            }
            Event::Link(LinkEvent::Edited { config, .. }) => {
                self.promises(by, config);
            }
            Event::Link(LinkEvent::Refreshed { link, .. }) => {
                let link = self.world.records().link(&org(0), *link).unwrap();
                self.promises(by, &link.config);
            }
            Event::Member(MemberEvent::Joined { opening, .. }) => {
                self.gives(by, Some(&opening.door), opening.gift.role.as_ref());
            }
            Event::Member(MemberEvent::Approved { door, gift, .. }) => {
                self.gives(by, door.as_ref(), gift.role.as_ref());
            }
            Event::Member(MemberEvent::GiftAdded { gift, .. }) => {
                self.gives(by, None, gift.role.as_ref());
            }
            Event::Member(MemberEvent::RoleChanged { member, role }) => {
                assert!(self.can(by, Capability::MembersChangeRole));
                assert!(self.is_within(role, by), "gives a role above their own");
                self.takes(by, member);
            }
            Event::Member(MemberEvent::Ended {
                member,
                cause: Cause::Removed,
                ..
            }) => {
                assert!(self.can(by, Capability::MembersRemove));
                self.takes(by, member);
            }
            Event::Organization(_)
            | Event::Link(_)
            | Event::Invite(_)
            | Event::Member(_)
            | Event::Access(_)
            | Event::Webhook(_) => {}
        }
    }

    fn promised<'b>(&'b self, config: &'b LinkConfig) -> &'b RoleName {
        let lowest = self.world.roles.default_role();
        config.preset.role.as_ref().unwrap_or(lowest)
    }

    fn promises(&self, by: u8, config: &LinkConfig) {
        let role = self.promised(config);
        assert!(self.is_within(role, by), "promises a role above their own");
        if config.approval == Approval::Auto {
            assert!(self.can(by, Capability::LinksAutoApprove));
        }
    }

    fn takes(&self, by: u8, member: &Member) {
        let held = self.role(member).unwrap();
        assert!(self.is_within(held, by), "takes a role above their own");
    }

    /// A reviewer gives on their own authority; a link on that of its creator, as it is now.
    fn gives(&self, by: u8, door: Option<&Door>, role: Option<&RoleName>) {
        let role = role.unwrap();
        let Some(link) = door.and_then(Door::link) else {
            assert!(self.can(by, Capability::RequestsReview));
            assert!(self.is_within(role, by), "gives a role above their own");
            return;
        };
        let records = self.world.records();
        let settings = &records.organization(&org(0)).unwrap().settings;
        let link = records.link(&org(0), link).unwrap();
        assert_eq!(self.promised(&link.config), role);
        assert_ne!(settings.joins, Joins::AlwaysReview);
        let by_itself = link.config.approval == Approval::Auto;
        assert!(by_itself || settings.joins == Joins::AlwaysAuto);
        if settings.standing == Standing::Keep {
            return;
        }
        let creator = PEOPLE
            .chain([0])
            .find(|number| link.creator.as_ref() == Some(&user(*number)))
            .unwrap();
        assert!(self.is_within(role, creator), "a creator who can't give it");
        if settings.joins == Joins::LinkDecides {
            assert!(self.can(creator, Capability::LinksAutoApprove));
        }
        if settings.standing == Standing::MustHoldRight {
            assert!(self.can(creator, Capability::LinksCreate));
        }
    }
}

#[test]
fn nobody_gives_or_takes_more_than_they_hold() {
    let config = ProptestConfig {
        cases: rounds(USUAL),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seen = std::cell::RefCell::new(BTreeMap::new());
    let cases = (
        arb_roles(),
        proptest::collection::vec(0..ROLES.len(), PEOPLE.len()),
        proptest::collection::vec(arb_step(), 1..60),
    );
    TestRunner::new(config)
        .run(&cases, |(roles, held, steps)| {
            let mut case = Case::new(roles, &held);
            for step in &steps {
                case.take(step);
            }
            for (name, count) in case.seen {
                *seen.borrow_mut().entry(name).or_insert(0) += count;
            }
            Ok(())
        })
        .unwrap();
    let seen = seen.into_inner();
    for name in [
        "link-created",
        "link-edited",
        "link-refreshed",
        "membership-requested",
        "membership-joined",
        "membership-approved",
        "membership-gift-added",
        "membership-role-changed",
        "membership-removed",
    ] {
        let happens = rounds(USUAL) < USUAL || seen.contains_key(name);
        assert!(happens, "{name} never happens: {seen:?}");
    }
}
