//! Decisions: may somebody do this, what may they do, and why.

use axum::Json;
use guestlist::access_rules::{self, ActionSet, Coverage, WitnessGrant};
use guestlist::types::{Address, Key, OrgName};
use guestlist::{Action, OrgId, Subject};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, Params, Visitor, guests};
use super::problem::{Problem, parse, parse_some};
use super::shape::{ActionName, Member, Pattern, from_objects};
use crate::app::App;

/// How many questions one call may ask.
const MAX_CHECKS: usize = 100;

from_objects!(Check);

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(decide, decide_many))
        .routes(routes!(decide_public))
        .routes(routes!(list_actions))
        .routes(routes!(list_readable))
        .routes(routes!(list_readable_everywhere))
        .routes(routes!(explain))
        .routes(routes!(list_who))
}

/// What allows something: a grant, or one that came with the membership, and the way to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Witness {
    /// The id of the grant.
    grant: Option<String>,
    /// Which of the membership's own grants, counted from zero.
    preset: Option<usize>,
    /// The groups that lead to it.
    groups: Vec<String>,
}

fn source_of(source: WitnessGrant) -> (Option<String>, Option<usize>) {
    match source {
        WitnessGrant::Grant(grant) => (Some(grant.to_string()), None),
        WitnessGrant::Preset(place) => (None, Some(place)),
    }
}

impl From<&access_rules::Witness> for Witness {
    fn from(witness: &access_rules::Witness) -> Self {
        let (grant, preset) = source_of(witness.source);
        Self {
            grant,
            preset,
            groups: witness.groups.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Whether something is allowed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decision {
    allowed: bool,
    /// What allows it.
    witness: Option<Witness>,
    /// Why it is not allowed, as a code.
    #[schema(example = "no-grant")]
    denial: Option<&'static str>,
}

impl From<&guestlist::Decision> for Decision {
    fn from(decision: &guestlist::Decision) -> Self {
        match decision {
            guestlist::Decision::Allow(witness) => Self {
                allowed: true,
                witness: Some(witness.into()),
                denial: None,
            },
            guestlist::Decision::Deny(denial) => Self {
                allowed: false,
                witness: None,
                denial: Some(denial.code()),
            },
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// What is to be done.
    #[param(value_type = ActionName)]
    action: Action,
    /// A key of the organization, or `@name/key` of one that it has joined.
    #[param(example = "@widgets-inc/guides/start")]
    address: String,
}

/// Whether the caller may do this with a key, acting in the organization of the path.
#[utoipa::path(get, path = "/organizations/{organization}/decisions", tag = "decisions",
    params(("organization" = String, Path), Question),
    responses((status = 200, body = Decision)))]
async fn decide(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(question): Params<Question>,
) -> Result<Json<Decision>, Problem> {
    let address: Address = parse("address", &question.address)?;
    let actor = caller.actor_for(Some(&organization));
    let decision = guests!(caller)
        .decide(&actor, question.action, &address)
        .await?;
    Ok(Json((&decision).into()))
}

/// A question of many.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub(crate) struct Check {
    #[schema(value_type = ActionName)]
    action: Action,
    /// A key of the organization, or `@name/key` of one that it has joined.
    address: String,
}

/// Several questions.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "checks": [
    { "action": "read", "address": "guides/start" },
    { "action": "update", "address": "@widgets-inc/guides/start" },
] }))]
pub(crate) struct Checks {
    /// At most 100.
    #[schema(max_items = 100)]
    checks: Vec<Check>,
}

/// The answers, in the order of the questions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decisions {
    decisions: Vec<Decision>,
}

/// The same for several keys and actions in one call.
#[utoipa::path(post, path = "/organizations/{organization}/decisions", tag = "decisions",
    params(("organization" = String, Path)), request_body = Checks,
    responses((status = 200, body = Decisions)))]
