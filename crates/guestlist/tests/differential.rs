//! The same random commands through the memory store, SQLite and PostgreSQL: equal replies, events,
//! lists and decisions; and the log folds to what is stored.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use core::time::Duration;
use std::sync::Arc;

use common::pg::{Settle, rounds};
use common::{builder, org, org_member, owner, register, scope_of, user, user_member};
use guestlist::membership::{
    AddressCheck, AfterRejection, Joins, Records, Requests, Row, RowKey, Seats, SecondInvite,
    Standing, evolve,
};
use guestlist::store::{Load, Query, Recorded, Sequence};
use guestlist::types::{GrantId, GroupId};
use guestlist::{
    Action, ActionSet, Actor, Address, Audience, Changes, Claim, EmailAddress, EndpointDraft,
    EndpointUrl, Error, EventFilter, Expiry, Grantee, Guestlist, IdempotencyKey, Invitations,
    InviteDraft, InviteFilter, InviteId, InviteOutcome, InviteToken, JoinedBy, LinkDraft,
    LinkFilter, LinkId, ManualClock, Member, MemberFilter, MemoryStore, Page, Pattern, Pause,
    Preset, Settings, Status, Store, Uses,
};
use guestlist_postgres::{Dialect, PgOptions, PgStore};
use guestlist_sqlite::SqliteStore;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestRunner};
use tokio::runtime::Runtime;

/// Sequences per run; with commands each.
const SEQUENCES: usize = 400;
const SEQUENCES_ON_POSTGRES: usize = 300;
const COMMANDS: usize = 60;

#[derive(Debug, Clone)]
enum Step {
    Create {
        auto: bool,
        uses: u64,
        kinds: JoinedBy,
        gift: Option<Index>,
        ttl: bool,
    },
    Default,
    Refresh(Index, bool),
    Disable(Index),
    Enable(Index),
    Edit(Index, u64, bool),
    DeleteLink(Index),
    Claim(u8, Index, bool),
    Approve(u8, Option<Index>),
    Reject(u8),
    Remove(u8),
    Leave(u8),
    Cancel(u8),
    Add(u8, Option<Index>),
    ChangeRole(u8, u8),
    Block(u8),
    Unblock(u8),
    Lift(u8),
    Group(u8, bool),
    DeleteGroup(Index),
    Join(Index, u8),
    Part(Index, u8),
    Nest(Index, Index),
    External(Option<Index>),
    Grant(u8, Index, u8, u8),
    Revoke(Index),
    Settings(u8),
    Pause(bool),
    Advance(u32),
    Sweep,
    Decide(u8, u8, u8),
    Restrict(bool),
    Invite(u8, u8, Option<Index>, bool),
    Accept(u8, Index, bool),
    Decline(u8, Index),
    ResendInvite(Index),
    RevokeInvite(Index),
    Ask(u8, bool),
    Erase(u8),
    Preview(Index),
    Endpoint(u8),
}

fn arb_kinds() -> impl Strategy<Value = JoinedBy> {
    prop_oneof![
        Just(JoinedBy::Both),
        Just(JoinedBy::Users),
        Just(JoinedBy::Organizations)
    ]
}

