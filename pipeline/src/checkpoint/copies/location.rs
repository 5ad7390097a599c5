//! Where copies go, as the pipeline's file says it.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::remote::Remote;
use crate::error::Result;

/// A place for copies of checkpoints: `file:///backup/hygiene`, `s3://backup/hygiene?region=eu-west-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyLocation {
    /// A folder.
    Folder(PathBuf),
    /// A part of a bucket of S3, or of a store that speaks as S3 does.
    Bucket(BucketLocation),
}

/// A part of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketLocation {
    /// The bucket.
    pub bucket: String,
    /// What the names of objects begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Where the bucket is; `None`: as the environment says.
    pub region: Option<String>,
    /// The address of the server, where it is not AWS or the environment names another; buckets are then parts of its
    /// path, not of its name.
    pub endpoint: Option<String>,
    /// The profile in the files of the AWS command line that holds the credentials.
    pub profile: Option<String>,
}

/// Opens places for copies. The engine knows folders; what else there is, a program brings.
pub trait OpenRemote: fmt::Debug + Send + Sync {
    /// The place itself. Nothing is done there yet.
    ///
    /// # Errors
    /// When it cannot be made ready.
    fn open(&self, location: &CopyLocation) -> Result<Box<dyn Remote>>;
}

impl CopyLocation {
    /// Whether both name the same place, by whatever way it is reached.
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bucket(one), Self::Bucket(other)) => one.bucket == other.bucket && one.prefix == other.prefix,
            _ => self == other,
        }
    }
}

impl fmt::Display for BucketLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

impl fmt::Display for CopyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl FromStr for CopyLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("file", path)) if !path.is_empty() => Ok(Self::Folder(PathBuf::from(path))),
            Some(("s3", place)) => bucket(place).map(Self::Bucket),
            _ => Err(format!(
                "`{text}` is no place for copies; write a folder, as `file:///backup`, or a bucket, as `s3://bucket/prefix`"
            )),
        }
    }
}

/// `BUCKET/PREFIX?region=…&endpoint=…&profile=…`.
fn bucket(text: &str) -> Result<BucketLocation, String> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(legal) {
        return Err(format!(
            "`{bucket}` is no name of a bucket: 3 to 63 small letters, digits, `-` and `.`, as in `s3://bucket/prefix`"
        ));
    }
    let mut location = BucketLocation {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        region: None,
        endpoint: None,
        profile: None,
    };
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let place = match option.split_once('=') {
            Some(("region", _)) => &mut location.region,
            Some(("endpoint", url)) if url.starts_with("http://") || url.starts_with("https://") => {
                &mut location.endpoint
            }
            Some(("endpoint", _)) => return Err("`endpoint` is a URL, as `http://127.0.0.1:9000`".to_owned()),
            Some(("profile", _)) => &mut location.profile,
            _ => return Err(format!("`{option}`: a bucket has the options `region=`, `endpoint=` and `profile=`")),
        };
        let value = option.split_once('=').map(|(_, value)| value).filter(|value| !value.is_empty());
        *place = Some(value.ok_or_else(|| format!("`{option}` has no value"))?.to_owned());
    }
    Ok(location)
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
        json_schema!({"type": "string", "pattern": "^(file|s3)://.+"})
    }
}
