#![doc = include_str!("../../../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod chain;
mod clock;
mod decisions;
mod entropy;
mod erasure;
mod error;
mod facade;
mod feed;
mod idempotency;
mod invites;
mod links;
mod lists;
mod mail;
mod members;
mod notices;
mod organizations;
mod outgoing;
mod ports;
mod rate;
mod requests;
mod rights;
mod rules;
mod webhooks;

pub use chain::{AuditKey, AuditKeyError, ChainHead, ChainReport};
pub use clock::{Clock, ManualClock, SystemClock};
pub use decisions::Subject;
#[cfg(feature = "getrandom")]
pub use entropy::SystemEntropy;
pub use entropy::{Entropy, EntropyError};
pub use erasure::Erased;
pub use error::Error;
pub use facade::{Builder, Guestlist};
pub use feed::{Batch, Consumer};
pub use idempotency::{IdempotencyKey, IdempotencyKeyError};
pub use invites::{
    Invitations, InviteOutcome, InvitePage, InviteTokenReport, Invited, MAX_ADDRESSES,
};
pub use links::{Issued, LinkFilter, LinkListing, LinkPage, TokenReport};
pub use mail::{InviteMail, MailError, Mailer, Notice, NoticeKind};
pub use members::{Changed, Claim, Funnel, LinkUser, MemberPage, PendingPage, PendingRequest};
pub use organizations::NewOrganization;
pub use outgoing::{DeadLetter, Delivered};
pub use ports::{
    AddressFacts, Addressee, CommandRecord, DecisionRecord, Directory, NoDirectory, NoObserver,
    Observer,
};
pub use rate::{
    Attempt, ClientAddress, InProcessRateLimit, NoRateLimit, Quota, Rate, RateLimit, Tried,
};
pub use requests::{DiscoverPage, Discovered};
pub use rights::Rights;
pub use webhooks::{EndpointDraft, EndpointWithSecret};

/// Patterns, groups, grants, roles and decisions (`guestlist-access`).
pub use guestlist_access as access_rules;
/// Links, memberships and organizations: state, commands, events, rules (`guestlist-membership`).
pub use guestlist_membership as membership;
/// The storage port and the memory store (`guestlist-store`).
pub use guestlist_store as store;
/// Invite tokens and peppers (`guestlist-token`).
pub use guestlist_token as token;
/// Ids, names, keys, addresses and time (`guestlist-types`).
pub use guestlist_types as types;
/// Webhooks: signing, verifying, sending (`guestlist-webhooks`).
pub use guestlist_webhooks as webhook;
/// The traits that generators implement, in the version that guestlist speaks.
pub use rand_core;

/// The PostgreSQL adapter (`guestlist-postgres`).
#[cfg(feature = "postgres")]
pub use guestlist_postgres as postgres;
/// The SQLite adapter (`guestlist-sqlite`).
#[cfg(feature = "sqlite")]
pub use guestlist_sqlite as sqlite;

pub use guestlist_access::{
    AccessHead, Action, ActionSet, Audience, Capability, Coverage, Decision, Denial, Explanation,
    Grant, Grantee, Group, GroupMember, Pattern, PresetGrant, RoleCatalog, Sharing,
};
pub use guestlist_membership::invite::{EmailInvite, InviteDraft};
pub use guestlist_membership::link::{Expiry, JoinedBy, Lasting, LinkDraft, Preset, Uses};
pub use guestlist_membership::member::{ActingRule, Changes, Membership, Status};
pub use guestlist_membership::organization::{Organization, Pause, Settings};
pub use guestlist_membership::presets;
pub use guestlist_membership::{
    Actor, AddressCheck, AfterRejection, CommandError, Joins, Requests, Seats, SecondInvite,
    Standing, Stated,
};
pub use guestlist_store::{
    Cursor, EventFilter, InviteFilter, MemberFilter, MemoryStore, Page, Store,
};
pub use guestlist_token::{InviteToken, JoinUrl, Pepper, PepperId, PepperRing, UrlStyle};
pub use guestlist_types::{
    Address, ConsumerName, DisplayName, EmailAddress, EndpointUrl, GroupName, InviteId, Key,
    LinkId, Member, Message, OrgId, OrgName, Reason, RoleName, Timestamp, UserId,
};

/// The code in the guides is compiled and run like that in these docs. The guide on e-mail invites
/// needs a mailer and is run in `guestlist-mail`.
#[cfg(all(doctest, feature = "getrandom"))]
mod guides {
    #[doc = include_str!("../../../docs/guide/access.md")]
    struct Access;
    #[cfg(feature = "http")]
    #[doc = include_str!("../../../docs/guide/events.md")]
    struct Events;
    #[doc = include_str!("../../../docs/guide/filtering.md")]
    struct Filtering;
    #[cfg(feature = "seal")]
    #[doc = include_str!("../../../docs/guide/links.md")]
    struct Links;
    #[doc = include_str!("../../../docs/guide/policies.md")]
    struct Policies;
    #[doc = include_str!("../../../docs/guide/proxies.md")]
    struct Proxies;
    #[doc = include_str!("../../../docs/guide/reviewing.md")]
    struct Reviewing;
    #[cfg(all(feature = "sqlite", feature = "postgres", feature = "conformance"))]
    #[doc = include_str!("../../../docs/guide/stores.md")]
    struct Stores;
    #[doc = include_str!("../../../docs/guide/tokens.md")]
    struct Tokens;
    #[cfg(all(feature = "sqlite", feature = "postgres"))]
    #[doc = include_str!("../../../docs/guide/transactions.md")]
    struct Transactions;
}
