//! Commands in a small world, through the real `decide` and `evolve`, beside a reference that
//! knows events only and keeps statuses, tokens, uses and owners in plain sets.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Arbitrary;
use guestlist_fuzz::Many;
use guestlist_fuzz::play::{Choices, Step, populated};
use guestlist_membership::invite::{InviteEvent, InviteStatus};
use guestlist_membership::link::{LinkCommand, LinkEvent, LinkStatus, TokenEnd};
use guestlist_membership::member::{MemberCommand, MemberEvent, Status};
use guestlist_membership::organization::{OrganizationCommand, OrganizationEvent};
use guestlist_membership::testing::{World, org};
use guestlist_membership::{Actor, Command, CommandError, Event, Records, Row, RowKey};
use guestlist_token::Selector;
use guestlist_types::{EmailAddress, InviteId, LinkId, Member, OrgId, Timestamp, UserId};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Play {
    settings: Option<Choices>,
    steps: Many<Step>,
}

const MAX_STEPS: usize = 32;

/// What the events said so far.
#[derive(Default, Clone)]
struct Reference {
    seen: usize,
    status: BTreeMap<(OrgId, Member), Status>,
    episodes: BTreeMap<(OrgId, Member), u32>,
    ever_approved: BTreeSet<(OrgId, Member)>,
    /// Uses that count, by link.
    uses: BTreeMap<(OrgId, LinkId), i64>,
    owners: BTreeMap<OrgId, BTreeSet<UserId>>,
    deleted: BTreeSet<OrgId>,
    /// The token of each link, as long as it takes claims.
    active: BTreeMap<(OrgId, LinkId), Selector>,
    /// What became of each invite, where it went, and its token as long as it waits.
    invites: BTreeMap<(OrgId, InviteId), (InviteStatus, EmailAddress, Option<Selector>)>,
    /// The invite that each address waits for.
    waiting: BTreeMap<(OrgId, EmailAddress), InviteId>,
    /// Tokens that end, and when.
    ends: BTreeMap<Selector, Timestamp>,
    issued: BTreeSet<Selector>,
}

impl Reference {
    fn follow(&mut self, world: &World) {
        for (host, _, event) in &world.log()[self.seen..] {
            match event {
                Event::Member(event) => self.member(host, event),
                Event::Link(event) => self.link(host, event),
                Event::Invite(event) => self.invite(host, event),
                Event::Organization(event) => self.organization(host, event),
                Event::Access(_) | Event::Webhook(_) => {}
            }
        }
        self.seen = world.log().len();
    }

    fn member(&mut self, host: &OrgId, event: &MemberEvent) {
        let Some(member) = event.member() else { return };
        let key = (host.clone(), member.clone());
        let before = self.status.get(&key).copied();
        let waits = before == Some(Status::Pending);
        let is_in = before == Some(Status::Approved);
        let after = match event {
            MemberEvent::Requested(_) | MemberEvent::Joined { .. } => {
                assert!(!waits && !is_in, "an episode opens while another one runs");
                *self.episodes.entry(key.clone()).or_default() += 1;
                match event {
                    MemberEvent::Requested(_) => Status::Pending,
                    _ => Status::Approved,
                }
            }
            MemberEvent::Approved { .. } => {
                assert!(waits, "only what waits is approved");
                Status::Approved
            }
            MemberEvent::Ended { cause, .. } => {
                assert!(waits || is_in, "only what runs ends");
                let to = cause.status();
                assert!(
                    to != Status::Rejected || waits,
                    "only requests are rejected"
                );
                assert!(to != Status::Removed || is_in, "only members are removed");
                to
            }
            MemberEvent::RoleChanged { .. } | MemberEvent::GiftAdded { .. } => {
                assert!(is_in, "only members have roles and gifts");
                Status::Approved
            }
            MemberEvent::Blocked { .. }
            | MemberEvent::Unblocked { .. }
            | MemberEvent::RemovalLifted { .. }
            | MemberEvent::Erased { .. }
            | MemberEvent::ActingRestricted { .. } => return,
        };
        if after == Status::Approved {
            self.ever_approved.insert(key.clone());
        }
        self.status.insert(key, after);
        let changes = match event {
            MemberEvent::Requested(opening) | MemberEvent::Joined { opening, .. } => {
                opening.link_use.into_iter().collect()
            }
            MemberEvent::Approved { link_uses, .. } => link_uses.clone(),
            MemberEvent::Ended { link_use, .. } => link_use.iter().copied().collect(),
            _ => Vec::new(),
        };
        for change in changes {
            assert!((-1..=1).contains(&change.counted));
            *self.uses.entry((host.clone(), change.link)).or_default() += i64::from(change.counted);
        }
    }

