// Glass to glass: the wall clock is drawn into the picture, encoded, published, packaged, fetched, decoded, shown by
// Chromium and read back from what it shows. Nothing is subtracted: encoder, browser and reader are part of the figure.
// And the join: from the press of the button on the viewer's page to the first picture.

import { createReadStream, mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { quantile } from "../lib/bars.mjs";
import { sleep } from "../lib/process.mjs";
import { Stagedoor } from "../lib/stagedoor.mjs";
import { film } from "./source.mjs";

const HERE = import.meta.dirname;
const FILES = {
  "/": ["page.html", "text/html"],
  "/page.js": ["page.js", "text/javascript"],
  "/hls.js": ["../node_modules/hls.js/dist/hls.min.js", "text/javascript"],
  "/shaka.js": ["../node_modules/shaka-player/dist/shaka-player.compiled.js", "text/javascript"],
};

function pageServer() {
  const server = createServer((request, response) => {
    const [file, type] = FILES[request.url] ?? [];
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": type });
    createReadStream(join(HERE, file)).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.STAGEDOOR_CHROMIUM ?? "/usr/bin/chromium",
    // The page comes from another port than the media; what CORS allows is the tests' concern, not this figure's.
    args: "--no-sandbox --disable-gpu --disable-web-security --autoplay-policy=no-user-gesture-required --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(
      " ",
    ),
  });
}

// Plays for a while and returns what was read. `url` may be of any server.
export async function watch(browser, origin, engine, url, { settleMs, measureMs }) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  try {
    await page.goto(origin);
    await page.evaluate(([engine, url]) => window.play(engine, url), [engine, url]);
    await sleep(settleMs);
    await page.evaluate(() => {
      window.samples = [];
      window.unread = 0;
      window.stalls = 0;
    });
    await sleep(measureMs);
    const { samples, ...rest } = await page.evaluate(() => ({
      samples: window.samples,
      unread: window.unread,
      stalls: window.stalls,
      problems: window.problems.slice(0, 20),
      firstPictureMs: window.firstPictureMs,
    }));
    const at = (share) => quantile(samples, share);
    return { pictures: samples.length, p50: at(0.5), p95: at(0.95), max: at(1), ...rest };
  } finally {
    await page.close();
  }
}

// One join on the real viewer's page, in a browser without a past: milliseconds from the press to the first picture.
async function joinOnce(browser, link) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
  try {
    const page = await context.newPage();
    await page.goto(link);
    const button = page.locator("button[type=submit]");
    await button.waitFor({ state: "visible" });
    return await page.evaluate(async () => {
      const find = (root) => {
        const video = root.querySelector("video");
        if (video) return video;
        for (const element of root.querySelectorAll("*")) {
          const inner = element.shadowRoot && find(element.shadowRoot);
          if (inner) return inner;
        }
        return null;
      };
      const pressed = performance.now();
      document.querySelector("button[type=submit]").click();
      return new Promise((resolve, reject) => {
        const limit = setTimeout(() => reject(new Error(`no picture in 15 s: ${document.body.innerText}`)), 15_000);
        const look = () => {
          const video = find(document);
          if (!video) return requestAnimationFrame(look);
          video.requestVideoFrameCallback(() => {
            clearTimeout(limit);
            resolve(performance.now() - pressed);
          });
        };
        look();
      });
    });
  } finally {
    await context.close();
  }
}

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "glass");
  mkdirSync(folder);
  const server = await Stagedoor.start(folder);
  const pages = await pageServer();
  const origin = `http://127.0.0.1:${pages.address().port}/`;
  const browser = await launch();
  const times = quick ? { settleMs: 8_000, measureMs: 8_000 } : { settleMs: 20_000, measureMs: 40_000 };
  const found = {};
  try {
    for (const latency of ["ultra", "low"]) {
      const event = await server.event(`Glass ${latency}`, latency);
      const camera = film(await server.publishUrl(event.id));
      try {
        await server.live(event.id);
        await sleep(5_000);
        for (const engine of ["hls", "shaka"]) {
          const seen = await watch(browser, origin, engine, await server.session(event.id), times);
          found[`${latency} ${engine}`] = seen;
          console.log(
            `   ${latency} by ${engine}: p50 ${seen.p50.toFixed(0)} ms, p95 ${seen.p95.toFixed(0)} ms, max ${seen.max.toFixed(0)} ms, ` +
              `${seen.pictures} pictures read, ${seen.unread} unreadable, ${seen.stalls} stalls, first picture after ` +
              `${seen.firstPictureMs?.toFixed(0)} ms${seen.problems.length ? `, ${seen.problems.join(", ")}` : ""}`,
          );
        }
        if (latency === "low") {
          const joins = [];
          for (let number = 0; number < (quick ? 5 : 25); number += 1) {
            const { link } = await server.invite(event.id, `Join ${number}`);
            joins.push(await joinOnce(browser, link));
          }
          found.joins = joins;
          console.log(`   joins: ${joins.map((ms) => ms.toFixed(0)).join(" ")} ms`);
        }
      } finally {
        found[`camera ${latency}`] = { pictures: camera.pictures, late: camera.late };
        await camera.stop();
      }
    }
  } finally {
    await browser.close();
    pages.close();
  }
  bars.keep("glass", found);
  const at = (name, share) => (found[name]?.[share] ?? Number.NaN) / 1000;
  bars.add("ultra by hls.js, p50", at("ultra hls", "p50"), { most: 1.0, unit: "s", peer: "MediaMTX 1.05" });
  bars.add("ultra by Shaka, p50", at("ultra shaka", "p50"), { most: 0.8, unit: "s", peer: "MediaMTX 0.83" });
  bars.add("low by hls.js, p95", at("low hls", "p95"), { most: 2.5, unit: "s" });
  bars.add("low by Shaka, p95", at("low shaka", "p95"), { most: 2.5, unit: "s" });
  bars.add("join on the viewer's page, p95", quantile(found.joins ?? [], 0.95) / 1000, {
    most: 1.0,
    unit: "s",
    peer: `${found.joins?.length ?? 0} joins, median ${(quantile(found.joins ?? [], 0.5) / 1000).toFixed(2)} s`,
  });
}
