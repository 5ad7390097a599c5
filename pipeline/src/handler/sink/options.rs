//! The options that every handler has.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::resource::invalid_field;
use super::FieldDescription;
use super::limits::{MaxChanges, Window};
use crate::spec::diagnostic::{Diagnostic, Located};
use crate::spec::{Duration, Options, Tree};

/// Fields that every resource has.
const OF_ALL: [&str; 2] = ["purged", "managed"];

/// The options that every handler has beside its own. What is called SQL is an expression over the row.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandlerOptions {
    /// What identifies the resource, in SQL.
    pub id: Located<String>,
    /// What acts on the resource, in SQL: resources of one agent are dealt with one at a time, agents at the same time.
    #[serde(default)]
    pub agent: Option<Located<String>>,
    /// What the resource shall be: fields by name. Text is SQL, so a fixed text is written `"'text'"`; other values are
    /// what they are. A field that is NULL does not matter. `purged: true`: it shall not be there.
    #[serde(default)]
    pub desired: Desired,
    /// What has to be deployed before, in SQL: ids of resources of this sink as a text or a list of texts.
    #[serde(default)]
    pub requires: Option<Located<String>>,
    /// Who may be touched, in SQL: a list of agents or ids; NULL or an empty list sets no limit. By default `meta.hosts`,
    /// where rows have it.
    #[serde(default)]
    pub hosts: Option<Located<String>>,
    /// Whether anything is changed. Without it what differs is only reported.
    #[serde(default)]
    pub apply: bool,
    /// How many resources may be changed within `max_changes_per`: `5`, or `5%` of those that rows have named in that
    /// time, at least one. What goes beyond awaits approval.
    #[serde(default)]
    pub max_changes: Option<MaxChanges>,
    /// The time that `max_changes` counts.
    #[serde(default = "an_hour")]
    pub max_changes_per: Duration,
    /// When anything may be changed, as `{cron: "0 2 * * SAT", for: 4h, timezone: Europe/Brussels}`. Outside it resources
    /// wait.
    #[serde(default)]
    pub window: Option<Window>,
    /// Whether somebody has to approve each change: `tidegate effects approve`.
    #[serde(default)]
    pub approval: Approval,
    /// Whether resources that require one of these are reloaded when it has changed.
    #[serde(default)]
    pub send_event: bool,
    /// Whether these are reloaded when something has changed that they require and that sends events.
    #[serde(default = "yes")]
    pub receive_events: bool,
    /// For how long a resource that is deployed is taken as deployed, where the same is wanted of it again. By default each
    /// row has it looked at.
    #[serde(default)]
    pub repair_after: Option<Duration>,
    /// How long dealing with one resource may take.
    #[serde(default = "five_minutes")]
    pub timeout: Duration,
}

fn yes() -> bool {
    true
}

fn an_hour() -> Duration {
    Duration::seconds(3600)
}

fn five_minutes() -> Duration {
    Duration::seconds(300)
}

/// Whether somebody has to approve each change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Approval {
    /// Nobody is asked.
    #[default]
    None,
    /// Each change waits until it is approved.
    Required,
}

/// Fields by name, as the pipeline writes them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Desired(pub BTreeMap<String, Value>);

/// The value of an option, as written.
pub(super) fn option<'a>(options: &'a Options, name: &str) -> Option<&'a Located<Tree>> {
    let Tree::Map(entries) = &options.tree.value else { return None };
    entries.iter().find(|(key, _)| &*key.value == name).map(|(_, value)| value)
}

/// Fields that resources of a kind do not have.
pub(super) fn wrong_fields(
    shared: &HandlerOptions,
    options: &Options,
    fields: Option<&'static [FieldDescription]>,
) -> Vec<Diagnostic> {
    let Some(Located { value: Tree::Map(entries), .. }) = option(options, "desired") else { return Vec::new() };
    let mut wrong = Vec::new();
    for (name, _) in entries.iter().filter(|(name, _)| shared.desired.0.contains_key(&*name.value)) {
        if let Some(reserved) = invalid_field(&name.value) {
            wrong.push(Diagnostic::error(name.place, reserved.to_string()));
        } else if let Some(fields) = fields {
            let known: Vec<&str> = fields.iter().map(|field| field.name).chain(OF_ALL).collect();
            if !known.contains(&&*name.value) {
                let message = format!("resources of this kind have no field `{}`", &*name.value);
                wrong.push(Diagnostic::error(name.place, message).with_expected(&name.value, known));
            }
        }
    }
    wrong
}

/// Says in the schema which fields there are.
pub(super) fn describe_fields(schema: &mut Schema, fields: &[FieldDescription]) {
    let Some(desired) = schema.pointer_mut("/properties/desired") else { return };
    let about: Vec<String> = fields.iter().map(|field| format!("`{}`: {}", field.name, field.about)).collect();
    let said = desired.get("description").and_then(Value::as_str).unwrap_or_default();
    let said = format!("{said} Fields: {}", about.join(" "));
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), json!({"description": field.about}))).collect();
    let mut properties = properties;
    properties.insert("purged".to_owned(), json!({"description": "It shall not be there."}));
    properties.insert("managed".to_owned(), json!({"description": "Whether it is dealt with at all."}));
    *desired = json!({
        "type": "object", "description": said, "properties": properties, "additionalProperties": false, "default": {},
    });
}
