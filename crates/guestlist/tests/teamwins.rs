//! The page of `TeamWins` for administrators on workspace invites, from top to bottom: each test
//! holds the statement that it is named after, on both stores.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;
mod products;

use core::error::Error as StdError;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{clock, org, owner, register_with, user_member, webhook_keys};
use guestlist::access_rules::Capability;
use guestlist::membership::invite::{InvitePhase, SignOn};
use guestlist::membership::link::{LinkCondition, UseState};
use guestlist::membership::{By, Joins, Stated, TokenProblem};
use guestlist::presets::teamwins;
use guestlist::token::{CODE_BYTES, TokenKind, token_from_url};
use guestlist::types::LinkId;
use guestlist::webhook::{
    Reply, SignedHeaders, TOLERANCE, TransportError, WebhookSecret, WebhookTransport, verify,
};
use guestlist::{
    Action, ActionSet, Actor, Address, Addressee, Claim, Directory, EmailAddress, EndpointDraft,
    EndpointUrl, EventFilter, Expiry, Grantee, Guestlist, Invitations, InviteDraft, InviteFilter,
    InviteToken, Issued, JoinedBy, LinkDraft, LinkFilter, ManualClock, MemberFilter, Membership,
    OrgId, Page, Pattern, Preset, RoleCatalog, Settings, Status, Store, UserId, Uses,
};
use products::{Mail, Mailbox, code, join, on_both_stores, person, product};

on_both_stores!(
    the_persistent_link_is_made_on_first_use_and_stays_the_same,
    a_code_has_32_random_characters,
    a_link_never_expires_and_has_no_limit,
    everybody_who_comes_by_the_link_is_a_member,
    a_link_says_which_admin_created_it,
    the_address_of_a_link_ends_in_its_code,
    codes_that_clients_make_up_open_nothing,
    codes_are_unique_in_all_workspaces_and_can_stand_in_urls,
    links_of_admins_approve_always,
    links_of_members_wait_for_review_while_the_setting_is_off,
    mail_invites_of_members_wait_for_review_while_the_setting_is_off,
    with_the_setting_on_everybody_gets_in,
    requests_show_name_address_and_days,
    reviewers_are_told_of_a_request,
    welcome_makes_a_member,
    the_declined_are_told_and_can_not_use_the_same_code_again,
    reviewers_see_the_domain_and_a_link_can_insist_on_it,
    several_requests_are_approved_at_once,
    a_shareable_link_is_one_for_many_and_for_nobody_in_particular,
    mail_invites_are_for_specific_people_with_a_code_and_a_message,
    links_and_mail_invites_are_one_system,
    the_setting_is_off_by_default,
    incognito_hides_a_workspace_and_leaves_invites_alone,
    sensitive_workspaces_keep_approval_manual,
    a_link_can_be_limited_to_so_many_people,
    a_link_can_expire_after_hours,
    a_link_can_make_reviewers_and_admins,
    limit_expiry_and_role_can_be_changed_in_a_panel,
    single_codes_can_be_deactivated,
    with_the_setting_off_again_old_links_need_approval,
    a_new_link_takes_the_place_of_the_old_one,
    members_are_counted_with_when_they_joined,
    everybody_says_which_code_they_used,
    previews_and_joins_are_counted_for_each_code,
    a_link_that_got_out_lets_nobody_in_by_itself,
    requests_do_not_wait_for_weeks,
    whoever_is_removed_loses_access_at_once,
    an_incident_is_answered_with_a_new_link,
    a_link_in_a_checklist_and_in_a_bot_goes_on_working,
    people_of_single_sign_on_are_provisioned,
    joins_are_told_by_webhook,
    only_admins_create_links_and_members_pass_them_on,
    people_are_promoted_after_they_join,
    links_and_mail_invites_say_who_sent_them,
    invites_go_on_working_when_their_admin_leaves,
    an_existing_link_can_be_edited,
    a_new_link_leaves_the_old_one_valid,
);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// What the host application knows of its people: where its reviewers read their mail.
struct Reviewers;

#[async_trait]
impl Directory for Reviewers {
    async fn standing(
        &self,
        _: &OrgId,
        _: &UserId,
    ) -> Result<Stated, Box<dyn StdError + Send + Sync>> {
        Ok(Stated::NOBODY)
    }
    async fn addressees(
        &self,
        addressee: &Addressee<'_>,
    ) -> Result<Vec<EmailAddress>, Box<dyn StdError + Send + Sync>> {
        Ok(match addressee {
            Addressee::Reviewers(_) => vec!["admins@acme.example".parse()?],
            Addressee::Organization(_) | Addressee::User(_) => Vec::new(),
        })
    }
}

/// The endpoint of a workspace that wants to hear of joins: what it was sent.
#[derive(Clone, Default)]
struct Endpoint(Arc<Mutex<Vec<(SignedHeaders, String)>>>);

#[async_trait]
impl WebhookTransport for Endpoint {
    async fn post(
        &self,
        _: &EndpointUrl,
        headers: &SignedHeaders,
        body: &[u8],
    ) -> Result<Reply, TransportError> {
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.0.lock().unwrap().push((headers.clone(), body));
        Ok(Reply {
            status: 204,
            retry_after: None,
        })
    }
}

/// `TeamWins` with one workspace, `acme`, and what reaches people from it.
struct Workspace<S> {
    guestlist: Guestlist<S>,
    clock: Arc<ManualClock>,
    mailbox: Mailbox,
    endpoint: Endpoint,
}

impl<S: Store> Workspace<S> {
    async fn new(store: S) -> Self {
        Self::with_roles(store, teamwins().roles).await
    }

    async fn with_roles(store: S, roles: RoleCatalog) -> Self {
        let (clock, mailbox, endpoint) = (clock(), Mailbox::default(), Endpoint::default());
        let mut preset = teamwins();
        preset.roles = roles;
        let guestlist = product(store, &clock, preset, &mailbox, |plain| {
            plain
                .directory(Reviewers)
                .count_previews(true)
                .webhooks(webhook_keys(), endpoint.clone())
        })
        .await;
        // From here on people are told.
        guestlist.deliver_notices(100).await.unwrap();
        Self {
            guestlist,
            clock,
            mailbox,
            endpoint,
        }
    }

    async fn set(&self, change: impl FnOnce(&mut Settings) + Send) {
        let (admin, acme) = (owner("acme"), org("acme"));
        let organization = self.guestlist.organization(&admin, &acme).await.unwrap();
        let mut settings = organization.settings;
        change(&mut settings);
        self.guestlist
            .change_settings(&admin, &acme, settings)
            .await
            .unwrap();
    }

    /// What "Auto-approve join requests" does when it is switched.
    async fn auto_approve(&self, on: bool) {
        let joins = if on {
            Joins::AlwaysAuto
        } else {
            Joins::LinkDecides
        };
        self.set(|settings| settings.joins = joins).await;
    }

    /// Somebody in the workspace with this role.
    async fn with_role(&self, name: &str, role: &str) -> Actor {
        let gift = Preset {
            role: Some(role.parse().unwrap()),
            ..Preset::default()
        };
        let (admin, member) = (owner("acme"), user_member(name));
        self.guestlist
            .add_member(&admin, &org("acme"), &member, gift, None)
            .await
            .unwrap();
        person(name).in_organization(org("acme"))
    }

    async fn invite_team(&self, actor: &Actor) -> Issued {
        self.guestlist
            .default_link(actor, &org("acme"), LinkDraft::default())
            .await
            .unwrap()
    }

