// A thousand honest people: nobody is cautioned, nobody is sent out. And what watching over the picture costs their
// computer.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Chromium } from "./lib/chromium.mjs";
import { enter, honest } from "./lib/honest.mjs";
import { prepare, publish } from "./lib/publisher.mjs";
import { sleep } from "./lib/process.mjs";
import { Stagedoor } from "./lib/stagedoor.mjs";

const SESSIONS = 1000;
/** After whatever they did, people watch on until the page has looked twice for what it has to ask for. */
const WATCH_MS = 5_000;

export async function measure({ bars, scratch, quick, atOnce }) {
  const folder = join(scratch, "honest");
  mkdirSync(folder);
  const server = await Stagedoor.start(folder);
  const live = async (title, source) => {
    const made = await server.event(title, "low");
    // The hardest that an organiser can choose, so that everything that would follow follows.
    const protection = { guard: true, action: "kick", watermark: true };
    const event = await server.api("PATCH", `/events/${made.id}`, { policy: { protection } });
    publish(source, await server.publishUrl(event.id));
    await server.live(event.id);
    return event;
  };

  const large = await live("Cost", await prepare(scratch, 2650));
  const spent = await cost(server, large, quick ? 5_000 : 30_000);
  bars.keep("cost of watching over the picture, % of a processor", spent);
  bars.add("watching over the picture: share of a processor", spent.page + spent.workers, {
    most: 0.5,
    unit: "%",
    digits: 2,
    peer: `page ${spent.page.toFixed(2)} %, workers ${spent.workers.toFixed(2)} %`,
  });
  await server.api("POST", `/events/${large.id}/broadcast/end`);

  // A small picture: what is judged does not depend on it, and a thousand people share few processors.
  const event = await live("Honest", await prepare(scratch, 200, { size: "320x180", rate: 5 }));
  const count = quick ? 60 : SESSIONS;
  const sessions = await honest(server, event, count, { atOnce, watchMs: WATCH_MS, log: (line) => console.log(`   ${line}`) });
  const good = sessions.filter(({ trouble }) => trouble === null);
  const flagged = good.filter(({ cautions, kicked }) => cautions > 0 || kicked).length;
  const signals = {};
  for (const { scene, signals: told } of good) {
    for (const name of Object.keys(told)) signals[`${name}: ${scene}`] = (signals[`${name}: ${scene}`] ?? 0) + 1;
  }
  const incidents = (await server.api("GET", `/events/${event.id}/incidents?limit=100`)).data;
  const troubles = sessions.filter(({ trouble }) => trouble).slice(0, 5);
  bars.keep("honest", { sessions: sessions.length, atOnce, signals, troubles, incidents });
  bars.add("honest sessions carried out", good.length / count, { least: 0.99, digits: 3, peer: `${good.length} of ${count}` });
  bars.add("honest sessions cautioned", (flagged / good.length) * 100, { most: 0.1, unit: "%", peer: `${flagged} of ${good.length}` });
  bars.add("honest sessions sent out", good.filter(({ kicked }) => kicked).length, { most: 0, digits: 0 });
  // What pages do not see, organisers would.
  const told = incidents.filter(({ kind }) => kind === "tampering").length;
  bars.add("honest sessions that an organiser hears of", (told / good.length) * 100, { most: 0.1, unit: "%", peer: `${told} incidents` });
}

// Per cent of a processor: below the functions of the guard in the page, and in the workers that it starts.
async function cost(server, event, ms) {
  const browser = await Chromium.launch();
  try {
    const { code } = await server.invite(event.id, "Honest cost");
    const page = await browser.page();
    await enter(page, event, code);
    const workers = workersOf(browser);
    await page.call("Profiler.enable");
    await page.call("Profiler.setSamplingInterval", { interval: 200 });
    await page.call("Profiler.start");
    await sleep(ms);
    const { profile } = await page.call("Profiler.stop");
    return { page: inside(profile, /\/(guard|pause)-/) * 100, workers: ((await workers()) / ms) * 100 };
  } finally {
    await browser.end();
  }
}

// Counts what the threads of dedicated workers do from now on; the milliseconds when it is called.
function workersOf(browser) {
  const threads = new Set();
  const tasks = [];
  let done;
  const complete = new Promise((resolve) => (done = resolve));
  browser.listeners.set(undefined, (method, { value }) => {
    if (method === "Tracing.tracingComplete") done();
    if (method !== "Tracing.dataCollected") return;
    for (const { name, ph, pid, tid, ts, dur, cat, args } of value) {
      if (name === "thread_name" && /DedicatedWorker/.test(args.name)) threads.add(`${pid} ${tid}`);
      if (ph === "X" && /toplevel/.test(cat)) tasks.push({ thread: `${pid} ${tid}`, from: ts, to: ts + dur });
    }
  });
  const started = browser.call("Tracing.start", { traceConfig: { includedCategories: ["toplevel"], recordMode: "recordContinuously" } });
  return async () => {
    await started;
    await browser.call("Tracing.end");
    await complete;
    const busy = new Map();
    let sum = 0;
    for (const { thread, from, to } of tasks.sort((a, b) => a.from - b.from)) {
      // A task within a task is counted with it.
      const since = Math.max(from, busy.get(thread) ?? 0);
      if (!threads.has(thread) || to <= since) continue;
      sum += (to - since) / 1000;
      busy.set(thread, to);
    }
    return sum;
  };
}

function inside({ nodes, samples, timeDeltas, startTime, endTime }, ours) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const within = new Set();
  const mark = (node, under) => {
    const here = under || ours.test(node.callFrame.url);
    if (here) within.add(node.id);
    for (const child of node.children ?? []) mark(byId.get(child), here);
  };
  mark(nodes[0], false);
  const spent = samples.reduce((sum, id, i) => sum + (within.has(id) ? timeDeltas[i] : 0), 0);
  return spent / (endTime - startTime);
}
