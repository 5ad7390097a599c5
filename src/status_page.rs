//! How a running pipeline is, as JSON for programs.

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;
use tidegate_pipeline::provider::RefreshReport;
use tidegate_pipeline::runtime::{CircuitStatus, EffectCounts, NodeState, PipelineStatus};
use tidegate_pipeline::spec::pipeline::Section;

/// A pipeline.
#[derive(Serialize)]
struct Page<'a> {
    pipeline: &'a str,
    step: u64,
    nodes: Vec<NodePage<'a>>,
}

/// One of its nodes.
#[derive(Serialize)]
struct NodePage<'a> {
    node: &'a str,
    kind: &'a str,
    section: Section,
    state: NodeState,
    rows_in: u64,
    rows_out: u64,
    rejected: u64,
    queued: usize,
    /// How often a source was opened again after a failure.
    restarts: u64,
    /// Why a source is being opened again.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// When a source last gave something.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_arrival: Option<String>,
    /// What the refreshes of a provider have done.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<RefreshReport>,
    /// The effects of a sink that has had any.
    #[serde(skip_serializing_if = "Option::is_none")]
    effects: Option<EffectsPage>,
    /// The circuit to a sink's destination, where it is not closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit: Option<CircuitStatus>,
}

/// How the effects of a sink stand.
#[derive(Serialize)]
struct EffectsPage {
    /// To be delivered.
    intended: usize,
    /// To be approved before they are.
    awaiting_approval: usize,
    /// What this process has done for them.
    attempts: u64,
    done: u64,
    given_up: u64,
}

impl From<EffectCounts> for EffectsPage {
    fn from(EffectCounts { intended, awaiting_approval, tally }: EffectCounts) -> Self {
        Self { intended, awaiting_approval, attempts: tally.attempts, done: tally.done, given_up: tally.given_up }
    }
}

/// The page of a pipeline.
pub(crate) fn json(pipeline: &str, status: &PipelineStatus) -> String {
    let (mut effects, mut circuits) = (status.effects(), status.circuits());
    let nodes = status.nodes.iter().map(|node| NodePage {
        node: &node.name,
        kind: &node.kind,
        section: node.section,
        state: node.state(),
        rows_in: node.rows_in.load(Relaxed),
        rows_out: node.rows_out.load(Relaxed),
        rejected: node.rejected.load(Relaxed),
        queued: node.queued_rows(),
        restarts: node.restarts.load(Relaxed),
        trouble: node.trouble_now(),
        last_arrival: node
            .last_arrival()
            .and_then(|time| jiff::Timestamp::from_millisecond(time).ok())
            .map(|time| time.to_string()),
        refresh: node.refresh.as_ref().map(|refresh| refresh.status.report()),
        effects: effects.remove(&*node.name).map(EffectsPage::from),
        circuit: circuits.remove(&*node.name),
    });
    let page = Page { pipeline, step: status.step.load(Relaxed), nodes: nodes.collect() };
    serde_json::to_string_pretty(&page).unwrap_or_default() + "\n"
}
