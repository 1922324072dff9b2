//! A small world in which everything has happened that can happen.

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_access::{
    AccessCommand, Action, ActionSet, Audience, Grantee, Pattern, PresetGrant, Sharing,
};
use guestlist_membership::invite::{DeliveryReport, InviteCommand, InviteDraft};
use guestlist_membership::link::{
    Expiry, Generation, JoinedBy, Lasting, LinkCommand, LinkDraft, Preset, Uses,
};
use guestlist_membership::member::{ActingRule, Changes, MemberCommand, Profile};
use guestlist_membership::organization::{OrganizationCommand, Pause, Settings};
use guestlist_membership::webhook::{DisabledFor, SecretVersion, WebhookCommand};
use guestlist_membership::{
    Actor, Command, ConsumerRecord, Home, MAX_METADATA_BYTES, Metadata, ParkedRecord, Requests,
    Row, RowKey, Seats, SecondInvite, Sequence,
};
use guestlist_types::{
    DisplayName, EmailAddress, EmailDomain, EndpointId, EndpointUrl, GroupId, GroupName, Label,
    LinkId, Member, Message, OrgId, Reason, RoleName,
};

use super::harness::{
    Harness, Invited, Issued, Order, company, consumer, email, must, name, org, person, user,
};
use crate::commit::{Check, Write};
use crate::snapshot::Revision;
use crate::store::Store;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Who reads the feed of the world.
pub(super) const CONSUMER: &str = "webhooks/1";

/// What a test may want to go on with.
#[derive(Debug)]
pub(super) struct World {
    /// A host with a founder, access rules and links of every kind.
    pub(super) acme: OrgId,
    /// A host with seats, and a member organization of the first one.
    pub(super) beta: OrgId,
    /// Of the first host: for review, without a limit, with much metadata.
    pub(super) open: Issued,
    /// Of the first host: approves by itself, used up, gives groups and grants.
    pub(super) full: Issued,
    /// To the first host: waits for an answer.
    pub(super) waiting: Invited,
    /// To the first host: accepted, with another one that closed with it.
    pub(super) accepted: Invited,
    /// A group of the first host, with members and grants, in and around other groups.
    pub(super) design: GroupId,
}

pub(super) fn pattern(text: &str) -> Pattern {
    must(Pattern::parse(text), "a pattern")
}

pub(super) fn read() -> ActionSet {
    ActionSet::of(&[Action::Read])
}

fn reason(text: &str) -> Reason {
    must(Reason::parse(text), "a reason")
}

pub(super) fn display_name(text: &str) -> DisplayName {
    must(DisplayName::parse(text), "a display name")
}

fn group_name(text: &str) -> GroupName {
    must(GroupName::parse(text), "a group's name")
}

/// The largest metadata that there can be, with quotes, backslashes and letters of many scripts.
pub(super) fn large_metadata() -> Metadata {
    let text = "\u{6f22}\u{1f389}\\\"'%_\u{e9}";
    let start = format!(
        r#"{{"text":{:?},"filler":""#,
        text.replace('\\', "/").replace('"', "'")
    );
    let filler = "x".repeat(MAX_METADATA_BYTES - start.len() - 2);
    let metadata = must(
        Metadata::from_json(&format!("{start}{filler}\"}}")),
        "metadata",
    );
    assert_eq!(
        metadata.as_json().len(),
        MAX_METADATA_BYTES,
        "the largest that there can be"
    );
    metadata
}

pub(super) fn limited(uses: u64) -> Uses {
    Uses::AtMost(uses)
}

pub(super) fn seats(limit: u64, count_pending: bool) -> Settings {
    let limit = NonZeroU64::new(limit).expect("no limit of zero is tested");
    Settings {
        seats: Some(Seats {
            limit,
            count_pending,
        }),
        ..Settings::default()
    }
}

