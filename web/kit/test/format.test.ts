import { expect, test } from "vitest";
import * as format from "../src/format.ts";

test("bit rates change unit where a person would", () => {
  expect([640_000, 999_400, 999_600, 2_649_000].map((bps) => format.bitrate("en", bps))).toEqual([
    "640 kb/s",
    "999 kb/s",
    "1.0 Mb/s",
    "2.6 Mb/s",
  ]);
});

test("bytes use powers of ten", () => {
  expect([12, 1500, 3_140_000].map((n) => format.bytes("en", n))).toEqual(["12 B", "2 kB", "3.1 MB"]);
});

test("a clock shows hours only when there are some and is never negative", () => {
  expect([-5, 4_100, 65_000, 3_729_000].map(format.clock)).toEqual(["0:00", "0:05", "1:05", "1:02:09"]);
});

test("a moment names its day only when that is not today, in the reader's zone", () => {
  const now = new Date("2026-11-21T10:00:00Z");
  expect(format.moment("en-GB", new Date("2026-11-21T19:30:00Z"), now, "Europe/Paris")).toBe("20:30");
  expect(format.moment("en-GB", new Date("2026-11-21T23:30:00Z"), now, "Europe/Paris")).toMatch(
    /Sun.*22 Nov.*0:30/,
  );
});

test("relative time uses the largest unit that fits", () => {
  const now = new Date("2026-11-21T10:00:00Z");
  expect(format.relative("en", new Date("2026-11-21T10:05:00Z"), now)).toBe("in 5 minutes");
  expect(format.relative("en", new Date("2026-11-20T10:00:00Z"), now)).toBe("yesterday");
});
