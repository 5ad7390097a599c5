//! `aws_ec2_target_group`, from DescribeTargetGroups, and `aws_ec2_target_group_target`: a call for each group, from
//! DescribeTargetHealth.

use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::operation::describe_target_groups::DescribeTargetGroupsOutput;
use aws_sdk_elasticloadbalancingv2::types::{TargetGroup, TargetHealthDescription};
use futures::future::try_join_all;
use serde_json::Value;

use super::request::{NAMES, PAGE, client, is_arn, tags};
use crate::provider::{
    CALLS, Call, Collector, Declared, Listing, Named, Optional, Raw, Table, Unread, sorted, unless_unknown,
};

const NAME: &str = "aws_ec2_target_group";
/// The table, as options name it: all of it is read only where they do.
pub(super) const TARGETS: &str = "aws_ec2_target_group_target";

/// A group, with its tags.
struct Listed {
    group: TargetGroup,
    tags: Option<Vec<(String, String)>>,
}

/// A target, with the group that it is in, and what sends to that.
struct Target {
    group: String,
    balancer: Option<String>,
    health: TargetHealthDescription,
}

/// Reads DescribeTargetGroups and DescribeTargetHealth.
pub(super) struct TargetGroups {
    groups: Table<Listed>,
    targets: Table<Target>,
}

impl TargetGroups {
    pub(super) fn new() -> Self {
        Self { groups: checked(groups()), targets: targets() }
    }
}

fn groups() -> Table<Listed> {
    Table::new(NAME, "What load balancers of the second generation send to.", |_, listed: &Listed| {
        listed.group.target_group_arn().unwrap_or_default().to_owned()
    })
    .target("target_group_arn", "The ARN of the group.", |listed| listed.group.target_group_arn())
    .text("target_group_name", "Its name.", |listed| listed.group.target_group_name())
    .text("target_type", "`instance`, `ip`, `lambda` or `alb`.", |listed| Some(listed.group.target_type()?.as_str()))
    .texts("load_balancer_arns", "The load balancers that send to it, sorted.", |listed| {
        sorted(listed.group.load_balancer_arns().iter().map(|arn| Some(arn.as_str())))
    })
    .text("protocol", "`HTTP`, `HTTPS`, `TCP`, `TLS`, `UDP`, `TCP_UDP`, `GENEVE`, …", |listed| {
        Some(listed.group.protocol()?.as_str())
    })
    .text("protocol_version", "`HTTP1`, `HTTP2` or `GRPC`.", |listed| listed.group.protocol_version())
    .integer("port", "The port that targets are reached by.", |listed| listed.group.port())
    .text("ip_address_type", "`ipv4` or `ipv6`.", |listed| Some(listed.group.ip_address_type()?.as_str()))
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |listed| listed.group.vpc_id())
    .known_tags(|listed| listed.tags.clone())
}

/// How the health of targets is checked.
fn checked(table: Table<Listed>) -> Table<Listed> {
    table
        .boolean("health_check_enabled", "Whether targets are checked.", |listed| listed.group.health_check_enabled())
        .text("health_check_protocol", "How they are checked.", |listed| {
            Some(listed.group.health_check_protocol()?.as_str())
        })
        .text("health_check_port", "By which port, or `traffic-port`.", |listed| listed.group.health_check_port())
        .text("health_check_path", "By which path.", |listed| listed.group.health_check_path())
        .integer("health_check_interval_seconds", "Every how many seconds.", |listed| {
            listed.group.health_check_interval_seconds()
        })
        .integer("health_check_timeout_seconds", "How many seconds an answer may take.", |listed| {
            listed.group.health_check_timeout_seconds()
        })
        .integer("healthy_threshold_count", "After how many good answers a target is healthy.", |listed| {
            listed.group.healthy_threshold_count()
        })
        .integer("unhealthy_threshold_count", "After how many bad answers it is not.", |listed| {
            listed.group.unhealthy_threshold_count()
        })
        .text("matcher_http_code", "Which codes of HTTP are good answers.", |listed| {
            listed.group.matcher()?.http_code()
        })
        .text("matcher_grpc_code", "Which codes of gRPC are good answers.", |listed| {
            listed.group.matcher()?.grpc_code()
        })
}

