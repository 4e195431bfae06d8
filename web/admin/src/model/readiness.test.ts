import { describe, expect, it } from "vitest";
import { anEvent, aStream } from "../testing.ts";
import { type Known, readiness, readyCount } from "./readiness.ts";

const policy = anEvent({}).policy;
const known = (over: Partial<Known>): Known => ({
  event: anEvent({}),
  unsent: null,
  failed: null,
  gateway: null,
  places: null,
  ...over,
});
const verdicts = (over: Partial<Known>) =>
  Object.fromEntries(readiness(known(over)).map(({ check, verdict }) => [check, verdict]));

describe("what an event still needs", () => {
  it("of a new event is nearly everything, and nothing that cannot be known", () => {
    expect(verdicts({})).toEqual({ time: "warn", people: "todo", encoder: "todo", watched: "warn" });
  });

  it("of a prepared event is nothing", () => {
    const event = anEvent({
      starts_at: "2026-11-22T20:00:00Z",
      invited: 40,
      redeemed: 1,
      stream: aStream({ state: "live" }),
      policy: {
        ...policy,
        access: { countries: ["FR"], unknown_country: "deny", networks: [] },
        admission: { capacity: 50, per_second: null },
        encryption: { method: "aes-128", key_period_s: 10 },
      },
    });
    const list = readiness({ event, unsent: 0, failed: 0, gateway: "provider", places: true });
    expect(readyCount(list)).toBe(list.length);
    expect(list.map(({ check }) => check)).toEqual([
      "time",
      "people",
      "gateway",
      "codes",
      "places",
      "room_size",
      "encryption",
      "encoder",
      "watched",
    ]);
  });

  it("says when a list of countries keeps everybody out", () => {
    const event = anEvent({
      policy: { ...policy, access: { countries: ["FR"], unknown_country: "deny", networks: [] } },
    });
    expect(verdicts({ event, places: false })).toMatchObject({ places: "todo" });
    const open = anEvent({
      policy: { ...policy, access: { countries: ["FR"], unknown_country: "allow", networks: [] } },
    });
    expect(verdicts({ event: open, places: false })).toMatchObject({ places: "warn" });
  });

  it("says when not every device can decrypt", () => {
    const event = anEvent({ policy: { ...policy, encryption: { method: "cbcs", key_period_s: 10 } } });
    expect(verdicts({ event })).toMatchObject({ encryption: "warn" });
  });

  it("says when not everybody fits, and when codes were not sent or did not arrive", () => {
    const event = anEvent({
      invited: 400,
      policy: { ...policy, admission: { capacity: 100, per_second: null } },
    });
    expect(verdicts({ event, unsent: 3, failed: 2 })).toMatchObject({
      room_size: "warn",
      codes: "todo",
      delivered: "warn",
    });
  });

  it("says when late codes would wait for the morning", () => {
    const quiet_hours = { from_minute: 1_320, to_minute: 480, utc_offset_minutes: 0 };
    const event = anEvent({
      invited: 4,
      starts_at: "2026-11-22T23:30:00Z",
      policy: { ...policy, messages: { ...policy.messages, quiet_hours } },
    });
    expect(verdicts({ event, unsent: 4 })).toMatchObject({ quiet: "warn" });
    expect(verdicts({ event, unsent: 0 }).quiet).toBeUndefined();
    expect(
      verdicts({ event: { ...event, starts_at: "2026-11-22T20:00:00Z" }, unsent: 4 }).quiet,
    ).toBeUndefined();
  });
});
