//! A made account: the pack, the tables, and rows for the tables that its core reads most.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use tidegate_operators::check::pack::{Pack, PackFiles};
use tidegate_pipeline::table::TableDefinition;

use super::Outcome;

const ACCOUNT: &str = "123456789012";
const REGIONS: [&str; 4] = ["eu-west-1", "eu-central-1", "us-east-1", "us-west-2"];
/// 2026-01-01T00:00:00Z, in ms.
pub(crate) const NOW: i64 = 1_767_225_600_000;
const DAY: i64 = 86_400_000;

/// The core: controls over EC2 and CloudWatch alone.
pub(crate) const CORE: [&str; 42] = [
    "sg_ingress_ssh_world",
    "sg_ingress_rdp_world",
    "sg_ingress_all_ports_world",
    "sg_ingress_common_ports_world",
    "sg_ingress_admin_ports_ipv4",
    "sg_ingress_admin_ports_ipv6",
    "sg_ingress_cifs_world",
    "sg_ingress_unauthorised_ports",
    "sg_ingress_db_ports_world",
    "sg_default_closed",
    "sg_unused",
    "sg_from_launch_wizard",
    "nacl_admin_ports_world",
    "nacl_unused",
    "vpc_flow_logs_enabled",
    "subnet_no_auto_public_ip",
    "route_table_igw_restricted",
    "igw_attached_authorised_vpc",
    "peering_routes_least_privilege",
    "vpc_endpoint_for_ec2",
    "eip_associated",
    "eni_unused",
    "ebs_volume_encrypted",
    "ebs_default_encryption",
    "ebs_snapshot_not_public",
    "ebs_snapshot_encrypted",
    "ebs_volume_attached",
    "ebs_volume_has_snapshot",
    "ebs_snapshot_old",
    "ebs_delete_on_termination",
    "ec2_imdsv2_required",
    "ec2_no_public_ip",
    "ec2_in_vpc",
    "ec2_instance_profile_attached",
    "ec2_stopped_30_days",
    "ec2_older_than_180_days",
    "ec2_ebs_optimized",
    "ec2_detailed_monitoring",
    "ec2_single_eni",
    "ec2_no_paravirtual",
    "ec2_idle",
    "ami_not_public",
];

/// The files of the pack.
pub(crate) fn files() -> Outcome<PackFiles> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/aws");
    Ok(PackFiles::from_directory(&folder, "aws")?)
}

/// The pack.
pub(crate) fn pack() -> Outcome<Pack> {
    let (pack, problems) = Pack::load(&files()?, "aws");
    if problems.is_empty() { Ok(pack) } else { Err(format!("{problems:?}").into()) }
}

/// Every table of the providers of AWS.
pub(crate) fn definitions() -> Vec<TableDefinition> {
    let kinds = tidegate_aws::sources();
    kinds.iter().filter_map(|kind| kind.provider()).flat_map(|provider| provider.tables()).collect()
}

/// `rows` rows of instances, volumes and rules, with a group for every ten rules; other tables are empty.
pub(crate) fn rows_of(definition: &TableDefinition, rows: usize) -> Outcome<RecordBatch> {
    let rows = match &*definition.name {
        "aws_ec2_instance" | "aws_ebs_volume" | "aws_vpc_security_group_rule" => rows,
        "aws_vpc_security_group" => rows / 10,
        "aws_vpc" => REGIONS.len(),
        _ => 0,
    };
    let column = |field: &Arc<arrow::datatypes::Field>| -> Outcome<ArrayRef> {
        match value(&definition.name, field.name(), rows) {
            Some(made) => Ok(cast(&made, field.data_type())?),
            None => Ok(filler(field.data_type(), field.is_nullable(), rows)),
        }
    };
    let columns = definition.schema.fields().iter().map(column).collect::<Outcome<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(&definition.schema), columns)?)
}

/// NULL, or empty text where a column is never NULL.
fn filler(data_type: &DataType, nullable: bool, rows: usize) -> ArrayRef {
    match data_type {
        DataType::Utf8 if !nullable => texts(rows, |_| String::new()),
        DataType::Boolean if !nullable => flags(rows, |_| false),
        other => new_null_array(other, rows),
    }
}

fn texts(rows: usize, text: impl Fn(usize) -> String) -> ArrayRef {
    Arc::new((0..rows).map(|row| Some(text(row))).collect::<StringArray>())
}

fn flags(rows: usize, flag: impl Fn(usize) -> bool) -> ArrayRef {
    Arc::new((0..rows).map(|row| Some(flag(row))).collect::<BooleanArray>())
}

fn numbers(rows: usize, number: impl Fn(usize) -> Option<i64>) -> ArrayRef {
    Arc::new((0..rows).map(number).collect::<Int64Array>())
}

/// Days ago.
fn times(rows: usize, days: impl Fn(usize) -> i64) -> ArrayRef {
    Arc::new((0..rows).map(|row| Some(NOW - days(row) * DAY)).collect::<TimestampMillisecondArray>())
}

