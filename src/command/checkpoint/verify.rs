//! `tidegate checkpoint verify`: reads every byte; `--rebuild` builds a store anew that is lost or damaged.

use std::path::Path;

use indicatif::HumanBytes;
use tidegate_pipeline::checkpoint::{
    CheckpointHealth, Damage, OwnerLock, RebuildReport, VerifyReport, rebuild, verify,
};

use crate::arguments::Format;
use crate::exit::{DONE, FAILED, Failure};
use crate::output;

/// Verifies a pipeline's directory, after rebuilding its store where that is asked for and needed.
pub(super) fn run(directory: &Path, rebuilding: bool, format: Format) -> Result<u8, Failure> {
    let mut report = verify(directory)?;
    let mut rebuilt = None;
    if rebuilding {
        let owner = OwnerLock::acquire(directory)?;
        // Nobody owned it any more: what could not be read before can be now.
        drop(owner);
        report = verify(directory)?;
        if report.rebuild {
            let owner = OwnerLock::acquire(directory)?;
            rebuilt = Some(rebuild(directory)?);
            drop(owner);
            report = verify(directory)?;
        }
    }
    match format {
        Format::Text => output::print(&page(&report, rebuilding, rebuilt.as_ref()))?,
        Format::Json => {
            let document = serde_json::json!({"whole": report.is_whole(), "report": report, "rebuilt": rebuilt});
            let text = serde_json::to_string_pretty(&document).map_err(|error| Failure::failed(error.to_string()))?;
            output::print(&format!("{text}\n"))?;
        }
        Format::Jsonl => output::records(format, &[], &report.damage, |_| Vec::new())?,
    }
    Ok(if report.is_whole() { DONE } else { FAILED })
}

fn page(report: &VerifyReport, rebuilding: bool, rebuilt: Option<&RebuildReport>) -> String {
    let mut page = String::new();
    match rebuilt {
        Some(rebuilt) => page.push_str(&brought_back(rebuilt)),
        None if rebuilding => page.push_str("the store is whole: nothing was rebuilt\n"),
        None => {}
    }
    report.checkpoints.iter().for_each(|health| page.push_str(&checkpoint(health)));
    if report.checkpoints.is_empty() {
        page.push_str("no checkpoints\n");
    }
    let journal = match report.journal {
        Some((first, last)) => format!("steps {first} to {last}"),
        None => "no steps".to_owned(),
    };
    let store = report.store.map_or_else(|| "not read".to_owned(), |values| format!("{values} values"));
    let (segments, bytes) = (report.segments, HumanBytes(report.bytes));
    page.push_str(&format!("{segments} segments, {bytes}; journal: {journal}; store: {store}\n"));
    report.notices.iter().for_each(|notice| page.push_str(&format!("note: {notice}\n")));
    for Damage { what, why, means } in &report.damage {
        page.push_str(&format!("damaged: {what}: {why}\n  that means: {means}\n"));
    }
    if report.is_whole() {
        page.push_str("everything is whole\n");
    }
    page
}

fn checkpoint(health: &CheckpointHealth) -> String {
    let state = match health.lacks.is_empty() {
        true => "whole".to_owned(),
        false => format!("cannot be used ({})", health.lacks.join("; ")),
    };
    format!("checkpoint {} after step {}: {state}\n", health.checkpoint, health.step)
}

fn brought_back(rebuilt: &RebuildReport) -> String {
    let numbers = |numbers: &[tidegate_pipeline::checkpoint::CheckpointNumber]| {
        numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "the store was rebuilt from the segments; the old one is in `store.damaged`\n  checkpoints: {}\n",
        if rebuilt.checkpoints.is_empty() { "none".to_owned() } else { numbers(&rebuilt.checkpoints) }
    );
    if !rebuilt.incomplete.is_empty() {
        text.push_str(&format!("  left out, because parts of them are lost: {}\n", numbers(&rebuilt.incomplete)));
    }
    for (sink, mark) in &rebuilt.marks {
        text.push_str(&format!("  mark of {sink}: step {}\n", mark.step));
    }
    if !rebuilt.marks.is_empty() {
        text.push_str(
            "  the lost store may have known later marks: on the next start these outputs go back to the marks above, \
             and get what followed once more from the steps that are executed again\n",
        );
    }
    text
}
