/**
 * What else a page can see of being looked into: one entry for each signal, each on its own, each with the honest ways
 * to cause it. None runs before the first frame, none stops the picture, and none knows what its signal weighs: that is
 * the server's. What no page can see (a recorder in the operating system, a camera, `captureStream()`) is not here.
 */
import { Scope } from "../scope.ts";
import { isHidden } from "../sight.ts";
import type { Stage } from "./mark.ts";
import { type Name, Steady } from "./report.ts";

export interface Watch {
  readonly scope: Scope;
  readonly on: Stage;
  /** The session: what two tabs have in common. */
  readonly session: string;
  /** The picture carries a mark, so ways to show it without one are closed. */
  readonly marked: boolean;
  seen(detail?: string): void;
}

export interface Detector {
  readonly name: Name;
  /** Phones have no tools to find and no time to spare. */
  readonly desktop?: true;
  /** Asked in the background as well: a page is in the background by the word of a function that may be replaced. */
  readonly always?: true;
  /** Called once; looks on its own, or answers with what to do every ten seconds while the page is visible. */
  start(watch: Watch): (() => void) | undefined;
}

/** Panels slide in and out; what stays for a second is there. */
const SETTLED_MS = 1_000;
/** Docked tools take at least this much of the window. */
const WIDE = 200;
const HIGH = 300;
/** A window's own border may make the page look larger than the window by this. */
const BORDER = 40;
/** What browsers zoom to. */
const ZOOMS = [
  0.25,
  0.3,
  1 / 3,
  0.5,
  2 / 3,
  0.75,
  0.8,
  0.85,
  0.9,
  1,
  1.1,
  1.15,
  1.2,
  1.25,
  4 / 3,
  1.5,
  1.7,
  1.75,
  2,
  2.4,
  2.5,
  3,
  4,
  5,
];
/** A table that nobody draws takes less than a millisecond; drawn, about forty. */
const TABLE_MS = 20;
const PAUSE_MS = 400;

const BLOCKED_KEYS = /^[ijc]$/i;
const TAKEN_KEYS = /^[usp]$/i;

