//! Accounts and regions, as agents and ids name them.

use std::fmt;
use std::str::FromStr;

use tidegate_pipeline::error::{Error, Result};

/// An agent: `ACCOUNT/REGION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AgentPlace {
    pub(super) account: String,
    pub(super) region: String,
}

impl fmt::Display for AgentPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

impl FromStr for AgentPlace {
    type Err = Error;

    fn from_str(agent: &str) -> Result<Self> {
        let parts = agent.split_once('/').filter(|(account, region)| {
            account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) && !region.is_empty()
        });
        let (account, region) = parts.ok_or_else(|| {
            Error::user(format!("the agent `{agent}` is no account and region"))
                .with_remedy("let `agent` be as `account_id || '/' || region`")
        })?;
        Ok(Self { account: account.to_owned(), region: region.to_owned() })
    }
}

impl AgentPlace {
    /// An ARN of another account or region is a mistake somewhere: nothing must be touched.
    pub(super) fn agrees_with(&self, id: &str) -> Result<()> {
        let (account, region) = named_in(id).unwrap_or_default();
        let differs = |named: Option<String>, own: &str| named.is_some_and(|named| named != own);
        if differs(account, &self.account) || differs(region, &self.region) {
            return Err(Error::user(format!("`{id}` is not of the agent {self}"))
                .with_remedy("leave `agent` out, or correct it"));
        }
        Ok(())
    }
}

/// The account and region that an ARN names, as far as it does; `None` for what is no ARN.
pub(super) fn named_in(id: &str) -> Option<(Option<String>, Option<String>)> {
    let mut parts = id.strip_prefix("arn:")?.splitn(5, ':');
    let (region, account) = (parts.nth(2)?, parts.next()?);
    let named = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    Some((named(account), named(region)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_an_account_and_a_region() {
        let place: AgentPlace = "123456789012/eu-west-1".parse().unwrap();
        assert_eq!((place.account.as_str(), place.region.as_str()), ("123456789012", "eu-west-1"));
        for wrong in ["", "123456789012", "12345/eu-west-1", "123456789012/", "12345678901x/eu-west-1"] {
            assert!(wrong.parse::<AgentPlace>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_arn_must_be_of_the_agent_as_far_as_it_says() {
        let place: AgentPlace = "123456789012/eu-west-1".parse().unwrap();
        for good in [
            "sg-1",
            "arn:aws:s3:::bucket",
            "arn:aws:ec2:eu-west-1::snapshot/snap-1",
            "arn:aws:ec2:eu-west-1:123456789012:security-group/sg-1/ingress:tcp:22-22:::/0",
        ] {
            assert!(place.agrees_with(good).is_ok(), "{good}");
        }
        for bad in ["arn:aws:ec2:eu-west-2:123456789012:volume/v", "arn:aws:ec2:eu-west-1:210987654321:volume/v"] {
            assert!(place.agrees_with(bad).unwrap_err().message.contains("is not of the agent"), "{bad}");
        }
    }
}
