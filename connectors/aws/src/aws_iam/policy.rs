//! `aws_iam_policy` and `aws_iam_policy_statement`, from GetAccountAuthorizationDetails: the managed policies of the account,
//! and those of AWS that it uses.

use async_trait::async_trait;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::{EntityType, ManagedPolicyDetail, Tag};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use super::request::{PAGE, asked_for, client, marker, tags};
use crate::opsbox;
use crate::policy_document::{Document, Statement, statement_columns};
use crate::provider::{CALLS, Call, Collector, Declared, Optional, Reach, Table, Unread, answered, unless_unknown};

const NAME: &str = "aws_iam_policy";
/// More pages than the tags of a policy have.
const MOST_PAGES: usize = 16;

/// A managed policy.
struct Listed {
    policy: ManagedPolicyDetail,
    /// Its default version.
    document: Document,
    tags: Vec<Tag>,
}

impl Listed {
    fn new(policy: ManagedPolicyDetail, tags: Vec<Tag>) -> Self {
        let version = policy.policy_version_list().iter().find(|version| version.is_default_version());
        let document = Document::encoded(version.and_then(|version| version.document()).unwrap_or_default());
        Self { document, policy, tags }
    }
}

/// A statement of the default version of a policy.
struct PolicyStatement {
    policy: String,
    is_aws_managed: bool,
    statement: Statement,
}

/// Reads the managed policies of an account.
pub(super) struct Policies {
    policies: Table<Listed>,
    statements: Table<PolicyStatement>,
}

impl Policies {
    pub(super) fn new() -> Self {
        Self { policies: policies(), statements: statements() }
    }
}

/// The name; what stands in for AWS may say it in the ARN only.
fn name(policy: &ManagedPolicyDetail) -> Option<&str> {
    policy.policy_name().or_else(|| policy.arn()?.rsplit('/').next())
}

/// Whether it is one of AWS, which the account cannot change.
fn is_aws_managed(policy: &ManagedPolicyDetail) -> bool {
    policy.arn().is_some_and(|arn| arn.split(':').nth(4) == Some("aws"))
}

/// Whether anybody in the account has it, as a policy or as a boundary.
fn is_used(policy: &ManagedPolicyDetail) -> bool {
    policy.attachment_count() > Some(0) || policy.permissions_boundary_usage_count() > Some(0)
}

fn policies() -> Table<Listed> {
    let description = "The managed policies of the account, and those of AWS that it uses.";
    Table::new(NAME, description, |_, listed: &Listed| listed.policy.arn().unwrap_or_default().to_owned())
        .by_arn()
        .view(opsbox::IAM_POLICIES)
        .text("name", "The name of the policy.", |listed: &Listed| name(&listed.policy))
        .text("policy_id", "The id of the policy: `ANPA…`.", |listed| listed.policy.policy_id())
        .text("path", "The path of the policy.", |listed| listed.policy.path())
        .text("description", "What it is for.", |listed| listed.policy.description())
        .boolean("is_aws_managed", "Whether it is one of AWS, which the account cannot change.", |listed| {
            Some(is_aws_managed(&listed.policy))
        })
        .boolean("is_attachable", "Whether it can be attached.", |listed| Some(listed.policy.is_attachable()))
        .integer("attachment_count", "To how many users, groups and roles it is attached.", |listed| {
            listed.policy.attachment_count()
        })
        .boolean("is_attached", "Whether it is attached to any.", |listed| Some(listed.policy.attachment_count()? > 0))
        .integer("permissions_boundary_usage_count", "Of how many users and roles it is the boundary.", |listed| {
            listed.policy.permissions_boundary_usage_count()
        })
        .time("create_date", "When it was made.", |listed| listed.policy.create_date())
        .time("update_date", "When its newest version was made.", |listed| listed.policy.update_date())
        .text("default_version_id", "The version that is in force: `v1`.", |listed| listed.policy.default_version_id())
        .json("policy", "That version, as JSON as it was written.", |listed| Some(listed.document.text()))
        .json("policy_std", "The same in one form: lists everywhere, sorted, actions in lower case.", |listed| {
            Some(listed.document.standard()?.to_string())
        })
        .tags(|listed| tags(&listed.tags))
}

