//! One tenant and another: ids, names, keys, and the way through a proxy user.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use guestlist::access_rules::PresetGrant;
use guestlist::membership::Unreachable;
use guestlist::membership::member::ActingRule;
use guestlist::{
    Action, ActionSet, Address, Audience, Claim, DecisionRecord, Denial, EventFilter, Grantee,
    InviteDraft, Key, LinkDraft, Member, MemberFilter, MemoryStore, Observer, OrgName, Page,
    Pattern, Preset, RoleName, Settings, Store, Subject, UserId,
};

use crate::common::{builder, clock, link, org, org_member, owner, register, user, user_member};
use crate::{
    claim_org, claim_user, code, give, group, invite, log, person, read, sees, staff, world,
};

/// The ids of one organization are, to the people of another, the same as ids that were never
/// given: for reading, changing, sending again and deciding, and nothing happens. Sentry (37 patches
/// in a year), ZITADEL, CVE-2026-32131, Grafana, CVE-2026-21721, Langflow, CVE-2026-55255, Uber,
/// HackerOne 1063022, keycloak 47080: the right was checked, the tenant of the target was not, or
/// only on one of the ways to it.
async fn ids_of_another_organization_are_unknown<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let (link_id, token) = link(&guestlist, "host", LinkDraft::review()).await;
    let (invite_id, mail) =
        invite(&guestlist, "host", "ann@corp.example", InviteDraft::new()).await;
    let team = group(&guestlist, "host", "team", false).await;
    let grant = give(&guestlist, "host", Grantee::Group(team), read(), "team/").await;
    claim_user(&guestlist, &user("ann"), &token).await.unwrap();
    // A manager of bravo, in bravo: everything there is theirs, and none of this is there.
    let (bob, bravo) = (owner("bravo"), org("bravo"));
    let (never_link, _) = link(&guestlist, "bravo", LinkDraft::auto()).await;
    guestlist
        .delete_link(&bob, &bravo, never_link)
        .await
        .unwrap();
    let before = log(&guestlist).await;
    let ann = user_member("ann");
    let admin: RoleName = "admin".parse().unwrap();
    let in_bravo = [
        code(guestlist.disable_link(&bob, &bravo, link_id).await),
        code(guestlist.enable_link(&bob, &bravo, link_id).await),
        code(guestlist.delete_link(&bob, &bravo, link_id).await),
        code(
            guestlist
                .edit_link(&bob, &bravo, link_id, LinkDraft::auto())
                .await,
        ),
        code(
            guestlist
                .refresh_link(&bob, &bravo, link_id, Duration::ZERO)
                .await,
        ),
        code(guestlist.funnel(&bob, &bravo, link_id).await),
        code(guestlist.inspect(&bob, &bravo, &token).await),
        code(guestlist.email_invite(&bob, &bravo, invite_id).await),
        code(guestlist.resend_invite(&bob, &bravo, invite_id).await),
        code(guestlist.revoke_invite(&bob, &bravo, invite_id).await),
        code(guestlist.inspect_invite(&bob, &bravo, &mail).await),
        code(guestlist.membership(&bob, &bravo, &ann).await),
        code(guestlist.approve(&bob, &bravo, &ann).await),
        code(guestlist.reject(&bob, &bravo, &ann, None).await),
        code(guestlist.remove(&bob, &bravo, &ann, None).await),
        code(
            guestlist
                .change_role(&bob, &bravo, &ann, admin.clone())
                .await,
        ),
        code(guestlist.group_members(&bob, &bravo, team).await),
    ];
    assert_eq!(in_bravo, ["not-found"; 17]);
    // The same words for what never was there.
    assert_eq!(
        guestlist
            .disable_link(&bob, &bravo, link_id)
            .await
            .unwrap_err()
            .to_string(),
        guestlist
            .disable_link(&bob, &bravo, never_link)
            .await
            .unwrap_err()
            .to_string(),
    );
    let in_bravo = [
        code(guestlist.delete_group(&bob, &bravo, team).await),
        code(guestlist.mark_internal(&bob, &bravo, team, true).await),
        code(
            guestlist
                .add_to_group(&bob, &bravo, team, &user_member("bravo-owner"))
                .await,
        ),
        code(guestlist.nest_group(&bob, &bravo, team, team).await),
    ];
    assert_eq!(in_bravo, ["group-not-found"; 4]);
    assert_eq!(
        code(guestlist.revoke(&bob, &bravo, grant).await),
        "grant-not-found"
    );
    let draft = LinkDraft::auto().group(team);
    let made = guestlist.create_link(&bob, &bravo, draft).await;
    assert_eq!(
        code(made),
        "not-found",
        "a preset takes no group from next door"
    );
    // The same manager in the other organization is nobody there.
    let claims = bob.clone().in_organization(bravo.clone());
    let page = Page::default();
    let in_host = [
        code(guestlist.disable_link(&claims, &host, link_id).await),
        code(guestlist.resend_invite(&claims, &host, invite_id).await),
        code(guestlist.approve(&claims, &host, &ann).await),
        code(
            guestlist
                .members(&claims, &host, MemberFilter::default(), &page)
                .await,
        ),
        code(guestlist.group_members(&claims, &host, team).await),
        code(guestlist.revoke_invite(&claims, &host, invite_id).await),
    ];
    assert_eq!(in_host, ["not-found"; 6]);
    let by_batch = guestlist
        .approve_all(&claims, &host, std::slice::from_ref(&ann))
        .await;
    assert_eq!(
        by_batch.into_iter().map(code).collect::<Vec<_>>(),
        ["not-found"]
    );
    assert_eq!(log(&guestlist).await, before);
    assert!(guestlist.approve(&alice, &host, &ann).await.is_ok());
}

