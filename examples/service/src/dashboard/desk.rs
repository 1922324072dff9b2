//! Whoever is signed in, and the frame around their pages.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, LOCATION, REFERER, REFERRER_POLICY, SET_COOKIE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64URL_NOPAD;
use guestlist::{Actor, OrgId, Page};
use tower_http::csrf::ProtectionError;

use super::problem::Problem;
use super::{assets, show};
use crate::app::App;
use crate::host::{Kind, OrganizationEntry, User};

const SESSION: &str = "session";
const FLASH: &str = "flash";
/// As long as a session.
const SESSION_SECONDS: u32 = 12 * 60 * 60;

/// Nothing is loaded from elsewhere, no page is framed, and forms go to this service.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whoever is signed in.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) app: App,
    pub(super) session: Arc<str>,
    pub(super) user: User,
    pub(super) organizations: Vec<OrganizationEntry>,
    /// The one that this person acts in.
    pub(super) organization: Option<OrganizationEntry>,
    flash: Option<String>,
}

impl Desk {
    /// Whose session the cookie names, unless it has ended.
    pub(super) async fn of(app: &App, headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(session) = cookie(headers, SESSION) else {
            return Ok(None);
        };
        let Some(signed_in) = app.host.signed_in(Kind::Session, session).await? else {
            return Ok(None);
        };
        let organizations = app
            .host
            .organizations_of(&app.guests, &signed_in.user.id)
            .await?;
        // Somebody who was removed meanwhile acts there no more.
        let organization = organizations
            .iter()
            .find(|entry| Some(&entry.id) == signed_in.organization.as_ref())
            .cloned();
        let flash = cookie(headers, FLASH)
            .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(Some(Self {
            app: app.clone(),
            session: session.into(),
            user: signed_in.user,
            organizations,
            organization,
            flash,
        }))
    }

    /// The organization that this person acts in.
    pub(super) fn host(&self) -> Result<&OrgId, Problem> {
        let entry = self.organization.as_ref();
        entry
            .map(|entry| &entry.id)
            .ok_or_else(Problem::no_organization)
    }

    pub(super) fn actor(&self) -> Actor {
        match &self.organization {
            Some(entry) => self.user.actor_in(&entry.id),
            None => self.user.actor(),
        }
    }

    /// What is around a page.
    pub(super) async fn shell(&self, title: &str, section: &'static str) -> Shell {
        let mut pending = String::new();
        if let (Some(entry), Ok(page)) = (&self.organization, Page::first(100)) {
            // Who may not see requests sees no number.
            let (guests, actor) = (&self.app.guests, self.actor());
            if let Ok(waiting) = guests.pending(&actor, &entry.id, None, &page).await {
                pending = match (waiting.requests.len(), waiting.next.is_some()) {
                    (0, _) => String::new(),
                    (number, false) => number.to_string(),
                    (_, true) => "99+".to_owned(),
                };
            }
        }
        let current = self.organization.as_ref();
        let choices = self.organizations.iter().map(|entry| Choice {
            id: entry.id.to_string(),
            title: entry.title.to_string(),
            chosen: current.is_some_and(|current| current.id == entry.id),
        });
        Shell {
            title: title.to_owned(),
            section,
            fingerprint: &assets::FINGERPRINT,
            person: Some(Person {
                name: self.user.display_name.to_string(),
                email: self.user.email.to_string(),
                organization: current.map(|entry| entry.title.to_string()),
                choices: choices.collect(),
            }),
            pending,
            flash: self.flash.clone(),
        }
    }
}

impl FromRequestParts<App> for Desk {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match Self::of(app, &parts.headers).await {
            Ok(Some(desk)) => Ok(desk),
            Ok(None) => {
                let back = if parts.method == Method::GET {
                    parts.uri.path_and_query().map(ToString::to_string)
                } else {
                    came_from(app, &parts.headers)
                };
                Err(to_sign_in(back.as_deref().unwrap_or("/")))
            }
            Err(problem) => Err(problem.into_response()),
        }
    }
}

/// The page of this service that a form was on.
fn came_from(app: &App, headers: &HeaderMap) -> Option<String> {
    let referer: Uri = headers.get(REFERER)?.to_str().ok()?.parse().ok()?;
    let own: Uri = app.public_url.parse().ok()?;
    let page = referer.path_and_query()?.to_string();
    (referer.authority() == own.authority()).then_some(page)
}

pub(super) fn to_sign_in(back: &str) -> Response {
    redirect(&format!("/sign-in?next={}", encoded(back)))
}

/// As it stands in a query.
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A path of this service and nothing else: no other site, no `//host`, no control characters.
pub(super) fn own_path(text: &str) -> &str {
    let own = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains('\\')
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if own { text } else { "/" }
}

