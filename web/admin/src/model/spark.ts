/** The shape of a short history. Pure. */
import type { Sample } from "../feed/reducer.ts";

/** How far back the line goes at most. */
export const SPAN_MS = 120_000;
/** A page just opened does not stretch its first seconds further than this. */
const SPAN_MIN_MS = 20_000;

/**
 * SVG paths of what is known of the last two minutes, drawn from zero so that its height is honest: the newest
 * on the right. Empty with fewer than two samples in view.
 */
export function sparkPath(
  samples: readonly Sample[],
  now: number,
  width: number,
  height: number,
): { line: string; area: string } {
  const known = now - (samples[0]?.at ?? now);
  const span = Math.min(SPAN_MS, Math.max(SPAN_MIN_MS, known));
  const start = now - span;
  const first = samples.findIndex((sample) => sample.at >= start);
  if (first === -1) return { line: "", area: "" };
  // The last value before the window still holds at its left edge.
  const seen = samples.slice(Math.max(0, first - 1));
  if (seen.length < 2) return { line: "", area: "" };
  const top = Math.max(...seen.map((sample) => sample.value)) * 1.1 || 1;
  const x = (at: number) => round(Math.min(1, Math.max(0, (at - start) / span)) * width);
  const y = (value: number) => round(height - 1 - (value / top) * (height - 2));
  // Steps, not slopes: a value holds until the next is known.
  const [head, ...tail] = seen;
  const left = x(head?.at ?? start);
  const steps = tail.map(({ at, value }) => `H${x(at)}V${y(value)}`);
  const line = `M${left} ${y(head?.value ?? 0)}${steps.join("")}H${width}`;
  return { line, area: `${line}V${height}H${left}Z` };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
