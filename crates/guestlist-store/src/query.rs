//! Lists: keyset pages in a stable order.

use std::collections::BTreeSet;

use guestlist_membership::invite::{EmailInvite, InvitePhase};
use guestlist_membership::link::{Link, LinkStatus};
use guestlist_membership::member::{Membership, Phase, Status};
use guestlist_membership::organization::{OrgStatus, Organization};
use guestlist_membership::{Row, RowKey};
use guestlist_token::PepperId;
use guestlist_types::{
    ConsumerName, EmailAddress, GroupId, LinkId, Member, MemberKind, OrgId, RoleName, Timestamp,
    UserId,
};
use serde::{Deserialize, Serialize};

use crate::cursor::{Cursor, CursorError, Position};

/// Which memberships of a host are wanted. All conditions combine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberFilter {
    /// Those with this status now: one that has run out is cancelled.
    pub status: Option<Status>,
    /// Those of this kind.
    pub kind: Option<MemberKind>,
    /// Those with this role.
    pub role: Option<RoleName>,
    /// Those in this group, as their preset put them there or as `in_group` and
    /// `proxies_in_group` say.
    pub group: Option<GroupId>,
    /// Those that the access rules have in `group`. Filled in by the facade; no part of what a
    /// cursor belongs to.
    #[serde(skip)]
    pub in_group: BTreeSet<Member>,
    /// Whether `group` is the external group, so that every proxy user is in it whose membership is
    /// approved. Filled in by the facade; no part of what a cursor belongs to.
    #[serde(skip)]
    pub proxies_in_group: bool,
    /// Those that came through this link.
    pub link: Option<LinkId>,
    /// Those whose id, handle, display name or address contains this text, in any case of ASCII
    /// letters. Matched literally.
    pub text: Option<String>,
}

impl MemberFilter {
    /// Whether a membership is wanted.
    #[must_use]
    pub fn matches(&self, membership: &Membership, now: Timestamp) -> bool {
        let contains = |text: &str| {
            let wanted = text.to_ascii_lowercase();
            let profile = &membership.profile;
            [
                Some(membership.member.id()),
                profile.name.as_ref().map(AsRef::as_ref),
                profile.display_name.as_ref().map(AsRef::as_ref),
                profile.email.as_ref().map(AsRef::as_ref),
            ]
            .into_iter()
            .flatten()
            .any(|held| held.to_ascii_lowercase().contains(&wanted))
        };
        let status = membership.status_at(now);
        status.is_some()
            && self.status.is_none_or(|wanted| status == Some(wanted))
            && self
                .kind
                .is_none_or(|wanted| membership.member.kind() == wanted)
            && self
                .role
                .as_ref()
                .is_none_or(|wanted| membership.role.as_ref() == Some(wanted))
            && self.group.is_none_or(|wanted| {
                let is_proxy =
                    membership.member.kind() == MemberKind::Org && status == Some(Status::Approved);
                membership.groups.contains(&wanted)
                    || self.in_group.contains(&membership.member)
                    || (self.proxies_in_group && is_proxy)
            })
            && self
                .link
                .is_none_or(|wanted| membership.door.link() == Some(wanted))
            && self.text.as_deref().is_none_or(contains)
    }
}

/// Which e-mail invites of a host are wanted. All conditions combine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InviteFilter {
    /// Those that are there now: one whose time is over is expired.
    pub phase: Option<InvitePhase>,
    /// Those for this address.
    pub address: Option<EmailAddress>,
    /// Those that this user sent.
    pub creator: Option<UserId>,
}

impl InviteFilter {
    /// Whether an invite is wanted.
    #[must_use]
    pub fn matches(&self, invite: &EmailInvite, now: Timestamp) -> bool {
        self.phase.is_none_or(|wanted| invite.phase(now) == wanted)
            && self
                .address
                .as_ref()
                .is_none_or(|wanted| invite.address == *wanted)
            && self
                .creator
                .as_ref()
                .is_none_or(|wanted| invite.creator.as_ref() == Some(wanted))
    }
}

/// Whether somebody who doesn't belong to an organization finds it, by a text in its handle or
/// display name, in any case of ASCII letters.
fn is_found(organization: &Organization, text: Option<&str>) -> bool {
    let contains = |text: &str| {
        let wanted = text.to_ascii_lowercase();
        let shown = organization.display_name.as_ref().map(AsRef::as_ref);
        [Some(organization.name.as_ref()), shown]
            .into_iter()
            .flatten()
            .any(|held: &str| held.to_ascii_lowercase().contains(&wanted))
    };
    organization.settings.discoverable
        && organization.status == OrgStatus::Active
        && text.is_none_or(contains)
}

/// Whether a link's time is over without anybody having written that.
fn has_run_out(link: &Link, now: Timestamp) -> bool {
    link.deleted_at.is_none()
        && link.expired_at.is_none()
        && !now.is_before_end(link.config.expires_at)
}

