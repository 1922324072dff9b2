//! Records: what stores keep, as keys and rows, and what a decision looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guestlist_access::{AccessBook, AccessHead, Grant, Group, GroupMember};
use guestlist_token::Selector;
use guestlist_types::{
    Bucket, ConsumerName, EmailAddress, EndpointId, GrantId, GroupId, InviteId, LinkId, Member,
    OrgId, OrgName, UserId,
};
use serde::{Deserialize, Serialize};

use crate::feed::{ConsumerRecord, ParkedRecord, Sequence};
use crate::invite::{AddressRecord, EmailInvite};
use crate::link::{Generation, Link, LinkUse, TokenRecord};
use crate::member::{ActingRule, Membership};
use crate::organization::{NameRecord, Organization};
use crate::webhook::Endpoint;

/// Names one row of a store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must place a new kind of row"
)]
pub enum RowKey {
    /// Which organization a name was given to.
    Name(OrgName),
    /// An organization.
    Organization(OrgId),
    /// The members of an organization that are its owners.
    Owners(OrgId),
    /// How many seats are taken; kept while the organization has a limit. A counter.
    SeatTally(OrgId),
    /// The head of an organization's access rules. Its revision is the revision of all of them.
    AccessHead(OrgId),
    /// A link.
    Link(OrgId, LinkId),
    /// How many uses a link has had; kept while it has a limit. A counter.
    LinkTally(OrgId, LinkId),
    /// A member's use of a link.
    LinkUse(OrgId, LinkId, Member),
    /// How often one generation of a link's token was previewed, where that is counted. A counter.
    PreviewTally(OrgId, LinkId, Generation),
    /// An e-mail invite.
    Invite(OrgId, InviteId),
    /// What a host knows of an e-mail address.
    Address(OrgId, EmailAddress),
    /// A token.
    Token(Selector),
    /// A membership.
    Membership(OrgId, Member),
    /// Who of a member organization may act in a host: the member organization, then the host.
    Acting(OrgId, OrgId),
    /// A group.
    Group(OrgId, GroupId),
    /// One member of a group.
    GroupMember(OrgId, GroupId, GroupMember),
    /// A grant.
    Grant(OrgId, GrantId),
    /// A webhook endpoint.
    Endpoint(OrgId, EndpointId),
    /// How far a consumer has read the feed.
    Consumer(ConsumerName),
    /// An event that a consumer could not deliver yet.
    Parked(ConsumerName, Sequence),
    /// How many uses of a link count, counted when it is asked. Never written.
    UseCount(OrgId, LinkId),
    /// How many memberships are pending and approved, counted when it is asked. Never written.
    SeatCount(OrgId),
}

/// Where a row lives: all rows of one home are read and committed together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must place a new kind of home"
)]
pub enum Home {
    /// An organization's rows.
    Organization(OrgId),
    /// A name, which is found without knowing its organization.
    Name(OrgName),
    /// A consumer of the feed, which is nobody's.
    Consumer(ConsumerName),
}

impl Home {
    /// The bucket that leads every key of this home.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        match self {
            Self::Organization(id) => Bucket::of(id),
            Self::Name(name) => Bucket::of_bytes(name.as_str().as_bytes()),
            Self::Consumer(name) => Bucket::of_bytes(name.as_str().as_bytes()),
        }
    }
}

impl RowKey {
    /// The organization whose row this is; `None` for names and tokens, which are found first,
    /// and for what consumers of the feed keep.
    #[must_use]
    pub const fn organization(&self) -> Option<&OrgId> {
        match self {
            Self::Organization(id)
            | Self::Owners(id)
            | Self::SeatTally(id)
            | Self::AccessHead(id)
            | Self::Link(id, _)
            | Self::LinkTally(id, _)
            | Self::LinkUse(id, _, _)
            | Self::PreviewTally(id, _, _)
            | Self::Invite(id, _)
            | Self::Address(id, _)
            | Self::Membership(id, _)
            | Self::Acting(id, _)
            | Self::Group(id, _)
            | Self::GroupMember(id, _, _)
            | Self::Grant(id, _)
            | Self::Endpoint(id, _)
            | Self::UseCount(id, _)
            | Self::SeatCount(id) => Some(id),
            Self::Name(_) | Self::Token(_) | Self::Consumer(_) | Self::Parked(..) => None,
        }
    }

