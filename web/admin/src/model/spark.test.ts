import { describe, expect, it } from "vitest";
import { SPAN_MS, sparkPath } from "./spark.ts";

const at = (ago: number, value: number) => ({ at: SPAN_MS - ago, value });
const draw = (samples: { at: number; value: number }[]) => sparkPath(samples, SPAN_MS, 120, 32);

describe("the little line", () => {
  it("draws nothing from nothing, and nothing from one point", () => {
    expect(draw([])).toEqual({ line: "", area: "" });
    expect(draw([at(1_000, 5)])).toEqual({ line: "", area: "" });
  });

  it("puts the newest on the right and holds its value to the edge", () => {
    const { line, area } = draw([at(10_000, 10), at(5_000, 10)]);
    expect(line).toBe("M60 3.7H90V3.7H120");
    expect(area).toBe(`${line}V32H60Z`);
  });

  it("fills its width with what is known", () => {
    expect(draw([at(60_000, 10), at(30_000, 10)]).line).toBe("M0 3.7H60V3.7H120");
  });

  it("starts at zero, so that half is half as high", () => {
    const { line } = draw([at(60_000, 10), at(0, 5)]);
    const [high, half] = [...line.matchAll(/[ V]([\d.]+)/g)].map((match) => 31 - Number(match[1]));
    expect((half ?? 0) / (high ?? 1)).toBeCloseTo(0.5, 1);
  });

  it("lies flat on the floor when everything is zero", () => {
    expect(draw([at(60_000, 0), at(0, 0)]).line).toBe("M0 31H120V31H120");
  });

  it("leaves out what is older than its span but keeps the value that still held", () => {
    const { line } = draw([at(400_000, 99), at(200_000, 10), at(60_000, 10)]);
    expect(line.startsWith("M0 ")).toBe(true);
    expect(line.match(/V/g)).toHaveLength(1);
  });
});
