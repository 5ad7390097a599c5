//! `aws_route53_health_check`, from ListHealthChecks.

use async_trait::async_trait;
use aws_sdk_route53::Client;
use aws_sdk_route53::types::{HealthCheck, HealthCheckConfig, TagResourceType};
use serde_json::Value;

use super::request::{PAGE, arn, client, in_order, tags};
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Optional, Reach, Table, Unread, sorted, unless_unknown};

const NAME: &str = "aws_route53_health_check";

/// A health check, with its tags.
struct Listed {
    check: HealthCheck,
    tags: Option<Vec<(String, String)>>,
}

impl Listed {
    fn config(&self) -> Option<&HealthCheckConfig> {
        self.check.health_check_config()
    }
}

/// Reads ListHealthChecks.
pub(super) struct HealthChecks {
    checks: Table<Listed>,
}

impl HealthChecks {
    pub(super) fn new() -> Self {
        Self { checks: decided(checks()) }
    }
}

fn checks() -> Table<Listed> {
    Table::new(NAME, "Health checks of Route 53.", |place, listed: &Listed| {
        arn(place, format_args!("healthcheck/{}", listed.check.id()))
    })
    .target("id", "The id of the health check.", |listed| Some(listed.check.id()))
    .text("type", "`HTTP`, `HTTPS`, `HTTP_STR_MATCH`, `TCP`, `CALCULATED`, `CLOUDWATCH_METRIC`, …", |listed| {
        Some(listed.config()?.r#type().as_str())
    })
    .text("ip_address", "The address that is checked.", |listed| listed.config()?.ip_address())
    .integer("port", "The port that is checked.", |listed| listed.config()?.port())
    .text("fully_qualified_domain_name", "The name that is checked, or said to the address.", |listed| {
        listed.config()?.fully_qualified_domain_name()
    })
    .text("resource_path", "The path that is asked for.", |listed| listed.config()?.resource_path())
    .text("search_string", "What an answer has to contain.", |listed| listed.config()?.search_string())
    .integer("request_interval", "Every how many seconds it is checked: 10 or 30.", |listed| {
        listed.config()?.request_interval()
    })
    .integer("failure_threshold", "How many checks one after the other change the outcome.", |listed| {
        listed.config()?.failure_threshold()
    })
    .boolean("enable_sni", "Whether the name is said at the beginning of TLS.", |listed| listed.config()?.enable_sni())
    .boolean("measure_latency", "Whether it is measured how long answers take.", |listed| {
        listed.config()?.measure_latency()
    })
    .texts("regions", "The regions that it is checked from, sorted; none: all that are recommended.", |listed| {
        let regions = listed.config().map(|config| config.regions()).unwrap_or_default();
        sorted(regions.iter().map(|region| Some(region.as_str())))
    })
    .known_tags(|listed| listed.tags.clone())
    .view(opsbox::HEALTH_CHECKS)
}

/// How the outcome is decided, and what else there is.
fn decided(table: Table<Listed>) -> Table<Listed> {
    table
        .boolean("inverted", "Whether good counts as bad, and bad as good.", |listed| listed.config()?.inverted())
        .boolean("disabled", "Whether it is not checked, and counts as good.", |listed| listed.config()?.disabled())
        .texts("child_health_checks", "The checks that a calculated one is made of, sorted.", |listed| {
            let children = listed.config().map(|config| config.child_health_checks()).unwrap_or_default();
            sorted(children.iter().map(|child| Some(child.as_str())))
        })
        .integer("health_threshold", "How many of these have to be good.", |listed| listed.config()?.health_threshold())
        .text("alarm_name", "The alarm of CloudWatch that decides.", |listed| {
            Some(listed.config()?.alarm_identifier()?.name())
        })
        .text("alarm_region", "The region of the alarm.", |listed| {
            Some(listed.config()?.alarm_identifier()?.region().as_str())
        })
        .text("insufficient_data_health_status", "What counts where it does not know.", |listed| {
            Some(listed.config()?.insufficient_data_health_status()?.as_str())
        })
        .text("routing_control_arn", "The switch that decides.", |listed| listed.config()?.routing_control_arn())
        .integer("health_check_version", "How often it was changed, from 1 on.", |listed| {
            Some(listed.check.health_check_version())
        })
        .text("caller_reference", "The text that its making was made safe to repeat with.", |listed| {
            Some(listed.check.caller_reference())
        })
        .text("linked_service_principal", "The service of AWS that has made it.", |listed| {
            listed.check.linked_service()?.service_principal()
        })
        .text("linked_service_description", "Why that has made it.", |listed| {
            listed.check.linked_service()?.description()
        })
}

/// Whether this can be the id of a health check: Route 53 takes nothing but a UUID.
fn is_id(id: &str) -> bool {
    id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

impl HealthChecks {
    async fn give(
        &self,
        call: &Call<'_>,
        client: &Client,
        optional: &Optional<'_>,
        checks: Vec<HealthCheck>,
        raws: Vec<&Value>,
    ) -> Result<(), Unread> {
        let ids: Vec<String> = checks.iter().map(|check| check.id().to_owned()).collect();
        let mut tags = tags(client, optional, TagResourceType::Healthcheck, &ids).await?;
        let listed = checks.into_iter().map(|check| Listed { tags: tags.remove(check.id()), check });
        let listed: Vec<Listed> = listed.collect();
        call.give(&self.checks, &listed, in_order(raws)).await
    }
}

#[async_trait]
impl Collector for HealthChecks {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.checks]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["route53:GetHealthCheck", "route53:ListHealthChecks", "route53:ListTagsForResources"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let (client, optional) = (client(call.session), Optional::new(call.session));
        let targets = call.ids(is_id);
        for id in targets.iter().flatten() {
            let mut listing = call.listing("read a health check");
            let request = client.get_health_check().health_check_id(id);
            let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
            if let Some((page, raw)) = listing.page_unless_gone(answer, |_| None)? {
                let checks = page.health_check.into_iter().collect();
                self.give(call, &client, &optional, checks, raw.items("HealthCheck")).await?;
            }
        }
        if targets.as_ref().is_some_and(|ids| !ids.is_empty()) {
            return Ok(());
        }
        let mut listing = call.listing("list the health checks");
        while let Some(token) = listing.token() {
            let request = client.list_health_checks().max_items(PAGE).set_marker(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| page.next_marker().filter(|_| page.is_truncated()))?;
            if targets.is_some() {
                // None of the targets can be one. Whether it may be asked is found out even so.
                break;
            }
            self.give(call, &client, &optional, page.health_checks, raw.items("HealthChecks/HealthCheck")).await?;
        }
        Ok(())
    }
}
