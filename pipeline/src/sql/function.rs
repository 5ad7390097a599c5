//! What a function is: its name, what it takes and gives, and the values of a batch of rows.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, ListBuilder, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::json;

/// The type of an argument or a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text.
    Text,
    /// JSON as text; as an argument, a map, a struct or a list too.
    Json,
    /// The key of an object (text) or the index of an array (a whole number, from 0; from the end where negative).
    Key,
    /// A whole number of 64 bits.
    Integer,
    /// A floating number of 64 bits.
    Number,
    /// True or false.
    Boolean,
    /// A time, in UTC.
    Timestamp,
    /// A day.
    Date,
    /// A list of text.
    Texts,
    /// A value of any type.
    Any,
}

impl Kind {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Key => "key",
            Self::Integer => "int",
            Self::Number => "float",
            Self::Boolean => "bool",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Texts => "list of text",
            Self::Any => "any",
        }
    }

    fn result(self) -> DataType {
        match self {
            Self::Text | Self::Json | Self::Key | Self::Any => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => timestamp(),
            Self::Date => DataType::Date32,
            Self::Texts => texts(),
        }
    }

    /// The type that an argument of type `given` is cast to; `None` where it does not fit.
    fn taken(self, given: &DataType) -> Option<DataType> {
        match self {
            Self::Any => Some(given.clone()),
            Self::Json if given.is_nested() => Some(given.clone()),
            Self::Key if given.is_integer() => Some(DataType::Int64),
            Self::Text | Self::Json | Self::Key => is_text(given).then_some(DataType::Utf8),
            Self::Integer => (given.is_integer() || given.is_null()).then_some(DataType::Int64),
            Self::Number => (given.is_numeric() || given.is_null()).then_some(DataType::Float64),
            Self::Boolean => matches!(given, DataType::Boolean | DataType::Null).then_some(DataType::Boolean),
            // What text does not mean a time is NULL, so the function reads it itself.
            Self::Timestamp | Self::Date if is_text(given) => Some(DataType::Utf8),
            Self::Timestamp | Self::Date => {
                let time = matches!(given, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
                time.then(|| self.result())
            }
            Self::Texts => match given {
                DataType::Null => Some(texts()),
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    is_text(item.data_type()).then(texts)
                }
                _ => None,
            },
        }
    }
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

fn texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// Whether a column of this type holds text, however it is laid out.
pub(super) fn is_text(given: &DataType) -> bool {
    match given {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// An argument of a function.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
}

/// A named argument.
pub(super) const fn argument(name: &'static str, kind: Kind) -> Argument {
    Argument { name, kind }
}

/// How a function gets its values.
pub(super) type Evaluate = fn(&Arguments) -> Result<ArrayRef>;

/// A function of one row. Immutable; NULL where an argument is NULL, and where an argument has no meaning.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Other names, those of PostgreSQL where it does the same.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub arguments: &'static [Argument],
    /// Whether the last argument may be there any number of times, or not at all.
    pub repeats: bool,
    /// What it gives.
    pub result: Kind,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// A call, and its result as text (`NULL` where there is none).
    pub example: (&'static str, &'static str),
    /// Its values for a batch of rows.
    pub(super) evaluate: Evaluate,
}

impl Definition {
    /// How it is called: `json_get(json json, key key, …)`.
    pub fn call(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| format!("{} {}", argument.name, argument.kind.name()));
        let mut arguments: Vec<String> = arguments.collect();
        if self.repeats {
            arguments.push("…".to_owned());
        }
        format!("{}({})", self.name, arguments.join(", "))
    }

    /// The function, to be registered.
    pub(super) fn function(&'static self) -> ScalarUDF {
        let inner = Function {
            definition: self,
            aliases: self.aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            signature: Signature::new(TypeSignature::UserDefined, Volatility::Immutable),
        };
        match self.name {
            "to_char" => super::time::to_char(inner),
            _ => ScalarUDF::new_from_impl(inner),
        }
    }
}

/// A definition as DataFusion calls it.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) definition: &'static Definition,
    aliases: Vec<String>,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.definition.result.result())
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = self.definition.arguments;
        let least = wanted.len() - usize::from(self.definition.repeats);
        if given.len() < least || (given.len() > wanted.len() && !self.definition.repeats) {
            return plan_err!("it is `{}`, and here it has {} arguments", self.definition.call(), given.len());
        }
        let mut types = Vec::with_capacity(given.len());
        for (position, given) in given.iter().enumerate() {
            let Some(wanted) = wanted.get(position).or(wanted.last()) else { break };
            let Some(taken) = wanted.kind.taken(given) else {
                let (call, name, kind) = (self.definition.call(), wanted.name, wanted.kind.name());
                return plan_err!("it is `{call}`, and here `{name}` is {given}, not {kind}");
            };
            types.push(taken);
        }
        Ok(types)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = Arguments::new(arguments.args, arguments.number_rows, self.definition)?;
        let values = (self.definition.evaluate)(&arguments)?;
        match arguments.constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?)),
            false => Ok(ColumnarValue::Array(values)),
        }
    }
}

/// The arguments of a call, for all rows of a batch.
pub(super) struct Arguments {
    columns: Vec<Column>,
    rows: usize,
    /// Whether no argument differs from row to row: then there is one row.
    constant: bool,
}

struct Column {
    values: Values,
    /// Whether the one value stands for every row.
    constant: bool,
}

