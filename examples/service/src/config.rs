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
    #[arg(long, env = "SERVICE_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// What the operator of the service signs in with, to suspend and resume organizations.
    #[arg(long, env = "SERVICE_OPERATOR_KEY", hide_env_values = true, value_parser = operator_key)]
    pub operator_key: Option<String>,

    /// Limit no claims here: behind a proxy that limits them, and that all of them come from.
    #[arg(long, env = "SERVICE_NO_RATE_LIMIT")]
    pub no_rate_limit: bool,

    /// Begin with the people and organizations of the demo, in a new temporary folder.
    #[arg(long)]
    pub demo: bool,

    /// With --demo: write what there is, and everybody's access keys, to this file.
    #[arg(long, requires = "demo", value_name = "FILE")]
    pub demo_file: Option<PathBuf>,

    /// Logs as JSON, one object a line.
    #[arg(long, env = "SERVICE_LOG_JSON")]
    pub log_json: bool,

    /// Something else than serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else this program does.
#[derive(Debug, clap::Subcommand)]
#[non_exhaustive]
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

/// An address that paths can be put behind.
fn public_url(text: &str) -> Result<String, &'static str> {
    let url: axum::http::Uri = text.parse().map_err(|_| "this is no URL")?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    if !is_http || url.host().is_none_or(str::is_empty) {
        return Err("it begins with `http://` or `https://` and a host");
    }
    if url.query().is_some() || text.contains('#') {
        return Err("it has no query and no fragment");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A key that can't be guessed.
fn operator_key(text: &str) -> Result<String, &'static str> {
    if text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("it has at least 32 printable characters and no spaces")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls() {
        assert_eq!(
            public_url("https://a.example/"),
            Ok("https://a.example".to_owned())
        );
        assert_eq!(
            public_url("http://127.0.0.1:80"),
            Ok("http://127.0.0.1:80".to_owned())
        );
        for text in [
            "",
            "a.example",
            "ftp://a.example",
            "https://a.example/?q",
            "https:///x",
            "/",
        ] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_are_read_and_wrong_ones_refused() {
        let read = |flags: &[&str]| Config::try_parse_from([&["service"], flags].concat());
        let config = read(&["--listen", "[::1]:0", "--database", "sqlite:/tmp/x.db"]).unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:0");
        assert!(matches!(config.database, Some(Location::Sqlite(_))));
        for flags in [
            &["--listen", "nowhere"][..],
            &["--database", "mysql://x"],
            &["--database", "sqlite:"],
            &["--public-url", "a.example"],
            &["--operator-key", "short"],
            &["--demo-file", "x"],
            &["--unknown"],
        ] {
            assert!(read(flags).is_err(), "{flags:?}");
        }
    }
}
