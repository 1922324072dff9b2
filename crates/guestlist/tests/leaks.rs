//! No secret is kept, logged, sent or shown anywhere but where it has to be: in the answer that
//! issues it, and in the mail that carries it.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::fmt::{Debug, Write as _};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use common::log::Log;
use common::postbox::Postbox;
use common::receiving::{Answer, Hit, Receiving};
use common::{builder, org, org_member, owner, register_with, to_all, user, user_member};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use guestlist::membership::Requests;
use guestlist::store::{
    Capabilities, Commit, Committed, EventPage, Listed, Load, Snapshot, StoreError,
};
use guestlist::webhook::{HttpTransport, RetrySchedule, WebhookSecret};
use guestlist::{
    Action, Actor, Addressee, Claim, Cursor, Directory, EmailAddress, EndpointDraft, Error,
    EventFilter, Expiry, Guestlist, IdempotencyKey, InProcessRateLimit, Invitations, InviteDraft,
    InviteOutcome, InviteToken, Issued, LinkDraft, ManualClock, MemoryStore, Page, Pattern, Quota,
    Settings, Store, Timestamp, Uses,
};
use guestlist_membership::Stated;
use guestlist_sqlite::SqliteStore;

const HOUR: Duration = Duration::from_secs(3600);

/// The private parts of all addresses in here. No two letters of them stand in anything else.
const NAMES: [&str; 7] = [
    "zoe.qvist",
    "yan.qvist",
    "xia.qvist",
    "wim.qvist",
    "vic.qvist",
    "rita.qvist",
    "uli.qvist",
];

fn mail_of(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}.qvist@corp.example")).unwrap()
}

fn person(name: &str) -> Actor {
    user(name).with_verified_email(mail_of(name))
}

struct Known;

#[async_trait]
impl Directory for Known {
    async fn standing(
        &self,
        _: &guestlist::OrgId,
        _: &guestlist::UserId,
    ) -> Result<Stated, Box<dyn core::error::Error + Send + Sync>> {
        Ok(Stated::NOBODY)
    }

    async fn addressees(
        &self,
        addressee: &Addressee<'_>,
    ) -> Result<Vec<EmailAddress>, Box<dyn core::error::Error + Send + Sync>> {
        Ok(match addressee {
            Addressee::Reviewers(_) => vec![mail_of("rita")],
            Addressee::Organization(_) => vec![mail_of("uli")],
            Addressee::User(_) => Vec::new(),
        })
    }
}

/// A store whose every answer is that there is none, with words of its own.
struct Broken;

fn broken<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("the disk is gone".into()))
}

#[async_trait]
impl Store for Broken {
    async fn load(&self, _: &Load<'_>) -> Result<Snapshot, StoreError> {
        broken()
    }

    async fn commit(&self, _: &[Commit]) -> Result<Vec<Committed>, StoreError> {
        broken()
    }

    async fn list(
        &self,
        _: &guestlist::store::Query,
        _: &Page,
        _: Timestamp,
    ) -> Result<Listed, StoreError> {
        broken()
    }

    async fn events(
        &self,
        _: &EventFilter,
        _: Option<&Cursor>,
        _: u32,
    ) -> Result<EventPage, StoreError> {
        broken()
    }

    fn capabilities(&self) -> Capabilities {
        MemoryStore::default().capabilities()
    }
}

/// What the scenario has seen: the secrets that were issued, and all that was shown meanwhile.
#[derive(Default)]
struct Seen {
    tokens: BTreeSet<String>,
    webhook_secrets: BTreeSet<String>,
    shown: String,
    /// What was said in refusals, which is shown, too.
    errors: String,
    codes: Vec<&'static str>,
}

impl Seen {
    fn show(&mut self, what: &impl Debug) {
        writeln!(self.shown, "{what:?}\n{what:#?}").unwrap();
    }

