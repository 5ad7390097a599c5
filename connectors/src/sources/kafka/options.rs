//! The options of `kafka`.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::spec::Secret;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use super::connection::Connection;
use crate::places::Places;

/// What is done when the wanted offset is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MissingOffset {
    /// Stop with an error that names the partition.
    #[default]
    Stop,
    /// Go on with the oldest message that is still there.
    Earliest,
    /// Go on with what comes from now on.
    Latest,
}

/// What becomes of messages without a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tombstones {
    /// They are skipped, as with Ansible EDA.
    #[default]
    Skip,
    /// They are events without a body.
    Keep,
}

/// What the column `body` holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyForm {
    /// What the first message has: a JSON object, or text.
    #[default]
    Auto,
    /// JSON objects; everything else is the text `body_text`.
    Object,
    /// The text as it came.
    Text,
}

/// The options of `kafka`, beside how the cluster is reached. Exactly one of `topic`, `topics` and `topic_pattern` is given.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaOptions {
    /// How bodies are encoded: `utf-8`, `ascii` or `latin-1`. Those that are not go to `errors`.
    #[serde(default = "utf_8")]
    pub encoding: String,
    /// The topic.
    pub topic: Option<String>,
    /// Several topics.
    pub topics: Option<Vec<String>>,
    /// A regular expression that the names of topics begin with; new topics are found every `metadata_max_age_ms`.
    pub topic_pattern: Option<String>,
    /// How often new topics and partitions are looked for, in milliseconds.
    #[serde(default = "five_minutes")]
    pub metadata_max_age_ms: u64,
    /// The consumer group. Its offsets are then the truth, and partitions are shared with its other members. Without,
    /// all partitions are read, from positions of our own.
    pub group_id: Option<String>,
    /// Where a topic is begun that has never been read: `latest` or `earliest`.
    #[serde(default = "latest")]
    pub offset: String,
    /// For GSSAPI, which is not in this build.
    pub sasl_kerberos_service_name: Option<String>,
    /// For GSSAPI, which is not in this build.
    pub sasl_kerberos_domain_name: Option<String>,
    /// Accepted, and always so: an offset is committed only when its event is durable in the journal.
    #[serde(default)]
    pub feedback: bool,
    /// Accepted; nothing waits for it: an event that is not durable is simply not committed.
    #[serde(default = "two_minutes")]
    pub feedback_timeout: f64,
    /// `json` or `avro`.
    #[serde(default = "json")]
    pub message_format: String,
    /// An Avro schema (JSON): that of messages without a schema of their own, and what others are read as.
    pub avro_schema_file: Option<String>,
    /// The address of a Confluent schema registry.
    pub schema_registry_url: Option<String>,
    /// `user:password` for the registry.
    pub schema_registry_basic_auth: Option<Secret>,
    /// A bearer token for the registry.
    pub schema_registry_bearer_token: Option<Secret>,
    /// The OAuth client that fetches tokens for the registry.
    pub schema_registry_oauth_client_id: Option<String>,
    /// Its secret.
    pub schema_registry_oauth_client_secret: Option<Secret>,
    /// Where tokens are fetched.
    pub schema_registry_oauth_token_url: Option<String>,
    /// The scope that is asked for.
    pub schema_registry_oauth_scope: Option<String>,
    /// Check the registry's certificate.
    #[serde(default = "yes")]
    pub schema_registry_ssl: bool,
    /// As `cafile`, for the registry; by default the same.
    pub schema_ssl_cafile: Option<String>,
    /// As `certfile`, for the registry; by default the same.
    pub schema_ssl_certfile: Option<String>,
    /// As `keyfile`, for the registry; by default the same.
    pub schema_ssl_keyfile: Option<String>,
    /// As `password`, for the registry. Encrypted keys are not supported there.
    pub schema_ssl_password: Option<Secret>,
    /// The most messages that are taken at once (1 to 65536).
    #[serde(default = "batch")]
    pub max_poll_records: usize,
    /// What is done when the wanted offset is gone (deleted by retention, or the topic was made anew): `stop`,
    /// `earliest`, `latest`.
    #[serde(default)]
    pub on_missing_offset: MissingOffset,
    /// Messages without a value: `skip` or `keep`.
    #[serde(default)]
    pub tombstones: Tombstones,
    /// What `body` holds: `auto` (what the first message has), `object` (JSON objects; everything else is the text
    /// `body_text`), `text`.
    #[serde(default)]
    pub body: BodyForm,
}

fn yes() -> bool {
    true
}

fn utf_8() -> String {
    "utf-8".to_owned()
}

fn five_minutes() -> u64 {
    300_000
}

fn latest() -> String {
    "latest".to_owned()
}

fn two_minutes() -> f64 {
    120.0
}

fn json() -> String {
    "json".to_owned()
}