    async fn create(&self, actor: &Actor, draft: LinkDraft) -> (LinkId, InviteToken) {
        let issued = self.guestlist.create_link(actor, &org("acme"), draft).await;
        let issued = issued.unwrap();
        (issued.link.id, issued.token.unwrap())
    }

    async fn join(&self, name: &str, token: &InviteToken) -> Membership {
        join(&self.guestlist, name, token).await.unwrap().membership
    }

    async fn status(&self, name: &str, token: &InviteToken) -> Status {
        self.join(name, token).await.status.unwrap()
    }

    /// Why somebody does not get in.
    async fn refusal(&self, name: &str, token: &InviteToken) -> &'static str {
        code(join(&self.guestlist, name, token).await)
    }

    async fn invite(&self, actor: &Actor, invitations: Invitations) -> Vec<Mail> {
        let outcomes = self
            .guestlist
            .invite(actor, &org("acme"), invitations)
            .await;
        for outcome in outcomes.unwrap() {
            assert_eq!(outcome.code(), "invited");
        }
        self.mailbox.take()
    }

    async fn accept(&self, name: &str, token: &InviteToken) -> Membership {
        let claim = Claim::for_myself();
        let accepted = self.guestlist.accept(&person(name), token, claim).await;
        accepted.unwrap().membership
    }

    /// The queue, as the popover shows it.
    async fn pending(&self) -> Vec<(String, String, u64)> {
        let page = Page::default();
        let queue = self
            .guestlist
            .pending(&owner("acme"), &org("acme"), None, &page)
            .await
            .unwrap();
        let shown = queue.requests.into_iter().map(|request| {
            let profile = request.membership.profile;
            let name = profile.display_name.unwrap().as_str().to_owned();
            (
                name,
                profile.email.unwrap().to_string(),
                request.days_waiting,
            )
        });
        shown.collect()
    }

    async fn mails(&self) -> Vec<Mail> {
        self.guestlist.deliver_notices(100).await.unwrap();
        self.mailbox.take()
    }

    async fn may_read(&self, name: &str) -> bool {
        let actor = person(name).in_organization(org("acme"));
        let address = Address::parse("boards/plan").unwrap();
        let decision = self.guestlist.decide(&actor, Action::Read, &address).await;
        decision.unwrap().is_allowed()
    }

    /// Everybody in the workspace reads its boards.
    async fn share_boards(&self) {
        let everybody = Grantee::Organization(guestlist::Audience::InternalUsers);
        let (read, boards) = (ActionSet::of(&[Action::Read]), Pattern::parse("boards/"));
        let (admin, acme) = (owner("acme"), org("acme"));
        self.guestlist
            .grant(&admin, &acme, everybody, read, boards.unwrap(), None)
            .await
            .unwrap();
    }

    async fn problem(&self, token: &InviteToken) -> Option<TokenProblem> {
        let (admin, acme) = (owner("acme"), org("acme"));
        let report = self.guestlist.inspect(&admin, &acme, token).await;
        report.unwrap().problem
    }

    async fn discovered(&self) -> Vec<String> {
        let found = self.guestlist.discover(Some("acm"), &Page::default()).await;
        let found = found.unwrap().organizations;
        found
            .into_iter()
            .map(|found| found.name.to_string())
            .collect()
    }
}

/// The roles of a workspace in which members create invites, too: without that there is nobody
/// whose links are reviewed.
fn members_invite() -> RoleCatalog {
    let mut roles = teamwins().roles.roles().to_vec();
    for role in &mut roles {
        role.capabilities
            .extend([Capability::LinksCreate, Capability::InvitesSend]);
    }
    RoleCatalog::new(roles).unwrap()
}

async fn the_persistent_link_is_made_on_first_use_and_stays_the_same<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let first = workspace.invite_team(&owner("acme")).await;
    assert!(first.token.is_some() && first.url.is_some());
    let ada = workspace.with_role("ada", "admin").await;
    workspace.clock.advance(300 * DAY);
    for admin in [owner("acme"), ada] {
        let again = workspace.invite_team(&admin).await;
        assert_eq!(again.link, first.link);
        assert!(again.token.is_none());
    }
    let page = Page::default();
    let listed = workspace
        .guestlist
        .links(&owner("acme"), &org("acme"), LinkFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(listed.links.len(), 1);
    let status = workspace.status("bob", &first.token.unwrap()).await;
    assert_eq!(status, Status::Approved);
}

async fn a_code_has_32_random_characters<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let (_, token) = workspace.create(&owner("acme"), LinkDraft::default()).await;
        let code = token.expose_code();
        assert_eq!((code.len(), CODE_BYTES), (32, 32));
        seen.extend(code.chars());
    }
    let alphabet = ('0'..='9').chain('A'..='Z').chain('a'..='z');
    assert!(seen.into_iter().eq(alphabet), "each character comes up");
}

async fn a_link_never_expires_and_has_no_limit<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let issued = workspace.invite_team(&owner("acme")).await;
    assert_eq!(issued.link.config.expires_at, None);
    assert_eq!(issued.link.config.max_uses, None);
    workspace.clock.advance(3650 * DAY);
    let token = issued.token.unwrap();
    for number in 0..60 {
        let status = workspace.status(&format!("p{number}"), &token).await;
        assert_eq!(status, Status::Approved);
    }
}

async fn everybody_who_comes_by_the_link_is_a_member<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let token = workspace.invite_team(&owner("acme")).await.token.unwrap();
    let preview = workspace.guestlist.preview(&token).await.unwrap();
    assert_eq!(preview.role.unwrap().as_str(), "member");
    for name in ["bob", "eve"] {
        let role = workspace.join(name, &token).await.role.unwrap();
        assert_eq!(role.as_str(), "member");
    }
    // Workspaces don't join workspaces.
    register_with(&workspace.guestlist, "bravo", teamwins().settings).await;
    let claim = Claim::for_organization();
    let bravo = owner("bravo");
    let refused = workspace.guestlist.claim(&bravo, &token, claim).await;
    assert_eq!(code(refused), "wrong-kind-of-member");
}

async fn a_link_says_which_admin_created_it<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let ada = workspace.with_role("ada", "admin").await;
    let issued = workspace.invite_team(&ada).await;
    assert_eq!(issued.link.creator.unwrap().as_str(), "ada");
}

async fn the_address_of_a_link_ends_in_its_code<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let token = workspace.invite_team(&owner("acme")).await.token.unwrap();
    let address = format!(
        "https://app.teamwins.example/invite/{}",
        token.expose_code()
    );
    let code = address.rsplit('/').next().unwrap();
    let read = InviteToken::parse_code(TokenKind::Link, code).unwrap();
    assert_eq!(workspace.status("bob", &read).await, Status::Approved);
}

async fn codes_that_clients_make_up_open_nothing<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let token = workspace.invite_team(&owner("acme")).await.token.unwrap();
    let code = token.expose_code();
    let invented = "xK7mN9pQ2wR8sT4vU6yZ3aB5cD1eF0gH";
    let guessed = format!(
        "{}{}",
        &code[..31],
        if code.ends_with('0') { '1' } else { '0' }
    );
    for forged in [invented, &guessed] {
        let forged = InviteToken::parse_code(TokenKind::Link, forged).unwrap();
        assert_eq!(workspace.refusal("eve", &forged).await, "invalid-token");
        let preview = workspace.guestlist.preview(&forged).await;
        assert_eq!(products::code(preview), "invalid-token");
    }
    for broken in ["", &code[1..], &code.replace(&code[..1], "-")] {
        assert!(InviteToken::parse_code(TokenKind::Link, broken).is_err());
    }
}

