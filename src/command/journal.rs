//! `tidegate journal`: what a pipeline has recorded. Looks beside a running pipeline, without its lock; changes
//! nothing but the list of quarantined steps.

use std::path::Path;

use tidegate_pipeline::journal::{EngineEvent, Quarantine, Record, StepBody, StepRecord, decode_batch, read_directory};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::runtime::suspects;
use tidegate_pipeline::step::{StepNumber, Unit};

use super::checkpoint::directory;
use crate::arguments::{Format, JournalCommand, PipelineArguments};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::load::PipelineFile;
use crate::output;

/// Lists or shows steps, or quarantines one.
pub(crate) fn journal(command: JournalCommand, queries: Option<&Path>) -> Result<u8, Failure> {
    match command {
        JournalCommand::List { pipeline, from, limit, format } => {
            list(&directory(&pipeline, queries)?, StepNumber(from), limit, format)?;
        }
        JournalCommand::Show { pipeline, step, format } => {
            show(&directory(&pipeline, queries)?, StepNumber(step), format)?;
        }
        JournalCommand::Quarantine { pipeline, step, node } => {
            known_node(&pipeline, &node, queries)?;
            quarantine(&directory(&pipeline, queries)?, StepNumber(step), &node)?;
        }
    }
    Ok(DONE)
}

