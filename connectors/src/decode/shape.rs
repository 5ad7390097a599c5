//! The shape of JSON values: what inference finds in a sample, and how a new value widens it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::{Map, Value};

/// The type of a column of timestamps.
pub(crate) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Microseconds since 1970 of an RFC 3339 text.
pub(crate) fn timestamp_of_text(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// Microseconds since 1970 of a number of milliseconds.
pub(crate) fn timestamp_of_milliseconds(milliseconds: i64) -> Option<i64> {
    milliseconds.checked_mul(1000)
}

/// What a column holds. Only ever widened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Nothing but NULL so far.
    Null,
    Bool,
    Int,
    Float,
    Text,
    Timestamp,
    List(Box<Shape>),
    Struct(Members),
}

/// The members of a struct, in order of first appearance.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Members {
    index: HashMap<Arc<str>, usize>,
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq)]
struct Member {
    name: Arc<str>,
    shape: Shape,
    /// Declared by the user: never widened.
    fixed: bool,
}

/// How values of two kinds meet in one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// In a sample: mixed scalars become text.
    Sample,
    /// Afterwards: a column keeps its type, but for int → float.
    Running,
}

impl Shape {
    /// The shape of rows of `schema`; the columns named in `fixed` are never widened.
    pub(crate) fn of_schema(schema: &Schema, fixed: &[Arc<str>]) -> Self {
        let Self::Struct(mut members) = Self::of_fields(schema.fields()) else {
            return Self::Struct(Members::default());
        };
        for name in fixed {
            if let Some(at) = members.index.get(name) {
                members.members[*at].fixed = true;
            }
        }
        Self::Struct(members)
    }

    fn of_fields(fields: &Fields) -> Self {
        let mut members = Members::default();
        for field in fields {
            members.push(field.name().as_str().into(), Self::of_type(field.data_type()));
        }
        Self::Struct(members)
    }

    fn of_type(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool,
            DataType::Int64 => Self::Int,
            DataType::Float64 => Self::Float,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::List(item) => Self::List(Box::new(Self::of_type(item.data_type()))),
            DataType::Struct(fields) => Self::of_fields(fields),
            _ => Self::Text,
        }
    }

    /// The Arrow type; everything may be NULL.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Timestamp => timestamp_type(),
            Self::List(item) => DataType::List(Arc::new(Field::new("item", item.data_type(), true))),
            Self::Struct(members) => DataType::Struct(members.fields()),
        }
    }

    /// The schema of rows of this shape.
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Self::Struct(members) => Arc::new(Schema::new(members.fields())),
            _ => Arc::new(Schema::empty()),
        }
    }

    /// How many columns it is, nested ones counted.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Self::Struct(members) => members.members.iter().map(|member| 1 + member.shape.columns()).sum(),
            Self::List(item) => item.columns(),
            _ => 0,
        }
    }

    /// Puts the members in the order of `names`; those not named keep theirs, at the end.
    pub(crate) fn reorder(&mut self, names: &[String]) {
        let Self::Struct(members) = self else { return };
        let place: HashMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        members.members.sort_by_key(|member| place.get(member.name.as_ref()).copied().unwrap_or(usize::MAX));
        members.index = members.members.iter().enumerate().map(|(at, m)| (Arc::clone(&m.name), at)).collect();
    }

    /// What this must become to take `row`; `None` where it takes it as it is.
    ///
    /// # Errors
    /// Why it cannot take it, naming the column.
    pub(crate) fn meet_row(&self, row: &Map<String, Value>, meeting: Meeting) -> Result<Option<Self>, String> {
        match self {
            Self::Struct(members) => Ok(members.meet(row, &Path::Root, meeting)?.map(Self::Struct)),
            _ => Err("rows are JSON objects".to_owned()),
        }
    }

    fn meet(&self, value: &Value, path: &Path<'_>, meeting: Meeting) -> Result<Option<Self>, String> {
        match (self, value) {
            (_, Value::Null)
            | (Self::Bool, Value::Bool(_))
            | (Self::Float, Value::Number(_))
            | (Self::Text, Value::String(_) | Value::Number(_) | Value::Bool(_)) => Ok(None),
            (Self::Null, value) => Self::of_value(value, path).map(Some),
            (Self::Int, Value::Number(number)) => Ok(number.as_i64().is_none().then_some(Self::Float)),
            (Self::Timestamp, Value::String(text)) if timestamp_of_text(text).is_some() => Ok(None),
            (Self::Timestamp, Value::Number(number))
                if number.as_i64().and_then(timestamp_of_milliseconds).is_some() =>
            {
                Ok(None)
            }
            (Self::List(item), Value::Array(values)) => Ok(meet_items(item, values, path, meeting)?.map(Self::list)),
            (Self::Struct(members), Value::Object(map)) => Ok(members.meet(map, path, meeting)?.map(Self::Struct)),
            (Self::Bool | Self::Int | Self::Float, Value::Bool(_) | Value::Number(_) | Value::String(_))
                if meeting == Meeting::Sample =>
            {
                Ok(Some(Self::Text))
            }
            _ => Err(self.misfit(value, path)),
        }
    }

    fn misfit(&self, value: &Value, path: &Path<'_>) -> String {
        format!("column `{path}` is {}; this row has {}", self.data_type(), describe(value))
    }

    fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    /// The shape of a value that is seen for the first time.
    fn of_value(value: &Value, path: &Path<'_>) -> Result<Self, String> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.as_i64().is_some() => Self::Int,
            Value::Number(_) => Self::Float,
            Value::String(_) => Self::Text,
            Value::Array(values) => {
                let item = meet_items(&Self::Null, values, path, Meeting::Sample)?;
                Self::list(item.unwrap_or(Self::Null))
            }
            Value::Object(map) => {
                let members = Members::default().meet(map, path, Meeting::Sample)?;
                Self::Struct(members.unwrap_or_default())
            }
        })
    }
}

