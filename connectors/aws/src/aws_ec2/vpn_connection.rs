//! `aws_vpc_vpn_connection` and `aws_vpc_vpn_tunnel`, from DescribeVpnConnections. What AWS says of a connection holds
//! the keys of its tunnels: they are no columns, and not in `raw`.

use async_trait::async_trait;
use aws_sdk_ec2::types::{VgwTelemetry, VpnConnection};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, Within, sorted};

/// Reads DescribeVpnConnections, which has no pages.
pub(super) struct VpnConnections {
    connections: Table<VpnConnection>,
    tunnels: Table<Within<VgwTelemetry>>,
}

impl VpnConnections {
    pub(super) fn new() -> Self {
        Self { connections: connections(), tunnels: tunnels() }
    }
}

fn connections() -> Table<VpnConnection> {
    Table::new("aws_vpc_vpn_connection", "VPN connections.", |place, connection: &VpnConnection| {
        place.arn("ec2", format_args!("vpn-connection/{}", connection.vpn_connection_id().unwrap_or_default()))
    })
    // Keys, and what the rows of tunnels say.
    .without(["customerGatewayConfiguration", "preSharedKey", "vgwTelemetry"])
    .target("vpn_connection_id", "The id of the connection.", |connection| connection.vpn_connection_id())
    .text("state", "`pending`, `available`, `deleting` or `deleted`.", |connection| Some(connection.state()?.as_str()))
    .text("type", "`ipsec.1`.", |connection| Some(connection.r#type()?.as_str()))
    .text("category", "`VPN`.", |connection| connection.category())
    .text("customer_gateway_id", "The gateway at the customer's side.", |connection| connection.customer_gateway_id())
    .text("vpn_gateway_id", "The virtual private gateway at the side of AWS.", |connection| connection.vpn_gateway_id())
    .reference(
        "transit_gateway_id",
        "The transit gateway at the side of AWS.",
        ("aws_ec2_transit_gateway", "transit_gateway_id"),
        |connection| connection.transit_gateway_id(),
    )
    .text(
        "gateway_association_state",
        "`associated`, `not-associated`, `associating` or `disassociating`.",
        |connection| Some(connection.gateway_association_state()?.as_str()),
    )
    .boolean("enable_acceleration", "Whether it is accelerated.", |connection| {
        connection.options()?.enable_acceleration()
    })
    .boolean("static_routes_only", "Whether it has static routes only, and no BGP.", |connection| {
        connection.options()?.static_routes_only()
    })
    .text("local_ipv4_network_cidr", "The IPv4 range at the customer's side.", |connection| {
        connection.options()?.local_ipv4_network_cidr()
    })
    .text("remote_ipv4_network_cidr", "The IPv4 range at the side of AWS.", |connection| {
        connection.options()?.remote_ipv4_network_cidr()
    })
    .texts("static_routes", "The ranges that are routed statically, sorted.", |connection| {
        sorted(connection.routes().iter().map(|route| route.destination_cidr_block()))
    })
    .tags(|connection| tags(connection.tags()))
}

fn tunnels() -> Table<Within<VgwTelemetry>> {
    Table::new(
        "aws_vpc_vpn_tunnel",
        "The tunnels of VPN connections: each has two.",
        |place, tunnel: &Within<VgwTelemetry>| {
            let address = tunnel.part.outside_ip_address().unwrap_or_default();
            place.arn("ec2", format_args!("vpn-connection/{}/tunnel/{address}", tunnel.of))
        },
    )
    // It changes whenever the customer's side says so.
    .without(["acceptedRouteCount"])
    .target("vpn_connection_id", "The connection.", |tunnel| Some(&tunnel.of))
    .key("outside_ip_address", "Its address at the side of AWS.", |tunnel| tunnel.part.outside_ip_address())
    .text("status", "`UP` or `DOWN`.", |tunnel| Some(tunnel.part.status()?.as_str()))
    .text("status_message", "Why it is down.", |tunnel| tunnel.part.status_message())
    .time("last_status_change", "When it last went up or down.", |tunnel| tunnel.part.last_status_change())
    .text("certificate_arn", "The certificate of its end.", |tunnel| tunnel.part.certificate_arn())
}

#[async_trait]
impl Collector for VpnConnections {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.connections, &self.tunnels]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeVpnConnections"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the VPN connections");
            let filters = filters(call, "vpn-connection-id", part.as_deref());
            let request = client.describe_vpn_connections().set_filters(filters);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |_| None)?;
            let connections = page.vpn_connections.unwrap_or_default();
            let tunnels = Within::all(&connections, VpnConnection::vpn_connection_id, VpnConnection::vgw_telemetry);
            call.give(&self.tunnels, &tunnels, raw.items("vpnConnectionSet/vgwTelemetry")).await?;
            call.give(&self.connections, &connections, raw.items("vpnConnectionSet")).await?;
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

    const ANSWER: &str = "<DescribeVpnConnectionsResponse><vpnConnectionSet><item><vpnConnectionId>vpn-1</vpnConnectionId>\
        <state>available</state><type>ipsec.1</type><customerGatewayConfiguration>&lt;pre_shared_key&gt;hush&lt;/pre_shared_key&gt;\
        </customerGatewayConfiguration><options><staticRoutesOnly>true</staticRoutesOnly><tunnelOptionSet><item>\
        <outsideIpAddress>203.0.113.1</outsideIpAddress><preSharedKey>hush</preSharedKey></item></tunnelOptionSet></options>\
        <vgwTelemetry><item><outsideIpAddress>203.0.113.1</outsideIpAddress><status>UP</status>\
        <acceptedRouteCount>3</acceptedRouteCount></item><item><outsideIpAddress>203.0.113.2</outsideIpAddress>\
        <status>DOWN</status><statusMessage>IPSEC IS DOWN</statusMessage></item></vgwTelemetry></item></vpnConnectionSet>\
        </DescribeVpnConnectionsResponse>";

    #[tokio::test]
    async fn tunnels_have_rows_of_their_own_and_keys_are_nowhere() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&VpnConnections::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let connection = &rows["aws_vpc_vpn_connection"][0];
        assert_eq!((&connection["type"], &connection["static_routes_only"]), (&json!("ipsec.1"), &json!(true)));
        assert!(connection["raw"].as_str().unwrap().contains("tunnelOptionSet"));
        let tunnels = &rows["aws_vpc_vpn_tunnel"];
        assert_eq!((&tunnels[0]["status"], &tunnels[1]["status_message"]), (&json!("UP"), &json!("IPSEC IS DOWN")));
        let everything = serde_json::to_string(&rows).unwrap();
        assert!(!everything.contains("hush") && !everything.contains("acceptedRouteCount"), "{everything}");
    }
}
