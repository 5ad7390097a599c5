//! Azure Service Bus: its connection strings and its tokens.

// matrix: azure_service_bus: malformed: as `amqp`, whose connector it is
// matrix: azure_service_bus: disconnect: as `amqp`, whose connector it is
// matrix: azure_service_bus: kill-before-ack: as `amqp`, whose connector it is
// matrix: azure_service_bus: kill-after-ack: as `amqp`, whose connector it is
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use tidegate_pipeline::error::{Error, Result};
use url::Url;

/// How long a token is good for.
pub(super) const TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// What a connection string says.
pub(super) struct ConnectionString {
    /// Where to connect.
    pub(super) url: String,
    /// The namespace, as tokens name it.
    host: String,
    key_name: String,
    key: SecretString,
}

impl ConnectionString {
    /// Reads `Endpoint=sb://HOST/;SharedAccessKeyName=NAME;SharedAccessKey=KEY`, in any order. With
    /// `UseDevelopmentEmulator=true` the connection has no TLS.
    ///
    /// # Errors
    /// What is missing, without the text itself.
    pub(super) fn parse(text: &SecretString) -> Result<Self> {
        let missing = |what: &str| {
            Error::user(format!("`conn_str` has no {what}"))
                .with_remedy("copy it whole: `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…`")
        };
        let parts = text.expose_secret().split(';').filter_map(|part| part.trim().split_once('='));
        let (mut endpoint, mut key_name, mut key, mut emulator) = (None, None, None, false);
        for (name, value) in parts {
            match name.to_ascii_lowercase().as_str() {
                "endpoint" => endpoint = Some(value),
                "sharedaccesskeyname" => key_name = Some(value),
                "sharedaccesskey" => key = Some(value),
                "usedevelopmentemulator" => emulator = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        let endpoint = endpoint.and_then(|endpoint| Url::parse(endpoint).ok()).ok_or_else(|| missing("Endpoint"))?;
        let host = endpoint.host_str().ok_or_else(|| missing("Endpoint"))?.to_owned();
        let (scheme, port) = if emulator { ("amqp", 5672) } else { ("amqps", 5671) };
        let url = format!("{scheme}://{host}:{}", endpoint.port().unwrap_or(port));
        let key_name = key_name.ok_or_else(|| missing("SharedAccessKeyName"))?.to_owned();
        let key = SecretString::from(key.ok_or_else(|| missing("SharedAccessKey"))?);
        Ok(Self { url, host, key_name, key })
    }

    /// The name of the key; no secret.
    pub(super) fn key_name(&self) -> &str {
        &self.key_name
    }

    /// What a token for a queue is for.
    pub(super) fn audience(&self, queue: &str) -> String {
        format!("sb://{}/{queue}", self.host)
    }

    /// A token for `audience` that ends at `expires`, in seconds since 1970.
    pub(super) fn token(&self, audience: &str, expires: u64) -> Result<String> {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let audience = encoded(audience);
        let mut signature =
            Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_bytes()).map_err(Error::internal)?;
        signature.update(format!("{audience}\n{expires}").as_bytes());
        let signature = encoded(&STANDARD.encode(signature.finalize().into_bytes()));
        let name = encoded(&self.key_name);
        Ok(format!("SharedAccessSignature sr={audience}&sig={signature}&se={expires}&skn={name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "Endpoint=sb://gate.servicebus.windows.net/;SharedAccessKeyName=Listen;SharedAccessKey=c2VjcmV0=;EntityPath=q";

    #[test]
    fn a_connection_string_says_where_and_as_whom() {
        let read = ConnectionString::parse(&SecretString::from(TEXT)).unwrap();
        assert_eq!(read.url, "amqps://gate.servicebus.windows.net:5671");
        assert_eq!(read.audience("alerts"), "sb://gate.servicebus.windows.net/alerts");
        let emulated = "Endpoint=sb://localhost;SharedAccessKeyName=x;SharedAccessKey=y;UseDevelopmentEmulator=true";
        assert_eq!(ConnectionString::parse(&SecretString::from(emulated)).unwrap().url, "amqp://localhost:5672");
    }

    #[test]
    fn what_is_missing_is_named_and_the_key_is_not() {
        let without = TEXT.replace("Endpoint", "Ending");
        let error = ConnectionString::parse(&SecretString::from(without)).err().unwrap().to_string();
        assert!(error.contains("no Endpoint") && !error.contains("c2VjcmV0"), "{error}");
    }

    #[test]
    fn a_token_is_signed_over_what_it_is_for_and_until_when() {
        let read = ConnectionString::parse(&SecretString::from(TEXT)).unwrap();
        let token = read.token("sb://gate.servicebus.windows.net/alerts", 1_800_000_000).unwrap();
        // The signature was computed with openssl.
        assert_eq!(
            token,
            "SharedAccessSignature sr=sb%3A%2F%2Fgate.servicebus.windows.net%2Falerts&sig=QaipgM5vzujaoKZM4kGRhG%2FGDpaYHoHjsiRhycBjhFw%3D&se=1800000000&skn=Listen"
        );
    }
}
