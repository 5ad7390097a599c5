//! The connection to the servers: a task of its own, from connecting to the first failure.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind, GetStreamErrorKind};
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, Message, ServerInfo};
use futures::StreamExt as _;
use secrecy::ExposeSecret;
use tidegate_pipeline::error::{Error, Result};
use tokio::sync::mpsc;

use super::PlannedNats;
use super::message::Place;
use super::options::Deliver;
use crate::event::inbox::Feed;

/// How long a server is listened to that refuses a subscription.
const REFUSAL: Duration = Duration::from_millis(500);
/// How long the server may take to answer for what was said last.
const LEAVE: Duration = Duration::from_secs(3);

/// A message on its way to the source.
pub(super) struct Received {
    pub(super) message: Message,
    /// For a message of a stream: where it stands, its number among all that the consumer has sent, and what
    /// acknowledges it.
    pub(super) kept: Option<(Place, u64, Acker)>,
}

/// What is known of a consumer when it is opened.
pub(super) struct Consumer {
    /// When its stream was created, in ns.
    pub(super) stream_created: i64,
    /// Up to where everything has been acknowledged.
    pub(super) acknowledged: u64,
    consumer: PullConsumer,
}

/// A consumer that is asked for messages.
pub(super) type PullConsumer = jetstream::consumer::Consumer<pull::Config>;

/// A connection, and what it reports.
pub(super) struct Connection {
    client: Client,
    events: mpsc::Receiver<Event>,
}

/// Connects.
///
/// # Errors
/// When no server can be reached, or one refuses the credentials.
pub(super) async fn connect(planned: &PlannedNats) -> Result<Connection> {
    let given = &planned.options;
    let (report, events) = mpsc::channel(64);
    let mut options = ConnectOptions::new()
        .name("tidegate")
        .connection_timeout(Duration::from_secs(10))
        // A connection that is lost is the end of the source's life; the runtime opens it again. Until the first connection
        // every server is an attempt of its own.
        .max_reconnects(given.servers.0.len())
        .event_callback(move |event| {
            let report = report.clone();
            // Where nobody looks any more there is nothing to report.
            async move { drop(report.try_send(event)) }
        });
    let secret = |secret: &tidegate_pipeline::spec::Secret| secret.resolve();
    if let (Some(user), Some(password)) = (&given.username, &given.password) {
        options = options.user_and_password(user.clone(), secret(password)?.expose_secret().to_owned());
    }
    if let Some(token) = &given.token {
        options = options.token(secret(token)?.expose_secret().to_owned());
    }
    if let Some(seed) = &given.nkey {
        options = options.nkey(secret(seed)?.expose_secret().to_owned());
    }
    if let Some(credentials) = &given.credentials {
        options = options.credentials(secret(credentials)?.expose_secret()).map_err(|_| {
            Error::user("`credentials` holds no JWT and seed").with_remedy("give the text of a .creds file")
        })?;
    }
    if let Some(tls) = &planned.tls {
        options = options.tls_client_config((*tls.client()?).clone()).require_tls(true);
    }
    let servers = given.servers.join(", ");
    let connected = options.connect(given.servers.0.as_slice()).await;
    let client = connected.map_err(|error| refused(&error, &servers))?;
    Ok(Connection { client, events })
}

fn refused(error: &async_nats::ConnectError, servers: &str) -> Error {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            Error::user(format!("{servers} refuses the credentials")).with_remedy("check the user, token or key")
        }
        ConnectErrorKind::ServerParse => {
            Error::user(format!("{servers}: {error}")).with_remedy("write `nats://HOST:PORT`")
        }
        _ => Error::external(format!("{servers} cannot be reached: {error}"))
            .with_remedy("check `servers`, and whether they run"),
    }
}

impl Connection {
    /// The consumer that the options name.
    ///
    /// # Errors
    /// When it is not there, and not to be created; when it is of no use.
    pub(super) async fn consumer(&self, planned: &PlannedNats, stream: &str, name: &str) -> Result<Consumer> {
        let given = &planned.options;
        let opened = match self.stream(stream).await? {
            Some(opened) => opened,
            None if given.create => self.create_stream(stream, &given.subjects.0).await?,
            None => return Err(no_stream(stream)),
        };
        let consumer = match consumer_of(&opened, name).await? {
            Some(consumer) => consumer,
            None if given.create => {
                let config = wanted(planned, name, given.subjects.0.clone());
                opened.create_consumer(config).await.map_err(|error| unusable("consumer", name, error))?
            }
            None => return Err(no_consumer(stream, name)),
        };
        waits_for_acknowledgements(&consumer, name)?;
        let created = opened.cached_info().created;
        let stream_created = i64::try_from(created.unix_timestamp_nanos()).unwrap_or(i64::MAX);
        Ok(Consumer { stream_created, acknowledged: consumer.cached_info().ack_floor.stream_sequence, consumer })
    }

