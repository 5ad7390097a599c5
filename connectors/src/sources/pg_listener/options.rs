//! The options of `pg_listener`.

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{OneOrMany, Secret};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::places::Places;

/// The options of `pg_listener`. One of `dsn` and `postgres_params` is given.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgListenerOptions {
    /// `host=… user=… dbname=…` or `postgresql://…`. A secret where it holds a password.
    pub dsn: Option<Secret>,
    /// The parameters of the connection, one by one.
    pub postgres_params: Option<PostgresParams>,
    /// The channels.
    pub channels: OneOrMany<String>,
    /// A query that is asked after each connection: its rows become events with `meta.resync`. What was notified while
    /// nobody listened is lost, and this makes up for it.
    pub resync: Option<String>,
}

/// Where and as whom to connect.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresParams {
    /// The server's name, address, or folder of its socket.
    #[serde(default = "localhost")]
    pub host: String,
    /// Its port.
    #[serde(default = "standard_port")]
    pub port: u16,
    /// The database.
    #[serde(alias = "database")]
    pub dbname: Option<String>,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Option<Secret>,
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn standard_port() -> u16 {
    5432
}

impl PgListenerOptions {
    /// Finds what the types cannot say.
    pub(super) fn check(&self, places: &Places<'_>) -> Result<(), Vec<Diagnostic>> {
        let mut found = Vec::new();
        if self.dsn.is_some() == self.postgres_params.is_some() {
            found.push(places.at("", "exactly one of `dsn` and `postgres_params` must be given"));
        }
        if self.channels.is_empty() || self.channels.iter().any(String::is_empty) {
            found.push(places.at("channels", "`channels` must name at least one channel"));
        }
        if self.resync.as_ref().is_some_and(|query| query.trim().is_empty()) {
            found.push(places.at("resync", "`resync` holds no query"));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// What to connect with, secrets resolved.
    ///
    /// # Errors
    /// When a secret is not there, or `dsn` is none. The text itself is never shown: it may hold a password.
    pub(super) fn config(&self, with_tls: bool) -> Result<Config> {
        let mut config = match (&self.dsn, &self.postgres_params) {
            (Some(dsn), _) => dsn.resolve()?.expose_secret().parse::<Config>().map_err(|error| {
                // Only its cause may quote the text.
                Error::user(format!("`dsn` is not valid: {error}"))
                    .with_remedy("write `host=… port=… user=… dbname=…`, or `postgresql://…`")
            })?,
            (None, Some(params)) => {
                let mut config = Config::new();
                config.host(&params.host).port(params.port).user(&params.user);
                if let Some(password) = &params.password {
                    config.password(password.resolve()?.expose_secret());
                }
                if let Some(name) = &params.dbname {
                    config.dbname(name);
                }
                config
            }
            (None, None) => return Err(Error::internal("neither `dsn` nor `postgres_params`")),
        };
        if with_tls {
            config.ssl_mode(SslMode::Require);
        }
        Ok(config)
    }
}
