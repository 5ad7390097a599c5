//! What S3 says of a bucket, setting by setting: a call for each.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use tidegate_pipeline::error::Error;

use crate::estate::Session;
use crate::provider::{CALLS, Capture, Optional, Unread};

/// Codes that say that a bucket is gone, or that another one of its name is somewhere else.
const GONE: [&str; 2] = ["NoSuchBucket", "PermanentRedirect"];
/// Codes that say that a bucket has no such setting.
const NONE: [&str; 8] = [
    "NoSuchBucketPolicy",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchTagSet",
    "NoSuchWebsiteConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "OwnershipControlsNotFoundError",
    "ReplicationConfigurationNotFoundError",
];
/// The same of encryption.
const UNENCRYPTED: &str = "ServerSideEncryptionConfigurationNotFoundError";
/// What an answer begins with where a server does not know the setting, and takes it for a listing.
const LISTING: &[u8] = b"<ListBucketResult";

/// A setting of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Acl,
    Encryption,
    Lifecycle,
    Logging,
    Notification,
    ObjectLock,
    Ownership,
    Policy,
    PolicyStatus,
    PublicAccessBlock,
    Replication,
    RequestPayment,
    Tags,
    Versioning,
    Website,
}

/// Every setting, in the order of [`Question`].
pub(super) const QUESTIONS: [Question; 15] = [
    Question::Acl,
    Question::Encryption,
    Question::Lifecycle,
    Question::Logging,
    Question::Notification,
    Question::ObjectLock,
    Question::Ownership,
    Question::Policy,
    Question::PolicyStatus,
    Question::PublicAccessBlock,
    Question::Replication,
    Question::RequestPayment,
    Question::Tags,
    Question::Versioning,
    Question::Website,
];

/// What must be allowed to ask all of it.
pub(super) const ACTIONS: &[&str] = &[
    "s3:GetBucketAcl",
    "s3:GetBucketLogging",
    "s3:GetBucketNotification",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPolicy",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListAllMyBuckets",
];

impl Question {
    /// As the column `unread` names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::Encryption => "server_side_encryption_configuration",
            Self::Lifecycle => "lifecycle_rules",
            Self::Logging => "logging",
            Self::Notification => "event_notification_configuration",
            Self::ObjectLock => "object_lock_configuration",
            Self::Ownership => "object_ownership_controls",
            Self::Policy => "policy",
            Self::PolicyStatus => "bucket_policy_is_public",
            Self::PublicAccessBlock => "public_access_block",
            Self::Replication => "replication",
            Self::RequestPayment => "request_payer",
            Self::Tags => "tags",
            Self::Versioning => "versioning",
            Self::Website => "website_configuration",
        }
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// It may not be read, or is not offered.
    Unread,
    /// There is none.
    None,
    /// What S3 wrote, as JSON.
    Given(Value),
}

/// What was answered to each of [`QUESTIONS`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answers(Vec<Answer>);

impl Answers {
    /// The answer to a question.
    pub(super) fn to(&self, question: Question) -> &Answer {
        self.0.get(question as usize).unwrap_or(&Answer::Unread)
    }

    /// What S3 wrote, where there is something.
    pub(super) fn given(&self, question: Question) -> Option<&Value> {
        match self.to(question) {
            Answer::Given(value) => Some(value),
            Answer::Unread | Answer::None => None,
        }
    }

    /// What could not be read, by name.
    pub(super) fn unread(&self) -> Vec<&'static str> {
        let unread = QUESTIONS.into_iter().filter(|question| *self.to(*question) == Answer::Unread);
        unread.map(Question::name).collect()
    }
}

/// An answer of the server.
enum Reply {
    Given,
    None,
    /// There is no such bucket any more.
    Gone,
}

