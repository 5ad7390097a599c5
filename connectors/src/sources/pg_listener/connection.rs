//! The connection to the server: tasks of its own, from listening to the first failure.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rustls::ClientConfig;
use tidegate_pipeline::error::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PlannedListener;
use crate::event::inbox::Feed;
use crate::tls::TlsSettings;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(15);
/// After so long without a word the system asks the server whether it is there; and again, so often.
const IDLE: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// What comes from the server.
pub(super) enum Received {
    /// A notification.
    Notification { channel: String, process: i32, payload: String },
    /// A row of the query `resync`, as JSON.
    Row(String),
}

/// Connects and listens; then asks the query. Notifications, rows, and at last the failure, go to `feed`.
///
/// # Errors
/// When the server cannot be reached, or refuses the credentials.
pub(super) async fn connect(planned: &PlannedListener, feed: Feed<Received>) -> Result<()> {
    let config = config(planned)?;
    let client = log_in(planned, &config, &feed).await?;
    let listen: String = planned.options.channels.iter().map(|channel| listening(channel)).collect();
    client.batch_execute(&listen).await.map_err(|error| failure(&error, &config))?;
    let resync = planned.options.resync.clone();
    tokio::spawn(async move {
        // What is notified meanwhile waits behind; a row may be told of twice, none is missed.
        if let Some(query) = resync
            && let Err(error) = ask(&client, &query, &feed).await
        {
            feed.failure(error).await;
            return;
        }
        // The connection lives as long as its client.
        feed.closed().await;
    });
    Ok(())
}

/// What to connect with, secrets read now.
///
/// # Errors
/// When a secret is not there, or `dsn` is none.
pub(super) fn config(planned: &PlannedListener) -> Result<Config> {
    let mut config = planned.options.config(planned.tls.is_some())?;
    config.connect_timeout(CONNECT).keepalives(true).keepalives_idle(IDLE);
    config.keepalives_interval(IDLE).keepalives_retries(PROBES);
    if config.get_application_name().is_none() {
        config.application_name("tidegate");
    }
    Ok(config)
}

/// TLS, where it is asked for: by an option, or by `sslmode` in the `dsn`.
pub(super) fn tls(planned: &PlannedListener, config: &Config) -> Option<Result<Arc<ClientConfig>>> {
    match (&planned.tls, config.get_ssl_mode()) {
        (Some(tls), _) => Some(tls.client()),
        (None, SslMode::Require) => Some(TlsSettings::default().client()),
        (None, _) => None,
    }
}

/// Connects, and lets the connection work in a task of its own; what comes over it goes to `feed`.
///
/// # Errors
/// When the server cannot be reached, or refuses the credentials.
pub(super) async fn log_in(planned: &PlannedListener, config: &Config, feed: &Feed<Received>) -> Result<Client> {
    let client = match tls(planned, config).transpose()? {
        Some(tls) => encrypted(config, tls, feed).await,
        None => match config.connect(NoTls).await {
            Ok((client, connection)) => Ok(driven(client, connection, feed)),
            Err(error) => Err(error),
        },
    };
    client.map_err(|error| failure(&error, config))
}

/// The command that listens to a channel.
pub(super) fn listening(channel: &str) -> String {
    format!("LISTEN \"{}\";", channel.replace('"', "\"\""))
}

/// The query `resync`, each of whose rows is one text of JSON.
pub(super) fn as_json(query: &str) -> String {
    format!("SELECT row_to_json(resync)::text FROM (\n{}\n) AS resync", query.trim().trim_end_matches(';'))
}

async fn encrypted(
    config: &Config,
    tls: Arc<ClientConfig>,
    feed: &Feed<Received>,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(MakeRustlsConnect::new((*tls).clone())).await?;
    Ok(driven(client, connection, feed))
}

/// Lets the connection work in a task of its own.
fn driven<S, T>(client: Client, mut connection: Connection<S, T>, feed: &Feed<Received>) -> Client
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let feed = feed.clone();
    tokio::spawn(async move {
        let error = loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    let bytes = notification.channel().len() + notification.payload().len();
                    let received = Received::Notification {
                        channel: notification.channel().to_owned(),
                        process: notification.process_id(),
                        payload: notification.payload().to_owned(),
                    };
                    if !feed.message(received, bytes).await {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => break said(&error),
                None => break "it was closed".to_owned(),
            }
        };
        feed.failure(Error::external(format!("the connection to the server is lost: {error}"))).await;
    });
    client
}

/// Gives the rows of a query as JSON, as they come.
async fn ask(client: &Client, query: &str, feed: &Feed<Received>) -> Result<()> {
    let wrong = |error: tokio_postgres::Error| {
        let message = format!("the query `resync` fails: {}", said(&error));
        // A connection that breaks may be mended; a query that the server refuses will be refused again.
        if error.as_db_error().is_some() { Error::user(message) } else { Error::external(message) }
    };
    let rows = client.simple_query_raw(&as_json(query)).await.map_err(wrong)?;
    let mut rows = std::pin::pin!(rows);
    while let Some(row) = rows.next().await {
        if let SimpleQueryMessage::Row(row) = row.map_err(wrong)?
            && let Some(text) = row.get(0)
            && !feed.message(Received::Row(text.to_owned()), text.len()).await
        {
            return Ok(());
        }
    }
    Ok(())
}

/// What happened, with its cause.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(answer) => answer.message().to_owned(),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// What went wrong, in the words of the user's options.
pub(super) fn failure(error: &tokio_postgres::Error, config: &Config) -> Error {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let server = format!("{}:{port}", hosts.join(","));
    let said = said(error);
    match error.code() {
        Some(code) if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            Error::user(format!("the server {server} refuses the credentials: {said}"))
                .with_remedy("check the user, the password, and the server's pg_hba.conf")
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            Error::user(format!("the server {server}: {said}")).with_remedy("check `dbname`")
        }
        Some(_) => Error::external(format!("the server {server}: {said}")),
        None => Error::external(format!("the server {server} cannot be reached: {said}"))
            .with_remedy("check host and port, and whether the server runs"),
    }
}
