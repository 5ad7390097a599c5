//! Bodies that AWS has sent, kept outside of the project.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::notification::{Event, objects, parse, targets};

struct Recorded {
    /// The file, which is named after the event.
    path: PathBuf,
    body: String,
    expected: BTreeSet<(String, String)>,
}

fn recorded() -> Option<Vec<Recorded>> {
    let Some(data) = std::env::var_os("TIDEGATE_RECORDED_DATA") else {
        eprintln!("SKIPPED: TIDEGATE_RECORDED_DATA is not set");
        return None;
    };
    let folder = Path::new(&data).join("aws-events");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let cases: Value = serde_json::from_str(&read(&folder.join("expected_targets.json"))).unwrap();
    let case = |case: &Value| {
        let path = folder.join(case["event"].as_str().unwrap());
        let object = |target: &Value| {
            let id = target["ref"].as_object().unwrap().values().next().unwrap();
            (target["collection"].as_str().unwrap().to_owned(), id.as_str().unwrap().to_owned())
        };
        let expected = case["unique_targets"].as_array().unwrap().iter().map(object).collect();
        Recorded { body: read(&path), path, expected }
    };
    Some(cases["cases"].as_array().unwrap().iter().map(case).collect())
}

#[test]
fn every_recorded_notification_names_exactly_the_objects_that_were_recorded_with_it() {
    let Some(cases) = recorded() else { return };
    let mut wrong = Vec::new();
    for case in &cases {
        let found = objects(&parse(&case.body).unwrap());
        let found: BTreeSet<_> = found.into_iter().map(|object| (object.collection.to_owned(), object.id)).collect();
        if found != case.expected {
            wrong.push(format!("{}: {found:?} instead of {:?}", case.path.display(), case.expected));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(cases.len(), 62);
}

#[test]
fn every_recorded_notification_is_known_and_called_what_its_file_is_called() {
    let Some(cases) = recorded() else { return };
    for case in &cases {
        let notification = parse(&case.body).unwrap();
        assert_ne!(notification.event, Event::Unknown, "{}", case.path.display());
        assert!(notification.account_id.as_ref().is_some_and(|account| account.len() == 12), "{notification:?}");
        assert!(notification.message_id.is_some() && notification.time.is_some(), "{notification:?}");
        let stem = case.path.file_stem().unwrap().to_string_lossy();
        if stem != "sqs_message" {
            assert_eq!(notification.name, stem);
        }
    }
}

#[test]
fn every_recorded_call_of_the_catalogue_leads_to_rows_of_ours_in_its_account_and_region() {
    let Some(cases) = recorded() else { return };
    let mut led = 0;
    for case in &cases {
        let notification = parse(&case.body).unwrap();
        let reading = targets(&notification);
        led += usize::from(!reading.targets.is_empty());
        assert_eq!(reading.without_place, 0, "{}", case.path.display());
        for target in reading.targets {
            assert_eq!(Some(&*target.account_id), notification.account_id.as_deref());
            assert_eq!(Some(&*target.region), notification.region.as_deref());
        }
    }
    // The others are about stacks and products, of which there are no tables, and one alarm.
    assert_eq!(led, 51, "of {}", cases.len());
}
