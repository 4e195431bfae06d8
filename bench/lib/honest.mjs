// Honest people: each session is one person who watches and does what people do with a browser. What the page tells the
// server and what the server answers is read off the wire, so nothing of the page is changed to be looked at.

import { Chromium, FRAME, WINDOW } from "./chromium.mjs";
import { sleep } from "./process.mjs";

const ENTER_MS = 30_000;
const TELEPHONE = "a telephone turned twenty times";
const step = () => sleep(300);

/** A window of this zoom on a screen with so many device pixels to a point. */
export const window = (page, { zoom = 1, ratio = 1, width = WINDOW.width, height = WINDOW.height - FRAME, mobile = false } = {}) =>
  page.call("Emulation.setDeviceMetricsOverride", {
    width: Math.round(width / zoom),
    height: Math.round(height / zoom),
    deviceScaleFactor: ratio * zoom,
    mobile,
  });

const style = (css) =>
  `{ const sheet = document.createElement("style"); sheet.textContent = ${JSON.stringify(css)};
     const adopted = new CSSStyleSheet(); adopted.replaceSync(${JSON.stringify(css)});
     document.head.append(sheet); document.adoptedStyleSheets = [...document.adoptedStyleSheets, adopted]; }`;

// What people do, for a turn that counts from zero.
export const SCENES = {
  "zoom 50 to 200 %": async (page) => {
    for (const zoom of [0.5, 2 / 3, 0.8, 1.25, 1.5, 2, 1]) {
      await window(page, { zoom });
      await step();
    }
  },
  "a side panel": async (page, turn) => {
    await window(page, { width: WINDOW.width - [320, 360, 400, 480][turn % 4] });
    await sleep(2_500);
    await window(page);
  },
  "a window that is resized": async (page, turn) => {
    for (let i = 0; i < 10; i += 1) {
      await window(page, { width: 560 + ((turn * 97 + i * 131) % 540), height: 400 + ((i * 71) % 240) });
      await sleep(150);
    }
    await window(page);
  },
  "dark colours by an extension": async (page, turn) => {
    const css = [
      "html { filter: invert(1) hue-rotate(180deg) !important } video { filter: invert(1) hue-rotate(180deg) !important }",
      "html, body, main, section, div { background-color: #181a1b !important; color: #e8e6e3 !important; border-color: #736b5e !important }",
      "html { filter: brightness(0.8) contrast(0.9) sepia(0.1) !important }",
    ][turn % 3];
    await page.run(style(css));
    await page.run(`document.documentElement.setAttribute("data-darkreader-mode", "dynamic");
      for (const element of document.querySelectorAll("*")) element.setAttribute("data-darkreader-inline-color", "");`);
  },
  "a translated page": async (page) => {
    await page.run(`document.documentElement.lang = "de"; document.documentElement.classList.add("translated-ltr");
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); const texts = [];
      while (walker.nextNode()) if (walker.currentNode.data.trim()) texts.push(walker.currentNode);
      for (const text of texts) { const font = document.createElement("font"); font.textContent = text.data + " …"; text.replaceWith(font); }
      const bar = document.createElement("div"); bar.className = "skiptranslate"; bar.hidden = true; document.body.append(bar);`);
  },
  "an extension's button and bubble": async (page) => {
    await page.run(`{ const at = document.querySelector("stagedoor-player").getBoundingClientRect();
      const button = document.createElement("div"); button.attachShadow({ mode: "open" }).innerHTML = "";
      button.style.cssText = \`position:fixed;z-index:2147483647;left:\${at.left + 8}px;top:\${at.top + 8}px;width:32px;height:32px;background:#393\`;
      document.documentElement.append(button); }`);
  },
  "forced colours, less motion, more contrast": async (page) => {
    await page.call("Emulation.setEmulatedMedia", {
      features: [
        { name: "forced-colors", value: "active" },
        { name: "prefers-reduced-motion", value: "reduce" },
        { name: "prefers-contrast", value: "more" },
      ],
    });
  },
  [TELEPHONE]: async (page) => {
    for (let i = 0; i < 20; i += 1) {
      const [width, height] = i % 2 === 0 ? [390, 844] : [844, 390];
      await window(page, { width, height, ratio: 3, mobile: true });
      await sleep(120);
    }
  },
  "a tab that is put to rest": async (page, turn) => {
    for (let i = 0; i <= turn % 2; i += 1) {
      await page.call("Page.setWebLifecycleState", { state: "frozen" }).catch(() => {});
      await step();
      await page.call("Page.setWebLifecycleState", { state: "active" });
      await step();
    }
  },
  "a lid that is closed and opened": async (page, turn) => {
    await page.browser.sleep([600, 1_500, 3_000, 6_000][turn % 4]);
    await step();
  },
  "a flaky network": async (page) => {
    const network = (offline, latency, kib) =>
      page.call("Network.emulateNetworkConditions", {
        offline,
        latency,
        downloadThroughput: kib * 1024,
        uploadThroughput: kib * 1024,
      });
    await network(false, 400, 60);
    await sleep(1_000);
    await network(true, 0, 0);
    await sleep(800);
    await network(false, 0, 1e6);
  },
  "sharp screens": async (page, turn) => {
    for (const ratio of [1, 1.25, 1.5, 2, 3, 4].slice(turn % 3)) {
      await window(page, { ratio, zoom: [1, 1.1, 0.9][turn % 3] });
      await step();
    }
  },
  "full screen and back": async (page) => {
    await page.run(`document.querySelector("stagedoor-player").shadowRoot.querySelector(".full").click()`);
    await sleep(1_200);
    await page.run(`document.exitFullscreen?.().catch(() => {})`);
  },
  "a screen reader": async (page) => {
    await page.call("Accessibility.enable");
    await page.call("Accessibility.getFullAXTree");
  },
  "reading and scrolling": async (page, turn) => {
    await page.run(`document.querySelector(".meter").open = true; scrollTo(0, ${(turn * 53) % 600});`);
    await page.call("Input.dispatchMouseEvent", { type: "mouseMoved", x: 300 + (turn % 300), y: 300 });
    await step();
    await page.run("scrollTo(0, 0)");
  },
};

