import { describe, expect, it } from "vitest";
import { between, choose, chosenCount, everything, isChosen, nothing, prune } from "./selection.ts";

describe("a selection", () => {
  it("is empty at first, and takes and gives back rows", () => {
    expect(chosenCount(nothing, 10)).toBe(0);
    const two = choose(nothing, ["a", "b"], true);
    expect([isChosen(two, "a"), isChosen(two, "c"), chosenCount(two, 10)]).toEqual([true, false, 2]);
    const one = choose(two, ["a"], false);
    expect([isChosen(one, "a"), chosenCount(one, 10)]).toEqual([false, 1]);
    expect(chosenCount(two, 10)).toBe(2);
  });

  it("can be everything but a few, also of what is not loaded yet", () => {
    const most = choose(everything, ["b"], false);
    expect([isChosen(most, "a"), isChosen(most, "b"), chosenCount(most, 100_000)]).toEqual([
      true,
      false,
      99_999,
    ]);
    expect(chosenCount(choose(most, ["b"], true), 100_000)).toBe(100_000);
  });

  it("forgets rows that are gone, and is the same object when none is", () => {
    const two = choose(nothing, ["a", "b"], true);
    expect(prune(two, () => true)).toBe(two);
    const one = prune(two, (key) => key === "a");
    expect([isChosen(one, "a"), isChosen(one, "b")]).toEqual([true, false]);
    const most = prune(choose(everything, ["x"], false), () => false);
    expect(chosenCount(most, 5)).toBe(5);
  });

  it("reaches from the anchor to the row, in either direction", () => {
    const rows = ["a", "b", "c", "d"];
    expect(between(rows, "b", "d")).toEqual(["b", "c", "d"]);
    expect(between(rows, "d", "b")).toEqual(["b", "c", "d"]);
    expect(between(rows, null, "c")).toEqual(["c"]);
    expect(between(rows, "gone", "c")).toEqual(["c"]);
    expect(between(rows, "a", "gone")).toEqual([]);
  });
});
