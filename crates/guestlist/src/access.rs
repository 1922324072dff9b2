//! Groups and grants.

use guestlist_access::{AccessCommand, ActionSet, Grant, Grantee, Group, Pattern, Sharing};
use guestlist_membership::{Actor, Command, Row, RowKey};
use guestlist_store::Store;
use guestlist_types::{GrantId, GroupId, GroupName, Member, OrgId, Timestamp};

use crate::error::Error;
use crate::facade::{Ask, Guestlist};
use crate::idempotency::digest;
use crate::organizations::not_found;

impl<S: Store> Guestlist<S> {
    /// Creates a group. Needs `groups.manage`. No outsider can be in an internal one, by any path.
    ///
    /// # Errors
    ///
    /// `group-name-taken`, `missing-capability`, `not-found`.
    pub async fn create_group(
        &self,
        actor: &Actor,
        organization: &OrgId,
        name: GroupName,
        internal: bool,
    ) -> Result<Group, Error> {
        let id = self.draw(GroupId::generate)?;
        let digest = digest("create-group", &(organization, &name, internal));
        let command = Command::Access(AccessCommand::CreateGroup { id, name, internal });
        let ask = Ask {
            host: organization,
            actor,
            command,
            digest,
            secrets: &[],
            erasures: &[],
            presented: None,
            operation: "create-group",
        };
        self.execute(ask, |outcome| {
            match outcome
                .records
                .get(&RowKey::Group(organization.clone(), id))
            {
                Some(Row::Group(group)) => Ok(group.clone()),
                _ => Err(not_found("group")),
            }
        })
        .await
    }

    /// Gives a group another name. Needs `groups.manage`.
    ///
    /// # Errors
    ///
    /// `group-name-taken`, `group-not-found`, `missing-capability`.
    pub async fn rename_group(
        &self,
        actor: &Actor,
        organization: &OrgId,
        group: GroupId,
        name: GroupName,
    ) -> Result<(), Error> {
        self.change_access(
            actor,
            organization,
            AccessCommand::RenameGroup { group, name },
        )
        .await
    }

    /// Deletes a group with its grants and memberships; a new group of that name inherits nothing.
    /// Needs `groups.manage` and to be able to give what it reaches, or the highest role.
    ///
    /// # Errors
    ///
    /// `group-not-found`, `missing-capability`, or what may not be given.
    pub async fn delete_group(
        &self,
        actor: &Actor,
        organization: &OrgId,
        group: GroupId,
    ) -> Result<(), Error> {
        self.change_access(actor, organization, AccessCommand::DeleteGroup { group })
            .await
    }

    /// Marks a group as internal, or as open to outsiders. Needs `groups.manage`.
    ///
    /// # Errors
    ///
    /// `group-not-found`, `outsider-in-group`, `missing-capability`.
    pub async fn mark_internal(
        &self,
        actor: &Actor,
        organization: &OrgId,
        group: GroupId,
        internal: bool,
    ) -> Result<(), Error> {
        let command = AccessCommand::MarkInternal { group, internal };
        self.change_access(actor, organization, command).await
    }

    /// Puts a member in a group: a user, or the proxy user of an organization. It ends with the
    /// member's episode. Needs `groups.manage` and to be able to give all that the group reaches.
    ///
    /// # Errors
    ///
    /// `group-not-found`, `member-not-live`, `internal-group`, `missing-capability`, or what may
    /// not be given.
    pub async fn add_to_group(
        &self,
        actor: &Actor,
        organization: &OrgId,
        group: GroupId,
        member: &Member,
    ) -> Result<(), Error> {
        let command = AccessCommand::AddToGroup {
            group,
            member: member.clone(),
        };
        self.change_access(actor, organization, command).await
    }

    /// Takes a member out of a group. Needs the same authority as putting it in.
    ///
    /// # Errors
    ///
    /// As [`Guestlist::add_to_group`]; `group-held-otherwise` if the membership carries it.
    pub async fn remove_from_group(
        &self,
        actor: &Actor,
        organization: &OrgId,
        group: GroupId,
        member: &Member,
    ) -> Result<(), Error> {
        let command = AccessCommand::RemoveFromGroup {
            group,
            member: member.clone(),
        };
        self.change_access(actor, organization, command).await
    }

