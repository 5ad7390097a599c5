//! What moto cannot show of databases.

use serde_json::{Value, json};
use tidegate_pipeline::provider::Extent;

use super::db_instance::DbInstances;
use super::db_instance_load::{AVG_CPU_UTILIZATION, AVG_DATABASE_CONNECTIONS, STORAGE_UTILIZATION};
use super::db_snapshot::{DbSnapshots, IS_PUBLIC};
use crate::testing::{Answer, Asked, StandIn};

fn answer(action: &str, inside: &str) -> Answer {
    (200, format!("<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>"))
}

fn error(status: u16, code: &str) -> Answer {
    (status, format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>"))
}

fn database(name: &str) -> String {
    format!(
        "<DBInstance><DBInstanceIdentifier>{name}</DBInstanceIdentifier><AllocatedStorage>100</AllocatedStorage>\
         <DBInstanceArn>arn:aws:rds:eu-west-1:123456789012:db:{name}</DBInstanceArn>\
         <LatestRestorableTime>2026-01-02T03:04:05Z</LatestRestorableTime><PendingModifiedValues>\
         <MasterUserPassword>****</MasterUserPassword></PendingModifiedValues></DBInstance>"
    )
}

/// Two pages of databases, the second with one.
fn databases(asked: &Asked) -> Answer {
    let (names, next) = match asked.value("Marker") {
        "" => ((0..200).map(|number| format!("db-{number}")).collect(), "<Marker>2</Marker>"),
        _ => (vec!["last".to_owned()], ""),
    };
    let listed: String = names.iter().map(|name| database(name)).collect();
    answer("DescribeDBInstances", &format!("<DBInstances>{listed}</DBInstances>{next}"))
}

/// What was measured of everything: the number of the query, and twice as much before.
fn measured(asked: &Asked) -> Answer {
    let mut results = String::new();
    for number in 1.. {
        let query = |name: &str| asked.value(&format!("MetricDataQueries.member.{number}.{name}"));
        let (values, id) = match (query("MetricStat.Metric.MetricName"), query("Id")) {
            ("", _) => break,
            ("FreeStorageSpace", id) => ([53_687_091_200.0, 10.0], id),
            (_, id) => ([2.0, 4.0], id),
        };
        results.push_str(&format!(
            "<member><Id>{id}</Id><Timestamps><member>2026-01-02T02:00:00Z</member><member>2026-01-02T01:00:00Z</member>\
             </Timestamps><Values><member>{}</member><member>{}</member></Values></member>",
            values[0], values[1]
        ));
    }
    answer("GetMetricData", &format!("<MetricDataResults>{results}</MetricDataResults>"))
}

#[tokio::test]
async fn the_use_of_databases_is_asked_for_in_parts_of_five_hundred_metrics() {
    let server = StandIn::new(|asked| match asked.value("Action") {
        "DescribeDBInstances" => databases(asked),
        _ => measured(asked),
    })
    .await;
    let wanted = [AVG_CPU_UTILIZATION, AVG_DATABASE_CONNECTIONS, STORAGE_UTILIZATION];
    let (rows, outcome) = server.collect_with(&DbInstances::new(), "eu-west-1", Extent::Whole, &wanted).await;
    outcome.unwrap();
    let rows = &rows["aws_rds_db_instance"];
    assert_eq!(rows.len(), 201);
    for row in rows {
        assert_eq!((&row["avg_cpu_utilization"], &row["cpu_datapoints"]), (&json!(3.0), &json!(2)));
        assert_eq!(row["avg_database_connections"], 3.0);
        // The newest hour counts: fifty of a hundred GiB.
        assert_eq!(
            (&row["free_storage_space"], &row["storage_utilization"]),
            (&json!(53_687_091_200_i64), &json!(50.0))
        );
        let raw = row["raw"].as_str().unwrap();
        assert!(!raw.contains("LatestRestorableTime") && !raw.contains("****"), "{raw}");
    }
    let asked = server.asked();
    let queries = |asked: &Asked| asked.values.keys().filter(|name| name.ends_with(".Id")).count();
    let metrics: Vec<usize> =
        asked.iter().filter(|asked| asked.value("Action") == "GetMetricData").map(queries).collect();
    assert_eq!(metrics, [500, 100, 3]);
}

#[tokio::test]
async fn of_storage_that_is_not_known_nothing_is_said() {
    let server = StandIn::new(|asked| match asked.value("Action") {
        "DescribeDBInstances" => {
            let database = "<DBInstance><DBInstanceIdentifier>a</DBInstanceIdentifier><AllocatedStorage>0</AllocatedStorage>\
                            </DBInstance>";
            answer("DescribeDBInstances", &format!("<DBInstances>{database}</DBInstances>"))
        }
        _ => measured(asked),
    })
    .await;
    let (rows, outcome) =
        server.collect_with(&DbInstances::new(), "eu-west-1", Extent::Whole, &[STORAGE_UTILIZATION]).await;
    outcome.unwrap();
    let row = &rows["aws_rds_db_instance"][0];
    assert_eq!((row.get("storage_utilization"), row.get("avg_cpu_utilization")), (None, None));
}

#[tokio::test]
async fn targets_are_asked_for_by_filters_of_at_most_a_hundred_values() {
    let server = StandIn::new(|_| answer("DescribeDBInstances", "<DBInstances/>")).await;
    let ids = (0..150).map(|id| format!("db-{id}").into()).collect();
    server.collect(&DbInstances::new(), "eu-west-1", Extent::Targets(ids)).await.1.unwrap();
    let values = |asked: &Asked| {
        (1..=200).filter(|n| !asked.value(&format!("Filters.Filter.1.Values.Value.{n}")).is_empty()).count()
    };
    assert_eq!(server.asked().iter().map(values).collect::<Vec<_>>(), [100, 50]);
}

fn snapshots(asked: &Asked, shared: impl Fn(&str) -> Answer) -> Answer {
    let snapshot = |name: &str, kind: &str| {
        format!(
            "<DBSnapshot><DBSnapshotIdentifier>{name}</DBSnapshotIdentifier><SnapshotType>{kind}</SnapshotType></DBSnapshot>"
        )
    };
    match asked.value("Action") {
        "DescribeDBSnapshots" => {
            let listed =
                [snapshot("rds:made", "automated"), snapshot("all", "manual"), snapshot("gone", "manual")].concat();
            answer("DescribeDBSnapshots", &format!("<DBSnapshots>{listed}</DBSnapshots>"))
        }
        _ => shared(asked.value("DBSnapshotIdentifier")),
    }
}

async fn shared(server: &StandIn) -> Vec<Value> {
    let (mut rows, outcome) = server.collect_with(&DbSnapshots::new(), "eu-west-1", Extent::Whole, &[IS_PUBLIC]).await;
    outcome.unwrap();
    rows.remove("aws_rds_db_snapshot").unwrap()
}

#[tokio::test]
async fn who_may_restore_a_snapshot_is_asked_of_those_that_can_be_shared() {
    let server = StandIn::new(|asked| {
        snapshots(asked, |id| match id {
            "all" => answer(
                "DescribeDBSnapshotAttributes",
                "<DBSnapshotAttributesResult><DBSnapshotAttributes><DBSnapshotAttribute><AttributeName>restore\
                 </AttributeName><AttributeValues><AttributeValue>all</AttributeValue><AttributeValue>1</AttributeValue>\
                 </AttributeValues></DBSnapshotAttribute></DBSnapshotAttributes></DBSnapshotAttributesResult>",
            ),
            "gone" => error(404, "DBSnapshotNotFound"),
            other => panic!("nobody asks for {other}"),
        })
    })
    .await;
    let rows = shared(&server).await;
    assert_eq!(
        rows.iter().map(|row| row.get("is_public")).collect::<Vec<_>>(),
        [Some(&json!(false)), Some(&json!(true)), None]
    );
    assert_eq!(rows[1]["db_snapshot_attributes"], r#"[{"AttributeName":"restore","AttributeValues":["1","all"]}]"#);
}

#[tokio::test]
async fn where_that_is_refused_the_rows_come_without_it() {
    let server = StandIn::new(|asked| snapshots(asked, |_| error(403, "AccessDenied"))).await;
    let rows = shared(&server).await;
    assert_eq!(rows.len(), 3);
    assert!(rows[1..].iter().all(|row| row.get("is_public").is_none()));
}
