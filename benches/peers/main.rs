//! What a decision costs with guestlist and with other authorization libraries, in the world of
//! `benches/decide`. Every engine answers the questions that it is timed on, and no answer differs.

use core::hint::black_box;
use std::collections::{HashMap, HashSet};
use std::str::FromStr as _;

use allocation_counter::measure;
use casbin::{CoreApi as _, DefaultModel, Enforcer, MemoryAdapter, MgmtApi as _};
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityUid, Policy, PolicyId, PolicySet, Request,
    RestrictedExpression,
};
use gatehouse::{EvaluationSession, PermissionChecker, PolicyBuilder, PolicyDomain};
use guestlist_access::{AccessIndex, Action, ActionSet, Compiled, Resolved};
use guestlist_types::Key;

mod others;

use guestlist_peers::engines::{HashedLimit, Naive};
use guestlist_peers::harness::{Case, Run, Target, count, cpu_nanos, number, ready, side_by_side};
use guestlist_peers::world::{self, NOW, Question, World, group_name};
use others::{Biscuits, Roles, Zanzibar};

fn uid(kind: &str, id: &str) -> EntityUid {
    let kind = kind.parse().expect("a plain name");
    EntityUid::from_type_name_and_id(kind, cedar_policy::EntityId::new(id))
}

/// Subjects with what they are in: users and groups of the world, everybody in the organization.
fn subjects(world: &World) -> Vec<(EntityUid, Vec<EntityUid>, &[world::Given])> {
    let groups = |holder: &world::Holder| -> Vec<EntityUid> {
        let names = holder.groups.iter().copied().map(group_name);
        names.map(|name| uid("Group", &name)).collect()
    };
    let organization = uid("Organization", "host");
    let mut all = vec![(organization.clone(), Vec::new(), &world.organization[..])];
    for (number, holder) in world.groups.iter().enumerate() {
        let name = uid("Group", &group_name(number));
        all.push((name, groups(holder), &holder.grants[..]));
    }
    for (name, holder) in world.names.iter().zip(&world.users) {
        let mut parents = groups(holder);
        parents.push(organization.clone());
        all.push((uid("User", name), parents, &holder.grants[..]));
    }
    all
}

fn ask_cedar(
    user: &str,
    action: Action,
    context: (&str, RestrictedExpression),
    policies: &PolicySet,
    entities: &Entities,
) -> bool {
    let (name, value) = context;
    let context = Context::from_pairs([(name.to_owned(), value)]).expect("a context");
    let request = Request::new(
        uid("User", user),
        uid("Action", action.as_str()),
        uid("Item", "item"),
        context,
        None,
    );
    let answer = Authorizer::new().is_authorized(&request.expect("a request"), policies, entities);
    answer.decision() == cedar_policy::Decision::Allow
}

/// The fastest form that was found: a grant is membership of its subject in a role, there is one
/// policy, and the host names the roles that would do.
struct CedarRoles {
    entities: Entities,
    policies: PolicySet,
    roles: HashSet<String>,
}

fn role(prefix: &str, action: Action) -> String {
    format!("{action} {prefix}")
}

impl CedarRoles {
    fn new(world: &World) -> Self {
        let mut roles = HashSet::new();
        let mut entities = Vec::new();
        for (subject, mut parents, grants) in subjects(world) {
            for grant in grants {
                for action in grant.actions.iter() {
                    let role = role(&grant.prefix, action);
                    parents.push(uid("Role", &role));
                    roles.insert(role);
                }
            }
            entities.push(Entity::new_no_attrs(subject, parents.into_iter().collect()));
        }
        let none = || HashSet::new();
        entities.extend(
            roles
                .iter()
                .map(|role| Entity::new_no_attrs(uid("Role", role), none())),
        );
        let text = "permit(principal, action, resource) when { principal in context.roles };";
        Self {
            entities: Entities::from_entities(entities, None).expect("entities"),
            policies: PolicySet::from_str(text).expect("a policy"),
            roles,
        }
    }

