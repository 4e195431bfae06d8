/**
 * What the control room knows about one event, as a pure function of the messages of the organiser feed.
 *
 * A connection always opens with a `snapshot` that replaces everything, so a message lost with a dropped
 * connection cannot leave a trace. Everything after the snapshot is a difference.
 * Nothing here reads a clock: `at` (milliseconds since the epoch) is an argument.
 */
import type { StreamStatus, Viewer } from "../api/types.ts";

/** One message from `GET /api/v1/events/{event}/feed`. */
export type FeedMessage =
  | { type: "snapshot"; stream: StreamStatus; viewers: Viewer[]; watching: number }
  | { type: "stream"; stream: StreamStatus }
  | { type: "viewers"; joined: Viewer[]; changed: Viewer[]; left: string[]; watching: number };

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
  /** Sessions with a right to watch, by session id. */
  readonly viewers: ReadonlyMap<string, Viewer>;
  /** People watching at this moment, counted by the server. */
  readonly watching: number;
  /** When the last message came; what a lost page says its numbers are from. */
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
  | { type: "lost"; at: number; retryAt: number };

/** Points kept per history; the feed sends at most one a second, so this is about two minutes. */
export const HISTORY_MAX = 120;

export const emptyRoom: Room = {
  link: { kind: "connecting" },
  stream: null,
  viewers: new Map(),
  watching: 0,
  freshAt: null,
  turnover: 0,
  bitrate: [],
  audience: [],
};

export function reduceRoom(room: Room, event: RoomEvent): Room {
  switch (event.type) {
    case "connecting":
      // A retry is still a lost connection to whoever looks: the banner stays until a snapshot heals it.
      return room.link.kind === "lost" ? room : { ...room, link: { kind: "connecting" } };
    case "open":
      return room;
    case "lost": {
      const since = room.link.kind === "lost" ? room.link.since : event.at;
      return { ...room, link: { kind: "lost", since, retryAt: event.retryAt } };
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
        viewers: new Map(message.viewers.map((viewer) => [viewer.session, viewer])),
        watching: message.watching,
        freshAt: at,
        turnover: room.turnover + 1,
        bitrate: extend(room.bitrate, at, bitrateOf(message.stream)),
        audience: extend(room.audience, at, message.watching),
      };
    case "stream":
      return {
        ...room,
        stream: message.stream,
        freshAt: at,
        bitrate: extend(room.bitrate, at, bitrateOf(message.stream)),
      };
    case "viewers": {
      const viewers = new Map(room.viewers);
      for (const viewer of message.joined) viewers.set(viewer.session, viewer);
      for (const viewer of message.changed) viewers.set(viewer.session, viewer);
      for (const session of message.left) viewers.delete(session);
      const moved = message.joined.length > 0 || message.left.length > 0;
      return {
        ...room,
        viewers,
        watching: message.watching,
        freshAt: at,
        turnover: moved ? room.turnover + 1 : room.turnover,
        audience: extend(room.audience, at, message.watching),
      };
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
  if (typeof value !== "object" || value === null || !("type" in value)) return null;
  const message = value as Record<string, unknown>;
  switch (message.type) {
    case "snapshot":
      return isRecord(message.stream) && Array.isArray(message.viewers) && isCount(message.watching)
        ? (message as FeedMessage)
        : null;
    case "stream":
      return isRecord(message.stream) ? (message as FeedMessage) : null;
    case "viewers":
      return isCount(message.watching) && [message.joined, message.changed, message.left].every(Array.isArray)
        ? (message as FeedMessage)
        : null;
    default:
      return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
