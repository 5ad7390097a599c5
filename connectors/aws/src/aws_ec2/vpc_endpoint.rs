//! `aws_vpc_endpoint`, from DescribeVpcEndpoints.

use async_trait::async_trait;
use aws_sdk_ec2::types::VpcEndpoint;

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, sorted};

/// How many endpoints a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeVpcEndpoints.
pub(super) struct VpcEndpoints {
    endpoints: Table<VpcEndpoint>,
}

impl VpcEndpoints {
    pub(super) fn new() -> Self {
        Self { endpoints: network(endpoints()) }
    }
}

fn endpoints() -> Table<VpcEndpoint> {
    Table::new("aws_vpc_endpoint", "VPC endpoints.", |place, endpoint: &VpcEndpoint| {
        let id = endpoint.vpc_endpoint_id().unwrap_or_default();
        place.arn_of(endpoint.owner_id(), "ec2", format_args!("vpc-endpoint/{id}"))
    })
    .target("vpc_endpoint_id", "The id of the endpoint.", |endpoint| endpoint.vpc_endpoint_id())
    .text("service_name", "The service that it leads to, such as `com.amazonaws.eu-west-1.ec2`.", |endpoint| {
        endpoint.service_name()
    })
    .text("service_region", "The region of the service, where it is another one.", |endpoint| endpoint.service_region())
    .text(
        "vpc_endpoint_type",
        "`Interface`, `Gateway`, `GatewayLoadBalancer`, `Resource` or `ServiceNetwork`.",
        |endpoint| Some(endpoint.vpc_endpoint_type()?.as_str()),
    )
    .text(
        "state",
        "`pendingAcceptance`, `pending`, `available`, `deleting`, `rejected`, `failed`, `expired`, …",
        |endpoint| Some(endpoint.state()?.as_str()),
    )
    .text("failure_reason", "Why it has failed.", |endpoint| endpoint.failure_reason())
    .text("owner_id", "The account that owns it.", |endpoint| endpoint.owner_id())
    .boolean("requester_managed", "Whether the service itself looks after it.", VpcEndpoint::requester_managed)
    .json("policy", "The policy document, as JSON.", |endpoint| {
        endpoint.policy_document().filter(|policy| !policy.is_empty()).map(str::to_owned)
    })
    .time("creation_timestamp", "When it was made.", |endpoint| endpoint.creation_timestamp())
    .tags(|endpoint| tags(endpoint.tags()))
}

/// Where it is in the network.
fn network(table: Table<VpcEndpoint>) -> Table<VpcEndpoint> {
    table
        .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |endpoint| endpoint.vpc_id())
        .texts("subnet_ids", "The subnets that it is in, sorted.", |endpoint| {
            sorted(endpoint.subnet_ids().iter().map(|id| Some(id.as_str())))
        })
        .texts("route_table_ids", "The route tables that lead to it, sorted; only of type `Gateway`.", |endpoint| {
            sorted(endpoint.route_table_ids().iter().map(|id| Some(id.as_str())))
        })
        .texts("network_interface_ids", "Its network interfaces, sorted.", |endpoint| {
            sorted(endpoint.network_interface_ids().iter().map(|id| Some(id.as_str())))
        })
        .texts("security_group_ids", "Its security groups, sorted.", |endpoint| {
            sorted(endpoint.groups().iter().map(|group| group.group_id()))
        })
        .boolean("private_dns_enabled", "Whether the service's own name leads to it.", VpcEndpoint::private_dns_enabled)
        .texts("dns_names", "Its names, sorted.", |endpoint| {
            sorted(endpoint.dns_entries().iter().map(|entry| entry.dns_name()))
        })
        .text("ip_address_type", "`ipv4`, `dualstack` or `ipv6`.", |endpoint| {
            Some(endpoint.ip_address_type()?.as_str())
        })
}

#[async_trait]
impl Collector for VpcEndpoints {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.endpoints]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeVpcEndpoints"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the VPC endpoints");
            while let Some(token) = listing.token() {
                let request =
                    client.describe_vpc_endpoints().set_filters(filters(call, "vpc-endpoint-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let endpoints = page.vpc_endpoints.unwrap_or_default();
                call.give(&self.endpoints, &endpoints, raw.items("vpcEndpointSet")).await?;
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

    const ANSWER: &str = "<DescribeVpcEndpointsResponse><vpcEndpointSet><item><vpcEndpointId>vpce-1</vpcEndpointId>\
        <vpcEndpointType>Interface</vpcEndpointType><serviceName>com.amazonaws.eu-west-1.ec2</serviceName>\
        <vpcId>vpc-1</vpcId><state>available</state><policyDocument>{&quot;Statement&quot;: []}</policyDocument>\
        <subnetIdSet><item>subnet-2</item><item>subnet-1</item></subnetIdSet><groupSet><item><groupId>sg-1</groupId>\
        <groupName>web</groupName></item></groupSet><dnsEntrySet><item><dnsName>b.example</dnsName></item><item>\
        <dnsName>a.example</dnsName></item></dnsEntrySet></item></vpcEndpointSet></DescribeVpcEndpointsResponse>";

    #[tokio::test]
    async fn what_an_endpoint_is_in_is_sorted() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&VpcEndpoints::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let endpoint = &rows["aws_vpc_endpoint"][0];
        assert_eq!(
            (&endpoint["service_name"], &endpoint["state"]),
            (&json!("com.amazonaws.eu-west-1.ec2"), &json!("available"))
        );
        assert_eq!(
            (&endpoint["subnet_ids"], &endpoint["dns_names"]),
            (&json!(["subnet-1", "subnet-2"]), &json!(["a.example", "b.example"]))
        );
        assert_eq!(
            (&endpoint["security_group_ids"], &endpoint["policy"]),
            (&json!(["sg-1"]), &json!("{\"Statement\": []}"))
        );
    }
}
