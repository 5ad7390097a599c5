//! The checks of OpsBox in SQL and in Rego say the same, whatever the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::json::ReaderBuilder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use tidegate_pipeline::table::TableDefinition;

use super::super::super::evaluate::{Evaluator, Interest, TableContents};
use super::super::super::finding::Status;
use super::super::super::pack::{Pack, PackFiles};
use super::super::super::plan::{Overrides, PlannedPack, Selection};
use super::super::{Contents, MEMORY, TIME};

/// What is in a column: NULL too, unless it says otherwise.
#[derive(Clone, Copy)]
enum Column {
    /// Another text in each row, with this before its number; never NULL.
    Id(&'static str),
    /// One of these; never NULL.
    One(&'static [&'static str]),
    Text(&'static [&'static str]),
    Int(&'static [i64]),
    Float(&'static [f64]),
    Truth,
    /// Around so many days ago.
    Moment(i64),
    /// Some of these.
    Texts(&'static [&'static str]),
}

use Column::{Float, Id, Int, Moment, One, Text, Texts, Truth};

const ACCOUNTS: &[&str] = &["111111111111", "222222222222"];
const REGIONS: &[&str] = &["eu-west-1", "us-east-1"];
const NAMES: &[&str] = &["n0", "n1"];
const BUCKETS: &[&str] = &["b0", "b1", "b2"];
const USES: &[i64] = &[0, 1, 100];
const STATES: &[&str] = &["active", "active_impaired", "failed", "provisioning"];
const CPU: &[f64] = &[0.0, 0.99, 1.0, 4.99, 5.0, 19.99, 20.0, 50.0];
const HOURS: &[i64] = &[0, 23, 24, 168];
const CLASSES: &[&str] = &["STANDARD", "GLACIER", "STANDARD_IA", "MIXED"];
const BALANCERS: &[&str] = &[
    "arn:aws_ec2_application_load_balancer/0",
    "arn:aws_ec2_application_load_balancer/1",
    "arn:aws_ec2_network_load_balancer/0",
    "arn:aws_ec2_gateway_load_balancer/0",
];

