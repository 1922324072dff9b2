//! Flags and environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::app::Location;

/// guestlist as a service: a dashboard, an HTTP API, and an MCP server.
#[derive(Debug, Parser)]
#[command(name = "service", version)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, env = "SERVICE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// `sqlite:PATH` or `postgres://...`; a SQLite file in the data folder if nothing is said.
    #[arg(long, env = "SERVICE_DATABASE")]
    pub database: Option<Location>,

    /// The folder of secrets, mails and the SQLite file; one of the user's if nothing is said.
    #[arg(long, env = "SERVICE_DATA")]
    pub data: Option<PathBuf>,

    /// Where this service is found from outside; the address that it listens on if nothing is said.
    #[arg(long, env = "SERVICE_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// Begin with the people and organizations of the demo, in a new temporary folder.
    #[arg(long)]
    pub demo: bool,

    /// With --demo: write what there is, and everybody's access keys, to this file.
    #[arg(long, requires = "demo", value_name = "FILE")]
    pub demo_file: Option<PathBuf>,

    /// Logs as JSON, one object a line.
    #[arg(long, env = "SERVICE_LOG_JSON")]
    pub log_json: bool,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else this program does.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Adds a person, and an organization of theirs, and prints an access key to sign in with.
    AddUser {
        /// The address.
        #[arg(long)]
        email: String,
        /// What people are shown.
        #[arg(long)]
        name: String,
        /// The handle of a new organization that this person founds.
        #[arg(long)]
        organization: Option<String>,
    },
}

impl Config {
    /// The folder of secrets, mails and the SQLite file.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        if let Some(folder) = &self.data {
            return folder.clone();
        }
        let home = |name| std::env::var_os(name).map(PathBuf::from);
        home("XDG_DATA_HOME")
            .or_else(|| home("HOME").map(|home| home.join(".local/share")))
            .unwrap_or_else(std::env::temp_dir)
            .join("guestlist-service")
    }
}
