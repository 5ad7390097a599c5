//! From the body of a message to a notification, through the envelopes that it has come in.

use std::fmt;

use serde_json::{Map, Value};

use super::event::{ApiCall, Configuration, Event, Notification, ServiceEvent};
use super::walk::{map_of, text_of};

/// The largest body that is read, in bytes. SQS takes at most 1 MiB.
const LARGEST: usize = 2 << 20;
/// How many envelopes may be in each other.
const ENVELOPES: usize = 3;
/// The longest name of an event, in characters.
const LONGEST_NAME: usize = 200;
/// How many ARNs a service may name.
const MOST_RESOURCES: usize = 1_000;

/// Why a body is no notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// Reads the body of a message: an envelope of SNS with JSON in it, or that JSON itself (raw delivery, EventBridge).
///
/// # Errors
/// When it is no JSON object, or larger or deeper than any notification is.
pub fn parse(body: &str) -> Result<Notification, Unreadable> {
    let mut map = object(body)?;
    let mut outside = Notification {
        name: String::new(),
        message_id: None,
        account_id: None,
        region: None,
        time: None,
        event: Event::Unknown,
    };
    for _ in 0..ENVELOPES {
        let Some(message) = enveloped(&map) else { break };
        note_envelope(&mut outside, &map);
        let kind = text_of(&map, "Type").unwrap_or_else(|| "Notification".to_owned());
        let inner = object(message).ok().filter(|_| kind == "Notification");
        let Some(inner) = inner else {
            return Ok(named(outside, &format!("SNS_{kind}"), Event::Unknown));
        };
        map = inner;
    }
    Ok(classified(outside, map))
}

fn object(text: &str) -> Result<Map<String, Value>, Unreadable> {
    if text.len() > LARGEST {
        return Err(Unreadable(format!("it has {} bytes, more than {LARGEST}", text.len())));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Unreadable("it is JSON, but no object".to_owned())),
        Err(error) => Err(Unreadable(format!("it is no JSON: {error}"))),
    }
}

/// What an envelope of SNS holds.
fn enveloped(map: &Map<String, Value>) -> Option<&str> {
    let is_envelope = ["Type", "TopicArn", "MessageId"].iter().any(|name| map.contains_key(*name));
    map.get("Message").and_then(Value::as_str).filter(|_| is_envelope)
}

/// What an envelope says of itself holds where what is in it says nothing.
fn note_envelope(outside: &mut Notification, map: &Map<String, Value>) {
    let arn = text_of(map, "TopicArn").unwrap_or_default();
    let part = |index: usize| arn.split(':').nth(index).filter(|part| !part.is_empty()).map(str::to_owned);
    outside.message_id = outside.message_id.take().or_else(|| text_of(map, "MessageId"));
    outside.time = text_of(map, "Timestamp").or_else(|| outside.time.take());
    outside.region = part(3).or_else(|| outside.region.take());
    outside.account_id = part(4).or_else(|| outside.account_id.take());
}

fn named(outside: Notification, name: &str, event: Event) -> Notification {
    Notification { name: name.chars().take(LONGEST_NAME).collect(), event, ..outside }
}

fn classified(outside: Notification, map: Map<String, Value>) -> Notification {
    let empty = Map::new();
    let detail = map_of(&map, "detail").unwrap_or(&empty);
    let outside = Notification {
        message_id: outside.message_id.clone().or_else(|| text_of(&map, "id")),
        account_id: text_of(&map, "account").or_else(|| outside.account_id.clone()),
        region: text_of(&map, "region").or_else(|| outside.region.clone()),
        time: text_of(&map, "time").or_else(|| outside.time.clone()),
        ..outside
    };
    // AWS Config sends the same through EventBridge, one level deeper.
    for holder in [&map, detail] {
        if let Some(kind) = text_of(holder, "messageType") {
            return match kind.as_str() {
                "ConfigurationItemChangeNotification" => configuration(outside, holder, "configurationItem"),
                "OversizedConfigurationItemChangeNotification" => {
                    configuration(outside, holder, "configurationItemSummary")
                }
                other => named(outside, &format!("AWS_CONFIG_{other}"), Event::Unknown),
            };
        }
    }
    for holder in [detail, &map] {
        if text_of(holder, "eventType").is_some_and(|kind| kind == "AwsApiCall") {
            return api_call(outside, holder);
        }
    }
    if let Some(detail_type) = text_of(&map, "detail-type") {
        return service_event(outside, &map, detail_type);
    }
    if let Some(alarm) = text_of(&map, "AlarmName") {
        let account_id = text_of(&map, "AWSAccountId").or_else(|| outside.account_id.clone());
        let time = text_of(&map, "StateChangeTime").or_else(|| outside.time.clone());
        return named(Notification { account_id, time, ..outside }, &format!("AWS_ALARM_{alarm}"), Event::Alarm);
    }
    let name = unknown(&map);
    named(outside, &name, Event::Unknown)
}

