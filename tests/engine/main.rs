//! The engine, driven in this process through its public face: what its journal, checkpoints, outbox and edges
//! promise, also when it is stopped, killed or lied to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test needs and does not get fails it"
)]

mod checkpoints;
mod crash_points;
mod dead_letters;
mod definitions;
mod definitions_of_readers;
mod determinism;
mod disk_faults;
mod effects;
mod ending;
mod failures;
mod fence;
mod given;
mod hindered;
mod journaling;
mod outside;
mod probe;
#[allow(dead_code, unused_imports, reason = "each suite takes what it needs of it")]
#[path = "../program/mod.rs"]
mod program;
mod providers;
mod quarantine;
mod refreshing;
mod replays;
mod replays_of_changes;
mod simulation;
mod sources;
mod stage;
mod state;
mod stopping;
mod survival;
