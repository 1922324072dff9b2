//! Memberships: who is in, who decides it, and what is over when it is over.

use core::time::Duration;
use std::sync::Arc;

use guestlist::membership::member::Cause;
use guestlist::membership::{AfterRejection, By, Joins, Seats};
use guestlist::{
    Action, Address, Changes, Claim, EventFilter, Grantee, InviteDraft, LinkDraft, LinkFilter,
    MemberFilter, MemoryStore, Page, Preset, Settings, Status, Store,
};

use crate::common::{clock, link, org, org_member, over, owner, user, user_member};
use crate::{
    claim_org, claim_user, code, give, group, invite, log, person, read, sees, staff, status, uses,
    world,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A membership that waits for review opens nothing, whatever it will give one day. Vaultwarden,
/// CVE-2026-43913: an endpoint looked at the type of an invited owner and not at whether the owner
/// was confirmed, and the vault was gone.
async fn a_pending_membership_opens_nothing<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let host = org("host");
    let everyone = Grantee::Organization(guestlist::Audience::Everyone);
    give(&guestlist, "host", everyone, read(), "shared/").await;
    let draft = LinkDraft::review().role("owner".parse().unwrap());
    let (_, token) = link(&guestlist, "host", draft).await;
    let eve = user("eve").in_organization(host.clone());
    claim_user(&guestlist, &eve, &token).await.unwrap();
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    let before = log(&guestlist).await;
    assert!(!sees(&guestlist, &eve, "shared/x").await);
    assert!(!sees(&guestlist, &owner("bravo"), "@host/shared/x").await);
    let (page, ada) = (Page::default(), user_member("host-owner"));
    let refused = [
        code(guestlist.delete(&eve, &host).await),
        code(guestlist.remove(&eve, &host, &ada, None).await),
        code(guestlist.approve(&eve, &host, &user_member("eve")).await),
        code(
            guestlist
                .create_link(&eve, &host, LinkDraft::review())
                .await,
        ),
        code(
            guestlist
                .members(&eve, &host, MemberFilter::default(), &page)
                .await,
        ),
        code(
            guestlist
                .change_settings(&eve, &host, Settings::default())
                .await,
        ),
    ];
    assert_eq!(refused, ["not-found"; 6]);
    assert_eq!(log(&guestlist).await, before);
    // An invite or a role that the application states is no way around it.
    let claims_more = eve.with_role("owner".parse().unwrap());
    assert_eq!(
        code(guestlist.delete(&claims_more, &host).await),
        "not-found"
    );
}

/// Where a host reviews, an invited person waits like everybody else: having the invite, and being
/// signed in, is no approval. Discourse, CVE-2022-21684: people who were invited by mail were in
/// before anybody had approved them. HackerOne 49566: an invitation approved itself.
async fn where_a_host_reviews_no_door_lets_anybody_in<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let mut settings = Settings {
        joins: Joins::AlwaysReview,
        discoverable: true,
        ..Settings::default()
    };
    settings.requests.open = true;
    guestlist
        .change_settings(&alice, &host, settings)
        .await
        .unwrap();
    let everyone = Grantee::Organization(guestlist::Audience::Everyone);
    give(&guestlist, "host", everyone, read(), "shared/").await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let (_, mail) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let ann = person("ann", "ann@corp.example").in_organization(host.clone());
    let (ben, carl) = (user("ben"), user("carl"));
    let accepted = guestlist.accept(&ann, &mail, Claim::for_myself()).await;
    let claimed = claim_user(&guestlist, &ben, &token).await;
    let asked = guestlist
        .request(&carl, &host, Claim::for_myself(), None)
        .await;
    for opened in [accepted, claimed, asked] {
        let opened = opened.unwrap().membership;
        assert_eq!(opened.status, Some(Status::Pending));
    }
    assert!(!sees(&guestlist, &ann, "shared/x").await);
    let member = user_member("ann");
    guestlist.approve(&alice, &host, &member).await.unwrap();
    assert!(sees(&guestlist, &ann, "shared/x").await);
}

