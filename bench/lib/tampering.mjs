// People who do not leave the page alone: one row for each signal that a page can give, with the ways to cause it that a
// script can go in Chromium. The acts are real unless a row says `staged`; what is told is read off the wire.

import { Chromium, FRAME, WINDOW } from "./chromium.mjs";
import { enter, listen, window } from "./honest.mjs";
import { sleep } from "./process.mjs";

/** What is looked for when the page is looked at is told by then. */
const SOON_MS = 10_000;
/** What is looked for every ten seconds, twice, is told by then. */
const LATER_MS = 35_000;
/** A page whose probes have run twice has people who open their tools late. */
const SETTLED_MS = 5_000;
const REST_MS = 2_000;

const HANDS = `const player = document.querySelector("stagedoor-player"), root = player.shadowRoot;
  const stage = root.querySelector(".stage"), video = root.querySelector("video"), mark = stage.lastElementChild;
  const inside = window.roots?.at(-1)?.querySelector("canvas");`;

/** Does something in the page; what it returns undoes it. */
const script = (code) => async (page) => {
  await page.run(`{ ${HANDS} window.undo = (() => { ${code} })(); }`);
  return () => page.run("window.undo?.(); window.undo = undefined");
};

const sheet = (css) =>
  script(`const sheet = new CSSStyleSheet(), before = [...root.adoptedStyleSheets]; sheet.replaceSync(${JSON.stringify(css)});
    root.adoptedStyleSheets = [...before, sheet]; return () => { root.adoptedStyleSheets = before; };`);

const styled = (target, name, value) =>
  script(`${target}.style.setProperty("${name}", "${value}", "important"); return () => ${target}.style.removeProperty("${name}");`);

const cover = (css, more = "") =>
  script(`const over = document.createElement("div"), at = player.getBoundingClientRect();
    over.style.cssText = "position: fixed; inset: auto; margin: 0; border: 0; z-index: 2147483647; background: #000; ${css}";
    Object.assign(over.style, { left: at.left + "px", top: at.top + "px", width: at.width + "px", height: at.height - 60 + "px" });
    document.body.append(over); ${more} return () => over.remove();`);

const key = (key, modifiers) => async (page) => {
  for (const type of ["rawKeyDown", "keyUp"]) await page.call("Input.dispatchKeyEvent", { type, key, modifiers });
};
const [CONTROL, SHIFT, META] = [2, 8, 4];

/** A function of the browser with something in front of it. */
const patched = (of, name) => (wrap) => script(`const real = ${of}.${name}; ${of}.${name} = ${wrap}; return () => { ${of}.${name} = real; };`);
const plain = "function (...rest) { return new.target ? new real(...rest) : real.apply(this, rest); }";
const proxy = "new Proxy(real, {})";
const claims = (name) =>
  `Object.assign(function (...rest) { return real.apply(this, rest); }, { toString: () => "function ${name}() { [native code] }" })`;

/** Before any script of the page: keeps the inside of the mark, and leaves no trace of having done so. */
const KEEP = `{ const { attachShadow } = Element.prototype; window.roots = [];
  Element.prototype.attachShadow = function (init) {
    const root = attachShadow.call(this, init);
    if (init.mode === "closed") { window.roots.push(root); Element.prototype.attachShadow = attachShadow; }
    return root;
  }; }`;

