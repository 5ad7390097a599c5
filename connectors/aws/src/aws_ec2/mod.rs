//! `aws_ec2`: what the EC2 API lists. A file for each listing, named after what is listed.

mod instance;
mod request;
mod transition;
mod volume;

use std::sync::Arc;

use crate::provider::{Collector, Service};

/// The provider.
pub(crate) const SERVICE: Service = Service {
    kind: "aws_ec2",
    summary: "EC2 and VPC of AWS accounts as tables: instances, volumes, images, networks, security groups.",
    collectors,
};

fn collectors() -> Vec<Arc<dyn Collector>> {
    vec![Arc::new(instance::Instances::new()), Arc::new(volume::Volumes::new())]
}
