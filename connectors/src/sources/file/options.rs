//! The options of `file`, and where the pipeline's text says them.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use super::input::Compression;
use crate::decode::columns::{TYPES, shape_of};
use crate::decode::shape::Members;
use crate::places::Places;

/// The formats that `format:` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// One JSON object a line.
    Jsonl,
    /// Fields between delimiters.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// A map (one event) or a list of maps (one event each).
    Yaml,
}

impl FileFormat {
    /// By the extension of `path`.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()? {
            "jsonl" | "ndjson" | "json" | "log" => Self::Jsonl,
            "csv" | "tsv" => Self::Csv,
            "parquet" => Self::Parquet,
            "yaml" | "yml" => Self::Yaml,
            _ => return None,
        })
    }
}

/// The options of `file`. Exactly one of `path` and `files` is given.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOptions {
    /// The file to read.
    pub path: Option<String>,
    /// YAML files, each a map (one event) or a list of maps (one event each).
    pub files: Option<Vec<String>>,
    /// The format; by default what the extension says (`.gz`, `.zst` and `.zstd` are looked behind).
    pub format: Option<FileFormat>,
    /// The compression; by default what the extension says.
    pub compression: Option<Compression>,
    /// Go on with what is appended, also after a rotation, instead of ending (JSON lines and CSV). With `files`: read
    /// a file again whenever it changes.
    #[serde(default)]
    pub follow: bool,
    /// Types of columns that the sample lacks or shows wrongly: `int`, `float`, `bool`, `text`, `timestamp`
    /// (RFC 3339, or a number of milliseconds), `list<TYPE>`.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// The longest line in bytes; longer ones are rejected.
    #[serde(default = "default_max_line")]
    pub max_line: usize,
    /// The most columns, nested ones counted; rows that would bring more are rejected.
    #[serde(default = "default_max_columns")]
    pub max_columns: usize,
    /// What stands between the fields of a CSV file: one ASCII character, `,` by default (a tab for `.tsv`).
    pub delimiter: Option<char>,
    /// Whether the first record of a CSV file names the columns (default true).
    pub header: Option<bool>,
}

fn default_max_line() -> usize {
    1024 * 1024
}

fn default_max_columns() -> usize {
    10_000
}

impl FileOptions {
    /// Finds what the types cannot say.
    pub(crate) fn check(&self, places: &Places<'_>) -> Result<(), Vec<Diagnostic>> {
        let mut found = Vec::new();
        if self.path.is_some() == self.files.is_some() {
            let message = "exactly one of `path` and `files` must be given";
            found.push(places.at(if self.path.is_some() { "files" } else { "" }, message));
        }
        for (name, data_type) in &self.columns {
            if shape_of(data_type).is_none() {
                let message = format!("`{data_type}` is not a type (column `{name}`)");
                found.push(places.at("columns", message).with_expected(data_type, TYPES));
            }
        }
        if self.delimiter.is_some_and(|delimiter| !delimiter.is_ascii() || "\"\r\n".contains(delimiter)) {
            let message = "`delimiter` must be one ASCII character, and not a quote or the end of a line";
            found.push(places.at("delimiter", message));
        }
        if self.max_line == 0 {
            found.push(places.at("max_line", "`max_line` must be at least 1"));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// The declared columns.
    pub(crate) fn declared(&self) -> Members {
        let mut members = Members::default();
        for (name, data_type) in &self.columns {
            if let Some(shape) = shape_of(data_type) {
                members.declare(name, shape);
            }
        }
        members
    }

    /// The delimiter of a CSV file.
    pub(crate) fn delimiter_byte(&self) -> u8 {
        let tabs = self.path.as_deref().is_some_and(|path| path.contains(".tsv"));
        let delimiter = self.delimiter.unwrap_or(if tabs { '\t' } else { ',' });
        u8::try_from(delimiter).unwrap_or(b',')
    }
}

/// The extension of the path does not tell the format.
pub(super) fn unknown_format(places: &Places<'_>, name: &str) -> Diagnostic {
    places
        .at("path", format!("the extension of `{name}` does not tell its format"))
        .with_help("set `format`")
        .with_expected("", ["jsonl", "csv", "parquet", "yaml"])
}

/// An option that does not go with Parquet.
pub(super) fn not_with_parquet(places: &Places<'_>, follow: bool) -> Diagnostic {
    let key = if follow { "follow" } else { "compression" };
    places.at(key, format!("`{key}` does not go with Parquet: such a file is written once, and compressed inside"))
}
