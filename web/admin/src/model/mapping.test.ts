import { describe, expect, it } from "vitest";
import { assign, fieldOf, problemOf, samplesOf, typeOf, XLSX } from "./mapping.ts";

describe("which column is what", () => {
  it("moves a field to the column it is given to", () => {
    expect(assign({ name: 0, phone: 1 }, 2, "phone")).toEqual({ name: 0, phone: 2 });
  });

  it("gives a column one use", () => {
    expect(assign({ name: 0, phone: 1 }, 1, "note")).toEqual({ name: 0, note: 1 });
    expect(assign({ name: 0, phone: 1 }, 1, null)).toEqual({ name: 0 });
    expect(fieldOf({ name: 0 }, 1)).toBeNull();
    expect(fieldOf({ name: 0 }, 0)).toBe("name");
  });

  it("keeps the second half of a name when something else changes", () => {
    expect(assign({ name: 0, family: 1, phone: 2 }, 3, "tags")).toEqual({
      name: 0,
      family: 1,
      phone: 2,
      tags: 3,
    });
    expect(fieldOf({ name: 0, family: 1 }, 1)).toBe("family");
  });

  it("needs names, and says when nobody could be written to", () => {
    expect(problemOf({ phone: 1 })).toBe("name");
    expect(problemOf({ name: 0 })).toBe("contact");
    expect(problemOf({ name: 0, email: 4 })).toBeNull();
  });

  it("shows what is in a column, without holes", () => {
    expect(samplesOf([["a", ""], ["", " b "], ["c"]], 1)).toEqual(["b"]);
    expect(samplesOf([["1"], ["2"], ["3"], ["4"]], 0)).toEqual(["1", "2", "3"]);
  });

  it("goes by the name, since browsers guess types badly", () => {
    expect(typeOf({ name: "Guests.XLSX", type: "" })).toBe(XLSX);
    expect(typeOf({ name: "guests.csv", type: "application/vnd.ms-excel" })).toBe("text/csv");
  });
});
