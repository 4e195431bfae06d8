/**
 * Stream keys: where one stands, and what the form about it reads and writes. Pure; `now` in ms since the epoch.
 *
 * The server's bounds are repeated here only so that a slip is shown at once; the server still decides.
 */
import type { PublishLimits, StreamKey } from "../api/types.ts";
import { localInput } from "./event-form.ts";
import { checkLimits, type LimitField, type LimitsDraft, limitsDraft, limitsOf } from "./limits.ts";
import { instant } from "./log.ts";
import { isNetwork } from "./policy-form.ts";
import { isPast } from "./time.ts";

/** Where a key stands: it works, it ends soon, or why it is over. */
export type KeyStanding = "works" | "ending" | "ended" | "used_up" | "revoked";

/** An end nearer than this is worth a word of its own: the server tells of it then, too. */
const SOON_MS = 30 * 60 * 1_000;

export function standing(key: StreamKey, now: number): KeyStanding {
  if (key.revoked_at) return "revoked";
  if (key.used_up) return "used_up";
  if (isPast(key.expires_at, now)) return "ended";
  return key.expires_at && Date.parse(key.expires_at) - now <= SOON_MS ? "ending" : "works";
}

export function isOver(key: StreamKey, now: number): boolean {
  return ["ended", "used_up", "revoked"].includes(standing(key, now));
}

export interface KeyDraft {
  readonly name: string;
  readonly oneTime: boolean;
  /** `2026-11-20T20:30` in the reader's own zone, or empty for no end. */
  readonly ends: string;
  readonly networks: readonly string[];
  /** Its own limits instead of the event's. */
  readonly limited: boolean;
  readonly limits: LimitsDraft;
}

export type KeyWrong = Partial<
  Record<"expires_at" | "networks" | LimitField, "past" | "network" | LimitField>
>;

/** Full HD at 60 pictures a second, with room above what is usually sent. */
const USUAL: PublishLimits = { bitrate_kbps: 12_000, long_side: 1_920, short_side: 1_080, fps: 60 };

/** The form about `key`, or about one that is to be made. */
export function keyDraft(key?: StreamKey): KeyDraft {
  return {
    name: key?.name ?? "",
    oneTime: key?.one_time ?? false,
    ends: key?.expires_at ? localInput(new Date(key.expires_at)) : "",
    networks: key?.networks ?? [],
    limited: Boolean(key?.limits),
    limits: limitsDraft(key?.limits ?? USUAL),
  };
}

/** `before` is the end that the key has: an end that is over and was not touched is no slip. */
export function checkKey(draft: KeyDraft, now: number, before?: string | null): KeyWrong {
  const wrong: KeyWrong = draft.limited ? checkLimits(draft.limits) : {};
  const touched = draft.ends !== (before ? localInput(new Date(before)) : "");
  const end = instant(draft.ends);
  if (touched && draft.ends !== "" && (end === undefined || isPast(end, now))) wrong.expires_at = "past";
  if (!draft.networks.every(isNetwork)) wrong.networks = "network";
  return wrong;
}

/** What the API takes for a key that is made; of a draft that passed `checkKey`. */
export function newKey(draft: KeyDraft) {
  return {
    name: draft.name.trim(),
    one_time: draft.oneTime,
    expires_at: instant(draft.ends) ?? null,
    networks: [...draft.networks],
    limits: draft.limited ? limitsOf(draft.limits) : null,
  };
}

/** What the API takes for a key that is changed: an end that was not touched stays to the millisecond. */
export function keyChange(draft: KeyDraft, before: StreamKey) {
  const { one_time: _, expires_at, ...rest } = newKey(draft);
  const touched = draft.ends !== (before.expires_at ? localInput(new Date(before.expires_at)) : "");
  return touched ? { ...rest, expires_at } : rest;
}
