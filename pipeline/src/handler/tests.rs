//! The algorithm: what is called of a handler, and what comes of it.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

/// A handler that finds what a test says, and notes what it is called for.
#[derive(Default)]
struct Scripted {
    /// What reading finds; nothing means that it is not there.
    found: Option<Fields>,
    calls: Mutex<Vec<&'static str>>,
    reloads: bool,
    /// What goes wrong at which call.
    trouble: Option<(&'static str, Trouble)>,
}

#[derive(Clone)]
enum Trouble {
    Halt(Halt),
    Panic,
    Hang,
}

impl Scripted {
    async fn called(&self, name: &'static str) -> Result<(), Halt> {
        self.calls.lock().push(name);
        match self.trouble.clone().filter(|(at, _)| *at == name) {
            None => Ok(()),
            Some((_, Trouble::Halt(halt))) => Err(halt),
            Some((_, Trouble::Panic)) => panic!("out of luck"),
            Some((_, Trouble::Hang)) => std::future::pending().await,
        }
    }

    fn changes(&self) -> Vec<&'static str> {
        let kinds = ["create", "update", "delete", "reload"];
        self.calls.lock().iter().copied().filter(|call| kinds.contains(call)).collect()
    }
}

#[async_trait]
impl Handler for Scripted {
    async fn pre(&self, _: &mut HandlerContext, _: &Resource) -> Result<(), Halt> {
        self.called("pre").await
    }

    async fn read(&self, _: &mut HandlerContext, _: &Resource) -> Result<Reading, Halt> {
        self.called("read").await?;
        Ok(self.found.clone().map_or(Reading::Purged, Reading::Found))
    }

    async fn create(&self, _: &mut HandlerContext, _: &Resource) -> Result<(), Halt> {
        self.called("create").await
    }

    async fn update(&self, _: &mut HandlerContext, _: &Changes, _: &Resource) -> Result<(), Halt> {
        self.called("update").await
    }

    async fn delete(&self, _: &mut HandlerContext, _: &Resource) -> Result<(), Halt> {
        self.called("delete").await
    }

    async fn post(&self, _: &mut HandlerContext, _: &Resource) -> Result<(), Halt> {
        self.called("post").await
    }

    fn can_reload(&self) -> bool {
        self.reloads
    }

    async fn reload(&self, _: &mut HandlerContext, _: &Resource) -> Result<(), Halt> {
        self.called("reload").await
    }

    async fn facts(&self, context: &mut HandlerContext, _: &Resource) -> Result<(), Halt> {
        context.set_fact("calls", self.calls.lock().len());
        Ok(())
    }
}

fn id(value: &str) -> ResourceId {
    ResourceType::new("aa", "Aa", "aa").id("aa", value).unwrap()
}

fn fields(value: Value) -> Fields {
    value.as_object().unwrap().clone()
}

fn resource(wanted: Value) -> Resource {
    Resource::new(id("aa"), fields(wanted)).unwrap()
}

const PATIENCE: Patience = Patience { work: Duration::from_millis(200), post: Duration::from_millis(50) };

fn rules(dry_run: bool) -> Rules<'static> {
    Rules { dry_run, gate: &Open, patience: PATIENCE }
}

async fn deployed(handler: &Scripted, resource: &Resource) -> Deployment {
    deploy(handler, resource, &[], rules(false)).await
}

/// Purged as desired, purged as it is, whether reading says that it is not there, whether a field differs; and what is
/// called.
const TRUTH_TABLE: [(bool, bool, bool, bool, &[&str]); 16] = [
    (true, false, true, false, &[]),
    (true, false, true, true, &[]),
    (true, true, false, false, &[]),
    (true, true, false, true, &[]),
    (true, false, false, false, &["delete"]),
    (true, false, false, true, &["delete"]),
    (true, true, true, false, &[]),
    (true, true, true, true, &[]),
    (false, false, true, false, &["create"]),
    (false, false, true, true, &["create"]),
    (false, true, false, false, &["create"]),
    (false, true, false, true, &["create"]),
    (false, true, true, false, &["create"]),
    (false, true, true, true, &["create"]),
    (false, false, false, false, &[]),
    (false, false, false, true, &["update"]),
];

