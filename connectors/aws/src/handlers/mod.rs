//! Handlers of AWS: a file each, named as in YAML. All of them find accounts, regions and credentials as the providers do.
//!
//! The agent of a resource is `ACCOUNT/REGION`. Where its id is an ARN that names both, `agent` need not be given; where
//! both are given and differ, nothing is touched.

mod aws_ebs_default_encryption;
mod aws_ebs_snapshot;
mod aws_ebs_volume;
mod aws_ec2_instance;
mod aws_eip;
mod aws_s3_public_access_block;
mod aws_security_group_rule;
mod place;
mod tags;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::handler::cache::{CacheKey, Cached, HandlerCache};
use tidegate_pipeline::handler::sink::{FieldDescription, HandlerKind, HandlerSinkKind, OpenHandler};
use tidegate_pipeline::handler::{Changes, Halt, Handler, HandlerContext, Reading, Resource, ResourceType};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::SinkKind;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Together};

use crate::connection::ConnectionOptions;
use crate::estate::{AwsOptions, Estate, Session};
use place::{AgentPlace, named_in};

/// How long what is known of an account is kept: credentials are renewed, and accounts come and go.
const ACCOUNTS_STAY: Duration = Duration::from_secs(600);

/// The kinds of handlers of AWS.
pub(crate) fn kinds() -> Vec<Box<dyn SinkKind>> {
    vec![
        kind(aws_ebs_default_encryption::DefaultEncryption),
        kind(aws_ebs_snapshot::Snapshot),
        kind(aws_ebs_volume::Volume),
        kind(aws_ec2_instance::Instance),
        kind(aws_eip::ElasticIp),
        kind(aws_s3_public_access_block::PublicAccessBlock),
        kind(aws_security_group_rule::SecurityGroupRule),
    ]
}

fn kind<R: AwsResource>(resource: R) -> Box<dyn SinkKind> {
    HandlerSinkKind::boxed(AwsHandlerKind(resource))
}

/// The options that all handlers of AWS have beside those of every handler.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsHandlerOptions {
    /// How AWS is reached, and which accounts and regions may be touched.
    pub aws: Together<AwsOptions, ConnectionOptions>,
}

/// What a kind of resource of AWS is, and how it is read and changed.
#[async_trait]
trait AwsResource: Copy + Send + Sync + 'static {
    /// Its name in YAML.
    const NAME: &'static str;
    /// One sentence for `component list`.
    const SUMMARY: &'static str;
    /// The class of its ids, in the namespace `aws`.
    const CLASS: &'static str;
    /// Its fields.
    const FIELDS: &'static [FieldDescription];

    /// How it is.
    async fn read(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<Reading, Halt>;

    /// Makes one that is not there. Most kinds are not made here.
    async fn create(&self, _context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
        let message = format!("{} is not there, and this handler makes none", at.resource.id);
        Err(Error::user(message).with_remedy("correct `id`, or leave it to what makes such resources").into())
    }

    /// Changes what differs.
    async fn update(&self, context: &mut HandlerContext, at: Target<'_>, changes: &Changes) -> Result<(), Halt>;

    /// Removes it.
    async fn delete(&self, context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt>;
}

/// A resource, and how its account and region are reached.
#[derive(Clone, Copy)]
struct Target<'a> {
    session: &'a Session,
    resource: &'a Resource,
}

impl Target<'_> {
    /// The id that AWS gave it: the last part of an ARN, or all of it.
    fn aws_id(&self) -> &str {
        let value = self.resource.id.value.as_str();
        if value.starts_with("arn:") { value.rsplit(['/', ':']).next().unwrap_or(value) } else { value }
    }

    fn ec2(&self) -> aws_sdk_ec2::Client {
        let config = aws_sdk_ec2::config::Builder::from(self.session.config());
        let limits = self.session.limits("ec2");
        aws_sdk_ec2::Client::from_conf(config.retry_partition(limits).build())
    }
}

struct AwsHandlerKind<R>(R);

impl<R: AwsResource> HandlerKind for AwsHandlerKind<R> {
    type Own = AwsHandlerOptions;