/// Where somebody is an owner is part of who they are: being one in one organization, or saying so,
/// is nothing in another. Sentry, CVE-2026-42354 and CVE-2026-27197: what the identity provider of
/// one organization said was believed in another.
async fn a_role_counts_in_its_own_organization_only<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let host = org("host");
    let stated = user("eve")
        .in_organization(org("bravo"))
        .with_role("owner".parse().unwrap());
    let before = log(&guestlist).await;
    let refused = [
        code(
            guestlist
                .create_link(&stated, &host, LinkDraft::auto())
                .await,
        ),
        code(guestlist.organization(&stated, &host).await),
        code(guestlist.delete(&stated, &host).await),
        code(
            guestlist
                .rename(&stated, &host, "bravos".parse().unwrap())
                .await,
        ),
    ];
    assert_eq!(refused, ["not-found"; 4]);
    assert_eq!(log(&guestlist).await, before);
    assert!(!sees(&guestlist, &stated, "@host/x").await);
}

/// The audit trail shows the organization that was asked about, whatever else the filter names, and
/// only to those who may read it. Outline, CVE-2026-28506: the activity log told of things that the
/// reader could not see.
async fn the_audit_trail_shows_its_own_organization_only<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (secret, _) = link(&guestlist, "host", LinkDraft::auto()).await;
    let (bob, bravo, page) = (owner("bravo"), org("bravo"), Page::default());
    let filters = [
        EventFilter::of(org("host")),
        EventFilter {
            link: Some(secret),
            ..EventFilter::default()
        },
        EventFilter {
            by: Some("host-owner".parse().unwrap()),
            ..EventFilter::default()
        },
    ];
    for filter in filters {
        let shown = guestlist.audit(&bob, &bravo, filter, &page).await.unwrap();
        assert!(shown.events.iter().all(|event| event.organization == bravo));
        assert!(!format!("{shown:?}").contains(&secret.to_string()));
    }
    let clerk = staff(&guestlist, "bravo", "clerk", "admin").await;
    let asked = guestlist
        .audit(&clerk, &bravo, EventFilter::default(), &page)
        .await;
    assert_eq!(code(asked), "not-allowed");
}

/// A host that is not to be found is not there: not in a search, not for a request, and an address
/// through it is answered like one through nobody. Keycloak, CVE-2026-9791: what was switched off
/// still told of organizations.
async fn an_organization_that_hides_tells_nothing<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let hidden = guestlist
        .discover(None, &Page::default())
        .await
        .unwrap()
        .organizations;
    assert_eq!(hidden, []);
    let bob = owner("bravo");
    let ask = |id: &'static str| {
        let (guestlist, bob) = (&guestlist, &bob);
        async move {
            guestlist
                .request(bob, &org(id), Claim::for_organization(), None)
                .await
                .unwrap_err()
                .to_string()
        }
    };
    assert_eq!(ask("host").await, ask("nobody").await);
    let decide = |text: &'static str| {
        let (guestlist, bob) = (&guestlist, &bob);
        async move {
            let address = Address::parse(text).unwrap();
            guestlist.decide(bob, Action::Read, &address).await.unwrap()
        }
    };
    assert_eq!(decide("@host/x").await, decide("@nobody/x").await);
    let key = Key::parse("x").unwrap();
    let (here, nowhere): (OrgName, OrgName) = ("host".parse().unwrap(), "nobody".parse().unwrap());
    assert_eq!(
        guestlist.decide_public(&here, &key).await.unwrap(),
        guestlist.decide_public(&nowhere, &key).await.unwrap(),
    );
}

