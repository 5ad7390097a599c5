//! What DescribeFileSystems does not say of a file system: calls for each, and what CloudWatch has measured.

use aws_sdk_efs::Client;

use super::request::client;
use crate::cloudwatch::{Measured, Points, Recent, Statistic, hundredths};
use crate::provider::{Call, Optional, Unread, answered, unless_unknown};

/// The columns, as options name them.
pub(super) const AUTOMATIC_BACKUPS: &str = "aws_efs_file_system.automatic_backups";
pub(super) const PERCENT_IO_LIMIT: &str = "aws_efs_file_system.percent_io_limit";
pub(super) const POLICY: &str = "aws_efs_file_system.policy";

const DAYS: i64 = 7;
/// What a file system has to which nothing was ever said of backups.
const DISABLED: &str = "disabled";

/// What was asked for of a file system, and answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Settings {
    /// `enabled`, `disabled`, …
    pub(super) automatic_backups: Option<String>,
    /// A policy document; nothing where there is none.
    pub(super) policy: Option<String>,
    /// The highest of the hourly averages, in percent.
    pub(super) percent_io_limit: Option<f64>,
}

/// Asks for the settings that are wanted.
pub(super) struct SettingReader<'a> {
    client: Client,
    backups: Option<Optional<'a>>,
    policies: Option<Optional<'a>>,
    /// The last seven days of whole hours.
    limits: Option<Recent<'a>>,
}

impl<'a> SettingReader<'a> {
    pub(super) fn new(call: &Call<'a>) -> Self {
        let optional = |column| call.hydrates(column).then(|| Optional::new(call.session));
        let limits = call.hydrates(PERCENT_IO_LIMIT).then(|| Recent::hourly(call.session, DAYS));
        Self { client: client(call.session), backups: optional(AUTOMATIC_BACKUPS), policies: optional(POLICY), limits }
    }

    /// What is wanted of these file systems, in their order.
    pub(super) async fn of(&self, call: &Call<'_>, ids: &[String]) -> Result<Vec<Settings>, Unread> {
        let mut settings = vec![Settings::default(); ids.len()];
        if let Some(optional) = &self.backups {
            let backups = optional.each(ids.to_vec(), |id| self.backups(id)).await?;
            settings.iter_mut().zip(backups).for_each(|(settings, found)| settings.automatic_backups = found);
        }
        if let Some(optional) = &self.policies {
            let policies = optional.each(ids.to_vec(), |id| self.policy(id)).await?;
            settings.iter_mut().zip(policies).for_each(|(settings, found)| settings.policy = found);
        }
        if let Some(recent) = &self.limits {
            let asked: Vec<Measured> = ids.iter().map(|id| measured(id)).collect();
            let points = recent.points(call, "read how much file systems do", &asked).await?.unwrap_or_default();
            settings.iter_mut().zip(&points).for_each(|(settings, points)| settings.percent_io_limit = highest(points));
        }
        Ok(settings)
    }

    async fn backups(&self, id: String) -> Result<Option<String>, Unread> {
        let answer = self.client.describe_backup_policy().file_system_id(id).send().await;
        let answer = answered("read whether file systems are backed up", unless_unknown(answer))?;
        let status = answer.and_then(|answer| answer.backup_policy).map(|policy| policy.status.as_str().to_lowercase());
        Ok(Some(status.unwrap_or_else(|| DISABLED.to_owned())))
    }

    async fn policy(&self, id: String) -> Result<Option<String>, Unread> {
        let answer = self.client.describe_file_system_policy().file_system_id(id).send().await;
        let answer = answered("read the policy of a file system", unless_unknown(answer))?;
        Ok(answer.and_then(|answer| answer.policy))
    }
}

fn measured(id: &str) -> Measured {
    Measured {
        namespace: "AWS/EFS",
        metric: "PercentIOLimit",
        statistic: Statistic::Average,
        dimension: ("FileSystemId", id.to_owned()),
    }
}

fn highest(points: &Points) -> Option<f64> {
    points.values().copied().reduce(f64::max).map(hundredths)
}
