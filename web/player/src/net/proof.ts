import { leadingZeros, sha256 } from "./sha256.ts";

/** What the server asks for when too many wrong codes arrive from everywhere. */
export interface Challenge {
  readonly challenge: string;
  /** Leading zero bits wanted. 18 are a quarter of a million hashes on average, well under a second. */
  readonly bits: number;
}

/** More than this would keep a phone busy for minutes; such an answer is treated as "busy". */
export const PROOF_BITS_MAX = 24;

/** The smallest decimal nonce with `sha256(challenge + ":" + nonce)` beginning with `bits` zero bits. */
export function prove({ challenge, bits }: Challenge): string {
  const encoder = new TextEncoder();
  for (let nonce = 0; ; nonce += 1) {
    if (leadingZeros(sha256(encoder.encode(`${challenge}:${nonce}`))) >= bits) return String(nonce);
  }
}