/// Handles and ids are compared byte for byte, and handles have no letters that look like others.
/// GitHub's password reset (2016), Defend Iceland (2025), Frontegg, HackerOne 2033005 (a dotted
/// capital I), and the crate `idna`, RUSTSEC-2024-0421: two identities that became one.
#[tokio::test]
async fn no_two_identities_become_one() {
    for name in [
        "p\u{430}ypal",
        "admin\u{130}",
        "Admin",
        "ad min",
        "xn--",
        "b\u{fc}ro",
        "a\u{200d}b",
        "\u{ff41}",
    ] {
        assert!(OrgName::parse(name).is_err(), "{name:?}");
    }
    let ids = ["ada", "Ada", "ADA", "ada1", "ada01"];
    let (guestlist, _) = world(MemoryStore::default(), &["host"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    for id in ids {
        let joined = claim_user(&guestlist, &user(id), &token).await.unwrap();
        assert!(joined.changed, "{id} is somebody of its own");
    }
    assert!(UserId::parse("ad\u{e4}").is_err());
    assert!(
        UserId::parse("proxy_x").is_err(),
        "and nobody is called like a proxy user"
    );
    // "\u{212a}" is a Kelvin sign, which lower-cases to a `k`.
    let kate = person("kate", "kate@corp.example");
    let (_, mail) = invite(&guestlist, "host", "kate@corp.example", InviteDraft::new()).await;
    if let Ok(address) = "\u{212a}ate@corp.example".parse() {
        let mallory = user("mallory").with_verified_email(address);
        let accepted = guestlist.accept(&mallory, &mail, Claim::for_myself()).await;
        assert_eq!(code(accepted), "wrong-account");
    }
    assert!(
        guestlist
            .accept(&kate, &mail, Claim::for_myself())
            .await
            .is_ok()
    );
}

/// A handle is never another's: not after renaming, and not after deletion. Model Context Protocol
/// registry 1422 and semaphore PR 246: what was addressed by an old name reached whoever took it.
async fn a_handle_is_never_another_organizations<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo", "thief"]).await;
    let (alice, host, bob) = (owner("host"), org("host"), owner("bravo"));
    let everyone = Grantee::Organization(Audience::Everyone);
    give(&guestlist, "host", everyone, read(), "shared/").await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    guestlist
        .rename(&alice, &host, "hosts".parse().unwrap())
        .await
        .unwrap();
    let (robber, den) = (owner("thief"), org("thief"));
    let thief = || guestlist.rename(&robber, &den, "host".parse().unwrap());
    assert_eq!(code(thief().await), "name-taken");
    assert!(sees(&guestlist, &bob, "@hosts/shared/x").await);
    assert!(!sees(&guestlist, &bob, "@host/shared/x").await);
    guestlist.delete(&alice, &host).await.unwrap();
    assert_eq!(code(thief().await), "name-taken");
    for address in ["@hosts/shared/x", "@host/shared/x"] {
        assert!(!sees(&guestlist, &bob, address).await);
    }
}

/// A prefix ends at a segment, in decisions, in grants and in what a giver holds; every key is meant
/// by its own constructor only. langgraphjs 2721, milvus 46707, open-mercato 3916, librefang 5381,
/// openrag 359, agent-code PR 530: `login` let `loginhack` in.
async fn a_prefix_leaks_no_sibling<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host"]).await;
    let mia = staff(&guestlist, "host", "mia", "member").await;
    let to = || Grantee::Member(user_member("mia"));
    give(&guestlist, "host", to(), read(), "login/").await;
    give(&guestlist, "host", to(), read(), "exact").await;
    give(&guestlist, "host", to(), read(), "50%_off/").await;
    for (key, expected) in [
        ("login/a", true),
        ("login/a/b", true),
        ("login", false),
        ("loginhack", false),
        ("loginhack/a", false),
        ("Login/a", false),
        ("exact", true),
        ("exact/a", false),
        ("exactly", false),
        ("50%_off/x", true),
        ("50xyoff/x", false),
    ] {
        assert_eq!(sees(&guestlist, &mia, key).await, expected, "{key}");
        // What is listed is what is decided.
        let covered = guestlist.readable(&mia, Action::Read, None).await.unwrap();
        assert_eq!(covered.contains(&Key::parse(key).unwrap()), expected);
    }
    assert!(
        Pattern::parse("").is_err(),
        "every key is said, not left out"
    );
    // Who may share a prefix shares nothing beside it.
    let share = ActionSet::of(&[Action::Read, Action::Share]);
    let ben = staff(&guestlist, "host", "ben", "admin").await;
    let pattern = "team/";
    give(
        &guestlist,
        "host",
        Grantee::Member(user_member("ben")),
        share,
        pattern,
    )
    .await;
    let before = log(&guestlist).await;
    for beside in ["teamhack", "teamhack/", "team"] {
        let pattern = Pattern::parse(beside).unwrap();
        let given = guestlist
            .grant(&ben, &org("host"), to(), read(), pattern, None)
            .await;
        assert_eq!(code(given), "share-not-held", "{beside}");
    }
    assert_eq!(log(&guestlist).await, before);
}

