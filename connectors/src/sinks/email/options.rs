//! The options of `email`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{NOWHERE, OneOrMany, Secret};

use crate::places::Places;

/// The most receivers of a message.
const MOST: usize = 100;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS after the greeting; a server that does not offer it is refused.
    #[default]
    StartTls,
    /// TLS from the first byte (port 465).
    Tls,
    /// None. Names and passwords are not sent so.
    None,
}

/// The options of `email`, beside how messages are sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailOptions {
    /// The server that takes messages.
    pub host: String,
    /// Its port.
    #[serde(default = "submission")]
    pub port: u16,
    /// `starttls`, `tls` or `none`.
    #[serde(default)]
    pub security: Security,
    /// Who sends, where the server asks.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The address of the sender.
    pub from: String,
    /// The addresses of the receivers.
    pub to: OneOrMany<String>,
    /// The subject. A template over the row.
    #[serde(default = "subject")]
    pub subject: Located<String>,
    /// The text. A template over the row.
    #[serde(default = "text")]
    pub text: Located<String>,
}

fn submission() -> u16 {
    587
}

fn subject() -> Located<String> {
    let default =
        "{{ ([row.control | default(none), row.resource | default(none)] | select | join(': ')) or 'tidegate' }}";
    Located::new(default.to_owned(), NOWHERE)
}

fn text() -> Located<String> {
    Located::new("{{ row | tojson(indent=2) }}\n".to_owned(), NOWHERE)
}

/// Who writes to whom.
#[derive(Debug, Clone)]
pub(super) struct Mailbox {
    pub(super) from: String,
    pub(super) to: Vec<String>,
}

impl EmailOptions {
    /// Finds what the types cannot say.
    pub(super) fn check(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) -> Option<Mailbox> {
        let before = found.len();
        if self.username.is_some() != self.password.is_some() {
            found.push(places.at("username", "`username` and `password` are given together"));
        }
        if self.username.is_some() && self.security == Security::None {
            found.push(places.at("security", "names and passwords are not sent without TLS"));
        }
        if !is_address(&self.from) {
            found.push(places.at("from", format!("`{}` is no address: write `name@host`", self.from)));
        }
        if self.to.is_empty() || self.to.len() > MOST {
            found.push(places.at("to", format!("a message has 1 to {MOST} receivers")));
        }
        for wrong in self.to.iter().filter(|to| !is_address(to)) {
            found.push(places.at("to", format!("`{wrong}` is no address: write `name@host`")));
        }
        let mailbox = Mailbox { from: self.from.clone(), to: self.to.0.clone() };
        (found.len() == before).then_some(mailbox)
    }
}

/// An address that can stand in a command and in a header: nothing that ends either.
fn is_address(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>(),;:\\\"[]".contains(&byte);
    match text.rsplit_once('@') {
        Some((name, host)) => !name.is_empty() && !host.is_empty() && text.len() <= 254 && text.bytes().all(plain),
        None => false,
    }
}
