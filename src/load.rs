//! A pipeline's file → spec → graph; what is wrong with it is shown on stderr.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::{Graph, plan};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Severity};
use tidegate_pipeline::spec::{PipelineSpec, Variables, load, render};

use crate::exit::Failure;

/// A pipeline's text and what is known of it.
pub(crate) struct PipelineFile {
    /// As named on the command line.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

impl PipelineFile {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| {
            let hint = if path.exists() { "" } else { "\nhelp: `tidegate init` writes a first pipeline" };
            Failure::usage(format!("{name} cannot be read: {error}{hint}"))
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::usage(format!("{name} is not UTF-8: byte {at} is not valid"))
        })?;
        Ok(Self { name, text })
    }

    /// The spec, and warnings.
    pub(crate) fn spec(&self, catalog: &Catalog) -> Result<(PipelineSpec, Vec<Diagnostic>), Vec<Diagnostic>> {
        let loaded = load(&self.text, &self.name, &Variables::of_environment(), &catalog.known_kinds())?;
        Ok((loaded.spec, loaded.warnings))
    }

    /// The graph, and warnings; or everything that is wrong.
    pub(crate) fn graph(&self, catalog: &Catalog) -> Result<(Graph, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (spec, mut warnings) = self.spec(catalog)?;
        let (graph, more) = plan(Arc::new(spec), &self.name, catalog, &working_directory())?;
        warnings.extend(more);
        Ok((graph, warnings))
    }

    /// Shows diagnostics on stderr, coloured on a terminal.
    pub(crate) fn show(&self, diagnostics: &[Diagnostic]) {
        if diagnostics.is_empty() {
            return;
        }
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        crate::output::told!("{}\n", render::render(diagnostics, &self.name, &self.text, colour));
    }
}

/// Reads and plans a pipeline; shows warnings and errors.
pub(crate) fn graph(path: &Path, catalog: &Catalog) -> Result<Graph, Failure> {
    let file = PipelineFile::read(path)?;
    match file.graph(catalog) {
        Ok((graph, warnings)) => {
            file.show(&warnings);
            Ok(graph)
        }
        Err(diagnostics) => {
            file.show(&diagnostics);
            Err(Failure::usage(invalid(&file.name, &diagnostics)))
        }
    }
}

/// One line that says how much is wrong.
pub(crate) fn invalid(name: &str, diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    format!("{name} is not valid: {errors} {}", if errors == 1 { "error" } else { "errors" })
}

/// What relative paths in pipelines are relative to.
pub(crate) fn working_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}
