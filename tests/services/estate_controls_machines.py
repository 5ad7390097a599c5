"""What estate_controls.py makes of instances, volumes, snapshots and images."""

import datetime

# moto does not know it, and takes what is started of such an image for paravirtual.
UNKNOWN_IMAGE = "ami-12345678"


def measured(place, namespace, dimension, metric, value, hours=30):
    """A datapoint in each of the last hours."""
    hour = datetime.datetime.now(datetime.timezone.utc).replace(minute=5, second=0, microsecond=0)
    data = [
        {
            "MetricName": metric,
            "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}],
            "Timestamp": hour - datetime.timedelta(hours=1 + ago),
            "Value": value,
        }
        for ago in range(hours)
    ]
    place.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)


def start(ec2, image, **more):
    return ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, **more)["Instances"][0]["InstanceId"]


def instances(place, ec2, network):
    """An instance that is as it should be, one that does all wrong, and some for special cases."""
    image = ec2.register_image(Name="base", RootDeviceName="/dev/sda1")["ImageId"]
    root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "Encrypted": True, "DeleteOnTermination": True}}
    private = {"SubnetId": network["private"], "SecurityGroupIds": [network["groups"]["web"]]}
    owned = [{"ResourceType": "instance", "Tags": [{"Key": "owner", "Value": "ops"}]}]
    made = {
        "good": start(
            ec2, image, InstanceType="m5.large", EbsOptimized=True, Monitoring={"Enabled": True}, BlockDeviceMappings=[root],
            MetadataOptions={"HttpTokens": "required"}, IamInstanceProfile={"Name": "app"}, UserData="#!/bin/sh\nyum update\n",
            TagSpecifications=owned, **private,
        ),
        "bad": start(
            ec2, UNKNOWN_IMAGE, InstanceType="m1.large", SubnetId=network["public"], SecurityGroupIds=[network["groups"]["web"]],
            UserData="#!/bin/sh\nexport PASSWORD=correcthorsebattery\n",
        ),
        "stopped": start(ec2, image, InstanceType="t3.micro", **private),
        "offline": start(ec2, image, InstanceType="t3.micro", MetadataOptions={"HttpEndpoint": "disabled"}, **private),
        "gone": start(ec2, image, InstanceType="t3.micro", **private),
    }
    ec2.modify_instance_attribute(InstanceId=made["good"], DisableApiTermination={"Value": True})
    measured(place, "AWS/EC2", ("InstanceId", made["good"]), "CPUUtilization", 40.0)
    measured(place, "AWS/EC2", ("InstanceId", made["bad"]), "CPUUtilization", 0.25)
    measured(place, "AWS/EC2", ("InstanceId", made["offline"]), "CPUUtilization", 0.25, hours=3)
    return made


SAME = [
    "ec2_imdsv2_required", "ec2_no_public_ip", "ec2_instance_profile_attached", "ec2_ebs_optimized", "ec2_detailed_monitoring",
    "ec2_single_eni", "ec2_no_paravirtual", "ec2_idle", "ec2_required_tags", "ec2_termination_protection",
    "ec2_user_data_no_secrets",
]


def expect_instances(place, made):
    arn = {name: place.arn("instance", instance) for name, instance in made.items()}
    old = {"ec2_older_than_180_days": "alarm"}
    place.expect(
        arn["good"], **dict.fromkeys(SAME, "ok"), ec2_in_vpc="ok", ec2_stopped_30_days="ok", ec2_older_than_180_days="ok",
        later=old,
    )
    place.expect(arn["bad"], **dict.fromkeys(SAME, "alarm"), ec2_older_than_180_days="ok", later=old)
    place.expect(
        arn["stopped"], ec2_stopped_30_days="ok", ec2_idle="skip", ec2_user_data_no_secrets="skip", ec2_older_than_180_days="skip",
        later={"ec2_stopped_30_days": "alarm", "ec2_older_than_180_days": "skip"},
    )
    place.expect(arn["offline"], ec2_imdsv2_required="ok", ec2_idle="skip")
    place.expect(arn["gone"], **dict.fromkeys(SAME, "absent"), ec2_in_vpc="absent")


