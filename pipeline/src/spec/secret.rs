//! Secrets: references that are resolved when a node opens.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use super::Tree;
use crate::error::{Error, Result};

/// The newtype name by which the tree's deserializer knows that a value is a secret.
pub(super) const SECRET: &str = "$tidegate::Secret";

/// Where a secret is: `{env: NAME}`, `{file: PATH}`, or the text itself, which gives a warning.
///
/// Its value is never printed and never serialized; [`Secret::resolve`] is the only way to it.
#[derive(Clone)]
pub struct Secret(Reference);

#[derive(Clone)]
enum Reference {
    /// The name of an environment variable.
    Env(String),
    /// The path of a file that holds nothing else; a line break at its end does not count.
    File(PathBuf),
    /// The secret itself.
    Literal(SecretString),
}

/// A reference as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    env: Option<String>,
    file: Option<PathBuf>,
}

impl Secret {
    /// The secret that an option's value refers to; `None` where it refers to none.
    pub(super) fn of(tree: &Tree) -> Option<Self> {
        let reference = match tree {
            Tree::Text(text) => Reference::Literal(SecretString::from(text.as_ref())),
            Tree::Integer(number) => Reference::Literal(SecretString::from(number.to_string())),
            Tree::Map(entries) => match entries.as_slice() {
                [(key, value)] => match (key.value.as_ref(), &value.value) {
                    ("env", Tree::Text(name)) => Reference::Env(name.to_string()),
                    ("file", Tree::Text(path)) => Reference::File(PathBuf::from(path.as_ref())),
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        Some(Self(reference))
    }

    /// The secret's value, read now.
    ///
    /// # Errors
    /// When the variable is not set or the file cannot be read.
    pub fn resolve(&self) -> Result<SecretString> {
        match &self.0 {
            Reference::Env(name) => std::env::var(name).map(SecretString::from).map_err(|_| {
                Error::user(format!("the environment variable `{name}`, which holds a secret, is not set or not UTF-8"))
                    .with_remedy(format!("set `{name}` and start again"))
            }),
            Reference::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(SecretString::from(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r'))),
                Err(error) => Err(Error::user(format!("the secret file {} cannot be read: {error}", path.display()))),
            },
            Reference::Literal(value) => Ok(value.clone()),
        }
    }
}

impl Secret {
    /// Where it is, as the pipeline writes it, without its value: `{env: NAME}`, `{file: PATH}`, `a literal`.
    pub fn origin(&self) -> String {
        match &self.0 {
            Reference::Env(name) => format!("`{{env: {name}}}`"),
            Reference::File(path) => format!("`{{file: {}}}`", path.display()),
            Reference::Literal(_) => "a literal".to_owned(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reference::Env(name) => write!(f, "Secret(env {name})"),
            Reference::File(path) => write!(f, "Secret(file {})", path.display()),
            Reference::Literal(_) => f.write_str("Secret(literal)"),
        }
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`{env: NAME}`, `{file: PATH}` or text")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Secret, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(Reference::Literal(SecretString::from(text))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
        let written = Written::deserialize(MapAccessDeserializer::new(map))?;
        match (written.env, written.file) {
            (Some(name), None) => Ok(Secret(Reference::Env(name))),
            (None, Some(path)) => Ok(Secret(Reference::File(path))),
            (None, None) => Err(de::Error::missing_field("env")),
            _ => Err(de::Error::custom("a secret is either `{env: NAME}` or `{file: PATH}`")),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SECRET, SecretVisitor)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a secret is: {env: NAME}, {file: PATH}, or (with a warning) the text itself.",
            "anyOf": [
                {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"], "additionalProperties": false},
                {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": false},
                {"type": "string"},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use secrecy::ExposeSecret;

    use super::*;

    fn read(json: &str) -> Secret {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_literal_is_never_printed() {
        let secret = read(r#""hunter2""#);
        assert_eq!(format!("{secret:?}"), "Secret(literal)");
        assert_eq!(secret.resolve().unwrap().expose_secret(), "hunter2");
    }

    #[test]
    fn a_file_is_read_without_its_last_line_break() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "hunter2").unwrap();
        let secret = Secret(Reference::File(file.path().to_owned()));
        assert_eq!(secret.resolve().unwrap().expose_secret(), "hunter2");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = read(r#"{"env": "TIDEGATE_TEST_NO_SUCH_VARIABLE"}"#).resolve().unwrap_err();
        assert!(error.to_string().contains("TIDEGATE_TEST_NO_SUCH_VARIABLE"), "{error}");
    }
}