/** Stops the page's workers at their breakpoints, as developer tools do. */
const tools = async (page) => {
  page.hears.push((method, { sessionId }) => {
    if (method !== "Target.attachedToTarget") return;
    const at = (method) => page.at(sessionId, method).catch(() => {});
    void at("Debugger.enable").then(() => at("Runtime.runIfWaitingForDebugger"));
  });
  await page.call("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: true, flatten: true });
};

// Rows of one group are done in one visit. `later`: done first and waited for last, because the page looks for it only now
// and then. `open`: before the page is there, always or every other time. `only`: ways that not every signal can tell.
const GROUPS = [
  [
    {
      signals: ["automation"],
      later: true,
      open: "always",
      ways: {
        "a browser that says it is headless": (page) =>
          page.call("Network.setUserAgentOverride", { userAgent: page.browser.userAgent.replace("Chrome/", "HeadlessChrome/") }),
        "`navigator.webdriver`": (page) => page.call("Emulation.setAutomationOverride", { enabled: true }),
      },
    },
    {
      signals: ["console_reads", "console_time"],
      later: true,
      open: true,
      ways: { "a console that listens": (page) => page.call("Runtime.enable") },
    },
    { signals: ["debugger_pause"], later: true, open: true, ways: { "a debugger in the page's workers": tools } },
    {
      signals: ["window_size"],
      ways: {
        "tools docked at the right": (page) => window(page, { width: WINDOW.width - 555 }),
        "tools docked below": (page) => window(page, { height: WINDOW.height - FRAME - 330 }),
        "tools docked at the right of a zoomed page": (page) => window(page, { width: WINDOW.width - 480, zoom: 1.25 }),
        "tools docked at the right on a sharp screen": (page) => window(page, { width: WINDOW.width - 420, ratio: 2 }),
      },
    },
  ],
  [
    {
      signals: ["watermark_dom"],
      ways: {
        "the mark is removed": script("mark.remove();"),
        "`display: none` written on the mark": styled("mark", "display", "none"),
        "something put after the mark": script(`const last = document.createElement("i"); stage.append(last); return () => last.remove();`),
        "the mark taken elsewhere": script("document.body.append(mark);"),
        "the video taken out of its stage": script(`const next = video.nextSibling, parent = video.parentNode; document.body.append(video);
          void video.play(); return () => { parent.insertBefore(video, next); void video.play(); };`),
      },
    },
    {
      signals: ["watermark_style"],
      ways: {
        "the player made transparent": styled("player", "opacity", "0.01"),
        "the player clipped": styled("player", "clip-path", "inset(60% 0 0 0)"),
        "the stage blurred": sheet(".stage { filter: blur(30px) !important }"),
        "a mask over the stage": sheet(".stage { mask-image: linear-gradient(#000, transparent) !important }"),
        "the mark's inside made transparent": styled("inside", "opacity", "0"),
        "the mark's inside not displayed": styled("inside", "display", "none"),
        "the mark's inside blended": styled("inside", "mix-blend-mode", "darken"),
      },
    },
    {
      signals: ["watermark_geometry"],
      ways: {
        "the picture moved down under the mark": sheet("video { transform: translateY(120%) !important }"),
        "the picture moved aside under the mark": sheet("video { transform: translateX(-120%) !important }"),
        "the mark's inside moved away": styled("inside", "translate", "-300vw"),
        "the mark's inside made tiny": styled("inside", "scale", "0.05"),
      },
    },
    {
      signals: ["watermark_occlusion", "watermark_hit"],
      ways: {
        "something black over the mark": cover(""),
        "a popover over the mark": cover("", `over.popover = "manual"; over.showPopover();`),
        "something black that lets clicks through": cover("pointer-events: none;"),
        "something black inside the player": script(`const over = document.createElement("div");
          over.style.cssText = "position: absolute; inset: 0 0 60px; background: #000; z-index: 2147483647";
          stage.parentNode.append(over); return () => over.remove();`),
        "something black that can never be touched": cover("pointer-events: none !important;"),
      },
      only: { "something black that can never be touched": ["watermark_occlusion"] },
    },
    {
      signals: ["watermark_pixels"],
      ways: {
        "the mark wiped again and again": script(`const context = inside.getContext("2d");
          const wiping = setInterval(() => context.clearRect(0, 0, 9999, 9999), 50); return () => clearInterval(wiping);`),
        "the mark wiped once": script(`inside.getContext("2d").clearRect(0, 0, 9999, 9999);`),
        "the mark's size set, which empties it": script(`inside.width = inside.width;`),
        "the mark painted over": script(`inside.getContext("2d").fillRect(0, 0, inside.width / 2, inside.height);`),
      },
    },
  ],
  [
    {
      signals: ["api_patched"],
      later: true,
      ways: {
        "`captureStream` replaced": patched("HTMLMediaElement.prototype", "captureStream")(plain),
        "`drawImage` behind a proxy": patched("CanvasRenderingContext2D.prototype", "drawImage")(proxy),
        "`appendBuffer` replaced, with a text of its own": patched("SourceBuffer.prototype", "appendBuffer")(claims("appendBuffer")),
        "`MediaRecorder` replaced": patched("window", "MediaRecorder")(plain),
        "`MutationObserver` replaced": patched("window", "MutationObserver")(plain),
        "`attachShadow` replaced": patched("Element.prototype", "attachShadow")(plain),
        "`fillText` behind a proxy": patched("CanvasRenderingContext2D.prototype", "fillText")(proxy),
      },
    },
    {
      signals: ["console_tools"],
      later: true,
      open: true,
      ways: {
        Eruda: (page) => global(page, "eruda"),
        vConsole: (page) => global(page, "VConsole"),
        "vConsole, loaded and hidden": (page) => global(page, "_vcOrigConsole"),
      },
    },
    {
      signals: ["context_menu"],
      ways: {
        "the right button": async (page, turn) => {
          const at = { x: 300 + ((turn * 37) % 300), y: 260 + ((turn * 17) % 120), button: "right", clickCount: 1 };
          for (const type of ["mousePressed", "mouseReleased"]) await page.call("Input.dispatchMouseEvent", { type, ...at });
        },
      },
    },
    {
      signals: ["shortcut"],
      ways: {
        F12: key("F12", 0),
        "Ctrl+Shift+I": key("I", CONTROL | SHIFT),
        "Ctrl+Shift+J": key("J", CONTROL | SHIFT),
        "Ctrl+U": key("u", CONTROL),
        "Ctrl+S": key("s", CONTROL),
        "⌘P": key("p", META),
      },
    },
    {
      signals: ["page_capture"],
      ways: { "`getDisplayMedia`": (page) => page.run("navigator.mediaDevices.getDisplayMedia().then(() => true, () => false)") },
    },
    {
      signals: ["picture_in_picture"],
      ways: {
        "the video's own": script("video.disablePictureInPicture = false; void video.requestPictureInPicture().catch(() => {});"),
        "a window of the page's": script("void documentPictureInPicture.requestWindow().then((window) => setTimeout(() => window.close(), 1000));"),
      },
    },
    {
      signals: ["remote_playback"],
      staged: "there is no screen to send to: the event that the browser would send",
      ways: {
        connecting: script(`video.remote.dispatchEvent(new Event("connecting"));`),
        connected: script(`video.remote.dispatchEvent(new Event("connect"));`),
      },
    },
    {
      signals: ["native_fullscreen"],
      ways: {
        "the video alone": script("void video.requestFullscreen().catch(() => {}); return () => void document.exitFullscreen().catch(() => {});"),
      },
    },
    {
      signals: ["many_tabs"],
      ways: {
        "a second tab with the same visit": async (page, _, event) => {
          const tab = await page.browser.page({ person: page.person });
          await tab.call("Page.navigate", { url: event.viewer_url });
          return () => tab.close();
        },
      },
    },
    {
      signals: ["hidden"],
      ways: {
        "another tab in front": async (page) => {
          await page.call("Emulation.setFocusEmulationEnabled", { enabled: false });
          const tab = await page.browser.page({ person: page.person, newWindow: false });
          return async () => {
            await tab.close();
            await page.call("Emulation.setFocusEmulationEnabled", { enabled: true });
          };
        },
      },
    },
  ],
];

async function global(page, name) {
  const source = `window.${name} = {};`;
  await page.call("Page.addScriptToEvaluateOnNewDocument", { source });
  await page.run(source);
}

/** The signals that are looked for, in the order of the rows. */
export const SIGNALS = [...new Set(GROUPS.flat().flatMap(({ signals }) => signals))];
export const STAGED = Object.fromEntries(
  GROUPS.flat().filter(({ staged }) => staged).flatMap(({ signals, staged }) => signals.map((signal) => [signal, staged])),
);

/**
 * Tries every row `times` times, `atOnce` visits at a time. Answers with an entry for each try: the signal, the way, and
 * after how many milliseconds it was told, or `null`. A visit that broke off counts for nothing and is named in `troubles`.
 */
export async function tamper(server, event, times, { atOnce = 3, log = () => {} } = {}) {
  const visits = Array.from({ length: times }, (_, turn) => GROUPS.map((rows) => ({ rows, turn }))).flat();
  const tries = [];
  const troubles = [];
  const work = async () => {
    let browser = await Chromium.launch();
    try {
      for (let next = visits.shift(); next; next = visits.shift()) {
        try {
          tries.push(...(await visit(browser, server, event, next)));
        } catch (error) {
          troubles.push(`${next.rows[0].signals[0]} ${next.turn}: ${error}`);
          log(troubles.at(-1));
          // Once more, and only once: a machine that is too busy is not what is measured.
          if (!next.again) visits.push({ ...next, again: true });
          await browser.end();
          browser = await Chromium.launch();
        }
      }
    } finally {
      await browser.end();
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, visits.length) }, work));
  for (const missed of tries.filter(({ ms }) => ms === null)) log(JSON.stringify(missed));
  return { tries, troubles };
}

