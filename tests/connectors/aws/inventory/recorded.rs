//! What was recorded of AWS itself, by the tests of ManageIQ, is read as it was there. What these tests never asked (whose
//! credentials they are, say) is added to each recording.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_pipeline::provider::{Collected, Extent};

use super::{Inventory, Rows};
use crate::program::{Done, Folder, repository};

/// The account of the recordings.
const ACCOUNT: &str = "200278856672";
const EC2: &str = "https://ec2.us-east-1.amazonaws.com/";

/// What is asked of an address, and answered.
struct Added {
    uri: &'static str,
    form: String,
    status: u16,
    text: String,
}

impl Added {
    fn refused(uri: &'static str, form: &str, code: &str) -> Self {
        let error = format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
        // As each of the protocols has it.
        let text = match uri {
            EC2 => format!("<Response><Errors>{error}</Errors></Response>"),
            _ => format!("<ErrorResponse>{error}</ErrorResponse>"),
        };
        Self { uri, form: form.to_owned(), status: 400, text }
    }

    fn identity(uri: &'static str) -> Self {
        let identity =
            format!("<Arn>arn:aws:iam::{ACCOUNT}:user/test</Arn><UserId>U</UserId><Account>{ACCOUNT}</Account>");
        let text = format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult>{identity}</GetCallerIdentityResult></GetCallerIdentityResponse>"
        );
        Self { uri, form: "Action=GetCallerIdentity&Version=2011-06-15".to_owned(), status: 200, text }
    }

    /// As VCR writes it.
    fn written(&self) -> String {
        let Self { uri, form, status, text } = self;
        let kind = "headers: {Content-Type: [application/x-www-form-urlencoded]}";
        let (form, text) = (json!(form), json!(text));
        format!(
            "- request:\n    method: post\n    uri: {uri}\n    body: {{encoding: UTF-8, string: {form}}}\n    {kind}\n  \
             response:\n    status: {{code: {status}, message: X}}\n    headers: {{}}\n    \
             body: {{encoding: UTF-8, string: {text}}}\n  recorded_at: Wed, 12 Aug 2020 14:15:05 GMT\n"
        )
    }
}

/// A provider that replays a recording, and nothing else.
struct Replay {
    inventory: Inventory,
    _folder: TempDir,
}

impl Replay {
    /// `options` are those of the source beside the cassette.
    fn of(name: &str, options: &str, added: &[Added]) -> Option<Self> {
        let Some(data) = std::env::var_os("TIDEGATE_RECORDED_DATA") else {
            eprintln!("SKIPPED: TIDEGATE_RECORDED_DATA is not set");
            return None;
        };
        let recorded = std::fs::read_to_string(PathBuf::from(data).join("vcr").join(name)).expect("it is there");
        let added: String = added.iter().map(Added::written).collect();
        let text = recorded.replacen("http_interactions:\n", &format!("http_interactions:\n{added}"), 1);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written");
        // What we say more than was said then: how long a page may be, and that only our own images are wanted.
        let ignore = "MaxResults, AllRegions, AllAvailabilityZones, IncludeDisabled, Owner.1, Filter.2.Name, Filter.2.Value.1, StartTime, EndTime";
        let cassette =
            format!("{{path: {}, mode: none, ignore: [{ignore}], allow_playback_repeats: true}}", json!(path));
        let inventory = Inventory::plain("aws_ec2", &format!("aws: {{cassette: {cassette}}}\n{options}\n"));
        Some(Self { inventory, _folder: folder })
    }

    /// The rows of these objects, of a table and those that are nested in it.
    fn read(&self, table: &str, ids: &[&str]) -> Rows {
        let groups = self.inventory.groups();
        let group = groups.iter().find(|group| *group.tables[0] == *table).expect("it is listed");
        let ids = ids.iter().map(|id| (*id).into()).collect();
        let (rows, collected) = self.inventory.collect(group, &Extent::Targets(ids));
        assert_eq!(collected, Collected::complete(), "{table}");
        rows
    }

    /// Some columns of an object.
    fn shown<const N: usize>(&self, table: &str, id: &str, columns: [&str; N]) -> Value {
        let rows = self.read(table, &[id]);
        assert_eq!(rows[table].len(), 1, "{table} {id}");
        shown(&rows[table][0], columns)
    }
}

