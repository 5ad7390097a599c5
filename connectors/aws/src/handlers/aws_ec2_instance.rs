//! `aws_ec2_instance`: whether instances run, their metadata options and tags; terminated where they shall not be.

use async_trait::async_trait;
use aws_sdk_ec2::types::{HttpTokensState, Instance as AwsInstance, InstanceMetadataEndpointState, InstanceStateName};
use serde_json::{Value, json};
use tidegate_pipeline::error::Error;
use tidegate_pipeline::handler::sink::{FieldDescription, field};
use tidegate_pipeline::handler::{Changes, Fields, Halt, HandlerContext, Reading};

use super::{AwsResource, Target, is_missing, tags};
use crate::failure::failure;

/// The fields that are options of the instance metadata service.
const METADATA: [&str; 3] = ["http_tokens", "http_endpoint", "http_put_response_hop_limit"];

#[derive(Debug, Clone, Copy)]
pub(super) struct Instance;

impl Instance {
    async fn find(self, at: Target<'_>) -> Result<Option<AwsInstance>, Halt> {
        let answer = match at.ec2().describe_instances().instance_ids(at.aws_id()).send().await {
            Err(error) if is_missing(&error) => return Ok(None),
            answer => answer.map_err(|error| failure(&format!("describe {}", at.aws_id()), &error))?,
        };
        let instances = answer.reservations.unwrap_or_default().into_iter();
        let mut instances = instances.flat_map(|reservation| reservation.instances.unwrap_or_default());
        Ok(instances.next().filter(|instance| {
            let state = instance.state().and_then(|state| state.name());
            !matches!(state, Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated))
        }))
    }

    async fn set_state(self, context: &mut HandlerContext, at: Target<'_>, state: &Value) -> Result<(), Halt> {
        let (client, id) = (at.ec2(), at.aws_id());
        match state.as_str() {
            Some("running") => {
                context.info("Starting %(instance)s", &[("instance", &id)]);
                let done = client.start_instances().instance_ids(id).send().await;
                done.map_err(|error| failure(&format!("start {id}"), &error))?;
            }
            Some("stopped") => {
                context.info("Stopping %(instance)s", &[("instance", &id)]);
                let done = client.stop_instances().instance_ids(id).send().await;
                done.map_err(|error| failure(&format!("stop {id}"), &error))?;
            }
            _ => {
                let message = format!("`state` of {} is `running` or `stopped`, not {state}", at.resource.id);
                return Err(Error::user(message).into());
            }
        }
        Ok(())
    }

    async fn set_metadata(self, context: &mut HandlerContext, at: Target<'_>, changes: &Changes) -> Result<(), Halt> {
        let id = at.aws_id();
        let mut request = at.ec2().modify_instance_metadata_options().instance_id(id);
        let wrong =
            |name: &str, value: &Value| Error::user(format!("`{name}` of {} cannot be {value}", at.resource.id));
        for name in METADATA {
            let Some(change) = changes.get(name) else { continue };
            let text = change.desired.as_str().ok_or_else(|| wrong(name, &change.desired));
            request = match name {
                "http_tokens" => request.http_tokens(HttpTokensState::from(text?)),
                "http_endpoint" => request.http_endpoint(InstanceMetadataEndpointState::from(text?)),
                _ => {
                    let limit = change.desired.as_i64().and_then(|limit| i32::try_from(limit).ok());
                    request.http_put_response_hop_limit(limit.ok_or_else(|| wrong(name, &change.desired))?)
                }
            };
        }
        context.info("Changing the metadata options of %(instance)s", &[("instance", &id)]);
        let done = request.send().await;
        done.map_err(|error| failure(&format!("change the metadata options of {id}"), &error))?;
        Ok(())
    }
}

#[async_trait]
impl AwsResource for Instance {
    const NAME: &'static str = "aws_ec2_instance";
    const SUMMARY: &'static str = "Starts, stops and terminates EC2 instances; enforces metadata options and tags";
    const CLASS: &'static str = "Ec2Instance";
    const FIELDS: &'static [FieldDescription] = &[
        field("state", "`'running'` or `'stopped'`."),
        field("http_tokens", "`'required'` for version 2 of the metadata service only, or `'optional'`."),
        field("http_endpoint", "whether there is a metadata service: `'enabled'` or `'disabled'`."),
        field("http_put_response_hop_limit", "how many hops answers of the metadata service may take."),
        field("tags", "tags by name; null for one that shall not be there. Others are left alone."),
    ];

    async fn read(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<Reading, Halt> {
        let Some(instance) = self.find(at).await? else { return Ok(Reading::Purged) };
        let state = match instance.state().and_then(|state| state.name()) {
            // It is on its way there.
            Some(InstanceStateName::Pending) => "running",
            Some(InstanceStateName::Stopping) => "stopped",
            Some(state) => state.as_str(),
            None => "unknown",
        };
        let options = instance.metadata_options();
        Ok(Reading::Found(Fields::from_iter([
            ("state".to_owned(), json!(state)),
            ("http_tokens".to_owned(), json!(options.and_then(|of| of.http_tokens()).map(|of| of.as_str()))),
            ("http_endpoint".to_owned(), json!(options.and_then(|of| of.http_endpoint()).map(|of| of.as_str()))),
            ("http_put_response_hop_limit".to_owned(), json!(options.and_then(|of| of.http_put_response_hop_limit()))),
            ("tags".to_owned(), tags::named(at, instance.tags())?),
            ("type".to_owned(), json!(instance.instance_type().map(|of| of.as_str()))),
        ])))
    }

    async fn update(&self, context: &mut HandlerContext, at: Target<'_>, changes: &Changes) -> Result<(), Halt> {
        if METADATA.iter().any(|name| changes.get(name).is_some()) {
            self.set_metadata(context, at, changes).await?;
        }
        if changes.get("tags").is_some() {
            tags::enforce(context, at).await?;
        }
        match changes.get("state") {
            Some(state) => self.set_state(context, at, &state.desired).await,
            None => Ok(()),
        }
    }

    async fn delete(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let id = at.aws_id();
        context.info("Terminating %(instance)s", &[("instance", &id)]);
        match at.ec2().terminate_instances().instance_ids(id).send().await {
            Err(error) if is_missing(&error) => Ok(()),
            done => Ok(done.map(drop).map_err(|error| failure(&format!("terminate {id}"), &error))?),
        }
    }
}
