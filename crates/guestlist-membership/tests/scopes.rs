//! What a scope loads, and what a decision does without a fact. The organization 0 is the host,
//! user 0 its founder.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

use core::num::NonZeroU64;
use std::collections::BTreeSet;

use guestlist_access::AccessCommand;
use guestlist_membership::invite::InviteDraft;
use guestlist_membership::link::{Generation, LinkCommand, LinkDraft, Preset, Uses};
use guestlist_membership::member::{ActingRule, Changes, MemberCommand, MemberEvent, Profile};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::testing::{
    World, address, founder, group_id, invite_id, link_id, org, org_member, org_name, presented,
    user, user_member,
};
use guestlist_membership::{
    Actor, Command, Env, Event, Fact, InviteRef, Joins, LinkRef, Records, Root, Row, RowKey, Scope,
    Seats, Sequence, Stated, decide, evolve,
};
use guestlist_token::Selector;
use guestlist_types::{ConsumerName, EmailAddress, EndpointId, GroupName, Member, ProxyUserId};

const PROXY: ProxyUserId = ProxyUserId::from_bytes([1; 16]);

fn person(number: u8) -> Actor {
    Actor::user(user(number))
}

fn settings(world: &World) -> Settings {
    let organization = world.records().organization(&org(0)).unwrap();
    organization.settings.clone()
}

fn set(world: &mut World, change: impl FnOnce(&mut Settings)) {
    let mut settings = Box::new(settings(world));
    change(&mut settings);
    let command = OrganizationCommand::ChangeSettings { settings };
    world.organization(0, &founder(0), command).unwrap();
}

fn with_group() -> Preset {
    Preset {
        groups: BTreeSet::from([group_id(1)]),
        ..Preset::default()
    }
}

fn claim(token: Selector, member: Member) -> Command {
    Command::Member(MemberCommand::Claim {
        token: presented(token),
        member,
        profile: Profile::default(),
        answers: Vec::new(),
        proxy: PROXY,
    })
}

fn approve(member: Member, changes: Changes) -> Command {
    Command::Member(MemberCommand::Approve {
        member,
        changes: Box::new(changes),
        proxy: PROXY,
    })
}

fn request(member: Member) -> Command {
    Command::Member(MemberCommand::Request {
        member,
        profile: Profile::default(),
        message: None,
        answers: Vec::new(),
        proxy: PROXY,
    })
}

/// The rows that a command of this actor is decided on.
fn loaded(world: &World, actor: &Actor, command: &Command) -> Records {
    world.load(&command.scope(&org(0), actor))
}

fn keys(records: &Records) -> Vec<&RowKey> {
    records.iter().map(|(key, _)| key).collect()
}

/// "On the hot path nothing is shared that must change", and what nobody asks for is not read.
#[test]
fn access_rules_are_read_where_something_reaches_them() {
    let mut world = World::populated();
    let plain = world
        .create(0, &founder(0), 8, LinkDraft::review())
        .unwrap();
    let draft = LinkDraft::review().group(group_id(1));
    let giving = world.create(0, &founder(0), 9, draft).unwrap();
    let reads = |world: &World, actor: &Actor, command: &Command| {
        let records = loaded(world, actor, command);
        let head = RowKey::AccessHead(org(0));
        let named = records.get(&head).is_some();
        assert_eq!(records.book().is_some(), named, "both or none");
        named
    };
    let ada = user_member(4);
    assert!(!reads(&world, &person(4), &claim(plain, ada.clone())));
    assert!(reads(&world, &person(4), &claim(giving, ada.clone())));
    for (link, expected) in [(8, false), (9, true)] {
        let link = link_id(link);
        let token = world.draw(&org(0));
        let enable = Command::Link(LinkCommand::Enable { link, token });
        assert_eq!(reads(&world, &founder(0), &enable), expected);
        let disable = Command::Link(LinkCommand::Disable { link });
        assert!(!reads(&world, &founder(0), &disable));
    }
    // An approval gives what was promised, or something else.
    let promised = |changes| approve(user_member(4), changes);
    let own = |gift| Changes {
        gift: Some(gift),
        ..Changes::default()
    };
    let reinstate = Changes {
        reinstate: true,
        ..Changes::default()
    };
    world.claim(&person(4), ada.clone(), plain).unwrap();
    for (changes, expected) in [
        (Changes::default(), false),
        (own(Preset::default()), false),
        (own(with_group()), true),
        (reinstate, true),
    ] {
        let command = promised(changes);
        assert_eq!(reads(&world, &founder(0), &command), expected);
    }
    // What a request was promised stays with it when its link gives nothing any more.
    world.claim(&person(5), user_member(5), giving).unwrap();
    let edit = LinkCommand::Edit {
        link: link_id(9),
        draft: Box::new(LinkDraft {
            preset: Some(Preset::default()),
            ..LinkDraft::default()
        }),
    };
    world.link(0, &founder(0), edit).unwrap();
    let command = approve(user_member(5), Changes::default());
    assert!(reads(&world, &founder(0), &command));
    // Those who ask are given something, or not.
    set(&mut world, |s| s.discoverable = true);
    set(&mut world, |s| s.requests.open = true);
    let ask = request(user_member(6));
    assert!(!reads(&world, &person(6), &ask));
    set(&mut world, |s| s.requests.preset = with_group());
    assert!(reads(&world, &person(6), &ask));
    // Invites of whoever asks, too.
    set(&mut world, |s| s.requests.preset = Preset::default());
    let invited = person(6).with_verified_email(address(1));
    for (number, draft, expected) in [
        (1, InviteDraft::default(), false),
        (2, InviteDraft::default().group(group_id(1)), true),
    ] {
        let mut world = world.clone();
        world
            .send(0, &founder(0), number, address(1), draft)
            .unwrap();
        assert_eq!(reads(&world, &invited, &ask), expected);
    }
}

