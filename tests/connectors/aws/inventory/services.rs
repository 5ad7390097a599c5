//! The tables of databases, load balancers, file systems and names.

use serde_json::{Value, json};
use tidegate_pipeline::provider::{Collected, Extent};
use tidegate_pipeline::step::ScopeOutcome;

use super::front::{Answer, Front};
use super::reading::{Lacks, every_table_is_read, rows_of, targets_are_read_alone, text};
use super::{ACCOUNTS, Inventory, REGIONS, moto};
use crate::aws::program;
use crate::program::{Done, Folder};

const DENIED: Answer = (
    403,
    "text/xml",
    "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized.</Message></Error></ErrorResponse>",
);
const DENIED_IN_JSON: Answer =
    (403, "application/json", "{\"__type\":\"AccessDeniedException\",\"message\":\"Not authorized.\"}");
const TARGETS: &str = "aws_ec2_target_group_target";

/// What all options of a kind that are read only where they are named are called.
fn everything(kind: &str) -> Vec<String> {
    let columns: &[&str] = match kind {
        "aws_rds" => &[
            "aws_rds_db_cluster_snapshot.is_public",
            "aws_rds_db_instance.avg_cpu_utilization",
            "aws_rds_db_instance.avg_database_connections",
            "aws_rds_db_instance.storage_utilization",
            "aws_rds_db_snapshot.is_public",
        ],
        "aws_elb" => &[
            "aws_ec2_application_load_balancer.load_balancer_attributes",
            "aws_ec2_application_load_balancer.request_count",
            "aws_ec2_classic_load_balancer.access_log_enabled",
            "aws_ec2_classic_load_balancer.request_count",
            "aws_ec2_classic_load_balancer_instance.state",
            "aws_ec2_network_load_balancer.load_balancer_attributes",
            "aws_ec2_network_load_balancer.new_flow_count",
            TARGETS,
        ],
        "aws_efs" => &[
            "aws_efs_file_system.automatic_backups",
            "aws_efs_file_system.percent_io_limit",
            "aws_efs_file_system.policy",
            "aws_efs_mount_target.security_groups",
        ],
        _ => &["aws_route53_zone.vpcs"],
    };
    columns.iter().map(|column| (*column).to_owned()).collect()
}

/// Everything of a kind is read to its end, everywhere; gives the front, that knows what was asked.
fn is_read(kind: &str) -> Option<Front> {
    let front = Front::start(&moto()?);
    let inventory = Inventory::of(kind, &front.endpoint, &everything(kind));
    every_table_is_read(&inventory, Lacks::default());
    Some(front)
}

fn targets_are_alone(kind: &str) {
    let Some(moto) = moto() else { return };
    targets_are_read_alone(&Inventory::of(kind, &Front::start(&moto).endpoint, &everything(kind)));
}

/// How a service says that something may not be done.
fn denied(action: &str) -> Answer {
    if action.contains("/2015-02-01/") { DENIED_IN_JSON } else { DENIED }
}

/// What the options name is refused: the rows come all the same, without it.
fn rows_come_without(kind: &str, refused: &'static [&'static str], table: &str, columns: &[&str]) {
    let Some(moto) = moto() else { return };
    let front = Front::start(&moto);
    front.answer(move |asked| {
        let is_refused = refused.iter().any(|part| asked.action.ends_with(part));
        is_refused.then(|| denied(&asked.action))
    });
    let rows = rows_of(&Inventory::of(kind, &front.endpoint, &everything(kind)), table);
    assert!(rows.len() >= 7, "{rows:?}");
    for column in columns {
        assert!(rows.iter().all(|row| row.get(*column).is_none()), "{column}: {rows:?}");
    }
}

/// A listing that is refused is the matter of its own tables.
fn fails_alone(kind: &str, refused: &'static str, table: &str) {
    let Some(moto) = moto() else { return };
    let front = Front::start(&moto);
    front.answer(move |asked| (asked.action == refused).then(|| denied(&asked.action)));
    let inventory = Inventory::of(kind, &front.endpoint, &[]);
    for group in inventory.groups().iter().filter(|group| *group.account_id == *ACCOUNTS[0]) {
        let (_, collected) = inventory.collect(group, &Extent::Whole);
        match group.tables.iter().any(|name| **name == *table) {
            true => assert!(matches!(collected.of(table), ScopeOutcome::Failed(_)), "{group}: {collected:?}"),
            false => assert_eq!(collected, Collected::complete(), "{group}"),
        }
    }
}

