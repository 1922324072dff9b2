//! Organizations to look around in, with a past of some weeks. The fixture knows nothing of them.

use std::time::Duration;

use guestlist::types::{GroupId, Label};
use guestlist::{
    Action, ActionSet, Audience, Changes, Claim, Expiry, Grantee, Invitations, InviteDraft,
    InviteToken, JoinedBy, Key, LinkDraft, LinkId, Member, Message, OrgId, Pattern, PresetGrant,
    Reason, RoleName, Uses, membership::link::Preset,
};

use super::{Failure, Made, organization, person};
use crate::app::App;
use crate::host::User;

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

/// Goes to this long ago.
fn ago(app: &App, days: u32, hours: u32) {
    app.clock.set_back(DAY * days + HOUR * hours);
}

/// Makes everything, from the oldest on.
pub(super) async fn fill(app: &App) -> Result<(), Failure> {
    let made = past(app).await;
    // Whatever happened, time goes on from here.
    app.clock.set_back(Duration::ZERO);
    made
}

struct Northwind<'a> {
    app: &'a App,
    id: OrgId,
    owner: User,
    partners: GroupId,
}

impl Northwind<'_> {
    async fn grant(&self, to: Grantee, actions: &[Action], keys: &str) -> Result<(), Failure> {
        let (actor, pattern) = (self.owner.actor_in(&self.id), Pattern::parse(keys)?);
        let actions = ActionSet::of(actions);
        let guests = &self.app.guests;
        guests
            .grant(&actor, &self.id, to, actions, pattern, None)
            .await?;
        Ok(())
    }

    async fn link(&self, draft: LinkDraft) -> Result<(LinkId, InviteToken), Failure> {
        let actor = self.owner.actor_in(&self.id);
        let issued = self.app.guests.create_link(&actor, &self.id, draft).await?;
        let token = issued.token.ok_or("a new link comes with its token")?;
        Ok((issued.link.id, token))
    }

    /// Somebody founds an organization and uses a link for it.
    async fn claimed_by(
        &self,
        token: &InviteToken,
        (handle, title, founder): (&str, &str, &str),
        answers: &[&str],
    ) -> Result<(Made, Member), Failure> {
        let email = format!("team@{handle}.example");
        let made = organization(self.app, handle, title, &email, founder).await?;
        let claim = answers
            .iter()
            .copied()
            .fold(Claim::for_organization(), Claim::answer);
        let actor = made.owner.actor_in(&made.id);
        self.app.guests.claim(&actor, token, claim).await?;
        let member = Member::Org(made.id.clone());
        Ok((made, member))
    }

    async fn approve(&self, member: &Member, lasts: Option<u32>) -> Result<(), Failure> {
        use guestlist::Clock as _;
        let changes = Changes {
            expires_at: lasts.map(|days| self.app.clock.now() + DAY * days),
            ..Changes::default()
        };
        let actor = self.owner.actor_in(&self.id);
        let guests = &self.app.guests;
        guests
            .approve_with(&actor, &self.id, member, changes)
            .await?;
        Ok(())
    }

    async fn colleague(&self, email: &str, name: &str, role: &str) -> Result<User, Failure> {
        let user = person(self.app, email, name).await?;
        let gift = Preset {
            role: Some(role.parse()?),
            ..Preset::default()
        };
        let (actor, member) = (self.owner.actor_in(&self.id), Member::User(user.id.clone()));
        let guests = &self.app.guests;
        guests
            .add_member(&actor, &self.id, &member, gift, None)
            .await?;
        Ok(user)
    }

    async fn write(&self, key: &str, description: &str, text: &str) -> Result<(), Failure> {
        let host = &self.app.host;
        host.create_memory(&self.id, &Key::parse(key)?, description, text)
            .await?;
        Ok(())
    }
}

fn label(text: &str) -> Result<Label, Failure> {
    Ok(Label::parse(text)?)
}

fn reads(keys: &str) -> Result<PresetGrant, Failure> {
    Ok(PresetGrant {
        actions: ActionSet::of(&[Action::Read]),
        pattern: Pattern::parse(keys)?,
    })
}

