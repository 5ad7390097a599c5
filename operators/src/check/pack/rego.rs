//! What a control says of its policy in Rego, besides the policy.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_pipeline::spec::diagnostic::{Located, closest};
use tidegate_pipeline::spec::{SqlText, Tree};

use super::fields::{Fields, Problems, kind};

/// The fields of a control that belong to a policy.
pub(super) const FIELDS: [&str; 3] = ["rule", "input", "output"];

/// How a policy is fed, and how its answer is read.
#[derive(Debug, Clone, Default)]
pub struct RegoOptions {
    /// The rule that answers, and maybe fields of its value: `findings`, `details.old_snapshots`.
    pub rule: Option<Located<String>>,
    /// What `input` holds besides `tables`, `params` and `now`, by name.
    pub input: Vec<(Located<String>, RegoInput)>,
    /// Which field of the answer's objects is which column of a finding, by column. All fields, by their own names, where
    /// it is empty.
    pub output: BTreeMap<FindingColumn, Located<String>>,
    /// Further files that the policy imports: their names and texts.
    pub modules: Vec<(Arc<str>, SqlText)>,
}

/// What stands under a name in `input`.
#[derive(Debug, Clone)]
pub enum RegoInput {
    /// The rows of a table or view.
    Table(Located<String>),
    /// The rows of a query.
    Query(SqlText),
    /// The value of a parameter.
    Parameter(Located<String>),
    /// This value.
    Value(Located<Tree>),
}

/// What a field of a policy's answer can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingColumn {
    /// The resource.
    Resource,
    /// The status.
    Status,
    /// The reason.
    Reason,
    /// The account.
    AccountId,
    /// The region.
    Region,
    /// The severity.
    Severity,
}

impl FindingColumn {
    /// Every column.
    pub const ALL: [Self; 6] =
        [Self::Resource, Self::Status, Self::Reason, Self::AccountId, Self::Region, Self::Severity];

    /// Its name in queries, policies and rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Status => "status",
            Self::Reason => "reason",
            Self::AccountId => "account_id",
            Self::Region => "region",
            Self::Severity => "severity",
        }
    }

    /// The column of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

/// Reads the fields of a policy; `source` is the text of the file that they stand in.
pub(super) fn read(fields: &Fields<'_>, source: &Arc<str>, problems: &mut Problems<'_>) -> RegoOptions {
    let mut options = RegoOptions { rule: fields.text("rule", problems), ..RegoOptions::default() };
    for (name, value) in fields.map("input", problems) {
        let name = Located::new(name.value.to_string(), name.place);
        if ["tables", "params", "now"].contains(&name.as_str()) {
            problems.add(name.place, format!("`input.{}` is given by Tidegate: choose another name", name.value));
        } else {
            options.input.push((name, input(value, source)));
        }
    }
    for (column, field) in fields.map("output", problems) {
        let Some(known) = FindingColumn::named(&column.value) else {
            let names = FindingColumn::ALL.map(|column| column.name().to_owned());
            let help = match closest(&column.value, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("columns of a finding: {}", names.join(", ")),
            };
            problems.add_with_help(column.place, format!("a finding has no column `{}`", column.value), Some(help));
            continue;
        };
        match &field.value {
            Tree::Text(text) => {
                options.output.insert(known, Located::new(text.to_string(), field.place));
            }
            other => problems.add(field.place, format!("expected the name of a field, found {}", kind(other))),
        }
    }
    options
}

fn input(value: &Located<Tree>, source: &Arc<str>) -> RegoInput {
    let Tree::Text(text) = &value.value else { return RegoInput::Value(value.clone()) };
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    match (word.as_str(), text.strip_prefix('$')) {
        ("select" | "with", _) => RegoInput::Query(SqlText::in_yaml(text.to_string(), value.place, Arc::clone(source))),
        (_, Some(name)) => RegoInput::Parameter(Located::new(name.to_owned(), value.place)),
        _ => RegoInput::Table(Located::new(text.to_string(), value.place)),
    }
}
