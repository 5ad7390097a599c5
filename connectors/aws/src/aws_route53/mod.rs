//! `aws_route53`: hosted zones, their records, and health checks. A file for each listing, named after what is listed.
//! Route 53 belongs to no region: it is asked once in an account.

mod continuation;
mod health_check;
mod record;
mod request;
#[cfg(test)]
mod tests;
mod zone;

use std::sync::Arc;

use crate::provider::{Collector, Service};

/// The provider.
pub(crate) const SERVICE: Service = Service {
    kind: "aws_route53",
    summary: "Route 53 of AWS accounts as tables: hosted zones, records, health checks.",
    collectors,
};

fn collectors() -> Vec<Arc<dyn Collector>> {
    vec![Arc::new(health_check::HealthChecks::new()), Arc::new(record::Records::new()), Arc::new(zone::Zones::new())]
}
