/** Invitees and viewers as the lists draw them, derived from the API's answers and the live room. Pure. */
import type { Invitation, Viewer } from "../api/types.ts";

export type InviteeState = "invited" | "watching" | "redeemed" | "revoked";

export interface Invitee {
  readonly id: string;
  readonly name: string;
  readonly state: InviteeState;
  /** The moment that belongs to the state: invited at, joined at, redeemed at (ISO 8601). */
  readonly at: string;
}

/**
 * Lays the live room over the list, which may be a moment older: whoever the feed shows has redeemed their
 * invitation, whatever the list still says. A revoked invitation stays revoked.
 */
export function invitees(list: readonly Invitation[], viewers: ReadonlyMap<string, Viewer>): Invitee[] {
  const present = new Map<string, Viewer>();
  for (const viewer of viewers.values()) {
    const other = present.get(viewer.invitation);
    if (!other || (viewer.watching && !other.watching)) present.set(viewer.invitation, viewer);
  }
  return list.map(({ id, name, state, created_at, redeemed_at }) => {
    const viewer = present.get(id);
    if (state === "revoked") return { id, name, state: "revoked", at: redeemed_at ?? created_at };
    if (viewer?.watching) return { id, name, state: "watching", at: viewer.joined_at };
    if (state === "redeemed" || viewer) {
      return { id, name, state: "redeemed", at: redeemed_at ?? viewer?.joined_at ?? created_at };
    }
    return { id, name, state: "invited", at: created_at };
  });
}

/** So that "zoe" finds "Zoë". */
export function fold(text: string): string {
  return text
    .normalize("NFD")
    .replace(/\p{Mn}/gu, "")
    .toLocaleLowerCase();
}

export type Grade = "good" | "warning" | "bad";

/** How a delay behind live feels, against what the event's latency mode promises. */
export function latencyGrade(latencyMs: number, mode: "ultra" | "low" | "standard"): Grade {
  const promised = { ultra: 1_500, low: 4_000, standard: 20_000 }[mode];
  if (latencyMs <= promised) return "good";
  return latencyMs <= promised * 2.5 ? "warning" : "bad";
}

export function stallGrade(stalls: number): Grade {
  if (stalls === 0) return "good";
  return stalls < 3 ? "warning" : "bad";
}

/** So many stops of the picture, or so far behind, and somebody should have a look. */
export function isTroubled({ watching, stalls, latency_ms }: Viewer): boolean {
  return watching && ((stalls ?? 0) >= 3 || (latency_ms ?? 0) > 30_000);
}