/** The scenes of session `at`: each in its turn, and every other time with one more, so that any two meet. */
function scenes(at) {
  const names = Object.keys(SCENES);
  const [first, turn] = [at % names.length, Math.floor(at / names.length)];
  const more = (first + 1 + (Math.floor(turn / 2) % (names.length - 1))) % names.length;
  return { names: turn % 2 === 0 ? [names[first]] : [names[first], names[more]], turn };
}

/**
 * Runs `count` sessions of `event`, `atOnce` at a time, each person with a browser of their own. Answers with what was told
 * about each: signals, and what the server made of them.
 */
export async function honest(server, event, count, { atOnce = 3, watchMs = 3_500, log = () => {} } = {}) {
  const sessions = [];
  let next = 0;
  const work = async () => {
    let browser = await Chromium.launch();
    try {
      while (next < count) {
        const at = next;
        next += 1;
        const session = await watch(browser, server, event, { ...scenes(at), watchMs });
        sessions.push(session);
        if (session.trouble || session.cautions > 0) log(JSON.stringify(session));
        if (!session.trouble) continue;
        // Whatever it was, the next person is not to suffer from it.
        await browser.end();
        browser = await Chromium.launch();
      }
    } finally {
      await browser.end();
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, work));
  return sessions;
}

async function watch(browser, server, event, { names, turn, watchMs }) {
  const scene = names.join(", and ");
  const { code } = await server.invite(event.id, `Honest ${turn}: ${scene}`.slice(0, 60));
  const page = await browser.page();
  const heard = listen(page);
  let trouble = null;
  try {
    if (names.includes(TELEPHONE)) {
      await page.call("Emulation.setTouchEmulationEnabled", { enabled: true });
      await window(page, { width: 390, height: 844, ratio: 3, mobile: true });
    } else await window(page);
    await enter(page, event, code);
    for (const name of names) await SCENES[name](page, turn);
    await sleep(watchMs);
  } catch (error) {
    trouble = String(error);
  } finally {
    await page.close().catch(() => {});
  }
  return { scene, trouble, ...heard };
}

/** What a page says to the server and is told by it from now on, as it comes. */
export function listen(page, event = () => {}) {
  const heard = { signals: {}, cautions: 0, kicked: false, beats: 0, guards: 0 };
  page.on((method, params) => {
    event(method, params);
    if (!method.startsWith("Network.webSocketFrame")) return;
    let message;
    try {
      message = JSON.parse(params.response.payloadData);
    } catch {
      return;
    }
    if (message.type === "signals") for (const { name, detail } of message.signals) heard.signals[name] = detail;
    if (message.type === "caution") heard.cautions += 1;
    if (message.type === "bye" && message.reason === "tampering") heard.kicked = true;
    if (message.type === "heartbeat") {
      heard.beats += 1;
      heard.guards = Math.max(heard.guards, Number.parseInt(message.guard, 16));
    }
  });
  return heard;
}

// Comes in with a code, and waits for the picture and the mark on it.
export async function enter(page, event, code) {
  await page.call("Page.navigate", { url: `${event.viewer_url}#${code}` });
  await until(() => page.run(`document.querySelector("main[data-state=code]") !== null`));
  await page.run(`document.querySelector("button[type=submit]").click()`);
  await until(() => page.run(`document.querySelector("stagedoor-player")?.dataset.playing === "true"`));
  await until(() => page.run(`document.querySelector("[data-protection=watermark]")?.dataset.on === "true"`));
}

async function until(ask) {
  for (const end = Date.now() + ENTER_MS; ; ) {
    if (await ask().catch(() => false)) return;
    if (Date.now() > end) throw new Error(`waited too long for ${ask}`);
    await sleep(100);
  }
}