enum Values {
    Text(StringArray),
    Integer(Int64Array),
    Timestamp(TimestampMicrosecondArray),
    Date(Date32Array),
    Texts(ListArray),
    Other(ArrayRef),
}

impl Column {
    fn new(value: ColumnarValue, kind: Kind) -> Result<Self> {
        let (array, constant) = match value {
            ColumnarValue::Array(array) => (array, false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let array = match kind {
            Kind::Timestamp | Kind::Date => cast_with_options(&array, &kind.result(), &CastOptions::default())?,
            _ => array,
        };
        let values = match array.data_type() {
            _ if kind == Kind::Any => Values::Other(array),
            DataType::Utf8 => Values::Text(array.as_string::<i32>().clone()),
            DataType::Int64 => Values::Integer(array.as_primitive::<Int64Type>().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::Timestamp(array.as_primitive::<TimestampMicrosecondType>().clone())
            }
            DataType::Date32 => Values::Date(array.as_primitive::<Date32Type>().clone()),
            DataType::List(_) if kind == Kind::Texts => Values::Texts(array.as_list::<i32>().clone()),
            data_type if data_type.is_nested() => Values::Text(json::encode(&array)?),
            _ => Values::Other(array),
        };
        Ok(Self { values, constant })
    }

    fn row(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }
}

impl Arguments {
    fn new(values: Vec<ColumnarValue>, rows: usize, definition: &Definition) -> Result<Self> {
        let kind = |position: usize| {
            let argument = definition.arguments.get(position).or(definition.arguments.last());
            argument.map_or(Kind::Any, |argument| argument.kind)
        };
        let columns = values.into_iter().enumerate();
        let columns = columns.map(|(position, value)| Column::new(value, kind(position)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let constant = columns.iter().all(|column| column.constant);
        Ok(Self { columns, rows: if constant { 1 } else { rows }, constant })
    }

    /// How many arguments there are.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// An argument as it is, for all rows, and whether it is one value for all of them.
    pub(super) fn any(&self, position: usize) -> Option<(&ArrayRef, bool)> {
        let column = self.columns.get(position)?;
        match &column.values {
            Values::Other(array) => Some((array, column.constant)),
            _ => None,
        }
    }

    /// The text that an argument is in a row.
    pub(super) fn text(&self, position: usize, row: usize) -> Option<&str> {
        let column = self.columns.get(position)?;
        let row = column.row(row);
        match &column.values {
            Values::Text(array) if array.is_valid(row) => Some(array.value(row)),
            _ => None,
        }
    }

    /// The whole number that an argument is in a row.
    pub(super) fn integer(&self, position: usize, row: usize) -> Option<i64> {
        let column = self.columns.get(position)?;
        let row = column.row(row);
        match &column.values {
            Values::Integer(array) if array.is_valid(row) => Some(array.value(row)),
            _ => None,
        }
    }

    /// The time that an argument is in a row, in µs since 1970.
    pub(super) fn timestamp(&self, position: usize, row: usize) -> Option<i64> {
        let column = self.columns.get(position)?;
        let row = column.row(row);
        match &column.values {
            Values::Timestamp(array) if array.is_valid(row) => Some(array.value(row)),
            _ => None,
        }
    }

    /// The day that an argument is in a row, counted from 1970-01-01.
    pub(super) fn date(&self, position: usize, row: usize) -> Option<i32> {
        let column = self.columns.get(position)?;
        let row = column.row(row);
        match &column.values {
            Values::Date(array) if array.is_valid(row) => Some(array.value(row)),
            _ => None,
        }
    }

    /// The texts that an argument lists in a row, without NULLs.
    pub(super) fn texts(&self, position: usize, row: usize) -> Option<Vec<String>> {
        let column = self.columns.get(position)?;
        let row = column.row(row);
        match &column.values {
            Values::Texts(array) if array.is_valid(row) => {
                let items = array.value(row);
                let items = items.as_string_opt::<i32>()?;
                Some(items.iter().flatten().map(str::to_owned).collect())
            }
            _ => None,
        }
    }

    /// A text for each row.
    pub(super) fn give_texts<T: AsRef<str>>(&self, mut value: impl FnMut(usize) -> Option<T>) -> Result<ArrayRef> {
        let mut builder = StringBuilder::with_capacity(self.rows, self.rows * 16);
        (0..self.rows).for_each(|row| builder.append_option(value(row)));
        Ok(Arc::new(builder.finish()))
    }

    /// A truth for each row.
    pub(super) fn give_booleans(&self, value: impl FnMut(usize) -> Option<bool>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<BooleanArray>()))
    }

    /// A whole number for each row.
    pub(super) fn give_integers(&self, value: impl FnMut(usize) -> Option<i64>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Int64Array>()))
    }

    /// A number for each row.
    pub(super) fn give_numbers(&self, value: impl FnMut(usize) -> Option<f64>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Float64Array>()))
    }

    /// A list of texts for each row.
    pub(super) fn give_lists(&self, mut value: impl FnMut(usize) -> Option<Vec<Option<String>>>) -> Result<ArrayRef> {
        let mut builder = ListBuilder::new(StringBuilder::new());
        (0..self.rows).for_each(|row| builder.append_option(value(row)));
        Ok(Arc::new(builder.finish()))
    }

    /// A day for each row.
    pub(super) fn give_dates(&self, value: impl FnMut(usize) -> Option<i32>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Date32Array>()))
    }
}
