//! Organizations: names, settings, status.

use std::collections::BTreeSet;

use guestlist_access::{ActionSet, Capability, Giver, Grant, Pattern, Subject};
use guestlist_membership::organization::{Organization, OrganizationCommand, Pause, Settings};
use guestlist_membership::{
    Actor, Command, CommandError, Fact, Reading, Root, Scope, Stated, capabilities, may_read,
};
use guestlist_store::Store;
use guestlist_types::{DisplayName, GrantId, Member, OrgId, OrgName, UserId};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facade::{Ask, Guestlist, Outcome};

/// An organization as the host application makes it known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrganization {
    id: OrgId,
    name: OrgName,
    display_name: Option<DisplayName>,
    founder: Option<UserId>,
    settings: Settings,
}

impl NewOrganization {
    /// With the host application's id, and the handle that it has in `@name/key`.
    #[must_use]
    pub fn new(id: OrgId, name: OrgName) -> Self {
        Self {
            id,
            name,
            display_name: None,
            founder: None,
            settings: Settings::default(),
        }
    }

    /// What people are shown.
    #[must_use]
    pub fn display_name(mut self, name: DisplayName) -> Self {
        self.display_name = Some(name);
        self
    }

    /// Its first owner: a member with the highest role, who holds every action on every key. Leave
    /// it out if the host application keeps its people itself.
    #[must_use]
    pub fn founder(mut self, user: UserId) -> Self {
        self.founder = Some(user);
        self
    }

    /// Other settings than the defaults.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }
}

impl<S: Store> Guestlist<S> {
    /// Makes an organization known. The host application's own act: it asks nobody.
    ///
    /// Takes the name first, in a commit of its own, then makes the record; called again with the
    /// same arguments it goes on where it stopped.
    ///
    /// # Errors
    ///
    /// `name-taken` if the name belongs or once belonged to another organization;
    /// `already-registered` if this one has another name.
    pub async fn register(&self, new: NewOrganization) -> Result<Organization, Error> {
        let actor = Actor::system();
        self.reserve(&new.id, &new.name).await?;
        let founder_grant = new
            .founder
            .as_ref()
            .map(|founder| {
                self.draw(|now, rng| {
                    Ok(Box::new(Grant {
                        id: GrantId::generate(now, rng)?,
                        giver: Giver::System,
                        at: now,
                        expires_at: None,
                        subject: Subject::Member {
                            member: Member::User(founder.clone()),
                            episode: guestlist_access::Episode::NONE.next(),
                        },
                        actions: ActionSet::ALL,
                        pattern: Pattern::all(),
                    }))
                })
            })
            .transpose()?;
        let command = OrganizationCommand::Register {
            name: new.name.clone(),
            display_name: new.display_name.clone(),
            founder: new.founder.clone(),
            founder_grant,
            settings: Box::new(new.settings.clone()),
        };
        let command = Command::Organization(command);
        self.execute(
            Ask::new(&new.id, &actor, command, "register", &new),
            organization_in,
        )
        .await
    }

    /// Gives an organization another name. The old one stays taken, and leads nowhere.
    ///
    /// # Errors
    ///
    /// `name-taken`, `not-allowed` (needs `settings.manage`), `not-found`.
    pub async fn rename(
        &self,
        actor: &Actor,
        organization: &OrgId,
        name: OrgName,
    ) -> Result<Organization, Error> {
        self.check_read(actor, organization, &Reading::Settings)
            .await?;
        self.reserve(organization, &name).await?;
        self.organization_command(
            actor,
            organization,
            OrganizationCommand::Rename { name },
            "rename",
        )
        .await
    }

    async fn reserve(&self, organization: &OrgId, name: &OrgName) -> Result<(), Error> {
        let actor = Actor::system();
        let command =
            Command::Organization(OrganizationCommand::ReserveName { name: name.clone() });
        let ask = Ask::new(organization, &actor, command, "reserve-name", name);
        self.without_key().execute(ask, |_| Ok(())).await
    }

