//! YAML → interactions. What YAML is the parser knows; here is what a cassette is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use granit_parser::{Event, Parser, ScalarStyle, StrInput, Tag};

use super::interaction::{Body, Headers, Interaction, Request, Response};

/// How deeply lists and maps may nest: a cassette needs six levels.
const DEEPEST: usize = 32;
/// The most interactions.
const MOST: usize = 100_000;

/// Why a text is no cassette: the line and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoCassette {
    pub(super) line: usize,
    pub(super) message: String,
}

type Outcome<T> = Result<T, NoCassette>;

/// A value and its line.
struct Node<'t> {
    line: usize,
    value: Value<'t>,
}

type Entry<'t> = (Cow<'t, str>, Rc<Node<'t>>);

enum Value<'t> {
    Null,
    Text(Cow<'t, str>),
    /// Base64, tagged `!binary`.
    Binary(Cow<'t, str>),
    List(Vec<Rc<Node<'t>>>),
    Map(Vec<Entry<'t>>),
}

/// Reads a cassette. Keys that mean nothing here are left out. `most` is the most bytes that all interactions may have
/// together: repetition by aliases counts.
pub(super) fn read(text: &str, most: usize) -> Outcome<Vec<Interaction>> {
    let mut builder = Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), depth: 0, line: 1 };
    let Some(root) = builder.document()? else { return Ok(Vec::new()) };
    let list = match &root.value {
        Value::Null => return Ok(Vec::new()),
        Value::Map(_) => root.member("http_interactions")?,
        _ => return Err(root.wrong("a cassette is a map with `http_interactions`")),
    };
    let items = match &list.value {
        Value::Null => return Ok(Vec::new()),
        Value::List(items) if items.len() <= MOST => items,
        Value::List(_) => return Err(list.wrong(format!("more than {MOST} interactions"))),
        _ => return Err(list.wrong("`http_interactions` is a list")),
    };
    let (mut interactions, mut size) = (Vec::with_capacity(items.len()), 0);
    for item in items {
        let interaction = item.interaction()?;
        size += interaction.size();
        if size > most {
            return Err(item.wrong(format!("the interactions have more than {most} bytes up to here")));
        }
        interactions.push(interaction);
    }
    Ok(interactions)
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Rc<Node<'t>>>,
    depth: usize,
    line: usize,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> Outcome<Option<Rc<Node<'t>>>> {
        let mut root = None;
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => return self.wrong("a second document begins here"),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event)?),
            }
        }
    }

    fn next(&mut self) -> Outcome<Event<'t>> {
        match self.parser.next() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => {
                Err(NoCassette { line: error.marker().line(), message: format!("this is not YAML: {}", error.kind()) })
            }
            None => Ok(Event::StreamEnd),
        }
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Outcome<T> {
        Err(NoCassette { line: self.line, message: message.into() })
    }

    fn node(&mut self, event: Event<'t>) -> Outcome<Rc<Node<'t>>> {
        let line = self.line;
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.wrong(format!("more than {DEEPEST} levels are nested here"));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (self.scalar(text, style, tag.as_deref())?, anchor),
            Event::SequenceStart(_, anchor, tag) => {
                self.plain(tag.as_deref())?;
                (self.list()?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.plain(tag.as_deref())?;
                (self.map()?, anchor)
            }
            Event::Alias(id) => {
                self.depth -= 1;
                let known = self.anchors.get(&id).cloned();
                return known.map_or_else(|| self.wrong("this alias stands inside the value that it repeats"), Ok);
            }
            _ => return self.wrong("a value was expected"),
        };
        self.depth -= 1;
        let node = Rc::new(Node { line, value });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn scalar(&self, text: Cow<'t, str>, style: ScalarStyle, tag: Option<&Tag>) -> Outcome<Value<'t>> {
        match tag {
            Some(tag) if tag.suffix() == "binary" => Ok(Value::Binary(text)),
            Some(tag) if tag.is_yaml_core_schema_tag("str") || tag.original() == "!" => Ok(Value::Text(text)),
            Some(tag) if !tag.is_yaml_core_schema() => {
                self.wrong(format!("the tag `{}` means nothing here", tag.original()))
            }
            _ if style == ScalarStyle::Plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") => {
                Ok(Value::Null)
            }
            _ => Ok(Value::Text(text)),
        }
    }

    fn plain(&self, tag: Option<&Tag>) -> Outcome<()> {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => {
                self.wrong(format!("the tag `{}` means nothing here", tag.original()))
            }
            _ => Ok(()),
        }
    }

    fn list(&mut self) -> Outcome<Value<'t>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::List(items)),
                event => items.push(self.node(event)?),
            }
        }
    }

    fn map(&mut self) -> Outcome<Value<'t>> {
        let mut entries: Vec<Entry<'t>> = Vec::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(Value::Map(entries)),
                Event::Scalar(text, ..) => text,
                Event::Alias(id) => match self.anchors.get(&id).map(|node| &node.value) {
                    Some(Value::Text(text)) => text.clone(),
                    _ => return self.wrong("a key is a piece of text"),
                },
                _ => return self.wrong("a key is a piece of text"),
            };
            let event = self.next()?;
            entries.push((key, self.node(event)?));
        }
    }
}

