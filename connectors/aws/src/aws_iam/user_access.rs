//! How a user gets in, which no listing says: two calls for each, ListMFADevices and GetLoginProfile.

use aws_sdk_iam::Client;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::primitives::{DateTime, DateTimeFormat};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::request::marker;
use crate::estate::Session;
use crate::provider::{CALLS, Optional, Unread};

/// The code of what is not there.
const NONE: &str = "NoSuchEntity";
/// More pages than the devices of a user have.
const MOST_PAGES: usize = 16;

/// A password for the console.
pub(super) enum Login {
    /// It may not be read.
    Unread,
    None,
    /// As JSON.
    Profile(Value),
}

/// How a user gets in.
pub(super) struct Access {
    pub(super) login: Login,
    /// Serial numbers of devices, with when they were enabled; `None` where they may not be read.
    pub(super) mfa_devices: Option<Vec<(String, String)>>,
}

/// Asks how users get in.
pub(super) struct AccessReader<'a> {
    client: Client,
    login: Optional<'a>,
    mfa: Optional<'a>,
}

impl<'a> AccessReader<'a> {
    pub(super) fn new(client: &Client, session: &'a Session) -> Self {
        Self { client: client.clone(), login: Optional::new(session), mfa: Optional::new(session) }
    }

    /// How these users get in, in their order; nothing of one that is gone.
    ///
    /// # Errors
    /// Whatever is neither an answer nor a refusal.
    pub(super) async fn of(&self, users: Vec<String>) -> Result<Vec<Option<Access>>, Unread> {
        stream::iter(users).map(|user| self.of_one(user)).buffered(CALLS).try_collect().await
    }

    async fn of_one(&self, user: String) -> Result<Option<Access>, Unread> {
        let Some(mfa_devices) = self.mfa_devices(&user).await? else { return Ok(None) };
        Ok(Some(Access { mfa_devices, login: self.login(&user).await? }))
    }

    async fn login(&self, user: &str) -> Result<Login, Unread> {
        if self.login.is_refused() {
            return Ok(Login::Unread);
        }
        let answer = match self.client.get_login_profile().user_name(user).send().await {
            Ok(answer) => Ok(answer.login_profile),
            Err(error) if is_unknown(&error) => Ok(None),
            Err(error) => Err(Unread::of("read whether users have passwords", &error)),
        };
        Ok(match self.login.take(answer)? {
            None => Login::Unread,
            Some(None) => Login::None,
            Some(Some(profile)) => Login::Profile(json!({
                "CreateDate": written(profile.create_date()),
                "PasswordResetRequired": profile.password_reset_required(),
            })),
        })
    }

    /// The devices of a user; nothing where it is gone.
    async fn mfa_devices(&self, user: &str) -> Result<Option<Option<Vec<(String, String)>>>, Unread> {
        let (mut devices, mut token) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            if self.mfa.is_refused() {
                return Ok(Some(None));
            }
            let answer = match self.client.list_mfa_devices().user_name(user).set_marker(token).send().await {
                Err(error) if is_unknown(&error) => return Ok(None),
                answer => answer.map_err(|error| Unread::of("list the second factors of users", &error)),
            };
            let Some(page) = self.mfa.take(answer)? else { return Ok(Some(None)) };
            let device = |device: &aws_sdk_iam::types::MfaDevice| {
                (device.serial_number().to_owned(), written(device.enable_date()))
            };
            devices.extend(page.mfa_devices().iter().map(device));
            token = marker(page.is_truncated(), page.marker()).map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        devices.sort_unstable();
        Ok(Some(Some(devices)))
    }
}

fn is_unknown<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some(NONE)
}

/// A moment as AWS writes it.
fn written(time: &DateTime) -> String {
    time.fmt(DateTimeFormat::DateTime).unwrap_or_default()
}
