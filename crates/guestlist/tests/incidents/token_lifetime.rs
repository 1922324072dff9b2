//! Tokens and links: who they let in where, and when they stop.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::common::{clock, link, org, org_member, over, owner, register, user, user_member};
use crate::{claim_org, claim_user, code, invite, log, person, status, uses, world};
use guestlist::membership::link::LinkCondition;
use guestlist::membership::{AddressCheck, Joins, Seats};
use guestlist::store::InviteFilter;
use guestlist::token::TokenKind;
use guestlist::{
    Actor, Claim, EventFilter, Expiry, InProcessRateLimit, InviteDraft, InviteToken, LinkDraft,
    LinkFilter, MemberFilter, MemoryStore, NewOrganization, Page, Pause, Quota, Settings, Status,
    Store, Uses,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A link opens the organization that made it and no other, whoever presents it and wherever they
/// belong already. Zulip, CVE-2022-21706: a reusable link of one organization was good for joining
/// any other on the server, with the role that it named. Uber, HackerOne 1063022, and Slack,
/// HackerOne 1716016: an invite moved to another tenant by naming that tenant in the request.
async fn a_link_of_one_organization_admits_nobody_to_another<S: Store + 'static>(store: S) {
    let names = ["alfa", "bravo", "charlie"];
    let (guestlist, _) = world(store, &names).await;
    for host in names {
        let draft = LinkDraft::auto().role("admin".parse().unwrap());
        let (id, token) = link(&guestlist, host, draft).await;
        let who = format!("guest-of-{host}");
        // Also by somebody who acts in another organization at the moment.
        for elsewhere in names {
            let actor = user(&who).in_organization(org(elsewhere));
            let joined = claim_user(&guestlist, &actor, &token).await.unwrap();
            assert_eq!(joined.membership.host, org(host));
        }
        for other in names.into_iter().filter(|other| *other != host) {
            assert_eq!(status(&guestlist, other, &user_member(&who)).await, None);
            // Neither can another organization's manager do anything with it.
            let (manager, other) = (owner(other), org(other));
            let found = guestlist.inspect(&manager, &other, &token).await;
            assert_eq!(code(found), "not-found");
            let found = guestlist.disable_link(&manager, &other, id).await;
            assert_eq!(code(found), "not-found");
            let found = guestlist
                .refresh_link(&manager, &other, id, Duration::ZERO)
                .await;
            assert_eq!(code(found), "not-found");
        }
        assert!(guestlist.preview(&token).await.is_ok(), "{host}");
    }
}

