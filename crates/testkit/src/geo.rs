//! A writer of tiny MaxMind databases, so that tests have places of their own.
//!
//! # Source
//!
//! MaxMind DB file format 2.0 (<https://maxmind.github.io/MaxMind-DB/>): a binary search tree over the bits of an
//! address, a section of values, and metadata behind a marker. Records are 24 bits wide, which is enough for 16 million
//! nodes; values are maps, texts and numbers without pointers.

use std::net::IpAddr;

/// A database in the making.
#[derive(Debug)]
pub struct Database {
    nodes: Vec<[Slot; 2]>,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Nothing,
    Node(u32),
    Value(u32),
}

/// Where the places of [`Database::sample`] are.
pub mod sample {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    /// Lyon, France.
    pub const LYON: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    /// Berlin, Germany.
    pub const BERLIN: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    /// France, in no city that is known.
    pub const FRANCE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1));
    /// In no country that is known.
    pub const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
}

impl Default for Database {
    fn default() -> Self {
        Self { nodes: vec![[Slot::Nothing; 2]], data: Vec::new() }
    }
}

impl Database {
    /// Lyon, Berlin, somewhere in France, and this machine, which is in Lyon too.
    #[must_use]
    pub fn sample() -> Self {
        Self::default()
            .city_at("203.0.113.0", 24, ("FR", "France", "Lyon"), (45.76, 4.84))
            .city_at("127.0.0.0", 8, ("FR", "France", "Lyon"), (45.76, 4.84))
            .city_at("198.51.100.0", 24, ("DE", "Germany", "Berlin"), (52.52, 13.4))
            .country("2001:db8:f::", 48, "FR", "France")
    }

    /// Puts a city at a range of addresses.
    ///
    /// # Panics
    ///
    /// When `address` is none: this is for tests.
    #[must_use]
    pub fn city(mut self, address: &str, bits: u8, code: &str, country: &str, city: &str) -> Self {
        let value = self.value(map(&[("city", names(city)), ("country", country_map(code, country))]));
        self.insert(address, bits, value);
        self
    }

    /// Puts a city at a range of addresses, with its latitude and longitude.
    ///
    /// # Panics
    ///
    /// When `address` is none: this is for tests.
    #[must_use]
    pub fn city_at(
        mut self,
        address: &str,
        bits: u8,
        (code, country, city): (&str, &str, &str),
        (latitude, longitude): (f64, f64),
    ) -> Self {
        let location = map(&[("latitude", double(latitude)), ("longitude", double(longitude))]);
        let place = [("city", names(city)), ("country", country_map(code, country)), ("location", location)];
        let value = self.value(map(&place));
        self.insert(address, bits, value);
        self
    }

    /// Puts a country at a range of addresses.
    ///
    /// # Panics
    ///
    /// When `address` is none: this is for tests.
    #[must_use]
    pub fn country(mut self, address: &str, bits: u8, code: &str, country: &str) -> Self {
        let value = self.value(map(&[("country", country_map(code, country))]));
        self.insert(address, bits, value);
        self
    }

    /// The file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let count = u32::try_from(self.nodes.len()).expect("a test's tree is small");
        let mut file = Vec::new();
        for slot in self.nodes.iter().flatten() {
            let record = match *slot {
                Slot::Nothing => count,
                Slot::Node(node) => node,
                // Sixteen zero bytes lie between the tree and the values.
                Slot::Value(offset) => count + 16 + offset,
            };
            file.extend_from_slice(&record.to_be_bytes()[1..]);
        }
        file.extend_from_slice(&[0; 16]);
        file.extend_from_slice(&self.data);
        file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        file.extend(map(&[
            ("binary_format_major_version", number(5, 2)),
            ("binary_format_minor_version", number(5, 0)),
            ("build_epoch", number(9, 1_795_000_000)),
            ("database_type", text("Test-City")),
            ("description", map(&[("en", text("Places of tests"))])),
            ("ip_version", number(5, 6)),
            ("languages", array(&[text("en")])),
            ("node_count", number(6, u64::from(count))),
            ("record_size", number(5, 24)),
        ]));
        file
    }

    fn value(&mut self, bytes: Vec<u8>) -> u32 {
        let offset = u32::try_from(self.data.len()).expect("a test's values are few");
        self.data.extend(bytes);
        offset
    }

    fn insert(&mut self, address: &str, bits: u8, value: u32) {
        // IPv4 lives in the first 2^32 addresses of IPv6.
        let (address, bits) = match address.parse::<IpAddr>().expect("an address") {
            IpAddr::V4(address) => (u128::from(u32::from(address)), bits + 96),
            IpAddr::V6(address) => (u128::from(address), bits),
        };
        let mut node = 0;
        for depth in 0..bits {
            let side = usize::from(address >> (127 - depth) & 1 == 1);
            if depth + 1 == bits {
                self.nodes[node][side] = Slot::Value(value);
            } else if let Slot::Node(next) = self.nodes[node][side] {
                node = next as usize;
            } else {
                let next = self.nodes.len();
                self.nodes.push([Slot::Nothing; 2]);
                self.nodes[node][side] = Slot::Node(u32::try_from(next).expect("a test's tree is small"));
                node = next;
            }
        }
    }
}

fn country_map(code: &str, country: &str) -> Vec<u8> {
    map(&[("iso_code", text(code)), ("names", map(&[("en", text(country))]))])
}

fn names(name: &str) -> Vec<u8> {
    map(&[("names", map(&[("en", text(name))]))])
}

/// The head of a value: its type and its size. Types above seven have a byte of their own.
fn head(kind: u8, size: usize) -> Vec<u8> {
    assert!(size < 29, "a test's values are short");
    let size = u8::try_from(size).expect("it is below 29");
    if kind <= 7 { vec![kind << 5 | size] } else { vec![size, kind - 7] }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = head(2, text.len());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn number(kind: u8, value: u64) -> Vec<u8> {
    let all = value.to_be_bytes();
    let digits = &all[(value.leading_zeros() / 8) as usize..];
    let mut bytes = head(kind, digits.len());
    bytes.extend_from_slice(digits);
    bytes
}

fn double(value: f64) -> Vec<u8> {
    let mut bytes = head(3, 8);
    bytes.extend_from_slice(&value.to_be_bytes());
    bytes
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = head(7, entries.len());
    for (key, value) in entries {
        bytes.extend(text(key));
        bytes.extend_from_slice(value);
    }
    bytes
}

fn array(values: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = head(11, values.len());
    for value in values {
        bytes.extend_from_slice(value);
    }
    bytes
}
