//! `aws_efs_mount_target`, from DescribeMountTargets: a call for each file system.

use async_trait::async_trait;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::MountTargetDescription;
use futures::stream::{self, TryStreamExt};

use super::request::{client, file_systems, is_id, page};
use crate::provider::{CALLS, Call, Collector, Declared, Optional, Table, Unread, answered, sorted, unless_unknown};

const NAME: &str = "aws_efs_mount_target";
/// The column, as options name it.
pub(super) const SECURITY_GROUPS: &str = "aws_efs_mount_target.security_groups";
/// How many mount targets a page may have.
const PAGE: i32 = 100;

/// A mount target, with its security groups where they were asked for.
struct Listed {
    target: MountTargetDescription,
    security_groups: Option<Vec<String>>,
}

/// Of what mount targets are listed.
enum Of {
    FileSystem(String),
    Itself(String),
}

/// Reads DescribeMountTargets.
pub(super) struct MountTargets {
    targets: Table<Listed>,
}

impl MountTargets {
    pub(super) fn new() -> Self {
        Self { targets: targets() }
    }

    /// Reads the mount targets of one file system, or one of them.
    async fn read(
        &self,
        call: &Call<'_>,
        client: &Client,
        optional: Option<&Optional<'_>>,
        of: Of,
    ) -> Result<(), Unread> {
        let (system, target) = match of {
            Of::FileSystem(id) => (Some(id), None),
            Of::Itself(id) => (None, Some(id)),
        };
        let mut listing = call.listing("list the mount targets");
        while let Some(token) = listing.token() {
            let request = client.describe_mount_targets().max_items(PAGE).set_marker(token);
            let request = request.set_file_system_id(system.clone()).set_mount_target_id(target.clone());
            let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
            let Some((page, raw)) = listing.page_unless_gone(answer, |page| page.next_marker())? else { break };
            let targets = page.mount_targets.unwrap_or_default();
            let groups = security_groups(client, optional, &targets).await?;
            let targets = targets.into_iter().zip(groups);
            let targets: Vec<Listed> =
                targets.map(|(target, security_groups)| Listed { target, security_groups }).collect();
            call.give(&self.targets, &targets, raw.items("MountTargets")).await?;
        }
        Ok(())
    }
}

fn targets() -> Table<Listed> {
    Table::new(NAME, "Where file systems can be mounted.", |place, listed: &Listed| {
        let id = listed.target.mount_target_id();
        let system = listed.target.file_system_id();
        place.arn_of(
            listed.target.owner_id(),
            "elasticfilesystem",
            format_args!("file-system/{system}/mount-target/{id}"),
        )
    })
    .target("mount_target_id", "The id of the mount target.", |listed| Some(listed.target.mount_target_id()))
    .reference("file_system_id", "The file system.", ("aws_efs_file_system", "file_system_id"), |listed| {
        Some(listed.target.file_system_id())
    })
    .text("life_cycle_state", "`creating`, `available`, `updating`, `deleting`, `deleted` or `error`.", |listed| {
        Some(listed.target.life_cycle_state().as_str())
    })
    .text("owner_id", "The account that it belongs to.", |listed| listed.target.owner_id())
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |listed| listed.target.vpc_id())
    .reference("subnet_id", "Its subnet.", ("aws_vpc_subnet", "subnet_id"), |listed| Some(listed.target.subnet_id()))
    .reference("availability_zone_name", "Its zone.", ("aws_availability_zone", "name"), |listed| {
        listed.target.availability_zone_name()
    })
    .text("availability_zone_id", "The id of its zone, the same in all accounts.", |listed| {
        listed.target.availability_zone_id()
    })
    .text("ip_address", "Its address.", |listed| listed.target.ip_address())
    .text("ipv6_address", "Its IPv6 address.", |listed| listed.target.ipv6_address())
    .reference(
        "network_interface_id",
        "Its network interface.",
        ("aws_ec2_network_interface", "network_interface_id"),
        |listed| listed.target.network_interface_id(),
    )
    .known_texts(
        "security_groups",
        "Its security groups, sorted; NULL unless `hydrate` names this column.",
        |listed| listed.security_groups.clone(),
    )
}

/// The security groups of mount targets, where they are asked for.
async fn security_groups(
    client: &Client,
    optional: Option<&Optional<'_>>,
    targets: &[MountTargetDescription],
) -> Result<Vec<Option<Vec<String>>>, Unread> {
    let Some(optional) = optional else { return Ok(vec![None; targets.len()]) };
    let read = async |id: String| {
        let answer = client.describe_mount_target_security_groups().mount_target_id(id).send().await;
        let answer = answered("read the security groups of a mount target", unless_unknown(answer))?;
        Ok(answer.map(|answer| sorted(answer.security_groups().iter().map(|group| Some(group.as_str())))))
    };
    let ids = targets.iter().map(|target| target.mount_target_id().to_owned()).collect();
    optional.each(ids, read).await
}

#[async_trait]
impl Collector for MountTargets {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.targets]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["elasticfilesystem:DescribeFileSystems", "elasticfilesystem:DescribeMountTargets"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[SECURITY_GROUPS]
    }

    fn hydration_actions(&self, _name: &str) -> &'static [&'static str] {
        &["elasticfilesystem:DescribeMountTargetSecurityGroups"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let optional = call.hydrates(SECURITY_GROUPS).then(|| Optional::new(call.session));
        let read = |of| self.read(call, &client, optional.as_ref(), of);
        if let Some(ids) = call.ids(|id| is_id(id, "fsmt-")).filter(|ids| !ids.is_empty()) {
            let ids = ids.into_iter().map(Of::Itself).map(Ok);
            return stream::iter(ids).try_for_each_concurrent(CALLS, read).await;
        }
        let mut listing = file_systems(call);
        while let Some(token) = listing.token() {
            let Some((page, _)) = page(&client, &mut listing, token, None).await? else { break };
            if call.ids(|_| true).is_some() {
                // None of the targets can be one. Whether it may be asked is found out even so.
                break;
            }
            let ids = page.file_systems().iter().map(|system| system.file_system_id().to_owned());
            let ids = ids.map(Of::FileSystem).map(Ok);
            stream::iter(ids).try_for_each_concurrent(CALLS, read).await?;
        }
        Ok(())
    }
}
