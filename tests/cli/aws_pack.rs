//! The control pack `aws` through its real providers: moto holds, for each control, what must alarm and what must be ok
//! (tests/services/estate_controls.py), and the program says so of each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::program::{Done, Folder, Running, repository};
use crate::service::{Service, free_ports};

/// The worst first: what counts where a control has several findings about a resource.
const STATUSES: [&str; 6] = ["error", "alarm", "waived", "skip", "info", "ok"];

/// The server with the estate, and what is expected of it.
struct Estate {
    server: Service,
    expected: Value,
}

impl Estate {
    fn start() -> Option<Self> {
        let server = Service::start_with("moto", &free_ports(1), &[("TIDEGATE_ESTATE_CONTROLS", "1")])?;
        let text = std::fs::read_to_string(server.file("expected.json")).expect("what is expected");
        let expected = serde_json::from_str(&text).expect("JSON");
        Some(Self { server, expected })
    }

    /// `check` over the estate, in a folder with its pipeline.
    fn check(&self, folder: &Folder, more: &[&str]) -> Running {
        let mut command = folder
            .command(&[&["--log", "error", "check", "pipeline.yaml", "--all", "--format", "json"], more].concat());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.server.address()));
        command.env("AWS_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        Running::of(&mut command)
    }

    /// What is expected at a time: control, resource, status.
    fn expected(&self, when: &str) -> Vec<(&str, &str, &str)> {
        let mut expected = Vec::new();
        for (control, resources) in object(&self.expected[when]) {
            let resources = object(resources).iter();
            expected.extend(
                resources.map(|(resource, status)| (&**control, &**resource, status.as_str().expect("a status"))),
            );
        }
        expected
    }

    /// The expectations at a time that do not hold in this report.
    fn wrong(&self, when: &str, report: &Done) -> Vec<String> {
        let findings = report.json();
        let mut said: BTreeMap<(&str, &str), (usize, &Value)> = BTreeMap::new();
        for finding in findings.as_array().expect("findings") {
            let text = |name: &str| finding[name].as_str().unwrap_or_default();
            let rank = STATUSES.iter().position(|status| *status == text("status")).expect("a known status");
            let place = said.entry((text("control"), text("resource"))).or_insert((rank, finding));
            if rank < place.0 {
                *place = (rank, finding);
            }
        }
        let mut wrong = Vec::new();
        for (control, resource, status) in self.expected(when) {
            let found = said.get(&(control, resource));
            if found.map_or("absent", |(rank, _)| STATUSES[*rank]) != status {
                let found = found.map(|(_, finding)| format!("{}: {}", finding["status"], finding["reason"]));
                wrong.push(format!("{when}: {control} of {resource} is not {status}, but {found:?}"));
            }
        }
        wrong
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

fn workplace() -> Folder {
    let folder = Folder::new();
    let pipeline =
        std::fs::read(repository().join("tests/services/estate_controls.yaml")).expect("the pipeline is there");
    folder.write("pipeline.yaml", pipeline);
    folder
}

/// The ids of all controls of the pack.
fn controls() -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir(repository().join("queries/aws")).expect("the pack is there") {
        let text = std::fs::read_to_string(entry.expect("an entry").path().join("controls.yaml")).unwrap_or_default();
        ids.extend(text.lines().filter_map(|line| line.strip_prefix("  - id: ")).map(str::to_owned));
    }
    ids
}

#[test]
fn every_control_of_aws_says_what_it_should_of_an_estate() {
    let Some(estate) = Estate::start() else { return };
    let (today, old) = (workplace(), workplace());
    let later: Vec<&str> = object(&estate.expected["later"]).keys().map(String::as_str).collect();
    let later = later.join(",");
    let now = estate.check(&today, &["--save", "report.json"]);
    let then = estate.check(&old, &["--controls", &later, "--now", estate.expected["then"].as_str().expect("a time")]);
    // Not 2: nothing was in error.
    let mut wrong = estate.wrong("now", &now.wait().code(1));
    wrong.extend(estate.wrong("later", &then.wait().code(1)));
    assert!(wrong.is_empty(), "{} expectations do not hold:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(uncovered(&estate), [""; 0], "neither expected nor excused, or both");
    let report = today.run(&["check", "report.json", "--benchmark", "opsbox"]).code(1);
    // What follows the tree names resources, by ids that servers draw.
    let (tree, _) = report.stdout.split_once("\n\n").expect("a tree and what follows it");
    insta::assert_snapshot!("opsbox", tree);
}

/// Controls without an alarm or an ok among what is expected of them, and without a reason why; and those with both.
fn uncovered(estate: &Estate) -> Vec<String> {
    let expected: BTreeSet<(&str, &str)> = ["now", "later"]
        .into_iter()
        .flat_map(|when| estate.expected(when))
        .map(|(control, _, status)| (control, status))
        .collect();
    let mut uncovered = Vec::new();
    for control in controls() {
        for status in ["alarm", "ok"] {
            let is_excused = estate.expected["excused"][&control].get(status).is_some();
            if expected.contains(&(&*control, status)) == is_excused {
                uncovered.push(format!("{control}: {status}"));
            }
        }
    }
    uncovered
}
