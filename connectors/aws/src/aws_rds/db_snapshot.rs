//! `aws_rds_db_snapshot`, from DescribeDBSnapshots.

use async_trait::async_trait;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::DbSnapshot;

use super::request::{IDS, PAGE, client, filters, tags};
use super::sharing::{AUTOMATED, Sharing};
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Optional, Table, Unread, answered, unless_unknown};

/// The column, as options name it. `db_snapshot_attributes` comes with it.
pub(super) const IS_PUBLIC: &str = "aws_rds_db_snapshot.is_public";

/// A snapshot, and with whom it is shared where that was asked for.
struct Listed {
    snapshot: DbSnapshot,
    sharing: Option<Sharing>,
}

/// Reads DescribeDBSnapshots: the snapshots that the account has itself.
pub(super) struct DbSnapshots {
    snapshots: Table<Listed>,
}

impl DbSnapshots {
    pub(super) fn new() -> Self {
        Self { snapshots: hydrated(contents(snapshots())) }
    }
}

fn snapshots() -> Table<Listed> {
    let description = "Snapshots of databases that are in no cluster.";
    Table::new("aws_rds_db_snapshot", description, |_, listed: &Listed| {
        listed.snapshot.db_snapshot_arn().unwrap_or_default().to_owned()
    })
    .target("db_snapshot_identifier", "The name of the snapshot.", |listed| listed.snapshot.db_snapshot_identifier())
    .text("type", "`manual`, `automated` or `awsbackup`.", |listed| listed.snapshot.snapshot_type())
    .text("status", "`available`, `creating`, `copying`, …", |listed| listed.snapshot.status())
    .reference(
        "db_instance_identifier",
        "The database that it is of.",
        ("aws_rds_db_instance", "db_instance_identifier"),
        |listed| listed.snapshot.db_instance_identifier(),
    )
    .text("dbi_resource_id", "The id that the database keeps when it is renamed.", |listed| {
        listed.snapshot.dbi_resource_id()
    })
    .time("create_time", "When it was made; a copy has a time of its own.", |listed| {
        listed.snapshot.snapshot_create_time()
    })
    .time("original_snapshot_create_time", "When the snapshot was made that it is a copy of.", |listed| {
        listed.snapshot.original_snapshot_create_time()
    })
    .time("instance_create_time", "When the database was made.", |listed| listed.snapshot.instance_create_time())
    .text("source_db_snapshot_identifier", "The ARN of the snapshot that it is a copy of.", |listed| {
        listed.snapshot.source_db_snapshot_identifier()
    })
    .text("source_region", "The region that it was made in, or copied from.", |listed| listed.snapshot.source_region())
    .tags(|listed| tags(listed.snapshot.tag_list()))
    .view(opsbox::RDS_SNAPSHOTS)
    .without(["PercentProgress"])
}

/// What it holds, and how.
fn contents(table: Table<Listed>) -> Table<Listed> {
    table
        .integer("allocated_storage", "The storage of the database, in GiB.", |listed| {
            listed.snapshot.allocated_storage()
        })
        .boolean("encrypted", "Whether it is encrypted.", |listed| listed.snapshot.encrypted())
        .reference("kms_key_id", "The ARN of the key that it is encrypted with.", ("aws_kms_key", "arn"), |listed| {
            listed.snapshot.kms_key_id()
        })
        .text("engine", "The engine, as of databases.", |listed| listed.snapshot.engine())
        .text("engine_version", "The version of the engine.", |listed| listed.snapshot.engine_version())
        .text("license_model", "The licence of the engine.", |listed| listed.snapshot.license_model())
        .text("master_user_name", "The user that was made with the database.", |listed| {
            listed.snapshot.master_username()
        })
        .boolean("iam_database_authentication_enabled", "Whether users of IAM may log in.", |listed| {
            listed.snapshot.iam_database_authentication_enabled()
        })
        .text("storage_type", "`gp2`, `gp3`, `io1`, `io2` or `standard`.", |listed| listed.snapshot.storage_type())
        .integer("iops", "The provisioned operations per second.", |listed| listed.snapshot.iops())
        .integer("port", "The port of the database.", |listed| listed.snapshot.port())
        .text("option_group_name", "The option group of the database.", |listed| listed.snapshot.option_group_name())
        .text("timezone", "The time zone of the database; only SQL Server.", |listed| listed.snapshot.timezone())
        .text("tde_credential_arn", "The key of its transparent data encryption.", |listed| {
            listed.snapshot.tde_credential_arn()
        })
        .reference("vpc_id", "The VPC of the database.", ("aws_vpc", "vpc_id"), |listed| listed.snapshot.vpc_id())
        .reference("availability_zone", "The zone of the database.", ("aws_availability_zone", "name"), |listed| {
            listed.snapshot.availability_zone()
        })
}

