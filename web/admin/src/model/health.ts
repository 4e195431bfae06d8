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

/**
 * An encoder's own name as people know it: `FMLE/3.0 (compatible; obs-studio/31.0)` is OBS Studio 31.0.
 * The wrapping is a habit from Flash; what is not known is shown as it came. Empty when it said nothing.
 */
export function encoderName(encoder: string): string {
  const own = /\(compatible; ([^)]+)\)/.exec(encoder)?.[1] ?? encoder;
  return own
    .trim()
    .replace(/^obs-studio\//, "OBS Studio ")
    .replace(/^Lavf(?=\d)/, "ffmpeg, libavformat ");
}

/** 29.97 stays 29.97; 30.000003 is 30. `null` when the stream does not say. */
export function frameRate(fps: number | null | undefined): number | null {
  if (fps === null || fps === undefined || !Number.isFinite(fps) || fps <= 0) return null;
  return Math.round(fps * 100) / 100;
}
