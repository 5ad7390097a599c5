//! `aws_vpc_network_acl`, `aws_vpc_network_acl_entry` and `aws_vpc_network_acl_association`, from DescribeNetworkAcls.

use async_trait::async_trait;
use aws_sdk_ec2::types::{NetworkAcl, NetworkAclAssociation, NetworkAclEntry};

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, Within, sorted};

/// How many network ACLs a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeNetworkAcls.
pub(super) struct NetworkAcls {
    acls: Table<NetworkAcl>,
    entries: Table<Within<NetworkAclEntry>>,
    associations: Table<Within<NetworkAclAssociation>>,
}

impl NetworkAcls {
    pub(super) fn new() -> Self {
        Self { acls: acls(), entries: entries(), associations: associations() }
    }
}

fn acls() -> Table<NetworkAcl> {
    Table::new("aws_vpc_network_acl", "Network ACLs.", |place, acl: &NetworkAcl| {
        place.arn_of(acl.owner_id(), "ec2", format_args!("network-acl/{}", acl.network_acl_id().unwrap_or_default()))
    })
    .target("network_acl_id", "The id of the network ACL.", |acl| acl.network_acl_id())
    .boolean("is_default", "Whether it is the one that its VPC had from the beginning.", NetworkAcl::is_default)
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |acl| acl.vpc_id())
    .text("owner_id", "The account that owns it.", |acl| acl.owner_id())
    .texts("associations", "The ids of its associations with subnets, sorted; none where no subnet uses it.", |acl| {
        sorted(acl.associations().iter().map(|association| association.network_acl_association_id()))
    })
    .texts("subnet_ids", "The subnets that use it, sorted.", |acl| {
        sorted(acl.associations().iter().map(|association| association.subnet_id()))
    })
    .tags(|acl| tags(acl.tags()))
}

