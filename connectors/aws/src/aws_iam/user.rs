//! `aws_iam_user` and `aws_iam_user_inline_statement`, from GetAccountAuthorizationDetails, ListUsers, and calls for each
//! user.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_iam::Client;
use aws_sdk_iam::primitives::DateTime;
use aws_sdk_iam::types::{EntityType, User, UserDetail};
use serde_json::{Map, Value};

use super::inline_policy::{InlineStatement, inline_statements, policy_columns};
use super::request::{PAGE, asked_for, client, marker, tags};
use super::user_access::{Access, AccessReader, Login};
use crate::opsbox;
use crate::provider::{Call, Collector, Declared, Optional, Reach, Table, Unread, sorted};

const NAME: &str = "aws_iam_user";

/// A user, and what other calls say of it.
struct Listed {
    user: UserDetail,
    password_last_used: Option<DateTime>,
    access: Access,
}

/// Reads the users of an account.
pub(super) struct Users {
    users: Table<Listed>,
    statements: Table<InlineStatement>,
}

impl Users {
    pub(super) fn new() -> Self {
        let table = ("aws_iam_user_inline_statement", "The statements of the inline policies of users.");
        let statements = inline_statements(table, ("user", "user_name", "The user."));
        Self { users: access(users()), statements }
    }
}

fn users() -> Table<Listed> {
    let table = Table::new(NAME, "The users of the account.", |place, listed: &Listed| {
        let name = listed.user.user_name().unwrap_or_default();
        listed.user.arn().map_or_else(|| place.arn("iam", format_args!("user/{name}")), str::to_owned)
    });
    let table = table
        .target("name", "The name of the user.", |listed: &Listed| listed.user.user_name())
        .text("user_id", "The id of the user: `AIDA…`.", |listed| listed.user.user_id())
        .text("path", "The path of the user.", |listed| listed.user.path())
        .time("create_date", "When it was made.", |listed| listed.user.create_date())
        .text("permissions_boundary_arn", "The policy beyond which it has no permissions.", |listed| {
            listed.user.permissions_boundary()?.permissions_boundary_arn()
        })
        .text("permissions_boundary_type", "`Policy`.", |listed| {
            Some(listed.user.permissions_boundary()?.permissions_boundary_type()?.as_str())
        })
        .texts("groups", "The groups that it is in.", |listed| {
            sorted(listed.user.group_list().iter().map(|group| Some(group.as_str())))
        });
    let table = policy_columns(
        table,
        |listed| listed.user.user_policy_list(),
        |listed| listed.user.attached_managed_policies(),
    );
    table.tags(|listed| tags(listed.user.tags())).view(opsbox::IAM_USERS)
}

/// How it gets in.
fn access(table: Table<Listed>) -> Table<Listed> {
    table
        .time("password_last_used", "When its password was used last; NULL where that is not known.", |listed| {
            listed.password_last_used.as_ref()
        })
        .boolean("console_access", "Whether it has a password; NULL where that may not be read.", |listed| {
            match listed.access.login {
                Login::Unread => None,
                Login::None => Some(false),
                Login::Profile(_) => Some(true),
            }
        })
        .json(
            "login_profile",
            "Its password, as JSON: `{\"CreateDate\": …, \"PasswordResetRequired\": …}`; NULL without one.",
            |listed| match &listed.access.login {
                Login::Profile(profile) => Some(profile.to_string()),
                Login::Unread | Login::None => None,
            },
        )
        .boolean("mfa_enabled", "Whether it has a device for a second factor; NULL where that may not be read.", |listed| {
            Some(!listed.access.mfa_devices.as_ref()?.is_empty())
        })
        .json(
            "mfa_devices",
            "Its devices, as a JSON list of `{\"SerialNumber\": …, \"EnableDate\": …}`; NULL where they may not be read.",
            |listed| {
                let device = |(serial, enabled): &(String, String)| {
                    let members = [("SerialNumber", serial), ("EnableDate", enabled)];
                    Value::Object(Map::from_iter(members.map(|(name, text)| (name.to_owned(), Value::from(text.as_str())))))
                };
                Some(listed.access.mfa_devices.as_ref()?.iter().map(device).collect::<Value>().to_string())
            },
        )
}

/// When passwords were used last, by the id of the user: only ListUsers says it. Nothing where it may not be asked.
async fn uses_of_passwords(client: &Client, call: &Call<'_>) -> Result<BTreeMap<String, DateTime>, Unread> {
    let optional = Optional::new(call.session);
    let mut used = BTreeMap::new();
    let mut listing = call.listing("list when passwords were used");
    while let Some(token) = listing.token() {
        let answer = client.list_users().max_items(PAGE).set_marker(token).send().await;
        let page = listing.page(answer, |page| marker(page.is_truncated(), page.marker()));
        let Some((page, _)) = optional.take(page)? else { break };
        let use_of = |user: User| Some((user.user_id, user.password_last_used?));
        used.extend(page.users.into_iter().filter_map(use_of));
    }
    Ok(used)
}

#[async_trait]
impl Collector for Users {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.users, &self.statements]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:GetAccountAuthorizationDetails", "iam:GetLoginProfile", "iam:ListMFADevices", "iam:ListUsers"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let reader = AccessReader::new(&client, call.session);
        let mut used: Option<BTreeMap<String, DateTime>> = None;
        let mut listing = call.listing("list the users");
        while let Some(token) = listing.token() {
            let request = client.get_account_authorization_details().filter(EntityType::User);
            let request = request.max_items(PAGE).set_marker(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| marker(page.is_truncated(), page.marker()))?;
            let raws = raw.items("GetAccountAuthorizationDetailsResult/UserDetailList");
            let listed = page.user_detail_list.unwrap_or_default();
            let (users, raws) = asked_for(call, listed, raws, |user| user.user_name());
            if users.is_empty() {
                continue;
            }
            let statements: Vec<InlineStatement> =
                users.iter().flat_map(|user| InlineStatement::all(user.user_name(), user.user_policy_list())).collect();
            call.give(&self.statements, &statements, statements.iter().map(|inline| &inline.statement.written)).await?;
            if !call.wants(&self.users) {
                continue;
            }
            let used = match &mut used {
                Some(used) => used,
                none => none.insert(uses_of_passwords(&client, call).await?),
            };
            let names = users.iter().map(|user| user.user_name().unwrap_or_default().to_owned()).collect();
            let read = reader.of(names).await?;
            let listed = users.into_iter().zip(read).zip(raws).filter_map(|((user, access), raw)| {
                let password_last_used = used.get(user.user_id()?).copied();
                Some((Listed { password_last_used, access: access?, user }, raw))
            });
            let (users, raws): (Vec<Listed>, Vec<Value>) = listed.unzip();
            call.give(&self.users, &users, raws).await?;
        }
        Ok(())
    }
}
