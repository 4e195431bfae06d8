import { describe, expect, it } from "vitest";
import {
  bodyOf,
  EXPORT_NAMED_MAX,
  exportName,
  exportOf,
  filterOf,
  isDead,
  isPlain,
  isUndoable,
  NAMED_MAX,
  queryOf,
  toggled,
} from "./invitations.ts";
import { choose, everything, nothing } from "./selection.ts";

describe("the filter in the address", () => {
  it("keeps what means something, in its own order", () => {
    expect(filterOf({ search: "ada", states: "revoked,sent,nonsense", tag: "press", blocked: true })).toEqual(
      {
        search: "ada",
        states: ["sent", "revoked"],
        tag: "press",
        blocked: true,
      },
    );
    expect(filterOf({ search: " ", states: "", language: 7, blocked: "yes" })).toEqual({});
    expect(filterOf({ states: ["failed"] })).toEqual({ states: ["failed"] });
    expect(isPlain(filterOf({}))).toBe(true);
  });

  it("turns states on and off", () => {
    expect(toggled(undefined, "failed")).toEqual(["failed"]);
    expect(toggled(["failed"], "sent")).toEqual(["sent", "failed"]);
    expect(toggled(["sent", "failed"], "sent")).toEqual(["failed"]);
  });

  it("is asked of the list", () => {
    const filter = filterOf({ search: " ada ", states: "sent,failed", language: "fr" });
    expect(queryOf(filter)).toEqual({ search: "ada", states: "sent,failed", languages: "fr" });
  });
});

describe("what is chosen", () => {
  it("is named one by one, or as all who match but some", () => {
    expect(bodyOf(choose(nothing, ["inv_a"], true), {})).toEqual({ ids: ["inv_a"] });
    expect(bodyOf(choose(everything, ["inv_a"], false), { states: ["sent"], tag: "press" })).toEqual({
      filter: { states: ["sent"], tags: ["press"] },
      except: ["inv_a"],
    });
  });

  it("is not sent when it is more than a request holds", () => {
    const many = Array.from({ length: NAMED_MAX + 1 }, (_, n) => `inv_${n}`);
    expect(bodyOf(choose(nothing, many, true), {})).toBeNull();
    expect(bodyOf(choose(everything, many, false), {})).toBeNull();
  });

  it("is put back only when that puts everybody where they were", () => {
    expect(isUndoable(3, 3)).toBe(true);
    expect(isUndoable(3, 2)).toBe(false);
    expect(isUndoable(0, 0)).toBe(false);
  });
});

it("calls dead whose code opens nothing", () => {
  expect(isDead({ state: "revoked", erased_at: null })).toBe(true);
  expect(isDead({ state: "created", erased_at: "2026-11-20T17:00:00Z" })).toBe(true);
  expect(isDead({ state: "expired", erased_at: null })).toBe(false);
});

describe("a list to take away", () => {
  it("has who is chosen, or who matches without those who are not", () => {
    const filter = filterOf({ search: " ada ", states: "sent,failed" });
    const some = choose(nothing, ["inv_a", "inv_b"], true);
    expect(exportOf(some, filter)).toEqual({ ids: "inv_a,inv_b" });
    expect(exportOf(nothing, filter), "nobody is not everybody").toEqual({ ids: "" });
    expect(exportOf(everything, {})).toEqual({});
    expect(exportOf(choose(everything, ["inv_a"], false), filter)).toEqual({
      search: "ada",
      states: "sent,failed",
      except: "inv_a",
    });
    const many = Array.from({ length: EXPORT_NAMED_MAX + 1 }, (_, at) => `inv_${at}`);
    expect(exportOf(choose(nothing, many, true), {})).toBeNull();
    expect(exportOf(choose(everything, many, false), {})).toBeNull();
  });

  it("is called after its event, in letters that every disk can write", () => {
    const day = new Date(2026, 0, 5);
    expect(exportName("Gala: “Été” 1/2", "xlsx", day)).toBe("Gala “Été” 1 2 invitees 2026-01-05.xlsx");
    expect(exportName("..\n?", "csv", day)).toBe("Event invitees 2026-01-05.csv");
  });
});
