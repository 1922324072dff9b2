//! The two documents of Ensue, walked through from top to bottom on every store that comes with
//! guestlist. `docs/products.md` says which statement is held by which test.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;
#[path = "products/table.rs"]
mod table;

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use common::{builder, clock, org, org_member, owner, register_with, user, user_member};
use guestlist::access_rules::{Group, Miss, PresetGrant};
use guestlist::membership::AfterRejection;
use guestlist::membership::link::{Approval, Generation, JoinedBy, LinkStatus, UseState};
use guestlist::membership::member::Cause;
use guestlist::token::{CODE_BYTES, SecretUrl, TOKEN_BYTES, TokenKind, token_from_url};
use guestlist::{
    Action, ActionSet, Actor, Address, Changed, Claim, DecisionRecord, Error, Grantee, Guestlist,
    InviteToken, Issued, Key, LinkDraft, LinkFilter, ManualClock, Member, MemberFilter, Membership,
    MemoryStore, Observer, Page, Pattern, Preset, RoleCatalog, Settings, Status, Store, Subject,
    UrlStyle, presets,
};
use guestlist_sqlite::SqliteStore;

/// The organization that invites.
const HOST: &str = "widgets-inc";

/// Everybody who takes part.
const ORGANIZATIONS: [&str; 4] = [HOST, "bravo", "charlie", "delta"];

/// Keeps what was decided, with what the caller is not told.
#[derive(Default, Clone)]
struct Notebook(Arc<Mutex<Vec<DecisionRecord>>>);

impl Observer for Notebook {
    fn decided(&self, record: &DecisionRecord) {
        self.0.lock().unwrap().push(record.clone());
    }
}

/// The product: its preset over a store, and four organizations.
struct Ensue<S> {
    guestlist: Guestlist<S>,
    clock: Arc<ManualClock>,
    notebook: Notebook,
}

impl<S: Store> Ensue<S> {
    async fn over(store: S) -> Self {
        let (clock, notebook) = (clock(), Notebook::default());
        let preset = presets::ensue();
        let page = "https://app.ensue-network.ai/join".parse().unwrap();
        let guestlist = builder(store, &clock, 11)
            .roles(preset.roles)
            .join_url(page, UrlStyle::Query)
            .observer(notebook.clone())
            .build();
        for name in ORGANIZATIONS {
            register_with(&guestlist, name, preset.settings.clone()).await;
        }
        Self {
            guestlist,
            clock,
            notebook,
        }
    }

    /// A link of the host.
    async fn link(&self, draft: LinkDraft) -> Issued {
        self.guestlist
            .create_link(&owner(HOST), &org(HOST), draft)
            .await
            .unwrap()
    }

    /// The owner of an organization claims for it.
    async fn claim(&self, name: &str, token: &InviteToken) -> Result<Changed, Error> {
        let claim = Claim::for_organization();
        self.guestlist.claim(&owner(name), token, claim).await
    }

    /// An organization that is in, through a link of its own with this configuration.
    async fn let_in(&self, name: &str, draft: LinkDraft) -> Membership {
        let token = self.link(draft).await.token.unwrap();
        self.claim(name, &token).await.unwrap();
        self.approve(name).await.unwrap().membership
    }

    async fn approve(&self, name: &str) -> Result<Changed, Error> {
        let member = org_member(name);
        self.guestlist
            .approve(&owner(HOST), &org(HOST), &member)
            .await
    }

    async fn reject(&self, name: &str) -> Result<Changed, Error> {
        let member = org_member(name);
        self.guestlist
            .reject(&owner(HOST), &org(HOST), &member, None)
            .await
    }

    async fn remove(&self, name: &str) -> Result<Changed, Error> {
        let member = org_member(name);
        self.guestlist
            .remove(&owner(HOST), &org(HOST), &member, None)
            .await
    }

    async fn leave(&self, name: &str) -> Result<Changed, Error> {
        let member = org_member(name);
        self.guestlist
            .leave(&owner(name), &org(HOST), &member)
            .await
    }

    async fn cancel(&self, name: &str) -> Result<Changed, Error> {
        let member = org_member(name);
        self.guestlist
            .cancel(&owner(name), &org(HOST), &member)
            .await
    }

    /// Where an organization is with the host.
    async fn status(&self, name: &str) -> Option<Status> {
        let member = org_member(name);
        match self
            .guestlist
            .membership(&owner(HOST), &org(HOST), &member)
            .await
        {
            Ok(membership) => membership.status,
            Err(error) => {
                assert_eq!(error.code(), "not-found");
                None
            }
        }
    }

    /// Whether the owner of an organization may read this.
    async fn reads(&self, name: &str, address: &str) -> bool {
        let address = Address::parse(address).unwrap();
        self.guestlist
            .decide(&owner(name), Action::Read, &address)
            .await
            .unwrap()
            .is_allowed()
    }

    /// A group of the host that may read what is below `shared/`.
    async fn partners(&self) -> Group {
        let (alice, host) = (owner(HOST), org(HOST));
        let group = self
            .guestlist
            .create_group(&alice, &host, "partners".parse().unwrap(), false)
            .await
            .unwrap();
        let to = Grantee::Group(group.id);
        self.guestlist
            .grant(&alice, &host, to, read(), below_shared(), None)
            .await
            .unwrap();
        group
    }

    /// The same, as the group of everybody from outside.
    async fn partners_as_external_group(&self) -> Group {
        let group = self.partners().await;
        self.guestlist
            .set_external_group(&owner(HOST), &org(HOST), Some(group.id))
            .await
            .unwrap();
        group
    }

    /// The requests that wait for the host, by the handle of who asks.
    async fn waiting(&self) -> Vec<String> {
        let page = self
            .guestlist
            .pending(&owner(HOST), &org(HOST), None, &Page::default())
            .await
            .unwrap();
        page.requests
            .iter()
            .map(|request| handle(&request.membership))
            .collect()
    }

    /// The organizations that have joined the host or asked to, with this status or any.
    async fn joined(&self, status: Option<Status>) -> Vec<(String, Status)> {
        let filter = MemberFilter {
            status,
            kind: Some(org_member(HOST).kind()),
            ..MemberFilter::default()
        };
        let page = self
            .guestlist
            .members(&owner(HOST), &org(HOST), filter, &Page::default())
            .await
            .unwrap();
        page.members
            .iter()
            .map(|row| (handle(row), row.status.unwrap()))
            .collect()
    }

    /// The organizations that this one has joined or asked to join, by their handles.
    async fn joined_by(&self, name: &str, status: Option<Status>) -> Vec<(String, Status)> {
        let page = self
            .guestlist
            .memberships_of(&owner(name), &org_member(name), status, &Page::default())
            .await
            .unwrap();
        let mut rows = Vec::new();
        for row in page.members {
            let host = self
                .guestlist
                .organization(&Actor::system(), &row.host)
                .await
                .unwrap();
            rows.push((host.name.to_string(), row.status.unwrap()));
        }
        rows
    }

