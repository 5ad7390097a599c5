//! `tidegate test`: given rows, expected rows, for control packs and pipelines.

mod packs;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::arguments::{Format, TestArguments};
use crate::exit::{DONE, FAILED, Failure};
use crate::output;

/// How one test went.
#[derive(Debug, Serialize)]
struct Outcome {
    /// What is tested: `PACK/CONTROL` or a pipeline.
    subject: String,
    name: String,
    /// Where the test stands.
    place: String,
    passed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    took: Duration,
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// Runs every test below the given paths; the code is 2 if any fails.
pub(crate) async fn test(arguments: TestArguments, _queries: Option<&Path>) -> Result<u8, Failure> {
    let mut outcomes = Vec::new();
    for path in &arguments.paths {
        if !path.exists() {
            return Err(Failure::usage(format!("{} does not exist", path.display())));
        }
        for pack in packs::below(path)? {
            outcomes.extend(packs::run(&pack).await?);
        }
    }
    if let Some(filter) = &arguments.filter {
        outcomes.retain(|outcome| outcome.name.contains(filter) || outcome.subject.contains(filter));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    match arguments.format {
        Format::Text => output::print(&text(&outcomes, failed))?,
        format => output::records(format, &[], &outcomes, |_| Vec::new())?,
    }
    Ok(if failed > 0 { FAILED } else { DONE })
}

fn text(outcomes: &[Outcome], failed: usize) -> String {
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.passed) {
        text.push_str(&format!("FAILED {}: {} ({})\n", outcome.subject, outcome.name, outcome.place));
        outcome.message.lines().for_each(|line| text.push_str(&format!("       {line}\n")));
    }
    text.push_str(&format!("{} passed, {failed} failed\n", outcomes.len() - failed));
    text
}

/// The files below a path, in the order of their names.
fn files_below(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        files.extend(files_below(&entry)?);
    }
    Ok(files)
}
