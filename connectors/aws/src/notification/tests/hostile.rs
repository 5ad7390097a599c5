//! Bodies that were made to do harm.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{call, enveloped, named, read};
use crate::notification::{objects, parse, targets};

#[test]
fn what_is_no_json_object_is_said_to_be_none() {
    for (body, why) in
        [("", "no JSON"), ("hello", "no JSON"), ("{\"a\":", "no JSON"), ("[1]", "no object"), ("7", "no object")]
    {
        let error = parse(body).unwrap_err().to_string();
        assert!(error.contains(why), "{body}: {error}");
    }
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "1}");
    assert!(parse(&deep).unwrap_err().to_string().contains("recursion"), "it is not followed to its end");
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(3 << 20));
    assert!(parse(&large).unwrap_err().to_string().contains("bytes"));
}

#[test]
fn members_of_wrong_types_are_as_absent_ones() {
    let values = [
        json!(7),
        json!([]),
        json!({}),
        json!(true),
        Value::Null,
        json!(""),
        json!([[["x"]]]),
        json!("x".repeat(5_000)),
    ];
    let members = [
        "account",
        "region",
        "time",
        "id",
        "resources",
        "detail",
        "detail-type",
        "source",
        "messageType",
        "AlarmName",
        "configurationItem",
        "configurationItemDiff",
        "Message",
        "Type",
        "Records",
    ];
    for value in &values {
        for member in members {
            let mut body =
                call("ec2", "DeleteVolume", &json!({"volumeId": value}), &json!({"instancesSet": {"items": value}}));
            body[member] = value.clone();
            let notification = read(&body);
            let _ = targets(&notification);
            assert!(objects(&notification).is_empty(), "{body}");
        }
    }
    let config = json!({"messageType": "ConfigurationItemChangeNotification", "configurationItem": 7});
    assert_eq!(named(&config), [""; 0]);
    assert!(targets(&read(&config)).targets.is_empty());
}

#[test]
fn objects_that_are_nested_too_deep_are_not_followed() {
    let nested =
        |depth: usize| (0..depth).fold(json!({"instanceId": "i-1"}), |inner, _| json!({"networkInterface": inner}));
    assert_eq!(named(&call("ec2", "Any", &nested(20), &Value::Null)), ["vms i-1"]);
    assert_eq!(named(&call("ec2", "Any", &nested(21), &Value::Null)), [""; 0]);
}

#[test]
fn a_body_of_the_largest_size_is_read_in_no_time() {
    let many: Vec<Value> = (0..20_000).map(|number| json!({"instanceId": format!("i-{number:x}")})).collect();
    let body = call("ec2", "StopInstances", &json!({"instancesSet": {"items": many}}), &Value::Null);
    let begun = Instant::now();
    assert_eq!(targets(&read(&body)).targets.len(), 20_000);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn envelopes_in_envelopes_come_to_an_end() {
    let body = call("ec2", "DeleteVolume", &json!({"volumeId": "vol-1"}), &Value::Null);
    let wrapped = (0..4).fold(body, |inner, _| enveloped(&inner));
    assert!(objects(&read(&wrapped)).is_empty());
}

#[test]
fn names_are_kept_short() {
    let body = call("ec2", &"x".repeat(2_000), &Value::Null, &Value::Null);
    assert_eq!(read(&body).name.chars().count(), 200);
}
