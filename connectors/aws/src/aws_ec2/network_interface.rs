//! `aws_ec2_network_interface` and `aws_ec2_network_interface_security_group`, from DescribeNetworkInterfaces.

use async_trait::async_trait;
use aws_sdk_ec2::types::{GroupIdentifier, NetworkInterface};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, Within, sorted};

/// How many interfaces a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeNetworkInterfaces.
pub(super) struct NetworkInterfaces {
    interfaces: Table<NetworkInterface>,
    groups: Table<Within<GroupIdentifier>>,
}

impl NetworkInterfaces {
    pub(super) fn new() -> Self {
        Self { interfaces: association(attachment(addresses(interfaces()))), groups: groups() }
    }
}

fn interfaces() -> Table<NetworkInterface> {
    let description = "Network interfaces, of instances and of services.";
    Table::new("aws_ec2_network_interface", description, |place, interface: &NetworkInterface| {
        let id = interface.network_interface_id().unwrap_or_default();
        place.arn_of(interface.owner_id(), "ec2", format_args!("network-interface/{id}"))
    })
    .target("network_interface_id", "The id of the interface.", |interface| interface.network_interface_id())
    .text("description", "What it is for.", |interface| interface.description())
    .text("status", "`available` (nothing has it), `associated`, `attaching`, `in-use` or `detaching`.", |interface| {
        Some(interface.status()?.as_str())
    })
    .text("interface_type", "`interface`, `nat_gateway`, `vpc_endpoint`, `lambda`, …", |interface| {
        Some(interface.interface_type()?.as_str())
    })
    .text("owner_id", "The account that owns it.", |interface| interface.owner_id())
    .text("requester_id", "The account or service that has made it for the owner.", |interface| {
        interface.requester_id()
    })
    .boolean("requester_managed", "Whether a service looks after it.", NetworkInterface::requester_managed)
    .boolean("source_dest_check", "Whether source and destination are checked.", NetworkInterface::source_dest_check)
    .texts("groups", "The ids of its security groups, sorted.", |interface| {
        sorted(interface.groups().iter().map(GroupIdentifier::group_id))
    })
    .text("outpost_arn", "The outpost that it is on.", |interface| interface.outpost_arn())
    .tags(|interface| tags(interface.tag_set()))
}

/// Where it is in the network.
fn addresses(table: Table<NetworkInterface>) -> Table<NetworkInterface> {
    table
        .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |interface| interface.vpc_id())
        .reference("subnet_id", "Its subnet.", ("aws_vpc_subnet", "subnet_id"), |interface| interface.subnet_id())
        .reference("availability_zone", "Its zone.", ("aws_availability_zone", "name"), |interface| {
            interface.availability_zone()
        })
        .text("mac_address", "Its hardware address.", |interface| interface.mac_address())
        .text("private_ip_address", "Its first private address.", |interface| interface.private_ip_address())
        .text("private_dns_name", "The name of that address.", |interface| interface.private_dns_name())
        .texts("private_ip_addresses", "All its private addresses, sorted.", |interface| {
            sorted(interface.private_ip_addresses().iter().map(|address| address.private_ip_address()))
        })
        .texts("ipv6_addresses", "Its IPv6 addresses, sorted.", |interface| {
            sorted(interface.ipv6_addresses().iter().map(|address| address.ipv6_address()))
        })
        .boolean("ipv6_native", "Whether it has IPv6 addresses only.", NetworkInterface::ipv6_native)
        .boolean(
            "deny_all_igw_traffic",
            "Whether nothing may pass from or to an internet gateway.",
            NetworkInterface::deny_all_igw_traffic,
        )
}

/// What it is attached to.
fn attachment(table: Table<NetworkInterface>) -> Table<NetworkInterface> {
    table
        .text("attachment_id", "The id of its attachment.", |interface| interface.attachment()?.attachment_id())
        .text("attachment_status", "`attaching`, `attached`, `detaching` or `detached`.", |interface| {
            Some(interface.attachment()?.status()?.as_str())
        })
        .time("attachment_time", "Since when.", |interface| interface.attachment()?.attach_time())
        .reference(
            "attached_instance_id",
            "The instance; NULL where it is a service of AWS.",
            ("aws_ec2_instance", "instance_id"),
            |interface| interface.attachment()?.instance_id(),
        )
        .text("attached_instance_owner_id", "The account or service that owns what it is attached to.", |interface| {
            interface.attachment()?.instance_owner_id()
        })
        .integer("device_index", "The number of the device.", |interface| interface.attachment()?.device_index())
        .boolean("delete_on_instance_termination", "Whether it is deleted with the instance.", |interface| {
            interface.attachment()?.delete_on_termination()
        })
}

