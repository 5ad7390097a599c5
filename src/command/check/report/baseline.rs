//! How a report differs from an earlier one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_operators::check::drift::Drift;
use tidegate_operators::check::finding::{Severity, Status};

use super::{Finding, Moment, Report};

/// What a resource begins with where a control as a whole could not be evaluated.
const OF_CONTROL: &str = "control:";
/// What a resource begins with where a scope could not be collected.
const OF_SCOPE: &str = "scope:";

/// How a report differs from an earlier one, counted over problems: alarms that count, and errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::command::check) struct Comparison {
    /// The name of the earlier report's file.
    pub(in crate::command::check) baseline: String,
    /// When the earlier report was taken.
    pub(in crate::command::check) taken_at: Moment,
    /// Problems that were none then.
    pub(in crate::command::check) new: usize,
    /// Problems with another status, reason or severity now.
    pub(in crate::command::check) changed: usize,
    /// Problems that are as they were.
    pub(in crate::command::check) unchanged: usize,
    /// Problems of then that could not be looked at now, so that nobody knows.
    pub(in crate::command::check) frozen: usize,
    /// Problems of then that are none now.
    pub(in crate::command::check) resolved: Vec<Finding>,
}

impl Report {
    /// Sets the drift of each finding against an earlier report, and says what has been resolved since.
    pub(in crate::command::check) fn compare(&mut self, earlier: &Self, name: &str) {
        let before: BTreeMap<&str, &Finding> =
            earlier.findings.iter().map(|finding| (&*finding.identity, finding)).collect();
        let mut comparison = Comparison {
            baseline: name.to_owned(),
            taken_at: earlier.taken_at,
            new: 0,
            changed: 0,
            unchanged: 0,
            frozen: 0,
            resolved: Vec::new(),
        };
        for finding in &mut self.findings {
            let known = before.get(&*finding.identity).copied();
            finding.drift = drift(finding, known);
            finding.previous_status = known.map(|known| known.status);
            finding.first_seen = known.and_then(|known| known.first_seen).or(finding.first_seen);
            if !finding.is_problem() {
                continue;
            }
            match finding.drift {
                Drift::New => comparison.new += 1,
                Drift::Changed => comparison.changed += 1,
                Drift::Unchanged | Drift::Resolved => comparison.unchanged += 1,
            }
        }
        self.resolve(earlier, &mut comparison);
        self.comparison = Some(comparison);
    }

    /// What was a problem and is none now. What was not evaluated now is left alone.
    fn resolve(&self, earlier: &Self, comparison: &mut Comparison) {
        let evaluated: BTreeSet<(&str, &str)> =
            self.controls.iter().map(|control| (&*control.pack, &*control.id)).collect();
        let now: BTreeMap<&str, &Finding> = self.findings.iter().map(|finding| (&*finding.identity, finding)).collect();
        let errors: Vec<&Finding> = self.findings.iter().filter(|now| now.status == Status::Error).collect();
        for finding in earlier.findings.iter().filter(|finding| finding.is_problem()) {
            let is_still = now.get(&*finding.identity).is_some_and(|now| now.status == finding.status);
            if is_still || !evaluated.contains(&(&*finding.pack, &*finding.control)) {
                continue;
            }
            if !now.contains_key(&*finding.identity) && is_frozen(finding, &errors) {
                comparison.frozen += 1;
                continue;
            }
            if now.get(&*finding.identity).is_some_and(|now| now.is_problem()) {
                continue;
            }
            let resolved = Finding {
                status: Status::Ok,
                drift: Drift::Resolved,
                previous_status: Some(finding.status),
                last_changed: Some(self.taken_at),
                ..finding.clone()
            };
            comparison.resolved.push(resolved);
        }
        comparison.resolved.sort_by(Finding::worst_first);
    }

    /// Whether there is an alarm that counts, at or above a severity; with `only_new`, one that was none before.
    pub(in crate::command::check) fn fails(&self, from: Severity, only_new: bool) -> bool {
        self.alarms().any(|alarm| alarm.severity >= from && (!only_new || alarm.drift == Drift::New))
    }
}