#[test]
fn counters_are_read_where_there_is_a_limit() {
    let mut world = World::populated();
    let plain = world.create(0, &founder(0), 8, LinkDraft::auto()).unwrap();
    let draft = LinkDraft::auto().max_uses(Uses::AtMost(3));
    let limited = world.create(0, &founder(0), 9, draft).unwrap();
    let counters = |world: &World, token: Selector| {
        let records = loaded(world, &person(4), &claim(token, user_member(4)));
        let counters = keys(&records).into_iter().filter(|key| key.is_counter());
        counters.cloned().collect::<Vec<_>>()
    };
    let uses = RowKey::LinkTally(org(0), link_id(9));
    let seats = RowKey::SeatTally(org(0));
    assert_eq!(counters(&world, plain), []);
    assert_eq!(counters(&world, limited), vec![uses.clone()]);
    set(&mut world, |settings| {
        settings.seats = Some(Seats {
            limit: NonZeroU64::new(9).unwrap(),
            count_pending: false,
        });
    });
    assert_eq!(counters(&world, plain), vec![seats.clone()]);
    let both = BTreeSet::from_iter(counters(&world, limited));
    assert_eq!(both, BTreeSet::from([uses, seats]));
}

/// The rules about who acts for an organization live there, and are read from its hosts.
#[test]
fn groups_of_a_member_organization_are_read_where_its_rule_names_some() {
    let mut world = World::populated();
    let scope = Scope::of(
        org(0),
        vec![Fact::Acting(org(1)), Fact::BookForActing(org(1))],
    );
    let own = Scope::of(org(1), vec![Fact::ActingIn(org(0))]);
    let rule = RowKey::Acting(org(1), org(0));
    let head = RowKey::AccessHead(org(1));
    let users = ActingRule {
        users: BTreeSet::from([user(4)]),
        groups: BTreeSet::new(),
    };
    let groups = ActingRule {
        users: BTreeSet::new(),
        groups: BTreeSet::from([group_id(1)]),
    };
    for (restricted, expected) in [
        (None, vec![]),
        (Some(users), vec![&rule]),
        (Some(groups), vec![&head, &rule]),
    ] {
        let command = MemberCommand::RestrictActing {
            host: org(0),
            rule: restricted.clone(),
        };
        world.member(1, &founder(1), command).unwrap();
        let records = world.load(&scope);
        assert_eq!(
            keys(&records).into_iter().collect::<BTreeSet<_>>(),
            expected.iter().copied().collect()
        );
        let books = scope.books(&records);
        assert_eq!(books.contains(&org(1)), expected.contains(&&head));
        assert_eq!(records.acting(&org(1), &org(0)), restricted.as_ref());
        let same = world.load(&own);
        assert_eq!(same.acting(&org(1), &org(0)), restricted.as_ref());
    }
}

