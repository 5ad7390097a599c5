//! `json_filter: {exclude_keys: ["*_url"], include_keys: [clone_url]}`: leaves keys out.

use std::borrow::Cow;

use arrow::datatypes::{DataType, Field};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::envelope::{META, RECEIVED_AT, SOURCE, UUID};
use tidegate_pipeline::operator::{OperatorKind, PlanContext, PlannedOperator};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use crate::name_pattern::NamePattern;
use crate::reshape::{Rules, planned};

/// Options of `json_filter`. Patterns are of single keys, at every depth: `*`, `?`, `[abc]`, `[!abc]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JsonFilterOptions {
    /// Keys that are left out.
    #[serde(default)]
    exclude_keys: Vec<String>,
    /// Keys that stay although `exclude_keys` has them; what is inside of them is still looked at.
    #[serde(default)]
    include_keys: Vec<String>,
}

/// The kind `json_filter`.
///
/// Keys are looked at in objects at every depth, not inside of lists. What the engine says of an event (`meta.uuid`,
/// `meta.received_at`, `meta.source`) always stays.
pub struct JsonFilter;

impl OperatorKind for JsonFilter {
    fn name(&self) -> &'static str {
        "json_filter"
    }

    fn summary(&self) -> &'static str {
        "leaves out keys by patterns, at every depth"
    }

    fn schema(&self) -> Schema {
        schema_for!(JsonFilterOptions)
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let read: JsonFilterOptions = options.read()?;
        let patterns = |texts: &[String]| texts.iter().map(|text| NamePattern::new(text)).collect();
        let rules = Kept { exclude: patterns(&read.exclude_keys), include: patterns(&read.include_keys) };
        Ok(planned(rules, context))
    }
}

struct Kept {
    exclude: Vec<NamePattern>,
    include: Vec<NamePattern>,
}

impl Kept {
    fn keeps(&self, name: &str) -> bool {
        let any = |patterns: &[NamePattern]| patterns.iter().any(|pattern| pattern.matches(name));
        any(&self.include) || !any(&self.exclude)
    }
}

/// Whether this is `meta` as the engine knows it.
fn is_envelope(field: &Field) -> bool {
    let DataType::Struct(members) = field.data_type() else { return false };
    field.name() == META && [UUID, RECEIVED_AT].iter().all(|name| members.find(name).is_some())
}

/// Whether the engine says this member of `meta`.
fn is_of_the_engine(field: &Field) -> bool {
    [UUID, RECEIVED_AT, SOURCE].contains(&field.name().as_str())
}

impl Rules for Kept {
    fn name<'f>(&self, parents: &[&'f Field], field: &'f Field) -> Option<Cow<'f, str>> {
        let kept = match parents {
            [] if is_envelope(field) => true,
            [meta] if is_envelope(meta) && is_of_the_engine(field) => true,
            [meta] if is_envelope(meta) && !self.keeps(META) => false,
            [meta, member, ..] if is_envelope(meta) && is_of_the_engine(member) => true,
            _ => self.keeps(field.name()),
        };
        kept.then(|| field.name().as_str().into())
    }

    fn enters_lists(&self) -> bool {
        false
    }

    fn overwrites(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, entries, items, lines, rows};

    async fn left(exclude: &[&str], include: &[&str], given: &str) -> Vec<String> {
        let rows = rows(&[given]);
        let options = entries([("exclude_keys", items(exclude)), ("include_keys", items(include))]);
        let mut bench = Bench::new(&JsonFilter, options, rows.schema());
        bench.step(0, &rows).await;
        bench.emitted(0)
    }

    #[tokio::test]
    async fn excluded_keys_go_at_every_depth_unless_they_are_included() {
        let given = r#"{"a_url":1,"b":{"c_url":2,"clone_url":{"d_url":3,"e":4}},"l":[{"f_url":5}]}"#;
        let kept = lines(&[r#"{"b":{"clone_url":{"e":4}},"l":[{"f_url":5}]}"#]);
        assert_eq!(left(&["*_url"], &["clone_url"], given).await, kept);
    }

    #[tokio::test]
    async fn what_the_engine_says_of_an_event_stays() {
        let given = r#"{"a":1,"meta":{"uuid":"u","received_at":"t","source":{"name":"n","type":"t"},"endpoint":"e"}}"#;
        let kept = lines(&[r#"{"meta":{"uuid":"u","received_at":"t","source":{"name":"n","type":"t"}}}"#]);
        assert_eq!(left(&["*"], &[], given).await, kept);
        assert_eq!(left(&["meta"], &[], r#"{"a":1,"meta":2}"#).await, lines(&[r#"{"a":1}"#]));
    }

    #[tokio::test]
    async fn rows_stay_as_many_when_nothing_of_them_is_left() {
        let rows = rows(&[r#"{"a":1}"#, r#"{"a":2}"#]);
        let mut bench = Bench::new(&JsonFilter, entries([("exclude_keys", items(&["*"]))]), rows.schema());
        bench.step(0, &rows).await;
        assert_eq!(bench.row_counts, [2]);
    }
}
