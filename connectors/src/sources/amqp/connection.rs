//! The connection to the broker: a task of its own, from attaching to the first failure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fe2o3_amqp::connection::{ConnectionHandle, OpenError};
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::link::{Receiver, ReceiverAttachError, ReceiverDisposer};
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::definitions::{AmqpError, Error as AmqpCondition, ErrorCondition};
use fe2o3_amqp::types::messaging::Body;
use fe2o3_amqp::types::primitives::{Timestamp, Value};
use fe2o3_amqp::{Connection, Delivery, Session};
use fe2o3_amqp_cbs::client::CbsClient;
use fe2o3_amqp_cbs::token::CbsToken;
use secrecy::ExposeSecret;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::Secret;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use super::Target;
use super::service_bus::ConnectionString;
use super::window::Window;
use crate::event::inbox::Feed;

/// How long the broker may take to answer that the link ends.
const LEAVE: Duration = Duration::from_secs(3);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(30);
/// After which time without a word from the broker the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(60);

/// How one gets in.
#[derive(Clone)]
pub(super) enum Access {
    /// A broker, with or without a user.
    Broker { url: String, user: Option<(String, Secret)> },
    /// Azure Service Bus.
    ServiceBus { connection_string: Secret },
}

/// A message on its way to the source.
pub(super) type Received = Delivery<Body<Value>>;

/// What keeps the link open.
struct Link {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
    receiver: Receiver,
    tokens: Option<Tokens>,
}

/// What shows again and again that one may read the queue.
pub(super) struct Tokens {
    client: CbsClient,
    string: ConnectionString,
    audience: String,
    /// How long each is good for; renewed after three quarters of it.
    life: Duration,
    due: Instant,
}

/// Attaches to the queue. Messages, and at last the failure, go to `feed`; what settles them is given back. `settled`
/// says how many are.
///
/// # Errors
/// When the broker cannot be reached, or refuses the credentials or the address.
pub(super) async fn connect(
    target: &Target,
    feed: Feed<Received>,
    settled: watch::Receiver<u64>,
) -> Result<ReceiverDisposer> {
    let attached = tokio::time::timeout(CONNECT, attach(target)).await;
    let mut link =
        attached.map_err(|_| Error::external(format!("the broker does not answer within {CONNECT:?}")))??;
    let disposer = link.receiver.disposer();
    let address = target.address.clone();
    let window = Window::new(target.credit, settled);
    tokio::spawn(async move {
        match receive(&mut link, window, &feed, &address).await {
            // A source that closes waits for this task: then the broker knows what is settled.
            Ok(()) => link.leave().await,
            Err(error) => {
                drop(link);
                feed.failure(error).await;
            }
        }
    });
    Ok(disposer)
}

impl Link {
    /// Says goodbye: the broker answers when it has read all that was said before. What was not settled is sent again in
    /// any case.
    async fn leave(self) {
        let Self { mut connection, mut session, receiver, .. } = self;
        let left = tokio::time::timeout(LEAVE, async {
            receiver.close().await.map_err(Error::external)?;
            session.end().await.map_err(Error::external)?;
            connection.close().await.map_err(Error::external)
        });
        match left.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "The link to the broker was not left in order."),
            Err(_) => tracing::debug!("The broker has not answered the end of the link."),
        }
    }
}

async fn attach(target: &Target) -> Result<Link> {
    let string = target.connection_string()?;
    let mut connection = open(target, string.as_ref()).await?;
    let mut session = begin(&mut connection).await?;
    let tokens = match string {
        Some(string) => Some(Tokens::first(string, target, &mut session).await?),
        None => None,
    };
    let receiver = receiver(target, CreditMode::Manual, &mut session).await?;
    Ok(Link { connection, session, receiver, tokens })
}

impl Target {
    /// For Azure Service Bus: where and as whom to connect. The secret is read now.
    ///
    /// # Errors
    /// When it cannot be read, or is no connection string.
    pub(super) fn connection_string(&self) -> Result<Option<ConnectionString>> {
        match &self.access {
            Access::Broker { .. } => Ok(None),
            Access::ServiceBus { connection_string } => {
                ConnectionString::parse(&connection_string.resolve()?).map(Some)
            }
        }
    }
}

/// Begins a session.
///
/// # Errors
/// When the broker does not want one.
pub(super) async fn begin(connection: &mut ConnectionHandle<()>) -> Result<SessionHandle<()>> {
    let begun = Session::begin(connection).await;
    begun.map_err(|error| Error::external(format!("the broker begins no session: {error}")))
}

/// Attaches to the address. The broker sends as many messages as it is given credit for.
///
/// # Errors
/// When it is not there, or may not be read.
pub(super) async fn receiver(target: &Target, credit: CreditMode, session: &mut SessionHandle<()>) -> Result<Receiver> {
    Receiver::builder()
        .name(format!("tidegate-{}", Uuid::new_v4().simple()))
        .source(target.address.as_str())
        .credit_mode(credit)
        .attach(session)
        .await
        .map_err(|error| not_attached(&error, &target.address))
}

