//! Whole-program tests of what survives: the program is killed, started again, and its output compared with
//! that of a run that nobody disturbed.

#![allow(clippy::expect_used, clippy::panic, reason = "what a test needs and does not get fails it")]

mod child;
mod commands;
mod events;
mod kills;
mod machine;
mod ownership;
mod points;
#[allow(dead_code, unused_imports, reason = "each suite takes what it needs of it")]
#[path = "../program/mod.rs"]
mod program;
mod recorded;
mod resume;
mod server;
mod subjects;
