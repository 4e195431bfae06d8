import { describe, expect, it } from "vitest";
import type { Viewer } from "../api/types.ts";
import { anInvitation, aViewer } from "../testing.ts";
import { invitees, isTroubled, latencyGrade, stallGrade } from "./people.ts";

const room = (...viewers: Viewer[]) => new Map(viewers.map((viewer) => [viewer.session, viewer]));

describe("invitees", () => {
  it("is invited until the code is used", () => {
    expect(invitees([anInvitation({})], room())).toMatchObject([{ state: "invited" }]);
  });

  it("follows the feed before the list knows", () => {
    const list = [anInvitation({ id: "inv_a", state: "created" })];
    expect(invitees(list, room(aViewer({ invitation: "inv_a" })))).toMatchObject([{ state: "watching" }]);
    expect(invitees(list, room(aViewer({ invitation: "inv_a", watching: false })))).toMatchObject([
      { state: "redeemed", at: "2026-11-20T18:01:00.000Z" },
    ]);
  });

  it("is watching when any of two sessions is", () => {
    const list = [anInvitation({ id: "inv_a", state: "redeemed" })];
    const viewers = room(
      aViewer({ session: "ses_old", invitation: "inv_a", watching: false }),
      aViewer({ session: "ses_new", invitation: "inv_a", watching: true }),
    );
    expect(invitees(list, viewers)).toMatchObject([{ state: "watching" }]);
  });

  it("stays revoked although the session is still on its way out", () => {
    const list = [anInvitation({ id: "inv_a", state: "revoked" })];
    expect(invitees(list, room(aViewer({ invitation: "inv_a" })))).toMatchObject([{ state: "revoked" }]);
  });
});

describe("trouble", () => {
  it("is three stalls or half a minute behind, of somebody who is watching", () => {
    expect(isTroubled(aViewer({ stalls: 2, latency_ms: 2_000 }))).toBe(false);
    expect(isTroubled(aViewer({ stalls: 3 }))).toBe(true);
    expect(isTroubled(aViewer({ latency_ms: 30_001 }))).toBe(true);
    expect(isTroubled(aViewer({ stalls: 9, watching: false }))).toBe(false);
    expect(isTroubled(aViewer({ stalls: null, latency_ms: null }))).toBe(false);
  });
});

describe("grades", () => {
  it("judges latency against what the mode promises", () => {
    expect(latencyGrade(2_500, "low")).toBe("good");
    expect(latencyGrade(2_500, "ultra")).toBe("warning");
    expect(latencyGrade(12_000, "low")).toBe("bad");
    expect(latencyGrade(12_000, "standard")).toBe("good");
  });

  it("forgives no stall and worries at three", () => {
    expect([0, 1, 2, 3].map(stallGrade)).toEqual(["good", "warning", "warning", "bad"]);
  });
});
