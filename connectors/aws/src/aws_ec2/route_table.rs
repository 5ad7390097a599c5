//! `aws_vpc_route_table`, `aws_vpc_route` and `aws_vpc_route_table_association`, from DescribeRouteTables.

use async_trait::async_trait;
use aws_sdk_ec2::types::{Route, RouteTable, RouteTableAssociation};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, Within, sorted};

/// How many route tables a page may have: fewer than of anything else, since each has many routes.
const PAGE: i32 = 100;

/// Reads DescribeRouteTables.
pub(super) struct RouteTables {
    route_tables: Table<RouteTable>,
    routes: Table<Within<Route>>,
    associations: Table<Within<RouteTableAssociation>>,
}

impl RouteTables {
    pub(super) fn new() -> Self {
        Self { route_tables: route_tables(), routes: ways(routes()), associations: associations() }
    }
}

fn route_tables() -> Table<RouteTable> {
    Table::new("aws_vpc_route_table", "Route tables.", |place, table: &RouteTable| {
        place.arn_of(
            table.owner_id(),
            "ec2",
            format_args!("route-table/{}", table.route_table_id().unwrap_or_default()),
        )
    })
    .target("route_table_id", "The id of the route table.", |table| table.route_table_id())
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |table| table.vpc_id())
    .text("owner_id", "The account that owns it.", |table| table.owner_id())
    .boolean("main", "Whether subnets that have no other use it.", |table| {
        Some(table.associations().iter().any(|association| association.main() == Some(true)))
    })
    .texts("subnet_ids", "The subnets that it was given to, sorted.", |table| {
        sorted(table.associations().iter().map(|association| association.subnet_id()))
    })
    .texts("propagating_vgws", "The virtual private gateways that write routes into it, sorted.", |table| {
        sorted(table.propagating_vgws().iter().map(|gateway| gateway.gateway_id()))
    })
    .tags(|table| tags(table.tags()))
}

fn destination(route: &Route) -> Option<&str> {
    let destinations =
        [route.destination_cidr_block(), route.destination_ipv6_cidr_block(), route.destination_prefix_list_id()];
    destinations.into_iter().flatten().find(|destination| !destination.is_empty())
}

/// Where routes lead to.
fn routes() -> Table<Within<Route>> {
    Table::new("aws_vpc_route", "The routes of route tables.", |place, route: &Within<Route>| {
        place.arn("ec2", format_args!("route-table/{}/{}", route.of, destination(&route.part).unwrap_or_default()))
    })
    .target("route_table_id", "The route table.", |route| Some(&route.of))
    .key("destination", "Where it leads to: a range of addresses, or the id of a prefix list.", |route| {
        destination(&route.part)
    })
    .text("destination_cidr_block", "The IPv4 range that it leads to.", |route| route.part.destination_cidr_block())
    .text("destination_ipv6_cidr_block", "The IPv6 range that it leads to.", |route| {
        route.part.destination_ipv6_cidr_block()
    })
    .text("destination_prefix_list_id", "The prefix list that it leads to.", |route| {
        route.part.destination_prefix_list_id()
    })
    .text("state", "`active`, `blackhole` (where it led through is gone) or `filtered`.", |route| {
        Some(route.part.state()?.as_str())
    })
    .text(
        "origin",
        "`CreateRouteTable` (it came with the table), `CreateRoute` or `EnableVgwRoutePropagation`.",
        |route| Some(route.part.origin()?.as_str()),
    )
}

/// What routes lead through.
fn ways(table: Table<Within<Route>>) -> Table<Within<Route>> {
    table
        .text("gateway_id", "The gateway: `local`, or one of the internet, of a VPN, or of a service.", |route| {
            route.part.gateway_id()
        })
        .reference("nat_gateway_id", "The NAT gateway.", ("aws_vpc_nat_gateway", "nat_gateway_id"), |route| {
            route.part.nat_gateway_id()
        })
        .reference(
            "transit_gateway_id",
            "The transit gateway.",
            ("aws_ec2_transit_gateway", "transit_gateway_id"),
            |route| route.part.transit_gateway_id(),
        )
        .reference("vpc_peering_connection_id", "The peering.", ("aws_vpc_peering_connection", "id"), |route| {
            route.part.vpc_peering_connection_id()
        })
        .reference("instance_id", "The instance.", ("aws_ec2_instance", "instance_id"), |route| {
            route.part.instance_id()
        })
        .text("instance_owner_id", "The account that owns the instance.", |route| route.part.instance_owner_id())
        .reference(
            "network_interface_id",
            "The network interface.",
            ("aws_ec2_network_interface", "network_interface_id"),
            |route| route.part.network_interface_id(),
        )
        .text("egress_only_internet_gateway_id", "The internet gateway of IPv6 that lets nothing in.", |route| {
            route.part.egress_only_internet_gateway_id()
        })
        .text("local_gateway_id", "The local gateway of an outpost.", |route| route.part.local_gateway_id())
        .text("carrier_gateway_id", "The carrier gateway.", |route| route.part.carrier_gateway_id())
        .text("core_network_arn", "The core network.", |route| route.part.core_network_arn())
}

