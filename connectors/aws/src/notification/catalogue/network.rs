//! Networks, what is in them, and load balancers.

use super::Rule;

const fn ec2(table: &'static str, calls: &'static [&'static str], ids: &'static [&'static str]) -> Rule {
    Rule { service: "ec2", table, calls, ids }
}

const fn balancers(table: &'static str, calls: &'static [&'static str], ids: &'static [&'static str]) -> Rule {
    Rule { service: "elasticloadbalancing", table, calls, ids }
}

const fn route53(table: &'static str, calls: &'static [&'static str], ids: &'static [&'static str]) -> Rule {
    Rule { service: "route53", table, calls, ids }
}

/// Calls that change load balancers of the second generation, and where those are named: their ARN says which type and so
/// which table it is.
const BALANCING: &[&str] = &[
    "CreateLoadBalancer",
    "DeleteLoadBalancer",
    "ModifyLoadBalancerAttributes",
    "SetIpAddressType",
    "SetSecurityGroups",
    "SetSubnets",
];
const BALANCERS: &[&str] = &["requestParameters.loadBalancerArn", "responseElements.loadBalancers[].loadBalancerArn"];

pub(super) const RULES: &[Rule] = &[
    ec2("aws_vpc", &["CreateDefaultVpc", "CreateVpc"], &["responseElements.vpc.vpcId"]),
    ec2(
        "aws_vpc",
        &[
            "AssociateDhcpOptions",
            "AssociateVpcCidrBlock",
            "DeleteVpc",
            "DisassociateVpcCidrBlock",
            "ModifyVpcAttribute",
            "ModifyVpcTenancy",
        ],
        &["requestParameters.vpcId", "responseElements.vpcId"],
    ),
    ec2("aws_vpc_subnet", &["CreateDefaultSubnet", "CreateSubnet"], &["responseElements.subnet.subnetId"]),
    ec2(
        "aws_vpc_subnet",
        &["AssociateSubnetCidrBlock", "DeleteSubnet", "DisassociateSubnetCidrBlock", "ModifySubnetAttribute"],
        &["requestParameters.subnetId", "responseElements.subnetId"],
    ),
    ec2(
        "aws_vpc_security_group",
        &[
            "AuthorizeSecurityGroupEgress",
            "AuthorizeSecurityGroupIngress",
            "CreateSecurityGroup",
            "DeleteSecurityGroup",
            "ModifySecurityGroupRules",
            "RevokeSecurityGroupEgress",
            "RevokeSecurityGroupIngress",
            "UpdateSecurityGroupRuleDescriptionsEgress",
            "UpdateSecurityGroupRuleDescriptionsIngress",
        ],
        &[
            "requestParameters.groupId",
            "responseElements.groupId",
            "responseElements.securityGroupRuleSet.items[].groupId",
        ],
    ),
    ec2(
        "aws_ec2_network_interface",
        &["CreateNetworkInterface"],
        &["responseElements.networkInterface.networkInterfaceId"],
    ),
    ec2(
        "aws_ec2_network_interface",
        &[
            "AssignIpv6Addresses",
            "AssignPrivateIpAddresses",
            "AttachNetworkInterface",
            "DeleteNetworkInterface",
            // It names the attachment only.
            "DetachNetworkInterface",
            "ModifyNetworkInterfaceAttribute",
            "ResetNetworkInterfaceAttribute",
            "UnassignIpv6Addresses",
            "UnassignPrivateIpAddresses",
        ],
        &["requestParameters.networkInterfaceId"],
    ),
    ec2(
        "aws_vpc_eip",
        &["AllocateAddress", "AssociateAddress", "DisassociateAddress", "ReleaseAddress"],
        &["requestParameters.allocationId", "responseElements.allocationId"],
    ),
    ec2("aws_vpc_network_acl", &["CreateNetworkAcl"], &["responseElements.networkAcl.networkAclId"]),
    ec2(
        "aws_vpc_network_acl",
        &["CreateNetworkAclEntry", "DeleteNetworkAcl", "DeleteNetworkAclEntry", "ReplaceNetworkAclEntry"],
        &["requestParameters.networkAclId"],
    ),
    // The subnet had another one before.
    ec2("aws_vpc_network_acl", &["ReplaceNetworkAclAssociation"], &[]),
    ec2("aws_vpc_route_table", &["CreateRouteTable"], &["responseElements.routeTable.routeTableId"]),
    ec2(
        "aws_vpc_route_table",
        &[
            "AssociateRouteTable",
            "CreateRoute",
            "DeleteRoute",
            "DeleteRouteTable",
            "DisableVgwRoutePropagation",
            "EnableVgwRoutePropagation",
            "ReplaceRoute",
        ],
        &["requestParameters.routeTableId"],
    ),
    ec2("aws_vpc_route_table", &["DisassociateRouteTable", "ReplaceRouteTableAssociation"], &[]),
    ec2(
        "aws_vpc_internet_gateway",
        &["AttachInternetGateway", "CreateInternetGateway", "DeleteInternetGateway", "DetachInternetGateway"],
        &["requestParameters.internetGatewayId", "responseElements.internetGateway.internetGatewayId"],
    ),
    ec2(
        "aws_vpc_nat_gateway",
        &[
            "AssignPrivateNatGatewayAddress",
            "AssociateNatGatewayAddress",
            "CreateNatGateway",
            "DeleteNatGateway",
            "DisassociateNatGatewayAddress",
            "UnassignPrivateNatGatewayAddress",
        ],
        &["requestParameters.natGatewayId", "responseElements.natGateway.natGatewayId"],
    ),
    ec2(
        "aws_vpc_endpoint",
        &["CreateVpcEndpoint", "DeleteVpcEndpoints", "ModifyVpcEndpoint"],
        &["requestParameters.vpcEndpointId", "responseElements.vpcEndpoint.vpcEndpointId"],
    ),
    ec2(
        "aws_vpc_flow_log",
        &["CreateFlowLogs", "DeleteFlowLogs"],
        &["requestParameters.flowLogId", "responseElements.flowLogIdSet.item[]"],
    ),
    ec2(
        "aws_vpc_peering_connection",
        &[
            "AcceptVpcPeeringConnection",
            "CreateVpcPeeringConnection",
            "DeleteVpcPeeringConnection",
            "ModifyVpcPeeringConnectionOptions",
            "RejectVpcPeeringConnection",
        ],
        &["requestParameters.vpcPeeringConnectionId", "responseElements.vpcPeeringConnection.vpcPeeringConnectionId"],
    ),
    ec2(
        "aws_ec2_transit_gateway",
        &["CreateTransitGateway", "DeleteTransitGateway", "ModifyTransitGateway"],
        &["requestParameters.transitGatewayId", "responseElements.transitGateway.transitGatewayId"],
    ),
    ec2(
        "aws_vpc_vpn_connection",
        &[
            "CreateVpnConnection",
            "DeleteVpnConnection",
            "ModifyVpnConnection",
            "ModifyVpnConnectionOptions",
            "ModifyVpnTunnelOptions",
        ],
        &["requestParameters.vpnConnectionId", "responseElements.vpnConnection.vpnConnectionId"],
    ),
    balancers("aws_ec2_application_load_balancer", BALANCING, BALANCERS),
    balancers("aws_ec2_gateway_load_balancer", BALANCING, BALANCERS),
    balancers("aws_ec2_network_load_balancer", BALANCING, BALANCERS),
    balancers(
        "aws_ec2_load_balancer_listener",
        &[
            "AddListenerCertificates",
            "CreateListener",
            "DeleteListener",
            "ModifyListener",
            "RemoveListenerCertificates",
        ],
        &["requestParameters.listenerArn", "responseElements.listeners[].listenerArn"],
    ),
    // Its listeners are deleted with it.
    balancers("aws_ec2_load_balancer_listener", &["DeleteLoadBalancer"], &[]),
    balancers(
        "aws_ec2_target_group",
        &["CreateTargetGroup", "DeleteTargetGroup", "DeregisterTargets", "ModifyTargetGroup", "RegisterTargets"],
        &["requestParameters.targetGroupArn", "responseElements.targetGroups[].targetGroupArn"],
    ),
    // Groups say which load balancers send to them.
    balancers(
        "aws_ec2_target_group",
        &["CreateListener", "DeleteListener", "DeleteLoadBalancer", "ModifyListener"],
        &[],
    ),
    route53(
        "aws_route53_zone",
        &["CreateHostedZone", "DeleteHostedZone", "UpdateHostedZoneComment"],
        &["requestParameters.id", "responseElements.hostedZone.id"],
    ),
    route53(
        "aws_route53_zone",
        &[
            "AssociateVPCWithHostedZone",
            // They say how many records they have.
            "ChangeResourceRecordSets",
            "CreateQueryLoggingConfig",
            "DisassociateVPCFromHostedZone",
        ],
        &["requestParameters.hostedZoneId"],
    ),
    route53("aws_route53_zone", &["DeleteQueryLoggingConfig"], &[]),
    route53("aws_route53_record", &["ChangeResourceRecordSets"], &["requestParameters.hostedZoneId"]),
    // A zone has records from its beginning to its end.
    route53(
        "aws_route53_record",
        &["CreateHostedZone", "DeleteHostedZone"],
        &["requestParameters.id", "responseElements.hostedZone.id"],
    ),
    route53("aws_route53_health_check", &["ChangeTagsForResource"], &["requestParameters.resourceId"]),
    route53("aws_route53_zone", &["ChangeTagsForResource"], &["requestParameters.resourceId"]),
    route53(
        "aws_route53_health_check",
        &["CreateHealthCheck", "DeleteHealthCheck", "UpdateHealthCheck"],
        &["requestParameters.healthCheckId", "responseElements.healthCheck.id"],
    ),
];
