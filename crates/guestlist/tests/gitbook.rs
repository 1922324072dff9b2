//! `GitBook`'s API for organization invites, from top to bottom: each test holds the statement that
//! it is named after, on both stores.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;
mod products;

use core::error::Error as StdError;
use core::time::Duration;
use std::collections::BTreeSet;

use async_trait::async_trait;
use common::{clock, org, owner, register, register_with, user_member};
use guestlist::Action::{Create, Delete, Read, Update};
use guestlist::membership::Stated;
use guestlist::membership::invite::{InvitePhase, SignOn};
use guestlist::membership::link::LinkStatus;
use guestlist::presets::gitbook;
use guestlist::types::LinkId;
use guestlist::{
    Action, ActionSet, Actor, Address, AddressFacts, Claim, Cursor, Directory, EmailAddress, Error,
    Grantee, Guestlist, Invitations, InviteDraft, InviteFilter, InviteOutcome, InviteToken,
    LinkDraft, LinkFilter, LinkListing, Member, MemberFilter, Membership, OrgId, Page, Pattern,
    Preset, PresetGrant, RoleName, Status, Store, UserId,
};
use products::{Mailbox, code, join, on_both_stores, person, product};

on_both_stores!(
    invitations_are_created_and_revoked_by_program,
    only_the_callers_whom_the_token_names_as_admins_may,
    the_organization_is_named_by_its_id,
    many_are_invited_at_once_with_one_role,
    the_role_is_a_default_and_may_be_left_out,
    the_six_roles_and_what_their_holders_do,
    single_sign_on_is_asked_for_and_off_by_default,
    the_answer_names_the_users_who_were_added,
    the_answer_counts_who_was_invited,
    the_answer_lists_addresses_of_another_organizations_sign_on,
    an_invite_is_joined_with,
    link_invites_are_listed_in_pages,
    a_page_has_at_most_a_thousand,
    a_link_invite_is_for_the_organization_or_for_content,
    a_link_invite_is_got_by_its_id,
    a_link_invite_is_updated,
);

/// The accounts of the host application: who has which address.
fn account(address: &EmailAddress) -> UserId {
    let (local, _) = address.as_str().split_once('@').unwrap();
    local.parse().unwrap()
}

/// What the host application knows: the identity providers of other organizations.
struct Accounts;

#[async_trait]
impl Directory for Accounts {
    async fn standing(
        &self,
        _: &OrgId,
        _: &UserId,
    ) -> Result<Stated, Box<dyn StdError + Send + Sync>> {
        Ok(Stated::NOBODY)
    }
    async fn addresses(
        &self,
        _: &OrgId,
        addresses: &[EmailAddress],
        single_sign_on: bool,
    ) -> Result<Vec<AddressFacts>, Box<dyn StdError + Send + Sync>> {
        let facts = addresses.iter().map(|address| {
            if single_sign_on && address.as_str().ends_with("@other.example") {
                AddressFacts::elsewhere()
            } else {
                AddressFacts::default()
            }
        });
        Ok(facts.collect())
    }
}

async fn organization<S: Store>(store: S, mailbox: &Mailbox) -> Guestlist<S> {
    let clock = clock();
    product(store, &clock, gitbook(), mailbox, |plain| {
        plain.directory(Accounts)
    })
    .await
}

/// The answer of `POST /orgs/{organizationId}/invites`.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    users: Vec<String>,
    invited: usize,
    failed_sso_emails: Vec<String>,
}

impl Answer {
    fn of(outcomes: &[InviteOutcome]) -> Self {
        let sent = || {
            let invited = outcomes.iter().filter_map(InviteOutcome::invited);
            invited.map(|invited| &invited.invite)
        };
        let elsewhere = sent().filter(|invite| invite.config.sign_on == SignOn::Elsewhere);
        Self {
            users: sent()
                .map(|invite| account(&invite.address).to_string())
                .collect(),
            invited: sent().count(),
            failed_sso_emails: elsewhere.map(|invite| invite.address.to_string()).collect(),
        }
    }
}

async fn invite<S: Store>(guestlist: &Guestlist<S>, invitations: Invitations) -> Answer {
    let (admin, acme) = (owner("acme"), org("acme"));
    let outcomes = guestlist.invite(&admin, &acme, invitations).await;
    Answer::of(&outcomes.unwrap())
}

