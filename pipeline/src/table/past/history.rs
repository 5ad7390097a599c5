//! The history of a table: every change that the journal holds, in the order in which they became visible.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::Past;
use crate::checkpoint::{at_head, list_checkpoints, read_manifest};
use crate::error::{Error, Result};
use crate::journal::read_directory;
use crate::journal::record::{Record, StepBody, StepRecord, decode_batch};
use crate::rows::adapt;
use crate::step::{Scope, StepHeader, StepNumber, StepTime, Unit};
use crate::table::{TableDefinition, TableSet, change_schema};

/// Changes of a table that became visible with one step.
#[derive(Debug, Clone)]
pub struct Change {
    /// The step with which they became visible: the end of the refresh that found them.
    pub step: StepNumber,
    /// Its time.
    pub time: StepTime,
    /// The changes, in the table's change schema.
    pub rows: RecordBatch,
}

/// What the journal holds of a table.
#[derive(Debug)]
pub struct History {
    /// The tables as they were before the first of the changes; `None`: there was nothing before.
    pub before: Option<TableSet>,
    /// The step that `before` is of, or 0.
    pub from: StepNumber,
    /// The time of that step.
    pub since: StepTime,
    /// The changes, oldest first.
    pub changes: Vec<Change>,
}

impl History {
    /// What is missing of it, in a sentence: where the journal does not reach back to the beginning.
    pub fn missing(&self) -> Option<String> {
        let Self { from, since, .. } = self;
        (*from > StepNumber::ZERO).then(|| {
            format!("the journal reaches back to step {}; earlier changes (until {since}) are gone", from.next())
        })
    }
}

impl Past {
    /// The history of a table as far back as checkpoints and journal reach; `None` where there is no checkpoint
    /// yet. Holds all of its changes in memory.
    ///
    /// # Errors
    /// When there is no such table, or what was stored cannot be read.
    pub fn history(&self, table: &str) -> Result<Option<History>> {
        let of_table = |(_, tables): &&(std::sync::Arc<str>, Vec<TableDefinition>)| {
            tables.iter().any(|definition| *definition.name == *table)
        };
        let Some((source, definitions)) = self.sources.iter().find(of_table) else {
            return Err(Error::user(format!("there is no table `{table}`")));
        };
        let Some(definition) = definitions.iter().find(|definition| *definition.name == *table) else {
            return Err(Error::internal("a table was there and is not"));
        };
        at_head(&self.directory, |_| {
            let (from, since, before) = self.beginning(source)?;
            let changes = self.changes(source, definition, from, &before)?;
            Ok(History { before: before.map(|(set, _)| set), from, since, changes })
        })
    }

    /// The oldest checkpoint from which the journal goes on, and the tables of a source there with what was
    /// collected and not visible yet; the very beginning where the journal reaches back to it.
    #[expect(clippy::type_complexity, reason = "used once, right above")]
    fn beginning(&self, source: &str) -> Result<(StepNumber, StepTime, Option<(TableSet, Vec<(Scope, RecordBatch)>)>)> {
        if self.journal_after(StepNumber::ZERO)?.is_some() {
            return Ok((StepNumber::ZERO, StepTime::default(), None));
        }
        for checkpoint in list_checkpoints(&self.directory)?.iter().rev() {
            if self.journal_after(checkpoint.step)?.is_none() {
                continue;
            }
            let manifest = read_manifest(&self.directory, &checkpoint.manifest)?;
            let mut tables = self.empty()?;
            self.restore(&mut tables, &manifest)?;
            let found = tables.iter().find(|(name, _)| **name == *source);
            let before = found.map(|(_, tables)| (tables.current(), tables.staged_rows()));
            return Ok((checkpoint.step, checkpoint.time, before));
        }
        Err(Error::external("no checkpoint that is kept reaches the journal").never_retry())
    }

    fn changes(
        &self,
        source: &str,
        definition: &TableDefinition,
        from: StepNumber,
        before: &Option<(TableSet, Vec<(Scope, RecordBatch)>)>,
    ) -> Result<Vec<Change>> {
        let mut pages = Pages { definition, waiting: BTreeMap::new(), changes: Vec::new() };
        for (scope, rows) in before.iter().flat_map(|(_, staged)| staged) {
            pages.wait(scope, rows)?;
        }
        for record in read_directory(&self.directory, from.next())? {
            let Record::Step(StepRecord { header, body }) = record?.1 else { continue };
            let StepBody::Inline { parts, .. } = body else { continue };
            if *header.source == *source {
                pages.take(&header, || parts.iter().map(|part| decode_batch(&part.ipc)).collect())?;
            }
        }
        Ok(pages.changes)
    }
}

/// Pages of scopes that have not ended.
struct Pages<'a> {
    definition: &'a TableDefinition,
    waiting: BTreeMap<Scope, Vec<RecordBatch>>,
    changes: Vec<Change>,
}

impl Pages<'_> {
    fn take(&mut self, header: &StepHeader, rows: impl FnOnce() -> Result<Vec<RecordBatch>>) -> Result<()> {
        let scope = match &header.unit {
            Unit::Rows => return Ok(()),
            Unit::Begin(scope) | Unit::Page(scope) | Unit::End(scope, _) | Unit::Targeted(scope) => scope,
        };
        if scope.table != self.definition.name {
            return Ok(());
        }
        match &header.unit {
            Unit::Page(_) => rows()?.iter().try_for_each(|rows| self.wait(scope, rows)),
            Unit::Targeted(_) => rows()?.iter().filter(|rows| rows.num_rows() > 0).try_for_each(|rows| {
                let rows = adapt(rows, &change_schema(self.definition))?;
                self.changes.push(Change { step: header.number, time: header.time, rows });
                Ok(())
            }),
            // A begin ends an earlier refresh that was interrupted.
            _ => {
                for rows in self.waiting.remove(scope).unwrap_or_default() {
                    self.changes.push(Change { step: header.number, time: header.time, rows });
                }
                Ok(())
            }
        }
    }

    fn wait(&mut self, scope: &Scope, rows: &RecordBatch) -> Result<()> {
        if scope.table == self.definition.name && rows.num_rows() > 0 {
            let rows = adapt(rows, &change_schema(self.definition))?;
            self.waiting.entry(scope.clone()).or_default().push(rows);
        }
        Ok(())
    }
}
