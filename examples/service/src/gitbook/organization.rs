//! The organization's settings, as far as they are about invites.

use axum::Json;
use axum::extract::State;
use guestlist::{Organization, Pause};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Body, Caller};
use super::error::Failure;
use crate::app::App;
use crate::host::now;

pub(super) async fn show(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Failure> {
    let organization = app
        .guests
        .organization(&caller.actor(), &caller.org)
        .await?;
    Ok(Json(shape(&app, &organization)))
}

#[derive(Debug, Deserialize)]
// What can't be changed here is refused: nobody should take it for changed.
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    invite_links: Option<bool>,
}

pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Body(change): Body<Change>,
) -> Result<Json<Value>, Failure> {
    let (actor, org) = (caller.actor(), &caller.org);
    let organization = match change.invite_links {
        None => app.guests.organization(&actor, org).await?,
        Some(true) => app.guests.resume_links(&actor, org).await?,
        Some(false) => {
            let pause = Pause::UntilResumed;
            app.guests.pause_links(&actor, org, pause).await?
        }
    };
    Ok(Json(shape(&app, &organization)))
}

/// The organization as an admin sees it, who is the only one to see its settings.
fn shape(app: &App, organization: &Organization) -> Value {
    let (id, name) = (&organization.id, &organization.name);
    let title = organization.display_name.as_ref();
    let rests = organization.pause.is_some_and(|pause| pause.holds(now()));
    json!({
        "object": "organization",
        "id": id.as_str(),
        "plan": "free",
        "title": title.map_or(name.as_str(), |title| title.as_str()),
        "createdAt": organization.created_at.to_string(),
        "inviteLinks": !rests,
        "type": "business",
        "emailDomains": [],
        "mergeRules": { "type": "none" },
        "urls": {
            "location": format!("{}/v1/orgs/{id}", app.public_url),
            "app": format!("{}/", app.public_url),
        },
        "trial": { "status": "notapplicable", "count": 0 },
        "permissions": {
            "view": true, "access": true, "admin": true, "ownTeam": true, "createContent": true,
            "createOpenAPISpec": false, "viewBilling": false, "listMembers": true,
            "listTeams": true, "listIntegrations": false, "listInstallations": false,
            "installIntegration": false,
        },
    })
}
