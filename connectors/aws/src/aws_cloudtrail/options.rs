//! The options of `aws_cloudtrail`.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, Options};

use crate::connection::{Connection, ConnectionOptions, place};

/// The options of `aws_cloudtrail`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudTrailOptions {
    /// The pause between two looks at the history, in seconds, at least 1.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    pub delay_seconds: u32,
    /// How far back each look goes from the last event, 1m to 6h: an event that turns up later than that is missed.
    #[serde(default = "a_quarter_of_an_hour")]
    pub overlap: Duration,
    /// Only events with this attribute. CloudTrail takes one.
    #[serde(default)]
    #[schemars(length(max = 1))]
    pub lookup_attributes: Vec<LookupAttribute>,
    /// `insight` for the events of CloudTrail Insights instead of those of the management of resources.
    pub event_category: Option<EventCategory>,
    /// The region; without it the one of the environment or the profile.
    pub region: Option<String>,
}

/// An attribute that events are to have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupAttribute {
    /// Its name.
    #[serde(rename = "AttributeKey")]
    pub key: AttributeKey,
    /// Its value.
    #[serde(rename = "AttributeValue")]
    pub value: String,
}

/// The attributes that CloudTrail looks up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AttributeKey {
    /// The id of the event.
    EventId,
    /// The name of the call.
    EventName,
    /// `true` or `false`.
    ReadOnly,
    /// The user, role or service that called.
    Username,
    /// The type of a resource of the event.
    ResourceType,
    /// The name of a resource of the event.
    ResourceName,
    /// The service that was called.
    EventSource,
    /// The access key that signed the call.
    AccessKeyId,
}

impl AttributeKey {
    /// As CloudTrail writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EventId => "EventId",
            Self::EventName => "EventName",
            Self::ReadOnly => "ReadOnly",
            Self::Username => "Username",
            Self::ResourceType => "ResourceType",
            Self::ResourceName => "ResourceName",
            Self::EventSource => "EventSource",
            Self::AccessKeyId => "AccessKeyId",
        }
    }
}

/// The category of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventCategory {
    /// Events of CloudTrail Insights.
    Insight,
}

fn ten() -> u32 {
    10
}

fn a_quarter_of_an_hour() -> Duration {
    Duration::seconds(900)
}

/// The options, found to be good.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) pause: std::time::Duration,
    /// In seconds.
    pub(super) overlap: i64,
    pub(super) attribute: Option<LookupAttribute>,
    pub(super) category: Option<EventCategory>,
    pub(super) connection: Connection,
}

impl CloudTrailOptions {
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
        if self.delay_seconds == 0 {
            wrong
                .push(at("delay_seconds", "CloudTrail takes two requests in a second: the pause is at least 1 second"));
        }
        if !(60..=21_600).contains(&self.overlap.0.as_secs()) {
            wrong.push(at("overlap", "the overlap must be between `1m` and `6h`"));
        }
        if self.lookup_attributes.len() > 1 {
            let found = at("lookup_attributes", "CloudTrail takes one attribute");
            wrong.push(found.with_help("look for the others with `filter`, or make several sources"));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Settings {
            pause: std::time::Duration::from_secs(self.delay_seconds.into()),
            overlap: self.overlap.0.as_secs() as i64,
            attribute: self.lookup_attributes.into_iter().next(),
            category: self.event_category,
            connection,
        })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::spec::Together;

    use super::*;

    fn checked(yaml: &str) -> Result<Settings, Vec<String>> {
        let options = Options::parse(yaml).unwrap();
        let read = options.read().and_then(|read: Together<CloudTrailOptions, ConnectionOptions>| {
            let Together(read, reach) = read;
            read.check(&reach, &options, Path::new(""))
        });
        read.map_err(|wrong| wrong.into_iter().map(|found| found.message).collect())
    }

    #[test]
    fn a_rulebooks_arguments_are_taken_as_they_are() {
        let settings = checked(
            "region: us-east-1\nlookup_attributes:\n- AttributeKey: EventSource\n  AttributeValue: ec2.amazonaws.com\nevent_category: insight\n",
        )
        .unwrap();
        assert_eq!(settings.attribute.unwrap().key.name(), "EventSource");
        assert_eq!((settings.pause.as_secs(), settings.overlap), (10, 900));
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        let two = "lookup_attributes: [{AttributeKey: EventName, AttributeValue: a}, {AttributeKey: EventName, AttributeValue: b}]";
        let wrong = checked(&format!("{two}\noverlap: 1s\ndelay_seconds: 0")).unwrap_err();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }
}
