//! AWS as moto pretends to be it: copies of checkpoints in S3, messages of SQS and notifications in them, the inventory of
//! EC2.

mod copies;
mod fake;
mod feed;
mod inventory;
mod queues;
mod trail;

use std::process::Command;
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};

use crate::program::Folder;
use crate::service::Service;

/// The server that all tests share, each with buckets and queues of its own. It ends with the test program.
pub(crate) fn endpoint() -> Option<String> {
    static MOTO: OnceLock<Option<Service>> = OnceLock::new();
    let service = MOTO.get_or_init(|| Service::start("moto", 1)).as_ref()?;
    Some(format!("http://{}", service.address()))
}

/// What clients in the tests are made of.
pub(crate) fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Lets something run to its end.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

/// The program with what it needs to find the server.
pub(crate) fn program(folder: &Folder, endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = folder.command(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1").env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command
}
