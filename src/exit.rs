//! Exit codes: 0 done; 1 alarms found, or a replay that differs; 2 something failed while running or
//! collecting; 3 usage, or an invalid pipeline.

use std::process::ExitCode;

use tidegate_pipeline::error::{Domain, Error};
use tidegate_pipeline::spec::diagnostic::closest;

/// Everything went as asked.
pub(crate) const DONE: u8 = 0;
/// Alarms were found.
pub(crate) const ALARMS: u8 = 1;
/// Something failed while running or collecting.
pub(crate) const FAILED: u8 = 2;
/// The command line or the pipeline is not valid.
pub(crate) const USAGE: u8 = 3;

/// What ended a command early: a message for stderr (already shown where it is empty) and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    /// The command line or the pipeline is not valid.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// Nothing of the sort `what` is called `name`; says what there is.
    pub(crate) fn unknown(what: &str, name: &str, known: &[String]) -> Self {
        let near = closest(name, known).map(|near| format!("\nhelp: did you mean `{near}`?")).unwrap_or_default();
        Self::usage(format!("there is no {what} `{name}` (known: {}){near}", known.join(", ")))
    }

    /// Something failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: FAILED, message: message.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if error.domain == Domain::User { USAGE } else { FAILED };
        let mut message = String::new();
        if let Some(place) = &error.place {
            message.push_str(&format!("{place}: "));
        }
        if let Some(node) = &error.node {
            message.push_str(&format!("node `{node}`: "));
        }
        message.push_str(&error.message);
        if let Some(remedy) = &error.remedy {
            message.push_str(&format!("\nhelp: {remedy}"));
        }
        Self { code, message }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

/// Shows what clap has to say. Help and version go to stdout and are no errors.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is the reader's choice.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { DONE })
}

/// Shows an error that no command caught.
pub(crate) fn failed(message: &str) -> ExitCode {
    crate::output::told!("error: {message}");
    ExitCode::from(FAILED)
}
