//! Who may give what to whom, and who may take it.

use core::time::Duration;
use std::sync::Arc;

use guestlist::access_rules::{Capability, Giver, Role};
use guestlist::membership::Standing;
use guestlist::membership::link::Approval;
use guestlist::types::GroupId;
use guestlist::{
    Action, ActionSet, Actor, Changes, Claim, Decision, Denial, Grantee, Guestlist, InviteDraft,
    InviteOutcome, LinkDraft, MemoryStore, NewOrganization, Page, Pattern, Pause, Preset,
    RoleCatalog, RoleName, Settings, Status, Store,
};

use crate::common::{
    START, builder, clock, link, org, org_member, owner, register, user, user_member,
};
use crate::{
    claim_org, claim_user, code, give, group, invite, log, person, read, sees, staff, status,
    try_invite, world,
};

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn gift(name: &str) -> Preset {
    Preset {
        role: Some(role(name)),
        ..Preset::default()
    }
}

fn of_group(group: GroupId) -> Preset {
    Preset {
        groups: [group].into(),
        ..Preset::default()
    }
}

/// What came of an invite, or why there was none.
fn invited(outcome: Result<InviteOutcome, guestlist::Error>) -> String {
    match outcome {
        Ok(outcome) => outcome.code().to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// A recruiter stands above an auditor, and still holds less: settings are the auditor's.
fn recruiting() -> RoleCatalog {
    RoleCatalog::new(vec![
        Role::new(role("member"), []),
        Role::new(role("auditor"), [Capability::SettingsManage]),
        Role::new(
            role("recruiter"),
            [
                Capability::LinksCreate,
                Capability::InvitesSend,
                Capability::RequestsReview,
                Capability::MembersChangeRole,
                Capability::MembersRemove,
            ],
        ),
        Role::new(role("owner"), Capability::ALL),
    ])
    .unwrap()
}

async fn recruiting_world<S: Store>(store: S) -> (Guestlist<S>, Actor) {
    let guestlist = builder(store, &clock(), 7).roles(recruiting()).build();
    register(&guestlist, &["host"]).await;
    let rita = staff(&guestlist, "host", "rita", "recruiter").await;
    (guestlist, rita)
}

/// Nobody gives a role that holds anything that they don't, by whichever door, and what a role holds
/// is compared, not where it stands. nearai/cloud-api PR 673: of all ways only the invitation lacked
/// the ceiling, and admins invited owners. Mattermost, CVE-2026-6689: checked when a thing was
/// changed and not when it was made. sentry 56648, agenticos 1019, parchment 348, objectstack 3697.
async fn nobody_gives_a_role_that_holds_more_than_their_own<S: Store + 'static>(store: S) {
    let (guestlist, rita) = recruiting_world(store).await;
    let host = org("host");
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    claim_user(&guestlist, &user("ann"), &token).await.unwrap();
    staff(&guestlist, "host", "ben", "member").await;
    let (ann, ben) = (user_member("ann"), user_member("ben"));
    let before = log(&guestlist).await;
    for above in ["auditor", "owner"] {
        let draft = || LinkDraft::review().role(role(above));
        let changes = Changes {
            gift: Some(gift(above)),
            ..Changes::default()
        };
        let invite = InviteDraft::new().role(role(above));
        let refused = [
            code(guestlist.create_link(&rita, &host, draft()).await).to_owned(),
            code(guestlist.default_link(&rita, &host, draft()).await).to_owned(),
            invited(try_invite(&guestlist, &rita, "host", "c@corp.example", invite).await),
            code(
                guestlist
                    .add_member(&rita, &host, &user_member("carl"), gift(above), None)
                    .await,
            )
            .to_owned(),
            code(
                guestlist
                    .add_member(&rita, &host, &ben, gift(above), None)
                    .await,
            )
            .to_owned(),
            code(guestlist.approve_with(&rita, &host, &ann, changes).await).to_owned(),
            code(guestlist.change_role(&rita, &host, &ben, role(above)).await).to_owned(),
        ];
        assert_eq!(refused, ["role-above-own"; 7], "{above}");
    }
    // One's own role as little as anybody's.
    let own = guestlist
        .change_role(&rita, &host, &user_member("rita"), role("owner"))
        .await;
    assert_eq!(code(own), "role-above-own");
    let unknown = guestlist
        .change_role(&rita, &host, &ben, role("root"))
        .await;
    assert_eq!(code(unknown), "unknown-role");
    assert_eq!(log(&guestlist).await, before);
    let raised = guestlist
        .change_role(&rita, &host, &ben, role("recruiter"))
        .await;
    assert!(raised.unwrap().changed, "up to one's own");
}

/// Whoever takes from somebody needs a role that reaches as far. GitLab, CVE-2026-4916: a custom
/// role demoted and removed people above it; Grafana, CVE-2026-22640: an organization's admin
/// deleted the server's.
async fn nobody_removes_or_demotes_whoever_holds_more<S: Store + 'static>(store: S) {
    let (guestlist, rita) = recruiting_world(store).await;
    let host = org("host");
    staff(&guestlist, "host", "otto", "auditor").await;
    let before = log(&guestlist).await;
    for above in ["otto", "host-owner"] {
        let member = user_member(above);
        let removed = guestlist.remove(&rita, &host, &member, None).await;
        assert_eq!(code(removed), "role-above-own");
        let demoted = guestlist
            .change_role(&rita, &host, &member, role("member"))
            .await;
        assert_eq!(code(demoted), "role-above-own");
    }
    let deleted = guestlist.delete(&rita, &host).await;
    assert_eq!(code(deleted), "not-allowed");
    let otto = user("otto").in_organization(host.clone());
    let deleted = guestlist.delete(&otto, &host).await;
    assert_eq!(code(deleted), "role-above-own");
    assert_eq!(log(&guestlist).await, before);
}

