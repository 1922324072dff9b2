//! Permissions: grants, giving and revoking them, and why somebody may or may not.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use guestlist::access_rules::{Giver, Grant, Miss, Subject as Given, Witness, WitnessGrant};
use guestlist::types::{GrantId, GroupId};
use guestlist::{
    Action, Audience, Decision, Denial, Explanation, Grantee, Key, MemberFilter, Membership, Page,
    Pattern, Status, Subject,
};

use super::desk::{Desk, Shell, done};
use super::fields::Fields;
use super::incoming::{of_value, value_of};
use super::links::Confirm;
use super::names::Names;
use super::problem::Problem;
use super::view::{self, When};
use super::{Answer, show};
use crate::app::App;
use crate::host::now;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/permissions", get(list).post(give))
        .route("/permissions/{id}/revoke", get(ask_revoke).post(revoke))
}

/// A grant as it is shown.
#[derive(Debug, Clone)]
pub(super) struct GrantRow {
    pub(super) id: String,
    pub(super) to: String,
    pub(super) group: Option<GroupId>,
    pub(super) actions: String,
    pub(super) pattern: String,
    pub(super) giver: String,
    pub(super) at: When,
    pub(super) expires: Option<When>,
    pub(super) ended: bool,
    key: GrantId,
}

fn grant_row(grant: &Grant, names: &Names, groups: &[(GroupId, String)]) -> GrantRow {
    let (to, group) = match &grant.subject {
        Given::Organization(Audience::Everyone) => ("everyone, proxy users too".to_owned(), None),
        Given::Organization(Audience::InternalUsers) => {
            ("people of this organization".to_owned(), None)
        }
        Given::Group(id) => (format!("group {}", group_name(*id, groups)), Some(*id)),
        Given::Member { member, .. } => (names.member(member), None),
    };
    GrantRow {
        id: grant.id.to_string(),
        to,
        group,
        actions: view::actions(grant.actions),
        pattern: view::pattern(&grant.pattern),
        giver: match &grant.giver {
            Giver::System => "the service".to_owned(),
            Giver::User(user) => names.user(user),
        },
        at: When(grant.at),
        expires: grant.expires_at.map(When),
        ended: !now().is_before_end(grant.expires_at),
        key: grant.id,
    }
}

fn group_name(id: GroupId, groups: &[(GroupId, String)]) -> String {
    let known = groups.iter().find(|(known, _)| *known == id);
    known.map_or_else(|| id.to_string(), |(_, name)| name.clone())
}

/// Every grant of the organization.
pub(super) async fn rows(desk: &Desk, names: &Names) -> Result<Vec<GrantRow>, Problem> {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let groups = super::groups::all(desk).await?;
    let mut page = Page::first(1000)?;
    let mut found = Vec::new();
    loop {
        let (grants, next) = guests.grants(&actor, host, &page).await?;
        found.extend(grants.iter().map(|grant| grant_row(grant, names, &groups)));
        match next {
            Some(next) => page = page.after(next),
            None => return Ok(found),
        }
    }
}

/// The answer to "why can ... ?", in words.
struct Why {
    allowed: bool,
    sentence: String,
    reasons: Vec<String>,
    groups: Vec<String>,
    near: Vec<String>,
}

