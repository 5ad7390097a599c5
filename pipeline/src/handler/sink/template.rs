//! What options say of a resource, evaluated over rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::writer::{LineDelimited, WriterBuilder};
use serde_json::{Map, Value};

use super::options::{HandlerOptions, option};
use crate::envelope::{HOSTS, META};
use crate::error::{Error, Result};
use crate::expression::Expression;
use crate::operator::PlanContext;
use crate::spec::diagnostic::{Diagnostic, Located};
use crate::spec::{NOWHERE, Options, SqlText, Tree};
use crate::step::StepTime;

/// Columns of a row that say why somebody wants something: those of findings.
const WHY: [&str; 8] = ["pack", "control", "resource", "status", "severity", "reason", "account_id", "region"];

/// What a row says of a resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RowValues {
    pub(super) id: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) desired: Map<String, Value>,
    pub(super) requires: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) why: Map<String, Value>,
    /// Why some of it could not be evaluated.
    pub(super) wrong: Option<String>,
}

/// The expressions of a handler, planned.
#[derive(Debug, Clone)]
pub(super) struct RowTemplates {
    expressions: Vec<Expression>,
    id: usize,
    agent: Option<usize>,
    requires: Option<usize>,
    hosts: Option<usize>,
    desired: Vec<(String, Template)>,
    why: Vec<(&'static str, usize)>,
}

/// A value with expressions in it.
#[derive(Debug, Clone)]
enum Template {
    Constant(Value),
    Column(usize),
    List(Vec<Template>),
    Map(Vec<(String, Template)>),
}

/// Plans expressions one after the other, and gathers what is wrong with them.
struct Planning<'a, 'b> {
    options: &'a Options,
    context: &'a mut PlanContext<'b>,
    expressions: Vec<Expression>,
    wrong: Vec<Diagnostic>,
}

impl Planning<'_, '_> {
    fn sql(&mut self, sql: &SqlText) -> usize {
        match Expression::plan(sql, &self.context.schema, self.context.open, self.context.warnings) {
            Ok(expression) => self.expressions.push(expression),
            Err(wrong) => self.wrong.push(wrong),
        }
        self.expressions.len().saturating_sub(1)
    }

    fn text(&mut self, text: &Located<impl AsRef<str>>) -> usize {
        let sql = self.options.sql(text);
        self.sql(&sql)
    }

    fn template(&mut self, tree: &Located<Tree>) -> Template {
        match &tree.value {
            Tree::Null => Template::Constant(Value::Null),
            Tree::Bool(value) => Template::Constant((*value).into()),
            Tree::Integer(value) => Template::Constant((*value).into()),
            Tree::Float(value) => Template::Constant((*value).into()),
            Tree::Text(text) => Template::Column(self.text(&Located::new(Arc::clone(text), tree.place))),
            Tree::List(items) => Template::List(items.iter().map(|item| self.template(item)).collect()),
            Tree::Map(entries) => Template::Map(self.members(entries)),
        }
    }

    fn members(&mut self, entries: &[(Located<Arc<str>>, Located<Tree>)]) -> Vec<(String, Template)> {
        entries.iter().map(|(name, value)| (name.value.to_string(), self.template(value))).collect()
    }
}

impl RowTemplates {
    /// Plans what the options say.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub(super) fn plan(
        shared: &HandlerOptions,
        options: &Options,
        context: &mut PlanContext<'_>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let schema = Arc::clone(&context.schema);
        let mut planning = Planning { options, context, expressions: Vec::new(), wrong: Vec::new() };
        let id = planning.text(&shared.id);
        let agent = shared.agent.as_ref().map(|text| planning.text(text));
        let requires = shared.requires.as_ref().map(|text| planning.text(text));
        let hosts = match &shared.hosts {
            Some(text) => Some(planning.text(text)),
            None if has_hosts(&schema) => Some(planning.sql(&SqlText::new(format!("{META}.{HOSTS}"), NOWHERE))),
            None => None,
        };
        let desired = match option(options, "desired") {
            Some(Located { value: Tree::Map(entries), .. }) => planning.members(entries),
            _ => Vec::new(),
        };
        let columns = WHY.into_iter().filter(|name| schema.field_with_name(name).is_ok());
        let why = columns.map(|name| (name, planning.sql(&SqlText::new(format!("\"{name}\""), NOWHERE)))).collect();
        let Planning { expressions, wrong, .. } = planning;
        match wrong.is_empty() {
            true => Ok(Self { expressions, id, agent, requires, hosts, desired, why }),
            false => Err(wrong),
        }
    }

