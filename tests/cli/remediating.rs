//! Handlers of AWS against moto, with boto3 as an independent client: what was wrong is found, planned, approved and mended.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Done, Folder, Running, repository};
use crate::service::{Service, free_ports};

/// AWS as moto pretends to be it.
struct Aws(Service);

impl Aws {
    fn start() -> Option<Self> {
        Service::start_with("moto", &free_ports(1), &[]).map(Self)
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.0.address())
    }

    /// What boto3 is answered.
    #[track_caller]
    fn boto(&self, service: &str, call: &str, arguments: &Value) -> Value {
        let done = Command::new(kept().join("moto/bin/python"))
            .arg(repository().join("tests/services/boto.py"))
            .args([&self.endpoint(), service, call, &arguments.to_string()])
            .output()
            .expect("moto's python runs");
        assert!(done.status.success(), "{service} {call}: {}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).expect("an answer")
    }

    fn command(&self, folder: &Folder, arguments: &[&str]) -> Command {
        let mut command = folder.command(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.env("AWS_ENDPOINT_URL", self.endpoint()).env("AWS_REGION", "us-east-1");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    #[track_caller]
    fn run(&self, folder: &Folder, arguments: &[&str]) -> Done {
        Done::of(&mut self.command(folder, arguments))
    }

    /// The ports that a group lets everybody in to.
    fn open_ports(&self, group: &str) -> Vec<i64> {
        let groups = self.boto("ec2", "describe_security_groups", &json!({"GroupIds": [group]}));
        let permissions = groups["SecurityGroups"][0]["IpPermissions"].as_array().cloned().unwrap_or_default();
        let is_open = |permission: &&Value| permission["IpRanges"].as_array().is_some_and(|ranges| !ranges.is_empty());
        permissions.iter().filter(is_open).filter_map(|permission| permission["FromPort"].as_i64()).collect()
    }
}

/// Where the scripts of tests/services keep what they install.
fn kept() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("TIDEGATE_SERVICES").unwrap_or_else(|| {
        let cache = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
        cache.expect("a home").join("tidegate-services")
    })
}

/// The folder with the example, refreshed often.
fn example() -> Folder {
    let folder = Folder::new();
    let text = std::fs::read_to_string(repository().join("examples/remediate.yaml")).expect("the example is there");
    folder.write("pipeline.yaml", text.replace("refresh: 15m", "refresh: 1s").replace("every: 10s", "every: 500ms"));
    folder
}

fn awaiting(aws: &Aws, folder: &Folder) -> Vec<Value> {
    let arguments = ["effects", "list", "pipeline.yaml", "--state", "awaiting_approval", "--format", "jsonl"];
    let done = aws.run(folder, &arguments);
    // The pipeline may just be making its directory.
    if done.code == Some(0) { done.json_lines() } else { Vec::new() }
}

#[test]
fn an_open_ssh_rule_is_found_planned_approved_revoked_and_the_finding_resolves() {
    let Some(aws) = Aws::start() else { return };
    let made = aws.boto("ec2", "create_security_group", &json!({"GroupName": "bastion", "Description": "bastion"}));
    let group = made["GroupId"].as_str().expect("an id").to_owned();
    let world = |port: u16| json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]});
    let permissions = json!({"GroupId": group, "IpPermissions": [world(22), world(443)]});
    aws.boto("ec2", "authorize_security_group_ingress", &permissions);
    let folder = example();

    // Planned: what would be removed, and why. Nothing happens.
    let plan = aws.run(&folder, &["plan", "pipeline.yaml", "--format", "json"]).code(1).json();
    assert_eq!((&plan["summary"]["remove"], &plan["summary"]["need_approval"]), (&json!(1), &json!(1)), "{plan:#}");
    let planned = &plan["handlers"][0]["resources"][0];
    assert_eq!((&planned["status"], &planned["why"]["control"]), (&json!("deleted"), &json!("sg_ingress_ssh_world")));
    assert_eq!(planned["current"]["rules"], json!(["ingress tcp 22-22 0.0.0.0/0"]));
    let arn = format!("arn:aws:ec2:us-east-1:123456789012:security-group/{group}");
    assert_eq!(planned["resource"], format!("aws::SecurityGroupRule[123456789012/us-east-1,id={arn}]"));
    let text = aws.run(&folder, &["run", "pipeline.yaml", "--dry-run"]).code(1);
    text.printed(&["would be removed, once it is approved", "because aws/sg_ingress_ssh_world (alarm", "1 to remove"]);
    assert_eq!(aws.open_ports(&group), [22, 443]);
    assert!(!folder.file(".tidegate").exists() && !folder.file("findings.jsonl").exists(), "a plan leaves nothing");

    // Found: it waits.
    let mut running = Running::of(&mut aws.command(&folder, &["run", "pipeline.yaml"]));
    running.until("an effect that awaits approval", || !awaiting(&aws, &folder).is_empty());
    assert_eq!(aws.open_ports(&group), [22, 443]);
    let held = awaiting(&aws, &folder);
    assert_eq!(held.len(), 1, "{held:?}");

    // Approved: it is revoked, and nothing else; the finding resolves with the next refresh.
    let id = held[0]["effect"].as_str().expect("an id");
    aws.run(&folder, &["effects", "approve", "pipeline.yaml", id]).code(0);
    let drifts = || {
        let rows = folder.rows("findings.jsonl");
        rows.iter().filter(|row| row["resource"] == arn).map(|row| row["drift"].to_string()).collect::<Vec<_>>()
    };
    running.until("the finding to be resolved", || drifts() == ["\"new\"", "\"resolved\""]);
    assert_eq!(aws.open_ports(&group), [443]);
    let shown = aws.run(&folder, &["effects", "show", "pipeline.yaml", id, "--format", "json"]).code(0).json();
    assert_eq!((&shown["state"], &shown["report"]["change"]), (&json!("done"), &json!("purged")), "{shown:#}");
    drop(running);
    aws.run(&folder, &["plan", "pipeline.yaml"]).code(0).printed(&["0 to remove"]);
}

