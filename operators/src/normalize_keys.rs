//! `normalize_keys: {overwrite: true}`: keys that are names anywhere.

use std::borrow::Cow;

use arrow::datatypes::Field;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::operator::{OperatorKind, PlanContext, PlannedOperator};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use crate::reshape::{Rules, planned};

/// Options of `normalize_keys`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NormalizeOptions {
    /// Where an event has both keys, whether the renamed one wins; else it is dropped.
    #[serde(default = "yes")]
    overwrite: bool,
}

fn yes() -> bool {
    true
}

/// The kind `normalize_keys`: each stretch of characters in a key that are no ASCII letters, digits or `_` becomes one
/// `_`, at every depth, also inside of lists.
pub struct NormalizeKeys;

impl OperatorKind for NormalizeKeys {
    fn name(&self) -> &'static str {
        "normalize_keys"
    }

    fn summary(&self) -> &'static str {
        "writes keys with letters, digits and underscores only, at every depth"
    }

    fn schema(&self) -> Schema {
        schema_for!(NormalizeOptions)
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let NormalizeOptions { overwrite } = options.read()?;
        Ok(planned(Normalized { overwrite }, context))
    }
}

struct Normalized {
    overwrite: bool,
}

impl Rules for Normalized {
    fn name<'f>(&self, _: &[&'f Field], field: &'f Field) -> Option<Cow<'f, str>> {
        Some(normalized(field.name()))
    }

    fn enters_lists(&self) -> bool {
        true
    }

    fn overwrites(&self) -> bool {
        self.overwrite
    }
}

fn normalized(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(plain) {
        return name.into();
    }
    let mut normalized = String::with_capacity(name.len());
    let mut replacing = false;
    for c in name.chars() {
        match (plain(c), replacing) {
            (true, _) => normalized.push(c),
            (false, false) => normalized.push('_'),
            (false, true) => {}
        }
        replacing = !plain(c);
    }
    normalized.into()
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::spec::Tree;

    use super::*;
    use crate::testing::{Bench, entries, lines, rows};

    #[tokio::test]
    async fn a_stretch_of_other_characters_becomes_one_underscore() {
        let rows = rows(&[r#"{"a/ b":{"ü.c":[{"x--y":1}]},"_ok":2}"#]);
        let mut bench = Bench::new(&NormalizeKeys, entries([]), rows.schema());
        bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"a_b":{"_c":[{"x_y":1}]},"_ok":2}"#]));
    }

    #[tokio::test]
    async fn without_overwrite_the_key_that_was_there_stays() {
        let rows = rows(&[r#"{"a.b":1,"a_b":2,"a/b":3}"#]);
        for (overwrite, left) in [(false, r#"{"a_b":2}"#), (true, r#"{"a_b":3}"#)] {
            let mut bench = Bench::new(&NormalizeKeys, entries([("overwrite", Tree::Bool(overwrite))]), rows.schema());
            bench.step(0, &rows).await;
            assert_eq!(bench.emitted(0), lines(&[left]));
        }
    }
}