/// A removal is remembered with the member: whatever was issued before it is dead for that member,
/// also an invite that nobody had used yet; what is issued later works, and goes to review. loreai
/// 1345 (outstanding invites survived), openwork PR 3243 and PR 3272 (nothing remembered who had
/// been removed, and signing in or an old invite brought them back), New Relic, HackerOne 976441,
/// 8x8 1479894, Lark 1335070, Nextcloud 673724, nbproject 249.
async fn what_was_issued_before_a_removal_is_dead_for_whoever_was_removed<S: Store + 'static>(
    store: S,
) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let (_, spare) = link(&guestlist, "host", LinkDraft::auto()).await;
    let (_, mail) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let ann = person("ann", "ann@corp.example");
    claim_user(&guestlist, &ann, &token).await.unwrap();
    let member = user_member("ann");
    guestlist
        .remove(&alice, &host, &member, None)
        .await
        .unwrap();
    let before = log(&guestlist).await;
    for old in [&token, &spare] {
        let claimed = claim_user(&guestlist, &ann, old).await;
        assert_eq!(code(claimed), "invalid-token");
    }
    let accepted = guestlist.accept(&ann, &mail, Claim::for_myself()).await;
    assert_eq!(code(accepted), "invalid-token");
    assert_eq!(log(&guestlist).await, before);
    // For everybody else they work.
    assert!(claim_user(&guestlist, &user("ben"), &spare).await.is_ok());
    // What the host issues from then on is its answer, and a person looks at it.
    let (_, newer) = link(&guestlist, "host", LinkDraft::auto()).await;
    let back = claim_user(&guestlist, &ann, &newer)
        .await
        .unwrap()
        .membership;
    assert_eq!(back.status, Some(Status::Pending));
    assert_eq!(back.episode.get(), 2, "the same record, a new episode");
    guestlist.cancel(&ann, &host, &member).await.unwrap();
    guestlist
        .lift_removal(&alice, &host, &member)
        .await
        .unwrap();
    let back = claim_user(&guestlist, &ann, &spare).await.unwrap();
    assert_eq!(back.membership.status, Some(Status::Approved));
}

/// Once somebody is out, they are out on every way there is: keys, lists, settings, sessions that
/// still name the organization, and through the proxy user. Zulip, CVE-2016-4427 (single sign-on),
/// Outline, CVE-2025-68663 (open connections), GitLab, CVE-2023-1555 and CVE-2023-5198 (the API,
/// deploy keys), Rancher, CVE-2023-22650 (old tokens).
async fn whoever_is_out_gets_nothing_by_any_path<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let everyone = Grantee::Organization(guestlist::Audience::Everyone);
    give(&guestlist, "host", everyone, read(), "shared/").await;
    let mia = staff(&guestlist, "host", "mia", "admin")
        .await
        .with_role("admin".parse().unwrap());
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let bob = owner("bravo");
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    let direct = Grantee::Member(org_member("bravo"));
    give(&guestlist, "host", direct, read(), "direct").await;
    assert!(sees(&guestlist, &mia, "shared/x").await);
    assert!(sees(&guestlist, &bob, "@host/direct").await);
    for member in [user_member("mia"), org_member("bravo")] {
        guestlist
            .remove(&alice, &host, &member, None)
            .await
            .unwrap();
    }
    let page = Page::default();
    let (name, address) = ("host".parse().unwrap(), Address::parse("shared/x").unwrap());
    assert!(!sees(&guestlist, &mia, "shared/x").await);
    assert!(!sees(&guestlist, &mia, "@host/shared/x").await);
    assert!(guestlist.actions(&mia, &address).await.unwrap().is_empty());
    let covered = guestlist.readable(&mia, Action::Read, None).await.unwrap();
    assert!(covered.is_empty());
    for key in ["@host/direct", "@host/shared/x"] {
        assert!(!sees(&guestlist, &bob, key).await);
    }
    let covered = guestlist
        .readable(&bob, Action::Read, Some(&name))
        .await
        .unwrap();
    assert!(covered.is_empty());
    let everywhere = guestlist
        .readable_everywhere(&bob, Action::Read)
        .await
        .unwrap();
    assert!(everywhere.iter().all(|(name, _)| name.is_none()));
    let before = log(&guestlist).await;
    let refused = [
        code(
            guestlist
                .links(&mia, &host, LinkFilter::default(), &page)
                .await,
        ),
        code(guestlist.pending(&mia, &host, None, &page).await),
        code(
            guestlist
                .members(&mia, &host, MemberFilter::default(), &page)
                .await,
        ),
        code(guestlist.grants(&mia, &host, &page).await),
        code(guestlist.groups(&mia, &host, &page).await),
        code(
            guestlist
                .audit(&mia, &host, EventFilter::default(), &page)
                .await,
        ),
        code(guestlist.organization(&mia, &host).await),
        code(guestlist.create_link(&mia, &host, LinkDraft::auto()).await),
        code(guestlist.approve(&mia, &host, &org_member("bravo")).await),
    ];
    assert_eq!(refused, ["not-found"; 9]);
    assert_eq!(log(&guestlist).await, before);
}

