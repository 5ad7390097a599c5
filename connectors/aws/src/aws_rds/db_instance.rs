//! `aws_rds_db_instance`, from DescribeDBInstances.

use async_trait::async_trait;
use aws_sdk_rds::types::DbInstance;

use super::db_instance_load::{AVG_CPU_UTILIZATION, AVG_DATABASE_CONNECTIONS, Load, LoadReader, STORAGE_UTILIZATION};
use super::request::{IDS, PAGE, client, filters, tags};
use crate::cloudwatch::METRICS;
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Table, Unread, sorted};

const BYTES_IN_GIB: f64 = 1_073_741_824.0;

/// A database, and how much it is used.
struct Listed {
    instance: DbInstance,
    load: Load,
}

impl Listed {
    /// How much of its storage is used, in whole percent; nothing where either is not known.
    fn storage_utilization(&self) -> Option<f64> {
        let allocated = f64::from(self.instance.allocated_storage()?) * BYTES_IN_GIB;
        let free = self.load.free_storage?;
        (allocated > 0.0).then(|| ((allocated - free) / allocated * 100.0).round())
    }
}

/// Reads DescribeDBInstances.
pub(super) struct DbInstances {
    instances: Table<Listed>,
}

impl DbInstances {
    pub(super) fn new() -> Self {
        Self { instances: hydrated(watched(kept(reached(engine(instances()))))) }
    }
}

/// What a database is and in which state.
fn instances() -> Table<Listed> {
    let description = "Databases of RDS, with the instances of Aurora, Neptune and DocumentDB.";
    Table::new("aws_rds_db_instance", description, |_, listed: &Listed| {
        listed.instance.db_instance_arn().unwrap_or_default().to_owned()
    })
    .target("db_instance_identifier", "The name of the database instance.", |listed| {
        listed.instance.db_instance_identifier()
    })
    .text("resource_id", "The id that it keeps when it is renamed.", |listed| listed.instance.dbi_resource_id())
    .reference(
        "db_cluster_identifier",
        "The cluster that it is in.",
        ("aws_rds_db_cluster", "db_cluster_identifier"),
        |listed| listed.instance.db_cluster_identifier(),
    )
    .text("class", "Its size, such as `db.t4g.micro`.", |listed| listed.instance.db_instance_class())
    .text("status", "`available`, `creating`, `modifying`, `stopped`, …", |listed| {
        listed.instance.db_instance_status()
    })
    .time("create_time", "When it was made.", |listed| listed.instance.instance_create_time())
    .text("db_name", "The database that was made with it.", |listed| listed.instance.db_name())
    .text("master_user_name", "The user that was made with it.", |listed| listed.instance.master_username())
    .text("master_user_secret_arn", "The secret that has the password of this user, where AWS keeps it.", |listed| {
        listed.instance.master_user_secret()?.secret_arn()
    })
    .boolean("deletion_protection", "Whether it is protected from deletion.", |listed| {
        listed.instance.deletion_protection()
    })
    .tags(|listed| tags(listed.instance.tag_list()))
    .view(opsbox::RDS_INSTANCES)
    // What changes every few minutes without anybody having changed anything; and what is secret.
    .without(["LatestRestorableTime", "MasterUserPassword", "PercentProgress", "StorageOperationPercentProgress"])
}

/// What runs there.
fn engine(table: Table<Listed>) -> Table<Listed> {
    table
        .text(
            "engine",
            "`postgres`, `mysql`, `mariadb`, `aurora-postgresql`, `oracle-ee`, `sqlserver-ex`, …",
            |listed| listed.instance.engine(),
        )
        .text("engine_version", "The version of the engine.", |listed| listed.instance.engine_version())
        .boolean("auto_minor_version_upgrade", "Whether minor versions are installed by themselves.", |listed| {
            listed.instance.auto_minor_version_upgrade()
        })
        .text("engine_lifecycle_support", "How the engine is supported after its time.", |listed| {
            listed.instance.engine_lifecycle_support()
        })
        .text("license_model", "`license-included`, `bring-your-own-license` or that of the engine.", |listed| {
            listed.instance.license_model()
        })
        .text("character_set_name", "The character set.", |listed| listed.instance.character_set_name())
        .text("nchar_character_set_name", "The national character set; only Oracle.", |listed| {
            listed.instance.nchar_character_set_name()
        })
        .text("timezone", "The time zone; only SQL Server.", |listed| listed.instance.timezone())
        .texts("db_parameter_groups", "The names of its parameter groups, sorted.", |listed| {
            sorted(listed.instance.db_parameter_groups().iter().map(|group| group.db_parameter_group_name()))
        })
        .texts("option_group_memberships", "The names of its option groups, sorted.", |listed| {
            sorted(listed.instance.option_group_memberships().iter().map(|group| group.option_group_name()))
        })
        .text("ca_certificate_identifier", "The authority of its certificate.", |listed| {
            listed.instance.ca_certificate_identifier()
        })
        .time("certificate_valid_till", "Until when its certificate is valid.", |listed| {
            listed.instance.certificate_details()?.valid_till()
        })
        .boolean("iam_database_authentication_enabled", "Whether users of IAM may log in.", |listed| {
            listed.instance.iam_database_authentication_enabled()
        })
        .texts("domain_memberships", "The ids of the directories that it is a member of, sorted.", |listed| {
            sorted(listed.instance.domain_memberships().iter().map(|membership| membership.domain()))
        })
        .texts("associated_roles", "The ARNs of the roles that it has, sorted.", |listed| {
            sorted(listed.instance.associated_roles().iter().map(|role| role.role_arn()))
        })
}

