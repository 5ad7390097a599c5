//! `tidegate provider refresh`: a running pipeline reads inventory again.

use std::path::Path;

use serde_json::json;
use tidegate_pipeline::provider::RefreshRequest;
use tidegate_pipeline::runtime::request_refresh;

use crate::arguments::{Format, RefreshArguments};
use crate::command::checkpoint;
use crate::exit::{DONE, Failure};
use crate::output;

/// Has a running pipeline read inventory again.
pub(super) fn refresh(arguments: &RefreshArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let directory = checkpoint::directory(&arguments.pipeline, queries)?;
    let text = |text: &Option<String>| text.as_deref().map(Into::into);
    let request = RefreshRequest {
        account_id: text(&arguments.account),
        region: text(&arguments.region),
        table: text(&arguments.table),
        ids: arguments.id.iter().map(|id| id.as_str().into()).collect(),
    };
    let nodes = request_refresh(&directory, arguments.node.as_deref(), &request)?;
    let rows: Vec<serde_json::Value> = nodes.iter().map(|node| json!({"node": node, "state": "asked"})).collect();
    match arguments.format {
        Format::Text => output::print(&format!("{}: will be refreshed\n", nodes.join(", ")))?,
        format => output::records(format, &["node", "state"], &rows, |_| Vec::new())?,
    }
    Ok(DONE)
}
