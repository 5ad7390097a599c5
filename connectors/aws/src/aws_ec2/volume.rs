//! `aws_ebs_volume` and `aws_ebs_volume_attachment`, from DescribeVolumes.

use async_trait::async_trait;
use aws_sdk_ec2::types::{Volume, VolumeAttachment};

use super::request::{client, filters, tags};
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Table, Unread};

/// How many volumes a page may have.
const PAGE: i32 = 500;

/// Reads DescribeVolumes.
pub(super) struct Volumes {
    volumes: Table<Volume>,
    attachments: Table<VolumeAttachment>,
}

impl Volumes {
    pub(super) fn new() -> Self {
        Self { volumes: volumes(), attachments: attachments() }
    }
}

fn volumes() -> Table<Volume> {
    Table::new("aws_ebs_volume", "EBS volumes.", |place, volume: &Volume| {
        place.arn("ec2", format_args!("volume/{}", volume.volume_id().unwrap_or_default()))
    })
    .view(opsbox::VOLUMES)
    .target("volume_id", "The id of the volume.", |volume| volume.volume_id())
    .text("state", "`creating`, `available`, `in-use`, `deleting`, `deleted` or `error`.", |volume| {
        Some(volume.state()?.as_str())
    })
    .text("volume_type", "`gp2`, `gp3`, `io1`, `io2`, `st1`, `sc1` or `standard`.", |volume| {
        Some(volume.volume_type()?.as_str())
    })
    .integer("size", "Its size, in GiB.", Volume::size)
    .integer("iops", "Its operations per second, where they are provisioned or a baseline is.", Volume::iops)
    .integer("throughput", "Its throughput, in MiB/s; only `gp3`.", Volume::throughput)
    .boolean("encrypted", "Whether it is encrypted.", Volume::encrypted)
    .reference("kms_key_id", "The ARN of the key that it is encrypted with.", ("aws_kms_key", "arn"), |volume| {
        volume.kms_key_id()
    })
    .reference("snapshot_id", "The snapshot that it was made of.", ("aws_ebs_snapshot", "snapshot_id"), |volume| {
        volume.snapshot_id()
    })
    .reference("availability_zone", "Its zone.", ("aws_availability_zone", "name"), |volume| volume.availability_zone())
    .time("create_time", "When it was made.", |volume| volume.create_time())
    .boolean("multi_attach_enabled", "Whether several instances may use it.", Volume::multi_attach_enabled)
    .boolean("fast_restored", "Whether it was made of a snapshot with fast restore.", Volume::fast_restored)
    .text("outpost_arn", "The outpost that it is on.", |volume| volume.outpost_arn())
    .tags(|volume| tags(volume.tags()))
}

fn attachments() -> Table<VolumeAttachment> {
    Table::new(
        "aws_ebs_volume_attachment",
        "Which instance has which volume.",
        |place, attachment: &VolumeAttachment| {
            let of = |id: Option<&str>| id.unwrap_or_default().to_owned();
            let (volume, instance) = (of(attachment.volume_id()), of(attachment.instance_id()));
            place.arn("ec2", format_args!("volume/{volume}/attachment/{instance}"))
        },
    )
    .target("volume_id", "The volume.", |attachment| attachment.volume_id())
    .key("instance_id", "The instance; empty where it is a service of AWS.", |attachment| attachment.instance_id())
    .text("device", "The name of the device.", |attachment| attachment.device())
    .text("state", "`attaching`, `attached`, `detaching`, `detached` or `busy`.", |attachment| {
        Some(attachment.state()?.as_str())
    })
    .time("attach_time", "Since when.", |attachment| attachment.attach_time())
    .boolean(
        "delete_on_termination",
        "Whether the volume is deleted with the instance.",
        VolumeAttachment::delete_on_termination,
    )
}

