//! `aws_ec2`: what the EC2 API lists. A file for each listing, named after what is listed.

mod ami;
mod availability_zone;
mod eip;
mod flow_log;
mod instance;
mod instance_attribute;
mod instance_cpu;
mod instance_metric;
mod instance_sample;
#[cfg(test)]
mod instance_tests;
mod instance_type;
mod internet_gateway;
mod key_pair;
mod launch_template;
mod managed_instance;
mod managed_prefix_list;
mod nat_gateway;
mod network_acl;
mod network_interface;
mod protected_resource;
mod region;
mod regional_settings;
mod request;
mod route_table;
mod security_group;
mod security_group_rule;
mod snapshot;
mod subnet;
mod transit_gateway;
mod transition;
mod volume;
mod vpc;
mod vpc_endpoint;
mod vpc_peering_connection;
mod vpn_connection;

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
        Arc::new(ami::Amis::new()),
        Arc::new(availability_zone::AvailabilityZones::new()),
        Arc::new(eip::Eips::new()),
        Arc::new(flow_log::FlowLogs::new()),
        Arc::new(instance::Instances::new()),
        Arc::new(instance_metric::InstanceMetrics::new()),
        Arc::new(instance_type::InstanceTypes::new()),
        Arc::new(internet_gateway::InternetGateways::new()),
        Arc::new(key_pair::KeyPairs::new()),
        Arc::new(launch_template::LaunchTemplates::new()),
        Arc::new(managed_instance::ManagedInstances::new()),
        Arc::new(managed_prefix_list::ManagedPrefixLists::new()),
        Arc::new(nat_gateway::NatGateways::new()),
        Arc::new(network_acl::NetworkAcls::new()),
        Arc::new(network_interface::NetworkInterfaces::new()),
        Arc::new(protected_resource::ProtectedResources::new()),
        Arc::new(region::Regions::new()),
        Arc::new(regional_settings::RegionalSettings::new()),
        Arc::new(route_table::RouteTables::new()),
        Arc::new(security_group::SecurityGroups::new()),
        Arc::new(snapshot::Snapshots::new()),
        Arc::new(subnet::Subnets::new()),
        Arc::new(transit_gateway::TransitGateways::new()),
        Arc::new(volume::Volumes::new()),
        Arc::new(vpc::Vpcs::new()),
        Arc::new(vpc_endpoint::VpcEndpoints::new()),
        Arc::new(vpc_peering_connection::VpcPeeringConnections::new()),
        Arc::new(vpn_connection::VpnConnections::new()),
    ]
}
