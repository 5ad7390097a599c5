//! The providers of AWS as kinds of sources in YAML.

use std::sync::Arc;

use tidegate_pipeline::provider::{Provider, ProviderKind, planned_provider_source};
use tidegate_pipeline::source::{Guarantee, GuaranteeClass, PlannedSource, SourceKind, SourcePlanContext};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::{Diagnostic, closest, remedy_for};
use tidegate_pipeline::table::TableDefinition;

use super::{AwsProvider, Collector, ProviderOptions};
use crate::connection::place;
use crate::estate::no_regions;

/// A service of AWS that is collected, as a kind in YAML.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// The kind's name.
    pub(crate) kind: &'static str,
    /// One sentence.
    pub(crate) summary: &'static str,
    /// What reads its tables.
    pub(crate) collectors: fn() -> Vec<Arc<dyn Collector>>,
}

impl Service {
    /// Every table that it can collect.
    pub(crate) fn tables(&self) -> Vec<TableDefinition> {
        let collectors = (self.collectors)();
        collectors
            .iter()
            .flat_map(|collector| collector.tables().into_iter().map(super::Declared::definition))
            .collect()
    }

    /// All that is read only where options name it.
    pub(crate) fn hydrations(&self) -> Vec<String> {
        let collectors = (self.collectors)();
        collectors.iter().flat_map(|collector| collector.hydrations()).map(|&name| name.to_owned()).collect()
    }

    /// The options, found to be good.
    fn read(&self, options: &Options) -> Result<ProviderOptions, Vec<Diagnostic>> {
        let read: ProviderOptions = options.read()?;
        let wrong = self.wrong(&read, options);
        if wrong.is_empty() { Ok(read) } else { Err(wrong) }
    }

    fn wrong(&self, read: &ProviderOptions, options: &Options) -> Vec<Diagnostic> {
        let mut wrong = read.connection(options).wrong(options);
        wrong.extend(read.aws.0.wrong(place(options, "aws")));
        wrong.extend(read.events.iter().flat_map(|events| events.wrong(place(options, "events"))));
        let known: Vec<String> = self.tables().iter().map(|table| table.name.to_string()).collect();
        let tables = read.tables.iter().flatten().map(|name| ("tables", name));
        let filtered = read.filters.keys().map(|name| ("filters", name));
        for (key, name) in tables.chain(filtered).filter(|(_, name)| !known.contains(name)) {
            let found = Diagnostic::error(place(options, key), format!("`{}` has no table `{name}`", self.kind));
            wrong.push(found.with_help(remedy_for(name, "tables", &known)));
        }
        wrong.extend(self.wrong_filters(read, options));
        wrong.extend(self.wrong_hydrations(read, options));
        if read.objects.is_some() && !self.lists_objects() {
            let found = Diagnostic::error(place(options, "objects"), format!("`{}` has no objects to list", self.kind));
            wrong.push(found.with_help("leave `objects` out: it is for `aws_s3`"));
        }
        if read.tables.as_ref().is_some_and(Vec::is_empty) {
            let found = Diagnostic::error(place(options, "tables"), "`tables` is empty");
            wrong.push(found.with_help("leave it out for all tables, or name some"));
        }
        if read.regions.as_ref().is_some_and(Vec::is_empty) {
            wrong.push(no_regions(place(options, "regions")));
        }
        wrong
    }

    fn lists_objects(&self) -> bool {
        (self.collectors)().iter().any(|collector| collector.lists_objects())
    }

    /// Filters of tables that are read along with another: they belong to the listing, and so to its first table.
    fn wrong_filters(&self, read: &ProviderOptions, options: &Options) -> Vec<Diagnostic> {
        let collectors = (self.collectors)();
        let wrong = read.filters.keys().filter_map(|name| {
            let listing = collectors.iter().find_map(|collector| {
                let tables = collector.tables();
                tables
                    .iter()
                    .skip(1)
                    .any(|table| table.name() == name)
                    .then(|| tables.first().map(|table| table.name()))
            });
            let first = listing??;
            let found = format!("`{name}` has no filters of its own: it is read along with `{first}`");
            let help = format!("filter `{first}`; the rows of both are those of what passes");
            Some(Diagnostic::error(place(options, "filters"), found).with_help(help))
        });
        wrong.collect()
    }

