//! Users, groups and grants of the caller's organization.

use std::collections::BTreeMap;

use guestlist::access_rules::{Giver, Grant, Group, Subject};
use guestlist::types::{GrantId, GroupId};
use guestlist::{
    Action, ActionSet, Audience, DisplayName, Grantee, GroupName, Member, MemberFilter, Membership,
    Pattern, Status,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::caller::{Caller, all};
use super::error::{Answer, Refusal};
use super::members::joined;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Share {
    /// What to do: an object whose own field `command` says what, with the fields that it needs
    #[schemars(with = "Map<String, Value>")]
    command: Value,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    CreateUser {
        username: String,
    },
    DeleteUser {
        username: String,
    },
    CreateGroup {
        group_name: String,
    },
    DeleteGroup {
        group_name: String,
    },
    AddMember {
        group_name: String,
        username: String,
    },
    RemoveMember {
        group_name: String,
        username: String,
    },
    Grant {
        target: Target,
        action: Given,
        key_pattern: String,
    },
    Revoke {
        grant_id: String,
    },
    List {
        target_type: Option<TargetType>,
        action: Option<Given>,
    },
    SetExternalGroup {
        group_name: String,
    },
    MakePublic {
        key_pattern: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Target {
    Org {},
    User { username: String },
    Group { group_name: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TargetType {
    Org,
    User,
    Group,
}

/// What can be given here. Sharing comes with owning the organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    Read,
    Create,
    Update,
    Delete,
    PublicRead,
}

impl Target {
    const fn kind(&self) -> TargetType {
        match self {
            Self::Org {} => TargetType::Org,
            Self::User { .. } => TargetType::User,
            Self::Group { .. } => TargetType::Group,
        }
    }
}

impl Given {
    const fn action(self) -> Action {
        match self {
            Self::Read => Action::Read,
            Self::Create => Action::Create,
            Self::Update => Action::Update,
            Self::Delete => Action::Delete,
            Self::PublicRead => Action::PublicRead,
        }
    }
}

pub(super) async fn share(caller: &Caller, share: Share) -> Answer {
    // Clients whose schemas are their own send the object as a text.
    let command = match share.command {
        Value::String(text) => serde_json::from_str(&text),
        command => serde_json::from_value(command),
    };
    match command.map_err(Refusal::invalid)? {
        Command::CreateUser { username } => create_user(caller, &username).await,
        Command::DeleteUser { username } => delete_user(caller, &username).await,
        Command::CreateGroup { group_name } => create_group(caller, &group_name).await,
        Command::DeleteGroup { group_name } => delete_group(caller, &group_name).await,
        Command::AddMember {
            group_name,
            username,
        } => add_member(caller, &group_name, &username).await,
        Command::RemoveMember {
            group_name,
            username,
        } => remove_member(caller, &group_name, &username).await,
        Command::Grant {
            target,
            action,
            key_pattern,
        } => grant(caller, target, action.action(), &key_pattern).await,
        Command::Revoke { grant_id } => revoke(caller, &grant_id).await,
        Command::List {
            target_type,
            action,
        } => list(caller, target_type, action.map(Given::action)).await,
        Command::SetExternalGroup { group_name } => set_external_group(caller, &group_name).await,
        Command::MakePublic { key_pattern } => {
            grant(caller, Target::Org {}, Action::PublicRead, &key_pattern).await
        }
    }
}

async fn create_user(caller: &Caller, username: &str) -> Answer {
    let name = DisplayName::parse(username).map_err(Refusal::invalid)?;
    if username.starts_with('@') {
        return Err(Refusal::invalid("a user name does not begin with `@`"));
    }
    // Only reviewers get this list, so that nobody else learns which names are taken.
    let proxies = joined(caller).await?;
    let host = &caller.app.host;
    let is_taken = proxies.iter().any(|row| is_proxy(row, username))
        || host
            .named_user(&caller.organization, username)
            .await?
            .is_some();
    let taken = || Refusal::exists("this user name is taken");
    if is_taken {
        return Err(taken());
    }
    let user = host
        .create_named_user(&caller.organization, &name)
        .await?
        .ok_or_else(taken)?;
    let member = Member::User(user.id.clone());
    let added = caller
        .guests()
        .add_member(
            &caller.actor,
            &caller.organization,
            &member,
            guestlist::Preset::default(),
            None,
        )
        .await;
    if let Err(refused) = added {
        host.forget_user_name(&caller.organization, username)
            .await?;
        return Err(refused.into());
    }
    Ok(json!({ "username": username }))
}

async fn delete_user(caller: &Caller, username: &str) -> Answer {
    let host = &caller.app.host;
    let named = host.named_user(&caller.organization, username).await?;
    let Some(id) = named else {
        // Says that there is nobody of this name to those who may know.
        joined(caller).await?;
        return Err(Refusal::not_found("no such user"));
    };
    caller
        .guests()
        .remove(&caller.actor, &caller.organization, &Member::User(id), None)
        .await?;
    host.forget_user_name(&caller.organization, username)
        .await?;
    Ok(json!({ "username": username }))
}

async fn create_group(caller: &Caller, group_name: &str) -> Answer {
    let name = GroupName::parse(group_name).map_err(Refusal::invalid)?;
    caller
        .guests()
        .create_group(&caller.actor, &caller.organization, name, false)
        .await?;
    Ok(json!({ "group_name": group_name }))
}

async fn delete_group(caller: &Caller, group_name: &str) -> Answer {
    let group = group(caller, group_name).await?;
    caller
        .guests()
        .delete_group(&caller.actor, &caller.organization, group)
        .await?;
    Ok(json!({ "group_name": group_name }))
}

async fn add_member(caller: &Caller, group_name: &str, username: &str) -> Answer {
    let group = group(caller, group_name).await?;
    let member = member(caller, username).await?;
    caller
        .guests()
        .add_to_group(&caller.actor, &caller.organization, group, &member)
        .await?;
    Ok(json!({ "group_name": group_name, "username": username }))
}

async fn remove_member(caller: &Caller, group_name: &str, username: &str) -> Answer {
    let group = group(caller, group_name).await?;
    let member = member(caller, username).await?;
    caller
        .guests()
        .remove_from_group(&caller.actor, &caller.organization, group, &member)
        .await?;
    Ok(json!({ "group_name": group_name, "username": username }))
}

async fn grant(caller: &Caller, target: Target, action: Action, key_pattern: &str) -> Answer {
    let pattern = pattern(caller, key_pattern).await?;
    let to = match &target {
        // A proxy user is a user of the organization, too.
        Target::Org {} => Grantee::Organization(Audience::Everyone),
        Target::User { username } => Grantee::Member(member(caller, username).await?),
        Target::Group { group_name } => Grantee::Group(group(caller, group_name).await?),
    };
    let given = caller
        .guests()
        .grant(
            &caller.actor,
            &caller.organization,
            to,
            ActionSet::of(&[action]),
            pattern,
            None,
        )
        .await?;
    Ok(row(&given, &target, action))
}

async fn pattern(caller: &Caller, text: &str) -> Result<Pattern, Refusal> {
    // Some callers write their own organization's name before its keys here, too.
    let named = text.strip_prefix('@').and_then(|rest| rest.split_once('/'));
    let text = match named {
        Some((name, rest)) if *name == *caller.name_of(&caller.organization).await?.as_str() => {
            rest
        }
        _ => text,
    };
    // Every key is a pattern that no text spells in guestlist; here it is the empty text.
    if text.is_empty() {
        Ok(Pattern::all())
    } else {
        Pattern::parse(text).map_err(Refusal::invalid)
    }
}

async fn revoke(caller: &Caller, grant_id: &str) -> Answer {
    let grant = GrantId::parse(grant_id).map_err(|_| Refusal::not_found("no such grant"))?;
    caller
        .guests()
        .revoke(&caller.actor, &caller.organization, grant)
        .await?;
    Ok(json!({ "grant_id": grant_id }))
}

async fn set_external_group(caller: &Caller, group_name: &str) -> Answer {
    let group = group(caller, group_name).await?;
    caller
        .guests()
        .set_external_group(&caller.actor, &caller.organization, Some(group))
        .await?;
    Ok(json!({ "group_name": group_name }))
}

async fn list(caller: &Caller, target_type: Option<TargetType>, action: Option<Action>) -> Answer {
    let (actor, host) = (&caller.actor, &caller.organization);
    let grants =
        all(|page| async move { caller.guests().grants(actor, host, &page).await }).await?;
    let targets = Targets::of(caller).await?;
    let mut rows = Vec::new();
    for grant in &grants {
        let Some(target) = targets.of_grant(grant) else {
            continue;
        };
        if target_type.is_some_and(|wanted| wanted != target.kind()) {
            continue;
        }
        for given in grant.actions.iter() {
            if action.is_none_or(|wanted| wanted == given) {
                rows.push(row(grant, &target, given));
            }
        }
    }
    Ok(json!({ "grants": rows }))
}

fn row(grant: &Grant, target: &Target, action: Action) -> Value {
    json!({
        "grant_id": grant.id.to_string(),
        "target": target,
        "action": action.as_str(),
        "key_pattern": grant.pattern.as_str(),
    })
}

/// What the targets of grants are called.
struct Targets {
    groups: BTreeMap<GroupId, String>,
    members: BTreeMap<Member, (String, Membership)>,
}

impl Targets {
    async fn of(caller: &Caller) -> Result<Self, Refusal> {
        let mut names = caller.app.host.user_names(&caller.organization).await?;
        let members = all(|page| async move {
            let filter = MemberFilter {
                status: Some(Status::Approved),
                ..MemberFilter::default()
            };
            let (actor, host) = (&caller.actor, &caller.organization);
            let listed = caller.guests().members(actor, host, filter, &page).await?;
            Ok((listed.members, listed.next))
        })
        .await?;
        let mut targets = BTreeMap::new();
        for membership in members {
            let name = match &membership.member {
                Member::User(user) => names.remove(user),
                Member::Org(_) => proxy_name(caller, &membership).await?,
            };
            // Who came by another way than by a user name is told by its id.
            let name = name.unwrap_or_else(|| membership.member.id().to_owned());
            targets.insert(membership.member.clone(), (name, membership));
        }
        let groups = groups(caller)
            .await?
            .into_iter()
            .map(|group| (group.id, group.name.as_str().to_owned()))
            .collect();
        Ok(Self {
            groups,
            members: targets,
        })
    }

    /// `None` for grants that nobody gave or that nobody has any more.
    fn of_grant(&self, grant: &Grant) -> Option<Target> {
        // The founder's, from when the organization was made.
        if grant.giver == Giver::System {
            return None;
        }
        match &grant.subject {
            Subject::Organization(_) => Some(Target::Org {}),
            Subject::Group(group) => self.groups.get(group).map(|name| Target::Group {
                group_name: name.clone(),
            }),
            Subject::Member { member, episode } => {
                let (name, membership) = self.members.get(member)?;
                (membership.access_since..=membership.episode)
                    .contains(episode)
                    .then(|| Target::User {
                        username: name.clone(),
                    })
            }
        }
    }
}

pub(super) async fn permissions(caller: &Caller) -> Answer {
    let mut permissions = Vec::new();
    for action in Action::ALL {
        let everywhere = caller
            .guests()
            .readable_everywhere(&caller.actor, action)
            .await?;
        let word = match action {
            Action::Share => "sharing",
            given => given.as_str(),
        };
        for (place, coverage) in everywhere {
            for pattern in coverage.as_patterns() {
                let key_pattern = match &place {
                    Some(place) => format!("@{place}/{}", pattern.as_str()),
                    None => pattern.as_str().to_owned(),
                };
                permissions.push(json!({ "action": word, "key_pattern": key_pattern }));
            }
        }
    }
    Ok(json!({ "permissions": permissions }))
}

async fn groups(caller: &Caller) -> Result<Vec<Group>, Refusal> {
    let (actor, host) = (&caller.actor, &caller.organization);
    all(|page| async move { caller.guests().groups(actor, host, &page).await }).await
}

async fn group(caller: &Caller, name: &str) -> Result<GroupId, Refusal> {
    let found = groups(caller).await?;
    found
        .into_iter()
        .find(|group| group.name.as_str() == name)
        .map(|group| group.id)
        .ok_or_else(|| Refusal::not_found("no such group"))
}

/// Whom a user name means: a user of the organization, or else the proxy user of an organization
/// that has joined. `@` before the name means the proxy user only.
async fn member(caller: &Caller, username: &str) -> Result<Member, Refusal> {
    let host = &caller.app.host;
    if let Some(user) = host.named_user(&caller.organization, username).await? {
        return Ok(Member::User(user));
    }
    let name = username.strip_prefix('@').unwrap_or(username);
    joined(caller)
        .await?
        .into_iter()
        .find(|membership| is_proxy(membership, name))
        .map(|membership| membership.member)
        .ok_or_else(|| Refusal::not_found("no such user"))
}

fn is_proxy(membership: &Membership, name: &str) -> bool {
    membership
        .proxy
        .as_ref()
        .is_some_and(|proxy| proxy.user_name.as_str() == name)
}

/// The user name by which an organization's proxy user is found here. A user who had the name
/// before the organization came keeps it.
pub(super) async fn proxy_name(
    caller: &Caller,
    membership: &Membership,
) -> Result<Option<String>, Refusal> {
    let Some(proxy) = &membership.proxy else {
        return Ok(None);
    };
    let name = proxy.user_name.as_str();
    let host = &caller.app.host;
    let is_taken = host.named_user(&caller.organization, name).await?.is_some();
    Ok(Some(if is_taken {
        format!("@{name}")
    } else {
        name.to_owned()
    }))
}
