//! Where a listing of records goes on: a name, a type, and the identifier of one of several records of both.

use aws_sdk_route53::operation::list_resource_record_sets::ListResourceRecordSetsOutput;
use aws_sdk_route53::types::RrType;

/// What stands between the parts. Names have none of it: Route 53 writes `\011`. Identifiers may, and come last.
const BETWEEN: char = '\t';

/// The first record of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Continuation {
    pub(super) name: Option<String>,
    pub(super) of_type: Option<RrType>,
    pub(super) identifier: Option<String>,
}

impl Continuation {
    /// The token of what follows a page; nothing where it is the last.
    pub(super) fn token(page: &ListResourceRecordSetsOutput) -> Option<String> {
        let name = page.next_record_name().filter(|_| page.is_truncated())?;
        let of_type = page.next_record_type().map(RrType::as_str).unwrap_or_default();
        let identifier = page.next_record_identifier().unwrap_or_default();
        Some(format!("{name}{BETWEEN}{of_type}{BETWEEN}{identifier}"))
    }

    /// What a token says; the beginning without one.
    pub(super) fn of(token: Option<&str>) -> Self {
        let mut parts =
            token.unwrap_or_default().splitn(3, BETWEEN).map(|part| Some(part).filter(|part| !part.is_empty()));
        let mut next = || parts.next().flatten();
        Self {
            name: next().map(str::to_owned),
            of_type: next().map(RrType::from),
            identifier: next().map(str::to_owned),
        }
    }
}
