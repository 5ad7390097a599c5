//! Taking the pipeline's secrets out of what is kept or shown.

use secrecy::{ExposeSecret, SecretString};

use crate::spec::Secrets;

/// What stands in place of a secret.
const REDACTED: &str = "REDACTED";
/// Shorter texts are no secrets worth the name, and stand in many words.
const SHORTEST: usize = 4;

/// The secrets of a pipeline.
#[derive(Debug, Default)]
pub(super) struct Redaction(Vec<SecretString>);

impl Redaction {
    /// The secrets as they are now; one that cannot be read is in nothing that is shown either.
    pub(super) fn of(secrets: &Secrets) -> Self {
        let mut values = Vec::new();
        for secret in secrets.all().iter().filter_map(|secret| secret.resolve().ok()) {
            let text = secret.expose_secret();
            if text.len() < SHORTEST {
                continue;
            }
            // Inside JSON some letters are written otherwise.
            let escaped = serde_json::Value::from(text).to_string();
            let escaped = escaped.trim_matches('"');
            if escaped != text {
                values.push(SecretString::from(escaped));
            }
            values.push(secret);
        }
        Self(values)
    }

    /// The text without them.
    pub(super) fn apply(&self, mut text: String) -> String {
        for secret in &self.0 {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), REDACTED);
            }
        }
        text
    }
}
