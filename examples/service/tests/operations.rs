//! What whoever runs the service relies on.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::sync::mpsc;

use common::Service;
use reqwest::Client;
use serde_json::{Value, json};

fn metric<'a>(metrics: &'a str, name: &str, labels: &[&str]) -> Option<&'a str> {
    metrics.lines().find_map(|line| {
        let (key, value) = line.rsplit_once(' ')?;
        let fits = key.starts_with(name) && labels.iter().all(|label| key.contains(label));
        fits.then_some(value)
    })
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let service = Service::start(&[]);
    let client = Client::new();
    let get = |path: String| {
        let request = client.get(format!("{}{path}", service.url()));
        let request = request.bearer_auth(service.text("/gitbook/users/admin/token"));
        async move { request.send().await.unwrap() }
    };
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = get(path.to_owned()).await;
        assert_eq!(answer.status(), 200);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.headers()[name], value);
        }
        assert!(answer.headers().contains_key("x-request-id"));
        // Nothing is encrypted here.
        assert!(!answer.headers().contains_key("strict-transport-security"));
        assert_eq!(answer.text().await.unwrap(), text);
    }
    let organization = service.text("/gitbook/org_a/id");
    for _ in 0..3 {
        get(format!("/api/v1/organizations/{organization}/links")).await;
    }
    get(format!(
        "/api/v1/organizations/{organization}/decisions?action=read&address=a"
    ))
    .await;
    get("/api/v1/no/such/place".to_owned()).await;
    let links = format!(
        "{}/api/v1/organizations/{organization}/links",
        service.url()
    );
    let made = client
        .post(links)
        .bearer_auth(service.text("/gitbook/users/admin/token"));
    assert_eq!(made.json(&json!({})).send().await.unwrap().status(), 201);
    let odd = reqwest::Method::from_bytes(b"BREW").unwrap();
    let url = format!("{}/healthz", service.url());
    client.request(odd, url).send().await.unwrap();

    let metrics = get("/metrics".to_owned()).await.text().await.unwrap();
    let route = "route=\"/api/v1/organizations/{organization}/links\"";
    let labels = ["method=\"GET\"", "status=\"200\"", route];
    assert_eq!(metric(&metrics, "http_requests_total", &labels), Some("3"));
    assert_eq!(
        metric(
            &metrics,
            "http_request_seconds_bucket",
            &["method=\"GET\"", route, "le=\"+Inf\""]
        ),
        Some("3")
    );
    let unmatched = ["route=\"unmatched\"", "status=\"404\""];
    assert_eq!(
        metric(&metrics, "http_requests_total", &unmatched),
        Some("1")
    );
    assert!(metric(&metrics, "http_requests_total", &["method=\"other\""]).is_some());
    assert!(
        metric(
            &metrics,
            "guestlist_commands_total",
            &["operation=\"create-link\""]
        )
        .is_some()
    );
    assert!(metric(&metrics, "guestlist_decisions_total", &["action=\"read\""]).is_some());
    assert!(!metrics.contains(organization), "no ids in labels");
}