/// Nothing that can be read out of a token is believed: whatever part of it is changed, it opens
/// nothing, for whichever kind it is made out. Keycloak, CVE-2026-1529: organization and address
/// were taken from an invitation whose signature nobody checked.
#[tokio::test]
async fn a_token_that_was_changed_anywhere_opens_nothing() {
    let (guestlist, _) = world(MemoryStore::default(), &["host", "bravo"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let (_, mail) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let before = guestlist.store().kv().dump();
    let ann = person("ann", "ann@corp.example");
    for genuine in [&token, &mail] {
        let text = genuine.expose_secret();
        for position in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(
                InviteToken::parse(&changed).unwrap_err().code(),
                "invalid-token"
            );
            // Whoever knows the format can put the checksum right.
            let code_part = &changed[4..36];
            if code_part == &text[4..36] {
                continue;
            }
            for kind in TokenKind::ALL {
                let Ok(forged) = InviteToken::parse_code(kind, code_part) else {
                    continue;
                };
                let claimed = claim_user(&guestlist, &ann, &forged).await;
                assert_eq!(code(claimed), "invalid-token", "{position}");
                let accepted = guestlist.accept(&ann, &forged, Claim::for_myself()).await;
                assert_eq!(code(accepted), "invalid-token", "{position}");
                assert_eq!(code(guestlist.preview(&forged).await), "invalid-token");
                assert_eq!(
                    code(guestlist.preview_invite(&forged).await),
                    "invalid-token"
                );
            }
        }
    }
    assert_eq!(guestlist.store().kv().dump(), before);
}

/// A token is good for what it was made for: the same characters under the other prefix open
/// neither. Zulip, CVE-2022-21706, looked keys up without their kind; Grafana, CVE-2024-1313, let
/// the key to a view delete it.
#[tokio::test]
async fn a_token_of_another_kind_is_refused() {
    let (guestlist, _) = world(MemoryStore::default(), &["host"]).await;
    let (_, of_link) = link(&guestlist, "host", LinkDraft::auto()).await;
    let (_, of_mail) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let before = guestlist.store().kv().dump();
    let ann = person("ann", "ann@corp.example");
    let code_of = |token: &InviteToken| token.expose_secret()[4..36].to_owned();
    let link_as_mail = InviteToken::parse_code(TokenKind::EmailInvite, &code_of(&of_link)).unwrap();
    let mail_as_link = InviteToken::parse_code(TokenKind::Link, &code_of(&of_mail)).unwrap();
    for token in [&of_link, &link_as_mail, &mail_as_link] {
        let accepted = guestlist.accept(&ann, token, Claim::for_myself()).await;
        assert_eq!(code(accepted), "invalid-token");
        assert_eq!(code(guestlist.decline(&ann, token).await), "invalid-token");
        assert_eq!(code(guestlist.preview_invite(token).await), "invalid-token");
    }
    for token in [&of_mail, &link_as_mail, &mail_as_link] {
        let claimed = claim_user(&guestlist, &ann, token).await;
        assert_eq!(code(claimed), "invalid-token");
        assert_eq!(code(guestlist.preview(token).await), "invalid-token");
    }
    assert_eq!(guestlist.store().kv().dump(), before);
}

/// What names a link or an invite is not what opens it, and the secret is in no list, event, log
/// line or error. Rocket.Chat PR 38290 (the id was the token, and short), Plane
/// GHSA-gf48-p6jp-cwc4, Mattermost CVE-2026-2463, Coolify CVE-2025-64423, AutoGPT PR 12670,
/// KinBot 102, Datawrapper PR 183 (a list showed it to those who could use it first), ComparIA PR
/// 697 and HackerOne 301526, 237262, 1491127 (logs and analytics), ToolJet 16229 (at rest), Slack
/// 2022 (an event carried the whole row).
#[tokio::test]
async fn no_list_event_or_error_holds_a_secret_and_no_id_opens_anything() {
    let (guestlist, _) = world(MemoryStore::default(), &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (link_id, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let ann = person("ann", "ann@corp.example");
    let address = "ann@corp.example".parse().unwrap();
    let (invite_id, mail) =
        invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let page = Page::default();
    let wrong = guestlist
        .accept(&user("mallory"), &mail, Claim::for_myself())
        .await
        .unwrap_err();
    claim_user(&guestlist, &ann, &token).await.unwrap();
    let links = guestlist
        .links(&alice, &host, LinkFilter::default(), &page)
        .await
        .unwrap();
    let invites = guestlist
        .invites(&alice, &host, InviteFilter::default(), &page)
        .await
        .unwrap();
    let own = guestlist
        .invites_to(&ann, &address, None, &page)
        .await
        .unwrap();
    let users = guestlist.link_users(&alice, &host, link_id, &page).await;
    let audit = guestlist
        .audit(&alice, &host, EventFilter::default(), &page)
        .await
        .unwrap();
    let members = guestlist
        .members(&alice, &host, MemberFilter::default(), &page)
        .await
        .unwrap();
    let shown = [
        format!("{links:?} {invites:?} {own:?} {users:?} {audit:?} {members:?}"),
        format!("{wrong} {wrong:?} {token:?} {mail:?}"),
        serde_json::to_string(&links.links).unwrap(),
        serde_json::to_string(&invites.invites).unwrap(),
        serde_json::to_string(&own.invites).unwrap(),
        serde_json::to_string(&audit.events).unwrap(),
        serde_json::to_string(&members.members).unwrap(),
    ]
    .concat();
    let kept: Vec<u8> = guestlist
        .store()
        .kv()
        .dump()
        .into_iter()
        .flat_map(|(key, value)| [key, value])
        .flatten()
        .collect();
    assert!(audit.events.len() >= 4 && invites.invites.len() == 1 && own.invites.len() == 1);
    for secret in [&token, &mail] {
        let verifier = &secret.expose_secret()[14..36];
        assert!(!shown.contains(verifier));
        let found = |bytes: &[u8]| bytes.windows(22).any(|part| part == verifier.as_bytes());
        assert!(!found(&kept));
        // The search finds what it looks for.
        assert!(found(format!("..{verifier}..").as_bytes()));
    }
    for id in [link_id.to_string(), invite_id.to_string()] {
        assert!(shown.contains(&id), "ids are shown");
        assert_eq!(InviteToken::parse(&id).unwrap_err().code(), "invalid-token");
    }
}

/// Whoever is a plain member sees no link and no invite, so can't use what was meant for a higher
/// role. Coolify, CVE-2025-64423: members found the administrators' invitation in a list.
#[tokio::test]
async fn a_plain_member_sees_no_invite_that_it_could_use() {
    let (guestlist, _) = world(MemoryStore::default(), &["host"]).await;
    let member = crate::staff(&guestlist, "host", "mia", "member").await;
    let draft = LinkDraft::auto().role("admin".parse().unwrap());
    let (link_id, token) = link(&guestlist, "host", draft).await;
    let (id, _) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let (host, page) = (org("host"), Page::default());
    let refused = [
        code(
            guestlist
                .links(&member, &host, LinkFilter::default(), &page)
                .await,
        ),
        code(
            guestlist
                .invites(&member, &host, InviteFilter::default(), &page)
                .await,
        ),
        code(guestlist.email_invite(&member, &host, id).await),
        code(guestlist.inspect(&member, &host, &token).await),
        code(
            guestlist
                .refresh_link(&member, &host, link_id, Duration::ZERO)
                .await,
        ),
        code(guestlist.resend_invite(&member, &host, id).await),
    ];
    assert_eq!(refused, ["not-allowed"; 6]);
    #[cfg(feature = "seal")]
    {
        let revealed = guestlist.reveal_link(&member, &host, link_id).await;
        assert_eq!(code(revealed), "not-allowed");
    }
    // An invite to somebody else's address is nobody else's either.
    let asked = guestlist
        .invites_to(&member, &"ann@corp.example".parse().unwrap(), None, &page)
        .await;
    assert_eq!(code(asked), "not-the-member");
    // And a link that the member gets hold of gives a member nothing more.
    let again = claim_user(&guestlist, &member, &token).await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.membership.role.unwrap().as_str(), "member");
}

/// Codes are not issued twice: not to a re-invited address, not after deletion, and not by a
/// process that draws the same randomness again. RapidPro 615: the old code served for the new
/// invite; Discourse: expired codes could be taken over.
async fn a_code_is_never_issued_again<S: Store + 'static>(store: S) {
    let clock = clock();
    let guestlist = over(&store, &clock, 7);
    register(&guestlist, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, first) = link(&guestlist, "host", LinkDraft::auto()).await;
    guestlist.delete_link(&alice, &host, id).await.unwrap();
    // The same again, with a generator that gives the same output once more.
    let again = over(&store, &clock, 7);
    register(&again, &["host"]).await;
    let before = log(&guestlist).await;
    let made = again.create_link(&alice, &host, LinkDraft::auto()).await;
    assert!(
        ["selector-taken", "wrong-link-state"].contains(&code(made)),
        "the place of the first token is taken for ever"
    );
    assert_eq!(log(&guestlist).await, before);
    assert_eq!(
        code(claim_user(&guestlist, &user("u"), &first).await),
        "invalid-token"
    );

    let mut seen = BTreeSet::new();
    let ann = person("ann", "ann@corp.example");
    let mut old: Vec<InviteToken> = Vec::new();
    for _ in 0..5 {
        let (id, token) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
        assert!(seen.insert(token.selector()), "a new code each time");
        for dead in &old {
            let accepted = guestlist.accept(&ann, dead, Claim::for_myself()).await;
            assert_eq!(code(accepted), "invalid-token");
        }
        guestlist.revoke_invite(&alice, &host, id).await.unwrap();
        old.push(token);
    }
}

/// A refresh changes the secret and nothing else, and the old one is dead in the same commit.
/// HackerOne 46429, 48422, 275293, 66151: invitations that were taken back in one place lived on in
/// another.
async fn refreshing_a_link_ends_its_old_token_at_once<S: Store + 'static>(store: S) {
    let (guestlist, clock) = world(store, &["host", "bravo", "charlie"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let draft = LinkDraft::review().max_uses(Uses::AtMost(5));
    let (id, old) = link(&guestlist, "host", draft).await;
    claim_org(&guestlist, "bravo", &old).await.unwrap();
    let refreshed = guestlist
        .refresh_link(&alice, &host, id, Duration::ZERO)
        .await
        .unwrap();
    let new = refreshed.token.unwrap();
    assert_eq!(
        (refreshed.link.id, refreshed.link.generation.get()),
        (id, 2)
    );
    assert_eq!(uses(&guestlist, "host", id).await, 1, "counters stay");
    let before = log(&guestlist).await;
    assert_eq!(
        code(claim_org(&guestlist, "charlie", &old).await),
        "invalid-token"
    );
    assert_eq!(code(guestlist.preview(&old).await), "invalid-token");
    assert_eq!(log(&guestlist).await, before);

    // An overlap is asked for, bounded, and only ever gets shorter.
    let day = 24 * HOUR;
    let too_long = guestlist
        .refresh_link(&alice, &host, id, day + Duration::from_micros(1))
        .await;
    assert_eq!(code(too_long), "overlap-too-long");
    guestlist
        .refresh_link(&alice, &host, id, HOUR)
        .await
        .unwrap();
    assert!(guestlist.preview(&new).await.is_ok(), "for an hour");
    guestlist
        .refresh_link(&alice, &host, id, day)
        .await
        .unwrap();
    clock.advance(2 * HOUR);
    assert_eq!(code(guestlist.preview(&new).await), "invalid-token");
}

/// Switching a link on again does not bring back a secret that was switched off, and switching it
/// off takes nothing from those who are in. Mastodon 10656 and Zulip, CVE-2021-43791, are about
/// tokens that worked again on the way where nobody looked.
async fn enabling_a_link_revives_no_earlier_token<S: Store + 'static>(store: S) {
    let names = ["host", "bravo", "charlie", "delta"];
    let (guestlist, _) = world(store, &names).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, old) = link(&guestlist, "host", LinkDraft::review()).await;
    claim_org(&guestlist, "bravo", &old).await.unwrap();
    claim_org(&guestlist, "charlie", &old).await.unwrap();
    let bravo = org_member("bravo");
    guestlist.approve(&alice, &host, &bravo).await.unwrap();
    guestlist.disable_link(&alice, &host, id).await.unwrap();
    let refused = claim_org(&guestlist, "delta", &old).await;
    assert_eq!(code(refused), "invalid-token");
    let refresh = guestlist.refresh_link(&alice, &host, id, HOUR).await;
    assert_eq!(code(refresh), "wrong-link-state");
    let enabled = guestlist.enable_link(&alice, &host, id).await.unwrap();
    let refused = claim_org(&guestlist, "delta", &old).await;
    assert_eq!(code(refused), "invalid-token");
    assert_eq!(
        status(&guestlist, "host", &bravo).await,
        Some(Status::Approved)
    );
    let charlie = org_member("charlie");
    assert_eq!(
        status(&guestlist, "host", &charlie).await,
        Some(Status::Pending)
    );
    let token = enabled.token.unwrap();
    assert!(claim_org(&guestlist, "delta", &token).await.is_ok());
}

