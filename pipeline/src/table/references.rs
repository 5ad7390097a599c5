//! References: rows of one table that name rows of another by value.
//!
//! They are lazy: values are kept as they were collected, and SQL joins them whenever it is asked. So it does not matter
//! in which order tables are refreshed, and a reference may name a row of this refresh, of another provider, or one
//! that is only stored.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_128;

use super::{TableSet, TableVersion};
use crate::error::{Error, Result};

/// Columns of a table whose values name a row of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The columns that refer, `account_id` and `region` among them where they take part. A row in which one of them is
    /// NULL refers to nothing.
    pub columns: Vec<&'static str>,
    /// The table referred to, of the same provider or of another one.
    pub table: Arc<str>,
    /// The columns of that table which have the same values, one for each of `columns`.
    pub to: Vec<&'static str>,
}

impl Reference {
    /// The reference of `columns` to the columns `to` of `table`.
    pub fn new(
        columns: impl Into<Vec<&'static str>>,
        table: impl Into<Arc<str>>,
        to: impl Into<Vec<&'static str>>,
    ) -> Self {
        Self { columns: columns.into(), table: table.into(), to: to.into() }
    }
}

/// How many rows refer to what is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The table that refers.
    pub table: Arc<str>,
    /// By what.
    pub reference: Reference,
    /// How many of its rows; `None` where the table referred to is not among those that were looked at.
    pub rows: Option<u64>,
}

