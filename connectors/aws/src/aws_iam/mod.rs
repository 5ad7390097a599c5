//! `aws_iam`: who may do what in an account. A file for each listing, named after what is listed.

mod access_key;
mod account_summary;
mod credential_report;
mod group;
#[cfg(test)]
mod identity_tests;
mod inline_policy;
mod password_policy;
mod policy;
mod request;
mod role;
mod server_certificate;
mod user;
mod user_access;
mod virtual_mfa_device;

use std::sync::Arc;

use crate::provider::{Collector, Service};

/// The provider.
pub(crate) const SERVICE: Service = Service {
    kind: "aws_iam",
    summary: "IAM of AWS accounts as tables: users, roles, groups, policies, access keys, the credential report.",
    collectors,
};

fn collectors() -> Vec<Arc<dyn Collector>> {
    vec![
        Arc::new(access_key::AccessKeys::new()),
        Arc::new(account_summary::AccountSummaries::new()),
        Arc::new(credential_report::CredentialReports::new()),
        Arc::new(group::Groups::new()),
        Arc::new(password_policy::PasswordPolicies::new()),
        Arc::new(policy::Policies::new()),
        Arc::new(role::Roles::new()),
        Arc::new(server_certificate::ServerCertificates::new()),
        Arc::new(user::Users::new()),
        Arc::new(virtual_mfa_device::VirtualMfaDevices::new()),
    ]
}
