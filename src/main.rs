//! Tidegate: a dataflow stream processor with persisted checkpoints for the people who run infrastructure.

mod arguments;
mod catalog;
mod command;
mod copies;
mod exit;
mod live;
mod load;
mod logging;
mod output;
mod recorded;
mod refresh_api;
mod rewrite;
mod serve;
mod status_page;
mod xml;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Batches of Arrow memory come and go by the thousand on every thread: mimalloc halves what that costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the exit waits for tasks to be dropped.
const LAST_MOMENT: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments = match arguments::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    logging::start(&arguments.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed(&format!("the async runtime cannot start: {error}")),
    };
    let code = runtime.block_on(command::execute(arguments));
    // Tasks are dropped, and with them the programs that sources have started. Background work that is still under
    // way (a slow disk, a blocked read) must not hold up the exit.
    runtime.shutdown_timeout(LAST_MOMENT);
    code
}
