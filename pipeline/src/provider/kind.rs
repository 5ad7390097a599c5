//! What can be said of a kind of provider before there is one.

use std::sync::Arc;

use super::Provider;
use crate::spec::Options;
use crate::spec::diagnostic::Diagnostic;
use crate::table::TableDefinition;

/// A kind of source that collects inventory.
pub trait ProviderKind: Send + Sync {
    /// The provider that these options describe, with which `provider verify` asks what a refresh would.
    ///
    /// # Errors
    /// Everything that is wrong with the options, each with its place.
    fn provider(&self, options: &Options) -> Result<Arc<dyn Provider>, Vec<Diagnostic>>;

    /// Every table that it can collect.
    fn tables(&self) -> Vec<TableDefinition>;

    /// What of it is collected only where options name it: columns as `table.column`, and tables.
    fn hydrations(&self) -> Vec<String> {
        Vec::new()
    }

    /// The least that it must be allowed to do to collect `tables` (all of them where that is absent), and what of
    /// [`ProviderKind::hydrations`] `hydrate` names, as a policy document of what it collects from; `None` where nothing
    /// has to be allowed.
    fn policy(&self, _tables: Option<&[String]>, _hydrate: &[String]) -> Option<serde_json::Value> {
        None
    }
}