fn statements() -> Table<PolicyStatement> {
    let description = "The statements of the managed policies of the account, and of those of AWS that it uses.";
    let table = Table::new("aws_iam_policy_statement", description, |_, of: &PolicyStatement| {
        format!("{}/statement/{}", of.policy, of.statement.index())
    });
    let table = table.target("policy_arn", "The policy.", |of: &PolicyStatement| Some(&of.policy));
    let table = table.boolean("is_aws_managed", "Whether the policy is one of AWS.", |of| Some(of.is_aws_managed));
    statement_columns(table, |of| &of.statement)
}

/// Reads the tags of policies, which no listing says.
struct TagReader<'a> {
    client: &'a Client,
    optional: Optional<'a>,
}

impl TagReader<'_> {
    /// The tags of a policy; nothing where it is gone.
    async fn of(&self, policy: &ManagedPolicyDetail) -> Result<Option<Vec<Tag>>, Unread> {
        let (mut tags, mut token) = (Vec::new(), None);
        if is_aws_managed(policy) {
            return Ok(Some(tags));
        }
        for _ in 0..MOST_PAGES {
            if self.optional.is_refused() {
                break;
            }
            let request = self.client.list_policy_tags().set_policy_arn(policy.arn.clone()).set_marker(token);
            let answer = answered("list the tags of policies", unless_unknown(request.send().await));
            let Some(found) = self.optional.take(answer)? else { break };
            let Some(page) = found else { return Ok(None) };
            token = marker(page.is_truncated(), page.marker()).map(str::to_owned);
            tags.extend(page.tags);
            if token.is_none() {
                break;
            }
        }
        Ok(Some(tags))
    }
}

#[async_trait]
impl Collector for Policies {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.policies, &self.statements]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:GetAccountAuthorizationDetails", "iam:ListPolicyTags"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let reader = TagReader { client: &client, optional: Optional::new(call.session) };
        let reader = &reader;
        let mut listing = call.listing("list the policies");
        while let Some(token) = listing.token() {
            let request = client.get_account_authorization_details().filter(EntityType::LocalManagedPolicy);
            let request = request.filter(EntityType::AwsManagedPolicy).max_items(PAGE).set_marker(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| marker(page.is_truncated(), page.marker()))?;
            let raws = raw.items("GetAccountAuthorizationDetailsResult/Policies");
            let (policies, raws) = asked_for(call, page.policies.unwrap_or_default(), raws, |policy| policy.arn());
            let wanted = policies.into_iter().zip(raws);
            let wanted: Vec<_> = wanted.filter(|(policy, _)| !is_aws_managed(policy) || is_used(policy)).collect();
            let read = |(policy, raw): (ManagedPolicyDetail, Value)| async move {
                let tags = reader.of(&policy).await?;
                Ok::<_, Unread>(tags.map(|tags| (Listed::new(policy, tags), raw)))
            };
            let read: Vec<_> = stream::iter(wanted).map(read).buffered(CALLS).try_collect().await?;
            let (policies, raws): (Vec<Listed>, Vec<Value>) = read.into_iter().flatten().unzip();
            let statements: Vec<PolicyStatement> = policies.iter().flat_map(statements_of).collect();
            call.give(&self.statements, &statements, statements.iter().map(|of| &of.statement.written)).await?;
            call.give(&self.policies, &policies, raws).await?;
        }
        Ok(())
    }
}

fn statements_of(listed: &Listed) -> Vec<PolicyStatement> {
    let policy = listed.policy.arn().unwrap_or_default();
    let is_aws_managed = is_aws_managed(&listed.policy);
    let statement = |statement| PolicyStatement { policy: policy.to_owned(), is_aws_managed, statement };
    listed.document.statements().into_iter().map(statement).collect()
}
