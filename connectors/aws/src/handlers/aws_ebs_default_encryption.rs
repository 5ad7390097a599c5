//! `aws_ebs_default_encryption`: whether new volumes of a region are encrypted.

use async_trait::async_trait;
use serde_json::json;
use tidegate_pipeline::error::Error;
use tidegate_pipeline::handler::sink::{FieldDescription, field};
use tidegate_pipeline::handler::{Changes, Fields, Halt, HandlerContext, Reading};

use super::{AwsResource, Target, cannot_be_removed};
use crate::failure::failure;

#[derive(Debug, Clone, Copy)]
pub(super) struct DefaultEncryption;

#[async_trait]
impl AwsResource for DefaultEncryption {
    const NAME: &'static str = "aws_ebs_default_encryption";
    const SUMMARY: &'static str = "Enforces that new EBS volumes of a region are encrypted";
    const CLASS: &'static str = "EbsDefaultEncryption";
    const FIELDS: &'static [FieldDescription] = &[field("enabled", "whether new volumes are encrypted.")];

    async fn read(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<Reading, Halt> {
        let answer = at.ec2().get_ebs_encryption_by_default().send().await;
        let answer = answer.map_err(|error| failure("ask whether new volumes are encrypted", &error))?;
        let enabled = answer.ebs_encryption_by_default().unwrap_or(false);
        Ok(Reading::Found(Fields::from_iter([("enabled".to_owned(), json!(enabled))])))
    }

    async fn update(&self, context: &mut HandlerContext, at: Target<'_>, changes: &Changes) -> Result<(), Halt> {
        let Some(enabled) = changes.get("enabled") else { return Ok(()) };
        let region = &*at.session.place.region;
        match enabled.desired.as_bool() {
            Some(true) => {
                context.info("New volumes in %(region)s will be encrypted", &[("region", &region)]);
                let done = at.ec2().enable_ebs_encryption_by_default().send().await;
                done.map_err(|error| failure("have new volumes encrypted", &error))?;
            }
            Some(false) => {
                context.info("New volumes in %(region)s will not be encrypted", &[("region", &region)]);
                let done = at.ec2().disable_ebs_encryption_by_default().send().await;
                done.map_err(|error| failure("have new volumes not encrypted", &error))?;
            }
            None => {
                let message = format!("`enabled` of {} is true or false, not {}", at.resource.id, enabled.desired);
                return Err(Error::user(message).into());
            }
        }
        Ok(())
    }

    async fn delete(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        Err(cannot_be_removed(at))
    }
}