/// The tables that the checks read, with the columns that they look at.
const TABLES: &[(&str, &[(&str, Column)])] = &[
    (
        "aws_ec2_instance",
        &[
            ("instance_id", Id("i")),
            ("instance_type", Text(&["t3.micro"])),
            ("instance_state", Text(&["running", "running", "stopped", "terminated", "shutting-down"])),
            ("avg_cpu_utilization", Float(CPU)),
            ("cpu_datapoints", Int(HOURS)),
        ],
    ),
    (
        "aws_ebs_volume",
        &[("volume_id", Id("v")), ("state", Text(&["in-use", "available", "error", "creating"])), ("size", Int(&[8]))],
    ),
    (
        "aws_vpc_eip",
        &[
            ("allocation_id", Id("e")),
            ("public_ip", Text(&["192.0.2.1"])),
            ("association_id", Text(&["", "a"])),
            ("instance_id", Text(&["", "i"])),
            ("network_interface_id", Text(&["", "n"])),
            ("service_managed", Text(&["", "alb"])),
        ],
    ),
    ("aws_ebs_snapshot", &[("snapshot_id", Id("s")), ("volume_id", Text(&["v"])), ("start_time", Moment(90))]),
    (
        "aws_efs_file_system",
        &[
            ("file_system_id", Id("fs")),
            ("name", Text(&["", "n"])),
            ("life_cycle_state", Text(&["available", "available", "deleting", "deleted"])),
            ("performance_mode", Text(&["generalPurpose", "maxIO"])),
            ("percent_io_limit", Float(&[59.9, 60.0, 60.1])),
        ],
    ),
    (
        "aws_ec2_application_load_balancer",
        &[
            ("name", Text(NAMES)),
            ("error_rate", Int(USES)),
            ("state_code", Text(STATES)),
            ("state_reason", Text(&["full."])),
            ("created_time", Moment(1)),
            ("request_count", Int(USES)),
        ],
    ),
    (
        "aws_ec2_network_load_balancer",
        &[
            ("name", Text(NAMES)),
            ("state_code", Text(STATES)),
            ("state_reason", Text(&["full."])),
            ("created_time", Moment(1)),
            ("new_flow_count", Int(USES)),
        ],
    ),
    (
        "aws_ec2_gateway_load_balancer",
        &[
            ("name", Text(NAMES)),
            ("state_code", Text(STATES)),
            ("state_reason", Text(&["full."])),
            ("created_time", Moment(1)),
            ("new_flow_count", Int(USES)),
        ],
    ),
    (
        "aws_ec2_classic_load_balancer",
        &[("name", Text(NAMES)), ("error_rate", Int(USES)), ("created_time", Moment(1)), ("request_count", Int(USES))],
    ),
    ("aws_ec2_target_group", &[("target_group_arn", Id("tg")), ("load_balancer_arns", Texts(BALANCERS))]),
    (
        "aws_ec2_target_group_target",
        &[
            ("target_group_arn", One(&["tg-0", "tg-1", "tg-2"])),
            ("target_id", Id("t")),
            ("state", Text(&["healthy", "initial", "unavailable", "unhealthy", "draining"])),
        ],
    ),
    (
        "aws_ec2_classic_load_balancer_instance",
        &[
            ("load_balancer_name", One(NAMES)),
            ("instance_id", Id("i")),
            ("state", Text(&["InService", "OutOfService", "Unknown"])),
        ],
    ),
    ("aws_iam_user", &[("name", Id("u")), ("console_access", Truth), ("mfa_enabled", Truth)]),
    (
        "aws_iam_credential_report",
        &[
            ("user_name", Text(&["<root_account>", "ann", "bob"])),
            ("access_key_1_active", Truth),
            ("access_key_1_last_rotated", Moment(90)),
            ("access_key_2_active", Truth),
            ("access_key_2_last_rotated", Moment(90)),
        ],
    ),
    (
        "aws_iam_policy",
        &[
            ("name", Text(&["p"])),
            ("is_aws_managed", Truth),
            ("attachment_count", Int(&[0, 1, 5])),
            ("permissions_boundary_usage_count", Int(&[0, 0, 1])),
        ],
    ),
    (
        "aws_route53_zone",
        &[
            ("id", Id("z")),
            ("name", Text(&["example.org."])),
            ("linked_service_principal", Text(&["x.amazonaws.com"])),
            ("resource_record_set_count", Int(&[1, 2, 3, 10])),
        ],
    ),
    (
        "aws_rds_db_instance",
        &[
            ("db_instance_identifier", Id("db")),
            ("class", Text(&["db.t4g.micro"])),
            ("status", Text(&["available", "available", "deleting", "stopped"])),
            ("db_cluster_identifier", Text(&["c"])),
            ("avg_cpu_utilization", Float(CPU)),
            ("cpu_datapoints", Int(HOURS)),
            ("storage_utilization", Float(&[39.9, 40.0, 41.0])),
            ("allocated_storage", Int(&[20])),
        ],
    ),
    (
        "aws_rds_db_snapshot",
        &[
            ("db_snapshot_identifier", Id("s")),
            ("db_instance_identifier", Text(&["db-0"])),
            ("type", Text(&["manual", "automated", "awsbackup"])),
            ("create_time", Moment(90)),
        ],
    ),
    (
        "aws_rds_db_cluster_snapshot",
        &[
            ("db_cluster_snapshot_identifier", Id("s")),
            ("db_cluster_identifier", Text(&["c"])),
            ("type", Text(&["manual", "automated", "awsbackup"])),
            ("create_time", Moment(90)),
        ],
    ),
    (
        "aws_s3_bucket_content",
        &[
            ("partition", One(&["aws", "aws-cn"])),
            ("bucket_name", One(BUCKETS)),
            ("objects_listed", Int(&[0, 1, 1000])),
            ("is_truncated", Truth),
            ("storage_class", Text(CLASSES)),
            ("last_modified", Moment(90)),
        ],
    ),
    (
        "aws_s3_object",
        &[
            ("bucket_name", One(BUCKETS)),
            ("key", Id("k")),
            ("storage_class", Text(CLASSES)),
            ("last_modified", Moment(90)),
        ],
    ),
];

