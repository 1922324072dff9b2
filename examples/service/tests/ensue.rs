//! The MCP server, held to by Ensue's own command line, which nobody here wrote, and by the SDK
//! that it is made with.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use common::Service;
use guestlist_testkit::postgres;
use serde_json::{Value, json};

const TOOLS: [&str; 21] = [
    "approve_invite",
    "claim_invite",
    "create_invite",
    "create_memory",
    "delete_memory",
    "disable_invite",
    "enable_invite",
    "get_memory",
    "leave_org",
    "list_invites",
    "list_keys",
    "list_my_external_orgs",
    "list_org_members",
    "list_pending_invites",
    "list_permissions",
    "refresh_invite",
    "reject_invite",
    "remove_member",
    "search_memories",
    "share",
    "update_memory",
];

/// What a memory holds that nobody without rights may see.
const SECRET: &str = "zanzibar";

/// The command line of somebody.
#[derive(Clone)]
struct Cli {
    program: PathBuf,
    url: String,
    token: String,
}

/// How a command ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Cli {
    fn of(service: &Service, token: &str) -> Self {
        Self {
            program: common::python("ensue").join("bin/ensue"),
            url: service.text("/mcp/url").to_owned(),
            token: token.to_owned(),
        }
    }

    fn owner(service: &Service, label: &str) -> Self {
        Self::of(
            service,
            service.text(&format!("/ensue/orgs/{label}/owner_token")),
        )
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(&self.program)
            .args(arguments)
            .env("ENSUE_URL", &self.url)
            .env("ENSUE_TOKEN", &self.token)
            // Long lines stay whole.
            .env("COLUMNS", "1000")
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("ENSUE_PREFIX")
            .env_remove("ENSUE_WRITABLE")
            .env_remove("ENSUE_AGENT_SOCKET")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A good call says what it found, and nothing else.
    fn quiet(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (0, ""),
            "{arguments:?}"
        );
        ended.stdout
    }

    /// `mem` tells in colours on stderr what it did.
    fn said(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (0, ""),
            "{arguments:?}"
        );
        ended.stderr
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (1, ""),
            "{arguments:?}"
        );
        assert!(!ended.stderr.contains("Traceback"), "{}", ended.stderr);
        ended.stderr
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.quiet(arguments)).unwrap()
    }

    /// The code of a refusal, which a command prints like any answer.
    fn code(&self, arguments: &[&str]) -> String {
        self.json(arguments)["error"]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn share(&self, command: &Value) -> Value {
        self.json(&["share", "--command", &command.to_string()])
    }
}

/// Two at a time: there are not more cores than that.
fn in_pairs<T: Sync>(all: &[T], each: impl Fn(&T) + Sync) {
    let (first, second) = all.split_at(all.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| first.iter().for_each(&each));
        second.iter().for_each(&each);
    });
}

