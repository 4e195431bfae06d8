/**
 * `<stagedoor-player src="…/index.m3u8">`: a live picture that keeps itself going, and its controls.
 *
 * Attributes in: `src` (playing begins when it is set, ends when it is removed), `holding` (the broadcaster is
 * away: hold the picture), `held` (`pause` or `blur`: until the reader has read why; `cover`: stopped and not shown), `muted` (begin without sound). Attributes out, for whoever watches from outside:
 * `data-status`, `data-playing` (`true` while the picture moves), `data-latency-ms`, `data-at-live`, `data-muted`.
 * Events: `change` (any of the getters may have changed), `refused` (the server said no to a playlist or part).
 * Slot `veil`: words over a held picture; present ones hide the loading sign.
 */
import * as format from "@stagedoor/kit/format";
import { icon } from "@stagedoor/kit/icons";
import { Backoff } from "../backoff.ts";
import type { Stage } from "../guard/mark.ts";
import { ServerClock } from "../model/clock.ts";
import { Scope } from "../scope.ts";
import { type Words, wordsFor } from "../words/index.ts";
import { takeStyles } from "./chrome.ts";
import type { Engine, Measure, Quality, Status, Trouble } from "./engine.ts";
import css from "./player.css?inline";
import { makeTree } from "./template.ts";

/**
 * Most of the bytes of this page are the protocol engine. They are fetched while the reader types a code, and are
 * not waited for by the door.
 */
const loadEngine = () => import("./engine.ts");

const sheet = new CSSStyleSheet();
sheet.replaceSync(css);

/** What `held` stops the picture for. */
const STOPS = ["pause", "cover"];
/** A window shorter than this (seconds) is not worth a scrubber. */
const SCRUB_MIN_S = 20;
const STEP_S = 10;
/** Numbers that change all the time are written this often: read, not flickering. */
const DRAW_MS = 500;

export class StagedoorPlayer extends HTMLElement {
  static readonly observedAttributes = ["src", "holding", "held"];

  /** Set before the element is connected; otherwise the reader's languages and a clock of its own. */
  words: Words = wordsFor(navigator.languages);
  clock = new ServerClock();

  readonly #root: ShadowRoot;
  readonly #fillStyles: () => void;
  readonly #video: HTMLVideoElement;
  #scope: Scope | null = null;
  #engine: Engine | null = null;
  #playback: Scope | null = null;
  #scrubbing = false;

  constructor() {
    super();
    this.#root = this.attachShadow({ mode: "open" });
    this.#root.adoptedStyleSheets = [sheet];
    const tree = makeTree();
    this.#fillStyles = takeStyles(tree);
    this.#root.append(tree);
    this.#video = this.#find("video");
  }

