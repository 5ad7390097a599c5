//! The tests of control packs: `tests/*.yaml` of each pack.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_operators::check::pack::{Pack, PackFiles, PackLibrary};
use tidegate_operators::check::testing::run_pack_tests;
use tidegate_pipeline::provider::ProviderKind;
use tidegate_pipeline::table::TableDefinition;

use super::{Filter, Outcome};
use crate::catalog::catalog;
use crate::exit::Failure;

/// The folders among these files that hold a pack.
pub(super) fn among(files: &[PathBuf]) -> Vec<PathBuf> {
    let manifests = files.iter().filter(|file| file.file_name().is_some_and(|name| name == "pack.yaml"));
    manifests.filter_map(|file| file.parent().map(Path::to_owned)).collect()
}

/// Runs the tests of the pack in a folder. What is wrong with the pack itself counts as a failed test.
pub(super) async fn run(folder: &Path, filter: &Filter<'_>) -> Result<Vec<Outcome>, Failure> {
    let root = folder.display().to_string();
    let files = PackFiles::from_directory(folder, &root).map_err(|error| Failure::usage(format!("{root}: {error}")))?;
    let (mut pack, problems) = Pack::load(&files, &root);
    let mut outcomes: Vec<Outcome> = problems
        .into_iter()
        .map(|problem| Outcome {
            subject: root.clone(),
            name: "the pack is valid".to_owned(),
            place: format!("{}:{}", problem.file, problem.place),
            passed: false,
            message: problem.message,
            took: std::time::Duration::ZERO,
        })
        .collect();
    let name = Arc::clone(&pack.name);
    pack.tests.retain(|test| filter.takes(&format!("{name}/{}", test.control), &test.name));
    for outcome in run_pack_tests(&pack, &known_tables()).await {
        outcomes.push(Outcome {
            subject: format!("{}/{}", pack.name, outcome.control),
            name: outcome.name,
            place: outcome.place.to_string(),
            passed: outcome.passed,
            message: outcome.message,
            took: outcome.took,
        });
    }
    Ok(outcomes)
}

/// Every table of every provider that this program has.
fn known_tables() -> Vec<TableDefinition> {
    let sources = catalog(PackLibrary::default()).sources;
    sources.iter().filter_map(|kind| kind.provider()).flat_map(ProviderKind::tables).collect()
}