/// The secret is changed by refreshing it and by nothing else. Mattermost 24584: every edit of a
/// team gave it another invite link, and those handed out were dead.
async fn editing_a_link_or_its_organization_keeps_its_token<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let edit = LinkDraft::auto()
        .label("autumn".parse().unwrap())
        .max_uses(Uses::AtMost(3));
    let edited = guestlist.edit_link(&alice, &host, id, edit).await.unwrap();
    assert_eq!(edited.generation.get(), 1);
    let settings = Settings {
        discoverable: true,
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, settings)
        .await
        .unwrap();
    guestlist
        .set_display_name(&alice, &host, Some("The Host".parse().unwrap()))
        .await
        .unwrap();
    guestlist
        .rename(&alice, &host, "hosts".parse().unwrap())
        .await
        .unwrap();
    guestlist
        .pause_links(&alice, &host, Pause::UntilResumed)
        .await
        .unwrap();
    guestlist.resume_links(&alice, &host).await.unwrap();
    let joined = claim_user(&guestlist, &user("u"), &token).await.unwrap();
    assert_eq!(joined.membership.status, Some(Status::Approved));
}

/// What can't be opened can't be looked at and can't be used, whichever of the two somebody tries,
/// and whatever mode the host is in. Zulip, CVE-2021-43791: the page refused an expired invite, the
/// form behind it took it. Mastodon 10656: deactivated invites worked while sign-ups were reviewed.
async fn a_dead_token_is_refused_on_reading_and_on_writing<S: Store + 'static>(store: S) {
    let (guestlist, clock) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (disabled, first) = link(&guestlist, "host", LinkDraft::auto()).await;
    guestlist
        .disable_link(&alice, &host, disabled)
        .await
        .unwrap();
    let soon = Expiry::After(HOUR);
    let (_, expired) = link(&guestlist, "host", LinkDraft::auto().expiry(soon)).await;
    let draft = || InviteDraft::new().expiry(soon);
    let (_, lapsed) = invite(&guestlist, "host", "a@corp.example", draft()).await;
    let (revoked, gone) = invite(&guestlist, "host", "b@corp.example", draft()).await;
    guestlist
        .revoke_invite(&alice, &host, revoked)
        .await
        .unwrap();
    clock.advance(2 * HOUR);
    for joins in [Joins::LinkDecides, Joins::AlwaysReview, Joins::AlwaysAuto] {
        let settings = Settings {
            joins,
            ..Settings::default()
        };
        guestlist
            .change_settings(&alice, &host, settings)
            .await
            .unwrap();
        let before = log(&guestlist).await;
        for token in [&first, &expired] {
            let claimed = claim_user(&guestlist, &user("u"), token).await;
            assert_eq!(code(claimed), "invalid-token", "{joins:?}");
        }
        assert_eq!(code(guestlist.preview(&first).await), "invalid-token");
        // An expired link and an expired invite are shown as such, so that people know whom to ask.
        let shown = guestlist.preview(&expired).await.unwrap();
        assert_eq!(shown.condition, LinkCondition::Expired);
        assert!(guestlist.preview_invite(&lapsed).await.unwrap().expired);
        assert_eq!(code(guestlist.preview_invite(&gone).await), "invalid-token");
        for (token, address) in [(&lapsed, "a@corp.example"), (&gone, "b@corp.example")] {
            let actor = person("u", address);
            let accepted = guestlist.accept(&actor, token, Claim::for_myself()).await;
            assert_eq!(code(accepted), "invalid-token", "{joins:?}");
            assert_eq!(
                code(guestlist.decline(&actor, token).await),
                "invalid-token"
            );
        }
        assert_eq!(log(&guestlist).await, before);
    }
}

