//! What is named, and what is read again.

use serde_json::{Value, json};

use super::{call, configured, enveloped, named, read, to_read, told};
use crate::notification::targets;

const NOTHING: [&str; 0] = [];

#[test]
fn every_member_that_names_an_object_is_found_in_arguments_answer_and_resource() {
    let members = json!({
        "instanceId": "i-1", "imageId": "ami-1", "keyName": "k", "stackId": "s-1", "stackName": "s", "vpcId": "vpc-1",
        "subnetId": "subnet-1", "networkInterfaceId": "eni-1", "groupId": "sg-1", "allocationId": "eipalloc-1",
        "loadBalancerName": "lb", "volumeId": "vol-1", "snapshotId": "snap-1", "productId": "prod-1",
        "provisionedProductId": "pp-1", "sourceSnapshotId": "snap-2", "ownerId": "111122223333",
    });
    let all = [
        "cloud_networks vpc-1",
        "cloud_subnets subnet-1",
        "cloud_volume_snapshots snap-1",
        "cloud_volumes vol-1",
        "floating_ips eipalloc-1",
        "key_pairs k",
        "load_balancers lb",
        "miq_templates ami-1",
        "network_ports eni-1",
        "orchestration_stacks s",
        "orchestration_stacks s-1",
        "security_groups sg-1",
        "service_instances pp-1",
        "service_offerings prod-1",
        "vms i-1",
    ];
    assert_eq!(named(&call("any", "Any", &members, &Value::Null)), all);
    assert_eq!(named(&call("any", "Any", &Value::Null, &members)), all);
    let mut about = call("any", "Any", &Value::Null, &Value::Null);
    about["detail"]["resource"] = members;
    assert_eq!(named(&about), all);
}

#[test]
fn what_a_call_is_about_is_found_where_calls_nest_it_and_not_where_they_mention_it() {
    let nested = json!({
        "instancesSet": {"items": [{"instanceId": "i-1", "networkInterfaceSet": {"items": [
            {"networkInterfaceId": "eni-1", "groupSet": {"items": [{"groupId": "sg-1"}]}}]}}]},
        "instances": [{"instanceId": "i-2"}],
        "networkInterface": {"vpcId": "vpc-1"},
        "recordDetail": {"productId": "prod-1"},
        "vpc": {"vpcId": "vpc-2"},
        "blockDeviceMapping": {"items": [{"ebs": {"snapshotId": "snap-1"}}]},
        "subnet": {"subnetId": "subnet-1"},
    });
    assert_eq!(
        named(&call("ec2", "Any", &Value::Null, &nested)),
        [
            "cloud_networks vpc-1",
            "cloud_networks vpc-2",
            "network_ports eni-1",
            "security_groups sg-1",
            "service_offerings prod-1",
            "vms i-1",
            "vms i-2"
        ]
    );
}

#[test]
fn a_call_whose_arguments_are_wrapped_and_capital_is_read_as_any_other() {
    let request = json!({"ModifyVolumeRequest": {"VolumeId": "vol-1", "Size": 6}});
    assert_eq!(named(&call("ec2", "ModifyVolume", &request, &Value::Null)), ["cloud_volumes vol-1"]);
    // Of another call it is only mentioned.
    assert_eq!(named(&call("ec2", "Other", &request, &Value::Null)), NOTHING);
}

#[test]
fn an_address_is_named_by_its_allocation_and_else_by_itself() {
    let both = json!({"allocationId": "eipalloc-1", "publicIp": "192.0.2.1"});
    assert_eq!(named(&call("ec2", "AllocateAddress", &Value::Null, &both)), ["floating_ips eipalloc-1"]);
    let release = call("ec2", "ReleaseAddress", &json!({"publicIp": "192.0.2.1"}), &Value::Null);
    assert_eq!(named(&release), ["floating_ips 192.0.2.1"]);
    // It cannot be asked for by what our table calls it.
    assert_eq!(to_read(&release), ["aws_vpc_eip *"]);
}

#[test]
fn a_call_that_was_refused_or_only_reads_changes_nothing() {
    let good = call("ec2", "StopInstances", &json!({"instancesSet": {"items": [{"instanceId": "i-1"}]}}), &Value::Null);
    let (mut refused, mut reading) = (good.clone(), good.clone());
    refused["detail"]["errorCode"] = json!("Client.UnauthorizedOperation");
    reading["detail"]["readOnly"] = json!(true);
    assert_eq!(to_read(&good), ["aws_ec2_instance i-1"]);
    for body in [refused, reading] {
        assert_eq!((named(&body), to_read(&body)), (vec![], vec![]));
    }
}