/// What is asked for only where the options name it.
fn hydrated(table: Table<Listed>) -> Table<Listed> {
    table
        .boolean(
            "is_public",
            "Whether every account may restore it; NULL unless `hydrate` names this column.",
            |listed| Some(listed.sharing.as_ref()?.is_public),
        )
        .json(
            "db_snapshot_attributes",
            "Who may restore it: `AttributeName` and sorted `AttributeValues`, as JSON; NULL as `is_public`.",
            |listed| Some(listed.sharing.as_ref()?.attributes.clone()),
        )
}

/// With whom each of these snapshots is shared, where the options name that.
async fn sharing(
    call: &Call<'_>,
    client: &Client,
    optional: &Optional<'_>,
    snapshots: &[DbSnapshot],
) -> Result<Vec<Option<Sharing>>, Unread> {
    if !call.hydrates(IS_PUBLIC) {
        return Ok(vec![None; snapshots.len()]);
    }
    let read = async |id: String, kind: Option<String>| {
        if kind.as_deref() == Some(AUTOMATED) {
            return Ok(Some(Sharing::none()));
        }
        let answer = client.describe_db_snapshot_attributes().db_snapshot_identifier(id).send().await;
        let answer = answered("read with whom snapshots are shared", unless_unknown(answer))?;
        Ok(answer.and_then(|answer| answer.db_snapshot_attributes_result).map(|result| {
            let attributes = result.db_snapshot_attributes().iter();
            Sharing::of(attributes.map(|attribute| (attribute.attribute_name(), attribute.attribute_values())))
        }))
    };
    let named = |snapshot: &DbSnapshot| {
        (snapshot.db_snapshot_identifier.clone().unwrap_or_default(), snapshot.snapshot_type.clone())
    };
    let named: Vec<(String, Option<String>)> = snapshots.iter().map(named).collect();
    optional.each(named, |(id, kind)| read(id, kind)).await
}

#[async_trait]
impl Collector for DbSnapshots {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.snapshots]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["rds:DescribeDBSnapshots"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[IS_PUBLIC]
    }

    fn hydration_actions(&self, _name: &str) -> &'static [&'static str] {
        &["rds:DescribeDBSnapshotAttributes"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        let optional = Optional::new(call.session);
        for part in call.parts_of(IDS) {
            let mut listing = call.listing("list the snapshots of databases");
            while let Some(token) = listing.token() {
                let filters = filters(call, "db-snapshot-id", part.as_deref());
                let request = client.describe_db_snapshots().set_filters(filters).max_records(PAGE).set_marker(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.marker())?;
                let snapshots = page.db_snapshots.unwrap_or_default();
                let sharing = sharing(call, &client, &optional, &snapshots).await?;
                let snapshots = snapshots.into_iter().zip(sharing);
                let snapshots: Vec<Listed> =
                    snapshots.map(|(snapshot, sharing)| Listed { snapshot, sharing }).collect();
                let raws = raw.items("DescribeDBSnapshotsResult/DBSnapshots/DBSnapshot");
                call.give(&self.snapshots, &snapshots, raws).await?;
            }
        }
        Ok(())
    }
}
