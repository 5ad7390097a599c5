//! What events are called, whatever they came in.

use serde_json::{Value, json};

use super::{call, configured, enveloped, read, told};
use crate::notification::{Event, catalogue};

#[test]
fn an_event_is_the_same_in_an_envelope_delivered_raw_and_by_eventbridge() {
    let body = call("ec2", "StopInstances", &json!({"instancesSet": {"items": [{"instanceId": "i-1"}]}}), &Value::Null);
    let (direct, wrapped) = (read(&body), read(&enveloped(&body)));
    assert_eq!(direct.name, "AWS_API_CALL_StopInstances");
    assert_eq!((&direct.name, &direct.event), (&wrapped.name, &wrapped.event));
    // What the event says of account, region and time is not that of the topic.
    assert_eq!(direct.account_id.as_deref(), Some("111122223333"));
    assert_eq!(
        (&direct.account_id, &direct.region, &direct.time),
        (&wrapped.account_id, &wrapped.region, &wrapped.time)
    );
    assert_eq!(direct.time.as_deref(), Some("2026-02-01T09:59:58Z"));
    assert_eq!((direct.message_id.as_deref(), wrapped.message_id.as_deref()), (Some("7e1d"), Some("m-1")));
    assert_eq!(read(&enveloped(&enveloped(&body))).event, direct.event);
}

#[test]
fn a_change_of_configuration_is_called_after_its_type_and_what_has_changed() {
    let name = |difference: &Value| read(&configured("AWS::EC2::Instance", "i-1", difference)).name;
    let state = json!({"Configuration.State.Name": {"previousValue": "running", "updatedValue": "stopped", "changeType": "UPDATE"}});
    assert_eq!(name(&json!({"changeType": "UPDATE", "changedProperties": {}})), "AWS_EC2_Instance_UPDATE");
    assert_eq!(name(&json!({"changeType": "UPDATE", "changedProperties": state})), "AWS_EC2_Instance_stopped");
    assert_eq!(name(&json!({"changeType": "CREATE", "changedProperties": state})), "AWS_EC2_Instance_CREATE");
    assert_eq!(name(&Value::Null), "AWS_EC2_Instance_UPDATE");
    let volume = configured("AWS::EC2::Volume", "vol-1", &json!({"changeType": "UPDATE", "changedProperties": state}));
    assert_eq!(read(&volume).name, "AWS_EC2_Volume_UPDATE");
    let through_eventbridge = json!({
        "detail-type": "Config Configuration Item Change", "source": "aws.config", "account": "111122223333",
        "region": "eu-west-1", "detail": volume,
    });
    assert_eq!(read(&through_eventbridge).event, read(&volume).event);
}

#[test]
fn a_change_that_is_too_large_to_be_sent_is_named_by_its_summary() {
    let body = json!({
        "messageType": "OversizedConfigurationItemChangeNotification",
        "configurationItemSummary": {
            "changeType": "DELETE", "resourceType": "AWS::EC2::SecurityGroup", "resourceId": "sg-1",
            "awsAccountId": "111122223333", "awsRegion": "eu-west-1",
        },
        "s3DeliverySummary": {"s3BucketLocation": "bucket/key", "errorCode": null},
    });
    let notification = read(&enveloped(&body));
    assert_eq!(notification.name, "AWS_EC2_SecurityGroup_DELETE");
    assert_eq!(super::named(&body), ["security_groups sg-1"]);
}

#[test]
fn what_services_and_alarms_tell_has_the_name_of_what_is_told() {
    let state =
        told("EC2 Instance State-change Notification", &json!([]), &json!({"instance-id": "i-1", "state": "pending"}));
    assert_eq!(read(&state).name, "EC2_Instance_State_change_Notification_pending");
    assert_eq!(read(&told("EBS Snapshot Notification", &json!([]), &json!({}))).name, "EBS_Snapshot_Notification");
    let alarm = json!({"AlarmName": "full disk", "AWSAccountId": "111122223333", "NewStateValue": "ALARM", "StateChangeTime": "t"});
    let alarm = read(&enveloped(&alarm));
    assert_eq!((alarm.name.as_str(), &alarm.event), ("AWS_ALARM_full disk", &Event::Alarm));
    assert_eq!((alarm.account_id.as_deref(), alarm.region.as_deref()), (Some("111122223333"), Some("eu-central-1")));
    let direct = json!({"detail-type": "CloudWatch Alarm State Change", "detail": {"alarmName": "full disk"}});
    assert_eq!(read(&direct).name, "AWS_ALARM_full disk");
}

