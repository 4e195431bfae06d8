import { beforeAll, describe, expect, it, vi } from "vitest";
import { ApiError, networkError } from "../api/problem.ts";

let failureText: (error: unknown) => string;
let duration: (ms: number) => string;

beforeAll(async () => {
  // The words choose their language when they load.
  vi.stubGlobal("navigator", { languages: ["en-GB"] });
  ({ failureText } = await import("./failure.ts"));
  ({ duration } = await import("./words.ts"));
});

const answered = (status: number, over: { detail?: string; retryAfter?: number } = {}) =>
  new ApiError({
    status,
    code: "some_code",
    detail: over.detail ?? null,
    retryAfter: over.retryAfter ?? null,
    fields: {},
  });

describe("what went wrong, in words", () => {
  it("tells a lost network from a broken server", () => {
    expect(failureText(networkError(new TypeError("fetch failed")))).toMatch(/cannot be reached/);
    expect(failureText(answered(503))).toContain("some_code");
  });

  it("says how long to wait when the server does", () => {
    expect(failureText(answered(429, { retryAfter: 42 }))).toContain("42 seconds");
    expect(failureText(answered(429))).toMatch(/in a moment/);
  });

  it("lets the server speak where it knows better", () => {
    expect(failureText(answered(403, { detail: "Only owners may." }))).toBe("Only owners may.");
    expect(failureText(answered(422, { detail: "Too long." }))).toBe("Too long.");
  });

  it("has a sentence for what it has never seen", () => {
    expect(failureText(new Error("boom"))).not.toContain("boom");
    expect(failureText(undefined)).not.toBe("");
  });
});

describe("a span of time", () => {
  it.each([
    [0, "1 second"],
    [400, "1 second"],
    [42_000, "42 seconds"],
    [60_000, "1 minute"],
    [90_000, "90 seconds"],
    [300_000, "5 minutes"],
    [5_400_000, "90 minutes"],
    [3_600_000, "1 hour"],
    [14_400_000, "4 hours"],
  ])("%d ms is %s", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });
});
