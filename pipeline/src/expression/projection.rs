//! A list of expressions that makes the columns of another schema.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Ident, Subscript, Value};

use crate::error::{Error, Result};
use crate::spec::SqlText;
use crate::spec::diagnostic::Diagnostic;
use crate::step::StepTime;

use super::compile::{Compiled, Planner};
use super::evaluate::{BadRow, Evaluated, PlanCache};
use super::parse::{Item, place_of, projection};
use super::resolve::{self, Names, find, unknown_column};

/// A projection: `*`, `* EXCLUDE (a, b)`, `payload.kind`, `expr AS name`, separated by commas.
///
/// A column or field keeps its name (a field its last part); everything else needs `AS`. `*` means the
/// columns that the rows really have, so columns that appear later pass as well.
#[derive(Debug, Clone)]
pub struct Projection {
    sql: SqlText,
    planner: Arc<Planner>,
    planned: SchemaRef,
    output: SchemaRef,
    open: bool,
    plans: PlanCache<Plan>,
}

/// The projection of one schema.
#[derive(Debug, Clone)]
struct Plan {
    output: SchemaRef,
    columns: Vec<Source>,
}

/// Where a column of the output comes from.
#[derive(Debug, Clone)]
enum Source {
    Column(usize),
    Computed(Box<Compiled>),
}

impl Projection {
    /// Plans `sql` against `schema`. `open` as in [`super::Expression::plan`].
    ///
    /// # Errors
    /// The first thing that is wrong with the text, at its place; a name given twice; a missing name.
    pub fn plan(
        sql: &SqlText,
        schema: &SchemaRef,
        open: bool,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Self, Diagnostic> {
        let planner = Arc::new(Planner::new());
        let names = if open { Names::Open } else { Names::Closed };
        let plan = Plan::new(sql, schema, names, &planner, warnings)?;
        let star = projection(sql)?.iter().any(|item| matches!(item, Item::Star(_)));
        let output = Arc::clone(&plan.output);
        let may_widen = |field: &Arc<Field>| matches!(field.data_type(), DataType::Struct(_) | DataType::Null);
        let open = open && (star || output.fields().iter().any(may_widen));
        let mut plans = PlanCache::default();
        plans.insert(Arc::clone(schema), Ok(plan));
        Ok(Self { sql: sql.clone(), planner, planned: Arc::clone(schema), output, open, plans })
    }

    /// The columns that it makes of rows of the planned schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.output
    }

    /// Whether rows may bring columns or fields that [`Projection::schema`] does not name.
    pub fn open(&self) -> bool {
        self.open
    }

    /// Projects the rows that can be evaluated, in order, and sets the others aside (see
    /// [`super::Expression::evaluate_rows`]).
    ///
    /// # Errors
    /// Only for failures of the engine itself.
    pub fn project(&mut self, batch: &RecordBatch, time: StepTime) -> Result<Evaluated<RecordBatch>> {
        let (sql, planner, planned) = (&self.sql, &self.planner, &self.planned);
        let plan = self.plans.get_or_insert(batch.schema_ref(), |schema| {
            Plan::new(sql, schema, Names::Widened(planned), planner, &mut Vec::new())
                .map_err(|diagnostic| diagnostic.message)
        });
        match plan {
            Ok(plan) => plan.project(batch, time),
            Err(reason) => {
                let bad = (0..batch.num_rows()).map(|row| BadRow { row, reason: reason.clone() }).collect();
                Ok(Evaluated { values: RecordBatch::new_empty(Arc::clone(&self.output)), bad })
            }
        }
    }
}

impl Plan {
    fn new(
        sql: &SqlText,
        schema: &SchemaRef,
        names: Names<'_>,
        planner: &Planner,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Self, Diagnostic> {
        let items = projection(sql)?;
        let mut fields: Vec<Field> = Vec::new();
        let mut taken: HashSet<String> = HashSet::new();
        let mut columns = Vec::new();
        for (position, item) in items.iter().enumerate() {
            match item {
                Item::Star(excluded) => {
                    for index in starred(sql, schema, excluded, names)? {
                        let field = schema.field(index);
                        if yields(field.name(), &items[position + 1..], names)
                            || (matches!(names, Names::Widened(_)) && taken.contains(field.name()))
                        {
                            continue;
                        }
                        push(sql, &mut fields, &mut taken, field.clone(), None)?;
                        columns.push(Source::Column(index));
                    }
                }
                Item::Expression(expression, alias) => {
                    let mut syntax = expression.as_ref().clone();
                    warnings.extend(resolve::expression(sql, &mut syntax, schema, names, planner)?);
                    let name = named(sql, expression, &syntax, alias.as_ref())?;
                    let (field, source) = column(sql, syntax, schema, planner, &name)?;
                    push(sql, &mut fields, &mut taken, field, Some(&name))?;
                    columns.push(source);
                }
            }
        }
        Ok(Self { output: Arc::new(Schema::new(fields)), columns })
    }

    fn project(&mut self, batch: &RecordBatch, time: StepTime) -> Result<Evaluated<RecordBatch>> {
        let mut bad: Vec<BadRow> = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for source in &mut self.columns {
            columns.push(match source {
                Source::Column(index) => Arc::clone(batch.column(*index)),
                Source::Computed(compiled) => {
                    let evaluated = compiled.evaluate_rows(batch, time)?;
                    bad.extend(evaluated.bad);
                    evaluated.values
                }
            });
        }
        // The first expression that fails gives the reason of its row.
        bad.sort_by_key(|bad| bad.row);
        bad.dedup_by_key(|bad| bad.row);
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let values =
            RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options).map_err(Error::internal)?;
        if bad.is_empty() {
            return Ok(Evaluated { values, bad });
        }
        let mut good = vec![true; batch.num_rows()];
        for bad in &bad {
            good[bad.row] = false;
        }
        Ok(Evaluated { values: filter_record_batch(&values, &BooleanArray::from(good))?, bad })
    }
}

