//! The vocabulary of guestlist: ids, names, keys, e-mail addresses and time.
//!
//! Everything here parses, prints and compares; nothing decides. A value of one of these types is
//! valid by construction, so the crates above never check a shape again.
//!
//! Text that does not fit is refused, never repaired: two different inputs never become the same
//! value, except where a type says so ([`EmailAddress`] has one form to compare by).
//!
//! Ids that belong to the host application ([`OrgId`], [`UserId`]) are opaque validated strings;
//! ids that guestlist makes ([`LinkId`], [`GroupId`], ...) are 16 bytes in `UUIDv7` layout. In
//! JSON all of them are strings; in binary formats the latter are 16 bytes.
//!
//! Not here: secrets (`guestlist-token`), patterns and grants (`guestlist-access`), rules
//! (`guestlist-membership`).

mod address;
mod bucket;
mod email;
mod endpoint;
mod id;
mod key;
mod member;
mod name;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod time;

pub use address::{Address, AddressError};
pub use bucket::{BUCKETS, Bucket};
pub use email::{EmailAddress, EmailDomain, EmailError};
pub use endpoint::{EndpointUrl, EndpointUrlError, MAX_ENDPOINT_URL_BYTES};
pub use id::{
    CommitId, EndpointId, GrantId, GroupId, IdError, InviteId, LinkId, OrgId, ProxyUserId, UserId,
};
pub use key::{Key, KeyError, MAX_KEY_BYTES};
pub use member::{Member, MemberKind, MembershipKey};
pub use name::{
    ConsumerName, DisplayName, GroupName, Label, Message, NameError, OrgName, Reason, RoleName,
};
pub use time::{Timestamp, TimestampError};