def volumes(place, ec2, made):
    """Volumes that are attached, those that are not, and their snapshots."""
    zone = f"{place.region}a"
    sealed, plain, loose = [
        ec2.create_volume(AvailabilityZone=zone, Size=8, Encrypted=encrypted)["VolumeId"] for encrypted in (True, False, False)
    ]
    ec2.attach_volume(VolumeId=sealed, InstanceId=made["bad"], Device="/dev/sdf")
    ec2.attach_volume(VolumeId=plain, InstanceId=made["bad"], Device="/dev/sdg")
    place.expect(
        place.arn("volume", sealed), ebs_volume_encrypted="ok", ebs_volume_attached="ok", ebs_volume_has_snapshot="ok",
        later={"ebs_volume_has_snapshot": "alarm"},
    )
    place.expect(
        place.arn("volume", plain), ebs_volume_encrypted="alarm", ebs_volume_attached="ok", ebs_volume_has_snapshot="skip",
        later={"ebs_volume_has_snapshot": "alarm"},
    )
    place.expect(
        place.arn("volume", loose), ebs_volume_encrypted="skip", ebs_volume_attached="alarm", ebs_volume_has_snapshot="skip"
    )
    kept = ec2.create_snapshot(VolumeId=sealed, Description="kept")["SnapshotId"]
    shared = ec2.create_snapshot(VolumeId=loose, Description="shared")["SnapshotId"]
    ec2.modify_snapshot_attribute(SnapshotId=shared, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"])
    old = {"ebs_snapshot_old": "alarm"}
    place.expect(place.shared("snapshot", kept), ebs_snapshot_not_public="ok", ebs_snapshot_encrypted="ok", ebs_snapshot_old="ok", later=old)
    place.expect(place.shared("snapshot", shared), ebs_snapshot_not_public="alarm", ebs_snapshot_encrypted="alarm", ebs_snapshot_old="ok", later=old)
    place.expect(place.arn("instance", made["good"]), ebs_delete_on_termination="ok")
    place.expect(place.arn("instance", made["bad"]), ebs_delete_on_termination="alarm")


def images(place, ec2, made):
    old = {"ami_old_90_days": "alarm"}
    for name, status in (("private", "ok"), ("public", "alarm")):
        image = ec2.create_image(InstanceId=made["good"], Name=name)["ImageId"]
        if status == "alarm":
            ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"Group": "all"}]})
        place.expect(place.shared("image", image), ami_not_public=status, ami_old_90_days="ok", later=old)


def templates(place, ec2):
    for name, data, metadata, address in (
        ("strict", {"MetadataOptions": {"HttpTokens": "required"}}, "ok", "ok"),
        ("lax", {"MetadataOptions": {"HttpTokens": "optional"}}, "alarm", "ok"),
        ("silent", {}, "alarm", "ok"),
        ("public", {"NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": True}]}, "alarm", "alarm"),
    ):
        made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": UNKNOWN_IMAGE, **data})
        arn = place.arn("launch-template", made["LaunchTemplate"]["LaunchTemplateId"])
        place.expect(arn, ec2_launch_template_imdsv2=metadata, ec2_launch_template_no_public_ip=address)


def make(place, network):
    """Gives the instances by name."""
    ec2 = place.client("ec2")
    if place.is_good:
        ec2.enable_ebs_encryption_by_default()
    settings = f"arn:aws:ec2:{place.region}:{place.account}:regional-settings"
    place.expect(settings, ebs_default_encryption="ok" if place.is_good else "alarm", ebs_snapshot_bpa="skip")
    made = instances(place, ec2, network)
    expect_instances(place, made)
    volumes(place, ec2, made)
    images(place, ec2, made)
    templates(place, ec2)
    return made


def stop(place, made):
    """Stops and terminates some, once all that needs them running is made."""
    ec2 = place.client("ec2")
    ec2.stop_instances(InstanceIds=[made["stopped"]])
    ec2.terminate_instances(InstanceIds=[made["gone"]])
