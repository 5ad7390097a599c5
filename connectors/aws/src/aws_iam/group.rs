//! `aws_iam_group` and `aws_iam_group_inline_statement`, from GetAccountAuthorizationDetails: twice, since it says of users
//! in which groups they are.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::{EntityType, GroupDetail};

use super::inline_policy::{InlineStatement, inline_statements, policy_columns};
use super::request::{PAGE, asked_for, client, marker};
use crate::provider::{Call, Collector, Declared, Reach, Table, Unread};

const NAME: &str = "aws_iam_group";

/// A group, and who is in it.
struct Listed {
    group: GroupDetail,
    users: Vec<String>,
}

/// Reads the groups of an account.
pub(super) struct Groups {
    groups: Table<Listed>,
    statements: Table<InlineStatement>,
}

impl Groups {
    pub(super) fn new() -> Self {
        let table = ("aws_iam_group_inline_statement", "The statements of the inline policies of groups.");
        let statements = inline_statements(table, ("group", "group_name", "The group."));
        Self { groups: groups(), statements }
    }
}

fn groups() -> Table<Listed> {
    let table = Table::new(NAME, "The groups of the account.", |place, listed: &Listed| {
        let name = listed.group.group_name().unwrap_or_default();
        listed.group.arn().map_or_else(|| place.arn("iam", format_args!("group/{name}")), str::to_owned)
    });
    let table = table
        .target("name", "The name of the group.", |listed: &Listed| listed.group.group_name())
        .text("group_id", "The id of the group: `AGPA…`.", |listed| listed.group.group_id())
        .text("path", "The path of the group.", |listed| listed.group.path())
        .time("create_date", "When it was made.", |listed| listed.group.create_date())
        .texts("users", "The users that are in it.", |listed| listed.users.clone());
    policy_columns(table, |listed| listed.group.group_policy_list(), |listed| listed.group.attached_managed_policies())
}

/// The users of each group, sorted. An account has at most some thousand users, each in at most ten groups.
async fn members(client: &Client, call: &Call<'_>) -> Result<BTreeMap<String, Vec<String>>, Unread> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut listing = call.listing("list who is in which group");
    while let Some(token) = listing.token() {
        let request = client.get_account_authorization_details().filter(EntityType::User);
        let answer = request.max_items(PAGE).set_marker(token).send().await;
        let (page, _) = listing.page(answer, |page| marker(page.is_truncated(), page.marker()))?;
        for user in page.user_detail_list() {
            for group in user.group_list() {
                members.entry(group.clone()).or_default().push(user.user_name().unwrap_or_default().to_owned());
            }
        }
    }
    members.values_mut().for_each(|users| users.sort_unstable());
    Ok(members)
}

#[async_trait]
impl Collector for Groups {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.groups, &self.statements]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:GetAccountAuthorizationDetails"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let mut members = match call.wants(&self.groups) {
            true => members(&client, call).await?,
            false => BTreeMap::new(),
        };
        let mut listing = call.listing("list the groups");
        while let Some(token) = listing.token() {
            let request = client.get_account_authorization_details().filter(EntityType::Group);
            let request = request.max_items(PAGE).set_marker(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| marker(page.is_truncated(), page.marker()))?;
            let raws = raw.items("GetAccountAuthorizationDetailsResult/GroupDetailList");
            let groups = page.group_detail_list.unwrap_or_default();
            let (groups, raws) = asked_for(call, groups, raws, |group| group.group_name());
            let statements: Vec<InlineStatement> = groups
                .iter()
                .flat_map(|group| InlineStatement::all(group.group_name(), group.group_policy_list()))
                .collect();
            call.give(&self.statements, &statements, statements.iter().map(|inline| &inline.statement.written)).await?;
            let listed = groups.into_iter().map(|group| Listed {
                users: members.remove(group.group_name().unwrap_or_default()).unwrap_or_default(),
                group,
            });
            call.give(&self.groups, &listed.collect::<Vec<_>>(), raws).await?;
        }
        Ok(())
    }
}
