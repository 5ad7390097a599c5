//! How the columns of a table are declared: each once, with its name, what it is, and where a row has it.

mod cell;

use std::sync::Arc;

use arrow::array::builder::{ListBuilder, MapBuilder, StringBuilder};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};

pub use cell::{Cell, Moment};

/// Makes a column of the rows of a page.
type Build<R> = Box<dyn Fn(&[R]) -> ArrayRef + Send + Sync>;

struct Column<R> {
    name: &'static str,
    description: &'static str,
    data_type: DataType,
    nullable: bool,
    build: Build<R>,
}

/// The columns of a table whose rows are read as `R`, in order.
pub struct Columns<R> {
    columns: Vec<Column<R>>,
}

impl<R> Default for Columns<R> {
    fn default() -> Self {
        Self { columns: Vec::new() }
    }
}

impl<R: 'static> Columns<R> {
    fn add(
        &mut self,
        (name, description): (&'static str, &'static str),
        data_type: DataType,
        nullable: bool,
        build: impl Fn(&[R]) -> ArrayRef + Send + Sync + 'static,
    ) {
        self.columns.push(Column { name, description, data_type, nullable, build: Box::new(build) });
    }

    /// A column that holds the field of each row that `field` names; its type is that of the field.
    pub fn cell<T: Cell>(&mut self, name: &'static str, description: &'static str, field: fn(&R) -> &T) {
        let build = move |rows: &[R]| T::array(rows.iter().map(field));
        self.add((name, description), T::data_type(), T::NULLABLE, build);
    }

    /// Text that every row has: part of what identifies it.
    pub fn identity(
        &mut self,
        name: &'static str,
        description: &'static str,
        value: impl for<'a> Fn(&'a R) -> &'a str + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(&value))) };
        self.add((name, description), DataType::Utf8, false, build);
    }

    /// Text. What is empty is `NULL`: APIs write both for "none".
    pub fn text(
        &mut self,
        name: &'static str,
        description: &'static str,
        value: impl for<'a> Fn(&'a R) -> Option<&'a str> + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| -> ArrayRef {
            let cells = rows.iter().map(|row| value(row).filter(|text| !text.is_empty()));
            Arc::new(cells.collect::<StringArray>())
        };
        self.add((name, description), DataType::Utf8, true, build);
    }

    /// Text that is made for the column, such as JSON.
    pub fn made_text(
        &mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<String> + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| -> ArrayRef { Arc::new(rows.iter().map(&value).collect::<StringArray>()) };
        self.add((name, description), DataType::Utf8, true, build);
    }

    /// Whole numbers.
    pub fn integer<I: Into<i64>>(
        &mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<I> + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| -> ArrayRef {
            Arc::new(rows.iter().map(|row| value(row).map(Into::into)).collect::<Int64Array>())
        };
        self.add((name, description), DataType::Int64, true, build);
    }

    /// Numbers.
    pub fn real(
        &mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<f64> + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| -> ArrayRef { Arc::new(rows.iter().map(&value).collect::<Float64Array>()) };
        self.add((name, description), DataType::Float64, true, build);
    }

    /// Yes or no.
    pub fn boolean(
        &mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<bool> + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| -> ArrayRef { Arc::new(rows.iter().map(&value).collect::<BooleanArray>()) };
        self.add((name, description), DataType::Boolean, true, build);
    }

    /// Moments.
    pub fn moment(
        &mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<Moment> + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| Moment::array(rows.iter().map(&value));
        self.add((name, description), Moment::data_type(), true, build);
    }

    /// Lists of texts, in the order that `values` gives.
    pub fn texts<T: AsRef<str>>(
        &mut self,
        name: &'static str,
        description: &'static str,
        values: impl Fn(&R) -> Vec<T> + Send + Sync + 'static,
    ) {
        self.known_texts(name, description, move |row| Some(values(row)));
    }

    /// The same, of what may not be known.
    pub fn known_texts<T: AsRef<str>>(
        &mut self,
        name: &'static str,
        description: &'static str,
        values: impl Fn(&R) -> Option<Vec<T>> + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| -> ArrayRef {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for row in rows {
                let texts = values(row);
                let is_known = texts.is_some();
                for text in texts.into_iter().flatten() {
                    lists.values().append_value(text);
                }
                lists.append(is_known);
            }
            Arc::new(lists.finish())
        };
        self.add((name, description), DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), true, build);
    }

    /// Maps of texts, such as tags: sorted by key, since APIs give them in any order; the first of a key counts.
    pub fn map(
        &mut self,
        name: &'static str,
        description: &'static str,
        entries: impl Fn(&R) -> Vec<(String, String)> + Send + Sync + 'static,
    ) {
        self.known_map(name, description, move |row| Some(entries(row)));
    }

    /// The same, of what may not be known.
    pub fn known_map(
        &mut self,
        name: &'static str,
        description: &'static str,
        entries: impl Fn(&R) -> Option<Vec<(String, String)>> + Send + Sync + 'static,
    ) {
        let build = move |rows: &[R]| map_array(rows.iter().map(&entries));
        let data_type = map_array(std::iter::empty()).data_type().clone();
        self.add((name, description), data_type, true, build);
    }

    /// The fields of the table's schema.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.columns.iter().map(|column| Field::new(column.name, column.data_type.clone(), column.nullable))
    }

    /// Names and descriptions.
    pub fn descriptions(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.columns.iter().map(|column| (column.name, column.description))
    }

    /// The columns of these rows.
    pub fn arrays(&self, rows: &[R]) -> impl Iterator<Item = ArrayRef> {
        self.columns.iter().map(|column| (column.build)(rows))
    }
}

fn map_array(rows: impl Iterator<Item = Option<Vec<(String, String)>>>) -> ArrayRef {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for entries in rows {
        let is_known = entries.is_some();
        let mut entries = entries.unwrap_or_default();
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        entries.dedup_by(|(later, _), (earlier, _)| later == earlier);
        for (key, value) in entries {
            maps.keys().append_value(key);
            maps.values().append_value(value);
        }
        // Keys and values have just been added in pairs: they cannot be of different lengths.
        let _ = maps.append(is_known);
    }
    Arc::new(maps.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    #[test]
    fn empty_text_is_null_and_tags_are_sorted_with_the_first_of_a_key() {
        let mut columns: Columns<Vec<(String, String)>> = Columns::default();
        columns.text("first", "", |row: &Vec<(String, String)>| row.first().map(|(key, _)| key.as_str()));
        columns.map("tags", "", Clone::clone);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let rows = vec![vec![pair("b", "1"), pair("a", "2"), pair("b", "3")], vec![pair("", "x")], vec![]];
        let arrays: Vec<ArrayRef> = columns.arrays(&rows).collect();
        assert_eq!(arrays[0].null_count(), 2);
        let tags = arrays[1].as_map();
        assert_eq!(tags.value(0).column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(tags.value(0).column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["2", "1"]);
        assert_eq!((tags.value_length(1), tags.value_length(2)), (1, 0));
        let fields: Vec<Field> = columns.fields().collect();
        assert_eq!(fields[1].data_type(), arrays[1].data_type());
    }

    #[test]
    fn lists_and_maps_that_are_not_known_are_null_and_not_empty() {
        let mut columns: Columns<bool> = Columns::default();
        columns.known_texts("texts", "", |known| known.then(|| vec!["a"]));
        columns.known_map("map", "", |known| known.then(Vec::new));
        for array in columns.arrays(&[true, false]) {
            assert!(array.is_valid(0) && array.is_null(1));
        }
    }
}