/// Asks for the settings of buckets.
pub(super) struct Reader<'a> {
    client: Client,
    /// One for each question: each refusal is told once.
    optional: Vec<Optional<'a>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &Client, session: &'a Session) -> Self {
        let optional = QUESTIONS.iter().map(|_| Optional::new(session)).collect();
        Self { client: client.clone(), optional }
    }

    /// Every setting of a bucket; nothing where it is gone.
    ///
    /// # Errors
    /// Whatever is neither an answer nor a refusal.
    pub(super) async fn of(&self, bucket: &str) -> Result<Option<Answers>, Unread> {
        let asking = stream::iter(QUESTIONS).map(|question| self.ask(question, bucket.to_owned())).buffered(CALLS);
        let answers: Vec<Option<Answer>> = asking.try_collect().await?;
        Ok(answers.into_iter().collect::<Option<Vec<_>>>().map(Answers))
    }

    /// One setting. A bucket may refuse what others allow: so each is asked, whatever others have said.
    async fn ask(&self, question: Question, bucket: String) -> Result<Option<Answer>, Unread> {
        let (reply, raw) = self.send(question, &bucket).await;
        let Some(optional) = self.optional.get(question as usize) else { return Ok(Some(Answer::Unread)) };
        Ok(match optional.take(reply)? {
            None => Some(Answer::Unread),
            Some(Reply::None) => Some(Answer::None),
            Some(Reply::Given) => Some(Answer::Given(raw.take_whole().ok_or_else(|| half(question, &bucket))?)),
            Some(Reply::Gone) => None,
        })
    }

    async fn send(&self, question: Question, bucket: &str) -> (Result<Reply, Unread>, Capture) {
        let capture = Capture::default();
        macro_rules! send {
            ($operation:ident) => {{
                let request = self.client.$operation().bucket(bucket).customize().interceptor(capture.clone());
                understood(question, bucket, request.send().await)
            }};
        }
        let reply = match question {
            Question::Acl => send!(get_bucket_acl),
            Question::Encryption => send!(get_bucket_encryption),
            Question::Lifecycle => send!(get_bucket_lifecycle_configuration),
            Question::Logging => send!(get_bucket_logging),
            Question::Notification => send!(get_bucket_notification_configuration),
            Question::ObjectLock => send!(get_object_lock_configuration),
            Question::Ownership => send!(get_bucket_ownership_controls),
            Question::Policy => send!(get_bucket_policy),
            Question::PolicyStatus => send!(get_bucket_policy_status),
            Question::PublicAccessBlock => send!(get_public_access_block),
            Question::Replication => send!(get_bucket_replication),
            Question::RequestPayment => send!(get_bucket_request_payment),
            Question::Tags => send!(get_bucket_tagging),
            Question::Versioning => send!(get_bucket_versioning),
            Question::Website => send!(get_bucket_website),
        };
        (reply, capture)
    }
}

/// The SDK reads XML as far as it goes: what is cut off would be taken for a bucket without that setting.
fn half(question: Question, bucket: &str) -> Unread {
    let name = question.name();
    Error::external(format!("cannot read `{name}` of the bucket {bucket}: the answer is not there to its end")).into()
}

/// What an answer means.
fn understood<O, E>(question: Question, bucket: &str, answer: Result<O, SdkError<E>>) -> Result<Reply, Unread>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = answer else { return Ok(Reply::Given) };
    let what = format!("read `{}` of the bucket {bucket}", question.name());
    match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some(code) if GONE.contains(&code) => return Ok(Reply::Gone),
        Some(code) if NONE.contains(&code) || code == UNENCRYPTED => return Ok(Reply::None),
        _ => {}
    }
    // What stands in for AWS may say with nothing that nobody is told.
    if question == Question::Notification && error.raw_response().is_some_and(is_nothing) {
        return Ok(Reply::None);
    }
    match error.raw_response().is_some_and(is_listing) {
        true => Err(Unread::Unsupported(format!("{what} is not offered here (the objects were listed instead)"))),
        false => Err(Unread::of(&what, &error)),
    }
}

/// Whether all is said to be well, and nothing else.
pub(super) fn is_nothing(response: &HttpResponse) -> bool {
    response.status().as_u16() == 200 && response.body().bytes().is_some_and(<[u8]>::is_empty)
}

/// Whether the objects were listed instead.
pub(super) fn is_listing(response: &HttpResponse) -> bool {
    let text = response.body().bytes().unwrap_or_default();
    text.windows(LISTING.len()).take(200).any(|start| start == LISTING)
}