/// Whoever lets a promise go on makes it: editing, refreshing, switching on, sending again and
/// approving each need what making it would. Cap-go 3281: an invitation that waited could be
/// rewritten upwards; Zulip bounds an edit of somebody else's link by both people.
async fn the_ceiling_is_checked_whenever_a_promise_goes_on<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let mia = staff(&guestlist, "host", "mia", "admin").await;
    let draft = || LinkDraft::review().role(role("owner"));
    let (id, token) = link(&guestlist, "host", draft()).await;
    let (off, _) = link(&guestlist, "host", draft()).await;
    guestlist.disable_link(&alice, &host, off).await.unwrap();
    let promise = InviteDraft::new().role(role("owner"));
    let (mail, _) = invite(&guestlist, "host", "ann@corp.example", promise).await;
    claim_user(&guestlist, &user("ben"), &token).await.unwrap();
    let before = log(&guestlist).await;
    let ben = user_member("ben");
    let refused = [
        code(
            guestlist
                .refresh_link(&mia, &host, id, Duration::ZERO)
                .await,
        ),
        code(guestlist.enable_link(&mia, &host, off).await),
        code(
            guestlist
                .edit_link(&mia, &host, id, LinkDraft::auto())
                .await,
        ),
        code(
            guestlist
                .edit_link(
                    &mia,
                    &host,
                    id,
                    LinkDraft::default()
                        .max_uses(guestlist::Uses::Unlimited)
                        .expiry(guestlist::Expiry::After(Duration::from_secs(60))),
                )
                .await,
        ),
        code(guestlist.resend_invite(&mia, &host, mail).await),
        code(guestlist.approve(&mia, &host, &ben).await),
    ];
    assert_eq!(refused, ["role-above-own"; 6]);
    // What is only called otherwise is no gift.
    assert_eq!(log(&guestlist).await, before);
    let label = LinkDraft::default().label("owners".parse().unwrap());
    assert!(guestlist.edit_link(&mia, &host, id, label).await.is_ok());

    // The other way round: an owner can't make an admin's link promise more than the admin may.
    let by_mia = guestlist
        .create_link(&mia, &host, LinkDraft::review())
        .await
        .unwrap()
        .link;
    let before = log(&guestlist).await;
    let raised = guestlist.edit_link(&alice, &host, by_mia.id, draft()).await;
    assert_eq!(code(raised), "role-above-own");
    assert_eq!(log(&guestlist).await, before);
}

