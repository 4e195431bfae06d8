import { describe, expect, it } from "vitest";
import { anEvent, aStream } from "../testing.ts";
import { agenda } from "./agenda.ts";

const now = Date.parse("2026-11-20T18:00:00.000Z");
const idle = aStream({ state: "idle" });
const names = (entries: { event: { title: string } }[]) => entries.map(({ event }) => event.title);

describe("the agenda", () => {
  it("puts what is on air apart, live before away", () => {
    const { onAir, rest } = agenda(
      [
        anEvent({ id: "a", title: "old", stream: aStream({ since: "2026-11-20T17:00:00.000Z" }) }),
        anEvent({ id: "b", title: "idle", stream: idle }),
        anEvent({
          id: "c",
          title: "away",
          stream: aStream({ state: "away", since: "2026-11-20T17:30:00.000Z" }),
        }),
      ],
      new Map(),
      now,
    );
    expect(names(onAir)).toEqual(["old", "away"]);
    expect(names(rest)).toEqual(["idle"]);
  });

  it("then comes the soonest, then what has no time, then what is over", () => {
    const { rest } = agenda(
      [
        anEvent({
          id: "a",
          title: "over",
          stream: aStream({ state: "ended" }),
          starts_at: "2026-11-20T19:00:00.000Z",
        }),
        anEvent({ id: "b", title: "no time", stream: idle }),
        anEvent({ id: "c", title: "tomorrow", stream: idle, starts_at: "2026-11-21T18:00:00.000Z" }),
        anEvent({ id: "d", title: "a bit late", stream: idle, starts_at: "2026-11-20T17:40:00.000Z" }),
        anEvent({
          id: "e",
          title: "last week",
          stream: idle,
          starts_at: "2026-11-13T18:00:00.000Z",
          created_at: "2026-11-01T00:00:00.000Z",
        }),
      ],
      new Map(),
      now,
    );
    expect(names(rest)).toEqual(["a bit late", "tomorrow", "no time", "over", "last week"]);
  });

  it("believes the feed over the list", () => {
    const { onAir } = agenda(
      [anEvent({ id: "a", title: "just begun", stream: idle, watching: 0 })],
      new Map([["a", { stream: aStream({ state: "live" }), watching: 7 }]]),
      now,
    );
    expect(onAir).toMatchObject([{ watching: 7, stream: { state: "live" } }]);
  });

  it("keeps to the list until the feed has spoken", () => {
    const { onAir } = agenda(
      [anEvent({ id: "a", stream: aStream({ state: "live" }), watching: 3 })],
      new Map([["a", { stream: null, watching: 0 }]]),
      now,
    );
    expect(onAir[0]?.watching).toBe(3);
  });
});
