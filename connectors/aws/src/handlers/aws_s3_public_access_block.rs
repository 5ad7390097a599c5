//! `aws_s3_public_access_block`: what keeps a bucket from being public.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::PublicAccessBlockConfiguration;
use serde_json::{Value, json};
use tidegate_pipeline::handler::sink::{FieldDescription, field};
use tidegate_pipeline::handler::{Changes, Fields, Halt, HandlerContext, Reading};

use super::{AwsResource, Target, is_missing};
use crate::failure::failure;

const BLOCKS: [&str; 4] = ["block_public_acls", "ignore_public_acls", "block_public_policy", "restrict_public_buckets"];

#[derive(Debug, Clone, Copy)]
pub(super) struct PublicAccessBlock;

impl PublicAccessBlock {
    /// The blocks of a bucket; `None` where nothing is set.
    async fn find(self, at: Target<'_>) -> Result<Option<PublicAccessBlockConfiguration>, Halt> {
        match client(at).get_public_access_block().bucket(at.aws_id()).send().await {
            Err(error) if is_not_set(&error) => Ok(None),
            answer => {
                let what = format!("ask what keeps the bucket {} from being public", at.aws_id());
                let answer = answer.map_err(|error| failure(&what, &error))?;
                Ok(answer.public_access_block_configuration)
            }
        }
    }

    /// Sets the blocks that are wanted; others stay.
    async fn put(self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let now = shown(self.find(at).await?.as_ref());
        let wanted = |name: &str| at.resource.field(name).as_bool().or_else(|| now.get(name).and_then(Value::as_bool));
        let blocks = PublicAccessBlockConfiguration::builder()
            .set_block_public_acls(wanted("block_public_acls"))
            .set_ignore_public_acls(wanted("ignore_public_acls"))
            .set_block_public_policy(wanted("block_public_policy"))
            .set_restrict_public_buckets(wanted("restrict_public_buckets"))
            .build();
        let bucket = at.aws_id();
        context.info("Setting what keeps %(bucket)s from being public", &[("bucket", &bucket)]);
        let done = client(at).put_public_access_block().bucket(bucket).public_access_block_configuration(blocks);
        let done = done.send().await;
        done.map_err(|error| failure(&format!("set what keeps the bucket {bucket} from being public"), &error))?;
        Ok(())
    }
}

fn client(at: Target<'_>) -> Client {
    let config = aws_sdk_s3::config::Builder::from(at.session.config());
    Client::from_conf(config.force_path_style(at.session.has_own_endpoint()).build())
}

/// Whether nothing is set; a bucket that is not there is something else.
fn is_not_set<E: aws_sdk_s3::error::ProvideErrorMetadata>(error: &aws_sdk_s3::error::SdkError<E>) -> bool {
    let code = error.as_service_error().and_then(|answer| answer.code()).unwrap_or_default();
    is_missing(error) && code != "NoSuchBucket"
}

fn shown(blocks: Option<&PublicAccessBlockConfiguration>) -> Fields {
    let of = |name: &str| match (name, blocks) {
        (_, None) => Some(false),
        ("block_public_acls", Some(blocks)) => blocks.block_public_acls(),
        ("ignore_public_acls", Some(blocks)) => blocks.ignore_public_acls(),
        ("block_public_policy", Some(blocks)) => blocks.block_public_policy(),
        (_, Some(blocks)) => blocks.restrict_public_buckets(),
    };
    BLOCKS.into_iter().map(|name| (name.to_owned(), json!(of(name).unwrap_or(false)))).collect()
}

#[async_trait]
impl AwsResource for PublicAccessBlock {
    const NAME: &'static str = "aws_s3_public_access_block";
    const SUMMARY: &'static str = "Enforces the settings that keep an S3 bucket from being public";
    const CLASS: &'static str = "S3PublicAccessBlock";
    const FIELDS: &'static [FieldDescription] = &[
        field("block_public_acls", "whether public ACLs are refused."),
        field("ignore_public_acls", "whether public ACLs count for nothing."),
        field("block_public_policy", "whether public policies are refused."),
        field("restrict_public_buckets", "whether public policies count for nothing outside the account."),
    ];

    async fn read(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<Reading, Halt> {
        let found = self.find(at).await?;
        // What is not set lets everything be: that is how it is, unless it shall not be set.
        match found {
            None if at.resource.purged => Ok(Reading::Purged),
            found => Ok(Reading::Found(shown(found.as_ref()))),
        }
    }

    async fn update(&self, context: &mut HandlerContext, at: Target<'_>, _changes: &Changes) -> Result<(), Halt> {
        self.put(context, at).await
    }

    async fn delete(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let bucket = at.aws_id();
        context.info("Removing what keeps %(bucket)s from being public", &[("bucket", &bucket)]);
        let done = client(at).delete_public_access_block().bucket(bucket).send().await;
        done.map_err(|error| failure(&format!("remove what keeps the bucket {bucket} from being public"), &error))?;
        Ok(())
    }
}
