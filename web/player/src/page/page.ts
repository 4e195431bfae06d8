/**
 * The page, drawn from the state. `draw` may be called at any time and any number of times; it decides nothing.
 */
import * as format from "@stagedoor/kit/format";
import { brandMark } from "@stagedoor/kit/icons";
import type { StagedoorPlayer } from "../element/stagedoor-player.ts";
import { group, normalise } from "../model/code.ts";
import { type Entry, type OutReason, type Scene, type State, scene, wants } from "../model/state.ts";
import type { Scope } from "../scope.ts";
import type { Words } from "../words/index.ts";
import { groupWhileTyping } from "./code-field.ts";
import { el, setAttribute, setText, show } from "./dom.ts";

export interface PageEvents {
  submit(code: string): void;
  edit(): void;
  leave(): void;
  again(): void;
}

const OUT_WORDS = {
  revoked: "out.revoked",
  ended: "out.ended",
  expired: "out.expired",
  replaced: "out.replaced",
  left: "out.left",
} as const satisfies Record<Exclude<OutReason, null>, string>;

export class Page {
  readonly player: StagedoorPlayer;
  readonly #main = el("main", { "data-state": "opening" });
  readonly #announcer = el("p", { class: "visually-hidden", role: "status" });

  // the doorway
  readonly #house = el("section", { class: "house" });
  readonly #title = el("h1", { class: "event" });
  readonly #heading = el("h2", { tabindex: "-1" });
  readonly #lead = el("p", { class: "lead" });
  readonly #when = el("div", { class: "when", hidden: "" });
  readonly #countdown = el("span", { class: "countdown" });
  readonly #moment = el("span", { class: "muted" });
  readonly #form = el("form", { class: "code-form stack", novalidate: "" });
  readonly #input = el("input", {
    id: "code",
    name: "code",
    class: "input code-input",
    type: "text",
    inputmode: "text",
    autocomplete: "one-time-code",
    autocapitalize: "characters",
    autocorrect: "off",
    spellcheck: "false",
    enterkeyhint: "go",
    placeholder: "XXXX-XXXX-XXXX",
    "aria-describedby": "code-hint code-error",
  });
  readonly #hint = el("p", { id: "code-hint", class: "hint" });
  readonly #error = el("p", { id: "code-error", class: "error", role: "alert" });
  readonly #watch = el("button", { type: "submit", class: "button primary wide" });
  readonly #again = el("button", { type: "button", class: "button primary wide" });

  // the picture
  readonly #hall = el("section", { class: "hall", hidden: "" });
  readonly #veil = el("div", { class: "veil", slot: "veil", hidden: "" });
  readonly #veilHeading = el("strong");
  readonly #veilLead = el("p");
  readonly #playing = el("h1");
  readonly #status = el("span", { class: "status" });
  readonly #guest = el("span", { class: "muted small" });
  readonly #leave = el("button", { type: "button", class: "button quiet", hidden: "" });

  #scene: Scene | null = null;

  constructor(
    private readonly words: Words,
    scope: Scope,
    events: PageEvents,
  ) {
    const t = words.t;
    document.documentElement.lang = words.lang;
    document.documentElement.dir = words.dir;

    this.player = document.createElement("stagedoor-player");
    this.player.words = words;
    this.#veil.append(this.#veilHeading, this.#veilLead);
    this.player.append(this.#veil);

    const label = el("label", { for: "code" }, t("code.label"));
    this.#form.append(
      el("div", { class: "field" }, label, this.#input, this.#hint),
      this.#error,
      this.#watch,
    );
    setText(this.#hint, t("code.hint"));
    setText(this.#again, t("out.again"));
    setText(this.#leave, t("programme.leave"));
    this.#when.append(this.#countdown, this.#moment);

    this.#house.append(
      art(),
      el(
        "div",
        { class: "words stack" },
        this.#title,
        el("div", { class: "stack" }, this.#heading, this.#lead),
        this.#when,
        this.#form,
        this.#again,
      ),
    );
    this.#hall.append(
      this.player,
      el(
        "div",
        { class: "programme" },
        el(
          "div",
          { class: "stack" },
          this.#playing,
          el("div", { class: "cluster" }, this.#status, this.#guest),
        ),
      ),
    );
    this.#main.append(this.#house, this.#hall);
    const brand = el("span", { class: "brand" }, brandMark(), "Stagedoor");
    document.body.append(el("header", { class: "top" }, brand, this.#leave), this.#main, this.#announcer);

    groupWhileTyping(this.#input, scope, () => events.edit());
    scope.listen(this.#form, "submit", (event) => {
      event.preventDefault();
      // Inside the tap, so that the picture may start with its sound.
      this.player.prime();
      events.submit(normalise(this.#input.value));
    });
    scope.listen(this.#leave, "click", () => events.leave());
    scope.listen(this.#again, "click", () => {
      events.again();
      this.#input.focus();
    });
  }

  /** Puts a code that came with the link into the field. */
  fillIn(code: string): void {
    this.#input.value = group(code);
  }

  draw(state: State): void {
    const { words } = this;
    const t = words.t;
    const now = scene(state);
    const hall = wants(state).media !== null;
    const title = state.event?.title || "Stagedoor";

    setAttribute(this.#main, "data-state", now);
    setAttribute(document.documentElement, "data-state", now);
    this.#main.toggleAttribute("data-hall", hall);
    setAttribute(this.#main, "data-broadcast", state.phase.name === "in" ? state.broadcast : null);
    show(this.#house, !hall);
    show(this.#hall, hall);
    show(this.#leave, state.phase.name === "in");
    setText(this.#title, title);
    setText(this.#playing, title);
    const heading = t(`scene.${now}`);
    const page = t("page.title", { scene: heading, event: title });
    if (document.title !== page) document.title = page;

    const lead = this.#leadOf(state, now);
    if (hall) this.#drawHall(state, now, heading, lead);
    else this.#drawHouse(state, now, heading, lead);

    if (now !== this.#scene) {
      this.#scene = now;
      setText(this.#announcer, now === "code" ? "" : `${heading}. ${lead}`);
      this.#moveFocus(hall, now);
    }
  }

  #drawHouse(state: State, now: Scene, heading: string, lead: string): void {
    const { phase } = state;
    const form = phase.name === "door" ? phase.entry : null;
    setText(this.#heading, now === "code" ? this.words.t("door.heading") : heading);
    setText(this.#lead, lead);
    show(this.#form, form !== null);
    show(this.#again, now === "out");
    this.#drawWhen(state, now);
    if (form !== null) this.#drawForm(form, state.now);
    this.#main.toggleAttribute("data-busy", form?.step === "checking" || form?.step === "proving");
  }

  #drawForm(form: Entry, now: number): void {
    const t = this.words.t;
    const checking = form.step === "checking" || form.step === "proving";
    const cooling = form.step === "typing" && form.waitUntil !== null;
    setText(this.#watch, checking ? t("code.checking") : t("code.watch"));
    // Not `disabled`: that would take the focus away from whoever just pressed it.
    setAttribute(this.#watch, "aria-disabled", checking || cooling ? "true" : null);
    this.#input.readOnly = checking;

    let error = "";
    if (form.step === "retrying") {
      error = t(`retry.${form.trouble}`, { time: format.clock(form.at - now) });
    } else if (form.step === "typing" && form.refusal !== null) {
      const time = format.clock((form.waitUntil ?? now) - now);
      error = t(`refusal.${form.refusal}`, { time });
    }
    // A countdown is not read out again every second.
    setAttribute(this.#error, "role", form.step === "retrying" || cooling ? null : "alert");
    setText(this.#error, error);
    show(this.#error, error !== "");
    // What is wrong takes the place of how it is right: on a small phone the button stays in sight.
    show(this.#hint, error === "");
    const wrong = form.step === "typing" && form.refusal !== null && !cooling;
    setAttribute(this.#input, "aria-invalid", wrong ? "true" : null);
  }

  #drawWhen(state: State, now: Scene): void {
    const startsAt = state.event?.startsAt ?? null;
    const shown = now === "waiting" && startsAt !== null;
    show(this.#when, shown);
    if (!shown || startsAt === null) return;
    const { locale, t } = this.words;
    const left = startsAt - state.now;
    const at = new Date(startsAt);
    const day = 24 * 3600 * 1000;
    show(this.#countdown, left > 0 && left < day);
    setText(this.#countdown, format.clock(left));
    const moment = format.moment(locale, at, new Date(state.now));
    setText(
      this.#moment,
      left > 0 ? t("waiting.starts", { moment, zone: format.zoneName(locale, at) }) : t("waiting.soon"),
    );
  }

  #drawHall(state: State, now: Scene, heading: string, lead: string): void {
    const { words } = this;
    const veiled = now === "away" || now === "lost" || now === "busy" || now === "starting";
    show(this.#veil, veiled);
    setText(this.#veilHeading, heading);
    setText(this.#veilLead, lead);
    setAttribute(this.player, "holding", state.broadcast === "away" ? "" : null);

    const { broadcast } = state;
    const past = now === "live" && this.player.behindMs > 0;
    const status = past && broadcast !== "ended" ? "past" : broadcast;
    // Trouble on our side says nothing about the broadcast.
    show(this.#status, now !== "lost" && now !== "busy" && status !== "idle");
    setAttribute(this.#status, "data-state", status);
    if (status !== "idle") setText(this.#status, words.t(`status.${status}`));
    const name = state.phase.name === "in" ? state.phase.session.name : "";
    setText(this.#guest, name === "" ? "" : words.t("programme.guest", { name }));
  }

  #leadOf(state: State, now: Scene): string {
    const t = this.words.t;
    switch (now) {
      case "code":
        return t(state.broadcast === "live" ? "door.lead_live" : "door.lead");
      case "out": {
        const reason = state.phase.name === "out" ? state.phase.reason : null;
        return t(reason === null ? "out.unknown" : OUT_WORDS[reason]);
      }
      case "missing":
      case "waiting":
      case "starting":
      case "away":
      case "ended":
      case "lost":
      case "busy":
        return t(`${now}.lead`);
      default:
        return "";
    }
  }

  /** Focus is moved only when what had it is gone, so that keys and screen readers do not fall off the page. */
  #moveFocus(hall: boolean, now: Scene): void {
    const active = document.activeElement;
    const gone = active === null || active === document.body || active.closest("[hidden]") !== null;
    if (!gone) return;
    if (hall) this.player.focus({ preventScroll: true });
    else if (now !== "code" && now !== "opening") this.#heading.focus({ preventScroll: true });
  }
}

function art(): HTMLElement {
  const box = (name: string, ...children: Node[]) => el("div", { class: name }, ...children);
  return el(
    "div",
    { class: "art", "aria-hidden": "true" },
    box("door", box("lamp"), box("spill"), box("opening"), box("leaf", box("knob"))),
  );
}
