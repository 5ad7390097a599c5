//! Whole-program tests of the command line: what each command prints, and with which code it ends.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so by failing")]

mod aws_pack;
mod changes;
mod checking;
mod checkpoints;
mod commands;
mod explaining;
mod files;
mod formats;
mod handling;
mod past;
#[allow(dead_code, unused_imports, reason = "each suite takes what it needs of it")]
#[path = "../program/mod.rs"]
mod program;
mod providers;
mod refreshing;
mod remediating;
mod replay;
mod running;
mod selecting;
#[allow(dead_code, reason = "not every suite stops and starts servers")]
#[path = "../connectors/service.rs"]
mod service;
mod shell;
mod sources;
mod state;
mod testing;
mod validating;
mod waiving;
