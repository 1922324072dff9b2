//! The arrows between the crates, held against `cargo metadata`: who may depend on whom.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Every dependency, but for those of tests, that a crate of this workspace has on another one.
const ARROWS: &[(&str, &[&str])] = &[
    ("guestlist-types", &[]),
    ("guestlist-token", &["guestlist-types"]),
    ("guestlist-access", &["guestlist-types"]),
    ("guestlist-webhooks", &["guestlist-types"]),
    (
        "guestlist-membership",
        &["guestlist-access", "guestlist-token", "guestlist-types"],
    ),
    (
        "guestlist-store",
        &[
            "guestlist-access",
            "guestlist-membership",
            "guestlist-token",
            "guestlist-types",
        ],
    ),
    (
        "guestlist-sqlite",
        &[
            "guestlist-access",
            "guestlist-membership",
            "guestlist-store",
            "guestlist-token",
            "guestlist-types",
        ],
    ),
    (
        "guestlist-postgres",
        &[
            "guestlist-access",
            "guestlist-membership",
            "guestlist-store",
            "guestlist-token",
            "guestlist-types",
        ],
    ),
    (
        "guestlist",
        &[
            "guestlist-access",
            "guestlist-membership",
            "guestlist-postgres",
            "guestlist-sqlite",
            "guestlist-store",
            "guestlist-token",
            "guestlist-types",
            "guestlist-webhooks",
        ],
    ),
    ("guestlist-mail", &["guestlist"]),
    (
        "guestlist-testkit",
        &[
            "guestlist",
            "guestlist-access",
            "guestlist-membership",
            "guestlist-token",
            "guestlist-types",
        ],
    ),
];

/// What only some crates may know.
const RESERVED: &[(&str, &[&str])] = &[
    (
        "async-trait",
        &[
            "guestlist-store",
            "guestlist-sqlite",
            "guestlist-postgres",
            "guestlist-webhooks",
            "guestlist",
            "guestlist-mail",
        ],
    ),
    (
        "tokio",
        &[
            "guestlist-sqlite",
            "guestlist-postgres",
            "guestlist-webhooks",
            "guestlist-mail",
        ],
    ),
    ("sqlx", &["guestlist-postgres"]),
    ("hyper", &["guestlist-webhooks"]),
    ("tokio-rustls", &["guestlist-webhooks"]),
    ("lettre", &["guestlist-mail"]),
    ("rusqlite", &["guestlist-sqlite"]),
    ("getrandom", &["guestlist"]),
    ("rustix", &["guestlist-testkit"]),
    ("tempfile", &["guestlist-testkit"]),
    ("chacha20poly1305", &["guestlist-token"]),
    ("idna", &["guestlist-types"]),
    ("unicode-normalization", &["guestlist-types"]),
];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dependencies_point_upwards_only() {
    let metadata = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies: BTreeSet<String> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect();
        found.insert(package["name"].as_str().unwrap().to_owned(), dependencies);
    }
    for (name, allowed) in ARROWS {
        let own: BTreeSet<&str> = found[*name]
            .iter()
            .map(String::as_str)
            .filter(|dependency| dependency.starts_with("guestlist"))
            .collect();
        assert_eq!(own, allowed.iter().copied().collect(), "{name}");
    }
    for (name, dependencies) in &found {
        // The benchmarks are published to nobody, and start servers, too.
        assert!(
            name == "guestlist-benches" || !dependencies.contains("guestlist-testkit"),
            "{name} may need it for its tests only"
        );
    }
    for (dependency, users) in RESERVED {
        for (name, _) in ARROWS {
            let uses = found[*name].contains(*dependency);
            assert!(
                !uses || users.contains(name),
                "{name} must not know {dependency}"
            );
        }
    }
}

#[test]
fn the_tree_stays_small() {
    let external = |package: &str| {
        cargo(&[
            "tree",
            "-p",
            package,
            "-e",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ])
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.starts_with("guestlist") && !name.is_empty())
        .map(str::to_owned)
        .collect::<BTreeSet<_>>()
    };
    let core = external("guestlist-membership");
    assert!(
        core.len() <= 58,
        "{} crates below the core: {core:?}",
        core.len()
    );
    let facade = external("guestlist");
    assert!(
        facade.len() <= 70,
        "{} crates below the facade: {facade:?}",
        facade.len()
    );
    let webhooks = external("guestlist-webhooks");
    assert!(
        webhooks.len() <= 56,
        "{} crates below the webhooks: {webhooks:?}",
        webhooks.len()
    );
}
