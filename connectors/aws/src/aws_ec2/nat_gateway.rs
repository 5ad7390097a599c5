//! `aws_vpc_nat_gateway` and `aws_vpc_nat_gateway_address`, from DescribeNatGateways.

use async_trait::async_trait;
use aws_sdk_ec2::types::{NatGateway, NatGatewayAddress};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, Within};

/// How many gateways a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeNatGateways.
pub(super) struct NatGateways {
    gateways: Table<NatGateway>,
    addresses: Table<Within<NatGatewayAddress>>,
}

impl NatGateways {
    pub(super) fn new() -> Self {
        Self { gateways: gateways(), addresses: addresses() }
    }
}

fn gateways() -> Table<NatGateway> {
    Table::new("aws_vpc_nat_gateway", "NAT gateways.", |place, gateway: &NatGateway| {
        place.arn("ec2", format_args!("natgateway/{}", gateway.nat_gateway_id().unwrap_or_default()))
    })
    .target("nat_gateway_id", "The id of the gateway.", |gateway| gateway.nat_gateway_id())
    .text("state", "`pending`, `failed`, `available`, `deleting` or `deleted` (listed for about an hour).", |gateway| {
        Some(gateway.state()?.as_str())
    })
    .text("connectivity_type", "`public` or `private`.", |gateway| Some(gateway.connectivity_type()?.as_str()))
    .text("availability_mode", "`zonal` or `regional`.", |gateway| Some(gateway.availability_mode()?.as_str()))
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |gateway| gateway.vpc_id())
    .reference("subnet_id", "Its subnet.", ("aws_vpc_subnet", "subnet_id"), |gateway| gateway.subnet_id())
    .reference(
        "route_table_id",
        "The route table of a regional gateway.",
        ("aws_vpc_route_table", "route_table_id"),
        |gateway| gateway.route_table_id(),
    )
    .time("create_time", "When it was made.", |gateway| gateway.create_time())
    .time("delete_time", "When it was deleted.", |gateway| gateway.delete_time())
    .text("failure_code", "Why it could not be made: the code.", |gateway| gateway.failure_code())
    .text("failure_message", "Why it could not be made.", |gateway| gateway.failure_message())
    .tags(|gateway| tags(gateway.tags()))
}

fn addresses() -> Table<Within<NatGatewayAddress>> {
    Table::new(
        "aws_vpc_nat_gateway_address",
        "The addresses of NAT gateways.",
        |place, address: &Within<NatGatewayAddress>| {
            let known = address.part.private_ip().or_else(|| address.part.public_ip()).unwrap_or_default();
            place.arn("ec2", format_args!("natgateway/{}/address/{known}", address.of))
        },
    )
    .target("nat_gateway_id", "The gateway.", |address| Some(&address.of))
    .key("private_ip", "The private address; empty where it has none yet.", |address| address.part.private_ip())
    .key("public_ip", "The public address; empty where it has none.", |address| address.part.public_ip())
    .reference("allocation_id", "The elastic address.", ("aws_vpc_eip", "allocation_id"), |address| {
        address.part.allocation_id()
    })
    .text("association_id", "The association of the elastic address.", |address| address.part.association_id())
    .reference(
        "network_interface_id",
        "The network interface.",
        ("aws_ec2_network_interface", "network_interface_id"),
        |address| address.part.network_interface_id(),
    )
    .boolean("is_primary", "Whether it is the first one.", |address| address.part.is_primary())
    .text(
        "status",
        "`assigning`, `unassigning`, `associating`, `disassociating`, `succeeded` or `failed`.",
        |address| Some(address.part.status()?.as_str()),
    )
    .text("failure_message", "Why it could not be given.", |address| address.part.failure_message())
}

#[async_trait]
impl Collector for NatGateways {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.gateways, &self.addresses]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeNatGateways"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the NAT gateways");
            while let Some(token) = listing.token() {
                let request =
                    client.describe_nat_gateways().set_filter(filters(call, "nat-gateway-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let gateways = page.nat_gateways.unwrap_or_default();
                let addresses = Within::all(&gateways, NatGateway::nat_gateway_id, NatGateway::nat_gateway_addresses);
                call.give(&self.addresses, &addresses, raw.items("natGatewaySet/natGatewayAddressSet")).await?;
                call.give(&self.gateways, &gateways, raw.items("natGatewaySet")).await?;
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

    const ANSWER: &str = "<DescribeNatGatewaysResponse><natGatewaySet><item><natGatewayId>nat-1</natGatewayId>\
        <subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><state>available</state><createTime>2026-01-02T03:04:05Z\
        </createTime><connectivityType>public</connectivityType><natGatewayAddressSet><item><publicIp>203.0.113.1</publicIp>\
        <allocationId>eipalloc-1</allocationId><privateIp>10.0.0.4</privateIp><networkInterfaceId>eni-1\
        </networkInterfaceId><isPrimary>true</isPrimary></item><item><privateIp>10.0.0.5</privateIp></item>\
        </natGatewayAddressSet></item></natGatewaySet></DescribeNatGatewaysResponse>";

    #[tokio::test]
    async fn a_gateway_has_a_row_for_each_of_its_addresses() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&NatGateways::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        assert_eq!(rows["aws_vpc_nat_gateway"][0]["create_time"], "2026-01-02T03:04:05Z");
        let addresses = &rows["aws_vpc_nat_gateway_address"];
        assert_eq!((&addresses[0]["public_ip"], &addresses[0]["is_primary"]), (&json!("203.0.113.1"), &json!(true)));
        assert_eq!((&addresses[1]["public_ip"], &addresses[1]["private_ip"]), (&json!(""), &json!("10.0.0.5")));
    }
}
