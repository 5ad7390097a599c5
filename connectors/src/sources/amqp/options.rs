//! The options of `amqp` and of `azure_service_bus`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Secret};
use url::Url;

use super::Target;
use super::connection::Access;
use super::service_bus::TOKEN_LIFE;
use crate::places::Places;
use crate::tls::{TlsOptions, TlsSettings};

/// The options of `amqp`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AmqpOptions {
    /// The broker, as `amqp://HOST:PORT` or, with TLS, `amqps://HOST:PORT`.
    pub url: String,
    /// The queue as the broker names it; for RabbitMQ before 4.0 `/amq/queue/NAME`, for others its bare name.
    pub address: String,
    /// The user; anonymous without.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// PEM certificates of the authorities that are trusted; those of the system where there is none.
    pub cafile: Option<PathBuf>,
    /// The client's PEM certificate.
    pub certfile: Option<PathBuf>,
    /// Its PEM key.
    pub keyfile: Option<PathBuf>,
    /// The most messages that the broker has sent and that are not settled yet.
    #[serde(default = "credit")]
    pub credit: u32,
}

/// The options of `azure_service_bus`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceBusOptions {
    /// The connection string: `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…`. It holds a key: a secret.
    pub conn_str: Secret,
    /// The queue; for a subscription `TOPIC/Subscriptions/NAME`.
    pub queue_name: String,
    /// Accepted, and without effect: what happens to the connection is logged anyway.
    #[serde(default = "yes")]
    pub logging_enable: bool,
    /// PEM certificates of the authorities that are trusted; those of the system where there is none.
    pub cafile: Option<PathBuf>,
    /// The most messages that are locked for this source.
    #[serde(default = "credit")]
    pub credit: u32,
}

fn credit() -> u32 {
    200
}

fn yes() -> bool {
    true
}

/// The most messages in flight: what the client library keeps for a link.
const MOST_CREDIT: u32 = 1000;

fn check_credit(credit: u32, places: &Places<'_>, found: &mut Vec<Diagnostic>) {
    if !(1..=MOST_CREDIT).contains(&credit) {
        found.push(places.at("credit", format!("`credit` must be between 1 and {MOST_CREDIT}")));
    }
}

impl AmqpOptions {
    /// What is connected to.
    pub(super) fn target(self, folder: &Path, options: &Options) -> Result<Target, Vec<Diagnostic>> {
        let places = Places(options);
        let mut found = Vec::new();
        let secure = match Url::parse(&self.url) {
            Ok(url) if !matches!(url.scheme(), "amqp" | "amqps") || url.host_str().is_none() => {
                found.push(places.at("url", "`url` must be `amqp://HOST:PORT` or `amqps://HOST:PORT`"));
                false
            }
            Ok(url) => {
                if !url.username().is_empty() || url.password().is_some() {
                    let help = "give them as `username` and `password`";
                    found.push(places.at("url", "credentials do not belong into an address").with_help(help));
                }
                url.scheme() == "amqps"
            }
            Err(error) => {
                found.push(places.at("url", format!("`url` is no address: {error}")));
                false
            }
        };
        if self.password.is_some() != self.username.is_some() {
            found.push(places.at("username", "`username` and `password` are given together"));
        }
        if self.address.is_empty() {
            found.push(places.at("address", "`address` names no queue"));
        }
        check_credit(self.credit, &places, &mut found);
        let tls = TlsOptions { tls: Some(true), cafile: self.cafile, certfile: self.certfile, keyfile: self.keyfile };
        if !secure && [&tls.cafile, &tls.certfile, &tls.keyfile].iter().any(|file| file.is_some()) {
            found.push(places.at("url", "certificates need `amqps://`"));
        }
        match (found.is_empty(), tls.settings(folder, options)) {
            (true, Ok(tls)) => Ok(Target {
                address: self.address,
                access: Access::Broker { url: self.url, user: self.username.zip(self.password) },
                tls: tls.unwrap_or_default(),
                credit: self.credit,
                token_life: TOKEN_LIFE,
            }),
            (_, tls) => {
                found.extend(tls.err().unwrap_or_default());
                Err(found)
            }
        }
    }
}

impl ServiceBusOptions {
    /// What is connected to.
    pub(super) fn target(self, folder: &Path, options: &Options) -> Result<Target, Vec<Diagnostic>> {
        let places = Places(options);
        let mut found = Vec::new();
        if self.queue_name.is_empty() {
            found.push(places.at("queue_name", "`queue_name` names no queue"));
        }
        check_credit(self.credit, &places, &mut found);
        if !found.is_empty() {
            return Err(found);
        }
        let tls = TlsSettings { cafile: self.cafile.map(|file| folder.join(file)), ..TlsSettings::default() };
        let access = Access::ServiceBus { connection_string: self.conn_str };
        Ok(Target { address: self.queue_name, access, tls, credit: self.credit, token_life: TOKEN_LIFE })
    }
}
