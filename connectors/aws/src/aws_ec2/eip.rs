//! `aws_vpc_eip`, from DescribeAddresses.

use async_trait::async_trait;
use aws_sdk_ec2::types::Address;

use super::request::{client, filters, tags};
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Table, Unread};

/// Reads DescribeAddresses, which is not paged.
pub(super) struct Eips {
    addresses: Table<Address>,
}

impl Eips {
    pub(super) fn new() -> Self {
        Self { addresses: association(addresses()) }
    }
}

fn addresses() -> Table<Address> {
    Table::new("aws_vpc_eip", "Elastic IP addresses.", |place, address: &Address| {
        place.arn("ec2", format_args!("elastic-ip/{}", address.allocation_id().unwrap_or_default()))
    })
    .view(opsbox::EIPS)
    .target("allocation_id", "The id of its allocation.", |address| address.allocation_id())
    .text("public_ip", "The address.", |address| address.public_ip())
    .text("domain", "`vpc`, or `standard` where it is of EC2-Classic.", |address| Some(address.domain()?.as_str()))
    .text("public_ipv4_pool", "The pool that it is from.", |address| address.public_ipv4_pool())
    .text("network_border_group", "The zones from which it is announced.", |address| address.network_border_group())
    .text("customer_owned_ip", "The address of the customer's own network, on an outpost.", |address| {
        address.customer_owned_ip()
    })
    .text("customer_owned_ipv4_pool", "The pool of the customer's own addresses.", |address| {
        address.customer_owned_ipv4_pool()
    })
    .text("carrier_ip", "The address in a carrier's network, in a Wavelength zone.", |address| address.carrier_ip())
    .text("service_managed", "The service of AWS that looks after it, such as `alb` or `nlb`.", |address| {
        Some(address.service_managed()?.as_str())
    })
    .tags(|address| tags(address.tags()))
}

/// What it leads to.
fn association(table: Table<Address>) -> Table<Address> {
    table
        .text("association_id", "The id of its association; NULL where it leads to nothing.", |address| {
            address.association_id()
        })
        .reference("instance_id", "The instance.", ("aws_ec2_instance", "instance_id"), |address| address.instance_id())
        .reference(
            "network_interface_id",
            "The network interface.",
            ("aws_ec2_network_interface", "network_interface_id"),
            |address| address.network_interface_id(),
        )
        .text("network_interface_owner_id", "The account that owns the network interface.", |address| {
            address.network_interface_owner_id()
        })
        .text("private_ip_address", "The private address that it leads to.", |address| address.private_ip_address())
}

#[async_trait]
impl Collector for Eips {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.addresses]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeAddresses"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the elastic IP addresses");
            let request = client.describe_addresses().set_filters(filters(call, "allocation-id", part.as_deref()));
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |_| None)?;
            call.give(&self.addresses, page.addresses(), raw.items("addressesSet")).await?;
        }
        Ok(())
    }
}
