//! What changed between what a control said and what it says now.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::step::{StepHeader, StepNumber, StepTime};

use super::evaluate::{ControlEvaluation, Frozen, Interest, RowEvaluation};
use super::finding::{Finding, Identity, NOTHING, Status};
use super::waiver::{Waiver, Waivers};

/// How a finding relates to what was known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// Not ok, and nothing was known against it.
    New,
    /// Not ok as before, with another status or reason.
    Changed,
    /// As before.
    Unchanged,
    /// Was not ok; now it is, or it is gone.
    Resolved,
}

impl Drift {
    /// The word that rows use.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Resolved => "resolved",
        }
    }
}

/// Which findings leave the operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Emit {
    /// Those that are new, changed or resolved.
    #[default]
    Changes,
    /// All, at every evaluation, ok ones included.
    All,
}

/// The step that something is said in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaidIn {
    /// Its number.
    pub step: StepNumber,
    /// Its time.
    pub time: StepTime,
}

impl From<&StepHeader> for SaidIn {
    fn from(step: &StepHeader) -> Self {
        Self { step: step.number, time: step.time }
    }
}

/// A finding with its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftedFinding {
    /// The finding. A resolved one that is gone has status ok.
    pub finding: Finding,
    /// How it relates to what was known before.
    pub drift: Drift,
    /// When it was first not ok; `None` for one that is ok and always was.
    pub first_seen: Option<StepTime>,
    /// When its status or reason last changed.
    pub last_changed: Option<StepTime>,
    /// The step in which they did; `None` also where a program wrote the state that did not tell.
    pub step: Option<StepNumber>,
    /// The status before, where it was not ok.
    pub previous_status: Option<Status>,
    /// Who answers for it, where it is waived.
    pub waiver: Option<Waived>,
}

/// The waiver of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waived {
    /// The id of the waiver.
    pub id: Arc<str>,
    /// Its reason.
    pub reason: Arc<str>,
    /// From when on it counts no more; `None`: never.
    pub until: Option<StepTime>,
}

impl From<&Waiver> for Waived {
    fn from(waiver: &Waiver) -> Self {
        Self { id: Arc::clone(&waiver.id), reason: Arc::clone(&waiver.reason), until: waiver.expires }
    }
}

/// A finding that is not ok.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) finding: Finding,
    pub(crate) first_seen: StepTime,
    pub(crate) last_changed: StepTime,
    /// The step of `last_changed`; `None` where a program wrote the state that did not tell.
    pub(crate) step: Option<StepNumber>,
    pub(crate) waiver: Option<Waived>,
}

/// Every finding that is not ok, by control.
#[derive(Debug, Clone, Default)]
pub struct DriftState {
    pub(super) held: BTreeMap<Arc<str>, HashMap<Identity, Held>>,
    /// What has changed since the last snapshot.
    pub(super) touched: HashSet<(Arc<str>, Identity)>,
    /// What is waived.
    pub(super) waivers: Waivers,
    /// Whether the next snapshot must write everything, since what was written has another form.
    pub(super) rewrite: bool,
}

impl DriftState {
    /// How many findings are not ok.
    pub fn len(&self) -> usize {
        self.held.values().map(HashMap::len).sum()
    }

    /// Whether everything is ok.
    pub fn is_empty(&self) -> bool {
        self.held.values().all(HashMap::is_empty)
    }

    /// Which ok findings of a control are needed to tell what changed.
    pub fn interest(&self, control: &str, emit: Emit) -> Interest {
        match emit {
            Emit::All => Interest::All,
            Emit::Changes => {
                let held = self.held.get(control).into_iter().flat_map(HashMap::values);
                Interest::NotOk(Arc::new(held.map(|held| Arc::clone(&held.finding.resource)).collect()))
            }
        }
    }

