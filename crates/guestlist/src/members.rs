//! Memberships: the doors, review, endings.

use core::future::Future;
use core::pin::Pin;

use guestlist_access::{Episode, GroupMember};
use guestlist_membership::invite::InviteCommand;
use guestlist_membership::link::{Generation, LinkCommand, Preset, UseState};
use guestlist_membership::member::{
    ActingRule, Cause, Changes, MemberCommand, Membership, Presented, Profile, Status,
};
use guestlist_membership::{Actor, By, Command, Fact, LinkRef, Reading, Row, RowKey, Scope};
use guestlist_store::{Cursor, Listed, MemberFilter, Page, Query, Store};
use guestlist_token::{InviteToken, TokenError, TokenKind};
use guestlist_types::{GroupId, LinkId, Member, OrgId, ProxyUserId, Reason, RoleName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facade::{Ask, Guestlist, Outcome, rows_of};
use crate::idempotency::digest;
use crate::organizations::not_found;
use crate::rate::Attempt;

/// A claim: who joins, and their answers to the link's questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    for_organization: bool,
    answers: Vec<String>,
}

impl Claim {
    /// The actor's organization joins. Needs `memberships.manage` there.
    #[must_use]
    pub const fn for_organization() -> Self {
        Self {
            for_organization: true,
            answers: Vec::new(),
        }
    }

    /// The actor joins as a single user.
    #[must_use]
    pub const fn for_myself() -> Self {
        Self {
            for_organization: false,
            answers: Vec::new(),
        }
    }

    /// Answers the next question of the link or the host.
    #[must_use]
    pub fn answer(mut self, answer: impl Into<String>) -> Self {
        self.answers.push(answer.into());
        self
    }

    pub(crate) fn answers(&self) -> &[String] {
        &self.answers
    }

    pub(crate) fn into_answers(self) -> Vec<String> {
        self.answers
    }
}

/// Who joins by a claim.
pub(crate) fn member_of(actor: &Actor, claim: &Claim) -> Result<Member, Error> {
    let member = if claim.for_organization {
        actor.as_member_organization()
    } else {
        actor.as_member()
    };
    Ok(member.ok_or(guestlist_membership::CommandError::NotTheMember)?)
}

/// Stands in for the host of a token, which is found by the token itself.
pub(crate) fn nowhere(member: &Member) -> OrgId {
    match member {
        Member::Org(org) => org.clone(),
        Member::User(_) => unknown_host(),
    }
}

/// A membership after a command, and whether the command changed anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Changed {
    /// The membership as it is now.
    pub membership: Membership,
    /// Whether this command changed it; `false` if all was as it wanted already.
    pub changed: bool,
}

/// A page of memberships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPage {
    /// The memberships, in the order of the list.
    pub members: Vec<Membership>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

/// A request that waits for review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRequest {
    /// The membership.
    pub membership: Membership,
    /// How many whole days it has waited.
    pub days_waiting: u64,
}

/// A page of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingPage {
    /// The requests, longest waiting first.
    pub requests: Vec<PendingRequest>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

/// Somebody who came through a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkUser {
    /// Who.
    pub member: Member,
    /// With which generation of its token.
    pub generation: Generation,
    /// What became of the use.
    pub state: UseState,
    /// Since when.
    pub at: Timestamp,
    /// How the request ended, if that gave the use back.
    pub released_for: Option<Cause>,
    /// Who approved the member, if its current episode came through this link.
    pub approved_by: Option<By>,
    /// When that was.
    pub approved_at: Option<Timestamp>,
    /// Whether it is in now, through this link.
    pub still_member: bool,
}

/// What came of one generation of a link's token, in distinct members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Funnel {
    /// Which token.
    pub generation: Generation,
    /// How often it was previewed, if that is [counted](crate::Builder::count_previews). Not in
    /// members: whoever looks, scanners too.
    pub previews: u64,
    /// Who presented it and got past the gate.
    pub claims: u64,
    /// Who was approved, by a person or by itself.
    pub approvals: u64,
    /// Who was rejected, and has not come back through this link.
    pub rejections: u64,
    /// Who is in now, through this link.
    pub still_members: u64,
}

impl Funnel {
    const fn of(generation: Generation) -> Self {
        Self {
            generation,
            previews: 0,
            claims: 0,
            approvals: 0,
            rejections: 0,
            still_members: 0,
        }
    }
}

