/** The shape of a short history. Pure. */
import type { Sample } from "../feed/reducer.ts";

/** How far back the line goes. */
export const SPAN_MS = 120_000;

/**
 * SVG paths of the last two minutes, drawn from zero so that its height is honest: the newest on the right,
 * one value held until the next. Empty with fewer than two samples in view.
 */
export function sparkPath(
  samples: readonly Sample[],
  now: number,
  width: number,
  height: number,
): { line: string; area: string } {
  const start = now - SPAN_MS;
  const first = samples.findIndex((sample) => sample.at >= start);
  if (first === -1) return { line: "", area: "" };
  // The last value before the window still holds at its left edge.
  const seen = samples.slice(Math.max(0, first - 1));
  const newest = seen.at(-1);
  if (seen.length < 2 || newest === undefined) return { line: "", area: "" };
  const top = Math.max(...seen.map((sample) => sample.value)) * 1.1 || 1;
  const x = (at: number) => round(Math.min(1, Math.max(0, (at - start) / SPAN_MS)) * width);
  const y = (value: number) => round(height - 1 - (value / top) * (height - 2));
  const points = [...seen.map(({ at, value }) => `${x(at)} ${y(value)}`), `${width} ${y(newest.value)}`];
  const line = `M${points.join("L")}`;
  const left = x(seen[0]?.at ?? start);
  return { line, area: `${line}V${height}H${left}Z` };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
