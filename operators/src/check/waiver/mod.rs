//! Waivers: alarms that somebody answers for, for a while.
//!
//! ```yaml
//! - id: W-17
//!   control: sg_ingress_*                       # ids or patterns; all of these must match, from end to end
//!   resource: "arn:*:security-group/sg-0ab*"
//!   account: "1111*"                            # absent: any
//!   region: eu-west-1                           # absent: any
//!   reason: The bastion of the old platform, gone in April.
//!   owner: platform@example.org
//!   created: 2026-01-02
//!   expires: 2026-04-01                         # from this day on (00:00 UTC) it counts no more; or `never`
//! ```
//!
//! A waiver leaves the status of a finding as it is and stands beside it; only alarms are waived. Of several that match
//! the first counts.

mod lint;
mod read;

use std::sync::Arc;

use tidegate_pipeline::spec::diagnostic::Place;
use tidegate_pipeline::step::StepTime;

pub use lint::lint;

use super::finding::{Finding, Status};
use super::pack::{PackProblem, glob};

/// An alarm, or several, that somebody answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Its id.
    pub id: Arc<str>,
    /// The controls: an id or a pattern.
    pub control: String,
    /// The resources: a name or a pattern.
    pub resource: String,
    /// The accounts; any where it is absent.
    pub account: Option<String>,
    /// The regions; any where it is absent.
    pub region: Option<String>,
    /// Why.
    pub reason: Arc<str>,
    /// Who answers for it.
    pub owner: String,
    /// Since when it is there.
    pub created: Option<StepTime>,
    /// From when on it counts no more; `None`: never.
    pub expires: Option<StepTime>,
    /// Where it stands in its file.
    pub place: Place,
}

impl Waiver {
    /// Whether it is about a finding, in effect or not.
    pub fn matches(&self, finding: &Finding) -> bool {
        self.matches_parts(
            &finding.control,
            &finding.resource,
            finding.account_id.as_deref(),
            finding.region.as_deref(),
        )
    }

    /// As [`Waiver::matches`], for the parts of a finding.
    pub fn matches_parts(&self, control: &str, resource: &str, account: Option<&str>, region: Option<&str>) -> bool {
        let any = |pattern: &Option<String>, value: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| value.is_some_and(|value| glob::matches(pattern, value)))
        };
        glob::matches(&self.control, control)
            && glob::matches(&self.resource, resource)
            && any(&self.account, account)
            && any(&self.region, region)
    }

    /// Whether it counts at a moment.
    pub fn in_effect(&self, time: StepTime) -> bool {
        self.expires.is_none_or(|expires| time < expires)
    }
}

/// All waivers of a file, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waivers(pub Vec<Waiver>);

impl Waivers {
    /// Reads a file. What is wrong with an entry leaves that entry out and becomes a problem.
    pub fn read(file: &str, contents: &[u8]) -> (Self, Vec<PackProblem>) {
        read::read(file, contents)
    }

    /// The waiver of a finding at a moment.
    pub fn of(&self, finding: &Finding, time: StepTime) -> Option<&Waiver> {
        let is_waived = |waiver: &&Waiver| waiver.in_effect(time) && waiver.matches(finding);
        self.0.iter().find(is_waived).filter(|_| finding.status == Status::Alarm)
    }

    /// The waiver of that id.
    pub fn get(&self, id: &str) -> Option<&Waiver> {
        self.0.iter().find(|waiver| &*waiver.id == id)
    }
}