/// A group is a gift of all that it reaches, by whatever door somebody comes into it, and taking out
/// needs what putting in does. authentik, CVE-2026-40172: groups set through the user, and not
/// through the group, were not checked. Craft CMS, CVE-2026-41128: additions were checked, removals
/// were not.
async fn a_group_is_given_and_taken_by_whoever_may_give_what_it_reaches<S: Store + 'static>(
    store: S,
) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let mia = staff(&guestlist, "host", "mia", "admin").await;
    let secret = group(&guestlist, "host", "secret", false).await;
    let outer = group(&guestlist, "host", "outer", false).await;
    let plain = group(&guestlist, "host", "plain", false).await;
    give(&guestlist, "host", Grantee::Group(outer), read(), "secret/").await;
    guestlist
        .nest_group(&alice, &host, outer, secret)
        .await
        .unwrap();
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    claim_user(&guestlist, &user("ann"), &token).await.unwrap();
    staff(&guestlist, "host", "ben", "member").await;
    let ben = user_member("ben");
    guestlist
        .add_to_group(&alice, &host, secret, &ben)
        .await
        .unwrap();
    let before = log(&guestlist).await;
    let changes = Changes {
        gift: Some(of_group(secret)),
        ..Changes::default()
    };
    let invite = InviteDraft::new().group(secret);
    let own = user_member("mia");
    let refused = [
        code(
            guestlist
                .create_link(&mia, &host, LinkDraft::review().group(secret))
                .await,
        )
        .to_owned(),
        invited(try_invite(&guestlist, &mia, "host", "c@corp.example", invite).await),
        code(
            guestlist
                .add_member(&mia, &host, &user_member("carl"), of_group(secret), None)
                .await,
        )
        .to_owned(),
        code(
            guestlist
                .approve_with(&mia, &host, &user_member("ann"), changes)
                .await,
        )
        .to_owned(),
        code(guestlist.add_to_group(&mia, &host, secret, &own).await).to_owned(),
        code(guestlist.nest_group(&mia, &host, secret, plain).await).to_owned(),
        code(guestlist.remove_from_group(&mia, &host, secret, &ben).await).to_owned(),
        code(guestlist.unnest_group(&mia, &host, outer, secret).await).to_owned(),
        code(guestlist.delete_group(&mia, &host, secret).await).to_owned(),
    ];
    assert_eq!(refused, ["share-not-held"; 9]);
    assert_eq!(log(&guestlist).await, before);
    // Mia has the capability, and gives what reaches nothing.
    assert!(
        guestlist
            .add_to_group(&mia, &host, plain, &own)
            .await
            .is_ok()
    );
    let member = staff(&guestlist, "host", "max", "member").await;
    let refused = guestlist.add_to_group(&member, &host, plain, &own).await;
    assert_eq!(code(refused), "missing-capability");
}

