//! Text → [`Tree`]: YAML 1.2, one document, with the place of every value.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Options as ParserOptions, Parser, ScalarStyle, Span, StrInput, Tag};

use super::diagnostic::{Diagnostic, FINDINGS, Located, Place};
use super::variables::{Variables, substitute};
use super::{Tree, scalar, syntax};

/// The longest text that is read, in bytes.
pub const TEXT_LIMIT: usize = 8 * 1024 * 1024;
/// How deeply lists and maps may nest.
pub const DEPTH_LIMIT: usize = 64;
/// How many values a file may have once its aliases are expanded; 64 bytes of text count as another value.
pub const VALUE_LIMIT: usize = 1_000_000;

/// The text of a file.
///
/// # Errors
/// When it is too large, or not UTF-8, with the place of the first byte that is not.
pub fn decode(bytes: &[u8]) -> Result<&str, Diagnostic> {
    if bytes.len() > TEXT_LIMIT {
        return Err(too_large());
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).map(String::from_utf8_lossy).unwrap_or_default();
        Diagnostic::error(Place::in_text(&valid, valid.len(), 0), "the file is not UTF-8 from here on")
            .with_help("save it as UTF-8")
    })
}

/// Reads a YAML text into a tree. A byte order mark is fine; an empty document is [`Tree::Null`].
///
/// # Errors
/// Everything that is wrong: syntax (the first error only), duplicate keys, unknown anchors, tags, missing
/// variables, and what exceeds [`TEXT_LIMIT`], [`DEPTH_LIMIT`] or [`VALUE_LIMIT`].
pub fn parse(text: &str, variables: &Variables) -> Result<Located<Tree>, Vec<Diagnostic>> {
    if text.len() > TEXT_LIMIT {
        return Err(vec![too_large()]);
    }
    let mut builder = Builder::new(text, variables);
    let root = builder.document();
    builder.found.sort_by_key(|diagnostic| diagnostic.place.offset);
    match root {
        Ok(root) if builder.found.is_empty() => Ok(root),
        _ => Err(builder.found),
    }
}

fn too_large() -> Diagnostic {
    Diagnostic::error(Place::in_text("", 0, 0), format!("the file is larger than {} MiB", TEXT_LIMIT >> 20))
        .with_help("a pipeline's data belongs into files that its nodes read")
}

/// Reading cannot go on; the reason is among the diagnostics.
struct Stopped;

/// A value that aliases can repeat.
struct Anchored {
    tree: Located<Tree>,
    weight: usize,
    height: usize,
}

