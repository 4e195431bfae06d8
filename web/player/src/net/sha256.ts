/**
 * SHA-256 and HMAC in plain JavaScript, because `crypto.subtle` does not exist on pages served over plain HTTP, and a
 * house on a local network is one. For the proof of work, the heartbeat and the path of the watermark: what is secret
 * here came to this page in the clear and is gone with the session.
 *
 * # Source
 * FIPS 180-4, sections 5 and 6.2; RFC 2104, section 2.
 */

const K = new Uint32Array(64);
const INITIAL = new Uint32Array(8);

// The constants are the fractional parts of the cube and square roots of the first primes (4.2.2, 5.3.3).
{
  const fraction = (x: number) => Math.floor((x - Math.floor(x)) * 2 ** 32);
  let found = 0;
  for (let n = 2; found < 64; n += 1) {
    let prime = true;
    for (let d = 2; d * d <= n; d += 1) prime &&= n % d !== 0;
    if (!prime) continue;
    if (found < 8) INITIAL[found] = fraction(Math.sqrt(n));
    K[found] = fraction(Math.cbrt(n));
    found += 1;
  }
}

const W = new Uint32Array(64);

/** Takes one 64-byte block of `view` at `at` into `state` (8 words). */
function compress(state: Uint32Array, view: DataView, at: number): void {
  for (let t = 0; t < 16; t += 1) W[t] = view.getUint32(at + t * 4);
  for (let t = 16; t < 64; t += 1) {
    const w15 = W[t - 15] as number;
    const w2 = W[t - 2] as number;
    const s0 = ((w15 >>> 7) | (w15 << 25)) ^ ((w15 >>> 18) | (w15 << 14)) ^ (w15 >>> 3);
    const s1 = ((w2 >>> 17) | (w2 << 15)) ^ ((w2 >>> 19) | (w2 << 13)) ^ (w2 >>> 10);
    W[t] = ((W[t - 16] as number) + s0 + (W[t - 7] as number) + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  for (let t = 0; t < 64; t += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (K[t] as number) + (W[t] as number)) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  const sum = [a, b, c, d, e, f, g, h];
  for (let i = 0; i < 8; i += 1) state[i] = ((state[i] as number) + (sum[i] as number)) | 0;
}

/** The digest of `bytes` as eight big-endian words. */
export function sha256(bytes: Uint8Array): Uint32Array {
  const blocks = Math.ceil((bytes.length + 9) / 64);
  const padded = new Uint8Array(blocks * 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor((bytes.length * 8) / 2 ** 32));
  view.setUint32(padded.length - 4, (bytes.length * 8) >>> 0);
  const state = INITIAL.slice();
  for (let at = 0; at < padded.length; at += 64) compress(state, view, at);
  return state;
}

const BLOCK = 64;

/** HMAC-SHA-256, 32 bytes. */
export function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const short = key.length > BLOCK ? bytesOf(sha256(key)) : key;
  const pass = (pad: number, rest: Uint8Array) => {
    const input = new Uint8Array(BLOCK + rest.length).fill(pad, 0, BLOCK);
    short.forEach((byte, i) => {
      input[i] = byte ^ pad;
    });
    input.set(rest, BLOCK);
    return bytesOf(sha256(input));
  };
  return pass(0x5c, pass(0x36, message));
}

function bytesOf(digest: Uint32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(digest.length * 4));
  digest.forEach((word, i) => {
    view.setUint32(i * 4, word);
  });
  return new Uint8Array(view.buffer);
}

/** Leading zero bits of a digest, 0–256. */
export function leadingZeros(digest: Uint32Array): number {
  let bits = 0;
  for (const word of digest) {
    const zeros = Math.clz32(word);
    bits += zeros;
    if (zeros < 32) break;
  }
  return bits;
}