/// A grant is given by whoever may share there and holds what is given there; reading gives no right
/// to give. Vaultwarden, CVE-2026-27803: the check asked for access where it had to ask for managing.
async fn reading_is_no_right_to_share<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let mia = staff(&guestlist, "host", "mia", "admin").await;
    let to = || Grantee::Member(user_member("mia"));
    let team = || Pattern::parse("team/").unwrap();
    let offer = |actions| guestlist.grant(&mia, &host, to(), actions, team(), None);
    let everything = ActionSet::of(&[
        Action::Read,
        Action::Create,
        Action::Update,
        Action::Delete,
        Action::PublicRead,
    ]);
    give(&guestlist, "host", to(), everything, "team/").await;
    let before = log(&guestlist).await;
    assert_eq!(code(offer(read()).await), "share-not-held");
    assert_eq!(log(&guestlist).await, before);
    let share = ActionSet::of(&[Action::Share]);
    let lent = give(&guestlist, "host", to(), share, "team/").await;
    // Sharing gives what is held, over what it is held over.
    let wider = guestlist
        .grant(&mia, &host, to(), read(), Pattern::all(), None)
        .await;
    assert_eq!(code(wider), "share-not-held");
    staff(&guestlist, "host", "ben", "member").await;
    let ben = Grantee::Member(user_member("ben"));
    let given = guestlist
        .grant(&mia, &host, ben, read(), team(), None)
        .await
        .unwrap();
    guestlist.revoke(&alice, &host, lent).await.unwrap();
    let before = log(&guestlist).await;
    assert_eq!(code(offer(read()).await), "share-not-held");
    let back = guestlist.revoke(&mia, &host, given.id).await;
    assert_eq!(code(back), "share-not-held");
    assert_eq!(log(&guestlist).await, before);
    // What was given with it is not hidden: the list says by whom, and it can be taken back.
    let (grants, _) = guestlist
        .grants(&alice, &host, &Page::default())
        .await
        .unwrap();
    let kept = grants
        .iter()
        .filter(|grant| grant.giver == Giver::User("mia".parse().unwrap()));
    assert_eq!(kept.map(|grant| grant.id).collect::<Vec<_>>(), [given.id]);
    guestlist.revoke(&alice, &host, given.id).await.unwrap();
    let ben = user("ben").in_organization(host);
    assert!(!sees(&guestlist, &ben, "team/x").await);
}

/// A link or an invite works while its creator stands for it, at the claim, at the acceptance and at
/// the approval; a host may say otherwise, and says so. Omise, HackerOne 3303136, and ToolJet 16229:
/// whoever had been removed had invitations out that let people in.
async fn an_invite_is_dead_once_its_sender_is_gone<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    for gone in ["removed", "demoted"] {
        let mia = staff(&guestlist, "host", gone, "admin").await;
        let issued = guestlist
            .create_link(&mia, &host, LinkDraft::review())
            .await
            .unwrap();
        let token = issued.token.unwrap();
        let address = format!("{gone}@corp.example");
        let sent = try_invite(&guestlist, &mia, "host", &address, InviteDraft::new())
            .await
            .unwrap();
        let InviteOutcome::Invited(sent) = sent else {
            panic!("{sent:?}");
        };
        let mail = sent.token.unwrap();
        let early = format!("early-{gone}");
        claim_user(&guestlist, &user(&early), &token).await.unwrap();
        let member = user_member(gone);
        if gone == "removed" {
            guestlist
                .remove(&alice, &host, &member, None)
                .await
                .unwrap();
        } else {
            guestlist
                .change_role(&alice, &host, &member, role("member"))
                .await
                .unwrap();
        }
        let before = log(&guestlist).await;
        let ann = person("ann", &address);
        let late = claim_user(&guestlist, &ann, &token).await;
        assert_eq!(code(late), "invalid-token", "{gone}");
        let late = guestlist.accept(&ann, &mail, Claim::for_myself()).await;
        assert_eq!(code(late), "invalid-token", "{gone}");
        assert_eq!(code(guestlist.preview_invite(&mail).await), "invalid-token");
        let early = user_member(&early);
        let late = guestlist.approve(&alice, &host, &early).await;
        assert_eq!(code(late), "creator-not-standing", "{gone}");
        let again = guestlist.resend_invite(&alice, &host, sent.invite.id).await;
        assert_eq!(code(again), "inviter-not-standing", "{gone}");
        assert_eq!(log(&guestlist).await, before);
        // A reviewer may give in their own name.
        let changes = Changes {
            gift: Some(gift("member")),
            ..Changes::default()
        };
        let own = guestlist.approve_with(&alice, &host, &early, changes).await;
        assert_eq!(code(own), "ok");
        let keep = Settings {
            standing: Standing::Keep,
            ..Settings::default()
        };
        guestlist
            .change_settings(&alice, &host, keep)
            .await
            .unwrap();
        assert!(guestlist.preview_invite(&mail).await.is_ok());
        guestlist
            .change_settings(&alice, &host, Settings::default())
            .await
            .unwrap();
    }
}

