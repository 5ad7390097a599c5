//! `tidegate init`: a commented first pipeline.

use crate::arguments::InitArguments;
use crate::exit::{DONE, Failure};
use crate::output;

/// What `init` writes: collects this machine, checks it, routes what it finds.
const FIRST_PIPELINE: &str = include_str!("first_pipeline.yaml");

/// Writes the file; an existing one only with `--force`.
pub(crate) fn init(arguments: &InitArguments) -> Result<u8, Failure> {
    let file = arguments.file.display();
    if arguments.file.exists() && !arguments.force {
        return Err(Failure::usage(format!("{file} exists already\nhelp: `--force` overwrites it")));
    }
    std::fs::write(&arguments.file, FIRST_PIPELINE).map_err(|error| Failure::failed(format!("{file}: {error}")))?;
    output::print(&format!("wrote {file}\nnext:  tidegate validate {file}\n       tidegate run {file} --once\n"))?;
    Ok(DONE)
}
