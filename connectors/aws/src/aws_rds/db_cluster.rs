//! `aws_rds_db_cluster`, from DescribeDBClusters.

use async_trait::async_trait;
use aws_sdk_rds::types::DbCluster;

use super::request::{IDS, PAGE, client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread, sorted};

/// Reads DescribeDBClusters.
pub(super) struct DbClusters {
    clusters: Table<DbCluster>,
}

impl DbClusters {
    pub(super) fn new() -> Self {
        Self { clusters: kept(reached(engine(clusters()))) }
    }
}

/// What a cluster is and in which state.
fn clusters() -> Table<DbCluster> {
    let description = "Clusters of databases: Aurora, Multi-AZ, Neptune and DocumentDB.";
    Table::new("aws_rds_db_cluster", description, |_, cluster: &DbCluster| {
        cluster.db_cluster_arn().unwrap_or_default().to_owned()
    })
    .target("db_cluster_identifier", "The name of the cluster.", |cluster| cluster.db_cluster_identifier())
    .text("resource_id", "The id that it keeps when it is renamed.", |cluster| cluster.db_cluster_resource_id())
    .text("status", "`available`, `creating`, `modifying`, `stopped`, …", |cluster| cluster.status())
    .time("create_time", "When it was made.", |cluster| cluster.cluster_create_time())
    .texts("db_cluster_members", "The names of its instances, sorted.", |cluster| {
        sorted(cluster.db_cluster_members().iter().map(|member| member.db_instance_identifier()))
    })
    .text("writer", "The name of the instance that writes.", |cluster| {
        let writes = |member: &&aws_sdk_rds::types::DbClusterMember| member.is_cluster_writer() == Some(true);
        cluster.db_cluster_members().iter().find(writes)?.db_instance_identifier()
    })
    .text("class", "The size of its instances; only Multi-AZ clusters.", |cluster| cluster.db_cluster_instance_class())
    .text("global_cluster_identifier", "The global cluster that it is in.", |cluster| {
        cluster.global_cluster_identifier()
    })
    .text("clone_group_id", "The clones that it is one of.", |cluster| cluster.clone_group_id())
    .text("database_name", "The database that was made with it.", |cluster| cluster.database_name())
    .text("master_user_name", "The user that was made with it.", |cluster| cluster.master_username())
    .text("master_user_secret_arn", "The secret that has the password of this user, where AWS keeps it.", |cluster| {
        cluster.master_user_secret()?.secret_arn()
    })
    .boolean("deletion_protection", "Whether it is protected from deletion.", |cluster| cluster.deletion_protection())
    .tags(|cluster| tags(cluster.tag_list()))
    // What changes without anybody having changed anything; and what is secret.
    .without([
        "BacktrackConsumedChangeRecords",
        "Capacity",
        "EarliestBacktrackTime",
        "EarliestRestorableTime",
        "LatestRestorableTime",
        "MasterUserPassword",
        "PercentProgress",
    ])
}

/// What runs there.
fn engine(table: Table<DbCluster>) -> Table<DbCluster> {
    table
        .text("engine", "`aurora-mysql`, `aurora-postgresql`, `mysql`, `postgres`, `neptune` or `docdb`.", |cluster| {
            cluster.engine()
        })
        .text("engine_mode", "`provisioned`, `serverless`, `global` or `parallelquery`.", |cluster| {
            cluster.engine_mode()
        })
        .text("engine_version", "The version of the engine.", |cluster| cluster.engine_version())
        .boolean("auto_minor_version_upgrade", "Whether minor versions are installed by themselves.", |cluster| {
            cluster.auto_minor_version_upgrade()
        })
        .text("engine_lifecycle_support", "How the engine is supported after its time.", |cluster| {
            cluster.engine_lifecycle_support()
        })
        .text("db_cluster_parameter_group", "Its parameter group.", |cluster| cluster.db_cluster_parameter_group())
        .text("character_set_name", "The character set.", |cluster| cluster.character_set_name())
        .real("serverless_v2_min_capacity", "The least that it scales to, in Aurora capacity units.", |cluster| {
            cluster.serverless_v2_scaling_configuration()?.min_capacity()
        })
        .real("serverless_v2_max_capacity", "The most that it scales to, in Aurora capacity units.", |cluster| {
            cluster.serverless_v2_scaling_configuration()?.max_capacity()
        })
        .boolean("iam_database_authentication_enabled", "Whether users of IAM may log in.", |cluster| {
            cluster.iam_database_authentication_enabled()
        })
        .boolean("http_endpoint_enabled", "Whether the Data API is on.", |cluster| cluster.http_endpoint_enabled())
        .texts("enabled_cloudwatch_logs_exports", "Which logs go to CloudWatch, sorted.", |cluster| {
            sorted(cluster.enabled_cloudwatch_logs_exports().iter().map(|log| Some(log.as_str())))
        })
        .text("activity_stream_status", "`started`, `starting`, `stopped` or `stopping`.", |cluster| {
            Some(cluster.activity_stream_status()?.as_str())
        })
        .integer("monitoring_interval", "Every how many seconds enhanced monitoring looks; 0: it is off.", |cluster| {
            cluster.monitoring_interval()
        })
        .boolean("performance_insights_enabled", "Whether Performance Insights is on.", |cluster| {
            cluster.performance_insights_enabled()
        })
}

