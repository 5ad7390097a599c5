//! What is wrong with the connection to a server, step by step. Listening takes nothing away from other listeners.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::SourceContext;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};

use super::PlannedListener;
use super::connection::{Received, as_json, config, failure, listening, log_in, tls};
use crate::diagnosis::{dial, handshake, no_tls, read};
use crate::event::EventDecoder;
use crate::event::inbox::inbox;

/// What a client says that wants TLS.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// The port of servers.
const PORT: u16 = 5432;

/// Looks at everything up to the channels, and at the query.
pub(super) async fn diagnose(planned: &PlannedListener, context: &SourceContext, found: &mut Diagnosis) {
    let settings = read(found, "settings read", || {
        let config = config(planned)?;
        let told = told(&config);
        Ok((config, told))
    });
    let settings = settings.await;
    // Without a host it is the login that fails.
    let mut reachable = settings.as_ref().is_some_and(|settings| settings.get_hosts().is_empty());
    let settings = settings.unwrap_or_default();
    let hosts = settings.get_hosts();
    for (number, host) in hosts.iter().enumerate() {
        if hosts.len() > 1 {
            found.about(shown(host));
        }
        let ports = settings.get_ports();
        let port = ports.get(number).or(ports.first()).copied().unwrap_or(PORT);
        reachable |= match host {
            Host::Tcp(name) => {
                let address = settings.get_hostaddrs().get(number).map(ToString::to_string);
                let dialed = dial(found, address.as_deref().unwrap_or(name), port).await;
                over_tcp(dialed, name, tls(planned, &settings), found).await
            }
            Host::Unix(folder) => over_socket(folder, port, found).await,
        };
    }
    found.about_all(reachable);
    // What is notified meanwhile is not taken: every listener has its own copy.
    let (feed, _inbox) = inbox::<Received>(EventDecoder::new(context, &planned.schema));
    let logged_in = async {
        let client = log_in(planned, &settings, &feed).await?;
        let version = client.simple_query("SHOW server_version").await.map_err(|error| failure(&error, &settings))?;
        Ok((client, who(&settings, &version)))
    };
    let client = found.check("logged in", logged_in).await;
    for channel in planned.options.channels.iter() {
        found.about(format!("channel {channel}"));
        found.check("LISTEN allowed", ask(client.as_ref(), &settings, listening(channel))).await;
    }
    found.about_all(client.is_some());
    if let Some(query) = &planned.options.resync {
        // Planned and not executed: its tables must be there, and be readable.
        found
            .check("query `resync` planned", ask(client.as_ref(), &settings, format!("EXPLAIN {}", as_json(query))))
            .await;
    }
}

async fn ask(client: Option<&Client>, settings: &Config, command: String) -> Result<((), String)> {
    let client = client.ok_or_else(|| Error::internal("it is not connected"))?;
    client.batch_execute(&command).await.map_err(|error| failure(&error, settings))?;
    Ok(((), String::new()))
}

fn shown(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    }
}

fn told(config: &Config) -> String {
    let hosts: Vec<String> = config.get_hosts().iter().map(shown).collect();
    let password = if config.get_password().is_some() { "a password" } else { "no password" };
    format!("{} as `{}`, {password}", hosts.join(", "), config.get_user().unwrap_or_default())
}

fn who(config: &Config, version: &[tokio_postgres::SimpleQueryMessage]) -> String {
    let version = version.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    format!("as `{user}` to the database `{database}`, PostgreSQL {}", version.unwrap_or("of an unknown version"))
}

/// Agrees on TLS where it is wanted; whether the server was reached.
async fn over_tcp(
    stream: Option<TcpStream>,
    host: &str,
    tls: Option<Result<Arc<ClientConfig>>>,
    found: &mut Diagnosis,
) -> bool {
    let Some(config) = tls else {
        no_tls(found);
        return stream.is_some();
    };
    let offered = async {
        let stream = stream.ok_or_else(|| Error::internal("it is not connected"))?;
        Ok((offered(stream).await?, String::new()))
    };
    let stream = found.check("TLS offered", offered).await;
    handshake(found, stream, host, config).await.is_some()
}

/// Asks for TLS: a server answers with one letter.
async fn offered(mut stream: TcpStream) -> Result<TcpStream> {
    let foreign = |error: std::io::Error| {
        Error::external(format!("what listens there does not answer as PostgreSQL: {error}"))
            .with_remedy("check host and port")
    };
    stream.write_all(&TLS_REQUEST).await.map_err(foreign)?;
    match stream.read_u8().await.map_err(foreign)? {
        b'S' => Ok(stream),
        b'N' => {
            Err(Error::external("the server speaks no TLS").with_remedy("turn `ssl` on there, or leave `tls` out here"))
        }
        other => Err(foreign(std::io::Error::other(format!("it answers with byte {other}")))),
    }
}

async fn over_socket(folder: &Path, port: u16, found: &mut Diagnosis) -> bool {
    let path = folder.join(format!(".s.PGSQL.{port}"));
    let connected = async {
        let stream = UnixStream::connect(&path).await.map_err(|error| {
            let remedy = "look whether the server runs, and where its socket is";
            Error::external(format!("{}: {error}", path.display())).with_remedy(remedy)
        })?;
        Ok((stream, path.display().to_string()))
    };
    found.check("socket connected", connected).await.is_some()
}
