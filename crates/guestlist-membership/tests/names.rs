//! What stores and callers rely on: names on the wire, and that every row and event comes back.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't set up its world has failed"
)]

use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_access::{
    AccessError, AccessEvent, AccessHead, Action, ActionSet, Audience, Capability, Episode, Giver,
    Grant, Group, GroupMember, Pattern, PresetGrant, Subject,
};
use guestlist_membership::link::{
    Expiry, Generation, JoinedBy, Lasting, LinkDraft, LinkEvent, LinkStatus, LinkUse, TokenEnd,
    UseState, Uses,
};
use guestlist_membership::member::{
    ActingRule, Block, Cause, Door, Ended, MemberEvent, Membership, Opening, Phase, Profile,
    ProxyUser, Seat, Status, UseChange,
};
use guestlist_membership::organization::{
    NameRecord, OrgStatus, Organization, OrganizationEvent, Pause, Settings,
};
use guestlist_membership::testing::{
    START, World, arb_settings, arb_step, founder, grant_id, group_id, link_id, org, org_member,
    org_name, role, user, user_member,
};
use guestlist_membership::{
    AfterRejection, By, CommandError, Event, Home, Joins, Metadata, Row, RowKey, SeatCount, Seats,
    Stamp, Standing, TokenProblem,
};
use guestlist_token::{PepperId, Selector, TokenTag};
use guestlist_types::{DisplayName, EmailAddress, EmailDomain, ProxyUserId, Reason};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[track_caller]
fn comes_back<T>(value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + core::fmt::Debug,
{
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
    let tree = serde_json::to_value(value).unwrap();
    assert_eq!(&serde_json::from_value::<T>(tree).unwrap(), value, "{json}");
    let bytes = postcard::to_stdvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value, "{json}");
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// The outermost two tags of an externally tagged value.
fn tags(event: &Event) -> (String, String) {
    let value = serde_json::to_value(event).unwrap();
    let (outer, inner) = value.as_object().unwrap().iter().next().unwrap();
    let inner = match inner {
        serde_json::Value::String(tag) => tag.clone(),
        serde_json::Value::Object(map) => map.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    };
    (outer.clone(), inner)
}

fn selector() -> Selector {
    Selector::parse("0100000002").unwrap()
}

fn proxy() -> ProxyUser {
    ProxyUser {
        id: ProxyUserId::from_bytes([6; 16]),
        user_name: org_name(1),
    }
}

fn draft() -> LinkDraft {
    LinkDraft::auto()
        .label("Partners".parse().unwrap())
        .joined_by(JoinedBy::Organizations)
        .role(role("member"))
        .group(group_id(1))
        .grant(PresetGrant {
            actions: ActionSet::of(&[Action::Read]),
            pattern: Pattern::parse("a/").unwrap(),
        })
        .expiry(Expiry::At(START))
        .max_uses(Uses::AtMost(3))
        .allow_domain(EmailDomain::parse("corp.example").unwrap())
        .allow_member(org_member(1))
        .membership_ttl(Lasting::For(Duration::from_secs(60)))
        .question("Why?")
        .metadata(Metadata::from_json(r#"{"a":1}"#).unwrap())
}

fn settings() -> Settings {
    Settings {
        joins: Joins::AlwaysReview,
        after_rejection: AfterRejection::CoolDown(Duration::from_millis(1500)),
        standing: Standing::Keep,
        request_ttl: Some(Duration::from_secs(9)),
        seats: Some(Seats {
            limit: core::num::NonZeroU64::new(5).unwrap(),
            count_pending: true,
        }),
        link_defaults: draft(),
        max_link_lifetime: Some(Duration::from_secs(7)),
    }
}

fn organization() -> Organization {
    Organization {
        id: org(0),
        name: org_name(0),
        display_name: Some(DisplayName::parse("Org \u{e9}").unwrap()),
        status: OrgStatus::Suspended,
        settings: settings(),
        pause: Some(Pause::Until(START)),
        default_link: Some(link_id(1)),
        created_at: START,
        updated_at: START,
    }
}

fn link() -> guestlist_membership::link::Link {
    let mut world = World::populated();
    let draft = draft().expiry(Expiry::Never);
    world.create(0, &founder(0), 9, draft).unwrap();
    let link = world.records().link(&org(0), link_id(9)).unwrap();
    guestlist_membership::link::Link {
        overlapping: vec![selector()],
        deleted_at: Some(START),
        ..link.clone()
    }
}

fn opening() -> Opening {
    Opening {
        member: org_member(1),
        door: Door::Link {
            link: link_id(1),
            generation: Generation::FIRST,
        },
        profile: Profile {
            name: Some(org_name(1)),
            display_name: None,
            email: Some(EmailAddress::parse("a@b.example").unwrap()),
        },
        gift: draft().preset.unwrap(),
        expires_at: Some(START),
        ttl: Some(Duration::from_secs(60)),
        answers: vec!["because".to_owned()],
        metadata: Metadata::from_json(r#"{"a":1}"#).unwrap(),
        link_use: Some(change()),
        seat: Seat::Taken,
    }
}

const fn change() -> UseChange {
    UseChange {
        link: link_id(1),
        generation: Generation::FIRST,
        state: UseState::Released,
        counted: -1,
    }
}

fn ended(cause: Cause) -> Event {
    Event::Member(MemberEvent::Ended {
        member: user_member(4),
        cause,
        reason: Some(Reason::parse("so").unwrap()),
        link_use: Some(change()),
        seat: Seat::Freed,
    })
}

fn samples() -> Vec<(&'static str, &'static str, &'static str, Event)> {
    use OrganizationEvent as O;
    let member = user_member(4);
    let end = TokenEnd {
        selector: selector(),
        at: START,
    };
    let id = link_id(1);
    let of_org = |name, tag, event| (name, "organization", tag, Event::Organization(event));
    let of_link = |name, tag, event| (name, "link", tag, Event::Link(event));
    let of_member = |name, tag, event| (name, "member", tag, Event::Member(event));
    let mut events = vec![
        of_org(
            "name-reserved",
            "name-reserved",
            O::NameReserved {
                name: org_name(0),
                organization: org(0),
            },
        ),
        of_org(
            "organization-registered",
            "registered",
            O::Registered(Box::new(organization())),
        ),
        of_org(
            "organization-renamed",
            "renamed",
            O::Renamed { name: org_name(3) },
        ),
        of_org(
            "organization-display-name-changed",
            "display-name-changed",
            O::DisplayNameChanged { display_name: None },
        ),
        of_org("organization-suspended", "suspended", O::Suspended),
        of_org("organization-resumed", "resumed", O::Resumed),
        of_org("organization-deleted", "deleted", O::Deleted),
        of_org(
            "settings-changed",
            "settings-changed",
            O::SettingsChanged {
                settings: Box::new(settings()),
                seats_taken: Some(2),
            },
        ),
        of_org(
            "links-paused",
            "links-paused",
            O::LinksPaused {
                until: Pause::UntilResumed,
            },
        ),
        of_org("links-resumed", "links-resumed", O::LinksResumed),
        of_org(
            "owner-added",
            "owner-added",
            O::OwnerAdded { user: user(0) },
        ),
        of_org(
            "owner-removed",
            "owner-removed",
            O::OwnerRemoved { user: user(0) },
        ),
        of_link(
            "link-created",
            "created",
            LinkEvent::Created(Box::new(link())),
        ),
        of_link(
            "link-made-default",
            "made-default",
            LinkEvent::MadeDefault { link: id },
        ),
        of_link(
            "link-refreshed",
            "refreshed",
            LinkEvent::Refreshed {
                link: id,
                generation: Generation::new(2),
                selector: selector(),
                ended: vec![end],
            },
        ),
        of_link(
            "link-disabled",
            "disabled",
            LinkEvent::Disabled {
                link: id,
                ended: vec![end],
            },
        ),
        of_link(
            "link-enabled",
            "enabled",
            LinkEvent::Enabled {
                link: id,
                generation: Generation::new(3),
                selector: selector(),
            },
        ),
        of_link(
            "link-edited",
            "edited",
            LinkEvent::Edited {
                link: id,
                config: Box::new(link().config),
                uses: Some(1),
            },
        ),
        of_link(
            "link-deleted",
            "deleted",
            LinkEvent::Deleted {
                link: id,
                ended: vec![],
            },
        ),
        of_link(
            "link-exhausted",
            "exhausted",
            LinkEvent::Exhausted { link: id },
        ),
        of_member(
            "membership-requested",
            "requested",
            MemberEvent::Requested(Box::new(opening())),
        ),
        of_member(
            "membership-joined",
            "joined",
            MemberEvent::Joined {
                opening: Box::new(opening()),
                proxy: Some(proxy()),
            },
        ),
        of_member(
            "membership-approved",
            "approved",
            MemberEvent::Approved {
                member: member.clone(),
                door: Some(Door::Added),
                gift: Box::new(opening().gift),
                expires_at: None,
                reinstated: true,
                proxy: Some(proxy()),
                link_uses: vec![change()],
                seat: Seat::Kept,
            },
        ),
        of_member(
            "membership-role-changed",
            "role-changed",
            MemberEvent::RoleChanged {
                member: member.clone(),
                role: role("admin"),
            },
        ),
        of_member(
            "membership-gift-added",
            "gift-added",
            MemberEvent::GiftAdded {
                member: member.clone(),
                gift: Box::new(opening().gift),
            },
        ),
        of_member(
            "member-blocked",
            "blocked",
            MemberEvent::Blocked {
                member: member.clone(),
                reason: None,
            },
        ),
        of_member(
            "member-unblocked",
            "unblocked",
            MemberEvent::Unblocked {
                member: member.clone(),
            },
        ),
        of_member(
            "member-removal-lifted",
            "removal-lifted",
            MemberEvent::RemovalLifted { member },
        ),
        of_member(
            "acting-restricted",
            "acting-restricted",
            MemberEvent::ActingRestricted {
                host: org(0),
                rule: Some(acting()),
            },
        ),
        (
            "sharing-set",
            "access",
            "sharing-set",
            Event::Access(AccessEvent::SharingSet(
                guestlist_access::Sharing::OwnersOnly,
            )),
        ),
    ];
    for (name, cause) in [
        ("membership-withdrawn", Cause::Withdrew),
        ("membership-left", Cause::Left),
        ("membership-rejected", Cause::Rejected),
        ("membership-removed", Cause::Removed),
        ("membership-expired", Cause::Expired),
    ] {
        events.push((name, "member", "ended", ended(cause)));
    }
    events
}

fn acting() -> ActingRule {
    ActingRule {
        users: BTreeSet::from([user(1)]),
        groups: BTreeSet::from([group_id(1)]),
    }
}

/// A variant that is added must be added to the samples, too.
const fn all_variants(event: &Event) {
    match event {
        Event::Organization(event) => match event {
            OrganizationEvent::NameReserved { .. }
            | OrganizationEvent::Registered(_)
            | OrganizationEvent::Renamed { .. }
            | OrganizationEvent::DisplayNameChanged { .. }
            | OrganizationEvent::Suspended
            | OrganizationEvent::Resumed
            | OrganizationEvent::Deleted
            | OrganizationEvent::SettingsChanged { .. }
            | OrganizationEvent::LinksPaused { .. }
            | OrganizationEvent::LinksResumed
            | OrganizationEvent::OwnerAdded { .. }
            | OrganizationEvent::OwnerRemoved { .. } => {}
        },
        Event::Link(event) => match event {
            LinkEvent::Created(_)
            | LinkEvent::MadeDefault { .. }
            | LinkEvent::Refreshed { .. }
            | LinkEvent::Disabled { .. }
            | LinkEvent::Enabled { .. }
            | LinkEvent::Edited { .. }
            | LinkEvent::Deleted { .. }
            | LinkEvent::Exhausted { .. } => {}
        },
        Event::Member(event) => match event {
            MemberEvent::Requested(_)
            | MemberEvent::Joined { .. }
            | MemberEvent::Approved { .. }
            | MemberEvent::Ended { .. }
            | MemberEvent::RoleChanged { .. }
            | MemberEvent::GiftAdded { .. }
            | MemberEvent::Blocked { .. }
            | MemberEvent::Unblocked { .. }
            | MemberEvent::RemovalLifted { .. }
            | MemberEvent::ActingRestricted { .. } => {}
        },
        Event::Access(_) => {}
    }
}

#[test]
fn events() {
    let mut names = BTreeSet::new();
    for (name, kind, tag, event) in samples() {
        all_variants(&event);
        assert_eq!(event.name(), name);
        assert_eq!(tags(&event), (kind.to_owned(), tag.to_owned()));
        assert!(names.insert(name), "names are unique over all kinds");
        comes_back(&event);
    }
    assert_eq!(names.len(), 12 + 8 + 9 + 5 + 1);
}

#[test]
fn the_fields_of_events_are_pinned() {
    let pinned = [
        (
            ended(Cause::Removed),
            concat!(
                r#"{"member":{"ended":{"member":{"user":"user_4"},"cause":"removed","reason":"so","#,
                r#""link_use":{"link":"01010101-0101-0101-0101-010101010101","generation":1,"#,
                r#""state":"released","counted":-1},"seat":"freed"}}}"#
            ),
        ),
        (
            Event::Link(LinkEvent::Refreshed {
                link: link_id(1),
                generation: Generation::new(2),
                selector: selector(),
                ended: vec![TokenEnd {
                    selector: selector(),
                    at: START,
                }],
            }),
            concat!(
                r#"{"link":{"refreshed":{"link":"01010101-0101-0101-0101-010101010101","#,
                r#""generation":2,"selector":"0100000002","#,
                r#""ended":[{"selector":"0100000002","at":"1970-01-12T13:46:40.000000Z"}]}}}"#
            ),
        ),
        (
            Event::Member(MemberEvent::Requested(Box::new(opening()))),
            concat!(
                r#"{"member":{"requested":{"member":{"org":"org_1"},"#,
                r#""door":{"link":{"link":"01010101-0101-0101-0101-010101010101","generation":1}},"#,
                r#""profile":{"name":"org-1","display_name":null,"email":"a@b.example"},"#,
                r#""gift":{"role":"member","groups":["01010101-0101-0101-0101-010101010101"],"#,
                r#""grants":[{"actions":["read"],"pattern":{"prefix":"a/"}}]},"#,
                r#""expires_at":"1970-01-12T13:46:40.000000Z","ttl":{"secs":60,"nanos":0},"#,
                r#""answers":["because"],"metadata":"{\"a\":1}","#,
                r#""link_use":{"link":"01010101-0101-0101-0101-010101010101","generation":1,"#,
                r#""state":"released","counted":-1},"seat":"taken"}}}"#
            ),
        ),
        (
            Event::Organization(OrganizationEvent::LinksPaused {
                until: Pause::Until(START),
            }),
            r#"{"organization":{"links-paused":{"until":{"until":"1970-01-12T13:46:40.000000Z"}}}}"#,
        ),
    ];
    for (event, expected) in pinned {
        assert_eq!(json(&event), expected);
    }
    let stamp = Stamp {
        at: START,
        by: founder(0).by(),
    };
    assert_eq!(
        json(&stamp),
        concat!(
            r#"{"at":"1970-01-12T13:46:40.000000Z","#,
            r#""by":{"user":{"user":"user_0","organization":"org_0"}}}"#
        )
    );
    comes_back(&stamp);
}

#[test]
fn statuses_causes_and_phases() {
    let statuses = Status::ALL.map(Status::as_str);
    assert_eq!(
        statuses,
        ["pending", "approved", "rejected", "removed", "cancelled"]
    );
    for status in Status::ALL {
        assert_eq!(json(&status), format!("\"{status}\""));
        comes_back(&status);
    }
    for (cause, name) in [
        (Cause::Withdrew, "withdrew"),
        (Cause::Left, "left"),
        (Cause::Rejected, "rejected"),
        (Cause::Removed, "removed"),
        (Cause::Expired, "expired"),
    ] {
        assert_eq!(cause.as_str(), name);
        assert_eq!(json(&cause), format!("\"{name}\""));
        comes_back(&cause);
    }
    for (phase, text, name) in [
        (Phase::Never, "never joined", "never"),
        (Phase::Pending, "pending", "pending"),
        (Phase::Approved, "approved", "approved"),
        (Phase::Rejected, "rejected", "rejected"),
        (Phase::Removed, "removed", "removed"),
        (Phase::Cancelled, "cancelled", "cancelled"),
        (Phase::RequestExpired, "request expired", "request-expired"),
        (Phase::Expired, "expired", "expired"),
    ] {
        assert_eq!(phase.as_str(), text);
        assert_eq!(json(&phase), format!("\"{name}\""));
    }
    for (status, name) in [
        (LinkStatus::Active, "active"),
        (LinkStatus::Disabled, "disabled"),
    ] {
        assert_eq!(
            (status.as_str(), json(&status)),
            (name, format!("\"{name}\""))
        );
    }
    for (status, name) in [
        (OrgStatus::Active, "active"),
        (OrgStatus::Suspended, "suspended"),
        (OrgStatus::Deleted, "deleted"),
    ] {
        assert_eq!(
            (status.as_str(), json(&status)),
            (name, format!("\"{name}\""))
        );
    }
    for (state, name) in [
        (UseState::Reserved, "reserved"),
        (UseState::Settled, "settled"),
        (UseState::Released, "released"),
    ] {
        assert_eq!(
            (state.as_str(), json(&state)),
            (name, format!("\"{name}\""))
        );
    }
    for (by, expected) in [
        (By::Policy, r#""policy""#),
        (By::Clock, r#""clock""#),
        (By::System, r#""system""#),
    ] {
        assert_eq!(json(&by), expected);
        comes_back(&by);
    }
}

#[test]
fn settings_are_pinned() {
    for (value, expected) in [
        (json(&Joins::LinkDecides), r#""link-decides""#),
        (json(&Joins::AlwaysReview), r#""always-review""#),
        (json(&Joins::AlwaysAuto), r#""always-auto""#),
        (json(&AfterRejection::Again), r#""again""#),
        (
            json(&AfterRejection::CoolDown(Duration::from_secs(1))),
            r#"{"cool-down":{"secs":1,"nanos":0}}"#,
        ),
        (json(&AfterRejection::NotThisLink), r#""not-this-link""#),
        (json(&AfterRejection::InviteOnly), r#""invite-only""#),
        (json(&Standing::Keep), r#""keep""#),
        (json(&Standing::MustBeMember), r#""must-be-member""#),
        (json(&Standing::MustHoldRight), r#""must-hold-right""#),
        (json(&Uses::Unlimited), r#""unlimited""#),
        (json(&Uses::AtMost(3)), r#"{"at-most":3}"#),
        (json(&Expiry::Never), r#""never""#),
        (json(&Lasting::Always), r#""always""#),
        (json(&Pause::UntilResumed), r#""until-resumed""#),
        (json(&Door::Founded), r#""founded""#),
        (json(&Door::Added), r#""added""#),
    ] {
        assert_eq!(value, expected);
    }
    // Settings that were stored before one was added have its default.
    assert_eq!(
        serde_json::from_str::<Settings>("{}").unwrap(),
        Settings::default()
    );
    comes_back(&settings());
}

fn rows() -> Vec<(RowKey, Row)> {
    let host = org(0);
    let member = org_member(1);
    let group = Group {
        id: group_id(1),
        name: "Design".parse().unwrap(),
        internal: true,
        created_at: START,
    };
    let grant = Grant {
        id: grant_id(1),
        giver: Giver::User(user(1)),
        at: START,
        expires_at: Some(START),
        subject: Subject::Organization(Audience::InternalUsers),
        actions: ActionSet::ALL,
        pattern: Pattern::all(),
    };
    let token = guestlist_membership::link::TokenRecord {
        selector: selector(),
        host: host.clone(),
        link: link_id(1),
        generation: Generation::FIRST,
        issued_at: START,
        valid_until: Some(START),
        tag: Some(TokenTag::new(PepperId::new(1), [7; 32])),
    };
    let membership = Membership {
        status: Some(Status::Removed),
        episode: Episode::new(2),
        access_since: Episode::new(1),
        door: Door::Link {
            link: link_id(1),
            generation: Generation::FIRST,
        },
        role: None,
        groups: BTreeSet::from([group_id(1)]),
        approved_at: Some(START),
        approved_by: Some(By::Policy),
        ttl: Some(Duration::from_micros(1)),
        answers: vec!["a".to_owned()],
        ended: Some(Ended {
            cause: Cause::Removed,
            by: founder(0).by(),
            at: START,
            reason: None,
        }),
        proxy: Some(proxy()),
        removed_at: Some(START),
        review_required: true,
        rejected_at: Some(START),
        rejected_links: BTreeSet::from([link_id(2)]),
        block: Some(Block {
            by: By::System,
            at: START,
            reason: None,
        }),
        ..Membership::blank(host.clone(), member.clone(), START)
    };
    vec![
        (
            RowKey::Name(org_name(0)),
            Row::Name(NameRecord {
                organization: host.clone(),
            }),
        ),
        (
            RowKey::Organization(host.clone()),
            Row::Organization(Box::new(organization())),
        ),
        (
            RowKey::Owners(host.clone()),
            Row::Owners(BTreeSet::from([user(0)])),
        ),
        (RowKey::SeatTally(host.clone()), Row::Tally(3)),
        (
            RowKey::AccessHead(host.clone()),
            Row::AccessHead(AccessHead::default()),
        ),
        (
            RowKey::Link(host.clone(), link_id(1)),
            Row::Link(Box::new(link())),
        ),
        (RowKey::LinkTally(host.clone(), link_id(1)), Row::Tally(1)),
        (
            RowKey::LinkUse(host.clone(), link_id(1), member.clone()),
            Row::LinkUse(LinkUse {
                generation: Generation::FIRST,
                state: UseState::Settled,
                at: START,
                released_for: None,
            }),
        ),
        (RowKey::Token(selector()), Row::Token(token)),
        (
            RowKey::Membership(host.clone(), member.clone()),
            Row::Membership(Box::new(membership)),
        ),
        (RowKey::Acting(host.clone(), org(1)), Row::Acting(acting())),
        (RowKey::Group(host.clone(), group_id(1)), Row::Group(group)),
        (
            RowKey::GroupMember(
                host.clone(),
                group_id(1),
                GroupMember::Member {
                    member,
                    episode: Episode::new(1),
                },
            ),
            Row::GroupMember,
        ),
        (
            RowKey::Grant(host.clone(), grant_id(1)),
            Row::Grant(Box::new(grant)),
        ),
        (RowKey::UseCount(host.clone(), link_id(1)), Row::UseCount(2)),
        (
            RowKey::SeatCount(host),
            Row::SeatCount(SeatCount {
                pending: 1,
                approved: 2,
            }),
        ),
    ]
}

#[test]
fn rows_and_their_keys() {
    let keys: Vec<String> = rows()
        .iter()
        .map(|(key, row)| {
            comes_back(key);
            comes_back(row);
            let key = serde_json::to_value(key).unwrap();
            let row = serde_json::to_value(row).unwrap();
            let row = match &row {
                serde_json::Value::String(tag) => tag.clone(),
                row => row.as_object().unwrap().keys().next().unwrap().clone(),
            };
            format!("{} {row}", key.as_object().unwrap().keys().next().unwrap())
        })
        .collect();
    assert_eq!(
        keys,
        [
            "name name",
            "organization organization",
            "owners owners",
            "seat-tally tally",
            "access-head access-head",
            "link link",
            "link-tally tally",
            "link-use link-use",
            "token token",
            "membership membership",
            "acting acting",
            "group group",
            "group-member group-member",
            "grant grant",
            "use-count use-count",
            "seat-count seat-count",
        ]
    );
    comes_back(&Home::Organization(org(0)));
    comes_back(&Home::Name(org_name(0)));
}

#[test]
fn the_fields_of_rows_are_pinned() {
    let keys = |row: &Row| {
        let value = serde_json::to_value(row).unwrap();
        let inner = value.as_object().unwrap().values().next().unwrap();
        let keys = inner.as_object().unwrap().keys().cloned();
        keys.collect::<Vec<_>>().join(" ")
    };
    for (key, row) in rows() {
        let expected = match key {
            RowKey::Organization(_) => {
                "created_at default_link display_name id name pause settings status updated_at"
            }
            RowKey::Link(..) => {
                "config created_at creator deleted_at generation host id overlapping status token \
                 updated_at"
            }
            RowKey::Token(_) => "generation host issued_at link selector tag valid_until",
            RowKey::LinkUse(..) => "at generation released_for state",
            RowKey::Membership(..) => {
                "access_since answers approved_at approved_by block door ended episode expires_at \
                 grants groups host member metadata opened_at profile proxy rejected_at \
                 rejected_links removed_at review_required role status ttl updated_at"
            }
            _ => continue,
        };
        assert_eq!(keys(&row), expected);
    }
}

#[test]
fn codes_of_refusals() {
    let problems = [
        (TokenProblem::Unknown, "token-unknown"),
        (TokenProblem::Retired, "token-retired"),
        (TokenProblem::Disabled, "link-disabled"),
        (TokenProblem::Deleted, "link-deleted"),
        (TokenProblem::Expired, "link-expired"),
        (TokenProblem::Exhausted, "link-exhausted"),
        (TokenProblem::Paused, "links-paused"),
        (TokenProblem::HostNotActive, "host-not-active"),
        (TokenProblem::CreatorNotStanding, "creator-not-standing"),
        (TokenProblem::BeforeRemoval, "token-before-removal"),
    ];
    for (problem, code) in problems {
        assert_eq!(problem.code(), code);
    }
    let what = "link";
    let link = link_id(1);
    for (error, code) in [
        (
            CommandError::NotAllowed {
                capability: Capability::LinksCreate,
            },
            "not-allowed",
        ),
        (CommandError::SystemOnly, "system-only"),
        (CommandError::NotTheMember, "not-the-member"),
        (CommandError::NotFound { what }, "not-found"),
        (
            CommandError::OrganizationNotActive { status: "deleted" },
            "organization-not-active",
        ),
        (CommandError::NameTaken, "name-taken"),
        (CommandError::AlreadyRegistered, "already-registered"),
        (
            CommandError::WrongState {
                command: "approve",
                found: Phase::Removed,
            },
            "wrong-state",
        ),
        (CommandError::OwnOrganization, "own-organization"),
        (CommandError::AlreadyMember, "already-member"),
        (CommandError::Blocked, "blocked"),
        (CommandError::CoolingDown { until: START }, "cooling-down"),
        (CommandError::RejectedLink, "rejected-link"),
        (CommandError::InviteOnly, "invite-only"),
        (CommandError::WrongKindOfMember, "wrong-kind-of-member"),
        (CommandError::DomainNotAllowed, "domain-not-allowed"),
        (CommandError::MemberNotAllowed, "member-not-allowed"),
        (
            CommandError::AnswersMissing { expected: 2 },
            "answers-missing",
        ),
        (CommandError::EmailNotVerified, "email-not-verified"),
        (CommandError::SelectorTaken, "selector-taken"),
        (CommandError::SeatsFull, "seats-full"),
        (CommandError::LastOwner, "last-owner"),
        (CommandError::OwnerCanNotExpire, "owner-can-not-expire"),
        (CommandError::UnknownRole, "unknown-role"),
        (CommandError::RoleAboveOwn, "role-above-own"),
        (CommandError::ProxyHasNoRole, "proxy-has-no-role"),
        (
            CommandError::CreatorNotStanding { link },
            "creator-not-standing",
        ),
        (
            CommandError::WrongLinkState { status: "disabled" },
            "wrong-link-state",
        ),
        (CommandError::ZeroUses, "zero-uses"),
        (CommandError::InThePast, "in-the-past"),
        (
            CommandError::LifetimeTooLong { seconds: 7 },
            "lifetime-too-long",
        ),
        (CommandError::OverlapTooLong, "overlap-too-long"),
        (CommandError::TooMany { what, max: 1 }, "too-many"),
        (
            CommandError::Access(AccessError::NoActions),
            "grant-without-actions",
        ),
        (CommandError::FactMissing { fact: "book" }, "fact-missing"),
    ] {
        assert_eq!(error.code(), code);
        let text = error.to_string();
        assert!(!text.ends_with('.'), "{text}");
        assert!(!text.starts_with(char::is_uppercase), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_is_stored_and_comes_back(
        settings in arb_settings(),
        steps in proptest::collection::vec(arb_step(), 1..40),
    ) {
        comes_back(&settings);
        let mut world = World::populated();
        for step in &steps {
            let stepped = world.step(step);
            comes_back(&stepped.command);
        }
        for (_, stamp, event) in world.log() {
            comes_back(stamp);
            comes_back(event);
        }
        for (key, row) in world.records().iter() {
            comes_back(key);
            comes_back(row);
        }
    }
}
