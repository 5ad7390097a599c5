//! `aws_vpc_internet_gateway` and `aws_vpc_internet_gateway_attachment`, from DescribeInternetGateways.

use async_trait::async_trait;
use aws_sdk_ec2::types::{InternetGateway, InternetGatewayAttachment};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, Within, sorted};

/// How many gateways a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeInternetGateways.
pub(super) struct InternetGateways {
    gateways: Table<InternetGateway>,
    attachments: Table<Within<InternetGatewayAttachment>>,
}

impl InternetGateways {
    pub(super) fn new() -> Self {
        Self { gateways: gateways(), attachments: attachments() }
    }
}

fn gateways() -> Table<InternetGateway> {
    Table::new("aws_vpc_internet_gateway", "Internet gateways.", |place, gateway: &InternetGateway| {
        let id = gateway.internet_gateway_id().unwrap_or_default();
        place.arn_of(gateway.owner_id(), "ec2", format_args!("internet-gateway/{id}"))
    })
    .target("internet_gateway_id", "The id of the gateway.", |gateway| gateway.internet_gateway_id())
    .text("owner_id", "The account that owns it.", |gateway| gateway.owner_id())
    .texts(
        "attachments",
        "The VPCs that it is attached to (AWS allows one); empty where it is attached to none.",
        |gateway| sorted(gateway.attachments().iter().map(|attachment| attachment.vpc_id())),
    )
    .tags(|gateway| tags(gateway.tags()))
}

fn attachments() -> Table<Within<InternetGatewayAttachment>> {
    Table::new(
        "aws_vpc_internet_gateway_attachment",
        "Which VPC has which internet gateway.",
        |place, attachment: &Within<InternetGatewayAttachment>| {
            let vpc = attachment.part.vpc_id().unwrap_or_default();
            place.arn("ec2", format_args!("internet-gateway/{}/attachment/{vpc}", attachment.of))
        },
    )
    .target("internet_gateway_id", "The gateway.", |attachment| Some(&attachment.of))
    .key("vpc_id", "The VPC.", |attachment| attachment.part.vpc_id())
    .text("state", "`available` (attached), `attaching`, `detaching` or `detached`.", |attachment| {
        Some(attachment.part.state()?.as_str())
    })
}

#[async_trait]
impl Collector for InternetGateways {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.gateways, &self.attachments]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeInternetGateways"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the internet gateways");
            while let Some(token) = listing.token() {
                let filters = filters(call, "internet-gateway-id", part.as_deref());
                let request = client.describe_internet_gateways().set_filters(filters);
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let gateways = page.internet_gateways.unwrap_or_default();
                let id = InternetGateway::internet_gateway_id;
                let attachments = Within::all(&gateways, id, InternetGateway::attachments);
                call.give(&self.attachments, &attachments, raw.items("internetGatewaySet/attachmentSet")).await?;
                call.give(&self.gateways, &gateways, raw.items("internetGatewaySet")).await?;
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

    const ANSWER: &str = "<DescribeInternetGatewaysResponse><internetGatewaySet><item>\
        <internetGatewayId>igw-1</internetGatewayId><ownerId>123456789012</ownerId><attachmentSet><item>\
        <vpcId>vpc-1</vpcId><state>available</state></item></attachmentSet></item><item>\
        <internetGatewayId>igw-2</internetGatewayId><attachmentSet/></item></internetGatewaySet>\
        </DescribeInternetGatewaysResponse>";

    #[tokio::test]
    async fn a_gateway_that_no_vpc_has_has_no_attachments() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&InternetGateways::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let gateways = &rows["aws_vpc_internet_gateway"];
        assert_eq!((&gateways[0]["attachments"], &gateways[1]["attachments"]), (&json!(["vpc-1"]), &json!([])));
        let attachments = &rows["aws_vpc_internet_gateway_attachment"];
        assert_eq!((attachments.len(), &attachments[0]["state"]), (1, &json!("available")));
    }
}