    fn error(&mut self, error: &Error) {
        let mut said = format!("{error}\n{error:?}\n");
        let mut source = core::error::Error::source(error);
        while let Some(inner) = source {
            writeln!(said, "{inner}\n{inner:?}").unwrap();
            source = inner.source();
        }
        self.shown.push_str(&said);
        self.errors.push_str(&said);
        self.codes.push(error.code());
    }

    /// An answer without a secret in it, or a refusal.
    fn noted<T: Debug>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => {
                self.show(&value);
                self.codes.push("ok");
                Some(value)
            }
            Err(error) => {
                self.error(&error);
                None
            }
        }
    }

    fn token(&mut self, token: &InviteToken) {
        self.show(token);
        self.tokens.insert(token.expose_secret().to_owned());
    }

    fn issued(&mut self, result: Result<Issued, Error>) -> (guestlist::LinkId, InviteToken) {
        let issued = result.unwrap();
        self.show(&issued);
        self.shown
            .push_str(&serde_json::to_string(&issued.link).unwrap());
        let token = issued.token.unwrap();
        self.token(&token);
        assert!(
            issued
                .url
                .unwrap()
                .expose_secret()
                .contains(token.expose_secret())
        );
        (issued.link.id, token)
    }

    fn outcomes(&mut self, outcomes: Vec<InviteOutcome>) -> Vec<guestlist::InviteId> {
        let mut ids = Vec::new();
        for outcome in outcomes {
            self.show(&outcome);
            if let InviteOutcome::Invited(invited) = outcome {
                ids.push(invited.invite.id);
                if let Some(token) = &invited.token {
                    self.token(token);
                }
            }
        }
        ids
    }

    fn webhook_secret(&mut self, secret: &WebhookSecret) {
        self.show(secret);
        self.webhook_secrets
            .insert(secret.expose_secret().to_string());
    }

    fn mails(&mut self, postbox: &Postbox) -> Vec<InviteToken> {
        let mails = postbox.invites();
        mails
            .into_iter()
            .map(|mail| {
                self.shown.push_str(&mail.debug);
                assert!(mail.url.as_ref().unwrap().contains(&mail.secret));
                let token = mail.token();
                self.token(&token);
                token
            })
            .collect()
    }
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn assemble<S: Store>(store: S, clock: &Arc<ManualClock>, postbox: &Postbox) -> Guestlist<S> {
    let transport = HttpTransport::new()
        .allow_private_addresses()
        .with_timeout(Duration::from_secs(20));
    builder(store, clock, 23)
        .mailer(postbox.clone())
        .directory(Known)
        .webhooks(common::webhook_keys(), transport)
        .webhook_schedule(RetrySchedule::new([Duration::ZERO, HOUR]))
        .count_previews(true)
        .build()
}

