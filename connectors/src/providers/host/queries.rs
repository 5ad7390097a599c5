//! Holds the pack `queries/host` to the tables: every query is planned against their definitions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::{ParamValues, ScalarValue};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use serde::Deserialize;
use tidegate_pipeline::spec::{Variables, parse};

use super::definitions;

#[derive(Debug, Deserialize)]
struct ControlFile {
    controls: Vec<Control>,
}

#[derive(Debug, Deserialize)]
struct Control {
    id: String,
    query: String,
    reads: BTreeSet<String>,
    #[serde(default)]
    params: BTreeMap<String, Parameter>,
}

#[derive(Debug, Deserialize)]
struct Parameter {
    #[serde(rename = "type")]
    kind: String,
}

impl Parameter {
    fn sql_type(&self) -> &'static str {
        match self.kind.as_str() {
            "int" => "bigint",
            "bool" => "boolean",
            "text" => "text",
            "list of int" => "bigint[]",
            "list of text" => "text[]",
            other => panic!("no such type: {other}"),
        }
    }
}

fn pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../queries/host")
}

/// The controls of every service, each with the folder that its query lies in.
fn controls() -> Vec<(PathBuf, Control)> {
    let mut controls = Vec::new();
    for folder in std::fs::read_dir(pack()).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(text) = std::fs::read_to_string(folder.join("controls.yaml")) else { continue };
        let tree = parse(&text, &Variables::literal()).unwrap_or_else(|found| panic!("{folder:?}: {found:?}"));
        let file: ControlFile = serde_json::from_value((&tree.value).into()).unwrap();
        controls.extend(file.controls.into_iter().map(|control| (folder.clone(), control)));
    }
    controls
}

/// Every table of the provider, without rows.
fn tables() -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    let context = SessionContext::new_with_config(config);
    for definition in definitions() {
        let table = MemTable::try_new(definition.schema.clone(), vec![Vec::new()]).unwrap();
        context.register_table(&*definition.name, Arc::new(table)).unwrap();
    }
    context
}

/// The query with the type of each parameter said, as the pack's loader says it.
fn typed(sql: &str, control: &Control) -> String {
    control.params.iter().fold(sql.to_owned(), |sql, (name, parameter)| {
        sql.replace(&format!("${name}"), &format!("cast(${name} as {})", parameter.sql_type()))
    })
}

async fn plan(context: &SessionContext, sql: &str, control: &Control) -> datafusion::error::Result<LogicalPlan> {
    let nulls: HashMap<String, ScalarValue> =
        control.params.keys().map(|name| (name.clone(), ScalarValue::Null)).collect();
    let rows = context.sql(&typed(sql, control)).await?;
    let rows = if nulls.is_empty() { rows } else { rows.with_param_values(ParamValues::from(nulls))? };
    rows.into_optimized_plan()
}

fn tables_of(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![plan];
    while let Some(plan) = waiting.pop() {
        if let LogicalPlan::TableScan(scan) = plan {
            found.insert(scan.table_name.to_string());
        }
        waiting.extend(plan.inputs());
    }
    found
}

#[tokio::test]
async fn every_query_of_the_pack_fits_the_tables() {
    let context = tables();
    let controls = controls();
    assert!(controls.len() >= 20);
    let mut wrong = Vec::new();
    for (folder, control) in &controls {
        let sql = std::fs::read_to_string(folder.join(&control.query)).unwrap();
        match plan(&context, &sql, control).await {
            Err(error) => wrong.push(format!("{}: {}", control.id, error.strip_backtrace())),
            Ok(plan) => {
                let columns: Vec<&str> = plan.schema().fields().iter().map(|field| field.name().as_str()).collect();
                let begins = ["resource", "status", "reason", "account_id", "region"];
                if !columns.starts_with(&begins) || !tables_of(&plan).is_subset(&control.reads) {
                    wrong.push(format!("{}: selects {columns:?} from {:?}", control.id, tables_of(&plan)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_control_has_its_query_and_tests_and_no_query_is_left_over() {
    let mut ids = BTreeSet::new();
    let mut queries = BTreeSet::new();
    for (folder, control) in controls() {
        assert!(pack().join("tests").join(format!("{}.yaml", control.id)).is_file(), "{}", control.id);
        queries.insert(folder.join(&control.query));
        assert!(ids.insert(control.id.clone()), "{} is there twice", control.id);
    }
    let folders = std::fs::read_dir(pack()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    for file in folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "sql") {
            assert!(queries.contains(&file), "{file:?} belongs to no control");
        }
    }
}