impl<S: Store> Guestlist<S> {
    /// Presents a link's token: asks to join, or joins at once if link and host say so.
    ///
    /// A claim by somebody who waits already or is a member already changes nothing and uses
    /// nothing up. The limit of a link holds under any number of claims at the same time.
    ///
    /// # Errors
    ///
    /// `invalid-token`: unknown, refreshed away, disabled, expired, exhausted, of a host that
    /// rests: the same to everybody but managers of the host. Otherwise what the link or the host
    /// asks for: `wrong-kind-of-member`, `member-not-allowed`, `domain-not-allowed`,
    /// `answers-missing`, `blocked`, `cooling-down`, `rejected-link`, `invite-only`, `seats-full`,
    /// `own-organization`, `already-member`; and `not-the-member` or `not-allowed` for an actor who can't bind the
    /// organization.
    pub async fn claim(
        &self,
        actor: &Actor,
        token: &InviteToken,
        claim: Claim,
    ) -> Result<Changed, Error> {
        if token.kind() != TokenKind::Link {
            return Err(TokenError::Kind.into());
        }
        self.limit("claim", Attempt::Claim, actor, None).await?;
        let member = member_of(actor, &claim)?;
        let arguments = (token.selector(), &member, &claim.answers);
        let digest = digest("claim", &arguments);
        let command = MemberCommand::Claim {
            token: Presented {
                selector: token.selector(),
                genuine: false,
            },
            member: member.clone(),
            profile: profile_of(actor),
            answers: claim.answers,
            proxy: self.draw(ProxyUserId::generate)?,
        };
        let ask = Ask {
            host: &nowhere(&member),
            actor,
            command: Command::Member(command),
            digest,
            secrets: &[],
            erasures: &[],
            presented: Some(token),
            operation: "claim",
        };
        self.execute(ask, |outcome| membership_in(outcome, &member))
            .await
    }

    /// Adds somebody directly, or gives a member more: groups, grants, a higher role, never a
    /// lower one. Needs `requests.review`, and nobody gives more than they may.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `role-above-own`, the code of a group or grant that may not be given,
    /// `too-many` of them, `blocked`, `seats-full`, `own-organization`.
    pub async fn add_member(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
        gift: Preset,
        expires_at: Option<Timestamp>,
    ) -> Result<Changed, Error> {
        let arguments = (member, &gift, expires_at);
        let digest = digest("add-member", &(host, &arguments));
        let command = MemberCommand::Add {
            member: member.clone(),
            profile: Profile::default(),
            gift: Box::new(gift.clone()),
            expires_at,
            proxy: self.draw(ProxyUserId::generate)?,
        };
        self.member_command(actor, host, member, command, ("add-member", digest))
            .await
    }

    /// Lets a pending member in, with what its link gives. Needs `requests.review`.
    ///
    /// # Errors
    ///
    /// `wrong-state` naming the state found, `creator-not-standing`, `inviter-not-standing`,
    /// `seats-full`, `blocked`, and whatever of the gift the actor may not give.
    pub async fn approve(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
    ) -> Result<Changed, Error> {
        self.approve_with(actor, host, member, Changes::default())
            .await
    }

    /// Lets a pending member in with changes: another role, other groups or grants, an end.
    ///
    /// # Errors
    ///
    /// As [`Guestlist::approve`], `in-the-past` and `too-many`.
    pub async fn approve_with(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
        changes: Changes,
    ) -> Result<Changed, Error> {
        let digest = digest("approve", &(host, member, &changes));
        let command = MemberCommand::Approve {
            member: member.clone(),
            changes: Box::new(changes),
            proxy: self.draw(ProxyUserId::generate)?,
        };
        self.member_command(actor, host, member, command, ("approve", digest))
            .await
    }

    /// Denies a pending request. Needs `requests.review`.
    ///
    /// # Errors
    ///
    /// `wrong-state` naming the state found.
    pub async fn reject(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
        reason: Option<Reason>,
    ) -> Result<Changed, Error> {
        let digest = digest("reject", &(host, member, &reason));
        let command = MemberCommand::Reject {
            member: member.clone(),
            reason,
        };
        self.member_command(actor, host, member, command, ("reject", digest))
            .await
    }

    /// Ends an approved membership. Access, groups and grants end in this commit; tokens issued
    /// before are dead for this member. Needs `members.remove`.
    ///
    /// # Errors
    ///
    /// `wrong-state` naming the state found, `role-above-own`, `last-owner`.
    pub async fn remove(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
        reason: Option<Reason>,
    ) -> Result<Changed, Error> {
        let digest = digest("remove", &(host, member, &reason));
        let command = MemberCommand::Remove {
            member: member.clone(),
            reason,
        };
        self.member_command(actor, host, member, command, ("remove", digest))
            .await
    }

