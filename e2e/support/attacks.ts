/** Ways to get at the picture without its mark, as people do it with a console: each is done in the page, and undone. */

/** What an attack finds in the page. */
export interface Hands {
  player: HTMLElement;
  root: ShadowRoot;
  stage: HTMLElement;
  video: HTMLVideoElement;
  mark: HTMLElement;
}

export interface Attack {
  readonly name: string;
  /** Before any script of the page. */
  readonly before?: () => void;
  /** Guards that do not stand because of it, from the beginning. */
  readonly unfit?: number;
  /** Once the guards stand. */
  readonly prepare?: () => void;
  /** Does it; what it returns undoes it. Runs in the page and knows nothing outside of itself. */
  readonly run: (hands: Hands, css: string) => (() => void) | undefined;
  readonly css?: string;
  /** The guards that see it for certain, where it flickers and others may: all, unless said. */
  readonly counts?: number;
  /** Takes nothing away from the page: what it makes is a copy elsewhere. */
  readonly copies?: true;
  /** Does no harm: whoever says so is wrong. */
  readonly harmless?: true;
  /** The page cannot be used after it. */
  readonly last?: true;
}

const rule = (name: string, css: string): Attack => ({
  name: `an adopted sheet: ${name}`,
  css,
  run: ({ root }, css) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    const before = [...root.adoptedStyleSheets];
    root.adoptedStyleSheets = [...before, sheet];
    return () => {
      root.adoptedStyleSheets = before;
    };
  },
});

const cover = (name: string, css: string, more: Partial<Attack> = {}): Attack => ({
  name,
  css,
  run: ({ player }, css) => {
    const over = document.createElement("div");
    const { left, top, width, height } = player.getBoundingClientRect();
    over.style.cssText = `position: fixed; inset: auto; margin: 0; border: 0; z-index: 2147483647; background: #000; ${css}`;
    Object.assign(over.style, {
      left: `${left}px`,
      top: `${top}px`,
      width: `${width}px`,
      height: `${height - 60}px`,
    });
    document.body.append(over);
    if (css.includes("top layer")) {
      over.popover = "manual";
      over.showPopover();
    }
    return () => over.remove();
  },
  ...more,
});