/// A grant of `read`.
pub(super) fn grant<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    host: &OrgId,
    to: Grantee,
    keys: &str,
) -> Order {
    let command = AccessCommand::Grant {
        id: h.grant_id(),
        to,
        actions: read(),
        pattern: pattern(keys),
        expires_at: None,
    };
    Order::access(host, command)
}

/// A claim with a profile and answers.
fn introduced(claim: Order, name: &str, email: &str, answers: &[&str]) -> Order {
    let Command::Member(MemberCommand::Claim {
        token,
        member,
        proxy,
        ..
    }) = claim.command
    else {
        return claim;
    };
    let command = MemberCommand::Claim {
        token,
        member,
        profile: Profile {
            name: None,
            display_name: Some(display_name(name)),
            email: Some(must(EmailAddress::parse(email), "an address")),
        },
        answers: answers.iter().map(|answer| (*answer).to_owned()).collect(),
        proxy,
    };
    Order {
        command: Command::Member(command),
        ..claim
    }
}

/// Makes the world. It leaves rows of every kind, and events of every kind.
pub(super) async fn build<S: Store + ?Sized>(h: &Harness<'_, S>) -> World {
    let (acme, beta) = (org("org_acme"), org("org_beta"));
    organizations(h, &acme, &beta).await;
    let design = access(h, &acme).await;
    let (open, full) = links(h, &acme, design).await;
    let invited = invites(h, &acme, &beta, design).await;
    members(h, &acme, &beta, open, full).await;
    run_out(h, &acme, &invited).await;
    endpoints(h, &acme, &beta).await;
    forgotten(h, &beta, open.link, &acme).await;
    h.advance(HOUR);
    let refresh = h.refresh(&acme, open.link, HOUR);
    h.done(&refresh).await;
    let Command::Link(LinkCommand::Refresh { token, .. }) = refresh.command else {
        panic!("not a refresh: {:?}", refresh.command);
    };
    World {
        acme,
        beta,
        open: Issued {
            token: token.selector,
            ..open
        },
        full,
        waiting: invited.waiting,
        accepted: invited.accepted,
        design,
    }
}

/// Endpoints in every state, of two organizations.
async fn endpoints<S: Store + ?Sized>(h: &Harness<'_, S>, acme: &OrgId, beta: &OrgId) {
    let id = |number| EndpointId::from_bytes([number; 16]);
    let url = |text: &str| must(EndpointUrl::parse(text), "an endpoint");
    let secret = |generation| SecretVersion { key: 1, generation };
    let create = |number, text: &str| WebhookCommand::Create {
        endpoint: id(number),
        url: url(text),
        label: None,
        events: BTreeSet::new(),
        secret: secret(0),
    };
    let disable = |number| WebhookCommand::Disable {
        endpoint: id(number),
        reason: DisabledFor::Gone,
    };
    h.all_done(&[
        Order::webhook(acme, create(1, "https://hooks.example/a")),
        Order::webhook(acme, create(2, "https://hooks.example/b?x=%27")),
        Order::webhook(acme, create(3, "https://hooks.example/c")),
        Order::webhook(beta, create(1, "https://hooks.example/a")),
        Order::webhook(
            acme,
            WebhookCommand::Edit {
                endpoint: id(1),
                url: url("https://other.example/a"),
                label: Some(must(Label::parse("Ledger \u{1f4d2}"), "a label")),
                events: BTreeSet::from(["link-created".to_owned(), "%_'".to_owned()]),
            },
        ),
        Order::webhook(
            acme,
            WebhookCommand::Rotate {
                endpoint: id(1),
                secret: secret(1),
                overlap: 2 * HOUR,
            },
        ),
        Order::webhook(acme, disable(2)),
        Order::webhook(acme, WebhookCommand::Enable { endpoint: id(2) }),
        Order::webhook(acme, disable(2)),
        Order::webhook(acme, WebhookCommand::Delete { endpoint: id(3) }),
    ])
    .await;
}