/// Expiry ends access by itself, without any job, and what has expired stays in the list as such.
/// langwatch 7515: approving after the end still worked while the sweeper was late. dust 30522:
/// expired requests held seats.
async fn what_has_expired_is_over_without_a_sweep<S: Store + 'static>(store: S) {
    let (guestlist, clock) = world(store, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let settings = Settings {
        request_ttl: Some(HOUR),
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, settings)
        .await
        .unwrap();
    let everyone = Grantee::Organization(guestlist::Audience::Everyone);
    give(&guestlist, "host", everyone, read(), "shared/").await;
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    for name in ["ann", "ben"] {
        claim_user(&guestlist, &user(name), &token).await.unwrap();
    }
    let (ann, ben) = (user_member("ann"), user_member("ben"));
    let changes = Changes {
        expires_at: Some(crate::common::START + 2 * HOUR),
        ..Changes::default()
    };
    guestlist
        .approve_with(&alice, &host, &ann, changes)
        .await
        .unwrap();
    let acting = user("ann").in_organization(host.clone());
    assert!(sees(&guestlist, &acting, "shared/x").await);
    clock.advance(3 * HOUR);
    let before = log(&guestlist).await;
    assert!(!sees(&guestlist, &acting, "shared/x").await);
    for member in [&ann, &ben] {
        let late = guestlist.approve(&alice, &host, member).await;
        assert_eq!(code(late), "wrong-state");
    }
    let late = guestlist.reject(&alice, &host, &ben, None).await;
    assert_eq!(code(late), "wrong-state");
    assert_eq!(log(&guestlist).await, before, "nothing had to be written");
    let now = crate::common::START + 3 * HOUR;
    for member in [&ann, &ben] {
        let shown = guestlist.membership(&alice, &host, member).await.unwrap();
        assert_eq!(shown.status_at(now), Some(Status::Cancelled));
        assert_eq!(shown.cause_at(now), Some(Cause::Expired));
    }
    let filter = MemberFilter {
        status: Some(Status::Cancelled),
        ..MemberFilter::default()
    };
    let page = Page::default();
    let listed = guestlist.members(&alice, &host, filter, &page).await;
    assert_eq!(listed.unwrap().members.len(), 2);
}

/// Two reviewers who decide at once: one wins, the other is told what is so, and nothing is half
/// one and half the other. bcgov entity 2602 (approved and denied), HackerOne 604534 (a race left a
/// member that nobody could remove).
async fn of_two_decisions_at_once_one_wins_and_the_other_is_told<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let guestlist = Arc::new(guestlist);
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    for round in 0..12 {
        let name = format!("u{round}");
        claim_user(&guestlist, &user(&name), &token).await.unwrap();
        let spawn = |approves: bool| {
            let (guestlist, member) = (Arc::clone(&guestlist), user_member(&name));
            tokio::spawn(async move {
                let (alice, host) = (owner("host"), org("host"));
                if approves {
                    guestlist.approve(&alice, &host, &member).await
                } else {
                    guestlist.reject(&alice, &host, &member, None).await
                }
            })
        };
        let (yes, no) = (spawn(true), spawn(false));
        let (yes, no) = (code(yes.await.unwrap()), code(no.await.unwrap()));
        let member = user_member(&name);
        let found = status(&guestlist, "host", &member).await.unwrap();
        match (yes, no) {
            ("ok", "wrong-state") => assert_eq!(found, Status::Approved),
            ("wrong-state", "ok") => assert_eq!(found, Status::Rejected),
            other => panic!("{other:?}"),
        }
    }
}

