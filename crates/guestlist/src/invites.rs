//! E-mail invites.

use std::sync::Arc;

use guestlist_membership::invite::{
    DeliveryReport, EmailInvite, InviteCommand, InviteDraft, InvitePhase, InvitePreview, Mode,
    NewInvite, SignOn, preview, problem,
};
use guestlist_membership::link::NewToken;
use guestlist_membership::member::{MemberCommand, Presented};
use guestlist_membership::{
    Actor, Command, CommandError, Fact, InviteRef, Reading, Root, Row, Scope, Stated, TokenProblem,
};
use guestlist_store::{
    CommandDigest, Cursor, InviteFilter, Listed, Page, Query, Store, TokenSecret,
};
use guestlist_token::{Binding, InviteToken, SecretUrl, TokenError, TokenKind};
use guestlist_types::{EmailAddress, InviteId, OrgId, ProxyUserId, RoleName};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facade::{Ask, Guestlist, Outcome, rows_of};
use crate::idempotency::digest;
use crate::mail::InviteMail;
use crate::members::{Changed, Claim, member_of, membership_in, nowhere, profile_of};
use crate::organizations::not_found;
use crate::ports::AddressFacts;
use crate::rate::Attempt;

/// How many addresses one call takes at most.
pub const MAX_ADDRESSES: usize = 10_000;

/// How many invites are committed together.
const CHUNK: usize = 100;

/// After so many mails in a row that could not be sent for now, the rest of a call is not tried.
const MAX_FAILURES: u32 = 3;

/// Addresses to be invited, and how.
///
/// ```
/// # use guestlist::{InviteDraft, Invitations};
/// let invitations = Invitations::new()
///     .to("ada@example.com")
///     .to_as("grace@example.com", "admin".parse()?)
///     .draft(InviteDraft::new().message("Join us.".parse()?));
/// assert_eq!(invitations.len(), 2);
/// # Ok::<(), guestlist::types::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invitations {
    to: Vec<(String, Option<RoleName>)>,
    draft: InviteDraft,
    mode: Mode,
    single_sign_on: bool,
    without_mail: bool,
}

impl Invitations {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Invites this address, too. It is checked when the invites are sent.
    #[must_use]
    pub fn to(mut self, address: impl Into<String>) -> Self {
        self.to.push((address.into(), None));
        self
    }

    /// Invites this address with a role of its own.
    #[must_use]
    pub fn to_as(mut self, address: impl Into<String>, role: RoleName) -> Self {
        self.to.push((address.into(), Some(role)));
        self
    }

    /// What every invite offers.
    #[must_use]
    pub fn draft(mut self, draft: InviteDraft) -> Self {
        self.draft = draft;
        self
    }

    /// Sends none if one is refused or is no address. At most
    /// [`MAX_INVITES`](crate::membership::invite::MAX_INVITES) of them.
    #[must_use]
    pub const fn all_or_nothing(mut self) -> Self {
        self.mode = Mode::AllOrNothing;
        self
    }

    /// The invited people are to use the host's single sign-on, except those whose address
    /// belongs to another organization's identity provider.
    #[must_use]
    pub const fn single_sign_on(mut self) -> Self {
        self.single_sign_on = true;
        self
    }

    /// Hands the tokens to the caller, who delivers them itself, also where there is a mailer.
    #[must_use]
    pub const fn without_mail(mut self) -> Self {
        self.without_mail = true;
        self
    }

    /// How many addresses there are, as they were given.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.to.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.to.is_empty()
    }
}

impl<T: Into<String>> FromIterator<T> for Invitations {
    fn from_iter<I: IntoIterator<Item = T>>(addresses: I) -> Self {
        addresses.into_iter().fold(Self::new(), Self::to)
    }
}

/// An invite that has just been sent: the only place where its token appears, besides the mail.
#[derive(Debug)]
#[non_exhaustive]
pub struct Invited {
    /// The invite, as it was when this call returned.
    pub invite: EmailInvite,
    /// The token. `None` for a call repeated with its idempotency key: resend the invite for
    /// another one.
    pub token: Option<InviteToken>,
    /// The token as a join link, if [`Builder::join_url`](crate::Builder::join_url) was set.
    pub url: Option<SecretUrl>,
}

