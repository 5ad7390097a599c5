//! The options that all providers of AWS have.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::{Duration, Refresh};

use super::Filters;
use crate::estate::AwsOptions;
use crate::feed::EventsOptions;

/// The options of a provider of AWS.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderOptions {
    /// How AWS is reached, and which accounts are looked at.
    pub aws: AwsOptions,
    /// The regions; without them those of `aws`, else all that each account has enabled.
    pub regions: Option<Vec<String>>,
    /// The tables to collect, such as `aws_ec2_instance`; all of them where it is absent.
    pub tables: Option<Vec<String>>,
    /// What passes, by table, in the names that filters of AWS have: `{aws_ec2_instance: {"tag:env": [prod]}}`. What
    /// does not pass is not in the table, nor is what is nested in it.
    pub filters: BTreeMap<String, Filters>,
    /// What costs a call for each row, or money, and is read only where it is named here: columns as `table.column`, such
    /// as `aws_ec2_instance.user_data`, which are NULL otherwise, and tables, which are empty otherwise.
    pub hydrate: Vec<String>,
    /// Where notifications of changes come from: what they name is read again at once, and nothing else.
    pub events: Option<EventsOptions>,
    /// When everything is read again: so often, at times (`{cron: …}`), or `off`.
    pub refresh: Refresh,
    /// How many listings are read at the same time, over all accounts and regions.
    pub concurrency: NonZeroUsize,
}

impl Default for ProviderOptions {
    fn default() -> Self {
        Self {
            aws: AwsOptions::default(),
            regions: None,
            tables: None,
            filters: BTreeMap::new(),
            hydrate: Vec::new(),
            events: None,
            refresh: Refresh::Every(Duration::seconds(15 * 60)),
            concurrency: NonZeroUsize::new(16).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

impl ProviderOptions {
    /// The accounts and regions.
    pub(super) fn estate(&self) -> AwsOptions {
        let regions = self.regions.clone().or_else(|| self.aws.regions.clone());
        AwsOptions { regions, ..self.aws.clone() }
    }
}
