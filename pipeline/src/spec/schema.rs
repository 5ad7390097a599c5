//! The JSON Schema of a pipeline file, for editors.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::Duration;
use super::node::common_keys;
use super::pipeline::{
    CheckpointSettings, JournalSettings, Limits, OnEnd, OnError, RestartSettings, Section, StopSettings, VERSION,
};

/// A kind of node as the schema describes it.
#[derive(Debug, Clone)]
pub struct KindSchema {
    /// Its name.
    pub name: String,
    /// The schema of its options.
    pub options: Schema,
    /// What it does, in one sentence.
    pub summary: String,
}

/// All kinds of nodes that a program offers.
#[derive(Debug, Clone, Default)]
pub struct KindSchemas {
    /// The sources.
    pub sources: Vec<KindSchema>,
    /// The operators.
    pub operators: Vec<KindSchema>,
    /// The sinks.
    pub sinks: Vec<KindSchema>,
}

/// The JSON Schema (draft 2020-12) of a whole pipeline file.
///
/// Definitions that the options of kinds bring along stand in the document's own `$defs`; one whose name is
/// taken by a different definition gets the kind's name before its own.
pub fn json_schema(kinds: &KindSchemas) -> Value {
    let mut document = Document::default();
    let mut properties = Map::new();
    properties.insert("version".into(), json!({"const": VERSION, "description": "The version of this format."}));
    properties.insert(
        "name".into(),
        json!({"type": "string", "pattern": "^[a-z0-9_-]+$", "description": "The pipeline's name; the file's by default."}),
    );
    properties.insert("description".into(), json!({"type": ["string", "null"]}));
    properties.insert("checkpoint".into(), document.of::<CheckpointSettings>());
    properties.insert("limits".into(), document.of::<Limits>());
    properties.insert("journal".into(), document.of::<JournalSettings>());
    properties.insert("restart".into(), document.of::<RestartSettings>());
    properties.insert("stop".into(), document.of::<StopSettings>());
    for (section, kinds) in
        [(Section::Source, &kinds.sources), (Section::Operator, &kinds.operators), (Section::Sink, &kinds.sinks)]
    {
        let schema = document.section(section, kinds);
        properties.insert(section.key().into(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Tidegate pipeline",
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": {"description": "Ignored: a place for anchors."}},
        "required": ["version", "sources"],
        "additionalProperties": false,
        "$defs": document.definitions,
    })
}

#[derive(Default)]
struct Document {
    definitions: Map<String, Value>,
}

impl Document {
    /// The schema of a type of this crate.
    fn of<T: JsonSchema>(&mut self) -> Value {
        let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
        self.hoist(&T::schema_name(), schema)
    }

    /// Moves a schema's own definitions into the document's; what is left refers to them there.
    fn hoist(&mut self, owner: &str, schema: Schema) -> Value {
        let mut schema = schema.to_value();
        close(&mut schema);
        let Some(object) = schema.as_object_mut() else { return schema };
        object.remove("$schema");
        let Some(Value::Object(definitions)) = object.remove("$defs") else { return schema };
        let taken =
            |name: &str, definition: &Value| self.definitions.get(name).is_some_and(|other| other != definition);
        let conflict = definitions.iter().any(|(name, definition)| taken(name, definition));
        let rename = |name: &str| if conflict { format!("{owner}_{name}") } else { name.to_owned() };
        for (name, mut definition) in definitions.clone() {
            redirect(&mut definition, &rename);
            self.definitions.insert(rename(&name), definition);
        }
        redirect(&mut schema, &rename);
        schema
    }

    fn section(&mut self, section: Section, kinds: &[KindSchema]) -> Value {
        let mut properties = Map::new();
        for key in common_keys(section) {
            properties.insert((*key).into(), self.common(key));
        }
        for kind in kinds {
            let options = self.hoist(&kind.name, kind.options.clone());
            let optional = options.get("required").is_none() && options.get("type") == Some(&json!("object"));
            let options = if optional { json!({"anyOf": [options, {"type": "null"}]}) } else { options };
            properties.insert(kind.name.clone(), json!({"description": kind.summary, "allOf": [options]}));
        }
        let one_kind: Vec<Value> = kinds.iter().map(|kind| json!({"required": [kind.name]})).collect();
        let mut node = json!({"type": "object", "properties": properties, "additionalProperties": false});
        if !one_kind.is_empty() {
            node["oneOf"] = one_kind.into();
        }
        if section != Section::Source {
            node["required"] = json!(["from"]);
        }
        if section == Section::Operator {
            node["dependentRequired"] = json!({"match": ["route"]});
        }
        let name = section.to_string();
        self.definitions.insert(name.clone(), node.clone());
        let names = "^[A-Za-z_][A-Za-z0-9_-]*$";
        let by_name = json!({
            "type": "object",
            "propertyNames": {"pattern": names, "not": {"const": crate::step::ENGINE}},
            "additionalProperties": {"$ref": format!("#/$defs/{name}")},
        });
        if section != Section::Source {
            return json!({"anyOf": [by_name, {"type": "null"}]});
        }
        node["properties"]["name"] = json!({"type": "string", "pattern": names});
        node["required"] = json!(["name"]);
        self.definitions.insert("listed_source".into(), node);
        json!({"anyOf": [by_name, {"type": "array", "items": {"$ref": "#/$defs/listed_source"}}]})
    }

    fn common(&mut self, key: &str) -> Value {
        match key {
            "from" => json!({
                "description": "What the node reads: NODE (all its data ports) or NODE.PORT, or a list of them.",
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true}],
            }),
            "match" => {
                json!({"enum": ["first", "all"], "description": "Whether a row goes to the first port that matches, or to all."})
            }
            "was" => {
                json!({"type": ["string", "null"], "description": "The name that the node had before: its state moves along."})
            }
            "on_error" => self.of::<OnError>(),
            "on_end" => self.of::<OnEnd>(),
            "stall_after" => {
                let mut after = self.of::<Duration>();
                after["description"] = "How long the source may give nothing before it is shown as stalled.".into();
                after
            }
            "uses" => json!({
                "description": "Sources that are set up before this one, and whose shared options (accounts, regions) it takes over where it has none.",
                "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "uniqueItems": true}, {"type": "null"}],
            }),
            "filters" => json!({
                "description": "Operators through which everything passes before others read the source, as ansible-rulebook lists them.",
                "type": ["array", "null"],
                "items": {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]},
            }),
            _ => json!({"type": ["string", "null"], "description": "What the node is for."}),
        }
    }
}

/// Reading options refuses keys that their type does not know; so does the schema.
fn close(schema: &mut Value) {
    if let Value::Object(object) = schema {
        let open = ["additionalProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf"];
        if object.get("properties").is_some_and(Value::is_object) && !open.iter().any(|key| object.contains_key(*key)) {
            object.insert("additionalProperties".into(), false.into());
        }
        object.values_mut().for_each(close);
    } else if let Value::Array(items) = schema {
        items.iter_mut().for_each(close);
    }
}

/// Lets every `$ref` follow its definition to its new name.
fn redirect(schema: &mut Value, rename: &dyn Fn(&str) -> String) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(reference) if key == "$ref" => {
                        if let Some(name) = reference.strip_prefix("#/$defs/") {
                            *reference = format!("#/$defs/{}", rename(name));
                        }
                    }
                    value => redirect(value, rename),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, rename)),
        _ => {}
    }
}
