/**
 * A tiny MaxMind database, so that a test has places of its own: this machine is in Lyon, another network in Berlin.
 *
 * # Source
 *
 * MaxMind DB file format 2.0 (https://maxmind.github.io/MaxMind-DB/), as far as it takes: records of 24 bits, maps,
 * texts and numbers without pointers.
 */

import { writeFileSync } from "node:fs";

/** Somebody who comes through a trusted proxy from here is in Berlin. */
export const BERLIN = "198.51.100.7";

const PLACES = [
  { network: "127.0.0.0", bits: 8, code: "FR", country: "France", city: "Lyon" },
  { network: "198.51.100.0", bits: 24, code: "DE", country: "Germany", city: "Berlin" },
];

/** Writes the database to `path`. */
export function writePlaces(path: string): void {
  // A node is two records, one for each value of the next bit of an address. Below zero stands a place, counted from one.
  const nodes: [number | null, number | null][] = [[null, null]];
  const data: Buffer[] = [];
  const offsets: number[] = [];
  for (const { network, bits, code, country, city } of PLACES) {
    const names = (name: string) => map({ names: map({ en: text(name) }) });
    offsets.push(data.reduce((sum, part) => sum + part.length, 0));
    data.push(
      map({ city: names(city), country: map({ iso_code: text(code), names: map({ en: text(country) }) }) }),
    );
    // IPv4 lives in the first 2^32 addresses of IPv6.
    const address = network.split(".").flatMap((part) => [...Number(part).toString(2).padStart(8, "0")]);
    const way = [...Array(96).fill("0"), ...address].slice(0, 96 + bits).map(Number);
    let node = 0;
    for (const [depth, side] of way.entries()) {
      const record = nodes[node];
      if (record === undefined) throw new Error("no such node");
      if (depth === way.length - 1) {
        record[side] = -offsets.length;
        break;
      }
      let next = record[side] ?? null;
      if (next === null) {
        next = nodes.push([null, null]) - 1;
        record[side] = next;
      }
      node = next;
    }
  }
  const count = nodes.length;
  const record = (slot: number | null) => {
    // Sixteen zero bytes lie between the tree and the values.
    const value = slot === null ? count : slot < 0 ? count + 16 + (offsets[-slot - 1] ?? 0) : slot;
    return Buffer.from([value >> 16, (value >> 8) & 0xff, value & 0xff]);
  };
  const metadata = map({
    binary_format_major_version: number(5, 2),
    binary_format_minor_version: number(5, 0),
    build_epoch: number(9, 1_795_000_000),
    database_type: text("Test-City"),
    description: map({ en: text("Places of tests") }),
    ip_version: number(5, 6),
    languages: Buffer.concat([head(11, 1), text("en")]),
    node_count: number(6, count),
    record_size: number(5, 24),
  });
  const marker = Buffer.concat([Buffer.from([0xab, 0xcd, 0xef]), Buffer.from("MaxMind.com")]);
  const tree = nodes.flatMap((sides) => sides.map(record));
  writeFileSync(path, Buffer.concat([...tree, Buffer.alloc(16), ...data, marker, metadata]));
}

/** The head of a value: its type and its size. Types above seven have a byte of their own. */
function head(kind: number, size: number): Buffer {
  if (size >= 29) throw new Error("a test's values are short");
  return kind <= 7 ? Buffer.from([(kind << 5) | size]) : Buffer.from([size, kind - 7]);
}

function text(value: string): Buffer {
  return Buffer.concat([head(2, value.length), Buffer.from(value)]);
}

function number(kind: number, value: number): Buffer {
  const all = Buffer.alloc(8);
  all.writeBigUInt64BE(BigInt(value));
  const digits = all.subarray(all.findIndex((byte) => byte !== 0));
  return Buffer.concat([head(kind, digits.length), digits]);
}

function map(entries: Record<string, Buffer>): Buffer {
  const all = Object.entries(entries);
  return Buffer.concat([head(7, all.length), ...all.flatMap(([key, value]) => [text(key), value])]);
}
