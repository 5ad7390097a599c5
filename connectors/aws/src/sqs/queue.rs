//! The requests of SQS that are needed.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, QueueAttributeName,
};
use tidegate_pipeline::error::{Error, Result};

use crate::failure::{failure, is_denied, passing_failure};

/// How many messages one request may delete or extend.
pub(super) const BATCH: usize = 10;
/// How long an answer may take, besides the time for which the queue waits for messages.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which queue, and how its messages are taken.
#[derive(Debug, Clone)]
pub(crate) struct QueueSettings {
    /// Its name or URL.
    pub(crate) name: String,
    /// The account that it belongs to, where it is another one.
    pub(crate) owner: Option<String>,
    /// How long a request waits for messages, in seconds, at most 20.
    pub(crate) wait: u32,
    /// How many messages a request may bring, 1 to 10.
    pub(crate) most: u32,
    /// For how long a message that was taken is kept from others.
    pub(crate) visibility: Duration,
}

/// A queue.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    client: Client,
    name: String,
    url: String,
    wait: i32,
    most: i32,
    visibility: i32,
}

/// Messages that a request did not do what it should with, by their index in it.
pub(super) struct Refused {
    pub(super) index: usize,
    /// Another attempt will be refused too.
    pub(super) for_good: bool,
    pub(super) reason: String,
}

impl Queue {
    /// Finds the queue.
    ///
    /// # Errors
    /// When there is none of that name, the credentials are refused, or the service cannot be reached.
    pub(crate) async fn connect(settings: &QueueSettings, config: &SdkConfig) -> Result<Self> {
        let patience = PATIENCE + Duration::from_secs(u64::from(settings.wait));
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(patience).build();
        let timeouts = match config.timeout_config() {
            Some(given) => timeouts.into_builder().take_unset_from(given.clone().into_builder()).build(),
            None => timeouts,
        };
        let builder = aws_sdk_sqs::config::Builder::from(config).retry_config(RetryConfig::standard());
        let client = Client::from_conf(builder.timeout_config(timeouts).build());
        let url = url(&client, settings).await?;
        Ok(Self {
            client,
            name: settings.name.clone(),
            url,
            wait: settings.wait as i32,
            most: settings.most as i32,
            visibility: settings.visibility.as_secs() as i32,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What the queue says of itself; `None` where these credentials may not ask.
    ///
    /// # Errors
    /// When there is no such queue, the credentials are refused, or the service cannot be reached.
    pub(crate) async fn attributes(&self) -> Result<Option<HashMap<QueueAttributeName, String>>> {
        let asked = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(QueueAttributeName::All);
        match asked.send().await {
            Ok(found) => Ok(Some(found.attributes.unwrap_or_default())),
            Err(error) if is_denied(&error) => Ok(None),
            Err(SdkError::ServiceError(answer)) if answer.err().is_queue_does_not_exist() => Err(missing(&self.name)),
            Err(error) => Err(failure(&format!("ask for the attributes of the queue {}", self.name), &error)),
        }
    }

    /// Whether the order of messages matters.
    pub(crate) fn is_ordered(&self) -> bool {
        self.url.ends_with(".fifo")
    }

    /// How long a message is kept from others.
    pub(super) fn visibility(&self) -> Duration {
        Duration::from_secs(self.visibility.unsigned_abs().into())
    }

    /// Whether the queue answers at once where there are no messages.
    pub(super) fn never_waits(&self) -> bool {
        self.wait == 0
    }

    /// The next messages; none where there are none for a while. `None`: too many are taken and not deleted yet.
    ///
    /// # Errors
    /// When the queue is gone (which is for good), or cannot be read now.
    pub(super) async fn receive(&self) -> Result<Option<Vec<Message>>> {
        let request = self.client.receive_message().queue_url(&self.url).max_number_of_messages(self.most);
        let request = request.wait_time_seconds(self.wait).visibility_timeout(self.visibility);
        match request.message_system_attribute_names(MessageSystemAttributeName::All).send().await {
            Ok(received) => Ok(Some(received.messages.unwrap_or_default())),
            Err(error) if error.as_service_error().is_some_and(|answer| answer.is_over_limit()) => Ok(None),
            Err(error) if error.as_service_error().is_some_and(|answer| answer.is_queue_does_not_exist()) => {
                Err(missing(&self.name))
            }
            Err(error) => Err(passing_failure(&format!("receive messages of the queue {}", self.name), &error)),
        }
    }

    /// Deletes messages, at most [`BATCH`], by their receipts.
    ///
    /// # Errors
    /// When nothing of it was done, as far as is known.
    pub(super) async fn delete(&self, receipts: &[String]) -> Result<Vec<Refused>> {
        let mut request = self.client.delete_message_batch().queue_url(&self.url);
        for (index, receipt) in receipts.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt);
            request = request.entries(entry.build().map_err(Error::internal)?);
        }
        let what = format!("delete messages of the queue {}", self.name);
        let done = request.send().await.map_err(|error| failure(&what, &error))?;
        Ok(done.failed.iter().filter_map(refused).collect())
    }

    /// Keeps messages from others for another visibility timeout, at most [`BATCH`].
    ///
    /// # Errors
    /// When nothing of it was done, as far as is known.
    pub(super) async fn extend(&self, receipts: &[String]) -> Result<Vec<Refused>> {
        let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
        for (index, receipt) in receipts.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.receipt_handle(receipt).visibility_timeout(self.visibility);
            request = request.entries(entry.build().map_err(Error::internal)?);
        }
        let what = format!("extend the visibility timeout of messages of the queue {}", self.name);
        let done = request.send().await.map_err(|error| failure(&what, &error))?;
        Ok(done.failed.iter().filter_map(refused).collect())
    }
}

fn refused(entry: &BatchResultErrorEntry) -> Option<Refused> {
    let reason = entry.message().unwrap_or(entry.code()).to_owned();
    Some(Refused { index: entry.id().parse().ok()?, for_good: entry.sender_fault(), reason })
}

fn missing(name: &str) -> Error {
    Error::user(format!("Queue {name} does not exist")).with_remedy("check the name, the region and the account")
}

async fn url(client: &Client, settings: &QueueSettings) -> Result<String> {
    if settings.name.contains("://") {
        return Ok(settings.name.clone());
    }
    let request = client.get_queue_url().queue_name(&settings.name);
    let request = request.set_queue_owner_aws_account_id(settings.owner.clone());
    let nameless = || Error::external(format!("SQS gives no URL for the queue {}", settings.name));
    match request.send().await {
        Ok(found) => found.queue_url.ok_or_else(nameless),
        Err(SdkError::ServiceError(answer)) if answer.err().is_queue_does_not_exist() => Err(missing(&settings.name)),
        Err(error) => Err(failure(&format!("find the queue {}", settings.name), &error)),
    }
}
