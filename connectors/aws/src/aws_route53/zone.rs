//! `aws_route53_zone`, from ListHostedZones.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_route53::Client;
use aws_sdk_route53::operation::get_hosted_zone::GetHostedZoneOutput;
use aws_sdk_route53::types::{HostedZone, TagResourceType};

use super::request::{arn, client, in_order, is_zone_id, page, tags, zone_id, zones};
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Optional, Reach, Table, Unread, answered, sorted, unless_unknown};

const NAME: &str = "aws_route53_zone";
/// The column, as options name it. The delegation comes with it.
pub(super) const VPCS: &str = "aws_route53_zone.vpcs";
/// How many configurations a page may have.
const CONFIGURATIONS: i32 = 100;

/// A zone, with what was asked for besides.
struct Listed {
    zone: HostedZone,
    tags: Option<Vec<(String, String)>>,
    logging: Logging,
    detail: Option<GetHostedZoneOutput>,
}

/// The group of logs that the queries to a zone are logged in; nothing where that may not be known.
type Logging = Option<Option<String>>;

/// Reads ListHostedZones.
pub(super) struct Zones {
    zones: Table<Listed>,
}

impl Zones {
    pub(super) fn new() -> Self {
        Self { zones: hydrated(table()) }
    }
}

fn table() -> Table<Listed> {
    Table::new(NAME, "Hosted zones.", |place, listed: &Listed| {
        arn(place, format_args!("hostedzone/{}", zone_id(listed.zone.id())))
    })
    .target("id", "The id of the zone, without `/hostedzone/`.", |listed| Some(zone_id(listed.zone.id())))
    .text("name", "Its name, with a dot at the end.", |listed| Some(listed.zone.name()))
    .boolean("private_zone", "Whether only VPCs can ask it.", |listed| Some(listed.zone.config()?.private_zone()))
    .text("comment", "What somebody has noted of it.", |listed| listed.zone.config()?.comment())
    .integer("resource_record_set_count", "How many records it has.", |listed| listed.zone.resource_record_set_count())
    .text("caller_reference", "The text that its making was made safe to repeat with.", |listed| {
        Some(listed.zone.caller_reference())
    })
    .text("linked_service_principal", "The service of AWS that has made it.", |listed| {
        listed.zone.linked_service()?.service_principal()
    })
    .text("linked_service_description", "Why that has made it.", |listed| listed.zone.linked_service()?.description())
    .boolean("query_logging_enabled", "Whether queries are logged; NULL where it may not be read.", |listed| {
        Some(listed.logging.as_ref()?.is_some())
    })
    .text("query_logging_log_group_arn", "The log group of CloudWatch that they are logged in.", |listed| {
        listed.logging.as_ref()?.as_deref()
    })
    .known_tags(|listed| listed.tags.clone())
    .view(opsbox::HOSTED_ZONES)
}

/// What is asked for only where the options name it.
fn hydrated(table: Table<Listed>) -> Table<Listed> {
    table
        .known_texts(
            "vpcs",
            "The VPCs that can ask a private zone, sorted; NULL unless `hydrate` names this column.",
            |listed| Some(sorted(listed.detail.as_ref()?.vpcs().iter().map(|vpc| vpc.vpc_id()))),
        )
        .text("delegation_set_id", "The set of name servers that it shares with others; NULL as `vpcs`.", |listed| {
            listed.detail.as_ref()?.delegation_set()?.id()
        })
        .known_texts("name_servers", "The name servers of a public zone, sorted; NULL as `vpcs`.", |listed| {
            let servers = listed.detail.as_ref()?.delegation_set().map(|set| set.name_servers()).unwrap_or_default();
            Some(sorted(servers.iter().map(|server| Some(server.as_str()))))
        })
}

/// Reads what ListHostedZones does not say.
struct Hydration<'a> {
    client: Client,
    tags: Optional<'a>,
    details: Optional<'a>,
    /// The groups of logs by zone; nothing where they may not be known.
    log_groups: Option<BTreeMap<String, String>>,
}

