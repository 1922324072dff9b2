//! Each invariant, broken in one way in a sound state: exactly that one is named.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::num::NonZeroU64;
use std::time::Duration;

use guestlist_access::{
    AccessCommand, Action, ActionSet, Episode, Grantee, Group, GroupMember, Pattern, Subject,
};
use guestlist_membership::invite::{InviteCommand, InviteDraft, InviteEvent};
use guestlist_membership::link::{Link, LinkDraft, TokenRecord, TokenSubject, Uses};
use guestlist_membership::member::{MemberCommand, Membership};
use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::testing::{
    World, address, founder, grant_id, group_id, invite_id, link_id, org, org_member, role, user,
    user_member,
};
use guestlist_membership::{Actor, Event, Records, Row, RowKey, Seats, Stamp};
use guestlist_testkit::invariants::{Invariant, State, Violation, check};
use guestlist_types::{GroupName, Member, OrgId, OrgName, Timestamp};

type Log = Vec<(OrgId, Stamp, Event)>;

const HOST: u8 = 0;

/// A bit of everything, all of it sound.
fn sound() -> World {
    let mut world = World::populated();
    let boss = founder(HOST);
    let settings = Settings {
        seats: Some(Seats {
            limit: NonZeroU64::new(20).unwrap(),
            count_pending: true,
        }),
        ..Settings::default()
    };
    let settings = Box::new(settings);
    let command = OrganizationCommand::ChangeSettings { settings };
    world.organization(HOST, &boss, command).unwrap();
    let review = LinkDraft::review().max_uses(Uses::AtMost(5));
    let review = world.create(HOST, &boss, 3, review).unwrap();
    let auto = world.create(HOST, &boss, 4, LinkDraft::auto()).unwrap();
    let somebody = |number| Actor::user(user(number));
    world.claim(&somebody(3), user_member(3), review).unwrap();
    world.claim(&somebody(5), user_member(5), review).unwrap();
    let reject = MemberCommand::Reject {
        member: user_member(5),
        reason: None,
    };
    world.member(HOST, &boss, reject).unwrap();
    for number in [1, 2] {
        let who = founder(number);
        world.claim(&who, org_member(number), auto).unwrap();
    }
    let draft = InviteDraft::new();
    let token = world
        .send(HOST, &boss, 1, address(1), draft.clone())
        .unwrap();
    let invited = somebody(4).with_verified_email(address(1));
    world.accept(&invited, user_member(4), token).unwrap();
    for (invite, domain) in [(2, 2), (3, 3)] {
        let sent = world.send(HOST, &boss, invite, address(domain), draft.clone());
        sent.unwrap();
    }
    let revoke = InviteCommand::Revoke {
        invite: invite_id(3),
    };
    world.invite(HOST, &boss, revoke).unwrap();
    let (outer, inner) = (group_id(3), group_id(1));
    for command in [
        AccessCommand::CreateGroup {
            id: outer,
            name: GroupName::parse("group 3").unwrap(),
            internal: false,
        },
        AccessCommand::NestGroup { outer, inner },
        AccessCommand::AddToGroup {
            group: inner,
            member: org_member(1),
        },
        AccessCommand::AddToGroup {
            group: inner,
            member: user_member(4),
        },
        AccessCommand::SetExternalGroup(Some(outer)),
        AccessCommand::Grant {
            id: grant_id(1),
            to: Grantee::Group(inner),
            actions: ActionSet::of(&[Action::Read]),
            pattern: Pattern::parse("a/").unwrap(),
            expires_at: None,
        },
        AccessCommand::Grant {
            id: grant_id(2),
            to: Grantee::Member(org_member(1)),
            actions: ActionSet::of(&[Action::Read]),
            pattern: Pattern::parse("b").unwrap(),
            expires_at: None,
        },
    ] {
        world.access(HOST, &boss, command).unwrap();
    }
    world
}

/// A copy of all rows, to be broken.
struct Rows(Vec<(RowKey, Row)>);

impl Rows {
    fn row(&mut self, key: &RowKey) -> &mut Row {
        let found = self.0.iter_mut().find(|(other, _)| other == key);
        &mut found.unwrap_or_else(|| panic!("there is no {key:?}")).1
    }

