"""What an estate has beside what EC2 lists: databases, load balancers, file systems, names."""

import datetime
import json

# More than a page of the tests has.
MANY = 7
# RDS has no pages of less than twenty.
DATABASES = 23
TAGS = [{"Key": "env", "Value": "test"}]


def measured(cloudwatch, namespace, dimension, values):
    """Datapoints of ten, twenty and thirty hours ago, of each metric."""
    hour = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    dimensions = [{"Name": dimension[0], "Value": dimension[1]}]
    for metric, points in values.items():
        for hours, value in zip((30, 20, 10), points):
            moment = hour - datetime.timedelta(hours=hours) + datetime.timedelta(minutes=5)
            datum = {"MetricName": metric, "Dimensions": dimensions, "Timestamp": moment, "Value": value}
            cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])


def counted(cloudwatch, namespace, dimension, values):
    """Datapoints of two, three and four days ago, of each metric."""
    noon = datetime.datetime.now(datetime.timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
    dimensions = [{"Name": dimension[0], "Value": dimension[1]}]
    for metric, points in values.items():
        for days, value in zip((4, 3, 2), points):
            moment = noon - datetime.timedelta(days=days)
            datum = {"MetricName": metric, "Dimensions": dimensions, "Timestamp": moment, "Value": value}
            cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])


def databases(client, subnets, group):
    """Databases, the first of which is busy and has a snapshot for everybody, and a cluster."""
    rds = client("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="main", DBSubnetGroupDescription="main", SubnetIds=subnets)
    user = {"MasterUsername": "owner", "MasterUserPassword": "of no account"}
    for number in range(DATABASES):
        rds.create_db_instance(
            DBInstanceIdentifier=f"orders-{number}", Engine="postgres", DBInstanceClass="db.t4g.micro", AllocatedStorage=20,
            VpcSecurityGroupIds=[group], DBSubnetGroupName="main", StorageEncrypted=number > 0, Tags=TAGS, **user,
        )
    for name in ("kept", "shared"):
        rds.create_db_snapshot(DBInstanceIdentifier="orders-0", DBSnapshotIdentifier=name, Tags=TAGS)
    rds.modify_db_snapshot_attribute(DBSnapshotIdentifier="shared", AttributeName="restore", ValuesToAdd=["all"])
    rds.create_db_cluster(DBClusterIdentifier="ledger", Engine="aurora-postgresql", Tags=TAGS, **user)
    rds.create_db_cluster_snapshot(DBClusterIdentifier="ledger", DBClusterSnapshotIdentifier="kept")
    rds.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier="kept", AttributeName="restore", ValuesToAdd=["210987654321"]
    )
    values = {"CPUUtilization": (1.0, 2.0, 6.0), "DatabaseConnections": (0.0, 1.0, 3.0), "FreeStorageSpace": (18 << 30, 16 << 30, 5 << 30)}
    measured(client("cloudwatch"), "AWS/RDS", ("DBInstanceIdentifier", "orders-0"), values)


def balancers(client, vpc, subnets, group, instance):
    """Load balancers of all types, with listeners and targets."""
    classic, current = client("elb"), client("elbv2")
    listeners = [
        {"Protocol": "http", "LoadBalancerPort": 80, "InstanceProtocol": "http", "InstancePort": 8080},
        {"Protocol": "tcp", "LoadBalancerPort": 5432, "InstanceProtocol": "tcp", "InstancePort": 5432},
    ]
    for number in range(MANY):
        classic.create_load_balancer(
            LoadBalancerName=f"old-{number}", Listeners=listeners, Subnets=subnets, SecurityGroups=[group], Tags=TAGS
        )
    classic.register_instances_with_load_balancer(LoadBalancerName="old-0", Instances=[{"InstanceId": instance}])
    classic.modify_load_balancer_attributes(
        LoadBalancerName="old-0", LoadBalancerAttributes={"AccessLog": {"Enabled": True, "S3BucketName": "logs", "EmitInterval": 5}}
    )
    arns = [
        current.create_load_balancer(
            Name=f"web-{number}", Subnets=subnets, SecurityGroups=[group], Type="application", Tags=TAGS
        )["LoadBalancers"][0]["LoadBalancerArn"]
        for number in range(MANY)
    ]
    for kind in ("network", "gateway"):
        current.create_load_balancer(Name=kind, Subnets=subnets, Type=kind, Tags=TAGS)
    attributes = {"deletion_protection.enabled": "true", "routing.http.drop_invalid_header_fields.enabled": "true"}
    current.modify_load_balancer_attributes(
        LoadBalancerArn=arns[0], Attributes=[{"Key": key, "Value": value} for key, value in attributes.items()]
    )
    targets = current.create_target_group(
        Name="web", Protocol="HTTP", Port=8080, VpcId=vpc, HealthCheckPath="/health", Tags=TAGS
    )["TargetGroups"][0]["TargetGroupArn"]
    current.register_targets(TargetGroupArn=targets, Targets=[{"Id": instance}])
    current.create_listener(
        LoadBalancerArn=arns[0], Protocol="HTTP", Port=8080, DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}]
    )
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    current.create_listener(
        LoadBalancerArn=arns[0], Protocol="HTTP", Port=80, DefaultActions=[{"Type": "redirect", "RedirectConfig": redirect}]
    )
    cloudwatch = client("cloudwatch")
    name = arns[0].split(":loadbalancer/")[1]
    counted(cloudwatch, "AWS/ApplicationELB", ("LoadBalancer", name), {"RequestCount": (100, 20, 3), "HTTPCode_ELB_5XX_Count": (4, 1, 0)})
    counted(cloudwatch, "AWS/ELB", ("LoadBalancerName", "old-0"), {"RequestCount": (7, 0, 0)})