#[test]
fn a_change_of_configuration_names_the_resource_by_its_type() {
    let object = |resource_type: &str, id: &str| named(&configured(resource_type, id, &Value::Null));
    assert_eq!(object("AWS::EC2::Instance", "i-1"), ["vms i-1"]);
    assert_eq!(object("AWS::EC2::EIP", "eipalloc-1"), ["floating_ips eipalloc-1"]);
    assert_eq!(object("AWS::CloudFormation::Stack", "arn:x"), ["orchestration_stacks arn:x"]);
    assert_eq!(object("AWS::EC2::RouteTable", "rtb-1"), NOTHING);
    // Of that one ManageIQ knows nothing, and we do.
    assert_eq!(to_read(&configured("AWS::EC2::RouteTable", "rtb-1", &Value::Null)), ["aws_vpc_route_table rtb-1"]);
    assert_eq!(to_read(&configured("AWS::S3::Bucket", "b", &Value::Null)), ["aws_s3_bucket b"]);
    assert_eq!(to_read(&configured("AWS::New::Thing", "x", &Value::Null)), NOTHING);
}

#[test]
fn what_services_tell_names_what_it_is_about() {
    let arn = |what: &str| json!([format!("arn:aws:ec2:eu-west-1:111122223333:{what}")]);
    let volume = told("EBS Volume Notification", &arn("volume/vol-1"), &json!({"event": "createVolume"}));
    assert_eq!(
        (named(&volume), to_read(&volume)),
        (vec!["cloud_volumes vol-1".into()], vec!["aws_ebs_volume vol-1".into()])
    );
    let snapshot = json!({"snapshot_id": "arn:aws:ec2::eu-west-1:snapshot/snap-1", "source": "arn:aws:ec2::eu-west-1:volume/vol-1"});
    let snapshot = told("EBS Snapshot Notification", &json!([]), &snapshot);
    assert_eq!(named(&snapshot), ["cloud_volume_snapshots snap-1"]);
    assert_eq!(to_read(&snapshot), ["aws_ebs_snapshot snap-1"]);
    let state = told(
        "EC2 Instance State-change Notification",
        &arn("instance/i-1"),
        &json!({"instance-id": "i-1", "state": "stopped"}),
    );
    assert_eq!((named(&state), to_read(&state)), (vec!["vms i-1".into()], vec!["aws_ec2_instance i-1".into()]));
    let database = json!({
        "detail-type": "RDS DB Instance Event", "source": "aws.rds", "account": "111122223333", "region": "eu-west-1",
        "detail": {"SourceIdentifier": "orders"},
    });
    assert_eq!(to_read(&database), ["aws_rds_db_instance orders"]);
}

#[test]
fn what_a_call_makes_is_read_where_its_answer_names_it() {
    let made = |name: &str, answer: Value| to_read(&call("ec2", name, &Value::Null, &answer));
    assert_eq!(
        made("CreateSubnet", json!({"subnet": {"subnetId": "subnet-1", "vpcId": "vpc-1"}})),
        ["aws_vpc_subnet subnet-1"]
    );
    assert_eq!(
        made("CreateRouteTable", json!({"routeTable": {"routeTableId": "rtb-1"}})),
        ["aws_vpc_route_table rtb-1"]
    );
    let logs = json!({"CreateFlowLogsResponse": {"flowLogIdSet": {"item": ["fl-1", "fl-2"]}}});
    assert_eq!(made("CreateFlowLogs", logs), ["aws_vpc_flow_log fl-1", "aws_vpc_flow_log fl-2"]);
    let endpoints = json!({"DeleteVpcEndpointsRequest": {"VpcEndpointId": {"tag": 1, "content": "vpce-1"}}});
    assert_eq!(to_read(&call("ec2", "DeleteVpcEndpoints", &endpoints, &Value::Null)), ["aws_vpc_endpoint vpce-1"]);
    let run = json!({"instancesSet": {"items": [{"instanceId": "i-1", "imageId": "ami-1"}, {"instanceId": "i-2"}]}});
    assert_eq!(made("RunInstances", run), ["aws_ec2_ami ami-1", "aws_ec2_instance i-1", "aws_ec2_instance i-2"]);
}

