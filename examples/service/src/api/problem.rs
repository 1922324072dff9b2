//! Problem details (RFC 9457), and the HTTP status of every code that guestlist has.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use guestlist::Error;
use serde::Serialize;
use utoipa::ToSchema;

use crate::host::{DatabaseError, NewOrganizationError};

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "/api/problems/wrong-state",
    "title": "Wrong state",
    "status": 409,
    "detail": "approve is not possible here: the membership is rejected",
    "code": "wrong-state",
}))]
pub(crate) struct Problem {
    /// Where this kind of problem is described, relative to the service.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The kind of problem, in words.
    pub(crate) title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub(crate) status: u16,
    /// This occurrence, in words. Not for programs.
    pub(crate) detail: String,
    /// guestlist's stable code: what programs go by.
    pub(crate) code: String,
    /// The field that is wrong, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<&'static str>,
    /// In how many seconds it is worth another try.
    #[serde(skip)]
    pub(crate) retry_after: Option<u16>,
}

/// What each code is to HTTP. A code that is missing here is a defect of this program and is
/// answered with 500; a test looks for it.
const STATUSES: &[(StatusCode, &[&str])] = &[
    (
        StatusCode::BAD_REQUEST,
        &[
            "body-malformed",
            "body-unreadable",
            "path-malformed",
            "query-invalid",
            "header-malformed",
            "cursor-invalid",
            "idempotency-key-malformed",
            "page-limit",
        ],
    ),
    (StatusCode::UNAUTHORIZED, &["unauthenticated"]),
    (
        StatusCode::FORBIDDEN,
        &[
            "action-not-held",
            "blocked",
            "domain-not-allowed",
            "email-not-verified",
            "invite-only",
            "member-not-allowed",
            "missing-capability",
            "not-allowed",
            "not-the-member",
            "outsider",
            "outsider-ceiling",
            "owners-only",
            "rejected-link",
            "requests-closed",
            "role-above-own",
            "share-not-held",
            "system-only",
            "wrong-account",
            "wrong-kind-of-member",
        ],
    ),
    (
        StatusCode::NOT_FOUND,
        &[
            "grant-not-found",
            "group-not-found",
            "not-found",
            // A token that opens nothing is found nowhere, whatever the reason.
            "host-not-active",
            "invalid-token",
            "invite-closed",
            "invite-expired",
            "link-deleted",
            "link-disabled",
            "link-exhausted",
            "link-expired",
            "links-paused",
            "token-before-removal",
            "token-retired",
            "token-unknown",
        ],
    ),
    (StatusCode::METHOD_NOT_ALLOWED, &["method-not-allowed"]),
    (
        StatusCode::CONFLICT,
        &[
            "already-invited",
            "already-member",
            "already-registered",
            "cooling-down",
            "creator-not-standing",
            "grant-exists",
            "group-cycle",
            "group-exists",
            "group-held-otherwise",
            "group-name-taken",
            "internal-group",
            "inviter-not-standing",
            "last-owner",
            "member-not-live",
            "name-taken",
            "no-webhooks",
            "organization-not-active",
            "outcome-erased",
            "outsider-in-group",
            "own-organization",
            "owner-can-not-expire",
            "proxy-has-no-role",
            "seats-full",
            "token-not-sealed",
            "wrong-invite-state",
            "wrong-link-state",
            "wrong-state",
        ],
    ),
    (StatusCode::PRECONDITION_FAILED, &["precondition-failed"]),
    (StatusCode::PAYLOAD_TOO_LARGE, &["body-too-large"]),
    (
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        &["unsupported-media-type"],
    ),
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        &[
            "action-unknown",
            "address-no-key",
            "answers-missing",
            "body-invalid",
            "capability-unknown",
            "email-at",
            "email-domain",
            "email-empty",
            "email-local-part",
            "email-too-long",
            "endpoint-not-encrypted",
            "endpoint-url-character",
            "endpoint-url-fragment",
            "endpoint-url-host",
            "endpoint-url-port",
            "endpoint-url-scheme",
            "endpoint-url-too-long",
            "endpoint-url-user-info",
            "grant-already-expired",
            "grant-without-actions",
            "id-character",
            "id-empty",
            "id-malformed",
            "id-reserved-prefix",
            "id-too-long",
            "idempotency-key-reused",
            "in-the-past",
            "key-control-character",
            "key-dot-segment",
            "key-empty",
            "key-empty-segment",
            "key-leading-at",
            "key-leading-slash",
            "key-too-long",
            "lifetime-too-long",
            "metadata-not-an-object",
            "metadata-too-large",
            "name-character",
            "name-edge",
            "name-empty",
            "name-too-long",
            "overlap-too-long",
            "pattern-empty",
            "pattern-kind",
            "time-malformed",
            "too-many",
            "unknown-role",
            "zero-uses",
        ],
    ),
    (StatusCode::TOO_MANY_REQUESTS, &["rate-limited"]),
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        &[
            "consumer-taken",
            "fact-missing",
            "internal-error",
            "no-audit-key",
            "rng-failed",
            "rng-stuck",
            "selector-taken",
            "store-corrupt",
            "store-denied",
            "store-failed",
            "store-foreign",
            "store-malformed-commit",
            "store-misuse",
            "store-newer-schema",
            "webhook-key-missing",
        ],
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        &[
            "contended",
            "directory-unavailable",
            "entropy-unavailable",
            "rate-limit-unavailable",
            "store-busy",
            "store-full",
            "store-outcome-unknown",
            "store-read-only",
            "store-unavailable",
            "timed-out",
        ],
    ),
];

