//! `aws_eip`: Elastic IP addresses, released where they shall not be.

use async_trait::async_trait;
use serde_json::json;
use tidegate_pipeline::error::Error;
use tidegate_pipeline::handler::sink::{FieldDescription, field};
use tidegate_pipeline::handler::{Changes, Fields, Halt, HandlerContext, Reading};

use super::{AwsResource, Target, is_missing, tags};
use crate::failure::failure;

#[derive(Debug, Clone, Copy)]
pub(super) struct ElasticIp;

#[async_trait]
impl AwsResource for ElasticIp {
    const NAME: &'static str = "aws_eip";
    const SUMMARY: &'static str = "Releases Elastic IP addresses that nothing uses; enforces their tags";
    const CLASS: &'static str = "ElasticIp";
    const FIELDS: &'static [FieldDescription] =
        &[field("tags", "tags by name; null for one that shall not be there. Others are left alone.")];

    async fn read(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<Reading, Halt> {
        let id = at.aws_id();
        let listed = match at.ec2().describe_addresses().allocation_ids(id).send().await {
            Err(error) if is_missing(&error) => return Ok(Reading::Purged),
            answer => answer.map_err(|error| failure(&format!("describe {id}"), &error))?,
        };
        let Some(address) = listed.addresses().first() else { return Ok(Reading::Purged) };
        Ok(Reading::Found(Fields::from_iter([
            ("public_ip".to_owned(), json!(address.public_ip())),
            ("association".to_owned(), json!(address.association_id())),
            ("tags".to_owned(), tags::named(at, address.tags())?),
        ])))
    }

    async fn update(&self, context: &mut HandlerContext, at: Target<'_>, _changes: &Changes) -> Result<(), Halt> {
        tags::enforce(context, at).await
    }

    async fn delete(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let id = at.aws_id();
        // Where AWS lets an address be released that is in use, whoever uses it loses it.
        if let Reading::Found(fields) = self.read(context, at).await?
            && let Some(association) = fields.get("association").and_then(|value| value.as_str())
            && !association.is_empty()
        {
            let message = format!("{id} is in use ({association})");
            return Err(Error::user(message).with_remedy("end its association first").into());
        }
        context.info("Releasing %(address)s", &[("address", &id)]);
        match at.ec2().release_address().allocation_id(id).send().await {
            Err(error) if is_missing(&error) => Ok(()),
            done => Ok(done.map(drop).map_err(|error| failure(&format!("release {id}"), &error))?),
        }
    }
}
