use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_pipeline::operator::{SnapshotMode, StateReader, StateWriter};
use tidegate_pipeline::step::{StepNumber, StepTime};
use tidegate_pipeline::testing::compaction::merge_batches;
use tidegate_pipeline::testing::golden::golden_state;

use super::super::drift::{Drift, DriftState, DriftedFinding, Emit, SaidIn};
use super::super::evaluate::{ControlEvaluation, Frozen};
use super::super::finding::{Finding, Identity, IdentityParts, Severity, Status};

fn finding(resource: &str, status: Status, reason: &str) -> Finding {
    let parts =
        IdentityParts { pack: "p", control: "c", resource, account_id: Some("1"), region: Some("r"), dimensions: "{}" };
    Finding {
        identity: Identity::from(parts),
        pack: "p".into(),
        control: "c".into(),
        title: "T".into(),
        resource: resource.into(),
        status,
        reason: reason.into(),
        severity: Severity::High,
        account_id: Some("1".into()),
        region: Some("r".into()),
        dimensions: "{}".into(),
        evidence: r#"{"encrypted":false}"#.into(),
    }
}

/// The step of a time.
fn at(time: i64) -> SaidIn {
    SaidIn { step: StepNumber(time.unsigned_abs()), time: StepTime(time) }
}

fn evaluation(findings: Vec<Finding>, frozen: Frozen) -> ControlEvaluation {
    ControlEvaluation { control: "c".into(), findings, frozen, without_resources: false, warnings: Vec::new() }
}

fn say(state: &mut DriftState, findings: &[(&str, Status, &str)], time: i64, emit: Emit) -> Vec<DriftedFinding> {
    let findings = findings.iter().map(|(resource, status, reason)| finding(resource, *status, reason)).collect();
    state.apply(evaluation(findings, Frozen::default()), at(time), emit)
}

fn words(rows: &[DriftedFinding]) -> Vec<(&str, Status, Drift)> {
    rows.iter().map(|row| (&*row.finding.resource, row.finding.status, row.drift)).collect()
}

#[test]
fn a_finding_is_new_then_unchanged_then_changed_then_resolved() {
    let mut state = DriftState::default();
    let new = say(&mut state, &[("a", Status::Alarm, "x.")], 1, Emit::Changes);
    assert_eq!(words(&new), [("a", Status::Alarm, Drift::New)]);
    assert_eq!((new[0].first_seen, new[0].previous_status), (Some(StepTime(1)), None));
    assert!(say(&mut state, &[("a", Status::Alarm, "x.")], 2, Emit::Changes).is_empty());
    let changed = say(&mut state, &[("a", Status::Alarm, "y.")], 3, Emit::Changes);
    assert_eq!(words(&changed), [("a", Status::Alarm, Drift::Changed)]);
    assert_eq!((changed[0].first_seen, changed[0].last_changed), (Some(StepTime(1)), Some(StepTime(3))));
    let resolved = say(&mut state, &[("a", Status::Ok, "z.")], 4, Emit::Changes);
    assert_eq!(words(&resolved), [("a", Status::Ok, Drift::Resolved)]);
    assert_eq!(resolved[0].previous_status, Some(Status::Alarm));
    assert!(state.is_empty());
}

#[test]
fn a_finding_that_is_gone_is_resolved_unless_it_is_frozen() {
    let mut state = DriftState::default();
    say(&mut state, &[("a", Status::Alarm, "x."), ("scope:1/r/t", Status::Error, "x.")], 1, Emit::Changes);
    let frozen = Frozen { everything: false, places: [("1".into(), "r".into())].into() };
    let rows = state.apply(evaluation(Vec::new(), frozen), at(2), Emit::Changes);
    assert_eq!(
        words(&rows),
        [("scope:1/r/t", Status::Ok, Drift::Resolved)],
        "what is said about scopes is never frozen"
    );
    let rows = state.apply(evaluation(Vec::new(), Frozen::default()), at(3), Emit::Changes);
    assert_eq!(words(&rows), [("a", Status::Ok, Drift::Resolved)]);
}

#[test]
fn an_ok_finding_that_never_was_anything_else_leaves_only_when_all_do() {
    let mut state = DriftState::default();
    assert!(say(&mut state, &[("a", Status::Ok, "x.")], 1, Emit::Changes).is_empty());
    let all = say(&mut state, &[("a", Status::Ok, "x.")], 2, Emit::All);
    assert_eq!(words(&all), [("a", Status::Ok, Drift::Unchanged)]);
    assert_eq!(all[0].first_seen, None);
}

#[test]
fn what_a_control_said_is_resolved_when_the_control_goes() {
    let mut state = DriftState::default();
    say(&mut state, &[("a", Status::Alarm, "x.")], 1, Emit::Changes);
    assert!(state.retire(|control| control == "c", at(2)).is_empty());
    assert_eq!(words(&state.retire(|_| false, at(2))), [("a", Status::Ok, Drift::Resolved)]);
}

fn snapshot(state: &mut DriftState, mode: SnapshotMode) -> Vec<(String, arrow::array::RecordBatch)> {
    let mut writer = StateWriter::new(mode);
    state.snapshot(&mut writer, false).unwrap();
    writer.batches
}