fn arb_step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let some = || proptest::option::of(any::<Index>());
    prop_oneof![
        4 => (any::<bool>(), 0_u64..4, arb_kinds(), some(), any::<bool>()).prop_map(
            |(auto, uses, kinds, gift, ttl)| Step::Create { auto, uses, kinds, gift, ttl }),
        1 => Just(Step::Default),
        2 => (index(), any::<bool>()).prop_map(|(l, o)| Step::Refresh(l, o)),
        1 => index().prop_map(Step::Disable),
        1 => index().prop_map(Step::Enable),
        1 => (index(), 0_u64..4, any::<bool>()).prop_map(|(l, u, a)| Step::Edit(l, u, a)),
        1 => index().prop_map(Step::DeleteLink),
        12 => (0_u8..6, index(), any::<bool>()).prop_map(|(w, t, k)| Step::Claim(w, t, k)),
        6 => (0_u8..6, some()).prop_map(|(w, g)| Step::Approve(w, g)),
        2 => (0_u8..6).prop_map(Step::Reject),
        2 => (0_u8..7).prop_map(Step::Remove),
        2 => (0_u8..7).prop_map(Step::Leave),
        1 => (0_u8..6).prop_map(Step::Cancel),
        2 => (0_u8..6, some()).prop_map(|(w, g)| Step::Add(w, g)),
        2 => (0_u8..7, 0_u8..3).prop_map(|(w, r)| Step::ChangeRole(w, r)),
        1 => (0_u8..6).prop_map(Step::Block),
        1 => (0_u8..6).prop_map(Step::Unblock),
        1 => (0_u8..6).prop_map(Step::Lift),
        2 => (0_u8..3, any::<bool>()).prop_map(|(n, i)| Step::Group(n, i)),
        1 => index().prop_map(Step::DeleteGroup),
        2 => (index(), 0_u8..6).prop_map(|(g, w)| Step::Join(g, w)),
        1 => (index(), 0_u8..6).prop_map(|(g, w)| Step::Part(g, w)),
        1 => (index(), index()).prop_map(|(a, b)| Step::Nest(a, b)),
        1 => some().prop_map(Step::External),
        4 => (0_u8..9, index(), any::<u8>(), 0_u8..4).prop_map(
            |(to, g, a, p)| Step::Grant(to, g, a, p)),
        1 => index().prop_map(Step::Revoke),
        2 => (0_u8..7).prop_map(Step::Settings),
        1 => any::<bool>().prop_map(Step::Pause),
        2 => (0_u32..200_000).prop_map(Step::Advance),
        1 => Just(Step::Sweep),
        3 => (0_u8..6, 0_u8..6, 0_u8..4).prop_map(|(w, a, k)| Step::Decide(w, a, k)),
        1 => any::<bool>().prop_map(Step::Restrict),
        5 => (0_u8..4, 0_u8..4, some(), any::<bool>()).prop_map(
            |(a, b, g, all)| Step::Invite(a, b, g, all)),
        5 => (0_u8..6, index(), any::<bool>()).prop_map(|(w, t, k)| Step::Accept(w, t, k)),
        1 => (0_u8..6, index()).prop_map(|(w, t)| Step::Decline(w, t)),
        1 => index().prop_map(Step::ResendInvite),
        1 => index().prop_map(Step::RevokeInvite),
        2 => (0_u8..6, any::<bool>()).prop_map(|(w, a)| Step::Ask(w, a)),
        1 => (0_u8..6).prop_map(Step::Erase),
        1 => index().prop_map(Step::Preview),
        1 => (0_u8..3).prop_map(Step::Endpoint),
    ]
}

/// What one run has made so far, to be named by later steps.
#[derive(Default)]
struct Made {
    tokens: Vec<InviteToken>,
    links: Vec<LinkId>,
    groups: Vec<GroupId>,
    grants: Vec<GrantId>,
    invites: Vec<InviteId>,
    invite_tokens: Vec<InviteToken>,
    steps: u32,
}

fn pick<T: Copy>(list: &[T], index: Index) -> Option<T> {
    (!list.is_empty()).then(|| list[index.index(list.len())])
}

/// Four users, two organizations, and the host's founder.
fn actor(who: u8) -> Actor {
    match who {
        4 => owner("bravo"),
        5 => owner("charlie"),
        6 => owner("host"),
        n => user(&format!("u{n}")),
    }
}

/// The same, with an address that invites go to.
fn reachable(who: u8) -> Actor {
    let name = EmailAddress::parse(&mail_of(who)).unwrap();
    actor(who).with_verified_email(name)
}

fn mail_of(who: u8) -> String {
    format!("P{who}@example.com")
}

fn member(who: u8) -> Member {
    match who {
        4 => org_member("bravo"),
        5 => org_member("charlie"),
        6 => user_member("host-owner"),
        n => user_member(&format!("u{n}")),
    }
}

fn pattern(number: u8) -> Pattern {
    match number {
        0 => Pattern::all(),
        1 => Pattern::parse("a/").unwrap(),
        2 => Pattern::parse("a/b").unwrap(),
        _ => Pattern::parse("c/").unwrap(),
    }
}

