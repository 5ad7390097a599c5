//! Rows in another shape: members renamed or left out at every depth, without touching their values.
//!
//! A row of Arrow cannot tell a member that is absent from one that is NULL, so NULL counts as absent here: where two
//! members get the same name, a row has the value of the first of them that is not NULL.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, LargeListArray, ListArray, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow::compute::{cast, is_not_null, kernels::zip::zip};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::{InputIndex, Operator, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port, PortIndex, union_schema};
use tidegate_pipeline::step::StepHeader;

use crate::by_schema::BySchema;

/// What becomes of members.
pub(crate) trait Rules: Send + Sync {
    /// The name that a member gets; `None`: it is left out. `parents` are the members that it is in, outermost first.
    fn name<'f>(&self, parents: &[&'f Field], field: &'f Field) -> Option<Cow<'f, str>>;

    /// Whether objects inside of lists are treated like others.
    fn enters_lists(&self) -> bool;

    /// Whether a renamed member wins over the one that has the name already.
    fn overwrites(&self) -> bool;
}

/// An operator that gives its rows another shape.
pub(crate) fn planned(rules: impl Rules + 'static, context: &PlanContext<'_>) -> PlannedOperator {
    let rules: Arc<dyn Rules> = Arc::new(rules);
    let schema = Shape::of(context.schema.fields(), rules.as_ref(), &[]).schema(&context.schema);
    let port = Port { name: OUT.into(), schema, open: context.open };
    PlannedOperator::new(vec![port], move || {
        Ok(Box::new(Reshaping { rules: Arc::clone(&rules), shapes: BySchema::default() }))
    })
}

struct Reshaping {
    rules: Arc<dyn Rules>,
    shapes: BySchema<(Shape, SchemaRef)>,
}

#[async_trait]
impl Operator for Reshaping {
    async fn process(&mut self, _: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let rules = &self.rules;
        let (shape, schema) = self.shapes.get_or_insert(rows.schema_ref(), |schema| {
            let shape = Shape::of(schema.fields(), rules.as_ref(), &[]);
            let reshaped = shape.schema(schema);
            (shape, reshaped)
        });
        if schema == rows.schema_ref() {
            out.emit(PortIndex(0), rows.clone());
            return Ok(());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let columns = shape.columns(rows.columns())?;
        out.emit(PortIndex(0), RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?);
        Ok(())
    }
}

/// The members of an object, and which old ones each is made of.
#[derive(Debug)]
struct Shape {
    fields: Fields,
    members: Vec<Vec<Part>>,
}

/// An old member: the first one that is not NULL counts.
#[derive(Debug)]
struct Part {
    place: usize,
    change: Change,
}

/// What becomes of the values of a member.
#[derive(Debug)]
enum Change {
    Nothing,
    Members(Shape),
    Items(FieldRef, Box<Change>),
}

impl Shape {
    fn of(fields: &Fields, rules: &dyn Rules, parents: &[&Field]) -> Self {
        let mut names: Vec<Cow<'_, str>> = Vec::new();
        let mut places: HashMap<Cow<'_, str>, Vec<usize>> = HashMap::new();
        for (place, field) in fields.iter().enumerate() {
            let Some(name) = rules.name(parents, field) else { continue };
            let same = places.entry(name.clone()).or_default();
            if same.is_empty() {
                names.push(name);
            }
            same.push(place);
        }
        let mut shape = Self { fields: Fields::empty(), members: Vec::new() };
        let mut new = Vec::with_capacity(names.len());
        for name in names {
            let mut places = places.remove(&name).unwrap_or_default();
            let renamed = |place: &usize| *fields[*place].name() != name;
            // A later renamed member overwrites what an earlier one has written.
            match rules.overwrites() {
                true => places.sort_by_key(|place| (!renamed(place), usize::MAX - place)),
                false => places.sort_by_key(|place| (renamed(place), *place)),
            }
            let (field, parts) = member(&name, fields, &places, rules, parents);
            new.push(field);
            shape.members.push(parts);
        }
        shape.fields = new.into();
        shape
    }

    fn schema(&self, old: &SchemaRef) -> SchemaRef {
        match self.fields == *old.fields() {
            true => Arc::clone(old),
            false => Arc::new(Schema::new(self.fields.clone())),
        }
    }

