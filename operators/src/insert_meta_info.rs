//! `insert_meta_info`: accepted; the engine makes `meta` before any operator sees an event.

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::operator::{OperatorKind, PlanContext, PlannedOperator};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use crate::noop::passing;

/// Options of `insert_meta_info`, as ansible-rulebook passes them. They change nothing.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MetaInfoOptions {
    /// The name of the source: `meta.source.name` has it already.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted, so that a rulebook's text moves over unchanged")]
    source_name: Option<String>,
    /// The kind of the source: `meta.source.type` has it already.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted, so that a rulebook's text moves over unchanged")]
    source_type: Option<String>,
}

/// The kind `insert_meta_info`: accepted and without effect, because the engine makes `meta` before any operator.
pub struct InsertMetaInfo;

impl OperatorKind for InsertMetaInfo {
    fn name(&self) -> &'static str {
        "insert_meta_info"
    }

    fn summary(&self) -> &'static str {
        "passes everything on: the engine has made `meta` already"
    }

    fn schema(&self) -> Schema {
        schema_for!(MetaInfoOptions)
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let _: MetaInfoOptions = options.read()?;
        Ok(passing(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, lines, map, rows};

    #[tokio::test]
    async fn what_a_rulebook_passes_is_accepted_and_changes_nothing() {
        let rows = rows(&[r#"{"meta":{"uuid":"u"}}"#]);
        let options = map(&[("source_name", "x"), ("source_type", "y")]);
        let mut bench = Bench::new(&InsertMetaInfo, options, rows.schema());
        bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"meta":{"uuid":"u"}}"#]));
    }
}
