//! The functions of JSON, one after the other.

use serde_json::Value;

use super::super::function::{Argument, Arguments, Definition, Kind, argument};
use super::{as_text, at, contain, encode, path, type_of};

const PATH: &[Argument] = &[argument("json", Kind::Json), argument("key", Kind::Key)];

/// A function of a place in JSON.
const fn of_path(
    name: &'static str,
    aliases: &'static [&'static str],
    result: Kind,
    summary: &'static str,
    example: (&'static str, &'static str),
    evaluate: super::super::function::Evaluate,
) -> Definition {
    Definition { name, aliases, arguments: PATH, repeats: true, result, summary, example, evaluate }
}

pub(super) static FUNCTIONS: &[Definition] = &[
    of_path(
        "json_get",
        &["json_extract_path", "jsonb_extract_path", "json_get_json"],
        Kind::Json,
        "What stands at a key, or at keys one below the other, as JSON; the operator `->`.",
        (r#"json_get('{"a": [1, "x"]}', 'a', 1)"#, r#""x""#),
        |arguments| arguments.give_texts(|row| at(arguments, row).map(|value| value.to_string())),
    ),
    of_path(
        "json_as_text",
        &["json_extract_path_text", "jsonb_extract_path_text"],
        Kind::Text,
        "As `json_get`, as text: a string without quotes, `null` as NULL; the operator `->>`.",
        (r#"json_as_text('{"a": [1, "x"]}', 'a', 1)"#, "x"),
        |arguments| arguments.give_texts(|row| at(arguments, row).and_then(as_text)),
    ),
    of_path(
        "json_get_str",
        &[],
        Kind::Text,
        "The string at a key; NULL where something else is there.",
        (r#"json_get_str('{"a": 1}', 'a')"#, "NULL"),
        |arguments| {
            arguments.give_texts(|row| match at(arguments, row)? {
                Value::String(text) => Some(text),
                _ => None,
            })
        },
    ),
    of_path(
        "json_get_int",
        &[],
        Kind::Integer,
        "The whole number at a key; NULL where something else is there.",
        (r#"json_get_int('{"a": 1}', 'a')"#, "1"),
        |arguments| arguments.give_integers(|row| at(arguments, row)?.as_i64()),
    ),
    of_path(
        "json_get_float",
        &[],
        Kind::Number,
        "The number at a key; NULL where something else is there.",
        (r#"json_get_float('{"a": 1.5}', 'a')"#, "1.5"),
        |arguments| arguments.give_numbers(|row| at(arguments, row)?.as_f64()),
    ),
    of_path(
        "json_get_bool",
        &[],
        Kind::Boolean,
        "True or false at a key; NULL where something else is there.",
        (r#"json_get_bool('{"a": true}', 'a')"#, "true"),
        |arguments| arguments.give_booleans(|row| at(arguments, row)?.as_bool()),
    ),
    of_path(
        "json_contains",
        &["jsonb_exists"],
        Kind::Boolean,
        "Whether there is something at a key, also `null`; the operator `?`, for which an array of strings has its \
         elements as keys.",
        (r#"json_contains('{"a": null}', 'a')"#, "true"),
        |arguments| arguments.give_booleans(|row| exists(arguments, row)),
    ),
    of_path(
        "json_length",
        &[],
        Kind::Integer,
        "How many elements or members the array or object at a key has.",
        (r#"json_length('{"a": [1, 2]}', 'a')"#, "2"),
        |arguments| {
            arguments.give_integers(|row| match at(arguments, row)? {
                Value::Array(elements) => i64::try_from(elements.len()).ok(),
                Value::Object(members) => i64::try_from(members.len()).ok(),
                _ => None,
            })
        },
    ),
    of_path(
        "json_array_length",
        &["jsonb_array_length"],
        Kind::Integer,
        "How many elements the array at a key has; NULL where no array is there.",
        ("json_array_length('[1, 2]')", "2"),
        |arguments| {
            arguments.give_integers(|row| at(arguments, row)?.as_array().and_then(|all| i64::try_from(all.len()).ok()))
        },
    ),
    of_path(
        "json_typeof",
        &["jsonb_typeof"],
        Kind::Text,
        "The type at a key: `object`, `array`, `string`, `number`, `boolean` or `null`.",
        (r#"json_typeof('{"a": []}', 'a')"#, "array"),
        |arguments| arguments.give_texts(|row| at(arguments, row).as_ref().map(type_of)),
    ),
    of_path(
        "json_list",
        &[],
        Kind::Texts,
        "The elements of the array at a key, each as JSON: `unnest(json_list(x))` makes a row of each, as \
         `jsonb_array_elements(x)` in the select list or in FROM does.",
        (r#"json_list('[1, "x"]')"#, r#"[1, "x"]"#),
        |arguments| {
            arguments.give_lists(|row| match at(arguments, row)? {
                Value::Array(elements) => Some(elements.iter().map(|element| Some(element.to_string())).collect()),
                _ => None,
            })
        },
    ),
    of_path(
        "json_list_text",
        &[],
        Kind::Texts,
        "As `json_list`, each element as text; what `jsonb_array_elements_text(x)` makes rows of.",
        (r#"json_list_text('[1, "x"]')"#, "[1, x]"),
        |arguments| {
            arguments.give_lists(|row| match at(arguments, row)? {
                Value::Array(elements) => Some(elements.into_iter().map(as_text).collect()),
                _ => None,
            })
        },
    ),
    of_path(
        "json_keys",
        &[],
        Kind::Texts,
        "The names of the members of the object at a key; what `jsonb_object_keys(x)` makes rows of.",
        (r#"json_keys('{"a": 1, "b": 2}')"#, "[a, b]"),
        |arguments| {
            arguments.give_lists(|row| match at(arguments, row)? {
                Value::Object(members) => Some(members.into_iter().map(|(name, _)| Some(name)).collect()),
                _ => None,
            })
        },
    ),
    Definition {
        name: "json_has_all",
        aliases: &["jsonb_exists_all"],
        arguments: &[argument("json", Kind::Json), argument("keys", Kind::Texts)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether every key of a list is there; the operator `?&`.",
        example: (r#"json_has_all('{"a": 1, "b": 2}', array['a', 'c'])"#, "false"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| {
                let value = path::get(arguments.text(0, row)?, &[])?;
                Some(arguments.texts(1, row)?.iter().all(|key| has(&value, key)))
            })
        },
    },
    Definition {
        name: "json_has_any",
        aliases: &["jsonb_exists_any"],
        arguments: &[argument("json", Kind::Json), argument("keys", Kind::Texts)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether one key of a list is there; the operator `?|`.",
        example: (r#"json_has_any('{"a": 1, "b": 2}', array['a', 'c'])"#, "true"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| {
                let value = path::get(arguments.text(0, row)?, &[])?;
                Some(arguments.texts(1, row)?.iter().any(|key| has(&value, key)))
            })
        },
    },
    Definition {
        name: "json_includes",
        aliases: &["jsonb_contains"],
        arguments: &[argument("json", Kind::Json), argument("part", Kind::Json)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether all members and elements of `part` are in `json`; the operator `@>`.",
        example: (r#"json_includes('{"a": [1, 2], "b": 3}', '{"a": [2]}')"#, "true"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| {
                let outer = path::get(arguments.text(0, row)?, &[])?;
                Some(contain::contains(&outer, &path::get(arguments.text(1, row)?, &[])?))
            })
        },
    },
    Definition {
        name: "json",
        aliases: &[],
        arguments: &[argument("value", Kind::Json)],
        repeats: false,
        result: Kind::Json,
        summary: "A text as JSON without spaces, or a map, a struct or a list as JSON; NULL where a text is no JSON. \
                  `x::jsonb` is the same.",
        example: (r#"json('{"a":  1}')"#, r#"{"a":1}"#),
        evaluate: |arguments| {
            arguments.give_texts(|row| path::get(arguments.text(0, row)?, &[]).map(|value| value.to_string()))
        },
    },
    Definition {
        name: "to_json",
        aliases: &["to_jsonb"],
        arguments: &[argument("value", Kind::Any)],
        repeats: false,
        result: Kind::Json,
        summary: "Any value as JSON; a text becomes a string.",
        example: ("to_json(array[1, 2])", "[1,2]"),
        evaluate: |arguments| {
            let encoded = arguments.any(0).map(|(array, constant)| encode(array).map(|encoded| (encoded, constant)));
            let Some((encoded, constant)) = encoded.transpose()? else { return arguments.give_texts(|_| None::<&str>) };
            arguments.give_texts(|row| {
                let row = if constant { 0 } else { row };
                arrow::array::Array::is_valid(&encoded, row).then(|| encoded.value(row))
            })
        },
    },
];

/// Whether there is something at the keys; with one key, also whether an array has it as an element.
fn exists(arguments: &Arguments, row: usize) -> Option<bool> {
    match (arguments.len(), arguments.text(1, row)) {
        (2, Some(key)) => Some(has(&path::get(arguments.text(0, row)?, &[])?, key)),
        _ => {
            arguments.text(0, row)?;
            let known = |key| arguments.text(key, row).is_some() || arguments.integer(key, row).is_some();
            (1..arguments.len()).all(known).then(|| at(arguments, row).is_some())
        }
    }
}

fn has(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(members) => members.contains_key(key),
        Value::Array(elements) => elements.iter().any(|element| element.as_str() == Some(key)),
        Value::String(text) => text == key,
        _ => false,
    }
}
