//! The event log: the feed and the audit trail.

pub use guestlist_membership::Sequence;
use guestlist_membership::{By, Event, Stamp};
use guestlist_types::{CommitId, InviteId, LinkId, Member, OrgId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::cursor::{Cursor, CursorError, Position};

/// One event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Where it stands.
    pub sequence: Sequence,
    /// The commit that it came with.
    pub commit: CommitId,
    /// The organization that it happened in.
    pub organization: OrgId,
    /// Who and when.
    pub stamp: Stamp,
    /// What.
    pub event: Event,
    /// If personal data was erased from it: what is left of that, a keyed digest, or zeros where
    /// no key was at hand.
    pub erased: Option<[u8; 32]>,
}

/// Which events are wanted. All conditions combine; none: the whole feed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// Those of this organization.
    pub organization: Option<OrgId>,
    /// Those by this user.
    pub by: Option<UserId>,
    /// Those of this name, as in [`Event::name`].
    pub name: Option<String>,
    /// Those about this member.
    pub member: Option<Member>,
    /// Those about this link.
    pub link: Option<LinkId>,
    /// Those about this e-mail invite.
    pub invite: Option<InviteId>,
    /// Those at this time or later.
    pub from: Option<Timestamp>,
    /// Those before this time.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// All events of one organization.
    #[must_use]
    pub fn of(organization: OrgId) -> Self {
        Self {
            organization: Some(organization),
            ..Self::default()
        }
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn matches(&self, recorded: &Recorded) -> bool {
        let by = match &recorded.stamp.by {
            By::User { user, .. } => Some(user),
            By::Policy | By::Clock | By::System => None,
        };
        self.organization
            .as_ref()
            .is_none_or(|wanted| *wanted == recorded.organization)
            && self.by.as_ref().is_none_or(|wanted| by == Some(wanted))
            && self
                .name
                .as_deref()
                .is_none_or(|wanted| wanted == recorded.event.name())
            && self
                .member
                .as_ref()
                .is_none_or(|wanted| recorded.event.member() == Some(wanted))
            && self
                .link
                .is_none_or(|wanted| recorded.event.link() == Some(wanted))
            && self
                .invite
                .is_none_or(|wanted| recorded.event.invite() == Some(wanted))
            && self.from.is_none_or(|from| recorded.stamp.at >= from)
            && recorded.stamp.at.is_before_end(self.until)
    }

    /// The fingerprint of this list, for its cursors.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        crc32fast::hash(&postcard::to_stdvec(&("events", self)).unwrap_or_default())
    }

    /// Where to go on after `cursor`. For stores.
    ///
    /// # Errors
    ///
    /// [`CursorError`] if the cursor belongs to another list.
    pub fn start(&self, cursor: Option<&Cursor>) -> Result<Sequence, CursorError> {
        match cursor
            .map(|cursor| cursor.position(self.fingerprint()))
            .transpose()?
        {
            None => Ok(Sequence::default()),
            Some(Position::Event(sequence)) => Ok(sequence),
            Some(_) => Err(CursorError),
        }
    }
}

/// A stretch of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Recorded>,
    /// Where to go on, also when there is nothing more by now. `None` only at the very beginning
    /// of an empty log.
    pub next: Option<Cursor>,
}