/// However many accept at once, a host has no more members than seats. Better Auth 1.7.25: a limit of
/// two, four at once, five members. Krisp, HackerOne 1418419, SingleStore 3221185, Dust 3102890,
/// unicon 44: the limit was passed by a race or by invitations that were open.
async fn seats_hold_however_many_come_at_once<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let settings = Settings {
        seats: Some(Seats {
            limit: 3.try_into().unwrap(),
            count_pending: false,
        }),
        ..Settings::default()
    };
    guestlist
        .change_settings(&owner("host"), &org("host"), settings)
        .await
        .unwrap();
    let guestlist = Arc::new(guestlist);
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let token = Arc::new(token);
    let mut joins = Vec::new();
    for number in 0..12 {
        // Half of them by mail, half by the link.
        let address = format!("u{number}@corp.example");
        let mail = if number % 2 == 0 {
            Some(
                invite(&guestlist, "host", &address, InviteDraft::new())
                    .await
                    .1,
            )
        } else {
            None
        };
        let (guestlist, token) = (Arc::clone(&guestlist), Arc::clone(&token));
        joins.push(tokio::spawn(async move {
            let actor = person(&format!("u{number}"), &address);
            match mail {
                Some(mail) => guestlist.accept(&actor, &mail, Claim::for_myself()).await,
                None => claim_user(&guestlist, &actor, &token).await,
            }
        }));
    }
    let mut admitted = 0;
    for join in joins {
        match join.await.unwrap() {
            Ok(_) => admitted += 1,
            Err(error) => assert_eq!(error.code(), "seats-full"),
        }
    }
    assert_eq!(admitted, 2, "and the founder has the third seat");
    let filter = MemberFilter {
        status: Some(Status::Approved),
        ..MemberFilter::default()
    };
    let page = Page::default();
    let members = guestlist
        .members(&owner("host"), &org("host"), filter, &page)
        .await
        .unwrap();
    assert_eq!(members.members.len(), 3);
}

/// Who waits holds a seat where waiting counts, and being approved takes no second one; what has
/// expired holds none. sbomify 1622 and anarlog 6690: people could not take the seat that their own
/// invitation held.
async fn an_approval_uses_the_seat_that_its_request_holds<S: Store + 'static>(store: S) {
    let (guestlist, clock) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let settings = Settings {
        seats: Some(Seats {
            limit: 2.try_into().unwrap(),
            count_pending: true,
        }),
        request_ttl: Some(HOUR),
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, settings)
        .await
        .unwrap();
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    claim_user(&guestlist, &user("ann"), &token).await.unwrap();
    let full = claim_user(&guestlist, &user("ben"), &token).await;
    assert_eq!(code(full), "seats-full");
    clock.advance(2 * HOUR);
    let waits = claim_user(&guestlist, &user("ben"), &token).await.unwrap();
    assert_eq!(waits.membership.status, Some(Status::Pending));
    let approved = guestlist
        .approve(&alice, &host, &user_member("ben"))
        .await
        .unwrap();
    assert_eq!(approved.membership.status, Some(Status::Approved));
    let full = claim_user(&guestlist, &user("ann"), &token).await;
    assert_eq!(code(full), "seats-full");
}

/// Only the member itself joins, withdraws and leaves, and only who may bind an organization does so
/// for it. Slack, HackerOne 1663361, Krisp 1420070, Liberapay 360834: acceptance on behalf of the
/// victim. Mattermost, CVE-2026-28759: the far side removed whom it liked.
async fn nobody_joins_or_leaves_for_somebody_else<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo", "charlie"]).await;
    let host = org("host");
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let clerk = staff(&guestlist, "bravo", "clerk", "member").await;
    let mallory = user("mallory").in_organization(org("bravo"));
    let before = log(&guestlist).await;
    let by_clerk = guestlist
        .claim(&clerk, &token, Claim::for_organization())
        .await;
    assert_eq!(code(by_clerk), "not-allowed");
    let by_stranger = guestlist
        .claim(&mallory, &token, Claim::for_organization())
        .await;
    assert_eq!(code(by_stranger), "not-allowed", "no role there");
    let by_nobody = guestlist
        .claim(&user("mallory"), &token, Claim::for_organization())
        .await;
    assert_eq!(code(by_nobody), "not-the-member");
    assert_eq!(log(&guestlist).await, before);
    for name in ["bravo", "charlie"] {
        claim_org(&guestlist, name, &token).await.unwrap();
    }
    claim_user(&guestlist, &user("ann"), &token).await.unwrap();
    let before = log(&guestlist).await;
    let bob = owner("bravo");
    for other in [org_member("charlie"), user_member("ann")] {
        assert_eq!(
            code(guestlist.leave(&bob, &host, &other).await),
            "not-the-member"
        );
        assert_eq!(
            code(guestlist.cancel(&bob, &host, &other).await),
            "not-the-member"
        );
        assert_eq!(
            code(guestlist.remove(&bob, &host, &other, None).await),
            "not-found"
        );
    }
    let left = guestlist.leave(&clerk, &host, &org_member("bravo")).await;
    assert_eq!(code(left), "not-allowed");
    assert_eq!(log(&guestlist).await, before);
    let left = guestlist.leave(&bob, &host, &org_member("bravo")).await;
    assert!(left.unwrap().changed);
}