#[test]
fn an_organization_is_found_by_its_name_or_by_a_token() {
    let world = World::populated();
    let by_name = |name: u8| Scope {
        root: Root::Name(org_name(name)),
        facts: vec![Fact::Organization, Fact::Book],
    };
    let found = world.load(&by_name(1));
    assert_eq!(found.host(), Some(&org(1)));
    assert!(found.organization(&org(1)).is_some() && found.book().is_some());
    // Nothing is looked for where there is nothing to look in.
    let nowhere = world.load(&by_name(9));
    assert_eq!((nowhere.host(), keys(&nowhere)), (None, vec![]));
    assert_eq!(by_name(9).books(&nowhere), []);
    let token = world.records().link(&org(0), link_id(1)).unwrap().token;
    let by_token = |facts: Vec<Fact>| Scope {
        root: Root::Token(token.unwrap()),
        facts,
    };
    let of_token = || {
        vec![
            Fact::Link(LinkRef::OfToken),
            Fact::Invite(InviteRef::OfToken),
        ]
    };
    let found = world.load(&by_token(of_token()));
    assert_eq!(found.host(), Some(&org(0)));
    assert!(found.link(&org(0), link_id(1)).is_some());
    // "The link of the token" is nothing where no token was named.
    for root in [Root::Organization(org(0)), Root::Name(org_name(0))] {
        let facts = of_token();
        let found = world.load(&Scope { root, facts });
        assert!(
            keys(&found)
                .iter()
                .all(|key| matches!(key, RowKey::Name(_)))
        );
    }
}

#[test]
fn facts_that_name_their_row_find_it() {
    let mut world = World::populated();
    let token = world.records().link(&org(0), link_id(1)).unwrap().token;
    world
        .send(0, &founder(0), 1, address(1), InviteDraft::default())
        .unwrap();
    let default = LinkCommand::Create {
        link: link_id(9),
        draft: Box::default(),
        token: world.draw(&org(0)),
        as_default: true,
    };
    world.link(0, &founder(0), default).unwrap();
    let consumer: ConsumerName = "webhooks".parse().unwrap();
    let endpoint = EndpointId::from_bytes([1; 16]);
    let (first, sequence) = (Generation::FIRST, Sequence::default());
    let waiting = InviteRef::OfAddress(address(1));
    let link = || LinkRef::Id(link_id(1));
    for (fact, expected) in [
        (Fact::Name(org_name(0)), RowKey::Name(org_name(0))),
        (Fact::Token(token.unwrap()), RowKey::Token(token.unwrap())),
        (Fact::Organization, RowKey::Organization(org(0))),
        (Fact::OrganizationOf(org(1)), RowKey::Organization(org(1))),
        (Fact::Owners, RowKey::Owners(org(0))),
        (Fact::SeatCount, RowKey::SeatCount(org(0))),
        (Fact::Link(link()), RowKey::Link(org(0), link_id(1))),
        (Fact::UseCount(link()), RowKey::UseCount(org(0), link_id(1))),
        (
            Fact::Use(link(), user_member(4)),
            RowKey::LinkUse(org(0), link_id(1), user_member(4)),
        ),
        (
            Fact::PreviewTally(link_id(1), first),
            RowKey::PreviewTally(org(0), link_id(1), first),
        ),
        (
            Fact::Invite(InviteRef::Id(invite_id(1))),
            RowKey::Invite(org(0), invite_id(1)),
        ),
        (
            Fact::Address(address(1)),
            RowKey::Address(org(0), address(1)),
        ),
        (
            Fact::Membership(user_member(4)),
            RowKey::Membership(org(0), user_member(4)),
        ),
        (
            Fact::MembershipIn(org(1), user_member(4)),
            RowKey::Membership(org(1), user_member(4)),
        ),
        (Fact::Endpoint(endpoint), RowKey::Endpoint(org(0), endpoint)),
        (
            Fact::Consumer(consumer.clone()),
            RowKey::Consumer(consumer.clone()),
        ),
        (
            Fact::Parked(consumer.clone(), sequence),
            RowKey::Parked(consumer, sequence),
        ),
        (Fact::Acting(org(1)), RowKey::Acting(org(1), org(0))),
        (Fact::ActingIn(org(1)), RowKey::Acting(org(0), org(1))),
        (Fact::Book, RowKey::AccessHead(org(0))),
    ] {
        let scope = Scope::of(org(0), vec![fact]);
        assert_eq!(scope.missing(&Nothing(Records::new())), [expected]);
    }
    // The others name theirs through rows that come first.
    let found = |facts: Vec<Fact>| world.load(&Scope::of(org(0), facts));
    let records = found(vec![Fact::Organization, Fact::Link(LinkRef::Default)]);
    assert!(records.link(&org(0), link_id(9)).is_some());
    let records = found(vec![
        Fact::Address(address(1)),
        Fact::Invite(waiting.clone()),
        Fact::InviteToken(waiting.clone()),
        Fact::InviteCreator(waiting),
    ]);
    let invite = records.invite(&org(0), invite_id(1)).unwrap();
    assert!(records.token(invite.token.unwrap()).is_some());
    assert!(records.membership(&org(0), &user_member(0)).is_some());
    // All that an address leads to, from the address alone.
    let known = found(vec![Fact::Known(address(1))]);
    assert!(known.invite(&org(0), invite_id(1)).is_some());
    assert!(known.token(invite.token.unwrap()).is_some());
}