/// The columns that `*` means: all, without the excluded ones.
fn starred(sql: &SqlText, schema: &SchemaRef, excluded: &[Ident], names: Names<'_>) -> Result<Vec<usize>, Diagnostic> {
    let mut without = Vec::new();
    for ident in excluded {
        match (find(schema.fields(), &ident.value), names) {
            (Some(index), _) => without.push(index),
            (None, Names::Closed) => return Err(unknown_column(sql, ident, schema.fields())),
            (None, _) => {}
        }
    }
    Ok((0..schema.fields().len()).filter(|index| !without.contains(index)).collect())
}

/// Whether a column that `*` brings gives way to a later item of the same name. Only columns that were not
/// there at planning do: for the others the clash has been reported.
fn yields(name: &str, later: &[Item], names: Names<'_>) -> bool {
    let Names::Widened(planned) = names else { return false };
    planned.field_with_name(name).is_err()
        && later.iter().any(|item| match item {
            Item::Expression(_, Some(alias)) => alias.value == name,
            Item::Expression(expression, None) => derived(expression).is_some_and(|derived| derived.value == name),
            Item::Star(_) => false,
        })
}

/// The name of an item: its alias, else the last part of the column or field that it is, as the schema
/// writes it.
fn named(sql: &SqlText, written: &Expr, resolved: &Expr, alias: Option<&Ident>) -> Result<Ident, Diagnostic> {
    if let Some(alias) = alias {
        return Ok(alias.clone());
    }
    let Some(name) = derived(written) else {
        let text = written.to_string();
        let place = place_of(sql, datafusion::sql::sqlparser::ast::Spanned::span(written));
        return Err(Diagnostic::error(place, format!("`{text}` has no name"))
            .with_help(format!("give it one: `{text} AS name`")));
    };
    let value = derived(resolved).map_or(name.value, |resolved| resolved.value);
    Ok(Ident { value, ..name })
}

/// The last part of the column or field that an expression is (also behind a cast).
fn derived(expression: &Expr) -> Option<Ident> {
    match expression {
        Expr::Identifier(ident) => Some(ident.clone()),
        Expr::CompoundIdentifier(idents) => idents.last().cloned(),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => derived(expr),
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident.clone()),
            AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) }) => match &value.value {
                Value::SingleQuotedString(text) => {
                    Some(Ident { value: text.clone(), quote_style: None, span: value.span })
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// A column of the output: taken as it is, or computed.
fn column(
    sql: &SqlText,
    syntax: Expr,
    schema: &SchemaRef,
    planner: &Planner,
    name: &Ident,
) -> Result<(Field, Source), Diagnostic> {
    if let Expr::Identifier(ident) = &syntax
        && let Some((index, field)) = schema.column_with_name(&ident.value)
    {
        return Ok((field.clone().with_name(&name.value), Source::Column(index)));
    }
    let compiled = planner.compile(sql, syntax, schema)?;
    let field = Field::new(&name.value, compiled.data_type.clone(), true);
    Ok((field, Source::Computed(Box::new(compiled))))
}

fn push(
    sql: &SqlText,
    fields: &mut Vec<Field>,
    taken: &mut HashSet<String>,
    field: Field,
    ident: Option<&Ident>,
) -> Result<(), Diagnostic> {
    if !taken.insert(field.name().clone()) {
        let place = ident.map_or(sql.place(), |ident| place_of(sql, ident.span));
        let name = field.name();
        return Err(Diagnostic::error(place, format!("two columns are named `{name}`"))
            .with_help(format!("name one of them otherwise with `AS`, or leave one out: `* EXCLUDE ({name})`")));
    }
    fields.push(field);
    Ok(())
}
