/**
 * Whether the mark is there, seen and whole: six guards that look at it in six ways, because each is blind where another
 * sees. Which attack is noticed by which is in `docs/watermark-attacks.md`, which a test writes.
 *
 * They look once a second while the picture plays (two of them, which are dear, at every fourth look), and at every
 * challenge of the server: a page whose timers were stopped still looks whenever it is asked. Nothing here blocks the
 * picture. What is undone is put back.
 */
import type { Scope } from "../scope.ts";
import { isHidden, isPlaying } from "../sight.ts";
import type { Mark, Stage } from "./mark.ts";
import { pictureOn } from "./place.ts";
import { type Name, Steady } from "./report.ts";
import type { Standing } from "./standing.ts";

export type Seen = (name: Name, detail?: string) => void;

/** Whether something stands over the picture by the page's own doing: dialogs, a notice. */
export type Own = () => boolean;

/** Guards that wait a moment before they say something. */
const LASTING = ["watermark_style", "watermark_geometry", "watermark_occlusion", "watermark_hit"] as const;
type Lasting = (typeof LASTING)[number];

const LOOK_MS = 1_000;
/** A page in the background plays unseen by the guards; after this they say nothing any more, for or against. */
const UNSEEN_MS = 10_000;
/** Reading the canvas back and touching the page, which works its whole style out anew, are dearer. */
const DEAR_EVERY_MS = 3_500;
/** A rotation, a resize, a hop: for so long rectangles do not agree. */
const GRACE_MS = 500;
/** Put back at most this often a second: somebody who removes it in a loop shall not freeze the page. */
const REPAIRS_A_SECOND = 4;
/** Less is a picture that is hidden together with its mark. */
const OPACITY_MIN = 0.5;
/** Of nine points; a tooltip covers fewer. */
const COVERED_MAX = 2;
/** The mark may be drawn smaller (a page that is zoomed by a rule) by this. */
const SHRUNK_MIN = 0.5;

