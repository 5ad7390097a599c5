//! `aws_efs_file_system`, from DescribeFileSystems.

use async_trait::async_trait;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::FileSystemDescription;
use futures::stream::{self, TryStreamExt};

use super::file_system_setting::{AUTOMATIC_BACKUPS, PERCENT_IO_LIMIT, POLICY, SettingReader, Settings};
use super::request::{client, file_systems, is_id, page, tags};
use crate::cloudwatch::METRICS;
use crate::opsbox;
use crate::provider::{CALLS, Call, Collector, Declared, Table, Unread};

const NAME: &str = "aws_efs_file_system";

/// A file system, with what was asked for besides.
struct Listed {
    system: FileSystemDescription,
    settings: Settings,
}

/// Reads DescribeFileSystems.
pub(super) struct FileSystems {
    systems: Table<Listed>,
}

impl FileSystems {
    pub(super) fn new() -> Self {
        Self { systems: hydrated(systems()) }
    }

    /// Reads all file systems, or one.
    async fn read(
        &self,
        call: &Call<'_>,
        client: &Client,
        reader: &SettingReader<'_>,
        id: Option<String>,
    ) -> Result<(), Unread> {
        let mut listing = file_systems(call);
        while let Some(token) = listing.token() {
            let page = page(client, &mut listing, token, id.as_deref()).await?;
            let Some((page, raw)) = page else { break };
            let systems = page.file_systems.unwrap_or_default();
            let ids: Vec<String> = systems.iter().map(|system| system.file_system_id().to_owned()).collect();
            let settings = reader.of(call, &ids).await?.into_iter();
            let systems = systems.into_iter().zip(settings);
            let systems: Vec<Listed> = systems.map(|(system, settings)| Listed { system, settings }).collect();
            call.give(&self.systems, &systems, raw.items("FileSystems")).await?;
        }
        Ok(())
    }
}

fn systems() -> Table<Listed> {
    Table::new(NAME, "File systems.", |place, listed: &Listed| match listed.system.file_system_arn() {
        Some(arn) => arn.to_owned(),
        None => {
            let owner = Some(listed.system.owner_id());
            place.arn_of(owner, "elasticfilesystem", format_args!("file-system/{}", listed.system.file_system_id()))
        }
    })
    .target("file_system_id", "The id of the file system.", |listed| Some(listed.system.file_system_id()))
    .text("name", "Its tag `Name`.", |listed| listed.system.name())
    .text("owner_id", "The account that it belongs to.", |listed| Some(listed.system.owner_id()))
    .text("creation_token", "The token that its making was made safe to repeat with.", |listed| {
        Some(listed.system.creation_token())
    })
    .time("creation_time", "When it was made.", |listed| Some(listed.system.creation_time()))
    .text("life_cycle_state", "`creating`, `available`, `updating`, `deleting`, `deleted` or `error`.", |listed| {
        Some(listed.system.life_cycle_state().as_str())
    })
    .integer("number_of_mount_targets", "In how many subnets it can be mounted.", |listed| {
        Some(listed.system.number_of_mount_targets())
    })
    .text("performance_mode", "`generalPurpose` or `maxIO`.", |listed| Some(listed.system.performance_mode().as_str()))
    .text("throughput_mode", "`bursting`, `elastic` or `provisioned`.", |listed| {
        Some(listed.system.throughput_mode()?.as_str())
    })
    .real("provisioned_throughput_in_mibps", "The provisioned throughput, in MiB/s.", |listed| {
        listed.system.provisioned_throughput_in_mibps()
    })
    .boolean("encrypted", "Whether it is encrypted.", |listed| listed.system.encrypted())
    .reference("kms_key_id", "The ARN of the key that it is encrypted with.", ("aws_kms_key", "arn"), |listed| {
        listed.system.kms_key_id()
    })
    .reference(
        "availability_zone_name",
        "Its zone, where it is in one only.",
        ("aws_availability_zone", "name"),
        |listed| listed.system.availability_zone_name(),
    )
    .text("replication_overwrite_protection", "`ENABLED`, `DISABLED` or `REPLICATING`.", |listed| {
        Some(listed.system.file_system_protection()?.replication_overwrite_protection()?.as_str())
    })
    .tags(|listed| tags(listed.system.tags()))
    .view(opsbox::EFSS)
    // How much is in it changes with every file.
    .without(["SizeInBytes"])
}

/// What is asked for only where the options name it.
fn hydrated(table: Table<Listed>) -> Table<Listed> {
    table
        .text(
            "automatic_backups",
            "`enabled`, `enabling`, `disabled` or `disabling`; NULL unless `hydrate` names this column.",
            |listed| listed.settings.automatic_backups.as_deref(),
        )
        .json(
            "policy",
            "Its policy, as JSON; NULL where it has none, or `hydrate` does not name this column.",
            |listed| listed.settings.policy.clone(),
        )
        .real(
            "percent_io_limit",
            "How near it was to the limit of `generalPurpose`: the highest of the hourly averages of the last seven days, \
             in percent, rounded to hundredths; NULL where there are none, or `hydrate` does not name this column.",
            |listed| listed.settings.percent_io_limit,
        )
}

#[async_trait]
impl Collector for FileSystems {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.systems]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["elasticfilesystem:DescribeFileSystems"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[AUTOMATIC_BACKUPS, PERCENT_IO_LIMIT, POLICY]
    }

    fn hydration_actions(&self, name: &str) -> &'static [&'static str] {
        match name {
            AUTOMATIC_BACKUPS => &["elasticfilesystem:DescribeBackupPolicy"],
            POLICY => &["elasticfilesystem:DescribeFileSystemPolicy"],
            _ => &METRICS,
        }
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let reader = SettingReader::new(call);
        match call.ids(|id| is_id(id, "fs-")) {
            None => self.read(call, &client, &reader, None).await,
            // Whether it may be asked is found out even so.
            Some(ids) if ids.is_empty() => {
                page(&client, &mut file_systems(call), None, None).await?;
                Ok(())
            }
            Some(ids) => {
                let read = |id| self.read(call, &client, &reader, Some(id));
                stream::iter(ids.into_iter().map(Ok)).try_for_each_concurrent(CALLS, read).await
            }
        }
    }
}