/// Somebody came by an invite and was forgotten again; and somebody looked at a link's token.
async fn forgotten<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    host: &OrgId,
    looked_at: LinkId,
    of: &OrgId,
) {
    let (sent, invited) = h.invite_order(host, "gone@forgotten.example");
    h.done(&sent).await;
    h.done(&h.accept_as(invited.token, "gone", "gone@forgotten.example"))
        .await;
    h.done(&Order::leave(host, &person("gone"))).await;
    h.done(&Order::member(
        host,
        MemberCommand::Erase {
            member: person("gone"),
            invites: vec![invited.invite],
            logged: false,
        },
    ))
    .await;
    h.done(&Order::link(of, LinkCommand::Reveal { link: looked_at }))
        .await;
}

async fn organizations<S: Store + ?Sized>(h: &Harness<'_, S>, acme: &OrgId, beta: &OrgId) {
    let settings = Settings {
        request_ttl: Some(30 * DAY),
        link_defaults: LinkDraft::review().question("Who are you?"),
        ..Settings::default()
    };
    h.register_with(acme, &name("acme"), Some(user("ann")), settings.clone())
        .await;
    let of_beta = Settings {
        discoverable: true,
        second_invite: SecondInvite::Replace,
        ..seats(5, true)
    };
    h.register_with(beta, &name("beta"), Some(user("bob")), of_beta)
        .await;
    let (gamma, delta) = (org("org_gamma"), org("org_delta"));
    h.register(&gamma, &name("gamma")).await;
    h.register(&delta, &name("delta")).await;

    let shown = display_name("Acme \u{201c}Tools\u{201d} <b>&amp;</b>");
    let name = name("acme-tools");
    let settings = Settings {
        link_defaults: LinkDraft::default(),
        ..settings
    };
    h.all_done(&[
        Order::reserve_name(acme, &name),
        Order::organization(acme, OrganizationCommand::Rename { name }),
        Order::organization(
            acme,
            OrganizationCommand::SetDisplayName {
                display_name: Some(shown),
            },
        ),
        Order::settings(acme, settings),
        Order::organization(
            &gamma,
            OrganizationCommand::PauseLinks {
                until: Pause::UntilResumed,
            },
        ),
        Order::organization(&gamma, OrganizationCommand::ResumeLinks),
        Order::organization(
            &gamma,
            OrganizationCommand::PauseLinks {
                until: Pause::Until(h.now() + 900 * DAY),
            },
        ),
        // Seats counted, counted no more, and counted otherwise.
        Order::settings(&gamma, seats(3, true)),
        Order::settings(&gamma, Settings::default()),
        Order::settings(
            &gamma,
            Settings {
                discoverable: true,
                ..seats(30, false)
            },
        ),
        Order::organization(&delta, OrganizationCommand::Suspend),
        Order::organization(&delta, OrganizationCommand::Resume),
        Order::organization(&delta, OrganizationCommand::Delete),
    ])
    .await;
}

