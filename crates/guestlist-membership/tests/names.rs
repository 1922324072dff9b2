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
use guestlist_membership::invite::{
    AddressRecord, Closed, Closing, Delivery, DeliveryReport, EmailInvite, InviteCommand,
    InviteConfig, InviteDraft, InviteEvent, InvitePhase, InvitePreview, InviteStatus, Mode,
    NewInvite, SignOn,
};
use guestlist_membership::link::{
    Approval, Expiry, Generation, JoinedBy, Lasting, Link, LinkCommand, LinkDraft, LinkEvent,
    LinkStatus, LinkUse, NewToken, Preset, TokenEnd, TokenRecord, TokenSubject, UseState, Uses,
};
use guestlist_membership::member::{
    ActingRule, Block, Cause, Door, Ended, MemberCommand, MemberEvent, Membership, Opening, Phase,
    Presented, Profile, ProxyUser, Seat, Status, UseChange,
};
use guestlist_membership::organization::{
    NameRecord, OrgStatus, Organization, OrganizationCommand, OrganizationEvent, Pause, Settings,
};
use guestlist_membership::testing::{
    START, World, arb_settings, arb_step, founder, grant_id, group_id, invite_id, link_id, org,
    org_member, org_name, presented, role, user, user_member,
};
use guestlist_membership::webhook::{
    DisabledFor, Endpoint, EndpointStatus, SecretVersion, WebhookEvent,
};
use guestlist_membership::{
    AddressCheck, AfterRejection, By, Command, CommandError, ConsumerRecord, Event, Home, Joins,
    Metadata, ParkedRecord, Requests, Row, RowKey, SeatCount, Seats, SecondInvite, Sequence, Stamp,
    Standing, TokenProblem,
};
use guestlist_token::{PepperId, Selector, TokenTag};
use guestlist_types::{
    ConsumerName, DisplayName, EmailAddress, EmailDomain, EndpointId, EndpointUrl, Message,
    ProxyUserId, Reason,
};
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
        invites_last: Lasting::Always,
        address_check: AddressCheck::AnyVerified,
        second_invite: SecondInvite::Replace,
        discoverable: true,
        requests: requests(),
    }
}

