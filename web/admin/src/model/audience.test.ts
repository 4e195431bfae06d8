import { describe, expect, it } from "vitest";
import { audienceLine, mostOf, moved, zoomed } from "./audience.ts";

const iso = (seconds: number) => new Date(seconds * 1_000).toISOString();
const kept = (...samples: [number, number][]) => ({
  step_ms: 10_000,
  data: samples.map(([at, watching]) => ({ at: iso(at), watching })),
});

describe("the audience's line", () => {
  it("goes through what is kept, what was heard since, and ends now", () => {
    const live = [
      { at: 15_000, value: 99 },
      { at: 25_000, value: 7 },
    ];
    const line = audienceLine(kept([10, 5], [20, 6]), live, 30_000, 8, 0);
    expect(line).toEqual({ xs: [10, 20, 25, 30], ys: [5, 6, 7, 8] });
  });

  it("is zero where nothing was written", () => {
    const line = audienceLine(kept([10, 5], [20, 0], [600, 4]), [], 610_000, 4, 0);
    expect(line.xs).toEqual([10, 20, 20.001, 590, 600, 610]);
    expect(line.ys).toEqual([5, 0, 0, 0, 4, 4]);
  });

  it("says zero before the first sample of the time that is shown", () => {
    expect(audienceLine(kept([1_000, 5]), [], 1_001_000, 5, 0).ys).toEqual([0, 0, 5, 5]);
  });

  it("leaves out what is older than the time that is shown, and nonsense", () => {
    const odd = { step_ms: 10_000, data: [{ at: "never", watching: 3 }] };
    expect(audienceLine(odd, [], 10_000, 1, 0).ys).toEqual([1]);
    expect(audienceLine(kept([10, 5], [20, 6]), [], 21_000, 6, 15_000).xs).toEqual([20, 21]);
  });

  it("knows the most in a view, the first of equals", () => {
    const line = { xs: [1, 2, 3, 4], ys: [5, 9, 9, 20] };
    expect(mostOf(line, 0, 3)).toEqual({ at: 2_000, value: 9 });
    expect(mostOf({ xs: [1], ys: [0] }, 0, 9)).toBeNull();
  });
});

describe("the view", () => {
  const whole = [0, 1_000] as const;
  it("zooms around its middle, not closer than a minute and not beyond everything", () => {
    expect(zoomed([400, 600], 0.5, whole)).toEqual([450, 550]);
    expect(zoomed([490, 510], 0.5, whole)).toEqual([470, 530]);
    expect(zoomed([0, 600], 2, whole)).toEqual([0, 1_000]);
  });
  it("moves as far as there is something to see", () => {
    expect(moved([400, 600], 0.25, whole)).toEqual([450, 650]);
    expect(moved([0, 200], -1, whole)).toEqual([0, 200]);
    expect(moved([850, 950], 1, whole)).toEqual([900, 1_000]);
  });
});