    fn issue(&mut self, host: &OrgId, link: LinkId, selector: Selector) {
        assert!(self.issued.insert(selector), "no token is issued twice");
        self.active.insert((host.clone(), link), selector);
    }

    fn link(&mut self, host: &OrgId, event: &LinkEvent) {
        let key = (host.clone(), event.link());
        let ended = match event {
            LinkEvent::Created(link) => {
                let token = link.token.expect("a new link has a token");
                self.issue(host, link.id, token);
                return;
            }
            LinkEvent::Enabled { link, selector, .. } => {
                assert!(!self.active.contains_key(&key), "it was disabled");
                self.issue(host, *link, *selector);
                return;
            }
            LinkEvent::Refreshed {
                link,
                selector,
                ended,
                ..
            } => {
                let old = self.active.get(&key).copied();
                let ends = |old| ended.iter().any(|end| end.selector == old);
                assert!(old.is_some_and(ends), "the old token ends");
                self.issue(host, *link, *selector);
                ended
            }
            LinkEvent::Disabled { ended, .. } | LinkEvent::Deleted { ended, .. } => {
                self.active.remove(&key);
                ended
            }
            LinkEvent::MadeDefault { .. }
            | LinkEvent::Revealed { .. }
            | LinkEvent::Edited { .. }
            | LinkEvent::Expired { .. }
            | LinkEvent::Exhausted { .. } => return,
        };
        self.end(ended);
    }

    fn end(&mut self, ended: &[TokenEnd]) {
        for end in ended {
            let at = self.ends.entry(end.selector).or_insert(end.at);
            assert!(end.at <= *at, "an end only comes nearer");
            *at = end.at;
        }
    }

    fn invite(&mut self, host: &OrgId, event: &InviteEvent) {
        let key = (host.clone(), event.invite());
        if let InviteEvent::Erased { .. } = event {
            let (status, address, _) = self.invites.get_mut(&key).expect("it was sent");
            assert_eq!(
                *status,
                InviteStatus::Accepted,
                "whoever accepted it is forgotten"
            );
            *address = EmailAddress::parse("erased@erased.invalid").expect("an address");
            return;
        }
        let known = self.invites.get(&key).cloned();
        let waits = matches!(known, Some((InviteStatus::Pending, ..)));
        assert!(
            waits != matches!(event, InviteEvent::Sent(_)),
            "only what was sent and waits goes on"
        );
        let place = |address: &EmailAddress| (host.clone(), address.clone());
        match event {
            InviteEvent::Sent(invite) => {
                assert!(known.is_none(), "no invite is sent twice");
                let token = invite.token.expect("a new invite has a token");
                assert!(self.issued.insert(token), "no token is issued twice");
                let earlier = self.waiting.insert(place(&invite.address), invite.id);
                assert_eq!(earlier, None, "never two live ones");
                let sent = (InviteStatus::Pending, invite.address.clone(), Some(token));
                self.invites.insert(key, sent);
            }
            InviteEvent::Resent {
                invite,
                selector,
                ended,
                ..
            } => {
                let (_, address, old) = known.expect("it waits");
                assert!(
                    ended.iter().any(|end| Some(end.selector) == old),
                    "the old token ends"
                );
                assert!(self.issued.insert(*selector), "no token is issued twice");
                let earlier = self.waiting.insert(place(&address), *invite);
                assert!(
                    earlier.is_none_or(|earlier| earlier == *invite),
                    "never two live ones"
                );
                let sent = (InviteStatus::Pending, address, Some(*selector));
                self.invites.insert(key, sent);
                self.end(ended);
            }
            InviteEvent::Closed {
                invite,
                closing,
                ended,
                ..
            } => {
                let (_, address, old) = known.expect("it waits");
                assert!(
                    ended.iter().any(|end| Some(end.selector) == old),
                    "its token ends"
                );
                if self.waiting.get(&place(&address)) == Some(invite) {
                    self.waiting.remove(&place(&address));
                }
                self.invites.insert(key, (closing.status(), address, None));
                self.end(ended);
            }
            InviteEvent::Expired { invite } => {
                let (_, address, _) = known.expect("it waits");
                if self.waiting.get(&place(&address)) == Some(invite) {
                    self.waiting.remove(&place(&address));
                }
            }
            InviteEvent::DeliveryReported { .. } | InviteEvent::Erased { .. } => {}
        }
    }

