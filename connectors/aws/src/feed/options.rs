//! The option `events` of providers.

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::Duration;
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Place};

use crate::sqs::QueueSettings;

/// How many messages a request brings: as many as SQS gives.
const MOST: u32 = 10;

/// Where notifications of AWS come from, after which only what they name is read again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsOptions {
    /// The name of a queue of SQS, or its URL. Each provider needs a queue of its own, since a message that one of them
    /// has taken is not seen by another.
    #[schemars(required, with = "String")]
    pub queue: Option<String>,
    /// The region of the queue; without it the one in its URL, else the first one that is collected.
    pub region: Option<String>,
    /// How long a request waits for messages where there are none, at most 20s.
    #[serde(default = "twenty_seconds")]
    pub wait: Duration,
    /// For how long a message that was taken is kept from others, 5s to 12h. As long as what it has led to is not
    /// durable here the time is extended; after a crash the message comes again when it has passed.
    #[serde(default = "two_minutes")]
    pub visibility: Duration,
}

fn twenty_seconds() -> Duration {
    Duration::seconds(20)
}

fn two_minutes() -> Duration {
    Duration::seconds(120)
}

impl EventsOptions {
    /// What is wrong with them, where they stand at `place`.
    pub fn wrong(&self, place: Place) -> Vec<Diagnostic> {
        let mut wrong = Vec::new();
        if self.queue.as_ref().is_none_or(String::is_empty) {
            let found = Diagnostic::error(place, "`events` names no queue");
            wrong.push(found.with_help("give the name of a queue of SQS, or its URL, as `queue`"));
        }
        if self.wait.0.as_secs() > 20 || self.wait.0.subsec_nanos() > 0 {
            wrong.push(Diagnostic::error(place, "SQS waits for whole seconds, at most `20s`"));
        }
        if !(5..=43_200).contains(&self.visibility.0.as_secs()) {
            wrong.push(Diagnostic::error(place, "`visibility` must be between `5s` and `12h`"));
        }
        wrong
    }

    /// The region of the queue, where the options say it.
    pub(super) fn region(&self) -> Option<String> {
        self.region.clone().or_else(|| region_in(self.queue.as_deref()?).map(str::to_owned))
    }

    pub(super) fn queue_settings(&self) -> QueueSettings {
        QueueSettings {
            name: self.queue.clone().unwrap_or_default(),
            owner: None,
            wait: u32::try_from(self.wait.0.as_secs()).unwrap_or(20).min(20),
            most: MOST,
            visibility: self.visibility.0,
        }
    }
}

/// The region in the URL of a queue: `https://sqs.eu-west-1.amazonaws.com/111122223333/changes`.
fn region_in(url: &str) -> Option<&str> {
    let host = url.split_once("://")?.1.split(['/', ':']).next()?;
    let rest = host.strip_prefix("sqs.")?;
    let (region, _) = rest.split_once(".amazonaws.com")?;
    (!region.is_empty()).then_some(region)
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::spec::Options;

    use super::*;

    fn read(yaml: &str) -> (EventsOptions, Vec<String>) {
        let options = Options::parse(yaml).unwrap();
        let read: EventsOptions = options.read().unwrap();
        let wrong = read.wrong(options.tree.place).into_iter().map(|found| found.message).collect();
        (read, wrong)
    }

    #[test]
    fn a_queue_is_all_that_must_be_given() {
        let (options, wrong) = read("queue: changes");
        assert_eq!(wrong, Vec::<String>::new());
        let settings = options.queue_settings();
        assert_eq!((settings.wait, settings.most, settings.visibility.as_secs()), (20, 10, 120));
        assert_eq!(options.region(), None);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_go() {
        assert_eq!(read("wait: 21s\nvisibility: 1s").1.len(), 3);
        assert_eq!(read("queue: q\nwait: 100ms").1, ["SQS waits for whole seconds, at most `20s`"]);
    }

    #[test]
    fn the_region_is_the_given_one_or_that_of_the_url() {
        let url = "queue: https://sqs.eu-west-1.amazonaws.com/111122223333/changes";
        assert_eq!(read(url).0.region().as_deref(), Some("eu-west-1"));
        assert_eq!(read(&format!("{url}\nregion: us-east-2")).0.region().as_deref(), Some("us-east-2"));
        assert_eq!(read("queue: http://127.0.0.1:5000/111122223333/changes").0.region(), None);
    }
}
