//! `aws_rds`: databases and their snapshots. A file for each listing, named after what is listed.

mod db_cluster;
mod db_cluster_snapshot;
mod db_instance;
mod db_instance_load;
mod db_snapshot;
mod request;
mod sharing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::provider::{Collector, Service};

/// The provider.
pub(crate) const SERVICE: Service =
    Service { kind: "aws_rds", summary: "RDS of AWS accounts as tables: databases, clusters, snapshots.", collectors };

fn collectors() -> Vec<Arc<dyn Collector>> {
    vec![
        Arc::new(db_cluster::DbClusters::new()),
        Arc::new(db_cluster_snapshot::DbClusterSnapshots::new()),
        Arc::new(db_instance::DbInstances::new()),
        Arc::new(db_snapshot::DbSnapshots::new()),
    ]
}