/// Which public address leads to it.
fn association(table: Table<NetworkInterface>) -> Table<NetworkInterface> {
    table
        .text("association_id", "The id of the association of its public address.", |interface| {
            interface.association()?.association_id()
        })
        .reference(
            "association_allocation_id",
            "The allocation of that address, where it is an elastic one.",
            ("aws_vpc_eip", "allocation_id"),
            |interface| interface.association()?.allocation_id(),
        )
        .text("association_public_ip", "The public address.", |interface| interface.association()?.public_ip())
        .text("association_public_dns_name", "Its name.", |interface| interface.association()?.public_dns_name())
        .text("association_ip_owner_id", "The account that owns it; `amazon` for one of AWS.", |interface| {
            interface.association()?.ip_owner_id()
        })
        .text("association_carrier_ip", "The address in a carrier's network.", |interface| {
            interface.association()?.carrier_ip()
        })
        .text("association_customer_owned_ip", "The address of the customer's own network.", |interface| {
            interface.association()?.customer_owned_ip()
        })
}

fn groups() -> Table<Within<GroupIdentifier>> {
    let name = "aws_ec2_network_interface_security_group";
    Table::new(
        name,
        "Which network interface is in which security group.",
        |place, within: &Within<GroupIdentifier>| {
            let group = within.part.group_id().unwrap_or_default();
            place.arn("ec2", format_args!("network-interface/{}/security-group/{group}", within.of))
        },
    )
    .target("network_interface_id", "The interface.", |within| Some(&within.of))
    .key("group_id", "The security group.", |within| within.part.group_id())
    .text("group_name", "Its name.", |within| within.part.group_name())
}

#[async_trait]
impl Collector for NetworkInterfaces {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.interfaces, &self.groups]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeNetworkInterfaces"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the network interfaces");
            while let Some(token) = listing.token() {
                let filters = filters(call, "network-interface-id", part.as_deref());
                let request = client.describe_network_interfaces().set_filters(filters);
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let interfaces = page.network_interfaces();
                let groups = Within::all(interfaces, NetworkInterface::network_interface_id, NetworkInterface::groups);
                call.give(&self.groups, &groups, raw.items("networkInterfaceSet/groupSet")).await?;
                call.give(&self.interfaces, interfaces, raw.items("networkInterfaceSet")).await?;
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

    #[tokio::test]
    async fn the_groups_of_an_interface_are_in_one_order_and_have_rows_of_their_own() {
        let item = "<item><networkInterfaceId>eni-1</networkInterfaceId><ownerId>210987654321</ownerId>\
                    <status>in-use</status><groupSet><item><groupId>sg-2</groupId><groupName>web</groupName></item>\
                    <item><groupId>sg-1</groupId></item></groupSet><attachment><instanceId>i-1</instanceId></attachment>\
                    <association><allocationId/><publicIp>192.0.2.1</publicIp></association></item>";
        let page = format!(
            "<DescribeNetworkInterfacesResponse><networkInterfaceSet>{item}</networkInterfaceSet>\
             </DescribeNetworkInterfacesResponse>"
        );
        let server = StandIn::new(move |_| (200, page.clone())).await;
        let (rows, outcome) = server.collect(&NetworkInterfaces::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let row = &rows["aws_ec2_network_interface"][0];
        assert_eq!(row["arn"], "arn:aws:ec2:eu-west-1:210987654321:network-interface/eni-1");
        assert_eq!((&row["groups"], &row["attached_instance_id"]), (&json!(["sg-1", "sg-2"]), &json!("i-1")));
        assert_eq!((row.get("association_allocation_id"), &row["association_public_ip"]), (None, &json!("192.0.2.1")));
        let groups = &rows["aws_ec2_network_interface_security_group"];
        assert_eq!((&groups[0]["group_id"], &groups[0]["group_name"]), (&json!("sg-2"), &json!("web")));
        assert_eq!(groups.len(), 2);
    }
}