async fn past(app: &App) -> Result<(), Failure> {
    ago(app, 29, 3);
    let Made { id, owner } = organization(
        app,
        "northwind",
        "Northwind Research",
        "nora@northwind.example",
        "Nora Lindholm",
    )
    .await?;
    let actor = owner.actor_in(&id);
    let guests = &app.guests;
    let partners = guests
        .create_group(&actor, &id, "Partners".parse()?, false)
        .await?
        .id;
    let writers = guests
        .create_group(&actor, &id, "Field notes".parse()?, false)
        .await?
        .id;
    let staff = guests
        .create_group(&actor, &id, "Core staff".parse()?, true)
        .await?
        .id;
    guests
        .set_external_group(&actor, &id, Some(partners))
        .await?;
    let north = Northwind {
        app,
        id,
        owner,
        partners,
    };
    let id = &north.id;
    let readers = Grantee::Group(north.partners);
    north.grant(readers, &[Action::Read], "shared/").await?;
    let all = [Action::Read, Action::Create, Action::Update];
    north
        .grant(Grantee::Group(writers), &all, "field-notes/")
        .await?;
    let people = Grantee::Organization(Audience::InternalUsers);
    north.grant(people, &[Action::Read], "handbook/").await?;

    ago(app, 28, 1);
    let ivo = north
        .colleague("ivo@northwind.example", "Ivo Marchetti", "admin")
        .await?;
    north
        .colleague("june@northwind.example", "June Park", "edit")
        .await?;
    let sasha = north
        .colleague("sasha@northwind.example", "Sasha Feld", "read")
        .await?;
    for user in [&ivo, &north.owner] {
        let member = Member::User(user.id.clone());
        guests.add_to_group(&actor, id, staff, &member).await?;
    }
    let member = Member::User(sasha.id.clone());
    guests.add_to_group(&actor, id, writers, &member).await?;
    memories(&north).await?;

    ago(app, 24, 5);
    let draft = LinkDraft::review()
        .label(label("Research partners")?)
        .joined_by(JoinedBy::Organizations)
        .group(north.partners)
        .grant(reads("datasets/")?)
        .max_uses(Uses::AtMost(25))
        .expiry(Expiry::After(DAY * 60))
        .question("What are you working on?")
        .question("Who is our contact?");
    let (_, review) = north.link(draft).await?;
    ago(app, 22, 2);
    let draft = LinkDraft::auto()
        .label(label("Summer school")?)
        .joined_by(JoinedBy::Both)
        .grant(reads("summer-school/")?)
        .expiry(Expiry::After(DAY * 40));
    let (_, open) = north.link(draft).await?;
    let draft = LinkDraft::review().label(label("Last year's agencies")?);
    let (agencies, _) = north.link(draft).await?;

    came(&north, &review, &open).await?;

    ago(app, 6, 2);
    guests.disable_link(&actor, id, agencies).await?;
    waiting(&north, &review).await
}

async fn memories(north: &Northwind<'_>) -> Result<(), Failure> {
    for (key, description, text) in [
        (
            "shared/design-tokens",
            "Colors, type and spacing",
            "accent: #0f6b5c\nradius: 14px\n",
        ),
        (
            "shared/glossary",
            "What we mean by what we say",
            "cohort: whoever joined in the same month",
        ),
        (
            "datasets/tides-2026",
            "Gauges, by the hour",
            "station,time,level",
        ),
        (
            "summer-school/program",
            "Three days in August",
            "Monday: boats",
        ),
        (
            "field-notes/skerry",
            "Notes from the skerry",
            "Wind from the west.",
        ),
        ("handbook/travel", "How we travel", "By train."),
    ] {
        north.write(key, description, text).await?;
    }
    Ok(())
}

