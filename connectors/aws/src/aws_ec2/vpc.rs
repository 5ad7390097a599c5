//! `aws_vpc`, from DescribeVpcs.

use async_trait::async_trait;
use aws_sdk_ec2::types::{Vpc, VpcCidrBlockState, VpcCidrBlockStateCode};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, sorted};

/// How many VPCs a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeVpcs.
pub(super) struct Vpcs {
    vpcs: Table<Vpc>,
}

impl Vpcs {
    pub(super) fn new() -> Self {
        Self { vpcs: vpcs() }
    }
}

fn vpcs() -> Table<Vpc> {
    Table::new("aws_vpc", "VPCs, those that other accounts share among them.", |place, vpc: &Vpc| {
        place.arn_of(vpc.owner_id(), "ec2", format_args!("vpc/{}", vpc.vpc_id().unwrap_or_default()))
    })
    .target("vpc_id", "The id of the VPC.", |vpc| vpc.vpc_id())
    .text("owner_id", "The account that owns it; another one where it is shared.", |vpc| vpc.owner_id())
    .text("state", "`pending` or `available`.", |vpc| Some(vpc.state()?.as_str()))
    .boolean("is_default", "Whether it is the default VPC of its region.", Vpc::is_default)
    .text("cidr_block", "Its first IPv4 range.", |vpc| vpc.cidr_block())
    .texts("cidr_blocks", "All its IPv4 ranges that are associated, sorted.", |vpc| {
        let blocks = vpc.cidr_block_association_set().iter();
        let blocks = blocks.filter(|block| is_associated(block.cidr_block_state())).map(|block| block.cidr_block());
        sorted(blocks)
    })
    .texts("ipv6_cidr_blocks", "All its IPv6 ranges that are associated, sorted.", |vpc| {
        let blocks = vpc.ipv6_cidr_block_association_set().iter();
        let blocks = blocks.filter(|block| is_associated(block.ipv6_cidr_block_state()));
        sorted(blocks.map(|block| block.ipv6_cidr_block()))
    })
    .text("dhcp_options_id", "Its DHCP options; `default` where it has none of its own.", |vpc| vpc.dhcp_options_id())
    .text("instance_tenancy", "`default`, `dedicated` or `host`: where its instances run.", |vpc| {
        Some(vpc.instance_tenancy()?.as_str())
    })
    .text(
        "internet_gateway_block_mode",
        "`off`, `block-bidirectional` or `block-ingress`: what is blocked at its internet gateways.",
        |vpc| Some(vpc.block_public_access_states()?.internet_gateway_block_mode()?.as_str()),
    )
    .text("encryption_mode", "`monitor` or `enforce`: control of encryption in transit; NULL where it is off.", |vpc| {
        Some(vpc.encryption_control()?.mode()?.as_str())
    })
    .tags(|vpc| tags(vpc.tags()))
}

fn is_associated(state: Option<&VpcCidrBlockState>) -> bool {
    state.and_then(VpcCidrBlockState::state).is_none_or(|state| *state == VpcCidrBlockStateCode::Associated)
}

#[async_trait]
impl Collector for Vpcs {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.vpcs]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeVpcs"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the VPCs");
            while let Some(token) = listing.token() {
                let request = client.describe_vpcs().set_filters(filters(call, "vpc-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                call.give(&self.vpcs, &page.vpcs.unwrap_or_default(), raw.items("vpcSet")).await?;
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

    const ANSWER: &str = "<DescribeVpcsResponse><vpcSet>\
        <item><vpcId>vpc-1</vpcId><ownerId>123456789012</ownerId><state>available</state><isDefault>true</isDefault>\
        <cidrBlock>10.0.0.0/16</cidrBlock><dhcpOptionsId>dopt-1</dhcpOptionsId><cidrBlockAssociationSet>\
        <item><cidrBlock>10.1.0.0/16</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item>\
        <item><cidrBlock>10.2.0.0/16</cidrBlock><cidrBlockState><state>disassociated</state></cidrBlockState></item>\
        <item><cidrBlock>10.0.0.0/16</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item>\
        </cidrBlockAssociationSet></item>\
        <item><vpcId>vpc-2</vpcId><ownerId>210987654321</ownerId></item></vpcSet></DescribeVpcsResponse>";

    #[tokio::test]
    async fn a_vpc_has_the_ranges_that_are_associated_and_a_shared_one_the_arn_of_its_owner() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&Vpcs::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let (own, shared) = (&rows["aws_vpc"][0], &rows["aws_vpc"][1]);
        assert_eq!(own["arn"], "arn:aws:ec2:eu-west-1:123456789012:vpc/vpc-1");
        assert_eq!((&own["is_default"], &own["dhcp_options_id"]), (&json!(true), &json!("dopt-1")));
        assert_eq!(own["cidr_blocks"], json!(["10.0.0.0/16", "10.1.0.0/16"]));
        assert_eq!(
            (&shared["arn"], &shared["account_id"]),
            (&json!("arn:aws:ec2:eu-west-1:210987654321:vpc/vpc-2"), &json!("123456789012"))
        );
    }
}
