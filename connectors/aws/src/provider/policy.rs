//! What a provider must be allowed to do, as an IAM policy.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Service;

/// What every provider needs: to know whose credentials it has, and which regions there are.
const COMMON: [&str; 2] = ["ec2:DescribeRegions", "sts:GetCallerIdentity"];

impl Service {
    /// The least that the provider must be allowed to do to collect `tables` (all of them where that is absent): a policy
    /// document.
    pub(crate) fn policy(&self, tables: Option<&[String]>) -> Value {
        let mut actions: BTreeSet<&str> = COMMON.into();
        for collector in (self.collectors)() {
            let wanted = |tables: &[String]| {
                collector.tables().iter().any(|table| tables.iter().any(|wanted| wanted == table.name()))
            };
            if tables.is_none_or(wanted) {
                actions.extend(collector.actions());
            }
        }
        // None of these calls can be narrowed to resources.
        let statement = json!({"Sid": "TidegateReads", "Effect": "Allow", "Action": actions, "Resource": "*"});
        json!({"Version": "2012-10-17", "Statement": [statement]})
    }
}
