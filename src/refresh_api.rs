//! `POST /refresh`: inventory is read again on demand.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tidegate_pipeline::error::Domain;
use tidegate_pipeline::provider::RefreshRequest;
use tidegate_pipeline::runtime::PipelineStatus;

/// The body of a request.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// The provider node; all that have the table where it is absent.
    node: Option<String>,
    account_id: Option<Arc<str>>,
    region: Option<Arc<str>>,
    table: Option<Arc<str>>,
    ids: Vec<Arc<str>>,
}

/// Answers 202 with the nodes that will be refreshed; 400 for what cannot be, 503 when too much waits. Only JSON is
/// taken, and it has to be called that: no page that somebody visits can send it.
pub(crate) fn refresh(status: &Arc<PipelineStatus>, headers: &HeaderMap, body: &Bytes) -> (StatusCode, String) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send JSON, with content-type: application/json\n".to_owned());
    }
    let asked = match body.is_empty() {
        true => Ok(Asked::default()),
        false => serde_json::from_slice(body),
    };
    let Asked { node, account_id, region, table, ids } = match asked {
        Ok(asked) => asked,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match status.refresh(node.as_deref(), &RefreshRequest { account_id, region, table, ids }) {
        Ok(nodes) => (StatusCode::ACCEPTED, format!("{}\n", serde_json::json!({"refreshing": nodes}))),
        Err(error) if error.domain == Domain::User => (StatusCode::BAD_REQUEST, format!("{error}\n")),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}
