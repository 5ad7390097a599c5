//! `aws_ebs_snapshot`, from DescribeSnapshots.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::describe_snapshots::builders::DescribeSnapshotsFluentBuilder;
use aws_sdk_ec2::types::{Filter, PermissionGroup, Snapshot, SnapshotAttributeName};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::request::{client, filters, tags, unowned_arn};
use crate::opsbox;
use crate::provider::{CALLS, Call, Collector, Declared, Optional, Table, Unread, answered, unless_unknown};

/// How many snapshots a page may have.
const PAGE: i32 = 1000;

/// A snapshot, and whether it is among the public ones.
struct Listed {
    snapshot: Snapshot,
    is_public: Option<bool>,
}

/// Reads DescribeSnapshots: those that the account owns.
pub(super) struct Snapshots {
    snapshots: Table<Listed>,
}

impl Snapshots {
    pub(super) fn new() -> Self {
        Self { snapshots: protection(snapshots()) }
    }
}

fn snapshots() -> Table<Listed> {
    Table::new("aws_ebs_snapshot", "The snapshots of EBS volumes that the account owns.", |place, listed: &Listed| {
        unowned_arn(place, format_args!("snapshot/{}", listed.snapshot.snapshot_id().unwrap_or_default()))
    })
    .view(opsbox::SNAPSHOTS)
    .target("snapshot_id", "The id of the snapshot.", |listed| listed.snapshot.snapshot_id())
    .text("state", "`pending`, `completed`, `error`, `recoverable` or `recovering`.", |listed| {
        Some(listed.snapshot.state()?.as_str())
    })
    .text("state_message", "Why it is in error.", |listed| listed.snapshot.state_message())
    .text("progress", "How much of it is done, in percent: `100%`.", |listed| listed.snapshot.progress())
    .time("start_time", "When it was begun.", |listed| listed.snapshot.start_time())
    .time("completion_time", "When it was completed.", |listed| listed.snapshot.completion_time())
    .text("description", "What it is for.", |listed| listed.snapshot.description())
    .reference("volume_id", "The volume; it may be gone.", ("aws_ebs_volume", "volume_id"), |listed| {
        listed.snapshot.volume_id()
    })
    .integer("volume_size", "The size of the volume, in GiB.", |listed| listed.snapshot.volume_size())
    .integer("full_snapshot_size_in_bytes", "The size of all its blocks, in bytes.", |listed| {
        listed.snapshot.full_snapshot_size_in_bytes()
    })
    .text("storage_tier", "`standard` or `archive`.", |listed| Some(listed.snapshot.storage_tier()?.as_str()))
    .text("owner_id", "The account that owns it.", |listed| listed.snapshot.owner_id())
    .text("owner_alias", "The alias of the owner.", |listed| listed.snapshot.owner_alias())
    .text("outpost_arn", "The outpost that it is on.", |listed| listed.snapshot.outpost_arn())
    .tags(|listed| tags(listed.snapshot.tags()))
}

/// Who can read it.
fn protection(table: Table<Listed>) -> Table<Listed> {
    table
        .boolean(
            "is_public",
            "Whether everybody may make volumes of it; NULL where the public ones cannot be listed.",
            |listed| listed.is_public,
        )
        .boolean("encrypted", "Whether it is encrypted.", |listed| listed.snapshot.encrypted())
        .reference("kms_key_id", "The ARN of the key that it is encrypted with.", ("aws_kms_key", "arn"), |listed| {
            listed.snapshot.kms_key_id()
        })
        .text("data_encryption_key_id", "The id of the key of its data.", |listed| {
            listed.snapshot.data_encryption_key_id()
        })
}

/// A request for a page of the account's own snapshots. The owner is named twice: what stands in for AWS elsewhere may
/// know the filter only.
fn own(client: &Client, call: &Call<'_>, part: Option<&[String]>) -> DescribeSnapshotsFluentBuilder {
    let owner = Filter::builder().name("owner-id").values(&*call.session.place.account_id).build();
    let mut filters = filters(call, "snapshot-id", part).unwrap_or_default();
    filters.push(owner);
    client.describe_snapshots().owner_ids("self").set_filters(Some(filters)).max_results(PAGE)
}

