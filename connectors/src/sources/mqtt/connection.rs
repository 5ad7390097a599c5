//! The connection to the broker: a task of its own, from connecting to the first failure.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, DisconnectReasonCode, Filter, Publish, RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, StateError};
use rumqttc::{TlsConfiguration, Transport};
use secrecy::ExposeSecret;
use tidegate_pipeline::error::{Error, Result};
use uuid::Uuid;

use super::PlannedMqtt;
use crate::event::inbox::Feed;

/// The largest packet that MQTT knows. A broker leaves out, without a word, what is larger than the client says.
const LARGEST_PACKET: u32 = 268_435_460;
/// How long the broker may take to accept the connection, in seconds.
const CONNECT: u64 = 15;
/// How many requests may wait: an acknowledgement for every number that a packet can have, and some others. Mosquitto 2.0.11
/// sends what it has kept for an absent client without regard to how much may be in flight.
const REQUESTS: usize = u16::MAX as usize + 64;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection that the broker has accepted.
pub(super) struct Connection {
    /// Takes acknowledgements.
    pub(super) client: AsyncClient,
    /// Whether the broker has gone on with an earlier session.
    pub(super) session_present: bool,
}

/// Connects and subscribes. Messages, and at last the failure, go to `feed`.
///
/// # Errors
/// When the broker cannot be reached or refuses the connection.
pub(super) async fn connect(planned: &PlannedMqtt, feed: Feed<Publish>) -> Result<Connection> {
    let given = &planned.options;
    let client_id = given.client_id.clone().unwrap_or_else(|| format!("tidegate-{}", Uuid::new_v4().simple()));
    let options = client_options(planned, &client_id, given.clean_session)?;
    let (client, mut events) = AsyncClient::new(options, REQUESTS);
    if planned.filters.iter().any(|(_, qos)| *qos == QoS::ExactlyOnce) {
        know_every_release(&mut events)?;
    }
    let filters = planned.filters.iter().map(|wanted| filter(wanted, RetainForwardRule::OnNewSubscribe));
    client.try_subscribe_many(filters).map_err(Error::internal)?;
    let accepted = accepted(&mut events).await.map_err(|error| failure(&error, planned))?;
    let topics: Vec<String> = planned.filters.iter().map(|(topic, _)| topic.clone()).collect();
    let (broker, place) = (planned.broker(), planned.clone());
    tokio::spawn(async move {
        let received = tokio::select! {
            () = feed.closed() => return,
            received = receive(&mut events, &feed, &topics, &broker) => received,
        };
        match received {
            Ok(()) => {}
            Err(Ended::Connection(error)) => feed.failure(failure(&error, &place)).await,
            Err(Ended::Refused(error)) => feed.failure(error).await,
        }
    });
    Ok(Connection { client, session_present: accepted.session_present })
}

/// What is subscribed to; retained messages do not come again with every connection.
fn filter((topic, qos): &(String, QoS), retained: RetainForwardRule) -> Filter {
    Filter { path: topic.clone(), qos: *qos, retain_forward_rule: retained, ..Filter::default() }
}

/// A short visit, which neither takes a session over nor leaves one behind.
pub(super) struct Visit {
    client: AsyncClient,
    events: EventLoop,
}

impl Visit {
    /// Connects under a client id of its own.
    ///
    /// # Errors
    /// When the broker cannot be reached or refuses the connection.
    pub(super) async fn pay(planned: &PlannedMqtt, client_id: &str) -> Result<Self> {
        let options = client_options(planned, client_id, true)?;
        let (client, mut events) = AsyncClient::new(options, REQUESTS);
        accepted(&mut events).await.map_err(|error| failure(&error, planned))?;
        Ok(Self { client, events })
    }

