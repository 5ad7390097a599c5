//! `aws_ec2_launch_template`, from DescribeLaunchTemplates, with what the default version says.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{LaunchTemplate, LaunchTemplateVersion, ResponseLaunchTemplateData};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::request::{client, filters, tags};
use crate::estate::Session;
use crate::provider::{
    CALLS, Call, Collector, Declared, Named, Optional, Table, Unread, answered, sorted, unless_unknown,
};

/// How many templates, or versions, a page may have.
const PAGE: i32 = 200;
/// The name of whichever version is the default.
const DEFAULT: &str = "$Default";

/// A template, and its default version where it could be read.
struct Listed {
    template: LaunchTemplate,
    default: Option<ResponseLaunchTemplateData>,
}

/// Reads DescribeLaunchTemplates and DescribeLaunchTemplateVersions.
pub(super) struct LaunchTemplates {
    templates: Table<Listed>,
}

impl LaunchTemplates {
    pub(super) fn new() -> Self {
        Self { templates: access(default_version(templates())) }
    }
}

fn templates() -> Table<Listed> {
    Table::new("aws_ec2_launch_template", "Launch templates, with their default versions.", |place, listed: &Listed| {
        let id = listed.template.launch_template_id().unwrap_or_default();
        place.arn("ec2", format_args!("launch-template/{id}"))
    })
    .target("launch_template_id", "The id of the template.", |listed| listed.template.launch_template_id())
    .text("launch_template_name", "Its name.", |listed| listed.template.launch_template_name())
    .time("create_time", "When it was made.", |listed| listed.template.create_time())
    .text("created_by", "The ARN of who has made it.", |listed| listed.template.created_by())
    .integer("default_version_number", "The number of the default version.", |listed| {
        listed.template.default_version_number()
    })
    .integer("latest_version_number", "The number of the newest version.", |listed| {
        listed.template.latest_version_number()
    })
    .tags(|listed| tags(listed.template.tags()))
}

/// What instances are started with, by the default version.
fn default_version(table: Table<Listed>) -> Table<Listed> {
    table
        .reference("image_id", "The image of the default version.", ("aws_ec2_ami", "image_id"), |listed| {
            listed.default.as_ref()?.image_id()
        })
        .reference(
            "instance_type",
            "The type of the default version.",
            ("aws_ec2_instance_type", "instance_type"),
            |listed| Some(listed.default.as_ref()?.instance_type()?.as_str()),
        )
        .reference("key_name", "The key pair of the default version.", ("aws_ec2_key_pair", "key_name"), |listed| {
            listed.default.as_ref()?.key_name()
        })
        .text("iam_instance_profile_arn", "The instance profile of the default version.", |listed| {
            listed.default.as_ref()?.iam_instance_profile()?.arn()
        })
        .text("iam_instance_profile_name", "The same, where it is given by its name.", |listed| {
            listed.default.as_ref()?.iam_instance_profile()?.name()
        })
        .boolean("ebs_optimized", "Whether the default version optimises for EBS.", |listed| {
            listed.default.as_ref()?.ebs_optimized()
        })
        .boolean("monitoring_enabled", "Whether the default version turns detailed monitoring on.", |listed| {
            listed.default.as_ref()?.monitoring()?.enabled()
        })
        .boolean("disable_api_termination", "Whether the default version protects from termination.", |listed| {
            listed.default.as_ref()?.disable_api_termination()
        })
}

/// Who reaches what is started, by the default version.
fn access(table: Table<Listed>) -> Table<Listed> {
    table
        .text(
            "metadata_http_tokens",
            "`required` (IMDSv2 only) or `optional` in the default version; NULL where it says nothing.",
            |listed| Some(listed.default.as_ref()?.metadata_options()?.http_tokens()?.as_str()),
        )
        .text("metadata_http_endpoint", "`enabled` or `disabled` in the default version.", |listed| {
            Some(listed.default.as_ref()?.metadata_options()?.http_endpoint()?.as_str())
        })
        .integer(
            "metadata_http_put_response_hop_limit",
            "How far answers of the metadata service may travel, by the default version.",
            |listed| listed.default.as_ref()?.metadata_options()?.http_put_response_hop_limit(),
        )
        .boolean(
            "associate_public_ip_address",
            "Whether an interface of the default version gets a public address; NULL where none says it.",
            |listed| {
                let interfaces = listed.default.as_ref()?.network_interfaces();
                let said = interfaces.iter().filter_map(|interface| interface.associate_public_ip_address());
                said.reduce(|one, other| one || other)
            },
        )
        .texts("security_group_ids", "The security groups of the default version, sorted.", |listed| {
            let Some(default) = &listed.default else { return Vec::new() };
            let interfaces = default.network_interfaces().iter().flat_map(|interface| interface.groups());
            let mut groups = sorted(default.security_group_ids().iter().chain(interfaces).map(|id| Some(id.as_str())));
            groups.dedup();
            groups
        })
}

