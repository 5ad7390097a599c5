//! `aws_ec2`: what the EC2 API lists. A file for each listing, named after what is listed.

mod flow_log;
mod instance;
mod internet_gateway;
mod managed_prefix_list;
mod nat_gateway;
mod network_acl;
mod request;
mod route_table;
mod security_group;
mod security_group_rule;
mod subnet;
mod transit_gateway;
mod transition;
mod volume;
mod vpc;
mod vpc_endpoint;
mod vpc_peering_connection;
mod vpn_connection;
mod within;

use std::sync::Arc;

use crate::provider::{Collector, Service};

/// The provider.
pub(crate) const SERVICE: Service = Service {
    kind: "aws_ec2",
    summary: "EC2 and VPC of AWS accounts as tables: instances, volumes, images, networks, security groups.",
    collectors,
};

fn collectors() -> Vec<Arc<dyn Collector>> {
    vec![
        Arc::new(flow_log::FlowLogs::new()),
        Arc::new(instance::Instances::new()),
        Arc::new(internet_gateway::InternetGateways::new()),
        Arc::new(managed_prefix_list::ManagedPrefixLists::new()),
        Arc::new(nat_gateway::NatGateways::new()),
        Arc::new(network_acl::NetworkAcls::new()),
        Arc::new(route_table::RouteTables::new()),
        Arc::new(security_group::SecurityGroups::new()),
        Arc::new(subnet::Subnets::new()),
        Arc::new(transit_gateway::TransitGateways::new()),
        Arc::new(volume::Volumes::new()),
        Arc::new(vpc::Vpcs::new()),
        Arc::new(vpc_endpoint::VpcEndpoints::new()),
        Arc::new(vpc_peering_connection::VpcPeeringConnections::new()),
        Arc::new(vpn_connection::VpnConnections::new()),
    ]
}
