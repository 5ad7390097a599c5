//! The catalogue: which call changes rows of which of our tables, and where the call names them.
//!
//! It adds to what [`super::objects`] finds: tables that ManageIQ does not have, calls that name what they change where the
//! general rules do not look, and calls that do not name it at all. What a rule does not list is only mentioned by the
//! call. A call of the catalogue that names no id has its table read whole.

mod compute;
mod identity;
mod network;
mod service;
mod storage;

use super::event::ApiCall;
use super::walk::texts;

pub(super) use service::{configured, told};

/// Calls of one service that change rows of one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// The service, as the source of its events begins: `ec2`.
    service: &'static str,
    /// The table.
    pub(super) table: &'static str,
    /// The calls.
    calls: &'static [&'static str],
    /// Where the ids are, as [`super::walk::texts`] reads paths; none where the call does not name what it changes.
    ids: &'static [&'static str],
}

/// What begins a path into the arguments of a call, and one into its answer.
const REQUEST: &str = "requestParameters.";
const RESPONSE: &str = "responseElements.";

impl Rule {
    /// The ids that a call names.
    pub(super) fn ids_in<'a>(&self, call: &'a ApiCall) -> Vec<&'a str> {
        let of_path = |path: &&str| {
            let (map, path) = match (path.strip_prefix(REQUEST), path.strip_prefix(RESPONSE)) {
                (Some(path), _) => (&call.request, path),
                (None, Some(path)) => (&call.response, path),
                (None, None) => return Vec::new(),
            };
            texts(call.wrapped_in(map).unwrap_or(map), path)
        };
        self.ids.iter().flat_map(of_path).collect()
    }
}

/// The rules of a service.
const RULES: [&[Rule]; 4] = [compute::RULES, identity::RULES, network::RULES, storage::RULES];

/// The rules for a call.
pub(super) fn rules_for(call: &ApiCall) -> impl Iterator<Item = &'static Rule> {
    let of_call = |rule: &&Rule| rule.service == call.service && rule.calls.contains(&call.name.as_str());
    RULES.into_iter().flatten().filter(of_call)
}

/// An event of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Catalogued {
    /// Its name, as notifications have it: `AWS_API_CALL_RunInstances`.
    pub event: String,
    /// Who sends it, as the source of events of EventBridge: `aws.ec2`.
    pub source: String,
    /// The table whose rows it changes.
    pub table: &'static str,
    /// Where it names them; empty: it does not, and the whole table of that account and region is read.
    pub ids: Vec<&'static str>,
}

/// Every event of the catalogue with each table that it changes, sorted. (What the general rules of [`super::objects`]
/// find is read besides.)
pub fn catalogue() -> Vec<Catalogued> {
    let calls = RULES.into_iter().flatten().flat_map(|rule| {
        rule.calls.iter().map(|call| Catalogued {
            event: format!("AWS_API_CALL_{call}"),
            source: format!("aws.{}", rule.service),
            table: rule.table,
            ids: rule.ids.to_vec(),
        })
    });
    let mut all: Vec<Catalogued> = calls.chain(service::catalogued()).collect();
    all.sort();
    all
}
