//! Engines whose grants are on named things: the host looks which prefixes of a key are named
//! anywhere, and asks about each. And one that decides on a token.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use biscuit_auth::builder::{Fact, string};
use biscuit_auth::{AuthorizerBuilder, Biscuit, KeyPair};
use guestlist_access::Action;
use guestlist_peers::world::{Question, World};
use guestlist_types::Key;
use role_system::{Permission, Resource, Role, RoleSystem, RoleSystemConfig, Subject};
use simple_zanzibar::model::{Object, Relation, User};
use simple_zanzibar::relationship::RelationshipMutation;
use simple_zanzibar::ZanzibarEngine;
use simple_zanzibar::eval::EvaluationLimits;

use crate::subjects;

/// The prefixes of a key that some grant names.
fn named<'a>(known: &'a HashSet<String>, key: &'a Key) -> impl Iterator<Item = &'a str> {
    let key = key.as_str();
    key.match_indices('/')
        .map(move |(at, _)| &key[..=at])
        .filter(|prefix| known.contains(*prefix))
}

/// simple-zanzibar: a relation for each action, on a folder for each prefix.
pub(crate) struct Zanzibar {
    engine: ZanzibarEngine,
    prefixes: HashSet<String>,
}

/// Its ids have no slash.
fn folder(prefix: &str) -> String {
    prefix.replace('/', "|")
}

impl Zanzibar {
    pub(crate) fn new(world: &World) -> Self {
        let most = NonZeroU32::MAX;
        let limits = EvaluationLimits {
            max_depth: most,
            max_fanout_per_step: most,
            max_lookup_results: most,
        };
        let engine = ZanzibarEngine::builder().evaluation_limits(limits).build();
        let relations = |names: &[&str]| -> String {
            let each = names.iter().map(|name| format!("relation {name} {{}}\n"));
            each.collect()
        };
        let actions = Action::ALL.map(Action::as_str);
        let schema = format!(
            "namespace subject {{ {} }}\nnamespace folder {{ {} }}",
            relations(&["member"]),
            relations(&actions),
        );
        engine.add_dsl(&schema).expect("a schema");
        let mut prefixes = HashSet::new();
        let mut mutations = HashSet::new();
        for (subject, parents, grants) in subjects(world) {
            let id = subject.id().unescaped();
            let is_user = subject.type_name().to_string() == "User";
            let who = if is_user {
                format!("user:{id}")
            } else {
                format!("subject:{id}#member")
            };
            for parent in parents {
                mutations.insert(format!("subject:{}#member@{who}", parent.id().unescaped()));
            }
            for grant in grants {
                prefixes.insert(grant.prefix.clone());
                for action in grant.actions.iter() {
                    mutations.insert(format!("folder:{}#{action}@{who}", folder(&grant.prefix)));
                }
            }
        }
        let mutations: Vec<_> = mutations
            .iter()
            .map(|text| RelationshipMutation::touch(text).expect("a relationship"))
            .collect();
        // It takes as many at once.
        for batch in mutations.chunks(10_000) {
            engine.write_relationships(batch.to_vec()).expect("written");
        }
        Self { engine, prefixes }
    }

    pub(crate) fn check(&self, user: &str, action: Action, key: &Key) -> bool {
        let (relation, user) = (Relation::new(action.as_str()), User::user_id(user));
        named(&self.prefixes, key).any(|prefix| {
            let object = Object::new("folder", folder(prefix));
            let answer = self.engine.check_relation(&object, &relation, &user);
            answer.expect("an answer")
        })
    }
}

/// role-system: a role for each subject; a group's inherits those of its groups, a user is assigned
/// its own and those of its groups; a kind of resource for each prefix.
pub(crate) struct Roles {
    system: RoleSystem,
    prefixes: HashSet<String>,
}

impl Roles {
    pub(crate) fn new(world: &World, cached: bool) -> Self {
        let mut config = RoleSystemConfig::default();
        config.enable_caching = cached;
        let mut system = RoleSystem::with_config(config);
        let mut prefixes = HashSet::new();
        let subjects = subjects(world);
        for (subject, _, grants) in &subjects {
            let mut role = Role::new(subject.id().unescaped());
            for grant in *grants {
                prefixes.insert(grant.prefix.clone());
                for action in grant.actions.iter() {
                    role = role.add_permission(Permission::new(action.as_str(), &*grant.prefix));
                }
            }
            system.register_role(role).expect("a role");
        }
        for (subject, parents, _) in &subjects {
            let id = subject.id().unescaped();
            let parents = parents.iter().map(|parent| parent.id().unescaped());
            if subject.type_name().to_string() == "User" {
                let user = Subject::user(id);
                for role in parents.chain([id]) {
                    system.assign_role(&user, role).expect("a role");
                }
            } else {
                for parent in parents {
                    system.add_role_inheritance(id, parent).expect("a parent");
                }
            }
        }
        Self { system, prefixes }
    }

    pub(crate) fn check(&self, user: &str, action: Action, key: &Key) -> bool {
        let subject = Subject::user(user);
        named(&self.prefixes, key).any(|prefix| {
            let resource = Resource::new("item", prefix);
            let answer = self
                .system
                .check_permission(&subject, action.as_str(), &resource);
            answer.expect("an answer")
        })
    }
}

/// biscuit: a token for each user with all that reaches it.
pub(crate) struct Biscuits(HashMap<usize, Biscuit>);

impl Biscuits {
    pub(crate) fn new(world: &World, users: impl Iterator<Item = usize>) -> Self {
        let root = KeyPair::new();
        let token = |user| {
            let mut builder = Biscuit::builder();
            for given in world.reaching(user) {
                for action in given.actions.iter() {
                    let terms = [string(&given.prefix), string(action.as_str())];
                    let right = Fact::new("right".to_owned(), terms);
                    builder = builder.fact(right).expect("a fact");
                }
            }
            builder.build(&root).expect("a token")
        };
        Self(users.map(|user| (user, token(user))).collect())
    }

    pub(crate) fn check(&self, question: &Question) -> bool {
        let fact = |name: &str, value: &str| Fact::new(name.to_owned(), [string(value)]);
        let mut authorizer = AuthorizerBuilder::new()
            .fact(fact("resource", question.key.as_str()))
            .and_then(|builder| builder.fact(fact("operation", question.action.as_str())))
            .and_then(|builder| {
                builder.policy(
                    "allow if right($prefix, $action), operation($action), resource($key), \
                     $key.starts_with($prefix)",
                )
            })
            .and_then(|builder| builder.build(&self.0[&question.user]))
            .expect("an authorizer");
        authorizer.authorize().is_ok()
    }
}