/// A key is refused, never repaired, so that two spellings are never one key and none leads out of
/// its prefix; and only an address names another organization. hfs 475 and 447: trimming let one
/// tenant's prefix be another's. skywalking-horizon-ui PR 147: a malformed grant was cut short, and
/// reached further.
#[tokio::test]
async fn keys_and_patterns_are_refused_never_repaired() {
    for text in [
        "", "/a", "a//b", "a/./b", "a/../b", "..", "a\u{0}", "a\n", "@a",
    ] {
        assert!(Key::parse(text).is_err(), "{text:?}");
        assert!(Pattern::parse(text).is_err(), "{text:?}");
    }
    for text in ["a//", "a/../", "/", "@a/", "./", "a/\u{7f}/"] {
        assert!(Pattern::parse(text).is_err(), "{text:?}");
    }
    for text in [
        "@host",
        "@host/",
        "@/x",
        "@host//x",
        "@host/@bravo/x",
        "@Host/x",
    ] {
        assert!(Address::parse(text).is_err(), "{text:?}");
    }
    // What looks encoded is taken as it stands.
    let (guestlist, _) = world(MemoryStore::default(), &["host"]).await;
    let mia = staff(&guestlist, "host", "mia", "member").await;
    let to = Grantee::Member(user_member("mia"));
    give(&guestlist, "host", to, read(), "a/").await;
    for text in ["a%2fb", "%61/b", "*", "A/b"] {
        assert!(!sees(&guestlist, &mia, text).await, "{text}");
    }
}

/// Through an address only the proxy user's rights count, whoever acts; the host gets nothing in
/// return, and one hop is all. Mattermost, CVE-2026-28759; NocoDB, CVE-2026-46552: access by a link
/// was mapped to a role that could invite.
async fn only_the_proxys_rights_count_through_an_address<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host, bob) = (owner("host"), org("host"), owner("bravo"));
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    // Bob is somebody in the host himself, too: that is not what an address is followed with.
    staff(&guestlist, "host", "bravo-owner", "admin").await;
    give(
        &guestlist,
        "host",
        Grantee::Member(user_member("bravo-owner")),
        read(),
        "staff/",
    )
    .await;
    let internal = Grantee::Organization(Audience::InternalUsers);
    give(&guestlist, "host", internal, read(), "internal/").await;
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    let to = Grantee::Member(org_member("bravo"));
    give(&guestlist, "host", to, read(), "shared/").await;
    assert!(sees(&guestlist, &bob, "@host/shared/x").await);
    for key in ["@host/staff/x", "@host/internal/x", "@host/other"] {
        assert!(!sees(&guestlist, &bob, key).await, "{key}");
    }
    let in_host = bob.clone().in_organization(host.clone());
    assert!(sees(&guestlist, &in_host, "staff/x").await, "as himself");
    assert!(
        !sees(&guestlist, &alice, "@bravo/x").await,
        "nothing in return"
    );
    let clerk = staff(&guestlist, "bravo", "clerk", "member").await;
    assert!(sees(&guestlist, &clerk, "@host/shared/x").await);
    // Unless the member organization says who acts.
    let rule = ActingRule {
        users: ["bravo-owner".parse().unwrap()].into(),
        ..ActingRule::default()
    };
    guestlist
        .restrict_acting(&bob, &org("bravo"), &host, Some(rule))
        .await
        .unwrap();
    assert!(!sees(&guestlist, &clerk, "@host/shared/x").await);
    let refused = guestlist
        .restrict_acting(&clerk, &org("bravo"), &host, None)
        .await;
    assert_eq!(code(refused), "not-allowed");
}