/// What is to be listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must answer every list"
)]
pub enum Query {
    /// Links of a host, oldest first, without deleted ones.
    Links {
        /// The host.
        host: OrgId,
        /// Those with this status.
        status: Option<LinkStatus>,
        /// Those that this user created.
        creator: Option<UserId>,
    },
    /// Requests that wait for review, longest waiting first.
    Pending {
        /// The host.
        host: OrgId,
        /// Those that came through this link.
        link: Option<LinkId>,
    },
    /// Memberships of a host, by member.
    Members {
        /// The host.
        host: OrgId,
        /// Which of them.
        filter: MemberFilter,
    },
    /// Memberships of a member in all hosts, by host.
    MembershipsOf {
        /// The member.
        member: Member,
        /// Those with this status now.
        status: Option<Status>,
    },
    /// Uses of a link: who came through it, by member.
    Uses {
        /// The host.
        host: OrgId,
        /// The link.
        link: LinkId,
    },
    /// Groups of an organization, oldest first.
    Groups {
        /// The organization.
        organization: OrgId,
    },
    /// Grants of an organization, oldest first.
    Grants {
        /// The organization.
        organization: OrgId,
    },
    /// Episodes that have run out without anybody having written that, longest first.
    RunOut {
        /// Of this host; `None`: of all.
        host: Option<OrgId>,
    },
    /// E-mail invites of a host, oldest first.
    Invites {
        /// The host.
        host: OrgId,
        /// Which of them.
        filter: InviteFilter,
    },
    /// E-mail invites to one address in all hosts, by host.
    InvitesTo {
        /// The address.
        address: EmailAddress,
        /// Those that are there now.
        phase: Option<InvitePhase>,
    },
    /// Organizations that can be found by those who don't belong to them, by name.
    Discover {
        /// Those whose handle or display name contains this text, in any case of ASCII letters.
        /// Matched literally.
        text: Option<String>,
    },
    /// Links whose time is over without anybody having written that, longest first.
    RunOutLinks {
        /// Of this host; `None`: of all.
        host: Option<OrgId>,
    },
    /// The same of e-mail invites.
    RunOutInvites {
        /// Of this host; `None`: of all.
        host: Option<OrgId>,
    },
    /// Webhook endpoints, without deleted ones: of an organization, or all of them.
    Endpoints {
        /// The organization; `None`: all.
        organization: Option<OrgId>,
    },
    /// Events that a consumer has parked, oldest first.
    Parked {
        /// The consumer.
        consumer: ConsumerName,
    },
    /// Tokens of all organizations. For counting peppers.
    Tokens {
        /// Those whose digest is keyed with this pepper.
        pepper: Option<PepperId>,
    },
}

