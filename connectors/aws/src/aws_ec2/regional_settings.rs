//! `aws_ec2_regional_settings`: what EC2 does in a region by default. A row for each region, from five calls.

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::InstanceMetadataDefaultsResponse;
use serde_json::Value;

use super::request::client;
use crate::provider::{Call, Collector, Declared, Optional, Table, Unread, answered};

const NAME: &str = "aws_ec2_regional_settings";

/// Reads the settings of a region.
pub(super) struct RegionalSettings {
    settings: Table<Settings>,
}

/// What the calls have answered. Where one was refused, or is not offered, there is nothing.
struct Settings {
    encryption: Option<bool>,
    key: Option<String>,
    snapshots: Option<String>,
    images: Option<String>,
    metadata: Option<InstanceMetadataDefaultsResponse>,
}

impl RegionalSettings {
    pub(super) fn new() -> Self {
        Self { settings: settings() }
    }
}

fn settings() -> Table<Settings> {
    Table::new(NAME, "What EC2 does in a region by default.", |place, _: &Settings| {
        place.arn("ec2", "regional-settings")
    })
    .boolean("default_ebs_encryption_enabled", "Whether new volumes are encrypted.", |settings| settings.encryption)
    .text("default_ebs_encryption_key", "The key that they are encrypted with: an ARN, or an alias.", |settings| {
        settings.key.as_deref()
    })
    .text(
        "snapshot_block_public_access_state",
        "`block-all-sharing`, `block-new-sharing` or `unblocked`.",
        |settings| settings.snapshots.as_deref(),
    )
    .text("image_block_public_access_state", "`block-new-sharing` or `unblocked`.", |settings| {
        settings.images.as_deref()
    })
    .text("metadata_http_tokens", "`required`, `optional` or `no-preference`: IMDSv2 of new instances.", |settings| {
        Some(settings.metadata.as_ref()?.http_tokens()?.as_str())
    })
    .text("metadata_http_tokens_enforced", "`enabled` where no instance may be without IMDSv2.", |settings| {
        Some(settings.metadata.as_ref()?.http_tokens_enforced()?.as_str())
    })
    .text("metadata_http_endpoint", "`enabled`, `disabled` or `no-preference`: the service itself.", |settings| {
        Some(settings.metadata.as_ref()?.http_endpoint()?.as_str())
    })
    .integer(
        "metadata_http_put_response_hop_limit",
        "How far answers of the metadata service of new instances may travel; -1 for no preference.",
        |settings| settings.metadata.as_ref()?.http_put_response_hop_limit(),
    )
    .text(
        "metadata_instance_tags",
        "`enabled`, `disabled` or `no-preference`: tags in the metadata.",
        |settings| Some(settings.metadata.as_ref()?.instance_metadata_tags()?.as_str()),
    )
}

/// The answers to all five calls, each by itself.
async fn read(client: &Client, call: &Call<'_>) -> Result<Settings, Unread> {
    let (encryption, key, snapshots, images, metadata) = tokio::join!(
        client.get_ebs_encryption_by_default().send(),
        client.get_ebs_default_kms_key_id().send(),
        client.get_snapshot_block_public_access_state().send(),
        client.get_image_block_public_access_state().send(),
        client.get_instance_metadata_defaults().send(),
    );
    let encryption = answered("read whether volumes are encrypted by default", encryption);
    let optional = || Optional::new(call.session);
    let key = optional().take(answered("read the key of volumes", key))?;
    let snapshots = optional().take(answered("read whether public snapshots are blocked", snapshots))?;
    let images = optional().take(answered("read whether public images are blocked", images))?;
    let metadata = optional().take(answered("read the defaults of instance metadata", metadata))?;
    // Where nothing was answered, the refusal of the first says why there is no row.
    let encryption = match key.is_none() && snapshots.is_none() && images.is_none() && metadata.is_none() {
        true => Some(encryption?),
        false => optional().take(encryption)?,
    };
    Ok(Settings {
        encryption: encryption.and_then(|answer| answer.ebs_encryption_by_default),
        key: key.and_then(|answer| answer.kms_key_id),
        snapshots: snapshots.and_then(|answer| answer.state).map(|state| state.as_str().to_owned()),
        images: images.and_then(|answer| answer.image_block_public_access_state),
        metadata: metadata.and_then(|answer| answer.account_level),
    })
}

#[async_trait]
impl Collector for RegionalSettings {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.settings]
    }

    fn actions(&self) -> &'static [&'static str] {
        &[
            "ec2:GetEbsDefaultKmsKeyId",
            "ec2:GetEbsEncryptionByDefault",
            "ec2:GetImageBlockPublicAccessState",
            "ec2:GetInstanceMetadataDefaults",
            "ec2:GetSnapshotBlockPublicAccessState",
        ]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let settings = read(&client(call.session), call).await?;
        call.give(&self.settings, &[settings], Vec::<&Value>::new()).await
    }
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::provider::Extent;

    use super::*;
    use crate::testing::StandIn;

    const PAGE: &str = "<!doctype html><title>500 Internal Server Error</title>";
    const DENIED: &str = "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>";

    #[tokio::test]
    async fn what_is_not_offered_is_null_and_is_asked_for_once() {
        let server = StandIn::new(|asked| match asked.value("Action") {
            "GetEbsEncryptionByDefault" => (
                200,
                "<GetEbsEncryptionByDefaultResponse><ebsEncryptionByDefault>true</ebsEncryptionByDefault>\
                 </GetEbsEncryptionByDefaultResponse>"
                    .to_owned(),
            ),
            "GetInstanceMetadataDefaults" => (
                200,
                "<GetInstanceMetadataDefaultsResponse><accountLevel><httpTokens>required</httpTokens></accountLevel>\
                 </GetInstanceMetadataDefaultsResponse>"
                    .to_owned(),
            ),
            "GetEbsDefaultKmsKeyId" => (403, DENIED.to_owned()),
            _ => (500, PAGE.to_owned()),
        })
        .await;
        let (rows, outcome) = server.collect(&RegionalSettings::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let [row] = &rows[NAME][..] else { panic!("one row: {rows:?}") };
        assert_eq!(row["default_ebs_encryption_enabled"], true);
        assert_eq!(row["metadata_http_tokens"], "required");
        for column in
            ["default_ebs_encryption_key", "snapshot_block_public_access_state", "image_block_public_access_state"]
        {
            assert_eq!(row.get(column), None, "{column}");
        }
        assert_eq!(server.asked().len(), 5);
    }

    #[tokio::test]
    async fn where_nothing_may_be_read_there_is_no_row_but_a_reason() {
        let server = StandIn::new(|_| (403, DENIED.to_owned())).await;
        let (rows, outcome) = server.collect(&RegionalSettings::new(), "eu-west-1", Extent::Whole).await;
        assert!(rows.is_empty());
        assert!(matches!(outcome, Err(Unread::Denied(_))), "{outcome:?}");
    }
}