/// Connects, and shows who we are.
///
/// # Errors
/// When the broker cannot be reached, or refuses the credentials.
pub(super) async fn open(target: &Target, string: Option<&ConnectionString>) -> Result<ConnectionHandle<()>> {
    let (url, profile) = match (&target.access, string) {
        (Access::Broker { url, user: Some((user, password)) }, _) => {
            let password = password.resolve()?.expose_secret().to_owned();
            (url.as_str(), SaslProfile::Plain { username: user.clone(), password })
        }
        (Access::Broker { url, user: None }, _) => (url.as_str(), SaslProfile::Anonymous),
        (Access::ServiceBus { .. }, string) => {
            (string.map(|string| string.url.as_str()).unwrap_or_default(), SaslProfile::Anonymous)
        }
    };
    let builder = Connection::builder()
        .container_id(format!("tidegate-{}", Uuid::new_v4().simple()))
        .idle_time_out(u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX))
        .sasl_profile(profile);
    let opened = if url.starts_with("amqps:") {
        // TLS from the first byte on, as brokers speak it on port 5671; otherwise AMQP would first ask for it.
        let builder = builder.alt_tls_establishment(true);
        builder.rustls_connector(TlsConnector::from(target.tls.client()?)).open(url).await
    } else {
        builder.open(url).await
    };
    opened.map_err(|error| not_opened(&error, url))
}

impl Tokens {
    /// Shows a token for a queue.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub(super) async fn first(
        string: ConnectionString,
        target: &Target,
        session: &mut SessionHandle<()>,
    ) -> Result<Self> {
        let client = CbsClient::attach(session)
            .await
            .map_err(|error| Error::external(format!("the broker takes no tokens: {error:?}")))?;
        let audience = string.audience(&target.address);
        let mut tokens = Self { client, string, audience, life: target.token_life, due: Instant::now() };
        tokens.renew().await?;
        Ok(tokens)
    }

    async fn renew(&mut self) -> Result<()> {
        // A token ends at a time of day; nothing downstream sees it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Error::internal)?.as_secs();
        let expires = now + self.life.as_secs();
        let token = self.string.token(&self.audience, expires)?;
        let end = Timestamp::from_milliseconds(i64::try_from(expires * 1000).unwrap_or(i64::MAX));
        let token = CbsToken::new(token, "servicebus.windows.net:sastoken", Some(end));
        match self.client.put_token(self.audience.clone(), token).await {
            Ok(()) => {
                self.due = Instant::now() + self.life * 3 / 4;
                Ok(())
            }
            Err(error) => {
                let said = format!("{error:?}");
                // The type of the error cannot be named here; what it says can.
                if said.starts_with("Status") {
                    let message = format!("the broker refuses the token for {}: {said}", self.audience);
                    return Err(
                        Error::user(message).with_remedy("check the key and its name in `conn_str`, and `queue_name`")
                    );
                }
                Err(Error::external(format!("the token for {} could not be put: {said}", self.audience)))
            }
        }
    }
}

async fn receive(link: &mut Link, mut window: Window, feed: &Feed<Received>, address: &str) -> Result<()> {
    loop {
        window.grant(&mut link.receiver).await.map_err(|error| lost(&error, address))?;
        let due = link.tokens.as_ref().map(|tokens| tokens.due);
        let renewal = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = feed.closed() => return Ok(()),
            () = renewal => if let Some(tokens) = &mut link.tokens { tokens.renew().await? },
            () = window.more_settled() => {}
            received = link.receiver.recv::<Body<Value>>() => {
                let message = received.map_err(|error| lost(&error, address))?;
                window.received();
                let bytes = super::message::size(message.body());
                if !feed.message(message, bytes).await {
                    return Ok(());
                }
            }
        }
    }
}

fn not_opened(error: &OpenError, url: &str) -> Error {
    match error {
        OpenError::SaslError { .. } => Error::user(format!("the broker {url} refuses the credentials"))
            .with_remedy("check `username` and `password`"),
        OpenError::Io(error) => Error::external(format!("the broker {url} cannot be reached: {error}"))
            .with_remedy("check the address, and whether the broker runs"),
        OpenError::ProtocolHeaderMismatch(_) => Error::user(format!("{url} does not speak AMQP 1.0"))
            .with_remedy("RabbitMQ needs its plugin `rabbitmq_amqp1_0`"),
        error => Error::external(format!("the broker {url} accepts no connection: {error}")),
    }
}

fn not_attached(error: &ReceiverAttachError, address: &str) -> Error {
    match error {
        ReceiverAttachError::RemoteClosedWithError(reason) => refused(reason, address),
        error => Error::external(format!("the broker gives nothing of `{address}`: {error}"))
            .with_remedy("check that the queue is there and may be read"),
    }
}

/// What the broker says when it refuses a link or ends it.
fn refused(reason: &AmqpCondition, address: &str) -> Error {
    let said = reason.description.as_deref().unwrap_or_default();
    match &reason.condition {
        ErrorCondition::AmqpError(AmqpError::NotFound) => {
            Error::user(format!("`{address}` is not there: {said}")).with_remedy("create the queue, or check its name")
        }
        ErrorCondition::AmqpError(AmqpError::UnauthorizedAccess | AmqpError::NotAllowed) => {
            Error::user(format!("`{address}` may not be read: {said}")).with_remedy("let this user read it")
        }
        _ => Error::external(format!("the broker gives nothing of `{address}`: {reason}")),
    }
}

fn lost(error: &dyn std::error::Error, address: &str) -> Error {
    Error::external(format!("the link to `{address}` is lost: {error}"))
}
