//! `tidegate checkpoint`: what a pipeline has saved. What only reads, reads beside a running pipeline, without its
//! lock; what changes something takes the ownership.

mod moving;
mod verify;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tidegate_pipeline::checkpoint::{
    CheckpointSummary, Manifest, Retention, list_checkpoints, read_head, read_manifest,
};
use tidegate_pipeline::spec::PipelineSpec;

use crate::arguments::{CheckpointCommand, Format, PipelineArguments};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::load::PipelineFile;
use crate::output;

pub(crate) use moving::{bring_back, brought};

/// Lists, shows, verifies, removes or moves checkpoints.
pub(crate) fn checkpoint(command: CheckpointCommand, queries: Option<&Path>) -> Result<u8, Failure> {
    match command {
        CheckpointCommand::List { pipeline, format } => {
            let summaries = list_checkpoints(&directory(&pipeline, queries)?)?;
            if summaries.is_empty() && format == Format::Text {
                output::print("no checkpoints yet\n")?;
                return Ok(DONE);
            }
            let rows: Vec<serde_json::Value> = summaries.iter().map(row).collect();
            let header = ["checkpoint", "step", "time", "created", "took", "bytes", "finished"];
            output::records(format, &header, &rows, |row| header.iter().map(|name| cell(name, &row[*name])).collect())?;
        }
        CheckpointCommand::Show { pipeline, checkpoint, format } => {
            let directory = directory(&pipeline, queries)?;
            let manifest = find(&directory, checkpoint)?;
            match format {
                Format::Text => output::print(&page(&manifest))?,
                Format::Json | Format::Jsonl => {
                    let text =
                        serde_json::to_string_pretty(&manifest).map_err(|error| Failure::failed(error.to_string()))?;
                    output::print(&format!("{text}\n"))?;
                }
            }
        }
        CheckpointCommand::Verify { pipeline, rebuild, format } => {
            return verify::run(&directory(&pipeline, queries)?, rebuild, format);
        }
        CheckpointCommand::Prune { pipeline, keep } => {
            let keep = match keep {
                Some(keep) => keep,
                None => retention(&pipeline, queries)?,
            };
            return moving::prune(&directory(&pipeline, queries)?, keep);
        }
        CheckpointCommand::Export { pipeline, file, checkpoint } => {
            return moving::write(&directory(&pipeline, queries)?, checkpoint, &file);
        }
        CheckpointCommand::Import { pipeline, from, without_outputs } => {
            let own = match pipeline.pipeline.exists() {
                true => spec(&pipeline, queries)?.checkpoint.copy_to,
                false => None,
            };
            let report = bring_back(&directory(&pipeline, queries)?, &from, !without_outputs, own.as_ref())?;
            output::print(&brought(&report))?;
        }
    }
    Ok(DONE)
}

/// What the pipeline's file says is kept.
fn retention(pipeline: &PipelineArguments, queries: Option<&Path>) -> Result<Retention, Failure> {
    if !pipeline.pipeline.exists() {
        return Err(Failure::usage("without the pipeline's file, say what is kept: `--keep 5`"));
    }
    let keep = spec(pipeline, queries)?.checkpoint.keep;
    Ok(Retention { last: keep.last, hourly: keep.hourly, daily: keep.daily })
}

/// The pipeline's file.
fn spec(arguments: &PipelineArguments, queries: Option<&Path>) -> Result<PipelineSpec, Failure> {
    let catalog = catalog(packs(queries)?);
    let file = PipelineFile::read(&arguments.pipeline)?;
    match file.spec(&catalog) {
        Ok((spec, _)) => Ok(spec),
        Err(diagnostics) => {
            file.show(&diagnostics);
            Err(Failure::usage(crate::load::invalid(&file.name, &diagnostics)))
        }
    }
}

/// The pipeline's own directory: by its file, or by its name where a folder of that name exists.
pub(crate) fn directory(arguments: &PipelineArguments, queries: Option<&Path>) -> Result<PathBuf, Failure> {
    let by_name = arguments.dir.join(&arguments.pipeline);
    if !arguments.pipeline.exists() && by_name.is_dir() {
        return Ok(by_name);
    }
    Ok(arguments.dir.join(&*spec(arguments, queries)?.name.value))
}

fn find(directory: &Path, number: Option<u64>) -> Result<Manifest, Failure> {
    let none = || Failure::usage(format!("{} has no checkpoint yet", directory.display()));
    let head = read_head(directory)?.ok_or_else(none)?;
    let Some(number) = number.filter(|number| *number != head.number.0) else { return Ok(head) };
    let listed = list_checkpoints(directory)?;
    let known = listed.iter().find(|summary| summary.number.0 == number).ok_or_else(|| {
        Failure::usage(format!("there is no checkpoint {number}; `tidegate checkpoint list` lists them"))
    })?;
    Ok(read_manifest(directory, &known.manifest)?)
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

fn row(summary: &CheckpointSummary) -> serde_json::Value {
    serde_json::json!({
        "checkpoint": summary.number.0,
        "step": summary.step.0,
        "time": time(summary.time.0),
        "created": time(summary.created),
        "took_ms": summary.took_ms,
        "took": format!("{} ms", summary.took_ms),
        "bytes": summary.bytes,
        "finished": summary.finished,
    })
}

fn cell(name: &str, value: &serde_json::Value) -> String {
    match (name, value) {
        ("bytes", value) => indicatif::HumanBytes(value.as_u64().unwrap_or(0)).to_string(),
        ("finished", value) => if value.as_bool() == Some(true) { "yes" } else { "" }.to_owned(),
        (_, serde_json::Value::String(text)) => text.clone(),
        (_, value) => value.to_string(),
    }
}

fn page(manifest: &Manifest) -> String {
    let mut page = format!(
        "checkpoint {} after step {} at {}\n  made {} in {} ms; definition {}; incarnation {}{}\n",
        manifest.number.0,
        manifest.step,
        manifest.time,
        time(manifest.created),
        manifest.took_ms,
        manifest.definition.0.get(..12).unwrap_or_default(),
        manifest.incarnation.0,
        if manifest.finished { "; the pipeline has finished" } else { "" },
    );
    let mut sources = output::table(&["source", "position", "schemas", "ended", "state"]);
    for (name, source) in &manifest.sources {
        let position =
            source.position.as_ref().map(ToString::to_string).unwrap_or_else(|| "at the beginning".to_owned());
        let ended = if source.ended { "yes" } else { "" };
        let segments = segments(source.tables.segments.len());
        sources.add_row(vec![name.clone(), position, source.schemas.len().to_string(), ended.to_owned(), segments]);
    }
    page.push_str(&format!("\n{}\n", sources.trim_fmt()));
    let mut nodes = output::table(&["node", "state"]);
    nodes.add_rows(manifest.nodes.iter().map(|(name, node)| vec![name.clone(), segments(node.segments.len())]));
    if !manifest.nodes.is_empty() {
        page.push_str(&format!("\n{}\n", nodes.trim_fmt()));
    }
    let mut marks = output::table(&["sink", "mark: complete through step", "detail"]);
    manifest.marks.iter().for_each(|(name, mark)| {
        marks.add_row(vec![name.clone(), mark.step.to_string(), mark.detail.clone()]);
    });
    if !manifest.marks.is_empty() {
        page.push_str(&format!("\n{}\n", marks.trim_fmt()));
    }
    page
}

fn segments(count: usize) -> String {
    match count {
        0 => "none".to_owned(),
        1 => "1 segment".to_owned(),
        count => format!("{count} segments"),
    }
}
