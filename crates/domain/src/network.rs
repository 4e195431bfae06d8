//! A range of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address with the number of its leading bits that matter: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network: write it like 10.0.0.0/8, 192.0.2.7 or fd00::/8")]
pub struct BadNetwork;

impl Network {
    /// Whether `address` lies in this range. An IPv4 address inside IPv6 (`::ffff:10.0.0.1`) counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                (u64::from(u32::from(own)) >> shift) == (u64::from(u32::from(other)) >> shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl Network {
    /// The range with the first `bits` of `address`; the rest of it is forgotten.
    fn around(address: IpAddr, v4_bits: u8, v6_bits: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let kept = u32::MAX.checked_shl(32 - u32::from(v4_bits)).unwrap_or(0);
                Self { address: IpAddr::V4((u32::from(address) & kept).into()), bits: v4_bits }
            }
            IpAddr::V6(address) => {
                let kept = u128::MAX.checked_shl(128 - u32::from(v6_bits)).unwrap_or(0);
                Self { address: IpAddr::V6((u128::from(address) & kept).into()), bits: v6_bits }
            }
        }
    }

    /// The block around an address, about what one provider gives out in one region: 16 bits of IPv4, 32 of IPv6. Names
    /// nobody's house.
    #[must_use]
    pub fn block(address: IpAddr) -> Self {
        Self::around(address, 16, 32)
    }

    /// What one customer of a provider gets: an IPv4 address, or an IPv6 network of 64 bits.
    #[must_use]
    pub fn customer(address: IpAddr) -> Self {
        Self::around(address, 32, 64)
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| BadNetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(BadNetwork) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Ranges that are nobody's on the public internet, as `(first, bits)`.
///
/// # Source
///
/// The IANA IPv4 special-purpose address registry (RFC 6890 and its updates). `168.63.129.16` is in no registry: it is
/// where the machines of one large cloud reach their host, and looks public.
const NOT_PUBLIC_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([168, 63, 129, 16], 32),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Ranges inside the global unicast addresses `2000::/3` that lead elsewhere: protocol assignments with Teredo
/// (`2001::/23`), documentation, and 6to4, which carries any IPv4 address.
const NOT_PUBLIC_V6: [(u128, u32); 4] =
    [(0x2001_u128 << 112, 23), (0x2001_0db8_u128 << 96, 32), (0x2002_u128 << 112, 16), (0x3fff_u128 << 112, 20)];

/// Whether `address` is one that everybody on the internet reaches: not this machine, not a neighbour, not the host's
/// metadata, not a group, not an address that carries another one (mapped, NAT64, 6to4, Teredo).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            !NOT_PUBLIC_V4.iter().any(|(first, length)| (bits ^ u32::from_be_bytes(*first)).leading_zeros() >= *length)
        }
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            // Only 2000::/3 was ever given out; everything else is special or nothing.
            bits >> 125 == 1 && !NOT_PUBLIC_V6.iter().any(|(first, length)| (bits ^ first).leading_zeros() >= *length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/-1", "localhost"] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork), "{text}");
        }
    }

    #[test]
    fn a_block_keeps_only_the_first_bits_of_an_address() {
        for (address, block, customer) in [
            ("203.0.113.9", "203.0.0.0/16", "203.0.113.9/32"),
            ("::ffff:203.0.113.9", "203.0.0.0/16", "203.0.113.9/32"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8::/32", "2001:db8:1:2::/64"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Network::block(address).to_string(), block);
            assert_eq!(Network::customer(address).to_string(), customer);
            assert!(Network::block(address).contains(address));
        }
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "2001:200::1",
            "3ffe::1",
            "2003::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for hidden in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:10.0.0.1",
            "::8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:0808:0808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(hidden.parse().unwrap()), "{hidden}");
        }
    }
}
