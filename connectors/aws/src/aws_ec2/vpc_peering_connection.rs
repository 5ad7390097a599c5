//! `aws_vpc_peering_connection`, from DescribeVpcPeeringConnections.

use async_trait::async_trait;
use aws_sdk_ec2::types::{VpcPeeringConnection, VpcPeeringConnectionVpcInfo};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, sorted};

/// How many connections a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeVpcPeeringConnections.
pub(super) struct VpcPeeringConnections {
    connections: Table<VpcPeeringConnection>,
}

impl VpcPeeringConnections {
    pub(super) fn new() -> Self {
        Self { connections: accepter(requester(connections())).tags(|connection| tags(connection.tags())) }
    }
}

fn connections() -> Table<VpcPeeringConnection> {
    Table::new("aws_vpc_peering_connection", "Peerings of VPCs, on both sides of each.", |place, connection: &VpcPeeringConnection| {
        let id = connection.vpc_peering_connection_id().unwrap_or_default();
        place.arn("ec2", format_args!("vpc-peering-connection/{id}"))
    })
    .target("id", "The id of the connection.", |connection| connection.vpc_peering_connection_id())
    .text(
        "status_code",
        "`initiating-request`, `pending-acceptance`, `provisioning`, `active`, `failed`, `expired`, `rejected`, `deleting` \
         or `deleted`.",
        |connection| Some(connection.status()?.code()?.as_str()),
    )
    .text("status_message", "More of its state.", |connection| connection.status()?.message())
    .time("expiration_time", "Until when it can be accepted.", |connection| connection.expiration_time())
}

/// The side that asked for it.
fn requester(table: Table<VpcPeeringConnection>) -> Table<VpcPeeringConnection> {
    table
        .text("requester_owner_id", "The account that asked for it.", |connection| {
            connection.requester_vpc_info()?.owner_id()
        })
        .text("requester_vpc_id", "The VPC that it was asked for.", |connection| {
            connection.requester_vpc_info()?.vpc_id()
        })
        .text("requester_region", "The region of that VPC.", |connection| connection.requester_vpc_info()?.region())
        .text("requester_cidr_block", "The first IPv4 range of that VPC.", |connection| {
            connection.requester_vpc_info()?.cidr_block()
        })
        .texts("requester_cidr_blocks", "The IPv4 ranges of that VPC, sorted.", |connection| {
            v4(connection.requester_vpc_info())
        })
        .texts("requester_ipv6_cidr_blocks", "The IPv6 ranges of that VPC, sorted.", |connection| {
            v6(connection.requester_vpc_info())
        })
        .boolean(
            "requester_allow_dns_resolution",
            "Whether names are resolved to private addresses when the other side asks.",
            |connection| connection.requester_vpc_info()?.peering_options()?.allow_dns_resolution_from_remote_vpc(),
        )
}

/// The side that was asked.
fn accepter(table: Table<VpcPeeringConnection>) -> Table<VpcPeeringConnection> {
    table
        .text("accepter_owner_id", "The account that was asked.", |connection| {
            connection.accepter_vpc_info()?.owner_id()
        })
        .text("accepter_vpc_id", "The VPC of that account.", |connection| connection.accepter_vpc_info()?.vpc_id())
        .text("accepter_region", "The region of that VPC.", |connection| connection.accepter_vpc_info()?.region())
        .text("accepter_cidr_block", "The first IPv4 range of that VPC; NULL until it has accepted.", |connection| {
            connection.accepter_vpc_info()?.cidr_block()
        })
        .texts("accepter_cidr_blocks", "The IPv4 ranges of that VPC, sorted.", |connection| {
            v4(connection.accepter_vpc_info())
        })
        .texts("accepter_ipv6_cidr_blocks", "The IPv6 ranges of that VPC, sorted.", |connection| {
            v6(connection.accepter_vpc_info())
        })
        .boolean(
            "accepter_allow_dns_resolution",
            "Whether names are resolved to private addresses when the other side asks.",
            |connection| connection.accepter_vpc_info()?.peering_options()?.allow_dns_resolution_from_remote_vpc(),
        )
}

fn v4(vpc: Option<&VpcPeeringConnectionVpcInfo>) -> Vec<String> {
    sorted(vpc.into_iter().flat_map(|vpc| vpc.cidr_block_set()).map(|block| block.cidr_block()))
}

fn v6(vpc: Option<&VpcPeeringConnectionVpcInfo>) -> Vec<String> {
    sorted(vpc.into_iter().flat_map(|vpc| vpc.ipv6_cidr_block_set()).map(|block| block.ipv6_cidr_block()))
}

#[async_trait]
impl Collector for VpcPeeringConnections {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.connections]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeVpcPeeringConnections"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the VPC peering connections");
            while let Some(token) = listing.token() {
                let filters = filters(call, "vpc-peering-connection-id", part.as_deref());
                let request = client.describe_vpc_peering_connections().set_filters(filters);
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let connections = page.vpc_peering_connections.unwrap_or_default();
                call.give(&self.connections, &connections, raw.items("vpcPeeringConnectionSet")).await?;
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

    const ANSWER: &str = "<DescribeVpcPeeringConnectionsResponse><vpcPeeringConnectionSet><item>\
        <vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId><status><code>active</code><message>Active</message></status>\
        <requesterVpcInfo><ownerId>123456789012</ownerId><vpcId>vpc-1</vpcId><cidrBlock>10.0.0.0/16</cidrBlock>\
        <region>eu-west-1</region><cidrBlockSet><item><cidrBlock>10.1.0.0/16</cidrBlock></item><item>\
        <cidrBlock>10.0.0.0/16</cidrBlock></item></cidrBlockSet></requesterVpcInfo>\
        <accepterVpcInfo><ownerId>210987654321</ownerId><vpcId>vpc-2</vpcId><peeringOptions>\
        <allowDnsResolutionFromRemoteVpc>true</allowDnsResolutionFromRemoteVpc></peeringOptions></accepterVpcInfo>\
        </item></vpcPeeringConnectionSet></DescribeVpcPeeringConnectionsResponse>";

    #[tokio::test]
    async fn a_connection_says_who_is_on_both_of_its_sides() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&VpcPeeringConnections::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let found = &rows["aws_vpc_peering_connection"][0];
        assert_eq!((&found["id"], &found["status_code"]), (&json!("pcx-1"), &json!("active")));
        assert_eq!(
            (&found["requester_vpc_id"], &found["accepter_owner_id"]),
            (&json!("vpc-1"), &json!("210987654321"))
        );
        assert_eq!(found["requester_cidr_blocks"], json!(["10.0.0.0/16", "10.1.0.0/16"]));
        assert_eq!(
            (&found["accepter_allow_dns_resolution"], &found["accepter_cidr_blocks"]),
            (&json!(true), &json!([]))
        );
    }
}
