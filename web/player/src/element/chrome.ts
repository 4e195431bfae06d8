/**
 * media-chrome's controls under a content security policy without 'unsafe-inline'.
 *
 * Its elements write `<style>` into their shadow roots, which a strict policy blocks. A policy that allows the
 * hash of the *empty* style allows an empty `<style>` and nothing else, and rules put into a sheet by script are not
 * subject to it. So the text is taken out before the elements are connected and its rules are put back after:
 * `takeStyles` while they are not in the page, the function it returns when they are.
 *
 * Their markup is text that they assign to `innerHTML`, which a policy with Trusted Types refuses. It is vouched for where
 * they make it, once for each class; whatever else assigns markup is refused.
 */
import "media-chrome/dist/media-controller.js";
import "media-chrome/dist/media-control-bar.js";
import "media-chrome/dist/media-loading-indicator.js";
import "media-chrome/dist/media-mute-button.js";
import "media-chrome/dist/media-play-button.js";
import "media-chrome/dist/media-volume-range.js";
import "media-chrome/dist/lang/fr.js";
import { markup } from "@stagedoor/kit/trusted";

/** Everything that the imports above define. */
const ELEMENTS = [
  "media-controller",
  "media-control-bar",
  "media-error-dialog",
  "media-gesture-receiver",
  "media-loading-indicator",
  "media-mute-button",
  "media-play-button",
  "media-text-display",
  "media-tooltip",
  "media-volume-range",
];

type Maker = (this: unknown, ...args: unknown[]) => string;
interface Made {
  prototype: { formatErrorMessage?: (error: unknown) => string };
  getTemplateHTML?: Maker;
  getTooltipContentHTML?: Maker;
}

for (const name of ELEMENTS) {
  const made = customElements.get(name) as Made | undefined;
  if (made === undefined) continue;
  for (const method of ["getTemplateHTML", "getTooltipContentHTML"] as const) {
    const make = made[method];
    if (make === undefined) continue;
    made[method] = function (...args) {
      return markup(make.apply(this, args));
    };
  }
  const tell = made.prototype.formatErrorMessage;
  if (tell !== undefined)
    made.prototype.formatErrorMessage = function (error) {
      return markup(tell.call(this, error));
    };
}

interface Taken {
  readonly style: HTMLStyleElement;
  readonly css: string;
}

/** Empties every `<style>` in the shadow roots below `root`; the answer fills them, once, when connected. */
export function takeStyles(root: ParentNode): () => void {
  const taken: Taken[] = [];
  collect(root, taken);
  return () => {
    for (const { style, css } of taken.splice(0)) put(style, css);
  };
}

function collect(root: ParentNode, into: Taken[]): void {
  for (const element of root.querySelectorAll("*")) {
    if (element instanceof HTMLStyleElement && root instanceof ShadowRoot) {
      into.push({ style: element, css: element.textContent ?? "" });
      element.textContent = "";
    }
    if (element.shadowRoot !== null) collect(element.shadowRoot, into);
  }
}

function put(style: HTMLStyleElement, css: string): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  if (style.sheet === null) {
    // Even the empty style was refused: a sheet of our own is always allowed.
    const root = style.getRootNode();
    if (root instanceof ShadowRoot) root.adoptedStyleSheets.push(sheet);
    return;
  }
  for (const rule of sheet.cssRules) style.sheet.insertRule(rule.cssText, style.sheet.cssRules.length);
}
