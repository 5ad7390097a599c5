//! The rows of a case as sources.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use serde_json::{Map, Value};
use tidegate_pipeline::graph::{Graph, Node, Planned};
use tidegate_pipeline::provider::{Schedule, planned_provider_source};
use tidegate_pipeline::source::{Delivery, Guarantee, GuaranteeClass, PlannedSource, SourceKind, SourcePlanContext};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::pipeline::Section;
use tidegate_pipeline::spec::{Named, Options};
use tidegate_pipeline::step::Scope;
use tidegate_pipeline::table::TableDefinition;
use tidegate_pipeline::testing::provider::{ScriptedProvider, ScriptedScope};
use tidegate_pipeline::testing::scripted::ScriptedKind;

use super::Complaint;
use super::document::{Case, Row};
use super::rewritten::has_tables;

/// The kind of a source that gives the tables of a case.
pub(super) const GIVEN_TABLES: &str = "given_tables";
/// Providers that do what a case says, by the name of their source.
pub(super) type Providers = Vec<(Arc<str>, Arc<ScriptedProvider>)>;
/// The account and the region of rows that do not say theirs.
const ACCOUNT: &str = "test";
const REGION: &str = "local";

/// The sources without tables: each gives the rows of the case in one batch, or nothing.
///
/// # Errors
/// Everything that is wrong with `given:`.
pub(super) fn given_rows(graph: &Graph, case: &Case) -> Result<ScriptedKind, Vec<Complaint>> {
    let mut found = Vec::new();
    for (name, _) in case.given.iter() {
        found.extend(not_a_source(graph, name));
        if has_tables(graph, name) {
            let help = format!("give its rows by table: `tables: {{{}: {{TABLE: [..]}}}}`", name.value);
            found.push(Complaint::error(name.place, format!("`{}` collects tables", name.value)).with_help(help));
        }
    }
    let mut scripts = Vec::new();
    for node in graph.nodes.iter().filter(|node| node.section == Section::Source && !has_tables(graph, &node.name)) {
        let Some(port) = node.ports.first() else { continue };
        let schema = nullable(&port.schema);
        let rows = case.given.iter().filter(|(name, _)| *name.value == *node.name).flat_map(|(_, rows)| rows);
        let rows: Vec<&Row> = rows.collect();
        match batch(&format!("source `{}`", node.name), &schema, &rows, Map::clone) {
            Ok(batch) => scripts.push((node.name.to_string(), schema, Arc::new(batch.into_iter().collect()))),
            Err(complaints) => found.extend(complaints),
        }
    }
    if found.is_empty() { Ok(ScriptedKind { delivery: Delivery::Seek, bounded: true, scripts }) } else { Err(found) }
}

/// The sources with tables: each completes every table once, with the rows of the case.
///
/// # Errors
/// Everything that is wrong with `tables:`.
pub(super) fn given_tables(graph: &Graph, case: &Case) -> Result<Providers, Vec<Complaint>> {
    let mut found = Vec::new();
    for (name, _) in case.tables.iter() {
        found.extend(not_a_source(graph, name));
        if graph.node(name).is_some() && !has_tables(graph, name) {
            let help = format!("give its rows as `given: {{{}: [..]}}`", name.value);
            found.push(Complaint::error(name.place, format!("`{}` has no tables", name.value)).with_help(help));
        }
    }
    let mut providers = Vec::new();
    for node in &graph.nodes {
        let Planned::Source(source) = &node.planned else { continue };
        if source.tables.is_empty() {
            continue;
        }
        let none = Named::default();
        let given = case.tables.iter().find(|(name, _)| *name.value == *node.name).map_or(&none, |(_, tables)| tables);
        match provider(node, &source.tables, given) {
            Ok(provider) => providers.push((Arc::clone(&node.name), Arc::new(provider))),
            Err(complaints) => found.extend(complaints),
        }
    }
    if found.is_empty() { Ok(providers) } else { Err(found) }
}