/// Deciding what has been decided is an error that says so, and approving again changes nothing of a
/// member. pi-dash 279: approving again put the role back; codemem 212: deciding again was taken in
/// silence.
async fn deciding_again_resets_nothing<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    claim_user(&guestlist, &user("ann"), &token).await.unwrap();
    let ann = user_member("ann");
    guestlist.approve(&alice, &host, &ann).await.unwrap();
    guestlist
        .change_role(&alice, &host, &ann, "admin".parse().unwrap())
        .await
        .unwrap();
    let before = log(&guestlist).await;
    let again = guestlist.approve(&alice, &host, &ann).await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.membership.role.unwrap().as_str(), "admin");
    let lower = Changes {
        gift: Some(Preset::default()),
        ..Changes::default()
    };
    let again = guestlist
        .approve_with(&alice, &host, &ann, lower)
        .await
        .unwrap();
    assert_eq!(again.membership.role.unwrap().as_str(), "admin");
    let rejected = guestlist.reject(&alice, &host, &ann, None).await;
    assert_eq!(code(rejected), "wrong-state");
    let error = guestlist.cancel(&user("ann"), &host, &ann).await;
    assert_eq!(code(error), "wrong-state", "that would be leaving");
    assert_eq!(log(&guestlist).await, before);
    guestlist.remove(&alice, &host, &ann, None).await.unwrap();
    let error = guestlist.approve(&alice, &host, &ann).await.unwrap_err();
    assert_eq!(error.code(), "wrong-state");
    assert!(error.to_string().contains("removed"), "{error}");
}

/// How it ended is on record: withdrawn while waiting, or left; and it is over on the host's side as
/// well. go-foks 336, status-app 15475: the request stayed with the host.
async fn withdrawing_and_leaving_are_told_apart<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    for name in ["ann", "ben"] {
        claim_user(&guestlist, &user(name), &token).await.unwrap();
    }
    let (ann, ben) = (user_member("ann"), user_member("ben"));
    guestlist.approve(&alice, &host, &ben).await.unwrap();
    guestlist.cancel(&user("ann"), &host, &ann).await.unwrap();
    guestlist.leave(&user("ben"), &host, &ben).await.unwrap();
    for (member, cause) in [(&ann, Cause::Withdrew), (&ben, Cause::Left)] {
        let shown = guestlist.membership(&alice, &host, member).await.unwrap();
        assert_eq!(shown.status, Some(Status::Cancelled));
        assert_eq!(shown.ended.unwrap().cause, cause);
    }
    let page = Page::default();
    let waiting = guestlist.pending(&alice, &host, None, &page).await.unwrap();
    assert_eq!(waiting.requests, []);
    let late = guestlist.approve(&alice, &host, &ann).await;
    assert_eq!(code(late), "wrong-state");
    // Whoever ended it themselves may always come again.
    for name in ["ann", "ben"] {
        let back = claim_user(&guestlist, &user(name), &token).await.unwrap();
        assert_eq!(back.membership.status, Some(Status::Pending));
    }
}

/// What follows a rejection is said by the host and kept with whoever was rejected, so that another
/// link is no way around it. Rule 41.
async fn another_link_is_no_way_around_a_rejection<S: Store + 'static>(store: S) {
    let (guestlist, clock) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, first) = link(&guestlist, "host", LinkDraft::review()).await;
    let (_, second) = link(&guestlist, "host", LinkDraft::auto()).await;
    let ann = user("ann");
    claim_user(&guestlist, &ann, &first).await.unwrap();
    let member = user_member("ann");
    guestlist
        .reject(&alice, &host, &member, None)
        .await
        .unwrap();
    for (after_rejection, by_first, by_second) in [
        (
            AfterRejection::CoolDown(HOUR),
            "cooling-down",
            "cooling-down",
        ),
        (AfterRejection::InviteOnly, "invite-only", "invite-only"),
    ] {
        let settings = Settings {
            after_rejection,
            ..Settings::default()
        };
        guestlist
            .change_settings(&alice, &host, settings)
            .await
            .unwrap();
        let before = log(&guestlist).await;
        assert_eq!(code(claim_user(&guestlist, &ann, &first).await), by_first);
        assert_eq!(code(claim_user(&guestlist, &ann, &second).await), by_second);
        assert_eq!(log(&guestlist).await, before);
    }
    let settings = |after_rejection| Settings {
        after_rejection,
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, settings(AfterRejection::NotThisLink))
        .await
        .unwrap();
    let same = claim_user(&guestlist, &ann, &first).await;
    assert_eq!(code(same), "rejected-link");
    // A refreshed link is the same link.
    let refreshed = guestlist
        .refresh_link(&alice, &host, id, Duration::ZERO)
        .await
        .unwrap();
    let first = refreshed.token.unwrap();
    let same = claim_user(&guestlist, &ann, &first).await;
    assert_eq!(code(same), "rejected-link");
    clock.advance(2 * HOUR);
    guestlist
        .change_settings(&alice, &host, settings(AfterRejection::CoolDown(HOUR)))
        .await
        .unwrap();
    assert!(claim_user(&guestlist, &ann, &first).await.is_ok());
}