#[test]
fn the_command_line_helps_with_every_tool() {
    let service = Service::start(&[]);
    let owner = Cli::owner(&service, "host");
    let help = owner.quiet(&["--help"]);
    for tool in TOOLS {
        assert!(help.contains(&format!("\n  {tool} ")), "{tool}: {help}");
    }
    in_pairs(&TOOLS, |tool| {
        let help = owner.quiet(&[tool, "--help"]);
        assert!(
            help.starts_with(&format!("Usage: ensue {tool} [OPTIONS]")),
            "{help}"
        );
    });
    let help = owner.quiet(&["create_invite", "--help"]);
    assert!(help.contains("--auto-approve BOOLEAN"), "{help}");
    let help = owner.quiet(&["approve_invite", "--help"]);
    assert!(
        help.contains("--member-org-name TEXT") && help.contains("[required]"),
        "{help}"
    );

    let stranger = Cli::of(&service, "svc_nobody");
    let help = stranger.quiet(&["--help"]);
    assert!(
        help.contains("Connection error") && !help.contains("create_invite"),
        "{help}"
    );
    let ended = stranger.run(&["list_keys"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("401 Unauthorized"),
        "{}",
        ended.stderr
    );
    let refused = stranger.fails(&["mem", "get", "a"]);
    assert!(refused.contains("401"), "{refused}");
}

#[test]
fn the_command_line_goes_from_an_invite_to_a_removal() {
    let service = Service::start(&[]);
    let [owner, bravo, charlie] =
        ["host", "bravo", "charlie"].map(|label| Cli::owner(&service, label));
    let alice = Cli::of(&service, service.text("/ensue/orgs/host/users/alice/token"));
    let member = ["--member-org-name", "bravo"];
    let with_member = |tool| [&[tool], &member[..]].concat();

    // Memories, as their owner has them.
    let plan = "the plan of zanzibar";
    let said = owner.said(&["mem", "put", "shared/plan", "--value", plan]);
    assert_eq!(said, "created shared/plan\n");
    owner.said(&["mem", "put", "shared_x/plan", "--value", "another"]);
    owner.said(&["mem", "put", "private/pay", "--value", SECRET]);
    let said = owner.said(&["mem", "put", "private/pay", "--value", "zanzibar!"]);
    assert_eq!(said, "updated private/pay\n");
    assert_eq!(
        owner.quiet(&["mem", "get", "shared/plan"]),
        format!("{plan}\n")
    );
    let both = owner.quiet(&["mem", "get", "private/pay", "shared/plan"]);
    assert_eq!(
        both,
        format!("==> private/pay <==\nzanzibar!\n==> shared/plan <==\n{plan}\n")
    );
    let listed = owner.json(&["mem", "ls", "shared", "--json"]);
    let mut keys: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["shared/plan", "shared_x/plan"]);
    assert_eq!(
        owner.quiet(&["mem", "ls", "shared_", "-k"]),
        "shared_x/plan\n"
    );
    let found = owner.json(&["mem", "search", "the plan", "--json", "-n", "1"]);
    assert_eq!(
        (&found[0]["key"], &found[0]["value"]),
        (&json!("shared/plan"), &json!(plan))
    );
    let new = owner.quiet(&["mem", "new", "notes/", "--value", "x"]);
    assert!(new.starts_with("notes/"), "{new}");
    assert_eq!(
        owner.said(&["mem", "rm", new.trim(), "--yes"]),
        format!("deleted {new}")
    );
    let gone = owner.fails(&["mem", "rm", new.trim(), "--yes"]);
    assert!(gone.starts_with("not deleted notes/"), "{gone}");
    // A user without a grant.
    assert_eq!(
        alice.fails(&["mem", "get", "shared/plan"]),
        "not found: shared/plan\n"
    );
    assert_eq!(alice.said(&["mem", "ls"]), "no keys under (everything)\n");
    let refused = alice.fails(&["mem", "put", "mine", "--value", "v"]);
    assert!(
        refused.contains("could not write mine: `create` is not allowed"),
        "{refused}"
    );

    // A link, a claim, and its review.
    let link = owner.json(&["create_invite", "--auto-approve", "false"]);
    assert_eq!(
        (&link["auto_approve"], &link["status"]),
        (&json!(false), &json!("active"))
    );
    let (id, first) = (
        link["invite_id"].as_str().unwrap(),
        link["token"].as_str().unwrap(),
    );
    assert!(
        link["url"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/join?token={first}"))
    );
    let refreshed = owner.json(&["refresh_invite", "--invite-id", id]);
    let token = refreshed["token"].as_str().unwrap();
    assert_eq!(
        bravo.code(&["claim_invite", "--token", first]),
        "invalid_token"
    );
    let claimed = bravo.json(&["claim_invite", "--token", token]);
    assert_eq!(
        claimed,
        json!({ "host_org_name": "widgets-inc", "status": "pending" })
    );
    let waiting = owner.json(&["list_pending_invites"]);
    assert_eq!(waiting["invites"][0]["member_org_name"], "bravo");
    let joined = bravo.json(&["list_my_external_orgs"]);
    assert_eq!(joined, json!({ "orgs": [claimed] }));
    let key = "@widgets-inc/shared/plan";
    assert_eq!(
        bravo.fails(&["mem", "get", key]),
        format!("not found: {key}\n")
    );
    let approved = owner.json(&with_member("approve_invite"));
    let proxy =
        json!({ "member_org_name": "bravo", "status": "approved", "proxy_username": "bravo" });
    assert_eq!(approved, proxy);
    assert_eq!(owner.code(&with_member("reject_invite")), "invalid_state");
    assert_eq!(
        owner.json(&["list_org_members"]),
        json!({ "members": [proxy] })
    );

    // What partners may do.
    let group = json!({ "group_name": "partners" });
    let create = json!({ "command": "create_group", "group_name": "partners" });
    assert_eq!(owner.share(&create), group);
    assert_eq!(owner.share(&create)["error"]["code"], "already_exists");
    let to = json!({ "type": "group", "group_name": "partners" });
    let grant = owner.share(&json!({
        "command": "grant", "target": to, "action": "read", "key_pattern": "shared/",
    }));
    let external = json!({ "command": "set_external_group", "group_name": "partners" });
    assert_eq!(owner.share(&external), group);
    assert_eq!(
        owner.share(&json!({ "command": "list" })),
        json!({ "grants": [grant] })
    );
    assert_eq!(bravo.quiet(&["mem", "get", key]), format!("{plan}\n"));
    assert_eq!(
        bravo.quiet(&["mem", "ls", "@widgets-inc/", "-k"]),
        format!("{key}\n")
    );
    assert_eq!(
        bravo.quiet(&["mem", "ls", "@widgets-inc/shared/p", "-k"]),
        format!("{key}\n")
    );
    let found = bravo.json(&["mem", "search", SECRET, "--json"]);
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(
        (&found[0]["key"], &found[0]["value"]),
        (&json!(key), &json!(plan))
    );
    for arguments in [
        &["mem", "get", "@widgets-inc/private/pay"][..],
        &["mem", "put", key, "--value", "mine"],
        &["mem", "put", "@widgets-inc/shared/new", "--value", "mine"],
        &["mem", "rm", key, "--yes"],
    ] {
        let refused = bravo.fails(arguments);
        assert!(!refused.contains(SECRET), "{refused}");
    }
    assert_eq!(
        charlie.fails(&["mem", "get", key]),
        format!("not found: {key}\n")
    );
    assert_eq!(
        owner.quiet(&["mem", "get", "shared/plan"]),
        format!("{plan}\n")
    );

    // A link that rests lets nobody in; the end of the membership is the end of the access.
    assert_eq!(
        owner.json(&["disable_invite", "--invite-id", id])["status"],
        "disabled"
    );
    assert_eq!(
        charlie.code(&["claim_invite", "--token", token]),
        "invalid_token"
    );
    assert_eq!(bravo.quiet(&["mem", "get", key]), format!("{plan}\n"));
    let removed = owner.json(&with_member("remove_member"));
    assert_eq!(
        removed,
        json!({ "member_org_name": "bravo", "status": "removed" })
    );
    assert_eq!(
        bravo.fails(&["mem", "get", key]),
        format!("not found: {key}\n")
    );
    let to = json!({ "type": "user", "username": "bravo" });
    let late = json!({ "command": "grant", "target": to, "action": "read", "key_pattern": "" });
    assert_eq!(owner.share(&late)["error"]["code"], "not_found");
    assert_eq!(
        bravo.said(&["mem", "ls", "@widgets-inc/"]),
        "no keys under @widgets-inc/\n"
    );
    let auto = owner.json(&["create_invite", "--auto-approve", "true"]);
    let token = auto["token"].as_str().unwrap();
    let claimed = charlie.json(&["claim_invite", "--token", token]);
    assert_eq!(claimed["status"], "approved");
    assert_eq!(charlie.quiet(&["mem", "get", key]), format!("{plan}\n"));
    let left = charlie.json(&["leave_org", "--host-org-name", "widgets-inc"]);
    assert_eq!(
        left,
        json!({ "host_org_name": "widgets-inc", "status": "cancelled" })
    );
    assert_eq!(
        charlie.fails(&["mem", "get", key]),
        format!("not found: {key}\n")
    );
    nothing_in_the_log(
        &service,
        &[SECRET, first, token, &owner.token, &bravo.token],
    );
}

/// Runs a script with the SDK; what it printed.
fn script(name: &str, service: &Service) -> String {
    let output = Command::new(common::python("ensue").join("bin/python"))
        .arg("-B")
        .arg(common::clients("ensue").join(name))
        .arg(service.demo_file())
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    String::from_utf8(output.stdout).unwrap()
}

/// Neither a secret, nor a failure of the service's own. The log is of the level `debug`.
fn nothing_in_the_log(service: &Service, secrets: &[&str]) {
    let log = service.log();
    assert!(
        log.contains("finished processing request"),
        "requests are logged"
    );
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    for failure in ["could not be answered", "panicked", "glj_", "svc_"] {
        assert!(!log.contains(failure), "{failure} is in the log");
    }
}

#[test]
fn every_statement_holds() {
    let service = Service::start(&[]);
    assert_eq!(script("statements.py", &service), "22 hold\n");
    nothing_in_the_log(&service, &[SECRET]);
}

#[test]
fn every_statement_holds_on_postgres() {
    let database = postgres::shared().create_database().unwrap();
    let service = Service::start(&["--database", &database.url()]);
    assert_eq!(script("statements.py", &service), "22 hold\n");
    nothing_in_the_log(&service, &[SECRET]);
}

#[test]
fn whatever_is_sent_has_an_answer() {
    let service = Service::start(&[]);
    assert_eq!(script("wire.py", &service), "the wire holds\n");
    nothing_in_the_log(&service, &[]);
}
