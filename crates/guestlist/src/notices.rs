//! Telling people what became of requests and memberships.

use async_trait::async_trait;
use guestlist_membership::member::{Cause, MemberEvent};
use guestlist_membership::{Event, Fact, Records, Scope, Sequence};
use guestlist_store::{EventFilter, Recorded, Store};
use guestlist_types::{ConsumerName, DisplayName, EmailAddress, Member, OrgId, Reason};
use guestlist_webhooks::{Outcome, RetrySchedule};

use crate::error::Error;
use crate::facade::Guestlist;
use crate::mail::{Mailer, Notice, NoticeKind};
use crate::outgoing::{Carried, Courier, DeadLetter, Delivered};
use crate::ports::Addressee;

impl<S: Store> Guestlist<S> {
    /// Writes to people about what has happened since the last call, at most `limit` events:
    /// requests to reviewers; approvals, rejections, removals and expiries to the member. Call it
    /// again and again, from as many processes as you like.
    ///
    /// A member is written to at the verified address that it joined with; reviewers, member
    /// organizations and users without such an address at those that the
    /// [directory](crate::Directory::addressees) names. The first call only notes where the log
    /// ends: nobody is written to about what happened before. Without a mailer nothing is done.
    ///
    /// A mail that can't be sent for now is tried again later; each person is written to once, as
    /// far as the mailer tells whether that worked.
    ///
    /// # Errors
    ///
    /// Those of the store and of the directory.
    pub async fn deliver_notices(&self, limit: u32) -> Result<Delivered, Error> {
        let Some(mailer) = &self.config.mailer else {
            return Ok(Delivered::default());
        };
        let name = notices();
        let consumer = self.consumer(name.clone(), EventFilter::default());
        if consumer.kept().await?.record.is_none() {
            let end = self.end_of_log().await?;
            // An empty log is noted, too.
            let kept = consumer.kept().await?;
            let record = consumer.record(&kept, |record| record.acknowledged = end);
            if kept.record.is_none() {
                consumer.put(&kept, record, Vec::new(), Vec::new()).await?;
            }
        }
        let courier = ToPeople {
            guestlist: self,
            mailer: &**mailer,
        };
        let schedule = RetrySchedule::default();
        match self
            .pump(&name, EventFilter::default(), &courier, &schedule, limit)
            .await
        {
            Err(Error::ConsumerTaken) => Ok(Delivered {
                busy: 1,
                ..Delivered::default()
            }),
            done => done,
        }
    }

    /// Notices that could not be sent, oldest first: those that are tried again, and those that
    /// are not any more. For the host application itself; it asks nobody.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn unsent_notices(&self) -> Result<Vec<DeadLetter>, Error> {
        self.dead_letters_of(&notices()).await
    }

    /// Has notices tried again with the next round: one, or all that are not tried any more. Tells
    /// how many. For the host application itself; it asks nobody.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn resend_notices(&self, event: Option<Sequence>) -> Result<usize, Error> {
        self.try_again(&notices(), event).await
    }
}

fn notices() -> ConsumerName {
    ConsumerName::parse("notices").expect("a plain word is a name")
}

/// Carries events to the people concerned.
struct ToPeople<'a, S> {
    guestlist: &'a Guestlist<S>,
    mailer: &'a dyn Mailer,
}

/// What somebody is told of an event.
struct News<'a> {
    kind: NoticeKind,
    member: &'a Member,
    reason: Option<&'a Reason>,
}

fn news(event: &Event) -> Option<News<'_>> {
    let Event::Member(event) = event else {
        return None;
    };
    let (kind, reason) = match event {
        MemberEvent::Requested(_) => (NoticeKind::RequestReceived, None),
        MemberEvent::Approved { .. } => (NoticeKind::RequestApproved, None),
        MemberEvent::Ended { cause, reason, .. } => {
            let kind = match cause {
                Cause::Rejected => NoticeKind::RequestRejected,
                Cause::Removed => NoticeKind::MembershipRemoved,
                Cause::Expired => NoticeKind::MembershipExpired,
                // Whoever ended it knows.
                Cause::Withdrew | Cause::Left => return None,
            };
            (kind, reason.as_ref())
        }
        MemberEvent::Joined { .. }
        | MemberEvent::RoleChanged { .. }
        | MemberEvent::GiftAdded { .. }
        | MemberEvent::Blocked { .. }
        | MemberEvent::Unblocked { .. }
        | MemberEvent::RemovalLifted { .. }
        | MemberEvent::Erased { .. }
        | MemberEvent::ActingRestricted { .. } => return None,
    };
    Some(News {
        kind,
        member: event.member()?,
        reason,
    })
}

impl<S: Store> ToPeople<'_, S> {
    async fn addresses(
        &self,
        news: &News<'_>,
        host: &OrgId,
        records: &Records,
    ) -> Result<Vec<EmailAddress>, Error> {
        let joined_with = records
            .membership(host, news.member)
            .and_then(|membership| membership.profile.email.clone());
        let addressee = match (news.kind, news.member) {
            (NoticeKind::RequestReceived, _) => Addressee::Reviewers(host),
            (_, Member::Org(organization)) => Addressee::Organization(organization),
            (_, Member::User(user)) => match joined_with {
                Some(address) => return Ok(vec![address]),
                None => Addressee::User(user),
            },
        };
        self.guestlist
            .config
            .directory
            .addressees(&addressee)
            .await
            .map_err(Error::Directory)
    }
}

#[async_trait]
impl<S: Store> Courier for ToPeople<'_, S> {
    async fn carry(&self, recorded: &Recorded, reached: &mut Vec<u32>) -> Result<Carried, Error> {
        let Some(news) = news(&recorded.event) else {
            return Ok(Carried::Unwanted);
        };
        let host = &recorded.organization;
        let facts = vec![Fact::Organization, Fact::Membership(news.member.clone())];
        let records = self
            .guestlist
            .records(&Scope::of(host.clone(), facts))
            .await?;
        let Some(organization) = records.organization(host) else {
            return Ok(Carried::Unwanted);
        };
        let profile = records
            .membership(host, news.member)
            .map(|membership| &membership.profile);
        let mut failure = None;
        for to in self.addresses(&news, host, &records).await? {
            let recipient = crc32fast::hash(to.as_str().as_bytes());
            if reached.contains(&recipient) {
                continue;
            }
            let id = format!(
                "{}.{}.{recipient:08x}",
                recorded.commit, recorded.sequence.ordinal
            );
            let mut notice = Notice::new(
                id,
                news.kind,
                to,
                organization.name.clone(),
                news.member.clone(),
                recorded.stamp.at,
            );
            notice
                .host_display_name
                .clone_from(&organization.display_name);
            notice.member_name = profile.and_then(|profile| {
                let handle = || DisplayName::parse(profile.name.as_ref()?.as_str()).ok();
                profile.display_name.clone().or_else(handle)
            });
            notice.reason = news.reason.cloned();
            match self.mailer.notify(&notice).await {
                Ok(()) => reached.push(recipient),
                Err(error) if error.is_transient() => failure = Some(error.code()),
                // Nobody gets this one, however often it is tried.
                Err(error) => {
                    tracing::warn!(
                        notice = notice.id,
                        code = error.code(),
                        "a notice was refused"
                    );
                    reached.push(recipient);
                }
            }
        }
        Ok(match failure {
            None => Carried::Delivered,
            Some(code) => Carried::Failed {
                code: code.to_owned(),
                outcome: Outcome::Failed { retry_after: None },
            },
        })
    }
}
