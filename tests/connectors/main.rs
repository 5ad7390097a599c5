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
mod diagnosis;
mod email;
mod home;
mod http;
mod journald;
mod kafka;
mod mqtt;
mod nats;
mod pg_listener;
mod polling;
#[allow(dead_code, unused_imports, reason = "each suite takes what it needs of it")]
#[path = "../program/mod.rs"]
mod program;
mod service;
mod webhook;
