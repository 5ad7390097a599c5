//! `aws_efs`: file systems, and where they are mounted. A file for each listing, named after what is listed.

mod file_system;
mod file_system_setting;
mod mount_target;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::provider::{Collector, Service};

/// The provider.
pub(crate) const SERVICE: Service =
    Service { kind: "aws_efs", summary: "EFS of AWS accounts as tables: file systems and mount targets.", collectors };

fn collectors() -> Vec<Arc<dyn Collector>> {
    vec![Arc::new(file_system::FileSystems::new()), Arc::new(mount_target::MountTargets::new())]
}
