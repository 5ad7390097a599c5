//! `aws_iam_credential_report`, from GenerateCredentialReport and GetCredentialReport: how the root user and each user get
//! in. AWS makes such a report every four hours at most, and until then gives the last one.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::ReportStateType;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tidegate_connectors::providers::columns::Moment;
use tidegate_pipeline::error::Error;

use super::request::client;
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Reach, Table, Unread, answered};

const NAME: &str = "aws_iam_credential_report";
/// How long is waited between two questions whether the report is there.
const PAUSE: Duration = Duration::from_secs(2);
/// How often that is asked.
const QUESTIONS: usize = 60;
/// The columns by which a row is known.
const USER: &str = "user";
const ARN: &str = "arn";
/// How many rows are given together.
const PART: usize = 1000;

/// A line of the report, by the names of its head.
struct Line(BTreeMap<String, String>);

impl Line {
    fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.as_str();
        // `N/A`, `not_supported`, `no_information`: there is nothing to be said.
        (!matches!(text, "N/A" | "not_supported" | "no_information")).then_some(text)
    }

    fn truth(&self, name: &str) -> Option<bool> {
        self.text(name)?.parse().ok()
    }

    fn moment(&self, name: &str) -> Option<Moment> {
        let time: Timestamp = self.text(name)?.parse().ok()?;
        Some(Moment(time.as_millisecond()))
    }
}

/// Reads the credential report of an account.
pub(super) struct CredentialReports {
    report: Table<Line>,
    pause: Duration,
}

impl CredentialReports {
    pub(super) fn new() -> Self {
        Self { report: certificates(key_2(key_1(report()))), pause: PAUSE }
    }
}

fn report() -> Table<Line> {
    let description = "How the root user and each user get in, as AWS reports it every four hours at most.";
    Table::new(NAME, description, |place, line: &Line| match line.text(ARN) {
        Some(arn) => arn.to_owned(),
        None => place.arn("iam", format_args!("user/{}", line.text(USER).unwrap_or_default())),
    })
    .target("user_name", "The name of the user; `<root_account>` for the root user.", |line: &Line| line.text(USER))
    .view(opsbox::CREDENTIAL_REPORT)
    .text("user_arn", "The ARN of the user.", |line| line.text(ARN))
    .made_time("user_creation_time", "When the user was made.", |line| line.moment("user_creation_time"))
    .boolean("password_enabled", "Whether it has a password; NULL for the root user.", |line| {
        line.truth("password_enabled")
    })
    .text("password_status", "The same as AWS writes it: `TRUE`, `FALSE` or `not_supported`.", |line| {
        line.0.get("password_enabled").map(String::as_str)
    })
    .made_time("password_last_used", "When the password was used last; NULL where never.", |line| {
        line.moment("password_last_used")
    })
    .made_time("password_last_changed", "When the password was set.", |line| line.moment("password_last_changed"))
    .made_time("password_next_rotation", "When it must be changed, where passwords expire.", |line| {
        line.moment("password_next_rotation")
    })
    .boolean("mfa_active", "Whether it has a device for a second factor.", |line| line.truth("mfa_active"))
}

fn key_1(table: Table<Line>) -> Table<Line> {
    table
        .boolean("access_key_1_active", "Whether its first access key is active.", |line| {
            line.truth("access_key_1_active")
        })
        .made_time("access_key_1_last_rotated", "When that key was made or changed.", |line| {
            line.moment("access_key_1_last_rotated")
        })
        .made_time("access_key_1_last_used_date", "When that key was used last; NULL where never.", |line| {
            line.moment("access_key_1_last_used_date")
        })
        .text("access_key_1_last_used_region", "The region in which it was used.", |line| {
            line.text("access_key_1_last_used_region")
        })
        .text("access_key_1_last_used_service", "The service that it was used for.", |line| {
            line.text("access_key_1_last_used_service")
        })
}

fn key_2(table: Table<Line>) -> Table<Line> {
    table
        .boolean("access_key_2_active", "Whether its second access key is active.", |line| {
            line.truth("access_key_2_active")
        })
        .made_time("access_key_2_last_rotated", "When that key was made or changed.", |line| {
            line.moment("access_key_2_last_rotated")
        })
        .made_time("access_key_2_last_used_date", "When that key was used last; NULL where never.", |line| {
            line.moment("access_key_2_last_used_date")
        })
        .text("access_key_2_last_used_region", "The region in which it was used.", |line| {
            line.text("access_key_2_last_used_region")
        })
        .text("access_key_2_last_used_service", "The service that it was used for.", |line| {
            line.text("access_key_2_last_used_service")
        })
}

fn certificates(table: Table<Line>) -> Table<Line> {
    table
        .boolean("cert_1_active", "Whether its first signing certificate is active.", |line| {
            line.truth("cert_1_active")
        })
        .made_time("cert_1_last_rotated", "When that certificate was made or changed.", |line| {
            line.moment("cert_1_last_rotated")
        })
        .boolean("cert_2_active", "Whether its second signing certificate is active.", |line| {
            line.truth("cert_2_active")
        })
        .made_time("cert_2_last_rotated", "When that certificate was made or changed.", |line| {
            line.moment("cert_2_last_rotated")
        })
}

