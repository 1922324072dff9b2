//! The story, step by step. What is worth copying is here.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use guestlist::sqlite::SqliteStore;
use guestlist::{
    Action, ActionSet, Actor, Address, Claim, Decision, EventFilter, Grantee, Guestlist,
    InviteToken, JoinedBy, LinkDraft, Member, NewOrganization, OrgId, Page, Pattern, Pepper,
    PepperId, PepperRing, Status, Subject, UrlStyle, UserId,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Your application signs people in; guestlist is told who they are and what they may bind. The
/// owners of this story are members that guestlist keeps, so it knows their roles itself.
fn person(user: &str, organization: &str) -> Result<Actor> {
    Ok(Actor::user(UserId::parse(user)?).in_organization(OrgId::parse(organization)?))
}

/// Open the store where your data is, and keep the pepper where your other secrets are: with only
/// one of the two, nobody can do anything with a token.
fn open(path: &Path) -> Result<Guestlist<SqliteStore>> {
    let pepper = Pepper::from_bytes(b"an example only: yours comes out of a secret manager")?;
    Ok(Guestlist::builder(
        SqliteStore::open(path)?,
        PepperRing::new(PepperId::new(1), pepper),
    )
    .join_url("https://app.example/join".parse()?, UrlStyle::Query)
    .build())
}

/// Tells the story and checks every answer; the number of steps.
pub(crate) async fn tell(path: &Path) -> Result<usize> {
    let mut tell = Teller::default();
    let guestlist = open(path)?;

    tell.step("Three organizations");
    // Ids are yours; the name is the handle in `@name/key`. Registering again changes nothing.
    for (id, name, founder) in [
        ("org-widgets", "widgets-inc", "alice"),
        ("org-bravo", "bravo", "bob"),
        ("org-charlie", "charlie", "carol"),
    ] {
        let new = NewOrganization::new(id.parse()?, name.parse()?).founder(founder.parse()?);
        let organization = guestlist.register(new).await?;
        tell.check(
            &format!("@{name} is active"),
            organization.name.as_str() == name,
        )?;
    }
    let (widgets, bravo, charlie) = (
        OrgId::parse("org-widgets")?,
        OrgId::parse("org-bravo")?,
        OrgId::parse("org-charlie")?,
    );
    let alice = person("alice", "org-widgets")?;
    let bob = person("bob", "org-bravo")?;
    let carol = person("carol", "org-charlie")?;

    tell.step("A group for partners, which may read shared/");
    let (groups, _) = guestlist.groups(&alice, &widgets, &Page::default()).await?;
    let from_earlier = groups
        .into_iter()
        .find(|group| group.name.as_str() == "partners");
    let partners = if let Some(group) = from_earlier {
        group
    } else {
        let group = guestlist
            .create_group(&alice, &widgets, "partners".parse()?, false)
            .await?;
        let (read, shared) = (ActionSet::of(&[Action::Read]), Pattern::parse("shared/")?);
        let to = Grantee::Group(group.id);
        guestlist
            .grant(&alice, &widgets, to, read, shared, None)
            .await?;
        group
    };
    // Everybody who is let in from outside is in this group, for as long as it is set.
    guestlist
        .set_external_group(&alice, &widgets, Some(partners.id))
        .await?;
    let (grants, _) = guestlist.grants(&alice, &widgets, &Page::default()).await?;
    tell.check(
        "partners have one grant, alice the founder's",
        grants.len() == 2,
    )?;

    tell.step("A link for review, and one that approves by itself");
    let draft = LinkDraft::review()
        .label("partners".parse()?)
        .joined_by(JoinedBy::Organizations);
    let review = guestlist.create_link(&alice, &widgets, draft).await?;
    // The only time that a token is seen: show the link now, or refresh it later.
    let url = review.url.as_ref().ok_or("a new link comes with its URL")?;
    let shown = url
        .expose_secret()
        .starts_with("https://app.example/join?token=glj_");
    tell.check("the link for review is a URL to send", shown)?;
    let first = review.token.ok_or("a new link comes with its token")?;
    let auto = guestlist
        .create_link(&alice, &widgets, LinkDraft::auto())
        .await?;
    let auto_token = auto.token.ok_or("a new link comes with its token")?;

    tell.step("Before signing in, bob sees what the link opens");
    let preview = guestlist.preview(&first).await?;
    tell.check(
        "it opens @widgets-inc",
        preview.host_name.as_str() == "widgets-inc",
    )?;
    tell.check("somebody will review the request", preview.needs_review)?;

    tell.step("Bob signs in and claims it for bravo");
    // The token comes from outside: parse it first, then claim. A wrong one is an error, no panic.
    let token = InviteToken::parse(first.expose_secret())?;
    let claimed = guestlist
        .claim(&bob, &token, Claim::for_organization())
        .await?;
    tell.check(
        "bravo's request is pending",
        status(&claimed) == Some(Status::Pending),
    )?;
    let again = guestlist
        .claim(&bob, &token, Claim::for_organization())
        .await?;
    tell.check("claiming again changes nothing", !again.changed)?;

    tell.step("Alice reviews");
    let waiting = guestlist
        .pending(&alice, &widgets, None, &Page::default())
        .await?
        .requests;
    tell.check("bravo is the one that waits", waiting.len() == 1)?;
    let member = Member::Org(bravo.clone());
    let approved = guestlist.approve(&alice, &widgets, &member).await?;
    tell.check(
        "bravo is approved",
        status(&approved) == Some(Status::Approved),
    )?;
    let proxy = approved
        .membership
        .proxy
        .ok_or("an approved organization has a proxy user")?;
    tell.check(
        "its proxy user is called bravo",
        proxy.user_name.as_str() == "bravo",
    )?;

    tell.step("Bravo reads what Widgets shares, and nothing else");
    let tokens = Address::parse("@widgets-inc/shared/design-tokens")?;
    let private = Address::parse("@widgets-inc/private/x")?;
    let decision = guestlist.decide(&bob, Action::Read, &tokens).await?;
    tell.check(
        "@widgets-inc/shared/design-tokens: allowed",
        decision.is_allowed(),
    )?;
    let decision = guestlist.decide(&bob, Action::Read, &private).await?;
    tell.check("@widgets-inc/private/x: refused", !decision.is_allowed())?;
    let decision = guestlist.decide(&bob, Action::Update, &tokens).await?;
    tell.check(
        "writing there: refused, read implies nothing else",
        !decision.is_allowed(),
    )?;

    tell.step("Alice asks why");
    let subject = Subject::Member(member.clone());
    let why = guestlist
        .explain(&alice, &widgets, &subject, Action::Read, tokens.key())
        .await?;
    let by_partners = matches!(&why.decision,
        Decision::Allow(witness) if witness.groups == [partners.id]);
    tell.check("because bravo is in partners", by_partners)?;

    tell.step("Charlie comes through the link that approves by itself");
    let joined = guestlist
        .claim(&carol, &auto_token, Claim::for_organization())
        .await?;
    tell.check(
        "charlie is in at once",
        status(&joined) == Some(Status::Approved),
    )?;
    let keys = guestlist.readable_everywhere(&carol, Action::Read).await?;
    let named = |name: &str| {
        keys.iter()
            .any(|(n, _)| n.as_ref().is_some_and(|n| n.as_str() == name))
    };
    tell.check(
        "a search of charlie's covers @widgets-inc/",
        named("widgets-inc"),
    )?;

    tell.step("Alice refreshes the first link");
    let refreshed = guestlist
        .refresh_link(&alice, &widgets, review.link.id, Duration::ZERO)
        .await?;
    let second = refreshed
        .token
        .ok_or("a refreshed link comes with its token")?;
    tell.refused(
        "the old token",
        "invalid-token",
        guestlist.preview(&first).await,
    )?;
    tell.check(
        "the new one opens the same link",
        guestlist.preview(&second).await.is_ok(),
    )?;

    tell.step("Alice disables it, and enables it again");
    guestlist
        .disable_link(&alice, &widgets, review.link.id)
        .await?;
    tell.refused(
        "the token",
        "invalid-token",
        guestlist.preview(&second).await,
    )?;
    let decision = guestlist.decide(&bob, Action::Read, &tokens).await?;
    tell.check("bravo, who is in, keeps its access", decision.is_allowed())?;
    let enabled = guestlist
        .enable_link(&alice, &widgets, review.link.id)
        .await?;
    let third = enabled
        .token
        .ok_or("an enabled link comes with its token")?;
    tell.refused(
        "the token from before",
        "invalid-token",
        guestlist.preview(&second).await,
    )?;
    tell.check(
        "there is a new one",
        guestlist.preview(&third).await.is_ok(),
    )?;

    tell.step("Charlie leaves, asks again, is rejected, and asks once more");
    let guest = Member::Org(charlie);
    let left = guestlist.leave(&carol, &widgets, &guest).await?;
    tell.check("charlie left", status(&left) == Some(Status::Cancelled))?;
    guestlist
        .claim(&carol, &third, Claim::for_organization())
        .await?;
    let reason = Some("please use your company account".parse()?);
    let rejected = guestlist.reject(&alice, &widgets, &guest, reason).await?;
    tell.check(
        "charlie is rejected",
        status(&rejected) == Some(Status::Rejected),
    )?;
    // Whether a rejected member may try again is a setting of the host; the default lets it.
    let claimed = guestlist
        .claim(&carol, &third, Claim::for_organization())
        .await?;
    tell.check(
        "charlie waits again",
        status(&claimed) == Some(Status::Pending),
    )?;
    let cancelled = guestlist.cancel(&carol, &widgets, &guest).await?;
    tell.check(
        "and withdraws",
        status(&cancelled) == Some(Status::Cancelled),
    )?;

    tell.step("Alice removes bravo");
    let removed = guestlist.remove(&alice, &widgets, &member, None).await?;
    tell.check(
        "bravo is removed",
        status(&removed) == Some(Status::Removed),
    )?;
    let decision = guestlist.decide(&bob, Action::Read, &tokens).await?;
    tell.check("access ended with that call", !decision.is_allowed())?;
    let claim = guestlist
        .claim(&bob, &third, Claim::for_organization())
        .await;
    tell.refused("a token from before the removal", "invalid-token", claim)?;
    let own = guestlist
        .decide(&bob, Action::Update, &Address::parse("plans/2027")?)
        .await?;
    tell.check("bravo's own keys are its own as ever", own.is_allowed())?;

    tell.step("What bravo can still do: ask with a newer link, and be reviewed");
    let newer = guestlist
        .create_link(&alice, &widgets, LinkDraft::auto())
        .await?;
    let newer_token = newer.token.ok_or("a new link comes with its token")?;
    let claimed = guestlist
        .claim(&bob, &newer_token, Claim::for_organization())
        .await?;
    let pending = status(&claimed) == Some(Status::Pending);
    tell.check("it waits, though this link approves by itself", pending)?;
    let withdrawn = guestlist.leave(&bob, &widgets, &member).await?;
    tell.check(
        "bravo withdraws",
        status(&withdrawn) == Some(Status::Cancelled),
    )?;
    for link in [review.link.id, auto.link.id, newer.link.id] {
        guestlist.delete_link(&alice, &widgets, link).await?;
    }

    tell.step("Everything is on record");
    let filter = EventFilter {
        member: Some(member),
        ..EventFilter::default()
    };
    let trail = guestlist
        .audit(&alice, &widgets, filter, &Page::first(1000)?)
        .await?
        .events;
    for recorded in trail.iter().rev().take(5).rev() {
        say(&format!("{}  {}", recorded.stamp.at, recorded.event.name()));
    }
    let last: Vec<&str> = trail
        .iter()
        .rev()
        .take(3)
        .map(|event| event.event.name())
        .collect();
    let expected = [
        "membership-withdrawn",
        "membership-requested",
        "membership-removed",
    ];
    tell.check(
        "bravo was removed, asked again, and withdrew",
        last == expected,
    )?;

    Ok(tell.steps)
}

fn status(changed: &guestlist::Changed) -> Option<Status> {
    changed.membership.status
}

fn say(line: &str) {
    println!("   {line}");
}

/// Says what happens, and stops at the first answer that is not as expected.
#[derive(Debug, Default)]
struct Teller {
    steps: usize,
}

impl Teller {
    fn step(&mut self, title: &str) {
        self.steps += 1;
        println!("\n{}. {title}", self.steps);
    }

    fn check(&self, what: &str, as_expected: bool) -> Result<()> {
        if as_expected {
            say(what);
            Ok(())
        } else {
            Err(format!("step {}: not as expected: {what}", self.steps).into())
        }
    }

    fn refused<T>(
        &self,
        what: &str,
        code: &str,
        answer: std::result::Result<T, guestlist::Error>,
    ) -> Result<()> {
        let refused = answer.err().is_some_and(|error| error.code() == code);
        self.check(&format!("{what}: refused ({code})"), refused)
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_story_goes_on_with_its_own_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("story.db");
        let first = super::tell(&path).await.unwrap();
        assert_eq!(super::tell(&path).await.unwrap(), first);
    }
}
