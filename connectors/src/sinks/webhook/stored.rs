//! What the outbox keeps of a request, and what is made of it when it leaves. Nothing in it is a secret; what only the
//! delivery knows (ids, secrets) is put in then.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidegate_pipeline::step::StepTime;

/// A request whose row decides where it goes.
#[derive(Serialize, Deserialize)]
struct WithUrl<'a> {
    url: Cow<'a, str>,
    body: Cow<'a, str>,
}

/// The stored form of a body and where it goes.
pub(super) fn with_url(url: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
    let body = String::from_utf8(body).map_err(|error| error.to_string())?;
    serde_json::to_vec(&WithUrl { url: url.into(), body: body.into() }).map_err(|error| error.to_string())
}

/// Where a stored body goes, and the body.
pub(super) fn url_and_body(stored: &[u8]) -> Result<(String, Vec<u8>), String> {
    let WithUrl { url, body } = serde_json::from_slice(stored).map_err(|error| error.to_string())?;
    Ok((url.into_owned(), body.into_owned().into_bytes()))
}

/// JSON values as an array.
pub(super) fn array<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut array = vec![b'['];
    for (index, value) in values.enumerate() {
        if index > 0 {
            array.push(b',');
        }
        array.extend_from_slice(value);
    }
    array.push(b']');
    array
}

/// A CloudEvent that lacks its id and source.
pub(super) fn cloud_event(kind: &str, time: StepTime, row: &[u8]) -> Result<Vec<u8>, String> {
    let text = |value: &str| serde_json::to_string(value).map_err(|error| error.to_string());
    let (kind, time) = (text(kind)?, text(&time.to_string())?);
    let head =
        format!(r#"{{"specversion":"1.0","type":{kind},"time":{time},"datacontenttype":"application/json","data":"#);
    Ok([head.as_bytes(), row, b"}"].concat())
}

/// CloudEvents, a line each, with the ids and the source that the effect's id gives them; more than one, or `batch`, as
/// an array.
pub(super) fn cloud_events(lines: &[u8], effect: &str, batch: bool) -> Vec<u8> {
    // PIPELINE/SHARD/INCARNATION/SINK/…
    let mut parts = effect.split('/');
    let (pipeline, sink) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
    let source = format!("/tidegate/{pipeline}/{sink}");
    let events = lines.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| {
        let id = if batch { format!("{effect}/{index}") } else { effect.to_owned() };
        with_fields(line, &[("id", &id), ("source", &source)])
    });
    let events: Vec<Vec<u8>> = events.collect();
    if batch { array(events.iter().map(Vec::as_slice)) } else { events.concat() }
}

/// A JSON object with these text fields before its own.
pub(super) fn with_fields(object: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let Some(rest) = object.strip_prefix(b"{") else { return object.to_vec() };
    let mut whole = vec![b'{'];
    for (name, value) in fields {
        // A text always has a form in JSON.
        let text = |text: &str| serde_json::Value::from(text).to_string();
        whole.extend_from_slice(format!("{}:{},", text(name), text(value)).as_bytes());
    }
    if rest.first() == Some(&b'}') {
        whole.truncate(whole.len().saturating_sub(usize::from(!fields.is_empty())));
    }
    whole.extend_from_slice(rest);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_events_get_ids_that_are_stable_and_each_its_own() {
        let event = cloud_event("a.b", StepTime(0), br#"{"n":1}"#).unwrap();
        let whole = String::from_utf8(cloud_events(&event, "shop/0/1/page/0/7/3", false)).unwrap();
        let expected = r#"{"id":"shop/0/1/page/0/7/3","source":"/tidegate/shop/page","specversion":"1.0","type":"a.b","time":"1970-01-01T00:00:00Z","datacontenttype":"application/json","data":{"n":1}}"#;
        assert_eq!(whole, expected);
        let two = [event.as_slice(), event.as_slice()].join(&b'\n');
        let array: serde_json::Value =
            serde_json::from_slice(&cloud_events(&two, "shop/0/1/page/0/7/3", true)).unwrap();
        assert_eq!(
            (&array[0]["id"], &array[1]["id"]),
            (&"shop/0/1/page/0/7/3/0".into(), &"shop/0/1/page/0/7/3/1".into())
        );
    }

    #[test]
    fn fields_are_put_before_those_of_an_object_also_of_an_empty_one() {
        assert_eq!(with_fields(br#"{"a":1}"#, &[("k", "\"")]), br#"{"k":"\"","a":1}"#);
        assert_eq!(with_fields(b"{}", &[("k", "v")]), br#"{"k":"v"}"#);
        assert_eq!(with_fields(b"[1]", &[("k", "v")]), b"[1]");
    }

    #[test]
    fn a_url_of_a_row_comes_back_with_its_body() {
        let stored = with_url("http://a/b", b"{\"n\":1}".to_vec()).unwrap();
        assert_eq!(url_and_body(&stored).unwrap(), ("http://a/b".to_owned(), b"{\"n\":1}".to_vec()));
    }
}
