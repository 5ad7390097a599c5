//! Interactions → YAML that Ruby's VCR reads.
//!
//! Ruby takes YAML 1.1 its own way: `1,000` is a number there and `:a` a symbol. So text is written plainly only where
//! it begins with a letter, and what is a word of YAML is quoted by the library.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_saphyr::{DoubleQuoted, LitStr};

use super::interaction::{Body, Headers, Interaction, Request, Response};

/// Writes a cassette.
pub(super) fn write<'i>(out: &mut impl Write, interactions: impl Iterator<Item = &'i Interaction>) -> io::Result<()> {
    out.write_all(b"---\nhttp_interactions:")?;
    let mut any = false;
    for interaction in interactions {
        if !any {
            out.write_all(b"\n")?;
            any = true;
        }
        // Each is a list of one; such lists, one behind another, are one list.
        out.write_all(item(interaction).map_err(io::Error::other)?.as_bytes())?;
    }
    if !any {
        out.write_all(b" []\n")?;
    }
    writeln!(out, "recorded_with: Tidegate {}", env!("CARGO_PKG_VERSION"))
}

fn item(interaction: &Interaction) -> Result<String, serde_saphyr::SerializeError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false, min_fold_chars: 0 };
    let mut text = serde_saphyr::to_string_with_options(&[interaction], options)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// A piece of text.
struct Text<'a>(&'a str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0;
        // Lines that end in blanks or begin with them are easily spoilt by editors, and by readers.
        let block = text.contains('\n')
            && !text.starts_with([' ', '\n', '\t'])
            && text.lines().all(|line| !line.ends_with([' ', '\t']));
        if block && text.chars().all(is_printable) {
            LitStr(text).serialize(serializer)
        } else if text.starts_with(|first: char| first.is_ascii_alphabetic()) && !text.contains('\n') {
            serializer.serialize_str(text)
        } else {
            DoubleQuoted(text).serialize(serializer)
        }
    }
}

/// Whether YAML 1.1 lets it stand unescaped in a block.
fn is_printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Values<'a>(&'a [String]);
        impl Serialize for Values<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut list = serializer.serialize_seq(Some(self.0.len()))?;
                for value in self.0 {
                    list.serialize_element(&Text(value))?;
                }
                list.end()
            }
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            map.serialize_entry(name, &Values(values))?;
        }
        map.end()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("encoding", &Text(&self.encoding))?;
        let as_it_is = ["UTF-8", "US-ASCII", "ASCII-8BIT"].contains(&self.encoding.as_str()) || self.bytes.is_ascii();
        match std::str::from_utf8(&self.bytes) {
            Ok(text) if as_it_is => map.serialize_entry("string", &Text(text))?,
            _ => map.serialize_entry("base64_string", &DoubleQuoted(STANDARD.encode(&self.bytes)))?,
        }
        map.end()
    }
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("method", &Text(&self.method))?;
        map.serialize_entry("uri", &Text(&self.uri))?;
        map.serialize_entry("body", &self.body)?;
        map.serialize_entry("headers", &self.headers)?;
        map.end()
    }
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Status<'a>(u16, &'a str);
        impl Serialize for Status<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("code", &self.0)?;
                map.serialize_entry("message", &Text(self.1))?;
                map.end()
            }
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", &Status(self.code, &self.message))?;
        map.serialize_entry("headers", &self.headers)?;
        map.serialize_entry("body", &self.body)?;
        if let Some(version) = &self.http_version {
            map.serialize_entry("http_version", &Text(version))?;
        }
        map.end()
    }
}

impl Serialize for Interaction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("request", &self.request)?;
        map.serialize_entry("response", &self.response)?;
        if let Some(time) = &self.recorded_at {
            map.serialize_entry("recorded_at", &Text(time))?;
        }
        map.end()
    }
}
