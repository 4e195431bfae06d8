import { describe, expect, it } from "vitest";
import type { StreamKey } from "../api/types.ts";
import { localInput } from "./event-form.ts";
import { checkLimits, limitsDraft, limitsOf } from "./limits.ts";
import { checkKey, isOver, keyChange, keyDraft, newKey, standing } from "./stream-key.ts";

const NOW = Date.parse("2026-11-21T20:00:00Z");
const KEY: StreamKey = {
  id: "key_1",
  hint: "****abcd",
  name: "Camera 2",
  networks: ["203.0.113.0/24"],
  limits: null,
  one_time: false,
  used_up: false,
  created_at: "2026-11-21T12:00:00Z",
  expires_at: null,
  stops_at: null,
  revoked_at: null,
  last_used_at: null,
  last_place: null,
  last_network: null,
};

describe("a stream key", () => {
  it("works, ends soon, or is over for one reason", () => {
    const of = (part: Partial<StreamKey>) => standing({ ...KEY, ...part }, NOW);
    expect(of({})).toBe("works");
    expect(of({ expires_at: "2026-11-21T20:30:01Z" })).toBe("works");
    expect(of({ expires_at: "2026-11-21T20:30:00Z" })).toBe("ending");
    expect(of({ expires_at: "2026-11-21T20:00:00Z" })).toBe("ended");
    expect(of({ used_up: true, expires_at: "2026-11-21T19:00:00Z" })).toBe("used_up");
    expect(of({ used_up: true, revoked_at: "2026-11-21T19:00:00Z" })).toBe("revoked");
    expect(isOver(KEY, NOW)).toBe(false);
    expect(isOver({ ...KEY, used_up: true }, NOW)).toBe(true);
  });

  it("is made of what was typed", () => {
    const draft = { ...keyDraft(), name: " Camera 3 ", oneTime: true, limited: true };
    expect(checkKey(draft, NOW)).toEqual({});
    expect(newKey(draft)).toEqual({
      name: "Camera 3",
      one_time: true,
      expires_at: null,
      networks: [],
      limits: { bitrate_kbps: 12_000, long_side: 1_920, short_side: 1_080, fps: 60 },
    });
    expect(newKey(keyDraft()).limits).toBeNull();
  });

  it("does not end in the past, and knows its slips", () => {
    const past = { ...keyDraft(), ends: localInput(new Date(NOW - 60_000)) };
    expect(checkKey(past, NOW)).toEqual({ expires_at: "past" });
    expect(checkKey({ ...keyDraft(), networks: ["here"] }, NOW)).toEqual({ networks: "network" });
    const wrong = { ...keyDraft(), limited: true, limits: { ...limitsDraft({}), fps: "0" } };
    expect(checkKey(wrong, NOW)).toEqual({ fps: "fps" });
    expect(checkKey({ ...wrong, limited: false }, NOW)).toEqual({});
  });

  it("keeps an end that nobody touched, also one that is over", () => {
    const ended = { ...KEY, expires_at: "2026-11-21T19:00:12.345Z" };
    const draft = keyDraft(ended);
    expect(checkKey(draft, NOW, ended.expires_at)).toEqual({});
    expect(keyChange(draft, ended)).not.toHaveProperty("expires_at");
    expect(keyChange({ ...draft, ends: "" }, ended)).toHaveProperty("expires_at", null);
  });
});

describe("limits", () => {
  it("have ranges, and the longer side first", () => {
    expect(checkLimits(limitsDraft({}))).toEqual({});
    expect(checkLimits({ bitrate: "99", longSide: "9000", shortSide: "15", fps: "481" })).toEqual({
      bitrate_kbps: "bitrate_kbps",
      long_side: "long_side",
      short_side: "short_side",
      fps: "fps",
    });
    expect(checkLimits({ ...limitsDraft({}), longSide: "720", shortSide: "1280" })).toEqual({
      short_side: "short_side",
    });
  });

  it("come back as they were", () => {
    const limits = { bitrate_kbps: 8_000, long_side: 1_280, short_side: 720, fps: 30 };
    expect(limitsOf(limitsDraft(limits))).toEqual(limits);
  });
});
