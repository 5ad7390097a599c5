//! A pipeline over an estate that changes.

use serde_json::Value;

use super::front::{Front, ask};
use super::{CHANGED, REGIONS, moto};
use crate::aws::program;
use crate::program::{Done, Folder, repository};

const DENIED: &str = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized.\
                      </Message></Error></Errors></Response>";

/// A pipeline over the two accounts that are changed, started again and again.
struct Estate {
    moto: String,
    front: Front,
    folder: Folder,
}

impl Estate {
    fn new(moto: String) -> Self {
        let roles = CHANGED.map(|account| format!("{{role: \"arn:aws:iam::{account}:role/audit\"}}")).join(", ");
        let text = format!(
            "version: 1\nname: p\n\
             sources:\n  inventory:\n    aws_ec2:\n      regions: [{}]\n      aws: {{own_account: false, accounts: [{roles}]}}\n\
             sinks:\n  volumes: {{from: inventory.aws_ebs_volume, file: {{path: volumes.jsonl}}}}\n  \
             instances: {{from: inventory.aws_ec2_instance, file: {{path: instances.jsonl}}}}\n  \
             vpcs: {{from: inventory.aws_vpc, file: {{path: vpcs.jsonl}}}}\n",
            REGIONS.join(", ")
        );
        Self { front: Front::start(&moto), moto, folder: Folder::with(&[("p.yaml", &text)]) }
    }

    /// Refreshes once.
    fn refresh(&self) -> Done {
        Done::of(&mut program(&self.folder, &self.front.endpoint, &["run", "p.yaml", "--once"]))
    }

    /// What a refresh changes in a table, and what it says.
    fn changes(&self, table: &str) -> (Vec<Value>, Done) {
        let before = self.rows(table).len();
        let done = self.refresh();
        (self.rows(table).split_off(before), done)
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        let text = self.folder.read(&format!("{table}.jsonl"));
        text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
    }

    fn ask(&self, region: &str, form: &str) -> String {
        ask(&self.moto, CHANGED[0], region, form)
    }

    /// Deletes a volume that nothing uses. Gives its id.
    fn delete_a_volume(&self, region: &str) -> String {
        let listed = self.ask(region, "Action=DescribeVolumes&Filter.1.Name=status&Filter.1.Value.1=available");
        let id = between(&listed, "<volumeId>", "</volumeId>");
        self.ask(region, &format!("Action=DeleteVolume&VolumeId={id}"));
        id
    }
}

fn between(text: &str, begin: &str, end: &str) -> String {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin} in {text}"));
    rest.split_once(end).expect("its end").0.to_owned()
}

fn shown(changes: &[Value], column: &str) -> Vec<(String, String, String)> {
    let text = |change: &Value, name: &str| change[name].as_str().unwrap_or_default().to_owned();
    let mut shown: Vec<_> =
        changes.iter().map(|change| (text(change, "_op"), text(change, "region"), text(change, column))).collect();
    shown.sort();
    shown
}

#[test]
fn a_refresh_writes_what_has_changed_and_deletes_only_where_it_has_read_to_the_end() {
    let Some(moto) = moto() else { return };
    let estate = Estate::new(moto);
    estate.refresh().code(0);
    let (instances, volumes) = (estate.rows("instances"), estate.rows("volumes"));
    assert_eq!((instances.len(), volumes.len()), (4 * 12, 4 * 15));
    assert!(instances.iter().all(|instance| instance["_op"] == "insert" && instance["tags"]["env"] == "test"));

    estate.refresh().code(0).said(&["inventory (aws_ec2): 0 rows"]);
    assert_eq!(estate.rows("instances").len(), instances.len());

    let [first, second] = REGIONS;
    let gone = estate.delete_a_volume(first);
    let vpc = between(&estate.ask(first, "Action=DescribeVpcs"), "<vpcId>", "</vpcId>");
    estate.ask(first, &format!("Action=CreateTags&ResourceId.1={vpc}&Tag.1.Key=owner&Tag.1.Value=me"));
    let (volumes, done) = estate.changes("volumes");
    done.code(0).said(&["inventory (aws_ec2): 2 rows"]);
    assert_eq!(shown(&volumes, "volume_id"), [("delete".to_owned(), first.to_owned(), gone)]);
    assert_eq!(estate.rows("vpcs").last().unwrap()["tags"]["owner"], "me");

    // One region does not give its volumes, and only the first page of its instances.
    let lost = REGIONS.map(|region| estate.delete_a_volume(region));
    estate.front.answer(move |asked| {
        let refused = asked.action == "DescribeVolumes" || (asked.action == "DescribeInstances" && asked.goes_on);
        (refused && asked.region == second).then_some((403, "text/xml", DENIED))
    });
    let (volumes, _) = estate.changes("volumes");
    assert_eq!(shown(&volumes, "volume_id"), [("delete".to_owned(), first.to_owned(), lost[0].clone())]);
    assert_eq!(estate.rows("instances").len(), instances.len());

    estate.front.answer(|_| None);
    let (volumes, done) = estate.changes("volumes");
    done.code(0).said(&["inventory (aws_ec2): 1 rows"]);
    assert_eq!(shown(&volumes, "volume_id"), [("delete".to_owned(), second.to_owned(), lost[1].clone())]);
}

#[test]
fn the_example_finds_what_is_wrong_once_and_then_what_has_changed() {
    let Some(moto) = moto() else { return };
    let example = std::fs::read_to_string(repository().join("examples/aws-inventory.yaml")).expect("it is there");
    let folder = Folder::with(&[("aws-inventory.yaml", &example)]);
    let run = || {
        let mut command = program(&folder, &format!("http://{moto}"), &["run", "aws-inventory.yaml", "--once"]);
        Done::of(&mut command).code(0)
    };
    run().printed(&["lets the world in to SSH", "is available", "has 0 active flow logs"]);
    let findings = folder.read("findings.jsonl");
    let findings: Vec<Value> = findings.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let alarms = |text: &str| {
        let about = findings.iter().filter(|finding| finding["status"] == "alarm");
        about.filter(|finding| finding["reason"].as_str().is_some_and(|reason| reason.contains(text))).count()
    };
    // In each of two regions: the group `web`; two volumes that nobody uses; the default VPC and the one it peers with.
    assert_eq!((alarms("web lets the world in"), alarms("is available"), alarms("flow logs")), (2, 4, 4));
    assert_eq!(folder.read("instances.jsonl").lines().count(), 24);
    run().said(&["inventory (aws_ec2): 0 rows"]);
    assert_eq!(folder.read("findings.jsonl").lines().count(), findings.len());
}