/// The ids of the account's public snapshots, of which there should be none; nothing where they cannot be listed.
async fn public(client: &Client, call: &Call<'_>, part: Option<&[String]>) -> Result<Option<BTreeSet<String>>, Unread> {
    let optional = Optional::new(call.session);
    let mut public = BTreeSet::new();
    let mut listing = call.listing("list the public snapshots");
    while let Some(token) = listing.token() {
        let answer = own(client, call, part).restorable_by_user_ids("all").set_next_token(token).send().await;
        let Some((page, _)) = optional.take(listing.page(answer, |page| page.next_token()))? else { return Ok(None) };
        let ids = page.snapshots().iter().filter_map(Snapshot::snapshot_id).map(str::to_owned);
        // What stands in for AWS elsewhere may list all snapshots as public ones.
        match call.session.has_own_endpoint() {
            true => public.extend(confirmed(client, ids.collect()).await?),
            false => public.extend(ids),
        }
    }
    Ok(Some(public))
}

/// Those whose permissions say that they are public.
async fn confirmed(client: &Client, ids: Vec<String>) -> Result<Vec<String>, Unread> {
    let confirm = |id: String| async move {
        let request = client.describe_snapshot_attribute().snapshot_id(&id);
        let answer = request.attribute(SnapshotAttributeName::CreateVolumePermission).send().await;
        let answer = answered("read who may use a snapshot", unless_unknown(answer))?;
        let permissions = answer.as_ref().map(|answer| answer.create_volume_permissions()).unwrap_or_default();
        let is_public = permissions.iter().any(|permission| permission.group() == Some(&PermissionGroup::All));
        Ok::<_, Unread>(is_public.then_some(id))
    };
    let confirmed = stream::iter(ids).map(confirm).buffered(CALLS);
    Ok(confirmed.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

#[async_trait]
impl Collector for Snapshots {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.snapshots]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeSnapshots"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let public = public(&client, call, part.as_deref()).await?;
            let is_public = |snapshot: &Snapshot| Some(public.as_ref()?.contains(snapshot.snapshot_id()?));
            let mut listing = call.listing("list the snapshots");
            while let Some(token) = listing.token() {
                let request = own(&client, call, part.as_deref()).set_next_token(token);
                let answer = request.customize().interceptor(listing.capture()).send().await;
                let (page, raw) = listing.page(answer, |page| page.next_token())?;
                let listed = page.snapshots.unwrap_or_default().into_iter();
                let listed = listed.map(|snapshot| Listed { is_public: is_public(&snapshot), snapshot });
                call.give(&self.snapshots, &listed.collect::<Vec<_>>(), raw.items("snapshotSet")).await?;
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

    const DENIED: &str = "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>";

    /// A server that takes no notice of who may restore a snapshot: it lists all of them each time.
    fn answer(asked: &Asked) -> (u16, String) {
        if asked.value("Action") == "DescribeSnapshotAttribute" {
            let permission = match asked.value("SnapshotId") {
                "snap-2" => "<item><group>all</group></item>",
                _ => "<item><userId>210987654321</userId></item>",
            };
            let text = format!("<createVolumePermission>{permission}</createVolumePermission>");
            return (200, format!("<DescribeSnapshotAttributeResponse>{text}</DescribeSnapshotAttributeResponse>"));
        }
        let items = "<item><snapshotId>snap-1</snapshotId><volumeSize>8</volumeSize></item>\
                     <item><snapshotId>snap-2</snapshotId><encrypted>false</encrypted></item>";
        (200, format!("<DescribeSnapshotsResponse><snapshotSet>{items}</snapshotSet></DescribeSnapshotsResponse>"))
    }

    #[tokio::test]
    async fn a_snapshot_is_public_where_its_permissions_say_so() {
        let server = StandIn::new(answer).await;
        let (rows, outcome) = server.collect(&Snapshots::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let rows = &rows["aws_ebs_snapshot"];
        assert_eq!(rows[0]["arn"], "arn:aws:ec2:eu-west-1::snapshot/snap-1");
        assert_eq!((&rows[0]["is_public"], &rows[1]["is_public"]), (&json!(false), &json!(true)));
        let asked = server.asked();
        let listings = asked.iter().filter(|asked| asked.value("Action") == "DescribeSnapshots");
        assert!(listings.clone().all(|asked| asked.value("Owner.1") == "self"
            && asked.value("Filter.1.Name") == "owner-id"
            && asked.value("Filter.1.Value.1") == "123456789012"));
        assert_eq!(listings.filter(|asked| asked.value("RestorableBy.1") == "all").count(), 1);
    }

    #[tokio::test]
    async fn where_the_public_ones_may_not_be_listed_nothing_is_said_of_that() {
        let server = StandIn::new(|asked| match asked.value("RestorableBy.1") {
            "" => answer(asked),
            _ => (403, DENIED.to_owned()),
        });
        let (rows, outcome) = server.await.collect(&Snapshots::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        assert_eq!(rows["aws_ebs_snapshot"].len(), 2);
        assert!(rows["aws_ebs_snapshot"].iter().all(|row| row.get("is_public").is_none()));
    }
}
