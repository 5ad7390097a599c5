//! Which accounts and regions are looked at, and how AWS is reached.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_connectors::cassette::CassetteOptions;
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Place as SpecPlace};
use tidegate_pipeline::spec::{Options, Secret};

use crate::connection::Connection;

/// How AWS is reached, and which accounts and regions are looked at. The same for all kinds of providers of AWS: written
/// once with an anchor (`aws: &aws {…}`) it can be given to several of them.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsOptions {
    /// The access key. Without it the credentials are found where all AWS programs look.
    pub access_key: Option<Secret>,
    /// The secret key.
    pub secret_key: Option<Secret>,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// The profile in the AWS configuration files.
    pub profile: Option<String>,
    /// The ARN of a role to be assumed before anything else.
    pub role: Option<String>,
    /// The address of all services, where it is not that of the region.
    pub endpoint_url: Option<String>,
    /// Records all requests in a file, or answers them from it without network and credentials.
    pub cassette: Option<CassetteOptions>,
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
    /// How AWS is reached. `options` are those of the node; a relative path of a cassette is relative to the working
    /// directory.
    pub(crate) fn connection(&self, options: &Options) -> Connection {
        Connection {
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            session_token: self.session_token.clone(),
            endpoint_url: self.endpoint_url.clone(),
            region: self.regions.as_ref().and_then(|regions| regions.first().cloned()),
            profile: self.profile.clone(),
            role: self.role.clone(),
            cassette: self.cassette.as_ref().map(|cassette| cassette.insert(Path::new(""), options)),
        }
    }

    /// What is wrong with the options, whose place is `place`.
    pub(crate) fn wrong(&self, options: &Options, place: SpecPlace) -> Vec<Diagnostic> {
        let mut wrong = self.connection(options).wrong(options);
        if self.regions.as_ref().is_some_and(Vec::is_empty) {
            let found = Diagnostic::error(place, "`regions` is empty");
            wrong.push(found.with_help("leave it out for all regions of each account, or name some"));
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
