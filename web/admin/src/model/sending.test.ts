import { describe, expect, it } from "vitest";
import { spanOf } from "./sending.ts";

describe("how long it takes", () => {
  it.each([
    [0, { hours: 0, minutes: 0, seconds: 1 }],
    [42_000, { hours: 0, minutes: 0, seconds: 42 }],
    [119_000, { hours: 0, minutes: 1, seconds: 59 }],
    [120_000, { hours: 0, minutes: 2, seconds: 0 }],
    [2_430_001, { hours: 0, minutes: 41, seconds: 0 }],
    [9_660_000, { hours: 2, minutes: 41, seconds: 0 }],
    [3_599_999, { hours: 1, minutes: 0, seconds: 0 }],
    [100 * 3_600_000 + 1, { hours: 101, minutes: 0, seconds: 0 }],
  ])("%d ms", (ms, span) => {
    expect(spanOf(ms)).toEqual(span);
  });
});
