//! `aws_ebs_volume`: tags of volumes; removed only once a snapshot of them is complete.

use async_trait::async_trait;
use aws_sdk_ec2::types::{
    Filter, ResourceType, Snapshot, SnapshotState, Tag, TagSpecification, Volume as AwsVolume, VolumeState,
};
use jiff::Timestamp;
use serde_json::json;
use tidegate_pipeline::handler::sink::{FieldDescription, field};
use tidegate_pipeline::handler::{Changes, Fields, Halt, HandlerContext, Reading};

use super::{AwsResource, Target, is_missing, tags};
use crate::failure::failure;

/// The tag of snapshots that were made before a volume was removed: its value is the volume.
const BEFORE_REMOVAL: &str = "tidegate:before-removal-of";
/// For how long a snapshot of an earlier attempt counts, in seconds.
const SNAPSHOT_COUNTS: i64 = 24 * 3600;

#[derive(Debug, Clone, Copy)]
pub(super) struct Volume;

impl Volume {
    async fn find(self, at: Target<'_>) -> Result<Option<AwsVolume>, Halt> {
        match at.ec2().describe_volumes().volume_ids(at.aws_id()).send().await {
            Err(error) if is_missing(&error) => Ok(None),
            answer => {
                let answer = answer.map_err(|error| failure(&format!("describe {}", at.aws_id()), &error))?;
                let is_there =
                    |volume: &AwsVolume| !matches!(volume.state(), Some(VolumeState::Deleting | VolumeState::Deleted));
                Ok(answer.volumes.unwrap_or_default().into_iter().find(is_there))
            }
        }
    }

    /// A complete snapshot of the volume as it is before it is removed. One that an earlier attempt has begun counts.
    async fn snapshot(self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let (client, volume) = (at.ec2(), at.aws_id());
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let listed = client
            .describe_snapshots()
            .owner_ids("self")
            .filters(filter("volume-id", volume))
            .filters(filter(&format!("tag:{BEFORE_REMOVAL}"), volume))
            .send()
            .await
            .map_err(|error| failure(&format!("list the snapshots of {volume}"), &error))?;
        // What an attempt long ago has left says nothing of what was written since.
        let oldest = Timestamp::now().as_second() - SNAPSHOT_COUNTS;
        let counts = |known: &&Snapshot| {
            known.state() != Some(&SnapshotState::Error) && known.start_time().is_some_and(|at| at.secs() > oldest)
        };
        let known = listed.snapshots().iter().find(counts);
        let (id, is_complete) = match known {
            Some(known) => (known.snapshot_id(), known.state() == Some(&SnapshotState::Completed)),
            None => {
                let tag = Tag::builder().key(BEFORE_REMOVAL).value(volume).build();
                let tags = TagSpecification::builder().resource_type(ResourceType::Snapshot).tags(tag).build();
                let made = client.create_snapshot().volume_id(volume).tag_specifications(tags);
                let made = made.description(format!("{volume}, before it was removed")).send().await;
                let made = made.map_err(|error| failure(&format!("make a snapshot of {volume}"), &error))?;
                let id = made.snapshot_id().unwrap_or_default();
                context.info("Made the snapshot %(snapshot)s of %(volume)s", &[("snapshot", &id), ("volume", &volume)]);
                if made.state() == Some(&SnapshotState::Completed) {
                    return Ok(());
                }
                return Err(Halt::SkipForDependencies(format!("the snapshot {id} of {volume} is not complete yet")));
            }
        };
        let id = id.unwrap_or_default();
        context.set_fact("snapshot", id);
        match is_complete {
            true => Ok(()),
            false => Err(Halt::SkipForDependencies(format!("the snapshot {id} of {volume} is not complete yet"))),
        }
    }
}

#[async_trait]
impl AwsResource for Volume {
    const NAME: &'static str = "aws_ebs_volume";
    const SUMMARY: &'static str = "Enforces tags of EBS volumes; removes volumes, once a snapshot of them is complete";
    const CLASS: &'static str = "EbsVolume";
    const FIELDS: &'static [FieldDescription] = &[
        field("tags", "tags by name; null for one that shall not be there. Others are left alone."),
        field("snapshot", "whether a snapshot is made before the volume is removed: true, unless it is false."),
    ];

    async fn read(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<Reading, Halt> {
        let Some(volume) = self.find(at).await? else { return Ok(Reading::Purged) };
        let mut fields = Fields::from_iter([
            ("tags".to_owned(), tags::named(at, volume.tags())?),
            ("size".to_owned(), json!(volume.size())),
            ("state".to_owned(), json!(volume.state().map(VolumeState::as_str))),
        ]);
        // It says how a volume is removed, not what it is.
        fields.insert("snapshot".to_owned(), at.resource.field("snapshot").clone());
        Ok(Reading::Found(fields))
    }

    async fn update(&self, context: &mut HandlerContext, at: Target<'_>, _changes: &Changes) -> Result<(), Halt> {
        tags::enforce(context, at).await
    }

    async fn delete(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        if at.resource.field("snapshot") != &json!(false) {
            self.snapshot(context, at).await?;
        }
        let volume = at.aws_id();
        context.info("Removing %(volume)s", &[("volume", &volume)]);
        match at.ec2().delete_volume().volume_id(volume).send().await {
            Err(error) if is_missing(&error) => Ok(()),
            done => Ok(done.map(drop).map_err(|error| failure(&format!("remove {volume}"), &error))?),
        }
    }
}
