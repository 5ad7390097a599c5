"""What estate_controls.py makes of VPCs and what belongs to them."""

WORLD, WORLD_6 = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, {"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
OFFICE = {"IpRanges": [{"CidrIp": "192.0.2.0/24"}]}
# Controls of what the world may reach, each with the groups below that let it.
OPENINGS = {
    "sg_ingress_ssh_world": {"ssh", "ssh-6", "span", "everything"},
    "sg_ingress_rdp_world": {"rdp", "everything"},
    "sg_ingress_all_ports_world": {"everything", "all-tcp"},
    "sg_ingress_common_ports_world": {"ssh", "ssh-6", "span", "rdp", "everything"},
    "sg_ingress_admin_ports_ipv4": {"ssh", "span", "rdp", "everything"},
    "sg_ingress_admin_ports_ipv6": {"ssh-6"},
    "sg_ingress_cifs_world": {"cifs", "everything"},
    "sg_ingress_db_ports_world": {"database", "everything"},
    "sg_ingress_unauthorised_ports": {"ssh", "ssh-6", "ssh-udp", "span", "rdp", "everything", "all-tcp", "cifs", "database"},
    "sg_from_launch_wizard": {"launch-wizard-7"},
}
for opened in OPENINGS.values():
    if "everything" in opened:
        opened.add("all-tcp")
RULES = {
    "web": ("tcp", 443, 443, {**WORLD, **WORLD_6}),
    "office": ("tcp", 22, 22, OFFICE),
    "ssh": ("tcp", 22, 22, WORLD),
    "ssh-6": ("tcp", 22, 22, WORLD_6),
    "ssh-udp": ("udp", 22, 22, WORLD),
    "span": ("tcp", 20, 25, WORLD),
    "rdp": ("tcp", 3389, 3389, WORLD),
    "cifs": ("tcp", 445, 445, WORLD),
    "database": ("tcp", 5432, 5432, WORLD),
    "all-tcp": ("tcp", 0, 65535, WORLD),
    "everything": ("-1", None, None, WORLD),
    "launch-wizard-7": ("tcp", 443, 443, OFFICE),
}


def groups(place, ec2, vpc):
    """Security groups of all kinds, by name."""
    made = {}
    for name, (protocol, first, last, source) in RULES.items():
        made[name] = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        ports = {} if first is None else {"FromPort": first, "ToPort": last}
        ec2.authorize_security_group_ingress(GroupId=made[name], IpPermissions=[{"IpProtocol": protocol, **ports, **source}])
        statuses = {control: "alarm" if name in opened else "ok" for control, opened in OPENINGS.items()}
        place.expect(place.arn("security-group", made[name]), **statuses)
    peer = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": made["office"]}]}
    ec2.authorize_security_group_ingress(GroupId=made["web"], IpPermissions=[peer])
    own = {**peer, "UserIdGroupPairs": [{"GroupId": made["ssh"]}]}
    ec2.authorize_security_group_ingress(GroupId=made["ssh"], IpPermissions=[own])
    # A group that only its own rules name is not used.
    for name, status in (("web", "ok"), ("office", "ok"), ("ssh", "alarm"), ("rdp", "alarm")):
        place.expect(place.arn("security-group", made[name]), sg_unused=status)
    return made


def default_group(ec2, vpc):
    wanted = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    return ec2.describe_security_groups(Filters=wanted)["SecurityGroups"][0]


def access_lists(place, ec2, vpc):
    """A rule that comes before another decides; what no subnet has is unused."""
    for rules, status in (
        ([(90, 22, "deny"), (100, 22, "allow"), (110, 443, "allow")], "ok"),
        ([(90, 22, "allow"), (100, 22, "deny")], "alarm"),
    ):
        acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
        for number, port, action in rules:
            ec2.create_network_acl_entry(
                NetworkAclId=acl, RuleNumber=number, Protocol="6", RuleAction=action, Egress=False,
                CidrBlock="0.0.0.0/0", PortRange={"From": port, "To": port},
            )
        place.expect(place.arn("network-acl", acl), nacl_admin_ports_world=status, nacl_unused="alarm")
    wanted = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default", "Values": ["true"]}]
    default = ec2.describe_network_acls(Filters=wanted)["NetworkAcls"][0]["NetworkAclId"]
    place.expect(place.arn("network-acl", default), nacl_admin_ports_world="alarm", nacl_unused="ok")


def ways(place, ec2, vpc, public, private):
    """What leads out of the VPC: gateways and route tables."""
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    place.expect(place.arn("internet-gateway", gateway), igw_attached_authorised_vpc="ok")
    loose = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    place.expect(place.arn("internet-gateway", loose), igw_attached_authorised_vpc="alarm")
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
    for subnet, way, status in ((public, {"GatewayId": gateway}, "alarm"), (private, {"NatGatewayId": nat}, "ok")):
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **way)
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        place.expect(place.arn("route-table", table), route_table_igw_restricted=status)


