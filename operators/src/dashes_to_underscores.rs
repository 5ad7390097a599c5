//! `dashes_to_underscores: {overwrite: true}`: keys with dashes get underscores instead.

use std::borrow::Cow;

use arrow::datatypes::Field;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::operator::{OperatorKind, PlanContext, PlannedOperator};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use crate::reshape::{Rules, planned};

/// Options of `dashes_to_underscores`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DashesOptions {
    /// Where an event has both keys, whether the renamed one wins; else it is dropped.
    #[serde(default = "yes")]
    overwrite: bool,
}

fn yes() -> bool {
    true
}

/// The kind `dashes_to_underscores`: every `-` in a key becomes `_`, at every depth, also inside of lists.
pub struct DashesToUnderscores;

impl OperatorKind for DashesToUnderscores {
    fn name(&self) -> &'static str {
        "dashes_to_underscores"
    }

    fn summary(&self) -> &'static str {
        "writes keys with underscores where they have dashes, at every depth"
    }

    fn schema(&self) -> Schema {
        schema_for!(DashesOptions)
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let DashesOptions { overwrite } = options.read()?;
        Ok(planned(Underscores { overwrite }, context))
    }
}

struct Underscores {
    overwrite: bool,
}

impl Rules for Underscores {
    fn name<'f>(&self, _: &[&'f Field], field: &'f Field) -> Option<Cow<'f, str>> {
        Some(match field.name().contains('-') {
            true => field.name().replace('-', "_").into(),
            false => field.name().as_str().into(),
        })
    }

    fn enters_lists(&self) -> bool {
        true
    }

    fn overwrites(&self) -> bool {
        self.overwrite
    }
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::spec::Tree;

    use super::*;
    use crate::testing::{Bench, entries, lines, rows};

    async fn renamed(overwrite: Option<bool>, objects: &[&str]) -> Vec<String> {
        let rows = rows(objects);
        let options = entries(overwrite.map(|overwrite| ("overwrite", Tree::Bool(overwrite))));
        let mut bench = Bench::new(&DashesToUnderscores, options, rows.schema());
        let out = bench.step(0, &rows).await;
        assert_eq!(out.rows[0].1.schema_ref(), &bench.planned.ports[0].schema, "planning knew it");
        bench.emitted(0)
    }

    #[tokio::test]
    async fn keys_are_renamed_at_every_depth_and_inside_of_lists() {
        let given = r#"{"a-b":{"c-d":[{"e-f":1},{"e-f":2}],"g":3},"h":4}"#;
        assert_eq!(renamed(None, &[given]).await, lines(&[r#"{"a_b":{"c_d":[{"e_f":1},{"e_f":2}],"g":3},"h":4}"#]));
    }

    #[tokio::test]
    async fn where_an_event_has_both_keys_overwrite_decides() {
        let given = [r#"{"a_b":1,"a-b":2}"#, r#"{"a_b":3}"#, r#"{"a-b":4}"#];
        assert_eq!(renamed(Some(true), &given).await, lines(&[r#"{"a_b":2}"#, r#"{"a_b":3}"#, r#"{"a_b":4}"#]));
        assert_eq!(renamed(Some(false), &given).await, lines(&[r#"{"a_b":1}"#, r#"{"a_b":3}"#, r#"{"a_b":4}"#]));
    }

    #[tokio::test]
    async fn values_of_two_types_meet_in_their_common_one() {
        let given = [r#"{"a_b":1,"a-b":"x"}"#, r#"{"a_b":3}"#];
        assert_eq!(renamed(None, &given).await, lines(&[r#"{"a_b":"x"}"#, r#"{"a_b":"3"}"#]));
    }

    #[tokio::test]
    async fn values_are_not_copied_and_rows_without_dashes_stay_as_they_are() {
        let rows = rows(&[r#"{"a-b":1,"c":"x"}"#]);
        let mut bench = Bench::new(&DashesToUnderscores, entries([]), rows.schema());
        let out = bench.step(0, &rows).await;
        assert!(std::sync::Arc::ptr_eq(out.rows[0].1.column(1), rows.column(1)));
        // A batch of another schema than the planned one: an open port brings such.
        let wider = crate::testing::rows(&[r#"{"a-b":1,"c":"x","d-e":{"f-g":true}}"#]);
        bench.step(1, &wider).await;
        assert_eq!(bench.emitted(0)[1], r#"{"a_b":1,"c":"x","d_e":{"f_g":true}}"#);
    }
}
