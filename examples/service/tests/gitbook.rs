//! GitBook's own client, and requests that it would never send, against the service as it is
//! started.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use common::{Service, clients, node};

/// The packages, with the scripts beside them.
fn scripts() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = node("gitbook");
        for entry in fs::read_dir(clients("gitbook")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "mjs") {
                fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
            }
        }
        folder
    })
}

/// Runs a script, which is to hold this many tests, against a service of its own.
fn run(script: &str, tests: usize) {
    let folder = scripts();
    let service = Service::start(&[]);
    let output = Command::new("node")
        .args(["--test-reporter=tap", script])
        .current_dir(folder)
        .env("DEMO_FILE", service.demo_file())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in [format!("# pass {tests}"), "# fail 0".to_owned()] {
        assert!(said.lines().any(|said| said == line), "no {line}: {said}");
    }
    let log = service.log();
    assert!(!log.contains("ERROR"), "an error was logged");
    assert!(log.contains("/link-invites"), "requests are logged");
    for token in log.split("glj_").skip(1) {
        let shown = token.chars().take_while(char::is_ascii_alphanumeric);
        assert!(shown.count() < 20, "a token was logged");
    }
}

#[test]
fn links_and_joining() {
    run("links.mjs", 12);
}

#[test]
fn people_and_members() {
    run("people.mjs", 10);
}

#[test]
fn teams_and_settings() {
    run("teams.mjs", 5);
}

#[test]
fn refusals() {
    run("refusals.mjs", 9);
}
