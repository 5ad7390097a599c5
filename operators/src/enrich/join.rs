//! Rows meet the table.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options, concat_batches, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::expression::{BadRow, Expression};
use tidegate_pipeline::operator::{InputIndex, Operator, Output};
use tidegate_pipeline::rows::{PortIndex, Rejected};
use tidegate_pipeline::step::StepHeader;
use tidegate_pipeline::table::{TableSet, TableVersion};

use crate::gather::take_rows;
use crate::keys::{comparable, keys};
use crate::rejection;

use super::file::{Format, parse};
use super::index::Index;
use super::{Matches, Missing};

/// Where the table comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    File { path: Arc<str>, format: Format },
    Node { table: Arc<str> },
}

/// What is joined how.
#[derive(Debug, Clone)]
pub(super) struct Join {
    pub(super) node: Arc<str>,
    /// The row's side of `on`.
    pub(super) keys: Vec<Expression>,
    /// The table's side of `on`.
    pub(super) table_keys: Vec<String>,
    /// The added columns: the name in the table, and the field of the output.
    pub(super) added: Vec<(String, Arc<Field>)>,
    pub(super) missing: Missing,
    pub(super) matches: Matches,
    pub(super) source: Source,
}

/// The table as rows use it.
#[derive(Debug)]
struct Contents {
    keys: Vec<ArrayRef>,
    added: Vec<ArrayRef>,
    length: usize,
    /// The index, with the types of the row's side that it is for.
    index: Option<(Vec<DataType>, Index)>,
}

/// The running operator.
pub(super) struct Enriching {
    join: Join,
    contents: Option<Contents>,
    version: Option<Arc<TableVersion>>,
    /// The output schema of the last input schema.
    schemas: Option<(SchemaRef, SchemaRef)>,
}

/// Which rows leave with which rows of the table.
#[derive(Default)]
struct Met {
    rows: Vec<u32>,
    found: Vec<Option<u32>>,
    bad: Vec<BadRow>,
}

impl Enriching {
    pub(super) fn new(join: Join) -> Self {
        Self { join, contents: None, version: None, schemas: None }
    }

    /// Takes new contents; the types of planning stay.
    fn contents(&self, rows: &RecordBatch) -> Result<Contents, String> {
        let column =
            |name: &String| rows.column_by_name(name).cloned().ok_or_else(|| format!("the column `{name}` is missing"));
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let added = |(name, field): &(String, Arc<Field>)| {
            cast_with_options(&column(name)?, field.data_type(), &strict)
                .map_err(|error| format!("the column `{name}` was {} before: {error}", field.data_type()))
        };
        Ok(Contents {
            keys: self.join.table_keys.iter().map(column).collect::<Result<_, _>>()?,
            added: self.join.added.iter().map(added).collect::<Result<_, _>>()?,
            length: rows.num_rows(),
            index: None,
        })
    }

    /// Whether the row's side of `on` can be compared with the table's: a widened column may not be.
    fn fit(&self, columns: &[ArrayRef]) -> Result<(), String> {
        for (place, column) in columns.iter().enumerate() {
            let of_row = column.data_type();
            let castable = |contents: &Contents| can_cast_types(contents.keys[place].data_type(), of_row);
            let fits = comparable(of_row) && self.contents.as_ref().is_none_or(castable);
            if *of_row != DataType::Null && !fits {
                let column = &self.join.table_keys[place];
                return Err(format!("`on`: {of_row} cannot be compared with `{column}` of the table"));
            }
        }
        Ok(())
    }

    /// Finds what each row meets.
    fn meet(&mut self, columns: &[ArrayRef], length: usize, mut bad: Vec<BadRow>) -> Result<Met> {
        bad.sort_by_key(|bad| bad.row);
        bad.dedup_by_key(|bad| bad.row);
        let mut met = Met::default();
        let (matches, missing) = (self.join.matches, self.join.missing);
        let nothing = Index::default();
        let index = match &mut self.contents {
            Some(contents) => contents.index(columns)?,
            None => &nothing,
        };
        let keys = keys(columns, length)?;
        let mut bad = bad.into_iter().peekable();
        // Row by row, because the number of rows that leave is known only then; columns follow as a whole.
        for (row, key) in (0u32..).zip(keys.keys) {
            if bad.peek().is_some_and(|bad| bad.row == row as usize) {
                met.bad.extend(bad.next());
                continue;
            }
            let null = keys.nulls.get(row as usize).is_some_and(|null| *null);
            let found = if null { &[][..] } else { index.find(key) };
            match (found, matches) {
                ([], _) if missing == Missing::Drop => {}
                ([], _) => met.push(row, None),
                ([only], _) => met.push(row, Some(*only)),
                ([first, ..], Matches::First) => met.push(row, Some(*first)),
                ([.., last], Matches::Last) => met.push(row, Some(*last)),
                (all, Matches::All) => all.iter().for_each(|found| met.push(row, Some(*found))),
                (several, Matches::Error) => {
                    let reason = format!("{} rows of the table have the key of this row", several.len());
                    met.bad.push(BadRow { row: row as usize, reason });
                }
            }
        }
        Ok(met)
    }

