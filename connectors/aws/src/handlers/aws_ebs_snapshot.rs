//! `aws_ebs_snapshot`: who may use snapshots, and whether they are there.

use async_trait::async_trait;
use aws_sdk_ec2::types::{CreateVolumePermission, OperationType, PermissionGroup, SnapshotAttributeName};
use serde_json::json;
use tidegate_pipeline::error::Error;
use tidegate_pipeline::handler::sink::{FieldDescription, field};
use tidegate_pipeline::handler::{Changes, Fields, Halt, HandlerContext, Reading};

use super::{AwsResource, Target, is_missing, tags};
use crate::failure::failure;

#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshot;

#[async_trait]
impl AwsResource for Snapshot {
    const NAME: &'static str = "aws_ebs_snapshot";
    const SUMMARY: &'static str = "Makes EBS snapshots private, enforces their tags, removes them";
    const CLASS: &'static str = "EbsSnapshot";
    const FIELDS: &'static [FieldDescription] = &[
        field("public", "whether everybody may use it; only false can be enforced."),
        field("tags", "tags by name; null for one that shall not be there. Others are left alone."),
    ];

    async fn read(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<Reading, Halt> {
        let (client, id) = (at.ec2(), at.aws_id());
        let listed = match client.describe_snapshots().snapshot_ids(id).send().await {
            Err(error) if is_missing(&error) => return Ok(Reading::Purged),
            answer => answer.map_err(|error| failure(&format!("describe {id}"), &error))?,
        };
        let Some(snapshot) = listed.snapshots().first() else { return Ok(Reading::Purged) };
        if snapshot.owner_id().is_some_and(|owner| *owner != *at.session.place.account_id) {
            let message = format!("{id} belongs to account {}", snapshot.owner_id().unwrap_or_default());
            return Err(Error::user(message).with_remedy("only its owner can change it").into());
        }
        let shared = client.describe_snapshot_attribute().snapshot_id(id);
        let shared = shared.attribute(SnapshotAttributeName::CreateVolumePermission).send().await;
        let shared = shared.map_err(|error| failure(&format!("ask who may use {id}"), &error))?;
        let is_all = |permission: &CreateVolumePermission| permission.group() == Some(&PermissionGroup::All);
        Ok(Reading::Found(Fields::from_iter([
            ("public".to_owned(), json!(shared.create_volume_permissions().iter().any(is_all))),
            ("tags".to_owned(), tags::named(at, snapshot.tags())?),
            ("volume".to_owned(), json!(snapshot.volume_id())),
        ])))
    }

    async fn update(&self, context: &mut HandlerContext, at: Target<'_>, changes: &Changes) -> Result<(), Halt> {
        let id = at.aws_id();
        if let Some(public) = changes.get("public") {
            if public.desired != json!(false) {
                return Err(Error::user(format!("{id} is not made public: only `public: false` is enforced")).into());
            }
            context.info("Making %(snapshot)s private", &[("snapshot", &id)]);
            let done = at.ec2().modify_snapshot_attribute().snapshot_id(id);
            let done = done.attribute(SnapshotAttributeName::CreateVolumePermission);
            let done = done.operation_type(OperationType::Remove).group_names(PermissionGroup::All.as_str());
            done.send().await.map_err(|error| failure(&format!("make {id} private"), &error))?;
        }
        if changes.get("tags").is_some() {
            tags::enforce(context, at).await?;
        }
        Ok(())
    }

    async fn delete(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let id = at.aws_id();
        context.info("Removing %(snapshot)s", &[("snapshot", &id)]);
        match at.ec2().delete_snapshot().snapshot_id(id).send().await {
            Err(error) if is_missing(&error) => Ok(()),
            done => Ok(done.map(drop).map_err(|error| failure(&format!("remove {id}"), &error))?),
        }
    }
}
