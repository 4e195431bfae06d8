/**
 * The personal watermark: a few lines that say whose picture this is, drawn into a canvas inside a closed shadow root,
 * last in the player's stage. It hops over the free part of the picture and never onto the controls.
 *
 * Its rules are `!important` inside its own root. Such rules outrank every rule and inline style of the page around, so
 * what is written on the host from outside has no effect; what is done to its ancestors happens to the picture as well.
 *
 * # Source
 * CSS Cascading and Inheritance 5, section 6.1: among important declarations the inner context wins.
 */
import type { Scope } from "../scope.ts";
import { pictureOn, placeIn, slotAt } from "./place.ts";

/** What the mark stands on, inside the player. */
export interface Stage {
  readonly player: HTMLElement;
  readonly root: ShadowRoot;
  readonly stage: HTMLElement;
  readonly video: HTMLVideoElement;
  /** Controls that are never covered: at the bottom, and at the top while it is shown. */
  readonly bar: HTMLElement;
  readonly top: HTMLElement;
}

const HOST_CSS = `:host {
  all: initial !important;
  position: absolute !important;
  inset: 0 !important;
  display: block !important;
  overflow: clip !important;
  pointer-events: none !important;
  user-select: none !important;
  forced-color-adjust: none !important;
  z-index: 2147483647 !important;
}
canvas {
  position: absolute;
  inset: 0 auto auto 0;
  display: block;
  max-inline-size: none;
}
canvas.glides {
  transition: transform 600ms ease-in-out;
}`;

const LINES_MAX = 3;
/** Letters of a line; a longer name is cut, not shrunk until nobody can read it. */
const LETTERS_MAX = 40;
/** CSS pixels. Eleven can be read on a photograph of a phone; more than 26 is a poster. */
const FONT_MIN = 11;
const FONT_MAX = 26;
/** Share of the picture's width. */
const FONT_SHARE = 0.022;
const WIDTH_SHARE = 0.6;
const LEADING = 1.3;
/** Sharper than two device pixels nobody sees, and reading it back costs more. */
const RATIO_MAX = 2;

/** Cells of the picture of itself that is compared, across and down. */
const ACROSS = 12;
const DOWN = 4;
/** So far (of 255) a cell may be from what was drawn: browsers that hide their fingerprint add noise to what is read. */
const NOISE = 20;
/** A canvas that reads back fuller than any text is one whose browser does not tell what is in it. */
const FULLEST = 200;

