//! What a pipeline sets for itself as a whole.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use super::values::{ByteSize, Duration};
use crate::checkpoint::copies::CopyLocation;

/// `checkpoint:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// How often a checkpoint is taken, or `off`. Default: 10s.
    pub every: CheckpointInterval,
    /// Which checkpoints are kept. A number is so many of the last ones. Default: 5.
    pub keep: Keep,
    /// Where every checkpoint is copied to in the background: a folder, as `file:///backup/hygiene`, or a bucket, as
    /// `s3://backup/hygiene?region=eu-west-1`.
    pub copy_to: Option<CopyLocation>,
}

/// How often a checkpoint is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointInterval {
    /// This often.
    Every(Duration),
    /// Only when the pipeline stops.
    Off,
}

impl Default for CheckpointInterval {
    fn default() -> Self {
        Self::Every(Duration::seconds(10))
    }
}

impl<'de> Deserialize<'de> for CheckpointInterval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntervalVisitor;
        impl Visitor<'_> for IntervalVisitor {
            type Value = CheckpointInterval;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time, as `10s`, or `off`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CheckpointInterval, E> {
                match text {
                    "off" => Ok(CheckpointInterval::Off),
                    text => text.parse().map_err(E::custom).and_then(|every: Duration| {
                        let zero = every.0.is_zero();
                        let refusal = || E::custom("a checkpoint cannot be taken every `0s`; write `off` to take none");
                        if zero { Err(refusal()) } else { Ok(CheckpointInterval::Every(every)) }
                    }),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<CheckpointInterval, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(IntervalVisitor)
    }
}

impl JsonSchema for CheckpointInterval {
    fn schema_name() -> Cow<'static, str> {
        "CheckpointInterval".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let duration = generator.subschema_for::<Duration>();
        json_schema!({"anyOf": [duration, {"const": "off"}]})
    }
}

/// Which checkpoints are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many of the last ones, at least 1.
    pub last: u32,
    /// The last one of each of so many hours.
    pub hourly: u32,
    /// The last one of each of so many days.
    pub daily: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { last: 5, hourly: 0, daily: 0 }
    }
}

/// `keep:` in its long form.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct KeepMap {
    /// So many of the last ones.
    #[schemars(range(min = 1))]
    last: u32,
    /// The last one of each of so many hours.
    hourly: u32,
    /// The last one of each of so many days.
    daily: u32,
}

impl Default for KeepMap {
    fn default() -> Self {
        let Keep { last, hourly, daily } = Keep::default();
        Self { last, hourly, daily }
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeepVisitor;
        impl<'de> Visitor<'de> for KeepVisitor {
            type Value = Keep;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a map of `last`, `hourly` and `daily`")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Keep, E> {
                let last =
                    u32::try_from(number).map_err(|_| E::custom(format!("{number} checkpoints cannot be kept")))?;
                checked(Keep { last, ..Keep::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Keep, A::Error> {
                let KeepMap { last, hourly, daily } = KeepMap::deserialize(MapAccessDeserializer::new(map))?;
                checked(Keep { last, hourly, daily })
            }
        }
        deserializer.deserialize_any(KeepVisitor)
    }
}

fn checked<E: de::Error>(keep: Keep) -> Result<Keep, E> {
    if keep.last == 0 {
        return Err(E::custom("at least 1 checkpoint must be kept, or nothing could go on after a crash"));
    }
    Ok(keep)
}

impl JsonSchema for Keep {
    fn schema_name() -> Cow<'static, str> {
        "Keep".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<KeepMap>();
        json_schema!({"anyOf": [{"type": "integer", "minimum": 1}, map]})
    }
}

/// `limits:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory for rows and state. Default: 2GiB.
    pub memory: ByteSize,
    /// The largest file that a node may look things up in. Default: 256MiB.
    pub lookup: ByteSize,
    /// What may wait on one edge.
    pub edge: EdgeLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: ByteSize::mebibytes(2048), lookup: ByteSize::mebibytes(256), edge: EdgeLimits::default() }
    }
}

/// `limits.edge:`: what may wait between two nodes. A larger step passes when the edge is empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeLimits {
    /// Rows. Default: 65536.
    pub rows: u32,
    /// Bytes. Default: 64MiB.
    pub bytes: ByteSize,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self { rows: 65_536, bytes: ByteSize::mebibytes(64) }
    }
}

/// `journal:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JournalSettings {
    /// How far nodes may read behind before sources have to wait. Default: 256MiB.
    pub lag: ByteSize,
    /// Steps of this age are kept, also when no checkpoint needs them. Default: as far back as the oldest of
    /// `checkpoint.keep.last`.
    #[serde(deserialize_with = "present")]
    #[schemars(with = "Duration")]
    pub keep: Option<Duration>,
    /// How long the journal may be, at least 1MiB. Older steps are given up for it, except those after the newest
    /// checkpoint: then sources wait for the next one. Default: no bound.
    #[serde(deserialize_with = "bound")]
    #[schemars(with = "ByteSize")]
    pub bytes: Option<ByteSize>,
    /// Which input is kept in the journal itself. Default: auto.
    pub inline: JournalInline,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self { lag: ByteSize::mebibytes(256), keep: None, bytes: None, inline: JournalInline::default() }
    }
}

/// `journal.inline:`: which input is kept in the journal itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JournalInline {
    /// What cannot be read again where it came from.
    #[default]
    Auto,
    /// All of it: it can be replayed when a source no longer has it.
    All,
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn bound<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    let least = ByteSize::mebibytes(1);
    match ByteSize::deserialize(deserializer)? {
        bytes if bytes < least => Err(de::Error::custom(format!("the journal needs at least {least}"))),
        bytes => Ok(Some(bytes)),
    }
}

/// `restart:`: what happens when a source fails.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestartSettings {
    /// How often it is started again before the pipeline stops. Default: 3.
    pub attempts: u32,
    /// The pause before the first attempt; each further one is twice as long. Default: 1s.
    pub initial: Duration,
    /// The longest pause. Default: 1m.
    pub max: Duration,
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self { attempts: 3, initial: Duration::seconds(1), max: Duration::seconds(60) }
    }
}

/// `stop:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StopSettings {
    /// How long a stop may take before it is cut short. Default: 30s.
    pub within: Duration,
}

impl Default for StopSettings {
    fn default() -> Self {
        Self { within: Duration::seconds(30) }
    }
}
