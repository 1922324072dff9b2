//! Memberships: the four doors, and the ways out.

use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_access::{Capability, GroupMember, PresetGrant, Subject};
use guestlist_membership::invite::Closing;
use guestlist_membership::link::{Approval, Generation, LinkConfig, Preset};
use guestlist_membership::member::{Cause, Changes, Door, MemberCommand, Presented, Profile};
use guestlist_membership::organization::OrgStatus;
use guestlist_membership::{AfterRejection, Joins, Standing as Demand};
use guestlist_types::{
    EmailAddress, InviteId, LinkId, Member, MemberKind, ProxyUserId, RoleName, Timestamp,
};

use super::{
    Done, Episode, Host, Place, Reasons, Relation, Standing, State, Turn, gift_is_too_large,
    refused, unless,
};

/// Somebody at a door, who got past what is particular to it.
struct Entry<'a> {
    member: &'a Member,
    email: Option<EmailAddress>,
    door: Door,
    gift: &'a Preset,
    approved: bool,
    ttl: Option<Duration>,
    proxy: ProxyUserId,
}

/// Somebody who comes by an e-mail invite, with its token or by asking.
pub(super) struct ByInvite<'a> {
    pub(super) invite: InviteId,
    /// When the token that they hold was issued.
    pub(super) issued: Timestamp,
    pub(super) member: &'a Member,
    pub(super) profile: &'a Profile,
    pub(super) proxy: ProxyUserId,
    /// What is said of a token that is dead for this member.
    pub(super) dead: &'static str,
}

