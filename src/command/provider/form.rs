//! The options of a kind as a form: the fields of data-driven-forms, which web consoles draw
//! (<https://www.data-driven-forms.org>). Made from the same JSON Schema as everything else that is said of options.

use serde_json::{Map, Value, json};

/// How deep forms are nested: options that contain themselves end there.
const DEEPEST: usize = 6;

/// `{fields: […]}` for the options of the kind `kind`, whose schema is `schema`.
pub(super) fn form(kind: &str, schema: &Value) -> Value {
    let fields = Fields { definitions: schema.get("$defs").cloned().unwrap_or_default() };
    json!({ "title": kind, "fields": fields.of(schema, "", 0) })
}

struct Fields {
    definitions: Value,
}

impl Fields {
    /// A field for each property of an object.
    fn of(&self, object: &Value, path: &str, depth: usize) -> Vec<Value> {
        let Some(properties) = object.get("properties").and_then(Value::as_object) else { return Vec::new() };
        let required: Vec<&str> = strings(object.get("required"));
        let field = |(name, property): (&String, &Value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.field(&path, property, required.contains(&name.as_str()), depth)
        };
        properties.iter().map(field).collect()
    }

    fn field(&self, path: &str, property: &Value, required: bool, depth: usize) -> Value {
        let name = path.rsplit('.').next().unwrap_or(path);
        let resolved = self.resolve(property);
        let mut field = Map::new();
        field.insert("id".to_owned(), path.into());
        field.insert("name".to_owned(), path.into());
        field.insert("label".to_owned(), label(name).into());
        let said = property.get("description").or_else(|| resolved.get("description"));
        if let Some(description) = said {
            field.insert("helperText".to_owned(), description.clone());
        }
        if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
            field.insert("initialValue".to_owned(), default.clone());
        }
        if required {
            field.insert("isRequired".to_owned(), true.into());
            field.insert("validate".to_owned(), json!([{"type": "required"}]));
        }
        self.component(&mut field, path, property, resolved, depth);
        Value::Object(field)
    }

    /// What the field is drawn with.
    fn component(&self, field: &mut Map<String, Value>, path: &str, property: &Value, resolved: &Value, depth: usize) {
        let mut set = |key: &str, value: Value| drop(field.insert(key.to_owned(), value));
        if is_secret(property) {
            set("component", "password-field".into());
            return set("type", "password".into());
        }
        let choices = choices(resolved);
        if !choices.is_empty() {
            set("component", "select".into());
            return set("options", choices.iter().map(|value| json!({"label": value, "value": value})).collect());
        }
        match kind_of(resolved) {
            "boolean" => set("component", "switch".into()),
            "integer" | "number" => {
                set("component", "text-field".into());
                set("type", "number".into());
                set("dataType", kind_of(resolved).into());
            }
            "array" => {
                set("component", "field-array".into());
                let items = self.resolve(resolved.get("items").unwrap_or(&Value::Null));
                let nested = if depth < DEEPEST { self.of(items, "", depth + 1) } else { Vec::new() };
                let simple = json!({"component": "text-field", "id": "value", "name": "value", "label": "Value"});
                set("fields", if nested.is_empty() { json!([simple]) } else { nested.into() });
            }
            "object" if resolved.get("properties").is_some() && depth < DEEPEST => {
                set("component", "sub-form".into());
                set("title", label(path.rsplit('.').next().unwrap_or(path)).into());
                set("fields", self.of(resolved, path, depth + 1).into());
            }
            // A map of names that nobody knows: written as JSON.
            "object" => set("component", "textarea".into()),
            _ => set("component", "text-field".into()),
        }
    }

    /// A schema with references followed and `null` left aside.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..DEEPEST {
            let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
            let alternatives = schema.get("anyOf").and_then(Value::as_array);
            let one = alternatives.and_then(|all| all.iter().find(|one| kind_of(one) != "null"));
            schema = match (reference.and_then(|name| self.definitions.get(name)), one) {
                (Some(definition), _) => definition,
                (None, Some(one)) => one,
                (None, None) => return schema,
            };
        }
        schema
    }
}

/// Whether it is the place of a secret: what is typed there is not shown.
fn is_secret(property: &Value) -> bool {
    property.to_string().contains("\"#/$defs/Secret\"")
}

/// The type of a schema; the first that is not `null` where there are several.
fn kind_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or(""),
        _ => "",
    }
}

/// The values of an enumeration.
fn choices(schema: &Value) -> Vec<&str> {
    let constants = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let constants: Vec<&str> = constants.filter_map(|one| one.get("const").and_then(Value::as_str)).collect();
    if constants.is_empty() { strings(schema.get("enum")) } else { constants }
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `endpoint_url` as `Endpoint url`.
fn label(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut letters = spaced.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => spaced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_choices_and_nested_options_have_fields_of_their_own_kind() {
        let schema = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "The name."},
                "mode": {"$ref": "#/$defs/Mode", "default": "once"},
                "aws": {"$ref": "#/$defs/Aws"},
            },
            "$defs": {
                "Mode": {"oneOf": [{"const": "none"}, {"const": "once"}]},
                "Aws": {"type": "object", "properties": {
                    "secret_key": {"anyOf": [{"$ref": "#/$defs/Secret"}, {"type": "null"}]},
                    "regions": {"type": ["array", "null"], "items": {"type": "string"}},
                }},
                "Secret": {"anyOf": [{"type": "object"}, {"type": "string"}]},
            },
        });
        let form = form("aws_ec2", &schema);
        let fields = form["fields"].as_array().unwrap();
        assert_eq!(fields[0]["validate"], json!([{"type": "required"}]));
        assert_eq!(fields[0]["helperText"], "The name.");
        assert_eq!((&fields[1]["component"], &fields[1]["initialValue"]), (&json!("select"), &json!("once")));
        assert_eq!(fields[1]["options"][0], json!({"label": "none", "value": "none"}));
        let aws = &fields[2];
        assert_eq!((&aws["component"], &aws["title"]), (&json!("sub-form"), &json!("Aws")));
        assert_eq!(aws["fields"][0]["component"], "password-field");
        assert_eq!(aws["fields"][0]["name"], "aws.secret_key");
        assert_eq!(aws["fields"][1]["component"], "field-array");
    }

    #[test]
    fn options_that_contain_themselves_end() {
        let schema = json!({
            "properties": {"again": {"$ref": "#/$defs/Again"}},
            "$defs": {"Again": {"type": "object", "properties": {"again": {"$ref": "#/$defs/Again"}}}},
        });
        assert!(form("x", &schema).to_string().len() < 10_000);
    }
}