async fn codes_are_unique_in_all_workspaces_and_can_stand_in_urls<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let mut codes = BTreeSet::new();
    for name in ["bravo", "charlie", "delta"] {
        register_with(&workspace.guestlist, name, teamwins().settings).await;
        for _ in 0..20 {
            let issued = workspace
                .guestlist
                .create_link(&owner(name), &org(name), LinkDraft::default())
                .await
                .unwrap();
            let url = issued.url.unwrap();
            let token = token_from_url(url.expose_secret()).unwrap();
            let code = token.expose_code();
            assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert!(codes.insert(code.to_owned()));
            // It leads to its own workspace.
            let preview = workspace.guestlist.preview(&token).await.unwrap();
            assert_eq!(preview.host_name.as_str(), name);
        }
    }
    assert_eq!(codes.len(), 60);
}

async fn links_of_admins_approve_always<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let admins = [owner("acme"), workspace.with_role("ada", "admin").await];
    for (on, who) in [(false, "off"), (true, "on")] {
        workspace.auto_approve(on).await;
        for (number, admin) in admins.iter().enumerate() {
            let (_, token) = workspace.create(admin, LinkDraft::default()).await;
            let preview = workspace.guestlist.preview(&token).await.unwrap();
            assert!(!preview.needs_review);
            let membership = workspace.join(&format!("{who}{number}"), &token).await;
            assert_eq!(membership.status, Some(Status::Approved));
            assert_eq!(membership.approved_by, Some(By::Policy));
        }
    }
    assert!(workspace.pending().await.is_empty());
}

async fn links_of_members_wait_for_review_while_the_setting_is_off<S: Store>(store: S) {
    let workspace = Workspace::with_roles(store, members_invite()).await;
    let bob = workspace.with_role("bob", "member").await;
    let (_, token) = workspace.create(&bob, LinkDraft::default()).await;
    let preview = workspace.guestlist.preview(&token).await.unwrap();
    assert!(preview.needs_review);
    assert_eq!(workspace.status("eve", &token).await, Status::Pending);
    assert_eq!(workspace.pending().await.len(), 1);
    assert!(!workspace.may_read("eve").await);
    let asked = workspace
        .guestlist
        .create_link(&bob, &org("acme"), LinkDraft::auto())
        .await;
    assert_eq!(code(asked), "not-allowed");
    let approved = workspace
        .guestlist
        .approve(&owner("acme"), &org("acme"), &user_member("eve"))
        .await
        .unwrap();
    assert_eq!(approved.membership.status, Some(Status::Approved));
}

async fn mail_invites_of_members_wait_for_review_while_the_setting_is_off<S: Store>(store: S) {
    let workspace = Workspace::with_roles(store, members_invite()).await;
    let bob = workspace.with_role("bob", "member").await;
    let to = Invitations::new().to("eve@acme.example");
    let mails = workspace.invite(&bob, to).await;
    let preview = workspace.guestlist.preview_invite(&mails[0].token()).await;
    assert!(preview.unwrap().needs_review);
    let membership = workspace.accept("eve", &mails[0].token()).await;
    assert_eq!(membership.status, Some(Status::Pending));
}

async fn with_the_setting_on_everybody_gets_in<S: Store>(store: S) {
    let workspace = Workspace::with_roles(store, members_invite()).await;
    let bob = workspace.with_role("bob", "member").await;
    let (_, of_bob) = workspace.create(&bob, LinkDraft::default()).await;
    let (_, of_admin) = workspace.create(&owner("acme"), LinkDraft::default()).await;
    workspace.auto_approve(true).await;
    assert_eq!(workspace.status("eve", &of_bob).await, Status::Approved);
    assert_eq!(workspace.status("dan", &of_admin).await, Status::Approved);
    let to = Invitations::new().to("fay@acme.example");
    let mails = workspace.invite(&bob, to).await;
    let membership = workspace.accept("fay", &mails[0].token()).await;
    assert_eq!(membership.status, Some(Status::Approved));
    assert!(workspace.pending().await.is_empty());
}

/// A workspace with a link of a member's, whose claims are reviewed.
async fn reviewed<S: Store>(store: S) -> (Workspace<S>, LinkId, InviteToken) {
    let workspace = Workspace::with_roles(store, members_invite()).await;
    let bob = workspace.with_role("bob", "member").await;
    let (id, token) = workspace.create(&bob, LinkDraft::default()).await;
    (workspace, id, token)
}

async fn requests_show_name_address_and_days<S: Store>(store: S) {
    let (workspace, _, token) = reviewed(store).await;
    workspace.join("eve", &token).await;
    workspace.clock.advance(2 * DAY);
    workspace.join("dan", &token).await;
    workspace.clock.advance(DAY + MINUTE);
    let shown = |name: &str, days| (name.to_owned(), format!("{name}@acme.example"), days);
    assert_eq!(
        workspace.pending().await,
        [shown("eve", 3), shown("dan", 1)],
        "longest waiting first"
    );
    let bob = person("bob").in_organization(org("acme"));
    let page = Page::default();
    let queue = workspace
        .guestlist
        .pending(&bob, &org("acme"), None, &page)
        .await;
    assert_eq!(code(queue), "not-allowed");
}

async fn reviewers_are_told_of_a_request<S: Store>(store: S) {
    let (workspace, _, token) = reviewed(store).await;
    workspace.join("eve", &token).await;
    let mails = workspace.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "admins@acme.example");
    assert!(mails[0].text.starts_with("request-received eve acme"));
}

async fn welcome_makes_a_member<S: Store>(store: S) {
    let (workspace, _, token) = reviewed(store).await;
    workspace.share_boards().await;
    workspace.join("eve", &token).await;
    assert!(!workspace.may_read("eve").await);
    workspace.mails().await;
    let welcome = workspace
        .guestlist
        .approve(&owner("acme"), &org("acme"), &user_member("eve"))
        .await
        .unwrap();
    assert_eq!(welcome.membership.status, Some(Status::Approved));
    assert_eq!(welcome.membership.role.unwrap().as_str(), "member");
    assert!(workspace.may_read("eve").await);
    assert!(workspace.pending().await.is_empty());
    let mails = workspace.mails().await;
    assert_eq!(mails[0].to, "eve@acme.example");
    assert!(mails[0].text.starts_with("request-approved"));
}

async fn the_declined_are_told_and_can_not_use_the_same_code_again<S: Store>(store: S) {
    let (workspace, _, token) = reviewed(store).await;
    workspace.join("eve", &token).await;
    workspace.mails().await;
    let reason = Some("We don't know you.".parse().unwrap());
    let declined = workspace
        .guestlist
        .reject(&owner("acme"), &org("acme"), &user_member("eve"), reason)
        .await
        .unwrap();
    assert_eq!(declined.membership.status, Some(Status::Rejected));
    let mails = workspace.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "eve@acme.example");
    assert_eq!(
        mails[0].text,
        "request-rejected eve acme We don't know you."
    );
    assert!(workspace.mails().await.is_empty(), "told once");
    workspace.clock.advance(365 * DAY);
    assert_eq!(workspace.refusal("eve", &token).await, "rejected-link");
    workspace.auto_approve(true).await;
    assert_eq!(workspace.refusal("eve", &token).await, "rejected-link");
    workspace.auto_approve(false).await;
    // Others use it as before, and another code works for the declined one.
    assert_eq!(workspace.status("dan", &token).await, Status::Pending);
    let bob = person("bob").in_organization(org("acme"));
    let (_, other) = workspace.create(&bob, LinkDraft::default()).await;
    assert_eq!(workspace.status("eve", &other).await, Status::Pending);
}

