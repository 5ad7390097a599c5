//! What is wrong with the connection to a broker, step by step. The broker is given no credit: it sends no message.

use std::time::Duration;

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::Receiver;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::session::SessionHandle;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use url::Url;

use super::Target;
use super::connection::{Access, Tokens, begin, open, receiver};
use super::service_bus::ConnectionString;
use crate::diagnosis::{reach, read};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// The ports of brokers, without and with TLS.
const PORT: u16 = 5672;
const PORT_WITH_TLS: u16 = 5671;

/// Looks at everything up to the address.
pub(super) async fn diagnose(target: &Target, found: &mut Diagnosis) {
    let string = match &target.access {
        Access::Broker { .. } => None,
        Access::ServiceBus { .. } => read(found, "connection string read", || string(target)).await,
    };
    let url = match &target.access {
        Access::Broker { url, .. } => url.as_str(),
        Access::ServiceBus { .. } => string.as_ref().map(|string| string.url.as_str()).unwrap_or_default(),
    };
    reach_broker(target, url, found).await;
    let opened = async { Ok((open(target, string.as_ref()).await?, who(target))) };
    let mut connection = found.check("credentials accepted", opened).await;
    let begun = async {
        let connection = connection.as_mut().ok_or_else(|| Error::internal("it is not connected"))?;
        Ok((begin(connection).await?, String::new()))
    };
    let mut session = found.check("session begun", begun).await;
    let mut tokens = None;
    if let Access::ServiceBus { .. } = &target.access {
        let accepted = async {
            let (Some(string), Some(session)) = (string, session.as_mut()) else { return Err(unconnected()) };
            Ok((Tokens::first(string, target, session).await?, format!("for `{}`", target.address)))
        };
        tokens = found.check("token accepted", accepted).await;
    }
    let attached = async {
        let session = session.as_mut().ok_or_else(unconnected)?;
        let receiver = receiver(target, CreditMode::Manual, session).await?;
        Ok((receiver, format!("`{}`, no message taken", target.address)))
    };
    let receiver = found.check("address attached", attached).await;
    drop(tokens);
    let _ = tokio::time::timeout(GOODBYE, goodbye(receiver, session, connection)).await;
}

fn unconnected() -> Error {
    Error::internal("it is not connected")
}

fn string(target: &Target) -> Result<(ConnectionString, String)> {
    let string = target.connection_string()?.ok_or_else(unconnected)?;
    let told = format!("{}, key `{}`", string.url, string.key_name());
    Ok((string, told))
}

async fn reach_broker(target: &Target, url: &str, found: &mut Diagnosis) {
    let url = Url::parse(url).ok();
    let secure = url.as_ref().is_some_and(|url| url.scheme() == "amqps");
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let usual = if secure { PORT_WITH_TLS } else { PORT };
    let port = url.as_ref().and_then(Url::port).unwrap_or(usual);
    reach(found, host, port, secure.then(|| target.tls.client())).await;
}

fn who(target: &Target) -> String {
    match &target.access {
        Access::Broker { user: Some((user, _)), .. } => format!("SASL PLAIN as `{user}`"),
        Access::Broker { user: None, .. } => "SASL ANONYMOUS".to_owned(),
        Access::ServiceBus { .. } => "SASL ANONYMOUS: the token comes next".to_owned(),
    }
}

/// Ends everything in order; who does not answer is left.
async fn goodbye(
    receiver: Option<Receiver>,
    session: Option<SessionHandle<()>>,
    connection: Option<ConnectionHandle<()>>,
) {
    if let Some(receiver) = receiver {
        let _ = receiver.close().await;
    }
    if let Some(mut session) = session {
        let _ = session.end().await;
    }
    if let Some(mut connection) = connection {
        let _ = connection.close().await;
    }
}
