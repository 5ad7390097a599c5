//! A message as it goes over the wire (RFC 5322, MIME).

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;

use super::options::Mailbox;

/// The longest subject, in bytes.
const SUBJECT: usize = 400;
/// Bytes of text in a word of an encoded header.
const WORD: usize = 42;
/// Bytes of text in a line of an encoded body: a multiple of three.
const LINE: usize = 57;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message(pub(super) String);

/// What the outbox keeps.
#[derive(Deserialize)]
struct Kept {
    subject: String,
    text: String,
}

impl Message {
    /// The message of an effect: the effect's id names it, so that a server can know one that comes again.
    pub(super) fn of(id: &str, kept: &[u8], mailbox: &Mailbox, now: &Timestamp) -> Result<Self, String> {
        let Kept { subject, text } = serde_json::from_slice(kept).map_err(|error| error.to_string())?;
        let date = rfc2822::DateTimePrinter::new().timestamp_to_string(now).map_err(|error| error.to_string())?;
        let host = mailbox.from.rsplit_once('@').map_or("tidegate", |(_, host)| host);
        let mut message = String::new();
        for (name, value) in [
            ("From", mailbox.from.clone()),
            ("To", mailbox.to.join(",\r\n ")),
            ("Subject", header(&subject)),
            ("Date", date),
            ("Message-ID", format!("<{}@{host}>", id.replace('/', "."))),
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("MIME-Version", "1.0".to_owned()),
            ("Content-Type", "text/plain; charset=utf-8".to_owned()),
            ("Content-Transfer-Encoding", "base64".to_owned()),
        ] {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        message.push_str("\r\n");
        for line in text.as_bytes().chunks(LINE) {
            message.push_str(&BASE64.encode(line));
            message.push_str("\r\n");
        }
        Ok(Self(message))
    }
}

/// A text as the value of a header: one line, encoded (RFC 2047) where it is not plain.
fn header(text: &str) -> String {
    let line: String = text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let line = &line[..line.floor_char_boundary(SUBJECT)];
    if line.len() <= 70 && line.is_ascii() && !line.contains("=?") {
        return line.to_owned();
    }
    let (mut words, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD));
        words.push(format!("=?utf-8?B?{}?=", BASE64.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}
