//! One account in one region.

use std::borrow::Cow;
use std::sync::Arc;

use aws_config::{Region, SdkConfig};
use aws_sdk_ec2::config::retry::RetryPartition;

use super::GLOBAL;

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub(crate) partition: Arc<str>,
    pub(crate) account_id: Arc<str>,
    /// The region, or [`GLOBAL`].
    pub(crate) region: Arc<str>,
}

impl Place {
    /// The ARN of something of this account and region.
    pub(crate) fn arn(&self, service: &str, resource: impl std::fmt::Display) -> String {
        let region = if &*self.region == GLOBAL { "" } else { &self.region };
        format!("arn:{}:{service}:{region}:{}:{resource}", self.partition, self.account_id)
    }

    /// The ARN of something that another account may own and share: of the owner, where it is known.
    pub(crate) fn arn_of(&self, owner: Option<&str>, service: &str, resource: impl std::fmt::Display) -> String {
        let owner = owner.filter(|owner| !owner.is_empty());
        let account_id = owner.map_or_else(|| Arc::clone(&self.account_id), Into::into);
        Self { account_id, ..self.clone() }.arn(service, resource)
    }
}

/// What calls of one account in one region are made with.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) place: Place,
    config: SdkConfig,
}

impl Session {
    pub(super) fn new(place: Place, config: &SdkConfig) -> Self {
        let region = match (&*place.region, &*place.partition) {
            (GLOBAL, "aws-cn") => "cn-north-1",
            (GLOBAL, "aws-us-gov") => "us-gov-west-1",
            (GLOBAL, _) => "us-east-1",
            (region, _) => region,
        };
        let config = config.to_builder().region(Region::new(region.to_owned())).build();
        Self { place, config }
    }

    /// What clients are made of.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Whether the services are somewhere else than where AWS has them.
    pub(crate) fn has_own_endpoint(&self) -> bool {
        self.config.endpoint_url().is_some()
    }

    /// Who shares a limit of calls: AWS counts them by account, region and service.
    pub(crate) fn limits(&self, service: &str) -> RetryPartition {
        let Place { account_id, region, .. } = &self.place;
        RetryPartition::new(Cow::Owned(format!("{service}/{account_id}/{region}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_global_has_no_region_in_its_arn() {
        let mut place =
            Place { partition: "aws".into(), account_id: "123456789012".into(), region: "eu-west-1".into() };
        assert_eq!(place.arn("ec2", "volume/vol-1"), "arn:aws:ec2:eu-west-1:123456789012:volume/vol-1");
        assert_eq!(
            place.arn_of(Some("210987654321"), "ec2", "vpc/vpc-1"),
            "arn:aws:ec2:eu-west-1:210987654321:vpc/vpc-1"
        );
        assert_eq!(place.arn_of(Some(""), "ec2", "vpc/vpc-1"), place.arn_of(None, "ec2", "vpc/vpc-1"));
        place.region = GLOBAL.into();
        assert_eq!(place.arn("iam", "user/a"), "arn:aws:iam::123456789012:user/a");
    }
}
