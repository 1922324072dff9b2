//! E-mail invites.

use guestlist_access::Capability;
use guestlist_membership::invite::{Closing, Delivery, InviteCommand, Mode, NewInvite};
use guestlist_membership::link::{Expiry, JoinedBy, Lasting, TokenSubject};
use guestlist_membership::member::Presented;
use guestlist_membership::organization::OrgStatus;
use guestlist_membership::{AddressCheck, Joins, SecondInvite, Standing as Demand};
use guestlist_types::{InviteId, Member, MemberKind, Timestamp};

use super::{
    Done, Host, Invite, Model, Place, Reasons, Relation, State, Told, Turn, refused, unless,
};

impl Model {
    /// The invite that a genuine token is of, whatever became of it.
    pub(super) fn invite_of(&self, presented: &Presented) -> Option<&Invite> {
        let token = self.tokens.get(&presented.selector)?;
        let token = Some(token).filter(|_| presented.genuine)?;
        let host = self.hosts.get(&token.host)?;
        host.invites.get(&token.subject.invite()?)
    }

    /// Why a token opens no invite, but for who sent it.
    pub(super) fn invite_is_closed(&self, presented: &Presented, at: Timestamp) -> Reasons {
        let (Some(token), Some(invite)) = (
            self.tokens.get(&presented.selector),
            self.invite_of(presented),
        ) else {
            return Reasons::from(["token-unknown"]);
        };
        let mut why = Reasons::new();
        if invite.closed.is_some() {
            why.insert("invite-closed");
        }
        if token.ends.is_some_and(|end| at >= end) {
            why.insert("token-retired");
        }
        let host = self.hosts.get(&token.host);
        if host.is_none_or(|host| host.status != OrgStatus::Active) {
            why.insert("host-not-active");
        }
        if invite.until.is_some_and(|end| at >= end) {
            why.insert("invite-expired");
        }
        why
    }
}

