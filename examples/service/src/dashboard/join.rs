//! The join page: what a link or an e-mail invite opens, before anybody signs in, and joining.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use guestlist::membership::link::LinkCondition;
use guestlist::token::TokenKind;
use guestlist::{Actor, Claim, InviteToken, OrgId, Status};

use super::desk::{Choice, Desk, Shell, done, encoded, to_sign_in};
use super::fields::Fields;
use super::problem::{Problem, sentence};
use super::view::When;
use super::{Answer, show};
use crate::app::App;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/join", get(page).post(join))
        .route("/join/decline", post(decline))
}

/// What a token opens, whichever kind it is.
struct Offer {
    host: String,
    handle: String,
    label: Option<String>,
    role: Option<String>,
    needs_review: bool,
    questions: Vec<String>,
    message: Option<String>,
    address: Option<String>,
    expires: Option<When>,
    /// Why it can't be used now.
    ended: Option<(StatusCode, &'static str)>,
}

#[derive(askama::Template)]
#[template(path = "join.html")]
struct Page {
    shell: Shell,
    offer: Offer,
    token: String,
    next: String,
    person: Option<(String, String)>,
    organizations: Vec<Choice>,
}

#[derive(askama::Template)]
#[template(path = "join_refused.html")]
struct Refused {
    shell: Shell,
    title: &'static str,
    text: String,
}

async fn page(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Response {
    let answer = match offered(&app, fields.text("token")).await {
        Ok((token, offer)) => offer_page(&app, &headers, &token, offer).await,
        Err(problem) => refused(&problem),
    };
    ([("referrer-policy", "no-referrer")], answer).into_response()
}

async fn offered(app: &App, text: &str) -> Result<(InviteToken, Offer), Problem> {
    let token = InviteToken::parse(text).map_err(guestlist::Error::from)?;
    let offer = match token.kind() {
        TokenKind::Link => {
            let shown = app.guests.preview(&token).await?;
            Offer {
                handle: shown.host_name.to_string(),
                host: shown
                    .host_display_name
                    .map_or_else(|| shown.host_name.to_string(), |name| name.to_string()),
                label: shown.label.map(|label| label.to_string()),
                role: shown.role.map(|role| role.to_string()),
                needs_review: shown.needs_review,
                questions: shown.questions,
                message: None,
                address: None,
                expires: shown.expires_at.map(When),
                ended: match shown.condition {
                    LinkCondition::Open => None,
                    LinkCondition::Disabled => {
                        Some((StatusCode::GONE, "This link is switched off."))
                    }
                    LinkCondition::Expired => Some((StatusCode::GONE, "This link has expired.")),
                    LinkCondition::Exhausted => {
                        Some((StatusCode::GONE, "The last place of this link is taken."))
                    }
                    LinkCondition::Paused => Some((
                        StatusCode::SERVICE_UNAVAILABLE,
                        "The links of this organization rest for now.",
                    )),
                },
            }
        }
        TokenKind::EmailInvite => {
            let shown = app.guests.preview_invite(&token).await?;
            Offer {
                handle: shown.host_name.to_string(),
                host: shown
                    .host_display_name
                    .map_or_else(|| shown.host_name.to_string(), |name| name.to_string()),
                label: None,
                role: shown.role.map(|role| role.to_string()),
                needs_review: shown.needs_review,
                questions: Vec::new(),
                message: shown.message.map(|message| message.to_string()),
                address: Some(shown.address_hint),
                expires: shown.expires_at.map(When),
                ended: shown
                    .expired
                    .then_some((StatusCode::GONE, "This invite has expired.")),
            }
        }
    };
    Ok((token, offer))
}

async fn offer_page(app: &App, headers: &HeaderMap, token: &InviteToken, offer: Offer) -> Response {
    let desk = match Desk::of(app, headers).await {
        Ok(desk) => desk,
        Err(problem) => return problem.into_response(),
    };
    let status = offer.ended.map_or(StatusCode::OK, |(status, _)| status);
    let text = token.expose_secret();
    let organizations = desk.iter().flat_map(|desk| {
        let current = desk.organization.as_ref().map(|entry| &entry.id);
        desk.organizations.iter().map(move |entry| Choice {
            id: entry.id.to_string(),
            title: entry.title.to_string(),
            chosen: Some(&entry.id) == current,
        })
    });
    let page = Page {
        shell: Shell::outside(&format!("Join {}", offer.host)),
        token: text.to_owned(),
        next: format!("/join?token={}", encoded(text)),
        person: desk.as_ref().map(|desk| {
            let user = &desk.user;
            (user.display_name.to_string(), user.email.to_string())
        }),
        organizations: organizations.collect(),
        offer,
    };
    match show(&page) {
        Ok(page) => (status, page).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Nothing but what guestlist says: nobody learns more about a token than that.
fn refused(problem: &Problem) -> Response {
    let page = Refused {
        shell: Shell::outside("This link opens nothing"),
        title: "This link opens nothing",
        text: sentence(&problem.text),
    };
    match show(&page) {
        Ok(page) => (problem.status, page).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Whoever is signed in, or the way back to this page.
async fn claimant(app: &App, headers: &HeaderMap, fields: &Fields) -> Result<Desk, Response> {
    match Desk::of(app, headers).await {
        Ok(Some(desk)) => Ok(desk),
        Ok(None) => {
            let back = format!("/join?token={}", encoded(fields.text("token")));
            Err(to_sign_in(&back))
        }
        Err(problem) => Err(problem.into_response()),
    }
}

async fn join(
    State(app): State<App>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    fields: Fields,
) -> Answer {
    let desk = match claimant(&app, &headers, &fields).await {
        Ok(desk) => desk,
        Err(response) => return Ok(response),
    };
    let token = InviteToken::parse(fields.text("token")).map_err(guestlist::Error::from)?;
    let (actor, claim) = joining(&desk, fields.text("as"))?;
    let claim = fields.all("answer").fold(claim, Claim::answer);
    // Guessing is limited by address, too. Behind a proxy, take the one that it states.
    let guests = app.guests.from_address(address.ip());
    let changed = match token.kind() {
        TokenKind::Link => guests.claim(&actor, &token, claim).await?,
        TokenKind::EmailInvite => guests.accept(&actor, &token, claim).await?,
    };
    let names = super::names::Names::load(&app).await?;
    let host = names.organization(&changed.membership.host);
    let said = match (changed.membership.status, changed.changed) {
        (Some(Status::Pending), true) => {
            format!("Your request to join {host} was sent. It waits for review.")
        }
        (Some(Status::Pending), false) => {
            format!("Your request to join {host} waits for review already.")
        }
        (_, true) => format!("Welcome: you have joined {host}."),
        (_, false) => format!("You have joined {host} already."),
    };
    Ok(done("/outgoing", &said))
}

/// As which organization, or as oneself.
fn joining(desk: &Desk, wanted: &str) -> Result<(Actor, Claim), Problem> {
    if wanted == "me" {
        return Ok((desk.actor(), Claim::for_myself()));
    }
    let id = OrgId::parse(wanted)
        .map_err(|_| Problem::field("Join as", "choose as whom you want to join"))?;
    Ok((desk.user.actor_in(&id), Claim::for_organization()))
}

async fn decline(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Answer {
    let desk = match claimant(&app, &headers, &fields).await {
        Ok(desk) => desk,
        Err(response) => return Ok(response),
    };
    let token = InviteToken::parse(fields.text("token")).map_err(guestlist::Error::from)?;
    app.guests.decline(&desk.actor(), &token).await?;
    Ok(done("/", "You have declined the invite."))
}