#[tokio::test]
async fn what_is_changed_follows_the_truth_table() {
    for (desired, is, not_there, differs, called) in TRUTH_TABLE {
        let found = json!({"purged": is, "mode": if differs { "0644" } else { "0600" }});
        let handler = Scripted { found: (!not_there).then(|| fields(found)), ..Scripted::default() };
        let wanted = resource(json!({"purged": desired, "mode": "0600"}));
        let deployment = deployed(&handler, &wanted).await;
        let case = (desired, is, not_there, differs);
        assert_eq!(handler.changes(), called, "{case:?}");
        assert_eq!(deployment.state, ResourceState::Deployed, "{case:?}");
        let change = match called {
            ["create"] => Change::Created,
            ["update"] => Change::Updated,
            ["delete"] => Change::Purged,
            _ => Change::NoChange,
        };
        assert_eq!(deployment.change, change, "{case:?}");
        // The same only looked at: nothing is called, and what would be is told.
        for (report_only, dry_run) in [(true, false), (false, true)] {
            let wanted = Resource { report_only, ..wanted.clone() };
            let looked = deploy(&handler, &wanted, &[], rules(dry_run)).await;
            assert_eq!(handler.changes(), called, "{case:?}: nothing more");
            let state = match (dry_run, called) {
                (true, _) => ResourceState::Dry,
                (false, []) => ResourceState::Deployed,
                (false, _) => ResourceState::NonCompliant,
            };
            assert_eq!((looked.state, looked.change), (state, Change::NoChange), "{case:?}");
            let status = match called {
                ["create"] => DiffStatus::Added,
                ["update"] => DiffStatus::Modified,
                ["delete"] => DiffStatus::Deleted,
                _ => DiffStatus::Unmodified,
            };
            assert_eq!(DiffStatus::of(&looked.changes), status, "{case:?}");
        }
    }
}

#[tokio::test]
async fn every_call_is_made_in_order_and_the_log_says_so() {
    let handler = Scripted { found: Some(fields(json!({"mode": 1, "other": 2}))), ..Scripted::default() };
    let wanted = resource(json!({"mode": 2, "other": 2.0, "any": null}));
    let deployment = deployed(&handler, &wanted).await;
    assert_eq!(*handler.calls.lock(), ["pre", "read", "update", "post"]);
    assert!(deployment.log.iter().any(|line| line.to_string() == "Calling read_resource"));
    assert_eq!(serde_json::to_value(&deployment.changes).unwrap(), json!({"mode": {"current": 1, "desired": 2}}));
    assert_eq!(deployment.facts["calls"], "3");
}

fn required(state: ResourceState) -> Requirement {
    Requirement { id: id("other"), state, tells_of_change: false }
}

#[tokio::test]
async fn a_resource_is_deployed_only_if_all_that_it_requires_is() {
    for state in ResourceState::ALL {
        let handler = Scripted::default();
        let requirements = [required(ResourceState::Deployed), required(state)];
        let deployment = deploy(&handler, &resource(json!({})), &requirements, rules(false)).await;
        if state == ResourceState::Deployed {
            assert_eq!((deployment.state, handler.changes()), (ResourceState::Deployed, vec!["create"]));
            continue;
        }
        assert_eq!(deployment.state, ResourceState::SkippedForDependency, "{state}");
        assert!(handler.calls.lock().is_empty() && deployment.reason.unwrap().contains(state.word()));
        let level = match state {
            ResourceState::Dry | ResourceState::Undefined | ResourceState::SkippedForUndefined => Level::Warning,
            _ => Level::Info,
        };
        assert_eq!(deployment.log[0].level, level, "{state}");
    }
}

#[tokio::test]
async fn what_is_only_reported_is_looked_at_whatever_it_requires_and_never_reloaded() {
    let handler = Scripted { reloads: true, ..Scripted::default() };
    let changed = Requirement { tells_of_change: true, ..required(ResourceState::Failed) };
    let wanted = Resource { report_only: true, ..resource(json!({})) };
    let deployment = deploy(&handler, &wanted, &[changed], rules(false)).await;
    assert_eq!(deployment.state, ResourceState::NonCompliant);
    assert_eq!(*handler.calls.lock(), ["pre", "read", "post"]);
}