/// Where it is, and how it is reached.
fn reached(table: Table<Listed>) -> Table<Listed> {
    table
        .text("endpoint_address", "The name that it is reached by.", |listed| listed.instance.endpoint()?.address())
        .integer("endpoint_port", "The port that it is reached by.", |listed| listed.instance.endpoint()?.port())
        .text("endpoint_hosted_zone_id", "The hosted zone of that name.", |listed| {
            listed.instance.endpoint()?.hosted_zone_id()
        })
        .boolean("publicly_accessible", "Whether its name resolves to a public address.", |listed| {
            listed.instance.publicly_accessible()
        })
        .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |listed| listed.instance.db_subnet_group()?.vpc_id())
        .texts("subnets", "The subnets that it may be in, sorted.", |listed| {
            let subnets = listed.instance.db_subnet_group().map(|group| group.subnets()).unwrap_or_default();
            sorted(subnets.iter().map(|subnet| subnet.subnet_identifier()))
        })
        .text("db_subnet_group_name", "The group of those subnets.", |listed| {
            listed.instance.db_subnet_group()?.db_subnet_group_name()
        })
        .text("db_subnet_group_arn", "Its ARN.", |listed| listed.instance.db_subnet_group()?.db_subnet_group_arn())
        .text("db_subnet_group_status", "Its state.", |listed| listed.instance.db_subnet_group()?.subnet_group_status())
        .texts("vpc_security_groups", "Its security groups, sorted.", |listed| {
            sorted(listed.instance.vpc_security_groups().iter().map(|group| group.vpc_security_group_id()))
        })
        .text("network_type", "`IPV4` or `DUAL`.", |listed| listed.instance.network_type())
        .reference("availability_zone", "Its zone.", ("aws_availability_zone", "name"), |listed| {
            listed.instance.availability_zone()
        })
        .text("secondary_availability_zone", "The zone of its standby.", |listed| {
            listed.instance.secondary_availability_zone()
        })
        .boolean("multi_az", "Whether it has a standby in another zone.", |listed| listed.instance.multi_az())
        .boolean("customer_owned_ip_enabled", "Whether it has an address of its own on an outpost.", |listed| {
            listed.instance.customer_owned_ip_enabled()
        })
}

/// What it stores, and how that is kept safe.
fn kept(table: Table<Listed>) -> Table<Listed> {
    table
        .integer("allocated_storage", "Its storage, in GiB; 1 for what a cluster stores.", |listed| {
            listed.instance.allocated_storage()
        })
        .integer("max_allocated_storage", "Up to how many GiB the storage grows by itself.", |listed| {
            listed.instance.max_allocated_storage()
        })
        .text("storage_type", "`gp2`, `gp3`, `io1`, `io2`, `standard`, `aurora`, …", |listed| {
            listed.instance.storage_type()
        })
        .integer("iops", "The provisioned operations per second.", |listed| listed.instance.iops())
        .integer("storage_throughput", "The provisioned throughput, in MiB/s.", |listed| {
            listed.instance.storage_throughput()
        })
        .boolean("storage_encrypted", "Whether the storage is encrypted.", |listed| listed.instance.storage_encrypted())
        .reference("kms_key_id", "The ARN of the key that it is encrypted with.", ("aws_kms_key", "arn"), |listed| {
            listed.instance.kms_key_id()
        })
        .text("tde_credential_arn", "The key of its transparent data encryption.", |listed| {
            listed.instance.tde_credential_arn()
        })
        .integer("backup_retention_period", "For how many days backups are kept; 0: there are none.", |listed| {
            listed.instance.backup_retention_period()
        })
        .text("preferred_backup_window", "When it is backed up, in UTC.", |listed| {
            listed.instance.preferred_backup_window()
        })
        .text("preferred_maintenance_window", "When it is maintained, in UTC.", |listed| {
            listed.instance.preferred_maintenance_window()
        })
        .boolean("copy_tags_to_snapshot", "Whether snapshots get its tags.", |listed| {
            listed.instance.copy_tags_to_snapshot()
        })
        .text("read_replica_source_db_instance_identifier", "The database that it is a replica of.", |listed| {
            listed.instance.read_replica_source_db_instance_identifier()
        })
        .texts("read_replica_db_instance_identifiers", "Its replicas, sorted.", |listed| {
            sorted(listed.instance.read_replica_db_instance_identifiers().iter().map(|id| Some(id.as_str())))
        })
        .texts("read_replica_db_cluster_identifiers", "The clusters that are its replicas, sorted.", |listed| {
            sorted(listed.instance.read_replica_db_cluster_identifiers().iter().map(|id| Some(id.as_str())))
        })
        .text("replica_mode", "`open-read-only` or `mounted`; only replicas of Oracle and Db2.", |listed| {
            Some(listed.instance.replica_mode()?.as_str())
        })
        .integer("promotion_tier", "In which order it becomes the writer of its cluster.", |listed| {
            listed.instance.promotion_tier()
        })
}