/// The status of a code, if it is known.
pub(crate) fn status_of(code: &str) -> Option<StatusCode> {
    STATUSES
        .iter()
        .find(|(_, codes)| codes.contains(&code))
        .map(|(status, _)| *status)
}

/// Every code with its status.
pub(crate) fn codes() -> impl Iterator<Item = (&'static str, StatusCode)> {
    STATUSES
        .iter()
        .flat_map(|(status, codes)| codes.iter().map(|code| (*code, *status)))
}

/// `wrong-state` is "Wrong state".
pub(crate) fn title_of(code: &str) -> String {
    let mut title = code.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

impl Problem {
    pub(crate) fn new(code: &str, detail: impl Into<String>) -> Self {
        let status = status_of(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Whatever went wrong inside is nobody's business outside.
        let detail = if status == StatusCode::INTERNAL_SERVER_ERROR {
            "something went wrong in the service".to_owned()
        } else {
            detail.into()
        };
        Self {
            kind: format!("/api/problems/{code}"),
            title: title_of(code),
            status: status.as_u16(),
            detail,
            code: code.to_owned(),
            field: None,
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new("not-found", format!("no such {what}"))
    }

    pub(crate) fn in_field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// The problem that a bare answer of this status stands for: of the router or of a layer.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not-found", "nothing is here"),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method-not-allowed", "this can't be done to this resource")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("body-too-large", "the body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "unsupported-media-type",
                "the body must be `application/json`",
            ),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => {
                ("timed-out", "this took too long; try again")
            }
            status if status.is_client_error() => ("body-unreadable", "this request can't be read"),
            _ => ("internal-error", ""),
        };
        Self::new(code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.code();
        let mut problem = Self::new(code, error.to_string());
        if let Error::RateLimited { wait } = error {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            problem.retry_after = Some(u16::try_from(seconds).unwrap_or(u16::MAX));
        }
        if problem.status >= 500 {
            tracing::error!(code, "a request failed");
        }
        problem
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new("store-unavailable", "the database does not answer")
    }
}

impl From<NewOrganizationError> for Problem {
    fn from(error: NewOrganizationError) -> Self {
        match error {
            NewOrganizationError::Guestlist(error) => error.into(),
            NewOrganizationError::Database(error) => error.into(),
        }
    }
}

/// The error of a parser, with its stable code.
pub(crate) trait Coded: std::fmt::Display {
    fn code(&self) -> &'static str;
}

macro_rules! coded {
    ($($error:ty),+ $(,)?) => {
        $(impl Coded for $error {
            fn code(&self) -> &'static str {
                // The inherent one.
                (*self).code()
            }
        })+
    };
}

coded!(
    guestlist::access_rules::PatternError,
    guestlist::membership::MetadataError,
    guestlist::store::CursorError,
    guestlist::store::PageError,
    guestlist::token::TokenError,
    guestlist::types::AddressError,
    guestlist::types::EmailError,
    guestlist::types::EndpointUrlError,
    guestlist::types::IdError,
    guestlist::types::KeyError,
    guestlist::types::NameError,
    guestlist::types::TimestampError,
    guestlist::IdempotencyKeyError,
);