    /// Takes what a control said `now` and tells what of it is to be emitted, in the order of
    /// [`Finding::order`]. Held findings that it did not mention are resolved, unless they are frozen.
    pub fn apply(&mut self, evaluation: ControlEvaluation, now: SaidIn, emit: Emit) -> Vec<DriftedFinding> {
        let ControlEvaluation { control, findings, frozen, .. } = evaluation;
        let mentioned: HashSet<Identity> = findings.iter().map(|finding| finding.identity).collect();
        let mut drifted = Vec::with_capacity(findings.len());
        for finding in findings {
            drifted.push(self.take(&control, finding, now));
        }
        drifted.extend(self.resolve_missing(&control, &mentioned, &frozen, now));
        if emit == Emit::Changes {
            drifted.retain(|row| row.drift != Drift::Unchanged);
        }
        drifted.sort_by(order);
        drifted
    }

    /// Resolves everything held of controls that `is_known` does not know any more.
    pub fn retire(&mut self, is_known: impl Fn(&str) -> bool, now: SaidIn) -> Vec<DriftedFinding> {
        let gone: Vec<Arc<str>> = self.held.keys().filter(|control| !is_known(control)).cloned().collect();
        let none = HashSet::new();
        let mut resolved = Vec::new();
        for control in gone {
            resolved.extend(self.resolve_missing(&control, &none, &Frozen::default(), now));
        }
        resolved.sort_by(order);
        resolved
    }

    fn take(&mut self, control: &Arc<str>, finding: Finding, now: SaidIn) -> DriftedFinding {
        let held = self.held.entry(Arc::clone(control)).or_default();
        let before = held.get(&finding.identity);
        let previous_status = before.map(|before| before.finding.status);
        let first_seen = before.map_or(now.time, |before| before.first_seen);
        let same = before
            .is_some_and(|before| before.finding.status == finding.status && before.finding.reason == finding.reason);
        let unchanged = before.filter(|_| same);
        let last_changed = unchanged.map_or(now.time, |before| before.last_changed);
        let step = unchanged.map_or(Some(now.step), |before| before.step);
        let waiver = self.waivers.of(&finding, now.time).map(Waived::from);
        let same_waiver = before.is_none_or(|before| before.waiver == waiver);
        let unchanged_entirely = same_waiver && before.is_some_and(|before| before.finding == finding);
        let row =
            |drift, first_seen, changed: Option<(StepTime, Option<StepNumber>)>, finding, waiver| DriftedFinding {
                finding,
                drift,
                first_seen,
                last_changed: changed.map(|(time, _)| time),
                step: changed.and_then(|(_, step)| step),
                previous_status,
                waiver,
            };
        if finding.status == Status::Ok {
            if previous_status.is_none() {
                return row(Drift::Unchanged, None, None, finding, None);
            }
            held.remove(&finding.identity);
            self.touched.insert((Arc::clone(control), finding.identity));
            return row(Drift::Resolved, Some(first_seen), Some((now.time, Some(now.step))), finding, None);
        }
        if !unchanged_entirely {
            let kept = Held { finding: finding.clone(), first_seen, last_changed, step, waiver: waiver.clone() };
            held.insert(finding.identity, kept);
            self.touched.insert((Arc::clone(control), finding.identity));
        }
        let drift = match previous_status {
            None => Drift::New,
            Some(_) if same && same_waiver => Drift::Unchanged,
            Some(_) => Drift::Changed,
        };
        row(drift, Some(first_seen), Some((last_changed, step)), finding, waiver)
    }