    fn organization(&mut self, host: &OrgId, event: &OrganizationEvent) {
        match event {
            OrganizationEvent::OwnerAdded { user } => {
                self.owners
                    .entry(host.clone())
                    .or_default()
                    .insert(user.clone());
            }
            OrganizationEvent::OwnerRemoved { user } => {
                let owners = self.owners.entry(host.clone()).or_default();
                assert!(owners.remove(user), "it was an owner");
            }
            OrganizationEvent::Deleted => {
                self.deleted.insert(host.clone());
            }
            _ => {}
        }
    }

    /// The rows are what the events said.
    fn compare(&self, world: &World) {
        let records = world.records();
        for (key, row) in records.iter() {
            match (key, row) {
                (RowKey::Membership(host, member), Row::Membership(record)) => {
                    let key = (host.clone(), member.clone());
                    assert_eq!(record.status, self.status.get(&key).copied());
                    let episodes = self.episodes.get(&key).copied().unwrap_or_default();
                    assert_eq!(record.episode.get(), episodes);
                    let proxied =
                        matches!(member, Member::Org(_)) && self.ever_approved.contains(&key);
                    assert_eq!(record.proxy.is_some(), proxied, "a proxy iff ever approved");
                    assert!(*member != Member::Org(host.clone()), "nobody joins itself");
                }
                (RowKey::Link(host, id), Row::Link(link)) => {
                    let key = (host.clone(), *id);
                    let active = self.active.get(&key).copied();
                    assert_eq!(link.token, active, "one token iff it takes claims");
                    let takes = link.status == LinkStatus::Active && link.deleted_at.is_none();
                    assert_eq!(takes, active.is_some());
                    let uses = self.uses.get(&key).copied().unwrap_or_default();
                    assert_eq!(i64::try_from(world.uses(host, *id)), Ok(uses));
                    let tally = link.config.max_uses.map(|_| world.uses(host, *id));
                    assert_eq!(
                        records.link_tally(host, *id),
                        tally,
                        "counted while limited"
                    );
                }
                (RowKey::Invite(host, id), Row::Invite(invite)) => {
                    let key = (host.clone(), *id);
                    let row = (invite.status, invite.address.clone(), invite.token);
                    assert_eq!(
                        Some(&row),
                        self.invites.get(&key),
                        "an invite is what was said"
                    );
                }
                (RowKey::Address(host, address), Row::Address(record)) => {
                    let key = (host.clone(), address.clone());
                    assert_eq!(record.invite, self.waiting.get(&key).copied());
                    if let Some(user) = &record.member {
                        let key = (host.clone(), Member::User(user.clone()));
                        let status = self.status.get(&key).copied();
                        assert_eq!(status, Some(Status::Approved), "known by an address");
                    }
                }
                (RowKey::Token(selector), Row::Token(token)) => {
                    assert!(self.issued.contains(selector));
                    let end = self.ends.get(selector).copied();
                    assert_eq!(token.valid_until, end, "a token ends when it was said to");
                }
                (RowKey::Owners(host), Row::Owners(owners)) => {
                    let known = self.owners.get(host).cloned().unwrap_or_default();
                    assert_eq!(*owners, known);
                }
                _ => {}
            }
        }
        for ((host, address), invite) in &self.waiting {
            let known = records.address(host, address);
            let known = known.and_then(|known| known.invite);
            assert_eq!(known, Some(*invite), "an address that waits is known");
        }
        for (host, owners) in &self.owners {
            assert!(
                !owners.is_empty() || self.deleted.contains(host),
                "the last owner is gone"
            );
        }
        for (selector, end) in &self.ends {
            let token = records.token(*selector).expect("tokens stay on record");
            let link = |id| records.link(&token.host, id).map(|link| link.updated_at);
            let invite = |id| {
                records
                    .invite(&token.host, id)
                    .map(|invite| invite.updated_at)
            };
            let subject = token.subject;
            let updated_at = subject.link().and_then(link);
            let updated_at = updated_at.or_else(|| subject.invite().and_then(invite));
            let updated_at = updated_at.expect("so do links and invites");
            if *end <= updated_at {
                assert!(
                    world.opens(*selector).is_err(),
                    "a retired token opens again"
                );
            }
        }
    }
}

