//! Which accounts and regions are looked at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Place as SpecPlace};

/// Which accounts and regions are looked at, beside [`crate::ConnectionOptions`]. The same for all kinds of providers of
/// AWS: written once with an anchor (`aws: &aws {…}`) it can be given to several of them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsOptions {
    /// The regions; without them, all that each account has enabled.
    pub regions: Option<Vec<String>>,
    /// Further accounts, each by a role to be assumed there. The account of the credentials themselves is looked at too,
    /// unless `own_account: false`.
    pub accounts: Vec<AccountOptions>,
    /// All accounts of the organisation.
    pub organization: Option<OrganizationOptions>,
    /// Whether the account of the credentials themselves is looked at.
    pub own_account: OwnAccount,
}

/// An account, by a role in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountOptions {
    /// The ARN of the role.
    pub role: String,
    /// The external id that the role asks for.
    pub external_id: Option<String>,
}

/// The accounts of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationOptions {
    /// The name of the role that is assumed in each account, such as `OrganizationAccountAccessRole`.
    pub role: String,
    /// The external id that the role asks for.
    pub external_id: Option<String>,
    /// Accounts that are left out.
    #[serde(default)]
    pub except: Vec<String>,
}

/// Whether the account of the credentials themselves is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct OwnAccount(pub bool);

impl Default for OwnAccount {
    fn default() -> Self {
        Self(true)
    }
}

impl AwsOptions {
    /// What is wrong with the options, whose place is `place`.
    pub(crate) fn wrong(&self, place: SpecPlace) -> Vec<Diagnostic> {
        let mut wrong = Vec::new();
        if self.regions.as_ref().is_some_and(Vec::is_empty) {
            wrong.push(no_regions(place));
        }
        for account in &self.accounts {
            if account_of(&account.role).is_none() {
                let message = format!("`{}` is no ARN of a role", account.role);
                wrong.push(
                    Diagnostic::error(place, message).with_help("write it as `arn:aws:iam::123456789012:role/audit`"),
                );
            }
        }
        if !self.own_account.0 && self.accounts.is_empty() && self.organization.is_none() {
            let found = Diagnostic::error(place, "no account is looked at");
            wrong.push(found.with_help("name `accounts` or an `organization`, or leave `own_account: false` out"));
        }
        wrong
    }
}

/// There are `regions`, at `place`, and none in it.
pub(crate) fn no_regions(place: SpecPlace) -> Diagnostic {
    let found = Diagnostic::error(place, "`regions` is empty");
    found.with_help("leave it out for all regions of each account, or name some")
}

/// The account that an ARN names.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, _, _, account, _] if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(account)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_role_is_in_its_arn() {
        assert_eq!(account_of("arn:aws:iam::123456789012:role/a:b"), Some("123456789012"));
        assert_eq!(account_of("arn:aws:iam::12345:role/a"), None);
        assert_eq!(account_of("role/a"), None);
    }
}