/// What something of an unknown shape is called.
fn unknown(map: &Map<String, Value>) -> String {
    let records = map.get("Records").and_then(Value::as_array);
    let first = records.and_then(|records| records.first()).and_then(Value::as_object);
    let told = first.unwrap_or(map);
    let name = ["eventName", "Event", "eventType", "source"].iter().find_map(|name| text_of(told, name));
    name.unwrap_or_else(|| "unknown".to_owned())
}

fn configuration(outside: Notification, map: &Map<String, Value>, item: &str) -> Notification {
    let empty = Map::new();
    let item = map_of(map, item).unwrap_or(&empty);
    let difference = map_of(map, "configurationItemDiff").unwrap_or(&empty);
    let resource_type = text_of(item, "resourceType").unwrap_or_default();
    let change = text_of(difference, "changeType").or_else(|| text_of(item, "changeType"));
    let change = change.unwrap_or_else(|| change_of_status(item).to_owned());
    let suffix = new_state(&resource_type, &change, difference).unwrap_or(change);
    let name = format!("{}_{suffix}", resource_type.replace("::", "_"));
    let outside = Notification {
        account_id: text_of(item, "awsAccountId").or_else(|| outside.account_id.clone()),
        region: text_of(item, "awsRegion").or_else(|| outside.region.clone()),
        time: text_of(item, "configurationItemCaptureTime").or_else(|| outside.time.clone()),
        ..outside
    };
    let configuration = Configuration {
        resource_type,
        resource_id: text_of(item, "resourceId"),
        resource_name: text_of(item, "resourceName"),
        arn: text_of(item, "ARN").or_else(|| text_of(item, "arn")),
    };
    named(outside, &name, Event::Configuration(configuration))
}

/// The change of a resource, where AWS Config does not say how it differs from before.
fn change_of_status(item: &Map<String, Value>) -> &'static str {
    match text_of(item, "configurationItemStatus").unwrap_or_default().as_str() {
        "ResourceDiscovered" => "CREATE",
        "ResourceDeleted" | "ResourceDeletedNotRecorded" => "DELETE",
        _ => "UPDATE",
    }
}

/// The state that an instance has now, where that is what has changed.
fn new_state(resource_type: &str, change: &str, difference: &Map<String, Value>) -> Option<String> {
    let may_say = resource_type.ends_with("::Instance") && change != "CREATE";
    let changed = map_of(difference, "changedProperties").filter(|_| may_say)?;
    text_of(map_of(changed, "Configuration.State.Name")?, "updatedValue")
}

fn api_call(outside: Notification, detail: &Map<String, Value>) -> Notification {
    let name = text_of(detail, "eventName").unwrap_or_default();
    let source = text_of(detail, "eventSource").unwrap_or_default();
    let owned = |key: &str| map_of(detail, key).cloned().unwrap_or_default();
    let call = ApiCall {
        service: source.split('.').next().unwrap_or_default().to_owned(),
        error_code: text_of(detail, "errorCode"),
        read_only: detail.get("readOnly").is_some_and(|value| *value == Value::Bool(true) || *value == "true"),
        request: owned("requestParameters"),
        response: owned("responseElements"),
        resource: owned("resource"),
        name,
    };
    let outside = Notification {
        account_id: outside.account_id.clone().or_else(|| text_of(detail, "recipientAccountId")),
        region: text_of(detail, "awsRegion").or_else(|| outside.region.clone()),
        time: text_of(detail, "eventTime").or_else(|| outside.time.clone()),
        ..outside
    };
    named(outside, &format!("AWS_API_CALL_{}", call.name), Event::ApiCall(call))
}

fn service_event(outside: Notification, map: &Map<String, Value>, detail_type: String) -> Notification {
    let detail = map_of(map, "detail").cloned().unwrap_or_default();
    let mut name = detail_type.replace([' ', '-'], "_");
    match detail_type.as_str() {
        "EC2 Instance State-change Notification" => {
            if let Some(state) = text_of(&detail, "state") {
                name = format!("{name}_{state}");
            }
        }
        "CloudWatch Alarm State Change" => {
            let alarm = text_of(&detail, "alarmName").unwrap_or_default();
            return named(outside, &format!("AWS_ALARM_{alarm}"), Event::Alarm);
        }
        _ => {}
    }
    let resources = map.get("resources").and_then(Value::as_array).into_iter().flatten().take(MOST_RESOURCES);
    let event = ServiceEvent {
        source: text_of(map, "source").unwrap_or_default(),
        resources: resources.filter_map(|arn| super::walk::text(arn).map(str::to_owned)).collect(),
        detail_type,
        detail,
    };
    named(outside, &name, Event::Service(event))
}
