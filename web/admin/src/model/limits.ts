/** What an encoder may send, as a form holds it. Pure. */
import type { PublishLimits } from "../api/types.ts";

/** Numbers as somebody types them. */
export interface LimitsDraft {
  readonly bitrate: string;
  readonly longSide: string;
  readonly shortSide: string;
  readonly fps: string;
}

export type LimitField = "bitrate_kbps" | "long_side" | "short_side" | "fps";

/** The server's own defaults. */
const MOST: Required<PublishLimits> = { bitrate_kbps: 60_000, long_side: 4_096, short_side: 2_304, fps: 120 };

export function limitsDraft(limits: PublishLimits): LimitsDraft {
  const whole = { ...MOST, ...limits };
  return {
    bitrate: String(whole.bitrate_kbps),
    longSide: String(whole.long_side),
    shortSide: String(whole.short_side),
    fps: String(whole.fps),
  };
}

export function checkLimits(draft: LimitsDraft): Partial<Record<LimitField, LimitField>> {
  const wrong: Partial<Record<LimitField, LimitField>> = {};
  const need = (field: LimitField, text: string, least: number, most: number) => {
    const holds = /^\d{1,7}$/.test(text.trim()) && Number(text) >= least && Number(text) <= most;
    if (!holds) wrong[field] = field;
  };
  need("bitrate_kbps", draft.bitrate, 100, 400_000);
  need("long_side", draft.longSide, 16, 8_192);
  need("short_side", draft.shortSide, 16, Math.min(8_192, Number(draft.longSide) || 8_192));
  need("fps", draft.fps, 1, 480);
  return wrong;
}

export function limitsOf(draft: LimitsDraft): PublishLimits {
  return {
    bitrate_kbps: Number(draft.bitrate),
    long_side: Number(draft.longSide),
    short_side: Number(draft.shortSide),
    fps: Number(draft.fps),
  };
}
