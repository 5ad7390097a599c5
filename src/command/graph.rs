//! `tidegate graph`: a pipeline for the eye and for programs.

use std::path::Path;

use tidegate_pipeline::graph::{dot, json, mermaid};

use crate::arguments::{Drawing, GraphArguments};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::{load, output};

/// Draws the pipeline on stdout.
pub(crate) fn graph(arguments: &GraphArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let catalog = catalog(packs(queries)?);
    let graph = load::graph(&arguments.pipeline, &catalog)?;
    output::print(&match arguments.format {
        Drawing::Mermaid => mermaid(&graph),
        Drawing::Dot => dot(&graph),
        Drawing::Json => format!("{:#}\n", json(&graph)),
    })?;
    Ok(DONE)
}