async fn accept<S: Store>(guestlist: &Guestlist<S>, name: &str, token: &InviteToken) -> Membership {
    let claim = Claim::for_myself();
    let accepted = guestlist.accept(&person(name), token, claim).await;
    accepted.unwrap().membership
}

async fn create<S: Store>(guestlist: &Guestlist<S>, draft: LinkDraft) -> (LinkId, InviteToken) {
    let (admin, acme) = (owner("acme"), org("acme"));
    let issued = guestlist.create_link(&admin, &acme, draft).await.unwrap();
    (issued.link.id, issued.token.unwrap())
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn with_role(name: &str) -> LinkDraft {
    LinkDraft::default().role(role(name))
}

async fn may<S: Store>(guestlist: &Guestlist<S>, name: &str, action: Action, key: &str) -> bool {
    let actor = person(name).in_organization(org("acme"));
    let address = Address::parse(key).unwrap();
    let decision = guestlist.decide(&actor, action, &address).await;
    decision.unwrap().is_allowed()
}

async fn list<S: Store>(
    guestlist: &Guestlist<S>,
    page: &Page,
) -> (Vec<LinkListing>, Option<Cursor>) {
    let (admin, acme) = (owner("acme"), org("acme"));
    let listed = guestlist.links(&admin, &acme, LinkFilter::default(), page);
    let listed = listed.await.unwrap();
    (listed.links, listed.next)
}

async fn invitations_are_created_and_revoked_by_program<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let to = Invitations::new().to("ada@acme.example");
    invite(&guestlist, to).await;
    let page = Page::default();
    let filter = InviteFilter {
        phase: Some(InvitePhase::Pending),
        ..InviteFilter::default()
    };
    let waiting = guestlist
        .invites(&admin, &acme, filter, &page)
        .await
        .unwrap();
    let sent: Vec<_> = waiting.invites.iter().map(|invite| invite.id).collect();
    assert_eq!(sent.len(), 1);
    for revoked in guestlist.revoke_invites(&admin, &acme, &sent).await {
        assert_eq!(code(revoked), "ok");
    }
    let mails = mailbox.take();
    let dead = guestlist
        .accept(&person("ada"), &mails[0].token(), Claim::for_myself())
        .await;
    assert_eq!(code(dead), "invalid-token");
    // A link invite is revoked by deleting it; who came by it stays.
    let (id, token) = create(&guestlist, with_role("read")).await;
    join(&guestlist, "bob", &token).await.unwrap();
    guestlist.delete_link(&admin, &acme, id).await.unwrap();
    assert_eq!(code(join(&guestlist, "eve", &token).await), "invalid-token");
    let bob = guestlist
        .membership(&admin, &acme, &user_member("bob"))
        .await;
    assert_eq!(bob.unwrap().status, Some(Status::Approved));
}

/// What came of every call of the API.
async fn calls<S: Store>(
    guestlist: &Guestlist<S>,
    actor: &Actor,
    link: LinkId,
) -> Vec<&'static str> {
    let acme = &org("acme");
    let page = &Page::default();
    let to = Invitations::new().to("new@acme.example");
    let draft = || with_role("read");
    vec![
        code(guestlist.invite(actor, acme, to).await),
        code(
            guestlist
                .links(actor, acme, LinkFilter::default(), page)
                .await,
        ),
        code(guestlist.create_link(actor, acme, draft()).await),
        code(guestlist.link(actor, acme, link).await),
        code(guestlist.edit_link(actor, acme, link, draft()).await),
        code(guestlist.delete_link(actor, acme, link).await),
    ]
}

/// The host application reads the bearer token and says who calls; what they may is decided here.
async fn only_the_callers_whom_the_token_names_as_admins_may<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    for name in ["guest", "read", "comment", "edit", "review", "create"] {
        let (link, token) = create(&guestlist, with_role(name)).await;
        join(&guestlist, name, &token).await.unwrap();
        let actor = person(name).in_organization(org("acme"));
        let said = calls(&guestlist, &actor, link).await;
        assert_eq!(said, ["not-allowed"; 6], "{name}");
    }
    let (link, token) = create(&guestlist, with_role("admin")).await;
    let outsider = calls(&guestlist, &person("mallory"), link).await;
    assert_eq!(outsider, ["not-found"; 6]);
    join(&guestlist, "grace", &token).await.unwrap();
    let grace = person("grace").in_organization(org("acme"));
    assert_eq!(calls(&guestlist, &grace, link).await, ["ok"; 6]);
}