/// The row that says `value` in a column.
fn row<'a>(rows: &'a [Value], column: &str, value: &str) -> &'a Value {
    rows.iter().find(|row| text(row, column) == value).unwrap_or_else(|| panic!("no {value} in {rows:?}"))
}

// matrix: aws_rds: happy
// matrix: aws_rds: kill-before-ack: the refresh of every provider is the engine's, whose tests kill `host`
// matrix: aws_rds: kill-after-ack: the refresh of every provider is the engine's, whose tests kill `host`
#[test]
fn databases_and_their_snapshots_are_read_page_by_page() {
    let Some(front) = is_read("aws_rds") else { return };
    // Twenty-three databases in pages of twenty, in two accounts, looked at twice.
    assert!(REGIONS.iter().all(|region| front.count("DescribeDBInstances", region) == 8));
    // Two snapshots in each, which somebody has made.
    assert!(REGIONS.iter().all(|region| front.count("DescribeDBSnapshotAttributes", region) == 8));
    targets_are_alone("aws_rds");
}

// matrix: aws_rds: malformed
// matrix: aws_rds: disconnect: a call without an answer is tried again, then its scope has failed until the next refresh
#[test]
fn what_may_not_be_read_of_databases_is_null_or_the_matter_of_its_table() {
    let columns = ["avg_cpu_utilization", "cpu_datapoints", "avg_database_connections", "storage_utilization"];
    rows_come_without("aws_rds", &["GetMetricData", "GetMetricStatistics"], "aws_rds_db_instance", &columns);
    fails_alone("aws_rds", "DescribeDBClusters", "aws_rds_db_cluster");
}

#[test]
fn databases_say_how_much_they_are_used_and_snapshots_who_may_restore_them() {
    let Some(moto) = moto() else { return };
    let inventory = Inventory::of("aws_rds", &format!("http://{moto}"), &everything("aws_rds"));
    let databases = rows_of(&inventory, "aws_rds_db_instance");
    let busy = row(&databases, "db_instance_identifier", "orders-0");
    assert_eq!((&busy["avg_cpu_utilization"], &busy["cpu_datapoints"]), (&json!(3.0), &json!(3)));
    assert_eq!((&busy["avg_database_connections"], &busy["storage_utilization"]), (&json!(1.33), &json!(75.0)));
    assert_eq!((&busy["engine"], &busy["class"]), (&json!("postgres"), &json!("db.t4g.micro")));
    assert_eq!((&busy["storage_encrypted"], &busy["allocated_storage"]), (&json!(false), &json!(20)));
    assert_eq!((&busy["subnets"].as_array().unwrap().len(), &busy["tags"]["env"]), (&2, &json!("test")));
    assert!(text(busy, "vpc_security_groups").is_empty() && text(busy, "vpc_id").starts_with("vpc-"), "{busy}");
    let idle = row(&databases, "db_instance_identifier", "orders-1");
    assert_eq!((idle.get("avg_cpu_utilization"), &idle["cpu_datapoints"]), (None, &json!(0)));
    let snapshots = rows_of(&inventory, "aws_rds_db_snapshot");
    let public = |name: &str| row(&snapshots, "db_snapshot_identifier", name)["is_public"].clone();
    assert_eq!((public("kept"), public("shared")), (json!(false), json!(true)));
    let clusters = rows_of(&inventory, "aws_rds_db_cluster_snapshot");
    let cluster = row(&clusters, "db_cluster_snapshot_identifier", "kept");
    assert_eq!(cluster["is_public"], false);
    assert!(text(cluster, "db_cluster_snapshot_attributes").contains("210987654321"), "{cluster}");
}

// matrix: aws_elb: happy
// matrix: aws_elb: kill-before-ack: the refresh of every provider is the engine's, whose tests kill `host`
// matrix: aws_elb: kill-after-ack: the refresh of every provider is the engine's, whose tests kill `host`
#[test]
fn load_balancers_of_all_types_are_read_page_by_page() {
    let Some(front) = is_read("aws_elb") else { return };
    assert!(REGIONS.iter().all(|region| front.count("DescribeInstanceHealth", region) == 7 * 2 * 2));
    targets_are_alone("aws_elb");
}

