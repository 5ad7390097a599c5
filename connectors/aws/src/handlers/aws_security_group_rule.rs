//! `aws_security_group_rule`: what security groups permit, revoked or authorised.
//!
//! The id names a rule, as the table `aws_vpc_security_group_rule` does
//! (`arn:…:security-group/sg-1/ingress:tcp:22-22:0.0.0.0/0`), or a group (`sg-1`, or its ARN); then the fields say which of its
//! rules are meant.

use async_trait::async_trait;
use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, SecurityGroup, UserIdGroupPair};
use serde_json::{Value, json};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::handler::sink::{FieldDescription, field};
use tidegate_pipeline::handler::{Changes, Halt, HandlerContext, Reading, Resource};

use super::{AwsResource, Target, is_missing};
use crate::failure::failure;

/// All protocols, which have no ports.
const ALL: &str = "-1";
/// What is in the id of a rule in place of the ports where all are meant.
const ALL_PORTS: &str = "all";
/// The fields of which a rule has one: where what it permits comes from, or goes to.
const SOURCES: [&str; 4] = ["cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_group_id"];

#[derive(Debug, Clone, Copy)]
pub(super) struct SecurityGroupRule;

/// One direction, protocol, range of ports and source that a group permits.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    is_egress: bool,
    protocol: String,
    ports: Option<(i32, i32)>,
    /// Which of [`SOURCES`] it is, and its value.
    source: (&'static str, String),
    description: Option<String>,
}

/// Which rules are meant: what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
struct Wanted {
    group: String,
    is_egress: Option<bool>,
    protocol: Option<String>,
    ports: Option<Option<(i32, i32)>>,
    /// A port that has to be among those of the rule.
    port: Option<i32>,
    source: Option<(Option<&'static str>, String)>,
    is_open_to_world: Option<bool>,
}

impl Wanted {
    /// What the id and the fields of a resource mean.
    fn of(resource: &Resource) -> Result<Self> {
        let wrong = |what: &str| {
            Error::user(format!("{} does not name a rule: {what}", resource.id))
                .with_remedy("let `id` be the ARN of a row of aws_vpc_security_group_rule, or of a group")
        };
        let id = resource.id.value.as_str();
        let named = if id.starts_with("arn:") {
            id.split_once(":security-group/").ok_or_else(|| wrong("it is no ARN of a security group"))?.1
        } else {
            id
        };
        let (group, rule) = named.split_once('/').map_or((named, None), |(group, rule)| (group, Some(rule)));
        if !group.starts_with("sg-") {
            return Err(wrong("it names no group, as `sg-…`"));
        }
        let mut wanted = match rule {
            Some(rule) => Self::of_rule(rule).ok_or_else(|| wrong("what stands behind the group is no rule"))?,
            None => Self::default(),
        };
        group.clone_into(&mut wanted.group);
        wanted.take_fields(resource)?;
        Ok(wanted)
    }

    /// `ingress:tcp:22-22:0.0.0.0/0`.
    fn of_rule(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':');
        let (direction, protocol, ports, source) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let ports = match ports {
            ALL_PORTS => None,
            // Of ICMP both may be -1.
            range => {
                let at = range.get(1..)?.find('-')? + 1;
                Some((range[..at].parse().ok()?, range[at + 1..].parse().ok()?))
            }
        };
        // Where the group belongs to somebody else, its account stands before it.
        let source = source.rsplit_once('/').filter(|(_, group)| group.starts_with("sg-")).map_or(source, |(_, id)| id);
        Some(Self {
            is_egress: Some(direction == "egress").filter(|_| ["ingress", "egress"].contains(&direction)),
            protocol: Some(protocol.to_owned()),
            ports: Some(ports),
            source: Some((None, source.to_owned())),
            ..Self::default()
        })
    }

    fn take_fields(&mut self, resource: &Resource) -> Result<()> {
        let wrong = |name: &str, value: &Value| Error::user(format!("`{name}` of {} cannot be {value}", resource.id));
        let number = |name: &str| match resource.field(name) {
            Value::Null => Ok(None),
            value => {
                let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
                let number = number.and_then(|number| i32::try_from(number).ok());
                number.map(Some).ok_or_else(|| wrong(name, value))
            }
        };
        match resource.field("type") {
            Value::Null => {}
            Value::String(text) if text == "ingress" || text == "egress" => self.is_egress = Some(text == "egress"),
            value => return Err(wrong("type", value)),
        }
        if let Some(protocol) = resource.text("ip_protocol") {
            self.protocol = Some(protocol.to_owned());
        }
        match (number("from_port")?, number("to_port")?) {
            (None, None) => {}
            (Some(from), to) => self.ports = Some(Some((from, to.unwrap_or(from)))),
            (None, Some(to)) => self.ports = Some(Some((to, to))),
        }
        self.port = number("port")?;
        for name in SOURCES {
            if let Some(value) = resource.text(name) {
                self.source = Some((Some(name), value.to_owned()));
            }
        }
        self.is_open_to_world = resource.field("open_to_world").as_bool();
        Ok(())
    }

