//! What a provider collects, and where.

use std::collections::HashSet;
use std::sync::Arc;

use crate::notification::Target;

/// The region of what belongs to none.
const GLOBAL: &str = "global";

/// The accounts, regions and tables that a provider collects, as far as it knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(HashSet<(Arc<str>, Arc<str>, Arc<str>)>);

impl<A: Into<Arc<str>>, R: Into<Arc<str>>, T: Into<Arc<str>>> FromIterator<(A, R, T)> for Coverage {
    /// Of account, region and table.
    fn from_iter<I: IntoIterator<Item = (A, R, T)>>(scopes: I) -> Self {
        Self(scopes.into_iter().map(|(account, region, table)| (account.into(), region.into(), table.into())).collect())
    }
}

impl Coverage {
    /// A target where it is collected: in its region, or once for the whole account. `None` where it is not.
    pub fn place(&self, target: Target) -> Option<Target> {
        let scope = |region: &Arc<str>| (Arc::clone(&target.account_id), Arc::clone(region), target.table.into());
        if self.0.contains(&scope(&target.region)) {
            return Some(target);
        }
        let global: Arc<str> = GLOBAL.into();
        self.0.contains(&scope(&global)).then(|| Target { region: global, ..target.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(account: &str, region: &str, table: &'static str) -> Target {
        Target { account_id: account.into(), region: region.into(), table, id: Some("x".into()) }
    }

    #[test]
    fn a_target_is_placed_in_its_region_or_in_none_and_nowhere_else() {
        let coverage: Coverage =
            [("1", "eu-west-1", "aws_vpc"), ("1", "global", "aws_s3_bucket")].into_iter().collect();
        let place = |account, region, table| coverage.place(target(account, region, table)).map(|found| found.region);
        assert_eq!(place("1", "eu-west-1", "aws_vpc").as_deref(), Some("eu-west-1"));
        assert_eq!(place("1", "eu-west-1", "aws_s3_bucket").as_deref(), Some("global"));
        assert_eq!(place("1", "us-east-1", "aws_vpc"), None);
        assert_eq!(place("2", "eu-west-1", "aws_vpc"), None);
        assert_eq!(place("1", "eu-west-1", "aws_ebs_volume"), None);
    }
}
