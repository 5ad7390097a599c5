//! How a table of AWS is declared: what every row has, and what the rows of this one have.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use aws_sdk_ec2::primitives::DateTime;
use tidegate_connectors::providers::columns::{Columns, Moment};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::table::{Reference, TableDefinition, View};

use super::raw::Original;
use crate::estate::Place;

/// The columns that precede those of a table, all text that is never NULL.
const LEADING: [(&str, &str); 4] = [
    ("account_id", "The account, twelve digits."),
    ("partition", "The partition of AWS: `aws`, `aws-cn`, `aws-us-gov`."),
    ("region", "The region; `global` for what belongs to none."),
    ARN,
];
const ARN: (&str, &str) = ("arn", "The ARN.");
const RAW: (&str, &str) = ("raw", "What AWS wrote of it, as JSON, with lists sorted; text where AWS wrote XML.");
const COLLECTED: (&str, &str) = ("_collected_at", "When it was read.");

/// Makes the ARN of a row.
type MakeArn<R> = Box<dyn Fn(&Place, &R) -> String + Send + Sync>;

/// A table whose rows are made of `R`: mostly what the SDK gives, with the ids of what it is nested in.
pub(crate) struct Table<R> {
    name: &'static str,
    description: &'static str,
    key: Vec<&'static str>,
    target: Option<&'static str>,
    references: Vec<Reference>,
    views: Vec<View>,
    distinct_arn: bool,
    /// Elements that `raw` leaves out.
    unkept: Vec<&'static str>,
    arn: MakeArn<R>,
    columns: Columns<R>,
}

/// A table of AWS, whatever its rows are made of.
pub(crate) trait Declared: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its columns and key.
    fn definition(&self) -> TableDefinition;
}

