/** Bringing somebody along: a name, and an invitation to send on. Shown only to whom the organiser allowed it. */
import type { Guest, State } from "../model/state.ts";
import type { Scope } from "../scope.ts";
import type { Words } from "../words/index.ts";
import { el, setAttribute, setText, show } from "./dom.ts";

const COPIED_MS = 3_000;

export class GuestList {
  readonly element = el("details", { class: "guests", hidden: "" });
  readonly #left = el("p", { class: "muted" });
  readonly #form = el("form", { class: "stack", novalidate: "" });
  readonly #name = el("input", {
    id: "guest-name",
    class: "input",
    type: "text",
    autocomplete: "off",
    maxlength: "200",
    enterkeyhint: "done",
  });
  readonly #make = el("button", { type: "submit", class: "button" });
  readonly #error = el("p", { class: "error", role: "alert", hidden: "" });
  readonly #made = el("div", { class: "made stack", hidden: "" });
  readonly #madeFor = el("p", { role: "status" });
  readonly #code = el("p", { class: "mono code" });
  readonly #share = el("button", { type: "button", class: "button" });
  readonly #list = el("ul");
  #link = "";
  #shown = "";

  constructor(
    private readonly words: Words,
    private readonly scope: Scope,
    bring: (name: string) => void,
  ) {
    const t = words.t;
    this.#form.append(
      el("div", { class: "field" }, el("label", { for: "guest-name" }, t("guests.name")), this.#name),
      this.#error,
      this.#make,
    );
    setText(this.#error, t("guests.failed"));
    this.#made.append(this.#madeFor, this.#code, this.#share);
    this.element.append(
      el("summary", {}, t("guests.heading")),
      el("div", { class: "stack" }, this.#left, this.#made, this.#form, this.#list),
    );
    scope.listen(this.#form, "submit", (event) => {
      event.preventDefault();
      const name = this.#name.value.trim();
      if (name === "") this.#name.focus();
      else bring(name);
    });
    this.#sendsOn(this.#share, () => this.#link);
  }

  /** Makes a button pass a link on, by what the device has for that. */
  #sendsOn(button: HTMLButtonElement, link: () => string): void {
    const { t } = this.words;
    const canShare = typeof navigator.share === "function";
    const label = canShare ? t("guests.share") : t("guests.copy");
    setText(button, label);
    this.scope.listen(button, "click", () => {
      // Closing the sheet without sharing is not a failure.
      if (canShare) void navigator.share({ url: link() }).catch(() => {});
      else {
        void navigator.clipboard?.writeText(link()).then(() => {
          setText(button, t("guests.copied"));
          this.scope.after(COPIED_MS, () => setText(button, label));
        });
      }
    });
  }

  #row({ name, state, link }: Guest): HTMLLIElement {
    const { t } = this.words;
    const row = el("li", { class: "cluster" }, name);
    if (state === "redeemed") row.append(el("span", { class: "muted small" }, t("guests.came")));
    else if (link !== null) {
      const of = typeof navigator.share === "function" ? "guests.share_of" : "guests.copy_of";
      const button = el("button", { type: "button", class: "button small", "aria-label": t(of, { name }) });
      this.#sendsOn(button, () => link);
      row.append(button);
    }
    return row;
  }

  draw(state: State): void {
    const { guests } = state;
    const shown = guests !== null && (guests.left > 0 || guests.list.length > 0);
    show(this.element, shown);
    if (guests === null || !shown) return;
    const { t } = this.words;
    setText(this.#left, guests.left > 0 ? t("guests.left", { n: guests.left }) : t("guests.none"));
    show(this.#form, guests.left > 0);
    const asking = guests.step === "asking";
    setText(this.#make, t(asking ? "guests.making" : "guests.make"));
    setAttribute(this.#make, "aria-disabled", asking ? "true" : null);
    show(this.#error, guests.step === "failed");
    show(this.#made, guests.made !== null);
    if (guests.made !== null && guests.made.link !== this.#link) {
      this.#link = guests.made.link;
      setText(this.#madeFor, t("guests.made", { name: guests.made.name }));
      setText(this.#code, guests.made.code);
      this.#name.value = "";
    }
    const list = JSON.stringify(guests.list);
    if (list !== this.#shown) {
      this.#shown = list;
      this.#list.replaceChildren(...guests.list.map((guest) => this.#row(guest)));
    }
  }
}