async fn decide_many(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(body): Body<Checks>,
) -> Result<Json<Decisions>, Problem> {
    if body.checks.len() > MAX_CHECKS {
        let detail = format!("at most {MAX_CHECKS} questions in one call");
        return Err(Problem::new("too-many", detail).in_field("checks"));
    }
    let checks: Vec<(Action, Address)> = body
        .checks
        .iter()
        .map(|check| Ok((check.action, parse("checks.address", &check.address)?)))
        .collect::<Result<_, Problem>>()?;
    let actor = caller.actor_for(Some(&organization));
    let direct = caller.direct();
    let guests = caller.keyed(&direct);
    let asked = checks.iter().map(|(action, address)| (*action, address));
    let decisions = guests.decide_all(&actor, asked).await?;
    Ok(Json(Decisions {
        decisions: decisions.iter().map(Into::into).collect(),
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublicQuestion {
    /// The handle of the organization.
    organization: String,
    /// A key of it.
    key: String,
}

/// Whether anybody at all, without signing in, may be told a key.
#[utoipa::path(get, path = "/public-decisions", tag = "decisions", params(PublicQuestion),
    security(()), responses((status = 200, body = Decision)))]
async fn decide_public(
    visitor: Visitor,
    Params(question): Params<PublicQuestion>,
) -> Result<Json<Decision>, Problem> {
    let name: OrgName = parse("organization", &question.organization)?;
    let key: Key = parse("key", &question.key)?;
    let decision = guests!(visitor).decide_public(&name, &key).await?;
    Ok(Json((&decision).into()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Where {
    /// A key of the organization, or `@name/key` of one that it has joined.
    address: String,
}

/// What may be done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Actions {
    #[schema(value_type = Vec<ActionName>)]
    actions: ActionSet,
}

/// All that the caller may do with a key, acting in the organization of the path.
#[utoipa::path(get, path = "/organizations/{organization}/actions", tag = "decisions",
    params(("organization" = String, Path), Where),
    responses((status = 200, body = Actions)))]
async fn list_actions(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(place): Params<Where>,
) -> Result<Json<Actions>, Problem> {
    let address: Address = parse("address", &place.address)?;
    let actor = caller.actor_for(Some(&organization));
    let actions = guests!(caller).actions(&actor, &address).await?;
    Ok(Json(Actions { actions }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    /// What is to be done.
    #[param(value_type = ActionName)]
    action: Action,
    /// The handle of another organization; of its own keys if nothing is said.
    of: Option<String>,
}

/// Which keys: none includes another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readable {
    patterns: Vec<Pattern>,
}

fn patterns_of(coverage: &Coverage) -> Vec<Pattern> {
    coverage.as_patterns().iter().map(Into::into).collect()
}

/// The keys that the caller may do this with, as the smallest set of patterns.
#[utoipa::path(get, path = "/organizations/{organization}/readable", tag = "decisions",
    params(("organization" = String, Path), Reading),
    responses((status = 200, body = Readable)))]
async fn list_readable(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(reading): Params<Reading>,
) -> Result<Json<Readable>, Problem> {
    let of: Option<OrgName> = parse_some("of", reading.of.as_deref())?;
    let actor = caller.actor_for(Some(&organization));
    let coverage = guests!(caller)
        .readable(&actor, reading.action, of.as_ref())
        .await?;
    Ok(Json(Readable {
        patterns: patterns_of(&coverage),
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadingEverywhere {
    /// What is to be done.
    #[param(value_type = ActionName)]
    action: Action,
}

/// Which keys of one organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadableIn {
    /// The handle that its keys are addressed by; null: the caller's own organization.
    organization: Option<String>,
    patterns: Vec<Pattern>,
}

/// Which keys, everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadableEverywhere {
    organizations: Vec<ReadableIn>,
}

/// The same in the organization of the path and in each one that it has joined.
#[utoipa::path(get, path = "/organizations/{organization}/readable-everywhere",
    tag = "decisions",
    params(("organization" = String, Path), ReadingEverywhere),
    responses((status = 200, body = ReadableEverywhere)))]
async fn list_readable_everywhere(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(reading): Params<ReadingEverywhere>,
) -> Result<Json<ReadableEverywhere>, Problem> {
    let actor = caller.actor_for(Some(&organization));
    let found = guests!(caller)
        .readable_everywhere(&actor, reading.action)
        .await?;
    Ok(Json(ReadableEverywhere {
        organizations: found
            .into_iter()
            .map(|(name, coverage)| ReadableIn {
                organization: name.map(|name| name.to_string()),
                patterns: patterns_of(&coverage),
            })
            .collect(),
    }))
}

/// What is to be explained.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Explaining {
    /// About whom; null: about somebody who is not signed in.
    member: Option<Member>,
    #[schema(value_type = ActionName)]
    action: Action,
    /// A key of the organization.
    key: String,
}

