//! `aws_ec2_ami` and `aws_ec2_ami_block_device`, from DescribeImages.

use async_trait::async_trait;
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{BlockDeviceMapping, Image};
use tidegate_connectors::providers::columns::Moment;

use super::request::{client, filters, tags, unowned_arn};
use crate::provider::{Call, Collector, Declared, Table, Unread, Within, moment};

/// How many images a page may have.
const PAGE: i32 = 1000;

/// Reads DescribeImages: those that the account owns, disabled ones too.
pub(super) struct Amis {
    images: Table<Image>,
    block_devices: Table<Within<BlockDeviceMapping>>,
}

impl Amis {
    pub(super) fn new() -> Self {
        Self { images: system(images()), block_devices: block_devices() }
    }
}

fn images() -> Table<Image> {
    Table::new("aws_ec2_ami", "The images that the account owns.", |place, image: &Image| {
        unowned_arn(place, format_args!("image/{}", image.image_id().unwrap_or_default()))
    })
    .target("image_id", "The id of the image.", |image| image.image_id())
    .text("name", "Its name.", |image| image.name())
    .text("description", "What it is.", |image| image.description())
    .text("state", "`available`, `pending`, `failed`, `invalid`, `deregistered`, `disabled`, …", |image| {
        Some(image.state()?.as_str())
    })
    .text("state_reason_code", "The code of the reason for the last change of state.", |image| {
        image.state_reason()?.code()
    })
    .boolean("public", "Whether everybody may start instances from it.", Image::public)
    .text("owner_id", "The account that owns it.", |image| image.owner_id())
    .text("image_owner_alias", "`amazon`, `aws-marketplace` or `self`, where AWS says it.", |image| {
        image.image_owner_alias()
    })
    .text("image_location", "Where it is, by owner and name.", |image| image.image_location())
    .text("image_type", "`machine`, `kernel` or `ramdisk`.", |image| Some(image.image_type()?.as_str()))
    .made_time("creation_date", "When it was made.", |image| time_of(image.creation_date()?))
    .made_time("deprecation_time", "From when it is deprecated.", |image| time_of(image.deprecation_time()?))
    .text("deregistration_protection", "`enabled`, `disabled` or `enabled-with-cooldown`.", |image| {
        image.deregistration_protection()
    })
    .reference(
        "source_instance_id",
        "The instance that it was made of.",
        ("aws_ec2_instance", "instance_id"),
        |image| image.source_instance_id(),
    )
    .text("source_image_id", "The image that it is a copy of.", |image| image.source_image_id())
    .text("source_image_region", "The region of that image.", |image| image.source_image_region())
    .tags(|image| tags(image.tags()))
    // AWS notes there when an instance was last started from it.
    .without(["lastLaunchedTime"])
}

/// What starts from it, and how.
fn system(table: Table<Image>) -> Table<Image> {
    table
        .text("architecture", "`x86_64`, `arm64`, `i386`, …", |image| Some(image.architecture()?.as_str()))
        .text("platform", "`windows`, else NULL.", |image| Some(image.platform()?.as_str()))
        .text("platform_details", "The platform, as it is billed.", |image| image.platform_details())
        .text("usage_operation", "The operation that is billed.", |image| image.usage_operation())
        .text("virtualization_type", "`hvm` or `paravirtual`.", |image| Some(image.virtualization_type()?.as_str()))
        .text("hypervisor", "`xen` or `ovm`.", |image| Some(image.hypervisor()?.as_str()))
        .text("boot_mode", "`legacy-bios`, `uefi` or `uefi-preferred`.", |image| Some(image.boot_mode()?.as_str()))
        .text("imds_support", "`v2.0` where its instances require IMDSv2, else NULL.", |image| {
            Some(image.imds_support()?.as_str())
        })
        .text("tpm_support", "`v2.0` where it uses NitroTPM, else NULL.", |image| Some(image.tpm_support()?.as_str()))
        .boolean("ena_support", "Whether enhanced networking is on.", Image::ena_support)
        .text("sriov_net_support", "Whether enhanced networking by an Intel interface is on.", |image| {
            image.sriov_net_support()
        })
        .text("root_device_name", "The name of the root device.", |image| image.root_device_name())
        .text("root_device_type", "`ebs` or `instance-store`.", |image| Some(image.root_device_type()?.as_str()))
        .text("kernel_id", "The kernel.", |image| image.kernel_id())
        .text("ramdisk_id", "The RAM disk.", |image| image.ramdisk_id())
}