    fn columns(&self, old: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        self.fields.iter().zip(&self.members).map(|(field, parts)| merged(parts, field.data_type(), old)).collect()
    }
}

/// A member of this name, made of the old ones at `places`; the first of them wins.
fn member(
    name: &str,
    fields: &Fields,
    places: &[usize],
    rules: &dyn Rules,
    parents: &[&Field],
) -> (FieldRef, Vec<Part>) {
    let mut made: Option<FieldRef> = None;
    let mut parts = Vec::with_capacity(places.len());
    for place in places {
        let old = &fields[*place];
        let within: Vec<&Field> = parents.iter().copied().chain([old.as_ref()]).collect();
        let (change, data_type) = Change::of(old.data_type(), rules, &within);
        let own = Field::new(name, data_type.clone(), true);
        let field = match &made {
            None if old.name() == name && matches!(change, Change::Nothing) => Arc::clone(old),
            None => Arc::new(old.as_ref().clone().with_name(name).with_data_type(data_type)),
            // Values that have no type in common cannot stand in one column: the first ones stay.
            Some(first) => match common(first, &own) {
                Some(field) => field,
                None => continue,
            },
        };
        made = Some(field);
        parts.push(Part { place: *place, change });
    }
    (made.unwrap_or_else(|| Arc::new(Field::new(name, DataType::Null, true))), parts)
}

fn common(a: &Field, b: &Field) -> Option<FieldRef> {
    let one = |field: &Field| Arc::new(Schema::new(vec![field.clone().with_nullable(true)]));
    let both = union_schema(&[one(a), one(b)]).ok()?;
    both.fields().first().cloned()
}

fn merged(parts: &[Part], data_type: &DataType, old: &[ArrayRef]) -> Result<ArrayRef> {
    let mut merged: Option<ArrayRef> = None;
    for part in parts {
        let mut values = part.change.apply(&old[part.place])?;
        if values.data_type() != data_type {
            values = cast(&values, data_type)?;
        }
        merged = Some(match merged {
            None => values,
            Some(first) if first.null_count() == 0 => first,
            Some(first) => zip(&is_not_null(&first)?, &first, &values)?,
        });
    }
    Ok(merged.unwrap_or_else(|| arrow::array::new_null_array(data_type, 0)))
}

impl Change {
    fn of(data_type: &DataType, rules: &dyn Rules, parents: &[&Field]) -> (Self, DataType) {
        let unchanged = || (Self::Nothing, data_type.clone());
        let items = |item: &FieldRef, wrap: &dyn Fn(FieldRef) -> DataType| {
            let (change, of_items) = Self::of(item.data_type(), rules, parents);
            if matches!(change, Self::Nothing) {
                return unchanged();
            }
            let item = Arc::new(item.as_ref().clone().with_data_type(of_items));
            (Self::Items(Arc::clone(&item), Box::new(change)), wrap(item))
        };
        match data_type {
            DataType::Struct(fields) => {
                let shape = Shape::of(fields, rules, parents);
                if shape.fields == *fields {
                    return unchanged();
                }
                let reshaped = DataType::Struct(shape.fields.clone());
                (Self::Members(shape), reshaped)
            }
            DataType::List(item) if rules.enters_lists() => items(item, &DataType::List),
            DataType::LargeList(item) if rules.enters_lists() => items(item, &DataType::LargeList),
            DataType::FixedSizeList(item, size) if rules.enters_lists() => {
                items(item, &|item| DataType::FixedSizeList(item, *size))
            }
            _ => unchanged(),
        }
    }

    fn apply(&self, values: &ArrayRef) -> Result<ArrayRef> {
        Ok(match (self, values.data_type()) {
            (Self::Members(shape), DataType::Struct(_)) => {
                let (_, columns, nulls) = values.as_struct().clone().into_parts();
                match shape.fields.is_empty() {
                    true => Arc::new(StructArray::new_empty_fields(values.len(), nulls)),
                    false => Arc::new(StructArray::try_new(shape.fields.clone(), shape.columns(&columns)?, nulls)?),
                }
            }
            (Self::Items(item, change), DataType::List(_)) => {
                let (_, offsets, items, nulls) = values.as_list::<i32>().clone().into_parts();
                Arc::new(ListArray::try_new(Arc::clone(item), offsets, change.apply(&items)?, nulls)?)
            }
            (Self::Items(item, change), DataType::LargeList(_)) => {
                let (_, offsets, items, nulls) = values.as_list::<i64>().clone().into_parts();
                Arc::new(LargeListArray::try_new(Arc::clone(item), offsets, change.apply(&items)?, nulls)?)
            }
            (Self::Items(item, change), DataType::FixedSizeList(..)) => {
                let (_, size, items, nulls) = values.as_fixed_size_list().clone().into_parts();
                Arc::new(FixedSizeListArray::try_new(Arc::clone(item), size, change.apply(&items)?, nulls)?)
            }
            _ => Arc::clone(values),
        })
    }
}
