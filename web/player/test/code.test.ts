import { expect, test } from "vitest";
import { ServerClock } from "../src/model/clock.ts";
import { caretAfter, fromFragment, group, isComplete, normalise } from "../src/model/code.ts";

test("spacing, case and dashes of a typed or pasted code do not matter", () => {
  for (const text of ["abcd-efgh-jklm", " ABCD EFGH JKLM\n", "abcdefghjklm", "Ａbcd·efgh–jklm"]) {
    expect(normalise(text)).toBe("ABCDEFGHJKLM");
  }
});

test("a pasted link gives its code", () => {
  expect(normalise("https://house.example/e/evt_01#abcd-efgh-jklm ")).toBe("ABCDEFGHJKLM");
});

test("what is too long is cut, what is short is not complete", () => {
  expect(normalise("ABCDEFGHJKLMNPQR")).toHaveLength(12);
  expect(isComplete("ABCDEFGHJKL")).toBe(false);
});

test("a code is shown in groups of four while it is typed", () => {
  expect(["", "A", "ABCD", "ABCDE", "ABCDEFGHJKLM"].map(group)).toEqual([
    "",
    "A",
    "ABCD",
    "ABCD-E",
    "ABCD-EFGH-JKLM",
  ]);
});

test("the caret stays behind the same letter", () => {
  expect([0, 1, 4, 5, 8, 9, 12].map(caretAfter)).toEqual([0, 1, 4, 6, 9, 11, 14]);
});

test("only a fragment that is a code is taken as one", () => {
  expect(fromFragment("#abcd-efgh-jklm")).toBe("ABCDEFGHJKLM");
  expect(fromFragment("#main")).toBeNull();
  expect(fromFragment("#%E0%A4%A")).toBeNull();
  expect(fromFragment("#a-long-heading-of-some-document")).toBeNull();
});

test("a clock that is right is believed", () => {
  const clock = new ServerClock();
  clock.sample(10_000, 10_400, 10_450);
  expect(clock.offsetMs).toBe(0);
});

test("answers narrow the offset of a wrong clock to a fraction of a second", () => {
  const clock = new ServerClock();
  const offset = -7_300; // our clock is 7.3 s fast
  for (let now = 100_000; now < 106_000; now += 330) {
    clock.sample(Math.floor((now + offset) / 1000) * 1000, now - 15, now + 15);
  }
  expect(Math.abs(clock.offsetMs - offset)).toBeLessThan(120);
});

test("a clock that is set in the middle is noticed", () => {
  const clock = new ServerClock();
  clock.sample(100_000, 100_500, 100_510);
  clock.sample(3_700_000, 101_000, 101_010);
  expect(clock.offsetMs).toBeGreaterThan(3_590_000);
});