/// What came of one address.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller must place every outcome")]
pub enum InviteOutcome {
    /// It is invited.
    Invited(Box<Invited>),
    /// A member of the host has this address.
    AlreadyMember,
    /// An invite for it waits for an answer.
    AlreadyInvited,
    /// The rules say no; nothing was done about this address.
    Refused {
        /// The stable code.
        code: String,
        /// The same in words.
        message: String,
    },
    /// It is no address.
    Invalid {
        /// The stable code.
        code: &'static str,
    },
    /// The same address, once they are written alike, stands earlier in the same call.
    Duplicate {
        /// Where, counted from zero.
        of: usize,
    },
    /// Nothing is wrong with it, but another address was refused and all or none were wanted.
    NotSent,
    /// It could not be stored, after others of the call were: the store or the directory failed.
    /// Nothing was mailed to it. Invite it again; with the same idempotency key the whole call.
    Failed(Arc<Error>),
}

impl InviteOutcome {
    /// The stable code of this outcome.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Invited(_) => "invited",
            Self::AlreadyMember => "already-member",
            Self::AlreadyInvited => "already-invited",
            Self::Refused { code, .. } => code,
            Self::Invalid { code } => code,
            Self::Duplicate { .. } => "duplicate",
            Self::NotSent => "not-sent",
            Self::Failed(error) => error.code(),
        }
    }

    /// What was sent, if it was.
    #[must_use]
    pub fn invited(&self) -> Option<&Invited> {
        match self {
            Self::Invited(invited) => Some(invited),
            Self::AlreadyMember
            | Self::AlreadyInvited
            | Self::Refused { .. }
            | Self::Invalid { .. }
            | Self::Duplicate { .. }
            | Self::NotSent
            | Self::Failed(_) => None,
        }
    }
}

/// A page of e-mail invites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitePage {
    /// The invites, in the order of the list.
    pub invites: Vec<EmailInvite>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

/// What a manager is told about an invite's token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InviteTokenReport {
    /// The invite that the token belongs or belonged to.
    pub invite: EmailInvite,
    /// Why it opens nothing; `None`: it opens its invite.
    pub problem: Option<TokenProblem>,
}

/// What a keyed call remembers of an address.
#[derive(Serialize, Deserialize)]
enum Kept {
    Invited(Box<EmailInvite>),
    AlreadyMember,
    AlreadyInvited,
    Refused { code: String, message: String },
    NotSent,
}

/// An address about to be invited: where it stands in the call, and what it is invited with.
struct Wanted {
    place: usize,
    address: EmailAddress,
    role: Option<RoleName>,
}