    fn means(&self, rule: &Rule) -> bool {
        self.is_egress.is_none_or(|egress| egress == rule.is_egress)
            && self.protocol.as_ref().is_none_or(|protocol| *protocol == rule.protocol)
            && self.ports.is_none_or(|ports| ports == rule.ports)
            && self.port.is_none_or(|port| rule.ports.is_none_or(|(from, to)| (from..=to).contains(&port)))
            && self
                .source
                .as_ref()
                .is_none_or(|(kind, value)| kind.is_none_or(|kind| kind == rule.source.0) && *value == rule.source.1)
            && self.is_open_to_world.is_none_or(|open| open == rule.source.1.ends_with("/0"))
    }

    /// The one rule that this says all of.
    fn rule(&self, resource: &Resource) -> Result<Rule> {
        let whole = || {
            let (kind, value) = self.source.clone()?;
            let kind = kind.or_else(|| kind_of(&value))?;
            let protocol = self.protocol.clone()?;
            let ports = self.ports.or((protocol == ALL).then_some(None))?;
            Some((protocol, ports, (kind, value)))
        };
        let (protocol, ports, source) = whole().ok_or_else(|| {
            Error::user(format!("{} does not say all of a rule that is to be made", resource.id))
                .with_remedy("give `ip_protocol`, `from_port`, `to_port` and where it is open to, as `cidr_ipv4`")
        })?;
        let is_egress = self.is_egress.unwrap_or(false);
        let description = resource.text("description").map(str::to_owned);
        Ok(Rule { is_egress, protocol, ports, source, description })
    }
}

/// What kind of source a text is.
fn kind_of(source: &str) -> Option<&'static str> {
    Some(match source {
        text if text.starts_with("sg-") => "referenced_group_id",
        text if text.starts_with("pl-") => "prefix_list_id",
        text if text.contains(':') => "cidr_ipv6",
        text if text.contains('/') => "cidr_ipv4",
        _ => return None,
    })
}

impl Rule {
    /// As people write it: `ingress tcp 22-22 0.0.0.0/0`.
    fn shown(&self) -> String {
        let ports = self.ports.map_or_else(|| ALL_PORTS.to_owned(), |(from, to)| format!("{from}-{to}"));
        let direction = if self.is_egress { "egress" } else { "ingress" };
        format!("{direction} {} {ports} {}", self.protocol, self.source.1)
    }

    /// The permission that holds it and nothing else.
    fn permission(&self) -> IpPermission {
        let value = self.source.1.as_str();
        let why = self.description.clone();
        let (from, to) = self.ports.unzip();
        let permission = IpPermission::builder().ip_protocol(&self.protocol).set_from_port(from).set_to_port(to);
        match self.source.0 {
            "cidr_ipv4" => permission.ip_ranges(IpRange::builder().cidr_ip(value).set_description(why).build()),
            "cidr_ipv6" => permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(value).set_description(why).build()),
            "prefix_list_id" => {
                permission.prefix_list_ids(PrefixListId::builder().prefix_list_id(value).set_description(why).build())
            }
            _ => {
                permission.user_id_group_pairs(UserIdGroupPair::builder().group_id(value).set_description(why).build())
            }
        }
        .build()
    }
}

/// The rules of a group, each for itself.
fn rules(group: &SecurityGroup) -> Vec<Rule> {
    let directions = [(false, group.ip_permissions()), (true, group.ip_permissions_egress())];
    directions.into_iter().flat_map(|(egress, all)| all.iter().flat_map(move |of| of_permission(egress, of))).collect()
}