async fn the_organization_is_named_by_its_id<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    register_with(&guestlist, "bravo", gitbook().settings).await;
    let (link, _) = create(&guestlist, with_role("read")).await;
    // An id of one organization says nothing in another one, and unknown ones look the same.
    let (bob, bravo) = (owner("bravo"), org("bravo"));
    assert_eq!(code(guestlist.link(&bob, &bravo, link).await), "not-found");
    for other in [org("acme"), org("nowhere")] {
        assert_eq!(code(guestlist.link(&bob, &other, link).await), "not-found");
        let to = Invitations::new().to("ada@acme.example");
        assert_eq!(code(guestlist.invite(&bob, &other, to).await), "not-found");
    }
}

async fn many_are_invited_at_once_with_one_role<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let to: Invitations = (0..250)
        .map(|number| format!("p{number:03}@acme.example"))
        .collect();
    let to = to.draft(InviteDraft::new().role(role("edit")));
    assert_eq!(invite(&guestlist, to).await.invited, 250);
    let mails = mailbox.take();
    assert_eq!(mails.len(), 250);
    for (number, mail) in mails.iter().enumerate().step_by(50) {
        let name = format!("p{number:03}");
        assert_eq!(mail.to, format!("{name}@acme.example"));
        assert!(mail.text.contains("to acme with edit"));
        let joined = accept(&guestlist, &name, &mail.token()).await;
        assert_eq!(joined.status, Some(Status::Approved), "without review");
        assert_eq!(joined.role, Some(role("edit")));
    }
}

async fn the_role_is_a_default_and_may_be_left_out<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let to = Invitations::new()
        .to("ada@acme.example")
        .to_as("grace@acme.example", role("admin"))
        .draft(InviteDraft::new().role(role("comment")));
    invite(&guestlist, to).await;
    // No role is that of a guest, who is in and sees nothing that it was not added to.
    invite(&guestlist, Invitations::new().to("eve@acme.example")).await;
    let mails = mailbox.take();
    for (mail, name, expected) in [
        (&mails[0], "ada", "comment"),
        (&mails[1], "grace", "admin"),
        (&mails[2], "eve", "guest"),
    ] {
        let joined = accept(&guestlist, name, &mail.token()).await;
        assert_eq!(joined.role, Some(role(expected)));
    }
    assert!(!may(&guestlist, "eve", Read, "content/intro").await);
    let unknown = Invitations::new().to_as("dan@acme.example", role("reader"));
    let (admin, acme) = (owner("acme"), org("acme"));
    let outcomes = guestlist.invite(&admin, &acme, unknown).await.unwrap();
    assert_eq!(outcomes[0].code(), "unknown-role");
}

/// What a role may do, and where.
type Rights = [(&'static [Action], &'static str)];

const RIGHTS: [(&str, &Rights); 6] = [
    ("admin", &[(&[Create, Read, Update, Delete], "")]),
    ("create", &[(&[Create, Read, Update], "")]),
    ("review", &[(&[Read], ""), (&[Create], "reviews/")]),
    ("edit", &[(&[Read, Update], "")]),
    ("comment", &[(&[Read], ""), (&[Create], "discussions/")]),
    ("read", &[(&[Read], "content/")]),
];