    /// Whether this row is a counter: added to under a limit, so that unrelated commands that
    /// only add don't collide on a revision.
    #[must_use]
    pub const fn is_counter(&self) -> bool {
        matches!(
            self,
            Self::LinkTally(..) | Self::SeatTally(_) | Self::PreviewTally(..)
        )
    }

    /// Whether this row is counted by the store when it is asked for, and never written.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        matches!(self, Self::UseCount(..) | Self::SeatCount(_))
    }
}

/// One row of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must place a new kind of row"
)]
pub enum Row {
    /// For [`RowKey::Name`].
    Name(NameRecord),
    /// For [`RowKey::Organization`].
    Organization(Box<Organization>),
    /// For [`RowKey::Owners`].
    Owners(BTreeSet<UserId>),
    /// For [`RowKey::SeatTally`], [`RowKey::LinkTally`] and [`RowKey::PreviewTally`].
    Tally(u64),
    /// For [`RowKey::AccessHead`].
    AccessHead(AccessHead),
    /// For [`RowKey::Link`].
    Link(Box<Link>),
    /// For [`RowKey::LinkUse`].
    LinkUse(LinkUse),
    /// For [`RowKey::Invite`].
    Invite(Box<EmailInvite>),
    /// For [`RowKey::Address`].
    Address(AddressRecord),
    /// For [`RowKey::Token`].
    Token(TokenRecord),
    /// For [`RowKey::Membership`].
    Membership(Box<Membership>),
    /// For [`RowKey::Acting`].
    Acting(ActingRule),
    /// For [`RowKey::Group`].
    Group(Group),
    /// For [`RowKey::GroupMember`]: its key says it all.
    GroupMember,
    /// For [`RowKey::Grant`].
    Grant(Box<Grant>),
    /// For [`RowKey::Endpoint`].
    Endpoint(Box<Endpoint>),
    /// For [`RowKey::Consumer`].
    Consumer(ConsumerRecord),
    /// For [`RowKey::Parked`].
    Parked(ParkedRecord),
    /// For [`RowKey::UseCount`].
    UseCount(u64),
    /// For [`RowKey::SeatCount`].
    SeatCount(SeatCount),
}

/// How many memberships of a host hold or would hold a seat, by stored status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeatCount {
    /// Requests that wait for review.
    pub pending: u64,
    /// Approved members.
    pub approved: u64,
}

