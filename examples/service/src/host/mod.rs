//! What a host application brings: its people, their sign-in, its own data, its mail.
//!
//! Nothing in here decides who may do what. Replace it with what you have.

mod credentials;
mod database;
mod directory;
mod memories;
mod organizations;
mod users;

use std::time::SystemTime;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use guestlist::Timestamp;
use sha2::{Digest as _, Sha256};

pub(crate) use credentials::{Kind, SignedIn};
pub(crate) use database::{Database, DatabaseError, Value};
pub(crate) use directory::HostDirectory;
pub(crate) use memories::Memory;
pub(crate) use organizations::{NewOrganizationError, OrganizationEntry};
pub(crate) use users::User;

/// The application's own tables.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) database: Database,
}

impl Host {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }
}

/// Now, by the clock of this machine.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness there are no ids and no secrets: nothing could go on.
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// A new id: what it is, and 15 random bytes, in the letters that can stand in any URL.
pub(crate) fn new_id(kind: &str) -> String {
    format!("{kind}_{}", BASE64URL_NOPAD.encode(&random::<15>()))
}

/// A new secret of 32 random bytes.
fn new_secret() -> String {
    format!("svc_{}", BASE64URL_NOPAD.encode(&random::<32>()))
}

/// What is kept of a secret. It is random and long, so that a plain hash will do.
fn digest(secret: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}