/// Nothing has been looked for yet.
struct Nothing(Records);

impl guestlist_membership::Loaded for Nothing {
    fn knows(&self, _: &RowKey) -> bool {
        false
    }

    fn records(&self) -> &Records {
        &self.0
    }
}

/// What a commit writes is what has changed since the rows were loaded, with what was there first.
#[test]
fn changes_are_told_with_what_was_there_before() {
    let mut world = World::populated();
    let token = world.records().link(&org(0), link_id(1)).unwrap().token;
    let command = claim(token.unwrap(), user_member(4));
    let before = loaded(&world, &person(4), &command);
    assert_eq!(before.changes().count(), 0, "loading is no change");
    let mut after = before.clone();
    world.run(&org(0), &person(4), &command).unwrap();
    let key = RowKey::Membership(org(0), user_member(4));
    let (host, stamp, event) = world.log().last().unwrap();
    evolve(&mut after, host, stamp, event);
    let changed: Vec<_> = after.changes().collect();
    let requested = world.records().get(&key);
    assert!(requested.is_some() && changed.contains(&(&key, None, requested)));
    for (changed, was, is) in changed {
        assert_eq!(was, before.get(changed), "{changed:?}");
        assert_eq!(is, world.records().get(changed), "{changed:?}");
    }
    // Changed twice, it is still told what was there at first; taken away, that nothing is left.
    let mut acting = world.load(&Scope::of(org(1), vec![Fact::ActingIn(org(0))]));
    let rule = RowKey::Acting(org(1), org(0));
    let restricted = |rule: Option<ActingRule>| {
        let host = org(0);
        Event::Member(MemberEvent::ActingRestricted { host, rule })
    };
    let users = |number| ActingRule {
        users: BTreeSet::from([user(number)]),
        groups: BTreeSet::new(),
    };
    acting.insert(rule.clone(), Row::Acting(users(1)));
    evolve(&mut acting, &org(1), stamp, &restricted(Some(users(2))));
    evolve(&mut acting, &org(1), stamp, &restricted(None));
    let changed: Vec<_> = acting.changes().collect();
    assert_eq!(changed, [(&rule, Some(&Row::Acting(users(1))), None)]);
}

/// A person with a thousand verified addresses makes no scope of a thousand rows.
#[test]
fn so_many_addresses_of_a_person_are_looked_at() {
    let many = (0..40).map(|n| EmailAddress::parse(&format!("a{n:02}@corp.example")).unwrap());
    let actor = many.clone().fold(person(4), Actor::with_verified_email);
    let scope = request(user_member(4)).scope(&org(0), &actor);
    let looked_at = scope.facts.iter().filter_map(|fact| match fact {
        Fact::Known(address) => Some(address.clone()),
        _ => None,
    });
    assert!(looked_at.eq(many.take(16)), "the same ones each time");
}