fn targets() -> Table<Target> {
    let description = "The targets of target groups, with their health; read only where `hydrate` names this table.";
    Table::new(TARGETS, description, |_, target: &Target| {
        let described = target.health.target();
        let id = described.and_then(|target| target.id()).unwrap_or_default();
        let port = described.and_then(|target| target.port()).unwrap_or_default();
        format!("{}/target/{id}:{port}", target.group)
    })
    .target("target_group_arn", "The group.", |target| Some(&target.group))
    .key("target_id", "The instance, address, or ARN of the function or load balancer.", |target| {
        target.health.target()?.id()
    })
    .integer("port", "The port that it is reached by; 0 for functions.", |target| {
        Some(target.health.target()?.port().unwrap_or_default())
    })
    .identified_by("port")
    .text("load_balancer_arn", "The load balancer that sends to it.", |target| target.balancer.as_deref())
    .text("availability_zone", "Its zone, or `all`; only addresses.", |target| {
        target.health.target()?.availability_zone()
    })
    .text("state", "`healthy`, `unhealthy`, `initial`, `draining`, `unused`, `unavailable`, …", |target| {
        Some(target.health.target_health()?.state()?.as_str())
    })
    .text("reason", "Why it is not healthy, as a code.", |target| {
        Some(target.health.target_health()?.reason()?.as_str())
    })
    .text("description", "Why it is not healthy.", |target| target.health.target_health()?.description())
    .text("health_check_port", "The port that it is checked by.", |target| target.health.health_check_port())
}

/// A page of groups: of all, or of those that are named; nothing where one of them is gone.
async fn page(
    client: &Client,
    listing: &mut Listing,
    token: Option<String>,
    arns: Option<Vec<String>>,
) -> Result<Option<(DescribeTargetGroupsOutput, Raw)>, Unread> {
    // Whoever names groups gets all of them at once.
    let size = arns.is_none().then_some(PAGE);
    let request = client.describe_target_groups().set_marker(token).set_page_size(size).set_target_group_arns(arns);
    let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
    listing.page_unless_gone(answer, |page| page.next_marker())
}

/// The targets of a group, and what AWS wrote of them; nothing where the group is gone.
async fn targets_of(call: &Call<'_>, client: &Client, group: TargetGroup) -> Result<Vec<(Target, Value)>, Unread> {
    let arn = group.target_group_arn.unwrap_or_default();
    let balancer = group.load_balancer_arns.unwrap_or_default().into_iter().min();
    let mut listing = call.listing("read the health of targets");
    let request = client.describe_target_health().target_group_arn(&arn);
    let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
    let Some((page, raw)) = listing.page_unless_gone(answer, |_| None)? else { return Ok(Vec::new()) };
    let raws = raw.items("DescribeTargetHealthResult/TargetHealthDescriptions").into_iter().cloned();
    let raws = raws.chain(std::iter::repeat(Value::Null));
    let targets = page.target_health_descriptions.unwrap_or_default().into_iter();
    let target = |health| Target { group: arn.clone(), balancer: balancer.clone(), health };
    Ok(targets.map(target).zip(raws).collect())
}

impl TargetGroups {
    /// Gives a page of groups, with their tags, and their targets where the options name those.
    async fn give(
        &self,
        call: &Call<'_>,
        client: &Client,
        optional: &Optional<'_>,
        (page, raw): (DescribeTargetGroupsOutput, Raw),
    ) -> Result<(), Unread> {
        let groups = page.target_groups.unwrap_or_default();
        if call.hydrates(TARGETS) && call.wants(&self.targets) {
            for groups in groups.chunks(CALLS) {
                let read = groups.iter().map(|group| targets_of(call, client, group.clone()));
                let read = try_join_all(read).await?;
                let (targets, raws): (Vec<Target>, Vec<Value>) = read.into_iter().flatten().unzip();
                call.give(&self.targets, &targets, raws).await?;
            }
        }
        if call.wants(&self.groups) {
            let arns = groups.iter().filter_map(|group| group.target_group_arn().map(str::to_owned));
            let mut tags = tags(client, optional, arns).await?;
            let listed = groups.into_iter().map(|group| {
                let tags = group.target_group_arn().and_then(|arn| tags.remove(arn));
                Listed { group, tags }
            });
            let listed: Vec<Listed> = listed.collect();
            call.give(&self.groups, &listed, raw.items("DescribeTargetGroupsResult/TargetGroups")).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Collector for TargetGroups {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.groups, &self.targets]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeTargetGroups"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[TARGETS]
    }

    fn hydration_actions(&self, _name: &str) -> &'static [&'static str] {
        &["elasticloadbalancing:DescribeTargetHealth"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let (client, optional) = (client(call.session), Optional::new(call.session));
        let targets = call.ids(|id| is_arn(id, "targetgroup"));
        let begun = || call.listing("list the target groups");
        for arns in targets.iter().flat_map(|arns| arns.chunks(NAMES)) {
            let mut named = Named::new(arns.to_vec());
            while let Some(arns) = named.next() {
                match page(&client, &mut begun(), None, Some(arns.clone())).await? {
                    Some(found) => self.give(call, &client, &optional, found).await?,
                    None => named.refused(arns),
                }
            }
        }
        if targets.as_ref().is_some_and(|arns| !arns.is_empty()) {
            return Ok(());
        }
        let mut listing = begun();
        while let Some(token) = listing.token() {
            let Some(found) = page(&client, &mut listing, token, None).await? else { break };
            if targets.is_some() {
                // None of the targets can be one. Whether it may be asked is found out even so.
                break;
            }
            self.give(call, &client, &optional, found).await?;
        }
        Ok(())
    }
}
