//! The real decisions beside the model, command by command.
//!
//! A [`Differential`] puts each command to the real `decide` and to the [`Model`], and compares
//! answers, rows and decisions on keys, and checks the [invariants](crate::invariants). It stops at the first command that the two see
//! differently.
//!
//! ```
//! use guestlist_membership::member::MemberCommand;
//! use guestlist_membership::testing::{founder, org, user_member};
//! use guestlist_membership::Command;
//! use guestlist_testkit::differential::Differential;
//!
//! let mut both = Differential::default();
//! let leave = Command::Member(MemberCommand::Leave { member: user_member(0) });
//! let performed = both.command(&org(0), &founder(0), &leave).unwrap();
//! assert_eq!(performed.outcome.unwrap_err().code(), "last-owner");
//! ```

use core::fmt;

use guestlist_membership::organization::{OrganizationCommand, Settings};
use guestlist_membership::testing::{Step, World, founder, org, user};
use guestlist_membership::{Actor, Command, CommandError, Decided, Row};
use guestlist_types::{Key, OrgId, Timestamp};

use crate::invariants::{State, Violation, check};
use crate::model::{Asked, Difference, Disagreement, Model, Told};

/// A world of real decisions and a model that follows it.
#[derive(Debug, Clone)]
pub struct Differential {
    world: World,
    model: Model,
    actors: Vec<Actor>,
    keys: Vec<Key>,
    performed: usize,
}

/// A command, and what came of it on both sides.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Performed {
    /// The organization that it was put to.
    pub host: OrgId,
    /// Who asked.
    pub actor: Actor,
    /// What was asked.
    pub command: Command,
    /// The time that it was decided at.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Result<Decided, CommandError>,
}

/// A command that the two sides see differently.
#[derive(Debug, Clone)]
pub struct Failure {
    performed: Box<Performed>,
    disagreement: Option<Disagreement>,
    differences: Vec<Difference>,
    violations: Vec<Violation>,
}

impl Failure {
    /// The command.
    #[must_use]
    pub fn performed(&self) -> &Performed {
        &self.performed
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Performed {
            host,
            actor,
            command,
            at,
            outcome,
        } = &*self.performed;
        writeln!(f, "{command:?}\n  of {host} by {actor:?} at {at}")?;
        if let Err(error) = outcome {
            writeln!(f, "  was refused: {error}")?;
        }
        if let Some(disagreement) = &self.disagreement {
            writeln!(f, "{disagreement}")?;
        }
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Failure {}

impl Default for Differential {
    /// The small [populated](World::populated) world.
    fn default() -> Self {
        let mut world = World::new();
        let commands = world.population();
        let model = Model::new(world.roles.clone());
        let mut both = Self {
            world,
            model,
            actors: actors(),
            keys: keys(),
            performed: 0,
        };
        for (host, actor, command) in commands {
            // A world that can't be populated is as it is; what is seen differently comes again.
            let _ = both.command(&host, &actor, &command);
        }
        both
    }
}

impl Differential {
    /// The small world, with these settings in the organization where most of it happens.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the two sides see that differently. Settings that are refused leave the
    /// usual ones.
    pub fn with(settings: Settings) -> Result<Self, Box<Failure>> {
        let mut both = Self::default();
        let settings = Box::new(settings);
        let command = Command::Organization(OrganizationCommand::ChangeSettings { settings });
        both.command(&org(0), &Actor::system(), &command)?;
        Ok(both)
    }

    /// The real side.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// Does one step on both sides.
    ///
    /// # Errors
    ///
    /// [`Failure`] if they see it differently.
    pub fn step(&mut self, step: &Step) -> Result<Performed, Box<Failure>> {
        self.spell(|world| world.spell(step))
    }

    /// Lets a step be spelled out in the world, which may move its clock and draw ids and tokens,
    /// and does it on both sides.
    ///
    /// # Errors
    ///
    /// [`Failure`] if they see it differently.
    pub fn spell(
        &mut self,
        step: impl FnOnce(&mut World) -> (OrgId, Actor, Command),
    ) -> Result<Performed, Box<Failure>> {
        let (host, actor, command) = step(&mut self.world);
        self.command(&host, &actor, &command)
    }

    /// Puts one command to both sides.
    ///
    /// # Errors
    ///
    /// [`Failure`] if they see it differently.
    pub fn command(
        &mut self,
        host: &OrgId,
        actor: &Actor,
        command: &Command,
    ) -> Result<Performed, Box<Failure>> {
        let now = self.world.now;
        let (at, outcome) = self.world.perform(host, actor, command);
        let asked = Asked {
            host,
            actor,
            command,
            now,
            at,
        };
        let followed = self.model.follow(&asked, &Told::of(&outcome));
        let performed = Performed {
            host: host.clone(),
            actor: actor.clone(),
            command: command.clone(),
            at,
            outcome,
        };
        self.performed += 1;
        let (disagreement, differences) = match followed {
            Ok(()) => (None, self.differences()),
            Err(disagreement) => (Some(disagreement), Vec::new()),
        };
        let violations = check(&State::of_rows(self.world.records(), &self.world.roles));
        if disagreement.is_none() && differences.is_empty() && violations.is_empty() {
            return Ok(performed);
        }
        Err(Box::new(Failure {
            performed: Box::new(performed),
            disagreement,
            differences,
            violations,
        }))
    }

    /// What doesn't hold of the real side and its whole log; after each command only its rows are
    /// looked at.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let state = State::of_rows(self.world.records(), &self.world.roles);
        check(&state.with_log(self.world.log()))
    }

    /// What the two sides show differently now. Decisions are asked on one key at a time, another
    /// one after each command.
    fn differences(&self) -> Vec<Difference> {
        let records = self.world.records();
        let mut found = self.model.differences(records);
        let at = self.world.now.max(self.model.latest());
        let start = self.performed % self.keys.len().max(1);
        let keys = self.keys.get(start..=start).unwrap_or_default();
        found.extend(self.model.disputed(records, &self.actors, keys, at));
        for (_, row) in records.iter() {
            let Row::Token(token) = row else { continue };
            let model = self.model.opens(token.selector, self.world.now);
            // Who stands for a link or an invite is looked at with each claim.
            let system = match self.world.opens(token.selector) {
                Ok(()) => true,
                Err(problem) => problem.code() == "creator-not-standing",
            };
            if model != system {
                found.push(Difference {
                    about: format!("whether {:?} opens {:?}", token.selector, token.subject),
                    model: model.to_string(),
                    system: system.to_string(),
                });
            }
        }
        found
    }
}

/// Somebody of every organization, in each role that matters to an address.
fn actors() -> Vec<Actor> {
    let strangers = [
        Actor::user(user(4)).in_organization(org(1)),
        Actor::user(user(4)).acting_in(org(0)),
        Actor::user(user(1)),
    ];
    (0..3).map(founder).chain(strangers).collect()
}

/// Keys around the patterns of the small world.
fn keys() -> Vec<Key> {
    ["a/b/c", "a/b", "b", "a/b/d", "a", "c", "ab/c"]
        .iter()
        .filter_map(|key| Key::parse(key).ok())
        .collect()
}