#[tokio::test]
async fn a_resource_is_reloaded_when_something_has_changed_that_it_requires() {
    for (reloads, receives, changed) in
        [(true, true, true), (false, true, true), (true, false, true), (true, true, false)]
    {
        let handler = Scripted { reloads, found: Some(Fields::new()), ..Scripted::default() };
        let wanted = Resource { receive_events: receives, ..resource(json!({})) };
        let requirement = Requirement { tells_of_change: changed, ..required(ResourceState::Deployed) };
        deploy(&handler, &wanted, &[requirement], rules(false)).await;
        let reloaded = reloads && receives && changed;
        assert_eq!(handler.changes(), if reloaded { vec!["reload"] } else { vec![] });
    }
}

#[tokio::test]
async fn whatever_goes_wrong_ends_in_a_state_and_post_is_called() {
    let error = || Error::external("no answer");
    let cases: [(&'static str, Trouble, ResourceState); 8] = [
        ("pre", Trouble::Halt(Halt::Failed(error())), ResourceState::Failed),
        ("read", Trouble::Halt(Halt::Skip("it sleeps".to_owned())), ResourceState::Skipped),
        ("read", Trouble::Halt(Halt::SkipForDependencies("no disk".to_owned())), ResourceState::SkippedForDependency),
        ("create", Trouble::Halt(Halt::Failed(error())), ResourceState::Failed),
        ("create", Trouble::Panic, ResourceState::Failed),
        ("read", Trouble::Hang, ResourceState::Failed),
        ("post", Trouble::Halt(Halt::Failed(error())), ResourceState::Deployed),
        ("post", Trouble::Hang, ResourceState::Deployed),
    ];
    for (at, trouble, state) in cases {
        let handler = Scripted { trouble: Some((at, trouble)), ..Scripted::default() };
        let deployment = deployed(&handler, &resource(json!({}))).await;
        assert_eq!((deployment.state, deployment.error.is_some()), (state, state == ResourceState::Failed), "{at}");
        assert_eq!(handler.calls.lock().last(), Some(&"post"), "{at}");
        if state != ResourceState::Deployed {
            assert_eq!(deployment.change, Change::NoChange);
        }
    }
}

struct Shut;

impl Gate for Shut {
    fn passes(&self, _: &Resource, changes: &Changes) -> Result<(), String> {
        Err(format!("{} changes", changes.iter().count()))
    }
}

#[tokio::test]
async fn a_gate_holds_changes_and_nothing_else() {
    let rules = Rules { gate: &Shut, ..rules(false) };
    let handler = Scripted { found: Some(fields(json!({"a": 1}))), ..Scripted::default() };
    let held = deploy(&handler, &resource(json!({"a": 2})), &[], rules).await;
    assert_eq!((held.held, held.state, held.reason.as_deref()), (true, ResourceState::Available, Some("1 changes")));
    let nothing = deploy(&handler, &resource(json!({"a": 1})), &[], rules).await;
    assert_eq!((nothing.held, nothing.state), (false, ResourceState::Deployed));
    assert!(handler.changes().is_empty());
}

#[test]
fn a_report_is_read_as_it_was_written_and_says_in_a_line_what_was_done() {
    let mut changes = Changes::default();
    changes.add("mode", json!("0644"), json!("0600"));
    let report = Report {
        resource: id("aa"),
        resource_state: ResourceState::Deployed,
        change: Change::Updated,
        changes,
        at: "2026-11-22T05:00:00Z".parse().unwrap(),
        attribute_hash: "00".to_owned(),
        reason: None,
        log: Vec::new(),
        facts: Default::default(),
    };
    assert_eq!(Report::read(&report.write()), Some(report.clone()));
    assert_eq!(report.summary(), "deployed, updated: mode 0644 → 0600");
    assert_eq!(Report::read("refused: {}"), None);
}

#[test]
fn a_report_of_a_dry_run_is_in_the_order_of_ids_and_counts_what_is_left() {
    let mut report = DryRunReport::begin(3);
    for value in ["b", "a"] {
        report.add(DryRun::undefined(id(value), "?".to_owned(), Value::Null));
    }
    let order: Vec<&str> = report.resources.iter().map(|found| found.resource.value.as_str()).collect();
    assert_eq!((report.total, report.todo, order), (3, 1, vec!["a", "b"]));
}