/// "Missing facts resolve to deny": a shell that leaves a row out is told so, instead of an answer.
#[test]
fn without_a_fact_there_is_no_answer() {
    let mut world = World::populated();
    set(&mut world, |settings| {
        settings.discoverable = true;
        settings.requests.open = true;
        settings.requests.preset = with_group();
        settings.joins = Joins::AlwaysAuto;
    });
    let draft = || LinkDraft::auto().group(group_id(1));
    let token = world.create(0, &founder(0), 9, draft()).unwrap();
    let with_group = InviteDraft::default().group(group_id(1));
    let invite = world
        .send(0, &founder(0), 1, address(1), with_group.clone())
        .unwrap();
    let ada = person(4).with_verified_email(address(1));
    let bob = person(5);
    let member = || user_member(4);
    let reviewed = world.records().link(&org(0), link_id(1)).unwrap().token;
    set(&mut world, |settings| settings.joins = Joins::LinkDecides);
    world
        .claim(&person(6), user_member(6), reviewed.unwrap())
        .unwrap();
    set(&mut world, |settings| settings.joins = Joins::AlwaysAuto);
    let seats = {
        let mut settings = settings(&world);
        settings.seats = Some(Seats {
            limit: NonZeroU64::new(9).unwrap(),
            count_pending: true,
        });
        Box::new(settings)
    };
    let limited = LinkDraft::default().max_uses(Uses::AtMost(1));
    let created = world.draw(&org(0));
    let sent = world.draw(&org(0));
    let add = MemberCommand::Add {
        member: org_member(1),
        profile: Profile::default(),
        gift: Box::new(Preset {
            groups: BTreeSet::from([group_id(1)]),
            ..Preset::default()
        }),
        expires_at: None,
        proxy: PROXY,
    };
    for (actor, command, left_out) in [
        (&ada, claim(token, member()), "access rules"),
        (&ada, request(member()), "access rules"),
        (&bob, request(user_member(5)), "access rules"),
        (
            &founder(0),
            approve(
                user_member(6),
                Changes {
                    reinstate: true,
                    ..Changes::default()
                },
            ),
            "access rules",
        ),
        (
            &ada,
            Command::Member(MemberCommand::Accept {
                token: presented(invite),
                member: member(),
                profile: Profile::default(),
                proxy: PROXY,
            }),
            "access rules",
        ),
        (&founder(0), Command::Member(add), "access rules"),
        (
            &founder(0),
            Command::Link(LinkCommand::Create {
                link: link_id(20),
                draft: Box::new(draft()),
                token: created,
                as_default: false,
            }),
            "access rules",
        ),
        (
            &founder(0),
            Command::Invite(guestlist_membership::invite::InviteCommand::Send {
                invites: vec![guestlist_membership::invite::NewInvite {
                    id: invite_id(20),
                    address: address(2),
                    draft: with_group,
                    sign_on: guestlist_membership::invite::SignOn::Usual,
                    is_member: false,
                    token: sent,
                }],
                mode: guestlist_membership::invite::Mode::EachOnItsOwn,
            }),
            "access rules",
        ),
        (
            &founder(0),
            Command::Access(AccessCommand::CreateGroup {
                id: group_id(20),
                name: GroupName::parse("new").unwrap(),
                internal: false,
            }),
            "access rules",
        ),
        (
            &founder(0),
            Command::Link(LinkCommand::Edit {
                link: link_id(9),
                draft: Box::new(limited),
            }),
            "use count",
        ),
        (
            &founder(0),
            Command::Organization(OrganizationCommand::ChangeSettings { settings: seats }),
            "seat count",
        ),
    ] {
        let scope = command.scope(&org(0), actor);
        let env = Env {
            now: world.now,
            roles: &world.roles,
            creator: &Stated::NOBODY,
        };
        let whole = world.load(&scope);
        let mut poor = Records::new();
        for (key, row) in whole.iter().filter(|(key, _)| !key.is_counted()) {
            poor.insert(key.clone(), row.clone());
        }
        if left_out != "access rules" {
            poor.set_book(world.book(&org(0)).into());
        }
        let decided = decide(&whole, &org(0), actor, &command, &env);
        assert!(decided.is_ok(), "{command:?}: {decided:?}");
        let error = decide(&poor, &org(0), actor, &command, &env).unwrap_err();
        assert_eq!(error.code(), "fact-missing", "{command:?}");
        assert!(error.to_string().contains(left_out), "{error}");
    }
    // A counter that is missing where there is a limit lets nobody in.
    let once = LinkDraft::auto().max_uses(Uses::AtMost(1));
    let once = world.create(0, &founder(0), 10, once).unwrap();
    let command = claim(once, user_member(5));
    let mut scope = command.scope(&org(0), &person(5));
    scope.facts.retain(|fact| !matches!(fact, Fact::Tally(_)));
    let env = Env {
        now: world.now,
        roles: &world.roles,
        creator: &Stated::NOBODY,
    };
    let refused = decide(&world.load(&scope), &org(0), &person(5), &command, &env);
    assert_eq!(refused.unwrap_err().code(), "invalid-token");
}
