/** How long things take. Pure. */

/** A span in at most two units, the smaller left out when it says nothing. */
export interface Span {
  readonly hours: number;
  readonly minutes: number;
  readonly seconds: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/**
 * How long `ms` is, as exactly as a person wants to know: seconds under two minutes, minutes under ten hours,
 * hours beyond. Rounded up, so that it is not over before it said.
 */
export function spanOf(ms: number): Span {
  if (ms < 2 * MINUTE_MS) {
    const seconds = Math.max(1, Math.ceil(ms / 1_000));
    return { hours: 0, minutes: Math.floor(seconds / 60), seconds: seconds % 60 };
  }
  if (ms < 10 * HOUR_MS) {
    const minutes = Math.ceil(ms / MINUTE_MS);
    return { hours: Math.floor(minutes / 60), minutes: minutes % 60, seconds: 0 };
  }
  return { hours: Math.ceil(ms / HOUR_MS), minutes: 0, seconds: 0 };
}
