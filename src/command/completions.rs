//! `tidegate completions`: from the same definitions as the command line itself.

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::exit::{DONE, Failure};
use crate::output;

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tidegate", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(DONE)
}
