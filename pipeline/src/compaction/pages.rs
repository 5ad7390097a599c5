//! Merging pages: those stay whose scope was not ended after them.

use std::collections::HashSet;

use arrow::array::{AsArray, RecordBatch, StringArray};

use super::{Pages, Sections, Sink, column, unexpected};
use crate::error::Result;

pub(super) fn merge(chain: &dyn Sections, name: &str, rule: &Pages, sink: &mut dyn Sink) -> Result<()> {
    let mut ended: HashSet<Vec<String>> = HashSet::new();
    let mut alive = Vec::new();
    for segment in (0..chain.segments()).rev() {
        for (at, found) in chain.names(segment).iter().enumerate().rev() {
            if *found == rule.ended_by {
                end(&chain.batch(segment, at)?, rule, &mut ended)?;
            } else if found == name {
                let batch = chain.batch(segment, at)?;
                let scope = scope_columns(&batch, name, rule)?;
                if batch.num_rows() > 0 && !ended.contains(&scope_of(&scope, 0)) {
                    alive.push((segment, at));
                }
            }
        }
    }
    alive.iter().rev().try_for_each(|(segment, at)| sink.put(name, chain.batch(*segment, *at)?))
}

fn end(batch: &RecordBatch, rule: &Pages, ended: &mut HashSet<Vec<String>>) -> Result<()> {
    let (of, value) = &rule.only;
    let of = text(batch, &rule.ended_by, of)?;
    let scope = scope_columns(batch, &rule.ended_by, rule)?;
    let meant = (0..batch.num_rows()).filter(|row| of.value(*row) == value);
    ended.extend(meant.map(|row| scope_of(&scope, row)));
    Ok(())
}

fn scope_columns<'a>(batch: &'a RecordBatch, section: &str, rule: &Pages) -> Result<Vec<&'a StringArray>> {
    rule.scope.iter().map(|name| text(batch, section, name)).collect()
}

fn scope_of(columns: &[&StringArray], row: usize) -> Vec<String> {
    columns.iter().map(|column| column.value(row).to_owned()).collect()
}

fn text<'a>(batch: &'a RecordBatch, section: &str, name: &str) -> Result<&'a StringArray> {
    column(batch, section, name)?.as_string_opt::<i32>().ok_or_else(|| unexpected(section, name))
}