fn of_permission(is_egress: bool, permission: &IpPermission) -> Vec<Rule> {
    let protocol = permission.ip_protocol().unwrap_or(ALL).to_owned();
    let ports = permission.from_port().zip(permission.to_port()).filter(|_| protocol != ALL);
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let mut sources: Vec<(&'static str, Option<String>, Option<String>)> = Vec::new();
    let v4 = permission.ip_ranges().iter();
    sources.extend(v4.map(|range| ("cidr_ipv4", owned(range.cidr_ip()), owned(range.description()))));
    let v6 = permission.ipv6_ranges().iter();
    sources.extend(v6.map(|range| ("cidr_ipv6", owned(range.cidr_ipv6()), owned(range.description()))));
    let lists = permission.prefix_list_ids().iter();
    sources.extend(lists.map(|list| ("prefix_list_id", owned(list.prefix_list_id()), owned(list.description()))));
    let groups = permission.user_id_group_pairs().iter();
    sources.extend(groups.map(|pair| ("referenced_group_id", owned(pair.group_id()), owned(pair.description()))));
    let rule = |(kind, value, description): (&'static str, Option<String>, Option<String>)| {
        let source = (kind, value?);
        Some(Rule { is_egress, protocol: protocol.clone(), ports, source, description })
    };
    sources.into_iter().filter_map(rule).collect()
}

impl SecurityGroupRule {
    /// The rules that are meant, as they are now; `None` where there is no such group.
    async fn find(self, at: Target<'_>, wanted: &Wanted) -> Result<Option<Vec<Rule>>, Halt> {
        let answer = match at.ec2().describe_security_groups().group_ids(&wanted.group).send().await {
            Err(error) if is_missing(&error) => return Ok(None),
            answer => answer.map_err(|error| failure(&format!("describe {}", wanted.group), &error))?,
        };
        let Some(group) = answer.security_groups().first() else { return Ok(None) };
        Ok(Some(rules(group).into_iter().filter(|rule| wanted.means(rule)).collect()))
    }
}

#[async_trait]
impl AwsResource for SecurityGroupRule {
    const NAME: &'static str = "aws_security_group_rule";
    const SUMMARY: &'static str = "Revokes and authorises rules of security groups";
    const CLASS: &'static str = "SecurityGroupRule";
    const FIELDS: &'static [FieldDescription] = &[
        field("type", "`'ingress'` or `'egress'`."),
        field("ip_protocol", "`'tcp'`, `'udp'`, `'icmp'`, the number of another, or `'-1'` for all."),
        field("from_port", "the first port."),
        field("to_port", "the last port; without it, the first."),
        field("port", "where the id names a group: only rules that let this port in."),
        field("cidr_ipv4", "the IPv4 range that it is open to."),
        field("cidr_ipv6", "the IPv6 range that it is open to."),
        field("prefix_list_id", "the prefix list that it is open to."),
        field("referenced_group_id", "the group whose members it is open to."),
        field("open_to_world", "where the id names a group: only rules that are open to everybody, or only others."),
        field("description", "what it is for."),
    ];

    async fn read(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<Reading, Halt> {
        let wanted = Wanted::of(at.resource)?;
        let found = match self.find(at, &wanted).await? {
            Some(found) if found.is_empty() => return Ok(Reading::Purged),
            None if at.resource.purged => return Ok(Reading::Purged),
            None => {
                let message = format!("there is no security group {} in {}", wanted.group, at.resource.id.agent);
                return Err(Error::user(message).into());
            }
            Some(found) => found,
        };
        // What chooses rules is so of those that were found; what else is wanted of a rule is its description.
        let mut fields = at.resource.fields.clone();
        fields.insert("rules".to_owned(), found.iter().map(Rule::shown).collect());
        if fields.contains_key("description") {
            fields.insert("description".to_owned(), json!(found.first().and_then(|rule| rule.description.clone())));
        }
        Ok(Reading::Found(fields))
    }

    async fn create(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let wanted = Wanted::of(at.resource)?;
        let rule = wanted.rule(at.resource)?;
        context.info("Authorising %(rule)s in %(group)s", &[("rule", &rule.shown()), ("group", &wanted.group)]);
        let what = format!("authorise {} in {}", rule.shown(), wanted.group);
        let (client, permission) = (at.ec2(), rule.permission());
        if rule.is_egress {
            let done = client.authorize_security_group_egress().group_id(&wanted.group).ip_permissions(permission);
            done.send().await.map_err(|error| failure(&what, &error))?;
        } else {
            let done = client.authorize_security_group_ingress().group_id(&wanted.group).ip_permissions(permission);
            done.send().await.map_err(|error| failure(&what, &error))?;
        }
        Ok(())
    }

    /// Only the description of a rule can be changed: a rule of other ports is another one.
    async fn update(&self, context: &mut HandlerContext, at: Target<'_>, _changes: &Changes) -> Result<(), Halt> {
        let wanted = Wanted::of(at.resource)?;
        let description = at.resource.text("description").map(str::to_owned);
        for rule in self.find(at, &wanted).await?.unwrap_or_default() {
            let rule = Rule { description: description.clone(), ..rule };
            context.info("Describing %(rule)s in %(group)s", &[("rule", &rule.shown()), ("group", &wanted.group)]);
            let what = format!("describe {} in {}", rule.shown(), wanted.group);
            let (client, permission) = (at.ec2(), rule.permission());
            if rule.is_egress {
                let done = client.update_security_group_rule_descriptions_egress().group_id(&wanted.group);
                done.ip_permissions(permission).send().await.map_err(|error| failure(&what, &error))?;
            } else {
                let done = client.update_security_group_rule_descriptions_ingress().group_id(&wanted.group);
                done.ip_permissions(permission).send().await.map_err(|error| failure(&what, &error))?;
            }
        }
        Ok(())
    }

    async fn delete(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let wanted = Wanted::of(at.resource)?;
        for rule in self.find(at, &wanted).await?.unwrap_or_default() {
            context.info("Revoking %(rule)s in %(group)s", &[("rule", &rule.shown()), ("group", &wanted.group)]);
            let what = format!("revoke {} in {}", rule.shown(), wanted.group);
            let (client, permission) = (at.ec2(), rule.permission());
            if rule.is_egress {
                let done = client.revoke_security_group_egress().group_id(&wanted.group).ip_permissions(permission);
                done.send().await.map_err(|error| failure(&what, &error))?;
            } else {
                let done = client.revoke_security_group_ingress().group_id(&wanted.group).ip_permissions(permission);
                done.send().await.map_err(|error| failure(&what, &error))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::handler::ResourceType;

    use super::*;

    const SSH: &str = "arn:aws:ec2:us-east-1:123456789012:security-group/sg-1/ingress:tcp:22-22:0.0.0.0/0";

    fn wanted(id: &str, fields: Value) -> Result<Wanted> {
        let id = ResourceType::new("aws", "SecurityGroupRule", "id").id("123456789012/us-east-1", id).unwrap();
        Wanted::of(&Resource::new(id, fields.as_object().unwrap().clone()).unwrap())
    }

    fn rule(ports: Option<(i32, i32)>, source: &str) -> Rule {
        let protocol = if ports.is_some() { "tcp" } else { ALL }.to_owned();
        let source = (kind_of(source).unwrap(), source.to_owned());
        Rule { is_egress: false, protocol, ports, source, description: None }
    }

    #[test]
    fn the_arn_of_a_rule_means_that_rule_alone() {
        let ssh = wanted(SSH, json!({"purged": true})).unwrap();
        assert_eq!(ssh.group, "sg-1");
        assert!(ssh.means(&rule(Some((22, 22)), "0.0.0.0/0")));
        for other in [rule(Some((22, 23)), "0.0.0.0/0"), rule(Some((22, 22)), "::/0"), rule(None, "0.0.0.0/0")] {
            assert!(!ssh.means(&other), "{}", other.shown());
        }
        let v6 = wanted(&SSH.replace("0.0.0.0/0", "::/0"), json!({})).unwrap();
        assert!(v6.means(&rule(Some((22, 22)), "::/0")));
        let ping = wanted("sg-1/ingress:icmp:-1--1:10.0.0.0/8", json!({})).unwrap();
        assert_eq!(ping.ports, Some(Some((-1, -1))));
        let group = wanted("sg-1/ingress:tcp:22-22:210987654321/sg-2", json!({})).unwrap();
        assert!(group.means(&rule(Some((22, 22)), "sg-2")));
        assert!(wanted("sg-1/ingress:-1:all:::/0", json!({})).unwrap().means(&rule(None, "::/0")));
    }

    #[test]
    fn of_a_group_the_fields_say_which_rules_are_meant() {
        let open = wanted("sg-1", json!({"port": 22, "open_to_world": true})).unwrap();
        for meant in [rule(Some((0, 65535)), "::/0"), rule(None, "0.0.0.0/0"), rule(Some((22, 22)), "0.0.0.0/0")] {
            assert!(open.means(&meant), "{}", meant.shown());
        }
        for other in [rule(Some((80, 443)), "0.0.0.0/0"), rule(Some((22, 22)), "10.0.0.0/8")] {
            assert!(!open.means(&other), "{}", other.shown());
        }
    }

    #[test]
    fn what_names_no_rule_is_told() {
        for (id, reason) in [
            ("arn:aws:ec2:us-east-1:123456789012:volume/vol-1", "no ARN of a security group"),
            ("vol-1", "names no group"),
            ("sg-1/ssh", "is no rule"),
            ("sg-1/ingress:tcp:x:0.0.0.0/0", "is no rule"),
        ] {
            assert!(wanted(id, json!({})).unwrap_err().message.contains(reason), "{id}");
        }
        assert!(wanted("sg-1", json!({"port": "ssh"})).unwrap_err().message.contains("`port`"));
        assert!(wanted("sg-1", json!({"type": "in"})).unwrap_err().message.contains("`type`"));
    }
}
