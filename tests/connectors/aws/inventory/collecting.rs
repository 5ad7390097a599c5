//! What is collected, listing by listing.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate_pipeline::provider::{Collected, Extent};
use tidegate_pipeline::step::ScopeOutcome;

use super::front::Front;
use super::reading::{Lacks, every_table_is_read, rows_of, targets_are_read_alone, text};
use super::{ACCOUNTS, Inventory, REGIONS, moto};

/// Tables of which moto never has anything, or that are read only where options name them.
const EMPTY: [&str; 2] = ["aws_ec2_instance_metric", "aws_vpc_vpn_tunnel"];
/// Tables whose calls moto does not know.
const UNKNOWN: [&str; 2] = ["aws_backup_protected_resource", "aws_ssm_managed_instance"];
/// Tables whose rows are made of several answers.
const MADE: [&str; 1] = ["aws_ec2_regional_settings"];
const DENIED: &str = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized.\
                      </Message></Error></Errors></Response>";

// matrix: aws_ec2: happy
// matrix: aws_ec2: kill-before-ack: the refresh of every provider is the engine's, whose tests kill `host`
// matrix: aws_ec2: kill-after-ack: the refresh of every provider is the engine's, whose tests kill `host`
#[test]
fn every_table_of_both_accounts_and_regions_is_read_to_the_end_page_by_page() {
    let Some(moto) = moto() else { return };
    let front = Front::start(&moto);
    let inventory = Inventory::at(&front.endpoint);
    let groups = inventory.groups();
    let places: BTreeSet<(&str, &str)> = groups.iter().map(|group| (&*group.account_id, &*group.region)).collect();
    let expected =
        ACCOUNTS.iter().flat_map(|account| ["global", REGIONS[0], REGIONS[1]].map(|region| (*account, region)));
    assert_eq!(places, expected.collect());
    every_table_is_read(&inventory, Lacks { empty: &EMPTY, unknown: &UNKNOWN, made: &MADE });
    // Twelve instances, each started by itself, in pages of five, in two accounts, looked at twice.
    assert!(REGIONS.iter().all(|region| front.count("DescribeInstances", region) == 12));
}

#[test]
fn of_targets_exactly_those_rows_are_read_that_are_theirs() {
    let Some(moto) = moto() else { return };
    targets_are_read_alone(&Inventory::at(&Front::start(&moto).endpoint));
}

// matrix: aws_ec2: malformed
// matrix: aws_ec2: disconnect: a call without an answer is tried again, then its scope has failed until the next refresh
#[test]
fn a_call_that_is_refused_or_not_offered_is_the_matter_of_its_own_tables() {
    let Some(moto) = moto() else { return };
    let front = Front::start(&moto);
    front.answer(|asked| match asked.action.as_str() {
        "DescribeFlowLogs" => Some((404, "text/html; charset=utf-8", "<!doctype html><h1>Not Found</h1>")),
        "DescribeNetworkAcls" => Some((403, "text/xml", DENIED)),
        "DescribeInstances" if asked.goes_on => Some((403, "text/xml", DENIED)),
        _ => None,
    });
    let inventory = Inventory::at(&front.endpoint);
    let groups = inventory.groups();
    for group in groups.iter().filter(|group| *group.account_id == *ACCOUNTS[0] && *group.region == *REGIONS[0]) {
        let (rows, collected) = inventory.collect(group, &Extent::Whole);
        let said = format!("{collected:?}");
        match &*group.tables[0] {
            "aws_vpc_flow_log" => assert!(
                matches!(collected.of("aws_vpc_flow_log"), ScopeOutcome::Skipped(why) if why.contains("list the flow logs")),
                "{said}"
            ),
            "aws_vpc_network_acl" => {
                assert!(said.contains("may not do that") && said.contains("UnauthorizedOperation"), "{said}");
                assert!(matches!(collected.of("aws_vpc_network_acl_entry"), ScopeOutcome::Failed(_)), "{said}");
            }
            "aws_ec2_instance" => {
                // What came before stays; that it was not all is said.
                assert_eq!(rows["aws_ec2_instance"].len(), 5);
                assert!(matches!(collected.of("aws_ec2_instance"), ScopeOutcome::Failed(_)), "{said}");
            }
            table if UNKNOWN.contains(&table) => assert!(said.contains("is not offered here"), "{said}"),
            _ => assert_eq!(collected, Collected::complete(), "{group}"),
        }
    }
}

#[test]
fn the_rules_of_groups_are_what_their_permissions_say() {
    let Some(moto) = moto() else { return };
    let inventory = Inventory::at(&format!("http://{moto}"));
    let groups = inventory.groups();
    let group = groups.iter().find(|group| &*group.tables[0] == "aws_vpc_security_group").expect("it is listed");
    let rows = inventory.collect(group, &Extent::Whole).0;
    let of = |name: &str| -> BTreeSet<String> {
        let rules = rows["aws_vpc_security_group_rule"].iter().filter(|rule| text(rule, "group_name") == name);
        rules.map(|rule| text(rule, "security_group_rule_id").to_owned()).collect()
    };
    let web = of("web");
    for rule in ["ingress:tcp:20-25:0.0.0.0/0", "ingress:tcp:20-25:::/0", "egress:-1:all:0.0.0.0/0"] {
        assert!(web.contains(rule), "{web:?}");
    }
    assert!(web.iter().any(|rule| rule.starts_with("ingress:tcp:443-443:pl-")), "{web:?}");
    assert_eq!(web.len(), 6, "{web:?}");
    let account = &group.account_id;
    let members = of("internal").into_iter().filter(|rule| rule.starts_with(&format!("ingress:-1:all:{account}/sg-")));
    assert_eq!(members.count(), 2);
}

#[test]
fn what_only_some_snapshots_templates_and_regions_are_is_said_of_those() {
    let Some(moto) = moto() else { return };
    let inventory = Inventory::at(&format!("http://{moto}"));
    let snapshots = rows_of(&inventory, "aws_ebs_snapshot");
    let public: Vec<&str> =
        snapshots.iter().filter(|row| row["is_public"] == true).map(|row| text(row, "description")).collect();
    assert_eq!(public, ["shared"]);
    assert!(snapshots.iter().all(|row| row["is_public"].is_boolean() && text(row, "owner_id") == ACCOUNTS[0]));
    let templates = rows_of(&inventory, "aws_ec2_launch_template");
    assert_eq!(templates[0]["metadata_http_tokens"], "required");
    let settings = rows_of(&inventory, "aws_ec2_regional_settings");
    assert_eq!(settings[0]["default_ebs_encryption_enabled"], false);
    assert_eq!(settings[0].get("snapshot_block_public_access_state"), None);
}

#[test]
fn what_options_name_is_read_of_instances_too() {
    let Some(moto) = moto() else { return };
    let columns = ["avg_cpu_utilization", "disable_api_termination", "user_data"];
    let inventory = Inventory::with(&format!("http://{moto}"), &columns.map(|name| format!("aws_ec2_instance.{name}")));
    let instances = rows_of(&inventory, "aws_ec2_instance");
    let busy: Vec<&Value> = instances.iter().filter(|row| row["cpu_datapoints"] != 0).collect();
    assert_eq!(busy.len(), 1);
    assert_eq!((&busy[0]["avg_cpu_utilization"], &busy[0]["cpu_datapoints"]), (&json!(4.0), &json!(3)));
    assert_eq!(busy[0]["disable_api_termination"], true);
    assert!(instances.iter().all(|row| row["user_data"] == "#!/bin/sh\n"));
    assert_eq!(instances.iter().filter(|row| row["disable_api_termination"] == true).count(), 1);
}
