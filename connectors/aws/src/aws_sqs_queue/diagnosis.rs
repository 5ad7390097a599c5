//! What is wrong with the way to a queue, step by step. No message is received: that would keep it from others.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_sqs::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sdk_sqs::types::QueueAttributeName as Name;
use tidegate_connectors::diagnosis::counted;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};

use super::options::Settings;
use crate::diagnosis::begin;
use crate::sqs::Queue;

/// Looks at everything up to the first message.
pub(super) async fn diagnose(settings: &Settings, found: &mut Diagnosis) {
    let config = begin(found, &settings.connection, "AWS_ENDPOINT_URL_SQS", endpoint).await;
    let there = async {
        let config = config.as_ref().ok_or_else(|| Error::internal("there is no configuration"))?;
        let queue = Queue::connect(&settings.taken, config).await?;
        let url = queue.url().to_owned();
        Ok((queue, url))
    };
    let queue = found.check("queue there", there).await;
    let mut denied = false;
    let attributes = async {
        let queue = queue.as_ref().ok_or_else(|| Error::internal("there is no queue"))?;
        let told = match queue.attributes().await? {
            Some(attributes) => told(&attributes),
            None => {
                denied = true;
                String::new()
            }
        };
        Ok(((), told))
    };
    found.check("attributes readable", attributes).await;
    if denied {
        found.skip("attributes shown", "these credentials may not ask for them; the source does not need to");
    }
    found.skip("messages received", "not tried: a message that came here would be kept from others for a while");
}

async fn endpoint(config: &SdkConfig) -> Result<String> {
    let params = Params::builder().set_region(config.region().map(ToString::to_string));
    let params = params.set_use_fips(config.use_fips()).set_use_dual_stack(config.use_dual_stack());
    let found = DefaultResolver::new().resolve_endpoint(&params.build().map_err(Error::user)?).await;
    Ok(found.map_err(Error::user)?.url().to_owned())
}

fn told(attributes: &HashMap<Name, String>) -> String {
    let number = |name: Name| attributes.get(&name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let waiting = counted(number(Name::ApproximateNumberOfMessages), "message");
    let taken = number(Name::ApproximateNumberOfMessagesNotVisible);
    let mut told = format!("about {waiting} waiting, {taken} taken");
    for (name, what) in [
        (Name::FifoQueue, ", FIFO"),
        (Name::RedrivePolicy, ", with a dead letter queue"),
        (Name::KmsMasterKeyId, ", encrypted with a key of KMS"),
    ] {
        if attributes.get(&name).is_some_and(|value| value != "false") {
            told.push_str(what);
        }
    }
    told
}