/// Where it is, and how it is reached.
fn reached(table: Table<DbCluster>) -> Table<DbCluster> {
    table
        .text("endpoint", "The name that it is written to by.", |cluster| cluster.endpoint())
        .text("reader_endpoint", "The name that it is read from by.", |cluster| cluster.reader_endpoint())
        .texts("custom_endpoints", "Further names, sorted.", |cluster| {
            sorted(cluster.custom_endpoints().iter().map(|endpoint| Some(endpoint.as_str())))
        })
        .integer("port", "The port that it is reached by.", |cluster| cluster.port())
        .text("hosted_zone_id", "The hosted zone of its names.", |cluster| cluster.hosted_zone_id())
        .boolean("publicly_accessible", "Whether its name resolves to a public address; only Multi-AZ.", |cluster| {
            cluster.publicly_accessible()
        })
        .text("db_subnet_group", "The group of its subnets.", |cluster| cluster.db_subnet_group())
        .texts("vpc_security_groups", "Its security groups, sorted.", |cluster| {
            sorted(cluster.vpc_security_groups().iter().map(|group| group.vpc_security_group_id()))
        })
        .text("network_type", "`IPV4` or `DUAL`.", |cluster| cluster.network_type())
        .texts("availability_zones", "The zones that its storage is in, sorted.", |cluster| {
            sorted(cluster.availability_zones().iter().map(|zone| Some(zone.as_str())))
        })
        .boolean("multi_az", "Whether it has instances in several zones.", |cluster| cluster.multi_az())
}

/// What it stores, and how that is kept safe.
fn kept(table: Table<DbCluster>) -> Table<DbCluster> {
    table
        .integer("allocated_storage", "Its storage, in GiB; 1 where it grows by itself.", |cluster| {
            cluster.allocated_storage()
        })
        .text("storage_type", "`aurora`, `aurora-iopt1`, `io1`, `io2` or `gp3`.", |cluster| cluster.storage_type())
        .integer("iops", "The provisioned operations per second.", |cluster| cluster.iops())
        .boolean("storage_encrypted", "Whether the storage is encrypted.", |cluster| cluster.storage_encrypted())
        .reference("kms_key_id", "The ARN of the key that it is encrypted with.", ("aws_kms_key", "arn"), |cluster| {
            cluster.kms_key_id()
        })
        .integer("backup_retention_period", "For how many days backups are kept.", |cluster| {
            cluster.backup_retention_period()
        })
        .integer("backtrack_window", "How far it can be turned back, in seconds; 0: it cannot.", |cluster| {
            cluster.backtrack_window()
        })
        .text("preferred_backup_window", "When it is backed up, in UTC.", |cluster| cluster.preferred_backup_window())
        .text("preferred_maintenance_window", "When it is maintained, in UTC.", |cluster| {
            cluster.preferred_maintenance_window()
        })
        .boolean("copy_tags_to_snapshot", "Whether snapshots get its tags.", |cluster| cluster.copy_tags_to_snapshot())
        .text("replication_source_identifier", "The ARN of what it is a replica of.", |cluster| {
            cluster.replication_source_identifier()
        })
        .texts("read_replica_identifiers", "The ARNs of its replicas, sorted.", |cluster| {
            sorted(cluster.read_replica_identifiers().iter().map(|id| Some(id.as_str())))
        })
}

#[async_trait]
impl Collector for DbClusters {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.clusters]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["rds:DescribeDBClusters"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts_of(IDS) {
            let mut listing = call.listing("list the clusters of databases");
            while let Some(token) = listing.token() {
                let filters = filters(call, "db-cluster-id", part.as_deref());
                let request = client.describe_db_clusters().set_filters(filters).max_records(PAGE).set_marker(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.marker())?;
                let raws = raw.items("DescribeDBClustersResult/DBClusters/DBCluster");
                call.give(&self.clusters, page.db_clusters(), raws).await?;
            }
        }
        Ok(())
    }
}
