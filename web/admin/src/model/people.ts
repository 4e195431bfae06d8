/** How people are found, and what their figures mean. Pure. */
import type { Viewer } from "../api/types.ts";

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