/// A link that was made by somebody who can't approve never approves by itself, and neither does an
/// invite by them. inventaire 471: members invited past the queue.
async fn what_is_made_by_somebody_who_cannot_approve_goes_to_review<S: Store + 'static>(store: S) {
    let (guestlist, rita) = recruiting_world(store).await;
    let (alice, host) = (owner("host"), org("host"));
    let before = log(&guestlist).await;
    let auto = guestlist.create_link(&rita, &host, LinkDraft::auto()).await;
    assert_eq!(code(auto), "not-allowed");
    assert_eq!(log(&guestlist).await, before);
    let settings = Settings {
        link_defaults: LinkDraft::auto(),
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, settings)
        .await
        .unwrap();
    let issued = guestlist
        .create_link(&rita, &host, LinkDraft::default())
        .await
        .unwrap();
    assert_eq!(issued.link.config.approval, Approval::Review);
    let edited = guestlist
        .edit_link(&rita, &host, issued.link.id, LinkDraft::auto())
        .await;
    assert_eq!(code(edited), "not-allowed");
    let claimed = claim_user(&guestlist, &user("ann"), &issued.token.unwrap()).await;
    assert_eq!(claimed.unwrap().membership.status, Some(Status::Pending));
    let sent = try_invite(
        &guestlist,
        &rita,
        "host",
        "b@corp.example",
        InviteDraft::new(),
    )
    .await;
    let InviteOutcome::Invited(sent) = sent.unwrap() else {
        panic!("not invited");
    };
    let ben = person("ben", "b@corp.example");
    let accepted = guestlist
        .accept(&ben, &sent.token.unwrap(), Claim::for_myself())
        .await;
    assert_eq!(accepted.unwrap().membership.status, Some(Status::Pending));
}

/// There is always an owner: the last one can't leave, be demoted, be removed or run out, also when
/// two go at once. Bitwarden, HackerOne 272570, Paragon 274541, WePay 142842, Helium 835005: an
/// invited person removed the owner or became the owner.
async fn an_organization_keeps_an_owner<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let guestlist = Arc::new(guestlist);
    let (alice, host) = (owner("host"), org("host"));
    let last = user_member("host-owner");
    let before = log(&guestlist).await;
    let refused = [
        code(guestlist.leave(&alice, &host, &last).await),
        code(guestlist.remove(&alice, &host, &last, None).await),
        code(
            guestlist
                .change_role(&alice, &host, &last, role("admin"))
                .await,
        ),
        code(guestlist.remove(&Actor::system(), &host, &last, None).await),
    ];
    assert_eq!(refused, ["last-owner"; 4]);
    let timed = guestlist
        .add_member(
            &alice,
            &host,
            &user_member("tim"),
            gift("owner"),
            Some(START + Duration::from_secs(3600)),
        )
        .await;
    assert_eq!(code(timed), "owner-can-not-expire");
    assert_eq!(log(&guestlist).await, before);
    for round in 0..8 {
        let name = format!("co{round}");
        let host_name = format!("h{round}");
        register(&guestlist, &[&host_name]).await;
        staff(&guestlist, &host_name, &name, "owner").await;
        let leave = |who: String| {
            let (guestlist, host) = (Arc::clone(&guestlist), org(&host_name));
            tokio::spawn(async move {
                let member = user_member(&who);
                guestlist.leave(&user(&who), &host, &member).await
            })
        };
        let (one, two) = (leave(name), leave(format!("{host_name}-owner")));
        let mut codes = [code(one.await.unwrap()), code(two.await.unwrap())];
        codes.sort_unstable();
        assert_eq!(codes, ["last-owner", "ok"]);
    }
}