#[async_trait]
impl Collector for Volumes {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.volumes, &self.attachments]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeVolumes"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the volumes");
            while let Some(token) = listing.token() {
                let request = client.describe_volumes().set_filters(filters(call, "volume-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let volumes = page.volumes.unwrap_or_default();
                let attachments: Vec<_> = volumes.iter().flat_map(Volume::attachments).cloned().collect();
                call.give(&self.attachments, &attachments, raw.items("volumeSet/attachmentSet")).await?;
                call.give(&self.volumes, &volumes, raw.items("volumeSet")).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_pipeline::provider::Extent;

    use super::*;
    use crate::testing::{Asked, StandIn};

    fn page(asked: &Asked) -> (u16, String) {
        let (volume, next) = match asked.value("NextToken") {
            "" => (
                "<volumeId>vol-1</volumeId><size>8</size><status>in-use</status><snapshotId/><attachmentSet><item>\
                    <volumeId>vol-1</volumeId><instanceId>i-1</instanceId><device>/dev/sda1</device><status>attached</status>\
                    <deleteOnTermination>true</deleteOnTermination></item></attachmentSet><tagSet><item><key>env</key>\
                    <value>prod</value></item></tagSet>",
                "<nextToken>2</nextToken>",
            ),
            _ => ("<volumeId>vol-2</volumeId><createTime>2026-01-02T03:04:05.000Z</createTime>", ""),
        };
        (
            200,
            format!(
                "<DescribeVolumesResponse><volumeSet><item>{volume}</item></volumeSet>{next}</DescribeVolumesResponse>"
            ),
        )
    }

    #[tokio::test]
    async fn every_page_is_read_and_what_is_nested_has_rows_of_its_own() {
        let (rows, outcome) = StandIn::new(page).await.collect(&Volumes::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let first = &rows["aws_ebs_volume"][0];
        assert_eq!(first["arn"], "arn:aws:ec2:eu-west-1:123456789012:volume/vol-1");
        assert_eq!((&first["size"], &first["tags"]), (&json!(8), &json!({"env": "prod"})));
        assert_eq!(first.get("snapshot_id"), None);
        assert!(first["raw"].as_str().unwrap().contains("\"volumeId\":\"vol-1\""));
        assert_eq!(rows["aws_ebs_volume"][1]["create_time"], "2026-01-02T03:04:05Z");
        let attachments = &rows["aws_ebs_volume_attachment"];
        assert_eq!(attachments.len(), 1);
        assert_eq!(
            (&attachments[0]["instance_id"], &attachments[0]["delete_on_termination"]),
            (&json!("i-1"), &json!(true))
        );
    }

    #[tokio::test]
    async fn targets_are_asked_for_by_filters_of_at_most_two_hundred_values() {
        let server =
            StandIn::new(|_| (200, "<DescribeVolumesResponse><volumeSet/></DescribeVolumesResponse>".to_owned())).await;
        let ids = (0..450).map(|id| format!("vol-{id}").into()).collect();
        server.collect(&Volumes::new(), "eu-west-1", Extent::Targets(ids)).await.1.unwrap();
        let asked = server.asked();
        let last =
            |asked: &Asked| (1..=200).filter(|n| !asked.value(&format!("Filter.1.Value.{n}")).is_empty()).count();
        assert_eq!(asked.iter().map(last).collect::<Vec<_>>(), [200, 200, 50]);
        assert!(asked.iter().all(|asked| asked.value("Filter.1.Name") == "volume-id"));
    }

    #[tokio::test]
    async fn a_server_that_gives_the_same_page_again_and_again_is_not_followed() {
        let endless = "<DescribeVolumesResponse><volumeSet/><nextToken>2</nextToken></DescribeVolumesResponse>";
        let server = StandIn::new(|_| (200, endless.to_owned())).await;
        let outcome = server.collect(&Volumes::new(), "eu-west-1", Extent::Whole).await.1;
        assert!(matches!(outcome, Err(Unread::Failed(error)) if error.message.contains("same page")));
        assert_eq!(server.asked().len(), 2);
    }
}
