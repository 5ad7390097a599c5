//! The columns of `aws_s3_bucket`.

use serde_json::Value;

use super::bucket::{NAME, Read};
use super::question::{Answer, Question};
use super::request::arn;
use super::shape::{shaped, truth};
use crate::policy_document::Document;
use crate::provider::{Table, items, settled};

/// The table.
pub(super) fn buckets() -> Table<Read> {
    let table = Table::new(NAME, "The buckets of the account, each in its region.", |place, read: &Read| {
        arn(place, read.name())
    });
    let table = table.target("name", "The name of the bucket.", |read: &Read| Some(read.name()));
    let table = table.time("creation_date", "When it was made.", |read| read.bucket.creation_date());
    policies(protection(settings(table)))
        .texts(
            "unread",
            "What of this bucket could not be read, as the columns are called (`public_access_block` and `versioning` for \
             theirs): NULL there says nothing.",
            |read| read.answers.unread(),
        )
        .tags(|read| {
            let tags = read.answers.given(Question::Tags).map(|tags| items(tags, "TagSet/Tag")).unwrap_or_default();
            let text = |tag: &Value, name: &str| tag[name].as_str().unwrap_or_default().to_owned();
            tags.into_iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect()
        })
}

/// Who may do what.
fn policies(table: Table<Read>) -> Table<Read> {
    table
        .json("policy", "Its policy, as JSON as it was written.", |read| Some(read.policy.as_ref()?.text()))
        .json("policy_std", "Its policy in one form: lists everywhere, sorted, actions in lower case.", |read| {
            Some(read.policy.as_ref().and_then(Document::standard)?.to_string())
        })
        .boolean("bucket_policy_is_public", "Whether S3 takes its policy for public; false without one.", |read| {
            truth_of(read, Question::PolicyStatus, "IsPublic")
        })
        .json("acl", "Its ACL, as JSON: `{\"Owner\": …, \"Grants\": […]}`.", |read| {
            Some(settled(read.acl.as_ref()?, &[]))
        })
        .boolean("block_public_acls", "Whether public ACLs are refused.", |read| {
            truth_of(read, Question::PublicAccessBlock, "BlockPublicAcls")
        })
        .boolean("block_public_policy", "Whether public policies are refused.", |read| {
            truth_of(read, Question::PublicAccessBlock, "BlockPublicPolicy")
        })
        .boolean("ignore_public_acls", "Whether public ACLs have no effect.", |read| {
            truth_of(read, Question::PublicAccessBlock, "IgnorePublicAcls")
        })
        .boolean(
            "restrict_public_buckets",
            "Whether, with a public policy, only AWS services and the account itself have access.",
            |read| truth_of(read, Question::PublicAccessBlock, "RestrictPublicBuckets"),
        )
        .json(
            "object_ownership_controls",
            "Who owns objects, as JSON: `{\"Rules\": […]}`; NULL where nothing is set.",
            |read| json(read, Question::Ownership, "OwnershipControls"),
        )
        .text(
            "object_ownership",
            "`BucketOwnerEnforced` (ACLs have no effect), `BucketOwnerPreferred` or `ObjectWriter`.",
            |read| items(read.answers.given(Question::Ownership)?, "Rule/ObjectOwnership").into_iter().next()?.as_str(),
        )
}

/// How data is kept from being lost or read.
fn protection(table: Table<Read>) -> Table<Read> {
    table
        .json(
            "server_side_encryption_configuration",
            "How new objects are encrypted, as JSON: `{\"Rules\": […]}`.",
            |read| json(read, Question::Encryption, "ServerSideEncryptionConfiguration"),
        )
        .text("sse_algorithm", "How new objects are encrypted: `AES256`, `aws:kms` or `aws:kms:dsse`.", |read| {
            encrypted_with(read, "SSEAlgorithm")
        })
        .text("sse_kms_key_id", "The key that new objects are encrypted with, where it is one of KMS.", |read| {
            encrypted_with(read, "KMSMasterKeyID")
        })
        .boolean("versioning_enabled", "Whether versions of objects are kept.", |read| enabled(read, "Status"))
        .boolean("versioning_mfa_delete", "Whether versions are deleted with MFA only.", |read| {
            enabled(read, "MfaDelete")
        })
        .json("object_lock_configuration", "How objects are locked, as JSON; NULL where they are not.", |read| {
            json(read, Question::ObjectLock, "ObjectLockConfiguration")
        })
        .json("replication", "Where objects are copied to, as JSON; NULL where to nowhere.", |read| {
            json(read, Question::Replication, "ReplicationConfiguration")
        })
}

/// What is done with objects and requests.
fn settings(table: Table<Read>) -> Table<Read> {
    table
        .json("logging", "Where requests are logged, as JSON; NULL where they are not.", |read| {
            let written =
                read.answers.given(Question::Logging)?.get("LoggingEnabled").filter(|logging| !logging.is_null())?;
            Some(settled(&shaped("LoggingEnabled", written), &[]))
        })
        .reference("logging_target_bucket", "The bucket that requests are logged to.", (NAME, "name"), |read| {
            read.answers.given(Question::Logging)?["LoggingEnabled"]["TargetBucket"].as_str()
        })
        .json(
            "lifecycle_rules",
            "What becomes of objects with time, as a JSON list of rules; NULL without any.",
            |read| {
                let shaped = shaped("LifecycleConfiguration", read.answers.given(Question::Lifecycle)?);
                Some(settled(shaped.get("Rules")?, &[]))
            },
        )
        .json(
            "event_notification_configuration",
            "Who is told of changes of objects, as JSON; NULL where nobody is.",
            |read| {
                let shaped = shaped("NotificationConfiguration", read.answers.given(Question::Notification)?);
                let told = shaped.as_object().is_some_and(|told| !told.is_empty());
                told.then(|| settled(&shaped, &[]))
            },
        )
        .json("website_configuration", "How it is shown as a web site, as JSON; NULL where it is not.", |read| {
            // The order of rules is the order in which they are tried.
            Some(shaped("WebsiteConfiguration", read.answers.given(Question::Website)?).to_string())
        })
        .text("request_payer", "Who pays for requests: `BucketOwner` or `Requester`.", |read| {
            read.answers.given(Question::RequestPayment)?["Payer"].as_str()
        })
}

/// A setting as JSON.
fn json(read: &Read, question: Question, root: &str) -> Option<String> {
    Some(settled(&shaped(root, read.answers.given(question)?), &[]))
}

/// Yes or no; no where nothing was set.
fn truth_of(read: &Read, question: Question, name: &str) -> Option<bool> {
    match read.answers.to(question) {
        Answer::Unread => None,
        Answer::None => Some(false),
        Answer::Given(value) => Some(truth(&value[name]).unwrap_or(false)),
    }
}

fn enabled(read: &Read, name: &str) -> Option<bool> {
    Some(read.answers.given(Question::Versioning)?[name] == "Enabled")
}

fn encrypted_with<'a>(read: &'a Read, name: &str) -> Option<&'a str> {
    let defaults = items(read.answers.given(Question::Encryption)?, "Rule/ApplyServerSideEncryptionByDefault");
    defaults.into_iter().next()?[name].as_str()
}