/// Every reason for which an invite opens nothing sounds the same, also to somebody who guesses.
/// Rule 3 of the tokens; the public advisories about enumeration are Uber, HackerOne 125505 and
/// 144616.
#[tokio::test]
async fn every_dead_invite_looks_the_same() {
    let (guestlist, clock) = world(MemoryStore::default(), &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let draft = InviteDraft::new;
    let (id, revoked) = invite(&guestlist, "host", "a@corp.example", draft()).await;
    guestlist.revoke_invite(&alice, &host, id).await.unwrap();
    let (id, replaced) = invite(&guestlist, "host", "b@corp.example", draft()).await;
    guestlist.resend_invite(&alice, &host, id).await.unwrap();
    let soon = draft().expiry(Expiry::After(HOUR));
    let (_, expired) = invite(&guestlist, "host", "c@corp.example", soon).await;
    let (_, accepted) = invite(&guestlist, "host", "d@corp.example", draft()).await;
    let dora = person("dora", "d@corp.example");
    guestlist
        .accept(&dora, &accepted, Claim::for_myself())
        .await
        .unwrap();
    clock.advance(2 * HOUR);
    let (stranger, _) = world(MemoryStore::default(), &["bravo"]).await;
    let (_, _) = link(&stranger, "bravo", LinkDraft::auto()).await;
    let (_, unknown) = invite(&stranger, "bravo", "a@corp.example", draft()).await;
    let mut seen = BTreeSet::new();
    for token in [&revoked, &replaced, &expired, &accepted, &unknown] {
        let nobody = user("nobody");
        let error = guestlist
            .accept(&nobody, token, Claim::for_myself())
            .await
            .unwrap_err();
        seen.insert(format!("{} / {error} / {error:?}", error.code()));
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen.first().unwrap().starts_with("invalid-token"));
}

/// Looking at an invite accepts nothing and uses nothing up, however many robots look, and there is
/// no call that joins by looking. Discourse meta 90316, cloudfoundry/uaa 1374 and PR 1128, WSO2 PR
/// 7935, supabase/auth 368, Shelf 1463, nextcloud PR 58746, pretalx 270, alphagov
/// notifications-admin 3431: link checkers and previews burned or accepted invitations.
#[tokio::test]
async fn a_preview_accepts_nothing_and_burns_nothing() {
    let (guestlist, _) = world(MemoryStore::default(), &["host"]).await;
    let once = LinkDraft::auto().max_uses(Uses::AtMost(1));
    let (_, token) = link(&guestlist, "host", once).await;
    let (_, mail) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let before = guestlist.store().kv().dump();
    for _ in 0..10 {
        assert!(guestlist.preview(&token).await.is_ok());
        let shown = guestlist.preview_invite(&mail).await.unwrap();
        assert_eq!(shown.address_hint, "a***@corp.example");
    }
    assert_eq!(guestlist.store().kv().dump(), before);
    let ann = person("ann", "ann@corp.example");
    let accepted = guestlist.accept(&ann, &mail, Claim::for_myself()).await;
    assert!(accepted.unwrap().changed);
    let claimed = claim_user(&guestlist, &user("u"), &token).await;
    assert!(claimed.unwrap().changed);
}

/// A host that is suspended lets nobody in by any door, one that is deleted never does again.
/// MeshCentral 6061: an old link brought a deleted group back. ZITADEL, CVE-2026-55670: a recycled
/// id led to what the old one had been.
async fn a_resting_host_refuses_every_door_and_a_deleted_one_never_comes_back<
    S: Store + 'static,
>(
    store: S,
) {
    let (guestlist, _) = world(store, &["host", "bravo", "charlie"]).await;
    let (alice, host, system) = (owner("host"), org("host"), Actor::system());
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let (id, mail) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    let ann = person("ann", "ann@corp.example");
    let bravo = org_member("bravo");
    let doors = || async {
        let more = guestlist::Invitations::new().to("b@corp.example");
        [
            code(claim_org(&guestlist, "charlie", &token).await),
            code(guestlist.preview(&token).await),
            code(guestlist.accept(&ann, &mail, Claim::for_myself()).await),
            code(guestlist.decline(&ann, &mail).await),
            code(guestlist.approve(&alice, &host, &bravo).await),
            code(guestlist.resend_invite(&alice, &host, id).await),
            code(guestlist.invite(&alice, &host, more).await),
            code(
                guestlist
                    .add_member(&alice, &host, &bravo, guestlist::Preset::default(), None)
                    .await,
            ),
            code(
                guestlist
                    .request(&ann, &host, Claim::for_myself(), None)
                    .await,
            ),
        ]
    };
    let closed = [
        "invalid-token",
        "invalid-token",
        "invalid-token",
        "invalid-token",
        "organization-not-active",
        "organization-not-active",
        "organization-not-active",
        "organization-not-active",
        "not-found",
    ];
    guestlist.suspend(&system, &host).await.unwrap();
    let before = log(&guestlist).await;
    assert_eq!(doors().await, closed);
    assert_eq!(log(&guestlist).await, before);
    guestlist.resume(&system, &host).await.unwrap();
    assert!(guestlist.preview(&token).await.is_ok(), "it may go on");
    guestlist.delete(&alice, &host).await.unwrap();
    let before = log(&guestlist).await;
    assert_eq!(doors().await, closed);
    // Neither the id nor the name is given out again.
    let again = NewOrganization::new(host.clone(), "host".parse().unwrap());
    assert_eq!(code(guestlist.register(again).await), "already-registered");
    let thief = NewOrganization::new(org("thief"), "host".parse().unwrap());
    assert_eq!(code(guestlist.register(thief).await), "name-taken");
    assert_eq!(doors().await, closed);
    assert_eq!(log(&guestlist).await, before);
}

/// The last use of a link is taken by exactly one of many who reach for it at once, together with
/// the membership that it pays for. Homarr GHSA-vfw3-53q9-2hp8, DoubtDesk 681, cocoon 95, rdyrct
/// 154, Stack Auth PR 1365: check and use were separate steps.
async fn a_single_use_link_admits_one_of_many_at_once<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let guestlist = Arc::new(guestlist);
    for draft in [LinkDraft::auto(), LinkDraft::review()] {
        let draft = draft.max_uses(Uses::AtMost(1));
        let (id, token) = link(&guestlist, "host", draft).await;
        let token = Arc::new(token);
        let claims: Vec<_> = (0..64)
            .map(|number| {
                let (guestlist, token) = (Arc::clone(&guestlist), Arc::clone(&token));
                tokio::spawn(async move {
                    let actor = user(&format!("{id}-{number}"));
                    let claimed = claim_user(&guestlist, &actor, &token).await;
                    (actor, claimed)
                })
            })
            .collect();
        let mut admitted = Vec::new();
        for claim in claims {
            match claim.await.unwrap() {
                (actor, Ok(_)) => admitted.push(actor),
                (_, Err(error)) => assert_eq!(error.code(), "invalid-token"),
            }
        }
        assert_eq!(admitted.len(), 1);
        assert_eq!(uses(&guestlist, "host", id).await, 1);
        let page = Page::first(1000).unwrap();
        let filter = MemberFilter {
            link: Some(id),
            ..MemberFilter::default()
        };
        let members = guestlist
            .members(&owner("host"), &org("host"), filter, &page)
            .await
            .unwrap();
        assert_eq!(members.members.len(), 1, "no membership without a use");
    }
}

