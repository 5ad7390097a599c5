//! Which accounts and regions a control can speak about, given how collecting its tables ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_pipeline::step::{Scope, ScopeOutcome};

use super::TableContents;
use crate::check::finding::{Finding, Status};
use crate::check::plan::PlannedControl;

/// The region of scopes that belong to an account as a whole.
const GLOBAL: &str = "global";
/// How the resource of a finding about a scope begins.
pub(crate) const SCOPE_PREFIX: &str = "scope:";
/// How the resource of a finding about a control begins.
pub(crate) const CONTROL_PREFIX: &str = "control:";

type Place = (Arc<str>, Arc<str>);

/// The accounts and regions whose earlier findings stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frozen {
    /// Everything that the control has said stays.
    pub everything: bool,
    /// What it has said about these pairs of account and region stays.
    pub places: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl Frozen {
    /// Everything stays.
    pub(crate) fn everything() -> Self {
        Self { everything: true, places: BTreeSet::new() }
    }

    /// Whether an earlier finding stays as it is.
    pub(crate) fn keeps(&self, finding: &Finding) -> bool {
        self.covers(&finding.resource, finding.account_id.as_deref(), finding.region.as_deref())
    }

    /// Whether an earlier finding of these parts stays as it is. One that names no account or region, or the region
    /// `global`, rests on all of them: it stays if any does. What is said about scopes and about controls
    /// themselves is known anew each time and never stays.
    pub fn covers(&self, resource: &str, account_id: Option<&str>, region: Option<&str>) -> bool {
        if !self.everything && self.places.is_empty() {
            return false;
        }
        let is_about_rows = !resource.starts_with(SCOPE_PREFIX) && !resource.starts_with(CONTROL_PREFIX);
        let same = |mine: Option<&str>, place: &str| {
            mine.is_none_or(|mine| mine == place || mine == GLOBAL || place == GLOBAL)
        };
        is_about_rows
            && (self.everything
                || self
                    .places
                    .iter()
                    .any(|(account, place)| account_id.is_none_or(|mine| mine == &**account) && same(region, place)))
    }
}

/// What the scopes of a control's tables mean for it.
#[derive(Clone)]
pub(super) struct Judgement {
    /// Scopes that failed or were skipped: what the control says about them.
    pub(super) findings: Vec<(Scope, Status, String)>,
    /// What stays as it is.
    pub(super) frozen: Frozen,
    /// Whether there is any account and region for which all tables are complete.
    pub(super) evaluate: bool,
}

/// Judges the scopes of the tables that `control` reads.
pub(super) fn judge(control: &PlannedControl, tables: &BTreeMap<Arc<str>, TableContents>) -> Judgement {
    let read: Vec<Option<&TableContents>> = control.reads.iter().map(|name| tables.get(name)).collect();
    let there: Vec<&TableContents> = read.iter().copied().flatten().collect();
    let findings = there.iter().flat_map(|table| &table.scopes).filter_map(|(scope, outcome)| match outcome {
        ScopeOutcome::Complete => None,
        ScopeOutcome::Skipped(reason) => {
            let reason = sentence(&format!("{} was not collected: {reason}", scope.table));
            Some((scope.clone(), Status::Skip, reason))
        }
        ScopeOutcome::Failed(reason) => {
            let reason = sentence(&format!("Collecting {} failed: {reason}", scope.table));
            Some((scope.clone(), Status::Error, reason))
        }
    });
    let findings: Vec<_> = findings.collect();
    if there.len() < read.len() || there.iter().any(|table| table.scopes.is_empty()) {
        // A table that was never collected: nothing can be said yet.
        return Judgement { findings, frozen: Frozen::everything(), evaluate: false };
    }
    let places = places(&there);
    let complete = |place: &Place| there.iter().all(|table| is_complete(table, place));
    let frozen: BTreeSet<Place> = places.iter().filter(|place| !complete(place)).cloned().collect();
    let evaluate = control.reads.is_empty() || frozen.len() < places.len();
    Judgement { findings, frozen: Frozen { everything: !evaluate, places: frozen }, evaluate }
}

/// The accounts and regions that the tables were collected from. A table whose scopes are all global has
/// no say in which regions there are, unless all tables are like that.
fn places(tables: &[&TableContents]) -> BTreeSet<Place> {
    let regional = tables.iter().filter(|table| !is_global(table));
    let scopes = |table: &&&TableContents| {
        table.scopes.keys().map(|scope| (Arc::clone(&scope.account_id), Arc::clone(&scope.region))).collect::<Vec<_>>()
    };
    let places: BTreeSet<Place> = regional.flat_map(|table| scopes(&table)).collect();
    if places.is_empty() { tables.iter().flat_map(|table| scopes(&table)).collect() } else { places }
}

fn is_global(table: &TableContents) -> bool {
    table.scopes.keys().all(|scope| &*scope.region == GLOBAL)
}

/// Whether `table` was read to its end for an account and region. Where it has not come to that region
/// yet, it was not.
fn is_complete(table: &TableContents, (account, region): &Place) -> bool {
    let fits = |scope: &Scope| scope.account_id == *account && (scope.region == *region || is_global(table));
    let mut outcomes = table.scopes.iter().filter(|(scope, _)| fits(scope)).map(|(_, outcome)| outcome).peekable();
    outcomes.peek().is_some() && outcomes.all(|outcome| *outcome == ScopeOutcome::Complete)
}

/// `text` with a period at its end.
pub(in crate::check) fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end().trim_end_matches('.'))
}
