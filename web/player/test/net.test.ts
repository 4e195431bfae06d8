import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { Backoff } from "../src/backoff.ts";
import { prove } from "../src/net/proof.ts";
import { leadingZeros, sha256 } from "../src/net/sha256.ts";

const hex = (words: Uint32Array) => [...words].map((word) => word.toString(16).padStart(8, "0")).join("");

test("our SHA-256 agrees with Node's for every length around the block borders", () => {
  for (let length = 0; length < 200; length += 1) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + length) & 255);
    expect(hex(sha256(bytes))).toBe(createHash("sha256").update(bytes).digest("hex"));
  }
});

test("leading zeros are counted over word borders", () => {
  expect(leadingZeros(Uint32Array.of(0x80000000, 0))).toBe(0);
  expect(leadingZeros(Uint32Array.of(0x00000001, 0))).toBe(31);
  expect(leadingZeros(Uint32Array.of(0, 0x10000000))).toBe(35);
});

test("a proof has the zero bits asked for", () => {
  const nonce = prove({ challenge: "evt_1.2026", bits: 12 });
  const digest = createHash("sha256").update(`evt_1.2026:${nonce}`).digest();
  expect(digest.readUInt32BE(0) >>> 20).toBe(0);
});

test("waits double up to the cap, forever", () => {
  const backoff = new Backoff(500, 8_000, () => 0);
  expect(Array.from({ length: 7 }, () => backoff.next())).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000]);
  backoff.reset();
  expect(backoff.next()).toBe(500);
});

test("waits are spread by up to a quarter", () => {
  expect(new Backoff(1000, 8000, () => 0.999).next()).toBeGreaterThanOrEqual(750);
});