/// An e-mail invite is used once, also when whoever was forwarded it may use it and all of them
/// press at once. Better Auth 9184 (acceptance without one atomic check), HackerOne 209140 and
/// 331691 (an invitation that was passed on let several people in), and the races of HackerOne
/// 119354, 148609, 115007, 1108291, 1285538, 1460373.
async fn an_invite_is_accepted_once<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let settings = Settings {
        address_check: AddressCheck::Bearer,
        ..Settings::default()
    };
    guestlist
        .change_settings(&owner("host"), &org("host"), settings)
        .await
        .unwrap();
    let guestlist = Arc::new(guestlist);
    let (_, token) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let token = Arc::new(token);
    let accepts: Vec<_> = (0..24)
        .map(|number| {
            let (guestlist, token) = (Arc::clone(&guestlist), Arc::clone(&token));
            tokio::spawn(async move {
                let actor = user(&format!("u{number}"));
                guestlist.accept(&actor, &token, Claim::for_myself()).await
            })
        })
        .collect();
    let mut codes = Vec::new();
    for accept in accepts {
        codes.push(code(accept.await.unwrap()));
    }
    codes.sort_unstable();
    assert_eq!(codes.pop(), Some("ok"));
    assert!(
        codes.iter().all(|code| *code == "invalid-token"),
        "{codes:?}"
    );
    let members = guestlist
        .members(
            &owner("host"),
            &org("host"),
            MemberFilter::default(),
            &Page::default(),
        )
        .await
        .unwrap();
    assert_eq!(members.members.len(), 2, "the founder and one more");
}

