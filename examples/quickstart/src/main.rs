//! Three organizations: Widgets Inc. lets bravo and charlie in, by invite links.
//!
//! `cargo run -p quickstart` uses a new SQLite file each time; `cargo run -p quickstart -- --db
//! PATH` keeps it, and goes on with it the next time.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it tells a story on the terminal"
)]

mod story;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(steps) => {
            println!("\nquickstart: {steps} steps, all as expected");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<usize, Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let folder = std::env::temp_dir();
            let path = folder.join(format!("guestlist-quickstart-{}.db", std::process::id()));
            let result = story::tell(&path).await;
            for end in ["", "-wal", "-shm"] {
                let file = PathBuf::from(format!("{}{end}", path.display()));
                if file.exists() {
                    std::fs::remove_file(file)?;
                }
            }
            result
        }
        [option, path] if option == "--db" => story::tell(&PathBuf::from(path)).await,
        _ => Err("usage: quickstart [--db PATH]".into()),
    }
}