    /// Takes what a control said of rows that have changed: as [`DriftState::apply`], where all other rows say what they
    /// said before.
    pub fn apply_rows(&mut self, evaluation: RowEvaluation, now: SaidIn) -> Vec<DriftedFinding> {
        let RowEvaluation { control, findings, gone, frozen } = evaluation;
        let mut drifted: Vec<DriftedFinding> =
            findings.into_iter().map(|finding| self.take(&control, finding, now)).collect();
        for identity in gone {
            let held = self.held.get_mut(&control).and_then(|held| held.remove_entry(&identity));
            match held {
                Some((_, held)) if frozen.keeps(&held.finding) => {
                    self.held.entry(Arc::clone(&control)).or_default().insert(identity, held);
                }
                Some((_, held)) => drifted.push(self.resolve(&control, identity, held, now)),
                None => {}
            }
        }
        self.forget_if_empty(&control);
        drifted.retain(|row| row.drift != Drift::Unchanged);
        drifted.sort_by(order);
        drifted
    }

    /// Whether a finding is held.
    pub(super) fn holds(&self, control: &str, identity: Identity) -> bool {
        self.held.get(control).is_some_and(|held| held.contains_key(&identity))
    }

    fn resolve_missing(
        &mut self,
        control: &Arc<str>,
        mentioned: &HashSet<Identity>,
        frozen: &Frozen,
        now: SaidIn,
    ) -> Vec<DriftedFinding> {
        let Some(held) = self.held.get_mut(control) else { return Vec::new() };
        let is_gone =
            |identity: &Identity, held: &mut Held| !mentioned.contains(identity) && !frozen.keeps(&held.finding);
        let gone: Vec<(Identity, Held)> = held.extract_if(is_gone).collect();
        let resolved = gone.into_iter().map(|(identity, held)| self.resolve(control, identity, held, now)).collect();
        self.forget_if_empty(control);
        resolved
    }

    /// What is told of a finding that is held no more, since nothing says it.
    fn resolve(&mut self, control: &Arc<str>, identity: Identity, held: Held, now: SaidIn) -> DriftedFinding {
        self.touched.insert((Arc::clone(control), identity));
        let previous_status = Some(held.finding.status);
        DriftedFinding {
            finding: Finding {
                status: Status::Ok,
                reason: "No longer reported.".into(),
                evidence: NOTHING.into(),
                ..held.finding
            },
            drift: Drift::Resolved,
            first_seen: Some(held.first_seen),
            last_changed: Some(now.time),
            step: Some(now.step),
            previous_status,
            waiver: None,
        }
    }

    /// Takes other waivers: what of the findings that are held is told anew, since it is waived now, or no more, or by
    /// another waiver.
    pub fn waive(&mut self, waivers: Waivers, time: StepTime) -> Vec<DriftedFinding> {
        self.waivers = waivers;
        self.judge_waivers(time)
    }

    /// As [`DriftState::waive`], where only time has passed.
    pub fn judge_waivers(&mut self, time: StepTime) -> Vec<DriftedFinding> {
        let (waivers, touched, mut changed) = (&self.waivers, &mut self.touched, Vec::new());
        for (control, of_control) in &mut self.held {
            for (identity, held) in of_control {
                let waiver = waivers.of(&held.finding, time).map(Waived::from);
                if held.waiver == waiver {
                    continue;
                }
                held.waiver.clone_from(&waiver);
                touched.insert((Arc::clone(control), *identity));
                changed.push(DriftedFinding {
                    finding: held.finding.clone(),
                    drift: Drift::Changed,
                    first_seen: Some(held.first_seen),
                    last_changed: Some(held.last_changed),
                    step: held.step,
                    previous_status: Some(held.finding.status),
                    waiver,
                });
            }
        }
        changed.sort_by(order);
        changed
    }

    /// When the first of the waivers that count now counts no more.
    pub fn next_expiry(&self) -> Option<StepTime> {
        let held = self.held.values().flat_map(HashMap::values);
        held.filter_map(|held| held.waiver.as_ref()?.until).min()
    }

    fn forget_if_empty(&mut self, control: &str) {
        if self.held.get(control).is_some_and(HashMap::is_empty) {
            self.held.remove(control);
        }
    }
}

fn order(a: &DriftedFinding, b: &DriftedFinding) -> Ordering {
    a.finding.order(&b.finding)
}