struct Builder<'t> {
    text: &'t str,
    variables: &'t Variables,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Anchored>,
    anchor_names: Vec<String>,
    spent: usize,
    depth: usize,
    found: Vec<Diagnostic>,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, variables: &'t Variables) -> Self {
        let mut options = ParserOptions::default();
        options.emit_unresolved_aliases = true;
        options.emit_anchor_events = true;
        options.set_emit_comments(false);
        Self {
            text,
            variables,
            parser: Parser::new_from_str_with_options(text, options),
            anchors: HashMap::new(),
            anchor_names: Vec::new(),
            spent: 0,
            depth: 0,
            found: Vec::new(),
        }
    }

    fn document(&mut self) -> Result<Located<Tree>, Stopped> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let place = self.place(&span);
                    return self.stop(
                        Diagnostic::error(place, "a second document begins here; a file holds one")
                            .with_help("remove the `---`, or make it a file of its own"),
                    );
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node(event, &span)?),
            }
        }
        Ok(root.unwrap_or_else(|| Located::new(Tree::Null, Place::in_text(self.text, 0, 0))))
    }

    /// The next event that is not the name of an anchor.
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Stopped> {
        loop {
            match self.parser.next() {
                Some(Ok((Event::Anchor(_, name), _))) => self.anchor_names.push(name.into_owned()),
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(error)) => return self.stop(syntax::diagnostic(self.text, &error)),
                None => return Ok(None),
            }
        }
    }

    fn stop<T>(&mut self, diagnostic: Diagnostic) -> Result<T, Stopped> {
        self.found.push(diagnostic);
        Err(Stopped)
    }

    /// Notes what is wrong and goes on, unless there is too much of it.
    fn report(&mut self, diagnostic: Diagnostic) -> Result<(), Stopped> {
        self.found.push(diagnostic);
        if self.found.len() < FINDINGS { Ok(()) } else { Err(Stopped) }
    }

    fn place(&self, span: &Span) -> Place {
        let range = span.byte_range().unwrap_or_default();
        let start = &span.start;
        let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Place {
            line: clamp(start.line()),
            column: clamp(start.col() + 1),
            offset: range.start.min(self.text.len()),
            length: range.end.saturating_sub(range.start),
        }
    }

    fn spend(&mut self, weight: usize, place: Place) -> Result<(), Stopped> {
        self.spent = self.spent.saturating_add(weight);
        if self.spent <= VALUE_LIMIT {
            return Ok(());
        }
        self.stop(Diagnostic::error(place, format!("the file expands to more than {VALUE_LIMIT} values")))
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Located<Tree>, Stopped> {
        let place = self.place(span);
        let before = self.spent;
        let (tree, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(1 + text.len() / 64, place)?;
                (self.scalar(&text, style, tag.as_deref(), place)?, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", place)?;
                (self.nested(place, Self::list)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", place)?;
                (self.nested(place, Self::map)?, anchor)
            }
            Event::Alias(id) => return self.alias(id, place),
            Event::UnresolvedAlias(name) => {
                self.unknown_anchor(&name, place)?;
                (Located::new(Tree::Null, place), 0)
            }
            _ => return self.stop(Diagnostic::error(place, "this is not YAML: a value was expected")),
        };
        if anchor != 0 {
            self.remember(anchor, &tree, self.spent - before)?;
        }
        Ok(tree)
    }

    fn nested(
        &mut self,
        place: Place,
        read: fn(&mut Self, Place) -> Result<Located<Tree>, Stopped>,
    ) -> Result<Located<Tree>, Stopped> {
        self.spend(1, place)?;
        self.enter(1, place)?;
        let tree = read(self, place);
        self.depth -= 1;
        tree
    }

    fn enter(&mut self, levels: usize, place: Place) -> Result<(), Stopped> {
        if self.depth + levels > DEPTH_LIMIT {
            return self.stop(Diagnostic::error(place, format!("more than {DEPTH_LIMIT} levels are nested here")));
        }
        self.depth += 1;
        Ok(())
    }

    fn remember(&mut self, id: usize, tree: &Located<Tree>, weight: usize) -> Result<(), Stopped> {
        self.spend(weight, tree.place)?;
        let height = height(&tree.value);
        self.anchors.insert(id, Anchored { tree: tree.clone(), weight, height });
        Ok(())
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<Located<Tree>, Stopped> {
        let Some(anchored) = self.anchors.get(&id) else {
            return self.stop(Diagnostic::error(place, "this alias stands inside the value that it repeats"));
        };
        let (tree, weight, height) = (anchored.tree.clone(), anchored.weight, anchored.height);
        self.spend(weight, place)?;
        self.enter(height, place)?;
        self.depth -= 1;
        Ok(tree)
    }

    fn unknown_anchor(&mut self, name: &str, place: Place) -> Result<(), Stopped> {
        let diagnostic = Diagnostic::error(place, format!("`*{name}` repeats an anchor that the file does not have"));
        let names = self.anchor_names.iter().cloned();
        let mut diagnostic = diagnostic.with_expected(name, names);
        diagnostic.help.get_or_insert_with(|| "text that begins with `*` needs quotes".into());
        diagnostic.expected.truncate(FINDINGS);
        self.report(diagnostic)
    }

    fn check_tag(&mut self, tag: Option<&Tag>, wanted: &str, place: Place) -> Result<(), Stopped> {
        let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag(wanted)) else { return Ok(()) };
        let message = format!("the tag `{}` means nothing here", tag.original());
        self.report(Diagnostic::error(place, message).with_help("remove the tag"))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        place: Place,
    ) -> Result<Located<Tree>, Stopped> {
        let mut text = Cow::Borrowed(text);
        if matches!(style, ScalarStyle::Plain | ScalarStyle::DoubleQuoted) {
            match substitute(&text, self.variables) {
                Ok(None) => {}
                Ok(Some(replaced)) => text = replaced.into(),
                Err(bad) => self.report(Diagnostic::error(place, bad.message).with_help(bad.help))?,
            }
        }
        let as_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str") || tag.original() == "!");
        let typed = tag.and_then(Tag::core_suffix).is_some_and(|name| ["int", "float", "bool", "null"].contains(&name));
        if !as_text && !typed {
            self.check_tag(tag, "str", place)?;
        }
        let tree = match style {
            ScalarStyle::Plain if !as_text => scalar::plain(&text),
            _ if typed => scalar::plain(&text),
            _ => Tree::Text(text.as_ref().into()),
        };
        Ok(Located::new(tree, place))
    }

    fn list(&mut self, start: Place) -> Result<Located<Tree>, Stopped> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                return Ok(Located::new(Tree::List(items), self.up_to(start, &span)));
            }
            items.push(self.node(event, &span)?);
        }
        Err(Stopped)
    }

    /// From the start of a list or map to its end, where brackets mark it; else its first line.
    fn up_to(&self, start: Place, end: &Span) -> Place {
        if start.length > 0 {
            let end = self.place(end);
            return Place { length: (end.offset + end.length).saturating_sub(start.offset), ..start };
        }
        let line = self.text.get(start.offset..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        Place { length: line.trim_end().len(), ..start }
    }

    fn map(&mut self, start: Place) -> Result<Located<Tree>, Stopped> {
        let mut entries = Entries::default();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                let place = self.up_to(start, &span);
                return Ok(Located::new(Tree::Map(entries.finish()), place));
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.key(event, &span)?;
            let Some((event, span)) = self.next()? else { break };
            let flow = self.place(&span).length > 0;
            let mut value = self.node(event, &span)?;
            let Some(key) = key else { continue };
            if !flow && !matches!(value.value, Tree::Text(_)) {
                value.place = key.place;
            }
            let outcome = if merge { entries.merge(value) } else { entries.put(key, value) };
            if let Err(diagnostic) = outcome {
                self.report(diagnostic)?;
            }
        }
        Err(Stopped)
    }

    fn key(&mut self, event: Event<'t>, span: &Span) -> Result<Option<Located<Arc<str>>>, Stopped> {
        let place = self.place(span);
        if let Event::Scalar(text, _, 0, None) = &event {
            self.spend(1 + text.len() / 64, place)?;
            if place.length > 0 {
                return Ok(Some(Located::new(text.as_ref().into(), place)));
            }
        }
        let node = self.node(event, span)?;
        if let Tree::Text(text) = node.value {
            return Ok(Some(Located::new(text, place)));
        }
        self.report(Diagnostic::error(place, "a key must be a piece of text"))?;
        Ok(None)
    }
}

