//! `aws_ec2_application_load_balancer`, `aws_ec2_gateway_load_balancer` and `aws_ec2_network_load_balancer`, from
//! DescribeLoadBalancers.

use async_trait::async_trait;
use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer, LoadBalancerTypeEnum};
use serde_json::Value;

use super::load_balancer_attribute::{Attributes, attributes, columns, http, logging};
use super::request::{NAMES, client, is_arn, load_balancers, page, tags};
use super::traffic::{Counted, Traffic, TrafficReader, traffic_columns};
use crate::cloudwatch::METRICS;
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Named, Optional, Table, Unread, sorted};

/// A type of load balancers, which has a table of its own.
struct Kind {
    table: &'static str,
    of_type: LoadBalancerTypeEnum,
    /// The columns, as options name them.
    attributes: &'static str,
    traffic: &'static str,
    counted: Counted,
}

const APPLICATION: Kind = Kind {
    table: "aws_ec2_application_load_balancer",
    of_type: LoadBalancerTypeEnum::Application,
    attributes: "aws_ec2_application_load_balancer.load_balancer_attributes",
    traffic: "aws_ec2_application_load_balancer.request_count",
    counted: Counted {
        namespace: "AWS/ApplicationELB",
        dimension: "LoadBalancer",
        requests: "RequestCount",
        errors: Some("HTTPCode_ELB_5XX_Count"),
    },
};
const GATEWAY: Kind = Kind {
    table: "aws_ec2_gateway_load_balancer",
    of_type: LoadBalancerTypeEnum::Gateway,
    attributes: "aws_ec2_gateway_load_balancer.load_balancer_attributes",
    traffic: "aws_ec2_gateway_load_balancer.new_flow_count",
    counted: Counted { namespace: "AWS/GatewayELB", dimension: "LoadBalancer", requests: "NewFlowCount", errors: None },
};
const NETWORK: Kind = Kind {
    table: "aws_ec2_network_load_balancer",
    of_type: LoadBalancerTypeEnum::Network,
    attributes: "aws_ec2_network_load_balancer.load_balancer_attributes",
    traffic: "aws_ec2_network_load_balancer.new_flow_count",
    counted: Counted { namespace: "AWS/NetworkELB", dimension: "LoadBalancer", requests: "NewFlowCount", errors: None },
};

/// A load balancer, with what was asked for besides.
struct Listed {
    balancer: LoadBalancer,
    tags: Option<Vec<(String, String)>>,
    attributes: Option<Attributes>,
    traffic: Option<Traffic>,
}

impl Listed {
    fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_ref()
    }
}

/// Reads DescribeLoadBalancers.
pub(super) struct LoadBalancers {
    tables: [(Kind, Table<Listed>); 3],
}

impl LoadBalancers {
    pub(super) fn new() -> Self {
        let of = Listed::attributes;
        let application = http(logging(columns(balancers(&APPLICATION, "Application load balancers."), of), of), of);
        let gateway = columns(balancers(&GATEWAY, "Gateway load balancers."), of);
        let network = logging(columns(balancers(&NETWORK, "Network load balancers."), of), of);
        Self {
            tables: [
                (APPLICATION, grouped(requests(application)).view(opsbox::ELBS)),
                (GATEWAY, flows(gateway)),
                (NETWORK, grouped(flows(network))),
            ],
        }
    }
}