export const DETECTORS: readonly Detector[] = [
  {
    // Honest: people right-click out of habit, and with the keyboard's menu key. Only on the picture, never on text.
    name: "context_menu",
    start({ scope, on, seen }) {
      scope.listen(on.stage, "contextmenu", (event) => {
        event.preventDefault();
        seen();
      });
      return undefined;
    },
  },
  {
    // Honest: fingers slip, and some print tickets. The keys do nothing here; the menus still do.
    name: "shortcut",
    start({ scope, seen }) {
      scope.listen(
        document,
        "keydown",
        (event) => {
          const { key, ctrlKey, metaKey, shiftKey, altKey } = event;
          const command = ctrlKey || metaKey;
          const tools = key === "F12" || (command && (shiftKey || altKey) && BLOCKED_KEYS.test(key));
          const takes = command && !shiftKey && !altKey && TAKEN_KEYS.test(key);
          if (!tools && !takes) return;
          event.preventDefault();
          seen(key);
        },
        { capture: true },
      );
      return undefined;
    },
  },
  {
    // Honest: side panels and split views look the same, so it weighs little. Zoom does not: a window explained by any
    // zoom level is none.
    name: "window_size",
    desktop: true,
    start({ scope, seen }) {
      if (window.top !== window) return undefined;
      const steady = new Steady(SETTLED_MS);
      const look = () => {
        const window = { outerWidth, outerHeight, innerWidth, innerHeight, ratio: devicePixelRatio };
        const docked = taken(window);
        if (steady.is(docked !== null, performance.now())) seen(docked ?? "");
      };
      scope.every(SETTLED_MS, look);
      return undefined;
    },
  },
  {
    // Honest: a browser may change how it describes errors, and everybody seems to have tools open: never alone.
    name: "console_reads",
    desktop: true,
    start({ seen }) {
      // Chromium looks at the name once by itself, Firefox never; others were not measured.
      const normal = "chrome" in window ? 1 : /firefox/i.test(navigator.userAgent) ? 0 : null;
      if (normal === null) return undefined;
      return () => {
        let reads = 0;
        const bait = new Error();
        Object.defineProperty(bait, "name", {
          get: () => {
            reads += 1;
            return "";
          },
        });
        // biome-ignore lint/suspicious/noConsole: what the console does with it is the measurement.
        console.debug(bait);
        if (reads > normal) seen(`${reads} reads`);
      };
    },
  },
  {
    // Honest: a slow or busy computer; so it takes an absolute time, twice in a row, and the first try counts for nothing.
    name: "console_time",
    desktop: true,
    start({ seen }) {
      const row = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`${i}`, i]));
      const rows = new Array<unknown>(50).fill(row);
      const time = () => {
        const from = performance.now();
        // biome-ignore lint/suspicious/noConsole: how long the console takes is the measurement.
        console.table(rows);
        return performance.now() - from;
      };
      let warm = false;
      return () => {
        const ms = Math.min(time(), time());
        if (warm && ms > TABLE_MS) seen(`${Math.round(ms)} ms`);
        warm = true;
      };
    },
  },
  {
    // Honest: a computer that sleeps or is very busy; so the page must have been on time itself, twice in a row.
    name: "debugger_pause",
    desktop: true,
    start({ scope, seen }) {
      let misses = 0;
      let probe = new Scope();
      scope.defer(() => probe.close());
      return () => {
        probe.close();
        probe = new Scope();
        const asking = probe;
        // In two steps: written as one, the build would take it for a module of its own and clean it.
        const address = new URL("./pause.js", import.meta.url);
        const worker = new Worker(address);
        asking.defer(() => worker.terminate());
        let asked = 0;
        asking.listen(worker, "error", () => asking.close());
        asking.listen(worker, "message", () => {
          if (asked > 0) {
            misses = 0;
            asking.close();
            return;
          }
          asked = performance.now();
          worker.postMessage("");
          asking.after(PAUSE_MS, () => {
            // A page that was late itself has learnt nothing.
            if (performance.now() - asked < PAUSE_MS * 2 && !isHidden()) misses += 1;
            if (misses >= 2) seen();
            asking.close();
          });
        });
        // A worker that never comes up tells nothing.
        asking.after(PAUSE_MS * 10, () => asking.close());
      };
    },
  },
  {
    // Honest: a developer's own bookmark. Nobody else has these.
    name: "console_tools",
    start({ seen }) {
      return () => {
        const found = ["eruda", "VConsole", "_vcOrigConsole"].filter((name) => name in window);
        if (found.length > 0) seen(found.join(" "));
      };
    },
  },
  {
    // Honest: extensions that protect privacy, or keep pages from knowing that they are left, put themselves in front of
    // a few of these; so they are named.
    name: "api_patched",
    always: true,
    start({ seen }) {
      const asText = nativeToString();
      if (asText === null) return undefined;
      return () => {
        const patched = natives().filter(([name, value]) => !isNative(asText, name, value));
        if (patched.length > 0) seen(patched.map(([name]) => name).join(" "));
      };
    },
  },
  {
    // Honest: people like a small picture beside their work. Without a mark it is theirs; with one it is closed.
    name: "picture_in_picture",
    start({ scope, on, marked, seen }) {
      const { video } = on;
      if (marked) video.disablePictureInPicture = true;
      scope.listen(video, "enterpictureinpicture", () => {
        seen("picture");
        if (marked) document.exitPictureInPicture?.().catch(() => {});
      });
      scope.listen(video, "webkitpresentationmodechanged", () => {
        const mode = (video as { webkitPresentationMode?: string }).webkitPresentationMode;
        if (mode === "picture-in-picture") seen("picture");
      });
      const windows = (window as { documentPictureInPicture?: EventTarget }).documentPictureInPicture;
      if (windows !== undefined) scope.listen(windows, "enter", () => seen("window"));
      // Whoever takes the attribute away wants to show it elsewhere; it is put back.
      return () => {
        if (marked) video.disablePictureInPicture = true;
      };
    },
  },
  {
    // Honest: a television in the living room. The picture does not go there, and that is all.
    name: "remote_playback",
    start({ scope, on, seen }) {
      const { video } = on;
      video.disableRemotePlayback = true;
      video.setAttribute("x-webkit-airplay", "deny");
      scope.listen(video, "webkitcurrentplaybacktargetiswirelesschanged", () => seen("AirPlay"));
      const { remote } = video;
      if (remote === undefined) return undefined;
      scope.listen(remote, "connecting", () => seen("connecting"));
      scope.listen(remote, "connect", () => seen("connected"));
      return () => {
        video.disableRemotePlayback = true;
      };
    },
  },
  {
    // Honest: an iPhone's own gesture, an extension's button. Ours shows the same picture as large.
    name: "native_fullscreen",
    start({ scope, on, marked, seen }) {
      const { video, root } = on;
      scope.listen(document, "fullscreenchange", () => {
        if (document.fullscreenElement !== video && root.fullscreenElement !== video) return;
        seen("element");
        if (marked) document.exitFullscreen().catch(() => {});
      });
      scope.listen(video, "webkitbeginfullscreen", () => seen("video"));
      return undefined;
    },
  },
  {
    // Honest: always. People listen while they do something else; it is a figure, not a sign of anything.
    name: "hidden",
    start({ scope, seen }) {
      let away: (() => void) | undefined;
      scope.listen(document, "visibilitychange", () => {
        away?.();
        away = isHidden() ? scope.after(SETTLED_MS, () => seen()) : undefined;
      });
      return undefined;
    },
  },
  {
    // Honest: nobody by accident: the policy of this page refuses it, and the browser tells us that it did. Recorders
    // outside of this page are not seen at all.
    name: "page_capture",
    start({ scope, seen }) {
      if (typeof ReportingObserver !== "function") return undefined;
      const observer = new ReportingObserver(
        (reports) => {
          const ours = (body: unknown) =>
            (body as { featureId?: string } | null)?.featureId === "display-capture";
          if (reports.some((report) => ours(report.body))) seen();
        },
        { types: ["permissions-policy-violation"], buffered: true },
      );
      observer.observe();
      scope.defer(() => observer.disconnect());
      return undefined;
    },
  },
  {
    // Honest: kiosks, assistive tools and tests are driven by programs too: never alone. A browser without a screen has no
    // mouse either, so it is asked on every device.
    name: "automation",
    start({ seen }) {
      return () => {
        const signs = [
          navigator.webdriver && "webdriver",
          /HeadlessChrome/.test(navigator.userAgent) && "headless",
          "__playwright__binding__" in window && "binding",
        ].filter((sign) => sign !== false);
        if (signs.length > 0) seen(signs.join(" "));
      };
    },
  },
  {
    // Honest: the link was opened twice. The server knows who watches; this only says that the page knows too.
    name: "many_tabs",
    start({ scope, session, seen }) {
      if (typeof BroadcastChannel !== "function") return undefined;
      const channel = new BroadcastChannel(`stagedoor ${session}`);
      scope.defer(() => channel.close());
      scope.listen(channel, "message", (event) => {
        if ((event as MessageEvent<unknown>).data === "hello") channel.postMessage("here");
        seen();
      });
      channel.postMessage("hello");
      return undefined;
    },
  },
];

