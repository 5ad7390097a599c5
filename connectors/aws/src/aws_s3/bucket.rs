//! `aws_s3_bucket`, `aws_s3_bucket_grant` and `aws_s3_bucket_policy_statement`, from ListBuckets and a call for each
//! setting of each bucket.

use async_trait::async_trait;
use aws_sdk_s3::types::Bucket;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use super::bucket_columns::buckets;
use super::bucket_listing::{Listed, next_page};
use super::bucket_part::{Grant, PolicyStatement, grants, statements};
use super::question::{ACTIONS, Answers, Question, Reader};
use super::request::client;
use super::shape::shaped;
use crate::policy_document::Document;
use crate::provider::{Call, Collector, Declared, Table, Unread};

pub(super) const NAME: &str = "aws_s3_bucket";
/// How many buckets are asked at a time.
const BUCKETS: usize = 4;
/// How many buckets are read before they are given.
const PART: usize = 100;

/// A bucket, and what was answered of it.
pub(super) struct Read {
    pub(super) bucket: Bucket,
    pub(super) answers: Answers,
    /// Its policy, where it has one.
    pub(super) policy: Option<Document>,
    /// Its ACL, as JSON.
    pub(super) acl: Option<Value>,
}

impl Read {
    fn new(bucket: Bucket, answers: Answers) -> Self {
        let policy = answers.given(Question::Policy).map(Document::of);
        let acl = answers.given(Question::Acl).map(|acl| shaped("AccessControlPolicy", acl));
        Self { bucket, answers, policy, acl }
    }

    pub(super) fn name(&self) -> &str {
        self.bucket.name().unwrap_or_default()
    }
}

/// Reads ListBuckets, and asks each bucket for its settings.
pub(super) struct Buckets {
    buckets: Table<Read>,
    grants: Table<Grant>,
    statements: Table<PolicyStatement>,
}

impl Buckets {
    pub(super) fn new() -> Self {
        Self { buckets: buckets(), grants: grants(), statements: statements() }
    }

    /// Asks for the settings of these buckets, and gives those that are still there.
    async fn read(&self, call: &Call<'_>, reader: &Reader<'_>, listed: Vec<Listed>) -> Result<(), Unread> {
        let read = |(bucket, raw): Listed| async move {
            let answers = reader.of(bucket.name().unwrap_or_default()).await?;
            Ok::<_, Unread>(answers.map(|answers| (Read::new(bucket, answers), raw)))
        };
        let read: Vec<Option<(Read, Value)>> = stream::iter(listed).map(read).buffered(BUCKETS).try_collect().await?;
        let (buckets, raws): (Vec<Read>, Vec<Value>) = read.into_iter().flatten().unzip();
        let grants: Vec<Grant> = buckets.iter().flat_map(Grant::all).collect();
        call.give(&self.grants, &grants, grants.iter().map(|grant| &grant.written)).await?;
        let statements: Vec<PolicyStatement> = buckets.iter().flat_map(PolicyStatement::all).collect();
        call.give(&self.statements, &statements, statements.iter().map(|of| &of.statement.written)).await?;
        call.give(&self.buckets, &buckets, raws).await
    }
}

#[async_trait]
impl Collector for Buckets {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.buckets, &self.grants, &self.statements]
    }

    fn actions(&self) -> &'static [&'static str] {
        ACTIONS
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let reader = Reader::new(&client, call.session);
        let mut listing = call.listing("list the buckets");
        while let Some(token) = listing.token() {
            let mut buckets = next_page(&client, call, &mut listing, token).await?.into_iter().peekable();
            while buckets.peek().is_some() {
                self.read(call, &reader, buckets.by_ref().take(PART).collect()).await?;
            }
        }
        Ok(())
    }
}