/// After a change: the page is asked for anew, so that reloading it changes nothing.
pub(super) fn redirect(path: &str) -> Response {
    match HeaderValue::from_str(own_path(path)) {
        Ok(path) => (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response(),
        Err(_) => Problem::broken().into_response(),
    }
}

/// The same, with something said on the next page.
pub(super) fn done(path: &str, said: &str) -> Response {
    let mut response = redirect(path);
    let text = BASE64URL_NOPAD.encode(said.as_bytes());
    let cookie = format!("{FLASH}={text}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Sets the cookie of a session, or takes it back.
pub(super) fn with_session(app: &App, mut response: Response, session: Option<&str>) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(&session_cookie(&app.public_url, session)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn session_cookie(public_url: &str, session: Option<&str>) -> String {
    let (value, age) = session.map_or(("", 0), |session| (session, SESSION_SECONDS));
    let secure = if public_url.starts_with("https:") {
        "; Secure"
    } else {
        ""
    };
    format!("{SESSION}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// An organization to act in.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) chosen: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) organization: Option<String>,
    pub(super) choices: Vec<Choice>,
}

/// What is around a page.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) section: &'static str,
    pub(super) fingerprint: &'static str,
    pub(super) person: Option<Person>,
    pub(super) pending: String,
    pub(super) flash: Option<String>,
}

impl Shell {
    /// For whoever is not signed in.
    pub(super) fn outside(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            section: "",
            fingerprint: &assets::FINGERPRINT,
            person: None,
            pending: String::new(),
            flash: None,
        }
    }

    pub(super) fn is(&self, section: &str) -> bool {
        self.section == section
    }
}

#[derive(askama::Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    shell: Shell,
    title: &'static str,
    text: String,
    advice: &'static str,
    code: &'static str,
    back: String,
}

/// Writes the page of a refusal, and the headers that every page has.
pub(super) async fn frame(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let shown = request.method() == Method::GET;
    let mut response = next.run(request).await;
    if response.extensions().get::<ProtectionError>().is_some() {
        let text = "this form was sent from another site";
        response = Problem::new(StatusCode::FORBIDDEN, text).into_response();
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem_page(&app, &headers, &problem).await;
    } else if shown && response.status() == StatusCode::OK && cookie(&headers, FLASH).is_some() {
        // It was said on this page.
        let gone = HeaderValue::from_static("flash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        response.headers_mut().append(SET_COOKIE, gone);
    }
    let own = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        own.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(CACHE_CONTROL, "no-store");
    set(CONTENT_SECURITY_POLICY, POLICY);
    // Within this service it says where a form was, so that one can go back there.
    set(REFERRER_POLICY, "same-origin");
    response
}

async fn problem_page(app: &App, headers: &HeaderMap, problem: &Problem) -> Response {
    let desk = Desk::of(app, headers).await.ok().flatten();
    let title = problem.title();
    let shell = match &desk {
        Some(desk) => desk.shell(title, "").await,
        None => Shell::outside(title),
    };
    let page = ProblemPage {
        shell,
        title,
        text: problem.sentence(),
        advice: problem.advice(),
        code: problem.code,
        back: came_from(app, headers).unwrap_or_else(|| "/".to_owned()),
    };
    let mut response = show(&page).unwrap_or_else(|_| problem.status.into_response());
    *response.status_mut() = problem.status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_within_this_service_only() {
        for own in ["/", "/users", "/join?token=glj_x", "/a?b=c&d=%20"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "users",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/a\nb",
            "/a b",
            "/\u{e4}",
        ] {
            assert_eq!(own_path(other), "/");
        }
    }

    #[test]
    fn a_session_is_sent_encrypted_where_the_service_is() {
        let cookie = session_cookie("https://app.example", Some("svc_x"));
        assert!(cookie.starts_with("session=svc_x; ") && cookie.ends_with("; Secure"));
        assert!(!session_cookie("http://127.0.0.1:8080", Some("svc_x")).contains("Secure"));
        assert!(session_cookie("https://app.example", None).contains("Max-Age=0"));
    }

    #[test]
    fn what_stands_in_a_query_comes_back_as_it_was() {
        assert_eq!(encoded("/join?a=b&c"), "/join%3Fa%3Db%26c");
        assert_eq!(encoded("\u{e4} \u{0}"), "%C3%A4%20%00");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; session=x=y"));
        headers.append(COOKIE, HeaderValue::from_static("flash=z"));
        assert_eq!(cookie(&headers, "session"), Some("x=y"));
        assert_eq!(cookie(&headers, "flash"), Some("z"));
        assert_eq!(cookie(&headers, "sess"), None);
    }
}
