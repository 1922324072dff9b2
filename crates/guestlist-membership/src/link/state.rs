//! Invite links, their tokens and their uses.

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeSet;

use guestlist_access::PresetGrant;
use guestlist_token::{SealedToken, Selector, TokenTag};
use guestlist_types::{
    EmailDomain, GroupId, InviteId, Label, LinkId, Member, MemberKind, OrgId, RoleName, Timestamp,
    UserId,
};
use serde::{Deserialize, Serialize};

use crate::metadata::Metadata;

/// Whether a claim needs somebody's approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third way must be placed in every rule"
)]
pub enum Approval {
    /// It does: the claim opens a pending membership.
    #[default]
    Review,
    /// It doesn't: the claim opens an approved membership.
    Auto,
}

/// Which kinds of members a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "follows the kinds of members")]
pub enum JoinedBy {
    /// Organizations only.
    Organizations,
    /// Users only.
    Users,
    /// Both.
    #[default]
    Both,
}

impl JoinedBy {
    /// Whether members of this kind may use the link.
    #[must_use]
    pub const fn admits(self, kind: MemberKind) -> bool {
        matches!(
            (self, kind),
            (Self::Both, _)
                | (Self::Organizations, MemberKind::Org)
                | (Self::Users, MemberKind::User)
        )
    }
}

/// What a link, or an approval, gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Preset {
    /// The role of a joining user; `None`: the lowest of the catalog. Proxy users have no role.
    pub role: Option<RoleName>,
    /// The groups that the member is put in.
    pub groups: BTreeSet<GroupId>,
    /// Direct grants.
    pub grants: Vec<PresetGrant>,
}

impl Preset {
    /// Whether this preset gives groups or grants, so that the host's access rules matter.
    #[must_use]
    pub fn reaches_keys(&self) -> bool {
        !self.groups.is_empty() || !self.grants.is_empty()
    }
}

/// The configuration of a link. All restrictions combine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkConfig {
    /// What the link is called in lists.
    pub label: Option<Label>,
    /// Whether a claim needs approval.
    pub approval: Approval,
    /// Which kinds of members it is for.
    pub joined_by: JoinedBy,
    /// What it gives.
    pub preset: Preset,
    /// When it stops working; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// How many distinct members may get past it; `None`: any number.
    pub max_uses: Option<NonZeroU64>,
    /// Only persons with a verified address at one of these domains; empty: everybody.
    pub allowed_domains: BTreeSet<EmailDomain>,
    /// Only these members; empty: everybody.
    pub allowed_members: BTreeSet<Member>,
    /// How long a membership through this link lasts; `None`: until it is ended.
    pub membership_ttl: Option<Duration>,
    /// What the joining side is asked.
    pub questions: Vec<String>,
    /// The host application's own data, which travels to the membership.
    pub metadata: Metadata,
}

/// When a link stops working, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "an expiry is absent, absolute or relative"
)]
pub enum Expiry {
    /// Never.
    Never,
    /// At this time.
    At(Timestamp),
    /// This long after the command.
    After(Duration),
}

/// How many distinct members may get past a link, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "there is a limit or there is none")]
pub enum Uses {
    /// Any number.
    Unlimited,
    /// This many; zero is refused.
    AtMost(u64),
}

/// How long memberships through a link last, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "there is a limit or there is none")]
pub enum Lasting {
    /// Until they are ended.
    Always,
    /// This long after approval.
    For(Duration),
}

/// What is asked for when a link is created or edited. What is left out comes from the host's
/// settings for a new link, and stays as it is in an edit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkDraft {
    /// See [`LinkConfig::label`].
    pub label: Option<Label>,
    /// See [`LinkConfig::approval`].
    pub approval: Option<Approval>,
    /// See [`LinkConfig::joined_by`].
    pub joined_by: Option<JoinedBy>,
    /// See [`LinkConfig::preset`].
    pub preset: Option<Preset>,
    /// See [`LinkConfig::expires_at`].
    pub expiry: Option<Expiry>,
    /// See [`LinkConfig::max_uses`].
    pub max_uses: Option<Uses>,
    /// See [`LinkConfig::allowed_domains`].
    pub allowed_domains: Option<BTreeSet<EmailDomain>>,
    /// See [`LinkConfig::allowed_members`].
    pub allowed_members: Option<BTreeSet<Member>>,
    /// See [`LinkConfig::membership_ttl`].
    pub membership_ttl: Option<Lasting>,
    /// See [`LinkConfig::questions`].
    pub questions: Option<Vec<String>>,
    /// See [`LinkConfig::metadata`].
    pub metadata: Option<Metadata>,
}

impl LinkDraft {
    /// A link that needs review.
    #[must_use]
    pub fn review() -> Self {
        Self {
            approval: Some(Approval::Review),
            ..Self::default()
        }
    }

    /// A link that approves by itself.
    #[must_use]
    pub fn auto() -> Self {
        Self {
            approval: Some(Approval::Auto),
            ..Self::default()
        }
    }

    /// With this label.
    #[must_use]
    pub fn label(mut self, label: Label) -> Self {
        self.label = Some(label);
        self
    }

    /// For these kinds of members.
    #[must_use]
    pub const fn joined_by(mut self, kinds: JoinedBy) -> Self {
        self.joined_by = Some(kinds);
        self
    }

    /// Gives this role to joining users.
    #[must_use]
    pub fn role(mut self, role: RoleName) -> Self {
        self.preset.get_or_insert_default().role = Some(role);
        self
    }