/// Remembers what it was shown.
#[derive(Clone, Default)]
struct Watcher(Arc<Mutex<Vec<DecisionRecord>>>);

impl Observer for Watcher {
    fn decided(&self, record: &DecisionRecord) {
        self.0.lock().unwrap().push(record.clone());
    }
}

/// What is decided for a proxy user is on record with the proxy, the person and the person's
/// organization; the caller is told the same whatever the reason, the record says which. Rules 50
/// and 53; Outline, CVE-2026-43890: two ids came in and one of them was checked.
#[tokio::test]
async fn a_decision_for_a_proxy_names_the_person_and_the_organization() {
    let watcher = Watcher::default();
    let guestlist = builder(MemoryStore::default(), &clock(), 7)
        .observer(watcher.clone())
        .build();
    register(&guestlist, &["host", "bravo", "charlie"]).await;
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    let joined = claim_org(&guestlist, "bravo", &token).await.unwrap();
    let to = Grantee::Member(org_member("bravo"));
    give(&guestlist, "host", to, read(), "k").await;
    let address = Address::parse("@host/k").unwrap();
    let unknown = Address::parse("@nobody/k").unwrap();
    let denied = guestlist::Decision::Deny(Denial::NoGrant);
    let (bob, carl) = (owner("bravo"), owner("charlie"));
    let ask = |actor, address| guestlist.decide(actor, Action::Read, address);
    assert!(ask(&bob, &address).await.unwrap().is_allowed());
    assert_eq!(ask(&carl, &address).await.unwrap(), denied);
    assert_eq!(ask(&bob, &unknown).await.unwrap(), denied);
    let seen = watcher.0.lock().unwrap();
    let record = &seen[0];
    assert_eq!(record.user, Some("bravo-owner".parse().unwrap()));
    assert_eq!(record.caller, Some(org("bravo")));
    assert_eq!(record.host, Some(org("host")));
    assert_eq!(record.proxy, joined.membership.proxy.map(|proxy| proxy.id));
    assert!(matches!(
        seen[1].unreachable,
        Some(Unreachable::NotAMember(_))
    ));
    assert_eq!(seen[2].unreachable, Some(Unreachable::UnknownOrganization));
}

/// What is public may be told to anybody, and to nobody more than that: no other action follows from
/// it, it follows from no other, and outsiders can't make anything public. Gitea, CVE-2026-24791
/// and CVE-2025-68941: "public only" was a matter of each route.
async fn what_is_public_is_only_told<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host) = (owner("host"), org("host"));
    let everyone = || Grantee::Organization(Audience::Everyone);
    let public = ActionSet::of(&[Action::PublicRead]);
    give(&guestlist, "host", everyone(), public, "open/").await;
    give(&guestlist, "host", everyone(), read(), "closed/").await;
    let name: OrgName = "host".parse().unwrap();
    for (key, expected) in [("open/x", true), ("closed/x", false), ("openly", false)] {
        let key = Key::parse(key).unwrap();
        let decided = guestlist.decide_public(&name, &key).await.unwrap();
        assert_eq!(decided.is_allowed(), expected);
        for action in [
            Action::Read,
            Action::Create,
            Action::Update,
            Action::Delete,
            Action::Share,
        ] {
            let explained = guestlist
                .explain(&alice, &host, &Subject::Anonymous, action, &key)
                .await
                .unwrap();
            assert!(!explained.decision.is_allowed(), "{action:?}");
        }
    }
    let who = guestlist
        .who(
            &alice,
            &host,
            Action::PublicRead,
            &Key::parse("closed/x").unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(who.anonymous, None);
    // A preset can't make it a proxy user's to give either.
    let (_, token) = link(&guestlist, "host", LinkDraft::auto()).await;
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    let to = Grantee::Member(org_member("bravo"));
    for action in [Action::PublicRead, Action::Share] {
        let actions = ActionSet::of(&[action]);
        let given = guestlist
            .grant(&alice, &host, to.clone(), actions, Pattern::all(), None)
            .await;
        assert_eq!(code(given), "outsider-ceiling");
        let gift = Preset {
            grants: vec![PresetGrant {
                actions,
                pattern: Pattern::all(),
            }],
            ..Preset::default()
        };
        let draft = LinkDraft {
            preset: Some(gift),
            ..LinkDraft::auto()
        };
        let made = guestlist.create_link(&alice, &host, draft).await;
        assert_eq!(code(made), "outsider-ceiling");
    }
}