#[derive(askama::Template)]
#[template(path = "permissions.html")]
struct List {
    shell: Shell,
    grants: Vec<GrantRow>,
    next: Option<String>,
    grantees: Vec<(String, String)>,
    subjects: Vec<(String, String, bool)>,
    actions: Vec<(&'static str, bool)>,
    key: String,
    why: Option<Why>,
    why_refused: Option<String>,
}

async fn list(desk: Desk, fields: Fields) -> Answer {
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let names = Names::load(&desk.app).await?;
    let page = super::people::page_of(&fields, "after", 50)?;
    let (grants, next) = guests.grants(&actor, host, &page).await?;
    let groups = super::groups::all(&desk).await?;
    let filter = MemberFilter {
        status: Some(Status::Approved),
        ..MemberFilter::default()
    };
    let members = guests
        .members(&actor, host, filter, &Page::first(500)?)
        .await?
        .members;
    let members: Vec<(String, String)> = members
        .iter()
        .map(|one: &Membership| (value_of(&one.member), names.membership(one)))
        .collect();
    let (mut why, mut why_refused) = (None, None);
    if !fields.text("key").is_empty() {
        match explained(&desk, &fields, &names, &groups).await {
            Ok(found) => why = Some(found),
            Err(problem) => why_refused = Some(problem.sentence()),
        }
    }
    let mut grantees = vec![
        (
            "internal".to_owned(),
            "People of this organization".to_owned(),
        ),
        (
            "everyone".to_owned(),
            "Everyone, proxy users too".to_owned(),
        ),
    ];
    let of_groups = groups
        .iter()
        .map(|(id, name)| (format!("group:{id}"), format!("Group {name}")));
    grantees.extend(of_groups);
    grantees.extend(members.iter().cloned());
    let asked = fields.text("who");
    let mut subjects: Vec<(String, String, bool)> = members
        .into_iter()
        .map(|(value, name)| {
            let chosen = value == asked;
            (value, name, chosen)
        })
        .collect();
    let anybody = "Somebody who is not signed in".to_owned();
    subjects.push(("anonymous".to_owned(), anybody, asked == "anonymous"));
    let action = fields.text("action");
    show(&List {
        shell: desk.shell("Permissions", "permissions").await,
        grants: grants
            .iter()
            .map(|grant| grant_row(grant, &names, &groups))
            .collect(),
        next: next.map(|cursor| cursor.to_string()),
        grantees,
        subjects,
        actions: Action::ALL
            .map(|one| {
                (
                    one.as_str(),
                    one.as_str() == action || (action.is_empty() && one == Action::Read),
                )
            })
            .to_vec(),
        key: fields.text("key").to_owned(),
        why,
        why_refused,
    })
}

async fn explained(
    desk: &Desk,
    fields: &Fields,
    names: &Names,
    groups: &[(GroupId, String)],
) -> Result<Why, Problem> {
    let key: Key = fields.required("key", "Key")?;
    let action: Action = fields.required("action", "Action")?;
    let (subject, who) = match fields.text("who") {
        "anonymous" => (
            Subject::Anonymous,
            "Somebody who is not signed in".to_owned(),
        ),
        text => {
            let member = of_value(text)?;
            let name = names.member(&member);
            (Subject::Member(member), name)
        }
    };
    let (guests, actor, host) = (&desk.app.guests, desk.actor(), desk.host()?);
    let found = guests.explain(&actor, host, &subject, action, &key).await?;
    let all = rows(desk, names).await?;
    let mut carried = Vec::new();
    if let Subject::Member(member) = &subject {
        carried = guests.membership(&actor, host, member).await?.grants;
    }
    let grant_words = |source: WitnessGrant| match source {
        WitnessGrant::Grant(id) => all.iter().find(|row| row.key == id).map_or_else(
            || "a grant".to_owned(),
            |row| {
                format!(
                    "{} on {} to {}, given by {} {}",
                    row.actions,
                    row.pattern,
                    row.to,
                    row.giver,
                    row.at.words()
                )
            },
        ),
        WitnessGrant::Preset(place) => carried.get(place).map_or_else(
            || "a permission of the membership".to_owned(),
            |grant| {
                format!(
                    "{} on {}, which came with the membership",
                    view::actions(grant.actions),
                    view::pattern(&grant.pattern)
                )
            },
        ),
    };
    let path = |groups_on: &[GroupId]| {
        let on: Vec<String> = groups_on.iter().map(|id| group_name(*id, groups)).collect();
        on.join(" → ")
    };
    Ok(words(&found, &who, action, &key, &grant_words, &path))
}

fn words(
    found: &Explanation,
    who: &str,
    action: Action,
    key: &Key,
    grant: &dyn Fn(WitnessGrant) -> String,
    path: &dyn Fn(&[GroupId]) -> String,
) -> Why {
    let verb = match action {
        Action::PublicRead => "be told, without signing in,".to_owned(),
        other => other.as_str().to_owned(),
    };
    let reason = |witness: &Witness| match witness.groups.as_slice() {
        [] => grant(witness.source),
        through => format!("{} (through {})", grant(witness.source), path(through)),
    };
    let sentence = match &found.decision {
        Decision::Allow(_) => format!("Yes: {who} may {verb} {key}."),
        Decision::Deny(Denial::NoGrant) => format!("No: nothing lets {who} {verb} {key}."),
        Decision::Deny(Denial::Anonymous) => {
            format!("No: {who} may not {verb} {key}. That takes signing in.")
        }
        Decision::Deny(Denial::OutsiderCeiling) => {
            format!(
                "No: {who} comes from outside, and outsiders never {verb}, whatever is granted."
            )
        }
        Decision::Deny(_) => format!("No: {who} may not {verb} {key}."),
    };
    let miss = |why: Miss| match why {
        Miss::OtherAction => "has other actions",
        Miss::OtherKey => "does not cover this key",
        Miss::OtherSubject => "is for somebody else",
        Miss::Expired => "has ended",
    };
    Why {
        allowed: found.decision.is_allowed(),
        sentence,
        reasons: found.matching.iter().map(reason).collect(),
        groups: found.groups.iter().map(|(_, way)| path(way)).collect(),
        near: found
            .near_misses
            .iter()
            .take(8)
            .map(|near| format!("{}: it {}", grant(near.grant), miss(near.why)))
            .collect(),
    }
}

async fn give(desk: Desk, fields: Fields) -> Answer {
    let host = desk.host()?;
    let to = match fields.text("to") {
        "internal" => Grantee::Organization(Audience::InternalUsers),
        "everyone" => Grantee::Organization(Audience::Everyone),
        "" => return Err(Problem::field("For", "choose who it is for")),
        text => match text.strip_prefix("group:") {
            Some(id) => Grantee::Group(super::groups::id_of(id)?),
            None => Grantee::Member(of_value(text)?),
        },
    };
    let actions = fields.actions("actions")?;
    let pattern = if fields.is_on("all") {
        Pattern::all()
    } else {
        Pattern::parse(fields.text("pattern"))
            .map_err(|error| Problem::field("Keys", &error.to_string()))?
    };
    let expires = fields.in_days("expires", "Ends after")?;
    let guests = &desk.app.guests;
    guests
        .grant(&desk.actor(), host, to, actions, pattern, expires)
        .await?;
    let back = match fields.text("back") {
        "" => "/permissions",
        back => super::desk::own_path(back),
    };
    Ok(done(back, "The permission was given, and counts at once."))
}

fn grant_id(text: &str) -> Result<GrantId, Problem> {
    GrantId::parse(text).map_err(|_| Problem::not_found())
}

async fn ask_revoke(desk: Desk, Path(id): Path<String>) -> Answer {
    let id = grant_id(&id)?;
    let names = Names::load(&desk.app).await?;
    let rows = rows(&desk, &names).await?;
    let row = rows
        .into_iter()
        .find(|row| row.key == id)
        .ok_or_else(Problem::not_found)?;
    show(&Confirm {
        shell: desk.shell("Revoke this permission?", "permissions").await,
        title: "Revoke this permission?".to_owned(),
        text: format!(
            "{} on {} to {}. It ends at once.",
            row.actions, row.pattern, row.to
        ),
        action: format!("/permissions/{id}/revoke"),
        button: "Revoke",
        danger: true,
        reason: false,
        hidden: Vec::new(),
        back: "/permissions".to_owned(),
    })
}

async fn revoke(desk: Desk, Path(id): Path<String>) -> Answer {
    let (id, host) = (grant_id(&id)?, desk.host()?);
    desk.app.guests.revoke(&desk.actor(), host, id).await?;
    Ok(done("/permissions", "The permission was revoked."))
}