fn settings(number: u8) -> Settings {
    let day = Duration::from_secs(86_400);
    let base = Settings::default();
    let seats = |limit: u64, count_pending| {
        Some(Seats {
            limit: limit.try_into().unwrap(),
            count_pending,
        })
    };
    match number {
        0 => Settings {
            request_ttl: Some(day),
            ..base
        },
        1 => Settings {
            joins: Joins::AlwaysReview,
            seats: seats(3, true),
            ..base
        },
        2 => Settings {
            joins: Joins::AlwaysAuto,
            seats: seats(4, false),
            ..base
        },
        3 => Settings {
            after_rejection: AfterRejection::NotThisLink,
            ..base
        },
        4 => Settings {
            after_rejection: AfterRejection::CoolDown(day),
            standing: Standing::Keep,
            second_invite: SecondInvite::Replace,
            address_check: AddressCheck::Bearer,
            ..base
        },
        5 => Settings {
            discoverable: true,
            requests: Requests {
                open: true,
                questions: vec!["Why?".to_owned()],
                ..Requests::default()
            },
            invites_last: guestlist::Lasting::For(day),
            ..base
        },
        _ => base,
    }
}

/// An answer as it is compared: the value, or the code.
fn show<T: core::fmt::Debug>(result: Result<T, impl Coded>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.code().to_owned(),
    }
}

trait Coded {
    fn code(&self) -> &str;
}

impl Coded for Error {
    fn code(&self) -> &str {
        Self::code(self)
    }
}

impl Coded for &'static str {
    fn code(&self) -> &str {
        self
    }
}