fn provider(
    node: &Node,
    tables: &[TableDefinition],
    given: &Named<Vec<Row>>,
) -> Result<ScriptedProvider, Vec<Complaint>> {
    let mut found = Vec::new();
    for (name, _) in given.iter().filter(|(name, _)| !tables.iter().any(|table| *table.name == *name.value)) {
        let message = format!("`{}` has no table `{}`", node.name, name.value);
        let names = tables.iter().map(|table| table.name.to_string());
        found.push(Complaint::error(name.place, message).with_expected(name, names));
    }
    let (mut definitions, mut scopes) = (Vec::new(), Vec::new());
    for table in tables {
        let definition = TableDefinition { schema: nullable(&table.schema), ..table.clone() };
        let rows = given.iter().filter(|(name, _)| *name.value == *table.name).flat_map(|(_, rows)| rows);
        let rows: Vec<&Row> = rows.collect();
        match batch(&format!("table `{}`", table.name), &definition.schema, &rows, |row| identified(row, table)) {
            Ok(page) => {
                let scope = Scope { account_id: ACCOUNT.into(), region: REGION.into(), table: Arc::clone(&table.name) };
                scopes.push(ScriptedScope::complete(scope, page.into_iter().collect()));
            }
            Err(complaints) => found.extend(complaints),
        }
        definitions.push(definition);
    }
    if found.is_empty() { Ok(ScriptedProvider::new(definitions).refresh(scopes)) } else { Err(found) }
}

/// A row of a table with what every row has: account, region and, made from the key, `arn`.
fn identified(row: &Map<String, Value>, table: &TableDefinition) -> Map<String, Value> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let key: Vec<String> = table.key.iter().filter_map(|column| row.get(*column)).map(text).collect();
    let arn = format!("{ACCOUNT}:{}/{}", table.name, key.join("/"));
    let mut row = row.clone();
    for (column, value) in [("account_id", ACCOUNT), ("region", REGION), ("arn", &arn)] {
        row.entry(column).or_insert_with(|| value.into());
    }
    row
}

fn not_a_source(graph: &Graph, name: &Located<String>) -> Option<Complaint> {
    let sources = graph.nodes.iter().filter(|node| node.section == Section::Source);
    if sources.clone().any(|node| *node.name == *name.value) {
        return None;
    }
    let message = format!("the pipeline has no source `{}`", name.value);
    Some(Complaint::error(name.place, message).with_expected(name, sources.map(|node| node.name.to_string())))
}

/// The schema with every column nullable: a case names only the columns that matter to it.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// Rows as a batch of these columns; columns that a row does not name are NULL.
fn batch(
    whose: &str,
    schema: &SchemaRef,
    rows: &[&Row],
    complete: impl Fn(&Map<String, Value>) -> Map<String, Value>,
) -> Result<Option<RecordBatch>, Vec<Complaint>> {
    let mut found = Vec::new();
    for row in rows {
        for column in row.value.keys().filter(|column| schema.field_with_name(column).is_err()) {
            let names = schema.fields().iter().map(|field| field.name().clone());
            let complaint = Complaint::error(row.place, format!("{whose} has no column `{column}`"));
            found.push(complaint.with_expected(column, names));
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    let mut batches = Vec::new();
    for row in rows {
        let unreadable = |error| vec![Complaint::error(row.place, format!("a row of {whose} cannot be read: {error}"))];
        let builder = ReaderBuilder::new(Arc::clone(schema)).with_coerce_primitive(true);
        let mut decoder = builder.build_decoder().map_err(unreadable)?;
        decoder.serialize(&[complete(&row.value)]).map_err(unreadable)?;
        batches.extend(decoder.flush().map_err(unreadable)?);
    }
    if batches.is_empty() {
        return Ok(None);
    }
    let joined = arrow::compute::concat_batches(schema, &batches);
    joined.map(Some).map_err(|error| rows.iter().take(1).map(|row| Complaint::error(row.place, &error)).collect())
}

/// The kind of sources that give tables of a case, by the name of the node.
pub(super) struct GivenTables(pub(super) Providers);

impl SourceKind for GivenTables {
    fn name(&self) -> &'static str {
        GIVEN_TABLES
    }

    fn summary(&self) -> &'static str {
        "Gives the tables of a test."
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee { class: GuaranteeClass::Replayable, on_crash: "It is given again." }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        match self.0.iter().find(|(name, _)| **name == *context.node) {
            Some((_, provider)) => Ok(planned_provider_source(Arc::clone(provider), Schedule::Once)),
            None => Err(vec![Diagnostic::error(options.tree.place, format!("`{}` has no tables", context.node))]),
        }
    }
}
