//! `tidegate test`: given rows, expected rows, for control packs and pipelines.

mod junit;
mod packs;
mod pipeline;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// Which tests are run: those whose subject or name holds the text of `--filter`.
struct Filter<'a>(Option<&'a str>);

impl Filter<'_> {
    fn takes(&self, subject: &str, name: &str) -> bool {
        self.0.is_none_or(|text| subject.contains(text) || name.contains(text))
    }
}

/// Runs every test below the given paths; the code is 2 if any fails.
pub(crate) async fn test(arguments: TestArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let started = Instant::now();
    let filter = Filter(arguments.filter.as_deref());
    let mut outcomes = Vec::new();
    for path in &arguments.paths {
        if !path.exists() {
            return Err(Failure::usage(format!("{} does not exist", path.display())));
        }
        let files = files_below(path, 0)?;
        let packs = packs::among(&files);
        for pack in &packs {
            outcomes.extend(packs::run(pack, &filter).await?);
        }
        for file in
            files.iter().filter(|file| pipeline::is_test(file) && !packs.iter().any(|pack| file.starts_with(pack)))
        {
            outcomes.extend(pipeline::run(file, queries, &filter).await?);
        }
    }
    if outcomes.is_empty() {
        return Err(none_found(&arguments));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    if let Some(file) = &arguments.junit {
        let report = junit::report(&outcomes, started.elapsed());
        std::fs::write(file, report).map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    }
    match arguments.format {
        Format::Text => output::print(&text(&outcomes, failed, started.elapsed()))?,
        format => output::records(format, &[], &outcomes, |_| Vec::new())?,
    }
    Ok(if failed > 0 { FAILED } else { DONE })
}

fn none_found(arguments: &TestArguments) -> Failure {
    let paths: Vec<String> = arguments.paths.iter().map(|path| path.display().to_string()).collect();
    Failure::usage(match &arguments.filter {
        Some(filter) => format!("no test below {} has `{filter}` in its name", paths.join(", ")),
        None => format!(
            "there are no tests below {}\nhelp: packs keep theirs in `tests/`, pipelines in files that end in `.test.yaml`",
            paths.join(", ")
        ),
    })
}

fn text(outcomes: &[Outcome], failed: usize, took: Duration) -> String {
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.passed) {
        text.push_str(&format!("FAILED {}: {} ({})\n", outcome.subject, outcome.name, outcome.place));
        outcome.message.lines().for_each(|line| text.push_str(&format!("       {line}\n")));
    }
    text.push_str(&format!("{} passed, {failed} failed in {took:.1?}\n", outcomes.len() - failed));
    text
}

/// The files below a path, in the order of their names. Hidden folders are left out.
fn files_below(path: &Path, depth: usize) -> Result<Vec<PathBuf>, Failure> {
    const DEEPEST: usize = 32;
    let shown = |error: std::io::Error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    if depth > DEEPEST {
        return Err(Failure::usage(format!("{} is nested too deeply", path.display())));
    }
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(shown)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    let hidden = |entry: &&PathBuf| entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut files = Vec::new();
    for entry in entries.iter().filter(|entry| !hidden(entry)) {
        files.extend(files_below(entry, depth + 1)?);
    }
    Ok(files)
}
