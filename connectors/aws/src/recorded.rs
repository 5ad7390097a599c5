//! A tape between the SDK and the network.

use std::sync::Arc;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::{Headers as SdkHeaders, StatusCode};
use tidegate_connectors::cassette::{Body, Headers, Request, Response, Tape, WholeBody, reason, streamed};
use tidegate_pipeline::error::{Error, Result};

/// The client of HTTP that the SDK is given where there is a cassette.
#[derive(Debug)]
pub(crate) struct RecordedHttp {
    tape: Arc<Tape>,
    /// How AWS itself is asked; nothing where the tape only replays.
    real: Option<SharedHttpClient>,
}

impl RecordedHttp {
    pub(crate) fn new(tape: Arc<Tape>) -> Self {
        let real = (!tape.only_replays()).then(real_client);
        Self { tape, real }
    }
}

/// The client that the SDK has by default, with the proxies of the environment.
fn real_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

impl HttpClient for RecordedHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let real = self.real.as_ref().map(|real| real.http_connector(settings, components));
        SharedHttpConnector::new(RecordedConnector { tape: Arc::clone(&self.tape), real })
    }
}

#[derive(Debug)]
struct RecordedConnector {
    tape: Arc<Tape>,
    real: Option<SharedHttpConnector>,
}

impl HttpConnector for RecordedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (tape, real) = (Arc::clone(&self.tape), self.real.clone());
        HttpConnectorFuture::new(async move { answer(tape, real, request).await })
    }
}

async fn answer(
    tape: Arc<Tape>,
    real: Option<SharedHttpConnector>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let asked = asked(&request).map_err(refused)?;
    if let Some(recorded) = tape.play(&asked).map_err(refused)? {
        return handed(&recorded).map_err(refused);
    }
    let Some(real) = real else { return Err(refused(Error::internal("a tape that only replays wants to record"))) };
    let mut response = real.call(request).await?;
    let body = read(std::mem::replace(response.body_mut(), SdkBody::taken())).await?;
    *response.body_mut() = SdkBody::from(body.bytes.clone());
    let code = response.status().as_u16();
    let answered = Response {
        code,
        message: reason(code).to_owned(),
        headers: headers(response.headers()),
        body,
        http_version: None,
    };
    tape.keep(asked, answered).await.map_err(refused)?;
    Ok(response)
}

/// An error that the SDK does not retry, and that [`crate::failure`] knows again.
fn refused(error: Error) -> ConnectorError {
    ConnectorError::user(Box::new(error))
}

fn asked(request: &HttpRequest) -> Result<Request> {
    let Some(bytes) = request.body().bytes() else { return Err(streamed()) };
    Ok(Request {
        method: request.method().to_ascii_lowercase(),
        uri: request.uri().to_owned(),
        headers: headers(request.headers()),
        body: Body::new(bytes.to_vec()),
    })
}

fn headers(given: &SdkHeaders) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in given.iter_bytes() {
        headers.add(name, String::from_utf8_lossy(value));
    }
    headers
}

async fn read(body: SdkBody) -> Result<Body, ConnectorError> {
    let (mut stream, mut whole) = (ByteStream::new(body), WholeBody::default());
    while let Some(piece) = stream.next().await {
        whole.add(&piece.map_err(|error| ConnectorError::io(error.into()))?).map_err(refused)?;
    }
    Ok(whole.end())
}