    /// Withdraws the member's own pending request.
    ///
    /// # Errors
    ///
    /// `wrong-state` naming the state found, `not-the-member`.
    pub async fn cancel(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
    ) -> Result<Changed, Error> {
        let digest = digest("cancel", &(host, member));
        let command = MemberCommand::Cancel {
            member: member.clone(),
        };
        self.member_command(actor, host, member, command, ("cancel", digest))
            .await
    }

    /// Ends the member's own membership, or withdraws its request.
    ///
    /// # Errors
    ///
    /// `wrong-state` naming the state found, `not-the-member`, `last-owner`.
    pub async fn leave(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
    ) -> Result<Changed, Error> {
        let digest = digest("leave", &(host, member));
        let command = MemberCommand::Leave {
            member: member.clone(),
        };
        self.member_command(actor, host, member, command, ("leave", digest))
            .await
    }

    /// Gives a joined user another role. Needs `members.change_role` and a role at least as high
    /// as both the old and the new one.
    ///
    /// # Errors
    ///
    /// `wrong-state`, `role-above-own`, `unknown-role`, `last-owner`, `proxy-has-no-role`.
    pub async fn change_role(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
        role: RoleName,
    ) -> Result<Changed, Error> {
        let digest = digest("change-role", &(host, member, &role));
        let command = MemberCommand::ChangeRole {
            member: member.clone(),
            role,
        };
        self.member_command(actor, host, member, command, ("change-role", digest))
            .await
    }

