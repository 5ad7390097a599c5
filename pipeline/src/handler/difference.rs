//! What is not as it shall be.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{Fields, PURGED};

/// A field that is not as it shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// What it is; null where there is nothing.
    pub current: Value,
    /// What it shall be.
    pub desired: Value,
}

/// The fields that are not as they shall be, in the order of the resource. As JSON an object:
/// `{"mode": {"current": "0644", "desired": "0600"}}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes(Vec<(String, FieldChange)>);

impl Changes {
    /// Notes a change; one of the same field is replaced.
    pub fn add(&mut self, field: &str, current: Value, desired: Value) {
        let change = FieldChange { current, desired };
        match self.0.iter_mut().find(|(name, _)| name == field) {
            Some((_, known)) => *known = change,
            None => self.0.push((field.to_owned(), change)),
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The change of a field.
    pub fn get(&self, field: &str) -> Option<&FieldChange> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, change)| change)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldChange)> {
        self.0.iter().map(|(name, change)| (name.as_str(), change))
    }
}

impl Serialize for Changes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Changes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::<String, Value>::deserialize(deserializer)?;
        let change = |(name, value)| Ok((name, serde_json::from_value(value).map_err(serde::de::Error::custom)?));
        members.into_iter().map(change).collect::<Result<Vec<_>, D::Error>>().map(Self)
    }
}

/// What shall be otherwise than it is: whether the resource is there, and these fields of it. A desired value that is null
/// does not matter, nor do the fields of what shall not be there.
pub fn difference(current: &Fields, purged: bool, desired: &Fields) -> Changes {
    let mut changes = Changes::default();
    let is_purged = current.get(PURGED).and_then(Value::as_bool).unwrap_or(false);
    if is_purged != purged {
        changes.add(PURGED, json!(is_purged), json!(purged));
    }
    for (name, wanted) in desired.iter().filter(|_| !purged) {
        let is = current.get(name).unwrap_or(&Value::Null);
        if !wanted.is_null() && !is_same(is, wanted) {
            changes.add(name, is.clone(), wanted.clone());
        }
    }
    changes
}

/// Whether two values are the same. Numbers are, whether they are written `1` or `1.0`: SQL and APIs differ in that.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same = |(name, value)| right.get(name).is_some_and(|other| is_same(value, other));
            left.len() == right.len() && left.iter().all(same)
        }
        _ => left == right,
    }
}