/// The block list and the host's own state are looked at again when somebody accepts and when
/// somebody approves, not only when the invite was written. Matrix and Zulip each look at one of the
/// moments.
async fn a_block_counts_at_every_door_and_at_approval<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let (_, mail) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    let ann = person("ann", "ann@corp.example");
    let members = [org_member("bravo"), user_member("ann")];
    for member in &members {
        guestlist.block(&alice, &host, member, None).await.unwrap();
    }
    let before = log(&guestlist).await;
    let refused = [
        code(guestlist.approve(&alice, &host, &members[0]).await),
        code(claim_org(&guestlist, "bravo", &token).await),
        code(claim_user(&guestlist, &ann, &token).await),
        code(guestlist.accept(&ann, &mail, Claim::for_myself()).await),
        code(
            guestlist
                .add_member(&alice, &host, &members[1], Preset::default(), None)
                .await,
        ),
    ];
    assert_eq!(refused, ["blocked"; 5]);
    assert_eq!(log(&guestlist).await, before);
}

/// Switching review off lets nobody in who waits: that takes a decision of its own. indexnetwork
/// 1604 and 1608: the queue was admitted without anybody saying so.
async fn switching_review_off_admits_nobody_who_waits<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (id, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let members = [user_member("ann"), user_member("ben")];
    for name in ["ann", "ben"] {
        claim_user(&guestlist, &user(name), &token).await.unwrap();
    }
    let settings = Settings {
        joins: Joins::AlwaysAuto,
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, settings)
        .await
        .unwrap();
    guestlist
        .edit_link(&alice, &host, id, LinkDraft::auto())
        .await
        .unwrap();
    guestlist.sweep(100).await.unwrap();
    for member in &members {
        let found = status(&guestlist, "host", member).await;
        assert_eq!(found, Some(Status::Pending));
    }
    // And a selection of nobody is nobody.
    assert!(guestlist.approve_all(&alice, &host, &[]).await.is_empty());
    let outcomes = guestlist.reject_all(&alice, &host, &[], None).await;
    assert!(outcomes.is_empty());
    let outcomes = guestlist.remove_all(&alice, &host, &[], None).await;
    assert!(outcomes.is_empty());
    assert!(
        guestlist
            .revoke_invites(&alice, &host, &[])
            .await
            .is_empty()
    );
    let page = Page::default();
    let waiting = guestlist.pending(&alice, &host, None, &page).await.unwrap();
    assert_eq!(waiting.requests.len(), 2);
    let outcomes = guestlist.approve_all(&alice, &host, &members).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok()));
}

/// Approval by a link is the same step as approval by a person, and on record as the link's. Rule
/// 35; HackerOne 49566: an approval that nobody had given.
async fn an_automatic_approval_is_on_record_as_such<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (_, auto) = link(&guestlist, "host", LinkDraft::auto()).await;
    let (_, review) = link(&guestlist, "host", LinkDraft::review()).await;
    let joined = claim_org(&guestlist, "bravo", &auto).await.unwrap();
    assert_eq!(joined.membership.approved_by, Some(By::Policy));
    assert!(joined.membership.proxy.is_some(), "as by a person");
    let waits = claim_user(&guestlist, &user("ann"), &review).await.unwrap();
    assert_eq!(waits.membership.approved_by, None);
    let ann = user_member("ann");
    let approved = guestlist.approve(&alice, &host, &ann).await.unwrap();
    assert_eq!(approved.membership.approved_by, Some(alice.by()));
}

