/** Things that are written down or typed elsewhere: codes, keys, links. Pure. */

/** `ABCDEFGHJKLM` or `ABCD-EFGH-JKLM` as its groups of four, for drawing large and for reading aloud. */
export function codeGroups(code: string): string[] {
  return code.replaceAll(/[^0-9A-Za-z]/g, "").match(/.{1,4}/g) ?? [];
}

/** Dots in place of a secret, as long as the secret looks, but never telling its real length. */
export function masked(): string {
  return "•".repeat(16);
}

/** A link without its scheme, short enough to be read: the address is what people recognise. */
export function readableLink(link: string): string {
  return link.replace(/^https?:\/\//, "");
}