    fn check(&self, user: &str, action: Action, key: &Key) -> bool {
        let key = key.as_str();
        let roles = key.match_indices('/').filter_map(|(at, _)| {
            let role = role(&key[..=at], action);
            self.roles
                .contains(&role)
                .then(|| RestrictedExpression::new_entity_uid(uid("Role", &role)))
        });
        let roles = RestrictedExpression::new_set(roles);
        ask_cedar(
            user,
            action,
            ("roles", roles),
            &self.policies,
            &self.entities,
        )
    }
}

/// As it is documented: one policy for each grant.
struct CedarPolicies {
    entities: Entities,
    policies: PolicySet,
}

impl CedarPolicies {
    fn new(world: &World) -> Self {
        let mut policies = PolicySet::new();
        let mut entities = Vec::new();
        for (subject, parents, grants) in subjects(world) {
            for grant in grants {
                let actions: Vec<String> = grant
                    .actions
                    .iter()
                    .map(|a| format!("Action::\"{a}\""))
                    .collect();
                let text = format!(
                    "permit(principal in {subject}, action in [{}], resource) \
                     when {{ context.key like \"{}*\" }};",
                    actions.join(", "),
                    grant.prefix,
                );
                let id = PolicyId::new(format!("grant {}", policies.num_of_policies()));
                let policy = Policy::parse(Some(id), text).expect("a policy");
                policies.add(policy).expect("a new policy");
            }
            entities.push(Entity::new_no_attrs(subject, parents.into_iter().collect()));
        }
        Self {
            entities: Entities::from_entities(entities, None).expect("entities"),
            policies,
        }
    }

    fn check(&self, user: &str, action: Action, key: &Key) -> bool {
        let key = RestrictedExpression::new_string(key.as_str().to_owned());
        ask_cedar(user, action, ("key", key), &self.policies, &self.entities)
    }
}

const CASBIN_MODEL: &str = "
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && keyMatch(r.obj, p.obj) && g(r.sub, p.sub)
";

async fn casbin(world: &World) -> Enforcer {
    let model = DefaultModel::from_str(CASBIN_MODEL).await.expect("a model");
    let mut enforcer = Enforcer::new(model, MemoryAdapter::default())
        .await
        .expect("an enforcer");
    let (mut policies, mut roles) = (HashSet::new(), HashSet::new());
    for (subject, parents, grants) in subjects(world) {
        let subject = subject.id().unescaped().to_owned();
        for grant in grants {
            for action in grant.actions.iter() {
                let object = format!("{}*", grant.prefix);
                policies.insert(vec![subject.clone(), object, action.to_string()]);
            }
        }
        for parent in parents {
            roles.insert(vec![subject.clone(), parent.id().unescaped().to_owned()]);
        }
    }
    let policies = policies.into_iter().collect();
    enforcer.add_policies(policies).await.expect("policies");
    let roles = roles.into_iter().collect();
    enforcer.add_grouping_policies(roles).await.expect("roles");
    enforcer
}

/// All that reaches a user, found before it asks.
struct Facts(Vec<(ActionSet, String)>);

struct Keys;

impl PolicyDomain for Keys {
    type Subject = Facts;
    type Action = Action;
    type Resource = Key;
    type Context = ();
}

struct Gatehouse {
    checker: PermissionChecker<Keys>,
    facts: HashMap<usize, Facts>,
}

impl Gatehouse {
    fn new(world: &World, users: impl Iterator<Item = usize>) -> Self {
        let policy = PolicyBuilder::<Keys>::new("Grants")
            .when(|user, action, key, ()| {
                let mut grants = user.0.iter();
                grants.any(|(actions, prefix)| {
                    actions.contains(*action) && key.as_str().starts_with(prefix)
                })
            })
            .build();
        let mut checker = PermissionChecker::<Keys>::new();
        checker.add_policy(policy);
        let facts = |user| {
            let given = world.reaching(user);
            Facts(
                given
                    .map(|given| (given.actions, given.prefix.clone()))
                    .collect(),
            )
        };
        Self {
            checker,
            facts: users.map(|user| (user, facts(user))).collect(),
        }
    }

