import { describe, expect, it } from "vitest";
import type { Policy } from "../api/types.ts";
import { anEvent, aStream, aViewer, someCounters } from "../testing.ts";
import { encryptionOf, guardsOf, lacksMark, type Method, markOf, pagesOf } from "./protection.ts";

const plain = anEvent({}).policy;
const policy = (over: Partial<Policy["protection"]>): Policy => ({
  ...plain,
  protection: { ...plain.protection, ...over },
});
const room = (watching: number, answering: number, marked: number, silent: number) =>
  someCounters({ watching, pages: { answering, marked, silent } });

describe("whether pages answer", () => {
  it("says nothing that it does not know", () => {
    expect(pagesOf(policy({ guard: false }), room(3, 0, 0, 0)).kind).toBe("off");
    expect(pagesOf(policy({}), null).kind).toBe("unknown");
    expect(pagesOf(policy({}), someCounters({ watching: 3 })).kind).toBe("unknown");
    expect(pagesOf(policy({}), room(0, 0, 0, 0)).kind).toBe("nobody");
  });

  it("tells who is silent from who has only just come", () => {
    expect(pagesOf(policy({}), room(220, 213, 0, 6))).toEqual({
      kind: "some",
      tone: "warning",
      answering: 213,
      watching: 220,
      silent: 6,
      fresh: 1,
    });
    expect(pagesOf(policy({}), room(2, 1, 0, 0))).toMatchObject({ tone: "good", fresh: 1 });
  });

  it("never counts more pages than people", () => {
    // The figures of two looks, a moment apart.
    expect(pagesOf(policy({}), room(1, 2, 0, 1))).toMatchObject({ watching: 3, fresh: 0 });
  });
});

describe("whether the mark is drawn", () => {
  it("is off, not possible, or a number of pages", () => {
    expect(markOf(policy({}), room(3, 3, 0, 0)).kind).toBe("off");
    expect(markOf(policy({ watermark: true, guard: false }), room(3, 3, 0, 0)).kind).toBe("unguarded");
    const on = policy({ watermark: true });
    expect(markOf(on, null).kind).toBe("unknown");
    expect(markOf(on, room(3, 0, 0, 3)).kind).toBe("nobody");
    expect(markOf(on, room(3, 3, 3, 0))).toEqual({ kind: "some", tone: "good", marked: 3, answering: 3 });
    expect(markOf(on, room(3, 3, 2, 0)).tone).toBe("warning");
  });
});

describe("how it is encrypted", () => {
  const encrypted = (method: Method, key_period_s: number): Policy => ({
    ...plain,
    encryption: { method, key_period_s },
  });

  it("goes by what is on air", () => {
    const live = aStream({ encryption: { method: "aes-128", key_period_s: 10 } });
    expect(encryptionOf(encrypted("aes-128", 10), live).next).toBeNull();
    expect(encryptionOf(encrypted("cbcs", 10), live)).toMatchObject({
      now: { method: "aes-128" },
      next: { method: "cbcs" },
    });
    expect(encryptionOf(encrypted("aes-128", 20), live).next).toMatchObject({ period: 20 });
  });

  it("goes by the settings before anything is on air", () => {
    expect(encryptionOf(encrypted("cbcs", 10), aStream({ state: "idle", encryption: null }))).toMatchObject({
      now: { method: "cbcs" },
      next: null,
    });
  });

  it("has no period where nothing is encrypted", () => {
    const live = aStream({ encryption: { method: "off", key_period_s: 10 } });
    expect(encryptionOf(encrypted("off", 600), live).next).toBeNull();
  });
});

describe("the guards of one device", () => {
  it("are those that the event asks for", () => {
    const viewer = aViewer({ guards_missing: [] });
    expect(guardsOf(policy({ guard: false }), viewer)).toEqual([]);
    expect(guardsOf(policy({}), viewer).map(({ name }) => name)).toEqual(["api_patched", "watching"]);
    expect(guardsOf(policy({ watermark: true }), viewer)).toHaveLength(8);
  });

  it("stand, do not, cannot perhaps, or nobody knows", () => {
    const stands = (missing: string[] | null, name: string) =>
      guardsOf(policy({ watermark: true }), aViewer({ guards_missing: missing })).find(
        (guard) => guard.name === name,
      )?.stands;
    expect(stands([], "watermark_dom")).toBe(true);
    expect(stands(["watermark_dom"], "watermark_dom")).toBe(false);
    expect(stands(["watermark_pixels"], "watermark_pixels")).toBe("unsure");
    expect(stands(null, "watching")).toBeNull();
  });

  it("say whether a mark is on the picture", () => {
    expect(lacksMark(aViewer({ guards_missing: null }))).toBe(false);
    expect(lacksMark(aViewer({ guards_missing: ["watermark_occlusion", "watching"] }))).toBe(false);
    expect(lacksMark(aViewer({ guards_missing: ["watermark_hit"] }))).toBe(true);
  });
});