    /// Puts members in this group, too.
    #[must_use]
    pub fn group(mut self, group: GroupId) -> Self {
        self.preset.get_or_insert_default().groups.insert(group);
        self
    }

    /// Gives members this grant, too.
    #[must_use]
    pub fn grant(mut self, grant: PresetGrant) -> Self {
        self.preset.get_or_insert_default().grants.push(grant);
        self
    }

    /// Stops working then.
    #[must_use]
    pub const fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = Some(expiry);
        self
    }

    /// Lets this many distinct members past.
    #[must_use]
    pub const fn max_uses(mut self, uses: Uses) -> Self {
        self.max_uses = Some(uses);
        self
    }

    /// Only for persons with a verified address at this domain or one of those named before.
    #[must_use]
    pub fn allow_domain(mut self, domain: EmailDomain) -> Self {
        self.allowed_domains.get_or_insert_default().insert(domain);
        self
    }

    /// Only for this member or one of those named before.
    #[must_use]
    pub fn allow_member(mut self, member: Member) -> Self {
        self.allowed_members.get_or_insert_default().insert(member);
        self
    }

    /// Memberships through this link last this long.
    #[must_use]
    pub const fn membership_ttl(mut self, lasting: Lasting) -> Self {
        self.membership_ttl = Some(lasting);
        self
    }

    /// Asks the joining side this, too.
    #[must_use]
    pub fn question(mut self, question: impl Into<String>) -> Self {
        self.questions.get_or_insert_default().push(question.into());
        self
    }

    /// Carries this data to the membership.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }
}

/// The statuses of a link. Expired and exhausted are computed, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new status must be placed in every rule"
)]
pub enum LinkStatus {
    /// New members can join through it.
    Active,
    /// No new claims. Who is approved keeps access, who is pending stays pending.
    Disabled,
}

impl LinkStatus {
    /// The name of this status on the wire and in stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

/// Counts the tokens of a link: every refresh and every enabling makes the next generation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Generation(u32);

impl Generation {
    /// The first token of a link.
    pub const FIRST: Self = Self(1);

    /// The one with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A shareable invite, usable by many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its id. It opens nothing.
    pub id: LinkId,
    /// The organization that it lets members into.
    pub host: OrgId,
    /// Its configuration.
    pub config: LinkConfig,
    /// Whether it takes claims.
    pub status: LinkStatus,
    /// Which generation of token it is at.
    pub generation: Generation,
    /// The selector of its active token; `None` while it is disabled.
    pub token: Option<Selector>,
    /// Earlier tokens that a refresh left valid for a while.
    pub overlapping: Vec<Selector>,
    /// Who created it; `None`: the host application itself.
    pub creator: Option<UserId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When this record last changed.
    pub updated_at: Timestamp,
    /// When it was deleted. It stays on record for attribution.
    pub deleted_at: Option<Timestamp>,
    /// When its expiry was written down; it is over from `config.expires_at` on without that.
    #[serde(default)]
    pub expired_at: Option<Timestamp>,
}

/// What a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third kind of subject must be placed in every rule"
)]
pub enum TokenSubject {
    /// A link.
    Link(LinkId),
    /// An e-mail invite.
    Invite(InviteId),
}

impl TokenSubject {
    /// The bytes of its id, which the token's digest is bound to.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        match self {
            Self::Link(id) => id.as_bytes(),
            Self::Invite(id) => id.as_bytes(),
        }
    }

    /// The link, if it is one.
    #[must_use]
    pub const fn link(self) -> Option<LinkId> {
        match self {
            Self::Link(id) => Some(id),
            Self::Invite(_) => None,
        }
    }

    /// The e-mail invite, if it is one.
    #[must_use]
    pub const fn invite(self) -> Option<InviteId> {
        match self {
            Self::Link(_) => None,
            Self::Invite(id) => Some(id),
        }
    }
}

/// What is kept of a token: enough to recognize it, not enough to make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Where the token is found.
    pub selector: Selector,
    /// The organization that it lets members into. The only source of this fact: a claim can't
    /// name another host.
    pub host: OrgId,
    /// What it opens.
    pub subject: TokenSubject,
    /// Which token of that link or invite it is.
    pub generation: Generation,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it stopped or stops being valid; `None` while it is the active token. Once set
    /// it is only ever moved earlier.
    pub valid_until: Option<Timestamp>,
    /// The keyed digest. Not part of any event: a log replayed leaves it out, and a token without
    /// it verifies nothing.
    pub tag: Option<TokenTag>,
    /// The token itself, sealed for its host to show again, where the host wants that. Gone with
    /// the token's end, and not part of any event either.
    #[serde(default)]
    pub sealed: Option<SealedToken>,
}

/// What became of a member's use of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new state must be placed in every rule"
)]
pub enum UseState {
    /// Held by a request that waits for review.
    Reserved,
    /// Used up by an approval; never given back.
    Settled,
    /// Given back: the request was rejected, withdrawn or expired.
    Released,
}

impl UseState {
    /// The name of this state on the wire and in stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Settled => "settled",
            Self::Released => "released",
        }
    }

    /// Whether this use counts towards its link's limit.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::Reserved | Self::Settled)
    }
}

/// A use: one distinct member that came through one link. Also the link's attribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkUse {
    /// Which of the link's tokens was presented.
    pub generation: Generation,
    /// What became of it.
    pub state: UseState,
    /// When it got this state.
    pub at: Timestamp,
    /// Why it was given back: how the request ended. `None` if it was let in by another door.
    pub released_for: Option<crate::member::Cause>,
}
