/** What an event still needs before its audience comes. Pure. */
import type { Event } from "../api/types.ts";

export type Check =
  | "time"
  | "encoder"
  | "people"
  | "codes"
  | "delivered"
  | "gateway"
  | "places"
  | "room_size"
  | "quiet"
  | "encryption"
  | "watched";

/** `todo` stops people from seeing the event; `warn` may be meant. */
export type Verdict = "done" | "todo" | "warn";

export interface Ready {
  readonly check: Check;
  readonly verdict: Verdict;
  /** A figure the sentence wants. */
  readonly n: number;
}

export interface Known {
  readonly event: Event;
  /** Invitations whose code nobody was sent yet; `null` while nobody knows. */
  readonly unsent: number | null;
  /** Whose message did not arrive. */
  readonly failed: number | null;
  /** Whether text messages leave the server. */
  readonly gateway: "outbox" | "provider" | null;
  /** Whether the server knows where addresses are. */
  readonly places: boolean | null;
}

/** Messages longer than this before the start are still on time. */
const HOUR_MS = 3_600_000;

/** The list in the order things are done. What cannot be known, or does not matter to this event, is not in it. */
export function readiness({ event, unsent, failed, gateway, places }: Known): Ready[] {
  const { policy, invited, redeemed, stream } = event;
  const list: Ready[] = [];
  const say = (check: Check, verdict: Verdict, n = 0) => list.push({ check, verdict, n });

  say("time", event.starts_at ? "done" : "warn");
  say("people", invited > 0 ? "done" : "todo", invited);
  if (gateway !== null) say("gateway", gateway === "provider" ? "done" : "warn");
  if (unsent !== null && invited > 0) say("codes", unsent === 0 ? "done" : "todo", unsent);
  if (failed !== null && failed > 0) say("delivered", "warn", failed);

  const countries = policy.access.countries?.length ?? 0;
  if (countries > 0 && places !== null) {
    const open = policy.access.unknown_country === "allow";
    say("places", places ? "done" : open ? "warn" : "todo", countries);
  }
  const capacity = policy.admission.capacity ?? null;
  if (capacity !== null && invited > 0) say("room_size", capacity >= invited ? "done" : "warn", capacity);
  if (event.starts_at && unsent !== null && unsent > 0 && startsInQuiet(event)) say("quiet", "warn");

  const method = policy.encryption.method ?? "off";
  if (method !== "off") say("encryption", method === "cbcs" ? "warn" : "done");
  say("encoder", stream.state === "idle" ? "todo" : "done");
  say("watched", redeemed > 0 ? "done" : "warn", redeemed);
  return list;
}

/** Whether codes that are sent in the last hour before the start would wait for the morning. */
function startsInQuiet(event: Event): boolean {
  const quiet = event.policy.messages.quiet_hours;
  if (!quiet || !event.starts_at) return false;
  const at = Date.parse(event.starts_at) - HOUR_MS;
  const minute = (((Math.floor(at / 60_000) + quiet.utc_offset_minutes) % 1_440) + 1_440) % 1_440;
  const { from_minute: from, to_minute: to } = quiet;
  return from <= to ? minute >= from && minute < to : minute >= from || minute < to;
}

/** How many of the list are as they should be. */
export function readyCount(list: readonly Ready[]): number {
  return list.filter(({ verdict }) => verdict === "done").length;
}
