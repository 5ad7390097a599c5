//! What a provider collects, and where.

use std::collections::HashSet;
use std::sync::Arc;

use crate::estate::GLOBAL;
use crate::notification::Target;

/// Account, region and table.
type Scope = (Arc<str>, Arc<str>, Arc<str>);

/// The accounts, regions and tables that a provider collects; by default not known yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(Option<HashSet<Scope>>);

impl<A: Into<Arc<str>>, R: Into<Arc<str>>, T: Into<Arc<str>>> FromIterator<(A, R, T)> for Coverage {
    /// Of account, region and table.
    fn from_iter<I: IntoIterator<Item = (A, R, T)>>(scopes: I) -> Self {
        let scopes = scopes.into_iter();
        Self(Some(scopes.map(|(account, region, table)| (account.into(), region.into(), table.into())).collect()))
    }
}

impl Coverage {
    /// A target where it is collected: in its region, or once for the whole account. `None` where it is not. As long as
    /// nothing is known every target is taken as it is.
    pub fn place(&self, target: Target) -> Option<Target> {
        let Some(scopes) = &self.0 else { return Some(target) };
        let scope =
            |region: &Arc<str>| -> Scope { (Arc::clone(&target.account_id), Arc::clone(region), target.table.into()) };
        if scopes.contains(&scope(&target.region)) {
            return Some(target);
        }
        let global: Arc<str> = GLOBAL.into();
        scopes.contains(&scope(&global)).then(|| Target { region: global, ..target.clone() })
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
        let anywhere = target("9", "anywhere", "aws_vpc");
        assert_eq!(Coverage::default().place(anywhere.clone()), Some(anywhere));
    }
}
