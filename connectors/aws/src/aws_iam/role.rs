//! `aws_iam_role`, `aws_iam_role_inline_statement` and `aws_iam_role_trust_statement`, from GetAccountAuthorizationDetails.

use async_trait::async_trait;
use aws_sdk_iam::types::{EntityType, RoleDetail};

use super::inline_policy::{InlineStatement, inline_statements, policy_columns};
use super::request::{PAGE, asked_for, client, marker, tags};
use crate::opsbox;
use crate::policy_document::{Document, Statement, statement_columns};
use crate::provider::{Call, Collector, Declared, Reach, Table, Unread, sorted};

const NAME: &str = "aws_iam_role";

/// A statement of who may assume a role.
struct TrustStatement {
    role: String,
    statement: Statement,
}

/// Reads the roles of an account.
pub(super) struct Roles {
    roles: Table<RoleDetail>,
    statements: Table<InlineStatement>,
    trust: Table<TrustStatement>,
}

impl Roles {
    pub(super) fn new() -> Self {
        let table = ("aws_iam_role_inline_statement", "The statements of the inline policies of roles.");
        let statements = inline_statements(table, ("role", "role_name", "The role."));
        Self { roles: trusted(roles()), statements, trust: trust() }
    }
}

fn roles() -> Table<RoleDetail> {
    let table = Table::new(NAME, "The roles of the account.", |place, role: &RoleDetail| {
        let name = role.role_name().unwrap_or_default();
        role.arn().map_or_else(|| place.arn("iam", format_args!("role/{name}")), str::to_owned)
    });
    let table = table
        .target("name", "The name of the role.", |role: &RoleDetail| role.role_name())
        .text("role_id", "The id of the role: `AROA…`.", |role| role.role_id())
        .text("path", "The path of the role; that of service-linked roles begins with `/aws-service-role/`.", |role| {
            role.path()
        })
        .time("create_date", "When it was made.", |role| role.create_date())
        .text("permissions_boundary_arn", "The policy beyond which it has no permissions.", |role| {
            role.permissions_boundary()?.permissions_boundary_arn()
        })
        .text("permissions_boundary_type", "`Policy`.", |role| {
            Some(role.permissions_boundary()?.permissions_boundary_type()?.as_str())
        })
        .texts("instance_profile_arns", "The instance profiles that it is in.", |role| {
            sorted(role.instance_profile_list().iter().map(|profile| Some(profile.arn())))
        });
    let table = policy_columns(table, RoleDetail::role_policy_list, RoleDetail::attached_managed_policies);
    table.tags(|role| tags(role.tags())).view(opsbox::IAM_ROLES)
}

/// Who uses it.
fn trusted(table: Table<RoleDetail>) -> Table<RoleDetail> {
    let document = |role: &RoleDetail| role.assume_role_policy_document().map(Document::encoded);
    table
        .json("assume_role_policy", "Who may assume it: a policy, as JSON.", move |role| Some(document(role)?.text()))
        .json(
            "assume_role_policy_std",
            "The same in one form: lists everywhere, sorted, actions in lower case.",
            move |role| Some(document(role)?.standard()?.to_string()),
        )
        .time("role_last_used_date", "When it was used last, in the last 400 days; AWS says it within hours.", |role| {
            role.role_last_used()?.last_used_date()
        })
        .text("role_last_used_region", "The region in which it was used last.", |role| role.role_last_used()?.region())
}

fn trust() -> Table<TrustStatement> {
    let description = "The statements of who may assume roles.";
    let table = Table::new("aws_iam_role_trust_statement", description, |place, trust: &TrustStatement| {
        place.arn("iam", format_args!("role/{}/trust/statement/{}", trust.role, trust.statement.index()))
    });
    let table = table.target("role_name", "The role.", |trust: &TrustStatement| Some(&trust.role));
    statement_columns(table, |trust| &trust.statement)
}

#[async_trait]
impl Collector for Roles {
    fn tables(&self) -> Vec<&dyn Declared> {
        vec![&self.roles, &self.statements, &self.trust]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["iam:GetAccountAuthorizationDetails"]
    }

    fn reach(&self) -> Reach {
        Reach::Global
    }

    async fn collect(&self, call: &Call<'_>) -> Result<(), Unread> {
        call.without_filters(NAME)?;
        let client = client(call.session);
        let mut listing = call.listing("list the roles");
        while let Some(token) = listing.token() {
            let request = client.get_account_authorization_details().filter(EntityType::Role);
            let request = request.max_items(PAGE).set_marker(token);
            let answer = request.customize().interceptor(listing.capture()).send().await;
            let (page, raw) = listing.page(answer, |page| marker(page.is_truncated(), page.marker()))?;
            let raws = raw.items("GetAccountAuthorizationDetailsResult/RoleDetailList");
            let listed = page.role_detail_list.unwrap_or_default();
            let (roles, raws) = asked_for(call, listed, raws, |role| role.role_name());
            let statements: Vec<InlineStatement> =
                roles.iter().flat_map(|role| InlineStatement::all(role.role_name(), role.role_policy_list())).collect();
            call.give(&self.statements, &statements, statements.iter().map(|inline| &inline.statement.written)).await?;
            let trust: Vec<TrustStatement> = roles.iter().flat_map(trust_of).collect();
            call.give(&self.trust, &trust, trust.iter().map(|trust| &trust.statement.written)).await?;
            call.give(&self.roles, &roles, raws).await?;
        }
        Ok(())
    }
}

fn trust_of(role: &RoleDetail) -> Vec<TrustStatement> {
    let document = Document::encoded(role.assume_role_policy_document().unwrap_or_default());
    let name = role.role_name().unwrap_or_default();
    let statements = document.statements().into_iter();
    statements.map(|statement| TrustStatement { role: name.to_owned(), statement }).collect()
}
