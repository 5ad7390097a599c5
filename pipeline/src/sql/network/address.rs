//! A network as numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses that share their leading bits. An address alone is a network of one. IPv4 addresses inside
/// IPv6 (`::ffff:10.0.0.1`) are IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    six: bool,
    /// The leading bits, from the highest; the others are 0.
    bits: u128,
    /// How many bits lead: up to 32, or 128 for IPv6.
    length: u8,
}

/// Networks whose addresses nobody on the internet reaches.
const PRIVATE: &[(IpAddr, u8)] = &[
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

impl Network {
    /// `ADDRESS` or `ADDRESS/LENGTH`; bits behind the length are ignored. `None` where it is neither.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = parts(text)?;
        Some(Self::new(address, length))
    }

    fn new(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(address) => Self::masked(false, u128::from(address.to_bits()) << 96, length),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(inner) if length >= 96 => Self::new(IpAddr::V4(inner), length - 96),
                _ => Self::masked(true, address.to_bits(), length),
            },
        }
    }

    fn masked(six: bool, bits: u128, length: u8) -> Self {
        Self { six, bits: bits & mask(length), length }
    }

    /// Whether every address of `inner` is one of this network.
    pub(super) fn contains(self, inner: Self) -> bool {
        self.six == inner.six && self.length <= inner.length && inner.bits & mask(self.length) == self.bits
    }

    /// Whether every address is in it.
    pub(super) fn is_everything(self) -> bool {
        self.length == 0
    }

    /// Whether no address of it is reached from the internet.
    pub(super) fn is_private(self) -> bool {
        PRIVATE.iter().any(|(address, length)| Self::new(*address, *length).contains(self))
    }
}

fn mask(length: u8) -> u128 {
    match length {
        0 => 0,
        length => u128::MAX << (128 - u32::from(length.min(128))),
    }
}

fn parts(text: &str) -> Option<(IpAddr, u8)> {
    let text = text.trim();
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        // A sign or leading zeros would be taken by `parse`.
        Some(digits) if !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok()?
        }
        Some(_) => return None,
        None => most,
    };
    (length <= most).then_some((address, length))
}

/// The address of a network, as text; the bits behind its length stay.
pub(super) fn host(text: &str) -> Option<String> {
    parts(text).map(|(address, _)| address.to_string())
}

/// The length of a network; that of its kind for an address.
pub(super) fn length(text: &str) -> Option<i64> {
    parts(text).map(|(_, length)| length.into())
}
