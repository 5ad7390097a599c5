//! `uses:`: what a source needs set up before it, and what it takes over from there.

use std::sync::Arc;

use super::order::{Circle, topological};
use crate::catalog::Catalog;
use crate::spec::PipelineSpec;
use crate::spec::diagnostic::{Diagnostic, Located};
use crate::spec::pipeline::{NodeSpec, Section};

/// A circle of sources that need each other.
const CIRCLE: Circle = Circle {
    what: "these sources need each other to be set up first",
    help: "take one of these `uses` away: what both need, such as an account, can stand in a third source",
};

/// The pipeline with what sources take over by `uses:` written into each: of the options that both kinds share
/// ([`crate::source::SourceKind::shared_options`]) those that the source does not have itself, from the first source in
/// its list that has them. Where something is wrong, that is told, and nothing taken over.
pub(super) fn settle(spec: Arc<PipelineSpec>, catalog: &Catalog) -> (Arc<PipelineSpec>, Vec<Diagnostic>) {
    if spec.sources.iter().all(|source| source.uses.is_empty()) {
        return (spec, Vec::new());
    }
    let wrong: Vec<Diagnostic> = spec.sources.iter().flat_map(|source| wrong(source, &spec)).collect();
    if !wrong.is_empty() {
        return (spec, wrong);
    }
    let sources: Vec<&NodeSpec> = spec.sources.iter().collect();
    let order = match topological(&sources, |source| source.uses.iter().map(|used| &*used.value).collect(), &CIRCLE) {
        Ok(order) => order,
        Err(circles) => return (spec, circles),
    };
    let mut settled = (*spec).clone();
    for index in order {
        take_over(&mut settled.sources, index, catalog);
    }
    (Arc::new(settled), Vec::new())
}

/// What is wrong with the names in a source's `uses`.
fn wrong(source: &NodeSpec, spec: &PipelineSpec) -> Vec<Diagnostic> {
    source.uses.iter().filter_map(|used| wrong_name(used, spec)).collect()
}

fn wrong_name(used: &Located<Arc<str>>, spec: &PipelineSpec) -> Option<Diagnostic> {
    let error = |message: String| Diagnostic::error(used.place, message);
    match spec.nodes().find(|node| node.name.value == used.value) {
        Some(node) if node.section == Section::Source => None,
        Some(node) => {
            let found = error(format!("`{}` is {}, and a source uses sources", used.value, with_article(node.section)));
            Some(found.with_help("remove it: operators and sinks are set up before any source is"))
        }
        None => {
            let names = spec.sources.iter().map(|source| source.name.to_string());
            Some(error(format!("there is no source `{}`", used.value)).with_expected(&used.value, names))
        }
    }
}

fn with_article(section: Section) -> &'static str {
    match section {
        Section::Source => "a source",
        Section::Operator => "an operator",
        Section::Sink => "a sink",
    }
}

fn take_over(sources: &mut [NodeSpec], index: usize, catalog: &Catalog) {
    let shared_by = |source: &NodeSpec| catalog.source(&source.kind).map_or(&[][..], |kind| kind.shared_options());
    let own = shared_by(&sources[index]);
    for used in sources[index].uses.clone() {
        let Some(used) = sources.iter().find(|source| source.name.value == used.value) else { continue };
        let theirs = shared_by(used);
        let keys: Vec<&str> = own.iter().copied().filter(|key| theirs.contains(key)).collect();
        let options = used.options.clone();
        sources[index].options.take_over(&options, &keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Guarantee, GuaranteeClass, PlannedSource, SourceKind, SourcePlanContext};
    use crate::spec::{Options, Variables, load};

    /// A kind of provider that can share its estate.
    struct Sharing(&'static str, &'static [&'static str]);

    impl SourceKind for Sharing {
        fn name(&self) -> &'static str {
            self.0
        }
        fn summary(&self) -> &'static str {
            "Shares."
        }
        fn guarantee(&self) -> Guarantee {
            Guarantee { class: GuaranteeClass::Replayable, on_crash: "It is read again." }
        }
        fn schema(&self) -> schemars::Schema {
            schemars::json_schema!({"type": "object"})
        }
        fn shared_options(&self) -> &'static [&'static str] {
            self.1
        }
        fn plan(&self, options: &Options, _: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
            Err(vec![Diagnostic::error(options.tree.place, "never planned")])
        }
    }

    fn settled(sources: &str) -> (Arc<PipelineSpec>, Vec<Diagnostic>) {
        let mut catalog = Catalog::new();
        catalog.sources.push(Box::new(Sharing("machines", &["estate", "regions"])));
        catalog.sources.push(Box::new(Sharing("buckets", &["estate"])));
        catalog.sources.push(Box::new(Sharing("clock", &[])));
        let text = format!("version: 1\nsources:\n{sources}");
        let loaded = load(&text, "p.yaml", &Variables::none(), &catalog.known_kinds());
        settle(Arc::new(loaded.unwrap_or_else(|wrong| panic!("{wrong:?}")).spec), &catalog)
    }

    fn options(spec: &PipelineSpec, node: &str) -> String {
        spec.node(node).unwrap().options.canonical()
    }

    #[test]
    fn what_both_kinds_share_is_taken_over_through_any_number_of_sources_and_what_stands_there_stays() {
        let (spec, wrong) = settled(
            "  c: {buckets: , uses: b}\n  b: {machines: {regions: [south]}, uses: [t, a]}\n  \
             a: {machines: {estate: one, regions: [north], tables: [x]}}\n  t: {clock: {estate: none}}\n",
        );
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(options(&spec, "b"), r#"{"regions":["south"],"estate":"one"}"#);
        assert_eq!(options(&spec, "c"), r#"{"estate":"one"}"#);
        assert_eq!(options(&spec, "t"), r#"{"estate":"none"}"#);
    }

    #[test]
    fn of_several_the_first_that_says_something_is_followed() {
        let (spec, _) = settled(
            "  a: {machines: {estate: one}}\n  b: {machines: {estate: two, regions: [north]}}\n  \
             c: {machines: {}, uses: [a, b]}\n",
        );
        assert_eq!(options(&spec, "c"), r#"{"estate":"one","regions":["north"]}"#);
    }

    #[test]
    fn sources_that_need_each_other_are_named_and_so_is_what_is_no_source() {
        let (_, wrong) = settled("  a: {clock: {}, uses: b}\n  b: {clock: {}, uses: a}\n");
        assert_eq!(wrong[0].message, "these sources need each other to be set up first in a circle: b → a → b");
        let (_, wrong) = settled("  a: {clock: {}, uses: a}\n");
        assert_eq!(wrong[0].message, "these sources need each other to be set up first in a circle: a → a");
        let (_, wrong) = settled("  watch: {clock: {}}\n  a: {clock: {}, uses: wach}\n");
        assert_eq!((wrong[0].message.as_str(), wrong[0].place.line), ("there is no source `wach`", 4));
    }
}