/// Who waits and who is in uses nothing up by coming again, and stays the one membership. waves PR
/// 458: one person emptied a link by pressing; Rocket.Chat 16573: members were counted.
async fn claiming_again_uses_nothing<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let draft = LinkDraft::review().max_uses(Uses::AtMost(2));
    let (id, token) = link(&guestlist, "host", draft).await;
    let first = claim_org(&guestlist, "bravo", &token).await.unwrap();
    for _ in 0..5 {
        let again = claim_org(&guestlist, "bravo", &token).await.unwrap();
        assert_eq!(again.membership, first.membership);
        assert!(!again.changed);
    }
    assert_eq!(uses(&guestlist, "host", id).await, 1);
    let member = org_member("bravo");
    let approved = guestlist
        .approve(&owner("host"), &org("host"), &member)
        .await
        .unwrap();
    // Neither by another link.
    let other = LinkDraft::auto().max_uses(Uses::AtMost(2));
    let (other, second) = link(&guestlist, "host", other).await;
    for token in [&token, &second] {
        let again = claim_org(&guestlist, "bravo", token).await.unwrap();
        assert_eq!(again.membership, approved.membership);
    }
    assert_eq!(uses(&guestlist, "host", id).await, 1);
    assert_eq!(uses(&guestlist, "host", other).await, 0);
}