impl TableVersion {
    /// How many of its rows name, by `reference`, a row that `to` does not have.
    ///
    /// # Errors
    /// When a column is missing, or the values of two columns cannot be compared.
    pub fn unresolved(&self, reference: &Reference, to: &Self) -> Result<u64> {
        let from = columns(self, &reference.columns)?;
        let there = columns(to, &reference.to)?;
        if from.len() != there.len() || from.is_empty() {
            let name = &self.definition().name;
            return Err(Error::internal(format!("a reference of table `{name}` does not pair its columns")));
        }
        let types: Vec<DataType> =
            from.iter().map(|&index| self.definition().schema.field(index).data_type().clone()).collect();
        let converter = RowConverter::new(types.iter().cloned().map(SortField::new).collect())?;
        let hashes = |batch: &RecordBatch, columns: &[usize]| -> Result<Vec<Option<u128>>> {
            let arrays = columns.iter().zip(&types).map(|(&index, wanted)| Ok(cast(batch.column(index), wanted)?));
            let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
            let rows = converter.convert_columns(&arrays)?;
            let is_null = |row: usize| arrays.iter().any(|array| array.is_null(row));
            // A loop over rows, since arrow has no kernel that hashes a converted row.
            let hash = |(index, row): (usize, arrow::row::Row<'_>)| (!is_null(index)).then(|| xxh3_128(row.data()));
            Ok(rows.iter().enumerate().map(hash).collect())
        };
        let mut known: HashSet<u128> = HashSet::new();
        for batch in to.batches() {
            known.extend(hashes(batch, &there)?.into_iter().flatten());
        }
        let mut unresolved = 0;
        for batch in self.batches() {
            unresolved += hashes(batch, &from)?.into_iter().flatten().filter(|hash| !known.contains(hash)).count();
        }
        Ok(unresolved as u64)
    }
}

impl TableSet {
    /// What of the references of all tables leads nowhere, looked up here and in `others` (the tables of other
    /// providers). The cost is that of reading the columns that take part.
    ///
    /// # Errors
    /// As [`TableVersion::unresolved`].
    pub fn unresolved(&self, others: &[Self]) -> Result<Vec<Unresolved>> {
        let mut found = Vec::new();
        for (name, table) in self.tables.iter() {
            for reference in &table.definition().references {
                let to = std::iter::once(self).chain(others).find_map(|set| set.get(&reference.table));
                let rows = to.map(|to| table.unresolved(reference, to)).transpose()?;
                found.push(Unresolved { table: Arc::clone(name), reference: reference.clone(), rows });
            }
        }
        Ok(found)
    }
}

/// The places of columns.
fn columns(table: &TableVersion, names: &[&str]) -> Result<Vec<usize>> {
    let definition = table.definition();
    let place = |name: &&str| {
        let missing = |_| Error::internal(format!("table `{}` has no column `{name}`", definition.name));
        definition.schema.index_of(name).map_err(missing)
    };
    names.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::table::{Operation, TableDefinition};

    /// A table `name` of rows (id, value), NULL values included.
    fn table(name: &str, references: Vec<Reference>, rows: &[(&str, Option<i64>)]) -> TableVersion {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let fields = vec![text("account_id"), text("region"), text("id"), Field::new("value", DataType::Int64, true)];
        let schema = Arc::new(Schema::new(fields));
        let definition = TableDefinition { references, ..TableDefinition::new(name, "", Arc::clone(&schema), ["id"]) };
        let empty = TableVersion::empty(definition).unwrap();
        let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows.len()])) };
        let columns: Vec<ArrayRef> = vec![
            same("a"),
            same("r"),
            Arc::new(rows.iter().map(|(id, _)| Some(*id)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|(_, value)| *value).collect::<Int64Array>()),
        ];
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        empty.with_changes(&[empty.layout().changes(Operation::Insert, &batch).unwrap()]).unwrap()
    }

    fn set(tables: Vec<TableVersion>) -> TableSet {
        let named = tables.into_iter().map(|table| (Arc::clone(&table.definition().name), Arc::new(table)));
        TableSet { tables: Arc::new(named.collect::<BTreeMap<_, _>>()), ..TableSet::default() }
    }

    fn counts(found: &[Unresolved]) -> Vec<(&str, Option<u64>)> {
        found.iter().map(|unresolved| (&*unresolved.reference.table, unresolved.rows)).collect()
    }

    #[test]
    fn rows_that_name_what_is_not_there_are_counted_and_null_names_nothing() {
        let reference = Reference::new(["account_id", "value"], "owner", ["account_id", "value"]);
        let elsewhere = Reference::new(["id"], "zone", ["id"]);
        let things = table(
            "thing",
            vec![reference, elsewhere],
            &[("1", Some(10)), ("2", Some(10)), ("3", Some(30)), ("4", Some(40)), ("5", None)],
        );
        let owners = table("owner", Vec::new(), &[("x", Some(10)), ("y", Some(20)), ("z", None)]);
        let own = set(vec![things, owners]);
        assert_eq!(counts(&own.unresolved(&[]).unwrap()), [("owner", Some(2)), ("zone", None)]);
        let zones = set(vec![table("zone", Vec::new(), &[("2", None), ("3", None)])]);
        assert_eq!(counts(&own.unresolved(&[zones]).unwrap()), [("owner", Some(2)), ("zone", Some(3))]);
    }

    #[test]
    fn values_of_different_types_are_compared_as_those_that_refer() {
        let things = table("thing", vec![Reference::new(["id"], "owner", ["value"])], &[("10", None), ("11", None)]);
        let owners = table("owner", Vec::new(), &[("x", Some(10))]);
        assert_eq!(counts(&set(vec![things, owners]).unresolved(&[]).unwrap()), [("owner", Some(1))]);
    }

    #[test]
    fn a_reference_by_a_column_that_is_not_there_is_an_error() {
        let things = table("thing", vec![Reference::new(["id"], "thing", ["nothing"])], &[]);
        assert!(set(vec![things]).unresolved(&[]).unwrap_err().message.contains("`nothing`"));
        let schema = table("x", Vec::new(), &[]).definition().schema.clone();
        let wrong = |change: fn(&mut TableDefinition)| {
            let mut definition = TableDefinition::new("thing", "", Arc::clone(&schema), ["id"]);
            change(&mut definition);
            TableVersion::empty(definition).unwrap_err().message
        };
        assert!(wrong(|it| it.references.push(Reference::new(["no"], "y", ["id"]))).contains("`no`"));
        assert!(wrong(|it| it.target = Some("value")).contains("not Utf8"));
    }
}
