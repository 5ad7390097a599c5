//! What an answer means for an effect.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode};
use tidegate_pipeline::sink::Attempt;

use super::destination::Open;
use crate::sources::http_client::retry_after;

/// How much of an answer is kept as the reason, in bytes.
const KEPT: usize = 512;
/// How much of an answer is read.
const READ: usize = 16 * 1024;
/// How long the rest of an answer may take that says nothing more of use.
const REST: Duration = Duration::from_secs(1);

/// Whether a status means: not now.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..)
}

impl Open {
    /// What an answer means. Only 2xx is delivered.
    pub(super) async fn judge(&self, response: Response) -> Attempt {
        let status = response.status();
        if status.is_success() {
            return self.judge_success(response).await;
        }
        let after = retry_after(response.headers(), Timestamp::now());
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let said = self.said(response).await;
        let mut reason = format!("the server answered {status}");
        if let (true, Some(location)) = (status.is_redirection(), location) {
            reason.push_str(&format!(", a redirect to {}", self.shortened(location.as_bytes())));
        }
        if !said.is_empty() {
            reason.push_str(&format!(": {said}"));
        }
        match status {
            _ if is_passing(status) => Attempt::Again { reason, after },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let remedy = match self.says_who_it_is() {
                    true => "check the credentials of the sink",
                    false => "the sink has no credentials (`token`, `username`)",
                };
                Attempt::Refused { reason: format!("{reason} ({remedy})") }
            }
            _ if status.is_redirection() => {
                Attempt::Refused { reason: format!("{reason} (redirects are not followed: write the URL where it is)") }
            }
            _ => Attempt::Refused { reason },
        }
    }

    /// The status is good. Some services say that to everything, and the truth in the body.
    async fn judge_success(&self, response: Response) -> Attempt {
        let Some(field) = &self.must_be_true else {
            // Read to its end, the connection can be used again. The effect is delivered whatever comes.
            let _ = tokio::time::timeout(REST, read(response)).await;
            return Attempt::Done;
        };
        let status = response.status();
        let body = read(response).await;
        let answer: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        if answer.as_ref().and_then(|answer| answer.get(field)?.as_bool()) == Some(true) {
            return Attempt::Done;
        }
        let reason =
            format!("the server answered {status}, but without `\"{field}\": true`: {}", self.shortened(&body));
        let limited = answer.and_then(|answer| Some(answer.get("error")?.as_str()?.contains("ratelimited")));
        match limited {
            Some(true) => Attempt::Again { reason, after: None },
            _ => Attempt::Refused { reason },
        }
    }

    /// The beginning of an answer's body, as one line without secrets.
    async fn said(&self, response: Response) -> String {
        let body = tokio::time::timeout(REST, read(response)).await.unwrap_or_default();
        self.shortened(&body)
    }

    fn shortened(&self, body: &[u8]) -> String {
        // Secrets go first: one that is cut in two would not be known.
        let text = self.redaction.of(&String::from_utf8_lossy(body));
        let words: Vec<&str> =
            text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
        let line = words.join(" ");
        match line.len() > KEPT {
            true => format!("{}…", &line[..line.floor_char_boundary(KEPT)]),
            false => line,
        }
    }
}

/// The beginning of a body; what cannot be read is left out.
async fn read(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < READ
        && let Ok(Some(piece)) = response.chunk().await
    {
        body.extend_from_slice(&piece);
    }
    body.truncate(READ);
    body
}
