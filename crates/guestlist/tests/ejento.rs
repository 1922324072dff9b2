//! Ejento's page on inviting users by link or e-mail, from top to bottom: each test holds the
//! statement that it is named after, on both stores.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;
mod products;

use core::time::Duration;

use common::{clock, org, owner, register, user_member};
use guestlist::membership::invite::{Delivery, InvitePhase};
use guestlist::token::token_from_url;
use guestlist::{
    Actor, Claim, Error, EventFilter, Guestlist, Invitations, InviteFilter, InviteOutcome,
    InviteToken, Issued, LinkDraft, LinkFilter, Page, Preset, Status, Store, presets,
};
use products::{Mailbox, code, join, on_both_stores, person, product};

on_both_stores!(
    only_global_admins_open_the_user_settings,
    the_admin_panel_opens_the_configuration_of_the_organization,
    invite_people_shows_what_there_is_to_invite_with,
    get_invite_link_makes_a_link_that_can_be_shared,
    the_link_can_be_copied,
    the_link_can_be_copied_again_later,
    whoever_it_is_shared_with_can_join,
    one_address_is_invited,
    several_addresses_are_entered_one_after_the_other,
    nothing_is_sent_until_the_invitations_are_sent,
);

async fn organization<S: Store>(store: S, mailbox: &Mailbox) -> Guestlist<S> {
    product(store, &clock(), presets::ejento(), mailbox, |plain| plain).await
}

/// Somebody whom a global administrator has added with this role.
async fn with_role<S: Store>(guestlist: &Guestlist<S>, name: &str, role: &str) -> Actor {
    let gift = Preset {
        role: Some(role.parse().unwrap()),
        ..Preset::default()
    };
    guestlist
        .add_member(&owner("acme"), &org("acme"), &user_member(name), gift, None)
        .await
        .unwrap();
    person(name).in_organization(org("acme"))
}

async fn invite_link<S: Store>(guestlist: &Guestlist<S>, actor: &Actor) -> Result<Issued, Error> {
    guestlist
        .default_link(actor, &org("acme"), LinkDraft::default())
        .await
}

/// What came of everything that the settings offer, reads first.
async fn tries<S: Store>(guestlist: &Guestlist<S>, actor: &Actor) -> Vec<&'static str> {
    let acme = &org("acme");
    let page = &Page::default();
    let (links, invites) = (LinkFilter::default(), InviteFilter::default());
    let to = Invitations::new().to("new@acme.example");
    vec![
        code(guestlist.organization(actor, acme).await),
        code(guestlist.links(actor, acme, links, page).await),
        code(guestlist.invites(actor, acme, invites, page).await),
        code(guestlist.pending(actor, acme, None, page).await),
        code(
            guestlist
                .audit(actor, acme, EventFilter::default(), page)
                .await,
        ),
        code(invite_link(guestlist, actor).await),
        code(guestlist.invite(actor, acme, to).await),
    ]
}

async fn only_global_admins_open_the_user_settings<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    for role in ["user", "application-admin"] {
        let actor = with_role(&guestlist, role, role).await;
        assert_eq!(
            tries(&guestlist, &actor).await,
            ["not-allowed"; 7],
            "{role}"
        );
    }
    // To somebody from outside there is no such organization.
    let outsider = tries(&guestlist, &person("mallory")).await;
    assert_eq!(outsider, ["not-found"; 7]);
    let second = with_role(&guestlist, "grace", "global-admin").await;
    for actor in [owner("acme"), second] {
        assert!(!tries(&guestlist, &actor).await.contains(&"not-allowed"));
    }
}

async fn the_admin_panel_opens_the_configuration_of_the_organization<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let mut shown = guestlist.organization(&admin, &acme).await.unwrap();
    assert_eq!(shown.settings, presets::ejento().settings);
    shown.settings.discoverable = true;
    let changed = guestlist
        .change_settings(&admin, &acme, shown.settings.clone())
        .await
        .unwrap();
    assert_eq!(changed.settings, shown.settings);
    let user = with_role(&guestlist, "ada", "user").await;
    let refused = guestlist
        .change_settings(&user, &acme, presets::ejento().settings)
        .await;
    assert_eq!(code(refused), "not-allowed");
}

async fn invite_people_shows_what_there_is_to_invite_with<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let link = invite_link(&guestlist, &admin).await.unwrap().link;
    let to = Invitations::new().to("ada@acme.example");
    guestlist.invite(&admin, &acme, to).await.unwrap();
    let page = Page::default();
    let links = guestlist
        .links(&admin, &acme, LinkFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(links.links.len(), 1);
    assert_eq!(links.links[0].link, link);
    let invites = guestlist
        .invites(&admin, &acme, InviteFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(invites.invites.len(), 1);
    assert_eq!(invites.invites[0].address.as_str(), "ada@acme.example");
}

async fn get_invite_link_makes_a_link_that_can_be_shared<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let first = invite_link(&guestlist, &owner("acme")).await.unwrap();
    assert!(first.token.is_some());
    assert_eq!(first.link.host, org("acme"));
    let second = with_role(&guestlist, "grace", "global-admin").await;
    let again = invite_link(&guestlist, &second).await.unwrap();
    assert_eq!(again.link, first.link, "one link for the organization");
}

async fn the_link_can_be_copied<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let issued = invite_link(&guestlist, &owner("acme")).await.unwrap();
    let clipboard = issued.url.unwrap().expose_secret().to_owned();
    assert!(clipboard.starts_with("https://app.example/join?token="));
    let token = token_from_url(&clipboard).unwrap();
    let preview = guestlist.preview(&token).await.unwrap();
    assert_eq!(preview.host_name.as_str(), "acme");
    assert_eq!(preview.role.unwrap().as_str(), "user");
}

