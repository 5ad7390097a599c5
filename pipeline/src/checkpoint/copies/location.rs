//! Where copies go, as the pipeline's file says it.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::remote::{FolderRemote, Remote};

/// A place for copies of checkpoints: `file:///backup/hygiene`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyLocation(PathBuf);

impl CopyLocation {
    /// The place itself. Nothing is done there yet.
    pub fn remote(&self) -> Box<dyn Remote> {
        Box::new(FolderRemote::new(&self.0))
    }
}

impl fmt::Display for CopyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file://{}", self.0.display())
    }
}

impl FromStr for CopyLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("file", path)) if !path.is_empty() => Ok(Self(PathBuf::from(path))),
            Some(("s3", _)) => Err("copies to `s3://` are not supported yet; copy to a folder, as `file:///backup`, \
                                    which something else brings there"
                .to_owned()),
            _ => Err(format!("`{text}` is no place for copies; write a folder, as `file:///backup`")),
        }
    }
}

impl<'de> Deserialize<'de> for CopyLocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for CopyLocation {
    fn schema_name() -> Cow<'static, str> {
        "CopyLocation".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^file://.+"})
    }
}
