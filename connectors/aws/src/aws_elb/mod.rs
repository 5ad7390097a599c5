//! `aws_elb`: load balancers, their listeners, and what they send requests to. A file for each listing, named after what is
//! listed; `classic_*` are those of the first generation.

mod classic_attribute;
mod classic_load_balancer;
mod listener;
mod load_balancer;
mod load_balancer_attribute;
mod request;
mod target_group;
#[cfg(test)]
mod tests;
mod traffic;

use std::sync::Arc;

use crate::provider::{Collector, Service};

/// The provider.
pub(crate) const SERVICE: Service = Service {
    kind: "aws_elb",
    summary: "Load balancers of AWS accounts as tables: of all types, listeners, target groups.",
    collectors,
};

fn collectors() -> Vec<Arc<dyn Collector>> {
    vec![
        Arc::new(classic_load_balancer::ClassicLoadBalancers::new()),
        Arc::new(listener::Listeners::new()),
        Arc::new(load_balancer::LoadBalancers::new()),
        Arc::new(target_group::TargetGroups::new()),
    ]
}
