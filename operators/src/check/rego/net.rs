//! The functions of networks that policies have; regorus has its own only where it is built with its random numbers.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regorus::Value;

use super::time::Function;

/// The most addresses of a network that are listed, in bits.
const MOST_BITS: u32 = 16;

/// The functions: name, number of arguments, what they do.
pub(super) const FUNCTIONS: [(&str, u8, Function); 4] = [
    ("net.cidr_contains", 2, contains),
    ("net.cidr_intersects", 2, intersects),
    ("net.cidr_is_valid", 1, is_valid),
    ("net.cidr_expand", 1, expand),
];

/// A network: its first and its last address as numbers, of the one kind or the other.
struct Network {
    is_v6: bool,
    first: u128,
    last: u128,
    bits: u32,
}

impl Network {
    fn of(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let (number, width) = number_of(address);
        let bits =
            width.checked_sub(prefix.parse().ok().filter(|_| prefix.bytes().all(|byte| byte.is_ascii_digit()))?)?;
        let inside = 1_u128.checked_shl(bits).map_or(u128::MAX, |count| count - 1);
        Some(Self { is_v6: address.is_ipv6(), first: number & !inside, last: number | inside, bits })
    }

    /// A network, or an address as a network of its own.
    fn or_address(text: &str) -> Option<Self> {
        let alone = || {
            let address: IpAddr = text.parse().ok()?;
            let (number, _) = number_of(address);
            Some(Self { is_v6: address.is_ipv6(), first: number, last: number, bits: 0 })
        };
        Self::of(text).or_else(alone)
    }
}

fn number_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_string().ok().map(|text| &**text)
}

fn contains(values: &[Value]) -> Option<Value> {
    let (outer, inner) = (Network::of(text(values.first())?)?, Network::or_address(text(values.get(1))?)?);
    Some(Value::from(outer.is_v6 == inner.is_v6 && outer.first <= inner.first && inner.last <= outer.last))
}

fn intersects(values: &[Value]) -> Option<Value> {
    let (a, b) = (Network::of(text(values.first())?)?, Network::of(text(values.get(1))?)?);
    Some(Value::from(a.is_v6 == b.is_v6 && a.first <= b.last && b.first <= a.last))
}

fn is_valid(values: &[Value]) -> Option<Value> {
    Some(Value::from(text(values.first()).and_then(Network::of).is_some()))
}

/// The addresses of a network; undefined where there are more than 65,536.
fn expand(values: &[Value]) -> Option<Value> {
    let network = Network::of(text(values.first())?)?;
    if network.bits > MOST_BITS {
        return None;
    }
    let address = |number: u128| match u32::try_from(number) {
        Ok(number) if !network.is_v6 => Ipv4Addr::from_bits(number).to_string(),
        _ => Ipv6Addr::from_bits(number).to_string(),
    };
    Some(Value::from(
        (network.first..=network.last).map(|number| Value::from(address(number))).collect::<BTreeSet<_>>(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, values: &str) -> String {
        let values = Value::from_json_str(values).unwrap();
        let (.., function) = FUNCTIONS.iter().find(|(known, ..)| *known == name).unwrap();
        function(values.as_array().unwrap()).map_or_else(|| "undefined".to_owned(), |value| value.to_string())
    }

    #[test]
    fn networks_contain_addresses_and_smaller_networks_of_their_kind() {
        for (values, expected) in [
            (r#"["10.0.0.0/8", "10.1.2.3"]"#, "true"),
            (r#"["10.0.0.0/8", "10.1.0.0/16"]"#, "true"),
            (r#"["10.1.0.0/16", "10.0.0.0/8"]"#, "false"),
            (r#"["0.0.0.0/0", "::1"]"#, "false"),
            (r#"["::/0", "::1/128"]"#, "true"),
            (r#"["10.0.0.0/33", "10.0.0.1"]"#, "undefined"),
            (r#"["10.0.0.0/8", "N/A"]"#, "undefined"),
        ] {
            assert_eq!(call("net.cidr_contains", values), expected, "{values}");
        }
        assert_eq!(call("net.cidr_intersects", r#"["10.0.0.0/8", "10.1.0.0/16"]"#), "true");
        assert_eq!(call("net.cidr_intersects", r#"["10.0.0.0/9", "10.128.0.0/9"]"#), "false");
        assert_eq!(call("net.cidr_is_valid", r#"["10.0.0.0/+8"]"#), "false");
    }

    #[test]
    fn the_addresses_of_a_network_are_listed_if_they_are_not_too_many() {
        assert_eq!(call("net.cidr_expand", r#"["10.0.0.1/31"]"#), r#"["10.0.0.0","10.0.0.1"]"#);
        assert_eq!(call("net.cidr_expand", r#"["::1/127"]"#), r#"["::","::1"]"#);
        assert_eq!(call("net.cidr_expand", r#"["0.0.0.0/0"]"#), "undefined");
        assert_eq!(call("net.cidr_expand", r#"["::/0"]"#), "undefined");
    }
}