    /// What each row says.
    ///
    /// # Errors
    /// Only for failures of the engine itself.
    pub(super) fn evaluate(&mut self, rows: &RecordBatch, time: StepTime) -> Result<Vec<RowValues>> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.expressions.len());
        let mut bad: BTreeMap<usize, (usize, String)> = BTreeMap::new();
        for (index, expression) in self.expressions.iter_mut().enumerate() {
            let evaluated = expression.evaluate_rows(rows, time)?;
            for row in evaluated.bad {
                bad.entry(row.row).or_insert((index, row.reason));
            }
            columns.push(evaluated.values);
        }
        let values = json(columns, rows.num_rows())?;
        let of_row = |(row, values): (usize, Vec<Value>)| {
            let mut of_row = self.of_row(&values);
            of_row.wrong = bad.remove(&row).map(|(index, reason)| {
                format!("`{}` cannot be evaluated: {reason}", self.expressions[index].sql().as_str())
            });
            of_row
        };
        Ok(values.into_iter().enumerate().map(of_row).collect())
    }

    fn of_row(&self, values: &[Value]) -> RowValues {
        let value = |column: Option<usize>| column.and_then(|column| values.get(column)).unwrap_or(&Value::Null);
        let desired = self.desired.iter().map(|(name, template)| (name.clone(), template.fill(values))).collect();
        let why = self.why.iter().map(|(name, column)| ((*name).to_owned(), value(Some(*column)).clone()));
        RowValues {
            id: text(value(Some(self.id))),
            agent: text(value(self.agent)),
            desired,
            requires: texts(value(self.requires)),
            hosts: texts(value(self.hosts)),
            why: why.filter(|(_, value)| !value.is_null()).collect(),
            wrong: None,
        }
    }
}

impl Template {
    fn fill(&self, values: &[Value]) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Column(column) => values.get(*column).cloned().unwrap_or_default(),
            Self::List(items) => items.iter().map(|item| item.fill(values)).collect(),
            Self::Map(members) => {
                Value::Object(members.iter().map(|(name, value)| (name.clone(), value.fill(values))).collect())
            }
        }
    }
}

/// Whether rows have `meta.hosts`.
fn has_hosts(schema: &Schema) -> bool {
    let Ok(meta) = schema.field_with_name(META) else { return false };
    matches!(meta.data_type(), DataType::Struct(members) if members.find(HOSTS).is_some())
}

/// A value as text; `None` for nothing.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        value => Some(value.to_string()),
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        value => text(value).into_iter().collect(),
    }
}

/// The values of columns, row by row, as JSON.
fn json(columns: Vec<ArrayRef>, rows: usize) -> Result<Vec<Vec<Value>>> {
    let named = |(index, column): (usize, &ArrayRef)| Field::new(index.to_string(), column.data_type().clone(), true);
    let fields: Vec<Field> = columns.iter().enumerate().map(named).collect();
    let count = fields.len();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    let lines = writer.into_inner();
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let of_line = |line: &[u8]| {
        let mut members: Map<String, Value> = serde_json::from_slice(line).map_err(Error::internal)?;
        Ok((0..count).map(|index| members.remove(&index.to_string()).unwrap_or_default()).collect())
    };
    lines.map(of_line).collect()
}
