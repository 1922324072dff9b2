//! The mailer for development: writes files.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use guestlist::{InviteMail, MailError, Mailer, Notice};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use crate::compose::{self, Composed};
use crate::error::SendError;
use crate::letterhead::Letterhead;

/// Writes each mail into a folder, as an `.eml` file that mail programs open. For development.
///
/// The files are `invite-` with the token's selector and `notice-` with the notice's id: the same
/// notice, sent again, is the same file. The files of invites hold their tokens; where the system
/// knows owners, only the owner may read a new one.
#[derive(Debug, Clone)]
pub struct FileMailer {
    folder: PathBuf,
    letterhead: Letterhead,
}

impl FileMailer {
    /// Mails go into this folder, which is made with the first of them.
    #[must_use]
    pub fn new(folder: impl AsRef<Path>, letterhead: Letterhead) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            letterhead,
        }
    }

    async fn write(&self, mail: Composed) -> Result<(), SendError> {
        let path = self.folder.join(mail.name + ".eml");
        let text = mail.message.formatted();
        fs::create_dir_all(&self.folder)
            .await
            .map_err(SendError::Folder)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(path).await.map_err(SendError::Folder)?;
        file.write_all(&text).await.map_err(SendError::Folder)?;
        file.flush().await.map_err(SendError::Folder)
    }
}

#[async_trait]
impl Mailer for FileMailer {
    async fn invite(&self, mail: &InviteMail<'_>) -> Result<(), MailError> {
        let mail = compose::invite(&self.letterhead, mail, self.letterhead.clock.now())?;
        Ok(self.write(mail).await?)
    }

    async fn notify(&self, notice: &Notice) -> Result<(), MailError> {
        let mail = compose::notice(&self.letterhead, notice, self.letterhead.clock.now())?;
        Ok(self.write(mail).await?)
    }
}
