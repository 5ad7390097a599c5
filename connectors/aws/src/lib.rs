//! What Tidegate says to AWS: event sources, and copies of checkpoints in S3.
//!
//! A crate of its own, because the SDK of AWS is most of the build. Each source is in the folder that has its name in
//! YAML; how all of them find region, endpoint and credentials is in one place, `connection`.

pub mod aws_cloudtrail;
mod aws_ec2;
mod aws_efs;
mod aws_elb;
mod aws_iam;
mod aws_rds;
mod aws_route53;
mod aws_s3;
pub mod aws_sqs_queue;
mod cloudwatch;
mod connection;
mod diagnosis;
mod estate;
mod failure;
pub mod feed;
mod fitting;
mod handlers;
pub mod notification;
mod opsbox;
mod percent;
mod policy_document;
mod provider;
mod recorded;
pub mod s3;
mod sqs;
#[cfg(test)]
mod testing;

pub use connection::ConnectionOptions;
pub use estate::{AccountOptions, AwsOptions, OrganizationOptions, OwnAccount};
pub use handlers::AwsHandlerOptions;
pub use provider::ProviderOptions;
use provider::{AwsKind, Service};
pub use s3::S3Remote;
use tidegate_pipeline::sink::SinkKind;
use tidegate_pipeline::source::SourceKind;

/// The services whose inventory is collected.
const SERVICES: [Service; 7] = [
    aws_ec2::SERVICE,
    aws_efs::SERVICE,
    aws_elb::SERVICE,
    aws_iam::SERVICE,
    aws_rds::SERVICE,
    aws_route53::SERVICE,
    aws_s3::SERVICE,
];

/// The kinds of sources that this crate offers.
pub fn sources() -> Vec<Box<dyn SourceKind>> {
    let mut kinds: Vec<Box<dyn SourceKind>> =
        vec![Box::new(aws_cloudtrail::CloudTrailKind), Box::new(aws_sqs_queue::SqsKind)];
    kinds.extend(SERVICES.map(|service| Box::new(AwsKind(service)) as Box<dyn SourceKind>));
    kinds
}

/// The kinds of handlers that this crate offers.
pub fn handlers() -> Vec<Box<dyn SinkKind>> {
    handlers::kinds()
}
