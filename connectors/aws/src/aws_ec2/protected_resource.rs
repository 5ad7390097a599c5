//! `aws_backup_protected_resource`, from ListProtectedResources of AWS Backup.

use async_trait::async_trait;
use aws_sdk_backup::Client;
use aws_sdk_backup::types::ProtectedResource;

use crate::estate::Session;
use crate::provider::{Call, Collector, Declared, NoPages, Table, Unread, WholeAnswers};

const NAME: &str = "aws_backup_protected_resource";
/// How many resources a page may have.
const PAGE: i32 = 1000;

/// Reads ListProtectedResources, which is not filtered: targets are looked for among all.
pub(super) struct ProtectedResources {
    resources: Table<ProtectedResource>,
}

impl ProtectedResources {
    pub(super) fn new() -> Self {
        Self { resources: resources() }
    }
}

fn resources() -> Table<ProtectedResource> {
    let description = "What AWS Backup has backed up at least once: volumes, instances, databases, file systems, …";
    Table::new(NAME, description, |_, resource: &ProtectedResource| {
        resource.resource_arn().unwrap_or_default().to_owned()
    })
    .target("resource_arn", "The ARN of what is backed up.", |resource| resource.resource_arn())
    .text("resource_type", "`EBS`, `EC2`, `RDS`, `EFS`, `S3`, …", |resource| resource.resource_type())
    .text("resource_name", "Its name.", |resource| resource.resource_name())
    .time("last_backup_time", "When it was last backed up.", |resource| resource.last_backup_time())
    .text("last_backup_vault_arn", "The vault of the newest recovery point.", |resource| {
        resource.last_backup_vault_arn()
    })
    .text("last_recovery_point_arn", "The newest recovery point.", |resource| resource.last_recovery_point_arn())
}

fn client(session: &Session) -> Client {
    let config = aws_sdk_backup::config::Builder::from(session.config()).retry_partition(session.limits("backup"));
    Client::from_conf(config.retry_classifier(NoPages).interceptor(WholeAnswers).build())
}

#[async_trait]
impl Collector for ProtectedResources {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.resources]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["backup:ListProtectedResources"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let mut listing = call.listing("list what AWS Backup protects");
        while let Some(token) = listing.token() {
            let request = client.list_protected_resources().max_results(PAGE).set_next_token(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| page.next_token())?;
            let asked = |resource: &&ProtectedResource| call.asks_for(resource.resource_arn().unwrap_or_default());
            let resources: Vec<ProtectedResource> = page.results().iter().filter(asked).cloned().collect();
            let raws = raw.items("Results").into_iter();
            let raws = raws.filter(|raw| call.asks_for(raw["ResourceArn"].as_str().unwrap_or_default()));
            call.give(&self.resources, &resources, raws.collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_pipeline::provider::Extent;

    use super::*;
    use crate::testing::{Asked, StandIn};

    fn answer(asked: &Asked) -> (u16, String) {
        let (arn, next) = match asked.value("nextToken") {
            "" => ("arn:aws:ec2:eu-west-1:123456789012:volume/vol-1", ",\"NextToken\":\"2\""),
            _ => ("arn:aws:rds:eu-west-1:123456789012:db:one", ""),
        };
        let resource = format!("{{\"ResourceArn\":\"{arn}\",\"ResourceType\":\"X\",\"LastBackupTime\":1767323045}}");
        (200, format!("{{\"Results\":[{resource}]{next}}}"))
    }

    #[tokio::test]
    async fn all_pages_are_read_and_of_targets_only_their_rows_are_given() {
        let server = StandIn::new(answer).await;
        let (rows, outcome) = server.collect(&ProtectedResources::new(), "eu-west-1", Extent::Whole).await;
        outcome.unwrap();
        assert_eq!(rows[NAME].len(), 2);
        assert_eq!(rows[NAME][0]["last_backup_time"], "2026-01-02T03:04:05Z");
        let targets = Extent::Targets(vec!["arn:aws:rds:eu-west-1:123456789012:db:one".into()]);
        let (rows, outcome) = server.collect(&ProtectedResources::new(), "eu-west-1", targets).await;
        outcome.unwrap();
        assert_eq!(rows[NAME].len(), 1);
        assert!(rows[NAME][0]["raw"].as_str().unwrap().contains("db:one"));
    }
}
