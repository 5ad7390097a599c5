//! Networks and addresses, written as text: `10.0.0.0/8`, `10.1.2.3`, `2001:db8::/32`.

mod address;

#[cfg(test)]
mod tests;

use super::Family;
use super::function::{Definition, Kind, argument};
use address::Network;

/// The functions of networks.
pub(super) static FAMILY: Family = Family { title: "Networks", functions: FUNCTIONS };

static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "cidr_contains",
        aliases: &[],
        arguments: &[argument("network", Kind::Text), argument("inner", Kind::Text)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether every address of `inner`, a network or an address, is in `network`.",
        example: ("cidr_contains('10.0.0.0/8', '10.1.0.0/16')", "true"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| {
                let outer = Network::parse(arguments.text(0, row)?)?;
                Some(outer.contains(Network::parse(arguments.text(1, row)?)?))
            })
        },
    },
    Definition {
        name: "cidr_overlaps",
        aliases: &[],
        arguments: &[argument("one", Kind::Text), argument("other", Kind::Text)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether two networks have an address in common.",
        example: ("cidr_overlaps('10.0.0.0/8', '10.200.0.0/16')", "true"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| {
                let one = Network::parse(arguments.text(0, row)?)?;
                let other = Network::parse(arguments.text(1, row)?)?;
                Some(one.contains(other) || other.contains(one))
            })
        },
    },
    Definition {
        name: "cidr_is_everything",
        aliases: &[],
        arguments: &[argument("network", Kind::Text)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether a network is the whole internet: `0.0.0.0/0`, `::/0`, however it is written.",
        example: ("cidr_is_everything('0:0::0/0')", "true"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| Some(Network::parse(arguments.text(0, row)?)?.is_everything()))
        },
    },
    Definition {
        name: "ip_is_private",
        aliases: &[],
        arguments: &[argument("address", Kind::Text)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether an address, or every address of a network, is none of the internet: private (RFC 1918, \
                  fc00::/7), shared (100.64.0.0/10), loopback or link-local.",
        example: ("ip_is_private('172.16.0.9')", "true"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| Some(Network::parse(arguments.text(0, row)?)?.is_private()))
        },
    },
    Definition {
        name: "is_cidr",
        aliases: &[],
        arguments: &[argument("text", Kind::Text)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether a text is a network: an address, `/` and the number of its leading bits.",
        example: ("is_cidr('10.0.0.0/33')", "false"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| {
                let text = arguments.text(0, row)?;
                Some(text.contains('/') && Network::parse(text).is_some())
            })
        },
    },
    Definition {
        name: "is_ip",
        aliases: &[],
        arguments: &[argument("text", Kind::Text)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether a text is one address, of IPv4 or IPv6, without `/`.",
        example: ("is_ip('fe80::1')", "true"),
        evaluate: |arguments| {
            arguments.give_booleans(|row| {
                let text = arguments.text(0, row)?;
                Some(!text.contains('/') && Network::parse(text).is_some())
            })
        },
    },
    Definition {
        name: "host",
        aliases: &[],
        arguments: &[argument("network", Kind::Text)],
        repeats: false,
        result: Kind::Text,
        summary: "The address of a network, without its length.",
        example: ("host('10.1.2.3/24')", "10.1.2.3"),
        evaluate: |arguments| arguments.give_texts(|row| address::host(arguments.text(0, row)?)),
    },
    Definition {
        name: "masklen",
        aliases: &[],
        arguments: &[argument("network", Kind::Text)],
        repeats: false,
        result: Kind::Integer,
        summary: "The number of leading bits that the addresses of a network share.",
        example: ("masklen('10.0.0.0/8')", "8"),
        evaluate: |arguments| arguments.give_integers(|row| address::length(arguments.text(0, row)?)),
    },
];
