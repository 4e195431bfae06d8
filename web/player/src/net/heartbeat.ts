/**
 * The page's half of the heartbeat: the server sends a nonce, the page answers with what it sees of itself and a MAC
 * over it, with a key that came with the session. A page that was replaced by a program has to keep answering, and one
 * that was taken apart says so. What the answer means is the server's.
 */
import { hmac } from "./sha256.ts";

/** What the page says of itself at the moment of the challenge. */
export interface Condition {
  /** Guards that stand, as `guard/standing.ts` numbers them; 0 before there is a picture to guard. */
  readonly guard: number;
  readonly positionMs: number | null;
  /** Frames shown by the current `<video>` source. */
  readonly frames: number;
}

export interface Beat {
  readonly nonce: string;
  /** Lower hex, at most eight digits. */
  readonly guard: string;
  readonly position_ms: number | null;
  /** Frames shown since the session began; never goes back. */
  readonly frames: number;
  readonly mac: string;
}

/** Longer is no nonce of ours and is not answered. */
const NONCE_MAX = 64;

export class Heart {
  /** Frames of sources that were played before the current one. */
  #before = 0;
  #last = 0;

  constructor(private readonly key: Uint8Array) {}

  answer(nonce: string, { guard, positionMs, frames }: Condition): Beat | null {
    if (nonce.length === 0 || nonce.length > NONCE_MAX) return null;
    // A source that was built anew counts from nothing.
    if (frames < this.#last) this.#before += this.#last;
    this.#last = frames;
    const shown = this.#before + frames;
    const hex = (guard >>> 0).toString(16);
    const text = `${nonce}.${hex}.${positionMs ?? ""}.${shown}`;
    const mac = base64url(hmac(this.key, new TextEncoder().encode(text)));
    return { nonce, guard: hex, position_ms: positionMs, frames: shown, mac };
  }
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** The bytes of base64url text; `null` when it is none. */
export function fromBase64url(text: string): Uint8Array | null {
  if (!/^[\w-]+$/.test(text)) return null;
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}