async fn reviewers_see_the_domain_and_a_link_can_insist_on_it<S: Store>(store: S) {
    let (workspace, _, token) = reviewed(store).await;
    let stranger = common::user("eve")
        .with_display_name("eve".parse().unwrap())
        .with_verified_email("eve@elsewhere.example".parse().unwrap());
    let claim = Claim::for_myself;
    workspace
        .guestlist
        .claim(&stranger, &token, claim())
        .await
        .unwrap();
    assert_eq!(workspace.pending().await[0].1, "eve@elsewhere.example");
    // An address that the host application has not verified is not shown as theirs.
    let draft = LinkDraft::default().allow_domain("acme.example".parse().unwrap());
    let (_, own) = workspace.create(&owner("acme"), draft).await;
    let refused = workspace.guestlist.claim(&stranger, &own, claim()).await;
    assert_eq!(code(refused), "domain-not-allowed");
    assert_eq!(workspace.status("dan", &own).await, Status::Approved);
}

async fn several_requests_are_approved_at_once<S: Store>(store: S) {
    let (workspace, _, token) = reviewed(store).await;
    for name in ["dan", "eve", "fay", "gus"] {
        workspace.join(name, &token).await;
    }
    let (admin, acme) = (owner("acme"), org("acme"));
    let selected = ["dan", "fay", "nobody"].map(user_member);
    let outcomes = workspace
        .guestlist
        .approve_all(&admin, &acme, &selected)
        .await;
    let said: Vec<&str> = outcomes.into_iter().map(code).collect();
    assert_eq!(said, ["ok", "ok", "not-found"]);
    let waiting = |queue: Vec<(String, String, u64)>| {
        queue.into_iter().map(|shown| shown.0).collect::<Vec<_>>()
    };
    assert_eq!(waiting(workspace.pending().await), ["eve", "gus"]);
    let none = workspace.guestlist.approve_all(&admin, &acme, &[]).await;
    assert!(none.is_empty());
    assert_eq!(waiting(workspace.pending().await), ["eve", "gus"]);
    let rest = ["eve", "gus"].map(user_member);
    let outcomes = workspace
        .guestlist
        .reject_all(&admin, &acme, &rest, None)
        .await;
    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok()));
    assert!(workspace.pending().await.is_empty());
}

async fn a_shareable_link_is_one_for_many_and_for_nobody_in_particular<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let issued = workspace.invite_team(&owner("acme")).await;
    assert!(issued.link.config.allowed_members.is_empty());
    assert!(issued.link.config.allowed_domains.is_empty());
    let token = issued.token.unwrap();
    for number in 0..10 {
        let status = workspace.status(&format!("p{number}"), &token).await;
        assert_eq!(status, Status::Approved);
    }
    // Where it is to be for certain people, it can.
    let draft = LinkDraft::default().allow_member(user_member("ceo"));
    let (_, targeted) = workspace.create(&owner("acme"), draft).await;
    assert_eq!(
        workspace.refusal("eve", &targeted).await,
        "member-not-allowed"
    );
    assert_eq!(workspace.status("ceo", &targeted).await, Status::Approved);
}

async fn mail_invites_are_for_specific_people_with_a_code_and_a_message<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let ada = workspace.with_role("ada", "admin").await;
    let message = "We need you here.".parse().unwrap();
    let to = Invitations::new()
        .to("ceo@acme.example")
        .to("cfo@acme.example")
        .draft(InviteDraft::new().message(message));
    let mails = workspace.invite(&ada, to).await;
    let addresses: Vec<&str> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(addresses, ["ceo@acme.example", "cfo@acme.example"]);
    for mail in &mails {
        assert!(mail.text.starts_with("ada invites you to acme"));
        assert!(mail.text.contains("We need you here."));
    }
    let (ceo, cfo) = (mails[0].token(), mails[1].token());
    assert_ne!(ceo.expose_code(), cfo.expose_code());
    assert_eq!(cfo.expose_code().len(), 32);
    let claim = Claim::for_myself();
    let wrong = workspace
        .guestlist
        .accept(&person("cfo"), &ceo, claim)
        .await;
    assert_eq!(code(wrong), "wrong-account");
    let joined = workspace.accept("ceo", &ceo).await;
    assert_eq!(joined.status, Some(Status::Approved));
    let claim = Claim::for_myself();
    let used = workspace
        .guestlist
        .accept(&person("eve"), &ceo, claim)
        .await;
    assert_eq!(code(used), "invalid-token");
    // Members send none.
    let bob = workspace.with_role("bob", "member").await;
    let to = Invitations::new().to("dan@acme.example");
    let refused = workspace.guestlist.invite(&bob, &org("acme"), to).await;
    assert_eq!(code(refused), "not-allowed");
}

async fn links_and_mail_invites_are_one_system<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let admin = owner("acme");
    let link = workspace.invite_team(&admin).await.token.unwrap();
    let to = Invitations::new()
        .to("ceo@acme.example")
        .to("cfo@acme.example");
    let mails = workspace.invite(&admin, to).await;
    let by_link = workspace.join("bob", &link).await;
    let by_mail = workspace.accept("ceo", &mails[0].token()).await;
    for joined in [&by_link, &by_mail] {
        assert_eq!(joined.status, Some(Status::Approved));
        assert_eq!(joined.role.as_ref().unwrap().as_str(), "member");
    }
    assert_eq!(by_link.door.as_str(), "link");
    assert_eq!(by_mail.door.as_str(), "invite");
    // Who is invited and comes by the link is in once.
    workspace.join("cfo", &link).await;
    let again = workspace.accept("cfo", &mails[1].token()).await;
    assert_eq!(again.door.as_str(), "link");
    let members = workspace
        .guestlist
        .members(
            &admin,
            &org("acme"),
            MemberFilter::default(),
            &Page::default(),
        )
        .await;
    assert_eq!(members.unwrap().members.len(), 4, "with the owner");
}

async fn the_setting_is_off_by_default<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let shown = workspace
        .guestlist
        .organization(&owner("acme"), &org("acme"))
        .await
        .unwrap();
    assert_eq!(shown.settings.joins, Joins::LinkDecides);
    // Whoever asks without a link waits, too.
    let claim = Claim::for_myself();
    let asked = workspace
        .guestlist
        .request(&person("eve"), &org("acme"), claim, None)
        .await
        .unwrap();
    assert_eq!(asked.membership.status, Some(Status::Pending));
    // Members switch nothing.
    let bob = workspace.with_role("bob", "member").await;
    let switched = workspace
        .guestlist
        .change_settings(&bob, &org("acme"), shown.settings.clone())
        .await;
    assert_eq!(code(switched), "not-allowed");
    let ada = workspace.with_role("ada", "admin").await;
    let switched = workspace
        .guestlist
        .change_settings(&ada, &org("acme"), shown.settings)
        .await;
    assert_eq!(code(switched), "ok");
}