async fn access<S: Store + ?Sized>(h: &Harness<'_, S>, acme: &OrgId) -> GroupId {
    let design = h.new_group(acme, "Design", false).await;
    let staff = h.new_group(acme, "Staff", true).await;
    let partners = h.new_group(acme, "Partners %_\\", false).await;
    let short = h.new_group(acme, "Short-lived", false).await;
    let revoked = h.grant_id();
    let (outer, inner) = (design, partners);
    h.all_done(&[
        Order::access(
            acme,
            AccessCommand::RenameGroup {
                group: design,
                name: group_name("Design & Co"),
            },
        ),
        Order::access(acme, AccessCommand::NestGroup { outer, inner }),
        Order::access(
            acme,
            AccessCommand::NestGroup {
                outer: short,
                inner: design,
            },
        ),
        Order::access(
            acme,
            AccessCommand::NestGroup {
                outer: staff,
                inner: short,
            },
        ),
        Order::access(
            acme,
            AccessCommand::UnnestGroup {
                outer: staff,
                inner: short,
            },
        ),
        Order::access(
            acme,
            AccessCommand::MarkInternal {
                group: staff,
                internal: false,
            },
        ),
        Order::access(
            acme,
            AccessCommand::MarkInternal {
                group: staff,
                internal: true,
            },
        ),
        Order::access(acme, AccessCommand::SetExternalGroup(Some(short))),
        Order::access(acme, AccessCommand::SetSharing(Sharing::WithinNamespace)),
        grant(
            h,
            acme,
            Grantee::Organization(Audience::Everyone),
            "public/",
        ),
        grant(h, acme, Grantee::Group(design), "design/"),
        grant(h, acme, Grantee::Group(partners), "shared/"),
        grant(h, acme, Grantee::Group(short), "short/"),
        Order::access(
            acme,
            AccessCommand::Grant {
                id: revoked,
                to: Grantee::Organization(Audience::InternalUsers),
                actions: ActionSet::ALL,
                pattern: Pattern::all(),
                expires_at: Some(h.now() + 40 * DAY),
            },
        ),
        Order::access(acme, AccessCommand::Revoke { grant: revoked }),
        // Takes its grants and its places in other groups along; it is the external group.
        Order::access(acme, AccessCommand::DeleteGroup { group: short }),
        Order::access(acme, AccessCommand::SetExternalGroup(Some(partners))),
        h.add(acme, &person("cid"), Some("admin")),
        Order::access(
            acme,
            AccessCommand::AddToGroup {
                group: design,
                member: person("ann"),
            },
        ),
        Order::access(
            acme,
            AccessCommand::AddToGroup {
                group: staff,
                member: person("cid"),
            },
        ),
        Order::access(
            acme,
            AccessCommand::RemoveFromGroup {
                group: staff,
                member: person("cid"),
            },
        ),
        grant(h, acme, Grantee::Member(person("cid")), "cid/a b"),
    ])
    .await;
    design
}

/// A link for review, and one that approves by itself and has three uses.
async fn links<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    acme: &OrgId,
    design: GroupId,
) -> (Issued, Issued) {
    let ann = || Actor::user(user("ann")).in_organization(acme.clone());
    let open = h
        .new_link(acme, LinkDraft::review().metadata(large_metadata()))
        .await;
    let full = LinkDraft::auto()
        .max_uses(limited(3))
        .group(design)
        .grant(PresetGrant {
            actions: read(),
            pattern: pattern("shared/"),
        });
    let full = h.new_link(acme, full).await;

    let (order, by_ann) = h.create_link(acme, LinkDraft::review().max_uses(limited(9)));
    h.done(&order.by(ann())).await;
    let (mut default, _) = h.create_link(acme, LinkDraft::review());
    if let Command::Link(LinkCommand::Create { as_default, .. }) = &mut default.command {
        *as_default = true;
    }
    h.done(&default.by(ann())).await;
    let narrow = LinkDraft::review()
        .label(must(Label::parse("100%_\\ 'narrow'; --"), "a label"))
        .joined_by(JoinedBy::Users)
        .role(must(RoleName::parse("admin"), "a role"))
        .expiry(Expiry::After(20 * DAY))
        .allow_domain(must(EmailDomain::parse("example.com"), "a domain"))
        .allow_member(person("dot"))
        .allow_member(person("eve"))
        .membership_ttl(Lasting::For(DAY))
        .question("Why?")
        .question("\u{1f914} What for, and 'how'?");
    let narrow = h.new_link(acme, narrow).await;
    let gone = h.new_link(acme, LinkDraft::auto()).await;
    let resting = h.new_link(acme, LinkDraft::auto()).await;
    let link = resting.link;
    let edit = |link, draft| {
        let draft = Box::new(draft);
        Order::link(acme, LinkCommand::Edit { link, draft })
    };
    h.all_done(&[
        Order::link(acme, LinkCommand::Disable { link }),
        Order::link(
            acme,
            LinkCommand::Enable {
                link,
                token: h.draw(acme, link),
            },
        ),
        h.refresh(acme, link, Duration::ZERO),
        Order::link(acme, LinkCommand::Disable { link }),
        Order::link(acme, LinkCommand::Delete { link: gone.link }),
        h.refresh(acme, open.link, 2 * HOUR),
        h.refresh(acme, open.link, HOUR),
        // Counted, counted no more, counted again.
        edit(open.link, LinkDraft::default().max_uses(limited(50))),
        edit(open.link, LinkDraft::default().max_uses(Uses::Unlimited)),
        edit(by_ann.link, LinkDraft::default().max_uses(limited(8))),
        introduced(
            h.claim(narrow.token, &person("dot")),
            "Dot 100%",
            "dot@example.com",
            &["Because", "\u{e9}\u{6f22}"],
        )
        .by(Actor::user(user("dot"))
            .with_verified_email(must(EmailAddress::parse("dot@example.com"), "an address"))),
        h.approve(acme, &person("dot")),
        introduced(
            h.claim(narrow.token, &person("eve")),
            "Eve_x",
            "eve@example.com",
            &["", ""],
        )
        .by(Actor::user(user("eve"))
            .with_verified_email(must(EmailAddress::parse("eve@example.com"), "an address"))),
        h.claim(by_ann.token, &company("org_gamma")),
        h.claim(by_ann.token, &person("una")),
        Order::reject(acme, &person("una")),
    ])
    .await;
    (open, full)
}

