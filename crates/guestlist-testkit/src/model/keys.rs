//! Groups, grants, and who may do what.

use std::collections::BTreeSet;

use guestlist_access::{
    AccessCommand, Action, ActionSet, Audience, Capability, Giver, Grantee, GroupMember, Pattern,
    Sharing, Subject,
};
use guestlist_membership::Actor;
use guestlist_membership::organization::OrgStatus;
use guestlist_types::{GroupId, GroupName, Key, Member, MemberKind, OrgId, OrgName, Timestamp};

use super::{
    Done, Grant, Group, Host, Model, Person, Reasons, Standing, Turn, covers, kept_by_the_host,
    refused, unless,
};

impl Host {
    /// A group and all that contain it.
    fn around(&self, group: GroupId) -> BTreeSet<GroupId> {
        self.outward(BTreeSet::from([group]), |_| true)
    }

    /// All groups that somebody is in, by any path. An outsider enters no internal one.
    fn groups_of(&self, person: &Person) -> BTreeSet<GroupId> {
        let outsider = person.is_outsider();
        let mut direct = person.groups.clone();
        direct.extend(self.external.filter(|_| outsider));
        for (group, entry) in &self.inside {
            if let GroupMember::Member { member, episode } = entry
                && Some(member) == person.member.as_ref()
                && person.counts(*episode)
            {
                direct.insert(*group);
            }
        }
        self.outward(direct, |group| !(outsider && group.internal))
    }