async fn incognito_hides_a_workspace_and_leaves_invites_alone<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    assert_eq!(workspace.discovered().await, ["acme"], "off by default");
    let link = workspace.invite_team(&owner("acme")).await.token.unwrap();
    workspace
        .set(|settings| settings.discoverable = false)
        .await;
    assert!(workspace.discovered().await.is_empty());
    let claim = Claim::for_myself();
    let asked = workspace
        .guestlist
        .request(&person("eve"), &org("acme"), claim, None)
        .await;
    assert_eq!(code(asked), "not-found");
    assert_eq!(workspace.status("bob", &link).await, Status::Approved);
    let (_, newer) = workspace.create(&owner("acme"), LinkDraft::default()).await;
    assert_eq!(workspace.status("dan", &newer).await, Status::Approved);
    let to = Invitations::new().to("fay@acme.example");
    let mails = workspace.invite(&owner("acme"), to).await;
    let joined = workspace.accept("fay", &mails[0].token()).await;
    assert_eq!(joined.status, Some(Status::Approved));
}

async fn sensitive_workspaces_keep_approval_manual<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let link = workspace.invite_team(&owner("acme")).await.token.unwrap();
    workspace
        .set(|settings| settings.joins = Joins::AlwaysReview)
        .await;
    assert_eq!(workspace.status("eve", &link).await, Status::Pending);
    let to = Invitations::new().to("fay@acme.example");
    let mails = workspace.invite(&owner("acme"), to).await;
    let asked = workspace.accept("fay", &mails[0].token()).await;
    assert_eq!(asked.status, Some(Status::Pending));
    // Internal teams switch approval on, each workspace for itself.
    register_with(&workspace.guestlist, "team", teamwins().settings).await;
    let issued = workspace
        .guestlist
        .create_link(&owner("team"), &org("team"), LinkDraft::default())
        .await
        .unwrap();
    let status = workspace.status("eve", &issued.token.unwrap()).await;
    assert_eq!(status, Status::Approved);
}

async fn a_link_can_be_limited_to_so_many_people<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let draft = LinkDraft::default().max_uses(Uses::AtMost(50));
    let (id, token) = workspace.create(&owner("acme"), draft).await;
    for number in 0..50 {
        let status = workspace.status(&format!("p{number}"), &token).await;
        assert_eq!(status, Status::Approved);
    }
    assert_eq!(workspace.refusal("eve", &token).await, "invalid-token");
    assert_eq!(
        workspace.problem(&token).await,
        Some(TokenProblem::Exhausted)
    );
    // Whoever is in already uses nothing up and is told no different.
    assert_eq!(workspace.status("p7", &token).await, Status::Approved);
    let shown = workspace
        .guestlist
        .link(&owner("acme"), &org("acme"), id)
        .await
        .unwrap();
    assert_eq!(shown.uses, Some(50));
    assert_eq!(shown.condition, LinkCondition::Exhausted);
}

async fn a_link_can_expire_after_hours<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let hours = Duration::from_secs(6 * 60 * 60);
    let draft = LinkDraft::default().expiry(Expiry::After(hours));
    let (_, token) = workspace.create(&owner("acme"), draft).await;
    workspace.clock.advance(Duration::from_secs(5 * 60 * 60));
    assert_eq!(workspace.status("bob", &token).await, Status::Approved);
    workspace.clock.advance(hours);
    assert_eq!(workspace.refusal("eve", &token).await, "invalid-token");
    assert_eq!(workspace.problem(&token).await, Some(TokenProblem::Expired));
    // For temporary access the membership ends, too.
    let lasting = guestlist::Lasting::For(hours);
    let draft = LinkDraft::default().membership_ttl(lasting);
    let (_, event) = workspace.create(&owner("acme"), draft).await;
    workspace.share_boards().await;
    workspace.join("guest", &event).await;
    assert!(workspace.may_read("guest").await);
    workspace.clock.advance(hours + MINUTE);
    assert!(!workspace.may_read("guest").await);
    assert!(workspace.may_read("bob").await);
}

async fn a_link_can_make_reviewers_and_admins<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let ada = workspace.with_role("ada", "admin").await;
    for role in ["reviewer", "admin"] {
        let draft = LinkDraft::default().role(role.parse().unwrap());
        let (_, token) = workspace.create(&ada, draft).await;
        let joined = workspace.join(&format!("new-{role}"), &token).await;
        assert_eq!(joined.status, Some(Status::Approved));
        assert_eq!(joined.role.unwrap().as_str(), role);
        let to =
            Invitations::new().to_as(format!("mail-{role}@acme.example"), role.parse().unwrap());
        let mails = workspace.invite(&ada, to).await;
        let joined = workspace
            .accept(&format!("mail-{role}"), &mails[0].token())
            .await;
        assert_eq!(joined.role.unwrap().as_str(), role);
    }
    // They can do what their role can, and nobody gives more than their own.
    let (reviewer, admin) = (
        person("new-reviewer").in_organization(org("acme")),
        person("new-admin").in_organization(org("acme")),
    );
    let page = Page::default();
    let queue = workspace
        .guestlist
        .pending(&reviewer, &org("acme"), None, &page)
        .await;
    assert_eq!(code(queue), "ok");
    let draft = LinkDraft::default().role("owner".parse().unwrap());
    let above = workspace
        .guestlist
        .create_link(&admin, &org("acme"), draft)
        .await;
    assert_eq!(code(above), "role-above-own");
}

async fn limit_expiry_and_role_can_be_changed_in_a_panel<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let admin = owner("acme");
    let issued = workspace.invite_team(&admin).await;
    let (id, token) = (issued.link.id, issued.token.unwrap());
    let draft = LinkDraft::default()
        .max_uses(Uses::AtMost(2))
        .expiry(Expiry::After(DAY))
        .role("reviewer".parse().unwrap());
    let edited = workspace
        .guestlist
        .edit_link(&admin, &org("acme"), id, draft)
        .await
        .unwrap();
    assert_eq!(edited.config.max_uses.unwrap().get(), 2);
    assert!(edited.config.expires_at.is_some());
    let joined = workspace.join("bob", &token).await;
    assert_eq!(joined.role.unwrap().as_str(), "reviewer");
    // The defaults of new links are a setting of the workspace.
    workspace
        .set(|settings| {
            settings.link_defaults = LinkDraft::auto()
                .joined_by(JoinedBy::Users)
                .max_uses(Uses::AtMost(50))
                .role("reviewer".parse().unwrap());
        })
        .await;
    let (id, _) = workspace.create(&admin, LinkDraft::default()).await;
    let shown = workspace.guestlist.link(&admin, &org("acme"), id).await;
    let config = shown.unwrap().link.config;
    assert_eq!(config.max_uses.unwrap().get(), 50);
    assert_eq!(config.preset.role.unwrap().as_str(), "reviewer");
}

