import { describe, expect, it } from "vitest";
import { anEvent } from "../testing.ts";
import { body, check, choices, draftOf, newDraft } from "./event-form.ts";

describe("the event form", () => {
  it("needs a title and nothing else", () => {
    expect(check({ ...newDraft, title: "  " })).toEqual({ field: "title", kind: "missing" });
    expect(check({ ...newDraft, title: "Opening night" })).toBeNull();
  });

  it("counts letters, not code units", () => {
    expect(check({ ...newDraft, title: "🎭".repeat(200) })).toBeNull();
    expect(check({ ...newDraft, title: "🎭".repeat(201) })).toEqual({ field: "title", kind: "long" });
  });

  it("refuses a start that is no time", () => {
    expect(check({ ...newDraft, title: "x", starts: "soon" })).toEqual({ field: "starts", kind: "invalid" });
  });

  it("trims the title and leaves an empty start empty", () => {
    expect(body({ ...newDraft, title: "  Opening night " })).toEqual({
      title: "Opening night",
      latency: "low",
      starts_at: null,
      dvr_window_ms: 900_000,
      reconnect_window_ms: 60_000,
    });
  });

  it("brings a start through the reader's zone and back unharmed", () => {
    const event = anEvent({ starts_at: "2026-11-20T20:30:00.000Z" });
    expect(body(draftOf(event)).starts_at).toBe("2026-11-20T20:30:00.000Z");
  });

  it("offers the value an event already has", () => {
    expect(choices("dvr", 900_000)).toEqual([900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000]);
    expect(choices("reconnect", 90_000)).toEqual([30_000, 60_000, 90_000, 300_000, 600_000]);
  });
});
