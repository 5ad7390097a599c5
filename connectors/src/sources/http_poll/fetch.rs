//! One request and its answer.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use url::Url;

use super::options::Endpoint;
use crate::cassette::client::{RecordedClient, SendError};
use crate::sources::http_client::{build, builder, explain, retry_after, secret_value, shown_without_query};

/// However long an endpoint asks to be left alone, it is asked again after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The most redirects that are followed.
const REDIRECTS: usize = 10;

/// What tells an endpoint which answer is known already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
}

impl Known {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
        Self { etag: text(ETAG), modified: text(LAST_MODIFIED) }
    }
}

/// What came back.
pub(super) enum Fetched {
    /// An answer.
    Page { body: Vec<u8>, headers: HeaderMap, known: Known },
    /// It is what is known already.
    NotModified,
    /// The endpoint wants to be asked later.
    Later(Duration),
    /// The answer is too long to be read.
    TooLong,
}

/// Asks.
#[derive(Clone)]
pub(super) struct Fetcher {
    client: RecordedClient,
    headers: HeaderMap,
    login: Option<(String, Option<SecretString>)>,
    longest: usize,
}

impl Fetcher {
    /// With the secrets of the endpoint, read now.
    ///
    /// # Errors
    /// When a secret cannot be had or cannot be sent.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self> {
        let mut headers = endpoint.headers.clone();
        for (name, secret) in &endpoint.secret_headers {
            headers.insert(name, secret_value(secret.resolve()?.expose_secret(), name.as_str())?);
        }
        if let Some(token) = &endpoint.token {
            let value = format!("Bearer {}", token.resolve()?.expose_secret());
            headers.insert(AUTHORIZATION, secret_value(&value, "token")?);
        }
        let login = match &endpoint.login {
            Some((name, secret)) => Some((name.clone(), secret.as_ref().map(|secret| secret.resolve()).transpose()?)),
            None => None,
        };
        // Headers with secrets would be sent along.
        let policy = Policy::custom(|attempt| {
            let first = attempt.previous().first().map(Url::origin);
            match first == Some(attempt.url().origin()) && attempt.previous().len() <= REDIRECTS {
                true => attempt.follow(),
                false => attempt.stop(),
            }
        });
        let client = build(builder(endpoint.timeout, endpoint.verifies).redirect(policy))?;
        let client = RecordedClient::new(client, endpoint.cassette.as_ref())?;
        Ok(Self { client, headers, login, longest: endpoint.longest })
    }

    /// Asks for `url`.
    ///
    /// # Errors
    /// When there is no answer, or none of use.
    pub(super) async fn fetch(self, url: Url, known: Option<Known>) -> Result<Fetched> {
        let failed = |what: String| Error::external(format!("{}: {what}", shown_without_query(&url)));
        let mut request = self.client.get(url.clone()).headers(self.headers.clone());
        if let Some((name, password)) = &self.login {
            request = request.basic_auth(name, password.as_ref().map(ExposeSecret::expose_secret));
        }
        let known = known.unwrap_or_default();
        if let Some(etag) = &known.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(modified) = &known.modified {
            request = request.header(IF_MODIFIED_SINCE, modified);
        }
        let response = self.client.send(request).await.map_err(|error| match error {
            SendError::Http(error) => failed(explain(error)),
            SendError::Cassette(error) => error,
        })?;
        let status = response.status();
        match status {
            StatusCode::NOT_MODIFIED => Ok(Fetched::NotModified),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                if let Some(pause) = retry_after(response.headers(), Timestamp::now()) =>
            {
                Ok(Fetched::Later(pause.min(LONGEST_PAUSE)))
            }
            _ if status.is_success() => self.read(response).await.map_err(|error| failed(explain(error))),
            _ if status.is_redirection() => {
                Err(failed(format!("{status}: redirects to other servers are not followed"))
                    .with_remedy("if that is where it is, write its URL"))
            }
            _ => Err(failed(status.to_string())),
        }
    }

    async fn read(&self, mut response: Response) -> reqwest::Result<Fetched> {
        let headers = response.headers().clone();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > self.longest {
                return Ok(Fetched::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        let known = Known::of(&headers);
        Ok(Fetched::Page { body, headers, known })
    }
}
