//! The rules of security groups. They are made of the permissions of the groups: that saves the call that would list
//! them, and its ids.

use std::sync::Arc;

use aws_sdk_ec2::types::{IpPermission, SecurityGroup, UserIdGroupPair};
use serde_json::Value;

use crate::provider::{Table, items};

/// All protocols, which have no ports.
const ALL_PROTOCOLS: &str = "-1";
/// The lists of a permission, as AWS writes them, in the order of [`sources`].
const LISTS: [&str; 4] = ["ipRanges", "ipv6Ranges", "groups", "prefixListIds"];

/// One direction, protocol, range of ports and source (or destination) that a group permits.
pub(super) struct Rule {
    group: Arc<Group>,
    /// What identifies it within its group.
    id: String,
    is_egress: bool,
    protocol: Option<String>,
    ports: Option<(i32, i32)>,
    source: Source,
    description: Option<String>,
    /// What AWS wrote of the permission, with this source only; null where that is not known.
    pub(super) raw: Value,
}

/// What a rule says of its group.
struct Group {
    id: String,
    name: Option<String>,
    vpc_id: Option<String>,
    owner_id: Option<String>,
}

/// Where what is permitted comes from, or goes to.
enum Source {
    V4(String),
    V6(String),
    Group(UserIdGroupPair),
    PrefixList(String),
}

impl Source {
    /// What identifies it within a permission.
    fn id(&self) -> String {
        match self {
            Self::V4(range) | Self::V6(range) => range.clone(),
            Self::PrefixList(id) => id.clone(),
            Self::Group(pair) => {
                let group = pair.group_id().or_else(|| pair.group_name()).unwrap_or_default();
                pair.user_id().map_or_else(|| group.to_owned(), |user| format!("{user}/{group}"))
            }
        }
    }
}

impl Rule {
    fn referenced(&self) -> Option<&UserIdGroupPair> {
        match &self.source {
            Source::Group(pair) => Some(pair),
            _ => None,
        }
    }

    fn direction(&self) -> &'static str {
        direction(self.is_egress)
    }
}

fn direction(is_egress: bool) -> &'static str {
    if is_egress { "egress" } else { "ingress" }
}

/// The table.
pub(super) fn rules() -> Table<Rule> {
    let table = Table::new(
        "aws_vpc_security_group_rule",
        "What security groups permit: a row for each direction, protocol, range of ports and source.",
        |place, rule: &Rule| {
            let resource = format_args!("security-group/{}/{}", rule.group.id, rule.id);
            place.arn_of(rule.group.owner_id.as_deref(), "ec2", resource)
        },
    )
    .target("group_id", "The group.", |rule| Some(&rule.group.id))
    .key(
        "security_group_rule_id",
        "What identifies it within the group: direction, protocol, ports and source. Not the `sgr-…` of AWS.",
        |rule| Some(&rule.id),
    )
    .text("group_name", "The name of the group.", |rule| rule.group.name.as_deref())
    .reference("vpc_id", "The VPC of the group.", ("aws_vpc", "vpc_id"), |rule| rule.group.vpc_id.as_deref())
    .text("group_owner_id", "The account that owns the group.", |rule| rule.group.owner_id.as_deref())
    .text("type", "`ingress` or `egress`.", |rule| Some(rule.direction()))
    .boolean("is_egress", "Whether it permits what goes out.", |rule| Some(rule.is_egress))
    .text("ip_protocol", "`tcp`, `udp`, `icmp`, `icmpv6`, the number of another, or `-1` for all.", |rule| {
        rule.protocol.as_deref()
    })
    .integer("from_port", "The first port; of ICMP the type, -1 for all. NULL with all protocols.", |rule| {
        Some(rule.ports?.0)
    })
    .integer("to_port", "The last port; of ICMP the code, -1 for all. NULL with all protocols.", |rule| {
        Some(rule.ports?.1)
    });
    sources_of(table).text("description", "What it is for.", |rule| rule.description.as_deref())
}

