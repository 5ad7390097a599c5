//! With whom snapshots are shared.

use serde_json::{Value, json};

/// Which accounts may restore a snapshot.
const RESTORE: &str = "restore";
/// What stands for all accounts.
const ALL: &str = "all";

/// The type of snapshots that RDS makes by itself, which cannot be shared.
pub(super) const AUTOMATED: &str = "automated";

/// With whom a snapshot is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sharing {
    /// Whether every account may restore it.
    pub(super) is_public: bool,
    /// Its attributes as JSON, sorted.
    pub(super) attributes: String,
}

impl Sharing {
    /// Of a snapshot that has those attributes: each a name, and values.
    pub(super) fn of<'a>(attributes: impl Iterator<Item = (Option<&'a str>, &'a [String])>) -> Self {
        let mut attributes: Vec<(&str, Vec<&str>)> = attributes
            .map(|(name, values)| {
                let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
                values.sort_unstable();
                (name.unwrap_or_default(), values)
            })
            .collect();
        attributes.sort_unstable();
        let is_public = attributes.iter().any(|(name, values)| *name == RESTORE && values.contains(&ALL));
        let json = |(name, values): &(&str, Vec<&str>)| json!({"AttributeName": name, "AttributeValues": values});
        Self { is_public, attributes: attributes.iter().map(json).collect::<Value>().to_string() }
    }

    /// Of a snapshot that cannot be shared.
    pub(super) fn none() -> Self {
        Self::of(std::iter::empty())
    }
}