async fn apply<S: Store>(
    g: &Guestlist<S>,
    clock: &ManualClock,
    made: &mut Made,
    step: &Step,
) -> String {
    made.steps += 1;
    let (alice, host) = (owner("host"), org("host"));
    let gift = |index: &Option<Index>, made: &Made| {
        let groups = index
            .as_ref()
            .and_then(|index| pick(&made.groups, *index))
            .into_iter()
            .collect();
        Preset {
            groups,
            ..Preset::default()
        }
    };
    let issued = |made: &mut Made, result: Result<guestlist::Issued, Error>| match result {
        Ok(issued) => {
            made.links.push(issued.link.id);
            let text = format!(
                "{issued:?} {:?}",
                issued.token.as_ref().map(|t| t.expose_secret().to_owned())
            );
            made.tokens.extend(issued.token);
            text
        }
        Err(error) => error.code().to_owned(),
    };
    match step {
        Step::Create {
            auto,
            uses,
            kinds,
            gift: index,
            ttl,
        } => {
            let mut draft = if *auto {
                LinkDraft::auto()
            } else {
                LinkDraft::review()
            };
            draft = draft.joined_by(*kinds);
            if *uses > 0 {
                draft = draft.max_uses(Uses::AtMost(*uses));
            }
            if *ttl {
                let day = Duration::from_secs(86_400);
                draft = draft
                    .expiry(Expiry::After(day))
                    .membership_ttl(guestlist::Lasting::For(day / 2));
            }
            draft.preset = Some(gift(index, made));
            let result = g.create_link(&alice, &host, draft).await;
            issued(made, result)
        }
        Step::Default => {
            let result = g.default_link(&alice, &host, LinkDraft::review()).await;
            issued(made, result)
        }
        Step::Refresh(index, overlap) => {
            let Some(link) = pick(&made.links, *index) else {
                return String::new();
            };
            let overlap = Duration::from_secs(if *overlap { 7200 } else { 0 });
            let result = g.refresh_link(&alice, &host, link, overlap).await;
            issued(made, result)
        }
        Step::Disable(index) => match pick(&made.links, *index) {
            Some(link) => show(g.disable_link(&alice, &host, link).await),
            None => String::new(),
        },
        Step::Enable(index) => {
            let Some(link) = pick(&made.links, *index) else {
                return String::new();
            };
            let result = g.enable_link(&alice, &host, link).await;
            issued(made, result)
        }
        Step::Edit(index, uses, auto) => {
            let Some(link) = pick(&made.links, *index) else {
                return String::new();
            };
            let draft = if *auto {
                LinkDraft::auto()
            } else {
                LinkDraft::review()
            };
            let uses = if *uses == 0 {
                Uses::Unlimited
            } else {
                Uses::AtMost(*uses)
            };
            show(g.edit_link(&alice, &host, link, draft.max_uses(uses)).await)
        }
        Step::DeleteLink(index) => match pick(&made.links, *index) {
            Some(link) => show(g.delete_link(&alice, &host, link).await),
            None => String::new(),
        },
        Step::Claim(who, index, keyed) => {
            if made.tokens.is_empty() {
                return String::new();
            }
            let token = &made.tokens[index.index(made.tokens.len())];
            let claim = if *who < 4 {
                Claim::for_myself()
            } else {
                Claim::for_organization()
            };
            if *keyed {
                // Few enough keys that some are used again, with the same arguments and others.
                let key: IdempotencyKey = format!("k{}", made.steps % 5).parse().unwrap();
                show(g.with_key(key).claim(&actor(*who), token, claim).await)
            } else {
                show(g.claim(&actor(*who), token, claim).await)
            }
        }
        Step::Approve(who, index) => {
            let changes = Changes {
                gift: index.is_some().then(|| gift(index, made)),
                reinstate: made.steps.is_multiple_of(7),
                ..Changes::default()
            };
            show(g.approve_with(&alice, &host, &member(*who), changes).await)
        }
        Step::Reject(who) => show(g.reject(&alice, &host, &member(*who), None).await),
        Step::Remove(who) => show(g.remove(&alice, &host, &member(*who), None).await),
        Step::Leave(who) => show(g.leave(&actor(*who), &host, &member(*who)).await),
        Step::Cancel(who) => show(g.cancel(&actor(*who), &host, &member(*who)).await),
        Step::Add(who, index) => show(
            g.add_member(&alice, &host, &member(*who), gift(index, made), None)
                .await,
        ),
        Step::ChangeRole(who, role) => {
            let role = g.roles().roles()[usize::from(*role)].name.clone();
            show(g.change_role(&alice, &host, &member(*who), role).await)
        }
        Step::Block(who) => show(g.block(&alice, &host, &member(*who), None).await),
        Step::Unblock(who) => show(g.unblock(&alice, &host, &member(*who)).await),
        Step::Lift(who) => show(g.lift_removal(&alice, &host, &member(*who)).await),
        Step::Group(name, internal) => {
            let name = format!("group {name}").parse().unwrap();
            let result = g.create_group(&alice, &host, name, *internal).await;
            made.groups
                .extend(result.as_ref().ok().map(|group| group.id));
            show(result)
        }
        Step::DeleteGroup(index) => match pick(&made.groups, *index) {
            Some(group) => show(g.delete_group(&alice, &host, group).await),
            None => String::new(),
        },
        Step::Join(index, who) => match pick(&made.groups, *index) {
            Some(group) => show(g.add_to_group(&alice, &host, group, &member(*who)).await),
            None => String::new(),
        },
        Step::Part(index, who) => match pick(&made.groups, *index) {
            Some(group) => show(
                g.remove_from_group(&alice, &host, group, &member(*who))
                    .await,
            ),
            None => String::new(),
        },
        Step::Nest(outer, inner) => {
            match (pick(&made.groups, *outer), pick(&made.groups, *inner)) {
                (Some(outer), Some(inner)) => show(g.nest_group(&alice, &host, outer, inner).await),
                _ => String::new(),
            }
        }
        Step::External(index) => {
            let group = index.as_ref().and_then(|index| pick(&made.groups, *index));
            show(g.set_external_group(&alice, &host, group).await)
        }
        Step::Grant(to, index, actions, keys) => {
            let to = match to {
                0..=5 => Grantee::Member(member(*to)),
                6 => Grantee::Organization(Audience::Everyone),
                7 => Grantee::Organization(Audience::InternalUsers),
                _ => match pick(&made.groups, *index) {
                    Some(group) => Grantee::Group(group),
                    None => return String::new(),
                },
            };
            let actions: ActionSet = Action::ALL
                .into_iter()
                .enumerate()
                .filter(|(bit, _)| actions >> bit & 1 == 1)
                .map(|(_, action)| action)
                .collect();
            let result = g
                .grant(&alice, &host, to, actions, pattern(*keys), None)
                .await;
            made.grants
                .extend(result.as_ref().ok().map(|grant| grant.id));
            show(result)
        }
        Step::Revoke(index) => match pick(&made.grants, *index) {
            Some(grant) => show(g.revoke(&alice, &host, grant).await),
            None => String::new(),
        },
        Step::Settings(number) => show(g.change_settings(&alice, &host, settings(*number)).await),
        Step::Pause(true) => show(g.pause_links(&alice, &host, Pause::UntilResumed).await),
        Step::Pause(false) => show(g.resume_links(&alice, &host).await),
        Step::Advance(seconds) => {
            clock.advance(Duration::from_secs(u64::from(*seconds)));
            String::new()
        }
        Step::Sweep => show(g.sweep(100).await),
        Step::Decide(who, action, key) => {
            let action = Action::ALL[usize::from(*action)];
            show(g.decide(&actor(*who), action, &address(*who, *key)).await)
        }
        Step::Invite(one, two, index, all) => {
            let mut draft = InviteDraft::new().joined_by(JoinedBy::Both);
            draft.preset = Some(gift(index, made));
            let mut invitations = Invitations::new()
                .to(mail_of(*one))
                .to(mail_of(*two))
                .to("nobody")
                .draft(draft);
            if *all {
                invitations = Invitations::new()
                    .to(mail_of(*one))
                    .to(mail_of(*two))
                    .all_or_nothing();
            }
            let result = g.invite(&alice, &host, invitations).await;
            let text = show(result.as_ref().map_err(Error::code));
            for outcome in result.into_iter().flatten() {
                if let InviteOutcome::Invited(invited) = outcome {
                    made.invites.push(invited.invite.id);
                    made.invite_tokens.extend(invited.token);
                }
            }
            text
        }
        Step::Accept(who, index, keyed) => {
            if made.invite_tokens.is_empty() {
                return String::new();
            }
            let token = &made.invite_tokens[index.index(made.invite_tokens.len())];
            let claim = if *who < 4 {
                Claim::for_myself()
            } else {
                Claim::for_organization()
            };
            if *keyed {
                let key: IdempotencyKey = format!("k{}", made.steps % 5).parse().unwrap();
                let g = g.with_key(key);
                show(g.accept(&reachable(*who), token, claim).await)
            } else {
                show(g.accept(&reachable(*who), token, claim).await)
            }
        }
        Step::Decline(who, index) => {
            if made.invite_tokens.is_empty() {
                return String::new();
            }
            let token = &made.invite_tokens[index.index(made.invite_tokens.len())];
            show(g.decline(&reachable(*who), token).await)
        }
        Step::ResendInvite(index) => {
            let Some(invite) = pick(&made.invites, *index) else {
                return String::new();
            };
            let result = g.resend_invite(&alice, &host, invite).await;
            let text = show(result.as_ref().map_err(Error::code));
            made.invite_tokens
                .extend(result.ok().and_then(|invited| invited.token));
            text
        }
        Step::RevokeInvite(index) => match pick(&made.invites, *index) {
            Some(invite) => show(g.revoke_invite(&alice, &host, invite).await),
            None => String::new(),
        },
        Step::Ask(who, answer) => {
            let mut claim = if *who < 4 {
                Claim::for_myself()
            } else {
                Claim::for_organization()
            };
            if *answer {
                claim = claim.answer("because");
            }
            let message = Some("Please.".parse().unwrap());
            show(g.request(&reachable(*who), &host, claim, message).await)
        }
        Step::Erase(who) => show(g.erase(&alice, &host, &member(*who)).await),
        Step::Preview(index) => {
            if made.tokens.is_empty() {
                return String::new();
            }
            let token = &made.tokens[index.index(made.tokens.len())];
            show(g.preview(token).await)
        }
        Step::Endpoint(number) => {
            let url = EndpointUrl::parse(&format!("https://{number}.example/hooks")).unwrap();
            let draft = EndpointDraft::new(url).event("membership-approved");
            match g.create_endpoint(&alice, &host, draft).await {
                Ok(made) => show(g.disable_endpoint(&alice, &host, made.endpoint.id).await),
                Err(error) => error.code().to_owned(),
            }
        }
        Step::Restrict(all) => {
            let rule = (!all).then(Default::default);
            show(
                g.restrict_acting(&owner("bravo"), &org("bravo"), &host, rule)
                    .await,
            )
        }
    }
}

