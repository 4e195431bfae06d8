/**
 * Where the mark stands: a keyed pseudo-random function of the time. Whoever has the seed (the server, later an
 * investigator) knows where a mark had to be in any minute of the evening; whoever has only seen it so far cannot say
 * where it will be next, so nothing can be laid over it in advance.
 *
 * # Source
 * HMAC-SHA-256 (RFC 2104) of `watermark.{slot}` under the seed; the first two words, big-endian, over 2^32.
 */
import { hmac } from "../net/sha256.ts";

/** The mark stands still this long: to be read on a photograph, and not to be a spectacle. */
export const SLOT_MS = 8_000;

/** Shares of the free space, 0 at the left or top, below 1. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

export function slotAt(nowMs: number): number {
  return Math.floor(nowMs / SLOT_MS);
}

export function placeIn(seed: Uint8Array, slot: number): Place {
  const view = new DataView(hmac(seed, new TextEncoder().encode(`watermark.${slot}`)).buffer);
  return { x: view.getUint32(0) / 2 ** 32, y: view.getUint32(4) / 2 ** 32 };
}

/** A rectangle in CSS pixels. */
export interface Area {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Where the picture is on its stage: as large as fits, in the middle, with bars beside or above it. A picture of unknown
 * size is all of the stage.
 *
 * # Source
 * CSS Images 3, section 5.5: `object-fit: contain`, at `object-position: 50% 50%`.
 */
export function pictureOn(stage: Area, picture: { width: number; height: number }): Area {
  if (picture.width <= 0 || picture.height <= 0) return stage;
  const scale = Math.min(stage.width / picture.width, stage.height / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  return {
    left: stage.left + (stage.width - width) / 2,
    top: stage.top + (stage.height - height) / 2,
    width,
    height,
  };
}

/** The 32 bytes of 64 hex digits; `null` when they are not. */
export function seedOf(hex: string): Uint8Array | null {
  if (!/^[0-9a-f]{64}$/.test(hex)) return null;
  return Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}
