//! guestlist's own HTTP API, under `/api/v1`, with its description at `/api/openapi.json` and a page
//! to browse it at `/api/docs`.
//!
//! Handlers translate between HTTP and guestlist. What somebody may do is guestlist's to say.

#![expect(unused_qualifications, reason = "in what `utoipa` writes")]

mod audit;
mod decisions;
mod doors;
mod extract;
mod grants;
mod groups;
mod invites;
mod links;
mod me;
mod members;
mod organizations;
pub(crate) mod problem;
mod shape;
mod webhooks;

use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::{Json, Router};
use serde::Serialize;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required,
    ResponseBuilder, Type,
};
use utoipa::{OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use extract::At;
use problem::Problem;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "guestlist",
        description = "Lets outside organizations and people in, and says what they may reach.\n\n\
            Sign in with a bearer token. Every error is a problem (RFC 9457) with guestlist's \
            stable `code`. A command may carry an `Idempotency-Key`: the same key with the same \
            arguments gives the same result again. Lists are read page by page: give `next` as \
            `after`.",
    ),
    tags(
        (name = "me", description = "The caller"),
        (name = "organizations", description = "Organizations and their settings"),
        (name = "links", description = "Invite links"),
        (name = "joining", description = "Previewing, claiming, accepting, asking"),
        (name = "members", description = "Review, roles, endings, lists"),
        (name = "invites", description = "E-mail invites"),
        (name = "groups", description = "Groups"),
        (name = "grants", description = "Grants on keys"),
        (name = "decisions", description = "Who may do what"),
        (name = "audit", description = "What happened"),
        (name = "webhooks", description = "Events sent out"),
        (name = "problems", description = "What errors mean"),
    ),
    components(schemas(Problem)),
)]
struct Base;

/// All operations, and their description.
fn operations() -> (Router<App>, OpenApi) {
    let v1 = OpenApiRouter::new()
        .merge(me::router())
        .merge(organizations::router())
        .merge(links::router())
        .merge(doors::router())
        .merge(members::router())
        .merge(invites::router())
        .merge(groups::router())
        .merge(grants::router())
        .merge(decisions::router())
        .merge(audit::router())
        .merge(webhooks::router());
    let (router, mut described) = OpenApiRouter::with_openapi(Base::openapi())
        .nest("/api/v1", v1)
        .routes(routes!(list_problems))
        .routes(routes!(get_problem))
        .split_for_parts();
    complete(&mut described);
    (router, described)
}

pub(crate) fn router(app: App) -> Router {
    let (router, described) = operations();
    let docs = Router::from(SwaggerUi::new("/api/docs").url("/api/openapi.json", described));
    // Answers hold secrets, and what somebody may see changes.
    let private = header(CACHE_CONTROL, "no-store");
    let own = header(
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    );
    router
        .layer(private)
        // The server limits all surfaces alike.
        .layer(DefaultBodyLimit::disable())
        .merge(docs.layer(own))
        .with_state(app)
}

fn header(
    name: axum::http::HeaderName,
    value: &'static str,
) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// The statuses that any operation may answer with besides its own, and what they mean.
const ERRORS: &[(u16, &str)] = &[
    (400, "The request can't be read"),
    (401, "Nobody is signed in"),
    (403, "The rules say no"),
    (404, "No such thing, or not for the caller"),
    (409, "It does not fit the state that was found"),
    (412, "It was changed since"),
    (413, "The body is too large"),
    (415, "The body is not JSON"),
    (422, "What was sent is not valid"),
    (429, "Too many attempts"),
    (500, "A defect of the service"),
    (503, "Try again"),
];

/// Adds what is the same for every operation: sign-in, idempotency, errors.
fn complete(described: &mut OpenApi) {
    let mut components = ComponentsBuilder::from(described.components.take().unwrap_or_default());
    let text = || ObjectBuilder::new().schema_type(Type::String);
    for (status, meaning) in ERRORS {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let mut response = ResponseBuilder::new()
            .description(*meaning)
            .content("application/problem+json", content);
        if *status == 401 {
            response = response.header(
                "WWW-Authenticate",
                HeaderBuilder::new().schema(Some(text())).build(),
            );
        }
        if matches!(status, 429 | 503) {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer);
            response = response.header(
                "Retry-After",
                HeaderBuilder::new().schema(Some(seconds)).build(),
            );
        }
        components = components.response(format!("Problem{status}"), response.build());
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    described.components = Some(
        components
            .security_scheme("bearer", SecurityScheme::Http(bearer))
            .build(),
    );
    for item in described.paths.paths.values_mut() {
        for (method, operation) in [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ] {
            if let Some(operation) = operation {
                complete_operation(&method, operation);
            }
        }
    }
}

