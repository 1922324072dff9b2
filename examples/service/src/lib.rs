//! The service as a library, so that tests can start it.
//!
//! [`App`] is guestlist over a store, with what a host application brings (`host`). Four surfaces
//! stand on it and know nothing of each other: guestlist's own HTTP API, GitBook's, the MCP
//! server, and the dashboard. They translate; none of them holds a rule.

mod api;
pub mod app;
mod background;
pub mod config;
mod dashboard;
pub mod demo;
mod gitbook;
mod host;
mod mcp;
mod operations;
mod secrets;
pub mod server;

pub use app::App;