    fn outward(
        &self,
        mut found: BTreeSet<GroupId>,
        may_enter: impl Fn(&Group) -> bool,
    ) -> BTreeSet<GroupId> {
        found.retain(|group| self.groups.get(group).is_some_and(&may_enter));
        loop {
            let more: Vec<GroupId> = self
                .inside
                .iter()
                .filter(|(outer, entry)| {
                    let is_in = matches!(entry, GroupMember::Group(inner) if found.contains(inner));
                    is_in && !found.contains(outer)
                })
                .filter(|(outer, _)| self.groups.get(outer).is_some_and(&may_enter))
                .map(|(outer, _)| *outer)
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// Whether an outsider is or ever was put in a group, by any path.
    fn has_outsiders(&self, group: GroupId) -> bool {
        let reaches = |inner: &GroupId| self.around(*inner).contains(&group);
        let external = self.external.as_ref().is_some_and(reaches);
        external
            || self.inside.iter().any(|(inner, entry)| {
                matches!(
                    entry,
                    GroupMember::Member {
                        member: Member::Org(_),
                        ..
                    }
                ) && reaches(inner)
            })
    }

    /// The patterns on which somebody may do something now; nobody is signed in if `None`.
    fn held(&self, person: Option<&Person>, action: Action, at: Timestamp) -> Vec<Pattern> {
        let barred = match person {
            None => action != Action::PublicRead,
            Some(person) => action == Action::Share && person.is_outsider(),
        };
        if barred {
            return Vec::new();
        }
        if person.is_some_and(|person| person.member.is_none()) {
            return vec![Pattern::all()];
        }
        let groups = person
            .map(|person| self.groups_of(person))
            .unwrap_or_default();
        let reaches = |subject: &Subject| match (subject, person) {
            (Subject::Organization(Audience::Everyone), _) => true,
            (Subject::Organization(Audience::InternalUsers), Some(person)) => !person.is_outsider(),
            (Subject::Group(group), _) => groups.contains(group),
            (Subject::Member { member, episode }, Some(person)) => {
                person.member.as_ref() == Some(member) && person.counts(*episode)
            }
            (Subject::Organization(Audience::InternalUsers) | Subject::Member { .. }, None) => {
                false
            }
        };
        // "Whoever may be told anonymously may be told when signed in."
        let told_to_all = |grant: &Grant| {
            action == Action::Read
                && grant.subject == Subject::Organization(Audience::Everyone)
                && grant.actions.contains(Action::PublicRead)
        };
        let granted = self.grants.values().filter(|grant| {
            grant.until.is_none_or(|until| at < until)
                && reaches(&grant.subject)
                && (grant.actions.contains(action) || told_to_all(grant))
        });
        let carried = person.into_iter().flat_map(|person| &person.grants);
        let carried = carried.filter(|grant| grant.actions.contains(action));
        granted
            .map(|grant| grant.pattern.clone())
            .chain(carried.map(|grant| grant.pattern.clone()))
            .collect()
    }

    /// What somebody holds here, a user that guestlist keeps no membership of too.
    fn person(&self, member: &Member, at: Timestamp) -> Option<Person> {
        match self.people.get(member) {
            Some(relation) if !relation.episodes.is_empty() => relation.person(member, at),
            Some(_) | None => match member {
                Member::User(_) => Some(kept_by_the_host(member.clone())),
                Member::Org(_) => None,
            },
        }
    }

    /// Whether a group, or one around it, keeps outsiders out.
    fn leads_inside(&self, group: GroupId) -> bool {
        let around = self.around(group);
        let mut groups = around.iter().filter_map(|group| self.groups.get(group));
        groups.any(|group| group.internal)
    }

    fn may(&self, person: Option<&Person>, action: Action, key: &Key, at: Timestamp) -> bool {
        let mut patterns = self.held(person, action, at).into_iter();
        patterns.any(|pattern| covers(pattern.as_str(), key.as_str()))
    }
}

impl Model {
    /// What a member, or somebody who is not signed in, may do to a key of an organization;
    /// nothing for who is not in.
    #[must_use]
    pub fn actions(
        &self,
        org: &OrgId,
        who: Option<&Member>,
        key: &Key,
        at: Timestamp,
    ) -> ActionSet {
        let Some(host) = self.hosts.get(org) else {
            return ActionSet::EMPTY;
        };
        let person = match who {
            None => None,
            Some(member) => match host.person(member, at) {
                None => return ActionSet::EMPTY,
                person => person,
            },
        };
        let may = |action: &Action| host.may(person.as_ref(), *action, key, at);
        Action::ALL.into_iter().filter(may).collect()
    }

    /// What an actor may do to `key`, or to `@name/key`.
    #[must_use]
    pub fn actions_at(
        &self,
        actor: &Actor,
        name: Option<&OrgName>,
        key: &Key,
        at: Timestamp,
    ) -> ActionSet {
        let reached = self.reached(actor, name, at);
        let Some((host, person)) = reached else {
            return ActionSet::EMPTY;
        };
        let may = |action: &Action| host.may(Some(&person), *action, key, at);
        Action::ALL.into_iter().filter(may).collect()
    }

    fn reached(
        &self,
        actor: &Actor,
        name: Option<&OrgName>,
        at: Timestamp,
    ) -> Option<(&Host, Person)> {
        let active = |org: &OrgId| {
            let host = self.hosts.get(org);
            host.filter(|host| host.status == OrgStatus::Active)
        };
        let own = actor.organization()?;
        let home = active(own)?;
        let me = self.actor_in(own, actor, at).person?;
        let Some(name) = name.filter(|name| home.name != **name) else {
            return Some((home, me));
        };
        let org = self.names.get(name)?;
        let host = active(org).filter(|host| host.name == *name)?;
        let proxy = Member::Org(own.clone());
        let person = host.people.get(&proxy)?.person(&proxy, at)?;
        // "The member organization can restrict which of its users and groups may act."
        let may_act = home.acting.get(org).is_none_or(|rule| {
            let groups = home.groups_of(&me);
            actor.is_system()
                || actor
                    .user_id()
                    .is_some_and(|user| rule.users.contains(user))
                || rule.groups.iter().any(|group| groups.contains(group))
        });
        may_act.then_some((host, person))
    }
}

impl Turn<'_> {
    /// What a giver must hold to give these actions there.
    fn ceiling(&self, host: &Host, giver: &Standing, actions: ActionSet, on: &Pattern) -> Reasons {
        let holds = |action| {
            let patterns = host.held(giver.person.as_ref(), action, self.at);
            let mut patterns = patterns.iter();
            patterns.any(|held| covers(held.as_str(), on.as_str()))
        };
        let mut why = Reasons::new();
        match host.sharing {
            Sharing::OwnersOnly => {
                if !self.model.is_owner(giver.role.as_ref()) {
                    why.insert("owners-only");
                }
            }
            Sharing::WithinOwn | Sharing::WithinNamespace => {
                if !holds(Action::Share) {
                    why.insert("share-not-held");
                }
                let own = host.sharing == Sharing::WithinOwn;
                if own && !actions.iter().all(holds) {
                    why.insert("action-not-held");
                }
            }
        }
        why
    }

    pub(super) fn may_grant(
        &self,
        giver: &Standing,
        actions: ActionSet,
        on: &Pattern,
        to: MemberKind,
    ) -> Reasons {
        let Some(host) = self.model.hosts.get(&self.host) else {
            return Reasons::from(["not-found"]);
        };
        let mut why = self.ceiling(host, giver, actions, on);
        if !giver.is_member() {
            why.insert("outsider");
        }
        if actions.is_empty() {
            why.insert("grant-without-actions");
        }
        // "Never shares", and tells nobody anonymously.
        let never = ActionSet::of(&[Action::Share, Action::PublicRead]);
        if to == MemberKind::Org && !actions.intersection(never).is_empty() {
            why.insert("outsider-ceiling");
        }
        why
    }

    /// "Gifts of everything that the group reaches."
    fn may_give_all(&self, host: &Host, giver: &Standing, group: GroupId) -> Reasons {
        let around = host.around(group);
        let reached = host.grants.values().filter(|grant| {
            let of = matches!(grant.subject, Subject::Group(group) if around.contains(&group));
            of && grant.until.is_none_or(|until| self.at < until)
        });
        reached
            .flat_map(|grant| self.ceiling(host, giver, grant.actions, &grant.pattern))
            .collect()
    }

    pub(super) fn may_put_in(&self, giver: &Standing, group: GroupId, to: MemberKind) -> Reasons {
        if !giver.is_member() {
            return Reasons::from(["outsider"]);
        }
        if !self.model.can(giver, Capability::GroupsManage) {
            return Reasons::from(["missing-capability"]);
        }
        let Some(host) = self.model.hosts.get(&self.host) else {
            return Reasons::from(["group-not-found"]);
        };
        if !host.groups.contains_key(&group) {
            return Reasons::from(["group-not-found"]);
        }
        let mut why = self.may_give_all(host, giver, group);
        if to == MemberKind::Org && host.leads_inside(group) {
            why.insert("internal-group");
        }
        why
    }

    /// Changing groups is for who may, and says so before anything else.
    fn need_to_change(&self, capability: Capability) -> Done {
        if self.model.can(&self.me(), capability) {
            Ok(())
        } else {
            refused("missing-capability")
        }
    }

    fn group(&self, group: GroupId) -> Result<Group, Reasons> {
        let group = self.here()?.groups.get(&group).cloned();
        group.ok_or_else(|| Reasons::from(["group-not-found"]))
    }

    fn name_is_taken(&self, name: &GroupName) -> Result<Reasons, Reasons> {
        let mut groups = self.here()?.groups.values();
        Ok(if groups.any(|group| group.name == *name) {
            Reasons::from(["group-name-taken"])
        } else {
            Reasons::new()
        })
    }

    pub(super) fn access(&mut self, command: &AccessCommand) -> Done {
        self.need_member()?;
        self.existing()?;
        let (at, me) = (self.at, self.me());
        let host = self.here()?.clone();
        match command {
            AccessCommand::CreateGroup { id, name, internal } => {
                self.need_to_change(Capability::GroupsManage)?;
                let new = Group {
                    name: name.clone(),
                    internal: *internal,
                };
                match host.groups.get(id) {
                    Some(found) if *found == new => return Ok(()),
                    Some(_) => return refused("group-exists"),
                    None => unless(self.name_is_taken(name)?)?,
                }
                self.here_mut()?.groups.insert(*id, new);
            }
            AccessCommand::RenameGroup { group: id, name } => {
                self.need_to_change(Capability::GroupsManage)?;
                let mut group = self.group(*id)?;
                if group.name != *name {
                    unless(self.name_is_taken(name)?)?;
                    group.name = name.clone();
                    self.here_mut()?.groups.insert(*id, group);
                }
            }
            AccessCommand::DeleteGroup { group } => {
                self.need_to_change(Capability::GroupsManage)?;
                self.group(*group)?;
                if !self.model.is_owner(me.role.as_ref()) {
                    unless(self.may_give_all(&host, &me, *group))?;
                }
                let host = self.here_mut()?;
                host.groups.remove(group);
                let of_it = GroupMember::Group(*group);
                host.inside
                    .retain(|(outer, inner)| outer != group && *inner != of_it);
                host.grants
                    .retain(|_, grant| grant.subject != Subject::Group(*group));
                host.external = host.external.filter(|external| external != group);
            }
            AccessCommand::MarkInternal {
                group: id,
                internal,
            } => {
                self.need_to_change(Capability::GroupsManage)?;
                let mut group = self.group(*id)?;
                if *internal && !group.internal && host.has_outsiders(*id) {
                    return refused("outsider-in-group");
                }
                group.internal = *internal;
                self.here_mut()?.groups.insert(*id, group);
            }
            AccessCommand::AddToGroup { group, member } => {
                unless(self.may_put_in(&me, *group, member.kind()))?;
                let Some(person) = host.person(member, at) else {
                    return refused("member-not-live");
                };
                let is_in = person.groups.contains(group)
                    || host.inside.iter().any(|(of, entry)| {
                        of == group
                            && matches!(entry, GroupMember::Member { member: who, episode }
                                if who == member && person.counts(*episode))
                    });
                if !is_in {
                    let entry = GroupMember::Member {
                        member: member.clone(),
                        episode: guestlist_access::Episode::new(person.current),
                    };
                    self.here_mut()?.inside.insert((*group, entry));
                }
            }
            AccessCommand::RemoveFromGroup { group, member } => {
                unless(self.may_put_in(&me, *group, MemberKind::User))?;
                let of_it = |entry: &(GroupId, GroupMember)| {
                    entry.0 == *group
                        && matches!(&entry.1, GroupMember::Member { member: who, .. }
                            if who == member)
                };
                if !host.inside.iter().any(of_it) {
                    let person = host.person(member, at);
                    let otherwise = person.is_some_and(|person| {
                        let external = person.is_outsider() && host.external == Some(*group);
                        external || person.groups.contains(group)
                    });
                    if otherwise {
                        return refused("group-held-otherwise");
                    }
                }
                self.here_mut()?.inside.retain(|entry| !of_it(entry));
            }
            AccessCommand::NestGroup { outer, inner } => {
                unless(self.may_put_in(&me, *outer, MemberKind::User))?;
                self.group(*inner)?;
                let entry = (*outer, GroupMember::Group(*inner));
                if host.inside.contains(&entry) {
                    return Ok(());
                }
                let mut why = Reasons::new();
                if host.around(*outer).contains(inner) {
                    why.insert("group-cycle");
                }
                if host.has_outsiders(*inner) && host.leads_inside(*outer) {
                    why.insert("internal-group");
                }
                unless(why)?;
                self.here_mut()?.inside.insert(entry);
            }
            AccessCommand::UnnestGroup { outer, inner } => {
                unless(self.may_put_in(&me, *outer, MemberKind::User))?;
                self.group(*inner)?;
                let entry = (*outer, GroupMember::Group(*inner));
                self.here_mut()?.inside.remove(&entry);
            }
            AccessCommand::SetExternalGroup(group) => {
                self.need_to_change(Capability::SettingsManage)?;
                let mut why = Reasons::new();
                if let Some(group) = group {
                    self.group(*group)?;
                    why.extend(self.may_give_all(&host, &me, *group));
                    if host.leads_inside(*group) {
                        why.insert("internal-group");
                    }
                }
                // It is taken from every outsider then.
                if let Some(current) = host.external.filter(|current| Some(*current) != *group) {
                    why.extend(self.may_give_all(&host, &me, current));
                }
                unless(why)?;
                self.here_mut()?.external = *group;
            }
            AccessCommand::SetSharing(sharing) => {
                self.need_to_change(Capability::SettingsManage)?;
                self.here_mut()?.sharing = *sharing;
            }
            AccessCommand::Grant {
                id,
                to,
                actions,
                pattern,
                expires_at,
            } => {
                let kind = match to {
                    Grantee::Organization(_) | Grantee::Group(_) => MemberKind::User,
                    Grantee::Member(member) => member.kind(),
                };
                let mut why = self.may_grant(&me, *actions, pattern, kind);
                if expires_at.is_some_and(|end| end <= at) {
                    why.insert("grant-already-expired");
                }
                let subject = match to {
                    Grantee::Organization(audience) => Some(Subject::Organization(*audience)),
                    Grantee::Group(group) => {
                        why.extend(self.group(*group).err().unwrap_or_default());
                        Some(Subject::Group(*group))
                    }
                    Grantee::Member(member) => {
                        let person = host.person(member, at);
                        if person.is_none() {
                            why.insert("member-not-live");
                        }
                        person.map(|person| Subject::Member {
                            member: member.clone(),
                            episode: guestlist_access::Episode::new(person.current),
                        })
                    }
                };
                unless(why)?;
                let Some(subject) = subject else {
                    return Ok(());
                };
                let grant = Grant {
                    giver: match self.actor.user_id() {
                        Some(user) => Giver::User(user.clone()),
                        None => Giver::System,
                    },
                    until: *expires_at,
                    subject,
                    actions: *actions,
                    pattern: pattern.clone(),
                };
                if host.grants.get(id).is_some_and(|found| *found != grant) {
                    return refused("grant-exists");
                }
                self.here_mut()?.grants.insert(*id, grant);
            }
            AccessCommand::Revoke { grant } => {
                let Some(found) = host.grants.get(grant) else {
                    return refused("grant-not-found");
                };
                // "Revoking needs `share` over the pattern"; owners may always.
                if !self.model.is_owner(me.role.as_ref()) {
                    let none = ActionSet::EMPTY;
                    unless(self.ceiling(&host, &me, none, &found.pattern))?;
                }
                self.here_mut()?.grants.remove(grant);
            }
        }
        Ok(())
    }
}
