//! Logs: on stderr, by tracing, as text for people or JSON for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::arguments::LogArguments;

/// What is told only where it is asked for by name: the SDK of AWS says of every error and of credentials that are not there
/// once more what our own messages say better.
const SILENT: &str = "aws_smithy_runtime_api=off,aws_config=error";

/// Starts logging. Told levels are those of `--log` or `TIDEGATE_LOG`, else warnings.
pub(crate) fn start(arguments: &LogArguments) {
    // Of several filters for one target the last counts.
    let filter = EnvFilter::try_new(format!("{SILENT},{}", arguments.log)).unwrap_or_else(|error| {
        crate::output::told!("warning: --log {}: {error}; warnings are shown", arguments.log);
        EnvFilter::new(format!("{SILENT},warn"))
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false);
    if arguments.log_json { builder.json().init() } else { builder.compact().init() }
}
