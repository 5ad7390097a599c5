//! Sources and sinks against the real servers that they are made for, started by the scripts in `tests/services/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test needs and does not get fails it"
)]

mod alertmanager;
mod amqp;
mod aws;
#[allow(dead_code, reason = "the suites take what they need of it")]
mod bus;
#[allow(dead_code, reason = "the suites take what they need of it")]
mod child;
mod diagnosis;
mod journald;
mod kafka;
mod mqtt;
mod nats;
mod pg_listener;
mod polling;
#[allow(dead_code, reason = "the suites take what they need of it")]
#[path = "../cli/program.rs"]
mod program;
#[allow(dead_code, reason = "the suites take what they need of it")]
mod service;
mod webhook;