    /// What is wrong with what is to be hydrated.
    fn wrong_hydrations(&self, read: &ProviderOptions, options: &Options) -> Vec<Diagnostic> {
        let known = self.hydrations();
        let unknown = read.hydrate.iter().filter(|name| !known.contains(name)).map(|name| {
            let found = format!("`{}` has nothing called `{name}` that is read only where it is named", self.kind);
            let help = match (closest(name, &known), known.is_empty()) {
                (Some(name), _) => format!("did you mean `{name}`?"),
                (None, true) => "leave `hydrate` out: all that this kind has is read".to_owned(),
                (None, false) => format!("it has {}", known.join(", ")),
            };
            Diagnostic::error(place(options, "hydrate"), found).with_help(help)
        });
        unknown.collect()
    }
}

/// A kind of provider of AWS.
pub(crate) struct AwsKind(pub(crate) Service);

impl SourceKind for AwsKind {
    fn name(&self) -> &'static str {
        self.0.kind
    }

    fn summary(&self) -> &'static str {
        self.0.summary
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Replayable,
            on_crash: "AWS is asked again, and what it says compared with what was journaled. A refresh that was interrupted ends as failed and deletes nothing.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        let mut schema = schemars::schema_for!(ProviderOptions);
        if !self.0.lists_objects()
            && let Some(properties) = schema.get_mut("properties").and_then(|properties| properties.as_object_mut())
        {
            properties.remove("objects");
        }
        schema
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        Some(options.canonical_of(&["aws", "regions", "filters"]))
    }

    fn shared_options(&self) -> &'static [&'static str] {
        &["aws", "regions"]
    }

    fn provider(&self) -> Option<&dyn ProviderKind> {
        Some(self)
    }

    fn plan(&self, options: &Options, _context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let read = self.0.read(options)?;
        let refresh = read.refresh.clone();
        Ok(planned_provider_source(Arc::new(AwsProvider::new(&self.0, read, options)), refresh))
    }
}

impl ProviderKind for AwsKind {
    fn provider(&self, options: &Options) -> Result<Arc<dyn Provider>, Vec<Diagnostic>> {
        Ok(Arc::new(AwsProvider::new(&self.0, self.0.read(options)?, options)))
    }

    fn tables(&self) -> Vec<TableDefinition> {
        self.0.tables()
    }

    fn hydrations(&self) -> Vec<String> {
        self.0.hydrations()
    }

    fn policy(&self, tables: Option<&[String]>, hydrate: &[String]) -> Option<serde_json::Value> {
        Some(self.0.policy(tables, hydrate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{aws_ec2, aws_s3};

    #[test]
    fn filters_of_a_table_that_is_read_along_with_another_are_refused_and_never_ignored() {
        let filtering = |table: &str| {
            let options = Options::parse(&format!("filters: {{{table}: {{state: [available]}}}}")).unwrap();
            ProviderKind::provider(&AwsKind(aws_ec2::SERVICE), &options).err().unwrap_or_default()
        };
        assert!(filtering("aws_ebs_volume").is_empty());
        let wrong = filtering("aws_ebs_volume_attachment");
        assert!(wrong[0].message.contains("it is read along with `aws_ebs_volume`"), "{wrong:?}");
    }

    #[test]
    fn only_where_there_are_objects_may_they_be_listed() {
        let options = |text: &str| Options::parse(text).unwrap();
        let listing = options("objects: {most: 10}");
        assert!(ProviderKind::provider(&AwsKind(aws_s3::SERVICE), &listing).is_ok());
        let wrong = ProviderKind::provider(&AwsKind(aws_ec2::SERVICE), &listing).err().unwrap();
        assert!(wrong[0].message.contains("`aws_ec2` has no objects to list"), "{wrong:?}");
        assert!(ProviderKind::provider(&AwsKind(aws_s3::SERVICE), &options("objects: {most: 0}")).is_err());
        let lists = |service| AwsKind(service).schema().to_value()["properties"].get("objects").is_some();
        assert!(lists(aws_s3::SERVICE) && !lists(aws_ec2::SERVICE));
    }
}
