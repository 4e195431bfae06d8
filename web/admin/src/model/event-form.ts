/** What the event form reads and writes. Pure. */
import type { Event, Latency, NewEvent } from "../api/types.ts";

export interface Draft {
  readonly title: string;
  /** As `<input type="datetime-local">` writes it: `2026-11-20T20:30`, in the reader's own zone; or empty. */
  readonly starts: string;
  readonly latency: Latency;
  readonly dvrWindowMs: number;
  readonly reconnectWindowMs: number;
}

export type DraftError = { field: "title"; kind: "missing" | "long" } | { field: "starts"; kind: "invalid" };

/** The server's own bound. */
export const TITLE_CHARS_MAX = 200;

const MINUTE_MS = 60_000;
const DVR_MS = [15, 30, 60, 120, 240].map((minutes) => minutes * MINUTE_MS);
const RECONNECT_MS = [0.5, 1, 5, 10].map((minutes) => minutes * MINUTE_MS);

/** The offered choices, with the event's own value among them when a program has set another. */
export function choices(kind: "dvr" | "reconnect", current: number): number[] {
  const offered = kind === "dvr" ? DVR_MS : RECONNECT_MS;
  return offered.includes(current) ? offered : [...offered, current].sort((a, b) => a - b);
}

export const newDraft: Draft = {
  title: "",
  starts: "",
  latency: "low",
  dvrWindowMs: 15 * MINUTE_MS,
  reconnectWindowMs: MINUTE_MS,
};

export function draftOf(event: Event): Draft {
  return {
    title: event.title,
    starts: event.starts_at ? localInput(new Date(event.starts_at)) : "",
    latency: event.latency,
    dvrWindowMs: event.dvr_window_ms,
    reconnectWindowMs: event.reconnect_window_ms,
  };
}

export function check(draft: Draft): DraftError | null {
  const title = draft.title.trim();
  if (title === "") return { field: "title", kind: "missing" };
  if ([...title].length > TITLE_CHARS_MAX) return { field: "title", kind: "long" };
  if (draft.starts !== "" && Number.isNaN(Date.parse(draft.starts)))
    return { field: "starts", kind: "invalid" };
  return null;
}

/** The body of the request; of a draft that passed `check`. */
export function body(draft: Draft): NewEvent & { starts_at: string | null } {
  return {
    title: draft.title.trim(),
    latency: draft.latency,
    starts_at: draft.starts === "" ? null : new Date(draft.starts).toISOString(),
    dvr_window_ms: draft.dvrWindowMs,
    reconnect_window_ms: draft.reconnectWindowMs,
  };
}

/** A moment as the local date and time that an input wants. */
export function localInput(at: Date): string {
  const pad = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}T${pad(at.getHours())}:${pad(at.getMinutes())}`;
}