/// What holders of a role do is granted to a group of that role, which its invites put people in.
async fn the_six_roles_and_what_their_holders_do<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let names: Vec<String> = gitbook()
        .roles
        .roles()
        .iter()
        .rev()
        .map(|role| role.name.to_string())
        .collect();
    let documented = ["admin", "create", "review", "edit", "comment", "read"];
    assert_eq!(names[..6], documented, "highest first");
    assert_eq!(names[6..], ["guest"], "which the API has as null");

    let (admin, acme) = (owner("acme"), org("acme"));
    for (name, rights) in RIGHTS {
        let group = guestlist
            .create_group(&admin, &acme, format!("of-{name}").parse().unwrap(), false)
            .await
            .unwrap();
        for (actions, prefix) in rights {
            let pattern = if prefix.is_empty() {
                Pattern::all()
            } else {
                Pattern::parse(prefix).unwrap()
            };
            let (to, actions) = (Grantee::Group(group.id), ActionSet::of(actions));
            guestlist
                .grant(&admin, &acme, to, actions, pattern, None)
                .await
                .unwrap();
        }
        let draft = with_role(name).group(group.id);
        let (_, token) = create(&guestlist, draft).await;
        let joined = join(&guestlist, name, &token).await.unwrap().membership;
        assert_eq!(joined.role, Some(role(name)));
    }
    let allowed = |action, key: &'static str| {
        let guestlist = &guestlist;
        async move {
            let mut allowed = Vec::new();
            for name in documented {
                if may(guestlist, name, action, key).await {
                    allowed.push(name);
                }
            }
            allowed
        }
    };
    assert_eq!(allowed(Read, "content/intro").await, documented);
    assert_eq!(allowed(Delete, "content/intro").await, ["admin"]);
    assert_eq!(allowed(Create, "content/new").await, ["admin", "create"]);
    let editors = ["admin", "create", "edit"];
    assert_eq!(allowed(Update, "content/intro").await, editors);
    let reviewers = ["admin", "create", "review"];
    assert_eq!(allowed(Create, "reviews/1").await, reviewers);
    let talkers = ["admin", "create", "review", "edit", "comment"];
    assert_eq!(allowed(Read, "discussions/1").await, talkers);
    let commenters = ["admin", "create", "comment"];
    assert_eq!(allowed(Create, "discussions/1").await, commenters);
}

async fn single_sign_on_is_asked_for_and_off_by_default<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let usual = Invitations::new().to("ada@acme.example");
    let single = Invitations::new().to("bob@acme.example").single_sign_on();
    for (invitations, expected) in [(usual, SignOn::Usual), (single, SignOn::Single)] {
        let outcomes = guestlist.invite(&admin, &acme, invitations).await.unwrap();
        let invite = outcomes[0].invited().unwrap().invite.id;
        // The host application finds it with the invite when the person signs in.
        let kept = guestlist.email_invite(&admin, &acme, invite).await.unwrap();
        assert_eq!(kept.config.sign_on, expected);
    }
}

async fn the_answer_names_the_users_who_were_added<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let to = || Invitations::from_iter(["ada@acme.example", "bob@acme.example"]);
    let answer = invite(&guestlist, to()).await;
    assert_eq!(answer.users, ["ada", "bob"]);
    // They are members once they accept ...
    let mails = mailbox.take();
    for (mail, name) in mails.iter().zip(["ada", "bob"]) {
        accept(&guestlist, name, &mail.token()).await;
    }
    // ... or at once, where the host application has their accounts.
    let gift = Preset {
        role: Some(role("read")),
        ..Preset::default()
    };
    guestlist
        .add_member(&admin, &acme, &user_member("eve"), gift, None)
        .await
        .unwrap();
    let filter = MemberFilter {
        status: Some(Status::Approved),
        ..MemberFilter::default()
    };
    let page = Page::default();
    let listed = guestlist
        .members(&admin, &acme, filter, &page)
        .await
        .unwrap();
    let members: Vec<&str> = listed.members.iter().map(|row| row.member.id()).collect();
    assert_eq!(members, ["acme-owner", "ada", "bob", "eve"]);
    // Who is a member is not added again.
    assert_eq!(invite(&guestlist, to()).await.users, Vec::<String>::new());
}

async fn the_answer_counts_who_was_invited<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let to = Invitations::from_iter(["ada@acme.example", "bob@acme.example"]);
    assert_eq!(invite(&guestlist, to).await.invited, 2);
    let to = Invitations::from_iter([
        "ada@acme.example",
        "nonsense",
        "eve@acme.example",
        "Eve@ACME.example",
    ]);
    let outcomes = guestlist.invite(&admin, &acme, to).await.unwrap();
    assert_eq!(Answer::of(&outcomes).invited, 1);
    let said: Vec<&str> = outcomes.iter().map(InviteOutcome::code).collect();
    assert_eq!(said[0], "already-invited");
    assert!(matches!(outcomes[1], InviteOutcome::Invalid { .. }));
    assert_eq!(said[2..], ["invited", "duplicate"]);
}

