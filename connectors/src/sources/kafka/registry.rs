//! A Confluent schema registry: `GET /schemas/ids/ID`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use apache_avro::Schema;
use reqwest::{Certificate, Client, Identity, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::Secret;
use tokio_util::sync::CancellationToken;

use super::connection::ConnectionOptions;
use super::options::KafkaOptions;
use crate::diagnosis::reach_url_trusting;
use crate::tls::{TlsSettings, Verification};

/// How many schemas are kept.
const KEPT: usize = 100;
/// How long it is remembered that there is no such schema.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// How often the registry is asked, and how long it is waited before the second time; twice as long before the next.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// How requests prove who they are.
#[derive(Debug, Clone)]
enum Authority {
    Nobody,
    Basic(Secret),
    Bearer(Secret),
    OAuth { client: String, secret: Secret, token_url: String, scope: Option<String> },
}

/// How the registry is reached.
#[derive(Debug, Clone)]
pub(crate) struct RegistryOptions {
    url: String,
    authority: Authority,
    verify: bool,
    ca_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

impl RegistryOptions {
    /// From the options of the source; `None` without a registry.
    pub(super) fn of(given: &KafkaOptions, reach: &ConnectionOptions, folder: &Path) -> Option<Self> {
        let url = given.schema_registry_url.clone()?;
        let oauth = (
            &given.schema_registry_oauth_client_id,
            &given.schema_registry_oauth_client_secret,
            &given.schema_registry_oauth_token_url,
        );
        let authority = match (&given.schema_registry_basic_auth, &given.schema_registry_bearer_token, oauth) {
            (Some(pair), _, _) => Authority::Basic(pair.clone()),
            (_, Some(token), _) => Authority::Bearer(token.clone()),
            (_, _, (Some(client), Some(secret), Some(token_url))) => Authority::OAuth {
                client: client.clone(),
                secret: secret.clone(),
                token_url: token_url.clone(),
                scope: given.schema_registry_oauth_scope.clone(),
            },
            _ => Authority::Nobody,
        };
        let file = |own: &Option<String>, kafka: &Option<String>| {
            own.as_ref().or(kafka.as_ref()).map(|name| folder.join(name))
        };
        let certificate = file(&given.schema_ssl_certfile, &reach.certfile);
        Some(Self {
            url,
            authority,
            verify: given.schema_registry_ssl,
            ca_file: file(&given.schema_ssl_cafile, &reach.cafile),
            identity: certificate.zip(file(&given.schema_ssl_keyfile, &reach.keyfile)),
        })
    }

    fn client(&self) -> Result<Client> {
        let mut builder = Client::builder().timeout(ANSWER).tls_danger_accept_invalid_certs(!self.verify);
        let wrong = |error: reqwest::Error| Error::user(format!("the certificates for the schema registry: {error}"));
        if let Some(file) = &self.ca_file {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&read(file)?).map_err(wrong)?);
        }
        if let Some((certificate, key)) = &self.identity {
            // The client itself would only say that there is no key.
            crate::pem::private_key(key)?;
            let both = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
            builder = builder.identity(Identity::from_pem(&both).map_err(wrong)?);
        }
        builder.build().map_err(wrong)
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| Error::user(format!("`{}` cannot be read: {error}", file.display())))
}

/// How a request ended that brought no schema.
enum Refused {
    /// The registry has none, or one that cannot be used.
    Unknown(String),
    /// Not now.
    Again(String),
    /// The registry does not know us.
    Denied(StatusCode),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Registry {
    options: RegistryOptions,
    url: Url,
    client: Client,
    secret: Option<SecretString>,
    token: Option<(SecretString, Instant)>,
    /// The schemas that were used last, the newest at the end.
    kept: Vec<(u32, Option<Arc<Schema>>, Instant)>,
    cancel: CancellationToken,
}

impl Registry {
    /// A client.
    ///
    /// # Errors
    /// When a secret or a certificate cannot be read.
    pub(super) fn new(options: &RegistryOptions, cancel: CancellationToken) -> Result<Self> {
        let secret = match &options.authority {
            Authority::Nobody => None,
            Authority::Basic(secret) | Authority::Bearer(secret) | Authority::OAuth { secret, .. } => {
                Some(secret.resolve()?)
            }
        };
        let text = format!("{}/", options.url.trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|error| Error::user(format!("`{}`: {error}", options.url)))?;
        let client = options.client()?;
        Ok(Self { options: options.clone(), url, client, secret, token: None, kept: Vec::new(), cancel })
    }