fn requests() -> Requests {
    Requests {
        open: true,
        joined_by: JoinedBy::Users,
        questions: vec!["Why?".to_owned()],
        preset: gift(),
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

fn link() -> Link {
    let mut world = World::populated();
    let draft = draft().expiry(Expiry::Never);
    world.create(0, &founder(0), 9, draft).unwrap();
    let link = world.records().link(&org(0), link_id(9)).unwrap();
    Link {
        id: link_id(1),
        overlapping: vec![selector()],
        deleted_at: Some(START),
        expired_at: Some(START),
        ..link.clone()
    }
}

fn gift() -> Preset {
    draft().preset.unwrap()
}

fn message() -> Message {
    Message::parse("Let me in.").unwrap()
}

fn address() -> EmailAddress {
    EmailAddress::parse("a@b.example").unwrap()
}

/// An invite with everything that one can have; a real one is open or closed.
fn invite() -> EmailInvite {
    EmailInvite {
        id: invite_id(1),
        host: org(0),
        address: address(),
        config: InviteConfig {
            joined_by: JoinedBy::Users,
            preset: gift(),
            approval: Approval::Auto,
            lasts: Some(Duration::from_secs(60)),
            membership_ttl: Some(Duration::from_secs(9)),
            message: Some(message()),
            metadata: Metadata::from_json(r#"{"a":1}"#).unwrap(),
            sign_on: SignOn::Elsewhere,
        },
        status: InviteStatus::Accepted,
        generation: Generation::new(2),
        token: Some(selector()),
        creator: Some(user(0)),
        delivery: Delivery::Sent,
        expires_at: Some(START),
        expired_at: Some(START),
        closed: Some(Closed {
            closing: Closing::Accepted,
            by: founder(0).by(),
            at: START,
            member: Some(user_member(4)),
        }),
        created_at: START,
        sent_at: START,
        updated_at: START,
    }
}

const CLOSINGS: [Closing; 5] = [
    Closing::Accepted,
    Closing::Declined,
    Closing::Revoked,
    Closing::Replaced,
    Closing::Joined,
];

fn closed(closing: Closing) -> Event {
    Event::Invite(InviteEvent::Closed {
        invite: invite_id(1),
        closing,
        ended: vec![TokenEnd {
            selector: selector(),
            at: START,
        }],
        member: match closing {
            Closing::Accepted => Some(user_member(4)),
            Closing::Declined | Closing::Revoked | Closing::Replaced | Closing::Joined => None,
        },
    })
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
            email: Some(address()),
        },
        gift: gift(),
        expires_at: Some(START),
        ttl: Some(Duration::from_secs(60)),
        answers: vec!["because".to_owned()],
        message: Some(message()),
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
    let of_invite = |name, tag, event| (name, "invite", tag, Event::Invite(event));
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
        of_link("link-expired", "expired", LinkEvent::Expired { link: id }),
        of_link(
            "link-revealed",
            "revealed",
            LinkEvent::Revealed {
                link: id,
                generation: Generation::new(2),
            },
        ),
        of_link(
            "link-exhausted",
            "exhausted",
            LinkEvent::Exhausted { link: id },
        ),
        of_invite("invite-sent", "sent", InviteEvent::Sent(Box::new(invite()))),
        of_invite(
            "invite-resent",
            "resent",
            InviteEvent::Resent {
                invite: invite_id(1),
                generation: Generation::new(2),
                selector: selector(),
                ended: vec![end],
                expires_at: Some(START),
            },
        ),
        of_invite(
            "invite-expired",
            "expired",
            InviteEvent::Expired {
                invite: invite_id(1),
            },
        ),
        of_invite(
            "invite-erased",
            "erased",
            InviteEvent::Erased {
                invite: invite_id(1),
            },
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
            MemberEvent::RemovalLifted {
                member: member.clone(),
            },
        ),
        of_member("member-erased", "erased", MemberEvent::Erased { member }),
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
    for (name, tag, event) in webhook_events() {
        events.push((name, "webhook", tag, Event::Webhook(event)));
    }
    for (name, cause) in [
        ("membership-withdrawn", Cause::Withdrew),
        ("membership-left", Cause::Left),
        ("membership-rejected", Cause::Rejected),
        ("membership-removed", Cause::Removed),
        ("membership-expired", Cause::Expired),
    ] {
        events.push((name, "member", "ended", ended(cause)));
    }
    for closing in CLOSINGS {
        let name = match closing {
            Closing::Accepted => "invite-accepted",
            Closing::Declined => "invite-declined",
            Closing::Revoked => "invite-revoked",
            Closing::Replaced => "invite-replaced",
            Closing::Joined => "invite-joined-otherwise",
        };
        events.push((name, "invite", "closed", closed(closing)));
    }
    for (name, sent) in [("invite-delivered", true), ("invite-undelivered", false)] {
        let invite = invite_id(1);
        let reported = InviteEvent::DeliveryReported { invite, sent };
        events.push(of_invite(name, "delivery-reported", reported));
    }
    events
}

fn endpoint() -> Endpoint {
    Endpoint {
        id: EndpointId::from_bytes([8; 16]),
        organization: org(0),
        url: EndpointUrl::parse("https://hooks.example/in").unwrap(),
        label: Some("CRM".parse().unwrap()),
        events: BTreeSet::from(["membership-approved".to_owned()]),
        secret: SecretVersion {
            key: 1,
            generation: 2,
        },
        older_secret: Some((
            SecretVersion {
                key: 1,
                generation: 1,
            },
            START,
        )),
        status: EndpointStatus::Disabled(DisabledFor::Gone),
        created_at: START,
        updated_at: START,
        deleted_at: None,
    }
}

fn webhook_events() -> Vec<(&'static str, &'static str, WebhookEvent)> {
    let whole = endpoint();
    let endpoint = whole.id;
    vec![
        (
            "endpoint-edited",
            "edited",
            WebhookEvent::Edited {
                endpoint,
                url: whole.url.clone(),
                label: whole.label.clone(),
                events: whole.events.clone(),
            },
        ),
        (
            "endpoint-secret-rotated",
            "secret-rotated",
            WebhookEvent::SecretRotated {
                endpoint,
                secret: whole.secret,
                until: START,
            },
        ),
        (
            "endpoint-enabled",
            "enabled",
            WebhookEvent::Enabled { endpoint },
        ),
        (
            "endpoint-disabled",
            "disabled",
            WebhookEvent::Disabled {
                endpoint,
                reason: DisabledFor::Asked,
            },
        ),
        (
            "endpoint-deleted",
            "deleted",
            WebhookEvent::Deleted { endpoint },
        ),
        (
            "endpoint-created",
            "created",
            WebhookEvent::Created(Box::new(whole)),
        ),
    ]
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
            | LinkEvent::Revealed { .. }
            | LinkEvent::Expired { .. }
            | LinkEvent::Exhausted { .. } => {}
        },
        Event::Invite(event) => match event {
            InviteEvent::Sent(_)
            | InviteEvent::Resent { .. }
            | InviteEvent::Closed { .. }
            | InviteEvent::Expired { .. }
            | InviteEvent::Erased { .. }
            | InviteEvent::DeliveryReported { .. } => {}
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
            | MemberEvent::Erased { .. }
            | MemberEvent::ActingRestricted { .. } => {}
        },
        Event::Webhook(event) => match event {
            WebhookEvent::Created(_)
            | WebhookEvent::Edited { .. }
            | WebhookEvent::SecretRotated { .. }
            | WebhookEvent::Enabled { .. }
            | WebhookEvent::Disabled { .. }
            | WebhookEvent::Deleted { .. } => {}
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
    assert_eq!(names.len(), 12 + 10 + 4 + 5 + 2 + 10 + 5 + 1 + 6);
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
                r#""answers":["because"],"message":"Let me in.","metadata":"{\"a\":1}","#,
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
        (
            Event::Link(LinkEvent::Expired { link: link_id(1) }),
            r#"{"link":{"expired":{"link":"01010101-0101-0101-0101-010101010101"}}}"#,
        ),
        (
            Event::Invite(InviteEvent::Sent(Box::new(invite()))),
            concat!(
                r#"{"invite":{"sent":{"id":"01010101-0101-0101-0101-010101010101","host":"org_0","#,
                r#""address":"a@b.example","config":{"joined_by":"users","#,
                r#""preset":{"role":"member","groups":["01010101-0101-0101-0101-010101010101"],"#,
                r#""grants":[{"actions":["read"],"pattern":{"prefix":"a/"}}]},"#,
                r#""approval":"auto","lasts":{"secs":60,"nanos":0},"membership_ttl":{"secs":9,"nanos":0},"#,
                r#""message":"Let me in.","metadata":"{\"a\":1}","sign_on":"elsewhere"},"#,
                r#""status":"accepted","generation":2,"token":"0100000002","creator":"user_0","#,
                r#""delivery":"sent","expires_at":"1970-01-12T13:46:40.000000Z","#,
                r#""expired_at":"1970-01-12T13:46:40.000000Z","closed":{"closing":"accepted","#,
                r#""by":{"user":{"user":"user_0","organization":"org_0"}},"#,
                r#""at":"1970-01-12T13:46:40.000000Z","member":{"user":"user_4"}},"#,
                r#""created_at":"1970-01-12T13:46:40.000000Z","#,
                r#""sent_at":"1970-01-12T13:46:40.000000Z","#,
                r#""updated_at":"1970-01-12T13:46:40.000000Z"}}}"#
            ),
        ),
        (
            Event::Invite(InviteEvent::Resent {
                invite: invite_id(1),
                generation: Generation::new(2),
                selector: selector(),
                ended: Vec::new(),
                expires_at: Some(START),
            }),
            concat!(
                r#"{"invite":{"resent":{"invite":"01010101-0101-0101-0101-010101010101","#,
                r#""generation":2,"selector":"0100000002","ended":[],"#,
                r#""expires_at":"1970-01-12T13:46:40.000000Z"}}}"#
            ),
        ),
        (
            closed(Closing::Accepted),
            concat!(
                r#"{"invite":{"closed":{"invite":"01010101-0101-0101-0101-010101010101","#,
                r#""closing":"accepted","ended":[{"selector":"0100000002","#,
                r#""at":"1970-01-12T13:46:40.000000Z"}],"member":{"user":"user_4"}}}}"#
            ),
        ),
        (
            Event::Invite(InviteEvent::Expired {
                invite: invite_id(1),
            }),
            r#"{"invite":{"expired":{"invite":"01010101-0101-0101-0101-010101010101"}}}"#,
        ),
        (
            Event::Invite(InviteEvent::DeliveryReported {
                invite: invite_id(1),
                sent: false,
            }),
            concat!(
                r#"{"invite":{"delivery-reported":{"#,
                r#""invite":"01010101-0101-0101-0101-010101010101","sent":false}}}"#
            ),
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
        assert_eq!(phase.to_string(), text);
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
fn what_an_event_is_about() {
    for (name, kind, _, event) in samples() {
        let (link, invite) = (event.link(), event.invite());
        match kind {
            "link" => assert_eq!((link, invite), (Some(link_id(1)), None), "{name}"),
            "invite" => assert_eq!((link, invite), (None, Some(invite_id(1))), "{name}"),
            "member" => assert_eq!(invite, None, "{name}"),
            _ => assert_eq!((link, invite), (None, None), "{name}"),
        }
        let member = match name {
            "membership-requested" | "membership-joined" => Some(org_member(1)),
            "invite-accepted" => Some(user_member(4)),
            // It is about all who act for an organization.
            "acting-restricted" => None,
            _ => (kind == "member").then(|| user_member(4)),
        };
        assert_eq!(event.member(), member.as_ref(), "{name}");
    }
    assert_eq!(closed(Closing::Accepted).member(), Some(&user_member(4)));
    assert_eq!(closed(Closing::Revoked).member(), None);
    // Who came through an invite is about that invite, and about no link.
    let door = Door::Invite {
        invite: invite_id(3),
        generation: Generation::new(2),
    };
    let through = Opening {
        door: door.clone(),
        link_use: None,
        ..opening()
    };
    let approved = MemberEvent::Approved {
        member: user_member(4),
        door: Some(door),
        gift: Box::new(gift()),
        expires_at: None,
        reinstated: false,
        proxy: None,
        link_uses: vec![change()],
        seat: Seat::Kept,
    };
    for event in [
        MemberEvent::Requested(Box::new(through.clone())),
        MemberEvent::Joined {
            opening: Box::new(through),
            proxy: None,
        },
        approved,
    ] {
        let event = Event::Member(event);
        assert_eq!((event.link(), event.invite()), (None, Some(invite_id(3))));
        comes_back(&event);
    }
}

/// "A member's personal data can be redacted from history without breaking it" (spec 11).
#[test]
fn what_is_personal_in_an_event_and_what_is_left_of_it() {
    let blocked = MemberEvent::Blocked {
        member: user_member(4),
        reason: Some(Reason::parse("so").unwrap()),
    };
    let mut events = samples();
    events.push(("member-blocked", "", "", Event::Member(blocked)));
    let mut personal = BTreeSet::new();
    for (name, _, _, event) in events {
        let erased = event.erased();
        let words = ["a@b.example", "because", "Let me in.", "\"so\""];
        let holds = |event: &Event| words.iter().any(|word| json(event).contains(word));
        assert!(!holds(&erased), "{erased:?}");
        assert_eq!(erased.name(), name);
        assert_eq!(erased.member(), event.member());
        assert_eq!(erased.link(), event.link());
        assert_eq!(erased.invite(), event.invite());
        assert_eq!(erased.erased(), erased);
        if holds(&event) {
            personal.insert(name);
        } else {
            assert_eq!(erased, event, "{name}");
        }
        comes_back(&erased);
    }
    let expected = [
        "invite-sent",
        "member-blocked",
        "membership-expired",
        "membership-joined",
        "membership-left",
        "membership-rejected",
        "membership-removed",
        "membership-requested",
        "membership-withdrawn",
    ];
    assert!(personal.into_iter().eq(expected));

    let mut sent = invite();
    sent.config.message = None;
    let Event::Invite(InviteEvent::Sent(left)) =
        Event::Invite(InviteEvent::Sent(Box::new(invite()))).erased()
    else {
        panic!("it stays what it was")
    };
    sent.address = left.address.clone();
    assert_eq!(*left, sent);
    // The handle of an organization, and what it is shown as, is nobody's personal name.
    let shown = Some(DisplayName::parse("Ada").unwrap());
    for (name, display_name) in [(None, None), (Some(org_name(1)), shown.clone())] {
        let before = Opening {
            profile: Profile {
                name: name.clone(),
                display_name: shown.clone(),
                email: Some(address()),
            },
            ..opening()
        };
        let after = Opening {
            profile: Profile {
                name,
                display_name,
                email: None,
            },
            answers: vec![String::new()],
            message: None,
            ..opening()
        };
        let requested = |opening: &Opening| {
            let opening = Box::new(opening.clone());
            Event::Member(MemberEvent::Requested(opening))
        };
        assert_eq!(requested(&before).erased(), requested(&after));
    }
}

#[test]
fn statuses_of_invites() {
    for (status, name) in [
        (InviteStatus::Pending, "pending"),
        (InviteStatus::Accepted, "accepted"),
        (InviteStatus::Declined, "declined"),
        (InviteStatus::Revoked, "revoked"),
    ] {
        assert_eq!(
            (status.as_str(), json(&status)),
            (name, format!("\"{name}\""))
        );
        comes_back(&status);
    }
    for (phase, name) in [
        (InvitePhase::Pending, "pending"),
        (InvitePhase::Expired, "expired"),
        (InvitePhase::Accepted, "accepted"),
        (InvitePhase::Declined, "declined"),
        (InvitePhase::Revoked, "revoked"),
    ] {
        assert_eq!(
            (phase.as_str(), json(&phase)),
            (name, format!("\"{name}\""))
        );
        comes_back(&phase);
    }
    for (delivery, name) in [
        (Delivery::Unknown, "unknown"),
        (Delivery::Sent, "sent"),
        (Delivery::Undelivered, "undelivered"),
    ] {
        assert_eq!(
            (delivery.as_str(), json(&delivery)),
            (name, format!("\"{name}\""))
        );
        comes_back(&delivery);
    }
    for (closing, name, status) in [
        (Closing::Accepted, "accepted", InviteStatus::Accepted),
        (Closing::Declined, "declined", InviteStatus::Declined),
        (Closing::Revoked, "revoked", InviteStatus::Revoked),
        (Closing::Replaced, "replaced", InviteStatus::Revoked),
        (Closing::Joined, "joined", InviteStatus::Revoked),
    ] {
        assert_eq!(closing.status(), status);
        assert_eq!(json(&closing), format!("\"{name}\""));
        comes_back(&closing);
    }
    for (sign_on, name) in [
        (SignOn::Usual, "usual"),
        (SignOn::Single, "single"),
        (SignOn::Elsewhere, "elsewhere"),
    ] {
        assert_eq!(json(&sign_on), format!("\"{name}\""));
        comes_back(&sign_on);
    }
    for (mode, name) in [
        (Mode::EachOnItsOwn, "each-on-its-own"),
        (Mode::AllOrNothing, "all-or-nothing"),
    ] {
        assert_eq!(json(&mode), format!("\"{name}\""));
        comes_back(&mode);
    }
    assert_eq!(
        (SignOn::default(), Mode::default()),
        (SignOn::Usual, Mode::EachOnItsOwn)
    );
}

#[test]
fn doors_and_subjects() {
    let invite = Door::Invite {
        invite: invite_id(1),
        generation: Generation::new(2),
    };
    let link = opening().door;
    for (door, name, expected) in [
        (
            &link,
            "link",
            r#"{"link":{"link":"01010101-0101-0101-0101-010101010101","generation":1}}"#,
        ),
        (
            &invite,
            "invite",
            r#"{"invite":{"invite":"01010101-0101-0101-0101-010101010101","generation":2}}"#,
        ),
        (&Door::Request, "request", r#""request""#),
        (&Door::Added, "added", r#""added""#),
        (&Door::Founded, "founded", r#""founded""#),
    ] {
        assert_eq!((door.as_str(), json(door)), (name, expected.to_owned()));
        comes_back(door);
    }
    assert_eq!((link.link(), link.invite()), (Some(link_id(1)), None));
    assert_eq!((invite.link(), invite.invite()), (None, Some(invite_id(1))));
    assert_eq!((Door::Request.link(), Door::Request.invite()), (None, None));

    let subjects = [
        TokenSubject::Link(link_id(1)),
        TokenSubject::Invite(invite_id(1)),
    ];
    assert_eq!(
        subjects.map(|subject| json(&subject)),
        [
            r#"{"link":"01010101-0101-0101-0101-010101010101"}"#,
            r#"{"invite":"01010101-0101-0101-0101-010101010101"}"#,
        ]
    );
    for subject in subjects {
        assert_eq!(subject.as_bytes(), &[1; 16]);
        comes_back(&subject);
    }
    let [link, invite] = subjects;
    assert_eq!((link.link(), link.invite()), (Some(link_id(1)), None));
    assert_eq!((invite.link(), invite.invite()), (None, Some(invite_id(1))));
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
        (
            json(&Lasting::For(Duration::from_secs(1))),
            r#"{"for":{"secs":1,"nanos":0}}"#,
        ),
        (json(&AddressCheck::Exact), r#""exact""#),
        (json(&AddressCheck::AnyVerified), r#""any-verified""#),
        (json(&AddressCheck::Bearer), r#""bearer""#),
        (json(&SecondInvite::Refuse), r#""refuse""#),
        (json(&SecondInvite::Replace), r#""replace""#),
        (
            json(&requests()),
            concat!(
                r#"{"open":true,"joined_by":"users","questions":["Why?"],"#,
                r#""preset":{"role":"member","groups":["01010101-0101-0101-0101-010101010101"],"#,
                r#""grants":[{"actions":["read"],"pattern":{"prefix":"a/"}}]}}"#
            ),
        ),
        (
            json(&Requests::default()),
            concat!(
                r#"{"open":false,"joined_by":"both","questions":[],"#,
                r#""preset":{"role":null,"groups":[],"grants":[]}}"#
            ),
        ),
    ] {
        assert_eq!(value, expected);
    }
    // Settings that were stored before one was added have its default.
    assert_eq!(
        serde_json::from_str::<Settings>("{}").unwrap(),
        Settings::default()
    );
    assert_eq!(
        Settings::default().invites_last,
        Lasting::For(Duration::from_secs(14 * 24 * 60 * 60))
    );
    let whole = serde_json::to_value(settings()).unwrap();
    let fields: Vec<&str> = whole.as_object().unwrap().keys().map(|k| &**k).collect();
    assert_eq!(
        fields.join(" "),
        "address_check after_rejection discoverable invites_last joins link_defaults \
         max_link_lifetime request_ttl requests seats second_invite standing"
    );
    comes_back(&settings());
    comes_back(&Settings::default());
    comes_back(&requests());
    for check in [
        AddressCheck::Exact,
        AddressCheck::AnyVerified,
        AddressCheck::Bearer,
    ] {
        comes_back(&check);
    }
    for second in [SecondInvite::Refuse, SecondInvite::Replace] {
        comes_back(&second);
    }
}

/// The same value without some of its fields, as it was written before they were there.
fn without(value: &impl Serialize, fields: &[&str]) -> serde_json::Value {
    let mut value = serde_json::to_value(value).unwrap();
    for field in fields {
        let removed = value.as_object_mut().unwrap().remove(*field);
        assert!(removed.is_some(), "there is a field `{field}`");
    }
    value
}

#[test]
fn what_was_stored_before_a_field_was_added_is_still_read() {
    fn read<T: DeserializeOwned>(value: &serde_json::Value) -> T {
        let text: T = serde_json::from_str(&value.to_string()).unwrap();
        let _: T = serde_json::from_value(value.clone()).unwrap();
        text
    }

    let settings = settings();
    let added = [
        "invites_last",
        "address_check",
        "second_invite",
        "discoverable",
        "requests",
    ];
    let older = Settings {
        invites_last: Lasting::For(Duration::from_secs(14 * 24 * 60 * 60)),
        address_check: AddressCheck::Exact,
        second_invite: SecondInvite::Refuse,
        discoverable: false,
        requests: Requests::default(),
        ..settings.clone()
    };
    assert_eq!(read::<Settings>(&without(&settings, &added)), older);

    // Within the row of an organization and within an event, too.
    let mut whole = serde_json::to_value(organization()).unwrap();
    whole["settings"] = without(&settings, &added);
    assert_eq!(read::<Organization>(&whole).settings, older);
    let event = serde_json::json!({
        "organization": { "settings-changed": {
            "settings": without(&settings, &added), "seats_taken": null,
        } }
    });
    assert_eq!(
        read::<Event>(&event),
        Event::Organization(OrganizationEvent::SettingsChanged {
            settings: Box::new(older),
            seats_taken: None,
        })
    );

    let whole = link();
    assert_eq!(
        read::<Link>(&without(&whole, &["expired_at"])),
        Link {
            expired_at: None,
            ..whole
        }
    );
    let whole = membership();
    assert_eq!(
        read::<Membership>(&without(&whole, &["message"])),
        Membership {
            message: None,
            ..whole
        }
    );
    let whole = opening();
    assert_eq!(
        read::<Opening>(&without(&whole, &["message"])),
        Opening {
            message: None,
            ..whole
        }
    );

    let requests = requests();
    assert_eq!(
        read::<Requests>(&serde_json::json!({})),
        Requests::default()
    );
    assert_eq!(
        read::<Requests>(&without(&requests, &["questions", "preset"])),
        Requests {
            questions: Vec::new(),
            preset: Preset::default(),
            ..requests
        }
    );
    let empty = serde_json::json!({});
    assert_eq!(read::<InviteConfig>(&empty), InviteConfig::default());
    assert_eq!(read::<InviteDraft>(&empty), InviteDraft::default());
    assert_eq!(read::<AddressRecord>(&empty), AddressRecord::default());
    // Rows from when an address had one member at most.
    for (member, members) in [
        (serde_json::json!(null), [].into()),
        (serde_json::json!("user_4"), [user(4)].into()),
        (
            serde_json::json!(["user_4", "user_5"]),
            [user(4), user(5)].into(),
        ),
    ] {
        let record =
            read::<AddressRecord>(&serde_json::json!({ "invite": null, "member": member }));
        assert_eq!(
            record,
            AddressRecord {
                invite: None,
                members
            }
        );
    }
}

#[test]
fn commands_about_invites_come_back() {
    let token = || NewToken {
        selector: selector(),
        tag: TokenTag::new(PepperId::new(1), [7; 32]),
    };
    let draft = InviteDraft::new()
        .role(role("member"))
        .group(group_id(1))
        .grant(gift().grants[0].clone())
        .joined_by(JoinedBy::Both)
        .expiry(Expiry::After(Duration::from_secs(60)))
        .membership_ttl(Lasting::Always)
        .message(message())
        .metadata(Metadata::EMPTY);
    let invite = invite_id(1);
    let send = InviteCommand::Send {
        invites: vec![NewInvite {
            id: invite,
            address: address(),
            draft,
            sign_on: SignOn::Single,
            is_member: true,
            token: token(),
        }],
        mode: Mode::AllOrNothing,
    };
    for (command, tag, name) in [
        (send, "send", "send"),
        (
            InviteCommand::Resend {
                invite,
                token: token(),
            },
            "resend",
            "resend",
        ),
        (InviteCommand::Revoke { invite }, "revoke", "revoke"),
        (
            InviteCommand::Decline {
                token: presented(selector()),
            },
            "decline",
            "decline",
        ),
        (
            InviteCommand::ReportDelivery {
                reports: vec![DeliveryReport {
                    invite,
                    generation: Generation::FIRST,
                    sent: true,
                }],
            },
            "report-delivery",
            "report delivery",
        ),
        (InviteCommand::Expire { invite }, "expire", "expire"),
    ] {
        assert_eq!(command.name(), name);
        let issues = command.new_tokens().count();
        assert_eq!(issues, usize::from(tag == "send" || tag == "resend"));
        let command = Command::Invite(command);
        assert!(json(&command).starts_with(&format!("{{\"invite\":{{\"{tag}\":{{")));
        assert_eq!(command.new_tokens().count(), issues);
        assert_eq!(command.presented().is_some(), tag == "decline");
        comes_back(&command);
    }
    let accept = MemberCommand::Accept {
        token: Presented {
            selector: selector(),
            genuine: false,
        },
        member: user_member(4),
        profile: opening().profile,
        proxy: proxy().id,
    };
    let request = MemberCommand::Request {
        member: org_member(1),
        profile: Profile::default(),
        message: Some(message()),
        answers: vec!["because".to_owned()],
        proxy: proxy().id,
    };
    for (command, name) in [(accept, "accept"), (request, "request")] {
        assert_eq!(command.name(), name);
        let command = Command::Member(command);
        assert!(json(&command).starts_with(&format!("{{\"member\":{{\"{name}\":{{")));
        assert_eq!(command.presented().is_some(), name == "accept");
        comes_back(&command);
    }
    let expire = Command::Link(LinkCommand::Expire { link: link_id(1) });
    assert_eq!(
        json(&expire),
        r#"{"link":{"expire":{"link":"01010101-0101-0101-0101-010101010101"}}}"#
    );
    comes_back(&expire);
}

#[test]
fn the_preview_of_an_invite_is_pinned() {
    let preview = InvitePreview {
        host_name: org_name(0),
        host_display_name: None,
        address_hint: address().masked(),
        role: Some(role("member")),
        message: Some(message()),
        needs_review: true,
        expires_at: Some(START),
        expired: false,
    };
    assert_eq!(
        json(&preview),
        concat!(
            r#"{"host_name":"org-0","host_display_name":null,"address_hint":"*@b.example","#,
            r#""role":"member","message":"Let me in.","needs_review":true,"#,
            r#""expires_at":"1970-01-12T13:46:40.000000Z","expired":false}"#
        )
    );
    comes_back(&preview);
}

fn membership() -> Membership {
    Membership {
        status: Some(Status::Removed),
        episode: Episode::new(2),
        access_since: Episode::new(1),
        door: Door::Invite {
            invite: invite_id(1),
            generation: Generation::FIRST,
        },
        role: None,
        groups: BTreeSet::from([group_id(1)]),
        approved_at: Some(START),
        approved_by: Some(By::Policy),
        ttl: Some(Duration::from_micros(1)),
        answers: vec!["a".to_owned()],
        message: Some(message()),
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
        ..Membership::blank(org(0), org_member(1), START)
    }
}

fn consumer() -> ConsumerName {
    ConsumerName::parse("webhooks").unwrap()
}

const SEQUENCE: Sequence = Sequence {
    commit: 7,
    ordinal: 2,
};

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
    let token = TokenRecord {
        selector: selector(),
        host: host.clone(),
        subject: TokenSubject::Invite(invite_id(1)),
        generation: Generation::FIRST,
        issued_at: START,
        valid_until: Some(START),
        tag: Some(TokenTag::new(PepperId::new(1), [7; 32])),
        sealed: None,
    };
    let preview_tally = RowKey::PreviewTally(host.clone(), link_id(1), Generation::new(2));
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
        (preview_tally, Row::Tally(4)),
        (
            RowKey::Invite(host.clone(), invite_id(1)),
            Row::Invite(Box::new(invite())),
        ),
        (
            RowKey::Address(host.clone(), address()),
            Row::Address(AddressRecord {
                invite: Some(invite_id(1)),
                members: [user(4), user(5)].into(),
            }),
        ),
        (RowKey::Token(selector()), Row::Token(token)),
        (
            RowKey::Membership(host.clone(), member.clone()),
            Row::Membership(Box::new(membership())),
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
        (
            RowKey::Endpoint(host.clone(), endpoint().id),
            Row::Endpoint(Box::new(endpoint())),
        ),
        (
            RowKey::Consumer(consumer()),
            Row::Consumer(ConsumerRecord {
                acknowledged: SEQUENCE,
                chain: Some([9; 32]),
                leased_until: Some(START),
                updated_at: START,
            }),
        ),
        (
            RowKey::Parked(consumer(), SEQUENCE),
            Row::Parked(ParkedRecord {
                attempts: 3,
                next_at: Some(START),
                error: "timeout".to_owned(),
                reached: vec![1],
                parked_at: START,
                tried_at: START,
            }),
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

/// A kind that is added must be added to the rows, too.
const fn all_kinds(key: &RowKey, row: &Row) {
    match key {
        RowKey::Name(_)
        | RowKey::Organization(_)
        | RowKey::Owners(_)
        | RowKey::SeatTally(_)
        | RowKey::AccessHead(_)
        | RowKey::Link(..)
        | RowKey::LinkTally(..)
        | RowKey::LinkUse(..)
        | RowKey::PreviewTally(..)
        | RowKey::Invite(..)
        | RowKey::Address(..)
        | RowKey::Token(_)
        | RowKey::Membership(..)
        | RowKey::Acting(..)
        | RowKey::Group(..)
        | RowKey::GroupMember(..)
        | RowKey::Grant(..)
        | RowKey::Endpoint(..)
        | RowKey::Consumer(_)
        | RowKey::Parked(..)
        | RowKey::UseCount(..)
        | RowKey::SeatCount(_) => {}
    }
    match row {
        Row::Name(_)
        | Row::Organization(_)
        | Row::Owners(_)
        | Row::Tally(_)
        | Row::AccessHead(_)
        | Row::Link(_)
        | Row::LinkUse(_)
        | Row::Invite(_)
        | Row::Address(_)
        | Row::Token(_)
        | Row::Membership(_)
        | Row::Acting(_)
        | Row::Group(_)
        | Row::GroupMember
        | Row::Grant(_)
        | Row::Endpoint(_)
        | Row::Consumer(_)
        | Row::Parked(_)
        | Row::UseCount(_)
        | Row::SeatCount(_) => {}
    }
}

#[test]
fn rows_and_their_keys() {
    let keys: Vec<String> = rows()
        .iter()
        .map(|(key, row)| {
            all_kinds(key, row);
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
            "preview-tally tally",
            "invite invite",
            "address address",
            "token token",
            "membership membership",
            "acting acting",
            "group group",
            "group-member group-member",
            "grant grant",
            "endpoint endpoint",
            "consumer consumer",
            "parked parked",
            "use-count use-count",
            "seat-count seat-count",
        ]
    );
    for (key, expected) in [
        (
            RowKey::PreviewTally(org(0), link_id(1), Generation::new(2)),
            r#"{"preview-tally":["org_0","01010101-0101-0101-0101-010101010101",2]}"#,
        ),
        (
            RowKey::Invite(org(0), invite_id(1)),
            r#"{"invite":["org_0","01010101-0101-0101-0101-010101010101"]}"#,
        ),
        (
            RowKey::Address(org(0), address()),
            r#"{"address":["org_0","a@b.example"]}"#,
        ),
        (RowKey::Consumer(consumer()), r#"{"consumer":"webhooks"}"#),
        (
            RowKey::Parked(consumer(), SEQUENCE),
            r#"{"parked":["webhooks",{"commit":7,"ordinal":2}]}"#,
        ),
    ] {
        assert_eq!(json(&key), expected);
    }
    for (home, expected) in [
        (Home::Organization(org(0)), r#"{"organization":"org_0"}"#),
        (Home::Name(org_name(0)), r#"{"name":"org-0"}"#),
        (Home::Consumer(consumer()), r#"{"consumer":"webhooks"}"#),
    ] {
        assert_eq!(json(&home), expected);
        comes_back(&home);
    }
    comes_back(&SEQUENCE);
}

#[test]
fn whose_a_row_is_and_what_is_counted() {
    for (key, _) in rows() {
        let tag = serde_json::to_value(&key).unwrap();
        let tag = tag.as_object().unwrap().keys().next().unwrap().clone();
        let nobodys = ["name", "token", "consumer", "parked"].contains(&tag.as_str());
        let host = (!nobodys).then(|| org(0));
        assert_eq!(key.organization(), host.as_ref(), "{tag}");
        assert_eq!(
            key.is_counter(),
            ["seat-tally", "link-tally", "preview-tally"].contains(&tag.as_str()),
            "{tag}"
        );
        assert_eq!(
            key.is_counted(),
            ["use-count", "seat-count"].contains(&tag.as_str()),
            "{tag}"
        );
    }
}

/// Where rows live is stored with them, so it never changes: the CRC-32 of what they are found by.
#[test]
fn homes_have_their_buckets() {
    for (home, expected) in [
        (Home::Organization(org(0)), 2048),
        (Home::Name(org_name(0)), 124),
        (Home::Consumer(consumer()), 2961),
    ] {
        assert_eq!(home.bucket().get(), expected, "{home:?}");
        comes_back(&home);
    }
    // A token's selector leads to where its organization's rows are.
    let token = World::new().draw(&org(0));
    let home = Home::Organization(org(0));
    assert_eq!(token.selector.bucket(), home.bucket());
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
                "config created_at creator deleted_at expired_at generation host id overlapping \
                 status token updated_at"
            }
            RowKey::Invite(..) => {
                "address closed config created_at creator delivery expired_at expires_at \
                 generation host id sent_at status token updated_at"
            }
            RowKey::Address(..) => "invite members",
            RowKey::Token(_) => "generation host issued_at sealed selector subject tag valid_until",
            RowKey::LinkUse(..) => "at generation released_for state",
            RowKey::Consumer(_) => "acknowledged chain leased_until updated_at",
            RowKey::Parked(..) => "attempts error next_at parked_at reached tried_at",
            RowKey::Membership(..) => {
                "access_since answers approved_at approved_by block door ended episode expires_at \
                 grants groups host member message metadata opened_at profile proxy rejected_at \
                 rejected_links removed_at review_required role status ttl updated_at"
            }
            _ => continue,
        };
        assert_eq!(keys(&row), expected);
    }
}

/// What a refusal calls a command, and the member that a command is about.
#[test]
fn commands_about_members_and_invites_have_names() {
    let member = user_member(4);
    let proxy = ProxyUserId::from_bytes([1; 16]);
    let profile = Profile::default();
    let token = || presented(selector());
    let reason = None;
    let about_members = [
        (
            "claim",
            MemberCommand::Claim {
                token: token(),
                member: member.clone(),
                profile: profile.clone(),
                answers: Vec::new(),
                proxy,
            },
        ),
        (
            "accept",
            MemberCommand::Accept {
                token: token(),
                member: member.clone(),
                profile: profile.clone(),
                proxy,
            },
        ),
        (
            "request",
            MemberCommand::Request {
                member: member.clone(),
                profile: profile.clone(),
                message: None,
                answers: Vec::new(),
                proxy,
            },
        ),
        (
            "add",
            MemberCommand::Add {
                member: member.clone(),
                profile,
                gift: Box::default(),
                expires_at: None,
                proxy,
            },
        ),
        (
            "approve",
            MemberCommand::Approve {
                member: member.clone(),
                changes: Box::default(),
                proxy,
            },
        ),
        (
            "reject",
            MemberCommand::Reject {
                member: member.clone(),
                reason: reason.clone(),
            },
        ),
        (
            "remove",
            MemberCommand::Remove {
                member: member.clone(),
                reason: reason.clone(),
            },
        ),
        (
            "cancel",
            MemberCommand::Cancel {
                member: member.clone(),
            },
        ),
        (
            "leave",
            MemberCommand::Leave {
                member: member.clone(),
            },
        ),
        (
            "change role",
            MemberCommand::ChangeRole {
                member: member.clone(),
                role: role("admin"),
            },
        ),
        (
            "block",
            MemberCommand::Block {
                member: member.clone(),
                reason,
            },
        ),
        (
            "unblock",
            MemberCommand::Unblock {
                member: member.clone(),
            },
        ),
        (
            "lift removal",
            MemberCommand::LiftRemoval {
                member: member.clone(),
            },
        ),
        (
            "erase",
            MemberCommand::Erase {
                member: member.clone(),
                invites: Vec::new(),
                logged: false,
            },
        ),
        (
            "expire",
            MemberCommand::Expire {
                member: member.clone(),
            },
        ),
        (
            "restrict acting",
            MemberCommand::RestrictActing {
                host: org(0),
                rule: None,
            },
        ),
    ];
    for (name, command) in about_members {
        assert_eq!(command.name(), name);
        let about = (name != "restrict acting").then_some(&member);
        assert_eq!(command.member(), about, "{name}");
        comes_back(&command);
        let mut command = Command::Member(command);
        // Only doors with a token present one, for the shell to say whether it is genuine.
        let expected = ["claim", "accept"].contains(&name).then(token);
        assert_eq!(command.presented(), expected.as_ref(), "{name}");
        if let Some(presented) = command.presented_mut() {
            presented.genuine = false;
        }
        let told = expected.map(|token| Presented {
            genuine: false,
            ..token
        });
        assert_eq!(command.presented(), told.as_ref(), "{name}");
        assert_eq!(command.new_tokens().count(), 0);
    }
    let new = || World::new().draw(&org(0));
    let invite = invite_id(1);
    for (name, command, presents, issued) in [
        (
            "send",
            InviteCommand::Send {
                invites: vec![
                    NewInvite {
                        id: invite,
                        address: address(),
                        draft: InviteDraft::default(),
                        sign_on: SignOn::Usual,
                        is_member: false,
                        token: new(),
                    };
                    2
                ],
                mode: Mode::default(),
            },
            false,
            2,
        ),
        (
            "resend",
            InviteCommand::Resend {
                invite,
                token: new(),
            },
            false,
            1,
        ),
        ("revoke", InviteCommand::Revoke { invite }, false, 0),
        (
            "decline",
            InviteCommand::Decline { token: token() },
            true,
            0,
        ),
        (
            "report delivery",
            InviteCommand::ReportDelivery {
                reports: Vec::new(),
            },
            false,
            0,
        ),
        ("expire", InviteCommand::Expire { invite }, false, 0),
    ] {
        assert_eq!(command.name(), name);
        let mut command = Command::Invite(command);
        assert_eq!(command.presented().is_some(), presents, "{name}");
        assert_eq!(command.presented_mut().is_some(), presents, "{name}");
        let tokens: Vec<_> = command.new_tokens().cloned().collect();
        assert_eq!(tokens, vec![new(); issued], "{name}");
    }
    let link = link_id(1);
    for (command, issued) in [
        (
            LinkCommand::Create {
                link,
                draft: Box::new(draft()),
                token: new(),
                as_default: false,
            },
            1,
        ),
        (
            LinkCommand::Refresh {
                link,
                token: new(),
                overlap: Duration::ZERO,
            },
            1,
        ),
        (LinkCommand::Enable { link, token: new() }, 1),
        (LinkCommand::Disable { link }, 0),
        (LinkCommand::Delete { link }, 0),
        (LinkCommand::Reveal { link }, 0),
        (LinkCommand::Expire { link }, 0),
        (
            LinkCommand::Edit {
                link,
                draft: Box::new(draft()),
            },
            0,
        ),
    ] {
        assert_eq!(command.link(), link);
        let mut command = Command::Link(command);
        assert!(command.presented().is_none() && command.presented_mut().is_none());
        assert!(command.new_tokens().eq(vec![&new(); issued]), "{command:?}");
    }
    let mut other = Command::Organization(OrganizationCommand::Suspend);
    assert!(other.presented().is_none() && other.presented_mut().is_none());
    assert_eq!(other.new_tokens().count(), 0);
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
        (TokenProblem::InviteClosed, "invite-closed"),
        (TokenProblem::InviteExpired, "invite-expired"),
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
        (CommandError::AlreadyInvited, "already-invited"),
        (
            CommandError::WrongInviteState {
                command: "resend",
                found: InvitePhase::Declined,
            },
            "wrong-invite-state",
        ),
        (
            CommandError::WrongAccount {
                hint: address().masked(),
            },
            "wrong-account",
        ),
        (CommandError::InviterNotStanding, "inviter-not-standing"),
        (CommandError::RequestsClosed, "requests-closed"),
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