async fn single_codes_can_be_deactivated<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let guestlist = &workspace.guestlist;
    let (disabled, first) = workspace.create(&admin, LinkDraft::default()).await;
    let (deleted, second) = workspace.create(&admin, LinkDraft::default()).await;
    let (_, other) = workspace.create(&admin, LinkDraft::default()).await;
    workspace.join("bob", &first).await;
    guestlist
        .disable_link(&admin, &acme, disabled)
        .await
        .unwrap();
    guestlist.delete_link(&admin, &acme, deleted).await.unwrap();
    for (token, problem) in [
        (&first, TokenProblem::Disabled),
        (&second, TokenProblem::Deleted),
    ] {
        assert_eq!(workspace.refusal("eve", token).await, "invalid-token");
        assert_eq!(workspace.problem(token).await, Some(problem));
    }
    let gone = guestlist.link(&admin, &acme, deleted).await;
    assert_eq!(code(gone), "not-found");
    // The other code goes on, and whoever is in stays in.
    assert_eq!(workspace.status("eve", &other).await, Status::Approved);
    let bob = guestlist
        .membership(&admin, &acme, &user_member("bob"))
        .await;
    assert_eq!(bob.unwrap().status, Some(Status::Approved));
    // Enabled again it has a new code.
    let enabled = guestlist
        .enable_link(&admin, &acme, disabled)
        .await
        .unwrap();
    assert_eq!(workspace.refusal("dan", &first).await, "invalid-token");
    let status = workspace.status("dan", &enabled.token.unwrap()).await;
    assert_eq!(status, Status::Approved);
    let to = Invitations::new().to("fay@acme.example");
    let mails = workspace.invite(&admin, to).await;
    let pending = InviteFilter {
        phase: Some(InvitePhase::Pending),
        ..InviteFilter::default()
    };
    let page = Page::default();
    let listed = guestlist
        .invites(&admin, &acme, pending, &page)
        .await
        .unwrap();
    let invite = listed.invites[0].id;
    guestlist
        .revoke_invite(&admin, &acme, invite)
        .await
        .unwrap();
    let claim = Claim::for_myself();
    let dead = guestlist
        .accept(&person("fay"), &mails[0].token(), claim)
        .await;
    assert_eq!(code(dead), "invalid-token");
}

async fn with_the_setting_off_again_old_links_need_approval<S: Store>(store: S) {
    let (workspace, _, of_member) = reviewed(store).await;
    let (_, of_admin) = workspace.create(&owner("acme"), LinkDraft::default()).await;
    workspace.auto_approve(true).await;
    assert_eq!(workspace.status("p0", &of_member).await, Status::Approved);
    workspace.auto_approve(false).await;
    assert_eq!(workspace.status("p1", &of_member).await, Status::Pending);
    // Those of admins approve regardless of that switch; a third position is for them, too.
    assert_eq!(workspace.status("p2", &of_admin).await, Status::Approved);
    workspace
        .set(|settings| settings.joins = Joins::AlwaysReview)
        .await;
    assert_eq!(workspace.status("p3", &of_admin).await, Status::Pending);
    // Unwanted requests are declined, and nobody who is in is concerned.
    let (admin, acme) = (owner("acme"), org("acme"));
    let unwanted = ["p1", "p3"].map(user_member);
    let declined = workspace
        .guestlist
        .reject_all(&admin, &acme, &unwanted, None)
        .await;
    assert!(declined.into_iter().all(|outcome| outcome.is_ok()));
    let p0 = workspace
        .guestlist
        .membership(&admin, &acme, &user_member("p0"))
        .await;
    assert_eq!(p0.unwrap().status, Some(Status::Approved));
}

async fn a_new_link_takes_the_place_of_the_old_one<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let old = workspace.invite_team(&admin).await;
    let (id, first) = (old.link.id, old.token.unwrap());
    let refreshed = workspace
        .guestlist
        .refresh_link(&admin, &acme, id, Duration::ZERO)
        .await
        .unwrap();
    let second = refreshed.token.unwrap();
    assert_eq!(refreshed.link.id, id);
    assert_eq!(workspace.refusal("eve", &first).await, "invalid-token");
    assert_eq!(workspace.status("bob", &second).await, Status::Approved);
    // Or the old one is deleted, and the next use makes another.
    workspace
        .guestlist
        .delete_link(&admin, &acme, id)
        .await
        .unwrap();
    let next = workspace.invite_team(&admin).await;
    assert_ne!(next.link.id, id);
    assert_eq!(workspace.refusal("eve", &second).await, "invalid-token");
    let status = workspace.status("eve", &next.token.unwrap()).await;
    assert_eq!(status, Status::Approved);
}

async fn members_are_counted_with_when_they_joined<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let token = workspace.invite_team(&admin).await.token.unwrap();
    for name in ["bob", "eve"] {
        workspace.clock.advance(DAY);
        workspace.join(name, &token).await;
    }
    workspace.join("gone", &token).await;
    let gone = user_member("gone");
    workspace
        .guestlist
        .remove(&admin, &acme, &gone, None)
        .await
        .unwrap();
    // Every member sees the page.
    for reader in [admin, person("bob").in_organization(acme.clone())] {
        let filter = MemberFilter {
            status: Some(Status::Approved),
            ..MemberFilter::default()
        };
        let page = Page::default();
        let listed = workspace.guestlist.members(&reader, &acme, filter, &page);
        let shown: Vec<_> = listed
            .await
            .unwrap()
            .members
            .into_iter()
            .map(|row| {
                let days = row.approved_at.unwrap().since(common::START).as_secs() / 86_400;
                (row.member.id().to_owned(), days)
            })
            .collect();
        let day = |name: &str, day| (name.to_owned(), day);
        assert_eq!(shown, [day("acme-owner", 0), day("bob", 1), day("eve", 2)]);
    }
}

async fn everybody_says_which_code_they_used<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let (slack, in_slack) = workspace.create(&admin, LinkDraft::default()).await;
    let (wiki, in_wiki) = workspace.create(&admin, LinkDraft::default()).await;
    for (name, token) in [("bob", &in_slack), ("eve", &in_slack), ("dan", &in_wiki)] {
        workspace.join(name, token).await;
    }
    let refreshed = workspace
        .guestlist
        .refresh_link(&admin, &acme, slack, Duration::ZERO)
        .await
        .unwrap();
    workspace.join("fay", &refreshed.token.unwrap()).await;
    let page = Page::default();
    let of = |link| {
        let (guestlist, admin, acme, page) = (&workspace.guestlist, &admin, &acme, &page);
        async move {
            let (users, _) = guestlist.link_users(admin, acme, link, page).await.unwrap();
            let shown = users.into_iter().map(|used| {
                assert_eq!(used.state, UseState::Settled);
                (used.member.id().to_owned(), used.generation.get())
            });
            shown.collect::<Vec<_>>()
        }
    };
    let shown = |name: &str, generation| (name.to_owned(), generation);
    assert_eq!(
        of(slack).await,
        [shown("bob", 1), shown("eve", 1), shown("fay", 2)]
    );
    assert_eq!(of(wiki).await, [shown("dan", 1)]);
    let filter = MemberFilter {
        link: Some(wiki),
        ..MemberFilter::default()
    };
    let listed = workspace.guestlist.members(&admin, &acme, filter, &page);
    let listed = listed.await.unwrap().members;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].door.link(), Some(wiki));
}

async fn previews_and_joins_are_counted_for_each_code<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let issued = workspace.invite_team(&admin).await;
    let (id, first) = (issued.link.id, issued.token.unwrap());
    for _ in 0..5 {
        workspace.guestlist.preview(&first).await.unwrap();
    }
    for name in ["bob", "eve"] {
        workspace.join(name, &first).await;
    }
    let refreshed = workspace
        .guestlist
        .refresh_link(&admin, &acme, id, Duration::ZERO)
        .await
        .unwrap();
    let second = refreshed.token.unwrap();
    workspace.guestlist.preview(&second).await.unwrap();
    workspace
        .set(|settings| settings.joins = Joins::AlwaysReview)
        .await;
    for name in ["dan", "fay"] {
        workspace.join(name, &second).await;
    }
    let guestlist = &workspace.guestlist;
    let member = user_member;
    guestlist
        .approve(&admin, &acme, &member("dan"))
        .await
        .unwrap();
    guestlist
        .reject(&admin, &acme, &member("fay"), None)
        .await
        .unwrap();
    guestlist
        .remove(&admin, &acme, &member("eve"), None)
        .await
        .unwrap();
    let funnel = guestlist.funnel(&admin, &acme, id).await.unwrap();
    let shown: Vec<_> = funnel
        .iter()
        .map(|f| {
            (
                f.previews,
                f.claims,
                f.approvals,
                f.rejections,
                f.still_members,
            )
        })
        .collect();
    assert_eq!(shown, [(5, 2, 2, 0, 1), (1, 2, 1, 1, 1)]);
}