/// Has a report made, and waits for it.
async fn generate(client: &Client, pause: Duration) -> Result<(), Unread> {
    for question in 0..QUESTIONS {
        if question > 0 {
            tokio::time::sleep(pause).await;
        }
        let answer = answered("have the credential report made", client.generate_credential_report().send().await)?;
        if answer.state() == Some(&ReportStateType::Complete) {
            return Ok(());
        }
    }
    Err(Error::external("the credential report was not made within two minutes").into())
}

/// The lines of a report.
fn lines(content: &[u8]) -> Result<Vec<Line>, Unread> {
    let broken = |error: csv::Error| Error::external(format!("the credential report is no CSV: {error}"));
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(content);
    let head = reader.headers().map_err(broken)?.clone();
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let cells = head.iter().zip(record.iter()).map(|(name, cell)| (name.to_owned(), cell.to_owned()));
        lines.push(Line(cells.collect()));
    }
    Ok(lines)
}

#[async_trait]
impl Collector for CredentialReports {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.report]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:GenerateCredentialReport", "iam:GetCredentialReport"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        generate(&client, self.pause).await?;
        let answer = answered("read the credential report", client.get_credential_report().send().await)?;
        let content = answer.content.map(aws_sdk_iam::primitives::Blob::into_inner).unwrap_or_default();
        let mut lines = lines(&content)?;
        lines.retain(|line| line.text(USER).is_some_and(|user| call.asks_for(user)));
        for part in lines.chunks(PART) {
            let raw = |Line(cells): &Line| {
                let cells = cells.iter().map(|(name, cell)| (name.clone(), Value::from(cell.as_str())));
                Value::Object(cells.collect::<Map<_, _>>())
            };
            call.give(&self.report, part, part.iter().map(raw)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;
    use tidegate_pipeline::provider::Extent;

    use super::*;
    use crate::testing::{Asked, StandIn};

    const REPORT: &str = "user,arn,user_creation_time,password_enabled,password_last_used,mfa_active,access_key_1_active,\
        access_key_1_last_rotated,access_key_1_last_used_service,later\n\
        <root_account>,arn:aws:iam::123456789012:root,2020-01-02T03:04:05+00:00,not_supported,2026-01-02T03:04:05+00:00,true,\
        false,N/A,N/A,x\n\
        \"ann,b\",\"arn:aws:iam::123456789012:user/ann,b\",2021-01-02T03:04:05Z,true,no_information,false,true,\
        2022-01-02T03:04:05+00:00,s3,y\n";

    fn collector() -> CredentialReports {
        CredentialReports { pause: Duration::ZERO, ..CredentialReports::new() }
    }

    fn answer(asked: &Asked, state: &str) -> (u16, String) {
        let name = asked.value("Action");
        let result = match name {
            "GenerateCredentialReport" => format!("<State>{state}</State>"),
            _ => format!("<Content>{}</Content>", STANDARD.encode(REPORT)),
        };
        (200, format!("<{name}Response><{name}Result>{result}</{name}Result></{name}Response>"))
    }

    #[tokio::test]
    async fn the_report_is_waited_for_and_what_it_does_not_say_is_null() {
        let questions = std::sync::atomic::AtomicUsize::new(0);
        let server = StandIn::new(move |asked| {
            let question = questions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            answer(asked, if question < 2 { "INPROGRESS" } else { "COMPLETE" })
        });
        let (rows, outcome) = server.await.collect(&collector(), "global", Extent::Whole).await;
        outcome.unwrap();
        let [root, ann] = &rows[NAME][..] else { panic!("two rows: {rows:?}") };
        assert_eq!(
            (&root["user_name"], &root["arn"]),
            (&json!("<root_account>"), &json!("arn:aws:iam::123456789012:root"))
        );
        assert_eq!((root.get("password_enabled"), &root["password_status"]), (None, &json!("not_supported")));
        assert_eq!((&root["password_last_used"], &root["mfa_active"]), (&json!("2026-01-02T03:04:05Z"), &json!(true)));
        assert_eq!((root.get("access_key_1_last_rotated"), root.get("access_key_1_last_used_service")), (None, None));
        assert_eq!((&ann["user_name"], &ann["password_enabled"]), (&json!("ann,b"), &json!(true)));
        assert_eq!((ann.get("password_last_used"), ann.get("access_key_2_active")), (None, None));
        assert_eq!(ann["access_key_1_last_rotated"], "2022-01-02T03:04:05Z");
        assert!(ann["raw"].as_str().unwrap().contains("\"later\":\"y\""));
    }

    #[tokio::test]
    async fn a_report_that_is_never_made_is_not_waited_for_for_ever() {
        let server = StandIn::new(|asked| answer(asked, "STARTED")).await;
        let outcome = server.collect(&collector(), "global", Extent::Whole).await.1;
        assert!(matches!(outcome, Err(Unread::Failed(error)) if error.message.contains("two minutes")));
        assert_eq!(server.asked().len(), QUESTIONS);
    }
}