/// The invites and links that are left for later.
struct Sent {
    waiting: Invited,
    accepted: Invited,
    forgotten: Invited,
    old_link: Issued,
}

/// E-mail invites that came to every end, and some that wait.
async fn invites<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    acme: &OrgId,
    beta: &OrgId,
    design: GroupId,
) -> Sent {
    let ann = || Actor::user(user("ann")).in_organization(acme.clone());
    let message = "Come in!\n\t<b>100%</b> _ \\ 'really' \u{1f389}";
    let rich = InviteDraft::new()
        .role(must(RoleName::parse("admin"), "a role"))
        .group(design)
        .grant(PresetGrant {
            actions: read(),
            pattern: pattern("shared/"),
        })
        .message(must(Message::parse(message), "a message"))
        .metadata(large_metadata())
        .expiry(Expiry::Never);
    let (send, all) = h.invite_all(acme, &["fay@example.com", "o'n%_+x@sub.example.com"], &rich);
    h.done(&send.by(ann())).await;
    let (accepted, undelivered) = (all[0], all[1]);
    let second = h.new_invite(acme, "fay@home.example").await;
    let declined = h.new_invite(acme, "hal@example.com").await;
    let revoked = h.new_invite(acme, "ivy@example.com").await;
    let waiting = h.new_invite(acme, "kim@example.com").await;
    let short = InviteDraft::new()
        .joined_by(JoinedBy::Both)
        .membership_ttl(Lasting::For(DAY))
        .expiry(Expiry::After(DAY));
    let (send, old) = h.invite_all(acme, &["joe@example.com", "lou@example.com"], &short);
    h.done(&send).await;
    let report = |invited: &Invited, sent| DeliveryReport {
        invite: invited.invite,
        generation: Generation::FIRST,
        sent,
    };
    let reports = vec![report(&accepted, true), report(&undelivered, false)];
    let (resent, again) = h.resend(acme, undelivered.invite);
    let fay = Actor::user(user("fay"))
        .with_verified_email(email("fay@example.com"))
        .with_verified_email(email("fay@home.example"));
    let hal = Actor::user(user("hal")).with_verified_email(email("hal@example.com"));
    let settings = Settings {
        request_ttl: Some(30 * DAY),
        discoverable: true,
        requests: Requests {
            open: true,
            preset: Preset {
                groups: BTreeSet::from([design]),
                ..Preset::default()
            },
            ..Requests::default()
        },
        ..Settings::default()
    };
    h.all_done(&[
        Order::invite(acme, InviteCommand::ReportDelivery { reports }),
        resent.by(ann()),
        h.decline(acme, declined.token).by(hal),
        Order::revoke(acme, revoked.invite),
        h.accept(accepted.token, &person("fay")).by(fay),
        // Both are members by now, or on the way.
        h.accept_as(again.token, "ned", "o'n%_+x@sub.example.com"),
        Order::leave(acme, &person("ned")),
        Order::settings(acme, settings),
        h.request(acme, "max", "max@example.com"),
        h.request(acme, "pia", "pia@example.com"),
        h.approve(acme, &person("pia")),
    ])
    .await;
    assert_ne!(accepted.invite, second.invite, "it closed with the other");
    // The second takes the place of the first, and is addressed like one of the other host.
    h.new_invite(beta, "kim@example.com").await;
    h.new_invite(beta, "kim@example.com").await;
    let brief = || LinkDraft::review().expiry(Expiry::After(DAY));
    let old_link = h.new_link(acme, brief()).await;
    h.new_link(acme, brief()).await;
    beside_the_log(h, acme, old_link).await;
    Sent {
        waiting,
        accepted,
        forgotten: old[0],
        old_link,
    }
}