/// Typed access to one kind of row.
macro_rules! getters {
    ($($(#[$meta:meta])* $name:ident($($arg:ident: $arg_type:ty),*) -> $type:ty
        = $key:expr, $pattern:pat => $value:expr;)*) => {
        $($(#[$meta])*
        #[must_use]
        pub fn $name(&self, $($arg: $arg_type),*) -> Option<$type> {
            match self.rows.get(&$key) {
                Some($pattern) => Some($value),
                _ => None,
            }
        })*
    };
}

/// The rows that a decision looks at and that events are folded into. A few, as loaded for one
/// command, or everything, as folded from a log.
#[derive(Debug, Clone, Default)]
pub struct Records {
    host: Option<OrgId>,
    rows: BTreeMap<RowKey, Row>,
    book: Option<Arc<AccessBook>>,
    /// What was there before the first change, for each row that was changed.
    touched: BTreeMap<RowKey, Option<Row>>,
}

impl Records {
    /// No rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The organization that the command is about, as far as it is known: an unknown token has
    /// none.
    #[must_use]
    pub const fn host(&self) -> Option<&OrgId> {
        self.host.as_ref()
    }

    /// Sets the organization that the command is about.
    pub fn set_host(&mut self, host: OrgId) {
        self.host = Some(host);
    }

    /// The host's access rules, where the command needs them.
    #[must_use]
    pub fn book(&self) -> Option<&AccessBook> {
        self.book.as_deref()
    }

    /// Hands in the host's access rules.
    pub fn set_book(&mut self, book: Arc<AccessBook>) {
        self.book = Some(book);
    }

    /// Puts a row in as it was loaded: not a change.
    pub fn insert(&mut self, key: RowKey, row: Row) {
        self.rows.insert(key, row);
    }

    /// One row.
    #[must_use]
    pub fn get(&self, key: &RowKey) -> Option<&Row> {
        self.rows.get(key)
    }

    /// All rows, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&RowKey, &Row)> {
        self.rows.iter()
    }

    /// The rows that were changed, with what was there before.
    pub fn changes(&self) -> impl Iterator<Item = (&RowKey, Option<&Row>, Option<&Row>)> {
        self.touched
            .iter()
            .map(|(key, before)| (key, before.as_ref(), self.rows.get(key)))
    }

    pub(crate) fn put(&mut self, key: RowKey, row: Row) {
        let before = self.rows.insert(key.clone(), row);
        self.touched.entry(key).or_insert(before);
    }

    pub(crate) fn delete(&mut self, key: RowKey) {
        let before = self.rows.remove(&key);
        self.touched.entry(key).or_insert(before);
    }

    getters! {
        /// Which organization a name was given to.
        name(name: &OrgName) -> &NameRecord
            = RowKey::Name(name.clone()), Row::Name(row) => row;
        /// An organization.
        organization(id: &OrgId) -> &Organization
            = RowKey::Organization(id.clone()), Row::Organization(row) => &**row;
        /// The members that are owners.
        owners(id: &OrgId) -> &BTreeSet<UserId>
            = RowKey::Owners(id.clone()), Row::Owners(row) => row;
        /// How many seats are taken.
        seat_tally(id: &OrgId) -> u64
            = RowKey::SeatTally(id.clone()), Row::Tally(row) => *row;
        /// The head of the access rules.
        access_head(id: &OrgId) -> &AccessHead
            = RowKey::AccessHead(id.clone()), Row::AccessHead(row) => row;
        /// A link, deleted ones too.
        link(host: &OrgId, id: LinkId) -> &Link
            = RowKey::Link(host.clone(), id), Row::Link(row) => &**row;
        /// How many uses a limited link has had.
        link_tally(host: &OrgId, id: LinkId) -> u64
            = RowKey::LinkTally(host.clone(), id), Row::Tally(row) => *row;
        /// A member's use of a link.
        link_use(host: &OrgId, id: LinkId, member: &Member) -> &LinkUse
            = RowKey::LinkUse(host.clone(), id, member.clone()), Row::LinkUse(row) => row;
        /// How often a generation of a link's token was previewed.
        preview_tally(host: &OrgId, id: LinkId, generation: Generation) -> u64
            = RowKey::PreviewTally(host.clone(), id, generation), Row::Tally(row) => *row;
        /// An e-mail invite.
        invite(host: &OrgId, id: InviteId) -> &EmailInvite
            = RowKey::Invite(host.clone(), id), Row::Invite(row) => &**row;
        /// What a host knows of an e-mail address.
        address(host: &OrgId, address: &EmailAddress) -> &AddressRecord
            = RowKey::Address(host.clone(), address.clone()), Row::Address(row) => row;
        /// A webhook endpoint, deleted ones too.
        endpoint(host: &OrgId, id: EndpointId) -> &Endpoint
            = RowKey::Endpoint(host.clone(), id), Row::Endpoint(row) => &**row;
        /// How far a consumer has read the feed.
        consumer(name: &ConsumerName) -> &ConsumerRecord
            = RowKey::Consumer(name.clone()), Row::Consumer(row) => row;
        /// A token.
        token(selector: Selector) -> &TokenRecord
            = RowKey::Token(selector), Row::Token(row) => row;
        /// A membership.
        membership(host: &OrgId, member: &Member) -> &Membership
            = RowKey::Membership(host.clone(), member.clone()), Row::Membership(row) => &**row;
        /// Who of a member organization may act in a host.
        acting(member: &OrgId, host: &OrgId) -> &ActingRule
            = RowKey::Acting(member.clone(), host.clone()), Row::Acting(row) => row;
        /// How many uses of a link count.
        use_count(host: &OrgId, id: LinkId) -> u64
            = RowKey::UseCount(host.clone(), id), Row::UseCount(row) => *row;
        /// How many memberships are pending and approved.
        seat_count(host: &OrgId) -> SeatCount
            = RowKey::SeatCount(host.clone()), Row::SeatCount(row) => *row;
    }
}
