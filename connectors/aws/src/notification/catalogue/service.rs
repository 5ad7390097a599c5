//! What AWS Config records, and what services tell by themselves.

use super::Catalogued;
use crate::notification::event::{Configuration, ServiceEvent};
use crate::notification::walk::texts;

/// Where AWS Config has the id that a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    ById,
    ByName,
    ByArn,
    /// There is one per region or account.
    Whole,
}

/// A type of resources of AWS Config, and its table.
#[derive(Debug, Clone, Copy)]
pub(in crate::notification) struct ResourceType {
    name: &'static str,
    pub(in crate::notification) table: &'static str,
    named: Named,
}

impl ResourceType {
    /// The id that a record names; `None`: the table is to be read whole.
    pub(in crate::notification) fn id<'a>(&self, configuration: &'a Configuration) -> Option<&'a str> {
        match self.named {
            Named::ById => configuration.resource_id.as_deref(),
            Named::ByName => configuration.resource_name.as_deref(),
            Named::ByArn => configuration.arn.as_deref(),
            Named::Whole => None,
        }
    }

    fn place(&self) -> &'static [&'static str] {
        match self.named {
            Named::ById => &["configurationItem.resourceId"],
            Named::ByName => &["configurationItem.resourceName"],
            Named::ByArn => &["configurationItem.ARN"],
            Named::Whole => &[],
        }
    }
}

const fn by_id(name: &'static str, table: &'static str) -> ResourceType {
    ResourceType { name, table, named: Named::ById }
}

const fn by_name(name: &'static str, table: &'static str) -> ResourceType {
    ResourceType { name, table, named: Named::ByName }
}

const fn by_arn(name: &'static str, table: &'static str) -> ResourceType {
    ResourceType { name, table, named: Named::ByArn }
}

const fn whole(name: &'static str, table: &'static str) -> ResourceType {
    ResourceType { name, table, named: Named::Whole }
}

const RESOURCE_TYPES: [ResourceType; 37] = [
    by_id("AWS::EC2::EIP", "aws_vpc_eip"),
    by_id("AWS::EC2::FlowLog", "aws_vpc_flow_log"),
    by_id("AWS::EC2::Instance", "aws_ec2_instance"),
    by_id("AWS::EC2::InternetGateway", "aws_vpc_internet_gateway"),
    by_id("AWS::EC2::LaunchTemplate", "aws_ec2_launch_template"),
    by_id("AWS::EC2::NatGateway", "aws_vpc_nat_gateway"),
    by_id("AWS::EC2::NetworkAcl", "aws_vpc_network_acl"),
    by_id("AWS::EC2::NetworkInterface", "aws_ec2_network_interface"),
    by_id("AWS::EC2::RouteTable", "aws_vpc_route_table"),
    by_id("AWS::EC2::SecurityGroup", "aws_vpc_security_group"),
    by_id("AWS::EC2::Subnet", "aws_vpc_subnet"),
    by_id("AWS::EC2::TransitGateway", "aws_ec2_transit_gateway"),
    by_id("AWS::EC2::VPC", "aws_vpc"),
    by_id("AWS::EC2::VPCEndpoint", "aws_vpc_endpoint"),
    by_id("AWS::EC2::VPCPeeringConnection", "aws_vpc_peering_connection"),
    by_id("AWS::EC2::VPNConnection", "aws_vpc_vpn_connection"),
    by_id("AWS::EC2::Volume", "aws_ebs_volume"),
    by_id("AWS::EFS::FileSystem", "aws_efs_file_system"),
    by_id("AWS::ElasticLoadBalancing::LoadBalancer", "aws_ec2_classic_load_balancer"),
    by_arn("AWS::ElasticLoadBalancingV2::Listener", "aws_ec2_load_balancer_listener"),
    by_arn("AWS::ElasticLoadBalancingV2::LoadBalancer", "aws_ec2_application_load_balancer"),
    by_arn("AWS::ElasticLoadBalancingV2::LoadBalancer", "aws_ec2_gateway_load_balancer"),
    by_arn("AWS::ElasticLoadBalancingV2::LoadBalancer", "aws_ec2_network_load_balancer"),
    by_arn("AWS::ElasticLoadBalancingV2::TargetGroup", "aws_ec2_target_group"),
    by_name("AWS::IAM::Group", "aws_iam_group"),
    by_arn("AWS::IAM::Policy", "aws_iam_policy"),
    by_name("AWS::IAM::Role", "aws_iam_role"),
    by_name("AWS::IAM::User", "aws_iam_user"),
    by_name("AWS::RDS::DBCluster", "aws_rds_db_cluster"),
    by_name("AWS::RDS::DBClusterSnapshot", "aws_rds_db_cluster_snapshot"),
    by_name("AWS::RDS::DBInstance", "aws_rds_db_instance"),
    by_name("AWS::RDS::DBSnapshot", "aws_rds_db_snapshot"),
    by_id("AWS::Route53::HealthCheck", "aws_route53_health_check"),
    by_id("AWS::Route53::HostedZone", "aws_route53_zone"),
    whole("AWS::EC2::EBSEncryptionByDefault", "aws_ec2_regional_settings"),
    whole("AWS::S3::AccountPublicAccessBlock", "aws_s3_account_settings"),
    by_id("AWS::S3::Bucket", "aws_s3_bucket"),
];

