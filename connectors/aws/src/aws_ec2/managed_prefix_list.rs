//! `aws_ec2_managed_prefix_list`, from DescribeManagedPrefixLists.

use async_trait::async_trait;
use aws_sdk_ec2::types::ManagedPrefixList;

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread};

/// How many lists a page may have.
const PAGE: i32 = 100;

/// Reads DescribeManagedPrefixLists.
pub(super) struct ManagedPrefixLists {
    lists: Table<ManagedPrefixList>,
}

impl ManagedPrefixLists {
    pub(super) fn new() -> Self {
        Self { lists: lists() }
    }
}

fn lists() -> Table<ManagedPrefixList> {
    Table::new(
        "aws_ec2_managed_prefix_list",
        "Managed prefix lists, those of AWS and those that other accounts share among them.",
        |place, list: &ManagedPrefixList| {
            let resource = format!("prefix-list/{}", list.prefix_list_id().unwrap_or_default());
            list.prefix_list_arn().map_or_else(|| place.arn_of(list.owner_id(), "ec2", resource), str::to_owned)
        },
    )
    .target("prefix_list_id", "The id of the list.", |list| list.prefix_list_id())
    .text("name", "Its name.", |list| list.prefix_list_name())
    .text("state", "`create-complete`, `modify-in-progress`, …", |list| Some(list.state()?.as_str()))
    .text("state_message", "More of its state.", |list| list.state_message())
    .text("address_family", "`IPv4` or `IPv6`.", |list| list.address_family())
    .text("owner_id", "The account that owns it, or `AWS`.", |list| list.owner_id())
    .integer("max_entries", "How many entries it may have.", ManagedPrefixList::max_entries)
    .integer("version", "How often it was changed; NULL with those of AWS.", ManagedPrefixList::version)
    .tags(|list| tags(list.tags()))
}

#[async_trait]
impl Collector for ManagedPrefixLists {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.lists]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeManagedPrefixLists"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the managed prefix lists");
            while let Some(token) = listing.token() {
                let filters = filters(call, "prefix-list-id", part.as_deref());
                let request = client.describe_managed_prefix_lists().set_filters(filters);
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                call.give(&self.lists, &page.prefix_lists.unwrap_or_default(), raw.items("prefixListSet")).await?;
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

    const ANSWER: &str = "<DescribeManagedPrefixListsResponse><prefixListSet><item><prefixListId>pl-1</prefixListId>\
        <prefixListName>com.amazonaws.eu-west-1.s3</prefixListName><addressFamily>IPv4</addressFamily><ownerId>AWS</ownerId>\
        <prefixListArn>arn:aws:ec2:eu-west-1:aws:prefix-list/pl-1</prefixListArn><state>create-complete</state></item>\
        </prefixListSet></DescribeManagedPrefixListsResponse>";

    #[tokio::test]
    async fn a_list_of_aws_is_a_list_too() {
        let server = StandIn::new(|_| (200, ANSWER.to_owned())).await;
        let (rows, outcome) = server.collect(&ManagedPrefixLists::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let list = &rows["aws_ec2_managed_prefix_list"][0];
        assert_eq!((&list["owner_id"], &list["address_family"]), (&json!("AWS"), &json!("IPv4")));
        assert_eq!((&list["arn"], list.get("version")), (&json!("arn:aws:ec2:eu-west-1:aws:prefix-list/pl-1"), None));
    }
}