fn shown<const N: usize>(row: &Value, columns: [&str; N]) -> Value {
    columns.iter().map(|name| row[*name].clone()).collect()
}

fn virginia(name: &str, added: Vec<Added>) -> Option<Replay> {
    let mut all = vec![Added::identity("https://sts.us-east-1.amazonaws.com/")];
    all.extend(added);
    Replay::of(name, "regions: [us-east-1]", &all)
}

#[test]
fn all_regions_of_the_account_are_collected_where_none_is_named() {
    let identity = Added::identity("https://sts.us-east-1.amazonaws.com/");
    let Some(replay) = Replay::of("regions.yml", "", &[identity]) else { return };
    let groups = replay.inventory.groups();
    let regions: BTreeSet<&str> = groups.iter().map(|group| &*group.region).filter(|name| *name != "global").collect();
    assert_eq!(regions.len(), 17);
    assert!(["ap-south-1", "eu-north-1", "sa-east-1", "us-west-2"].iter().all(|name| regions.contains(name)));
    let group = groups.iter().find(|group| &*group.tables[0] == "aws_region").expect("it is listed");
    let rows = replay.inventory.collect(group, &Extent::Whole).0;
    assert_eq!(rows["aws_region"].len(), 17);
}

#[test]
fn a_volume_and_the_snapshot_that_was_made_of_it() {
    let public = "Action=DescribeSnapshots&Filter.1.Name=snapshot-id&Filter.1.Value.1=snap-055095f47fab5e749\
                  &RestorableBy.1=all&Version=2016-11-15";
    let public = Added::refused(EC2, public, "UnauthorizedOperation");
    let Some(replay) = virginia("cloud_volume_with_snapshot.yml", vec![public]) else { return };
    let rows = replay.read("aws_ebs_volume", &["vol-0e1613cacf4688009", "vol-0e4c86c12b28cead8"]);
    let columns =
        ["volume_id", "size", "state", "volume_type", "iops", "encrypted", "availability_zone", "create_time", "tags"];
    assert_eq!(
        shown(&rows["aws_ebs_volume"][0], columns),
        json!([
            "vol-0e1613cacf4688009", 1, "available", "gp2", 100, false, "us-east-1e", "2017-03-17T07:20:08.273Z",
            {"Name": "EmsRefreshSpecForSnapshot"}
        ])
    );
    assert_eq!(rows["aws_ebs_volume"][1]["snapshot_id"], "snap-055095f47fab5e749");
    let attachments = &rows["aws_ebs_volume_attachment"];
    assert_eq!(attachments.len(), 1);
    assert_eq!(
        shown(&attachments[0], ["volume_id", "instance_id", "device", "state", "attach_time", "delete_on_termination"]),
        json!(["vol-0e4c86c12b28cead8", "i-8b5739f2", "/dev/sdf", "attached", "2017-03-17T07:22:23Z", false])
    );
    let columns =
        ["volume_id", "state", "progress", "owner_id", "volume_size", "description", "start_time", "tags", "is_public"];
    assert_eq!(
        replay.shown("aws_ebs_snapshot", "snap-055095f47fab5e749", columns),
        json!([
            "vol-0e1613cacf4688009", "completed", "100%", ACCOUNT, 1, "EmsRefreshSpecSnapshotDesc",
            "2017-03-17T07:21:12Z", {"Name": "EmsRefreshSpecSnapshot"}, null
        ])
    );
}