fn address(who: u8, key: u8) -> Address {
    let key = ["a/b", "a/c", "c/d", "e"][usize::from(key)];
    if who < 4 {
        Address::parse(key).unwrap()
    } else {
        Address::parse(&format!("@host/{key}")).unwrap()
    }
}

/// Everything that can be seen from outside.
async fn overview<S: Store>(g: &Guestlist<S>, every_reason: bool) -> Vec<String> {
    let (alice, host) = (Actor::system(), org("host"));
    let page = Page::first(1000).unwrap();
    let mut seen = vec![
        show(g.links(&alice, &host, LinkFilter::default(), &page).await),
        show(
            g.members(&alice, &host, MemberFilter::default(), &page)
                .await,
        ),
        show(g.pending(&alice, &host, None, &page).await),
        show(
            g.invites(&alice, &host, InviteFilter::default(), &page)
                .await,
        ),
        show(g.discover(Some("HO"), &page).await),
        show(g.endpoints(&alice, &host, &page).await),
        show(g.groups(&alice, &host, &page).await),
        show(g.grants(&alice, &host, &page).await),
        show(
            g.feed(None, 10_000)
                .await
                .map(|feed| unnumbered(feed.events)),
        ),
        show(
            g.audit(&alice, &host, EventFilter::default(), &page)
                .await
                .map(|trail| unnumbered(trail.events)),
        ),
    ];
    let links = g.links(&alice, &host, LinkFilter::default(), &page).await;
    for listed in links.unwrap().links {
        seen.push(show(g.funnel(&alice, &host, listed.link.id).await));
    }
    for status in Status::ALL {
        let filter = MemberFilter {
            status: Some(status),
            ..MemberFilter::default()
        };
        let small = Page::first(2).unwrap();
        seen.push(show(g.members(&alice, &host, filter, &small).await));
    }
    for who in 0..6 {
        let own = EmailAddress::parse(&mail_of(who)).unwrap();
        let one = Page::first(1).unwrap();
        seen.push(show(g.invites_to(&reachable(who), &own, None, &one).await));
        let of = g
            .memberships_of(&actor(who), &member(who), None, &page)
            .await;
        seen.push(show(of));
        for key in 0..4 {
            let (actor, address) = (actor(who), address(who, key));
            seen.push(show(g.actions(&actor, &address).await));
            // A reason each: for all that may be asked, or for one.
            let one = Action::ALL[usize::from(who + key) % Action::ALL.len()];
            for action in Action::ALL {
                if every_reason || action == one {
                    seen.push(show(g.decide(&actor, action, &address).await));
                }
            }
        }
    }
    seen
}