fn associations() -> Table<Within<RouteTableAssociation>> {
    Table::new(
        "aws_vpc_route_table_association",
        "What uses which route table.",
        |place, association: &Within<RouteTableAssociation>| {
            let id = association.part.route_table_association_id().unwrap_or_default();
            place.arn("ec2", format_args!("route-table/{}/association/{id}", association.of))
        },
    )
    .target("route_table_id", "The route table.", |association| Some(&association.of))
    .key("route_table_association_id", "The id of the association.", |association| {
        association.part.route_table_association_id()
    })
    .boolean("main", "Whether it is for all subnets of the VPC that have no other.", |association| {
        association.part.main()
    })
    .reference("subnet_id", "The subnet.", ("aws_vpc_subnet", "subnet_id"), |association| association.part.subnet_id())
    .text("gateway_id", "The gateway whose incoming traffic it is for.", |association| association.part.gateway_id())
    .text("state", "`associating`, `associated`, `disassociating`, `disassociated` or `failed`.", |association| {
        Some(association.part.association_state()?.state()?.as_str())
    })
}

#[async_trait]
impl Collector for RouteTables {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.route_tables, &self.routes, &self.associations]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeRouteTables"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the route tables");
            while let Some(token) = listing.token() {
                let request =
                    client.describe_route_tables().set_filters(filters(call, "route-table-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let tables = page.route_tables.unwrap_or_default();
                let routes = Within::all(&tables, RouteTable::route_table_id, RouteTable::routes);
                let associations = Within::all(&tables, RouteTable::route_table_id, RouteTable::associations);
                call.give(&self.routes, &routes, raw.items("routeTableSet/routeSet")).await?;
                call.give(&self.associations, &associations, raw.items("routeTableSet/associationSet")).await?;
                call.give(&self.route_tables, &tables, raw.items("routeTableSet")).await?;
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

    const ANSWER: &str = "<DescribeRouteTablesResponse><routeTableSet><item><routeTableId>rtb-1</routeTableId>\
        <vpcId>vpc-1</vpcId><ownerId>123456789012</ownerId><routeSet>\
        <item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId><state>active</state>\
        <origin>CreateRouteTable</origin></item>\
        <item><destinationIpv6CidrBlock>::/0</destinationIpv6CidrBlock><gatewayId>igw-1</gatewayId><state>active</state>\
        </item><item><destinationPrefixListId>pl-1</destinationPrefixListId><natGatewayId>nat-1</natGatewayId>\
        <state>blackhole</state></item></routeSet><associationSet><item><routeTableAssociationId>rtbassoc-1\
        </routeTableAssociationId><routeTableId>rtb-1</routeTableId><main>true</main><associationState>\
        <state>associated</state></associationState></item></associationSet></item>\
        <item><routeTableId>rtb-2</routeTableId></item></routeTableSet></DescribeRouteTablesResponse>";

    #[tokio::test]
    async fn routes_are_known_by_their_destination_of_whatever_kind() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&RouteTables::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let tables = &rows["aws_vpc_route_table"];
        assert_eq!((&tables[0]["main"], &tables[1]["main"]), (&json!(true), &json!(false)));
        let routes = &rows["aws_vpc_route"];
        let destinations: Vec<&str> = routes.iter().map(|route| route["destination"].as_str().unwrap()).collect();
        assert_eq!(destinations, ["10.0.0.0/16", "::/0", "pl-1"]);
        assert_eq!((&routes[1]["gateway_id"], routes[1].get("destination_cidr_block")), (&json!("igw-1"), None));
        assert_eq!((&routes[2]["state"], &routes[2]["nat_gateway_id"]), (&json!("blackhole"), &json!("nat-1")));
        assert_eq!(routes[2]["arn"], "arn:aws:ec2:eu-west-1:123456789012:route-table/rtb-1/pl-1");
        let association = &rows["aws_vpc_route_table_association"][0];
        assert_eq!((&association["route_table_id"], &association["state"]), (&json!("rtb-1"), &json!("associated")));
    }
}
