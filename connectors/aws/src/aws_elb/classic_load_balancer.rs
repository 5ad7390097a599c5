//! `aws_ec2_classic_load_balancer`, `aws_ec2_classic_load_balancer_instance` and
//! `aws_ec2_classic_load_balancer_listener`, from DescribeLoadBalancers of the first generation.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_elasticloadbalancing::Client;
use aws_sdk_elasticloadbalancing::types::{
    Instance, ListenerDescription, LoadBalancerAttributes, LoadBalancerDescription,
};
use serde_json::Value;

use super::classic_attribute::{Health, attributes, columns, health};
use super::request::{NAMES, PAGE, classic_client, classic_tags};
use super::traffic::{Counted, Traffic, TrafficReader, traffic_columns};
use crate::cloudwatch::METRICS;
use crate::provider::{Call, Collector, Declared, Named, Optional, Raw, Table, Unread, Within, sorted, unless_unknown};

const NAME: &str = "aws_ec2_classic_load_balancer";
/// The columns, as options name them. The other attributes come with the first, `error_rate` with the second, the reason
/// with the third.
pub(super) const ACCESS_LOG_ENABLED: &str = "aws_ec2_classic_load_balancer.access_log_enabled";
pub(super) const REQUEST_COUNT: &str = "aws_ec2_classic_load_balancer.request_count";
pub(super) const STATE: &str = "aws_ec2_classic_load_balancer_instance.state";
const COUNTED: Counted = Counted {
    namespace: "AWS/ELB",
    dimension: "LoadBalancerName",
    requests: "RequestCount",
    errors: Some("HTTPCode_ELB_5XX"),
};

/// A load balancer, with what was asked for besides.
struct Listed {
    balancer: LoadBalancerDescription,
    tags: Option<Vec<(String, String)>>,
    attributes: Option<LoadBalancerAttributes>,
    traffic: Option<Traffic>,
}

/// An instance of a load balancer, with its health where that was asked for.
struct Behind {
    of: String,
    instance: Instance,
    health: Health,
}

/// Reads DescribeLoadBalancers.
pub(super) struct ClassicLoadBalancers {
    balancers: Table<Listed>,
    instances: Table<Behind>,
    listeners: Table<Within<ListenerDescription>>,
}

impl ClassicLoadBalancers {
    pub(super) fn new() -> Self {
        let balancers = traffic(columns(checked(balancers()), |listed: &Listed| listed.attributes.as_ref()));
        Self { balancers, instances: instances(), listeners: listeners() }
    }
}

fn balancers() -> Table<Listed> {
    Table::new(NAME, "Load balancers of the first generation.", |place, listed: &Listed| {
        let name = listed.balancer.load_balancer_name().unwrap_or_default();
        place.arn("elasticloadbalancing", format_args!("loadbalancer/{name}"))
    })
    .target("name", "Its name.", |listed| listed.balancer.load_balancer_name())
    .text("scheme", "`internet-facing` or `internal`.", |listed| listed.balancer.scheme())
    .text("dns_name", "The name that it is reached by.", |listed| listed.balancer.dns_name())
    .text("canonical_hosted_zone_name", "The name that it is reached by from everywhere.", |listed| {
        listed.balancer.canonical_hosted_zone_name()
    })
    .text("canonical_hosted_zone_name_id", "The hosted zone of that name.", |listed| {
        listed.balancer.canonical_hosted_zone_name_id()
    })
    .time("created_time", "When it was made.", |listed| listed.balancer.created_time())
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |listed| listed.balancer.vpc_id())
    .texts("availability_zones", "Its zones, sorted.", |listed| {
        sorted(listed.balancer.availability_zones().iter().map(|zone| Some(zone.as_str())))
    })
    .texts("subnets", "Its subnets, sorted.", |listed| {
        sorted(listed.balancer.subnets().iter().map(|subnet| Some(subnet.as_str())))
    })
    .texts("security_groups", "Its security groups, sorted.", |listed| {
        sorted(listed.balancer.security_groups().iter().map(|group| Some(group.as_str())))
    })
    .text("source_security_group_name", "The group that rules can name as where its requests come from.", |listed| {
        listed.balancer.source_security_group()?.group_name()
    })
    .text("source_security_group_owner_alias", "The account of this group.", |listed| {
        listed.balancer.source_security_group()?.owner_alias()
    })
    .texts("instances", "Its instances, sorted.", |listed| {
        sorted(listed.balancer.instances().iter().map(|instance| instance.instance_id()))
    })
    .known_tags(|listed| listed.tags.clone())
}