/// A round of everything that issues, carries, takes, refuses or erases.
async fn everything<S: Store + Clone>(store: S) -> (Seen, Vec<Hit>) {
    let clock = common::clock();
    let postbox = Postbox::default();
    let receiving = Receiving::start();
    let guestlist = assemble(store.clone(), &clock, &postbox);
    let mut seen = Seen::default();
    seen.show(&guestlist);
    let (host, alice, system) = (org("host"), owner("host"), Actor::system());
    let settings = Settings {
        discoverable: true,
        requests: Requests {
            open: true,
            ..Requests::default()
        },
        ..Settings::default()
    };
    register_with(&guestlist, "host", settings).await;
    common::register(&guestlist, &["bravo", "charlie", "delta"]).await;
    guestlist.deliver_notices(100).await.unwrap();

    let made = guestlist
        .create_endpoint(&system, &host, EndpointDraft::new(receiving.url()))
        .await
        .unwrap();
    seen.show(&made);
    seen.webhook_secret(&made.secret);
    let endpoint = made.endpoint.id;
    let rotated = guestlist
        .rotate_endpoint_secret(&system, &host, endpoint, HOUR)
        .await
        .unwrap();
    seen.show(&rotated);
    seen.webhook_secret(&rotated.secret);

    links(&guestlist, &mut seen).await;
    invites(&guestlist, &mut seen, &postbox, &clock).await;
    members(&guestlist, &mut seen).await;
    refusals(&store, &mut seen, &clock).await;

    receiving.will(&[Answer::Status(500)]);
    let done = guestlist.deliver_webhooks(1000).await.unwrap();
    seen.show(&done);
    assert_eq!((done.delivered, done.failed), (0, 1));
    let letters = guestlist.dead_letters(&system, &host, endpoint).await;
    assert_eq!(seen.noted(letters).unwrap().len(), 1);
    clock.advance(HOUR);
    receiving.will(&[Answer::Status(200); 400]);
    let done = guestlist.deliver_webhooks(1000).await.unwrap();
    seen.show(&done);
    assert!(done.delivered > 200, "{done:?}");
    let hits = receiving.got();
    // The first attempt of an hour ago is too old to be checked by now.
    for hit in &hits[1..] {
        // What arrives is what its owner can check with the secret that is nowhere in it.
        let now = guestlist::Clock::now(&*clock);
        assert!(hit.verifies(&rotated.secret, now));
    }

    postbox.close_for(mail_of("uli").as_str());
    let done = guestlist.deliver_notices(1000).await.unwrap();
    seen.show(&done);
    let unsent = guestlist.unsent_notices().await;
    assert!(!seen.noted(unsent).unwrap().is_empty());
    let notices = postbox.notices();
    assert!(notices.len() > 2, "{notices:?}");
    seen.show(&notices);

    seen.noted(guestlist.seal_audit(10_000).await).unwrap();
    seen.noted(guestlist.sweep(100).await).unwrap();
    let erased = guestlist.erase(&alice, &host, &user_member("zoe")).await;
    assert!(seen.noted(erased).unwrap().events > 0);
    let feed = guestlist.feed(None, 10_000).await.unwrap();
    assert!(feed.events.len() > 200);
    seen.shown
        .push_str(&serde_json::to_string(&feed.events).unwrap());
    seen.show(&feed.events);
    let page = Page::first(100).unwrap();
    let audit = guestlist.audit(&alice, &host, EventFilter::default(), &page);
    seen.noted(audit.await).unwrap();
    let listed = guestlist.links(&alice, &host, guestlist::LinkFilter::default(), &page);
    seen.noted(listed.await).unwrap();
    let listed = guestlist.invites(&alice, &host, guestlist::InviteFilter::default(), &page);
    seen.noted(listed.await).unwrap();
    (seen, hits)
}

