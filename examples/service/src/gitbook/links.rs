//! Invite links, and joining through one.
//!
//! The id of an invite on the wire is what somebody joins with: the token. guestlist keeps tokens
//! sealed and shows them to those who manage links.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use guestlist::membership::TokenProblem;
use guestlist::membership::link::{Link, LinkStatus};
use guestlist::token::TokenKind;
use guestlist::{
    Actor, Claim, Grantee, InviteToken, JoinedBy, LinkDraft, LinkFilter, Member, Page, Preset,
    Status,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::{Body, Caller, Parameters};
use super::content::{self, Content, ContentInvite};
use super::error::Failure;
use super::paging::{Listed, Paging, Place};
use super::shapes::{WireRole, present, role_meant, role_on_wire};
use crate::app::App;

#[derive(Debug, Serialize)]
pub(super) struct InviteLink {
    object: &'static str,
    id: String,
    redundant: bool,
    #[serde(flatten)]
    opens: Opens,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Opens {
    Organization { role: WireRole },
    Space { level: WireRole, space: Value },
    Collection { level: WireRole, collection: Value },
}

impl InviteLink {
    fn of(app: &App, link: &Link, token: &InviteToken) -> Self {
        let role = link.config.preset.role.as_ref();
        let opens = match ContentInvite::of(&link.config.metadata) {
            None => Opens::Organization {
                role: role_on_wire(app.guests.roles(), role),
            },
            Some(ContentInvite { content, level }) => match content {
                Content::Space => Opens::Space {
                    level,
                    space: content::space(&app.public_url, &link.host),
                },
                Content::Collection => Opens::Collection {
                    level,
                    collection: content::collection(&app.public_url, &link.host),
                },
            },
        };
        Self {
            object: "invite",
            id: token.expose_secret().to_owned(),
            // Who sees a link manages links, and has the highest role then.
            redundant: true,
            opens,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct NewInvite {
    #[serde(default, deserialize_with = "present")]
    role: Option<WireRole>,
    #[serde(default, deserialize_with = "present")]
    level: Option<WireRole>,
    space: Option<String>,
    collection: Option<String>,
}

pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewInvite>,
) -> Result<(StatusCode, Json<InviteLink>), Failure> {
    let draft = match (new.role, new.level, new.space, new.collection) {
        (Some(role), None, None, None) => {
            LinkDraft::auto().role(role_meant(app.guests.roles(), role.as_deref())?)
        }
        (None, Some(level), Some(space), None) => {
            for_content(&app, LinkDraft::auto(), Content::space(&space)?, level)?
        }
        (None, Some(level), None, Some(collection)) => {
            let content = Content::collection(&collection)?;
            for_content(&app, LinkDraft::auto(), content, level)?
        }
        _ => {
            return Err(Failure::bad(
                "an invite has a `role`, or a `level` with a `space` or a `collection`",
            ));
        }
    };
    let draft = draft.joined_by(JoinedBy::Users);
    let issued = app
        .guests
        .create_link(&caller.actor(), &caller.org, draft)
        .await?;
    let token = issued.token.ok_or(guestlist::Error::NotSealed)?;
    let link = InviteLink::of(&app, &issued.link, &token);
    Ok((StatusCode::CREATED, Json(link)))
}

/// Whoever comes through is a guest with that level on that content.
fn for_content(
    app: &App,
    mut draft: LinkDraft,
    content: Content,
    level: WireRole,
) -> Result<LinkDraft, Failure> {
    let roles = app.guests.roles();
    role_meant(roles, level.as_deref())?;
    draft.preset = Some(Preset {
        role: Some(roles.default_role().clone()),
        grants: content.grants(level.as_deref()),
        ..Preset::default()
    });
    let invite = ContentInvite { content, level };
    let metadata = invite.metadata();
    Ok(draft.metadata(metadata.map_err(|error| Failure::bad(error.to_string()))?))
}

#[derive(Debug, Deserialize)]
pub(super) struct Query {
    limit: Option<String>,
    page: Option<String>,
}

/// The organization's own links, oldest first.
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Parameters(query): Parameters<Query>,
) -> Result<Json<Listed<InviteLink>>, Failure> {
    let name = ("link-invites", &caller.org);
    let paging = Paging::parse(name, false, query.limit.as_deref(), query.page.as_deref())?;
    let filter = LinkFilter {
        status: Some(LinkStatus::Active),
        creator: None,
    };
    let (actor, mut rows) = (caller.actor(), Vec::new());
    let mut page = Page::first(1000)?;
    loop {
        let found = app
            .guests
            .links(&actor, &caller.org, filter.clone(), &page)
            .await?;
        let ours = found
            .links
            .into_iter()
            .map(|listing| listing.link)
            .filter(|link| {
                link.config.joined_by != JoinedBy::Organizations
                    && ContentInvite::of(&link.config.metadata).is_none()
            });
        rows.extend(ours.map(|link| {
            let place = Place::numbered(link.created_at.as_micros(), link.id.to_string());
            (place, link)
        }));
        let Some(next) = found.next else { break };
        page = Page::first(1000)?.after(next);
    }
    let listed = paging.cut(rows);
    let mut items = Vec::with_capacity(listed.items.len());
    for link in &listed.items {
        let revealed = app.guests.reveal_link(&actor, &caller.org, link.id).await;
        match revealed {
            Ok(issued) => {
                let token = issued.token.ok_or(guestlist::Error::NotSealed)?;
                items.push(InviteLink::of(&app, &issued.link, &token));
            }
            // Deleted or disabled meanwhile; or made before tokens were sealed.
            Err(error)
                if ["not-found", "wrong-link-state", "token-not-sealed"]
                    .contains(&error.code()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(listed.with(items)))
}

pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<InviteLink>, Failure> {
    let (link, token) = in_the_path(&app, &caller, &caller.actor()).await?;
    Ok(Json(InviteLink::of(&app, &link, &token)))
}

#[derive(Debug, Deserialize)]
pub(super) struct Change {
    #[serde(default, deserialize_with = "present")]
    role: Option<WireRole>,
    #[serde(default, deserialize_with = "present")]
    level: Option<WireRole>,
}

pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Body(change): Body<Change>,
) -> Result<Json<InviteLink>, Failure> {
    let (link, token) = in_the_path(&app, &caller, &caller.actor()).await?;
    let invite = ContentInvite::of(&link.config.metadata);
    let draft = match (change.role, change.level, invite) {
        (Some(role), None, None) => {
            let role = role_meant(app.guests.roles(), role.as_deref())?;
            LinkDraft {
                preset: Some(link.config.preset),
                ..LinkDraft::default()
            }
            .role(role)
        }
        (None, Some(level), Some(invite)) => {
            for_content(&app, LinkDraft::default(), invite.content, level)?
        }
        _ => {
            return Err(Failure::bad(
                "an invite to the organization has a `role`, one to content has a `level`",
            ));
        }
    };
    let link = app
        .guests
        .edit_link(&caller.actor(), &caller.org, link.id, draft)
        .await?;
    Ok(Json(InviteLink::of(&app, &link, &token)))
}

pub(super) async fn delete(State(app): State<App>, caller: Caller) -> Result<StatusCode, Failure> {
    let actor = caller.actor();
    let deleted = match in_the_path(&app, &caller, &actor).await {
        Ok((link, _)) => app
            .guests
            .delete_link(&actor, &caller.org, link.id)
            .await
            .map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match deleted {
        Ok(_) => Ok(StatusCode::RESET_CONTENT),
        Err(failure) if failure.is_not_found() => {
            // That there was none is told to those who may see links.
            let (anything, page) = (LinkFilter::default(), Page::first(1)?);
            app.guests
                .links(&actor, &caller.org, anything, &page)
                .await?;
            Ok(StatusCode::NO_CONTENT)
        }
        Err(failure) => Err(failure),
    }
}

/// The link that the path names, for an actor who may see links, with its token.
async fn in_the_path(
    app: &App,
    caller: &Caller,
    actor: &Actor,
) -> Result<(Link, InviteToken), Failure> {
    let token = InviteToken::parse_kind(TokenKind::Link, &caller.at.invite)?;
    let report = app.guests.inspect(actor, &caller.org, &token).await?;
    match report.problem {
        // A link that rests, has run out or lacks somebody to stand for it is still there.
        None
        | Some(
            TokenProblem::Paused
            | TokenProblem::Expired
            | TokenProblem::Exhausted
            | TokenProblem::CreatorNotStanding
            | TokenProblem::HostNotActive,
        ) => Ok((report.link, token)),
        Some(_) => Err(Failure::not_found("invite")),
    }
}

pub(super) async fn join(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Failure> {
    // A token says itself which organization it opens: the path must not name another one.
    let (link, token) = in_the_path(&app, &caller, &Actor::system()).await?;
    let actor = caller.actor();
    let claimed = app
        .guests
        .claim(&actor, &token, Claim::for_myself())
        .await?;
    if claimed.membership.status != Some(Status::Approved) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "an administrator has to let you in",
        ));
    }
    if !claimed.changed {
        give_content(&app, &caller, &link).await?;
    }
    Ok(Json(json!({})))
}

/// A claim gives a member nothing more. What a link says about content, a member gets all the same.
async fn give_content(app: &App, caller: &Caller, link: &Link) -> Result<(), Failure> {
    let actor = caller.user.actor_in(&caller.org);
    for grant in &link.config.preset.grants {
        let mut holds = true;
        for action in grant.actions.iter() {
            let covered = app.guests.readable(&actor, action, None).await?;
            holds &= covered.includes(&grant.pattern);
        }
        if !holds {
            let to = Grantee::Member(Member::User(caller.user.id.clone()));
            let (actions, pattern) = (grant.actions, grant.pattern.clone());
            app.guests
                .grant(&Actor::system(), &caller.org, to, actions, pattern, None)
                .await?;
        }
    }
    Ok(())
}