/// What is known of default versions.
struct Versions<'a> {
    client: Client,
    optional: Optional<'a>,
    /// By template. AWS keeps 5000 templates in a region at most.
    known: BTreeMap<String, ResponseLaunchTemplateData>,
}

impl<'a> Versions<'a> {
    fn new(session: &'a Session) -> Self {
        Self { client: client(session), optional: Optional::new(session), known: BTreeMap::new() }
    }

    /// Reads those of all templates.
    async fn read_all(&mut self, call: &Call<'_>) -> Result<(), Unread> {
        let mut listing = call.listing("list the default versions of launch templates");
        while let Some(token) = listing.token() {
            let request = self.client.describe_launch_template_versions().versions(DEFAULT);
            let answer = request.max_results(PAGE).set_next_token(token).send().await;
            let Some((page, _)) = self.optional.take(listing.page(answer, |page| page.next_token()))? else { break };
            self.known.extend(page.launch_template_versions.unwrap_or_default().into_iter().filter_map(kept));
        }
        Ok(())
    }

    /// That of one template: known, or asked for. What stands in for AWS elsewhere does not list those of all.
    async fn of(&self, id: &str) -> Result<Option<ResponseLaunchTemplateData>, Unread> {
        if let Some(known) = self.known.get(id) {
            return Ok(Some(known.clone()));
        }
        if self.optional.is_refused() {
            return Ok(None);
        }
        let request = self.client.describe_launch_template_versions().launch_template_id(id).versions(DEFAULT);
        let answer = answered("read the default version of a launch template", unless_unknown(request.send().await));
        let versions = self.optional.take(answer)?.flatten().and_then(|answer| answer.launch_template_versions);
        Ok(versions.into_iter().flatten().find_map(kept).map(|(_, data)| data))
    }

    async fn listed(&self, templates: Vec<LaunchTemplate>) -> Result<Vec<Listed>, Unread> {
        let with_version = |template: LaunchTemplate| async move {
            let default = self.of(template.launch_template_id().unwrap_or_default()).await?;
            Ok::<_, Unread>(Listed { template, default })
        };
        stream::iter(templates).map(with_version).buffered(CALLS).try_collect().await
    }
}

/// What is kept of a version, and its template.
fn kept(version: LaunchTemplateVersion) -> Option<(String, ResponseLaunchTemplateData)> {
    let mut data = version.launch_template_data?;
    data.user_data = None;
    Some((version.launch_template_id?, data))
}

impl LaunchTemplates {
    async fn collect_all(&self, call: &Call<'_>) -> Result<(), Unread> {
        let mut versions = Versions::new(call.session);
        versions.read_all(call).await?;
        let mut listing = call.listing("list the launch templates");
        while let Some(token) = listing.token() {
            let request = versions.client.describe_launch_templates().set_filters(filters(call, "", None));
            let request = request.max_results(PAGE).set_next_token(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| page.next_token())?;
            let listed = versions.listed(page.launch_templates.unwrap_or_default()).await?;
            call.give(&self.templates, &listed, raw.items("launchTemplates")).await?;
        }
        Ok(())
    }