/// How the health of instances is checked.
fn checked(table: Table<Listed>) -> Table<Listed> {
    table
        .text("health_check_target", "How instances are checked: `HTTP:80/index.html`.", |listed| {
            Some(listed.balancer.health_check()?.target())
        })
        .integer("health_check_interval", "Every how many seconds.", |listed| {
            Some(listed.balancer.health_check()?.interval())
        })
        .integer("health_check_timeout", "How many seconds an answer may take.", |listed| {
            Some(listed.balancer.health_check()?.timeout())
        })
        .integer("healthy_threshold", "After how many good answers an instance is healthy.", |listed| {
            Some(listed.balancer.health_check()?.healthy_threshold())
        })
        .integer("unhealthy_threshold", "After how many bad answers it is not.", |listed| {
            Some(listed.balancer.health_check()?.unhealthy_threshold())
        })
}

/// What they have had to do.
fn traffic(table: Table<Listed>) -> Table<Listed> {
    traffic_columns(table, |listed| listed.traffic)
}

fn instances() -> Table<Behind> {
    let description = "The instances of load balancers of the first generation.";
    Table::new("aws_ec2_classic_load_balancer_instance", description, |place, behind: &Behind| {
        let (name, instance) = (&behind.of, behind.instance.instance_id().unwrap_or_default());
        place.arn("elasticloadbalancing", format_args!("loadbalancer/{name}/instance/{instance}"))
    })
    .target("load_balancer_name", "The load balancer.", |behind| Some(&behind.of))
    .key("instance_id", "The instance.", |behind| behind.instance.instance_id())
    .text("state", "`InService`, `OutOfService` or `Unknown`; NULL unless `hydrate` names this column.", |behind| {
        behind.health.state.as_deref()
    })
    .text("reason_code", "`ELB`, `Instance` or `N/A`: whose matter it is; NULL as `state`.", |behind| {
        behind.health.reason_code.as_deref()
    })
    .text("description", "Why it is in this state; NULL as `state`.", |behind| behind.health.description.as_deref())
}

fn listeners() -> Table<Within<ListenerDescription>> {
    let description = "What load balancers of the first generation listen to.";
    Table::new("aws_ec2_classic_load_balancer_listener", description, |place, within: &Within<ListenerDescription>| {
        let port = within.part.listener().map(|listener| listener.load_balancer_port()).unwrap_or_default();
        place.arn("elasticloadbalancing", format_args!("loadbalancer/{}/listener/{port}", within.of))
    })
    .target("load_balancer_name", "The load balancer.", |within| Some(&within.of))
    .integer("load_balancer_port", "The port that it listens to.", |within| {
        Some(within.part.listener()?.load_balancer_port())
    })
    .identified_by("load_balancer_port")
    .text("protocol", "`HTTP`, `HTTPS`, `TCP` or `SSL`.", |within| Some(within.part.listener()?.protocol()))
    .integer("instance_port", "The port that instances are reached by.", |within| {
        Some(within.part.listener()?.instance_port())
    })
    .text("instance_protocol", "How instances are reached.", |within| within.part.listener()?.instance_protocol())
    .text("ssl_certificate_id", "The ARN of its certificate.", |within| within.part.listener()?.ssl_certificate_id())
    .texts("policy_names", "Its policies, sorted.", |within| {
        sorted(within.part.policy_names().iter().map(|name| Some(name.as_str())))
    })
}

/// Reads what DescribeLoadBalancers does not say.
struct Hydration<'a> {
    client: Client,
    tags: Optional<'a>,
    attributes: Optional<'a>,
    health: Optional<'a>,
    traffic: TrafficReader<'a>,
}

impl<'a> Hydration<'a> {
    fn new(call: &Call<'a>) -> Self {
        let optional = || Optional::new(call.session);
        let traffic = TrafficReader::new(call.session);
        let client = classic_client(call.session);
        Self { client, tags: optional(), attributes: optional(), health: optional(), traffic }
    }

