//! `aws_iam_access_key`, from ListUsers, ListAccessKeys of each, and GetAccessKeyLastUsed of each key.

use async_trait::async_trait;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::{AccessKeyLastUsed, AccessKeyMetadata};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use tidegate_pipeline::provider::Extent;

use super::request::{PAGE, asked_for, client, marker};
use crate::provider::{CALLS, Call, Collector, Declared, Optional, Reach, Table, Unread, answered, unless_unknown};

const NAME: &str = "aws_iam_access_key";
/// What AWS writes where a key was never used.
const NEVER: &str = "N/A";
/// How long the id of a key is at least.
const SHORTEST: usize = 16;

/// An access key, and when it was used last.
struct Listed {
    key: AccessKeyMetadata,
    used: Option<AccessKeyLastUsed>,
}

/// Reads the access keys of the users of an account.
pub(super) struct AccessKeys {
    keys: Table<Listed>,
}

impl AccessKeys {
    pub(super) fn new() -> Self {
        Self { keys: keys() }
    }
}

fn keys() -> Table<Listed> {
    let table = Table::new(
        NAME,
        "The access keys of users; those of the root user are not listed.",
        |place, listed: &Listed| {
            let (user, id) =
                (listed.key.user_name().unwrap_or_default(), listed.key.access_key_id().unwrap_or_default());
            place.arn("iam", format_args!("user/{user}/accesskey/{id}"))
        },
    );
    table
        .target("access_key_id", "The id of the key: `AKIA…`.", |listed: &Listed| listed.key.access_key_id())
        .reference("user_name", "The user whose key it is.", ("aws_iam_user", "name"), |listed| listed.key.user_name())
        .text("status", "`Active`, `Inactive` or `Expired`.", |listed| Some(listed.key.status()?.as_str()))
        .time("create_date", "When it was made.", |listed| listed.key.create_date())
        .time(
            "access_key_last_used_date",
            "When it was used last; NULL where never, or that may not be read.",
            |listed| listed.used.as_ref()?.last_used_date(),
        )
        .text("access_key_last_used_service", "The service that it was used for.", |listed| {
            Some(listed.used.as_ref()?.service_name()).filter(|name| *name != NEVER)
        })
        .text("access_key_last_used_region", "The region in which it was used.", |listed| {
            Some(listed.used.as_ref()?.region()).filter(|name| *name != NEVER)
        })
}

/// Reads the keys of users.
struct KeyReader<'a> {
    client: Client,
    call: &'a Call<'a>,
    uses: Optional<'a>,
}

impl KeyReader<'_> {
    /// The keys of a user that are asked for, each with what AWS wrote of it.
    async fn of(&self, user: String) -> Result<Vec<(Listed, Value)>, Unread> {
        let mut listing = self.call.listing("list the access keys of users");
        let mut keys = Vec::new();
        while let Some(token) = listing.token() {
            let request = self.client.list_access_keys().user_name(&user).set_marker(token);
            let answer = unless_unknown(request.customize().interceptor(listing.capture()).send().await);
            let page = listing.page_unless_gone(answer, |page| marker(page.is_truncated(), page.marker()))?;
            let Some((page, raw)) = page else { return Ok(Vec::new()) };
            let raws = raw.items("ListAccessKeysResult/AccessKeyMetadata");
            let (found, raws) = asked_for(self.call, page.access_key_metadata, raws, |key| key.access_key_id());
            for (key, raw) in found.into_iter().zip(raws) {
                let used = self.use_of(key.access_key_id().unwrap_or_default()).await?;
                keys.push((Listed { key, used }, raw));
            }
        }
        Ok(keys)
    }

    async fn use_of(&self, key: &str) -> Result<Option<AccessKeyLastUsed>, Unread> {
        if self.uses.is_refused() {
            return Ok(None);
        }
        let answer = unless_unknown(self.client.get_access_key_last_used().access_key_id(key).send().await);
        let answer = self.uses.take(answered("read when access keys were used", answer))?;
        Ok(answer.flatten().and_then(|answer| answer.access_key_last_used))
    }
}

#[async_trait]
impl Collector for AccessKeys {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.keys]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:GetAccessKeyLastUsed", "iam:ListAccessKeys", "iam:ListUsers"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let reader = KeyReader { client: client.clone(), call, uses: Optional::new(call.session) };
        let reader = &reader;
        // Where nothing that is asked for can be a key, it is enough to find out that keys may be listed.
        let only_one = matches!(call.extent, Extent::Targets(ids) if ids.iter().all(|id| !may_be_key(id)));
        let mut listing = call.listing("list the users");
        while let Some(token) = listing.token() {
            let answer = client.list_users().max_items(if only_one { 1 } else { PAGE }).set_marker(token).send().await;
            let (page, _) = listing.page(answer, |page| marker(page.is_truncated(), page.marker()))?;
            let users = page.users.into_iter().map(|user| user.user_name);
            let mut read = stream::iter(users).map(|user| reader.of(user)).buffered(CALLS);
            let (mut keys, mut raws) = (Vec::new(), Vec::new());
            while let Some(of_user) = read.try_next().await? {
                for (key, raw) in of_user {
                    keys.push(key);
                    raws.push(raw);
                }
            }
            call.give(&self.keys, &keys, raws).await?;
            if only_one {
                break;
            }
        }
        Ok(())
    }
}

fn may_be_key(id: &str) -> bool {
    id.len() >= SHORTEST && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
