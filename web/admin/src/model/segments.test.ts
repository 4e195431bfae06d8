import { expect, test } from "vitest";
import { capacity, costly } from "./segments.ts";

test("letters of the 7-bit alphabet and its extension cost nothing extra", () => {
  expect(costly("Grüße an {name}: 5 € für Ñandú?")).toEqual(["ú"]);
  expect(costly("Hello [you] ~ {name}\n")).toEqual([]);
});

test("letters beyond it are named once, in the order of the text, and only the first ones", () => {
  expect(costly("Zoë’s “ëvening” 🎭")).toEqual(["ë", "’", "“", "”", "🎭"]);
  expect(costly("αβγδεζηθικλμν")).toHaveLength(8);
});

test("a text of several parts gives up room in each", () => {
  expect(capacity("gsm7", 1)).toBe(160);
  expect(capacity("gsm7", 3)).toBe(459);
  expect(capacity("ucs2", 1)).toBe(70);
  expect(capacity("ucs2", 2)).toBe(134);
});