fn region(row: usize) -> &'static str {
    REGIONS[row % REGIONS.len()]
}

/// What is in a column, where it matters: about one resource in twenty is not as it should be.
fn value(table: &str, column: &str, rows: usize) -> Option<ArrayRef> {
    let bad = |row: usize| row % 20 == 7;
    let id = |prefix: &'static str| move |row: usize| format!("{prefix}-{row:017x}");
    let arn = |sort: &'static str, prefix: &'static str| {
        move |row: usize| format!("arn:aws:ec2:{}:{ACCOUNT}:{sort}/{}", region(row), id(prefix)(row))
    };
    let group = |row: usize| row / 10;
    Some(match (table, column) {
        (_, "account_id" | "owner_id") => texts(rows, |_| ACCOUNT.to_owned()),
        ("aws_vpc_security_group_rule", "region") => texts(rows, |row| region(group(row)).to_owned()),
        (_, "region") => texts(rows, |row| region(row).to_owned()),
        ("aws_vpc", "vpc_id") => texts(rows, id("vpc")),
        ("aws_vpc", "arn") => texts(rows, arn("vpc", "vpc")),
        ("aws_ec2_instance", "instance_id") => texts(rows, id("i")),
        ("aws_ec2_instance", "arn") => texts(rows, arn("instance", "i")),
        ("aws_ec2_instance", "instance_state") => {
            texts(rows, |row| if bad(row) { "stopped" } else { "running" }.to_owned())
        }
        ("aws_ec2_instance", "metadata_http_tokens") => {
            texts(rows, |row| if bad(row) { "optional" } else { "required" }.to_owned())
        }
        ("aws_ec2_instance", "metadata_http_endpoint") => texts(rows, |_| "enabled".to_owned()),
        ("aws_ec2_instance", "vpc_id") => texts(rows, |row| id("vpc")(row % REGIONS.len())),
        ("aws_ec2_instance", "iam_instance_profile_arn") => {
            texts(rows, |row| format!("arn:aws:iam::{ACCOUNT}:instance-profile/p{}", row % 50))
        }
        ("aws_ec2_instance", "launch_time") => times(rows, |row| (row % 170) as i64 + i64::from(bad(row)) * 100),
        ("aws_ec2_instance", "state_transition_time") => times(rows, |row| (row % 60) as i64),
        ("aws_ec2_instance", "ebs_optimized") => flags(rows, |row| !bad(row)),
        ("aws_ec2_instance", "monitoring_state") => {
            texts(rows, |row| if bad(row) { "disabled" } else { "enabled" }.to_owned())
        }
        ("aws_ec2_instance", "virtualization_type") => texts(rows, |_| "hvm".to_owned()),
        ("aws_ebs_volume", "volume_id") => texts(rows, id("vol")),
        ("aws_ebs_volume", "arn") => texts(rows, arn("volume", "vol")),
        ("aws_ebs_volume", "state") => texts(rows, |row| if row % 50 == 3 { "available" } else { "in-use" }.to_owned()),
        ("aws_ebs_volume", "encrypted") => flags(rows, |row| !bad(row)),
        ("aws_ebs_volume", "size") => numbers(rows, |row| Some((row % 500) as i64)),
        ("aws_vpc_security_group", "group_id") => texts(rows, id("sg")),
        ("aws_vpc_security_group", "arn") => texts(rows, arn("security-group", "sg")),
        ("aws_vpc_security_group", "group_name") => texts(rows, |row| format!("group-{row}")),
        ("aws_vpc_security_group", "vpc_id") => texts(rows, |row| id("vpc")(row % REGIONS.len())),
        ("aws_vpc_security_group_rule", "security_group_rule_id") => texts(rows, id("sgr")),
        ("aws_vpc_security_group_rule", "arn") => texts(rows, arn("security-group-rule", "sgr")),
        ("aws_vpc_security_group_rule", "group_id") => texts(rows, |row| id("sg")(group(row))),
        ("aws_vpc_security_group_rule", "type") => {
            texts(rows, |row| if row % 10 == 9 { "egress" } else { "ingress" }.to_owned())
        }
        ("aws_vpc_security_group_rule", "is_egress") => flags(rows, |row| row % 10 == 9),
        ("aws_vpc_security_group_rule", "ip_protocol") => {
            texts(rows, |row| if row % 97 == 0 { "-1" } else { "tcp" }.to_owned())
        }
        ("aws_vpc_security_group_rule", "from_port" | "to_port") => {
            numbers(rows, |row| (row % 97 != 0).then_some([22, 80, 443, 3306, 8080][row % 5]))
        }
        ("aws_vpc_security_group_rule", "cidr_ipv4") => {
            texts(rows, |row| if row % 200 == 5 { "0.0.0.0/0".to_owned() } else { format!("10.{}.0.0/16", row % 256) })
        }
        _ => return None,
    })
}
