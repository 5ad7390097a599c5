//! `tidegate checkpoint prune | export | import`.

use std::path::Path;

use indicatif::HumanBytes;
use tidegate_pipeline::checkpoint::copies::{CopyLocation, OpenRemote, restore};
use tidegate_pipeline::checkpoint::{
    CheckpointNumber, CheckpointStore, ImportReport, OwnerLock, Retention, SledStore, export, import,
};
use tidegate_pipeline::journal::begins_in;

use crate::copies::CopyPlaces;
use crate::exit::{DONE, Failure};
use crate::output;

/// Removes the checkpoints that are not to be kept. The newest one that is whole is always kept.
pub(super) fn prune(directory: &Path, keep: Retention) -> Result<u8, Failure> {
    if !directory.is_dir() {
        return Err(Failure::usage(format!("there is no pipeline directory {}", directory.display())));
    }
    let _owner = OwnerLock::acquire(directory)?;
    let store = CheckpointStore::open(directory, Box::new(SledStore::open(directory)?))?;
    // What is damaged must not count among those that are kept.
    store.latest()?;
    let removed = store.retain(keep, begins_in(directory)?)?;
    store.notes().iter().for_each(|note| crate::output::told!("warning: {note}"));
    let numbers: Vec<String> = removed.checkpoints.iter().map(ToString::to_string).collect();
    let checkpoints =
        if numbers.is_empty() { "no checkpoints".to_owned() } else { format!("checkpoints {}", numbers.join(", ")) };
    output::print(&format!("removed {checkpoints}; {} segments, {}\n", removed.segments, HumanBytes(removed.bytes)))?;
    match removed.failed {
        0 => Ok(DONE),
        failed => Err(Failure::failed(format!("{failed} segments could not be removed"))),
    }
}

/// Writes one checkpoint to a file.
pub(super) fn write(directory: &Path, number: Option<u64>, file: &Path) -> Result<u8, Failure> {
    let head = export(directory, number.map(CheckpointNumber), file)?;
    let bytes: u64 = head.segments.iter().map(|(_, length)| length).sum();
    output::print(&format!(
        "checkpoint {} after step {}: {} segments, {}, in {}\n",
        head.checkpoint,
        head.step,
        head.segments.len(),
        HumanBytes(bytes),
        file.display()
    ))?;
    Ok(DONE)
}

/// Makes a pipeline's directory from an exported file or from copies. `own` is where the pipeline itself copies to: when it
/// is restored from there, the place becomes this directory's.
pub(crate) fn bring_back(
    directory: &Path,
    from: &str,
    outputs: bool,
    own: Option<&CopyLocation>,
) -> Result<ImportReport, Failure> {
    if !from.contains("://") {
        return Ok(import(directory, Path::new(from), outputs)?);
    }
    let place: CopyLocation = from.parse().map_err(Failure::usage)?;
    let own = own.is_some_and(|own| own.is_same_place(&place));
    Ok(restore(directory, CopyPlaces.open(&place)?.as_ref(), outputs, own)?)
}

/// What an import has brought, in a few lines.
pub(crate) fn brought(report: &ImportReport) -> String {
    let mut text = format!(
        "checkpoint {} after step {}, incarnation {}: {} segments\n",
        report.checkpoint, report.step, report.incarnation.0, report.segments
    );
    if report.pending_effects {
        text.push_str("  effects that had not come to an end are sent, under the ids that they had\n");
    }
    if !report.marks.is_empty() {
        text.push_str(&format!(
            "  outputs that go back to their marks: {} (if they are not here: `checkpoint import --without-outputs`)\n",
            report.marks.join(", ")
        ));
    }
    text
}