/// A group that somebody is in, and how.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupPath {
    group: String,
    /// From a group that it is directly in to the group itself.
    path: Vec<String>,
}

/// A grant that fails in exactly one respect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NearMiss {
    /// The id of the grant.
    grant: Option<String>,
    /// Which of the membership's own grants, counted from zero.
    preset: Option<usize>,
    /// What is wrong with it.
    #[schema(value_type = String, example = "other-action")]
    why: access_rules::Miss,
}

/// A decision with everything that speaks for it, and what nearly did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    decision: Decision,
    /// The groups that the member is in, nearest first.
    groups: Vec<GroupPath>,
    /// Every grant that allows it.
    matching: Vec<Witness>,
    near_misses: Vec<NearMiss>,
}

/// Why somebody may or may not do this with a key. Needs `grants.manage`.
#[utoipa::path(post, path = "/organizations/{organization}/explanations", tag = "decisions",
    params(("organization" = String, Path)), request_body = Explaining,
    responses((status = 200, body = Explanation)))]
async fn explain(
    caller: Caller,
    At(organization): At<OrgId>,
    Body(body): Body<Explaining>,
) -> Result<Json<Explanation>, Problem> {
    let key: Key = parse("key", &body.key)?;
    let subject = match &body.member {
        Some(member) => Subject::Member(member.parse("member")?),
        None => Subject::Anonymous,
    };
    let found = guests!(caller)
        .explain(&caller.actor(), &organization, &subject, body.action, &key)
        .await?;
    let group_path = |(group, path): &(guestlist::types::GroupId, Vec<_>)| GroupPath {
        group: group.to_string(),
        path: path.iter().map(ToString::to_string).collect(),
    };
    let near_miss = |miss: &access_rules::NearMiss| {
        let (grant, preset) = source_of(miss.grant);
        NearMiss {
            grant,
            preset,
            why: miss.why,
        }
    };
    Ok(Json(Explanation {
        decision: (&found.decision).into(),
        groups: found.groups.iter().map(group_path).collect(),
        matching: found.matching.iter().map(Into::into).collect(),
        near_misses: found.near_misses.iter().map(near_miss).collect(),
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhoParams {
    /// What is to be done.
    #[param(value_type = ActionName)]
    action: Action,
    /// A key of the organization.
    key: String,
}

/// A member who may.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberWho {
    member: Member,
    witness: Witness,
}

/// Who may do something to a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Who {
    /// The grant by which everybody with a standing in the organization may.
    everyone: Option<String>,
    /// The grant by which every user may, though not every proxy user.
    internal_users: Option<String>,
    /// The grant by which people may who are not signed in.
    anonymous: Option<String>,
    members: Vec<MemberWho>,
}

/// Who may do this with a key of an organization. Needs `grants.manage`.
#[utoipa::path(get, path = "/organizations/{organization}/who", tag = "decisions",
    params(("organization" = String, Path), WhoParams),
    responses((status = 200, body = Who)))]
async fn list_who(
    caller: Caller,
    At(organization): At<OrgId>,
    Params(params): Params<WhoParams>,
) -> Result<Json<Who>, Problem> {
    let key: Key = parse("key", &params.key)?;
    let found = guests!(caller)
        .who(&caller.actor(), &organization, params.action, &key)
        .await?;
    Ok(Json(Who {
        everyone: found.everyone.map(|grant| grant.to_string()),
        internal_users: found.internal_users.map(|grant| grant.to_string()),
        anonymous: found.anonymous.map(|grant| grant.to_string()),
        members: found
            .members
            .iter()
            .map(|(member, witness)| MemberWho {
                member: member.into(),
                witness: witness.into(),
            })
            .collect(),
    }))
}