async function visit(browser, server, event, { rows, turn }) {
  const { code } = await server.invite(event.id, `Tamper ${rows[0].signals[0]} ${turn}`);
  const page = await browser.page();
  page.hears = [];
  const heard = listen(page, (method, params) => {
    for (const hear of page.hears) hear(method, params);
  });
  try {
    await window(page);
    await page.call("Page.enable");
    await page.call("Page.addScriptToEvaluateOnNewDocument", { source: KEEP });
    const told = [];
    const due = [];
    const does = async (row) => {
      const names = Object.keys(row.ways);
      const way = names[turn % names.length];
      // What was told already is told again only after a minute: that is no try.
      const signals = (row.only?.[way] ?? row.signals).filter((signal) => !(signal in heard.signals));
      const undo = await row.ways[way](page, turn, event);
      return { signals, way, since: Date.now(), undo };
    };
    const waits = async ({ signals, way, since, undo }, most) => {
      const missing = () => signals.some((signal) => !(signal in heard.signals));
      while (missing() && Date.now() - since < most) await sleep(50);
      for (const signal of signals) told.push({ signal, way, turn, ms: signal in heard.signals ? Date.now() - since : null });
      if (typeof undo === "function") await undo();
    };
    const early = rows.filter(({ open }) => open === "always" || (open && turn % 2 === 0));
    for (const row of early) due.push(await does(row));
    await enter(page, event, code);
    for (const act of due) act.since = Date.now();
    const late = rows.filter((row) => row.later && !early.includes(row));
    if (late.some(({ open }) => open)) await sleep(SETTLED_MS);
    for (const row of late) due.push(await does(row));
    for (const row of rows.filter((row) => !row.later)) {
      await waits(await does(row), SOON_MS);
      // One act may be told by several; what is still on its way is not to be taken for the next.
      if (row.signals[0].startsWith("watermark")) await sleep(REST_MS);
    }
    for (const act of due) await waits(act, LATER_MS);
    return told;
  } finally {
    await page.close().catch(() => {});
  }
}