/// The log folded from nothing is what is stored, but for the digests that no event holds.
async fn folds<S: Store>(g: &Guestlist<S>) {
    let mut folded = Records::new();
    let mut after = None;
    loop {
        let page = g.feed(after.as_ref(), 100).await.unwrap();
        for recorded in &page.events {
            evolve(
                &mut folded,
                &recorded.organization,
                &recorded.stamp,
                &recorded.event,
            );
        }
        if page.events.is_empty() {
            break;
        }
        after = page.next;
    }
    for (key, row) in folded.iter() {
        let scope = scope_of(key);
        let snapshot = g.store().load(&Load::of(&scope)).await.unwrap();
        let stored = match snapshot.records().get(key) {
            Some(Row::Token(token)) => {
                let mut token = token.clone();
                assert!(token.tag.take().is_some(), "a token without its digest");
                let sealed = token.sealed.take().is_some();
                assert!(!(sealed && token.valid_until.is_some()), "a retired seal");
                Some(Row::Token(token))
            }
            other => other.cloned(),
        };
        match key {
            // Read as part of the access rules, which the overview shows.
            RowKey::Group(..) | RowKey::GroupMember(..) | RowKey::Grant(..) => {}
            _ => assert_eq!(stored.as_ref(), Some(row), "{key:?}"),
        }
    }
    // And nothing is stored that the log doesn't tell of.
    let query = Query::Members {
        host: org("host"),
        filter: MemberFilter::default(),
    };
    let page = Page::first(1000).unwrap();
    let listed = g.store().list(&query, &page, common::START).await.unwrap();
    for (key, row) in listed.rows {
        assert_eq!(folded.get(&key), Some(&row));
    }
}

/// Events without where they stand, which each store numbers in its own way.
fn unnumbered(mut events: Vec<Recorded>) -> Vec<Recorded> {
    assert!(events.is_sorted_by(|one, other| one.sequence < other.sequence));
    for event in &mut events {
        event.sequence = Sequence::default();
    }
    events
}

/// One store and what was made on it.
struct Side<S> {
    guestlist: Guestlist<S>,
    clock: Arc<ManualClock>,
    made: Made,
}

impl<S: Settle> Side<S> {
    async fn new(store: S) -> Self {
        let clock = common::clock();
        let guestlist = builder(store, &clock, 5).count_previews(true).build();
        register(&guestlist, &["host", "bravo", "charlie"]).await;
        Self {
            guestlist,
            clock,
            made: Made::default(),
        }
    }