/// Settings that decide who is let in are no way around what the setter may give: they have a
/// capability of their own, and the gift in them has the same ceiling. Mattermost, CVE-2025-14573: a
/// team's settings were a way to let people in for those who could not invite.
async fn settings_are_no_way_around_the_ceiling<S: Store + 'static>(store: S) {
    let guestlist = builder(store, &clock(), 7).roles(recruiting()).build();
    register(&guestlist, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let otto = staff(&guestlist, "host", "otto", "auditor").await;
    let rita = staff(&guestlist, "host", "rita", "recruiter").await;
    let secret = group(&guestlist, "host", "secret", false).await;
    let mut open = Settings::default();
    open.requests.open = true;
    let before = log(&guestlist).await;
    let refused = guestlist.change_settings(&rita, &host, open.clone()).await;
    assert_eq!(code(refused), "not-allowed");
    let mut raised = open.clone();
    raised.requests.preset = gift("owner");
    let refused = guestlist.change_settings(&otto, &host, raised).await;
    assert_eq!(code(refused), "role-above-own");
    let mut grouped = open;
    grouped.requests.preset = of_group(secret);
    let refused = guestlist.change_settings(&otto, &host, grouped).await;
    assert_eq!(code(refused), "missing-capability");
    assert_eq!(log(&guestlist).await, before);
    // Defaults of links are given by whoever makes the link, so they are held to that person.
    let defaults = Settings {
        link_defaults: LinkDraft::review().role(role("owner")),
        ..Settings::default()
    };
    guestlist
        .change_settings(&alice, &host, defaults)
        .await
        .unwrap();
    let made = guestlist
        .create_link(&rita, &host, LinkDraft::default())
        .await;
    assert_eq!(code(made), "role-above-own");
}

/// A proxy user has no role, gives nothing, invites nobody and is in no internal group, whatever a
/// preset or a group says. NocoDB, CVE-2026-46552: whoever came by a link could invite.
async fn a_proxy_user_never_manages_shares_or_invites<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host, bob) = (owner("host"), org("host"), owner("bravo"));
    let inner = group(&guestlist, "host", "inner", true).await;
    let team = group(&guestlist, "host", "team", false).await;
    let before = log(&guestlist).await;
    let into = guestlist
        .create_link(&alice, &host, LinkDraft::auto().group(inner))
        .await;
    assert_eq!(code(into), "internal-group");
    let external = guestlist
        .set_external_group(&alice, &host, Some(inner))
        .await;
    assert_eq!(code(external), "internal-group");
    assert_eq!(log(&guestlist).await, before);
    let draft = LinkDraft::auto().role(role("owner"));
    let (_, token) = link(&guestlist, "host", draft).await;
    let joined = claim_org(&guestlist, "bravo", &token).await.unwrap();
    assert_eq!(joined.membership.role, None);
    let bravo = org_member("bravo");
    guestlist
        .add_to_group(&alice, &host, team, &bravo)
        .await
        .unwrap();
    let share = ActionSet::of(&[Action::Share, Action::Read]);
    give(&guestlist, "host", Grantee::Group(team), share, "team/").await;
    assert!(sees(&guestlist, &bob, "@host/team/x").await);
    let address = "@host/team/x".parse().unwrap();
    let shared = guestlist.decide(&bob, Action::Share, &address).await;
    // Not by a group either, and nobody is told that it is because of what they are there.
    assert_eq!(shared.unwrap(), Decision::Deny(Denial::NoGrant));
    let before = log(&guestlist).await;
    let refused = [
        code(guestlist.add_to_group(&alice, &host, inner, &bravo).await),
        code(guestlist.nest_group(&alice, &host, inner, team).await),
        code(guestlist.mark_internal(&alice, &host, team, true).await),
        code(
            guestlist
                .change_role(&alice, &host, &bravo, role("owner"))
                .await,
        ),
        code(
            guestlist
                .create_link(&bob, &host, LinkDraft::review())
                .await,
        ),
        code(
            guestlist
                .grant(
                    &bob,
                    &host,
                    Grantee::Member(bravo.clone()),
                    read(),
                    Pattern::all(),
                    None,
                )
                .await,
        ),
    ];
    assert_eq!(
        refused,
        [
            "internal-group",
            "internal-group",
            "outsider-in-group",
            "proxy-has-no-role",
            "not-found",
            "not-found",
        ]
    );
    let sent = try_invite(
        &guestlist,
        &bob,
        "host",
        "x@corp.example",
        InviteDraft::new(),
    )
    .await;
    assert_eq!(invited(sent), "not-found");
    assert_eq!(log(&guestlist).await, before);
}

