//! What tests of sources share.

use std::path::PathBuf;

use serde_json::Value;
use tidegate_pipeline::source::{Arrival, PlannedSource, Source, SourceContext, SourceKind, SourcePlanContext};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{NOWHERE, Options, Tree};

/// Options from JSON.
pub(crate) fn options(json: &str) -> Options {
    Options::new(Located::new(tree(&serde_json::from_str(json).unwrap()), NOWHERE))
}

fn tree(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Bool(*value),
        Value::Number(number) => number.as_i64().map_or_else(|| Tree::Float(number.as_f64().unwrap()), Tree::Integer),
        Value::String(text) => Tree::Text(text.as_str().into()),
        Value::Array(items) => Tree::List(items.iter().map(|item| Located::new(tree(item), NOWHERE)).collect()),
        Value::Object(map) => Tree::Map(
            map.iter()
                .map(|(key, value)| (Located::new(key.as_str().into(), NOWHERE), Located::new(tree(value), NOWHERE)))
                .collect(),
        ),
    }
}

/// Plans a source.
pub(crate) fn plan(kind: &dyn SourceKind, options: &Options) -> Result<PlannedSource, Vec<Diagnostic>> {
    kind.plan(options, &SourcePlanContext { node: "in", working_directory: PathBuf::from("/"), recorded: None })
}

/// The context of a first start.
pub(crate) fn context() -> SourceContext {
    SourceContext {
        node: "in".into(),
        position: None,
        schemas: Vec::new(),
        once: false,
        tables: tidegate_pipeline::table::SharedTables::default(),
        cancel: tokio_util::sync::CancellationToken::new(),
    }
}

/// Everything that a bounded source gives.
pub(crate) async fn drain(source: &mut dyn Source) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    while let Some(arrival) = source.next().await.unwrap() {
        arrivals.push(arrival);
    }
    arrivals
}

/// The rows as JSON lines.
pub(crate) fn text(arrivals: &[Arrival]) -> String {
    let mut out = Vec::new();
    for (_, rows) in arrivals.iter().flat_map(|arrival| &arrival.rows) {
        crate::sinks::file::encode_json_lines(rows, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}
