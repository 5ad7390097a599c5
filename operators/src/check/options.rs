//! The options of `check`.

use std::collections::BTreeMap;
use std::num::NonZero;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::drift::Emit;
use super::finding::Severity;

/// The options of `check`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckOptions {
    /// The pack: its name, or a path to its folder (`./my-pack`). Give this or `sql`.
    #[serde(default)]
    pub(super) pack: Option<String>,
    /// The controls to evaluate: ids or patterns with `*` and `?`. All where it is absent.
    #[serde(default)]
    pub(super) controls: Vec<String>,
    /// Controls to leave out: ids or patterns.
    #[serde(default)]
    pub(super) except: Vec<String>,
    /// A benchmark of the pack: only its controls are evaluated.
    #[serde(default)]
    pub(super) benchmark: Option<String>,
    /// Values of parameters. With `pack`: control (or `*` for all) → parameter → value. With `sql`:
    /// parameter → value.
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree, where each value has its place")]
    params: BTreeMap<String, Value>,
    /// A file of waivers, alarms that somebody answers for: read again whenever it changes.
    #[serde(default)]
    pub(super) waivers: Option<String>,
    /// A single control, right here: a query that selects `resource`, `status` and `reason`. Events are
    /// the table `input`.
    #[serde(default)]
    pub(super) sql: Option<String>,
    /// What the control in `sql` asks for, in one sentence.
    #[serde(default)]
    pub(super) title: Option<String>,
    /// How bad an alarm of the control in `sql` is; `medium` where it is absent.
    #[serde(default)]
    pub(super) severity: Option<Severity>,
    /// Whether tables are evaluated whenever one has changed (`change`), or only when nothing is being refreshed any more
    /// (`settled`).
    #[serde(default)]
    pub(super) evaluate: When,
    /// How many rows the query of one control may go through in one evaluation, counted at every stage of it, pairs of rows
    /// where it compares each with each: one that would run for ever answers `error` instead. Rows, not seconds, so that
    /// a replay agrees. 10,000,000,000 where it is absent: some minutes.
    #[serde(default)]
    pub(super) work_limit: Option<NonZero<u64>>,
    /// Whether findings leave when they change (`changes`) or at every evaluation (`all`).
    #[serde(default)]
    pub(super) emit: Emit,
}

/// When tables are evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum When {
    /// After each step in which one has changed.
    #[default]
    Change,
    /// When none of their accounts and regions is being refreshed: once for a whole refresh, or a few times.
    Settled,
}