fn height(tree: &Tree) -> usize {
    match tree {
        Tree::List(items) => 1 + items.iter().map(|item| height(&item.value)).max().unwrap_or(0),
        Tree::Map(entries) => 1 + entries.iter().map(|(_, value)| height(&value.value)).max().unwrap_or(0),
        _ => 0,
    }
}

type Entry = (Located<Arc<str>>, Located<Tree>);

/// The entries of a map that is being read.
#[derive(Default)]
struct Entries {
    own: Vec<Entry>,
    merged: Vec<Entry>,
    lines: HashMap<Arc<str>, u32>,
}

impl Entries {
    fn put(&mut self, key: Located<Arc<str>>, value: Located<Tree>) -> Result<(), Diagnostic> {
        if let Some(line) = self.lines.get(&key.value) {
            let message = format!("the key `{}` stands here a second time", key.value);
            return Err(Diagnostic::error(key.place, message).with_help(format!("the first one is in line {line}")));
        }
        self.lines.insert(Arc::clone(&key.value), key.place.line);
        self.own.push((key, value));
        Ok(())
    }

    /// `<<: *anchor` or `<<: [*first, *second]`: entries that the map does not have itself.
    fn merge(&mut self, value: Located<Tree>) -> Result<(), Diagnostic> {
        match value.value {
            Tree::Map(entries) => self.merged.extend(entries),
            Tree::List(items) => {
                for item in items {
                    let Tree::Map(entries) = item.value else { return Err(not_a_map(item.place)) };
                    self.merged.extend(entries);
                }
            }
            _ => return Err(not_a_map(value.place)),
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<Entry> {
        for (key, value) in self.merged {
            if self.lines.insert(Arc::clone(&key.value), key.place.line).is_none() {
                self.own.push((key, value));
            }
        }
        self.own
    }
}

fn not_a_map(place: Place) -> Diagnostic {
    Diagnostic::error(place, "`<<` merges maps, and this is none")
}
