//! The options that all providers of AWS have.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::{Duration, Options, Refresh, Together};

use super::Filters;
use crate::connection::{Connection, ConnectionOptions};
use crate::estate::AwsOptions;
use crate::feed::EventsOptions;

/// The options of a provider of AWS.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderOptions {
    /// How AWS is reached, and which accounts are looked at.
    pub aws: Together<AwsOptions, ConnectionOptions>,
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
    /// Whether objects in buckets are listed, and how many (`aws_s3` only).
    pub objects: Option<ObjectsOptions>,
    /// Where notifications of changes come from: what they name is read again at once, and nothing else.
    pub events: Option<EventsOptions>,
    /// When everything is read again: so often, at times (`{cron: …}`), or `off`.
    pub refresh: Refresh,
    /// How many listings are read at the same time, over all accounts and regions.
    pub concurrency: NonZeroUsize,
}

/// Which objects in buckets are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectsOptions {
    /// How many of each bucket, in the order of their keys.
    pub most: NonZeroUsize,
}

impl Default for ProviderOptions {
    fn default() -> Self {
        Self {
            aws: Together::default(),
            regions: None,
            tables: None,
            filters: BTreeMap::new(),
            hydrate: Vec::new(),
            objects: None,
            events: None,
            refresh: Refresh::Every(Duration::seconds(15 * 60)),
            concurrency: NonZeroUsize::new(16).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

impl ProviderOptions {
    /// The accounts and regions.
    pub(super) fn estate(&self) -> AwsOptions {
        let Together(aws, _) = &self.aws;
        let regions = self.regions.clone().or_else(|| aws.regions.clone());
        AwsOptions { regions, ..aws.clone() }
    }

    /// How AWS is reached, to begin with in the first region. `options` are those of the node; a relative path of a
    /// cassette is relative to the working directory.
    pub(super) fn connection(&self, options: &Options) -> Connection {
        let region = self.estate().regions.and_then(|regions| regions.into_iter().next());
        self.aws.1.connection(region, options, Path::new(""))
    }
}
