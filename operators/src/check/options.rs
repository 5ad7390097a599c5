//! The options of `check`.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tidegate_pipeline::spec::diagnostic::{Located, Place};
use tidegate_pipeline::spec::{NOWHERE, Tree};

use super::drift::Emit;
use super::finding::Severity;

/// The options of `check`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckOptions {
    /// The pack: its name, or a path to its folder (`./my-pack`). Give this or `sql`.
    #[serde(default)]
    pub pack: Option<String>,
    /// The controls to evaluate: ids or patterns with `*` and `?`. All where it is absent.
    #[serde(default)]
    pub controls: Vec<String>,
    /// Controls to leave out: ids or patterns.
    #[serde(default)]
    pub except: Vec<String>,
    /// A benchmark of the pack: only its controls are evaluated.
    #[serde(default)]
    pub benchmark: Option<String>,
    /// Values of parameters. With `pack`: control (or `*` for all) → parameter → value. With `sql`:
    /// parameter → value.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// A single control, right here: a query that selects `resource`, `status` and `reason`. Events are
    /// the table `input`.
    #[serde(default)]
    pub sql: Option<String>,
    /// What the control in `sql` asks for, in one sentence.
    #[serde(default)]
    pub title: Option<String>,
    /// How bad an alarm of the control in `sql` is; `medium` where it is absent.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// Whether findings leave when they change (`changes`) or at every evaluation (`all`).
    #[serde(default)]
    pub emit: Emit,
}

/// A JSON value as a tree without places; numbers beyond 64 bits become floating-point ones.
pub fn tree_of(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Tree::Integer(number),
            None => Tree::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Tree::Text(text.as_str().into()),
        Value::Array(items) => Tree::List(items.iter().map(|item| Located::new(tree_of(item), NOWHERE)).collect()),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| {
                (Located::new(Arc::from(key.as_str()), NOWHERE), Located::new(tree_of(value), NOWHERE))
            };
            Tree::Map(entries.iter().map(entry).collect())
        }
    }
}

/// Where an option stands; the place of all options where it is not written.
pub(super) fn place_of(options: &Located<Tree>, name: &str) -> Place {
    let Tree::Map(entries) = &options.value else { return options.place };
    let entry = entries.iter().find(|(key, _)| &*key.value == name);
    entry.map_or(options.place, |(_, value)| value.place)
}