/// The steps of a journal from `from` on; none where the pipeline has never run.
fn steps(directory: &Path, from: StepNumber) -> Result<Vec<Box<dyn Iterator<Item = StepResult>>>, Failure> {
    if !directory.join("journal").is_dir() {
        return Ok(Vec::new());
    }
    let step = |record: tidegate_pipeline::error::Result<_>| match record {
        Ok((_, Record::Step(step))) => Some(Ok(step)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    };
    Ok(vec![Box::new(read_directory(directory, from)?.filter_map(step))])
}

type StepResult = tidegate_pipeline::error::Result<StepRecord>;

fn list(directory: &Path, from: StepNumber, limit: usize, format: Format) -> Result<(), Failure> {
    let quarantine = Quarantine::read(directory)?;
    let mut rows = Vec::new();
    let mut more = false;
    for step in steps(directory, from)?.into_iter().flatten() {
        more = rows.len() == limit;
        if more {
            break;
        }
        rows.push(row(&step?, &quarantine)?);
    }
    if format == Format::Text && rows.is_empty() {
        return output::print("no steps\n");
    }
    let header = ["step", "time", "source", "kind", "rows", "rejected", "bytes", "quarantined"];
    output::records(format, &header, &rows, |row| header.iter().map(|name| cell(&row[*name])).collect())?;
    if more {
        crate::output::told!("there are more: `--from {}` goes on, `--limit` takes more", next(&rows));
    }
    for suspect in suspects(directory) {
        crate::output::told!("node `{}` was executing step {} when the last start ended", suspect.node, suspect.step);
    }
    Ok(())
}

fn next(rows: &[serde_json::Value]) -> u64 {
    rows.last().and_then(|row| row["step"].as_u64()).unwrap_or(0) + 1
}

fn row(step: &StepRecord, quarantine: &Quarantine) -> Result<serde_json::Value, Failure> {
    let (mut rows, mut rejected, mut bytes) = (None, None, None);
    match &step.body {
        StepBody::Reference { ranges, .. } => bytes = Some(ranges.iter().map(|range| range.bytes).sum()),
        StepBody::Inline { parts, rejected: bad, .. } => {
            bytes = Some(parts.iter().map(|part| part.ipc.len() as u64).sum::<u64>());
            rejected = Some(bad.len());
            let mut count = 0;
            for part in parts {
                count += decode_batch(&part.ipc)?.num_rows();
            }
            rows = Some(count);
        }
        StepBody::Engine(_) => {}
    }
    Ok(serde_json::json!({
        "step": step.header.number.0,
        "time": step.header.time.to_string(),
        "source": &*step.header.source,
        "kind": kind(step),
        "rows": rows,
        "rejected": rejected,
        "bytes": bytes,
        "quarantined": quarantine.nodes(step.header.number),
    }))
}

/// What a step is, in a few words.
fn kind(step: &StepRecord) -> String {
    let unit = match &step.header.unit {
        Unit::Rows => None,
        Unit::Begin(scope) => Some(format!("begin of {scope}")),
        Unit::Page(scope) => Some(format!("page of {scope}")),
        Unit::End(scope, _) => Some(format!("end of {scope}")),
        Unit::Targeted(scope) => Some(format!("targets of {scope}")),
    };
    match (&step.body, unit) {
        (StepBody::Engine(event), _) => engine(event),
        (_, Some(unit)) => unit,
        (StepBody::Reference { .. }, None) => "reference".to_owned(),
        (StepBody::Inline { .. }, None) => "inline".to_owned(),
    }
}

fn engine(event: &EngineEvent) -> String {
    match event {
        EngineEvent::Definition { hash } => format!("definition {}", hash.0.get(..12).unwrap_or_default()),
        EngineEvent::Lookup { node, name, .. } => format!("contents of {name} for {node}"),
        EngineEvent::Schema { source, version, .. } => format!("schema {} of {source}", version.0),
        EngineEvent::Tick => "tick".to_owned(),
        EngineEvent::SourceEnded { source, .. } => format!("end of {source}"),
        EngineEvent::Finished => "end of all input".to_owned(),
        EngineEvent::Joined { nodes } => format!("new nodes: {}", nodes.join(", ")),
        EngineEvent::GivenUp { sink, letters } => format!("{} effects given up by {sink}", letters.len()),
        EngineEvent::Drained { .. } => "end of all sources".to_owned(),
    }
}

fn cell(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

/// The step of that number.
fn find(directory: &Path, number: StepNumber) -> Result<StepRecord, Failure> {
    let none = || {
        let hint = "`tidegate journal list` lists those that there are";
        Failure::usage(format!("the journal holds no step {number}\nhelp: {hint}"))
    };
    let first = steps(directory, number)?.into_iter().flatten().next().ok_or_else(none)??;
    if first.header.number == number { Ok(first) } else { Err(none()) }
}

fn show(directory: &Path, number: StepNumber, format: Format) -> Result<(), Failure> {
    let step = find(directory, number)?;
    let quarantine = Quarantine::read(directory)?;
    let mut shown = row(&step, &quarantine)?;
    let mut batches = Vec::new();
    match &step.body {
        StepBody::Inline { parts, rejected, position } => {
            for part in parts {
                batches.push((part.port, decode_batch(&part.ipc)?));
            }
            shown["position"] = position.to_string().into();
            shown["rejected"] = rejected.iter().map(bad_row).collect();
        }
        StepBody::Reference { ranges, position } => {
            shown["position"] = position.to_string().into();
            let range = |range: &tidegate_pipeline::step::Range| {
                let (from, to) = (range.from.to_string(), range.to.to_string());
                serde_json::json!({"from": from, "to": to, "bytes": range.bytes, "xxh3": format!("{:032x}", range.hash)})
            };
            shown["ranges"] = ranges.iter().map(range).collect();
        }
        StepBody::Engine(_) => {}
    }
    if format != Format::Text {
        let mut rows = Vec::new();
        for (port, batch) in &batches {
            rows.push(serde_json::json!({"port": port, "rows": json_rows(batch)?}));
        }
        shown["ports"] = rows.into();
        let text =
            if format == Format::Json { serde_json::to_string_pretty(&shown) } else { serde_json::to_string(&shown) };
        return output::print(&format!("{}\n", text.map_err(|error| Failure::failed(error.to_string()))?));
    }
    output::print(&page(&shown))?;
    for (port, batch) in &batches {
        output::print(&format!("\nrows of port {port}\n"))?;
        output::rows(Format::Text, std::slice::from_ref(batch))?;
    }
    if let StepBody::Reference { .. } = step.body {
        output::print("\nits rows stay where the source has them\n")?;
    }
    Ok(())
}

fn bad_row(rejected: &Rejected) -> serde_json::Value {
    serde_json::json!({"position": rejected.position, "reason": rejected.reason, "raw": rejected.raw})
}

fn json_rows(batch: &arrow::array::RecordBatch) -> Result<serde_json::Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
    let mut bytes = Vec::new();
    let mut writer = arrow::json::ArrayWriter::new(&mut bytes);
    writer.write(batch).and_then(|()| writer.finish()).map_err(|error| failed(&error))?;
    if bytes.is_empty() {
        return Ok(serde_json::json!([]));
    }
    serde_json::from_slice(&bytes).map_err(|error| failed(&error))
}

/// The head of a step: a line for each thing that there is to say.
fn page(shown: &serde_json::Value) -> String {
    let said = |value: &serde_json::Value| !value.is_null() && value.as_array().is_none_or(|values| !values.is_empty());
    let line = |(name, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::Array(values) if values.iter().any(serde_json::Value::is_object) => {
            let lines: Vec<String> = values.iter().map(|value| format!("  {value}")).collect();
            format!("{name}:\n{}\n", lines.join("\n"))
        }
        value => format!("{name}: {}\n", cell(value)),
    };
    shown.as_object().into_iter().flatten().filter(|(_, value)| said(value)).map(line).collect()
}

/// Quarantining needs the name of an operator or a sink: what a source gives is recorded already.
fn known_node(arguments: &PipelineArguments, node: &str, queries: Option<&Path>) -> Result<(), Failure> {
    if !arguments.pipeline.exists() {
        return Ok(());
    }
    let file = PipelineFile::read(&arguments.pipeline)?;
    let Ok((spec, _)) = file.spec(&catalog(packs(queries)?)) else { return Ok(()) };
    if spec.operators.iter().chain(&spec.sinks).any(|known| *known.name.value == *node) {
        return Ok(());
    }
    let known: Vec<String> = spec.operators.iter().chain(&spec.sinks).map(|known| known.name.to_string()).collect();
    Err(Failure::unknown("operator or sink", node, &known))
}

fn quarantine(directory: &Path, step: StepNumber, node: &str) -> Result<(), Failure> {
    find(directory, step)?;
    let new = Quarantine::add(directory, step, node)?;
    let how = if new { "is quarantined from now on" } else { "was quarantined already" };
    output::print(&format!(
        "step {step} {how} for node `{node}`: the rows that it would take go to its port `errors`, at the next start and in \
         every replay\n"
    ))
}
