//! The rules say no.

use core::fmt;

use guestlist_access::{AccessError, Capability};
use guestlist_types::{LinkId, Timestamp};

use crate::invite::InvitePhase;
use crate::member::Phase;

/// Why a command was refused. A refused command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The token opens nothing. Towards people without rights in the host every reason looks the
    /// same; see [`TokenRefusal`].
    #[error(transparent)]
    InvalidToken(#[from] TokenRefusal),
    /// The actor lacks a capability in the organization concerned.
    #[error("this needs the capability `{capability}`")]
    NotAllowed {
        /// What is missing.
        capability: Capability,
    },
    /// Only the host application itself does this.
    #[error("only the host application itself can do this")]
    SystemOnly,
    /// The actor does not act for the member concerned.
    #[error("only the member itself can do this")]
    NotTheMember,
    /// No such thing in this organization. The same for another organization's ids and for
    /// unknown ones.
    #[error("no such {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// The organization is suspended or deleted.
    #[error("this organization is {status}")]
    OrganizationNotActive {
        /// Its status.
        status: &'static str,
    },
    /// The name belongs or once belonged to another organization.
    #[error("this name is taken")]
    NameTaken,
    /// The organization is registered under another name.
    #[error("this organization is registered already")]
    AlreadyRegistered,
    /// The command does not fit the state that was found.
    #[error("{command} is not possible here: the membership is {found}")]
    WrongState {
        /// The command.
        command: &'static str,
        /// The state that was found.
        found: Phase,
    },
    /// An organization can't join itself.
    #[error("an organization can't join itself")]
    OwnOrganization,
    /// The host application keeps this user's membership of the organization itself.
    #[error("this user is a member already")]
    AlreadyMember,
    /// An invite for this address waits for an answer already.
    #[error("this address is invited already")]
    AlreadyInvited,
    /// The invite is not in a state that this command works on.
    #[error("{command} is not possible here: the invite is {}", found.as_str())]
    WrongInviteState {
        /// The command.
        command: &'static str,
        /// The state that was found.
        found: InvitePhase,
    },
    /// The invite is for another address than the actor's.
    #[error("this invite is for `{hint}`: sign in with the account that has this address verified")]
    WrongAccount {
        /// The address, masked.
        hint: String,
    },
    /// Who sent the invite no longer stands for what it gives.
    #[error("who sent this invite no longer stands for it: send another one in your own name")]
    InviterNotStanding,
    /// The organization can be found, but takes no requests.
    #[error("this organization takes no requests")]
    RequestsClosed,
    /// The host lets this member in by no door.
    #[error("this member is blocked")]
    Blocked,
    /// The member was rejected a short time ago.
    #[error("after a rejection this host wants a pause until {until}")]
    CoolingDown {
        /// When a new claim is possible.
        until: Timestamp,
    },
    /// The member was rejected through this link before.
    #[error("after a rejection this host wants another link")]
    RejectedLink,
    /// The member was rejected before, and the host wants to invite it itself.
    #[error("after a rejection this host lets members in by invitation only")]
    InviteOnly,
    /// The link, the invite or the host is for another kind of member.
    #[error("this is for another kind of member")]
    WrongKindOfMember,
    /// No verified address of the actor is at an allowed domain.
    #[error("this link needs a verified e-mail address at an allowed domain")]
    DomainNotAllowed,
    /// The link is for other members.
    #[error("this link is for other members")]
    MemberNotAllowed,
    /// The link or the host asks questions, and there are not as many answers.
    #[error("there are {expected} questions to be answered")]
    AnswersMissing {
        /// How many answers are needed.
        expected: usize,
    },
    /// The address shown for a joining user is not among the actor's verified ones.
    #[error("this e-mail address is not verified")]
    EmailNotVerified,
    /// A token of this selector was issued before: the shell has to draw another one.
    #[error("a token of this selector was issued before")]
    SelectorTaken,
    /// No seat is free.
    #[error("no seat is free in this organization")]
    SeatsFull,
    /// The change would leave the organization without an owner.
    #[error("the last owner can't leave, be removed or be given another role")]
    LastOwner,
    /// An owner's membership can't be limited in time.
    #[error("an owner's membership can't be limited in time")]
    OwnerCanNotExpire,
    /// The role is not in the catalog.
    #[error("no such role")]
    UnknownRole,
    /// Nobody can give, take or act on a role above their own.
    #[error("this needs a role at least as high as the one concerned")]
    RoleAboveOwn,
    /// A proxy user has no role.
    #[error("a proxy user has no role")]
    ProxyHasNoRole,
    /// The link's creator no longer stands for what the link gives.
    #[error("the creator of link {link} no longer stands for it: give in your own name")]
    CreatorNotStanding {
        /// The link.
        link: LinkId,
    },
    /// The link is not in a state that this command works on.
    #[error("this link is {status}")]
    WrongLinkState {
        /// What it is.
        status: &'static str,
    },
    /// A link may have at least one use.
    #[error("a link has at least one use; say unlimited if that is meant")]
    ZeroUses,
    /// The time lies in the past.
    #[error("this time lies in the past")]
    InThePast,
    /// The link would live longer than the host allows.
    #[error("links of this organization must end within {seconds} seconds")]
    LifetimeTooLong {
        /// The longest lifetime.
        seconds: u64,
    },
    /// An overlap is at most 24 hours, and 7 days for the secret of a webhook endpoint.
    #[error("this overlap is too long")]
    OverlapTooLong,
    /// The URL of a webhook endpoint doesn't begin with `https`.
    #[error("webhooks are sent encrypted: the url must begin with `https`")]
    EndpointNotEncrypted,
    /// More than allowed of something.
    #[error("at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
    /// A rule about groups and grants.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A fact that the rule needs was not loaded: a defect of the calling shell, never of input.
    #[error("the fact `{fact}` was not loaded")]
    FactMissing {
        /// The fact.
        fact: &'static str,
    },
}