/// Those who came, were let in, and have left since.
async fn came(
    north: &Northwind<'_>,
    review: &InviteToken,
    open: &InviteToken,
) -> Result<(), Failure> {
    let (app, guests) = (north.app, &north.app.guests);
    let (actor, id) = (north.owner.actor_in(&north.id), &north.id);
    ago(app, 20, 4);
    let who = ("fjord-labs", "Fjord Labs", "Freja Holm");
    let (_, fjord) = north
        .claimed_by(review, who, &["Kelp growth", "Freja"])
        .await?;
    ago(app, 19, 1);
    north.approve(&fjord, None).await?;
    ago(app, 17, 6);
    let who = ("lumen", "Lumen Optics", "Luca Bauer");
    let (lumen, member) = north.claimed_by(open, who, &[]).await?;
    ago(app, 15, 2);
    let who = ("pelagia", "Pelagia Institute", "Petra Dimou");
    let (_, pelagia) = north
        .claimed_by(review, who, &["Plankton nets", "Petra"])
        .await?;
    ago(app, 14, 20);
    north.approve(&pelagia, Some(120)).await?;
    ago(app, 13, 3);
    let who = ("quill", "Quill & Sons", "Quincy Adler");
    let (_, quill) = north
        .claimed_by(review, who, &["Newsletters", "Quincy"])
        .await?;
    ago(app, 12, 22);
    let reason: Option<Reason> = Some("we share data with research groups only".parse()?);
    guests.reject(&actor, id, &quill, reason).await?;
    ago(app, 11, 4);
    let who = ("mossgate", "Mossgate", "Mira Osei");
    north.claimed_by(open, who, &[]).await?;
    ago(app, 9, 5);
    let (leaver, host) = (lumen.owner.actor_in(&lumen.id), id);
    guests.leave(&leaver, host, &member).await?;
    ago(app, 8, 4);
    let who = ("tern", "Tern Analytics", "Tomas Reyes");
    let (_, tern) = north.claimed_by(open, who, &[]).await?;
    ago(app, 7, 1);
    let reason: Option<Reason> = Some("the project has ended".parse()?);
    guests.remove(&actor, id, &tern, reason).await?;
    Ok(())
}

/// Those who wait, who was invited, and where this organization asked itself.
async fn waiting(north: &Northwind<'_>, review: &InviteToken) -> Result<(), Failure> {
    let (app, guests) = (north.app, &north.app.guests);
    let (actor, id) = (north.owner.actor_in(&north.id), &north.id);
    ago(app, 5, 7);
    let who = ("heron-works", "Heron Works", "Hanna Brandt");
    let answers = ["Sensors for wetlands", "hanna@heron-works.example"];
    north.claimed_by(review, who, &answers).await?;

    ago(app, 4, 6);
    let message = Message::parse("Come and help us with the tide gauges.")?;
    let role: RoleName = "edit".parse()?;
    let invitations = Invitations::new()
        .to("robin@university.example")
        .to_as("kit@university.example", "read".parse()?)
        .draft(InviteDraft::new().role(role).message(message));
    let outcomes = guests.invite(&actor, id, invitations).await?;

    ago(app, 2, 9);
    let who = ("saltmarsh", "Saltmarsh Collective", "Samira Haddad");
    let answers = ["An atlas of dikes", "Samira, in the mornings"];
    let (saltmarsh, _) = north.claimed_by(review, who, &answers).await?;
    // Northwind is a member elsewhere, too.
    ago(app, 2, 4);
    let host = saltmarsh.owner.actor_in(&saltmarsh.id);
    let draft = LinkDraft::auto()
        .grant(reads("atlas/")?)
        .label(label("Friends")?);
    let issued = guests.create_link(&host, &saltmarsh.id, draft).await?;
    let token = issued.token.ok_or("a new link comes with its token")?;
    guests
        .claim(&actor, &token, Claim::for_organization())
        .await?;
    let key = Key::parse("atlas/north")?;
    app.host
        .create_memory(&saltmarsh.id, &key, "The northern coast", "Sheet 1 of 12")
        .await?;

    ago(app, 1, 2);
    if let Some(kit) = outcomes.get(1).and_then(|outcome| outcome.invited()) {
        guests.revoke_invite(&actor, id, kit.invite.id).await?;
    }

    ago(app, 0, 3);
    let who = ("gannet", "Gannet Mapping", "Gus Ferreira");
    north
        .claimed_by(review, who, &["Sea charts", "Gus"])
        .await?;
    Ok(())
}
