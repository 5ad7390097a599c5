"""What estate_controls.py makes of databases, load balancers, file systems and names."""

import datetime

from estate_controls_machines import measured


def databases(place):
    """Databases that do nothing, little and much, and a snapshot by hand of each kind."""
    rds = place.client("rds")
    user = {"MasterUsername": "owner", "MasterUserPassword": "of no account"}
    for name, cpu, free, idle, oversized, empty in (
        ("sleepy", 2.0, 18 << 30, "alarm", "alarm", "alarm"),
        ("slow", 10.0, 4 << 30, "ok", "alarm", "ok"),
        ("busy", 50.0, 4 << 30, "ok", "ok", "ok"),
        ("unmeasured", None, None, "skip", "skip", "skip"),
    ):
        arn = rds.create_db_instance(
            DBInstanceIdentifier=name, Engine="postgres", DBInstanceClass="db.t4g.micro", AllocatedStorage=20, **user
        )["DBInstance"]["DBInstanceArn"]
        if cpu is not None:
            measured(place, "AWS/RDS", ("DBInstanceIdentifier", name), "CPUUtilization", cpu)
            measured(place, "AWS/RDS", ("DBInstanceIdentifier", name), "FreeStorageSpace", free)
        place.expect(arn, rds_idle=idle, rds_oversized=oversized, rds_storage_mostly_empty=empty)
    rds.create_db_cluster(DBClusterIdentifier="ledger", Engine="aurora-postgresql", **user)
    for arn in (
        rds.create_db_snapshot(DBInstanceIdentifier="busy", DBSnapshotIdentifier="kept")["DBSnapshot"]["DBSnapshotArn"],
        rds.create_db_cluster_snapshot(DBClusterIdentifier="ledger", DBClusterSnapshotIdentifier="kept")["DBClusterSnapshot"][
            "DBClusterSnapshotArn"
        ],
    ):
        place.expect(arn, rds_snapshot_old="ok", later={"rds_snapshot_old": "alarm"})


def counted(place, namespace, dimension, metric, value):
    """A datapoint of three days ago: what is counted by days is of whole days only."""
    noon = datetime.datetime.now(datetime.timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
    datum = {
        "MetricName": metric,
        "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}],
        "Timestamp": noon - datetime.timedelta(days=3),
        "Value": value,
    }
    place.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])


def balancers(place, network, instances):
    """Load balancers that are used and healthy, used and in trouble, and new and not used."""
    elb = place.client("elbv2")
    arns = {}
    for name, kind in (("used", "application"), ("troubled", "application"), ("idle", "application"), ("flows", "network")):
        arns[name] = elb.create_load_balancer(Name=name, Subnets=[network["public"], network["private"]], Type=kind)["LoadBalancers"][0][
            "LoadBalancerArn"
        ]
    dimension = lambda name: ("LoadBalancer", arns[name].split(":loadbalancer/")[1])
    for name, errors in (("used", 0.0), ("troubled", 7.0)):
        counted(place, "AWS/ApplicationELB", dimension(name), "RequestCount", 100.0)
        counted(place, "AWS/ApplicationELB", dimension(name), "HTTPCode_ELB_5XX_Count", errors)
    counted(place, "AWS/NetworkELB", dimension("flows"), "NewFlowCount", 5.0)
    for name, instance in (("used", "good"), ("troubled", "stopped")):
        group = elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=network["vpc"])["TargetGroups"][0]["TargetGroupArn"]
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instances[instance]}])
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        elb.create_listener(LoadBalancerArn=arns[name], Protocol="HTTP", Port=80, DefaultActions=forward)
    place.expect(arns["used"], elb_inactive="ok", elb_low_requests="ok", elb_error_rate="ok", elb_no_healthy_targets="ok")
    place.expect(arns["troubled"], elb_inactive="ok", elb_low_requests="ok", elb_error_rate="alarm", elb_no_healthy_targets="alarm")
    place.expect(
        arns["idle"], elb_inactive="skip", elb_low_requests="skip", elb_no_healthy_targets="skip",
        later={"elb_inactive": "alarm", "elb_low_requests": "alarm"},
    )
    place.expect(arns["flows"], elb_inactive="ok", elb_low_requests="ok", elb_error_rate="absent")


def classic_balancers(place, network, instances):
    elb = place.client("elb")
    listener = {"Protocol": "http", "LoadBalancerPort": 80, "InstanceProtocol": "http", "InstancePort": 8080}
    for name, instance, requests, healthy in (("old-used", "good", 9.0, "ok"), ("old-idle", "stopped", None, "alarm")):
        elb.create_load_balancer(LoadBalancerName=name, Listeners=[listener], Subnets=[network["public"]])
        elb.register_instances_with_load_balancer(LoadBalancerName=name, Instances=[{"InstanceId": instances[instance]}])
        if requests:
            counted(place, "AWS/ELB", ("LoadBalancerName", name), "RequestCount", requests)
        arn = f"arn:aws:elasticloadbalancing:{place.region}:{place.account}:loadbalancer/{name}"
        place.expect(
            arn, elb_no_healthy_targets=healthy, elb_low_requests="ok" if requests else "skip", elb_inactive="absent",
            later={"elb_low_requests": "ok" if requests else "alarm"},
        )


def files(place):
    efs = place.client("efs")
    for name, percent, mode, status in (
        ("full", 81.5, "generalPurpose", "alarm"),
        ("calm", 20.0, "generalPurpose", "ok"),
        ("unlimited", 99.0, "maxIO", "skip"),
    ):
        made = efs.create_file_system(CreationToken=name, PerformanceMode=mode)
        measured(place, "AWS/EFS", ("FileSystemId", made["FileSystemId"]), "PercentIOLimit", percent)
        place.expect(made["FileSystemArn"], efs_percent_io_limit=status)


def names(place):
    """Hosted zones, which belong to no region."""
    route53 = place.client("route53")
    value = {"TTL": 300, "ResourceRecords": [{"Value": "203.0.113.9"}]}
    for name, status in (("used.example", "ok"), ("empty.example", "alarm")):
        zone = route53.create_hosted_zone(Name=name, CallerReference=f"{place.account}-{name}")["HostedZone"]["Id"].rsplit("/", 1)[1]
        if status == "ok":
            change = {"Action": "CREATE", "ResourceRecordSet": {"Name": f"www.{name}", "Type": "A", **value}}
            route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [change]})
        place.expect(f"arn:aws:route53:::hostedzone/{zone}", route53_zone_empty=status)


def make(place, network, instances):
    databases(place)
    balancers(place, network, instances)
    classic_balancers(place, network, instances)
    files(place)
