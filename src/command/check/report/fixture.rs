//! Reports for tests.

use serde_json::Map;
use tidegate_operators::check::drift::Drift;
use tidegate_operators::check::finding::{Severity, Status};

use super::packs::About;
use super::{Control, Counts, Finding, Report};

/// A finding of the control `c` of the pack `p`, ok.
pub(in crate::command::check) fn finding(resource: &str) -> Finding {
    Finding {
        control: "c".to_owned(),
        title: "c should be".to_owned(),
        resource: resource.to_owned(),
        status: Status::Ok,
        reason: format!("{resource} is as it is."),
        severity: Severity::High,
        drift: Drift::New,
        account_id: None,
        region: None,
        dimensions: "{}".to_owned(),
        pack: "p".to_owned(),
        first_seen: None,
        last_changed: None,
        previous_status: None,
        waiver: None,
        waiver_reason: None,
        waived_until: None,
        evidence: String::new(),
        identity: format!("{:032x}", xxhash_rust::xxh3::xxh3_128(resource.as_bytes())),
        other: Map::new(),
    }
}

/// The same as an alarm.
pub(in crate::command::check) fn alarm(resource: &str) -> Finding {
    Finding { status: Status::Alarm, ..finding(resource) }
}

/// A report of these findings.
pub(in crate::command::check) fn report(findings: Vec<Finding>) -> Report {
    let mut counts = Counts::default();
    findings.iter().for_each(|finding| counts.count(finding.status, finding.is_waived()));
    let control = Control {
        pack: "p".to_owned(),
        id: "c".to_owned(),
        title: "c should be".to_owned(),
        severity: Severity::High,
        about: About::default(),
        file: "p.yaml".to_owned(),
        line: 3,
        counts,
    };
    let mut report = Report {
        taken_at: "2026-11-22T08:00:00Z".parse().unwrap(),
        program: "0.0.0".to_owned(),
        pipeline: "test".to_owned(),
        packs: Vec::new(),
        benchmark: None,
        controls: vec![control],
        findings,
        comparison: None,
        by_control: Vec::new(),
    };
    report.sort();
    report
}
