/**
 * The size of a text message. Pure.
 *
 * The server counts what is paid for; this names the letters that make it more.
 * Source: 3GPP TS 23.038, section 6.2.1, as in `crates/domain/src/message/segments.rs`.
 */

const BASIC =
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION = "\f^{}\\[~]|€";
const GSM = new Set(BASIC + EXTENSION);

/** More are not listed: the first ones are enough to know what to change. */
const LETTERS_MAX = 8;

/** The letters, each once, that the 7-bit alphabet does not have: with any of them, half as much fits in a message. */
export function costly(text: string): string[] {
  return [...new Set(text)].filter((letter) => !GSM.has(letter)).slice(0, LETTERS_MAX);
}

/** What fits in so many segments: septets or code units, as the server counts them. */
export function capacity(encoding: "gsm7" | "ucs2", segments: number): number {
  const [alone, part] = encoding === "gsm7" ? [160, 153] : [70, 67];
  return segments <= 1 ? alone : segments * part;
}
