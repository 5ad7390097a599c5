//! Resources: what something outside shall be.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use super::ResourceId;

/// Fields by name, in the order in which the pipeline names them.
pub type Fields = Map<String, Value>;

/// The name of the field that says that a resource shall not be there.
pub const PURGED: &str = "purged";

/// Names that fields cannot have: they mean something else.
const RESERVED: [&str; 14] = [
    "id",
    "version",
    "model",
    "requires",
    "unknowns",
    "set_version",
    "clone",
    "is_type",
    "serialize",
    "send_event",
    "receive_events",
    "report_only",
    "references",
    "mutators",
];

/// What something outside shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Which it is.
    pub id: ResourceId,
    /// What it shall be. A field that is null does not matter.
    pub fields: Fields,
    /// The resources that have to be deployed before.
    #[serde(default)]
    pub requires: Vec<ResourceId>,
    /// It shall not be there.
    #[serde(default)]
    pub purged: bool,
    /// Whether it is enforced at all.
    #[serde(default = "yes")]
    pub managed: bool,
    /// It is looked at, and never changed.
    #[serde(default)]
    pub report_only: bool,
    /// Whether those that require it are told when it changes.
    #[serde(default)]
    pub send_event: bool,
    /// Whether it is reloaded when something changes that it requires and that tells of it.
    #[serde(default = "yes")]
    pub receive_events: bool,
}

fn yes() -> bool {
    true
}

/// A field that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a field cannot be called `{0}`: that name {1}")]
pub struct InvalidResource(String, &'static str);

impl Resource {
    /// A resource that shall be there and have these fields. `purged` and `managed` among them are taken as what they say
    /// of the resource itself.
    ///
    /// # Errors
    /// When a field has a name that means something else.
    pub fn new(id: ResourceId, mut fields: Fields) -> Result<Self, InvalidResource> {
        if let Some(wrong) = fields.keys().find_map(|name| invalid_field(name)) {
            return Err(wrong);
        }
        // Order matters to people: the other fields stay where they are.
        let flag = |fields: &mut Fields, name: &str| fields.shift_remove(name).and_then(|value| value.as_bool());
        let purged = flag(&mut fields, PURGED).unwrap_or(false);
        let managed = flag(&mut fields, "managed").unwrap_or(true);
        Ok(Self {
            id,
            fields,
            requires: Vec::new(),
            purged,
            managed,
            report_only: false,
            send_event: false,
            receive_events: true,
        })
    }

    /// The value of a field; null where it has none.
    pub fn field(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }

    /// The text of a field, where it has one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.field(name).as_str()
    }

    /// What the resource shall be, as a hash: equal for equal ids and fields, whatever their order.
    pub fn attribute_hash(&self) -> String {
        let sorted = sorted(&Value::Object(self.fields.clone()));
        let text = format!("{}\n{}\n{sorted}", self.id.without_version(), self.purged);
        format!("{:032x}", xxh3_128(text.as_bytes()))
    }
}

/// Why a field cannot have this name.
pub(super) fn invalid_field(name: &str) -> Option<InvalidResource> {
    let why = if RESERVED.contains(&name) {
        "means something else"
    } else if name.starts_with('_') {
        "begins with `_`"
    } else {
        return None;
    };
    Some(InvalidResource(name.to_owned(), why))
}

/// The same with the members of all objects in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            Value::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ResourceType;
    use super::*;

    fn resource(fields: Value) -> Result<Resource, InvalidResource> {
        let Value::Object(fields) = fields else { unreachable!() };
        Resource::new(ResourceType::new("std", "File", "path").id("local", "/etc/motd").unwrap(), fields)
    }

    #[test]
    fn purged_and_managed_are_said_of_the_resource_and_the_other_fields_keep_their_order() {
        let resource = resource(json!({"z": 1, "purged": true, "a": 2, "managed": false})).unwrap();
        assert_eq!((resource.purged, resource.managed), (true, false));
        assert_eq!(resource.fields.keys().collect::<Vec<_>>(), ["z", "a"]);
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in ["requires", "version", "_hidden", "send_event"] {
            assert!(resource(json!({ name: 1 })).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn the_attribute_hash_is_that_of_what_it_says_whatever_the_order() {
        let hash = |fields| resource(fields).unwrap().attribute_hash();
        assert_eq!(hash(json!({"a": {"x": 1, "y": 2}, "b": 2})), hash(json!({"b": 2, "a": {"y": 2, "x": 1}})));
        assert_ne!(hash(json!({"a": 1})), hash(json!({"a": 2})));
        assert_ne!(hash(json!({"a": 1})), hash(json!({"a": 1, "purged": true})));
    }
}