/// A reused id doesn't lead to what it was before: coming back is a new episode that begins with
/// nothing, and nothing given earlier counts. ZITADEL, CVE-2026-55670; Zot GHSA-c9p4-xwr9-rfhx
/// (groups were added at every sign-in and never taken away).
async fn coming_back_begins_with_what_is_given_now<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host, bob) = (owner("host"), org("host"), owner("bravo"));
    let team = group(&guestlist, "host", "team", false).await;
    give(&guestlist, "host", Grantee::Group(team), read(), "team/").await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto().group(team)).await;
    let joined = claim_org(&guestlist, "bravo", &token).await.unwrap();
    let member = org_member("bravo");
    give(
        &guestlist,
        "host",
        Grantee::Member(member.clone()),
        read(),
        "direct",
    )
    .await;
    let extra = group(&guestlist, "host", "extra", false).await;
    give(&guestlist, "host", Grantee::Group(extra), read(), "extra/").await;
    guestlist
        .add_to_group(&alice, &host, extra, &member)
        .await
        .unwrap();
    let keys = ["@host/team/x", "@host/direct", "@host/extra/x"];
    for key in keys {
        assert!(sees(&guestlist, &bob, key).await, "{key}");
    }
    guestlist.leave(&bob, &host, &member).await.unwrap();
    for key in keys {
        assert!(!sees(&guestlist, &bob, key).await, "{key}");
    }
    let (_, plain) = link(&guestlist, "host", LinkDraft::auto()).await;
    let back = claim_org(&guestlist, "bravo", &plain).await.unwrap();
    assert_eq!(back.membership.status, Some(Status::Approved));
    assert!(back.membership.groups.is_empty());
    assert_eq!(back.membership.proxy, joined.membership.proxy);
    for key in keys {
        assert!(!sees(&guestlist, &bob, key).await, "{key}");
    }
}

/// A removal that has returned is seen by the next decision, in this process and in any other on the
/// same store: rights are not remembered for a time. decocms/studio PR 5404, onetimesecret 2877,
/// kantor 59, PageSpace 424, macro PR 6427: a cache of seconds or minutes let the removed go on.
async fn a_removal_is_seen_by_the_next_decision_everywhere<S: Store + 'static>(store: S) {
    let clock = clock();
    let here = over(&store, &clock, 7);
    let there = over(&store, &clock, 8);
    crate::common::register(&here, &["host", "bravo"]).await;
    let (alice, host, bob) = (owner("host"), org("host"), owner("bravo"));
    let everyone = Grantee::Organization(guestlist::Audience::Everyone);
    let grant = give(&here, "host", everyone, read(), "shared/").await;
    let (_, token) = link(&here, "host", LinkDraft::auto()).await;
    claim_org(&here, "bravo", &token).await.unwrap();
    for _ in 0..3 {
        assert!(sees(&here, &bob, "@host/shared/x").await);
        assert!(sees(&there, &bob, "@host/shared/x").await);
    }
    here.revoke(&alice, &host, grant).await.unwrap();
    assert!(!sees(&there, &bob, "@host/shared/x").await);
    assert!(!sees(&here, &bob, "@host/shared/x").await);
    give(
        &there,
        "host",
        Grantee::Member(org_member("bravo")),
        read(),
        "shared/",
    )
    .await;
    assert!(sees(&here, &bob, "@host/shared/x").await);
    let member = org_member("bravo");
    here.remove(&alice, &host, &member, None).await.unwrap();
    assert!(!sees(&there, &bob, "@host/shared/x").await);
    assert!(!sees(&here, &bob, "@host/shared/x").await);
}

