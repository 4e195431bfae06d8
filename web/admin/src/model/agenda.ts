/** The order of the list of events. Pure. */
import type { Event, StreamStatus } from "../api/types.ts";

export interface Entry {
  readonly event: Event;
  readonly stream: StreamStatus;
  readonly watching: number;
}

export interface Agenda {
  /** Live, then held for their encoder; the latest first. */
  readonly onAir: Entry[];
  /** Everything else: what comes next first, then what has no time, then what is over. */
  readonly rest: Entry[];
}

/** What the feed knows of an event; it is newer than what the list was told. */
export interface Live {
  readonly stream: StreamStatus | null;
  readonly watching: number;
}

export function agenda(events: readonly Event[], live: ReadonlyMap<string, Live>, now: number): Agenda {
  const entries = events.map((event): Entry => {
    const room = live.get(event.id);
    return room?.stream
      ? { event, stream: room.stream, watching: room.watching }
      : { event, stream: event.stream, watching: event.watching };
  });
  const onAir = entries
    .filter(isOnAir)
    .sort(
      (a, b) =>
        Number(b.stream.state === "live") - Number(a.stream.state === "live") ||
        (b.stream.since ?? "").localeCompare(a.stream.since ?? ""),
    );
  const rest = entries.filter((entry) => !isOnAir(entry)).sort((a, b) => compare(a, b, now));
  return { onAir, rest };
}

export function isOnAir({ stream }: Entry): boolean {
  return stream.state === "live" || stream.state === "away";
}

/** An hour late is still "next": organisers start when the room is ready. */
const LATE_MS = 60 * 60 * 1_000;

function rank({ event, stream }: Entry, now: number): 0 | 1 | 2 {
  if (stream.state === "ended") return 2;
  if (!event.starts_at) return 1;
  return Date.parse(event.starts_at) + LATE_MS >= now ? 0 : 2;
}

function compare(a: Entry, b: Entry, now: number): number {
  const byRank = rank(a, now) - rank(b, now);
  if (byRank !== 0) return byRank;
  if (rank(a, now) === 0) return (a.event.starts_at ?? "").localeCompare(b.event.starts_at ?? "");
  return b.event.created_at.localeCompare(a.event.created_at);
}
