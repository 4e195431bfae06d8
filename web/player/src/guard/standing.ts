/**
 * Which guards stand, as the bits that go into the heartbeat: a bit is set while its guard works in this browser, sees
 * nothing, and saw nothing since the last answer. What could not be looked at for a while (a page in the background that
 * plays) has no bit either.
 */
export const BITS = {
  watermark_dom: 1,
  watermark_style: 2,
  watermark_geometry: 4,
  watermark_occlusion: 8,
  watermark_hit: 16,
  watermark_pixels: 32,
  api_patched: 64,
  /** The detectors run. */
  watching: 128,
} as const;

export type Guarded = keyof typeof BITS;

export class Standing {
  #now = 0;
  #fell = 0;

  set(guard: Guarded, stands: boolean): void {
    const bit = BITS[guard];
    if (!stands && (this.#now & bit) !== 0) this.#fell |= bit;
    this.#now = stands ? this.#now | bit : this.#now & ~bit;
  }

  /** Says nothing about `guard` any more: nobody could look for too long. It did not fall. */
  forget(guard: Guarded): void {
    this.#now &= ~BITS[guard];
  }

  stands(guard: Guarded): boolean {
    return (this.#now & BITS[guard]) !== 0;
  }

  /** The bits for an answer; what fell and stands again is told once. */
  tell(): number {
    const bits = this.#now & ~this.#fell;
    this.#fell = 0;
    return bits;
  }
}
