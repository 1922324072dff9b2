//! The application: guestlist over its store, and what the application has itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use guestlist::postgres::{PgOptions, PgStore};
use guestlist::sqlite::SqliteStore;
use guestlist::token::{SealKey, SealKeyId, SealRing};
use guestlist::webhook::{HttpTransport, WebhookKey, WebhookKeyId, WebhookKeyRing};
use guestlist::{
    AuditKey, DisplayName, EmailAddress, Guestlist, JoinUrl, NoRateLimit, OrgId, OrgName, Pepper,
    PepperId, PepperRing, RoleCatalog, Store, UrlStyle,
};
use guestlist_mail::{FileMailer, Letterhead};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgPoolOptions;

use crate::host::{Database, Host, HostClock, HostDirectory, Kind, new_id};
use crate::operations::MetricsObserver;
use crate::secrets::Secrets;

/// guestlist over whichever store was asked for.
pub(crate) type Guests = Guestlist<Arc<dyn Store>>;

/// What every handler has.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) guests: Guests,
    pub(crate) host: Host,
    pub(crate) clock: HostClock,
    /// Where this service is found from outside, without a slash at its end.
    pub(crate) public_url: Arc<str>,
    /// Whether anybody may sign in as one of the people of the demo.
    pub(crate) demo: bool,
    /// The digest of the operator's key, if there is one.
    operator: Option<[u8; 32]>,
}

/// Where the data is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(String),
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl std::str::FromStr for Location {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            _ => Err("a database is `sqlite:PATH` or `postgres://...`"),
        }
    }
}

impl App {
    /// Opens the database, or makes it. `limited`: claims are limited by caller and by address.
    ///
    /// # Errors
    ///
    /// When it can't be opened, or the folder for mails and secrets can't be used.
    pub async fn open(
        location: &Location,
        data: &Path,
        public_url: &str,
        demo: bool,
        limited: bool,
    ) -> Result<Self, Failure> {
        let (store, database): (Arc<dyn Store>, Database) = match location {
            Location::Sqlite(path) => (
                Arc::new(SqliteStore::open(path)?),
                Database::sqlite(path).await?,
            ),
            Location::Postgres(address) => {
                let pool = PgPoolOptions::new()
                    .max_connections(16)
                    .connect(address)
                    .await?;
                (
                    Arc::new(PgStore::open(pool.clone(), PgOptions::new()).await?),
                    Database::postgres(pool).await?,
                )
            }
        };
        let host = Host::new(database);
        let secrets = Secrets::in_folder(data)?;
        let letterhead = Letterhead::new("invites@guestlist.example".parse()?);
        let clock = HostClock::default();
        let join_url: JoinUrl = format!("{public_url}/join").parse()?;
        let builder = Guestlist::builder(
            store,
            PepperRing::new(PepperId::new(1), Pepper::from_bytes(&secrets.pepper)?),
        )
        .roles(RoleCatalog::gitbook())
        .clock(clock.clone())
        .join_url(join_url, UrlStyle::Query)
        .seals(SealRing::new(
            SealKeyId::new(1),
            SealKey::from_bytes(&secrets.seal)?,
        ))
        .directory(HostDirectory(host.clone()))
        .mailer(FileMailer::new(data.join("mails"), letterhead))
        .webhooks(
            WebhookKeyRing::new(
                WebhookKeyId::new(1),
                WebhookKey::from_bytes(&secrets.webhooks)?,
            ),
            HttpTransport::new(),
        )
        .audit_key(AuditKey::from_bytes(&secrets.audit)?)
        .observer(MetricsObserver);
        let guests = if limited {
            builder.build()
        } else {
            builder.rate_limit(NoRateLimit).build()
        };
        Ok(Self {
            guests,
            host,
            clock,
            public_url: public_url.into(),
            demo,
            operator: None,
        })
    }

    /// With a key for whoever runs the service.
    #[must_use]
    pub fn with_operator_key(mut self, key: &str) -> Self {
        self.operator = Some(Sha256::digest(key).into());
        self
    }

    /// Whether this is the operator's key. Digests are compared, so that no time tells of the key.
    pub(crate) fn is_operator(&self, key: &str) -> bool {
        self.operator == Some(Sha256::digest(key).into())
    }

    /// A person, and an organization of this name that the person founds: the access key.
    ///
    /// # Errors
    ///
    /// When the name is taken or not one, or the database fails.
    pub async fn add_user(
        &self,
        email: &EmailAddress,
        name: &DisplayName,
        organization: Option<&str>,
    ) -> Result<String, Failure> {
        let user = self.host.user_with_email(email, name).await?;
        if let Some(organization) = organization {
            let title = DisplayName::parse(organization)?;
            let id = OrgId::parse(&new_id("org"))?;
            let handle = OrgName::parse(organization)?;
            self.host
                .found(&self.guests, &id, handle, &title, &user.id)
                .await?;
        }
        Ok(self.host.issue(Kind::Bearer, &user.id, None).await?)
    }
}
