//! Events that come whole: JSON objects whose members are the columns, as Ansible EDA puts them into its queue.

use serde_json::{Map, Value};
use tidegate_pipeline::envelope::META;

use super::{Envelope, EventMeta, Field};

/// The line of an event that came whole, its `meta` completed: what the sender says there stays, but for `source` and
/// for what `known` says.
///
/// # Errors
/// When its `meta` is no object.
pub(crate) fn line(
    mut members: Map<String, Value>,
    known: Map<String, Value>,
    envelope: &Envelope,
) -> Result<Vec<u8>, &'static str> {
    let mut meta = match members.remove(META) {
        Some(Value::Object(meta)) => meta_of(meta),
        Some(Value::Null) | None => EventMeta::default(),
        Some(_) => return Err("`meta` is no object"),
    };
    meta.more.extend(known);
    let fields: Vec<(&str, Field<'_>)> =
        members.iter().map(|(name, value)| (name.as_str(), Field::Value(value))).collect();
    Ok(envelope.line(&fields, &meta))
}

/// What a sender says of its event: `uuid`, `hosts` (text, separated by commas, or a list), and more.
fn meta_of(mut meta: Map<String, Value>) -> EventMeta {
    let uuid = match meta.remove("uuid") {
        Some(Value::String(uuid)) => Some(uuid),
        _ => None,
    };
    let hosts = match meta.remove("hosts") {
        Some(Value::String(hosts)) => hosts.split(',').map(|host| host.trim().to_owned()).collect(),
        Some(Value::Array(hosts)) => hosts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    meta.remove("source");
    EventMeta { uuid, hosts, more: meta }
}