impl<'a> Hydration<'a> {
    async fn new(call: &Call<'a>) -> Result<Self, Unread> {
        let client = client(call.session);
        let optional = || Optional::new(call.session);
        let log_groups = optional().take(log_groups(call, &client).await)?;
        Ok(Self { client, tags: optional(), details: optional(), log_groups })
    }

    /// Zones with their tags, and with details where the options name those. `known` are details that are known already.
    async fn of(
        &self,
        call: &Call<'_>,
        zones: Vec<HostedZone>,
        known: Option<GetHostedZoneOutput>,
    ) -> Result<Vec<Listed>, Unread> {
        let ids: Vec<String> = zones.iter().map(|zone| zone_id(zone.id()).to_owned()).collect();
        let mut tags = tags(&self.client, &self.tags, TagResourceType::Hostedzone, &ids).await?;
        let details = match (call.hydrates(VPCS), known) {
            (true, Some(known)) => vec![Some(known)],
            (true, None) => self.details.each(ids.clone(), |id| self.zone(id)).await?,
            (false, _) => vec![None; ids.len()],
        };
        let listed = zones.into_iter().zip(ids).zip(details).map(|((zone, id), detail)| Listed {
            zone,
            tags: tags.remove(&id),
            logging: self.log_groups.as_ref().map(|groups| groups.get(&id).cloned()),
            detail,
        });
        Ok(listed.collect())
    }

    /// All that there is of a zone; nothing where it is gone.
    async fn zone(&self, id: String) -> Result<Option<GetHostedZoneOutput>, Unread> {
        answered("read a hosted zone", unless_unknown(self.client.get_hosted_zone().id(id).send().await))
    }
}

/// The groups of logs by zone.
async fn log_groups(call: &Call<'_>, client: &Client) -> Result<BTreeMap<String, String>, Unread> {
    let mut groups = BTreeMap::new();
    let mut listing = call.listing("list which queries are logged");
    while let Some(token) = listing.token() {
        let request = client.list_query_logging_configs().max_results(CONFIGURATIONS).set_next_token(token);
        let (page, _) = listing.page(request.send().await, |page| page.next_token())?;
        groups.extend(page.query_logging_configs.into_iter().map(|configuration| {
            let id = zone_id(&configuration.hosted_zone_id).to_owned();
            (id, configuration.cloud_watch_logs_log_group_arn)
        }));
    }
    Ok(groups)
}

impl Zones {
    /// Reads one zone.
    async fn read_one(&self, call: &Call<'_>, hydration: &Hydration<'_>, id: String) -> Result<(), Unread> {
        let mut listing = call.listing("read a hosted zone");
        let request = hydration.client.get_hosted_zone().id(id);
        let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
        let Some((page, raw)) = listing.page_unless_gone(answer, |_| None)? else { return Ok(()) };
        let zones = page.hosted_zone().cloned().into_iter().collect();
        let listed = hydration.of(call, zones, Some(page)).await?;
        call.give(&self.zones, &listed, in_order(raw.items("HostedZone"))).await
    }
}

#[async_trait]
impl Collector for Zones {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.zones]
    }

    fn actions(&self) -> &'static [&'static str] {
        &[
            "route53:GetHostedZone",
            "route53:ListHostedZones",
            "route53:ListQueryLoggingConfigs",
            "route53:ListTagsForResources",
        ]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[VPCS]
    }

    fn hydration_actions(&self, _name: &str) -> &'static [&'static str] {
        &["route53:GetHostedZone"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let targets = call.ids(is_zone_id);
        if targets.as_ref().is_some_and(Vec::is_empty) {
            // None of the targets can be one. Whether it may be asked is found out even so.
            return page(&client(call.session), &mut zones(call), None).await.map(|_| ());
        }
        let hydration = Hydration::new(call).await?;
        if let Some(ids) = targets {
            for id in ids {
                self.read_one(call, &hydration, id).await?;
            }
            return Ok(());
        }
        let mut listing = zones(call);
        while let Some(token) = listing.token() {
            let (page, raw) = page(&hydration.client, &mut listing, token).await?;
            let listed = hydration.of(call, page.hosted_zones, None).await?;
            call.give(&self.zones, &listed, in_order(raw.items("HostedZones/HostedZone"))).await?;
        }
        Ok(())
    }
}