/// A link that names a group deleted meanwhile gives neither less nor more in silence: it goes to
/// review, and the reviewer is told. A renamed group is the same group; a new one of the old name is
/// another, and inherits nothing. Keycloak skipped a removed role and Better Auth kept the rest of
/// the teams; openwork 3277, ai-dba-workbench 51, galaxy 15350, obot 7655, discord/access 469.
async fn a_deleted_group_is_told_and_a_new_one_inherits_nothing<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let team = group(&guestlist, "host", "team", false).await;
    give(&guestlist, "host", Grantee::Group(team), read(), "team/").await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto().group(team)).await;
    guestlist
        .rename_group(&alice, &host, team, "crew".parse().unwrap())
        .await
        .unwrap();
    claim_user(&guestlist, &user("ann"), &token).await.unwrap();
    let ann = user("ann").in_organization(host.clone());
    assert!(sees(&guestlist, &ann, "team/x").await);
    let (_, review) = link(&guestlist, "host", LinkDraft::review().group(team)).await;
    claim_user(&guestlist, &user("ben"), &review).await.unwrap();
    guestlist.delete_group(&alice, &host, team).await.unwrap();
    assert!(!sees(&guestlist, &ann, "team/x").await, "at once");
    let again = group(&guestlist, "host", "crew", false).await;
    assert_ne!(again, team);
    give(&guestlist, "host", Grantee::Group(again), read(), "crew/").await;
    for key in ["team/x", "crew/x"] {
        assert!(!sees(&guestlist, &ann, key).await, "{key}");
    }
    assert_eq!(
        guestlist.group_members(&alice, &host, again).await.unwrap(),
        []
    );
    let waits = claim_user(&guestlist, &user("carl"), &token).await.unwrap();
    assert_eq!(waits.membership.status, Some(Status::Pending));
    let before = log(&guestlist).await;
    for name in ["ben", "carl"] {
        let told = guestlist
            .approve(&alice, &host, &user_member(name))
            .await
            .unwrap_err();
        assert_eq!(told.code(), "not-found");
        assert_eq!(told.to_string(), "no such group");
    }
    assert_eq!(log(&guestlist).await, before);
}

/// Groups contain each other one way round only: a circle is refused when it would be made.
/// thunderid 4679, LabAPI 439 (a stack overflow), opensearch-project/security 887.
async fn a_circle_of_groups_is_refused<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let mut groups = Vec::new();
    for number in 0..40 {
        groups.push(group(&guestlist, "host", &format!("g{number}"), false).await);
    }
    for pair in groups.windows(2) {
        guestlist
            .nest_group(&alice, &host, pair[0], pair[1])
            .await
            .unwrap();
    }
    let before = log(&guestlist).await;
    let (first, last) = (groups[0], groups[39]);
    let circle = guestlist.nest_group(&alice, &host, last, first).await;
    assert_eq!(code(circle), "group-cycle");
    let itself = guestlist.nest_group(&alice, &host, first, first).await;
    assert_eq!(code(itself), "group-cycle");
    assert_eq!(log(&guestlist).await, before);
    give(&guestlist, "host", Grantee::Group(first), read(), "deep/").await;
    let mia = staff(&guestlist, "host", "mia", "member").await;
    guestlist
        .add_to_group(&alice, &host, last, &user_member("mia"))
        .await
        .unwrap();
    assert!(sees(&guestlist, &mia, "deep/x").await);
}