/// How it is watched.
fn watched(table: Table<Listed>) -> Table<Listed> {
    table
        .integer("monitoring_interval", "Every how many seconds enhanced monitoring looks; 0: it is off.", |listed| {
            listed.instance.monitoring_interval()
        })
        .text("monitoring_role_arn", "The role of enhanced monitoring.", |listed| listed.instance.monitoring_role_arn())
        .text("enhanced_monitoring_resource_arn", "The log stream of enhanced monitoring.", |listed| {
            listed.instance.enhanced_monitoring_resource_arn()
        })
        .boolean("performance_insights_enabled", "Whether Performance Insights is on.", |listed| {
            listed.instance.performance_insights_enabled()
        })
        .text("performance_insights_kms_key_id", "The key of Performance Insights.", |listed| {
            listed.instance.performance_insights_kms_key_id()
        })
        .integer("performance_insights_retention_period", "For how many days its data are kept.", |listed| {
            listed.instance.performance_insights_retention_period()
        })
        .texts("enabled_cloudwatch_logs_exports", "Which logs go to CloudWatch, sorted.", |listed| {
            sorted(listed.instance.enabled_cloudwatch_logs_exports().iter().map(|log| Some(log.as_str())))
        })
        .text("activity_stream_status", "`started`, `starting`, `stopped` or `stopping`.", |listed| {
            Some(listed.instance.activity_stream_status()?.as_str())
        })
}

/// What is asked for only where the options name it.
fn hydrated(table: Table<Listed>) -> Table<Listed> {
    table
        .real(
            "avg_cpu_utilization",
            "The mean of the hourly averages of the last seven days, in percent, rounded to hundredths; NULL where there \
             are none, or `hydrate` does not name this column.",
            |listed| listed.load.cpu?.average,
        )
        .integer(
            "cpu_datapoints",
            "How many hours this is the mean of; NULL where `hydrate` does not name `avg_cpu_utilization`.",
            |listed| Some(listed.load.cpu?.datapoints),
        )
        .real(
            "avg_database_connections",
            "How many connections there were at a time: the mean of the hourly averages of the last seven days, rounded to \
             hundredths; NULL where there are none, or `hydrate` does not name this column.",
            |listed| listed.load.connections?.average,
        )
        .integer(
            "free_storage_space",
            "How many bytes of its storage were free: the average of the newest hour of the last seven days; NULL where \
             there is none, or `hydrate` does not name `storage_utilization`.",
            |listed| Some(listed.load.free_storage?.round() as i64),
        )
        .real(
            "storage_utilization",
            "How much of `allocated_storage` was used then, in whole percent; NULL as `free_storage_space`.",
            Listed::storage_utilization,
        )
}

/// The databases of a page, with how much they are used where the options name that.
async fn listed(
    call: &Call<'_>,
    reader: Option<&LoadReader<'_>>,
    instances: Vec<DbInstance>,
) -> Result<Vec<Listed>, Unread> {
    let mut listed: Vec<Listed> =
        instances.into_iter().map(|instance| Listed { instance, load: Load::default() }).collect();
    if let Some(reader) = reader {
        let id = |listed: &Listed| listed.instance.db_instance_identifier().unwrap_or_default().to_owned();
        let ids: Vec<String> = listed.iter().map(id).collect();
        for (listed, load) in listed.iter_mut().zip(reader.of(call, &ids).await?) {
            listed.load = load;
        }
    }
    Ok(listed)
}

#[async_trait]
impl Collector for DbInstances {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.instances]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["rds:DescribeDBInstances"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[AVG_CPU_UTILIZATION, AVG_DATABASE_CONNECTIONS, STORAGE_UTILIZATION]
    }

    fn hydration_actions(&self, _name: &str) -> &'static [&'static str] {
        &METRICS
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        let reader = LoadReader::new(call);
        for part in call.parts_of(IDS) {
            let mut listing = call.listing("list the databases");
            while let Some(token) = listing.token() {
                let filters = filters(call, "db-instance-id", part.as_deref());
                let request = client.describe_db_instances().set_filters(filters).max_records(PAGE).set_marker(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.marker())?;
                let instances = listed(call, reader.as_ref(), page.db_instances.unwrap_or_default()).await?;
                let raws = raw.items("DescribeDBInstancesResult/DBInstances/DBInstance");
                call.give(&self.instances, &instances, raws).await?;
            }
        }
        Ok(())
    }
}