fn entries() -> Table<Within<NetworkAclEntry>> {
    Table::new(
        "aws_vpc_network_acl_entry",
        "The rules of network ACLs. Of those that match a packet the one with the lowest number decides.",
        |place, entry: &Within<NetworkAclEntry>| {
            let direction = if entry.part.egress() == Some(true) { "egress" } else { "ingress" };
            let number = entry.part.rule_number().unwrap_or_default();
            place.arn("ec2", format_args!("network-acl/{}/{direction}/{number}", entry.of))
        },
    )
    .target("network_acl_id", "The network ACL.", |entry| Some(&entry.of))
    .boolean("egress", "Whether it is about what goes out.", |entry| entry.part.egress())
    .identified_by("egress")
    .integer("rule_number", "Its number; 32767 (and 32768 for IPv6) is what denies the rest.", |entry| {
        entry.part.rule_number()
    })
    .identified_by("rule_number")
    .text("action", "`allow` or `deny`.", |entry| Some(entry.part.rule_action()?.as_str()))
    .text("protocol", "The number of the protocol, such as 6 for TCP; `-1` for all.", |entry| entry.part.protocol())
    .integer("from_port", "The first port; NULL where it is about all of them.", |entry| {
        entry.part.port_range()?.from()
    })
    .integer("to_port", "The last port; NULL where it is about all of them.", |entry| entry.part.port_range()?.to())
    .integer("icmp_type", "The type of ICMP; -1 for all.", |entry| entry.part.icmp_type_code()?.r#type())
    .integer("icmp_code", "The code of ICMP; -1 for all.", |entry| entry.part.icmp_type_code()?.code())
    .text("cidr_block", "The IPv4 range that it is about.", |entry| entry.part.cidr_block())
    .text("ipv6_cidr_block", "The IPv6 range that it is about.", |entry| entry.part.ipv6_cidr_block())
}

fn associations() -> Table<Within<NetworkAclAssociation>> {
    Table::new(
        "aws_vpc_network_acl_association",
        "Which subnet uses which network ACL.",
        |place, association: &Within<NetworkAclAssociation>| {
            let id = association.part.network_acl_association_id().unwrap_or_default();
            place.arn("ec2", format_args!("network-acl/{}/association/{id}", association.of))
        },
    )
    .target("network_acl_id", "The network ACL.", |association| Some(&association.of))
    .key("network_acl_association_id", "The id of the association.", |association| {
        association.part.network_acl_association_id()
    })
    .reference("subnet_id", "The subnet.", ("aws_vpc_subnet", "subnet_id"), |association| association.part.subnet_id())
}

#[async_trait]
impl Collector for NetworkAcls {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.acls, &self.entries, &self.associations]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeNetworkAcls"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the network ACLs");
            while let Some(token) = listing.token() {
                let request =
                    client.describe_network_acls().set_filters(filters(call, "network-acl-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let acls = page.network_acls.unwrap_or_default();
                let entries = Within::all(&acls, NetworkAcl::network_acl_id, NetworkAcl::entries);
                let associations = Within::all(&acls, NetworkAcl::network_acl_id, NetworkAcl::associations);
                call.give(&self.entries, &entries, raw.items("networkAclSet/entrySet")).await?;
                call.give(&self.associations, &associations, raw.items("networkAclSet/associationSet")).await?;
                call.give(&self.acls, &acls, raw.items("networkAclSet")).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_pipeline::provider::Extent;

    use super::*;
    use crate::testing::StandIn;

    const ANSWER: &str = "<DescribeNetworkAclsResponse><networkAclSet><item><networkAclId>acl-1</networkAclId>\
        <vpcId>vpc-1</vpcId><default>true</default><ownerId>123456789012</ownerId><entrySet>\
        <item><ruleNumber>100</ruleNumber><protocol>6</protocol><ruleAction>allow</ruleAction><egress>false</egress>\
        <cidrBlock>0.0.0.0/0</cidrBlock><portRange><from>22</from><to>22</to></portRange></item>\
        <item><ruleNumber>100</ruleNumber><protocol>1</protocol><ruleAction>deny</ruleAction><egress>true</egress>\
        <ipv6CidrBlock>::/0</ipv6CidrBlock><icmpTypeCode><code>-1</code><type>8</type></icmpTypeCode></item>\
        </entrySet><associationSet><item><networkAclAssociationId>aclassoc-2</networkAclAssociationId>\
        <networkAclId>acl-1</networkAclId><subnetId>subnet-2</subnetId></item><item><networkAclAssociationId>aclassoc-1\
        </networkAclAssociationId><networkAclId>acl-1</networkAclId><subnetId>subnet-1</subnetId></item>\
        </associationSet></item></networkAclSet></DescribeNetworkAclsResponse>";

    #[tokio::test]
    async fn entries_and_associations_have_rows_of_their_own() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&NetworkAcls::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let acl = &rows["aws_vpc_network_acl"][0];
        assert_eq!((&acl["is_default"], &acl["subnet_ids"]), (&json!(true), &json!(["subnet-1", "subnet-2"])));
        assert_eq!(acl["associations"], json!(["aclassoc-1", "aclassoc-2"]));
        assert_eq!(rows["aws_vpc_network_acl_association"][0]["subnet_id"], "subnet-2");
        let entries = &rows["aws_vpc_network_acl_entry"];
        assert_eq!(
            (&entries[0]["egress"], &entries[0]["rule_number"], &entries[0]["action"]),
            (&json!(false), &json!(100), &json!("allow"))
        );
        assert_eq!((&entries[0]["from_port"], &entries[0]["cidr_block"]), (&json!(22), &json!("0.0.0.0/0")));
        assert_eq!((&entries[1]["icmp_type"], &entries[1]["icmp_code"]), (&json!(8), &json!(-1)));
        assert_eq!((entries[1].get("from_port"), &entries[1]["ipv6_cidr_block"]), (None, &json!("::/0")));
        assert_eq!(entries[1]["arn"], "arn:aws:ec2:eu-west-1:123456789012:network-acl/acl-1/egress/100");
        assert!(entries[1]["raw"].as_str().unwrap().contains("icmpTypeCode"));
    }
}
