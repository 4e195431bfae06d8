/**
 * Another screen asks: a dialog over everything, with the two answers. The browser keeps the focus inside and the rest
 * out of reach; Escape does not answer, because there is no answer that is right by accident.
 */
import * as format from "@stagedoor/kit/format";
import type { State } from "../model/state.ts";
import type { Scope } from "../scope.ts";
import type { Words } from "../words/index.ts";
import { el, setAttribute, setText, show } from "./dom.ts";

/** When it is said aloud that the time runs out. */
const SOON_MS = 10_000;

export class QuestionDialog {
  readonly element = el("dialog", {
    class: "question",
    role: "alertdialog",
    "aria-modal": "true",
    "aria-labelledby": "question-heading",
    "aria-describedby": "question-lead question-facts",
  });
  readonly #device = el("dd");
  readonly #place = el("dd");
  readonly #time = el("dd");
  readonly #left = el("p", { class: "left muted small tabular" });
  readonly #bar = el("span", { class: "bar", "aria-hidden": "true" });
  readonly #spoken = el("p", { class: "visually-hidden", role: "status" });
  readonly #stay = el("button", { type: "button", class: "button primary wide" });
  readonly #move = el("button", { type: "button", class: "button wide" });
  /** Who had the focus before. */
  #before: Element | null = null;
  #asks = false;

  constructor(
    private readonly words: Words,
    scope: Scope,
    answer: (approve: boolean) => void,
  ) {
    const t = words.t;
    setText(this.#stay, t("question.stay"));
    setText(this.#move, t("question.move"));
    const row = (label: string, value: HTMLElement) => el("div", {}, el("dt", {}, label), value);
    this.element.append(
      el("h2", { id: "question-heading" }, t("question.heading")),
      el("p", { id: "question-lead" }, t("question.lead")),
      el(
        "dl",
        { id: "question-facts" },
        row(t("question.device"), this.#device),
        row(t("question.place"), this.#place),
        row(t("question.time"), this.#time),
      ),
      el("div", { class: "answers" }, this.#stay, this.#move),
      el("div", { class: "time" }, this.#bar, this.#left),
      this.#spoken,
    );
    scope.listen(this.#stay, "click", () => this.#open && answer(false));
    scope.listen(this.#move, "click", () => this.#open && answer(true));
    scope.listen(this.element, "cancel", (event) => event.preventDefault());
    // Chromium lets a second Escape through; it is not an answer either.
    scope.listen(this.element, "keydown", (event) => event.key === "Escape" && event.preventDefault());
  }

  get #open(): boolean {
    return this.#stay.getAttribute("aria-disabled") !== "true";
  }

  /** Whether it was opened here; anybody can write `open` on the element. */
  get isShown(): boolean {
    return this.#asks;
  }

  draw(state: State): void {
    const { question } = state;
    this.#asks = question !== null;
    if (question === null) {
      if (this.element.open) {
        this.element.close();
        if (this.#before instanceof HTMLElement && this.#before.isConnected) {
          this.#before.focus({ preventScroll: true });
        }
      }
      return;
    }
    const { words } = this;
    const { t } = words;
    setText(this.#device, question.device);
    const unknown = question.place === "" || question.place === "unknown place";
    setText(this.#place, unknown ? t("question.unknown_place") : question.place);
    const time = new Intl.DateTimeFormat(words.locale, { timeStyle: "short" }).format(new Date(question.at));
    setText(this.#time, time);

    const left = Math.max(0, question.expiresAt - state.now);
    const whole = Math.max(1, question.expiresAt - question.at);
    this.#bar.style.setProperty("--share", String(Math.min(1, left / whole)));
    const { answer } = question;
    show(this.#bar, answer === null);
    const told = answer === null ? null : t(answer ? "question.moving" : "question.telling");
    setText(this.#left, told ?? t("question.left", { time: format.clock(left) }));
    // Read out once near the end, and when something was answered: not every second.
    setText(this.#spoken, told ?? (left <= SOON_MS ? t("question.soon") : ""));
    for (const button of [this.#stay, this.#move]) {
      setAttribute(button, "aria-disabled", answer === null ? null : "true");
    }
    if (!this.element.open) {
      this.#before = document.activeElement;
      this.element.showModal();
      this.#stay.focus();
    }
  }
}
