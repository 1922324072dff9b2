//! The door of e-mail invites.

use guestlist_access::Capability;
use guestlist_types::{Member, Message, ProxyUserId};

use super::command::Presented;
use super::decide::{acts_for, coming_back, is_before_removal, may_come, more, role_of};
use super::enter::{Entry, enter};
use super::state::{Door, Phase, Profile};
use crate::actor::Actor;
use crate::command::Env;
use crate::error::{CommandError, TokenProblem, TokenRefusal};
use crate::event::Event;
use crate::invite::decide::{Opened, approves_itself, close, is_for, of_token, open, siblings};
use crate::invite::{Closing, EmailInvite, InviteStatus};
use crate::link::TokenRecord;
use crate::organization::Organization;
use crate::record::Records;
use crate::standing::InOrg;

pub(super) struct Accept<'a> {
    pub(super) token: &'a Presented,
    pub(super) member: &'a Member,
    pub(super) profile: &'a Profile,
    pub(super) proxy: ProxyUserId,
}

impl Accept<'_> {
    pub(super) fn decide(
        &self,
        records: &Records,
        actor: &Actor,
        env: &Env<'_>,
    ) -> Result<Vec<Event>, CommandError> {
        let manages = records.token(self.token.selector).is_some_and(|token| {
            InOrg::actor(records, actor, &token.host, env).can(Capability::InvitesSend, env)
        });
        let refuse = |problem| {
            CommandError::InvalidToken(if manages {
                TokenRefusal::disclosed(problem)
            } else {
                TokenRefusal::hidden(problem)
            })
        };
        // The same person pressing the button again is told what came of it.
        if let Some(Opened { invite, .. }) = of_token(records, self.token)
            && invite.status == InviteStatus::Accepted
            && invite
                .closed
                .as_ref()
                .is_some_and(|closed| closed.member.as_ref() == Some(self.member))
            && acts_for(records, actor, self.member, env).is_ok()
        {
            return Ok(Vec::new());
        }
        let Opened {
            token,
            invite,
            host,
        } = open(records, self.token, env).map_err(refuse)?;
        is_for(invite, actor, &host.settings)?;
        acts_for(records, actor, self.member, env)?;
        let by_invite = ByInvite {
            host,
            invite,
            token: Some(token),
            member: self.member,
            answers: &[],
            message: None,
            proxy: self.proxy,
        };
        by_invite.enter(records, actor, self.profile, &refuse, env)
    }
}

/// Somebody who comes in by an e-mail invite: with its token, or by asking to join while the
/// invite waits.
pub(super) struct ByInvite<'a> {
    pub(super) host: &'a Organization,
    pub(super) invite: &'a EmailInvite,
    pub(super) token: Option<&'a TokenRecord>,
    pub(super) member: &'a Member,
    /// What somebody who asks has answered and said.
    pub(super) answers: &'a [String],
    pub(super) message: Option<&'a Message>,
    pub(super) proxy: ProxyUserId,
}

impl ByInvite<'_> {
    pub(super) fn enter(
        &self,
        records: &Records,
        actor: &Actor,
        profile: &Profile,
        refuse: &dyn Fn(TokenProblem) -> CommandError,
        env: &Env<'_>,
    ) -> Result<Vec<Event>, CommandError> {
        let Self {
            host,
            invite,
            member,
            ..
        } = *self;
        // The address that the host invited is the one that it is shown.
        let shown = Profile {
            email: Some(&invite.address)
                .filter(|address| actor.emails().contains(address))
                .or(profile.email.as_ref())
                .cloned(),
            ..profile.clone()
        };
        let profile = may_come(records, &host.id, actor, member, &shown, env)?;
        if !invite.config.joined_by.admits(member.kind()) {
            return Err(CommandError::WrongKindOfMember);
        }
        let membership = records.membership(&host.id, member);
        let phase = membership.map_or(Phase::Never, |record| record.phase(env.now));
        if let Some(record) = membership {
            let issued = self.token.map_or(invite.sent_at, |token| token.issued_at);
            let dead = match self.token {
                Some(token) => is_before_removal(record, token),
                None => record
                    .removed_at
                    .is_some_and(|removed| !issued.is_after(removed)),
            };
            if dead {
                return Err(refuse(TokenProblem::BeforeRemoval));
            }
            // An invite sent after the rejection is the host's answer to it; an older one is not.
            let answered = record
                .rejected_at
                .is_none_or(|rejected| issued.is_after(rejected));
            if !answered {
                coming_back(record, host, None, env)?;
            }
        }
        let accepted = close(invite, Closing::Accepted, Some(member), env);
        let mut events = vec![Event::Invite(accepted)];
        // "Accepting closes that person's other pending invites of the same host" (spec 2).
        events.extend(
            siblings(records, &host.id, actor, invite, env)
                .map(|other| Event::Invite(close(other, Closing::Joined, None, env))),
        );
        // "An accepted e-mail invite may add groups or raise the role, never lower it" (spec 2).
        if let (Phase::Approved, Some(record)) = (phase, membership) {
            let gift = &invite.config.preset;
            // A role that is gone meanwhile is no gift.
            role_of(member, gift, env)?;
            // What its sender may not give any more is not added.
            if approves_itself(records, host, invite, member.kind(), env)? {
                events.extend(more(record, gift, member, env)?);
            }
            return Ok(events);
        }
        let approved = membership.is_none_or(|record| !record.review_required)
            && approves_itself(records, host, invite, member.kind(), env)?;
        // The waiting request goes on waiting, and the invite has done what it could.
        if phase == Phase::Pending && !approved {
            return Ok(events);
        }
        let entry = Entry {
            member,
            profile,
            door: Door::Invite {
                invite: invite.id,
                generation: invite.generation,
            },
            gift: &invite.config.preset,
            approved,
            membership_ttl: invite.config.membership_ttl,
            answers: self.answers,
            message: self.message,
            metadata: &invite.config.metadata,
            link_use: None,
            proxy: self.proxy,
        };
        events.extend(enter(records, host, entry, env)?);
        Ok(events)
    }
}
