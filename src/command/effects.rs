//! `tidegate effects`: what dispatching sinks want done outside. `list` and `show` read beside a running pipeline;
//! `retry`, `discard` and `approve` go to the process that runs it, or take its place where none does.

use std::path::{Path, PathBuf};

use serde_json::json;
use tidegate_pipeline::handler::Report;
use tidegate_pipeline::runtime::{
    ChangedEffects, EffectChange, EffectReach, EffectState, ListedEffect, change_effects, list_effects, open_circuits,
};

use super::checkpoint;
use crate::arguments::{EffectFilter, EffectStateName, EffectsCommand, Format, PipelineArguments, SomeEffects};
use crate::exit::{DONE, FAILED, Failure};
use crate::output;

/// Lists, shows, retries, discards or approves effects.
pub(crate) fn effects(command: EffectsCommand, queries: Option<&Path>) -> Result<u8, Failure> {
    match command {
        EffectsCommand::List { pipeline, filter, format } => list(&Place::of(&pipeline, queries)?, &filter, format),
        EffectsCommand::Show { pipeline, effect, format } => show(&Place::of(&pipeline, queries)?, &effect, format),
        EffectsCommand::Retry(some) => change(&some, EffectChange::Retry, queries),
        EffectsCommand::Discard(some) => change(&some, EffectChange::Discard, queries),
        EffectsCommand::Approve(some) => change(&some, EffectChange::Approve, queries),
    }
}

/// A pipeline's name and its own directory.
struct Place {
    name: String,
    directory: PathBuf,
}

impl Place {
    fn of(arguments: &PipelineArguments, queries: Option<&Path>) -> Result<Self, Failure> {
        let directory = checkpoint::directory(arguments, queries)?;
        let name = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, directory })
    }

    fn effects(&self, reach: EffectReach) -> Result<Vec<ListedEffect>, Failure> {
        if !self.directory.is_dir() {
            return Ok(Vec::new());
        }
        Ok(list_effects(&self.directory, &self.name, reach)?)
    }
}

impl EffectFilter {
    /// What is asked for may have come to its end long ago: then the whole journal is read.
    fn reach(&self) -> EffectReach {
        let ended = [EffectStateName::Done, EffectStateName::Discarded, EffectStateName::Suppressed];
        let reaches_back = self.state.iter().any(|state| ended.contains(state));
        if reaches_back { EffectReach::Journal } else { EffectReach::Checkpoint }
    }

    fn takes(&self, listed: &ListedEffect) -> bool {
        (self.state.is_empty() || self.state.iter().any(|state| EffectState::from(*state) == listed.state))
            && self.sink.as_ref().is_none_or(|sink| *sink == listed.effect.sink)
            && self.step.is_none_or(|step| step == listed.effect.step.0)
    }

    fn is_empty(&self) -> bool {
        self.state.is_empty() && self.sink.is_none() && self.step.is_none()
    }
}

impl From<EffectStateName> for EffectState {
    fn from(name: EffectStateName) -> Self {
        match name {
            EffectStateName::AwaitingApproval => Self::AwaitingApproval,
            EffectStateName::Intended => Self::Intended,
            EffectStateName::Done => Self::Done,
            EffectStateName::Dead => Self::Dead,
            EffectStateName::Discarded => Self::Discarded,
            EffectStateName::Suppressed => Self::Suppressed,
        }
    }
}

fn list(place: &Place, filter: &EffectFilter, format: Format) -> Result<u8, Failure> {
    let mut effects = place.effects(filter.reach())?;
    effects.retain(|listed| filter.takes(listed));
    if format == Format::Text {
        output::print(&circuits(place))?;
    }
    if effects.is_empty() && format == Format::Text {
        output::print("no effects\n")?;
        return Ok(DONE);
    }
    let rows: Vec<serde_json::Value> = effects.iter().map(row).collect();
    let header = ["effect", "state", "sink", "step", "attempts", "reason"];
    output::records(format, &header, &rows, |row| header.iter().map(|name| cell(&row[*name])).collect())?;
    Ok(DONE)
}

/// Which destinations fail and are left alone, a line each.
fn circuits(place: &Place) -> String {
    let mut text = String::new();
    for (sink, circuit) in open_circuits(&place.directory) {
        let until = circuit.until.and_then(|until| jiff::Timestamp::from_millisecond(until).ok());
        let next = until.map_or("it is tried just now".to_owned(), |until| format!("it is tried again at {until:.0}"));
        let reason = circuit.reason.unwrap_or_default();
        text.push_str(&format!(
            "{sink}: its destination has failed {} times in a row, {next}: {reason}\n",
            circuit.failures
        ));
    }
    text
}

