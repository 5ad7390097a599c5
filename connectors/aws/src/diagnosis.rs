//! What is wrong with the way to AWS, step by step: region, credentials, endpoint. Every source begins with them.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use tidegate_connectors::diagnosis::reach_url;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};

use crate::connection::Connection;
use crate::failure::{causes, unanswered};

/// The steps up to the first request; `endpoint` says where a service is in a region.
pub(crate) async fn begin(
    found: &mut Diagnosis,
    connection: &Connection,
    variable: &str,
    endpoint: impl AsyncFnOnce(&SdkConfig) -> Result<String>,
) -> Option<SdkConfig> {
    let known = async {
        let config = connection.load(RetryConfig::standard()).await?;
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let told = match &connection.region {
            Some(_) => region,
            None => format!("{region}, as the environment or the profile says"),
        };
        Ok((config, told))
    };
    let config = found.check("region known", known).await;
    let credentials = async { Ok(((), credentials(config.as_ref()).await?)) };
    found.check("credentials found", credentials).await;
    let url = async {
        let config = config.as_ref().ok_or_else(|| Error::internal("there is no configuration"))?;
        let url = match (std::env::var(variable), config.endpoint_url()) {
            // What the options say counts more than what the environment says.
            (Ok(url), _) if connection.endpoint_url.is_none() => url,
            (_, Some(url)) => url.to_owned(),
            _ => endpoint(config).await?,
        };
        Ok((url.clone(), url))
    };
    let url = found.check("endpoint known", url).await;
    reach_url(found, url.as_deref().unwrap_or("https://localhost")).await;
    config
}

/// Where the credentials come from, and whose they are where that is known. Who calls is not asked: that is another
/// service. The first request to the service itself shows whether they are good.
async fn credentials(config: Option<&SdkConfig>) -> Result<String> {
    let provider = config.and_then(SdkConfig::credentials_provider);
    let provider = provider.ok_or_else(|| unanswered("find credentials", "no place for credentials is known"))?;
    let found = provider.provide_credentials().await;
    let found = found.map_err(|error| unanswered("find credentials", &causes(&error)))?;
    let account = found.account_id().map(|account| format!(", of the account {}", account.as_str()));
    Ok(format!("from {}{}", origin(&found), account.unwrap_or_default()))
}

/// Where credentials come from. The SDK tells it in their debugging form only, in which no secret is.
fn origin(credentials: &Credentials) -> String {
    let shown = format!("{credentials:?}");
    let name = shown.split_once("provider_name: \"").and_then(|(_, rest)| rest.split_once('"'));
    match name.map(|(name, _)| name) {
        Some("pipeline") => "`access_key` and `secret_key`".to_owned(),
        Some("EnvironmentVariable") => "the environment".to_owned(),
        Some("ProfileFile") => "a profile".to_owned(),
        Some(name) => name.to_owned(),
        None => "an unknown place".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_credentials_is_told_without_them() {
        let given = |name| origin(&Credentials::new("AKIDEXAMPLE", "hunter2", None, None, name));
        assert_eq!(given("pipeline"), "`access_key` and `secret_key`");
        assert_eq!(given("EnvironmentVariable"), "the environment");
        assert_eq!(given("IMDSv2"), "IMDSv2");
    }
}