/// Putting somebody in a group while they are removed leaves nobody in it who is out, and the group
/// can be deleted. HackerOne 604534: a race left a member that could not be taken out.
async fn a_race_leaves_nobody_in_a_group_who_is_out<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let guestlist = Arc::new(guestlist);
    let (alice, host) = (owner("host"), org("host"));
    for round in 0..8 {
        let name = format!("u{round}");
        staff(&guestlist, "host", &name, "member").await;
        let team = group(&guestlist, "host", &format!("team {round}"), false).await;
        give(&guestlist, "host", Grantee::Group(team), read(), "team/").await;
        let add = {
            let (guestlist, member) = (Arc::clone(&guestlist), user_member(&name));
            tokio::spawn(async move {
                guestlist
                    .add_to_group(&owner("host"), &org("host"), team, &member)
                    .await
            })
        };
        let remove = {
            let (guestlist, member) = (Arc::clone(&guestlist), user_member(&name));
            tokio::spawn(async move {
                guestlist
                    .remove(&owner("host"), &org("host"), &member, None)
                    .await
            })
        };
        let added = code(add.await.unwrap());
        assert!(["ok", "member-not-live"].contains(&added), "{added}");
        assert_eq!(code(remove.await.unwrap()), "ok");
        let acting = user(&name).in_organization(host.clone());
        assert!(!sees(&guestlist, &acting, "team/x").await);
        let filter = MemberFilter {
            group: Some(team),
            status: Some(Status::Approved),
            ..MemberFilter::default()
        };
        let page = Page::default();
        let members = guestlist.members(&alice, &host, filter, &page).await;
        assert_eq!(members.unwrap().members, []);
        guestlist.delete_group(&alice, &host, team).await.unwrap();
    }
}

/// One record for a host and a member, through every door at once. Better Auth 1.7.25 and tokscale
/// 709: two rows for one person.
async fn a_host_and_a_member_have_one_membership<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let guestlist = Arc::new(guestlist);
    let draft = LinkDraft::auto().max_uses(guestlist::Uses::AtMost(5));
    let (id, token) = link(&guestlist, "host", draft).await;
    let token = Arc::new(token);
    let (_, mail) = invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let mail = Arc::new(mail);
    let joins: Vec<_> = (0..16)
        .map(|number| {
            let guestlist = Arc::clone(&guestlist);
            let (token, mail) = (Arc::clone(&token), Arc::clone(&mail));
            tokio::spawn(async move {
                let ann = person("ann", "ann@corp.example");
                if number % 2 == 0 {
                    claim_user(&guestlist, &ann, &token).await
                } else {
                    guestlist.accept(&ann, &mail, Claim::for_myself()).await
                }
            })
        })
        .collect();
    let mut changed = 0;
    for join in joins {
        match join.await.unwrap() {
            Ok(done) => {
                changed += u32::from(done.changed);
                assert_eq!(done.membership.episode.get(), 1);
            }
            // The invite has been accepted by then.
            Err(error) => assert_eq!(error.code(), "invalid-token"),
        }
    }
    assert!((1..=2).contains(&changed), "{changed}");
    assert!(uses(&guestlist, "host", id).await <= 1);
    let page = Page::default();
    let members = guestlist
        .members(&owner("host"), &org("host"), MemberFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(members.members.len(), 2, "the founder and one more");
}

/// Somebody who left a host is not kept from another, and what one host did about somebody is not
/// the other's. ayunis-core 1383: uniqueness reached across organizations.
#[tokio::test]
async fn what_one_host_decided_binds_no_other() {
    let (guestlist, _) = world(MemoryStore::default(), &["host", "other"]).await;
    let ann = user_member("ann");
    guestlist
        .block(&owner("host"), &org("host"), &ann, None)
        .await
        .unwrap();
    for (name, expected) in [("host", "blocked"), ("other", "ok")] {
        let (_, token) = link(&guestlist, name, LinkDraft::auto()).await;
        let claimed = claim_user(&guestlist, &user("ann"), &token).await;
        assert_eq!(code(claimed), expected, "{name}");
    }
}

on_every_store!(
    a_pending_membership_opens_nothing,
    where_a_host_reviews_no_door_lets_anybody_in,
    what_was_issued_before_a_removal_is_dead_for_whoever_was_removed,
    whoever_is_out_gets_nothing_by_any_path,
    what_has_expired_is_over_without_a_sweep,
    of_two_decisions_at_once_one_wins_and_the_other_is_told,
    seats_hold_however_many_come_at_once,
    an_approval_uses_the_seat_that_its_request_holds,
    nobody_joins_or_leaves_for_somebody_else,
    deciding_again_resets_nothing,
    withdrawing_and_leaving_are_told_apart,
    another_link_is_no_way_around_a_rejection,
    a_block_counts_at_every_door_and_at_approval,
    switching_review_off_admits_nobody_who_waits,
    an_automatic_approval_is_on_record_as_such,
    coming_back_begins_with_what_is_given_now,
    a_removal_is_seen_by_the_next_decision_everywhere,
    a_race_leaves_nobody_in_a_group_who_is_out,
    a_host_and_a_member_have_one_membership,
);
