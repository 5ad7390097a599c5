//! `aws_vpc_security_group` and `aws_vpc_security_group_rule`, from DescribeSecurityGroups.

use async_trait::async_trait;
use aws_sdk_ec2::types::SecurityGroup;

use super::request::{client, filters, tags};
use super::security_group_rule::{Rule, flatten, rules};
use crate::provider::{Call, Collector, Declared, Table, Unread};

/// How many groups a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeSecurityGroups.
pub(super) struct SecurityGroups {
    groups: Table<SecurityGroup>,
    rules: Table<Rule>,
}

impl SecurityGroups {
    pub(super) fn new() -> Self {
        Self { groups: groups(), rules: rules() }
    }
}

fn groups() -> Table<SecurityGroup> {
    Table::new("aws_vpc_security_group", "Security groups.", |place, group: &SecurityGroup| {
        let resource = format!("security-group/{}", group.group_id().unwrap_or_default());
        group.security_group_arn().map_or_else(|| place.arn_of(group.owner_id(), "ec2", resource), str::to_owned)
    })
    .target("group_id", "The id of the group.", |group| group.group_id())
    .text("group_name", "Its name; `default` is the one that every VPC has.", |group| group.group_name())
    .text("description", "What it is for.", |group| group.description())
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |group| group.vpc_id())
    .text("owner_id", "The account that owns it; another one where it is shared.", |group| group.owner_id())
    .tags(|group| tags(group.tags()))
}