/// Whether nobody knows what has become of a finding: its control, or the scope that it lies in, failed.
fn is_frozen(finding: &Finding, errors: &[&Finding]) -> bool {
    let place = |finding: &Finding| (finding.account_id.clone(), finding.region.clone());
    let mut of_control = errors.iter().filter(|now| now.pack == finding.pack && now.control == finding.control);
    of_control.any(|error| {
        error.resource.starts_with(OF_CONTROL)
            || (error.resource.starts_with(OF_SCOPE) && place(error) == place(finding))
    })
}

/// How a finding relates to the one that was known. A problem that was none before is new, whatever was said then.
fn drift(now: &Finding, known: Option<&Finding>) -> Drift {
    let Some(known) = known else {
        return if now.status == Status::Ok { Drift::Unchanged } else { Drift::New };
    };
    let is_same = known.status == now.status
        && known.reason == now.reason
        && known.severity == now.severity
        && known.is_waived() == now.is_waived();
    match (now.is_problem(), known.is_problem()) {
        (true, false) => Drift::New,
        (false, true) if now.status == Status::Ok => Drift::Resolved,
        _ if is_same => Drift::Unchanged,
        _ => Drift::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::report::fixture::{alarm, finding, report};

    fn drifts(report: &Report) -> Vec<(String, Drift)> {
        report.findings.iter().map(|finding| (finding.resource.clone(), finding.drift)).collect()
    }

    #[test]
    fn a_problem_is_new_changed_or_unchanged_and_what_has_gone_is_resolved() {
        let earlier = report(vec![alarm("same"), alarm("other"), alarm("gone")]);
        let mut now = report(vec![
            alarm("same"),
            Finding { reason: "Another reason.".to_owned(), ..alarm("other") },
            alarm("fresh"),
        ]);
        now.compare(&earlier, "b.json");
        let expected = [("fresh", Drift::New), ("other", Drift::Changed), ("same", Drift::Unchanged)];
        assert_eq!(drifts(&now), expected.map(|(resource, drift)| (resource.to_owned(), drift)));
        let comparison = now.comparison.as_ref().unwrap();
        assert_eq!((comparison.new, comparison.changed, comparison.unchanged), (1, 1, 1));
        assert_eq!(comparison.resolved[0].resource, "gone");
        assert!(now.fails(Severity::High, true) && !now.fails(Severity::Critical, true));
    }

    #[test]
    fn an_alarm_whose_waiver_has_ended_is_new() {
        let waived = Finding { waiver: Some("W-1".to_owned()), ..alarm("r") };
        let mut now = report(vec![alarm("r")]);
        now.compare(&report(vec![waived.clone()]), "b.json");
        assert_eq!(now.findings[0].drift, Drift::New);
        let mut waived_now = report(vec![waived]);
        waived_now.compare(&report(vec![alarm("r")]), "b.json");
        assert!(!waived_now.fails(Severity::None, false), "a waived alarm does not count");
        assert!(waived_now.comparison.as_ref().unwrap().resolved.is_empty(), "but is not resolved either");
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_resolved() {
        let earlier = report(vec![alarm("r1"), alarm("r2")]);
        let error = Finding { status: Status::Error, ..finding("control:c") };
        let mut now = report(vec![error]);
        now.compare(&earlier, "b.json");
        let comparison = now.comparison.as_ref().unwrap();
        assert_eq!((comparison.frozen, comparison.resolved.len()), (2, 0));
    }

    #[test]
    fn a_scope_that_failed_freezes_its_own_findings_alone() {
        let here = Finding { region: Some("a".to_owned()), ..alarm("r1") };
        let elsewhere = Finding { region: Some("b".to_owned()), ..alarm("r2") };
        let failed = Finding { status: Status::Error, region: Some("a".to_owned()), ..finding("scope:1/a/t") };
        let mut now = report(vec![failed]);
        now.compare(&report(vec![here, elsewhere]), "b.json");
        let comparison = now.comparison.as_ref().unwrap();
        assert_eq!((comparison.frozen, comparison.resolved.len()), (1, 1));
    }

    #[test]
    fn controls_that_were_not_evaluated_now_resolve_nothing() {
        let mut now = report(Vec::new());
        now.controls.clear();
        now.compare(&report(vec![alarm("r")]), "b.json");
        assert!(now.comparison.as_ref().unwrap().resolved.is_empty());
    }
}