/// Whoever is not a member is in no group and has no grant: membership comes first, and neither waits
/// for somebody to come. Rule 59; Keycloak and Better Auth clear both with the membership.
async fn a_group_and_a_grant_need_a_membership_first<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let team = group(&guestlist, "host", "team", false).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::review()).await;
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    let before = log(&guestlist).await;
    let bravo = org_member("bravo");
    let added = guestlist.add_to_group(&alice, &host, team, &bravo).await;
    assert_eq!(code(added), "member-not-live");
    let given = guestlist
        .grant(
            &alice,
            &host,
            Grantee::Member(bravo),
            read(),
            Pattern::all(),
            None,
        )
        .await;
    assert_eq!(code(given), "member-not-live");
    assert_eq!(log(&guestlist).await, before);
}

/// There are several ways to stop a link, and each of them is enough. Keycloak, CVE-2026-8922: of two
/// levels of revocation one was not looked at.
async fn each_level_of_revocation_is_enough<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let (alice, host, system) = (owner("host"), org("host"), Actor::system());
    let (id, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let ann = user_member("ann");
    let tried = || async {
        let claimed = code(claim_user(&guestlist, &user("ann"), &token).await);
        assert_eq!(status(&guestlist, "host", &ann).await, None);
        claimed
    };
    guestlist
        .pause_links(&alice, &host, Pause::UntilResumed)
        .await
        .unwrap();
    assert_eq!(tried().await, "invalid-token");
    guestlist.suspend(&system, &host).await.unwrap();
    // Lifting one of them leaves the other.
    guestlist.resume_links(&system, &host).await.unwrap();
    assert_eq!(tried().await, "invalid-token");
    guestlist.resume(&system, &host).await.unwrap();
    assert!(guestlist.preview(&token).await.is_ok(), "both are lifted");
    guestlist
        .pause_links(&alice, &host, Pause::UntilResumed)
        .await
        .unwrap();
    guestlist.disable_link(&alice, &host, id).await.unwrap();
    guestlist.resume_links(&alice, &host).await.unwrap();
    assert_eq!(tried().await, "invalid-token");
    guestlist.enable_link(&alice, &host, id).await.unwrap();
    assert_eq!(tried().await, "invalid-token");
    guestlist.delete_link(&alice, &host, id).await.unwrap();
    assert_eq!(tried().await, "invalid-token");
}

/// An organization without a founder has nobody who may do anything until the host application says
/// so; the first to come is no owner. WePay, HackerOne 142842: an invited person became the owner.
#[tokio::test]
async fn the_first_to_join_is_no_owner() {
    let guestlist = builder(MemoryStore::default(), &clock(), 7).build();
    let new = NewOrganization::new(org("empty"), "empty".parse().unwrap());
    guestlist.register(new).await.unwrap();
    let host = org("empty");
    let issued = guestlist
        .create_link(&Actor::system(), &host, LinkDraft::auto())
        .await
        .unwrap();
    let joined = claim_user(&guestlist, &user("first"), &issued.token.unwrap())
        .await
        .unwrap();
    assert_eq!(joined.membership.role.unwrap().as_str(), "member");
    let first = user("first").in_organization(host.clone());
    let link = guestlist
        .create_link(&first, &host, LinkDraft::review())
        .await;
    assert_eq!(code(link), "not-allowed");
    assert!(!sees(&guestlist, &first, "x").await);
}

on_every_store!(
    nobody_gives_a_role_that_holds_more_than_their_own,
    nobody_removes_or_demotes_whoever_holds_more,
    the_ceiling_is_checked_whenever_a_promise_goes_on,
    a_group_is_given_and_taken_by_whoever_may_give_what_it_reaches,
    reading_is_no_right_to_share,
    an_invite_is_dead_once_its_sender_is_gone,
    what_is_made_by_somebody_who_cannot_approve_goes_to_review,
    an_organization_keeps_an_owner,
    settings_are_no_way_around_the_ceiling,
    a_proxy_user_never_manages_shares_or_invites,
    a_deleted_group_is_told_and_a_new_one_inherits_nothing,
    a_circle_of_groups_is_refused,
    a_group_and_a_grant_need_a_membership_first,
    each_level_of_revocation_is_enough,
);