/// A use that let somebody in is spent: leaving, removal and the erasure of that person give
/// nothing back. lurker 590: deleting a user made a spent link spendable.
async fn a_spent_use_stays_spent<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let draft = LinkDraft::auto().max_uses(Uses::AtMost(2));
    let (id, token) = link(&guestlist, "host", draft).await;
    for name in ["ann", "ben"] {
        claim_user(&guestlist, &user(name), &token).await.unwrap();
    }
    let (ann, ben) = (user_member("ann"), user_member("ben"));
    guestlist.leave(&user("ann"), &host, &ann).await.unwrap();
    guestlist.remove(&alice, &host, &ben, None).await.unwrap();
    guestlist.erase(&alice, &host, &ann).await.unwrap();
    guestlist.erase(&alice, &host, &ben).await.unwrap();
    assert_eq!(uses(&guestlist, "host", id).await, 2);
    let refused = claim_user(&guestlist, &user("carl"), &token).await;
    assert_eq!(code(refused), "invalid-token");
    // While a use that never let anybody in comes back.
    let draft = LinkDraft::review().max_uses(Uses::AtMost(1));
    let (id, token) = link(&guestlist, "host", draft).await;
    for ending in ["reject", "cancel"] {
        let actor = user(ending);
        claim_user(&guestlist, &actor, &token).await.unwrap();
        assert_eq!(uses(&guestlist, "host", id).await, 1);
        let member = user_member(ending);
        if ending == "reject" {
            guestlist
                .reject(&alice, &host, &member, None)
                .await
                .unwrap();
        } else {
            guestlist.cancel(&actor, &host, &member).await.unwrap();
        }
        assert_eq!(uses(&guestlist, "host", id).await, 0);
    }
}

/// Links and invites can end by themselves, an invite does so unless that is switched off, and what
/// waits is listed. GitLab 222349 and ToolJet 16229: invitations that never ended, and that nobody
/// saw when people left.
#[tokio::test]
async fn an_invite_ends_by_itself_and_what_waits_is_listed() {
    let (guestlist, clock) = world(MemoryStore::default(), &["host"]).await;
    let (id, token) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let waiting = InviteFilter {
        phase: Some(guestlist::membership::invite::InvitePhase::Pending),
        creator: Some("host-owner".parse().unwrap()),
        ..InviteFilter::default()
    };
    let expired = InviteFilter {
        phase: Some(guestlist::membership::invite::InvitePhase::Expired),
        ..InviteFilter::default()
    };
    let (alice, host, page) = (owner("host"), org("host"), Page::default());
    let listed = guestlist
        .invites(&alice, &host, waiting.clone(), &page)
        .await
        .unwrap();
    assert_eq!(listed.invites[0].id, id);
    clock.advance(15 * 24 * HOUR);
    let ann = person("ann", "ann@corp.example");
    let late = guestlist.accept(&ann, &token, Claim::for_myself()).await;
    assert_eq!(code(late), "invalid-token");
    let none = guestlist.invites(&alice, &host, waiting, &page).await;
    assert_eq!(none.unwrap().invites, []);
    // It is not gone: whoever sent it sees what became of it, without any job having run.
    let listed = guestlist.invites(&alice, &host, expired, &page).await;
    assert_eq!(listed.unwrap().invites[0].id, id);
    let capped = Settings {
        max_link_lifetime: Some(HOUR),
        link_defaults: LinkDraft::review().expiry(Expiry::After(HOUR)),
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, capped)
        .await
        .unwrap();
    let endless = LinkDraft::auto().expiry(Expiry::Never);
    let refused = guestlist.create_link(&alice, &host, endless).await;
    assert_eq!(code(refused), "lifetime-too-long");
}