/// Reads the text of a field.
pub(crate) fn parse<T>(field: &'static str, text: &str) -> Result<T, Problem>
where
    T: std::str::FromStr<Err: Coded>,
{
    text.parse().map_err(|error| of_field(field, &error))
}

/// The same where there may be none.
pub(crate) fn parse_some<T>(field: &'static str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr<Err: Coded>,
{
    text.map(|text| parse(field, text)).transpose()
}

pub(crate) fn of_field(field: &'static str, error: &impl Coded) -> Problem {
    Problem::new(error.code(), format!("`{field}`: {error}")).in_field(field)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;

    /// Codes of outcomes and of decisions, which are no errors; of what is configured when the
    /// service starts, and of what a receiver of webhooks meets; and of strict keys, which the
    /// service doesn't ask for.
    const NEVER_ANSWERED: &[&str] = &[
        "acting-not-allowed",
        "anonymous",
        "caller-not-active",
        "caller-not-in-organization",
        "column-not-an-identifier",
        "done",
        "duplicate",
        "invited",
        "key-backslash",
        "key-not-composed",
        "no-grant",
        "not-a-member",
        "not-sent",
        "unchanged",
        "unknown-organization",
    ];
    const NEVER_ANSWERED_BEGINNINGS: &[&str] = &[
        "join-url-",
        "pepper-",
        "seal-",
        "roles-",
        "webhook-",
        "mail-",
        "template-",
        "smtp-",
        "letterhead-",
        "audit-key-",
    ];

    /// The codes that the bodies of `fn code` spell.
    fn codes_in(source: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (at, _) in source.match_indices("fn code(") {
            let rest = &source[at..];
            let mut depth = 0;
            let end = rest.char_indices().find_map(|(place, character)| {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => return None,
                }
                (depth == 0).then_some(place)
            });
            let body = &rest[..end.unwrap_or(rest.len())];
            let texts = body.split('"').skip(1).step_by(2);
            found.extend(texts.filter(|text| !text.contains(' ')).map(str::to_owned));
        }
        found
    }

    fn sources(folder: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_code_of_guestlist_has_a_status() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates");
        let mut texts = Vec::new();
        for name in [
            "guestlist",
            "guestlist-access",
            "guestlist-membership",
            "guestlist-store",
            "guestlist-token",
            "guestlist-types",
            "guestlist-webhooks",
        ] {
            sources(&crates.join(name).join("src"), &mut texts);
        }
        let codes: BTreeSet<String> = texts.iter().flat_map(|text| codes_in(text)).collect();
        assert!(codes.len() > 100, "only {} codes were found", codes.len());
        let answered_elsewhere = |code: &str| {
            NEVER_ANSWERED.contains(&code)
                || (code != "webhook-key-missing"
                    && NEVER_ANSWERED_BEGINNINGS
                        .iter()
                        .any(|begin| code.starts_with(begin)))
        };
        let missing: Vec<_> = codes
            .iter()
            .filter(|code| status_of(code).is_none() && !answered_elsewhere(code))
            .collect();
        assert!(missing.is_empty(), "no status: {missing:?}");
    }

    #[test]
    fn a_code_has_one_status() {
        let mut seen = BTreeMap::new();
        for (code, status) in codes() {
            assert_eq!(seen.insert(code, status), None, "{code}");
        }
    }

    #[test]
    fn what_can_be_tried_again_says_when() {
        let problem = Problem::from(Error::Contended);
        assert_eq!((problem.status, problem.retry_after), (503, Some(1)));
        let wait = std::time::Duration::from_millis(2500);
        let limited = Problem::from(Error::RateLimited { wait }).into_response();
        assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(limited.headers()[RETRY_AFTER], "3");
    }

    #[test]
    fn a_defect_tells_nothing() {
        let problem = Problem::new("store-corrupt", "row 7 of `secrets`");
        assert_eq!(problem.status, 500);
        assert!(!problem.detail.contains("secrets"));
        let unknown = Problem::new("never-heard-of", "x");
        assert_eq!(unknown.status, 500);
    }
}