    /// The schema with this id; `None` where the registry does not have it.
    ///
    /// # Errors
    /// When the registry does not answer, or does not know us.
    pub(super) async fn schema(&mut self, id: u32) -> Result<Option<Arc<Schema>>> {
        if let Some(at) = self.kept.iter().rposition(|(known, ..)| *known == id) {
            let (_, schema, since) = self.kept.remove(at);
            if schema.is_some() || since.elapsed() < UNKNOWN_FOR {
                self.kept.push((id, schema.clone(), since));
                return Ok(schema);
            }
        }
        let fetched = self.fetch(id).await?;
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        self.kept.push((id, fetched.clone(), Instant::now()));
        Ok(fetched)
    }

    async fn fetch(&mut self, id: u32) -> Result<Option<Arc<Schema>>> {
        let mut pause = FIRST_PAUSE;
        let mut last = String::new();
        for attempt in 1..=ATTEMPTS {
            match self.ask(id).await {
                Ok(schema) => return Ok(Some(Arc::new(schema))),
                Err(Refused::Unknown(reason)) => {
                    tracing::warn!(id, reason, "The schema registry has no schema with this id that can be used.");
                    return Ok(None);
                }
                Err(Refused::Denied(status)) => {
                    return Err(denied(status));
                }
                Err(Refused::Again(reason)) => last = reason,
            }
            if attempt < ATTEMPTS && self.cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(Error::external(format!("the schema registry does not give schema {id}: {last}")))
    }

    async fn ask(&mut self, id: u32) -> Result<Schema, Refused> {
        #[derive(Deserialize)]
        struct Answer {
            schema: String,
            #[serde(rename = "schemaType")]
            kind: Option<String>,
        }
        let url = self.url.join(&format!("schemas/ids/{id}")).map_err(|error| Refused::Unknown(error.to_string()))?;
        let request = self.client.get(url).header("Accept", "application/vnd.schemaregistry.v1+json");
        let request = self.authorized(request).await?;
        let answer = request.send().await.map_err(again)?;
        let status = answer.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.token = None;
            return Err(Refused::Denied(status));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Refused::Again(format!("it answers {status}")));
        }
        if !status.is_success() {
            return Err(Refused::Unknown(format!("it answers {status}")));
        }
        let text = body(answer).await?;
        let unknown = |error: &dyn std::fmt::Display| Refused::Unknown(format!("its answer is no schema: {error}"));
        let answer: Answer = serde_json::from_slice(&text).map_err(|error| unknown(&error))?;
        if let Some(kind) = answer.kind.filter(|kind| kind != "AVRO") {
            return Err(Refused::Unknown(format!("it is of the type {kind}")));
        }
        Schema::parse_str(&answer.schema).map_err(|error| unknown(&error))
    }

    async fn authorized(&mut self, request: RequestBuilder) -> Result<RequestBuilder, Refused> {
        let Some(secret) = &self.secret else { return Ok(request) };
        match self.options.authority.clone() {
            Authority::Nobody => Ok(request),
            Authority::Bearer(_) => Ok(request.bearer_auth(secret.expose_secret())),
            Authority::Basic(_) => {
                let (user, password) = secret.expose_secret().split_once(':').unwrap_or((secret.expose_secret(), ""));
                Ok(request.basic_auth(user, Some(password)))
            }
            Authority::OAuth { client, token_url, scope, .. } => {
                let token = self.token(&client, &token_url, scope.as_deref()).await?;
                Ok(request.bearer_auth(token.expose_secret()))
            }
        }
    }

    /// The steps to the registry, and what it answers.
    pub(super) async fn diagnose(&mut self, found: &mut Diagnosis) {
        let (certfile, keyfile) = self.options.identity.clone().unzip();
        let tls = TlsSettings { cafile: self.options.ca_file.clone(), certfile, keyfile, with_system: true };
        let tls = || tls.client_verifying(Verification::of(self.options.verify));
        reach_url_trusting(found, &self.url, tls).await;
        found.check("registry answers", async { Ok(((), self.types().await?)) }).await;
    }

