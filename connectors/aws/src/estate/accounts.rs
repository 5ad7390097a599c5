//! Who is looked at.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_organizations::types::AccountState;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::diagnostic::remedy_for;

use super::options::{AccountOptions, AwsOptions, account_of};
use super::{Patience, Place, Session};
use crate::connection::Connection;
use crate::failure::{causes, failure, unanswered};

/// The accounts and regions of some options.
#[derive(Debug)]
pub(crate) struct Estate {
    options: AwsOptions,
    connection: Connection,
    patience: Patience,
}

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: Arc<str>,
    pub(crate) partition: Arc<str>,
    config: SdkConfig,
}

impl Account {
    /// This account in that region.
    pub(crate) fn session(&self, region: &Arc<str>) -> Session {
        let (partition, account_id) = (Arc::clone(&self.partition), Arc::clone(&self.id));
        Session::new(Place { partition, account_id, region: Arc::clone(region) }, &self.config)
    }
}

impl Estate {
    pub(crate) fn new(options: AwsOptions, connection: Connection) -> Self {
        Self { options, connection, patience: Patience::REFRESH }
    }

    /// The same, waited for differently.
    pub(crate) fn with_patience(&self, patience: Patience) -> Self {
        Self { options: self.options.clone(), connection: self.connection.clone(), patience }
    }

    /// The credentials as they are now: those that were renewed meanwhile are read again. The region is the one where an
    /// organisation and an identity are asked for.
    ///
    /// # Errors
    /// When a secret cannot be read, or no region is known.
    pub(crate) async fn base(&self) -> Result<SdkConfig> {
        let config = self.connection.load(self.patience.retries()).await?;
        Ok(config.into_builder().timeout_config(self.patience.timeouts()).build())
    }

    /// Looks for credentials, without asking whether they are good.
    ///
    /// # Errors
    /// When there are none anywhere. What else is wrong shows when they are used.
    pub(crate) async fn find_credentials(&self) -> Result<()> {
        let Ok(config) = self.base().await else { return Ok(()) };
        let Some(provider) = config.credentials_provider() else { return Ok(()) };
        match provider.provide_credentials().await {
            Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
                Err(unanswered("find any credentials", &causes(&error)))
            }
            _ => Ok(()),
        }
    }

    /// The account of the credentials themselves.
    ///
    /// # Errors
    /// When AWS does not know them, or cannot be reached.
    pub(crate) async fn own(&self) -> Result<Account> {
        let config = self.base().await?;
        let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
        let identity = identity.map_err(|error| failure("find out whose credentials these are", &error))?;
        let missing = || Error::external("AWS does not say whose credentials these are");
        let arn = identity.arn().ok_or_else(missing)?;
        let partition = arn.split(':').nth(1).unwrap_or("aws").into();
        Ok(Account { id: identity.account().ok_or_else(missing)?.into(), partition, config })
    }

    /// Every account that is looked at, each once.
    ///
    /// # Errors
    /// When the credentials are refused, or the organisation cannot be listed. A role that cannot be assumed is found
    /// out with the first call in its account, and is a matter of that account alone.
    pub(crate) async fn accounts(&self) -> Result<Vec<Account>> {
        let own = self.own().await?;
        let mut roles = self.options.accounts.clone();
        if let Some(organization) = &self.options.organization {
            for id in organization_accounts(&own).await? {
                let excepted = organization.except.contains(&id) || *id == *own.id;
                if !excepted {
                    let role = format!("arn:{}:iam::{id}:role/{}", own.partition, organization.role);
                    roles.push(AccountOptions { role, external_id: organization.external_id.clone() });
                }
            }
        }
        let mut accounts: Vec<Account> = Vec::new();
        if self.options.own_account.0 {
            accounts.push(own.clone());
        }
        for role in roles {
            let Some(id) = account_of(&role.role) else { continue };
            if accounts.iter().all(|known| *known.id != *id) {
                accounts.push(assumed(&own, id, &role).await);
            }
        }
        Ok(accounts)
    }

    /// The regions of an account: those that were named, or all that it has enabled.
    ///
    /// # Errors
    /// When a region was named that AWS does not have, or AWS cannot be asked and none was named.
    pub(crate) async fn regions(&self, account: &Account) -> Result<Vec<Arc<str>>> {
        let named = self.options.regions.as_deref();
        let listed = match regions_of(account).await {
            Ok(listed) => listed,
            // Whoever names regions need not be allowed to list them.
            Err(_) if named.is_some() => {
                return Ok(named.unwrap_or_default().iter().map(|name| name.as_str().into()).collect());
            }
            Err(error) => return Err(error),
        };
        let Some(named) = named else {
            return Ok(listed.into_iter().filter(|region| region.enabled).map(|region| region.name.into()).collect());
        };
        let known: Vec<String> = listed.iter().map(|region| region.name.clone()).collect();
        for name in named {
            match listed.iter().find(|region| region.name == *name) {
                Some(region) if region.enabled => {}
                Some(_) => {
                    return Err(Error::user(format!("the region `{name}` is not enabled in account {}", account.id))
                        .with_remedy("enable it there, or leave it out of `regions`"));
                }
                None => return Err(unknown_region(name, &known)),
            }
        }
        Ok(named.iter().map(|name| name.as_str().into()).collect())
    }
}

fn unknown_region(name: &str, known: &[String]) -> Error {
    Error::user(format!("AWS has no region `{name}`")).with_remedy(remedy_for(name, "regions", known))
}

/// A region of AWS, as an account sees it.
struct KnownRegion {
    name: String,
    enabled: bool,
}

async fn regions_of(account: &Account) -> Result<Vec<KnownRegion>> {
    let client = aws_sdk_ec2::Client::new(&account.config);
    let answer = client.describe_regions().all_regions(true).send().await;
    let answer = answer.map_err(|error| failure("list the regions", &error))?;
    let region = |region: &aws_sdk_ec2::types::Region| KnownRegion {
        name: region.region_name().unwrap_or_default().to_owned(),
        enabled: region.opt_in_status() != Some("not-opted-in"),
    };
    Ok(answer.regions().iter().map(region).collect())
}

/// The accounts of the organisation that are not closed.
async fn organization_accounts(own: &Account) -> Result<Vec<String>> {
    let client = aws_sdk_organizations::Client::new(&own.config);
    let mut listed = client.list_accounts().into_paginator().send();
    let mut accounts = Vec::new();
    while let Some(page) = listed.next().await {
        let page = page.map_err(|error| failure("list the accounts of the organisation", &error))?;
        let is_open = |account: &&aws_sdk_organizations::types::Account| {
            account.state().is_none_or(|state| *state == AccountState::Active)
        };
        accounts.extend(page.accounts().iter().filter(is_open).filter_map(|account| account.id()).map(str::to_owned));
    }
    Ok(accounts)
}

/// The account `id`, reached by assuming a role.
async fn assumed(own: &Account, id: &str, role: &AccountOptions) -> Account {
    let provider = AssumeRoleProvider::builder(&role.role).session_name("tidegate").configure(&own.config);
    let provider = match &role.external_id {
        Some(external_id) => provider.external_id(external_id),
        None => provider,
    };
    let credentials = SharedCredentialsProvider::new(provider.build().await);
    let config = own.config.to_builder().credentials_provider(credentials).build();
    Account { id: id.into(), partition: Arc::clone(&own.partition), config }
}
