//! The option `cassette` of everything that speaks HTTP.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::spec::{Options, Secret, Secrets};

use super::tape::Tape;

/// A shorter text would be found in everything.
const SHORTEST: usize = 4;

/// When is recorded, and when replayed: the modes of VCR.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Only replayed: a request that is not recorded is an error.
    None,
    /// Recorded while there is no file, else only replayed.
    #[default]
    Once,
    /// What is recorded is replayed, everything else recorded.
    NewEpisodes,
    /// Nothing is replayed, everything recorded: in the place of what was recorded for the same request.
    All,
}

/// A text that is blacked out wherever it stands.
#[derive(Debug, Clone)]
pub enum Redact {
    /// The text.
    Text(String),
    /// Where it is.
    Secret(Secret),
}

impl Redact {
    fn resolve(&self) -> Result<SecretString> {
        match self {
            Self::Text(text) => Ok(SecretString::from(text.as_str())),
            Self::Secret(secret) => secret.resolve(),
        }
    }
}

/// The option `cassette`: the path of a cassette, or a map.
#[derive(Debug, Clone)]
pub struct CassetteOptions {
    /// The file.
    pub path: PathBuf,
    /// When is recorded, and when replayed.
    pub mode: Mode,
    /// Texts that are blacked out wherever they stand, besides what looks like a secret.
    pub redact: Vec<Redact>,
    /// Parameters and JSON members that do not matter for which request is which.
    pub ignore: Vec<String>,
    /// Whether the last answer to a request serves again and again.
    pub allow_playback_repeats: bool,
}

/// `cassette:` in its long form.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CassetteMap")]
#[serde(deny_unknown_fields)]
struct Written {
    /// The file, in the YAML format of Ruby's VCR.
    path: PathBuf,
    /// `none`: only replay. `once`: record while there is no file, else replay. `new_episodes`: replay what is
    /// recorded, record the rest. `all`: record everything anew.
    #[serde(default)]
    mode: Mode,
    /// Texts that a placeholder stands for wherever they are, besides what looks like a secret: account ids, names.
    #[serde(default)]
    redact: Vec<Redact>,
    /// Names of parameters of queries and forms, and of JSON members, that do not matter for which request is which.
    #[serde(default)]
    ignore: Vec<String>,
    /// Whether the last recorded answer to a request serves again and again. Else one that is asked more often than it
    /// was recorded is an error.
    #[serde(default)]
    allow_playback_repeats: bool,
}

impl CassetteOptions {
    /// The cassette of a node. `folder` is what relative paths are relative to; the secrets of the pipeline that
    /// `options` belong to are kept out of it.
    pub fn insert(&self, folder: &Path, options: &Options) -> Cassette {
        let secrets = options.secrets().clone();
        let options = Self { path: folder.join(&self.path), ..self.clone() };
        Cassette(Arc::new(Inserted { options, secrets, tape: Mutex::new(None) }))
    }
}

/// The cassette of a node. Clones are the same: a node that is opened again goes on where it was.
#[derive(Clone)]
pub struct Cassette(Arc<Inserted>);

struct Inserted {
    options: CassetteOptions,
    secrets: Secrets,
    tape: Mutex<Option<Arc<Tape>>>,
}

impl Cassette {
    /// The tape, which is read when it is wanted first.
    ///
    /// # Errors
    /// When the file cannot be read or is no cassette, or is missing where nothing may be recorded; when a text to be
    /// blacked out cannot be had.
    pub fn tape(&self) -> Result<Arc<Tape>> {
        let mut tape = self.0.tape.lock();
        if let Some(tape) = tape.as_ref() {
            return Ok(Arc::clone(tape));
        }
        let redact = self.0.options.redact.iter().map(Redact::resolve).collect::<Result<Vec<_>>>()?;
        let opened = Arc::new(Tape::open(&self.0.options, &redact, self.0.secrets.clone())?);
        *tape = Some(Arc::clone(&opened));
        Ok(opened)
    }
}

impl fmt::Debug for Cassette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cassette({}, {:?})", self.0.options.path.display(), self.0.options.mode)
    }
}

impl<'de> Deserialize<'de> for CassetteOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CassetteVisitor;
        impl<'de> Visitor<'de> for CassetteVisitor {
            type Value = CassetteOptions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a cassette, or a map with `path` and `mode`")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<CassetteOptions, E> {
                checked(Written {
                    path: path.into(),
                    mode: Mode::default(),
                    redact: Vec::new(),
                    ignore: Vec::new(),
                    allow_playback_repeats: false,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CassetteOptions, A::Error> {
                checked(Written::deserialize(MapAccessDeserializer::new(map))?)
            }
        }
        deserializer.deserialize_any(CassetteVisitor)
    }
}

fn checked<E: de::Error>(written: Written) -> Result<CassetteOptions, E> {
    let Written { path, mode, redact, ignore, allow_playback_repeats } = written;
    if path.file_name().is_none() {
        return Err(E::custom("`path` is no path of a file"));
    }
    Ok(CassetteOptions { path, mode, redact, ignore, allow_playback_repeats })
}

impl<'de> Deserialize<'de> for Redact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RedactVisitor;
        impl<'de> Visitor<'de> for RedactVisitor {
            type Value = Redact;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, `{env: NAME}` or `{file: PATH}`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Redact, E> {
                if text.chars().count() < SHORTEST {
                    return Err(E::custom(format!("a text to be blacked out has at least {SHORTEST} letters")));
                }
                Ok(Redact::Text(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Redact, E> {
                Err(E::custom(format!("put {number} in quotes, so that no digit is lost")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Redact, A::Error> {
                Secret::deserialize(MapAccessDeserializer::new(map)).map(Redact::Secret)
            }
        }
        deserializer.deserialize_any(RedactVisitor)
    }
}

impl JsonSchema for CassetteOptions {
    fn schema_name() -> Cow<'static, str> {
        "Cassette".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<Written>();
        json_schema!({
            "description": "A cassette: HTTP recorded once and replayed ever after. A path alone means mode `once`.",
            "anyOf": [{"type": "string"}, map],
        })
    }
}

impl JsonSchema for Redact {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Redact".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "string", "minLength": 4},
                {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"], "additionalProperties": false},
                {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": false},
            ],
        })
    }
}
