//! What one evaluation said, as a value: every format of `check` is written from it, a snapshot is it as JSON.

mod baseline;
mod choice;
mod counts;
mod finding;
#[cfg(test)]
pub(super) mod fixture;
mod packs;
mod rows;
mod snapshot;

use serde::{Deserialize, Serialize};
use tidegate_operators::check::finding::{Severity, Status};

pub(super) use baseline::Comparison;
pub(super) use choice::{Choice, unknown_benchmark};
pub(super) use counts::{Counts, plural};
pub(super) use finding::{Finding, Moment};
pub(super) use packs::{BenchmarkPart, Control, Pack, field, packs_of, selection, text};
pub(super) use rows::{Read, each_newest};
pub(super) use snapshot::is_snapshot;

/// When and of what a report is.
pub(super) struct Origin {
    /// When it was evaluated.
    pub(super) taken_at: Moment,
    /// The pipeline's name.
    pub(super) pipeline: String,
    /// The benchmark that was asked for.
    pub(super) benchmark: Option<String>,
}

/// What one evaluation said. `controls` are by pack and id, `findings` worst first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    /// When it was evaluated.
    pub(super) taken_at: Moment,
    /// The version of the program that evaluated it.
    pub(super) program: String,
    /// The pipeline's name.
    pub(super) pipeline: String,
    /// The packs that were evaluated.
    pub(super) packs: Vec<Pack>,
    /// The benchmark that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) benchmark: Option<String>,
    /// Every control that was evaluated, with what it found.
    pub(super) controls: Vec<Control>,
    /// What is not ok; what is ok too where that was asked for.
    pub(super) findings: Vec<Finding>,
    /// How it differs from an earlier report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) comparison: Option<Comparison>,
    /// Which findings are of each control, in the order of `controls`.
    #[serde(skip)]
    by_control: Vec<Vec<usize>>,
}

impl Report {
    /// What `read` says about these packs and controls.
    pub(super) fn new(about: Origin, packs: Vec<Pack>, mut controls: Vec<Control>, read: Read) -> Self {
        for (pack, of_pack) in read.tallies {
            for (id, tally) in of_pack {
                match controls.iter_mut().find(|control| control.pack == pack && control.id == id) {
                    Some(control) => control.counts = tally.counts,
                    // It was evaluated under a name that its pack does not know.
                    None => controls.push(Control::unknown(&pack, &id, tally)),
                }
            }
        }
        let mut report = Self {
            taken_at: about.taken_at,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pipeline: about.pipeline,
            packs,
            benchmark: about.benchmark,
            controls,
            findings: read.findings,
            comparison: None,
            by_control: Vec::new(),
        };
        report.sort();
        report
    }

    /// How many findings there are of each sort.
    pub(super) fn counts(&self) -> Counts {
        self.controls.iter().map(|control| control.counts).sum()
    }

    /// How many alarms count of each severity, worst first.
    pub(super) fn alarms_by_severity(&self) -> Vec<(Severity, usize)> {
        let count = |severity| self.alarms().filter(|finding| finding.severity == severity).count();
        Severity::ALL.into_iter().rev().map(|severity| (severity, count(severity))).collect()
    }

    /// The alarms that count: waived ones do not.
    pub(super) fn alarms(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_alarm())
    }

    /// The control that a finding is of.
    pub(super) fn control_of(&self, finding: &Finding) -> Option<&Control> {
        self.controls.get(self.position(&finding.pack, &finding.control)?)
    }

    /// The findings of a control, worst first.
    pub(super) fn findings_of(&self, control: &Control) -> impl Iterator<Item = &Finding> {
        let own = self.position(&control.pack, &control.id).and_then(|position| self.by_control.get(position));
        own.into_iter().flatten().filter_map(|position| self.findings.get(*position))
    }

    /// Where a control stands.
    pub(super) fn position(&self, pack: &str, id: &str) -> Option<usize> {
        self.controls.binary_search_by(|control| (&*control.pack, &*control.id).cmp(&(pack, id))).ok()
    }

    /// Whether something could not be evaluated.
    pub(super) fn has_errors(&self) -> bool {
        self.controls.iter().any(|control| control.counts.error > 0)
    }

    /// The benchmarks to show: the one that was asked for, with its pack's name.
    pub(super) fn benchmarks(&self) -> impl Iterator<Item = (&Pack, &BenchmarkPart)> {
        let asked = self.benchmark.as_deref();
        let all = self.packs.iter().flat_map(|pack| pack.benchmarks.iter().map(move |benchmark| (pack, benchmark)));
        all.filter(move |(_, benchmark)| asked == Some(&*benchmark.id))
    }

    /// Brings findings and controls into their order.
    fn sort(&mut self) {
        self.controls.sort_by(|a, b| (&a.pack, &a.id).cmp(&(&b.pack, &b.id)));
        self.findings.sort_by(Finding::worst_first);
        let mut by_control = vec![Vec::new(); self.controls.len()];
        for (number, finding) in self.findings.iter().enumerate() {
            let own = self.position(&finding.pack, &finding.control).and_then(|position| by_control.get_mut(position));
            own.into_iter().for_each(|own| own.push(number));
        }
        self.by_control = by_control;
    }
}

/// A status as reports rank it: what has to be looked at comes first.
fn rank(status: Status) -> usize {
    [Status::Alarm, Status::Error, Status::Info, Status::Skip, Status::Ok]
        .iter()
        .position(|known| *known == status)
        .unwrap_or(usize::MAX)
}
