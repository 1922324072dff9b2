//! Keys of this installation, made at the first start. Yours are in a secret manager.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use guestlist::{Entropy as _, SystemEntropy};

/// What tokens and sealed tokens need; without it a copy of the database opens nothing.
pub(crate) struct Secrets {
    pub(crate) pepper: [u8; 32],
    pub(crate) seal: [u8; 32],
    pub(crate) webhooks: [u8; 32],
    pub(crate) audit: [u8; 32],
}

impl Secrets {
    /// Reads them from the folder, or makes them: a file that only its owner can read.
    pub(crate) fn in_folder(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("secrets");
        match fs::read(&path) {
            Ok(bytes) => Self::from_bytes(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = [0; 128];
                SystemEntropy.fill(&mut bytes).map_err(io::Error::other)?;
                // Two processes that start at once: the second one fails here, and is started again.
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                Self::from_bytes(&bytes)
            }
            Err(error) => Err(error),
        }
    }

    fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let part = |place: usize| -> io::Result<[u8; 32]> {
            bytes
                .get(place * 32..(place + 1) * 32)
                .and_then(|part| part.try_into().ok())
                .ok_or_else(|| io::Error::other("the file of secrets is too short"))
        };
        Ok(Self {
            pepper: part(0)?,
            seal: part(1)?,
            webhooks: part(2)?,
            audit: part(3)?,
        })
    }
}