impl CommandError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidToken(refusal) => refusal.code(),
            Self::NotAllowed { .. } => "not-allowed",
            Self::SystemOnly => "system-only",
            Self::NotTheMember => "not-the-member",
            Self::NotFound { .. } => "not-found",
            Self::OrganizationNotActive { .. } => "organization-not-active",
            Self::NameTaken => "name-taken",
            Self::AlreadyRegistered => "already-registered",
            Self::WrongState { .. } => "wrong-state",
            Self::OwnOrganization => "own-organization",
            Self::AlreadyMember => "already-member",
            Self::AlreadyInvited => "already-invited",
            Self::WrongInviteState { .. } => "wrong-invite-state",
            Self::WrongAccount { .. } => "wrong-account",
            Self::InviterNotStanding => "inviter-not-standing",
            Self::RequestsClosed => "requests-closed",
            Self::Blocked => "blocked",
            Self::CoolingDown { .. } => "cooling-down",
            Self::RejectedLink => "rejected-link",
            Self::InviteOnly => "invite-only",
            Self::WrongKindOfMember => "wrong-kind-of-member",
            Self::DomainNotAllowed => "domain-not-allowed",
            Self::MemberNotAllowed => "member-not-allowed",
            Self::AnswersMissing { .. } => "answers-missing",
            Self::EmailNotVerified => "email-not-verified",
            Self::SelectorTaken => "selector-taken",
            Self::SeatsFull => "seats-full",
            Self::LastOwner => "last-owner",
            Self::OwnerCanNotExpire => "owner-can-not-expire",
            Self::UnknownRole => "unknown-role",
            Self::RoleAboveOwn => "role-above-own",
            Self::ProxyHasNoRole => "proxy-has-no-role",
            Self::CreatorNotStanding { .. } => "creator-not-standing",
            Self::WrongLinkState { .. } => "wrong-link-state",
            Self::ZeroUses => "zero-uses",
            Self::InThePast => "in-the-past",
            Self::LifetimeTooLong { .. } => "lifetime-too-long",
            Self::OverlapTooLong => "overlap-too-long",
            Self::EndpointNotEncrypted => "endpoint-not-encrypted",
            Self::TooMany { .. } => "too-many",
            Self::Access(error) => error.code(),
            Self::FactMissing { .. } => "fact-missing",
        }
    }
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TokenProblem {
    /// Never issued, or not this verifier, or not of this host.
    Unknown,
    /// Replaced by a refresh or retired by disabling its link.
    Retired,
    /// Its link is disabled.
    Disabled,
    /// Its link was deleted.
    Deleted,
    /// Its link has expired.
    Expired,
    /// Its link has no use left.
    Exhausted,
    /// All links of the host rest.
    Paused,
    /// The host is suspended or deleted.
    HostNotActive,
    /// Who made the link or sent the invite no longer stands for it.
    CreatorNotStanding,
    /// Issued before this member was removed.
    BeforeRemoval,
    /// Its e-mail invite was accepted, declined or revoked.
    InviteClosed,
    /// Its e-mail invite has expired.
    InviteExpired,
}

impl TokenProblem {
    /// The stable code that managers get.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "token-unknown",
            Self::Retired => "token-retired",
            Self::Disabled => "link-disabled",
            Self::Deleted => "link-deleted",
            Self::Expired => "link-expired",
            Self::Exhausted => "link-exhausted",
            Self::Paused => "links-paused",
            Self::HostNotActive => "host-not-active",
            Self::CreatorNotStanding => "creator-not-standing",
            Self::BeforeRemoval => "token-before-removal",
            Self::InviteClosed => "invite-closed",
            Self::InviteExpired => "invite-expired",
        }
    }
}

/// A token that opens nothing, towards one actor: managers of the host are told why, to everybody
/// else an unknown, disabled, expired, exhausted and refreshed-away token is one and the same.
///
/// Text, code and `Debug` of an undisclosed refusal don't depend on the reason, so it is safe to
/// log and to answer with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenRefusal {
    problem: TokenProblem,
    disclosed: bool,
}

impl TokenRefusal {
    pub(crate) const fn hidden(problem: TokenProblem) -> Self {
        Self {
            problem,
            disclosed: false,
        }
    }

    pub(crate) const fn disclosed(problem: TokenProblem) -> Self {
        Self {
            problem,
            disclosed: true,
        }
    }

    /// The precise reason, for audit records and managers. Don't answer a claimer with it.
    #[must_use]
    pub const fn problem(&self) -> TokenProblem {
        self.problem
    }

    /// `invalid-token`, or the precise code towards a manager of the host.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        if self.disclosed {
            self.problem.code()
        } else {
            "invalid-token"
        }
    }
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this invite is not valid")?;
        if self.disclosed {
            write!(f, ": {}", self.problem.code())?;
        }
        Ok(())
    }
}

impl fmt::Debug for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenRefusal").field(&self.code()).finish()
    }
}

impl core::error::Error for TokenRefusal {}
