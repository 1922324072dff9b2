//! Erasing a member's personal data from what is kept, without breaking it.
//!
//! What is personal is said here once: the words and addresses that somebody is known by or has
//! written. Ids stay, as the host application's own pseudonyms; so do all facts about what
//! happened, so that the log folded still gives the stored rows.

use guestlist_types::EmailAddress;

use crate::event::Event;
use crate::invite::{EmailInvite, InviteEvent};
use crate::member::{MemberEvent, Membership, Opening, Profile};

/// Stands where an address was erased. No mail is ever sent to it.
#[must_use]
pub(crate) fn erased_address() -> EmailAddress {
    EmailAddress::parse("erased@erased.invalid").expect("a plain address is valid")
}

fn erase_profile(profile: &mut Profile) {
    // The handle of an organization is nobody's personal name.
    profile.email = None;
    if profile.name.is_none() {
        profile.display_name = None;
    }
}

fn erase_answers(answers: &mut [String]) {
    answers.iter_mut().for_each(String::clear);
}

/// A membership without its personal data.
pub(crate) fn erase_membership(membership: &mut Membership) {
    erase_profile(&mut membership.profile);
    erase_answers(&mut membership.answers);
    membership.message = None;
    if let Some(ended) = &mut membership.ended {
        ended.reason = None;
    }
    if let Some(block) = &mut membership.block {
        block.reason = None;
    }
}

/// An e-mail invite without its personal data.
pub(crate) fn erase_invite(invite: &mut EmailInvite) {
    invite.address = erased_address();
    invite.config.message = None;
}

fn erase_opening(opening: &mut Opening) {
    erase_profile(&mut opening.profile);
    erase_answers(&mut opening.answers);
    opening.message = None;
}

impl Event {
    /// This event without the personal data of the member, or of the invited person, that it is
    /// about. An event without any is the same.
    #[must_use]
    pub fn erased(&self) -> Self {
        let mut event = self.clone();
        match &mut event {
            Self::Member(event) => match event {
                MemberEvent::Requested(opening) | MemberEvent::Joined { opening, .. } => {
                    erase_opening(opening);
                }
                MemberEvent::Ended { reason, .. } | MemberEvent::Blocked { reason, .. } => {
                    *reason = None;
                }
                MemberEvent::Approved { .. }
                | MemberEvent::RoleChanged { .. }
                | MemberEvent::GiftAdded { .. }
                | MemberEvent::Unblocked { .. }
                | MemberEvent::RemovalLifted { .. }
                | MemberEvent::Erased { .. }
                | MemberEvent::ActingRestricted { .. } => {}
            },
            Self::Invite(InviteEvent::Sent(invite)) => erase_invite(invite),
            Self::Organization(_)
            | Self::Link(_)
            | Self::Invite(_)
            | Self::Access(_)
            | Self::Webhook(_) => {}
        }
        event
    }
}
