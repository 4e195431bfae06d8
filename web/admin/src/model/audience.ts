/** The line of the audience chart, from what is kept and what has just been heard. Pure. */
import type { Sample } from "../feed/reducer.ts";

export interface Kept {
  readonly data: readonly { readonly at: string; readonly watching: number }[];
  readonly step_ms: number;
}

/** Seconds since 1970 and how many watched, as the chart takes them. */
export interface Line {
  readonly xs: number[];
  readonly ys: number[];
}

/** Samples further apart than this many steps have an empty room between them. */
const GAP_STEPS = 2.5;

/**
 * What is kept, then what came by the feed since, up to `now` with `watching`. Where samples are missing nobody
 * watched: the server writes down nothing then, and the line says zero.
 */
export function audienceLine(
  kept: Kept | undefined,
  live: readonly Sample[],
  now: number,
  watching: number,
  from: number,
): Line {
  const xs: number[] = [];
  const ys: number[] = [];
  const put = (at: number, value: number) => {
    xs.push(at / 1_000);
    ys.push(value);
  };
  const gap = (kept?.step_ms ?? 10_000) * GAP_STEPS;
  let last = from;
  for (const sample of kept?.data ?? []) {
    const at = Date.parse(sample.at);
    if (!(at >= from) || at > now || (xs.length > 0 && at <= last)) continue;
    if (at - last > gap) {
      put(last + 1, 0);
      put(at - (kept?.step_ms ?? 0), 0);
    }
    put(at, sample.watching);
    last = at;
  }
  const newer = live.filter(({ at }) => at > last && at <= now);
  const next = newer[0]?.at ?? now;
  if (newer.length === 0 && kept === undefined) put(Math.max(from, now - 1), watching);
  else if (next - last > gap && (ys.at(-1) ?? 0) === 0) put(last + 1, 0);
  for (const { at, value } of newer) put(at, value);
  if (now / 1_000 > (xs.at(-1) ?? 0)) put(now, watching);
  return { xs, ys };
}

/** The most who watched between two seconds, and when; `null` when nobody did. */
export function mostOf({ xs, ys }: Line, from: number, to: number): { at: number; value: number } | null {
  let most: { at: number; value: number } | null = null;
  for (const [index, at] of xs.entries()) {
    const value = ys[index] ?? 0;
    if (at >= from && at <= to && value > (most?.value ?? 0)) most = { at: at * 1_000, value };
  }
  return most;
}

/** A narrower or wider view around its middle, never narrower than a minute and never beyond `whole`. */
export function zoomed(
  view: readonly [number, number],
  factor: number,
  whole: readonly [number, number],
): readonly [number, number] {
  const middle = (view[0] + view[1]) / 2;
  const half = Math.max(30, ((view[1] - view[0]) / 2) * factor);
  return within([middle - half, middle + half], whole);
}

/** The view moved by a part of its width, as far as there is something to see. */
export function moved(
  view: readonly [number, number],
  part: number,
  whole: readonly [number, number],
): readonly [number, number] {
  const by = (view[1] - view[0]) * part;
  return within([view[0] + by, view[1] + by], whole);
}

function within(
  [from, to]: readonly [number, number],
  whole: readonly [number, number],
): readonly [number, number] {
  const width = Math.min(to - from, whole[1] - whole[0]);
  const start = Math.min(Math.max(from, whole[0]), whole[1] - width);
  return [start, start + width];
}