/// A pipeline that hands the rows of a file to a handler.
fn handing(kind: &str, options: &str, rows: &[Value]) -> Folder {
    let folder = Folder::new();
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    folder.write("rows.jsonl", lines.join("\n") + "\n");
    folder.write(
        "pipeline.yaml",
        format!(
            "version: 1\nname: mend\nsources: {{rows: {{file: {{path: rows.jsonl}}}}}}\nsinks:\n  mend:\n    from: rows\n    \
             {kind}:\n      id: id\n      agent: \"'123456789012/us-east-1'\"\n      apply: true\n      {options}\n"
        ),
    );
    folder
}

/// Plans, which must find a change; runs; plans again, which must find nothing left.
#[track_caller]
fn mends(aws: &Aws, kind: &str, options: &str, id: &str) {
    let folder = handing(kind, options, &[json!({"id": id})]);
    aws.run(&folder, &["plan", "pipeline.yaml"]).code(1);
    aws.run(&folder, &["run", "pipeline.yaml"]).code(0);
    let listed = aws.run(&folder, &["effects", "list", "pipeline.yaml", "--format", "jsonl"]).code(0).json_lines();
    assert_eq!(listed[0]["state"], "done", "{kind}: {listed:?}");
    aws.run(&folder, &["plan", "pipeline.yaml"]).code(0);
}