impl Column {
    fn data_type(self) -> DataType {
        match self {
            Id(_) | One(_) | Text(_) => DataType::Utf8,
            Int(_) => DataType::Int64,
            Float(_) => DataType::Float64,
            Truth => DataType::Boolean,
            Moment(_) => DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())),
            Texts(_) => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        }
    }

    /// The value that a byte chooses; 0 is NULL, where that may be.
    fn value(self, row: usize, choice: u8) -> Value {
        let pick = |values: &[Value]| {
            let mut all = vec![Value::Null];
            all.extend_from_slice(values);
            all[usize::from(choice) % all.len()].clone()
        };
        match self {
            Id(prefix) => json!(format!("{prefix}-{row}")),
            One(texts) => json!(texts[usize::from(choice) % texts.len()]),
            Text(texts) => pick(&texts.iter().map(|text| json!(text)).collect::<Vec<_>>()),
            Int(numbers) => pick(&numbers.iter().map(|number| json!(number)).collect::<Vec<_>>()),
            Float(numbers) => pick(&numbers.iter().map(|number| json!(number)).collect::<Vec<_>>()),
            Truth => pick(&[json!(true), json!(false)]),
            Moment(days) => {
                let edge = TIME.0 - days * 86_400_000;
                pick(
                    &[edge - 1, edge, edge + 1, TIME.0, TIME.0 + 86_400_000, edge - 400 * 86_400_000]
                        .map(|at| json!(at)),
                )
            }
            Texts(texts) => match choice {
                0 => Value::Null,
                bits => texts
                    .iter()
                    .enumerate()
                    .filter(|(bit, _)| bits >> (bit + 1) & 1 == 1)
                    .map(|(_, text)| json!(text))
                    .collect(),
            },
        }
    }
}