fn complete_operation(method: &HttpMethod, operation: &mut Operation) {
    let is_command = *method != HttpMethod::Get;
    let is_public = operation.security.is_some();
    let has_body = operation.request_body.is_some();
    let parameters = operation.parameters.get_or_insert_default();
    let is_conditional = parameters.iter().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.name == "If-Match",
        RefOr::Ref(_) => false,
    });
    if !is_public {
        operation.security = Some(vec![SecurityRequirement::new("bearer", [""; 0])]);
        if is_command {
            let key = ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(255))
                .pattern(Some("^[ -~]+$"));
            let key = ParameterBuilder::new()
                .name("Idempotency-Key")
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(
                    "The same key and arguments give the same result again",
                ))
                .schema(Some(key));
            parameters.push(key.build().into());
        }
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            "It is done".clone_into(&mut response.description);
        }
    }
    for (status, _) in ERRORS {
        let applies = match status {
            401 | 403 => !is_public,
            412 => is_conditional,
            413 | 415 => has_body,
            429 => is_command,
            _ => true,
        };
        if applies {
            let response = Ref::from_response_name(format!("Problem{status}"));
            operation
                .responses
                .responses
                .insert(status.to_string(), response.into());
        }
    }
}

/// A kind of problem.
#[derive(Debug, Serialize, ToSchema)]
struct ProblemKind {
    #[schema(example = "wrong-state")]
    code: &'static str,
    title: String,
    /// The HTTP status that it is answered with.
    status: u16,
}

/// All kinds of problems.
#[derive(Debug, Serialize, ToSchema)]
struct ProblemKinds {
    items: Vec<ProblemKind>,
}

fn kinds() -> impl Iterator<Item = ProblemKind> {
    problem::codes().map(|(code, status)| ProblemKind {
        code,
        title: problem::title_of(code),
        status: status.as_u16(),
    })
}

/// Every code that an error can have.
#[utoipa::path(get, path = "/api/problems", tag = "problems", security(()),
    responses((status = 200, body = ProblemKinds)))]
async fn list_problems() -> Json<ProblemKinds> {
    Json(ProblemKinds {
        items: kinds().collect(),
    })
}

/// What the `type` of a problem leads to.
#[utoipa::path(get, path = "/api/problems/{code}", tag = "problems", security(()),
    params(("code" = String, Path)),
    responses((status = 200, body = ProblemKind)))]
async fn get_problem(At(code): At<String>) -> Result<Json<ProblemKind>, Problem> {
    kinds()
        .find(|kind| kind.code == code)
        .map(Json)
        .ok_or_else(|| Problem::not_found("problem"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_operation_is_described_whole() {
        let described = serde_json::to_value(operations().1).unwrap();
        assert_eq!(described["openapi"], "3.1.0");
        let mut ids = BTreeSet::new();
        for (path, item) in described["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let place = format!("{method} {path}");
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{place}: {id} is there twice");
                assert!(operation["summary"].is_string(), "{place}: no summary");
                assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{place}");
                let responses = operation["responses"].as_object().unwrap();
                assert!(
                    responses.keys().any(|status| status.starts_with('2')),
                    "{place}"
                );
                assert!(responses.contains_key("503"), "{place}: no errors");
                let named = operation["parameters"].as_array().unwrap().iter();
                let named: BTreeSet<&str> = named
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                let wanted: BTreeSet<&str> = path
                    .split('/')
                    .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                    .collect();
                assert_eq!(named, wanted, "{place}");
            }
        }
        assert!(ids.len() > 80, "only {} operations", ids.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
            match value {
                Value::Object(object) => {
                    for (name, value) in object {
                        match value {
                            Value::String(place) if name == "$ref" => {
                                into.insert(place);
                            }
                            value => references(value, into),
                        }
                    }
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, into)),
                _ => {}
            }
        }
        let described = serde_json::to_value(operations().1).unwrap();
        let mut found = BTreeSet::new();
        references(&described, &mut found);
        assert!(found.len() > 50);
        for place in found {
            let pointer = place.strip_prefix('#').unwrap();
            assert!(
                described.pointer(pointer).is_some(),
                "{place} leads nowhere"
            );
        }
    }
}
