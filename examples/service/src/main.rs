//! `cargo run -p service -- --demo`, then open the address that it prints.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

use std::process::ExitCode;

use clap::Parser as _;
use guestlist::types::{DisplayName, EmailAddress};
use service::app::{App, Location};
use service::config::{Command, Config};
use service::{demo, server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,guestlist=warn"));
    // It logs whole messages, with tokens and memories in them.
    let filter = filter.add_directive("rmcp=warn".parse().expect("a constant that is a directive"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if config.log_json {
        logs.json().init();
    } else {
        logs.init();
    }
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), Failure> {
    // Kept until the end: dropping it removes the folder.
    let temporary = config.demo.then(demo::Folder::create).transpose()?;
    let data = temporary
        .as_ref()
        .map_or_else(|| config.data_folder(), |folder| folder.path().to_owned());
    std::fs::create_dir_all(&data)?;
    let database = match &config.database {
        Some(location) => location.clone(),
        None => Location::Sqlite(data.join("service.db")),
    };

    if let Some(Command::AddUser {
        email,
        name,
        organization,
    }) = &config.command
    {
        let app = App::open(&database, &data, "http://localhost", false, true).await?;
        let email = EmailAddress::parse(email)?;
        let name = DisplayName::parse(name)?;
        let key = app.add_user(&email, &name, organization.as_deref()).await?;
        println!("{key}");
        return Ok(());
    }

    let listener = TcpListener::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let public_url = config
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));
    let public_url = public_url.trim_end_matches('/');
    let mut app = App::open(
        &database,
        &data,
        public_url,
        config.demo,
        !config.no_rate_limit,
    )
    .await?;
    if let Some(key) = &config.operator_key {
        app = app.with_operator_key(key);
    }
    if config.demo {
        let fixture = demo::fill(&app).await?;
        if let Some(file) = &config.demo_file {
            demo::write(&fixture, file)?;
        }
    }
    println!(
        "dashboard  {public_url}/\nHTTP API   {public_url}/api/docs\nMCP        {public_url}/mcp"
    );
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server::serve(app, listener, stop).await?;
    Ok(())
}
