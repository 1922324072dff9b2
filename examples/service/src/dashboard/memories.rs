//! The application's own data: texts under keys, here and at `@org/key`.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use guestlist::{Action, Address};

use super::desk::{Desk, Shell, done, encoded};
use super::fields::Fields;
use super::problem::Problem;
use super::view::When;
use super::{Answer, show};
use crate::app::App;

/// How long a text may be.
const MAX_VALUE: usize = 64 * 1024;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/memories", get(list).post(create))
        .route("/memories/read", get(read))
}

struct Row {
    key: String,
    path: String,
    description: String,
    updated: When,
}

struct Place {
    title: String,
    reach: String,
    rows: Vec<Row>,
}

#[derive(askama::Template)]
#[template(path = "memories.html")]
struct List {
    shell: Shell,
    places: Vec<Place>,
    organization: String,
}

async fn list(desk: Desk) -> Answer {
    let (guests, actor) = (&desk.app.guests, desk.actor());
    desk.host()?;
    let own = desk
        .organization
        .as_ref()
        .map(|entry| entry.title.to_string())
        .unwrap_or_default();
    let mut places = Vec::new();
    for (name, coverage) in guests.readable_everywhere(&actor, Action::Read).await? {
        let (organization, prefix) = match &name {
            None => (desk.host()?.clone(), String::new()),
            Some(name) => {
                let system = guestlist::Actor::system();
                let found = guests.organization_named(&system, name).await?;
                (found.id, format!("@{name}/"))
            }
        };
        let filter = coverage
            .sql_filter("key_name")
            .map_err(|_| Problem::broken())?;
        let found = desk
            .app
            .host
            .memories(&organization, &filter, "", 200, 0)
            .await?;
        let reach: Vec<String> = coverage
            .as_patterns()
            .iter()
            .map(super::view::pattern)
            .collect();
        places.push(Place {
            title: match &name {
                None => own.clone(),
                Some(name) => format!("@{name}"),
            },
            reach: if reach.is_empty() {
                "nothing".to_owned()
            } else {
                reach.join(", ")
            },
            rows: found
                .into_iter()
                .map(|memory| {
                    let key = format!("{prefix}{}", memory.key);
                    Row {
                        path: format!("/memories/read?key={}", encoded(&key)),
                        key,
                        description: memory.description,
                        updated: When(memory.updated_at),
                    }
                })
                .collect(),
        });
    }
    show(&List {
        shell: desk.shell("Memories", "memories").await,
        places,
        organization: own,
    })
}

#[derive(askama::Template)]
#[template(path = "memory.html")]
struct Read {
    shell: Shell,
    key: String,
    description: String,
    value: String,
    updated: When,
}

/// One and the same answer for every reason why there is nothing to see.
fn nothing() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is no such key, or it is not yours to read",
    )
}

async fn read(desk: Desk, fields: Fields) -> Answer {
    let address: Address = fields.required("key", "Key")?;
    let (guests, actor) = (&desk.app.guests, desk.actor());
    if !guests
        .decide(&actor, Action::Read, &address)
        .await?
        .is_allowed()
    {
        return Err(nothing());
    }
    let organization = match address.organization() {
        None => desk.host()?.clone(),
        Some(name) => {
            let system = guestlist::Actor::system();
            guests.organization_named(&system, name).await?.id
        }
    };
    let memory = desk.app.host.memory(&organization, address.key()).await?;
    let memory = memory.ok_or_else(nothing)?;
    let key = address.to_string();
    show(&Read {
        shell: desk.shell(&key, "memories").await,
        key,
        description: memory.description,
        value: memory.value,
        updated: When(memory.updated_at),
    })
}

async fn create(desk: Desk, fields: Fields) -> Answer {
    let address: Address = fields.required("key", "Key")?;
    let (guests, actor) = (&desk.app.guests, desk.actor());
    if !guests
        .decide(&actor, Action::Create, &address)
        .await?
        .is_allowed()
    {
        let text = "you may not create this key";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    let organization = match address.organization() {
        None => desk.host()?.clone(),
        Some(name) => {
            let system = guestlist::Actor::system();
            guests.organization_named(&system, name).await?.id
        }
    };
    let (description, value) = (fields.text("description"), fields.text("value"));
    let value = value.replace("\r\n", "\n");
    if value.len() + description.len() > MAX_VALUE
        || value.contains('\0')
        || description.contains('\0')
    {
        return Err(Problem::field("Text", "at most 64 KiB of text"));
    }
    let host = &desk.app.host;
    let written = host
        .create_memory(&organization, address.key(), description, &value)
        .await?;
    if !written {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "there is such a key already",
        ));
    }
    Ok(done("/memories", &format!("{address} was written.")))
}
