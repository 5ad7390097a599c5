//! What Tidegate says to AWS: event sources, and copies of checkpoints in S3.
//!
//! A crate of its own, because the SDK of AWS is most of the build. Each source is in the folder that has its name in
//! YAML; how all of them find region, endpoint and credentials is in one place, `connection`.

pub mod aws_cloudtrail;
pub mod aws_sqs_queue;
mod connection;
mod failure;
mod fitting;
mod recorded;
pub mod s3;

pub use s3::S3Remote;
use tidegate_pipeline::source::SourceKind;

/// The kinds of sources that this crate offers.
pub fn sources() -> Vec<Box<dyn SourceKind>> {
    vec![Box::new(aws_cloudtrail::CloudTrailKind), Box::new(aws_sqs_queue::SqsKind)]
}