impl<S: Store> Guestlist<S> {
    /// Invites addresses. Needs `invites.send`, and nobody offers more than they may give. The
    /// reply holds one outcome for each address, in order.
    ///
    /// Invites of one call are decided each on its own unless all or none are wanted; they are
    /// committed in groups. With a [mailer](crate::Builder::mailer) each is mailed once it is
    /// stored, and its delivery is written down; a mail that can't be sent leaves a pending invite
    /// that is marked undelivered and can be resent. Inside a transaction of the host application
    /// nothing is mailed, because it may be rolled back: deliver the tokens after its commit.
    ///
    /// **Cancellation.** Dropping the future leaves the invites that are stored by then; those
    /// that were not mailed yet have an unknown delivery, and can be resent.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `organization-not-active`, `too-many`, `rate-limited`, those of
    /// the store and the directory, and nobody is invited then; whatever is wrong with one address,
    /// or goes wrong after others were invited, is in its outcome.
    pub async fn invite(
        &self,
        actor: &Actor,
        host: &OrgId,
        invitations: Invitations,
    ) -> Result<Vec<InviteOutcome>, Error> {
        if invitations.len() > MAX_ADDRESSES {
            return Err(CommandError::TooMany {
                what: "addresses in one call",
                max: MAX_ADDRESSES,
            }
            .into());
        }
        let (mut outcomes, wanted) = sorted(&invitations);
        let is_invalid = |outcome: &Option<InviteOutcome>| {
            matches!(outcome, Some(InviteOutcome::Invalid { .. }))
        };
        if invitations.mode == Mode::AllOrNothing && outcomes.iter().any(is_invalid) {
            self.check_read(actor, host, &Reading::Invites).await?;
            for Wanted { place, .. } in wanted {
                outcomes[place] = Some(InviteOutcome::NotSent);
            }
            return Ok(whole(outcomes));
        }
        let chunk = match invitations.mode {
            Mode::EachOnItsOwn => CHUNK,
            // All in one commit.
            Mode::AllOrNothing => wanted.len().max(1),
        };
        if wanted.is_empty() {
            self.check_read(actor, host, &Reading::Invites).await?;
        } else {
            // All of them at once: a call that is refused has invited nobody.
            self.limit("invite", Attempt::Invite(wanted.len()), actor, Some(host))
                .await?;
        }
        let addresses: Vec<_> = wanted
            .iter()
            .map(|wanted| (&wanted.address, &wanted.role))
            .collect();
        let arguments = (
            host,
            addresses,
            &invitations.draft,
            invitations.mode,
            invitations.single_sign_on,
        );
        let all = digest("invite", &arguments);
        let mut failures = 0;
        for (part, wanted) in (0_u32..).zip(wanted.chunks(chunk)) {
            let done = self
                .send_chunk(part, actor, host, wanted, &invitations, &all)
                .await;
            let done = match done {
                Ok(done) => done,
                Err(error) if part == 0 => return Err(error),
                // Others are invited already, and that is to be told.
                Err(error) => {
                    let error = Arc::new(error);
                    for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
                        *outcome = Some(InviteOutcome::Failed(Arc::clone(&error)));
                    }
                    break;
                }
            };
            let mut reports = Vec::new();
            for (wanted, mut outcome) in wanted.iter().zip(done) {
                if let InviteOutcome::Invited(invited) = &mut outcome
                    && !invitations.without_mail
                {
                    reports.extend(self.mail(actor, host, invited, &mut failures).await);
                }
                outcomes[wanted.place] = Some(outcome);
            }
            self.report_delivery(host, reports, &mut outcomes).await;
        }
        Ok(whole(outcomes))
    }

    /// Sends some of a call's invites in one commit.
    async fn send_chunk(
        &self,
        part: u32,
        actor: &Actor,
        host: &OrgId,
        wanted: &[Wanted],
        invitations: &Invitations,
        whole: &CommandDigest,
    ) -> Result<Vec<InviteOutcome>, Error> {
        let addresses: Vec<EmailAddress> =
            wanted.iter().map(|wanted| wanted.address.clone()).collect();
        let facts = self
            .config
            .directory
            .addresses(host, &addresses, invitations.single_sign_on)
            .await
            .map_err(Error::Directory)?;
        let (mut new, mut tokens, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
        for (index, wanted) in wanted.iter().enumerate() {
            let known = facts.get(index).cloned().unwrap_or_default();
            let id = self.draw(InviteId::generate)?;
            let token = self.draw_token(TokenKind::EmailInvite, host)?;
            let binding = Binding {
                host,
                subject: *id.as_bytes(),
            };
            let secret = TokenSecret {
                selector: token.selector(),
                tag: self.config.peppers.tag(&token, &binding),
                sealed: None,
            };
            let (selector, tag) = (secret.selector, secret.tag);
            let mut draft = invitations.draft.clone();
            if let Some(role) = &wanted.role {
                draft.preset.get_or_insert_default().role = Some(role.clone());
            }
            new.push(NewInvite {
                id,
                address: wanted.address.clone(),
                draft,
                sign_on: sign_on(invitations.single_sign_on, &known),
                is_member: known.is_member,
                token: NewToken { selector, tag },
            });
            secrets.push(secret);
            tokens.push(token);
        }
        let ids: Vec<InviteId> = new.iter().map(|new| new.id).collect();
        let ask = Ask {
            host,
            actor,
            // A part is that of one call and no other.
            digest: digest("invite", &(whole.0, part)),
            command: Command::Invite(InviteCommand::Send {
                invites: new,
                mode: invitations.mode,
            }),
            secrets: &secrets,
            erasures: &[],
            presented: None,
            operation: "invite",
        };
        let kept: Vec<Kept> = self
            .part(part)
            .execute(ask, |outcome| Ok(kept(outcome, &ids)))
            .await?;
        let outcomes = kept
            .into_iter()
            .zip(tokens)
            .map(|(kept, token)| match kept {
                Kept::Invited(invite) => {
                    // A call repeated with its key gets the answer of the first.
                    let fresh = invite.token == Some(token.selector());
                    InviteOutcome::Invited(Box::new(self.invited(*invite, fresh.then_some(token))))
                }
                Kept::AlreadyMember => InviteOutcome::AlreadyMember,
                Kept::AlreadyInvited => InviteOutcome::AlreadyInvited,
                Kept::Refused { code, message } => InviteOutcome::Refused { code, message },
                Kept::NotSent => InviteOutcome::NotSent,
            });
        Ok(outcomes.collect())
    }

    fn invited(&self, invite: EmailInvite, token: Option<InviteToken>) -> Invited {
        let url = token.as_ref().zip(self.config.join_url.as_ref());
        let url = url.map(|(token, (base, style))| base.with_token(token, *style));
        Invited { invite, token, url }
    }

    /// Mails an invite, and says what became of that; nothing if nobody mails it.
    async fn mail(
        &self,
        actor: &Actor,
        host: &OrgId,
        invited: &Invited,
        failures: &mut u32,
    ) -> Option<DeliveryReport> {
        let (Some(mailer), Some(token)) = (&self.config.mailer, &invited.token) else {
            return None;
        };
        // What was written there may be rolled back.
        if self.borrowed() {
            return None;
        }
        let invite = &invited.invite;
        let mut report = DeliveryReport {
            invite: invite.id,
            generation: invite.generation,
            sent: false,
        };
        if *failures >= MAX_FAILURES {
            return Some(report);
        }
        let scope = Scope::of(host.clone(), vec![Fact::Organization]);
        let records = match self.records(&scope).await {
            Ok(records) => records,
            Err(error) => {
                tracing::warn!(
                    invite = %invite.id,
                    code = error.code(),
                    "an invite could not be mailed"
                );
                return Some(report);
            }
        };
        let Some(organization) = records.organization(host) else {
            return Some(report);
        };
        let mut mail = InviteMail::new(&invite.address, &organization.name, token);
        mail.host_display_name = organization.display_name.as_ref();
        mail.inviter = actor.display_name();
        mail.role = invite.config.preset.role.as_ref();
        mail.message = invite.config.message.as_ref();
        mail.url = invited.url.as_ref();
        mail.expires_at = invite.expires_at;
        match mailer.invite(&mail).await {
            Ok(()) => {
                *failures = 0;
                report.sent = true;
            }
            Err(error) => {
                tracing::warn!(
                    invite = %invite.id,
                    code = error.code(),
                    "an invite could not be mailed"
                );
                if error.is_transient() {
                    *failures += 1;
                }
            }
        }
        Some(report)
    }

    /// Writes down what became of mails, and shows it in the outcomes.
    async fn report_delivery(
        &self,
        host: &OrgId,
        reports: Vec<DeliveryReport>,
        outcomes: &mut [Option<InviteOutcome>],
    ) {
        if reports.is_empty() {
            return;
        }
        let now = self.write_reports(host, reports).await;
        for outcome in outcomes.iter_mut().flatten() {
            if let InviteOutcome::Invited(invited) = outcome
                && let Some(invite) = now.iter().find(|invite| invite.id == invited.invite.id)
            {
                invited.invite = invite.clone();
            }
        }
    }

    /// The invites with what was written; nothing if that can't be written: the mails are sent,
    /// and their delivery stays unknown.
    async fn write_reports(&self, host: &OrgId, reports: Vec<DeliveryReport>) -> Vec<EmailInvite> {
        let ids: Vec<InviteId> = reports.iter().map(|report| report.invite).collect();
        let actor = Actor::system();
        let command = Command::Invite(InviteCommand::ReportDelivery { reports });
        let arguments = command.clone();
        let ask = Ask::new(host, &actor, command, "report-delivery", &arguments);
        let written: Result<Vec<EmailInvite>, Error> = self
            .without_key()
            .execute(ask, |outcome| {
                let invite = |id: &InviteId| outcome.records.invite(outcome.host, *id).cloned();
                Ok(ids.iter().filter_map(invite).collect())
            })
            .await;
        written.unwrap_or_else(|error| {
            tracing::warn!(
                code = error.code(),
                "what became of mails is not written down"
            );
            Vec::new()
        })
    }

    /// Makes a new token for an invite and mails it. The old token is dead in the same commit, the
    /// expiry begins anew, and nothing else changes. Needs `invites.send`.
    ///
    /// # Errors
    ///
    /// `wrong-invite-state` naming the state found, `already-invited` if another invite has taken
    /// its address meanwhile, `inviter-not-standing`, whatever of its gift the actor may not give,
    /// `not-found`, `not-allowed`, `rate-limited`.
    pub async fn resend_invite(
        &self,
        actor: &Actor,
        host: &OrgId,
        invite: InviteId,
    ) -> Result<Invited, Error> {
        self.limit("resend-invite", Attempt::Invite(1), actor, Some(host))
            .await?;
        let token = self.draw_token(TokenKind::EmailInvite, host)?;
        let binding = Binding {
            host,
            subject: *invite.as_bytes(),
        };
        let secret = TokenSecret {
            selector: token.selector(),
            tag: self.config.peppers.tag(&token, &binding),
            sealed: None,
        };
        let (selector, tag) = (secret.selector, secret.tag);
        let ask = Ask {
            host,
            actor,
            digest: digest("resend-invite", &(host, invite)),
            command: Command::Invite(InviteCommand::Resend {
                invite,
                token: NewToken { selector, tag },
            }),
            secrets: &[secret],
            erasures: &[],
            presented: None,
            operation: "resend-invite",
        };
        let kept: EmailInvite = self
            .execute(ask, |outcome| invite_in(outcome, invite))
            .await?;
        let fresh = kept.token == Some(selector);
        let mut invited = self.invited(kept, fresh.then_some(token));
        if let Some(report) = self.mail(actor, host, &invited, &mut 0).await {
            let now = self.write_reports(host, vec![report]).await;
            if let Some(invite) = now.into_iter().next() {
                invited.invite = invite;
            }
        }
        Ok(invited)
    }

    /// Takes an invite back. Needs `invites.send`.
    ///
    /// # Errors
    ///
    /// `wrong-invite-state` naming the state found, `not-found`, `not-allowed`.
    pub async fn revoke_invite(
        &self,
        actor: &Actor,
        host: &OrgId,
        invite: InviteId,
    ) -> Result<EmailInvite, Error> {
        let command = Command::Invite(InviteCommand::Revoke { invite });
        let ask = Ask::new(host, actor, command, "revoke-invite", &invite);
        self.execute(ask, |outcome| invite_in(outcome, invite))
            .await
    }

    /// Takes several invites back, each on its own: one outcome per invite, in order. An empty
    /// selection is nothing, never everything.
    pub async fn revoke_invites(
        &self,
        actor: &Actor,
        host: &OrgId,
        invites: &[InviteId],
    ) -> Vec<Result<EmailInvite, Error>> {
        let mut outcomes = Vec::with_capacity(invites.len());
        for (part, invite) in (0_u32..).zip(invites) {
            outcomes.push(self.part(part).revoke_invite(actor, host, *invite).await);
        }
        outcomes
    }

    /// Accepts an e-mail invite: joins at once, or asks to join if the host wants that reviewed.
    ///
    /// By default the actor needs the invited address among its verified ones. Somebody who is a
    /// member already may get more by it, never less. Other invites of the same person in the same
    /// host are closed with it.
    ///
    /// # Errors
    ///
    /// `invalid-token`: unknown, replaced, revoked, expired, used: the same to everybody but
    /// managers of the host. `wrong-account` with the masked address, which uses nothing up;
    /// `wrong-kind-of-member`, `blocked`, `seats-full`, `own-organization`, `cooling-down`,
    /// `not-the-member`, `not-allowed`, `rate-limited`.
    pub async fn accept(
        &self,
        actor: &Actor,
        token: &InviteToken,
        claim: Claim,
    ) -> Result<Changed, Error> {
        if token.kind() != TokenKind::EmailInvite {
            return Err(TokenError::Kind.into());
        }
        self.limit("accept", Attempt::Accept, actor, None).await?;
        let member = member_of(actor, &claim)?;
        let command = MemberCommand::Accept {
            token: unchecked(token),
            member: member.clone(),
            profile: profile_of(actor),
            proxy: self.draw(ProxyUserId::generate)?,
        };
        let ask = Ask {
            host: &nowhere(&member),
            actor,
            digest: digest("accept", &(token.selector(), &member)),
            command: Command::Member(command),
            secrets: &[],
            erasures: &[],
            presented: Some(token),
            operation: "accept",
        };
        self.execute(ask, |outcome| membership_in(outcome, &member))
            .await
    }

    /// Declines an e-mail invite.
    ///
    /// # Errors
    ///
    /// `invalid-token`, `wrong-account`, `rate-limited`.
    pub async fn decline(&self, actor: &Actor, token: &InviteToken) -> Result<EmailInvite, Error> {
        if token.kind() != TokenKind::EmailInvite {
            return Err(TokenError::Kind.into());
        }
        self.limit("decline", Attempt::Accept, actor, None).await?;
        let ask = Ask {
            host: &crate::members::unknown_host(),
            actor,
            digest: digest("decline", &token.selector()),
            command: Command::Invite(InviteCommand::Decline {
                token: unchecked(token),
            }),
            secrets: &[],
            erasures: &[],
            presented: Some(token),
            operation: "decline",
        };
        let selector = token.selector();
        self.execute(ask, |outcome| {
            let token = outcome.records.token(selector);
            let invite = token.and_then(|token| token.subject.invite());
            invite_in(outcome, invite.ok_or_else(|| not_found("invite"))?)
        })
        .await
    }

    /// Shows what an invite's token opens, before anybody signs in. Changes nothing and uses
    /// nothing up.
    ///
    /// # Errors
    ///
    /// `invalid-token`, the same for every reason.
    pub async fn preview_invite(&self, token: &InviteToken) -> Result<InvitePreview, Error> {
        let loaded = self.load(&invite_scope(token)).await?;
        let records = loaded.records();
        let presented = Presented {
            selector: token.selector(),
            genuine: self.verify(records, token).is_valid()
                && token.kind() == TokenKind::EmailInvite,
        };
        let stated = self.invite_creator(records, token).await?;
        Ok(preview(
            records,
            &presented,
            &self.env(self.now(), &stated),
        )?)
    }

    /// Tells a manager of the host precisely what is the matter with an invite's token.
    ///
    /// # Errors
    ///
    /// `not-found` for tokens of other organizations and for unknown ones; `not-allowed`.
    pub async fn inspect_invite(
        &self,
        actor: &Actor,
        host: &OrgId,
        token: &InviteToken,
    ) -> Result<InviteTokenReport, Error> {
        self.check_read(actor, host, &Reading::Invites).await?;
        let loaded = self.load(&invite_scope(token)).await?;
        let records = loaded.records();
        let genuine = self.verify(records, token).is_valid();
        let invite = records
            .token(token.selector())
            .filter(|record| genuine && record.host == *host)
            .and_then(|record| records.invite(host, record.subject.invite()?))
            .ok_or_else(|| not_found("token"))?;
        let presented = Presented {
            selector: token.selector(),
            genuine,
        };
        let stated = self.invite_creator(records, token).await?;
        Ok(InviteTokenReport {
            invite: invite.clone(),
            problem: problem(records, &presented, &self.env(self.now(), &stated)),
        })
    }

    async fn invite_creator(
        &self,
        records: &guestlist_membership::Records,
        token: &InviteToken,
    ) -> Result<Stated, Error> {
        let invite = records
            .token(token.selector())
            .and_then(|record| records.invite(&record.host, record.subject.invite()?));
        match invite {
            Some(invite) => {
                self.stated(records, &invite.host, invite.creator.as_ref())
                    .await
            }
            None => Ok(Stated::NOBODY),
        }
    }

    /// E-mail invites of an organization, oldest first. Needs `invites.send`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `cursor-invalid`.
    pub async fn invites(
        &self,
        actor: &Actor,
        host: &OrgId,
        filter: InviteFilter,
        page: &Page,
    ) -> Result<InvitePage, Error> {
        self.check_read(actor, host, &Reading::Invites).await?;
        let query = Query::Invites {
            host: host.clone(),
            filter,
        };
        self.invite_page(&query, page).await
    }

    /// One e-mail invite. Needs `invites.send`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn email_invite(
        &self,
        actor: &Actor,
        host: &OrgId,
        invite: InviteId,
    ) -> Result<EmailInvite, Error> {
        self.check_read(actor, host, &Reading::Invites).await?;
        let facts = vec![Fact::Invite(InviteRef::Id(invite))];
        let records = self.records(&Scope::of(host.clone(), facts)).await?;
        records
            .invite(host, invite)
            .cloned()
            .ok_or_else(|| not_found("invite"))
    }

    /// Invites to one of the actor's own verified addresses, in all organizations.
    ///
    /// # Errors
    ///
    /// `not-the-member` if the address is not verified, `cursor-invalid`.
    pub async fn invites_to(
        &self,
        actor: &Actor,
        address: &EmailAddress,
        phase: Option<InvitePhase>,
        page: &Page,
    ) -> Result<InvitePage, Error> {
        if !actor.is_system() && !actor.emails().contains(address) {
            return Err(CommandError::NotTheMember.into());
        }
        let query = Query::InvitesTo {
            address: address.clone(),
            phase,
        };
        self.invite_page(&query, page).await
    }

    async fn invite_page(&self, query: &Query, page: &Page) -> Result<InvitePage, Error> {
        let Listed { rows, next } = self.list(query, page).await?;
        let invites = rows_of(rows, |_, row| match row {
            Row::Invite(invite) => Some(*invite),
            _ => None,
        });
        Ok(InvitePage { invites, next })
    }
}

