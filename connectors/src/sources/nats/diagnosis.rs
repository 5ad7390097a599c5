//! What is wrong with the connection to the servers, step by step. No message is asked for.

use async_nats::ServerAddr;
use serde::Deserialize;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::PlannedNats;
use super::connection::{self, Connection, consumer_of, no_consumer, no_stream, waits_for_acknowledgements};
use crate::diagnosis::{counted, dial, handshake, no_tls};
use crate::tls::TlsSettings;

/// The longest greeting that is read.
const LONGEST_GREETING: usize = 64 * 1024;

/// Looks at everything up to the first message.
pub(super) async fn diagnose(planned: &PlannedNats, found: &mut Diagnosis) {
    let servers = &planned.options.servers.0;
    let mut reachable = false;
    for server in servers {
        if servers.len() > 1 {
            found.about(server);
        }
        reachable |= greeted(planned, server, found).await;
    }
    found.about_all(reachable);
    let connected = async {
        let connection = connection::connect(planned).await?;
        let server = connection.server();
        let told = format!("{} by `{}` ({})", who(planned), server.server_name, server.version);
        Ok((connection, told))
    };
    let connection = found.check("connection accepted", connected).await;
    match (&planned.options.stream, &planned.options.consumer) {
        (Some(stream), Some(consumer)) => in_stream(planned, stream, consumer, connection.as_ref(), found).await,
        _ => subscriptions(planned, connection, found).await,
    }
}

fn who(planned: &PlannedNats) -> String {
    let options = &planned.options;
    match (&options.username, &options.token, &options.credentials, &options.nkey) {
        (Some(user), ..) => format!("as `{user}`"),
        (_, Some(_), ..) => "with the token".to_owned(),
        (.., Some(_), _) => "with the credentials file".to_owned(),
        (.., Some(_)) => "with the NKey".to_owned(),
        _ => "without credentials".to_owned(),
    }
}

/// What a server says first.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Greeting {
    server_name: String,
    version: String,
    jetstream: bool,
    auth_required: bool,
    tls_required: bool,
}

/// The steps to one server; whether it was reached, and TLS agreed on where it is wanted. A server greets first, and
/// speaks TLS after that.
async fn greeted(planned: &PlannedNats, server: &str, found: &mut Diagnosis) -> bool {
    let address = async {
        let address: ServerAddr = server
            .parse()
            .map_err(|error| Error::user(format!("`{server}`: {error}")).with_remedy("write `nats://HOST:PORT`"))?;
        let told = format!("{}:{}", address.host(), address.port());
        Ok((address, told))
    };
    let address = found.check("address understood", address).await;
    let (host, port) = address.as_ref().map_or(("", 0), |address| (address.host(), address.port()));
    let mut stream = dial(found, host, port).await;
    let greeting = async {
        let Some(stream) = stream.as_mut() else { return Err(Error::internal("it is not connected")) };
        let greeting = greeting(stream).await?;
        let told = told(&greeting);
        Ok((greeting, told))
    };
    let greeting = found.check("server greets", greeting).await;
    let wanted = planned.tls.is_some()
        || address.as_ref().is_some_and(ServerAddr::tls_required)
        || greeting.as_ref().is_some_and(|greeting| greeting.tls_required);
    if wanted {
        let config = planned.tls.as_ref().map_or_else(|| TlsSettings::default().client(), TlsSettings::client);
        return handshake(found, stream, host, config).await.is_some();
    }
    no_tls(found);
    greeting.is_some()
}

/// Reads `INFO {…}` up to the end of the line; behind it the server waits.
async fn greeting(stream: &mut TcpStream) -> Result<Greeting> {
    let foreign =
        || Error::external("what listens there does not greet as a NATS server").with_remedy("check `servers`");
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        if line.len() >= LONGEST_GREETING {
            return Err(foreign());
        }
        let byte = stream.read_u8().await;
        line.push(byte.map_err(|error| Error::external(format!("the server closes the connection: {error}")))?);
    }
    let json = line.strip_prefix(b"INFO ").ok_or_else(foreign)?;
    serde_json::from_slice(json).map_err(|_| foreign())
}

fn told(greeting: &Greeting) -> String {
    let jetstream = if greeting.jetstream { "with" } else { "without" };
    let mut told = format!("`{}`, version {}, {jetstream} JetStream", greeting.server_name, greeting.version);
    for (wanted, what) in [(greeting.auth_required, "credentials"), (greeting.tls_required, "TLS")] {
        if wanted {
            told.push_str(&format!(", wants {what}"));
        }
    }
    told
}

/// The stream and its consumer.
async fn in_stream(
    planned: &PlannedNats,
    stream: &str,
    consumer: &str,
    connection: Option<&Connection>,
    found: &mut Diagnosis,
) {
    const LATER: &str = "not there yet: `create: true` makes it when the source opens";
    let create = planned.options.create;
    let opened = async {
        let connection = connection.ok_or_else(|| Error::internal("it is not connected"))?;
        match connection.stream(stream).await? {
            Some(opened) => {
                let state = &opened.cached_info().state;
                let told = format!("{}, {}", counted(state.messages, "message"), counted(state.bytes, "byte"));
                Ok((Some(opened), told))
            }
            None if create => Ok((None, LATER.to_owned())),
            None => Err(no_stream(stream)),
        }
    };
    let opened = found.check("stream there", opened).await.flatten();
    let consumer = async {
        let there = match &opened {
            Some(opened) => consumer_of(opened, consumer).await?,
            None => None,
        };
        match there {
            Some(there) => {
                waits_for_acknowledgements(&there, consumer)?;
                let info = there.cached_info();
                let waiting = counted(info.num_pending, "message");
                Ok(((), format!("{waiting} to come, {} not acknowledged", info.num_ack_pending)))
            }
            None if create => Ok(((), LATER.to_owned())),
            None => Err(no_consumer(stream, consumer)),
        }
    };
    found.check("consumer there", consumer).await;
}

/// Without a stream: every subject is subscribed to for a moment.
async fn subscriptions(planned: &PlannedNats, mut connection: Option<Connection>, found: &mut Diagnosis) {
    for subject in planned.options.subjects.iter() {
        found.about(format!("subject {subject}"));
        let allowed = async {
            let connection = connection.as_mut().ok_or_else(|| Error::internal("it is not connected"))?;
            connection.may_subscribe(subject).await?;
            let group = planned.options.queue.as_ref();
            let told = group.map(|group| format!("outside of the queue group `{group}`, whose messages are not taken"));
            Ok(((), told.unwrap_or_default()))
        };
        found.check("subscription allowed", allowed).await;
    }
    found.about_all(true);
}
