//! Which objects a notification names, by general rules, in the words of ManageIQ.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::event::{ApiCall, Configuration, Event, Notification, ServiceEvent};
use super::walk::{member, text};

/// How deep objects may be nested in a call.
const DEEPEST: usize = 20;

/// Names of members of a call, and the collections that their values name an object of.
const NAMED_BY: [(&str, &str); 14] = [
    ("instanceId", "vms"),
    ("imageId", "miq_templates"),
    ("keyName", "key_pairs"),
    ("stackId", "orchestration_stacks"),
    ("stackName", "orchestration_stacks"),
    ("vpcId", "cloud_networks"),
    ("subnetId", "cloud_subnets"),
    ("networkInterfaceId", "network_ports"),
    ("groupId", "security_groups"),
    ("loadBalancerName", "load_balancers"),
    ("volumeId", "cloud_volumes"),
    ("snapshotId", "cloud_volume_snapshots"),
    ("productId", "service_offerings"),
    ("provisionedProductId", "service_instances"),
];
/// An address is known by the first of these that is there.
const ADDRESS: ([&str; 2], &str) = (["allocationId", "publicIp"], "floating_ips");

/// Where a call nests what it is about. What is elsewhere (the snapshots that an image is made of, the subnet in the
/// description of a route) is only mentioned, and not changed by the call.
const NESTED: [&[&str]; 7] = [
    &["groupSet", "items"],
    &["instances"],
    &["instancesSet", "items"],
    &["networkInterface"],
    &["networkInterfaceSet", "items"],
    &["recordDetail"],
    &["vpc"],
];

/// Types of resources of AWS Config, and their collections. An object is known by the id of the resource.
const CONFIGURED: [(&str, &str); 8] = [
    ("AWS::CloudFormation::Stack", "orchestration_stacks"),
    ("AWS::EC2::EIP", "floating_ips"),
    ("AWS::EC2::Instance", "vms"),
    ("AWS::EC2::NetworkInterface", "network_ports"),
    ("AWS::EC2::SecurityGroup", "security_groups"),
    ("AWS::EC2::Subnet", "cloud_subnets"),
    ("AWS::EC2::VPC", "cloud_networks"),
    ("AWS::EC2::Volume", "cloud_volumes"),
];

/// What EC2 tells by itself: what is told, the type of the resource in its ARN, where else its id is, its collection.
const TOLD: [(&str, &str, &str, &str); 3] = [
    ("EBS Snapshot Notification", "snapshot", "snapshot_id", "cloud_volume_snapshots"),
    ("EBS Volume Notification", "volume", "volume_id", "cloud_volumes"),
    ("EC2 Instance State-change Notification", "instance", "instance-id", "vms"),
];

/// An object that a notification names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// What it is, as ManageIQ names it: `vms`, `cloud_volumes`.
    pub collection: &'static str,
    /// Its id; the name of a key pair.
    pub id: String,
}

/// The objects that a notification names. A call that was refused, or that only reads, has changed nothing and names
/// none.
pub fn objects(notification: &Notification) -> BTreeSet<Object> {
    match &notification.event {
        Event::ApiCall(call) if call.changes() => of_call(call),
        Event::Configuration(configuration) => of_configuration(configuration).into_iter().collect(),
        Event::Service(event) => of_service(event),
        Event::ApiCall(_) | Event::Alarm | Event::Unknown => BTreeSet::new(),
    }
}

fn of_call(call: &ApiCall) -> BTreeSet<Object> {
    let mut found = BTreeSet::new();
    for part in [&call.request, &call.response, &call.resource] {
        collect(part, call, 0, &mut found);
    }
    found
}

fn collect(map: &Map<String, Value>, call: &ApiCall, depth: usize, found: &mut BTreeSet<Object>) {
    if depth > DEEPEST {
        return;
    }
    let id = |name: &str| member(map, name).and_then(text).map(str::to_owned);
    let named = NAMED_BY.iter().filter_map(|(name, collection)| Some(Object { collection, id: id(name)? }));
    found.extend(named);
    let (names, collection) = ADDRESS;
    found.extend(names.iter().find_map(|name| id(name)).map(|id| Object { collection, id }));
    for path in NESTED {
        let first = path.first().and_then(|name| member(map, name));
        let inner = path.iter().skip(1).fold(first, |value, name| member(value?.as_object()?, name));
        let inner: &[Value] = match inner {
            Some(Value::Array(list)) => list,
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        inner.iter().filter_map(Value::as_object).for_each(|inner| collect(inner, call, depth + 1, found));
    }
    if let Some(wrapped) = call.wrapped_in(map) {
        collect(wrapped, call, depth + 1, found);
    }
}

impl ApiCall {
    /// Newer calls write their arguments into a member that is called after them: `ModifyVolumeRequest`.
    pub(super) fn wrapped_in<'a>(&self, map: &'a Map<String, Value>) -> Option<&'a Map<String, Value>> {
        let suffixes = ["Request", "Response"].into_iter();
        suffixes.filter_map(|suffix| map.get(&format!("{}{suffix}", self.name))).find_map(Value::as_object)
    }
}

fn of_configuration(configuration: &Configuration) -> Option<Object> {
    let (_, collection) = CONFIGURED.iter().find(|(known, _)| *known == configuration.resource_type)?;
    Some(Object { collection, id: configuration.resource_id.clone()? })
}

fn of_service(event: &ServiceEvent) -> BTreeSet<Object> {
    let Some((_, resource, member, collection)) = TOLD.iter().find(|(told, ..)| *told == event.detail_type) else {
        return BTreeSet::new();
    };
    let arns = event.resources.iter().filter_map(|arn| id_in_arn(arn, resource));
    let told = event.detail.get(*member).and_then(text).and_then(|id| id.rsplit('/').next());
    arns.chain(told).filter(|id| !id.is_empty()).map(|id| Object { collection, id: id.to_owned() }).collect()
}

/// The id in `arn:aws:ec2:REGION:ACCOUNT:TYPE/ID`, where the type is this.
fn id_in_arn<'a>(arn: &'a str, resource: &str) -> Option<&'a str> {
    let (kind, id) = arn.rsplit(':').next()?.split_once('/')?;
    (kind == resource).then_some(id)
}
