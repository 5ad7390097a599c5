//! How AWS is reached: region, endpoint and credentials.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tidegate_connectors::cassette::{Cassette, CassetteOptions, Tape};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Place};
use tidegate_pipeline::spec::{Options, Secret, Tree};

use crate::recorded::RecordedHttp;

/// The region where an endpoint was given and no region: servers that only speak as AWS does take any.
const ANY_REGION: &str = "us-east-1";
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Keys that AWS has given are longer; those that are made up for a server that takes any are not secrets.
const MADE_UP: usize = 16;

/// How AWS is reached: options of everything that talks to it, beside its own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionOptions {
    /// The access key. Without it the credentials are found where all AWS programs look.
    pub access_key: Option<Secret>,
    /// The secret key.
    pub secret_key: Option<Secret>,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// The address of the service, where it is not that of the region.
    pub endpoint_url: Option<String>,
    /// The profile in the AWS configuration files.
    pub profile: Option<String>,
    /// The ARN of a role to be assumed.
    pub role: Option<String>,
    /// A cassette: the requests recorded once and replayed ever after, without an account.
    pub cassette: Option<CassetteOptions>,
}

impl ConnectionOptions {
    /// A connection to a region; without one, to that of the environment or the profile. `options` are those of the node;
    /// relative paths are relative to `folder`.
    pub(crate) fn connection(&self, region: Option<String>, options: &Options, folder: &Path) -> Connection {
        Connection {
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            session_token: self.session_token.clone(),
            endpoint_url: self.endpoint_url.clone(),
            region,
            profile: self.profile.clone(),
            role: self.role.clone(),
            cassette: self.cassette.as_ref().map(|cassette| cassette.insert(folder, options)),
        }
    }
}

/// What the options of a node say of the connection. What they do not say comes from where all programs that talk to
/// AWS look: environment, profile files, the role of the container or the machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    pub(crate) access_key: Option<Secret>,
    pub(crate) secret_key: Option<Secret>,
    pub(crate) session_token: Option<Secret>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) cassette: Option<Cassette>,
}

impl Connection {
    /// What is wrong with the options.
    pub(crate) fn wrong(&self, options: &Options) -> Vec<Diagnostic> {
        let mut wrong = Vec::new();
        if self.access_key.is_some() != self.secret_key.is_some() {
            let given = if self.access_key.is_some() { "access_key" } else { "secret_key" };
            let found = Diagnostic::error(place(options, given), "`access_key` and `secret_key` belong together");
            wrong.push(found.with_help("give both, or neither: then the usual places are looked at"));
        }
        if self.session_token.is_some() && self.access_key.is_none() {
            let message = "a `session_token` needs the `access_key` and `secret_key` that it was given with";
            wrong.push(Diagnostic::error(place(options, "session_token"), message));
        }
        if let Some(url) = &self.endpoint_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            let message = format!("`{url}` is no URL, as `https://sqs.eu-west-1.amazonaws.com`");
            wrong.push(Diagnostic::error(place(options, "endpoint_url"), message));
        }
        wrong
    }

    /// Finds everything out. Secrets are read now, unless a cassette answers everything.
    ///
    /// # Errors
    /// When a secret cannot be read, no region is known, or the cassette cannot be used.
    pub(crate) async fn load(&self, retries: RetryConfig) -> Result<SdkConfig> {
        match self.cassette.as_ref().map(Cassette::tape).transpose()? {
            None => self.real(retries).await,
            Some(tape) if tape.only_replays() => Ok(self.replayed(retries, tape).await),
            Some(tape) => Ok(recorded(self.real(retries).await?, tape).await),
        }
    }

    /// What nobody is asked for: no credentials, no network, no pauses.
    async fn replayed(&self, retries: RetryConfig, tape: Arc<Tape>) -> SdkConfig {
        // What was answered with a refusal and asked again is on the tape as often as it was asked.
        let retries = retries.with_initial_backoff(Duration::ZERO).with_max_backoff(Duration::ZERO);
        let region = match &self.region {
            Some(region) => Some(Region::new(region.clone())),
            None => {
                let profile = ProfileFileRegionProvider::builder();
                let profile = match &self.profile {
                    Some(name) => profile.profile_name(name),
                    None => profile,
                };
                // The machine itself, which is asked by default, is not on the tape.
                let places = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
                places.or_else(profile.build()).or_else(Region::from_static(ANY_REGION)).region().await
            }
        };
        let nobody = Credentials::new("REPLAYED", "REPLAYED", None, None, "cassette");
        let loader = self.unsigned(retries).region(region).credentials_provider(nobody);
        loader.http_client(RecordedHttp::new(tape)).load().await
    }

    async fn real(&self, retries: RetryConfig) -> Result<SdkConfig> {
        let base = self.loader(retries.clone())?.load().await;
        let base = match base.region() {
            Some(_) => base,
            None if base.endpoint_url().is_some() => {
                base.into_builder().region(Region::from_static(ANY_REGION)).build()
            }
            None => {
                return Err(Error::user("no AWS region is known")
                    .with_remedy("set `region`, or AWS_REGION in the environment, or a region in the profile"));
            }
        };
        let Some(role) = &self.role else { return Ok(base) };
        let assumed = AssumeRoleProvider::builder(role).session_name("tidegate").configure(&base).build().await;
        Ok(base
            .into_builder()
            .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(assumed))
            .build())
    }

    /// Without credentials.
    fn unsigned(&self, retries: RetryConfig) -> ConfigLoader {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(retries).timeout_config(timeouts);
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint_url {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        loader
    }

    fn loader(&self, retries: RetryConfig) -> Result<ConfigLoader> {
        let mut loader = self.unsigned(retries);
        if let (Some(access), Some(secret)) = (&self.access_key, &self.secret_key) {
            let token = self.session_token.as_ref().map(Secret::resolve).transpose()?;
            let token = token.map(|token| token.expose_secret().to_owned());
            let (access, secret) = (access.resolve()?, secret.resolve()?);
            let credentials = Credentials::new(access.expose_secret(), secret.expose_secret(), token, None, "pipeline");
            loader = loader.credentials_provider(credentials);
        }
        Ok(loader)
    }
}

/// The same with a tape behind it. What gives the credentials is not recorded: it asks AWS by itself.
async fn recorded(config: SdkConfig, tape: Arc<Tape>) -> SdkConfig {
    if let Some(provider) = config.credentials_provider()
        && let Ok(credentials) = provider.provide_credentials().await
    {
        for secret in [Some(credentials.secret_access_key()), credentials.session_token()].into_iter().flatten() {
            if secret.len() >= MADE_UP {
                tape.confide("a key of the credentials", SecretString::from(secret));
            }
        }
    }
    config.into_builder().http_client(RecordedHttp::new(tape)).build()
}

/// The place of the value of `key`, or of the whole of the options.
pub(crate) fn place(options: &Options, key: &str) -> Place {
    if let Tree::Map(entries) = &options.tree.value
        && let Some((_, value)) = entries.iter().find(|(name, _)| name.value.as_ref() == key)
    {
        return value.place;
    }
    options.tree.place
}
