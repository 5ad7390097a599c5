//! A benchmark with what its controls found.

use crate::command::check::report::{BenchmarkPart, Control, Counts, Pack, Report};

/// A part of a benchmark with counts.
pub(super) struct Branch<'a> {
    pub(super) part: &'a BenchmarkPart,
    pub(super) counts: Counts,
    /// Its own controls, those that were evaluated.
    pub(super) controls: Vec<&'a Control>,
    pub(super) children: Vec<Branch<'a>>,
}

impl<'a> Branch<'a> {
    /// The tree of a benchmark. A control that stands in several places of a part counts there once.
    pub(super) fn of(report: &'a Report, pack: &Pack, part: &'a BenchmarkPart) -> Self {
        let control = |id: &str| report.controls.iter().find(|known| known.pack == pack.name && known.id == id);
        let all = part.all_controls();
        Self {
            part,
            counts: all.into_iter().filter_map(control).map(|known| known.counts).sum(),
            controls: part.controls.iter().filter_map(|id| control(id)).collect(),
            children: part.children.iter().map(|child| Self::of(report, pack, child)).collect(),
        }
    }

    /// The branch and all below it, in tree order, each with its depth.
    pub(super) fn flat(&self) -> Vec<(usize, &Self)> {
        let below = self.children.iter().flat_map(Self::flat).map(|(depth, branch)| (depth + 1, branch));
        std::iter::once((0, self)).chain(below).collect()
    }
}

/// Controls in the order in which a report shows them, under the headings of its benchmark if it has one: each
/// control once, in the first place that has it; what is in no place comes last.
pub(super) fn in_order(report: &Report) -> Vec<(Option<&str>, Vec<&Control>)> {
    let mut waiting: Vec<&Control> = report.controls.iter().collect();
    waiting.sort_by_key(|control| {
        let worst = report.findings_of(control).find(|finding| finding.is_problem());
        let severity = worst.map_or(control.severity, |finding| finding.severity);
        (worst.is_none(), std::cmp::Reverse(severity))
    });
    let mut sections = Vec::new();
    for (pack, part) in report.benchmarks() {
        let tree = Branch::of(report, pack, part);
        for (_, branch) in tree.flat() {
            let is_here = |control: &&Control| {
                let same = |own: &&Control| own.pack == control.pack && own.id == control.id;
                branch.controls.iter().any(same)
            };
            let here: Vec<&Control> = waiting.iter().copied().filter(is_here).collect();
            waiting.retain(|control| !is_here(control));
            if !here.is_empty() {
                sections.push((Some(&*branch.part.title), here));
            }
        }
    }
    if !waiting.is_empty() {
        sections.push((None, waiting));
    }
    sections
}
