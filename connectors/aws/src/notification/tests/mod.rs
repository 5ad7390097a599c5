//! Bodies of our own, one for each rule, and the recorded ones.

mod hostile;
mod naming;
mod reading;
mod recorded;

use serde_json::{Value, json};

use super::{Notification, Object, Target, objects, parse, targets};

/// An event of EventBridge with a call that CloudTrail has recorded.
fn call(service: &str, name: &str, request: &Value, response: &Value) -> Value {
    json!({
        "version": "0", "id": "7e1d", "detail-type": "AWS API Call via CloudTrail", "source": format!("aws.{service}"),
        "account": "111122223333", "time": "2026-02-01T10:00:00Z", "region": "eu-west-1", "resources": [],
        "detail": {
            "eventVersion": "1.08", "eventTime": "2026-02-01T09:59:58Z", "eventSource": format!("{service}.amazonaws.com"),
            "eventName": name, "awsRegion": "eu-west-1", "eventType": "AwsApiCall",
            "requestParameters": request, "responseElements": response,
        },
    })
}

/// A change that AWS Config has recorded.
fn configured(resource_type: &str, id: &str, difference: &Value) -> Value {
    json!({
        "messageType": "ConfigurationItemChangeNotification", "recordVersion": "1.3",
        "configurationItemDiff": difference,
        "configurationItem": {
            "resourceType": resource_type, "resourceId": id, "awsAccountId": "111122223333", "awsRegion": "eu-west-1",
            "configurationItemCaptureTime": "2026-02-01T10:00:00.000Z", "configurationItemStatus": "OK",
        },
    })
}

/// What EC2 tells by itself.
fn told(detail_type: &str, resources: &Value, detail: &Value) -> Value {
    json!({
        "id": "7e1d", "detail-type": detail_type, "source": "aws.ec2", "account": "111122223333", "region": "eu-west-1",
        "time": "2026-02-01T10:00:00Z", "resources": resources, "detail": detail,
    })
}

/// The same in an envelope of SNS.
fn enveloped(message: &Value) -> Value {
    json!({
        "Type": "Notification", "MessageId": "m-1", "TopicArn": "arn:aws:sns:eu-central-1:999900001111:changes",
        "Message": message.to_string(), "Timestamp": "2026-02-01T10:00:01.000Z",
    })
}

fn read(body: &Value) -> Notification {
    parse(&body.to_string()).expect("it is a notification")
}

/// The objects of a body, as `collection id`.
fn named(body: &Value) -> Vec<String> {
    objects(&read(body)).into_iter().map(|Object { collection, id }| format!("{collection} {id}")).collect()
}

/// The targets of a body, as `table id`, `*` for a whole table.
fn to_read(body: &Value) -> Vec<String> {
    let all = targets(&read(body)).targets.into_iter();
    all.map(|Target { table, id, .. }| format!("{table} {}", id.as_deref().unwrap_or("*"))).collect()
}