async fn links<S: Store>(guestlist: &Guestlist<S>, seen: &mut Seen) {
    let (host, alice) = (org("host"), owner("host"));
    let draft = LinkDraft::review().max_uses(Uses::AtMost(9));
    let keyed = guestlist.with_key(key("first link"));
    seen.show(&keyed);
    let created = keyed.create_link(&alice, &host, draft.clone()).await;
    let (link, first) = seen.issued(created);
    let again = keyed.create_link(&alice, &host, draft).await.unwrap();
    seen.show(&again);
    assert!(again.token.is_none() && again.url.is_none());
    let other = keyed
        .create_link(&alice, &host, LinkDraft::auto())
        .await
        .map(|issued| issued.link);
    assert!(seen.noted(other).is_none());

    seen.noted(guestlist.preview(&first).await).unwrap();
    let bravo = owner("bravo");
    let claim = Claim::for_organization;
    let claimed = guestlist.claim(&bravo, &first, claim()).await;
    seen.noted(claimed).unwrap();
    let kept = guestlist.with_key(key("claim"));
    for _ in 0..2 {
        let claimed = kept.claim(&owner("charlie"), &first, claim()).await;
        seen.noted(claimed).unwrap();
    }
    seen.noted(guestlist.inspect(&alice, &host, &first).await)
        .unwrap();
    // Both the old and the new one open it for an hour.
    let refreshed = guestlist.refresh_link(&alice, &host, link, HOUR).await;
    let (_, second) = seen.issued(refreshed);
    seen.noted(guestlist.preview(&first).await).unwrap();
    seen.noted(guestlist.preview(&second).await).unwrap();
    let refreshed = guestlist
        .refresh_link(&alice, &host, link, Duration::ZERO)
        .await;
    let (_, third) = seen.issued(refreshed);
    assert!(seen.noted(guestlist.preview(&first).await).is_none());
    reveal(guestlist, seen, link, &third).await;
    seen.noted(guestlist.disable_link(&alice, &host, link).await)
        .unwrap();
    let dead = guestlist.claim(&owner("delta"), &third, claim()).await;
    assert!(seen.noted(dead).is_none());
    seen.issued(guestlist.enable_link(&alice, &host, link).await);
    let (doomed, token) = seen.issued(
        guestlist
            .default_link(&alice, &host, LinkDraft::auto())
            .await,
    );
    seen.noted(guestlist.delete_link(&alice, &host, doomed).await)
        .unwrap();
    let told = guestlist.inspect(&alice, &host, &token).await;
    seen.noted(told).unwrap();
    for _ in 0..100 {
        let made = guestlist
            .create_link(&alice, &host, LinkDraft::review())
            .await;
        let (link, _) = seen.issued(made);
        let refreshed = guestlist
            .refresh_link(&alice, &host, link, Duration::ZERO)
            .await;
        seen.issued(refreshed);
    }
}

#[cfg(feature = "seal")]
async fn reveal<S: Store>(
    guestlist: &Guestlist<S>,
    seen: &mut Seen,
    link: guestlist::LinkId,
    current: &InviteToken,
) {
    let (host, alice) = (org("host"), owner("host"));
    let (_, revealed) = seen.issued(guestlist.reveal_link(&alice, &host, link).await);
    assert_eq!(revealed.expose_secret(), current.expose_secret());
}

#[cfg(not(feature = "seal"))]
async fn reveal<S: Store>(_: &Guestlist<S>, _: &mut Seen, _: guestlist::LinkId, _: &InviteToken) {}

async fn invites<S: Store>(
    guestlist: &Guestlist<S>,
    seen: &mut Seen,
    postbox: &Postbox,
    clock: &ManualClock,
) {
    let (host, alice) = (org("host"), owner("host"));
    postbox.close_for(mail_of("wim").as_str());
    let to = ["zoe", "yan", "xia", "wim"].map(|name| mail_of(name).to_string());
    let many = to_all(to)
        .to("no address: zoe.qvist@")
        .draft(InviteDraft::new().message("Join us.".parse().unwrap()));
    let keyed = guestlist.with_key(key("invites"));
    let outcomes = keyed.invite(&alice, &host, many.clone()).await.unwrap();
    let ids = seen.outcomes(outcomes);
    let tokens = seen.mails(postbox);
    assert_eq!((ids.len(), tokens.len()), (4, 3));
    let again = keyed.invite(&alice, &host, many).await.unwrap();
    assert_eq!(seen.outcomes(again), ids);
    assert!(postbox.invites().is_empty());
    let one = Invitations::new()
        .to(mail_of("vic").to_string())
        .without_mail();
    let outcomes = guestlist.invite(&alice, &host, one).await.unwrap();
    let vic = seen.outcomes(outcomes)[0];

    postbox.open();
    let resent = guestlist.resend_invite(&alice, &host, ids[3]).await;
    let resent = seen.noted(resent).unwrap();
    seen.token(&resent.token.unwrap());
    let wim = seen.mails(postbox).remove(0);
    seen.noted(guestlist.preview_invite(&tokens[0]).await)
        .unwrap();
    let (zoe, yan) = (person("zoe"), person("yan"));
    let wrong = guestlist.accept(&yan, &tokens[0], Claim::for_myself());
    assert!(seen.noted(wrong.await).is_none());
    for _ in 0..2 {
        let accepted = guestlist.accept(&zoe, &tokens[0], Claim::for_myself());
        seen.noted(accepted.await).unwrap();
    }
    seen.noted(guestlist.decline(&yan, &tokens[1]).await)
        .unwrap();
    seen.noted(guestlist.revoke_invite(&alice, &host, ids[2]).await)
        .unwrap();
    let (xia, wim_herself) = (person("xia"), person("wim"));
    let dead = guestlist.accept(&xia, &tokens[2], Claim::for_myself());
    assert!(seen.noted(dead.await).is_none());
    seen.noted(guestlist.inspect_invite(&alice, &host, &wim).await)
        .unwrap();
    // A genuine selector with another verifier, as somebody would forge it.
    let forged = forge(&wim);
    let refused = guestlist.accept(&wim_herself, &forged, Claim::for_myself());
    assert!(seen.noted(refused.await).is_none());
    // Somebody who is invited and asks.
    let asked = guestlist.request(&wim_herself, &host, Claim::for_myself(), None);
    seen.noted(asked.await).unwrap();
    clock.advance(15 * 24 * HOUR);
    let late = guestlist.email_invite(&alice, &host, vic).await.unwrap();
    seen.show(&late);
}