async fn a_link_that_got_out_lets_nobody_in_by_itself<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let draft = LinkDraft::review();
    let (_, posted) = workspace.create(&owner("acme"), draft).await;
    assert_eq!(workspace.status("eve", &posted).await, Status::Pending);
    // In a hurry, all links rest at once.
    let (admin, acme) = (owner("acme"), org("acme"));
    let pause = guestlist::Pause::UntilResumed;
    let guestlist = &workspace.guestlist;
    guestlist.pause_links(&admin, &acme, pause).await.unwrap();
    assert_eq!(workspace.refusal("dan", &posted).await, "invalid-token");
    guestlist.resume_links(&admin, &acme).await.unwrap();
    assert_eq!(workspace.status("dan", &posted).await, Status::Pending);
}

async fn requests_do_not_wait_for_weeks<S: Store>(store: S) {
    let (workspace, _, token) = reviewed(store).await;
    workspace
        .set(|settings| settings.request_ttl = Some(7 * DAY))
        .await;
    workspace.join("eve", &token).await;
    workspace.mails().await;
    workspace.clock.advance(DAY + MINUTE);
    assert_eq!(workspace.pending().await[0].2, 1, "due for review");
    workspace.clock.advance(6 * DAY);
    assert!(workspace.pending().await.is_empty());
    workspace.guestlist.sweep(100).await.unwrap();
    let mails = workspace.mails().await;
    assert_eq!(mails[0].to, "eve@acme.example");
    assert!(mails[0].text.starts_with("membership-expired"));
    assert_eq!(workspace.status("eve", &token).await, Status::Pending);
}

async fn whoever_is_removed_loses_access_at_once<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    workspace.share_boards().await;
    let token = workspace.invite_team(&owner("acme")).await.token.unwrap();
    workspace.join("eve", &token).await;
    workspace.mails().await;
    assert!(workspace.may_read("eve").await);
    let reason = Some("Left the company.".parse().unwrap());
    let removed = workspace
        .guestlist
        .remove(&owner("acme"), &org("acme"), &user_member("eve"), reason)
        .await
        .unwrap();
    assert_eq!(removed.membership.status, Some(Status::Removed));
    assert!(!workspace.may_read("eve").await);
    let eve = person("eve").in_organization(org("acme"));
    let page = Page::default();
    let filter = MemberFilter {
        status: Some(Status::Approved),
        ..MemberFilter::default()
    };
    let members = workspace
        .guestlist
        .members(&eve, &org("acme"), filter, &page)
        .await;
    assert_eq!(code(members), "not-found");
    // The link that everybody has doesn't bring an ex-member back.
    assert_eq!(workspace.refusal("eve", &token).await, "invalid-token");
    let mails = workspace.mails().await;
    assert_eq!(
        mails[0].text,
        "membership-removed eve acme Left the company."
    );
}

async fn an_incident_is_answered_with_a_new_link<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    workspace.share_boards().await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let issued = workspace.invite_team(&admin).await;
    let (id, leaked) = (issued.link.id, issued.token.unwrap());
    workspace.join("bob", &leaked).await;
    workspace.join("intruder", &leaked).await;
    let guestlist = &workspace.guestlist;
    // Find the user, remove from the workspace.
    let filter = MemberFilter {
        text: Some("intruder".to_owned()),
        ..MemberFilter::default()
    };
    let page = Page::default();
    let found = guestlist
        .members(&admin, &acme, filter, &page)
        .await
        .unwrap();
    assert_eq!(found.members.len(), 1);
    let intruder = found.members[0].member.clone();
    guestlist
        .remove(&admin, &acme, &intruder, None)
        .await
        .unwrap();
    assert!(!workspace.may_read("intruder").await);
    // Make a new link: the leaked one is dead for everybody.
    let refreshed = guestlist
        .refresh_link(&admin, &acme, id, Duration::ZERO)
        .await
        .unwrap();
    let fresh = refreshed.token.unwrap();
    assert_eq!(
        workspace.refusal("friend-of-intruder", &leaked).await,
        "invalid-token"
    );
    assert_eq!(workspace.status("dan", &fresh).await, Status::Approved);
    // With the new one the intruder waits for review, and is kept out for good if blocked.
    assert_eq!(workspace.status("intruder", &fresh).await, Status::Pending);
    guestlist
        .block(&admin, &acme, &intruder, None)
        .await
        .unwrap();
    assert_eq!(workspace.refusal("intruder", &fresh).await, "blocked");
    assert!(workspace.may_read("bob").await);
    // What happened is on record.
    let of_intruder = EventFilter {
        member: Some(intruder),
        ..EventFilter::default()
    };
    let trail = guestlist
        .audit(&admin, &acme, of_intruder, &page)
        .await
        .unwrap();
    let names: Vec<&str> = trail
        .events
        .iter()
        .map(|recorded| recorded.event.name())
        .collect();
    assert_eq!(
        names,
        [
            "membership-joined",
            "membership-removed",
            "membership-requested",
            "member-blocked"
        ]
    );
}

async fn a_link_in_a_checklist_and_in_a_bot_goes_on_working<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let issued = workspace.invite_team(&admin).await;
    let posted = issued.url.unwrap().expose_secret().to_owned();
    workspace.clock.advance(365 * DAY);
    // Where the host keeps a sealing key, the dashboard shows the very same link again.
    #[cfg(feature = "seal")]
    {
        let id = issued.link.id;
        let revealed = workspace.guestlist.reveal_link(&admin, &acme, id).await;
        assert_eq!(revealed.unwrap().url.unwrap().expose_secret(), posted);
    }
    let token = token_from_url(&posted).unwrap();
    for number in 0..30 {
        let status = workspace.status(&format!("hire{number:02}"), &token).await;
        assert_eq!(status, Status::Approved);
    }
    // However many there are, they are listed in pages.
    let mut page = Page::first(10).unwrap();
    let mut count = 0;
    loop {
        let filter = MemberFilter::default();
        let part = workspace.guestlist.members(&admin, &acme, filter, &page);
        let part = part.await.unwrap();
        count += part.members.len();
        match part.next {
            Some(next) => page = page.after(next),
            None => break,
        }
    }
    assert_eq!(count, 31, "with the owner");
}

async fn people_of_single_sign_on_are_provisioned<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    workspace.share_boards().await;
    let acme = org("acme");
    // The identity provider says who is in; the host application adds them, and takes them out.
    let sync = Actor::system();
    for number in 0..20 {
        let hire = user_member(&format!("hire{number}"));
        let added = workspace
            .guestlist
            .add_member(&sync, &acme, &hire, Preset::default(), None)
            .await
            .unwrap();
        assert_eq!(added.membership.status, Some(Status::Approved));
        assert_eq!(added.membership.role.unwrap().as_str(), "member");
    }
    assert!(workspace.may_read("hire7").await);
    let left = user_member("hire7");
    workspace
        .guestlist
        .remove(&sync, &acme, &left, None)
        .await
        .unwrap();
    assert!(!workspace.may_read("hire7").await);
    let to = Invitations::new().to("ceo@acme.example").single_sign_on();
    let invited = workspace.guestlist.invite(&owner("acme"), &acme, to).await;
    let invite = &invited.unwrap()[0].invited().unwrap().invite.clone();
    assert_eq!(invite.config.sign_on, SignOn::Single);
}