    fn remove(&mut self, key: &RowKey) {
        let before = self.0.len();
        self.0.retain(|(other, _)| other != key);
        assert_eq!(self.0.len() + 1, before, "{key:?} was there");
    }

    fn put(&mut self, key: RowKey, row: Row) {
        self.0.push((key, row));
    }

    fn membership(&mut self, member: Member) -> &mut Membership {
        match self.row(&RowKey::Membership(org(HOST), member)) {
            Row::Membership(row) => row,
            row => panic!("{row:?} is no membership"),
        }
    }

    fn link(&mut self, number: u8) -> &mut Link {
        match self.row(&RowKey::Link(org(HOST), link_id(number))) {
            Row::Link(row) => row,
            row => panic!("{row:?} is no link"),
        }
    }

    fn token_of(&mut self, subject: TokenSubject) -> &mut TokenRecord {
        let found = self.0.iter_mut().find_map(|(_, row)| match row {
            Row::Token(row) if row.subject == subject && row.host == org(HOST) => Some(row),
            _ => None,
        });
        found.unwrap()
    }

    fn group(&mut self, number: u8) -> &mut Group {
        match self.row(&RowKey::Group(org(HOST), group_id(number))) {
            Row::Group(row) => row,
            row => panic!("{row:?} is no group"),
        }
    }

    fn records(self) -> Records {
        let mut records = Records::new();
        for (key, row) in self.0 {
            records.insert(key, row);
        }
        records
    }
}

