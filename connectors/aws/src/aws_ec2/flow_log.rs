//! `aws_vpc_flow_log`, from DescribeFlowLogs.

use async_trait::async_trait;
use aws_sdk_ec2::types::FlowLog;

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread};

/// How many flow logs a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeFlowLogs.
pub(super) struct FlowLogs {
    flow_logs: Table<FlowLog>,
}

impl FlowLogs {
    pub(super) fn new() -> Self {
        Self { flow_logs: flow_logs() }
    }
}

fn flow_logs() -> Table<FlowLog> {
    Table::new(
        "aws_vpc_flow_log",
        "Flow logs of VPCs, subnets, interfaces and transit gateways.",
        |place, log: &FlowLog| place.arn("ec2", format_args!("vpc-flow-log/{}", log.flow_log_id().unwrap_or_default())),
    )
    .target("flow_log_id", "The id of the flow log.", |log| log.flow_log_id())
    .text("resource_id", "The VPC, subnet, interface or transit gateway that it is of.", |log| log.resource_id())
    .text("flow_log_status", "`ACTIVE`, or what else its state is.", |log| log.flow_log_status())
    .text("traffic_type", "`ACCEPT`, `REJECT` or `ALL`.", |log| Some(log.traffic_type()?.as_str()))
    .text("log_destination_type", "`cloud-watch-logs`, `s3` or `kinesis-data-firehose`.", |log| {
        Some(log.log_destination_type()?.as_str())
    })
    .text("log_destination", "The ARN of where it is written to.", |log| log.log_destination())
    .text("log_group_name", "The log group that it is written to.", |log| log.log_group_name())
    .text("log_format", "The fields of its records.", |log| log.log_format())
    .integer("max_aggregation_interval", "Over how many seconds its records are gathered: 60 or 600.", |log| {
        log.max_aggregation_interval()
    })
    .text("deliver_logs_status", "`SUCCESS` or `FAILED`: whether it could be written.", |log| log.deliver_logs_status())
    .text("deliver_logs_error_message", "`Rate limited`, `Access error` or `Unknown error`.", |log| {
        log.deliver_logs_error_message()
    })
    .text("deliver_logs_permission_arn", "The role that it is written with.", |log| log.deliver_logs_permission_arn())
    .text("deliver_cross_account_role", "The role that it is written to another account with.", |log| {
        log.deliver_cross_account_role()
    })
    .text("destination_file_format", "`plain-text` or `parquet`: the files in S3.", |log| {
        Some(log.destination_options()?.file_format()?.as_str())
    })
    .time("creation_time", "When it was made.", |log| log.creation_time())
    .tags(|log| tags(log.tags()))
}

#[async_trait]
impl Collector for FlowLogs {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.flow_logs]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeFlowLogs"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the flow logs");
            while let Some(token) = listing.token() {
                let request = client.describe_flow_logs().set_filter(filters(call, "flow-log-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                call.give(&self.flow_logs, &page.flow_logs.unwrap_or_default(), raw.items("flowLogSet")).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_pipeline::provider::Extent;

    use super::*;
    use crate::testing::StandIn;

    const ANSWER: &str = "<DescribeFlowLogsResponse><flowLogSet><item><flowLogId>fl-1</flowLogId>\
        <resourceId>vpc-1</resourceId><flowLogStatus>ACTIVE</flowLogStatus><trafficType>ALL</trafficType>\
        <logDestinationType>s3</logDestinationType><maxAggregationInterval>600</maxAggregationInterval>\
        <destinationOptions><fileFormat>parquet</fileFormat></destinationOptions></item></flowLogSet>\
        </DescribeFlowLogsResponse>";

    #[tokio::test]
    async fn a_flow_log_names_what_it_is_of() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let targets = Extent::Targets(vec!["fl-1".into()]);
        let (rows, outcome) = server.collect(&FlowLogs::new(), "eu-west-1", targets).await;
        outcome.unwrap();
        let log = &rows["aws_vpc_flow_log"][0];
        assert_eq!((&log["resource_id"], &log["flow_log_status"]), (&json!("vpc-1"), &json!("ACTIVE")));
        assert_eq!(
            (&log["destination_file_format"], &log["max_aggregation_interval"]),
            (&json!("parquet"), &json!(600))
        );
        let asked = &server.asked()[0];
        assert_eq!((asked.value("Filter.1.Name"), asked.value("Filter.1.Value.1")), ("flow-log-id", "fl-1"));
    }
}
