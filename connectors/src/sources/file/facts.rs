//! YAML facts files: each becomes one event, or one per item of its list.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::{Variables, parse};

use super::input::{open_file, read_failed};
use crate::decode::segment::Naming;

/// Events as JSON lines, and which file they are from.
pub(crate) struct Facts {
    /// One JSON object a line.
    pub(crate) lines: Arc<[u8]>,
    /// How positions name them: `PATH#EVENT`.
    pub(crate) naming: Naming,
}

/// Reads `files`; paths are relative to `folder`. A map is one event, a list of maps one event each; an
/// empty file is passed over.
///
/// # Errors
/// When a file cannot be read, is not YAML, or holds anything else.
pub(crate) fn load(files: &[String], folder: &Path) -> Result<Facts> {
    let (mut lines, mut first, mut names) = (Vec::new(), 0, Vec::new());
    for name in files {
        let mut text = String::new();
        let mut file = open_file(&folder.join(name), name)?;
        std::io::Read::read_to_string(&mut file, &mut text).map_err(|error| read_failed(name, &error))?;
        let events = events(&text, name)?;
        names.push((first, name.as_str().into()));
        first += events.len() as u64;
        for event in events {
            serde_json::to_writer(&mut lines, &event).map_err(Error::internal)?;
            lines.push(b'\n');
        }
    }
    Ok(Facts { lines: lines.into(), naming: Naming::Events(names.into()) })
}

/// The events of a file's text.
///
/// # Errors
/// When it is not YAML, or holds anything but a map or a list of maps.
pub(super) fn events(text: &str, name: &str) -> Result<Vec<Value>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let tree = parse(text, &Variables::literal()).map_err(|found| {
        let first = found.first().map(|found| format!("{}: {}", found.place, found.message)).unwrap_or_default();
        Error::user(format!("`{name}` is not valid YAML: {first}")).with_remedy("correct the file")
    })?;
    let value = Value::from(&tree.value);
    let wrong = |what: &str| {
        let message = format!("`{name}` holds {what}; an events file holds a map, or a list of maps");
        Err(Error::user(message).with_remedy("correct the file, or take it out of `files`"))
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(_) => Ok(vec![value]),
        Value::Array(items) if items.iter().all(Value::is_object) => Ok(items),
        Value::Array(_) => wrong("a list with items that are not maps"),
        _ => wrong("a single value"),
    }
}
