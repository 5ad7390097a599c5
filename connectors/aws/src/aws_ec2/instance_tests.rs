//! What is read of instances only where the options name it.

use serde_json::{Value, json};
use tidegate_pipeline::provider::Extent;

use super::instance::Instances;
use super::instance_attribute::{DISABLE_API_TERMINATION, USER_DATA};
use super::instance_cpu::AVG_CPU_UTILIZATION;
use crate::testing::{Asked, StandIn};

const DENIED: &str = "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>";
const DENIED_METRICS: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>No.</Message>\
                              </Error></ErrorResponse>";
const GONE: &str = "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code></Error></Errors></Response>";

/// Three instances: one with datapoints in two pages, one without any, and one that has gone since it was listed.
fn answer(asked: &Asked) -> (u16, String) {
    match asked.value("Action") {
        "DescribeInstances" => {
            let items: String = (1..=3).map(|n| format!("<item><instanceId>i-{n}</instanceId></item>")).collect();
            let reservation = format!("<item><instancesSet>{items}</instancesSet></item>");
            (
                200,
                format!(
                    "<DescribeInstancesResponse><reservationSet>{reservation}</reservationSet></DescribeInstancesResponse>"
                ),
            )
        }
        "GetMetricData" => {
            let (values, next) = match asked.value("NextToken") {
                "" => ([("01", "0.5"), ("02", "0.25")].as_slice(), "<NextToken>2</NextToken>"),
                _ => ([("05", "2.35")].as_slice(), ""),
            };
            let member = |text: &str| format!("<member>{text}</member>");
            let times: String = values.iter().map(|(hour, _)| member(&format!("2026-01-02T{hour}:00:00Z"))).collect();
            let values: String = values.iter().map(|(_, value)| member(value)).collect();
            let result = format!("<Id>m0</Id><Timestamps>{times}</Timestamps><Values>{values}</Values>");
            let result = member(&result);
            let results = format!("<MetricDataResults>{result}</MetricDataResults>{next}");
            (
                200,
                format!(
                    "<GetMetricDataResponse><GetMetricDataResult>{results}</GetMetricDataResult></GetMetricDataResponse>"
                ),
            )
        }
        "DescribeInstanceAttribute" => {
            let value = match (asked.value("InstanceId"), asked.value("Attribute")) {
                ("i-3", _) => return (400, GONE.to_owned()),
                ("i-1", "userData") => "<userData><value>IyEvYmluL3No</value></userData>",
                (_, "userData") => "<userData/>",
                _ => "<disableApiTermination><value>true</value></disableApiTermination>",
            };
            (200, format!("<DescribeInstanceAttributeResponse>{value}</DescribeInstanceAttributeResponse>"))
        }
        other => panic!("nobody asks for {other}"),
    }
}

async fn instances(server: &StandIn, hydrate: &[&str]) -> Vec<Value> {
    let (mut rows, outcome) = server.collect_with(&Instances::new(), "eu-west-1", Extent::Whole, hydrate).await;
    outcome.unwrap();
    rows.remove("aws_ec2_instance").unwrap()
}

#[tokio::test]
async fn what_costs_more_than_the_listing_is_not_asked_for_by_itself() {
    let server = StandIn::new(answer).await;
    let rows = instances(&server, &[]).await;
    assert_eq!(server.asked().len(), 1);
    for column in ["avg_cpu_utilization", "cpu_datapoints", "disable_api_termination", "user_data"] {
        assert!(rows.iter().all(|row| row.get(column).is_none()), "{column}");
    }
}

#[tokio::test]
async fn the_use_of_processors_is_the_mean_of_all_datapoints_and_null_without_any() {
    let server = StandIn::new(answer).await;
    let rows = instances(&server, &[AVG_CPU_UTILIZATION]).await;
    // (0.5 + 0.25 + 2.35) / 3
    assert_eq!((&rows[0]["avg_cpu_utilization"], &rows[0]["cpu_datapoints"]), (&json!(1.03), &json!(3)));
    assert_eq!((rows[1].get("avg_cpu_utilization"), &rows[1]["cpu_datapoints"]), (None, &json!(0)));
    let asked = server.asked();
    let metrics: Vec<&Asked> = asked.iter().filter(|asked| asked.value("Action") == "GetMetricData").collect();
    assert_eq!(metrics.len(), 2);
    let query = |name: &str| metrics[0].value(&format!("MetricDataQueries.member.2.{name}")).to_owned();
    assert_eq!((query("MetricStat.Period"), query("MetricStat.Stat")), ("3600".to_owned(), "Average".to_owned()));
    assert_eq!(query("MetricStat.Metric.Dimensions.member.1.Value"), "i-2");
    let end = metrics[0].value("EndTime");
    assert!(end.contains(":00:00"), "{end}");
}

#[tokio::test]
async fn attributes_are_read_of_each_instance_and_of_one_that_is_gone_nothing() {
    let rows = instances(&StandIn::new(answer).await, &[DISABLE_API_TERMINATION, USER_DATA]).await;
    assert_eq!((&rows[0]["user_data"], &rows[0]["disable_api_termination"]), (&json!("#!/bin/sh"), &json!(true)));
    assert_eq!((rows[1].get("user_data"), &rows[1]["disable_api_termination"]), (None, &json!(true)));
    assert_eq!((rows[2].get("user_data"), rows[2].get("disable_api_termination")), (None, None));
}

#[tokio::test]
async fn what_may_not_be_read_of_instances_leaves_their_rows_whole() {
    let server = StandIn::new(|asked| match asked.value("Action") {
        "DescribeInstances" => answer(asked),
        "GetMetricData" => (403, DENIED_METRICS.to_owned()),
        _ => (403, DENIED.to_owned()),
    })
    .await;
    let rows = instances(&server, &[AVG_CPU_UTILIZATION, USER_DATA]).await;
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.get("cpu_datapoints").is_none() && row.get("user_data").is_none()));
    assert_eq!(server.asked().iter().filter(|asked| asked.value("Action") == "GetMetricData").count(), 1);
}
