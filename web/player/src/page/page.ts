/**
 * The page, drawn from the state. `draw` may be called at any time and any number of times; it decides nothing.
 */
import * as format from "@stagedoor/kit/format";
import { brandMark } from "@stagedoor/kit/icons";
import type { StagedoorPlayer } from "../element/stagedoor-player.ts";
import { group, normalise } from "../model/code.ts";
import {
  type Entry,
  isUnguarded,
  type OutReason,
  type Scene,
  type State,
  scene,
  wants,
} from "../model/state.ts";
import type { Scope } from "../scope.ts";
import type { Words } from "../words/index.ts";
import { CautionNotice } from "./caution.ts";
import { groupWhileTyping } from "./code-field.ts";
import { el, setAttribute, setText, show } from "./dom.ts";
import { GuestList } from "./guests.ts";
import { Meter } from "./meter.ts";
import { QuestionDialog } from "./question.ts";

export interface PageEvents {
  submit(code: string): void;
  edit(): void;
  leave(): void;
  again(): void;
  /** Waits no longer, in line or for the other screen. */
  giveUp(): void;
  answer(approve: boolean): void;
  bring(name: string): void;
  /** The reader has read what was seen. */
  acknowledge(): void;
}

/** Scenes in which words lie over the picture. */
const VEILED: readonly Scene[] = ["away", "lost", "busy", "starting", "unguarded", "sealed"];

/** A place that changes is read out at most this often. */
const SPOKEN_MS = 30_000;

