// A tiny database of places: this machine is in Lyon, another network in Berlin.
//
// MaxMind DB file format 2.0 (https://maxmind.github.io/MaxMind-DB/), as far as it takes: records of 24 bits, maps, texts
// and numbers without pointers.

/** Somebody who comes through a trusted proxy from here is in Berlin. */
export const BERLIN = "198.51.100.7";

const place = (code, country, city) => {
  const names = (name) => map({ names: map({ en: text(name) }) });
  return map({ city: names(city), country: map({ iso_code: text(code), names: map({ en: text(country) }) }) });
};

/** The bytes of a database of places. */
export const places = () =>
  database([
    { network: [127], value: place("FR", "France", "Lyon") },
    { network: [198, 51, 100], value: place("DE", "Germany", "Berlin") },
  ]);

function database(entries) {
  // A node is two records, one for each value of the next bit of an address: another node, or a place.
  const nodes = [[]];
  const data = [];
  for (const { network, value } of entries) {
    const at = Buffer.concat(data).length;
    data.push(value);
    // IPv4 lives in the first 2^32 addresses of IPv6.
    const way = [...Array(96).fill(0), ...network.flatMap((byte) => [...byte.toString(2).padStart(8, "0")].map(Number))];
    const last = way.pop();
    let node = nodes[0];
    for (const side of way) node = nodes[(node[side] ??= { node: nodes.push([]) - 1 }).node];
    node[last] = { at };
  }
  // Sixteen zero bytes lie between the tree and the values; whatever points behind the nodes by nothing is nowhere.
  const record = (slot) => slot?.node ?? nodes.length + (slot ? 16 + slot.at : 0);
  const tree = nodes.flatMap(([zero, one]) => [zero, one].map((slot) => number(record(slot), 3)));
  const metadata = map({
    binary_format_major_version: typed(5, number(2)),
    binary_format_minor_version: typed(5, Buffer.alloc(0)),
    build_epoch: typed(9, number(1_795_000_000)),
    database_type: text("Bench"),
    description: map({ en: text("Addresses of a benchmark") }),
    ip_version: typed(5, number(6)),
    languages: Buffer.concat([head(11, 1), text("en")]),
    node_count: typed(6, number(nodes.length)),
    record_size: typed(5, number(24)),
  });
  return Buffer.concat([...tree, Buffer.alloc(16), ...data, Buffer.from([0xab, 0xcd, 0xef]), Buffer.from("MaxMind.com"), metadata]);
}

/** The head of a value: its type and its size, below 29 here. Types above seven have a byte of their own. */
const head = (kind, size) => (kind <= 7 ? Buffer.from([(kind << 5) | size]) : Buffer.from([size, kind - 7]));
const typed = (kind, bytes) => Buffer.concat([head(kind, bytes.length), bytes]);
const text = (value) => typed(2, Buffer.from(value));

function map(entries) {
  const all = Object.entries(entries);
  return Buffer.concat([head(7, all.length), ...all.flatMap(([key, value]) => [text(key), value])]);
}

/** A number in as few bytes as it takes, or in so many. */
function number(value, length = Math.ceil(value.toString(16).length / 2)) {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return bytes;
}
