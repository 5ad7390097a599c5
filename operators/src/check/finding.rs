//! Findings: what a control says about a resource.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// What a control says about a resource. Ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// The control does not apply.
    Skip,
    /// Worth knowing, neither good nor bad.
    Info,
    /// Not as it should be.
    Alarm,
    /// The control could not tell.
    Error,
}

impl Status {
    /// Every status, best first.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Skip, Self::Info, Self::Alarm, Self::Error];

    /// The word that queries and rows use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skip",
            Self::Info => "info",
            Self::Alarm => "alarm",
            Self::Error => "error",
        }
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|status| status.word() == word).ok_or(())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How bad an alarm of a control is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Not at all.
    None,
    /// A little.
    Low,
    /// Should be mended.
    Medium,
    /// Should be mended soon.
    High,
    /// Should be mended now.
    Critical,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 5] = [Self::None, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word that packs and rows use.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for Severity {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|severity| severity.word() == word).ok_or(())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What makes a finding the same finding from run to run: xxh3-128 of pack, control, resource, account,
/// region and dimensions. Neither status nor reason, severity or time is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u128);

/// What a control says about one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What makes it the same finding from run to run.
    pub identity: Identity,
    /// The pack.
    pub pack: Arc<str>,
    /// The id of the control.
    pub control: Arc<str>,
    /// The title of the control.
    pub title: Arc<str>,
    /// The resource: an ARN or its like; `control:ID`, `scope:ACCOUNT/REGION/TABLE` or `row:HASH` where
    /// the control, a scope or a row without a resource is meant.
    pub resource: Arc<str>,
    /// What it says.
    pub status: Status,
    /// Why, in one sentence.
    pub reason: Arc<str>,
    /// How bad an alarm would be.
    pub severity: Severity,
    /// The account, where the query selects it.
    pub account_id: Option<Arc<str>>,
    /// The region, where the query selects it.
    pub region: Option<Arc<str>>,
    /// The other columns of the query as a JSON object, keys sorted; `{}` where there are none.
    pub dimensions: Arc<str>,
    /// What decided: the columns that the conditions for its status look at, as a JSON object, keys sorted. `{}` where there
    /// are none, and for findings that are ok.
    pub evidence: Arc<str>,
}

/// The JSON object without members.
pub(super) const NOTHING: &str = "{}";

/// What an identity is made of.
#[derive(Debug, Clone, Copy)]
pub struct IdentityParts<'a> {
    /// The pack.
    pub pack: &'a str,
    /// The control.
    pub control: &'a str,
    /// The resource.
    pub resource: &'a str,
    /// The account.
    pub account_id: Option<&'a str>,
    /// The region.
    pub region: Option<&'a str>,
    /// The dimensions.
    pub dimensions: &'a str,
}

impl From<IdentityParts<'_>> for Identity {
    fn from(parts: IdentityParts<'_>) -> Self {
        let mut encoded = Vec::with_capacity(256);
        let texts = [Some(parts.pack), Some(parts.control), Some(parts.resource), parts.account_id, parts.region];
        for text in texts.into_iter().chain([Some(parts.dimensions)]) {
            // The length stands before each text, so that no two lists of texts hash alike by running together.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            encoded.extend_from_slice(&length.to_le_bytes());
            encoded.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        Self(xxh3_128(&encoded))
    }
}

impl Finding {
    /// What is said about a resource that no row of a query stands behind.
    pub(super) fn new(
        parts: IdentityParts<'_>,
        title: &Arc<str>,
        status: Status,
        reason: &str,
        severity: Severity,
    ) -> Self {
        Self {
            identity: Identity::from(parts),
            pack: parts.pack.into(),
            control: parts.control.into(),
            title: Arc::clone(title),
            resource: parts.resource.into(),
            status,
            reason: reason.into(),
            severity,
            account_id: parts.account_id.map(Into::into),
            region: parts.region.map(Into::into),
            dimensions: parts.dimensions.into(),
            evidence: NOTHING.into(),
        }
    }

    /// The order in which findings are reported: control, resource, dimensions, then the rest of the identity.
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        let rest =
            || (&self.account_id, &self.region, self.identity).cmp(&(&other.account_id, &other.region, other.identity));
        (&self.control, &self.resource, &self.dimensions)
            .cmp(&(&other.control, &other.resource, &other.dimensions))
            .then_with(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(resource: &'a str, account_id: Option<&'a str>) -> IdentityParts<'a> {
        IdentityParts { pack: "p", control: "c", resource, account_id, region: None, dimensions: "{}" }
    }

    #[test]
    fn texts_that_run_together_alike_have_other_identities() {
        assert_ne!(Identity::from(parts("a", Some("bc"))), Identity::from(parts("ab", Some("c"))));
        assert_ne!(Identity::from(parts("a", Some(""))), Identity::from(parts("a", None)));
    }

    #[test]
    fn error_is_worse_than_alarm_and_alarm_than_ok() {
        assert!(Status::Error > Status::Alarm && Status::Alarm > Status::Info && Status::Skip > Status::Ok);
    }
}