/// The tables of a resource.
pub(in crate::notification) fn configured(
    configuration: &Configuration,
) -> impl Iterator<Item = &'static ResourceType> {
    RESOURCE_TYPES.iter().filter(|known| known.name == configuration.resource_type)
}

/// What a service tells by itself, and the table whose rows have changed.
#[derive(Debug, Clone, Copy)]
pub(in crate::notification) struct Told {
    source: &'static str,
    detail_type: &'static str,
    pub(in crate::notification) table: &'static str,
    /// Where the id is, or an ARN that ends in it, as [`super::super::walk::texts`] reads paths.
    id: &'static str,
}

impl Told {
    /// The ids that an event names.
    pub(in crate::notification) fn ids_in<'a>(&self, event: &'a ServiceEvent) -> Vec<&'a str> {
        let named = match self.id.strip_prefix(DETAIL) {
            Some(path) => texts(&event.detail, path),
            None => event.resources.iter().map(String::as_str).collect(),
        };
        named.into_iter().filter_map(|named| named.rsplit('/').next()).filter(|id| !id.is_empty()).collect()
    }
}

/// What begins a path into the detail of an event.
const DETAIL: &str = "detail.";

const fn tell(source: &'static str, detail_type: &'static str, table: &'static str, id: &'static str) -> Told {
    Told { source, detail_type, table, id }
}

const TOLD: [Told; 11] = [
    tell(
        "aws.ec2",
        "EBS Multi-Volume Snapshots Completion Status",
        "aws_ebs_snapshot",
        "detail.snapshots[].snapshot_id",
    ),
    tell("aws.ec2", "EBS Snapshot Notification", "aws_ebs_snapshot", "detail.snapshot_id"),
    tell("aws.ec2", "EBS Volume Notification", "aws_ebs_volume", "resources[]"),
    tell("aws.ec2", "EC2 AMI State Change", "aws_ec2_ami", "detail.ImageId"),
    tell("aws.ec2", "EC2 Instance Rebalance Recommendation", "aws_ec2_instance", "detail.instance-id"),
    tell("aws.ec2", "EC2 Instance State-change Notification", "aws_ec2_instance", "detail.instance-id"),
    tell("aws.ec2", "EC2 Spot Instance Interruption Warning", "aws_ec2_instance", "detail.instance-id"),
    tell("aws.rds", "RDS DB Cluster Event", "aws_rds_db_cluster", "detail.SourceIdentifier"),
    tell("aws.rds", "RDS DB Cluster Snapshot Event", "aws_rds_db_cluster_snapshot", "detail.SourceIdentifier"),
    tell("aws.rds", "RDS DB Instance Event", "aws_rds_db_instance", "detail.SourceIdentifier"),
    tell("aws.rds", "RDS DB Snapshot Event", "aws_rds_db_snapshot", "detail.SourceIdentifier"),
];

/// The table of what a service tells.
pub(in crate::notification) fn told(source: &str, detail_type: &str) -> Option<&'static Told> {
    TOLD.iter().find(|known| known.source == source && known.detail_type == detail_type)
}

/// All of it, as events of the catalogue.
pub(super) fn catalogued() -> impl Iterator<Item = Catalogued> {
    let told = TOLD.iter().map(|told| Catalogued {
        event: told.detail_type.replace([' ', '-'], "_"),
        source: told.source.to_owned(),
        table: told.table,
        ids: vec![told.id],
    });
    let configured = RESOURCE_TYPES.iter().map(|known| Catalogued {
        event: format!("{}_*", known.name.replace("::", "_")),
        source: "aws.config".to_owned(),
        table: known.table,
        ids: known.place().to_vec(),
    });
    told.chain(configured)
}
