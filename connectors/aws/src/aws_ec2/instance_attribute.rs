//! What DescribeInstances does not say of an instance: a call for each, from DescribeInstanceAttribute.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::describe_instance_attribute::DescribeInstanceAttributeOutput;
use aws_sdk_ec2::types::InstanceAttributeName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::request::client;
use crate::provider::{CALLS, Call, Optional, Unread, answered, unless_unknown};

/// The columns, as options name them.
pub(super) const DISABLE_API_TERMINATION: &str = "aws_ec2_instance.disable_api_termination";
pub(super) const USER_DATA: &str = "aws_ec2_instance.user_data";

/// What was asked for of an instance, and answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes {
    pub(super) disable_api_termination: Option<bool>,
    pub(super) user_data: Option<String>,
}

/// Asks for the attributes that are wanted.
pub(super) struct AttributeReader<'a> {
    client: Client,
    optional: Optional<'a>,
    termination: bool,
    user_data: bool,
}

impl<'a> AttributeReader<'a> {
    /// A reader; nothing where no attribute is wanted.
    pub(super) fn new(call: &Call<'a>) -> Option<Self> {
        let (termination, user_data) = (call.hydrates(DISABLE_API_TERMINATION), call.hydrates(USER_DATA));
        let wanted = termination || user_data;
        let optional = Optional::new(call.session);
        wanted.then(|| Self { client: client(call.session), optional, termination, user_data })
    }

    /// The attributes of these instances, in their order.
    pub(super) async fn of(&self, ids: Vec<String>) -> Result<Vec<Attributes>, Unread> {
        stream::iter(ids).map(|id| self.of_one(id)).buffered(CALLS).try_collect().await
    }

    async fn of_one(&self, id: String) -> Result<Attributes, Unread> {
        let mut attributes = Attributes::default();
        if self.termination {
            let answer = self.ask(&id, InstanceAttributeName::DisableApiTermination).await?;
            attributes.disable_api_termination = answer.and_then(|answer| answer.disable_api_termination?.value);
        }
        if self.user_data {
            let answer = self.ask(&id, InstanceAttributeName::UserData).await?;
            attributes.user_data = answer.and_then(|answer| answer.user_data?.value).map(readable);
        }
        Ok(attributes)
    }

    /// An attribute; nothing where the instance is gone, or it may not be read.
    async fn ask(
        &self,
        id: &str,
        attribute: InstanceAttributeName,
    ) -> Result<Option<DescribeInstanceAttributeOutput>, Unread> {
        if self.optional.is_refused() {
            return Ok(None);
        }
        let answer = self.client.describe_instance_attribute().instance_id(id).attribute(attribute).send().await;
        Ok(self.optional.take(answered("read an attribute of an instance", unless_unknown(answer)))?.flatten())
    }
}

/// User data as text; as AWS gives it (in Base64) where it is none, since it may be compressed.
fn readable(encoded: String) -> String {
    let decoded = STANDARD.decode(&encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_text_where_it_is_text() {
        assert_eq!(readable("IyEvYmluL3No".to_owned()), "#!/bin/sh");
        for other in ["H4sIAP//", "no Base64"] {
            assert_eq!(readable(other.to_owned()), other);
        }
    }
}
