//! Having inventory read again, by those who run the pipeline and by commands.

use std::path::Path;

use super::control::{self, ControlAnswer, ControlRequest};
use super::status::PipelineStatus;
use crate::error::{Error, Result};
use crate::provider::RefreshRequest;
use crate::spec::diagnostic::remedy_for;

impl PipelineStatus {
    /// Has a provider, or every provider that has the table, read something again. Gives the nodes that will, soon.
    ///
    /// # Errors
    /// When there is no such node or table, or a node takes no requests.
    pub fn refresh(&self, node: Option<&str>, request: &RefreshRequest) -> Result<Vec<String>> {
        let providers = self.nodes.iter().filter_map(|node| Some((node, node.refresh.as_ref()?))).collect::<Vec<_>>();
        let chosen = match node {
            Some(name) => providers.iter().filter(|(node, _)| *node.name == *name).collect::<Vec<_>>(),
            None => {
                let has = |name: &str| providers.iter().any(|(_, control)| control.has_table(name));
                let table = request.table.as_deref().filter(|table| has(table));
                let takes =
                    |control: &crate::provider::RefreshControl| table.is_none_or(|name| control.has_table(name));
                providers.iter().filter(|(_, control)| takes(control)).collect()
            }
        };
        if chosen.is_empty() {
            let names: Vec<String> = providers.iter().map(|(node, _)| node.name.to_string()).collect();
            return Err(no_provider(node, &names));
        }
        let (mut asked, mut refused) = (Vec::new(), None);
        for (node, control) in chosen {
            match control.ask(request.clone()) {
                Ok(()) => asked.push(node.name.to_string()),
                Err(error) => refused = refused.or(Some(error.at_node(&node.name))),
            }
        }
        match refused {
            // One that has been read for good, say, does not keep the others from it.
            Some(error) if asked.is_empty() => Err(error),
            _ => Ok(asked),
        }
    }
}

fn no_provider(wanted: Option<&str>, names: &[String]) -> Error {
    let Some(wanted) = wanted else { return Error::user("the pipeline has no provider: there is nothing to refresh") };
    let remedy = match names.is_empty() {
        true => "the pipeline has none".to_owned(),
        false => remedy_for(wanted, "providers", names),
    };
    Error::user(format!("there is no provider `{wanted}`")).with_remedy(remedy)
}

/// Has the pipeline that runs in `directory` (`.tidegate/NAME`) read inventory again. Gives the nodes that will, soon.
/// Blocks.
///
/// # Errors
/// When no pipeline runs there, or as [`PipelineStatus::refresh`].
pub fn request_refresh(directory: &Path, node: Option<&str>, request: &RefreshRequest) -> Result<Vec<String>> {
    let request = ControlRequest::Refresh { node: node.map(str::to_owned), request: request.clone() };
    match control::ask(directory, &request)? {
        Some(ControlAnswer::RefreshBegun(nodes)) => Ok(nodes),
        Some(other) => Err(Error::internal(format!("the pipeline that runs answers something else: {other:?}"))),
        None => Err(Error::user(format!("no pipeline runs in {}", directory.display()))
            .with_remedy("start it with `tidegate run`, or refresh once with `tidegate run --once`")),
    }
}