impl Turn<'_> {
    pub(super) fn invite_problems(&self, presented: &Presented) -> Reasons {
        let mut why = self.model.invite_is_closed(presented, self.at);
        if let (Some(invite), Ok(host)) = (self.model.invite_of(presented), self.here())
            && !self.stands(host, invite.creator.as_ref(), Capability::InvitesSend)
        {
            why.insert("creator-not-standing");
        }
        why
    }

    /// "Accepting needs an actor with that address among its *verified* ones."
    pub(super) fn is_not_for(&self, invite: InviteId) -> Result<Reasons, Reasons> {
        let host = self.here()?;
        let Some(invite) = host.invites.get(&invite) else {
            return Ok(Reasons::from(["not-found"]));
        };
        let emails = self.actor.emails();
        let fits = self.actor.is_system()
            || match host.settings.address_check {
                AddressCheck::Exact => emails.contains(&invite.address),
                AddressCheck::AnyVerified => !emails.is_empty(),
                AddressCheck::Bearer => true,
            };
        Ok(if fits {
            Reasons::new()
        } else {
            Reasons::from(["wrong-account"])
        })
    }

    pub(super) fn close_invite(&mut self, id: InviteId, how: Closing, member: Option<Member>) {
        let at = self.at;
        let Some(host) = self.model.hosts.get_mut(&self.host) else {
            return;
        };
        let Some(invite) = host.invites.get_mut(&id) else {
            return;
        };
        invite.closed = Some((how, member));
        invite.last = at;
        let token = invite.token.take();
        self.end_tokens(token.as_slice(), at);
    }

    /// Whether accepting needs no review: its sender may let somebody in without one, and may
    /// still give what it gives.
    pub(super) fn invite_approves(&self, host: &Host, invite: &Invite, kind: MemberKind) -> bool {
        let kept = host.settings.standing == Demand::Keep;
        let sender = self.maker(invite.creator.as_ref());
        let may = self.model.can(&sender, Capability::LinksAutoApprove)
            || (kept && invite.sender_approves);
        let wanted = match host.settings.joins {
            Joins::AlwaysReview => false,
            Joins::AlwaysAuto => true,
            Joins::LinkDecides => may,
        };
        let giver = if kept { self.model.system() } else { sender };
        wanted && self.may_give(&giver, &invite.preset, kind).is_empty()
    }

    /// The live invite of somebody who asks to join, and when it was sent.
    pub(super) fn crossing(&self, host: &Host, kind: MemberKind) -> Option<(InviteId, Timestamp)> {
        let emails = self.actor.emails().iter().take(16);
        let mut invites = emails.filter_map(|email| {
            host.invites.iter().find(|(_, invite)| {
                invite.address == *email
                    && invite.holds_address()
                    && invite.is_live(self.at)
                    && invite.joined_by.admits(kind)
            })
        });
        let (id, invite) = invites.next()?;
        self.stands(host, invite.creator.as_ref(), Capability::InvitesSend)
            .then_some((*id, invite.sent))
    }

    pub(super) fn invite(&mut self, command: &InviteCommand) -> Done {
        if let InviteCommand::Decline { token } = command {
            return self.decline(token);
        }
        self.need_member()?;
        self.existing()?;
        let at = self.at;
        let known = |turn: &Self, id: &InviteId| -> Result<Invite, Reasons> {
            let invite = turn.here()?.invites.get(id).cloned();
            invite.ok_or_else(|| Reasons::from(["not-found"]))
        };
        match command {
            InviteCommand::Decline { .. } => Ok(()),
            InviteCommand::Send { invites, mode } => {
                self.need(Capability::InvitesSend)?;
                self.active()?;
                if invites.len() > 1000 {
                    return refused("too-many");
                }
                self.send(invites, *mode);
                Ok(())
            }
            InviteCommand::Resend { invite: id, token } => {
                self.need(Capability::InvitesSend)?;
                self.active()?;
                let mut invite = known(self, id)?;
                if invite.closed.is_some() {
                    return refused("wrong-invite-state");
                }
                let host = self.here()?;
                let mut why = Reasons::new();
                // While this one was over, another one may have been sent to its address.
                if host.invites.iter().any(|(other, sent)| {
                    other != id && sent.address == invite.address && sent.holds_address()
                }) {
                    why.insert("already-invited");
                }
                if !self.stands(host, invite.creator.as_ref(), Capability::InvitesSend) {
                    why.insert("inviter-not-standing");
                }
                let me = self.me();
                why.extend(self.may_give_to_all(&me, &invite.preset, invite.joined_by));
                why.extend(self.issued_before(token));
                unless(why)?;
                self.end_tokens(invite.token.as_slice(), at);
                self.issue(token, TokenSubject::Invite(*id));
                invite.token = Some(token.selector);
                invite.generation += 1;
                invite.until = invite.lasts.map(|lasts| at + lasts);
                invite.noted = false;
                invite.delivery = Delivery::Unknown;
                invite.sent = at;
                invite.last = at;
                self.here_mut()?.invites.insert(*id, invite);
                Ok(())
            }
            InviteCommand::Revoke { invite: id } => {
                self.need(Capability::InvitesSend)?;
                match known(self, id)?.closed {
                    None => {
                        self.close_invite(*id, Closing::Revoked, None);
                        Ok(())
                    }
                    Some((Closing::Revoked | Closing::Replaced | Closing::Joined, _)) => Ok(()),
                    Some((Closing::Accepted | Closing::Declined, _)) => {
                        refused("wrong-invite-state")
                    }
                }
            }
            InviteCommand::ReportDelivery { reports } => {
                self.need(Capability::InvitesSend)?;
                let invites = &mut self.here_mut()?.invites;
                for report in reports {
                    let Some(invite) = invites.get_mut(&report.invite) else {
                        continue;
                    };
                    let delivery = if report.sent {
                        Delivery::Sent
                    } else {
                        Delivery::Undelivered
                    };
                    // What is said of a token that was replaced meanwhile says nothing.
                    if invite.closed.is_none()
                        && invite.generation == report.generation.get()
                        && invite.delivery != delivery
                    {
                        invite.delivery = delivery;
                        invite.last = at;
                    }
                }
                Ok(())
            }
            InviteCommand::Expire { invite: id } => {
                let invite = known(self, id)?;
                if invite.closed.is_none() && !invite.is_live(at) && !invite.noted {
                    let known = self.here_mut()?.invites.get_mut(id);
                    if let Some(invite) = known {
                        invite.noted = true;
                        invite.last = at;
                    }
                }
                Ok(())
            }
        }
    }

    fn decline(&mut self, token: &Presented) -> Done {
        if let Some(invite) = self.model.invite_of(token)
            && matches!(invite.closed, Some((Closing::Declined, _)))
        {
            return Ok(());
        }
        let record = self.model.tokens.get(&token.selector);
        let id = record.and_then(|token| token.subject.invite());
        let (Some(id), true) = (id, self.invite_problems(token).is_empty()) else {
            return refused("invalid-token");
        };
        unless(self.is_not_for(id)?)?;
        self.close_invite(id, Closing::Declined, None);
        Ok(())
    }

    /// "The reply holds one outcome per item, in order", each on what those before it left.
    fn send(&mut self, invites: &[NewInvite], mode: Mode) {
        let before = self.model.clone();
        let told: &[Option<&'static str>] = match self.told {
            Some(Told::Accepted(items)) => items,
            Some(Told::Refused(_)) | None => &[],
        };
        let mut stops = false;
        for (index, new) in invites.iter().enumerate() {
            let untouched = self.model.clone();
            let sent = self.send_one(new);
            let excuses = core::mem::take(&mut self.excuses);
            let said = told.get(index).copied().flatten();
            let why = match sent {
                Err(why) => why.union(&excuses).copied().collect(),
                // It could be sent, and there is an excuse not to.
                Ok(()) if said.is_some_and(|code| excuses.contains(code)) => excuses,
                Ok(()) => Reasons::new(),
            };
            if !why.is_empty() {
                self.model = untouched;
                let harmless = |code: &str| matches!(code, "already-member" | "already-invited");
                stops |= match said {
                    Some(code) => !harmless(code),
                    None => why.iter().any(|code| !harmless(code)),
                };
            }
            self.items.push(why);
        }
        if mode == Mode::AllOrNothing && stops {
            self.model = before;
        }
    }

    fn send_one(&mut self, new: &NewInvite) -> Done {
        let (at, me) = (self.at, self.me());
        let host = self.here()?.clone();
        let known_by = |relation: &&Relation| relation.addresses.contains(&new.address);
        let known: Vec<&Relation> = host.people.values().filter(known_by).collect();
        let is_in = |relation: &&Relation| {
            relation.place(at) == Place::In
                && relation
                    .episode()
                    .is_some_and(|now| now.email.as_ref() == Some(&new.address))
        };
        let is_stored = |relation: &&Relation| {
            relation.episode().is_some_and(|now| {
                now.state == State::In && now.email.as_ref() == Some(&new.address)
            })
        };
        // Of several with one address, who is over counts until that is written down.
        let are_several = known.iter().copied().filter(is_stored).count() > 1;
        if new.is_member || are_several || known.iter().any(is_in) {
            return refused("already-member");
        }
        if known
            .iter()
            .any(|relation| relation.blocked && is_stored(relation))
        {
            return refused("blocked");
        }
        let mut why = Reasons::new();
        let mut earlier = host
            .invites
            .iter()
            .filter(|(_, sent)| sent.address == new.address && sent.holds_address());
        if let Some((id, sent)) = earlier.next() {
            match host.settings.second_invite {
                SecondInvite::Refuse if sent.is_live(at) => {
                    why.insert("already-invited");
                }
                SecondInvite::Replace if sent.is_live(at) => {
                    self.close_invite(*id, Closing::Replaced, None);
                }
                SecondInvite::Refuse | SecondInvite::Replace => {
                    if let Some(over) = self.here_mut()?.invites.get_mut(id) {
                        over.noted = true;
                        over.last = at;
                    }
                }
            }
        }
        if host.invites.contains_key(&new.id) {
            why.insert("wrong-invite-state");
        }
        let usual = match host.settings.invites_last {
            Lasting::Always => Expiry::Never,
            Lasting::For(duration) => Expiry::After(duration),
        };
        let until = match new.draft.expiry.unwrap_or(usual) {
            Expiry::Never => None,
            Expiry::At(end) => Some(end),
            Expiry::After(duration) => Some(at + duration),
        };
        let ttl = match new.draft.membership_ttl {
            None | Some(Lasting::Always) => None,
            Some(Lasting::For(ttl)) => Some(ttl),
        };
        if until.is_some_and(|end| end <= at) || ttl.is_some_and(|ttl| ttl.is_zero()) {
            why.insert("in-the-past");
        }
        let preset = new.draft.preset.clone().unwrap_or_default();
        let joined_by = new.draft.joined_by.unwrap_or(JoinedBy::Users);
        why.extend(self.preset_is_wrong(&preset, joined_by, ttl));
        why.extend(self.may_give_to_all(&me, &preset, joined_by));
        why.extend(self.issued_before(&new.token));
        unless(why)?;
        self.issue(&new.token, TokenSubject::Invite(new.id));
        let sent = Invite {
            address: new.address.clone(),
            joined_by,
            preset,
            sender_approves: self.model.can(&me, Capability::LinksAutoApprove),
            lasts: until.map(|end| end.since(at)),
            ttl,
            creator: self.actor.user_id().cloned(),
            closed: None,
            noted: false,
            token: Some(new.token.selector),
            generation: 1,
            until,
            sent: at,
            delivery: Delivery::Unknown,
            last: at,
        };
        self.here_mut()?.invites.insert(new.id, sent);
        Ok(())
    }
}