// matrix: aws_elb: malformed
// matrix: aws_elb: disconnect: a call without an answer is tried again, then its scope has failed until the next refresh
#[test]
fn what_may_not_be_read_of_load_balancers_is_null_or_the_matter_of_its_table() {
    let columns = ["load_balancer_attributes", "deletion_protection_enabled", "request_count", "error_rate", "tags"];
    let refused = &["GetMetricData", "GetMetricStatistics", "DescribeLoadBalancerAttributes", "DescribeTags"];
    rows_come_without("aws_elb", refused, "aws_ec2_application_load_balancer", &columns);
    rows_come_without(
        "aws_elb",
        refused,
        "aws_ec2_classic_load_balancer",
        &["access_log_enabled", "request_count", "tags"],
    );
    fails_alone("aws_elb", "DescribeTargetGroups", "aws_ec2_target_group");
}

#[test]
fn load_balancers_say_what_they_do_and_how_healthy_what_is_behind_them_is() {
    let Some(moto) = moto() else { return };
    let inventory = Inventory::of("aws_elb", &format!("http://{moto}"), &everything("aws_elb"));
    let balancers = rows_of(&inventory, "aws_ec2_application_load_balancer");
    let web = row(&balancers, "name", "web-0");
    assert_eq!((&web["request_count"], &web["error_rate"]), (&json!(123), &json!(5)));
    assert_eq!(
        (&web["deletion_protection_enabled"], &web["drop_invalid_header_fields_enabled"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (&web["state_code"], &web["type"], &web["tags"]["env"]),
        (&json!("active"), &json!("application"), &json!("test"))
    );
    let quiet = row(&balancers, "name", "web-1");
    assert_eq!((&quiet["request_count"], &quiet["deletion_protection_enabled"]), (&json!(0), &json!(false)));
    assert_eq!(rows_of(&inventory, "aws_ec2_gateway_load_balancer")[0].get("load_balancer_attributes"), None);
    let listeners = rows_of(&inventory, "aws_ec2_load_balancer_listener");
    let redirecting = listeners.iter().find(|listener| listener["port"] == 80).unwrap();
    assert_eq!(redirecting["default_action_types"], json!(["redirect"]));
    assert_eq!(redirecting["default_redirect_protocol"], "HTTPS");
    let target = &rows_of(&inventory, TARGETS)[0];
    assert!(text(target, "target_id").starts_with("i-") && !text(target, "state").is_empty(), "{target}");
    let old = rows_of(&inventory, "aws_ec2_classic_load_balancer");
    let logged = row(&old, "name", "old-0");
    assert_eq!(
        (&logged["access_log_enabled"], &logged["request_count"], &logged["error_rate"]),
        (&json!(true), &json!(7), &json!(0))
    );
    let behind = rows_of(&inventory, "aws_ec2_classic_load_balancer_instance");
    assert_eq!((behind.len(), &behind[0]["load_balancer_name"]), (1, &json!("old-0")));
    assert_eq!(behind[0]["state"], "InService");
    let ports = rows_of(&inventory, "aws_ec2_classic_load_balancer_listener");
    assert_eq!(ports.len(), 14);
}

// matrix: aws_efs: happy
// matrix: aws_efs: kill-before-ack: the refresh of every provider is the engine's, whose tests kill `host`
// matrix: aws_efs: kill-after-ack: the refresh of every provider is the engine's, whose tests kill `host`
#[test]
fn file_systems_and_where_they_are_mounted_are_read_page_by_page() {
    let Some(front) = is_read("aws_efs") else { return };
    // Two pages, for each of two tables, in two accounts, looked at twice.
    let asked = |region| front.count("GET /2015-02-01/file-systems", region);
    assert!(REGIONS.iter().all(|region| asked(region) == 2 * 2 * 2 * 2));
    targets_are_alone("aws_efs");
}

// matrix: aws_efs: malformed
// matrix: aws_efs: disconnect: a call without an answer is tried again, then its scope has failed until the next refresh
#[test]
fn what_may_not_be_read_of_file_systems_is_null_or_the_matter_of_its_table() {
    let columns = ["automatic_backups", "policy", "percent_io_limit"];
    rows_come_without(
        "aws_efs",
        &["GetMetricData", "GetMetricStatistics", "/policy", "/backup-policy"],
        "aws_efs_file_system",
        &columns,
    );
    fails_alone("aws_efs", "GET /2015-02-01/mount-targets", "aws_efs_mount_target");
}

#[test]
fn file_systems_say_how_near_they_are_to_their_limit_and_what_is_set_of_them() {
    let Some(moto) = moto() else { return };
    let inventory = Inventory::of("aws_efs", &format!("http://{moto}"), &everything("aws_efs"));
    let systems = rows_of(&inventory, "aws_efs_file_system");
    let used = row(&systems, "creation_token", "files-0");
    assert_eq!((&used["percent_io_limit"], &used["automatic_backups"]), (&json!(81.5), &json!("enabled")));
    assert!(text(used, "policy").contains("ClientMount") && !text(used, "raw").contains("SizeInBytes"), "{used}");
    assert_eq!((&used["number_of_mount_targets"], &used["encrypted"]), (&json!(1), &json!(true)));
    let other = row(&systems, "creation_token", "files-1");
    assert_eq!((other.get("percent_io_limit"), other.get("policy")), (None, None));
    assert_eq!(other["automatic_backups"], "disabled");
    let target = &rows_of(&inventory, "aws_efs_mount_target")[0];
    assert_eq!(target["file_system_id"], used["file_system_id"]);
    assert!(target["security_groups"][0].as_str().unwrap().starts_with("sg-"), "{target}");
}

// matrix: aws_route53: happy
// matrix: aws_route53: kill-before-ack: the refresh of every provider is the engine's, whose tests kill `host`
// matrix: aws_route53: kill-after-ack: the refresh of every provider is the engine's, whose tests kill `host`
#[test]
fn zones_their_records_and_health_checks_are_read_once_in_an_account() {
    let Some(front) = is_read("aws_route53") else { return };
    assert_eq!(front.count("GET /2013-04-01/hostedzone", REGIONS[1]), 0);
    // Nine zones in pages of five, for two tables, in two accounts, looked at twice.
    assert_eq!(front.count("GET /2013-04-01/hostedzone", REGIONS[0]), 2 * 2 * 2 * 2);
    targets_are_alone("aws_route53");
}

// matrix: aws_route53: malformed
// matrix: aws_route53: disconnect: a call without an answer is tried again, then its scope has failed until the next refresh
#[test]
fn what_may_not_be_read_of_zones_is_null_or_the_matter_of_its_table() {
    let columns = ["vpcs", "name_servers", "query_logging_enabled", "tags"];
    rows_come_without_details(&columns);
    fails_alone("aws_route53", "GET /2013-04-01/healthcheck", "aws_route53_health_check");
}

/// Of zones three calls are refused, whose paths have ids in them.
fn rows_come_without_details(columns: &[&str]) {
    let Some(moto) = moto() else { return };
    let front = Front::start(&moto);
    front.answer(|asked| {
        let refused = ["/hostedzone/", "/queryloggingconfig", "/tags/"];
        refused.iter().any(|part| asked.action.contains(part)).then(|| denied(&asked.action))
    });
    let zones = rows_of(&Inventory::of("aws_route53", &front.endpoint, &everything("aws_route53")), "aws_route53_zone");
    assert_eq!(zones.len(), 9);
    for column in columns {
        assert!(zones.iter().all(|row| row.get(*column).is_none()), "{column}: {zones:?}");
    }
}

#[test]
fn zones_and_records_say_who_answers_what() {
    let Some(moto) = moto() else { return };
    let inventory = Inventory::of("aws_route53", &format!("http://{moto}"), &everything("aws_route53"));
    let zones = rows_of(&inventory, "aws_route53_zone");
    let public = row(&zones, "name", "example.com.");
    assert_eq!((&public["private_zone"], &public["query_logging_enabled"]), (&json!(false), &json!(true)));
    assert_eq!((&public["tags"]["env"], &public["vpcs"]), (&json!("test"), &json!([])));
    assert!(!public["name_servers"].as_array().unwrap().is_empty(), "{public}");
    let private = row(&zones, "name", "internal.example.");
    assert_eq!((&private["private_zone"], &private["query_logging_enabled"]), (&json!(true), &json!(false)));
    assert!(private["vpcs"][0].as_str().unwrap().starts_with("vpc-"), "{private}");
    let records = rows_of(&inventory, "aws_route53_record");
    let of_public: Vec<&Value> = records.iter().filter(|record| record["zone_id"] == public["id"]).collect();
    // Fourteen hosts, two that are weighed, an alias, and what every zone has.
    assert_eq!(of_public.len(), 14 + 2 + 1 + 2);
    assert_eq!(public["resource_record_set_count"], of_public.len());
    let alias = row(&records, "name", "www.example.com.");
    assert_eq!((&alias["alias_target_evaluate_target_health"], &alias["records"]), (&json!(true), &json!([])));
    let east = row(&records, "set_identifier", "east");
    assert_eq!((&east["weight"], &east["records"]), (&json!(10), &json!(["203.0.113.99"])));
    let checks = rows_of(&inventory, "aws_route53_health_check");
    assert_eq!(checks.len(), 2);
    let checked = row(&checks, "id", text(east, "health_check_id"));
    assert_eq!((&checked["ip_address"], &checked["failure_threshold"]), (&json!("203.0.113.7"), &json!(3)));
    assert_eq!((&checked["tags"]["env"], &checked["inverted"]), (&json!("test"), &json!(false)));
}

/// A pipeline over all four kinds, in one region of one account.
const PIPELINE: &str = "version: 1\nname: p\nsources:\n  \
    databases: {aws_rds: {regions: [us-east-1], hydrate: [aws_rds_db_instance.storage_utilization]}}\n  \
    balancers: {aws_elb: {regions: [us-east-1], hydrate: [aws_ec2_classic_load_balancer_instance.state, \
    aws_ec2_target_group_target, aws_ec2_application_load_balancer.request_count]}}\n  \
    files: {aws_efs: {regions: [us-east-1]}}\n  names: {aws_route53: {}}\nsinks:\n  \
    rds: {from: databases.aws_rds_db_instance, drop: {}}\n  \
    elb: {from: balancers.aws_ec2_target_group, drop: {}}\n  \
    efs: {from: files.aws_efs_file_system, drop: {}}\n  route53: {from: names.aws_route53_zone, drop: {}}\n";

#[test]
fn what_opsbox_calls_them_is_there_after_a_run_and_a_second_run_changes_nothing() {
    let Some(moto) = moto() else { return };
    let folder = Folder::with(&[("p.yaml", PIPELINE)]);
    let endpoint = format!("http://{moto}");
    let run = |arguments: &[&str]| Done::of(&mut program(&folder, &endpoint, arguments)).code(0);
    let _ = run(&["run", "p.yaml", "--once"]);
    let unchanged = ["databases (aws_rds): 0 rows", "balancers (aws_elb): 0 rows", "files (aws_efs): 0 rows"];
    let _ = run(&["run", "p.yaml", "--once"]).said(&unchanged).said(&["names (aws_route53): 0 rows"]);
    let query = |sql: &str| -> Value {
        serde_json::from_str(&run(&["query", "p.yaml", sql, "--format", "json"]).stdout).expect("JSON")
    };
    let numbers = query(
        "select (select count(*) from rds_instances where \"StorageUtilization\" > 70) as busy, \
         (select count(*) from rds_snapshots where \"SnapshotCreateTime\" is not null) as snapshots, \
         (select count(*) from efss) as files, (select count(*) from hosted_zones where private_zone) as private, \
         (select count(*) from records where type = 'A') as records, (select count(*) from health_checks) as checks",
    );
    assert_eq!(numbers, json!([{"busy": 1, "snapshots": 25, "files": 7, "private": 1, "records": 17, "checks": 2}]));
    let balancers = query(
        "select \"Type\" as kind, count(*) as number, max(\"RequestCount\") as requests, \
         min(array_to_string(\"InstanceHealth\", ' ')) as health from elbs group by 1 order by 1",
    );
    assert_eq!(balancers[0]["kind"], "application");
    assert_eq!((&balancers[0]["number"], &balancers[0]["requests"]), (&json!(7), &json!(123)));
    assert_eq!((&balancers[1]["kind"], &balancers[1]["health"]), (&json!("classic"), &json!("InService")));
    assert_eq!((&balancers[2]["kind"], &balancers[3]["kind"]), (&json!("gateway"), &json!("network")));
}