fn block_devices() -> Table<Within<BlockDeviceMapping>> {
    let description = "The block devices that instances of an image begin with.";
    Table::new("aws_ec2_ami_block_device", description, |place, within: &Within<BlockDeviceMapping>| {
        let device = within.part.device_name().unwrap_or_default();
        unowned_arn(place, format_args!("image/{}/block-device/{device}", within.of))
    })
    .target("image_id", "The image.", |within| Some(&within.of))
    .key("device_name", "The name of the device.", |within| within.part.device_name())
    .text("virtual_name", "The name of a disk of the instance's own: `ephemeral0`, …", |within| {
        within.part.virtual_name()
    })
    .reference("snapshot_id", "The snapshot.", ("aws_ebs_snapshot", "snapshot_id"), |within| {
        within.part.ebs()?.snapshot_id()
    })
    .integer("volume_size", "The size of the volume, in GiB.", |within| within.part.ebs()?.volume_size())
    .text("volume_type", "`gp2`, `gp3`, `io1`, `io2`, `st1`, `sc1` or `standard`.", |within| {
        Some(within.part.ebs()?.volume_type()?.as_str())
    })
    .integer("iops", "The operations per second that are provisioned.", |within| within.part.ebs()?.iops())
    .integer("throughput", "The throughput, in MiB/s; only `gp3`.", |within| within.part.ebs()?.throughput())
    .boolean("encrypted", "Whether the volume is encrypted.", |within| within.part.ebs()?.encrypted())
    .boolean("delete_on_termination", "Whether the volume is deleted with the instance.", |within| {
        within.part.ebs()?.delete_on_termination()
    })
}

/// A moment that AWS gives as text.
fn time_of(text: &str) -> Option<Moment> {
    moment(&DateTime::from_str(text, DateTimeFormat::DateTime).ok()?)
}

#[async_trait]
impl Collector for Amis {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.images, &self.block_devices]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeImages"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the images");
            while let Some(token) = listing.token() {
                let request = client.describe_images().owners("self").include_disabled(true);
                let request = request.set_filters(filters(call, "image-id", part.as_deref()));
                let request = request.max_results(PAGE).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let devices = Within::all(page.images(), Image::image_id, Image::block_device_mappings);
                call.give(&self.block_devices, &devices, raw.items("imagesSet/blockDeviceMapping")).await?;
                call.give(&self.images, page.images(), raw.items("imagesSet")).await?;
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
    use crate::testing::StandIn;

    #[tokio::test]
    async fn an_image_has_moments_as_moments_and_its_devices_in_a_table() {
        let item = "<item><imageId>ami-1</imageId><isPublic>true</isPublic><creationDate>2026-01-02T03:04:05.000Z</creationDate>\
                    <lastLaunchedTime>2026-02-02T03:04:05Z</lastLaunchedTime><deprecationTime>soon</deprecationTime>\
                    <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-1</snapshotId>\
                    <volumeSize>8</volumeSize></ebs></item></blockDeviceMapping></item>";
        let page = format!("<DescribeImagesResponse><imagesSet>{item}</imagesSet></DescribeImagesResponse>");
        let server = StandIn::new(move |_| (200, page.clone())).await;
        let (rows, outcome) = server.collect(&Amis::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let row = &rows["aws_ec2_ami"][0];
        assert_eq!((&row["creation_date"], row.get("deprecation_time")), (&json!("2026-01-02T03:04:05Z"), None));
        assert_eq!((&row["arn"], &row["public"]), (&json!("arn:aws:ec2:eu-west-1::image/ami-1"), &json!(true)));
        assert!(!row["raw"].as_str().unwrap().contains("lastLaunchedTime"));
        let device = &rows["aws_ec2_ami_block_device"][0];
        assert_eq!((&device["image_id"], &device["snapshot_id"]), (&json!("ami-1"), &json!("snap-1")));
        let asked = server.asked();
        assert_eq!((asked[0].value("Owner.1"), asked[0].value("IncludeDisabled")), ("self", "true"));
    }
}
