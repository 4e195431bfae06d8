/**
 * An access code as people type, paste and read it: twelve letters and digits, shown in three groups of four.
 * Which letters exist is the server's business; here spacing, case and dashes are forgiven.
 */

export const CODE_LENGTH = 12;
const GROUP = 4;

/** What is left of any text when only a code is wanted; a pasted link gives the code in its fragment. */
export function normalise(text: string): string {
  const fragment = /^\s*https?:\/\/\S*#(\S+)\s*$/i.exec(text)?.[1];
  return (fragment ?? text)
    .normalize("NFKC")
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "")
    .slice(0, CODE_LENGTH);
}

/** `ABCDEFGHJKLM` → `ABCD-EFGH-JKLM`; also of an unfinished code. */
export function group(code: string): string {
  return code.match(new RegExp(`.{1,${GROUP}}`, "g"))?.join("-") ?? "";
}

export function isComplete(code: string): boolean {
  return code.length === CODE_LENGTH;
}

/** Where the caret belongs in the grouped text, when `letters` letters of the code stand before it. */
export function caretAfter(letters: number): number {
  return letters === 0 ? 0 : letters + Math.floor((letters - 1) / GROUP);
}

/** The code in `#ABCD-EFGH-JKLM`, if the fragment is one. */
export function fromFragment(hash: string): string | null {
  let text = hash.replace(/^#/, "");
  try {
    text = decodeURIComponent(text);
  } catch {
    return null;
  }
  const code = normalise(text);
  return isComplete(code) && text.length <= 2 * CODE_LENGTH ? code : null;
}
