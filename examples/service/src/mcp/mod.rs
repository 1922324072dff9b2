//! The MCP server at `/mcp`: memories, invites, memberships, sharing.

use axum::Router;
use guestlist::membership::link::Preset;
use guestlist::types::{DisplayName, EmailAddress};
use guestlist::{Actor, Member, OrgId};

use crate::app::App;
use crate::host::User;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn router(app: App) -> Router {
    Router::new().with_state(app)
}

/// A person whom an organization made itself, known there by a user name.
pub(crate) async fn create_named_user(
    app: &App,
    organization: &OrgId,
    name: &str,
) -> Result<User, Failure> {
    let email = EmailAddress::parse(&format!("{name}@users.example"))?;
    let user = app
        .host
        .user_with_email(&email, &DisplayName::parse(name)?)
        .await?;
    app.guests
        .add_member(
            &Actor::system(),
            organization,
            &Member::User(user.id.clone()),
            Preset::default(),
            None,
        )
        .await?;
    Ok(user)
}