/// The token with another secret part: what somebody would try who has read a selector.
fn forge(token: &InviteToken) -> InviteToken {
    let body = &token.expose_secret()[..14];
    let body = format!("{body}{}", "A".repeat(22));
    let mut sum = u64::from(crc32fast::hash(body.as_bytes()));
    let mut digits = Vec::new();
    for _ in 0..6 {
        let digit = usize::try_from(sum % 62).unwrap();
        digits.push(DIGITS[digit]);
        sum /= 62;
    }
    digits.reverse();
    let text = format!("{body}{}", String::from_utf8(digits).unwrap());
    InviteToken::parse(&text).unwrap()
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

async fn members<S: Store>(guestlist: &Guestlist<S>, seen: &mut Seen) {
    let (host, alice) = (org("host"), owner("host"));
    let message = Some("please".parse().unwrap());
    let asked = guestlist
        .request(&person("xia"), &host, Claim::for_myself(), message)
        .await;
    seen.noted(asked).unwrap();
    let reason = Some("not now".parse().unwrap());
    let rejected = guestlist
        .reject(&alice, &host, &user_member("xia"), reason)
        .await;
    seen.noted(rejected).unwrap();
    let approved = guestlist
        .approve_all(&alice, &host, &[org_member("bravo"), org_member("nobody")])
        .await;
    for outcome in approved {
        seen.noted(outcome);
    }
    let granted = guestlist
        .grant(
            &alice,
            &host,
            guestlist::Grantee::Member(org_member("bravo")),
            Action::Read.into(),
            Pattern::parse("shared/").unwrap(),
            None,
        )
        .await;
    seen.noted(granted).unwrap();
    let address = "@host/shared/x".parse().unwrap();
    let decided = guestlist
        .decide(&owner("bravo"), Action::Read, &address)
        .await;
    assert!(matches!(
        seen.noted(decided),
        Some(guestlist::Decision::Allow(_))
    ));
    let removed = guestlist
        .remove(&alice, &host, &org_member("bravo"), None)
        .await;
    seen.noted(removed).unwrap();
    let foreign = guestlist
        .approve(&owner("delta"), &host, &org_member("charlie"))
        .await;
    assert!(seen.noted(foreign).is_none());
    let plain = guestlist
        .create_link(&person("zoe"), &host, LinkDraft::review())
        .await
        .map(|issued| issued.link);
    assert!(seen.noted(plain).is_none());
}

/// What is refused for reasons outside of the rules, with genuine tokens in hand.
async fn refusals<S: Store + Clone>(store: &S, seen: &mut Seen, clock: &Arc<ManualClock>) {
    let (host, alice) = (org("host"), owner("host"));
    let quota = Quota::new(1, HOUR);
    let limited = builder(store.clone(), clock, 24)
        .rate_limit(InProcessRateLimit::new(quota, quota, quota))
        .build();
    let soon = LinkDraft::review().expiry(Expiry::After(HOUR));
    let (_, token) = seen.issued(limited.create_link(&alice, &host, soon).await);
    let delta = owner("delta");
    let claim = Claim::for_organization;
    seen.noted(limited.claim(&delta, &token, claim()).await)
        .unwrap();
    let limited = limited.claim(&delta, &token, claim()).await;
    assert!(seen.noted(limited).is_none());

    let dark = assemble(Broken, clock, &Postbox::default());
    assert!(seen.noted(dark.preview(&token).await).is_none());
    let claimed = dark.claim(&delta, &token, claim()).await;
    assert!(seen.noted(claimed).is_none());
    let made = dark.create_link(&alice, &host, LinkDraft::review()).await;
    assert!(seen.noted(made.map(|issued| issued.link)).is_none());
    let kind = dark.accept(&delta, &token, claim()).await;
    assert!(seen.noted(kind).is_none());

    // Every way to misspell a genuine token.
    let text = token.expose_secret();
    for wrong in [
        text[1..].to_owned(),
        text[..41].to_owned(),
        format!("{text}x"),
        format!(" {text}"),
        text.replace("glj_", "gle_"),
        text.to_uppercase(),
        format!("https://app.example/join?token={text}"),
    ] {
        let error = InviteToken::parse(&wrong).unwrap_err();
        seen.show(&error);
        seen.error(&Error::from(error));
    }
}

/// Finds secrets, however somebody may have written them.
struct Finder {
    /// By its first eight bytes, each way in which a secret can be written, and of which it is.
    patterns: BTreeMap<[u8; 8], Vec<(Vec<u8>, String)>>,
}

impl Finder {
    fn new() -> Self {
        Self {
            patterns: BTreeMap::new(),
        }
    }

    /// The secret part of a token is the 22 characters behind its selector. Whatever holds the
    /// whole token holds that part, so that it is enough to look for it.
    fn token(&mut self, token: &str) {
        let secret = &token.as_bytes()[14..36];
        // Half of it is too much already.
        self.pattern(secret[..11].to_vec(), token);
        self.pattern(secret[11..].to_vec(), token);
        self.encoded(secret, token);
    }

    /// The secret part of a webhook's secret is what its base64 stands for.
    fn webhook_secret(&mut self, secret: &str) {
        let text = secret.strip_prefix("whsec_").unwrap();
        let bytes = BASE64.decode(text.as_bytes()).unwrap();
        self.pattern(bytes[..12].to_vec(), secret);
        self.pattern(bytes[bytes.len() - 12..].to_vec(), secret);
        self.pattern(text.as_bytes()[..16].to_vec(), secret);
        self.encoded(&bytes, secret);
        self.encoded(text.as_bytes(), secret);
    }

    fn encoded(&mut self, bytes: &[u8], of: &str) {
        self.pattern(HEXLOWER.encode(bytes).into(), of);
        self.pattern(HEXUPPER.encode(bytes).into(), of);
        for numbers in [format!("{bytes:?}"), serde_json::to_string(bytes).unwrap()] {
            let inner = numbers.trim_matches(['[', ']']);
            self.pattern(inner.into(), of);
        }
        // In base64 it looks otherwise at each of three distances from the beginning; the
        // characters at its edges depend on what is beside it.
        for before in 0..3 {
            let mut padded = vec![0; before];
            padded.extend_from_slice(bytes);
            let from = (before * 8).div_ceil(6);
            let until = padded.len() * 8 / 6;
            let text = BASE64URL_NOPAD.encode(&padded);
            let inner = &text[from..until];
            self.pattern(inner.into(), of);
            self.pattern(inner.replace('-', "+").replace('_', "/").into(), of);
        }
        self.pattern(percent(&HEXLOWER.encode(bytes)).into(), of);
        self.pattern(percent(&HEXUPPER.encode(bytes)).into(), of);
        if let Ok(text) = core::str::from_utf8(bytes) {
            let needed = text
                .replace('+', "%2B")
                .replace('/', "%2F")
                .replace('=', "%3D");
            self.pattern(needed.into(), of);
        }
    }

    fn pattern(&mut self, pattern: Vec<u8>, of: &str) {
        let first = *pattern.first_chunk().unwrap();
        let same = self.patterns.entry(first).or_default();
        same.push((pattern, of.to_owned()));
    }

    /// Every way to write every secret.
    fn all(&self) -> impl Iterator<Item = &(Vec<u8>, String)> {
        self.patterns.values().flatten()
    }

    /// The secrets that stand in these bytes.
    fn find(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut begins = vec![false; 1 << 16];
        for first in self.patterns.keys() {
            begins[usize::from(u16::from_be_bytes([first[0], first[1]]))] = true;
        }
        let mut found = BTreeSet::new();
        for at in 0..bytes.len().saturating_sub(7) {
            let rest = &bytes[at..];
            if !begins[usize::from(u16::from_be_bytes([rest[0], rest[1]]))] {
                continue;
            }
            let Some(same) = rest
                .first_chunk()
                .and_then(|first| self.patterns.get(first))
            else {
                continue;
            };
            for (pattern, of) in same {
                if rest.starts_with(pattern) {
                    found.insert(of.as_str());
                }
            }
        }
        found
    }
}

/// Places where something could have been left, with what is there.
type Places = Vec<(String, Vec<u8>)>;

fn scan(seen: &Seen, hits: &[Hit], kept: Places) {
    let log = Log::global();
    let mut finder = Finder::new();
    assert!(seen.tokens.len() > 200 && seen.webhook_secrets.len() == 2);
    for token in &seen.tokens {
        finder.token(token);
    }
    for secret in &seen.webhook_secrets {
        finder.webhook_secret(secret);
    }
    let mut places = kept;
    places.push(("the log".to_owned(), log.text().into_bytes()));
    places.push(("what was shown".to_owned(), seen.shown.clone().into_bytes()));
    for hit in hits {
        places.push(("a webhook's head".to_owned(), hit.head.clone().into_bytes()));
        places.push(("a webhook's body".to_owned(), hit.body.clone()));
    }
    for (place, bytes) in &places {
        assert_eq!(finder.find(bytes), BTreeSet::new(), "in {place}");
    }

    // The scan finds what it looks for: every secret, in every way that it can be written, and
    // in the middle of whatever is there.
    for (pattern, of) in finder.all() {
        let copy = [b"0123456", pattern.as_slice(), b"0123456"].concat();
        assert!(finder.find(&copy).contains(of.as_str()), "{pattern:?}");
    }
    for token in &seen.tokens {
        for planted in written(token.as_bytes()) {
            assert!(finder.find(&planted).contains(token.as_str()));
        }
    }
    for (place, bytes) in &places {
        let token = seen.tokens.first().unwrap();
        let mut copy = bytes.clone();
        let middle = copy.len() / 2;
        copy.splice(middle..middle, token.bytes());
        assert!(finder.find(&copy).contains(token.as_str()), "in {place}");
    }
}

/// Each byte as a percent sign and its two digits.
fn percent(hexadecimal: &str) -> String {
    let (pairs, _) = hexadecimal.as_bytes().as_chunks::<2>();
    let all: Vec<u8> = pairs.iter().flat_map(|[a, b]| [b'%', *a, *b]).collect();
    String::from_utf8(all).unwrap()
}

/// A whole token as it would stand in other encodings, not at their beginning.
fn written(token: &[u8]) -> Vec<Vec<u8>> {
    let percent = percent(&HEXUPPER.encode(token));
    let mut written = vec![
        token.to_vec(),
        percent.into_bytes(),
        HEXLOWER.encode(token).into_bytes(),
        format!("{token:?}").into_bytes(),
    ];
    for before in ["", "x", "xy"] {
        let all = [before.as_bytes(), token, b"z"].concat();
        written.push(BASE64.encode(&all).into_bytes());
    }
    written
}

/// Addresses are personal: they are kept and mailed to, and go to the host's own endpoints in the
/// two events that are about them, but are in no log and no other message.
fn scan_for_addresses(seen: &Seen, hits: &[Hit]) {
    let has_name = |text: &str| {
        let text = text.to_lowercase();
        NAMES.into_iter().find(|name| text.contains(name))
    };
    assert_eq!(has_name(&Log::global().text()), None, "in the log");
    assert!(has_name(&seen.shown).is_some(), "the search finds some");
    assert_eq!(has_name(&seen.errors), None, "in an error");
    assert!(seen.errors.contains("z***@corp.example"), "but for a hint");
    let mut told = BTreeSet::new();
    for hit in hits {
        assert_eq!(has_name(&hit.head), None, "in the head of a webhook");
        let mut body = hit.json();
        let event = &mut body["data"]["event"];
        let places = [
            "/invite/sent/address",
            "/member/requested/profile/email",
            "/member/joined/opening/profile/email",
        ];
        for place in places {
            if let Some(address) = event.pointer_mut(place)
                && !address.take().is_null()
            {
                told.insert(hit.kind());
            }
        }
        assert_eq!(has_name(&body.to_string()), None, "in a {}", hit.kind());
    }
    let told: Vec<String> = told.into_iter().collect();
    assert_eq!(
        told,
        ["invite-sent", "membership-joined", "membership-requested"]
    );
}

/// That the scenario went everywhere.
fn was_everywhere(seen: &Seen) {
    let codes: BTreeSet<&str> = seen.codes.iter().copied().collect();
    for code in [
        "ok",
        "idempotency-key-reused",
        "invalid-token",
        "not-allowed",
        "not-found",
        "rate-limited",
        "store-unavailable",
        "wrong-account",
    ] {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }
    let log = Log::global();
    assert!(log.records() > 100, "{}", log.records());
    tracing::trace!(canary = "a canary at the lowest level", "tweet");
    let text = log.text();
    assert!(text.contains("a canary at the lowest level"));
    for operation in ["claim", "create-link", "invite", "accept", "erase"] {
        let field = format!("operation={operation}");
        assert!(text.contains(&field), "{operation} was not traced");
    }
    assert!(text.contains("an invite could not be mailed"));
}

#[tokio::test]
async fn no_secret_is_left_over_memory() {
    Log::global();
    let store = MemoryStore::default();
    let (seen, hits) = everything(store.clone()).await;
    was_everywhere(&seen);
    let kept = store.kv().dump().into_iter();
    let bytes: Vec<u8> = kept
        .flat_map(|(key, value)| [key, value].concat())
        .collect();
    assert!(bytes.len() > 50_000, "{}", bytes.len());
    scan(&seen, &hits, vec![("the store".to_owned(), bytes)]);
    scan_for_addresses(&seen, &hits);
}

#[tokio::test]
async fn no_secret_is_left_over_sqlite() {
    Log::global();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("leaks.db")).unwrap();
    let (seen, hits) = everything(store.clone()).await;
    was_everywhere(&seen);
    // While it is open, most of it is in the write-ahead log.
    let mut kept = files(folder.path());
    let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["leaks.db", "leaks.db-shm", "leaks.db-wal"]);
    assert!(kept[2].1.len() > 50_000, "the log is in use");
    drop(store);
    let closed = files(folder.path());
    assert!(closed[0].1.len() > 50_000, "all is in the database");
    kept.extend(closed);
    scan(&seen, &hits, kept);
    scan_for_addresses(&seen, &hits);
}

fn files(folder: &Path) -> Places {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Places = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}
