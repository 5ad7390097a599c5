//! `aws_ssm_managed_instance`, from DescribeInstanceInformation of Systems Manager.

use async_trait::async_trait;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{InstanceInformation, InstanceInformationStringFilter};
use tidegate_pipeline::error::Error;

use crate::estate::Session;
use crate::provider::{Call, Collector, Declared, Named, NoPages, Table, Unread, WholeAnswers, unless_unknown};

/// How many instances a page may have.
const PAGE: i32 = 50;
/// How many values a filter takes.
const FILTER_VALUES: usize = 100;
/// The id of an instance that does not exist: Systems Manager takes nothing but what looks like one.
const NOTHING: &str = "i-00000000000000000";

/// Reads DescribeInstanceInformation.
pub(super) struct ManagedInstances {
    instances: Table<InstanceInformation>,
}

impl ManagedInstances {
    pub(super) fn new() -> Self {
        Self { instances: agent(instances()) }
    }
}

fn instances() -> Table<InstanceInformation> {
    let description = "The machines that Systems Manager manages.";
    Table::new("aws_ssm_managed_instance", description, |place, instance: &InstanceInformation| {
        let id = instance.instance_id().unwrap_or_default();
        match id.starts_with("mi-") {
            true => place.arn("ssm", format_args!("managed-instance/{id}")),
            false => place.arn("ec2", format_args!("instance/{id}")),
        }
    })
    .target("instance_id", "The instance, or `mi-…` for a machine elsewhere.", |instance| instance.instance_id())
    .text("resource_type", "`EC2Instance` or `ManagedInstance`.", |instance| Some(instance.resource_type()?.as_str()))
    .text("name", "The name that the machine was registered with.", |instance| instance.name())
    .text("computer_name", "The name that it has itself.", |instance| instance.computer_name())
    .text("ip_address", "Its address.", |instance| instance.ip_address())
    .text("platform_type", "`Windows`, `Linux` or `MacOS`.", |instance| Some(instance.platform_type()?.as_str()))
    .text("platform_name", "The operating system.", |instance| instance.platform_name())
    .text("platform_version", "Its version.", |instance| instance.platform_version())
    .text("source_id", "The id of the resource that it is.", |instance| instance.source_id())
    .text("source_type", "`AWS::EC2::Instance`, `AWS::SSM::ManagedInstance` or `AWS::IoT::Thing`.", |instance| {
        Some(instance.source_type()?.as_str())
    })
    // When the agent was last heard of changes every few minutes.
    .without(["LastPingDateTime", "LastAssociationExecutionDate", "LastSuccessfulAssociationExecutionDate"])
}

/// What runs there.
fn agent(table: Table<InstanceInformation>) -> Table<InstanceInformation> {
    table
        .text("ping_status", "`Online`, `ConnectionLost` or `Inactive`.", |instance| {
            Some(instance.ping_status()?.as_str())
        })
        .text("agent_version", "The version of the agent.", |instance| instance.agent_version())
        .boolean("is_latest_version", "Whether that is the newest; only on Linux.", |instance| {
            instance.is_latest_version()
        })
        .text("activation_id", "The activation that it was registered with.", |instance| instance.activation_id())
        .text("iam_role", "The role that it has.", |instance| instance.iam_role())
        .time("registration_date", "When it was registered.", |instance| instance.registration_date())
        .text("association_status", "How its associations went: `Success`, `Failed`, …", |instance| {
            instance.association_status()
        })
}

