//! `aws_iam_account_password_policy`: what passwords of users must be. A row for each account that has such a policy, from
//! GetAccountPasswordPolicy.

use async_trait::async_trait;
use aws_sdk_iam::types::PasswordPolicy;

use super::request::client;
use crate::provider::{Call, Capture, Collector, Declared, Reach, Table, Unread, answered, unless_unknown};

const NAME: &str = "aws_iam_account_password_policy";

/// Reads the password policy of an account.
pub(super) struct PasswordPolicies {
    policies: Table<PasswordPolicy>,
}

impl PasswordPolicies {
    pub(super) fn new() -> Self {
        Self { policies: policies() }
    }
}

fn policies() -> Table<PasswordPolicy> {
    let description = "What the passwords of users must be; no row where the account has set nothing.";
    Table::new(NAME, description, |place, _: &PasswordPolicy| place.arn("iam", "password-policy"))
        .integer("minimum_password_length", "How long they must be.", PasswordPolicy::minimum_password_length)
        .integer("password_reuse_prevention", "How many earlier ones may not be used again; NULL: all may.", |policy| {
            policy.password_reuse_prevention()
        })
        .boolean("expire_passwords", "Whether they expire.", |policy| Some(policy.expire_passwords()))
        .integer("max_password_age", "After how many days they expire; NULL: never.", PasswordPolicy::max_password_age)
        .boolean("hard_expiry", "Whether only an administrator can replace one that has expired.", |policy| {
            policy.hard_expiry()
        })
        .boolean("allow_users_to_change_password", "Whether users may change their own.", |policy| {
            Some(policy.allow_users_to_change_password())
        })
        .boolean("require_lowercase_characters", "Whether a lower-case letter is needed.", |policy| {
            Some(policy.require_lowercase_characters())
        })
        .boolean("require_uppercase_characters", "Whether an upper-case letter is needed.", |policy| {
            Some(policy.require_uppercase_characters())
        })
        .boolean("require_numbers", "Whether a digit is needed.", |policy| Some(policy.require_numbers()))
        .boolean("require_symbols", "Whether a symbol is needed.", |policy| Some(policy.require_symbols()))
}

#[async_trait]
impl Collector for PasswordPolicies {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.policies]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:GetAccountPasswordPolicy"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let capture = Capture::default();
        let request = client(call.session).get_account_password_policy().customize().interceptor(capture.clone());
        let answer = answered("read the password policy", unless_unknown(request.send().await))?;
        let Some(policy) = answer.and_then(|answer| answer.password_policy) else { return Ok(()) };
        let raw = capture.take();
        call.give(&self.policies, &[policy], raw.items("GetAccountPasswordPolicyResult/PasswordPolicy")).await
    }
}