export class Guards {
  readonly #chain: readonly Node[];
  readonly #steady: Record<Lasting, Steady> = {
    watermark_style: new Steady(GRACE_MS),
    watermark_geometry: new Steady(GRACE_MS),
    watermark_occlusion: new Steady(GRACE_MS * 2),
    watermark_hit: new Steady(GRACE_MS),
  };
  readonly #force = new CSSStyleSheet();
  /** When the dear ones last looked. */
  #touched = Number.NEGATIVE_INFINITY;
  #read = Number.NEGATIVE_INFINITY;
  #repairs = { since: 0, count: 0 };
  /** When the picture was last looked at, or stood still: then it is as it was last seen. */
  #looked = performance.now();
  /** What the browser says about whether the mark is seen; `null` where it cannot say. */
  #visible: boolean | null = null;

  constructor(
    private readonly mark: Mark,
    private readonly on: Stage,
    private readonly own: Own,
    private readonly standing: Standing,
    private readonly seen: Seen,
    scope: Scope,
  ) {
    this.#chain = flatChain(mark.host);
    this.#force.replaceSync("* { pointer-events: auto !important; }");
    this.#watchDom(scope);
    this.#watchSight(scope);
    scope.every(LOOK_MS, () => this.look());
    this.look();
  }

  /** One look of all guards. */
  look(): void {
    this.mark.place();
    const { seen, standing } = this;
    const now = performance.now();
    this.#dom();
    if (!isPlaying(this.on.video)) {
      this.#looked = now;
      return;
    }
    if (isHidden()) {
      this.#unseen(now);
      return;
    }
    this.#looked = now;
    const settled = this.mark.settledMs() >= GRACE_MS;
    const judge = (name: Lasting, detail: string | null) => {
      standing.set(name, detail === null);
      if (this.#steady[name].is(detail !== null, now)) seen(name, detail ?? "");
    };
    judge("watermark_style", this.#style());
    if (settled) {
      judge("watermark_geometry", this.#geometry());
      // What was found is asked about again at the next look: it counts if it lasts.
      if (now - this.#touched >= DEAR_EVERY_MS || this.#steady.watermark_hit.begun) {
        this.#touched = now;
        judge("watermark_hit", this.#hit());
      }
      this.#occlusion(now);
    }
    if (now - this.#read >= DEAR_EVERY_MS) {
      this.#read = now;
      this.#pixels();
    }
  }

  /** In the background nothing is drawn: no sign of anything, and no word that all is well. */
  #unseen(now: number): void {
    for (const name of LASTING) this.#steady[name].is(false, now);
    if (now - this.#looked < UNSEEN_MS) return;
    for (const name of [...LASTING, "watermark_pixels"] as const) this.standing.forget(name);
  }

  // ---- the tree

  /**
   * False positives: translators and extensions touch the page everywhere, so only the mark, its attributes and the line
   * of its parents are watched, and of the parents only whether they still hold what leads to the mark.
   */
  #watchDom(scope: Scope): void {
    if (typeof MutationObserver !== "function") return;
    const observer = new MutationObserver(() => this.#dom());
    observer.observe(this.mark.host, { attributes: true, childList: true });
    for (const node of this.#chain) {
      const parent = node.parentNode;
      if (parent !== null) observer.observe(parent, { childList: true });
    }
    scope.defer(() => observer.disconnect());
  }

  #dom(): void {
    const { host } = this.mark;
    let wrong: string | null = null;
    if (host.parentNode !== this.on.stage) wrong = "removed";
    else if (host.nextSibling !== null) wrong = "not last";
    else if (host.getAttributeNames().some((name) => name !== "aria-hidden")) wrong = "attributes";
    else if (host.childNodes.length > 0) wrong = "children";
    else if (
      !this.#chain.every((node, i) => i === this.#chain.length - 1 || above(node) === this.#chain[i + 1])
    )
      wrong = "moved";
    else if (!this.on.stage.contains(this.on.video)) wrong = "picture moved";
    this.standing.set("watermark_dom", wrong === null);
    if (wrong === null) return;
    this.seen("watermark_dom", wrong);
    this.#repair();
  }

  #repair(): void {
    const now = performance.now();
    if (now - this.#repairs.since >= 1_000) this.#repairs = { since: now, count: 0 };
    this.#repairs.count += 1;
    if (this.#repairs.count > REPAIRS_A_SECOND) return;
    this.mark.host.replaceChildren();
    this.mark.stand();
  }

  // ---- computed style, from the canvas up to the root

  /**
   * False positives: dark-mode extensions invert the page and dim it, forced colours repaint it. Colours may change as
   * they like; what is looked for is what takes something away from the picture.
   */
  #style(): string | null {
    let opacity = 1;
    for (const element of this.#elements()) {
      const style = getComputedStyle(element);
      const ours = element === this.mark.canvas || element === this.mark.host;
      if (style.display === "none") return "display";
      if (ours && style.visibility !== "visible") return "visibility";
      if (style.contentVisibility === "hidden") return "content-visibility";
      if (style.clipPath !== "none" && style.clipPath !== "") return "clip-path";
      if (has(style.maskImage)) return "mask";
      if (ours && (style.mixBlendMode !== "normal" || has(style.filter))) return "blend";
      if (/blur|opacity|url/.test(style.filter)) return "filter";
      opacity *= Number(style.opacity);
    }
    return opacity < OPACITY_MIN ? "opacity" : null;
  }

  *#elements(): Generator<Element> {
    yield this.mark.canvas;
    for (const node of this.#chain) if (node instanceof Element) yield node;
  }

  // ---- rectangles

  /** False positives: while the screen turns, rectangles are half old and half new; so only what lasts counts. */
  #geometry(): string | null {
    const mark = this.mark.canvas.getBoundingClientRect();
    const stage = this.on.stage.getBoundingClientRect();
    const video = this.on.video.getBoundingClientRect();
    const scale = this.on.stage.clientWidth > 0 ? stage.width / this.on.stage.clientWidth : 0;
    if (mark.width < this.mark.width * scale * SHRUNK_MIN || mark.width < 1) return "small";
    if (mark.height < this.mark.height * scale * SHRUNK_MIN || mark.height < 1) return "small";
    const inside =
      mark.left >= stage.left - 2 &&
      mark.right <= stage.right + 2 &&
      mark.top >= stage.top - 2 &&
      mark.bottom <= stage.bottom + 2;
    if (!inside) return "outside";
    const { videoWidth: width, videoHeight: height } = this.on.video;
    const picture = pictureOn(video, { width, height });
    const over =
      mark.left >= picture.left - 2 &&
      mark.right <= picture.left + picture.width + 2 &&
      mark.top >= picture.top - 2 &&
      mark.bottom <= picture.top + picture.height + 2;
    return over ? null : "not over the picture";
  }

  // ---- what is in front of it

  /**
   * The browser's own judgement of whether the mark is seen (Chromium only). False positives: it promises nothing as soon
   * as an ancestor has a filter or a transform, so there this guard does not stand and says nothing; and our own dialogs
   * are in front of everything.
   */
  #watchSight(scope: Scope): void {
    if (typeof IntersectionObserver !== "function") return;
    const options = { threshold: [0, 1], trackVisibility: true, delay: 200 };
    const observer = new IntersectionObserver((entries) => {
      const last = entries[entries.length - 1] as
        | (IntersectionObserverEntry & { isVisible?: boolean })
        | undefined;
      // Scrolled away is not covered.
      this.#visible = last?.isVisible === undefined ? null : last.isVisible || last.intersectionRatio < 1;
    }, options as IntersectionObserverInit);
    observer.observe(this.mark.canvas);
    scope.defer(() => observer.disconnect());
  }

  #occlusion(now: number): void {
    const unsure = this.#visible === null || this.own() || !this.#guaranteed();
    const covered = !unsure && this.#visible === false;
    this.standing.set("watermark_occlusion", !unsure && !covered);
    if (this.#steady.watermark_occlusion.is(covered, now)) this.seen("watermark_occlusion", "covered");
  }

  #guaranteed(): boolean {
    for (const element of this.#elements()) {
      const { filter, opacity, transform } = getComputedStyle(element);
      if (has(filter) || Number(opacity) < 1) return false;
      if (element !== this.mark.canvas && has(transform)) return false;
    }
    return true;
  }

  /**
   * Who is on top at nine points of the mark, with everything made touchable for the length of the question. False
   * positives: a tooltip, a bubble of an extension; so it takes more than two points.
   */
  #hit(): string | null {
    const { canvas, host } = this.mark;
    const { player, root } = this.on;
    const rect = canvas.getBoundingClientRect();
    if (this.own()) return null;
    const sheets = [document, root] as const;
    // Copies: what the property answers with changes with it.
    const before = sheets.map((scope) => [...scope.adoptedStyleSheets]);
    let covered = 0;
    let by = "";
    canvas.style.pointerEvents = "auto";
    try {
      sheets.forEach((scope, i) => {
        scope.adoptedStyleSheets = [...(before[i] ?? []), this.#force];
      });
      for (let i = 0; i < 9; i += 1) {
        const x = rect.left + (rect.width * ((i % 3) + 0.5)) / 3;
        const y = rect.top + (rect.height * (Math.floor(i / 3) + 0.5)) / 3;
        if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue;
        const top = document.elementFromPoint(x, y);
        const within = top === player ? root.elementFromPoint(x, y) : top;
        if (within === host || within === null) continue;
        covered += 1;
        by = within.localName;
      }
    } finally {
      canvas.style.pointerEvents = "";
      sheets.forEach((scope, i) => {
        scope.adoptedStyleSheets = before[i] ?? [];
      });
    }
    return covered > COVERED_MAX ? `${covered} of 9 under ${by}` : null;
  }

  // ---- what is in it

  /** False positives: browsers that answer with noise; see `Mark.intact`. */
  #pixels(): void {
    const intact = this.mark.intact();
    this.standing.set("watermark_pixels", intact === true);
    if (intact === false) this.seen("watermark_pixels", "not as drawn");
  }
}

function has(value: string): boolean {
  return value !== "" && value !== "none";
}

/** The parent of a node where it is drawn: the slot it is in, the host of its root. */
function above(node: Node): Node | null {
  if (node instanceof Element && node.assignedSlot !== null) return node.assignedSlot;
  const parent = node.parentNode;
  return parent instanceof ShadowRoot ? parent.host : parent;
}

function flatChain(from: Node): readonly Node[] {
  const chain: Node[] = [];
  for (let node: Node | null = from; node !== null; node = above(node)) chain.push(node);
  return chain;
}