    /// Lets a member in by no door any more. Ends nothing by itself. Needs `members.remove`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn block(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
        reason: Option<Reason>,
    ) -> Result<Changed, Error> {
        let digest = digest("block", &(host, member, &reason));
        let command = MemberCommand::Block {
            member: member.clone(),
            reason,
        };
        self.member_command(actor, host, member, command, ("block", digest))
            .await
    }

    /// Takes a block back. Needs `members.remove`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn unblock(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
    ) -> Result<Changed, Error> {
        let digest = digest("unblock", &(host, member));
        let command = MemberCommand::Unblock {
            member: member.clone(),
        };
        self.member_command(actor, host, member, command, ("unblock", digest))
            .await
    }

    /// Forgets that a member was removed: older tokens work for it again, and approve by
    /// themselves again. Needs `members.remove`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn lift_removal(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
    ) -> Result<Changed, Error> {
        let digest = digest("lift-removal", &(host, member));
        let command = MemberCommand::LiftRemoval {
            member: member.clone(),
        };
        self.member_command(actor, host, member, command, ("lift-removal", digest))
            .await
    }

    /// Says which of a member organization's people may act through its proxy user in `host`;
    /// `None`: all of them. Needs `memberships.manage` in the member organization.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `too-many`, `own-organization`.
    pub async fn restrict_acting(
        &self,
        actor: &Actor,
        organization: &OrgId,
        host: &OrgId,
        rule: Option<ActingRule>,
    ) -> Result<(), Error> {
        let command = Command::Member(MemberCommand::RestrictActing {
            host: host.clone(),
            rule,
        });
        let arguments = command.clone();
        let ask = Ask::new(organization, actor, command, "restrict-acting", &arguments);
        self.execute(ask, |_| Ok(())).await
    }

    /// Which of a member organization's people may act through its proxy user in `host`; `None`:
    /// all of them. For the people of the member organization.
    ///
    /// # Errors
    ///
    /// `not-the-member`, `not-found`.
    pub async fn acting_rule(
        &self,
        actor: &Actor,
        organization: &OrgId,
        host: &OrgId,
    ) -> Result<Option<ActingRule>, Error> {
        let member = Member::Org(organization.clone());
        self.check_read(actor, organization, &Reading::MembershipsOf(&member))
            .await?;
        let scope = Scope::of(organization.clone(), vec![Fact::ActingIn(host.clone())]);
        let records = self.records(&scope).await?;
        Ok(records.acting(organization, host).cloned())
    }

    async fn member_command(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
        command: MemberCommand,
        (operation, digest): (&'static str, guestlist_store::CommandDigest),
    ) -> Result<Changed, Error> {
        let ask = Ask {
            host,
            actor,
            operation,
            command: Command::Member(command),
            digest,
            secrets: &[],
            erasures: &[],
            presented: None,
        };
        self.execute(ask, |outcome| membership_in(outcome, member))
            .await
    }

    /// Approves several requests, each on its own: one outcome per member, in order. An empty
    /// selection is nothing, never everything.
    pub async fn approve_all(
        &self,
        actor: &Actor,
        host: &OrgId,
        members: &[Member],
    ) -> Vec<Result<Changed, Error>> {
        let mut outcomes = Vec::with_capacity(members.len());
        for (part, member) in (0_u32..).zip(members) {
            outcomes.push(self.part(part).approve(actor, host, member).await);
        }
        outcomes
    }

    /// Rejects several requests, each on its own: one outcome per member, in order.
    pub async fn reject_all(
        &self,
        actor: &Actor,
        host: &OrgId,
        members: &[Member],
        reason: Option<&Reason>,
    ) -> Vec<Result<Changed, Error>> {
        let mut outcomes = Vec::with_capacity(members.len());
        for (part, member) in (0_u32..).zip(members) {
            let one = self.part(part);
            outcomes.push(one.reject(actor, host, member, reason.cloned()).await);
        }
        outcomes
    }

    /// Removes several members, each on its own: one outcome per member, in order.
    pub async fn remove_all(
        &self,
        actor: &Actor,
        host: &OrgId,
        members: &[Member],
        reason: Option<&Reason>,
    ) -> Vec<Result<Changed, Error>> {
        let mut outcomes = Vec::with_capacity(members.len());
        for (part, member) in (0_u32..).zip(members) {
            let one = self.part(part);
            outcomes.push(one.remove(actor, host, member, reason.cloned()).await);
        }
        outcomes
    }

    /// Writes down what has run out: requests, memberships, links and e-mail invites, at most
    /// `limit` of each, and tells how many it wrote. Everything ends without it; it is for the log,
    /// and gives uses and seats back early.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn sweep(&self, limit: u32) -> Result<usize, Error> {
        let page = Page::first(limit.clamp(1, 1000))?;
        let mut written = self.sweep_in(None, limit).await?;
        let listed = self.list(&Query::RunOutLinks { host: None }, &page).await?;
        for (key, _) in listed.rows {
            if let RowKey::Link(host, link) = key {
                let command = Command::Link(LinkCommand::Expire { link });
                written += usize::from(self.write_expiry(&host, command, &link).await?);
            }
        }
        let invites = Query::RunOutInvites { host: None };
        for (key, _) in self.list(&invites, &page).await?.rows {
            if let RowKey::Invite(host, invite) = key {
                let command = Command::Invite(InviteCommand::Expire { invite });
                written += usize::from(self.write_expiry(&host, command, &invite).await?);
            }
        }
        Ok(written)
    }

    async fn write_expiry(
        &self,
        host: &OrgId,
        command: Command,
        what: &(impl Serialize + Sync),
    ) -> Result<bool, Error> {
        let actor = Actor::system();
        let ask = Ask::new(host, &actor, command, "expire", what);
        self.without_key()
            .execute(ask, |outcome| Ok(outcome.changed))
            .await
    }

    /// The same for one organization, on behalf of a command that found no use or seat left.
    ///
    /// Boxed without its type, because the commands of a sweep are commands like the one that
    /// called for it.
    pub(crate) fn sweep_host<'a>(
        &'a self,
        host: &'a OrgId,
    ) -> Pin<Box<dyn Future<Output = Result<usize, Error>> + Send + 'a>> {
        Box::pin(async move { self.without_key().sweep_in(Some(host.clone()), 1000).await })
    }

    async fn sweep_in(&self, host: Option<OrgId>, limit: u32) -> Result<usize, Error> {
        let page = Page::first(limit.clamp(1, 1000))?;
        let listed = self.list(&Query::RunOut { host }, &page).await?;
        let mut written = 0;
        for (key, _) in listed.rows {
            let RowKey::Membership(host, member) = key else {
                continue;
            };
            let command = MemberCommand::Expire {
                member: member.clone(),
            };
            let digest = digest("expire", &(&host, &member));
            let changed = self
                .member_command(
                    &Actor::system(),
                    &host,
                    &member,
                    command,
                    ("expire", digest),
                )
                .await?
                .changed;
            written += usize::from(changed);
        }
        Ok(written)
    }

    /// One membership, for reviewers of the host and for the member itself.
    ///
    /// # Errors
    ///
    /// `not-found` if there is none, and for everybody else.
    pub async fn membership(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
    ) -> Result<Membership, Error> {
        self.check_read(actor, host, &Reading::Membership(member))
            .await?;
        let scope = Scope::of(host.clone(), vec![Fact::Membership(member.clone())]);
        let records = self.records(&scope).await?;
        records
            .membership(host, member)
            .cloned()
            .ok_or_else(|| not_found("membership"))
    }

    /// Requests that wait for review, longest waiting first. Needs `requests.review`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `cursor-invalid`.
    pub async fn pending(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: Option<LinkId>,
        page: &Page,
    ) -> Result<PendingPage, Error> {
        self.check_read(actor, host, &Reading::Requests).await?;
        let now = self.now();
        let query = Query::Pending {
            host: host.clone(),
            link,
        };
        let Listed { rows, next } = self.list(&query, page).await?;
        let requests = rows_of(rows, |_, row| match row {
            Row::Membership(membership) => Some(PendingRequest {
                days_waiting: membership.days_waiting(now),
                membership: *membership,
            }),
            _ => None,
        });
        Ok(PendingPage { requests, next })
    }

    /// Members of an organization, for its members.
    ///
    /// # Errors
    ///
    /// `not-found`, `cursor-invalid`.
    pub async fn members(
        &self,
        actor: &Actor,
        host: &OrgId,
        mut filter: MemberFilter,
        page: &Page,
    ) -> Result<MemberPage, Error> {
        // Only reviewers see those who are not in.
        let reading = if filter.status == Some(Status::Approved) {
            Reading::Members
        } else {
            Reading::Requests
        };
        self.check_read(actor, host, &reading).await?;
        if let Some(group) = filter.group {
            (filter.in_group, filter.proxies_in_group) = self.listed_in(host, group).await?;
        }
        let query = Query::Members {
            host: host.clone(),
            filter,
        };
        self.member_page(&query, page).await
    }

    /// The members that the access rules have directly in a group, with an episode that lives, and
    /// whether all proxy users are in it besides.
    async fn listed_in(
        &self,
        host: &OrgId,
        group: GroupId,
    ) -> Result<(std::collections::BTreeSet<Member>, bool), Error> {
        let book = Scope::of(host.clone(), vec![Fact::Book]);
        let records = self.records(&book).await?;
        let is_external = records
            .book()
            .is_some_and(|book| book.head().external_group == Some(group));
        let listed: Vec<(Member, Episode)> = records
            .book()
            .into_iter()
            .flat_map(|book| book.members_of(group))
            .filter_map(|entry| match entry {
                GroupMember::Member { member, episode } => Some((member.clone(), *episode)),
                GroupMember::Group(_) => None,
            })
            .collect();
        let facts = listed
            .iter()
            .map(|(member, _)| Fact::Membership(member.clone()))
            .collect();
        let records = self.records(&Scope::of(host.clone(), facts)).await?;
        let members = listed
            .into_iter()
            .filter(|(member, episode)| {
                records
                    .membership(host, member)
                    .is_some_and(|row| (row.access_since..=row.episode).contains(episode))
            })
            .map(|(member, _)| member)
            .collect();
        Ok((members, is_external))
    }

    /// Organizations that a member has joined or asked to join, by host. For the member itself.
    ///
    /// # Errors
    ///
    /// `not-the-member`, `cursor-invalid`.
    pub async fn memberships_of(
        &self,
        actor: &Actor,
        member: &Member,
        status: Option<Status>,
        page: &Page,
    ) -> Result<MemberPage, Error> {
        let home = match member {
            Member::Org(org) => org.clone(),
            Member::User(_) => unknown_host(),
        };
        let facts = actor
            .as_member()
            .map(Fact::Membership)
            .into_iter()
            .collect();
        let records = self.records(&Scope::of(home.clone(), facts)).await?;
        let env = self.env(self.now(), &guestlist_membership::Stated::NOBODY);
        let reading = Reading::MembershipsOf(member);
        guestlist_membership::may_read(&records, &home, actor, &reading, &env)?;
        let query = Query::MembershipsOf {
            member: member.clone(),
            status,
        };
        self.member_page(&query, page).await
    }

    async fn member_page(&self, query: &Query, page: &Page) -> Result<MemberPage, Error> {
        let Listed { rows, next } = self.list(query, page).await?;
        let members = rows_of(rows, |_, row| match row {
            Row::Membership(membership) => Some(*membership),
            _ => None,
        });
        Ok(MemberPage { members, next })
    }

    /// Who came through a link and what became of them, also of those who have left since. Needs
    /// `links.manage` or `links.create`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `cursor-invalid`.
    pub async fn link_users(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
        page: &Page,
    ) -> Result<(Vec<LinkUser>, Option<Cursor>), Error> {
        self.check_read(actor, host, &Reading::Links).await?;
        self.uses(host, link, page).await
    }

    /// What came of a link, for each generation of its token, oldest first. Reads all of its uses.
    /// Needs `links.manage` or `links.create`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn funnel(
        &self,
        actor: &Actor,
        host: &OrgId,
        link: LinkId,
    ) -> Result<Vec<Funnel>, Error> {
        self.check_read(actor, host, &Reading::Links).await?;
        let mut funnels = self.previews(host, link).await?;
        let mut page = Page::first(1000)?;
        loop {
            let (users, next) = self.uses(host, link, &page).await?;
            for user in users {
                let funnel = funnels
                    .entry(user.generation)
                    .or_insert(Funnel::of(user.generation));
                funnel.claims += 1;
                funnel.approvals += u64::from(user.state == UseState::Settled);
                funnel.rejections += u64::from(user.released_for == Some(Cause::Rejected));
                funnel.still_members += u64::from(user.still_member);
            }
            match next {
                Some(next) => page = page.after(next),
                None => return Ok(funnels.into_values().collect()),
            }
        }
    }

    /// The generations of a link, with their previews.
    async fn previews(
        &self,
        host: &OrgId,
        link: LinkId,
    ) -> Result<std::collections::BTreeMap<Generation, Funnel>, Error> {
        let of_link = Fact::Link(LinkRef::Id(link));
        let records = self
            .records(&Scope::of(host.clone(), vec![of_link]))
            .await?;
        let newest = records
            .link(host, link)
            .map(|link| link.generation.get())
            .ok_or_else(|| not_found("link"))?;
        let generations: Vec<Generation> = (1..=newest)
            .rev()
            .take(MAX_GENERATIONS)
            .map(Generation::new)
            .collect();
        let facts = generations
            .iter()
            .map(|generation| Fact::PreviewTally(link, *generation))
            .collect();
        let records = self.records(&Scope::of(host.clone(), facts)).await?;
        let funnel = |generation| {
            let previews = records.preview_tally(host, link, generation).unwrap_or(0);
            let mut funnel = Funnel::of(generation);
            funnel.previews = previews;
            (generation, funnel)
        };
        Ok(generations.into_iter().map(funnel).collect())
    }

    async fn uses(
        &self,
        host: &OrgId,
        link: LinkId,
        page: &Page,
    ) -> Result<(Vec<LinkUser>, Option<Cursor>), Error> {
        let query = Query::Uses {
            host: host.clone(),
            link,
        };
        let Listed { rows, next } = self.list(&query, page).await?;
        let uses = rows_of(rows, |key, row| match (key, row) {
            (RowKey::LinkUse(_, _, member), Row::LinkUse(held)) => Some((member, held)),
            _ => None,
        });
        let facts = uses
            .iter()
            .map(|(member, _)| Fact::Membership(member.clone()))
            .collect();
        let records = self.records(&Scope::of(host.clone(), facts)).await?;
        let now = self.now();
        let people = uses.into_iter().map(|(member, held)| {
            // Of the current episode only, if it came through this link.
            let episode = records
                .membership(host, &member)
                .filter(|membership| membership.door.link() == Some(link));
            LinkUser {
                generation: held.generation,
                state: held.state,
                at: held.at,
                released_for: held.released_for,
                approved_by: episode.and_then(|row| row.approved_by.clone()),
                approved_at: episode.and_then(|row| row.approved_at),
                still_member: episode
                    .is_some_and(|row| row.status_at(now) == Some(Status::Approved)),
                member,
            }
        });
        Ok((people.collect(), next))
    }
}

/// Of how many generations of a link previews are told, the newest ones.
const MAX_GENERATIONS: usize = 1000;

/// What a host is shown of a joining user.
pub(crate) fn profile_of(actor: &Actor) -> Profile {
    Profile {
        name: None,
        display_name: actor.display_name().cloned(),
        email: actor.emails().first().cloned(),
    }
}

/// Stands where an organization has to be named and none is known yet.
pub(crate) fn unknown_host() -> OrgId {
    OrgId::parse("?").expect("a question mark is printable")
}

pub(crate) fn membership_in(outcome: &Outcome<'_>, member: &Member) -> Result<Changed, Error> {
    let membership = outcome
        .records
        .membership(outcome.host, member)
        .cloned()
        .ok_or_else(|| not_found("membership"))?;
    Ok(Changed {
        membership,
        changed: outcome.changed,
    })
}