#[test]
fn a_load_balancer_is_read_in_the_table_of_its_type() {
    let arn = |kind: &str| format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/{kind}/web/1");
    for (kind, table) in [
        ("app", "aws_ec2_application_load_balancer"),
        ("gwy", "aws_ec2_gateway_load_balancer"),
        ("net", "aws_ec2_network_load_balancer"),
    ] {
        let arn = arn(kind);
        let subnets = call("elasticloadbalancing", "SetSubnets", &json!({"loadBalancerArn": arn}), &Value::Null);
        assert_eq!(to_read(&subnets), [format!("{table} {arn}")]);
        let mut recorded = configured("AWS::ElasticLoadBalancingV2::LoadBalancer", &arn, &Value::Null);
        recorded["configurationItem"]["ARN"] = arn.as_str().into();
        assert_eq!(to_read(&recorded), [format!("{table} {arn}")]);
    }
    // One of the first generation has a name instead, and the call may as well be about any other.
    let old = call("elasticloadbalancing", "DeleteLoadBalancer", &json!({"loadBalancerName": "old"}), &Value::Null);
    assert_eq!(
        to_read(&old),
        [
            "aws_ec2_application_load_balancer *",
            "aws_ec2_classic_load_balancer old",
            "aws_ec2_gateway_load_balancer *",
            "aws_ec2_load_balancer_listener *",
            "aws_ec2_network_load_balancer *",
            "aws_ec2_target_group *",
        ]
    );
}

#[test]
fn a_call_that_does_not_name_what_it_changes_has_the_table_read_whole() {
    let whole = |name: &str, request: Value| to_read(&call("ec2", name, &request, &Value::Null));
    assert_eq!(
        whole("DetachNetworkInterface", json!({"attachmentId": "eni-attach-1"})),
        ["aws_ec2_network_interface *"]
    );
    assert_eq!(whole("DisassociateAddress", json!({"associationId": "eipassoc-1"})), ["aws_vpc_eip *"]);
    assert_eq!(whole("DeleteSecurityGroup", json!({"groupName": "old"})), ["aws_vpc_security_group *"]);
    assert_eq!(whole("EnableEbsEncryptionByDefault", json!({})), ["aws_ec2_regional_settings *"]);
    // An id beside it would be read twice.
    let both = json!({"newNetworkAclId": "acl-1", "subnetId": "subnet-1"});
    assert_eq!(whole("ReplaceNetworkAclAssociation", both), ["aws_vpc_network_acl *", "aws_vpc_subnet subnet-1"]);
}

#[test]
fn tags_are_read_again_for_whatever_has_them() {
    let items = json!({"resourcesSet": {"items": [
        {"resourceId": "i-0a1"}, {"resourceId": "vpce-2"}, {"resourceId": "tgw-attach-3"}, {"resourceId": "sg-4"}]}});
    let body = call("ec2", "CreateTags", &items, &Value::Null);
    assert_eq!(named(&body), NOTHING);
    assert_eq!(to_read(&body), ["aws_ec2_instance i-0a1", "aws_vpc_endpoint vpce-2", "aws_vpc_security_group sg-4"]);
    assert_eq!(targets(&read(&body)).without_table, 1);
}

#[test]
fn what_belongs_to_no_region_is_read_where_it_is_collected() {
    let body = call(
        "iam",
        "AttachUserPolicy",
        &json!({"userName": "ann", "policyArn": "arn:aws:iam::aws:policy/p"}),
        &Value::Null,
    );
    let reading = targets(&read(&enveloped(&body)));
    let found: Vec<_> =
        reading.targets.iter().map(|target| (&*target.region, target.table, target.id.as_deref())).collect();
    assert_eq!(
        found,
        [("global", "aws_iam_policy", Some("arn:aws:iam::aws:policy/p")), ("global", "aws_iam_user", Some("ann"))]
    );
    let bucket = call("s3", "PutBucketPolicy", &json!({"bucketName": "b"}), &Value::Null);
    assert_eq!(to_read(&bucket), ["aws_s3_bucket b"]);
    assert_eq!(to_read(&call("s3", "PutObject", &json!({"bucketName": "b", "key": "k"}), &Value::Null)), NOTHING);
}

#[test]
fn objects_without_a_table_or_a_place_are_counted_and_not_read() {
    let stack = targets(&read(&call("cloudformation", "DeleteStack", &json!({"stackName": "s"}), &Value::Null)));
    assert_eq!((stack.targets.len(), stack.without_table, stack.without_place), (0, 1, 0));
    let mut nowhere = call("ec2", "DeleteVolume", &json!({"volumeId": "vol-1"}), &Value::Null);
    nowhere["account"] = Value::Null;
    let nowhere = targets(&read(&nowhere));
    assert_eq!((nowhere.targets.len(), nowhere.without_table, nowhere.without_place), (0, 0, 1));
}