    /// Subscribes; the quality of service that the broker grants.
    ///
    /// # Errors
    /// When it refuses, or the connection is lost.
    pub(super) async fn subscribe(&mut self, planned: &PlannedMqtt, wanted: &(String, QoS)) -> Result<QoS> {
        let asked = self.client.try_subscribe_many([filter(wanted, RetainForwardRule::Never)]);
        asked.map_err(Error::internal)?;
        loop {
            let event = self.events.poll().await.map_err(|error| failure(&error, planned))?;
            if let Event::Incoming(Incoming::SubAck(answer)) = event {
                return match answer.return_codes.first() {
                    Some(SubscribeReasonCode::Success(granted)) => Ok(*granted),
                    Some(code) => Err(not_subscribed(&planned.broker(), &wanted.0, *code)),
                    None => Err(Error::external("the broker answers no subscription")),
                };
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn end(mut self) {
        let goodbye = async {
            // Behind it the client has nothing more to do, and says so by an error.
            if self.client.try_disconnect().is_ok() {
                while self.events.poll().await.is_ok() {}
            }
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

fn not_subscribed(broker: &str, topic: &str, code: SubscribeReasonCode) -> Error {
    let message = format!("the broker {broker} refuses the subscription to `{topic}`: {code:?}");
    Error::user(message).with_remedy("let this user read the topic, or change `topics`")
}

enum Ended {
    Connection(ConnectionError),
    Refused(Error),
}

async fn accepted(events: &mut EventLoop) -> Result<ConnAck, ConnectionError> {
    loop {
        if let Event::Incoming(Incoming::ConnAck(accepted)) = events.poll().await? {
            return Ok(accepted);
        }
    }
}

async fn receive(events: &mut EventLoop, feed: &Feed<Publish>, topics: &[String], broker: &str) -> Result<(), Ended> {
    loop {
        match events.poll().await.map_err(Ended::Connection)? {
            Event::Incoming(Incoming::Publish(message)) => {
                let bytes = message.topic.len() + message.payload.len();
                if !feed.message(message, bytes).await {
                    return Ok(());
                }
            }
            Event::Incoming(Incoming::SubAck(answer)) => {
                for (code, topic) in answer.return_codes.iter().zip(topics) {
                    if !matches!(code, SubscribeReasonCode::Success(_)) {
                        return Err(Ended::Refused(not_subscribed(broker, topic, *code)));
                    }
                }
            }
            _ => {}
        }
    }
}

/// A broker that goes on with a session may release messages of QoS 2 that an earlier connection has received. The
/// client library takes that for an error unless it has seen the messages itself.
fn know_every_release(events: &mut EventLoop) -> Result<()> {
    for packet in 1..=u16::MAX {
        let mut seen = Publish::new("", QoS::ExactlyOnce, Bytes::new(), None);
        seen.pkid = packet;
        events.state.handle_incoming_packet(Incoming::Publish(seen)).map_err(Error::internal)?;
        events.state.events.clear();
    }
    Ok(())
}

fn client_options(planned: &PlannedMqtt, client_id: &str, clean_session: bool) -> Result<MqttOptions> {
    let given = &planned.options;
    let mut options = MqttOptions::new(client_id, given.host.clone(), planned.port());
    options.set_clean_start(clean_session);
    let expiry = u32::try_from(given.session_expiry.0.as_secs()).unwrap_or(u32::MAX);
    options.set_session_expiry_interval((!clean_session).then_some(expiry));
    options.set_receive_maximum(Some(given.max_in_flight));
    options.set_max_packet_size(Some(LARGEST_PACKET));
    options.set_keep_alive(given.keep_alive.0);
    options.set_connection_timeout(CONNECT);
    options.set_manual_acks(true);
    if let Some(user) = &given.username {
        let password = given.password.as_ref().map(|password| password.resolve()).transpose()?;
        options.set_credentials(user, password.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default());
    }
    if let Some(tls) = &planned.tls {
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(tls.client()?)));
    }
    Ok(options)
}

/// What the library says, in the words of the user's options.
fn failure(error: &ConnectionError, planned: &PlannedMqtt) -> Error {
    let broker = planned.broker();
    match error {
        ConnectionError::ConnectionRefused(code) => refused(*code, &broker),
        ConnectionError::Io(error) => Error::external(format!("the broker {broker} cannot be reached: {error}"))
            .with_remedy("check `host` and `port`, and whether the broker runs"),
        ConnectionError::Tls(error) => Error::external(format!("no TLS connection to the broker {broker}: {error}"))
            .with_remedy("check `cafile`, `certfile`, `keyfile` and `port`"),
        ConnectionError::Timeout(_) => {
            Error::external(format!("the broker {broker} does not answer within {:?}", Duration::from_secs(CONNECT)))
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. })
            if *reason_code == DisconnectReasonCode::SessionTakenOver =>
        {
            let client = planned.options.client_id.as_deref().unwrap_or_default();
            Error::external(format!("another client has connected to {broker} as `{client}`"))
                .with_remedy("give each source a `client_id` of its own")
        }
        ConnectionError::MqttState(error) => {
            Error::external(format!("the connection to the broker {broker} is lost: {error}"))
        }
        error => Error::external(format!("the broker {broker} does not speak MQTT as expected: {error}")),
    }
}

fn refused(code: ConnectReturnCode, broker: &str) -> Error {
    use ConnectReturnCode::{
        BadAuthenticationMethod, BadClientId, BadUserNamePassword, Banned, ClientIdentifierNotValid, NotAuthorized,
        RefusedProtocolVersion, UnsupportedProtocolVersion,
    };
    match code {
        BadUserNamePassword | NotAuthorized | BadAuthenticationMethod | Banned => {
            Error::user(format!("the broker {broker} refuses the credentials ({code:?})"))
                .with_remedy("check `username` and `password`")
        }
        RefusedProtocolVersion | UnsupportedProtocolVersion => {
            Error::user(format!("the broker {broker} does not speak MQTT 5")).with_remedy("use one that does")
        }
        BadClientId | ClientIdentifierNotValid => {
            Error::user(format!("the broker {broker} refuses the `client_id`")).with_remedy("choose another")
        }
        code => Error::external(format!("the broker {broker} refuses the connection ({code:?})")),
    }
}