  connectedCallback(): void {
    this.#fillStyles();
    // The player is always night, whatever the page is.
    this.dataset.theme = "dark";
    this.#video.muted = this.hasAttribute("muted");
    const scope = new Scope();
    this.#scope = scope;
    this.#name();
    this.#operate(scope);
    scope.every(DRAW_MS, () => this.#draw());
    scope.defer(() => this.#stop());
    this.#start();
    this.#draw();
    // A failure here is tried again when there is something to play.
    loadEngine().catch(() => {});
  }

  disconnectedCallback(): void {
    this.#scope?.close();
    this.#scope = null;
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (before === now || this.#scope === null) return;
    if (name === "src") {
      this.#stop();
      this.#start();
    } else if (this.#engine !== null) {
      if (name === "holding") this.#engine.holding = now !== null;
      else this.#engine.stopped = STOPS.includes(now ?? "");
    }
  }

  // ---- for the page

  get status(): Status | "off" {
    return this.#engine?.status ?? (this.#playback === null ? "off" : "starting");
  }
  get trouble(): Trouble | null {
    return this.#engine?.trouble ?? null;
  }
  get mutedByBrowser(): boolean {
    return this.#engine?.mutedByBrowser ?? false;
  }
  measure(): Measure | null {
    return this.#engine?.measure() ?? null;
  }
  /** Milliseconds behind where a live viewer is; 0 when live. */
  get behindMs(): number {
    const range = this.#engine?.window ?? null;
    if (this.#engine?.inPast !== true || range === null) return 0;
    return Math.max(0, (range.live - this.#video.currentTime) * 1000);
  }

  /** What a mark over the picture stands on. */
  get surface(): Stage {
    const find = <E extends HTMLElement = HTMLElement>(selector: string) => this.#find<E>(selector);
    const [stage, bar, top] = [find(".stage"), find(".bar"), find(".unmute")];
    return { player: this, root: this.#root, stage, video: this.#video, bar, top };
  }

  /**
   * To be called inside the reader's tap, before there is anything to play: browsers remember which element was
   * asked to play by a person, and let that one make a sound later.
   */
  prime(): void {
    if (this.#engine === null) this.#video.play().catch(() => {});
  }

  override focus(options?: FocusOptions): void {
    this.#find<HTMLElement>("media-play-button").focus(options);
  }

  // ---- inside

  #find<E extends Element = HTMLElement>(selector: string): E {
    const found = this.#root.querySelector<E>(selector);
    if (found === null) throw new Error(`the template has no ${selector}`);
    return found;
  }

  #start(): void {
    const src = this.getAttribute("src");
    if (src === null || src === "" || this.#scope === null) return;
    const playback = this.#scope.child();
    this.#playback = playback;
    const backoff = new Backoff(500, 8_000);
    const load = () =>
      loadEngine().then(
        ({ Engine }) => {
          if (playback.closed) return;
          const engine = new Engine(this.#video, src, this.clock, {
            changed: () => this.#changed(),
            refused: () => this.dispatchEvent(new Event("refused")),
          });
          this.#engine = engine;
          playback.defer(() => {
            engine.close();
            this.#engine = null;
          });
          engine.holding = this.hasAttribute("holding");
          engine.stopped = STOPS.includes(this.getAttribute("held") ?? "");
          this.#changed();
        },
        () => void playback.after(backoff.next(), load),
      );
    void load();
    this.#changed();
  }

  #stop(): void {
    this.#playback?.close();
    this.#playback = null;
    this.#changed();
  }

  #changed(): void {
    const playing = String(this.status === "playing");
    const status = this.status;
    if (this.dataset.status !== status || this.dataset.playing !== playing) this.#draw();
    this.dispatchEvent(new Event("change"));
  }

  /** Names that do not change while the page is open. */
  #name(): void {
    const { words } = this;
    const t = words.t;
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", t("player.label"));
    this.#find("media-controller").setAttribute("lang", words.lang);
    const button = (selector: string, name: string, ...content: (Node | string)[]) => {
      const element = this.#find(selector);
      element.setAttribute("aria-label", name);
      element.title = name;
      element.replaceChildren(...content);
    };
    button(".info", t("player.details"), icon("info"));
    button(".quality", t("player.quality"), icon("quality"));
    button(".full", t("player.fullscreen"), icon("fullscreen"));
    this.#find(".unmute").replaceChildren(icon("muted"), t("player.tap_unmute"));
    this.#find(".scrub").setAttribute("aria-label", t("player.position"));
    this.#find(".details").setAttribute("aria-label", t("player.details"));
    this.#find(".menu legend").textContent = t("player.quality");
  }

  #operate(scope: Scope): void {
    const scrub = this.#find<HTMLInputElement>(".scrub");
    scope.listen(scrub, "pointerdown", () => {
      this.#scrubbing = true;
    });
    scope.listen(scrub, "input", () => this.#drawScrub(Number(scrub.value) / 1000));
    scope.listen(scrub, "change", () => {
      this.#scrubbing = false;
      this.#seekToFraction(Number(scrub.value) / 1000);
    });
    scope.listen(this.#find(".live"), "click", () => this.#engine?.goLive());
    scope.listen(this.#find(".unmute"), "click", () => {
      this.#engine?.unmute();
      this.focus();
    });
    scope.listen(this.#find(".info"), "click", () => this.#toggleDetails());
    scope.listen(this.#find(".quality"), "click", () => this.#toggleMenu());
    scope.listen(this.#find(".full"), "click", () => this.#toggleFull());
    scope.listen(this.#find("slot[name=veil]"), "slotchange", () => this.#draw());
    scope.listen(document, "fullscreenchange", () => this.#drawFull());
    // An iPhone's own full screen replaces the page and everything we lay over the picture.
    scope.listen(this.#video, "webkitbeginfullscreen", () => {
      (this.#video as { webkitExitFullscreen?: () => void }).webkitExitFullscreen?.();
    });
    scope.listen(this, "keydown", (event) => {
      if (this.#key(event)) {
        event.preventDefault();
        event.stopPropagation();
      }
    });
    scope.listen(this, "focusout", (event) => {
      if (!this.#root.querySelector(".menu-box")?.contains(event.relatedTarget as Node | null))
        this.#closeMenu();
    });
  }

  /** Keys work while the player has the focus, and leave to a control the keys it uses itself. */
  #key(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const target = event.composedPath()[0];
    const onRange =
      target instanceof HTMLInputElement || (target as Element)?.localName === "media-volume-range";
    const onButton =
      target instanceof HTMLButtonElement || /^media-.*-button$/.test((target as Element)?.localName ?? "");
    const engine = this.#engine;
    const video = this.#video;
    switch (event.key.length === 1 ? event.key.toLowerCase() : event.key) {
      case " ":
        if (onButton || onRange) return false;
        engine?.togglePlay();
        return true;
      case "k":
        engine?.togglePlay();
        return true;
      case "m":
        if (video.muted) engine?.unmute();
        else video.muted = true;
        return true;
      case "f":
        this.#toggleFull();
        return true;
      case "l":
        engine?.goLive();
        return true;
      case "i":
        this.#toggleDetails();
        return true;
      case "Escape":
        if (this.#closeMenu()) {
          this.#find(".quality").focus();
          return true;
        }
        if (this.hasAttribute("data-full")) {
          this.#toggleFull();
          return true;
        }
        return false;
      case "ArrowLeft":
      case "ArrowRight":
        if (onRange && !(target as Element).matches(".scrub")) return false;
        engine?.seekBy(event.key === "ArrowLeft" ? -STEP_S : STEP_S);
        return true;
      case "ArrowUp":
      case "ArrowDown":
        if (onRange) return false;
        video.volume = Math.min(1, Math.max(0, video.volume + (event.key === "ArrowUp" ? 0.1 : -0.1)));
        return true;
      default:
        return false;
    }
  }

  #seekToFraction(fraction: number): void {
    const range = this.#engine?.window;
    if (range) this.#engine?.seekTo(range.start + fraction * (range.live - range.start));
  }

  #toggleFull(): void {
    if (document.fullscreenElement !== null) {
      document.exitFullscreen().catch(() => {});
    } else if (this.hasAttribute("data-full")) {
      this.removeAttribute("data-full");
    } else if (document.fullscreenEnabled && this.requestFullscreen !== undefined) {
      this.requestFullscreen()
        .then(() => (screen.orientation as { lock?: (to: string) => Promise<void> }).lock?.("landscape"))
        // Only phones turn their picture; the others say so and that is fine.
        .catch(() => {});
    } else {
      this.setAttribute("data-full", "");
    }
    this.#drawFull();
  }

  #toggleDetails(): void {
    const details = this.#find(".details");
    details.hidden = !details.hidden;
    this.#find(".info").setAttribute("aria-expanded", String(!details.hidden));
    this.#draw();
  }

  #toggleMenu(): void {
    if (this.#closeMenu()) return;
    const menu = this.#find(".menu");
    const engine = this.#engine;
    if (engine === null) return;
    const options: [number, string][] = [
      [-1, this.words.t("player.quality_auto")],
      ...engine.qualities
        .map((q): [number, string] => [q.index, this.#qualityName(q, engine.qualities)])
        .reverse(),
    ];
    const chosen = engine.quality;
    const legend = this.#find(".menu legend");
    menu.replaceChildren(
      legend,
      ...options.map(([index, name]) => {
        const label = document.createElement("label");
        const radio = document.createElement("input");
        radio.type = "radio";
        radio.name = "quality";
        radio.checked = index === chosen;
        radio.addEventListener("change", () => {
          engine.quality = index;
        });
        label.append(radio, name);
        return label;
      }),
    );
    menu.hidden = false;
    this.#find(".quality").setAttribute("aria-expanded", "true");
    menu.querySelector<HTMLElement>("input:checked")?.focus();
  }

  #qualityName(quality: Quality, all: Quality[]): string {
    const alone = all.filter((other) => other.height === quality.height).length === 1;
    const rate = format.bitrate(this.words.locale, quality.bitrateBps);
    if (quality.height === 0) return rate;
    return alone ? `${quality.height}p` : `${quality.height}p, ${rate}`;
  }

  /** True when there was something to close. */
  #closeMenu(): boolean {
    const menu = this.#find(".menu");
    if (menu.hidden) return false;
    menu.hidden = true;
    this.#find(".quality").setAttribute("aria-expanded", "false");
    return true;
  }

  // ---- drawing

  #draw(): void {
    const engine = this.#engine;
    const { status } = this;
    const t = this.words.t;
    this.dataset.status = status;
    this.dataset.playing = String(status === "playing");
    this.dataset.muted = String(this.#video.muted);
    this.toggleAttribute("data-at-live", engine !== null && !engine.inPast);
    const latency = engine?.latencyMs ?? null;
    if (latency === null) delete this.dataset.latencyMs;
    else this.dataset.latencyMs = String(latency);
    const veil = this.#find<HTMLSlotElement>("slot[name=veil]");
    this.toggleAttribute(
      "data-veiled",
      veil.assignedElements().some((element) => !element.hasAttribute("hidden")),
    );
    this.#find(".unmute").hidden = !this.mutedByBrowser;
    this.#find(".menu-box").hidden = (engine?.qualities.length ?? 0) < 2;

    const live = this.#find<HTMLButtonElement>(".live");
    live.hidden = engine === null;
    const past = engine?.inPast === true;
    const text = past ? t("player.go_live") : t("player.at_live");
    if (live.textContent !== text || live.disabled === past) {
      const label = document.createElement("span");
      label.textContent = text;
      label.classList.toggle("go", past);
      live.replaceChildren(label);
      live.disabled = !past;
    }

    const range = engine?.window ?? null;
    const scrub = this.#find<HTMLInputElement>(".scrub");
    scrub.hidden = range === null || range.live - range.start < SCRUB_MIN_S;
    if (range !== null && !scrub.hidden && !this.#scrubbing) {
      const span = range.live - range.start;
      const at = past ? (this.#video.currentTime - range.start) / span : 1;
      scrub.value = String(Math.round(Math.min(1, Math.max(0, at)) * 1000));
      this.#drawScrub(Number(scrub.value) / 1000);
    }
    if (!this.#find(".details").hidden) this.#drawDetails();
  }

  #drawScrub(fraction: number): void {
    const scrub = this.#find<HTMLInputElement>(".scrub");
    const range = this.#engine?.window;
    scrub.style.setProperty("--fill", `${(fraction * 100).toFixed(1)}%`);
    if (!range) return;
    const behind = (1 - fraction) * (range.live - range.start) * 1000;
    const text =
      fraction >= 0.999
        ? this.words.t("player.at_live")
        : this.words.t("player.behind", { time: format.clock(behind) });
    scrub.setAttribute("aria-valuetext", text);
    scrub.title = text;
  }

  #drawFull(): void {
    const full = document.fullscreenElement === this || this.hasAttribute("data-full");
    const name = this.words.t(full ? "player.fullscreen_exit" : "player.fullscreen");
    const button = this.#find(".full");
    button.setAttribute("aria-label", name);
    button.title = name;
    button.replaceChildren(icon(full ? "fullscreenExit" : "fullscreen"));
  }

  #drawDetails(): void {
    const measure = this.measure();
    const { locale, t } = this.words;
    const none = t("details.none");
    const or = <T>(value: T | null | undefined, show: (value: T) => string) =>
      value === null || value === undefined ? none : show(value);
    const rows: [string, string][] = [
      [
        t("details.latency"),
        or(measure?.latencyMs, (ms) => {
          const latency = format.seconds(locale, ms);
          return measure?.targetMs
            ? t("details.latency_value", { latency, target: format.seconds(locale, measure.targetMs) })
            : latency;
        }),
      ],
      [
        t("details.picture"),
        or(measure?.height, (height) => {
          const rate = measure?.frameRate ? `, ${format.frameRate(locale, measure.frameRate)} fps` : "";
          return `${measure?.width} × ${height}${rate}`;
        }),
      ],
      [t("details.rate"), or(measure?.bitrateBps, (bps) => format.bitrate(locale, bps))],
      [t("details.codecs"), measure?.codecs ?? none],
      [t("details.buffer"), or(measure?.bufferMs, (ms) => format.seconds(locale, ms))],
      [t("details.bandwidth"), or(measure?.bandwidthBps, (bps) => format.bitrate(locale, bps))],
      [t("details.dropped"), or(measure?.framesDropped, (n) => format.number(locale, n))],
      [t("details.stalls"), or(measure?.stalls, (n) => format.number(locale, n))],
    ];
    const list = this.#find("dl");
    if (list.childElementCount !== rows.length * 2) {
      list.replaceChildren(
        ...rows.flatMap(() => [document.createElement("dt"), document.createElement("dd")]),
      );
    }
    rows.flat().forEach((text, i) => {
      const cell = list.children[i];
      if (cell && cell.textContent !== text) cell.textContent = text;
    });
  }
}

customElements.define("stagedoor-player", StagedoorPlayer);

declare global {
  interface HTMLElementTagNameMap {
    "stagedoor-player": StagedoorPlayer;
  }
}
