//! `aws_s3`: buckets, what they are set to, and objects in them. A file for each listing, named after what is listed.

mod account_settings;
mod bucket;
mod bucket_columns;
mod bucket_listing;
mod bucket_part;
#[cfg(test)]
mod bucket_tests;
mod object;
mod question;
mod request;
mod shape;

use std::sync::Arc;

use crate::provider::{Collector, Service};

/// The provider.
pub(crate) const SERVICE: Service = Service {
    kind: "aws_s3",
    summary: "S3 of AWS accounts as tables: buckets, their policies and settings, objects where wanted.",
    collectors,
};

fn collectors() -> Vec<Arc<dyn Collector>> {
    vec![
        Arc::new(account_settings::AccountSettings::new()),
        Arc::new(bucket::Buckets::new()),
        Arc::new(object::Objects::new()),
    ]
}
