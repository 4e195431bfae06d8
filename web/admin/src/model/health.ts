/**
 * What the numbers of a stream mean to the person responsible for it. Pure: the pages turn the answers into words.
 */
import type { Advice, StreamStatus } from "../api/types.ts";
import { elapsed } from "./time.ts";

export type Tone = "good" | "warning" | "bad" | "quiet";

/** The one sentence at the top of stream health. */
export type Verdict =
  | { kind: "waiting"; tone: "quiet" }
  | { kind: "good"; tone: "good" }
  | { kind: "hints"; tone: "good"; count: number }
  | { kind: "improve"; tone: "warning"; count: number }
  | { kind: "trouble"; tone: "bad"; count: number }
  | { kind: "away"; tone: "warning"; resumesFor: number }
  | { kind: "ended"; tone: "quiet" };

/** `now` in ms since the epoch; `reconnectWindowMs` is how long viewers are held for the encoder. */
export function verdict(stream: StreamStatus, reconnectWindowMs: number, now: number): Verdict {
  switch (stream.state) {
    case "idle":
      return { kind: "waiting", tone: "quiet" };
    case "ended":
      return { kind: "ended", tone: "quiet" };
    case "away": {
      const left = reconnectWindowMs - elapsed(stream.since, now);
      return { kind: "away", tone: "warning", resumesFor: Math.max(0, left) };
    }
    case "live": {
      const errors = count(stream.advice, "error");
      if (errors > 0) return { kind: "trouble", tone: "bad", count: errors };
      const warnings = count(stream.advice, "warning");
      if (warnings > 0) return { kind: "improve", tone: "warning", count: warnings };
      const hints = count(stream.advice, "info");
      if (hints > 0) return { kind: "hints", tone: "good", count: hints };
      return { kind: "good", tone: "good" };
    }
  }
}

function count(advice: readonly Advice[], severity: Advice["severity"]): number {
  return advice.filter((one) => one.severity === severity).length;
}

const GRAVITY: Record<Advice["severity"], number> = { error: 0, warning: 1, info: 2 };

/** The gravest first; among equals the server's order. */
export function byGravity(advice: readonly Advice[]): Advice[] {
  return [...advice].sort((a, b) => GRAVITY[a.severity] - GRAVITY[b.severity]);
}

/** Bits per second as a number and the unit it is best read in: 2.5 Mb/s, 128 kb/s. */
export function bitrate(bps: number): { value: number; digits: number; unit: "Mb/s" | "kb/s" } {
  if (bps >= 1_000_000) return { value: bps / 1_000_000, digits: bps >= 10_000_000 ? 0 : 1, unit: "Mb/s" };
  return { value: Math.round(bps / 1_000), digits: 0, unit: "kb/s" };
}

/** 29.97 stays 29.97; 30.000003 is 30. `null` when the stream does not say. */
export function frameRate(fps: number | null | undefined): number | null {
  if (fps === null || fps === undefined || !Number.isFinite(fps) || fps <= 0) return null;
  return Math.round(fps * 100) / 100;
}
