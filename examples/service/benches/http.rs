//! Decisions and claims through the whole service, over HTTP on loopback, loaded by wrk.
//!
//! `cargo bench -p service --bench http`; `--quick` is a smoke run. It needs Debian's `wrk`, and
//! PostgreSQL's server programs. The load runs on the same cores as the service: the numbers say
//! what both cost together.

#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use guestlist_testkit::postgres::Server;
use serde_json::{Value, json};
use service::app::{App, Location};
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// As many as there are connections.
const CONNECTIONS: u32 = 32;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let quick = given("--quick") || !given("--bench");
    let (seconds, people) = if quick { (1, 500) } else { (10, 40_000) };
    println!(
        "== http ({} run), {CONNECTIONS} connections, {seconds} s, load at start {}",
        if quick { "quick" } else { "full" },
        std::fs::read_to_string("/proc/loadavg")?.trim(),
    );
    println!("{:<44} {:>10} {:>9} {:>9}", "", "per second", "p50", "p99");
    let folder = tempfile::tempdir()?;
    let sqlite = Location::Sqlite(folder.path().join("service.db"));
    measure("SQLite", &sqlite, folder.path(), seconds, people).await?;
    let server = Server::start()?;
    let database = server.create_database()?;
    let folder = tempfile::tempdir()?;
    let postgres = Location::Postgres(database.url());
    measure("PostgreSQL", &postgres, folder.path(), seconds, people).await
}

async fn measure(
    store: &str,
    location: &Location,
    folder: &Path,
    seconds: u32,
    people: u32,
) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = App::open(location, folder, &url, false, false).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(service::server::serve(app.clone(), listener, async {
        let _ = stopped.await;
    }));
    let client = reqwest::Client::new();
    let api = format!("{url}/api/v1");
    let post = async |path: &str, key: &str, body: Value| -> Result<Value, Failure> {
        let request = client
            .post(format!("{api}{path}"))
            .bearer_auth(key)
            .json(&body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    };
    let name = "Wanda Grimes".parse()?;
    let owner = app
        .add_user(&"wanda@widgets.example".parse()?, &name, None)
        .await?;
    let founded = post("/organizations", &owner, json!({ "name": "widgets-inc" })).await?;
    let organization = founded["id"]
        .as_str()
        .ok_or("an organization with its id")?
        .to_owned();

    let paths: Vec<String> = (0..100).map(|place| format!("team-{place}/")).collect();
    for pattern in &paths {
        let grant = json!({ "to": { "organization": "everyone" }, "actions": ["read"], "pattern": { "prefix": pattern } });
        post(
            &format!("/organizations/{organization}/grants"),
            &owner,
            grant,
        )
        .await?;
    }
    let script = format!(
        "local n = 0\n\
         request = function()\n\
           n = n + 1\n\
           local path = '/api/v1/organizations/{organization}/decisions?action=read&address=team-' .. (n % 200) .. '/x'\n\
           return wrk.format('GET', path, {{ ['Authorization'] = 'Bearer {owner}' }})\n\
         end\n"
    );
    load(store, "decisions", &url, &script, folder, seconds)?;

    let link = json!({ "approval": "auto", "joined_by": "users" });
    let link = post(
        &format!("/organizations/{organization}/links"),
        &owner,
        link,
    )
    .await?;
    let token = link["token"].as_str().ok_or("a link with its token")?;
    let mut keys = String::from("local keys = {\n");
    for number in 0..people {
        let email = format!("person-{number}@elsewhere.example").parse()?;
        let key = app.add_user(&email, &"A Person".parse()?, None).await?;
        writeln!(keys, "'{key}',")?;
    }
    // One thread asks, so every key is used once; with none left, it says so and waits.
    let script = format!(
        "{keys}}}\n\
         local n = 0\n\
         request = function()\n\
           n = n + 1\n\
           if n > #keys then wrk.thread:stop() end\n\
           return wrk.format('POST', '/api/v1/claims', {{\n\
             ['Authorization'] = 'Bearer ' .. (keys[n] or ''), ['Content-Type'] = 'application/json'\n\
           }}, '{{\"token\":\"{token}\"}}')\n\
         end\n"
    );
    load(store, "claims of one link", &url, &script, folder, seconds)?;
    drop(stop);
    serving.await??;
    Ok(())
}

/// Runs wrk and prints what it says.
fn load(
    store: &str,
    what: &str,
    url: &str,
    script: &str,
    folder: &Path,
    seconds: u32,
) -> Result<(), Failure> {
    let file = folder.join("load.lua");
    std::fs::write(&file, script)?;
    let output = Command::new("wrk")
        .args(["-t1", "--latency"])
        .arg(format!("-c{CONNECTIONS}"))
        .arg(format!("-d{seconds}s"))
        .arg("-s")
        .arg(&file)
        .arg(url)
        .output()
        .map_err(|error| format!("wrk, of Debian's package `wrk`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let after = |label: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(label));
        line.and_then(|line| line.split_whitespace().nth(1))
            .unwrap_or("?")
    };
    println!(
        "{:<44} {:>10} {:>9} {:>9}",
        format!("{what}, {store}"),
        after("Requests/sec:"),
        after("50%"),
        after("99%"),
    );
    for line in text
        .lines()
        .filter(|line| line.contains("Non-2xx") || line.contains("Socket errors"))
    {
        println!("  {}", line.trim());
    }
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("wrk: {}{}", text, String::from_utf8_lossy(&output.stderr)).into())
    }
}
