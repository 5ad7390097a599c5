//! A scope that is being collected.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;

use super::difference::{ScopeDifference, Targets};
use crate::error::Result;
use crate::rows::{PortIndex, Rejected};
use crate::step::{Scope, ScopeOutcome};
use crate::table::{LEAF_ROWS, TableVersion};

/// How many duplicates of a scope are reported with their rows; the rest are counted.
const REPORTED_DUPLICATES: usize = 1_000;

/// See the module.
pub(super) struct Collection {
    pub(super) scope: Scope,
    pub(super) port: PortIndex,
    table: Arc<TableVersion>,
    difference: ScopeDifference,
    /// Whether its begin has been handed over. It is held back until there is something to tell.
    pub(super) begun: bool,
    /// Why it has failed, whatever the provider says: what comes for it afterwards is not taken.
    pub(super) failed: Option<String>,
    duplicates: Vec<Rejected>,
    duplicate_count: usize,
    /// The objects that are read, if not all.
    targets: Option<Targets>,
    /// What has changed of the targets: it is handed over together, so that it becomes visible together.
    held: Vec<RecordBatch>,
    /// How many rows were of none of the targets.
    stray: usize,
}

impl Collection {
    /// Collects `scope`, or `targets` in it, against the rows that `table` has of it.
    ///
    /// # Errors
    /// When their keys cannot be computed.
    pub(super) fn new(
        scope: Scope,
        port: PortIndex,
        table: Arc<TableVersion>,
        targets: Option<Targets>,
    ) -> Result<Self> {
        let difference = match &targets {
            None => ScopeDifference::new(&table, &scope)?,
            Some(targets) => ScopeDifference::of_targets(&table, &scope, targets)?,
        };
        let (begun, failed, duplicates, duplicate_count, held, stray) = (false, None, Vec::new(), 0, Vec::new(), 0);
        Ok(Self { scope, port, table, difference, begun, failed, duplicates, duplicate_count, targets, held, stray })
    }

    /// Whether this is how the scope ended the last time.
    pub(super) fn has_ended_so(&self, outcome: &ScopeOutcome) -> bool {
        self.table.scopes().get(&self.scope) == Some(outcome)
    }

    /// A page in the table's schema, in slices of at most a leaf. None, and the scope has failed, where it does not
    /// fit; none of a scope that has failed.
    pub(super) fn slices(&mut self, page: &RecordBatch) -> Vec<RecordBatch> {
        if self.failed.is_some() {
            return Vec::new();
        }
        match self.check(page).and_then(|page| self.of_targets(page)) {
            Ok(page) => {
                let slice = |from| page.slice(from, LEAF_ROWS.min(page.num_rows() - from));
                (0..page.num_rows()).step_by(LEAF_ROWS).map(slice).collect()
            }
            Err(reason) => {
                self.failed = Some(reason);
                Vec::new()
            }
        }
    }

    /// What a slice of a page changes, if anything. A scope whose rows cannot be compared has failed.
    pub(super) fn compare(&mut self, rows: &RecordBatch) -> Option<RecordBatch> {
        let found = self.difference.page(rows).and_then(|found| {
            if let Some(duplicates) = &found.duplicates {
                self.keep_duplicates(duplicates)?;
            }
            Ok(found.changes)
        });
        found.unwrap_or_else(|error| {
            self.failed = Some(error.message);
            None
        })
    }

    /// The rows that no page has held, as deletes.
    ///
    /// # Errors
    /// When they cannot be built.
    pub(super) fn missing(&self) -> Result<Vec<RecordBatch>> {
        self.difference.missing()
    }

    /// The rows whose keys came twice, as input that never became rows.
    pub(super) fn take_duplicates(&mut self) -> Vec<Rejected> {
        let mut duplicates = std::mem::take(&mut self.duplicates);
        let more = self.duplicate_count - duplicates.len();
        if more > 0 {
            let reason = format!("{more} more rows have keys that an earlier row of the scope has");
            duplicates.push(Rejected::new(self.scope.to_string(), reason, b""));
        }
        duplicates
    }

    /// Whether only some of its objects are read.
    pub(super) fn has_targets(&self) -> bool {
        self.targets.is_some()
    }

    /// Keeps what has changed of targets. Gives what there is once it is many rows.
    pub(super) fn hold(&mut self, changes: RecordBatch) -> Option<Vec<RecordBatch>> {
        self.held.push(changes);
        let rows: usize = self.held.iter().map(RecordBatch::num_rows).sum();
        (rows >= LEAF_ROWS).then(|| self.take_held())
    }

    /// What has changed of targets and was not handed over yet.
    pub(super) fn take_held(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.held)
    }

    /// How many rows of a targeted refresh were not taken: those of other objects, and those whose keys came before.
    pub(super) fn ignored(&self) -> usize {
        self.stray + self.duplicate_count
    }

    /// The rows of a page that belong to the targets; all of them where the whole scope is read.
    fn of_targets(&mut self, page: RecordBatch) -> Result<RecordBatch, String> {
        let Some(targets) = &self.targets else { return Ok(page) };
        let rows = targets.rows_of(&page).map_err(|error| error.message)?;
        self.stray += page.num_rows() - rows.num_rows();
        Ok(rows)
    }

    /// `page` in the table's schema, or why it cannot be one of this scope.
    fn check(&self, page: &RecordBatch) -> Result<RecordBatch, String> {
        let layout = self.table.layout();
        let page = layout.conform(page)?;
        if layout.all_in_scope(&page, &self.scope).map_err(|error| error.message)? {
            return Ok(page);
        }
        Err(format!("a page holds rows whose account_id or region are not those of {}", self.scope))
    }

    /// Keeps rows whose keys came twice, to report them at the scope's end.
    fn keep_duplicates(&mut self, rows: &RecordBatch) -> Result<()> {
        self.duplicate_count += rows.num_rows();
        let room = REPORTED_DUPLICATES.saturating_sub(self.duplicates.len()).min(rows.num_rows());
        if room == 0 {
            return Ok(());
        }
        let mut text = Vec::new();
        LineDelimitedWriter::new(&mut text).write_batches(&[&rows.slice(0, room)])?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let key = self.table.definition().key.join(", ");
        let reason = format!("an earlier row of the scope has the same key ({key}); that one was kept");
        let position = self.scope.to_string();
        self.duplicates.extend(lines.map(|line| Rejected::new(position.as_str(), reason.as_str(), line)));
        Ok(())
    }
}
