//! What is wrong with an endpoint, step by step: it is asked once, for the first page.

use serde_json::Value;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};

use super::fetch::{Fetched, Fetcher};
use super::options::{Endpoint, JsonPath};
use crate::diagnosis::{counted, read};
use crate::sources::http::json;
use crate::sources::http_client::reach;

/// Looks at everything up to the items of the first page.
pub(super) async fn diagnose(endpoint: &Endpoint, found: &mut Diagnosis) {
    reach(found, &endpoint.url, endpoint.verifies).await;
    let fetcher = read(found, "secrets read", || Ok((Fetcher::new(endpoint)?, who(endpoint)))).await;
    let answered = async {
        let fetcher = fetcher.ok_or_else(|| Error::internal("there is no client"))?;
        body(endpoint, fetcher.fetch(endpoint.first(None), None).await?)
    };
    let body = found.check("answered", answered).await.unwrap_or_default();
    let page = read(found, "answer is JSON", || page(&body)).await.unwrap_or_default();
    read(found, "items found", || items(endpoint, &page)).await;
}

fn who(endpoint: &Endpoint) -> String {
    match (&endpoint.token, &endpoint.login, endpoint.secret_headers.len()) {
        (Some(_), ..) => "a token".to_owned(),
        (_, Some((user, _)), _) => format!("as `{user}`"),
        (.., 0) => "none is needed".to_owned(),
        (.., headers) => counted(headers as u64, "secret header"),
    }
}

fn body(endpoint: &Endpoint, fetched: Fetched) -> Result<(Vec<u8>, String)> {
    match fetched {
        Fetched::Page { body, .. } => {
            let told = counted(body.len() as u64, "byte");
            Ok((body, told))
        }
        Fetched::Later(pause) => Err(Error::external(format!("the endpoint wants to be asked again in {pause:?}"))),
        Fetched::TooLong => {
            let message = format!("the answer is longer than {} bytes", endpoint.longest);
            Err(Error::external(message).with_remedy("ask for less at a time, or raise `max_body`"))
        }
        Fetched::NotModified => Err(Error::external("it answers 304 to a question without a condition")),
    }
}

fn page(body: &[u8]) -> Result<(Value, String)> {
    match json::text(body) {
        Ok(text) => Ok((serde_json::from_str(text).map_err(Error::external)?, String::new())),
        Err(json::Flaw::NotJson) => Err(Error::external("the answer is not JSON").with_remedy("check `url`")),
        Err(json::Flaw::TooDeep) => Err(Error::external(format!("the answer is nested deeper than {}", json::DEEPEST))),
    }
}

/// How many items there are. What else is looked for in items must be in the first.
fn items(endpoint: &Endpoint, page: &Value) -> Result<((), String)> {
    let items = endpoint.items_of(page).ok_or_else(|| nothing("the answer", "items", &endpoint.items, page))?;
    if let Some(first) = items.first() {
        if !endpoint.id.is_empty() && endpoint.id.of(first).is_none() {
            return Err(nothing("the first item", "id", &endpoint.id, first));
        }
        if let Some(since) = &endpoint.since
            && since.path.of(first).is_none()
        {
            return Err(nothing("the first item", "since.path", &since.path, first));
        }
    }
    Ok(((), counted(items.len() as u64, "item")))
}

/// The names of members are shown, not their values.
fn nothing(of: &str, option: &str, path: &JsonPath, value: &Value) -> Error {
    let names: Vec<&str> = value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).take(20).collect();
    let has = match value {
        Value::Object(_) if names.is_empty() => "it is an empty object".to_owned(),
        Value::Object(_) => format!("its members are {}", names.join(", ")),
        Value::Array(_) => "it is a list".to_owned(),
        _ => "it is no object".to_owned(),
    };
    Error::user(format!("{of} has nothing at `{}`: {has}", path.shown())).with_remedy(format!("correct `{option}`"))
}
