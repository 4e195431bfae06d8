import { describe, expect, it } from "vitest";
import type { Incident } from "../api/types.ts";
import { open, severityOf, suspects } from "./incidents.ts";

const incident = (over: Partial<Incident>): Incident => ({
  id: "inc_a",
  kind: "code_guessing",
  severity: "warning",
  text: "Somebody guesses codes.",
  event: "evt_a",
  session: null,
  invitation: null,
  at: "2026-11-20T18:00:00.000Z",
  last_at: "2026-11-20T18:00:00.000Z",
  times: 1,
  acknowledged_at: null,
  ...over,
});

describe("incidents", () => {
  it("are shown while nobody has acknowledged them, the gravest first, then the latest", () => {
    const list = [
      incident({ id: "1", severity: "info" }),
      incident({ id: "2", severity: "critical" }),
      incident({ id: "3", last_at: "2026-11-20T18:05:00.000Z" }),
      incident({ id: "4" }),
      incident({ id: "5", severity: "critical", acknowledged_at: "2026-11-20T18:01:00.000Z" }),
    ];
    expect(open(list).map(({ id }) => id)).toEqual(["2", "3", "4", "1"]);
  });

  it("of a newer server's severity are warnings", () => {
    expect(severityOf({ severity: "catastrophic" })).toBe("warning");
  });

  it("mark whom they are about, by the gravest", () => {
    const marked = suspects([
      incident({ invitation: "inv_a", severity: "info" }),
      incident({ invitation: "inv_a", severity: "critical" }),
      incident({ invitation: "inv_b", acknowledged_at: "2026-11-20T18:01:00.000Z" }),
      incident({}),
    ]);
    expect([...marked]).toEqual([["inv_a", "critical"]]);
  });
});