export class Mark {
  readonly host = document.createElement("div");
  readonly canvas = document.createElement("canvas");
  /** Size in CSS pixels as drawn. */
  width = 0;
  height = 0;
  readonly #inner: ShadowRoot;
  readonly #sheet: CSSStyleSheet;
  readonly #lines: readonly string[];
  readonly #context: CanvasRenderingContext2D | null;
  #drawnFor = "";
  #placedOn = "";
  #signature: readonly number[] | null = null;
  #movedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly on: Stage,
    lines: readonly string[],
    private readonly seed: Uint8Array,
    private readonly now: () => number,
    scope: Scope,
  ) {
    this.#lines = lines.slice(0, LINES_MAX).map((line) => line.slice(0, LETTERS_MAX));
    this.#inner = this.host.attachShadow({ mode: "closed" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(HOST_CSS);
    this.#sheet = sheet;
    // Read out with the picture it would only be noise: the name is on the page as text.
    this.host.ariaHidden = "true";
    this.#context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.stand();
    const resized = new ResizeObserver(() => this.place());
    resized.observe(on.stage);
    scope.defer(() => {
      resized.disconnect();
      this.host.remove();
    });
  }

  /** Puts the mark (back) where it belongs, drawn and placed. */
  stand(): void {
    if (this.host.parentNode !== this.on.stage || this.host.nextSibling !== null)
      this.on.stage.append(this.host);
    if (this.canvas.parentNode !== this.#inner) this.#inner.replaceChildren(this.canvas);
    if (this.#inner.adoptedStyleSheets[0] !== this.#sheet) this.#inner.adoptedStyleSheets = [this.#sheet];
    for (const name of this.host.getAttributeNames()) {
      if (name !== "aria-hidden") this.host.removeAttribute(name);
    }
    this.place();
  }

  /** Milliseconds since the stage or the place last changed: a moment in which rectangles do not agree. */
  settledMs(): number {
    return performance.now() - this.#movedAt;
  }

  /** Where it has to be now. Draws anew when the stage has another size. */
  place(): void {
    const { stage, video, bar, top } = this.on;
    const { clientWidth, clientHeight } = stage;
    if (clientWidth === 0 || clientHeight === 0) return;
    // Never on the bars beside the picture: they can be cut off.
    const picture = pictureOn(
      { left: 0, top: 0, width: clientWidth, height: clientHeight },
      { width: video.videoWidth, height: video.videoHeight },
    );
    const size = Object.values(picture).join(" ");
    // On a stage of another size it stands anew; it does not glide in from where there is no picture any more.
    const glides = size === this.#placedOn && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#placedOn = size;
    this.#draw(picture.width);
    const bottom = picture.top + picture.height;
    let from = Math.max(picture.top, top.hidden ? 0 : top.offsetTop + top.offsetHeight);
    let last = Math.min(bottom, clientHeight - bar.offsetHeight);
    // A picture too low for all of it keeps the controls at the bottom free as long as it can.
    if (last - from < this.height) from = picture.top;
    if (last - from < this.height) last = bottom;
    const { x, y } = placeIn(this.seed, slotAt(this.now()));
    const left = Math.round(picture.left + x * Math.max(0, picture.width - this.width));
    const down = Math.round(from + y * Math.max(0, last - from - this.height));
    const transform = `translate(${left}px, ${down}px)`;
    if (this.canvas.style.transform === transform) return;
    this.canvas.className = glides ? "glides" : "";
    this.canvas.style.transform = transform;
    this.#movedAt = performance.now();
  }

  /**
   * Whether the canvas still holds what was drawn: `null` when this browser does not let a page read its own canvas.
   * What is gone is drawn again.
   */
  intact(): boolean | null {
    const before = this.#signature;
    const now = this.#read();
    if (before === null || now === null) return null;
    const same = before.every((mean, i) => Math.abs(mean - (now[i] ?? 0)) <= NOISE);
    const blank = before.every((mean) => mean === 0);
    if (same && !blank) return true;
    this.#drawnFor = "";
    this.place();
    return false;
  }

  #draw(pictureWidth: number): void {
    const ratio = Math.min(RATIO_MAX, Math.max(1, devicePixelRatio));
    const key = `${pictureWidth} ${ratio}`;
    const context = this.#context;
    if (key === this.#drawnFor || context === null) return;
    this.#drawnFor = key;
    let size = Math.min(FONT_MAX, Math.max(FONT_MIN, pictureWidth * FONT_SHARE));
    const font = () => `600 ${size}px system-ui, sans-serif`;
    context.font = font();
    const widest = () => Math.max(...this.#lines.map((line) => context.measureText(line).width));
    const room = pictureWidth * WIDTH_SHARE;
    if (widest() > room) {
      size = Math.max(FONT_MIN, (size * room) / widest());
      context.font = font();
    }
    const edge = size / 3;
    this.width = Math.ceil(widest() + 2 * edge);
    this.height = Math.ceil(this.#lines.length * size * LEADING + 2 * edge);
    this.canvas.width = this.width * ratio;
    this.canvas.height = this.height * ratio;
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    // A canvas of another size has forgotten everything.
    context.scale(ratio, ratio);
    context.font = font();
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = size / 5;
    context.strokeStyle = "rgb(0 0 0 / 40%)";
    context.fillStyle = "rgb(255 255 255 / 55%)";
    this.#lines.forEach((line, i) => {
      const y = edge + (i + 0.5) * size * LEADING;
      context.strokeText(line, this.width / 2, y);
      context.fillText(line, this.width / 2, y);
    });
    this.#signature = this.#read();
  }

  /** How full each cell is, 0–255; `null` when the canvas cannot be read or reads as something that no text is. */
  #read(): readonly number[] | null {
    const { width, height } = this.canvas;
    const context = this.#context;
    if (context === null || width === 0 || height === 0) return null;
    let data: Uint8ClampedArray;
    try {
      ({ data } = context.getImageData(0, 0, width, height));
    } catch {
      return null;
    }
    const cells = new Array<number>(ACROSS * DOWN).fill(0);
    const counts = new Array<number>(ACROSS * DOWN).fill(0);
    for (let y = 0; y < height; y += 1) {
      const row = Math.floor((y * DOWN) / height) * ACROSS;
      for (let x = 0; x < width; x += 1) {
        const cell = row + Math.floor((x * ACROSS) / width);
        cells[cell] = (cells[cell] ?? 0) + (data[(y * width + x) * 4 + 3] ?? 0);
        counts[cell] = (counts[cell] ?? 0) + 1;
      }
    }
    const means = cells.map((sum, i) => sum / Math.max(1, counts[i] ?? 1));
    return means.every((mean) => mean >= FULLEST) ? null : means;
  }
}