/// Guessing is slow, as well as hopeless, and a network counts as one. Uber, HackerOne 125505 and
/// 144616: invite codes could be tried out. Better Auth, CVE-2026-45364: every address of an IPv6
/// network was counted apart.
#[tokio::test]
async fn guessing_tokens_is_limited_per_actor_and_per_network() {
    let clock = clock();
    let quota = |burst| Quota::new(burst, HOUR);
    let guestlist = crate::common::builder(MemoryStore::default(), &clock, 7)
        .rate_limit(InProcessRateLimit::new(quota(3), quota(5), quota(100)))
        .build();
    register(&guestlist, &["host"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let text = token.expose_secret()[4..14].to_owned();
    let guess = |number: u32| {
        let text = format!("{text}{number:022}");
        InviteToken::parse_code(TokenKind::Link, &text).unwrap()
    };
    let before = log(&guestlist).await;
    let mallory = user("mallory");
    for number in 0..3 {
        let tried = claim_user(&guestlist, &mallory, &guess(number)).await;
        assert_eq!(code(tried), "invalid-token");
    }
    let tried = claim_user(&guestlist, &mallory, &guess(3)).await;
    assert_eq!(code(tried), "rate-limited");
    // With the right one as well, so that a limit says nothing about the guess.
    let tried = claim_user(&guestlist, &mallory, &token).await;
    assert_eq!(code(tried), "rate-limited");
    // Many accounts behind one IPv6 network are one.
    let mut codes = Vec::new();
    for number in 0..6_u16 {
        let address: std::net::IpAddr = format!("2001:db8:1:2::{number:x}").parse().unwrap();
        let from = guestlist.from_address(address);
        let actor = user(&format!("sock{number}"));
        codes.push(code(claim_user(&from, &actor, &guess(9)).await));
    }
    assert_eq!(codes[..5], ["invalid-token"; 5]);
    assert_eq!(codes[5], "rate-limited");
    assert_eq!(log(&guestlist).await, before);
}

/// Text of any length is refused by its length alone. Legal Robot, HackerOne 260662: a long invite
/// code slowed the server; Nextcloud, HackerOne 2058337: a long address hung it.
#[tokio::test]
async fn oversized_input_is_refused_unread() {
    let (guestlist, _) = world(MemoryStore::default(), &["host"]).await;
    let long = "a".repeat(64 * 1024 * 1024);
    assert_eq!(
        InviteToken::parse(&long).unwrap_err().reason(),
        "token-length"
    );
    assert_eq!(
        InviteToken::parse_code(TokenKind::Link, &long)
            .unwrap_err()
            .reason(),
        "token-length"
    );
    let before = guestlist.store().kv().dump();
    let address = format!("{long}@corp.example");
    let outcome = crate::try_invite(
        &guestlist,
        &owner("host"),
        "host",
        &address,
        InviteDraft::new(),
    )
    .await
    .unwrap();
    assert_eq!(outcome.code(), "email-too-long");
    let (_, token) = link(&guestlist, "host", LinkDraft::auto().question("Why?")).await;
    let after = guestlist.store().kv().dump();
    assert_ne!(before, after);
    let claim = Claim::for_myself().answer(long);
    let refused = guestlist.claim(&user("u"), &token, claim).await;
    assert_eq!(code(refused), "too-many");
    assert_eq!(guestlist.store().kv().dump(), after);
}

/// A link may be for certain people only, and one that is passed on admits nobody else. Stack Auth
/// PR 1365: whoever held the code could use it, whoever it had been made for.
#[tokio::test]
async fn a_link_for_certain_people_admits_nobody_else() {
    let (guestlist, _) = world(MemoryStore::default(), &["host", "bravo", "charlie"]).await;
    let draft = LinkDraft::auto().allow_member(org_member("bravo"));
    let (_, token) = link(&guestlist, "host", draft).await;
    let before = guestlist.store().kv().dump();
    let refused = claim_org(&guestlist, "charlie", &token).await;
    assert_eq!(code(refused), "member-not-allowed");
    let refused = claim_user(&guestlist, &owner("bravo"), &token).await;
    assert_eq!(code(refused), "member-not-allowed");
    assert_eq!(guestlist.store().kv().dump(), before);
    assert!(claim_org(&guestlist, "bravo", &token).await.is_ok());
}

/// A join that fails changes nothing of what it touched: the link keeps its use, the invite stays
/// open, no group, no proxy user, no seat. Better Auth: a full team left traces of the join behind.
async fn a_join_that_fails_leaves_everything_as_it_was<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let seats = |limit: u64| Settings {
        seats: Some(Seats {
            limit: limit.try_into().unwrap(),
            count_pending: false,
        }),
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, seats(1))
        .await
        .unwrap();
    let team = crate::group(&guestlist, "host", "team", false).await;
    let draft = LinkDraft::auto().max_uses(Uses::AtMost(1)).group(team);
    let (id, token) = link(&guestlist, "host", draft).await;
    let draft = InviteDraft::new().group(team);
    let (_, mail) = invite(&guestlist, "host", "ann@corp.example", draft).await;
    let ann = person("ann", "ann@corp.example");
    let before = log(&guestlist).await;
    let full = claim_org(&guestlist, "bravo", &token).await;
    assert_eq!(code(full), "seats-full");
    let full = guestlist.accept(&ann, &mail, Claim::for_myself()).await;
    assert_eq!(code(full), "seats-full");
    assert_eq!(log(&guestlist).await, before);
    assert_eq!(uses(&guestlist, "host", id).await, 0);
    assert_eq!(status(&guestlist, "host", &org_member("bravo")).await, None);
    // Once there is room, both work as if nothing had been.
    guestlist
        .change_settings(&alice, &host, seats(3))
        .await
        .unwrap();
    assert!(claim_org(&guestlist, "bravo", &token).await.is_ok());
    let accepted = guestlist.accept(&ann, &mail, Claim::for_myself()).await;
    assert!(accepted.is_ok());
}

on_every_store!(
    a_link_of_one_organization_admits_nobody_to_another,
    a_code_is_never_issued_again,
    refreshing_a_link_ends_its_old_token_at_once,
    enabling_a_link_revives_no_earlier_token,
    editing_a_link_or_its_organization_keeps_its_token,
    a_dead_token_is_refused_on_reading_and_on_writing,
    a_resting_host_refuses_every_door_and_a_deleted_one_never_comes_back,
    a_single_use_link_admits_one_of_many_at_once,
    an_invite_is_accepted_once,
    claiming_again_uses_nothing,
    a_spent_use_stays_spent,
    a_join_that_fails_leaves_everything_as_it_was,
);