fn definitions() -> Vec<TableDefinition> {
    let leading = ["account_id", "region", "arn"].map(|name| Field::new(name, DataType::Utf8, false));
    let definition = |(name, columns): &(&'static str, &'static [(&'static str, Column)])| {
        let own = columns.iter().map(|(name, column)| Field::new(*name, column.data_type(), true));
        let fields: Vec<Field> = leading.iter().cloned().chain(own).collect();
        TableDefinition::new(*name, "For tests.", Arc::new(Schema::new(fields)), ["arn"])
    };
    TABLES.iter().map(definition).collect()
}

/// The rows that lists of bytes choose.
fn contents(definitions: &[TableDefinition], chosen: &[Vec<Vec<u8>>]) -> Contents {
    let mut contents = Contents::new();
    for (((name, columns), rows), definition) in TABLES.iter().zip(chosen).zip(definitions) {
        let row = |(number, bytes): (usize, &Vec<u8>)| {
            let mut choices = bytes.iter().copied();
            let mut choice = || choices.next().unwrap_or_default();
            let mut row = Map::new();
            row.insert("arn".to_owned(), json!(format!("arn:{name}/{number}")));
            row.insert("account_id".to_owned(), One(ACCOUNTS).value(number, choice()));
            row.insert("region".to_owned(), One(REGIONS).value(number, choice()));
            row.extend(columns.iter().map(|(name, column)| ((*name).to_owned(), column.value(number, choice()))));
            Value::Object(row)
        };
        let rows: Vec<Value> = rows.iter().enumerate().map(row).collect();
        let mut decoder = ReaderBuilder::new(Arc::clone(&definition.schema)).build_decoder().unwrap();
        decoder.serialize(&rows).unwrap();
        let batches = decoder.flush().unwrap().into_iter().collect();
        let table = TableContents::complete(Arc::new(definition.clone()), batches);
        contents.insert(Arc::clone(&definition.name), table);
    }
    contents
}

/// Evaluates the 21 controls of a pack.
fn evaluator(pack: &Pack, ids: &BTreeSet<String>, definitions: &[TableDefinition]) -> Evaluator {
    let selection = Selection { controls: ids.iter().cloned().collect(), ..Selection::default() };
    let (planned, problems) = PlannedPack::plan(pack, definitions, &selection, &Overrides::new(), MEMORY).unwrap();
    assert_eq!((problems.options, problems.queries), (Vec::new(), Vec::new()));
    assert_eq!(planned.controls.len(), ids.len());
    Evaluator::new(planned)
}

/// What is said of each resource.
type Said = BTreeMap<(String, String, Option<String>, Option<String>), Status>;

async fn said(evaluator: &Evaluator, contents: &Contents) -> Said {
    let all: Vec<usize> = (0..evaluator.controls().len()).collect();
    let evaluations = evaluator.evaluate(contents, &all, |_| Interest::All, TIME).await.unwrap();
    let findings = evaluations.into_iter().flat_map(|evaluation| evaluation.findings);
    let text = |text: Option<Arc<str>>| text.map(|text| text.to_string());
    findings
        .map(|found| {
            assert_ne!(found.status, Status::Error, "{}: {}", found.control, found.reason);
            let who =
                (found.control.to_string(), found.resource.to_string(), text(found.account_id), text(found.region));
            (who, found.status)
        })
        .collect()
}

fn pack(folder: &Path, name: &str) -> Pack {
    let (pack, problems) = Pack::load(&PackFiles::from_directory(folder, name).unwrap(), name);
    assert_eq!(problems, []);
    pack
}

#[test]
fn the_checks_of_opsbox_say_the_same_in_sql_and_in_rego_of_any_rows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_sql = pack(&root.join("../queries/aws"), "aws");
    let in_rego = pack(&root.join("src/check/tests/rego/opsbox"), "opsbox");
    let ids: BTreeSet<String> =
        in_sql.benchmark("opsbox").unwrap().node.all_controls().iter().map(ToString::to_string).collect();
    assert_eq!(ids.len(), 21);
    let definitions = definitions();
    let (in_sql, in_rego) = (evaluator(&in_sql, &ids, &definitions), evaluator(&in_rego, &ids, &definitions));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = vec(vec(vec(any::<u8>(), 10), 0..24), TABLES.len());
    let mut runner = TestRunner::deterministic();
    let mut statuses: BTreeMap<String, BTreeSet<Status>> = BTreeMap::new();
    for _ in 0..10 {
        let chosen = rows.new_tree(&mut runner).unwrap().current();
        let contents = contents(&definitions, &chosen);
        let (sql, rego) = runtime.block_on(async { (said(&in_sql, &contents).await, said(&in_rego, &contents).await) });
        let differing: Vec<_> = sql.keys().chain(rego.keys()).filter(|who| sql.get(*who) != rego.get(*who)).collect();
        let shown = differing.iter().map(|who| format!("{who:?}: SQL {:?}, Rego {:?}", sql.get(*who), rego.get(*who)));
        assert_eq!(shown.collect::<Vec<_>>(), [""; 0]);
        for ((control, ..), status) in sql {
            statuses.entry(control).or_default().insert(status);
        }
    }
    // The rows are such that each check has told good from bad.
    assert_eq!(statuses.remove("s3_storage_class_usage"), Some(BTreeSet::from([Status::Info])));
    for (control, told) in &statuses {
        assert!(told.contains(&Status::Alarm) && told.len() > 1, "{control} only says {told:?}");
    }
    assert_eq!(statuses.len(), 20);
}
