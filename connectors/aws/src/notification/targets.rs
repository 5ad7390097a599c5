//! Which rows of our tables are to be read again because of a notification.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalogue::{configured, rules_for, told};
use super::event::{ApiCall, Event, Notification};
use super::objects::objects;
use super::walk::texts;
use crate::estate::GLOBAL;

/// How the names of tables begin whose rows belong to no region.
const GLOBAL_TABLES: [&str; 2] = ["aws_iam_", "aws_route53_"];

/// Collections of ManageIQ, and our tables of the same objects. Collections that are not here have no table of ours.
const TABLES: [(&str, &str); 11] = [
    ("cloud_networks", "aws_vpc"),
    ("cloud_subnets", "aws_vpc_subnet"),
    ("cloud_volume_snapshots", "aws_ebs_snapshot"),
    ("cloud_volumes", "aws_ebs_volume"),
    ("floating_ips", "aws_vpc_eip"),
    ("key_pairs", "aws_ec2_key_pair"),
    ("load_balancers", "aws_ec2_classic_load_balancer"),
    ("miq_templates", "aws_ec2_ami"),
    ("network_ports", "aws_ec2_network_interface"),
    ("security_groups", "aws_vpc_security_group"),
    ("vms", "aws_ec2_instance"),
];

/// Calls that change the tags of anything in EC2, and where they name it: by ids whose beginning says what they are.
const TAGGING: [&str; 2] = ["CreateTags", "DeleteTags"];
const TAGGED: &str = "resourcesSet.items[].resourceId";
const BEGINNINGS: [(&str, &str); 18] = [
    ("acl", "aws_vpc_network_acl"),
    ("ami", "aws_ec2_ami"),
    ("eipalloc", "aws_vpc_eip"),
    ("eni", "aws_ec2_network_interface"),
    ("fl", "aws_vpc_flow_log"),
    ("i", "aws_ec2_instance"),
    ("igw", "aws_vpc_internet_gateway"),
    ("lt", "aws_ec2_launch_template"),
    ("nat", "aws_vpc_nat_gateway"),
    ("pcx", "aws_vpc_peering_connection"),
    ("rtb", "aws_vpc_route_table"),
    ("sg", "aws_vpc_security_group"),
    ("snap", "aws_ebs_snapshot"),
    ("subnet", "aws_vpc_subnet"),
    ("tgw", "aws_ec2_transit_gateway"),
    ("vol", "aws_ebs_volume"),
    ("vpc", "aws_vpc"),
    ("vpce", "aws_vpc_endpoint"),
];

/// Load balancers of the second generation have a table for each type, and their ARNs say which.
const BALANCERS: [(&str, &str); 3] = [
    ("aws_ec2_application_load_balancer", ":loadbalancer/app/"),
    ("aws_ec2_gateway_load_balancer", ":loadbalancer/gwy/"),
    ("aws_ec2_network_load_balancer", ":loadbalancer/net/"),
];

/// Rows that are to be read again: those of an object, or all of a table in one account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The account.
    pub account_id: Arc<str>,
    /// The region; `global` for tables that belong to none.
    pub region: Arc<str>,
    /// The table.
    pub table: &'static str,
    /// The id of the object; `None`: the notification does not say which, so that all of them are to be read.
    pub id: Option<Arc<str>>,
}

/// What follows from a notification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is to be read again.
    pub targets: BTreeSet<Target>,
    /// How many objects it names that no table of ours has.
    pub without_table: usize,
    /// How many objects it names without saying in which account and region they are.
    pub without_place: usize,
}

/// What is to be read again because of a notification. Where a table is to be read whole, none of its ids is named
/// besides.
pub fn targets(notification: &Notification) -> Reading {
    let mut named = Named::default();
    for object in objects(notification) {
        match TABLES.iter().find(|(collection, _)| *collection == object.collection) {
            Some((_, table)) => named.add(table, &object.id),
            None => named.without_table += 1,
        }
    }
    match &notification.event {
        Event::ApiCall(call) if call.changes() => named.add_call(call),
        Event::Configuration(configuration) => {
            for known in configured(configuration) {
                named.add_all(known.table, known.id(configuration).into_iter().collect());
            }
        }
        Event::Service(event) => {
            if let Some(known) = told(&event.source, &event.detail_type) {
                named.add_all(known.table, known.ids_in(event));
            }
        }
        Event::ApiCall(_) | Event::Alarm | Event::Unknown => {}
    }
    named.placed(notification)
}

/// What a notification names, wherever that is.
#[derive(Default)]
struct Named {
    found: BTreeSet<(&'static str, Option<String>)>,
    without_table: usize,
}

impl Named {
    fn add(&mut self, table: &'static str, id: &str) {
        // An address outside of any network has no other id than itself, by which it cannot be asked for.
        let unnamed = table == "aws_vpc_eip" && !id.starts_with("eipalloc-");
        let id = id.strip_prefix("/hostedzone/").unwrap_or(id);
        self.found.insert((table, (!unnamed).then(|| id.to_owned())));
    }

    /// All of these ids, or the whole table where there are none.
    fn add_all(&mut self, table: &'static str, ids: Vec<&str>) {
        if ids.is_empty() {
            self.found.insert((table, None));
        }
        let part = BALANCERS.iter().find(|(known, _)| *known == table).map(|(_, part)| *part);
        let ids = ids.into_iter().filter(|id| part.is_none_or(|part| id.contains(part)));
        ids.for_each(|id| self.add(table, id));
    }

    fn add_call(&mut self, call: &ApiCall) {
        rules_for(call).for_each(|rule| self.add_all(rule.table, rule.ids_in(call)));
        if call.service == "ec2" && TAGGING.contains(&call.name.as_str()) {
            for id in texts(call.wrapped_in(&call.request).unwrap_or(&call.request), TAGGED) {
                match table_of(id) {
                    Some(table) => self.add(table, id),
                    None => self.without_table += 1,
                }
            }
        }
    }

    fn placed(self, notification: &Notification) -> Reading {
        let Self { mut found, without_table } = self;
        let whole: Vec<&str> = found.iter().filter(|(_, id)| id.is_none()).map(|(table, _)| *table).collect();
        found.retain(|(table, id)| id.is_none() || !whole.contains(table));
        let (Some(account), Some(region)) = (&notification.account_id, &notification.region) else {
            return Reading { without_place: found.len(), without_table, targets: BTreeSet::new() };
        };
        let (account, region): (Arc<str>, Arc<str>) = (account.as_str().into(), region.as_str().into());
        let target = |(table, id): (&'static str, Option<String>)| Target {
            account_id: Arc::clone(&account),
            region: match GLOBAL_TABLES.iter().any(|beginning| table.starts_with(beginning)) {
                true => GLOBAL.into(),
                false => Arc::clone(&region),
            },
            table,
            id: id.map(Into::into),
        };
        Reading { targets: found.into_iter().map(target).collect(), without_table, without_place: 0 }
    }
}

/// The table of an id of EC2, as `vol-0ac7a66512bf0d20c`.
fn table_of(id: &str) -> Option<&'static str> {
    let (beginning, rest) = id.split_once('-')?;
    let is_number = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    BEGINNINGS.iter().find(|(known, _)| *known == beginning && is_number).map(|(_, table)| *table)
}