#[test]
fn an_instance_with_an_elastic_address_and_what_it_stands_in() {
    let Some(replay) = virginia("vpc_vm_with_floating_ip_and_lbs_full_refresh.yml", Vec::new()) else { return };
    let rows = replay.read("aws_ec2_instance", &["i-8b5739f2"]);
    let columns = [
        "arn",
        "instance_state",
        "instance_type",
        "image_id",
        "vpc_id",
        "subnet_id",
        "private_ip_address",
        "public_ip_address",
        "key_name",
        "placement_availability_zone",
        "root_device_type",
        "architecture",
        "virtualization_type",
        "cpu_options_core_count",
        "security_group_ids",
        "tags",
        "metadata_http_tokens",
    ];
    assert_eq!(
        shown(&rows["aws_ec2_instance"][0], columns),
        json!([
            "arn:aws:ec2:us-east-1:200278856672:instance/i-8b5739f2", "running", "t1.micro", "ami-5769193e",
            "vpc-ff49ff91", "subnet-f849ff96", "10.0.0.254", "54.208.119.197", "EmsRefreshSpec-KeyPair", "us-east-1e",
            "ebs", "x86_64", "paravirtual", 1, ["sg-80f755ef"],
            {"Name": "EmsRefreshSpec-PoweredOn-VPC", "owner": "UNKNOWN"}, "optional"
        ])
    );
    let devices = &rows["aws_ec2_instance_block_device"];
    let devices: Vec<Value> = devices.iter().map(|row| shown(row, ["device_name", "volume_id"])).collect();
    assert_eq!(devices, [json!(["/dev/sda1", "vol-67606d2d"]), json!(["/dev/sdf", "vol-0e4c86c12b28cead8"])]);
    let columns = ["network_interface_id", "mac_address", "private_ip_address", "public_ip", "device_index"];
    assert_eq!(
        shown(&rows["aws_ec2_instance_network_interface"][0], columns),
        json!(["eni-ad25f7cc", "22:d8:dc:13:0c:ca", "10.0.0.254", "54.208.119.197", 0])
    );
    let columns = [
        "public_ip",
        "allocation_id",
        "domain",
        "instance_id",
        "association_id",
        "network_interface_id",
        "private_ip_address",
    ];
    assert_eq!(
        replay.shown("aws_vpc_eip", "eipalloc-ce53d7a0", columns),
        json!([
            "54.208.119.197",
            "eipalloc-ce53d7a0",
            "vpc",
            "i-8b5739f2",
            "eipassoc-cc6e58f1",
            "eni-ad25f7cc",
            "10.0.0.254"
        ])
    );
    let volumes = replay.read("aws_ebs_volume", &["vol-67606d2d", "vol-0e4c86c12b28cead8"]);
    let sizes: Vec<Value> =
        volumes["aws_ebs_volume"].iter().map(|row| shown(row, ["size", "volume_type", "iops"])).collect();
    assert_eq!(sizes, [json!([7, "standard", null]), json!([1, "gp2", 100])]);
    assert_eq!(
        replay.shown("aws_ec2_ami", "ami-5769193e", ["name", "owner_id", "public", "architecture", "root_device_type"]),
        json!(["EmsRefreshSpec-Image", ACCOUNT, false, "x86_64", "ebs"])
    );
    surroundings(&replay, "eni-ad25f7cc", "10.0.0.254");
}

