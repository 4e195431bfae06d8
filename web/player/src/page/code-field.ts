/**
 * The one field for the code: shows it grouped while it is typed or pasted, keeps the caret where the person
 * left it, never refuses a key. One field and not twelve, so that pasting, password managers and screen readers
 * just work.
 */
import { caretAfter, group, normalise } from "../model/code.ts";
import type { Scope } from "../scope.ts";

export function groupWhileTyping(input: HTMLInputElement, scope: Scope, changed: () => void): void {
  const regroup = () => {
    const caret = input.selectionStart ?? input.value.length;
    const before = normalise(input.value.slice(0, caret)).length;
    const text = group(normalise(input.value));
    if (text !== input.value) {
      input.value = text;
      const at = caretAfter(before);
      if (document.activeElement === input) input.setSelectionRange(at, at);
    }
    changed();
  };
  scope.listen(input, "input", (event) => {
    // A keyboard that composes (predictions, handwriting) is rewritten only when it has finished.
    if ((event as InputEvent).isComposing !== true) regroup();
  });
  scope.listen(input, "compositionend", regroup);
  scope.listen(input, "paste", (event) => {
    const text = (event as ClipboardEvent).clipboardData?.getData("text") ?? "";
    const pasted = normalise(text);
    // A whole code, or a link with one, replaces whatever stood there.
    if (pasted.length < 12) return;
    event.preventDefault();
    input.value = group(pasted);
    changed();
  });
}