/// An organization that was removed leaves no second way in: each kind of grant, and each group, ends
/// in the same commit. Nextcloud, CVE-2026-45543 (a share was left behind) and CVE-2026-45285 (a link
/// nobody saw was made): here every credential is in a list and in the log.
async fn a_removal_leaves_no_share_and_no_hidden_link<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["host", "bravo"]).await;
    let (alice, host, bob) = (owner("host"), org("host"), owner("bravo"));
    let team = group(&guestlist, "host", "team", false).await;
    let outside = group(&guestlist, "host", "outside", false).await;
    let bravo = || Grantee::Member(org_member("bravo"));
    give(&guestlist, "host", Grantee::Group(team), read(), "a/").await;
    give(&guestlist, "host", Grantee::Group(outside), read(), "b/").await;
    guestlist
        .set_external_group(&alice, &host, Some(outside))
        .await
        .unwrap();
    let everyone = Grantee::Organization(Audience::Everyone);
    give(&guestlist, "host", everyone, read(), "c/").await;
    let preset = PresetGrant {
        actions: read(),
        pattern: Pattern::parse("d/").unwrap(),
    };
    let draft = LinkDraft::auto().group(team).grant(preset);
    let (_, token) = link(&guestlist, "host", draft).await;
    claim_org(&guestlist, "bravo", &token).await.unwrap();
    give(&guestlist, "host", bravo(), read(), "e/").await;
    give(&guestlist, "host", bravo(), read(), "e/f").await;
    let keys = ["a/x", "b/x", "c/x", "d/x", "e/x", "e/f"];
    for key in keys {
        assert!(
            sees(&guestlist, &bob, &format!("@host/{key}")).await,
            "{key}"
        );
    }
    // Sharing made no link, and whatever opens anything was announced.
    let page = Page::default();
    let links = guestlist
        .links(&alice, &host, guestlist::LinkFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(links.links.len(), 1);
    let made = EventFilter {
        name: Some("link-created".to_owned()),
        ..EventFilter::default()
    };
    let told = guestlist.audit(&alice, &host, made, &page).await.unwrap();
    assert_eq!(told.events.len(), 1);
    let member = Member::Org(org("bravo"));
    guestlist
        .remove(&alice, &host, &member, None)
        .await
        .unwrap();
    for key in keys {
        assert!(
            !sees(&guestlist, &bob, &format!("@host/{key}")).await,
            "{key}"
        );
    }
    // Nothing given meanwhile opens anything later.
    let late = guestlist
        .grant(&alice, &host, bravo(), read(), Pattern::all(), None)
        .await;
    assert_eq!(code(late), "member-not-live");
}

/// Whoever is found in a search was meant to be, and the text of a search is text. Rule 62; a
/// setting that hides an organization hides it from there as well (Keycloak, CVE-2026-9791).
async fn a_search_finds_text_literally_and_only_who_wants_it<S: Store + 'static>(store: S) {
    let (guestlist, _) = world(store, &["hidden"]).await;
    let open = || Settings {
        discoverable: true,
        ..Settings::default()
    };
    for name in ["seen", "seen_too"] {
        crate::common::register_with(&guestlist, name, open()).await;
    }
    for (text, expected) in [
        (None, vec!["seen", "seen_too"]),
        (Some("n_t"), vec!["seen_too"]),
        (Some("%"), vec![]),
        (Some("s__n"), vec![]),
        (Some("hidden"), vec![]),
    ] {
        let found = guestlist.discover(text, &Page::default()).await.unwrap();
        let names: Vec<_> = found
            .organizations
            .iter()
            .map(|found| found.name.as_str())
            .collect();
        assert_eq!(names, expected, "{text:?}");
    }
}

on_every_store!(
    ids_of_another_organization_are_unknown,
    a_role_counts_in_its_own_organization_only,
    the_audit_trail_shows_its_own_organization_only,
    an_organization_that_hides_tells_nothing,
    a_handle_is_never_another_organizations,
    a_prefix_leaks_no_sibling,
    only_the_proxys_rights_count_through_an_address,
    what_is_public_is_only_told,
    a_removal_leaves_no_share_and_no_hidden_link,
    a_search_finds_text_literally_and_only_who_wants_it,
);
