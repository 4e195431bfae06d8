/**
 * Which protections an event has right now, and how they stand on one device. Pure: the pages turn the answers into words.
 *
 * What pages say about themselves is their own word; the server only counts it.
 */
import type { Counters, Policy, StreamStatus, Viewer } from "../api/types.ts";
import type { Tone } from "./health.ts";

/** Whether pages answer. */
export type Pages =
  | { kind: "off" | "unknown" | "nobody"; tone: "quiet" }
  | {
      kind: "some";
      tone: Tone;
      answering: number;
      /** Of so many who watch. */
      watching: number;
      silent: number;
      /** Came so recently that they have not been asked in vain yet. */
      fresh: number;
    };

/** Whether the personal mark is drawn. `unguarded`: it is wanted, and nothing keeps it there. */
export type Mark =
  | { kind: "off" | "unguarded" | "unknown" | "nobody"; tone: "quiet" }
  | { kind: "some"; tone: Tone; marked: number; answering: number };

export type Method = NonNullable<Policy["encryption"]["method"]>;

export interface Encrypted {
  readonly method: Method;
  /** Seconds for which one key is used. */
  readonly period: number;
}

/** How what is on air is encrypted, and how the next broadcast will be when that is something else. */
export interface Encryption {
  readonly now: Encrypted;
  readonly next: Encrypted | null;
}

export function pagesOf({ protection }: Policy, counters: Counters | null): Pages {
  if (protection.guard === false) return { kind: "off", tone: "quiet" };
  const pages = counters?.pages;
  if (!counters || !pages) return { kind: "unknown", tone: "quiet" };
  const { answering, silent } = pages;
  const watching = Math.max(counters.watching, answering + silent);
  if (watching === 0) return { kind: "nobody", tone: "quiet" };
  const tone = silent > 0 ? "warning" : "good";
  return { kind: "some", tone, answering, watching, silent, fresh: watching - answering - silent };
}

export function markOf({ protection }: Policy, counters: Counters | null): Mark {
  if (!protection.watermark) return { kind: "off", tone: "quiet" };
  if (protection.guard === false) return { kind: "unguarded", tone: "quiet" };
  const pages = counters?.pages;
  if (!pages) return { kind: "unknown", tone: "quiet" };
  const { answering, marked } = pages;
  if (answering === 0) return { kind: "nobody", tone: "quiet" };
  return { kind: "some", tone: marked < answering ? "warning" : "good", marked, answering };
}

export function encryptionOf({ encryption }: Policy, { encryption: running }: StreamStatus): Encryption {
  const planned: Encrypted = { method: encryption.method ?? "off", period: encryption.key_period_s ?? 10 };
  if (!running) return { now: planned, next: null };
  const now: Encrypted = { method: running.method as Method, period: running.key_period_s };
  const same = now.method === planned.method && (now.method === "off" || now.period === planned.period);
  return { now, next: same ? null : planned };
}

/** The guards of a page in the order in which they are shown; the names are the server's. */
export const GUARDS = [
  "watermark_dom",
  "watermark_style",
  "watermark_geometry",
  "watermark_hit",
  "watermark_occlusion",
  "watermark_pixels",
  "api_patched",
  "watching",
] as const;
export type GuardName = (typeof GUARDS)[number];

/** Without these a mark is not on the picture. The others of the mark are more than some browsers can tell. */
const MARK: readonly string[] = [
  "watermark_dom",
  "watermark_style",
  "watermark_geometry",
  "watermark_hit",
] satisfies GuardName[];
/** Not every browser can tell. */
const UNSURE: readonly string[] = ["watermark_occlusion", "watermark_pixels"] satisfies GuardName[];

export interface Guard {
  readonly name: GuardName;
  /** `null` while nobody knows. `unsure`: it does not stand, and perhaps cannot in that browser. */
  readonly stands: boolean | "unsure" | null;
}

/** The guards that the event asks for, as they stand on somebody's device. */
export function guardsOf({ protection }: Policy, { guards_missing: missing }: Viewer): Guard[] {
  if (protection.guard === false) return [];
  const asked = GUARDS.filter((name) => protection.watermark || !name.startsWith("watermark_"));
  return asked.map((name) => {
    if (missing == null) return { name, stands: null };
    if (!missing.includes(name)) return { name, stands: true };
    return { name, stands: UNSURE.includes(name) ? "unsure" : false };
  });
}

/** Whether the mark that the event wants is not on somebody's picture, as their page says. */
export function lacksMark({ guards_missing: missing }: Viewer): boolean {
  return missing?.some((name) => MARK.includes(name)) ?? false;
}
