//! Reading every byte of a pipeline's directory: what is damaged, and what that means. Changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result, Retry};
use crate::journal::read_directory;
use crate::journal::record::{EngineEvent, Record, StepBody};
use crate::step::{ContentHash, StepNumber};

use super::fence;
use super::folder::{DiskFolder, Folder};
use super::head::{self, Head};
use super::index::Index;
use super::manifest::{CheckpointNumber, CheckpointSummary};
use super::owner::owner_of;
use super::rebuild;
use super::segments::SegmentStore;
use super::sled_store::{Limits, SledStore};
use super::store::{MemoryStore, Store, StoreBatch};
use super::survey::Survey;

/// How often the journal is read again when its owner removes files of it meanwhile.
const ATTEMPTS: u32 = 3;

/// Something that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// What is damaged.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// What can no longer be done because of it.
    pub means: String,
}

/// A checkpoint, and whether it can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointHealth {
    /// Its number.
    pub checkpoint: CheckpointNumber,
    /// The step after which it was taken.
    pub step: StepNumber,
    /// Why it cannot be used; empty when it is whole.
    pub lacks: Vec<String>,
}

/// What reading everything has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The checkpoints that are listed, newest first.
    pub checkpoints: Vec<CheckpointHealth>,
    /// How many segments are whole.
    pub segments: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// The first and the last step of the journal; `None` when it holds none.
    pub journal: Option<(StepNumber, StepNumber)>,
    /// How many values the store holds; `None` when it was not read.
    pub store: Option<u64>,
    /// Whether the store has to be rebuilt.
    pub rebuild: bool,
    /// What is worth knowing and no damage.
    pub notices: Vec<String>,
    /// What is damaged.
    pub damage: Vec<Damage>,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }

    fn damaged(&mut self, what: impl Into<String>, why: impl Into<String>, means: impl Into<String>) {
        self.damage.push(Damage { what: what.into(), why: why.into(), means: means.into() });
    }
}

/// Reads every byte of the pipeline directory `directory` (`.tidegate/NAME`), owned or not: segments, manifests,
/// journal, store. The store of a pipeline that is running is left out, with a notice.
///
/// # Errors
/// When there is no such directory, the disk fails, or a newer program is needed.
pub fn verify(directory: &Path) -> Result<VerifyReport> {
    if !directory.is_dir() {
        return Err(Error::user(format!("there is no pipeline directory {}", directory.display())));
    }
    let mut report = VerifyReport::default();
    let root = DiskFolder::of(directory);
    let head = verify_head(&root, &mut report);
    let segments = SegmentStore::of(directory);
    let survey = match directory.join(super::segments::FOLDER).is_dir() {
        true => Survey::of(&segments)?,
        false => Survey::default(),
    };
    report.segments = survey.whole.len() as u64;
    report.bytes = survey.whole.values().sum();
    let index = verify_store(directory, &survey, head.as_ref(), &mut report)?;
    let listed = listed(index, &survey, head.as_ref());
    verify_checkpoints(&listed, &survey, &mut report);
    verify_fence(&root, &mut report);
    verify_journal(directory, &survey, &mut report)?;
    Ok(report)
}

fn verify_head(root: &dyn Folder, report: &mut VerifyReport) -> Option<Head> {
    head::read(root).unwrap_or_else(|error| {
        let means = "`query` and `checkpoint list` do not find the newest checkpoint; the next `run` writes it anew";
        report.damaged("the file `head`", error.message, means);
        None
    })
}

fn verify_fence(root: &dyn Folder, report: &mut VerifyReport) {
    if let Err(error) = fence::examine(root) {
        let means = "a process that runs the pipeline now stops; the next `run` writes it anew";
        report.damaged("the file `epoch`", error.message, means);
    }
}

/// Reads the store, where nobody owns it.
fn verify_store(
    directory: &Path,
    survey: &Survey,
    head: Option<&Head>,
    report: &mut VerifyReport,
) -> Result<Option<Index>> {
    const MEANS: &str =
        "`run` refuses to start; `checkpoint verify --rebuild` builds it anew from segments and journal";
    if let Some(owner) = owner_of(directory) {
        report.notices.push(format!("{owner} runs the pipeline: its store can be read once it has stopped"));
        return Ok(None);
    }
    let was_there = head.is_some() || !survey.whole.is_empty() || !survey.damaged.is_empty();
    let index = SledStore::examine(directory, Limits::default()).and_then(|values| {
        let Some(values) = values else { return Ok(None) };
        report.store = Some(values.len() as u64);
        index_of(values).map(Some)
    });
    let why = match index {
        Ok(Some(index)) if index.is_new() && was_there => "it lists nothing".to_owned(),
        Ok(Some(index)) => match head.filter(|head| index.has_forgotten(head.number)) {
            None => return Ok(Some(index)),
            Some(head) => format!("it does not list checkpoint {}, which the file `head` names", head.number),
        },
        Ok(None) if was_there => "it is gone".to_owned(),
        Ok(None) => return Ok(None),
        // A newer program's store is whole.
        Err(error) if error.domain == crate::error::Domain::User => return Err(error),
        Err(error) => error.message,
    };
    report.rebuild = true;
    report.damaged("the store", why, MEANS);
    Ok(None)
}

fn index_of(values: BTreeMap<String, Vec<u8>>) -> Result<Index> {
    let store = MemoryStore::default();
    let mut batch = StoreBatch::default();
    for (key, value) in values {
        batch.put(key, value)?;
    }
    store.apply(&batch)?;
    Index::read(&store)
}

