/** What protects the picture on this device: what is there, what is not, and what nothing here can do. */
import type { Protections, State } from "../model/state.ts";
import type { Words } from "../words/index.ts";
import { el, setAttribute, setText, show } from "./dom.ts";

const ROWS = ["watermark", "single", "heartbeat", "encryption", "tls"] as const;
type Row = (typeof ROWS)[number];

export class Meter {
  readonly element = el("details", { class: "guests meter", hidden: "" });
  readonly #summary = el("summary");
  readonly #states = new Map<Row, { row: HTMLElement; state: HTMLElement; what: HTMLElement }>();

  constructor(private readonly words: Words) {
    const { t } = words;
    const list = el("ul");
    for (const name of ROWS) {
      const state = el("span", { class: "state small" });
      const what = el("p", { class: "muted small" });
      const row = el(
        "li",
        { "data-protection": name },
        el("div", {}, el("strong", {}, t(`meter.${name}`)), what),
        state,
      );
      this.#states.set(name, { row, state, what });
      list.append(row);
    }
    const limits = el("p", { class: "muted small" }, t("meter.limits"));
    this.element.append(this.#summary, el("div", { class: "stack" }, list, limits));
  }

  draw(state: State): void {
    show(this.element, state.phase.name === "in" && state.shown);
    const { t } = this.words;
    const { protections } = state;
    let active = 0;
    for (const [name, { row, state, what }] of this.#states) {
      const on = isOn(name, protections);
      if (on) active += 1;
      setAttribute(row, "data-on", String(on));
      setText(state, t(on ? "meter.on" : whyOff(name, protections)));
      setText(what, t(`meter.${name}_what`));
    }
    setText(this.#summary, t("meter.heading", { n: active, all: ROWS.length }));
  }
}

function whyOff(row: Row, { watermark, encryption }: Protections) {
  if (row === "watermark" && watermark === "off") return "meter.missing";
  return row === "encryption" && encryption === "unknown" ? "meter.unknown" : "meter.off";
}

function isOn(row: Row, { watermark, heartbeat, encryption, tls }: Protections): boolean {
  switch (row) {
    case "watermark":
      return watermark === "on";
    // The server keeps this for every code, whatever the page does.
    case "single":
      return true;
    case "heartbeat":
      return heartbeat;
    case "encryption":
      return encryption !== null && encryption !== "unknown";
    case "tls":
      return tls;
  }
}