    fn check(&self, session: &EvaluationSession, question: &Question) -> bool {
        let facts = &self.facts[&question.user];
        let bound = self.checker.bind(session, facts, &question.action, &());
        ready(bound.check(&question.key)).is_granted()
    }
}

fn each(questions: &[Question], mut check: impl FnMut(&Question) -> bool) -> f64 {
    let all = cpu_nanos(1, || {
        for question in questions {
            black_box(check(black_box(question)));
        }
    });
    all / count(questions.len())
}

/// Runs an engine once over its questions, compares, and prints what it allocates.
fn prove(
    name: &str,
    built: &allocation_counter::AllocationInfo,
    grants: usize,
    questions: &[Question],
    expected: &[bool],
    mut check: impl FnMut(&Question) -> bool,
) {
    let mut answers = Vec::with_capacity(questions.len());
    let info = measure(|| {
        for question in questions {
            answers.push(check(question));
        }
    });
    assert_eq!(answers, expected[..questions.len()], "{name}");
    println!(
        "  {name}: {} answers right, {} allocations a check, {} B a grant",
        questions.len(),
        number(info.count_total as f64 / count(questions.len())),
        number(built.bytes_current as f64 / count(grants)),
    );
}

fn built<T>(make: impl FnOnce() -> T) -> (T, allocation_counter::AllocationInfo) {
    let mut made = None;
    let info = measure(|| made = Some(make()));
    (made.expect("it was made"), info)
}

fn main() {
    let mut run = Run::start("peers");
    let repeats = run.size(1, 7);
    println!(
        "cedar-policy 4.14, casbin 2.20, gatehouse 0.6, simple-zanzibar 0.3, role-system 1.3, \
         biscuit-auth 6; the exact versions are in Cargo.lock"
    );
    for (users, per_subject) in [(10, 4), (1_000, 1), (1_000, 4), (1_000, 16)] {
        compare(&mut run, users, per_subject, repeats);
    }
    let users = run.size(1_000, 100_000);
    compare(&mut run, users, 4, repeats);
    run.finish();
}