    /// Changes what people are shown for an organization. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn set_display_name(
        &self,
        actor: &Actor,
        organization: &OrgId,
        display_name: Option<DisplayName>,
    ) -> Result<Organization, Error> {
        let command = OrganizationCommand::SetDisplayName { display_name };
        self.organization_command(actor, organization, command, "set-display-name")
            .await
    }

    /// Changes an organization's settings, whole. Requests that wait keep waiting, whatever the
    /// settings say now. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, or what is wrong with the link defaults.
    pub async fn change_settings(
        &self,
        actor: &Actor,
        organization: &OrgId,
        settings: Settings,
    ) -> Result<Organization, Error> {
        let command = OrganizationCommand::ChangeSettings {
            settings: Box::new(settings),
        };
        self.organization_command(actor, organization, command, "change-settings")
            .await
    }

    /// Lets all links of an organization rest. Needs `links.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`, `in-the-past`.
    pub async fn pause_links(
        &self,
        actor: &Actor,
        organization: &OrgId,
        until: Pause,
    ) -> Result<Organization, Error> {
        let command = OrganizationCommand::PauseLinks { until };
        self.organization_command(actor, organization, command, "pause-links")
            .await
    }

    /// Ends the rest of all links. Needs `links.manage`.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn resume_links(
        &self,
        actor: &Actor,
        organization: &OrgId,
    ) -> Result<Organization, Error> {
        let command = OrganizationCommand::ResumeLinks;
        self.organization_command(actor, organization, command, "resume-links")
            .await
    }

    /// Suspends an organization: every door is refused and nobody gets in through a membership of
    /// it until it is resumed. Only the host application itself ([`Actor::system`]) does this.
    ///
    /// # Errors
    ///
    /// `system-only`, `not-found`.
    pub async fn suspend(
        &self,
        actor: &Actor,
        organization: &OrgId,
    ) -> Result<Organization, Error> {
        let command = OrganizationCommand::Suspend;
        self.organization_command(actor, organization, command, "suspend")
            .await
    }

    /// Ends a suspension. Only the host application itself does this.
    ///
    /// # Errors
    ///
    /// `system-only`, `not-found`.
    pub async fn resume(&self, actor: &Actor, organization: &OrgId) -> Result<Organization, Error> {
        let command = OrganizationCommand::Resume;
        self.organization_command(actor, organization, command, "resume")
            .await
    }

    /// Ends an organization for good: its links are dead, nobody gets in through it, and its name
    /// stays taken. Needs the highest role.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `role-above-own`, `not-found`.
    pub async fn delete(&self, actor: &Actor, organization: &OrgId) -> Result<Organization, Error> {
        let command = OrganizationCommand::Delete;
        self.organization_command(actor, organization, command, "delete")
            .await
    }

    async fn organization_command(
        &self,
        actor: &Actor,
        organization: &OrgId,
        command: OrganizationCommand,
        operation: &'static str,
    ) -> Result<Organization, Error> {
        let command = Command::Organization(command);
        let arguments = command.clone();
        let ask = Ask::new(organization, actor, command, operation, &arguments);
        self.execute(ask, organization_in).await
    }

    /// An organization, for those who may read its settings.
    ///
    /// # Errors
    ///
    /// `not-allowed`, `not-found`.
    pub async fn organization(
        &self,
        actor: &Actor,
        organization: &OrgId,
    ) -> Result<Organization, Error> {
        let records = self
            .check_read(actor, organization, &Reading::Settings)
            .await?;
        records
            .organization(organization)
            .cloned()
            .ok_or_else(|| not_found("organization"))
    }

    /// The organization that has this name now, for those who may read its settings. The host
    /// application itself ([`Actor::system`]) finds out here whom a command means that names an
    /// organization by its handle.
    ///
    /// # Errors
    ///
    /// `not-allowed`; `not-found`, also for a name that its organization has given up.
    pub async fn organization_named(
        &self,
        actor: &Actor,
        name: &OrgName,
    ) -> Result<Organization, Error> {
        let mut facts = vec![Fact::Organization];
        facts.extend(actor.as_member().map(Fact::Membership));
        let root = Root::Name(name.clone());
        let loaded = self.load(&Scope { root, facts }).await?;
        let records = loaded.records();
        let found = records
            .host()
            .and_then(|host| records.organization(host))
            .filter(|found| found.name == *name)
            .ok_or_else(|| not_found("organization"))?;
        let env = self.env(self.now(), &Stated::NOBODY);
        may_read(records, &found.id, actor, &Reading::Settings, &env)?;
        Ok(found.clone())
    }

    /// All that the actor may do in an organization by its role, for whoever shows buttons: nothing
    /// for whoever is no member, and where there is no such organization. Each command asks for
    /// itself again, and may refuse for other reasons.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn capabilities(
        &self,
        actor: &Actor,
        organization: &OrgId,
    ) -> Result<BTreeSet<Capability>, Error> {
        let mut facts = vec![Fact::Organization];
        facts.extend(actor.as_member().map(Fact::Membership));
        let records = self
            .records(&Scope::of(organization.clone(), facts))
            .await?;
        if records.organization(organization).is_none() {
            return Ok(BTreeSet::new());
        }
        let env = self.env(self.now(), &Stated::NOBODY);
        Ok(capabilities(&records, organization, actor, &env))
    }

    /// Refuses unless the actor may read this of the organization.
    pub(crate) async fn check_read(
        &self,
        actor: &Actor,
        organization: &OrgId,
        reading: &Reading<'_>,
    ) -> Result<guestlist_membership::Records, Error> {
        let mut facts = vec![Fact::Organization];
        facts.extend(actor.as_member().map(Fact::Membership));
        // An organization's own people may see its membership: whether somebody is one of them
        // stands in their own membership there.
        if let (
            Reading::Membership(Member::Org(member)) | Reading::GroupsOf(Member::Org(member)),
            Some(user),
        ) = (reading, actor.as_member())
        {
            facts.push(Fact::MembershipIn(member.clone(), user));
        }
        let loaded = self.load(&Scope::of(organization.clone(), facts)).await?;
        let env = self.env(self.now(), &Stated::NOBODY);
        may_read(loaded.records(), organization, actor, reading, &env)?;
        if loaded.records().organization(organization).is_none() {
            return Err(not_found("organization"));
        }
        Ok(loaded.snapshot.into_records())
    }
}

pub(crate) const fn not_found(what: &'static str) -> Error {
    Error::Command(CommandError::NotFound { what })
}

fn organization_in(outcome: &Outcome<'_>) -> Result<Organization, Error> {
    outcome
        .records
        .organization(outcome.host)
        .cloned()
        .ok_or_else(|| not_found("organization"))
}