/// What is in no event: previews, and what a consumer of the feed keeps.
async fn beside_the_log<S: Store + ?Sized>(h: &Harness<'_, S>, acme: &OrgId, issued: Issued) {
    let key = RowKey::PreviewTally(acme.clone(), issued.link, Generation::FIRST);
    let below = u64::MAX;
    for _ in 0..3 {
        let take = vec![Write::Take {
            key: key.clone(),
            below,
        }];
        let home = Home::Organization(acme.clone());
        h.applies(&h.plain_commit(home, Vec::new(), take)).await;
    }
    let home = || Home::Consumer(consumer(CONSUMER));
    let acknowledged = Sequence {
        commit: 3,
        ordinal: 1,
    };
    let mut rows = vec![(
        RowKey::Consumer(consumer(CONSUMER)),
        Row::Consumer(ConsumerRecord {
            acknowledged,
            chain: Some([0xff; 32]),
            leased_until: Some(h.now() + HOUR),
            updated_at: h.now(),
        }),
    )];
    for (commit, ordinal) in [(2, 0), (2, 1), (300, 0)] {
        let sequence = Sequence { commit, ordinal };
        rows.push((
            RowKey::Parked(consumer(CONSUMER), sequence),
            Row::Parked(ParkedRecord {
                attempts: u32::try_from(ordinal).unwrap_or(u32::MAX) + 1,
                next_at: (ordinal == 0).then(|| h.now() + HOUR),
                error: "http-status".to_owned(),
                reached: vec![0, u32::MAX],
                parked_at: h.now(),
                tried_at: h.now(),
            }),
        ));
    }
    let revision = Revision::ABSENT;
    let checks = rows.iter().map(|(key, _)| Check::Revision {
        key: key.clone(),
        revision,
    });
    let checks = checks.collect();
    let put = |(key, row)| Write::Put {
        key,
        row,
        revision: revision.next(),
        before: None,
    };
    let writes = rows.into_iter().map(put).collect();
    h.applies(&h.plain_commit(home(), checks, writes)).await;
}

/// Of the links and invites whose time is over by now, that of one each is written.
async fn run_out<S: Store + ?Sized>(h: &Harness<'_, S>, acme: &OrgId, sent: &Sent) {
    let (link, invite) = (sent.old_link.link, sent.forgotten.invite);
    h.all_done(&[
        Order::link(acme, LinkCommand::Expire { link }),
        Order::invite(acme, InviteCommand::Expire { invite }),
    ])
    .await;
}