    async fn apply(&mut self, step: &Step) -> String {
        if let Step::Erase(_) = step {
            // Reads the log.
            self.guestlist.store().settle().await;
        }
        apply(&self.guestlist, &self.clock, &mut self.made, step).await
    }
}

async fn compare(steps: &[Step], sqlite: SqliteStore, postgres: Option<PgStore>) {
    let mut memory = Side::new(MemoryStore::default()).await;
    let mut sqlite = Side::new(sqlite).await;
    let mut postgres = match postgres {
        Some(store) => Some(Side::new(store).await),
        None => None,
    };
    for (number, step) in steps.iter().enumerate() {
        let left = memory.apply(step).await;
        let right = sqlite.apply(step).await;
        assert_eq!(left, right, "step {number}: {step:?}");
        if let Some(postgres) = &mut postgres {
            let right = postgres.apply(step).await;
            assert_eq!(left, right, "step {number} on PostgreSQL: {step:?}");
        }
    }
    let every = postgres.is_none();
    let left = overview(&memory.guestlist, every).await;
    assert_alike(&left, &overview(&sqlite.guestlist, every).await);
    // These two even number alike.
    let feeds = (
        memory.guestlist.feed(None, 10_000).await.unwrap(),
        sqlite.guestlist.feed(None, 10_000).await.unwrap(),
    );
    assert_eq!(feeds.0, feeds.1);
    folds(&memory.guestlist).await;
    folds(&sqlite.guestlist).await;
    if let Some(postgres) = &postgres {
        postgres.guestlist.store().settle().await;
        assert_alike(&left, &overview(&postgres.guestlist, every).await);
        folds(&postgres.guestlist).await;
    }
}

fn assert_alike(left: &[String], right: &[String]) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left, right);
    }
}

/// Runs sequences; every eighth with SQLite in a file, and with what there is of PostgreSQL.
fn run(config: ProptestConfig, runtime: &Runtime, postgres: impl Fn() -> Option<PgStore>) {
    let folder = tempfile::tempdir().unwrap();
    let files = core::cell::Cell::new(0);
    let mut runner = TestRunner::new(config);
    let steps = proptest::collection::vec(arb_step(), 1..COMMANDS);
    runner
        .run(&steps, |steps| {
            files.set(files.get() + 1);
            let sqlite = if files.get() % 8 == 0 {
                let path = folder.path().join(format!("{}.db", files.get()));
                SqliteStore::open(path).unwrap()
            } else {
                SqliteStore::builder().in_memory().open().unwrap()
            };
            runtime.block_on(compare(&steps, sqlite, postgres()));
            Ok(())
        })
        .unwrap();
}

#[test]
fn memory_and_sqlite_answer_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: u32::try_from(rounds(SEQUENCES)).unwrap(),
        ..ProptestConfig::default()
    };
    run(config, &runtime, || None);
}

/// Some of the sequences, in tables that are emptied before each.
fn on_postgres(cases: u32, number: u64, store: impl Future<Output = (PgStore, String)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (store, schema) = runtime.block_on(store);
    let mut config = ProptestConfig {
        cases,
        ..ProptestConfig::default()
    };
    // Others than those of the other tables.
    if let RngSeed::Fixed(seed) = config.rng_seed {
        config.rng_seed = RngSeed::Fixed(seed.wrapping_mul(4).wrapping_add(number));
    }
    run(config, &runtime, || {
        runtime.block_on(common::pg::clear(&store, &schema));
        Some(store.clone())
    });
}

#[test]
fn memory_sqlite_and_postgres_answer_alike() {
    let sequences = u32::try_from(rounds(SEQUENCES_ON_POSTGRES)).unwrap();
    let usual = PgOptions::new();
    // All that makes other statements or other plans.
    let other = PgOptions::new().partitions(4).flush_together(false);
    let elsewhere = PgOptions::new().dialect(Dialect::CockroachDb);
    let citus = common::pg::store_on_citus(PgOptions::new());
    std::thread::scope(|scope| {
        let usual = common::pg::store_with(usual);
        scope.spawn(move || on_postgres(sequences.div_ceil(2), 0, usual));
        on_postgres(sequences / 6, 1, common::pg::store_with(other));
        on_postgres(sequences / 6, 2, common::pg::store_with(elsewhere));
        on_postgres(sequences / 6, 3, citus);
    });
}
