import { describe, expect, it } from "vitest";
import { aViewer } from "../testing.ts";
import { isTroubled, latencyGrade, stallGrade } from "./people.ts";

describe("trouble", () => {
  it("is three stalls or half a minute behind, of somebody who is watching", () => {
    expect(isTroubled(aViewer({ stalls: 2, latency_ms: 2_000 }))).toBe(false);
    expect(isTroubled(aViewer({ stalls: 3 }))).toBe(true);
    expect(isTroubled(aViewer({ latency_ms: 30_001 }))).toBe(true);
    expect(isTroubled(aViewer({ stalls: 9, watching: false }))).toBe(false);
    expect(isTroubled(aViewer({ stalls: null, latency_ms: null }))).toBe(false);
  });
});

describe("grades", () => {
  it("judges latency against what the mode promises", () => {
    expect(latencyGrade(2_500, "low")).toBe("good");
    expect(latencyGrade(2_500, "ultra")).toBe("warning");
    expect(latencyGrade(12_000, "low")).toBe("bad");
    expect(latencyGrade(12_000, "standard")).toBe("good");
  });

  it("forgives no stall and worries at three", () => {
    expect([0, 1, 2, 3].map(stallGrade)).toEqual(["good", "warning", "warning", "bad"]);
  });
});