fn rows(records: &Records) -> Vec<(RowKey, Row)> {
    records
        .iter()
        .map(|(key, row)| (key.clone(), row.clone()))
        .collect()
}

/// Digests are in no event.
fn without_tags(mut rows: Vec<(RowKey, Row)>) -> Vec<(RowKey, Row)> {
    for (_, row) in &mut rows {
        if let Row::Token(token) = row {
            token.tag = None;
        }
    }
    rows
}

fuzz_target!(|play: Play| {
    let mut world = populated();
    if let Some(choices) = &play.settings {
        let settings = Box::new(choices.settings());
        let command = OrganizationCommand::ChangeSettings { settings };
        let _ = world.organization(0, &Actor::system(), command);
    }
    let mut reference = Reference::default();
    reference.follow(&world);
    for step in play.steps.0.iter().take(MAX_STEPS) {
        let (host, actor, command) = step.spell(&mut world);
        let before = rows(world.records());
        let log = world.log().len();
        let uses = uses(&world, &command);
        match world.run(&host, &actor, &command) {
            Err(error) => {
                assert_eq!(
                    rows(world.records()),
                    before,
                    "a refused command changes nothing"
                );
                assert_eq!(world.log().len(), log);
                assert!(!matches!(error, CommandError::FactMissing { .. }));
                assert!(!error.code().is_empty());
            }
            Ok(events) => {
                assert_eq!(world.log().len(), log + events.len());
                if events.is_empty() {
                    assert_eq!(
                        rows(world.records()),
                        before,
                        "without events nothing changes"
                    );
                }
                for event in &events {
                    let json = serde_json::to_string(event).expect("events are kept");
                    assert!(!json.contains("a5a5a5"), "a digest in an event");
                }
                limits(&world, uses);
                let mut again = world.clone();
                // Whoever looks at a token again is on record each time.
                let is_look = matches!(command, Command::Link(LinkCommand::Reveal { .. }));
                if !is_look && let Ok(second) = again.run(&host, &actor, &command) {
                    assert!(
                        second.is_empty(),
                        "a second effect of {command:?}: {second:?}"
                    );
                }
            }
        }
        reference.follow(&world);
        reference.compare(&world);
        world.check();
    }
    assert_eq!(
        without_tags(rows(&world.refold())),
        without_tags(rows(world.records())),
        "the log folds to the rows"
    );
    // Nothing of an organization that is not there.
    assert!(world.records().organization(&org(9)).is_none());
});

/// The link that is claimed, and its uses before.
fn uses(world: &World, command: &Command) -> Option<(OrgId, LinkId, u64)> {
    let Command::Member(MemberCommand::Claim { token, .. }) = command else {
        return None;
    };
    let token = world.records().token(token.selector)?;
    let link = token.subject.link()?;
    let uses = world.uses(&token.host, link);
    Some((token.host.clone(), link, uses))
}

/// No claim gets past the limit of its link; an edit may have set it lower than the uses are.
fn limits(world: &World, claimed: Option<(OrgId, LinkId, u64)>) {
    let Some((host, id, before)) = claimed else {
        return;
    };
    let link = world
        .records()
        .link(&host, id)
        .expect("its token was there");
    let after = world.uses(&host, id);
    assert!(after <= before + 1);
    if let Some(limit) = link.config.max_uses {
        assert!(after <= before || after <= limit.get(), "past the limit");
    }
}
