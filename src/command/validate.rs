//! `tidegate validate`: everything that is wrong, all at once, without touching the network or any state.

use std::path::Path;

use serde_json::{Value, json};
use tidegate_pipeline::spec::NOWHERE;
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Severity};
use tidegate_pipeline::spec::render::to_json;

use crate::arguments::{Format, ValidateArguments};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure, USAGE};
use crate::load::PipelineFile;
use crate::output;

/// Validates each file; the code is 3 if any is not valid.
pub(crate) fn validate(arguments: &ValidateArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let catalog = catalog(packs(queries)?);
    let mut documents: Vec<Value> = Vec::new();
    let mut invalid = false;
    for path in &arguments.pipelines {
        let file = match PipelineFile::read(path) {
            Ok(file) => file,
            Err(failure) => {
                invalid = true;
                let name = path.display().to_string();
                if arguments.format == Format::Text {
                    crate::output::told!("error: {}", failure.message);
                } else {
                    let diagnostics = [Diagnostic::error(NOWHERE, failure.message)];
                    documents.push(json!({"file": name, "valid": false, "diagnostics": to_json(&diagnostics, &name)}));
                }
                continue;
            }
        };
        let (diagnostics, summary) = match file.graph(&catalog) {
            Ok((graph, warnings)) => {
                let name = graph.spec.name.value.to_string();
                (warnings, format!("{}: valid ({name}: {} nodes)", file.name, graph.nodes.len()))
            }
            Err(diagnostics) => {
                let summary = crate::load::invalid(&file.name, &diagnostics);
                (diagnostics, summary)
            }
        };
        let valid = diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error);
        invalid |= !valid;
        if arguments.format == Format::Text {
            file.show(&diagnostics);
            output::print(&format!("{summary}\n"))?;
        } else {
            documents
                .push(json!({"file": file.name, "valid": valid, "diagnostics": to_json(&diagnostics, &file.name)}));
        }
    }
    match arguments.format {
        Format::Text => {}
        Format::Json => output::print(&format!("{:#}\n", Value::Array(documents)))?,
        Format::Jsonl => output::print(&documents.iter().map(|document| format!("{document}\n")).collect::<String>())?,
    }
    Ok(if invalid { USAGE } else { DONE })
}