    /// What the server says of itself.
    pub(super) fn server(&self) -> ServerInfo {
        self.client.server_info()
    }

    /// A stream; `None` where there is none of this name.
    ///
    /// # Errors
    /// When JetStream does not answer.
    pub(super) async fn stream(&self, name: &str) -> Result<Option<stream::Stream>> {
        let error = match jetstream::new(self.client.clone()).get_stream(name).await {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) => error,
        };
        match error.kind() {
            GetStreamErrorKind::JetStream(answer) if answer.code() == 404 => Ok(None),
            GetStreamErrorKind::JetStream(_) | GetStreamErrorKind::Request => {
                let message = format!("JetStream does not answer for the stream `{name}`: {error}");
                Err(Error::external(message).with_remedy("check that the server runs with JetStream"))
            }
            _ => Err(unusable("stream", name, error)),
        }
    }

    async fn create_stream(&self, name: &str, subjects: &[String]) -> Result<stream::Stream> {
        if subjects.is_empty() {
            let message = format!("the stream `{name}` is not there, and has no subjects to be created with");
            return Err(Error::user(message).with_remedy("give `subjects`"));
        }
        let config = stream::Config { name: name.to_owned(), subjects: subjects.to_vec(), ..Default::default() };
        let created = jetstream::new(self.client.clone()).create_stream(config).await;
        created.map_err(|error| unusable("stream", name, error))
    }

    /// Whether a subject may be subscribed to. For a moment it is, outside of any queue group.
    ///
    /// # Errors
    /// When the server refuses, or the connection is lost.
    pub(super) async fn may_subscribe(&mut self, subject: &str) -> Result<()> {
        let subscribed = self.client.subscribe(subject.to_owned()).await;
        let _subscription = subscribed.map_err(|error| Error::user(format!("`{subject}`: {error}")))?;
        self.client.flush().await.map_err(|error| Error::external(format!("the connection is lost: {error}")))?;
        let refused = async {
            loop {
                match self.events.recv().await {
                    Some(Event::ServerError(error)) => {
                        let message = format!("the server refuses the subscription to `{subject}`: {error}");
                        return Err(Error::user(message).with_remedy("let this user subscribe to it"));
                    }
                    Some(Event::Disconnected | Event::Closed) | None => return Err(lost()),
                    Some(_) => {}
                }
            }
        };
        // It only answers where it refuses.
        tokio::time::timeout(REFUSAL, refused).await.unwrap_or(Ok(()))
    }

    /// Sends what the consumer gives to `feed`, in a task of its own.
    ///
    /// # Errors
    /// When the first request fails.
    pub(super) async fn follow(self, consumer: Consumer, feed: Feed<Received>) -> Result<()> {
        let opened = consumer.consumer.stream().expires(Duration::from_secs(30)).heartbeat(Duration::from_secs(5));
        let mut messages =
            opened.messages().await.map_err(|error| Error::external(format!("pulling fails: {error}")))?;
        let mut events = self.events;
        let client = self.client;
        tokio::spawn(async move {
            let error = loop {
                tokio::select! {
                    () = feed.closed() => break None,
                    event = events.recv() => match event {
                        Some(Event::Disconnected | Event::Closed) | None => break Some(lost()),
                        Some(_) => {}
                    },
                    message = messages.next() => match message {
                        Some(Ok(message)) => {
                            if !hand_over(message, &feed).await {
                                break None;
                            }
                        }
                        Some(Err(error)) => break Some(Error::external(format!("the consumer gives no more: {error}"))),
                        None => break Some(lost()),
                    },
                }
            };
            match error {
                Some(error) => feed.failure(error).await,
                None => leave(messages, &client, consumer.consumer).await,
            }
        });
        Ok(())
    }

    /// Subscribes to subjects, and sends what comes to `feed`, in a task of its own.
    ///
    /// # Errors
    /// When a subject is no subject, or the connection is lost.
    pub(super) async fn subscribe(self, planned: &PlannedNats, feed: Feed<Received>) -> Result<()> {
        let mut subscriptions = Vec::new();
        for subject in planned.options.subjects.iter() {
            let subscribed = match &planned.options.queue {
                Some(queue) => self.client.queue_subscribe(subject.clone(), queue.clone()).await,
                None => self.client.subscribe(subject.clone()).await,
            };
            subscriptions.push(subscribed.map_err(|error| Error::user(format!("`{subject}`: {error}")))?);
        }
        self.client.flush().await.map_err(|error| Error::external(format!("the connection is lost: {error}")))?;
        let mut messages = futures::stream::select_all(subscriptions);
        let (mut events, client) = (self.events, self.client);
        tokio::spawn(async move {
            let error = loop {
                tokio::select! {
                    () = feed.closed() => break None,
                    event = events.recv() => match event {
                        Some(Event::Disconnected | Event::Closed) | None => break Some(lost()),
                        Some(Event::SlowConsumer(_)) => tracing::warn!("The pipeline is slower than the server: messages are lost."),
                        Some(Event::ServerError(error)) => break Some(Error::external(format!("the server reports: {error}"))),
                        Some(_) => {}
                    },
                    message = messages.next() => {
                        let Some(message) = message else { break Some(lost()) };
                        let bytes = message.length;
                        if !feed.message(Received { message, kept: None }, bytes).await {
                            break None;
                        }
                    }
                }
            };
            if let Some(error) = error {
                feed.failure(error).await;
            }
            drop(client);
        });
        Ok(())
    }
}