    /// The types of schemas that the registry knows.
    async fn types(&mut self) -> Result<String> {
        let url = self.url.join("schemas/types").map_err(Error::user)?;
        let silent = |why: String| Error::external(format!("the schema registry does not answer: {why}"));
        let why = |refused: Refused| match refused {
            Refused::Denied(status) => denied(status),
            Refused::Again(why) | Refused::Unknown(why) => silent(why),
        };
        let request = self.client.get(url);
        let request = self.authorized(request).await.map_err(why)?;
        let answer = request.send().await.map_err(again).map_err(why)?;
        match answer.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(denied(status)),
            // Registries that only speak like Confluent's need not know this question.
            StatusCode::NOT_FOUND => Ok("it does not say which types it knows".to_owned()),
            status if status.is_success() => {
                let types: Vec<String> = serde_json::from_slice(&body(answer).await.map_err(why)?).unwrap_or_default();
                Ok(types.join(", "))
            }
            status => Err(silent(format!("it answers {status}"))),
        }
    }

    /// A token that is good for some time yet.
    async fn token(&mut self, client: &str, url: &str, scope: Option<&str>) -> Result<SecretString, Refused> {
        #[derive(Deserialize)]
        struct Token {
            access_token: SecretString,
            expires_in: Option<u64>,
        }
        if let Some((token, until)) = &self.token
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        let secret = self.secret.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret)];
        form.extend(scope.map(|scope| ("scope", scope)));
        let answer = self.client.post(url).form(&form).send().await.map_err(again)?;
        let status = answer.status();
        if status.is_client_error() {
            return Err(Refused::Denied(status));
        }
        if !status.is_success() {
            return Err(Refused::Again(format!("the token endpoint answers {status}")));
        }
        // The error of a token that cannot be read would quote it.
        let token: Token = serde_json::from_slice(&body(answer).await?)
            .map_err(|_| Refused::Again("the token endpoint does not answer with a token".to_owned()))?;
        let until = Instant::now() + Duration::from_secs(token.expires_in.unwrap_or(60).saturating_sub(10));
        self.token = Some((token.access_token.clone(), until));
        Ok(token.access_token)
    }
}

fn denied(status: StatusCode) -> Error {
    let denied = Error::external(format!("the schema registry answers {status}")).never_retry();
    denied.with_remedy("check `schema_registry_*`: the user, the token or its rights")
}

fn again(error: reqwest::Error) -> Refused {
    // Without the address: it may hold a password.
    Refused::Again(error.without_url().to_string())
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(again)? {
        if bytes.len() + chunk.len() > LONGEST_ANSWER {
            return Err(Refused::Unknown(format!("its answer is longer than {LONGEST_ANSWER} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::extract::{Path as AddressPath, State};
    use axum::http::HeaderMap;
    use axum::routing::get;
    use serde_json::json;
    use tidegate_pipeline::error::Retry;
    use tidegate_pipeline::spec::Together;

    use super::*;
    use crate::sources::testing::options;

    /// Schema 1 is there, 2 is not, 3 only the second time, 4 is no Avro; all only for `u:p`.
    async fn answer(
        State(asked): State<Arc<AtomicUsize>>,
        AddressPath(id): AddressPath<u32>,
        headers: HeaderMap,
    ) -> Result<String, axum::http::StatusCode> {
        let before = asked.fetch_add(1, Ordering::SeqCst);
        if headers.get("authorization").is_none_or(|given| given != "Basic dTpw") {
            return Err(axum::http::StatusCode::UNAUTHORIZED);
        }
        match id {
            1 => Ok(json!({"schema": "\"long\""}).to_string()),
            3 if before > 0 => Ok(json!({"schema": "\"string\""}).to_string()),
            3 => Err(axum::http::StatusCode::SERVICE_UNAVAILABLE),
            4 => Ok(json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}).to_string()),
            _ => Err(axum::http::StatusCode::NOT_FOUND),
        }
    }

    async fn registry(pair: &str) -> (Registry, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new().route("/schemas/ids/{id}", get(answer)).with_state(Arc::clone(&asked));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let given = format!(
            r#"{{"host":"h","port":1,"topic":"t","schema_registry_url":"{url}","schema_registry_basic_auth":"{pair}"}}"#
        );
        let Together(given, reach) = options(&given).read().unwrap();
        let options = RegistryOptions::of(&given, &reach, Path::new("/")).unwrap();
        (Registry::new(&options, CancellationToken::new()).unwrap(), asked)
    }

    #[tokio::test]
    async fn schemas_are_asked_for_once_and_those_that_are_not_there_too() {
        let (mut registry, asked) = registry("u:p").await;
        for _ in 0..3 {
            assert_eq!(registry.schema(1).await.unwrap().as_deref(), Some(&Schema::Long));
            assert!(registry.schema(2).await.unwrap().is_none());
            assert!(registry.schema(4).await.unwrap().is_none());
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_registry_that_is_not_ready_is_asked_again() {
        let (mut registry, asked) = registry("u:p").await;
        assert_eq!(registry.schema(3).await.unwrap().as_deref(), Some(&Schema::String));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_registry_that_does_not_know_us_ends_the_source() {
        let (mut registry, asked) = registry("u:wrong").await;
        let error = registry.schema(1).await.unwrap_err();
        assert!(error.retry == Retry::Never && error.message.contains("401"), "{error}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