#[test]
fn handlers_of_aws_mend_what_boto_has_made() {
    let Some(aws) = Aws::start() else { return };
    let ec2 = |call: &str, arguments: Value| aws.boto("ec2", call, &arguments);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();

    let zone = json!({"AvailabilityZone": "us-east-1a", "Size": 1});
    let volume = text(&ec2("create_volume", zone)["VolumeId"]);
    mends(&aws, "aws_ebs_volume", "desired: {tags: {owner: \"'us'\", old: null}}", &volume);
    let described = ec2("describe_volumes", json!({"VolumeIds": [volume]}));
    assert_eq!(described["Volumes"][0]["Tags"], json!([{"Key": "owner", "Value": "us"}]));

    let snapshot = text(&ec2("create_snapshot", json!({"VolumeId": volume}))["SnapshotId"]);
    let everybody = json!({"SnapshotId": snapshot, "Attribute": "createVolumePermission", "OperationType": "add", "GroupNames": ["all"]});
    ec2("modify_snapshot_attribute", everybody);
    mends(&aws, "aws_ebs_snapshot", "desired: {public: false}", &snapshot);
    let asked = json!({"SnapshotId": snapshot, "Attribute": "createVolumePermission"});
    assert_eq!(ec2("describe_snapshot_attribute", asked)["CreateVolumePermissions"], json!([]));
    mends(&aws, "aws_ebs_snapshot", "desired: {purged: true}", &snapshot);

    mends(&aws, "aws_ebs_volume", "desired: {purged: true}", &volume);
    let left = ec2(
        "describe_snapshots",
        json!({"OwnerIds": ["self"], "Filters": [{"Name": "volume-id", "Values": [volume]}]}),
    );
    assert_eq!(left["Snapshots"].as_array().map(Vec::len), Some(1), "a snapshot of the volume is left: {left}");
    assert_eq!(ec2("describe_volumes", json!({}))["Volumes"].as_array().map(Vec::len), Some(0));

    let images = ec2("describe_images", json!({"Owners": ["amazon"]}));
    let image = images["Images"][0]["ImageId"].as_str().unwrap_or("ami-12c6146b").to_owned();
    let made = ec2("run_instances", json!({"ImageId": image, "MinCount": 1, "MaxCount": 1}));
    let instance = text(&made["Instances"][0]["InstanceId"]);
    let state = || {
        let described = ec2("describe_instances", json!({"InstanceIds": [instance]}));
        text(&described["Reservations"][0]["Instances"][0]["State"]["Name"])
    };
    mends(&aws, "aws_ec2_instance", "desired: {state: \"'stopped'\", tags: {owner: \"'us'\"}}", &instance);
    assert_eq!(state(), "stopped");
    mends(&aws, "aws_ec2_instance", "desired: {state: \"'running'\"}", &instance);
    mends(&aws, "aws_ec2_instance", "desired: {purged: true}", &instance);
    assert_eq!(state(), "terminated");

    let address = text(&ec2("allocate_address", json!({"Domain": "vpc"}))["AllocationId"]);
    mends(&aws, "aws_eip", "desired: {purged: true}", &address);
    assert_eq!(ec2("describe_addresses", json!({}))["Addresses"], json!([]));

    mends(&aws, "aws_ebs_default_encryption", "desired: {enabled: true}", "default");
    assert_eq!(ec2("get_ebs_encryption_by_default", json!({}))["EbsEncryptionByDefault"], true);

    aws.boto("s3", "create_bucket", &json!({"Bucket": "logs"}));
    let blocks = "desired: {block_public_acls: true, restrict_public_buckets: true}";
    mends(&aws, "aws_s3_public_access_block", blocks, "arn:aws:s3:::logs");
    let set = aws.boto("s3", "get_public_access_block", &json!({"Bucket": "logs"}));
    let set = &set["PublicAccessBlockConfiguration"];
    assert_eq!((&set["BlockPublicAcls"], &set["BlockPublicPolicy"]), (&json!(true), &json!(false)));

    let group = ec2("create_security_group", json!({"GroupName": "web", "Description": "web"}));
    let group = text(&group["GroupId"]);
    mends(
        &aws,
        "aws_security_group_rule",
        "desired: {description: \"'web'\"}",
        &format!("{group}/ingress:tcp:443-443:10.0.0.0/8"),
    );
    assert_eq!(aws.open_ports(&group), [443]);
}

#[test]
fn what_aws_refuses_or_does_not_know_is_told_with_the_effect() {
    let Some(aws) = Aws::start() else { return };
    let dead = |folder: &Folder| {
        aws.run(folder, &["run", "pipeline.yaml"]).code(0);
        let listed = aws.run(folder, &["effects", "list", "pipeline.yaml", "--format", "jsonl"]).code(0).json_lines();
        listed.iter().map(|effect| format!("{}: {}", effect["state"], effect["reason"])).collect::<Vec<_>>().join("\n")
    };
    let desired = "desired: {purged: true}";
    let other = "arn:aws:ec2:eu-west-1:123456789012:volume/vol-1";
    let said = dead(&handing("aws_ebs_volume", desired, &[json!({"id": other})]));
    assert!(said.contains("dead") && said.contains("is not of the agent 123456789012/us-east-1"), "{said}");
    let said = dead(&handing("aws_security_group_rule", desired, &[json!({"id": "vol-1"})]));
    assert!(said.contains("dead") && said.contains("it names no group"), "{said}");
    let folder = handing("aws_eip", desired, &[json!({"id": "eipalloc-1"})]);
    folder.write("pipeline.yaml", folder.read("pipeline.yaml").replace("123456789012", "210987654321"));
    let said = dead(&folder);
    assert!(said.contains("dead") && said.contains("the account 210987654321 is none of those"), "{said}");
    let gone = dead(&handing("aws_ec2_instance", desired, &[json!({"id": "i-0123456789abcdef0"})]));
    assert!(
        gone.contains("done: \"deployed\"") || gone.contains("\"done\": \"deployed\""),
        "what is gone is gone: {gone}"
    );
}