async fn members<S: Store + ?Sized>(
    h: &Harness<'_, S>,
    acme: &OrgId,
    beta: &OrgId,
    open: Issued,
    full: Issued,
) {
    let claim = |member: &Member| h.claim(open.token, member);
    let users: Vec<_> = (0..10).map(|n| person(&format!("user_{n}"))).collect();
    for member in &users {
        h.advance(Duration::from_millis(1));
        h.done(&claim(member)).await;
    }
    let gone = Actor::user(user("user_4"));
    h.all_done(&[
        h.approve(acme, &users[0]),
        h.approve(acme, &users[1]),
        Order::reject(acme, &users[2]),
        Order::member(
            acme,
            MemberCommand::Reject {
                member: users[3].clone(),
                reason: Some(reason("not; now 'really' \u{1f937}")),
            },
        ),
        Order::cancel(acme, &users[4]).by(gone),
        Order::member(
            acme,
            MemberCommand::Remove {
                member: users[0].clone(),
                reason: Some(reason("gone")),
            },
        ),
        Order::leave(acme, &users[1]),
        // They come back: by link, by hand, by another link.
        claim(&users[2]),
        h.add(acme, &users[0], Some("member")),
        h.claim(full.token, &users[4]),
        h.claim(full.token, &users[5]),
        h.claim(full.token, &Member::Org(beta.clone())),
        // Reviewed with a gift of the reviewer's own.
        Order::member(
            acme,
            MemberCommand::Approve {
                member: users[6].clone(),
                changes: Box::new(Changes {
                    gift: Some(Preset {
                        role: Some(must(RoleName::parse("admin"), "a role")),
                        ..Preset::default()
                    }),
                    expires_at: Some(h.now() + 10 * DAY),
                    reinstate: true,
                }),
                proxy: guestlist_types::ProxyUserId::from_bytes([6; 16]),
            },
        ),
        // More for one who is in, another role, and a second owner, who leaves again.
        h.add(acme, &users[4], Some("admin")),
        Order::member(
            acme,
            MemberCommand::ChangeRole {
                member: users[4].clone(),
                role: must(RoleName::parse("member"), "a role"),
            },
        ),
        h.add(acme, &person("zoe"), Some("owner")),
        Order::leave(acme, &person("zoe")),
        Order::member(
            acme,
            MemberCommand::Block {
                member: person("mallory"),
                reason: Some(reason("never came")),
            },
        ),
        Order::member(
            acme,
            MemberCommand::Block {
                member: users[1].clone(),
                reason: None,
            },
        ),
        Order::member(
            acme,
            MemberCommand::Unblock {
                member: users[1].clone(),
            },
        ),
        h.approve(acme, &users[7]),
        Order::member(
            acme,
            MemberCommand::Remove {
                member: users[7].clone(),
                reason: None,
            },
        ),
        Order::member(
            acme,
            MemberCommand::LiftRemoval {
                member: users[7].clone(),
            },
        ),
        Order::member(
            beta,
            MemberCommand::RestrictActing {
                host: acme.clone(),
                rule: Some(ActingRule {
                    users: BTreeSet::from([user("bob"), user("bea")]),
                    groups: BTreeSet::from([h.group_id()]),
                }),
            },
        ),
        Order::member(
            acme,
            MemberCommand::RestrictActing {
                host: beta.clone(),
                rule: Some(ActingRule::default()),
            },
        ),
        Order::member(
            acme,
            MemberCommand::RestrictActing {
                host: beta.clone(),
                rule: None,
            },
        ),
    ])
    .await;
    // In the host with seats: a member of every kind, some of whom give their seats back.
    let seats = h.new_link(beta, LinkDraft::review()).await;
    let auto = h
        .new_link(beta, LinkDraft::auto().membership_ttl(Lasting::For(DAY)))
        .await;
    h.all_done(&[
        h.claim(seats.token, &users[0]),
        h.claim(seats.token, &users[1]),
        h.claim(auto.token, &users[2]),
        h.claim(auto.token, &Member::Org(acme.clone())),
        Order::cancel(beta, &users[0]),
        h.approve(beta, &users[1]),
        Order::leave(beta, &users[1]),
    ])
    .await;
    // Some run out; of one of them that is written.
    h.advance(2 * DAY);
    let member = users[2].clone();
    h.done(&Order::member(beta, MemberCommand::Expire { member }))
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::block_on;
    use crate::conformance::observe::fold;
    use crate::{EventFilter, MemoryStore};

    /// A case that goes by the world proves nothing about what is not in it.
    #[test]
    fn everything_has_happened() {
        let store = MemoryStore::in_memory();
        let h = Harness::new(&store);
        block_on(build(&h));
        let events = block_on(h.events(&EventFilter::default(), 1000));
        let names: BTreeSet<_> = events.iter().map(|event| event.event.name()).collect();
        let expected = [
            "acting-restricted",
            "added-to-group",
            "endpoint-created",
            "endpoint-deleted",
            "endpoint-disabled",
            "endpoint-edited",
            "endpoint-enabled",
            "endpoint-secret-rotated",
            "external-group-set",
            "grant-made",
            "grant-revoked",
            "group-created",
            "group-deleted",
            "group-marked-internal",
            "group-renamed",
            "invite-accepted",
            "invite-declined",
            "invite-delivered",
            "invite-erased",
            "invite-expired",
            "invite-joined-otherwise",
            "invite-replaced",
            "invite-resent",
            "invite-revoked",
            "invite-sent",
            "invite-undelivered",
            "link-created",
            "link-deleted",
            "link-disabled",
            "link-edited",
            "link-enabled",
            "link-exhausted",
            "link-expired",
            "link-made-default",
            "link-refreshed",
            "link-revealed",
            "links-paused",
            "links-resumed",
            "member-blocked",
            "member-erased",
            "member-removal-lifted",
            "member-unblocked",
            "membership-approved",
            "membership-expired",
            "membership-gift-added",
            "membership-joined",
            "membership-left",
            "membership-rejected",
            "membership-removed",
            "membership-requested",
            "membership-role-changed",
            "membership-withdrawn",
            "name-reserved",
            "organization-deleted",
            "organization-display-name-changed",
            "organization-registered",
            "organization-renamed",
            "organization-resumed",
            "organization-suspended",
            "owner-added",
            "owner-removed",
            "removed-from-group",
            "settings-changed",
            "sharing-set",
        ];
        assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
        let records = fold(&events);
        let kinds: BTreeSet<_> = records
            .iter()
            .map(|(key, _)| match key {
                RowKey::Name(_) => "name",
                RowKey::Organization(_) => "organization",
                RowKey::Owners(_) => "owners",
                RowKey::SeatTally(_) => "seat tally",
                RowKey::AccessHead(_) => "access head",
                RowKey::Link(..) => "link",
                RowKey::LinkTally(..) => "link tally",
                RowKey::LinkUse(..) => "link use",
                RowKey::Invite(..) => "invite",
                RowKey::Address(..) => "address",
                RowKey::Token(_) => "token",
                RowKey::Endpoint(..) => "endpoint",
                RowKey::Membership(..) => "membership",
                RowKey::Acting(..) => "acting",
                RowKey::Group(..) => "group",
                RowKey::GroupMember(..) => "group member",
                RowKey::Grant(..) => "grant",
                RowKey::PreviewTally(..) | RowKey::Consumer(_) | RowKey::Parked(..) => "beside it",
                RowKey::UseCount(..) | RowKey::SeatCount(_) => "counted",
            })
            .collect();
        assert_eq!(kinds.len(), 17, "rows of every kind: {kinds:?}");
        let overlapping =
            |row: &Row| matches!(row, Row::Link(link) if !link.overlapping.is_empty());
        assert!(
            records.iter().any(|(_, row)| overlapping(row)),
            "an overlap"
        );
    }
}
