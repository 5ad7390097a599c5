//! In what a request differs from one that was recorded.

use std::collections::BTreeMap;

use serde_json::Value;

use super::question::{Asked, Question};

/// How many differences are told.
const TOLD: usize = 4;
/// How many letters of a value are shown.
const SHOWN: usize = 60;

/// The recorded question that is nearest to `asked`, by its index.
pub(super) fn nearest<'q>(asked: &Question, recorded: impl Iterator<Item = &'q Question>) -> Option<usize> {
    let distance = |question: &Question| {
        let places = (host(&asked.place) != host(&question.place), asked.place != question.place);
        let targets = asked.target != question.target || action(asked) != action(question);
        (places, asked.method != question.method, targets, differences(asked, question).len())
    };
    recorded.enumerate().min_by_key(|(_, question)| distance(question)).map(|(index, _)| index)
}

fn host(place: &str) -> &str {
    place.split('/').nth(2).unwrap_or(place)
}

fn action(question: &Question) -> Option<&str> {
    let Asked::Form(pairs) = &question.body else { return None };
    pairs.iter().find(|(name, _)| name == "Action").map(|(_, value)| value.as_str())
}

/// What differs, in words; the first few.
pub(super) fn told(asked: &Question, recorded: &Question) -> String {
    let mut all = differences(asked, recorded);
    let more = all.len().saturating_sub(TOLD);
    all.truncate(TOLD);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all.join("; ")
}

/// Takes what is compared, and what it is on both sides.
type Compare<'f> = dyn FnMut(String, Option<&str>, Option<&str>) + 'f;

fn differences(asked: &Question, recorded: &Question) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: String, asked: Option<&str>, recorded: Option<&str>| match (asked, recorded) {
        (one, other) if one == other => {}
        (Some(asked), Some(recorded)) => {
            found.push(format!("{what} is {}, and was {} when it was recorded", cut(asked), cut(recorded)));
        }
        (Some(asked), None) => found.push(format!("{what} is {}, and was absent when it was recorded", cut(asked))),
        (None, Some(recorded)) => {
            found.push(format!("{what} is absent, and was {} when it was recorded", cut(recorded)))
        }
        (None, None) => {}
    };
    compare("the method".into(), Some(&asked.method), Some(&recorded.method));
    compare("the address".into(), Some(&asked.place), Some(&recorded.place));
    compare("the operation".into(), asked.target.as_deref(), recorded.target.as_deref());
    let pairs = |what: &str, one: &[(String, String)], other: &[(String, String)], compare: &mut Compare<'_>| {
        let (one, other) = (numbered(one), numbered(other));
        for key in one.keys().chain(other.keys().filter(|key| !one.contains_key(*key))) {
            compare(format!("`{}` of the {what}", key.0), one.get(key).copied(), other.get(key).copied());
        }
    };
    pairs("query", &asked.query, &recorded.query, &mut compare);
    match (&asked.body, &recorded.body) {
        (Asked::Form(one), Asked::Form(other)) => pairs("body", one, other, &mut compare),
        (Asked::Json(one), Asked::Json(other)) => {
            let (one, other) = (leaves(one), leaves(other));
            for path in one.keys().chain(other.keys().filter(|path| !one.contains_key(*path))) {
                let (one, other) = (one.get(path).map(String::as_str), other.get(path).map(String::as_str));
                compare(format!("`{path}` of the body"), one, other);
            }
        }
        (one, other) if one == other => {}
        (one, other) => compare("the body".into(), Some(&whole(one)), Some(&whole(other))),
    }
    found
}

/// Pairs by their names; those of one name are numbered.
fn numbered(pairs: &[(String, String)]) -> BTreeMap<(&str, usize), &str> {
    let mut found = BTreeMap::new();
    for (name, value) in pairs {
        let number = found.range((name.as_str(), 0)..=(name.as_str(), usize::MAX)).count();
        found.insert((name.as_str(), number), value.as_str());
    }
    found
}

/// The values of a JSON text that have no members, by their paths.
fn leaves(text: &str) -> BTreeMap<String, String> {
    fn walk(path: String, value: &Value, found: &mut BTreeMap<String, String>) {
        let under = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            Value::Object(members) if !members.is_empty() => {
                members.iter().for_each(|(name, value)| walk(under(name), value, found));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(number, value)| walk(under(&number.to_string()), value, found));
            }
            Value::String(text) => drop(found.insert(path, text.clone())),
            other => drop(found.insert(path, other.to_string())),
        }
    }
    let mut found = BTreeMap::new();
    if let Ok(value) = serde_json::from_str(text) {
        walk(String::new(), &value, &mut found);
    }
    found
}

/// A body as a whole, for people.
fn whole(body: &Asked) -> String {
    match body {
        Asked::Form(pairs) => url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish(),
        Asked::Json(text) => text.clone(),
        Asked::Bytes(bytes) if bytes.is_empty() => "empty".to_owned(),
        Asked::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("{} bytes", bytes.len()),
        },
    }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", value.get(..end).unwrap_or_default().escape_debug()),
        None => format!("`{}`", value.escape_debug()),
    }
}
