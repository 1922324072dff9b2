//! The dashboard in a browser: what people see, with script and without, in both themes, at a desk
//! and on a phone.

mod common;

use std::process::Command;

use common::Service;

/// Runs the walk of `tests/clients/dashboard`. With `DASHBOARD_SHOTS` set to a folder, pictures of
/// the pages are written there.
#[test]
fn people_get_from_a_link_to_a_removal_in_a_browser() {
    let service = Service::start(&[]);
    let folder = common::node("dashboard");
    for script in ["walk.js", "pages.js", "hands.js", "raw.js"] {
        std::fs::copy(
            common::clients("dashboard").join(script),
            folder.join(script),
        )
        .unwrap();
    }
    let output = Command::new("node")
        .arg("walk.js")
        .arg(service.url())
        .arg(service.demo_file())
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{said}");
    // Every token of the walk begins like this, and nothing that was logged does.
    let log = service.log();
    for prefix in ["glj_", "gle_", "svc_"] {
        assert!(!log.contains(prefix), "a secret was logged");
    }
    assert!(!log.contains("panicked"));
}