async fn the_answer_lists_addresses_of_another_organizations_sign_on<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let to = || Invitations::from_iter(["ada@acme.example", "bob@other.example"]);
    let answer = invite(&guestlist, to().single_sign_on()).await;
    assert_eq!(
        answer,
        Answer {
            users: vec!["ada".to_owned(), "bob".to_owned()],
            invited: 2,
            failed_sso_emails: vec!["bob@other.example".to_owned()],
        }
    );
    // They are invited all the same, to sign in as usual.
    let mails = mailbox.take();
    assert_eq!(mails[1].to, "bob@other.example");
    let bob = common::user("bob").with_verified_email("bob@other.example".parse().unwrap());
    let claim = Claim::for_myself();
    let joined = guestlist.accept(&bob, &mails[1].token(), claim).await;
    assert_eq!(joined.unwrap().membership.status, Some(Status::Approved));
    // Without the flag nobody fails.
    let to = Invitations::new().to("eve@other.example");
    assert!(invite(&guestlist, to).await.failed_sso_emails.is_empty());
}

/// The id in the path of that call is a secret. Here ids open nothing, and tokens do.
async fn an_invite_is_joined_with<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let (_, token) = create(&guestlist, with_role("comment")).await;
    let joined = join(&guestlist, "ada", &token).await.unwrap();
    assert!(joined.changed);
    assert_eq!(joined.membership.status, Some(Status::Approved));
    assert_eq!(joined.membership.role, Some(role("comment")));
    let again = join(&guestlist, "ada", &token).await.unwrap();
    assert_eq!(
        (again.changed, again.membership),
        (false, joined.membership)
    );
    invite(&guestlist, Invitations::new().to("bob@acme.example")).await;
    let mails = mailbox.take();
    let joined = accept(&guestlist, "bob", &mails[0].token()).await;
    assert_eq!(joined.status, Some(Status::Approved));
    // Invites are for people.
    register(&guestlist, &["bravo"]).await;
    let claim = Claim::for_organization();
    let refused = guestlist.claim(&owner("bravo"), &token, claim).await;
    assert_eq!(code(refused), "wrong-kind-of-member");
    // Whoever left comes back with a new invite.
    let left = user_member("ada");
    guestlist
        .leave(&person("ada"), &org("acme"), &left)
        .await
        .unwrap();
    let (_, newer) = create(&guestlist, with_role("read")).await;
    let back = join(&guestlist, "ada", &newer).await.unwrap().membership;
    assert_eq!(back.role, Some(role("read")));
}

async fn link_invites_are_listed_in_pages<S: Store>(store: S) {
    let (clock, mailbox) = (clock(), Mailbox::default());
    let guestlist = product(store, &clock, gitbook(), &mailbox, |plain| plain).await;
    let mut made = Vec::new();
    for number in 0..23 {
        let (id, _) = create(&guestlist, with_role("read")).await;
        made.push(id);
        clock.advance(Duration::from_secs(1));
        if number % 10 == 9 {
            let (admin, acme) = (owner("acme"), org("acme"));
            guestlist.delete_link(&admin, &acme, id).await.unwrap();
            made.pop();
        }
    }
    assert_eq!(list(&guestlist, &Page::default()).await.0.len(), made.len());
    let mut page = Page::first(5).unwrap();
    let mut seen = Vec::new();
    loop {
        let (links, next) = list(&guestlist, &page).await;
        assert!(links.len() <= 5);
        seen.extend(links.into_iter().map(|listing| listing.link.id));
        let Some(next) = next else { break };
        // The identifier of the next page travels as text.
        let text = next.to_string();
        page = Page::first(5).unwrap().after(text.parse().unwrap());
    }
    assert_eq!(seen, made, "each once, oldest first");
    assert!("made-up".parse::<Cursor>().is_err());
}

async fn a_page_has_at_most_a_thousand<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    assert_eq!(code(Page::first(1001).map_err(Error::from)), "page-limit");
    assert_eq!(code(Page::first(0).map_err(Error::from)), "page-limit");
    for _ in 0..1001 {
        create(&guestlist, LinkDraft::default()).await;
    }
    let page = Page::first(1000).unwrap();
    let (links, next) = list(&guestlist, &page).await;
    assert_eq!(links.len(), 1000);
    let (rest, end) = list(&guestlist, &page.after(next.unwrap())).await;
    assert_eq!((rest.len(), end), (1, None));
    let ids: BTreeSet<_> = links.iter().chain(&rest).map(|row| row.link.id).collect();
    assert_eq!(ids.len(), 1001);
}