export const ATTACKS: readonly Attack[] = [
  {
    name: "the mark is removed",
    run: ({ mark }) => {
      mark.remove();
      return undefined;
    },
  },
  {
    name: "`display: none` written on the mark",
    run: ({ mark }) => {
      mark.style.setProperty("display", "none", "important");
      return undefined;
    },
  },
  {
    name: "a rule put into a sheet (`insertRule`): `visibility: hidden`",
    run: ({ root }) => {
      const sheet = root.adoptedStyleSheets[0] as CSSStyleSheet;
      const at = sheet.insertRule(
        ".stage > :last-child { visibility: hidden !important }",
        sheet.cssRules.length,
      );
      return () => sheet.deleteRule(at);
    },
  },
  rule("`opacity: 0`", ".stage > :last-child { opacity: 0 !important }"),
  rule("`transform` off the screen", ".stage > :last-child { transform: translateX(-300vw) !important }"),
  rule("`clip-path`", ".stage > :last-child { clip-path: inset(50%) !important }"),
  rule("`mask`", ".stage > :last-child { mask: linear-gradient(transparent, transparent) !important }"),
  rule("`filter: opacity(0)`", ".stage > :last-child { filter: opacity(0) !important }"),
  rule("`mix-blend-mode`", ".stage > :last-child { mix-blend-mode: darken !important }"),
  rule("`content-visibility: hidden`", ".stage > :last-child { content-visibility: hidden !important }"),
  rule(
    "`z-index`, the video in front",
    "video { position: relative !important; z-index: 2147483647 !important }",
  ),
  rule("`font-size: 0`", ".stage > :last-child { font-size: 0 !important }"),
  rule("`text-indent: -9999px`", ".stage > :last-child { text-indent: -9999px !important }"),
  cover("something black over the mark", ""),
  cover("something black over the mark that lets clicks through", "pointer-events: none !important"),
  cover("a popover over the mark", "/* top layer */"),
  rule("the picture moved away under the mark", "video { transform: translateY(120%) !important }"),
  {
    name: "the whole player made transparent",
    run: ({ player }) => {
      player.style.opacity = "0.01";
      return () => {
        player.style.opacity = "";
      };
    },
  },
  {
    name: "`captureStream()` of the video",
    copies: true,
    run: ({ video }) => {
      const stream = (video as unknown as { captureStream(): MediaStream }).captureStream();
      return () => {
        for (const track of stream.getTracks()) track.stop();
      };
    },
  },
  {
    name: "harmless: dark colours by a filter on the page",
    harmless: true,
    run: () => {
      document.documentElement.style.filter = "invert(1) hue-rotate(180deg)";
      return () => {
        document.documentElement.style.filter = "";
      };
    },
  },
  {
    name: "full screen of the video alone",
    // It is left at once; what tells it is the signal.
    counts: 0,
    run: ({ video }) => {
      void video.requestFullscreen();
      return () => void document.exitFullscreen().catch(() => {});
    },
  },
  cover("all timers stopped, then something black over the mark", "/* no timers */", {
    last: true,
    prepare: () => {
      const last = setTimeout(() => {}, 0) as unknown as number;
      for (let id = 0; id <= last; id += 1) clearTimeout(id);
    },
  }),
  {
    name: "words put into the page's own notice, then something black over the mark",
    run: ({ player }) => {
      const notice = document.querySelector(".notice") as HTMLElement;
      const over = document.createElement("div");
      const { left, top, width, height } = player.getBoundingClientRect();
      over.style.cssText = `position: fixed; z-index: 2147483647; background: #000; left: ${left}px; top: ${top}px; width: ${width}px; height: ${height - 60}px`;
      document.body.append(over);
      let going = true;
      const write = () => {
        // Nothing to read, but not empty.
        notice.textContent = going ? " " : "";
        if (going) requestAnimationFrame(write);
      };
      write();
      return () => {
        going = false;
        notice.textContent = "";
        over.remove();
      };
    },
  },
  cover("the page's question opened by hand, then something black over the mark", "/* a dialog */", {
    prepare: () => {
      const question = document.querySelector("dialog.question") as HTMLDialogElement;
      const open = () => {
        question.style.display = "none";
        question.setAttribute("open", "");
        requestAnimationFrame(open);
      };
      open();
    },
    last: true,
  }),
  cover("`document.hidden` made to say yes, then something black over the mark", "/* hidden */", {
    // Functions that are not the browser's stay so for this page.
    last: true,
    prepare: () => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
      Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "hidden" });
      document.dispatchEvent(new Event("visibilitychange"));
    },
  }),
  {
    name: "`MutationObserver` replaced before our script, then the mark removed again and again",
    unfit: 64,
    before: () => {
      window.MutationObserver = class {
        observe() {}
        disconnect() {}
        takeRecords() {
          return [];
        }
      } as unknown as typeof MutationObserver;
    },
    last: true,
    // The tree and the functions of the browser.
    counts: 1 | 64,
    run: ({ stage }) => {
      const remove = () => {
        if (stage.lastElementChild?.ariaHidden === "true") stage.lastElementChild.remove();
        requestAnimationFrame(remove);
      };
      remove();
      return undefined;
    },
  },
  {
    name: "drawing replaced before our script (`fillText`, `strokeText`)",
    unfit: 64 | 32,
    before: () => {
      CanvasRenderingContext2D.prototype.fillText = () => {};
      CanvasRenderingContext2D.prototype.strokeText = () => {};
    },
    last: true,
    run: () => undefined,
  },
  {
    name: "`attachShadow` replaced before our script, then the canvas wiped",
    unfit: 64,
    before: () => {
      const { attachShadow } = Element.prototype;
      Element.prototype.attachShadow = function (init) {
        return attachShadow.call(this, { ...init, mode: "open" });
      };
    },
    last: true,
    run: ({ mark }) => {
      const wipe = () => {
        const canvas = mark.shadowRoot?.querySelector("canvas");
        canvas?.getContext("2d")?.clearRect(0, 0, 9_999, 9_999);
        requestAnimationFrame(wipe);
      };
      wipe();
      return undefined;
    },
  },
  {
    name: "the video taken out of the player",
    last: true,
    run: ({ video }) => {
      document.body.append(video);
      void video.play();
      return undefined;
    },
  },
];
