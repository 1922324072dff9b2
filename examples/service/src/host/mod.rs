//! What a host application brings: its people, their sign-in, its own data, its mail.
//!
//! Nothing in here decides who may do what. Replace it with what you have.

mod clock;
mod credentials;
mod database;
mod directory;
mod memories;
mod organizations;
mod teams;
mod user_names;
mod users;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use guestlist::{Clock as _, Entropy as _, SystemClock, SystemEntropy, Timestamp};
use sha2::{Digest as _, Sha256};

pub(crate) use clock::HostClock;
pub(crate) use credentials::Kind;
pub(crate) use database::{Database, DatabaseError};
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
    SystemClock.now()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness there are no ids and no secrets: nothing could go on.
    SystemEntropy
        .fill(&mut bytes)
        .expect("the system has randomness");
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