/// Only where tokens are sealed; without that the link is refreshed for another one.
async fn the_link_can_be_copied_again_later<S: Store>(store: S) {
    let clock = clock();
    let mailbox = Mailbox::default();
    let guestlist = product(store, &clock, presets::ejento(), &mailbox, |plain| plain).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let issued = invite_link(&guestlist, &admin).await.unwrap();
    let (id, first) = (issued.link.id, issued.url.unwrap());
    clock.advance(Duration::from_secs(400 * 24 * 60 * 60));
    assert!(invite_link(&guestlist, &admin).await.unwrap().url.is_none());
    #[cfg(feature = "seal")]
    {
        let revealed = guestlist.reveal_link(&admin, &acme, id).await.unwrap();
        let again = revealed.url.unwrap();
        assert_eq!(again.expose_secret(), first.expose_secret());
        let user = with_role(&guestlist, "eve", "application-admin").await;
        let refused = guestlist.reveal_link(&user, &acme, id).await;
        assert_eq!(code(refused), "not-allowed");
    }
    let refreshed = guestlist
        .refresh_link(&admin, &acme, id, Duration::ZERO)
        .await
        .unwrap();
    let new = refreshed.url.unwrap();
    assert_ne!(new.expose_secret(), first.expose_secret());
    let token = |url: &str| token_from_url(url).unwrap();
    let old = join(&guestlist, "ada", &token(first.expose_secret())).await;
    assert_eq!(code(old), "invalid-token");
    let joined = join(&guestlist, "ada", &token(new.expose_secret())).await;
    assert_eq!(code(joined), "ok");
}

async fn whoever_it_is_shared_with_can_join<S: Store>(store: S) {
    let guestlist = organization(store, &Mailbox::default()).await;
    let issued = invite_link(&guestlist, &owner("acme")).await.unwrap();
    let token = issued.token.unwrap();
    for name in ["ada", "grace", "edsger"] {
        let joined = join(&guestlist, name, &token).await.unwrap().membership;
        assert_eq!(joined.status, Some(Status::Approved));
        assert_eq!(joined.role.unwrap().as_str(), "user");
    }
    // It is for people.
    register(&guestlist, &["bravo"]).await;
    let claim = Claim::for_organization();
    let refused = guestlist.claim(&owner("bravo"), &token, claim).await;
    assert_eq!(code(refused), "wrong-kind-of-member");
}

/// Accepts what came by mail.
async fn accept<S: Store>(guestlist: &Guestlist<S>, name: &str, token: &InviteToken) -> Status {
    let claim = Claim::for_myself();
    let accepted = guestlist.accept(&person(name), token, claim).await;
    accepted.unwrap().membership.status.unwrap()
}

async fn one_address_is_invited<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let to = Invitations::new().to("ada@acme.example");
    let outcomes = guestlist
        .invite(&owner("acme"), &org("acme"), to)
        .await
        .unwrap();
    let invite = &outcomes[0].invited().unwrap().invite;
    assert_eq!(invite.delivery, Delivery::Sent);
    let mails = mailbox.take();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "ada@acme.example");
    assert!(mails[0].text.contains("invites you to acme"));
    let status = accept(&guestlist, "ada", &mails[0].token()).await;
    assert_eq!(status, Status::Approved);
}

async fn several_addresses_are_entered_one_after_the_other<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let mut field = Invitations::new();
    for address in [
        "ada@acme.example",
        "grace@acme.example",
        "no address",
        "ADA@acme.example",
        "edsger@acme.example",
    ] {
        field = field.to(address);
    }
    let outcomes = guestlist
        .invite(&owner("acme"), &org("acme"), field)
        .await
        .unwrap();
    let said: Vec<&str> = outcomes.iter().map(InviteOutcome::code).collect();
    assert_eq!(said[0..2], ["invited", "invited"]);
    assert!(outcomes[2].invited().is_none(), "said of this one alone");
    assert_eq!(said[3..], ["duplicate", "invited"]);
    let mails = mailbox.take();
    assert_eq!(mails.len(), 3, "one for each");
    for (mail, name) in mails.iter().zip(["ada", "grace", "edsger"]) {
        assert_eq!(mail.to, format!("{name}@acme.example"));
        let status = accept(&guestlist, name, &mail.token()).await;
        assert_eq!(status, Status::Approved);
    }
}

async fn nothing_is_sent_until_the_invitations_are_sent<S: Store>(store: S) {
    let mailbox = Mailbox::default();
    let guestlist = organization(store, &mailbox).await;
    let (admin, acme) = (owner("acme"), org("acme"));
    let field = Invitations::new()
        .to("ada@acme.example")
        .to("grace@acme.example");
    let waiting = || async {
        let filter = InviteFilter {
            phase: Some(InvitePhase::Pending),
            ..InviteFilter::default()
        };
        let page = Page::default();
        let listed = guestlist.invites(&admin, &acme, filter, &page).await;
        listed.unwrap().invites.len()
    };
    assert_eq!((waiting().await, mailbox.take().len()), (0, 0));
    guestlist.invite(&admin, &acme, field).await.unwrap();
    assert_eq!((waiting().await, mailbox.take().len()), (2, 2));
    // Nobody entered is nobody invited.
    let nobody = guestlist.invite(&admin, &acme, Invitations::new()).await;
    assert!(nobody.unwrap().is_empty());
    assert_eq!((waiting().await, mailbox.take().len()), (2, 0));
}