    /// The rows that leave, with their columns of the table.
    fn build(&mut self, rows: &RecordBatch, met: Met) -> Result<RecordBatch> {
        let whole = met.rows.len() == rows.num_rows() && met.rows.iter().zip(0..).all(|(row, number)| *row == number);
        let left = if whole { rows.clone() } else { take_rows(rows, &UInt32Array::from(met.rows))? };
        let found = UInt32Array::from(met.found);
        let schema = self.output(rows.schema_ref());
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (field, column) in left.schema_ref().fields().iter().zip(left.columns()) {
            if !self.join.added.iter().any(|(_, added)| added.name() == field.name()) {
                columns.push(Arc::clone(column));
            }
        }
        for (place, (_, field)) in self.join.added.iter().enumerate() {
            columns.push(match &self.contents {
                Some(contents) => take(&contents.added[place], &found, None)?,
                None => arrow::array::new_null_array(field.data_type(), found.len()),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    fn output(&mut self, input: &SchemaRef) -> SchemaRef {
        if let Some((known, output)) = &self.schemas
            && (Arc::ptr_eq(known, input) || known == input)
        {
            return Arc::clone(output);
        }
        let added = || self.join.added.iter().map(|(_, field)| Arc::clone(field));
        let own = input.fields().iter().filter(|field| !added().any(|added| added.name() == field.name())).cloned();
        let output = Arc::new(Schema::new(own.chain(added()).collect::<Vec<_>>()));
        self.schemas = Some((Arc::clone(input), Arc::clone(&output)));
        output
    }
}

impl Met {
    fn push(&mut self, row: u32, found: Option<u32>) {
        self.rows.push(row);
        self.found.push(found);
    }
}

impl Contents {
    /// The index for rows whose side of `on` has the types of `columns`. Values of the table that are none of
    /// that type are found by nothing.
    fn index(&mut self, columns: &[ArrayRef]) -> Result<&Index> {
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
        let index = match self.index.take() {
            Some((known, index)) if known == types => index,
            _ => {
                let keys = self.keys.iter().zip(&types);
                let keys = keys.map(|(column, wanted)| match wanted {
                    DataType::Null => Ok(Arc::clone(column)),
                    wanted => cast(column, wanted).map_err(|error| Error::user(format!("`on`: {error}"))),
                });
                Index::new(&keys.collect::<Result<Vec<_>>>()?, self.length)?
            }
        };
        Ok(&self.index.insert((types, index)).1)
    }
}

#[async_trait]
impl Operator for Enriching {
    async fn process(&mut self, step: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let mut bad = Vec::new();
        let mut columns = Vec::with_capacity(self.join.keys.len());
        for key in &mut self.join.keys {
            let evaluated = key.evaluate_rows(rows, step.time)?;
            bad.extend(evaluated.bad);
            columns.push(evaluated.values);
        }
        if let Err(unfit) = self.fit(&columns) {
            return rejection::reject_all(rows, &unfit, out);
        }
        let mut met = self.meet(&columns, rows.num_rows(), bad)?;
        rejection::reject(rows, std::mem::take(&mut met.bad), out)?;
        out.emit(PortIndex(0), self.build(rows, met)?);
        Ok(())
    }

    async fn lookup(&mut self, _: &StepHeader, _: &str, contents: &[u8], out: &mut Output) -> Result<()> {
        let Source::File { path, format } = &self.join.source else { return Ok(()) };
        let keys: Vec<&str> = self.join.table_keys.iter().map(String::as_str).collect();
        match parse(contents, *format, &keys).and_then(|rows| self.contents(&rows)) {
            Ok(contents) => self.contents = Some(contents),
            Err(reason) if self.contents.is_some() => {
                let reason = format!("the new contents of `{path}` are not used: {reason}");
                tracing::warn!(node = %self.join.node, "{reason}");
                out.reject(0, Rejected::new(path.as_ref(), reason, b""));
            }
            Err(reason) => {
                return Err(Error::user(format!("`{path}` cannot be used as a table: {reason}"))
                    .with_remedy("mend the file and run again"));
            }
        }
        Ok(())
    }

    async fn tables(&mut self, _: &StepHeader, _: InputIndex, tables: &TableSet, _: &mut Output) -> Result<()> {
        let Source::Node { table } = &self.join.source else { return Ok(()) };
        let Some(version) = tables.tables.get(table) else { return Ok(()) };
        if self.version.as_ref().is_some_and(|known| Arc::ptr_eq(known, version)) {
            return Ok(());
        }
        let rows = concat_batches(&version.definition().schema, version.batches())?;
        self.contents = Some(self.contents(&rows).map_err(Error::internal)?);
        self.version = Some(Arc::clone(version));
        Ok(())
    }
}
