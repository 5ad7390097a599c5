//! `aws_ec2_key_pair`, from DescribeKeyPairs.

use async_trait::async_trait;
use aws_sdk_ec2::types::KeyPairInfo;

use super::request::{client, filters, tags};
use crate::provider::{Call, Collector, Declared, Table, Unread};

/// Reads DescribeKeyPairs, which is not paged.
pub(super) struct KeyPairs {
    key_pairs: Table<KeyPairInfo>,
}

impl KeyPairs {
    pub(super) fn new() -> Self {
        Self { key_pairs: key_pairs() }
    }
}

fn key_pairs() -> Table<KeyPairInfo> {
    Table::new("aws_ec2_key_pair", "Key pairs for logging in to instances.", |place, key_pair: &KeyPairInfo| {
        place.arn("ec2", format_args!("key-pair/{}", key_pair.key_name().unwrap_or_default()))
    })
    .target("key_name", "The name of the key pair.", |key_pair| key_pair.key_name())
    .text("key_pair_id", "The id of the key pair.", |key_pair| key_pair.key_pair_id())
    .text("key_type", "`rsa` or `ed25519`.", |key_pair| Some(key_pair.key_type()?.as_str()))
    .text("key_fingerprint", "The fingerprint, whose form says how the key was made.", |key_pair| {
        key_pair.key_fingerprint()
    })
    .time("create_time", "When it was made or imported.", |key_pair| key_pair.create_time())
    .tags(|key_pair| tags(key_pair.tags()))
}

#[async_trait]
impl Collector for KeyPairs {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.key_pairs]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["ec2:DescribeKeyPairs"]
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        let client = client(call.session);
        for part in call.parts() {
            let mut listing = call.listing("list the key pairs");
            let request = client.describe_key_pairs().set_filters(filters(call, "key-name", part.as_deref()));
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |_| None)?;
            call.give(&self.key_pairs, page.key_pairs(), raw.items("keySet")).await?;
        }
        Ok(())
    }
}
