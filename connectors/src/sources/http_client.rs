//! Speaking HTTP: what `url_check`, `http_poll` and the sinks that post share.

use std::error::Error as _;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, ClientBuilder};
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use url::Url;

use crate::diagnosis;
use crate::tls::{TlsSettings, Verification};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A client that is not built yet. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`, …).
pub(crate) fn builder(timeout: Duration, verifies: bool) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        .connect_timeout(CONNECT.min(timeout))
        .tls_danger_accept_invalid_certs(!verifies)
        .tls_danger_accept_invalid_hostnames(!verifies)
}

/// Builds it.
///
/// # Errors
/// When this machine has no certificates of authorities.
pub(crate) fn build(builder: ClientBuilder) -> Result<Client> {
    builder.build().map_err(|error| {
        let remedy = "install the certificates of authorities (Debian: `ca-certificates`)";
        Error::user(format!("HTTP cannot be spoken: {}", explain(error))).with_remedy(remedy)
    })
}

/// The steps to the server of a URL, or to the proxy that the environment names for it.
pub(crate) async fn reach(found: &mut Diagnosis, url: &Url, verifies: bool) {
    let proxy = url.as_str().parse().ok().and_then(|uri| Matcher::from_env().intercept(&uri));
    let Some(proxy) = proxy else {
        let tls = || TlsSettings::default().client_verifying(Verification::of(verifies));
        return diagnosis::reach_url_trusting(found, url, tls).await;
    };
    let (host, scheme) = (proxy.uri().host().unwrap_or_default(), proxy.uri().scheme_str().unwrap_or_default());
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => 1080,
    };
    found.skip("proxy", format!("the environment names {host}: what follows is about the way to it"));
    diagnosis::dial(found, host, proxy.uri().port_u16().unwrap_or(usual)).await;
    found.skip("TLS handshake", "it happens behind the proxy");
}

/// What went wrong and why, without the URL, which may hold a secret.
pub(crate) fn explain(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let text = deeper.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = deeper.source();
    }
    said
}

/// How long the header `Retry-After` asks for: seconds, or a date. The caller bounds it.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            u64::try_from(date.as_second() - now.as_second()).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds))
}

/// A value of a header that is not shown.
///
/// # Errors
/// When it holds what no header can hold; `name` is that of the option.
pub(crate) fn secret_value(text: &str, name: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::user(format!("the secret of `{name}` holds characters that no header can hold")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A URL for people: what stands before `@` is hidden.
pub(crate) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    if url.password().is_some() || !url.username().is_empty() {
        // A URL that has them takes others.
        let _ = shown.set_password(None);
        let _ = shown.set_username("***");
    }
    shown.to_string()
}

/// The same without its query, which may hold keys.
pub(crate) fn shown_without_query(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    shown(&bare)
}

/// A URL that HTTP can be spoken with.
///
/// # Errors
/// Why it is none; the text may hold a secret and is not repeated.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("this is no URL: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        other => Err(format!("a URL begins with http:// or https://, not with {other}:")),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::{Request, Response};
    use parking_lot::Mutex;

    /// An HTTP server that answers as a test says.
    pub(crate) struct Stub {
        pub(crate) address: SocketAddr,
        requests: Arc<Mutex<Vec<String>>>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Stub {
        /// Answers each request, counted from 1, by `answer`.
        pub(crate) async fn start(
            answer: impl Fn(usize, &Request<Body>) -> Response<Body> + Clone + Send + Sync + 'static,
        ) -> Self {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let requests = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&requests);
            let router = axum::Router::new().fallback(move |request: Request<Body>| {
                let number = {
                    let mut seen = seen.lock();
                    seen.push(request.uri().to_string());
                    seen.len()
                };
                let response = answer(number, &request);
                async move { response }
            });
            let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            Self { address, requests, task }
        }

        /// A URL of it.
        pub(crate) fn url(&self, path: &str) -> String {
            format!("http://{}{path}", self.address)
        }

        /// The paths and queries that were asked for.
        pub(crate) fn requests(&self) -> Vec<String> {
            self.requests.lock().clone()
        }
    }

    impl Drop for Stub {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    /// A response with a body.
    pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl Into<String>) -> Response<Body> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Body::from(body.into())).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn neither_urls_nor_errors_show_what_stands_before_the_at_sign_or_in_queries() {
        let url = parse("http://me:hunter2@127.0.0.1:1/a?key=hunter2").unwrap();
        assert_eq!(shown(&url), "http://***@127.0.0.1:1/a?key=hunter2");
        assert_eq!(shown_without_query(&url), "http://***@127.0.0.1:1/a");
        let client = build(builder(Duration::from_secs(5), true).no_proxy()).unwrap();
        let said = explain(client.get(url).send().await.unwrap_err());
        assert!(said.contains("refused") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn what_is_no_url_is_not_repeated() {
        for wrong in ["hunter2", "ftp://h/hunter2", "file:///hunter2", "http://"] {
            assert!(!parse(wrong).unwrap_err().contains("hunter2"));
        }
    }

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now).map(|pause| pause.as_secs())
        };
        assert_eq!(of("7"), Some(7));
        assert_eq!(of("Sat, 21 Nov 2026 12:00:30 GMT"), Some(30));
        assert_eq!(of("Sat, 21 Nov 2026 11:00:00 GMT"), Some(0));
        assert_eq!(of("99999999"), Some(99_999_999));
        assert_eq!(of("soon"), None);
    }
}
