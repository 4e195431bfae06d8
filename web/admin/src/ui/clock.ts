import { useEffect, useState, useSyncExternalStore } from "react";

/** One clock for the whole page, ticking each second while anyone looks, so that all countdowns agree. */
let now = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;
const listeners = new Set<() => void>();

function tick() {
  now = Date.now();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (timer === null) {
    now = Date.now();
    timer = setInterval(tick, 1_000);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer !== null) {
      clearInterval(timer);
      timer = null;
    }
  };
}

/** The time in ms since the epoch, anew each second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

const MINUTE_MS = 60_000;

/** The beginning of this minute, anew each minute: enough for lists, which need not be drawn each second. */
export function useMinute(): number {
  return useSyncExternalStore(subscribe, () => Math.floor(now / MINUTE_MS) * MINUTE_MS);
}

/** The value once it has not changed for `ms`: what was typed, when typing pauses. */
export function useSettled<T>(current: T, ms: number): T {
  const [settled, setSettled] = useState(current);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(current), ms);
    return () => clearTimeout(timer);
  }, [current, ms]);
  return settled;
}