#[test]
fn a_snapshot_of_changes_holds_only_what_has_changed() {
    let mut state = DriftState::default();
    say(&mut state, &[("a", Status::Alarm, "x."), ("b", Status::Alarm, "x.")], 1, Emit::Changes);
    assert_eq!(snapshot(&mut state, SnapshotMode::Changes)[0].1.num_rows(), 2);
    say(&mut state, &[("a", Status::Alarm, "x.")], 2, Emit::Changes);
    assert_eq!(snapshot(&mut state, SnapshotMode::Changes)[0].1.num_rows(), 1);
    assert!(snapshot(&mut state, SnapshotMode::Changes).is_empty());
}

#[test]
fn state_of_each_earlier_version_is_read_and_of_a_later_one_refused() {
    let mut state = DriftState::default();
    say(&mut state, &[("a", Status::Alarm, "x."), ("b", Status::Error, "y.")], 1, Emit::Changes);
    let mut now = snapshot(&mut state, SnapshotMode::Changes);
    say(&mut state, &[("a", Status::Alarm, "z."), ("b", Status::Ok, "y.")], 2, Emit::Changes);
    now.extend(snapshot(&mut state, SnapshotMode::Changes));
    for version in ["v1", "v2", "v3"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/check.{version}.segment"));
        let batches = golden_state(&path, &now).unwrap();
        let mut read = DriftState::restore(&StateReader { batches: batches.clone() }).unwrap();
        let rows = say(&mut read, &[("a", Status::Alarm, "z.")], 9, Emit::All);
        assert_eq!(words(&rows), [("a", Status::Alarm, Drift::Unchanged)]);
        assert_eq!((rows[0].first_seen, rows[0].last_changed), (Some(StepTime(1)), Some(StepTime(2))));
        assert_eq!(rows[0].step, (version == "v3").then_some(StepNumber(2)));
        let mut writer = StateWriter::new(SnapshotMode::Changes);
        read.snapshot(&mut writer, false).unwrap();
        let is_whole = writer.mode == SnapshotMode::Full;
        assert_eq!(is_whole, version != "v3", "state of an earlier version is written anew, not added to");
        let later = vec![("findings.v4".to_owned(), batches[0].1.clone())];
        let error = DriftState::restore(&StateReader { batches: later }).unwrap_err().to_string();
        assert!(error.contains("findings.v4") && error.contains("newer program"), "{error}");
    }
}

fn arbitrary_status() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

/// What a control says at one time: resource → status and reason.
fn arbitrary_saying() -> impl Strategy<Value = BTreeMap<u8, (Status, u8)>> {
    prop::collection::btree_map(0..6_u8, (arbitrary_status(), 0..2_u8), 0..6)
}

fn findings_of(saying: &BTreeMap<u8, (Status, u8)>) -> Vec<Finding> {
    let one = |(resource, (status, reason)): (&u8, &(Status, u8))| {
        finding(&format!("v{resource}"), *status, &format!("{reason}."))
    };
    saying.iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changes_folded_together_equal_the_full_evaluation(sayings in prop::collection::vec(arbitrary_saying(), 1..8)) {
        let mut state = DriftState::default();
        let mut folded: BTreeMap<Identity, Finding> = BTreeMap::new();
        for (time, saying) in sayings.iter().enumerate() {
            let time = at(time as i64);
            for row in state.apply(evaluation(findings_of(saying), Frozen::default()), time, Emit::Changes) {
                match row.drift {
                    Drift::Resolved => prop_assert!(folded.remove(&row.finding.identity).is_some()),
                    Drift::New => prop_assert!(folded.insert(row.finding.identity, row.finding).is_none()),
                    Drift::Changed => prop_assert!(folded.insert(row.finding.identity, row.finding).is_some()),
                    Drift::Unchanged => prop_assert!(false, "unchanged findings do not leave"),
                }
            }
            let full: BTreeMap<Identity, Finding> = findings_of(saying)
                .into_iter()
                .filter(|finding| finding.status != Status::Ok)
                .map(|finding| (finding.identity, finding))
                .collect();
            prop_assert_eq!(&folded, &full);
            prop_assert_eq!(state.len(), full.len());
        }
    }

    #[test]
    fn a_restored_state_goes_on_as_the_one_that_was_written(
        sayings in prop::collection::vec(arbitrary_saying(), 1..6),
        full_at in 0..6_usize,
        merged in any::<Option<bool>>(),
        last in arbitrary_saying(),
    ) {
        let mut state = DriftState::default();
        let mut written: Vec<Vec<_>> = Vec::new();
        for (index, saying) in sayings.iter().enumerate() {
            state.apply(evaluation(findings_of(saying), Frozen::default()), at(index as i64), Emit::Changes);
            if index == full_at {
                written = vec![snapshot(&mut state, SnapshotMode::Full)];
            } else {
                written.push(snapshot(&mut state, SnapshotMode::Changes));
            }
        }
        match merged {
            Some(true) => written = vec![merge_batches(&DriftState::layout(), &written, true, 2).unwrap()],
            Some(false) => {
                let changes = merge_batches(&DriftState::layout(), &written[1..], false, 2).unwrap();
                written.truncate(1);
                written.push(changes);
            }
            None => {}
        }
        let mut restored = DriftState::restore(&StateReader { batches: written.concat() }).unwrap();
        prop_assert_eq!(restored.len(), state.len());
        let go_on = |state: &mut DriftState| {
            state.apply(evaluation(findings_of(&last), Frozen::default()), at(99), Emit::All)
        };
        prop_assert_eq!(go_on(&mut restored), go_on(&mut state));
    }
}
