"""A small estate in AWS as moto pretends to be it: estate.py ENDPOINT ACCOUNT… makes one in each of the regions of
each account, of everything that EC2 lists and moto knows."""

import datetime
import sys

import boto3
import estate_accounts
import estate_services

REGIONS = ["us-east-1", "eu-west-1"]
# Each started by itself: moto counts reservations, not instances, when it cuts a listing into pages.
INSTANCES = 12
IMAGE = "ami-12345678"


def session(endpoint, account):
    """The keys of an account: moto gives them to whoever assumes a role in it."""
    sts = boto3.client("sts", endpoint_url=endpoint, region_name=REGIONS[0], aws_access_key_id="test", aws_secret_access_key="test")
    role = f"arn:aws:iam::{account}:role/audit"
    keys = sts.assume_role(RoleArn=role, RoleSessionName="seed")["Credentials"]
    return boto3.Session(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def tags(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}, {"Key": "env", "Value": "test"}]}]


def network(ec2, region):
    """A VPC with a public and a private subnet, and what leads in and out."""
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16", TagSpecifications=tags("vpc", "main"))["Vpc"]["VpcId"]
    ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.21.0.0/16")
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{number}.0/24", AvailabilityZone=f"{region}{zone}")["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]
    ec2.modify_subnet_attribute(SubnetId=subnets[0], MapPublicIpOnLaunch={"Value": True})
    gateway = ec2.create_internet_gateway(TagSpecifications=tags("internet-gateway", "main"))["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    ec2.create_internet_gateway()
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)["NatGateway"]["NatGatewayId"]
    for subnet, way in zip(subnets, [{"GatewayId": gateway}, {"NatGatewayId": nat}]):
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **way)
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    for number, port, action in [(90, 22, "deny"), (100, 22, "allow"), (110, 443, "allow")]:
        ec2.create_network_acl_entry(
            NetworkAclId=acl, RuleNumber=number, Protocol="6", RuleAction=action, Egress=False,
            CidrBlock="0.0.0.0/0", PortRange={"From": port, "To": port},
        )
    return vpc, subnets


def groups(ec2, vpc):
    """Security groups whose rules have sources of each kind. Gives the one that lets the world in."""
    make = lambda name: ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    web, internal = make("web"), make("internal")
    prefixes = ec2.create_managed_prefix_list(
        PrefixListName="offices", AddressFamily="IPv4", MaxEntries=5, Entries=[{"Cidr": "192.0.2.0/24", "Description": "here"}]
    )["PrefixList"]["PrefixListId"]
    world = {"IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    ec2.authorize_security_group_ingress(
        GroupId=web,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 20, "ToPort": 25, **world},
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, **world, "PrefixListIds": [{"PrefixListId": prefixes}]},
        ],
    )
    ec2.authorize_security_group_ingress(
        GroupId=internal, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": web}, {"GroupId": internal}]}]
    )
    return web


def connections(ec2, account, region, vpc, subnets, group):
    """What connects the VPC with others."""
    other = ec2.create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"]
    peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=other)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=f"com.amazonaws.{region}.ec2", VpcEndpointType="Interface", SubnetIds=subnets, SecurityGroupIds=[group]
    )
    gateway = ec2.create_transit_gateway(Description="hub", Options={"AutoAcceptSharedAttachments": "enable"})
    customer = ec2.create_customer_gateway(Type="ipsec.1", PublicIp="203.0.113.12", BgpAsn=65000)["CustomerGateway"]["CustomerGatewayId"]
    ec2.create_vpn_connection(
        Type="ipsec.1", CustomerGatewayId=customer, TransitGatewayId=gateway["TransitGateway"]["TransitGatewayId"]
    )
    ec2.create_flow_logs(
        ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogGroupName="flow",
        DeliverLogsPermissionArn=f"arn:aws:iam::{account}:role/flow",
    )


def use_of_processors(cloudwatch, instance):
    """An instance that was busy by 2, 4 and 6 percent in three of the last hours."""
    hour = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    dimensions = [{"Name": "InstanceId", "Value": instance}]
    for ago, value in [(30, 2.0), (20, 4.0), (10, 6.0)]:
        moment = hour - datetime.timedelta(hours=ago) + datetime.timedelta(minutes=5)
        datum = {"MetricName": "CPUUtilization", "Dimensions": dimensions, "Timestamp": moment, "Value": value, "Unit": "Percent"}
        cloudwatch.put_metric_data(Namespace="AWS/EC2", MetricData=[datum])


def machines(ec2, region, subnets, group):
    """Instances, volumes, and what they are made of. Gives the first instance."""
    ec2.create_key_pair(KeyName="admin")
    ec2.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"ImageId": IMAGE, "MetadataOptions": {"HttpTokens": "required"}}
    )
    instances = [
        ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="t3.micro", SubnetId=subnets[number % 2],
            SecurityGroupIds=[group], TagSpecifications=tags("instance", f"web-{number}"),
            UserData="#!/bin/sh\n",
        )["Instances"][0]["InstanceId"]
        for number in range(INSTANCES)
    ]
    ec2.modify_instance_attribute(InstanceId=instances[0], DisableApiTermination={"Value": True})
    volumes = [
        ec2.create_volume(AvailabilityZone=f"{region}a", Size=size, Encrypted=size > 10, TagSpecifications=tags("volume", "data"))["VolumeId"]
        for size in (8, 16, 32)
    ]
    ec2.attach_volume(VolumeId=volumes[0], InstanceId=instances[0], Device="/dev/sdf")
    ec2.create_snapshot(VolumeId=volumes[1], Description="backup")
    shared = ec2.create_snapshot(VolumeId=volumes[2], Description="shared")["SnapshotId"]
    ec2.modify_snapshot_attribute(SnapshotId=shared, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"])
    ec2.create_image(InstanceId=instances[0], Name="golden")
    ec2.create_network_interface(SubnetId=subnets[1], Groups=[group])
    return instances[0]


def main(endpoint, accounts):
    for account in accounts:
        keys = session(endpoint, account)
        for region in REGIONS:
            ec2 = keys.client("ec2", endpoint_url=endpoint, region_name=region)
            logs = keys.client("logs", endpoint_url=endpoint, region_name=region)
            logs.create_log_group(logGroupName="flow")
            vpc, subnets = network(ec2, region)
            group = groups(ec2, vpc)
            connections(ec2, account, region, vpc, subnets, group)
            first = machines(ec2, region, subnets, group)
            use_of_processors(keys.client("cloudwatch", endpoint_url=endpoint, region_name=region), first)
            client = lambda service: keys.client(service, endpoint_url=endpoint, region_name=region)
            estate_services.make(client, account, region, vpc, subnets, group, first)
            estate_accounts.buckets(client, account, region)
        estate_accounts.account(client, account)


main(sys.argv[1], sys.argv[2:])