/// The checkpoints that the store lists; those that the file `head` leads to, where the store was not read;
/// else those that a rebuild would list, and those of which it finds only parts.
fn listed(index: Option<Index>, survey: &Survey, head: Option<&Head>) -> Vec<CheckpointSummary> {
    if let Some(index) = index {
        return index.listed;
    }
    if let Some((head, newest)) = head.and_then(|head| survey.manifest(&head.manifest).map(|newest| (head, newest))) {
        // An owner that runs may remove others while this reads: what is missing of them says nothing.
        let is_there = |summary: &&CheckpointSummary| {
            let manifest = survey.manifest(&summary.manifest);
            let names = manifest.map(super::manifest::Manifest::segments).unwrap_or_default();
            head.kept.contains(&summary.number) && names.iter().chain([&summary.manifest]).all(|hash| survey.has(hash))
        };
        let there = newest.retained.iter().filter(is_there).cloned();
        return there.chain([newest.summary(head.manifest.clone())]).collect();
    }
    let rebuilt = rebuild::decide(survey, head);
    let incomplete = survey.manifests.iter().filter(|(_, found)| rebuilt.incomplete.contains(&found.number));
    let incomplete = incomplete.map(|(hash, manifest)| manifest.summary(hash.clone()));
    let mut listed: Vec<_> = rebuilt.listed.iter().cloned().chain(incomplete).collect();
    listed.sort_by_key(|summary| summary.number);
    listed
}

fn verify_checkpoints(listed: &[CheckpointSummary], survey: &Survey, report: &mut VerifyReport) {
    // What is damaged or missing, and the checkpoints that need it.
    let mut needed: BTreeMap<ContentHash, (String, Vec<CheckpointNumber>)> =
        survey.damaged.iter().map(|(hash, error)| (hash.clone(), (error.message.clone(), Vec::new()))).collect();
    for summary in listed.iter().rev() {
        let lacks = match survey.manifest(&summary.manifest) {
            Some(manifest) => survey.lacks(manifest),
            None => vec![(summary.manifest.clone(), survey.why(&summary.manifest))],
        };
        let described = lacks.iter().map(|(hash, why)| format!("segment {}: {why}", short(hash))).collect();
        for (hash, why) in lacks {
            needed.entry(hash).or_insert((why, Vec::new())).1.push(summary.number);
        }
        report.checkpoints.push(CheckpointHealth { checkpoint: summary.number, step: summary.step, lacks: described });
    }
    for (hash, (why, checkpoints)) in needed {
        let numbers: Vec<String> = checkpoints.iter().map(ToString::to_string).collect();
        let means = match numbers.len() {
            0 => "no checkpoint that is listed names it".to_owned(),
            1 => format!("checkpoint {} cannot be used", numbers.join(", ")),
            _ => format!("checkpoints {} cannot be used", numbers.join(", ")),
        };
        report.damaged(format!("segment {hash}"), why, means);
    }
}

/// What going through the journal has found.
#[derive(Default)]
struct Journaled {
    steps: Option<(StepNumber, StepNumber)>,
    /// The segments that steps name, and the last step that names each.
    named: BTreeMap<ContentHash, (StepNumber, String)>,
    error: Option<Error>,
}

fn read_journal(directory: &Path) -> Result<Journaled> {
    let mut journaled = Journaled::default();
    for record in read_directory(directory, StepNumber::ZERO)? {
        match record {
            Ok((_, Record::Step(step))) => {
                let number = step.header.number;
                journaled.steps = Some((journaled.steps.map_or(number, |(first, _)| first), number));
                if let StepBody::Engine(EngineEvent::Lookup { node, name, hash }) = step.body {
                    journaled.named.insert(hash, (number, format!("the file {name} that node `{node}` reads")));
                }
            }
            Ok(_) => {}
            Err(error) => {
                journaled.error = Some(error);
                break;
            }
        }
    }
    Ok(journaled)
}

fn verify_journal(directory: &Path, survey: &Survey, report: &mut VerifyReport) -> Result<()> {
    if !directory.join("journal").is_dir() {
        report.notices.push("there is no journal yet: nothing can be replayed".to_owned());
        return Ok(());
    }
    let mut journaled = read_journal(directory)?;
    for _ in 1..ATTEMPTS {
        if journaled.error.as_ref().is_some_and(|error| error.retry == Retry::WithBackoff) {
            journaled = read_journal(directory)?;
        }
    }
    report.journal = journaled.steps;
    let last = journaled.steps.map_or(StepNumber::ZERO, |(_, last)| last);
    let newest = report.checkpoints.iter().find(|health| health.lacks.is_empty()).map(|health| health.step);
    if let Some(error) = journaled.error {
        let means =
            format!("steps after {last} cannot be replayed, and `run` refuses to start where they were durable");
        report.damaged("the journal", error.message, means);
    } else if let (Some(newest), Some(_)) = (newest.filter(|newest| *newest > last), journaled.steps) {
        let means = format!("steps {} to {newest} cannot be replayed", last.next());
        report.damaged("the journal", format!("it ends with step {last}, before the newest checkpoint"), means);
    }
    // What comes before the newest checkpoint may have been collected.
    for (hash, (step, what)) in journaled.named {
        if newest.is_none_or(|newest| step > newest) && !survey.whole.contains_key(&hash) {
            let means = format!("step {step} and those after it cannot be executed again");
            report.damaged(format!("segment {hash} ({what})"), survey.why(&hash), means);
        }
    }
    Ok(())
}

fn short(hash: &ContentHash) -> &str {
    hash.0.get(..12).unwrap_or(&hash.0)
}