/// The level at which somebody gets a piece of content.
fn level(actions: &[Action], content: &str) -> PresetGrant {
    PresetGrant {
        actions: ActionSet::of(actions),
        pattern: Pattern::parse(content).unwrap(),
    }
}

async fn a_link_invite_is_for_the_organization_or_for_content<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let (id, of_organization) = create(&guestlist, with_role("edit")).await;
    let read = [Read];
    let space = LinkDraft::default().grant(level(&read, "spaces/handbook/"));
    let (_, of_space) = create(&guestlist, space).await;
    let both = [Read, Update];
    let collection = LinkDraft::default().grant(level(&both, "collections/api/"));
    let (_, of_collection) = create(&guestlist, collection).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let made = guestlist.link(&admin, &acme, id).await.unwrap();
    assert_eq!(made.link.config.preset.role, Some(role("edit")));
    for (name, token, expected) in [
        ("ada", &of_organization, "edit"),
        ("bob", &of_space, "guest"),
        ("eve", &of_collection, "guest"),
    ] {
        let joined = join(&guestlist, name, token).await.unwrap().membership;
        assert_eq!(joined.status, Some(Status::Approved));
        assert_eq!(joined.role, Some(role(expected)));
    }
    let may = |name, action, key| may(&guestlist, name, action, key);
    assert!(may("bob", Read, "spaces/handbook/intro").await);
    assert!(!may("bob", Update, "spaces/handbook/intro").await);
    assert!(!may("bob", Read, "spaces/handbook-2/intro").await);
    assert!(may("eve", Update, "collections/api/v1").await);
    assert!(!may("eve", Read, "spaces/handbook/intro").await);
}

async fn a_link_invite_is_got_by_its_id<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let (id, token) = create(&guestlist, with_role("review")).await;
    let (other, _) = create(&guestlist, with_role("read")).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let got = guestlist.link(&admin, &acme, id).await.unwrap();
    assert_eq!((got.link.id, &got.link.host), (id, &acme));
    assert_eq!(got.link.status, LinkStatus::Active);
    assert_eq!(got.link.config.preset.role, Some(role("review")));
    let (listed, _) = list(&guestlist, &Page::default()).await;
    assert!(listed.contains(&got), "as it is in the list");
    assert!(!format!("{got:?}").contains(token.expose_code()));
    // Its id as text, as it is in the path.
    let path = id.to_string();
    let again = guestlist.link(&admin, &acme, path.parse().unwrap()).await;
    assert_eq!(again.unwrap(), got);
    guestlist.delete_link(&admin, &acme, other).await.unwrap();
    let gone = guestlist.link(&admin, &acme, other).await;
    assert_eq!(code(gone), "not-found");
}

async fn a_link_invite_is_updated<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let (id, token) = create(&guestlist, with_role("read")).await;
    join(&guestlist, "ada", &token).await.unwrap();
    let (admin, acme) = (owner("acme"), org("acme"));
    let edited = guestlist
        .edit_link(&admin, &acme, id, with_role("edit"))
        .await
        .unwrap();
    assert_eq!(edited.config.preset.role, Some(role("edit")));
    let got = guestlist.link(&admin, &acme, id).await.unwrap();
    assert_eq!(got.link, edited);
    // The same link opens with the new role; who came before keeps theirs.
    let bob = join(&guestlist, "bob", &token).await.unwrap().membership;
    assert_eq!(bob.role, Some(role("edit")));
    let ada: Member = user_member("ada");
    let ada = guestlist.membership(&admin, &acme, &ada).await.unwrap();
    assert_eq!(ada.role, Some(role("read")));
    // The level of content changes alike, and an unknown role changes nothing.
    let (content, token) = create(
        &guestlist,
        LinkDraft::default().grant(level(&[Read], "spaces/handbook/")),
    )
    .await;
    let higher = level(&[Read, Update], "spaces/handbook/");
    guestlist
        .edit_link(&admin, &acme, content, LinkDraft::default().grant(higher))
        .await
        .unwrap();
    join(&guestlist, "eve", &token).await.unwrap();
    assert!(may(&guestlist, "eve", Update, "spaces/handbook/intro").await);
    let refused = guestlist
        .edit_link(&admin, &acme, id, with_role("reader"))
        .await;
    assert_eq!(code(refused), "unknown-role");
    let got = guestlist.link(&admin, &acme, id).await.unwrap();
    assert_eq!(got.link, edited);
}
