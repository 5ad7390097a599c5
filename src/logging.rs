//! Logs: on stderr, by tracing, as text for people or JSON for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::arguments::LogArguments;

/// Starts logging. Told levels are those of `--log` or `TIDEGATE_LOG`, else warnings.
pub(crate) fn start(arguments: &LogArguments) {
    let filter = EnvFilter::try_new(&arguments.log).unwrap_or_else(|error| {
        eprintln!("warning: --log {}: {error}; warnings are shown", arguments.log);
        EnvFilter::new("warn")
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false);
    if arguments.log_json { builder.json().init() } else { builder.compact().init() }
}
