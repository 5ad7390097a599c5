//! What S3 writes in XML, as the JSON that its API is documented in: lists are lists also where they hold one thing,
//! numbers are numbers.

use serde_json::{Map, Value};

/// Elements of which there may be several: in which element they are, their name, and that of the list.
const LISTS: [(&str, &str, &str); 18] = [
    ("AccessControlList", "Grant", "Grants"),
    ("And", "Tag", "Tags"),
    ("CloudFunctionConfiguration", "Event", "Events"),
    ("LifecycleConfiguration", "Rule", "Rules"),
    ("NotificationConfiguration", "CloudFunctionConfiguration", "LambdaFunctionConfigurations"),
    ("NotificationConfiguration", "QueueConfiguration", "QueueConfigurations"),
    ("NotificationConfiguration", "TopicConfiguration", "TopicConfigurations"),
    ("OwnershipControls", "Rule", "Rules"),
    ("QueueConfiguration", "Event", "Events"),
    ("ReplicationConfiguration", "Rule", "Rules"),
    ("RoutingRules", "RoutingRule", "RoutingRules"),
    ("Rule", "NoncurrentVersionTransition", "NoncurrentVersionTransitions"),
    ("Rule", "Transition", "Transitions"),
    ("S3Key", "FilterRule", "FilterRules"),
    ("ServerSideEncryptionConfiguration", "Rule", "Rules"),
    ("TargetGrants", "Grant", "Grants"),
    ("TopicConfiguration", "Event", "Events"),
    ("BlockedEncryptionTypes", "EncryptionType", "EncryptionType"),
];
/// Elements that hold nothing but a list.
const WRAPPERS: [&str; 3] = ["AccessControlList", "RoutingRules", "TargetGrants"];
/// Other names of elements.
const NAMES: [(&str, &str); 6] = [
    ("@type", "Type"),
    ("AccessControlList", "Grants"),
    ("CloudFunction", "LambdaFunctionArn"),
    ("Queue", "QueueArn"),
    ("S3Key", "Key"),
    ("Topic", "TopicArn"),
];
/// Elements that are numbers.
const NUMBERS: [&str; 9] = [
    "Days",
    "DaysAfterInitiation",
    "Minutes",
    "NewerNoncurrentVersions",
    "NoncurrentDays",
    "ObjectSizeGreaterThan",
    "ObjectSizeLessThan",
    "Priority",
    "Years",
];
/// Elements that are `true` or `false`.
const BOOLEANS: [&str; 2] = ["BucketKeyEnabled", "ExpiredObjectDeleteMarker"];
/// An element that says something by being there.
const FLAG: &str = "EventBridgeConfiguration";

/// What is in an element of that name.
pub(super) fn shaped(name: &str, value: &Value) -> Value {
    let Some(children) = value.as_object() else { return single(name, value) };
    let mut made = Map::new();
    for (child, value) in children {
        let list = LISTS.iter().find(|(within, element, _)| *within == name && element == child);
        match (list, value) {
            (Some((_, _, list)), _) => drop(made.insert((*list).to_owned(), list_of(child, value))),
            (None, Value::Null) if child == FLAG => drop(made.insert(child.clone(), Value::Object(Map::new()))),
            (None, Value::Null) => {}
            (None, value) => drop(made.insert(named(child), shaped(child, value))),
        }
    }
    match WRAPPERS.contains(&name) && made.len() <= 1 {
        true => made.into_iter().next().map_or_else(|| Value::Array(Vec::new()), |(_, list)| list),
        false => Value::Object(made),
    }
}

fn list_of(name: &str, value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(|value| shaped(name, value)).collect(),
        single => Value::Array(vec![shaped(name, single)]),
    }
}

fn named(name: &str) -> String {
    let other = NAMES.iter().find(|(known, _)| *known == name);
    other.map_or(name, |(_, other)| other).to_owned()
}

fn single(name: &str, value: &Value) -> Value {
    let text = value.as_str().unwrap_or_default();
    let typed = match name {
        name if NUMBERS.contains(&name) => text.parse::<i64>().ok().map(Value::from),
        name if BOOLEANS.contains(&name) => truth(value).map(Value::Bool),
        _ => None,
    };
    typed.unwrap_or_else(|| value.clone())
}

/// Yes or no, which S3 writes in either case.
pub(super) fn truth(value: &Value) -> Option<bool> {
    value.as_str()?.to_ascii_lowercase().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_rule_is_a_list_as_two_are_and_numbers_are_numbers() {
        let written = json!({"Rule": {
            "ID": "old", "Filter": {"And": {"Prefix": "a/", "Tag": {"Key": "true", "Value": "7"}}}, "Prefix": null,
            "Transition": [{"Days": "30", "StorageClass": "GLACIER"}, {"Days": "90", "StorageClass": "DEEP_ARCHIVE"}],
            "Expiration": {"ExpiredObjectDeleteMarker": "true"},
        }});
        let made = json!({"Rules": [{
            "ID": "old", "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "true", "Value": "7"}]}},
            "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}, {"Days": 90, "StorageClass": "DEEP_ARCHIVE"}],
            "Expiration": {"ExpiredObjectDeleteMarker": true},
        }]});
        assert_eq!(shaped("LifecycleConfiguration", &written), made);
        let lock =
            json!({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Years": "1"}}});
        assert_eq!(shaped("ObjectLockConfiguration", &lock)["Rule"]["DefaultRetention"]["Years"], 1);
    }

    #[test]
    fn what_wraps_a_list_is_the_list() {
        let acl = json!({"Owner": {"ID": "1"}, "AccessControlList": {"Grant": {"Grantee": {"@type": "Group"}}}});
        assert_eq!(
            shaped("AccessControlPolicy", &acl),
            json!({"Owner": {"ID": "1"}, "Grants": [{"Grantee": {"Type": "Group"}}]})
        );
        let site = json!({"RoutingRules": {"RoutingRule": {"Redirect": {"HostName": "a"}}}});
        assert_eq!(shaped("WebsiteConfiguration", &site), json!({"RoutingRules": [{"Redirect": {"HostName": "a"}}]}));
        let events = json!({"TopicConfiguration": {"Id": "x", "Topic": "arn:t", "Event": "s3:ObjectCreated:*"},
            "EventBridgeConfiguration": null});
        assert_eq!(
            shaped("NotificationConfiguration", &events),
            json!({"TopicConfigurations": [{"Id": "x", "TopicArn": "arn:t", "Events": ["s3:ObjectCreated:*"]}],
                "EventBridgeConfiguration": {}})
        );
    }
}
