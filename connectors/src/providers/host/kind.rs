//! `host` as a kind of source in YAML.

use std::sync::Arc;

use tidegate_pipeline::provider::{Provider, ProviderKind, planned_provider_source};
use tidegate_pipeline::source::{Guarantee, GuaranteeClass, PlannedSource, SourceKind, SourcePlanContext};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::table::TableDefinition;

use super::{HostOptions, HostProvider};

/// `host`: this machine's own inventory.
pub struct HostKind;

impl SourceKind for HostKind {
    fn name(&self) -> &'static str {
        "host"
    }

    fn summary(&self) -> &'static str {
        "This machine's own inventory as tables: users, processes, sockets, mounts, packages, kernel settings, files."
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Replayable,
            on_crash: "The machine is collected again, and compared with what was journaled. A refresh that was interrupted ends as failed and deletes nothing.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(HostOptions)
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        Some(options.canonical_of(&["root"]))
    }

    fn plan(&self, options: &Options, _context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let refresh = options.read::<HostOptions>()?.refresh;
        Ok(planned_provider_source(ProviderKind::provider(self, options)?, refresh))
    }

    fn provider(&self) -> Option<&dyn ProviderKind> {
        Some(self)
    }
}

impl ProviderKind for HostKind {
    fn provider(&self, options: &Options) -> Result<Arc<dyn Provider>, Vec<Diagnostic>> {
        let provider = HostProvider::new(options.read()?).map_err(|error| {
            let diagnostic = Diagnostic::error(options.tree.place, error.message);
            vec![error.remedy.iter().fold(diagnostic, |diagnostic, remedy| diagnostic.with_help(remedy))]
        })?;
        Ok(Arc::new(provider))
    }

    fn tables(&self) -> Vec<TableDefinition> {
        super::definitions()
    }
}
