//! Tags: those that are named are enforced, others are left alone.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Tag;
use serde_json::{Map, Value};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::handler::{Halt, HandlerContext};

use super::Target;
use crate::failure::failure;

/// What the field `tags` says: text for a tag that shall have this value, null for one that shall not be there.
fn wanted(at: Target<'_>) -> Result<BTreeMap<String, Option<String>>> {
    let tags = match at.resource.field("tags") {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(tags) => tags,
        other => return Err(Error::user(format!("`tags` of {} is no map: {other}", at.resource.id))),
    };
    let value = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Ok(tags.iter().map(|(name, tag)| (name.clone(), value(tag))).collect())
}

/// The tags that are wanted, as they are: so that others make no difference.
pub(super) fn named(at: Target<'_>, tags: &[Tag]) -> Result<Value> {
    let there: BTreeMap<&str, &str> =
        tags.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default()))).collect();
    let is = |name: &String| (name.clone(), there.get(name.as_str()).map_or(Value::Null, |value| Value::from(*value)));
    Ok(Value::Object(wanted(at)?.keys().map(is).collect::<Map<String, Value>>()))
}

/// Sets and removes tags of a resource of EC2.
pub(super) async fn enforce(context: &mut HandlerContext, at: Target<'_>) -> Result<(), Halt> {
    let (mut set, mut gone) = (Vec::new(), Vec::new());
    for (name, value) in wanted(at)? {
        match value {
            Some(value) => set.push(Tag::builder().key(name).value(value).build()),
            None => gone.push(Tag::builder().key(name).build()),
        }
    }
    let client = at.ec2();
    if !set.is_empty() {
        context.info("Setting %(count)s tags", &[("count", &set.len())]);
        let done = client.create_tags().resources(at.aws_id()).set_tags(Some(set)).send().await;
        done.map_err(|error| failure(&format!("set tags of {}", at.aws_id()), &error))?;
    }
    if !gone.is_empty() {
        context.info("Removing %(count)s tags", &[("count", &gone.len())]);
        let done = client.delete_tags().resources(at.aws_id()).set_tags(Some(gone)).send().await;
        done.map_err(|error| failure(&format!("remove tags of {}", at.aws_id()), &error))?;
    }
    Ok(())
}