/// The columns of which each row has those of its kind of source.
fn sources_of(table: Table<Rule>) -> Table<Rule> {
    table
        .text("cidr_ipv4", "The IPv4 range that it is open to.", |rule| match &rule.source {
            Source::V4(range) => Some(range),
            _ => None,
        })
        .text("cidr_ipv6", "The IPv6 range that it is open to.", |rule| match &rule.source {
            Source::V6(range) => Some(range),
            _ => None,
        })
        .text("prefix_list_id", "The prefix list that it is open to.", |rule| match &rule.source {
            Source::PrefixList(id) => Some(id),
            _ => None,
        })
        .reference(
            "referenced_group_id",
            "The group whose members it is open to.",
            ("aws_vpc_security_group", "group_id"),
            |rule| rule.referenced()?.group_id(),
        )
        .text("referenced_group_name", "The name of that group, where AWS gives it.", |rule| {
            rule.referenced()?.group_name()
        })
        .text("referenced_user_id", "The account that owns that group.", |rule| rule.referenced()?.user_id())
        .text("referenced_vpc_id", "The VPC of that group, where it is another one.", |rule| {
            rule.referenced()?.vpc_id()
        })
        .text("referenced_vpc_peering_connection_id", "The peering by which that VPC is reached.", |rule| {
            rule.referenced()?.vpc_peering_connection_id()
        })
        .text("referenced_peering_status", "The state of that peering.", |rule| rule.referenced()?.peering_status())
}

/// The rules of a group, sorted by their ids. What comes twice is one rule.
pub(super) fn flatten(group: &SecurityGroup, raw: Option<&Value>) -> Vec<Rule> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let from = Arc::new(Group {
        id: group.group_id().unwrap_or_default().to_owned(),
        name: owned(group.group_name()),
        vpc_id: owned(group.vpc_id()),
        owner_id: owned(group.owner_id()),
    });
    let mut rules = Vec::new();
    let directions = [
        (false, group.ip_permissions(), "ipPermissions"),
        (true, group.ip_permissions_egress(), "ipPermissionsEgress"),
    ];
    for (is_egress, permissions, name) in directions {
        let raws = raw.map(|raw| items(raw, name)).filter(|raws| raws.len() == permissions.len()).unwrap_or_default();
        for (index, permission) in permissions.iter().enumerate() {
            rules.extend(of_permission(&from, is_egress, permission, raws.get(index).copied()));
        }
    }
    rules.sort_by(|left, right| (&left.id, &left.description).cmp(&(&right.id, &right.description)));
    rules.dedup_by(|later, earlier| later.id == earlier.id);
    rules
}

fn of_permission(group: &Arc<Group>, is_egress: bool, permission: &IpPermission, raw: Option<&Value>) -> Vec<Rule> {
    let protocol = permission.ip_protocol();
    let ports = permission.from_port().zip(permission.to_port()).filter(|_| protocol != Some(ALL_PROTOCOLS));
    let shown = ports.map_or_else(|| "all".to_owned(), |(from, to)| format!("{from}-{to}"));
    let begin = format!("{}:{}:{shown}", direction(is_egress), protocol.unwrap_or_default());
    let mut rules = Vec::new();
    for (list, sources) in LISTS.into_iter().zip(sources(permission)) {
        let count = sources.len();
        for (index, (source, description)) in sources.into_iter().enumerate() {
            rules.push(Rule {
                group: Arc::clone(group),
                id: format!("{begin}:{}", source.id()),
                is_egress,
                protocol: protocol.map(str::to_owned),
                ports,
                source,
                description,
                raw: raw.and_then(|raw| only(raw, list, index, count)).unwrap_or_default(),
            });
        }
    }
    rules
}

/// The sources of a permission, each with what it is for.
fn sources(permission: &IpPermission) -> [Vec<(Source, Option<String>)>; 4] {
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let why = |text: Option<&str>| text.map(str::to_owned);
    let v4 = permission.ip_ranges().iter().map(|range| (Source::V4(owned(range.cidr_ip())), why(range.description())));
    let v6 =
        permission.ipv6_ranges().iter().map(|range| (Source::V6(owned(range.cidr_ipv6())), why(range.description())));
    let groups = permission.user_id_group_pairs().iter();
    let groups = groups.map(|pair| (Source::Group(pair.clone()), why(pair.description())));
    let lists = permission.prefix_list_ids().iter();
    let lists = lists.map(|list| (Source::PrefixList(owned(list.prefix_list_id())), why(list.description())));
    [v4.collect(), v6.collect(), groups.collect(), lists.collect()]
}

/// A permission as AWS wrote it, with only one of the `count` parts of one of its lists.
fn only(permission: &Value, list: &str, index: usize, count: usize) -> Option<Value> {
    let parts = items(permission, list);
    let part = parts.get(index).filter(|_| parts.len() == count)?;
    let mut only = permission.as_object()?.clone();
    only.retain(|name, _| !LISTS.contains(&name.as_str()));
    only.insert(list.to_owned(), (*part).clone());
    Some(Value::Object(only))
}