fn balancers(kind: &Kind, description: &'static str) -> Table<Listed> {
    Table::new(kind.table, description, |_, listed: &Listed| {
        listed.balancer.load_balancer_arn().unwrap_or_default().to_owned()
    })
    .by_arn()
    .text("name", "Its name.", |listed| listed.balancer.load_balancer_name())
    .text("type", "`application`, `gateway` or `network`.", |listed| Some(listed.balancer.r#type()?.as_str()))
    .text("state_code", "`active`, `provisioning`, `active_impaired` or `failed`.", |listed| {
        Some(listed.balancer.state()?.code()?.as_str())
    })
    .text("state_reason", "Why it is in this state.", |listed| listed.balancer.state()?.reason())
    .text("scheme", "`internet-facing` or `internal`.", |listed| Some(listed.balancer.scheme()?.as_str()))
    .text("dns_name", "The name that it is reached by.", |listed| listed.balancer.dns_name())
    .text("canonical_hosted_zone_id", "The hosted zone of that name.", |listed| {
        listed.balancer.canonical_hosted_zone_id()
    })
    .text("ip_address_type", "`ipv4`, `dualstack` or `dualstack-without-public-ipv4`.", |listed| {
        Some(listed.balancer.ip_address_type()?.as_str())
    })
    .time("created_time", "When it was made.", |listed| listed.balancer.created_time())
    .reference("vpc_id", "Its VPC.", ("aws_vpc", "vpc_id"), |listed| listed.balancer.vpc_id())
    .texts("availability_zones", "Its zones, sorted.", |listed| {
        sorted(listed.balancer.availability_zones().iter().map(|zone| zone.zone_name()))
    })
    .texts("subnets", "Its subnets, sorted.", |listed| {
        sorted(listed.balancer.availability_zones().iter().map(|zone| zone.subnet_id()))
    })
    .text("customer_owned_ipv4_pool", "The pool of its addresses on an outpost.", |listed| {
        listed.balancer.customer_owned_ipv4_pool()
    })
    .known_tags(|listed| listed.tags.clone())
}

/// Those that have security groups.
fn grouped(table: Table<Listed>) -> Table<Listed> {
    table.texts("security_groups", "Its security groups, sorted.", |listed| {
        sorted(listed.balancer.security_groups().iter().map(|group| Some(group.as_str())))
    })
}

/// What they have had to do, of those that understand HTTP.
fn requests(table: Table<Listed>) -> Table<Listed> {
    traffic_columns(table, |listed| listed.traffic)
}

/// What they have had to do, of the others.
fn flows(table: Table<Listed>) -> Table<Listed> {
    table.integer(
        "new_flow_count",
        "How many connections were begun in the last thirty whole days; NULL unless `hydrate` names this column.",
        |listed| Some(listed.traffic?.requests),
    )
}

/// How CloudWatch names a load balancer: `app/web/50dc6c495c0c9188`.
fn dimension(arn: &str) -> String {
    arn.split_once(":loadbalancer/").map(|(_, name)| name).unwrap_or_default().to_owned()
}

/// Reads what DescribeLoadBalancers does not say.
struct Hydration<'a> {
    client: &'a Client,
    tags: Optional<'a>,
    attributes: Optional<'a>,
    traffic: TrafficReader<'a>,
}

impl<'a> Hydration<'a> {
    fn new(call: &Call<'a>, client: &'a Client) -> Self {
        let optional = || Optional::new(call.session);
        Self { client, tags: optional(), attributes: optional(), traffic: TrafficReader::new(call.session) }
    }

    /// Load balancers of one type, with their tags and what the options name.
    async fn of(&self, call: &Call<'_>, kind: &Kind, balancers: Vec<LoadBalancer>) -> Result<Vec<Listed>, Unread> {
        let arn = |balancer: &LoadBalancer| balancer.load_balancer_arn().unwrap_or_default().to_owned();
        let arns: Vec<String> = balancers.iter().map(arn).collect();
        let mut tags = tags(self.client, &self.tags, arns.iter().cloned()).await?;
        let attributes = match call.hydrates(kind.attributes) {
            true => attributes(self.client, &self.attributes, arns.clone()).await?,
            false => vec![None; arns.len()],
        };
        let traffic = match call.hydrates(kind.traffic) {
            true => {
                let names: Vec<String> = arns.iter().map(|arn| dimension(arn)).collect();
                self.traffic.of(call, kind.counted, &names).await?
            }
            false => vec![None; arns.len()],
        };
        let parts = balancers.into_iter().zip(arns).zip(attributes).zip(traffic);
        let listed = parts.map(|(((balancer, arn), attributes), traffic)| {
            let tags = tags.remove(&arn);
            Listed { balancer, tags, attributes, traffic }
        });
        Ok(listed.collect())
    }
}

impl LoadBalancers {
    /// Gives load balancers, each to the table of its type.
    async fn give(
        &self,
        call: &Call<'_>,
        hydration: &Hydration<'_>,
        balancers: Vec<LoadBalancer>,
        raws: &[&Value],
    ) -> Result<(), Unread> {
        for (kind, table) in self.tables.iter().filter(|(_, table)| call.wants(table)) {
            let is_of_kind = |balancer: &LoadBalancer| balancer.r#type() == Some(&kind.of_type);
            let raws = balancers.iter().zip(raws).filter(|(balancer, _)| is_of_kind(balancer));
            let raws: Vec<&Value> = raws.map(|(_, raw)| *raw).collect();
            let of_kind = balancers.iter().filter(|balancer| is_of_kind(balancer)).cloned().collect();
            let listed = hydration.of(call, kind, of_kind).await?;
            call.give(table, &listed, raws).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Collector for LoadBalancers {
    fn tables(&self) -> Vec<&dyn Declared> {
        self.tables.iter().map(|(_, table)| table as &dyn Declared).collect()
    }

    fn actions(&self) -> &'static [&'static str] {
        &["elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeTags"]
    }

    fn hydrations(&self) -> &'static [&'static str] {
        const NAMES: [&str; 6] = [
            APPLICATION.attributes,
            APPLICATION.traffic,
            GATEWAY.attributes,
            GATEWAY.traffic,
            NETWORK.attributes,
            NETWORK.traffic,
        ];
        &NAMES
    }

    fn hydration_actions(&self, name: &str) -> &'static [&'static str] {
        if [APPLICATION, GATEWAY, NETWORK].iter().any(|kind| kind.traffic == name) {
            &METRICS
        } else {
            &["elasticloadbalancing:DescribeLoadBalancerAttributes"]
        }
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(APPLICATION.table)?;
        let client = client(call.session);
        let hydration = Hydration::new(call, &client);
        let targets = call.ids(|id| is_arn(id, "loadbalancer"));
        for arns in targets.iter().flat_map(|arns| arns.chunks(NAMES)) {
            let mut named = Named::new(arns.to_vec());
            while let Some(arns) = named.next() {
                match page(&client, &mut load_balancers(call), None, Some(arns.clone())).await? {
                    Some((page, raw)) => {
                        let raws = raw.items("DescribeLoadBalancersResult/LoadBalancers");
                        self.give(call, &hydration, page.load_balancers.unwrap_or_default(), &raws).await?;
                    }
                    None => named.refused(arns),
                }
            }
        }
        if targets.as_ref().is_some_and(|arns| !arns.is_empty()) {
            return Ok(());
        }
        let mut listing = load_balancers(call);
        while let Some(token) = listing.token() {
            let Some((page, raw)) = page(&client, &mut listing, token, None).await? else { break };
            if targets.is_some() {
                // None of the targets can be one. Whether it may be asked is found out even so.
                break;
            }
            let raws = raw.items("DescribeLoadBalancersResult/LoadBalancers");
            self.give(call, &hydration, page.load_balancers.unwrap_or_default(), &raws).await?;
        }
        Ok(())
    }
}