def files(client, account, region, subnets, group):
    """File systems, the first of which is mounted, backed up and used."""
    efs = client("efs")
    systems = [
        efs.create_file_system(CreationToken=f"files-{number}", Encrypted=True, Backup=number == 0, Tags=TAGS)["FileSystemId"]
        for number in range(MANY)
    ]
    efs.create_mount_target(FileSystemId=systems[0], SubnetId=subnets[0], SecurityGroups=[group])
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "elasticfilesystem:ClientMount"}]}
    efs.put_file_system_policy(FileSystemId=systems[0], Policy=json.dumps(policy))
    measured(client("cloudwatch"), "AWS/EFS", ("FileSystemId", systems[0]), {"PercentIOLimit": (20.0, 81.5, 3.0)})


def names(client, account, region, vpc):
    """Hosted zones with records of several kinds, and health checks."""
    route53 = client("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference=f"{account}-public")["HostedZone"]["Id"]
    route53.create_hosted_zone(
        Name="internal.example", CallerReference=f"{account}-private", VPC={"VPCId": vpc, "VPCRegion": region},
        HostedZoneConfig={"PrivateZone": True, "Comment": "inside"},
    )
    for number in range(MANY):
        route53.create_hosted_zone(Name=f"zone-{number}.example", CallerReference=f"{account}-{number}")
    checks = [
        route53.create_health_check(
            CallerReference=f"{account}-{port}",
            HealthCheckConfig={
                "IPAddress": "203.0.113.7", "Port": port, "Type": "HTTP", "ResourcePath": "/", "RequestInterval": 30, "FailureThreshold": 3,
            },
        )["HealthCheck"]["Id"]
        for port in (80, 8080)
    ]
    value = lambda text: {"TTL": 300, "ResourceRecords": [{"Value": text}]}
    sets = [{"Name": f"host-{number}.example.com", "Type": "A", **value(f"203.0.113.{number}")} for number in range(2 * MANY)]
    sets += [
        {"Name": "a.example.com", "Type": "A", "SetIdentifier": where, "Weight": weight, "HealthCheckId": checks[0], **value("203.0.113.99")}
        for where, weight in (("east", 10), ("west", 20))
    ]
    target = {"HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": "web.us-east-1.elb.amazonaws.com", "EvaluateTargetHealth": True}
    sets.append({"Name": "www.example.com", "Type": "A", "AliasTarget": target})
    changes = [{"Action": "CREATE", "ResourceRecordSet": one} for one in sets]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone.rsplit("/", 1)[1], AddTags=TAGS)
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=checks[0], AddTags=TAGS)
    group = f"arn:aws:logs:us-east-1:{account}:log-group:/aws/route53/example.com:*"
    client("logs").create_log_group(logGroupName="/aws/route53/example.com")
    route53.create_query_logging_config(HostedZoneId=zone.rsplit("/", 1)[1], CloudWatchLogsLogGroupArn=group)


def make(client, account, region, vpc, subnets, group, instance):
    """Makes all of it; `client` gives a client of a service there."""
    databases(client, subnets, group)
    balancers(client, vpc, subnets, group, instance)
    files(client, account, region, subnets, group)
    if region == "us-east-1":
        names(client, account, region, vpc)