    fn name(&self) -> &'static str {
        R::NAME
    }

    fn summary(&self) -> &'static str {
        R::SUMMARY
    }

    fn resource_type(&self) -> ResourceType {
        ResourceType::new("aws", R::CLASS, "id")
    }

    fn fields(&self) -> Option<&'static [FieldDescription]> {
        Some(R::FIELDS)
    }

    fn agent_of(&self, id: &str) -> Option<String> {
        let (account, region) = named_in(id)?;
        Some(AgentPlace { account: account?, region: region? }.to_string())
    }

    fn plan(
        &self,
        own: AwsHandlerOptions,
        options: &Options,
        _context: &mut PlanContext<'_>,
    ) -> Result<Box<dyn OpenHandler>, Vec<Diagnostic>> {
        let Together(estate, connection) = own.aws;
        let region = estate.regions.iter().flatten().next().cloned();
        let connection = connection.connection(region, options, Path::new(""));
        let mut wrong = connection.wrong(options);
        wrong.extend(estate.wrong(crate::connection::place(options, "aws")));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let regions = estate.regions.clone();
        let estate = Arc::new(Estate::new(estate, connection));
        Ok(Box::new(Planned { resource: self.0, estate, regions }))
    }
}

struct Planned<R> {
    resource: R,
    estate: Arc<Estate>,
    regions: Option<Vec<String>>,
}

#[async_trait]
impl<R: AwsResource> OpenHandler for Planned<R> {
    async fn open(&self, _node: &Arc<str>) -> Result<Arc<dyn Handler>> {
        let (estate, regions) = (Arc::clone(&self.estate), self.regions.clone());
        Ok(Arc::new(AwsHandler { resource: self.resource, estate, regions, sessions: HandlerCache::default() }))
    }
}

struct AwsHandler<R> {
    resource: R,
    estate: Arc<Estate>,
    regions: Option<Vec<String>>,
    /// A session for each account and region that was asked for lately.
    sessions: HandlerCache,
}

impl<R: AwsResource> AwsHandler<R> {
    async fn session(&self, resource: &Resource) -> Result<Cached<Session>> {
        let place: AgentPlace = resource.id.agent.parse()?;
        place.agrees_with(&resource.id.value)?;
        if self.regions.as_ref().is_some_and(|regions| !regions.contains(&place.region)) {
            return Err(Error::user(format!("the region `{}` is not among `regions`", place.region)));
        }
        let key = CacheKey::new("session", &[("account", &place.account), ("region", &place.region)]);
        let key = key.for_at_most(ACCOUNTS_STAY).while_used_within(ACCOUNTS_STAY);
        self.sessions.get(&key, open_session(&self.estate, &place)).await
    }
}

async fn open_session(estate: &Estate, place: &AgentPlace) -> Result<Session> {
    let accounts = estate.accounts().await?;
    let account = accounts.into_iter().find(|account| *account.id == *place.account).ok_or_else(|| {
        Error::user(format!("the account {} is none of those that these credentials and `aws` reach", place.account))
            .with_remedy("name a role in it under `aws: {accounts: …}`")
    })?;
    Ok(account.session(&place.region.as_str().into()))
}

#[async_trait]
impl<R: AwsResource> Handler for AwsHandler<R> {
    async fn read(&self, context: &mut HandlerContext, resource: &Resource) -> Result<Reading, Halt> {
        let session = self.session(resource).await?;
        self.resource.read(context, Target { session: &session, resource }).await
    }

    async fn create(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        let session = self.session(resource).await?;
        self.resource.create(context, Target { session: &session, resource }).await
    }

    async fn update(&self, context: &mut HandlerContext, changes: &Changes, resource: &Resource) -> Result<(), Halt> {
        let session = self.session(resource).await?;
        self.resource.update(context, Target { session: &session, resource }, changes).await
    }

    async fn delete(&self, context: &mut HandlerContext, resource: &Resource) -> Result<(), Halt> {
        let session = self.session(resource).await?;
        self.resource.delete(context, Target { session: &session, resource }).await
    }
}

/// Whether AWS says that what was named is not there.
fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let code = error.as_service_error().and_then(|answer| answer.code()).unwrap_or_default();
    code.contains("NotFound") || code.starts_with("NoSuch")
}

/// What a kind of resource that always exists says when it shall not.
fn cannot_be_removed(at: Target<'_>) -> Halt {
    Error::user(format!("{} is a setting: it cannot be removed", at.resource.id))
        .with_remedy("say in `desired` what it shall be, without `purged`")
        .into()
}