    /// Puts the group `inner` into the group `outer`: its members get what `outer` reaches.
    ///
    /// # Errors
    ///
    /// `group-cycle`, and as [`Guestlist::add_to_group`].
    pub async fn nest_group(
        &self,
        actor: &Actor,
        organization: &OrgId,
        outer: GroupId,
        inner: GroupId,
    ) -> Result<(), Error> {
        self.change_access(
            actor,
            organization,
            AccessCommand::NestGroup { outer, inner },
        )
        .await
    }

    /// Takes the group `inner` out of the group `outer`.
    ///
    /// # Errors
    ///
    /// As [`Guestlist::nest_group`].
    pub async fn unnest_group(
        &self,
        actor: &Actor,
        organization: &OrgId,
        outer: GroupId,
        inner: GroupId,
    ) -> Result<(), Error> {
        self.change_access(
            actor,
            organization,
            AccessCommand::UnnestGroup { outer, inner },
        )
        .await
    }

    /// Names the group that every proxy user is in while it is set. Needs `settings.manage` and to
    /// be able to give all that the group reaches.
    ///
    /// # Errors
    ///
    /// `group-not-found`, `internal-group`, `missing-capability`, or what may not be given.
    pub async fn set_external_group(
        &self,
        actor: &Actor,
        organization: &OrgId,
        group: Option<GroupId>,
    ) -> Result<(), Error> {
        self.change_access(actor, organization, AccessCommand::SetExternalGroup(group))
            .await
    }

    /// Decides who may give grants. Needs `settings.manage`.
    ///
    /// # Errors
    ///
    /// `missing-capability`, `not-found`.
    pub async fn set_sharing(
        &self,
        actor: &Actor,
        organization: &OrgId,
        sharing: Sharing,
    ) -> Result<(), Error> {
        self.change_access(actor, organization, AccessCommand::SetSharing(sharing))
            .await
    }

    /// Gives somebody actions on all keys that a pattern covers. By default the giver must hold
    /// `share` and each of these actions over the whole pattern.
    ///
    /// # Errors
    ///
    /// `share-not-held`, `action-not-held`, `owners-only`, `outsider-ceiling`, `member-not-live`,
    /// `group-not-found`, `grant-without-actions`, `grant-already-expired`.
    pub async fn grant(
        &self,
        actor: &Actor,
        organization: &OrgId,
        to: Grantee,
        actions: ActionSet,
        pattern: Pattern,
        expires_at: Option<Timestamp>,
    ) -> Result<Grant, Error> {
        let id = self.draw(GrantId::generate)?;
        let digest = digest("grant", &(organization, &to, actions, &pattern, expires_at));
        let command = Command::Access(AccessCommand::Grant {
            id,
            to,
            actions,
            pattern,
            expires_at,
        });
        let ask = Ask {
            host: organization,
            actor,
            command,
            digest,
            secrets: &[],
            erasures: &[],
            presented: None,
            operation: "grant",
        };
        self.execute(ask, |outcome| {
            match outcome
                .records
                .get(&RowKey::Grant(organization.clone(), id))
            {
                Some(Row::Grant(grant)) => Ok((**grant).clone()),
                _ => Err(not_found("grant")),
            }
        })
        .await
    }

    /// Takes a grant back. Needs `share` over its pattern, or the highest role.
    ///
    /// # Errors
    ///
    /// `grant-not-found`, `share-not-held`, `owners-only`.
    pub async fn revoke(
        &self,
        actor: &Actor,
        organization: &OrgId,
        grant: GrantId,
    ) -> Result<(), Error> {
        self.change_access(actor, organization, AccessCommand::Revoke { grant })
            .await
    }

    async fn change_access(
        &self,
        actor: &Actor,
        organization: &OrgId,
        command: AccessCommand,
    ) -> Result<(), Error> {
        let command = Command::Access(command);
        let arguments = command.clone();
        let ask = Ask::new(organization, actor, command, "change-access", &arguments);
        self.execute(ask, |_| Ok(())).await
    }
}