    /// Load balancers with their tags and what the options name.
    async fn of(&self, call: &Call<'_>, balancers: &[LoadBalancerDescription]) -> Result<Vec<Listed>, Unread> {
        let names = names(balancers);
        let mut tags = classic_tags(&self.client, &self.tags, &names).await?;
        let attributes = match call.hydrates(ACCESS_LOG_ENABLED) {
            true => attributes(&self.client, &self.attributes, names.clone()).await?,
            false => vec![None; names.len()],
        };
        let traffic = match call.hydrates(REQUEST_COUNT) {
            true => self.traffic.of(call, COUNTED, &names).await?,
            false => vec![None; names.len()],
        };
        let parts = balancers.iter().zip(names).zip(attributes).zip(traffic);
        let listed = parts.map(|(((balancer, name), attributes), traffic)| Listed {
            balancer: balancer.clone(),
            tags: tags.remove(&name),
            attributes,
            traffic,
        });
        Ok(listed.collect())
    }

    /// The instances of load balancers, with their health where the options name that.
    async fn behind(&self, call: &Call<'_>, balancers: &[LoadBalancerDescription]) -> Result<Vec<Behind>, Unread> {
        let names = names(balancers);
        let states = match call.hydrates(STATE) {
            true => health(&self.client, &self.health, names.clone()).await?,
            false => vec![None; names.len()],
        };
        let behind = balancers.iter().zip(names).zip(states).flat_map(|((balancer, name), states)| {
            let mut states: BTreeMap<String, Health> = states.unwrap_or_default();
            let behind = balancer.instances().iter().map(|instance| Behind {
                of: name.clone(),
                health: states.remove(instance.instance_id().unwrap_or_default()).unwrap_or_default(),
                instance: instance.clone(),
            });
            behind.collect::<Vec<_>>()
        });
        Ok(behind.collect())
    }
}

fn names(balancers: &[LoadBalancerDescription]) -> Vec<String> {
    balancers.iter().map(|balancer| balancer.load_balancer_name().unwrap_or_default().to_owned()).collect()
}

/// Whether this can be the name of a load balancer.
fn is_name(name: &str) -> bool {
    name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl ClassicLoadBalancers {
    /// Reads all load balancers, or those of these names; whether AWS knew all of them.
    async fn read(&self, call: &Call<'_>, hydration: &Hydration<'_>, names: Option<&[String]>) -> Result<bool, Unread> {
        let mut listing = call.listing("list the classic load balancers");
        while let Some(token) = listing.token() {
            let request = hydration.client.describe_load_balancers().set_marker(token);
            let request = request.set_load_balancer_names(names.map(<[String]>::to_vec));
            let request = request.set_page_size(names.is_none().then_some(PAGE));
            let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
            let Some((page, raw)) = listing.page_unless_gone(answer, |page| page.next_marker())? else {
                return Ok(false);
            };
            self.give(call, hydration, page.load_balancer_descriptions(), &raw).await?;
        }
        Ok(true)
    }

    async fn give(
        &self,
        call: &Call<'_>,
        hydration: &Hydration<'_>,
        balancers: &[LoadBalancerDescription],
        raw: &Raw,
    ) -> Result<(), Unread> {
        let items = |path: &str| -> Vec<&Value> {
            raw.items(&format!("DescribeLoadBalancersResult/LoadBalancerDescriptions{path}"))
        };
        let listeners = Within::all(
            balancers,
            |balancer| balancer.load_balancer_name(),
            LoadBalancerDescription::listener_descriptions,
        );
        call.give(&self.listeners, &listeners, items("/ListenerDescriptions")).await?;
        if call.wants(&self.instances) {
            let behind = hydration.behind(call, balancers).await?;
            call.give(&self.instances, &behind, items("/Instances")).await?;
        }
        if call.wants(&self.balancers) {
            let listed = hydration.of(call, balancers).await?;
            call.give(&self.balancers, &listed, items("")).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Collector for ClassicLoadBalancers {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.balancers, &self.instances, &self.listeners]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeTags"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        &[ACCESS_LOG_ENABLED, REQUEST_COUNT, STATE]
    }

    fn hydration_actions(&self, name: &str) -> &'static [&'static str] {
        match name {
            ACCESS_LOG_ENABLED => &["elasticloadbalancing:DescribeLoadBalancerAttributes"],
            STATE => &["elasticloadbalancing:DescribeInstanceHealth"],
            _ => &METRICS,
        }
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let hydration = Hydration::new(call);
        let Some(names) = call.ids(is_name) else { return self.read(call, &hydration, None).await.map(|_| ()) };
        for names in names.chunks(NAMES) {
            let mut named = Named::new(names.to_vec());
            while let Some(names) = named.next() {
                if !self.read(call, &hydration, Some(&names)).await? {
                    named.refused(names);
                }
            }
        }
        Ok(())
    }
}
