//! The options of `mqtt`.

use std::borrow::Cow;
use std::fmt;

use rumqttc::v5::mqttbytes::{QoS, qos, valid_filter};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, OneOrMany, Secret};

use crate::places::Places;

/// The options of `mqtt`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttOptions {
    /// The broker's name or address.
    #[serde(default = "localhost")]
    pub host: String,
    /// Its port: 1883, with TLS 8883.
    pub port: Option<u16>,
    /// What is subscribed to: filters as `plant/+/alarm`, or maps `{topic: plant/#, qos: 2}`.
    pub topics: OneOrMany<Topic>,
    /// The quality of service of topics that name none: 0, 1 or 2.
    #[serde(default = "at_least_once")]
    pub qos: u8,
    /// By what the broker knows the session. Needed, and of this source alone, unless `clean_session` is on.
    pub client_id: Option<String>,
    /// Begin without what came while the source was away, and leave nothing behind.
    #[serde(default)]
    pub clean_session: bool,
    /// How long the broker keeps the session while the source is away.
    #[serde(default = "a_week")]
    pub session_expiry: Duration,
    /// The user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// How often the connection is proven to be alive, at least every 5 s.
    #[serde(default = "a_minute")]
    pub keep_alive: Duration,
    /// How many messages the broker sends before the first of them is acknowledged.
    #[serde(default = "in_flight")]
    pub max_in_flight: u16,
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn at_least_once() -> u8 {
    1
}

fn a_week() -> Duration {
    Duration::seconds(7 * 24 * 3600)
}

fn a_minute() -> Duration {
    Duration::seconds(60)
}

fn in_flight() -> u16 {
    500
}

/// A topic filter, with a quality of service of its own or not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterOptions {
    /// The filter.
    pub topic: String,
    /// Its quality of service.
    pub qos: Option<u8>,
}

/// A filter, or a map with one.
#[derive(Debug, Clone)]
pub struct Topic(pub FilterOptions);

struct TopicVisitor;

impl<'de> Visitor<'de> for TopicVisitor {
    type Value = Topic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a topic, or `{topic: …, qos: …}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Topic, E> {
        Ok(Topic(FilterOptions { topic: text.to_owned(), qos: None }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Topic, A::Error> {
        FilterOptions::deserialize(MapAccessDeserializer::new(map)).map(Topic)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TopicVisitor)
    }
}

impl JsonSchema for Topic {
    fn schema_name() -> Cow<'static, str> {
        "Topic".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"topic": {"type": "string"}, "qos": {"type": "integer", "minimum": 0, "maximum": 2}},
                 "required": ["topic"], "additionalProperties": false},
            ],
        })
    }
}

/// The shortest time between two proofs of life that the client library takes.
const SHORTEST_KEEP_ALIVE: Duration = Duration::seconds(5);

impl MqttOptions {
    /// The topic filters with their quality of service.
    ///
    /// # Errors
    /// Everything that the types cannot say.
    pub(super) fn check(&self, places: &Places<'_>) -> Result<Vec<(String, QoS)>, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let mut filters = Vec::new();
        for Topic(topic) in self.topics.iter() {
            match qos(topic.qos.unwrap_or(self.qos)) {
                Some(qos) => filters.push((topic.topic.clone(), qos)),
                None => found.push(places.at("qos", "`qos` must be 0, 1 or 2")),
            }
            if !valid_filter(&topic.topic) {
                let message = format!("`{}` is no topic filter", topic.topic);
                let help = "`+` stands for a whole level, `#` for all that follow, at the end only";
                found.push(places.at("topics", message).with_help(help));
            }
        }
        if self.topics.is_empty() {
            found.push(places.at("topics", "`topics` names no topic"));
        }
        if !self.clean_session && self.client_id.as_deref().unwrap_or_default().is_empty() {
            let help = "give it a name of its own, or `clean_session: true` to lose what comes while it is away";
            found.push(places.at("", "`client_id` is needed: the broker keeps the session under it").with_help(help));
        }
        if self.password.is_some() && self.username.is_none() {
            found.push(places.at("password", "`password` needs a `username`"));
        }
        if self.keep_alive < SHORTEST_KEEP_ALIVE || self.keep_alive > Duration::seconds(u16::MAX.into()) {
            found.push(places.at("keep_alive", "`keep_alive` must be between 5s and 65535s"));
        }
        if self.max_in_flight == 0 {
            found.push(places.at("max_in_flight", "`max_in_flight` must be at least 1"));
        }
        if found.is_empty() { Ok(filters) } else { Err(found) }
    }
}