const fn sign_on(single: bool, known: &AddressFacts) -> SignOn {
    match (single, known.signs_on_elsewhere) {
        (false, _) => SignOn::Usual,
        (true, false) => SignOn::Single,
        (true, true) => SignOn::Elsewhere,
    }
}

/// A token as it is presented, before anybody has looked whether it is genuine.
const fn unchecked(token: &InviteToken) -> Presented {
    Presented {
        selector: token.selector(),
        genuine: false,
    }
}

/// What an invite's token leads to.
fn invite_scope(token: &InviteToken) -> Scope {
    Scope {
        root: Root::Token(token.selector()),
        facts: vec![
            Fact::Organization,
            Fact::Invite(InviteRef::OfToken),
            Fact::InviteCreator(InviteRef::OfToken),
            Fact::BookForInvite(InviteRef::OfToken),
        ],
    }
}

/// The addresses of a call that can be invited, and the outcomes of those that can't.
fn sorted(invitations: &Invitations) -> (Vec<Option<InviteOutcome>>, Vec<Wanted>) {
    let mut places = std::collections::BTreeMap::new();
    let (mut outcomes, mut wanted) = (Vec::new(), Vec::new());
    for (place, (text, role)) in invitations.to.iter().enumerate() {
        let address = match EmailAddress::parse(text) {
            Ok(address) => address,
            Err(error) => {
                outcomes.push(Some(InviteOutcome::Invalid { code: error.code() }));
                continue;
            }
        };
        if let Some(of) = places.get(&address) {
            outcomes.push(Some(InviteOutcome::Duplicate { of: *of }));
            continue;
        }
        places.insert(address.clone(), place);
        outcomes.push(None);
        wanted.push(Wanted {
            place,
            address,
            role: role.clone(),
        });
    }
    (outcomes, wanted)
}

fn whole(outcomes: Vec<Option<InviteOutcome>>) -> Vec<InviteOutcome> {
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(InviteOutcome::NotSent))
        .collect()
}

/// What came of each item, with the invites that were made.
fn kept(outcome: &Outcome<'_>, ids: &[InviteId]) -> Vec<Kept> {
    let sent = |id: &InviteId| outcome.records.invite(outcome.host, *id).cloned();
    let items = ids.iter().zip(outcome.items);
    items
        .map(|(id, item)| match item {
            Ok(()) => sent(id).map_or(Kept::NotSent, |invite| Kept::Invited(Box::new(invite))),
            Err(CommandError::AlreadyMember) => Kept::AlreadyMember,
            Err(CommandError::AlreadyInvited) => Kept::AlreadyInvited,
            Err(error) => Kept::Refused {
                code: error.code().to_owned(),
                message: error.to_string(),
            },
        })
        .collect()
}

fn invite_in(outcome: &Outcome<'_>, invite: InviteId) -> Result<EmailInvite, Error> {
    outcome
        .records
        .invite(outcome.host, invite)
        .cloned()
        .ok_or_else(|| not_found("invite"))
}
