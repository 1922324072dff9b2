//! Every command, decided.

use guestlist_access::{AccessCommand, Target};
use guestlist_types::{Member, OrgId};

use crate::actor::Actor;
use crate::command::{Command, Env};
use crate::error::CommandError;
use crate::event::{Event, Stamp};
use crate::organization::decide::existing;
use crate::record::{Records, Row, RowKey};
use crate::standing::{InOrg, host_kept, not_before};

/// What a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Who did it and when, as it is to be recorded.
    pub stamp: Stamp,
    /// What happens. Nothing, if all is as the command wants it already.
    pub events: Vec<Event>,
    /// What came of each item of a command about several, in their order; empty for all others.
    pub items: Vec<Result<(), CommandError>>,
}

/// Decides a command on the records that its [`scope`](Command::scope) names.
///
/// Pure and total: the same records, actor, command and environment give the same answer, and
/// nothing is read or written. `host` is the organization that the command is about; a claim's
/// host is that of its token, and a claim at another host is one with an unknown token.
///
/// # Errors
///
/// [`CommandError`] if the rules say no. Nothing happens then.
pub fn decide(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    command: &Command,
    env: &Env<'_>,
) -> Result<Decided, CommandError> {
    let env = not_before(env, records);
    let mut items = Vec::new();
    let events = match command {
        Command::Organization(command) => {
            crate::organization::decide::decide(records, host, actor, command, &env)?
        }
        Command::Link(command) => crate::link::decide::decide(records, host, actor, command, &env)?,
        Command::Invite(command) => {
            let (events, each) =
                crate::invite::decide::decide(records, host, actor, command, &env)?;
            items = each;
            events
        }
        Command::Member(command) => {
            crate::member::decide::decide(records, host, actor, command, &env)?
        }
        Command::Access(command) => decide_access(records, host, actor, command, &env)?,
        Command::Webhook(command) => {
            crate::webhook::decide::decide(records, host, actor, command, &env)?
        }
    };
    Ok(Decided {
        stamp: Stamp {
            at: env.now,
            by: actor.by(),
        },
        events,
        items,
    })
}

fn decide_access(
    records: &Records,
    host: &OrgId,
    actor: &Actor,
    command: &AccessCommand,
    env: &Env<'_>,
) -> Result<Vec<Event>, CommandError> {
    let standing = InOrg::actor(records, actor, host, env);
    standing.need_member("organization")?;
    existing(records, host)?;
    let book = records.book().ok_or(CommandError::FactMissing {
        fact: "access rules",
    })?;
    let member = command.member();
    let live = member.and_then(|member| match records.membership(host, member) {
        Some(record) if record.status.is_some() => record.principal(env.roles, env.now),
        // Users of the host that guestlist keeps no membership of.
        Some(_) | None => match member {
            Member::User(_) => Some(host_kept(member.clone(), None, env)),
            Member::Org(_) => None,
        },
    });
    let target = member.map(|member| Target {
        member,
        live: live.as_ref(),
    });
    let events = guestlist_access::decide_change(
        book,
        command,
        &standing.hand(),
        target,
        env.roles,
        env.now,
    )?;
    Ok(events.into_iter().map(Event::Access).collect())
}

/// Folds one event into the records. Holds no rule; the log folded gives the stored rows.
pub fn evolve(records: &mut Records, host: &OrgId, stamp: &Stamp, event: &Event) {
    match event {
        Event::Organization(event) => {
            crate::organization::evolve::evolve(records, host, stamp, event);
        }
        Event::Link(event) => crate::link::evolve::evolve(records, host, stamp, event),
        Event::Invite(event) => crate::invite::evolve::evolve(records, host, stamp, event),
        Event::Member(event) => crate::member::evolve::evolve(records, host, stamp, event),
        Event::Access(event) => evolve_access(records, host, event),
        Event::Webhook(event) => crate::webhook::evolve::evolve(records, host, stamp, event),
    }
}

fn evolve_access(records: &mut Records, host: &OrgId, event: &guestlist_access::AccessEvent) {
    use guestlist_access::AccessChange;

    let head = records.access_head(host).copied().unwrap_or_default();
    // The head moves with every change, so that its revision is that of all access rules.
    records.put(RowKey::AccessHead(host.clone()), Row::AccessHead(head));
    for change in event.changes(&head) {
        match change {
            AccessChange::Head(head) => {
                records.put(RowKey::AccessHead(host.clone()), Row::AccessHead(head));
            }
            AccessChange::PutGroup(group) => {
                records.put(RowKey::Group(host.clone(), group.id), Row::Group(group));
            }
            AccessChange::DeleteGroup(group) => {
                records.delete(RowKey::Group(host.clone(), group));
            }
            AccessChange::PutGroupMember { group, member } => records.put(
                RowKey::GroupMember(host.clone(), group, member),
                Row::GroupMember,
            ),
            AccessChange::DeleteGroupMember { group, member } => {
                records.delete(RowKey::GroupMember(host.clone(), group, member));
            }
            AccessChange::PutGrant(grant) => {
                records.put(
                    RowKey::Grant(host.clone(), grant.id),
                    Row::Grant(Box::new(grant)),
                );
            }
            AccessChange::DeleteGrant(grant) => {
                records.delete(RowKey::Grant(host.clone(), grant));
            }
        }
    }
}
