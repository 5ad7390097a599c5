//! What is nested in a bucket: the grants of its ACL, the statements of its policy.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bucket::Read;
use super::request::arn;
use crate::policy_document::{Document, Statement, statement_columns};
use crate::provider::Table;

/// A grant of the ACL of a bucket.
pub(super) struct Grant {
    bucket: String,
    grantee: String,
    permission: String,
    pub(super) written: Value,
}

impl Grant {
    /// The grants of a bucket, each once.
    pub(super) fn all(read: &Read) -> Vec<Self> {
        let grants = read.acl.as_ref().and_then(|acl| acl["Grants"].as_array());
        let grant = |written: &Value| {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let grantee = &written["Grantee"];
            let named = ["URI", "ID", "EmailAddress"].iter().find_map(|name| text(&grantee[*name])).unwrap_or_default();
            let permission = text(&written["Permission"]).unwrap_or_default();
            ((named, permission), written.clone())
        };
        let each: BTreeMap<_, _> = grants.into_iter().flatten().map(grant).collect();
        let grants = each.into_iter().map(|((grantee, permission), written)| Self {
            bucket: read.name().to_owned(),
            grantee,
            permission,
            written,
        });
        grants.collect()
    }
}

/// The table of grants.
pub(super) fn grants() -> Table<Grant> {
    Table::new("aws_s3_bucket_grant", "What the ACLs of buckets allow.", |place, grant: &Grant| {
        arn(place, format_args!("{}/grant/{}/{}", grant.bucket, grant.permission, grant.grantee))
    })
    .target("bucket_name", "The bucket.", |grant| Some(&grant.bucket))
    .key(
        "grantee",
        "Who is allowed: an id, or the URI of a group such as `http://acs.amazonaws.com/groups/global/AllUsers`.",
        |grant| Some(&grant.grantee),
    )
    .key("permission", "`READ`, `WRITE`, `READ_ACP`, `WRITE_ACP` or `FULL_CONTROL`.", |grant| Some(&grant.permission))
    .text("grantee_type", "`CanonicalUser`, `Group` or `AmazonCustomerByEmail`.", |grant| {
        grant.written["Grantee"]["Type"].as_str()
    })
    .text("grantee_display_name", "The name of whom it allows, where S3 says it.", |grant| {
        grant.written["Grantee"]["DisplayName"].as_str()
    })
}

/// A statement of the policy of a bucket.
pub(super) struct PolicyStatement {
    bucket: String,
    pub(super) statement: Statement,
}

impl PolicyStatement {
    /// The statements of a bucket's policy.
    pub(super) fn all(read: &Read) -> Vec<Self> {
        let statements = read.policy.as_ref().map(Document::statements).unwrap_or_default();
        statements.into_iter().map(|statement| Self { bucket: read.name().to_owned(), statement }).collect()
    }
}

/// The table of statements.
pub(super) fn statements() -> Table<PolicyStatement> {
    let description = "The statements of the policies of buckets.";
    let table = Table::new("aws_s3_bucket_policy_statement", description, |place, of: &PolicyStatement| {
        arn(place, format_args!("{}/policy-statement/{}", of.bucket, of.statement.index()))
    });
    let table = table.target("bucket_name", "The bucket.", |of| Some(&of.bucket));
    statement_columns(table, |of| &of.statement)
}