impl Query {
    /// The fingerprint of this list, for its cursors.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        crc32fast::hash(&postcard::to_stdvec(self).unwrap_or_default())
    }

    /// Where to go on. For stores.
    ///
    /// # Errors
    ///
    /// [`CursorError`] if the cursor belongs to another list.
    pub fn start(&self, page: &Page) -> Result<Option<Position>, CursorError> {
        page.after
            .as_ref()
            .map(|cursor| cursor.position(self.fingerprint()))
            .transpose()
    }

    /// Whether a row is wanted. A store may leave out rows earlier by what it can tell from its
    /// columns; this decides.
    #[must_use]
    pub fn matches(&self, row: &Row, now: Timestamp) -> bool {
        match (self, row) {
            (
                Self::Links {
                    status, creator, ..
                },
                Row::Link(link),
            ) => {
                link.deleted_at.is_none()
                    && status.is_none_or(|wanted| link.status == wanted)
                    && creator
                        .as_ref()
                        .is_none_or(|wanted| link.creator.as_ref() == Some(wanted))
            }
            (Self::Pending { link, .. }, Row::Membership(membership)) => {
                membership.phase(now) == Phase::Pending
                    && link.is_none_or(|wanted| membership.door.link() == Some(wanted))
            }
            (Self::Members { filter, .. }, Row::Membership(membership)) => {
                filter.matches(membership, now)
            }
            (Self::MembershipsOf { status, .. }, Row::Membership(membership)) => {
                let held = membership.status_at(now);
                held.is_some() && status.is_none_or(|wanted| held == Some(wanted))
            }
            (Self::RunOut { .. }, Row::Membership(membership)) => {
                matches!(
                    membership.phase(now),
                    Phase::RequestExpired | Phase::Expired
                )
            }
            (Self::Tokens { pepper }, Row::Token(token)) => {
                pepper.is_none_or(|wanted| token.tag.is_some_and(|tag| tag.pepper() == wanted))
            }
            (Self::Invites { filter, .. }, Row::Invite(invite)) => filter.matches(invite, now),
            (Self::InvitesTo { address, phase }, Row::Invite(invite)) => {
                invite.address == *address && phase.is_none_or(|wanted| invite.phase(now) == wanted)
            }
            (Self::Discover { text }, Row::Organization(organization)) => {
                is_found(organization, text.as_deref())
            }
            (Self::RunOutLinks { .. }, Row::Link(link)) => has_run_out(link, now),
            (Self::RunOutInvites { .. }, Row::Invite(invite)) => {
                invite.phase(now) == InvitePhase::Expired && invite.expired_at.is_none()
            }
            (Self::Endpoints { organization }, Row::Endpoint(endpoint)) => {
                endpoint.deleted_at.is_none()
                    && organization
                        .as_ref()
                        .is_none_or(|wanted| endpoint.organization == *wanted)
            }
            (Self::Uses { .. }, Row::LinkUse(_))
            | (Self::Parked { .. }, Row::Parked(_))
            | (Self::Groups { .. }, Row::Group(_))
            | (Self::Grants { .. }, Row::Grant(_)) => true,
            (
                Self::Links { .. }
                | Self::Pending { .. }
                | Self::Members { .. }
                | Self::MembershipsOf { .. }
                | Self::Uses { .. }
                | Self::Groups { .. }
                | Self::Grants { .. }
                | Self::RunOut { .. }
                | Self::Invites { .. }
                | Self::InvitesTo { .. }
                | Self::Discover { .. }
                | Self::RunOutLinks { .. }
                | Self::RunOutInvites { .. }
                | Self::Endpoints { .. }
                | Self::Parked { .. }
                | Self::Tokens { .. },
                _,
            ) => false,
        }
    }

    /// The sort key of a row of this list. For stores.
    #[must_use]
    pub fn position_of(&self, key: &RowKey, row: &Row) -> Option<Position> {
        match (self, key, row) {
            (Self::Links { .. }, RowKey::Link(_, link), _) => Some(Position::Link(*link)),
            (Self::Pending { .. }, RowKey::Membership(_, member), Row::Membership(row)) => {
                Some(Position::Pending(row.opened_at, member.clone()))
            }
            (Self::Members { .. }, RowKey::Membership(_, member), _)
            | (Self::Uses { .. }, RowKey::LinkUse(_, _, member), _) => {
                Some(Position::Member(member.clone()))
            }
            (Self::MembershipsOf { .. }, RowKey::Membership(host, _), _) => {
                Some(Position::Host(host.clone()))
            }
            (Self::Groups { .. }, RowKey::Group(_, group), _) => Some(Position::Group(*group)),
            (Self::Grants { .. }, RowKey::Grant(_, grant), _) => Some(Position::Grant(*grant)),
            (Self::RunOut { .. }, RowKey::Membership(host, member), Row::Membership(row)) => Some(
                Position::RunOut(row.expires_at?, host.clone(), member.clone()),
            ),
            (Self::Invites { .. } | Self::InvitesTo { .. }, RowKey::Invite(host, id), _) => {
                Some(Position::Invite(host.clone(), *id))
            }
            (Self::Discover { .. }, _, Row::Organization(row)) => {
                Some(Position::Name(row.name.clone()))
            }
            (Self::RunOutLinks { .. }, RowKey::Link(host, id), Row::Link(row)) => Some(
                Position::RunOutLink(row.config.expires_at?, host.clone(), *id),
            ),
            (Self::RunOutInvites { .. }, RowKey::Invite(host, id), Row::Invite(row)) => {
                Some(Position::RunOutInvite(row.expires_at?, host.clone(), *id))
            }
            (Self::Endpoints { .. }, RowKey::Endpoint(organization, endpoint), _) => {
                Some(Position::Endpoint(organization.clone(), *endpoint))
            }
            (Self::Parked { .. }, RowKey::Parked(_, sequence), _) => {
                Some(Position::Event(*sequence))
            }
            (Self::Tokens { .. }, RowKey::Token(selector), _) => Some(Position::Token(*selector)),
            _ => None,
        }
    }
}

/// How much of a list is wanted, and from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    limit: u16,
    after: Option<Cursor>,
}

/// A page has 1 to 1,000 rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a page has 1 to 1000 rows")]
pub struct PageError;

impl PageError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "page-limit"
    }
}

impl Page {
    /// The first page, of at most `limit` rows.
    ///
    /// # Errors
    ///
    /// [`PageError`] unless `limit` is 1 to 1,000.
    pub const fn first(limit: u32) -> Result<Self, PageError> {
        if limit == 0 || limit > 1000 {
            return Err(PageError);
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 1000")]
        Ok(Self {
            limit: limit as u16,
            after: None,
        })
    }

    /// The page behind `cursor`, of the same size.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// At most this many rows.
    #[must_use]
    pub fn limit(&self) -> usize {
        usize::from(self.limit)
    }

    /// The cursor to go on from.
    #[must_use]
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }
}

impl Default for Page {
    /// The first 100 rows.
    fn default() -> Self {
        Self {
            limit: 100,
            after: None,
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The rows, in the order of the list.
    pub rows: Vec<(RowKey, Row)>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}
