//! `aws_vpc_subnet`, from DescribeSubnets.

use async_trait::async_trait;
use aws_sdk_ec2::types::{Subnet, SubnetCidrBlockState, SubnetCidrBlockStateCode};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, sorted};

/// How many subnets a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeSubnets.
pub(super) struct Subnets {
    subnets: Table<Subnet>,
}

impl Subnets {
    pub(super) fn new() -> Self {
        Self { subnets: addressing(subnets()) }
    }
}

fn subnets() -> Table<Subnet> {
    Table::new("aws_vpc_subnet", "Subnets, those that other accounts share among them.", |place, subnet: &Subnet| {
        let made = || {
            place.arn_of(subnet.owner_id(), "ec2", format_args!("subnet/{}", subnet.subnet_id().unwrap_or_default()))
        };
        subnet.subnet_arn().map_or_else(made, str::to_owned)
    })
    // It changes with every address that is taken.
    .without(["availableIpAddressCount"])
    .target("subnet_id", "The id of the subnet.", |subnet| subnet.subnet_id())
    .text("subnet_arn", "The ARN, as AWS gives it.", |subnet| subnet.subnet_arn())
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |subnet| subnet.vpc_id())
    .text("owner_id", "The account that owns it; another one where it is shared.", |subnet| subnet.owner_id())
    .text("state", "`pending`, `available`, `unavailable`, `failed` or `failed-insufficient-capacity`.", |subnet| {
        Some(subnet.state()?.as_str())
    })
    .reference("availability_zone", "Its zone.", ("aws_availability_zone", "name"), |subnet| subnet.availability_zone())
    .text("availability_zone_id", "The id of its zone, the same in all accounts.", |subnet| {
        subnet.availability_zone_id()
    })
    .boolean("default_for_az", "Whether it is the default subnet of its zone.", Subnet::default_for_az)
    .text("outpost_arn", "The outpost that it is on.", |subnet| subnet.outpost_arn())
    .text(
        "internet_gateway_block_mode",
        "`off`, `block-bidirectional` or `block-ingress`: what is blocked at internet gateways.",
        |subnet| Some(subnet.block_public_access_states()?.internet_gateway_block_mode()?.as_str()),
    )
    .tags(|subnet| tags(subnet.tags()))
}

/// Which addresses it has and gives.
fn addressing(table: Table<Subnet>) -> Table<Subnet> {
    table
        .text("cidr_block", "Its IPv4 range.", |subnet| subnet.cidr_block())
        .texts("ipv6_cidr_blocks", "Its IPv6 ranges that are associated, sorted.", |subnet| {
            let blocks = subnet.ipv6_cidr_block_association_set().iter();
            let blocks = blocks.filter(|block| is_associated(block.ipv6_cidr_block_state()));
            sorted(blocks.map(|block| block.ipv6_cidr_block()))
        })
        .boolean("ipv6_native", "Whether it has IPv6 only.", Subnet::ipv6_native)
        .boolean(
            "map_public_ip_on_launch",
            "Whether instances that are started in it get a public address.",
            Subnet::map_public_ip_on_launch,
        )
        .boolean(
            "assign_ipv6_address_on_creation",
            "Whether interfaces that are made in it get an IPv6 address.",
            Subnet::assign_ipv6_address_on_creation,
        )
        .boolean(
            "map_customer_owned_ip_on_launch",
            "Whether interfaces that are made in it get an address of the customer's own.",
            Subnet::map_customer_owned_ip_on_launch,
        )
        .text("customer_owned_ipv4_pool", "The pool of the customer's own addresses.", |subnet| {
            subnet.customer_owned_ipv4_pool()
        })
        .boolean("enable_dns64", "Whether names of IPv4 only are answered with IPv6 addresses.", Subnet::enable_dns64)
        .text("private_dns_hostname_type", "`ip-name` or `resource-name`: how instances are named.", |subnet| {
            Some(subnet.private_dns_name_options_on_launch()?.hostname_type()?.as_str())
        })
}

fn is_associated(state: Option<&SubnetCidrBlockState>) -> bool {
    state.and_then(SubnetCidrBlockState::state).is_none_or(|state| *state == SubnetCidrBlockStateCode::Associated)
}

#[async_trait]
impl Collector for Subnets {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.subnets]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeSubnets"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the subnets");
            while let Some(token) = listing.token() {
                let request = client.describe_subnets().set_filters(filters(call, "subnet-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                call.give(&self.subnets, &page.subnets.unwrap_or_default(), raw.items("subnetSet")).await?;
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

    fn answer(free: u32) -> String {
        format!(
            "<DescribeSubnetsResponse><subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>\
             <ownerId>123456789012</ownerId><availableIpAddressCount>{free}</availableIpAddressCount>\
             <mapPublicIpOnLaunch>true</mapPublicIpOnLaunch><outpostArn/></item></subnetSet></DescribeSubnetsResponse>"
        )
    }

    #[tokio::test]
    async fn a_subnet_whose_addresses_are_taken_has_not_changed() {
        let mut found = Vec::new();
        for free in [251, 250] {
            let server = StandIn::new(move |_| (200, answer(free))).await;
            let (rows, outcome) = server.collect(&Subnets::new(), "eu-west-1", Extent::Whole).await;
            outcome.unwrap();
            found.push(rows["aws_vpc_subnet"][0].clone());
        }
        assert_eq!(found[0], found[1]);
        assert_eq!((&found[0]["map_public_ip_on_launch"], &found[0]["vpc_id"]), (&json!(true), &json!("vpc-1")));
        assert_eq!(found[0]["arn"], "arn:aws:ec2:eu-west-1:123456789012:subnet/subnet-1");
    }
}