interface WindowSizes {
  readonly outerWidth: number;
  readonly outerHeight: number;
  readonly innerWidth: number;
  readonly innerHeight: number;
  /** Device pixels to a CSS pixel, zoom included. */
  readonly ratio: number;
}

/** What a docked panel takes of the window, in words; `null` when the sizes are those of a window without one. */
export function taken({
  outerWidth,
  outerHeight,
  innerWidth,
  innerHeight,
  ratio,
}: WindowSizes): string | null {
  // Hidden and headless windows have no size of their own.
  if (outerWidth === 0 || outerHeight === 0) return null;
  // A screen has one device pixel to a CSS pixel at least: so much of the ratio may be zoom.
  const possible = ZOOMS.filter((zoom) => zoom === 1 || ratio / zoom >= 0.99);
  const rest = possible.map(
    (zoom) => [outerWidth - innerWidth * zoom, outerHeight - innerHeight * zoom] as const,
  );
  const fits = ([width, height]: readonly [number, number]) =>
    width >= -BORDER && width <= WIDE && height >= -BORDER && height <= HIGH;
  if (rest.some(fits)) return null;
  const [width, height] = [outerWidth - innerWidth, outerHeight - innerHeight];
  return width > WIDE || height > HIGH ? `${Math.round(width)} x ${Math.round(height)} taken` : null;
}

/** What a copying tool has to replace, and by which name it calls itself. */
function natives(): readonly [string, unknown][] {
  const media = HTMLMediaElement.prototype as { captureStream?: unknown };
  return [
    ["MutationObserver", MutationObserver],
    ["attachShadow", Element.prototype.attachShadow],
    ["captureStream", media.captureStream],
    ["drawImage", CanvasRenderingContext2D.prototype.drawImage],
    ["fillText", CanvasRenderingContext2D.prototype.fillText],
    ["appendBuffer", typeof SourceBuffer === "function" ? SourceBuffer.prototype.appendBuffer : undefined],
    ["MediaRecorder", typeof MediaRecorder === "function" ? MediaRecorder : undefined],
    ["hidden", getterOf(Document.prototype, "hidden")],
    ["visibilityState", getterOf(Document.prototype, "visibilityState")],
    ["paused", getterOf(HTMLMediaElement.prototype, "paused")],
  ];
}

/** The getter of `name`; whatever stands in its place, which is none; `undefined` where there is no such property. */
export function getterOf(prototype: object, name: string): unknown {
  const found = Object.getOwnPropertyDescriptor(prototype, name);
  return found && (found.get ?? found.value ?? null);
}

type AsText = (this: unknown) => string;

export function isNative(asText: AsText, name: string, value: unknown): boolean {
  // A browser that has never had it is not patched.
  if (value === undefined) return true;
  if (typeof value !== "function") return false;
  try {
    // A proxy calls itself by no name; a getter by its property's, in some browsers with a word before it.
    return new RegExp(`^function (?:get )?${name}\\(\\) \\{\\s*\\[native code\\]\\s*\\}$`).test(
      asText.call(value).trim(),
    );
  } catch {
    return false;
  }
}

/** `Function.prototype.toString` of a realm that no script of this page has touched. */
function nativeToString(): AsText | null {
  const frame = document.createElement("iframe");
  frame.hidden = true;
  try {
    document.body.append(frame);
    const realm = frame.contentWindow as { Function?: FunctionConstructor } | null;
    return realm?.Function?.prototype.toString ?? null;
  } catch {
    return null;
  } finally {
    frame.remove();
  }
}
