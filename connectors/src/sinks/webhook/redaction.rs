//! Blacks out secrets in what a receiver answers: it is kept with the effect, and shown.

use secrecy::{ExposeSecret, SecretString};

/// What stands in place of a secret.
const BLACK: &str = "***";
/// Shorter texts are no secrets, and would tear words apart.
const SHORTEST: usize = 4;

/// The secrets that must not be shown.
#[derive(Clone, Default)]
pub(super) struct Redaction(Vec<SecretString>);

impl Redaction {
    /// One more.
    pub(super) fn add(&mut self, secret: &SecretString) {
        if secret.expose_secret().len() >= SHORTEST {
            self.0.push(secret.clone());
            // The longest first: one may hold another.
            self.0.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        }
    }

    /// The text without them.
    pub(super) fn of(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| match text.contains(secret.expose_secret()) {
            true => text.replace(secret.expose_secret(), BLACK),
            false => text,
        })
    }
}
