//! The estate: the accounts that are looked at, their regions, and a session for each pair.
//!
//! What is found out (who the credentials are, which accounts the organisation has, which regions an account has
//! enabled) is found out anew with each refresh: an account that joins the organisation is collected without a restart.

mod accounts;
mod options;
mod patience;
mod session;

pub(crate) use accounts::{Account, Estate};
pub(crate) use options::no_regions;
pub use options::{AccountOptions, AwsOptions, OrganizationOptions, OwnAccount};
pub(crate) use patience::Patience;
pub(crate) use session::{Place, Session};

/// The region of what belongs to none: users, roles, hosted zones.
pub(crate) const GLOBAL: &str = "global";