fn batch() -> usize {
    4096
}

/// How bodies are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Ascii,
    Latin1,
}

impl Encoding {
    fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "utf-8" | "utf8" => Some(Self::Utf8),
            "ascii" | "us-ascii" => Some(Self::Ascii),
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => Some(Self::Latin1),
            _ => None,
        }
    }
}

/// The topics that are read.
#[derive(Debug, Clone)]
pub(crate) enum Topics {
    /// These.
    Named(Vec<String>),
    /// All whose names begin like this.
    Matching(Regex),
}

impl KafkaOptions {
    /// Finds what the types cannot say.
    pub(super) fn check(&self, connection: &Connection, places: &Places<'_>) -> Result<(), Vec<Diagnostic>> {
        let mut found = Vec::new();
        if let Err(wrong) = self.wanted_topics() {
            let key = if self.topic_pattern.is_some() { "topic_pattern" } else { "topic" };
            found.push(places.at(key, wrong));
        }
        if !["latest", "earliest"].contains(&self.offset.as_str()) {
            let wrong = format!("Invalid offset option: {}", self.offset);
            found.push(places.at("offset", wrong).with_expected(&self.offset, ["latest", "earliest"]));
        }
        if !["json", "avro"].contains(&self.message_format.as_str()) {
            let wrong = format!("Invalid message_format: {}. Must be 'json' or 'avro'.", self.message_format);
            found.push(places.at("message_format", wrong).with_expected(&self.message_format, ["json", "avro"]));
        }
        if Encoding::named(&self.encoding).is_none() {
            let wrong = format!("the encoding `{}` is not known", self.encoding);
            found.push(places.at("encoding", wrong).with_expected(&self.encoding, ["utf-8", "ascii", "latin-1"]));
        }
        if !(1..=65_536).contains(&self.max_poll_records) {
            found.push(places.at("max_poll_records", "`max_poll_records` is between 1 and 65536"));
        }
        if self.metadata_max_age_ms == 0 {
            found.push(places.at("metadata_max_age_ms", "`metadata_max_age_ms` must be more than 0"));
        }
        if self.group_id.as_deref().is_some_and(|group| group.trim().is_empty()) {
            found.push(places.at("group_id", "`group_id` is empty"));
        }
        self.check_registry(places, &mut found);
        connection.check(places, &mut found);
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    fn check_registry(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) {
        let oauth = [
            self.schema_registry_oauth_client_id.is_some(),
            self.schema_registry_oauth_client_secret.is_some(),
            self.schema_registry_oauth_token_url.is_some(),
        ];
        let ways = [
            self.schema_registry_basic_auth.is_some(),
            self.schema_registry_bearer_token.is_some(),
            oauth.contains(&true),
        ];
        if ways.iter().filter(|given| **given).count() > 1 {
            let wrong = "`schema_registry_basic_auth`, `schema_registry_bearer_token` and `schema_registry_oauth_*` \
                         exclude one another";
            found.push(places.at("schema_registry_url", wrong));
        }
        if oauth.contains(&true) && oauth.contains(&false) {
            let wrong = "OAuth for the registry needs `schema_registry_oauth_client_id`, \
                         `schema_registry_oauth_client_secret` and `schema_registry_oauth_token_url`";
            found.push(places.at("schema_registry_oauth_client_id", wrong));
        }
        if self.schema_ssl_password.is_some() {
            let wrong = "encrypted keys are not supported for the schema registry";
            found.push(places.at("schema_ssl_password", wrong).with_help("give it a key without a password"));
        }
        if let Some(url) = &self.schema_registry_url
            && let Err(error) = url::Url::parse(url)
        {
            found.push(places.at("schema_registry_url", format!("`{url}` is no address: {error}")));
        }
    }

    /// The topics that are read.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn wanted_topics(&self) -> Result<Topics, String> {
        match (&self.topic, &self.topics, &self.topic_pattern) {
            (Some(topic), None, None) if !topic.is_empty() => Ok(Topics::Named(vec![topic.clone()])),
            (None, Some(topics), None) if !topics.is_empty() => {
                let mut topics = topics.clone();
                topics.sort_unstable();
                topics.dedup();
                Ok(Topics::Named(topics))
            }
            (None, None, Some(pattern)) => match Regex::new(&format!("^(?:{pattern})")) {
                Ok(pattern) => Ok(Topics::Matching(pattern)),
                Err(error) => Err(format!("`topic_pattern` is no regular expression: {error}")),
            },
            _ => Err("Exactly one of topic, topics, or topic_pattern must be provided.".to_owned()),
        }
    }

    /// How bodies are encoded.
    pub(super) fn body_encoding(&self) -> Encoding {
        Encoding::named(&self.encoding).unwrap_or(Encoding::Utf8)
    }
}