impl<'t> Node<'t> {
    fn wrong(&self, message: impl Into<String>) -> NoCassette {
        NoCassette { line: self.line, message: message.into() }
    }

    fn find(&self, key: &str) -> Option<&Node<'t>> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(known, _)| known == key).map(|(_, node)| node.as_ref())
    }

    fn member(&self, key: &str) -> Outcome<&Node<'t>> {
        self.find(key).ok_or_else(|| self.wrong(format!("`{key}` is missing")))
    }

    fn text(&self) -> Outcome<String> {
        match &self.value {
            Value::Null => Ok(String::new()),
            Value::Text(text) => Ok(text.clone().into_owned()),
            Value::Binary(text) => Ok(String::from_utf8_lossy(&self.decoded(text)?).into_owned()),
            _ => Err(self.wrong("a piece of text was expected")),
        }
    }

    fn optional(&self, key: &str) -> Outcome<Option<String>> {
        match self.find(key) {
            None | Some(Node { value: Value::Null, .. }) => Ok(None),
            Some(node) => node.text().map(Some),
        }
    }

    fn interaction(&self) -> Outcome<Interaction> {
        let (asked, answered) = (self.member("request")?, self.member("response")?);
        let request = Request {
            method: asked.member("method")?.text()?.to_ascii_lowercase(),
            uri: asked.member("uri")?.text()?,
            headers: asked.headers()?,
            body: asked.body()?,
        };
        let status = answered.member("status")?;
        let code = status.member("code")?;
        let number = code.text()?.parse().ok().filter(|number| (100..1000).contains(number));
        let response = Response {
            code: number.ok_or_else(|| code.wrong("this is no status code"))?,
            message: status.optional("message")?.unwrap_or_default(),
            headers: answered.headers()?,
            body: answered.body()?,
            http_version: answered.optional("http_version")?,
        };
        Ok(Interaction { request, response, recorded_at: self.optional("recorded_at")? })
    }

    fn headers(&self) -> Outcome<Headers> {
        let Some(node) = self.find("headers") else { return Ok(Headers::default()) };
        let entries = match &node.value {
            Value::Null => return Ok(Headers::default()),
            Value::Map(entries) => entries,
            _ => return Err(node.wrong("`headers` is a map of lists")),
        };
        let header = |(name, node): &Entry<'_>| {
            let values = match &node.value {
                Value::List(values) => values.iter().map(|value| value.text()).collect::<Outcome<Vec<String>>>()?,
                _ => vec![node.text()?],
            };
            Ok((name.clone().into_owned(), values))
        };
        Ok(Headers(entries.iter().map(header).collect::<Outcome<_>>()?))
    }

    /// `{encoding, string}` or `{encoding, base64_string}`; old cassettes have the text itself.
    fn body(&self) -> Outcome<Body> {
        let Some(node) = self.find("body") else { return Ok(Body::new(Bytes::new())) };
        let Value::Map(_) = node.value else { return Ok(Body::new(node.bytes("UTF-8")?)) };
        let given = node.optional("encoding")?;
        let encoding = given.clone().unwrap_or_else(|| "UTF-8".to_owned());
        let bytes = match (node.find("base64_string"), node.find("string")) {
            (Some(packed), _) => Bytes::from(packed.decoded(&packed.text()?)?),
            (None, Some(text)) => text.bytes(&encoding)?,
            (None, None) => Bytes::new(),
        };
        Ok(match given {
            Some(encoding) => Body { encoding, bytes },
            None => Body::new(bytes),
        })
    }

    fn bytes(&self, encoding: &str) -> Outcome<Bytes> {
        if let Value::Binary(text) = &self.value {
            return Ok(self.decoded(text)?.into());
        }
        let text = self.text()?;
        // Ruby encodes what YAML holds as UTF-8 when it reads it.
        let narrow: Option<Vec<u8>> = match encoding.eq_ignore_ascii_case("ISO-8859-1") {
            true => text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect(),
            false => None,
        };
        Ok(narrow.map_or_else(|| Bytes::from(text), Bytes::from))
    }

    fn decoded(&self, text: &str) -> Outcome<Vec<u8>> {
        let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(packed).map_err(|error| self.wrong(format!("this is not base64: {error}")))
    }
}