async fn joins_are_told_by_webhook<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let draft = EndpointDraft::new(EndpointUrl::parse("https://hooks.acme.example/in").unwrap())
        .event("membership-joined")
        .event("membership-approved");
    let made = workspace
        .guestlist
        .create_endpoint(&admin, &acme, draft)
        .await
        .unwrap();
    let token = workspace.invite_team(&admin).await.token.unwrap();
    workspace.join("bob", &token).await;
    workspace
        .set(|settings| settings.joins = Joins::AlwaysReview)
        .await;
    workspace.join("gus", &token).await;
    let gus = user_member("gus");
    workspace
        .guestlist
        .approve(&admin, &acme, &gus)
        .await
        .unwrap();
    workspace.guestlist.deliver_webhooks(100).await.unwrap();
    let sent = core::mem::take(&mut *workspace.endpoint.0.lock().unwrap());
    let secret: &WebhookSecret = &made.secret;
    let now = common::START;
    let told: Vec<(String, String)> = sent
        .iter()
        .map(|(headers, body)| {
            verify(&[secret], headers, body.as_bytes(), now, TOLERANCE).unwrap();
            assert!(!body.contains(token.expose_code()));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let name = body["type"].as_str().unwrap().to_owned();
            let about = if body.to_string().contains("gus") {
                "gus"
            } else {
                "bob"
            };
            (name, about.to_owned())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("membership-joined".to_owned(), "bob".to_owned()),
            ("membership-approved".to_owned(), "gus".to_owned())
        ]
    );
    workspace.guestlist.deliver_webhooks(100).await.unwrap();
    assert!(workspace.endpoint.0.lock().unwrap().is_empty(), "told once");
}

async fn only_admins_create_links_and_members_pass_them_on<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let acme = org("acme");
    for role in ["member", "reviewer"] {
        let actor = workspace.with_role(role, role).await;
        let draft = LinkDraft::default;
        let guestlist = &workspace.guestlist;
        let created = guestlist.create_link(&actor, &acme, draft()).await;
        assert_eq!(code(created), "not-allowed");
        let first = guestlist.default_link(&actor, &acme, draft()).await;
        assert_eq!(code(first), "not-allowed");
    }
    let ada = workspace.with_role("ada", "admin").await;
    let url = workspace.invite_team(&ada).await.url.unwrap();
    // What a member forwards is as good as what the admin sent.
    let forwarded = url.expose_secret().to_owned();
    let token = token_from_url(&forwarded).unwrap();
    assert_eq!(workspace.status("eve", &token).await, Status::Approved);
}

async fn people_are_promoted_after_they_join<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let token = workspace.invite_team(&admin).await.token.unwrap();
    workspace.join("eve", &token).await;
    let eve = user_member("eve");
    for role in ["reviewer", "admin"] {
        let promoted = workspace
            .guestlist
            .change_role(&admin, &acme, &eve, role.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(promoted.membership.role.unwrap().as_str(), role);
    }
    // Now she creates links herself.
    let actor = person("eve").in_organization(acme);
    workspace.create(&actor, LinkDraft::default()).await;
}

async fn links_and_mail_invites_say_who_sent_them<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let acme = org("acme");
    let mut links = Vec::new();
    for name in ["ada", "grace"] {
        let admin = workspace.with_role(name, "admin").await;
        links.push(workspace.create(&admin, LinkDraft::default()).await.0);
        let to = Invitations::new().to(format!("by-{name}@acme.example"));
        let mails = workspace.invite(&admin, to).await;
        assert!(mails[0].text.starts_with(&format!("{name} invites you")));
    }
    let (admin, page) = (owner("acme"), Page::default());
    for (number, name) in ["ada", "grace"].into_iter().enumerate() {
        let creator: Option<UserId> = Some(name.parse().unwrap());
        let filter = LinkFilter {
            creator: creator.clone(),
            ..LinkFilter::default()
        };
        let guestlist = &workspace.guestlist;
        let listed = guestlist.links(&admin, &acme, filter, &page).await.unwrap();
        assert_eq!(listed.links.len(), 1);
        assert_eq!(listed.links[0].link.id, links[number]);
        assert_eq!(listed.links[0].link.creator, creator);
        let filter = InviteFilter {
            creator: creator.clone(),
            ..InviteFilter::default()
        };
        let sent = guestlist
            .invites(&admin, &acme, filter, &page)
            .await
            .unwrap();
        assert_eq!(sent.invites.len(), 1);
        assert_eq!(sent.invites[0].creator, creator);
        assert_eq!(
            sent.invites[0].address.as_str(),
            format!("by-{name}@acme.example")
        );
    }
}

async fn invites_go_on_working_when_their_admin_leaves<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let ada = workspace.with_role("ada", "admin").await;
    let draft = LinkDraft::default().role("reviewer".parse().unwrap());
    let (_, link) = workspace.create(&ada, draft).await;
    let to = Invitations::new().to("fay@acme.example");
    let mails = workspace.invite(&ada, to).await;
    let removed = user_member("ada");
    workspace
        .guestlist
        .remove(&admin, &acme, &removed, None)
        .await
        .unwrap();
    let joined = workspace.join("bob", &link).await;
    assert_eq!(joined.status, Some(Status::Approved));
    assert_eq!(joined.role.unwrap().as_str(), "reviewer");
    let joined = workspace.accept("fay", &mails[0].token()).await;
    assert_eq!(joined.status, Some(Status::Approved));
}

async fn an_existing_link_can_be_edited<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let (id, token) = workspace.create(&admin, LinkDraft::default()).await;
    workspace.join("bob", &token).await;
    let guestlist = &workspace.guestlist;
    let draft = LinkDraft::review().label("all hands".parse().unwrap());
    let edited = guestlist.edit_link(&admin, &acme, id, draft).await.unwrap();
    assert_eq!(edited.generation.get(), 1, "the code stays");
    assert_eq!(workspace.status("eve", &token).await, Status::Pending);
    let preview = guestlist.preview(&token).await.unwrap();
    assert_eq!(preview.label.unwrap().as_str(), "all hands");
    let bob = guestlist
        .membership(&admin, &acme, &user_member("bob"))
        .await;
    assert_eq!(bob.unwrap().status, Some(Status::Approved));
}

async fn a_new_link_leaves_the_old_one_valid<S: Store>(store: S) {
    let workspace = Workspace::new(store).await;
    let (old, first) = workspace.create(&owner("acme"), LinkDraft::default()).await;
    let draft = LinkDraft::default().role("reviewer".parse().unwrap());
    let (_, second) = workspace.create(&owner("acme"), draft).await;
    for (name, token, role) in [("bob", &first, "member"), ("eve", &second, "reviewer")] {
        let joined = workspace.join(name, token).await;
        assert_eq!(joined.role.unwrap().as_str(), role);
    }
    // Until it is revoked.
    workspace
        .guestlist
        .disable_link(&owner("acme"), &org("acme"), old)
        .await
        .unwrap();
    assert_eq!(workspace.refusal("dan", &first).await, "invalid-token");
    assert_eq!(workspace.status("dan", &second).await, Status::Approved);
}
