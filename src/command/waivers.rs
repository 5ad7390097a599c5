//! `tidegate waivers`: what is wrong with files of waivers, and what is questionable.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use tidegate_operators::check::pack::{Control, PackLibrary, PackProblem};
use tidegate_operators::check::waiver::{Waivers, lint};
use tidegate_pipeline::step::StepTime;

use crate::arguments::{Format, WaiversCommand};
use crate::catalog::packs;
use crate::exit::{ALARMS, DONE, Failure, USAGE};
use crate::load::working_directory;
use crate::output;

/// What can be done with waivers.
pub(crate) fn waivers(command: WaiversCommand, queries: Option<&Path>) -> Result<u8, Failure> {
    match command {
        WaiversCommand::Lint { files, format } => lint_all(&files, format, &packs(queries)?),
    }
}

/// Something about a waiver.
#[derive(Debug, Serialize)]
struct Remark {
    file: String,
    line: u32,
    column: u32,
    /// Whether it is wrong, and left out; else it is questionable.
    wrong: bool,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Remark {
    fn new(problem: &PackProblem, wrong: bool) -> Self {
        Self {
            file: problem.file.to_string(),
            line: problem.place.line,
            column: problem.place.column,
            wrong,
            message: problem.message.clone(),
            help: problem.help.clone(),
        }
    }
}

/// The code is 3 where a waiver cannot be read, 1 where one is questionable.
fn lint_all(files: &[PathBuf], format: Format, library: &PackLibrary) -> Result<u8, Failure> {
    let controls = controls(library)?;
    let controls: Vec<&Control> = controls.iter().map(AsRef::as_ref).collect();
    let now = StepTime(Timestamp::now().as_millisecond());
    let (mut remarks, mut count) = (Vec::new(), 0);
    for file in files {
        let name = file.display().to_string();
        let contents = std::fs::read(file).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        let (waivers, problems) = Waivers::read(&name, &contents);
        count += waivers.0.len();
        remarks.extend(problems.iter().map(|problem| Remark::new(problem, true)));
        remarks.extend(lint(&name, &waivers, &controls, now).iter().map(|problem| Remark::new(problem, false)));
    }
    match format {
        Format::Text => output::print(&text(&remarks, count))?,
        format => output::records(format, &[], &remarks, |_| Vec::new())?,
    }
    Ok(match (remarks.iter().any(|remark| remark.wrong), remarks.is_empty()) {
        (true, _) => USAGE,
        (false, false) => ALARMS,
        (false, true) => DONE,
    })
}

/// The controls of every pack that is there.
fn controls(library: &PackLibrary) -> Result<Vec<std::sync::Arc<Control>>, Failure> {
    let mut controls = Vec::new();
    for name in library.names() {
        controls.extend(library.find(&name, &working_directory())?.0.controls);
    }
    Ok(controls)
}

fn text(remarks: &[Remark], count: usize) -> String {
    let mut text = String::new();
    for remark in remarks {
        let word = if remark.wrong { "error" } else { "warning" };
        text.push_str(&format!("{word}: {}:{}:{}: {}\n", remark.file, remark.line, remark.column, remark.message));
        if let Some(help) = &remark.help {
            text.push_str(&format!("help: {help}\n"));
        }
    }
    let wrong = remarks.iter().filter(|remark| remark.wrong).count();
    text.push_str(&format!("{count} waivers, {wrong} errors, {} warnings\n", remarks.len() - wrong));
    text
}