def neighbours(place, ec2, vpc):
    """Peerings, with a route for all of the other VPC and with one for a part of it, and gateways of others."""
    for number, (destination, status) in enumerate((("10.40.0.0/16", "alarm"), ("10.41.7.0/24", "ok"))):
        other = ec2.create_vpc(CidrBlock=f"10.4{number}.0.0/16")["Vpc"]["VpcId"]
        peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=other)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
        ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=destination, VpcPeeringConnectionId=peering)
        place.expect(place.arn("vpc-peering-connection", peering), peering_routes_least_privilege=status)
    gateways = {}
    for accepts, status in (("enable", "alarm"), ("disable", "ok")):
        made = ec2.create_transit_gateway(Description="hub", Options={"AutoAcceptSharedAttachments": accepts})
        gateways[accepts] = made["TransitGateway"]["TransitGatewayId"]
        place.expect(place.arn("transit-gateway", gateways[accepts]), tgw_auto_accept_disabled=status)
    customer = ec2.create_customer_gateway(Type="ipsec.1", PublicIp="203.0.113.12", BgpAsn=65000)["CustomerGateway"]["CustomerGatewayId"]
    vpn = ec2.create_vpn_connection(Type="ipsec.1", CustomerGatewayId=customer, TransitGatewayId=gateways["disable"])
    place.expect(place.arn("vpn-connection", vpn["VpnConnection"]["VpnConnectionId"]), vpn_tunnels_up="skip")


def make(place):
    """A VPC that is watched and one that is not. Gives what machines need."""
    ec2, logs = place.client("ec2"), place.client("logs")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    bare = ec2.create_vpc(CidrBlock="10.21.0.0/16")["Vpc"]["VpcId"]
    public, private = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{number}.0/24", AvailabilityZone=f"{place.region}{zone}")["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]
    ec2.modify_subnet_attribute(SubnetId=public, MapPublicIpOnLaunch={"Value": True})
    place.expect(place.arn("subnet", public), subnet_no_auto_public_ip="alarm")
    place.expect(place.arn("subnet", private), subnet_no_auto_public_ip="ok")
    made = groups(place, ec2, vpc)
    logs.create_log_group(logGroupName="flow")
    flow = {"ResourceType": "VPC", "LogGroupName": "flow", "DeliverLogsPermissionArn": f"arn:aws:iam::{place.account}:role/flow"}
    ec2.create_flow_logs(ResourceIds=[vpc], TrafficType="ALL", **flow)
    ec2.create_flow_logs(ResourceIds=[bare], TrafficType="ACCEPT", **flow)
    service = f"com.amazonaws.{place.region}.ec2"
    ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=service, VpcEndpointType="Interface", SubnetIds=[private], SecurityGroupIds=[made["web"]])
    place.expect(place.arn("vpc", vpc), vpc_flow_logs_enabled="ok", vpc_endpoint_for_ec2="ok")
    place.expect(place.arn("vpc", bare), vpc_flow_logs_enabled="alarm", vpc_endpoint_for_ec2="alarm")
    closed = default_group(ec2, bare)
    ec2.revoke_security_group_egress(GroupId=closed["GroupId"], IpPermissions=closed["IpPermissionsEgress"])
    if closed["IpPermissions"]:
        ec2.revoke_security_group_ingress(GroupId=closed["GroupId"], IpPermissions=closed["IpPermissions"])
    place.expect(place.arn("security-group", closed["GroupId"]), sg_default_closed="ok", sg_unused="skip")
    place.expect(place.arn("security-group", default_group(ec2, vpc)["GroupId"]), sg_default_closed="alarm")
    access_lists(place, ec2, vpc)
    ways(place, ec2, vpc, public, private)
    neighbours(place, ec2, vpc)
    return {"vpc": vpc, "public": public, "private": private, "groups": made}


def use(place, network, instances):
    """Addresses and interfaces, those of instances and those of nobody."""
    ec2 = place.client("ec2")
    used = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=used, InstanceId=instances["bad"])
    loose = ec2.allocate_address(Domain="vpc")["AllocationId"]
    place.expect(place.arn("elastic-ip", used), eip_associated="ok")
    place.expect(place.arn("elastic-ip", loose), eip_associated="alarm")
    second, spare = [
        ec2.create_network_interface(SubnetId=network["private"], Groups=[network["groups"]["web"]])["NetworkInterface"]["NetworkInterfaceId"]
        for _ in range(2)
    ]
    ec2.attach_network_interface(NetworkInterfaceId=second, InstanceId=instances["bad"], DeviceIndex=1)
    place.expect(place.arn("network-interface", second), eni_unused="ok")
    place.expect(place.arn("network-interface", spare), eni_unused="alarm")
