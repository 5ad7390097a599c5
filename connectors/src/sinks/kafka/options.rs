//! The options of the sink `kafka`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::spec::Duration;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use crate::places::Places;

/// The compressions of this build.
const COMPRESSIONS: [&str; 5] = ["none", "gzip", "lz4", "snappy", "zstd"];

/// What is done when the cluster has forgotten the mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MissingMark {
    /// Stop: rows could be written twice.
    #[default]
    Stop,
    /// Go on from the mark of the checkpoint.
    Continue,
}

/// The options of the sink `kafka`, beside how the cluster is reached.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSinkOptions {
    /// The topic. It must be there.
    pub topic: String,
    /// The key of a message, as SQL over the row; without, messages have none.
    pub key: Option<String>,
    /// Headers, each with its value as SQL over the row. A NULL leaves the header out.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The name under which transactions are made. By default a new one for each new pipeline.
    pub transactional_id: Option<String>,
    /// How long a transaction may be open: longer than `checkpoint.every`, and no longer than the brokers allow
    /// (`transaction.max.timeout.ms`).
    pub transaction_timeout: Option<Duration>,
    /// What is done when the cluster has forgotten what was written last (`offsets.retention.minutes`): `stop` or
    /// `continue`.
    #[serde(default)]
    pub on_missing_mark: MissingMark,
    /// `none`, `gzip`, `lz4`, `snappy` or `zstd`.
    #[serde(default = "none")]
    pub compression: String,
}

fn none() -> String {
    "none".to_owned()
}

impl KafkaSinkOptions {
    /// Finds what the types cannot say.
    pub(super) fn check(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) {
        if self.topic.is_empty() {
            found.push(places.at("topic", "`topic` is empty"));
        }
        if !COMPRESSIONS.contains(&self.compression.as_str()) {
            let wrong = format!("the compression `{}` is not known", self.compression);
            found.push(places.at("compression", wrong).with_expected(&self.compression, COMPRESSIONS));
        }
        if self.transaction_timeout.is_some_and(|timeout| timeout.0 < std::time::Duration::from_secs(1)) {
            found.push(places.at("transaction_timeout", "`transaction_timeout` is at least 1s"));
        }
    }
}