fn meet_items(item: &Shape, values: &[Value], path: &Path<'_>, meeting: Meeting) -> Result<Option<Shape>, String> {
    let path = Path::Item(path);
    let mut met: Option<Shape> = None;
    for value in values {
        if let Some(wider) = met.as_ref().unwrap_or(item).meet(value, &path, meeting)? {
            met = Some(wider);
        }
    }
    Ok(met)
}

impl Members {
    /// Adds a declared column.
    pub(crate) fn declare(&mut self, name: &str, shape: Shape) {
        self.push(name.into(), shape);
        if let Some(member) = self.members.last_mut() {
            member.fixed = true;
        }
    }

    fn push(&mut self, name: Arc<str>, shape: Shape) {
        self.index.insert(Arc::clone(&name), self.members.len());
        self.members.push(Member { name, shape, fixed: false });
    }

    fn fields(&self) -> Fields {
        self.members.iter().map(|member| Field::new(member.name.as_ref(), member.shape.data_type(), true)).collect()
    }

    fn meet(&self, row: &Map<String, Value>, path: &Path<'_>, meeting: Meeting) -> Result<Option<Self>, String> {
        let mut met: Option<Self> = None;
        for (name, value) in row {
            let path = Path::Member(path, name);
            match self.index.get(name.as_str()).map(|at| (*at, &self.members[*at])) {
                None => {
                    let shape = Shape::of_value(value, &path)?;
                    met.get_or_insert_with(|| self.clone()).push(name.as_str().into(), shape);
                }
                Some((at, member)) => {
                    let meeting = if member.fixed { Meeting::Running } else { meeting };
                    match member.shape.meet(value, &path, meeting)? {
                        None => {}
                        Some(_) if member.fixed => return Err(member.shape.misfit(value, &path)),
                        Some(wider) => met.get_or_insert_with(|| self.clone()).members[at].shape = wider,
                    }
                }
            }
        }
        Ok(met)
    }
}

/// Where in a row a value stands.
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Path::Root, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent) => write!(f, "{parent}[]"),
        }
    }
}

/// A value as a message names it.
fn describe(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > LONGEST => {
            format!("the text {:?}…", text.chars().take(LONGEST).collect::<String>())
        }
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