/// Breaks one thing; the log is looked at only where that is what breaks.
fn break_one(invariant: Invariant, rows: &mut Rows, log: &mut Log) -> bool {
    let host = org(HOST);
    match invariant {
        Invariant::KeyNamesRow => {
            let grant = rows.row(&RowKey::Grant(host.clone(), grant_id(1))).clone();
            rows.put(RowKey::Grant(host, grant_id(9)), grant);
        }
        Invariant::NameLeadsBack => match rows.row(&RowKey::Organization(host)) {
            Row::Organization(row) => row.name = OrgName::parse("nobodys").unwrap(),
            row => panic!("{row:?}"),
        },
        Invariant::OneActiveToken => {
            // A token of a disabled link is left valid.
            rows.link(4).status = guestlist_membership::link::LinkStatus::Disabled;
        }
        Invariant::TokenHasSubject => {
            let mut token = rows.token_of(TokenSubject::Link(link_id(3))).clone();
            token.selector = World::new().draw(&org(7)).selector;
            token.subject = TokenSubject::Link(link_id(99));
            rows.put(RowKey::Token(token.selector), Row::Token(token));
        }
        Invariant::UsesCounted => {
            *rows.row(&RowKey::LinkTally(host, link_id(3))) = Row::Tally(4);
        }
        Invariant::ReservedUseWaits => {
            // The request was moved to another door, and its use stayed.
            rows.membership(user_member(3)).door = guestlist_membership::member::Door::Request;
        }
        Invariant::LinkEndsLater => {
            let link = rows.link(4);
            link.config.expires_at = Some(link.created_at);
        }
        Invariant::EndedSaysHow => rows.membership(user_member(5)).ended = None,
        Invariant::NotOwnMember => {
            let mut row = rows.membership(org_member(1)).clone();
            row.member = Member::Org(host.clone());
            row.status = None;
            row.episode = Episode::NONE;
            row.access_since = Episode::NONE;
            row.proxy = None;
            let key = RowKey::Membership(host, row.member.clone());
            rows.put(key, Row::Membership(Box::new(row)));
        }
        Invariant::ProxyFollowsApproval => rows.membership(org_member(1)).proxy = None,
        Invariant::ProxyIsUnique => {
            let proxy = rows.membership(org_member(1)).proxy.clone();
            rows.membership(org_member(2)).proxy = proxy;
        }
        Invariant::EpisodesInOrder => match rows.row(&RowKey::Grant(host, grant_id(2))) {
            Row::Grant(grant) => {
                grant.subject = Subject::Member {
                    member: org_member(1),
                    episode: Episode::new(2),
                };
            }
            row => panic!("{row:?}"),
        },
        Invariant::OwnersOnRecord => rows.membership(user_member(4)).role = Some(role("owner")),
        Invariant::OwnersStay => {
            let row = rows.membership(user_member(HOST));
            row.expires_at = Some(row.opened_at + Duration::from_secs(1));
        }
        Invariant::SeatsCounted => {
            rows.remove(&RowKey::SeatTally(host));
        }
        Invariant::OneLiveInvite => {
            rows.remove(&RowKey::Address(host, address(2)));
        }
        Invariant::ClosedSaysHow => match rows.row(&RowKey::Invite(host, invite_id(3))) {
            Row::Invite(row) => row.closed = None,
            row => panic!("{row:?}"),
        },
        Invariant::AddressLeadsToMember => {
            rows.membership(user_member(4)).profile.email = None;
        }
        Invariant::GrantGives => match rows.row(&RowKey::Grant(host, grant_id(1))) {
            Row::Grant(grant) => grant.actions = ActionSet::EMPTY,
            row => panic!("{row:?}"),
        },
        Invariant::OutsiderCeiling => match rows.row(&RowKey::Grant(host, grant_id(2))) {
            Row::Grant(grant) => grant.actions = ActionSet::of(&[Action::Share]),
            row => panic!("{row:?}"),
        },
        Invariant::InternalKeepsOut => rows.group(3).internal = true,
        Invariant::GroupsAcyclic => {
            let entry = GroupMember::Group(group_id(3));
            let key = RowKey::GroupMember(host, group_id(1), entry);
            rows.put(key, Row::GroupMember);
        }
        Invariant::GroupsExist => {
            let entry = GroupMember::Member {
                member: user_member(4),
                episode: Episode::new(1),
            };
            let key = RowKey::GroupMember(host, group_id(77), entry);
            rows.put(key, Row::GroupMember);
        }
        Invariant::GroupNamesUnique => rows.group(3).name = rows.group(1).name.clone(),
        Invariant::TimesInOrder => {
            rows.membership(user_member(5)).updated_at = Timestamp::from_micros(0);
        }
        Invariant::LogFolds => {
            // A commit that wrote no events.
            rows.membership(user_member(3)).answers = vec!["an answer".to_owned()];
            return true;
        }
        Invariant::LogInOrder => {
            for (of, stamp, event) in log.iter_mut().rev() {
                if let Event::Invite(InviteEvent::Closed { .. }) = event {
                    assert_eq!(*of, host);
                    stamp.at = Timestamp::from_micros(1);
                    return true;
                }
            }
            panic!("an invite was closed");
        }
        Invariant::TokensNew => {
            let (of, stamp, event) = log
                .iter()
                .find(|(_, _, event)| matches!(event, Event::Invite(InviteEvent::Sent(_))))
                .unwrap()
                .clone();
            log.push((of, stamp, event));
            return true;
        }
        invariant => panic!("{invariant:?} has no row in this table"),
    }
    false
}

fn found(rows: Rows, log: Option<&Log>, world: &World) -> Vec<Violation> {
    let records = rows.records();
    let state = State::of_rows(&records, &world.roles);
    match log {
        Some(log) => check(&state.with_log(log)),
        None => check(&state),
    }
}

fn rows_of(world: &World) -> Rows {
    let rows = world.records().iter();
    Rows(rows.map(|(key, row)| (key.clone(), row.clone())).collect())
}

#[test]
fn a_sound_state_is_sound() {
    let world = sound();
    assert_eq!(
        found(rows_of(&world), Some(&world.log().to_vec()), &world),
        []
    );
}

#[test]
fn each_invariant_is_seen_to_break_alone() {
    let world = sound();
    for invariant in Invariant::ALL {
        let mut rows = rows_of(&world);
        let mut log = world.log().to_vec();
        let with_log = break_one(invariant, &mut rows, &mut log);
        let found = found(rows, with_log.then_some(&log), &world);
        let mut named: Vec<Invariant> = found.iter().map(|broken| broken.invariant).collect();
        named.dedup();
        // A log that says something else says it of the rows, too.
        named.retain(|other| *other == invariant || !(with_log && *other == Invariant::LogFolds));
        assert_eq!(named, [invariant], "{found:?}");
        for broken in &found {
            assert!(
                broken
                    .to_string()
                    .starts_with(&format!("{:?}", broken.invariant))
            );
        }
    }
}
