#![doc = include_str!("../../../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod clock;
mod decisions;
mod entropy;
mod error;
mod facade;
mod idempotency;
mod links;
mod lists;
mod mail;
mod members;
mod organizations;
mod ports;

pub use clock::{Clock, ManualClock, SystemClock};
pub use decisions::Subject;
#[cfg(feature = "getrandom")]
pub use entropy::SystemEntropy;
pub use entropy::{Entropy, EntropyError};
pub use error::Error;
pub use facade::{Builder, Guestlist};
pub use idempotency::{IdempotencyKey, IdempotencyKeyError};
pub use links::{Issued, LinkFilter, LinkListing, LinkPage, TokenReport};
pub use mail::{InviteMail, MailError, Mailer, Notice, NoticeKind};
pub use members::{Changed, Claim, Funnel, LinkUser, MemberPage, PendingPage, PendingRequest};
pub use organizations::NewOrganization;
pub use ports::{DecisionRecord, Directory, NoDirectory, NoObserver, Observer};

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
/// The traits that generators implement, in the version that guestlist speaks.
pub use rand_core;

/// The SQLite adapter (`guestlist-sqlite`).
#[cfg(feature = "sqlite")]
pub use guestlist_sqlite as sqlite;

pub use guestlist_access::{
    Action, ActionSet, Audience, Decision, Denial, Explanation, Grantee, Pattern, PresetGrant,
    RoleCatalog, Sharing,
};
pub use guestlist_membership::link::{Expiry, JoinedBy, Lasting, LinkDraft, Preset, Uses};
pub use guestlist_membership::member::{Changes, Membership, Status};
pub use guestlist_membership::organization::{Organization, Pause, Settings};
pub use guestlist_membership::{Actor, CommandError};
pub use guestlist_store::{Cursor, EventFilter, MemberFilter, MemoryStore, Page, Store};
pub use guestlist_token::{InviteToken, JoinUrl, Pepper, PepperId, PepperRing, UrlStyle};
pub use guestlist_types::{
    Address, DisplayName, EmailAddress, GroupName, Key, Member, OrgId, OrgName, Reason, RoleName,
    Timestamp, UserId,
};

/// The code in the guides is compiled and run like that in these docs.
#[cfg(all(doctest, feature = "sqlite", feature = "conformance"))]
mod guides {
    #[doc = include_str!("../../../docs/guide/stores.md")]
    struct Stores;
    #[doc = include_str!("../../../docs/guide/tokens.md")]
    struct Tokens;
    #[doc = include_str!("../../../docs/guide/transactions.md")]
    struct Transactions;
}
