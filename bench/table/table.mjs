// The room's table in Chromium: 10,000 people, 2,000 changes a second, for a minute. How long is the page's main thread
// kept from doing anything else, does its memory stay, and is what it shows in the end what it was told?

import { chromium } from "playwright-core";
import { quantile } from "../lib/bars.mjs";
import { sleep } from "../lib/process.mjs";
import { Synthetic } from "./server.mjs";

const ROWS = 10_000;
const CHANGES = 2_000;

export async function measure({ bars, quick }) {
  const room = await new Synthetic({ rows: ROWS, changes: CHANGES }).listen();
  const browser = await chromium.launch({
    executablePath: process.env.STAGEDOOR_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable");
    const heap = async () => {
      await devtools.send("HeapProfiler.collectGarbage");
      const { metrics } = await devtools.send("Performance.getMetrics");
      return metrics.find(({ name }) => name === "JSHeapUsedSize").value / 2 ** 20;
    };
    const busy = async () => {
      const { metrics } = await devtools.send("Performance.getMetrics");
      return metrics.find(({ name }) => name === "TaskDuration").value;
    };
    await page.goto(`${room.origin}/events/${room.id}`);
    const grid = page.getByRole("grid");
    await grid.getByRole("row").nth(5).waitFor();
    await sleep(quick ? 3_000 : 10_000);

    await page.evaluate(watchMainThread);
    const before = { heap: await heap(), busy: await busy(), changed: room.changed, at: Date.now() };
    const part = quick ? 5_000 : 20_000;
    const phases = {};
    const phase = async (name, act) => {
      await page.evaluate(() => window.startPhase());
      await act();
      phases[name] = await page.evaluate(() => window.endPhase());
    };
    await phase("still", () => sleep(part));
    // The hardest order: every change decides it.
    await grid.getByRole("button", { name: "Behind live" }).click();
    await page.mouse.move(5, 5);
    await phase("sorted by latency", () => sleep(part));
    await phase("scrolling", async () => {
      const box = await grid.boundingBox();
      await page.mouse.move(box.x + box.width / 2, box.y + Math.min(box.height, 400) / 2);
      const end = Date.now() + part;
      while (Date.now() < end) {
        await page.mouse.wheel(0, 900);
        await sleep(100);
      }
      await page.mouse.move(5, 5);
    });
    const seconds = (Date.now() - before.at) / 1_000;
    const after = { heap: await heap(), busy: await busy(), changed: room.changed };

    // Quiet now: what is on the screen must be what was said last.
    room.changes = 0;
    await sleep(2_500);
    const shown = await page.evaluate(() =>
      [...document.querySelectorAll(".grid-body [data-key]")].map((row) => [
        row.dataset.key,
        row.querySelector("[data-column=latency]").textContent.trim(),
      ]),
    );
    const rows = new Map(room.rows.map((row) => [row.session, row]));
    const wrong = shown.filter(([key, text]) => {
      const row = rows.get(key);
      const wanted = row?.watching ? `${(row.latency_ms / 1_000).toFixed(1)} s` : "–";
      return text !== wanted;
    });

    const lags = Object.values(phases).flatMap(({ lags }) => lags);
    const tasks = Object.values(phases).flatMap(({ tasks }) => tasks);
    for (const [name, { lags, tasks }] of Object.entries(phases)) {
      console.log(
        `   ${name}: main thread blocked p50 ${quantile(lags, 0.5).toFixed(1)}, p95 ${quantile(lags, 0.95).toFixed(1)}, ` +
          `p99 ${quantile(lags, 0.99).toFixed(1)}, longest ${Math.max(...lags).toFixed(0)} ms; ${tasks.length} tasks over 50 ms`,
      );
    }
    const rate = (after.changed - before.changed) / seconds;
    bars.keep("table", {
      rows: ROWS,
      changes_per_s: rate,
      busy_percent: ((after.busy - before.busy) / seconds) * 100,
      heap_mib: [before.heap, after.heap],
      long_tasks: tasks,
      rows_compared: shown.length,
    });
    bars.add(`${ROWS} rows: changes a second that were told`, rate, { least: CHANGES * 0.95, digits: 0 });
    bars.add(`${ROWS} rows, ${CHANGES} changes/s: main thread blocked, p95`, quantile(lags, 0.95), {
      most: 50,
      unit: "ms",
      digits: 1,
      peer: `p99 ${quantile(lags, 0.99).toFixed(1)} ms, ${tasks.length} tasks over 50 ms in ${seconds.toFixed(0)} s, busy ${(((after.busy - before.busy) / seconds) * 100).toFixed(0)} %`,
    });
    bars.add("the same: growth of the heap in that time", after.heap - before.heap, {
      most: 3,
      unit: "MiB",
      digits: 1,
      peer: `${before.heap.toFixed(0)} to ${after.heap.toFixed(0)} MiB`,
    });
    bars.add(`rows on the screen that are not what was said, of ${shown.length}`, shown.length ? wrong.length : Number.NaN, {
      most: 0,
      digits: 0,
    });
  } finally {
    await browser.close();
    await room.close();
  }
}

// In the page: every 10 ms somebody wants to do something, and notes how much later they could.
function watchMainThread() {
  let lags = [];
  let tasks = [];
  const every = 10;
  const turn = () => {
    const wanted = performance.now() + every;
    setTimeout(() => {
      lags.push(Math.max(0, performance.now() - wanted));
      turn();
    }, every);
  };
  turn();
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
  window.startPhase = () => {
    lags = [];
    tasks = [];
  };
  window.endPhase = () => ({ lags, tasks });
}
