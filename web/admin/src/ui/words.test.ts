import { beforeAll, describe, expect, it, vi } from "vitest";

let span: (ms: number) => string;
let left: (ms: number) => string;

beforeAll(async () => {
  // The words choose their language when they load.
  vi.stubGlobal("navigator", { languages: ["en-GB"] });
  ({ span } = await import("./words.ts"));
  const { t } = await import("../text.ts");
  left = (ms) => t("unit.left", { span: span(ms) });
});

describe("how long it still takes", () => {
  it.each([
    [9_660_000, "2 h 41 min left"],
    [2_460_000, "41 min left"],
    [7_200_000, "2 h left"],
    [90_000, "1 min 30 s left"],
    [400, "1 s left"],
    [200 * 3_600_000, "200 h left"],
  ])("%d ms is %s", (ms, words) => {
    expect(left(ms)).toBe(words);
  });

  it("says both units only when both say something", () => {
    expect(span(3_600_000)).toBe("1 h");
    expect(span(120_000)).toBe("2 min");
  });
});
