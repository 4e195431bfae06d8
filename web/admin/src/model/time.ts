/** Moments of the API (ISO 8601) against the clock. Pure; `now` in ms since the epoch. */

/** Milliseconds since then; 0 for a moment that is unknown or, with clocks apart, still to come. */
export function elapsed(since: string | null | undefined, now: number): number {
  return since ? Math.max(0, now - Date.parse(since)) : 0;
}

export function isPast(moment: string | null | undefined, now: number): boolean {
  return moment ? Date.parse(moment) <= now : false;
}
