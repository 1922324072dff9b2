//! Whom a decision is about.

use guestlist_types::{GroupId, Member, MemberKind};
use serde::{Deserialize, Serialize};

use crate::book::{Episode, PresetGrant};

/// Whom a decision is about, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third kind of principal must break every match"
)]
pub enum Principal {
    /// Somebody who is not signed in, or has no standing in the host.
    Anonymous,
    /// A member, a proxy user, or a user whom the host application keeps itself.
    Member(MemberPrincipal),
}

impl Principal {
    /// The member behind this principal, unless it is anonymous.
    #[must_use]
    pub const fn member(&self) -> Option<&MemberPrincipal> {
        match self {
            Self::Anonymous => None,
            Self::Member(member) => Some(member),
        }
    }
}

impl From<MemberPrincipal> for Principal {
    fn from(member: MemberPrincipal) -> Self {
        Self::Member(member)
    }
}

/// Somebody with a live standing in the host.
///
/// It is made only for a membership that is approved and has not expired, or for a user whom the
/// host application keeps itself ([`Episodes::none`]): whoever makes one vouches for that. Nothing
/// here is looked up again.
///
/// A [`Member::Org`] is seen through its proxy user: an outsider, who is held to a fixed ceiling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPrincipal {
    /// Who it is.
    pub member: Member,
    /// Which of the book's entries for this member count.
    pub episodes: Episodes,
    /// The groups that the membership carries itself.
    pub groups: Vec<GroupId>,
    /// The grants that the membership carries itself.
    pub grants: Vec<PresetGrant>,
    /// Whether the membership's role is the owner role. No decision about keys asks for it: an
    /// owner holds what it was granted. The authority to change something is in
    /// [`Hand::role`](crate::Hand::role).
    pub role_is_owner: bool,
}

impl MemberPrincipal {
    /// Somebody who carries nothing: what it may do is all in the book.
    #[must_use]
    pub const fn new(member: Member, episodes: Episodes) -> Self {
        Self {
            member,
            episodes,
            groups: Vec::new(),
            grants: Vec::new(),
            role_is_owner: false,
        }
    }

    /// Whether this is a proxy user, which stands for another organization.
    #[must_use]
    pub const fn is_outsider(&self) -> bool {
        matches!(self.member.kind(), MemberKind::Org)
    }
}

/// Which episodes of a membership count: all from `since` to `current`.
///
/// Usually it is the current one only, so that what an earlier episode was given stays ended. A
/// membership that was reinstated counts from an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Episodes {
    /// The first that counts.
    pub since: Episode,
    /// The current one: what is given now is given to it.
    pub current: Episode,
}

impl Episodes {
    /// Only this episode.
    #[must_use]
    pub const fn only(current: Episode) -> Self {
        Self {
            since: current,
            current,
        }
    }

    /// What a user whom the host application keeps itself has instead of episodes.
    #[must_use]
    pub const fn none() -> Self {
        Self::only(Episode::NONE)
    }

    /// Whether an entry of this episode counts.
    #[must_use]
    pub fn contains(self, episode: Episode) -> bool {
        self.since <= episode && episode <= self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_are_a_closed_range() {
        let of = Episode::new;
        let episodes = Episodes {
            since: of(2),
            current: of(3),
        };
        let counted = [1, 2, 3, 4].map(|n| episodes.contains(of(n)));
        assert_eq!(counted, [false, true, true, false]);
        assert!(Episodes::none().contains(Episode::NONE));
        assert!(!Episodes::only(of(1)).contains(Episode::NONE));
        let empty = Episodes {
            since: of(3),
            current: of(2),
        };
        assert!((0..5).all(|n| !empty.contains(of(n))), "and no panic");
    }
}