fn compare(run: &mut Run, users: usize, per_subject: usize, repeats: usize) {
    let world = World::new(users, per_subject, run.size(200, 20_000));
    println!("\n-- {}", world.describe(per_subject));
    let grants = world.grants;
    let all = &world.questions[..];
    let name = |question: &Question| &*world.names[question.user];

    let (index, of_index) = built(|| world.rows.iter().collect::<AccessIndex>());
    let resolved: Vec<Resolved<'_>> = world
        .principals
        .iter()
        .map(|principal| index.principal(principal))
        .collect();
    let compiled: Vec<Compiled<'_>> = resolved.iter().map(Resolved::compile).collect();
    let by_index = |q: &Question| resolved[q.user].allows(q.action, &q.key, NOW);
    let by_compiled = |q: &Question| compiled[q.user].allows(q.action, &q.key, NOW);
    let expected: Vec<bool> = all.iter().map(by_index).collect();
    prove("guestlist", &of_index, grants, all, &expected, by_index);
    prove(
        "guestlist, compiled",
        &of_index,
        grants,
        all,
        &expected,
        by_compiled,
    );

    let (limit, of_limit) = built(|| HashedLimit::new(&world));
    let by_limit = |q: &Question| limit.check(q.user, q.action, q.key.as_str());
    prove("limit, hashed", &of_limit, grants, all, &expected, by_limit);
    let (naive, of_naive) = built(|| Naive::new(&world));
    let by_naive = |q: &Question| naive.check(name(q), q.action, q.key.as_str());
    prove("naive", &of_naive, grants, all, &expected, by_naive);

    // Facts of everybody would be more memory than anything else here.
    let few = &all[..all.len().min(256)];
    let (gatehouse, of_gatehouse) = built(|| Gatehouse::new(&world, few.iter().map(|q| q.user)));
    let session = EvaluationSession::empty();
    let by_gatehouse = |q: &Question| gatehouse.check(&session, q);
    prove(
        "gatehouse",
        &of_gatehouse,
        grants,
        few,
        &expected,
        by_gatehouse,
    );

    let (roles, of_roles) = built(|| CedarRoles::new(&world));
    let by_roles = |q: &Question| roles.check(name(q), q.action, &q.key);
    let some = &all[..all.len().min(2_000)];
    prove("cedar, roles", &of_roles, grants, some, &expected, by_roles);

    let (zanzibar, of_zanzibar) = built(|| Zanzibar::new(&world));
    let by_zanzibar = |q: &Question| zanzibar.check(name(q), q.action, &q.key);
    prove(
        "simple-zanzibar",
        &of_zanzibar,
        grants,
        some,
        &expected,
        by_zanzibar,
    );
    let (uncached, of_uncached) = built(|| Roles::new(&world, false));
    let by_uncached = |q: &Question| uncached.check(name(q), q.action, &q.key);
    prove(
        "role-system",
        &of_uncached,
        grants,
        some,
        &expected,
        by_uncached,
    );
    let cached = Roles::new(&world, true);
    let by_cached = |q: &Question| cached.check(name(q), q.action, &q.key);
    prove(
        "role-system, its cache warm",
        &of_uncached,
        grants,
        some,
        &expected,
        by_cached,
    );
    let (biscuits, of_biscuits) = built(|| Biscuits::new(&world, few.iter().map(|q| q.user)));
    let by_biscuit = |q: &Question| biscuits.check(q);
    prove(
        "biscuit",
        &of_biscuits,
        grants,
        few,
        &expected,
        by_biscuit,
    );

    // What goes over all grants in every check is not waited for where there are many.
    let slow = grants <= 20_000;
    let policies = slow.then(|| built(|| CedarPolicies::new(&world)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let enforcer = slow.then(|| built(|| runtime.block_on(casbin(&world))));
    let handful = &all[..all.len().min(if grants > 1_000 { 10 } else { 500 })];
    let mut cases = vec![
        Case::new("guestlist", || each(all, by_index)),
        Case::new("guestlist, compiled", || each(all, by_compiled)),
        Case::new("limit, hashed", || each(all, by_limit)),
        Case::new("naive", || each(all, by_naive)),
        Case::new("gatehouse, facts ready", || each(few, by_gatehouse)),
        Case::new("cedar, roles", || each(some, by_roles)),
        Case::new("simple-zanzibar", || each(some, by_zanzibar)),
        Case::new("role-system", || each(some, by_uncached)),
        Case::new("role-system, its cache warm", || each(some, by_cached)),
        Case::new("biscuit", || each(few, by_biscuit)),
    ];
    if let (Some((policies, of_policies)), Some((enforcer, of_enforcer))) = (&policies, &enforcer) {
        let by_policies = |q: &Question| policies.check(name(q), q.action, &q.key);
        prove(
            "cedar, a policy a grant",
            of_policies,
            grants,
            handful,
            &expected,
            by_policies,
        );
        let by_casbin = |q: &Question| {
            let asked = (name(q), q.key.as_str(), q.action.as_str());
            enforcer.enforce(asked).expect("an answer")
        };
        prove("casbin", of_enforcer, grants, handful, &expected, by_casbin);
        cases.push(Case::new("cedar, a policy a grant", move || {
            each(handful, by_policies)
        }));
        cases.push(Case::new("casbin", move || each(handful, by_casbin)));
    }
    let title = format!("A check, {users} users, P = {per_subject}");
    let measured = side_by_side(&title, "ns of CPU", repeats, cases);
    if (users, per_subject) == (1_000, 4) {
        for (peer, times) in [
            ("cedar, roles", 60.0),
            ("casbin", 1_000.0),
            ("gatehouse, facts ready", 3.0),
            ("naive", 5.0),
        ] {
            for form in ["guestlist", "guestlist, compiled"] {
                run.target(
                    &format!("{form}, times as fast as {peer}"),
                    1.0 / measured.ratio(form, peer),
                    Target::AtLeast(times),
                );
            }
        }
    }
}