fn client(session: &Session) -> Client {
    let config = aws_sdk_ssm::config::Builder::from(session.config()).retry_partition(session.limits("ssm"));
    Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

fn filter(name: &str, values: Vec<String>) -> Result<InstanceInformationStringFilter, Unread> {
    let filter = InstanceInformationStringFilter::builder().key(name).set_values(Some(values)).build();
    filter.map_err(|error| Error::internal(format!("the filter `{name}`: {error}")).into())
}

/// The filters of a request.
fn filters(call: &Call<'_>, ids: Option<&[String]>) -> Result<Option<Vec<InstanceInformationStringFilter>>, Unread> {
    let wanted = call.filters.iter().map(|(name, values)| filter(name, values.clone()));
    let filters = wanted.chain(ids.map(|ids| filter("InstanceIds", ids.to_vec()))).collect::<Result<Vec<_>, _>>()?;
    Ok((!filters.is_empty()).then_some(filters))
}

/// Those ids that Systems Manager takes for ids.
fn well_formed(ids: Vec<String>) -> Vec<String> {
    let is_id = |id: &String| match id.split_once('-') {
        Some(("i" | "mi", digits)) => {
            matches!(digits.len(), 8 | 17) && digits.bytes().all(|digit| digit.is_ascii_alphanumeric())
        }
        _ => false,
    };
    let ids: Vec<String> = ids.into_iter().filter(is_id).collect();
    // Whether it may be asked is found out even so.
    if ids.is_empty() { vec![NOTHING.to_owned()] } else { ids }
}

impl ManagedInstances {
    /// Reads all pages; whether AWS knew all ids.
    async fn read(&self, call: &Call<'_>, client: &Client, ids: Option<&[String]>) -> Result<bool, Unread> {
        let filters = filters(call, ids)?;
        let mut listing = call.listing("list the machines that Systems Manager manages");
        while let Some(token) = listing.token() {
            let request = client.describe_instance_information().set_filters(filters.clone());
            let request = request.max_results(PAGE).set_next_token(token);
            let answer = match unless_unknown(request.customize().interceptor(listing.capture()).send().await) {
                Ok(None) if ids.is_some() => return Ok(false),
                Ok(None) => break,
                Ok(Some(answer)) => Ok(answer),
                Err(error) => Err(error),
            };
            let (page, raw) = listing.page(answer, |page| page.next_token())?;
            let instances = page.instance_information_list();
            call.give(&self.instances, instances, raw.items("InstanceInformationList")).await?;
        }
        Ok(true)
    }
}

#[async_trait]
impl Collector for ManagedInstances {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.instances]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ssm:DescribeInstanceInformation"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let Some(ids) = part else {
                self.read(call, &client, None).await?;
                continue;
            };
            for ids in well_formed(ids).chunks(FILTER_VALUES) {
                let mut named = Named::new(ids.to_vec());
                while let Some(ids) = named.next() {
                    if !self.read(call, &client, Some(&ids)).await? {
                        named.refused(ids);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidegate_pipeline::provider::Extent;

    use super::*;
    use crate::testing::{Asked, StandIn};

    const KNOWN: [&str; 2] = ["i-0000000a", "mi-0123456789abcdef0"];

    fn answer(asked: &Asked) -> (u16, String) {
        assert_eq!(asked.operation.as_deref(), Some("AmazonSSM.DescribeInstanceInformation"));
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let instance = |id: &str| json!({"InstanceId": id, "PingStatus": "Online", "LastPingDateTime": 1.767e9});
        let answer = match body["Filters"][0]["Values"].as_array() {
            None if body.get("NextToken").is_none() => {
                json!({"InstanceInformationList": [instance(KNOWN[0])], "NextToken": "2"})
            }
            None => json!({"InstanceInformationList": [instance(KNOWN[1])]}),
            Some(ids) if ids.iter().all(|id| KNOWN.contains(&id.as_str().unwrap())) => {
                json!({"InstanceInformationList": ids.iter().map(|id| instance(id.as_str().unwrap())).collect::<Vec<_>>()})
            }
            Some(_) => return (400, json!({"__type": "InvalidInstanceId"}).to_string()),
        };
        (200, answer.to_string())
    }

    #[tokio::test]
    async fn machines_are_listed_without_when_they_were_last_heard_of() {
        let server = StandIn::new(answer).await;
        let (rows, outcome) = server.collect(&ManagedInstances::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        let rows = &rows["aws_ssm_managed_instance"];
        assert_eq!(rows[0]["arn"], "arn:aws:ec2:eu-west-1:123456789012:instance/i-0000000a");
        assert_eq!(rows[1]["arn"], "arn:aws:ssm:eu-west-1:123456789012:managed-instance/mi-0123456789abcdef0");
        let raw = rows[0]["raw"].as_str().unwrap();
        assert!(raw.contains("Online") && !raw.contains("LastPingDateTime"), "{raw}");
    }

    #[tokio::test]
    async fn targets_that_are_unknown_or_no_ids_do_not_hide_those_that_are_there() {
        let server = StandIn::new(answer).await;
        let ids = ["i-0000000b", KNOWN[0], "vol-1", KNOWN[1], "i-0000000c"].map(Into::into).to_vec();
        let (rows, outcome) = server.collect(&ManagedInstances::new(), "eu-west-1", Extent::Targets(ids)).await;
        outcome.unwrap();
        assert_eq!(rows["aws_ssm_managed_instance"].len(), 2);
        let nothing = Extent::Targets(vec!["vol-1".into()]);
        let (rows, outcome) = server.collect(&ManagedInstances::new(), "eu-west-1", nothing).await;
        outcome.unwrap();
        assert!(rows.is_empty());
    }
}