#[tokio::test]
async fn the_log_holds_no_secret_and_no_address() {
    for format in [&[][..], &["--log-json"]] {
        let service = Service::start(format);
        let client = Client::new();
        let owner = service.text("/gitbook/users/admin/token");
        let organization = service.text("/gitbook/org_a/id");
        let place = format!("{}/api/v1/organizations/{organization}", service.url());
        let post = |path: &str, body: Value| {
            let request = client.post(format!("{place}{path}")).bearer_auth(owner);
            async move {
                request
                    .json(&body)
                    .send()
                    .await
                    .unwrap()
                    .json::<Value>()
                    .await
                    .unwrap()
            }
        };
        let made = post("/links", json!({})).await;
        let token = made["token"].as_str().unwrap();
        let sent = post(
            "/invites",
            json!({ "to": [{ "address": "quiet@secret.example" }], "message": "hush" }),
        )
        .await;
        let invite = sent["outcomes"][0]["sent"]["token"].as_str().unwrap();
        post("/token-reports", json!({ "token": token })).await;
        for path in [
            format!("{place}/invites?address=quiet%40secret.example"),
            format!("{place}/members?text=needle-in-a-query"),
            format!("{}/join?t={token}", service.url()),
            format!("{}/nowhere/{token}?t={invite}", service.url()),
        ] {
            client.get(path).bearer_auth(owner).send().await.unwrap();
        }
        let guest = service.text("/gitbook/users/o1/token");
        let claim = client.post(format!("{}/api/v1/claims", service.url()));
        let claim = claim.bearer_auth(guest).json(&json!({ "token": token }));
        claim.send().await.unwrap();

        let log = service.log();
        assert!(
            log.contains("/api/v1/organizations/{organization}/links"),
            "{log}"
        );
        for secret in [
            token,
            invite,
            owner,
            guest,
            "quiet@",
            "quiet%40",
            "elsewhere.example",
        ] {
            assert!(!log.contains(secret), "`{secret}` is in the log");
        }
        for text in ["Bearer", "authorization: ", "needle-in-a-query", "hush"] {
            assert!(!log.contains(text), "`{text}` is in the log");
        }
        if !format.is_empty() {
            for line in log.lines() {
                serde_json::from_str::<Value>(line).unwrap();
            }
        }
    }
}

#[test]
fn a_request_under_way_ends_well() {
    let mut service = Service::start(&[]);
    let address = service.url().strip_prefix("http://").unwrap().to_owned();
    let (begun, has_begun) = mpsc::channel();
    let client = std::thread::spawn(move || {
        let body = br#"{"token":"no such token"}"#;
        let mut connection = TcpStream::connect(&address).unwrap();
        write!(
            connection,
            "POST /api/v1/token-previews HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        // The handler waits for the body.
        let mut told = [0; 25];
        connection.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        begun.send(()).unwrap();
        // Until nobody new is let in.
        while TcpStream::connect(&address).is_ok() {
            std::thread::yield_now();
        }
        connection.write_all(body).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    });
    has_begun.recv().unwrap();
    let status = service.stop();
    assert!(status.success(), "{status}");
    let answer = client.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.contains("invalid-token"), "{answer}");
}

fn service(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_service"));
    for name in [
        "LISTEN",
        "DATABASE",
        "DATA",
        "PUBLIC_URL",
        "OPERATOR_KEY",
        "LOG_JSON",
    ] {
        command.env_remove(format!("SERVICE_{name}"));
    }
    let variables = environment.iter().copied();
    command.args(arguments).envs(variables).output().unwrap()
}

#[test]
fn flags_go_before_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (from_environment, from_flag) = (place("environment"), place("flag"));
    let add = [
        "add-user",
        "--email",
        "ada@example.com",
        "--name",
        "Ada",
        "--organization",
        "ada",
    ];
    let environment = [("SERVICE_DATA", &*from_environment)];
    let made = service(&add, &environment);
    assert!(made.status.success(), "{made:?}");
    assert!(made.stdout.starts_with(b"svc_"));
    assert!(folder.path().join("environment/service.db").exists());

    let flags = [&["--data", &*from_flag][..], &add].concat();
    assert!(service(&flags, &environment).status.success());
    assert!(folder.path().join("flag/service.db").exists());

    // The name of the organization is taken by now.
    let again = service(&flags, &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("taken"),
        "{again:?}"
    );
}

#[test]
fn wrong_configuration_is_refused_with_the_flag_that_is_wrong() {
    for (flag, variable, value) in [
        ("--listen", "SERVICE_LISTEN", "nowhere"),
        ("--database", "SERVICE_DATABASE", "mysql://localhost"),
        ("--public-url", "SERVICE_PUBLIC_URL", "example.com"),
        ("--operator-key", "SERVICE_OPERATOR_KEY", "short"),
    ] {
        for output in [
            service(&[flag, value], &[]),
            service(&[], &[(variable, value)]),
        ] {
            assert_eq!(output.status.code(), Some(2), "{flag}: {output:?}");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains(flag), "{flag}: {told}");
        }
    }
    let unreachable = [
        "--demo",
        "--listen",
        "127.0.0.1:0",
        "--database",
        "sqlite:/no/such/folder/x",
    ];
    assert_eq!(service(&unreachable, &[]).status.code(), Some(1));
}
