//! `aws_s3_account_settings`: which public access the account blocks for all of its buckets. A row for each account, from
//! GetPublicAccessBlock of S3 Control.

use async_trait::async_trait;
use aws_sdk_s3control::Client;
use aws_sdk_s3control::config::endpoint::{Endpoint, EndpointFuture, Params, ResolveEndpoint};
use aws_sdk_s3control::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3control::types::PublicAccessBlockConfiguration;
use serde_json::Value;

use crate::estate::Session;
use crate::provider::{Call, Collector, Declared, NoPages, Reach, Table, Unread, WholeAnswers};

const NAME: &str = "aws_s3_account_settings";
/// What is answered where nothing was ever set.
const NONE: &str = "NoSuchPublicAccessBlockConfiguration";

/// Reads the settings of an account.
pub(super) struct AccountSettings {
    settings: Table<PublicAccessBlockConfiguration>,
}

impl AccountSettings {
    pub(super) fn new() -> Self {
        Self { settings: settings() }
    }
}

fn settings() -> Table<PublicAccessBlockConfiguration> {
    let description = "Which public access an account blocks for all of its buckets.";
    Table::new(NAME, description, |place, _: &PublicAccessBlockConfiguration| place.arn("s3", "account-settings"))
        .boolean("block_public_acls", "Whether public ACLs are refused.", |block| {
            Some(block.block_public_acls().unwrap_or(false))
        })
        .boolean("block_public_policy", "Whether public policies are refused.", |block| {
            Some(block.block_public_policy().unwrap_or(false))
        })
        .boolean("ignore_public_acls", "Whether public ACLs have no effect.", |block| {
            Some(block.ignore_public_acls().unwrap_or(false))
        })
        .boolean(
            "restrict_public_buckets",
            "Whether, with a public policy, only AWS services and the account itself have access.",
            |block| Some(block.restrict_public_buckets().unwrap_or(false)),
        )
}

/// The one place where everything is, where that is not where AWS has it: it has no host for each account.
#[derive(Debug)]
struct OnePlace(String);

impl ResolveEndpoint for OnePlace {
    fn resolve_endpoint<'a>(&'a self, _: &'a Params) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(Endpoint::builder().url(self.0.clone()).build()))
    }
}

fn client(session: &Session) -> Client {
    let config =
        aws_sdk_s3control::config::Builder::from(session.config()).retry_partition(session.limits("s3-control"));
    let config = config.retry_classifier(NoPages).interceptor(WholeAnswers);
    let config = match session.config().endpoint_url() {
        Some(url) => config.endpoint_resolver(OnePlace(url.to_owned())),
        None => config,
    };
    Client::from_conf(config.build())
}

/// Whether nothing was ever set. What stands in for AWS may write errors of S3 Control as those of S3, of which the SDK reads
/// no code.
fn says_none<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    let text = error.raw_response().and_then(|response| response.body().bytes()).unwrap_or_default();
    code == Some(NONE) || (code.is_none() && text.windows(NONE.len()).any(|part| part == NONE.as_bytes()))
}

#[async_trait]
impl Collector for AccountSettings {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.settings]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["s3:GetAccountPublicAccessBlock"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let request = client(call.session).get_public_access_block().account_id(&*call.session.place.account_id);
        let block = match request.send().await {
            Ok(answer) => answer.public_access_block_configuration,
            Err(error) if says_none(&error) => None,
            Err(error) => return Err(Unread::of("read the public access block of the account", &error)),
        };
        let block = block.unwrap_or_else(|| PublicAccessBlockConfiguration::builder().build());
        call.give(&self.settings, &[block], Vec::<&Value>::new()).await
    }
}
