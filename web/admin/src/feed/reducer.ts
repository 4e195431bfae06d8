/**
 * What the control room knows about one event besides its rows (`viewers.ts`), as a pure function of the messages of
 * the organiser feed.
 *
 * A connection opens with a `snapshot` that replaces everything, or with `resumed`, after which exactly what was missed
 * follows; so a message lost with a dropped connection cannot leave a trace.
 * Nothing here reads a clock: `at` (milliseconds since the epoch) is an argument.
 */
import type { Counters, StreamStatus, Topic, Viewer, ViewerChange } from "../api/types.ts";

/** One message from `GET /api/v1/events/{event}/feed`. */
export type FeedMessage =
  | {
      type: "snapshot";
      seq: number;
      stream: StreamStatus;
      counters: Counters;
      viewers: Viewer[];
      more: boolean;
    }
  | { type: "rows"; viewers: Viewer[]; more: boolean }
  | { type: "resumed"; seq: number }
  | { type: "stream"; seq: number; stream: StreamStatus }
  | {
      type: "viewers";
      seq: number;
      joined: Viewer[];
      changed: ViewerChange[];
      left: string[];
      watching: number;
    }
  | { type: "counters"; seq: number; counters: Counters }
  | { type: "changed"; seq: number; topics: Topic[] }
  /** Nothing has changed, and the server is there; for the connection, which keeps it to itself. */
  | { type: "alive" };

/** How the connection is doing, in the words the page shows. */
export type Link =
  | { kind: "connecting" }
  | { kind: "open" }
  /** Lost since `since`; the next attempt happens at `retryAt` (both ms since the epoch). */
  | { kind: "lost"; since: number; retryAt: number };

/** One point of a short history, kept only while the page is open. */
export interface Sample {
  readonly at: number;
  readonly value: number;
}

export interface Room {
  readonly link: Link;
  /** `null` until the first snapshot. */
  readonly stream: StreamStatus | null;
  /** `null` until the first snapshot. */
  readonly counters: Counters | null;
  /** Everybody is there: a large snapshot comes in pieces. */
  readonly complete: boolean;
  /** People watching at this moment, counted by the server. */
  readonly watching: number;
  /** When the last message before a loss came; what a lost page says its numbers are from. */
  readonly freshAt: number | null;
  /** Grows by one whenever someone joins or leaves, so that lists beside the feed know to look again. */
  readonly turnover: number;
  readonly bitrate: readonly Sample[];
  readonly audience: readonly Sample[];
}

export type RoomEvent =
  | { type: "message"; message: FeedMessage; at: number }
  | { type: "connecting" }
  | { type: "open" }
  | { type: "lost"; at: number; retryAt: number; heardAt: number | null };

/** Points kept per history; about two minutes of one a second. */
export const HISTORY_MAX = 120;

export const emptyRoom: Room = {
  link: { kind: "connecting" },
  stream: null,
  counters: null,
  complete: false,
  watching: 0,
  freshAt: null,
  turnover: 0,
  bitrate: [],
  audience: [],
};

export function reduceRoom(room: Room, event: RoomEvent): Room {
  switch (event.type) {
    case "connecting":
      // A retry is still a lost connection to whoever looks: the banner stays until the feed heals it.
      return room.link.kind === "lost" ? room : { ...room, link: { kind: "connecting" } };
    case "open":
      return room;
    case "lost": {
      const since = room.link.kind === "lost" ? room.link.since : event.at;
      const freshAt = event.heardAt ?? room.freshAt;
      return { ...room, freshAt, link: { kind: "lost", since, retryAt: event.retryAt } };
    }
    case "message":
      return reduceMessage(room, event.message, event.at);
  }
}

function reduceMessage(room: Room, message: FeedMessage, at: number): Room {
  switch (message.type) {
    case "snapshot":
      return {
        link: { kind: "open" },
        stream: message.stream,
        counters: message.counters,
        complete: !message.more,
        watching: message.counters.watching,
        freshAt: at,
        turnover: room.turnover + 1,
        bitrate: extend(room.bitrate, at, bitrateOf(message.stream)),
        audience: extend(room.audience, at, message.counters.watching),
      };
    case "rows":
      return message.more || room.complete ? room : { ...room, complete: true };
    case "resumed":
      return { ...room, link: { kind: "open" } };
    case "stream":
      return {
        ...room,
        stream: message.stream,
        bitrate: extend(room.bitrate, at, bitrateOf(message.stream)),
      };
    case "viewers": {
      const moved = message.joined.length > 0 || message.left.length > 0;
      // Most messages are about rows alone: then nothing here is new, and nothing is drawn.
      if (!moved && message.watching === room.watching) return room;
      return { ...room, watching: message.watching, turnover: moved ? room.turnover + 1 : room.turnover };
    }
    case "counters": {
      const { watching } = message.counters;
      return { ...room, counters: message.counters, watching, audience: extend(room.audience, at, watching) };
    }
    default:
      // A newer server may say more than this page understands; what it does not know changes nothing.
      return room;
  }
}

/** The bits per second arriving now, video and audio together; 0 when nothing arrives. */
export function bitrateOf(stream: StreamStatus): number {
  if (stream.state !== "live") return 0;
  return (stream.video?.bitrate_bps ?? 0) + (stream.audio?.bitrate_bps ?? 0);
}

function extend(history: readonly Sample[], at: number, value: number): readonly Sample[] {
  return [...history, { at, value }].slice(-HISTORY_MAX);
}

/**
 * Reads one text message of the feed; `null` for anything that is not one, so that a strange frame is
 * skipped and the next snapshot still puts things right.
 */
export function parseFeedMessage(text: string): FeedMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(value)) return null;
  return understood(value) ? (value as unknown as FeedMessage) : null;
}

function understood(message: Record<string, unknown>): boolean {
  switch (message.type) {
    case "snapshot":
      return (
        isCount(message.seq) &&
        isRecord(message.stream) &&
        isRecord(message.counters) &&
        isCount(message.counters.watching) &&
        Array.isArray(message.viewers) &&
        typeof message.more === "boolean"
      );
    case "rows":
      return Array.isArray(message.viewers) && typeof message.more === "boolean";
    case "resumed":
      return isCount(message.seq);
    case "stream":
      return isCount(message.seq) && isRecord(message.stream);
    case "viewers":
      return (
        isCount(message.seq) &&
        isCount(message.watching) &&
        [message.joined, message.changed, message.left].every(Array.isArray)
      );
    case "counters":
      return isCount(message.seq) && isRecord(message.counters) && isCount(message.counters.watching);
    case "changed":
      return isCount(message.seq) && Array.isArray(message.topics);
    case "alive":
      return true;
    default:
      return false;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