    /// Joins the host as a single user with this role.
    async fn staff(&self, name: &str, role: &str) -> Actor {
        let gift = Preset {
            role: Some(role.parse().unwrap()),
            ..Preset::default()
        };
        self.guestlist
            .add_member(&owner(HOST), &org(HOST), &user_member(name), gift, None)
            .await
            .unwrap();
        user(name).in_organization(org(HOST))
    }
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

fn read() -> ActionSet {
    ActionSet::of(&[Action::Read])
}

fn below_shared() -> Pattern {
    Pattern::parse("shared/").unwrap()
}

fn handle(membership: &Membership) -> String {
    membership.profile.name.as_ref().unwrap().to_string()
}

fn row(name: &str, status: Status) -> (String, Status) {
    (name.to_owned(), status)
}

/// A name as it is written for clients and in stores.
fn wire(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

async fn the_preset_is_what_the_documents_say_by_default<S: Store>(ensue: Ensue<S>) {
    let settings = Settings {
        after_rejection: AfterRejection::Again,
        link_defaults: LinkDraft::review().joined_by(JoinedBy::Organizations),
        ..Settings::default()
    };
    let host = ensue.guestlist.organization(&owner(HOST), &org(HOST)).await;
    assert_eq!(host.unwrap().settings, settings);
    assert_eq!(ensue.guestlist.roles(), &RoleCatalog::owner_admin_member());
    let plain = ensue.link(LinkDraft::default()).await;
    assert_eq!(plain.link.config.approval, Approval::Review);
    // Links are for organizations.
    let (token, claim) = (plain.token.unwrap(), Claim::for_myself());
    let alone = ensue.guestlist.claim(&user("zoe"), &token, claim).await;
    assert_eq!(code(alone), "wrong-kind-of-member");
}

async fn one_link_lets_many_organizations_in_at_any_time<S: Store>(ensue: Ensue<S>) {
    let issued = ensue.link(LinkDraft::default()).await;
    let token = issued.token.unwrap();
    for name in ["bravo", "charlie", "delta"] {
        ensue.claim(name, &token).await.unwrap();
        ensue.approve(name).await.unwrap();
        ensue.clock.advance(Duration::from_secs(365 * 24 * 60 * 60));
    }
    let in_now = ["bravo", "charlie", "delta"].map(|name| row(name, Status::Approved));
    assert_eq!(ensue.joined(None).await, in_now);
    assert!(issued.link.config.expires_at.is_none() && issued.link.config.max_uses.is_none());
}

async fn the_host_stays_in_control_of_who_gets_in<S: Store>(ensue: Ensue<S>) {
    ensue.partners_as_external_group().await;
    let token = ensue.link(LinkDraft::default()).await.token.unwrap();
    ensue.claim("bravo", &token).await.unwrap();
    let member = ensue.staff("mia", "member").await;
    let (host, bravo) = (org(HOST), org_member("bravo"));
    let approve = |actor: Actor| {
        let (guestlist, host, bravo) = (&ensue.guestlist, &host, &bravo);
        async move { code(guestlist.approve(&actor, host, bravo).await) }
    };
    assert_eq!(approve(owner("bravo")).await, "not-found");
    assert_eq!(approve(owner("charlie")).await, "not-found");
    assert_eq!(approve(member).await, "not-allowed");
    assert_eq!(ensue.status("bravo").await, Some(Status::Pending));
    assert!(!ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    let admin = ensue.staff("ann", "admin").await;
    assert_eq!(approve(admin).await, "ok");
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
}

async fn the_page_of_external_users_is_for_those_who_manage_them<S: Store>(ensue: Ensue<S>) {
    let (admin, member) = (
        ensue.staff("ann", "admin").await,
        ensue.staff("mia", "member").await,
    );
    let (guestlist, host, page) = (&ensue.guestlist, org(HOST), Page::default());
    for (actor, expected) in [
        (owner(HOST), "ok"),
        (admin, "ok"),
        (member, "not-allowed"),
        (owner("bravo"), "not-found"),
    ] {
        let links = guestlist
            .links(&actor, &host, LinkFilter::default(), &page)
            .await;
        assert_eq!(code(links), expected);
        let pending = guestlist.pending(&actor, &host, None, &page).await;
        assert_eq!(code(pending), expected);
        // The button, and what it makes.
        let created = guestlist
            .create_link(&actor, &host, LinkDraft::default())
            .await;
        assert_eq!(code(created), expected);
    }
    let links = guestlist
        .links(&owner(HOST), &host, LinkFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(
        links.links.len(),
        2,
        "each one that was made is on the page"
    );
}

async fn a_link_has_the_default_permissions_of_whoever_comes_through_it<S: Store>(ensue: Ensue<S>) {
    let partners = ensue.partners().await;
    let drafts = PresetGrant {
        actions: ActionSet::of(&[Action::Read, Action::Update]),
        pattern: Pattern::parse("drafts/").unwrap(),
    };
    let draft = LinkDraft::default().group(partners.id).grant(drafts);
    let membership = ensue.let_in("bravo", draft).await;
    assert_eq!(membership.groups, BTreeSet::from([partners.id]));
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    assert!(ensue.reads("bravo", "@widgets-inc/drafts/one").await);
    assert!(!ensue.reads("bravo", "@widgets-inc/private/plan").await);
    // Nothing configured, nothing given.
    ensue.let_in("charlie", LinkDraft::default()).await;
    assert!(!ensue.reads("charlie", "@widgets-inc/shared/plan").await);
    // The host can say for all of its new links what they give.
    let settings = Settings {
        link_defaults: presets::ensue().settings.link_defaults.group(partners.id),
        ..presets::ensue().settings
    };
    ensue
        .guestlist
        .change_settings(&owner(HOST), &org(HOST), settings)
        .await
        .unwrap();
    ensue.let_in("delta", LinkDraft::default()).await;
    assert!(ensue.reads("delta", "@widgets-inc/shared/plan").await);
    // And nobody promises what they may not give.
    let promised = ensue
        .guestlist
        .create_link(
            &ensue.staff("ann", "admin").await,
            &org(HOST),
            LinkDraft::default().group(partners.id),
        )
        .await;
    assert_eq!(code(promised), "share-not-held");
}

async fn generating_a_link_makes_a_new_one_each_time<S: Store>(ensue: Ensue<S>) {
    let (first, second) = (
        ensue.link(LinkDraft::default()).await,
        ensue.link(LinkDraft::default()).await,
    );
    assert_ne!(first.link.id, second.link.id);
    for issued in [first, second] {
        assert_eq!(issued.link.status, LinkStatus::Active);
        let shown = ensue.guestlist.preview(&issued.token.unwrap()).await;
        assert_eq!(shown.unwrap().host_name.as_str(), HOST);
    }
}

async fn the_link_to_copy_is_in_the_reply<S: Store>(ensue: Ensue<S>) {
    let issued = ensue.link(LinkDraft::default()).await;
    let url = issued.url.unwrap().expose_secret().to_owned();
    let token = issued.token.unwrap();
    assert!(url.ends_with(token.expose_secret()));
    // Nothing that can be listed or logged has it.
    let listed = ensue
        .guestlist
        .links(
            &owner(HOST),
            &org(HOST),
            LinkFilter::default(),
            &Page::default(),
        )
        .await
        .unwrap();
    let listed = serde_json::to_string(&listed.links).unwrap();
    let code = &token.expose_secret()[4..][..CODE_BYTES];
    assert!(!listed.contains(code) && !format!("{token:?}").contains(code));
    #[cfg(feature = "seal")]
    {
        let again = ensue
            .guestlist
            .reveal_link(&owner(HOST), &org(HOST), issued.link.id)
            .await
            .unwrap();
        assert_eq!(again.url.unwrap().expose_secret(), url, "to copy it later");
    }
}

async fn the_link_is_the_join_page_with_the_token_behind_it<S: Store>(ensue: Ensue<S>) {
    let issued = ensue.link(LinkDraft::default()).await;
    let (url, token) = (issued.url.unwrap(), issued.token.unwrap());
    let text = url
        .expose_secret()
        .strip_prefix("https://app.ensue-network.ai/join?token=")
        .unwrap();
    assert_eq!(text, token.expose_secret());
    assert_eq!(text.len(), TOKEN_BYTES);
    assert!(text.starts_with("glj_"));
    // The part that is looked up and compared has 32 characters; a checksum follows it.
    let code = &text[4..][..CODE_BYTES];
    assert_eq!(code.len(), 32);
    assert!(text[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let alone = InviteToken::parse_code(TokenKind::Link, code).unwrap();
    assert_eq!(alone.expose_secret(), text);
    ensue.claim("bravo", &alone).await.unwrap();
    assert_eq!(ensue.status("bravo").await, Some(Status::Pending));
}

async fn a_link_arrives_by_any_channel<S: Store>(ensue: Ensue<S>) {
    let issued = ensue.link(LinkDraft::default()).await;
    let url = issued.url.unwrap().expose_secret().to_owned();
    let token = issued.token.unwrap().expose_secret().to_owned();
    let tracked = format!("{url}&utm_source=mail#top");
    for (name, pasted) in [("bravo", url), ("charlie", token), ("delta", tracked)] {
        let token = token_from_url(&pasted).unwrap();
        assert!(ensue.claim(name, &token).await.unwrap().changed);
    }
    for damaged in ["", "https://app.ensue-network.ai/join", "glj_short"] {
        assert!(token_from_url(damaged).is_err(), "{damaged:?}");
    }
}

async fn without_auto_approve_which_is_the_default_a_claim_waits_for_review<S: Store>(
    ensue: Ensue<S>,
) {
    ensue.partners_as_external_group().await;
    let token = ensue.link(LinkDraft::default()).await.token.unwrap();
    for name in ["bravo", "charlie"] {
        let claimed = ensue.claim(name, &token).await.unwrap().membership;
        assert_eq!(claimed.status, Some(Status::Pending));
        assert_eq!(claimed.proxy, None);
        assert!(!ensue.reads(name, "@widgets-inc/shared/plan").await);
    }
    assert_eq!(ensue.waiting().await, ["bravo", "charlie"]);
    assert!(ensue.joined(Some(Status::Approved)).await.is_empty());
    // Each of them is reviewed by itself.
    ensue.approve("bravo").await.unwrap();
    ensue.reject("charlie").await.unwrap();
    assert!(ensue.waiting().await.is_empty());
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    assert!(!ensue.reads("charlie", "@widgets-inc/shared/plan").await);
}

async fn with_auto_approve_a_claim_is_approved_at_once<S: Store>(ensue: Ensue<S>) {
    let partners = ensue.partners().await;
    let draft = LinkDraft::auto().group(partners.id);
    let token = ensue.link(draft).await.token.unwrap();
    assert!(!ensue.guestlist.preview(&token).await.unwrap().needs_review);
    for name in ["bravo", "charlie"] {
        let claimed = ensue.claim(name, &token).await.unwrap().membership;
        assert_eq!(claimed.status, Some(Status::Approved));
        assert_eq!(claimed.proxy.unwrap().user_name.as_str(), name);
        assert!(ensue.reads(name, "@widgets-inc/shared/plan").await);
        assert!(!ensue.reads(name, "@widgets-inc/private/plan").await);
    }
    assert!(ensue.waiting().await.is_empty());
    let in_now = ["bravo", "charlie"].map(|name| row(name, Status::Approved));
    assert_eq!(ensue.joined(Some(Status::Approved)).await, in_now);
}

async fn each_link_says_whether_its_claims_are_vetted<S: Store>(ensue: Ensue<S>) {
    let trusted = ensue.link(LinkDraft::auto()).await;
    let vetted = ensue.link(LinkDraft::review()).await;
    let (first, second) = (trusted.token.unwrap(), vetted.token.unwrap());
    ensue.claim("bravo", &first).await.unwrap();
    ensue.claim("charlie", &second).await.unwrap();
    assert_eq!(ensue.status("bravo").await, Some(Status::Approved));
    assert_eq!(ensue.status("charlie").await, Some(Status::Pending));
    // Switching it off later leaves the link as it is otherwise.
    let edited = ensue
        .guestlist
        .edit_link(
            &owner(HOST),
            &org(HOST),
            trusted.link.id,
            LinkDraft::review(),
        )
        .await
        .unwrap();
    assert_eq!(edited.token, trusted.link.token);
    ensue.claim("delta", &first).await.unwrap();
    assert_eq!(ensue.status("delta").await, Some(Status::Pending));
    assert_eq!(ensue.status("bravo").await, Some(Status::Approved));
}

async fn refreshing_gives_a_new_token_and_the_old_one_stops_at_once<S: Store>(ensue: Ensue<S>) {
    let partners = ensue.partners().await;
    let draft = LinkDraft::auto()
        .label("For partners".parse().unwrap())
        .group(partners.id);
    let before = ensue.link(draft).await;
    let after = ensue
        .guestlist
        .refresh_link(&owner(HOST), &org(HOST), before.link.id, Duration::ZERO)
        .await
        .unwrap();
    let (old, new) = (before.token.unwrap(), after.token.unwrap());
    assert_ne!(old.expose_secret(), new.expose_secret());
    let (old_url, new_url) = (before.url.unwrap(), after.url.unwrap());
    assert_ne!(old_url.expose_secret(), new_url.expose_secret());
    assert_eq!(after.link.id, before.link.id);
    assert_eq!(
        after.link.config, before.link.config,
        "the same configuration"
    );
    assert_eq!(after.link.status, LinkStatus::Active);
    // Not a moment later: the clock stands still.
    assert_eq!(code(ensue.guestlist.preview(&old).await), "invalid-token");
    assert_eq!(code(ensue.claim("bravo", &old).await), "invalid-token");
    assert_eq!(ensue.status("bravo").await, None);
    ensue.claim("bravo", &new).await.unwrap();
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
}

async fn who_came_through_a_link_that_got_around_is_seen_and_stays<S: Store>(ensue: Ensue<S>) {
    let issued = ensue.link(LinkDraft::default()).await;
    let (id, old) = (issued.link.id, issued.token.unwrap());
    for name in ["bravo", "charlie"] {
        ensue.claim(name, &old).await.unwrap();
    }
    ensue.approve("bravo").await.unwrap();
    let (alice, host) = (owner(HOST), org(HOST));
    let new = ensue
        .guestlist
        .refresh_link(&alice, &host, id, Duration::ZERO)
        .await
        .unwrap();
    ensue.claim("delta", &new.token.unwrap()).await.unwrap();
    let (users, _) = ensue
        .guestlist
        .link_users(&alice, &host, id, &Page::default())
        .await
        .unwrap();
    let came: Vec<_> = users
        .into_iter()
        .map(|used| (used.member, used.generation, used.state))
        .collect();
    let second = Generation::FIRST.next();
    assert_eq!(
        came,
        [
            (org_member("bravo"), Generation::FIRST, UseState::Settled),
            (org_member("charlie"), Generation::FIRST, UseState::Reserved),
            (org_member("delta"), second, UseState::Reserved),
        ]
    );
    assert_eq!(ensue.status("bravo").await, Some(Status::Approved));
    // A manager is told what is the matter with the old one, nobody else is.
    let report = ensue.guestlist.inspect(&alice, &host, &old).await.unwrap();
    assert_eq!(report.problem.unwrap().code(), "token-retired");
    let asked = ensue.guestlist.inspect(&owner("delta"), &host, &old).await;
    assert_eq!(code(asked), "not-found");
}

async fn disabling_lets_nobody_new_in_and_members_keep_their_access<S: Store>(ensue: Ensue<S>) {
    ensue.partners_as_external_group().await;
    let issued = ensue.link(LinkDraft::default()).await;
    let token = issued.token.unwrap();
    for name in ["bravo", "charlie"] {
        ensue.claim(name, &token).await.unwrap();
    }
    ensue.approve("bravo").await.unwrap();
    let disabled = ensue
        .guestlist
        .disable_link(&owner(HOST), &org(HOST), issued.link.id)
        .await
        .unwrap();
    assert_eq!(disabled.status, LinkStatus::Disabled);
    assert_eq!(code(ensue.claim("delta", &token).await), "invalid-token");
    assert_eq!(ensue.status("delta").await, None);
    assert_eq!(ensue.status("bravo").await, Some(Status::Approved));
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    // Whoever asked before still waits, and can be let in.
    assert_eq!(ensue.waiting().await, ["charlie"]);
    ensue.approve("charlie").await.unwrap();
    assert!(ensue.reads("charlie", "@widgets-inc/shared/plan").await);
}

async fn enabling_again_makes_a_new_link_and_no_old_one_works<S: Store>(ensue: Ensue<S>) {
    let (guestlist, alice, host) = (&ensue.guestlist, owner(HOST), org(HOST));
    let first = ensue.link(LinkDraft::default()).await;
    let id = first.link.id;
    let second = guestlist
        .refresh_link(&alice, &host, id, Duration::ZERO)
        .await
        .unwrap();
    guestlist.disable_link(&alice, &host, id).await.unwrap();
    let refreshed = guestlist
        .refresh_link(&alice, &host, id, Duration::ZERO)
        .await;
    assert_eq!(code(refreshed), "wrong-link-state");
    let third = guestlist.enable_link(&alice, &host, id).await.unwrap();
    assert_eq!(third.link.status, LinkStatus::Active);
    assert_eq!(third.link.config, first.link.config);
    let (urls, tokens): (Vec<_>, Vec<_>) = [first, second, third]
        .map(|issued| (issued.url.unwrap(), issued.token.unwrap()))
        .into_iter()
        .unzip();
    let different: BTreeSet<&str> = urls.iter().map(SecretUrl::expose_secret).collect();
    assert_eq!(different.len(), 3);
    for old in &tokens[..2] {
        assert_eq!(code(ensue.claim("bravo", old).await), "invalid-token");
    }
    ensue.claim("bravo", &tokens[2]).await.unwrap();
    assert_eq!(ensue.status("bravo").await, Some(Status::Pending));
}

async fn the_joining_side_opens_the_link_signs_in_and_asks<S: Store>(ensue: Ensue<S>) {
    let (guestlist, bob) = (&ensue.guestlist, owner("bravo"));
    let url = ensue.link(LinkDraft::default()).await.url.unwrap();
    // The page behind the link, before anybody has signed in.
    let token = token_from_url(url.expose_secret()).unwrap();
    let shown = guestlist.preview(&token).await.unwrap();
    assert_eq!(shown.host_name.as_str(), HOST);
    assert!(shown.needs_review);
    assert_eq!(ensue.joined(None).await, [], "looking changes nothing");
    // Signed in, but for no organization, for somebody else's, or without the right to bind it.
    let claim = Claim::for_organization;
    let alone = guestlist.claim(&user("zoe"), &token, claim()).await;
    assert_eq!(code(alone), "not-the-member");
    let stranger = user("zoe").in_organization(org("bravo"));
    let claimed = guestlist.claim(&stranger, &token, claim()).await;
    assert_eq!(code(claimed), "not-allowed");
    // The request of the one organization to the other.
    let claimed = guestlist.claim(&bob, &token, claim()).await.unwrap();
    assert!(claimed.changed);
    let request = claimed.membership;
    assert_eq!(
        (&request.host, &request.member),
        (&org(HOST), &org_member("bravo"))
    );
    assert_eq!(request.status, Some(Status::Pending));
    // Twice is the same request, and nobody joins themselves.
    assert!(!ensue.claim("bravo", &token).await.unwrap().changed);
    assert_eq!(ensue.waiting().await, ["bravo"]);
    assert_eq!(code(ensue.claim(HOST, &token).await), "own-organization");
}

async fn the_host_sees_a_member_or_a_request_that_waits<S: Store>(ensue: Ensue<S>) {
    let auto = ensue.link(LinkDraft::auto()).await.token.unwrap();
    let review = ensue.link(LinkDraft::review()).await.token.unwrap();
    ensue.claim("bravo", &auto).await.unwrap();
    ensue.claim("charlie", &review).await.unwrap();
    assert_eq!(
        ensue.joined(None).await,
        [
            row("bravo", Status::Approved),
            row("charlie", Status::Pending)
        ]
    );
    assert_eq!(ensue.waiting().await, ["charlie"]);
    ensue.clock.advance(Duration::from_secs(3 * 86_400 + 1));
    let page = ensue
        .guestlist
        .pending(&owner(HOST), &org(HOST), None, &Page::default())
        .await
        .unwrap();
    assert_eq!(page.requests[0].days_waiting, 3);
}

async fn approving_makes_a_proxy_user_with_the_permissions_that_are_set<S: Store>(ensue: Ensue<S>) {
    let partners = ensue.partners().await;
    let draft = LinkDraft::default().group(partners.id);
    let token = ensue.link(draft).await.token.unwrap();
    ensue.claim("bravo", &token).await.unwrap();
    assert!(!ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    let approved = ensue.approve("bravo").await.unwrap();
    assert!(approved.changed);
    assert_eq!(approved.membership.status, Some(Status::Approved));
    assert_eq!(approved.membership.role, None, "it is no member of staff");
    let proxy = approved.membership.proxy.unwrap();
    assert_eq!(proxy.user_name.as_str(), "bravo");
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    assert!(!ensue.reads("bravo", "@widgets-inc/private/plan").await);
    let again = ensue.approve("bravo").await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.membership.proxy, Some(proxy));
    // Nobody is let in who has not asked.
    assert_eq!(code(ensue.approve("charlie").await), "not-found");
}

async fn rejecting_denies_and_a_new_claim_tries_again_while_the_link_is_active<S: Store>(
    ensue: Ensue<S>,
) {
    ensue.partners_as_external_group().await;
    let issued = ensue.link(LinkDraft::default()).await;
    let token = issued.token.unwrap();
    ensue.claim("bravo", &token).await.unwrap();
    let rejected = ensue.reject("bravo").await.unwrap().membership;
    assert_eq!(rejected.status, Some(Status::Rejected));
    assert_eq!(rejected.proxy, None);
    assert!(!ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    assert_eq!(code(ensue.approve("bravo").await), "wrong-state");
    // The same link, a new claim.
    let again = ensue.claim("bravo", &token).await.unwrap();
    assert!(again.changed);
    assert_eq!(again.membership.status, Some(Status::Pending));
    assert_eq!(again.membership.episode, rejected.episode.next());
    assert_eq!(ensue.waiting().await, ["bravo"]);
    ensue.reject("bravo").await.unwrap();
    ensue
        .guestlist
        .disable_link(&owner(HOST), &org(HOST), issued.link.id)
        .await
        .unwrap();
    assert_eq!(code(ensue.claim("bravo", &token).await), "invalid-token");
    assert_eq!(ensue.status("bravo").await, Some(Status::Rejected));
    // Enabled again, and let in at last.
    let enabled = ensue
        .guestlist
        .enable_link(&owner(HOST), &org(HOST), issued.link.id)
        .await
        .unwrap();
    ensue.claim("bravo", &enabled.token.unwrap()).await.unwrap();
    ensue.approve("bravo").await.unwrap();
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
}

async fn removing_deactivates_the_proxy_user_and_ends_access<S: Store>(ensue: Ensue<S>) {
    let partners = ensue.partners_as_external_group().await;
    let draft = LinkDraft::default().group(partners.id);
    let membership = ensue.let_in("bravo", draft).await;
    let (guestlist, alice, host) = (&ensue.guestlist, owner(HOST), org(HOST));
    let grant = || {
        let to = Grantee::Member(org_member("bravo"));
        guestlist.grant(&alice, &host, to, read(), Pattern::all(), None)
    };
    grant().await.unwrap();
    assert!(ensue.reads("bravo", "@widgets-inc/private/plan").await);
    let removed = ensue.remove("bravo").await.unwrap().membership;
    assert_eq!(removed.status, Some(Status::Removed));
    // By the group, by the external group, by its own grant: nothing is left.
    for key in ["shared/plan", "private/plan"] {
        let address = format!("@widgets-inc/{key}");
        assert!(!ensue.reads("bravo", &address).await, "{address}");
    }
    let name = HOST.parse().unwrap();
    let left = guestlist
        .readable(&owner("bravo"), Action::Read, Some(&name))
        .await;
    assert!(left.unwrap().is_empty());
    // The proxy user stays on record and is nobody: nothing can be given to it, nothing shows it.
    assert_eq!(removed.proxy, membership.proxy);
    assert_eq!(code(grant().await), "member-not-live");
    let added = guestlist
        .add_to_group(&alice, &host, partners.id, &org_member("bravo"))
        .await;
    assert_eq!(code(added), "member-not-live");
    let key = Key::parse("shared/plan").unwrap();
    let who = guestlist.who(&alice, &host, Action::Read, &key).await;
    let who: Vec<Member> = who.unwrap().members.into_iter().map(|row| row.0).collect();
    assert_eq!(who, [user_member("widgets-inc-owner")]);
    assert!(!ensue.remove("bravo").await.unwrap().changed);
}

async fn the_two_lists_show_who_joined_and_what_was_joined<S: Store>(ensue: Ensue<S>) {
    let token = ensue.link(LinkDraft::default()).await.token.unwrap();
    for name in ["bravo", "charlie", "delta"] {
        ensue.claim(name, &token).await.unwrap();
    }
    ensue.approve("bravo").await.unwrap();
    ensue.reject("delta").await.unwrap();
    assert_eq!(
        ensue.joined(None).await,
        [
            row("bravo", Status::Approved),
            row("charlie", Status::Pending),
            row("delta", Status::Rejected),
        ]
    );
    // Bravo is in two: the host, and charlie, which invited it as well.
    let theirs = ensue
        .guestlist
        .create_link(&owner("charlie"), &org("charlie"), LinkDraft::default())
        .await
        .unwrap();
    ensue.claim("bravo", &theirs.token.unwrap()).await.unwrap();
    let both = [row("charlie", Status::Pending), row(HOST, Status::Approved)];
    assert_eq!(ensue.joined_by("bravo", None).await, both);
    let approved = Some(Status::Approved);
    assert_eq!(ensue.joined_by("bravo", approved).await, both[1..]);
    assert_eq!(ensue.joined_by(HOST, None).await, [], "it goes one way");
    // Each side has its own list, and nobody else sees it.
    let (page, bravo) = (Page::default(), org_member("bravo"));
    let looked = ensue
        .guestlist
        .memberships_of(&owner(HOST), &bravo, None, &page)
        .await;
    assert_eq!(code(looked), "not-the-member");
    let filter = MemberFilter::default();
    let looked = ensue
        .guestlist
        .members(&owner("bravo"), &org(HOST), filter, &page)
        .await;
    assert_eq!(code(looked), "not-found");
}

async fn leaving_gives_the_access_up<S: Store>(ensue: Ensue<S>) {
    ensue.partners_as_external_group().await;
    ensue.let_in("bravo", LinkDraft::default()).await;
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    // Nobody but the member leaves.
    let (host, bravo) = (org(HOST), org_member("bravo"));
    let left = ensue.guestlist.leave(&owner(HOST), &host, &bravo).await;
    assert_eq!(code(left), "not-the-member");
    assert_eq!(code(ensue.cancel("bravo").await), "wrong-state");
    let left = ensue.leave("bravo").await.unwrap().membership;
    assert_eq!(left.status, Some(Status::Cancelled));
    assert_eq!(left.ended.unwrap().cause, Cause::Left);
    assert!(!ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    let cancelled = [row(HOST, Status::Cancelled)];
    assert_eq!(ensue.joined_by("bravo", None).await, cancelled);
}

async fn cancelling_withdraws_a_request_before_it_is_reviewed<S: Store>(ensue: Ensue<S>) {
    let token = ensue.link(LinkDraft::default()).await.token.unwrap();
    ensue.claim("bravo", &token).await.unwrap();
    let cancelled = ensue.cancel("bravo").await.unwrap().membership;
    assert_eq!(cancelled.status, Some(Status::Cancelled));
    assert_eq!(cancelled.ended.unwrap().cause, Cause::Withdrew);
    assert!(ensue.waiting().await.is_empty());
    assert_eq!(code(ensue.approve("bravo").await), "wrong-state");
    // It may change its mind.
    ensue.claim("bravo", &token).await.unwrap();
    assert_eq!(ensue.waiting().await, ["bravo"]);
}

async fn the_proxy_user_is_the_member_organization_within_the_host<S: Store>(ensue: Ensue<S>) {
    ensue.partners_as_external_group().await;
    let first = ensue.let_in("bravo", LinkDraft::default()).await;
    let other = ensue.let_in("charlie", LinkDraft::default()).await;
    let (bravo, charlie) = (first.proxy.unwrap(), other.proxy.unwrap());
    assert_ne!(bravo.id, charlie.id);
    assert_eq!(bravo.user_name.as_str(), "bravo");
    assert_eq!(charlie.user_name.as_str(), "charlie");
    // What is done through it is on record with the organization and the person.
    assert!(ensue.reads("bravo", "@widgets-inc/shared/plan").await);
    let record = ensue.notebook.0.lock().unwrap().pop().unwrap();
    assert_eq!(record.proxy, Some(bravo.id));
    assert_eq!(record.caller, Some(org("bravo")));
    assert_eq!(record.user.as_ref(), owner("bravo").user_id());
    assert_eq!(record.host, Some(org(HOST)));
    // One for ever: whoever comes back is the same proxy user.
    ensue.leave("bravo").await.unwrap();
    let back = ensue.let_in("bravo", LinkDraft::default()).await;
    assert_eq!(back.proxy, Some(bravo));
}

async fn the_external_group_has_every_proxy_user_in_it<S: Store>(ensue: Ensue<S>) {
    let (guestlist, alice, host) = (&ensue.guestlist, owner(HOST), org(HOST));
    ensue.let_in("bravo", LinkDraft::default()).await;
    ensue.staff("mia", "member").await;
    let plan = "@widgets-inc/shared/plan";
    assert!(!ensue.reads("bravo", plan).await, "none is configured");
    let partners = ensue.partners_as_external_group().await;
    assert!(ensue.reads("bravo", plan).await, "those who are in already");
    ensue.let_in("charlie", LinkDraft::default()).await;
    assert!(ensue.reads("charlie", plan).await, "and those who come");
    assert!(!ensue.reads("delta", plan).await, "and nobody else");
    // It is the group that gives it.
    let decided = guestlist
        .decide(
            &owner("charlie"),
            Action::Read,
            &Address::parse(plan).unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(decided.witness().unwrap().groups, [partners.id]);
    let filter = MemberFilter {
        group: Some(partners.id),
        ..MemberFilter::default()
    };
    // Proxy users, and no user of the host's own.
    let listed = || async {
        let (filter, page) = (filter.clone(), Page::default());
        let page = guestlist.members(&alice, &host, filter, &page).await;
        let rows = page.unwrap().members;
        rows.iter().map(handle).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, ["bravo", "charlie"]);
    ensue.leave("bravo").await.unwrap();
    assert_eq!(listed().await, ["charlie"]);
    // What the group gets, they get; without it they have nothing.
    let to = Grantee::Group(partners.id);
    let drafts = Pattern::parse("drafts/").unwrap();
    guestlist
        .grant(&alice, &host, to, read(), drafts, None)
        .await
        .unwrap();
    assert!(ensue.reads("charlie", "@widgets-inc/drafts/one").await);
    guestlist
        .set_external_group(&alice, &host, None)
        .await
        .unwrap();
    assert!(!ensue.reads("charlie", plan).await);
    assert!(listed().await.is_empty());
}

async fn a_key_with_the_hosts_name_before_it_is_read_through_the_proxy_user<S: Store>(
    ensue: Ensue<S>,
) {
    ensue.partners_as_external_group().await;
    let tokens = "@widgets-inc/shared/design-tokens";
    assert!(!ensue.reads("bravo", tokens).await, "not before approval");
    let membership = ensue.let_in("bravo", LinkDraft::default()).await;
    assert!(ensue.reads("bravo", tokens).await);
    let record = ensue.notebook.0.lock().unwrap().pop().unwrap();
    assert_eq!(record.host, Some(org(HOST)));
    assert_eq!(record.proxy, Some(membership.proxy.unwrap().id));
    // Without the name it is one's own key, and only one's own.
    assert!(ensue.reads("bravo", "shared/design-tokens").await);
    let record = ensue.notebook.0.lock().unwrap().pop().unwrap();
    assert_eq!((record.host, record.proxy), (Some(org("bravo")), None));
    // The host doesn't get into bravo that way, and no third one gets in.
    assert!(!ensue.reads(HOST, "@bravo/shared/plan").await);
    assert!(!ensue.reads("charlie", tokens).await);
    assert!(Address::parse("@widgets-inc").is_err());
    assert!(Address::parse("@widgets-inc/@charlie/plan").is_err());
}

async fn a_proxy_user_reads_shared_and_not_private<S: Store>(ensue: Ensue<S>) {
    ensue.partners_as_external_group().await;
    ensue.let_in("bravo", LinkDraft::default()).await;
    for key in ["shared/anything", "shared/a/b/c"] {
        assert!(ensue.reads("bravo", &format!("@widgets-inc/{key}")).await);
    }
    for key in ["private/anything", "sharedish/x", "shared", "x/shared/y"] {
        let address = format!("@widgets-inc/{key}");
        assert!(!ensue.reads("bravo", &address).await, "{address}");
    }
    // Read is read.
    let address = Address::parse("@widgets-inc/shared/anything").unwrap();
    let may = ensue.guestlist.actions(&owner("bravo"), &address).await;
    assert_eq!(may.unwrap(), read());
    // What may not be read is answered as what isn't there.
    let bob = owner("bravo");
    let answer = |text: &str| {
        let (guestlist, bob) = (&ensue.guestlist, &bob);
        let address = Address::parse(text).unwrap();
        async move { guestlist.decide(bob, Action::Read, &address).await.unwrap() }
    };
    let private = answer("@widgets-inc/private/anything").await;
    assert_eq!(private, answer("@nobody/private/anything").await);
}

async fn several_keys_in_one_go_are_each_decided<S: Store>(ensue: Ensue<S>) {
    ensue.partners_as_external_group().await;
    ensue.let_in("bravo", LinkDraft::default()).await;
    let wanted = [
        "@widgets-inc/shared/api-spec",
        "@widgets-inc/shared/style-guide",
        "@widgets-inc/private/salaries",
        "own-notes",
    ];
    let mut answers = Vec::new();
    for address in wanted {
        answers.push(ensue.reads("bravo", address).await);
    }
    assert_eq!(answers, [true, true, false, true]);
    // All keys of one organization with one question.
    let coverage = ensue
        .guestlist
        .readable(&owner("bravo"), Action::Read, Some(&HOST.parse().unwrap()))
        .await
        .unwrap();
    let contains = |address: &str| coverage.contains(Address::parse(address).unwrap().key());
    assert_eq!(
        wanted[..3]
            .iter()
            .map(|key| contains(key))
            .collect::<Vec<_>>(),
        answers[..3]
    );
}

/// What the host application's own index finds for "design system" under this condition.
fn found_in_index(filter: &str) -> Vec<String> {
    let index = rusqlite::Connection::open_in_memory().unwrap();
    index
        .execute_batch(
            "create table memories (key text primary key, value text);
             insert into memories values
                ('shared/design', 'design system guidelines'),
                ('shared/lunch', 'soup'),
                ('sharedish/design', 'design system guidelines'),
                ('private/design', 'design system guidelines')",
        )
        .unwrap();
    let sql = format!("select key from memories where value like '%design system%' and {filter}");
    let mut statement = index.prepare(&sql).unwrap();
    let found = statement.query_map([], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

async fn a_search_finds_what_the_proxy_user_may_read<S: Store>(ensue: Ensue<S>) {
    ensue.partners_as_external_group().await;
    ensue.let_in("bravo", LinkDraft::default()).await;
    let (guestlist, bob) = (&ensue.guestlist, owner("bravo"));
    let host = HOST.parse().unwrap();
    let there = guestlist
        .readable(&bob, Action::Read, Some(&host))
        .await
        .unwrap();
    assert_eq!(there.as_patterns(), [below_shared()]);
    let found = found_in_index(&there.sql_filter("key").unwrap());
    assert_eq!(found, ["shared/design"]);
    // Without a prefix: one's own keys, then those of each host by its name.
    let everywhere = || guestlist.readable_everywhere(&bob, Action::Read);
    let scopes: Vec<_> = everywhere()
        .await
        .unwrap()
        .into_iter()
        .map(|(name, coverage)| (name, coverage.as_patterns().to_vec()))
        .collect();
    assert_eq!(
        scopes,
        [
            (None, vec![Pattern::all()]),
            (Some(host), vec![below_shared()])
        ]
    );
    ensue.remove("bravo").await.unwrap();
    assert_eq!(everywhere().await.unwrap().len(), 1);
}

async fn a_membership_is_pending_approved_rejected_removed_or_cancelled<S: Store>(ensue: Ensue<S>) {
    assert_eq!(
        Status::ALL.map(Status::as_str),
        ["pending", "approved", "rejected", "removed", "cancelled"]
    );
    let token = ensue.link(LinkDraft::default()).await.token.unwrap();
    let claim = || ensue.claim("bravo", &token);
    let expect = async |name: &str, proxy: bool| {
        let row = ensue
            .guestlist
            .membership(&owner("bravo"), &org(HOST), &org_member("bravo"))
            .await
            .unwrap();
        let status = row.status.unwrap();
        assert_eq!((status.as_str(), &*wire(&status)), (name, name));
        assert_eq!(status.to_string(), name);
        assert_eq!(row.proxy.is_some(), proxy, "{name}");
    };
    claim().await.unwrap();
    expect("pending", false).await;
    ensue.reject("bravo").await.unwrap();
    expect("rejected", false).await;
    claim().await.unwrap();
    ensue.cancel("bravo").await.unwrap();
    expect("cancelled", false).await;
    claim().await.unwrap();
    ensue.approve("bravo").await.unwrap();
    expect("approved", true).await;
    ensue.leave("bravo").await.unwrap();
    expect("cancelled", true).await;
    claim().await.unwrap();
    ensue.approve("bravo").await.unwrap();
    ensue.remove("bravo").await.unwrap();
    expect("removed", true).await;
}

async fn a_link_is_active_or_disabled<S: Store>(ensue: Ensue<S>) {
    let (guestlist, alice, host) = (&ensue.guestlist, owner(HOST), org(HOST));
    let issued = ensue.link(LinkDraft::default()).await;
    let id = issued.link.id;
    let listed = async |status: LinkStatus| {
        let filter = LinkFilter {
            status: Some(status),
            ..LinkFilter::default()
        };
        let page = Page::default();
        let listed = guestlist.links(&alice, &host, filter, &page).await.unwrap();
        listed
            .links
            .iter()
            .map(|listing| wire(&listing.link.status))
            .collect::<Vec<_>>()
    };
    assert_eq!(LinkStatus::Active.as_str(), "active");
    assert_eq!(listed(LinkStatus::Active).await, ["active"]);
    assert!(listed(LinkStatus::Disabled).await.is_empty());
    let token = issued.token.unwrap();
    assert!(ensue.claim("bravo", &token).await.unwrap().changed);
    guestlist.disable_link(&alice, &host, id).await.unwrap();
    assert_eq!(LinkStatus::Disabled.as_str(), "disabled");
    assert_eq!(listed(LinkStatus::Disabled).await, ["disabled"]);
    assert!(listed(LinkStatus::Active).await.is_empty());
    assert_eq!(code(ensue.claim("charlie", &token).await), "invalid-token");
}

async fn groups_and_permissions_are_set_up_and_explained<S: Store>(ensue: Ensue<S>) {
    let (guestlist, alice, host) = (&ensue.guestlist, owner(HOST), org(HOST));
    let partners = ensue.partners().await;
    ensue.let_in("bravo", LinkDraft::default()).await;
    let bravo = org_member("bravo");
    let key = Key::parse("shared/plan").unwrap();
    let explain = || {
        let subject = Subject::Member(bravo.clone());
        let (alice, host, key) = (&alice, &host, &key);
        async move {
            guestlist
                .explain(alice, host, &subject, Action::Read, key)
                .await
                .unwrap()
        }
    };
    let before = explain().await;
    assert!(!before.decision.is_allowed());
    assert_eq!(before.near_misses[0].why, Miss::OtherSubject);
    guestlist
        .add_to_group(&alice, &host, partners.id, &bravo)
        .await
        .unwrap();
    let after = explain().await;
    assert!(after.decision.is_allowed());
    assert_eq!(after.groups, [(partners.id, vec![partners.id])]);
    guestlist
        .remove_from_group(&alice, &host, partners.id, &bravo)
        .await
        .unwrap();
    assert_eq!(explain().await, before);
}

async fn what_a_proxy_user_may_is_the_hosts_to_change_at_any_time<S: Store>(ensue: Ensue<S>) {
    let (guestlist, alice, host) = (&ensue.guestlist, owner(HOST), org(HOST));
    ensue.let_in("bravo", LinkDraft::default()).await;
    let plan = "@widgets-inc/shared/plan";
    let to = || Grantee::Member(org_member("bravo"));
    let granted = guestlist
        .grant(&alice, &host, to(), read(), below_shared(), None)
        .await
        .unwrap();
    assert!(ensue.reads("bravo", plan).await);
    guestlist.revoke(&alice, &host, granted.id).await.unwrap();
    assert!(!ensue.reads("bravo", plan).await);
    // Bravo has no say in it.
    let taken = guestlist
        .grant(&owner("bravo"), &host, to(), read(), below_shared(), None)
        .await;
    assert_eq!(code(taken), "not-found");
}

async fn memberships_and_sharing_are_separate_commands<S: Store>(ensue: Ensue<S>) {
    let (guestlist, alice, host) = (&ensue.guestlist, owner(HOST), org(HOST));
    ensue.partners_as_external_group().await;
    let shared = || async {
        let page = Page::default();
        let (grants, _) = guestlist.grants(&alice, &host, &page).await.unwrap();
        let (groups, _) = guestlist.groups(&alice, &host, &page).await.unwrap();
        (grants, groups)
    };
    let before = shared().await;
    // A whole life, and what is shared is as it was.
    ensue.let_in("bravo", LinkDraft::default()).await;
    assert_eq!(shared().await, before);
    ensue.remove("bravo").await.unwrap();
    assert_eq!(shared().await, before);
}

async fn the_host_names_members_by_their_handle<S: Store>(ensue: Ensue<S>) {
    let (guestlist, alice, host) = (&ensue.guestlist, owner(HOST), org(HOST));
    let named = async |name: &str| {
        let name = name.parse().unwrap();
        let found = guestlist.organization_named(&Actor::system(), &name).await;
        found.map(|found| Member::Org(found.id))
    };
    let token = ensue.link(LinkDraft::default()).await.token.unwrap();
    for name in ["bravo", "charlie"] {
        ensue.claim(name, &token).await.unwrap();
    }
    assert_eq!(ensue.waiting().await, ["bravo", "charlie"]);
    let bravo = named("bravo").await.unwrap();
    guestlist.approve(&alice, &host, &bravo).await.unwrap();
    let charlie = named("charlie").await.unwrap();
    guestlist
        .reject(&alice, &host, &charlie, None)
        .await
        .unwrap();
    let in_now = [row("bravo", Status::Approved)];
    assert_eq!(ensue.joined(Some(Status::Approved)).await, in_now);
    guestlist.remove(&alice, &host, &bravo, None).await.unwrap();
    assert_eq!(ensue.status("bravo").await, Some(Status::Removed));
    // A name that leads nowhere any more leads to nobody.
    guestlist
        .rename(
            &owner("bravo"),
            &org("bravo"),
            "bravissimo".parse().unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(named("bravissimo").await.unwrap(), bravo);
    for nobody in ["bravo", "nobody"] {
        assert_eq!(code(named(nobody).await), "not-found");
    }
    // To all but the host application, an organization is as readable by its name as by its id.
    let name = HOST.parse().unwrap();
    let own = guestlist.organization_named(&alice, &name).await.unwrap();
    assert_eq!(own.id, host);
    for stranger in [owner("charlie"), user("zoe")] {
        let found = guestlist.organization_named(&stranger, &name).await;
        assert_eq!(code(found), "not-found");
    }
}

async fn the_member_names_its_hosts_by_their_handle<S: Store>(ensue: Ensue<S>) {
    let guestlist = &ensue.guestlist;
    ensue.let_in("bravo", LinkDraft::default()).await;
    assert_eq!(
        ensue.joined_by("bravo", Some(Status::Approved)).await,
        [row(HOST, Status::Approved)]
    );
    let host = guestlist
        .organization_named(&Actor::system(), &HOST.parse().unwrap())
        .await
        .unwrap();
    let bob = owner("bravo");
    let member: Member = Member::Org(bob.organization().cloned().unwrap());
    let left = guestlist.leave(&bob, &host.id, &member).await.unwrap();
    assert_eq!(left.membership.status.unwrap().as_str(), "cancelled");
    let approved = Some(Status::Approved);
    assert_eq!(ensue.joined_by("bravo", approved).await, []);
    // Once more there is nothing left to do.
    assert!(!ensue.leave("bravo").await.unwrap().changed);
    // The same command withdraws a request that still waits.
    let token = ensue.link(LinkDraft::default()).await.token.unwrap();
    ensue.claim("bravo", &token).await.unwrap();
    let withdrawn = guestlist.leave(&bob, &host.id, &member).await.unwrap();
    let ended = withdrawn.membership.ended.unwrap();
    assert_eq!(ended.cause, Cause::Withdrew);
    assert!(ensue.waiting().await.is_empty());
}

/// Runs each of these on every store.
macro_rules! walks {
    ($($walk:ident,)+) => {
        const WALKS: &[&str] = &[$(stringify!($walk)),+];

        mod memory {
            use super::{Ensue, MemoryStore};
            $(#[tokio::test]
            async fn $walk() {
                super::$walk(Ensue::over(MemoryStore::default()).await).await;
            })+
        }

        mod sqlite {
            use super::{Ensue, SqliteStore};
            $(#[tokio::test]
            async fn $walk() {
                let store = SqliteStore::builder().in_memory().open().unwrap();
                super::$walk(Ensue::over(store).await).await;
            })+
        }

        mod sqlite_file {
            use super::{Ensue, SqliteStore};
            $(#[tokio::test]
            async fn $walk() {
                let folder = tempfile::tempdir().unwrap();
                let store = SqliteStore::open(folder.path().join("ensue.db")).unwrap();
                super::$walk(Ensue::over(store).await).await;
            })+
        }
    };
}

walks! {
    the_preset_is_what_the_documents_say_by_default,
    one_link_lets_many_organizations_in_at_any_time,
    the_host_stays_in_control_of_who_gets_in,
    the_page_of_external_users_is_for_those_who_manage_them,
    a_link_has_the_default_permissions_of_whoever_comes_through_it,
    generating_a_link_makes_a_new_one_each_time,
    the_link_to_copy_is_in_the_reply,
    the_link_is_the_join_page_with_the_token_behind_it,
    a_link_arrives_by_any_channel,
    without_auto_approve_which_is_the_default_a_claim_waits_for_review,
    with_auto_approve_a_claim_is_approved_at_once,
    each_link_says_whether_its_claims_are_vetted,
    refreshing_gives_a_new_token_and_the_old_one_stops_at_once,
    who_came_through_a_link_that_got_around_is_seen_and_stays,
    disabling_lets_nobody_new_in_and_members_keep_their_access,
    enabling_again_makes_a_new_link_and_no_old_one_works,
    the_joining_side_opens_the_link_signs_in_and_asks,
    the_host_sees_a_member_or_a_request_that_waits,
    approving_makes_a_proxy_user_with_the_permissions_that_are_set,
    rejecting_denies_and_a_new_claim_tries_again_while_the_link_is_active,
    removing_deactivates_the_proxy_user_and_ends_access,
    the_two_lists_show_who_joined_and_what_was_joined,
    leaving_gives_the_access_up,
    cancelling_withdraws_a_request_before_it_is_reviewed,
    the_proxy_user_is_the_member_organization_within_the_host,
    the_external_group_has_every_proxy_user_in_it,
    a_key_with_the_hosts_name_before_it_is_read_through_the_proxy_user,
    a_proxy_user_reads_shared_and_not_private,
    several_keys_in_one_go_are_each_decided,
    a_search_finds_what_the_proxy_user_may_read,
    a_membership_is_pending_approved_rejected_removed_or_cancelled,
    a_link_is_active_or_disabled,
    groups_and_permissions_are_set_up_and_explained,
    what_a_proxy_user_may_is_the_hosts_to_change_at_any_time,
    memberships_and_sharing_are_separate_commands,
    the_host_names_members_by_their_handle,
    the_member_names_its_hosts_by_their_handle,
}

#[test]
fn every_statement_names_its_tests_and_every_test_its_statement() {
    table::check(file!(), WALKS);
}
