//! Whatever a provider answers when some objects are asked for: nothing else changes, to the byte.

use std::collections::BTreeSet;

use arrow::compute::concat_batches;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::targets::of_objects;
use super::*;
use crate::provider::collection::Collection;
use crate::provider::difference::Targets;
use crate::rows::PortIndex;
use crate::table::TableVersion;

const OBJECTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// A row: its key, its object, its value, when it was collected.
type Row = (i64, usize, i64, i64);

fn batch(rows: &[Row]) -> RecordBatch {
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows.len()])) };
    let number = |of: fn(&Row) -> i64| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Int64Array>()) };
    let columns = vec![
        text("a"),
        text("r"),
        text("arn"),
        Arc::new(rows.iter().map(|row| Some(OBJECTS[row.1])).collect::<StringArray>()) as ArrayRef,
        number(|row| row.0),
        number(|row| row.2),
        number(|row| row.3),
    ];
    RecordBatch::try_new(of_objects("thing").schema, columns).unwrap()
}

fn table(rows: &[Row]) -> Arc<TableVersion> {
    let empty = TableVersion::empty(of_objects("thing")).unwrap();
    let inserts = empty.layout().changes(Operation::Insert, &batch(rows)).unwrap();
    Arc::new(empty.with_changes(&[inserts]).unwrap())
}

fn rows_of(table: &TableVersion) -> Vec<Row> {
    let all = concat_batches(&of_objects("thing").schema, table.batches()).unwrap();
    let numbers = |index: usize| all.column(index).as_primitive::<Int64Type>().values().to_vec();
    let object = |name: Option<&str>| OBJECTS.iter().position(|object| Some(*object) == name).unwrap();
    let objects = all.column(3).as_string::<i32>().iter().map(object);
    let rows = numbers(4).into_iter().zip(objects).zip(numbers(5)).zip(numbers(6));
    rows.map(|(((key, object), value), time)| (key, object, value, time)).collect()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..OBJECTS.len(), 0_i64..3, 0_i64..3);
    btree_map(0_i64..24, row, 0..20)
        .prop_map(|rows| rows.into_iter().map(|(key, (object, value, time))| (key, object, value, time)).collect())
}

fn pages() -> impl Strategy<Value = Vec<Vec<Row>>> {
    vec(vec((0_i64..24, 0..OBJECTS.len(), 0_i64..3, 3_i64..6), 0..12), 0..4)
}

proptest! {
    #[test]
    fn a_targeted_refresh_changes_the_rows_of_its_targets_only(
        stored in rows(),
        wanted in btree_set(0..OBJECTS.len(), 0..4),
        pages in pages(),
        complete: bool,
    ) {
        let before = table(&stored);
        let ids: Vec<Arc<str>> = wanted.iter().map(|object| OBJECTS[*object].into()).collect();
        let targets = Targets::new(&before, &ids);
        let mut collection = Collection::new(scope("r"), PortIndex(0), Arc::clone(&before), targets).unwrap();
        let mut changes = Vec::new();
        for page in &pages {
            for slice in collection.slices(&batch(page)) {
                changes.extend(collection.compare(&slice));
            }
        }
        prop_assert_eq!(&collection.failed, &None);
        if complete {
            changes.extend(collection.missing().unwrap());
        }
        let after = before.with_changes(&changes).unwrap();

        let mut given: BTreeMap<i64, Row> = BTreeMap::new();
        for row in pages.iter().flatten().filter(|row| wanted.contains(&row.1)) {
            given.entry(row.0).or_insert(*row);
        }
        let mut expected: BTreeMap<i64, Row> = BTreeMap::new();
        for row in &stored {
            let is_outside = !wanted.contains(&row.1);
            match given.get(&row.0) {
                None if is_outside || !complete => drop(expected.insert(row.0, *row)),
                None => {}
                // What was collected at another time only is no change.
                Some(new) if (row.1, row.2) == (new.1, new.2) => drop(expected.insert(row.0, *row)),
                Some(new) => drop(expected.insert(row.0, *new)),
            }
        }
        for (key, row) in &given {
            expected.entry(*key).or_insert(*row);
        }
        prop_assert_eq!(rows_of(&after), expected.into_values().collect::<Vec<_>>());

        let stray = pages.iter().flatten().filter(|row| !wanted.contains(&row.1)).count();
        let taken = pages.iter().flatten().count() - stray;
        prop_assert_eq!(collection.ignored(), stray + taken - given.len());
        // What is told of each row is what happened to it.
        let was: BTreeSet<i64> = stored.iter().map(|row| row.0).collect();
        for change in &changes {
            let operations = change.column(0).as_string::<i32>();
            let keys = change.column(6).as_primitive::<Int64Type>();
            for (operation, key) in operations.iter().zip(keys.values()) {
                prop_assert_eq!(operation == Some("insert"), !was.contains(key), "{:?} {}", operation, key);
            }
        }
    }
}