    /// Reads the templates of these ids: there is no filter for them.
    async fn collect_named(&self, call: &Call<'_>, ids: Vec<String>) -> Result<(), Unread> {
        let versions = Versions::new(call.session);
        let mut named = Named::new(ids);
        while let Some(ids) = named.next() {
            let mut listing = call.listing("read launch templates");
            let request = versions.client.describe_launch_templates().set_launch_template_ids(Some(ids.clone()));
            let request = request.set_filters(filters(call, "", None)).customize().interceptor(listing.capture());
            let answer = match unless_unknown(request.send().await) {
                Ok(None) => {
                    named.refused(ids);
                    continue;
                }
                Ok(Some(answer)) => Ok(answer),
                Err(error) => Err(error),
            };
            let (page, raw) = listing.page(answer, |_| None)?;
            let listed = versions.listed(page.launch_templates.unwrap_or_default()).await?;
            call.give(&self.templates, &listed, raw.items("launchTemplates")).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Collector for LaunchTemplates {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.templates]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplates"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        for part in call.parts() {
            match part {
                None => self.collect_all(call).await?,
                Some(ids) => self.collect_named(call, ids).await?,
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

    const UNKNOWN: &str =
        "<Response><Errors><Error><Code>InvalidLaunchTemplateId.NotFound</Code></Error></Errors></Response>";

    fn version(id: &str, data: &str) -> String {
        format!("<item><launchTemplateId>{id}</launchTemplateId><launchTemplateData>{data}</launchTemplateData></item>")
    }

    fn versions(asked: &Asked) -> String {
        let one = "<metadataOptions><httpTokens>optional</httpTokens></metadataOptions>\
                   <securityGroupIdSet><item>sg-2</item><item>sg-1</item></securityGroupIdSet>\
                   <networkInterfaceSet><item><associatePublicIpAddress>true</associatePublicIpAddress></item>\
                   <item><groupSet><groupId>sg-1</groupId></groupSet></item></networkInterfaceSet>";
        match asked.value("LaunchTemplateId") {
            // All default versions, but for that of a template that has just come.
            "" => version("lt-1", one),
            "lt-1" => version("lt-1", one),
            id => version(id, "<imageId>ami-1</imageId>"),
        }
    }

    fn answer(asked: &Asked) -> (u16, String) {
        if asked.value("Action") == "DescribeLaunchTemplateVersions" {
            assert_eq!(asked.value("LaunchTemplateVersion.1"), "$Default");
            let set = format!("<launchTemplateVersionSet>{}</launchTemplateVersionSet>", versions(asked));
            let name = "DescribeLaunchTemplateVersionsResponse";
            return (200, format!("<{name}>{set}</{name}>"));
        }
        let ids: Vec<&str> =
            (1..=200).map(|n| asked.value(&format!("LaunchTemplateId.{n}"))).filter(|id| !id.is_empty()).collect();
        if ids.iter().any(|id| !["lt-1", "lt-2"].contains(id)) {
            return (400, UNKNOWN.to_owned());
        }
        let listed = if ids.is_empty() { vec!["lt-1", "lt-2"] } else { ids };
        let items: String =
            listed.iter().map(|id| format!("<item><launchTemplateId>{id}</launchTemplateId></item>")).collect();
        (
            200,
            format!(
                "<DescribeLaunchTemplatesResponse><launchTemplates>{items}</launchTemplates></DescribeLaunchTemplatesResponse>"
            ),
        )
    }

    #[tokio::test]
    async fn a_template_says_what_its_default_version_says() {
        let server = StandIn::new(answer).await;
        let (rows, outcome) = server.collect(&LaunchTemplates::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let rows = &rows["aws_ec2_launch_template"];
        assert_eq!(rows[0]["metadata_http_tokens"], "optional");
        assert_eq!(rows[0]["security_group_ids"], json!(["sg-1", "sg-2"]));
        assert_eq!(rows[0]["associate_public_ip_address"], true);
        assert_eq!((&rows[1]["image_id"], rows[1].get("associate_public_ip_address")), (&json!("ami-1"), None));
        let asked = server.asked();
        assert_eq!(asked.iter().filter(|asked| asked.value("Action") == "DescribeLaunchTemplateVersions").count(), 2);
    }

    #[tokio::test]
    async fn templates_that_are_gone_do_not_hide_those_that_are_there() {
        let server = StandIn::new(answer).await;
        let ids = ["lt-0", "lt-1", "lt-8", "lt-2", "lt-9"].map(Into::into).to_vec();
        let (rows, outcome) = server.collect(&LaunchTemplates::new(), "eu-west-1", Extent::Targets(ids)).await;
        outcome.unwrap();
        assert_eq!(rows["aws_ec2_launch_template"].len(), 2);
    }
}
