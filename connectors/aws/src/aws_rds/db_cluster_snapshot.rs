//! `aws_rds_db_cluster_snapshot`, from DescribeDBClusterSnapshots.

use async_trait::async_trait;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::DbClusterSnapshot;

use super::request::{IDS, PAGE, client, filters, tags};
use super::sharing::{AUTOMATED, Sharing};
use crate::provider::{Call, Collector, Declared, Optional, Table, Unread, answered, sorted, unless_unknown};

/// The column, as options name it. `db_cluster_snapshot_attributes` comes with it.
pub(super) const IS_PUBLIC: &str = "aws_rds_db_cluster_snapshot.is_public";

/// A snapshot, and with whom it is shared where that was asked for.
struct Listed {
    snapshot: DbClusterSnapshot,
    sharing: Option<Sharing>,
}

/// Reads DescribeDBClusterSnapshots: the snapshots that the account has itself.
pub(super) struct DbClusterSnapshots {
    snapshots: Table<Listed>,
}

impl DbClusterSnapshots {
    pub(super) fn new() -> Self {
        Self { snapshots: contents(snapshots()) }
    }
}

fn snapshots() -> Table<Listed> {
    Table::new("aws_rds_db_cluster_snapshot", "Snapshots of clusters of databases.", |_, listed: &Listed| {
        listed.snapshot.db_cluster_snapshot_arn().unwrap_or_default().to_owned()
    })
    .target("db_cluster_snapshot_identifier", "The name of the snapshot.", |listed| {
        listed.snapshot.db_cluster_snapshot_identifier()
    })
    .text("type", "`manual`, `automated` or `awsbackup`.", |listed| listed.snapshot.snapshot_type())
    .text("status", "`available`, `creating`, `copying`, …", |listed| listed.snapshot.status())
    .reference(
        "db_cluster_identifier",
        "The cluster that it is of.",
        ("aws_rds_db_cluster", "db_cluster_identifier"),
        |listed| listed.snapshot.db_cluster_identifier(),
    )
    .time("create_time", "When it was made.", |listed| listed.snapshot.snapshot_create_time())
    .time("cluster_create_time", "When the cluster was made.", |listed| listed.snapshot.cluster_create_time())
    .text("source_db_cluster_snapshot_arn", "The snapshot that it is a copy of.", |listed| {
        listed.snapshot.source_db_cluster_snapshot_arn()
    })
    .boolean("is_public", "Whether every account may restore it; NULL unless `hydrate` names this column.", |listed| {
        Some(listed.sharing.as_ref()?.is_public)
    })
    .json(
        "db_cluster_snapshot_attributes",
        "Who may restore it: `AttributeName` and sorted `AttributeValues`, as JSON; NULL as `is_public`.",
        |listed| Some(listed.sharing.as_ref()?.attributes.clone()),
    )
    .tags(|listed| tags(listed.snapshot.tag_list()))
    .without(["PercentProgress"])
}

/// What it holds, and how.
fn contents(table: Table<Listed>) -> Table<Listed> {
    table
        .integer("allocated_storage", "The storage of the cluster, in GiB.", |listed| {
            listed.snapshot.allocated_storage()
        })
        .boolean("storage_encrypted", "Whether it is encrypted.", |listed| listed.snapshot.storage_encrypted())
        .reference("kms_key_id", "The ARN of the key that it is encrypted with.", ("aws_kms_key", "arn"), |listed| {
            listed.snapshot.kms_key_id()
        })
        .text("engine", "The engine, as of clusters.", |listed| listed.snapshot.engine())
        .text("engine_mode", "The mode of the engine, as of clusters.", |listed| listed.snapshot.engine_mode())
        .text("engine_version", "The version of the engine.", |listed| listed.snapshot.engine_version())
        .text("license_model", "The licence of the engine.", |listed| listed.snapshot.license_model())
        .text("master_user_name", "The user that was made with the cluster.", |listed| {
            listed.snapshot.master_username()
        })
        .boolean("iam_database_authentication_enabled", "Whether users of IAM may log in.", |listed| {
            listed.snapshot.iam_database_authentication_enabled()
        })
        .text("storage_type", "The type of the storage.", |listed| listed.snapshot.storage_type())
        .integer("port", "The port of the cluster.", |listed| listed.snapshot.port())
        .reference("vpc_id", "The VPC of the cluster.", ("aws_vpc", "vpc_id"), |listed| listed.snapshot.vpc_id())
        .texts("availability_zones", "The zones of the cluster, sorted.", |listed| {
            sorted(listed.snapshot.availability_zones().iter().map(|zone| Some(zone.as_str())))
        })
}

/// With whom each of these snapshots is shared, where the options name that.
async fn sharing(
    call: &Call<'_>,
    client: &Client,
    optional: &Optional<'_>,
    snapshots: &[DbClusterSnapshot],
) -> Result<Vec<Option<Sharing>>, Unread> {
    if !call.hydrates(IS_PUBLIC) {
        return Ok(vec![None; snapshots.len()]);
    }
    let read = async |id: String, kind: Option<String>| {
        if kind.as_deref() == Some(AUTOMATED) {
            return Ok(Some(Sharing::none()));
        }
        let request = client.describe_db_cluster_snapshot_attributes().db_cluster_snapshot_identifier(id);
        let answer = answered("read with whom snapshots are shared", unless_unknown(request.send().await))?;
        Ok(answer.and_then(|answer| answer.db_cluster_snapshot_attributes_result).map(|result| {
            let attributes = result.db_cluster_snapshot_attributes().iter();
            Sharing::of(attributes.map(|attribute| (attribute.attribute_name(), attribute.attribute_values())))
        }))
    };
    let named = |snapshot: &DbClusterSnapshot| {
        (snapshot.db_cluster_snapshot_identifier.clone().unwrap_or_default(), snapshot.snapshot_type.clone())
    };
    let named: Vec<(String, Option<String>)> = snapshots.iter().map(named).collect();
    optional.each(named, |(id, kind)| read(id, kind)).await
}

#[async_trait]
impl Collector for DbClusterSnapshots {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.snapshots]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["rds:DescribeDBClusterSnapshots"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[IS_PUBLIC]
    }

    fn hydration_actions(&self, _name: &str) -> &'static [&'static str] {
        &["rds:DescribeDBClusterSnapshotAttributes"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        let optional = Optional::new(call.session);
        for part in call.parts_of(IDS) {
            let mut listing = call.listing("list the snapshots of clusters");
            while let Some(token) = listing.token() {
                let filters = filters(call, "db-cluster-snapshot-id", part.as_deref());
                let request = client.describe_db_cluster_snapshots().set_filters(filters);
                let request = request.max_records(PAGE).set_marker(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.marker())?;
                let snapshots = page.db_cluster_snapshots.unwrap_or_default();
                let sharing = sharing(call, &client, &optional, &snapshots).await?;
                let snapshots = snapshots.into_iter().zip(sharing);
                let snapshots: Vec<Listed> =
                    snapshots.map(|(snapshot, sharing)| Listed { snapshot, sharing }).collect();
                let raws = raw.items("DescribeDBClusterSnapshotsResult/DBClusterSnapshots/DBClusterSnapshot");
                call.give(&self.snapshots, &snapshots, raws).await?;
            }
        }
        Ok(())
    }
}