/// A consumer of a stream; `None` where there is none of this name.
///
/// # Errors
/// When JetStream does not answer.
pub(super) async fn consumer_of(opened: &stream::Stream, name: &str) -> Result<Option<PullConsumer>> {
    let error = match opened.get_consumer::<pull::Config>(name).await {
        Ok(consumer) => return Ok(Some(consumer)),
        Err(error) => error,
    };
    match error.downcast_ref::<ConsumerInfoError>().map(|error| error.kind()) {
        Some(ConsumerInfoErrorKind::NotFound) => Ok(None),
        Some(ConsumerInfoErrorKind::InvalidName) | None => Err(unusable("consumer", name, error)),
        Some(_) => Err(Error::external(format!("JetStream does not answer for the consumer `{name}`: {error}"))),
    }
}

/// Whether a consumer keeps messages until they are acknowledged.
///
/// # Errors
/// When it does not.
pub(super) fn waits_for_acknowledgements(consumer: &PullConsumer, name: &str) -> Result<()> {
    if consumer.cached_info().config.ack_policy == AckPolicy::Explicit {
        return Ok(());
    }
    let message = format!("the consumer `{name}` does not wait for each message to be acknowledged");
    Err(Error::user(message).with_remedy("make one with the acknowledgement policy `explicit`"))
}

/// The stream is not there, and not to be created.
pub(super) fn no_stream(name: &str) -> Error {
    Error::user(format!("the stream `{name}` is not there")).with_remedy(REMEDY)
}

/// The consumer is not there, and not to be created.
pub(super) fn no_consumer(stream: &str, name: &str) -> Error {
    Error::user(format!("the consumer `{name}` of the stream `{stream}` is not there")).with_remedy(REMEDY)
}

/// Leaves, when the server has answered for what was said last: so it has read the acknowledgements. A source that closes
/// waits for that.
async fn leave(messages: pull::Stream, client: &Client, mut consumer: jetstream::consumer::Consumer<pull::Config>) {
    // Nothing more is to be sent.
    drop(messages);
    let left = tokio::time::timeout(LEAVE, async {
        client.flush().await.map_err(Error::external)?;
        consumer.info().await.map(drop).map_err(Error::external)
    });
    match left.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "The server was not left in order."),
        Err(_) => tracing::debug!("The server has not answered for what was said last."),
    }
}

/// What to do about a stream or consumer that is not there.
const REMEDY: &str = "create it, or let `create: true` do so";

fn unusable(what: &str, name: &str, error: impl std::fmt::Display) -> Error {
    Error::user(format!("the {what} `{name}` cannot be used: {error}"))
}

fn lost() -> Error {
    Error::external("the connection to the server is lost")
}

fn wanted(planned: &PlannedNats, name: &str, subjects: Vec<String>) -> pull::Config {
    let given = &planned.options;
    pull::Config {
        durable_name: Some(name.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: given.ack_wait.0,
        max_ack_pending: given.max_in_flight.into(),
        filter_subjects: subjects,
        deliver_policy: match given.deliver {
            Deliver::All => DeliverPolicy::All,
            Deliver::New => DeliverPolicy::New,
        },
        ..pull::Config::default()
    }
}

/// Whether the source is still there.
async fn hand_over(message: jetstream::Message, feed: &Feed<Received>) -> bool {
    let kept = message.info().ok().map(|info| {
        let place = Place { stream: info.stream.to_owned(), sequence: info.stream_sequence, delivered: info.delivered };
        (place, info.consumer_sequence)
    });
    let (message, acker) = message.split();
    let bytes = message.length;
    let kept = kept.map(|(place, consumer_sequence)| (place, consumer_sequence, acker));
    feed.message(Received { message, kept }, bytes).await
}