impl<R: 'static> Table<R> {
    /// A table without columns yet.
    pub(crate) fn new(
        name: &'static str,
        description: &'static str,
        arn: impl Fn(&Place, &R) -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            description,
            key: Vec::new(),
            target: None,
            references: Vec::new(),
            views: Vec::new(),
            distinct_arn: true,
            unkept: Vec::new(),
            arn: Box::new(arn),
            columns: Columns::default(),
        }
    }

    /// Text that is part of what identifies a row in its account and region.
    #[must_use]
    pub(crate) fn key(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl for<'a> Fn(&'a R) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.key.push(name);
        self.columns.identity(name, description, move |row| value(row).unwrap_or_default());
        self
    }

    /// As [`Table::key`], and what a targeted refresh names: the row, or what it is nested in.
    #[must_use]
    pub(crate) fn target(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl for<'a> Fn(&'a R) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.target = Some(name);
        self.key(name, description, value)
    }

    /// Its ARN identifies a row, and is what a targeted refresh names.
    #[must_use]
    pub(crate) fn by_arn(mut self) -> Self {
        self.key.push(ARN.0);
        self.target = Some(ARN.0);
        self
    }

    /// Text; what is empty is NULL.
    #[must_use]
    pub(crate) fn text(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl for<'a> Fn(&'a R) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.columns.text(name, description, value);
        self
    }

    /// Text that names a row of another table.
    #[must_use]
    pub(crate) fn reference(
        mut self,
        name: &'static str,
        description: &'static str,
        (table, to): (&'static str, &'static str),
        value: impl for<'a> Fn(&'a R) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.references.push(Reference::new([name], table, [to]));
        self.text(name, description, value)
    }

    /// Its ARN is that of something of which there are several rows.
    #[must_use]
    pub(crate) fn shared_arn(mut self) -> Self {
        self.distinct_arn = false;
        self
    }

    /// Another shape that the table can be read in.
    #[must_use]
    pub(crate) fn view(mut self, view: View) -> Self {
        self.views.push(view);
        self
    }

    /// Whole numbers.
    #[must_use]
    pub(crate) fn integer<I: Into<i64>>(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<I> + Send + Sync + 'static,
    ) -> Self {
        self.columns.integer(name, description, value);
        self
    }

    /// Numbers.
    #[must_use]
    pub(crate) fn real(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        self.columns.real(name, description, value);
        self
    }

    /// Yes or no.
    #[must_use]
    pub(crate) fn boolean(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<bool> + Send + Sync + 'static,
    ) -> Self {
        self.columns.boolean(name, description, value);
        self
    }

    /// Moments.
    #[must_use]
    pub(crate) fn time(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl for<'a> Fn(&'a R) -> Option<&'a DateTime> + Send + Sync + 'static,
    ) -> Self {
        self.columns.moment(name, description, move |row| value(row).and_then(moment));
        self
    }

    /// Moments that are made of something else.
    #[must_use]
    pub(crate) fn made_time(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<Moment> + Send + Sync + 'static,
    ) -> Self {
        self.columns.moment(name, description, value);
        self
    }

    /// Lists of texts.
    #[must_use]
    pub(crate) fn texts<T: AsRef<str>>(
        mut self,
        name: &'static str,
        description: &'static str,
        values: impl Fn(&R) -> Vec<T> + Send + Sync + 'static,
    ) -> Self {
        self.columns.texts(name, description, values);
        self
    }

    /// Lists of texts that may not be known.
    #[must_use]
    pub(crate) fn known_texts<T: AsRef<str>>(
        mut self,
        name: &'static str,
        description: &'static str,
        values: impl Fn(&R) -> Option<Vec<T>> + Send + Sync + 'static,
    ) -> Self {
        self.columns.known_texts(name, description, values);
        self
    }

    /// The column `tags`.
    #[must_use]
    pub(crate) fn tags(mut self, tags: impl Fn(&R) -> Vec<(String, String)> + Send + Sync + 'static) -> Self {
        self.columns.map("tags", "The tags.", tags);
        self
    }

    /// The column `tags`, where they may not be known.
    #[must_use]
    pub(crate) fn known_tags(
        mut self,
        tags: impl Fn(&R) -> Option<Vec<(String, String)>> + Send + Sync + 'static,
    ) -> Self {
        self.columns.known_map("tags", "The tags; NULL where they may not be read.", tags);
        self
    }

    /// JSON as text, such as a policy document.
    #[must_use]
    pub(crate) fn json(
        mut self,
        name: &'static str,
        description: &'static str,
        value: impl Fn(&R) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.columns.made_text(name, description, value);
        self
    }

    /// A column that was declared before, and is no text, is part of what identifies a row.
    #[must_use]
    pub(crate) fn identified_by(mut self, name: &'static str) -> Self {
        self.key.push(name);
        self
    }

    /// Elements of AWS that `raw` leaves out wherever they stand: secrets, and what changes by itself.
    #[must_use]
    pub(crate) fn without(mut self, elements: impl IntoIterator<Item = &'static str>) -> Self {
        self.unkept.extend(elements);
        self
    }

    fn schema(&self) -> SchemaRef {
        let leading = LEADING.map(|(name, _)| Field::new(name, DataType::Utf8, false));
        let last = [Field::new(RAW.0, DataType::Utf8, true), Field::new(COLLECTED.0, Moment::data_type(), true)];
        let fields = leading.into_iter().chain(self.columns.fields()).chain(last);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Begins the column `raw` of a page.
    pub(crate) fn originals(&self) -> Originals<'_> {
        Originals { unkept: &self.unkept, column: StringBuilder::new(), text: String::new() }
    }

    /// A page of rows, with what AWS wrote of each of them; where there are not as many originals as rows, none is kept.
    ///
    /// # Errors
    /// When the columns do not fit the schema, which is a fault of the program.
    pub(crate) fn page(
        &self,
        place: &Place,
        rows: &[R],
        originals: Originals<'_>,
        collected: Moment,
    ) -> Result<RecordBatch> {
        let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(|_| text))) };
        let arns: StringArray = rows.iter().map(|row| Some((self.arn)(place, row))).collect();
        let mut arrays =
            vec![same(&place.account_id), same(&place.partition), same(&place.region), Arc::new(arns) as ArrayRef];
        arrays.extend(self.columns.arrays(rows));
        arrays.push(Arc::new(originals.finish(rows.len())));
        arrays.push(Moment::array(rows.iter().map(|_| Some(collected))));
        RecordBatch::try_new(self.schema(), arrays)
            .map_err(|error| Error::internal(format!("a page of `{}`: {error}", self.name)))
    }
}

/// The column `raw` of a page that is being made.
pub(crate) struct Originals<'t> {
    unkept: &'t [&'static str],
    column: StringBuilder,
    text: String,
}

impl Originals<'_> {
    /// Adds what AWS wrote of the next row.
    pub(crate) fn add(&mut self, original: &impl Original) {
        if original.is_nothing() {
            return self.column.append_null();
        }
        self.text.clear();
        original.settle(self.unkept, &mut self.text);
        self.column.append_value(&self.text);
    }

    fn finish(mut self, rows: usize) -> StringArray {
        let column = self.column.finish();
        if column.len() == rows { column } else { StringArray::new_null(rows) }
    }
}

impl<R: 'static> Declared for Table<R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn definition(&self) -> TableDefinition {
        TableDefinition {
            columns: LEADING.into_iter().chain(self.columns.descriptions()).chain([RAW, COLLECTED]).collect(),
            target: self.target,
            distinct_arn: self.distinct_arn,
            references: self.references.clone(),
            views: self.views.clone(),
            ..TableDefinition::new(self.name, self.description, self.schema(), self.key.clone())
        }
    }
}

/// A moment of AWS; `None` where it is out of range.
pub(crate) fn moment(time: &DateTime) -> Option<Moment> {
    time.to_millis().ok().map(Moment)
}