impl Turn<'_> {
    pub(super) fn member(&mut self, command: &MemberCommand) -> Done {
        match command {
            MemberCommand::Claim {
                token,
                member,
                profile,
                answers,
                proxy,
            } => {
                self.write_ending(member);
                self.claim(token, member, profile, answers, *proxy)
            }
            MemberCommand::Accept {
                token,
                member,
                profile,
                proxy,
            } => {
                self.write_ending(member);
                self.accept(token, member, profile, *proxy)
            }
            MemberCommand::Request {
                member,
                profile,
                answers,
                proxy,
                ..
            } => {
                self.write_ending(member);
                self.request(member, profile, answers, *proxy)
            }
            MemberCommand::Add {
                member,
                profile,
                gift,
                expires_at,
                proxy,
            } => {
                self.write_ending(member);
                self.add(member, profile, gift, *expires_at, *proxy)
            }
            MemberCommand::Approve {
                member,
                changes,
                proxy,
            } => self.approve(member, changes, *proxy),
            MemberCommand::Reject { member, .. } => {
                self.need(Capability::RequestsReview)?;
                self.existing()?;
                match self.found(member)?.place(self.at) {
                    Place::Waits => self.end(member, Cause::Rejected),
                    Place::Ended(Cause::Rejected) => Ok(()),
                    Place::Never | Place::In | Place::Ended(_) | Place::RanOut => {
                        refused("wrong-state")
                    }
                }
            }
            MemberCommand::Remove { member, .. } => {
                self.need(Capability::MembersRemove)?;
                self.existing()?;
                match self.found(member)?.place(self.at) {
                    Place::In => {
                        let role = self.role(member).filter(|role| self.model.knows_role(role));
                        let me = self.me();
                        let mut why: Reasons = role
                            .iter()
                            .flat_map(|role| self.model.above_own(&me, role))
                            .collect();
                        why.extend(self.is_last_owner(member)?);
                        unless(why)?;
                        self.end(member, Cause::Removed)
                    }
                    Place::Ended(Cause::Removed) => Ok(()),
                    Place::Never | Place::Waits | Place::Ended(_) | Place::RanOut => {
                        refused("wrong-state")
                    }
                }
            }
            MemberCommand::Cancel { member } => {
                unless(self.acts_for(member))?;
                match self.found(member)?.place(self.at) {
                    Place::Waits => self.end(member, Cause::Withdrew),
                    Place::Ended(Cause::Withdrew) => Ok(()),
                    Place::Never | Place::In | Place::Ended(_) | Place::RanOut => {
                        refused("wrong-state")
                    }
                }
            }
            MemberCommand::Leave { member } => {
                unless(self.acts_for(member))?;
                match self.found(member)?.place(self.at) {
                    Place::Waits => self.end(member, Cause::Withdrew),
                    Place::In => {
                        unless(self.is_last_owner(member)?)?;
                        self.end(member, Cause::Left)
                    }
                    Place::Ended(Cause::Withdrew | Cause::Left) => Ok(()),
                    Place::Never | Place::Ended(_) | Place::RanOut => refused("wrong-state"),
                }
            }
            MemberCommand::ChangeRole { member, role } => self.change_role(member, role),
            MemberCommand::Block { member, .. } => {
                self.need(Capability::MembersRemove)?;
                self.existing()?;
                if *member == Member::Org(self.host.clone()) {
                    return refused("own-organization");
                }
                let at = self.at;
                let people = &mut self.here_mut()?.people;
                let relation = people.entry(member.clone()).or_default();
                if !relation.blocked {
                    relation.blocked = true;
                    relation.last = at;
                }
                Ok(())
            }
            MemberCommand::Unblock { member } => {
                self.need(Capability::MembersRemove)?;
                self.existing()?;
                let at = self.at;
                let relation = self.found_mut(member)?;
                if relation.blocked {
                    relation.blocked = false;
                    relation.last = at;
                }
                Ok(())
            }
            MemberCommand::LiftRemoval { member } => {
                self.need(Capability::MembersRemove)?;
                self.existing()?;
                let at = self.at;
                let relation = self.found_mut(member)?;
                if let Some((index, _)) = relation.removed() {
                    relation.forgiven = index + 1;
                    relation.last = at;
                }
                Ok(())
            }
            MemberCommand::Erase {
                member, invites, ..
            } => self.erase(member, invites),
            MemberCommand::Expire { member } => {
                if !self.me().is_member() && !self.acts_for(member).is_empty() {
                    return refused("not-found");
                }
                self.found(member)?;
                self.write_ending(member);
                Ok(())
            }
            MemberCommand::RestrictActing { host, rule } => {
                let mut why = self.existing().err().unwrap_or_default();
                why.extend(
                    self.need(Capability::MembershipsManage)
                        .err()
                        .unwrap_or_default(),
                );
                if *host == self.host {
                    why.insert("own-organization");
                }
                let named = rule
                    .as_ref()
                    .map_or(0, |rule| rule.users.len() + rule.groups.len());
                if named > 1000 {
                    why.insert("too-many");
                }
                unless(why)?;
                let acting = &mut self.here_mut()?.acting;
                match rule {
                    Some(rule) => acting.insert(host.clone(), rule.clone()),
                    None => acting.remove(host),
                };
                Ok(())
            }
        }
    }

    fn found(&self, member: &Member) -> Result<&Relation, Reasons> {
        let relation = self.relation(member);
        relation.ok_or_else(|| Reasons::from(["not-found"]))
    }

    fn found_mut(&mut self, member: &Member) -> Result<&mut Relation, Reasons> {
        let relation = self.here_mut()?.people.get_mut(member);
        relation.ok_or_else(|| Reasons::from(["not-found"]))
    }

    fn role(&self, member: &Member) -> Option<RoleName> {
        let episode = self.relation(member)?.episode()?;
        episode.gift.role.clone()
    }

    fn end(&mut self, member: &Member, cause: Cause) -> Done {
        let at = self.at;
        let relation = self.found_mut(member)?;
        if let Some(episode) = relation.episodes.last_mut() {
            episode.state = State::Ended(cause, at);
        }
        relation.last = at;
        Ok(())
    }

    /// What time has ended is written before anything else happens to it.
    fn write_ending(&mut self, member: &Member) {
        if self.place(member) == Place::RanOut {
            // It is there, so this can't fail.
            let _ = self.end(member, Cause::Expired);
        }
    }

    /// "The last owner can't leave, be demoted or be removed."
    fn is_last_owner(&self, member: &Member) -> Result<Reasons, Reasons> {
        let owners = self.here()?.owners(&self.model.roles);
        let Member::User(user) = member else {
            return Ok(Reasons::new());
        };
        Ok(if owners.contains(user) && owners.len() == 1 {
            Reasons::from(["last-owner"])
        } else {
            Reasons::new()
        })
    }

    /// Only the member itself comes and goes.
    pub(super) fn acts_for(&self, member: &Member) -> Reasons {
        if self.actor.is_system() {
            return Reasons::new();
        }
        let code = match member {
            Member::User(user) if self.actor.user_id() == Some(user) => return Reasons::new(),
            Member::User(_) => "not-the-member",
            Member::Org(org) => {
                let there = self.model.actor_in(org, self.actor, self.at);
                if self.model.can(&there, Capability::MembershipsManage) {
                    return Reasons::new();
                }
                if there.is_member() {
                    "not-allowed"
                } else {
                    "not-the-member"
                }
            }
        };
        Reasons::from([code])
    }

    /// A member organization is known and takes part.
    fn takes_no_part(&self, member: &Member) -> Reasons {
        match member {
            Member::User(_) => Reasons::new(),
            Member::Org(org) => match self.model.hosts.get(org).map(|org| org.status) {
                Some(OrgStatus::Active) => Reasons::new(),
                Some(OrgStatus::Suspended | OrgStatus::Deleted) => {
                    Reasons::from(["organization-not-active"])
                }
                None => Reasons::from(["not-found"]),
            },
        }
    }

    /// What every door asks of whoever comes by it of their own accord.
    fn may_not_come(&self, member: &Member, email: Option<&EmailAddress>) -> Reasons {
        let mut why = self.takes_no_part(member);
        let shown = email.filter(|_| member.kind() == MemberKind::User);
        if shown
            .is_some_and(|email| !self.actor.is_system() && !self.actor.emails().contains(email))
        {
            why.insert("email-not-verified");
        }
        if *member == Member::Org(self.host.clone()) {
            why.insert("own-organization");
        }
        let relation = self.relation(member);
        let kept_elsewhere = self.actor.as_member().as_ref() == Some(member)
            && self.actor.is_vouched_for()
            && self.actor.organization() == Some(&self.host)
            && self
                .actor
                .stated_role()
                .is_some_and(|role| self.model.knows_role(role))
            && relation.is_none_or(|relation| relation.episodes.is_empty());
        if kept_elsewhere {
            why.insert("already-member");
        }
        if relation.is_some_and(|relation| relation.blocked) {
            why.insert("blocked");
        }
        why
    }

    /// What a host wants of somebody whom it rejected.
    fn may_not_come_back(&self, host: &Host, member: &Member, link: Option<LinkId>) -> Reasons {
        let Some(relation) = self.relation(member) else {
            return Reasons::new();
        };
        let (Some(rejected), links) = relation.rejections() else {
            return Reasons::new();
        };
        let code = match host.settings.after_rejection {
            AfterRejection::Again => None,
            AfterRejection::CoolDown(pause) => {
                (self.at < rejected + pause).then_some("cooling-down")
            }
            AfterRejection::NotThisLink => link
                .is_some_and(|link| links.contains(&link))
                .then_some("rejected-link"),
            AfterRejection::InviteOnly => Some("invite-only"),
        };
        code.into_iter().collect()
    }

    fn claim(
        &mut self,
        token: &Presented,
        member: &Member,
        profile: &Profile,
        answers: &[String],
        proxy: ProxyUserId,
    ) -> Done {
        let known = self.model.tokens.contains_key(&token.selector);
        let manages = known && self.model.can(&self.me(), Capability::LinksManage);
        let shown = |codes: Reasons| {
            if manages {
                codes
            } else {
                Reasons::from(["invalid-token"])
            }
        };
        let problems = self.model.link_problems(token, self.at);
        if !problems.is_empty() {
            return Err(shown(problems));
        }
        let host = self.here()?.clone();
        let record = self.model.tokens.get(&token.selector);
        let issued = record.map_or(Timestamp::MIN, |token| token.issued);
        let found = record.and_then(|token| token.subject.link());
        let Some((id, link)) = found.and_then(|id| Some((id, host.links.get(&id)?.clone()))) else {
            return refused("invalid-token");
        };
        let creator = link.creator.as_ref();
        if !self.stands(&host, creator, Capability::LinksCreate) {
            return Err(shown(Reasons::from(["creator-not-standing"])));
        }
        // One that is exhausted opens nothing, so it says nothing else; only who has a use of it
        // already gets further. Uses held by requests that have run out may not be free yet.
        let limit = link.config.max_uses.map(|limit| number(limit.get()));
        let all = host.users_of(id, None);
        let free = |taken: usize| limit.is_none_or(|limit| taken < limit);
        let full = !free(host.users_of(id, Some(self.at)).len());
        let maybe_full = !free(all.len());
        let exhausted = || shown(Reasons::from(["link-exhausted"]));
        let has_use = all.contains(member);
        let not_theirs = self.acts_for(member);
        if !not_theirs.is_empty() {
            if maybe_full {
                self.excuses.extend(exhausted());
            }
            return Err(if full { exhausted() } else { not_theirs });
        }
        let needs_use = !has_use;
        let past = self.past_the_token(
            &host,
            (id, &link.config),
            (token, issued, link.generation),
            (member, profile, answers, proxy),
            creator.map(|creator| self.maker(Some(creator))),
        );
        match past {
            Ok(false) => Ok(()),
            Ok(true) => {
                if needs_use {
                    if full {
                        return Err(exhausted());
                    }
                    if maybe_full {
                        self.excuses.extend(exhausted());
                    }
                    let at = self.at;
                    let last = limit.is_some_and(|limit| all.len() + 1 == limit);
                    if let (true, Some(link)) = (last, self.here_mut()?.links.get_mut(&id)) {
                        link.last = at;
                    }
                }
                Ok(())
            }
            Err(Some(why)) if needs_use && full => {
                let _ = why;
                Err(exhausted())
            }
            Err(why) => {
                if needs_use && maybe_full {
                    self.excuses.extend(exhausted());
                }
                // `None`: the token is dead for this member.
                Err(why.unwrap_or_else(|| shown(Reasons::from(["token-before-removal"]))))
            }
        }
    }

    /// Whether a claim changed anything; refusals without reasons are the token's.
    fn past_the_token(
        &mut self,
        host: &Host,
        (id, config): (LinkId, &LinkConfig),
        (token, issued, _): (&Presented, Timestamp, u32),
        (member, profile, answers, proxy): (&Member, &Profile, &[String], ProxyUserId),
        creator: Option<Standing>,
    ) -> Result<bool, Option<Reasons>> {
        let some = |why: Reasons| {
            if why.is_empty() {
                Ok(())
            } else {
                Err(Some(why))
            }
        };
        some(self.may_not_come(member, profile.email.as_ref()))?;
        let place = self.place(member);
        if place == Place::In {
            return Ok(false);
        }
        let relation = self.relation(member);
        let review = relation.is_some_and(Relation::needs_review);
        let auto = !review && self.link_approves(host, config, creator, member.kind());
        if place == Place::Waits && !auto {
            return Ok(false);
        }
        let removed = relation.and_then(Relation::removed);
        let mut why = self.may_not_come_back(host, member, Some(id));
        if !config.joined_by.admits(member.kind()) {
            why.insert("wrong-kind-of-member");
        }
        if !config.allowed_members.is_empty() && !config.allowed_members.contains(member) {
            why.insert("member-not-allowed");
        }
        let at_allowed = self.actor.emails().iter().any(|email| {
            config
                .allowed_domains
                .iter()
                .any(|domain| email.is_at(domain))
        });
        if !config.allowed_domains.is_empty() && !at_allowed {
            why.insert("domain-not-allowed");
        }
        why.extend(answers_are_wrong(answers, &config.questions));
        // "Tokens issued before the removal are dead for that member."
        if removed.is_some_and(|(_, removed)| issued <= removed) {
            return Err(None);
        }
        some(why)?;
        let generation = self.generation_of(token);
        let entry = Entry {
            member,
            email: profile.email.clone(),
            door: Door::Link {
                link: id,
                generation,
            },
            gift: &config.preset,
            approved: auto,
            ttl: config.membership_ttl,
            proxy,
        };
        self.enter(entry).map_err(Some)?;
        Ok(true)
    }

    /// Tokens of a link are counted by the order that they were issued in.
    fn generation_of(&self, token: &Presented) -> Generation {
        let Some(record) = self.model.tokens.get(&token.selector) else {
            return Generation::default();
        };
        let link = record
            .subject
            .link()
            .and_then(|link| self.here().ok()?.links.get(&link));
        let back = link.and_then(|link| link.live.iter().position(|at| *at == token.selector));
        let current = link.map_or(0, |link| link.generation);
        let back = back.and_then(|back| u32::try_from(back).ok()).unwrap_or(0);
        Generation::new(current.saturating_sub(back))
    }

    /// Whether a claim needs no review: as link and host want it, as far as the creator may still
    /// give what the link gives.
    fn link_approves(
        &self,
        host: &Host,
        config: &LinkConfig,
        creator: Option<Standing>,
        kind: MemberKind,
    ) -> bool {
        let kept = host.settings.standing == Demand::Keep;
        let system = self.model.system();
        let creator = creator.unwrap_or_else(|| system.clone());
        let may = kept || self.model.can(&creator, Capability::LinksAutoApprove);
        let wanted = match host.settings.joins {
            Joins::AlwaysReview => false,
            Joins::AlwaysAuto => true,
            Joins::LinkDecides => may && config.approval == Approval::Auto,
        };
        let giver = if kept { &system } else { &creator };
        wanted && self.may_give(giver, &config.preset, kind).is_empty()
    }

    /// Getting in, by whatever door: role, seat, and the episode.
    fn enter(&mut self, entry: Entry<'_>) -> Done {
        let at = self.at;
        let role = self.role_given(entry.member, entry.gift);
        let mut why = Reasons::new();
        if role
            .as_ref()
            .is_some_and(|role| !self.model.knows_role(role))
        {
            why.insert("unknown-role");
        }
        if entry.approved && self.model.is_owner(role.as_ref()) && entry.ttl.is_some() {
            why.insert("owner-can-not-expire");
        }
        why.extend(self.no_seat(entry.member, entry.approved)?);
        unless(why)?;
        let gift = Preset {
            role,
            ..entry.gift.clone()
        };
        let waits = self.place(entry.member) == Place::Waits;
        let request_ttl = self.here()?.settings.request_ttl;
        let people = &mut self.here_mut()?.people;
        let relation = people.entry(entry.member.clone()).or_default();
        if !waits {
            let since = relation.episode().map_or(0, |last| last.since);
            relation.open(Episode {
                door: entry.door.clone(),
                state: State::Waits,
                was_in: false,
                since,
                until: request_ttl.map(|ttl| at + ttl),
                ttl: entry.ttl,
                gift: gift.clone(),
                email: entry
                    .email
                    .filter(|_| entry.member.kind() == MemberKind::User),
            });
        }
        relation.last = at;
        if entry.approved {
            relation.let_in(
                entry.member,
                entry.proxy,
                gift,
                entry.ttl.map(|ttl| at + ttl),
                false,
            );
            if let Some(episode) = relation.episodes.last_mut() {
                episode.door = entry.door;
            }
        }
        Ok(())
    }

    /// The role that a gift makes: the lowest where none is named; proxy users have none.
    fn role_given(&self, member: &Member, gift: &Preset) -> Option<RoleName> {
        match member.kind() {
            MemberKind::Org => None,
            MemberKind::User => gift.role.clone().or_else(|| self.model.lowest_role()),
        }
    }

    /// "Seats: an optional limit per organization, checked in the same commit as the join."
    fn no_seat(&mut self, member: &Member, approved: bool) -> Result<Reasons, Reasons> {
        let host = self.here()?;
        let Some(seats) = host.settings.seats else {
            return Ok(Reasons::new());
        };
        let needs_one = match (self.place(member), approved) {
            (Place::In, _) | (Place::Waits, false) => false,
            (Place::Waits, true) => !seats.count_pending,
            (Place::Never | Place::Ended(_) | Place::RanOut, approved) => {
                approved || seats.count_pending
            }
        };
        let limit = number(seats.limit.get());
        let full = |at| host.seats_taken(seats.count_pending, at) >= limit;
        let (now, before_a_sweep) = (full(Some(self.at)), full(None));
        if needs_one && before_a_sweep && !now {
            self.excuses.insert("seats-full");
        }
        Ok(if needs_one && now {
            Reasons::from(["seats-full"])
        } else {
            Reasons::new()
        })
    }

    fn accept(
        &mut self,
        token: &Presented,
        member: &Member,
        profile: &Profile,
        proxy: ProxyUserId,
    ) -> Done {
        let record = self.model.tokens.get(&token.selector).cloned();
        let manages = record.is_some() && self.model.can(&self.me(), Capability::InvitesSend);
        let shown = |codes: Reasons| {
            if manages {
                codes
            } else {
                Reasons::from(["invalid-token"])
            }
        };
        if let Some(invite) = self.model.invite_of(token)
            && matches!(&invite.closed, Some((Closing::Accepted, Some(who))) if who == member)
            && self.acts_for(member).is_empty()
        {
            return Ok(());
        }
        let problems = self.invite_problems(token);
        if !problems.is_empty() {
            return Err(shown(problems));
        }
        let Some((record, invite)) = record.and_then(|record| {
            let invite = record.subject.invite()?;
            Some((record, invite))
        }) else {
            return refused("invalid-token");
        };
        let mut why = self.is_not_for(invite)?;
        why.extend(self.acts_for(member));
        unless(why)?;
        self.by_invite(&ByInvite {
            invite,
            issued: record.issued,
            member,
            profile,
            proxy,
            dead: if manages {
                "token-before-removal"
            } else {
                "invalid-token"
            },
        })
    }

    pub(super) fn by_invite(&mut self, by: &ByInvite<'_>) -> Done {
        let host = self.here()?.clone();
        let Some(invite) = host.invites.get(&by.invite).cloned() else {
            return refused("invalid-token");
        };
        let member = by.member;
        let invited = Some(&invite.address).filter(|it| self.actor.emails().contains(*it));
        let email = invited.or(by.profile.email.as_ref()).cloned();
        let mut why = self.may_not_come(member, email.as_ref());
        if !invite.joined_by.admits(member.kind()) {
            why.insert("wrong-kind-of-member");
        }
        unless(why)?;
        let relation = self.relation(member);
        if relation
            .and_then(Relation::removed)
            .is_some_and(|(_, removed)| by.issued <= removed)
        {
            return refused(by.dead);
        }
        // An invite sent after the rejection is the host's answer to it.
        let rejected = relation.and_then(|relation| relation.rejections().0);
        if rejected.is_some_and(|rejected| by.issued <= rejected) {
            unless(self.may_not_come_back(&host, member, None))?;
        }
        let review = relation.is_some_and(Relation::needs_review);
        let place = self.place(member);
        self.close_invite(by.invite, Closing::Accepted, Some(member.clone()));
        // "Accepting closes that person's other pending invites of the same host."
        let emails: BTreeSet<_> = self.actor.emails().iter().take(16).cloned().collect();
        for (other, sibling) in &host.invites {
            if *other != by.invite
                && emails.contains(&sibling.address)
                && sibling.is_live(self.at)
                && sibling.holds_address()
            {
                self.close_invite(*other, Closing::Joined, None);
            }
        }
        let approves = self.invite_approves(&host, &invite, member.kind());
        match place {
            Place::In if approves => self.give_more(member, &invite.preset),
            Place::In => Ok(()),
            Place::Waits if review || !approves => Ok(()),
            Place::Waits | Place::Never | Place::Ended(_) | Place::RanOut => self.enter(Entry {
                member,
                email,
                door: Door::Invite {
                    invite: by.invite,
                    generation: Generation::new(invite.generation),
                },
                gift: &invite.preset,
                approved: approves && !review,
                ttl: invite.ttl,
                proxy: by.proxy,
            }),
        }
    }

    /// "May add groups or raise the role, never lower it."
    fn give_more(&mut self, member: &Member, gift: &Preset) -> Done {
        let at = self.at;
        let given = self.role_given(member, gift);
        if given
            .as_ref()
            .is_some_and(|role| !self.model.knows_role(role))
        {
            return refused("unknown-role");
        }
        let relation = self.found(member)?;
        let Some(episode) = relation.episode() else {
            return Ok(());
        };
        let mut after = episode.clone();
        after.gift.groups.extend(gift.groups.iter().copied());
        for grant in &gift.grants {
            if !after.gift.grants.contains(grant) {
                after.gift.grants.push(grant.clone());
            }
        }
        if let (Some(held), Some(given)) = (&episode.gift.role, &given) {
            let raiser = Standing {
                is_system: false,
                role: Some(given.clone()),
                person: None,
            };
            // The role held is within the one given, so it only rises.
            if held != given && self.model.above_own(&raiser, held).is_empty() {
                if self.model.is_owner(Some(given)) && episode.until.is_some() {
                    return refused("owner-can-not-expire");
                }
                after.gift.role = Some(given.clone());
            }
        }
        let changed = after.gift != episode.gift;
        let relation = self.found_mut(member)?;
        if changed && let Some(episode) = relation.episodes.last_mut() {
            *episode = after;
            relation.last = at;
        }
        Ok(())
    }

    fn request(
        &mut self,
        member: &Member,
        profile: &Profile,
        answers: &[String],
        proxy: ProxyUserId,
    ) -> Done {
        let Some(host) = self.model.hosts.get(&self.host).cloned() else {
            return refused("not-found");
        };
        // "Off = incognito": an organization that can't be found is not there.
        if !host.settings.discoverable || host.status != OrgStatus::Active {
            return refused("not-found");
        }
        let requests = &host.settings.requests;
        let mut why = self.acts_for(member);
        why.extend(self.may_not_come(member, profile.email.as_ref()));
        unless(why)?;
        let place = self.place(member);
        if place == Place::In {
            return Ok(());
        }
        // Somebody who is invited and asks is answered with the invite.
        if let Some((invite, sent)) = self.crossing(&host, member.kind()) {
            let wrong = answers_are_wrong(answers, &requests.questions);
            if !answers.is_empty() && !wrong.is_empty() {
                return Err(wrong);
            }
            let by = ByInvite {
                invite,
                issued: sent,
                member,
                profile,
                proxy,
                dead: "invalid-token",
            };
            let before = self.model.clone();
            match self.by_invite(&by) {
                // Dead for this member, who asks like anybody else then.
                Err(why) if why.contains("invalid-token") => self.model = before,
                done => return done,
            }
        }
        if !requests.open {
            return refused("requests-closed");
        }
        let system = self.model.system();
        let review = self.relation(member).is_some_and(Relation::needs_review);
        let approved = !review
            && host.settings.joins == Joins::AlwaysAuto
            && self
                .may_give(&system, &requests.preset, member.kind())
                .is_empty();
        if place == Place::Waits && !approved {
            return Ok(());
        }
        let mut why = self.may_not_come_back(&host, member, None);
        if !requests.joined_by.admits(member.kind()) {
            why.insert("wrong-kind-of-member");
        }
        why.extend(answers_are_wrong(answers, &requests.questions));
        unless(why)?;
        self.enter(Entry {
            member,
            email: profile.email.clone(),
            door: Door::Request,
            gift: &requests.preset,
            approved,
            ttl: None,
            proxy,
        })
    }

    fn add(
        &mut self,
        member: &Member,
        profile: &Profile,
        gift: &Preset,
        expires_at: Option<Timestamp>,
        proxy: ProxyUserId,
    ) -> Done {
        self.need(Capability::RequestsReview)?;
        self.active()?;
        let (at, me) = (self.at, self.me());
        let mut why = self.takes_no_part(member);
        if *member == Member::Org(self.host.clone()) {
            why.insert("own-organization");
        }
        if self
            .relation(member)
            .is_some_and(|relation| relation.blocked)
        {
            why.insert("blocked");
        }
        why.extend(gift_is_too_large(gift));
        why.extend(self.may_give(&me, gift, member.kind()));
        let role = self.role_given(member, gift);
        let place = self.place(member);
        if place != Place::In {
            why.extend(self.ends_badly(role.as_ref(), expires_at));
            why.extend(self.no_seat(member, true)?);
        }
        unless(why)?;
        if place == Place::In {
            return self.give_more(member, gift);
        }
        let gift = Preset {
            role,
            ..gift.clone()
        };
        let people = &mut self.here_mut()?.people;
        let relation = people.entry(member.clone()).or_default();
        relation.last = at;
        if place != Place::Waits {
            relation.open(Episode {
                door: Door::Added,
                state: State::Waits,
                was_in: false,
                since: 0,
                until: None,
                ttl: None,
                gift: Preset::default(),
                email: profile
                    .email
                    .clone()
                    .filter(|_| member.kind() == MemberKind::User),
            });
        }
        relation.let_in(member, proxy, gift, expires_at, false);
        if let Some(episode) = relation.episodes.last_mut() {
            episode.door = Door::Added;
        }
        Ok(())
    }

    fn ends_badly(&self, role: Option<&RoleName>, expires_at: Option<Timestamp>) -> Reasons {
        let mut why = Reasons::new();
        if expires_at.is_some_and(|end| end <= self.at) {
            why.insert("in-the-past");
        }
        if self.model.is_owner(role) && expires_at.is_some() {
            why.insert("owner-can-not-expire");
        }
        why
    }

    fn approve(&mut self, member: &Member, changes: &Changes, proxy: ProxyUserId) -> Done {
        self.need(Capability::RequestsReview)?;
        self.active()?;
        let host = self.here()?.clone();
        let (at, me) = (self.at, self.me());
        let relation = self.found(member)?.clone();
        let Some(episode) = relation.episode() else {
            return refused("wrong-state");
        };
        match relation.place(at) {
            Place::Waits => {}
            Place::In => return Ok(()),
            Place::Never | Place::Ended(_) | Place::RanOut => return refused("wrong-state"),
        }
        let mut why = Reasons::new();
        if relation.blocked {
            why.insert("blocked");
        }
        let gift = if let Some(own) = &changes.gift {
            why.extend(gift_is_too_large(own));
            own.clone()
        } else {
            // "Standing of the creator, evaluated at claim, accept and approve."
            let link = episode.door.link().and_then(|link| host.links.get(&link));
            if link.is_some_and(|link| {
                !self.stands(&host, link.creator.as_ref(), Capability::LinksCreate)
            }) {
                why.insert("creator-not-standing");
            }
            let invite = episode
                .door
                .invite()
                .and_then(|invite| host.invites.get(&invite));
            if invite.is_some_and(|invite| {
                !self.stands(&host, invite.creator.as_ref(), Capability::InvitesSend)
            }) {
                why.insert("inviter-not-standing");
            }
            episode.gift.clone()
        };
        let gift = Preset {
            role: self.role_given(member, &gift),
            ..gift
        };
        if gift
            .role
            .as_ref()
            .is_some_and(|role| !self.model.knows_role(role))
        {
            why.insert("unknown-role");
        }
        why.extend(self.may_give(&me, &gift, member.kind()));
        if changes.reinstate {
            why.extend(self.may_reinstate(&host, &me, member, &relation));
        }
        let until = changes
            .expires_at
            .or_else(|| episode.ttl.map(|ttl| at + ttl));
        why.extend(self.ends_badly(gift.role.as_ref(), until));
        why.extend(self.no_seat(member, true)?);
        unless(why)?;
        let relation = self.found_mut(member)?;
        relation.let_in(member, proxy, gift, until, changes.reinstate);
        relation.last = at;
        Ok(())
    }

    /// Bringing back what was given in earlier episodes is giving it again.
    fn may_reinstate(
        &self,
        host: &Host,
        giver: &Standing,
        member: &Member,
        relation: &Relation,
    ) -> Reasons {
        let since = relation.episode().map_or(0, |episode| episode.since);
        let earlier = |whose: &Member, episode: guestlist_access::Episode| {
            whose == member && (since..relation.number()).contains(&episode.get())
        };
        let mut gift = Preset::default();
        for grant in host.grants.values() {
            if let Subject::Member { member, episode } = &grant.subject
                && earlier(member, *episode)
                && grant.until.is_none_or(|until| self.at < until)
            {
                gift.grants.push(PresetGrant {
                    actions: grant.actions,
                    pattern: grant.pattern.clone(),
                });
            }
        }
        for (group, entry) in &host.inside {
            if let GroupMember::Member { member, episode } = entry
                && earlier(member, *episode)
            {
                gift.groups.insert(*group);
            }
        }
        let mut why = self.may_give(giver, &gift, member.kind());
        // The role was looked at with the gift itself.
        why.remove("role-above-own");
        why
    }

    fn change_role(&mut self, member: &Member, role: &RoleName) -> Done {
        self.need(Capability::MembersChangeRole)?;
        self.existing()?;
        let (at, me) = (self.at, self.me());
        let relation = self.found(member)?;
        let place = relation.place(at);
        let until = relation.episode().and_then(|episode| episode.until);
        if member.kind() == MemberKind::Org {
            return refused("proxy-has-no-role");
        }
        if place != Place::In {
            return refused("wrong-state");
        }
        let mut why = self.model.above_own(&me, role);
        let held = self.role(member);
        if let Some(held) = held.as_ref().filter(|held| self.model.knows_role(held)) {
            why.extend(self.model.above_own(&me, held));
        }
        unless(why)?;
        if held.as_ref() == Some(role) {
            return Ok(());
        }
        if self.model.is_owner(Some(role)) && until.is_some() {
            return refused("owner-can-not-expire");
        }
        unless(self.is_last_owner(member)?)?;
        let relation = self.found_mut(member)?;
        relation.last = at;
        if let Some(episode) = relation.episodes.last_mut() {
            episode.gift.role = Some(role.clone());
        }
        Ok(())
    }

    fn erase(&mut self, member: &Member, invites: &[InviteId]) -> Done {
        self.need(Capability::SettingsManage)?;
        self.found(member)?;
        let host = self.here_mut()?;
        for id in invites {
            if let Some(invite) = host.invites.get_mut(id)
                && matches!(&invite.closed, Some((_, Some(who))) if who == member)
                && let Ok(nowhere) = EmailAddress::parse("erased@erased.invalid")
            {
                invite.address = nowhere;
            }
        }
        // Words are no rule's business; the address that a member is known by is.
        let relation = self.found_mut(member)?;
        for episode in &mut relation.episodes {
            episode.email = None;
        }
        Ok(())
    }
}

impl Relation {
    /// Lets the episode that waits in.
    fn let_in(
        &mut self,
        member: &Member,
        proxy: ProxyUserId,
        gift: Preset,
        until: Option<Timestamp>,
        reinstated: bool,
    ) {
        let number = self.number();
        if member.kind() == MemberKind::Org {
            self.proxy.get_or_insert(proxy);
        }
        if let Some(episode) = self.episodes.last_mut() {
            episode.state = State::In;
            episode.was_in = true;
            episode.gift = gift;
            episode.until = until;
            if !reinstated {
                episode.since = number;
            }
        }
    }
}

fn number(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

pub(super) fn answers_are_wrong(answers: &[String], questions: &[String]) -> Reasons {
    let mut why = Reasons::new();
    if answers.len() != questions.len() {
        why.insert("answers-missing");
    }
    if answers.iter().any(|answer| answer.chars().count() > 2000) {
        why.insert("too-many");
    }
    why
}