#[test]
fn what_is_not_known_has_a_name_and_is_no_error() {
    let name = |body: Value| {
        let notification = read(&body);
        assert_eq!(notification.event, Event::Unknown, "{body}");
        notification.name
    };
    assert_eq!(
        name(json!({"messageType": "ConfigurationSnapshotDeliveryCompleted"})),
        "AWS_CONFIG_ConfigurationSnapshotDeliveryCompleted"
    );
    assert_eq!(name(json!({"Records": [{"eventName": "ObjectCreated:Put"}]})), "ObjectCreated:Put");
    assert_eq!(name(json!({"Service": "Amazon S3", "Event": "s3:TestEvent"})), "s3:TestEvent");
    let confirmation =
        json!({"Type": "SubscriptionConfirmation", "MessageId": "m", "TopicArn": "t", "Message": "visit …"});
    assert_eq!(name(confirmation), "SNS_SubscriptionConfirmation");
    let text = json!({"Type": "Notification", "MessageId": "m", "TopicArn": "t", "Message": "hello"});
    assert_eq!(name(text), "SNS_Notification");
    assert_eq!(name(json!({})), "unknown");
}

#[test]
fn the_catalogue_has_every_event_that_controls_are_evaluated_again_for() {
    let all = catalogue();
    let has = |event: &str, table: &str| all.iter().any(|known| known.event == event && known.table == table);
    let expected = [
        (
            "aws_vpc_security_group",
            "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress \
          RevokeSecurityGroupEgress ModifySecurityGroupRules CreateSecurityGroup DeleteSecurityGroup",
        ),
        (
            "aws_ec2_instance",
            "RunInstances StartInstances StopInstances TerminateInstances ModifyInstanceAttribute \
          ModifyInstanceMetadataOptions AssociateIamInstanceProfile AttachVolume DetachVolume",
        ),
        ("aws_ebs_volume", "CreateVolume AttachVolume DetachVolume DeleteVolume"),
        ("aws_ebs_snapshot", "CreateSnapshot DeleteSnapshot ModifySnapshotAttribute"),
        ("aws_vpc_eip", "AllocateAddress AssociateAddress DisassociateAddress ReleaseAddress"),
        ("aws_vpc_network_acl", "CreateNetworkAclEntry ReplaceNetworkAclEntry"),
        ("aws_vpc_route_table", "CreateRoute ReplaceRoute"),
        ("aws_vpc_flow_log", "CreateFlowLogs DeleteFlowLogs"),
        ("aws_vpc_subnet", "ModifySubnetAttribute"),
        ("aws_ec2_regional_settings", "EnableEbsEncryptionByDefault DisableEbsEncryptionByDefault"),
    ];
    for (table, calls) in expected {
        for name in calls.split_whitespace() {
            assert!(has(&format!("AWS_API_CALL_{name}"), table), "{name} of {table}");
        }
    }
    assert!(has("EC2_Instance_State_change_Notification", "aws_ec2_instance"));
    let mut once = all.clone();
    once.dedup_by(|one, other| (&one.event, one.table) == (&other.event, other.table));
    assert_eq!(once, all, "an event is once in the catalogue for a table");
}

#[test]
fn every_table_of_the_catalogue_is_one_that_a_provider_has() {
    let known: Vec<String> =
        crate::SERVICES.iter().flat_map(|service| service.tables()).map(|table| table.name.to_string()).collect();
    for event in catalogue() {
        assert!(known.iter().any(|table| table == event.table), "{event:?}");
    }
}
