//! Erasing a member's personal data.

use guestlist_membership::member::MemberCommand;
use guestlist_membership::{Actor, Command, Event, RowKey};
use guestlist_store::{Cursor, EventFilter, Recorded, Store, Write};
use guestlist_types::{InviteId, Member, OrgId};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facade::{Ask, Guestlist};

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Erased {
    /// How many events of the log were rewritten.
    pub events: u64,
}

/// How often erasing starts over when something about the member happens meanwhile.
const MAX_ROUNDS: u32 = 8;

impl<S: Store> Guestlist<S> {
    /// Erases a member's personal data from what an organization keeps: names and addresses,
    /// answers, messages and reasons, in its membership, in the e-mail invites that it accepted,
    /// in the log, and in the answers that are kept for idempotency keys. What happened and when
    /// stays, as does the membership itself; ids stay as the host application's pseudonyms. The
    /// log folded still gives the stored rows, and the [hash chain](Guestlist::seal_audit) holds.
    ///
    /// Needs `settings.manage`. Calling it again erases what has come since.
    ///
    /// # Errors
    ///
    /// `not-found` if there is no membership, `not-allowed`, `contended`.
    pub async fn erase(
        &self,
        actor: &Actor,
        host: &OrgId,
        member: &Member,
    ) -> Result<Erased, Error> {
        let mut erased = 0;
        for _ in 0..MAX_ROUNDS {
            let (invites, found) = self.personal(host, member).await?;
            let erasures: Vec<Write> = found
                .iter()
                .map(|recorded| Write::Erase {
                    key: RowKey::Membership(host.clone(), member.clone()),
                    sequence: recorded.sequence,
                    commit: recorded.commit,
                    event: Box::new(recorded.event.erased()),
                    mark: self
                        .config
                        .audit_key
                        .as_ref()
                        .map_or([0; 32], |key| key.mark(recorded)),
                })
                .collect();
            let command = Command::Member(MemberCommand::Erase {
                member: member.clone(),
                invites,
                logged: !erasures.is_empty(),
            });
            let ask = Ask {
                erasures: &erasures,
                ..Ask::new(host, actor, command, "erase", member)
            };
            let changed = self
                .without_key()
                .execute(ask, |outcome| Ok(outcome.changed))
                .await?;
            if !changed {
                return Ok(Erased { events: erased });
            }
            erased += erasures.len() as u64;
        }
        Err(Error::Contended)
    }

    /// The events that hold personal data of a member, and the invites that it accepted.
    async fn personal(
        &self,
        host: &OrgId,
        member: &Member,
    ) -> Result<(Vec<InviteId>, Vec<Recorded>), Error> {
        let of_member = EventFilter {
            member: Some(member.clone()),
            ..EventFilter::of(host.clone())
        };
        let mut found = self.all_events(&of_member).await?;
        let mut invites: Vec<InviteId> = Vec::new();
        for recorded in &found {
            if let Event::Invite(event) = &recorded.event {
                invites.push(event.invite());
            }
        }
        for invite in &invites {
            let of_invite = EventFilter {
                invite: Some(*invite),
                ..EventFilter::of(host.clone())
            };
            found.extend(self.all_events(&of_invite).await?);
        }
        found.retain(|recorded| recorded.event.erased() != recorded.event);
        found.sort_by_key(|recorded| recorded.sequence);
        found.dedup_by_key(|recorded| recorded.sequence);
        Ok((invites, found))
    }

    async fn all_events(&self, filter: &EventFilter) -> Result<Vec<Recorded>, Error> {
        let mut all = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self.store.events(filter, after.as_ref(), 1000).await?;
            let full = page.events.len() == 1000;
            all.extend(page.events);
            if !full {
                return Ok(all);
            }
            after = page.next;
        }
    }
}