fn show(place: &Place, id: &str, format: Format) -> Result<u8, Failure> {
    let find = |reach| Ok::<_, Failure>(place.effects(reach)?.into_iter().find(|listed| *listed.effect.id == *id));
    let found = match find(EffectReach::Checkpoint)? {
        Some(found) => Some(found),
        None => find(EffectReach::Journal)?,
    };
    let unknown = || Failure::usage(format!("there is no effect `{id}`\nhelp: `tidegate effects list` lists them"));
    let listed = found.ok_or_else(unknown)?;
    let mut page = row(&listed);
    page["key"] = json!(listed.effect.payload.key);
    if let Some(report) = listed.reason.as_deref().filter(|reason| Report::read(reason).is_some()) {
        page["report"] = body(report.as_bytes());
    }
    page["body"] = body(&listed.effect.payload.body);
    if format != Format::Text {
        return output::print(&format!("{page:#}\n")).map(|()| DONE);
    }
    let mut text = String::new();
    for (name, value) in page.as_object().into_iter().flatten() {
        text.push_str(&format!("{name:>8}  {}\n", cell(value)));
    }
    output::print(&text).map(|()| DONE)
}

fn row(listed: &ListedEffect) -> serde_json::Value {
    let effect = &listed.effect;
    // Of a handler's effect a report is kept; a line of it says enough in a list.
    let reason = listed.reason.as_deref().map(|reason| match Report::read(reason) {
        Some(report) => report.summary(),
        None => reason.to_owned(),
    });
    json!({
        "effect": effect.id,
        "state": listed.state,
        "sink": effect.sink,
        "input": effect.input,
        "step": effect.step,
        "row": effect.row,
        "attempts": listed.attempts,
        "reason": reason,
        "bytes": effect.payload.body.len(),
    })
}

/// What is sent: as JSON or text where it is that, else as hexadecimal digits.
fn body(bytes: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Err(_) => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

fn cell(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn change(some: &SomeEffects, change: EffectChange, queries: Option<&Path>) -> Result<u8, Failure> {
    let place = Place::of(&some.pipeline, queries)?;
    let ids = if some.effects.is_empty() { chosen(&place, some, change)? } else { some.effects.clone() };
    let changed = change_effects(&place.directory, &place.name, change, &ids)?;
    match some.format {
        Format::Text => output::print(&said(&changed, change))?,
        Format::Json | Format::Jsonl => {
            let document = serde_json::to_string(&changed).map_err(|error| Failure::failed(error.to_string()))?;
            output::print(&format!("{document}\n"))?;
        }
    }
    Ok(if changed.unchanged.is_empty() { DONE } else { FAILED })
}

/// The effects that filters choose, among those that can be changed so.
fn chosen(place: &Place, some: &SomeEffects, change: EffectChange) -> Result<Vec<String>, Failure> {
    if some.filter.is_empty() && !some.all {
        let message = "name effects, choose them by --state, --sink or --step, or take --all";
        return Err(Failure::usage(format!("which effects? {message}")));
    }
    let can_be_changed = |state| match change {
        EffectChange::Retry => state == EffectState::Dead,
        EffectChange::Discard => {
            matches!(state, EffectState::Dead | EffectState::Intended | EffectState::AwaitingApproval)
        }
        EffectChange::Approve => state == EffectState::AwaitingApproval,
    };
    let mut effects = place.effects(EffectReach::Checkpoint)?;
    effects.retain(|listed| can_be_changed(listed.state) && some.filter.takes(listed));
    Ok(effects.into_iter().map(|listed| listed.effect.id.to_string()).collect())
}

fn said(changed: &ChangedEffects, change: EffectChange) -> String {
    let done = match change {
        EffectChange::Retry => "will be tried again",
        EffectChange::Discard => "discarded",
        EffectChange::Approve => "approved",
    };
    let count = changed.changed.len();
    let mut text = format!("{count} {} {done}\n", if count == 1 { "effect" } else { "effects" });
    for unchanged in &changed.unchanged {
        text.push_str(&format!("{}: not changed: {}\n", unchanged.id, unchanged.reason));
    }
    text
}
