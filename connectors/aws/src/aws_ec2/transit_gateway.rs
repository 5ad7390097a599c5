//! `aws_ec2_transit_gateway`, from DescribeTransitGateways.

use async_trait::async_trait;
use aws_sdk_ec2::types::TransitGateway;

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, sorted};

/// How many gateways a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeTransitGateways.
pub(super) struct TransitGateways {
    gateways: Table<TransitGateway>,
}

impl TransitGateways {
    pub(super) fn new() -> Self {
        Self { gateways: options(gateways()) }
    }
}

fn gateways() -> Table<TransitGateway> {
    Table::new(
        "aws_ec2_transit_gateway",
        "Transit gateways, those that other accounts share among them.",
        |place, gateway: &TransitGateway| {
            let resource = format!("transit-gateway/{}", gateway.transit_gateway_id().unwrap_or_default());
            gateway
                .transit_gateway_arn()
                .map_or_else(|| place.arn_of(gateway.owner_id(), "ec2", resource), str::to_owned)
        },
    )
    .target("transit_gateway_id", "The id of the gateway.", |gateway| gateway.transit_gateway_id())
    .text("transit_gateway_arn", "The ARN, as AWS gives it.", |gateway| gateway.transit_gateway_arn())
    .text("state", "`pending`, `available`, `modifying`, `deleting` or `deleted`.", |gateway| {
        Some(gateway.state()?.as_str())
    })
    .text("owner_id", "The account that owns it; another one where it is shared.", |gateway| gateway.owner_id())
    .text("description", "What it is for.", |gateway| gateway.description())
    .time("creation_time", "When it was made.", |gateway| gateway.creation_time())
    .tags(|gateway| tags(gateway.tags()))
}

/// How it is set up. What can be on or off is `enable` or `disable`.
fn options(table: Table<TransitGateway>) -> Table<TransitGateway> {
    table
        .text(
            "auto_accept_shared_attachments",
            "`enable` or `disable`: whether other accounts may attach to it without being asked.",
            |gateway| Some(gateway.options()?.auto_accept_shared_attachments()?.as_str()),
        )
        .integer("amazon_side_asn", "The number of its side in BGP.", |gateway| gateway.options()?.amazon_side_asn())
        .texts("cidr_blocks", "Its ranges of addresses, sorted.", |gateway| {
            let blocks = gateway.options().into_iter().flat_map(|options| options.transit_gateway_cidr_blocks());
            sorted(blocks.map(|block| Some(block.as_str())))
        })
        .text(
            "default_route_table_association",
            "`enable` or `disable`: whether attachments are associated with its first route table.",
            |gateway| Some(gateway.options()?.default_route_table_association()?.as_str()),
        )
        .text("association_default_route_table_id", "That route table.", |gateway| {
            gateway.options()?.association_default_route_table_id()
        })
        .text(
            "default_route_table_propagation",
            "`enable` or `disable`: whether attachments write their routes into its first route table.",
            |gateway| Some(gateway.options()?.default_route_table_propagation()?.as_str()),
        )
        .text("propagation_default_route_table_id", "That route table.", |gateway| {
            gateway.options()?.propagation_default_route_table_id()
        })
        .text("dns_support", "`enable` or `disable`: resolving names across it.", |gateway| {
            Some(gateway.options()?.dns_support()?.as_str())
        })
        .text("multicast_support", "`enable` or `disable`: multicast.", |gateway| {
            Some(gateway.options()?.multicast_support()?.as_str())
        })
        .text("vpn_ecmp_support", "`enable` or `disable`: several ways of equal cost over VPN.", |gateway| {
            Some(gateway.options()?.vpn_ecmp_support()?.as_str())
        })
        .text(
            "security_group_referencing_support",
            "`enable` or `disable`: security groups that name groups across it.",
            |gateway| Some(gateway.options()?.security_group_referencing_support()?.as_str()),
        )
}

#[async_trait]
impl Collector for TransitGateways {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.gateways]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeTransitGateways"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the transit gateways");
            while let Some(token) = listing.token() {
                let filters = filters(call, "transit-gateway-id", part.as_deref());
                let request = client.describe_transit_gateways().set_filters(filters);
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let gateways = page.transit_gateways.unwrap_or_default();
                call.give(&self.gateways, &gateways, raw.items("transitGatewaySet")).await?;
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

    const ANSWER: &str = "<DescribeTransitGatewaysResponse><transitGatewaySet><item>\
        <transitGatewayId>tgw-1</transitGatewayId><transitGatewayArn>arn:aws:ec2:eu-west-1:210987654321:transit-gateway/\
        tgw-1</transitGatewayArn><ownerId>210987654321</ownerId><state>available</state><options>\
        <amazonSideAsn>4200000000</amazonSideAsn><autoAcceptSharedAttachments>enable</autoAcceptSharedAttachments>\
        </options></item></transitGatewaySet></DescribeTransitGatewaysResponse>";

    #[tokio::test]
    async fn a_gateway_says_whether_it_accepts_attachments_by_itself() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&TransitGateways::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let gateway = &rows["aws_ec2_transit_gateway"][0];
        assert_eq!(gateway["auto_accept_shared_attachments"], "enable");
        assert_eq!(
            (&gateway["amazon_side_asn"], &gateway["owner_id"]),
            (&json!(4_200_000_000_i64), &json!("210987654321"))
        );
        assert_eq!(gateway["arn"], "arn:aws:ec2:eu-west-1:210987654321:transit-gateway/tgw-1");
    }
}
