//! What is shared with the benchmarks of the workspace.

#![allow(
    missing_debug_implementations,
    missing_docs,
    reason = "it is for one program"
)]

#[path = "../decide/engines.rs"]
pub mod engines;
#[path = "../src/lib.rs"]
pub mod harness;
#[path = "../decide/world.rs"]
pub mod world;
