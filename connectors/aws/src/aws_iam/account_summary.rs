//! `aws_iam_account_summary`: how many of everything IAM has in an account, and may have. A row for each account, from
//! GetAccountSummary.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_iam::types::SummaryKeyType;
use serde_json::{Map, Value};

use super::request::client;
use crate::provider::{Call, Collector, Declared, Reach, Table, Unread, answered};

const NAME: &str = "aws_iam_account_summary";
const MFA: &str = "AccountMFAEnabled";

/// The columns of numbers: name, what it is, and what AWS calls it.
const NUMBERS: [(&str, &str, &str); 33] = [
    ("access_keys_per_user_quota", "How many access keys a user may have.", "AccessKeysPerUserQuota"),
    ("account_access_keys_present", "How many access keys the root user has, or 1.", "AccountAccessKeysPresent"),
    ("account_password_present", "1 where the root user has a password.", "AccountPasswordPresent"),
    (
        "account_signing_certificates_present",
        "How many signing certificates the root user has.",
        "AccountSigningCertificatesPresent",
    ),
    ("assume_role_policy_size_quota", "How long the trust policy of a role may be.", "AssumeRolePolicySizeQuota"),
    (
        "attached_policies_per_group_quota",
        "How many policies may be attached to a group.",
        "AttachedPoliciesPerGroupQuota",
    ),
    (
        "attached_policies_per_role_quota",
        "How many policies may be attached to a role.",
        "AttachedPoliciesPerRoleQuota",
    ),
    (
        "attached_policies_per_user_quota",
        "How many policies may be attached to a user.",
        "AttachedPoliciesPerUserQuota",
    ),
    (
        "global_endpoint_token_version",
        "The version of tokens that the global endpoint gives.",
        "GlobalEndpointTokenVersion",
    ),
    ("group_policy_size_quota", "How long the inline policies of a group may be.", "GroupPolicySizeQuota"),
    ("groups", "How many groups there are.", "Groups"),
    ("groups_per_user_quota", "In how many groups a user may be.", "GroupsPerUserQuota"),
    ("groups_quota", "How many groups there may be.", "GroupsQuota"),
    ("instance_profiles", "How many instance profiles there are.", "InstanceProfiles"),
    ("instance_profiles_quota", "How many instance profiles there may be.", "InstanceProfilesQuota"),
    ("mfa_devices", "How many devices for second factors there are.", "MFADevices"),
    ("mfa_devices_in_use", "How many of them are in use.", "MFADevicesInUse"),
    ("policies", "How many managed policies there are.", "Policies"),
    ("policies_quota", "How many managed policies there may be.", "PoliciesQuota"),
    ("policy_size_quota", "How long a managed policy may be.", "PolicySizeQuota"),
    ("policy_versions_in_use", "How many versions of managed policies there are.", "PolicyVersionsInUse"),
    ("policy_versions_in_use_quota", "How many versions there may be.", "PolicyVersionsInUseQuota"),
    ("providers", "How many identity providers there are.", "Providers"),
    ("role_policy_size_quota", "How long the inline policies of a role may be.", "RolePolicySizeQuota"),
    ("roles", "How many roles there are.", "Roles"),
    ("roles_quota", "How many roles there may be.", "RolesQuota"),
    ("server_certificates", "How many server certificates there are.", "ServerCertificates"),
    ("server_certificates_quota", "How many server certificates there may be.", "ServerCertificatesQuota"),
    (
        "signing_certificates_per_user_quota",
        "How many signing certificates a user may have.",
        "SigningCertificatesPerUserQuota",
    ),
    ("user_policy_size_quota", "How long the inline policies of a user may be.", "UserPolicySizeQuota"),
    ("users", "How many users there are.", "Users"),
    ("users_quota", "How many users there may be.", "UsersQuota"),
    ("versions_per_policy_quota", "How many versions a managed policy may have.", "VersionsPerPolicyQuota"),
];

/// What GetAccountSummary answers.
type Summary = HashMap<SummaryKeyType, i32>;

/// Reads the summary of an account.
pub(super) struct AccountSummaries {
    summary: Table<Summary>,
}

impl AccountSummaries {
    pub(super) fn new() -> Self {
        Self { summary: summary() }
    }
}

fn number(summary: &Summary, name: &str) -> Option<i32> {
    summary.get(&SummaryKeyType::from(name)).copied()
}

fn summary() -> Table<Summary> {
    let description = "How many of everything IAM has in an account, and may have.";
    let table = Table::new(NAME, description, |place, _: &Summary| place.arn("iam", "account-summary"));
    let table =
        table.boolean("account_mfa_enabled", "Whether the root user has a device for a second factor.", |summary| {
            number(summary, MFA).map(|number| number > 0)
        });
    NUMBERS.into_iter().fold(table, |table, (name, description, key)| {
        table.integer(name, description, move |summary| number(summary, key))
    })
}

#[async_trait]
impl Collector for AccountSummaries {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.summary]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:GetAccountSummary"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let answer = client(call.session).get_account_summary().send().await;
        let summary = answered("read the summary of the account", answer)?.summary_map.unwrap_or_default();
        let mut numbers: Vec<(&str, i32)> = summary.iter().map(|(key, number)| (key.as_str(), *number)).collect();
        numbers.sort_unstable();
        let raw: Map<String, Value> =
            numbers.into_iter().map(|(key, number)| (key.to_owned(), number.into())).collect();
        call.give(&self.summary, &[summary], [Value::Object(raw)]).await
    }
}
