//! The options of `aws_sqs_queue`.

use std::path::Path;

use aws_config::retry::RetryConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::Error;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, Options};

use crate::connection::{Connection, ConnectionOptions, place};
use crate::sqs::{Queue, QueueSettings};

/// The options of `aws_sqs_queue`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqsOptions {
    /// The name of the queue, or its URL.
    #[schemars(required, with = "String")]
    pub name: Option<String>,
    /// The account that the queue belongs to, where it is another one.
    pub queue_owner_aws_account_id: Option<String>,
    /// How long a request waits for messages where there are none, in seconds, 0 to 20.
    #[serde(default = "two")]
    #[schemars(range(max = 20))]
    pub delay_seconds: u32,
    /// How many messages a request may bring, 1 to 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 10))]
    pub max_number_of_messages: u32,
    /// For how long a message that was taken is kept from others, 5s to 12h. As long as it is not durable here the
    /// time is extended; after a crash the message comes again when it has passed.
    #[serde(default = "one_minute")]
    pub visibility_timeout: Duration,
    /// What bodies are: `json` (objects and lists in the column `body`, everything else in the column `text`) or
    /// `text` (every body as text in the column `body`).
    #[serde(default)]
    pub body: BodyFormat,
    /// The region; without it the one of the environment or the profile.
    pub region: Option<String>,
}

/// What bodies are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// JSON where they are JSON.
    #[default]
    Json,
    /// Text.
    Text,
}

fn two() -> u32 {
    2
}

fn ten() -> u32 {
    10
}

fn one_minute() -> Duration {
    Duration::seconds(60)
}

/// The options, found to be good.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) taken: QueueSettings,
    pub(super) body: BodyFormat,
    pub(super) connection: Connection,
}

impl Settings {
    /// Finds the queue. Secrets are read now.
    ///
    /// # Errors
    /// When there is none of that name, the credentials are refused, or the service cannot be reached.
    pub(super) async fn queue(&self) -> Result<Queue, Error> {
        Queue::connect(&self.taken, &self.connection.load(RetryConfig::standard()).await?).await
    }
}

impl SqsOptions {
    /// Everything that is wrong with them, or the settings. Relative paths are relative to `folder`.
    pub(super) fn check(
        self,
        reach: &ConnectionOptions,
        options: &Options,
        folder: &Path,
    ) -> Result<Settings, Vec<Diagnostic>> {
        let at = |key: &str, message: &str| Diagnostic::error(place(options, key), message);
        let connection = reach.connection(self.region, options, folder);
        let mut wrong = connection.wrong(options);
        let name = self.name.unwrap_or_default();
        if name.is_empty() {
            wrong.push(at("name", "Missing queue name").with_help("give the name of the queue, or its URL, as `name`"));
        }
        if self.delay_seconds > 20 {
            wrong.push(at("delay_seconds", "SQS waits for at most 20 seconds"));
        }
        if !(1..=10).contains(&self.max_number_of_messages) {
            wrong.push(at("max_number_of_messages", "a request to SQS brings 1 to 10 messages"));
        }
        let visibility = self.visibility_timeout.0;
        if !(5..=43_200).contains(&visibility.as_secs()) {
            wrong.push(at("visibility_timeout", "the visibility timeout must be between `5s` and `12h`"));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let taken = QueueSettings {
            name,
            owner: self.queue_owner_aws_account_id,
            wait: self.delay_seconds,
            most: self.max_number_of_messages,
            visibility,
        };
        Ok(Settings { taken, body: self.body, connection })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::spec::Together;

    use super::*;

    type Read = Together<SqsOptions, ConnectionOptions>;

    fn wrong(yaml: &str) -> Vec<String> {
        let options = Options::parse(yaml).unwrap();
        let read = options.read().and_then(|Together(read, reach): Read| read.check(&reach, &options, Path::new("")));
        read.unwrap_err().into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn what_is_wrong_is_said_in_one_go() {
        assert_eq!(wrong("region: eu-west-1"), ["Missing queue name"]);
        let all = wrong(
            "name: q\ndelay_seconds: 21\nmax_number_of_messages: 0\nvisibility_timeout: 1s\naccess_key: {env: A}\nendpoint_url: localhost",
        );
        assert_eq!(all.len(), 5, "{all:?}");
        assert!(all[0].contains("belong together"), "{all:?}");
    }

    #[test]
    fn a_rulebooks_arguments_are_taken_as_they_are() {
        let text = "name: q\nregion: us-east-1\ndelay_seconds: 10\nmax_number_of_messages: 1\naccess_key: {env: A}\nsecret_key: {env: B}";
        let options = Options::parse(text).unwrap();
        let Together(read, reach): Read = options.read().unwrap();
        let settings = read.check(&reach, &options, Path::new("")).unwrap();
        let taken = settings.taken;
        assert_eq!((taken.wait, taken.most, taken.visibility.as_secs()), (10, 1, 60));
    }
}
