//! The connection to the broker: a task of its own, from attaching to the first failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fe2o3_amqp::connection::{ConnectionHandle, OpenError};
use fe2o3_amqp::link::delivery::DeliveryInfo;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::link::{Receiver, ReceiverAttachError, ReceiverDisposer, RecvError};
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
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use super::Target;
use super::service_bus::{ConnectionString, TOKEN_LIFE};
use crate::event::inbox::Feed;

/// How long the broker may take to answer that the link ends.
const LEAVE: Duration = Duration::from_secs(3);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(30);
/// After which time without a word from the broker the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(60);
/// How long before its end a token is renewed.
const RENEW: Duration = Duration::from_secs(TOKEN_LIFE / 4 * 3);

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

/// What settles messages.
pub(super) struct Settler {
    disposer: ReceiverDisposer,
    settled: Arc<Settled>,
}

/// How many messages were settled.
#[derive(Default)]
struct Settled {
    count: AtomicU64,
    more: Notify,
}

/// What keeps the link open.
struct Link {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
    receiver: Receiver,
    tokens: Option<Tokens>,
    /// How many messages may be unsettled.
    credit: u64,
    /// How many messages the broker was allowed to send, and has sent.
    allowed: u64,
    received: u64,
    settled: Arc<Settled>,
}

/// What shows again and again that one may read the queue.
struct Tokens {
    client: CbsClient,
    string: ConnectionString,
    audience: String,
    due: Instant,
}

/// Attaches to the queue. Messages, and at last the failure, go to `feed`; what settles them is given back.
///
/// # Errors
/// When the broker cannot be reached, or refuses the credentials or the address.
pub(super) async fn connect(target: &Target, feed: Feed<Received>) -> Result<Settler> {
    let attached = tokio::time::timeout(CONNECT, attach(target)).await;
    let mut link =
        attached.map_err(|_| Error::external(format!("the broker does not answer within {CONNECT:?}")))??;
    let settler = Settler { disposer: link.receiver.disposer(), settled: Arc::clone(&link.settled) };
    let address = target.address.clone();
    tokio::spawn(async move {
        match receive(&mut link, &feed, &address).await {
            // A source that closes waits for this task: then the broker knows what is settled.
            Ok(()) => link.leave().await,
            Err(error) => {
                drop(link);
                feed.failure(error).await;
            }
        }
    });
    Ok(settler)
}

impl Settler {
    /// Settles a message; `false` where the link is gone.
    pub(super) async fn settle(&self, delivery: DeliveryInfo) -> bool {
        let accepted = self.disposer.accept(delivery).await.is_ok();
        self.settled.count.fetch_add(1, Ordering::SeqCst);
        self.settled.more.notify_one();
        accepted
    }
}

impl Link {
    /// Lets the broker send more when everything has come that it was allowed to send, and half of that is settled.
    /// While something is on its way, the two sides may count differently: then RabbitMQ 3 sends too much.
    async fn allow_more(&mut self) -> Result<()> {
        let unsettled = self.received.saturating_sub(self.settled.count.load(Ordering::SeqCst));
        if self.received < self.allowed || unsettled > self.credit / 2 {
            return Ok(());
        }
        let more = self.credit - unsettled;
        let told = self.receiver.set_credit(u32::try_from(more).unwrap_or(u32::MAX)).await;
        told.map_err(|error| Error::external(format!("the broker takes no credit: {error}")))?;
        self.allowed += more;
        Ok(())
    }

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
    let string = match &target.access {
        Access::Broker { .. } => None,
        Access::ServiceBus { connection_string } => Some(ConnectionString::parse(&connection_string.resolve()?)?),
    };
    let mut connection = open(target, string.as_ref()).await?;
    let mut session = Session::begin(&mut connection)
        .await
        .map_err(|error| Error::external(format!("the broker begins no session: {error}")))?;
    let tokens = match string {
        Some(string) => Some(Tokens::first(string, &target.address, &mut session).await?),
        None => None,
    };
    let receiver = Receiver::builder()
        .name(format!("tidegate-{}", Uuid::new_v4().simple()))
        .source(target.address.as_str())
        .credit_mode(CreditMode::Manual)
        .attach(&mut session)
        .await
        .map_err(|error| not_attached(&error, &target.address))?;
    let (credit, settled) = (target.credit.into(), Arc::default());
    Ok(Link { connection, session, receiver, tokens, credit, allowed: 0, received: 0, settled })
}

async fn open(target: &Target, string: Option<&ConnectionString>) -> Result<ConnectionHandle<()>> {
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
        builder.rustls_connector(TlsConnector::from(target.tls.client()?)).open(url).await
    } else {
        builder.open(url).await
    };
    opened.map_err(|error| not_opened(&error, url))
}

impl Tokens {
    async fn first(string: ConnectionString, queue: &str, session: &mut SessionHandle<()>) -> Result<Self> {
        let client = CbsClient::attach(session)
            .await
            .map_err(|error| Error::external(format!("the broker takes no tokens: {error:?}")))?;
        let audience = string.audience(queue);
        let mut tokens = Self { client, string, audience, due: Instant::now() };
        tokens.renew().await?;
        Ok(tokens)
    }

    async fn renew(&mut self) -> Result<()> {
        // A token ends at a time of day; nothing downstream sees it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Error::internal)?.as_secs();
        let expires = now + TOKEN_LIFE;
        let token = self.string.token(&self.audience, expires)?;
        let end = Timestamp::from_milliseconds(i64::try_from(expires * 1000).unwrap_or(i64::MAX));
        let token = CbsToken::new(token, "servicebus.windows.net:sastoken", Some(end));
        match self.client.put_token(self.audience.clone(), token).await {
            Ok(()) => {
                self.due = Instant::now() + RENEW;
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

async fn receive(link: &mut Link, feed: &Feed<Received>, address: &str) -> Result<()> {
    let settled = Arc::clone(&link.settled);
    loop {
        link.allow_more().await?;
        let due = link.tokens.as_ref().map(|tokens| tokens.due);
        let renewal = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = feed.closed() => return Ok(()),
            () = settled.more.notified() => {}
            () = renewal => if let Some(tokens) = &mut link.tokens { tokens.renew().await? },
            received = link.receiver.recv::<Body<Value>>() => {
                let message = received.map_err(|error| lost(&error, address))?;
                link.received += 1;
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

fn lost(error: &RecvError, address: &str) -> Error {
    Error::external(format!("the link to `{address}` is lost: {error}"))
}