/// What both instances stand in.
fn surroundings(replay: &Replay, interface: &str, address: &str) {
    let columns = ["status", "vpc_id", "subnet_id", "availability_zone", "interface_type", "source_dest_check"];
    let rows = replay.read("aws_ec2_network_interface", &[interface]);
    let row = &rows["aws_ec2_network_interface"][0];
    assert_eq!(
        shown(row, columns),
        json!(["in-use", "vpc-ff49ff91", "subnet-f849ff96", "us-east-1e", "interface", true])
    );
    assert_eq!(row["private_ip_address"], address);
    assert_eq!(
        replay.shown("aws_availability_zone", "us-east-1e", ["zone_id", "state", "opt_in_status"]),
        json!(["use1-az2", "available", "opt-in-not-required"])
    );
    assert_eq!(
        replay.shown("aws_ec2_key_pair", "EmsRefreshSpec-KeyPair", ["key_pair_id", "key_fingerprint"]),
        json!(["key-08235bc4add1b8538", "49:9f:3f:a4:26:48:39:94:26:06:dd:25:73:e5:da:9b:4b:1b:6c:93"])
    );
    assert_eq!(
        replay.shown("aws_vpc", "vpc-ff49ff91", ["cidr_block", "state", "is_default", "owner_id", "tags"]),
        json!(["10.0.0.0/16", "available", false, ACCOUNT, {"Name": "EmsRefreshSpec-VPC"}])
    );
    assert_eq!(
        replay.shown("aws_vpc_subnet", "subnet-f849ff96", ["cidr_block", "vpc_id", "map_public_ip_on_launch", "tags"]),
        json!(["10.0.0.0/24", "vpc-ff49ff91", true, {"Name": "EmsRefreshSpec-Subnet1"}])
    );
    let rows = replay.read("aws_vpc_security_group", &["sg-80f755ef"]);
    assert_eq!(rows["aws_vpc_security_group"][0]["group_name"], "EmsRefreshSpec-SecurityGroup-VPC");
    let rules: BTreeSet<String> = rows["aws_vpc_security_group_rule"]
        .iter()
        .map(|row| row["security_group_rule_id"].as_str().unwrap_or_default().to_owned())
        .collect();
    let expected = ["egress:-1:all:0.0.0.0/0", "ingress:icmp:-1--1:0.0.0.0/0", "ingress:tcp:22-22:0.0.0.0/0"];
    assert_eq!(rules.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn an_instance_with_a_public_address_of_amazon_started_from_an_image_of_somebody_else() {
    let Some(replay) = virginia("vpc_vm_with_public_ip_and_template.yml", Vec::new()) else { return };
    let columns = ["instance_state", "instance_type", "image_id", "public_ip_address", "private_ip_address", "tags"];
    assert_eq!(
        replay.shown("aws_ec2_instance", "i-c72af2f6", columns),
        json!([
            "running", "t2.micro", "ami-2051294a", "3.87.216.170", "10.0.0.122",
            {"Name": "EmsRefreshSpec-PoweredOn-VPC1", "owner": "UNKNOWN"}
        ])
    );
    assert_eq!(
        replay.shown("aws_ec2_ami", "ami-2051294a", ["name", "owner_id", "public", "description", "sriov_net_support"]),
        json!([
            "RHEL-7.2_HVM_GA-20151112-x86_64-1-Hourly2-GP2",
            "309956199498",
            true,
            "Provided by Red Hat, Inc.",
            "simple"
        ])
    );
    let volumes = replay.read("aws_ebs_volume", &["vol-da190f08", "vol-0acad09812d803c09"]);
    assert_eq!(
        volumes["aws_ebs_volume"].iter().map(|row| shown(row, ["size", "encrypted", "kms_key_id"])).collect::<Vec<_>>(),
        [
            json!([10, false, null]),
            json!([1, true, "arn:aws:kms:us-east-1:200278856672:key/1b84f037-3b25-4985-90e1-8b5cd6cc098e"])
        ]
    );
    // It has no address of its own: there is none to be found under that name.
    assert_eq!(replay.read("aws_vpc_eip", &["3.87.216.170"]), Rows::new());
    surroundings(&replay, "eni-2b986f38", "10.0.0.122");
}

const METRICS: &str = "https://monitoring.eu-central-1.amazonaws.com/";
const MEASURED: &str = "i-091369dd8a8d470ab";

/// What was not asked then: the instance, all metrics at once, and those of another agent, which there are none of.
fn unmeasured() -> Vec<Added> {
    let instance = format!("<instanceId>{MEASURED}</instanceId><instanceState><name>running</name></instanceState>");
    let instance = format!("<item><instancesSet><item>{instance}</item></instancesSet></item>");
    let listed =
        format!("<DescribeInstancesResponse><reservationSet>{instance}</reservationSet></DescribeInstancesResponse>");
    let asked =
        format!("Action=DescribeInstances&Filter.1.Name=instance-id&Filter.1.Value.1={MEASURED}&Version=2016-11-15");
    let nothing = |metric: &str| {
        let form = format!(
            "Action=GetMetricStatistics&Dimensions.member.1.Name=InstanceId&Dimensions.member.1.Value={MEASURED}\
             &MetricName={metric}&Namespace=CWAgent&Period=60&Statistics.member.1=Average&Version=2010-08-01"
        );
        let text = "<GetMetricStatisticsResponse><GetMetricStatisticsResult><Datapoints/></GetMetricStatisticsResult>\
                    </GetMetricStatisticsResponse>";
        Added { uri: METRICS, form, status: 200, text: text.to_owned() }
    };
    let agents =
        ["swap_used_percent", "Paging+File+%25+Usage", "mem_used_percent", "Memory+%25+Committed+Bytes+In+Use"];
    let mut added: Vec<Added> = agents.map(nothing).into();
    added.push(Added { uri: "https://ec2.eu-central-1.amazonaws.com/", form: asked, status: 200, text: listed });
    added.push(Added::identity("https://sts.eu-central-1.amazonaws.com/"));
    added.push(Added::refused(METRICS, &all_at_once(), "AccessDenied"));
    added
}

/// GetMetricData as it is asked for one instance.
fn all_at_once() -> String {
    const ASKED: [(&str, &str); 11] = [
        ("AWS/EC2", "CPUUtilization"),
        ("AWS/EC2", "DiskReadBytes"),
        ("AWS/EC2", "DiskWriteBytes"),
        ("System/Linux", "SwapUtilization"),
        ("CWAgent", "swap_used_percent"),
        ("CWAgent", "Paging+File+%25+Usage"),
        ("System/Linux", "MemoryUtilization"),
        ("CWAgent", "mem_used_percent"),
        ("CWAgent", "Memory+%25+Committed+Bytes+In+Use"),
        ("AWS/EC2", "NetworkIn"),
        ("AWS/EC2", "NetworkOut"),
    ];
    let query = |(index, (namespace, metric)): (usize, &(&str, &str))| {
        let of = |rest: &str| format!("&MetricDataQueries.member.{}.{rest}", index + 1);
        let parts = [
            format!("Id=m{index}"),
            format!("MetricStat.Metric.Namespace={namespace}"),
            format!("MetricStat.Metric.MetricName={metric}"),
            "MetricStat.Metric.Dimensions.member.1.Name=InstanceId".to_owned(),
            format!("MetricStat.Metric.Dimensions.member.1.Value={MEASURED}"),
            "MetricStat.Period=60".to_owned(),
            "MetricStat.Stat=Average".to_owned(),
            "ReturnData=true".to_owned(),
        ];
        parts.map(|part| of(&part)).concat()
    };
    let queries: String = ASKED.iter().enumerate().map(query).collect();
    format!("Action=GetMetricData&Version=2010-08-01{queries}")
}

#[test]
fn the_counters_of_an_instance_are_the_samples_that_were_made_of_its_metrics_then() {
    let options = "regions: [eu-central-1]\nhydrate: [aws_ec2_instance_metric]";
    let Some(replay) = Replay::of("metrics_capture.yml", options, &unmeasured()) else { return };
    let mut rows = replay.read("aws_ec2_instance_metric", &[MEASURED]);
    let rows = rows.remove("aws_ec2_instance_metric").expect("there are samples");
    assert_eq!(rows.len(), 3 * 47 * 15 + 2 * 48 * 15);
    // First and sixteenth sample, the last one, and how many there are.
    let expected = [
        (
            "cpu_usage_rate_average",
            0.067_231_638_418_075_4,
            0.099_453_551_912_572_41,
            "12:05:00",
            0.099_472_075_576_552_4,
        ),
        ("disk_usage_rate_average", 0.0, 0.0, "12:05:00", 0.0),
        ("mem_swapped_absolute_average", 0.0, 0.0, "12:10:00", 0.0),
        ("mem_usage_absolute_average", 8.916_957_003_877_28, 8.924_035_202_239_86, "12:10:00", 8.937_798_365_722_64),
        ("net_usage_rate_average", 0.008_318_359_374_999_999, 0.010_224_609_375, "12:05:00", 0.009_376_302_083_333_333),
    ];
    for (counter, first, second, until, last) in expected {
        let of: Vec<&Value> = rows.iter().filter(|row| row["counter"] == counter).collect();
        let at = |index: usize| shown(of[index], ["timestamp", "value"]);
        assert_eq!(at(0), json!(["2018-01-18T08:10:20Z", first]), "{counter}");
        assert_eq!(at(15), json!(["2018-01-18T08:15:20Z", second]), "{counter}");
        assert_eq!(at(of.len() - 1), json!([format!("2018-01-18T{until}Z"), last]), "{counter}");
    }
}

#[test]
fn the_example_collects_from_a_recording_without_an_account_and_again_finds_nothing_new() {
    let read = |name: &str| std::fs::read_to_string(repository().join(name)).expect("it is there");
    let names = ["examples/replayed-inventory.yaml", "examples/data/aws.yml"];
    let folder =
        Folder::with(&names.map(|name| (name, read(name))).each_ref().map(|(name, text)| (*name, text.as_str())));
    let run = || {
        let mut command = folder.command(&["run", names[0], "--once"]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        Done::of(&mut command).code(0)
    };
    run().printed(&["is available", "volumes that are not encrypted"]).never_said(&["could not be read"]);
    assert_eq!(folder.rows("instances.jsonl").len(), 12);
    run().said(&["inventory (aws_ec2): 0 rows"]);
}