fn handed(response: &Response) -> Result<HttpResponse> {
    let status = StatusCode::try_from(response.code).map_err(Error::user)?;
    let mut built = HttpResponse::new(status, SdkBody::from(response.body.bytes.clone()));
    for (name, value) in response.headers.iter() {
        // What HTTP cannot carry cannot have been sent.
        let _ = built.headers_mut().try_append(name.to_owned(), value.to_owned());
    }
    Ok(built)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::path::Path;
    use std::time::{Duration, Instant};

    use aws_config::retry::RetryConfig;
    use aws_sdk_sqs::Client;
    use aws_sdk_sqs::error::ProvideErrorMetadata;
    use tidegate_connectors::cassette::CassetteOptions;
    use tidegate_pipeline::error::Retry;
    use tidegate_pipeline::spec::Options;

    use super::*;
    use crate::connection::Connection;
    use crate::failure::failure;

    /// A server that gives these answers, one a connection, and is gone then.
    fn server(answers: Vec<(u16, String)>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (code, body) in answers {
                let mut reader = BufReader::new(listener.accept().unwrap().0);
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap() > 2 {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let head =
                    format!("HTTP/1.1 {code} X\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n");
                write!(reader.get_mut(), "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
            }
        });
        address
    }

    /// What a node with these options connects with; `also` are the keys of the connection.
    fn connection(folder: &Path, mode: &str, endpoint: SocketAddr, also: bool) -> Connection {
        #[derive(serde::Deserialize)]
        struct Given {
            cassette: CassetteOptions,
            access_key: Option<tidegate_pipeline::spec::Secret>,
            secret_key: Option<tidegate_pipeline::spec::Secret>,
        }
        let keys = if also { "access_key: AKIDHUNTER2\nsecret_key: hunter2hunter2hunter2\n" } else { "" };
        let options = Options::parse(&format!("cassette: {{path: c.yml, mode: {mode}}}\n{keys}")).unwrap();
        let given: Given = options.read().unwrap();
        Connection {
            access_key: given.access_key,
            secret_key: given.secret_key,
            endpoint_url: Some(format!("http://{endpoint}")),
            region: also.then(|| "us-east-1".to_owned()),
            cassette: Some(given.cassette.insert(folder, &options)),
            ..Connection::default()
        }
    }

    fn retries() -> RetryConfig {
        RetryConfig::standard().with_initial_backoff(Duration::from_millis(1))
    }

    #[tokio::test]
    async fn what_the_sdk_asked_is_replayed_without_credentials_network_and_pauses() {
        let folder = tempfile::tempdir().unwrap();
        let queues = serde_json::json!({"QueueUrls": ["http://sqs/123456789012/q"]}).to_string();
        let refusal =
            serde_json::json!({"__type": "com.amazonaws.sqs#RequestThrottled", "message": "slowly"}).to_string();
        let endpoint = server(vec![(500, "{}".into()), (200, queues), (400, refusal)]);
        let config = connection(folder.path(), "once", endpoint, true).load(retries()).await.unwrap();
        let live = Client::new(&config).list_queues().send().await.unwrap();
        assert_eq!(live.queue_urls(), ["http://sqs/123456789012/q"]);
        let no_more = RetryConfig::standard().with_max_attempts(1);
        let builder = aws_sdk_sqs::config::Builder::from(&config).retry_config(no_more.clone()).build();
        let refused = Client::from_conf(builder).get_queue_url().queue_name("x").send().await.unwrap_err();
        drop(config);
        let text = std::fs::read_to_string(folder.path().join("c.yml")).unwrap();
        assert!(text.matches("- request:").count() == 3 && !text.to_lowercase().contains("hunter2"), "{text}");

        let begun = Instant::now();
        let config = connection(folder.path(), "none", endpoint, false).load(RetryConfig::standard()).await.unwrap();
        let client = Client::new(&config);
        let replayed = client.list_queues().send().await.unwrap();
        assert_eq!(replayed.queue_urls(), live.queue_urls(), "after the same refusal as then");
        let builder = aws_sdk_sqs::config::Builder::from(&config).retry_config(no_more).build();
        let again = Client::from_conf(builder).get_queue_url().queue_name("x").send().await.unwrap_err();
        assert_eq!((again.code(), again.message()), (refused.code(), refused.message()));
        let error = failure("list queues", &client.list_queues().send().await.unwrap_err());
        assert!(error.message.starts_with("cannot list queues: the cassette "), "{error}");
        assert!(error.message.contains("no further answer") && error.message.contains("ListQueues"), "{error}");
        assert_eq!(error.retry, Retry::Never);
        assert!(begun.elapsed() < Duration::from_secs(2), "nothing waits");
    }

    #[tokio::test]
    async fn an_answer_with_a_secret_of_the_node_is_not_recorded_and_fails_the_request() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = server(vec![(200, r#"{"QueueUrls": ["http://sqs/hunter2hunter2hunter2"]}"#.into())]);
        let config = connection(folder.path(), "once", endpoint, true).load(retries()).await.unwrap();
        let error = failure("list queues", &Client::new(&config).list_queues().send().await.unwrap_err());
        assert!(error.message.contains("a secret of this pipeline") && !error.message.contains("hunter2"), "{error}");
        assert_eq!(error.retry, Retry::Never);
        assert!(!folder.path().join("c.yml").exists());
    }

    #[tokio::test]
    async fn a_cassette_that_ruby_recorded_answers_the_requests_of_the_sdk() {
        let Some(data) = std::env::var_os("TIDEGATE_RECORDED_DATA") else {
            return eprintln!("SKIPPED: TIDEGATE_RECORDED_DATA is not set");
        };
        let options = Options::parse("cassette: {path: vcr/regions.yml, mode: none}").unwrap();
        let given: std::collections::BTreeMap<String, CassetteOptions> = options.read().unwrap();
        let tape = given["cassette"].insert(Path::new(&data), &options).tape().unwrap();
        let connector = RecordedConnector { tape, real: None };
        let mut request = HttpRequest::new(SdkBody::from("Version=2016-11-15&Action=DescribeRegions"));
        request.set_method("POST").unwrap();
        request.set_uri("https://ec2.us-east-1.amazonaws.com/").unwrap();
        request.headers_mut().insert("content-type", "application/x-www-form-urlencoded");
        request.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 Credential=AKIAOTHER/20260101");
        let mut response = connector.call(request.try_clone().unwrap()).await.unwrap();
        let body = read(std::mem::replace(response.body_mut(), SdkBody::taken())).await.unwrap();
        let text = std::str::from_utf8(&body.bytes).unwrap();
        assert_eq!((response.status().as_u16(), text.matches("<regionName>").count()), (200, 17));
        assert_eq!(response.headers().get("content-length"), Some(text.len().to_string().as_str()));
        assert!(connector.call(request).await.unwrap_err().is_user(), "it is not tried again");
    }
}
