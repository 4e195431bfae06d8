/**
 * What the server has to say about what this page saw: what it was, in words, and what to do if it is wrong. A warning is
 * a banner beside the picture that takes nothing away; what stops or blurs the picture is a dialog, because it waits for
 * the reader.
 */
import type { Caution, State } from "../model/state.ts";
import type { Scope } from "../scope.ts";
import { hasSight, type Words } from "../words/index.ts";
import { el, setText, show } from "./dom.ts";

export class CautionNotice {
  readonly banner: HTMLElement;
  readonly dialog: HTMLDialogElement;
  readonly #parts: readonly Parts[];
  #shown = "";
  /** Who had the focus before. */
  #before: Element | null = null;
  #holds = false;

  constructor(
    private readonly words: Words,
    scope: Scope,
    acknowledge: () => void,
  ) {
    const banner = parts(words, "caution-banner");
    const dialog = parts(words, "caution-dialog");
    this.#parts = [banner, dialog];
    this.banner = el("section", { class: "caution stack", role: "alert", hidden: "" }, ...banner.all);
    this.dialog = el(
      "dialog",
      {
        class: "question caution-dialog",
        role: "alertdialog",
        "aria-modal": "true",
        "aria-labelledby": "caution-dialog-heading",
        "aria-describedby": "caution-dialog-lead caution-dialog-seen caution-dialog-appeal",
      },
      ...dialog.all,
    );
    for (const { read } of this.#parts) scope.listen(read, "click", acknowledge);
    // Escape is not reading.
    scope.listen(this.dialog, "cancel", (event) => event.preventDefault());
    scope.listen(this.dialog, "keydown", (event) => event.key === "Escape" && event.preventDefault());
  }

  /** Whether the dialog was opened here; anybody can write `open` on the element. */
  get isShown(): boolean {
    return this.#holds;
  }

  draw(state: State): void {
    const { caution } = state;
    const session = state.phase.name === "in" ? state.phase.session : null;
    const holds = caution !== null && caution.action !== "warn";
    this.#holds = holds;
    if (caution !== null) this.#fill(caution, session?.guard?.watermark?.lines.at(-1) ?? session?.id ?? "");
    show(this.banner, caution !== null && !holds);
    if (holds && !this.dialog.open) {
      this.#before = document.activeElement;
      this.dialog.showModal();
      this.#parts[1]?.read.focus();
    } else if (!holds && this.dialog.open) {
      this.dialog.close();
      if (this.#before instanceof HTMLElement && this.#before.isConnected)
        this.#before.focus({ preventScroll: true });
    }
  }

  #fill(caution: Caution, session: string): void {
    const key = JSON.stringify([caution, session]);
    if (key === this.#shown) return;
    this.#shown = key;
    const { t } = this.words;
    const seen = [
      ...new Set(caution.signals.map((name) => t(hasSight(name) ? `seen.${name}` : "seen.other"))),
    ];
    for (const { lead, list, appeal } of this.#parts) {
      setText(lead, t(`caution.${caution.action}`));
      list.replaceChildren(...seen.map((text) => el("li", {}, text)));
      show(list, seen.length > 0);
      setText(appeal, t("caution.appeal", { session }));
    }
  }
}

interface Parts {
  readonly lead: HTMLElement;
  readonly list: HTMLElement;
  readonly appeal: HTMLElement;
  readonly read: HTMLButtonElement;
  readonly all: readonly HTMLElement[];
}

function parts({ t }: Words, id: string): Parts {
  const lead = el("p", { id: `${id}-lead` });
  const list = el("ul", { id: `${id}-seen` });
  const appeal = el("p", { id: `${id}-appeal`, class: "muted" });
  const read = el("button", { type: "button", class: "button primary" }, t("caution.read"));
  const heading = el("h2", { id: `${id}-heading` }, t("caution.heading"));
  return { lead, list, appeal, read, all: [heading, lead, list, appeal, read] };
}
