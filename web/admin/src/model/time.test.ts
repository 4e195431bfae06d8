import { expect, it } from "vitest";
import { elapsed, isPast } from "./time.ts";

const now = Date.parse("2026-11-20T18:00:10.000Z");

it("measures what has passed and never goes below zero", () => {
  expect(elapsed("2026-11-20T18:00:00.000Z", now)).toBe(10_000);
  expect(elapsed("2026-11-20T18:00:11.000Z", now)).toBe(0);
  expect(elapsed(null, now)).toBe(0);
  expect(elapsed(undefined, now)).toBe(0);
});

it("takes no moment for a moment that never comes", () => {
  expect(isPast("2026-11-20T18:00:10.000Z", now)).toBe(true);
  expect(isPast("2026-11-20T18:00:11.000Z", now)).toBe(false);
  expect(isPast(null, now)).toBe(false);
});
