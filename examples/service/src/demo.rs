//! The people and organizations that a demo begins with, and the file that tells about them.

mod showcase;

use std::io;
use std::path::{Path, PathBuf};

use guestlist::types::{DisplayName, EmailAddress};
use guestlist::{Actor, Member, OrgId, OrgName, membership::link::Preset};
use serde_json::{Value, json};

use crate::app::App;
use crate::host::{Kind, User, new_id};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A temporary folder, which is removed when this is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one that only its owner can look into.
    ///
    /// # Errors
    ///
    /// When it can't be made.
    pub fn create() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(new_id("guestlist-demo"));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing can be done about a folder that stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes the fixture so that whoever waits for the file finds it whole.
///
/// # Errors
///
/// When the file can't be written.
pub fn write(fixture: &Value, file: &Path) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, format!("{fixture:#}\n"))?;
    std::fs::rename(beside, file)
}

/// Makes the people and organizations of the demo; the fixture, with everybody's access keys.
///
/// # Errors
///
/// When the database or guestlist refuses.
pub async fn fill(app: &App) -> Result<Value, Failure> {
    showcase::fill(app).await?;
    let a = organization(
        app,
        "acme-docs",
        "Acme Docs",
        "ada@acme.example",
        "Ada Ashby",
    )
    .await?;
    let b = organization(
        app,
        "borealis",
        "Borealis",
        "bruno@borealis.example",
        "Bruno Castell",
    )
    .await?;
    let reader = person(app, "remy@acme.example", "Remy Okafor").await?;
    let gift = Preset {
        role: Some("read".parse()?),
        ..Preset::default()
    };
    app.guests
        .add_member(
            &Actor::system(),
            &a.id,
            &Member::User(reader.id.clone()),
            gift,
            None,
        )
        .await?;
    let mut users = json!({
        "admin": entry(app, &a.owner, None).await?,
        "reader": entry(app, &reader, None).await?,
        "admin_b": entry(app, &b.owner, None).await?,
    });
    for (place, name) in [
        "Olga Petrov",
        "Pia Lindgren",
        "Quentin Moreau",
        "Rosa Delgado",
        "Sven Iversen",
        "Tara Whitlock",
        "Umar Siddiqui",
        "Vera Novak",
    ]
    .into_iter()
    .enumerate()
    {
        let label = format!("o{}", place + 1);
        let user = person(app, &format!("{label}@elsewhere.example"), name).await?;
        users[label.as_str()] = entry(app, &user, None).await?;
    }

    let mut orgs = json!({});
    for (label, name, title, owner) in [
        ("host", "widgets-inc", "Widgets Inc.", "Wanda Grimes"),
        ("bravo", "bravo", "Bravo Studio", "Bob Tanaka"),
        ("charlie", "charlie", "Charlie & Sons", "Carol Mbeki"),
        ("delta", "delta", "Delta Labs", "Dana Fox"),
        ("echo", "echo", "Echo Works", "Emil Strand"),
    ] {
        let owner_email = format!("owner@{name}.example");
        let made = organization(app, name, title, &owner_email, owner).await?;
        orgs[label] =
            json!({ "name": name, "owner_token": token(app, &made.owner, Some(&made.id)).await? });
        if label == "host" {
            let alice = crate::mcp::create_named_user(app, &made.id, "alice").await?;
            orgs[label]["users"] =
                json!({ "alice": { "token": token(app, &alice, Some(&made.id)).await? } });
        }
    }

    Ok(json!({
        "guestlist_demo": 1,
        "features": ["teams", "org-settings"],
        "http": { "base_url": &*app.public_url },
        "gitbook": {
            "org_a": {
                "id": a.id.as_str(), "title": "Acme Docs",
                "space_id": crate::gitbook::SPACE_ID, "collection_id": crate::gitbook::COLLECTION_ID,
            },
            "org_b": { "id": b.id.as_str(), "title": "Borealis" },
            "users": users,
        },
        "mcp": { "url": format!("{}/mcp", app.public_url) },
        "ensue": { "orgs": orgs },
    }))
}

struct Made {
    id: OrgId,
    owner: User,
}

async fn organization(
    app: &App,
    name: &str,
    title: &str,
    email: &str,
    owner: &str,
) -> Result<Made, Failure> {
    let owner = person(app, email, owner).await?;
    let id = OrgId::parse(&new_id("org"))?;
    let title = DisplayName::parse(title)?;
    app.host
        .found(&app.guests, &id, OrgName::parse(name)?, &title, &owner.id)
        .await?;
    Ok(Made { id, owner })
}

async fn person(app: &App, email: &str, name: &str) -> Result<User, Failure> {
    let (email, name) = (EmailAddress::parse(email)?, DisplayName::parse(name)?);
    Ok(app.host.user_with_email(&email, &name).await?)
}

async fn token(app: &App, user: &User, organization: Option<&OrgId>) -> Result<String, Failure> {
    Ok(app.host.issue(Kind::Bearer, &user.id, organization).await?)
}

async fn entry(app: &App, user: &User, organization: Option<&OrgId>) -> Result<Value, Failure> {
    Ok(json!({
        "id": user.id.as_str(),
        "email": user.email.as_str(),
        "display_name": user.display_name.as_str(),
        "token": token(app, user, organization).await?,
    }))
}