#[async_trait]
impl Collector for SecurityGroups {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.groups, &self.rules]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeSecurityGroups"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the security groups");
            while let Some(token) = listing.token() {
                let request = client.describe_security_groups().set_filters(filters(call, "group-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let (groups, raws) = (page.security_groups.unwrap_or_default(), raw.items("securityGroupInfo"));
                if call.wants(&self.rules) {
                    let known = raws.len() == groups.len();
                    let raw_of = |index: usize| raws.get(index).copied().filter(|_| known);
                    let rules = groups.iter().enumerate().flat_map(|(index, group)| flatten(group, raw_of(index)));
                    let rules: Vec<Rule> = rules.collect();
                    call.give(&self.rules, &rules, rules.iter().map(|rule| &rule.raw)).await?;
                }
                call.give(&self.groups, &groups, raws).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use tidegate_pipeline::provider::Extent;

    use super::*;
    use crate::testing::StandIn;

    /// The rules of a group of the VPC vpc-1 with these permissions, by their ids.
    async fn rules(ingress: &str, egress: &str) -> BTreeMap<String, Value> {
        let answer = format!(
            "<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>sg-1</groupId><groupName>web</groupName>\
             <ownerId>123456789012</ownerId><vpcId>vpc-1</vpcId><ipPermissions>{ingress}</ipPermissions>\
             <ipPermissionsEgress>{egress}</ipPermissionsEgress></item></securityGroupInfo></DescribeSecurityGroupsResponse>"
        );
        let server = StandIn::new(move |_| (200, answer.clone())).await;
        let (mut rows, outcome) = server.collect(&SecurityGroups::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        assert_eq!(rows["aws_vpc_security_group"][0]["group_name"], "web");
        let rules = rows.remove("aws_vpc_security_group_rule").unwrap_or_default();
        rules.into_iter().map(|rule| (rule["security_group_rule_id"].as_str().unwrap().to_owned(), rule)).collect()
    }

    fn permission(protocol: &str, ports: &str, sources: &str) -> String {
        format!("<item><ipProtocol>{protocol}</ipProtocol>{ports}{sources}</item>")
    }

    fn ports(from: i32, to: i32) -> String {
        format!("<fromPort>{from}</fromPort><toPort>{to}</toPort>")
    }

    fn ranges(ranges: &[&str]) -> String {
        let ranges: String = ranges.iter().map(|range| format!("<item><cidrIp>{range}</cidrIp></item>")).collect();
        format!("<ipRanges>{ranges}</ipRanges>")
    }

    #[tokio::test]
    async fn a_permission_has_a_row_for_each_of_its_sources() {
        let sources = ranges(&["10.0.0.0/8", "0.0.0.0/0"])
            + "<ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6><description>all</description></item></ipv6Ranges>\
               <groups><item><userId>210987654321</userId><groupId>sg-2</groupId><vpcId>vpc-2</vpcId>\
               <vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId><peeringStatus>active</peeringStatus></item></groups>\
               <prefixListIds><item><prefixListId>pl-1</prefixListId></item></prefixListIds>";
        let rules =
            rules(&permission("tcp", &ports(20, 25), &sources), &permission("-1", "", &ranges(&["0.0.0.0/0"]))).await;
        let ids: Vec<&str> = rules.keys().map(String::as_str).collect();
        assert_eq!(
            ids,
            [
                "egress:-1:all:0.0.0.0/0",
                "ingress:tcp:20-25:0.0.0.0/0",
                "ingress:tcp:20-25:10.0.0.0/8",
                "ingress:tcp:20-25:210987654321/sg-2",
                "ingress:tcp:20-25:::/0",
                "ingress:tcp:20-25:pl-1",
            ]
        );
        let world = &rules["ingress:tcp:20-25:0.0.0.0/0"];
        assert_eq!(
            (&world["type"], &world["is_egress"], &world["group_id"]),
            (&json!("ingress"), &json!(false), &json!("sg-1"))
        );
        assert_eq!(
            (&world["from_port"], &world["to_port"], &world["cidr_ipv4"]),
            (&json!(20), &json!(25), &json!("0.0.0.0/0"))
        );
        assert_eq!(world["arn"], "arn:aws:ec2:eu-west-1:123456789012:security-group/sg-1/ingress:tcp:20-25:0.0.0.0/0");
        let raw = r#"{"ipProtocol":"tcp","fromPort":"20","toPort":"25","ipRanges":{"cidrIp":"0.0.0.0/0"}}"#;
        assert_eq!(world["raw"], raw);
        let v6 = &rules["ingress:tcp:20-25:::/0"];
        assert_eq!((&v6["cidr_ipv6"], v6.get("cidr_ipv4"), &v6["description"]), (&json!("::/0"), None, &json!("all")));
        let group = &rules["ingress:tcp:20-25:210987654321/sg-2"];
        let referenced = ["group_id", "user_id", "vpc_id", "vpc_peering_connection_id", "peering_status"];
        let referenced = referenced.map(|name| group[format!("referenced_{name}")].as_str().unwrap());
        assert_eq!(referenced, ["sg-2", "210987654321", "vpc-2", "pcx-1", "active"]);
        assert_eq!(rules["ingress:tcp:20-25:pl-1"]["prefix_list_id"], "pl-1");
    }

    #[tokio::test]
    async fn all_protocols_have_no_ports_even_where_some_are_written() {
        for written in [String::new(), ports(0, 65535), ports(-1, -1)] {
            let rules = rules(&permission("-1", &written, &ranges(&["0.0.0.0/0"])), "").await;
            let rule = &rules["ingress:-1:all:0.0.0.0/0"];
            assert_eq!((rule.get("from_port"), rule.get("to_port")), (None, None));
        }
        let ping = rules(&permission("icmp", &ports(8, -1), &ranges(&["0.0.0.0/0"])), "").await;
        assert_eq!(ping["ingress:icmp:8--1:0.0.0.0/0"]["from_port"], 8);
    }

    #[tokio::test]
    async fn a_permission_that_comes_twice_is_one_row_and_the_order_does_not_matter() {
        let (ssh, web) = (
            permission("tcp", &ports(22, 22), &ranges(&["::1", "::2"])),
            permission("tcp", &ports(80, 80), &ranges(&["::1"])),
        );
        let some = rules(&format!("{ssh}{web}{ssh}"), "").await;
        let others = rules(&format!("{web}{ssh}"), "").await;
        assert_eq!(some.len(), 3);
        assert_eq!(some, others);
    }

    #[tokio::test]
    async fn a_group_without_permissions_has_no_rules() {
        assert!(rules("", "").await.is_empty());
        assert!(rules(&permission("tcp", &ports(1, 2), ""), "").await.is_empty());
    }
}
