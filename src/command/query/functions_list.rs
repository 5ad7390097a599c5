//! The functions that a session has.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use datafusion::logical_expr::Documentation;
use datafusion::prelude::SessionContext;
use tidegate_pipeline::sql::FAMILIES;

use crate::exit::Failure;

/// What is said of a function.
#[derive(Default)]
struct Said {
    call: String,
    what: String,
}

impl Said {
    fn of(page: Option<&Documentation>) -> Self {
        let of = |page: &Documentation| Self { call: page.syntax_example.clone(), what: sentence(&page.description) };
        page.map(of).unwrap_or_default()
    }
}

/// The functions with `part` in their names: `function`, `call`, `what`.
pub(super) fn functions(session: &SessionContext, part: &str) -> Result<RecordBatch, Failure> {
    let state = session.state();
    let mut found: BTreeMap<String, Said> = BTreeMap::new();
    for (name, function) in state.window_functions() {
        found.insert(name.clone(), Said::of(function.documentation()));
    }
    for (name, function) in state.aggregate_functions() {
        found.insert(name.clone(), Said::of(function.documentation()));
    }
    for (name, function) in state.scalar_functions() {
        found.insert(name.clone(), Said::of(function.documentation()));
    }
    for definition in FAMILIES.iter().flat_map(|family| family.functions) {
        for name in definition.aliases.iter().chain(std::iter::once(&definition.name)) {
            found.insert((*name).to_owned(), Said { call: definition.call(), what: definition.summary.to_owned() });
        }
    }
    let part = part.trim_matches('*').to_lowercase();
    found.retain(|name, _| name.contains(&part));
    let column = |cells: Vec<&str>| -> Arc<dyn Array> { Arc::new(StringArray::from(cells)) };
    let columns = [
        ("function", column(found.keys().map(String::as_str).collect())),
        ("call", column(found.values().map(|said| said.call.as_str()).collect())),
        ("what", column(found.values().map(|said| said.what.as_str()).collect())),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| Failure::failed(error.to_string()))
}

/// The first sentence of a description.
fn sentence(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.split_once(". ").map_or(line, |(first, _)| first).to_owned()
}
