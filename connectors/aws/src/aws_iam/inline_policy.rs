//! Policies that are a part of a user, a role or a group: as columns of it, and statement by statement.

use aws_sdk_iam::types::{AttachedPolicy, PolicyDetail};
use serde_json::{Map, Value};

use crate::policy_document::{Document, Statement, statement_columns};
use crate::provider::{Table, sorted};

/// A statement of an inline policy.
pub(super) struct InlineStatement {
    pub(super) holder: String,
    policy: String,
    pub(super) statement: Statement,
}

impl InlineStatement {
    /// The statements of all inline policies of a holder.
    pub(super) fn all(holder: Option<&str>, policies: &[PolicyDetail]) -> Vec<Self> {
        let statements = |policy: &PolicyDetail| -> Vec<Self> {
            let document = Document::encoded(policy.policy_document().unwrap_or_default());
            let made = |statement| Self {
                holder: holder.unwrap_or_default().to_owned(),
                policy: policy.policy_name().unwrap_or_default().to_owned(),
                statement,
            };
            document.statements().into_iter().map(made).collect()
        };
        policies.iter().flat_map(statements).collect()
    }
}

/// A table of statements of inline policies. `kind` is what holds them, as ARNs have it; `column` the column that names it.
pub(super) fn inline_statements(
    (name, description): (&'static str, &'static str),
    (kind, column, of): (&'static str, &'static str, &'static str),
) -> Table<InlineStatement> {
    let table = Table::new(name, description, move |place, inline: &InlineStatement| {
        let InlineStatement { holder, policy, statement } = inline;
        place.arn("iam", format_args!("{kind}/{holder}/policy/{policy}/statement/{}", statement.index()))
    });
    let table = table.target(column, of, |inline| Some(&inline.holder));
    let table = table.key("policy_name", "The name of the policy.", |inline| Some(&inline.policy));
    statement_columns(table, |inline| &inline.statement)
}

/// The columns of what holds policies: `policies` are its inline ones, `attached` those that are attached to it.
pub(super) fn policy_columns<R: 'static>(
    table: Table<R>,
    policies: fn(&R) -> &[PolicyDetail],
    attached: fn(&R) -> &[AttachedPolicy],
) -> Table<R> {
    table
        .texts("attached_policy_arns", "The managed policies that are attached to it.", move |row| {
            sorted(attached(row).iter().map(AttachedPolicy::policy_arn))
        })
        .texts("inline_policy_names", "The names of its inline policies.", move |row| {
            sorted(policies(row).iter().map(PolicyDetail::policy_name))
        })
        .json(
            "inline_policies",
            "Its inline policies, as a JSON list of `{\"PolicyName\": …, \"PolicyDocument\": …}`; NULL without any.",
            move |row| json(policies(row), |document| Some(document.json())),
        )
        .json(
            "inline_policies_std",
            "The same with documents in one form: lists everywhere, sorted, actions in lower case.",
            move |row| json(policies(row), Document::standard),
        )
}

fn json(policies: &[PolicyDetail], form: impl Fn(&Document) -> Option<Value>) -> Option<String> {
    let policy = |policy: &PolicyDetail| {
        let document = form(&Document::encoded(policy.policy_document().unwrap_or_default())).unwrap_or(Value::Null);
        let name = Value::from(policy.policy_name().unwrap_or_default());
        Value::Object(Map::from_iter([("PolicyName".to_owned(), name), ("PolicyDocument".to_owned(), document)]))
    };
    let mut policies: Vec<&PolicyDetail> = policies.iter().collect();
    policies.sort_unstable_by_key(|policy| policy.policy_name());
    (!policies.is_empty()).then(|| policies.into_iter().map(policy).collect::<Value>().to_string())
}
