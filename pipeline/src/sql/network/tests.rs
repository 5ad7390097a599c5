use proptest::prelude::*;

use super::address::{Network, host, length};

fn network(text: &str) -> Option<Network> {
    Network::parse(text)
}

#[test]
fn a_network_contains_what_begins_as_it_does() {
    for (outer, inner, expected) in [
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.1.2.3", false),
        ("10.0.0.0/8", "10.0.0.0/8", true),
        ("10.0.0.0/16", "10.0.0.0/8", false),
        ("0.0.0.0/0", "203.0.113.9/32", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db8:ffff::/48", true),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("::ffff:10.0.0.0/104", "10.1.2.3", true),
        ("10.1.2.3/8", "10.200.0.1", true),
    ] {
        let (outer, inner) = (network(outer).unwrap(), network(inner).unwrap());
        assert_eq!(outer.contains(inner), expected, "{outer:?} {inner:?}");
    }
}

#[test]
fn what_is_no_network_is_none() {
    for text in
        ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "a/8", "10.0.0.0/8/8"]
    {
        assert_eq!(network(text), None, "{text}");
    }
}

#[test]
fn private_is_what_the_internet_does_not_reach() {
    for (text, expected) in [
        ("10.0.0.1", true),
        ("172.31.255.255", true),
        ("172.32.0.0", false),
        ("192.168.0.0/16", true),
        ("192.0.0.0/8", false),
        ("100.64.0.1", true),
        ("127.0.0.1", true),
        ("169.254.169.254", true),
        ("8.8.8.8", false),
        ("fd00::1", true),
        ("fe80::1", true),
        ("::1", true),
        ("2001:db8::1", false),
        ("0.0.0.0/0", false),
        ("::ffff:10.0.0.1", true),
    ] {
        assert_eq!(network(text).unwrap().is_private(), expected, "{text}");
    }
}

#[test]
fn parts_of_a_network() {
    assert_eq!(host("10.1.2.3/24").as_deref(), Some("10.1.2.3"));
    assert_eq!(host("2001:DB8:0::1").as_deref(), Some("2001:db8::1"));
    assert_eq!((length("10.1.2.3"), length("::/0"), length("x")), (Some(32), Some(0), None));
}

fn any_network() -> impl Strategy<Value = Network> {
    // Few bits, so that networks do contain each other.
    (any::<bool>(), 0_u8..4, 0_u8..12).prop_map(|(six, first, length)| {
        let text = if six { format!("{first}000::/{length}") } else { format!("{}.0.0.0/{length}", first * 64) };
        Network::parse(&text).unwrap()
    })
}

proptest! {
    #[test]
    fn containing_is_transitive_and_antisymmetric(a in any_network(), b in any_network(), c in any_network()) {
        prop_assert!(a.contains(a));
        prop_assert!(!(a.contains(b) && b.contains(c)) || a.contains(c));
        prop_assert!(!(a.contains(b) && b.contains(a)) || a == b);
    }

    #[test]
    fn an_address_is_in_every_network_that_it_is_written_with(bits: u32, length in 0_u8..=32) {
        let address = std::net::Ipv4Addr::from_bits(bits);
        let outer = Network::parse(&format!("{address}/{length}")).unwrap();
        prop_assert!(outer.contains(Network::parse(&address.to_string()).unwrap()));
    }
}
