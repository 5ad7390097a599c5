//! The options of `nats`.

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, OneOrMany, Secret};

use crate::places::Places;

/// The options of `nats`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsOptions {
    /// The servers of a cluster, as `nats://HOST:PORT` or `tls://HOST:PORT`.
    #[serde(default = "localhost")]
    pub servers: OneOrMany<String>,
    /// The subjects, as `plant.*.alarm` or `plant.>`. With a stream: all of its subjects when left out.
    #[serde(default)]
    pub subjects: OneOrMany<String>,
    /// A queue group that shares the messages; without a stream only.
    pub queue: Option<String>,
    /// The JetStream stream that keeps the messages.
    pub stream: Option<String>,
    /// The durable pull consumer of the stream, of this source alone.
    pub consumer: Option<String>,
    /// Create the consumer, and the stream, where they are missing.
    #[serde(default)]
    pub create: bool,
    /// Where a consumer that is created begins.
    #[serde(default)]
    pub deliver: Deliver,
    /// After how long a consumer that is created sends a message again that was not acknowledged.
    #[serde(default = "half_a_minute")]
    pub ack_wait: Duration,
    /// How many messages a consumer that is created sends before the first of them is acknowledged.
    #[serde(default = "in_flight")]
    pub max_in_flight: u16,
    /// The user.
    pub username: Option<String>,
    /// The password of the user.
    pub password: Option<Secret>,
    /// A token, instead of a user.
    pub token: Option<Secret>,
    /// A credentials file (JWT and seed), instead of a user: its text, so `{file: PATH}`.
    pub credentials: Option<Secret>,
    /// The seed of an NKey, instead of a user.
    pub nkey: Option<Secret>,
}

/// Where a new consumer begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Deliver {
    /// At the beginning of the stream.
    #[default]
    All,
    /// With what comes after it was created.
    New,
}

fn localhost() -> OneOrMany<String> {
    OneOrMany(vec!["nats://localhost:4222".to_owned()])
}

fn half_a_minute() -> Duration {
    Duration::seconds(30)
}

fn in_flight() -> u16 {
    500
}

impl NatsOptions {
    /// Finds what the types cannot say.
    pub(super) fn check(&self, places: &Places<'_>) -> Result<(), Vec<Diagnostic>> {
        let mut found = Vec::new();
        if self.servers.is_empty() {
            found.push(places.at("servers", "`servers` names no server"));
        }
        if self.servers.iter().any(|server| server.contains('@')) {
            let help = "give them as `username` and `password`, or as `token`";
            found.push(places.at("servers", "credentials do not belong into an address").with_help(help));
        }
        match (&self.stream, &self.consumer) {
            (Some(_), None) => found.push(places.at("stream", "`stream` needs a durable `consumer`")),
            (None, Some(_)) => found.push(places.at("consumer", "`consumer` needs the `stream` that it belongs to")),
            (None, None) if self.subjects.is_empty() => {
                found.push(places.at("", "give `subjects`, or a `stream` with its `consumer`"));
            }
            _ => {}
        }
        if self.stream.is_some() && self.queue.is_some() {
            found.push(places.at("queue", "a queue group is for subjects without a `stream`"));
        }
        if self.stream.is_none() && self.create {
            found.push(places.at("create", "there is nothing to create without a `stream`"));
        }
        if self.max_in_flight == 0 {
            found.push(places.at("max_in_flight", "`max_in_flight` must be at least 1"));
        }
        if self.password.is_some() != self.username.is_some() {
            found.push(places.at("username", "`username` and `password` are given together"));
        }
        let ways = [self.username.is_some(), self.token.is_some(), self.credentials.is_some(), self.nkey.is_some()];
        if ways.iter().filter(|given| **given).count() > 1 {
            found.push(places.at("", "give one of `username`, `token`, `credentials` and `nkey`"));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}
