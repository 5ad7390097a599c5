//! What every provider has to show of its tables, whatever they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_pipeline::provider::{Collected, Extent, ScopeGroup};
use tidegate_pipeline::step::ScopeOutcome;

use super::{ACCOUNTS, Inventory, REGIONS, Rows};

/// What moto lacks of the tables of a provider.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lacks<'a> {
    /// Tables of which it never has anything, or that are read only where options name them.
    pub(super) empty: &'a [&'a str],
    /// Tables whose calls it does not know.
    pub(super) unknown: &'a [&'a str],
    /// Tables whose rows are made of several answers.
    pub(super) made: &'a [&'a str],
}

/// The text in a column; empty where there is none.
pub(super) fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_default()
}

/// Every table is read to its end, everywhere, with rows that their keys tell apart; and again, with nothing changed.
pub(super) fn every_table_is_read(inventory: &Inventory, lacks: Lacks<'_>) {
    let definitions = inventory.provider.tables();
    for group in &inventory.groups() {
        let (rows, collected) = inventory.collect(group, &Extent::Whole);
        if lacks.unknown.contains(&&*group.tables[0]) {
            assert!(matches!(collected.of(&group.tables[0]), ScopeOutcome::Skipped(_)), "{group}: {collected:?}");
            continue;
        }
        assert_eq!(collected, Collected::complete(), "{group}");
        for table in group.tables.iter().filter(|table| !lacks.empty.contains(&&***table)) {
            let rows = rows.get(&**table).unwrap_or_else(|| panic!("{group} has no rows of {table}"));
            let key = &definitions.iter().find(|known| known.name == *table).expect("its definition").key;
            are_told_apart(group, table, rows, key);
            let is_made = lacks.made.contains(&&**table);
            assert!(rows.iter().all(|row| text(row, "raw").starts_with('{') != is_made), "{table}: {rows:?}");
        }
        // Of calls that are under way at the same time any may be the first to be answered.
        let again = inventory.collect(group, &Extent::Whole).0;
        assert_eq!(sorted(again), sorted(rows), "{group}: a second look finds something else");
    }
}

/// Each row has a key of its own, and says where it comes from.
fn are_told_apart(group: &ScopeGroup, table: &str, rows: &[Value], key: &[&str]) {
    let keys: BTreeSet<String> =
        rows.iter().map(|row| key.iter().map(|name| row[*name].to_string()).collect()).collect();
    assert_eq!(keys.len(), rows.len(), "{group}: keys of {table} are not unique");
    for row in rows {
        assert!(key.is_empty() || key.iter().any(|name| !row[*name].is_null() && row[*name] != ""), "{row}");
        assert_eq!((text(row, "account_id"), text(row, "region")), (&*group.account_id, &*group.region));
        assert!(text(row, "arn").starts_with("arn:aws:"), "{table}: {row}");
    }
}

/// Of targets exactly those rows are read that are theirs, and what is not there is no failure.
pub(super) fn targets_are_read_alone(inventory: &Inventory) {
    let definitions = inventory.provider.tables();
    let target = |table: &str| definitions.iter().find(|known| *known.name == *table).and_then(|known| known.target);
    let here = |group: &&ScopeGroup| *group.account_id == *ACCOUNTS[1] && *group.region != *REGIONS[0];
    for group in inventory.groups().iter().filter(here) {
        let whole = inventory.collect(group, &Extent::Whole).0;
        for table in whole.keys() {
            let Some(name) = target(table) else { continue };
            let Some(id) = whole[table].last().map(|row| text(row, name).to_owned()) else { continue };
            let ids = vec![id.as_str().into(), "gone-0123456789".into()];
            let (found, collected) = inventory.collect(group, &Extent::Targets(ids));
            assert_eq!(collected, Collected::complete(), "{group}");
            let expected = of(&whole, &id, |table| target(table).expect("tables of a listing have targets together"));
            assert_eq!(sorted(found), sorted(expected), "{group}");
        }
    }
}

fn sorted(mut rows: Rows) -> Rows {
    rows.values_mut().for_each(|rows| rows.sort_by_key(ToString::to_string));
    rows
}

/// The rows of one target.
fn of(whole: &Rows, id: &str, target: impl Fn(&str) -> &'static str) -> Rows {
    let of_table = |(table, rows): (&String, &Vec<Value>)| {
        let rows = rows.iter().filter(|row| text(row, target(table)) == id).cloned().collect();
        (table.clone(), rows)
    };
    let mut found: BTreeMap<String, Vec<Value>> = whole.iter().map(of_table).collect();
    found.retain(|_, rows| !rows.is_empty());
    found
}

/// The rows of a table of the first account in its first region, or of all of it.
pub(super) fn rows_of(inventory: &Inventory, table: &str) -> Vec<Value> {
    let groups = inventory.groups();
    let here = |group: &&ScopeGroup| *group.account_id == *ACCOUNTS[0] && *group.region != *REGIONS[1];
    let group = groups.iter().filter(here).find(|group| group.tables.iter().any(|name| **name == *table));
    let (mut rows, collected) = inventory.collect(group.expect("it is listed"), &Extent::Whole);
    assert_eq!(collected, Collected::complete());
    rows.remove(table).expect("it has rows")
}