const OUT_WORDS = {
  revoked: "out.revoked",
  ended: "out.ended",
  expired: "out.expired",
  replaced: "out.replaced",
  kicked: "out.kicked",
  taken_over: "out.taken_over",
  code_changed: "out.code_changed",
  blocked: "out.blocked",
  tampering: "out.tampering",
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

  readonly #message = el("figure", { class: "message", hidden: "" });
  readonly #messageFrom = el("figcaption", { class: "muted small" });
  readonly #messageText = el("blockquote");
  readonly #wait = el("div", { class: "wait", hidden: "" });
  readonly #waitLabel = el("span", { class: "muted small" });
  readonly #waitFigure = el("strong", { class: "figure tabular" });
  readonly #waitMore = el("span", { class: "more" });
  readonly #waitBar = el("span", { class: "bar", "aria-hidden": "true" });
  readonly #waitHint = el("p", { class: "muted small" });
  readonly #giveUp = el("button", { type: "button", class: "button wide" });
  readonly #question: QuestionDialog;
  readonly #guests: GuestList;
  readonly #caution: CautionNotice;
  readonly #meter: Meter;
  readonly #notice = el("p", { class: "notice", role: "status" });
  /** What the notice says, as it was written here: the element's own text is anybody's. */
  #noticed = "";
  readonly #help = el("section", { class: "caution stack", hidden: "" });
  readonly #helpAppeal = el("p", { class: "muted" });
  #askedFor: { id: string; ms: number } | null = null;
  #spoken = { text: "", at: 0 };

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
    this.#message.append(this.#messageFrom, this.#messageText);
    const help = ["unguarded.allow", "unguarded.reload"] as const;
    this.#help.append(
      el("h2", {}, t("unguarded.heading")),
      el("p", {}, t("unguarded.what")),
      el("ul", {}, ...help.map((name) => el("li", {}, t(name)))),
      this.#helpAppeal,
    );
    this.#wait.append(this.#waitLabel, this.#waitFigure, this.#waitMore, this.#waitBar, this.#waitHint);
    this.#question = new QuestionDialog(words, scope, (approve) => events.answer(approve));
    this.#guests = new GuestList(words, scope, (name) => events.bring(name));
    this.#caution = new CautionNotice(words, scope, () => events.acknowledge());
    this.#meter = new Meter(words);

    this.#house.append(
      art(),
      el(
        "div",
        { class: "words stack" },
        this.#title,
        el("div", { class: "stack" }, this.#heading, this.#lead),
        this.#when,
        this.#message,
        this.#wait,
        this.#form,
        this.#again,
        this.#giveUp,
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
        this.#help,
        this.#caution.banner,
        this.#guests.element,
        this.#meter.element,
      ),
    );
    this.#main.append(this.#house, this.#hall);
    const brand = el("span", { class: "brand" }, brandMark(), "Stagedoor");
    document.body.append(el("header", { class: "top" }, brand, this.#leave), this.#main, this.#announcer);
    document.body.append(this.#notice, this.#question.element, this.#caution.dialog);

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
    scope.listen(this.#giveUp, "click", () => {
      events.giveUp();
      this.#input.focus();
    });
  }

  /** Whether something of this page stands in front of the picture, by what was drawn and not by what is in the tree. */
  get isInFront(): boolean {
    return this.#question.isShown || this.#caution.isShown || this.#noticed !== "";
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
    const moved = state.phase.name === "out" && state.phase.reason === "taken_over";
    const heading = moved ? t("out.moved") : t(`scene.${now}`);
    const page = t("page.title", { scene: heading, event: title });
    if (document.title !== page) document.title = page;

    const lead = this.#leadOf(state, now);
    if (hall) this.#drawHall(state, now, heading, lead);
    else this.#drawHouse(state, now, heading, lead);

    this.#question.draw(state);
    this.#guests.draw(state);
    this.#caution.draw(state);
    this.#meter.draw(state);
    const over = state.answered?.state;
    this.#noticed =
      over === undefined || over === "pending" || over === "approved" ? "" : t(`question.${over}`);
    setText(this.#notice, this.#noticed);
    this.#drawHelp(state);

    if (now !== this.#scene) {
      this.#scene = now;
      this.#spoken = { text: "", at: state.now };
      setText(this.#announcer, now === "code" ? "" : `${heading}. ${lead}`);
      this.#moveFocus(hall, now);
    }
  }

  /** What to do where a part of this page cannot be fetched. */
  #drawHelp(state: State): void {
    const session = state.phase.name === "in" ? state.phase.session : null;
    const quoted = session?.guard?.watermark?.lines.at(-1) ?? session?.id ?? "";
    setText(this.#helpAppeal, this.words.t("caution.appeal", { session: quoted }));
    show(this.#help, isUnguarded(state));
  }

  #drawHouse(state: State, now: Scene, heading: string, lead: string): void {
    const { phase } = state;
    const form = phase.name === "door" ? phase.entry : null;
    setText(this.#heading, now === "code" ? this.words.t("door.heading") : heading);
    setText(this.#lead, lead);
    const waits = now === "queue" || now === "asking";
    show(this.#form, form !== null && !waits);
    show(this.#again, now === "out" || now === "elsewhere");
    setText(this.#again, this.words.t(now === "elsewhere" ? "elsewhere.again" : "out.again"));
    const message = phase.name === "out" ? phase.message : null;
    show(this.#message, message !== null);
    // What the rules did is not the organiser's word; the server says it in English.
    const byRules = phase.name === "out" && phase.reason === "tampering";
    setText(this.#messageFrom, this.words.t(byRules ? "out.seen" : "out.message"));
    setAttribute(this.#messageText, "lang", byRules ? "en" : null);
    setText(this.#messageText, message ?? "");
    this.#drawWait(form, state.now);
    this.#drawWhen(state, now);
    if (form !== null && !waits) this.#drawForm(form, state.now);
    this.#main.toggleAttribute("data-busy", form?.step === "checking" || form?.step === "proving");
  }

  /** A place in line, or the time that the other screen has to answer. */
  #drawWait(form: Entry | null, now: number): void {
    const t = this.words.t;
    const waits = form?.step === "queue" || form?.step === "asking";
    show(this.#wait, waits);
    show(this.#giveUp, waits);
    if (form?.step === "queue") {
      const { position, etaMs } = form.place;
      const ahead = position - 1;
      setText(this.#waitLabel, t("queue.position"));
      setText(this.#waitFigure, format.number(this.words.locale, position));
      const front = ahead === 0 ? t("queue.next") : t("queue.ahead", { n: ahead });
      const more = `${front} · ${this.#eta(etaMs)}`;
      setText(this.#waitMore, more);
      setText(this.#waitHint, t("queue.keep"));
      setText(this.#giveUp, t("queue.leave"));
      show(this.#waitBar, false);
      // Not read out with every step of a long line.
      if (more !== this.#spoken.text && now - this.#spoken.at >= SPOKEN_MS) {
        this.#spoken = { text: more, at: now };
        setText(this.#announcer, more);
      }
    }
    if (form?.step === "asking") {
      const { id, expiresAt } = form.asking;
      const left = Math.max(0, expiresAt - now);
      if (this.#askedFor?.id !== id) this.#askedFor = { id, ms: Math.max(1, left) };
      setText(this.#waitLabel, t("asking.left"));
      setText(this.#waitFigure, format.clock(left));
      setText(this.#waitMore, "");
      setText(this.#waitHint, "");
      setText(this.#giveUp, t("asking.cancel"));
      show(this.#waitBar, true);
      this.#waitBar.style.setProperty("--share", String(Math.min(1, left / this.#askedFor.ms)));
    }
    show(this.#waitMore, this.#waitMore.textContent !== "");
    show(this.#waitHint, this.#waitHint.textContent !== "");
  }

  #eta(ms: number | null): string {
    const t = this.words.t;
    if (ms === null) return t("queue.unknown");
    if (ms < 50_000) return t("queue.moment");
    if (ms > 3_600_000) return t("queue.hours");
    return t("queue.minutes", { n: Math.round(ms / 60_000) });
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
    const veiled = VEILED.includes(now);
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
      case "elsewhere":
        return state.phase.name === "elsewhere" ? t(`elsewhere.${state.phase.why}`) : "";
      case "asking": {
        const form = state.phase.name === "door" ? state.phase.entry : null;
        const device = form?.step === "asking" ? form.asking.device : "";
        return device === "" ? t("asking.lead_unknown") : t("asking.lead", { device });
      }
      case "queue":
      case "missing":
      case "waiting":
      case "starting":
      case "away":
      case "ended":
      case "lost":
      case "busy":
      case "unguarded":
        return t(`${now}.lead`);
      case "sealed":
        return t(isSecureContext ? "sealed.lead" : "sealed.insecure");
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
