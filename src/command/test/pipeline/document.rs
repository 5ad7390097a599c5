//! `*.test.yaml`: a pipeline, and cases with given and expected rows.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_pipeline::spec::Named;
use tidegate_pipeline::spec::diagnostic::Located;

/// A row, as column → value, and where it stands.
pub(super) type Row = Located<Map<String, Value>>;

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// The pipeline under test, relative to the file of tests.
    pub(super) pipeline: Located<String>,
    /// The cases.
    pub(super) cases: Vec<Located<Case>>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What it shows.
    pub(super) name: String,
    /// Rows by source. A source that is named nowhere gives nothing.
    #[serde(default)]
    pub(super) given: Named<Vec<Row>>,
    /// Rows by source and table, for sources of inventory. Tables that are not named are empty.
    #[serde(default)]
    pub(super) tables: Named<Named<Vec<Row>>>,
    /// The rows that leave a node (`NODE`, `NODE.PORT`) or reach a sink (`SINK`), in any order. Only the columns
    /// that a row names are compared.
    pub(super) expect: Named<Vec<Row>>,
    /// Whether rows besides the expected ones are fine.
    #[serde(default)]
    pub(super) partial: bool,
}
