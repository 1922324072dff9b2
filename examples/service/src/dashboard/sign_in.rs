//! Signing in and out, and choosing the organization to act in. Yours is an identity provider.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use guestlist::{OrgId, UserId};

use super::desk::{Desk, Shell, done, own_path, redirect, with_session};
use super::fields::Fields;
use super::problem::Problem;
use super::{Answer, show};
use crate::app::App;
use crate::host::{Kind, User};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/sign-in", get(page).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/switch", post(switch))
}

struct Card {
    organization: String,
    people: Vec<Somebody>,
}

struct Somebody {
    id: String,
    name: String,
    email: String,
    initials: String,
}

#[derive(askama::Template)]
#[template(path = "sign_in.html")]
struct Page {
    shell: Shell,
    demo: bool,
    next: String,
    joining: bool,
    error: Option<&'static str>,
    cards: Vec<Card>,
}

async fn page(State(app): State<App>, fields: Fields) -> Answer {
    sign_in_page(&app, own_path(fields.text("next")), None).await
}

async fn sign_in_page(app: &App, next: &str, error: Option<&'static str>) -> Answer {
    let cards = if app.demo {
        people(app).await?
    } else {
        Vec::new()
    };
    show(&Page {
        shell: Shell::outside("Sign in"),
        demo: app.demo,
        next: next.to_owned(),
        joining: next.starts_with("/join"),
        error,
        cards,
    })
    // What follows the sign-in may be a join link.
    .map(|page| ([("referrer-policy", "no-referrer")], page).into_response())
}

/// The people of the demo by organization; those with more than one stand in each.
async fn people(app: &App) -> Result<Vec<Card>, Problem> {
    let listed = app.host.organizations().await?;
    let mut cards: Vec<Card> = listed
        .iter()
        .map(|entry| Card {
            organization: entry.title.to_string(),
            people: Vec::new(),
        })
        .collect();
    let mut nowhere = Card {
        organization: "In no organization yet".to_owned(),
        people: Vec::new(),
    };
    for user in app.host.users().await? {
        let belongs = app.host.organizations_of(&app.guests, &user.id).await?;
        if belongs.is_empty() {
            nowhere.people.push(somebody(&user));
        }
        for (card, entry) in cards.iter_mut().zip(&listed) {
            if belongs.iter().any(|own| own.id == entry.id) {
                card.people.push(somebody(&user));
            }
        }
    }
    cards.sort_by_key(|card| std::cmp::Reverse(card.people.len()));
    cards.push(nowhere);
    cards.retain(|card| !card.people.is_empty());
    Ok(cards)
}

fn somebody(user: &User) -> Somebody {
    let name = user.display_name.to_string();
    Somebody {
        id: user.id.to_string(),
        initials: name
            .split_whitespace()
            .filter_map(|word| word.chars().next())
            .take(2)
            .flat_map(char::to_uppercase)
            .collect(),
        name,
        email: user.email.to_string(),
    }
}

async fn sign_in(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Answer {
    let next = own_path(fields.text("next"));
    let found = match (fields.text("key"), fields.text("user")) {
        ("", user) if app.demo => match UserId::parse(user) {
            Ok(id) => app.host.user(&id).await?.map(|user| (user, None)),
            Err(_) => None,
        },
        (key, _) => app
            .host
            .signed_in(Kind::Bearer, key)
            .await?
            .map(|found| (found.user, found.organization)),
    };
    let Some((user, organization)) = found else {
        let page = sign_in_page(&app, next, Some("No access key looks like this.")).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    if let Some(before) = super::desk::cookie(&headers, "session") {
        app.host.sign_out(before).await?;
    }
    let belongs = app.host.organizations_of(&app.guests, &user.id).await?;
    let wanted = fields.text("organization");
    let chosen = belongs
        .iter()
        .find(|entry| Some(&entry.id) == organization.as_ref() || entry.title.as_str() == wanted)
        .or(belongs.first());
    let session = app
        .host
        .issue(Kind::Session, &user.id, chosen.map(|entry| &entry.id))
        .await?;
    Ok(with_session(&app, redirect(next), Some(&session)))
}

async fn sign_out(desk: Desk, fields: Fields) -> Answer {
    desk.app.host.sign_out(&desk.session).await?;
    let next = own_path(fields.text("next"));
    let response = if next == "/" {
        redirect("/sign-in")
    } else {
        super::desk::to_sign_in(next)
    };
    Ok(with_session(&desk.app, response, None))
}

async fn switch(desk: Desk, fields: Fields) -> Result<Response, Problem> {
    let wanted = OrgId::parse(fields.text("organization")).ok();
    let entry = desk
        .organizations
        .iter()
        .find(|entry| Some(&entry.id) == wanted.as_ref())
        .ok_or_else(Problem::not_found)?;
    desk.app.host.act_in(&desk.session, Some(&entry.id)).await?;
    Ok(done("/", &format!("You act in {} now.", entry.title)))
}
